//! New parts: header and body are made together, so that the header is always true of the body.
//!
//! Must never: hold an octet of a mail that was not decoded first, or use a random number (the same mail gives the
//! same octets).

use memchr::memmem;

use super::codec::{self, Encoding};
use super::octets::NewOctets;
use super::params::encode_filename_params;
use super::tree::{Message, Newline};

/// A leaf that mimicry made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPart {
    /// In lower case, without parameters.
    pub media_type: String,
    /// Complete fields with line ends.
    pub header: Vec<u8>,
    /// In its transfer encoding, lines as the message's.
    pub body: NewOctets,
}

impl NewPart {
    /// A text part, shown inline. `subtype` is `plain` or `html`. us-ascii and 7bit where the text allows it, else
    /// UTF-8 and quoted-printable, or base64 where most of the text would have to be coded.
    pub fn text(subtype: &str, text: &str, newline: Newline) -> NewPart {
        let text = &newline.apply(text);
        let charset = if text.is_ascii() { "us-ascii" } else { "utf-8" };
        let encoding =
            codec::smallest_legal(Encoding::SevenBit, text.as_bytes(), newline.as_bytes());
        let nl = newline.as_str();
        let header = format!(
            "Content-Type: text/{subtype}; charset={charset}{nl}Content-Transfer-Encoding: {}{nl}Content-Disposition: inline{nl}",
            encoding.name()
        );
        NewPart {
            media_type: format!("text/{subtype}"),
            header: header.into_bytes(),
            body: without_last_line_end(codec::encode(
                encoding,
                text.as_bytes(),
                newline.as_bytes(),
            ))
            .into(),
        }
    }

    /// As [`NewPart::text`], with a file name.
    pub fn named_text(subtype: &str, filename: &str, text: &str, newline: Newline) -> NewPart {
        let mut part = NewPart::text(subtype, text, newline);
        let end = newline.as_bytes();
        if part.header.ends_with(end) {
            part.header
                .truncate(part.header.len().saturating_sub(end.len()));
        }
        let filename = newline.apply(&encode_filename_params("filename", filename));
        part.header.extend_from_slice(filename.as_bytes());
        part.header.extend_from_slice(end);
        part
    }

    /// An attachment in base64. `media_type` is written as given: `application/zip`. A vector becomes the body where it is.
    pub fn attachment(
        media_type: &str,
        filename: &str,
        content: impl Into<Vec<u8>>,
        newline: Newline,
    ) -> NewPart {
        let content = content.into();
        NewPart::file((media_type, filename), ("attachment", ""), content, newline)
    }

    /// A picture in base64 that HTML shows by `cid:ID`; see [`content_id`].
    pub fn image(
        media_type: &str,
        filename: &str,
        id: &str,
        content: &[u8],
        newline: Newline,
    ) -> NewPart {
        let id = format!("Content-ID: <{id}>{}", newline.as_str());
        let content = content.to_vec();
        NewPart::file((media_type, filename), ("inline", &id), content, newline)
    }

    /// `fields`: more complete fields.
    fn file(
        (media_type, filename): (&str, &str),
        (disposition, fields): (&str, &str),
        content: Vec<u8>,
        newline: Newline,
    ) -> NewPart {
        let nl = newline.as_str();
        let name = newline.apply(&encode_filename_params("name", filename));
        let filename = newline.apply(&encode_filename_params("filename", filename));
        let header = format!(
            "Content-Type: {media_type}{name}{nl}Content-Transfer-Encoding: base64{nl}{fields}Content-Disposition: {disposition}{filename}{nl}"
        );
        NewPart {
            media_type: media_type.to_ascii_lowercase(),
            header: header.into_bytes(),
            body: codec::into_base64(content, newline.as_bytes()).into(),
        }
    }

    /// Octets on the wire.
    pub fn wire_len(&self) -> usize {
        self.header.len().saturating_add(self.body.len())
    }
}

/// A boundary that occurs in none of the texts (RFC 2046 section 5.1.1). `=_` cannot occur in quoted-printable or
/// base64. The same message and `salt` give the same boundary.
pub fn boundary(message: &Message, salt: u32, others: &[&[u8]]) -> String {
    boundary_of(tail(message), salt, others)
}

/// A number that ends no word of the message: whatever boundaries are made of it occur nowhere in the message, which is searched
/// once for all of them.
pub fn tail(message: &Message) -> u64 {
    absent(message.raw(), hash_of(message, 0), |hash| {
        format!("_{hash:016x}")
    })
}

/// A boundary of [`tail`] that occurs in none of the other texts.
pub fn boundary_of(tail: u64, salt: u32, others: &[&[u8]]) -> String {
    let word = |extra: u64| match extra {
        0 => format!("=_mimicry_{salt}_{tail:016x}"),
        _ => format!("=_mimicry_{salt}_{extra}_{tail:016x}"),
    };
    let extra = others
        .iter()
        .fold(0, |extra, other| absent(other, extra, word));
    // What one text pushed on may stand in one before.
    let is_absent = |other: &&[u8]| memmem::find(other, word(extra).as_bytes()).is_none();
    match others.iter().all(is_absent) {
        true => word(extra),
        false => word(absent(&others.concat(), extra, word)),
    }
}

