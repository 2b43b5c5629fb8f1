//! Which mail a worker died of, and how many that mail has killed: the table that the workers ask, and its copy on disk.
//!
//! Must never: blame a mail for what it cannot have done, wait, or keep the daemon from going on when the disk does not take the
//! table.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid};

use crate::poison;
use crate::prefork::exit::Exit;
use crate::prefork::poison::Digest;
use crate::prefork::scoreboard::{Held, State};
use crate::sys::privileges;
use crate::sys::process::Death;

use super::child::{Child, Told};
use super::state::Master;

/// The table is written at most so often.
const SAVING: Duration = Duration::from_secs(1);

/// How often mails that have passed, or are too old, are looked for.
const SWEEPING: Duration = Duration::from_secs(10);

/// A mail that a worker died of.
#[derive(Clone, Debug)]
pub struct Culprit {
    pub worker: i32,
    pub mail: String,
    pub digest: Digest,
}

impl Master {
    /// What was known before the start.
    pub(super) fn remember_poison(&mut self) {
        let spool = &self.current.config.daemon.spool;
        poison::sweep(spool);
        match privileges::or_in_the_name_of(self.spooler(), || poison::load(spool)) {
            Ok(entries) => entries
                .iter()
                .for_each(|entry| self.poison.table.put(entry)),
            Err(error) => log::warn!(
                "which mails killed workers before cannot be read below {}: {error}",
                spool.display()
            ),
        }
    }

    pub(super) fn blame(&mut self, culprits: &[Culprit]) {
        for Culprit {
            worker,
            mail,
            digest,
        } in culprits
        {
            // A mail that passed meanwhile begins anew.
            self.sweep_poison();
            let deaths = self.poison.table.add(digest, poison::now());
            self.poison.is_saved = false;
            let daemon = &self.current.config.daemon;
            let limit = u64::from(daemon.poison_limit);
            if limit > 0 && deaths >= limit {
                log::error!(
                    "worker {worker} died of the mail {mail}, which has killed {deaths} by now: from now on its answer is {} (on_poison); its digest is {digest}",
                    daemon.on_poison.word()
                );
            } else {
                log::warn!(
                    "worker {worker} died of the mail {mail}, which has killed {deaths} by now; its digest is {digest}"
                );
            }
        }
    }

    pub(super) fn tend_poison(&mut self, now: Instant) {
        let is_over = |last: Option<Instant>, pause: Duration| {
            last.is_none_or(|last| now.saturating_duration_since(last) >= pause)
        };
        if is_over(self.poison.swept, SWEEPING) {
            self.poison.swept = Some(now);
            self.sweep_poison();
        }
        if !self.poison.is_saved && is_over(self.poison.saved, SAVING) {
            self.save_poison(now);
        }
    }

    /// The table comes to the disk, if it has changed.
    pub(super) fn save_poison(&mut self, now: Instant) {
        if self.poison.is_saved || !self.is_in_force() {
            return;
        }
        let spool = &self.current.config.daemon.spool;
        let entries = self.poison.table.entries();
        let saved = privileges::or_in_the_name_of(self.spooler(), || poison::save(spool, &entries));
        let has_failed = saved.is_err();
        if let Err(error) = saved
            && !self.poison.has_complained
        {
            log::warn!(
                "which mails killed workers cannot be kept below {}: {error}; a restart forgets them",
                spool.display()
            );
        }
        self.poison.is_saved = true;
        self.poison.saved = Some(now);
        self.poison.has_complained = has_failed;
    }

    /// Whose the spool may be, closed to a root that is not above all rights: then the table is read and written in that name.
    fn spooler(&self) -> Option<(Uid, Gid)> {
        let identity = self.current.identity.as_ref();
        identity.map(|identity| (identity.uid, identity.gid))
    }

    pub(super) fn poison_due(&self) -> Option<Instant> {
        if self.poison.is_saved || !self.is_in_force() {
            return None;
        }
        let saved = self.poison.saved?;
        saved.checked_add(SAVING)
    }

