//! The archive as a store: what is kept in each layout, and how what is left is read.
//!
//! Must never: count half a mail as one.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use mimicry_core::engine;
use mimicry_core::envelope::Envelope;
use mimicry_core::mail::{Mail, Moment};
use mimicry_core::message::{Limits, Message};
use mimicry_core::origin::Origin;
use mimicry_core::plugin::Effects;
use mimicry_core::policy::Memo;

use super::stores::{Crashed, must, names, parsed, tell};

pub const MAILDIR: &str = "layout = 'maildir', sidecar = true";
pub const FILES: &str = "layout = 'files', sidecar = true, compress = 'gzip'";
pub const PARTS: &str = "layout = 'files', what = 'parts', sidecar = true";
pub const MAILBOX: &str = "layout = 'mboxrd', sidecar = true";

pub const FOREIGN: &str = "From x Sun Nov 22 09:30:10 2026\nSubject: another's\n\n";
const KEPT: &[u8] = b"Received: one\r\nSubject: 1\r\n\r\nFrom here, a mail that is kept\r\n";
/// The same words by another way.
const AGAIN: &[u8] = b"Received: other\r\nSubject: 1\r\n\r\nFrom here, a mail that is kept\r\n";
const SECOND: &[u8] = b"Subject: 2\r\n\r\na second mail, which is longer than the first one\r\n";
const NEXT: &[u8] = b"Subject: 3\r\n\r\na mail that comes when all is well again\r\n";

fn mail(message: &[u8]) -> Mail {
    Mail {
        origin: Origin::default(),
        envelope: Envelope::new("anna@example.org", ["bo@example.com"]),
        message: Message::scan(message.to_vec(), &Limits::default()),
        received: Moment {
            unix: 1_795_339_810,
            offset: 0,
        },
    }
}

fn keep(root: &Path, options: &str, message: &[u8]) -> Result<(), String> {
    let config = parsed(&format!(
        "[[rule]]\nname = \"a\"\nplugin = \"archive\"\noptions = {{ dir = \"{}/{{{{ year }}}}-{{{{ month }}}}\", {options} }}\n",
        root.display()
    ));
    let (memo, mail) = (Memo::default(), mail(message));
    let classes = memo.classes(&config.banks, &mail);
    let judged = engine::judge(&config.banks, &memo, &mail, &classes, Effects::Real.into());
    for one in judged {
        one.result
            .as_ref()
            .as_ref()
            .map_err(|stopped| format!("{stopped:?}"))?;
    }
    Ok(())
}

pub fn archive(root: &Path, options: &str) {
    for (name, message) in [("kept", KEPT), ("again", AGAIN), ("second", SECOND)] {
        keep(root, options, message).expect("room");
        tell(name);
    }
}

pub fn archive_left(crashed: &Crashed<'_>, options: &str) -> Result<(), String> {
    let is_mailbox = options == MAILBOX;
    files_are_whole(crashed)?;
    keep(crashed.root, options, NEXT)?;
    files_are_whole(crashed)?;
    for (told, message) in [("kept", KEPT), ("second", SECOND)] {
        let copies = copies(crashed.root, options, message)?;
        let is_lost = crashed.was_told(told) && copies == 0;
        must(
            !is_lost,
            format!("{told}: it was said to be archived and is not"),
        )?;
        must(copies <= 1, format!("{told}: {copies} copies"))?;
    }
    // What the client brings again.
    for message in [KEPT, AGAIN, SECOND, NEXT] {
        keep(crashed.root, options, message)?;
    }
    files_are_whole(crashed)?;
    for message in [KEPT, SECOND, NEXT] {
        let copies = copies(crashed.root, options, message)?;
        // man: mimicry-plugins(7), archive: a mailbox may hold a mail twice after the power failed.
        let most = if is_mailbox { 2 } else { 1 };
        must(
            (1..=most).contains(&copies),
            format!("{copies} copies at last"),
        )?;
    }
    Ok(())
}

