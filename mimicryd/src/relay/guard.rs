//! The last guard: what may leave at all.
//!
//! A CR or LF that is not of a CRLF is the end of a line to some servers and text to others, so that the words of a mail could
//! give the next hop a second envelope. Nothing of ours should make one; if something does, whatever it is, the mail stays here.
//! Each way out is given a [`Clean`] mail, which [`NextHop::data`](super::next_hop::NextHop::data) alone makes: one that forgets to look cannot
//! be written. The look is a pass of its own, before DATA: nothing has left then, and the connection goes on.
//!
//! Must never: mend. Nobody knows what was meant.

use mimicry_core::message::lines::lone;
use mimicry_core::reply::Own;

use super::answer::{Answer, Cause};

/// A mail each of whose lines ends in CRLF, but for the last, which may have no end.
#[derive(Clone, Copy, Debug)]
pub struct Clean<'m>(Outgoing<'m>);

impl<'m> Clean<'m> {
    /// `Err` = what the client hears instead.
    pub(super) fn of(mail: Outgoing<'m>) -> Result<Clean<'m>, Answer> {
        let [above, message] = mail.pieces();
        // A line that is not complete would go on in the message, and nobody looks for a dot in the middle of a line.
        let seam = (!above.is_empty() && !above.ends_with(b"\r\n")).then_some(above.len());
        let within = |at: usize| above.len().saturating_add(at);
        let wrong = lone(above).or(seam).or_else(|| lone(message).map(within));
        match wrong {
            None => Ok(Clean(mail)),
            Some(at) => Err(Answer {
                reply: Own::LoneOctet.with(&at.to_string()),
                cause: Cause::Unclean,
                is_doubtful: false,
            }),
        }
    }

    /// One after the other they are the mail.
    pub fn pieces(self) -> [&'m [u8]; 2] {
        self.0.pieces()
    }
}

/// What is handed on.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'m> {
    /// Complete lines on top of the message: apart from it, so that a large mail is not copied for them.
    pub above: &'m [u8],
    pub message: &'m [u8],
}

impl<'m> Outgoing<'m> {
    pub fn octets(self) -> usize {
        self.above.len().saturating_add(self.message.len())
    }

    pub fn is_ascii(self) -> bool {
        self.above.is_ascii() && self.message.is_ascii()
    }

    /// One after the other they are the mail.
    pub fn pieces(self) -> [&'m [u8]; 2] {
        [self.above, self.message]
    }
}

impl<'m> From<&'m [u8]> for Outgoing<'m> {
    fn from(message: &'m [u8]) -> Outgoing<'m> {
        Outgoing {
            above: b"",
            message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t175_what_may_leave() {
        for (above, message, at) in [
            ("", "", None),
            ("", "a", None),
            ("", "a\r\n.b\r\n\r\n.", None),
            ("A: b\r\n", "\r\nx", None),
            ("A: b\r\n", "", None),
            ("", "a\nb", Some(1)),
            ("", "a\rb", Some(1)),
            ("", "a\r", Some(1)),
            ("", "\n.\r\n", Some(0)),
            ("A: b\r\n", "x\n.\n", Some(7)),
            ("A: b\n", "x", Some(4)),
            ("A: b\rc\r\n", "x", Some(4)),
            // Each piece is clean by itself, or the octets on the wire are.
            ("A: b\r", "\n.\r\n", Some(4)),
            ("A: b", "\r\n.\r\n", Some(4)),
            ("A: b", ".c", Some(4)),
        ] {
            let [above, message] = [above, message].map(str::as_bytes);
            let found = Clean::of(Outgoing { above, message });
            let said = found.err().map(|answer| {
                assert_eq!((answer.reply.code(), answer.cause), (451, Cause::Unclean));
                assert!(!answer.is_doubtful);
                answer.reply.to_string()
            });
            let expected = at.map(|at| format!("451 4.3.0 a CR or LF stands alone at octet {at} of the mail, which is not handed on like this"));
            assert_eq!(said, expected, "{above:?} {message:?}");
        }
    }
}
