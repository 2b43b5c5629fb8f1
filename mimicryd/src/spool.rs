//! The spool: whose it is, and whether the ledger below it is in force.
//!
//! The spool belongs to the user of the workers. When the configuration names another user, the spool goes along at the next start;
//! until then the ledger is not in force, and that is said.
//!
//! Must never: follow a link, or give away what has a second name: the workers' user may have put it there.

use std::ffi::CString;
use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use mimicry_core::settings::Daemon;
use nix::NixPath;
use nix::dir::Dir;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::{AccessFlags, Gid, Uid, faccessat, fchownat};
use serde::{Deserialize, Serialize};

use crate::prefork::identity;
use crate::relay::Remembered;
use crate::sys::accounts::user_name;
use crate::sys::privileges;
use crate::sys::way::kind;
use crate::worker::ledger::Ledger;

/// Does the daemon remember who has a mail that its client will send again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LedgerState {
    pub path: PathBuf,
    /// Why it is not in force; `None` = it is, or will be made at the start.
    pub trouble: Option<String>,
}

impl LedgerState {
    /// For people.
    pub fn text(&self) -> String {
        let path = self.path.display();
        match &self.trouble {
            None => format!("ledger {path}"),
            Some(trouble) => format!("ledger not in force: {trouble}"),
        }
    }
}

/// Looks at it as the user of the workers would.
pub fn ledger(daemon: &Daemon) -> LedgerState {
    let path = Ledger::directory(&daemon.spool);
    let owner = identity::owner(daemon);
    let trouble = trouble(&daemon.spool, &path, owner);
    LedgerState { path, trouble }
}

fn trouble(spool: &Path, ledger: &Path, owner: Option<Owner>) -> Option<String> {
    let user = owner.map_or_else(privileges::current_user, |(user, _)| user);
    let look = std::fs::symlink_metadata;
    let (place, facts) = match (look(ledger), look(spool)) {
        (Ok(facts), _) => (ledger, facts),
        (_, Ok(facts)) => (spool, facts),
        // It is made at the start, by whoever may.
        (_, Err(error)) if error.kind() == ErrorKind::NotFound => return cannot_be_made(spool),
        (_, Err(error)) => return Some(format!("{}: {error}", spool.display())),
    };
    if !facts.is_dir() {
        return Some(format!("{} is no directory", place.display()));
    }
    if let Some(other) = others(&facts, user) {
        return Some(format!(
            "{} belongs to {other}, and workers run as {}; a restart takes it along",
            place.display(),
            user_name(user.as_raw())
        ));
    }
    let error = writable_by(place, owner).err()?;
    // Root makes it for them.
    let is_roots = place == spool && error.kind() == ErrorKind::PermissionDenied;
    if is_roots && privileges::is_root() {
        return writable_by(place, None)
            .err()
            .map(|error| said(place, &error));
    }
    Some(said(place, &error))
}

fn said(place: &Path, error: &io::Error) -> String {
    format!("{}: {error}", place.display())
}

/// Only the spool itself is made: a misspelt one would bring a whole tree.
fn cannot_be_made(spool: &Path) -> Option<String> {
    let above = spool.parent().unwrap_or(Path::new("/"));
    let error = writable_by(above, None).err()?;
    Some(format!("{} cannot be made: {error}", spool.display()))
}

/// Whose it is, if it is neither this user's nor root's.
fn others(facts: &Metadata, user: Uid) -> Option<String> {
    let is_ours = facts.uid() == user.as_raw() || facts.uid() == 0;
    (!is_ours).then(|| user_name(facts.uid()))
}

/// May this user (`None` = whoever this process is) read, write and enter the directory. A file system that is read-only here says so, too.
pub fn writable_by(directory: &Path, owner: Option<Owner>) -> io::Result<()> {
    let flags = AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK;
    let look = || Ok(faccessat(AT_FDCWD, directory, flags, AtFlags::AT_EACCESS)?);
    match owner.filter(|_| privileges::is_root()) {
        Some((user, group)) => privileges::in_the_name_of(Some(user), group, look),
        None => look(),
    }
}

/// Makes the spool, and the directories in it, for the user of the workers. A spool that another user has, who was the workers' user
/// before, goes along with all that is in it; the result says so. Root's own stays root's.
pub fn prepare(daemon: &Daemon) -> io::Result<Option<String>> {
    make(&daemon.spool, identity::owner(daemon))
}

