//! The disk, accessed only by descriptors of directories: no name with a slash is ever opened below the declared
//! directory, and no symbolic link is followed there.
//!
//! A file is written under a name of its own in one directory for unfinished work, forced to disk, renamed to its
//! place, and the directory of that place forced to disk. The writer holds a lock on the unfinished file, so a file
//! without a lock belongs to a process that is gone, and is removed.
//!
//! Must never: show a file under its final name before it is whole and on disk; follow a link; give anybody but the user
//! of this process access to what it makes.
//!
//! A directory is made and forced into the one above it in two steps, and a process may be killed between them; so each process forces
//! those that it finds, once. The same goes for files that grow.
//!
//! Known limit: a directory that was removed and made again by another process, under the same number, counts as the one before.

use std::ffi::{OsStr, OsString};
use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use data_encoding::HEXLOWER;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};

use super::forced;

/// Leftovers are swept when they are older than this many seconds, which no transaction lasts; the lock alone would not tell
/// where two machines share a file system without sharing its locks.
const OLD: i64 = 3600;

/// How often, and for how long, a lock is tried. Who has it writes one mail.
const PAUSE: Duration = Duration::from_millis(5);
const TRIES: u32 = 4000;

/// What unfinished files are called, before their random digits.
const PREFIX: &str = "unfinished-";

const FILE: Mode = Mode::from_bits_truncate(0o600);
const DIRECTORY: Mode = Mode::from_bits_truncate(0o700);

/// Why something could not be stored.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct Error {
    pub path: PathBuf,
    pub why: Why,
}

#[derive(Debug, thiserror::Error)]
pub enum Why {
    #[error("{0}")]
    System(io::Error),
    /// Something is there that this program did not make, or would not have made so.
    #[error("{0}")]
    Refused(&'static str),
}

impl Error {
    /// Is it for want of room: the disk, a quota, or a limit on the size of files.
    pub fn is_full(&self) -> bool {
        let Why::System(error) = &self.why else {
            return false;
        };
        let errno = error.raw_os_error().map(Errno::from_raw);
        matches!(errno, Some(Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG))
    }
}

/// An open directory.
#[derive(Debug)]
pub struct Folder {
    fd: File,
    /// For messages only.
    path: PathBuf,
    /// The user whose files may be here beside our own: the owner of the declared directory.
    owner: u32,
}

impl Folder {
    /// The declared directory. It may be reached by links, as its administrator likes, but nobody else may write to it.
    pub fn declared(path: &Path) -> Result<Folder, Error> {
        let fail = |why| Error {
            path: path.to_path_buf(),
            why,
        };
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let fd =
            nix::fcntl::open(path, flags, Mode::empty()).map_err(|errno| fail(errno.into()))?;
        let facts = fstat(&fd).map_err(|errno| fail(errno.into()))?;
        if facts.st_mode & 0o022 != 0 {
            return Err(fail(Why::Refused("others than its owner may write to it")));
        }
        Ok(Folder {
            fd: fd.into(),
            path: path.to_path_buf(),
            owner: facts.st_uid,
        })
    }

    /// The same directory, once more.
    pub fn again(&self) -> Result<Folder, Error> {
        let fd = self.fd.try_clone();
        Ok(Folder {
            fd: fd.map_err(|error| self.fail(OsStr::new(""), Why::System(error)))?,
            path: self.path.clone(),
            owner: self.owner,
        })
    }

    /// The directory of that name in this one; made when it is missing.
    pub fn enter(&self, name: &OsStr) -> Result<Folder, Error> {
        if let Some(folder) = self.find(name)? {
            self.force(&folder.fd)?;
            return Ok(folder);
        }
        match mkdirat(&self.fd, name, DIRECTORY) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(self.fail(name, errno.into())),
        }
        self.sync()?;
        let found = self.find(name)?;
        found.ok_or_else(|| self.fail(name, Errno::ENOENT.into()))
    }

    /// Forces the name of what is open here to disk, unless this process has done so before.
    pub fn force(&self, open: &File) -> Result<(), Error> {
        forced::once(open, || self.sync())
            .map_err(|why| self.fail(OsStr::new(""), Why::System(why)))?
    }

