//! What is shown to Prometheus and whoever reads its formats: the numbers of the scoreboard and the tally, as text.
//!
//! - `families`: which numbers there are, and what each means · `page`: the two formats
//!
//! Nothing is counted here, and nothing waits: who asks gets what stands in shared memory at the moment, whatever the workers do.
//!
//! Must never: show what a mail, a client or a sender chose. Each label is a name of the configuration, or one of a few words of our own.

#![forbid(unsafe_code)]

mod families;
mod page;

use std::rc::Rc;
use std::time::Instant;

use mimicry_core::reason::Reason;
use nix::sys::signal::Signal;

use crate::logging;
use crate::prefork::hops::Hop;
use crate::prefork::scoreboard::{Counter, Scoreboard, State};
use crate::prefork::tally::{Did, Gauge, Occasion, Outcome, Tally};

pub use families::{FAMILIES, Family, Kind};
pub use page::Format;
use page::{Page, Value};

/// Where the numbers stand.
pub struct Source {
    /// Of the configuration in force.
    pub tally: Tally,
    /// Of each generation that has workers; the last is the one in force.
    pub boards: Vec<Scoreboard>,
    /// By name.
    pub hops: Vec<(String, Hop)>,
    /// Lines of the log that masters before this one lost.
    pub lost_before: u64,
    /// When the first of the keys of a rule ends, in seconds since 1970, for rules that have such keys.
    pub key_ends: Rc<[(String, u64)]>,
}

impl Source {
    /// All of it, in this format.
    pub fn text(&self, format: Format, now: Instant) -> String {
        let mut page = Page::new(format);
        for family in FAMILIES {
            page.family(family);
            self.samples(family.name, &mut page, now);
        }
        page.finish()
    }

    /// Does a worker of the configuration in force take connections?
    pub fn is_healthy(&self) -> bool {
        let accepts = |board: &Scoreboard| {
            let up = State::ALL.iter().filter(|state| **state != State::Starting);
            up.map(|state| board.number_in(*state))
                .any(|count| count > 0)
        };
        self.boards.last().is_some_and(accepts)
    }

    fn samples(&self, family: &str, page: &mut Page, now: Instant) {
        self.of_daemon(family, page);
        self.of_listeners(family, page);
        self.of_rules(family, page);
        self.of_next_hops(family, page, now);
    }

    fn of_daemon(&self, family: &str, page: &mut Page) {
        let tally = &self.tally;
        let gauge = |gauge| Value::Whole(tally.gauge(gauge));
        let number = |occasion| Value::Whole(tally.occasions(occasion));
        match family {
            "mimicry_build_info" => {
                let version = [("version", env!("CARGO_PKG_VERSION"))];
                page.sample(&version, Value::Whole(1));
            }
            "mimicry_start_time_seconds" => page.sample(&[], gauge(Gauge::Started)),
            "mimicry_upgrades" => page.sample(&[], number(Occasion::Upgraded)),
            "mimicry_config_generation" => page.sample(&[], gauge(Gauge::Generation)),
            "mimicry_config_last_reload_success" => page.sample(&[], gauge(Gauge::ReloadDone)),
            "mimicry_config_last_reload_success_timestamp_seconds" => {
                page.sample(&[], gauge(Gauge::ReloadedAt));
            }
            "mimicry_config_reloads" => {
                page.sample(&[("result", "done")], number(Occasion::Reloaded));
                page.sample(&[("result", "refused")], number(Occasion::ReloadRefused));
            }
            "mimicry_workers" => {
                for state in State::ALL {
                    let boards = self.boards.iter();
                    let count: usize = boards.map(|board| board.number_in(state)).sum();
                    page.sample(&[("state", state.word())], Value::Whole(count as u64));
                }
            }
            "mimicry_workers_min" => page.sample(&[], gauge(Gauge::WorkersMin)),
            "mimicry_workers_max" => page.sample(&[], gauge(Gauge::WorkersMax)),
            "mimicry_worker_starts" => page.sample(&[], number(Occasion::Born)),
            "mimicry_worker_stuck" => page.sample(&[], number(Occasion::Stuck)),
            "mimicry_worker_deaths" => {
                for (signal, deaths) in tally.deaths() {
                    page.sample(&[("signal", &signal_name(signal))], Value::Whole(deaths));
                }
            }
            "mimicry_poison_mails" => {
                let table = self.boards.last().and_then(Scoreboard::poison);
                let number = table.map_or(0, |table| table.entries().len());
                page.sample(&[], Value::Whole(number as u64));
            }
            "mimicry_ledger_entries" => page.sample(&[], gauge(Gauge::LedgerEntries)),
            "mimicry_log_lines_lost" => {
                let lost = logging::lost().saturating_add(self.lost_before);
                page.sample(&[], Value::Whole(lost));
            }
            "mimicry_judge_seconds" => page.histogram(&[], &tally.judging()),
            _ => {}
        }
    }

