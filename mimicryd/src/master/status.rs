//! What `mimicryd status` shows: the facts, as text and as JSON.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Instant;

use mimicry_core::settings::words::Sandbox;
use serde::Serialize;

use crate::prefork::contract::LogState;
use crate::prefork::scoreboard::{Counter, State, Totals};
use crate::spool::LedgerState;
use crate::sys::sandbox::Kernel;

use crate::sys::queue;

use super::child::Told;
use super::names::Names;
use super::rates::Rate;
use super::state::{Master, Phase};

/// The daemon at a moment. The JSON has the names of these fields.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    pub version: &'static str,
    /// The master's.
    pub pid: u32,
    /// Of the daemon, whichever master it had.
    pub uptime_seconds: u64,
    /// How often another master took over since then.
    pub upgrades: u64,
    /// The master before this one, as long as its sessions have not ended.
    pub predecessor: Option<i32>,
    pub generation: u64,
    /// Of its configuration, as the line of each mail has it.
    pub generation_hash: String,
    pub config: String,
    /// "starting", "running", "reloading", "upgrading" or "stopping".
    pub state: &'static str,
    pub listeners: Vec<ListenerStatus>,
    pub next_hops: Vec<NextHopStatus>,
    pub log: LogState,
    pub sandbox: SandboxStatus,
    pub ledger: LedgerState,
    pub min: usize,
    pub max: usize,
    pub spare: usize,
    /// Since the start, dead workers included, by name.
    pub totals: BTreeMap<&'static str, u64>,
    pub mails_per_second: Rate,
    /// Workers that died before their time.
    pub deaths: u64,
    /// Of these: workers that were stuck, and were killed for it.
    pub stuck: u64,
    pub workers: Vec<WorkerStatus>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ListenerStatus {
    pub name: String,
    pub address: String,
    /// How often it was bound anew because somebody had shut it down.
    pub rebound: u64,
    /// Connections that wait for a worker; of a unix socket no more than one is known.
    pub waiting: usize,
}

/// What the kernel keeps workers from.
#[derive(Clone, Debug, Serialize)]
pub struct SandboxStatus {
    /// The setting.
    pub mode: &'static str,
    /// What this kernel does not guard.
    pub lacks: Vec<String>,
}

impl SandboxStatus {
    fn now(mode: Sandbox) -> SandboxStatus {
        SandboxStatus {
            mode: mode.word(),
            lacks: match mode {
                Sandbox::Off => Vec::new(),
                Sandbox::Require | Sandbox::Try => Kernel::probe().lacks(),
            },
        }
    }
}

/// A next hop, as all workers know it.
#[derive(Clone, Debug, Serialize)]
pub struct NextHopStatus {
    pub next_hop: String,
    /// In force; none of a unix socket, or of a name that was not found yet.
    pub addresses: Vec<String>,
    /// Since its name was last found; only of a name.
    pub found_seconds: Option<u64>,
    /// Its name was not found when it was last looked up.
    pub lost: bool,
    /// For how long no connection can be made.
    pub away_seconds: Option<f64>,
    pub connections: usize,
    /// Of these: kept for a mail to come.
    pub idle: usize,
}

