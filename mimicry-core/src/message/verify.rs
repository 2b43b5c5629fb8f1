//! The proof: rendered octets are scanned again and compared with the message as it came and with what was planned.
//!
//! It does not use the ranges that rendering used. It walks the tree that a fresh scan found, beside the tree of the
//! original, and compares octets: every untouched subtree as a whole, of every touched part each field, blank line,
//! delimiter, preamble, epilogue and body. What mimicry made is checked against the standards besides. Comparing the
//! octets themselves is stricter than a list of hashes and, both messages being in memory, cheaper.
//!
//! Must never: mend. A mail that fails is not sent on changed. Recursion is bounded by [`Limits::MAX_DEPTH`].

use super::codec::{self, Encoding};
use super::compose::NewPart;
use super::edit::{EditSet, PartEdit, Wrap, is_content_field};
use super::header::fields;
use super::text::TextBody;
use super::{Kind, Limits, Message, Newline, Part, PartId};

/// Octets on one line that SMTP lets pass, line end not counted (RFC 5321 section 4.5.3.1.6).
pub const MAX_LINE: usize = 998;

/// What a rendered message has that was not planned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("part {section}: {what}")]
pub struct Mismatch {
    /// The section of the original's part, as IMAP counts.
    pub section: String,
    pub what: &'static str,
}

/// Scans `rendered` and proves that it is `edits.message()` with these edits and nothing else. Returns the new message.
pub fn verify(edits: &EditSet<'_>, rendered: Vec<u8>, limits: &Limits) -> Result<Message, Mismatch> {
    let before = edits.message();
    let after = Message::scan(rendered, limits);
    let mut proof = Proof {
        edits,
        touched: vec![false; before.parts().len()],
    };
    for id in edits.touched() {
        let Some(part) = before.part(id) else { continue };
        for part in std::iter::once(part).chain(part.ancestors()) {
            if let Some(mark) = proof.touched.get_mut(part.id().index()) {
                *mark = true;
            }
        }
    }
    let root = before.root();
    if after.malformed() && !before.malformed() {
        return fail(root, "the new structure is broken or ambiguous");
    }
    proof.entity(root, after.root())?;
    let (start, end) = (after.root().node().header.start, after.root().node().body.end);
    if start != 0 || end != after.raw().len() {
        return fail(root, "there are octets outside of the root");
    }
    Ok(after)
}

fn fail<T>(part: Part<'_>, what: &'static str) -> Result<T, Mismatch> {
    Err(Mismatch {
        section: part.section_text(),
        what,
    })
}

fn same(part: Part<'_>, is_same: bool, what: &'static str) -> Result<(), Mismatch> {
    if is_same { Ok(()) } else { fail(part, what) }
}

struct Proof<'e, 'm> {
    edits: &'e EditSet<'m>,
    touched: Vec<bool>,
}

