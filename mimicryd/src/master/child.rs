//! A worker, as the master knows it: its process, its slot, and what it was told.
//!
//! Must never: take back what it was told.

#![forbid(unsafe_code)]

use nix::sys::signal::Signal;
use nix::unistd::{Gid, Pid, Uid};

use crate::prefork::scoreboard::Slot;
use crate::sys::send;

use super::watch::Watch;

/// A worker, as the master knows it.
#[derive(Debug)]
pub struct Child {
    pub pid: Pid,
    /// Whom it became, if anybody else than the master is.
    pub user: Option<(Uid, Gid)>,
    /// Its index in the scoreboard.
    pub index: usize,
    pub slot: Slot,
    pub told: Told,
    pub watch: Watch,
}

/// What a worker was told, from the least to the most urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    Nothing,
    Retire,
    Drain,
    Quit,
    /// It is stuck.
    Abort,
    Kill,
}

impl Child {
    /// Sends the signal that says so, if the worker does not know yet.
    pub fn tell(&mut self, what: Told) {
        let signal = match what {
            Told::Nothing => return,
            Told::Retire => Signal::SIGHUP,
            Told::Drain => Signal::SIGTERM,
            Told::Quit => Signal::SIGQUIT,
            Told::Abort => Signal::SIGABRT,
            Told::Kill => Signal::SIGKILL,
        };
        if what > self.told {
            self.told = what;
            self.send(signal);
        }
    }

    pub fn send(&self, signal: Signal) {
        if let Err(error) = send::to_child(self.pid, signal, self.user) {
            log::error!("cannot send {signal} to worker {}: {error}", self.pid);
        }
    }
}