    fn of_listeners(&self, family: &str, page: &mut Page) {
        for one in self.tally.listeners() {
            let label = ("listener", one.name);
            let counter = match family {
                "mimicry_sessions" => Some(Counter::Sessions),
                "mimicry_edited_mails" => Some(Counter::Edited),
                "mimicry_panics" => Some(Counter::Panics),
                "mimicry_received_bytes" => Some(Counter::OctetsIn),
                _ => None,
            };
            if let Some(counter) = counter {
                page.sample(&[label], Value::Whole(one.get(counter)));
            }
            match family {
                "mimicry_mails" => {
                    for outcome in Outcome::ALL {
                        let labels = [label, ("outcome", outcome.word())];
                        page.sample(&labels, Value::Whole(one.ended(outcome)));
                    }
                }
                "mimicry_refusals" => {
                    for (counter, event) in EVENTS {
                        let labels = [label, ("event", event)];
                        page.sample(&labels, Value::Whole(one.get(counter)));
                    }
                }
                _ => {}
            }
        }
    }

    fn of_rules(&self, family: &str, page: &mut Page) {
        for rule in self.tally.rules() {
            let label = ("rule", rule.name);
            match family {
                "mimicry_rule_mails" => {
                    for did in Did::ALL {
                        let labels = [label, ("outcome", did.word())];
                        page.sample(&labels, Value::Whole(rule.did(did)));
                    }
                }
                "mimicry_rule_reasons" => {
                    for (reason, number) in rule.reasons() {
                        let labels = [label, ("reason", Reason::code(reason))];
                        page.sample(&labels, Value::Whole(number));
                    }
                }
                _ => {}
            }
        }
        if family == "mimicry_key_expiry_seconds" {
            for (rule, end) in &*self.key_ends {
                page.sample(&[("rule", rule)], Value::Whole(*end));
            }
        }
    }

    fn of_next_hops(&self, family: &str, page: &mut Page, now: Instant) {
        for one in self.tally.next_hops() {
            let label = ("next_hop", one.name);
            match family {
                "mimicry_relay_seconds" => page.histogram(&[label], &one.relaying()),
                "mimicry_sent_bytes" => page.sample(&[label], Value::Whole(one.sent())),
                "mimicry_replies" => {
                    for (code, number) in one.replies() {
                        let labels = [label, ("code", &code.to_string())];
                        page.sample(&labels, Value::Whole(number));
                    }
                }
                _ => {}
            }
        }
        for (name, hop) in &self.hops {
            let label = ("next_hop", name.as_str());
            match family {
                "mimicry_next_hop_up" => {
                    let is_away = hop.away_for(now).is_some() || hop.failures() > 0;
                    let is_up = !is_away && !hop.is_lost();
                    page.sample(&[label], Value::Whole(u64::from(is_up)));
                }
                "mimicry_next_hop_connections" => {
                    let (all, idle) = hop.lines();
                    let busy = all.saturating_sub(idle);
                    for (state, count) in [("busy", busy), ("idle", idle)] {
                        page.sample(&[label, ("state", state)], Value::Whole(count as u64));
                    }
                }
                _ => {}
            }
        }
    }
}

/// What ends a mail or a session otherwise than the client asked, as the log has it.
pub const EVENTS: [(Counter, &str); 8] = [
    (Counter::ClientRefused, "client-refused"),
    (Counter::MailRefused, "mail-refused"),
    (Counter::RcptRefused, "rcpt-refused"),
    (Counter::DataRefused, "data-refused"),
    (Counter::SessionEnded, "session-ended"),
    (Counter::ClientGone, "client-gone"),
    (Counter::StressEnded, "stress-ended"),
    (Counter::ConnectionRefused, "connection-refused"),
];

/// 0 = no signal.
fn signal_name(number: i32) -> String {
    match Signal::try_from(number) {
        Ok(signal) => signal.as_str().to_string(),
        Err(_) if number == 0 => "none".into(),
        Err(_) => number.to_string(),
    }
}
