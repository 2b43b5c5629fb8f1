//! What differs between the body of a text and the one that replaces it, in whole lines.
//!
//! The lines before and after are the same octets in both, and were text of the charset in the coding that both have. A line that
//! ends hard ends a character and what the coding makes of it. So the new body is text if these lines are, and its lines are
//! good if these are or if they were bad before.
//!
//! Must never: use what the edit says of where it changed something.

use super::alike::Alike;
use super::made::{charset, lines_are_clean, made_well};
use super::mismatch::Mismatch;
use crate::message::codec::Encoding;
use crate::message::part::Part;
use crate::message::text::WasText;

/// What of the new body must be looked at: all of it, where nothing is known of the old one or a line does not stand for itself.
pub(super) fn window<'n>(old: Part<'_>, new: Part<'n>, was_text: Option<WasText>) -> &'n [u8] {
    let encoding = new.encoding();
    let is_text = new.media_type().starts_with("text/");
    match (was_text, charset(new)) {
        (Some(was), Some(charset)) if is_text && was.by_lines(encoding, charset) => {
            let has_soft = encoding == Encoding::QuotedPrintable;
            Alike::of(old.body(), new.body()).lines_between(new.body(), has_soft)
        }
        _ => new.body(),
    }
}

/// Is a body that replaces another one well made, where `looked_at` is all that is new of it.
pub(super) fn replaced_well(
    old: Part<'_>,
    new: Part<'_>,
    looked_at: &[u8],
) -> Result<(), Mismatch> {
    let newline = old.message().newline();
    let lines = lines_are_clean(looked_at, newline) || lines_are_clean(old.body(), newline);
    made_well(old, new, looked_at, lines)
}
