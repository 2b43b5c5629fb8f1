//! Files that are read when a configuration is loaded: only files that nobody else can have written, and secrets only
//! if nobody else may have read them.
//!
//! Whoever can change the configuration, a text or a table that it names, or the directory that one of them stands in,
//! decides what happens to mail. So each of them belongs to root or to the user of this process, and nobody else may
//! write to it. That a file system is mounted read-only says nothing: it may be so for this process alone.
//!
//! Must never: show what is in a secret, wait (for the other end of a FIFO, for a device), or read without end.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use mimicry_core::config::files::{Files, Unreadable, Use};
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, SFlag};

use crate::sys::accounts::{group_name, user_name};
use crate::sys::entry::Entry;
use crate::sys::guard::{self, Facts, Writers};
use crate::sys::way::{self, Found, Last};

/// Octets of one file at most.
pub const LARGEST: u64 = 16 * 1024 * 1024;

/// Who may have access to a file beside root.
#[derive(Clone, Copy, Debug)]
pub enum Access {
    Owner,
    /// Its group may read it, as Debian's ssl-cert does.
    Group,
    /// Everybody may read it.
    Everybody,
}

/// Whose a file is, and who may read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    pub mode: u32,
    pub user: u32,
    pub group: u32,
}

impl Owner {
    /// Of what stands there, or where a link there leads; `None` = nothing.
    pub fn of(path: &Path) -> Option<Owner> {
        let facts = fs::metadata(path).ok()?;
        Some(Owner {
            mode: facts.mode() & 0o7777,
            user: facts.uid(),
            group: facts.gid(),
        })
    }
}

/// What is wrong with a file, and what mends it, without its name.
#[derive(Debug)]
pub struct Wrong {
    pub what: String,
    pub remedy: String,
    /// The system says so.
    cause: Option<io::Error>,
}

impl Wrong {
    fn unreadable(self, path: &Path) -> Unreadable {
        match self.cause {
            Some(error) => Unreadable::system(path, &error),
            None => Unreadable::new(format!("{} {}", path.display(), self.what), self.remedy),
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

/// What is said of a FIFO, a device or a directory.
const NO_FILE: &str = "it is not a regular file";

/// Waits for nobody.
const READ: OFlag = OFlag::O_NONBLOCK
    .union(OFlag::O_NOCTTY)
    .union(OFlag::O_CLOEXEC);

/// The files of the disk.
#[derive(Clone, Copy, Debug)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path, what: Use) -> Result<Vec<u8>, Unreadable> {
        let access = match what {
            Use::Configuration => Access::Everybody,
            Use::Secret => Access::Owner,
            Use::Key => Access::Group,
        };
        read(path, LARGEST, access).map_err(|wrong| wrong.unreadable(path))
    }

    fn list(&self, directory: &Path) -> Result<Vec<String>, Unreadable> {
        list(directory).map_err(|error| Unreadable::system(directory, &error))
    }

    fn is_directory(&self, path: &Path) -> bool {
        path.is_dir()
    }
}

/// Entries of a directory at most.
const ENTRIES: usize = 100_000;

fn list(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        // A link is what it leads to.
        let is_directory = |path: &Path| std::fs::metadata(path).is_ok_and(|found| found.is_dir());
        let entry = entry?;
        let Ok(mut name) = entry.file_name().into_string() else {
            continue;
        };
        // What editors and programs leave there.
        if name.starts_with('.') {
            continue;
        }
        if names.len() >= ENTRIES {
            return Err(io::Error::other("it has too many entries"));
        }
        if is_directory(&entry.path()) {
            name.push('/');
        }
        names.push(name);
    }
    names.sort_unstable();
    Ok(names)
}

/// A file that only the daemon reads: at most so many octets of it. An error is what is wrong, without the name of the file.
pub fn read(path: &Path, octets: u64, access: Access) -> Result<Vec<u8>, Wrong> {
    let file = open_by_way(path)?;
    guarded(&Facts::of(&file)?, access)?;
    bounded(file, octets)
}

/// A file in a directory that may belong to the workers: the file itself is judged, and no link is followed.
pub fn read_held(place: &Entry, octets: u64, access: Access) -> io::Result<Vec<u8>> {
    let file = place.open_to_read()?;
    let facts = Facts::of(&file)?;
    if way::kind(&facts.stat) != SFlag::S_IFREG {
        return Err(io::Error::other(NO_FILE));
    }
    guarded(&facts, access)?;
    Ok(bounded(file, octets)?)
}

/// What [`read`] would say of a file before it reads it, for one who need not be allowed to read it. Nothing is said of what
/// lies out of reach.
pub fn judge(path: &Path, access: Access) -> Result<(), Wrong> {
    let found = match way(path) {
        Err(Refused::Wrong(wrong)) => return Err(wrong),
        Err(Refused::Io(error)) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
        Err(Refused::Io(error)) => return Err(error.into()),
        Ok(found) => found,
    };
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let name = found.name.as_os_str();
    let held = openat(&found.directory, name, flags, Mode::empty()).map_err(io::Error::from)?;
    let facts = Facts::of(&held)?;
    if way::kind(&facts.stat) != SFlag::S_IFREG {
        return Err(io::Error::other(NO_FILE).into());
    }
    guarded(&facts, access)
}

