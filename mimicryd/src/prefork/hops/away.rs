//! Whether a next hop is away: all workers learn it from each other, and one of them at a time tries whether it is back.
//!
//! A next hop is away once so many connections in a row could not be made, whoever tried. From then on it is tried after a pause that
//! doubles from try to try, and mail that needs a new connection meanwhile is put off at once. One connection that can be made ends it.
//! So a mail is never put off for longer than the next hop is away and one pause more.
//!
//! Must never: wait, or leave a next hop untried because the worker that was to try it died, or wrote nonsense before.

use std::time::{Duration, Instant};

use super::hop::{FAILURES, GONE_AT, Hop, NEXT_AT, PROBER, PROBES};

/// So many connections in a row that could not be made: one alone may be a matter of that connection.
pub const IN_A_ROW: u64 = 3;

/// The pause after that, and the longest.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// No try and no pause lasts longer; what is said to is not believed.
const FARTHEST: Duration = Duration::from_secs(60);

/// What a next hop that is away means for who needs a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Away {
    /// It is not away.
    No,
    /// Somebody tries at present, or will: it is tried again after so long.
    TriedIn(Duration),
    /// Try: nobody else does.
    Try,
}

/// What a connection that could not be made means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It is away from now on.
    Gone,
    /// It was away already, or is not yet.
    Known,
}

impl Hop {
    /// By a worker that needs a connection. Who gets [`Away::Try`] tries, and says what came of it.
    pub fn ask(&self, pid: u32, lasts: Duration, now: Instant) -> Away {
        if self.get(GONE_AT) == 0 {
            return Away::No;
        }
        let next = self.get(NEXT_AT);
        let left = self.tried_in(now);
        if !left.is_zero() {
            return Away::TriedIn(left);
        }
        // Until then it is tried by nobody else.
        let until = self.moment(now);
        let until = until.saturating_add(millis(lasts.min(FARTHEST)));
        match self.swap(NEXT_AT, next, until) {
            true => {
                self.set(PROBER, u64::from(pid));
                Away::Try
            }
            false => Away::TriedIn(FIRST),
        }
    }

    /// Is it away, and nobody to try it now.
    pub fn is_away(&self, now: Instant) -> bool {
        self.get(GONE_AT) != 0 && !self.tried_in(now).is_zero()
    }

    /// How long it has been away; `None` = it is not.
    pub fn away_for(&self, now: Instant) -> Option<Duration> {
        self.since(GONE_AT, now)
    }

    /// How many connections in a row could not be made, before it counts as away.
    pub fn failures(&self) -> u64 {
        self.get(FAILURES)
    }

    /// When it is tried again; of one that is away.
    pub fn tried_in(&self, now: Instant) -> Duration {
        let left = self.get(NEXT_AT).saturating_sub(self.moment(now));
        let left = Duration::from_millis(left);
        match left > FARTHEST {
            true => Duration::ZERO,
            false => left,
        }
    }

    /// A connection was made. How long it had been away, if it was; to one worker only.
    pub fn has_come(&self, now: Instant) -> Option<Duration> {
        self.set(FAILURES, 0);
        let gone = self.get(GONE_AT);
        if gone == 0 || !self.swap(GONE_AT, gone, 0) {
            return None;
        }
        self.set(PROBER, 0);
        self.set(PROBES, 0);
        Some(Duration::from_millis(self.moment(now).saturating_sub(gone)))
    }

    /// A connection could not be made by this worker.
    pub fn has_failed(&self, pid: u32, now: Instant) -> Probe {
        if self.get(GONE_AT) != 0 {
            // Who began before it was away is no try.
            if self.swap(PROBER, u64::from(pid), 0) {
                let probes = self.get(PROBES);
                self.set(PROBES, probes.saturating_add(1));
                self.pause(probes.saturating_add(1), now);
            }
            return Probe::Known;
        }
        if let Some(row) = self.words() {
            row.add(FAILURES, 1);
        }
        if self.get(FAILURES) < IN_A_ROW {
            return Probe::Known;
        }
        self.set(PROBES, 0);
        self.pause(0, now);
        match self.swap(GONE_AT, 0, self.moment(now)) {
            true => Probe::Gone,
            false => Probe::Known,
        }
    }

