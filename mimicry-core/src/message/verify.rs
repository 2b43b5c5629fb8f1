//! The proof: rendered octets are scanned again and compared with the message as it came and with what was planned.
//!
//! It does not use the ranges that rendering used. It walks the tree that a fresh scan found, beside the tree of the
//! original, and compares octets: every untouched subtree as a whole, of every touched part each field, blank line,
//! delimiter, preamble, epilogue and body. What mimicry made is checked against the standards besides. Comparing the
//! octets themselves is stricter than a list of hashes and, both messages being in memory, cheaper.
//!
//! Besides, the octets as a whole: whatever made it, no edit brings a CR or LF that is not of a CRLF into a message that has none.
//!
//! Known limits: where a multipart stands below another with the same boundary, or with the other's close delimiter as
//! its boundary, a new delimiter of the outer one can be the inner one's; such an edit is refused.
//!
//! Must never: mend. A mail that fails is not sent on changed. Recursion is bounded by [`Limits::MAX_DEPTH`].
//!
//! Longer than 600 lines by its tests, which are tables.

use std::io;

use super::charset::{Charset, Reader};
use super::codec::{self, Encoding};
use super::compose::NewPart;
use super::edit::{Around, EditSet, PartEdit, Wrap, is_content_field};
use super::header::fields;
use super::limits::Limits;
use super::lines::lone;
use super::part::Part;
use super::part::Tail;
use super::tree::Seal;
use super::tree::{Kind, Message, Newline, Node};

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
    };
    let root = before.root();
    // What other programs may find was there before, in another place of the tree.
    if after.is_broken() && !before.malformed() {
        return fail(root, "the new structure is broken or ambiguous");
    }
    let newline = before.newline();
    if has_lone(after.raw(), newline) && !has_lone(before.raw(), newline) {
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
                self.wrapped(old, edit, &edit.wraps, fields, end, new)
            }
            _ => {
                let apart = old.header().is_empty() && !new.header().is_empty();
                let adds_blank = adds_blank(old, edit, apart);
                self.header(old, edit, new, adds_blank || is_followed(new), |_| true)?;
                self.content(old, edit, new, adds_blank)
            }
        }
    }

    fn is_untouched(&self, old: Part<'_>, new: Part<'_>) -> bool {
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

    fn header(
        &self,
        old: Part<'m>,
        edit: Option<&PartEdit>,
        new: Part<'_>,
        is_ended: bool,
        which: impl Fn(&[u8]) -> bool,
    ) -> Result<(), Mismatch> {
        let planned = planned_header(old, edit, is_ended, which)?;
        same(old, planned == new.header(), "the header is not as planned")
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
        let is_replaced = edit.is_some_and(|edit| edit.media_type.is_some() && edit.body.is_some());
        match (&old.node().kind, &new.node().kind) {
            (Kind::Multipart { .. }, Kind::Leaf) if is_replaced => {
                let body = edit.and_then(|edit| edit.body.as_deref());
                let is_same = body.is_some_and(|body| new.body() == body);
                same(old, is_same, "the body is not as planned")?;
                made_well(old, new, true)
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
            _ => match edit
                .and_then(|edit| edit.body.as_deref())
                .map(Vec::as_slice)
            {
                Some(body) => {
                    same(old, new.body() == body, "the body is not as planned")?;
                    let lines_were_clean = lines_are_clean(old.body(), old.message().newline());
                    made_well(old, new, lines_were_clean)
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
                    made_well(old, new, true)
                }
                None => {
                    same(old, new.body() == old.body(), "a body changed")?;
                    same(
                        old,
                        new.is_opaque() == old.is_opaque(),
                        "a part is read otherwise",
                    )
                }
            },
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

    /// `fields`: what stands above the Content-Type of the outermost new multipart. `end`: what stands behind its close.
    fn wrapped(
        &self,
        old: Part<'m>,
        edit: &'e PartEdit,
        wraps: &'e [Wrap],
        fields: Vec<u8>,
        end: &[u8],
        new: Part<'_>,
    ) -> Result<(), Mismatch> {
        let Some((wrap, inner)) = wraps.split_last() else {
            let stays = |name: &[u8]| old.is_root() && !is_content_field(name);
            let adds_blank = adds_blank(old, Some(edit), true);
            self.header(old, Some(edit), new, true, |name| !stays(name))?;
            return self.content(old, Some(edit), new, adds_blank);
        };
        let newline = std::str::from_utf8(self.newline()).unwrap_or_default();
        let media_type = edit.media_type.as_deref().unwrap_or(old.media_type());
        let ours = match wrap.around {
            Around::Mixed => "multipart/mixed;".to_string(),
            Around::Related => format!("multipart/related; type=\"{media_type}\";"),
        };
        let boundary = &wrap.boundary;
        let mut header = fields;
        header.extend_from_slice(
            format!("Content-Type: {ours}{newline}\tboundary=\"{boundary}\"{newline}").as_bytes(),
        );
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
        let made = |planned: &NewPart, found: Part<'_>| {
            same(
                old,
                line_end_behind(found) == Some(self.line_end_after(found)),
                "the line end behind a new part is wrong",
            )?;
            new_part(old, planned, found)
        };
        for planned in &wrap.before {
            made(planned, child()?)?;
        }
        let found = child()?;
        self.line_end(old, None, found)?;
        self.wrapped(old, edit, inner, Vec::new(), b"", found)?;
        for planned in &wrap.after {
            made(planned, child()?)?;
        }
        same(old, children.next().is_none(), "there is a part too many")
    }

    fn newline(&self) -> &'static [u8] {
        self.edits.message().newline().as_bytes()
    }
}

/// The fields that a part should have, as far as `which` says so of a field's name. `is_ended`: the last line has a
/// line end, because something follows it.
fn planned_header(
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

/// The line end that we put behind octets that lack one.
fn line_end_after(octets: &[u8], newline: Newline) -> &'static [u8] {
    if octets.ends_with(b"\r") {
        b"\r\n"
    } else {
        newline.as_bytes()
    }
}

/// Does a leaf that had no blank line get one: before a new body, and before an old one when a header or delimiter now
/// stands `apart` from it.
fn adds_blank(old: Part<'_>, edit: Option<&PartEdit>, apart: bool) -> bool {
    let has_new_body = edit.is_some_and(|edit| edit.body.is_some() || edit.coded.is_some());
    let had_blank = !blank_line(old).is_empty();
    (!old.is_multipart() || has_new_body)
        && !had_blank
        && (has_new_body || apart && !old.body().is_empty())
}

/// Does anything stand behind the part in the message.
fn is_followed(part: Part<'_>) -> bool {
    part.node().body.end < part.message().raw().len()
}

/// Does anything stand behind the delimiter of the part.
fn is_followed_by_octets(part: Part<'_>) -> bool {
    part.node().delimiter.end < part.message().raw().len()
}

/// Are the parts below two parts the same, looked at from within.
fn same_tree(old: Part<'_>, new: Part<'_>) -> bool {
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

fn delimiter<'m>(part: Part<'m>) -> &'m [u8] {
    part.message().slice(&part.node().delimiter)
}

