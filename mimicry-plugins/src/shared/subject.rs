//! Tags of the subject, which are not stacked on replies and can be taken off again.
//!
//! Must never: know what a tag is for.

use mimicry_core::message::header::{self, End};
use mimicry_core::message::words;
use unicode_normalization::char::is_combining_mark;

/// What mail programs write before the subject of a reply or a forwarded mail, in lower case, without the colon.
#[rustfmt::skip]
const REPLY_MARKS: &[&str] = &[
    "re", "aw", "sv", "vs", "antw", "r", "rif", "res", "odp", "ynt", "ref", "réf", "atb", "bls", "vá", "ats",
    "hl", "tr", "rv", "fw", "fwd", "wg", "vb", "vl", "doorst", "i", "enc", "pd", "ilt", "továbbítás", "ang",
    "отв", "ответ", "пересл", "на", "απ", "πρθ", "σχετ", "回复", "回覆", "答复", "转发", "轉寄", "返信", "転送", "답장", "회신",
    "전달", "השב", "תשובה", "הועבר", "رد",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Before,
    Behind,
}

impl Place {
    /// The end of the field that the tag is put to.
    #[must_use]
    pub fn end(self) -> End {
        match self {
            Place::Before => End::Front,
            Place::Behind => End::Back,
        }
    }
}

/// Has the subject the tag: a reply to a mail that had it has it, too. An empty tag is everywhere.
#[must_use]
pub fn bears(subject: &str, tag: &str, place: Place) -> bool {
    if tag.is_empty() {
        return true;
    }
    let same = |text: Option<&str>| is_tag(text, tag);
    let subject = subject.trim();
    match place {
        Place::Behind => {
            let start = subject.len().checked_sub(tag.len());
            same(start.and_then(|start| subject.get(start..)))
        }
        Place::Before => {
            let mut rest = subject;
            loop {
                if same(rest.get(..tag.len())) {
                    return true;
                }
                match behind_mark(rest) {
                    Some(behind) => rest = behind,
                    None => return false,
                }
            }
        }
    }
}

/// The raw value of a Subject without the tag where its octets say the same as `left`, the decoded one: then nothing of it need
/// be written anew.
#[must_use]
pub fn raw_without_tag(raw: &[u8], tag: &str, left: &str) -> Option<Vec<u8>> {
    let spliced = without_tag(std::str::from_utf8(raw).ok()?, tag)?;
    let is_same = words::decode(header::unfold(spliced.as_bytes()).trim_ascii()) == left;
    (is_same && !spliced.is_empty()).then(|| spliced.into_bytes())
}

/// The subject without the tag, where it stands before the subject or behind reply marks, as often as it does; `None` if
/// it does not.
#[must_use]
pub fn without_tag(subject: &str, tag: &str) -> Option<String> {
    let mut out = String::with_capacity(subject.len());
    let mut rest = subject.trim_start();
    let mut found = false;
    while !tag.is_empty() {
        if is_tag(rest.get(..tag.len()), tag) {
            found = true;
            rest = rest.get(tag.len()..).unwrap_or_default().trim_start();
        } else if let Some(behind) = behind_mark(rest) {
            out.push_str(rest.strip_suffix(behind).unwrap_or_default());
            rest = behind;
        } else {
            break;
        }
    }
    out.push_str(rest);
    found.then(|| out.trim().to_string())
}

/// The subject in a form for file names: its words in lower case with hyphens between them, without reply marks. Empty when
/// it has none.
#[must_use]
pub fn slug(subject: &str) -> String {
    /// In characters.
    const LONGEST: usize = 60;
    let mut rest = subject;
    while let Some(behind) = behind_mark(rest) {
        rest = behind;
    }
    let mut out = String::new();
    let mut length = 0;
    let is_word = |c: char| c.is_alphanumeric() || is_combining_mark(c);
    for word in rest.split(|c| !is_word(c)).filter(|word| !word.is_empty()) {
        let hyphen = usize::from(!out.is_empty());
        let word: String = word.chars().take(LONGEST).collect();
        length += hyphen + word.chars().count();
        if length > LONGEST {
            break;
        }
        out.extend(std::iter::repeat_n('-', hyphen));
        out.push_str(&word.to_lowercase());
    }
    out
}

