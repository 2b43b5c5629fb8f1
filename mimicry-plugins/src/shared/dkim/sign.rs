//! A new signature: relaxed/relaxed, without `l=`, the fields that an edit could forge signed once more than they stand.
//!
//! Must never: sign a mail whose author is not one, which others could then show under another name.

use std::borrow::Cow;

use data_encoding::BASE64;
use mimicry_core::message::Message;

use super::canon::{self, Canon};
use super::key::Key;
use super::tags::{body_hash, header_octets};

/// Signed as often as they stand, and once more: one that is added later breaks the signature.
pub const OVERSIGNED: &[&str] = &[
    "from",
    "sender",
    "reply-to",
    "subject",
    "date",
    "message-id",
    "to",
    "cc",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
];

/// Signed if they stand there.
pub const SIGNED: &[&str] = &[
    "in-reply-to",
    "references",
    "content-id",
    "content-description",
    "content-disposition",
    "list-id",
    "list-help",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "list-subscribe",
    "list-post",
    "list-owner",
    "list-archive",
    "autocrypt",
];

/// Names that a signature lists at most.
const MOST: usize = 500;

/// Where the key stands in the DNS.
#[derive(Clone, Copy, Debug)]
pub struct Signer<'k> {
    /// An A-label.
    pub domain: &'k str,
    pub selector: &'k str,
    pub key: &'k Key,
}

/// The times of a signature, in seconds since 1970 in UTC.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub signed: i64,
    pub expires: Option<i64>,
}

/// What the signatures of one mail have in common.
#[derive(Debug)]
pub struct Work<'m> {
    header: &'m [u8],
    names: Vec<String>,
    body: [u8; 32],
}

impl<'m> Work<'m> {
    /// `more` = names of further fields to sign, in small letters. `None` = there are more fields than a signature should name.
    pub fn of(message: &'m Message, more: &[String]) -> Option<Work<'m>> {
        let root = message.root();
        let mut names = Vec::new();
        let count = |name: &str| root.fields().filter(|field| field.is(name)).count();
        for name in OVERSIGNED {
            names.extend((0..=count(name)).map(|_| String::from(*name)));
        }
        let signed = SIGNED.iter().copied();
        for name in signed.chain(more.iter().map(String::as_str)) {
            if !names.iter().any(|known| known == name) {
                names.extend((0..count(name)).map(|_| name.to_string()));
            }
        }
        (names.len() <= MOST).then(|| Work {
            header: root.header(),
            names,
            body: body_hash(root.body(), Canon::Relaxed, None),
        })
    }

    /// The value of a field that signs, with blanks where it may be folded: DKIM-Signature, or with another `head` than `v=1`
    /// ARC-Message-Signature. `None` = the key did not sign.
    pub fn signature(
        &self,
        field: &str,
        head: &str,
        signer: &Signer<'_>,
        times: Times,
    ) -> Option<String> {
        let expires = match times.expires {
            Some(at) => Cow::from(format!(" x={at};")),
            None => Cow::from(""),
        };
        let unsigned = format!(
            "{head}; a={}; c=relaxed/relaxed; d={}; s={}; t={};{expires} h={}; bh={}; b=",
            signer.key.algorithm(),
            signer.domain,
            signer.selector,
            times.signed,
            foldable_names(&self.names),
            BASE64.encode(&self.body),
        );
        let octets = header_octets(self.header, &self.names, Canon::Relaxed);
        completed(field, unsigned, octets, signer.key)
    }
}

/// The value with its signature over these octets and over itself, which has no line end then (RFC 6376 section 3.7).
pub fn completed(field: &str, unsigned: String, mut octets: Vec<u8>, key: &Key) -> Option<String> {
    let own = canon::field(format!("{field}: {unsigned}").as_bytes(), Canon::Relaxed);
    octets.extend_from_slice(own.strip_suffix(b"\r\n").unwrap_or(&own));
    let signature = BASE64.encode(&key.sign(&octets)?);
    Some(unsigned + &foldable(&signature))
}

/// A line of a signature that is no name of a tag.
const PIECE: usize = 64;

/// The names as the tag h lists them, with a blank where it grows too long for one line.
fn foldable_names(names: &[String]) -> String {
    let mut out = String::new();
    let mut column: usize = 0;
    for name in names {
        if !out.is_empty() {
            out.push(':');
            if column.saturating_add(name.len()) > PIECE {
                out.push(' ');
                column = 0;
            }
        }
        out.push_str(name);
        column = column.saturating_add(name.len()).saturating_add(1);
    }
    out
}

/// Base64 in pieces, which may stand on lines of their own.
pub fn foldable(base64: &str) -> String {
    let mut out = String::with_capacity(base64.len().saturating_add(16));
    for (index, letter) in base64.chars().enumerate() {
        if index > 0 && index % PIECE == 0 {
            out.push(' ');
        }
        out.push(letter);
    }
    out
}
