//! Which worker is stuck: the decision, from what is known of a worker at each look.
//!
//! Time is counted by [`Watched`], the time in which the master runs too. The monotonic clock does not heed who sets the clock, and
//! stands still while the machine is suspended; but it goes on while a virtual machine is paused or a container is frozen. So a step
//! between two looks that took longer than the master meant to wait counts as no more than twice that: then nobody ran.
//!
//! Must never: look at a worker, signal it, or read the clock.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

/// After ABRT, which a stopped worker does not hear, it has so long.
const GRACE: Duration = Duration::from_secs(1);

/// How often the workers are looked at, at least and at most: a tenth of what a mail may take.
pub const STEP: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The master's own time.
#[derive(Debug)]
pub struct Watched {
    looked: Instant,
    step: Duration,
    pub passed: Duration,
}

impl Watched {
    pub fn new(now: Instant) -> Watched {
        Watched {
            looked: now,
            step: STEP.0,
            passed: Duration::ZERO,
        }
    }

    /// Is it time to look. If it is, the time until now has passed; the next look comes after `step`.
    pub fn advance(&mut self, now: Instant, step: Duration) -> bool {
        let passed = now.saturating_duration_since(self.looked);
        if passed < self.step {
            return false;
        }
        // A master that was busy for a moment has only looked late.
        self.passed += passed.min(self.step.saturating_mul(2));
        self.looked = now;
        self.step = step;
        true
    }

    pub fn due(&self) -> Option<Instant> {
        self.looked.checked_add(self.step)
    }
}

/// What is known of a worker at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Another number each time it enters a state.
    pub mark: u64,
    /// How long it may be in this state.
    pub limit: Option<Duration>,
    /// Somebody has stopped it.
    pub is_stopped: bool,
    /// How long it may be stopped.
    pub patience: Duration,
}

/// What the watchdog remembers of a worker: moments of [`Watched`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    mark: u64,
    since: Duration,
    stopped: Option<Duration>,
    aborted: Option<Duration>,
}

/// Why a worker is stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    TooLong,
    Stopped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Well,
    Abort(Why),
    Kill,
}

impl Watch {
    /// Was it ended by the watchdog.
    pub fn is_stuck(&self) -> bool {
        self.aborted.is_some()
    }

    pub fn look(&mut self, facts: Facts, now: Duration) -> Look {
        if let Some(at) = self.aborted {
            return match now.saturating_sub(at) >= GRACE {
                true => Look::Kill,
                false => Look::Well,
            };
        }
        if facts.mark != self.mark {
            (self.mark, self.since) = (facts.mark, now);
        }
        self.stopped = match facts.is_stopped {
            true => self.stopped.or(Some(now)),
            false => None,
        };
        let is_over = |since: Duration, limit: Duration| now.saturating_sub(since) > limit;
        let is_long = facts.limit.is_some_and(|limit| is_over(self.since, limit));
        let is_still = self.stopped.is_some_and(|at| is_over(at, facts.patience));
        let why = match (is_still, is_long) {
            (true, _) => Why::Stopped,
            (false, true) => Why::TooLong,
            (false, false) => return Look::Well,
        };
        self.aborted = Some(now);
        Look::Abort(why)
    }
}

/// How long between two looks: a tenth of what a mail may take.
pub fn step(mail_timeout: Duration) -> Duration {
    (mail_timeout / 10).clamp(STEP.0, STEP.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(mark: u64, limit: Option<u64>, is_stopped: bool) -> Facts {
        Facts {
            mark,
            limit: limit.map(Duration::from_secs),
            is_stopped,
            patience: Duration::from_secs(10),
        }
    }

    // T138, T140
    #[test]
    fn who_is_stuck() {
        // The moment in seconds, the job, its limit, whether it is stopped.
        type Seen = (u64, u64, Option<u64>, bool, Look);
        let stories: &[&[Seen]] = &[
            // An endless loop.
            &[
                (100, 1, Some(60), false, Look::Well),
                (160, 1, Some(60), false, Look::Well),
                (161, 1, Some(60), false, Look::Abort(Why::TooLong)),
                (161, 1, Some(60), false, Look::Well),
                (162, 1, Some(60), false, Look::Kill),
            ],
            // One mail after the other, each in its time.
            &[
                (0, 1, Some(60), false, Look::Well),
                (50, 2, Some(60), false, Look::Well),
                (110, 3, Some(60), false, Look::Well),
                (170, 3, Some(60), false, Look::Well),
            ],
            // Idle for a year.
            &[
                (0, 1, None, false, Look::Well),
                (31_536_000, 1, None, false, Look::Well),
            ],
            // Stopped while idle; and stopped again and again, but never for long.
            &[
                (0, 1, None, true, Look::Well),
                (11, 1, None, true, Look::Abort(Why::Stopped)),
            ],
            &[
                (0, 1, None, true, Look::Well),
                (9, 1, None, false, Look::Well),
                (12, 1, None, true, Look::Well),
                (21, 1, None, true, Look::Well),
            ],
        ];
        for story in stories {
            let mut watch = Watch::default();
            for (at, mark, limit, is_stopped, expected) in *story {
                let facts = facts(*mark, *limit, *is_stopped);
                let found = watch.look(facts, Duration::from_secs(*at));
                assert_eq!(found, *expected, "{at} in {story:?}");
            }
        }
    }

    // T139, T140: a suspended host kills nobody
    #[test]
    fn time_in_which_nobody_ran_does_not_count() {
        let start = Instant::now();
        let step = Duration::from_secs(1);
        let mut watched = Watched::new(start);
        let mut watch = Watch::default();
        let mut now = start;
        for round in 0..50 {
            // Each time a day passes between two looks.
            now += match round % 10 {
                9 => Duration::from_secs(86_400),
                _ => step,
            };
            assert!(watched.advance(now, step));
            let look = watch.look(facts(1, Some(60), false), watched.passed);
            assert_eq!(look, Look::Well, "{round}");
        }
        assert_eq!(watched.passed, Duration::from_secs(54) + STEP.0 * 2);
        assert!(!watched.advance(now + step / 2, step), "it is not yet time");
    }
}
