//! Waiting for descriptors until a moment of the monotonic clock.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Waits until a descriptor is ready or the deadline has passed; without a deadline as long as it takes. A signal ends the
/// waiting as if nothing were ready.
pub fn wait(descriptors: &mut [PollFd<'_>], deadline: Option<Instant>) -> io::Result<()> {
    let timeout = match deadline {
        None => PollTimeout::NONE,
        Some(deadline) => timeout(deadline, Instant::now()),
    };
    match poll(descriptors, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// To be waited for: that this socket hears no more. Neither a connection nor octets wake who waits for it.
pub fn for_end(socket: BorrowedFd<'_>) -> PollFd<'_> {
    // nix does not know it. POLLHUP comes unasked.
    PollFd::new(socket, PollFlags::from_bits_retain(libc::POLLRDHUP))
}

/// Does it hear no more? A TCP listener that was shut down is none any more; one on a unix socket goes by that name, and only
/// this tells.
pub fn has_ended(socket: BorrowedFd<'_>) -> bool {
    // An error leaves it as it was, and the next call tries again.
    poll(&mut [for_end(socket)], PollTimeout::ZERO).is_ok_and(|count| count > 0)
}

/// In milliseconds, rounded up: rounded down, the last one would be a busy loop.
fn timeout(deadline: Instant, now: Instant) -> PollTimeout {
    let left = deadline.saturating_duration_since(now).as_micros();
    let milliseconds = left.div_ceil(1000);
    PollTimeout::try_from(i32::try_from(milliseconds).unwrap_or(i32::MAX))
        .unwrap_or(PollTimeout::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn timeouts_are_rounded_up() {
        let now = Instant::now();
        for (left, milliseconds) in [
            (Duration::ZERO, Some(0)),
            (Duration::from_nanos(1), Some(0)),
            (Duration::from_micros(1), Some(1)),
            (Duration::from_millis(7), Some(7)),
            (Duration::from_micros(7001), Some(8)),
            (
                Duration::from_hours(24 * 365),
                Some(u32::try_from(i32::MAX).unwrap()),
            ),
        ] {
            assert_eq!(
                timeout(now + left, now).as_millis(),
                milliseconds,
                "{left:?}"
            );
        }
        assert_eq!(
            timeout(now, now + Duration::from_secs(1)),
            PollTimeout::ZERO
        );
    }
}
