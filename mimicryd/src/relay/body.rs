//! A message as DATA wants it (RFC 5321 section 4.5.2), in blocks of slices of the message: nothing is copied.
//!
//! A line that begins with a dot gets another one; the last line gets its CRLF if it has none. The final dot is not part of it.
//!
//! Must never: change, lose or add any other octet.

use std::io::IoSlice;

use memchr::memmem::find;

use super::guard::Clean;

/// Octets of a block, less than one line more.
pub const BLOCK: usize = 256 * 1024;

/// Slices of a block: a message of nothing but dots would make millions (the kernel takes 1024).
const SLICES: usize = 512;

/// What is still to be written.
pub struct Body<'m> {
    rest: &'m [u8],
    /// Behind the rest, which ends with a line end then.
    next: &'m [u8],
    /// What the rest begins with is the dot that was doubled.
    needs_dot: bool,
    needs_line_end: bool,
}

impl<'m> Body<'m> {
    pub fn new(mail: Clean<'m>) -> Body<'m> {
        let (rest, next) = match mail.pieces() {
            [b"", message] => (message, &b""[..]),
            [above, message] => (above, message),
        };
        let last = if next.is_empty() { rest } else { next };
        Body {
            rest,
            next,
            needs_dot: rest.starts_with(b"."),
            needs_line_end: !last.is_empty() && !last.ends_with(b"\r\n"),
        }
    }

    /// The next block; `None` = everything has been given.
    pub fn block(&mut self) -> Option<Vec<IoSlice<'m>>> {
        let mut slices = Vec::new();
        let mut room = BLOCK;
        while room > 0
            && slices.len() < SLICES
            && let Some(slice) = self.slice(room)
        {
            room = room.saturating_sub(slice.len());
            slices.push(IoSlice::new(slice));
        }
        (!slices.is_empty()).then_some(slices)
    }

    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty() && self.next.is_empty() && !self.needs_line_end
    }

    /// At most `room` octets.
    fn slice(&mut self, room: usize) -> Option<&'m [u8]> {
        if std::mem::take(&mut self.needs_dot) {
            return Some(b".");
        }
        if self.rest.is_empty() && !self.next.is_empty() {
            self.rest = std::mem::take(&mut self.next);
            if self.rest.starts_with(b".") {
                return Some(b".");
            }
        }
        if self.rest.is_empty() {
            return std::mem::take(&mut self.needs_line_end).then_some(b"\r\n");
        }
        // A block may end within CRLF "."; then the search must see all of it.
        let window = self.rest.get(..room.saturating_add(2)).unwrap_or(self.rest);
        let (length, needs_dot) = match find(window, b"\r\n.") {
            Some(at) => (at.saturating_add(2), true),
            None => (room, false),
        };
        let (slice, rest) = self
            .rest
            .split_at_checked(length)
            .unwrap_or((self.rest, b""));
        (self.rest, self.needs_dot) = (rest, needs_dot);
        Some(slice)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Outgoing;
    use super::*;

    fn written(message: &[u8]) -> Vec<u8> {
        written_of(message.into())
    }

    fn written_of(mail: Outgoing<'_>) -> Vec<u8> {
        let mut body = Body::new(Clean::of(mail).unwrap());
        let mut out = Vec::new();
        while let Some(block) = body.block() {
            assert!(block.len() <= SLICES);
            let octets: usize = block.iter().map(|slice| slice.len()).sum();
            assert!(octets > 0 && octets < BLOCK + 2, "{octets}");
            block.iter().for_each(|slice| out.extend_from_slice(slice));
        }
        assert!(body.is_at_end());
        out
    }

    #[test]
    fn messages() {
        for (message, expected) in [
            ("", ""),
            ("\r\n", "\r\n"),
            (".", "..\r\n"),
            (".\r\n", "..\r\n"),
            ("..\r\n.", "...\r\n..\r\n"),
            ("a", "a\r\n"),
            ("a\r\n.b\r\n\r\n.\r\n", "a\r\n..b\r\n\r\n..\r\n"),
            ("a.\r\nb.", "a.\r\nb.\r\n"),
        ] {
            assert_eq!(
                written(message.as_bytes()),
                expected.as_bytes(),
                "{message:?}"
            );
        }
    }

    #[test]
    fn lines_above() {
        for (above, message, expected) in [
            ("a\r\n", ".b", "a\r\n..b\r\n"),
            ("a\r\n", "", "a\r\n"),
            (".a\r\n", "b\r\n.", "..a\r\nb\r\n..\r\n"),
        ] {
            let (above, message) = (above.as_bytes(), message.as_bytes());
            assert_eq!(written_of(Outgoing { above, message }), expected.as_bytes());
        }
    }

    /// A line that begins with a dot, and the end, at and around each border of a block.
    #[test]
    fn borders_of_blocks() {
        for around in BLOCK - 4..BLOCK + 4 {
            for end in ["\r\n.y\r\n", "\r\n", "\r\n.", ""] {
                let x = "x".repeat(around);
                let expected = match end {
                    "\r\n.y\r\n" => "\r\n..y\r\n",
                    "\r\n." => "\r\n..\r\n",
                    _ => "\r\n",
                };
                let out = written(format!("{x}{end}").as_bytes());
                assert!(
                    out == format!("{x}{expected}").into_bytes(),
                    "{around} {end:?}"
                );
            }
        }
        let dots = b".\r\n".repeat(100_000);
        assert!(written(&dots) == b"..\r\n".repeat(100_000));
    }

    proptest! {
        #[test]
        fn taking_the_dots_away_gives_the_message(
            message in proptest::collection::vec(prop_oneof![Just("."), Just("\r\n"), Just("x")], 0..60)
        ) {
            let message = message.concat().into_bytes();
            let out = written(&message);
            let mut back: Vec<u8> = Vec::new();
            for (at, octet) in out.iter().enumerate() {
                let begins_line = at == 0 || out[..at].ends_with(b"\r\n");
                if !(begins_line && *octet == b'.') {
                    back.push(*octet);
                } else {
                    prop_assert_eq!(out.get(at + 1), Some(&b'.'));
                    // The doubled dot is dropped, the second one does not begin the line.
                }
            }
            let mut expected = message.clone();
            if !message.is_empty() && !message.ends_with(b"\r\n") {
                expected.extend_from_slice(b"\r\n");
            }
            prop_assert_eq!(back, expected);
        }
    }
}