impl NextHopStatus {
    fn text(&self) -> String {
        let mut text = format!("next hop {}", self.next_hop);
        let addresses = self.addresses.join(", ");
        match self.found_seconds {
            Some(seconds) => {
                text.push_str(&format!(" at {addresses}, found {} ago", age(seconds)));
            }
            None if self.lost => {}
            None if !addresses.is_empty() || self.next_hop.contains(":///") => {}
            None => text.push_str(", not looked up yet"),
        }
        if self.lost {
            text.push_str(", not found now");
        }
        text.push_str(&format!(
            "; connections {}, {} of them idle",
            self.connections, self.idle
        ));
        if let Some(seconds) = self.away_seconds {
            text.push_str(&format!("; away for {seconds:.1} s"));
        }
        text
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct WorkerStatus {
    pub pid: i32,
    pub generation: u64,
    pub generation_hash: String,
    /// A word of [`State`](crate::prefork::scoreboard::State).
    pub state: &'static str,
    /// In that state.
    pub age_seconds: f64,
    /// Was told to go.
    pub leaving: bool,
    pub counters: BTreeMap<&'static str, u64>,
}

/// Counters under the names that JSON has for them.
pub fn named(totals: &Totals) -> BTreeMap<&'static str, u64> {
    Counter::ALL
        .into_iter()
        .map(|counter| (name(counter), totals.get(counter)))
        .collect()
}

pub fn name(counter: Counter) -> &'static str {
    match counter {
        Counter::Sessions => "sessions",
        Counter::Mails => "mails",
        Counter::Edited => "edited",
        Counter::Deferred => "deferred",
        Counter::Refused => "refused",
        Counter::Panics => "panics",
        Counter::OctetsIn => "octets_in",
        Counter::OctetsOut => "octets_out",
        Counter::ClientRefused => "client_refused",
        Counter::MailRefused => "mail_refused",
        Counter::RcptRefused => "rcpt_refused",
        Counter::DataRefused => "data_refused",
        Counter::SessionEnded => "session_ended",
        Counter::ClientGone => "client_gone",
        Counter::StressEnded => "stress_ended",
        Counter::ConnectionRefused => "connection_refused",
    }
}

impl Status {
    pub fn json(&self) -> String {
        match serde_json::to_string_pretty(self) {
            Ok(text) => text + "\n",
            Err(error) => format!("{{\"error\": \"{error}\"}}\n"),
        }
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        writeln!(
            text,
            "mimicryd {}, {}, pid {}, up {}",
            self.version,
            self.state,
            self.pid,
            age(self.uptime_seconds)
        )?;
        if self.upgrades > 0 {
            let before = self.predecessor.map_or_else(String::new, |pid| {
                format!("; process {pid}, the master before, still finishes its sessions")
            });
            writeln!(text, "upgraded {} times since{before}", self.upgrades)?;
        }
        writeln!(
            text,
            "configuration {}, generation {}, hash {}",
            self.config, self.generation, self.generation_hash
        )?;
        for listener in &self.listeners {
            let anew = match listener.rebound {
                0 => String::new(),
                times => format!(", bound again after somebody shut it down: {times}"),
            };
            let waiting = match listener.waiting {
                0 => String::new(),
                number => format!(", connections waiting for a worker: {number}"),
            };
            writeln!(
                text,
                "listening on {} ({}){anew}{waiting}",
                listener.address, listener.name
            )?;
        }
        for next_hop in &self.next_hops {
            writeln!(text, "{}", next_hop.text())?;
        }
        let lost = match self.log.lost {
            0 => String::new(),
            lost => format!("; {lost} lines of it were lost"),
        };
        let trouble = self.log.trouble.as_ref();
        let trouble = trouble.map_or_else(String::new, |trouble| format!("; {trouble}"));
        writeln!(text, "log {}{trouble}{lost}", self.log.target)?;
        let lacks = match self.sandbox.lacks.join(", ") {
            lacks if lacks.is_empty() => lacks,
            lacks => format!("; this kernel does not guard {lacks}"),
        };
        writeln!(text, "sandbox {}{lacks}", self.sandbox.mode)?;
        writeln!(text, "{}", self.ledger.text())?;
        self.write_counts(text)?;
        self.write_workers(text)
    }