    /// As [`Folder::enter`]; `None` = it is missing.
    pub fn find(&self, name: &OsStr) -> Result<Option<Folder>, Error> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = match openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::ENOENT) => return Ok(None),
            Err(Errno::ELOOP | Errno::ENOTDIR) => {
                return Err(self.fail(name, Why::Refused("it is a link, or no directory")));
            }
            Err(errno) => return Err(self.fail(name, errno.into())),
        };
        let facts = fstat(&fd).map_err(|errno| self.fail(name, errno.into()))?;
        self.ours(name, &facts)?;
        Ok(Some(Folder {
            fd: fd.into(),
            path: self.path.join(name),
            owner: self.owner,
        }))
    }

    /// Is there a file of that name. Anything else of that name, or a file that has a second name, is refused.
    pub fn has_file(&self, name: &OsStr) -> Result<bool, Error> {
        match fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(facts) => self.plain(name, &facts).map(|()| true),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(self.fail(name, errno.into())),
        }
    }

    /// Opens a file to read and write in place; made when it is missing.
    pub fn open(&self, name: &OsStr) -> Result<File, Error> {
        let safe = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | safe;
        let fd = match openat(&self.fd, name, flags, FILE) {
            Ok(fd) => fd,
            Err(Errno::ELOOP) => return Err(self.fail(name, Why::Refused("it is a link"))),
            Err(errno) => return Err(self.fail(name, errno.into())),
        };
        let facts = fstat(&fd).map_err(|errno| self.fail(name, errno.into()))?;
        self.plain(name, &facts)?;
        Ok(fd.into())
    }

    /// As [`Folder::open`], with its lock, which goes when the file or the process does. It may be moved away while the lock is
    /// waited for.
    pub fn locked(&self, name: &OsStr) -> Result<File, Error> {
        let fail = |error| self.fail(name, Why::System(error));
        for _ in 0..TRIES {
            let file = self.open(name)?;
            match file.try_lock() {
                Ok(()) => {
                    let there = self.open(name)?;
                    let inode = |file: &File| file.metadata().map(|facts| facts.ino());
                    if inode(&file).map_err(fail)? == inode(&there).map_err(fail)? {
                        return Ok(file);
                    }
                }
                Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
                Err(TryLockError::Error(error)) => return Err(fail(error)),
            }
        }
        Err(self.fail(
            name,
            Why::Refused("another process has it locked for too long"),
        ))
    }

    /// The content of a small file; `None` = it is missing.
    pub fn read(&self, name: &OsStr) -> Result<Option<Vec<u8>>, Error> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let fd: File = match openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => fd.into(),
            Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => return Err(self.fail(name, errno.into())),
        };
        let mut content = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(fd, 64 * 1024), &mut content)
            .map_err(|error| self.fail(name, Why::System(error)))?;
        Ok(Some(content))
    }

    /// Writes a small file that may be lost with the power, as a whole.
    pub fn note(&self, unfinished: &Folder, name: &OsStr, content: &[u8]) -> Result<(), Error> {
        let mut draft = Draft::new(unfinished)?;
        draft
            .write_all(content)
            .map_err(|error| draft.fail(error))?;
        draft.rename(self, name)
    }

    pub fn sync(&self) -> Result<(), Error> {
        let synced = self.fd.sync_all();
        synced.map_err(|error| self.fail(OsStr::new(""), Why::System(error)))
    }

    /// The names in it, without the two that every directory has.
    pub fn names(&self) -> Result<Vec<OsString>, Error> {
        let fail = |errno: Errno| self.fail(OsStr::new(""), errno.into());
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut dir = nix::dir::Dir::openat(&self.fd, ".", flags, Mode::empty()).map_err(fail)?;
        let mut names = Vec::new();
        for entry in dir.iter() {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).to_os_string());
            }
        }
        Ok(names)
    }

    pub fn remove_file(&self, name: &OsStr) -> Result<(), Error> {
        self.unlink(name, UnlinkatFlags::NoRemoveDir)
    }

    pub fn remove_folder(&self, name: &OsStr) -> Result<(), Error> {
        self.unlink(name, UnlinkatFlags::RemoveDir)
    }

    fn unlink(&self, name: &OsStr, how: UnlinkatFlags) -> Result<(), Error> {
        match unlinkat(&self.fd, name, how) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(self.fail(name, errno.into())),
        }
    }

    /// Removes what killed processes left in a directory of unfinished work.
    pub fn sweep(&self, now: i64) {
        for name in self.names().unwrap_or_default() {
            if name.as_bytes().starts_with(PREFIX.as_bytes()) && self.is_left(&name, now) {
                let _ = self.remove_file(&name);
            }
        }
    }

    /// Names are random, so the one that is looked at cannot be another's by the time it is removed. Who has just made a
    /// file and not locked it yet finds out ([`Draft::new`]).
    fn is_left(&self, name: &OsStr, now: i64) -> bool {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let Ok(fd) = openat(&self.fd, name, flags, Mode::empty()) else {
            return false;
        };
        let is_old = fstat(&fd).is_ok_and(|facts| {
            let is_file =
                SFlag::from_bits_truncate(facts.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFREG;
            is_file && now.saturating_sub(facts.st_mtime) > OLD
        });
        is_old && File::from(fd).try_lock().is_ok()
    }

    /// Only its user may write to it, who is this process's user or the owner of the whole store.
    fn ours(&self, name: &OsStr, facts: &FileStat) -> Result<(), Error> {
        if facts.st_mode & 0o022 != 0 {
            return Err(self.fail(name, Why::Refused("others than its owner may write to it")));
        }
        if facts.st_uid != self.owner && facts.st_uid != geteuid().as_raw() {
            return Err(self.fail(name, Why::Refused("it belongs to another user")));
        }
        Ok(())
    }

    fn plain(&self, name: &OsStr, facts: &FileStat) -> Result<(), Error> {
        if SFlag::from_bits_truncate(facts.st_mode & SFlag::S_IFMT.bits()) != SFlag::S_IFREG {
            return Err(self.fail(name, Why::Refused("it is no file")));
        }
        if facts.st_nlink != 1 {
            return Err(self.fail(name, Why::Refused("it has another name elsewhere")));
        }
        self.ours(name, facts)
    }

    pub fn fail(&self, name: &OsStr, why: Why) -> Error {
        Error {
            path: self.path.join(name),
            why,
        }
    }
}

