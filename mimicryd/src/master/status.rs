//! What `mimicryd status` shows: the facts of this moment, gathered.
//!
//! Must never: say how they are shown; [`status`](crate::status) does.

#![forbid(unsafe_code)]

use std::time::Instant;

use mimicry_core::settings::words::Sandbox;

use crate::clock;
use crate::prefork::contract::LogState;
use crate::prefork::scoreboard::{Counter, State};
use crate::prefork::tally::Gauge;
use crate::status::{
    KeyStatus, ListenerStatus, NextHopStatus, SandboxStatus, Status, WorkerStatus, named,
};
use crate::sys::queue;
use crate::sys::sandbox::Kernel;

use super::child::{Child, Told};
use super::generation::Generation;
use super::names::Names;
use super::state::{Master, Phase};

impl Master {
    /// From the moment that it was asked for.
    fn is_reloading(&self) -> bool {
        let is_asked = self.reload.is_some() || self.loading.is_some();
        is_asked || self.trial.is_some() || self.settling.is_some()
    }

    pub(super) fn status(&self, now: Instant) -> Status {
        let totals = self.totals();
        let trial = self.trial.as_ref().map(|trial| &trial.generation);
        let generations = self.old.iter().chain(Some(&self.current)).chain(trial);
        let mut workers: Vec<WorkerStatus> = Vec::new();
        for generation in generations {
            let children = generation.children.iter();
            workers.extend(children.map(|child| worker(generation, child)));
        }
        workers.sort_by_key(|worker| (worker.generation, worker.pid));
        let tally = self.current.board.tally();
        let listeners = self
            .current
            .config
            .listen
            .iter()
            .zip(&self.current.listeners);
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            uptime_seconds: now.saturating_duration_since(self.started).as_secs(),
            upgrades: self.succession.upgrades,
            predecessor: self
                .succession
                .predecessor
                .as_ref()
                .map(|one| one.pid.as_raw()),
            generation: self.current.number,
            generation_hash: self.current.config.hash.clone(),
            config: self.current.config.path.display().to_string(),
            state: String::from(match &self.phase {
                Phase::Starting => "starting",
                Phase::Running if self.succession.attempt.is_some() => "upgrading",
                Phase::Running if self.is_reloading() => "reloading",
                Phase::Running => "running",
                Phase::Stopping { .. } => "stopping",
            }),
            listeners: listeners
                .map(|(listen, listener)| ListenerStatus {
                    name: listen.name.clone(),
                    address: listener.place(),
                    rebound: listener.rebound(),
                    waiting: queue::waiting(listener.as_fd()),
                })
                .collect(),
            metrics: self.current.metrics().map(|listener| listener.place()),
            last_reload_done: tally.is_none_or(|tally| tally.gauge(Gauge::ReloadDone) != 0),
            poison: self.poison.table.entries().len(),
            keys: self.keys(),
            ledger_entries: tally.map_or(0, |tally| tally.gauge(Gauge::LedgerEntries)),
            next_hops: self.next_hops(now),
            log: LogState {
                lost: self.all_lost(),
                ..self.program.log_state()
            },
            sandbox: sandbox(self.current.config.daemon.sandbox),
            ledger: self.program.ledger(&self.current.config),
            min: self.current.workers.min,
            max: self.current.workers.max,
            spare: self.current.workers.spare,
            mails_per_second: self.rates.rate(totals.get(Counter::Mails), now),
            totals: named(&totals),
            deaths: self.all_deaths(),
            stuck: self.all_stuck(),
            workers,
        }
    }
}

impl Master {
    fn keys(&self) -> Vec<KeyStatus> {
        let now = clock::now().unix;
        let ends = self.current.key_ends.iter();
        ends.map(|(rule, end)| KeyStatus {
            rule: rule.clone(),
            ends_seconds: i64::try_from(*end).unwrap_or(i64::MAX).saturating_sub(now),
        })
        .collect()
    }

    fn next_hops(&self, now: Instant) -> Vec<NextHopStatus> {
        let hops = self.names.hops.iter();
        let mut all: Vec<NextHopStatus> = hops
            .map(|(next_hop, hop)| {
                let addresses = hop.addresses().unwrap_or_default();
                let is_name = Names::name(next_hop).is_some();
                let (connections, idle) = hop.lines();
                NextHopStatus {
                    next_hop: next_hop.to_string(),
                    addresses: addresses.iter().map(ToString::to_string).collect(),
                    found_seconds: (hop.found_ago(now).filter(|_| is_name))
                        .map(|ago| ago.as_secs()),
                    lost: hop.is_lost(),
                    away_seconds: hop.away_for(now).map(|away| tenths(away.as_secs_f64())),
                    failed: hop.failures(),
                    connections,
                    idle,
                }
            })
            .collect();
        all.sort_by(|one, other| one.next_hop.cmp(&other.next_hop));
        all
    }
}

fn tenths(seconds: f64) -> f64 {
    (seconds * 10.0).round() / 10.0
}

fn worker(generation: &Generation, child: &Child) -> WorkerStatus {
    let state = child.slot.state().unwrap_or(State::Starting);
    let some = |text: String| (!text.is_empty()).then_some(text);
    let has_mail = matches!(state, State::Rules | State::Relaying);
    WorkerStatus {
        pid: child.pid.as_raw(),
        generation: generation.number,
        generation_hash: generation.config.hash.clone(),
        state: state.word().into(),
        age_seconds: (child.slot.age().as_secs_f64() * 1000.0).round() / 1000.0,
        leaving: child.told != Told::Nothing,
        mail: some(child.slot.mail()).filter(|_| has_mail),
        rule: some(child.slot.rule()).filter(|_| state == State::Rules),
        counters: named(&child.slot.totals()),
    }
}

fn sandbox(mode: Sandbox) -> SandboxStatus {
    SandboxStatus {
        mode: mode.word().into(),
        lacks: match mode {
            Sandbox::Off => Vec::new(),
            Sandbox::Require | Sandbox::Try => Kernel::probe().lacks(),
        },
    }
}