/// What should stand at a place below a multipart.
enum Planned<'e, 'm> {
    Old(Part<'m>),
    New(&'e NewPart),
}

impl<'e, 'm> Proof<'e, 'm> {
    fn entity(&self, old: Part<'m>, new: Part<'_>) -> Result<(), Mismatch> {
        if !self.touched.get(old.id().index()).copied().unwrap_or(false) {
            same(old, old.raw() == new.raw(), "an untouched part changed")?;
            return same(old, subtree(old) == subtree(new), "an untouched part is read as another tree");
        }
        let edit = self.edits.of(old.id());
        match edit.and_then(|edit| edit.wrap.as_ref()) {
            Some(wrap) => self.wrapped(old, edit, wrap, new),
            None => {
                same(old, header_is(old, edit, new, |_| true), "the header is not as planned")?;
                self.content(old, edit, new)
            }
        }
    }

    /// Everything behind the header block.
    fn content(&self, old: Part<'m>, edit: Option<&'e PartEdit>, new: Part<'_>) -> Result<(), Mismatch> {
        let media_type = edit.and_then(|edit| edit.media_type.as_deref()).unwrap_or(old.media_type());
        same(old, media_type == new.media_type(), "the media type is not as planned")?;
        let new_body = edit.and_then(|edit| edit.body.as_deref());
        let blank = blank_line(new);
        let had_blank = !blank_line(old).is_empty();
        let needs_blank = new_body.is_some() || (old.header().is_empty() && !old.body().is_empty()) || old.is_root();
        same(
            old,
            if had_blank || !needs_blank { blank == blank_line(old) } else { is_line_end(blank) || blank.is_empty() },
            "the blank line changed",
        )?;
        match (&old.node().kind, &new.node().kind) {
            (Kind::Multipart { boundary, close }, Kind::Multipart { boundary: new_boundary, close: new_close }) => {
                same(old, boundary == new_boundary, "the boundary changed")?;
                same(old, close.is_some() == new_close.is_some(), "the close delimiter came or went")?;
                self.children(old, new)
            }
            (Kind::Multipart { .. }, _) | (_, Kind::Multipart { .. }) => fail(old, "a leaf became a multipart, or a multipart a leaf"),
            _ => {
                same(old, new.body() == new_body.unwrap_or(old.body()), "the body is not as planned")?;
                if new_body.is_some() { made_well(old, new) } else { Ok(()) }
            }
        }
    }

    fn children(&self, old: Part<'m>, new: Part<'_>) -> Result<(), Mismatch> {
        same(old, preamble(old) == preamble(new), "the preamble changed")?;
        same(old, epilogue(old) == epilogue(new), "the epilogue or the close delimiter changed")?;
        let mut planned: Vec<Planned<'e, 'm>> = Vec::new();
        for child in old.children() {
            let edit = self.edits.of(child.id());
            planned.extend(edit.into_iter().flat_map(|edit| &edit.before).map(|new| Planned::New(new)));
            if !edit.is_some_and(|edit| edit.removed) {
                planned.push(Planned::Old(child));
            }
            planned.extend(edit.into_iter().flat_map(|edit| &edit.after).map(|new| Planned::New(new)));
        }
        planned.extend(self.edits.of(old.id()).into_iter().flat_map(|edit| &edit.at_end).map(|new| Planned::New(new)));
        let mut found = new.children();
        for planned in planned {
            let Some(found) = found.next() else { return fail(old, "a part is missing") };
            let line_end = line_end_behind(found);
            match planned {
                Planned::Old(child) => {
                    let delimiter = |part: Part<'_>| part.message().slice(&part.node().delimiter).to_vec();
                    same(child, delimiter(child) == delimiter(found), "the delimiter line changed")?;
                    let as_before = line_end == line_end_behind(child);
                    same(child, as_before || self.may_have_new_line_end(child, line_end, found), "the line end behind the part changed")?;
                    self.entity(child, found)?;
                }
                Planned::New(new) => {
                    same(old, line_end.is_none_or(|line_end| line_end == self.newline()), "the line end behind a new part is wrong")?;
                    new_part(old, new, found)?;
                }
            }
        }
        same(old, found.next().is_none(), "there is a part too many")
    }

    /// A child whose neighbour or body is new may have got the line end that it lacked, or lost the last one of a
    /// multipart that is never closed.
    fn may_have_new_line_end(&self, child: Part<'m>, line_end: Option<&[u8]>, found: Part<'_>) -> bool {
        let was_missing = line_end_behind(child).is_none_or(<[u8]>::is_empty);
        let is_last = found.parent().is_some_and(|parent| parent.children().last().map(Part::id) == Some(found.id()));
        match line_end {
            Some(line_end) => was_missing && line_end == self.newline(),
            None => is_last,
        }
    }

    fn wrapped(&self, old: Part<'m>, edit: Option<&'e PartEdit>, wrap: &'e Wrap, new: Part<'_>) -> Result<(), Mismatch> {
        let stays = |name: &[u8]| old.is_root() && !is_content_field(name);
        let newline = std::str::from_utf8(self.newline()).unwrap_or_default();
        let ours = format!("Content-Type: multipart/{};{newline}\tboundary=\"{}\"{newline}", wrap.subtype, wrap.boundary);
        let Some(outer) = new.header().strip_suffix(ours.as_bytes()) else {
            return fail(old, "the header of the new multipart is not as planned");
        };
        same(old, block_is(old, edit, outer, stays), "the header is not as planned")?;
        same(old, new.is_multipart(), "the new multipart is not seen")?;
        same(old, preamble(new).is_empty(), "the new multipart has a preamble")?;
        let close = format!("--{}--{}", wrap.boundary, if old.is_root() { newline } else { "" });
        let end = epilogue(new);
        same(old, end.is_some_and(|end| end == close.as_bytes() || end.strip_suffix(self.newline()) == Some(close.as_bytes())), "the new multipart is not closed as planned")?;
        let mut children = new.children();
        let Some(inner) = children.next() else { return fail(old, "a part is missing") };
        let delimiter = |part: Part<'_>| *part.message().slice(&part.node().delimiter) == *format!("--{}{newline}", wrap.boundary).as_bytes();
        same(old, delimiter(inner) && line_end_behind(inner) == Some(self.newline()), "the delimiters of the new multipart are wrong")?;
        same(old, header_is(old, edit, inner, |name| !stays(name)), "the header inside is not as planned")?;
        self.content(old, edit, inner)?;
        for planned in &wrap.after {
            let Some(found) = children.next() else { return fail(old, "a part is missing") };
            same(old, delimiter(found) && line_end_behind(found) == Some(self.newline()), "the delimiters of the new multipart are wrong")?;
            new_part(old, planned, found)?;
        }
        same(old, children.next().is_none(), "there is a part too many")
    }

    fn newline(&self) -> &'static [u8] {
        self.edits.message().newline().as_bytes()
    }
}

/// Is the header block of `new` that of `old` with its edits, as far as `which` says so of a field's name.
fn header_is(old: Part<'_>, edit: Option<&PartEdit>, new: Part<'_>, which: impl Fn(&[u8]) -> bool) -> bool {
    block_is(old, edit, new.header(), which)
}

fn block_is(old: Part<'_>, edit: Option<&PartEdit>, block: &[u8], which: impl Fn(&[u8]) -> bool) -> bool {
    let newline = old.message().newline().as_bytes();
    let mut rest = block;
    let mut take = |field: &[u8]| match rest.strip_prefix(field) {
        Some(tail) => {
            rest = tail;
            true
        }
        None => false,
    };
    let edits = edit.into_iter();
    for field in edits.clone().flat_map(|edit| &edit.fields_above).flat_map(|block| fields(block)) {
        if which(field.name()) && !take(field.raw()) {
            return false;
        }
    }
    for field in old.fields().filter(|field| which(field.name())) {
        let planned = match edit.and_then(|edit| edit.fields.get(&field.start())) {
            Some(Some(new)) => &**new,
            Some(None) => continue,
            None => field.raw(),
        };
        if !take(planned) {
            return false;
        }
        // A last field that had no line end has got one when something follows it.
        if !planned.ends_with(b"\n") {
            take(newline);
        }
    }
    for field in edits.flat_map(|edit| &edit.fields_below).flat_map(|block| fields(block)) {
        if which(field.name()) && !take(field.raw()) {
            return false;
        }
    }
    rest.is_empty()
}

/// The number of parts in a subtree, itself included.
fn subtree(part: Part<'_>) -> u32 {
    part.node().next.0.saturating_sub(part.id().0)
}

fn blank_line<'m>(part: Part<'m>) -> &'m [u8] {
    let node = part.node();
    part.message().slice(&(node.header.end..node.body.start))
}

