//! All settings, one row for each, in the order of the manual: the one place where a setting is declared.
//!
//! [`declare`](super::declare) says what stands in a row. Most rows are fields of a struct, which is what the program holds
//! once a file is loaded. Rows of [`APART`] have none: a list of rules or a table of filters is understood beside other tables,
//! by a function of `config` for each. Defaults follow Postfix where it has the setting.
//!
//! Must never: read a file, or know a plugin.
//!
//! Longer lines than elsewhere: one setting a line, so that the table reads as one.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::extension::Extension;
use crate::message::limits::Limits as MessageLimits;
use crate::plugin::{OnError, ValueKind};
use crate::reason::{OnDkim, OnSealed};
use crate::rule::{Mode, Unsure};
use crate::words::Word as _;

use super::declare::{Changeable, Group, Over, settings};
use super::endpoint::{ListenAddress, NextHop, Protocol};
use super::fingerprint::Fingerprint;
use super::given::{Field, Given, Show, Shown, Values};
use super::kind::Kind;
use super::log_target::LogTarget;
use super::row::{Phase, Setting};
use super::trusted::Trusted;
use super::words::{
    BareNewline, Facility, LmtpPartial, LogFormat, LogLevel, MboxLine, Profile, Sandbox,
    SyslogFormat, Tls,
};

const BOOL: Kind = Kind::Plain(ValueKind::Bool);
const LINE: Kind = Kind::Plain(ValueKind::Line);
const TIMEOUT: Kind = Kind::Time("1s", "1d");

const fn integer(low: i64, high: i64) -> Kind {
    Kind::Plain(ValueKind::Integer(low, high))
}

const fn size(low: &'static str, high: &'static str) -> Kind {
    Kind::Size(low, high)
}

const fn time(low: &'static str, high: &'static str) -> Kind {
    Kind::Time(low, high)
}

const fn word(words: &'static [&'static str]) -> Kind {
    Kind::Plain(ValueKind::Word(words))
}

settings! {
    /// What stands above all tables.
    [""] pub struct General, over GeneralOver {
        hostname: Option<String> = Kind::Host, -, Connect, "The name that mimicry uses in its greeting and in Received fields; default: the name of the machine.";
        trace: bool = BOOL, "true", Data, "Adds a Received field to each mail.";
        bare_newline: BareNewline = word(BareNewline::WORDS), "\"normalize\"", Mail, "What happens to a bare CR or LF in a mail: it is normalized, or the mail is refused with 550 5.6.11.";
        mbox_line: MboxLine = word(MboxLine::WORDS), "\"normalize\"", Mail, "What happens to a line From of an mbox at the head of a mail: it becomes a field X-Mailbox-Line, as with Postfix, or the mail is refused with 550 5.6.0.";
        hide_extensions: Vec<Extension> = Kind::Plain(ValueKind::Words(Extension::WORDS)), "[]", Connect, "ESMTP extensions that are not offered to clients.";
        mode: Mode = word(Mode::WORDS), "\"enforce\"", Data, "How far rules may go: a rule's own mode applies, but never beyond this one (off, shadow, enforce).";
        on_error: Option<OnError> = word(OnError::WORDS), -, Data, "What happens to a mail if a rule without on_error fails permanently; default: as the plugin says.";
    }
}

