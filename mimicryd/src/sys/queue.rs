//! How many connections wait at a listener to be accepted.
//!
//! Known limits: of a unix socket it is only known whether any waits; of TCP, the kernel's own count is asked for on Linux.

use std::os::fd::BorrowedFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Connections that wait; asked without waiting.
pub fn waiting(listener: BorrowedFd<'_>) -> usize {
    let mut ready = [PollFd::new(listener, PollFlags::POLLIN)];
    // An error says that nobody waits; whoever asks goes on as if there were time.
    let is_ready = poll(&mut ready, PollTimeout::ZERO).is_ok_and(|count| count > 0)
        && ready.iter().any(|one| {
            one.revents()
                .is_some_and(|has| has.contains(PollFlags::POLLIN))
        });
    match is_ready {
        true => counted(listener).unwrap_or(1).max(1),
        false => 0,
    }
}

#[cfg(target_os = "linux")]
fn counted(listener: BorrowedFd<'_>) -> Option<usize> {
    use std::os::fd::AsRawFd;

    use nix::libc;

    /// tcpi_unacked of tcp_info(7), which is the length of the queue where the socket is a listener.
    const UNACKED: usize = 6;
    let mut info = [0u32; 32];
    let mut length = libc::socklen_t::try_from(size_of_val(&info)).ok()?;
    // SAFETY: the kernel writes at most `length` octets, which `info` has, and zeros are valid numbers if it writes fewer.
    let done = unsafe {
        libc::getsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    let written = usize::try_from(length).unwrap_or(0);
    let is_there = done == 0 && written >= (UNACKED + 1) * size_of::<u32>();
    let count = info.get(UNACKED).filter(|_| is_there)?;
    usize::try_from(*count).ok()
}

#[cfg(not(target_os = "linux"))]
fn counted(_listener: BorrowedFd<'_>) -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn who_waits_is_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(waiting(listener.as_fd()), 0);
        let clients = [0; 3].map(|_| TcpStream::connect(address).unwrap());
        let expected = if cfg!(target_os = "linux") { 3 } else { 1 };
        assert_eq!(waiting(listener.as_fd()), expected);
        for _ in &clients {
            listener.accept().unwrap();
        }
        assert_eq!(waiting(listener.as_fd()), 0);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(waiting(listener.as_fd()), 0);
        let _clients = [0; 2].map(|_| UnixStream::connect(&path).unwrap());
        assert_eq!(waiting(listener.as_fd()), 1);
    }
}
