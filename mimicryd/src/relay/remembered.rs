//! What a next hop last said it can do, for while it cannot be asked: on the disk, over restarts, for a day.
//!
//! One file for each next hop: its name is the hash of the next hop, its content the next hop and the extensions as EHLO lists them, its
//! time when that was last heard. It is written aside and renamed, so that it is whole or not there. Without a directory that can be
//! written, what this worker itself has heard is all that is known.
//!
//! Must never: be taken for what a next hop says now, keep a mail from going, or hold a password.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use data_encoding::HEXLOWER;
use mimicry_core::extension::Extensions;
use mimicry_core::settings::endpoint::NextHop;
use sha2::{Digest, Sha256};

use crate::sys::entry::Entry;
use crate::sys::privileges;

/// For so long it holds.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// What has not changed is written anew so often, so that its time is about that of the last word.
const RENEWING: Duration = Duration::from_secs(60 * 60);

/// Octets of a file at most.
const MAX_FILE: u64 = 32 * 1024;

/// The directory of the files below the spool.
const DIRECTORY: &str = "next-hops";

/// What one worker remembers, and where all of them do.
#[derive(Debug, Default)]
pub struct Remembered {
    /// `None` = only in memory.
    directory: Option<PathBuf>,
    heard: HashMap<NextHop, LastWord>,
}

#[derive(Debug)]
struct LastWord {
    extensions: Extensions,
    at: Instant,
    written_at: Instant,
}

impl Remembered {
    /// Below this spool.
    pub fn below(spool: &Path) -> Remembered {
        Remembered {
            directory: Some(Remembered::directory(spool)),
            heard: HashMap::new(),
        }
    }

    /// Where its files are below this spool.
    pub fn directory(spool: &Path) -> PathBuf {
        spool.join(DIRECTORY)
    }

    /// Makes the directory, if it is not there, for the user that the workers run as. For the master.
    pub fn prepare(
        spool: &Path,
        owner: Option<(nix::unistd::Uid, nix::unistd::Gid)>,
    ) -> io::Result<()> {
        for (directory, mode) in [
            (spool.to_path_buf(), 0o755),
            (Remembered::directory(spool), 0o700),
        ] {
            privileges::or_in_the_name_of(owner, || {
                Entry::of(&directory)?.make_directory(mode, owner)
            })?;
        }
        Ok(())
    }

    /// It has just said so.
    pub fn note(&mut self, next_hop: &NextHop, extensions: &Extensions) {
        // A directory is asked whenever somebody wants to know.
        if matches!(next_hop, NextHop::Maildir(_)) {
            return;
        }
        let now = Instant::now();
        if let Some(heard) = self.heard.get_mut(next_hop)
            && heard.extensions == *extensions
            && heard.written_at.elapsed() < RENEWING
        {
            heard.at = now;
            return;
        }
        if let Err(error) = self.write(next_hop, extensions) {
            log::debug!("what {next_hop} can do is not written down: {error}");
        }
        let heard = LastWord {
            extensions: extensions.clone(),
            at: now,
            written_at: now,
        };
        self.heard.insert(next_hop.clone(), heard);
    }

    /// What it last said, to this worker or another; `None` = it has not said anything for a day.
    pub fn last(&self, next_hop: &NextHop) -> Option<Extensions> {
        let heard = self.heard.get(next_hop);
        let own = heard.filter(|heard| heard.at.elapsed() < LIFETIME);
        let of_all = || self.read(next_hop, SystemTime::now());
        own.map(|heard| heard.extensions.clone()).or_else(of_all)
    }

    fn write(&self, next_hop: &NextHop, extensions: &Extensions) -> io::Result<()> {
        let Some(directory) = &self.directory else {
            return Ok(());
        };
        let name = name_of(next_hop);
        let aside = directory.join(format!(".{name}.{}", std::process::id()));
        let mut text = next_hop.to_string();
        extensions.write(&mut text);
        text.push('\n');
        // One that a worker left which died here.
        let _ = fs::remove_file(&aside);
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&aside)
            .and_then(|mut file| {
                file.write_all(text.as_bytes())
                    .and_then(|()| file.sync_all())
            })
            .and_then(|()| fs::rename(&aside, directory.join(name)));
        if written.is_err() {
            let _ = fs::remove_file(&aside);
        }
        written
    }

    fn read(&self, next_hop: &NextHop, now: SystemTime) -> Option<Extensions> {
        let file = File::open(self.directory.as_ref()?.join(name_of(next_hop))).ok()?;
        let facts = file.metadata().ok()?;
        // One of the future is of a clock that was set back: as new as any.
        let age = now.duration_since(facts.modified().ok()?);
        if !facts.is_file() || age.unwrap_or_default() >= LIFETIME {
            return None;
        }
        let mut text = Vec::new();
        file.take(MAX_FILE).read_to_end(&mut text).ok()?;
        let text = text.strip_suffix(b"\n")?;
        let of = text.split(|octet| *octet == b'\n').next()?;
        let lines = text.split(|octet| *octet == b'\n');
        (of == next_hop.to_string().as_bytes()).then(|| Extensions::from_lines(lines))
    }
}

/// 64 hexadecimal digits.
fn name_of(next_hop: &NextHop) -> String {
    HEXLOWER.encode(&Sha256::digest(next_hop.to_string().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Extensions {
        Extensions::from_lines(text.split('|').map(str::as_bytes))
    }

    #[test]
    fn t197_what_was_heard_is_known_to_all_for_a_day() {
        let spool = tempfile::tempdir().unwrap();
        Remembered::prepare(spool.path(), None).unwrap();
        let next_hop = NextHop::parse("smtp://mx.example.org:25").unwrap();
        let other = NextHop::parse("smtp://mx.example.org:26").unwrap();
        let full = said("mx|SIZE 777|8BITMIME|SMTPUTF8|DSN|XFORWARD NAME ADDR");
        let mut remembered = Remembered::below(spool.path());
        assert_eq!(remembered.last(&next_hop), None);
        remembered.note(&next_hop, &full);
        let another = Remembered::below(spool.path());
        assert_eq!(another.last(&next_hop), Some(full.clone()));
        assert_eq!(another.last(&other), None);
        // What is said later counts; what is no more is not there.
        remembered.note(&next_hop, &said("mx|8BITMIME"));
        assert_eq!(another.last(&next_hop), Some(said("mx|8BITMIME")));
        assert_eq!(remembered.last(&next_hop), Some(said("mx|8BITMIME")));
        let now = SystemTime::now();
        for (age, is_known) in [(LIFETIME / 2, true), (LIFETIME + RENEWING, false)] {
            let known = another.read(&next_hop, now + age);
            assert_eq!(known.is_some(), is_known, "{age:?}");
        }
        assert!(another.read(&next_hop, now - LIFETIME).is_some());
        // Half a file, or another one's, is none.
        let path = spool.path().join(DIRECTORY).join(name_of(&next_hop));
        for text in [
            "",
            "smtp://mx.example.org:25",
            "smtp://mx.example.org:26\nDSN\n",
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(another.last(&next_hop), None, "{text}");
        }
        assert_eq!(
            fs::read_dir(spool.path().join(DIRECTORY)).unwrap().count(),
            1
        );
        // Nowhere to write: this worker knows all the same.
        let mut alone = Remembered::default();
        alone.note(&next_hop, &full);
        assert_eq!(alone.last(&next_hop), Some(full));
    }
}