settings! {
    /// The table `daemon`.
    ["daemon"] pub struct Daemon {
        user: Option<String> = LINE, -, Load, "The user that workers run as if root starts the daemon; default: mimicry if that user exists, else nobody.";
        group: Option<String> = LINE, -, Load, "The group that workers run as; default: the user's.";
        pid_file: PathBuf = Kind::File, "\"/run/mimicry/mimicryd.pid\"", Load, "Holds the master's process id and is locked while it runs.";
        metrics: Option<ListenAddress> = Kind::Address, -, Load, "Where numbers for Prometheus can be fetched by HTTP: address:port, [v6]:port or unix:/path; default: nowhere.";
        control: PathBuf = Kind::Socket, "\"/run/mimicry/control\"", Load, "The socket by which status, reload, upgrade and stop reach the master.";
        spool: PathBuf = Kind::File, "\"/var/spool/mimicry\"", Load, "The directory for data that must outlive a process.";
        state: PathBuf = Kind::File, "\"/var/lib/mimicry\"", Load, "The directory of what the master alone keeps: the configurations that were in force.";
        seal_key_file: Option<PathBuf> = Kind::File, -, Load, "The keys that banners are sealed with, for machines that share them; default: seal.keys in the spool, which the master makes and renews.";
        workers: Workers;
        mails_per_worker: u64 = integer(0, 1_000_000_000), "1000", Load, "Mails after which a worker is replaced; 0 means never.";
        mail_timeout: Duration = time("1s", "1h"), "\"60s\"", Load, "How long the rules may work on one mail; a worker that takes longer is killed, and the client keeps the mail.";
        drain_timeout: Duration = time("0s", "1h"), "\"60s\"", Load, "How long mails in hand may take when the daemon stops.";
        upgrade_timeout: Duration = time("1s", "1h"), "\"60s\"", Load, "How long a new program may take at an upgrade until its workers accept; then it is given up, and the daemon goes on as before.";
        poison_limit: u32 = integer(0, 1000), "3", Load, "Workers that one mail may kill before it gets the answer of on_poison; 0 means any number.";
        on_poison: OnError = word(OnError::WORDS), "\"defer\"", Load, "The answer to a mail that killed workers: defer, reject, or pass it unchanged.";
        sandbox: Sandbox = word(Sandbox::WORDS), "\"try\"", Load, "Whether the kernel keeps workers from files and system calls that they do not need: always, where it can, or never.";
        core_dumps: bool = BOOL, "false", Load, "Lets master and workers leave core files, which hold mail and secrets.";
    }
}

settings! {
    /// How many workers there are: `1 <= min <= max`, `spare <= max`.
    #[derive(Copy)]
    ["daemon"] pub struct Workers {
        min as "workers.min": usize = integer(1, 1000), "4", Load, "Workers that always run.";
        max as "workers.max": usize = integer(1, 1000), "32", Load, "The largest number of workers, and so of sessions at a time.";
        spare as "workers.spare": usize = integer(0, 1000), "2", Load, "Idle workers kept ready.";
    }
}

settings! {
    /// The table `log`.
    ["log"] pub struct Log {
        target: LogTarget = Kind::LogTarget, "\"syslog\"", Load, "Where the log goes: syslog (or syslog: and the path of its socket), journal (or journal: and the path of its socket), stderr, or file: and a path.";
        format: LogFormat = word(LogFormat::WORDS), "\"text\"", Load, "How a line of the log is written.";
        subject: bool = BOOL, "false", Load, "Whether the line of a mail has its subject, which says what people write about.";
        facility: Facility = word(Facility::WORDS), "\"mail\"", Load, "The facility of syslog.";
        level: LogLevel = word(LogLevel::WORDS), "\"info\"", Load, "The lowest severity that is logged.";
        syslog_format: SyslogFormat = word(SyslogFormat::WORDS), "\"rfc3164\"", Load, "The form of a syslog message.";
    }
}

settings! {
    /// One `[[listen]]`: its name is unique; its networks are not asked on a unix socket, whose file permissions decide.
    ["listen"] pub struct Listen {
        name: String = LINE, required, Load, "The listener's name in the log and for the filter listener.";
        address: ListenAddress = Kind::Address, required, Load, "Where it listens: address:port, [v6]:port or unix:/path; port 0 means any free port.";
        protocol: Protocol = word(Protocol::WORDS), "\"smtp\"", Load, "What it speaks.";
        clients: Vec<IpNet> = Kind::Networks, "[\"127.0.0.0/8\", \"::1\"]", Load, "Networks that may connect; a listener that other machines can reach must have it.";
        xforward_clients: Trusted = Kind::Trusted, "[]", Load, "Networks whose XFORWARD is believed; \"unix\" stands for the clients of a unix socket.";
        auth_clients: Trusted = Kind::Trusted, "[]", Load, "Networks, or \"unix\", whose AUTH= is believed: name only an MTA that writes it itself.";
        proxy_clients: Trusted = Kind::Trusted, "[]", Load, "Networks, or \"unix\", that must speak the PROXY protocol first.";
        profile: Profile = word(Profile::WORDS), "\"after-queue\"", Load, "Its place: with before-queue each reply comes within 90 seconds.";
        tls: Option<ListenTls>;
    }
}

