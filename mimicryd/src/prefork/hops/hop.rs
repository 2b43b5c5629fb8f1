//! One next hop as numbers in rows: what each number is, and how moments are written down.
//!
//! Must never: know what the numbers mean for a mail.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mimicry_core::settings::endpoint::Address;

use crate::prefork::pipes::Ends;
use crate::sys::shared::{self, Row, Rows};

// The rows of a next hop: its words, its addresses in two rows in turn, and the places of its lines.
pub const WORDS: usize = 0;
pub const PLACES: usize = 1;
pub const LINES: usize = 3;

/// As many lines as `connections` may say.
pub const MOST: usize = 1000;

/// The rows that have a place for each.
const LINE_ROWS: usize = MOST.div_ceil(shared::WORDS);

// The words of the first row.
/// Moments are milliseconds since the epoch, and one more, so that 0 = never.
pub const VERSION: usize = 0;
pub const FOUND_AT: usize = 1;
pub const IS_LOST: usize = 2;
pub const WANTED: usize = 3;
pub const SHORT_AT: usize = 4;
pub const FAILURES: usize = 5;
pub const GONE_AT: usize = 6;
pub const NEXT_AT: usize = 7;
pub const PROBES: usize = 8;
pub const PROBER: usize = 9;
pub const FIRST_AT: usize = 10;
pub const USED: usize = 11;

/// One next hop. A clone is the same.
#[derive(Clone, Debug)]
pub struct Hop {
    rows: Rc<Rows>,
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
            rows: Rc::new(Rows::new(LINES.saturating_add(LINE_ROWS))?),
            ends,
            epoch,
            port,
        })
    }

    /// Does nobody else have it.
    pub fn is_alone(&self) -> bool {
        Rc::strong_count(&self.rows) <= 1
    }

    /// A row; 0 is that of its words.
    pub fn row(&self, row: usize) -> Option<&Row> {
        self.rows.row(row)
    }

    pub fn words(&self) -> Option<&Row> {
        self.rows.row(WORDS)
    }

    pub(in crate::prefork) fn get(&self, word: usize) -> u64 {
        self.words().map_or(0, |row| row.get(word))
    }

    pub(in crate::prefork) fn set(&self, word: usize, value: u64) {
        if let Some(row) = self.words() {
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

    /// How long ago a moment was; `None` = never.
    pub(in crate::prefork) fn since(&self, word: usize, now: Instant) -> Option<Duration> {
        let at = self.get(word);
        (at > 0).then(|| Duration::from_millis(self.moment(now).saturating_sub(at)))
    }
}
