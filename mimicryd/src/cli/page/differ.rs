//! Two texts, or the octets of two mails, line by line, with the lines around those that differ.
//!
//! Must never: take long for a large mail. What is too much is not compared, and the page says so.

use std::time::Duration;

use similar::{ChangeTag, TextDiff};

use super::clean::visible;

/// Lines of a text that are compared, after those that are equal at its ends.
const LINES: usize = 20_000;
/// Lines that are shown.
const SHOWN: usize = 600;
/// Characters of a line that are shown.
const WIDEST: usize = 2000;
/// How long it may take; then lines count as different that need not be.
const TIME: Duration = Duration::from_secs(2);

/// The lines in which two texts differ as items of a `pre`; `None` = in none.
pub fn lines(before: &str, after: &str) -> Option<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let (old, new, skipped) = middle(&old, &new);
    if old.is_empty() && new.is_empty() {
        return None;
    }
    if old.len().max(new.len()) > LINES {
        return Some("<span class=at>too many lines differ to be compared</span>".into());
    }
    let diff = TextDiff::configure().timeout(TIME).diff_slices(old, new);
    let mut out = String::new();
    let mut shown: usize = 0;
    for group in diff.grouped_ops(3) {
        let first = group.first().map_or(0, |op| op.old_range().start);
        out.push_str(&format!(
            "<span class=at>line {}</span>",
            first.saturating_add(skipped).saturating_add(1)
        ));
        for op in &group {
            for change in diff.iter_changes(op) {
                shown = shown.saturating_add(1);
                if shown > SHOWN {
                    out.push_str("<span class=at>and more</span>");
                    return Some(out);
                }
                let (class, sign) = match change.tag() {
                    ChangeTag::Insert => (" class=add", '+'),
                    ChangeTag::Delete => (" class=gone", '-'),
                    ChangeTag::Equal => ("", ' '),
                };
                out.push_str(&format!(
                    "<span{class}>{sign} {}</span>",
                    visible(&change.value().chars().take(WIDEST).collect::<String>())
                ));
            }
        }
    }
    Some(out)
}

/// The lines of two messages as they are on the wire: what is no printable ASCII is escaped, and so are line ends.
pub fn octets(before: &[u8], after: &[u8]) -> Option<String> {
    let written = |raw: &[u8]| {
        let lines = raw.split_inclusive(|octet| *octet == b'\n');
        let lines: String = lines
            .map(|line| format!("{}\n", line.escape_ascii()))
            .collect();
        lines
    };
    lines(&written(before), &written(after))
}

/// What is left when equal lines at both ends, but for three, are taken away; and how many went at the beginning.
fn middle<'l, 't>(old: &'l [&'t str], new: &'l [&'t str]) -> (&'l [&'t str], &'l [&'t str], usize) {
    let same = old
        .iter()
        .zip(new)
        .take_while(|(one, other)| one == other)
        .count();
    if same == old.len() && same == new.len() {
        return (&[], &[], 0);
    }
    let most = old.len().min(new.len()).saturating_sub(same);
    let ends = old.iter().rev().zip(new.iter().rev()).take(most);
    let end = ends.take_while(|(one, other)| one == other).count();
    let start = same.saturating_sub(3);
    let end = end.saturating_sub(3);
    let cut = |all: &'l [&'t str]| {
        all.get(start..all.len().saturating_sub(end))
            .unwrap_or_default()
    };
    (cut(old), cut(new), start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_differ_are_shown_with_those_around() {
        assert_eq!(lines("a\nb\n", "a\nb\n"), None);
        let old: String = (0..30).map(|number| format!("{number}\n")).collect();
        let new = old.replace("20\n", "<b>\n");
        let shown = lines(&old, &new).unwrap();
        assert_eq!(
            shown,
            "<span class=at>line 18</span><span>  17</span><span>  18</span><span>  19</span><span class=gone>- 20</span>\
             <span class=add>+ &lt;b&gt;</span><span>  21</span><span>  22</span><span>  23</span>"
        );
        let shown = octets(b"a\xff\r\n", b"a\xfe\n").unwrap();
        assert!(
            shown.contains("- a\\xff\\r\\n") && shown.contains("+ a\\xfe\\n"),
            "{shown}"
        );
    }

    #[test]
    fn a_large_text_takes_no_long_time() {
        let many = |first: usize| {
            (0..LINES * 2)
                .map(|number| format!("{}\n", number * first))
                .collect::<String>()
        };
        assert!(
            lines(&many(3), &many(7))
                .unwrap()
                .contains("too many lines")
        );
        let begun = std::time::Instant::now();
        let some = |first: usize| {
            (0..LINES - 1)
                .map(|number| format!("{}\n", number * first % 1009))
                .collect::<String>()
        };
        assert!(
            lines(&some(3), &some(7))
                .unwrap()
                .ends_with("and more</span>")
        );
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}
