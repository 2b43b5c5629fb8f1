//! Edits: the only way to change a message.
//!
//! An [`EditSet`] holds what shall be different, part by part; [`super::render`] makes the octets, [`super::verify`]
//! proves them. Edits of bodies stand here, those of header fields in `fields`, those of the tree in `parts`; `content` shows a part
//! as the edits leave it. Sealed content refuses here, so that no plugin can forget it.
//!
//! Must never: change the message it belongs to, or accept an edit whose result a reader could take for another
//! part's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::codec::{self, Encoding};
use super::compose::NewPart;
use super::header::fields;
use super::octets::NewOctets;
use super::params::{self, Params};
use super::part::Part;
use super::text::{NewBody, WasText};
use super::tree::{Message, PartId};

mod content;
mod fields;
mod names;
mod parts;
#[cfg(test)]
mod tests;

pub use content::Content;
use names::Names;
pub use parts::would_be_empty;

/// Why an edit was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the content is signed or encrypted")]
    Sealed,
    #[error("the part was not looked into and cannot be edited")]
    Opaque,
    #[error("the message has too many parts to add or remove one")]
    Limit,
    #[error("a multipart cannot be left without children")]
    LastChild,
    #[error("the root cannot be removed and has no siblings")]
    Root,
    #[error("the part was removed by an earlier edit")]
    Gone,
    #[error("a multipart has no body of its own")]
    NoLeaf,
    #[error("the part has no children to stand behind")]
    NoMultipart,
    #[error("that is no name or value of a header field")]
    BadField,
    #[error("the field says what the body is and changes with it only")]
    OfBody,
    #[error("there is no such part")]
    Unknown,
}

/// Edits of one message. A clone is a cheap savepoint: the new bodies are shared.
#[derive(Clone, Debug)]
pub struct EditSet<'m> {
    message: &'m Message,
    parts: BTreeMap<PartId, PartEdit>,
    /// How many children a multipart will have; only of those that lose some, so that each is counted once.
    left: BTreeMap<PartId, usize>,
    /// Of the parts with large headers whose fields were edited; `None` = it is not large.
    names: BTreeMap<PartId, Option<Arc<Names>>>,
    /// The parts of which nothing says any more how long they are: see [`EditSet::outdate`].
    outdated: BTreeSet<PartId>,
    /// What boundaries are made of, once there is one; and how many new multiparts there are.
    tail: Option<u64>,
    wraps: u32,
}

/// What shall be different about one part.
#[derive(Clone, Debug, Default)]
pub(super) struct PartEdit {
    pub removed: bool,
    /// By the offset of the field in the header block; `None` = it goes.
    pub fields: BTreeMap<usize, Option<Arc<[u8]>>>,
    /// Complete fields above and below those that are there.
    pub fields_above: Vec<Arc<[u8]>>,
    pub fields_below: Vec<Arc<[u8]>>,
    /// Shared by savepoints; the vector is the plugin's own, so that a large body is not copied.
    pub body: Option<Arc<NewOctets>>,
    /// What is known of the body as it came, which `body` replaces.
    pub was_text: Option<WasText>,
    /// The body as it came, in this transfer encoding: it is made where it is written, so that there is no copy of it before.
    pub coded: Option<Encoding>,
    pub before: Vec<Arc<NewPart>>,
    pub after: Vec<Arc<NewPart>>,
    /// Behind the last child of a multipart.
    pub at_end: Vec<Arc<NewPart>>,
    /// New multiparts around it, the innermost first.
    pub wraps: Vec<Wrap>,
    /// Content-Type is another one (the part was replaced as a whole).
    pub media_type: Option<Arc<str>>,
    /// The new part holds the message as it was, sealed: see [`EditSet::enclose`].
    pub enclosed: Option<Enclosed>,
}

/// Where in a new body stands what was sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enclosed {
    /// Nobody can see it.
    Hidden,
    /// The octets of the first part of a multipart, which has two.
    Shown(std::ops::Range<usize>),
}

