//! What each leaf is to a reader: the mail's text, an attachment, or something shown within.
//!
//! Every leaf has exactly one role. A reader's mail program decides such things by habit; the habits that differ are
//! resolved so that an edit of the body can only reach text that every program shows as such.
//!
//! Must never: look into message/rfc822.

use std::borrow::Cow;
use std::collections::BTreeMap;

use memchr::{memchr, memchr2};

use super::{Message, Part, PartId};

/// The role of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// text/plain or text/html that a reader sees as the mail's text; with alternatives each of them.
    Body,
    /// Disposition attachment, or a file name and no reference from the HTML.
    Attachment,
    /// Everything else: cid images, calendars, unnamed parts.
    Inline,
}

/// The roles of all parts of a message.
#[derive(Debug)]
pub struct Roles {
    /// By part; `None` for multiparts.
    roles: Vec<Option<Role>>,
    /// In document order.
    referenced: Vec<PartId>,
}

impl Roles {
    pub fn of(message: &Message) -> Roles {
        let mut roles: Vec<Option<Role>> = message
            .parts()
            .map(|part| (!part.is_multipart()).then_some(Role::Inline))
            .collect();
        let mut bodies = Vec::new();
        find_bodies(message.root(), &mut bodies);
        for id in &bodies {
            if let Some(role) = roles.get_mut(id.index()) {
                *role = Some(Role::Body);
            }
        }
        let referenced = referenced_parts(message);
        for part in message.leaves() {
            let Some(role) = roles.get_mut(part.id().index()) else {
                continue;
            };
            if *role == Some(Role::Inline) && is_attachment(part, &referenced) {
                *role = Some(Role::Attachment);
            }
        }
        Roles { roles, referenced }
    }

    /// `None` for multiparts.
    pub fn role(&self, part: PartId) -> Option<Role> {
        self.roles.get(part.index()).copied().flatten()
    }

    /// Does HTML of the mail refer to the part by its Content-ID (RFC 2392).
    pub fn is_referenced(&self, part: PartId) -> bool {
        self.referenced.binary_search(&part).is_ok()
    }
}

/// Collects the leaves that are body text, in document order. Explicit stack: depth is the sender's choice.
fn find_bodies(root: Part<'_>, bodies: &mut Vec<PartId>) {
    let mut stack = vec![root];
    while let Some(part) = stack.pop() {
        if !part.is_multipart() {
            if is_body_text(part) {
                bodies.push(part.id());
            }
            continue;
        }
        let first_only = match part.media_type() {
            "multipart/related" => {
                stack.extend(related_root(part));
                continue;
            }
            // RFC 6522: the first part is for people, the others for programs.
            "multipart/report" => true,
            // RFC 1847: the second part is the signature. Encrypted content has no text.
            "multipart/signed" => true,
            "multipart/encrypted" | "multipart/digest" | "multipart/form-data" => continue,
            _ => false,
        };
        let before = stack.len();
        stack.extend(
            part.children()
                .take(if first_only { 1 } else { usize::MAX }),
        );
        if let Some(pushed) = stack.get_mut(before..) {
            pushed.reverse();
        }
    }
}

