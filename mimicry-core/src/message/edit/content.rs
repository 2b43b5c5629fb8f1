//! A part as the edits so far leave it.
//!
//! Must never: show a part as it came where an edit has changed it.

use std::borrow::Cow;
use std::sync::Arc;

use super::{EditSet, PartEdit, Refused, field_value};
use crate::message::codec::{self, Encoding, Malformed};
use crate::message::header::fields;
use crate::message::limits::Limits;
use crate::message::params::Params;
use crate::message::part::Part;
use crate::message::text::{NotEditable, TextBody};
use crate::message::tree::{Newline, PartId};

impl<'m> EditSet<'m> {
    /// The part as the edits so far leave it.
    pub fn content(&self, id: PartId) -> Result<Content<'_>, Refused> {
        let part = self.live(id)?;
        Ok(Content {
            part,
            edit: self.parts.get(&id),
        })
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
            Some(body) => body.as_slice(),
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
