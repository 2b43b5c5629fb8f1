//! A name in a directory that is held open: the file there is opened, made, given to another user and removed through
//! descriptors.
//!
//! Root works in directories that the workers' user, or others, may write to. Whoever may do that can put a link in the place of a file
//! at any moment, so nothing is done there by a path. On the way to the directory a link is followed only where nobody but
//! root and the user of this process can have made it; the last name is never followed.
//!
//! Must never: change the mode or the owner of what was not opened here, or open what could block.

#![forbid(unsafe_code)]

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fchownat, linkat, unlinkat};

use super::guard;
use super::way::{self, Exposed, Found, Last, Step, kind};

/// A name in a directory.
#[derive(Debug)]
pub struct Entry {
    directory: OwnedFd,
    name: OsString,
    path: PathBuf,
    is_private: bool,
    exposed: Option<Exposed>,
}

/// Device and inode.
pub type Id = (u64, u64);

impl Entry {
    /// The place of this path; its directory has to exist.
    pub fn of(path: &Path) -> io::Result<Entry> {
        if path.file_name().is_none() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut is_private = true;
        let mut exposed = None;
        let Found { directory, name } = way::walk(path, Last::Kept, &mut |step| {
            is_private &= match step.is_last {
                true => guard::is_private(step.directory),
                false => way::keeps(step.directory),
            };
            exposed = exposed.take().or_else(|| step.exposed());
            safe_to_follow(step, path)
        })?;
        Ok(Entry {
            directory,
            name,
            path: path.to_path_buf(),
            is_private,
            exposed,
        })
    }

    /// What stands there, which may be a link; an error of kind `NotFound` = nothing.
    pub fn facts(&self) -> io::Result<FileStat> {
        Ok(fstatat(
            &self.directory,
            self.name.as_os_str(),
            AtFlags::AT_SYMLINK_NOFOLLOW,
        )?)
    }

    pub fn id(&self) -> Option<Id> {
        self.facts().ok().map(|facts| (facts.st_dev, facts.st_ino))
    }

    /// Does this open file stand there.
    pub fn holds(&self, file: &File) -> bool {
        let held = file.metadata().map(|facts| (facts.dev(), facts.ino()));
        held.is_ok_and(|held| self.id() == Some(held))
    }

