//! Who asked for a reload and waits until the last worker of an older configuration is gone (`reload --wait`).
//!
//! Must never: keep the control socket from others, or wait for a worker that is younger than the reload.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use crate::prefork::exit::Exit;

use super::control::{Answer, ClientId};
use super::state::{Entered, Master, Waiter};

/// So many at a time; the control socket has room for a few more clients.
const MOST: usize = 4;

impl Master {
    /// Whether there is room for one more, which is then one of them.
    pub(super) fn may_wait(&mut self, client: ClientId, now: Instant) -> bool {
        self.forget_waiters();
        let has_room = self.waiters.len() < MOST;
        if has_room {
            self.waiters.push(Waiter {
                client,
                since: now,
                entered: None,
            });
        }
        has_room
    }

    /// The configuration in force is the one that this client asked for. True = it is answered later.
    pub(super) fn keeps_waiting(&mut self, client: ClientId) -> bool {
        let (generation, line) = (self.current.number, self.in_force());
        let found = self.waiters.iter_mut().find(|one| one.client == client);
        let waiter = found.map(|waiter| waiter.entered = Some(Entered { generation, line }));
        waiter.is_some()
    }

    /// Answers those whose old workers are all gone.
    pub(super) fn answer_waiters(&mut self, now: Instant) {
        self.forget_waiters();
        let old = self.old.iter().filter(|one| !one.children.is_empty());
        let oldest = old.map(|generation| generation.number).min();
        let is_done = |waiter: &mut Waiter| {
            let entered = waiter.entered.as_ref();
            entered.is_some_and(|entered| oldest.is_none_or(|oldest| oldest >= entered.generation))
        };
        let done: Vec<Waiter> = self.waiters.extract_if(.., is_done).collect();
        for waiter in done {
            let took = now.saturating_duration_since(waiter.since);
            let answer = Answer::done(waiter.done(took));
            self.control.answer(waiter.client, &answer);
        }
    }

    /// The daemon stops: those whose configuration came into force hear that this is all.
    pub(super) fn dismiss_waiters(&mut self) {
        for waiter in std::mem::take(&mut self.waiters) {
            if let Some(Entered { line, .. }) = waiter.entered {
                let answer = Answer {
                    status: Exit::Unavailable,
                    text: format!("{line}\nthe daemon stops before the last old worker is gone\n"),
                };
                self.control.answer(waiter.client, &answer);
            }
        }
    }

    /// Those who have gone or were refused.
    fn forget_waiters(&mut self) {
        let control = &self.control;
        self.waiters.retain(|waiter| control.has(waiter.client));
    }
}

impl Waiter {
    fn done(&self, took: Duration) -> String {
        let line = self.entered.as_ref().map_or("", |one| one.line.as_str());
        let seconds = took.as_secs_f64();
        format!("{line}\nthe last old worker ended after {seconds:.1} s\n")
    }
}
