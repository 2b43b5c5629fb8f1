//! How a new generation takes over from an old one.
//!
//! A child loads the configuration first, so that nothing in it can kill or hold up the master; meanwhile the master
//! continues. A new generation is put on trial beside the one in force: its listeners are open and its workers are
//! forked, and only when as many of them accept as the configuration asks for is the old one retired. If anything fails
//! before that, the old generation is not affected. Sockets that both have are the same, so no connection is refused
//! meanwhile.
//!
//! Must never touch the generation in force before the new one works.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use mimicry_core::settings::Daemon;
use sd_notify::NotifyState;

use crate::prefork::contract::Refused;
use crate::prefork::exit::Exit;
use crate::prefork::listen;
use crate::prefork::scoreboard::State;
use crate::prefork::tally::Occasion;

use super::child::{Child, Told};
use super::contract::{notify, survived};
use super::control::{Answer, ClientId};
use super::generation::{Generation, Heritage, Progress};
use super::state::{Loading, Master, Settling, Trial};

/// For so long the workers of a new configuration may take until they accept.
const TRIAL: Duration = Duration::from_secs(60);

/// Idle workers that were told to go are waited for at most so long before a reload is said to be done.
pub const SETTLE: Duration = Duration::from_secs(5);

/// How often they are looked at meanwhile.
pub const LOOK: Duration = Duration::from_millis(10);

impl Master {
    pub(super) fn progress_of_reload(&mut self, now: Instant) {
        if self.settling.is_some() {
            self.settle(now);
            return;
        }
        match self.trial.as_ref().map(|trial| trial.progress(now)) {
            None if self.loading.is_some() => self.progress_of_loading(now),
            None => {
                if let Some(askers) = self.reload.take() {
                    self.begin_reload(askers, now);
                }
            }
            Some(Progress::Open) => {}
            Some(Progress::Passed) => self.take_over(now),
            Some(Progress::Failed(why)) => self.abandon(&why),
        }
    }

    /// Has a child load the configuration.
    fn begin_reload(&mut self, askers: Vec<ClientId>, now: Instant) {
        if let Ok(moment) = NotifyState::monotonic_usec_now() {
            notify(&[NotifyState::Reloading, moment]);
        }
        match survived(|| self.program.begin()).unwrap_or_else(|| Err(broke())) {
            Ok(child) => {
                self.loading = Some(Loading { child, askers });
                self.progress_of_loading(now);
            }
            Err(refused) => self.refuse(&askers, &refused),
        }
    }

    /// When the child is done, makes its configuration the one on trial.
    fn progress_of_loading(&mut self, now: Instant) {
        let Some(loading) = &mut self.loading else {
            return;
        };
        let Some(said) = loading.child.step(now) else {
            return;
        };
        let Some(Loading { askers, .. }) = self.loading.take() else {
            return;
        };
        let open = || {
            let config = self.program.finish(said)?;
            let heritage = Heritage {
                hops: &mut self.names.hops,
                listeners: self.current.listeners.clone(),
                inherited: &mut Vec::new(),
                patience: Duration::ZERO,
                poison: self.poison.table.clone(),
                register: &mut self.register,
                epoch: self.started,
            };
            let least = self.current.number.saturating_add(1);
            let number = self.program.number(&config, least);
            Ok(Generation::open(number, config, &self.program, heritage)?)
        };
        match survived(open).unwrap_or_else(|| Err(broke())) {
            Ok(generation) => {
                self.trial = Some(Trial {
                    generation,
                    deadline: now.checked_add(TRIAL),
                    askers,
                });
            }
            Err(refused) => self.refuse(&askers, &refused),
        }
    }

    /// Ends a child that still loads a configuration: the daemon stops.
    pub(super) fn abandon_loading(&mut self, why: &Refused) {
        if let Some(Loading { child, askers }) = self.loading.take() {
            child.abandon();
            self.refuse(&askers, why);
        }
    }

    /// The generation on trial works: it is the one in force, and the others are to go.
    fn take_over(&mut self, now: Instant) {
        let Some(Trial {
            generation, askers, ..
        }) = self.trial.take()
        else {
            return;
        };
        let mut before = std::mem::replace(&mut self.current, generation);
        for note in unchanged(&before.config.daemon, &self.current.config.daemon) {
            log::warn!("{note}");
        }
        self.program.adopt(&self.current.config);
        self.keep();
        self.note_configuration(Some(Occasion::Reloaded));
        before.tell_all(Told::Retire);
        listen::close(&before.listeners, &self.current.listeners);
        before.let_go();
        self.old.push(before);
        self.limit_old();
        self.settling = Some(Settling {
            askers,
            deadline: now.checked_add(SETTLE),
        });
        self.settle(now);
    }

