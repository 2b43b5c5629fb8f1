//! SMTP replies (RFC 5321 section 4.2, enhanced codes RFC 3463): ours, and those of the next hop handed on.
//!
//! Must never: hold an octet that could end a line or start a second reply. Text from outside is made clean here.

use std::fmt;

/// Octets of one reply line, its code and line end included (RFC 5321 section 4.5.3.1.5).
pub const MAX_LINE: usize = 512;

/// How many lines of a reply from outside are handed on.
const MAX_LINES: usize = 50;

/// A complete reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    /// `5.7.1`
    enhanced: Option<Enhanced>,
    /// At least one; printable ASCII, each short enough for its line.
    lines: Vec<String>,
}

/// An enhanced status code: class, subject, detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enhanced(pub u16, pub u16, pub u16);

/// What a reply means for a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// 2xx
    Done,
    /// 3xx
    GoOn,
    /// 4xx: the client keeps the mail.
    Temporary,
    /// 5xx: the client returns the mail.
    Permanent,
}

impl Reply {
    /// `text` may have several lines; a code out of 200..=599 becomes 451.
    pub fn new(code: u16, enhanced: Option<Enhanced>, text: &str) -> Reply {
        let code = if (200..600).contains(&code) {
            code
        } else {
            451
        };
        // RFC 2034 section 4: the class of the two codes is the same; 3xx has no enhanced code.
        let enhanced = enhanced.filter(|enhanced| enhanced.0 == code / 100 && enhanced.0 != 3);
        let mut lines: Vec<String> = text
            .lines()
            .take(MAX_LINES)
            .map(|line| clean(line, enhanced))
            .collect();
        if lines.is_empty() {
            lines.push(String::new());
        }
        Reply {
            code,
            enhanced,
            lines,
        }
    }

    /// A reply of ours: `Reply::own(550, "5.7.1", "no")`.
    pub fn own(code: u16, enhanced: &str, text: &str) -> Reply {
        Reply::new(code, Enhanced::parse(enhanced), text)
    }

    /// From the lines that a next hop sent, without code and separator. An enhanced code at the start of the first line
    /// is taken out, and out of each further line that repeats it.
    pub fn received(code: u16, lines: &[&[u8]]) -> Reply {
        let texts: Vec<String> = lines.iter().map(|line| printable(line)).collect();
        let enhanced = texts
            .first()
            .and_then(|line| Enhanced::parse(line.split(' ').next().unwrap_or_default()))
            .filter(|enhanced| enhanced.0 == code / 100);
        let prefix = enhanced.map(|enhanced| enhanced.to_string());
        let text: Vec<&str> = texts
            .iter()
            .map(|line| {
                match prefix
                    .as_deref()
                    .and_then(|prefix| line.strip_prefix(prefix))
                {
                    Some(rest) if rest.is_empty() || rest.starts_with(' ') => rest.trim_start(),
                    _ => line,
                }
            })
            .collect();
        Reply::new(code, enhanced, &text.join("\n"))
    }

    pub fn code(&self) -> u16 {
        self.code
    }

    pub fn enhanced(&self) -> Option<Enhanced> {
        self.enhanced
    }

    pub fn class(&self) -> Class {
        match self.code / 100 {
            2 => Class::Done,
            3 => Class::GoOn,
            4 => Class::Temporary,
            _ => Class::Permanent,
        }
    }

    pub fn is_done(&self) -> bool {
        self.class() == Class::Done
    }

