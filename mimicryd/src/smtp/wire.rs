//! What the client sent and what is sent to it: one buffer for each direction, both bounded and reused.
//!
//! Only CRLF ends a command line. A lone LF ends the session: no MTA sends one, and to guess on which side of it the
//! command ends is how commands are smuggled. An over-long line is skipped to its end and never run, neither whole nor in part.
//!
//! Replies are collected and leave in one write when no complete command is waiting (RFC 2920 section 3.2).
//!
//! Must never: hand out a line with CR, LF or NUL in it, or hold more than its bounds.

use std::fmt;

use memchr::{memchr, memchr2};
use mimicry_core::reply::Reply;

/// Octets read at a time.
const BUFFER: usize = 64 * 1024;

/// Octets of an over-long line that are skipped before the client is given up.
const MAX_SKIP: usize = 256 * 1024;

/// Octets of replies that are collected before they must be written.
const MAX_OUTGOING: usize = 16 * 1024;

/// The first octet of a TLS record that carries a handshake (RFC 8446 section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// Both directions of one connection.
pub struct Wire {
    /// All of it can be read into; what is unread stands between `start` and `end`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// No LF stands before this place.
    scanned: usize,
    /// Octets of the present line that were thrown away; 0 = it is whole.
    skipped: usize,
    /// Octets of a command line, CRLF included.
    max_line: usize,
    outgoing: Vec<u8>,
    /// Octets of `outgoing` that were written.
    sent: usize,
}

/// What stood up to the next CRLF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// Without its CRLF; no CR, LF or NUL in it.
    Command(&'a [u8]),
    /// Longer than allowed; all of it is gone.
    TooLong,
    /// It held NUL or a lone CR; all of it is gone.
    Unclean,
    /// A lone LF. The place of the next command is not known.
    LoneLf,
    /// Over-long, and no end in sight.
    Endless,
    /// The client speaks TLS, which was not asked for.
    Tls,
}

impl Wire {
    /// `max_line` is in octets, CRLF included.
    pub fn new(max_line: usize) -> Wire {
        Wire {
            buffer: vec![0; BUFFER.max(max_line)],
            start: 0,
            end: 0,
            scanned: 0,
            skipped: 0,
            max_line,
            outgoing: Vec::new(),
            sent: 0,
        }
    }

    /// From now on a line may be so long.
    pub fn allow(&mut self, max_line: usize) {
        self.max_line = max_line;
        if self.buffer.len() < max_line {
            self.buffer.resize(max_line, 0);
        }
    }

    /// Forgets everything, for the next connection.
    pub fn reset(&mut self, max_line: usize) {
        self.allow(max_line);
        (self.start, self.end, self.scanned, self.skipped) = (0, 0, 0, 0);
        self.outgoing.clear();
        self.sent = 0;
    }

