//! A text in several parts, as Apple Mail writes it around each attachment, is judged as the one text that its reader
//! sees.
//!
//! A reader sees the mail in one of two ways, as text or as HTML; in either the parts stand one below the other. The
//! quoted mail begins in the first part that has it, and our words are there if any of them has them. Our text goes
//! into the same place for both readers; otherwise neither would see it exactly once.
//!
//! Must never: judge a part by itself where it is not all that its reader sees.

use mimicry_core::message::edit::EditSet;
use mimicry_core::message::{Message, PartId};

use super::choose::{from_end, once_per_type, texts};
use super::{Manner, Once, Where, Which};
use crate::shared::reply_marks::{self, Body, Confidence, Nowhere};

/// A part that gets the text, and what is known of the whole of which it is a part.
#[derive(Clone, Debug)]
pub(super) struct Chosen {
    pub part: PartId,
    /// `None` = it is all that there is.
    pub whole: Option<Whole>,
}

/// What the parts are together, for a reader of one of them.
#[derive(Clone, Debug)]
pub(super) struct Whole {
    /// The place, as if the part were alone.
    pub reply: Result<reply_marks::Seam, Nowhere>,
    /// In which the words of ours may stand: of the last one up to so many octets, if it is not to be searched whole.
    pub texts: Vec<(PartId, Option<usize>)>,
}

impl Chosen {
    pub fn alone(part: PartId) -> Chosen {
        Chosen { part, whole: None }
    }
}

/// How one reader sees the mail.
struct View {
    media_type: &'static str,
    parts: Vec<PartId>,
    found: Result<(PartId, reply_marks::Seam), Nowhere>,
}

/// The parts that get the text, if it takes more than each of them to tell; `None` = it does not.
pub(super) fn judged(
    message: &Message,
    parts: &[PartId],
    manner: &Manner,
    edits: &EditSet<'_>,
) -> Option<Vec<Chosen>> {
    let asks = manner.place == Where::BelowReply || manner.once != Once::Always;
    if manner.removable || manner.which == Which::All || !asks {
        return None;
    }
    let texts = texts(message, parts);
    let seen: Vec<(&'static str, Vec<PartId>)> = ["text/plain", "text/html"]
        .into_iter()
        .filter_map(|media_type| Some((media_type, seen(message, &texts, media_type)?)))
        .collect();
    // Before any of them is read.
    if seen.iter().all(|(_, parts)| parts.len() <= 1) {
        return None;
    }
    let views: Vec<View> = seen
        .into_iter()
        .map(|(media_type, parts)| view(media_type, parts, edits))
        .collect();
    let nearest = match from_end(manner) {
        true => texts.last(),
        false => texts.first(),
    }?;
    // Where all readers have the place, if they have it in the same text.
    let agreed = views.iter().map(View::certain).collect::<Option<Vec<_>>>();
    let agreed =
        agreed.filter(|_| manner.place == Where::BelowReply && manner.which == Which::Nearest);
    let text = agreed.as_ref().and_then(|places| {
        let holds_all = |text: &&Vec<PartId>| places.iter().all(|place| text.contains(place));
        texts.iter().find(holds_all)
    });
    let has_place = |part: PartId| agreed.as_ref().is_some_and(|places| places.contains(&part));
    let mut members = text.unwrap_or(nearest).clone();
    if text.is_some() {
        // Of a type that has the place, the part that has it.
        let type_of = |part: PartId| message.part(part).map(|part| part.media_type().to_string());
        let placed: Vec<_> = members
            .iter()
            .copied()
            .filter(|part| has_place(*part))
            .map(type_of)
            .collect();
        members.retain(|part| has_place(*part) || !placed.contains(&type_of(*part)));
    }
    let chosen = once_per_type(message, members, from_end(manner));
    let whole = |part: PartId| {
        let media_type = message.part(part)?.media_type();
        let mut own = views.iter().filter(|view| view.parts.contains(&part));
        let view = own
            .clone()
            .find(|view| view.media_type == media_type)
            .or_else(|| own.next())?;
        Some(Whole {
            reply: view.reply(part, text.is_some()),
            texts: view.searched(manner.once),
        })
    };
    let chosen = chosen.into_iter().map(|part| Chosen {
        part,
        whole: whole(part),
    });
    Some(chosen.collect())
}

/// The parts in the order in which a reader of that type sees them; `None` = no part is of that type.
fn seen(message: &Message, texts: &[Vec<PartId>], media_type: &str) -> Option<Vec<PartId>> {
    let is_of_type = |part: &PartId| {
        let part = message.part(*part);
        part.is_some_and(|part| part.media_type() == media_type)
    };
    if !texts.iter().flatten().any(is_of_type) {
        return None;
    }
    let mut parts = Vec::new();
    for text in texts {
        let before = parts.len();
        parts.extend(text.iter().copied().filter(is_of_type));
        if parts.len() == before {
            parts.extend(text.iter().copied());
        }
    }
    Some(parts)
}

/// What a reader of these parts sees.
fn view(media_type: &'static str, parts: Vec<PartId>, edits: &EditSet<'_>) -> View {
    let mut read = Vec::with_capacity(parts.len());
    for part in &parts {
        let Ok(content) = edits.content(*part) else {
            continue;
        };
        // A part that cannot be read cannot take the text either, which is found where that matters.
        if let Ok(body) = content.text() {
            read.push((
                *part,
                content.media_type() == "text/html",
                body.searched().to_string(),
            ));
        }
    }
    let bodies: Vec<Body<'_>> = read
        .iter()
        .map(|(_, is_html, text)| Body {
            text,
            is_html: *is_html,
        })
        .collect();
    let found = reply_marks::in_bodies(&bodies).and_then(|(index, place)| {
        let part = read.get(index).map(|(part, ..)| *part);
        part.map(|part| (part, place)).ok_or(Nowhere::NoQuote)
    });
    View {
        media_type,
        parts,
        found,
    }
}

impl View {
    /// The part that holds the place, if that is certain.
    fn certain(&self) -> Option<PartId> {
        let (part, place) = self.found.as_ref().ok()?;
        (place.confidence == Confidence::High).then_some(*part)
    }

    fn reply(&self, part: PartId, is_agreed: bool) -> Result<reply_marks::Seam, Nowhere> {
        let (at, place) = self.found?;
        Ok(match at == part && is_agreed {
            true => place,
            // It is a place, but not in the part that gets the text.
            false => reply_marks::Seam {
                confidence: Confidence::Low,
                ..place
            },
        })
    }

    fn searched(&self, once: Once) -> Vec<(PartId, Option<usize>)> {
        let own = match (once, &self.found) {
            (Once::PerMail, Ok((part, place))) if place.confidence == Confidence::High => {
                Some((*part, place.offset))
            }
            _ => None,
        };
        let Some((last, end)) = own else {
            return self.parts.iter().map(|part| (*part, None)).collect();
        };
        let above = self.parts.iter().take_while(|part| **part != last);
        let above = above.map(|part| (*part, None));
        above.chain([(last, Some(end))]).collect()
    }
}