settings! {
    /// What STARTTLS needs.
    ["listen"] pub struct ListenTls {
        cert as "tls_cert": PathBuf = Kind::File, -, Load, "The certificate chain for STARTTLS, PEM.";
        key as "tls_key": PathBuf = Kind::File, -, Load, "The key of tls_cert, PEM.";
    }
}

settings! {
    /// The table `relay`. There is no next hop only in a configuration that is not [`ready_to_run`](crate::config::Config::ready_to_run).
    ["relay"] pub struct Relay {
        next_hop: Option<NextHop> = Kind::NextHop, -, Rcpt, "Who gets the mail next: smtp://host:port, smtps://host, lmtp://host:port, lmtp:///path, smtp:///path or maildir:///path.";
        tls: Tls = word(Tls::WORDS), "\"none\"", Load, "STARTTLS to the next hop: never, if offered and if it works, always, or always and with a valid certificate; smtps:// has TLS in any case.";
        ca_file: Option<PathBuf> = Kind::File, -, Load, "Authorities that the next hop's certificate must come from, PEM; default: those of the system.";
        tls_fingerprint: Option<Vec<Fingerprint>> = Kind::Fingerprints, -, Load, "SHA-256 of the certificates that the next hop may show, instead of a check by ca_file and name.";
        login: Option<Login>;
        lmtp_partial: Option<LmtpPartial> = word(LmtpPartial::WORDS), -, Load, "Recipients per transaction to an LMTP next hop when the client speaks SMTP: one, or a whole class.";
        helo_name: Option<String> = Kind::Host, -, Load, "The name given in EHLO; default: hostname.";
        connections: usize = integer(1, 1000), "100", Load, "Connections to one next hop that all workers together have at a time; not more than it serves.";
        connection_wait: Duration = time("100ms", "5m"), "\"5s\"", Load, "How long a mail that has a connection to a next hop waits for another one; then that recipient gets 452 4.3.2, and the client sends it again.";
        timeouts: Timeouts;
    }
}

settings! {
    /// Who mimicry is to the next hop.
    #[derive(Hash)]
    ["relay"] pub struct Login {
        user: String = LINE, -, Load, "The user for authentication.";
        password_file: PathBuf = Kind::File, -, Load, "The file whose first line is the user's password; nobody but its owner may read it.";
    }
}

settings! {
    /// How long each phase of a transaction with the next hop may take (RFC 5321 section 4.5.3.2).
    #[derive(Copy, Hash)]
    ["relay"] pub struct Timeouts {
        connect as "connect_timeout": Duration = TIMEOUT, "\"30s\"", Load, "How long connecting may take.";
        helo as "helo_timeout": Duration = TIMEOUT, "\"300s\"", Load, "How long the greeting, and the reply to EHLO or LHLO, may take.";
        mail as "mail_timeout": Duration = TIMEOUT, "\"300s\"", Load, "How long the reply to MAIL may take.";
        rcpt as "rcpt_timeout": Duration = TIMEOUT, "\"300s\"", Load, "How long the reply to RCPT may take.";
        data as "data_timeout": Duration = TIMEOUT, "\"120s\"", Load, "How long the reply to DATA may take.";
        data_block as "data_block_timeout": Duration = TIMEOUT, "\"180s\"", Load, "How long a block of the message may take to be written.";
        dot as "dot_timeout": Duration = TIMEOUT, "\"540s\"", Load, "How long the reply to the final dot may take; less than Postfix's 600 seconds, so that the client still hears the reply.";
        quit as "quit_timeout": Duration = TIMEOUT, "\"5s\"", Load, "How long the reply to QUIT may take; nothing depends on that reply, and the worker waits for it.";
        rset as "rset_timeout": Duration = TIMEOUT, "\"20s\"", Load, "How long the reply to RSET may take.";
    }
}

