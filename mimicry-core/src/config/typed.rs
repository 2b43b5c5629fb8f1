//! The configuration as the program needs it: every value typed, every default filled in.
//!
//! Must never hold a text that still has to be understood.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::message::limits::Limits as MessageLimits;
use crate::plugin::OnError;
use crate::policy::{Banks, Effective, Policy};

use super::diag::Mistakes;
use super::endpoint::{ListenAddress, NextHop, Protocol};
use super::given::Values;
use super::relay::Fingerprint;

/// A configuration that was loaded.
#[derive(Debug)]
pub struct Config {
    /// The file it came from, as it was named.
    pub path: PathBuf,
    pub daemon: Daemon,
    pub log: Log,
    pub places: Places,
    pub listen: Vec<Listen>,
    pub relay: Relay,
    /// In the order of the file.
    pub directories: Vec<Declared>,
    /// What only the daemon opens.
    pub files: Vec<NamedFile>,
    /// The settings of mail to which no bank applies.
    pub base: Arc<Effective>,
    /// The rules and variables of the base.
    pub policy: Arc<Policy>,
    /// How settings differ from mail to mail.
    pub banks: Banks,
    /// What loads but hardly does what was meant.
    pub warnings: Mistakes,
}

/// Where the file names what must be on the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    pub user: Range<usize>,
    pub group: Range<usize>,
    pub log_target: Range<usize>,
}

/// A file that a setting names and that is not read when the configuration is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    pub setting: &'static str,
    pub path: PathBuf,
    /// Where the file says so.
    pub span: Range<usize>,
}

/// A directory that the jobs of a rule write to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    pub rule: String,
    pub path: PathBuf,
    /// Where the file says so.
    pub span: Range<usize>,
}

/// The table `daemon`.
#[derive(Debug)]
pub struct Daemon {
    pub user: Option<String>,
    pub group: Option<String>,
    pub pid_file: PathBuf,
    pub control: PathBuf,
    pub spool: PathBuf,
    /// `None`: the master's own.
    pub seal_key_file: Option<PathBuf>,
    pub workers: Workers,
    /// 0 = never replaced.
    pub mails_per_worker: u64,
    pub mail_timeout: Duration,
    pub drain_timeout: Duration,
    /// 0 = no mail is ever held for poison.
    pub poison_limit: u32,
    pub on_poison: OnError,
    /// May master and workers be dumped, and looked into by their user.
    pub core_dumps: bool,
}

/// How many workers there are: `1 <= min <= max`, `spare <= max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workers {
    pub min: usize,
    pub max: usize,
    pub spare: usize,
}

/// The table `log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    pub target: LogTarget,
    pub format: LogFormat,
    /// The number of RFC 5424 section 6.2.1, table 1.
    pub facility: u8,
    pub level: LogLevel,
    pub syslog_format: SyslogFormat,
}

/// Where the log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// The path of the socket; `None` = the system's.
    Syslog(Option<PathBuf>),
    Stderr,
    File(PathBuf),
}

/// One `[[listen]]`.
#[derive(Debug)]
pub struct Listen {
    /// Unique in its configuration.
    pub name: String,
    pub address: ListenAddress,
    pub protocol: Protocol,
    /// Not asked on a unix socket, whose file permissions decide.
    pub clients: Vec<IpNet>,
    pub xforward_clients: Vec<IpNet>,
    pub auth_clients: Vec<IpNet>,
    pub proxy_clients: Vec<IpNet>,
    pub profile: Profile,
    pub tls: Option<ListenTls>,
}

/// What STARTTLS needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenTls {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// The table `relay`.
#[derive(Clone, Debug)]
pub struct Relay {
    /// `None` only in a configuration that is not [`Config::ready_to_run`].
    pub next_hop: Option<NextHop>,
    pub tls: Tls,
    pub ca_file: Option<PathBuf>,
    /// The certificates that the next hop may show; empty = it is not pinned.
    pub tls_fingerprint: Vec<Fingerprint>,
    pub login: Option<Login>,
    /// `None` = a class where there is a ledger, else one recipient.
    pub lmtp_partial: Option<LmtpPartial>,
    /// `None` = the hostname.
    pub helo_name: Option<String>,
    pub timeouts: Timeouts,
}

/// Who mimicry is to the next hop.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Login {
    pub user: String,
    pub password_file: PathBuf,
}

/// How long each phase of a transaction with the next hop may take (RFC 5321 section 4.5.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timeouts {
    pub connect: Duration,
    /// The greeting, and the reply to EHLO or LHLO.
    pub helo: Duration,
    pub mail: Duration,
    pub rcpt: Duration,
    pub data: Duration,
    pub data_block: Duration,
    pub dot: Duration,
    pub quit: Duration,
    pub rset: Duration,
}

