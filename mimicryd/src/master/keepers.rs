//! The children that write down the configurations that came into force.
//!
//! One writes while another may wait for it; more than that is a disk that does not keep up, and then the one that waits goes. So
//! they write in the order in which the configurations came.
//!
//! Must never: wait for one of them.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use crate::keeper::Keeper;

/// So many at a time.
const MOST: usize = 2;

/// At the end of the daemon they have so long.
const PATIENCE: Duration = Duration::from_secs(2);

/// Those whose configurations are in force, or were.
#[derive(Debug, Default)]
pub struct Keepers {
    list: Vec<Keeper>,
    /// When nobody waits for them any more: the daemon ends.
    until: Option<Instant>,
}

impl Keepers {
    pub fn is_writing(&self) -> bool {
        !self.list.is_empty()
    }

    /// The daemon is to end.
    pub fn hurry(&mut self, now: Instant) {
        self.until = self.until.or(now.checked_add(PATIENCE));
    }

    /// Does the end of the daemon wait for them.
    pub fn are_waited_for(&self, now: Instant) -> bool {
        self.is_writing() && self.until.is_some_and(|until| now < until)
    }

    pub fn list_mut(&mut self) -> &mut Vec<Keeper> {
        &mut self.list
    }

    pub fn list(&self) -> impl Iterator<Item = &Keeper> {
        self.list.iter()
    }

    pub fn due(&self) -> Option<Instant> {
        let deadlines = self.list.iter().filter_map(Keeper::deadline);
        deadlines
            .chain(self.until.filter(|_| self.is_writing()))
            .min()
    }

    pub fn add(&mut self, keeper: Keeper) {
        if self.list.len() >= MOST
            && let Some(late) = self.list.pop()
        {
            log::warn!(
                "{}",
                late.abandon("the next one came into force before it was written")
            );
        }
        self.list.push(keeper);
    }
}