settings! {
    /// The table `limits`.
    ["limits"] pub struct Limits, over LimitsOver {
        mail: usize = size("1K", "1G"), "\"100M\"", Mail, "Octets of a mail; offered as SIZE if the next hop does not offer less.";
        message: MessageLimits;
        recipients: usize = integer(1, 1_000_000), "1000", Mail, "Recipients of a transaction; further ones get 452 4.5.3, and the client sends them again.";
        max_classes: usize = integer(1, 1000), "32", Mail, "Classes of recipients in a transaction; recipients of further classes get 452 4.5.3, and the client sends them again.";
        idle_timeout: Duration = TIMEOUT, "\"300s\"", Connect, "How long a client may be silent.";
        session_timeout: Duration = time("1s", "7d"), "\"1h\"", Connect, "How long a session may last.";
        stress_timeout: Duration = TIMEOUT, "\"10s\"", Connect, "How long a client may go without bringing its mail forward while all workers are busy and another client waits; less if many wait.";
        connections_per_client: usize = integer(0, 1_000_000), "0", Connect, "Connections that the clients of one network may have at a time, an IPv4 address or an IPv6 /64; further ones get 421 4.7.0; 0 means any number.";
        errors: u32 = integer(1, 1_000_000), "20", Connect, "Errors of a client before its session ends with 421.";
        junk_commands: u32 = integer(1, 1_000_000), "100", Connect, "NOOP, VRFY, HELP and RSET between two mails before they count as errors.";
        line: usize = integer(512, 1_000_000), "2048", Connect, "Octets of a command line.";
        data_rate: u64 = integer(0, 1_000_000_000), "500", Connect, "Octets per second that a client must send on average during DATA; 0 means any rate.";
        hops: usize = integer(1, 1000), "50", Mail, "Received fields of a mail before it is refused as a loop.";
    }
}

settings! {
    ["limits"] for MessageLimits, over MessageLimitsOver {
        depth: usize = integer(1, 1000), "100", Mail, "How deep multiparts may be nested; what is below is one opaque leaf.";
        parts: usize = integer(1, 1_000_000), "10000", Mail, "Parts of a mail; what follows is one opaque leaf.";
        header: usize = size("1K", "64M"), "\"1M\"", Mail, "Octets of one header block.";
        fields: usize = integer(10, 1_000_000), "10000", Mail, "Fields of one header block.";
        field: usize = size("1K", "16M"), "\"100K\"", Mail, "Octets of one header field that are understood.";
        params: usize = integer(1, 100_000), "1000", Mail, "Parameters of one header field that are understood.";
    }
}

settings! {
    /// How a rule acts: the settings of a `[[rule]]` that are understood by themselves.
    ["rule"] pub struct Conduct {
        is_final as "final": bool = BOOL, "false", Load, "Applies no later rule where this one matched.";
        mode: Mode = word(Mode::WORDS), "\"enforce\"", Load, "Whether the rule acts, only logs what it would have done, or is switched off.";
        on_error: Option<OnError> = word(OnError::WORDS), -, Load, "What happens to the mail if the rule fails permanently; default: the setting above all tables, or else that of the plugin.";
        on_sealed: Option<OnSealed> = word(OnSealed::WORDS), -, Load, "What happens to signed or encrypted content that the rule would edit.";
        on_dkim: OnDkim = word(OnDkim::WORDS), "\"edit\"", Load, "What happens to mail with a DKIM signature: edited all the same, skipped, or edited and stripped of the signature.";
        show_bcc: bool = BOOL, "false", Load, "Whether texts that name the recipients also name recipients whom no header field names.";
        unsure: Option<Unsure> = word(Unsure::WORDS), -, Load, "Whether the rule takes a part as one that may match, because its file name cannot be read to its end or other programs may find other parts in it; default: take for remove, pass for all others.";
    }
}

