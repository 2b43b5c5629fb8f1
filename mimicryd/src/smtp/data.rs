//! The message after DATA, read up to its end (RFC 5321 section 4.1.1.4).
//!
//! A line ends at CRLF and nowhere else, and the message ends at the line that is a dot. A lone CR becomes a space and
//! a lone LF becomes a CRLF, which is most likely what they mean, or the mail is refused: readers of mail differ on
//! where such a line ends, and this difference lets somebody smuggle in a second mail. A dot after a lone LF is not
//! dot-stuffing and stays.
//!
//! A line `From ` of an mbox at the head of a message is not a field. Below our Received it would end the header for whoever
//! comes next, so it becomes a field that holds it, as with Postfix's server (smtpd), or the mail is refused.
//!
//! A message that is too large, or will be refused, is read to its end and thrown away, so that the client reads the
//! reply.
//!
//! Must never: hand out a message whose end was not seen, or one with a lone CR or LF in it.

use std::fmt;

use memchr::memchr2;
use mimicry_core::reply::{Own, Reply};
use mimicry_core::settings::words::{BareNewline, MboxLine};

use super::mbox::{as_fields, mbox_head, number_of};

/// Reads one message from whatever chunks it comes in.
pub struct DataReader {
    message: Vec<u8>,
    /// Octets of the message at most.
    limit: usize,
    bare_newline: BareNewline,
    mbox_line: MboxLine,
    place: At,
    too_large: bool,
    changed: Changed,
}

/// What one chunk did.
#[derive(Debug, PartialEq, Eq)]
pub struct Fed {
    /// Octets of the chunk that belong to the message and its end; the rest are commands.
    pub taken: usize,
    /// `None` = there is more to come.
    pub ended: Option<Result<Received, Refusal>>,
}

/// A message, complete, without dot-stuffing; its lines end in CRLF.
#[derive(PartialEq, Eq)]
pub struct Received {
    pub message: Vec<u8>,
    pub changed: Changed,
}

/// How many octets or lines were made into something else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Lone LFs, each now a CRLF.
    pub lone_lf: usize,
    /// Lone CRs, each now a blank.
    pub lone_cr: usize,
    /// Lines From of an mbox, each now a field.
    pub mbox_lines: usize,
}

/// Why a message is not taken; it was read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    TooLarge,
    BareNewline,
    MboxLine,
}

/// What stands before the next octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// CRLF, or nothing yet.
    LineStart,
    /// A dot at the start of a line, not yet written.
    Dot,
    /// Such a dot and CR, neither written.
    DotCr,
    /// A CR, not yet written.
    Cr,
    InLine,
    /// The end was seen.
    End,
}

impl DataReader {
    /// `limit` is in octets of the message as it is kept; `expected` is what the client declared, if it did.
    pub fn new(limit: usize, bare_newline: BareNewline, expected: Option<u64>) -> DataReader {
        // A size that is declared costs address space only, until the octets are there.
        let expected = expected
            .and_then(|octets| usize::try_from(octets).ok())
            .unwrap_or(0);
        DataReader {
            message: Vec::with_capacity(expected.min(limit)),
            limit,
            bare_newline,
            mbox_line: MboxLine::Normalize,
            place: At::LineStart,
            too_large: false,
            changed: Changed::default(),
        }
    }

    /// What becomes of mbox lines at the head; unsaid, they are normalised.
    #[must_use]
    pub fn with_mbox_line(mut self, mbox_line: MboxLine) -> DataReader {
        self.mbox_line = mbox_line;
        self
    }

