//! Recipients whom a rule cannot serve: their classes, and who is refused when he is named.

use std::path::Path as FilePath;

use super::super::select::Signature;
use super::super::*;
use crate::config::tests::{Ignore, Stamp};
use crate::config::{Config, parse};
use crate::engine;
use crate::envelope::{Envelope, Path};
use crate::mail::{Mail, Moment};
use crate::message::{Limits as MessageLimits, Message};
use crate::origin::Origin;
use crate::plugin::{
    DefaultParts, Effects, Missed, OptionError, OptionSpec, Options, Plugin, PluginKind, Scope,
    ValueKind,
};
use crate::registry::Registry;
use crate::rule::reach::Named;

const REGISTRY: Registry = Registry(&[&Vault, &Stamp, &Ignore]);

/// It has keys of addresses that begin with `k`, or with another letter, until the year 2000 ends.
struct Vault;

#[derive(Debug)]
struct Keys(OnError, String, bool);

impl Plugin for Keys {
    fn may_miss(&self) -> bool {
        true
    }

    fn shows_recipients(&self) -> bool {
        self.2
    }

    fn reach(&self, recipient: &Path, now: i64) -> Result<(), Missed> {
        match recipient.to_string().starts_with(&self.1) && now < 978_307_200 {
            true => Ok(()),
            false => Err(Missed {
                answer: self.0,
                text: format!("no key: {recipient}"),
            }),
        }
    }
}

impl PluginKind for Vault {
    fn name(&self) -> &'static str {
        "vault"
    }
    fn summary(&self) -> &'static str {
        "Seals"
    }
    fn scope(&self) -> Scope {
        Scope::Whole
    }
    fn options(&self) -> &'static [OptionSpec] {
        const {
            &[
                OptionSpec {
                    name: "no_key",
                    value: ValueKind::Word(&["reject", "defer", "pass"]),
                    default: Some("\"reject\""),
                    doc: "One sentence.",
                },
                OptionSpec {
                    name: "of",
                    value: ValueKind::Word(&["k", "n"]),
                    default: Some("\"k\""),
                    doc: "One sentence.",
                },
                OptionSpec {
                    name: "shows",
                    value: ValueKind::Bool,
                    default: Some("false"),
                    doc: "One sentence.",
                },
            ]
        }
    }
    fn default_parts(&self) -> DefaultParts {
        DefaultParts::Mail
    }
    fn build(&self, options: &Options) -> Result<Box<dyn Plugin>, Vec<OptionError>> {
        let answer = match options.text("no_key") {
            Some("pass") => OnError::Pass,
            Some("defer") => OnError::Defer,
            _ => OnError::Reject,
        };
        let of = options.text("of").unwrap_or("k");
        Ok(Box::new(Keys(answer, of.into(), options.bool("shows"))))
    }
}

/// Rules by `;`, banks behind `|`: each `plugin` and its lines.
fn parsed(rules: &str) -> Config {
    let (rules, banks) = rules.split_once('|').unwrap_or((rules, ""));
    let mut source = String::from("[relay]\nnext_hop = \"smtp://base\"\n");
    for (number, rule) in rules.split(';').enumerate() {
        let mut lines = rule.split_whitespace();
        let plugin = lines.next().unwrap();
        source.push_str(&format!(
            "[[rule]]\nname = '{number}'\nplugin = '{plugin}'\n"
        ));
        lines.for_each(|line| source.push_str(&format!("{line}\n")));
    }
    for bank in banks.split(';').filter(|bank| !bank.is_empty()) {
        source.push_str("[[bank]]\nname = 'b'\n");
        bank.split_whitespace()
            .for_each(|line| source.push_str(&format!("{line}\n")));
    }
    parse(&source, FilePath::new("t.toml"), REGISTRY, &|_| {
        Err(std::io::ErrorKind::NotFound.into())
    })
    .unwrap_or_else(|mistakes| panic!("{source}: {mistakes:?}"))
}

fn class(config: &Config, sender: &str, recipient: &str, now: i64) -> (Signature, Option<Missed>) {
    let origin = Origin::default();
    let (sender, recipient) = (Path::new(sender), Path::new(recipient));
    let named = Named {
        origin: &origin,
        sender: &sender,
        recipient: &recipient,
        now,
    };
    let (signature, standing) = Memo::default().class(&config.banks, &named);
    let refused = signature.refused(&standing, &named);
    (signature, refused)
}

