//! The daemon at a moment: the facts, which the master gathers and `mimicryd status --json` prints.
//!
//! - `text`: what an administrator reads · `health`: what a monitoring program reads · `top`: what is shown again and again
//! - `fold`: lines for a narrow terminal
//!
//! The program that asks may be older or newer than the daemon: what is missing has a default.
//!
//! Must never: hold what a mail says but its id.

#![forbid(unsafe_code)]

pub mod fold;
mod health;
mod text;
pub mod top;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::expiry;
use crate::prefork::contract::LogState;
use crate::prefork::scoreboard::{Counter, Totals};
use crate::spool::LedgerState;

pub use health::Health;

/// The daemon at a moment. The JSON has the names of these fields, and mimicryd(8) has each of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    pub version: String,
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
    /// The configuration that was loaded last came into force.
    pub last_reload_done: bool,
    /// "starting", "running", "reloading", "upgrading" or "stopping".
    pub state: String,
    pub listeners: Vec<ListenerStatus>,
    /// Where numbers for Prometheus are fetched; `None` = nowhere.
    pub metrics: Option<String>,
    pub next_hops: Vec<NextHopStatus>,
    pub log: LogState,
    pub sandbox: SandboxStatus,
    pub min: usize,
    pub max: usize,
    pub spare: usize,
    /// Since the start, dead workers included, by name.
    pub totals: BTreeMap<String, u64>,
    pub mails_per_second: Rate,
    /// Workers that died before their time.
    pub deaths: u64,
    /// Of these: workers that were stuck, and were killed for it.
    pub stuck: u64,
    /// Mails that killed workers and are remembered.
    pub poison: usize,
    /// Whether the daemon remembers who has a mail that its client will send again.
    pub ledger: LedgerState,
    /// Recipients in the ledger, as workers last saw it.
    pub ledger_entries: u64,
    pub keys: Vec<KeyStatus>,
    pub workers: Vec<WorkerStatus>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ListenerStatus {
    pub name: String,
    pub address: String,
    /// How often it was bound anew because somebody had shut it down.
    pub rebound: u64,
    /// Connections that wait for a worker; of a unix socket no more than one is known.
    pub waiting: usize,
}

/// A rule that signs or encrypts, with keys that end.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyStatus {
    pub rule: String,
    /// Until the first of those whom it signs for or encrypts to is without a key; since then, if it is below 0.
    pub ends_seconds: i64,
}

impl KeyStatus {
    /// What to say of it, if it is time to say something.
    fn text(&self) -> Option<String> {
        if self.ends_seconds > expiry::AHEAD {
            return None;
        }
        let rule = shown(&self.rule, 40);
        let time = age(self.ends_seconds.unsigned_abs());
        Some(match self.ends_seconds > 0 {
            true => format!("a key of rule {rule} ends in {time}"),
            false => format!("a key of rule {rule} ended {time} ago"),
        })
    }
}

/// What the kernel keeps workers from.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SandboxStatus {
    /// The setting.
    pub mode: String,
    /// What this kernel does not guard.
    pub lacks: Vec<String>,
}

/// A next hop, as all workers know it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
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
    /// Connections in a row that could not be made; where there is little mail, it is not away for long.
    pub failed: u64,
    pub connections: usize,
    /// Of these: kept for a mail to come.
    pub idle: usize,
}

/// Mails per second, on average over a minute and over five.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rate {
    pub one_minute: f64,
    pub five_minutes: f64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkerStatus {
    pub pid: i32,
    pub generation: u64,
    pub generation_hash: String,
    /// A word of [`State`](crate::prefork::scoreboard::State).
    pub state: String,
    /// In that state.
    pub age_seconds: f64,
    /// Was told to go.
    pub leaving: bool,
    /// The id of the mail in hand; `None` = it has none.
    pub mail: Option<String>,
    /// The rule at work.
    pub rule: Option<String>,
    pub counters: BTreeMap<String, u64>,
}

impl Status {
    pub fn json(&self) -> String {
        match serde_json::to_string_pretty(self) {
            Ok(text) => text + "\n",
            Err(error) => format!("{{\"error\": \"{error}\"}}\n"),
        }
    }

    /// Of the JSON of a daemon, maybe of another version.
    pub fn parse(json: &str) -> Option<Status> {
        serde_json::from_str(json).ok()
    }

    fn total(&self, name: &str) -> u64 {
        self.totals.get(name).copied().unwrap_or_default()
    }

    fn count(&self, wanted: fn(&WorkerStatus) -> bool) -> usize {
        self.workers.iter().filter(|worker| wanted(worker)).count()
    }

    fn busy(&self) -> usize {
        self.count(|worker| !matches!(worker.state.as_str(), "idle" | "starting"))
    }

    fn waiting(&self) -> usize {
        let waiting = self.listeners.iter().map(|listener| listener.waiting);
        waiting.fold(0, usize::saturating_add)
    }
}

impl WorkerStatus {
    fn own(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or_default()
    }
}

/// Counters under the names that JSON has for them.
pub fn named(totals: &Totals) -> BTreeMap<String, u64> {
    Counter::ALL
        .into_iter()
        .map(|counter| (name(counter).to_string(), totals.get(counter)))
        .collect()
}

/// The name of a counter in JSON.
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

/// Such as "2 d 3 h", "5 min 7 s".
pub fn age(seconds: u64) -> String {
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

/// Octets in at most five characters: 812, 12.4k, 3.1M.
fn brief(number: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut rest = number as f64;
    for unit in ["", "k", "M", "G", "T"] {
        if rest < 999.5 {
            return match unit {
                "" => number.to_string(),
                _ if rest < 99.95 => format!("{rest:.1}{unit}"),
                _ => format!("{rest:.0}{unit}"),
            };
        }
        rest /= 1000.0;
    }
    format!("{rest:.0}P")
}

/// Octets of a text that others may have written, for a terminal: at most so many characters.
fn shown(text: &str, most: usize) -> String {
    let clean = |char: char| match mimicry_core::printable::is_unprintable(char) {
        true => '?',
        false => char,
    };
    let length = text.chars().count();
    let text = text.chars().map(clean);
    match length > most {
        true => text.take(most.saturating_sub(1)).chain(Some('…')).collect(),
        false => text.collect(),
    }
}

#[cfg(test)]
mod tests;
