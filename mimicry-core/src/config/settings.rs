//! The table of all settings: what the configuration may hold, with kind, default and one sentence.
//!
//! The reader is driven by it, and the manual page and the sample configuration are tested against it, so that a
//! setting exists in all of them or in none. Defaults follow Postfix where it has the setting.
//!
//! Must never: read a file, or know a plugin.

use crate::plugin::{OnError, ValueKind};
use crate::rule::{Mode, OnDkim, OnSealed, Unsure};

use super::endpoint::{ListenAddress, NextHop};
use super::typed::{
    BareNewline, FACILITIES, LmtpPartial, LogFormat, LogLevel, Profile, SyslogFormat, Tls,
};

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// The table it stands in; empty = above all tables. `listen`, `rule` and `bank` are lists of tables.
    pub table: &'static str,
    /// Its key. `workers.min` is the key `min` of the table `workers`.
    pub name: &'static str,
    pub kind: Kind,
    /// As it would be written in the file; `None` = unset.
    pub default: Option<&'static str>,
    /// An element of the list is nothing without it.
    pub required: bool,
    pub phase: Phase,
    /// One sentence.
    pub doc: &'static str,
}

/// When a setting is needed; what selects its value must be known by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// When the configuration is loaded.
    Load,
    /// When a client connects.
    Connect,
    /// At MAIL: it is one for the whole transaction.
    Mail,
    /// At RCPT, for each recipient.
    Rcpt,
    /// When the message is in, for each recipient.
    Data,
}

/// The kinds of values that settings take: those of plugin options, and some of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Plain(ValueKind),
    /// Octets within the bounds, both included.
    Size(&'static str, &'static str),
    /// A time within the bounds, both included.
    Time(&'static str, &'static str),
    /// The name of a file or directory, which is not read at load.
    File,
    /// Networks in CIDR notation.
    Networks,
    NextHop,
    Address,
    LogTarget,
    /// Names of rules.
    Rules,
    /// Names of policy banks.
    Banks,
    /// The name of a plugin.
    Plugin,
    /// A table of filters.
    Filters,
    /// A table of the plugin's options.
    Options,
    /// A table of texts under free names.
    Texts,
}

impl Kind {
    /// How the manual names it.
    pub fn describe(self) -> String {
        match self {
            Kind::Plain(kind) => kind.describe(),
            Kind::Size(low, high) => format!("size {low}..{high}"),
            Kind::Time(low, high) => format!("time {low}..{high}"),
            Kind::File => "path".into(),
            Kind::Networks => "list of networks".into(),
            Kind::NextHop => "URL".into(),
            Kind::Address => "address".into(),
            Kind::LogTarget => "syslog | syslog:PATH | stderr | file:PATH".into(),
            Kind::Rules => "list of rules".into(),
            Kind::Banks => "list of banks".into(),
            Kind::Plugin => "plugin".into(),
            Kind::Filters => "table of filters".into(),
            Kind::Options => "table of options".into(),
            Kind::Texts => "table of texts".into(),
        }
    }

    /// What a value looks like, for a mistake's help; words say their own.
    pub(super) fn help(self) -> &'static str {
        match self {
            Kind::Plain(kind) => value_help(kind),
            Kind::Size(..) => value_help(ValueKind::Size),
            Kind::Time(..) => value_help(ValueKind::Time),
            Kind::File => {
                "write the name of a file in quotes; a relative one is relative to the configuration file"
            }
            Kind::Networks => {
                "write networks in quotes, such as [\"192.0.2.0/24\", \"2001:db8::/32\"]"
            }
            Kind::NextHop => NextHop::FORMS,
            Kind::Address => ListenAddress::FORMS,
            Kind::LogTarget => "write \"syslog\", \"stderr\" or \"file:/var/log/mimicry.log\"",
            Kind::Rules => "write names of rules, such as [\"legal footer\"]",
            Kind::Banks => "write names of banks, such as [\"subsidiary\"]",
            Kind::Plugin => "write the name of a plugin in quotes",
            Kind::Filters => "write filters in a table, such as { sender = '@example\\.org$' }",
            Kind::Options => "write options in a table, such as { text_file = \"footer.txt\" }",
            Kind::Texts => "write texts in a table, such as { company = \"Example\" }",
        }
    }
}

