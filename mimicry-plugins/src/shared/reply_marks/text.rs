//! The lines of a text/plain body, for the judge.
//!
//! Known limits: only `>` and initials before it (`LC>`) mark a quoted line; a quoted line that a mail program wrapped
//! counts as quoted only between two others, see `judge`.

use super::judge::Judge;
use super::line::{Finding, Level, ShownLine};
use super::phrases;

/// Octets of a line that are looked at.
pub(super) const REACH: usize = 600;

/// The lines to the judge, in whose eyes the text begins at `start`; a verdict if one of them settles the matter.
pub(super) fn lines(text: &str, start: usize, judge: &mut Judge) -> Option<Finding> {
    let mut place = if text.starts_with('\u{FEFF}') {
        '\u{FEFF}'.len_utf8()
    } else {
        0
    };
    let mut blank = start > 0;
    let mut below_marked = false;
    while let Some(rest) = text.get(place..).filter(|rest| !rest.is_empty()) {
        let length =
            memchr::memchr(b'\n', rest.as_bytes()).map_or(rest.len(), |end| end.saturating_add(1));
        let line = rest.get(..length).unwrap_or(rest);
        let visible = line.trim_end();
        let shown = head(visible);
        if shown.chars().all(is_blank) {
            blank = true;
        } else {
            let body = unquoted(shown);
            // Within a quote it is one of the quoted mail.
            let is_groupwise = body.is_some()
                && (phrases::is_between_marks(shown)
                    || !below_marked && phrases::is_marked_introduction(rest));
            below_marked = body.is_some();
            let line = ShownLine {
                text: body.unwrap_or(shown),
                whole: shown.len() == visible.len(),
                place: Some(start.saturating_add(place)),
                level: if body.is_some() {
                    Level::Marked
                } else {
                    Level::Own
                },
                blank_before: std::mem::take(&mut blank),
                opens: is_groupwise.then_some("groupwise"),
                ..ShownLine::default()
            };
            let verdict = judge.line(&line);
            if verdict.is_some() {
                return verdict;
            }
        }
        place = place.saturating_add(length);
    }
    None
}

/// The first [`REACH`] octets, less what is left of a character.
pub(super) fn head(line: &str) -> &str {
    line.get(..line.floor_char_boundary(REACH)).unwrap_or(line)
}

/// What stands behind the quote marks.
pub(super) fn unquoted(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let initials = line.chars().take(4).take_while(|c| c.is_uppercase());
    let quoted = line.get(initials.map(char::len_utf8).sum()..)?;
    quoted
        .starts_with('>')
        .then(|| quoted.trim_start_matches(|c: char| c == '>' || c.is_whitespace()))
}

pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace() || phrases::is_unseen(c)
}