    /// Opens the file there, or makes it with exactly this mode. It is no link, has no second name, and opening it does not block.
    pub fn open_or_make(&self, flags: OFlag, mode: u32) -> io::Result<File> {
        loop {
            match self.open(flags, 0) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => return result,
            }
            match self.open(flags | OFlag::O_CREAT | OFlag::O_EXCL, mode) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(file) => {
                    fchmod(&file, Mode::from_bits_truncate(mode))?;
                    return Ok(file);
                }
            }
        }
    }

    /// Opens the file there to be read, which follows no link and does not block.
    pub fn open_to_read(&self) -> io::Result<File> {
        self.open(OFlag::O_RDONLY, 0)
    }

    /// Writes a whole file of this mode, or nothing: a reader sees the one before or this one, and so does the next start. Without
    /// `over` a file that is there stays (`AlreadyExists`).
    pub fn write_whole(&self, octets: &[u8], mode: u32, over: bool) -> io::Result<()> {
        self.write(octets, mode, over, None)
    }

    /// The same for a file that belongs to somebody, over what is there.
    pub fn write_whole_for(&self, octets: &[u8], mode: u32, owner: (Uid, Gid)) -> io::Result<()> {
        self.write(octets, mode, true, Some(owner))
    }

    fn write(
        &self,
        octets: &[u8],
        mode: u32,
        over: bool,
        owner: Option<(Uid, Gid)>,
    ) -> io::Result<()> {
        let random = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
        let mut temporary = self.name.clone();
        temporary.push(format!(".{random:016x}"));
        let made = Mode::from_bits_truncate(mode);
        // Nobody else's before it is whole and has its owner.
        let first = Mode::from_bits_truncate(mode & 0o600);
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let (here, temporary) = (&self.directory, temporary.as_os_str());
        let name = self.name.as_os_str();
        let mut file = File::from(openat(here, temporary, flags, first)?);
        let written = (|| {
            file.write_all(octets)?;
            if let Some((user, group)) = owner {
                fchown(&file, Some(user), Some(group))?;
            }
            fchmod(&file, made)?;
            file.sync_all()?;
            match over {
                true => renameat(here, temporary, here, name),
                // Unlike a renaming, this does not replace what somebody else has just made.
                false => linkat(here, temporary, here, name, AtFlags::empty()),
            }?;
            self.force_name()
        })();
        // Gone already where it was renamed.
        let _ = unlinkat(here, temporary, UnlinkatFlags::NoRemoveDir);
        written
    }

    /// Takes away what [`Entry::write_whole`] left here when it was cut off, by a crash or the loss of power, before this moment in seconds
    /// since 1970: regular files of this user with a name of its own making. A link is not followed, and what cannot be taken away
    /// stays. How many there were.
    pub fn sweep(&self, before: i64) -> io::Result<usize> {
        let readable = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut directory = Dir::openat(&self.directory, ".", readable, Mode::empty())?;
        let left: Vec<CString> = directory
            .iter()
            .flatten()
            .filter(|entry| self.is_temporary(entry.file_name().to_bytes()))
            .map(|entry| entry.file_name().to_owned())
            .collect();
        let own = nix::unistd::geteuid().as_raw();
        let is_left = |name: &CString| {
            fstatat(
                &self.directory,
                name.as_c_str(),
                AtFlags::AT_SYMLINK_NOFOLLOW,
            )
            .is_ok_and(|facts| {
                kind(&facts) == SFlag::S_IFREG && facts.st_uid == own && facts.st_mtime < before
            })
        };
        let swept = left.iter().filter(|name| is_left(name)).filter(|name| {
            let flags = UnlinkatFlags::NoRemoveDir;
            unlinkat(&self.directory, name.as_c_str(), flags).is_ok()
        });
        Ok(swept.count())
    }

    /// Is it the name, a dot and sixteen digits of a random number.
    fn is_temporary(&self, other: &[u8]) -> bool {
        let random = other
            .strip_prefix(self.name.as_encoded_bytes())
            .and_then(|rest| rest.strip_prefix(b"."));
        let is_digit = |octet: &u8| matches!(octet, b'0'..=b'9' | b'a'..=b'f');
        random.is_some_and(|random| random.len() == 16 && random.iter().all(is_digit))
    }

    /// Forces the directory to disk, and with it what stands at this name.
    fn force_name(&self) -> io::Result<()> {
        let readable = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        File::from(openat(&self.directory, ".", readable, Mode::empty())?).sync_all()
    }

    fn open(&self, flags: OFlag, mode: u32) -> io::Result<File> {
        let safe = OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let mode = Mode::from_bits_truncate(mode);
        let name = self.name.as_os_str();
        let file = match openat(&self.directory, name, flags | safe, mode) {
            Ok(file) => File::from(file),
            Err(Errno::ELOOP) => return Err(self.is("a symbolic link")),
            Err(error) => return Err(error.into()),
        };
        let facts = fstat(&file)?;
        match kind(&facts) {
            // What is only read is judged by who reads it.
            SFlag::S_IFREG
                if flags.intersects(OFlag::O_WRONLY | OFlag::O_RDWR) && facts.st_nlink > 1 =>
            {
                Err(self.is("a file with a second name"))
            }
            // A device is nothing that could be given away, and writing to it is what its owner wants.
            SFlag::S_IFREG | SFlag::S_IFCHR => Ok(file),
            _ => Err(self.is("no file")),
        }
    }

    fn is(&self, what: &str) -> io::Error {
        io::Error::other(format!("{} is {what}", self.path.display()))
    }

    pub fn remove(&self) -> io::Result<()> {
        let name = self.name.as_os_str();
        Ok(unlinkat(&self.directory, name, UnlinkatFlags::NoRemoveDir)?)
    }

    /// Makes the directory with exactly this mode, for this user; one that is there already stays as it is. Its name is on disk
    /// then, whoever made it, so that what is forced to disk in it is not lost with it; in a directory that this user may not read,
    /// that is left to the file system.
    pub fn make_directory(&self, mode: u32, owner: Option<(Uid, Gid)>) -> io::Result<()> {
        self.make(mode, owner)?;
        match self.force_name() {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            forced => forced,
        }
    }

    fn make(&self, mode: u32, owner: Option<(Uid, Gid)>) -> io::Result<()> {
        let name = self.name.as_os_str();
        match mkdirat(&self.directory, name, Mode::from_bits_truncate(0o700)) {
            Ok(()) => {}
            Err(Errno::EEXIST) => {
                return match kind(&self.facts()?) {
                    SFlag::S_IFDIR => Ok(()),
                    // On the way to a directory it may be followed.
                    SFlag::S_IFLNK => Entry::of(&self.path.join(".x")).map(|_| ()),
                    _ => Err(Errno::ENOTDIR.into()),
                };
            }
            Err(error) => return Err(error.into()),
        }
        let readable = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let made = openat(&self.directory, name, readable, Mode::empty())?;
        // Whoever may write above it may have put another one there.
        let facts = fstat(&made)?;
        if facts.st_uid != nix::unistd::geteuid().as_raw() {
            return Err(self.is("another one's directory"));
        }
        fchmod(&made, Mode::from_bits_truncate(mode))?;
        let Some((user, group)) = owner.filter(|(user, _)| user.as_raw() != facts.st_uid) else {
            return Ok(());
        };
        fchown(&made, Some(user), Some(group)).map_err(|error| {
            // Of no use to them, and in the way of one that is.
            let _ = unlinkat(&self.directory, name, UnlinkatFlags::RemoveDir);
            error.into()
        })
    }

    /// Gives the socket there to a user, if it is one that this process has just made. A root that may not give anything away leaves
    /// it with the group, if the socket has that already.
    pub fn give_socket(&self, user: Uid, group: Gid) -> io::Result<Id> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let socket = openat(&self.directory, self.name.as_os_str(), flags, Mode::empty())?;
        let facts = fstat(&socket)?;
        let ours = facts.st_uid == nix::unistd::geteuid().as_raw() && facts.st_nlink == 1;
        if kind(&facts) != SFlag::S_IFSOCK || !ours {
            return Err(self.is("not the socket that was made there"));
        }
        let is_theirs = facts.st_uid == user.as_raw() || facts.st_gid == group.as_raw();
        match fchownat(&socket, "", Some(user), Some(group), AtFlags::AT_EMPTY_PATH) {
            Ok(()) => {}
            Err(Errno::EPERM) if is_theirs => {}
            Err(error) => return Err(error.into()),
        }
        Ok((facts.st_dev, facts.st_ino))
    }

    /// The path by which connect(2) and bind(2), which take no descriptor of a directory, come to this very directory.
    pub fn address(&self) -> PathBuf {
        if self.is_private {
            return self.path.clone();
        }
        let held = format!("/proc/self/fd/{}", self.directory.as_raw_fd());
        Path::new(&held).join(&self.name)
    }

    /// Who else can put another file in the place of one here, or another directory in the place of one above, if anybody.
    pub fn exposed(&self) -> Option<String> {
        let exposed = self.exposed.as_ref()?;
        Some(format!(
            "{} stands in {}",
            self.path.display(),
            exposed.what
        ))
    }
}

