//! Whose user workers run as: answered here, for the start, for `mimicryd check` and for what is made for workers.
//!
//! Must never: take another user for one that is named. `nobody` serves only where no user is named.

use mimicry_core::settings::Daemon;
use nix::unistd::{Gid, Group, Uid};

use crate::sys::privileges::{self, Identity};

/// Who serves where no user is named.
pub const USUAL: &str = "mimicry";

/// Who serves where there is not even that one.
const LAST: &str = "nobody";

/// Whom workers become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whose {
    pub identity: Identity,
    /// There is no user `mimicry`, and none was named.
    pub is_last_resort: bool,
}

/// Why there is no such user, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    pub message: String,
    pub help: String,
}

/// Whom workers become; `None` = they stay who starts them, because only root can become somebody else.
pub fn workers(daemon: &Daemon) -> Result<Option<Whose>, Missing> {
    if !privileges::is_root() {
        return Ok(None);
    }
    let (mut identity, is_last_resort) = match &daemon.user {
        Some(name) => (user(name)?, false),
        None => match user(USUAL) {
            Ok(identity) => (identity, false),
            Err(_) => (user(LAST)?, true),
        },
    };
    if let Some(name) = &daemon.group {
        identity.gid = group(name)?;
    }
    Ok(Some(Whose {
        identity,
        is_last_resort,
    }))
}

/// The owner of what workers need and root makes for them.
pub fn owner(daemon: &Daemon) -> Option<(Uid, Gid)> {
    let whose = workers(daemon).ok().flatten()?;
    Some((whose.identity.uid, whose.identity.gid))
}

/// Whom the processes of a daemon may be, whoever starts it: root, this user, and the workers' user.
pub fn all(daemon: &Daemon) -> Vec<Uid> {
    let workers = match &daemon.user {
        Some(name) => user(name),
        None => user(USUAL).or_else(|_| user(LAST)),
    };
    let mut all = vec![Uid::from_raw(0), privileges::current_user()];
    all.extend(workers.map(|identity| identity.uid));
    all.sort_unstable_by_key(|user| user.as_raw());
    all.dedup();
    all
}

/// The command that makes such a user.
pub fn make(name: &str) -> String {
    format!("useradd --system --user-group --no-create-home {name}")
}

/// A user whom workers may become, with its own group.
pub fn user(name: &str) -> Result<Identity, Missing> {
    let found = privileges::find_user(name).map_err(|error| Missing {
        message: format!("cannot look for user {name}: {error}"),
        help: "the directory of users must answer when the service starts".into(),
    })?;
    match found {
        None => Err(Missing {
            message: format!("there is no user {name}"),
            help: format!("make it: {}", make(name)),
        }),
        Some(identity) if identity.uid.is_root() => Err(Missing {
            message: format!("workers do not run as {name}, which is root"),
            help: format!("leave it out, or name a user without privileges, such as \"{USUAL}\""),
        }),
        Some(identity) => Ok(identity),
    }
}

/// A group of that name.
pub fn group(name: &str) -> Result<Gid, Missing> {
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid),
        Ok(None) => Err(Missing {
            message: format!("there is no group {name}"),
            help: format!("make it: groupadd --system {name}"),
        }),
        Err(error) => Err(Missing {
            message: format!("cannot look for group {name}: {error}"),
            help: "the directory of groups must answer when the service starts".into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_user_is_that_one_or_none() {
        assert!(user("root").unwrap_err().message.contains("which is root"));
        let missing = user("no-such-user-here").unwrap_err();
        assert_eq!(missing.message, "there is no user no-such-user-here");
        assert_eq!(user(LAST).unwrap().name, LAST);
        let missing = group("no-such-group-here").unwrap_err();
        assert_eq!(missing.message, "there is no group no-such-group-here");
    }
}
