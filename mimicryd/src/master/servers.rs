//! The processes that serve metrics, as the master knows them.
//!
//! Must never: start one again at once that fails at once.

#![forbid(unsafe_code)]

use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::{Gid, Pid, Uid};

use crate::prefork::listen::Listener;
use crate::sys::send;

/// One that died is replaced so much later; twice as much after each further one that lived no longer than [`LONG`].
const PAUSE: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(60);

/// The processes that serve metrics.
#[derive(Default)]
pub struct Metrics {
    /// The one that is to serve.
    pub current: Option<Server>,
    /// Those that finish what they have begun.
    pub old: Vec<Pid>,
    /// No other one before.
    pub pause: Option<Instant>,
    /// In a row that died young.
    failures: u32,
}

pub struct Server {
    pub pid: Pid,
    /// Whom it became, if anybody else than the master is.
    pub user: Option<(Uid, Gid)>,
    pub since: Instant,
    /// The generation whose names it shows.
    pub generation: u64,
    pub listener: Rc<Listener>,
}

impl Metrics {
    /// One that lived long is no failure of those before.
    pub fn died(&mut self, server: &Server, now: Instant) {
        if now.saturating_duration_since(server.since) > LONG {
            self.failures = 0;
        }
        self.rest(now);
    }

    /// What fails at once is not to be tried in a circle.
    pub fn rest(&mut self, now: Instant) {
        let pause = PAUSE.saturating_mul(1 << self.failures.min(6)).min(LONG);
        self.failures = self.failures.saturating_add(1);
        self.pause = now.checked_add(pause);
    }

    /// It takes no more requests, and ends when it has answered.
    pub fn retire(&mut self, server: &Server) {
        let pid = server.pid;
        if let Err(error) = send::to_child(pid, Signal::SIGTERM, server.user) {
            log::error!("the process for metrics {pid} cannot be told to end: {error}");
        }
        self.old.push(pid);
    }

    /// The daemon ends, or another master serves them.
    pub fn end(&mut self) {
        if let Some(server) = self.current.take() {
            self.retire(&server);
        }
    }
}