fn blank_line<'m>(part: Part<'m>) -> &'m [u8] {
    let node = part.node();
    part.message().slice(&(node.header.end..node.body.start))
}

fn preamble<'m>(part: Part<'m>) -> &'m [u8] {
    match part.children().next() {
        Some(first) => part
            .message()
            .slice(&(part.node().body.start..first.node().delimiter.start)),
        None => part.body(),
    }
}

/// From the close delimiter to the end; `None` = there is none.
fn epilogue<'m>(part: Part<'m>) -> Option<&'m [u8]> {
    match &part.node().kind {
        Kind::Multipart {
            close: Some(close), ..
        } => Some(part.message().slice(&(close.start..part.node().body.end))),
        _ => None,
    }
}

/// The line end between a part and the delimiter behind it; `None` = no delimiter follows.
fn line_end_behind<'m>(part: Part<'m>) -> Option<&'m [u8]> {
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

/// Is a new part there as it was made, and was it made well.
fn new_part(place: Part<'_>, planned: &NewPart, found: Part<'_>) -> Result<(), Mismatch> {
    same(
        place,
        found.header() == planned.header,
        "the header of a new part is not as planned",
    )?;
    same(
        place,
        found.body() == planned.body,
        "the body of a new part is not as planned",
    )?;
    same(
        place,
        blank_line(found) == place.message().newline().as_bytes(),
        "a new part has no blank line",
    )?;
    same(
        place,
        found.media_type() == planned.media_type,
        "a new part is of another type",
    )?;
    same(
        place,
        !found.is_multipart() && !found.is_opaque(),
        "a new part is no leaf",
    )?;
    same(
        place,
        lines_are_clean(&planned.header, place.message().newline()),
        "a new header has a line that is too long or ends wrongly",
    )?;
    made_well(place, found, true)
}

