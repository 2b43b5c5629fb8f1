//! Next hops, in the master's loop: their names are looked up, and workers that keep lines which others wait for are told.
//!
//! Must never: wait for a lookup or a worker.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use mimicry_core::settings::endpoint::NextHop;
use nix::sys::signal::Signal;

use super::state::{Master, Phase};

/// Who keeps lines is told so often at most that others wait for them.
const ASKING: Duration = Duration::from_millis(200);

impl Master {
    pub(super) fn tend_hops(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Stopping { .. }) {
            self.names.abandon();
            return;
        }
        self.ask_for_lines(now);
        self.names.tend(self.current.identity.as_ref(), now);
    }

    /// Tells workers that keep lines which others wait for.
    fn ask_for_lines(&mut self, now: Instant) {
        let asked = &mut self.asked_for_lines;
        asked.retain(|_, at| now.saturating_duration_since(*at) < ASKING);
        let mut keepers: HashMap<NextHop, Vec<u32>> = HashMap::new();
        for (next_hop, hop) in self.names.hops.iter() {
            if !asked.contains_key(next_hop) && hop.is_short() {
                keepers.insert(next_hop.clone(), hop.keepers());
            }
        }
        keepers.retain(|_, keepers| !keepers.is_empty());
        for (next_hop, keepers) in keepers {
            self.asked_for_lines.insert(next_hop, now);
            for generation in self.generations() {
                let children = generation.children.iter();
                children
                    .filter(|child| keepers.contains(&child.pid.as_raw().unsigned_abs()))
                    .for_each(|child| child.send(Signal::SIGWINCH));
            }
        }
    }

    pub(super) fn hops_due(&self, now: Instant) -> Option<Instant> {
        if matches!(self.phase, Phase::Stopping { .. }) {
            return None;
        }
        // A line may be put by after its keeper was looked for.
        let is_any_short = self.names.hops.iter().any(|(_, hop)| hop.is_short());
        let again = is_any_short.then(|| now.checked_add(ASKING)).flatten();
        [self.names.due(), again].into_iter().flatten().min()
    }
}
