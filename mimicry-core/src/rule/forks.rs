//! The two forks of a file (multipart/appledouble, RFC 1740) are one thing: a rule that moves one takes both.
//!
//! Must never: leave a fork whose other one goes, or let a fork that a rule does not take keep one that it takes.

use std::collections::BTreeSet;

use crate::message::{Part, PartId};

/// The parts, with the other forks of those that are forks, in document order.
pub(super) fn together(parts: Vec<Part<'_>>) -> Vec<Part<'_>> {
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
