//! Files that are read when a configuration is loaded: only those that nobody else can have written, and secrets only if nobody
//! else may have read them.
//!
//! Whoever can change the configuration, a text or a table that it names, or the directory that one of them stands in, decides what
//! becomes of mail. So each of them belongs to root or to the user of this process, and nobody else may write to it. That a file system is
//! mounted read-only says nothing: it may be so for this process alone.
//!
//! Must never: show what is in a secret, wait (for the other end of a FIFO, for a device), or read without end.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use mimicry_core::config::files::{Files, Unreadable, Use};
use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, fstat, stat};

use crate::sys::guard::{self, Writers};

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

/// What is wrong with a file, and what mends it, without its name.
#[derive(Debug)]
struct Wrong {
    what: String,
    remedy: String,
}

/// The files of the disk.
#[derive(Clone, Copy, Debug)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path, what: Use) -> Result<Vec<u8>, Unreadable> {
        let access = match what {
            Use::Configuration => Access::Everybody,
            Use::Secret => Access::Owner,
        };
        let file = open(path).map_err(|error| Unreadable::system(path, &error))?;
        guarded(path, &file, access)
            .and_then(|()| bounded(file, LARGEST).map_err(Wrong::from))
            .map_err(|wrong| {
                Unreadable::new(format!("{} {}", path.display(), wrong.what), wrong.remedy)
            })
    }
}

/// A file that only the daemon reads: at most so many octets of it. An error is what is wrong, without the name of the file.
pub fn read(path: &Path, octets: u64, access: Access) -> Result<Vec<u8>, String> {
    let file = open(path).map_err(|error| error.to_string())?;
    guarded(path, &file, access)
        .and_then(|()| bounded(file, octets).map_err(Wrong::from))
        .map_err(|wrong| match wrong.remedy.as_str() {
            "" => wrong.what,
            remedy => format!("{}; {remedy}", wrong.what),
        })
}

/// The configuration, whoever can write to it, for one who only wants to know where the daemon is.
pub fn glance(path: &Path) -> io::Result<Vec<u8>> {
    open(path).and_then(|file| bounded(file, LARGEST))
}

/// Opens a regular file; what is none could block, or never end.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    Ok(file)
}

fn bounded(file: File, octets: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(octets.saturating_add(1))
        .read_to_end(&mut content)?;
    if content.len() as u64 > octets {
        let most = mimicry_core::units::show_size(octets);
        return Err(io::Error::other(format!("is larger than {most}")));
    }
    Ok(content)
}

impl From<io::Error> for Wrong {
    fn from(error: io::Error) -> Wrong {
        Wrong {
            what: error.to_string(),
            remedy: String::new(),
        }
    }
}

/// Can nobody else have written it, and, of a secret, nobody else read it.
fn guarded(path: &Path, file: &File, access: Access) -> Result<(), Wrong> {
    let facts = fstat(file).map_err(io::Error::from)?;
    let mode = facts.st_mode & 0o7777;
    let wrong = |what: &str, remedy: &str| {
        Err(Wrong {
            what: format!("{what} (mode {mode:04o})"),
            remedy: remedy.into(),
        })
    };
    match access {
        Access::Owner if mode & 0o077 != 0 => {
            return wrong("others than its owner may read or change it", "chmod 600");
        }
        Access::Group if mode & 0o027 != 0 => {
            return wrong(
                "others may read it, or its group may change it",
                "chmod 640",
            );
        }
        Access::Owner | Access::Group | Access::Everybody => {}
    }
    if !guard::is_trusted(facts.st_uid) {
        let owner = guard::user_name(facts.st_uid);
        return wrong(
            &format!("belongs to {owner}, who can change it"),
            "chown it to root, or to the user who starts mimicryd",
        );
    }
    match guard::writers(&facts) {
        Writers::Everybody => return wrong("can be changed by everybody", "chmod go-w"),
        Writers::Group => return wrong("can be changed by its group", "chmod g-w"),
        Writers::Nobody => {}
    }
    directories(path)
}

/// The directories of its name, and of where a link leads.
fn directories(path: &Path) -> Result<(), Wrong> {
    let path = std::path::absolute(path)?;
    let real = path.canonicalize()?;
    for path in [&path, &real] {
        for (index, above) in path.ancestors().skip(1).enumerate() {
            let facts = stat(above).map_err(io::Error::from)?;
            directory(above, &facts, index == 0)?;
        }
    }
    Ok(())
}

/// Whoever may write to a directory can put another file in the place of one in it. Of those above the nearest one only what is open to
/// everybody is looked at: who owns them is the system's business, and so is its staff.
fn directory(above: &Path, facts: &FileStat, is_nearest: bool) -> Result<(), Wrong> {
    let shown = above.display();
    let wrong = |what: String, remedy: String| {
        Err(Wrong {
            what: format!("stands in {shown}, {what}"),
            remedy,
        })
    };
    if is_nearest && !guard::is_trusted(facts.st_uid) {
        let owner = guard::user_name(facts.st_uid);
        return wrong(
            format!("which belongs to {owner}, who can replace it"),
            format!("chown {shown} to root, or to the user who starts mimicryd"),
        );
    }
    if guard::is_sticky(facts) {
        return Ok(());
    }
    match guard::writers(facts) {
        Writers::Everybody => wrong(
            "where everybody can replace it".into(),
            format!("chmod go-w {shown}"),
        ),
        Writers::Group if is_nearest => wrong(
            "where the directory's group can replace it".into(),
            format!("chmod g-w {shown}"),
        ),
        Writers::Group | Writers::Nobody => Ok(()),
    }
}

/// A file of certificates, which nobody keeps secret.
pub fn certificates(path: &Path) -> Result<Vec<u8>, String> {
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
        let mine = "others than its owner may read or change it";
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

    // T189
    #[test]
    fn an_owner_who_is_neither_root_nor_this_user_is_refused() {
        let mut facts = stat("/").unwrap();
        (facts.st_uid, facts.st_gid, facts.st_mode) = (4_294_967_294, 0, 0o755);
        let said = |nearest| directory(Path::new("/x"), &facts, nearest).err();
        let wrong = said(true).unwrap();
        assert_eq!(
            wrong.what,
            "stands in /x, which belongs to 4294967294, who can replace it"
        );
        assert!(said(false).is_none());
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
