//! One reply of a next hop, read from octets (RFC 5321 section 4.2).
//!
//! Only the code decides; the text may hold any octet but LF, because 8-bit texts and over-long lines are common and a refusal
//! must not be lost over them. The form of the lines is strict: three digits, a hyphen, blank or nothing, CRLF, and
//! the same code on every line. Without the blank there is no text (section 4.2: `Reply-code [ SP textstring ] CRLF`).
//!
//! Must never: find a reply in octets that do not end one.

use mimicry_core::reply::Reply;

/// Octets of a whole reply. What is longer is no reply.
pub const MAX_REPLY: usize = 32 * 1024;

/// Octets of a line with its line end: eight times what RFC 5321 section 4.5.3.1.5 allows.
const MAX_LINE: usize = 4096;

/// What the octets are so far.
#[derive(Debug, PartialEq, Eq)]
pub enum Reading<'a> {
    Incomplete,
    Complete(Received<'a>),
    /// Whatever follows, this is no reply.
    Malformed,
}

/// A complete reply.
#[derive(Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// 200 to 599.
    pub code: u16,
    /// Without code and line end.
    pub lines: Vec<&'a [u8]>,
    /// Octets of the reply; what follows is another's.
    pub length: usize,
}

impl Received<'_> {
    pub fn reply(&self) -> Reply {
        Reply::received(self.code, &self.lines)
    }
}

/// Reads the reply at the start of `octets`.
pub fn read(octets: &[u8]) -> Reading<'_> {
    let mut lines = Vec::new();
    let mut rest = octets;
    let mut code = None;
    loop {
        let line = match memchr::memchr(b'\n', rest) {
            Some(end) if end < MAX_LINE => rest.get(..end).unwrap_or_default(),
            Some(_) => return Reading::Malformed,
            None if rest.len() >= MAX_LINE || octets.len() >= MAX_REPLY || !may_begin(rest) => {
                return Reading::Malformed;
            }
            None => return Reading::Incomplete,
        };
        let Some((found, is_last, text)) = line.strip_suffix(b"\r").and_then(split) else {
            return Reading::Malformed;
        };
        if code.is_some_and(|code| code != found) {
            return Reading::Malformed;
        }
        code = Some(found);
        lines.push(text);
        rest = rest.get(line.len().saturating_add(1)..).unwrap_or_default();
        let length = octets.len().saturating_sub(rest.len());
        if length > MAX_REPLY {
            return Reading::Malformed;
        }
        if is_last {
            return Reading::Complete(Received {
                code: found,
                lines,
                length,
            });
        }
    }
}

/// Code, whether it is the last line, and text.
fn split(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (digits, rest) = line.split_at_checked(3)?;
    if !may_begin(digits) {
        return None;
    }
    let code = digits
        .iter()
        .fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    match rest.split_first() {
        None => Some((code, true, rest)),
        Some((b' ', text)) => Some((code, true, text)),
        Some((b'-', text)) => Some((code, false, text)),
        Some(_) => None,
    }
}

/// Can a line begin like this? Junk is known by its first octet, so that nobody waits for the end of its line.
fn may_begin(octets: &[u8]) -> bool {
    octets
        .iter()
        .take(3)
        .enumerate()
        .all(|(index, octet)| match index {
            0 => (b'2'..=b'5').contains(octet),
            _ => octet.is_ascii_digit(),
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(octets: &[u8]) -> String {
        match read(octets) {
            Reading::Incomplete => "incomplete".into(),
            Reading::Malformed => "malformed".into(),
            Reading::Complete(received) => {
                format!("{} +{}", received.reply(), octets.len() - received.length)
            }
        }
    }

    #[test]
    fn replies() {
        for (octets, expected) in [
            (&b"250 ok\r\n"[..], "250 ok +0"),
            (b"250 2.0.0 ok\r\n250 x", "250 2.0.0 ok +5"),
            (b"250\r\n", "250  +0"),
            (b"250 \r\n", "250  +0"),
            (b"250-a\r\n250\r\n", "250 a +0"),
            (
                b"550-5.1.1 a\r\n550-5.1.1 b\r\n550 5.1.1 c\r\n",
                "550 5.1.1 a / b / c +0",
            ),
            (b"269 odd\r\n", "269 odd +0"),
            (b"550 pr\xe4t\x00\r\n", "550 pr?t? +0"),
            (b"250 a\rb\r\n", "250 a?b +0"),
            (b"", "incomplete"),
            (b"2", "incomplete"),
            (b"250 ok\r", "incomplete"),
            (b"250-a\r\n", "incomplete"),
            (b"250-a\r\n25", "incomplete"),
            (b"250 ok\n", "malformed"),
            (b"250-a\n250 b\r\n", "malformed"),
            (b"250-a\r\n550 b\r\n", "malformed"),
            (b"250-a\r\n251-", "incomplete"),
            (b"250\tok\r\n", "malformed"),
            (b"2500 ok\r\n", "malformed"),
            (b"25 ok\r\n", "malformed"),
            (b"150 ok\r\n", "malformed"),
            (b"650 ok\r\n", "malformed"),
            (b"H", "malformed"),
            (b"2x", "malformed"),
            (b"250-a\r\n\r\n", "malformed"),
            (b"\r\n", "malformed"),
        ] {
            assert_eq!(shown(octets), expected, "{}", octets.escape_ascii());
        }
    }

    #[test]
    fn bounds() {
        let long = [b"250 ", &b"x".repeat(2000)[..], b"\r\n"].concat();
        assert!(matches!(read(&long), Reading::Complete(_)));
        let longer = [b"250 ", &b"x".repeat(MAX_LINE)[..], b"\r\n"].concat();
        assert_eq!(read(&longer), Reading::Malformed);
        assert_eq!(read(&longer[..MAX_LINE]), Reading::Malformed);
        assert_eq!(read(&longer[..MAX_LINE - 1]), Reading::Incomplete);
        let many = b"250-x\r\n".repeat(MAX_REPLY / 7 + 1);
        assert_eq!(read(&many), Reading::Malformed);
        assert_eq!(read(&many[..MAX_REPLY - 7]), Reading::Incomplete);
    }

    proptest! {
        /// No beginning of a reply is a reply, and what follows one does not change it.
        #[test]
        fn a_reply_is_read_at_its_end(lines in prop::collection::vec("[ -~]{0,20}", 1..6), code in 200..600u16, after in "[ -~\r\n]{0,9}") {
            let mut octets = Vec::new();
            for (index, line) in lines.iter().enumerate() {
                let separator = if index + 1 == lines.len() { ' ' } else { '-' };
                octets.extend_from_slice(format!("{code}{separator}{line}\r\n").as_bytes());
            }
            for end in 0..octets.len() {
                prop_assert_eq!(read(&octets[..end]), Reading::Incomplete);
            }
            let length = octets.len();
            octets.extend_from_slice(after.as_bytes());
            let Reading::Complete(received) = read(&octets) else { panic!("a reply") };
            prop_assert_eq!((received.code, received.length, received.lines.len()), (code, length, lines.len()));
        }

        #[test]
        fn any_octets_are_read(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Reading::Complete(received) = read(&octets) {
                prop_assert!(received.length <= octets.len() && octets[..received.length].ends_with(b"\r\n"));
            }
        }
    }
}
