//! Text of others, made safe for one line of a log or a terminal.
//!
//! Must never: let a character through that moves the cursor, ends the line, or makes text look different from what it
//! is.

use std::fmt::{self, Write};

/// Octets that print on one line: backslashes are doubled, control characters and what can disguise a line become
/// `\u{1b}`, octets that are no UTF-8 become `\xff`.
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a>(pub &'a [u8]);

/// The same in quotes; a quote within has a backslash before it. For words of others amid a sentence of ours, which they then can
/// neither end nor go on with.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escaped(self.0, f, false)
    }
}

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        escaped(self.0, f, true)?;
        f.write_char('"')
    }
}

fn escaped(octets: &[u8], f: &mut fmt::Formatter<'_>, in_quotes: bool) -> fmt::Result {
    for chunk in octets.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\\' => f.write_str("\\\\")?,
                '"' if in_quotes => f.write_str("\\\"")?,
                char if is_unprintable(char) => write!(f, "{}", char.escape_unicode())?,
                char => f.write_char(char)?,
            }
        }
        for octet in chunk.invalid() {
            write!(f, "\\x{octet:02x}")?;
        }
    }
    Ok(())
}

/// Control characters, line and paragraph separators, and the bidirectional controls that can disguise a line.
pub fn is_unprintable(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_stays_on_its_line() {
        for (octets, shown) in [
            (&b"a@example.org"[..], "a@example.org"),
            (b"", ""),
            (b"a\r\nb", "a\\u{d}\\u{a}b"),
            (b"\xff@x", "\\xff@x"),
            ("ü\u{202e}@x".as_bytes(), "ü\\u{202e}@x"),
            (b"a\\b", "a\\\\b"),
            (b"\x1b[2J", "\\u{1b}[2J"),
        ] {
            assert_eq!(Printable(octets).to_string(), shown);
            assert_eq!(Quoted(octets).to_string(), format!("\"{shown}\""));
        }
        assert_eq!(
            Quoted(b"250 ok\" status=\\\"").to_string(),
            r#""250 ok\" status=\\\"""#
        );
    }
}