    /// Who was to try does not: somebody else may at once.
    pub fn does_not_try(&self, pid: u32) {
        if self.swap(PROBER, u64::from(pid), 0) {
            self.set(NEXT_AT, 0);
        }
    }

    pub(super) fn bury_probe(&self, worker: u32) {
        self.does_not_try(worker);
    }

    fn pause(&self, probes: u64, now: Instant) {
        let factor = 1u32 << probes.min(16);
        let pause = FIRST.saturating_mul(factor).min(LONGEST);
        let next = self.moment(now).saturating_add(millis(pause));
        self.set(NEXT_AT, next);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use mimicry_core::settings::endpoint::Address;

    use super::*;

    fn hop(now: Instant) -> Hop {
        Hop::new(&Address::Unix(PathBuf::from("/s")), None, now).unwrap()
    }

    const LASTS: Duration = Duration::from_secs(30);

    // T92
    #[test]
    fn one_worker_at_a_time_tries_and_the_pause_grows() {
        let start = Instant::now();
        let hop = hop(start);
        let at = |millis: u64| start + Duration::from_millis(millis);
        for _ in 0..5 {
            // A connection now and then that cannot be made is none.
            assert_eq!(hop.has_failed(1, at(0)), Probe::Known);
            assert_eq!(hop.has_failed(2, at(0)), Probe::Known);
            assert_eq!(hop.has_come(at(0)), None);
        }
        let failed: Vec<Probe> = (0..4).map(|pid| hop.has_failed(pid, at(1000))).collect();
        assert_eq!(
            failed,
            [Probe::Known, Probe::Known, Probe::Gone, Probe::Known]
        );
        let mut now = 1000;
        for pause in [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000] {
            let early = at(now + pause - 1);
            let left = Duration::from_millis(1);
            assert_eq!(hop.ask(1, LASTS, early), Away::TriedIn(left), "{pause}");
            assert!(hop.is_away(early) && hop.tried_in(early) == left);
            now += pause;
            assert_eq!(hop.ask(1, LASTS, at(now)), Away::Try, "{pause}");
            // All others are put off while one tries, and what they began before does not count.
            assert!(matches!(hop.ask(2, LASTS, at(now)), Away::TriedIn(_)));
            assert_eq!(hop.has_failed(2, at(now)), Probe::Known);
            assert!(matches!(hop.ask(3, LASTS, at(now)), Away::TriedIn(_)));
            assert_eq!(hop.has_failed(1, at(now)), Probe::Known);
        }
        // Who was to try dies, or has something else to do.
        now += 10_000;
        assert_eq!(hop.ask(1, LASTS, at(now)), Away::Try);
        hop.bury_probe(2);
        assert!(matches!(hop.ask(2, LASTS, at(now)), Away::TriedIn(_)));
        hop.bury_probe(1);
        assert_eq!(hop.ask(2, LASTS, at(now)), Away::Try);
        // What nobody can have meant is not believed.
        hop.set(NEXT_AT, u64::MAX);
        assert_eq!(hop.ask(2, LASTS, at(now)), Away::Try);
        // A try that never ends is not waited for longer than it may last.
        let later = at(now) + LASTS;
        assert_eq!(hop.ask(3, LASTS, later), Away::Try);
        assert_eq!(hop.away_for(at(now)), Some(at(now) - at(1000)));
        assert_eq!(hop.has_come(at(now)), Some(at(now) - at(1000)));
        assert_eq!((hop.has_come(at(now)), hop.away_for(at(now))), (None, None));
        assert_eq!(hop.ask(1, LASTS, at(now)), Away::No);
    }
}