/// A Content-ID that occurs nowhere in the message (RFC 2045 section 7), for what `salt` tells from others. The same message
/// and salt give the same one.
pub fn content_id(message: &Message, salt: &str) -> String {
    let hash = fnv1a(salt.bytes(), hash_of(message, 0));
    let word = |hash: u64| format!("{hash:016x}@mimicry.invalid");
    word(absent(message.raw(), hash, word))
}

/// The first number from `hash` on whose word does not occur in the text.
fn absent(text: &[u8], mut hash: u64, word_of: impl Fn(u64) -> String) -> u64 {
    // A text can hold only so many candidates, so this ends.
    while memmem::find(text, word_of(hash).as_bytes()).is_some() {
        hash = hash.wrapping_add(1);
    }
    hash
}

/// Of its first octets: enough to tell messages apart.
fn hash_of(message: &Message, seed: u64) -> u64 {
    let head = message.raw().get(..64 * 1024).unwrap_or(message.raw());
    fnv1a(head.iter().copied(), seed)
}

/// FNV-1a, 64 bits: short, stable, and for what nobody gains by a collision.
pub fn fnv1a(octets: impl IntoIterator<Item = u8>, seed: u64) -> u64 {
    octets
        .into_iter()
        .fold(0xcbf2_9ce4_8422_2325 ^ seed, |hash, octet| {
            (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
        })
}

/// The line end before a delimiter belongs to the delimiter, so a body made here has none at its end.
fn without_last_line_end(mut octets: Vec<u8>) -> Vec<u8> {
    if octets.last() == Some(&b'\n') {
        octets.pop();
        if octets.last() == Some(&b'\r') {
            octets.pop();
        }
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::scan::tests::scan;

    #[test]
    fn texts() {
        for (subtype, text, newline, header, body) in [
            (
                "plain",
                "x\ny\n",
                Newline::Crlf,
                "Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n",
                "x\r\ny",
            ),
            (
                "plain",
                "x\r\ny",
                Newline::Lf,
                "Content-Type: text/plain; charset=us-ascii\nContent-Transfer-Encoding: 7bit\n",
                "x\ny",
            ),
            (
                "html",
                "<p>ä und b</p>",
                Newline::Lf,
                "Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n",
                "<p>=C3=A4 und b</p>",
            ),
            (
                "plain",
                "äöü",
                Newline::Lf,
                "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n",
                "w6TDtsO8",
            ),
            (
                "plain",
                "",
                Newline::Lf,
                "Content-Type: text/plain; charset=us-ascii\nContent-Transfer-Encoding: 7bit\n",
                "",
            ),
        ] {
            let part = NewPart::text(subtype, text, newline);
            let header = format!("{header}Content-Disposition: inline{}", newline.as_str());
            assert_eq!(
                (
                    String::from_utf8(part.header.clone()).unwrap(),
                    part.body.as_slice()
                ),
                (header, body.as_bytes()),
                "{text}"
            );
            assert_eq!(part.media_type, format!("text/{subtype}"));
            assert_eq!(part.wire_len(), part.header.len() + part.body.len());
        }
        let long = NewPart::text("plain", &"x".repeat(2000), Newline::Lf);
        assert!(
            long.body
                .as_slice()
                .split(|octet| *octet == b'\n')
                .all(|line| line.len() <= 76)
        );
    }

    #[test]
    fn attachments_read_back() {
        for name in [
            "a.zip",
            "Grüße.zip",
            "a b; c=\"d\".zip",
            "x\r\ny",
            "../../etc/passwd",
            "",
        ] {
            for newline in [Newline::Crlf, Newline::Lf] {
                let content: Vec<u8> = (0..=255).collect();
                let part = NewPart::attachment("Application/ZIP", name, content.clone(), newline);
                let raw = [&part.header[..], newline.as_bytes(), part.body.as_slice()].concat();
                let message = Message::scan(raw, &super::super::Limits::default());
                let root = message.root();
                assert_eq!(
                    (root.media_type(), part.media_type.as_str()),
                    ("application/zip", "application/zip")
                );
                assert_eq!(&*root.decoded().unwrap(), content, "{name}");
                assert_eq!(root.fields().count(), 3, "{name}");
                assert_eq!(
                    root.filename().unwrap_or_default(),
                    name.replace("\r\n", "  "),
                    "{name}"
                );
                assert!(!part.body.as_slice().ends_with(b"\n"));
            }
        }
    }

    #[test]
    fn boundaries() {
        let message = scan("A: b\n\nx");
        let first = boundary(&message, 0, &[]);
        assert_eq!(
            first,
            boundary(&message, 0, &[]),
            "the same mail, the same boundary"
        );
        assert_ne!(first, boundary(&message, 1, &[]));
        assert_ne!(first, boundary(&scan("A: c\n\nx"), 0, &[]));
        assert_ne!(
            first,
            boundary(&message, 0, &[format!("--{first}").as_bytes()]),
            "it is in another part"
        );
        assert!(first.starts_with("=_") && first.len() <= 70);
    }
}
