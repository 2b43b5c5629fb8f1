//! The mails that hold what was sealed: multipart/signed and multipart/encrypted (RFC 1847, RFC 3156), application/pkcs7-mime (RFC 8551).
//!
//! Must never: change what was sealed, or leave a field of the old content outside ([`EditSet::enclose`] sees to that).
//!
//! [`EditSet::enclose`]: mimicry_core::message::edit::EditSet::enclose

use mimicry_core::message::codec::{self, Encoding};
use mimicry_core::message::compose::{self, NewPart};
use mimicry_core::message::edit::Enclosed;
use mimicry_core::message::{Message, Newline};

/// A signature as a part of its own.
#[derive(Debug)]
pub struct Signature<'s> {
    /// `pgp-sha512`, `sha-256`: of the signature that was made.
    pub micalg: &'s str,
    /// `application/pgp-signature`.
    pub media_type: &'static str,
    /// `signature.asc`.
    pub filename: &'static str,
    pub description: &'static str,
    pub content: Content,
}

/// How octets are written.
#[derive(Debug)]
pub enum Content {
    /// Lines of ASCII.
    Armour(Vec<u8>),
    /// Octets, in base64.
    Binary(Vec<u8>),
}

impl Content {
    /// The fields, and the body without a line end at its end.
    fn written(self, newline: Newline) -> (&'static str, Vec<u8>) {
        let (field, mut text) = match self {
            Content::Armour(text) => ("", in_lines_of(text, newline)),
            Content::Binary(octets) => (
                "Content-Transfer-Encoding: base64",
                codec::encode(Encoding::Base64, &octets, newline.as_bytes()),
            ),
        };
        text.truncate(text.trim_ascii_end().len());
        (field, text)
    }
}

/// A message and its signature. `inner`: what was signed, in lines of CRLF.
pub fn signed(message: &Message, inner: Vec<u8>, signature: Signature<'_>) -> (NewPart, Enclosed) {
    let newline = message.newline();
    let nl = newline.as_str();
    let Signature {
        micalg,
        media_type,
        filename,
        description,
        content,
    } = signature;
    let inner = in_lines_of(inner, newline);
    let (field, text) = content.written(newline);
    let boundary = compose::boundary(message, 0, &[&inner, &text]);
    let header = format!(
        "Content-Type: multipart/signed; micalg={micalg};{nl}\tprotocol=\"{media_type}\";{nl}\tboundary=\"{boundary}\"{nl}"
    );
    let head = fields(
        &[
            &format!("Content-Type: {media_type}; name=\"{filename}\""),
            field,
            &format!("Content-Description: {description}"),
            &format!("Content-Disposition: attachment; filename=\"{filename}\""),
        ],
        nl,
    );
    let first = format!("--{boundary}{nl}");
    let second = format!("{nl}--{boundary}{nl}{head}{nl}");
    let end = format!("{nl}--{boundary}--{nl}");
    let place = first.len()..first.len().saturating_add(inner.len());
    // In one piece of the right size: a mail is in memory often enough.
    let body = [
        first.as_bytes(),
        &inner,
        second.as_bytes(),
        &text,
        end.as_bytes(),
    ]
    .concat();
    let part = NewPart {
        media_type: "multipart/signed".into(),
        header: header.into_bytes(),
        body: body.into(),
    };
    (part, Enclosed::Shown(place))
}

/// PGP/MIME around an armoured message (RFC 3156 section 4).
pub fn pgp_encrypted(message: &Message, armour: Vec<u8>) -> (NewPart, Enclosed) {
    let newline = message.newline();
    let nl = newline.as_str();
    let (_, text) = Content::Armour(armour).written(newline);
    let boundary = compose::boundary(message, 0, &[&text]);
    let header = format!(
        "Content-Type: multipart/encrypted;{nl}\tprotocol=\"application/pgp-encrypted\";{nl}\tboundary=\"{boundary}\"{nl}"
    );
    let version = fields(
        &[
            "Content-Type: application/pgp-encrypted",
            "Content-Description: PGP/MIME version identification",
        ],
        nl,
    );
    let head = fields(
        &[
            "Content-Type: application/octet-stream; name=\"encrypted.asc\"",
            "Content-Description: OpenPGP encrypted message",
            "Content-Disposition: inline; filename=\"encrypted.asc\"",
        ],
        nl,
    );
    let start =
        format!("--{boundary}{nl}{version}{nl}Version: 1{nl}{nl}--{boundary}{nl}{head}{nl}");
    let end = format!("{nl}--{boundary}--{nl}");
    let body = [start.as_bytes(), &text, end.as_bytes()].concat();
    let part = NewPart {
        media_type: "multipart/encrypted".into(),
        header: header.into_bytes(),
        body: body.into(),
    };
    (part, Enclosed::Hidden)
}

/// S/MIME in one part (RFC 8551 section 3.3). `smime_type`: `enveloped-data`, `authEnveloped-data`, `signed-data`.
pub fn pkcs7(message: &Message, der: Vec<u8>, smime_type: &str) -> (NewPart, Enclosed) {
    let newline = message.newline();
    let nl = newline.as_str();
    let (field, mut body) = Content::Binary(der).written(newline);
    body.reserve_exact(nl.len());
    body.extend_from_slice(newline.as_bytes());
    let header = fields(
        &[
            &format!(
                "Content-Type: application/pkcs7-mime; smime-type={smime_type};{nl}\tname=\"smime.p7m\""
            ),
            field,
            "Content-Description: S/MIME message",
            "Content-Disposition: attachment; filename=\"smime.p7m\"",
        ],
        nl,
    );
    let part = NewPart {
        media_type: "application/pkcs7-mime".into(),
        header: header.into_bytes(),
        body: body.into(),
    };
    (part, Enclosed::Hidden)
}

/// Each with its line end; those that are empty are none.
fn fields(lines: &[&str], nl: &str) -> String {
    let lines = lines.iter().filter(|line| !line.is_empty());
    lines.map(|line| format!("{line}{nl}")).collect()
}

/// Lines that end in CRLF, or in LF, with the line ends of a message.
fn in_lines_of(text: Vec<u8>, newline: Newline) -> Vec<u8> {
    match newline {
        Newline::Crlf => super::inner::to_crlf(text),
        Newline::Lf => {
            let mut out = Vec::with_capacity(text.len());
            for line in text.split_inclusive(|octet| *octet == b'\n') {
                match line.strip_suffix(b"\r\n") {
                    Some(line) => {
                        out.extend_from_slice(line);
                        out.push(b'\n');
                    }
                    None => out.extend_from_slice(line),
                }
            }
            out
        }
    }
}
