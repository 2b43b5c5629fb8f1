//! How the master stops: mails in hand are finished first, and what the daemon had put into the file system goes last.
//!
//! Must never: take away what another master has taken over.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use sd_notify::NotifyState;

use crate::prefork::contract::Refused;
use crate::prefork::exit::Exit;
use crate::prefork::listen;

use super::child::Told;
use super::contract::{Ended, Failure, notify};
use super::control::Answer;
use super::state::{Master, Phase};

/// After QUIT a worker has this long before it is killed.
const GRACE: Duration = Duration::from_secs(1);

impl Master {
    /// TERM or INT, or a request: the first lets sessions finish, the second does not.
    pub(super) fn stop(&mut self, now: Instant) {
        let patience = self.current.config.daemon.drain_timeout;
        match &mut self.phase {
            // Another master has taken over, and until now there was no hurry.
            Phase::Stopping { next, told, .. } if *told < Told::Drain => {
                *told = Told::Drain;
                *next = now.checked_add(patience);
                for generation in self.generations() {
                    generation.tell_all(Told::Drain);
                }
                self.tell_predecessor(Signal::SIGTERM);
            }
            Phase::Stopping { .. } => self.hurry(now, Told::Quit),
            Phase::Starting => {
                let why = "told to stop before workers accepted";
                self.give_up(now, Failure::new(Exit::Unavailable, why).into());
            }
            Phase::Running => {
                let ended = Ended {
                    status: Exit::Ok,
                    message: None,
                };
                log::info!("stopping: mails in hand have {} s", patience.as_secs());
                self.tell_predecessor(Signal::SIGTERM);
                self.begin_to_stop(now, ended, now.checked_add(patience), Told::Drain);
            }
        }
    }

    /// The start failed.
    pub(super) fn give_up(&mut self, now: Instant, ended: Ended) {
        if self.is_lent() {
            // The daemon goes on without these workers, and what they have begun is mail as any other.
            let patience = self.current.config.daemon.drain_timeout;
            self.begin_to_stop(now, ended, now.checked_add(patience), Told::Drain);
        } else {
            self.begin_to_stop(now, ended, now.checked_add(GRACE), Told::Quit);
        }
    }

    fn begin_to_stop(&mut self, now: Instant, ended: Ended, next: Option<Instant>, told: Told) {
        if !self.is_lent() {
            notify(&[NotifyState::Stopping]);
        }
        // Whoever is refused from here on hears why.
        self.phase = Phase::Stopping { next, told, ended };
        self.abandon_upgrade(now);
        if self.trial.is_some() {
            self.abandon("the daemon stops");
        }
        if let Some(settling) = &mut self.settling {
            settling.deadline = None;
            self.settle(now);
        }
        let refused = Refused {
            line: "the daemon stops".into(),
            text: "the daemon stops".into(),
        };
        self.abandon_loading(&refused);
        self.abandon_checks();
        if let Some(askers) = self.reload.take() {
            self.refuse(&askers, &refused);
        }
        self.dismiss_waiters();
        self.metrics.end();
        self.keepers.hurry(now);
        for generation in self.generations() {
            generation.tell_all(told);
        }
        // New connections are refused from here on, rather than left waiting.
        listen::close(&self.current.listeners, &self.succession.listeners());
        self.current.let_go();
    }

    pub(super) fn is_stopping(&self) -> bool {
        matches!(self.phase, Phase::Stopping { .. })
    }

    /// A reload or an upgrade has come to its end. That the daemon stops was the last word, and is not taken back.
    pub(super) fn notify_ready(&self) {
        if !self.is_stopping() {
            notify(&[NotifyState::Ready]);
        }
    }

    /// Tells all workers something more urgent.
    pub(super) fn hurry(&mut self, now: Instant, more: Told) {
        for generation in self.generations() {
            generation.tell_all(more);
        }
        if more == Told::Quit {
            self.tell_predecessor(Signal::SIGQUIT);
        }
        if let Phase::Stopping { next, told, .. } = &mut self.phase
            && more > *told
        {
            *told = more;
            *next = if more < Told::Kill {
                now.checked_add(GRACE)
            } else {
                None
            };
        }
    }

    pub(super) fn is_over(&mut self) -> Option<Ended> {
        let Phase::Stopping { ended, told, .. } = &self.phase else {
            return None;
        };
        let succession = &self.succession;
        let waits = succession.successor.as_ref();
        // Its workers are the daemon's, too, unless they were told to be quick.
        let is_alone = succession.predecessor.is_none() || self.is_lent() || *told >= Told::Quit;
        let is_over = self.current.children.is_empty()
            && self.old.is_empty()
            && is_alone
            && !self.keepers.are_waited_for(Instant::now())
            && waits.is_none_or(|successor| successor.askers.is_empty());
        is_over.then(|| ended.clone())
    }

    /// After the last worker: takes away what the daemon had put into the file system, and says goodbye; last of all to
    /// those who asked it to stop, for they may start it again at once.
    pub(super) fn end(mut self) {
        self.save_poison(Instant::now());
        self.end_failed(|_| true);
        if let Some(successor) = &self.succession.successor {
            // An error: it has ended before this one.
            let _ = successor.line.send(&self.legacy());
        }
        listen::close(&self.current.listeners, &self.succession.listeners());
        self.control.remove();
        self.pid_file.remove();
        match &self.succession.successor {
            Some(successor) => {
                log::info!(
                    "this process ends, and process {} is the master",
                    successor.pid
                );
            }
            None => log::info!("stopped"),
        }
        let answer = Answer::done("stopped\n");
        for asker in self.stop_askers {
            self.control.answer(asker, &answer);
        }
    }
}
