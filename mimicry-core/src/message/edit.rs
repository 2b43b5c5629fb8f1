//! Edits: the only way to change a message.
//!
//! An [`EditSet`] holds what shall be different, part by part; [`super::render`] makes the octets, [`super::verify`]
//! proves them. Sealed content refuses here, so that no plugin can forget it.
//!
//! Must never: change the message it belongs to, or accept an edit whose result a reader could take for another
//! part's.
//!
//! Longer than 600 lines by its tests, which are tables.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::codec::{self, Encoding, Malformed};
use super::compose::{self, NewPart};
use super::header::{self, Field, fields};
use super::params::{self, Params};
use super::text::{NewBody, NotEditable, TextBody};
use super::{Limits, Message, Newline, Part, PartId, place};

mod names;

use names::Names;

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
    pub body: Option<Arc<Vec<u8>>>,
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

    /// The part as the edits so far leave it.
    pub fn content(&self, id: PartId) -> Result<Content<'_>, Refused> {
        let part = self.live(id)?;
        Ok(Content {
            part,
            edit: self.parts.get(&id),
        })
    }

    /// Replaces the body of a leaf; charset and transfer encoding in the header follow.
    pub fn replace_body(&mut self, id: PartId, new: NewBody) -> Result<(), Refused> {
        self.describe_body(id, new.charset.as_deref(), new.encoding)?;
        self.outdate(self.message.part(id));
        let edit = self.edit(id);
        edit.body = Some(Arc::new(new.raw));
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
        edit.coded = None;
        edit.media_type = Some(new.media_type.into());
        self.need_mime_version(id);
        Ok(())
    }

    /// Adds a field on top of a header block. The value is encoded and folded; a line break cannot get in.
    pub fn add_field_above(&mut self, id: PartId, name: &str, value: &str) -> Result<(), Refused> {
        let field = self.new_field(id, name, value)?;
        self.edit(id).fields_above.insert(0, field);
        Ok(())
    }

    /// Adds a field at the end of a header block.
    pub fn add_field_below(&mut self, id: PartId, name: &str, value: &str) -> Result<(), Refused> {
        let field = self.new_field(id, name, value)?;
        self.edit(id).fields_below.push(field);
        Ok(())
    }

    /// Gives the first field of that name another value, in its place, and removes the others of that name. Adds the
    /// field at the end when there is none.
    pub fn set_field(&mut self, id: PartId, name: &str, value: &str) -> Result<(), Refused> {
        let field = self.new_field(id, name, value)?;
        let part = self.live(id)?;
        self.put_raw_field(part, name, field);
        Ok(())
    }

    /// Puts text before or behind the value of the first field of that name, whose octets stay as they are, and removes the others
    /// of that name. A field that is not there, says nothing or has a line that is too long is written anew.
    pub fn add_to_field(
        &mut self,
        id: PartId,
        name: &str,
        text: &str,
        end: header::End,
    ) -> Result<(), Refused> {
        let part = self.field_editable(id, name)?;
        let newline = self.message.newline().as_bytes();
        let (spliced, old) = match self.content(id)?.field(name) {
            Some(raw) => {
                let spliced = header::add_to(&raw, text, end, newline);
                let old = fields(&raw).next().map(|field| field.decoded());
                (spliced, old.unwrap_or_default())
            }
            None => (None, String::new()),
        };
        if let Some(field) = spliced.filter(|field| !codec::has_long_line(field)) {
            self.put_raw_field(part, name, field.into());
            return Ok(());
        }
        let joined = match end {
            header::End::Front => format!("{text} {old}"),
            header::End::Back => format!("{old} {text}"),
        };
        self.set_field(id, name, joined.trim())
    }

    /// Gives the first field of that name a raw value, octets that stood in it already, and removes the others of that name.
    pub fn set_raw_value(&mut self, id: PartId, name: &str, value: &[u8]) -> Result<(), Refused> {
        let part = self.field_editable(id, name)?;
        let newline = self.message.newline().as_bytes();
        let field = [name.as_bytes(), b": ", value, newline].concat();
        let is_one = fields(&field).count() == 1 && !value.trim_ascii().is_empty();
        if !is_one || codec::has_long_line(&field) {
            return Err(Refused::BadField);
        }
        self.put_raw_field(part, name, field.into());
        Ok(())
    }

    /// Removes all fields of that name for which `which` says so; it is given the field's value, raw.
    pub fn remove_fields(
        &mut self,
        id: PartId,
        name: &str,
        which: impl Fn(&[u8]) -> bool,
    ) -> Result<usize, Refused> {
        let part = self.field_editable(id, name)?;
        let goes = |field: &Field<'_>| field.is(name) && which(field.value());
        let mut removed = 0usize;
        let own = self.own_fields(part, name);
        // Nothing is noted for a part without such a field: an edit that changes nothing is none.
        let mut edit = self.parts.remove(&id).unwrap_or_default();
        for field in own {
            let goes = match edit.fields.get(&field.start()) {
                Some(Some(new)) => fields(new).any(|field| goes(&field)),
                Some(None) => false,
                None => goes(&field),
            };
            if goes {
                edit.fields.insert(field.start(), None);
                removed = removed.saturating_add(1);
            }
        }
        for list in [&mut edit.fields_above, &mut edit.fields_below] {
            for block in list.iter_mut() {
                let count = fields(block).filter(goes).count();
                if count > 0 {
                    *block = fields(block)
                        .filter(|field| !goes(field))
                        .flat_map(|field| field.raw())
                        .copied()
                        .collect();
                    removed = removed.saturating_add(count);
                }
            }
            list.retain(|block| !block.is_empty());
        }
        if !edit.is_empty() {
            self.parts.insert(id, edit);
        }
        Ok(removed)
    }

    /// The part leaves the message, with all below it. A sealed part may leave whole, nothing inside it.
    pub fn remove(&mut self, id: PartId) -> Result<(), Refused> {
        let part = self.outside_of_seals(id)?;
        let Some(parent) = part.parent() else {
            return Err(Refused::Root);
        };
        self.may_change_number()?;
        let left = self.children_left(parent);
        if left <= 1 {
            return Err(Refused::LastChild);
        }
        self.left.insert(parent.id(), left.saturating_sub(1));
        self.outdate(Some(parent));
        self.edit(id).removed = true;
        Ok(())
    }

    /// Would its multipart be left without children. The root stands in none.
    pub fn is_last_child(&self, id: PartId) -> bool {
        let parent = self.message.part(id).and_then(Part::parent);
        parent.is_some_and(|parent| self.children_left(parent) <= 1)
    }

    /// As [`EditSet::remove`]; multiparts that would be left without children leave with it.
    pub fn remove_pruning(&mut self, id: PartId) -> Result<(), Refused> {
        let mut at = id;
        loop {
            match self.remove(at) {
                Err(Refused::LastChild) => {
                    let parent = self
                        .message
                        .part(at)
                        .and_then(Part::parent)
                        .ok_or(Refused::Root)?;
                    if parent.is_root() {
                        return Err(Refused::LastChild);
                    }
                    at = parent.id();
                }
                done => return done,
            }
        }
    }

    /// Was the part replaced as a whole.
    pub fn is_replaced(&self, id: PartId) -> bool {
        self.parts
            .get(&id)
            .is_some_and(|edit| edit.media_type.is_some())
    }

    /// A new part right before another one.
    pub fn insert_before(&mut self, id: PartId, new: NewPart) -> Result<(), Refused> {
        let parent = self.sibling_place(id)?;
        self.edit(id).before.push(new.into());
        self.outdate(self.message.part(parent));
        self.one_more_in(parent);
        Ok(())
    }

    /// A new part right behind another one.
    pub fn insert_after(&mut self, id: PartId, new: NewPart) -> Result<(), Refused> {
        let parent = self.sibling_place(id)?;
        self.edit(id).after.push(new.into());
        self.outdate(self.message.part(parent));
        self.one_more_in(parent);
        Ok(())
    }

    /// A new part behind the last child of a multipart.
    pub fn append(&mut self, id: PartId, new: NewPart) -> Result<(), Refused> {
        let part = self.editable(id)?;
        self.may_change_number()?;
        if part.children().next().is_none() || self.is_replaced(id) {
            return Err(Refused::NoMultipart);
        }
        self.edit(id).at_end.push(new.into());
        self.outdate(Some(part));
        self.one_more_in(id);
        Ok(())
    }

    /// Puts a new multipart around a part, and new parts before and behind it. Content fields of the root move inside with
    /// it, octet for octet, so a sealed part stays sealed. If the part has such a multipart from an earlier edit, the new
    /// parts join it: the ones before as the first, the ones behind as the last.
    pub fn wrap(
        &mut self,
        id: PartId,
        around: Around,
        before: Vec<NewPart>,
        after: Vec<NewPart>,
    ) -> Result<(), Refused> {
        let part = self.outside_of_seals(id)?;
        self.may_change_number()?;
        // Content fields of a header that was not read to its end cannot move inside. One that was read can, also if what
        // it says makes no parts, as a multipart without a boundary: the new one has its own.
        if part.is_root() && part.is_opaque() && !part.media_type().starts_with("multipart/") {
            return Err(Refused::Opaque);
        }
        // The root of a multipart/related is its first part, or a parameter would have to name it; its type is a parameter.
        if around == Around::Related {
            if !before.is_empty() {
                return Err(Refused::NoMultipart);
            }
            let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || b"/-+._".contains(&octet);
            if !self.content(id)?.media_type().bytes().all(is_plain) {
                return Err(Refused::BadField);
            }
        }
        self.outdate(part.parent());
        let before = before.into_iter().map(Arc::new);
        let after = after.into_iter().map(Arc::new);
        let message = self.message;
        let (tail, salt) = (self.tail, self.wraps);
        let wraps = &mut self.edit(id).wraps;
        if let Some(wrap) = wraps.iter_mut().find(|wrap| wrap.around == around) {
            wrap.before.splice(0..0, before);
            wrap.after.extend(after);
            return Ok(());
        }
        let (before, after): (Vec<_>, Vec<_>) = (before.collect(), after.collect());
        let others: Vec<&[u8]> = before
            .iter()
            .chain(&after)
            .map(|part| part.body.as_slice())
            .collect();
        let tail = tail.unwrap_or_else(|| compose::tail(message));
        let boundary = compose::boundary_of(tail, salt, &others);
        let at = wraps.partition_point(|wrap| wrap.around < around);
        wraps.insert(
            at,
            Wrap {
                around,
                boundary: boundary.into(),
                before,
                after,
            },
        );
        self.tail = Some(tail);
        self.wraps = salt.saturating_add(1);
        if part.field("content-type").is_none()
            && part.media_type() == "message/rfc822"
            && !self.is_replaced(id)
        {
            // Its type was the default of a multipart/digest (RFC 2046 section 5.1.5), which it will no longer stand in.
            self.put_field(
                part,
                "Content-Type",
                format!(" {}", part.media_type()).as_bytes(),
            );
        }
        self.need_mime_version(id);
        Ok(())
    }

    /// A new part at the end of the message: behind the last child of a multipart/mixed root, else in a new
    /// multipart/mixed around the root.
    pub fn attach(&mut self, new: NewPart) -> Result<(), Refused> {
        let root = self.message.root();
        if place::is_open(root)
            && !self.is_replaced(PartId::ROOT)
            && root.children().next().is_some()
        {
            self.append(PartId::ROOT, new)
        } else {
            self.wrap(PartId::ROOT, Around::Mixed, vec![], vec![new])
        }
    }

    /// A new part on top of the message, in the same manner.
    pub fn attach_above(&mut self, new: NewPart) -> Result<(), Refused> {
        let root = self.message.root();
        match root.children().next() {
            Some(first) if place::is_open(root) && !self.is_replaced(PartId::ROOT) => {
                self.insert_before(first.id(), new)
            }
            _ => self.wrap(PartId::ROOT, Around::Mixed, vec![new], vec![]),
        }
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
    pub(super) fn octets_due(&self) -> usize {
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

    fn remove_own(&mut self, part: Part<'m>, name: &str) {
        for field in self.own_fields(part, name) {
            self.edit(part.id()).fields.insert(field.start(), None);
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

    /// Fields of a sealed root that do not describe the content stay editable.
    fn field_editable(&self, id: PartId, name: &str) -> Result<Part<'m>, Refused> {
        let part = self.live(id)?;
        if part.seal().is_some()
            && (!part.is_root() || is_content_field(name.as_bytes()) || is_mime_version(name))
        {
            return Err(Refused::Sealed);
        }
        if part.is_opaque() && is_content_field(name.as_bytes()) {
            return Err(Refused::Opaque);
        }
        // By themselves they would make the same octets another content.
        if ["content-type", "content-transfer-encoding"]
            .iter()
            .any(|own| name.eq_ignore_ascii_case(own))
        {
            return Err(Refused::OfBody);
        }
        Ok(part)
    }

    /// Returns the multipart that the new part will stand in.
    fn sibling_place(&self, id: PartId) -> Result<PartId, Refused> {
        let part = self.message.part(id).ok_or(Refused::Unknown)?;
        let parent = part.parent().ok_or(Refused::Root)?.id();
        self.editable(parent)?;
        if self.is_replaced(parent) {
            return Err(Refused::Gone);
        }
        self.may_change_number()?;
        Ok(parent)
    }

    fn may_change_number(&self) -> Result<(), Refused> {
        if self.message.defects().cut {
            Err(Refused::Limit)
        } else {
            Ok(())
        }
    }

    /// How many children a multipart will have.
    fn children_left(&self, parent: Part<'_>) -> usize {
        if let Some(left) = self.left.get(&parent.id()) {
            return *left;
        }
        let new = |id: PartId| {
            self.parts
                .get(&id)
                .map_or(0, |edit| edit.before.len().saturating_add(edit.after.len()))
        };
        let own: usize = parent
            .children()
            .map(|child| new(child.id()).saturating_add(1))
            .sum();
        own.saturating_add(
            self.parts
                .get(&parent.id())
                .map_or(0, |edit| edit.at_end.len()),
        )
    }

    fn one_more_in(&mut self, parent: PartId) {
        if let Some(left) = self.left.get_mut(&parent) {
            *left = left.saturating_add(1);
        }
    }

    fn new_field(&self, id: PartId, name: &str, value: &str) -> Result<Arc<[u8]>, Refused> {
        self.field_editable(id, name)?;
        if name.is_empty()
            || !name
                .bytes()
                .all(|octet| octet.is_ascii_graphic() && octet != b':')
        {
            return Err(Refused::BadField);
        }
        let field = header::make(name, value, self.message.newline().as_bytes());
        // RFC 5322 section 2.1.1; a value can always be folded, a name cannot.
        if codec::has_long_line(&field) {
            return Err(Refused::BadField);
        }
        Ok(field.into())
    }

    /// Sets a field to a raw value that is complete but for the name.
    fn put_field(&mut self, part: Part<'m>, name: &str, value: &[u8]) {
        let newline = self.message.newline().as_bytes();
        let mut field =
            Vec::with_capacity(name.len().saturating_add(value.len()).saturating_add(3));
        field.extend_from_slice(name.as_bytes());
        field.push(b':');
        field.extend_from_slice(value);
        field.extend_from_slice(newline);
        self.put_raw_field(part, name, field.into());
    }

    /// In the place of the first field of that name, and the others go; else at the end of the block.
    fn put_raw_field(&mut self, part: Part<'m>, name: &str, field: Arc<[u8]>) {
        let list = self.own_fields(part, name);
        let edit = self.parts.entry(part.id()).or_default();
        let mut new = Some(field);
        put_in_blocks(&mut edit.fields_above, name, &mut new);
        for own in list {
            match edit.fields.get(&own.start()) {
                Some(None) => {}
                _ => drop(edit.fields.insert(own.start(), new.take())),
            }
        }
        put_in_blocks(&mut edit.fields_below, name, &mut new);
        edit.fields_below.extend(new);
    }

    /// The fields of that name as the part came.
    fn own_fields(&mut self, part: Part<'m>, name: &str) -> Vec<Field<'m>> {
        let block = part.header();
        let names = self
            .names
            .entry(part.id())
            .or_insert_with(|| Names::of(block).map(Arc::new));
        match names {
            Some(names) => names.fields(block, name),
            None => part.fields().filter(|field| field.is(name)).collect(),
        }
    }

    /// RFC 2045 section 4: a message whose root has Content fields says which MIME it means.
    fn need_mime_version(&mut self, id: PartId) {
        if id != PartId::ROOT
            || self
                .content(id)
                .is_ok_and(|content| content.field("mime-version").is_some())
        {
            return;
        }
        let line = format!("MIME-Version: 1.0{}", self.message.newline().as_str());
        self.edit(id).fields_below.push(line.into_bytes().into());
    }
}

/// A part as the edits so far leave it.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    part: Part<'a>,
    edit: Option<&'a PartEdit>,
}

impl<'a> Content<'a> {
    /// The part as it came.
    pub fn part(&self) -> Part<'a> {
        self.part
    }

    /// The body in its transfer encoding.
    pub fn body(&self) -> &'a [u8] {
        match self.edit.and_then(|edit| edit.body.as_ref()) {
            Some(body) => body,
            None => self.part.body(),
        }
    }

    /// All fields in their order, each complete with its line end.
    pub fn fields(&self) -> impl Iterator<Item = Cow<'a, [u8]>> + use<'a> {
        let edit = self.edit;
        let above = edit.into_iter().flat_map(|edit| &edit.fields_above);
        let below = edit.into_iter().flat_map(|edit| &edit.fields_below);
        let new = |block: &'a Arc<[u8]>| fields(block).map(|field| Cow::Borrowed(field.raw()));
        let own = self.part.fields().filter_map(move |field| {
            match edit.and_then(|edit| edit.fields.get(&field.start())) {
                Some(Some(new)) => Some(Cow::Borrowed(&**new)),
                Some(None) => None,
                None => Some(Cow::Borrowed(field.raw())),
            }
        });
        above.flat_map(new).chain(own).chain(below.flat_map(new))
    }

    /// The first field of that name, complete with its line end.
    pub fn field(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        self.fields()
            .find(|raw| fields(raw).any(|field| field.is(name)))
    }

    pub fn media_type(&self) -> &'a str {
        match self.edit.and_then(|edit| edit.media_type.as_ref()) {
            Some(media_type) => media_type,
            None => self.part.media_type(),
        }
    }

    pub fn encoding(&self) -> Encoding {
        self.field("content-transfer-encoding")
            .map_or(Encoding::SevenBit, |field| {
                Encoding::parse(field_value(&field))
            })
    }

    /// A parameter of Content-Type, decoded.
    pub fn param(&self, name: &str) -> Option<String> {
        let field = self.field("content-type")?;
        Params::parse(field_value(&field), Limits::default().params).get(name)
    }

    /// The body without its transfer encoding.
    pub fn decoded(&self) -> Result<Cow<'a, [u8]>, Malformed> {
        codec::decode(self.encoding(), self.body())
    }

    /// The body as text that text can be put into.
    pub fn text(&self) -> Result<TextBody<'a>, NotEditable> {
        let charset = self.param("charset");
        TextBody::read(
            self.body(),
            charset.as_deref().map(str::as_bytes),
            self.encoding(),
            self.newline().as_bytes(),
        )
    }

    pub fn newline(&self) -> Newline {
        self.part.message().newline()
    }
}

