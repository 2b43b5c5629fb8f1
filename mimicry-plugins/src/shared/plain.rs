//! Where a block of ours goes in a text/plain body, and the octets of that block.
//!
//! Must never change an octet of the old text: the blank line between the two is made from what the old text ends or
//! begins with. Must never make a line that format=flowed (RFC 3676) would join with a line of the old text, nor one
//! over [`MAX_LINE`] octets.
//!
//! The old text may be octets of any charset in which line ends, blanks and tabs are ASCII; ours is UTF-8, the caller
//! encodes it.
//!
//! Known limits: a lone CR does not end a line of the old text (RFC 5321 section 2.3.8 allows none); a block on top
//! whose separator is `-- ` makes a signature of the whole old text, which is the configuration's to avoid.

use mimicry_core::message::codec::RAW_LINE_MAX;

use super::text_end::TextEnd;

mod search;

pub use search::{Search, already_there};
pub(super) use search::{targets, words};

/// Octets of a line without its line end, at most (RFC 5322 section 2.1.1).
pub const MAX_LINE: usize = RAW_LINE_MAX;

/// Characters of a flowed line with its trailing blank, at most (RFC 3676 section 4.2).
const FLOW_WIDTH: usize = 78;

/// The line that starts a signature: neither flowed nor stuffed (RFC 3676 section 4.3).
const SIGNATURE: &str = "-- ";

/// The DelSp parameter of format=flowed: with `Yes` the blank that ends a flowed line is not part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DelSp {
    No,
    Yes,
}

/// A line of ours is too long for a mail and has no blank at which it could be flowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineTooLong {
    /// Counted from 1, in the separator and the text as they were given, whichever of them holds it.
    pub line: usize,
    /// UTF-8 octets of the line as it would be written, without the line end.
    pub octets: usize,
}

/// The octet offset for [`block`]: the end of the text, or its start after a byte order mark of UTF-8.
#[must_use]
pub fn place(text: &[u8], place: TextEnd) -> usize {
    match place {
        TextEnd::Bottom => text.len(),
        TextEnd::Top => text.len().saturating_sub(without_mark(text).len()),
    }
}

/// The text to insert at [`place`].
///
/// `place` is the end of the old text that ours goes to, `old` the whole old text, `text` ours with any line ends, `separator` lines between ours and the old text (empty:
/// none), `newline` what ends each line of ours, `flowed` the DelSp of a format=flowed part.
///
/// There is one blank line between ours and the old text, unless the old text has blank lines there already, and none
/// if it is empty. An unfinished last line of the old text is ended first. Blank lines around our text and blanks at the
/// end of its lines are dropped. Ours ends in one line end.
///
/// # Errors
/// A line of ours over [`MAX_LINE`] octets.
pub fn block(
    (place, old): (TextEnd, &[u8]),
    text: &str,
    separator: &str,
    newline: &str,
    flowed: Option<DelSp>,
) -> Result<String, LineTooLong> {
    let capacity = text
        .len()
        .saturating_add(separator.len())
        .saturating_add(64);
    let mut writer = Writer {
        out: String::with_capacity(capacity),
        newline,
        flowed,
    };
    match place {
        TextEnd::Bottom => {
            (0..line_ends_due(old, flowed.is_some())).for_each(|_| writer.out.push_str(newline));
            writer.lines(separator)?;
            writer.lines(text)?;
        }
        TextEnd::Top => {
            writer.lines(text)?;
            writer.lines(separator)?;
            let old = without_mark(old);
            if !old.is_empty() && !starts_with_blank_line(old) {
                writer.out.push_str(newline);
            }
        }
    }
    Ok(writer.out)
}

/// The lines of `text`, whatever ends them (CR LF, LF, CR); one more, empty, after a last line end.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n')
        .flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text)
}

/// How many line ends make one blank line after `old`.
fn line_ends_due(old: &[u8], flowed: bool) -> usize {
    let old = without_mark(old);
    if old.is_empty() {
        return 0;
    }
    let Some(body) = old.strip_suffix(b"\n") else {
        return 2;
    };
    let body = body.strip_suffix(b"\r").unwrap_or(body);
    let last = body.rsplit(|&b| b == b'\n').next().unwrap_or_default();
    // In flowed text a line of blanks is a flowed line: it would join with ours.
    usize::from(if flowed {
        !last.is_empty()
    } else {
        !is_blank(last)
    })
}

pub(super) fn starts_with_blank_line(old: &[u8]) -> bool {
    old.split(|&b| b == b'\n').next().is_some_and(is_blank) && old.contains(&b'\n')
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r'))
}

