//! Edits of header fields: what is added, set and removed.
//!
//! Must never: touch a field that says what the body is, but for the edit that changes the body.

use std::sync::Arc;

use super::names::Names;
use super::{EditSet, Refused, is_content_field, is_mime_version};
use crate::message::codec;
use crate::message::header::{self, Field, fields};
use crate::message::part::Part;
use crate::message::tree::PartId;

impl<'m> EditSet<'m> {
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

    pub(super) fn remove_own(&mut self, part: Part<'m>, name: &str) {
        for field in self.own_fields(part, name) {
            self.edit(part.id()).fields.insert(field.start(), None);
        }
    }

    /// Fields of a sealed root that do not describe the content stay editable.
    fn field_editable(&self, id: PartId, name: &str) -> Result<Part<'m>, Refused> {
        let part = self.live(id)?;
        if part.seal().is_some()
            && (!part.is_root()
                || is_content_field(name.as_bytes())
                || is_mime_version(name.as_bytes()))
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
    pub(super) fn put_field(&mut self, part: Part<'m>, name: &str, value: &[u8]) {
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
    pub(super) fn need_mime_version(&mut self, id: PartId) {
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
