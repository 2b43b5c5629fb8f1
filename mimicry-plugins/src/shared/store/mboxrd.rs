//! A mailbox that grows: the mboxrd format, one file to which mails are appended under a lock.
//!
//! Before a mail is appended, a journal beside the mailbox says where it will begin and end, and its SHA-256. Whoever comes next
//! finds in it whether the last one was finished; what was not is cut off again. A note of the same kind says of each mail
//! where it is, and is believed only if the mail is there.
//!
//! Lines end in LF, and `From ` at the beginning of a line, with any number of `>` before it, gets one more `>`: a reader
//! who takes one away and puts the CRs back has the octets of the mail as it came.
//!
//! Must never: leave half a mail in the mailbox for longer than until the next one comes; cut off what it did not write.
//!
//! Known limits: a bare LF of a mail (which the daemon lets no mail keep) cannot be told from a line end any more; a mail that
//! does not end in a line end gets one; locks are flock(2) only.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use memchr::memchr;
use mimicry_core::mail::Mail;
use mimicry_core::message::digest::Digest;

use super::Shelf;
use super::disk::{Error, Folder, Why};
use super::known::Note;
use super::place::os;

/// The name of the mailbox in its folder.
pub const MBOX: &str = "mbox";
const JOURNAL: &str = "mbox.journal";

impl Shelf {
    /// Appends a mail to the mailbox of its folder; before that, notes under each of the keys where it will be.
    pub fn append(
        &self,
        mail: &Mail,
        keys: &[&str],
        note: &Note,
        folder: &Folder,
    ) -> Result<(), Error> {
        let fail = |error: io::Error| folder.fail(os(MBOX), Why::System(error));
        let file = folder.locked(os(MBOX))?;
        let journal = folder.open(os(JOURNAL))?;
        let size = settle(&file, &journal).map_err(fail)?;
        if size == 0 {
            folder.sync()?;
        }
        // A mailbox that stays, with a mark that does not, would keep half a mail for good.
        folder.force(&file)?;
        folder.force(&journal)?;
        let entry = entry(mail);
        let mark = Mark {
            inode: file.metadata().map_err(fail)?.ino(),
            start: size,
            length: entry.len() as u64,
            digest: Digest::of_octets(&entry).to_string(),
        };
        let note = Note {
            mark: mark.to_string().trim_end().to_string(),
            ..note.clone()
        };
        for key in keys {
            self.note(key, &note)?;
        }
        begin(&journal, &mark).map_err(fail)?;
        let appended = file
            .write_all_at(&entry, size)
            .and_then(|()| file.sync_all());
        if let Err(error) = appended {
            let _ = file.set_len(size);
            let _ = journal.set_len(0);
            return Err(fail(error));
        }
        // Lost with the power, it costs a look at the mail's octets.
        let _ = journal.set_len(0);
        Ok(())
    }

    /// Is the mail in the mailbox where the note says.
    pub fn is_in_mailbox(&self, note: &Note) -> Result<bool, Error> {
        let Some(mark) = Mark::parse(format!("{}\n", note.mark).as_bytes()) else {
            return Ok(false);
        };
        let Some(folder) = self.folder_of(note)? else {
            return Ok(false);
        };
        if !folder.has_file(os(MBOX))? {
            return Ok(false);
        }
        let file = folder.open(os(MBOX))?;
        let fail = |error| folder.fail(os(MBOX), Why::System(error));
        if !mark.is_in(&file).map_err(fail)? {
            return Ok(false);
        }
        file.sync_all().map_err(fail)?;
        folder.sync()?;
        Ok(true)
    }
}

/// Cuts off what a killed process did not finish; returns the size after that. A mailbox that somebody else has changed
/// since is left as it is.
fn settle(file: &File, journal: &File) -> io::Result<u64> {
    let facts = file.metadata()?;
    let mut text = vec![
        0;
        usize::try_from(journal.metadata()?.len())
            .unwrap_or(0)
            .min(4096)
    ];
    journal.read_exact_at(&mut text, 0)?;
    let Some(mark) = Mark::parse(&text) else {
        return Ok(facts.len());
    };
    let end = mark.start.saturating_add(mark.length);
    let is_ours = mark.inode == facts.ino() && (mark.start..=end).contains(&facts.len());
    if is_ours && !mark.is_in(file)? {
        file.set_len(mark.start)?;
        file.sync_all()?;
        return Ok(mark.start);
    }
    Ok(facts.len())
}

fn begin(journal: &File, mark: &Mark) -> io::Result<()> {
    let text = mark.to_string();
    journal.set_len(0)?;
    journal.write_all_at(text.as_bytes(), 0)?;
    journal.sync_all()
}