/// Does the field describe the content of a part (RFC 2045 section 9).
pub(super) fn is_content_field(name: &[u8]) -> bool {
    name.get(..8)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"content-"))
}

fn is_mime_version(name: &str) -> bool {
    name.eq_ignore_ascii_case("mime-version")
}

fn field_name(field: &[u8]) -> &[u8] {
    fields(field).next().map_or(&[], |field| field.name())
}

/// The value of one complete field, without its line end.
fn field_value(field: &[u8]) -> &[u8] {
    fields(field)
        .next()
        .map_or(&[], |field: Field<'_>| field.value())
}

/// The first field of that name gives its place to `new`, the others go.
fn put_in_blocks(blocks: &mut Vec<Arc<[u8]>>, name: &str, new: &mut Option<Arc<[u8]>>) {
    for block in blocks
        .iter_mut()
        .filter(|block| fields(block).any(|field| field.is(name)))
    {
        let mut out = Vec::with_capacity(block.len());
        for field in fields(block) {
            if !field.is(name) {
                out.extend_from_slice(field.raw());
            } else if let Some(new) = new.take() {
                out.extend_from_slice(&new);
            }
        }
        *block = out.into();
    }
    blocks.retain(|block| !block.is_empty());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::render::render;
    use crate::message::scan::tests::{expand, scan};
    use crate::message::verify::verify;

    const TWO: &str = "A: b\n{b}--b\n\nx\n--b\n{h}y\n--b--\n";
    const SIGNED: &str =
        "Subject: s\nContent-Type: multipart/signed; boundary=b\n\n--b\n\nx\n--b\n\ny\n--b--\n";

    fn id(index: u32) -> PartId {
        PartId(index)
    }

    fn new(name: &str) -> NewPart {
        NewPart {
            media_type: "x/y".into(),
            header: format!("Content-Type: x/y; name={name}\n").into_bytes(),
            body: name.as_bytes().to_vec(),
        }
    }

    fn body(raw: &str) -> NewBody {
        NewBody {
            raw: raw.into(),
            ..NewBody::default()
        }
    }

    /// What becomes of a mail; the boundary of a new multipart is shown as `#`.
    fn edited(
        short: &str,
        change: impl FnOnce(&mut EditSet<'_>) -> Result<(), Refused>,
    ) -> Result<String, Refused> {
        let message = scan(&expand(short));
        let mut edits = EditSet::new(&message);
        change(&mut edits)?;
        let after = verify(&edits, render(&edits), &Limits::default()).unwrap();
        let mut text = String::from_utf8(after.into_raw()).unwrap();
        for short in ["#", "##"] {
            if let Some((_, rest)) = text.split_once("=_mimicry_") {
                text = text.replace(&format!("=_mimicry_{}", &rest[..18]), short);
            }
        }
        Ok(text)
    }

    type Change = fn(&mut EditSet<'_>) -> Result<(), Refused>;

    /// What says how long or what sum the content is goes where that is no longer so, and nowhere else.
    #[test]
    fn what_is_false_goes() {
        const ROOT: &str = "Content-MD5: r\nContent-Length: 9\n";
        const PART: &str = "Content-Md5: p\ncontent-length: 1\n";
        let two = TWO.replace("{b}", &format!("{ROOT}{{b}}"));
        let two = two.replace("--b\n\nx", &format!("--b\n{PART}\nx"));
        let leaf = format!("{ROOT}\nx");
        let rows: &[(&str, &str, Change, bool, bool)] = &[
            (
                "body",
                &leaf,
                |e| e.replace_body(id(0), body("y")),
                false,
                false,
            ),
            (
                "field",
                &leaf,
                |e| e.set_field(id(0), "Subject", "y"),
                true,
                false,
            ),
            (
                "wrap",
                &leaf,
                |e| e.wrap(id(0), Around::Mixed, vec![], vec![new("n")]),
                true,
                false,
            ),
            (
                "body below",
                &two,
                |e| e.replace_body(id(1), body("y")),
                false,
                false,
            ),
            (
                "body beside",
                &two,
                |e| e.replace_body(id(2), body("y")),
                false,
                true,
            ),
            ("removed", &two, |e| e.remove(id(1)), false, false),
            ("removed beside", &two, |e| e.remove(id(2)), false, true),
            (
                "before",
                &two,
                |e| e.insert_before(id(1), new("n")),
                false,
                true,
            ),
            (
                "behind",
                &two,
                |e| e.insert_after(id(1), new("n")),
                false,
                true,
            ),
            ("at the end", &two, |e| e.attach(new("n")), false, true),
            (
                "wrapped below",
                &two,
                |e| e.wrap(id(1), Around::Mixed, vec![], vec![new("n")]),
                false,
                true,
            ),
            (
                "replaced",
                &two,
                |e| e.replace_part(id(1), new("n")),
                false,
                false,
            ),
            (
                "field of the root",
                &two,
                |e| e.set_field(id(0), "Subject", "y"),
                true,
                true,
            ),
            (
                "refused",
                &two,
                |e| {
                    let _ = e.remove(id(0));
                    e.set_field(id(0), "A", "y")
                },
                true,
                true,
            ),
        ];
        for (name, short, change, root, part) in rows {
            let after = edited(short, change).unwrap();
            for (words, stays) in [
                ("Content-MD5: r", root),
                ("Content-Length: 9", root),
                ("Content-Md5: p", part),
                ("content-length: 1", part),
            ] {
                assert_eq!(after.contains(words), *stays, "{name}: {words} in {after}");
            }
        }
        let coded = edited(&leaf, |e| e.code_body(id(0), None, Encoding::Base64)).unwrap();
        assert!(
            coded.contains("Content-MD5") && !coded.contains("Content-Length"),
            "{coded}"
        );
    }

    /// The outcome, octet for octet, of one method or two.
    #[test]
    fn outcomes() {
        let rows: &[(&str, &str, Change, &str)] = &[
            // Bodies
            (
                "body",
                "A: b\n\nx",
                |e| e.replace_body(id(0), body("y")),
                "A: b\n\ny",
            ),
            (
                "body, no blank line",
                "A: b",
                |e| e.replace_body(id(0), body("y")),
                "A: b\r\n\r\ny",
            ),
            (
                "body of nothing",
                "",
                |e| e.replace_body(id(0), body("y")),
                "\r\ny",
            ),
            (
                "body below",
                TWO,
                |e| e.replace_body(id(1), body("z\n")),
                "A: b\n{b}--b\n\nz\n\n--b\n{h}y\n--b--\n",
            ),
            (
                "body emptied",
                TWO,
                |e| e.replace_body(id(2), body("")),
                "A: b\n{b}--b\n\nx\n--b\n{h}\n--b--\n",
            ),
            (
                "body with charset",
                "MIME-Version: 1.0\nContent-Type: text/plain (c); format=flowed\n\nx",
                |e| {
                    e.replace_body(
                        id(0),
                        NewBody {
                            raw: b"y".to_vec(),
                            charset: Some("utf-8".into()),
                            encoding: Some(Encoding::EightBit),
                        },
                    )
                },
                "MIME-Version: 1.0\nContent-Type: text/plain (c); format=flowed; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\ny",
            ),
            (
                "body with charset, no fields",
                "A: b\n\nx",
                |e| {
                    e.replace_body(
                        id(0),
                        NewBody {
                            raw: b"y".to_vec(),
                            charset: Some("utf-8".into()),
                            encoding: None,
                        },
                    )
                },
                "A: b\nContent-Type: text/plain; charset=utf-8\nMIME-Version: 1.0\n\ny",
            ),
            // Fields
            (
                "set",
                "A: b\nC: d\n\nx",
                |e| e.set_field(id(0), "a", "new"),
                "a: new\nC: d\n\nx",
            ),
            (
                "set one of several",
                "A: 1\nC: d\nA: 2\n\nx",
                |e| e.set_field(id(0), "A", "new"),
                "A: new\nC: d\n\nx",
            ),
            (
                "set, not there",
                "A: b\n\nx",
                |e| e.set_field(id(0), "C", "d"),
                "A: b\nC: d\n\nx",
            ),
            (
                "set twice",
                "A: b\n\nx",
                |e| {
                    e.set_field(id(0), "C", "d")
                        .and(e.set_field(id(0), "C", "e"))
                },
                "A: b\nC: e\n\nx",
            ),
            (
                "set what was added above",
                "A: b\n\nx",
                |e| {
                    e.add_field_above(id(0), "A", "0")
                        .and(e.set_field(id(0), "A", "1"))
                },
                "A: 1\n\nx",
            ),
            (
                "set in a body-only mail",
                "hello\n",
                |e| e.set_field(id(0), "A", "b"),
                "A: b\n\nhello\n",
            ),
            (
                "set in an empty mail",
                "",
                |e| e.set_field(id(0), "A", "b"),
                "A: b\r\n",
            ),
            (
                "set in a header without end",
                "A: b",
                |e| e.set_field(id(0), "C", "d"),
                "A: b\r\nC: d\r\n",
            ),
            (
                "set below an mbox line",
                "From x\nA: b\n\nx",
                |e| e.add_field_above(id(0), "C", "d"),
                "From x\nC: d\nA: b\n\nx",
            ),
            (
                "set of a part",
                TWO,
                |e| e.set_field(id(1), "A", "b"),
                "A: b\n{b}--b\nA: b\n\nx\n--b\n{h}y\n--b--\n",
            ),
            (
                "set with line ends",
                "A: b\n\nx",
                |e| e.set_field(id(0), "C", "d\r\nEvil: e"),
                "A: b\nC: d Evil: e\n\nx",
            ),
            (
                "add above",
                "A: b\n\nx",
                |e| {
                    e.add_field_above(id(0), "C", "1")
                        .and(e.add_field_above(id(0), "C", "2"))
                },
                "C: 2\nC: 1\nA: b\n\nx",
            ),
            (
                "add below",
                "A: b\n\nx",
                |e| {
                    e.add_field_below(id(0), "C", "1")
                        .and(e.add_field_below(id(0), "C", "2"))
                },
                "A: b\nC: 1\nC: 2\n\nx",
            ),
            (
                "remove fields",
                "A: 1\nC: d\na: 2\n\nx",
                |e| {
                    e.remove_fields(id(0), "A", |_| true)
                        .map(|count| assert_eq!(count, 2))
                },
                "C: d\n\nx",
            ),
            (
                "remove some",
                "A: 1\nA: 2\n\nx",
                |e| {
                    e.remove_fields(id(0), "A", |value| value == b" 1")
                        .map(drop)
                },
                "A: 2\n\nx",
            ),
            (
                "remove all there are",
                "A: 1\n\nx",
                |e| e.remove_fields(id(0), "A", |_| true).map(drop),
                "\nx",
            ),
            (
                "remove what was set",
                "A: 1\n\nx",
                |e| {
                    e.set_field(id(0), "A", "2").and(
                        e.remove_fields(id(0), "A", |value| value == b" 2")
                            .map(drop),
                    )
                },
                "\nx",
            ),
            (
                "keep what was set",
                "A: 1\n\nx",
                |e| {
                    e.set_field(id(0), "A", "2").and(
                        e.remove_fields(id(0), "A", |value| value == b" 1")
                            .map(drop),
                    )
                },
                "A: 2\n\nx",
            ),
            (
                "remove of a new part",
                TWO,
                |e| {
                    e.replace_part(id(1), new("n"))
                        .and(e.remove_fields(id(1), "Content-None", |_| true).map(drop))
                },
                "A: b\n{b}--b\nContent-Type: x/y; name=n\n\nn\n--b\n{h}y\n--b--\n",
            ),
            // Parts
            (
                "remove the first",
                TWO,
                |e| e.remove(id(1)),
                "A: b\n{b}--b\n{h}y\n--b--\n",
            ),
            (
                "remove the last",
                TWO,
                |e| e.remove(id(2)),
                "A: b\n{b}--b\n\nx\n--b--\n",
            ),
            (
                "remove the last of an unclosed",
                "{b}--b\n\nx\n--b\n\ny",
                |e| e.remove(id(2)),
                "{b}--b\n\nx",
            ),
            (
                "remove, with preamble and epilogue",
                "{b}pre\n--b\n\nx\n--b\n\ny\n--b--\nepi",
                |e| e.remove(id(1)),
                "{b}pre\n--b\n\ny\n--b--\nepi",
            ),
            (
                "remove a multipart",
                "{o}--o\n\nx\n--o\n{i}--i\n\ny\n--i--\n--o--\n",
                |e| e.remove(id(2)),
                "{o}--o\n\nx\n--o--\n",
            ),
            (
                "prune",
                "{o}--o\n\nx\n--o\n{i}--i\n\ny\n--i--\n--o--\n",
                |e| e.remove_pruning(id(3)),
                "{o}--o\n\nx\n--o--\n",
            ),
            (
                "remove, then put in its place",
                TWO,
                |e| e.remove(id(1)).and(e.insert_after(id(1), new("n"))),
                "A: b\n{b}--b\nContent-Type: x/y; name=n\n\nn\n--b\n{h}y\n--b--\n",
            ),
            (
                "insert before",
                TWO,
                |e| e.insert_before(id(1), new("n")),
                "A: b\n{b}--b\nContent-Type: x/y; name=n\n\nn\n--b\n\nx\n--b\n{h}y\n--b--\n",
            ),
            (
                "insert after",
                TWO,
                |e| {
                    e.insert_after(id(2), new("n"))
                        .and(e.insert_after(id(2), new("m")))
                },
                "A: b\n{b}--b\n\nx\n--b\n{h}y\n--b\nContent-Type: x/y; name=n\n\nn\n--b\nContent-Type: x/y; name=m\n\nm\n--b--\n",
            ),
            (
                "append",
                TWO,
                |e| e.append(id(0), new("n")),
                "A: b\n{b}--b\n\nx\n--b\n{h}y\n--b\nContent-Type: x/y; name=n\n\nn\n--b--\n",
            ),
            (
                "append to an unclosed",
                "{b}--b\n\nx",
                |e| e.append(id(0), new("n")),
                "{b}--b\n\nx\n--b\nContent-Type: x/y; name=n\n\nn",
            ),
            (
                "append behind a header block",
                "{b}--b\nA: b\n",
                |e| e.append(id(0), new("n")),
                "{b}--b\nA: b\n--b\nContent-Type: x/y; name=n\n\nn",
            ),
            (
                "append behind a delimiter",
                "{b}--b",
                |e| e.append(id(0), new("n")),
                "{b}--b\n--b\nContent-Type: x/y; name=n\n\nn",
            ),
            (
                "append within an unclosed",
                "{o}--o\n{i}--i\n\n--o--\n",
                |e| e.append(id(1), new("n")),
                "{o}--o\n{i}--i\n\n\n--i\nContent-Type: x/y; name=n\n\nn\n--o--\n",
            ),
            (
                "insert beside a part without header",
                "{b}--b\njunk\n--b--\n",
                |e| e.insert_after(id(1), new("n")),
                "{b}--b\njunk\n--b\nContent-Type: x/y; name=n\n\nn\n--b--\n",
            ),
            (
                "field in the delimiter at the end",
                "{b}--b",
                |e| e.set_field(id(1), "A", "b"),
                "{b}--b\nA: b\n",
            ),
            (
                "replace a part",
                "{b}--b\nX: 1\nContent-ID: <a>\n\nx\n--b--\n",
                |e| e.replace_part(id(1), new("n")),
                "{b}--b\nX: 1\nContent-Type: x/y; name=n\n\nn\n--b--\n",
            ),
            (
                "replace the root",
                "A: b\nContent-Type: text/html\n\nx",
                |e| e.replace_part(id(0), new("n")),
                "A: b\nContent-Type: x/y; name=n\nMIME-Version: 1.0\n\nn",
            ),
            // Wrapping
            (
                "wrap",
                "A: b\nContent-Type: text/html\nMime-version: 1.0\n\nx",
                |e| e.wrap(id(0), Around::Mixed, vec![], vec![new("n")]),
                "A: b\nMime-version: 1.0\nContent-Type: multipart/mixed;\n\tboundary=\"#\"\n\n--#\n{h}x\n--#\nContent-Type: x/y; name=n\n\nn\n--#--\n",
            ),
            (
                "wrap a text",
                "A: b\n\nx\n",
                |e| e.wrap(id(0), Around::Mixed, vec![], vec![]),
                "A: b\nMIME-Version: 1.0\nContent-Type: multipart/mixed;\n\tboundary=\"#\"\n\n--#\n\nx\n\n--#--\n",
            ),
            (
                "wrap a body-only mail",
                "hello\nyou",
                |e| e.wrap(id(0), Around::Mixed, vec![], vec![]),
                "MIME-Version: 1.0\nContent-Type: multipart/mixed;\n\tboundary=\"#\"\n\n--#\n\nhello\nyou\n--#--\n",
            ),
            (
                "wrap a part",
                TWO,
                |e| e.wrap(id(2), Around::Related, vec![], vec![]),
                "A: b\n{b}--b\n\nx\n--b\nContent-Type: multipart/related; type=\"text/html\";\n\tboundary=\"#\"\n\n--#\n{h}y\n--#--\n--b--\n",
            ),
            (
                "wrap twice",
                "A: b\nContent-Type: text/html\nMime-version: 1.0\n\nx",
                |e| {
                    e.wrap(id(0), Around::Mixed, vec![new("0")], vec![new("3")])?;
                    e.wrap(id(0), Around::Related, vec![], vec![new("1")])?;
                    e.wrap(id(0), Around::Related, vec![], vec![new("2")])?;
                    e.wrap(id(0), Around::Mixed, vec![new("-1")], vec![new("4")])
                },
                "A: b\nMime-version: 1.0\nContent-Type: multipart/mixed;\n\tboundary=\"#\"\n\n\
                 --#\nContent-Type: x/y; name=-1\n\n-1\n--#\nContent-Type: x/y; name=0\n\n0\n--#\n\
                 Content-Type: multipart/related; type=\"text/html\";\n\tboundary=\"##\"\n\n--##\n{h}x\n\
                 --##\nContent-Type: x/y; name=1\n\n1\n--##\nContent-Type: x/y; name=2\n\n2\n--##--\n\
                 --#\nContent-Type: x/y; name=3\n\n3\n--#\nContent-Type: x/y; name=4\n\n4\n--#--\n",
            ),
            (
                "wrap an unclosed",
                "MIME-Version: 1.0\n{b}--b\nA: b\n",
                |e| e.wrap(id(0), Around::Mixed, vec![], vec![]),
                "MIME-Version: 1.0\nContent-Type: multipart/mixed;\n\tboundary=\"#\"\n\n--#\n{b}--b\nA: b\n--#--\n",
            ),
            (
                "wrap what is sealed",
                SIGNED,
                |e| e.attach(new("n")),
                "Subject: s\nMIME-Version: 1.0\nContent-Type: multipart/mixed;\n\tboundary=\"#\"\n\n--#\n\
                 Content-Type: multipart/signed; boundary=b\n\n--b\n\nx\n--b\n\ny\n--b--\n\n--#\nContent-Type: x/y; name=n\n\nn\n--#--\n",
            ),
            (
                "wrap in a digest",
                "Content-Type: multipart/digest; boundary=b\n\n--b\n\nA: b\n--b--\n",
                |e| e.wrap(id(1), Around::Mixed, vec![], vec![]),
                "Content-Type: multipart/digest; boundary=b\n\n--b\nContent-Type: multipart/mixed;\n\tboundary=\"#\"\n\n--#\n\
                 Content-Type: message/rfc822\n\nA: b\n--#--\n--b--\n",
            ),
            (
                "a multipart replaced",
                TWO,
                |e| e.replace_part(id(0), new("n")),
                "A: b\nContent-Type: x/y; name=n\nMIME-Version: 1.0\n\nn",
            ),
            (
                "a multipart replaced, and wrapped",
                TWO,
                |e| {
                    e.replace_part(id(0), new("n"))
                        .and(e.attach_above(new("m")))
                },
                "A: b\nMIME-Version: 1.0\nContent-Type: multipart/mixed;\n\tboundary=\"#\"\n\n--#\nContent-Type: x/y; name=m\n\nm\n--#\nContent-Type: x/y; name=n\n\nn\n--#--\n",
            ),
            (
                "attach to a mixed",
                TWO,
                |e| e.attach(new("n")),
                "A: b\n{b}--b\n\nx\n--b\n{h}y\n--b\nContent-Type: x/y; name=n\n\nn\n--b--\n",
            ),
            (
                "attach above in a mixed",
                TWO,
                |e| e.attach_above(new("n")),
                "A: b\n{b}--b\nContent-Type: x/y; name=n\n\nn\n--b\n\nx\n--b\n{h}y\n--b--\n",
            ),
            (
                "attach above a text",
                "MIME-Version: 1.0\n\nx",
                |e| e.attach_above(new("n")),
                "MIME-Version: 1.0\nContent-Type: multipart/mixed;\n\tboundary=\"#\"\n\n--#\nContent-Type: x/y; name=n\n\nn\n--#\n\nx\n--#--\n",
            ),
            (
                "attach above a multipart without a boundary",
                "MIME-Version: 1.0\nContent-Type: multipart/mixed\n\n--b\nx",
                |e| e.attach_above(new("n")),
                "MIME-Version: 1.0\nContent-Type: multipart/mixed;\n\tboundary=\"#\"\n\n--#\nContent-Type: x/y; name=n\n\nn\n--#\nContent-Type: multipart/mixed\n\n--b\nx\n--#--\n",
            ),
            (
                "attach to a multipart in base64",
                "Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\neA==\n",
                |e| e.attach(new("n")),
                "MIME-Version: 1.0\nContent-Type: multipart/mixed;\n\tboundary=\"#\"\n\n--#\nContent-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\neA==\n\n--#\nContent-Type: x/y; name=n\n\nn\n--#--\n",
            ),
            (
                "attach twice",
                "MIME-Version: 1.0\n\nx",
                |e| e.attach(new("n")).and(e.attach(new("m"))),
                "MIME-Version: 1.0\nContent-Type: multipart/mixed;\n\tboundary=\"#\"\n\n--#\n\nx\n--#\nContent-Type: x/y; name=n\n\nn\n--#\nContent-Type: x/y; name=m\n\nm\n--#--\n",
            ),
            (
                "attach to a mixed without parts",
                "MIME-Version: 1.0\n{b}--b--\n",
                |e| e.attach(new("n")),
                "MIME-Version: 1.0\nContent-Type: multipart/mixed;\n\tboundary=\"#\"\n\n--#\n{b}--b--\n\n--#\nContent-Type: x/y; name=n\n\nn\n--#--\n",
            ),
        ];
        let mut wrong = Vec::new();
        for (name, short, change, expected) in rows {
            let expected = expand(expected);
            let found = edited(short, change);
            if found != Ok(expected.clone()) {
                wrong.push(format!("{name}:\n{found:?}\n{expected:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn crlf_mails_get_crlf() {
        let message = scan("A: b\r\n\r\nx\r\n");
        let mut edits = EditSet::new(&message);
        edits.set_field(PartId::ROOT, "C", "d").unwrap();
        edits
            .attach(NewPart::text("plain", "y\n", message.newline()))
            .unwrap();
        let rendered = String::from_utf8(render(&edits)).unwrap();
        assert_eq!(
            rendered.matches('\n').count(),
            rendered.matches("\r\n").count()
        );
    }

    #[test]
    fn refusals() {
        let cut = Limits {
            parts: 3,
            ..Limits::default()
        };
        let long = format!("A: {}\nContent-Type: text/plain\n\nx", "x".repeat(2 << 20));
        let rows: &[(&str, &str, Change, Refused)] = &[
            (
                "body of a multipart",
                TWO,
                |e| e.replace_body(id(0), body("x")),
                Refused::NoLeaf,
            ),
            (
                "appended to a multipart that was replaced",
                TWO,
                |e| {
                    e.replace_part(id(0), new("n"))
                        .and(e.append(id(0), new("m")))
                },
                Refused::NoMultipart,
            ),
            (
                "beside a child of a multipart that was replaced",
                TWO,
                |e| {
                    e.replace_part(id(0), new("n"))
                        .and(e.insert_after(id(1), new("m")))
                },
                Refused::Gone,
            ),
            (
                "a child of a multipart that was replaced",
                TWO,
                |e| e.replace_part(id(0), new("n")).and(e.remove(id(1))),
                Refused::Gone,
            ),
            (
                "body of an opaque part",
                "Content-Type: multipart/mixed\n\nx",
                |e| e.replace_body(id(0), body("x")),
                Refused::Opaque,
            ),
            (
                "opaque part replaced",
                "Content-Type: multipart/mixed\n\nx",
                |e| e.replace_part(id(0), new("n")),
                Refused::Opaque,
            ),
            (
                "a root beyond the limits wrapped",
                &long,
                |e| e.attach(new("n")),
                Refused::Opaque,
            ),
            (
                "content field of an opaque part",
                "Content-Type: multipart/mixed\n\nx",
                |e| e.set_field(id(0), "Content-ID", "x"),
                Refused::Opaque,
            ),
            (
                "charset where the type is not readable",
                "Content-Type: @\n\nx",
                |e| {
                    e.replace_body(
                        id(0),
                        NewBody {
                            charset: Some("utf-8".into()),
                            ..NewBody::default()
                        },
                    )
                },
                Refused::BadField,
            ),
            (
                "type set",
                TWO,
                |e| e.set_field(id(1), "Content-Type", "text/html"),
                Refused::OfBody,
            ),
            (
                "type removed",
                TWO,
                |e| e.remove_fields(id(0), "content-type", |_| true).map(drop),
                Refused::OfBody,
            ),
            (
                "coding added",
                TWO,
                |e| e.add_field_above(id(1), "Content-Transfer-Encoding", "base64"),
                Refused::OfBody,
            ),
            (
                "name with a colon",
                TWO,
                |e| e.set_field(id(0), "A:", "x"),
                Refused::BadField,
            ),
            (
                "name with a blank",
                TWO,
                |e| e.add_field_below(id(0), "A b", "x"),
                Refused::BadField,
            ),
            (
                "no name",
                TWO,
                |e| e.add_field_above(id(0), "", "x"),
                Refused::BadField,
            ),
            (
                "name that fills a line",
                TWO,
                |e| e.set_field(id(0), &"x".repeat(998), "x"),
                Refused::BadField,
            ),
            ("root removed", TWO, |e| e.remove(id(0)), Refused::Root),
            (
                "beside the root",
                TWO,
                |e| e.insert_after(id(0), new("n")),
                Refused::Root,
            ),
            (
                "last child removed",
                TWO,
                |e| e.remove(id(1)).and(e.remove(id(2))),
                Refused::LastChild,
            ),
            (
                "last child pruned",
                TWO,
                |e| e.remove(id(1)).and(e.remove_pruning(id(2))),
                Refused::LastChild,
            ),
            (
                "removed twice",
                TWO,
                |e| e.remove(id(1)).and(e.remove(id(1))),
                Refused::Gone,
            ),
            (
                "edited after removal",
                TWO,
                |e| e.remove(id(1)).and(e.replace_body(id(1), body("x"))),
                Refused::Gone,
            ),
            (
                "appended to a leaf",
                TWO,
                |e| e.append(id(1), new("n")),
                Refused::NoMultipart,
            ),
            (
                "appended to nothing",
                "{b}--b--\n",
                |e| e.append(id(0), new("n")),
                Refused::NoMultipart,
            ),
            ("unknown part", TWO, |e| e.remove(id(3)), Refused::Unknown),
            (
                "inside a seal",
                SIGNED,
                |e| e.remove(id(1)),
                Refused::Sealed,
            ),
            (
                "a sealed part's content field",
                SIGNED,
                |e| e.set_field(id(0), "content-id", "x"),
                Refused::Sealed,
            ),
        ];
        for (name, short, change, refused) in rows {
            assert_eq!(edited(short, change), Err(*refused), "{name}");
        }
        let message = Message::scan(
            expand("{b}--b\n\nx\n--b\n\ny\n--b\n\nz\n--b--\n").into_bytes(),
            &cut,
        );
        let mut edits = EditSet::new(&message);
        assert_eq!(edits.attach(new("n")), Err(Refused::Limit));
        assert_eq!(edits.remove(id(1)), Err(Refused::Limit));
        assert_eq!(
            edits.wrap(id(1), Around::Mixed, vec![], vec![]),
            Err(Refused::Limit)
        );
        assert_eq!(edits.replace_body(id(2), body("x")), Err(Refused::Opaque));
        assert!(edits.is_empty());
    }

    // T178
    /// An edit of one name looks at the fields of that name, not at all of them.
    #[test]
    fn t178_edits_of_all_names_look_at_each_field_a_few_times() {
        const FIELDS: usize = 2_000;
        let names: Vec<String> = (0..FIELDS)
            .map(|number| format!("X-Name-{number}"))
            .collect();
        let header: String = names.iter().map(|name| format!("{name}: x\n")).collect();
        let message = scan(&format!("{header}\nx"));
        type One = fn(&mut EditSet<'_>, &str);
        let verbs: [(&str, One); 3] = [
            ("remove", |edits, name| {
                assert_eq!(edits.remove_fields(PartId::ROOT, name, |_| true), Ok(1));
            }),
            ("set", |edits, name| {
                edits.set_field(PartId::ROOT, name, "y").unwrap();
            }),
            ("set and remove", |edits, name| {
                edits.set_field(PartId::ROOT, name, "y").unwrap();
                assert_eq!(edits.remove_fields(PartId::ROOT, name, |_| true), Ok(1));
            }),
        ];
        for (verb, change) in verbs {
            let mut edits = EditSet::new(&message);
            let before = header::looks::count();
            names.iter().for_each(|name| change(&mut edits, name));
            let rendered = render(&edits);
            let looks = header::looks::count() - before;
            assert!(looks < FIELDS * 10, "{verb}: {looks} looks");
            assert!(rendered != message.raw(), "{verb}");
            verify(&edits, rendered, &Limits::default()).unwrap();
        }
    }

    /// A child that was removed may be the last one again once others have come.
    #[test]
    fn children_are_counted() {
        let message = scan(&expand(TWO));
        let mut edits = EditSet::new(&message);
        edits.remove(id(1)).unwrap();
        let savepoint = edits.clone();
        assert_eq!(edits.remove(id(2)), Err(Refused::LastChild));
        edits.append(PartId::ROOT, new("n")).unwrap();
        edits.remove(id(2)).unwrap();
        assert_eq!(edits.insert_before(id(2), new("m")), Ok(()));
        assert!(edits.is_gone(id(1)) && edits.is_gone(id(2)) && !edits.is_gone(id(0)));
        edits = savepoint;
        assert_eq!(edits.remove(id(2)), Err(Refused::LastChild));
    }

    #[test]
    fn content_is_as_the_edits_leave_it() {
        let message = scan("A: b\nContent-Type: text/plain; charset=iso-8859-1\n\nx");
        let mut edits = EditSet::new(&message);
        let content = edits.content(PartId::ROOT).unwrap();
        assert_eq!(
            (
                content.body(),
                content.encoding(),
                content.param("charset").as_deref()
            ),
            (&b"x"[..], Encoding::SevenBit, Some("iso-8859-1"))
        );
        edits
            .replace_body(
                PartId::ROOT,
                NewBody {
                    raw: b"w6Q=".to_vec(),
                    charset: Some("utf-8".into()),
                    encoding: Some(Encoding::Base64),
                },
            )
            .unwrap();
        edits.set_field(PartId::ROOT, "A", "c").unwrap();
        let content = edits.content(PartId::ROOT).unwrap();
        assert_eq!(
            (content.encoding(), content.param("charset").as_deref()),
            (Encoding::Base64, Some("utf-8"))
        );
        assert_eq!(
            (&*content.decoded().unwrap(), content.text().unwrap().text()),
            ("ä".as_bytes(), "ä")
        );
        assert_eq!(content.field("a").as_deref(), Some(&b"A: c\n"[..]));
        assert_eq!(
            (content.media_type(), content.part().media_type()),
            ("text/plain", "text/plain")
        );
        edits.replace_part(PartId::ROOT, new("n")).unwrap();
        let content = edits.content(PartId::ROOT).unwrap();
        assert_eq!(
            (
                content.media_type(),
                content.body(),
                content.param("name").as_deref()
            ),
            ("x/y", &b"n"[..], Some("n"))
        );
        assert!(edits.is_replaced(PartId::ROOT));
        assert_eq!(edits.touched().collect::<Vec<_>>(), [PartId::ROOT]);
    }
}
