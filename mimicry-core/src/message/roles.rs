//! The role of each leaf for a reader: the mail's text, an attachment, or something shown within it.
//!
//! Every leaf has exactly one role, decided from the part and its siblings. A reader's mail program decides such things
//! by habit; where habits differ, the mail's own text is never taken for a file because of its name, and a picture that
//! is shown is never taken for an attached one.
//!
//! Must never: look into message/rfc822.

use std::collections::BTreeMap;

use super::part::Part;
use super::refers;
use super::tree::{Message, PartId};
pub use super::tree::{Role, Roles};

impl Message {
    /// What its leaves are for a reader; found once.
    pub fn roles(&self) -> &Roles {
        self.roles.get_or_init(|| Roles::of(self))
    }
}

impl Roles {
    pub fn of(message: &Message) -> Roles {
        let mut roles: Vec<Option<Role>> = message
            .parts()
            .map(|part| (!part.is_multipart()).then_some(Role::Inline))
            .collect();
        let bodies = bodies(message);
        for id in &bodies {
            if let Some(role) = roles.get_mut(id.index()) {
                *role = Some(Role::Body);
            }
        }
        let referred = refers::referred_to(message);
        let mut shown = Vec::new();
        let mut roots = BTreeMap::new();
        for part in message.leaves() {
            let Some(role) = roles.get_mut(part.id().index()) else {
                continue;
            };
            let is_referred = referred.binary_search(&part.id()).is_ok();
            let is_shown_within = is_shown_in_related(part, is_referred, &mut roots);
            if is_referred || is_shown_within {
                shown.push(part.id());
            }
            let is_shown = is_shown_within || is_referred && !says_attached(part);
            if *role == Some(Role::Inline) && !is_shown && (says_attached(part) || has_name(part)) {
                *role = Some(Role::Attachment);
            }
        }
        let root = message.root();
        Roles {
            attached_root: bodies == [PartId::ROOT] && says_attached(root),
            roles,
            shown,
        }
    }

    /// `None` for multiparts.
    pub fn role(&self, part: PartId) -> Option<Role> {
        self.roles.get(part.index()).copied().flatten()
    }

    /// Is the part shown within the mail: HTML refers to it, or it stands in a multipart/related as what HTML refers to does.
    pub fn is_shown(&self, part: PartId) -> bool {
        self.shown.binary_search(&part).is_ok()
    }

    /// May the part be taken as an attachment: it is one and not shown, or it is all of a mail that calls it one.
    pub fn is_attached(&self, part: PartId) -> bool {
        match self.role(part) {
            Some(Role::Attachment) => !self.is_shown(part),
            Some(Role::Body) => self.attached_root,
            _ => false,
        }
    }
}

/// A text that may be the mail's own.
struct Text {
    id: PartId,
    named: bool,
    /// One of several forms of the same text.
    variant: bool,
}

/// The leaves that are body text, in document order.
fn bodies(message: &Message) -> Vec<PartId> {
    let texts = texts(message.root());
    let is_body = |text: &&Text| !text.named || text.variant;
    let mut bodies: Vec<PartId> = texts.iter().filter(is_body).map(|text| text.id).collect();
    if bodies.is_empty() {
        // With no other text the first is read as the mail's, whatever name it bears.
        bodies.extend(texts.first().map(|text| text.id));
    }
    let root = message.root();
    if bodies.is_empty() && !root.is_multipart() && is_text(root) {
        bodies.push(PartId::ROOT);
    }
    bodies.sort_unstable();
    bodies
}