impl PartEdit {
    fn is_empty(&self) -> bool {
        let no_parts = self.before.is_empty()
            && self.after.is_empty()
            && self.at_end.is_empty()
            && self.wraps.is_empty();
        let no_fields =
            self.fields.is_empty() && self.fields_above.is_empty() && self.fields_below.is_empty();
        no_parts && no_fields && !self.removed && self.body.is_none() && self.coded.is_none()
    }
}

/// A new multipart around a part.
#[derive(Clone, Debug)]
pub(super) struct Wrap {
    pub around: Around,
    pub boundary: Arc<str>,
    pub before: Vec<Arc<NewPart>>,
    pub after: Vec<Arc<NewPart>>,
}

/// The multiparts that can be put around a part, the inner one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Around {
    /// The part is shown, and refers to the parts behind it by their Content-ID (RFC 2387).
    Related,
    /// The parts are shown one after the other.
    Mixed,
}

impl Around {
    pub(super) fn subtype(self) -> &'static str {
        match self {
            Around::Related => "related",
            Around::Mixed => "mixed",
        }
    }
}

impl<'m> EditSet<'m> {
    pub fn new(message: &'m Message) -> EditSet<'m> {
        EditSet {
            message,
            parts: BTreeMap::new(),
            left: BTreeMap::new(),
            names: BTreeMap::new(),
            outdated: BTreeSet::new(),
            tail: None,
            wraps: 0,
        }
    }

    pub fn message(&self) -> &'m Message {
        self.message
    }

    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Is the part itself, or one around it, removed.
    pub fn is_gone(&self, id: PartId) -> bool {
        let Some(part) = self.message.part(id) else {
            return true;
        };
        std::iter::once(part).chain(part.ancestors()).any(|around| {
            let edit = self.parts.get(&around.id());
            // A multipart that was replaced has lost its children.
            edit.is_some_and(|edit| edit.removed || edit.media_type.is_some() && around.id() != id)
        })
    }

    /// Replaces the body of a leaf; charset and transfer encoding in the header follow.
    pub fn replace_body(&mut self, id: PartId, new: NewBody) -> Result<(), Refused> {
        self.describe_body(id, new.charset.as_deref(), new.encoding)?;
        self.outdate(self.message.part(id));
        let edit = self.edit(id);
        // A second edit is made from the body that the first one made.
        if edit.body.is_none() {
            edit.was_text = new.was_text;
        }
        edit.body = Some(Arc::new(new.raw.into()));
        edit.coded = None;
        Ok(())
    }

    /// Gives the body of a leaf, as it came and without a transfer encoding so far, a transfer encoding. For who makes the last
    /// edits: [`Content::body`] does not show it.
    pub(super) fn code_body(
        &mut self,
        id: PartId,
        charset: Option<&str>,
        encoding: Encoding,
    ) -> Result<(), Refused> {
        self.describe_body(id, charset, Some(encoding))?;
        let part = self.live(id)?;
        // Its digest is that of the content without its coding.
        self.remove_own(part, "Content-Length");
        self.outdate(part.parent());
        let edit = self.edit(id);
        edit.body = None;
        edit.coded = Some(encoding);
        Ok(())
    }

    /// Lets the header say what the new body of a leaf is.
    fn describe_body(
        &mut self,
        id: PartId,
        charset: Option<&str>,
        encoding: Option<Encoding>,
    ) -> Result<(), Refused> {
        let part = self.editable(id)?;
        if part.is_multipart() {
            return Err(Refused::NoLeaf);
        }
        if let Some(charset) = charset {
            let content = self.content(id)?;
            let value = match content.field("content-type") {
                // A parameter more could make another type of what cannot be read.
                Some(field)
                    if Params::parse(field_value(&field), usize::MAX)
                        .media_type()
                        .is_none() =>
                {
                    return Err(Refused::BadField);
                }
                Some(field) => params::set(field_value(&field), "charset", charset),
                None => format!(" {}; charset={charset}", content.media_type()).into_bytes(),
            };
            self.put_field(part, "Content-Type", &value);
        }
        if let Some(encoding) = encoding {
            self.put_field(
                part,
                "Content-Transfer-Encoding",
                format!(" {}", encoding.name()).as_bytes(),
            );
        }
        if charset.is_some() || encoding.is_some() {
            self.need_mime_version(id);
        }
        Ok(())
    }