/// What a value looks like, for a mistake's help.
pub(super) fn value_help(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Bool => "write true or false, without quotes",
        ValueKind::Integer(..) => "write a whole number, without quotes",
        ValueKind::Size => {
            "a size is a number with K, M, G or T after it, in quotes, such as \"10M\""
        }
        ValueKind::Time => {
            "a time is a number with ms, s, m, h, d or w after it, in quotes, such as \"5m\""
        }
        ValueKind::Line | ValueKind::Text => "write a text in quotes",
        ValueKind::TextFile | ValueKind::SecretFile => {
            "write the name of a file in quotes; a relative one is relative to the configuration file"
        }
        ValueKind::Word(_) => "write one of the words, in quotes",
        ValueKind::Words(_) => "write words in quotes; several stand in brackets",
        ValueKind::Lines => "write texts in quotes; several stand in brackets",
        ValueKind::Table => {
            "write texts in a table, such as { X-Company = \"Example\" }; several of one name stand in brackets"
        }
        ValueKind::Directory => {
            "write the name of a directory in quotes; a relative one is relative to the configuration file"
        }
        ValueKind::Files => {
            "write names of files in quotes, several in brackets; relative ones are relative to the configuration file"
        }
    }
}

/// Tables that may stand more than once, in double brackets.
pub const LISTS: &[&str] = &["listen", "rule", "bank"];

/// The words of `hide_extensions`: what EHLO may offer.
pub const EXTENSIONS: &[&str] = &[
    "PIPELINING",
    "SIZE",
    "8BITMIME",
    "SMTPUTF8",
    "DSN",
    "ENHANCEDSTATUSCODES",
    "XFORWARD",
    "STARTTLS",
];

const fn setting(
    table: &'static str,
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    phase: Phase,
    doc: &'static str,
) -> Setting {
    Setting {
        table,
        name,
        kind,
        default,
        required: false,
        phase,
        doc,
    }
}

const fn required(
    table: &'static str,
    name: &'static str,
    kind: Kind,
    phase: Phase,
    doc: &'static str,
) -> Setting {
    Setting {
        table,
        name,
        kind,
        default: None,
        required: true,
        phase,
        doc,
    }
}

const BOOL: Kind = Kind::Plain(ValueKind::Bool);
const LINE: Kind = Kind::Plain(ValueKind::Line);
const TIMEOUT: Kind = Kind::Time("1s", "1d");

const fn integer(low: i64, high: i64) -> Kind {
    Kind::Plain(ValueKind::Integer(low, high))
}

const fn word(words: &'static [&'static str]) -> Kind {
    Kind::Plain(ValueKind::Word(words))
}

