//! Which parts are signed or encrypted: their octets are the promise of somebody else.
//!
//! multipart/signed and multipart/encrypted (RFC 1847) with all below them, application/pkcs7-mime (RFC 8551), and
//! text that holds PGP armour (RFC 9580 section 6.2).
//!
//! Must never: verify or decrypt. What looks sealed is sealed, also when the seal is broken.

use memchr::memmem;

use super::codec::{self, Encoding};
use super::header::fields;
use super::params::Params;
use super::{Limits, Node};

/// How a part is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    Signed,
    Encrypted,
}

/// Marks the sealed parts of a scanned message, children with their parents.
pub(super) fn mark(raw: &[u8], nodes: &mut [Node]) {
    for index in 0..nodes.len() {
        let Some(node) = nodes.get(index) else { break };
        let inherited = node.parent.and_then(|parent| nodes.get(parent.index())).and_then(|parent| parent.seal);
        let seal = inherited.or_else(|| own_seal(raw, node));
        if let Some(node) = nodes.get_mut(index) {
            node.seal = seal;
        }
    }
}

fn own_seal(raw: &[u8], node: &Node) -> Option<Seal> {
    let header = raw.get(node.header.clone()).unwrap_or_default();
    match &*node.media_type {
        "multipart/signed" => Some(Seal::Signed),
        "multipart/encrypted" | "application/pgp-encrypted" => Some(Seal::Encrypted),
        "application/pkcs7-mime" | "application/x-pkcs7-mime" => Some(smime_type(header)),
        "application/octet-stream" if is_smime_name(header) => Some(Seal::Encrypted),
        "text/plain" | "text/html" => {
            armour(header, raw.get(node.body.clone()).unwrap_or_default())
        }
        _ => None,
    }
}

/// RFC 8551 section 3.2.2; without a smime-type the file name says whether it is certificates or a signature.
fn smime_type(header: &[u8]) -> Seal {
    let kind = content_type_param(header, "smime-type").unwrap_or_default().to_ascii_lowercase();
    match kind.as_str() {
        "signed-data" | "certs-only" | "signed-receipt" => Seal::Signed,
        _ => Seal::Encrypted,
    }
}

/// Outlook and Exchange label S/MIME as application/octet-stream and leave the file name.
fn is_smime_name(header: &[u8]) -> bool {
    let named = |value: Option<String>| value.is_some_and(|name| name.eq_ignore_ascii_case("smime.p7m"));
    named(content_type_param(header, "name"))
        || fields(header).find(|field| field.is("content-disposition")).is_some_and(|field| {
            named(Params::parse(field.value(), Limits::default().params).get("filename"))
        })
}

fn content_type_param(header: &[u8], name: &str) -> Option<String> {
    let field = fields(header).find(|field| field.is("content-type"))?;
    Params::parse(field.value(), Limits::default().params).get(name)
}

/// PGP armour at the start of a line of a text part. Keys are no seal.
fn armour(header: &[u8], body: &[u8]) -> Option<Seal> {
    let encoding = fields(header)
        .find(|field| field.is("content-transfer-encoding"))
        .map_or(Encoding::SevenBit, |field| Encoding::parse(field.value()));
    match encoding {
        Encoding::Base64 => find_armour(&codec::decode(encoding, body).ok()?),
        // The words have no octet that must be coded, so the raw body tells whether decoding is worth it.
        Encoding::QuotedPrintable if memmem::find(body, b"BEGIN PGP ").is_some() => match codec::decode(encoding, body) {
            Ok(decoded) => find_armour(&decoded),
            Err(_) => find_armour(body),
        },
        Encoding::QuotedPrintable => None,
        _ => find_armour(body),
    }
}

fn find_armour(text: &[u8]) -> Option<Seal> {
    for at in memmem::find_iter(text, b"-----BEGIN PGP ") {
        let line_start = at == 0 || text.get(at.wrapping_sub(1)) == Some(&b'\n');
        let rest = text.get(at..).unwrap_or_default();
        if line_start && rest.starts_with(b"-----BEGIN PGP SIGNED MESSAGE-----") {
            return Some(Seal::Signed);
        }
        if line_start && rest.starts_with(b"-----BEGIN PGP MESSAGE") {
            return Some(Seal::Encrypted);
        }
    }
    None
}
