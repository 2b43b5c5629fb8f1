//! Becomes an unprivileged user, for good, and gives up everything else that a process must not have if it reads input
//! of strangers.
//!
//! Must never leave a process half privileged: a caller that gets an error from here must end.

use std::ffi::CString;
use std::io;

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{
    Gid, Uid, User, getegid, geteuid, getresgid, getresuid, initgroups, setresgid, setresuid,
};

use super::process::{self, exit_now};

/// A user to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub name: String,
    pub uid: Uid,
    pub gid: Gid,
}

/// Is this process privileged, so that it can become somebody else.
pub fn is_root() -> bool {
    geteuid().is_root()
}

/// Finds a user, with its own group; `Ok(None)` = there is no such user.
pub fn find_user(user: &str) -> io::Result<Option<Identity>> {
    let found = User::from_name(user)?;
    Ok(found.map(|user| Identity {
        name: user.name,
        uid: user.uid,
        gid: user.gid,
    }))
}

/// The user of this process.
pub fn current_user() -> Uid {
    geteuid()
}

/// Becomes that user with its groups, and makes sure that there is no way back.
pub fn become_user(identity: &Identity) -> io::Result<()> {
    let (uid, gid) = (identity.uid, identity.gid);
    let name = CString::new(identity.name.as_str())?;
    // In this order: without root the groups could no longer be changed.
    initgroups(&name, gid)?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    let (users, groups) = (getresuid()?, getresgid()?);
    let all_changed = [users.real, users.effective, users.saved] == [uid; 3]
        && [groups.real, groups.effective, groups.saved] == [gid; 3];
    let root = Uid::from_raw(0);
    if !all_changed || uid.is_root() || setresuid(root, root, root).is_ok() {
        return Err(io::Error::other("root could be regained"));
    }
    Ok(())
}

/// Gives up what a worker never needs: privileges gained by exec, files that others may read, and, unless dumps are allowed, core
/// files and being looked into.
pub fn harden(dumps: bool) -> io::Result<()> {
    umask(Mode::from_bits_truncate(0o077));
    prctl::set_no_new_privs()?;
    allow_dumps(dumps)?;
    if !dumps && let Err(error) = setrlimit(Resource::RLIMIT_CORE, 0, 0) {
        // As above.
        return match error {
            Errno::EPERM => Ok(()),
            error => Err(error.into()),
        };
    }
    Ok(())
}

/// Bounds what this process can take of the machine: memory beyond what it has already, descriptors, and no further process.
pub fn bound(memory: u64, descriptors: u64) -> io::Result<()> {
    process::bound_memory(memory)?;
    for (what, most) in [
        (Resource::RLIMIT_NOFILE, descriptors),
        (Resource::RLIMIT_NPROC, 0),
    ] {
        let (soft, hard) = getrlimit(what)?;
        process::limit(what, soft.min(most), hard.min(most))?;
    }
    Ok(())
}

/// What the master makes is nobody's business but its group's: files and directories have the mode that is asked for, less
/// writing for the group and everything for others.
pub fn restrict_umask() {
    umask(Mode::from_bits_truncate(0o027));
}

/// Does something with exactly the modes that are asked for. For a process of one thread.
pub fn with_exact_modes<T>(act: impl FnOnce() -> T) -> T {
    let before = umask(Mode::empty());
    let result = act();
    umask(before);
    result
}

/// Does it as root does it, and, where that is not permitted, once more in the name of this user: a root without CAP_CHOWN gives nothing
/// away, one without CAP_KILL signals nobody else, and one without CAP_DAC_OVERRIDE has no more to say in the directory of another user than anybody.
pub fn or_in_the_name_of<T>(
    owner: Option<(Uid, Gid)>,
    mut act: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    let refusal = match act() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => error,
        result => return result,
    };
    let Some((uid, gid)) = owner.filter(|_| is_root()) else {
        return Err(refusal);
    };
    match in_the_name_of(Some(uid), gid, act) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(refusal),
        result => result,
    }
}

/// Does something whose files belong to this group, and to this user if there is one. Other threads stay who they are.
pub fn in_the_name_of<T>(
    uid: Option<Uid>,
    gid: Gid,
    act: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    let (own_uid, own_gid) = (geteuid(), getegid());
    // A change of user or group forbids dumps.
    let dumps = prctl::get_dumpable()?;
    let set_user = |user: Uid| set_effective(SET_USER, user.as_raw());
    let set_group = |group: Gid| set_effective(SET_GROUP, group.as_raw());
    let result = set_group(gid)
        .and_then(|()| uid.map_or(Ok(()), set_user))
        .map_err(io::Error::from)
        .and_then(|()| act());
    if set_user(own_uid).and_then(|()| set_group(own_gid)).is_err() {
        // EX_OSERR.
        exit_now(71);
    }
    prctl::set_dumpable(dumps)?;
    result
}

// Of ids of 32 bits.
#[cfg(any(target_arch = "x86", target_arch = "arm"))]
const SET_USER: libc::c_long = libc::SYS_setresuid32;
#[cfg(any(target_arch = "x86", target_arch = "arm"))]
const SET_GROUP: libc::c_long = libc::SYS_setresgid32;
#[cfg(not(any(target_arch = "x86", target_arch = "arm")))]
const SET_USER: libc::c_long = libc::SYS_setresuid;
#[cfg(not(any(target_arch = "x86", target_arch = "arm")))]
const SET_GROUP: libc::c_long = libc::SYS_setresgid;

/// Sets the effective id, and no other. The kernel does that for a thread; the C library does it for all, and whatever another one opens
/// meanwhile is opened by somebody else.
fn set_effective(call: libc::c_long, id: u32) -> Result<(), Errno> {
    const KEEP: u32 = u32::MAX;
    // SAFETY: It takes three numbers and touches no memory.
    let done = unsafe { libc::syscall(call, KEEP, id, KEEP) };
    Errno::result(done).map(drop)
}

/// Whether this process may leave a core file and be looked into by other processes of its user: both show mail and secrets. To be
/// called after a change of user, which sets it again.
pub fn allow_dumps(allow: bool) -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_CORE)?;
    // The hard limit stays, so that a reload can allow it; there is no core of what is not dumpable in any case.
    let soft = if allow { hard } else { 0 };
    // A service manager may forbid the call and set the limit itself.
    match setrlimit(Resource::RLIMIT_CORE, soft, hard) {
        Ok(()) | Err(Errno::EPERM) => {}
        Err(error) => return Err(error.into()),
    }
    prctl::set_dumpable(allow)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_threads_stay_who_they_are() {
        if !is_root() {
            return;
        }
        let other = (Uid::from_raw(12_345), Gid::from_raw(12_346));
        let ids = || (geteuid(), getegid());
        let own = ids();
        let seen = in_the_name_of(Some(other.0), other.1, || {
            let beside = std::thread::scope(|scope| scope.spawn(ids).join());
            Ok((ids(), beside))
        });
        let (here, beside) = seen.unwrap();
        assert_eq!(here, other);
        // A new thread is who its parent is.
        assert_eq!(beside.unwrap(), other);
        assert_eq!(ids(), own);
    }
}