impl From<Errno> for Why {
    fn from(errno: Errno) -> Why {
        Why::System(errno.into())
    }
}

/// A file that is being written; gone when this goes, unless it was put in its place.
#[derive(Debug)]
pub struct Draft<'f> {
    folder: &'f Folder,
    name: OsString,
    file: File,
    placed: bool,
}

impl<'f> Draft<'f> {
    pub fn new(folder: &'f Folder) -> Result<Draft<'f>, Error> {
        loop {
            let name =
                random_name().map_err(|error| folder.fail(OsStr::new(""), Why::System(error)))?;
            let flags = OFlag::O_WRONLY
                | OFlag::O_CREAT
                | OFlag::O_EXCL
                | OFlag::O_NOFOLLOW
                | OFlag::O_CLOEXEC;
            let fd: OwnedFd = match openat(&folder.fd, name.as_os_str(), flags, FILE) {
                Ok(fd) => fd,
                Err(Errno::EEXIST) => continue,
                Err(errno) => return Err(folder.fail(&name, errno.into())),
            };
            let draft = Draft {
                folder,
                name,
                file: fd.into(),
                placed: false,
            };
            // A file system without locks has none to sweep by either.
            if let Err(TryLockError::WouldBlock) = draft.file.try_lock() {
                continue;
            }
            let facts = fstat(&draft.file).map_err(|errno| draft.fail(errno.into()))?;
            if facts.st_nlink == 1 {
                return Ok(draft);
            }
        }
    }

    pub fn fail(&self, error: io::Error) -> Error {
        self.folder.fail(&self.name, Why::System(error))
    }

    /// Forces it to disk and gives it its final name, for good.
    pub fn place(self, folder: &Folder, name: &OsStr) -> Result<(), Error> {
        let synced = self.file.sync_all();
        synced.map_err(|error| self.fail(error))?;
        self.rename(folder, name)?;
        if let Err(error) = folder.sync() {
            // The mail will come again.
            let _ = folder.remove_file(name);
            return Err(error);
        }
        Ok(())
    }

    fn rename(mut self, folder: &Folder, name: &OsStr) -> Result<(), Error> {
        let renamed = renameat(&self.folder.fd, self.name.as_os_str(), &folder.fd, name);
        renamed.map_err(|errno| folder.fail(name, errno.into()))?;
        self.placed = true;
        Ok(())
    }
}

impl Write for Draft<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.file.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.placed {
            let _ = self.folder.remove_file(&self.name);
        }
    }
}

