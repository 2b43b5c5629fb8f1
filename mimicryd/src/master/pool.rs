//! How many workers there should be, and when a new one may be made: pure, from facts to actions.
//!
//! - [`decide`]: facts about a generation's workers → spawn, retire, or nothing
//! - [`Throttle`]: workers that die before they finish a mail slow down their replacement
//! - [`Surplus`]: workers are too many only when they have been for a while
//!
//! Must never fork, signal or read a clock: the moment is an argument.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use mimicry_core::settings::Workers;

/// So many workers in a row may die before finishing a mail without consequences.
pub const EARLY_DEATHS: u32 = 5;

/// For so long there must have been too many workers before one of them is retired.
const SURPLUS_FOR: Duration = Duration::from_secs(5);

/// After that one is retired each time this has passed.
const SURPLUS_STEP: Duration = Duration::from_secs(1);

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LAST_WAIT: Duration = Duration::from_secs(10);

/// What is known of the workers of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    pub workers: Workers,
    /// Forked, but not yet accepting.
    pub starting: usize,
    pub idle: usize,
    pub busy: usize,
    /// Told to go, but still there.
    pub leaving: usize,
    /// Died since the last decision, other than by retiring.
    pub crashed: usize,
    pub may_spawn: bool,
    /// There have been too many for long enough.
    pub surplus: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Fork so many workers.
    Spawn(usize),
    /// Retire so many of those who have been idle for longest.
    Retire(usize),
}

/// Decides what to do about the number of workers.
pub fn decide(facts: &Facts) -> Vec<Action> {
    let have = facts.present();
    let room = facts.room();
    // A crashed worker is replaced even if the others would do: the kernel may have woken it alone for a connection, which
    // then waits for a worker that looks at its listeners afresh.
    let lacking = facts.wanted().saturating_sub(have).max(facts.crashed);
    let spawn = lacking.min(room);
    if spawn > 0 {
        if facts.may_spawn {
            return vec![Action::Spawn(spawn)];
        }
        return Vec::new();
    }
    if facts.surplus && facts.too_many() && facts.idle > 0 {
        return vec![Action::Retire(1)];
    }
    Vec::new()
}

impl Facts {
    /// Workers that there should be.
    pub fn wanted(&self) -> usize {
        let wanted = self.busy.saturating_add(spare(self.workers));
        wanted.clamp(self.workers.min, self.workers.max)
    }

    pub fn too_many(&self) -> bool {
        self.present() > self.wanted()
    }

    pub fn too_few(&self) -> bool {
        self.present() < self.wanted() || self.crashed > 0
    }

    /// A worker that begins a session tells the master when fewer than this many are idle.
    pub fn nudge_below(&self) -> usize {
        if self.room() > 0 {
            spare(self.workers)
        } else {
            0
        }
    }

    /// No more workers will come than there are.
    pub fn is_full(&self) -> bool {
        self.room() == 0 || !self.may_spawn
    }

    fn present(&self) -> usize {
        self.starting
            .saturating_add(self.idle)
            .saturating_add(self.busy)
    }

    fn room(&self) -> usize {
        let all = self.present().saturating_add(self.leaving);
        self.workers.max.saturating_sub(all)
    }
}

/// With none to spare nobody could be busy beyond `min`, and `max` would never be reached.
fn spare(workers: Workers) -> usize {
    if workers.max > workers.min {
        workers.spare.max(1)
    } else {
        workers.spare
    }
}

/// One more or one less worker at least, as TTIN and TTOU ask for; stays between 1 and `max`.
pub fn adjust(workers: Workers, more: bool) -> Workers {
    let min = if more {
        workers.min.saturating_add(1)
    } else {
        workers.min.saturating_sub(1)
    };
    Workers {
        min: min.clamp(1, workers.max.max(1)),
        ..workers
    }
}

/// Holds back the replacement of workers: after [`EARLY_DEATHS`] of them in a row for 0.1 s, then, as long as they go on
/// dying, for twice as long each time, up to 10 s. Any finished mail ends that.
#[derive(Debug)]
pub struct Throttle {
    in_a_row: u32,
    deaths: Backoff,
    forks: Backoff,
}

/// Is it to be written into the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loudness {
    /// One death among few: a line of its own.
    Death,
    /// The first death of a window, which lasts so long: one line that says so.
    Window(Duration),
    /// Not the first of its window.
    Silent,
}

impl Default for Throttle {
    fn default() -> Throttle {
        Throttle {
            in_a_row: 0,
            deaths: Backoff::new(),
            forks: Backoff::new(),
        }
    }
}

impl Throttle {
    /// A worker finished a mail.
    pub fn finished_mail(&mut self) {
        self.in_a_row = 0;
        self.deaths = Backoff::new();
    }