    pub(super) fn poison_list(&mut self) -> String {
        self.sweep_poison();
        poison::shown(&self.poison.table.entries())
    }

    pub(super) fn poison_clear(&mut self, now: Instant) -> String {
        self.sweep_poison();
        let number = self.poison.table.clear();
        self.poison.is_saved = false;
        self.save_poison(now);
        log::info!("mails that killed workers are forgotten: {number}");
        format!("forgotten: {number}\n")
    }

    fn sweep_poison(&mut self) {
        if self.poison.table.sweep(poison::oldest(poison::now())) {
            self.poison.is_saved = false;
        }
    }
}

/// The mail that this worker died of, if it died of one.
pub fn culprit(child: &Child, death: Death) -> Option<Culprit> {
    let (digest, held) = child.slot.held()?;
    let end = End {
        held,
        state: child.slot.state(),
        death,
        is_stuck: child.watch.is_stuck(),
        was_cut_off: child.told >= Told::Quit,
    };
    end.is_of_the_mail().then(|| Culprit {
        worker: child.pid.as_raw(),
        mail: child.slot.mail(),
        digest,
    })
}

/// The end of a worker that had a mail.
#[derive(Clone, Copy, Debug)]
struct End {
    held: Held,
    state: Option<State>,
    death: Death,
    is_stuck: bool,
    was_cut_off: bool,
}

impl End {
    /// In the rules, whatever ended it, but us when the time to stop was over. After them the worker waits for the next hop nearly all
    /// the time: then only what a process does to itself counts, not who kills it from outside.
    fn is_of_the_mail(self) -> bool {
        if self.held == Held::Panicked {
            return true;
        }
        if self.is_stuck {
            return self.state == Some(State::Rules);
        }
        if self.was_cut_off {
            return false;
        }
        match self.death {
            Death::Exit(status) => status == i32::from(Exit::Software.status()),
            Death::Signal(_) if self.state == Some(State::Rules) => true,
            Death::Signal(number) => OWN_FAULTS.iter().any(|fault| *fault as i32 == number),
        }
    }
}

const OWN_FAULTS: [Signal; 6] = [
    Signal::SIGABRT,
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGILL,
    Signal::SIGFPE,
    Signal::SIGSYS,
];

#[cfg(test)]
mod tests {
    use super::*;

    // T93
    #[test]
    fn what_a_worker_died_of() {
        use Held::{InHand, Panicked};
        use State::{Relaying, Rules};
        let killed = Death::Signal(Signal::SIGKILL as i32);
        let aborted = Death::Signal(Signal::SIGABRT as i32);
        let end = |held, state| End {
            held,
            state: Some(state),
            death: killed,
            is_stuck: false,
            was_cut_off: false,
        };
        for (end, expected) in [
            // Out of memory, say.
            (end(InHand, Rules), true),
            (end(InHand, Relaying), false),
            (
                End {
                    death: aborted,
                    ..end(InHand, Rules)
                },
                true,
            ),
            (
                End {
                    death: aborted,
                    ..end(InHand, Relaying)
                },
                true,
            ),
            (
                End {
                    death: Death::Exit(70),
                    ..end(InHand, Relaying)
                },
                true,
            ),
            (
                End {
                    death: Death::Exit(71),
                    ..end(InHand, Rules)
                },
                false,
            ),
            (
                End {
                    is_stuck: true,
                    death: aborted,
                    ..end(InHand, Rules)
                },
                true,
            ),
            (
                End {
                    is_stuck: true,
                    death: aborted,
                    ..end(InHand, Relaying)
                },
                false,
            ),
            (
                End {
                    was_cut_off: true,
                    ..end(InHand, Rules)
                },
                false,
            ),
            // It went by itself afterwards, or was told to.
            (
                End {
                    death: Death::Exit(0),
                    ..end(Panicked, State::Session)
                },
                true,
            ),
            (
                End {
                    was_cut_off: true,
                    ..end(Panicked, State::Session)
                },
                true,
            ),
        ] {
            assert_eq!(end.is_of_the_mail(), expected, "{end:?}");
        }
    }
}
