//! Descriptors: those that the service manager handed over (sd_listen_fds(3)), and what std and nix cannot do with one.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::libc;
use nix::sys::resource::{Resource, getrlimit};

/// Takes over the descriptors that LISTEN_FDS speaks of, with their names from LISTEN_FDNAMES ("unknown" without), and
/// removes these variables. A second call finds none.
///
/// To be called before anything opens a descriptor or forks: LISTEN_PID must be this process.
pub fn inherited() -> io::Result<Vec<(OwnedFd, String)>> {
    // SAFETY: the environment is changed by no other thread, for there is none: the daemon has no threads.
    let named = unsafe { sd_notify::listen_fds_with_names_and_unset_env() }?;
    let own = |(descriptor, name)| {
        // SAFETY: LISTEN_PID says that the service manager opened it for this process, sd_notify found it open, and the
        // variables are gone, so that nobody takes it a second time.
        (unsafe { OwnedFd::from_raw_fd(descriptor) }, name)
    };
    Ok(named.map(own).collect())
}

/// Did a call fail because this system, or this process, has no descriptor or no memory left? It goes by.
pub fn is_short(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(
        errno,
        Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM)
    )
}

/// The descriptor whose number stands in this variable of the environment, which is removed: whatever this process starts has
/// nothing to do with it. `None` = there is no such variable.
///
/// To be called by a process without threads, early.
pub fn named_by(variable: &str) -> Option<io::Result<OwnedFd>> {
    let number = std::env::var_os(variable)?;
    // SAFETY: the environment is changed and read by no other thread, for there is none: the daemon has no threads.
    unsafe { std::env::remove_var(variable) };
    let number = number.to_str().and_then(|number| number.parse().ok());
    Some(handed_over(number.unwrap_or(-1)))
}

