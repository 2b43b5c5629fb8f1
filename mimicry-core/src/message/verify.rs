//! The proof: rendered octets are scanned again and compared with the message as it came and with what was planned.
//!
//! It does not use the ranges that rendering used. It walks the tree that a fresh scan found, beside the tree of the
//! original, and compares octets: every untouched subtree as a whole, of every touched part each field, blank line,
//! delimiter, preamble, epilogue and body. What mimicry made is checked against the standards besides. Comparing the
//! octets themselves is stricter than a list of hashes and, both messages being in memory, cheaper.
//!
//! Of a text that an edit has changed, what differs from the text that came is decoded and read: it is found by comparing the two, in
//! whole lines. What is the same has been read for the edit. With debug assertions each such text is read as a whole
//! besides, and both must say the same.
//!
//! `header`: what a header should be · `alike`: what is left as it was · `window`: what differs in a text · `wrapped`: new multiparts · `made`: what mimicry made · `places`: the octets around a part
//!
//! Besides, the octets as a whole: whatever made it, no edit brings a CR or LF that is not of a CRLF into a message that has none. Only
//! the lines that differ are looked at: a lone one in another line was there before.
//!
//! Known limits: where a multipart stands below another with the same boundary, or with the other's close delimiter as
//! its boundary, a new delimiter of the outer one can be the inner one's; such an edit is refused.
//!
//! Must never: mend. A mail that fails is not sent on changed. Recursion is bounded by [`Limits::MAX_DEPTH`].

use super::codec;
use super::compose::NewPart;
use super::edit::{EditSet, Enclosed, PartEdit, Wrap, is_content_field};
use super::limits::Limits;
use super::lines::lone;
use super::part::{Part, Tail};
use super::tree::{Kind, Message, Newline};

mod alike;
mod header;
mod made;
mod mismatch;
mod places;
#[cfg(test)]
mod tests;
mod window;
mod wrapped;

pub use made::MAX_LINE;
pub(super) use made::{charset, is_text};
pub use mismatch::Mismatch;

use alike::Alike;
use header::{adds_blank, planned_header};
use made::{Expected, made_well, new_part};
use mismatch::{fail, same};
use places::{
    blank_line, delimiter, epilogue, is_followed, is_followed_by_octets, line_end_after,
    line_end_behind, preamble, same_tree,
};
use window::{replaced_well, window};

/// Scans `rendered` and proves that it is `edits.message()` with these edits and nothing else. Returns the new message.
pub fn verify(
    edits: &EditSet<'_>,
    rendered: Vec<u8>,
    limits: &Limits,
) -> Result<Message, Mismatch> {
    let before = edits.message();
    let after = Message::scan(rendered, limits);
    let proof = Proof {
        edits,
        touched: edits.marks(),
        alike: Alike::of(before.raw(), after.raw()),
    };
    let root = before.root();
    // What other programs may find was there before, in another place of the tree.
    if after.is_broken() && !before.malformed() {
        return fail(root, "the new structure is broken or ambiguous");
    }
    let newline = before.newline();
    let new_lines = proof.alike.lines_between(after.raw(), false);
    if has_lone(new_lines, newline) && !has_lone(before.raw(), newline) {
        return fail(root, "a CR or LF stands alone");
    }
    proof.entity(root, after.root())?;
    Ok(after)
}

/// Where lines end in LF, as no mail that came by SMTP has them, an LF is never alone.
fn has_lone(octets: &[u8], newline: Newline) -> bool {
    match newline {
        Newline::Crlf => lone(octets).is_some(),
        Newline::Lf => memchr::memchr(b'\r', octets).is_some(),
    }
}

/// Is what was sealed found where it was put.
fn sealed(old: Part<'_>, enclosed: &Enclosed, new: Part<'_>) -> Result<(), Mismatch> {
    let is_multipart = new.media_type().starts_with("multipart/");
    same(
        old,
        !new.is_opaque() && new.is_multipart() == is_multipart && new.seal().is_some(),
        "the new content is not read as what seals the mail",
    )?;
    let mut children = new.children();
    let (first, second) = (children.next(), children.next());
    let is_found = match enclosed {
        Enclosed::Hidden => first.is_some() == is_multipart,
        Enclosed::Shown(range) => {
            let planned = new.body().get(range.clone());
            second.is_some() && planned.is_some() && first.map(Part::raw) == planned
        }
    };
    same(
        old,
        is_found && children.next().is_none(),
        "what was sealed is not where it was put",
    )
}

struct Proof<'e, 'm> {
    edits: &'e EditSet<'m>,
    touched: Vec<bool>,
    /// What the whole messages have alike.
    alike: Alike,
}

