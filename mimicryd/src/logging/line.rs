//! The lines of a mail: all that an administrator asks about one mail, in one line if it fits ([`super::sheet`]).
//!
//! The most important facts come first: the outcome and its reason, the sender, the number of recipients; then where it
//! came from and went; the lists come last.
//!
//! Must never: hold content of the mail, but its Message-ID, and its subject if a setting says so.

use std::time::Duration;

use mimicry_core::reply::By;
use mimicry_core::settings::words::LogFormat;

use super::sheet::{Head, Sheet, json};

/// One mail, or one class of its recipients where these get different mails. What is of octets is as it came.
#[derive(Clone, Debug, Default)]
pub struct MailLine {
    pub time: String,
    /// As in the Received field and the final reply.
    pub id: String,
    /// The address of the client, or `unix`.
    pub client: String,
    pub listener: String,
    pub helo: Vec<u8>,
    pub from: Vec<u8>,
    pub to: Vec<Vec<u8>>,
    /// Octets in.
    pub size: usize,
    /// Octets out; none where nothing went out.
    pub out: Option<usize>,
    /// The policy banks that applied.
    pub bank: String,
    /// The hash of the configuration that the mail met.
    pub generation: String,
    /// Which class of how many: `1/2`.
    pub class: String,
    pub rules: Vec<RuleWord>,
    /// Where it went.
    pub relay: String,
    /// sent, deferred, rejected, partial, gone.
    pub status: &'static str,
    /// What the client hears, on one line.
    pub reply: String,
    /// Who said so.
    pub by: By,
    /// The reply that decided for this class, where the client hears another.
    pub said: Option<String>,
    /// The id of the mail on the machine before, as its client said it.
    pub queue: Option<Vec<u8>>,
    pub message_id: Option<Vec<u8>>,
    /// `None` = the log is not to have it.
    pub subject: Option<Vec<u8>>,
    /// The first digits of what the master knows it by if a worker dies of it.
    pub digest: String,
    /// What copies are called that archives have.
    pub archive: Vec<String>,
    /// What was unusual: repaired line ends, a fault.
    pub notes: Vec<String>,
    pub times: Times,
}

/// What one rule did.
#[derive(Clone, Debug)]
pub struct RuleWord {
    pub rule: String,
    /// `edited`, `done`, or the reason code.
    pub did: String,
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// From MAIL to the last octet of the message.
    pub receive: f64,
    /// Scanning, judging, editing, proving.
    pub judge: f64,
    /// The next hop's part.
    pub relay: f64,
    pub total: f64,
}

/// What ended a mail or a session otherwise than asked, outside of what the line of a mail says.
#[derive(Clone, Debug)]
pub struct EventLine {
    pub time: String,
    /// rcpt-refused, session-ended ...
    pub event: &'static str,
    /// That of the mail, if it comes to be one.
    pub id: String,
    /// `None` = nobody was there to hear one.
    pub reply: Option<String>,
    pub by: By,
    /// The address of the client, or `unix`.
    pub client: String,
    pub listener: String,
    pub helo: Vec<u8>,
    /// `None` = there is no mail.
    pub from: Option<Vec<u8>>,
    /// The recipient, where it is about one.
    pub to: Option<Vec<u8>>,
}

impl EventLine {
    /// In the format of the log, no line longer than `room` octets.
    pub fn compose(&self, format: LogFormat, room: usize) -> Vec<String> {
        let head = Head {
            time: &self.time,
            fields: [("event", self.event), ("id", &self.id)],
        };
        let mut sheet = Sheet::new(format, room, head);
        if let Some(reply) = &self.reply {
            sheet.value("reply", reply.as_bytes(), 200);
        }
        sheet.plain("by", self.by.word(), &json(self.by.word()));
        sheet.value("client", self.client.as_bytes(), 48);
        sheet.value("listener", self.listener.as_bytes(), 40);
        sheet.value("helo", &self.helo, 48);
        if let Some(from) = &self.from {
            sheet.value("from", &path(from, format), 128);
        }
        if let Some(to) = &self.to {
            sheet.element("to", &path(to, format));
        }
        sheet.finish()
    }
}