    /// Says that a reload is done once no worker waits for connections with the old configuration any more, and the new one is kept.
    pub(super) fn settle(&mut self, now: Instant) {
        let mut workers = self.old.iter().flat_map(|one| &one.children);
        // The next one waits neither for the disk nor for this answer.
        let is_writing = self.keepers.is_writing() && self.reload.is_none();
        let is_waiting = is_writing || workers.any(|child| child.slot.state() == Some(State::Idle));
        let Some(Settling { askers, .. }) = self
            .settling
            .take_if(|settling| !is_waiting || settling.deadline.is_none_or(|end| end <= now))
        else {
            return;
        };
        let line = self.in_force();
        log::info!("{line}");
        let answer = Answer::done(line + "\n");
        for asker in askers {
            if !self.keeps_waiting(asker) {
                self.control.answer(asker, &answer);
            }
        }
        self.notify_ready();
    }

    /// Which configuration is, as a sentence.
    pub(super) fn in_force(&self) -> String {
        format!(
            "configuration {} is in force, generation {}, hash {}",
            self.current.config.path.display(),
            self.current.number,
            self.current.config.hash
        )
    }

    /// Old workers may finish their sessions, but reload after reload they must not become more and more: beyond `max` of
    /// them, the oldest finish the mail in hand only.
    fn limit_old(&mut self) {
        // The idle ones are as good as gone.
        let sessions = |generation: &Generation| {
            let is_busy = |child: &&Child| child.slot.state().is_some_and(State::is_busy);
            generation.children.iter().filter(is_busy).count()
        };
        let mut number: usize = self.old.iter().map(sessions).sum();
        for generation in &mut self.old {
            if number <= self.current.workers.max {
                return;
            }
            number = number.saturating_sub(sessions(generation));
            generation.tell_all(Told::Drain);
        }
    }

    /// The generation on trial does not work.
    pub(super) fn abandon(&mut self, why: &str) {
        let Some(Trial {
            mut generation,
            askers,
            ..
        }) = self.trial.take()
        else {
            return;
        };
        generation.dismiss();
        listen::close(&generation.listeners, &self.current.listeners);
        generation.let_go();
        self.old.push(generation);
        let refused = Refused {
            line: why.to_string(),
            text: why.to_string(),
        };
        self.refuse(&askers, &refused);
    }

    pub(super) fn refuse(&mut self, askers: &[ClientId], refused: &Refused) {
        let (status, outcome) = if self.is_stopping() {
            // It says nothing about the configuration.
            log::warn!("nothing was reloaded: {}", refused.line);
            (Exit::Unavailable, "nothing was reloaded")
        } else {
            log::error!(
                "configuration refused, the old one stays in force: {}",
                refused.line
            );
            self.note_refusal();
            let outcome = "the configuration was refused, the old one stays in force";
            (Exit::Config, outcome)
        };
        let answer = Answer {
            status,
            text: format!("{}\n{outcome}\n", refused.text.trim_end()),
        };
        for asker in askers {
            self.control.answer(*asker, &answer);
        }
        self.notify_ready();
    }
}

impl Trial {
    pub fn progress(&self, now: Instant) -> Progress {
        match self.generation.progress() {
            Progress::Open if self.deadline.is_some_and(|deadline| deadline <= now) => {
                Progress::Failed(format!(
                    "the new workers did not accept within {} s",
                    TRIAL.as_secs()
                ))
            }
            other => other,
        }
    }
}

fn broke() -> Refused {
    let why = "mimicryd failed while it loaded the configuration, which is a bug in mimicryd";
    Refused {
        line: why.into(),
        text: why.into(),
    }
}

/// What a reload does not change, as sentences for the log.
fn unchanged(old: &Daemon, new: &Daemon) -> Vec<String> {
    let paths = [
        ("pid_file", &old.pid_file, &new.pid_file),
        ("control", &old.control, &new.control),
    ];
    paths
        .into_iter()
        .filter(|(_, old, new)| old != new)
        .map(|(name, old, _)| format!("{name} stays {} until a restart", old.display()))
        .collect()
}