/// The table `limits`.
#[derive(Debug)]
pub struct Limits {
    /// Octets of a mail.
    pub mail: usize,
    /// Those of the scanner.
    pub message: MessageLimits,
    pub recipients: usize,
    pub max_classes: usize,
    pub idle_timeout: Duration,
    pub session_timeout: Duration,
    pub errors: u32,
    pub junk_commands: u32,
    /// Octets of a command line.
    pub line: usize,
    /// Octets per second; 0 = any.
    pub data_rate: u64,
    /// Received fields.
    pub hops: usize,
}

impl Limits {
    /// Of values under their names in a `[[bank]]`.
    pub(crate) fn of(values: &Values) -> Limits {
        Limits {
            mail: values.size("limits.mail"),
            message: MessageLimits {
                depth: values.number("limits.depth"),
                parts: values.number("limits.parts"),
                header: values.size("limits.header"),
                field: values.size("limits.field"),
                fields: values.number("limits.fields"),
                params: values.number("limits.params"),
            },
            recipients: values.number("limits.recipients"),
            max_classes: values.number("limits.max_classes"),
            idle_timeout: values.time("limits.idle_timeout"),
            session_timeout: values.time("limits.session_timeout"),
            errors: values.number("limits.errors"),
            junk_commands: values.number("limits.junk_commands"),
            line: values.number("limits.line"),
            data_rate: values.integer("limits.data_rate"),
            hops: values.number("limits.hops"),
        }
    }
}

/// The texts of the table `variables`.
pub type Variables = BTreeMap<String, String>;

/// A closed list of words in the configuration.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$note:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$note])* $variant,)+
        }

        impl $name {
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            pub fn from_word(word: &str) -> Option<$name> {
                match word {
                    $($word => Some($name::$variant),)+
                    _ => None,
                }
            }

            pub fn word(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)+
                }
            }
        }
    };
}

words! {
    /// What becomes of a bare CR or LF.
    BareNewline {
        /// LF becomes CRLF, a lone CR a space.
        Normalize = "normalize",
        /// 550 5.6.11.
        Reject = "reject",
    }
}

words! {
    /// How a line of the log is written.
    LogFormat {
        Text = "text",
        Json = "json",
    }
}

words! {
    /// The least severity that is logged.
    LogLevel {
        Error = "error",
        Warn = "warn",
        Info = "info",
        Debug = "debug",
    }
}

words! {
    /// The form of a syslog message.
    SyslogFormat {
        Rfc3164 = "rfc3164",
        Rfc5424 = "rfc5424",
    }
}

words! {
    /// Where a listener stands.
    Profile {
        AfterQueue = "after-queue",
        /// The client waits for the final reply, so the whole transaction is capped at 90 s.
        BeforeQueue = "before-queue",
    }
}

words! {
    /// STARTTLS to the next hop.
    Tls {
        None = "none",
        /// If offered, with any certificate.
        May = "may",
        /// Always, with any certificate.
        Encrypt = "encrypt",
        /// Always, with a valid certificate.
        Verify = "verify",
    }
}

words! {
    /// Recipients per transaction to an LMTP next hop when the client speaks SMTP.
    LmtpPartial {
        Single = "single",
        Class = "class",
    }
}

impl LogLevel {
    pub fn filter(self) -> log::LevelFilter {
        match self {
            LogLevel::Error => log::LevelFilter::Error,
            LogLevel::Warn => log::LevelFilter::Warn,
            LogLevel::Info => log::LevelFilter::Info,
            LogLevel::Debug => log::LevelFilter::Debug,
        }
    }
}

/// The words of `protocol`.
pub const PROTOCOLS: &[&str] = &["smtp", "lmtp"];

/// The words of `facility`.
pub const FACILITIES: &[&str] = &[
    "user", "mail", "daemon", "auth", "syslog", "authpriv", "local0", "local1", "local2", "local3",
    "local4", "local5", "local6", "local7",
];

/// The number of a facility (RFC 5424 section 6.2.1, table 1); a word that is none is `mail`.
pub(super) fn facility_number(word: &str) -> u8 {
    match word {
        "user" => 1,
        "daemon" => 3,
        "auth" => 4,
        "syslog" => 5,
        "authpriv" => 10,
        "local0" => 16,
        "local1" => 17,
        "local2" => 18,
        "local3" => 19,
        "local4" => 20,
        "local5" => 21,
        "local6" => 22,
        "local7" => 23,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn words_are_read_as_written() {
        for word in BareNewline::WORDS {
            assert_eq!(
                BareNewline::from_word(word).map(BareNewline::word),
                Some(*word)
            );
        }
        for word in Tls::WORDS {
            assert_eq!(Tls::from_word(word).map(Tls::word), Some(*word));
        }
        assert_eq!(Tls::from_word("None"), None);
    }

    #[test]
    fn each_facility_has_its_number() {
        let numbers: BTreeSet<u8> = FACILITIES
            .iter()
            .map(|word| facility_number(word))
            .collect();
        assert_eq!(numbers.len(), FACILITIES.len());
    }
}
