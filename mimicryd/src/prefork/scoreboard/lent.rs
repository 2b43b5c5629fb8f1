//! What an upgrade needs: whose the listeners are while two masters have them, and what was counted before.
//!
//! Must never: be asked by a worker whose master lives.

use super::{Counter, Scoreboard, Totals};

// A word of the master's row: 1 = the listeners are another master's.
const LENT: usize = 3;

impl Scoreboard {
    /// By the master: whether the listeners are another master's, which this one is to follow or which has followed it.
    pub fn set_lent(&self, lent: bool) {
        if let Some(row) = self.rows.master.pen(0) {
            row.set(LENT, u64::from(lent));
        }
    }

    /// Asked by a worker whose master is dead: does another master go on with the listeners.
    pub fn is_lent(&self) -> bool {
        self.masters().is_some_and(|row| row.get(LENT) != 0)
    }
}

impl Totals {
    /// With these numbers.
    pub fn of(number: impl Fn(Counter) -> u64) -> Totals {
        Totals(Counter::ALL.map(number))
    }

    pub fn add(&mut self, other: Totals) {
        for (sum, number) in self.0.iter_mut().zip(other.0) {
            *sum = sum.wrapping_add(number);
        }
    }

    pub fn get(&self, counter: Counter) -> u64 {
        self.0.get(counter as usize).copied().unwrap_or_default()
    }
}
