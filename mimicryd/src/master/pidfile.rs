//! The pid file: locked as long as the master lives, so that a second one refuses to start and a stale file does no harm.
//!
//! The lock belongs to the open file, which forked workers inherit: they must close it, or a dead master's lock would
//! live on in them. Closing does not unlock as long as the master has it open.

#![forbid(unsafe_code)]

use std::fs::{File, TryLockError};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::sys::entry::Entry;

/// A pid file that holds our process id.
#[derive(Debug)]
pub struct PidFile {
    place: Entry,
    path: PathBuf,
    file: File,
    /// It is another master's, which is to follow this one, or which this one is to follow.
    lent: bool,
}

/// Why there is none.
#[derive(Debug)]
pub enum PidFileError {
    /// Another one has it, with this process id if it could be read.
    Running(Option<u32>),
    Io(io::Error),
}

impl PidFile {
    /// Locks the file and writes the id into it.
    pub fn claim(path: &Path, pid: u32) -> Result<PidFile, PidFileError> {
        let place = Entry::of(path).map_err(PidFileError::Io)?;
        if let Some(exposed) = place.exposed() {
            // Whoever stops the daemon by it would end another process.
            return Err(PidFileError::Io(io::Error::other(exposed)));
        }
        loop {
            let file = place
                .open_or_make(OFlag::O_RDWR, 0o644)
                .map_err(PidFileError::Io)?;
            if !file.metadata().map_err(PidFileError::Io)?.is_file() {
                let error = io::Error::other("there is something that is not a file");
                return Err(PidFileError::Io(error));
            }
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(PidFileError::Running(read(&file))),
                Err(TryLockError::Error(error)) => return Err(PidFileError::Io(error)),
            }
            // Its holder may have removed it between our opening and locking; the lock would then be on a file that
            // nobody sees.
            if !place.holds(&file) {
                continue;
            }
            let claimed = PidFile {
                place,
                path: path.to_path_buf(),
                file,
                lent: false,
            };
            claimed.name(pid).map_err(PidFileError::Io)?;
            return Ok(claimed);
        }
    }

    /// The file of the master before, whose lock both have: it belongs to the open file.
    pub fn inherit(path: &Path, file: File) -> io::Result<PidFile> {
        let place = Entry::of(path)?;
        if !place.holds(&file) {
            return Err(io::Error::other("it is not the one that was handed over"));
        }
        Ok(PidFile {
            place,
            path: path.to_path_buf(),
            file,
            lent: false,
        })
    }

    pub fn set_lent(&mut self, lent: bool) {
        self.lent = lent;
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes this id into it. Whoever reads the first line meanwhile finds the one before or this one.
    pub fn name(&self, pid: u32) -> io::Result<()> {
        let line = format!("{pid}\n");
        self.file.write_all_at(line.as_bytes(), 0)?;
        self.file.set_len(line.len() as u64)
    }

    /// Removes the file, unless another master has it or another one stands there by now.
    pub fn remove(self) {
        if !self.lent
            && self.place.holds(&self.file)
            && let Err(error) = self.place.remove()
        {
            log::warn!("cannot remove the pid file: {error}");
        }
    }
}

impl AsFd for PidFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn read(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(20).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("mimicry-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn one_at_a_time() {
        let directory = directory("pidfile");
        let path = directory.join("pid");
        fs::write(&path, "99999999 and a long stale text\n").unwrap();
        let first = PidFile::claim(&path, 17).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "17\n");
        assert!(matches!(
            PidFile::claim(&path, 18),
            Err(PidFileError::Running(Some(17)))
        ));
        first.remove();
        assert!(!path.exists());
        let second = PidFile::claim(&path, 19).unwrap();
        fs::remove_file(&path).unwrap();
        let third = PidFile::claim(&path, 20).unwrap();
        second.remove();
        assert!(path.exists(), "it is not the second one's any more");
        third.remove();
        fs::remove_dir_all(directory).unwrap();
    }

    // T143
    #[test]
    fn another_master_has_the_same_lock() {
        let directory = directory("pidheir");
        let path = directory.join("pid");
        let old = PidFile::claim(&path, 123_456).unwrap();
        let handed_over = old.file.try_clone().unwrap();
        let new = PidFile::inherit(&path, handed_over).unwrap();
        new.name(78).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "78\n");
        drop(old);
        assert!(matches!(
            PidFile::claim(&path, 18),
            Err(PidFileError::Running(Some(78)))
        ));
        // Another file in its place is not taken for it.
        fs::rename(&path, directory.join("moved")).unwrap();
        fs::write(&path, "1\n").unwrap();
        assert!(PidFile::inherit(&path, new.file.try_clone().unwrap()).is_err());
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn no_other_file_is_overwritten() {
        let directory = directory("pidlink");
        let (target, link) = (directory.join("target"), directory.join("pid"));
        fs::write(&target, "precious").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(matches!(PidFile::claim(&link, 1), Err(PidFileError::Io(_))));
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
        assert!(matches!(
            PidFile::claim(&directory.join("missing/pid"), 1),
            Err(PidFileError::Io(_))
        ));
        fs::remove_dir_all(directory).unwrap();
    }
}