fn make(spool: &Path, owner: Option<Owner>) -> io::Result<Option<String>> {
    let moved = match owner {
        Some(owner) => take_along(spool, owner)?,
        None => None,
    };
    Ledger::prepare(spool, owner)?;
    Remembered::prepare(spool, owner)?;
    if let Some(owner) = owner {
        // A master without the right to give them away has made them.
        for name in [Ledger::directory(spool), Remembered::directory(spool)] {
            give(AT_FDCWD, &name, Uid::from_raw(0), owner)?;
        }
    }
    Ok(moved)
}

const OPEN: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);

type Owner = (Uid, Gid);

fn take_along(spool: &Path, owner: Owner) -> io::Result<Option<String>> {
    // It is a spool only with a ledger of the same user: whatever else a misspelt setting names stays what it is.
    let facts = |path: &Path| {
        std::fs::symlink_metadata(path)
            .ok()
            .filter(Metadata::is_dir)
    };
    let (Some(here), Some(ledger)) = (facts(spool), facts(&Ledger::directory(spool))) else {
        return Ok(None);
    };
    let before = Uid::from_raw(here.uid());
    if before.is_root() || before == owner.0 || ledger.uid() != before.as_raw() {
        return Ok(None);
    }
    let mut given: usize = 0;
    let mut directories = vec![Dir::open(spool, OPEN, Mode::empty())?];
    while let Some(mut directory) = directories.pop() {
        let names = names(&mut directory);
        for name in &names {
            let here = directory.as_fd();
            let Some(kind) = give(here, name.as_c_str(), before, owner)? else {
                continue;
            };
            given = given.saturating_add(1);
            if kind == SFlag::S_IFDIR {
                directories.push(Dir::openat(here, name.as_c_str(), OPEN, Mode::empty())?);
            }
        }
    }
    // Last: until then another attempt finds all of it.
    give(AT_FDCWD, spool, before, owner)?;
    Ok(Some(format!(
        "{} and {given} files and directories in it belong to {} now, before to {}",
        spool.display(),
        user_name(owner.0.as_raw()),
        user_name(before.as_raw())
    )))
}

fn names(directory: &mut Dir) -> Vec<CString> {
    let entries = directory.iter().flatten();
    let names = entries.map(|entry| entry.file_name().to_owned());
    names
        .filter(|name| !matches!(name.to_bytes(), b"." | b".."))
        .collect()
}

