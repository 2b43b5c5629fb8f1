//! What a slot has to do with the numbers that all workers count together: by which listener its session came, for what is counted
//! of a listener.
//!
//! Must never: count anything twice; [`Slot::add`] counts for the worker and for its listener.

#![forbid(unsafe_code)]

use super::{Scoreboard, Slot, State};
use crate::prefork::tally::{Outcome, Tally};

/// In the row of a worker: by which listener its session came, counted from 1; 0 = by none.
const LISTENER: usize = 6;

impl Scoreboard {
    /// With what all workers count together.
    pub fn counting(self, tally: Tally) -> Scoreboard {
        Scoreboard {
            tally: Some(tally),
            ..self
        }
    }

    pub fn tally(&self) -> Option<&Tally> {
        self.tally.as_ref()
    }

    /// How many workers are in this state.
    pub fn number_in(&self, state: State) -> usize {
        let is_so = |slot: &Slot| slot.pid() != 0 && slot.state() == Some(state);
        self.all().filter(is_so).count()
    }
}

impl Slot {
    /// By the worker: its session comes by this listener, counted from 0 in the order of the configuration.
    pub fn serve(&self, listener: usize) {
        if let Some(row) = self.pen() {
            row.set(LISTENER, (listener as u64).saturating_add(1));
        }
    }

    /// By the worker: a mail had its final reply.
    pub fn ended(&self, outcome: Outcome) {
        if let (Some(listener), Some(tally)) = (self.listener(), self.board.tally()) {
            tally.ended(listener, outcome);
        }
    }

    pub(super) fn listener(&self) -> Option<usize> {
        usize::try_from(self.row()?.get(LISTENER))
            .ok()?
            .checked_sub(1)
    }
}