/// The part of a multipart/related that refers to the others (RFC 2387): the one that `start` names, or the first.
pub fn related_root(part: Part<'_>) -> Option<Part<'_>> {
    if let Some(start) = part.param("start") {
        let start = start
            .trim()
            .trim_start_matches('<')
            .trim_end_matches('>')
            .as_bytes()
            .to_vec();
        if let Some(named) = part
            .children()
            .find(|child| child.content_id().as_deref() == Some(&start))
        {
            return Some(named);
        }
    }
    part.children().next()
}

fn is_body_text(part: Part<'_>) -> bool {
    matches!(part.media_type(), "text/plain" | "text/html")
        && !part.is_opaque()
        && part.disposition().is_none_or(|word| word == "inline")
        && part.filenames().is_empty()
}

fn is_attachment(part: Part<'_>, referenced: &[PartId]) -> bool {
    if referenced.binary_search(&part.id()).is_ok()
        && part.disposition().as_deref() != Some("attachment")
    {
        return false;
    }
    match part.disposition() {
        // RFC 2183 section 2.8: an unknown disposition is an attachment.
        Some(word) if word != "inline" => true,
        _ => !part.filenames().is_empty(),
    }
}

/// The parts whose Content-ID stands behind a `cid:` in HTML of the mail.
fn referenced_parts(message: &Message) -> Vec<PartId> {
    let named: Vec<(PartId, Vec<u8>)> = message
        .leaves()
        .filter_map(|part| Some((part.id(), part.content_id()?)))
        .collect();
    if named.is_empty() {
        return Vec::new();
    }
    let mut is_referenced: BTreeMap<&[u8], bool> =
        named.iter().map(|(_, id)| (id.as_slice(), false)).collect();
    for part in message
        .leaves()
        .filter(|part| part.media_type() == "text/html")
    {
        if let Ok(html) = part.decoded() {
            mark_references(&html, &mut is_referenced);
        }
    }
    let is_referenced = |id: &Vec<u8>| is_referenced.get(id.as_slice()) == Some(&true);
    named
        .iter()
        .filter(|(_, id)| is_referenced(id))
        .map(|(part, _)| *part)
        .collect()
}

/// Marks the Content-IDs that stand behind `cid:` in some HTML, percent-encoded or not. What follows a reference is
/// searched for the next one, so that no octet is looked at twice.
fn mark_references(html: &[u8], ids: &mut BTreeMap<&[u8], bool>) {
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
        let end = behind
            .iter()
            .position(|octet| {
                matches!(octet, b'"' | b'\'' | b'>' | b'<' | b')' | b'&')
                    || octet.is_ascii_whitespace()
            })
            .unwrap_or(behind.len());
        let (id, tail) = behind.split_at_checked(end).unwrap_or((behind, b""));
        if let Some(mark) = ids.get_mut(&*percent_decode(id)) {
            *mark = true;
        }
        rest = tail;
    }
}