fn is_tag(text: Option<&str>, tag: &str) -> bool {
    text.is_some_and(|text| text.to_lowercase() == tag.to_lowercase())
}

/// What stands behind the first reply mark (`Re:`, `AW[2]:`, `RE :`) or the first tag in brackets of somebody else.
fn behind_mark(subject: &str) -> Option<&str> {
    let subject = subject.trim_start();
    if let Some(tag) = subject.strip_prefix('[') {
        return tag.split_once(']').map(|(_, behind)| behind.trim_start());
    }
    let (mark, behind) = subject.split_once([':', '\u{ff1a}'])?;
    let word = mark
        .trim_end()
        .trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '[' | ']' | '(' | ')' | '^'))
        .to_lowercase();
    REPLY_MARKS
        .contains(&word.trim_end())
        .then(|| behind.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn tags_taken_off() {
        for (subject, left) in [
            ("[EXTERNAL] Hi", Some("Hi")),
            ("[external] Hi", Some("Hi")),
            ("[EXTERNAL]Hi", Some("Hi")),
            ("[EXTERNAL]", Some("")),
            ("Re: [EXTERNAL] Hi", Some("Re: Hi")),
            ("RE: AW: [EXTERNAL] Hi", Some("RE: AW: Hi")),
            ("[EXTERNAL] Re: [EXTERNAL] Hi", Some("Re: Hi")),
            ("Fwd: [list] Re[2]: [EXTERNAL] Hi", Some("Fwd: [list] Re[2]: Hi")),
            ("回复：[EXTERNAL] Hi", Some("回复：Hi")),
            ("Hi", None),
            ("Re: Hi", None),
            ("Invoice: [EXTERNAL] Hi", None),
            ("[EXTERNALS] Hi", None),
            ("", None),
            ("ä", None),
        ] {
            assert_eq!(without_tag(subject, "[EXTERNAL]").as_deref(), left, "{subject}");
        }
        assert_eq!(without_tag("x", ""), None);
        let many = "[EXTERNAL] Re: ".repeat(50_000);
        assert_eq!(without_tag(&many, "[EXTERNAL]").map(|left| left.len()), Some(50_000 * 4 - 1));
    }

    #[test]
    #[rustfmt::skip]
    fn slugs() {
        let long = "word ".repeat(40);
        for (subject, expected) in [
            ("Offer", "offer"),
            ("Re: AW: Your offer no. 12/2026!", "your-offer-no-12-2026"),
            ("[list] Fwd: Übersicht  März", "übersicht-märz"),
            ("見積書", "見積書"),
            ("हिन्दी पत्र", "हिन्दी-पत्र"),
            ("../../etc/passwd\0", "etc-passwd"),
            ("a\u{202E}b", "a-b"),
            ("Re: ", ""),
            ("?!", ""),
            ("", ""),
            (long.as_str(), "word-word-word-word-word-word-word-word-word-word-word-word"),
        ] {
            assert_eq!(slug(subject), expected, "{subject}");
        }
        assert_eq!(slug(&"x".repeat(200)), "x".repeat(60));
    }

    #[test]
    fn what_was_put_on_comes_off() {
        for subject in ["Hi", "Re: Hi", "[list] Hi", "Grüße", "a: b: c"] {
            assert!(!bears(subject, "[EXTERNAL]", Place::Before));
            let tagged = format!("[EXTERNAL] {subject}");
            assert!(bears(&tagged, "[EXTERNAL]", Place::Before));
            assert_eq!(without_tag(&tagged, "[EXTERNAL]").as_deref(), Some(subject));
        }
    }
}
