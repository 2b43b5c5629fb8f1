//! The contract of a worker: what it is born with, what serves its connections, and what master and worker need of the program
//! around them.
//!
//! Must never: fork, accept or end; the master and the worker do.

#![forbid(unsafe_code)]

use std::rc::Rc;
use std::sync::Arc;

use mimicry_core::config::Config;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use socket2::Socket;

use super::hops::Hops;
use super::life::Life;
use super::listen::{Listener, Peer};
use super::pipes::Ends;
use super::scoreboard::Slot;
use crate::keeper::Keeper;
use crate::loading::{Rejected, Said, Trial};
use crate::lookup::Find;
use crate::spool::LedgerState;
use crate::sys::privileges::Identity;
use crate::sys::process::Death;

/// What a worker is born with. All signals are blocked.
pub struct Birth {
    pub generation: u64,
    pub config: Arc<Config>,
    pub factory: ServeFactory,
    pub program: Rc<dyn Program>,
    /// Whom to become; `None` = stay who we are.
    pub identity: Option<Identity>,
    /// In the order of the configuration.
    pub listeners: Vec<Rc<Listener>>,
    pub slot: Slot,
    pub ends: Rc<Ends>,
}

/// Serves connections, one at a time. Made in the worker, once in its life.
pub trait Serve {
    /// Serves one connection to its end, then closes it by dropping it.
    ///
    /// It tells `slot` what it is doing ([`Slot::enter`]) and counts there ([`Slot::add`]; [`Counter::Sessions`] is
    /// counted already). It polls `life` along with whatever it waits for, and asks it before each transaction.
    fn session(&mut self, connection: Accepted, slot: &Slot, life: &Life) -> SessionEnd;

    /// No connection came for a minute: what was kept for the next one may go.
    fn rest(&mut self);

    /// Other workers wait for what this one keeps for the next connection: lines to next hops.
    fn give_back(&mut self);
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    Served,
    /// Something in the worker may be broken, as after a panic: it retires.
    Broken,
}

/// A connection that was accepted.
#[derive(Debug)]
pub struct Accepted {
    /// Does not block, is closed on exec, and has no delay (TCP_NODELAY).
    pub socket: Socket,
    pub peer: Peer,
    /// Index into the `listen` of the worker's configuration.
    pub listener: usize,
}

/// Makes, in a new worker, what serves its connections; an error ends the worker, and is its reason.
pub type ServeFactory = Rc<dyn Fn(&Slot) -> Result<Box<dyn Serve>, String>>;

/// What the master needs of the program around it.
pub trait Program {
    /// Has a child load the configuration from its file.
    fn begin(&self) -> Result<Trial, Refused>;

    /// Makes the configuration that the child has found to be right. Called in the master.
    fn finish(&self, said: Said) -> Result<Arc<Config>, Refused>;

    /// Both, waiting for the child.
    fn load(&self) -> Result<Arc<Config>, Refused> {
        self.finish(self.begin()?.wait())
    }

    /// Reads what workers of this configuration need and may not read themselves, such as secrets. Called in the master,
    /// with its privileges, before the fork; an error refuses the configuration.
    /// What the workers share of next hops is to be in `hops` then.
    fn prepare(&self, config: &Arc<Config>, hops: &mut Hops) -> Result<ServeFactory, String>;

    /// What looks the names of next hops up, in processes of their own.
    fn find(&self) -> Find;

    /// This configuration is in force from now on: the log goes where it says. Called in the master, at the start before
    /// anything else.
    fn adopt(&self, config: &Config);

    /// The number of the next generation with this configuration: at least this one, and after all that were ever in force.
    fn number(&self, config: &Config, least: u64) -> u64;

    /// What keeps this configuration, so that one can go back to it, once it is told that it came into force. Called in the master, with the
    /// configuration that was prepared last, before there are workers.
    fn stage(&self, config: &Config) -> Option<Keeper>;

    /// A child that ended; true = it was one of the program's. Called in the master.
    fn buried(&self, child: Pid, death: Death) -> bool;

    /// Opens the log anew. Called in master and workers; false = this worker may not, but one that is born now has the master's.
    fn reopen_log(&self) -> bool;

    /// How the log does. Called in the master.
    fn log_state(&self) -> LogState;

    /// Is the ledger of this configuration in force. Called in the master.
    fn ledger(&self, config: &Config) -> LedgerState;

    /// This process is a new worker of this configuration, which may not be in force yet: its log goes where the configuration
    /// says. Called before anything else there, with the master's privileges and all signals blocked.
    fn born(&self, config: &Config);
}

/// How the log does, for `mimicryd status`. The JSON has the names of these fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogState {
    /// Where it goes, as the configuration says it.
    pub target: String,
    /// Lines that no process of the daemon could write, since the start.
    pub lost: u64,
    /// Why lines do not go out at present.
    pub trouble: Option<String>,
}

/// Why a configuration is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The first mistake, in one line for the log.
    pub line: String,
    /// All of them, for whoever asked.
    pub text: String,
}

impl From<Rejected> for Refused {
    fn from(rejected: Rejected) -> Refused {
        Refused {
            line: rejected.line,
            text: rejected.plain,
        }
    }
}