    fn write_counts(&self, text: &mut String) -> std::fmt::Result {
        let count = |wanted: fn(&WorkerStatus) -> bool| {
            self.workers.iter().filter(|worker| wanted(worker)).count()
        };
        writeln!(
            text,
            "workers {}: {} idle, {} busy, {} starting; {} of them leaving (min {}, max {}, spare {}); {} died, {} of them stuck",
            self.workers.len(),
            count(|worker| worker.state == "idle"),
            count(|worker| !matches!(worker.state, "idle" | "starting")),
            count(|worker| worker.state == "starting"),
            count(|worker| worker.leaving),
            self.min,
            self.max,
            self.spare,
            self.deaths,
            self.stuck
        )?;
        let total = |name: &str| self.totals.get(name).copied().unwrap_or_default();
        writeln!(
            text,
            "mails {} ({} edited, {} deferred, {} refused), {}/s over 1 min, {}/s over 5 min; sessions {}",
            total("mails"),
            total("edited"),
            total("deferred"),
            total("refused"),
            self.mails_per_second.one_minute,
            self.mails_per_second.five_minutes,
            total("sessions")
        )?;
        writeln!(
            text,
            "refused {} clients, {} connections, {} MAIL, {} RCPT, {} DATA; sessions ended {}, {} more under stress; clients gone {}",
            total("client_refused"),
            total("connection_refused"),
            total("mail_refused"),
            total("rcpt_refused"),
            total("data_refused"),
            total("session_ended"),
            total("stress_ended"),
            total("client_gone")
        )
    }

    fn write_workers(&self, text: &mut String) -> std::fmt::Result {
        writeln!(
            text,
            "\n{:>8} {:>4} {:<10} {:>10} {:>9} {:>9} {:>13} {:>13}",
            "PID", "GEN", "STATE", "FOR", "SESSIONS", "MAILS", "OCTETS IN", "OCTETS OUT"
        )?;
        for worker in &self.workers {
            let own = |name: &str| worker.counters.get(name).copied().unwrap_or_default();
            writeln!(
                text,
                "{:>8} {:>4} {:<10} {:>8.1} s {:>9} {:>9} {:>13} {:>13}{}",
                worker.pid,
                worker.generation,
                worker.state,
                worker.age_seconds,
                own("sessions"),
                own("mails"),
                own("octets_in"),
                own("octets_out"),
                if worker.leaving { " leaving" } else { "" }
            )?;
        }
        Ok(())
    }
}

