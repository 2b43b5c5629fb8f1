//! Lines that did not go out at once: so many octets of them wait in the process that has them, further ones are lost.
//! What all processes of the daemon have lost is counted in memory that they share, so that whichever of them writes
//! first says so.
//!
//! Must never: grow beyond its bound, or give a line to a child that its parent writes, too.

use std::collections::VecDeque;

use crate::sys::process;
use crate::sys::shared::{Pen, Rows};

/// Octets that wait in one process at most.
pub const LARGEST: usize = 64 * 1024;

/// Since the start.
const TOTAL: usize = 0;
/// Of these, what the log does not say yet.
const UNSAID: usize = 1;
/// The last line in the file may lack its end.
const TORN: usize = 2;

/// The lines of this process.
#[derive(Debug, Default)]
pub struct Backlog {
    lines: VecDeque<Vec<u8>>,
    octets: usize,
    /// Whose they are.
    process: u32,
}

impl Backlog {
    /// After a fork they are still the parent's.
    pub fn settle(&mut self) {
        let id = process::id();
        if self.process != id {
            *self = Backlog {
                process: id,
                ..Backlog::default()
            };
        }
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The last one; false = there is no room.
    pub fn push(&mut self, line: Vec<u8>) -> bool {
        let octets = self.octets.saturating_add(line.len());
        let fits = octets <= LARGEST;
        if fits {
            self.octets = octets;
            self.lines.push_back(line);
        }
        fits
    }

    /// The first one.
    pub fn first(&self) -> Option<&[u8]> {
        self.lines.front().map(Vec::as_slice)
    }

    pub fn drop_first(&mut self) {
        if let Some(line) = self.lines.pop_front() {
            self.octets = self.octets.saturating_sub(line.len());
        }
    }

    /// Gives all of them up; returns how many there were.
    pub fn give_up(&mut self) -> u64 {
        self.octets = 0;
        u64::try_from(self.lines.drain(..).count()).unwrap_or(u64::MAX)
    }
}

/// What all processes of the daemon have lost.
#[derive(Debug)]
pub struct Losses(Option<Rows>);

impl Losses {
    /// Without memory to share nothing is counted, and mail goes on.
    pub fn new() -> Losses {
        Losses(Rows::new(1).ok())
    }

    fn row(&self) -> Option<Pen<'_>> {
        self.0.as_ref()?.pen(0)
    }

    pub fn add(&self, lines: u64) {
        if let Some(row) = self.row() {
            row.add(TOTAL, lines);
            row.add(UNSAID, lines);
        }
    }

    pub fn total(&self) -> u64 {
        self.row().map_or(0, |row| row.get(TOTAL))
    }

    /// Taken by who says it.
    pub fn take_unsaid(&self) -> u64 {
        self.row().map_or(0, |row| row.take(UNSAID))
    }

    /// It could not be said.
    pub fn put_back(&self, lines: u64) {
        if let Some(row) = self.row() {
            row.add(UNSAID, lines);
        }
    }

    pub fn tear(&self) {
        if let Some(row) = self.row() {
            row.set(TORN, 1);
        }
    }

    /// Taken by who writes the end.
    pub fn take_torn(&self) -> bool {
        self.row().is_some_and(|row| row.take(TORN) > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // T199
    #[test]
    fn what_waits_has_a_bound() {
        let mut backlog = Backlog::default();
        backlog.settle();
        let line = |number: usize| format!("{number:>99}\n").into_bytes();
        let taken = (0..10_000)
            .take_while(|&number| backlog.push(line(number)))
            .count();
        assert_eq!(taken, LARGEST / 100);
        backlog.settle();
        assert_eq!(backlog.first(), Some(line(0).as_slice()));
        backlog.drop_first();
        assert_eq!(backlog.first(), Some(line(1).as_slice()));
        assert!(backlog.push(line(0)) && !backlog.push(line(0)));
        assert_eq!(backlog.give_up(), (LARGEST / 100) as u64);
        assert!(backlog.is_empty() && backlog.push(line(0)));
        // As after a fork.
        backlog.process = backlog.process.wrapping_add(1);
        backlog.settle();
        assert!(backlog.is_empty());
    }

    #[test]
    fn losses_are_said_once() {
        let losses = Losses::new();
        losses.add(3);
        losses.add(4);
        assert_eq!((losses.take_unsaid(), losses.take_unsaid()), (7, 0));
        losses.put_back(7);
        assert_eq!((losses.take_unsaid(), losses.total()), (7, 7));
        losses.tear();
        assert!(losses.take_torn() && !losses.take_torn());
    }
}