/// What should stand at a place below a multipart.
enum Planned<'e, 'm> {
    Old(Part<'m>),
    New(&'e NewPart),
}

/// What should stand around a part: new multiparts that are still to be found.
struct Wrapped<'e, 'p> {
    edit: &'e PartEdit,
    /// The innermost first.
    wraps: &'e [Wrap],
    /// What stands above the Content-Type of the outermost new multipart.
    fields: Vec<u8>,
    /// What stands behind its close.
    end: &'p [u8],
}

impl<'e, 'm> Proof<'e, 'm> {
    fn entity(&self, old: Part<'m>, new: Part<'_>) -> Result<(), Mismatch> {
        if !self.touched.get(old.id().index()).copied().unwrap_or(false) {
            same(
                old,
                self.is_untouched(old, new),
                "an untouched part changed",
            )?;
            return same(
                old,
                same_tree(old, new),
                "an untouched part is read as another tree",
            );
        }
        let edit = self.edits.of(old.id());
        match edit {
            Some(edit) if !edit.wraps.is_empty() => {
                let stays = |name: &[u8]| old.is_root() && !is_content_field(name);
                let fields = planned_header(old, Some(edit), true, stays)?;
                let end = if old.is_root() { self.newline() } else { b"" };
                let planned = Wrapped {
                    edit,
                    wraps: &edit.wraps,
                    fields,
                    end,
                };
                self.wrapped(old, planned, new)
            }
            _ => {
                let apart = old.header().is_empty() && !new.header().is_empty();
                let adds_blank = adds_blank(old, edit, apart);
                let planned = planned_header(old, edit, adds_blank || is_followed(new), |_| true)?;
                same(old, planned == new.header(), "the header is not as planned")?;
                self.content(old, edit, new, adds_blank)
            }
        }
    }

    fn is_untouched(&self, old: Part<'_>, new: Part<'_>) -> bool {
        if self.alike.are_same(&old.range(), &new.range()) {
            return true;
        }
        match new.raw().strip_prefix(old.raw()) {
            Some(b"") => true,
            // The message ended within a line of a header block; now something follows it.
            Some(rest) => {
                let is_open = old.tail() == Tail::Header
                    && !old.raw().is_empty()
                    && !old.raw().ends_with(b"\n");
                is_open
                    && is_followed(new)
                    && rest == line_end_after(old.raw(), old.message().newline())
            }
            None => false,
        }
    }

    /// Everything behind the header block.
    fn content(
        &self,
        old: Part<'m>,
        edit: Option<&'e PartEdit>,
        new: Part<'_>,
        adds_blank: bool,
    ) -> Result<(), Mismatch> {
        let media_type = edit
            .and_then(|edit| edit.media_type.as_deref())
            .unwrap_or(old.media_type());
        same(
            old,
            media_type == new.media_type(),
            "the media type is not as planned",
        )?;
        let blank = if adds_blank {
            self.newline()
        } else {
            blank_line(old)
        };
        same(
            old,
            blank == blank_line(new),
            "the blank line is not as planned",
        )?;
        if let Some(enclosed) = edit.and_then(|edit| edit.enclosed.as_ref()) {
            let body = edit.and_then(|edit| edit.body.as_deref());
            let is_same = body.is_some_and(|body| body.is(new.body()));
            same(old, is_same, "the body is not as planned")?;
            return sealed(old, enclosed, new);
        }
        let is_replaced = edit.is_some_and(|edit| edit.media_type.is_some() && edit.body.is_some());
        match (&old.node().kind, &new.node().kind) {
            (Kind::Multipart { .. }, Kind::Leaf) if is_replaced => {
                let body = edit.and_then(|edit| edit.body.as_deref());
                let is_same = body.is_some_and(|body| body.is(new.body()));
                same(old, is_same, "the body is not as planned")?;
                made_well(old, new, new.body(), true)
            }
            (
                Kind::Multipart { boundary, close },
                Kind::Multipart {
                    boundary: new_boundary,
                    close: new_close,
                },
            ) => {
                same(old, boundary == new_boundary, "the boundary changed")?;
                same(
                    old,
                    close.is_some() == new_close.is_some(),
                    "the close delimiter came or went",
                )?;
                self.children(old, new)
            }
            (Kind::Multipart { .. }, _) | (_, Kind::Multipart { .. }) => {
                fail(old, "a leaf became a multipart, or a multipart a leaf")
            }
            _ => self.body(old, edit, new),
        }
    }

    /// The body of a leaf.
    fn body(
        &self,
        old: Part<'m>,
        edit: Option<&'e PartEdit>,
        new: Part<'_>,
    ) -> Result<(), Mismatch> {
        match edit.and_then(|edit| edit.body.as_deref()) {
            Some(body) => {
                same(old, body.is(new.body()), "the body is not as planned")?;
                let was_text = edit.and_then(|edit| edit.was_text);
                let verdict = replaced_well(old, new, window(old, new, was_text));
                // Wherever tests run.
                debug_assert_eq!(verdict, replaced_well(old, new, new.body()));
                verdict
            }
            None if edit.is_some_and(|edit| edit.coded.is_some()) => {
                let coded = edit.and_then(|edit| edit.coded);
                same(
                    old,
                    coded == Some(new.encoding()),
                    "the coding is not as planned",
                )?;
                // It decodes to the octets that came, which proves more than a copy of what was planned.
                let mut rest = Expected(old.body());
                let is_same = codec::decode_into(new.encoding(), new.body(), &mut rest);
                same(
                    old,
                    is_same.is_ok() && rest.0.is_empty(),
                    "a coded body is another one",
                )?;
                made_well(old, new, new.body(), true)
            }
            None => {
                same(old, new.body() == old.body(), "a body changed")?;
                same(
                    old,
                    new.is_opaque() == old.is_opaque(),
                    "a part is read otherwise",
                )
            }
        }
    }

    fn children(&self, old: Part<'m>, new: Part<'_>) -> Result<(), Mismatch> {
        same(old, preamble(old) == preamble(new), "the preamble changed")?;
        same(
            old,
            epilogue(old) == epilogue(new),
            "the epilogue or the close delimiter changed",
        )?;
        let mut planned: Vec<Planned<'e, 'm>> = Vec::new();
        for child in old.children() {
            let edit = self.edits.of(child.id());
            planned.extend(
                edit.into_iter()
                    .flat_map(|edit| &edit.before)
                    .map(|new| Planned::New(new)),
            );
            if !edit.is_some_and(|edit| edit.removed) {
                planned.push(Planned::Old(child));
            }
            planned.extend(
                edit.into_iter()
                    .flat_map(|edit| &edit.after)
                    .map(|new| Planned::New(new)),
            );
        }
        planned.extend(
            self.edits
                .of(old.id())
                .into_iter()
                .flat_map(|edit| &edit.at_end)
                .map(|new| Planned::New(new)),
        );
        let boundary = match &old.node().kind {
            Kind::Multipart { boundary, .. } => &**boundary,
            _ => b"",
        };
        let ours = self.delimiter(boundary);
        let mut found = new.children();
        for planned in planned {
            let Some(found) = found.next() else {
                return fail(old, "a part is missing");
            };
            match planned {
                Planned::Old(child) => {
                    let mut line = delimiter(child).to_vec();
                    if !line.ends_with(b"\n") && is_followed_by_octets(found) {
                        line.extend_from_slice(line_end_after(&line, old.message().newline()));
                    }
                    same(
                        child,
                        *delimiter(found) == line,
                        "the delimiter line changed",
                    )?;
                    self.line_end(child, line_end_behind(child), found)?;
                    self.entity(child, found)?;
                }
                Planned::New(new) => {
                    same(
                        old,
                        *delimiter(found) == ours,
                        "the delimiter of a new part is not as planned",
                    )?;
                    let line_end = line_end_behind(found);
                    same(
                        old,
                        line_end.is_none_or(|end| end == self.line_end_after(found)),
                        "the line end behind a new part is wrong",
                    )?;
                    new_part(old, new, found)?;
                }
            }
        }
        same(old, found.next().is_none(), "there is a part too many")
    }

    /// The line end that we put behind a part: CRLF behind a lone CR, which would else be taken for a part of it.
    fn line_end_after(&self, part: Part<'_>) -> &'static [u8] {
        line_end_after(part.raw(), self.edits.message().newline())
    }

    fn newline(&self) -> &'static [u8] {
        self.edits.message().newline().as_bytes()
    }

    /// A delimiter line of ours.
    fn delimiter(&self, boundary: &[u8]) -> Vec<u8> {
        [b"--", boundary, self.newline()].concat()
    }

    /// The line end between `found` and the delimiter behind it is the one that was there. Where none was, there is one
    /// if `found` has a body: upon a header block it would be the blank line.
    fn line_end(
        &self,
        old: Part<'_>,
        before: Option<&[u8]>,
        found: Part<'_>,
    ) -> Result<(), Mismatch> {
        let Some(line_end) = line_end_behind(found) else {
            return Ok(());
        };
        let planned = match (found.tail(), before) {
            (Tail::Header, _) | (Tail::Blank, Some(b"")) => b"",
            (_, None | Some(b"")) => self.line_end_after(found),
            (_, Some(before)) => before,
        };
        same(
            old,
            line_end == planned,
            "the line end behind a part is not as planned",
        )
    }
}