    /// Replaces a part as a whole: its body and its Content fields become the new part's; its other fields stay. A multipart goes
    /// with all below it.
    pub fn replace_part(&mut self, id: PartId, new: NewPart) -> Result<(), Refused> {
        let part = self.outside_of_seals(id)?;
        if part.is_multipart() {
            self.may_change_number()?;
        }
        if part.is_opaque() {
            return Err(Refused::Opaque);
        }
        self.outdate(part.parent());
        for field in part.fields().filter(|field| is_content_field(field.name())) {
            self.edit(id).fields.insert(field.start(), None);
        }
        let edit = self.edit(id);
        edit.fields_above
            .retain(|field| !is_content_field(field_name(field)));
        edit.fields_below
            .retain(|field| !is_content_field(field_name(field)));
        edit.fields_below.push(new.header.into());
        edit.body = Some(Arc::new(new.body));
        edit.was_text = None;
        edit.coded = None;
        edit.media_type = Some(new.media_type.into());
        self.need_mime_version(id);
        Ok(())
    }

    /// Puts the message as a whole into what seals it: what its header says of its content (Content fields, MIME-Version) goes, and
    /// that of the new part stands instead, each once. All other fields stay. For who acts on the whole of a mail, sealed, broken or not:
    /// what it was is in the seal.
    pub fn enclose(&mut self, new: NewPart, enclosed: Enclosed) {
        let root = self.message.root();
        let is_about_content = |name: &[u8]| is_content_field(name) || is_mime_version(name);
        let gone = (root.fields().filter(|field| is_about_content(field.name())))
            .map(|field| (field.start(), None));
        let version = format!("MIME-Version: 1.0{}", self.message.newline().as_str());
        let edit = self.parts.entry(PartId::ROOT).or_default();
        edit.fields.extend(gone);
        for list in [&mut edit.fields_above, &mut edit.fields_below] {
            list.retain(|field| !is_about_content(field_name(field)));
        }
        edit.fields_below.push(version.into_bytes().into());
        edit.fields_below.push(new.header.into());
        edit.body = Some(Arc::new(new.body));
        edit.was_text = None;
        edit.coded = None;
        edit.media_type = Some(new.media_type.into());
        edit.enclosed = Some(enclosed);
    }

    /// Was the part replaced as a whole.
    pub fn is_replaced(&self, id: PartId) -> bool {
        self.parts
            .get(&id)
            .is_some_and(|edit| edit.media_type.is_some())
    }

    /// By part: does an edit name it or a part below it. What is not marked stays as one piece.
    pub(super) fn marks(&self) -> Vec<bool> {
        let mut marks = vec![false; self.message.parts().len()];
        for part in self.touched().filter_map(|id| self.message.part(id)) {
            for part in std::iter::once(part).chain(part.ancestors()) {
                match marks.get_mut(part.id().index()) {
                    // Above a part that is marked all are.
                    Some(true) | None => break,
                    Some(mark) => *mark = true,
                }
            }
        }
        marks
    }

    /// About how many octets the message will have, for a buffer that must not grow: growing copies a large mail.
    pub(crate) fn octets_due(&self) -> usize {
        let mut due = self.message.raw().len().saturating_add(4096);
        let sum = |parts: &[Arc<NewPart>]| -> usize {
            parts
                .iter()
                .map(|part| part.wire_len().saturating_add(128))
                .sum()
        };
        for (id, edit) in &self.parts {
            let old = self.message.part(*id).map_or(&b""[..], Part::body);
            let body = match (&edit.body, edit.coded) {
                (Some(body), _) => Some(body.len()),
                (None, Some(encoding)) => Some(codec::encoded_len(encoding, old)),
                (None, None) => None,
            };
            if edit.removed {
                due = due.saturating_sub(old.len());
            } else if let Some(body) = body {
                due = due.saturating_sub(old.len()).saturating_add(body);
            }
            let fields = edit.fields_above.iter().chain(&edit.fields_below);
            let replaced = edit.fields.values().flatten();
            let fields: usize = fields.chain(replaced).map(|field| field.len()).sum();
            let wraps = edit.wraps.iter();
            let wraps = wraps.map(|wrap| {
                let parts = sum(&wrap.before).saturating_add(sum(&wrap.after));
                parts.saturating_add(512)
            });
            due = [&edit.before, &edit.after, &edit.at_end]
                .into_iter()
                .map(|parts| sum(parts))
                .chain(wraps)
                .fold(due.saturating_add(fields), usize::saturating_add);
        }
        due
    }