    /// A worker died; `early` = before finishing a mail.
    pub fn died(&mut self, early: bool, now: Instant) -> Loudness {
        if !early {
            self.finished_mail();
            return Loudness::Death;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        if self.in_a_row < EARLY_DEATHS {
            return Loudness::Death;
        }
        self.deaths.begin(now)
    }

    /// A fork failed. No more is tried for a while.
    pub fn fork_failed(&mut self, now: Instant) -> Loudness {
        self.forks.begin(now)
    }

    pub fn forked(&mut self) {
        self.forks = Backoff::new();
    }

    pub fn may_spawn(&self, now: Instant) -> bool {
        self.until(now).is_none()
    }

    /// When workers may be made again; `None` = now.
    pub fn until(&self, now: Instant) -> Option<Instant> {
        let ends = [self.deaths.until, self.forks.until];
        ends.into_iter().flatten().filter(|end| *end > now).max()
    }

    /// So many died in a row that something is wrong.
    pub fn is_tripped(&self) -> bool {
        self.in_a_row >= EARLY_DEATHS || self.forks.until.is_some()
    }

    /// Were there deaths that a finished mail would make up for.
    pub fn is_counting(&self) -> bool {
        self.in_a_row > 0
    }
}

/// Windows in which nothing is tried, each twice as long as the one before.
#[derive(Debug)]
struct Backoff {
    next: Duration,
    until: Option<Instant>,
}

impl Backoff {
    fn new() -> Backoff {
        Backoff {
            next: FIRST_WAIT,
            until: None,
        }
    }

    /// Begins a window, if none is running.
    fn begin(&mut self, now: Instant) -> Loudness {
        if self.until.is_some_and(|until| until > now) {
            return Loudness::Silent;
        }
        let wait = self.next;
        self.until = now.checked_add(wait);
        self.next = wait.saturating_mul(2).min(LAST_WAIT);
        Loudness::Window(wait)
    }
}

/// Tells when there have been too many workers for long enough.
#[derive(Debug, Default)]
pub struct Surplus {
    due: Option<Instant>,
}

impl Surplus {
    /// To be told whenever the workers were counted. True = one is to go.
    pub fn observe(&mut self, too_many: bool, now: Instant) -> bool {
        if !too_many {
            self.due = None;
            return false;
        }
        match self.due {
            None => {
                self.due = now.checked_add(SURPLUS_FOR);
                false
            }
            Some(due) if due > now => false,
            Some(_) => {
                self.due = now.checked_add(SURPLUS_STEP);
                true
            }
        }
    }

