//! What all workers count together, for metrics: by listener, rule and next hop, in memory that they share and that an upgrade hands on.
//!
//! The numbers belong to no worker, so none is lost when a worker dies, and none ever falls. The master gives each name of a
//! configuration its rows ([`register`]); a worker adds to them, and whoever shows them reads them.
//!
//! Must never hold anything but numbers: see [`shared`](crate::sys::shared); or a name that is not in a configuration.
//!
//! Known limit: a worker that was taken over can write all of it, as it can all memory of this kind.

#![forbid(unsafe_code)]

mod histogram;
mod register;

use std::rc::Rc;
use std::time::Duration;

use mimicry_core::reason::Reason;

use super::counter::Counter;
use crate::sys::process::Death;
use crate::sys::shared::{Row, Rows, WORDS};

pub use histogram::{BOUNDS, Histogram};
pub use register::{Deed, Named, Register};

/// The numbers of one configuration. A clone is the same.
#[derive(Clone, Debug)]
pub struct Tally {
    rows: Rc<Rows>,
    labels: Rc<Labels>,
}

/// Names with their rows: listeners as the configuration has them, the others sorted.
#[derive(Debug, Default)]
struct Labels {
    listeners: Vec<(String, usize)>,
    rules: Vec<(String, usize)>,
    next_hops: Vec<(String, usize)>,
}

/// How a mail ended for its client: the worst of the replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Accepted,
    Deferred,
    Refused,
}

impl Outcome {
    pub const ALL: [Outcome; 3] = [Outcome::Accepted, Outcome::Deferred, Outcome::Refused];

    pub fn word(self) -> &'static str {
        match self {
            Outcome::Accepted => "accepted",
            Outcome::Deferred => "deferred",
            Outcome::Refused => "refused",
        }
    }

    /// Of the codes of all replies.
    pub fn of(codes: impl Iterator<Item = u16>) -> Outcome {
        codes.fold(Outcome::Accepted, |worst, code| match (worst, code / 100) {
            (Outcome::Deferred, _) | (_, 4) => Outcome::Deferred,
            (Outcome::Refused, _) | (_, 5) => Outcome::Refused,
            _ => Outcome::Accepted,
        })
    }
}

/// What a rule did to a mail, as metrics tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Did {
    /// The mail is another one now.
    Edited,
    /// It acted and the mail stayed as it was: archived, kept, ignored.
    Done,
    Unchanged,
    Shadow,
    Fault,
}

impl Did {
    pub const ALL: [Did; 5] = [
        Did::Edited,
        Did::Done,
        Did::Unchanged,
        Did::Shadow,
        Did::Fault,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Did::Edited => "edited",
            Did::Done => "done",
            Did::Unchanged => "unchanged",
            Did::Shadow => "shadow",
            Did::Fault => "fault",
        }
    }

    /// Of a rule that says why it did not edit.
    pub fn of(reason: Reason) -> Did {
        match reason {
            Reason::Shadow => Did::Shadow,
            Reason::Fault => Did::Fault,
            _ => Did::Unchanged,
        }
    }
}

/// Of the whole daemon, written by the master, but for the entries of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gauge {
    Generation,
    /// In seconds since 1970.
    Started,
    /// 1 = the last configuration that was loaded came into force.
    ReloadDone,
    /// When one last did, in seconds since 1970.
    ReloadedAt,
    /// As the workers last saw the directory.
    LedgerEntries,
    WorkersMax,
    WorkersMin,
}

/// Events of the whole daemon, counted by the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A worker was forked.
    Born,
    /// One was killed because it was stuck.
    Stuck,
    Reloaded,
    ReloadRefused,
    Upgraded,
}

// Rows of the daemon.
const DAEMON: usize = 0;
const JUDGING: usize = 1;
/// By signal; 0 = it ended by itself, with an exit status that says that something was wrong.
const DEATHS: usize = 2;
const DEATH_ROWS: usize = (SIGNALS + 1).div_ceil(WORDS);
const SIGNALS: usize = 64;
/// The first row that has a name.
const FIRST: usize = DEATHS + DEATH_ROWS;

// Words of the row of the daemon; what goes on over an upgrade is only what both programs understand alike.
const LAYOUT: usize = 0;
/// The next row that has no name.
const NEXT: usize = 1;
const GAUGES: usize = 2;
const OCCASIONS: usize = 16;

