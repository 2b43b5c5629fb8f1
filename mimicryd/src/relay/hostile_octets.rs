//! For tests: mails of random octets, most of them line ends, and the result that every transport must have.

use mimicry_core::envelope::Path;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::conformance::Subject;
use super::{Cause, Outgoing, Watch};

/// What stands above a message, and the message.
#[derive(Clone, Debug)]
pub struct Pieces {
    pub above: Vec<u8>,
    pub message: Vec<u8>,
}

impl Pieces {
    fn octets(&self) -> Vec<u8> {
        [&self.above[..], &self.message].concat()
    }

    pub fn outgoing(&self) -> Outgoing<'_> {
        Outgoing {
            above: &self.above,
            message: &self.message,
        }
    }

    /// Found another way than the guard finds it.
    pub fn is_clean(&self) -> bool {
        let ends = |octets: &[u8]| {
            let text = String::from_utf8_lossy(octets).replace("\r\n", "");
            !text.contains(['\r', '\n'])
        };
        let is_whole = self.above.is_empty() || self.above.ends_with(b"\r\n");
        is_whole && ends(&self.above) && ends(&self.message)
    }
}

const PIECES: &[&[u8]] = &[
    b".",
    b".",
    b"\r\n",
    b"\r\n",
    b"\r\n",
    b"x",
    b"\xff\0",
    b"\r\n.\r\n",
    b"MAIL FROM:<evil@example.org>\r\n",
];

/// One of these spoils a message.
const WRONG: &[&[u8]] = &[b"\r", b"\n", b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n"];

const ABOVE: &[&[u8]] = &[
    b"",
    b"",
    b"A: b\r\n",
    b"A: b\r\n",
    b"A: b\r\n",
    b".: b\r\n",
    b"A: b",
    b"A: b\r",
    b"A: b\n",
];

/// Others at each run; about a third of them are clean.
pub fn mails(count: usize) -> Vec<Pieces> {
    let piece = proptest::sample::select(PIECES);
    let wrong = proptest::sample::select(WRONG);
    let above = proptest::sample::select(ABOVE);
    let pieces = proptest::collection::vec(piece, 0..24);
    let wrong = proptest::option::of((any::<proptest::sample::Index>(), wrong));
    let mails = (above, pieces, wrong).prop_map(|(above, mut pieces, wrong)| {
        if let Some((at, octets)) = wrong {
            pieces.insert(at.index(pieces.len() + 1), octets);
        }
        Pieces {
            above: above.to_vec(),
            message: pieces.concat(),
        }
    });
    let mut runner = TestRunner::default();
    (0..count)
        .map(|_| mails.new_tree(&mut runner).unwrap().current())
        .collect()
}

// man: mimicryd(8) "A mail in which a CR or an LF stands alone is not handed on: the client hears 451 and keeps it, the next hop hears nothing"
/// T175: what is clean arrives as it is, once; of what is not clean nothing does, and the connection takes the next mail.
pub fn only_clean_mail_leaves(subject: &dyn Subject) {
    let (next_hop, hop) = subject.meet(Box::new(|_, _| None));
    let mut hop = hop.unwrap();
    let (mut clean, mut dirty) = (0, 0);
    for mail in mails(200) {
        assert!(hop.mail(&Path::new("a@b"), b"").is_done(), "{mail:?}");
        assert!(hop.rcpt(&Path::new("c@d"), b"").is_done(), "{mail:?}");
        let before = next_hop.seen();
        let answer = hop.data(mail.outgoing(), &mut || Watch::Stays).only();
        let seen = next_hop.seen();
        if mail.is_clean() {
            clean += 1;
            assert!(answer.is_done(), "{mail:?}: {}", answer.reply);
            assert_eq!(seen.dots, before.dots + 1, "{mail:?}");
            let mut expected = mail.octets();
            if !expected.is_empty() && !expected.ends_with(b"\r\n") {
                expected.extend_from_slice(b"\r\n");
            }
            let arrived = read(seen.messages.last().unwrap());
            assert_eq!(arrived, expected, "{mail:?}");
        } else {
            dirty += 1;
            assert_eq!(
                (answer.reply.code(), answer.cause),
                (451, Cause::Unclean),
                "{mail:?}"
            );
            assert!(!answer.is_doubtful, "{mail:?}");
            // Not even DATA was said.
            assert_eq!(seen.commands, before.commands, "{mail:?}");
            assert_eq!(seen.messages, before.messages, "{mail:?}");
            assert!(hop.is_usable() && hop.is_in_transaction(), "{mail:?}");
            assert!(hop.reset().is_done(), "{mail:?}");
        }
    }
    let seen = next_hop.seen();
    let count = |verb: &str| {
        seen.commands
            .iter()
            .filter(|line| line.starts_with(verb))
            .count()
    };
    assert_eq!(count("MAIL"), 200);
    assert_eq!(
        (count("DATA"), seen.dots, seen.connections),
        (clean, clean, 1)
    );
    assert!(clean > 20 && dirty > 20, "{clean} clean, {dirty} not");
}

/// What a strict server makes of the octets after DATA.
fn read(wire: &[u8]) -> Vec<u8> {
    let wire = wire.strip_suffix(b".\r\n").expect("a final dot");
    let mut message = Vec::new();
    let mut rest = wire;
    while !rest.is_empty() {
        let end = memchr::memmem::find(rest, b"\r\n").expect("each line ends in CRLF") + 2;
        let (line, tail) = rest.split_at(end);
        let text = &line[..end - 2];
        assert!(!text.contains(&b'\r') && !text.contains(&b'\n'), "{text:?}");
        assert_ne!(text, b".", "the end stands before the end");
        message.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        rest = tail;
    }
    message
}