/// The configuration, whoever can write to it, for one who only wants to know where the daemon is.
pub fn glance(path: &Path) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    Ok(bounded(file, LARGEST)?)
}

/// Is it the name of a descriptor that this process was born with.
pub fn is_open(path: &Path) -> bool {
    let below = |directory: &str| {
        let number = path.strip_prefix(directory).ok();
        let number = number.and_then(Path::to_str).unwrap_or_default();
        !number.is_empty() && number.bytes().all(|octet| octet.is_ascii_digit())
    };
    path == Path::new("/dev/stdin") || below("/dev/fd") || below("/proc/self/fd")
}

/// What such a descriptor gives: a file, or a pipe up to its end, for which only a child with a deadline may wait.
pub fn read_open(path: &Path, file: io::Result<File>) -> Result<Vec<u8>, Unreadable> {
    let system = |error: io::Error| Unreadable::system(path, &error);
    let file = file.map_err(system)?;
    let kind = file.metadata().map_err(system)?.file_type();
    if !kind.is_file() && !kind.is_fifo() {
        return Err(system(io::Error::other("it is neither a file nor a pipe")));
    }
    bounded(file, LARGEST).map_err(|wrong| wrong.unreadable(path))
}

/// Opens a regular file, whoever can write to it.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(READ.bits())
        .open(path)?;
    regular(file)
}

/// The same by a way on which nobody else can replace anything.
fn open_by_way(path: &Path) -> Result<File, Wrong> {
    let found = way(path).map_err(|refused| match refused {
        Refused::Wrong(wrong) => wrong,
        Refused::Io(error) => error.into(),
    })?;
    let flags = READ | OFlag::O_NOFOLLOW;
    let file = openat(
        &found.directory,
        found.name.as_os_str(),
        flags,
        Mode::empty(),
    );
    Ok(regular(file.map_err(io::Error::from)?.into())?)
}

/// What is none could block, or never end.
fn regular(file: File) -> io::Result<File> {
    if !file.metadata()?.is_file() {
        return Err(io::Error::other(NO_FILE));
    }
    Ok(file)
}

/// Why the way to a file is not gone to its end.
enum Refused {
    Wrong(Wrong),
    Io(io::Error),
}

fn way(path: &Path) -> Result<Found, Refused> {
    let mut wrong = None;
    // Also what stands above the working directory.
    let path = std::path::absolute(path).map_err(Refused::Io)?;
    let found = way::walk(&path, Last::Followed, &mut |step| match step.exposed() {
        None => Ok(()),
        Some(exposed) => {
            wrong = Some(Wrong {
                what: format!("stands in {}", exposed.what),
                remedy: exposed.remedy,
                cause: None,
            });
            Err(io::ErrorKind::Other.into())
        }
    });
    found.map_err(|error| match wrong {
        Some(wrong) => Refused::Wrong(wrong),
        None => Refused::Io(error),
    })
}

fn bounded(file: File, octets: u64) -> Result<Vec<u8>, Wrong> {
    let mut content = Vec::new();
    file.take(octets.saturating_add(1))
        .read_to_end(&mut content)?;
    if content.len() as u64 > octets {
        let most = mimicry_core::units::show_size(octets);
        return Err(Wrong {
            what: format!("is larger than {most}"),
            remedy: String::new(),
            cause: None,
        });
    }
    Ok(content)
}

impl From<io::Error> for Wrong {
    fn from(error: io::Error) -> Wrong {
        Wrong {
            what: error.to_string(),
            remedy: String::new(),
            cause: Some(error),
        }
    }
}

impl From<Wrong> for io::Error {
    fn from(wrong: Wrong) -> io::Error {
        let text = wrong.to_string();
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, text);
        wrong.cause.unwrap_or_else(invalid)
    }
}

/// Can nobody else have written it, and, of a secret, nobody else read it.
fn guarded(facts: &Facts, access: Access) -> Result<(), Wrong> {
    let mode = facts.stat.st_mode & 0o7777;
    let wrong = |what: &str, remedy: &str| {
        Err(Wrong {
            what: format!("{what} (mode {mode:04o})"),
            remedy: remedy.into(),
            cause: None,
        })
    };
    match access {
        Access::Owner if mode & 0o077 != 0 => {
            return wrong(
                "can be read or changed by others than its owner",
                "chmod 600",
            );
        }
        Access::Group if mode & 0o027 != 0 => {
            return wrong("can be read by others or changed by its group", "chmod 640");
        }
        Access::Owner | Access::Group | Access::Everybody => {}
    }
    if !guard::is_trusted(facts.stat.st_uid) {
        let owner = user_name(facts.stat.st_uid);
        return wrong(
            &format!("belongs to {owner}, who can change it"),
            "chown it to root, or to the user who starts mimicryd",
        );
    }
    match guard::writers(facts) {
        Writers::Everybody => wrong("can be changed by everybody", "chmod go-w"),
        Writers::Group => {
            let group = group_name(facts.stat.st_gid);
            wrong(
                &format!("can be changed by others of the group {group}"),
                "chmod g-w",
            )
        }
        Writers::Nobody => Ok(()),
    }
}

