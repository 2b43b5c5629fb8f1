//! The proof of new multiparts around a part.
//!
//! Must never: take a part that came for one of ours.

use super::header::{adds_blank, planned_header};
use super::made::new_part;
use super::mismatch::{Mismatch, fail, same};
use super::places::{blank_line, delimiter, epilogue, line_end_behind, preamble};
use super::{Proof, Wrapped};
use crate::message::compose::NewPart;
use crate::message::edit::{Around, Wrap, is_content_field};
use crate::message::part::Part;

impl<'e, 'm> Proof<'e, 'm> {
    /// A part within the new multiparts around it.
    pub(super) fn wrapped(
        &self,
        old: Part<'m>,
        planned: Wrapped<'e, '_>,
        new: Part<'_>,
    ) -> Result<(), Mismatch> {
        let Wrapped {
            edit,
            wraps,
            fields,
            end,
        } = planned;
        let Some((wrap, inner)) = wraps.split_last() else {
            let stays = |name: &[u8]| old.is_root() && !is_content_field(name);
            let adds_blank = adds_blank(old, Some(edit), true);
            let planned = planned_header(old, Some(edit), true, |name| !stays(name))?;
            same(old, planned == new.header(), "the header is not as planned")?;
            return self.content(old, Some(edit), new, adds_blank);
        };
        let boundary = &wrap.boundary;
        let media_type = edit.media_type.as_deref().unwrap_or(old.media_type());
        let header = [fields, self.wrap_type(wrap, media_type)].concat();
        same(
            old,
            new.header() == header,
            "the header of the new multipart is not as planned",
        )?;
        same(
            old,
            blank_line(new) == self.newline(),
            "the new multipart has no blank line",
        )?;
        same(old, new.is_multipart(), "the new multipart is not seen")?;
        same(
            old,
            preamble(new).is_empty(),
            "the new multipart has a preamble",
        )?;
        let close = [b"--", boundary.as_bytes(), b"--", end].concat();
        same(
            old,
            epilogue(new) == Some(&close[..]),
            "the new multipart is not closed as planned",
        )?;
        let ours = self.delimiter(boundary.as_bytes());
        let mut children = new.children();
        let mut child = || {
            let Some(found) = children.next() else {
                return fail(old, "a part is missing");
            };
            same(
                old,
                *delimiter(found) == ours,
                "a delimiter of the new multipart is not as planned",
            )?;
            Ok(found)
        };
        for planned in &wrap.before {
            self.made(old, planned, child()?)?;
        }
        let found = child()?;
        self.line_end(old, None, found)?;
        let inner = Wrapped {
            edit,
            wraps: inner,
            fields: Vec::new(),
            end: b"",
        };
        self.wrapped(old, inner, found)?;
        for planned in &wrap.after {
            self.made(old, planned, child()?)?;
        }
        same(old, children.next().is_none(), "there is a part too many")
    }

    /// A new part within a new multipart.
    fn made(&self, old: Part<'_>, planned: &NewPart, found: Part<'_>) -> Result<(), Mismatch> {
        same(
            old,
            line_end_behind(found) == Some(self.line_end_after(found)),
            "the line end behind a new part is wrong",
        )?;
        new_part(old, planned, found)
    }

    /// The field that says what a new multipart is.
    fn wrap_type(&self, wrap: &Wrap, media_type: &str) -> Vec<u8> {
        let newline = std::str::from_utf8(self.newline()).unwrap_or_default();
        let ours = match wrap.around {
            Around::Mixed => "multipart/mixed;".to_string(),
            Around::Related => format!("multipart/related; type=\"{media_type}\";"),
        };
        let boundary = &wrap.boundary;
        format!("Content-Type: {ours}{newline}\tboundary=\"{boundary}\"{newline}").into_bytes()
    }
}