/// Is a body that mimicry made true of its own header (RFC 2045 sections 2 and 6). `lines`: check its lines too, which
/// may be as odd as those of the body that it replaces.
fn made_well(place: Part<'_>, part: Part<'_>, lines: bool) -> Result<(), Mismatch> {
    let body = part.body();
    let encoding = part.encoding();
    let has_8bit = !body.is_ascii();
    match encoding {
        Encoding::SevenBit | Encoding::QuotedPrintable | Encoding::Base64 => {
            same(
                place,
                !has_8bit,
                "there is an 8-bit octet where the coding allows none",
            )?;
        }
        Encoding::EightBit | Encoding::Binary => {}
        Encoding::Unknown => return fail(place, "the transfer encoding is unknown"),
    }
    if lines && encoding != Encoding::Binary {
        same(
            place,
            lines_are_clean(body, place.message().newline()),
            "a line is too long or ends wrongly",
        )?;
    }
    if part.media_type().starts_with("text/") {
        let charset = match part.charset() {
            Some(label) => Charset::for_label(label.as_bytes()),
            None => Some(Charset::US_ASCII),
        };
        // Without a second copy of a large text.
        let is_text = charset.is_some_and(|charset| {
            let mut check = TextCheck(charset.reader());
            codec::decode_into(encoding, body, &mut check).is_ok() && check.0.finish(&mut |_| {})
        });
        return same(place, is_text, "the new body is not text of its charset");
    }
    same(
        place,
        codec::decoded_len(encoding, body).is_ok(),
        "the new body does not decode",
    )
}

/// Takes octets in pieces and refuses what is not the next of these.
struct Expected<'o>(&'o [u8]);

impl io::Write for Expected<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0 = self
            .0
            .strip_prefix(octets)
            .ok_or(io::ErrorKind::InvalidData)?;
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes octets in pieces and refuses what is no text.
struct TextCheck(Reader);

