//! Recipients without a key: what a rule says of them, and what becomes of a mail to them.
//!
//! Whether a recipient has a key belongs to his class, so a mail is for recipients of whom all have one, or none has.
//!
//! Must never: let a mail that was to be encrypted pass as it is, but by the option that says so.

use std::fmt::Display;

use mimicry_core::envelope::Path;
use mimicry_core::plugin::{Fault, Missed, OnError, OptionSpec, Options, Task, ValueKind};

use crate::shared::words::option;

/// The option.
pub const NO_KEY: OptionSpec = option(
    "no_key",
    ValueKind::Word(&["reject", "defer", "pass"]),
    Some("\"reject\""),
    "What becomes of a mail to a recipient without a usable key: pass = he gets it as it is, in the clear.",
);

/// What the option says.
pub fn no_key(options: &Options) -> OnError {
    match options.text("no_key") {
        Some("pass") => OnError::Pass,
        Some("defer") => OnError::Defer,
        _ => OnError::Reject,
    }
}

/// What the rule of such a plugin requires: a fault must not show what is to be encrypted.
pub fn requires(no_key: OnError) -> Option<OnError> {
    (no_key != OnError::Pass).then_some(OnError::Defer)
}

/// A recipient without a key, and why he has none.
pub fn missed(no_key: OnError, recipient: &Path, why: impl Display) -> Missed {
    Missed {
        answer: no_key,
        text: format!("mail to {recipient} must be encrypted, and {why}"),
    }
}

/// What is to be done with a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Served<'m, K> {
    /// All of its recipients can be served, each with what was found for him.
    All(Vec<(&'m Path, K)>),
    /// None of them, and it may pass as it is: why, in a few words each.
    None(Vec<String>),
}

/// Texts of one reply at most.
const TEXTS: usize = 3;

/// The recipients of a job, if something is found for all of them or for none.
pub fn served<'m, K>(
    task: &Task<'m>,
    find: impl Fn(&Path, i64) -> Result<K, Missed>,
) -> Result<Served<'m, K>, Fault> {
    let now = task.mail.received.unix;
    let all = &task.mail.envelope.recipients;
    let (mut found, mut missed) = (Vec::new(), Vec::new());
    for recipient in task.recipients.iter().filter_map(|at| all.get(*at)) {
        match find(&recipient.path, now) {
            Ok(one) => found.push((&recipient.path, one)),
            Err(why) => missed.push(why),
        }
    }
    let strictest = missed.iter().map(|missed| missed.answer).max();
    let texts = missed.iter().map(|missed| missed.text.clone());
    match strictest {
        None => Ok(Served::All(found)),
        Some(OnError::Pass) if found.is_empty() => Ok(Served::None(texts.collect())),
        // A key has ended since they were named.
        Some(OnError::Pass) => Err(Fault::Temporary(
            "the key of a recipient ended while the mail came; try again".into(),
        )),
        Some(strictest) => {
            let more = missed.len().saturating_sub(TEXTS);
            let mut texts: Vec<String> = texts.take(TEXTS).collect();
            if more > 0 {
                texts.push(format!("and {more} more"));
            }
            Err(Fault::Missed {
                reject: strictest == OnError::Reject,
                text: texts.join("; "),
            })
        }
    }
}
