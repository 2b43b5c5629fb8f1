//! The filters on parts, asked within an enclosed message: message/rfc822 and its like are leaves, and no rule edits within them, but
//! one that says so may take them for what they hold.
//!
//! Must never: recurse (what is nested is a list of work), or hold more than the octets of the enclosed messages once.
//!
//! Known limits: what is sealed within stays unseen, as it does outside.

use super::facts::Facts;
use crate::mail::Mail;
use crate::message::{Limits, Message, Part};

/// Messages within messages that are looked into.
const DEPTH: usize = 16;
/// Enclosed messages of one part that are looked into.
const MESSAGES: usize = 1000;

/// Why the filters take an enclosed message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside {
    /// In a few words, for people.
    pub words: String,
    /// They may take what they could not see.
    pub is_unsure: bool,
}

/// Is it a whole message (RFC 2046 section 5.2.1, RFC 6532 section 3.7).
pub fn is_message(part: Part<'_>) -> bool {
    !part.is_multipart()
        && matches!(
            part.media_type(),
            "message/rfc822" | "message/global" | "message/news"
        )
}

/// The first part within the message for which `holds`, and what could not be looked into when there is none.
pub fn look(
    mail: &Mail,
    part: Part<'_>,
    holds: &dyn Fn(&Facts<'_>, Part<'_>) -> Option<Inside>,
) -> Option<Inside> {
    let unsure = |words: &str| {
        Some(Inside {
            words: words.into(),
            is_unsure: true,
        })
    };
    let Ok(octets) = part.decoded() else {
        return unsure("an enclosed message whose coding is broken");
    };
    let mut doubt = None;
    let mut work = vec![(octets.into_owned(), 1usize)];
    let mut seen = 0usize;
    while let Some((octets, depth)) = work.pop() {
        seen = seen.saturating_add(1);
        if depth > DEPTH || seen > MESSAGES {
            doubt = doubt.or_else(|| unsure("messages within messages beyond what is looked into"));
            break;
        }
        let inner = Mail {
            origin: mail.origin.clone(),
            envelope: mail.envelope.clone(),
            message: Message::scan(octets, &Limits::default()),
            received: mail.received,
        };
        if inner.message.defects().limit {
            doubt = doubt.or_else(|| unsure("an enclosed message beyond the limits"));
        }
        let facts = Facts::of(&inner);
        for part in inner.message.parts() {
            match holds(&facts, part) {
                Some(found) if found.is_unsure => doubt = doubt.or(Some(found)),
                Some(found) => return Some(found),
                None => {}
            }
            if is_message(part) {
                match part.decoded() {
                    Ok(octets) => work.push((octets.into_owned(), depth.saturating_add(1))),
                    Err(_) => {
                        doubt =
                            doubt.or_else(|| unsure("an enclosed message whose coding is broken"))
                    }
                }
            }
        }
    }
    doubt
}
