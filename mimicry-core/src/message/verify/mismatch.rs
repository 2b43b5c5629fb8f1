//! What a rendered message has that was not planned.
//!
//! Must never: look for it.

use crate::message::part::Part;

/// What a rendered message has that was not planned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("part {section}: {what}")]
pub struct Mismatch {
    /// The section of the original's part, as IMAP counts.
    pub section: String,
    pub what: &'static str,
}

pub(super) fn fail<T>(part: Part<'_>, what: &'static str) -> Result<T, Mismatch> {
    Err(Mismatch {
        section: part.section_text(),
        what,
    })
}

pub(super) fn same(part: Part<'_>, is_same: bool, what: &'static str) -> Result<(), Mismatch> {
    if is_same { Ok(()) } else { fail(part, what) }
}