/// Gives an open file to a user, if it is a regular file: a device belongs to the system.
pub fn give(file: &File, user: Uid, group: Gid) -> io::Result<()> {
    if file.metadata()?.is_file() {
        fchown(file, Some(user), Some(group))?;
    }
    Ok(())
}

/// A link on the way leads where whoever made it wants, so nobody else may have made it.
fn safe_to_follow(step: &Step<'_>, path: &Path) -> io::Result<()> {
    let link = step.entry.filter(|entry| kind(entry) == SFlag::S_IFLNK);
    let Some(link) = link.filter(|_| !step.is_last) else {
        return Ok(());
    };
    if way::keeps(step.directory) && guard::is_trusted(link.st_uid) {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "on the way to {} stands the link {}, which another user may have made",
        path.display(),
        step.name.display()
    )))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    // T145
    #[test]
    fn what_a_crash_left_is_swept_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        let (new, old) = (2_000_000_000, 1_000_000_000);
        let entry = Entry::of(&path("poison")).unwrap();
        for (name, at, stays) in [
            ("poison.0123456789abcdef", old, false),
            ("poison.fedcba9876543210", new, true),
            ("poison", old, true),
            ("poison.0123456789abcde", old, true),
            ("poison.0123456789ABCDEF", old, true),
            ("poison.0123456789abcdef0", old, true),
            ("other.0123456789abcdef", old, true),
        ] {
            let file = File::create(path(name)).unwrap();
            let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(at);
            file.set_modified(at).unwrap();
            assert_eq!(
                entry.sweep(1_500_000_000).unwrap(),
                usize::from(!stays),
                "{name}"
            );
            assert_eq!(path(name).exists(), stays, "{name}");
        }
        let link = path("poison.00000000000000aa");
        std::os::unix::fs::symlink(path("poison"), &link).unwrap();
        fs::create_dir(path("poison.00000000000000bb")).unwrap();
        assert_eq!(entry.sweep(i64::MAX).unwrap(), 1, "the one that was new");
        assert!(link.is_symlink() && path("poison").exists());
        assert!(path("poison.00000000000000bb").is_dir());
    }

    const APPEND: OFlag = OFlag::O_WRONLY.union(OFlag::O_APPEND);

    /// A directory, and a file outside of it.
    fn stage() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let place = tempfile::tempdir().unwrap();
        let (inside, outside) = (place.path().join("inside"), place.path().join("outside"));
        fs::create_dir(&inside).unwrap();
        fs::write(&outside, "precious").unwrap();
        (place, inside, outside)
    }

    fn said(result: io::Result<File>) -> String {
        result
            .err()
            .map_or("opened".into(), |error| error.to_string())
    }

    // T188
    #[test]
    fn only_a_file_of_one_name_is_opened() {
        let (_place, inside, outside) = stage();
        let path = inside.join("log");
        let place = || Entry::of(&path).unwrap();
        let open = || said(place().open_or_make(APPEND, 0o640));
        let named = |what: &str| format!("{} is {what}", path.display());
        assert_eq!(open(), "opened");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(open(), "opened");
        fs::remove_file(&path).unwrap();
        symlink(&outside, &path).unwrap();
        assert_eq!(open(), named("a symbolic link"));
        fs::remove_file(&path).unwrap();
        symlink(inside.join("nothing"), &path).unwrap();
        assert_eq!(open(), named("a symbolic link"));
        assert!(!inside.join("nothing").exists());
        fs::remove_file(&path).unwrap();
        fs::hard_link(&outside, &path).unwrap();
        assert_eq!(open(), named("a file with a second name"));
        fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        // A FIFO without a reader: it does not block.
        assert!(open().contains("No such device"), "{}", open());
        place().remove().unwrap();
        fs::create_dir(&path).unwrap();
        assert!(place().open_or_make(APPEND, 0o640).is_err());
        assert_eq!(fs::read(&outside).unwrap(), b"precious");
    }

    // T188
    #[test]
    fn a_link_on_the_way_is_followed_where_nobody_else_can_have_made_it() {
        let (place, inside, _outside) = stage();
        let way = inside.join("way");
        symlink("../inside", &way).unwrap();
        symlink(&inside, place.path().join("there")).unwrap();
        for (mode, follows) in [(0o755, true), (0o700, true), (0o1777, true), (0o777, false)] {
            fs::set_permissions(&inside, Permissions::from_mode(mode)).unwrap();
            assert_eq!(Entry::of(&way.join("log")).is_ok(), follows, "{mode:o}");
            let other = place.path().join("there/log");
            assert!(Entry::of(&other).is_ok());
            let address = Entry::of(&other).unwrap().address();
            assert_eq!(address == other, mode & 0o022 == 0, "{mode:o}");
        }
        let error = Entry::of(&way.join("log")).unwrap_err().to_string();
        assert!(error.contains("stands the link way"), "{error}");
        symlink("b", place.path().join("a")).unwrap();
        symlink("a", place.path().join("b")).unwrap();
        assert!(Entry::of(&place.path().join("a/log")).is_err());
        assert!(Entry::of(&place.path().join("outside/log")).is_err());
        assert!(Entry::of(&place.path().join("nowhere/log")).is_err());
        assert!(Entry::of(Path::new("/")).is_err());
    }

    // T188
    #[test]
    fn a_directory_is_made_as_it_shall_be_or_left_as_it_is() {
        let (_place, inside, outside) = stage();
        let path = inside.join("spool");
        let make = |path: &Path| Entry::of(path).unwrap().make_directory(0o755, None);
        make(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o755);
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        make(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o700);
        assert!(make(&outside).is_err());
    }
}
