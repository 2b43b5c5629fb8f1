//! Who may ask the master for something: root and the user whom the master runs as, but no child of the master, which obeys strangers once
//! a stranger has taken it over.
//!
//! Must never: be asked after a child was collected, whose id may be another's by then.

#![forbid(unsafe_code)]

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use crate::sys::privileges;

/// A child that asks is spoken of so often at most.
const COMPLAINING: Duration = Duration::from_secs(60);

/// What was said of those who may not.
#[derive(Debug, Default)]
pub struct Askers {
    complained: Option<Instant>,
}

impl Askers {
    /// A child has no children, so it cannot have somebody else ask.
    pub fn may_ask(&mut self, stream: &UnixStream, children: &[i32], now: Instant) -> bool {
        let Ok(peer) = getsockopt(stream, PeerCredentials) else {
            return false;
        };
        if !children.contains(&peer.pid()) {
            let own = privileges::current_user().as_raw();
            return peer.uid() == 0 || peer.uid() == own;
        }
        let since = self.complained.map(|at| now.saturating_duration_since(at));
        if since.is_none_or(|ago| ago >= COMPLAINING) {
            self.complained = Some(now);
            log::error!(
                "process {}, a child of the master, asks at the control socket, as one could that an attacker has taken over: it is refused",
                peer.pid()
            );
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // T207
    #[test]
    fn no_child_of_the_master_is_heard() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        let now = Instant::now();
        let mut askers = Askers::default();
        assert!(askers.may_ask(&ours, &[], now));
        assert!(askers.may_ask(&ours, &[own + 1], now));
        assert_eq!(askers.complained, None);
        for after in [0, 59, 60] {
            let now = now + Duration::from_secs(after);
            assert!(!askers.may_ask(&ours, &[own + 1, own], now));
            assert_eq!(askers.complained.is_some_and(|at| at == now), after != 59);
        }
    }
}
