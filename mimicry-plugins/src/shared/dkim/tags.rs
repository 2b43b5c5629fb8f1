//! The tags of a signature that stands in a mail (RFC 6376 section 3.2), and what it covers there.
//!
//! Must never: say that a signature is good; only whether what it covers is still the same.

use std::collections::HashMap;

use data_encoding::BASE64;
use memchr::memchr;
use mimicry_core::domain::compared;
use mimicry_core::message::Message;
use mimicry_core::message::header::{Field, fields, unfold};
use sha2::{Digest, Sha256};

use super::canon::{self, Canon};
use super::key::Key;

/// The field that holds a signature.
pub const FIELD: &str = "DKIM-Signature";

/// A signature as it stands in a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// d=, in the form in which domains are compared.
    pub domain: String,
    /// s=, in small letters.
    pub selector: String,
    /// The value of the field, raw.
    pub value: Vec<u8>,
    /// a=
    algorithm: String,
    /// h=, in small letters, in its order.
    names: Vec<String>,
    header: Canon,
    body: Canon,
    /// l=
    length: Option<usize>,
    /// x=, in seconds since 1970.
    expires: Option<i64>,
    /// bh= and b=, decoded.
    body_hash: Vec<u8>,
    signature: Vec<u8>,
}

/// What a signature covers, as octets: two that are equal make the same signature hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Covered {
    fields: Vec<u8>,
    body: [u8; 32],
}

impl Signature {
    /// `None` = the value is no signature.
    pub fn read(value: &[u8]) -> Option<Signature> {
        let unfolded = unfold(value);
        let text = String::from_utf8_lossy(&unfolded);
        let tag = |name: &str| {
            text.split(';').find_map(|tag| {
                let (found, value) = tag.split_once('=')?;
                (found.trim() == name).then(|| value.trim())
            })
        };
        let (header, body) = match tag("c") {
            None => ("simple", "simple"),
            Some(text) => text.split_once('/').unwrap_or((text, "simple")),
        };
        let canon = |word: &str| match word.trim() {
            "relaxed" => Canon::Relaxed,
            _ => Canon::Simple,
        };
        let decoded = |text: &str| base64(text).unwrap_or_default();
        let names = tag("h")?.split(':');
        Some(Signature {
            domain: compared(tag("d")?),
            selector: tag("s").unwrap_or_default().to_ascii_lowercase(),
            value: value.to_vec(),
            algorithm: tag("a").unwrap_or_default().to_ascii_lowercase(),
            names: names.map(|name| name.trim().to_ascii_lowercase()).collect(),
            header: canon(header),
            body: canon(body),
            length: tag("l").and_then(|text| text.parse().ok()),
            expires: tag("x").and_then(|text| text.parse().ok()),
            body_hash: tag("bh").map(decoded).unwrap_or_default(),
            signature: tag("b").map(decoded).unwrap_or_default(),
        })
    }

    /// All that the mail bears.
    pub fn of(message: &Message) -> impl Iterator<Item = Signature> {
        let fields = message.root().fields();
        fields
            .filter(|field| field.is(FIELD))
            .filter_map(|field| Signature::read(field.value()))
    }

    pub fn covered(&self, message: &Message) -> Covered {
        let root = message.root();
        Covered {
            fields: header_octets(root.header(), &self.names, self.header),
            body: body_hash(root.body(), self.body, self.length),
        }
    }

    /// Does it speak for the whole mail at a time (seconds since 1970): it has not ended, and nothing stands behind what it covers.
    pub fn is_whole(&self, now: i64) -> bool {
        self.length.is_none() && self.expires.is_none_or(|end| now <= end)
    }

    /// Was it made with this key over what it covers.
    pub fn is_by(&self, key: &Key, covered: Covered) -> bool {
        let Covered { mut fields, body } = covered;
        if self.algorithm != key.algorithm() || self.body_hash != body {
            return false;
        }
        let own = [FIELD.as_bytes(), b":", &without_signature(&self.value)].concat();
        let own = canon::field(&own, self.header);
        fields.extend_from_slice(own.strip_suffix(b"\r\n").unwrap_or(&own));
        key.verifies(&fields, &self.signature)
    }
}

/// Base64 with blanks anywhere, as it stands in a tag that was folded.
pub fn base64(text: &str) -> Option<Vec<u8>> {
    let letters = text.bytes().filter(|octet| !octet.is_ascii_whitespace());
    BASE64.decode(&letters.collect::<Vec<u8>>()).ok()
}

/// The value of the field with nothing in its tag b (RFC 6376 section 3.5).
fn without_signature(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    for (index, tag) in value.split(|octet| *octet == b';').enumerate() {
        if index > 0 {
            out.push(b';');
        }
        let equals = memchr(b'=', tag).unwrap_or(tag.len());
        let (name, _) = tag.split_at_checked(equals).unwrap_or((tag, b""));
        let kept = match name.trim_ascii() == b"b" {
            true => tag.get(..=equals).unwrap_or(tag),
            false => tag,
        };
        out.extend_from_slice(kept);
    }
    out
}

/// SHA-256 of the body.
pub fn body_hash(body: &[u8], canon: Canon, length: Option<usize>) -> [u8; 32] {
    let mut hash = Sha256::new();
    canon::body(body, canon, length, &mut |octets| hash.update(octets));
    hash.finalize().into()
}

/// The fields of these names in the form in which they are signed: each time that a name stands in the list it is one field further
/// up, and where there is none it is nothing (RFC 6376 section 5.4.2).
pub fn header_octets(block: &[u8], names: &[String], canon: Canon) -> Vec<u8> {
    let mut found: HashMap<&[u8], Vec<Field<'_>>> = names
        .iter()
        .map(|name| (name.as_bytes(), Vec::new()))
        .collect();
    for field in fields(block).filter(|field| field.colon().is_some()) {
        if let Some(of_name) = found.get_mut(field.name().to_ascii_lowercase().as_slice()) {
            of_name.push(field);
        }
    }
    let mut octets = Vec::new();
    for name in names {
        if let Some(field) = found.get_mut(name.as_bytes()).and_then(Vec::pop) {
            octets.extend(canon::field(field.raw(), canon));
        }
    }
    octets
}