    /// Where to read into. It has room whenever [`Wire::line`] has nothing, and whenever all input was consumed.
    pub fn space(&mut self) -> &mut [u8] {
        // What moves is part of one line, and moves once.
        if self.start > 0 && (self.start == self.end || self.end > self.buffer.len() / 2) {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end = self.end.saturating_sub(self.start);
            self.scanned = self.scanned.saturating_sub(self.start);
            self.start = 0;
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// So many octets were read into [`Wire::space`].
    pub fn filled(&mut self, octets: usize) {
        self.end = self.end.saturating_add(octets).min(self.buffer.len());
    }

    /// The next command line; `None` = read on.
    pub fn line(&mut self) -> Option<Input<'_>> {
        let waiting = self.end.saturating_sub(self.start);
        if self.skipped == 0 && self.input().first() == Some(&TLS_HANDSHAKE) {
            self.consume(waiting);
            return Some(Input::Tls);
        }
        let Some(offset) = memchr(b'\n', self.buffer.get(self.scanned..self.end)?) else {
            self.scanned = self.end;
            if waiting < self.max_line {
                return None;
            }
            // The last octet may be the CR of the line's end.
            let gone = waiting.saturating_sub(1);
            self.consume(gone);
            self.scanned = self.end;
            self.skipped = self.skipped.saturating_add(gone);
            return (self.skipped > MAX_SKIP).then_some(Input::Endless);
        };
        let begin = self.start;
        self.start = self.scanned.saturating_add(offset).saturating_add(1);
        self.scanned = self.start;
        let skipped = std::mem::take(&mut self.skipped);
        let line = self.buffer.get(begin..self.start)?;
        Some(match line.strip_suffix(b"\r\n") {
            None => Input::LoneLf,
            Some(_) if skipped > 0 || line.len() > self.max_line => Input::TooLong,
            Some(text) if memchr2(b'\r', 0, text).is_some() => Input::Unclean,
            Some(text) => Input::Command(text),
        })
    }

    /// The whole lines that have come behind the one that was handed out last, up to the first that [`Wire::line`] would not call a command.
    pub fn further_lines(&self) -> impl Iterator<Item = &[u8]> {
        let is_plain = |text: &&[u8]| {
            text.len().saturating_add(2) <= self.max_line && memchr2(b'\r', 0, text).is_none()
        };
        let whole = memchr::memrchr(b'\n', self.input()).map_or(0, |at| at.saturating_add(1));
        self.input()
            .get(..whole)
            .unwrap_or_default()
            .split_inclusive(|octet| *octet == b'\n')
            .map_while(|line| line.strip_suffix(b"\r\n"))
            .take_while(is_plain)
    }

    /// All that is unread, for a [`super::data::DataReader`].
    pub fn input(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// So many octets of [`Wire::input`] were taken.
    pub fn consume(&mut self, octets: usize) {
        self.start = self.start.saturating_add(octets).min(self.end);
        self.scanned = self.scanned.max(self.start);
    }

    /// Throws away all that is unread: what came before TLS was begun is not to be believed (RFC 3207 section 6).
    pub fn discard_input(&mut self) {
        (self.start, self.end, self.scanned, self.skipped) = (0, 0, 0, 0);
    }

    /// Puts a reply behind those that were not yet written.
    pub fn say(&mut self, reply: &Reply) {
        self.outgoing.extend_from_slice(&reply.to_wire());
    }

    /// What is to be written.
    pub fn outgoing(&self) -> &[u8] {
        self.outgoing.get(self.sent..).unwrap_or_default()
    }

    /// So many octets of [`Wire::outgoing`] were written.
    pub fn sent(&mut self, octets: usize) {
        self.sent = self.sent.saturating_add(octets);
        if self.sent >= self.outgoing.len() {
            self.outgoing.clear();
            self.sent = 0;
        }
    }

    /// Must what was collected be written now, although a command is waiting?
    pub fn is_full(&self) -> bool {
        self.outgoing().len() >= MAX_OUTGOING
    }
}

impl fmt::Debug for Wire {
    /// Without what people wrote to each other.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("unread", &self.input().len())
            .field("skipped", &self.skipped)
            .field("outgoing", &self.outgoing().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX_LINE: usize = 32;

    /// As much as there is room for; what is left.
    fn put<'o>(wire: &mut Wire, octets: &'o [u8]) -> &'o [u8] {
        let space = wire.space();
        let fitting = octets.len().min(space.len());
        assert!(fitting > 0 || octets.is_empty(), "no room");
        space[..fitting].copy_from_slice(&octets[..fitting]);
        wire.filled(fitting);
        &octets[fitting..]
    }

    /// `+text` a command, else the kind; stops as a session would.
    fn lines(input: &[u8], chunk: usize) -> Vec<String> {
        let mut wire = Wire::new(MAX_LINE);
        let mut seen = Vec::new();
        for mut piece in input.chunks(chunk) {
            while !piece.is_empty() {
                piece = put(&mut wire, piece);
                while let Some(line) = wire.line() {
                    seen.push(match line {
                        Input::Command(text) => format!("+{}", String::from_utf8_lossy(text)),
                        other => format!("{other:?}"),
                    });
                    if matches!(line, Input::LoneLf | Input::Endless | Input::Tls) {
                        return seen;
                    }
                }
            }
        }
        seen
    }

    #[test]
    fn only_crlf_ends_a_line() {
        let longest = "x".repeat(MAX_LINE - 2);
        let long = "x".repeat(MAX_LINE - 1);
        for (input, expected) in [
            ("", &[][..]),
            ("QUIT", &[]),
            ("QUIT\r", &[]),
            ("\r\n", &["+"]),
            ("a\r\nb\r\nc", &["+a", "+b"]),
            // T37-45
            ("a\nb\r\n", &["LoneLf"]),
            ("\n", &["LoneLf"]),
            ("a\r\n\nb\r\n", &["+a", "LoneLf"]),
            ("a\rb\r\nc\r\n", &["Unclean", "+c"]),
            ("a\r\r\nc\r\n", &["Unclean", "+c"]),
            ("a\0b\r\nc\r\n", &["Unclean", "+c"]),
            ("\x16\x03\x01", &["Tls"]),
            ("a\r\n\x16\x03\x01", &["+a", "Tls"]),
            ("a\x16\r\n", &["+a\x16"]),
            // T35, T36
            (
                &format!("{longest}\r\na\r\n"),
                &[&format!("+{longest}"), "+a"],
            ),
            (&format!("{long}\r\na\r\n"), &["TooLong", "+a"]),
            (
                &format!("{long}{long}{long}QUIT\r\na\r\n"),
                &["TooLong", "+a"],
            ),
            (&format!("{long}{long}\nQUIT\r\n"), &["LoneLf"]),
            (
                &format!("{long}{long}\r\r\nQUIT\r\n"),
                &["TooLong", "+QUIT"],
            ),
            (&format!("{long}\x16{long}\r\na\r\n"), &["TooLong", "+a"]),
            // The part behind the limit would be a TLS record if it stood alone.
            (&format!("{long}\x16\r\na\r\n"), &["TooLong", "+a"]),
        ] {
            for chunk in 1..=input.len().max(1) {
                assert_eq!(
                    lines(input.as_bytes(), chunk),
                    expected,
                    "{input:?} by {chunk}"
                );
            }
        }
    }

    /// Only what would be a command, and nothing behind what would not.
    #[test]
    fn lines_behind_the_one_in_hand() {
        let long = "x".repeat(MAX_LINE);
        for (input, expected) in [
            ("a\r\n", &[][..]),
            ("a\r\nb\r\nc\r\n", &["b", "c"]),
            ("a\r\nb\r\nc", &["b"]),
            ("a\r\nb\nc\r\n", &[]),
            ("a\r\nb\r\nc\rd\r\ne\r\n", &["b"]),
            ("a\r\nb\r\nc\0\r\ne\r\n", &["b"]),
            ("a\r\nb\r\n\r\nc\r\n", &["b", "", "c"]),
            (&format!("a\r\nb\r\n{long}\r\nc\r\n"), &["b"]),
        ] {
            let mut wire = Wire::new(MAX_LINE);
            put(&mut wire, input.as_bytes());
            assert_eq!(wire.line(), Some(Input::Command(b"a")));
            let found: Vec<Vec<u8>> = wire.further_lines().map(<[u8]>::to_vec).collect();
            let expected: Vec<Vec<u8>> = expected
                .iter()
                .map(|text| text.as_bytes().to_vec())
                .collect();
            assert_eq!(found, expected, "{input:?}");
            // They are still to be handed out.
            let next = wire.line().map(|line| matches!(line, Input::Command(_)));
            assert_eq!(next == Some(true), !found.is_empty(), "{input:?}");
        }
    }

    #[test]
    fn a_64_kib_command_is_skipped_and_an_endless_one_given_up() {
        let mut input = vec![b'x'; 64 * 1024];
        input.extend_from_slice(b"\r\nQUIT\r\n");
        for chunk in [1, 1000, input.len()] {
            assert_eq!(lines(&input, chunk), ["TooLong", "+QUIT"]);
        }
        let input = vec![b'x'; 1024 * 1024];
        for chunk in [1, 1000, input.len()] {
            assert_eq!(lines(&input, chunk), ["Endless"]);
        }
    }

    #[test]
    fn the_buffer_never_grows() {
        let mut wire = Wire::new(MAX_LINE);
        let most = wire.buffer.len();
        for _ in 0..10_000 {
            assert_eq!(put(&mut wire, b"0123456789abcdef\r\n01234"), b"");
            while wire.line().is_some() {}
        }
        assert_eq!(wire.buffer.len(), most);
        assert!(wire.input().len() < MAX_LINE);
    }

    #[test]
    fn a_line_may_be_longer_than_what_is_read_at_a_time() {
        let mut wire = Wire::new(BUFFER * 2);
        assert_eq!(put(&mut wire, &vec![b'x'; BUFFER * 2 - 2]), b"");
        assert_eq!(wire.line(), None);
        put(&mut wire, b"\r\n");
        assert!(matches!(wire.line(), Some(Input::Command(text)) if text.len() == BUFFER * 2 - 2));
    }

    #[test]
    fn there_is_room_whenever_there_is_no_line() {
        let mut wire = Wire::new(BUFFER * 2);
        assert_eq!(put(&mut wire, &vec![b'x'; BUFFER * 2]), b"");
        assert_eq!(wire.line(), None);
        assert!(!wire.space().is_empty());
    }

    #[test]
    fn replies_are_collected_in_order() {
        let mut wire = Wire::new(MAX_LINE);
        wire.say(&Reply::received(250, &[b"2.1.0 a"]));
        wire.say(&Reply::received(250, &[b"2.1.5 b"]));
        assert_eq!(wire.outgoing(), b"250 2.1.0 a\r\n250 2.1.5 b\r\n");
        wire.sent(13);
        assert_eq!(wire.outgoing(), b"250 2.1.5 b\r\n");
        wire.say(&Reply::received(221, &[b"2.0.0 c"]));
        assert_eq!(wire.outgoing(), b"250 2.1.5 b\r\n221 2.0.0 c\r\n");
        wire.sent(wire.outgoing().len());
        assert_eq!(wire.outgoing(), b"");
        assert!(!wire.is_full());
        while !wire.is_full() {
            wire.say(&Reply::received(
                250,
                &[format!("2.0.0 {}", "x".repeat(400)).as_bytes()],
            ));
        }
        assert!(wire.outgoing().len() < MAX_OUTGOING + 512);
    }

    #[test]
    fn nothing_of_a_session_is_left_for_the_next() {
        let mut wire = Wire::new(MAX_LINE);
        put(&mut wire, &[b'x'; 100]);
        assert_eq!(wire.line(), None);
        wire.say(&Reply::received(250, &[b"2.0.0 a"]));
        wire.reset(BUFFER + 10);
        assert_eq!((wire.input(), wire.outgoing()), (&b""[..], &b""[..]));
        assert_eq!(wire.space().len(), BUFFER + 10);
        put(&mut wire, b"QUIT\r\n");
        assert_eq!(wire.line(), Some(Input::Command(b"QUIT")));
    }

    proptest! {
        /// How the octets are cut on their way does not matter.
        #[test]
        fn cuts_do_not_matter(input in "([abQ\r\n\0\x16]|\r\n|xxxxxxxxxxxxxxxxxxxx){0,40}", chunk in 1usize..20) {
            prop_assert_eq!(lines(input.as_bytes(), chunk), lines(input.as_bytes(), usize::MAX));
        }
    }
}
