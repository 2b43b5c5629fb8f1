//! When all workers are busy and others wait: how far a client has fallen behind, and for how many that is too far. Pure.
//!
//! What counts is the time that its worker spent waiting for it, whatever it sent meanwhile: octets, NOOP and refusals bring nothing
//! forward. A recipient that was accepted and octets of a message do, and a mail that was accepted begins anew.
//!
//! Must never: hold the time of a next hop against the client.

use std::time::Duration;

/// However many wait, a session has this to come to its first recipient: an MTA on the same continent says EHLO, MAIL and RCPT in
/// less, one by one. With more the MTA in front of us would give up while hundreds of silent clients are before it.
const LEAST: Duration = Duration::from_millis(250);

/// However many wait, a message may pause for this: a lost packet takes as long.
const LEAST_IN_DATA: Duration = Duration::from_secs(1);

/// What an accepted recipient is worth.
const RECIPIENT: Duration = Duration::from_secs(1);

/// How often a worker that waits for such a client looks whether others wait, while all are busy.
const LOOK: Duration = Duration::from_millis(250);

/// The same, while not all are busy.
const LOOK_AT_LEISURE: Duration = Duration::from_secs(1);

/// How far a client has fallen behind.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    behind: Duration,
    least: Duration,
}

impl Pace {
    /// From the connection, or from the last mail that was accepted, to the next DATA.
    pub fn of_commands() -> Pace {
        Pace {
            behind: Duration::ZERO,
            least: LEAST,
        }
    }

    pub fn of_message() -> Pace {
        Pace {
            behind: Duration::ZERO,
            least: LEAST_IN_DATA,
        }
    }

    /// The worker waited for it.
    pub fn waited(&mut self, time: Duration) {
        self.behind = self.behind.saturating_add(time);
    }

    pub fn took_recipient(&mut self) {
        self.behind = self.behind.saturating_sub(RECIPIENT);
    }

    /// So many octets of the message came; at `rate` octets per second they make up for the time that they took. With 0 any do.
    pub fn took_octets(&mut self, octets: usize, rate: u64) {
        let thousandths = (octets as u64).saturating_mul(1000);
        let worth = match (octets, thousandths.checked_div(rate)) {
            (0, _) => Duration::ZERO,
            (_, None) => Duration::MAX,
            (_, Some(worth)) => Duration::from_millis(worth),
        };
        self.behind = self.behind.saturating_sub(worth);
    }

    /// Could it be too slow, if there were very many who wait?
    pub fn is_suspect(&self, timeout: Duration) -> bool {
        self.behind >= self.least.min(timeout)
    }

    /// How long to wait before looking whether it is too slow.
    pub fn look(&self, timeout: Duration, is_full: impl FnOnce() -> bool) -> Duration {
        let left = self.least.min(timeout).saturating_sub(self.behind);
        match left {
            Duration::ZERO if is_full() => LOOK,
            Duration::ZERO => LOOK_AT_LEISURE,
            left => left,
        }
    }

    /// How long a handshake may take while all are busy and so many wait.
    pub fn of_handshake(timeout: Duration, workers: usize, waiting: usize) -> Duration {
        patience(timeout, LEAST_IN_DATA, workers, waiting)
    }

    /// So many wait for a worker: is it too slow for them?
    pub fn is_too_slow(&self, timeout: Duration, workers: usize, waiting: usize) -> bool {
        waiting > 0 && self.behind >= patience(timeout, self.least, workers, waiting)
    }
}

/// If more wait than there are workers, each has less, so that whoever came last waits for about as long as one.
fn patience(timeout: Duration, least: Duration, workers: usize, waiting: usize) -> Duration {
    let workers = u32::try_from(workers.max(1)).unwrap_or(u32::MAX);
    let waiting = u32::try_from(waiting).unwrap_or(u32::MAX).max(workers);
    let share = timeout.saturating_mul(workers) / waiting;
    share.max(least).min(timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    // T54
    #[test]
    fn patience_by_the_queue() {
        for (timeout, least, workers, waiting, expected) in [
            (10_000, 1000, 4, 1, 10_000),
            (10_000, 1000, 4, 4, 10_000),
            (10_000, 1000, 4, 8, 5000),
            (10_000, 250, 4, 500, 250),
            (10_000, 1000, 4, 500, 1000),
            (10_000, 1000, 32, 64, 5000),
            // Who wants it shorter gets it shorter.
            (1000, 3000, 4, 500, 1000),
            (1000, 3000, 4, 1, 1000),
            (10_000, 1000, 0, 0, 10_000),
            (86_400_000, 1000, 1000, 1_000_000, 86_400),
        ] {
            let [timeout, least, expected] = [timeout, least, expected].map(Duration::from_millis);
            let found = patience(timeout, least, workers, waiting);
            assert_eq!(found, expected, "{timeout:?} {workers} {waiting}");
        }
    }

    // T54
    #[test]
    fn what_brings_a_mail_forward() {
        let timeout = Duration::from_secs(10);
        let mut pace = Pace::of_commands();
        let wait = |pace: &mut Pace, seconds| pace.waited(Duration::from_secs(seconds));
        assert_eq!(pace.look(timeout, || false), LEAST);
        wait(&mut pace, 10);
        assert!(pace.is_suspect(timeout) && pace.is_too_slow(timeout, 4, 1));
        assert!(!pace.is_too_slow(timeout, 4, 0), "nobody waits");
        assert_eq!(pace.look(timeout, || true), LOOK);
        assert_eq!(pace.look(timeout, || false), LOOK_AT_LEISURE);
        pace.took_recipient();
        assert!(!pace.is_too_slow(timeout, 4, 1) && pace.is_too_slow(timeout, 4, 8));
        // A message at 500 octets per second keeps pace, however it is cut.
        for (octets, seconds, keeps) in [
            (1460, 2, true),
            (5000, 9, true),
            (500, 1, true),
            (400, 1, false),
            (1, 1, false),
            (0, 1, false),
        ] {
            let mut pace = Pace::of_message();
            for _ in 0..100 {
                wait(&mut pace, seconds);
                pace.took_octets(octets, 500);
            }
            assert_eq!(!pace.is_too_slow(timeout, 4, 1), keeps, "{octets}");
        }
        // What came early does not pay for a pause, and where any rate will do any octet will.
        let mut pace = Pace::of_message();
        pace.took_octets(1_000_000, 500);
        wait(&mut pace, 10);
        assert!(pace.is_too_slow(timeout, 4, 1));
        pace.took_octets(0, 0);
        assert!(pace.is_too_slow(timeout, 4, 1));
        pace.took_octets(1, 0);
        assert!(!pace.is_suspect(timeout));
    }
}
