//! Tags in a subject, which are not stacked on replies.
//!
//! Must never: change the subject but for the tag, or take longer than the subject is long.

/// What mail programs write before the subject of a reply or a forwarded mail, in lower case, without the colon.
#[rustfmt::skip]
const REPLY_MARKS: &[&str] = &[
    "re", "aw", "sv", "vs", "antw", "r", "rif", "res", "odp", "ynt", "ref", "réf", "atb", "bls", "vá", "ats",
    "hl", "tr", "rv", "fw", "fwd", "wg", "vb", "vl", "doorst", "i", "enc", "pd", "ilt", "továbbítás", "ang",
    "отв", "ответ", "пересл", "на", "απ", "πρθ", "σχετ", "回复", "回覆", "答复", "转发", "轉寄", "返信", "転送", "답장", "회신",
    "전달", "השב", "תשובה", "הועבר", "رد",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Before,
    Behind,
}

/// The subject with the tag, which is not put there twice: not on a reply to a mail that had it, either.
pub(super) fn with_tag(subject: &str, tag: &str, place: Place) -> String {
    if tag.is_empty() {
        return subject.to_string();
    }
    let same =
        |text: Option<&str>| text.is_some_and(|text| text.to_lowercase() == tag.to_lowercase());
    let subject = subject.trim();
    match place {
        Place::Behind => {
            let start = subject.len().checked_sub(tag.len());
            if same(start.and_then(|start| subject.get(start..))) {
                return subject.to_string();
            }
        }
        Place::Before => {
            let mut rest = subject;
            loop {
                if same(rest.get(..tag.len())) {
                    return subject.to_string();
                }
                match behind_mark(rest) {
                    Some(behind) => rest = behind,
                    None => break,
                }
            }
        }
    }
    let joined = match place {
        Place::Before => format!("{tag} {subject}"),
        Place::Behind => format!("{subject} {tag}"),
    };
    joined.trim().to_string()
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
