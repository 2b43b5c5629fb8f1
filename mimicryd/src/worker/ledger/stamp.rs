//! The state of a directory, known by the time of its last change: whether it is still what it was, for one call of the kernel.
//!
//! Must never: take a changed directory for an unchanged one. In doubt it counts as changed.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Two changes that are so far apart have different times on any disk: some keep whole seconds, and the clock that the kernel takes them
/// from stands still for some milliseconds at a time.
const APART: Duration = Duration::from_secs(2);

/// When the directory was changed last, and its number. Each entry that is made or removed changes the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    changed: (i64, i64),
    number: u64,
}

impl Stamp {
    pub fn of(directory: &Path) -> io::Result<Stamp> {
        let found = fs::symlink_metadata(directory)?;
        Ok(Stamp {
            changed: (found.ctime(), found.ctime_nsec()),
            number: found.ino(),
        })
    }

    /// Does every change from now on make another one of it?
    pub fn is_telling(self, now: SystemTime) -> bool {
        let (Ok(seconds), Ok(nanos)) = (self.changed.0.try_into(), self.changed.1.try_into())
        else {
            return false;
        };
        let changed = SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanos));
        let since = changed.and_then(|changed| now.duration_since(changed).ok());
        since.is_some_and(|since| since >= APART)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_has_another_stamp_or_tells_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("x");
        let mut before = Stamp::of(directory.path()).unwrap();
        // Quicker than the clock of the disk.
        for _ in 0..1000 {
            assert!(!before.is_telling(SystemTime::now()));
            fs::write(&file, b"").unwrap();
            fs::remove_file(&file).unwrap();
            before = Stamp::of(directory.path()).unwrap();
        }
        let later = SystemTime::now() + APART;
        assert!(before.is_telling(later));
        std::thread::sleep(Duration::from_millis(50));
        for is_made in [true, false] {
            match is_made {
                true => fs::write(&file, b"").unwrap(),
                false => fs::remove_file(&file).unwrap(),
            }
            let after = Stamp::of(directory.path()).unwrap();
            assert_ne!(after, before);
            before = after;
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(Stamp::of(directory.path()).unwrap(), before);
        assert!(Stamp::of(&file).is_err());
    }

    #[test]
    fn a_stamp_from_the_future_or_of_this_moment_tells_nothing() {
        let at = |seconds| Stamp {
            changed: (seconds, 500),
            number: 1,
        };
        let now = SystemTime::UNIX_EPOCH + Duration::new(1000, 0);
        for (seconds, expected) in [
            (-1, false),
            (0, true),
            (997, true),
            (998, false),
            (1000, false),
            (2000, false),
        ] {
            assert_eq!(at(seconds).is_telling(now), expected, "{seconds}");
        }
    }
}