impl MailLine {
    /// In the format of the log, no line longer than `room` octets.
    pub fn compose(&self, format: LogFormat, room: usize) -> Vec<String> {
        let head = Head {
            time: &self.time,
            fields: [("id", &self.id), ("class", &self.class)],
        };
        let mut sheet = Sheet::new(format, room, head);
        sheet.plain("status", self.status, &json(self.status));
        sheet.value("reply", self.reply.as_bytes(), 160);
        sheet.plain("by", self.by.word(), &json(self.by.word()));
        sheet.value("from", &path(&self.from, format), 128);
        let number = self.to.len().to_string();
        sheet.plain("nrcpt", &number, &number);
        sheet.value("client", self.client.as_bytes(), 48);
        sheet.value("listener", self.listener.as_bytes(), 40);
        sheet.value("helo", &self.helo, 48);
        sheet.value("relay", self.relay.as_bytes(), 64);
        sheet.value("bank", self.bank.as_bytes(), 48);
        sheet.value("generation", self.generation.as_bytes(), 8);
        let size = self.size.to_string();
        sheet.plain("size", &size, &size);
        match (self.out, format) {
            (Some(out), _) => sheet.plain("out", &out.to_string(), &out.to_string()),
            (None, LogFormat::Json) => sheet.plain("out", "", "null"),
            (None, LogFormat::Text) => {}
        }
        self.times(&mut sheet, format);
        // Not among the fields that the first line has room for, since only some lines have it.
        if let Some(said) = &self.said {
            sheet.element("said", said.as_bytes());
        }
        for word in &self.rules {
            word.write(&mut sheet, format);
        }
        self.marks(&mut sheet);
        for note in &self.notes {
            sheet.element("notes", note.as_bytes());
        }
        for recipient in &self.to {
            sheet.element("to", &path(recipient, format));
        }
        sheet.finish()
    }

    /// By what it is found elsewhere.
    fn marks(&self, sheet: &mut Sheet<'_>) {
        for (key, mark) in [
            ("queue", &self.queue),
            ("msgid", &self.message_id),
            ("subject", &self.subject),
        ] {
            if let Some(mark) = mark {
                sheet.element(key, mark);
            }
        }
        for copy in &self.archive {
            sheet.element("archive", copy.as_bytes());
        }
        if !self.digest.is_empty() {
            sheet.element("digest", self.digest.as_bytes());
        }
    }

    fn times(&self, sheet: &mut Sheet<'_>, format: LogFormat) {
        let Times {
            receive,
            judge,
            relay,
            total,
        } = self.times;
        match format {
            LogFormat::Text => {
                for (key, time) in [
                    ("receive", receive),
                    ("judge", judge),
                    ("relaying", relay),
                    ("total", total),
                ] {
                    sheet.plain(key, &format!("{time:.1}ms"), "");
                }
            }
            LogFormat::Json => {
                let times = format!(
                    "{{\"receive\":{receive:.1},\"judge\":{judge:.1},\"relay\":{relay:.1},\"total\":{total:.1}}}"
                );
                sheet.plain("times", "", &times);
            }
        }
    }
}

impl RuleWord {
    fn write(&self, sheet: &mut Sheet<'_>, format: LogFormat) {
        let RuleWord { rule, did } = self;
        match format {
            LogFormat::Text => sheet.element("rules", format!("{rule}:{did}").as_bytes()),
            LogFormat::Json => sheet.element_as("rules", rule.as_bytes(), |rule| {
                format!("{{\"rule\":{rule},\"did\":{}}}", json(did))
            }),
        }
    }
}

/// In text, a path stands in angle brackets.
fn path(octets: &[u8], format: LogFormat) -> Vec<u8> {
    match format {
        LogFormat::Text => [b"<", octets, b">"].concat(),
        LogFormat::Json => octets.to_vec(),
    }
}

/// The wall clock, for people: RFC 3339 with milliseconds and the zone's offset.
pub fn now() -> String {
    jiff::Zoned::now()
        .strftime("%Y-%m-%dT%H:%M:%S%.3f%:z")
        .to_string()
}

/// Milliseconds to a tenth.
pub fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}