// T164
#[test]
fn who_is_refused_when_he_is_named() {
    use OnError::{Defer, Reject};
    for (rules, refused) in [
        ("vault", Some(Reject)),
        ("vault options.no_key='defer'", Some(Defer)),
        ("vault options.no_key='pass'", None),
        ("vault mode='shadow'", None),
        ("vault mode='off'", None),
        // Filters that are known by then.
        ("vault match.sender='@x$'", Some(Reject)),
        ("vault match.sender='@z$'", None),
        ("vault match.recipient='^n@'", Some(Reject)),
        ("vault unless.recipient='^n@'", None),
        // The message decides.
        ("vault match.header.Subject='x'", None),
        ("vault match.mail_size='>1M'", None),
        ("vault unless.encrypted=true", None),
        ("vault unless.bulk=true", None),
        // Another rule.
        ("vault options.no_key='pass';vault", Some(Reject)),
        // One that serves him stands above: the other finds the mail encrypted. It must be sure to act, and he must be its own.
        ("vault options.no_key='pass' options.of='n';vault", None),
        ("vault options.of='n' match.recipient='^n@';vault", None),
        (
            "vault options.of='n' match.mail_size='>1M';vault",
            Some(Reject),
        ),
        ("vault options.of='n' mode='shadow';vault", Some(Reject)),
        ("vault;vault options.of='n'", Some(Reject)),
        (
            "vault unless.bulk=true;vault options.no_key='defer'",
            Some(Defer),
        ),
        ("stamp;vault", Some(Reject)),
        ("stamp match.header.Subject='x' final=true;vault", None),
        ("stamp match.sender='@z$' final=true;vault", Some(Reject)),
        ("ignore_all match.header.Subject='x';vault", None),
        ("ignore_all match.recipient='^k@';vault", Some(Reject)),
        // A bank that is still to come.
        ("vault|when.header_sender='x' rules=[]", None),
        ("vault|when.sender='@z$' rules=[]", Some(Reject)),
        ("vault|when.sender='@x$' rules=[]", None),
    ] {
        let config = parsed(rules);
        let (_, found) = class(&config, "a@x", "n@y", 0);
        let found = found.map(|missed| (missed.answer, missed.text));
        let expected = refused.map(|answer| (answer, "no key: n@y".to_string()));
        assert_eq!(found, expected, "{rules}");
        // Who has a key is refused by none of them.
        assert_eq!(class(&config, "a@x", "k@y", 0).1, None, "{rules}");
    }
}

// T164
#[test]
fn who_has_a_key_is_in_another_class_than_who_has_none() {
    for (rules, now, expected) in [
        ("stamp", 0, "k@y,l@y,k2@y"),
        ("vault", 0, "k@y,k2@y l@y"),
        ("vault options.no_key='pass'", 0, "k@y,k2@y l@y"),
        // The key has ended.
        ("vault", 978_307_200, "k@y,l@y,k2@y"),
        ("vault match.sender='@z$'", 0, "k@y,l@y,k2@y"),
        ("vault match.header.Subject='x'", 0, "k@y,k2@y l@y"),
        ("vault mode='shadow'", 0, "k@y,l@y,k2@y"),
    ] {
        let config = parsed(rules);
        let mail = Mail {
            origin: Origin::default(),
            envelope: Envelope::new("a@x", ["k@y", "l@y", "k2@y"]),
            message: Message::scan(b"\r\n".to_vec(), &MessageLimits::default()),
            received: Moment {
                unix: now,
                offset: 0,
            },
        };
        let name = |at: &usize| mail.envelope.recipients[*at].path.to_string();
        let classes = Memo::default().classes(&config.banks, &mail);
        let classes: Vec<String> = classes
            .iter()
            .map(|class| {
                class
                    .recipients
                    .iter()
                    .map(name)
                    .collect::<Vec<_>>()
                    .join(",")
            })
            .collect();
        assert_eq!(classes.join(" "), expected, "{rules} at {now}");
    }
}