// Words of a listener's row: its counters, then the outcomes.
const OUTCOMES: usize = Counter::ALL.len();
const LISTENER_ROWS: usize = 1;

// Words of a rule's row.
const REASONS: usize = Did::ALL.len();
const RULE_ROWS: usize = 1;

// Rows of a next hop: its times with its octets, then the codes of its replies.
const SENT: usize = histogram::WORDS_OF_ONE;
const CODES: usize = 1;
const CODE_ROWS: usize = ALL_CODES.div_ceil(WORDS);
/// 200 to 299, 400 to 499, 500 to 599.
const ALL_CODES: usize = 300;
const NEXT_HOP_ROWS: usize = CODES + CODE_ROWS;

const _: () = assert!(OUTCOMES + Outcome::ALL.len() <= WORDS);
const _: () = assert!(REASONS + Reason::ALL.len() <= WORDS);
const _: () = assert!(SENT < WORDS);

impl Tally {
    /// By a worker whose session came by this listener.
    pub fn count(&self, listener: usize, counter: Counter, number: u64) {
        self.add_of_listener(listener, counter as usize, number);
    }

    /// By a worker: a mail of this listener had its final reply.
    pub fn ended(&self, listener: usize, outcome: Outcome) {
        self.add_of_listener(listener, OUTCOMES.saturating_add(outcome as usize), 1);
    }

    fn add_of_listener(&self, listener: usize, word: usize, number: u64) {
        let place = self.labels.listeners.get(listener);
        if let Some(row) = place.and_then(|(_, row)| self.rows.pen(*row)) {
            row.add(word, number);
        }
    }

    /// By a worker: what a rule did to a mail, and why not more.
    pub fn rule(&self, rule: &str, did: Did, reason: Option<Reason>) {
        if let Some(row) = row_of(&self.labels.rules, rule).and_then(|row| self.rows.pen(row)) {
            row.add(did as usize, 1);
            if let Some(reason) = reason {
                row.add(REASONS.saturating_add(reason as usize), 1);
            }
        }
    }

    /// By a worker: how long reading, judging and editing of a mail took.
    pub fn judged(&self, time: Duration) {
        if let Some(row) = self.rows.pen(JUDGING) {
            histogram::observe(row, time);
        }
    }

    /// By a worker: a class of recipients has this reply.
    pub fn replied(&self, next_hop: &str, code: u16) {
        let Some(first) = row_of(&self.labels.next_hops, next_hop) else {
            return;
        };
        if let Some(index) = index_of(code) {
            let row = first.saturating_add(CODES).saturating_add(index / WORDS);
            if let Some(row) = self.rows.pen(row) {
                row.add(index % WORDS, 1);
            }
        }
    }

    /// By a worker: a mail was handed on in this time; `octets` = of what was taken.
    pub fn relayed(&self, next_hop: &str, time: Duration, octets: u64) {
        let first = row_of(&self.labels.next_hops, next_hop);
        if let Some(row) = first.and_then(|row| self.rows.pen(row)) {
            histogram::observe(row, time);
            row.add(SENT, octets);
        }
    }

    /// By the master: a worker died before its time.
    pub fn died(&self, death: Death) {
        let number = match death {
            Death::Exit(_) => 0,
            Death::Signal(signal) => usize::try_from(signal).unwrap_or(0).min(SIGNALS),
        };
        if let Some(row) = self.rows.pen(DEATHS.saturating_add(number / WORDS)) {
            row.add(number % WORDS, 1);
        }
    }

    pub fn set(&self, gauge: Gauge, value: u64) {
        if let Some(row) = self.rows.pen(DAEMON) {
            row.set(GAUGES.saturating_add(gauge as usize), value);
        }
    }

    pub fn happened(&self, occasion: Occasion) {
        if let Some(row) = self.rows.pen(DAEMON) {
            row.add(OCCASIONS.saturating_add(occasion as usize), 1);
        }
    }
}

