//! What is done about a worker that is stuck: ABRT, then KILL. [`watch`](super::watch) says which one is.
//!
//! Must never: wait for a worker, or signal one that the decision does not name.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use mimicry_core::settings::Daemon;

use crate::prefork::scoreboard::State;
use crate::sys::process;

use super::child::{Child, Told};
use super::state::{Master, Phase};
use super::watch::{Facts, Look, STEP, Why, step};

/// A worker that somebody has stopped (SIGSTOP) may stand still for so long, and no longer than a mail may take: the kernel may have
/// woken it, and no other, for a connection.
const STOPPED: Duration = Duration::from_secs(10);

impl Master {
    /// Looks at all workers, where it is time.
    pub(super) fn watch(&mut self, now: Instant) {
        let is_any_stuck = self.generations().any(|generation| {
            generation
                .children
                .iter()
                .any(|child| child.watch.is_stuck())
        });
        let step = match is_any_stuck {
            true => STEP.0,
            false => step(self.current.config.daemon.mail_timeout),
        };
        if !self.watched.advance(now, step) {
            return;
        }
        let time = self.watched.passed;
        let mut stuck: u64 = 0;
        for generation in self.generations() {
            let daemon = &generation.config.daemon;
            for child in &mut generation.children {
                let facts = facts(child, daemon);
                match child.watch.look(facts, time) {
                    Look::Well => {}
                    Look::Abort(why) => {
                        log::error!("{}", complaint(child, why));
                        stuck = stuck.saturating_add(1);
                        child.tell(Told::Abort);
                    }
                    Look::Kill => child.tell(Told::Kill),
                }
            }
        }
        self.stuck = self.stuck.saturating_add(stuck);
    }

    pub(super) fn watching_due(&self) -> Option<Instant> {
        match &self.phase {
            // A worker that was cut off is killed soon in any case.
            Phase::Stopping { told, .. } if *told >= Told::Quit => None,
            _ => self.watched.due(),
        }
    }
}

fn facts(child: &Child, daemon: &Daemon) -> Facts {
    let mark = child.slot.mark();
    let limit = match child.slot.state() {
        Some(State::Rules) => Some(daemon.mail_timeout),
        _ => child.slot.limit(),
    };
    Facts {
        mark,
        limit,
        is_stopped: process::is_stopped(child.pid),
        patience: daemon.mail_timeout.min(STOPPED),
    }
}

/// What it was doing, in one line.
fn complaint(child: &Child, why: Why) -> String {
    let why = match why {
        Why::TooLong => "is stuck",
        Why::Stopped => "was stopped by a signal and did not go on",
    };
    format!("worker {} {why}, {}: it is killed", child.pid, deed(child))
}

/// What a worker does: its state, for how long, and the mail and the rule.
pub fn deed(child: &Child) -> String {
    let slot = &child.slot;
    let (Some(state), seconds) = (slot.state(), slot.age().as_secs_f32()) else {
        return "before it accepted".into();
    };
    let mut deed = format!("in state {} for {seconds:.1} s", state.word());
    if matches!(state, State::Rules | State::Relaying) {
        deed.push_str(&format!(", mail {}", slot.mail()));
    }
    if state == State::Rules {
        deed.push_str(&match slot.rule() {
            rule if rule.is_empty() => ", in no rule".into(),
            rule => format!(", in rule {rule:?}"),
        });
    }
    deed
}
