//! Who but its owner may change a file.
//!
//! Must never: look at a path; what is judged is what a descriptor holds, or what stands in a directory that is held.

#![forbid(unsafe_code)]

use nix::sys::stat::FileStat;
use nix::unistd::{Gid, Group, Uid, User, geteuid};

/// Who may write to it beside its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writers {
    Nobody,
    Group,
    Everybody,
}

/// The files of root and of the user of this process are in good hands.
pub fn is_trusted(owner: u32) -> bool {
    owner == 0 || owner == geteuid().as_raw()
}

/// A group that is its owner's alone, as with a umask of 002, is nobody else.
pub fn writers(facts: &FileStat) -> Writers {
    if facts.st_mode & 0o002 != 0 {
        Writers::Everybody
    } else if facts.st_mode & 0o020 != 0 && !is_own_group(facts.st_uid, facts.st_gid) {
        Writers::Group
    } else {
        Writers::Nobody
    }
}

/// Can nobody but root and this user make, remove or rename anything in this directory.
pub fn is_private(directory: &FileStat) -> bool {
    is_trusted(directory.st_uid) && writers(directory) == Writers::Nobody
}

/// Are files in this directory safe from others who may make files there too.
pub fn is_sticky(directory: &FileStat) -> bool {
    directory.st_mode & 0o1000 != 0
}

/// The group of the user's own name, that no one else is in.
fn is_own_group(owner: u32, group: u32) -> bool {
    let user = User::from_uid(Uid::from_raw(owner)).ok().flatten();
    let group = Group::from_gid(Gid::from_raw(group)).ok().flatten();
    user.zip(group).is_some_and(|(user, group)| {
        user.gid == group.gid
            && user.name == group.name
            && group.mem.iter().all(|member| *member == user.name)
    })
}

/// The name of a user, or the number where there is none.
pub fn user_name(user: u32) -> String {
    let found = User::from_uid(Uid::from_raw(user)).ok().flatten();
    found.map_or_else(|| user.to_string(), |user| user.name)
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::lstat;

    use super::*;

    fn facts(owner: u32, group: u32, mode: u32) -> FileStat {
        let mut facts = lstat("/").unwrap();
        (facts.st_uid, facts.st_gid, facts.st_mode) = (owner, group, mode);
        facts
    }

    // T189
    #[test]
    fn who_may_write() {
        // Group 0 is root's own; 4294967294 is nobody's.
        for (group, mode, expected) in [
            (0, 0o755, Writers::Nobody),
            (0, 0o775, Writers::Nobody),
            (0, 0o777, Writers::Everybody),
            (0, 0o757, Writers::Everybody),
            (4_294_967_294, 0o755, Writers::Nobody),
            (4_294_967_294, 0o775, Writers::Group),
            (4_294_967_294, 0o1777, Writers::Everybody),
        ] {
            let facts = facts(0, group, mode);
            assert_eq!(writers(&facts), expected, "{group} {mode:o}");
            assert_eq!(is_private(&facts), expected == Writers::Nobody);
        }
        assert!(!is_private(&facts(4_294_967_294, 0, 0o700)));
        assert!(is_trusted(geteuid().as_raw()));
    }
}
