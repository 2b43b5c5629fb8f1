//! What an administrator reads.
//!
//! On a narrow terminal no line is wider than it; where there is room the table of workers has more columns.
//!
//! Must never: let a name of the configuration move the cursor.

use std::fmt::Write;

use super::fold::fold;
use super::{KeyStatus, NextHopStatus, Status, WorkerStatus, age, brief, shown};

/// From so many columns on the table has the mails in hand and the rules at work.
const WIDE: usize = 110;

impl Status {
    /// For a terminal of so many columns; `None` = it is for no terminal, and each fact has one line.
    pub fn text(&self, width: Option<usize>) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = self.write_daemon(&mut text);
        let _ = self.write_counts(&mut text);
        let mut text = fold(&text, width);
        let _ = self.write_workers(&mut text, width.is_none_or(|width| width >= WIDE));
        text
    }

    fn write_daemon(&self, text: &mut String) -> std::fmt::Result {
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
        let refused = match self.last_reload_done {
            true => "",
            false => "; the last reload was refused, see the log",
        };
        writeln!(
            text,
            "configuration {}, generation {}, hash {}{refused}",
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
        if let Some(address) = &self.metrics {
            writeln!(text, "metrics on {address}")?;
        }
        for next_hop in &self.next_hops {
            writeln!(text, "{}", next_hop.text())?;
        }
        for said in self.keys.iter().filter_map(KeyStatus::text) {
            writeln!(text, "{said}, see mimicryd keys")?;
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
        writeln!(text, "{}", self.ledger.text())
    }

    fn write_counts(&self, text: &mut String) -> std::fmt::Result {
        writeln!(
            text,
            "workers {}: {} idle, {} busy, {} starting; {} of them leaving (min {}, max {}, spare {}); {} died, {} of them stuck",
            self.workers.len(),
            self.count(|worker| worker.state == "idle"),
            self.busy(),
            self.count(|worker| worker.state == "starting"),
            self.count(|worker| worker.leaving),
            self.min,
            self.max,
            self.spare,
            self.deaths,
            self.stuck
        )?;
        if self.poison > 0 {
            writeln!(
                text,
                "mails that killed workers: {}, see mimicryd poison list",
                self.poison
            )?;
        }
        if self.ledger_entries > 0 {
            writeln!(text, "entries of the ledger: {}", self.ledger_entries)?;
        }
        writeln!(
            text,
            "mails {} ({} edited, {} deferred, {} refused), {}/s over 1 min, {}/s over 5 min; sessions {}",
            self.total("mails"),
            self.total("edited"),
            self.total("deferred"),
            self.total("refused"),
            self.mails_per_second.one_minute,
            self.mails_per_second.five_minutes,
            self.total("sessions")
        )?;
        writeln!(
            text,
            "refused {} clients, {} connections, {} MAIL, {} RCPT, {} DATA; sessions ended {}, {} more under stress; clients gone {}",
            self.total("client_refused"),
            self.total("connection_refused"),
            self.total("mail_refused"),
            self.total("rcpt_refused"),
            self.total("data_refused"),
            self.total("session_ended"),
            self.total("stress_ended"),
            self.total("client_gone")
        )
    }

    fn write_workers(&self, text: &mut String, is_wide: bool) -> std::fmt::Result {
        let more = if is_wide { "  MAIL        RULE" } else { "" };
        writeln!(
            text,
            "\n{:>8} {:>4} {:<10} {:>9} {:>9} {:>9} {:>6} {:>6}{more}",
            "PID", "GEN", "STATE", "FOR", "SESSIONS", "MAILS", "IN", "OUT"
        )?;
        for worker in &self.workers {
            writeln!(text, "{}", worker.row(is_wide))?;
        }
        Ok(())
    }
}

impl WorkerStatus {
    fn row(&self, is_wide: bool) -> String {
        let mut row = format!(
            "{:>8} {:>4} {:<10} {:>7.1} s {:>9} {:>9} {:>6} {:>6}",
            self.pid,
            self.generation,
            self.state,
            self.age_seconds,
            self.own("sessions"),
            self.own("mails"),
            brief(self.own("octets_in")),
            brief(self.own("octets_out")),
        );
        if is_wide {
            let mail = self.mail.as_deref().unwrap_or("-");
            let rule = self.rule.as_deref().unwrap_or("-");
            row.push_str(&format!("  {:<10}  {}", shown(mail, 10), shown(rule, 20)));
        }
        if self.leaving {
            row.push_str(" leaving");
        }
        row.trim_end().to_string()
    }
}

impl NextHopStatus {
    pub fn text(&self) -> String {
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
        } else if let Some(failure) = self.failure() {
            text.push_str(&format!("; {failure}"));
        }
        text
    }

    /// What is said of one that is not away yet, though it could not be reached.
    pub fn failure(&self) -> Option<String> {
        match self.failed {
            0 => None,
            1 => Some("the last connection could not be made".into()),
            number => Some(format!("the last {number} connections could not be made")),
        }
    }
}
