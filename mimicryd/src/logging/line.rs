//! The line of a mail: all that an administrator asks about one mail, in one line.
//!
//! Must never: hold content of the mail.

use std::fmt::Write;
use std::time::Duration;

use mimicry_core::config::typed::LogFormat;
use mimicry_core::printable::Printable;
use serde::Serialize;

/// One mail, or one class of its recipients where these get different mails.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MailLine {
    pub time: String,
    /// As in the Received field and the final reply.
    pub id: String,
    /// The address of the client, or `unix`.
    pub client: String,
    pub listener: String,
    pub helo: String,
    pub from: String,
    pub to: Vec<String>,
    /// Octets in.
    pub size: usize,
    /// Octets out; none where nothing went out.
    pub out: Option<usize>,
    /// The policy banks that applied.
    pub bank: String,
    /// Which class of how many: `1/2`.
    pub class: String,
    pub rules: Vec<RuleWord>,
    /// Where it went.
    pub relay: String,
    /// sent, deferred, rejected, partial, gone.
    pub status: &'static str,
    /// The reply that decided, on one line.
    pub reply: String,
    /// What was unusual: repaired line ends, a fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    pub times: Times,
}

/// What one rule did.
#[derive(Clone, Debug, Serialize)]
pub struct RuleWord {
    pub rule: String,
    /// `edited`, `done`, or the reason code.
    pub did: String,
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Times {
    /// From MAIL to the last octet of the message.
    pub receive: f64,
    /// Scanning, judging, editing, proving.
    pub judge: f64,
    /// The next hop's part.
    pub relay: f64,
    pub total: f64,
}

impl MailLine {
    /// In the format of the log.
    pub fn compose(&self, format: LogFormat) -> String {
        match format {
            LogFormat::Json => to_json(self),
            LogFormat::Text => self.text(),
        }
    }

    fn text(&self) -> String {
        let mut line = String::with_capacity(512);
        word(&mut line, "id", &self.id);
        word(&mut line, "client", &self.client);
        word(&mut line, "listener", &self.listener);
        word(&mut line, "helo", &self.helo);
        let _ = write!(line, " from=<{}>", self.from);
        let to: Vec<String> = self.to.iter().map(|path| format!("<{path}>")).collect();
        let _ = write!(
            line,
            " to={} nrcpt={} size={}",
            to.join(","),
            self.to.len(),
            self.size
        );
        if let Some(out) = self.out {
            let _ = write!(line, " out={out}");
        }
        word(&mut line, "bank", &self.bank);
        word(&mut line, "class", &self.class);
        let rules: Vec<String> = self
            .rules
            .iter()
            .map(|word| format!("{}:{}", word.rule, word.did))
            .collect();
        quoted(&mut line, "rules", &rules.join(","));
        word(&mut line, "relay", &self.relay);
        word(&mut line, "status", self.status);
        quoted(&mut line, "reply", &self.reply);
        if !self.notes.is_empty() {
            quoted(&mut line, "notes", &self.notes.join("; "));
        }
        let Times {
            receive,
            judge,
            relay,
            total,
        } = self.times;
        let _ = write!(
            line,
            " receive={receive:.1}ms judge={judge:.1}ms relay={relay:.1}ms total={total:.1}ms"
        );
        line
    }
}

/// ` key=value`; blanks and quotes in the value make it quoted.
fn word(line: &mut String, key: &str, value: &str) {
    if value.is_empty() || value.contains([' ', '"', '=']) {
        return quoted(line, key, value);
    }
    if !line.is_empty() {
        line.push(' ');
    }
    let _ = write!(line, "{key}={}", Printable(value.as_bytes()));
}

fn quoted(line: &mut String, key: &str, value: &str) {
    if !line.is_empty() {
        line.push(' ');
    }
    let _ = write!(
        line,
        "{key}=\"{}\"",
        Printable(value.as_bytes()).to_string().replace('"', "'")
    );
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

pub fn to_json(value: &impl Serialize) -> String {
    // Strings and numbers always serialise.
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> MailLine {
        MailLine {
            time: "2026-11-22T18:00:00.000+01:00".into(),
            id: "4kZq01".into(),
            client: "127.0.0.1".into(),
            listener: "from-postfix".into(),
            helo: "mx.example.org".into(),
            from: "a@example.org".into(),
            to: vec!["b@example.com".into(), "c@example.com".into()],
            size: 1200,
            out: Some(1450),
            bank: "base".into(),
            class: "1/1".into(),
            rules: vec![
                RuleWord {
                    rule: "legal footer".into(),
                    did: "edited".into(),
                },
                RuleWord {
                    rule: "zip".into(),
                    did: "no-saving".into(),
                },
            ],
            relay: "127.0.0.1:10026".into(),
            status: "sent",
            reply: "250 2.0.0 Ok: queued as \"1\"".into(),
            notes: vec![],
            times: Times {
                receive: 1.25,
                judge: 0.4,
                relay: 3.0,
                total: 5.0,
            },
        }
    }

    #[test]
    fn as_text() {
        assert_eq!(
            line().compose(LogFormat::Text),
            "id=4kZq01 client=127.0.0.1 listener=from-postfix helo=mx.example.org from=<a@example.org> \
             to=<b@example.com>,<c@example.com> nrcpt=2 size=1200 out=1450 bank=base class=1/1 \
             rules=\"legal footer:edited,zip:no-saving\" relay=127.0.0.1:10026 status=sent \
             reply=\"250 2.0.0 Ok: queued as '1'\" receive=1.2ms judge=0.4ms relay=3.0ms total=5.0ms"
        );
    }

    #[test]
    fn as_json() {
        let json: serde_json::Value =
            serde_json::from_str(&line().compose(LogFormat::Json)).unwrap();
        assert_eq!(json["id"], "4kZq01");
        assert_eq!(json["to"][1], "c@example.com");
        assert_eq!(json["rules"][1]["did"], "no-saving");
        assert_eq!(json["times"]["judge"], 0.4);
        assert_eq!(json["out"], 1450);
    }

    #[test]
    fn nothing_of_others_breaks_the_line() {
        let line = MailLine {
            helo: "a b\" to=<x>\r\n".into(),
            ..line()
        };
        let text = line.compose(LogFormat::Text);
        assert!(text.contains("helo=\"a b' to=<x>\\u{d}\\u{a}\""), "{text}");
    }
}
