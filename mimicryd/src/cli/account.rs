//! What a configuration does to one mail: all the facts that `explain` shows, as data.
//!
//! The names of the fields are the keys of `explain --json`, which mimicryd(8) documents: renaming one breaks what others
//! have built on it.
//!
//! Must never: hold a fact that only one of the two forms of output has.

use mimicry_core::config::Config;
use mimicry_core::engine::{self, Judged};
use mimicry_core::envelope::Path;
use mimicry_core::mail::Mail;
use mimicry_core::message::Message;
use mimicry_core::origin::Origin;
use mimicry_core::plugin::{Effects, Means};
use mimicry_core::policy::{Banks, Known, Memo};
use mimicry_core::rule::facts::Facts;
use mimicry_core::rule::plan::Plan;
use mimicry_core::seals::SealKeys;
use serde::Serialize;

use super::input::{Source, Sources};
use super::show::escape;
use super::trace::{self, Course, RuleAccount};
use super::tree::{self, PartAccount};

/// One mail under one configuration.
#[derive(Debug, Serialize)]
pub struct Account {
    /// The file.
    pub configuration: String,
    pub mail: MailAccount,
    pub envelope: EnvelopeAccount,
    pub origin: OriginAccount,
    /// The mail as it came, in document order.
    pub parts: Vec<PartAccount>,
    /// Recipients for whom the same rules hold.
    pub classes: Vec<ClassAccount>,
}

#[derive(Debug, Serialize)]
pub struct MailAccount {
    /// The file.
    pub name: String,
    pub octets: u64,
    pub lines: Lines,
    pub defects: Vec<&'static str>,
    pub bulk: bool,
    pub signed: bool,
    pub encrypted: bool,
    pub malformed: bool,
    /// Bears a DKIM-Signature.
    pub dkim: bool,
}

/// How the lines of a mail end: how many each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lines {
    pub crlf: u64,
    /// Without CR before it.
    pub lf: u64,
    /// Without LF after it.
    pub cr: u64,
}

/// Addresses are shown as in the log: octets that are no UTF-8 as `\xff`, backslashes doubled.
#[derive(Debug, Serialize)]
pub struct EnvelopeAccount {
    /// Empty = the null return path.
    pub sender: String,
    pub sender_source: Source,
    pub recipients: Vec<String>,
    pub recipients_source: Source,
}

