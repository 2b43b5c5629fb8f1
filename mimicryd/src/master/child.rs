//! A worker, as the master knows it: its process, its slot, and what it was told.
//!
//! Must never: take back what it was told.

#![forbid(unsafe_code)]

use std::io;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid};

use crate::prefork::scoreboard::Slot;
use crate::sys::privileges;

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

    /// Root without CAP_KILL may not signal others, so then its user does. It is our child and not reaped yet, so the process id is no other's.
    pub fn send(&self, signal: Signal) {
        let send = || kill(self.pid, signal).map_err(io::Error::from);
        match privileges::or_in_the_name_of(self.user, send) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => {}
            Err(error) => log::error!("cannot send {signal} to worker {}: {error}", self.pid),
        }
    }
}