fn percent_decode(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr(b'%', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => char::from(*high)
                .to_digit(16)
                .zip(char::from(*low).to_digit(16))
                .and_then(|(high, low)| u8::try_from(high * 16 + low).ok()),
            _ => None,
        };
        match escaped {
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
    use crate::message::scan::tests::{expand, scan};

    /// The roles of the leaves, a referenced one with `*`.
    fn roles(short: &str) -> String {
        let message = scan(&expand(short));
        let roles = Roles::of(&message);
        assert!(
            message
                .parts()
                .all(|part| roles.role(part.id()).is_some() != part.is_multipart())
        );
        let word = |part: Part<'_>| {
            let star = if roles.is_referenced(part.id()) {
                "*"
            } else {
                ""
            };
            format!("{:?}{star}", roles.role(part.id()).unwrap()).to_lowercase()
        };
        message.leaves().map(word).collect::<Vec<_>>().join(" ")
    }

    /// A multipart of that type around parts, each given as `header|body`.
    fn multipart(content_type: &str, parts: &[&str]) -> String {
        let part = |part: &&str| {
            let (header, body) = part.split_once('|').unwrap();
            format!("--b\n{header}\n{body}\n")
        };
        let parts: String = parts.iter().map(part).collect();
        format!("Content-Type: multipart/{content_type}; boundary=b\n\n{parts}--b--\n")
    }

    const TEXT: &str = "|text";
    const HTML: &str = "Content-Type: text/html\n|<p>";
    const PDF: &str = "Content-Type: application/pdf; name=a.pdf\n|x";
    const PNG: &str = "Content-Type: image/png\nContent-ID: <a@b>\n|x";

    #[test]
    fn of_a_single_leaf() {
        for (header, role) in [
            ("", "body"),
            ("Content-Type: text/plain\n", "body"),
            ("Content-Type: text/html\n", "body"),
            ("Content-Type: text/enriched\n", "inline"),
            ("Content-Type: text/calendar\n", "inline"),
            ("Content-Type: image/png\n", "inline"),
            ("Content-Type: message/rfc822\n", "inline"),
            ("Content-Type: application/pdf; name=a.pdf\n", "attachment"),
            ("Content-Type: text/plain; name=a.txt\n", "attachment"),
            ("Content-Disposition: inline\n", "body"),
            ("Content-Disposition: INLINE (shown)\n", "body"),
            ("Content-Disposition: attachment\n", "attachment"),
            (
                "Content-Disposition: inline; filename=a.txt\n",
                "attachment",
            ),
            ("Content-Disposition: x-odd\n", "attachment"),
            ("Content-Disposition:\n", "body"),
            ("Content-Type: multipart/mixed\n", "inline"),
        ] {
            assert_eq!(roles(&format!("{header}\nx")), role, "{header}");
        }
    }

    #[test]
    fn of_leaves_together() {
        let attached = "Content-Disposition: attachment\n|x";
        let cid = "Content-Type: text/html\n|<img src=\"CID:a@b\">";
        let other = "Content-Type: text/html\n|<img src=cid:b@b>";
        let named = "Content-Type: image/png; name=a.png\nContent-ID: <a@b>\n|x";
        let named_attached = "Content-Type: image/png; name=a.png\nContent-ID: <a@b>\nContent-Disposition: attachment\n|x";
        for (content_type, parts, expected) in [
            ("alternative", &[TEXT, HTML][..], "body body"),
            (
                "alternative",
                &[TEXT, "Content-Type: text/calendar\n|x", HTML],
                "body inline body",
            ),
            ("mixed", &[TEXT, PDF, TEXT], "body attachment body"),
            ("mixed", &[PDF, TEXT], "attachment body"),
            ("mixed", &[TEXT, attached], "body attachment"),
            (
                "mixed",
                &[TEXT, "Content-Type: message/rfc822\n|Subject: x"],
                "body inline",
            ),
            ("x-unknown", &[TEXT, TEXT], "body body"),
            // The root of a related, and what it shows
            ("related", &[HTML, TEXT], "body inline"),
            ("related", &[cid, PNG], "body inline*"),
            ("related", &[cid, named], "body inline*"),
            ("related", &[other, named], "body attachment"),
            ("related", &[cid, named_attached], "body attachment*"),
            (
                "related",
                &["Content-Type: text/html\n|url(cid:%61%40b)", named],
                "body inline*",
            ),
            (
                "related",
                &["Content-Type: text/html\n|cid:cid:a@b", named],
                "body attachment",
            ),
            (
                "related",
                &[
                    "Content-Type: text/html\nContent-Transfer-Encoding: base64\n|Y2lkOmFAYg==",
                    named,
                ],
                "body inline*",
            ),
            (
                "related",
                &[
                    "Content-Type: text/html\nContent-Transfer-Encoding: base64\n|####",
                    named,
                ],
                "body attachment",
            ),
            (
                "related; start=\"<r@b>\"",
                &[TEXT, "Content-ID: <r@b>\n|x"],
                "inline body",
            ),
            ("related; start=\"<none@b>\"", &[TEXT, TEXT], "body inline"),
            ("related", &[PNG, TEXT], "inline inline"),
            // Reports, signatures, collections
            ("report", &[TEXT, TEXT, TEXT], "body inline inline"),
            (
                "signed",
                &[TEXT, "Content-Type: application/pgp-signature\n|x"],
                "body inline",
            ),
            ("encrypted", &[TEXT, TEXT], "inline inline"),
            (
                "digest",
                &[TEXT, "Content-Type: text/plain\n|x"],
                "inline inline",
            ),
            (
                "form-data",
                &["Content-Disposition: form-data\n|x"],
                "attachment",
            ),
        ] {
            assert_eq!(
                roles(&multipart(content_type, parts)),
                expected,
                "{content_type}: {parts:?}"
            );
        }
    }

    #[test]
    fn of_nested_ones() {
        for (short, expected) in [
            (
                "{o}--o\n{i}--i\n\nx\n--i\n{h}y\n--i--\n--o\nContent-Disposition: attachment\n\nz\n--o--\n",
                "body body attachment",
            ),
            (
                "Content-Type: multipart/report; boundary=o\n\n--o\n{i}--i\n\nx\n--i\n{h}y\n--i--\n--o\n\nz\n--o--\n",
                "body body inline",
            ),
            (
                "Content-Type: multipart/related; boundary=o\n\n--o\n{i}--i\n\nx\n--i\n{h}y\n--i--\n--o\n{h}z\n--o--\n",
                "body body inline",
            ),
        ] {
            assert_eq!(roles(short), expected);
        }
    }
}
