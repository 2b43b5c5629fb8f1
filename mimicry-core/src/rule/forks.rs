//! Parts that belong together. The two forks of a file (multipart/appledouble, RFC 1740) are one thing: a rule that
//! moves one takes both. A multipart/related is removed with its root.
//!
//! Must never: leave one fork when the other is removed, or let a fork that a rule does not take protect the one that
//! it takes.

use std::collections::BTreeSet;

use super::Rule;
use crate::message::roles::related_text;
use crate::message::{Message, Part, PartId};

/// The parts that a rule takes, with the other forks of those that are forks if it moves them, in document order.
pub(super) fn together<'m>(rule: &Rule, parts: Vec<Part<'m>>) -> Vec<Part<'m>> {
    if !rule.kind.moves_whole() {
        return parts;
    }
    let mut files: BTreeSet<PartId> = BTreeSet::new();
    let mut whole = Vec::with_capacity(parts.len());
    for part in parts {
        match file_of(part) {
            None => whole.push(part),
            Some(file) if files.insert(file.id()) => {
                whole.extend(file.children().filter(|fork| !fork.is_multipart()));
            }
            Some(_) => {}
        }
    }
    if !files.is_empty() {
        whole.sort_unstable_by_key(|part| part.id());
    }
    whole
}

/// The file of which a leaf is a fork.
fn file_of(part: Part<'_>) -> Option<Part<'_>> {
    let is_file = |file: &Part<'_>| file.media_type() == "multipart/appledouble";
    part.parent()
        .filter(is_file)
        .filter(|_| !part.is_multipart())
}

/// The roots of the multiparts/related that would go with their root, and may not because something in them is kept.
pub(super) fn kept_roots(
    rule: &Rule,
    message: &Message,
    kept: &BTreeSet<PartId>,
) -> BTreeSet<PartId> {
    kept.iter()
        .filter(|_| rule.kind.takes_multiparts())
        .filter_map(|id| message.part(*id))
        .filter(|part| part.is_multipart() && part.media_type() == "multipart/related")
        .filter_map(|related| related_text(related).map(|root| root.id()))
        .collect()
}