/// The rows without a field.
#[rustfmt::skip]
const APART: &[Setting] = &[
    settings!(@setting "", (rules "rules"), Kind::Rules, -, Data, "The rules in force, by name, whatever their order here; default: all of the file."),
    settings!(@setting "", (variables "variables"), Kind::Texts, -, Data, "Texts that templates may use, under names of your own."),
    settings!(@setting "rule", (name "name"), LINE, required, Load, "The rule's name in the log, unique."),
    settings!(@setting "rule", (plugin "plugin"), Kind::Plugin, required, Load, "What the rule does."),
    settings!(@setting "rule", (match "match"), Kind::Filters, -, Load, "Filters that must all hold; without any, every mail."),
    settings!(@setting "rule", (unless "unless"), Kind::Filters, -, Load, "Filters of which none may hold."),
    settings!(@setting "rule", (options "options"), Kind::Options, -, Load, "The plugin's options."),
    settings!(@setting "bank", (name "name"), LINE, required, Load, "The bank's name in the log and for include; unique, not base, and without /."),
    settings!(@setting "bank", (when "when"), Kind::Filters, -, Load, "What selects the bank; without it, the bank is there for others to include."),
    settings!(@setting "bank", (include "include"), Kind::Banks, -, Load, "Banks whose settings lie below this one's own."),
    settings!(@setting "bank", (rules_add "rules_add"), Kind::Rules, -, Data, "Rules in force in addition to the others."),
];

/// All rows, those of a table together: first the fields, then the rows apart; but rules and banks begin with their names. Last come
/// the settings of a bank that stand in place of others, made of the rows of those.
pub(super) fn rows() -> Vec<Setting> {
    let mut rows = Vec::new();
    let apart = |rows: &mut Vec<Setting>, table: &str| {
        rows.extend(APART.iter().filter(|row| row.table == table).copied());
    };
    General::rows(&mut rows);
    apart(&mut rows, "");
    Daemon::rows(&mut rows);
    Log::rows(&mut rows);
    Listen::rows(&mut rows);
    Relay::rows(&mut rows);
    Limits::rows(&mut rows);
    apart(&mut rows, "rule");
    Conduct::rows(&mut rows);
    let in_banks: Vec<Setting> = rows.iter().filter_map(Setting::in_bank).collect();
    apart(&mut rows, "bank");
    rows.extend(in_banks);
    rows
}

/// The settings that banks may change, as they are in force for a mail; rules and variables are laid in ways of their own.
#[derive(Clone, Debug)]
pub struct InForce {
    /// That of `relay`, or of a bank. `None` only where the configuration names none for it.
    pub next_hop: Option<NextHop>,
    pub general: General,
    pub limits: Limits,
}

/// What lies over [`InForce`]: a bank's own settings, or what the file says for all mail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overlay {
    pub(crate) next_hop: Option<NextHop>,
    pub(crate) general: GeneralOver,
    pub(crate) limits: LimitsOver,
}

impl InForce {
    pub(crate) fn lay(&mut self, over: &Overlay) {
        if over.next_hop.is_some() {
            self.next_hop.clone_from(&over.next_hop);
        }
        self.general.lay(&over.general);
        self.limits.lay(&over.limits);
    }

    /// What of it is set.
    pub(crate) fn show(&self, show: Show<'_>) {
        show_next_hop(self.next_hop.as_ref(), show);
        self.general.show(show);
        self.limits.show(show);
    }
}

impl Overlay {
    /// Of the values that `given` finds by table and name.
    pub(crate) fn read(given: &dyn Fn(&'static str, &'static str) -> Option<Given>) -> Overlay {
        Overlay {
            next_hop: Field::field(given("relay", "next_hop").as_ref()).flatten(),
            general: Over::read(given),
            limits: Over::read(given),
        }
    }

    /// What of it is set.
    pub(crate) fn show(&self, show: Show<'_>) {
        show_next_hop(self.next_hop.as_ref(), show);
        self.general.show(show);
        self.limits.show(show);
    }
}

fn show_next_hop(next_hop: Option<&NextHop>, show: Show<'_>) {
    if let Some(shown) = next_hop.and_then(|hop| hop.shown(Kind::NextHop)) {
        show("next_hop", shown);
    }
}
