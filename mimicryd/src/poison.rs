//! Mails that killed workers, on disk: the master keeps them in the spool (`poison`), so that a restart does not forget them.
//!
//! A line per mail: its digest, how many workers it killed, and when the last one died. The workers' user may own the spool, so the
//! file is taken only if it is the master's own; a link is not followed.
//!
//! Must never: hold anything of a mail but its digest, or keep the daemon from starting.

use std::io::{self, ErrorKind};
use std::path::Path;

use mimicry_core::message::digest::Digest;

use crate::clock;
use crate::files::{self, Access};
use crate::prefork::poison::{ENTRIES, Entry};
use crate::sys::entry::Entry as Place;

/// The file in the spool.
const FILE: &str = "poison";
/// Octets of it that are read: no line of ours is longer than 128.
const MAX: u64 = 128 * ENTRIES as u64;
/// For so many seconds after the last death a mail is remembered: seven days, longer than clients keep a mail.
const LIFETIME: i64 = 7 * 24 * 3600;

/// A write that began so many seconds ago is not at work any more.
pub const OLD: i64 = 3600;

/// This moment, for entries. A clock that is set makes them live longer or shorter, and nothing else.
pub fn now() -> i64 {
    clock::now().unix
}

/// Entries from before this moment are forgotten.
pub fn oldest(now: i64) -> i64 {
    now.saturating_sub(LIFETIME)
}

/// Takes away what a write that was cut off has left.
pub fn sweep(spool: &Path) {
    if let Ok(place) = Place::of(&spool.join(FILE)) {
        let _ = place.sweep(now().saturating_sub(OLD));
    }
}

/// What the file in this spool holds; nothing if there is none.
pub fn load(spool: &Path) -> io::Result<Vec<Entry>> {
    let octets = match Place::of(&spool.join(FILE))
        .and_then(|place| files::read_held(&place, MAX, Access::Owner))
    {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        octets => octets?,
    };
    Ok(entries(&String::from_utf8_lossy(&octets)))
}

/// Those of these lines. What is no entry is no reason to forget the others.
pub fn entries(text: &str) -> Vec<Entry> {
    text.lines().filter_map(parse).take(ENTRIES).collect()
}

/// Replaces the file, whole.
pub fn save(spool: &Path, entries: &[Entry]) -> io::Result<()> {
    Place::of(spool)?.make_directory(0o755, None)?;
    let text = format!(
        "# Mails that killed workers; see mimicryd(8), poison.\n{}",
        lines(entries)
    );
    Place::of(&spool.join(FILE))?.write_whole(text.as_bytes(), 0o600, true)
}

/// A line for each: the digest, the number, the moment of the last death.
pub fn lines(entries: &[Entry]) -> String {
    let line = |entry: &Entry| format!("{} {} {}\n", entry.digest, entry.deaths, entry.last);
    entries.iter().map(line).collect()
}

fn parse(line: &str) -> Option<Entry> {
    let mut words = line.split_ascii_whitespace();
    let entry = Entry {
        digest: Digest::parse(words.next()?)?,
        deaths: words.next()?.parse().ok().filter(|deaths| *deaths > 0)?,
        last: words.next()?.parse().ok().filter(|last| *last >= 0)?,
    };
    words.next().is_none().then_some(entry)
}

/// For people: a line for each mail, or a sentence.
pub fn shown(entries: &[Entry]) -> String {
    if entries.is_empty() {
        return "no mail killed a worker\n".into();
    }
    let line = |entry: &Entry| {
        let last = clock::date_time(mimicry_core::mail::Moment {
            unix: entry.last,
            offset: 0,
        });
        format!(
            "{} killed {}, the last one {last}\n",
            entry.digest, entry.deaths
        )
    };
    entries.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    // T93
    #[test]
    fn what_was_saved_is_loaded() {
        let place = tempfile::tempdir().unwrap();
        let spool = place.path().join("spool");
        assert_eq!(load(&spool).unwrap_or_default(), []);
        let entries: Vec<Entry> = (0..ENTRIES)
            .map(|number| Entry {
                digest: Digest::of_octets(&number.to_be_bytes()),
                deaths: 1 + number as u64,
                last: 2_000_000_000,
            })
            .collect();
        save(&spool, &entries).unwrap();
        assert_eq!(load(&spool).unwrap(), entries);
        save(&spool, &entries[..1]).unwrap();
        assert_eq!(load(&spool).unwrap(), entries[..1]);
        assert_eq!(fs::read_dir(&spool).unwrap().count(), 1);
        // Lines that are none of ours.
        let text = fs::read_to_string(spool.join(FILE)).unwrap();
        let digest = entries[1].digest;
        let wrong =
            format!("x\n{digest}\n{digest} 0 1\n{digest} 1 -1\n{digest} 1 1 1\n{digest} x 1\n");
        fs::write(spool.join(FILE), format!("{wrong}{text}")).unwrap();
        assert_eq!(load(&spool).unwrap(), entries[..1]);
    }

    #[test]
    fn a_line_says_which_mail_killed_how_many() {
        let digest = Digest::of_octets(b"abc");
        let entry = Entry {
            digest,
            deaths: 2,
            last: 0,
        };
        let line = format!("{digest} killed 2, the last one Thu, 01 Jan 1970 00:00:00 +0000\n");
        assert_eq!(shown(&[entry]), line);
        assert_eq!(shown(&[]), "no mail killed a worker\n");
        assert_eq!(oldest(LIFETIME + 7), 7);
    }
}
