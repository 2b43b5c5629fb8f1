//! Who is in a group, from all sources that the system has.
//!
//! Must never: be used by a worker; a directory service may be slow.

use std::io;
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;
use nix::libc;
use nix::unistd::{Gid, Group, User};

/// The list of users is read with a position that belongs to the process.
static LIST: Mutex<()> = Mutex::new(());

/// The users of a group: its members, and those who have it as their own group. `None` = a member of whom nothing is known.
/// An error is a group that nobody knows, or a list that cannot be read.
pub fn users_of(group: Gid) -> io::Result<Vec<Option<u32>>> {
    let Some(found) = Group::from_gid(group)? else {
        return Err(io::ErrorKind::NotFound.into());
    };
    let mut users = own_group_of(group)?;
    for member in found.mem {
        users.push(User::from_name(&member)?.map(|user| user.uid.as_raw()));
    }
    Ok(users)
}

/// The users who have it as their own group, whether or not it lists them.
fn own_group_of(group: Gid) -> io::Result<Vec<Option<u32>>> {
    let _turn = LIST.lock().unwrap_or_else(PoisonError::into_inner);
    let mut users = Vec::new();
    // SAFETY: it takes and returns nothing; nobody else in this process walks the list, as the lock is held.
    unsafe { libc::setpwent() };
    let result = loop {
        Errno::clear();
        // SAFETY: the entry is used before the next call, and the lock keeps others from making one.
        let entry = unsafe { libc::getpwent().as_ref() };
        match entry {
            None => {
                break match Errno::last_raw() {
                    // Some libraries say so at the end of the list.
                    0 | libc::ENOENT => Ok(users),
                    _ => Err(Errno::last().into()),
                };
            }
            Some(entry) if entry.pw_gid == group.as_raw() => users.push(Some(entry.pw_uid)),
            Some(_) => {}
        }
    };
    // SAFETY: as for setpwent.
    unsafe { libc::endpwent() };
    result
}

/// The name of a group, or its number if it has no name.
pub fn group_name(group: u32) -> String {
    let found = Group::from_gid(Gid::from_raw(group)).ok().flatten();
    found.map_or_else(|| group.to_string(), |group| group.name)
}

/// The name of a user, or its number if it has no name.
pub fn user_name(user: u32) -> String {
    let found = User::from_uid(nix::unistd::Uid::from_raw(user))
        .ok()
        .flatten();
    found.map_or_else(|| user.to_string(), |user| user.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    // T189: whoever has it as his own group is in it, though no group lists him
    #[test]
    fn a_group_has_those_whose_own_it_is() {
        for line in std::fs::read_to_string("/etc/passwd").unwrap().lines() {
            let fields: Vec<&str> = line.split(':').collect();
            let [_, _, user, group, ..] = fields[..] else {
                continue;
            };
            let (user, group) = (user.parse().unwrap(), Gid::from_raw(group.parse().unwrap()));
            if matches!(Group::from_gid(group), Ok(Some(_))) {
                assert!(users_of(group).unwrap().contains(&Some(user)), "{line}");
            }
        }
        assert!(users_of(Gid::from_raw(4_294_967_294)).is_err());
        assert_eq!(user_name(4_294_967_294), "4294967294");
        assert_eq!(group_name(4_294_967_294), "4294967294");
        assert_eq!(user_name(0), "root");
    }
}
