//! The things on this machine that the configuration names: the users that workers run as, the directory of the log,
//! the directories that rules write to, and the files that only the daemon opens. They are looked at when the daemon
//! starts, when it loads its configuration again, and by `mimicryd check`.
//!
//! An administrator who names a user or a directory means exactly that one, so nothing is created, given away or opened
//! up here: if something is missing or wrong, that is a mistake in the configuration, shown with the command that
//! corrects it.
//!
//! Must never: change anything on disk.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use mimicry_core::config::typed::NamedFile;
use mimicry_core::config::{Config, Mistakes, Named, Wrong};
use mimicry_core::settings::endpoint::NextHop;
use mimicry_core::settings::words::Sandbox;
use nix::unistd::{AccessFlags, Gid, Uid, access};

use crate::files::{self, Access};
use crate::prefork::identity::{self, Missing};
use crate::relay::Route;
use crate::relay::route::Check;
use crate::spool;
use crate::sys::accounts::user_name;
use crate::sys::privileges;
use crate::sys::sandbox::Kernel;
use crate::unit;

/// Is all of it there, is each directory one that the workers, and nobody else, may write to, and each file guarded as it must be.
pub fn check(config: &Config) -> Result<(), Mistakes> {
    let whose = Whose::of(config);
    config.judge_named(&|named| match named {
        Named::User(name) => identity::user(name).map(drop).map_err(wrong_user),
        Named::Group(name) => identity::group(name).map(drop).map_err(wrong_user),
        Named::Sandbox(wanted) => sandbox(wanted, Kernel::probe()),
        Named::LogFile(path) => log_file(path),
        Named::Directory(path) => judge(path, &whose),
        Named::File(named) => file(config, named),
    })
}

/// Is it guarded as it must be.
fn file(config: &Config, named: &NamedFile) -> Result<(), Wrong> {
    let Some(access) = guard_of(config, named.setting) else {
        return Ok(());
    };
    files::judge(&named.path, access).map_err(|wrong| {
        let (setting, path) = (named.setting, named.path.display());
        (format!("{setting} {path}: {}", wrong.what), wrong.remedy)
    })
}

/// How the file of a setting must be guarded; `None` = the daemon will not read it.
fn guard_of(config: &Config, setting: &str) -> Option<Access> {
    let routes = || {
        let relays = config.relays().into_iter();
        relays.filter_map(|relay| Route::of(&relay, ""))
    };
    let is_valid = |route: Route| route.security().check() == Some(Check::Valid);
    match setting {
        "seal_key_file" => config.banks.needs_seal_keys().then_some(Access::Owner),
        "password_file" => routes().next().map(|_| Access::Owner),
        "ca_file" => routes().any(is_valid).then_some(Access::Everybody),
        "tls_key" => Some(Access::Group),
        _ => Some(Access::Everybody),
    }
}

fn wrong_user(missing: Missing) -> Wrong {
    (missing.message, missing.help)
}

/// What is required of the kernel it must be able to do.
fn sandbox(wanted: Sandbox, kernel: Kernel) -> Result<(), Wrong> {
    if wanted != Sandbox::Require || kernel.is_enough() {
        return Ok(());
    }
    Err((
        format!(
            "sandbox is \"require\", but this kernel does not guard {}",
            kernel.lacks().join(", ")
        ),
        "take a kernel that does, or write sandbox = \"try\"".into(),
    ))
}

/// The directory of a log file is not made: a misspelt one would swallow the log.
fn log_file(path: &Path) -> Result<(), Wrong> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let shown = directory.display();
    let make = || format!("make it: install -d -m 0755 {shown}");
    match std::fs::metadata(directory) {
        Ok(facts) if facts.is_dir() => {}
        Ok(_) => return Err((format!("{shown} is no directory"), make())),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err((format!("there is no directory {shown} for the log"), make()));
        }
        // Whoever checks may see less than the daemon.
        Err(_) => return Ok(()),
    }
    match std::fs::metadata(path) {
        Ok(facts) if facts.is_dir() => Err((
            format!("{} is a directory", path.display()),
            format!(
                "name a file in it, such as \"file:{}/mimicry.log\"",
                path.display()
            ),
        )),
        _ => Ok(()),
    }
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

/// What the configuration names of this machine, in words: what is not looked at where the machine is another one.
pub fn named(config: &Config) -> Vec<String> {
    let all = std::cell::RefCell::new(Vec::new());
    // Nothing is found wrong.
    let _ = config.judge_named(&|named| {
        let words = match named {
            Named::User(name) => format!("user {name}"),
            Named::Group(name) => format!("group {name}"),
            Named::Sandbox(_) => "what the kernel guards".into(),
            Named::LogFile(path) => format!("log {}", path.display()),
            Named::Directory(path) => format!("directory {}", path.display()),
            Named::File(named) => format!("{} {}", named.setting, named.path.display()),
        };
        all.borrow_mut().push(words);
        Ok(())
    });
    let mut all = all.into_inner();
    all.dedup();
    all
}

/// Everything that workers write to: directories of rules, Maildirs of next hops, the spool.
pub fn written(config: &Config) -> Vec<PathBuf> {
    let rules = config
        .directories_in_use()
        .map(|declared| declared.path.clone());
    let maildirs = config
        .banks
        .next_hops()
        .into_iter()
        .filter_map(|next_hop| match next_hop {
            NextHop::Maildir(path) => Some(path),
            _ => None,
        });
    let mut all: Vec<PathBuf> = rules
        .chain(maildirs)
        .chain([config.daemon.spool.clone()])
        .collect();
    all.sort();
    all.dedup();
    all
}

