//! What the master and all workers know together of each next hop, in memory that they share: where it is ([`place`]), who has lines to
//! it ([`lines`]), and whether it is away ([`away`]).
//!
//! The master makes it for the next hops of a configuration, before the workers that need it are forked; what a configuration has in
//! common with the one before stays. Addresses are written by the master only, a line's place by the worker that has the line, or by the
//! master for one that died.
//!
//! Must never hold anything but numbers: see [`shared`](crate::sys::shared); decide anything about a mail, or wait.
//!
//! Known limits: a worker that was taken over can write all of it, as it can all memory of this kind. It could send the mail of other
//! workers elsewhere; it learns no password by that, because a password goes to a next hop only that has proved who it is.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mimicry_core::settings::endpoint::{Address, NextHop};

use super::pipes::Ends;
use crate::sys::shared::{Row, Rows};

pub mod away;
pub mod lines;
pub mod place;

pub use away::{Away, Probe};
pub use lines::Ticket;
pub use place::ADDRESSES;

// The rows of a next hop: its words, its addresses in two rows in turn, and the places of its lines.
const WORDS: usize = 0;
const PLACES: usize = 1;
const LINES: usize = 3;

// The words of the first row.
/// Moments are milliseconds since the epoch, and one more, so that 0 = never.
const VERSION: usize = 0;
const FOUND_AT: usize = 1;
const IS_LOST: usize = 2;
const WANTED: usize = 3;
const SHORT_AT: usize = 4;
const FAILURES: usize = 5;
const GONE_AT: usize = 6;
const NEXT_AT: usize = 7;
const PROBES: usize = 8;
const PROBER: usize = 9;
const FIRST_AT: usize = 10;

/// All next hops that the living generations have. The master's.
#[derive(Debug)]
pub struct Hops {
    known: HashMap<NextHop, Hop>,
    ends: Option<Rc<Ends>>,
    epoch: Instant,
}

/// The next hops of one configuration.
pub type Known = HashMap<NextHop, Hop>;

/// One next hop. A clone is the same.
#[derive(Clone, Debug)]
pub struct Hop {
    rows: Rc<Rows>,
    /// `None` = there is no master.
    ends: Option<Rc<Ends>>,
    epoch: Instant,
    port: u16,
}

impl Hops {
    /// `ends` is where workers wake the master.
    pub fn new(ends: Option<Rc<Ends>>, epoch: Instant) -> Hops {
        Hops {
            known: HashMap::new(),
            ends,
            epoch,
        }
    }

    /// Those of a configuration; a directory has none. What no generation has any more is forgotten.
    pub fn of<'n>(&mut self, next_hops: impl Iterator<Item = &'n NextHop>) -> io::Result<Known> {
        let mut known = Known::new();
        for next_hop in next_hops {
            let NextHop::Server { address, .. } = next_hop else {
                continue;
            };
            let hop = match self.known.get(next_hop) {
                Some(hop) => hop.clone(),
                None => Hop::new(address, self.ends.clone(), self.epoch)?,
            };
            known.insert(next_hop.clone(), hop);
        }
        self.forget_unused();
        let all = known.iter();
        self.known
            .extend(all.map(|(next_hop, hop)| (next_hop.clone(), hop.clone())));
        Ok(known)
    }

    /// What no generation has any more.
    pub fn forget_unused(&mut self) {
        self.known.retain(|_, hop| Rc::strong_count(&hop.rows) > 1);
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&NextHop, &Hop)> {
        self.known.iter()
    }

    pub fn get(&self, next_hop: &NextHop) -> Option<&Hop> {
        self.known.get(next_hop)
    }

    /// By the master: this worker is dead, and has no lines any more.
    pub fn bury(&self, worker: u32) {
        for hop in self.known.values() {
            hop.bury_lines(worker);
            hop.bury_probe(worker);
        }
    }
}

impl Hop {
    fn new(address: &Address, ends: Option<Rc<Ends>>, epoch: Instant) -> io::Result<Hop> {
        let port = match address {
            Address::Tcp { port, .. } => *port,
            Address::Unix(_) => 0,
        };
        let hop = Hop {
            rows: Rc::new(Rows::new(LINES.saturating_add(lines::ROWS))?),
            ends,
            epoch,
            port,
        };
        if let Address::Tcp { host, .. } = address
            && let Ok(address) = host.parse::<IpAddr>()
        {
            hop.found(&[(address, port).into()]);
        }
        Ok(hop)
    }

    fn words(&self) -> Option<&Row> {
        self.rows.row(WORDS)
    }

    fn get(&self, word: usize) -> u64 {
        self.words().map_or(0, |row| row.get(word))
    }

    fn set(&self, word: usize, value: u64) {
        if let Some(row) = self.words() {
            row.set(word, value);
        }
    }

    fn swap(&self, word: usize, before: u64, value: u64) -> bool {
        self.words()
            .is_some_and(|row| row.swap(word, before, value))
    }

    /// Has the master look.
    fn nudge(&self) {
        if let Some(ends) = &self.ends {
            ends.nudge();
        }
    }

    /// Never 0.
    fn moment(&self, at: Instant) -> u64 {
        let passed = at.saturating_duration_since(self.epoch).as_millis();
        u64::try_from(passed)
            .unwrap_or(u64::MAX - 1)
            .saturating_add(1)
    }

    /// How long ago a moment was; `None` = never.
    fn since(&self, word: usize, now: Instant) -> Option<Duration> {
        let at = self.get(word);
        (at > 0).then(|| Duration::from_millis(self.moment(now).saturating_sub(at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_configurations_have_in_common_stays() {
        let mut hops = Hops::new(None, Instant::now());
        let [one, two, stored] = ["smtp://192.0.2.1:25", "smtp://mx:25", "maildir:///m"]
            .map(|text| NextHop::parse(text).unwrap());
        let first = hops.of([&one, &two, &stored].into_iter()).unwrap();
        assert_eq!(first.len(), 2);
        let places = first[&one].addresses();
        assert_eq!(places, Some(vec!["192.0.2.1:25".parse().unwrap()]));
        assert_eq!(first[&two].addresses(), None);
        first[&two].found(&["192.0.2.2:25".parse().unwrap()]);
        let second = hops.of([&two].into_iter()).unwrap();
        assert!(second[&two].addresses().is_some());
        drop(first);
        let third = hops.of([&two].into_iter()).unwrap();
        assert_eq!(hops.iter().count(), 1);
        drop((second, third));
        assert_eq!(hops.of([&one].into_iter()).unwrap().len(), 1);
        assert!(hops.get(&two).is_none());
    }
}
