//! A message for a next hop that takes no 8-bit octets (RFC 6152 section 3): leaves that have some get a transfer encoding.
//!
//! A text becomes quoted-printable, or base64 where that is shorter to read or the only way; any other leaf base64. What decodes
//! is the content octet for octet. A raw 8-bit Subject or Comments of the mail itself becomes encoded words when it is
//! UTF-8, because there nobody can mistake them (RFC 2047 section 5).
//!
//! Must never: touch what is signed or encrypted, guess the charset of a header, or hand out a message with an 8-bit octet.
//!
//! Known limits: not encoded are other header fields, an 8-bit boundary, preamble or epilogue, text that is not valid
//! in its charset, and a message inside the message, which may have no encoding (RFC 2046 section 5.2.1). A multipart
//! that is labelled 8bit keeps its label, which allows for 7 bits. A DKIM signature over content that is encoded anew
//! no longer holds.

use thiserror::Error;

use super::charset::Charset;
use super::codec::{self, Encoding, encoded_len, has_long_line, smallest_legal};
use super::edit::EditSet;
use super::kept::AllKept;
use super::limits::Limits;
use super::part::Part;
use super::render::render_noting;
use super::text::NewBody;
use super::tree::Message;
use super::verify::{charset, is_text, verify};

/// Octets of a text from which it is not left legible at any price.
const LARGE: usize = 1 << 19;

/// Why a message cannot be made 7-bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unfit {
    #[error("signed or encrypted content is 8-bit")]
    Sealed,
    #[error("a header field is 8-bit")]
    Header,
    #[error("a message within the message is 8-bit")]
    Nested,
    #[error("the structure or the encoding of an 8-bit part is broken")]
    Broken,
}

/// The same message in 7 bits. Not to be asked for one that is 7-bit already.
pub fn to_7bit(message: &Message, limits: &Limits) -> Result<Message, Unfit> {
    to_7bit_noting(message, limits).map(|(after, _)| after)
}

/// As [`to_7bit`], with what was kept of the message.
pub fn to_7bit_noting(message: &Message, limits: &Limits) -> Result<(Message, AllKept), Unfit> {
    let mut edits = EditSet::new(message);
    for part in message.parts() {
        if !part.header().is_ascii() {
            encode_header(&mut edits, part)?;
        }
        if !part.is_multipart() && !part.body().is_ascii() {
            encode_body(&mut edits, part)?;
        }
    }
    let (rendered, kept) = render_noting(&edits);
    let after = verify(&edits, rendered, limits).map_err(|_| Unfit::Broken)?;
    match after.raw().is_ascii() {
        true => Ok((after, kept)),
        false => Err(Unfit::Broken),
    }
}

/// The same message in a form that a signature survives: in 7 bits, and without what transports are known to change, blanks at the ends of
/// lines and lines that begin with `From ` (RFC 3156 section 5). What cannot be coded stays as it is; whoever must have it in 7 bits
/// sees that. `None` = it is in that form.
pub fn to_signed_form(message: &Message, limits: &Limits) -> Option<Message> {
    let mut edits = EditSet::new(message);
    for part in message.parts() {
        if !part.header().is_ascii() {
            let _ = encode_header(&mut edits, part);
        }
        // One that the proof would refuse must not keep the others from being coded.
        if !part.is_multipart() && is_at_risk(part.body()) && is_as_said(part) {
            let _ = match part.encoding() {
                Encoding::QuotedPrintable => guard_lines(&mut edits, part),
                _ => encode_body(&mut edits, part),
            };
        }
    }
    match edits.is_empty() {
        true => None,
        false => verify(&edits, render_noting(&edits).0, limits).ok(),
    }
}

/// Has a body lines that may not arrive as they are.
fn is_at_risk(body: &[u8]) -> bool {
    let ends = |at: usize| {
        let before = body.get(..at).unwrap_or_default();
        let before = before.strip_suffix(b"\r").unwrap_or(before);
        before.ends_with(b" ") || before.ends_with(b"\t")
    };
    let begins = |at: usize| {
        let line = body.get(at.saturating_add(1)..);
        line.is_some_and(|line| line.starts_with(b"From "))
    };
    !body.is_ascii()
        || body.starts_with(b"From ")
        || has_long_line(body)
        || ends(body.len())
        || memchr::memchr_iter(b'\n', body).any(|at| ends(at) || begins(at))
}

fn encode_header(edits: &mut EditSet<'_>, part: Part<'_>) -> Result<(), Unfit> {
    for field in part.fields().filter(|field| !field.raw().is_ascii()) {
        let name = ["Subject", "Comments"]
            .into_iter()
            .find(|name| part.is_root() && field.is(name))
            .ok_or(Unfit::Header)?;
        let is_only = part.fields().filter(|other| other.is(name)).count() == 1;
        let unfolded = field.unfolded();
        let value = std::str::from_utf8(&unfolded).map_err(|_| Unfit::Header)?;
        if !is_only || value.contains("=?") {
            return Err(Unfit::Header);
        }
        edits
            .set_field(part.id(), name, value.trim())
            .map_err(|_| Unfit::Header)?;
    }
    Ok(())
}