/// A file of certificates, which nobody keeps secret.
pub fn certificates(path: &Path) -> Result<Vec<u8>, Wrong> {
    read(path, LARGEST, Access::Everybody)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn read_with(path: &Path, what: Use) -> String {
        match Disk.read(path, what) {
            Ok(_) => "read".into(),
            Err(unreadable) => unreadable
                .message
                .replace(&path.display().to_string(), "IT"),
        }
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    // T189
    #[test]
    fn a_file_that_others_can_change_is_refused_and_a_secret_that_others_can_read() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("etc");
        fs::create_dir(&directory).unwrap();
        let path = directory.join("file");
        fs::write(&path, "a = 1\n").unwrap();
        let all = "can be changed by everybody";
        let mine = "can be read or changed by others than its owner";
        for (above, mode, what, expected) in [
            (0o755, 0o644, Use::Configuration, "read"),
            (0o755, 0o600, Use::Configuration, "read"),
            (0o755, 0o646, Use::Configuration, all),
            (0o755, 0o666, Use::Configuration, all),
            (
                0o777,
                0o644,
                Use::Configuration,
                "where everybody can replace it",
            ),
            (0o1777, 0o644, Use::Configuration, "read"),
            (0o755, 0o600, Use::Secret, "read"),
            (0o755, 0o400, Use::Secret, "read"),
            (0o755, 0o640, Use::Secret, mine),
            (0o755, 0o604, Use::Secret, mine),
            (0o755, 0o620, Use::Secret, mine),
            (0o777, 0o600, Use::Secret, "where everybody can replace it"),
        ] {
            chmod(&directory, above);
            chmod(&path, mode);
            let found = read_with(&path, what);
            assert!(found.contains(expected), "{above:o} {mode:o}: {found}");
        }
        // A link is judged by where it leads, and by where it stands.
        chmod(&directory, 0o777);
        chmod(&path, 0o644);
        let link = place.path().join("link");
        symlink(&path, &link).unwrap();
        let found = read_with(&link, Use::Configuration);
        assert!(found.contains("where everybody can replace it"), "{found}");
        chmod(&directory, 0o755);
        assert_eq!(read_with(&link, Use::Configuration), "read");
    }

    // T189: the layout of a ConfigMap of Kubernetes
    // man: mimicryd(8) "A volume of a ConfigMap is open to everybody (mode 0777), and its files are refused"
    #[test]
    fn a_volume_of_links_is_judged_by_all_its_directories() {
        let place = tempfile::tempdir().unwrap();
        let volume = place.path().join("volume");
        let data = volume.join("..2026_11_28_22_00_00.1");
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join("m.toml"), "a = 1\n").unwrap();
        symlink("..2026_11_28_22_00_00.1", volume.join("..data")).unwrap();
        symlink("..data/m.toml", volume.join("m.toml")).unwrap();
        let path = volume.join("m.toml");
        for (mode, expected) in [
            (0o755, "read"),
            (0o1777, "read"),
            (0o777, "where everybody can replace it"),
        ] {
            chmod(&volume, mode);
            let found = read_with(&path, Use::Configuration);
            assert!(found.contains(expected), "{mode:o}: {found}");
        }
    }

    // T189: what `check` asks without reading is what `run` asks
    #[test]
    fn a_file_is_judged_alike_with_and_without_reading_it() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        fs::write(&path, "secret\n").unwrap();
        for mode in [0o600, 0o400, 0o640, 0o644, 0o660, 0o604, 0o666] {
            chmod(&path, mode);
            for access in [Access::Owner, Access::Group, Access::Everybody] {
                let said = |result: Result<(), Wrong>| result.err().map(|wrong| wrong.to_string());
                let judged = said(judge(&path, access));
                assert_eq!(judged, said(read(&path, 99, access).map(drop)), "{mode:o}");
            }
        }
        assert!(judge(&place.path().join("nothing"), Access::Owner).is_err());
        assert!(judge(place.path(), Access::Owner).is_err());
    }

    // T183
    #[test]
    fn what_is_no_file_is_not_read_and_does_not_block() {
        let place = tempfile::tempdir().unwrap();
        let fifo = place.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let large = place.path().join("large");
        fs::File::create(&large)
            .unwrap()
            .set_len(LARGEST + 1)
            .unwrap();
        for (path, expected) in [
            (fifo.as_path(), "cannot read IT: it is not a regular file"),
            (
                Path::new("/dev/zero"),
                "cannot read IT: it is not a regular file",
            ),
            (place.path(), "cannot read IT: it is not a regular file"),
            (&large, "IT is larger than 16.0 MB"),
        ] {
            assert_eq!(read_with(path, Use::Configuration), expected);
        }
        fs::File::create(&large).unwrap().set_len(LARGEST).unwrap();
        assert_eq!(read_with(&large, Use::Configuration), "read");
        assert!(glance(&fifo).is_err());
    }
}
