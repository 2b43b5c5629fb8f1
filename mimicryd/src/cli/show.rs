//! How text is shown: colours, columns, and text of others made harmless.
//!
//! Must never: let a control character of a mail through, which could move the cursor or hide a line.

use mimicry_core::envelope::Path;

pub use crate::loading::count;
use crate::status::fold::words_in_lines;

/// Colours, or none.
#[derive(Clone, Copy, Debug)]
pub struct Paint(pub bool);

impl Paint {
    pub fn bold(self, text: &str) -> String {
        self.ansi("1", text)
    }

    pub fn dim(self, text: &str) -> String {
        self.ansi("2", text)
    }

    pub fn red(self, text: &str) -> String {
        self.ansi("31", text)
    }

    pub fn green(self, text: &str) -> String {
        self.ansi("32", text)
    }

    pub fn yellow(self, text: &str) -> String {
        self.ansi("33", text)
    }

    fn ansi(self, code: &str, text: &str) -> String {
        if self.0 && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }
}

/// Text or octets that others wrote, on one line: as paths are shown, backslashes doubled, control characters and
/// what can disguise a line as `\u{1b}`, octets that are no UTF-8 as `\xff`.
pub fn escape(octets: impl AsRef<[u8]>) -> String {
    Path::new(octets.as_ref()).to_string()
}

/// The same, cut to a number of characters.
pub fn short(octets: impl AsRef<[u8]>, most: usize) -> String {
    let text = escape(octets);
    if text.chars().count() <= most {
        return text;
    }
    let mut cut: String = text.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// JSON as serde writes it escapes the control characters below 32; here go the others that [`escape`] would not let
/// through. Outside of strings JSON has none of them.
pub fn harden_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut units = [0; 2];
    for char in json.chars() {
        let plain = match char {
            ' '..='~' | '\n' => true,
            _ => escape(char.to_string()).chars().eq([char]),
        };
        if plain {
            out.push(char);
        } else {
            for unit in char.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

/// Fills up with blanks; columns are counted in characters.
pub fn pad(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.chars().count());
    format!("{text}{:missing$}", "")
}

/// Columns of a text that may have colours.
pub fn visible(text: &str) -> usize {
    let pieces = text.split('\u{1b}').enumerate();
    let shown = pieces.map(|(number, piece)| match number {
        0 => piece,
        // As `Paint` writes them.
        _ => piece.split_once('m').map_or("", |(_, rest)| rest),
    });
    shown.map(|piece| piece.chars().count()).sum()
}

/// Words on lines of at most so many columns, the first of which has `indent` columns before it, as the others then have. Without
/// a width it is one line.
pub fn wrapped(text: &str, indent: usize, width: Option<usize>) -> String {
    // In a narrower terminal nothing is readable.
    const LEAST: usize = 24;
    let Some(width) = width else {
        return text.to_string();
    };
    let width = width.max(indent.saturating_add(LEAST));
    words_in_lines(text, indent, indent, width)
}

/// 12612 → `12 612`.
pub fn octets(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_is_harmless() {
        for (octets, shown) in [
            (&b"report.pdf"[..], "report.pdf"),
            ("B\u{fc}ro".as_bytes(), "Büro"),
            (b"\x1b[31m", "\\u{1b}[31m"),
            (b"a\r\nb", "a\\u{d}\\u{a}b"),
            (b"C:\\x", "C:\\\\x"),
            (b"\xff", "\\xff"),
            ("gpj.\u{202e}exe".as_bytes(), "gpj.\\u{202e}exe"),
        ] {
            assert_eq!(escape(octets), shown);
        }
        assert_eq!(short("abcdef", 6), "abcdef");
        assert_eq!(short("abcdefg", 6), "abcde…");
    }

    #[test]
    fn json_is_harmless() {
        let json = serde_json::to_string("a\u{1b}\u{7f}\u{9b}\u{202e}ü\\").unwrap();
        let hard = harden_json(&json);
        assert_eq!(hard, "\"a\\u001b\\u007f\\u009b\\u202eü\\\\\"");
        assert_eq!(
            serde_json::from_str::<String>(&hard).unwrap(),
            "a\u{1b}\u{7f}\u{9b}\u{202e}ü\\"
        );
    }

    #[test]
    fn colours_take_no_room() {
        assert_eq!(visible(&format!("a{}c", Paint(true).red("bü"))), 4);
        assert_eq!(visible("abc"), 3);
    }

    #[test]
    fn lines_break_between_words() {
        for (width, shown) in [
            (None, "one two three four five six seven"),
            (Some(80), "one two three four five six seven"),
            (Some(30), "one two three four five\n      six seven"),
            // It is never narrower than that.
            (Some(9), "one two three four five\n      six seven"),
        ] {
            assert_eq!(
                wrapped("one two three four five six seven", 6, width),
                shown
            );
        }
        let long = "x".repeat(40);
        assert_eq!(
            wrapped(&format!("a {long} b"), 2, Some(26)),
            format!("a\n  {long}\n  b")
        );
        assert_eq!(wrapped("a  b", 0, Some(80)), "a  b");
        // Nothing is left at the end of a line.
        let two = format!("{}  b", "x".repeat(23));
        assert_eq!(wrapped(&two, 0, Some(24)), format!("{}\nb", "x".repeat(23)));
    }

    #[test]
    fn numbers() {
        for (number, shown) in [
            (0, "0"),
            (999, "999"),
            (1000, "1 000"),
            (12_612, "12 612"),
            (1_234_567, "1 234 567"),
        ] {
            assert_eq!(octets(number), shown);
        }
        assert_eq!(count(0, "rule"), "no rules");
        assert_eq!(count(1, "rule"), "1 rule");
        assert_eq!(count(2, "rule"), "2 rules");
    }
}
