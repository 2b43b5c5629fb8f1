//! The filters on parts, applied within an enclosed message. message/rfc822 and the like are leaves, and no rule edits
//! within them, but a rule may say that it takes such a leaf because of the parts in it.
//!
//! Must never: recurse (what is nested is a list of work), or hold more than the octets of the enclosed messages once.
//!
//! Known limits: what is sealed within stays unseen, as it does outside; a fragment (message/partial) cannot be judged.

use super::facts::{Facts, Inside, PartFacts};
use crate::mail::Mail;
use crate::message::codec::Encoding;
use crate::message::{Limits, Message, Part};

/// Messages within messages that are looked into.
const DEPTH: usize = 16;
/// Enclosed messages of one part that are looked into.
const MESSAGES: usize = 1000;

impl<'m> Facts<'m> {
    /// What a rule's filters take within an enclosed message, worked out once for each rule: `filters` is any number that is the
    /// rule's own.
    pub fn inside(
        &self,
        part: Part<'m>,
        filters: usize,
        holds: &dyn Fn(&Facts<'_>, Part<'_>) -> Option<Inside>,
    ) -> Option<Inside> {
        let key = (part.id().index(), filters);
        if let Some(known) = self.inside.borrow().get(&key) {
            return known.clone();
        }
        let found = look(self.mail(), (self.part(part), part), holds);
        self.inside.borrow_mut().insert(key, found.clone());
        found
    }
}

/// Does some program show it as a message: by one of its types (RFC 2046 section 5.2, RFC 6532 section 3.7, and what is like them), or by
/// the name of a file that mail programs open.
pub fn is_message(part: &PartFacts<'_>) -> bool {
    const NAMES: &[&str] = &[".eml", ".emlx", ".mht", ".mhtml", ".nws"];
    let is_named = |name: &str| {
        let lower = name.to_ascii_lowercase();
        NAMES.iter().any(|end| lower.ends_with(end))
    };
    !part.is_multipart()
        && (part
            .media_types()
            .iter()
            .any(|name| name.starts_with("message/"))
            || part.names().is_some_and(|names| names.any(is_named)))
}

/// Why the octets of an enclosed message are not all that there is to see.
fn is_in_doubt(part: &PartFacts<'_>, part_of: Part<'_>) -> Option<&'static str> {
    let types = part.media_types();
    if types.iter().any(|name| name == "message/partial") {
        return Some("a fragment of a message");
    }
    let mut codings = part_of
        .fields()
        .filter(|field| field.is("content-transfer-encoding"))
        .map(|field| Encoding::parse(field.value()));
    let first = codings.next();
    codings
        .any(|coding| Some(coding) != first)
        .then_some("an enclosed message with two transfer encodings")
}

/// What programs take for the message: the decoded octets, and the others where these are text, too (RFC 2046 section 5.2.1 allows no coding).
fn octets_of(part: Part<'_>) -> Option<Vec<Vec<u8>>> {
    let decoded = part.decoded().ok()?.into_owned();
    let is_text = part.encoding() == Encoding::QuotedPrintable;
    Some(match is_text && decoded != part.body() {
        true => vec![decoded, part.body().to_vec()],
        false => vec![decoded],
    })
}

/// The first part within the message for which `holds`, and what could not be looked into when there is none.
fn look(
    mail: &Mail,
    (outer, part): (PartFacts<'_>, Part<'_>),
    holds: &dyn Fn(&Facts<'_>, Part<'_>) -> Option<Inside>,
) -> Option<Inside> {
    let unsure = |words: &str| {
        Some(Inside {
            words: words.into(),
            is_unsure: true,
        })
    };
    const BROKEN: &str = "an enclosed message whose transfer encoding is broken";
    let mut doubt = is_in_doubt(&outer, part).and_then(unsure);
    let Some(octets) = octets_of(part) else {
        return unsure(BROKEN);
    };
    let mut work: Vec<_> = octets.into_iter().map(|octets| (octets, 1usize)).collect();
    let mut seen = 0usize;
    while let Some((octets, depth)) = work.pop() {
        seen = seen.saturating_add(1);
        if depth > DEPTH || seen > MESSAGES {
            doubt = doubt.or_else(|| unsure("messages within messages, too deep to look into"));
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
            let of_part = facts.part(part);
            if is_message(&of_part) {
                doubt = doubt.or_else(|| is_in_doubt(&of_part, part).and_then(unsure));
                match octets_of(part) {
                    Some(octets) => {
                        let deeper = octets.into_iter();
                        work.extend(deeper.map(|octets| (octets, depth.saturating_add(1))));
                    }
                    None => doubt = doubt.or_else(|| unsure(BROKEN)),
                }
            }
        }
    }
    doubt
}