impl io::Write for TextCheck {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self.0.push(octets, &mut |_| {}) {
            true => Ok(octets.len()),
            false => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// No line over the limit, no line that ends otherwise than the message's lines do.
fn lines_are_clean(octets: &[u8], newline: Newline) -> bool {
    let mut rest = octets;
    while !rest.is_empty() {
        let (line, tail) = match memchr::memchr(b'\n', rest) {
            Some(end) => rest
                .split_at_checked(end.saturating_add(1))
                .unwrap_or((rest, b"")),
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::message::render::render;
    use crate::message::scan::tests::scan;
    use crate::message::text::NewBody;

    const MAIL: &str = "A: b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b\nContent-Type: text/html\n\ny\n--b--\n";

    /// What is said of a wrong render: which part, and what.
    #[test]
    fn says_what_is_wrong() {
        let message = scan(MAIL);
        let mut edits = EditSet::new(&message);
        edits
            .set_field(message.parts().nth(2).unwrap().id(), "N", "v")
            .unwrap();
        let right = String::from_utf8(render(&edits)).unwrap();
        for (from, to, wrong) in [
            ("", "", None),
            ("A: b", "A: c", Some("part 0: the header is not as planned")),
            ("N: v", "N: w", Some("part 2: the header is not as planned")),
            ("\nx\n", "\nX\n", Some("part 1: an untouched part changed")),
            ("\ny\n", "\nz\n", Some("part 2: a body changed")),
            (
                "text/html",
                "text/css",
                Some("part 2: the header is not as planned"),
            ),
            ("--b\n\nx\n", "", Some("part 1: an untouched part changed")),
            (
                "--b--",
                "--b --",
                Some("part 0: the new structure is broken or ambiguous"),
            ),
            (
                "--b--\n",
                "--b--\n\n",
                Some("part 0: the epilogue or the close delimiter changed"),
            ),
        ] {
            let found = verify(
                &edits,
                right.replacen(from, to, 1).into_bytes(),
                &Limits::default(),
            );
            assert_eq!(
                found.err().map(|mismatch| mismatch.to_string()).as_deref(),
                wrong,
                "{from:?} -> {to:?}"
            );
        }
    }

    /// A variant is sealed with the other one, and no longer when that has gone; both are read as before in themselves.
    #[test]
    fn a_sealed_variant_may_go() {
        let armour = "-----BEGIN PGP MESSAGE-----";
        let mail = MAIL.replace("mixed", "alternative");
        for mail in [
            mail.replace("\nx\n", &format!("\n{armour}\n")),
            mail.replace("\ny\n", &format!("\n<p>{armour}\n")),
        ] {
            let message = scan(&mail);
            assert!(message.leaves().all(|leaf| leaf.seal().is_some()), "{mail}");
            for leaf in message.leaves() {
                let mut edits = EditSet::new(&message);
                edits.remove(leaf.id()).unwrap();
                let after = verify(&edits, render(&edits), &Limits::default()).unwrap();
                let has_armour = memchr::memmem::find(after.raw(), armour.as_bytes()).is_some();
                let is_sealed = after.leaves().all(|leaf| leaf.seal().is_some());
                assert_eq!(is_sealed, has_armour, "{mail}");
            }
        }
    }

    #[test]
    fn a_limit_passed_by_the_edit_is_refused() {
        let message = scan(MAIL);
        let mut edits = EditSet::new(&message);
        edits
            .attach(NewPart::text("plain", "x", message.newline()))
            .unwrap();
        for (parts, passes) in [(5, true), (4, false)] {
            let limits = Limits {
                parts,
                ..Limits::default()
            };
            assert_eq!(
                verify(&edits, render(&edits), &limits).is_ok(),
                passes,
                "{parts}"
            );
        }
    }

    /// The octets of a binary body have no lines, and still no lone line end may leave.
    #[test]
    fn t175_no_edit_brings_a_lone_cr_or_lf() {
        for (before, body, wrong) in [
            ("x", &b"y\r\nz"[..], None),
            ("x", b"y\0z", None),
            ("x", b"y\nz", Some("a CR or LF stands alone")),
            ("x", b"y\rz", Some("a CR or LF stands alone")),
            ("x", b"y\r", Some("a CR or LF stands alone")),
            // It had one before.
            ("x\ny", b"y\nz", None),
        ] {
            let above = "A: b\r\nContent-Type: x/y\r\nContent-Transfer-Encoding: binary\r\n\r\n";
            let message = scan(&format!("{above}{before}"));
            let mut edits = EditSet::new(&message);
            let new = NewBody {
                raw: body.to_vec(),
                ..NewBody::default()
            };
            edits.replace_body(message.root().id(), new).unwrap();
            let found = verify(&edits, render(&edits), &Limits::default());
            let found = found.err().map(|mismatch| mismatch.what);
            assert_eq!(found, wrong, "{before:?} {body:?}");
        }
    }

    /// A malformed mail may stay so, but its parts are still those that they were.
    #[test]
    fn a_part_that_is_no_longer_looked_into_is_refused() {
        let raw = "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\nx\n--o--\n";
        for (depth, wrong) in [
            (3, None),
            (2, Some("an untouched part is read as another tree")),
        ] {
            let limits = Limits {
                depth,
                ..Limits::default()
            };
            let message = Message::scan(raw.into(), &limits);
            assert!(message.malformed() && message.parts().len() == 3);
            let mut edits = EditSet::new(&message);
            edits
                .wrap(message.root().id(), Around::Mixed, vec![], vec![])
                .unwrap();
            assert_eq!(
                verify(&edits, render(&edits), &limits)
                    .err()
                    .map(|mismatch| mismatch.what),
                wrong
            );
        }
    }

    #[test]
    fn lines() {
        let x = |count: usize| "x".repeat(count);
        for (text, newline, clean) in [
            ("".to_string(), Newline::Crlf, true),
            ("x".into(), Newline::Crlf, true),
            ("x\r\ny\r\n".into(), Newline::Crlf, true),
            ("x\n".into(), Newline::Crlf, false),
            ("x\ry".into(), Newline::Crlf, false),
            ("x\r".into(), Newline::Crlf, false),
            ("x\n".into(), Newline::Lf, true),
            ("x\r\n".into(), Newline::Lf, true),
            (x(998), Newline::Lf, true),
            (x(999), Newline::Lf, false),
            (x(998) + "\r\n" + &x(998), Newline::Crlf, true),
            (x(5) + "\r\n" + &x(999) + "\r\n", Newline::Crlf, false),
        ] {
            assert_eq!(lines_are_clean(text.as_bytes(), newline), clean, "{text:?}");
        }
    }

    #[test]
    fn utf8_in_pieces() {
        for (octets, is_text) in [
            ("aüb€c𝄞".as_bytes(), true),
            (b"", true),
            (b"a\xff", false),
            (b"a\xc3", false),
            (b"\xc3(", false),
        ] {
            for size in 1..=octets.len().max(1) {
                let mut check = TextCheck(Charset::UTF_8.reader());
                let taken = octets
                    .chunks(size)
                    .try_for_each(|piece| check.write_all(piece));
                assert_eq!(
                    taken.is_ok() && check.0.finish(&mut |_| {}),
                    is_text,
                    "{octets:?} by {size}"
                );
            }
        }
    }
}
