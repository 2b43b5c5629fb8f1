//! The settings that a list of banks results in, worked out once per list, so that they are not built again for each
//! mail.
//!
//! Each worker has its own. A configuration with many banks has more lists than will ever occur, so each is worked out
//! when it is first asked for. Senders choose which lists occur, so the memory is bounded by how many lists it has and by how many
//! rules stand in them: when it is full, it is emptied.
//!
//! Must never: depend on anything but the banks and the list.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::standing::Standing;
use super::{Banks, Choice};

/// Lists of banks that are remembered.
const MOST: usize = 1024;
/// Rules in all of them, each as often as it stands there. One takes some twenty octets, or two hundred where a bank gives it another
/// mode.
pub(super) const MOST_RULES: usize = 1 << 18;

/// Lists of banks, and what they amount to. For one configuration.
#[derive(Debug, Default)]
pub struct Memo(RefCell<Known>);

#[derive(Debug, Default)]
struct Known {
    standings: HashMap<Choice, Arc<Standing>>,
    /// In all of them.
    rules: usize,
}

impl Known {
    fn remember(&mut self, choice: Choice, standing: Arc<Standing>, rules: usize) {
        if self.standings.len() >= MOST || self.rules.saturating_add(rules) > MOST_RULES {
            *self = Known::default();
        }
        self.rules = self.rules.saturating_add(rules);
        self.standings.insert(choice, standing);
    }
}

impl Memo {
    pub fn standing(&self, banks: &Banks, choice: &Choice) -> Arc<Standing> {
        // What most mail has is there from before the fork.
        let of_base = banks.standing_of_base();
        if let Some(base) = of_base.filter(|_| *choice == banks.no_bank()) {
            return Arc::clone(base);
        }
        let mut known = self.0.borrow_mut();
        if let Some(standing) = known.standings.get(choice) {
            return Arc::clone(standing);
        }
        // A list with and without banks to come has the same settings.
        let settled = Choice {
            applied: choice.applied.clone(),
            ..Choice::default()
        };
        let settings = match of_base.filter(|_| choice.applied.is_empty()) {
            Some(base) => Some(base),
            None => known.standings.get(&settled),
        };
        let settings = settings.map(|standing| Arc::clone(&standing.settings));
        let settings = settings.unwrap_or_else(|| Arc::new(banks.effective(&choice.applied)));
        let standing = Arc::new(Standing {
            candidates: banks.candidates(choice),
            settings,
        });
        let rules = standing.rules_beside(of_base);
        known.remember(choice.clone(), Arc::clone(&standing), rules);
        standing
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.borrow().standings.len()
    }
}