/// All settings, in the order of the manual.
// One setting a line, so that the table reads as one.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    setting("", "hostname", LINE, None, Phase::Connect, "The name that mimicry greets with and writes into Received; default: the name of the machine."),
    setting("", "trace", BOOL, Some("true"), Phase::Data, "Adds a Received field to each mail."),
    setting("", "bare_newline", word(BareNewline::WORDS), Some("\"normalize\""), Phase::Mail, "What becomes of a bare CR or LF in a mail: made into what it stands for, or refused with 550 5.6.11."),
    setting("", "hide_extensions", Kind::Plain(ValueKind::Words(EXTENSIONS)), Some("[]"), Phase::Connect, "ESMTP extensions that are not offered to clients."),
    setting("", "rules", Kind::Rules, None, Phase::Data, "The rules in force, by name, whatever their order here; default: all of the file."),
    setting("", "mode", word(Mode::WORDS), Some("\"enforce\""), Phase::Data, "How far rules may go: a rule's own mode applies, but never beyond this one (off, shadow, enforce)."),
    setting("", "on_error", word(OnError::WORDS), None, Phase::Data, "What becomes of a mail when a rule that names no on_error fails for good; default: as the plugin says."),
    setting("", "variables", Kind::Texts, None, Phase::Data, "Texts that templates may use, under names of your own."),
    //
    setting("daemon", "user", LINE, None, Phase::Load, "The user that workers run as when started as root; default: mimicry if that user exists, else nobody."),
    setting("daemon", "group", LINE, None, Phase::Load, "The group that workers run as; default: the user's."),
    setting("daemon", "pid_file", Kind::File, Some("\"/run/mimicry/mimicryd.pid\""), Phase::Load, "Holds the master's process id and is locked while it runs."),
    setting("daemon", "control", Kind::File, Some("\"/run/mimicry/control\""), Phase::Load, "The socket by which status, reload and stop reach the master."),
    setting("daemon", "spool", Kind::File, Some("\"/var/spool/mimicry\""), Phase::Load, "The directory for what must outlive a process."),
    setting("daemon", "seal_key_file", Kind::File, None, Phase::Load, "The keys that banners are sealed with, for machines that share them; default: seal.keys in the spool, which the master makes and renews."),
    setting("daemon", "workers.min", integer(1, 1000), Some("4"), Phase::Load, "Workers that always run."),
    setting("daemon", "workers.max", integer(1, 1000), Some("32"), Phase::Load, "Workers at most, and with it the sessions at a time."),
    setting("daemon", "workers.spare", integer(0, 1000), Some("2"), Phase::Load, "Idle workers kept ready."),
    setting("daemon", "mails_per_worker", integer(0, 1_000_000_000), Some("1000"), Phase::Load, "Mails after which a worker is replaced; 0 = never."),
    setting("daemon", "mail_timeout", Kind::Time("1s", "1h"), Some("\"60s\""), Phase::Load, "How long the rules may work on one mail."),
    setting("daemon", "drain_timeout", Kind::Time("0s", "1h"), Some("\"60s\""), Phase::Load, "How long mails in hand may take when the daemon stops."),
    setting("daemon", "poison_limit", integer(0, 1000), Some("3"), Phase::Load, "Workers that one mail may kill before it gets the answer of on_poison; 0 = any number."),
    setting("daemon", "on_poison", word(OnError::WORDS), Some("\"defer\""), Phase::Load, "The answer to a mail that killed workers: defer, reject, or pass it unchanged."),
    setting("daemon", "core_dumps", BOOL, Some("false"), Phase::Load, "Lets master and workers leave core files, which hold mail and secrets."),
    //
    setting("log", "target", Kind::LogTarget, Some("\"syslog\""), Phase::Load, "Where the log goes: syslog (or syslog: and the path of its socket), stderr, or file: and a path."),
    setting("log", "format", word(LogFormat::WORDS), Some("\"text\""), Phase::Load, "How a line of the log is written."),
    setting("log", "facility", word(FACILITIES), Some("\"mail\""), Phase::Load, "The facility of syslog."),
    setting("log", "level", word(LogLevel::WORDS), Some("\"info\""), Phase::Load, "The least severity that is logged."),
    setting("log", "syslog_format", word(SyslogFormat::WORDS), Some("\"rfc3164\""), Phase::Load, "The form of a syslog message."),
    //
    required("listen", "name", LINE, Phase::Load, "The listener's name in the log and for the filter listener."),
    required("listen", "address", Kind::Address, Phase::Load, "Where it listens: address:port, [v6]:port or unix:/path; port 0 is any free one."),
    setting("listen", "protocol", word(super::typed::PROTOCOLS), Some("\"smtp\""), Phase::Load, "What it speaks."),
    setting("listen", "clients", Kind::Networks, Some("[\"127.0.0.0/8\", \"::1\"]"), Phase::Connect, "Networks that may connect; a listener that others can reach must say."),
    setting("listen", "xforward_clients", Kind::Networks, Some("[]"), Phase::Connect, "Networks whose XFORWARD is believed."),
    setting("listen", "auth_clients", Kind::Networks, Some("[]"), Phase::Connect, "Networks whose AUTH= is believed: only of an MTA that writes it itself."),
    setting("listen", "proxy_clients", Kind::Networks, Some("[]"), Phase::Connect, "Networks that must speak the PROXY protocol first."),
    setting("listen", "profile", word(Profile::WORDS), Some("\"after-queue\""), Phase::Connect, "Where it stands: before-queue caps a whole transaction at 90 seconds."),
    setting("listen", "tls_cert", Kind::File, None, Phase::Load, "The certificate chain for STARTTLS, PEM."),
    setting("listen", "tls_key", Kind::File, None, Phase::Load, "The key of tls_cert, PEM."),
    //
    setting("relay", "next_hop", Kind::NextHop, None, Phase::Rcpt, "Who gets the mail next: smtp://host:port, smtps://host, lmtp://host:port, lmtp:///path, smtp:///path or maildir:///path."),
    setting("relay", "tls", word(Tls::WORDS), Some("\"none\""), Phase::Rcpt, "STARTTLS to the next hop: never, if offered and in order, always, or always and with a valid certificate; smtps:// has TLS in any case."),
    setting("relay", "ca_file", Kind::File, None, Phase::Rcpt, "Certificates that the next hop's must descend from, PEM; default: those of the system."),
    setting("relay", "tls_fingerprint", Kind::Plain(ValueKind::Lines), None, Phase::Rcpt, "SHA-256 of the certificates that the next hop may show, in place of what ca_file and its name prove."),
    setting("relay", "user", LINE, None, Phase::Rcpt, "The user to authenticate as."),
    setting("relay", "password_file", Kind::File, None, Phase::Rcpt, "The file whose first line is the user's password; nobody but its owner may read it."),
    setting("relay", "lmtp_partial", word(LmtpPartial::WORDS), None, Phase::Rcpt, "Recipients per transaction to an LMTP next hop when the client speaks SMTP: one, or a whole class."),
    setting("relay", "helo_name", LINE, None, Phase::Rcpt, "The name given in EHLO; default: hostname."),
    setting("relay", "connect_timeout", TIMEOUT, Some("\"30s\""), Phase::Rcpt, "How long connecting may take."),
    setting("relay", "helo_timeout", TIMEOUT, Some("\"300s\""), Phase::Rcpt, "How long the greeting, and the reply to EHLO or LHLO, may take."),
    setting("relay", "mail_timeout", TIMEOUT, Some("\"300s\""), Phase::Rcpt, "How long the reply to MAIL may take."),
    setting("relay", "rcpt_timeout", TIMEOUT, Some("\"300s\""), Phase::Rcpt, "How long the reply to RCPT may take."),
    setting("relay", "data_timeout", TIMEOUT, Some("\"120s\""), Phase::Rcpt, "How long the reply to DATA may take."),
    setting("relay", "data_block_timeout", TIMEOUT, Some("\"180s\""), Phase::Rcpt, "How long a block of the message may take to be written."),
    setting("relay", "dot_timeout", TIMEOUT, Some("\"540s\""), Phase::Rcpt, "How long the reply to the final dot may take; below Postfix's 600 seconds, so that the answer still finds the client."),
    setting("relay", "quit_timeout", TIMEOUT, Some("\"5s\""), Phase::Rcpt, "How long the reply to QUIT may take; nothing depends on it, and the worker waits."),
    setting("relay", "rset_timeout", TIMEOUT, Some("\"20s\""), Phase::Rcpt, "How long the reply to RSET may take."),
    //
    setting("limits", "mail", Kind::Size("1K", "1G"), Some("\"100M\""), Phase::Mail, "Octets of a mail; offered as SIZE if the next hop does not offer less."),
    setting("limits", "depth", integer(1, 1000), Some("100"), Phase::Mail, "How deep multiparts may be nested; what is below is one opaque leaf."),
    setting("limits", "parts", integer(1, 1_000_000), Some("10000"), Phase::Mail, "Parts of a mail; what follows is one opaque leaf."),
    setting("limits", "header", Kind::Size("1K", "64M"), Some("\"1M\""), Phase::Mail, "Octets of one header block."),
    setting("limits", "fields", integer(10, 1_000_000), Some("10000"), Phase::Mail, "Fields of one header block."),
    setting("limits", "field", Kind::Size("1K", "16M"), Some("\"100K\""), Phase::Mail, "Octets of one header field that are understood."),
    setting("limits", "params", integer(1, 100_000), Some("1000"), Phase::Mail, "Parameters of one header field that are understood."),
    setting("limits", "recipients", integer(1, 1_000_000), Some("1000"), Phase::Mail, "Recipients of a transaction; more get 452 4.5.3 and come again."),
    setting("limits", "max_classes", integer(1, 1000), Some("32"), Phase::Mail, "Classes of recipients in a transaction; recipients of more get 452 4.5.3 and come again."),
    setting("limits", "idle_timeout", TIMEOUT, Some("\"300s\""), Phase::Connect, "How long a client may be silent."),
    setting("limits", "session_timeout", Kind::Time("1s", "7d"), Some("\"1h\""), Phase::Connect, "How long a session may last."),
    setting("limits", "errors", integer(1, 1_000_000), Some("20"), Phase::Connect, "Errors of a client before it is sent away with 421."),
    setting("limits", "junk_commands", integer(1, 1_000_000), Some("100"), Phase::Connect, "NOOP, VRFY, HELP and RSET between two mails before they count as errors."),
    setting("limits", "line", integer(512, 1_000_000), Some("2048"), Phase::Connect, "Octets of a command line."),
    setting("limits", "data_rate", integer(0, 1_000_000_000), Some("500"), Phase::Connect, "Octets per second that a client must send on average during DATA; 0 = any."),
    setting("limits", "hops", integer(1, 1000), Some("50"), Phase::Mail, "Received fields of a mail before it is refused as a loop."),
    //
    required("rule", "name", LINE, Phase::Load, "The rule's name in the log, unique."),
    required("rule", "plugin", Kind::Plugin, Phase::Load, "What the rule does."),
    setting("rule", "match", Kind::Filters, None, Phase::Load, "Filters that must all hold; none = every mail."),
    setting("rule", "unless", Kind::Filters, None, Phase::Load, "Filters of which none may hold."),
    setting("rule", "options", Kind::Options, None, Phase::Load, "The plugin's options."),
    setting("rule", "final", BOOL, Some("false"), Phase::Load, "Ends the walk of the rules where this one matched."),
    setting("rule", "mode", word(Mode::WORDS), Some("\"enforce\""), Phase::Load, "Whether the rule acts, only logs what it would have done, or is out of force."),
    setting("rule", "on_error", word(OnError::WORDS), None, Phase::Load, "What becomes of the mail when the rule fails for good; default: the setting above all tables, else as the plugin says."),
    setting("rule", "on_sealed", word(OnSealed::WORDS), None, Phase::Load, "What becomes of signed or encrypted content that the rule would edit."),
    setting("rule", "on_dkim", word(OnDkim::WORDS), Some("\"edit\""), Phase::Load, "What becomes of mail with a DKIM signature: edited all the same, skipped, or edited and stripped of the signature."),
    setting("rule", "show_bcc", BOOL, Some("false"), Phase::Load, "Whether texts that name the recipients name those as well whom no field of the header names."),
    setting("rule", "unsure", word(Unsure::WORDS), None, Phase::Load, "Whether the rule takes a part as one that may match, because its file name cannot be read to its end or other programs may find other parts in it; default: take for remove, pass for all others."),
    //
    required("bank", "name", LINE, Phase::Load, "The bank's name in the log and for include, unique; not base, and without /."),
    setting("bank", "when", Kind::Filters, None, Phase::Load, "What selects the bank; without it, the bank is there for others to include."),
    setting("bank", "include", Kind::Banks, None, Phase::Load, "Banks whose settings lie below this one's own."),
    setting("bank", "next_hop", Kind::NextHop, None, Phase::Rcpt, "In place of relay.next_hop."),
    setting("bank", "rules", Kind::Rules, None, Phase::Data, "The rules in force, in place of all others."),
    setting("bank", "rules_add", Kind::Rules, None, Phase::Data, "Rules in force besides the others."),
    setting("bank", "variables", Kind::Texts, None, Phase::Data, "Texts for templates; those of other names stay."),
    setting("bank", "mode", word(Mode::WORDS), None, Phase::Data, "In place of mode: how far the rules of this mail may go."),
    setting("bank", "on_error", word(OnError::WORDS), None, Phase::Data, "In place of on_error."),
    setting("bank", "trace", BOOL, None, Phase::Data, "In place of trace."),
    setting("bank", "bare_newline", word(BareNewline::WORDS), None, Phase::Mail, "In place of bare_newline."),
    setting("bank", "hide_extensions", Kind::Plain(ValueKind::Words(EXTENSIONS)), None, Phase::Connect, "In place of hide_extensions."),
    setting("bank", "hostname", LINE, None, Phase::Connect, "In place of hostname."),
    setting("bank", "limits.mail", Kind::Size("1K", "1G"), None, Phase::Mail, "In place of limits.mail."),
    setting("bank", "limits.depth", integer(1, 1000), None, Phase::Mail, "In place of limits.depth."),
    setting("bank", "limits.parts", integer(1, 1_000_000), None, Phase::Mail, "In place of limits.parts."),
    setting("bank", "limits.header", Kind::Size("1K", "64M"), None, Phase::Mail, "In place of limits.header."),
    setting("bank", "limits.fields", integer(10, 1_000_000), None, Phase::Mail, "In place of limits.fields."),
    setting("bank", "limits.field", Kind::Size("1K", "16M"), None, Phase::Mail, "In place of limits.field."),
    setting("bank", "limits.params", integer(1, 100_000), None, Phase::Mail, "In place of limits.params."),
    setting("bank", "limits.recipients", integer(1, 1_000_000), None, Phase::Mail, "In place of limits.recipients."),
    setting("bank", "limits.max_classes", integer(1, 1000), None, Phase::Mail, "In place of limits.max_classes."),
    setting("bank", "limits.idle_timeout", TIMEOUT, None, Phase::Connect, "In place of limits.idle_timeout."),
    setting("bank", "limits.session_timeout", Kind::Time("1s", "7d"), None, Phase::Connect, "In place of limits.session_timeout."),
    setting("bank", "limits.errors", integer(1, 1_000_000), None, Phase::Connect, "In place of limits.errors."),
    setting("bank", "limits.junk_commands", integer(1, 1_000_000), None, Phase::Connect, "In place of limits.junk_commands."),
    setting("bank", "limits.line", integer(512, 1_000_000), None, Phase::Connect, "In place of limits.line."),
    setting("bank", "limits.data_rate", integer(0, 1_000_000_000), None, Phase::Connect, "In place of limits.data_rate."),
    setting("bank", "limits.hops", integer(1, 1000), None, Phase::Mail, "In place of limits.hops."),
];