struct Writer<'a> {
    out: String,
    newline: &'a str,
    flowed: Option<DelSp>,
}

impl Writer<'_> {
    /// The lines of `text` less the blank lines around them.
    fn lines(&mut self, text: &str) -> Result<(), LineTooLong> {
        let mut blank = 0usize;
        let mut started = false;
        for (index, line) in lines(text).enumerate() {
            let line = if line == SIGNATURE {
                line
            } else {
                line.trim_end()
            };
            if line.is_empty() {
                blank = blank.saturating_add(usize::from(started));
                continue;
            }
            (0..std::mem::take(&mut blank)).for_each(|_| self.out.push_str(self.newline));
            started = true;
            self.line(line).map_err(|octets| LineTooLong {
                line: index.saturating_add(1),
                octets,
            })?;
        }
        Ok(())
    }

    /// One line of ours, flowed if the part is and the line is too long; the error is its octets.
    fn line(&mut self, line: &str) -> Result<(), usize> {
        let Some(delsp) = self.flowed else {
            return self.push("", line, "");
        };
        if line == SIGNATURE {
            return self.push("", line, "");
        }
        let added = match delsp {
            DelSp::No => "",
            DelSp::Yes => " ",
        };
        let mut rest = line;
        loop {
            let stuffing = stuffing(rest);
            let Some((head, tail)) = fold(rest, stuffing.len(), added.len()) else {
                return self.push(stuffing, rest, "");
            };
            self.push(stuffing, head, added)?;
            rest = tail;
        }
    }

    fn push(&mut self, stuffing: &str, line: &str, added: &str) -> Result<(), usize> {
        let octets = line
            .len()
            .saturating_add(stuffing.len())
            .saturating_add(added.len());
        if octets > MAX_LINE {
            return Err(octets);
        }
        [stuffing, line, added, self.newline]
            .iter()
            .for_each(|text| self.out.push_str(text));
        Ok(())
    }
}

/// The blank without which a flowed line would be read as stuffed, quoted, or the start of a mail in an mbox (RFC 3676
/// section 4.4).
fn stuffing(line: &str) -> &'static str {
    if line.starts_with([' ', '>']) || line.starts_with("From ") {
        " "
    } else {
        ""
    }
}

