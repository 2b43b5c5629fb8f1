//! Who has lines to a next hop: a place for each line, which holds the process id of the worker that has it, and whether that worker only
//! keeps it, or waits for the next hop to greet it.
//!
//! A worker that dies leaves its places taken; the master, who knows of its death before another process can have its id, gives them back.
//! All workers write here, so what stands in a place need not be true: where lines are short, the master gives back those of nobody, and
//! each worker those that it has not.
//!
//! Must never: hold more lines than are allowed, or wait for one.

use std::time::{Duration, Instant};

use super::hop::{FIRST_AT, Hop, LINES, MOST, SHORT_AT, USED};
use crate::sys::shared::WORDS;

/// The worker keeps the line for a mail to come.
const IDLE: u64 = 1 << 32;
/// The worker waits for the greeting.
const UNGREETED: u64 = 1 << 33;
const PID: u64 = IDLE - 1;

/// For so long after somebody waited for a line the next hop is short of them.
const SHORT: Duration = Duration::from_secs(2);

/// The master is woken for that so often at most.
const NUDGING: Duration = Duration::from_millis(200);

/// For so long after a mail without a line has waited for one, it may wait still.
const STILL: Duration = Duration::from_millis(100);

/// The place of a line. Dropped, it is free.
#[derive(Debug)]
pub struct Ticket {
    hop: Hop,
    place: usize,
    pid: u32,
}

impl Hop {
    /// By a worker: a line more, if there are fewer than so many. A mail that has none comes before one that has, so that each gets on.
    pub fn take_line(&self, pid: u32, most: usize, has_line: bool) -> Option<Ticket> {
        let first = self.since(FIRST_AT, Instant::now());
        if has_line && first.is_some_and(|ago| ago < STILL) {
            return None;
        }
        let mut places = 0..most.min(MOST);
        let place = places.find(|place| self.swap_line(*place, 0, u64::from(pid)))?;
        self.uses(place);
        self.own.borrow_mut().insert(place);
        Some(Ticket {
            hop: self.clone(),
            place,
            pid,
        })
    }

    /// How many lines there are, and how many of them are idle.
    pub fn lines(&self) -> (usize, usize) {
        let count = |is: fn(&u64) -> bool| self.places().filter(is).count();
        (count(|line| *line != 0), count(|line| line & IDLE != 0))
    }

    /// Of this worker: lines that it uses.
    pub fn lines_in_use(&self, pid: u32) -> usize {
        self.places().filter(|line| *line == u64::from(pid)).count()
    }

    /// By a worker that has to wait for a line: whoever keeps one without using it is to give it back.
    pub fn is_wanting(&self, has_line: bool) {
        let now = Instant::now();
        if !has_line {
            self.set(FIRST_AT, self.moment(now));
        }
        if self.since(SHORT_AT, now).is_none_or(|ago| ago >= NUDGING) {
            self.set(SHORT_AT, self.moment(now));
            self.nudge();
        }
    }

    /// Does somebody wait for a line.
    pub fn is_short(&self) -> bool {
        let waited = self.since(SHORT_AT, Instant::now());
        waited.is_some_and(|ago| ago < SHORT) || self.places().any(|line| line & UNGREETED != 0)
    }

    /// By the master: workers that keep lines without using them.
    pub fn keepers(&self) -> Vec<u32> {
        let idle = self.places().filter(|line| line & IDLE != 0);
        let mut keepers: Vec<u32> = idle
            .filter_map(|line| u32::try_from(line & PID).ok())
            .collect();
        keepers.sort_unstable();
        keepers.dedup();
        keepers
    }

    /// By the master: those who have lines, whether they use them or not.
    pub fn holders(&self) -> Vec<u32> {
        let taken = (0..MOST).map(|place| self.line(place) & PID);
        let mut holders: Vec<u32> = taken.filter_map(|pid| u32::try_from(pid).ok()).collect();
        holders.sort_unstable();
        holders.dedup();
        holders
    }

    /// By the master: gives back the lines of whoever is no worker.
    pub fn free_of_nobody(&self, is_worker: impl Fn(u32) -> bool) {
        self.free(|_, pid| !is_worker(pid));
    }

    /// By a worker: gives back what is said to be its own and is not.
    pub fn disown(&self, worker: u32) {
        let own = self.own.borrow();
        self.free(|place, pid| pid == worker && !own.contains(&place));
    }

    fn free(&self, is_wrong: impl Fn(usize, u32) -> bool) {
        for place in 0..MOST {
            let line = self.line(place);
            let pid = u32::try_from(line & PID).unwrap_or_default();
            if line != 0 && is_wrong(place, pid) {
                self.swap_line(place, line, 0);
            }
        }
    }

    pub(super) fn bury_lines(&self, worker: u32) {
        for place in 0..MOST {
            let line = self.line(place);
            if line & PID == u64::from(worker) {
                self.swap_line(place, line, 0);
            }
        }
    }

