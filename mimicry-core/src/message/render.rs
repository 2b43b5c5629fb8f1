//! Octets out: what no edit touches is copied as it stands, what edits make is put in its place.
//!
//! A subtree without an edit is one copy. Delimiter lines, preambles and epilogues are never written anew; only the
//! delimiters of what we add are ours, and we close only what we opened.
//!
//! Must never: normalise, re-fold or re-encode anything. Recursion is bounded by [`super::Limits::MAX_DEPTH`].

use super::compose::NewPart;
use super::edit::{EditSet, PartEdit, Wrap, is_content_field};
use super::header::fields;
use super::{Kind, Part, PartId};

/// The message with its edits. Without any, an exact copy.
pub fn render(edits: &EditSet<'_>) -> Vec<u8> {
    let message = edits.message();
    let mut touched = vec![false; message.parts().len()];
    for id in edits.touched() {
        let Some(part) = message.part(id) else { continue };
        for part in std::iter::once(part).chain(part.ancestors()) {
            match touched.get_mut(part.id().index()) {
                // Above a part that is marked all are.
                Some(true) | None => break,
                Some(mark) => *mark = true,
            }
        }
    }
    let mut renderer = Renderer {
        edits,
        touched,
        newline: message.newline().as_bytes(),
        out: Vec::with_capacity(message.raw().len().saturating_add(4096)),
    };
    renderer.entity(message.root());
    renderer.out
}

struct Renderer<'e, 'm> {
    edits: &'e EditSet<'m>,
    /// By part: has it, or one below it, an edit.
    touched: Vec<bool>,
    newline: &'static [u8],
    out: Vec<u8>,
}

