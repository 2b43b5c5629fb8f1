//! Descriptors: those that the service manager handed over (sd_listen_fds(3)), and what std and nix cannot do with one.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;

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