/// Finds the line of the table.
pub fn find(table: &str, name: &str) -> Option<&'static Setting> {
    SETTINGS
        .iter()
        .find(|setting| setting.table == table && setting.name == name)
}

/// The setting in whose place one of a bank stands; `None` = it is the bank's own.
pub fn replaced_by(setting: &Setting) -> Option<&'static Setting> {
    let (table, name) = match setting.name {
        "name" | "when" | "include" | "rules_add" => return None,
        "next_hop" => ("relay", "next_hop"),
        name => match name.strip_prefix("limits.") {
            Some(limit) => ("limits", limit),
            None => ("", name),
        },
    };
    (setting.table == "bank")
        .then(|| find(table, name))
        .flatten()
}

/// The tables of a configuration, in the order of the manual.
pub fn tables() -> Vec<&'static str> {
    let mut tables: Vec<&'static str> = SETTINGS
        .iter()
        .map(|setting| setting.table)
        .filter(|table| !table.is_empty())
        .collect();
    tables.dedup();
    tables
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_setting_has_its_own_place_and_one_sentence() {
        let mut seen = BTreeSet::new();
        for setting in SETTINGS {
            assert!(
                seen.insert((setting.table, setting.name)),
                "{}.{} twice",
                setting.table,
                setting.name
            );
            assert!(
                setting.doc.ends_with('.'),
                "{}.{}",
                setting.table,
                setting.name
            );
            assert!(
                !setting.doc.contains(". "),
                "{}.{} has more than one sentence",
                setting.table,
                setting.name
            );
            assert!(
                !(setting.required && setting.default.is_some()),
                "{}.{}",
                setting.table,
                setting.name
            );
            assert!(
                !setting.required || LISTS.contains(&setting.table),
                "{}.{}",
                setting.table,
                setting.name
            );
        }
    }

    #[test]
    fn a_bank_can_change_what_the_base_has_and_at_the_same_time() {
        for setting in SETTINGS.iter().filter(|setting| setting.table == "bank") {
            let own = ["name", "when", "include", "rules_add"].contains(&setting.name);
            let replaced = replaced_by(setting);
            assert_eq!(replaced.is_none(), own, "{}", setting.name);
            if let Some(replaced) = replaced {
                assert_eq!(
                    (setting.kind, setting.phase),
                    (replaced.kind, replaced.phase),
                    "{}",
                    setting.name
                );
                assert_ne!(setting.phase, Phase::Load, "{}", setting.name);
                assert!(setting.default.is_none(), "{}", setting.name);
            }
        }
        let limits = |table: &str, prefix: &str| {
            SETTINGS
                .iter()
                .filter(|one| one.table == table && one.name.starts_with(prefix))
                .count()
        };
        assert_eq!(limits("bank", "limits."), limits("limits", ""));
    }

    #[test]
    fn tables_stand_together() {
        let tables = tables();
        let unique: BTreeSet<_> = tables.iter().collect();
        assert_eq!(unique.len(), tables.len(), "{tables:?}");
        for list in LISTS {
            assert!(tables.contains(list), "{list}");
        }
    }
}