/// Whom directories must belong to.
#[derive(Debug)]
struct Whose {
    user: Uid,
    /// `None` = who looks is that user.
    owner: Option<(Uid, Gid)>,
    /// There is no user of our own yet, and none is named.
    is_nobody: bool,
}

impl Whose {
    fn of(config: &Config) -> Whose {
        match identity::workers(&config.daemon) {
            Ok(Some(whose)) => Whose {
                user: whose.identity.uid,
                owner: Some((whose.identity.uid, whose.identity.gid)),
                is_nobody: whose.is_last_resort,
            },
            _ => Whose {
                user: privileges::current_user(),
                owner: None,
                is_nobody: false,
            },
        }
    }

    fn name(&self) -> String {
        user_name(self.user.as_raw())
    }

    /// The way to a directory of theirs. Nothing is given to nobody, who is the user of others, too.
    fn mend(&self, command: &str) -> String {
        if !self.is_nobody {
            return command.replace("USER", &self.name());
        }
        let command = command.replace("USER", identity::USUAL);
        let make = identity::make(identity::USUAL);
        format!("make a user for mimicryd first: {make}; then {command}; and restart mimicryd")
    }
}

fn judge(path: &Path, whose: &Whose) -> Result<(), Wrong> {
    let (shown, user, name) = (path.display(), whose.user, whose.name());
    let make = || whose.mend(&format!("install -d -m 0700 -o USER {shown}"));
    let facts = match std::fs::metadata(path) {
        Ok(facts) => facts,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err((format!("there is no directory {shown}"), make()));
        }
        Err(error) => return Err((format!("cannot look at {shown}: {error}"), make())),
    };
    if !facts.is_dir() {
        return Err((format!("{shown} is no directory"), make()));
    }
    if let Some(closed) = closed_above(path, user) {
        let what = format!("{shown} cannot be reached by {name}, the user of the workers");
        return Err((what, format!("chmod a+x {}", closed.display())));
    }
    if let Some(wrong) = wrong(&facts, user, &name) {
        let give = format!("chown USER {shown} && chmod 0700 {shown}");
        return Err((format!("{shown} {wrong}"), whose.mend(&give)));
    }
    match spool::writable_by(path, whose.owner) {
        Ok(()) => Ok(()),
        Err(error) => {
            let what =
                format!("{shown} cannot be written to by {name}, the user of the workers: {error}");
            Err((what, refused(path, &error)))
        }
    }
}

/// What to do where the system refuses it although owner and mode are right.
fn refused(path: &Path, error: &std::io::Error) -> String {
    if error.kind() != ErrorKind::ReadOnlyFilesystem {
        return "see what else guards it: access lists, AppArmor, SELinux".into();
    }
    let drop_in = unit::drop_in(&[path.to_path_buf()]);
    let lines: Vec<&str> = drop_in.lines().collect();
    format!(
        "if the disk is not mounted read-only, it is the unit of systemd: {}, with the lines {}; then restart mimicryd",
        unit::EDIT,
        lines.join(" and ")
    )
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
            "cannot be written to by {name}, the user of the workers"
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
    fn the_directory_of_a_log_is_there() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        fs::write(path("file"), b"").unwrap();
        for (name, sound) in [
            ("log", true),
            ("file", true),
            ("no/log", false),
            ("file/log", false),
            ("", false),
        ] {
            assert_eq!(log_file(&path(name)).is_ok(), sound, "{name}");
        }
    }

    // T153
    #[test]
    fn a_kernel_that_cannot_do_it_is_a_mistake_only_where_it_must() {
        let (none, all) = ((0, false), (9, true));
        for (wanted, (landlock, seccomp), sound) in [
            (Sandbox::Require, none, false),
            (Sandbox::Require, (0, true), false),
            (Sandbox::Require, (9, false), false),
            (Sandbox::Require, all, true),
            (Sandbox::Try, none, true),
            (Sandbox::Off, none, true),
        ] {
            let said = sandbox(wanted, Kernel { landlock, seccomp });
            assert_eq!(
                said.is_ok(),
                sound,
                "{wanted:?} {landlock} {seccomp}: {said:?}"
            );
        }
    }

    #[test]
    fn a_directory_is_the_workers_and_nobody_elses() {
        let place = tempfile::tempdir().unwrap();
        let me = privileges::current_user();
        let path = place.path().join("archive");
        let as_user = |user| Whose {
            user,
            owner: None,
            is_nobody: false,
        };
        let said = |user| {
            judge(&path, &as_user(user))
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
            assert_eq!(judge(&path, &as_user(me)).is_ok(), sound, "{mode:o}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        let other = Uid::from_raw(me.as_raw().wrapping_add(1));
        assert!(
            said(other).unwrap().contains("cannot be written to by"),
            "{:?}",
            said(other)
        );
        let (_, help) = judge(&path, &as_user(other)).unwrap_err();
        assert!(help.starts_with("chown "), "{help}");
        // Nobody gets nothing.
        let nobody = Whose {
            is_nobody: true,
            ..as_user(other)
        };
        let (_, help) = judge(&path, &nobody).unwrap_err();
        let first = "make a user for mimicryd first: useradd --system --user-group --no-create-home mimicry; then chown mimicry ";
        assert!(help.starts_with(first), "{help}");
    }
}