fn encode_body(edits: &mut EditSet<'_>, part: Part<'_>) -> Result<(), Unfit> {
    if part.seal().is_some() {
        return Err(Unfit::Sealed);
    }
    if part.media_type().starts_with("message/") {
        return Err(Unfit::Nested);
    }
    let body = part.body();
    if !matches!(
        part.encoding(),
        Encoding::SevenBit | Encoding::EightBit | Encoding::Binary
    ) {
        return Err(Unfit::Broken);
    }
    let newline = part.message().newline().as_bytes();
    // In UTF-16 an octet that looks like a line end is none.
    let has_lines = part.media_type().starts_with("text/")
        && part
            .charset()
            .and_then(|label| Charset::for_label(label.as_bytes()))
            .is_none_or(|charset| charset.has_octet_lines());
    let mut encoding = match has_lines {
        true => smallest_legal(Encoding::SevenBit, body, newline),
        false => Encoding::Base64,
    };
    // A text that is in 7 bits is here for what transports do to it.
    if encoding == Encoding::SevenBit {
        encoding = Encoding::QuotedPrintable;
    }
    // Of a large text the shorter one: it is in memory three times over.
    if body.len() > LARGE && encoded_len(encoding, body) > encoded_len(Encoding::Base64, body) {
        encoding = Encoding::Base64;
    }
    edits
        .code_body(part.id(), new_charset(part), encoding)
        .map_err(|_| Unfit::Broken)
}

/// Is a body what its header will say when it is coded.
fn is_as_said(part: Part<'_>) -> bool {
    if !part.media_type().starts_with("text/") {
        return true;
    }
    let charset = match new_charset(part) {
        Some(label) => Charset::for_label(label.as_bytes()),
        None => charset(part),
    };
    charset.is_some_and(|charset| is_text(charset, part.encoding(), part.body()))
}

/// Codes of a body in quoted-printable the lines at risk; the others stay as they are, and so does what it decodes to.
fn guard_lines(edits: &mut EditSet<'_>, part: Part<'_>) -> Result<(), Unfit> {
    const FROM: &[u8] = b"From ";
    let old = part.body();
    if part.seal().is_some() {
        return Err(Unfit::Sealed);
    }
    let newline = part.message().newline().as_bytes();
    let mut raw = Vec::with_capacity(old.len().saturating_add(1024));
    for line in old.split_inclusive(|octet| *octet == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let start = raw.len();
        // Blanks there are of a transport: no decoder takes them for content (RFC 2045 section 6.7).
        let mut rest = codec::without_blanks(text);
        while let Some(behind) = rest.strip_prefix(FROM) {
            raw.extend_from_slice(b"=46rom ");
            // Two octets more than there were.
            if rest.len().saturating_add(2) > codec::LINE_MAX {
                raw.push(b'=');
                raw.extend_from_slice(newline);
                rest = behind;
            } else {
                raw.extend_from_slice(behind);
                rest = b"";
            }
        }
        raw.extend_from_slice(rest);
        raw.extend_from_slice(line.get(text.len()..).unwrap_or_default());
        let new = raw.get(start..).unwrap_or_default();
        let content = |line| codec::decode(Encoding::QuotedPrintable, line);
        let is_same = || matches!((content(line), content(new)), (Ok(old), Ok(new)) if old == new);
        if new != line && !is_same() {
            return Err(Unfit::Broken);
        }
    }
    let new = NewBody {
        raw,
        ..NewBody::default()
    };
    edits
        .replace_body(part.id(), new)
        .map_err(|_| Unfit::Broken)
}

