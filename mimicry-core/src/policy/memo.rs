//! The settings that a list of banks results in, worked out once per list, so that they are not built again for each
//! mail.
//!
//! Each worker has its own. A configuration with many banks has more lists than will ever occur, so each is worked out
//! when it is first asked for. Senders choose which lists occur, so the memory is bounded: when it is full, it is
//! emptied.
//!
//! Must never: depend on anything but the banks and the list.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::standing::Standing;
use super::{Banks, Choice};

/// Lists of banks that are remembered.
const MOST: usize = 1024;

/// Lists of banks, and what they amount to. For one configuration.
#[derive(Debug, Default)]
pub struct Memo(RefCell<HashMap<Choice, Arc<Standing>>>);

impl Memo {
    pub fn standing(&self, banks: &Banks, choice: &Choice) -> Arc<Standing> {
        // What most mail has is there from before the fork.
        let of_base = banks.standing_of_base();
        if let Some(base) = of_base.filter(|_| *choice == banks.no_bank()) {
            return Arc::clone(base);
        }
        let mut known = self.0.borrow_mut();
        if let Some(standing) = known.get(choice) {
            return Arc::clone(standing);
        }
        // A list with and without banks to come has the same settings.
        let settled = Choice {
            applied: choice.applied.clone(),
            ..Choice::default()
        };
        let settings = match of_base.filter(|_| choice.applied.is_empty()) {
            Some(base) => Some(base),
            None => known.get(&settled),
        };
        let settings = settings.map(|standing| Arc::clone(&standing.settings));
        let settings = settings.unwrap_or_else(|| Arc::new(banks.effective(&choice.applied)));
        let standing = Arc::new(Standing {
            candidates: banks.candidates(choice),
            settings,
        });
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(choice.clone(), Arc::clone(&standing));
        standing
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.borrow().len()
    }
}