fn is_line_end(octets: &[u8]) -> bool {
    matches!(octets, b"\n" | b"\r\n")
}

fn preamble<'m>(part: Part<'m>) -> &'m [u8] {
    match part.children().next() {
        Some(first) => part.message().slice(&(part.node().body.start..first.node().delimiter.start)),
        None => part.body(),
    }
}

/// From the close delimiter to the end; `None` = there is none.
fn epilogue<'m>(part: Part<'m>) -> Option<&'m [u8]> {
    match &part.node().kind {
        Kind::Multipart { close: Some(close), .. } => Some(part.message().slice(&(close.start..part.node().body.end))),
        _ => None,
    }
}

/// The line end between a part and the delimiter behind it; `None` = no delimiter follows.
fn line_end_behind<'m>(part: Part<'m>) -> Option<&'m [u8]> {
    let parent = part.parent()?;
    let message = part.message();
    let next = message.part(PartId(part.node().next.0)).filter(|next| next.parent().map(Part::id) == Some(parent.id()));
    let end = match (next, &parent.node().kind) {
        (Some(next), _) => next.node().delimiter.start,
        (None, Kind::Multipart { close: Some(close), .. }) => close.start,
        _ => return None,
    };
    Some(message.slice(&(part.node().body.end..end)))
}

