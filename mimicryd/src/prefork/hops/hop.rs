//! One next hop as numbers in rows: what each number is, and how moments are written down.
//!
//! Must never: know what the numbers mean for a mail.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mimicry_core::settings::endpoint::Address;

use crate::prefork::pipes::Ends;
use crate::sys::shared::{self, Pen, Row, Rows};

// The rows of the master: its words, and addresses in two rows in turn.
const MASTERS: usize = 0;
pub const PLACES: usize = 1;

// The rows of all: their words, and the places of lines.
const COMMON: usize = 0;
pub const LINES: usize = 1;

/// As many lines as `connections` may say.
pub const MOST: usize = 1000;

/// The rows that have a place for each.
const LINE_ROWS: usize = MOST.div_ceil(shared::WORDS);

// Moments are milliseconds since the epoch, and one more, so that 0 = never.

// The words of the master.
pub const VERSION: usize = 0;
pub const FOUND_AT: usize = 1;
pub const IS_LOST: usize = 2;

// The words of all. Any worker may have written anything there, and be gone: see [`Hop::since`].
pub const WANTED: usize = 3;
pub const SHORT_AT: usize = 4;
pub const FAILURES: usize = 5;
pub const GONE_AT: usize = 6;
pub const NEXT_AT: usize = 7;
pub const PROBES: usize = 8;
pub const PROBER: usize = 9;
pub const FIRST_AT: usize = 10;
pub const USED: usize = 11;

/// By so many milliseconds a moment that has passed may seem to come.
const LATER: u64 = 1000;

/// One next hop. A clone is the same.
#[derive(Clone, Debug)]
pub struct Hop {
    /// Where it is.
    masters: Rc<Rows>,
    common: Rc<Rows>,
    /// The places of lines that this process has.
    pub own: Rc<RefCell<BTreeSet<usize>>>,
    /// `None` = there is no master.
    ends: Option<Rc<Ends>>,
    epoch: Instant,
    /// 0 = it has none.
    pub port: u16,
}

impl Hop {
    pub fn new(address: &Address, ends: Option<Rc<Ends>>, epoch: Instant) -> io::Result<Hop> {
        let port = match address {
            Address::Tcp { port, .. } => *port,
            Address::Unix(_) => 0,
        };
        Ok(Hop {
            masters: Rc::new(Rows::new(PLACES.saturating_add(2))?),
            common: Rc::new(Rows::new(LINES.saturating_add(LINE_ROWS))?),
            own: Rc::default(),
            ends,
            epoch,
            port,
        })
    }

    /// Does nobody else have it.
    pub fn is_alone(&self) -> bool {
        Rc::strong_count(&self.common) <= 1
    }

    /// By a worker: from here on it does not say where the next hop is.
    pub fn give_up(&self) {
        self.masters.give_up();
    }

    /// One of the master's rows.
    pub fn place(&self, row: usize) -> Option<&Row> {
        self.masters.row(row)
    }

    /// The same, to be written to by the master.
    pub fn place_pen(&self, row: usize) -> Option<Pen<'_>> {
        self.masters.pen(row)
    }

    /// One of the rows of all.
    pub fn row(&self, row: usize) -> Option<Pen<'_>> {
        self.common.pen(row)
    }

    pub fn words(&self) -> Option<Pen<'_>> {
        self.row(COMMON)
    }

    pub(in crate::prefork) fn get(&self, word: usize) -> u64 {
        self.words().map_or(0, |row| row.get(word))
    }

    pub(in crate::prefork) fn set(&self, word: usize, value: u64) {
        if let Some(row) = self.words() {
            row.set(word, value);
        }
    }

    /// A word of the master.
    pub(in crate::prefork) fn told(&self, word: usize) -> u64 {
        self.place(MASTERS).map_or(0, |row| row.get(word))
    }

    /// By the master.
    pub(in crate::prefork) fn tell(&self, word: usize, value: u64) {
        if let Some(row) = self.place_pen(MASTERS) {
            row.set(word, value);
        }
    }

    pub(in crate::prefork) fn swap(&self, word: usize, before: u64, value: u64) -> bool {
        self.words()
            .is_some_and(|row| row.swap(word, before, value))
    }

    /// Has the master look.
    pub(in crate::prefork) fn nudge(&self) {
        if let Some(ends) = &self.ends {
            ends.nudge();
        }
    }

    /// Never 0.
    pub(in crate::prefork) fn moment(&self, at: Instant) -> u64 {
        let passed = at.saturating_duration_since(self.epoch).as_millis();
        u64::try_from(passed)
            .unwrap_or(u64::MAX - 1)
            .saturating_add(1)
    }

    /// How long ago a moment of all was; `None` = never. One that is still to come, nobody has written who is to be believed.
    pub(in crate::prefork) fn since(&self, word: usize, now: Instant) -> Option<Duration> {
        let at = self.get(word);
        self.ago(at, now)
    }

    /// How long ago this moment was.
    pub(in crate::prefork) fn ago(&self, at: u64, now: Instant) -> Option<Duration> {
        let now = self.moment(now);
        // Who wrote it may have looked at the clock after us.
        let is_past = at > 0 && at <= now.saturating_add(LATER);
        is_past.then(|| Duration::from_millis(now.saturating_sub(at)))
    }
}