/// All but mailboxes, and what is the store's own.
fn files_are_whole(crashed: &Crashed<'_>) -> Result<(), String> {
    for (path, whole) in crashed.whole.files() {
        let is_own = path.starts_with(".mimicry") || is_mailbox(path);
        let found = fs::read(crashed.root.join(path));
        let is_whole = found.as_ref().map_or(true, |found| found == whole);
        must(
            is_own || is_whole,
            format!("{} is not whole: {found:?}", path.display()),
        )?;
    }
    Ok(())
}

fn is_mailbox(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("mbox"))
}

/// How often a mail is there, to be found by who reads the archive. A half mail in a mailbox is an error.
fn copies(root: &Path, options: &str, message: &[u8]) -> Result<usize, String> {
    let folder = root.join("2026-11");
    let files = |directory: &Path| -> Vec<Vec<u8>> {
        let paths = names(directory)
            .into_iter()
            .map(|name| directory.join(name));
        paths
            .filter(|path| path.is_file())
            .map(|path| fs::read(path).expect("a file"))
            .collect()
    };
    let found: Vec<Vec<u8>> = match options {
        MAILDIR => files(&folder.join("new")),
        FILES => files(&folder)
            .iter()
            .filter_map(|file| unpacked(file))
            .collect(),
        PARTS => {
            let body = Message::scan(message.to_vec(), &Limits::default());
            let body = body.root().body().to_vec();
            return Ok(files(&folder).iter().filter(|file| **file == body).count());
        }
        _ => mailbox(&fs::read(folder.join("mbox")).unwrap_or_default())?,
    };
    // Of the same words, whichever came first.
    let words = |mail: &[u8]| {
        String::from_utf8_lossy(mail)
            .split("Subject: ")
            .last()
            .map(String::from)
    };
    Ok(found
        .iter()
        .filter(|mail| words(mail) == words(message))
        .count())
}

fn unpacked(file: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    MultiGzDecoder::new(file).read_to_end(&mut content).ok()?;
    Some(content)
}

/// The mails of a mailbox; each is one that was sent.
fn mailbox(octets: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let text = std::str::from_utf8(octets).map_err(|_| "no text in the mailbox")?;
    let rest = text.strip_prefix(FOREIGN).unwrap_or(text);
    let mut mails = Vec::new();
    let entries = rest.split("From anna@example.org Sun Nov 22 09:30:10 2026\n");
    for (number, entry) in entries.enumerate() {
        let mail = entry
            .replace("\n>From ", "\nFrom ")
            .replace('\n', "\r\n")
            .into_bytes();
        // Below each mail is an empty line.
        let mail = mail.strip_suffix(b"\r\n").unwrap_or(&mail).to_vec();
        let is_sent = [KEPT, AGAIN, SECOND, NEXT].contains(&&mail[..]);
        match number {
            0 if mail.is_empty() => {}
            _ if number > 0 && is_sent => mails.push(mail),
            _ => {
                return Err(format!(
                    "half a mail in the mailbox: {}",
                    octets.escape_ascii()
                ));
            }
        }
    }
    Ok(mails)
}

/// A mailbox is known by the number of its inode, which stays when the power fails: here it is another copy's.
pub fn renumber(root: &Path, numbers: &HashMap<u64, u64>) {
    let folder = root.join("2026-11");
    let (Ok(facts), Ok(journal)) = (
        fs::metadata(folder.join("mbox")),
        fs::read_to_string(folder.join("mbox.journal")),
    ) else {
        return;
    };
    let Some((number, rest)) = journal.split_once(' ') else {
        return;
    };
    if number.parse().ok() == numbers.get(&facts.ino()).copied() {
        let text = format!("{} {rest}", facts.ino());
        fs::write(folder.join("mbox.journal"), text).expect("a journal");
    }
}
