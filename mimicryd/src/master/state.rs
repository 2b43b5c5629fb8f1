//! What the master has in hand: the phase of its life, its generations, and who waits for what.
//!
//! Must never: act; those who do stand above, each with its own part of [`Master`]'s methods.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::io::{self, PipeReader};
use std::rc::Rc;
use std::time::Instant;

use nix::unistd::Pid;

use mimicry_core::config::Config;
use mimicry_core::settings::endpoint::NextHop;

use crate::loading;
use crate::prefork::contract::Program;
use crate::prefork::exit::Exit;
use crate::prefork::listen::Listener;
use crate::prefork::pipes::{Ends, Pipes};
use crate::prefork::scoreboard::Totals;
use crate::prefork::tally::Register;
use crate::sys::launch::Start;
use crate::sys::process::Death;
use crate::sys::signals::Signals;

use super::child::Told;
use super::contract::{Ended, Failure, Options};
use super::control::{ClientId, Control};
use super::detach::Report;
use super::generation::Generation;
use super::handover::{Legacy, Predecessor, Talk};
use super::keepers::Keepers;
use super::names::Names;
use super::pidfile::PidFile;
use super::poison::Poison;
use super::rates::Rates;
use super::servers::Metrics;
use super::watch::Watched;

/// The master, with all that it has.
pub struct Master {
    pub program: Rc<dyn Program>,
    pub started: Instant,
    pub signals: Signals,
    pub pipes: Pipes,
    pub ends: Rc<Ends>,
    pub report: Report,
    pub pid_file: PidFile,
    pub control: Control,
    pub phase: Phase,
    /// The generation in force.
    pub current: Generation,
    pub loading: Option<Loading>,
    /// The same for whoever only wants to know what is wrong, and who asked meanwhile.
    pub checking: Option<Loading>,
    pub check_asked: Vec<ClientId>,
    pub trial: Option<Trial>,
    /// Generations whose workers are to go.
    pub old: Vec<Generation>,
    /// A reload that waits, with those who asked for it.
    pub reload: Option<Vec<ClientId>>,
    /// A reload that is done but for idle workers of the old generation, which may take one more connection each.
    pub settling: Option<Settling>,
    /// Who is answered only when the old workers are gone.
    pub waiters: Vec<Waiter>,
    pub mending: Mending,
    pub stop_askers: Vec<ClientId>,
    /// Of generations that are gone.
    pub past: Totals,
    pub deaths: u64,
    /// Of these: workers that the watchdog ended.
    pub stuck: u64,
    pub watched: Watched,
    pub poison: Poison,
    pub names: Names,
    /// When the workers that keep lines to a next hop were last told that others wait for them.
    pub asked_for_lines: HashMap<NextHop, Instant>,
    pub rates: Rates,
    /// What has a number in the metrics.
    pub register: Register,
    pub metrics: Metrics,
    pub keepers: Keepers,
    pub succession: Succession,
}

/// The masters before and after this one.
pub struct Succession {
    pub start: Start,
    pub foreground: bool,
    /// See [`Options::tell`].
    pub tell: Option<fn(&[String])>,
    /// How often another master took over, since the daemon was started.
    pub upgrades: u64,
    /// An upgrade that waits, with those who asked for it.
    pub wanted: Option<Vec<ClientId>>,
    pub attempt: Option<Attempt>,
    /// Programs that did not become the master, and are about to end.
    pub failed: Vec<Failed>,
    pub predecessor: Option<Predecessor>,
    /// What the masters before this one counted.
    pub inherited: Legacy,
    pub successor: Option<Successor>,
}

impl Succession {
    pub fn of(mut start: Start, options: Options) -> Succession {
        let predecessor = options.predecessor;
        if let Some(before) = &predecessor {
            // A script in between may have called this one by another name.
            start.program.clone_from(&before.program);
        }
        Succession {
            start,
            foreground: options.foreground,
            tell: options.tell,
            upgrades: predecessor.as_ref().map_or(0, |before| before.upgrades),
            wanted: None,
            attempt: None,
            failed: Vec::new(),
            predecessor,
            inherited: Legacy::default(),
            successor: None,
        }
    }