fn random_name() -> io::Result<OsString> {
    let mut random = [0; 12];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    Ok(format!("{PREFIX}{}", HEXLOWER.encode(&random)).into())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::SystemTime;

    use super::super::place::os;
    use super::*;

    fn opened() -> (tempfile::TempDir, PathBuf, Folder) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("d");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        let folder = Folder::declared(&path).unwrap();
        (directory, path, folder)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
        match result.unwrap_err().why {
            Why::Refused(why) => why.to_string(),
            Why::System(error) => panic!("{error}"),
        }
    }

    // T158
    #[test]
    fn files_are_their_users_alone() {
        let (_directory, path, folder) = opened();
        let below = folder.enter(os("a")).unwrap().enter(os("b")).unwrap();
        let mut draft = Draft::new(&folder).unwrap();
        draft.write_all(b"x").unwrap();
        let unfinished = path.join(&draft.name);
        assert_eq!(mode(&unfinished), 0o600);
        draft.place(&below, os("c")).unwrap();
        assert!(!unfinished.exists());
        assert_eq!(fs::read(path.join("a/b/c")).unwrap(), b"x");
        assert_eq!(
            [
                mode(&path.join("a")),
                mode(&path.join("a/b")),
                mode(&path.join("a/b/c"))
            ],
            [0o700, 0o700, 0o600]
        );
        drop(Draft::new(&folder).unwrap());
        assert_eq!(
            folder.names().unwrap(),
            ["a"],
            "a draft that was given up is gone"
        );
    }

    // T161
    #[test]
    fn what_was_planted_is_refused() {
        let (directory, path, folder) = opened();
        let outside = directory.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), b"precious").unwrap();
        symlink(&outside, path.join("link")).unwrap();
        symlink(outside.join("file"), path.join("file-link")).unwrap();
        symlink("nowhere", path.join("dangling")).unwrap();
        fs::hard_link(outside.join("file"), path.join("twin")).unwrap();
        fs::create_dir(path.join("open")).unwrap();
        fs::set_permissions(path.join("open"), Permissions::from_mode(0o777)).unwrap();
        assert_eq!(
            refused(folder.enter(os("link"))),
            "it is a link, or no directory"
        );
        assert_eq!(
            refused(folder.enter(os("dangling"))),
            "it is a link, or no directory"
        );
        assert_eq!(
            refused(folder.enter(os("twin"))),
            "it is a link, or no directory"
        );
        assert_eq!(
            refused(folder.enter(os("open"))),
            "others than its owner may write to it"
        );
        for name in ["file-link", "dangling", "link"] {
            assert_eq!(
                refused(folder.has_file(os(name))),
                "it is no file",
                "{name}"
            );
            assert_eq!(refused(folder.open(os(name))), "it is a link", "{name}");
        }
        assert_eq!(
            refused(folder.has_file(os("twin"))),
            "it has another name elsewhere"
        );
        assert_eq!(
            refused(folder.open(os("twin"))),
            "it has another name elsewhere"
        );
        assert!(folder.read(os("file-link")).is_err());
        // Renaming replaces a link, it does not follow it.
        let mut draft = Draft::new(&folder).unwrap();
        draft.write_all(b"new").unwrap();
        draft.place(&folder, os("file-link")).unwrap();
        assert_eq!(fs::read(outside.join("file")).unwrap(), b"precious");
        assert!(
            !fs::symlink_metadata(path.join("file-link"))
                .unwrap()
                .is_symlink()
        );
        fs::set_permissions(&path, Permissions::from_mode(0o770)).unwrap();
        assert_eq!(
            refused(Folder::declared(&path)),
            "others than its owner may write to it"
        );
    }

    // T145
    #[test]
    fn leftovers_are_swept_and_nothing_else() {
        let (_directory, path, folder) = opened();
        let now = SystemTime::now();
        let seconds = |time: SystemTime| {
            time.duration_since(SystemTime::UNIX_EPOCH)
                .unwrap()
                .as_secs() as i64
        };
        let age = |name: &OsStr, hours: u64| {
            let file = File::options()
                .append(true)
                .create(true)
                .open(path.join(name))
                .unwrap();
            file.set_modified(now - Duration::from_secs(hours * 3600))
                .unwrap();
        };
        let alive = Draft::new(&folder).unwrap();
        age(&alive.name.clone(), 5);
        age(os("unfinished-dead"), 2);
        age(os("unfinished-young"), 0);
        age(os("somebody-elses"), 9);
        symlink("somebody-elses", path.join("unfinished-link")).unwrap();
        folder.sweep(seconds(now));
        let mut names = folder.names().unwrap();
        names.sort();
        let mut expected = vec![
            os("somebody-elses").to_os_string(),
            alive.name.clone(),
            "unfinished-link".into(),
            "unfinished-young".into(),
        ];
        expected.sort();
        assert_eq!(names, expected);
        alive.place(&folder, os("placed")).unwrap();
        assert!(path.join("placed").exists());
    }

    #[test]
    fn want_of_room_is_told_from_other_failures() {
        for (errno, full) in [
            (Errno::ENOSPC, true),
            (Errno::EDQUOT, true),
            (Errno::EFBIG, true),
            (Errno::EIO, false),
            (Errno::EROFS, false),
            (Errno::EACCES, false),
        ] {
            let error = Error {
                path: PathBuf::from("x"),
                why: errno.into(),
            };
            assert_eq!(error.is_full(), full, "{error}");
        }
        let mut draft = File::options().write(true).open("/dev/full").unwrap();
        let why = Why::System(draft.write_all(b"x").unwrap_err());
        assert!(
            Error {
                path: PathBuf::from("x"),
                why
            }
            .is_full()
        );
    }
}
