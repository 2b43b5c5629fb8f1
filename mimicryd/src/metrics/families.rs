//! Which numbers there are. mimicryd(8) has each of them in this order, and a test compares the two.
//!
//! Must never: rename one that was released; whoever draws or alerts by its name would see nothing, and no mistake.

/// What a family's numbers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Never falls as long as the daemon lives.
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// Numbers of one name.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Without `_total`, which each counter has.
    pub name: &'static str,
    pub kind: Kind,
    pub help: &'static str,
}

const fn family(name: &'static str, kind: Kind, help: &'static str) -> Family {
    Family { name, kind, help }
}

use Kind::{Counter, Gauge, Histogram};

/// All of them, in the order in which they are shown. Longer lines than elsewhere: one family a line.
#[rustfmt::skip]
pub const FAMILIES: &[Family] = &[
    family("mimicry_build_info", Gauge, "The version of the program, as a label of the number 1."),
    family("mimicry_start_time_seconds", Gauge, "When the daemon was started, whichever master it had, in seconds since 1970."),
    family("mimicry_upgrades", Counter, "How often another program took over on the same sockets."),
    family("mimicry_config_generation", Gauge, "The number of the configuration in force; each reload and each upgrade counts on."),
    family("mimicry_config_last_reload_success", Gauge, "Whether the configuration that was loaded last came into force: 1, or 0 if it was refused."),
    family("mimicry_config_last_reload_success_timestamp_seconds", Gauge, "When a configuration last came into force, in seconds since 1970."),
    family("mimicry_config_reloads", Counter, "Reloads that are done, and reloads that were refused."),
    family("mimicry_workers", Gauge, "Workers in each state."),
    family("mimicry_workers_min", Gauge, "Workers that always run."),
    family("mimicry_workers_max", Gauge, "The largest number of workers, and so of sessions at a time."),
    family("mimicry_worker_starts", Counter, "Workers that were started."),
    family("mimicry_worker_deaths", Counter, "Workers that died before their time, by the signal that killed them; none = they ended by themselves."),
    family("mimicry_worker_stuck", Counter, "Workers that were killed because they were stuck."),
    family("mimicry_poison_mails", Gauge, "Mails that killed workers and are remembered."),
    family("mimicry_sessions", Counter, "Connections that a worker took."),
    family("mimicry_mails", Counter, "Mails with a final reply, by the worst reply that their client heard."),
    family("mimicry_edited_mails", Counter, "Mails that a rule edited."),
    family("mimicry_refusals", Counter, "Refusals, and ends of sessions that the client did not ask for, by their names in the log."),
    family("mimicry_panics", Counter, "Mails that were deferred because the program panicked."),
    family("mimicry_received_bytes", Counter, "Octets of messages that came in."),
    family("mimicry_rule_mails", Counter, "What each rule did about mails that it had to do with; a mail counts for each class of its recipients."),
    family("mimicry_rule_reasons", Counter, "Why each rule did not edit mails that it matched, by reason code."),
    family("mimicry_key_expiry_seconds", Gauge, "When the first of those whom a rule signs for or encrypts to is without a key, in seconds since 1970; rules without such keys are not there."),
    family("mimicry_judge_seconds", Histogram, "How long the rules took for a mail, from reading its structure to proving the result."),
    family("mimicry_relay_seconds", Histogram, "How long handing a mail to a next hop took, for each class of its recipients."),
    family("mimicry_replies", Counter, "Final replies for each class of recipients of a mail, by code: those of the next hop, or of mimicry in its place."),
    family("mimicry_sent_bytes", Counter, "Octets of messages that a next hop took."),
    family("mimicry_next_hop_up", Gauge, "Whether the last connection to a next hop could be made and its name is found: 1 or 0."),
    family("mimicry_next_hop_connections", Gauge, "Connections to a next hop: in use, or kept for a mail to come."),
    family("mimicry_ledger_entries", Gauge, "Recipients in the ledger, as workers last saw it: they have a mail that its client will send again."),
    family("mimicry_log_lines_lost", Counter, "Lines of the log that could not be written."),
];