#[derive(Debug, Serialize)]
pub struct OriginAccount {
    pub client: Option<String>,
    pub listener: Option<String>,
    pub helo: Option<String>,
    pub auth_user: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct ClassAccount {
    pub recipients: Vec<String>,
    /// The bank path.
    pub bank: String,
    /// What banks can change, in the order of the manual.
    pub settings: Vec<SettingAccount>,
    /// In the order of the file.
    pub rules: Vec<RuleAccount>,
    pub result: Outcome,
    /// Why, when it is deferred or rejected.
    pub text: Option<String>,
    /// Of the mail as it leaves; none when it does not.
    pub octets: Option<u64>,
    /// Of the mail as it leaves; empty when that is the mail as it came.
    pub parts: Vec<PartAccount>,
    /// Leaves of the mail as it came that are in the result no more.
    pub gone: Vec<PartAccount>,
}

/// A setting in force.
#[derive(Debug, Serialize)]
pub struct SettingAccount {
    pub name: String,
    /// As the configuration would have it.
    pub value: String,
    /// `default`, `base`, or a bank.
    pub from: String,
    #[serde(skip)]
    pub is_of_bank: bool,
}

/// What is in force with these banks.
pub fn settings(banks: &Banks, applied: &[usize]) -> Vec<SettingAccount> {
    let shown = banks.account(applied).into_iter();
    let account = shown.map(|shown| SettingAccount {
        is_of_bank: shown.is_of_bank(),
        name: shown.name,
        value: shown.value,
        from: shown.from,
    });
    account.collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Octet for octet as it came.
    Unchanged,
    Changed,
    Deferred,
    Rejected,
}

impl Account {
    /// Plans and applies the rules for every class; with what came of it for each of them.
    pub fn and_judged(
        config: &Config,
        mail: &Mail,
        name: String,
        sources: Sources,
        seal_keys: &SealKeys,
    ) -> (Account, Vec<Judged>) {
        let facts = Facts::of(mail);
        let message = &mail.message;
        // Nothing is kept, nothing is sent: it is only asked.
        let means = Means {
            effects: Effects::None,
            seal_keys,
            observer: &(),
        };
        let memo = Memo::default();
        let classes = memo.classes(&config.banks, mail);
        let judged = engine::judge(&config.banks, &memo, mail, &classes, means);
        let account = Account {
            configuration: config.path.display().to_string(),
            mail: MailAccount {
                name,
                octets: message.raw().len() as u64,
                lines: Lines::of(message.raw()),
                defects: defects(message, &facts),
                bulk: facts.bulk(),
                signed: facts.signed(),
                encrypted: facts.encrypted(),
                malformed: facts.malformed(),
                dkim: facts.has_dkim_signature(),
            },
            envelope: EnvelopeAccount {
                sender: mail.envelope.sender.to_string(),
                sender_source: sources.sender,
                recipients: mail
                    .envelope
                    .recipients
                    .iter()
                    .map(|one| one.path.to_string())
                    .collect(),
                recipients_source: sources.recipients,
            },
            origin: OriginAccount {
                client: mail.origin.client.map(|client| client.to_string()),
                listener: mail.origin.listener.clone(),
                helo: mail.origin.helo.as_ref().map(escape),
                auth_user: mail.origin.auth_user.clone(),
            },
            parts: tree::parts(message),
            classes: judged
                .iter()
                .map(|judged| class(&config.banks, &facts, judged))
                .collect(),
        };
        (account, judged)
    }
}

/// The recipients of a plan.
pub fn recipients(mail: &Mail, plan: &Plan) -> Vec<String> {
    let of = |index: &usize| {
        mail.envelope
            .recipients
            .get(*index)
            .map(|one| one.path.to_string())
    };
    plan.recipients.iter().filter_map(of).collect()
}

/// The message under the limits that this mail has.
pub fn scan(config: &Config, origin: &Origin, sender: &Path, raw: Vec<u8>) -> Message {
    let choice = config.banks.choose(&Known::at_mail(origin, sender));
    let limits = config.banks.effective(&choice.applied).limits;
    Message::scan(raw, &limits.message)
}

fn class(banks: &Banks, facts: &Facts<'_>, judged: &Judged) -> ClassAccount {
    let (plan, applied) = (&judged.plan, judged.result.as_ref());
    let mail = facts.mail();
    let rules = trace::rules(Course {
        policy: &judged.settings.policy,
        facts,
        plan,
        result: applied.as_ref().map(|applied| &applied.reports),
    });
    let choice = &judged.choice.applied;
    let mut class = ClassAccount {
        recipients: recipients(mail, plan),
        bank: judged.settings.path.clone(),
        settings: settings(banks, choice),
        rules: trace::with_others(rules, banks, choice),
        result: Outcome::Unchanged,
        text: None,
        octets: Some(mail.message.raw().len() as u64),
        parts: Vec::new(),
        gone: Vec::new(),
    };
    match applied {
        Ok(applied) => {
            if let Some(after) = &applied.message {
                class.result = Outcome::Changed;
                class.octets = Some(after.raw().len() as u64);
                (class.parts, class.gone) = tree::parts_after(&mail.message, after);
            }
        }
        Err(stopped) => {
            class.result = if stopped.is_reject() {
                Outcome::Rejected
            } else {
                Outcome::Deferred
            };
            class.text = Some(stopped.text.clone());
            class.octets = None;
        }
    }
    class
}

fn defects(message: &Message, facts: &Facts<'_>) -> Vec<&'static str> {
    let defects = message.defects();
    let mut words = Vec::new();
    for (there, word) in [
        (defects.structure || defects.doubt, "structure"),
        (defects.limit, "limit"),
        (defects.cut, "cut"),
        (facts.names_malformed(), "names"),
    ] {
        if there {
            words.push(word);
        }
    }
    words
}

impl Lines {
    pub fn of(raw: &[u8]) -> Lines {
        let mut lines = Lines::default();
        let mut before = 0;
        for octet in raw.iter().copied() {
            match (before, octet) {
                (b'\r', b'\n') => lines.crlf = lines.crlf.saturating_add(1),
                (_, b'\n') => lines.lf = lines.lf.saturating_add(1),
                (b'\r', _) => lines.cr = lines.cr.saturating_add(1),
                _ => {}
            }
            before = octet;
        }
        if before == b'\r' {
            lines.cr = lines.cr.saturating_add(1);
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_are_counted() {
        for (raw, crlf, lf, cr) in [
            ("", 0, 0, 0),
            ("a", 0, 0, 0),
            ("a\r\nb\r\n", 2, 0, 0),
            ("a\nb\n", 0, 2, 0),
            ("a\r\r\n\n\r", 1, 1, 2),
            ("\r", 0, 0, 1),
        ] {
            assert_eq!(Lines::of(raw.as_bytes()), Lines { crlf, lf, cr }, "{raw:?}");
        }
    }
}