/// Where a mail is in a mailbox.
struct Mark {
    inode: u64,
    start: u64,
    length: u64,
    /// Of the octets there.
    digest: String,
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "{} {} {} {}",
            self.inode, self.start, self.length, self.digest
        )
    }
}

impl Mark {
    /// The mark on the first line. `None` = it was not written to its end.
    fn parse(text: &[u8]) -> Option<Mark> {
        let (line, _) = std::str::from_utf8(text).ok()?.split_once('\n')?;
        let mut words = line.split(' ');
        let mark = Mark {
            inode: words.next()?.parse().ok()?,
            start: words.next()?.parse().ok()?,
            length: words.next()?.parse().ok()?,
            digest: words.next()?.into(),
        };
        (mark.digest.len() == 64).then_some(mark)
    }

    fn is_in(&self, file: &File) -> io::Result<bool> {
        let end = self.start.saturating_add(self.length);
        if file.metadata()?.len() < end {
            return Ok(false);
        }
        let mut octets = vec![0; usize::try_from(self.length).map_err(io::Error::other)?];
        file.read_exact_at(&mut octets, self.start)?;
        Ok(Digest::of_octets(&octets).to_string() == self.digest)
    }
}

/// The mail as it stands in a mailbox.
fn entry(mail: &Mail) -> Vec<u8> {
    let mut rest = mail.message.raw();
    let mut entry = from_line(mail);
    entry.reserve(rest.len().saturating_add(64));
    while !rest.is_empty() {
        let (line, behind) = match memchr(b'\n', rest) {
            Some(at) => (
                rest.get(..at).unwrap_or_default(),
                rest.get(at.saturating_add(1)..).unwrap_or_default(),
            ),
            None => (rest, &[][..]),
        };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let quotes = line.iter().take_while(|octet| **octet == b'>').count();
        if line
            .get(quotes..)
            .is_some_and(|text| text.starts_with(b"From "))
        {
            entry.push(b'>');
        }
        entry.extend_from_slice(line);
        entry.push(b'\n');
        rest = behind;
    }
    entry.push(b'\n');
    entry
}

/// `From anna@example.org Sun Nov 22 09:30:10 2026`, in UTC.
fn from_line(mail: &Mail) -> Vec<u8> {
    let sender = &mail.envelope.sender;
    let mut line = b"From ".to_vec();
    if sender.is_null() {
        line.extend_from_slice(b"MAILER-DAEMON");
    }
    line.extend(
        sender
            .as_bytes()
            .iter()
            .map(|octet| match octet.is_ascii_graphic() {
                true => *octet,
                false => b'?',
            }),
    );
    let moment = Timestamp::from_second(mail.received.unix).unwrap_or_default();
    let moment = moment.to_zoned(TimeZone::UTC);
    let date = jiff::fmt::strtime::format(" %a %b %e %H:%M:%S %Y\n", &moment);
    // The format is ours and has no mistakes.
    let _ = line.write_all(date.unwrap_or_default().as_bytes());
    line
}

#[cfg(test)]
mod tests {
    use super::super::tests::mail;
    use super::*;

    #[test]
    fn lines_are_quoted_so_that_they_can_be_unquoted() {
        for (message, expected) in [
            ("A: b\r\n\r\nFrom me\r\n", "A: b\n\n>From me\n\n"),
            (
                "A: b\r\n\r\n>From me\r\n>>From \r\n",
                "A: b\n\n>>From me\n>>>From \n\n",
            ),
            (
                "A: b\r\n\r\nFrom: me\r\n From me\r\nFrom\r\n> From x\r\n",
                "A: b\n\nFrom: me\n From me\nFrom\n> From x\n\n",
            ),
            ("A: b\r\n\r\nno end", "A: b\n\nno end\n\n"),
            ("A: b\r\n\r\n\r\n\r\n", "A: b\n\n\n\n\n"),
            ("", "\n"),
        ] {
            let entry = String::from_utf8(entry(&mail(message.as_bytes()))).unwrap();
            let (from, rest) = entry.split_once('\n').unwrap();
            assert_eq!(from, "From anna@example.org Sun Nov 22 09:30:10 2026");
            assert_eq!(rest, expected, "{message:?}");
        }
        let mut mail = mail(b"A: b\r\n\r\n");
        mail.envelope.sender = mimicry_core::envelope::Path::new(&b"a b\r\nFrom \xff@x"[..]);
        assert!(
            entry(&mail).starts_with(b"From a?b??From?"),
            "{:?}",
            String::from_utf8(entry(&mail))
        );
        mail.envelope.sender = mimicry_core::envelope::Path::default();
        assert!(entry(&mail).starts_with(b"From MAILER-DAEMON Sun"));
    }
}