/// The texts that are not attached, in document order. Explicit stack: depth is the sender's choice.
fn texts(root: Part<'_>) -> Vec<Text> {
    let mut texts = Vec::new();
    let mut stack = vec![(root, false)];
    while let Some((part, variant)) = stack.pop() {
        if !part.is_multipart() {
            if is_text(part) && !says_attached(part) {
                texts.push(Text {
                    id: part.id(),
                    named: has_name(part),
                    variant,
                });
            }
            continue;
        }
        let before = stack.len();
        match part.media_type() {
            "multipart/related" => stack.extend(related_text(part).map(|root| (root, variant))),
            // RFC 6522: the first part is for people, the others for programs. RFC 1847: the second part is the signature.
            "multipart/report" | "multipart/signed" => {
                stack.extend(part.children().next().map(|first| (first, variant)));
            }
            // Encrypted content has no text, and the forks of a file are none.
            "multipart/encrypted"
            | "multipart/digest"
            | "multipart/form-data"
            | "multipart/appledouble" => {}
            "multipart/alternative" => stack.extend(part.children().map(|child| (child, true))),
            // A variant in several parts begins with its text.
            _ => stack.extend(
                part.children()
                    .enumerate()
                    .map(|(index, child)| (child, variant && index == 0)),
            ),
        }
        if let Some(pushed) = stack.get_mut(before..) {
            pushed.reverse();
        }
    }
    texts
}

