//! The header block that a part should have.
//!
//! Must never: look at the one that it has.

use super::made::lines_are_clean;
use super::mismatch::{Mismatch, same};
use super::places::{blank_line, line_end_after};
use crate::message::edit::PartEdit;
use crate::message::header::fields;
use crate::message::part::Part;

/// The fields that a part should have, as far as `which` says so of a field's name. `is_ended`: the last line has a
/// line end, because something follows it.
pub(super) fn planned_header(
    old: Part<'_>,
    edit: Option<&PartEdit>,
    is_ended: bool,
    which: impl Fn(&[u8]) -> bool,
) -> Result<Vec<u8>, Mismatch> {
    let newline = old.message().newline();
    let mut planned: Vec<u8> = Vec::with_capacity(old.header().len());
    let mut put = |field: &[u8], is_new: bool| {
        same(
            old,
            !is_new || lines_are_clean(field, newline),
            "a new field has a line that is too long or ends wrongly",
        )?;
        if !planned.is_empty() && !planned.ends_with(b"\n") {
            planned.extend_from_slice(line_end_after(&planned, newline));
        }
        planned.extend_from_slice(field);
        Ok(())
    };
    let envelope = old.envelope_line();
    for line in envelope.iter().filter(|line| which(line.name())) {
        put(line.raw(), false)?;
    }
    let edits = edit.into_iter();
    for field in edits
        .clone()
        .flat_map(|edit| &edit.fields_above)
        .flat_map(|block| fields(block))
    {
        if which(field.name()) {
            put(field.raw(), true)?;
        }
    }
    for field in old
        .fields()
        .skip(usize::from(envelope.is_some()))
        .filter(|field| which(field.name()))
    {
        match edit.and_then(|edit| edit.fields.get(&field.start())) {
            // What was too long before may still be.
            Some(Some(new)) => put(new, lines_are_clean(field.raw(), newline))?,
            Some(None) => {}
            None => put(field.raw(), false)?,
        }
    }
    for field in edits
        .flat_map(|edit| &edit.fields_below)
        .flat_map(|block| fields(block))
    {
        if which(field.name()) {
            put(field.raw(), true)?;
        }
    }
    if is_ended && !planned.is_empty() && !planned.ends_with(b"\n") {
        planned.extend_from_slice(line_end_after(&planned, newline));
    }
    Ok(planned)
}

/// Does a leaf that had no blank line get one: before a new body, and before an old one when a header or delimiter now
/// stands `apart` from it.
pub(super) fn adds_blank(old: Part<'_>, edit: Option<&PartEdit>, apart: bool) -> bool {
    let has_new_body = edit.is_some_and(|edit| edit.body.is_some() || edit.coded.is_some());
    let had_blank = !blank_line(old).is_empty();
    (!old.is_multipart() || has_new_body)
        && !had_blank
        && (has_new_body || apart && !old.body().is_empty())
}