    /// The lines without codes.
    pub fn text(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// The same text as a 4xx: a 421 of the next hop is about its own line, not about the client's.
    pub fn as_temporary(&self) -> Reply {
        if self.class() == Class::Temporary && self.code != 421 {
            return self.clone();
        }
        Reply {
            code: 451,
            enhanced: Some(
                self.enhanced
                    .filter(|enhanced| enhanced.0 == 4)
                    .unwrap_or(Enhanced(4, 3, 0)),
            ),
            lines: self.lines.clone(),
        }
    }

    /// As it goes on the wire, line ends included.
    pub fn to_wire(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        let last = self.lines.len().saturating_sub(1);
        for (index, line) in self.lines.iter().enumerate() {
            let separator = if index == last { ' ' } else { '-' };
            out.extend_from_slice(format!("{}{separator}", self.code).as_bytes());
            if let Some(enhanced) = self.enhanced {
                out.extend_from_slice(format!("{enhanced} ").as_bytes());
            }
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out
    }
}

impl fmt::Display for Reply {
    /// On one line, for the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        write!(f, " {}", self.lines.join(" / "))
    }
}

impl Enhanced {
    pub fn parse(text: &str) -> Option<Enhanced> {
        let mut numbers = text.split('.').map(|digits| {
            let plain = (1..=3).contains(&digits.len())
                && digits.bytes().all(|octet| octet.is_ascii_digit());
            digits.parse::<u16>().ok().filter(|_| plain)
        });
        let enhanced = Enhanced(numbers.next()??, numbers.next()??, numbers.next()??);
        (numbers.next().is_none() && matches!(enhanced.0, 2 | 4 | 5)).then_some(enhanced)
    }
}

impl fmt::Display for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// Printable ASCII, `?` for what is not, cut to what a reply line holds.
fn clean(line: &str, enhanced: Option<Enhanced>) -> String {
    let used = 4 + 2 + enhanced.map_or(0, |enhanced| enhanced.to_string().len() + 1);
    let most = MAX_LINE.saturating_sub(used);
    line.chars()
        .map(|char| {
            if (' '..='~').contains(&char) {
                char
            } else {
                '?'
            }
        })
        .take(most)
        .collect()
}

fn printable(line: &[u8]) -> String {
    line.iter()
        .map(|octet| match octet {
            b' '..=b'~' => char::from(*octet),
            b'\t' => ' ',
            _ => '?',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(reply: &Reply) -> String {
        String::from_utf8(reply.to_wire()).unwrap()
    }

    #[test]
    fn replies_on_the_wire() {
        for (reply, expected) in [
            (Reply::own(250, "2.0.0", "queued"), "250 2.0.0 queued\r\n"),
            (Reply::new(354, None, "go on"), "354 go on\r\n"),
            (Reply::new(250, None, "a\nb"), "250-a\r\n250 b\r\n"),
            (
                Reply::own(550, "5.7.1", "a\r\nb"),
                "550-5.7.1 a\r\n550 5.7.1 b\r\n",
            ),
            (
                Reply::own(550, "4.7.1", "classes differ"),
                "550 classes differ\r\n",
            ),
            (
                Reply::own(451, "4.3.0", "a\u{0}ü\u{1b}"),
                "451 4.3.0 a???\r\n",
            ),
            (Reply::new(99, None, ""), "451 \r\n"),
        ] {
            assert_eq!(wire(&reply), expected);
        }
    }

    #[test]
    fn replies_received() {
        for (code, lines, expected) in [
            (
                550,
                &[&b"5.1.1 no such user"[..]][..],
                "550 5.1.1 no such user\r\n",
            ),
            (
                550,
                &[b"5.1.1 a", b"5.1.1 b"],
                "550-5.1.1 a\r\n550 5.1.1 b\r\n",
            ),
            (550, &[b"5.1.1 a", b"b"], "550-5.1.1 a\r\n550 5.1.1 b\r\n"),
            (250, &[b"ok\x00\xff"], "250 ok??\r\n"),
            (250, &[b""], "250 \r\n"),
            (250, &[b"5.0.0 odd"], "250 5.0.0 odd\r\n"),
            (250, &[b"2.0.0"], "250 2.0.0 \r\n"),
            (250, &[b"2.0.0.1 x"], "250 2.0.0.1 x\r\n"),
        ] {
            assert_eq!(wire(&Reply::received(code, lines)), expected);
        }
    }

    #[test]
    fn a_line_has_at_most_512_octets() {
        let reply = Reply::own(550, "5.7.1", &"x".repeat(2000));
        assert_eq!(reply.to_wire().len(), MAX_LINE);
    }

    #[test]
    fn a_421_of_the_next_hop_is_a_451_of_ours() {
        for (reply, expected) in [
            (Reply::own(421, "4.3.2", "closing"), "451 4.3.2 closing\r\n"),
            (Reply::own(450, "4.2.1", "busy"), "450 4.2.1 busy\r\n"),
            (Reply::own(250, "2.0.0", "what"), "451 4.3.0 what\r\n"),
        ] {
            assert_eq!(wire(&reply.as_temporary()), expected);
        }
    }
}
