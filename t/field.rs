//! Mails that other programs of this kind broke or let through, as reports of their users show them: each comes out right here.
//!
//! The mails are rebuilt with words of our own (`t/mail`).

use mimicry_core::message::{Limits, Message, Part};

use crate::harness::{contains, filter, mail};

const FOOTER: &str = "[[rule]]\nname = \"footer\"\nplugin = \"disclaim\"\n\
    options = { text = \"OURS – Приклад\", html = \"<p>OURS – Приклад</p>\" }\n";

const PROGRAMS: &str = "[[rule]]\nname = \"no programs\"\nplugin = \"remove\"\n\
    match = { filename = '\\.(js|exe)$' }\n";

fn scan(raw: &[u8]) -> Message {
    Message::scan(raw.to_vec(), &Limits::default())
}

fn texts_of_ours(message: &Message) -> Vec<String> {
    let has_ours = |part: &Part<'_>| {
        part.decoded().is_ok_and(|body| {
            let is_ours = |words: &str| contains(&body, words.as_bytes());
            is_ours("OURS – Приклад") || is_ours("OURS &#x2013;") || is_ours("OURS &#8211;")
        })
    };
    message
        .leaves()
        .filter(has_ours)
        .map(|part| part.section_text())
        .collect()
}

/// A footer stands in each variant once, every other part stays octet for octet.
#[test]
fn footers_that_broke_mails() {
    for (name, sections) in [
        // Boundaries out of step; Outlook showed no attachment any more.
        ("sogo-related-in-alternative-and-pdf", &["1.1", "1.2.1"][..]),
        // Announced as quoted-printable though it was none.
        ("html-7bit-with-equal-signs", &["1"]),
        // One line of tens of KB was cut by the next relay.
        ("html-picture-in-one-long-line", &["1", "2"]),
        // 13 of 18 were lost.
        ("mixed-18-forwarded-messages", &["1"]),
        // A footer after each attachment.
        ("apple-html-between-attachments", &["1", "2.5"]),
        // A character was cut in two by a soft line break.
        ("charset-utf-8-ukrainian-qp-soft-breaks", &["1"]),
        // With nothing typed the mail became garbled.
        ("html-of-blank-lines", &["1", "2"]),
    ] {
        let before = mail(&format!("{name}.eml"));
        let ran = filter(FOOTER, &before);
        assert_eq!(ran.code, 0, "{name}: {}", ran.err);
        let (before, after) = (scan(&before), scan(&ran.out));
        assert_eq!(texts_of_ours(&after), sections, "{name}: {}", ran.err);
        assert!(!after.malformed(), "{name}");
        assert!(
            ran.out
                .split(|octet| *octet == b'\n')
                .all(|line| line.len() <= 999),
            "{name}: a line is too long"
        );
        assert_eq!(before.leaves().count(), after.leaves().count(), "{name}");
        for (one, other) in before.leaves().zip(after.leaves()) {
            assert_eq!(one.media_type(), other.media_type(), "{name}");
            if !sections.contains(&one.section_text().as_str()) {
                assert_eq!(one.raw(), other.raw(), "{name}: {}", one.section_text());
                continue;
            }
            let (before, after) = (solid(one), solid(other));
            let start = if one.media_type() == "text/html" {
                "<p>OURS"
            } else {
                "OURS"
            };
            let (head, rest) = after.split_once(start).expect("ours");
            let tail = match one.media_type() {
                "text/html" => rest.split_once("</p>").expect("its end").1,
                _ => "",
            };
            assert_eq!(format!("{head}{tail}"), before, "{name}");
        }
    }
}

/// A name that only some programs read is judged, too.
#[test]
fn names_that_went_through_filters() {
    for (name, alert) in [
        ("name-behind-unfolded-line", "YWxlcnQoMSk="),
        ("name-rfc2231-sections-cut-encoded-words", "YWxlcnQoMik="),
        ("name-rfc2231-extension-in-second-section", "YWxlcnQoMyk="),
        ("name-quote-brings-second-parameter", "YWxlcnQoNCk="),
    ] {
        let before = mail(&format!("{name}.eml"));
        assert!(contains(&before, alert.as_bytes()), "{name}");
        let ran = filter(PROGRAMS, &before);
        assert_eq!(ran.code, 0, "{name}: {}", ran.err);
        assert!(!contains(&ran.out, alert.as_bytes()), "{name}: {}", ran.err);
    }
}

/// A filter that died of the name: it is in the note, in letters.
#[test]
fn a_name_beyond_ascii_is_in_the_note() {
    let rule = PROGRAMS.replace("js|exe", "zip");
    let ran = filter(&rule, &mail("name-rfc2231-percent-beside-encoded-word.eml"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    let after = scan(&ran.out);
    let note = after.leaves().last().expect("the note");
    let text = text_of(note);
    assert!(
        text.starts_with("nova narudžba pdf.zip (application/zip, 22 B) was removed"),
        "{text}"
    );
    assert_eq!(
        note.filename().as_deref(),
        Some("nova narudžba pdf.zip.removed.txt")
    );
}

/// The text without its blanks.
fn solid(part: Part<'_>) -> String {
    text_of(part).split_whitespace().collect()
}

fn text_of(part: Part<'_>) -> String {
    String::from_utf8_lossy(&part.decoded().expect("it decodes")).into_owned()
}
