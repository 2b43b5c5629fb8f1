//! The directories that rules write to: looked at when the daemon starts, when it loads its configuration anew, and by
//! `mimicryd check`.
//!
//! An administrator who names a directory means that very one, so nothing is made, given away or opened up here: what is
//! missing or wrong is a mistake in the configuration, with the command that mends it.
//!
//! Must never: change anything on disk.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use mimicry_core::config::{Config, Mistakes};
use nix::unistd::{AccessFlags, Uid, User, access};

use crate::daemon;
use crate::sys::privileges;

/// Is each of them a directory that the workers, and nobody else, may write to.
pub fn check(config: &Config) -> Result<(), Mistakes> {
    let user = worker(config);
    config.judge_directories(&|path| judge(path, user))
}

/// Says so when the calling process, a worker, cannot write to one of them, whatever stands above it. It serves all the same: each rule
/// decides what becomes of a mail that cannot be kept, and other mail has nothing to do with it.
pub fn reach(config: &Config) {
    let flags = AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK;
    for declared in config.directories_in_use() {
        if let Err(error) = access(&declared.path, flags) {
            let (rule, path) = (&declared.rule, declared.path.display());
            log::warn!("{rule}: cannot write to {path}: {error}");
        }
    }
}

/// The user that the workers run as.
fn worker(config: &Config) -> Uid {
    match daemon::owner(config) {
        Some((user, _)) if privileges::is_root() => user,
        _ => privileges::current_user(),
    }
}

fn judge(path: &Path, user: Uid) -> Result<(), (String, String)> {
    let shown = path.display();
    let name = User::from_uid(user).ok().flatten();
    let name = name.map_or_else(|| user.to_string(), |user| user.name);
    let make = format!("make it: install -d -m 0700 -o {name} {shown}");
    let facts = match std::fs::metadata(path) {
        Ok(facts) => facts,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err((format!("there is no directory {shown}"), make));
        }
        Err(error) => return Err((format!("cannot look at {shown}: {error}"), make)),
    };
    if !facts.is_dir() {
        return Err((format!("{shown} is no directory"), make));
    }
    if let Some(closed) = closed_above(path, user) {
        let what = format!("{shown} is out of reach for {name}, whom the workers run as");
        return Err((what, format!("chmod a+x {}", closed.display())));
    }
    if let Some(wrong) = wrong(&facts, user, &name) {
        return Err((
            format!("{shown} {wrong}"),
            format!("chown {name} {shown} && chmod 0700 {shown}"),
        ));
    }
    Ok(())
}

/// A directory above it that this user may hardly enter. Groups are not looked up: where they matter, a worker says what it
/// cannot do.
fn closed_above(path: &Path, user: Uid) -> Option<PathBuf> {
    let path = path.canonicalize().ok()?;
    let is_closed = |above: &&Path| {
        std::fs::metadata(above).is_ok_and(|facts| {
            let enter = if facts.uid() == user.as_raw() {
                0o100
            } else {
                0o011
            };
            !user.is_root() && facts.mode() & enter == 0
        })
    };
    path.ancestors().skip(1).find(is_closed).map(PathBuf::from)
}

fn wrong(facts: &Metadata, user: Uid, name: &str) -> Option<String> {
    if facts.mode() & 0o022 != 0 {
        return Some("can be written to by others than its owner".into());
    }
    if facts.uid() != user.as_raw() || facts.mode() & 0o700 != 0o700 {
        return Some(format!(
            "cannot be written to by {name}, whom the workers run as"
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_directory_is_the_workers_and_nobody_elses() {
        let place = tempfile::tempdir().unwrap();
        let me = privileges::current_user();
        let path = place.path().join("archive");
        let said = |user| {
            judge(&path, user)
                .err()
                .map(|(what, _)| what.replace(&path.display().to_string(), "IT"))
        };
        assert_eq!(said(me).as_deref(), Some("there is no directory IT"));
        fs::write(&path, b"").unwrap();
        assert_eq!(said(me).as_deref(), Some("IT is no directory"));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        for (mode, sound) in [
            (0o700, true),
            (0o755, true),
            (0o770, false),
            (0o702, false),
            (0o1777, false),
            (0o500, false),
        ] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(judge(&path, me).is_ok(), sound, "{mode:o}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        let other = Uid::from_raw(me.as_raw().wrapping_add(1));
        assert!(
            said(other).unwrap().contains("cannot be written to by"),
            "{:?}",
            said(other)
        );
        let (_, help) = judge(&path, other).unwrap_err();
        assert!(help.starts_with("chown "), "{help}");
    }
}