/// For who shows the numbers.
impl Tally {
    pub fn listeners(&self) -> impl Iterator<Item = Listener<'_>> {
        self.named(&self.labels.listeners)
            .map(|(name, row, _)| Listener { name, row })
    }

    pub fn rules(&self) -> impl Iterator<Item = Rule<'_>> {
        self.named(&self.labels.rules)
            .map(|(name, row, _)| Rule { name, row })
    }

    pub fn next_hops(&self) -> impl Iterator<Item = NextHop<'_>> {
        self.named(&self.labels.next_hops)
            .map(|(name, row, first)| NextHop {
                name,
                row,
                first,
                tally: self,
            })
    }

    fn named<'t>(
        &'t self,
        labels: &'t [(String, usize)],
    ) -> impl Iterator<Item = (&'t str, &'t Row, usize)> {
        labels
            .iter()
            .filter_map(|(name, first)| Some((name.as_str(), self.rows.row(*first)?, *first)))
    }

    pub fn judging(&self) -> Histogram {
        self.rows
            .row(JUDGING)
            .map_or_else(Histogram::default, Histogram::of)
    }

    /// Signals with the workers that died of them; 0 = they ended by themselves.
    pub fn deaths(&self) -> Vec<(i32, u64)> {
        let all = (0..=SIGNALS).filter_map(|number| {
            let row = self.rows.row(DEATHS.saturating_add(number / WORDS))?;
            Some((i32::try_from(number).ok()?, row.get(number % WORDS)))
        });
        all.filter(|(_, deaths)| *deaths > 0).collect()
    }

    pub fn gauge(&self, gauge: Gauge) -> u64 {
        let row = self.rows.row(DAEMON);
        row.map_or(0, |row| row.get(GAUGES.saturating_add(gauge as usize)))
    }

    pub fn occasions(&self, occasion: Occasion) -> u64 {
        let row = self.rows.row(DAEMON);
        row.map_or(0, |row| {
            row.get(OCCASIONS.saturating_add(occasion as usize))
        })
    }
}

/// What was counted of a listener.
pub struct Listener<'t> {
    pub name: &'t str,
    row: &'t Row,
}

impl Listener<'_> {
    pub fn get(&self, counter: Counter) -> u64 {
        self.row.get(counter as usize)
    }

    pub fn ended(&self, outcome: Outcome) -> u64 {
        self.row.get(OUTCOMES.saturating_add(outcome as usize))
    }
}

/// What was counted of a rule.
pub struct Rule<'t> {
    pub name: &'t str,
    row: &'t Row,
}

impl Rule<'_> {
    pub fn did(&self, did: Did) -> u64 {
        self.row.get(did as usize)
    }

    /// Reasons that it had, with how often.
    pub fn reasons(&self) -> impl Iterator<Item = (Reason, u64)> {
        let all = Reason::ALL.iter().map(|(reason, _)| {
            let word = REASONS.saturating_add(*reason as usize);
            (*reason, self.row.get(word))
        });
        all.filter(|(_, number)| *number > 0)
    }
}

/// What was counted of a next hop.
pub struct NextHop<'t> {
    pub name: &'t str,
    row: &'t Row,
    first: usize,
    tally: &'t Tally,
}

impl NextHop<'_> {
    pub fn relaying(&self) -> Histogram {
        Histogram::of(self.row)
    }

    pub fn sent(&self) -> u64 {
        self.row.get(SENT)
    }

    /// Codes that there were, with how often.
    pub fn replies(&self) -> impl Iterator<Item = (u16, u64)> {
        let first = self.first.saturating_add(CODES);
        let all = (200..600).filter_map(move |code| {
            let index = index_of(code)?;
            let row = self.tally.rows.row(first.saturating_add(index / WORDS))?;
            Some((code, row.get(index % WORDS)))
        });
        all.filter(|(_, number)| *number > 0)
    }
}

fn row_of(labels: &[(String, usize)], name: &str) -> Option<usize> {
    let at = labels
        .binary_search_by(|(one, _)| one.as_str().cmp(name))
        .ok()?;
    labels.get(at).map(|(_, row)| *row)
}

/// Where a code is among all of them.
fn index_of(code: u16) -> Option<usize> {
    let code = usize::from(code);
    let of_class = |class: usize, at: usize| Some(class.saturating_mul(100).saturating_add(at));
    match code {
        200..300 => of_class(0, code % 100),
        400..500 => of_class(1, code % 100),
        500..600 => of_class(2, code % 100),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