    /// Those that were ever taken: the lowest that is free is taken first, so they are few.
    fn places(&self) -> impl Iterator<Item = u64> {
        let used = usize::try_from(self.get(USED)).unwrap_or(MOST);
        (0..used.min(MOST)).map(|place| self.line(place))
    }

    fn uses(&self, place: usize) {
        let wanted = (place as u64).saturating_add(1);
        // As often as others may honestly come before.
        for _ in 0..MOST {
            let used = self.get(USED);
            if used >= wanted || self.swap(USED, used, wanted) {
                return;
            }
        }
    }

    fn line(&self, place: usize) -> u64 {
        let (row, word) = split(place);
        self.row(row).map_or(0, |row| row.get(word))
    }

    fn swap_line(&self, place: usize, before: u64, after: u64) -> bool {
        let (row, word) = split(place);
        let row = self.row(row);
        row.is_some_and(|row| row.swap(word, before, after))
    }
}

impl Ticket {
    /// The line is kept for a mail to come.
    pub fn idle(&self) {
        self.mark(IDLE);
    }

    /// The line is in use.
    pub fn in_use(&self) {
        self.mark(0);
    }

    /// The next hop takes its time to greet.
    pub fn ungreeted(&self) {
        self.mark(UNGREETED);
        self.hop.is_wanting(true);
    }

    fn mark(&self, flag: u64) {
        let line = self.hop.line(self.place);
        if line & PID == u64::from(self.pid) {
            self.hop
                .swap_line(self.place, line, u64::from(self.pid) | flag);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.hop.own.borrow_mut().remove(&self.place);
        let line = self.hop.line(self.place);
        if line & PID == u64::from(self.pid) {
            self.hop.swap_line(self.place, line, 0);
        }
    }
}

/// Row and word of a place.
fn split(place: usize) -> (usize, usize) {
    (LINES.saturating_add(place / WORDS), place % WORDS)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use mimicry_core::settings::endpoint::Address;

    use super::*;

    // T195
    #[test]
    fn lines_are_counted_for_all_workers_and_given_back_for_the_dead() {
        let address = Address::Unix(PathBuf::from("/s"));
        let hop = Hop::new(&address, None, Instant::now()).unwrap();
        let take = |pid: u32| hop.take_line(pid, 3, false);
        let (first, second) = (take(7).unwrap(), take(8).unwrap());
        let third = take(7).unwrap();
        assert!(take(9).is_none());
        assert_eq!((hop.lines(), hop.lines_in_use(7)), ((3, 0), 2));
        third.idle();
        second.idle();
        assert_eq!((hop.lines(), hop.lines_in_use(7)), ((3, 2), 1));
        assert_eq!(hop.keepers(), [7, 8]);
        third.in_use();
        assert_eq!((hop.lines(), hop.keepers()), ((3, 1), vec![8]));
        assert!(!hop.is_short());
        first.ungreeted();
        assert!(hop.is_short());
        first.in_use();
        drop(first);
        assert_eq!(hop.lines(), (2, 1));
        // 8 is killed, and does not drop anything.
        hop.bury_lines(8);
        assert_eq!(hop.lines(), (1, 0));
        let other = take(9).unwrap();
        let another = take(9).unwrap();
        // Nobody gives back what became another's.
        drop(second);
        assert_eq!(hop.lines(), (3, 0));
        hop.is_wanting(true);
        drop((third, other));
        assert!(hop.take_line(9, 3, true).is_some());
        // A mail that has none comes first.
        hop.is_wanting(false);
        assert!(hop.take_line(9, 3, true).is_none() && hop.take_line(9, 3, false).is_some());
        drop(another);
        assert_eq!(hop.lines(), (0, 0));
        // What a worker wrote that obeyed others.
        let honest = take(7).unwrap();
        for (place, line) in [(1, u64::MAX), (2, 4711), (0, 8), (3, 7)] {
            let (row, word) = split(place);
            let row = hop.row(row).unwrap();
            if place != 0 {
                row.set(word, line);
            }
        }
        hop.set(USED, 0);
        for word in [SHORT_AT, FIRST_AT] {
            hop.set(word, u64::MAX);
        }
        assert!(!hop.is_short() && take(7).is_none());
        hop.free_of_nobody(|pid| pid == 7);
        hop.disown(7);
        assert_eq!(hop.holders(), [0, 7]);
        let others = [take(7).unwrap(), take(7).unwrap()];
        assert!(take(7).is_none());
        drop((honest, others));
        assert_eq!(hop.holders(), [0]);
        let all: Vec<_> = (0..MOST + 5)
            .filter_map(|_| hop.take_line(7, MOST + 5, false))
            .collect();
        assert_eq!(all.len(), MOST);
    }
}
