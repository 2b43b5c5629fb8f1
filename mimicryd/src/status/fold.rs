//! Text in lines that are no wider than a terminal: cut between words, with what follows below the last column of a table, or indented.
//!
//! Colours take no room.
//!
//! Must never: cut a word, or take away anything but blanks at the end of a line.

/// How wide the further lines of a long one are indented where it has no columns.
const INDENT: usize = 4;

/// The same text, with no line wider than so many characters where a blank allows it. `None` = as it is.
pub fn fold(text: &str, width: Option<usize>) -> String {
    fold_but(text, width, |_| false)
}

/// The same, but lines that, without their colours, are to stay stay.
pub fn fold_but(text: &str, width: Option<usize>, stays: fn(&str) -> bool) -> String {
    let Some(width) = width else {
        return text.to_string();
    };
    let mut folded = String::with_capacity(text.len());
    for line in text.lines() {
        if shown(line) > width && stays(&seen(line).collect::<String>()) {
            folded.push_str(line);
            folded.push('\n');
        } else {
            fold_line(line, width, &mut folded);
        }
    }
    folded
}

fn fold_line(line: &str, width: usize, folded: &mut String) {
    if shown(line) <= width {
        folded.push_str(line);
        folded.push('\n');
        return;
    }
    // What stands before the first word stays.
    let start = line.len().saturating_sub(line.trim_start().len());
    let (blanks, words) = line.split_at(start);
    let indent = column(line, width / 2).unwrap_or(start.saturating_add(INDENT));
    folded.push_str(blanks);
    folded.push_str(&words_in_lines(words, start, indent, width));
    folded.push('\n');
}

/// Words on lines of at most `width` columns, none wider unless a word is. The first line has `taken` columns before it, and each
/// other one begins with `indent` blanks.
pub fn words_in_lines(text: &str, taken: usize, indent: usize, width: usize) -> String {
    let mut lines = String::with_capacity(text.len());
    let mut taken = taken;
    for (number, word) in text.split(' ').enumerate() {
        let length = shown(word);
        let with_it = taken.saturating_add(length).saturating_add(1);
        if number > 0 && with_it > width {
            lines.truncate(lines.trim_end_matches(' ').len());
            lines.push_str(&format!("\n{:indent$}", ""));
            taken = indent.saturating_add(length);
        } else if number > 0 {
            lines.push(' ');
            taken = with_it;
        } else {
            taken = taken.saturating_add(length);
        }
        lines.push_str(word);
    }
    lines
}

/// How many characters are seen of it.
fn shown(text: &str) -> usize {
    seen(text).count()
}

/// What is seen of it.
fn seen(text: &str) -> impl Iterator<Item = char> {
    let mut is_colour = false;
    text.chars().filter(move |char| {
        let was_colour = is_colour;
        is_colour = *char == '\u{1b}' || (is_colour && *char != 'm');
        !is_colour && !was_colour
    })
}

/// Where the last column begins, behind two blanks and before `most`.
fn column(line: &str, most: usize) -> Option<usize> {
    let gaps = line.match_indices("  ").filter_map(|(at, gap)| {
        let (before, rest) = line.split_at_checked(at.saturating_add(gap.len()))?;
        let is_last = !rest.starts_with(' ') && !before.trim().is_empty();
        is_last.then(|| shown(before))
    });
    gaps.filter(|column| *column <= most).last()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_between_words() {
        for (text, width, expected) in [
            ("short\n", 10, "short\n"),
            ("one two three\n", 8, "one two\n    three\n"),
            (
                "  one two three four\n",
                11,
                "  one two\n      three\n      four\n",
            ),
            ("0123456789abcdef x\n", 10, "0123456789abcdef\n    x\n"),
            ("a  b c d e f g h\n", 8, "a  b c d\n   e f g\n   h\n"),
            (
                "a  b    c d e f g h i j k\n",
                18,
                "a  b    c d e f g\n        h i j k\n",
            ),
            (
                "\u{1b}[1mone\u{1b}[0m two\n",
                7,
                "\u{1b}[1mone\u{1b}[0m two\n",
            ),
            (
                "\u{1b}[1mone\u{1b}[0m two\n",
                6,
                "\u{1b}[1mone\u{1b}[0m\n    two\n",
            ),
            (
                "ä ö ü ä ö ü\n\nend\n",
                6,
                "ä ö ü\n    ä\n    ö\n    ü\n\nend\n",
            ),
        ] {
            assert_eq!(fold(text, Some(width)), expected, "{text:?}");
            let words = |text: &str| {
                text.split_whitespace()
                    .map(String::from)
                    .collect::<Vec<_>>()
            };
            assert_eq!(words(&fold(text, Some(width))), words(text));
            assert_eq!(fold(text, None), text);
        }
    }

    #[test]
    fn what_is_to_stay_stays() {
        let text = "\u{1b}[1merror\u{1b}[0m: one two\n 7 | one two three\n = help: one two\n";
        let expected =
            "\u{1b}[1merror\u{1b}[0m: one\n    two\n 7 | one two three\n = help: one\n     two\n";
        let is_code = |line: &str| line.starts_with(" 7 |");
        assert_eq!(fold_but(text, Some(12), is_code), expected);
        assert_eq!(fold_but(text, None, is_code), text);
    }
}
