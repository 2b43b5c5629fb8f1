//! The texts that readers of a mail see first, one for each way of reading it: the place for a text that everybody must
//! see.
//!
//! A mail says what its parts are, and readers interpret it in different ways: a name makes a text an attachment for
//! one program but not for another, one shows the last variant of an alternative and another the first, one knows the
//! `start` of a related and another takes its first part. So this file only asks what may be on the screen.
//!
//! Must never: look into message/rfc822; our text cannot go there.

use mimicry_core::message::roles::related_root;
use mimicry_core::message::{Message, Part, PartId};

/// In document order.
pub(super) fn first_seen(message: &Message) -> Vec<PartId> {
    let mut found: Vec<PartId> = first_of(message.root()).into_iter().map(Part::id).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Depth is bounded by the limits of the scan, which make a leaf of what is deeper.
fn first_of(part: Part<'_>) -> Vec<Part<'_>> {
    if !part.is_multipart() {
        return if is_seen(part) {
            vec![part]
        } else {
            Vec::new()
        };
    }
    match part.media_type() {
        "multipart/alternative" => {
            let children = part.children().filter(|child| !is_beside_text(*child));
            children.flat_map(first_of).collect()
        }
        "multipart/related" => {
            let first = part.children().next();
            let root = related_root(part);
            // Each part is asked once, or nesting would double the work at each level.
            let is_first = |root: &Part<'_>| first.is_some_and(|first| first.id() == root.id());
            let root = root.filter(|root| !is_first(root));
            root.into_iter().chain(first).flat_map(first_of).collect()
        }
        "multipart/encrypted" => Vec::new(),
        "multipart/signed" => part.children().next().map_or_else(Vec::new, first_of),
        _ => {
            let mut texts = part
                .children()
                .map(first_of)
                .filter(|found| !found.is_empty());
            let mut found = texts.next().unwrap_or_default();
            let is_html = |part: &Part<'_>| part.media_type() == "text/html";
            // Some programs show the first HTML and take what stands above it for an attachment.
            if found.iter().all(|part| part.media_type() == "text/plain") {
                let html = texts.flat_map(|found| found.into_iter().filter(is_html));
                found.extend(html.take(1));
            }
            found
        }
    }
}

/// May it be on the screen, as text.
fn is_seen(part: Part<'_>) -> bool {
    let media_type = part.media_type();
    let is_text = media_type.starts_with("text/") || media_type.starts_with("message/");
    is_text
        && !matches!(
            media_type,
            "text/calendar"
                | "text/vcard"
                | "text/x-vcard"
                | "text/directory"
                | "message/delivery-status"
                | "message/disposition-notification"
        )
        && part.disposition().as_deref() != Some("attachment")
}

/// Variants that programs read and people do not.
fn is_beside_text(part: Part<'_>) -> bool {
    matches!(part.media_type(), "text/calendar" | "text/x-watch-html")
}

#[cfg(test)]
mod tests {
    use mimicry_core::message::Limits;

    use super::*;

    /// Of which parts, by their sections.
    fn seen(mail: &str) -> String {
        let message = Message::scan(mail.replace('\n', "\r\n").into_bytes(), &Limits::default());
        let section = |id: PartId| message.part(id).unwrap().section_text();
        first_seen(&message)
            .into_iter()
            .map(section)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// A multipart of parts given as fields joined by ` / `.
    fn of(kind: &str, parts: &[&str]) -> String {
        let part = |head: &&str| format!("--b\n{}\n\nx\n", head.replace(" / ", "\n"));
        let parts: String = parts.iter().map(part).collect();
        format!("Content-Type: multipart/{kind}; boundary=b\n\n{parts}--b--\n")
    }

    // T185
    #[test]
    fn depth_costs_no_more_than_its_parts() {
        let mut mail = String::from("Content-Type: text/plain\n\nx\n");
        for level in 0..90 {
            mail = format!(
                "Content-Type: multipart/related; boundary=b{level}\n\n--b{level}\n{mail}\n--b{level}--\n"
            );
        }
        assert_eq!(seen(&mail).matches('1').count(), 90);
    }

    // T185
    #[test]
    fn what_is_on_the_screen_first() {
        const TEXT: &str = "Content-Type: text/plain";
        const HTML: &str = "Content-Type: text/html";
        const PDF: &str = "Content-Type: application/pdf";
        const NAMED: &str =
            "Content-Type: text/html; name=a.html / Content-Disposition: inline; filename=a.html";
        const ATTACHED: &str = "Content-Type: text/html / Content-Disposition: attachment";
        for (kind, parts, sections) in [
            ("mixed", &[TEXT, PDF][..], "1"),
            ("mixed", &[PDF, TEXT], "2"),
            ("mixed", &[HTML, TEXT], "1"),
            ("mixed", &[TEXT, HTML, HTML], "1 2"),
            ("mixed", &[NAMED, TEXT], "1"),
            ("mixed", &[ATTACHED, TEXT], "2"),
            ("mixed", &[PDF, ATTACHED], ""),
            ("mixed", &["Content-Type: message/rfc822", TEXT], "1"),
            (
                "form-data",
                &["Content-Disposition: form-data; name=a", TEXT],
                "1",
            ),
            ("alternative", &[TEXT, HTML, NAMED], "1 2 3"),
            (
                "alternative",
                &[TEXT, HTML, "Content-Type: text/calendar"],
                "1 2",
            ),
            (
                "alternative",
                &[TEXT, "Content-Type: text/x-amp-html"],
                "1 2",
            ),
            (
                "related; start=\"<r@b>\"",
                &[HTML, "Content-Type: text/html / Content-ID: <r@b>"],
                "1 2",
            ),
            ("related", &[HTML, TEXT], "1"),
            (
                "report",
                &[TEXT, "Content-Type: message/delivery-status"],
                "1",
            ),
            (
                "signed",
                &[TEXT, "Content-Type: application/pgp-signature"],
                "1",
            ),
            ("encrypted", &[TEXT], ""),
        ] {
            assert_eq!(seen(&of(kind, parts)), sections, "{kind} {parts:?}");
        }
        for (head, is_seen) in [
            ("", true),
            ("Content-Type: text/plain; name=a.txt", true),
            ("Content-Type: text/enriched", true),
            ("Content-Type: message/rfc822", true),
            ("Content-Type: image/png", false),
        ] {
            assert_eq!(
                !seen(&format!("{head}\n\nx\n")).is_empty(),
                is_seen,
                "{head}"
            );
        }
    }
}
