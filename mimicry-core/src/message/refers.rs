//! Which parts the HTML of a mail refers to, by Content-ID (RFC 2392) or Content-Location (RFC 2557).
//!
//! Readers find a picture in more ways than the standards name, and a picture that is taken for a file is lost to them all. So a
//! reference is looked for in the text as it is read: in whatever charset, with character references and percent-encoding
//! resolved, with or without `cid:`, with blanks and `<>` around, and as far as a damaged coding can be read.
//!
//! Must never: look into message/rfc822, or look at an octet more often than a bounded number of times.

use std::borrow::Cow;
use std::collections::BTreeMap;

use memchr::memchr2;

use super::charrefs;
use super::charset::Charset;
use super::lenient::{self, hex_pair};
use super::part::Part;
use super::tree::{Message, PartId};

/// Longer values name nothing; a picture within the HTML itself (`data:`) is one.
const LONGEST: usize = 4096;

/// In document order.
pub(super) fn referred_to(message: &Message) -> Vec<PartId> {
    let mut wanted = Wanted::default();
    for part in message.leaves() {
        let location = part.field("content-location");
        let location = location.map(|field| field.unfolded().into_owned());
        for name in part.content_id().into_iter().chain(location) {
            let key = key(&name);
            if !key.is_empty() {
                wanted.0.entry(key).or_default().0.push(part.id());
            }
        }
    }
    if wanted.0.is_empty() {
        return Vec::new();
    }
    for part in message.leaves() {
        if part.media_type() == "text/html" {
            wanted.mark_in(&text_of(part));
        }
    }
    let found = wanted.0.into_values().filter(|(_, is_found)| *is_found);
    let mut parts: Vec<PartId> = found.flat_map(|(parts, _)| parts).collect();
    parts.sort_unstable();
    parts.dedup();
    parts
}

