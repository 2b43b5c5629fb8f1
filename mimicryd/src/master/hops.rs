//! Next hops, in the master's loop: their names are looked up, and workers that keep lines which others wait for are told.
//!
//! Must never: wait for a lookup or a worker.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use mimicry_core::settings::endpoint::NextHop;
use nix::sys::signal::Signal;

use crate::prefork::hops::Hop;
use crate::prefork::scoreboard::State;

use super::child::Child;
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
        let sandbox = self.current.config.daemon.sandbox;
        self.names
            .tend((self.current.identity.as_ref(), sandbox), now);
    }

    /// Tells workers that keep lines which others wait for.
    fn ask_for_lines(&mut self, now: Instant) {
        let asked = &mut self.asked_for_lines;
        asked.retain(|_, at| now.saturating_duration_since(*at) < ASKING);
        let mut short: HashMap<NextHop, Hop> = HashMap::new();
        for (next_hop, hop) in self.names.hops.iter() {
            if !asked.contains_key(next_hop) && hop.is_short() {
                short.insert(next_hop.clone(), hop.clone());
            }
        }
        if short.is_empty() {
            return;
        }
        let generations = self.generations();
        let children = generations.flat_map(|generation| &generation.children);
        let pid = |child: &Child| child.pid.as_raw().unsigned_abs();
        // Who is idle and has a line, keeps it, whatever is written there.
        let children: Vec<(&Child, u32, bool)> = children
            .map(|child| (child, pid(child), child.slot.state() == Some(State::Idle)))
            .collect();
        let mut told = Vec::new();
        for (next_hop, hop) in short {
            hop.free_of_nobody(|pid| children.iter().any(|(_, other, _)| *other == pid));
            let (keepers, holders) = (hop.keepers(), hop.holders());
            let is_meant = |(_, pid, is_idle): &&(&Child, u32, bool)| {
                keepers.contains(pid) || (*is_idle && holders.contains(pid))
            };
            let mut meant = children.iter().filter(is_meant).peekable();
            if meant.peek().is_some() {
                told.push(next_hop);
            }
            meant.for_each(|(child, _, _)| child.send(Signal::SIGWINCH));
        }
        let told = told.into_iter().map(|next_hop| (next_hop, now));
        self.asked_for_lines.extend(told);
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
