//! Octets out: everything that no edit touches is copied as it is, and the results of edits are put in their places.
//!
//! A subtree without an edit is one copy. Delimiter lines, preambles and epilogues are never written anew; only the
//! delimiters of what we add are ours, and we close only what we opened.
//!
//! Must never: normalise, re-fold or re-encode anything. Recursion is bounded by [`super::Limits::MAX_DEPTH`].

use super::codec;
use super::compose::NewPart;
use super::edit::{Around, EditSet, PartEdit, Wrap, is_content_field};
use super::header::fields;
use super::kept::AllKept;
use super::octets::NewOctets;
use super::part::Part;
use super::part::Tail;
use super::tree::{Kind, PartId};

/// The message with its edits. Without any, an exact copy.
pub fn render(edits: &EditSet<'_>) -> Vec<u8> {
    let mut renderer = Renderer::new(edits);
    renderer.out.reserve_exact(edits.octets_due());
    renderer.entity(edits.message().root());
    renderer.out
}

/// As [`render`], with what was kept of the message as it came.
pub fn render_noting(edits: &EditSet<'_>) -> (Vec<u8>, AllKept) {
    let mut renderer = Renderer {
        kept: Some(AllKept::default()),
        ..Renderer::new(edits)
    };
    renderer.out.reserve_exact(edits.octets_due());
    renderer.entity(edits.message().root());
    (renderer.out, renderer.kept.unwrap_or_default())
}

/// As [`render`], for edits of which only the proof is still made: what comes is written around the largest of the new bodies if
/// that is large, so that it is never there twice.
pub fn render_last(edits: &mut EditSet<'_>) -> Vec<u8> {
    let due = edits.octets_due();
    let Some(taken) = edits.take_largest() else {
        return render(edits);
    };
    let mut renderer = Renderer {
        taken: Some(taken),
        due,
        ..Renderer::new(edits)
    };
    renderer.entity(edits.message().root());
    renderer.out
}

struct Renderer<'e, 'm> {
    edits: &'e EditSet<'m>,
    /// By part: has it, or one below it, an edit.
    touched: Vec<bool>,
    newline: &'static [u8],
    out: Vec<u8>,
    /// Of the part written last.
    tail: Tail,
    /// The body that is gone from the edits, until it is its turn.
    taken: Option<Vec<u8>>,
    /// About how many octets all will be.
    due: usize,
    /// What was copied from the message, if somebody wants to know.
    kept: Option<AllKept>,
}

