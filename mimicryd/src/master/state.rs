//! What the master has in hand: the phase of its life, its generations, and who waits for what.
//!
//! Must never: act; those who do stand above, each with its own part of [`Master`]'s methods.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use mimicry_core::settings::endpoint::NextHop;

use crate::loading;
use crate::prefork::contract::Program;
use crate::prefork::pipes::{Ends, Pipes};
use crate::prefork::scoreboard::Totals;
use crate::sys::signals::Signals;

use super::child::Told;
use super::contract::Ended;
use super::control::{ClientId, Control};
use super::detach::Report;
use super::generation::Generation;
use super::names::Names;
use super::pidfile::PidFile;
use super::poison::Poison;
use super::rates::Rates;
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
