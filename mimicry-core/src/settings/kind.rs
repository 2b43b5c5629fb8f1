//! The kinds of values that settings take, and their names for people.
//!
//! Must never: read a value; `config::value` does.

use crate::plugin::ValueKind;

use super::endpoint::{ListenAddress, NextHop};

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
    /// The name of a unix socket.
    Socket,
    /// The name of a machine, for EHLO and Received.
    Host,
    /// Networks in CIDR notation.
    Networks,
    /// Networks, and `unix`.
    Trusted,
    NextHop,
    Address,
    LogTarget,
    /// SHA-256 of certificates.
    Fingerprints,
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
            Kind::File | Kind::Socket => "path".into(),
            Kind::Host => "line".into(),
            Kind::Fingerprints => "list".into(),
            Kind::Networks => "list of networks".into(),
            Kind::Trusted => "list of networks | unix".into(),
            Kind::NextHop => "URL".into(),
            Kind::Address => "address".into(),
            Kind::LogTarget => {
                "syslog | syslog:PATH | journal | journal:PATH | stderr | file:PATH".into()
            }
            Kind::Rules => "list of rules".into(),
            Kind::Banks => "list of banks".into(),
            Kind::Plugin => "plugin".into(),
            Kind::Filters => "table of filters".into(),
            Kind::Options => "table of options".into(),
            Kind::Texts => "table of texts".into(),
        }
    }

    /// What a value looks like, for a mistake's help; words say their own.
    pub(crate) fn help(self) -> &'static str {
        match self {
            Kind::Plain(kind) => value_help(kind),
            Kind::Size(..) => value_help(ValueKind::Size),
            Kind::Time(..) => value_help(ValueKind::Time),
            Kind::File | Kind::Socket => {
                "write the name of a file in quotes; a relative one is relative to the configuration file"
            }
            Kind::Host => value_help(ValueKind::Line),
            Kind::Fingerprints => value_help(ValueKind::Lines),
            Kind::Networks => {
                "write networks in quotes, such as [\"192.0.2.0/24\", \"2001:db8::/32\"]"
            }
            Kind::Trusted => {
                "write networks in quotes, such as [\"192.0.2.0/24\"], or \"unix\" for the clients of a unix socket"
            }
            Kind::NextHop => NextHop::FORMS,
            Kind::Address => ListenAddress::FORMS,
            Kind::LogTarget => {
                "write \"syslog\", \"journal\", \"stderr\" or \"file:/var/log/mimicry.log\""
            }
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
pub(crate) fn value_help(kind: ValueKind) -> &'static str {
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
        ValueKind::Words(_) => "write words in quotes, several in brackets",
        ValueKind::Lines => "write texts in quotes, several in brackets",
        ValueKind::Domains => {
            "write domains in quotes, several in brackets, or \"file:domains.txt\" for those of a file"
        }
        ValueKind::Table => {
            "write texts in a table, such as { X-Company = \"Example\" }; write several of one name in brackets"
        }
        ValueKind::KeyFiles => {
            "write files in a table, such as { \"example.org\" = \"dkim/example.org/mail.pem\" }; write several of one name in brackets"
        }
        ValueKind::KeyTree | ValueKind::Directory => {
            "write the name of a directory in quotes; a relative one is relative to the configuration file"
        }
        ValueKind::PublicKeys => {
            "write names of files and directories in quotes, several in brackets; relative ones are relative to the configuration file"
        }
        ValueKind::Files => {
            "write names of files in quotes, several in brackets; relative ones are relative to the configuration file"
        }
    }
}