// T166
#[test]
#[rustfmt::skip]
fn whom_no_header_field_names_gets_a_mail_of_his_own() {
    const SHOWS: &str = "vault options.shows=true options.no_key='pass'";
    let to_k = "To: K@y\r\n";
    for (rules, header, expected) in [
        (SHOWS, to_k, "k@y k2@y k3@y l@y,m@y"),
        (SHOWS, "", "k@y k2@y k3@y l@y,m@y"),
        (SHOWS, "To: k3@y\r\nCc: k@y\r\n", "k@y,k3@y k2@y l@y,m@y"),
        (SHOWS, "Cc: k2@y, k3@y, k@y\r\n", "k@y,k2@y,k3@y l@y,m@y"),
        (SHOWS, "Resent-To: k2@y\r\nTo: k@y\r\n", "k@y,k2@y k3@y l@y,m@y"),
        (SHOWS, "Bcc: k2@y, k3@y\r\nTo: k@y\r\n", "k@y k2@y k3@y l@y,m@y"),
        // It does not act, or does not show them.
        ("vault options.no_key='pass'", to_k, "k@y,k2@y,k3@y l@y,m@y"),
        ("vault options.shows=true options.no_key='pass' mode='shadow'", to_k, "k@y,k2@y,l@y,k3@y,m@y"),
        ("vault options.shows=true options.no_key='pass' match.header.Subject='x'", to_k, "k@y,k2@y,k3@y l@y,m@y"),
        ("vault options.shows=true options.no_key='pass' match.header.To='x'", "To: x@y\r\n", "k@y k2@y k3@y l@y,m@y"),
        ("vault options.shows=true options.no_key='pass' match.sender='@z$'", to_k, "k@y,k2@y,l@y,k3@y,m@y"),
        ("ignore_all match.header.To='K';vault options.shows=true options.no_key='pass'", to_k, "k@y,k2@y,k3@y l@y,m@y"),
        // One of two.
        ("vault options.no_key='pass';vault options.shows=true options.no_key='pass' match.recipient='^k.@'", to_k, "k@y k2@y k3@y l@y,m@y"),
        // A bank that the header selects.
        ("vault options.shows=true options.no_key='pass'|when.header_sender='@x' rules=[]", "From: a@x\r\nTo: k@y\r\n", "k@y,k2@y,k3@y l@y,m@y"),
    ] {
        let config = parsed(rules);
        let mail = mail_of(&["k@y", "k2@y", "l@y", "k3@y", "m@y"], header, "");
        assert_eq!(judged(&config, &mail), expected, "{rules}, {header:?}");
    }
}

// T166
#[test]
fn copies_of_their_own_have_room_in_a_worker() {
    let config = parsed("vault options.shows=true|when.sender='@z$' limits.mail='2K'");
    let body = "x".repeat(900);
    for (sender, to, is_stopped) in [
        // Three thousand octets at most.
        ("a@z", &["k@y"][..], false),
        ("a@z", &["k@y", "k2@y", "k3@y"], false),
        ("a@z", &["k@y", "k2@y", "k3@y", "k4@y"], true),
        ("a@x", &["k@y", "k2@y", "k3@y", "k4@y"], false),
    ] {
        let mut mail = mail_of(to, "", &body);
        mail.envelope.sender = Path::new(sender);
        let memo = Memo::default();
        let classes = memo.classes(&config.banks, &mail);
        let judged = engine::judge(&config.banks, &memo, &mail, &classes, Effects::None.into());
        assert_eq!(judged.len(), if is_stopped { 1 } else { to.len() });
        let stopped = judged[0].result.as_ref().as_ref().err();
        let reply = stopped.map(|stopped| stopped.reply().to_string());
        let expected = "552 5.3.4 recipients whom no header field names need copies of their own: 4 copies of 902 octets are too much; send to fewer at a time";
        assert_eq!(reply.as_deref(), is_stopped.then_some(expected));
    }
}

fn mail_of(to: &[&str], header: &str, body: &str) -> Mail {
    Mail {
        origin: Origin::default(),
        envelope: Envelope::new("a@x", to.iter().copied()),
        message: Message::scan(
            format!("{header}\r\n{body}").into_bytes(),
            &MessageLimits::default(),
        ),
        received: Moment::default(),
    }
}

/// The recipients of each mail that leaves.
fn judged(config: &Config, mail: &Mail) -> String {
    let memo = Memo::default();
    let classes = memo.classes(&config.banks, mail);
    let judged = engine::judge(&config.banks, &memo, mail, &classes, Effects::None.into());
    let name = |at: &usize| mail.envelope.recipients[*at].path.to_string();
    let mails = judged.iter().map(|judged| {
        let recipients = judged.plan.recipients.iter().map(name);
        recipients.collect::<Vec<_>>().join(",")
    });
    mails.collect::<Vec<_>>().join(" ")
}

// T164
#[test]
fn a_required_text_stands_above_what_seals() {
    let read = |_: &FilePath| Err(std::io::ErrorKind::NotFound.into());
    let rule =
        |name: &str, plugin: &str| format!("[[rule]]\nname = '{name}'\nplugin = '{plugin}'\n");
    let text = "options.line = 'required'\n";
    let path = FilePath::new("t.toml");
    let below = format!("{}{}{text}", rule("v", "vault"), rule("s", "stamp"));
    let mistakes = parse(&below, path, REGISTRY, &read).unwrap_err();
    assert!(
        mistakes
            .to_string()
            .contains("this rule is required, and stands below one that seals the mail"),
        "{mistakes}"
    );
    for good in [
        format!("{}{text}{}", rule("s", "stamp"), rule("v", "vault")),
        format!("{}{}", rule("v", "vault"), rule("s", "stamp")),
        format!(
            "{}mode = 'shadow'\n{}{text}",
            rule("v", "vault"),
            rule("s", "stamp")
        ),
    ] {
        assert!(parse(&good, path, REGISTRY, &read).is_ok(), "{good}");
    }
}
