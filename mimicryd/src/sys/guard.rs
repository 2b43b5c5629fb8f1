//! Who may change a file, apart from root and the user of this process.
//!
//! Must never: look at a path; only an open descriptor is judged, or a name in an open directory.

#![forbid(unsafe_code)]

use std::io;
use std::os::fd::AsFd;

use nix::sys::stat::{FileStat, fstat};
use nix::unistd::{Gid, geteuid};

use super::{accounts, descriptors};

/// What the system says of a file that is held open, be it for its name alone.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    pub stat: FileStat,
    /// Beside its owner and group others are named. Looked for only where the group's bits, which then bound what all of them may
    /// do, let somebody write.
    names_others: bool,
}

impl Facts {
    pub fn of(file: impl AsFd) -> io::Result<Facts> {
        let stat = fstat(&file)?;
        Ok(Facts {
            stat,
            names_others: stat.st_mode & 0o020 != 0 && descriptors::has_access_list(file.as_fd()),
        })
    }
}

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

/// A group with no stranger in it is nobody: that of a user alone, as with a umask of 002, or one that nobody is in, as Debian's
/// `staff`.
pub fn writers(facts: &Facts) -> Writers {
    let stat = &facts.stat;
    if stat.st_mode & 0o002 != 0 {
        Writers::Everybody
    } else if facts.names_others || stat.st_mode & 0o020 != 0 && has_strangers(stat.st_gid) {
        Writers::Group
    } else {
        Writers::Nobody
    }
}

/// Can nobody but root and this user make, remove or rename anything in this directory.
pub fn is_private(directory: &Facts) -> bool {
    is_trusted(directory.stat.st_uid) && writers(directory) == Writers::Nobody
}

/// Are files in this directory safe from others who may make files there too.
pub fn is_sticky(directory: &Facts) -> bool {
    directory.stat.st_mode & 0o1000 != 0
}

/// A group of which nothing is known may be anybody's.
fn has_strangers(group: u32) -> bool {
    let users = accounts::users_of(Gid::from_raw(group));
    users.map_or(true, |users| are_strangers(&users, is_trusted))
}

fn are_strangers(users: &[Option<u32>], is_trusted: impl Fn(u32) -> bool) -> bool {
    !users.iter().all(|user| user.is_some_and(&is_trusted))
}

#[cfg(test)]
pub mod tests {
    use nix::sys::stat::lstat;

    use super::*;

    pub fn facts(owner: u32, group: u32, mode: u32) -> Facts {
        let mut stat = lstat("/").unwrap();
        (stat.st_uid, stat.st_gid, stat.st_mode) = (owner, group, mode);
        Facts {
            stat,
            names_others: false,
        }
    }

    // T189
    #[test]
    fn who_may_write() {
        // 4294967294 is nobody's.
        for (group, mode, expected) in [
            (0, 0o755, Writers::Nobody),
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
        // A list of access whose entries the group's bits let write.
        let listed = Facts {
            names_others: true,
            ..facts(0, 0, 0o775)
        };
        assert_eq!(writers(&listed), Writers::Group);
    }

    // T189
    // man: mimicryd(8) "The group may write to it only if nobody else is in it, neither as a member nor because it is a user's
    // own group."
    #[test]
    fn a_group_with_a_stranger_in_it() {
        // Of a process of the user 1000.
        for (users, expected) in [
            (&[][..], false),
            (&[Some(0)], false),
            (&[Some(1000)], false),
            (&[Some(1000), Some(0), Some(1000)], false),
            // Another one's own group, root's group included.
            (&[Some(1001)], true),
            (&[Some(0), Some(1001)], true),
            (&[Some(1000), Some(1001)], true),
            // A member without an entry may get one.
            (&[None], true),
            (&[Some(1000), None], true),
        ] {
            let found = are_strangers(users, |user| user == 0 || user == 1000);
            assert_eq!(found, expected, "{users:?}");
        }
    }
}