    /// Takes octets up to the end of the message, or all.
    pub fn feed(&mut self, input: &[u8]) -> Fed {
        let mut rest = input;
        while let Some((&octet, behind)) = rest.split_first() {
            match (self.place, octet) {
                (At::End, _) => break,
                (At::LineStart, b'.') => (self.place, rest) = (At::Dot, behind),
                (At::Dot, b'\r') => (self.place, rest) = (At::DotCr, behind),
                (At::DotCr, b'\n') => {
                    return Fed {
                        taken: input.len().saturating_sub(behind.len()),
                        ended: Some(self.end()),
                    };
                }
                // The dot goes, as it does from any line with more on it; its CR is as any other.
                (At::DotCr, _) => self.place = At::Cr,
                (At::Cr, b'\n') => {
                    self.push(b"\r\n");
                    (self.place, rest) = (At::LineStart, behind);
                }
                (At::Cr, _) => {
                    self.push_lone_cr();
                    self.place = At::InLine;
                }
                (At::LineStart | At::Dot | At::InLine, _) => rest = self.feed_text(rest),
            }
        }
        Fed {
            taken: input.len().saturating_sub(rest.len()),
            ended: None,
        }
    }

    /// The fast path: copies spans of whole lines; returns what is left when it comes to a place that needs care.
    fn feed_text<'i>(&mut self, input: &'i [u8]) -> &'i [u8] {
        // From the start of `rest` on nothing was copied yet, the first `plain` octets of it can be as they are.
        let mut rest = input;
        let mut plain = 0;
        loop {
            let found = rest
                .get(plain..)
                .and_then(|text| memchr2(b'\r', b'\n', text));
            let Some(offset) = found else {
                self.push(rest);
                self.place = At::InLine;
                return &[];
            };
            let at = plain.saturating_add(offset);
            let (text, tail) = rest.split_at_checked(at).unwrap_or((rest, &[]));
            match tail {
                [b'\r', b'\n', b'.', behind @ ..] => {
                    self.push(text);
                    self.push(b"\r\n");
                    self.place = At::Dot;
                    return behind;
                }
                [b'\r', b'\n'] => {
                    self.push(rest);
                    self.place = At::LineStart;
                    return &[];
                }
                [b'\r', b'\n', ..] => plain = at.saturating_add(2),
                [b'\r'] => {
                    self.push(text);
                    self.place = At::Cr;
                    return &[];
                }
                [b'\r', behind @ ..] => {
                    self.push(text);
                    self.push_lone_cr();
                    (rest, plain) = (behind, 0);
                }
                [_, behind @ ..] => {
                    self.push(text);
                    self.push(b"\r\n");
                    self.changed.lone_lf = self.changed.lone_lf.saturating_add(1);
                    (rest, plain) = (behind, 0);
                }
                [] => return &[],
            }
        }
    }

    fn push_lone_cr(&mut self) {
        self.push(b" ");
        self.changed.lone_cr = self.changed.lone_cr.saturating_add(1);
    }

    fn push(&mut self, octets: &[u8]) {
        if self.too_large {
            return;
        }
        if self.message.len().saturating_add(octets.len()) > self.limit {
            self.too_large = true;
            self.message = Vec::new();
            return;
        }
        self.message.extend_from_slice(octets);
    }

    fn end(&mut self) -> Result<Received, Refusal> {
        self.place = At::End;
        let mut message = std::mem::take(&mut self.message);
        if self.too_large {
            return Err(Refusal::TooLarge);
        }
        if self.bare_newline == BareNewline::Reject && !self.changed.is_nothing() {
            return Err(Refusal::BareNewline);
        }
        let head = mbox_head(&message);
        if !head.is_empty() {
            if self.mbox_line == MboxLine::Reject {
                return Err(Refusal::MboxLine);
            }
            let fields = as_fields(head);
            let more = fields.len().saturating_sub(head.len());
            if message.len().saturating_add(more) > self.limit {
                return Err(Refusal::TooLarge);
            }
            self.changed.mbox_lines = number_of(head);
            let end = head.len();
            message.splice(..end, fields);
        }
        Ok(Received {
            message,
            changed: self.changed,
        })
    }
}

impl Changed {
    pub fn is_nothing(&self) -> bool {
        *self == Changed::default()
    }
}

impl Refusal {
    pub fn reply(self) -> Reply {
        match self {
            Refusal::TooLarge => Own::TooLarge.reply(),
            Refusal::BareNewline => Own::BareNewline.reply(),
            Refusal::MboxLine => Own::MboxLine.reply(),
        }
    }
}

impl fmt::Debug for Received {
    /// Without what people wrote to each other.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("octets", &self.message.len())
            .field("changed", &self.changed)
            .finish()
    }
}

