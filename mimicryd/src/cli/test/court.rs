//! Judges one mail with its page.
//!
//! Must never: write anything.

use mimicry_core::config::Config;
use mimicry_core::mail::{Mail, Moment};
use mimicry_core::message::Message;
use mimicry_core::message::digest::Digest;
use mimicry_core::message::header::Field;
use mimicry_core::seals::SealKeys;

use super::case::Case;
use super::seen::Seen;
use crate::cli::account::{self, Account, ClassAccount, Outcome};
use crate::cli::output::Output;
use crate::cli::texts;
use crate::cli::trace::{self, RuleAccount};
use crate::cli::tree::PartAccount;

/// What is needed to judge a mail.
#[derive(Clone, Copy)]
pub struct Court<'c> {
    pub config: &'c Config,
    pub keys: &'c SealKeys,
    pub now: Moment,
}

impl Court<'_> {
    /// One for each class; an error is a fault of the mail's page, in words.
    pub fn judge(&self, raw: Vec<u8>, case: &Case) -> Result<Vec<Seen>, String> {
        let received = case.received(self.now)?;
        let config = self.config;
        let message = Message::scan(raw, &config.base.limits.message);
        let transaction = case.transaction();
        let words = |output: Output| output.err.trim().replace("mimicryd: ", "");
        let (envelope, sources) = transaction.envelope_or_guess(&message).map_err(words)?;
        let origin = transaction.origin(config).map_err(words)?;
        let mail = Mail {
            message: account::scan(config, &origin, &envelope.sender, message.into_raw()),
            origin,
            envelope,
            received,
        };
        let (account, judged) =
            Account::and_judged(config, &mail, String::new(), sources, self.keys);
        let seen = account.classes.iter().zip(&judged).map(|(class, judged)| {
            let reply = judged
                .result
                .as_ref()
                .as_ref()
                .err()
                .map(|stopped| stopped.reply().to_string());
            seen(&account, class, judged.message(&mail), reply)
        });
        Ok(seen.collect())
    }
}

fn seen(
    account: &Account,
    class: &ClassAccount,
    message: Option<&Message>,
    reply: Option<String>,
) -> Seen {
    let (result, parts) = match class.result {
        Outcome::Changed => ("changed", class.parts.as_slice()),
        Outcome::Unchanged => ("unchanged", account.parts.as_slice()),
        Outcome::Deferred => ("deferred", &[][..]),
        Outcome::Rejected => ("rejected", &[][..]),
    };
    let headers = message.map(|message| {
        let fields = message.root().fields();
        let field = |field: Field<'_>| {
            let name = String::from_utf8_lossy(field.name()).to_ascii_lowercase();
            (name, field.decoded().trim().to_string())
        };
        fields.map(field).collect::<Vec<_>>()
    });
    let headers = headers.unwrap_or_default();
    let mut texts = message.map(texts::all).unwrap_or_default();
    for (_, value) in &headers {
        texts.push_str(value);
        texts.push('\n');
    }
    Seen {
        to: class.recipients.clone(),
        result,
        reply: reply.map(|reply| reply.trim_end().to_string()),
        bank: class.bank.clone(),
        rules: class
            .rules
            .iter()
            .map(|rule| (rule.name.clone(), word(rule)))
            .collect(),
        tree: parts.iter().map(line).collect(),
        digest: message
            .map(|message| Digest::of_octets(message.raw()).to_string())
            .unwrap_or_default(),
        texts,
        headers,
    }
}

/// The outcome of a rule in a word; what a shadow rule would have done is `shadow`, as in the log.
fn word(rule: &RuleAccount) -> String {
    match (rule.outcome, rule.reason) {
        _ if rule.shadow => "shadow".into(),
        (trace::Outcome::Unchanged, Some(reason)) => reason.into(),
        (outcome, _) => outcome.word().into(),
    }
}

fn line(part: &PartAccount) -> String {
    let indent = "  ".repeat(part.depth.saturating_sub(1));
    let name = part
        .filename
        .as_ref()
        .map(|name| format!(" {name}"))
        .unwrap_or_default();
    format!("{indent}{}{name}", part.media_type)
}