/// A text that says nothing of its charset, or that it has none, and is UTF-8: now that it is encoded it must say so.
fn new_charset(part: Part<'_>) -> Option<&'static str> {
    let is_text = part.media_type().starts_with("text/");
    let says_nothing = part
        .charset()
        .is_none_or(|charset| charset.eq_ignore_ascii_case("us-ascii"));
    (is_text && says_nothing && std::str::from_utf8(part.body()).is_ok()).then_some("utf-8")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scan(text: &[u8]) -> Message {
        Message::scan(text.to_vec(), &Limits::default())
    }

    /// `\n` stands for CRLF.
    fn made(text: &str) -> Result<String, Unfit> {
        let message = scan(text.replace('\n', "\r\n").as_bytes());
        let after = to_7bit(&message, &Limits::default())?;
        Ok(String::from_utf8(after.into_raw())
            .unwrap()
            .replace("\r\n", "\n"))
    }

    const BEGIN: &str = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n";

    #[test]
    fn t67_messages() {
        for (text, expected) in [
            (
                "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nGrüße = ok\n",
                "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\nGr=C3=BC=C3=9Fe =3D ok\n",
            ),
            (
                "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\näöüäöü\n",
                "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\nw6TDtsO8w6TDtsO8DQo=\n",
            ),
            // What it is was not said; encoded, it must be.
            (
                "A: b\n\nein Grüß\n",
                "A: b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\nMIME-Version: 1.0\n\nein Gr=C3=BC=C3=9F\n",
            ),
            (
                "MIME-Version: 1.0\nContent-Type: application/x\nContent-Transfer-Encoding: 8bit\n\nabcdefä",
                "MIME-Version: 1.0\nContent-Type: application/x\nContent-Transfer-Encoding: base64\n\nYWJjZGVmw6Q=\n",
            ),
            (
                "Subject: Grüße\n an alle\n\nx\n",
                "Subject: =?utf-8?B?R3LDvMOfZQ==?= an alle\n\nx\n",
            ),
        ] {
            assert_eq!(made(text).as_deref(), Ok(expected), "{text}");
        }
        // Only the part that needs it.
        let parts = "\n7 bits\n--b\nContent-Transfer-Encoding: 8bit\n\nabcdefghi ü\n--b--\n";
        let after = made(&format!("{BEGIN}{parts}")).unwrap();
        let expected = parts
            .replace(
                "Content-Transfer-Encoding: 8bit\n",
                "Content-Transfer-Encoding: quoted-printable\nContent-Type: text/plain; charset=utf-8\n",
            )
            .replace('ü', "=C3=BC");
        assert_eq!(after, format!("{BEGIN}{expected}"));
    }

    /// man: mimicryd(8) "8-bit content that is signed, encrypted or within an attached message"
    #[test]
    fn t67_what_cannot_be_made_7_bit() {
        let signed = "MIME-Version: 1.0\nContent-Type: multipart/signed; boundary=b; protocol=\"application/pgp-signature\"\n\n--b\n\nä\n--b\nContent-Type: application/pgp-signature\n\nx\n--b--\n";
        for (text, why) in [
            (signed.to_string(), Unfit::Sealed),
            ("From: Jürgen <a@b>\n\nx\n".into(), Unfit::Header),
            ("Subject: ü =?utf-8?q?x?=\n\nx\n".into(), Unfit::Header),
            ("Subject: ü\nSubject: b\n\nx\n".into(), Unfit::Header),
            (
                format!("{BEGIN}Content-Description: ü\n\nx\n--b--\n"),
                Unfit::Header,
            ),
            (
                format!("{BEGIN}Content-Type: message/rfc822\n\nA: b\n\nü\n--b--\n"),
                Unfit::Nested,
            ),
            (
                "MIME-Version: 1.0\nContent-Transfer-Encoding: base64\n\nüü\n".into(),
                Unfit::Broken,
            ),
            (
                "MIME-Version: 1.0\nContent-Transfer-Encoding: x-uue\n\nüü\n".into(),
                Unfit::Broken,
            ),
            (format!("{BEGIN}\nx\n--b--\nepilogue ü\n"), Unfit::Broken),
        ] {
            assert_eq!(made(&text), Err(why), "{text}");
        }
        let latin = scan(b"Subject: Gr\xfc\xdfe\r\n\r\nx\r\n");
        assert_eq!(
            to_7bit(&latin, &Limits::default()).err(),
            Some(Unfit::Header)
        );
    }

    proptest! {
        /// The content of each leaf is what it was.
        #[test]
        fn t67_content_stays(first in any::<Vec<u8>>(), second in "[a-zü \r\n.]{0,80}", is_text in any::<bool>()) {
            let subtype = if is_text { "text/plain" } else { "application/x" };
            let text = [
                BEGIN.replace('\n', "\r\n").as_bytes(),
                format!("Content-Type: {subtype}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n").as_bytes(),
                &first,
                b"\r\n--b\r\n\r\n",
                second.as_bytes(),
                b"\r\n--b--\r\n",
            ].concat();
            let message = scan(&text);
            if let Ok(after) = to_7bit(&message, &Limits::default()) {
                prop_assert!(after.raw().is_ascii());
                let contents = |message: &Message| -> Vec<Vec<u8>> {
                    message.leaves().map(|leaf| leaf.decoded().unwrap().into_owned()).collect()
                };
                prop_assert_eq!(contents(&message), contents(&after));
            } else {
                prop_assert!(is_text || !message.leaves().all(|leaf| leaf.header().is_ascii() && !leaf.is_opaque()) || message.malformed());
            }
        }
    }
}