impl fmt::Debug for DataReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataReader")
            .field("octets", &self.message.len())
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 100_000;

    /// The message and what stood behind its end; chunks end at `cuts`.
    fn read(
        input: &[u8],
        limit: usize,
        bare_newline: BareNewline,
        cuts: &[usize],
    ) -> Option<(Result<Received, Refusal>, Vec<u8>)> {
        let mut reader = DataReader::new(limit, bare_newline, None);
        let mut start = 0;
        for end in cuts.iter().copied().chain([input.len()]) {
            let fed = reader.feed(&input[start..end]);
            if let Some(ended) = fed.ended {
                let behind = input[start + fed.taken..].to_vec();
                assert_eq!(
                    reader.feed(b"more").taken,
                    0,
                    "nothing is taken behind the end"
                );
                return Some((ended, behind));
            }
            assert_eq!(fed.taken, end - start, "all is taken before the end");
            start = end;
        }
        None
    }

    /// Every way to cut in three.
    fn cuts(length: usize) -> impl Iterator<Item = [usize; 2]> {
        (0..=length).flat_map(move |first| (first..=length).map(move |second| [first, second]))
    }

    /// As the standard says it, in one go: lines are what stands between CRLFs.
    fn simply(input: &[u8]) -> Option<(Vec<u8>, Changed, Vec<u8>)> {
        let (mut message, mut changed, mut rest) = (Vec::new(), Changed::default(), input);
        loop {
            let end = memchr::memmem::find(rest, b"\r\n")?;
            let (line, behind) = (&rest[..end], &rest[end + 2..]);
            if line == b"." {
                return Some((message, changed, behind.to_vec()));
            }
            for octet in line.strip_prefix(b".").unwrap_or(line) {
                match octet {
                    b'\n' => {
                        message.extend_from_slice(b"\r\n");
                        changed.lone_lf += 1;
                    }
                    b'\r' => {
                        message.push(b' ');
                        changed.lone_cr += 1;
                    }
                    octet => message.push(*octet),
                }
            }
            message.extend_from_slice(b"\r\n");
            rest = behind;
        }
    }

    fn has_lone(octets: &[u8]) -> bool {
        octets.iter().enumerate().any(|(at, octet)| match octet {
            b'\r' => octets.get(at + 1) != Some(&b'\n'),
            b'\n' => at == 0 || octets[at - 1] != b'\r',
            _ => false,
        })
    }

    /// Input up to its end; the message; lone LFs and CRs in it.
    const MESSAGES: &[(&str, &str, usize, usize)] = &[
        // T8: nothing at all, an empty line
        (".\r\n", "", 0, 0),
        ("\r\n.\r\n", "\r\n", 0, 0),
        ("a\r\n.\r\n", "a\r\n", 0, 0),
        // T7: dots
        ("..\r\n.\r\n", ".\r\n", 0, 0),
        ("...\r\n.\r\n", "..\r\n", 0, 0),
        ("..a\r\nb.\r\n..\r\n.\r\n", ".a\r\nb.\r\n.\r\n", 0, 0),
        (".a\r\n.\r\n", "a\r\n", 0, 0),
        // T13: NUL is an octet
        ("a\0b\r\n.\r\n", "a\0b\r\n", 0, 0),
        // T16 LF.LF
        ("a\n.\nMAIL\r\n.\r\n", "a\r\n.\r\nMAIL\r\n", 2, 0),
        // T17 LF.CRLF
        ("a\n.\r\nMAIL\r\n.\r\n", "a\r\n.\r\nMAIL\r\n", 1, 0),
        // T18 CRLF.LF
        ("a\r\n.\nMAIL\r\n.\r\n", "a\r\n\r\nMAIL\r\n", 1, 0),
        // T19 CR.CR
        ("a\r.\rMAIL\r\n.\r\n", "a . MAIL\r\n", 0, 2),
        // T20 CR.CRLF
        ("a\r.\r\nMAIL\r\n.\r\n", "a .\r\nMAIL\r\n", 0, 1),
        // T21 CRLF.CR
        ("a\r\n.\rMAIL\r\n.\r\n", "a\r\n MAIL\r\n", 0, 1),
        // T22 LF.CR
        ("a\n.\rMAIL\r\n.\r\n", "a\r\n. MAIL\r\n", 1, 1),
        // T23 CR.LF
        ("a\r.\nMAIL\r\n.\r\n", "a .\r\nMAIL\r\n", 1, 1),
        // T24 CRLF NUL.CRLF
        ("a\r\n\0.\r\nMAIL\r\n.\r\n", "a\r\n\0.\r\nMAIL\r\n", 0, 0),
        // T25 CRCRLF.CRCRLF
        ("a\r\r\n.\r\r\nMAIL\r\n.\r\n", "a \r\n \r\nMAIL\r\n", 0, 2),
        // T26 CRLF.SP CRLF
        ("a\r\n. \r\nMAIL\r\n.\r\n", "a\r\n \r\nMAIL\r\n", 0, 0),
        // T29 CRLF. and other octets
        ("a\r\n.b\r\n.\r\n", "a\r\nb\r\n", 0, 0),
        ("a\r\n.\tb\r\n.\r\n", "a\r\n\tb\r\n", 0, 0),
        // at the very start
        (".\n.\r\n.\r\n", "\r\n.\r\n", 1, 0),
        ("\n.\r\n.\r\n", "\r\n.\r\n", 1, 0),
        (".\r.\r\n.\r\n", " .\r\n", 0, 1),
        ("\r.\r\n.\r\n", " .\r\n", 0, 1),
        (".\r\r\n.\r\n", " \r\n", 0, 1),
        // next to the end
        ("a\r\r\n.\r\n", "a \r\n", 0, 1),
        ("a\n\r\n.\r\n", "a\r\n\r\n", 1, 0),
        ("a\n\r\r\n.\r\n", "a\r\n \r\n", 1, 1),
    ];

    #[test]
    fn messages_end_at_a_dot_between_two_crlf_only() {
        for (input, message, lone_lf, lone_cr) in MESSAGES.iter().copied() {
            let changed = Changed {
                lone_lf,
                lone_cr,
                mbox_lines: 0,
            };
            let input = format!("{input}RCPT TO:<x@y>\r\n.\r\n");
            for cuts in cuts(input.len()) {
                let (ended, behind) =
                    read(input.as_bytes(), LIMIT, BareNewline::Normalize, &cuts).unwrap();
                let received = ended.unwrap();
                assert_eq!(
                    received.message.as_slice(),
                    message.as_bytes(),
                    "{input:?} {cuts:?}"
                );
                assert_eq!(received.changed, changed, "{input:?} {cuts:?}");
                assert_eq!(behind, b"RCPT TO:<x@y>\r\n.\r\n", "{input:?} {cuts:?}");
            }
        }
    }

    #[test]
    fn bare_newlines_are_refused_when_asked_and_only_then() {
        for (input, message, lone_lf, lone_cr) in MESSAGES.iter().copied() {
            for cuts in cuts(input.len()) {
                let (ended, behind) =
                    read(input.as_bytes(), LIMIT, BareNewline::Reject, &cuts).unwrap();
                let refused = lone_lf + lone_cr > 0;
                match ended {
                    Ok(received) => assert_eq!(
                        (received.message.as_slice(), refused),
                        (message.as_bytes(), false)
                    ),
                    Err(refusal) => assert_eq!(
                        (refusal, refused),
                        (Refusal::BareNewline, true),
                        "{input:?}"
                    ),
                }
                assert_eq!(behind, b"");
            }
        }
        assert_eq!(
            Refusal::BareNewline.reply().to_wire().get(..11),
            Some(&b"550 5.6.11 "[..])
        );
    }

    #[test]
    fn what_has_no_end_is_no_message() {
        for input in [
            "",
            ".",
            ".\r",
            "\n",
            "\r",
            "\r\n",
            "\r\n.",
            "\r\n.\r",
            "a\n.\n",
            "a\n.\r\n",
            "a\r\n.\n",
            "a\r.\r",
            "..\r\n",
            ". \r\n",
            "a.\r\n",
            "\r\n.\r\r\n",
            "\r\n.\n\r\n",
            " .\r\n",
            "\0.\r\n",
        ] {
            for cuts in cuts(input.len()) {
                assert_eq!(
                    read(input.as_bytes(), LIMIT, BareNewline::Normalize, &cuts),
                    None,
                    "{input:?}"
                );
            }
        }
    }

    #[test]
    fn what_is_too_large_is_read_to_its_end() {
        for (input, message, ..) in MESSAGES {
            for limit in 0..=message.len() + 1 {
                for cuts in cuts(input.len()) {
                    let (ended, behind) =
                        read(input.as_bytes(), limit, BareNewline::Normalize, &cuts).unwrap();
                    match ended {
                        Ok(received) => assert_eq!(
                            (received.message.as_slice(), limit >= message.len()),
                            (message.as_bytes(), true)
                        ),
                        Err(refusal) => {
                            assert_eq!((refusal, limit < message.len()), (Refusal::TooLarge, true))
                        }
                    }
                    assert_eq!(behind, b"");
                }
            }
        }
        assert_eq!(
            Refusal::TooLarge.reply().to_wire().get(..10),
            Some(&b"552 5.3.4 "[..])
        );
    }

    #[test]
    fn a_message_over_the_limit_holds_no_memory() {
        let mut reader = DataReader::new(1000, BareNewline::Normalize, Some(u64::MAX));
        assert!(reader.message.capacity() < 10_000);
        for _ in 0..10_000 {
            assert_eq!(reader.feed(b"0123456789abcdef\r\n").ended, None);
            assert!(reader.message.capacity() < 10_000);
        }
        assert_eq!(reader.message.capacity(), 0);
        assert_eq!(reader.feed(b".\r\n").ended, Some(Err(Refusal::TooLarge)));
    }

    #[test]
    fn long_lines_pass() {
        for length in [5000, 2 << 20] {
            let mut input = vec![b'x'; length];
            input.extend_from_slice(b"\r\n");
            let message = input.clone();
            input.extend_from_slice(b".\r\n");
            let (ended, _) =
                read(&input, 4 << 20, BareNewline::Reject, &[length / 3, length]).unwrap();
            assert!(ended.unwrap().message == message);
        }
    }

    /// Octets in which each special one is frequent.
    fn nasty() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(
            prop_oneof![3 => Just(b'.'), 3 => Just(b'\r'), 3 => Just(b'\n'), 1 => any::<u8>()],
            0..60,
        )
    }

    proptest! {
        #[test]
        fn any_octets_in_any_chunks_are_read_as_the_standard_says(
            octets in nasty(),
            mut cuts in proptest::collection::vec(0usize..60, 0..10),
        ) {
            let mut input = octets;
            input.extend_from_slice(b"\r\n.\r\nQUIT\r\n");
            cuts.iter_mut().for_each(|cut| *cut = (*cut).min(input.len()));
            cuts.sort_unstable();
            let (message, changed, behind) = simply(&input).unwrap();
            prop_assert!(!has_lone(&message));
            let read = read(&input, LIMIT, BareNewline::Normalize, &cuts).unwrap();
            prop_assert_eq!(read, (Ok(Received { message, changed }), behind));
        }

        #[test]
        fn what_was_stuffed_comes_back(lines in proptest::collection::vec("[.a\0ü]{0,5}", 0..12), cut in 0usize..80) {
            let (mut message, mut input) = (Vec::new(), Vec::new());
            for line in &lines {
                message.extend_from_slice(line.as_bytes());
                message.extend_from_slice(b"\r\n");
                if line.starts_with('.') {
                    input.push(b'.');
                }
                input.extend_from_slice(line.as_bytes());
                input.extend_from_slice(b"\r\n");
            }
            input.extend_from_slice(b".\r\n");
            let cut = cut.min(input.len());
            let received = Received { message, changed: Changed::default() };
            prop_assert_eq!(read(&input, LIMIT, BareNewline::Reject, &[cut]), Some((Ok(received), Vec::new())));
        }
    }
}
