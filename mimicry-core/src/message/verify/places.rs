//! The octets around a part: delimiter, blank line, preamble, epilogue, line ends.
//!
//! Must never: use what rendering worked out.

use crate::message::part::Part;
use crate::message::tree::{Kind, Newline, Node, Seal};

/// The line end that we put behind octets that lack one.
pub(super) fn line_end_after(octets: &[u8], newline: Newline) -> &'static [u8] {
    if octets.ends_with(b"\r") {
        b"\r\n"
    } else {
        newline.as_bytes()
    }
}

/// Does anything stand behind the part in the message.
pub(super) fn is_followed(part: Part<'_>) -> bool {
    part.node().body.end < part.message().raw().len()
}

/// Does anything stand behind the delimiter of the part.
pub(super) fn is_followed_by_octets(part: Part<'_>) -> bool {
    part.node().delimiter.end < part.message().raw().len()
}

/// Are the parts below two parts the same, looked at from within.
pub(super) fn same_tree(old: Part<'_>, new: Part<'_>) -> bool {
    let below = |part: Part<'_>| part.id().index()..part.node().next.index();
    let (old_nodes, new_nodes) = (
        old.message().nodes.get(below(old)),
        new.message().nodes.get(below(new)),
    );
    let (Some(old_nodes), Some(new_nodes)) = (old_nodes, new_nodes) else {
        return false;
    };
    old_nodes.len() == new_nodes.len()
        && old_nodes.iter().zip(new_nodes).all(|(old, new)| {
            old.media_type == new.media_type
                && own_seal(old) == own_seal(new)
                && (old.body.len() == new.body.len() || matches!(old.kind, Kind::Multipart { .. }))
                && std::mem::discriminant(&old.kind) == std::mem::discriminant(&new.kind)
        })
}

/// How a part is sealed in itself: a variant of a sealed text is not sealed any more when that one has gone.
fn own_seal(node: &Node) -> Option<Seal> {
    node.seal.filter(|_| !node.sealed_by_variant)
}

pub(super) fn delimiter<'m>(part: Part<'m>) -> &'m [u8] {
    part.message().slice(&part.node().delimiter)
}

pub(super) fn blank_line<'m>(part: Part<'m>) -> &'m [u8] {
    let node = part.node();
    part.message().slice(&(node.header.end..node.body.start))
}

pub(super) fn preamble<'m>(part: Part<'m>) -> &'m [u8] {
    match part.children().next() {
        Some(first) => part
            .message()
            .slice(&(part.node().body.start..first.node().delimiter.start)),
        None => part.body(),
    }
}

/// From the close delimiter to the end; `None` = there is none.
pub(super) fn epilogue<'m>(part: Part<'m>) -> Option<&'m [u8]> {
    match &part.node().kind {
        Kind::Multipart {
            close: Some(close), ..
        } => Some(part.message().slice(&(close.start..part.node().body.end))),
        _ => None,
    }
}

/// The line end between a part and the delimiter behind it; `None` = no delimiter follows.
pub(super) fn line_end_behind<'m>(part: Part<'m>) -> Option<&'m [u8]> {
    let parent = part.parent()?;
    let message = part.message();
    let next = message
        .part(part.node().next)
        .filter(|next| next.parent().map(Part::id) == Some(parent.id()));
    let end = match (next, &parent.node().kind) {
        (Some(next), _) => next.node().delimiter.start,
        (
            None,
            Kind::Multipart {
                close: Some(close), ..
            },
        ) => close.start,
        _ => return None,
    };
    Some(message.slice(&(part.node().body.end..end)))
}
