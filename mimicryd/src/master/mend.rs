//! Listeners that somebody shut down are bound again.
//!
//! All workers have the listeners, and a worker that an attacker has taken over can shut them down for all: shutdown(2)
//! acts on the socket, not on a descriptor. The master notices at once, because this is one of the events that it waits
//! for. The new socket is one that no old worker has, so all of them are replaced.
//!
//! Must never bind in an endless loop: whoever can do it once can do it again.

#![forbid(unsafe_code)]

use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::poll::PollFd;

use crate::prefork::listen::Listener;
use crate::sys::poll;

use super::child::Told;
use super::generation::Generation;
use super::state::{Master, Phase};

/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// A listener that cannot be bound is spoken of so often.
const COMPLAINING: Duration = Duration::from_secs(60);

impl Master {
    /// Binds anew what was shut down, and replaces the workers that had it.
    pub(super) fn mend(&mut self, now: Instant) {
        if !self.may_mend(now) {
            return;
        }
        self.mending.pause = None;
        let mut dead: Vec<Rc<Listener>> = Vec::new();
        for listener in self.serving().flat_map(|generation| &generation.listeners) {
            let is_known = dead.iter().any(|other| Rc::ptr_eq(other, listener));
            if !is_known && listener.is_shut() {
                dead.push(Rc::clone(listener));
            }
        }
        if dead.is_empty() {
            return;
        }
        // A master that stops amid an upgrade tells this one to end before it closes the sockets of both.
        self.take_signals(now);
        if !self.may_mend(now) {
            return;
        }
        for listener in dead {
            self.mending.pause = now.checked_add(PAUSE);
            self.bind_anew(&listener, now);
        }
    }

    fn bind_anew(&mut self, dead: &Rc<Listener>, now: Instant) {
        let place = dead.place();
        let new = match dead.anew(self.current.identity.as_ref()) {
            Ok(new) => Rc::new(new),
            Err(error) => {
                let since = |at| now.saturating_duration_since(at);
                let is_said = self.mending.complained.map(since);
                if is_said.is_none_or(|age| age >= COMPLAINING) {
                    self.mending.complained = Some(now);
                    log::error!(
                        "listener {} on {place} was shut down, and cannot be bound again: {error}; trying again",
                        dead.name()
                    );
                }
                return;
            }
        };
        log::error!(
            "listener {} on {place} was shut down from outside the master, as a worker that an attacker has taken over could do; it is bound again, and all workers are replaced",
            dead.name()
        );
        self.mending.complained = None;
        let trial = self.trial.as_mut().map(|trial| &mut trial.generation);
        for generation in std::iter::once(&mut self.current).chain(trial) {
            let mut had_it = false;
            for listener in &mut generation.listeners {
                if Rc::ptr_eq(listener, dead) {
                    *listener = Rc::clone(&new);
                    had_it = true;
                }
            }
            if had_it {
                generation.tell_all(Told::Retire);
            }
        }
    }

    /// While two masters have the sockets, whichever stays does it afterwards.
    fn may_mend(&self, now: Instant) -> bool {
        !matches!(self.phase, Phase::Stopping { .. })
            && !self.is_lent()
            && self.succession.attempt.is_none()
            && self.mending_due(now).is_none()
    }

    /// Until when nothing is bound anew.
    pub(super) fn mending_due(&self, now: Instant) -> Option<Instant> {
        self.mending.pause.filter(|pause| *pause > now)
    }

    /// What to wait for: the end of a listener.
    pub(super) fn endings(&self, now: Instant) -> Vec<PollFd<'_>> {
        if !self.may_mend(now) {
            return Vec::new();
        }
        let listeners = self.serving().flat_map(|generation| &generation.listeners);
        listeners
            .map(|listener| poll::for_end(listener.as_fd()))
            .collect()
    }

    /// Generations whose workers accept.
    fn serving(&self) -> impl Iterator<Item = &Generation> {
        let trial = self.trial.as_ref().map(|trial| &trial.generation);
        std::iter::once(&self.current).chain(trial)
    }
}
