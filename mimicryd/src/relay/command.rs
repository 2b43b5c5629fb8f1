//! The command lines that we send, octet for octet.
//!
//! lettre's own types for addresses and parameters are not used: they refuse addresses that exist, and encode text that
//! is encoded already a second time. A line is checked when it is made, because lettre writes whatever it is given.
//!
//! Must never: hold a control octet, so that one line can never be two.

use std::fmt;

use mimicry_core::envelope::Path;
use mimicry_core::reply::{Own, Reply};

/// One line, its CRLF included.
#[derive(Clone, PartialEq, Eq)]
pub struct CommandLine(String);

impl CommandLine {
    pub fn mail(sender: &Path, params: &[u8]) -> Result<CommandLine, Reply> {
        CommandLine::with_path("MAIL FROM:<", sender, params)
    }

    pub fn rcpt(recipient: &Path, params: &[u8]) -> Result<CommandLine, Reply> {
        CommandLine::with_path("RCPT TO:<", recipient, params)
    }

    /// A verb, and its argument if it has one.
    pub fn plain(text: &str) -> Result<CommandLine, Reply> {
        CommandLine::checked(format!("{text}\r\n"))
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    fn with_path(verb: &str, path: &Path, params: &[u8]) -> Result<CommandLine, Reply> {
        // lettre writes text. The server side takes no path and no parameter that is not UTF-8 (RFC 6531 section 3.3).
        let (Ok(path), Ok(params)) = (
            std::str::from_utf8(path.as_bytes()),
            std::str::from_utf8(params),
        ) else {
            return Err(unfit());
        };
        let blank = if params.is_empty() { "" } else { " " };
        CommandLine::checked(format!("{verb}{path}>{blank}{params}\r\n"))
    }

    fn checked(line: String) -> Result<CommandLine, Reply> {
        match line.strip_suffix("\r\n") {
            Some(text) if !text.chars().any(char::is_control) => Ok(CommandLine(line)),
            _ => Err(unfit()),
        }
    }
}

/// Lines that go out in one write, as one value for lettre.
pub struct Together<'l>(pub &'l [CommandLine]);

impl Together<'_> {
    pub fn octets(&self) -> usize {
        let octets = self.0.iter().map(|line| line.as_bytes().len());
        octets.fold(0, usize::saturating_add)
    }

    /// Are these octets the lines, one after the other?
    pub fn is(&self, octets: &[u8]) -> bool {
        let rest = self
            .0
            .iter()
            .try_fold(octets, |rest, line| rest.strip_prefix(line.as_bytes()));
        rest.is_some_and(<[u8]>::is_empty)
    }
}

impl fmt::Display for Together<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| line.fmt(f))
    }
}

/// Its length only: a line may hold a password.
impl fmt::Debug for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommandLine({} octets)", self.0.len())
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn unfit() -> Reply {
    Own::UnfitForCommand.reply()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_out_as_they_came() {
        for (path, params, expected) in [
            (&b""[..], &b""[..], Some("MAIL FROM:<>\r\n")),
            (b"a@b", b"", Some("MAIL FROM:<a@b>\r\n")),
            (
                b"a@b",
                b"SIZE=1 ENVID=a+2Bb",
                Some("MAIL FROM:<a@b> SIZE=1 ENVID=a+2Bb\r\n"),
            ),
            (
                b"\"a b\"@[IPv6:::1]",
                b"",
                Some("MAIL FROM:<\"a b\"@[IPv6:::1]>\r\n"),
            ),
            (
                "ü@b".as_bytes(),
                b"SMTPUTF8",
                Some("MAIL FROM:<ü@b> SMTPUTF8\r\n"),
            ),
            (b"a@b\r\nRCPT TO:<c@d", b"", None),
            (b"a\n@b", b"", None),
            (b"a@b", b"SIZE=1\rX", None),
            (b"a\0@b", b"", None),
            (b"a\x7f@b", b"", None),
            ("a\u{85}@b".as_bytes(), b"", None),
            (b"a\xff@b", b"", None),
            (b"a@b", b"X=\xff", None),
        ] {
            let line = CommandLine::mail(&Path::new(path), params);
            assert_eq!(
                line.as_ref().map(ToString::to_string).ok().as_deref(),
                expected
            );
            assert!(line.err().is_none_or(|reply| reply.code() == 501));
        }
        assert_eq!(
            CommandLine::rcpt(&Path::new("a"), b"NOTIFY=NEVER")
                .unwrap()
                .to_string(),
            "RCPT TO:<a> NOTIFY=NEVER\r\n"
        );
        assert_eq!(
            CommandLine::plain("EHLO a").unwrap().to_string(),
            "EHLO a\r\n"
        );
        assert!(CommandLine::plain("EHLO a\r\nQUIT").is_err());
    }
}