    /// When to count again.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        // In steps, since nobody tells when they become busy as long as enough are idle.
        let step = now.checked_add(SURPLUS_STEP)?;
        self.due.map(|due| due.min(step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(line: &str) -> Facts {
        let mut facts = Facts {
            workers: Workers {
                min: 4,
                max: 32,
                spare: 2,
            },
            starting: 0,
            idle: 0,
            busy: 0,
            leaving: 0,
            crashed: 0,
            may_spawn: true,
            surplus: false,
        };
        for word in line.split_whitespace() {
            let (key, value) = word.split_once('=').unwrap_or((word, "0"));
            let value: usize = value.parse().unwrap();
            match key {
                "min" => facts.workers.min = value,
                "max" => facts.workers.max = value,
                "spare" => facts.workers.spare = value,
                "starting" => facts.starting = value,
                "idle" => facts.idle = value,
                "busy" => facts.busy = value,
                "leaving" => facts.leaving = value,
                "crashed" => facts.crashed = value,
                "throttled" => facts.may_spawn = false,
                "surplus" => facts.surplus = true,
                _ => panic!("{key}"),
            }
        }
        facts
    }

    #[test]
    fn decisions() {
        use Action::{Retire, Spawn};
        for (line, actions) in [
            // Up to min, counting those who are on their way.
            ("", vec![Spawn(4)]),
            ("starting=3", vec![Spawn(1)]),
            ("idle=4", vec![]),
            ("idle=1 busy=3", vec![Spawn(1)]),
            // Spare ones.
            ("idle=2 busy=2", vec![]),
            ("idle=1 busy=4", vec![Spawn(1)]),
            ("idle=0 busy=4", vec![Spawn(2)]),
            ("starting=2 busy=4", vec![]),
            // Never beyond max, and those who leave count.
            ("idle=1 busy=31", vec![]),
            ("idle=0 busy=31", vec![Spawn(1)]),
            ("idle=0 busy=32", vec![]),
            ("idle=0 busy=30 leaving=1", vec![Spawn(1)]),
            ("idle=0 busy=30 leaving=2", vec![]),
            ("idle=0 busy=0 leaving=32", vec![]),
            ("min=1 max=1 spare=1 busy=1", vec![]),
            // None to spare still grows, if there is room to.
            ("min=4 max=8 spare=0 busy=4", vec![Spawn(1)]),
            ("min=4 max=4 spare=0 busy=4", vec![]),
            // Throttled.
            ("throttled", vec![]),
            ("throttled idle=1 busy=9", vec![]),
            ("throttled surplus idle=9", vec![Retire(1)]),
            // The dead are replaced even if the rest would do.
            ("idle=5 crashed=1", vec![Spawn(1)]),
            ("idle=3 crashed=1", vec![Spawn(1)]),
            ("idle=1 crashed=1", vec![Spawn(3)]),
            ("busy=30 idle=2 crashed=1", vec![]),
            // Shrinking: only after a while, only idle ones, never below min or what is spare.
            ("idle=9", vec![]),
            ("surplus idle=9", vec![Retire(1)]),
            ("surplus idle=4", vec![]),
            ("surplus idle=3 busy=2", vec![Retire(1)]),
            ("surplus idle=2 busy=9", vec![]),
            ("surplus idle=3 busy=9", vec![Retire(1)]),
            ("surplus starting=3 busy=9", vec![]),
            // The operator lowered max.
            ("surplus max=8 idle=4 busy=6", vec![Retire(1)]),
        ] {
            assert_eq!(decide(&facts(line)), actions, "{line}");
        }
    }

    #[test]
    fn the_master_is_told_while_it_could_do_something() {
        for (line, below) in [
            ("idle=4", 2),
            ("busy=31", 2),
            ("busy=32", 0),
            ("busy=30 leaving=2", 0),
            ("spare=0", 1),
            ("spare=0 min=4 max=4", 0),
        ] {
            assert_eq!(facts(line).nudge_below(), below, "{line}");
        }
    }

    #[test]
    fn more_and_less() {
        let workers = |min, max| Workers { min, max, spare: 2 };
        assert_eq!(adjust(workers(4, 32), true), workers(5, 32));
        assert_eq!(adjust(workers(32, 32), true), workers(32, 32));
        assert_eq!(adjust(workers(4, 32), false), workers(3, 32));
        assert_eq!(adjust(workers(1, 32), false), workers(1, 32));
    }

    #[test]
    fn dying_early_is_throttled() {
        let start = Instant::now();
        let mut throttle = Throttle::default();
        let mut now = start;
        for _ in 1..EARLY_DEATHS {
            assert_eq!(throttle.died(true, now), Loudness::Death);
            assert!(throttle.may_spawn(now));
        }
        let mut waits = Vec::new();
        for _ in 0..10 {
            let Loudness::Window(wait) = throttle.died(true, now) else {
                panic!("no window");
            };
            waits.push(u64::try_from(wait.as_millis()).unwrap());
            // More of them in the window neither lengthen it nor are they logged.
            assert_eq!(throttle.died(true, now), Loudness::Silent);
            assert!(!throttle.may_spawn(now));
            assert_eq!(throttle.until(now), Some(now + wait));
            now += wait;
            assert!(throttle.may_spawn(now));
        }
        assert_eq!(
            waits,
            [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000]
        );
        assert!(now - start < Duration::from_secs(90), "recovers in time");
        throttle.died(true, now);
        throttle.finished_mail();
        assert!(throttle.may_spawn(now), "a finished mail ends it at once");
        assert_eq!(throttle.died(true, now), Loudness::Death);
    }

    #[test]
    fn only_a_row_of_early_deaths_counts() {
        let now = Instant::now();
        let mut throttle = Throttle::default();
        for death in 0..100 {
            let early = death % 5 != 4;
            assert_eq!(throttle.died(early, now), Loudness::Death);
            assert!(throttle.may_spawn(now));
            assert!(!throttle.is_tripped());
        }
    }

    #[test]
    fn failing_forks_pause() {
        let now = Instant::now();
        let mut throttle = Throttle::default();
        assert_eq!(throttle.fork_failed(now), Loudness::Window(FIRST_WAIT));
        assert!(!throttle.may_spawn(now));
        let later = now + FIRST_WAIT;
        assert!(throttle.may_spawn(later));
        assert_eq!(
            throttle.fork_failed(later),
            Loudness::Window(FIRST_WAIT * 2)
        );
        throttle.finished_mail();
        assert!(
            !throttle.may_spawn(later),
            "a finished mail is no free process"
        );
        throttle.forked();
        assert!(throttle.may_spawn(later));
    }

    #[test]
    fn a_surplus_must_last() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut surplus = Surplus::default();
        assert_eq!(surplus.due(start), None);
        assert!(!surplus.observe(true, at(0)));
        assert_eq!(surplus.due(at(0)), Some(at(1)));
        assert!(!surplus.observe(true, at(4)));
        assert!(!surplus.observe(false, at(5)), "it was gone for a moment");
        assert!(!surplus.observe(true, at(6)));
        assert!(!surplus.observe(true, at(10)));
        assert!(surplus.observe(true, at(11)));
        assert!(!surplus.observe(true, at(11)));
        assert!(surplus.observe(true, at(12)));
    }
}