/// Is a new part there as it was made, and was it made well.
fn new_part(place: Part<'_>, planned: &NewPart, found: Part<'_>) -> Result<(), Mismatch> {
    same(place, found.header() == planned.header, "the header of a new part is not as planned")?;
    same(place, found.body() == planned.body, "the body of a new part is not as planned")?;
    same(place, is_line_end(blank_line(found)), "a new part has no blank line")?;
    same(place, found.media_type() == planned.media_type, "a new part is of another type")?;
    same(place, !found.is_multipart() && !found.is_opaque(), "a new part is no leaf")?;
    same(place, lines_are_clean(&planned.header, found.message().newline()), "a new header has a line that is too long or ends wrongly")?;
    made_well(place, found)
}

/// Is a body that mimicry made true of its own header (RFC 2045 sections 2 and 6).
fn made_well(place: Part<'_>, part: Part<'_>) -> Result<(), Mismatch> {
    let body = part.body();
    let encoding = part.encoding();
    let has_8bit = !body.is_ascii();
    match encoding {
        Encoding::SevenBit | Encoding::QuotedPrintable | Encoding::Base64 => {
            same(place, !has_8bit, "there is an 8-bit octet where the coding allows none")?;
        }
        Encoding::EightBit | Encoding::Binary => {}
        Encoding::Unknown => return fail(place, "the transfer encoding is unknown"),
    }
    let untouched_lines = place.body();
    if encoding != Encoding::Binary && lines_are_clean(untouched_lines, part.message().newline()) {
        same(place, lines_are_clean(body, part.message().newline()), "a line is too long or ends wrongly")?;
    }
    let Ok(_) = codec::decoded_len(encoding, body) else {
        return fail(place, "the new body does not decode");
    };
    if part.media_type().starts_with("text/") {
        let charset = part.charset();
        let text = TextBody::read(body, charset.as_deref().map(str::as_bytes), encoding, part.message().newline().as_bytes());
        same(place, text.is_ok(), "the new body is not text of its charset")?;
    }
    Ok(())
}

/// No line over the limit, no line that ends otherwise than the message's lines do.
fn lines_are_clean(octets: &[u8], newline: Newline) -> bool {
    let mut rest = octets;
    while !rest.is_empty() {
        let (line, tail) = match memchr::memchr(b'\n', rest) {
            Some(end) => rest.split_at_checked(end.saturating_add(1)).unwrap_or((rest, b"")),
            None => (rest, &b""[..]),
        };
        rest = tail;
        let text = match (line.strip_suffix(newline.as_bytes()), line.ends_with(b"\n")) {
            (Some(text), _) => text,
            (None, true) => return false,
            (None, false) => line,
        };
        if text.len() > MAX_LINE || (newline == Newline::Crlf && text.contains(&b'\r')) {
            return false;
        }
    }
    true
}
