//! Recipients without a key: what a rule says of them, and what becomes of a mail to them.
//!
//! Whether a recipient has a key belongs to his class, so a mail is for recipients of whom all have one, or none has.
//!
//! Must never: let a mail that was to be encrypted pass as it is, but by the option that says so.

use mimicry_core::envelope::Path;
use mimicry_core::plugin::{Fault, Missed, OnError, OptionSpec, Options, Plugin, Task, ValueKind};

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

/// What is to be done with a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Served<'m> {
    /// All of its recipients can be served.
    All(Vec<&'m Path>),
    /// None of them, and it may pass as it is: why, in a few words each.
    None(Vec<String>),
}

/// Texts of one reply at most.
const TEXTS: usize = 3;

/// The recipients of a job, if all of them can be served or none.
pub fn served<'m>(plugin: &dyn Plugin, task: &Task<'m>) -> Result<Served<'m>, Fault> {
    let now = task.mail.received.unix;
    let all = &task.mail.envelope.recipients;
    let paths = task.recipients.iter().filter_map(|at| all.get(*at));
    let paths: Vec<&Path> = paths.map(|recipient| &recipient.path).collect();
    let missed = paths
        .iter()
        .filter_map(|path| plugin.reach(path, now).err());
    let missed: Vec<Missed> = missed.collect();
    let strictest = missed.iter().map(|missed| missed.answer).max();
    let texts = missed.iter().map(|missed| missed.text.clone());
    match strictest {
        None => Ok(Served::All(paths)),
        Some(OnError::Pass) if missed.len() == paths.len() => Ok(Served::None(texts.collect())),
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
