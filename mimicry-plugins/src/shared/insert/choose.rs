//! Which parts of a mail get a text of ours.
//!
//! Must never: choose a part that the rule does not take.

use mimicry_core::message::edit::EditSet;
use mimicry_core::message::roles::Role;
use mimicry_core::message::{Message, PartId};
use mimicry_core::plugin::Task;

use super::seen::first_seen;
use super::{Manner, Where, Which};

/// The parts that get the text: of those that the rule takes, text/plain and text/html only, and the mail's own text
/// rather than a text that is attached.
///
/// Body texts that stand under one multipart/alternative are variants of one text; every other is a text of its own,
/// shown one below the other. Of the text chosen each variant gets ours, once per type: of several parts of one type
/// in it, the one nearest to the place.
pub(super) fn choose(message: &Message, parts: &[PartId], manner: &Manner) -> Vec<PartId> {
    if manner.which == Which::All {
        return texts_among(message, parts);
    }
    let mut texts = texts(message, parts);
    let from_end = from_end(manner);
    let text = if from_end {
        texts.pop()
    } else {
        texts.into_iter().next()
    };
    once_per_type(message, text.unwrap_or_default(), from_end)
}

/// Is the text that is nearest to the place the last one.
pub(super) fn from_end(manner: &Manner) -> bool {
    manner.place != Where::Top && manner.which != Which::First
}

/// Of each type the part that is nearest to the end, or to the start.
pub(super) fn once_per_type(
    message: &Message,
    mut members: Vec<PartId>,
    from_end: bool,
) -> Vec<PartId> {
    if from_end {
        members.reverse();
    }
    let mut seen: Vec<&str> = Vec::new();
    members.retain(|id| {
        let media_type = message.part(*id).map_or("", |part| part.media_type());
        let is_new = !seen.contains(&media_type);
        seen.push(media_type);
        is_new
    });
    members.sort_unstable();
    members
}

fn texts_among(message: &Message, parts: &[PartId]) -> Vec<PartId> {
    let is_text = |id: &PartId| {
        message
            .part(*id)
            .is_some_and(|part| matches!(part.media_type(), "text/plain" | "text/html"))
    };
    parts.iter().copied().filter(is_text).collect()
}

/// The texts of the mail in their order, each with the parts that are its variants.
pub(super) fn texts(message: &Message, parts: &[PartId]) -> Vec<Vec<PartId>> {
    let mut parts = texts_among(message, parts);
    let roles = message.roles();
    let is_body = |id: &PartId| roles.role(*id) == Some(Role::Body);
    if parts.iter().any(is_body) {
        parts.retain(is_body);
    }
    let mut texts: Vec<(Option<PartId>, Vec<PartId>)> = Vec::new();
    for id in &parts {
        let Some(part) = message.part(*id) else {
            continue;
        };
        let alternative = part
            .ancestors()
            .filter(|part| part.media_type() == "multipart/alternative")
            .last()
            .map(|part| part.id());
        match texts.last_mut() {
            Some((group, members)) if alternative.is_some() && *group == alternative => {
                members.push(*id)
            }
            _ => texts.push((alternative, vec![*id])),
        }
    }
    texts.into_iter().map(|(_, members)| members).collect()
}

/// The parts for a text that everybody must see; an error is a part that has no room for it and is seen first.
pub(super) fn for_everybody(
    task: &Task<'_>,
    manner: &Manner,
    edits: &EditSet<'_>,
) -> Result<Vec<PartId>, PartId> {
    let message = &task.mail.message;
    let seen = first_seen(message);
    let is_closed = |id: &PartId| {
        let sealed = message.part(*id).is_some_and(|part| part.seal().is_some());
        let is_left = task.left.iter().any(|(left, _)| left == id);
        sealed || is_left || edits.is_gone(*id)
    };
    let (closed, open): (Vec<PartId>, Vec<PartId>) = seen.into_iter().partition(is_closed);
    let (taken, missed): (Vec<PartId>, Vec<PartId>) =
        (open.into_iter()).partition(|id| task.parts.contains(id));
    // A rule that names parts means those.
    if let Some(first) = missed.first().filter(|_| task.by_default) {
        return Err(*first);
    }
    if !taken.is_empty() {
        return Ok(taken);
    }
    let mut chosen = choose(message, task.parts, manner);
    if task.by_default {
        // All of a mail that calls itself attached is a file to some programs, and its text is not on the screen.
        let is_attached = |id: &PartId| {
            let part = message.part(*id);
            part.is_some_and(|part| part.disposition().as_deref() == Some("attachment"))
        };
        chosen.retain(|id| !is_attached(id));
    }
    // What is sealed or kept is answered by on_sealed, or by the rule that keeps it.
    let is_answered = !closed.is_empty() || !task.left.is_empty() || !task.by_default;
    match chosen.is_empty() && !is_answered {
        true => Err(PartId::ROOT),
        false => Ok(chosen),
    }
}
