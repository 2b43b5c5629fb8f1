//! Whether all is well, as Nagios, Icinga and their relatives ask: one line, numbers to draw, and an exit status.
//!
//! Must never: say that all is well when it is not known.

use super::{KeyStatus, Status, shown};

/// The worst of what was found decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    Ok,
    Warning,
    Critical,
    Unknown,
}

impl Health {
    /// As the plugins of Nagios exit.
    pub fn status(self) -> u8 {
        match self {
            Health::Ok => 0,
            Health::Warning => 1,
            Health::Critical => 2,
            Health::Unknown => 3,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Health::Ok => "OK",
            Health::Warning => "WARNING",
            Health::Critical => "CRITICAL",
            Health::Unknown => "UNKNOWN",
        }
    }

    /// The line, where there are no numbers.
    pub fn line(self, why: &str) -> String {
        // What follows a bar is read as numbers.
        let why = shown(why, 200).replace('|', "/");
        format!("MIMICRY {} - {why}\n", self.word())
    }
}

impl Status {
    /// What a monitoring program is told.
    pub fn health(&self) -> (Health, String) {
        let mut found = self.findings();
        // The worst first.
        found.sort_by_key(|(health, _)| std::cmp::Reverse(*health));
        let health = found.first().map_or(Health::Ok, |(health, _)| *health);
        let why: Vec<String> = found.into_iter().map(|(_, why)| why).collect();
        let why = match why.is_empty() {
            true => format!(
                "{}, {} workers, {} busy, {} mails, {}/s",
                self.state,
                self.workers.len(),
                self.busy(),
                self.total("mails"),
                self.mails_per_second.one_minute
            ),
            false => why.join("; "),
        };
        let line = health.line(&why);
        let line = line.trim_end();
        (health, format!("{line} | {}\n", self.numbers()))
    }

    fn findings(&self) -> Vec<(Health, String)> {
        let mut found = Vec::new();
        let mut find = |is_so: bool, health, why: String| {
            if is_so {
                found.push((health, why));
            }
        };
        let (critical, warning) = (Health::Critical, Health::Warning);
        let accepts = self.count(|worker| worker.state != "starting");
        find(
            accepts == 0,
            critical,
            "no worker takes connections".to_string(),
        );
        find(
            self.state == "stopping",
            warning,
            "the daemon is stopping".to_string(),
        );
        for hop in &self.next_hops {
            let name = shown(&hop.next_hop, 60);
            if let Some(seconds) = hop.away_seconds {
                let why = format!("next hop {name} away for {seconds:.0} s");
                find(true, critical, why);
            } else if hop.lost {
                let is_unknown = hop.addresses.is_empty();
                let health = if is_unknown { critical } else { warning };
                find(true, health, format!("next hop {name} is not found"));
            } else if let Some(failure) = hop.failure() {
                find(true, warning, format!("next hop {name}: {failure}"));
            }
        }
        let waiting = self.waiting();
        find(
            self.busy() >= self.max && waiting > 0,
            warning,
            format!(
                "all {} workers are busy, {waiting} connections wait",
                self.max
            ),
        );
        find(
            !self.last_reload_done,
            warning,
            "the last reload was refused".to_string(),
        );
        find(
            self.poison > 0,
            warning,
            format!("{} mails killed workers", self.poison),
        );
        for why in self.keys.iter().filter_map(KeyStatus::text) {
            find(true, warning, why);
        }
        if let Some(trouble) = &self.ledger.trouble {
            find(true, warning, format!("ledger not in force: {trouble}"));
        }
        if let Some(trouble) = &self.log.trouble {
            find(true, warning, trouble.clone());
        }
        found
    }

    /// `label=value;warn;critical;min;max`; `c` = it is counted.
    fn numbers(&self) -> String {
        let max = self.max;
        let away = self
            .next_hops
            .iter()
            .filter(|hop| hop.away_seconds.is_some());
        let mut numbers = format!(
            "workers={};;;0;{max} busy={};;;0;{max} waiting={} next_hops_away={} ledger={} poison={}",
            self.workers.len(),
            self.busy(),
            self.waiting(),
            away.count(),
            self.ledger_entries,
            self.poison,
        );
        for name in [
            "mails", "edited", "deferred", "refused", "sessions", "panics",
        ] {
            numbers.push_str(&format!(" {name}={}c", self.total(name)));
        }
        numbers.push_str(&format!(
            " deaths={}c log_lost={}c mails_per_second={}",
            self.deaths, self.log.lost, self.mails_per_second.one_minute
        ));
        numbers
    }
}