/// The part of a multipart/related that refers to the others (RFC 2387): the one that `start` names, or the first.
pub fn related_root(part: Part<'_>) -> Option<Part<'_>> {
    if let Some(start) = part.param("start") {
        let start = start.trim_matches(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"'));
        let start = start.as_bytes().to_vec();
        if let Some(named) = part
            .children()
            .find(|child| child.content_id().as_deref() == Some(&start))
        {
            return Some(named);
        }
    }
    part.children().next()
}

/// What a reader shows of a multipart/related: its root, or the first text where a picture stands in the root's place.
pub fn related_text(part: Part<'_>) -> Option<Part<'_>> {
    let may_hold = |part: &Part<'_>| part.is_multipart() || is_text(*part);
    let root = related_root(part)?;
    Some(if may_hold(&root) {
        root
    } else {
        part.children().find(may_hold).unwrap_or(root)
    })
}

fn is_text(part: Part<'_>) -> bool {
    matches!(part.media_type(), "text/plain" | "text/html") && !part.is_opaque()
}

/// RFC 2183 section 2.8: an unknown disposition is an attachment.
fn says_attached(part: Part<'_>) -> bool {
    part.disposition().is_some_and(|word| word != "inline")
}

fn has_name(part: Part<'_>) -> bool {
    !part.filenames().is_empty() || part.names().are_given()
}

/// Does it stand in a multipart/related as something that the root shows. The reference may be one that nobody finds.
/// `roots`: those of the multiparts that were asked for.
fn is_shown_in_related(
    part: Part<'_>,
    is_referred: bool,
    roots: &mut BTreeMap<PartId, Option<PartId>>,
) -> bool {
    let mut at = part;
    let stands_in = loop {
        let Some(parent) = at.parent() else {
            break false;
        };
        if parent.media_type() == "multipart/related" {
            let root = || related_text(parent).map(|root| root.id());
            if *roots.entry(parent.id()).or_insert_with(root) != Some(at.id()) {
                break true;
            }
        }
        at = parent;
    };
    if !stands_in {
        return false;
    }
    let is_named_there = part.content_id().is_some() || part.field("content-location").is_some();
    match part.disposition().as_deref() {
        Some("inline") => true,
        None => is_named_there || is_referred,
        // Programs call pictures attached that they show; a document called so is a document.
        Some(_) => is_referred || is_named_there && is_for_show(part.media_type()),
    }
}

fn is_for_show(media_type: &str) -> bool {
    let whole = ["image/", "audio/", "video/", "font/"];
    whole.iter().any(|start| media_type.starts_with(start)) || media_type == "text/css"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::scan::tests::{expand, scan};

    /// The roles of the leaves, a shown one with `*`.
    fn roles(short: &str) -> String {
        let message = scan(&expand(short));
        let roles = Roles::of(&message);
        assert!(
            message
                .parts()
                .all(|part| roles.role(part.id()).is_some() != part.is_multipart())
        );
        let word = |part: Part<'_>| {
            let star = if roles.is_shown(part.id()) { "*" } else { "" };
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
    const NAMED: &str = "Content-Type: text/plain; name=a.txt\n|text";
    const NAMED_HTML: &str =
        "Content-Type: text/html; name=a.html\nContent-Disposition: inline; filename=a.html\n|<p>";
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
            (
                "Content-Type: image/png\nContent-Description: a view\n",
                "inline",
            ),
            (
                "Content-Type: application/pdf\nContent-Description: a.pdf\n",
                "inline",
            ),
            (
                "Content-Type: text/csv\nContent-Location: a.csv\n",
                "inline",
            ),
            ("Content-Type: application/pdf; name=a.pdf\n", "attachment"),
            // The only text of a mail is its text, whatever name it bears and whatever it is called.
            ("Content-Type: text/plain; name=a.txt\n", "body"),
            ("Content-Type: text/html; name=a.html\n", "body"),
            ("Content-Type: text/csv; name=a.csv\n", "attachment"),
            ("Content-Disposition: inline\n", "body"),
            ("Content-Disposition: attachment filename=a.txt\n", "body"),
            ("Content-Disposition: INLINE (shown)\n", "body"),
            ("Content-Disposition: attachment\n", "body"),
            ("Content-Disposition: inline; filename=a.txt\n", "body"),
            ("Content-Disposition: x-odd\n", "body"),
            (
                "Content-Type: text/csv\nContent-Disposition: x-odd\n",
                "attachment",
            ),
            (
                "Content-Type: text/csv\nContent-Disposition: \"x odd\"\n",
                "inline",
            ),
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
        let pdf_attached =
            "Content-Type: application/pdf\nContent-ID: <a@b>\nContent-Disposition: attachment\n|x";
        let pdf_cid = cid;
        let inline_named = "Content-Type: image/png; name=a.png\nContent-Disposition: inline\n|x";
        let located = "Content-Type: image/png; name=a.png\nContent-Location: a.png\n|x";
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
            // As list managers describe the texts of a digest.
            (
                "mixed",
                &[TEXT, "Content-Description: Today's Topics\n|text"],
                "body body",
            ),
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
            ("related", &[HTML, PNG], "body inline*"),
            ("related", &[cid, named], "body inline*"),
            ("related", &[other, named], "body inline*"),
            ("related", &[cid, named_attached], "body inline*"),
            ("related", &[HTML, named_attached], "body inline*"),
            ("related", &[HTML, PDF], "body attachment"),
            ("related", &[HTML, pdf_attached], "body attachment"),
            ("related", &[pdf_cid, pdf_attached], "body inline*"),
            ("related", &[HTML, inline_named], "body inline*"),
            ("related", &[HTML, located], "body inline*"),
            ("related", &[PDF, PNG], "attachment inline*"),
            ("mixed", &[cid, named], "body inline*"),
            ("mixed", &[cid, named_attached], "body attachment*"),
            ("mixed", &[HTML, named], "body attachment"),
            ("mixed", &[HTML, inline_named], "body attachment"),
            // A name makes no attachment of the only text, of the first, or of a variant.
            ("mixed", &[NAMED], "body"),
            ("mixed", &[PDF, NAMED], "attachment body"),
            ("mixed", &[NAMED, NAMED], "body attachment"),
            ("mixed", &[NAMED, TEXT], "attachment body"),
            ("mixed", &[TEXT, NAMED], "body attachment"),
            ("mixed", &[attached, NAMED], "attachment body"),
            ("mixed", &[attached], "attachment"),
            ("alternative", &[NAMED, NAMED_HTML], "body body"),
            ("alternative", &[TEXT, NAMED_HTML], "body body"),
            ("alternative", &[TEXT, attached], "body attachment"),
            (
                "alternative",
                &[TEXT, HTML, "Content-Type: image/png; name=a.png\n|x"],
                "body body attachment",
            ),
            ("related", &[NAMED_HTML, PNG], "body inline*"),
            ("appledouble", &[NAMED, NAMED], "attachment attachment"),
            (
                "related",
                &["Content-Type: text/html\n|url(cid:%61%40b)", named],
                "body inline*",
            ),
            (
                "related",
                &["Content-Type: text/html\n|cid:cid:a@b", named],
                "body inline*",
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
                "body inline*",
            ),
            (
                "related; start=\"<r@b>\"",
                &[TEXT, "Content-ID: <r@b>\n|x"],
                "inline body",
            ),
            ("related; start=\"<none@b>\"", &[TEXT, TEXT], "body inline"),
            // A picture that stands before the text is no root.
            ("related", &[PNG, TEXT], "inline* body"),
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