/// What stands between two delimiters.
enum Item<'e, 'm> {
    Old(Part<'m>),
    New(&'e NewPart),
}

impl<'e, 'm> Renderer<'e, 'm> {
    fn is_touched(&self, id: PartId) -> bool {
        self.touched.get(id.index()).copied().unwrap_or(false)
    }

    /// Header block, blank line and body of one part.
    fn entity(&mut self, part: Part<'m>) {
        if !self.is_touched(part.id()) {
            self.out.extend_from_slice(part.raw());
            return;
        }
        let edits = self.edits;
        let edit = edits.of(part.id());
        match edit.and_then(|edit| edit.wrap.as_ref().map(|wrap| (edit, wrap))) {
            Some((edit, wrap)) => self.wrapped(part, edit, wrap),
            None => {
                self.header(part, edit, |_| true);
                self.rest(part, edit);
            }
        }
    }

    /// The fields of a part for which `which` says so, given the field's name.
    fn header(&mut self, part: Part<'m>, edit: Option<&PartEdit>, which: impl Fn(&[u8]) -> bool) {
        let start = self.out.len();
        let blocks = |out: &mut Vec<u8>, blocks: &[std::sync::Arc<[u8]>]| {
            for field in blocks.iter().flat_map(|block| fields(block)).filter(|field| which(field.name())) {
                out.extend_from_slice(field.raw());
            }
        };
        if let Some(edit) = edit {
            blocks(&mut self.out, &edit.fields_above);
        }
        for field in part.fields().filter(|field| which(field.name())) {
            match edit.and_then(|edit| edit.fields.get(&field.start())) {
                Some(Some(new)) => self.out.extend_from_slice(new),
                Some(None) => {}
                None => self.out.extend_from_slice(field.raw()),
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
            self.out.extend_from_slice(self.newline);
        }
    }

    /// What follows the header block: blank line and body, or children.
    fn rest(&mut self, part: Part<'m>, edit: Option<&PartEdit>) {
        let node = part.node();
        let message = part.message();
        let blank = message.slice(&(node.header.end..node.body.start));
        match &node.kind {
            Kind::Multipart { boundary, close } => {
                self.out.extend_from_slice(blank);
                let Some(first) = part.children().next() else {
                    self.out.extend_from_slice(part.body());
                    return;
                };
                let preamble = node.body.start..first.node().delimiter.start;
                self.out.extend_from_slice(message.slice(&preamble));
                self.children(part, boundary, close.is_some());
                if let Some(close) = close {
                    self.out.extend_from_slice(message.slice(&(close.start..node.body.end)));
                }
            }
            _ => match edit.and_then(|edit| edit.body.as_ref()) {
                Some(body) => {
                    if blank.is_empty() {
                        // Nothing separated header and body: one line end closes the last field, one is the blank line.
                        self.end_line(self.out.len().saturating_sub(1));
                        self.out.extend_from_slice(self.newline);
                    } else {
                        self.out.extend_from_slice(blank);
                    }
                    self.out.extend_from_slice(body);
                }
                None => {
                    self.out.extend_from_slice(blank);
                    if node.header.is_empty() && blank.is_empty() && !part.body().is_empty() && edit.is_some() {
                        // The message was all body; now that it has a field, the body needs a blank line.
                        self.out.extend_from_slice(self.newline);
                    }
                    self.out.extend_from_slice(part.body());
                }
            },
        }
    }

    fn children(&mut self, parent: Part<'m>, boundary: &[u8], closed: bool) {
        let edits = self.edits;
        let mut items: Vec<Item<'e, 'm>> = Vec::new();
        for child in parent.children() {
            let edit = edits.of(child.id());
            items.extend(edit.into_iter().flat_map(|edit| &edit.before).map(|new| Item::New(new)));
            if !edit.is_some_and(|edit| edit.removed) {
                items.push(Item::Old(child));
            }
            items.extend(edit.into_iter().flat_map(|edit| &edit.after).map(|new| Item::New(new)));
        }
        items.extend(edits.of(parent.id()).into_iter().flat_map(|edit| &edit.at_end).map(|new| Item::New(new)));
        let last = items.len().saturating_sub(1);
        for (index, item) in items.iter().enumerate() {
            let own_line_end = match item {
                Item::Old(child) => {
                    self.out.extend_from_slice(parent.message().slice(&child.node().delimiter));
                    self.entity(*child);
                    self.line_end_behind(*child, parent)
                }
                Item::New(new) => {
                    self.new_part(boundary, new);
                    None
                }
            };
            if index < last || closed {
                self.out.extend_from_slice(own_line_end.unwrap_or(self.newline));
            }
        }
    }

    /// The line end between a child and the delimiter that follows it; `None` = no delimiter follows. It is missing
    /// where a delimiter follows right upon a header block.
    fn line_end_behind(&self, child: Part<'m>, parent: Part<'m>) -> Option<&'m [u8]> {
        let message = parent.message();
        let start = child.node().body.end;
        let end = match (message.part(child.node().next), &parent.node().kind) {
            (Some(next), _) if next.parent().map(Part::id) == Some(parent.id()) => next.node().delimiter.start,
            (_, Kind::Multipart { close: Some(close), .. }) => close.start,
            _ => return None,
        };
        let line_end = message.slice(&(start..end));
        let has_new_body = self.edits.of(child.id()).is_some_and(|edit| edit.body.is_some() || edit.wrap.is_some());
        if line_end.is_empty() && has_new_body {
            return Some(self.newline);
        }
        Some(line_end)
    }

    fn new_part(&mut self, boundary: &[u8], new: &NewPart) {
        self.out.extend_from_slice(b"--");
        self.out.extend_from_slice(boundary);
        self.out.extend_from_slice(self.newline);
        self.out.extend_from_slice(&new.header);
        self.out.extend_from_slice(self.newline);
        self.out.extend_from_slice(&new.body);
    }

    /// A part inside a new multipart. The root keeps its fields but for those that describe the content.
    fn wrapped(&mut self, part: Part<'m>, edit: &PartEdit, wrap: &Wrap) {
        let start = self.out.len();
        let stays = |name: &[u8]| part.is_root() && !is_content_field(name);
        self.header(part, Some(edit), stays);
        self.end_line(start);
        let newline = std::str::from_utf8(self.newline).unwrap_or("\r\n");
        let (subtype, boundary) = (wrap.subtype, &wrap.boundary);
        self.out.extend_from_slice(
            format!("Content-Type: multipart/{subtype};{newline}\tboundary=\"{boundary}\"{newline}{newline}--{boundary}{newline}")
                .as_bytes(),
        );
        let start = self.out.len();
        self.header(part, Some(edit), |name| !stays(name));
        self.end_line(start);
        let node = part.node();
        if node.header.end == node.body.start && !part.is_multipart() && edit.body.is_none() {
            // The part had no blank line; inside a multipart a body needs one.
            self.out.extend_from_slice(self.newline);
        }
        self.rest(part, Some(edit));
        for new in &wrap.after {
            self.out.extend_from_slice(self.newline);
            self.new_part(boundary.as_bytes(), new);
        }
        self.out.extend_from_slice(self.newline);
        self.out.extend_from_slice(b"--");
        self.out.extend_from_slice(boundary.as_bytes());
        self.out.extend_from_slice(b"--");
        if part.is_root() {
            self.out.extend_from_slice(self.newline);
        }
    }
}
