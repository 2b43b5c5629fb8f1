//! The envelope: who sends, who receives, and the ESMTP parameters, octet for octet as they came (RFC 5321).
//!
//! Must never rewrite an address: a path is carried, compared and printed, not parsed into something nicer.

use std::fmt;

/// An address as it stood between the angle brackets of MAIL or RCPT. The null return path is empty.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Path(Vec<u8>);

impl Path {
    /// The octets between `<` and `>`, neither included.
    pub fn new(octets: impl Into<Vec<u8>>) -> Path {
        Path(octets.into())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The return path of delivery reports (RFC 5321 section 4.5.5).
    pub fn is_null(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Path {
    /// For people and logs: control octets and what is no UTF-8 are escaped, so that a path stays on its line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for char in chunk.valid().chars() {
                match char {
                    '\\' => f.write_str("\\\\")?,
                    char if is_unprintable(char) => write!(f, "{}", char.escape_unicode())?,
                    char => write!(f, "{char}")?,
                }
            }
            for octet in chunk.invalid() {
                write!(f, "\\x{octet:02x}")?;
            }
        }
        Ok(())
    }
}

/// Control characters, line and paragraph separators and the bidirectional controls that can disguise a log line.
fn is_unprintable(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{self}>")
    }
}

/// A recipient of the envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    pub path: Path,
    /// The parameters behind the path, verbatim (`NOTIFY=NEVER ORCPT=rfc822;a@example.org`); empty = none.
    pub params: Vec<u8>,
}

impl Recipient {
    pub fn new(path: impl Into<Vec<u8>>) -> Recipient {
        Recipient {
            path: Path::new(path),
            params: Vec::new(),
        }
    }
}

/// Sender and recipients of one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    pub sender: Path,
    /// The parameters of MAIL, verbatim; empty = none.
    pub sender_params: Vec<u8>,
    pub recipients: Vec<Recipient>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_on_its_line() {
        for (octets, shown) in [
            (&b"a@example.org"[..], "a@example.org"),
            (b"", ""),
            (b"a\r\nb", "a\\u{d}\\u{a}b"),
            (b"\xff@x", "\\xff@x"),
            ("ü\u{202e}@x".as_bytes(), "ü\\u{202e}@x"),
            (b"a\\b", "a\\\\b"),
        ] {
            assert_eq!(Path::new(octets).to_string(), shown);
        }
    }
}
