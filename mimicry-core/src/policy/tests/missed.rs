//! Recipients whom a rule cannot serve: their classes, and who is refused when he is named.

use std::path::Path as FilePath;

use super::super::select::Signature;
use super::super::*;
use crate::config::tests::{Ignore, Stamp};
use crate::config::{Config, parse};
use crate::envelope::{Envelope, Path};
use crate::mail::{Mail, Moment};
use crate::message::{Limits as MessageLimits, Message};
use crate::origin::Origin;
use crate::plugin::{
    DefaultParts, Missed, OptionError, OptionSpec, Options, Plugin, PluginKind, Scope, ValueKind,
};
use crate::registry::Registry;
use crate::rule::reach::Named;

const REGISTRY: Registry = Registry(&[&Vault, &Stamp, &Ignore]);

/// It has keys of addresses that begin with `k`, or with another letter, until the year 2000 ends.
struct Vault;

#[derive(Debug)]
struct Keys(OnError, String);

impl Plugin for Keys {
    fn may_miss(&self) -> bool {
        true
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
        Ok(Box::new(Keys(answer, of.into())))
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
