//! Edits of the tree: parts that go, that come, and multiparts around them.
//!
//! Must never: change what number of parts a message has beyond its limits, or leave a multipart without children.

use std::sync::Arc;

use super::{Around, EditSet, Refused, Wrap};
use crate::message::compose::{self, NewPart};
use crate::message::part::Part;
use crate::message::place::{self, Place, is_open, of};
use crate::message::tree::{Message, PartId};

impl<'m> EditSet<'m> {
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

    /// New parts for one that goes, or a text of ours about it, in their order.
    pub fn place(&mut self, part: PartId, new: Vec<NewPart>) -> Result<(), Refused> {
        let at = of(self.message().part(part).ok_or(Refused::Unknown)?);
        new.into_iter().try_for_each(|new| match at {
            Place::Beside(at) => self.insert_after(at, new),
            Place::End => self.attach(new),
        })
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

    pub(super) fn may_change_number(&self) -> Result<(), Refused> {
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
}

/// Will nothing be left below a root that is no multipart/mixed, once these parts have gone. Then the new part takes the
/// root's place.
pub fn would_be_empty(message: &Message, edits: &EditSet<'_>, going: &[PartId]) -> bool {
    let root = message.root();
    let mut left = message
        .leaves()
        .filter(|leaf| !edits.is_gone(leaf.id()) && going.binary_search(&leaf.id()).is_err());
    !is_open(root) && left.next().is_none()
}