/// Gives away a directory, or a file of one name, that belongs to `before`; what it was. Anything else stays as it is. It is held open from
/// the look at it on: whoever may write above it can put another thing in its place at any moment.
fn give<P: ?Sized + NixPath>(
    above: BorrowedFd<'_>,
    name: &P,
    before: Uid,
    owner: Owner,
) -> io::Result<Option<SFlag>> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let held = openat(above, name, flags, Mode::empty())?;
    let facts = fstat(&held)?;
    let kind = kind(&facts);
    let is_file = kind == SFlag::S_IFREG && facts.st_nlink == 1;
    if facts.st_uid != before.as_raw() || !(kind == SFlag::S_IFDIR || is_file) {
        return Ok(None);
    }
    let (user, group) = (Some(owner.0), Some(owner.1));
    fchownat(&held, "", user, group, AtFlags::AT_EMPTY_PATH)?;
    Ok(Some(kind))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_ledger_is_in_force_or_it_is_said_why_not() {
        let place = tempfile::tempdir().unwrap();
        let spool = place.path().join("spool");
        let path = Ledger::directory(&spool);
        let look = |owner| trouble(&spool, &path, owner);
        assert_eq!(look(None), None, "it is made at the start");
        let deep = place.path().join("no/spool");
        let said = trouble(&deep, &Ledger::directory(&deep), None).unwrap();
        assert!(said.contains("no/spool cannot be made: "), "{said}");
        assert!(make(&deep, None).is_err() && !place.path().join("no").exists());
        Ledger::prepare(&spool, None).unwrap();
        assert_eq!(look(None), None);
        let me = privileges::current_user().as_raw();
        if me != 0 {
            fs::set_permissions(&path, Permissions::from_mode(0o500)).unwrap();
            assert!(look(None).unwrap().contains("Permission denied"));
            return;
        }
        let (one, other) = (Uid::from_raw(12_345), Uid::from_raw(12_346));
        let group = Gid::from_raw(12_345);
        for directory in [&spool, &path] {
            std::os::unix::fs::chown(directory, Some(12_345), Some(12_345)).unwrap();
        }
        for above in [place.path(), spool.as_path()] {
            fs::set_permissions(above, Permissions::from_mode(0o755)).unwrap();
        }
        assert_eq!(look(Some((one, group))), None);
        let said = look(Some((other, group))).unwrap();
        assert!(
            said.ends_with(
                "ledger belongs to 12345, and workers run as 12346; a restart takes it along"
            ),
            "{said}"
        );
        // Root's, in which the workers' user can do nothing.
        std::os::unix::fs::chown(&path, Some(0), Some(0)).unwrap();
        assert!(
            look(Some((one, group)))
                .unwrap()
                .contains("Permission denied")
        );
    }

    #[test]
    fn a_changed_user_takes_the_spool_along_and_nothing_else() {
        if !privileges::is_root() {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let spool = place.path().join("spool");
        let theirs = place.path().join("theirs");
        fs::write(&theirs, b"").unwrap();
        let before = Some((Uid::from_raw(12_345), Gid::from_raw(12_345)));
        Ledger::prepare(&spool, before).unwrap();
        Remembered::prepare(&spool, before).unwrap();
        for name in ["seal.keys", "ledger/entry", "second"] {
            fs::write(spool.join(name), b"").unwrap();
            std::os::unix::fs::chown(spool.join(name), Some(12_345), None).unwrap();
        }
        fs::write(spool.join("roots"), b"").unwrap();
        fs::hard_link(spool.join("second"), place.path().join("second")).unwrap();
        symlink(&theirs, spool.join("link")).unwrap();
        let nobody = identity::user("nobody").unwrap();
        let owner_now = Some((nobody.uid, nobody.gid));
        let said = make(&spool, owner_now).unwrap().unwrap();
        assert!(
            said.ends_with("4 files and directories in it belong to nobody now, before to 12345"),
            "{said}"
        );
        let owner = |path: &Path| fs::symlink_metadata(path).unwrap().uid();
        for name in ["", "ledger", "ledger/entry", "next-hops", "seal.keys"] {
            assert_eq!(owner(&spool.join(name)), nobody.uid.as_raw(), "{name}");
        }
        for name in ["roots", "link"] {
            assert_eq!(owner(&spool.join(name)), 0, "{name}");
        }
        assert_eq!(owner(&spool.join("second")), 12_345);
        assert_eq!(owner(&theirs), 0);
        assert_eq!(make(&spool, owner_now).unwrap(), None);
        // What is no spool stays what it is.
        let home = place.path().join("home");
        fs::create_dir(&home).unwrap();
        std::os::unix::fs::chown(&home, Some(12_345), None).unwrap();
        assert_eq!(make(&home, owner_now).unwrap(), None);
        assert_eq!(owner(&home), 12_345);
    }

    // T188
    #[test]
    fn what_takes_a_name_after_it_was_looked_at_is_not_given_away() {
        if !privileges::is_root() {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let (spool, roots) = (place.path().join("spool"), place.path().join("roots"));
        fs::write(&roots, b"").unwrap();
        let users = [12_345, 12_346].map(|user| (Uid::from_raw(user), Gid::from_raw(user)));
        Ledger::prepare(&spool, Some(users[0])).unwrap();
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            // Who may write there puts a file of his own and another's in the same place, in turns.
            scope.spawn(|| {
                let new = spool.join("new");
                let take_place = || fs::rename(&new, spool.join("entry")).unwrap();
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    for (user, group) in users {
                        fs::write(&new, b"").unwrap();
                        nix::unistd::chown(&new, Some(user), Some(group)).unwrap();
                        take_place();
                        fs::hard_link(&roots, &new).unwrap();
                        take_place();
                    }
                }
            });
            for at in 0..2000 {
                // What is gone again is an error.
                let _ = take_along(&spool, users[at % 2]);
            }
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        assert_eq!(fs::metadata(&roots).unwrap().uid(), 0);
    }
}
