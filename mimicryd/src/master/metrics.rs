//! Metrics: the process that serves them is started, replaced and ended here, and what only the master knows is written down for it.
//!
//! It is replaced at each reload, because another configuration has other names, and when the log is opened anew.
//!
//! Must never: hear who asks for them; or be in the way of a mail: whatever fails here, the daemon goes on.

#![forbid(unsafe_code)]

use std::io;
use std::rc::Rc;
use std::time::Instant;

use nix::unistd::Pid;

use crate::clock;
use crate::metrics::{Format, Source};
use crate::prefork::listen::Listener;
use crate::prefork::tally::{Gauge, Occasion};
use crate::scrape::Birth;
use crate::sys::process::{self, Death, Side};
use crate::sys::signals;

use super::servers::Server;
use super::state::{Master, Phase};

impl Master {
    /// Sees to it that metrics are served, if they are to be. In the new process the result is its birth.
    pub(super) fn tend_metrics(&mut self, now: Instant) -> Option<Birth> {
        let is_running = matches!(self.phase, Phase::Running) && self.is_in_force();
        let wanted = self.current.metrics().filter(|_| is_running).cloned();
        let generation = self.current.number;
        let is_outdated = |server: &mut Server| {
            let is_same = |listener| Rc::ptr_eq(listener, &server.listener);
            server.generation != generation || !wanted.as_ref().is_some_and(is_same)
        };
        let outdated = self.metrics.current.take_if(is_outdated);
        let is_paused = self.metrics.pause.is_some_and(|until| until > now);
        let born = match wanted.filter(|_| self.metrics.current.is_none() && !is_paused) {
            Some(listener) => self.start_server(listener, now),
            None => None,
        };
        if born.is_none()
            && let Some(server) = outdated
        {
            self.metrics.retire(&server);
        }
        born
    }

    fn start_server(&mut self, listener: Rc<Listener>, now: Instant) -> Option<Birth> {
        let failed = |error: io::Error| {
            log::error!("no process for metrics can be started: {error}; trying again");
        };
        let source = self.source()?;
        let before = signals::block_all().map_err(failed).ok()?;
        let side = process::fork();
        if let Ok(Side::Child) = side {
            let daemon = &self.current.config.daemon;
            return Some(Birth {
                source,
                listener,
                identity: self.current.identity.clone(),
                sandbox: daemon.sandbox,
                core_dumps: daemon.core_dumps,
                ends: Rc::clone(&self.ends),
            });
        }
        let _ = signals::restore(&before);
        match side {
            Ok(Side::Parent(pid)) => {
                self.metrics.current = Some(Server {
                    pid,
                    user: self.current.identity.as_ref().map(|one| (one.uid, one.gid)),
                    since: now,
                    generation: self.current.number,
                    listener,
                });
            }
            Ok(Side::Child) => {}
            Err(error) => {
                failed(error);
                self.metrics.rest(now);
            }
        }
        None
    }

    /// What is to be shown.
    fn source(&self) -> Option<Source> {
        let trial = self.trial.as_ref().map(|trial| &trial.generation);
        let others = self.old.iter().chain(trial);
        let boards = others.chain(Some(&self.current));
        let hops = self.names.hops.iter();
        let mut hops: Vec<_> = hops
            .map(|(next_hop, hop)| (next_hop.to_string(), hop.clone()))
            .collect();
        hops.sort_by(|one, other| one.0.cmp(&other.0));
        Some(Source {
            tally: self.current.board.tally()?.clone(),
            boards: boards.map(|one| one.board.clone()).collect(),
            hops,
            lost_before: self.lost_before(),
            key_ends: Rc::clone(&self.current.key_ends),
        })
    }

    /// For `mimicryd metrics`.
    pub(super) fn metrics_text(&self, now: Instant) -> String {
        let source = self.source();
        source.map_or_else(String::new, |source| source.text(Format::Text, now))
    }

    /// Somebody else collected a child that ended; true = it served metrics.
    pub(super) fn buried_server(&mut self, pid: Pid, death: Death, now: Instant) -> bool {
        let metrics = &mut self.metrics;
        if metrics.old.extract_if(.., |old| *old == pid).count() > 0 {
            return true;
        }
        let Some(server) = metrics.current.take_if(|server| server.pid == pid) else {
            return false;
        };
        log::error!(
            "the process for metrics {}; another one is started",
            death.describe()
        );
        metrics.died(&server, now);
        true
    }

    /// Another process takes the place of the one that serves metrics.
    pub(super) fn renew_server(&mut self) {
        self.metrics.end();
    }

    pub(super) fn metrics_due(&self) -> Option<Instant> {
        self.metrics
            .pause
            .filter(|_| self.metrics.current.is_none())
    }

    /// What this configuration changes about the numbers of the whole daemon.
    pub(super) fn note_configuration(&self, occasion: Option<Occasion>) {
        let Some(tally) = self.current.board.tally() else {
            return;
        };
        let now = u64::try_from(clock::now().unix).unwrap_or_default();
        let age = self.started.elapsed().as_secs();
        tally.set(Gauge::Started, now.saturating_sub(age));
        tally.set(Gauge::Generation, self.current.number);
        tally.set(Gauge::ReloadDone, 1);
        tally.set(Gauge::ReloadedAt, now);
        self.note_workers();
        if let Some(occasion) = occasion {
            tally.happened(occasion);
        }
    }

    pub(super) fn note_refusal(&self) {
        if let Some(tally) = self.current.board.tally() {
            tally.set(Gauge::ReloadDone, 0);
            tally.happened(Occasion::ReloadRefused);
        }
    }

    pub(super) fn note_workers(&self) {
        if let Some(tally) = self.current.board.tally() {
            tally.set(Gauge::WorkersMin, self.current.workers.min as u64);
            tally.set(Gauge::WorkersMax, self.current.workers.max as u64);
        }
    }
}
