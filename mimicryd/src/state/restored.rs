//! Which mails were handed out again, and to whom: a file without content for each, named by a hash.
//!
//! Must never: hold an address in clear text.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use mimicry_core::message::digest::Digest;

use crate::sys::entry::Entry;

/// The directory below the state.
const DIRECTORY: &str = "restored";

/// What was handed to one recipient.
#[derive(Clone, Debug)]
pub struct Mark(PathBuf);

impl Mark {
    /// Of these octets for this recipient.
    pub fn of(state: &Path, content: &[u8], recipient: &[u8]) -> Mark {
        let key = format!(
            "{} {}",
            Digest::of_octets(content),
            Digest::of_octets(recipient)
        );
        let name = Digest::of_octets(key.as_bytes()).to_string();
        Mark(state.join(DIRECTORY).join(name))
    }

    /// When it was handed on, in seconds since 1970; `None` = it was not.
    pub fn since(&self) -> io::Result<Option<i64>> {
        let facts = Entry::of(&self.0).and_then(|place| place.facts());
        match facts {
            Ok(facts) => Ok(Some(facts.st_mtime)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes sure that it can be set, by nobody else as long as the result is held: of two at a time neither would see that the other hands
    /// the same thing on.
    pub fn prepare(state: &Path) -> io::Result<File> {
        let directory = state.join(DIRECTORY);
        Entry::of(state)?.make_directory(0o755, None)?;
        Entry::of(&directory)?.make_directory(0o700, None)?;
        let alone = File::open(directory)?;
        match alone.try_lock() {
            Ok(()) => Ok(alone),
            Err(TryLockError::WouldBlock) => {
                let why = "another restore hands something on; try again when it has ended";
                Err(io::Error::new(ErrorKind::WouldBlock, why))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    pub fn set(&self) -> io::Result<()> {
        Entry::of(&self.0)?.write_whole(b"", 0o600, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_handed_on_is_known_for_each_recipient() {
        let place = tempfile::tempdir().unwrap();
        let state = place.path().join("state");
        let mark = Mark::of(&state, b"mail", b"a@x");
        assert_eq!(mark.since().unwrap(), None);
        assert!(mark.set().is_err());
        let alone = Mark::prepare(&state).unwrap();
        assert!(Mark::prepare(&state).is_err());
        drop(alone);
        let _alone = Mark::prepare(&state).unwrap();
        mark.set().unwrap();
        assert!(mark.since().unwrap().is_some());
        for (content, recipient) in [
            (&b"mail"[..], &b"b@x"[..]),
            (b"other", b"a@x"),
            (b"mail ", b"a@x"),
        ] {
            assert_eq!(Mark::of(&state, content, recipient).since().unwrap(), None);
        }
    }
}