/// Such as "2 d 3 h", "5 min 7 s".
fn age(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    if days > 0 {
        format!("{days} d {} h", hours % 24)
    } else if hours > 0 {
        format!("{hours} h {} min", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes} min {} s", seconds % 60)
    } else {
        format!("{seconds} s")
    }
}

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
            workers.extend(generation.children.iter().map(|child| WorkerStatus {
                pid: child.pid.as_raw(),
                generation: generation.number,
                generation_hash: generation.config.hash.clone(),
                state: child.slot.state().map_or("starting", State::word),
                age_seconds: (child.slot.age().as_secs_f64() * 1000.0).round() / 1000.0,
                leaving: child.told != Told::Nothing,
                counters: named(&child.slot.totals()),
            }));
        }
        workers.sort_by_key(|worker| (worker.generation, worker.pid));
        let listeners = self
            .current
            .config
            .listen
            .iter()
            .zip(&self.current.listeners);
        Status {
            version: env!("CARGO_PKG_VERSION"),
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
            state: match &self.phase {
                Phase::Starting => "starting",
                Phase::Running if self.succession.attempt.is_some() => "upgrading",
                Phase::Running if self.is_reloading() => "reloading",
                Phase::Running => "running",
                Phase::Stopping { .. } => "stopping",
            },
            listeners: listeners
                .map(|(listen, listener)| ListenerStatus {
                    name: listen.name.clone(),
                    address: listener.place(),
                    rebound: listener.rebound(),
                    waiting: queue::waiting(listener.as_fd()),
                })
                .collect(),
            next_hops: self.next_hops(now),
            log: LogState {
                lost: self.all_lost(),
                ..self.program.log_state()
            },
            sandbox: SandboxStatus::now(self.current.config.daemon.sandbox),
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

#[cfg(test)]
mod tests {
    use super::*;

    // T196
    #[test]
    fn next_hops() {
        let at = |addresses: &[&str], found, lost, away| NextHopStatus {
            next_hop: "smtp://mx:25".into(),
            addresses: addresses.iter().map(ToString::to_string).collect(),
            found_seconds: found,
            lost,
            away_seconds: away,
            connections: 3,
            idle: 1,
        };
        for (status, text) in [
            (at(&["192.0.2.1:25"], None, false, None), ""),
            (
                at(&["192.0.2.1:25", "192.0.2.2:25"], Some(7), false, None),
                " at 192.0.2.1:25, 192.0.2.2:25, found 7 s ago",
            ),
            (
                at(&["192.0.2.1:25"], Some(70), true, None),
                " at 192.0.2.1:25, found 1 min 10 s ago, not found now",
            ),
            (at(&[], None, true, None), ", not found now"),
            (at(&[], None, false, None), ", not looked up yet"),
        ] {
            let expected = format!("next hop smtp://mx:25{text}; connections 3, 1 of them idle");
            assert_eq!(status.text(), expected);
        }
        let away = at(&["192.0.2.1:25"], None, false, Some(2.54)).text();
        assert!(away.ends_with("idle; away for 2.5 s"), "{away}");
    }

    #[test]
    fn ages() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (67, "1 min 7 s"),
            (3600, "1 h 0 min"),
            (86_399, "23 h 59 min"),
            (180_000, "2 d 2 h"),
        ] {
            assert_eq!(age(seconds), text);
        }
    }

    #[test]
    fn text_and_json_say_the_same() {
        let counters = named(&Totals::default());
        let status = Status {
            version: "1.2.3",
            pid: 42,
            uptime_seconds: 67,
            upgrades: 2,
            predecessor: Some(41),
            generation: 2,
            generation_hash: "5f0c1a9e".into(),
            config: "/etc/mimicry/mimicry.toml".into(),
            state: "running",
            listeners: [("in", 10025, 0), ("lan", 10024, 2)]
                .map(|(name, port, rebound)| ListenerStatus {
                    name: name.into(),
                    address: format!("127.0.0.1:{port}"),
                    rebound,
                    waiting: usize::from(rebound > 0) * 7,
                })
                .to_vec(),
            next_hops: Vec::new(),
            log: LogState {
                target: "stderr".into(),
                lost: 3,
                trouble: Some("nobody reads it".into()),
            },
            sandbox: SandboxStatus {
                mode: "try",
                lacks: vec!["files (none)".into(), "system calls (none)".into()],
            },
            ledger: LedgerState {
                path: "/s/ledger".into(),
                trouble: Some("/s: Read-only file system".into()),
            },
            min: 4,
            max: 32,
            spare: 2,
            totals: counters.clone(),
            mails_per_second: Rate::default(),
            deaths: 1,
            stuck: 1,
            workers: vec![WorkerStatus {
                pid: 43,
                generation: 2,
                generation_hash: "5f0c1a9e".into(),
                state: "idle",
                age_seconds: 1.5,
                leaving: true,
                counters,
            }],
        };
        let text = status.text();
        for part in [
            "mimicryd 1.2.3, running, pid 42, up 1 min 7 s",
            "upgraded 2 times since; process 41, the master before, still finishes its sessions\n",
            "configuration /etc/mimicry/mimicry.toml, generation 2, hash 5f0c1a9e\n",
            "listening on 127.0.0.1:10025 (in)\n",
            "listening on 127.0.0.1:10024 (lan), bound again after somebody shut it down: 2, connections waiting for a worker: 7\n",
            "log stderr; nobody reads it; 3 lines of it were lost\n",
            "sandbox try; this kernel does not guard files (none), system calls (none)\n",
            "ledger not in force: /s: Read-only file system\n",
            "workers 1: 1 idle, 0 busy, 0 starting; 1 of them leaving (min 4, max 32, spare 2); 1 died, 1 of them stuck\n",
            "refused 0 clients, 0 connections, 0 MAIL, 0 RCPT, 0 DATA; sessions ended 0, 0 more under stress; clients gone 0\n",
            "      43    2 idle            1.5 s",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        let json: serde_json::Value = serde_json::from_str(&status.json()).unwrap();
        assert_eq!(json["workers"][0]["counters"]["mails"], 0);
        assert_eq!(json["listeners"][0]["address"], "127.0.0.1:10025");
        assert_eq!(json["listeners"][1]["rebound"], 2);
        assert_eq!(json["generation"], 2);
    }
}
