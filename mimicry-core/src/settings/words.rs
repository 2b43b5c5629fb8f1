//! The closed lists of words that settings take, apart from those of the rules.
//!
//! Must never: say which setting takes a list; the table does.

use crate::words;

words! {
    /// What happens to a bare CR or LF.
    BareNewline {
        /// LF becomes CRLF, a lone CR a space.
        Normalize = "normalize",
        /// 550 5.6.11.
        Reject = "reject",
    }
}

words! {
    /// What becomes of an mbox line at the head of a mail.
    MboxLine {
        /// It becomes the field X-Mailbox-Line, as Postfix's server makes of it.
        Normalize = "normalize",
        /// 550 5.6.0.
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
    /// The lowest severity that is logged.
    LogLevel {
        Error = "error",
        Warn = "warn",
        Info = "info",
        Debug = "debug",
    }
}

words! {
    /// How far workers are confined beyond their user's rights.
    Sandbox {
        /// As far as the kernel can, which at least is what it takes to guard files and system calls; else the daemon does not start.
        Require = "require",
        /// As far as the kernel can.
        Try = "try",
        Off = "off",
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
    /// The place of a listener.
    Profile {
        AfterQueue = "after-queue",
        /// The client waits for the reply, so each reply comes within 90 s.
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

words! {
    /// The facility of syslog.
    Facility {
        User = "user",
        Mail = "mail",
        Daemon = "daemon",
        Auth = "auth",
        Syslog = "syslog",
        Authpriv = "authpriv",
        Local0 = "local0",
        Local1 = "local1",
        Local2 = "local2",
        Local3 = "local3",
        Local4 = "local4",
        Local5 = "local5",
        Local6 = "local6",
        Local7 = "local7",
    }
}

impl Facility {
    /// RFC 5424 section 6.2.1, table 1.
    pub fn number(self) -> u8 {
        match self {
            Facility::User => 1,
            Facility::Mail => 2,
            Facility::Daemon => 3,
            Facility::Auth => 4,
            Facility::Syslog => 5,
            Facility::Authpriv => 10,
            Facility::Local0 => 16,
            Facility::Local1 => 17,
            Facility::Local2 => 18,
            Facility::Local3 => 19,
            Facility::Local4 => 20,
            Facility::Local5 => 21,
            Facility::Local6 => 22,
            Facility::Local7 => 23,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_facility_has_its_number() {
        let facilities = Facility::WORDS
            .iter()
            .filter_map(|word| Facility::from_word(word));
        let numbers: BTreeSet<u8> = facilities.map(Facility::number).collect();
        assert_eq!(numbers.len(), Facility::WORDS.len());
    }
}