/// What stands between two delimiters.
enum Item<'e, 'm> {
    Old(Part<'m>),
    New(&'e NewPart),
}

impl<'e, 'm> Renderer<'e, 'm> {
    fn new(edits: &'e EditSet<'m>) -> Renderer<'e, 'm> {
        Renderer {
            edits,
            touched: edits.marks(),
            newline: edits.message().newline().as_bytes(),
            out: Vec::new(),
            tail: Tail::Body,
            taken: None,
            due: 0,
            kept: None,
        }
    }

    /// Octets of the message as it came.
    fn copy(&mut self, octets: &'m [u8]) {
        if let Some(kept) = &mut self.kept {
            // They are a slice of it, so the distance of the two is a place in it.
            let start = self.edits.message().raw().as_ptr().addr();
            let at = octets.as_ptr().addr().saturating_sub(start);
            kept.push(at, self.out.len(), octets.len());
        }
        self.out.extend_from_slice(octets);
    }

    fn is_touched(&self, id: PartId) -> bool {
        self.touched.get(id.index()).copied().unwrap_or(false)
    }

    /// Header block, blank line and body of one part.
    fn entity(&mut self, part: Part<'m>) {
        if !self.is_touched(part.id()) {
            self.copy(part.raw());
            self.tail = part.tail();
            return;
        }
        let edits = self.edits;
        let edit = edits.of(part.id());
        match edit {
            Some(edit) if !edit.wraps.is_empty() => {
                // The root keeps its fields but for those that describe the content.
                let stays = |name: &[u8]| part.is_root() && !is_content_field(name);
                let start = self.out.len();
                self.header(part, Some(edit), stays);
                self.end_line(start);
                self.wrapped(part, edit, &edit.wraps);
                if part.is_root() {
                    self.out.extend_from_slice(self.newline);
                }
            }
            _ => {
                let start = self.out.len();
                self.header(part, edit, |_| true);
                let has_header = self.out.len() > start;
                self.rest(part, edit, has_header && part.header().is_empty());
            }
        }
    }

    /// The fields of a part for which `which` says so, given the field's name.
    fn header(&mut self, part: Part<'m>, edit: Option<&PartEdit>, which: impl Fn(&[u8]) -> bool) {
        let start = self.out.len();
        let blocks = |out: &mut Vec<u8>, blocks: &[std::sync::Arc<[u8]>]| {
            for field in blocks
                .iter()
                .flat_map(|block| fields(block))
                .filter(|field| which(field.name()))
            {
                out.extend_from_slice(field.raw());
            }
        };
        let envelope = part.envelope_line();
        if let Some(line) = envelope.filter(|line| which(line.name())) {
            self.copy(line.raw());
        }
        if let Some(edit) = edit
            && !edit.fields_above.is_empty()
        {
            self.end_line(start);
            blocks(&mut self.out, &edit.fields_above);
        }
        for field in part
            .fields()
            .skip(usize::from(envelope.is_some()))
            .filter(|field| which(field.name()))
        {
            match edit.and_then(|edit| edit.fields.get(&field.start())) {
                Some(Some(new)) => self.out.extend_from_slice(new),
                Some(None) => {}
                None => self.copy(field.raw()),
            }
        }
        if let Some(edit) = edit
            && !(edit.fields_below.is_empty())
        {
            self.end_line(start);
            blocks(&mut self.out, &edit.fields_below);
        }
    }

    /// A last field without a line end gets one before something follows it.
    fn end_line(&mut self, start: usize) {
        if self.out.len() > start && self.out.last() != Some(&b'\n') {
            self.new_line_end();
        }
    }

    fn new_line_end(&mut self) {
        let newline = line_end_after(&self.out, self.newline);
        self.out.extend_from_slice(newline);
    }

    /// What follows the header block: blank line and body, or children. `apart`: a body without a blank line gets one,
    /// because what now stands before it could be read together with it.
    fn rest(&mut self, part: Part<'m>, edit: Option<&PartEdit>, apart: bool) {
        let node = part.node();
        let message = part.message();
        let blank = message.slice(&(node.header.end..node.body.start));
        self.copy(blank);
        let is_replaced = edit.is_some_and(|edit| edit.body.is_some());
        match &node.kind {
            Kind::Multipart { boundary, close } if !is_replaced => {
                let Some(first) = part.children().next() else {
                    self.copy(part.body());
                    self.tail = part.tail();
                    return;
                };
                let preamble = node.body.start..first.node().delimiter.start;
                self.copy(message.slice(&preamble));
                self.children(part, boundary, close.is_some());
                if let Some(close) = close {
                    self.copy(message.slice(&(close.start..node.body.end)));
                    self.tail = Tail::Body;
                }
            }
            _ => {
                let new_body = edit.and_then(|edit| edit.body.as_deref());
                let coded = edit.and_then(|edit| edit.coded);
                let is_new = new_body.is_some() || coded.is_some();
                let is_empty = new_body.map_or(part.body().is_empty(), NewOctets::is_empty);
                let adds_blank = blank.is_empty() && (is_new || apart && !is_empty);
                if adds_blank {
                    self.end_line(0);
                    self.out.extend_from_slice(self.newline);
                }
                match (new_body, coded) {
                    (Some(body), _) => self.new_octets(body),
                    (None, Some(encoding)) => {
                        codec::encode_onto(&mut self.out, encoding, part.body(), self.newline)
                    }
                    (None, None) => self.copy(part.body()),
                }
                self.tail = match (is_empty, blank.is_empty() && !adds_blank) {
                    (false, _) => Tail::Body,
                    (true, true) => Tail::Header,
                    (true, false) => Tail::Blank,
                };
            }
        }
    }

    fn children(&mut self, parent: Part<'m>, boundary: &[u8], closed: bool) {
        let edits = self.edits;
        let mut items: Vec<Item<'e, 'm>> = Vec::new();
        for child in parent.children() {
            let edit = edits.of(child.id());
            items.extend(
                edit.into_iter()
                    .flat_map(|edit| &edit.before)
                    .map(|new| Item::New(new)),
            );
            if !edit.is_some_and(|edit| edit.removed) {
                items.push(Item::Old(child));
            }
            items.extend(
                edit.into_iter()
                    .flat_map(|edit| &edit.after)
                    .map(|new| Item::New(new)),
            );
        }
        items.extend(
            edits
                .of(parent.id())
                .into_iter()
                .flat_map(|edit| &edit.at_end)
                .map(|new| Item::New(new)),
        );
        let last = items.len().saturating_sub(1);
        for (index, item) in items.iter().enumerate() {
            let line_end = match item {
                Item::Old(child) => {
                    let delimiter = parent.message().slice(&child.node().delimiter);
                    self.copy(delimiter);
                    let start = self.out.len();
                    self.entity(*child);
                    if !delimiter.ends_with(b"\n") && self.out.len() > start {
                        // The message ended in the delimiter.
                        let newline = line_end_after(delimiter, self.newline);
                        self.out.splice(start..start, newline.iter().copied());
                    }
                    line_end_behind(*child, parent)
                }
                Item::New(new) => {
                    self.new_part(boundary, new);
                    None
                }
            };
            if index < last || closed {
                self.end_part(line_end);
            }
        }
    }

    /// The line end between a part and the delimiter that follows it: the one that was there, or a new one where a body
    /// would run into the delimiter.
    fn end_part(&mut self, line_end: Option<&'m [u8]>) {
        match (self.tail, line_end) {
            (Tail::Header, _) | (Tail::Blank, Some(b"")) => self.end_line(0),
            (_, None | Some(b"")) => self.new_line_end(),
            (_, Some(line_end)) => self.copy(line_end),
        }
    }

    fn new_part(&mut self, boundary: &[u8], new: &NewPart) {
        self.delimiter(boundary);
        self.out.extend_from_slice(&new.header);
        self.out.extend_from_slice(self.newline);
        self.new_octets(&new.body);
        self.tail = if new.body.is_empty() {
            Tail::Blank
        } else {
            Tail::Body
        };
    }

    fn new_octets(&mut self, new: &NewOctets) {
        if !new.is_gone() {
            return self.out.extend_from_slice(new.as_slice());
        }
        let Some(mut taken) = self.taken.take() else {
            return;
        };
        let before = std::mem::take(&mut self.out);
        taken.reserve_exact(self.due.saturating_sub(taken.len()));
        taken.splice(0..0, before);
        self.out = taken;
    }

    /// A part inside new multiparts, the innermost of which is the first.
    fn wrapped(&mut self, part: Part<'m>, edit: &PartEdit, wraps: &[Wrap]) {
        let Some((wrap, inner)) = wraps.split_last() else {
            let stays = |name: &[u8]| part.is_root() && !is_content_field(name);
            let start = self.out.len();
            self.header(part, Some(edit), |name| !stays(name));
            self.end_line(start);
            return self.rest(part, Some(edit), true);
        };
        let boundary = wrap.boundary.as_bytes();
        let kind = match wrap.around {
            Around::Mixed => String::new(),
            // RFC 2387 section 3.1: the type of the part that refers to the others.
            Around::Related => {
                let media_type = edit.media_type.as_deref().unwrap_or(part.media_type());
                format!(" type=\"{media_type}\";")
            }
        };
        let subtype = wrap.around.subtype();
        for piece in [
            format!("Content-Type: multipart/{subtype};{kind}").as_bytes(),
            self.newline,
            b"\tboundary=\"",
            boundary,
            b"\"",
            self.newline,
            self.newline,
        ] {
            self.out.extend_from_slice(piece);
        }
        for new in &wrap.before {
            self.new_part(boundary, new);
            self.end_part(None);
        }
        self.delimiter(boundary);
        self.wrapped(part, edit, inner);
        for new in &wrap.after {
            self.end_part(None);
            self.new_part(boundary, new);
        }
        self.end_part(None);
        self.out.extend_from_slice(b"--");
        self.out.extend_from_slice(boundary);
        self.out.extend_from_slice(b"--");
        self.tail = Tail::Body;
    }

    fn delimiter(&mut self, boundary: &[u8]) {
        self.out.extend_from_slice(b"--");
        self.out.extend_from_slice(boundary);
        self.out.extend_from_slice(self.newline);
    }
}

/// In a message of LF lines a CR before an LF would be taken for a part of the line end.
fn line_end_after(octets: &[u8], newline: &'static [u8]) -> &'static [u8] {
    if octets.ends_with(b"\r") {
        b"\r\n"
    } else {
        newline
    }
}

/// The line end between a child and the delimiter that follows it; `None` = no delimiter follows. It is empty where a
/// delimiter follows right upon a header block or a blank line.
fn line_end_behind<'m>(child: Part<'m>, parent: Part<'m>) -> Option<&'m [u8]> {
    let message = parent.message();
    let end = match (message.part(child.node().next), &parent.node().kind) {
        (Some(next), _) if next.parent().map(Part::id) == Some(parent.id()) => {
            next.node().delimiter.start
        }
        (
            _,
            Kind::Multipart {
                close: Some(close), ..
            },
        ) => close.start,
        _ => return None,
    };
    Some(message.slice(&(child.node().body.end..end)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::scan::tests::scan;
    use crate::message::verify::verify;
    use crate::message::{Limits, Newline};

    /// Wherever the large body stands, and whatever is written before it; a savepoint that shares it keeps it.
    #[test]
    fn a_large_body_is_written_around() {
        let part = |octets: usize| {
            let content = vec![b'x'; octets];
            NewPart::attachment("application/x", "x", content, Newline::Lf)
        };
        let message =
            scan("A: b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b\n\ny\n--b--\n");
        let [first, last] = [1, 2].map(|at| message.parts().nth(at).unwrap().id());
        for (octets, place) in [
            (4 << 20, 0),
            (4 << 20, 1),
            (4 << 20, 2),
            (4 << 20, 3),
            (1 << 20, 1),
        ] {
            let mut edits = EditSet::new(&message);
            edits.attach(part(3)).unwrap();
            match place {
                0 => edits.place(first, vec![part(5), part(octets)]).unwrap(),
                1 => edits.replace_part(last, part(octets)).unwrap(),
                2 => {
                    let around = vec![part(octets)];
                    edits.wrap(first, Around::Related, vec![], around).unwrap();
                }
                _ => edits.attach(part(octets)).unwrap(),
            }
            let expected = render(&edits);
            let shared = edits.clone();
            assert!(render_last(&mut edits) == expected, "shared, {place}");
            drop(shared);
            let limits = Limits::default();
            let rendered = render_last(&mut edits);
            assert!(rendered == expected, "{octets} at {place}");
            verify(&edits, rendered, &limits).unwrap();
            let mut other = expected;
            let at = other
                .iter()
                .skip(octets / 2)
                .position(|octet| *octet == b'H');
            other[octets / 2 + at.unwrap()] = b'I';
            assert!(
                verify(&edits, other, &limits).is_err(),
                "{octets} at {place}"
            );
        }
    }

    /// What is odd about a mail stays odd around an edit.
    #[test]
    fn oddities_are_kept() {
        for (name, raw, part, expected) in [
            (
                "mixed line ends",
                "A: b\r\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\r\nx\r\n--b \t\r\n\ny\n--b--\t",
                1,
                "A: b\r\nContent-Type: multipart/mixed; boundary=b\n\n--b\nN: v\r\n\r\nx\r\n--b \t\r\n\ny\n--b--\t",
            ),
            (
                "folds and trailing blanks",
                "A:  b \n\t c\nB:d  \n\nx",
                0,
                "A:  b \n\t c\nB:d  \nN: v\n\nx",
            ),
            (
                "a boundary used again behind its close",
                "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n--b\n\ny",
                0,
                "Content-Type: multipart/mixed; boundary=b\nN: v\n\n--b\n\nx\n--b--\n--b\n\ny",
            ),
            (
                "a header that a line without colon ends",
                "A: b\njunk\n\nx",
                0,
                "A: b\nN: v\njunk\n\nx",
            ),
            (
                "a mail of CR",
                "A: b\rB: c\r",
                0,
                "A: b\rB: c\r\r\nN: v\r\n",
            ),
            ("NUL octets", "A: \0\n\n\0", 0, "A: \0\nN: v\n\n\0"),
        ] {
            let message = scan(raw);
            let mut edits = EditSet::new(&message);
            edits.add_field_below(PartId(part), "N", "v").unwrap();
            assert_eq!(
                render(&edits).escape_ascii().to_string(),
                expected.as_bytes().escape_ascii().to_string(),
                "{name}"
            );
        }
    }

    #[test]
    fn nothing_edited_is_nothing_changed() {
        for raw in [
            "",
            "\n",
            "A: b",
            "x\r\n",
            "Content-Type: multipart/mixed; boundary=b\n\n--b",
        ] {
            let message = scan(raw);
            assert_eq!(render(&EditSet::new(&message)), raw.as_bytes());
        }
    }
}