/// The text of HTML as far as it can be read, in UTF-8 or a charset in which ASCII stands for itself.
fn text_of(part: Part<'_>) -> Cow<'_, [u8]> {
    let content = lenient::decode(part.encoding(), part.body());
    let label = part.charset();
    let is_wide = matches!(&*content, [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..]);
    let charset = match label {
        Some(label) => Charset::for_label(label.as_bytes()),
        None => None,
    };
    let charset = charset.or_else(|| is_wide.then(|| Charset::for_label(b"utf-16")).flatten());
    match charset.map(|charset| charset.resolve(&content)) {
        Some(charset) if !charset.markup_safe() => {
            let text = charset.decode_for_matching(&content).into_owned();
            Cow::Owned(text.into_bytes())
        }
        _ => content,
    }
}

/// By the name under which HTML may refer to them: the parts, and whether some HTML does.
#[derive(Default)]
struct Wanted(BTreeMap<Vec<u8>, (Vec<PartId>, bool)>);

impl Wanted {
    fn mark(&mut self, reference: &[u8]) {
        if reference.len() > LONGEST {
            return;
        }
        // What only looks like a character reference is part of the name.
        let resolved = match charrefs::resolve(reference) {
            Cow::Owned(resolved) => Some(key(&resolved)),
            Cow::Borrowed(_) => None,
        };
        for key in [Some(key(reference)), resolved].into_iter().flatten() {
            if let Some((_, is_found)) = self.0.get_mut(&key) {
                *is_found = true;
            }
        }
    }

    fn mark_in(&mut self, html: &[u8]) {
        self.mark_schemes(html);
        self.mark_values(html);
    }

    /// What stands behind `cid:`, wherever that is. What follows a reference is searched for the next one, so that no octet is
    /// looked at twice.
    fn mark_schemes(&mut self, html: &[u8]) {
        let mut rest = html;
        while let Some(at) = memchr2(b'c', b'C', rest) {
            let found = rest.get(at..).unwrap_or_default();
            let Some((scheme, behind)) = found.split_at_checked(4) else {
                break;
            };
            if !scheme.eq_ignore_ascii_case(b"cid:") {
                rest = found.get(1..).unwrap_or_default();
                continue;
            }
            let open = |octet: &u8| matches!(octet, b' ' | b'\t' | b'<');
            let start = behind.iter().take_while(|octet| open(octet)).count();
            let behind = behind.get(start..).unwrap_or_default();
            let ends = |octet: &u8| {
                matches!(octet, b'"' | b'\'' | b'>' | b'<' | b')') || octet.is_ascii_whitespace()
            };
            let end = behind.iter().position(ends).unwrap_or(behind.len());
            let (id, tail) = behind.split_at_checked(end).unwrap_or((behind, b""));
            // `cid:cid:x` refers to `cid:x`, which the key would shorten.
            if !id
                .get(..4)
                .is_some_and(|start| start.eq_ignore_ascii_case(b"cid:"))
            {
                self.mark(id);
            }
            rest = tail;
        }
    }

    /// The values of attributes, and what stands in `url(…)`.
    fn mark_values(&mut self, html: &[u8]) {
        let mut rest = html;
        while let Some(at) = memchr2(b'=', b'(', rest) {
            rest = rest.get(at.saturating_add(1)..).unwrap_or_default();
            let blanks = |text: &[u8]| {
                text.iter()
                    .take_while(|octet| octet.is_ascii_whitespace())
                    .count()
            };
            let value = rest.get(blanks(rest)..).unwrap_or_default();
            let ends = |octet: &u8| matches!(octet, b'>' | b')') || octet.is_ascii_whitespace();
            // No further than a name can be long, so that quotes without an end cost nothing.
            let near = |text: &'_ [u8]| text.len().min(LONGEST);
            let value = match value {
                [quote @ (b'"' | b'\''), quoted @ ..] => quoted
                    .get(..near(quoted))
                    .unwrap_or_default()
                    .split(|octet| octet == quote)
                    .next(),
                _ => value
                    .get(..near(value))
                    .unwrap_or_default()
                    .split(|octet| ends(octet))
                    .next(),
            };
            let value = value.unwrap_or_default();
            if value.is_empty() {
                continue;
            }
            self.mark(value);
            // RFC 2392: `mid:` names the mail, then the part.
            let is_mid = value
                .get(..4)
                .is_some_and(|start| start.eq_ignore_ascii_case(b"mid:"));
            if is_mid && let Some(id) = value.rsplit(|octet| *octet == b'/').next() {
                self.mark(id);
            }
        }
    }
}

/// What two names have in common that a reader takes for the same.
fn key(name: &[u8]) -> Vec<u8> {
    let mut key: Vec<u8> = percent_decode(name)
        .iter()
        .filter(|octet| !octet.is_ascii_whitespace())
        .map(u8::to_ascii_lowercase)
        .collect();
    if key.starts_with(b"cid:") {
        key.drain(..4);
    }
    let marks = |octet: &u8| matches!(octet, b'<' | b'>' | b'"' | b'\'');
    let end = key.len() - key.iter().rev().take_while(|octet| marks(octet)).count();
    key.truncate(end);
    let start = key.iter().take_while(|octet| marks(octet)).count();
    key.drain(..start);
    key
}

fn percent_decode(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        match hex_pair(tail).filter(|_| *first == b'%') {
            Some(octet) => {
                out.push(octet);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::limits::Limits;

    /// Does HTML refer to a picture with that field.
    fn refers(field: &str, html_header: &str, html: &[u8]) -> bool {
        let mut mail = format!("Content-Type: multipart/mixed; boundary=b\n\n--b\n{html_header}\n")
            .into_bytes();
        mail.extend_from_slice(html);
        mail.extend_from_slice(
            format!("\n--b\nContent-Type: image/png\n{field}\n\nx\n--b--\n").as_bytes(),
        );
        let message = Message::scan(mail, &Limits::default());
        assert_eq!(message.parts().count(), 3);
        !referred_to(&message).is_empty()
    }

    #[test]
    fn references() {
        let id = "Content-ID: <a.1@b.example>";
        for (field, html, expected) in [
            (id, "<img src=\"cid:a.1@b.example\">", true),
            (id, "<img src='CID:A.1@B.example'>", true),
            (id, "<img src=cid:a.1@b.example>", true),
            (id, "<img src=\"cid: a.1@b.example \">", true),
            (id, "<img src=\" cid:a.1@b.example\">", true),
            (id, "<img src=\"cid:<a.1@b.example>\">", true),
            (id, "<img src=\"cid:%3Ca.1%40b.example%3E\">", true),
            (id, "<img src=\"cid&#58;a.1&commat;b.example\">", true),
            (id, "<img src=\"cid:a.1&#x40;b.example\">", true),
            (id, "<p style=\"background: url(cid:a.1@b.example)\">", true),
            (
                id,
                "<p style=\"background:url(&quot;cid:a.1@b.example&quot;)\">",
                true,
            ),
            (id, "<p style='background:url(\"a.1@b.example\")'>", true),
            (id, "<img src=\"a.1@b.example\">", true),
            (id, "<img src=\"mid:m@x.example/a.1@b.example\">", true),
            (id, "<img src=\"cid:cid:a.1@b.example\">", false),
            (id, "<img src=\"cid:a.1@b.exampl\">", false),
            (id, "<p>a.1@b.example", false),
            (id, "<img src=\"cid:\"><img src=\"\">", false),
            (
                "Content-ID: < a.1@b.example >",
                "<img src=\"cid:a.1@b.example\">",
                true,
            ),
            (
                "Content-ID:\n <a.1@b.example>",
                "<img src=\"cid:a.1@b.example\">",
                true,
            ),
            (
                "Content-ID: a.1@b.example",
                "<img src=\"cid:a.1@b.example\">",
                true,
            ),
            (
                "Content-ID: \"<a.1@b.example>\"",
                "<img src=\"cid:a.1@b.example\">",
                true,
            ),
            (
                "Content-ID: (seal) <a.1@b.example> (of Anna)",
                "<img src=\"cid:a.1@b.example\">",
                true,
            ),
            ("Content-ID: <p&1@x>", "<img src=\"cid:p&amp;1@x\">", true),
            ("Content-ID: <p&1@x>", "<img src=\"cid:p&1@x\">", true),
            (
                "Content-ID: <p&amp;1@x>",
                "<img src=\"cid:p&amp;1@x\">",
                true,
            ),
            (
                "Content-ID: <my logo.png>",
                "<img src=\"cid:my%20logo.png\">",
                true,
            ),
            (
                "Content-ID: <my logo.png>",
                "<img src=\"cid:my logo.png\">",
                true,
            ),
            ("Content-ID: <>", "<img src=\"cid:\">", false),
            ("X: y", "<img src=\"cid:\">", false),
            (
                "Content-Location: image001.bmp",
                "<img src=\"image001.bmp\">",
                true,
            ),
            (
                "Content-Location: image%20001.bmp",
                "<img src=\"image 001.bmp\">",
                true,
            ),
            (
                "Content-Location: http://x.example/a/b.png",
                "<img src=http://x.example/a/b.png>",
                true,
            ),
            ("Content-Location: image001.bmp", "<p>image001.bmp", false),
        ] {
            let header = "Content-Type: text/html\n";
            assert_eq!(
                refers(field, header, html.as_bytes()),
                expected,
                "{field} {html}"
            );
        }
    }

    #[test]
    fn in_every_charset_and_coding() {
        let id = "Content-ID: <a@b>";
        let html = "<img src=\"cid:a@b\">";
        let wide: Vec<u8> = html.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let marked: Vec<u8> = [&[0xFF, 0xFE], &wide[..]].concat();
        let broad: Vec<u8> = html.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for (header, octets) in [
            ("Content-Type: text/html; charset=utf-16le\n", &wide[..]),
            ("Content-Type: text/html; charset=utf-16be\n", &broad[..]),
            ("Content-Type: text/html; charset=utf-16\n", &marked[..]),
            ("Content-Type: text/html\n", &marked[..]),
            ("Content-Type: text/html; charset=x-none\n", html.as_bytes()),
            (
                "Content-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n",
                b"<p bgcolor=\"#ffffff\">=zz <img src=3D\"cid:a=\n@b\">",
            ),
            (
                "Content-Type: text/html\nContent-Transfer-Encoding: base64\n",
                b"PGltZyBz#cmM9ImNpZDphQGIiPg=",
            ),
        ] {
            let text = String::from_utf8_lossy(octets);
            assert!(refers(id, header, octets), "{header}{text}");
        }
    }

    /// Quotes that nothing closes, and names of names.
    #[test]
    fn hostile_html_costs_little() {
        let mut html = "=\"".repeat(200_000);
        html.push_str("cid:".repeat(100_000).as_str());
        assert!(!refers(
            "Content-ID: <a@b>",
            "Content-Type: text/html\n",
            html.as_bytes()
        ));
    }
}
