//! When a configuration is kept: it came into force. What becomes of the children that do it is said in the log.
//!
//! Must never: wait for one of them; the end of the daemon and the answer to a reload do, and have their own limits.

#![forbid(unsafe_code)]

use std::time::Instant;

use nix::unistd::Pid;

use crate::sys::process::Death;

use super::state::Master;

impl Master {
    /// The configuration in force is kept.
    pub(super) fn keep(&mut self) {
        if let Some(mut keeper) = self.current.keeper.take() {
            keeper.keep(self.current.number);
            self.keepers.add(keeper);
        }
    }

    pub(super) fn tend_keepers(&mut self, now: Instant) {
        self.keepers
            .list_mut()
            .retain_mut(|keeper| match keeper.step(now) {
                None => true,
                Some(done) => {
                    if let Err(why) = done {
                        log::warn!("{why}");
                    }
                    false
                }
            });
    }

    /// Whether this child, which ended, is one of them.
    pub(super) fn buried_keeper(&mut self, child: Pid, death: Death) -> bool {
        let trial = self.trial.as_mut().map(|trial| &mut trial.generation);
        let waiting = std::iter::once(&mut self.current).chain(trial);
        let waiting = waiting.filter_map(|generation| generation.keeper.as_mut());
        let mut all = self.keepers.list_mut().iter_mut().chain(waiting);
        all.any(|keeper| keeper.buried(child, death))
    }
}