/// Splits a line too wide for [`FLOW_WIDTH`] after the last blanks within it, else after the first ones beyond; `None`
/// if it is narrow enough or has none. `before` and `after` are the characters which will be put around the head.
fn fold(line: &str, before: usize, after: usize) -> Option<(&str, &str)> {
    line.char_indices().nth(FLOW_WIDTH.saturating_sub(before))?;
    let budget = FLOW_WIDTH.saturating_sub(before).saturating_sub(after);
    let mut best = None;
    // At `at` a word starts: a head before its first word would hold blanks alone.
    let mut in_word = false;
    let mut had_word = false;
    for (count, (at, c)) in line.char_indices().enumerate() {
        if count > budget && best.is_some() {
            break;
        }
        if c == ' ' {
            in_word = false;
        } else if !in_word {
            // A head of `-- ` would start a signature.
            if had_word && line.get(..at) != Some(SIGNATURE) {
                best = Some(at);
            }
            in_word = true;
            had_word = true;
        }
    }
    line.split_at_checked(best?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What RFC 3676 section 4 makes of flowed text: its paragraphs with their quote depth.
    fn unflow(text: &str, delsp: bool) -> Vec<(usize, String)> {
        let mut out: Vec<(usize, String)> = Vec::new();
        let mut open: Option<usize> = None;
        for line in text.lines() {
            let depth = line.bytes().take_while(|&b| b == b'>').count();
            let line = &line[depth..];
            let line = line.strip_prefix(' ').unwrap_or(line);
            let signature = line == SIGNATURE;
            let flowed = line.ends_with(' ') && !signature;
            let kept = if flowed && delsp {
                &line[..line.len() - 1]
            } else {
                line
            };
            match open {
                Some(before) if before == depth && !signature => {
                    out.last_mut().unwrap().1.push_str(kept);
                }
                _ => out.push((depth, kept.to_owned())),
            }
            open = flowed.then_some(depth);
        }
        out
    }

    #[test]
    fn bottom_leaves_one_blank_line() {
        for (old, ours) in [
            ("", "x\n"),
            ("\u{FEFF}", "x\n"),
            ("a", "\n\nx\n"),
            ("a\n", "\nx\n"),
            ("a\r\n", "\nx\n"),
            ("a\n\n", "x\n"),
            ("a\r\n\r\n", "x\n"),
            ("a\n\n\n\n", "x\n"),
            ("a\n \t\r\n", "x\n"),
            ("a\n ", "\n\nx\n"),
            ("\n", "x\n"),
            ("\r\n", "x\n"),
            (" ", "\n\nx\n"),
        ] {
            assert_eq!(
                block((TextEnd::Bottom, old.as_bytes()), "x", "", "\n", None).as_deref(),
                Ok(ours),
                "{old:?}"
            );
        }
    }

    #[test]
    fn top_leaves_one_blank_line() {
        for (old, ours) in [
            ("", "x\n"),
            ("\u{FEFF}", "x\n"),
            ("a", "x\n\n"),
            ("\u{FEFF}a", "x\n\n"),
            ("\na", "x\n"),
            ("\r\na", "x\n"),
            (" \t\r\na", "x\n"),
            (" a", "x\n\n"),
            (" ", "x\n\n"),
        ] {
            assert_eq!(
                block((TextEnd::Top, old.as_bytes()), "x", "", "\n", None).as_deref(),
                Ok(ours),
                "{old:?}"
            );
        }
        assert_eq!(place("\u{FEFF}a".as_bytes(), TextEnd::Top), 3);
        assert_eq!(place(b"a", TextEnd::Top), 0);
        assert_eq!(place("\u{FEFF}a".as_bytes(), TextEnd::Bottom), 4);
    }

    #[test]
    fn our_lines_are_normal() {
        for (text, separator, place, ours) in [
            ("x\r\ny\rz\n", "", TextEnd::Bottom, "x\r\ny\r\nz\r\n"),
            (
                "\n\n x  \n\n\ny \t\n\n",
                "",
                TextEnd::Bottom,
                " x\r\n\r\n\r\ny\r\n",
            ),
            ("x", "-- ", TextEnd::Bottom, "-- \r\nx\r\n"),
            ("x", "----\n", TextEnd::Bottom, "----\r\nx\r\n"),
            ("x", "____", TextEnd::Top, "x\r\n____\r\n"),
            ("x\n-- \ny", "", TextEnd::Bottom, "x\r\n-- \r\ny\r\n"),
            ("From me\n>q", "", TextEnd::Bottom, "From me\r\n>q\r\n"),
            ("", "", TextEnd::Bottom, ""),
        ] {
            assert_eq!(
                block((place, b""), text, separator, "\r\n", None).as_deref(),
                Ok(ours),
                "{text:?}"
            );
        }
    }

    #[test]
    fn long_lines_are_refused_or_flowed() {
        let word = "é".repeat(499);
        assert!(block((TextEnd::Bottom, b""), &word, "", "\r\n", None).is_ok());
        let text = format!("a\r\nb\n{word}x");
        let fault = Err(LineTooLong {
            line: 3,
            octets: 999,
        });
        assert_eq!(
            block((TextEnd::Bottom, b""), &text, "", "\r\n", None),
            fault
        );
        assert_eq!(
            block((TextEnd::Bottom, b""), &text, "", "\r\n", Some(DelSp::Yes)),
            fault
        );
        // The blank of the stuffing counts.
        let stuffed = format!(">{}", "x".repeat(997));
        assert!(block((TextEnd::Bottom, b""), &stuffed, "", "\n", None).is_ok());
        let fault = Err(LineTooLong {
            line: 1,
            octets: 999,
        });
        assert_eq!(
            block((TextEnd::Bottom, b""), &stuffed, "", "\n", Some(DelSp::No)),
            fault
        );
        let words = "word ".repeat(400);
        assert!(block((TextEnd::Bottom, b""), &words, "", "\n", None).is_err());
        assert!(block((TextEnd::Bottom, b""), &words, "", "\n", Some(DelSp::No)).is_ok());
    }

    #[test]
    fn flowed_lines() {
        let w = "x".repeat(40);
        for (text, delsp, ours) in [
            (
                " a\n>b\nFrom c\nFrom\nd  ",
                DelSp::No,
                "  a\n >b\n From c\nFrom\nd\n".to_owned(),
            ),
            ("-- \nme", DelSp::No, "-- \nme\n".to_owned()),
            (&format!("{w} {w}"), DelSp::No, format!("{w} \n{w}\n")),
            (&format!("{w} {w}"), DelSp::Yes, format!("{w}  \n{w}\n")),
            (&format!("{w} >{w}"), DelSp::No, format!("{w} \n >{w}\n")),
            (
                &format!("{w} From {w}"),
                DelSp::No,
                format!("{w} From \n{w}\n"),
            ),
            (&format!("-- {w}{w}"), DelSp::No, format!("-- {w}{w}\n")),
            (&format!(" {w}{w}"), DelSp::No, format!("  {w}{w}\n")),
            (&format!("{w}{w} a"), DelSp::No, format!("{w}{w} \na\n")),
            (&"x".repeat(78), DelSp::Yes, format!("{}\n", "x".repeat(78))),
            (
                &format!("{} y", "x".repeat(76)),
                DelSp::Yes,
                format!("{} y\n", "x".repeat(76)),
            ),
            (
                &format!("{} {} yy", "a", "x".repeat(75)),
                DelSp::No,
                format!("a {} \nyy\n", "x".repeat(75)),
            ),
            (
                &format!("{} {} yy", "a", "x".repeat(75)),
                DelSp::Yes,
                format!("a  \n{} yy\n", "x".repeat(75)),
            ),
        ] {
            assert_eq!(
                block((TextEnd::Bottom, b""), text, "", "\n", Some(delsp)),
                Ok(ours),
                "{text:?}"
            );
        }
    }

    #[test]
    fn flowed_old_text_does_not_join() {
        for (old, delsp) in [
            ("ends flowed \r\n", DelSp::No),
            ("ends flowed ", DelSp::No),
            ("ends flowed \r\n", DelSp::Yes),
            ("> quoted \r\n", DelSp::No),
            ("a\r\n  \r\n", DelSp::No),
            ("  ", DelSp::Yes),
            ("-- \r\n", DelSp::No),
        ] {
            let ours = block(
                (TextEnd::Bottom, old.as_bytes()),
                "Ours",
                "",
                "\r\n",
                Some(delsp),
            )
            .unwrap();
            let all = unflow(&format!("{old}{ours}"), delsp == DelSp::Yes);
            assert_eq!(all.last(), Some(&(0, "Ours".to_owned())), "{old:?}");
        }
    }

    proptest! {
        /// Flowed lines come out of a reader as they went in; none is wider than it must be.
        #[test]
        fn flowing_is_undone_by_readers(
            text in "([a>F ]|From |-- |word |é| {2}){0,60}(\n([a> ]|-- |From |lorem ipsum ){0,30}){0,4}",
            old in "([ab>]| |\r\n){0,12}",
            yes: bool,
        ) {
            let delsp = if yes { DelSp::Yes } else { DelSp::No };
            let ours = block((TextEnd::Bottom, old.as_bytes()), &text, "", "\r\n", Some(delsp)).unwrap();
            prop_assert!(ours.is_empty() || ours.ends_with("\r\n"));
            let body = ours.trim_start_matches("\r\n");
            let read: Vec<_> = unflow(body, yes).into_iter().map(|(depth, line)| {
                assert_eq!(depth, 0);
                line
            }).collect();
            let wanted: Vec<_> = text
                .split('\n')
                .map(|line| if line == SIGNATURE { line } else { line.trim_end() })
                .skip_while(|line| line.is_empty())
                .collect();
            let last = wanted.iter().rposition(|line| !line.is_empty()).map_or(0, |at| at + 1);
            prop_assert_eq!(&read, &wanted[..last]);
            for line in body.split("\r\n") {
                let words = line.trim_matches([' ', '>']).split(' ').count();
                prop_assert!(line.chars().count() <= 78 || words <= 2, "{:?}", line);
            }
            let all = format!("{old}{ours}");
            let joined = unflow(&all, yes);
            prop_assert!(joined.ends_with(&unflow(body, yes)));
        }

        /// One blank line between, wherever ours goes, and the old text whole.
        #[test]
        fn one_blank_line(old in "([ab]|\r\n){0,10}", top: bool) {
            let end = if top { TextEnd::Top } else { TextEnd::Bottom };
            let ours = block((end, old.as_bytes()), "OURS", "", "\r\n", None).unwrap();
            let at = place(old.as_bytes(), end);
            let all = format!("{}{ours}{}", &old[..at], &old[at..]);
            let lines: Vec<_> = all.split("\r\n").collect();
            let mine = lines.iter().position(|line| *line == "OURS").unwrap();
            let (before, after) = (&lines[..mine], &lines[mine + 1..]);
            let near: Vec<_> = if top { after.to_vec() } else { before.iter().rev().copied().collect() };
            let blank = near.iter().take_while(|line| line.is_empty()).count();
            if old.trim().is_empty() {
                prop_assert!(old.is_empty() || all.trim() == "OURS");
            } else {
                let natural = if top {
                    old.split("\r\n").take_while(|line| line.is_empty()).count()
                } else {
                    old.split("\r\n").collect::<Vec<_>>().iter().rev().skip(1).take_while(|l| l.is_empty()).count()
                        .min(usize::from(old.ends_with("\r\n")) * old.len())
                };
                prop_assert_eq!(blank, natural.max(1));
            }
        }
    }
}