/// A descriptor that the process before this one left open for it over exec. It can be taken once.
pub fn handed_over(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl takes any number and touches no memory.
    let flags = Errno::result(unsafe { libc::fcntl(number, libc::F_GETFD) })?;
    // What this program opened itself, or took already, closes on exec; what did not close then cannot have said so.
    if number <= libc::STDERR_FILENO || flags & libc::FD_CLOEXEC != 0 {
        return Err(Errno::EBADF.into());
    }
    // SAFETY: as above.
    Errno::result(unsafe { libc::fcntl(number, libc::F_SETFD, flags | libc::FD_CLOEXEC) })?;
    // SAFETY: it is open, and nobody in this process owns it: all that the program opens closes on exec, and so does from here on
    // what was taken.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Closes all descriptors but these and the first three.
///
/// For a child of a fork that uses no other descriptor any more, and ends without running destructors.
pub fn close_all_but(kept: &[BorrowedFd<'_>]) {
    let mut kept: Vec<RawFd> = kept.iter().map(AsRawFd::as_raw_fd).collect();
    kept.sort_unstable();
    let first = libc::STDERR_FILENO.saturating_add(1);
    let begins = kept.iter().map(|one| one.saturating_add(1).max(first));
    let ends = kept.iter().map(|one| one.saturating_sub(1));
    let ranges = std::iter::once(first).chain(begins);
    for (from, to) in ranges.zip(ends.chain([RawFd::MAX])) {
        if from > to {
            continue;
        }
        // SAFETY: the call takes numbers only, and nobody in this process uses what is closed: see above.
        let done = unsafe { libc::syscall(libc::SYS_close_range, from, to, 0) };
        if done == 0 {
            continue;
        }
        // A kernel before Linux 5.9.
        let most = getrlimit(Resource::RLIMIT_NOFILE).map_or(1 << 16, |(soft, _)| soft);
        let most = RawFd::try_from(most).unwrap_or(RawFd::MAX).min(to);
        for number in from..=most {
            // SAFETY: as above.
            unsafe { libc::close(number) };
        }
    }
}

/// The number of a descriptor, to be told to a program that gets it.
pub fn number(descriptor: BorrowedFd<'_>) -> RawFd {
    descriptor.as_raw_fd()
}

/// Leaves it open for the program that this process becomes.
pub fn keep_over_exec(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}

/// Makes a descriptor the one that a program started by exec finds with LISTEN_FDS=1, in the place of whatever had that number.
///
/// For a child of a fork that execs next and uses no other descriptor any more.
pub fn hand_over(descriptor: OwnedFd) -> io::Result<()> {
    // SD_LISTEN_FDS_START.
    const FIRST: RawFd = 3;
    let number = descriptor.into_raw_fd();
    if number == FIRST {
        // SAFETY: fcntl takes any number and touches no memory. dup2 onto itself would leave it closed on exec.
        Errno::result(unsafe { libc::fcntl(FIRST, libc::F_SETFD, 0) })?;
    } else {
        // SAFETY: dup2 takes any numbers and touches no memory. Who owned the place loses it, which exec would do next.
        Errno::result(unsafe { libc::dup2(number, FIRST) })?;
    }
    Ok(())
}

/// Reading and writing return at once from now on, for all who share the open file.
pub fn set_nonblocking(descriptor: impl AsFd) -> io::Result<()> {
    let flags = OFlag::from_bits_truncate(fcntl(descriptor.as_fd(), FcntlArg::F_GETFL)?);
    fcntl(
        descriptor.as_fd(),
        FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK),
    )?;
    Ok(())
}

/// Puts another open file under a number that a library of ours keeps to itself; what was there is closed.
pub fn put_under(number: RawFd, other: impl AsFd) -> io::Result<()> {
    let other = other.as_fd().as_raw_fd();
    // SAFETY: dup3 takes any numbers and touches no memory. Whoever owns the number still owns one open file.
    Errno::result(unsafe { libc::dup3(other, number, libc::O_CLOEXEC) })?;
    Ok(())
}
/// Has a file a list of users and groups who have access to it, beside its mode. What cannot be found out counts as such.
pub fn has_access_list(file: BorrowedFd<'_>) -> bool {
    // A descriptor for the name alone cannot be asked itself.
    let Ok(path) = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())) else {
        return true;
    };
    let name = c"system.posix_acl_access";
    // SAFETY: both are text with a NUL at the end; nothing is written, as the room has no octets.
    let found = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), std::ptr::null_mut(), 0) };
    found >= 0 || !matches!(Errno::last(), Errno::ENODATA | Errno::EOPNOTSUPP)
}

#[cfg(test)]
mod tests {
    use super::*;

    // T189
    #[test]
    fn a_list_of_access_is_seen() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        let file = std::fs::File::create(&path).unwrap();
        assert!(!has_access_list(file.as_fd()));
        // rw- for its owner, rw- for the user 4242, --- for its group, a mask of rw-, --- for others.
        let mut list = 2_u32.to_le_bytes().to_vec();
        let nobody = u32::MAX;
        for (tag, access, id) in [
            (1_u16, 6_u16, nobody),
            (2, 6, 4242),
            (4, 0, nobody),
            (16, 6, nobody),
            (32, 0, nobody),
        ] {
            list.extend(tag.to_le_bytes());
            list.extend(access.to_le_bytes());
            list.extend(id.to_le_bytes());
        }
        let name = c"system.posix_acl_access";
        // SAFETY: the value is as long as is said, the name ends with a NUL, the descriptor is open.
        let set = unsafe {
            libc::fsetxattr(
                file.as_raw_fd(),
                name.as_ptr(),
                list.as_ptr().cast(),
                list.len(),
                0,
            )
        };
        if set < 0 {
            assert_eq!(Errno::last(), Errno::EOPNOTSUPP);
            return;
        }
        assert!(has_access_list(file.as_fd()));
        // What such a list lets write shows as the group's, whose own access is none.
        let facts = crate::sys::guard::Facts::of(&file).unwrap();
        assert_eq!(facts.stat.st_mode & 0o777, 0o660);
        assert_eq!(
            crate::sys::guard::writers(&facts),
            crate::sys::guard::Writers::Group
        );
    }
}
