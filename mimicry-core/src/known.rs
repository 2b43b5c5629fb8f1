//! What a process knows that it has done before, up to a bound: beyond it, things are done again.
//!
//! Must never: be asked for anything but whether to do it again, or grow without end.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// So many are known.
const MOST: usize = 1000;

/// Things that were done; for the whole process, if it is a static.
#[derive(Debug, Default)]
pub struct Known<T>(Mutex<Option<HashSet<T>>>);

impl<T: Eq + Hash> Known<T> {
    pub const fn new() -> Known<T> {
        Known(Mutex::new(None))
    }

    pub fn has(&self, thing: &T) -> bool {
        self.set().as_ref().is_some_and(|set| set.contains(thing))
    }

    pub fn add(&self, thing: T) {
        let mut set = self.set();
        let set = set.get_or_insert_default();
        if set.len() >= MOST {
            set.clear();
        }
        set.insert(thing);
    }

    fn set(&self) -> MutexGuard<'_, Option<HashSet<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_bounded() {
        let known = Known::new();
        assert!(!known.has(&0));
        for number in 0..MOST {
            known.add(number);
        }
        assert!(known.has(&0) && known.has(&(MOST - 1)));
        known.add(MOST);
        assert!(known.has(&MOST) && !known.has(&0));
    }
}