    /// Takes the largest of the new bodies out, if it is large and no savepoint shares it; of what is in [`NewOctets::is_gone`] it is
    /// the only one.
    pub(super) fn take_largest(&mut self) -> Option<Vec<u8>> {
        let mut all: Vec<&mut NewOctets> = Vec::new();
        for edit in self.parts.values_mut() {
            if !edit.removed {
                all.extend(edit.body.as_mut().and_then(Arc::get_mut));
            }
            let wraps = edit.wraps.iter_mut();
            let wraps = wraps.flat_map(|wrap| [&mut wrap.before, &mut wrap.after]);
            let lists = [&mut edit.before, &mut edit.after, &mut edit.at_end];
            let new = lists.into_iter().chain(wraps).flatten();
            all.extend(new.filter_map(Arc::get_mut).map(|part| &mut part.body));
        }
        let largest = all.into_iter().max_by_key(|octets| octets.len());
        largest
            .filter(|octets| octets.is_large())
            .map(|octets| octets.take())
    }

    /// The parts that some edit names, in document order.
    pub fn touched(&self) -> impl Iterator<Item = PartId> {
        self.parts.keys().copied()
    }

    pub(super) fn of(&self, id: PartId) -> Option<&PartEdit> {
        self.parts.get(&id)
    }
}

/// Checks and small steps.
impl<'m> EditSet<'m> {
    fn edit(&mut self, id: PartId) -> &mut PartEdit {
        self.parts.entry(id).or_default()
    }

    /// Takes off what says how long the content was or what its digest was (RFC 1864): of a part whose content changes, and of all
    /// around it. What moves into a new multipart whole keeps it.
    fn outdate(&mut self, part: Option<Part<'m>>) {
        let parts = part
            .into_iter()
            .flat_map(|part| std::iter::once(part).chain(part.ancestors()));
        for part in parts {
            // Of all above it, too.
            if !self.outdated.insert(part.id()) {
                return;
            }
            self.remove_own(part, "Content-MD5");
            self.remove_own(part, "Content-Length");
        }
    }

    fn live(&self, id: PartId) -> Result<Part<'m>, Refused> {
        let part = self.message.part(id).ok_or(Refused::Unknown)?;
        if self.is_gone(id) {
            return Err(Refused::Gone);
        }
        Ok(part)
    }

    /// A part that stands within no seal; it may be sealed itself.
    fn outside_of_seals(&self, id: PartId) -> Result<Part<'m>, Refused> {
        let part = self.live(id)?;
        if part.parent().is_some_and(|parent| parent.seal().is_some()) {
            return Err(Refused::Sealed);
        }
        Ok(part)
    }

    /// A part whose content may change.
    fn editable(&self, id: PartId) -> Result<Part<'m>, Refused> {
        let part = self.live(id)?;
        if part.seal().is_some() {
            return Err(Refused::Sealed);
        }
        if part.is_opaque() {
            return Err(Refused::Opaque);
        }
        Ok(part)
    }
}

/// Does the field describe the content of a part (RFC 2045 section 9).
pub fn is_content_field(name: &[u8]) -> bool {
    name.get(..8)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"content-"))
}

/// Does it say that the message means MIME (RFC 2045 section 4).
pub fn is_mime_version(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"mime-version")
}

fn field_name(field: &[u8]) -> &[u8] {
    fields(field).next().map_or(&[], |field| field.name())
}

/// The value of one complete field, without its line end.
fn field_value(field: &[u8]) -> &[u8] {
    fields(field).next().map_or(&[], |field| field.value())
}