    /// The numbers of the master before, or new ones.
    pub fn register(&mut self) -> io::Result<Register> {
        let before = self.predecessor.as_mut();
        match before.and_then(|before| before.register.take()) {
            Some(register) => Ok(register),
            None => Register::new(),
        }
    }

    /// Of the master before, as long as they are its own.
    pub fn listeners(&self) -> Vec<Rc<Listener>> {
        let before = self.predecessor.as_ref();
        before.map_or_else(Vec::new, |before| before.listeners.clone())
    }

    /// Generations are counted on from master to master.
    pub fn next_generation(&self) -> u64 {
        let before = self.predecessor.as_ref();
        before.map_or(1, |before| before.generation.saturating_add(1))
    }

    /// When the daemon was started, whichever master it had. An error: this one was not started as the one before.
    pub fn started(&self, config: &Config) -> Result<Instant, Failure> {
        let now = Instant::now();
        let Some(before) = &self.predecessor else {
            return Ok(now);
        };
        if before.config != config.path {
            let why = format!(
                "it was started with the configuration {}, and the daemon has {}",
                config.path.display(),
                before.config.display()
            );
            return Err(Failure::new(Exit::Config, why));
        }
        Ok(now.checked_sub(before.age).unwrap_or(now))
    }
}

/// A new program that was started to become the master.
pub struct Attempt {
    pub child: Pid,
    pub line: Talk,
    /// Its standard error, until that is the right one.
    pub errors: Option<PipeReader>,
    /// What came there.
    pub said: Vec<u8>,
    pub deadline: Option<Instant>,
    pub version: String,
    /// It was told that it is the master.
    pub is_handed: bool,
    /// When its end of the line closed.
    pub closed: Option<Instant>,
    pub death: Option<Death>,
    /// Who waits for the outcome.
    pub askers: Vec<ClientId>,
}

/// A program that is to end.
pub struct Failed {
    pub child: Pid,
    /// When it is killed; `None` = it was.
    pub kill_at: Option<Instant>,
}

/// The master after this one.
pub struct Successor {
    pub pid: Pid,
    pub line: Talk,
    /// What those hear who asked for it.
    pub done: String,
    pub askers: Vec<ClientId>,
    /// When they hear it at the latest.
    pub settled: Option<Instant>,
}

/// Where the daemon is in its life.
pub enum Phase {
    /// Until workers accept for the first time.
    Starting,
    Running,
    /// Workers finish what they have.
    Stopping {
        /// When what they have is cut off.
        next: Option<Instant>,
        /// What they were told last.
        told: Told,
        /// What to end with.
        ended: Ended,
    },
}

/// A configuration that a child loads.
pub struct Loading {
    pub child: loading::Trial,
    /// Who waits for the outcome.
    pub askers: Vec<ClientId>,
}

/// A generation on trial.
pub struct Trial {
    pub generation: Generation,
    pub deadline: Option<Instant>,
    /// Who waits for the outcome.
    pub askers: Vec<ClientId>,
}

/// The last stage of a reload.
pub struct Settling {
    pub askers: Vec<ClientId>,
    pub deadline: Option<Instant>,
}

/// Who asked for a reload, and is answered when the old workers are gone.
pub struct Waiter {
    pub client: ClientId,
    pub since: Instant,
    /// When the configuration is in force.
    pub entered: Option<Entered>,
}

/// A configuration in force that somebody waited for.
pub struct Entered {
    pub generation: u64,
    /// What is said of it.
    pub line: String,
}

/// When listeners were last bound anew.
#[derive(Debug, Default)]
pub struct Mending {
    /// No attempt before.
    pub pause: Option<Instant>,
    pub complained: Option<Instant>,
}
