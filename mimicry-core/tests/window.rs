//! The law of the proof that looks only at what differs: of every new body it says what the proof of the whole body says.
//!
//! Bodies of the corpus and of a table are edited as plugins edit them; what came out is spoilt then, before it is planned, so that
//! nothing but the look at the new body itself can find it. `PROPTEST_CASES` raises the number of generated cases.

mod common;

use common::*;
use mimicry_core::message::edit::EditSet;
use mimicry_core::message::render::render;
use mimicry_core::message::text::{At, NewBody, Unmappable};
use mimicry_core::message::verify::{Mismatch, verify};
use mimicry_core::message::{Limits, Message, PartId};
use proptest::prelude::*;

/// What the proof says of a mail with this body in the place of the old one.
fn verdict(message: &Message, id: PartId, new: NewBody) -> Result<(), Mismatch> {
    let mut edits = EditSet::new(message);
    // A part that is sealed or not to be edited has no verdict.
    if edits.replace_body(id, new).is_err() {
        return Ok(());
    }
    verify(&edits, render(&edits), &Limits::default()).map(|_| ())
}

/// Both verdicts, which must be the same.
fn both(message: &Message, id: PartId, new: &NewBody) -> Result<(), Mismatch> {
    let windowed = verdict(message, id, new.clone());
    let whole = NewBody {
        was_text: None,
        ..new.clone()
    };
    let whole = verdict(message, id, whole);
    assert_eq!(
        windowed,
        whole,
        "{}\n{}",
        message.raw().escape_ascii(),
        new.raw.escape_ascii()
    );
    windowed
}

/// The parts that are text, each with a text of ours put in or something taken out.
fn edited(message: &Message, variant: usize) -> Vec<(PartId, NewBody)> {
    let mut edited = Vec::new();
    let edits = EditSet::new(message);
    for part in message.leaves() {
        let Ok(content) = edits.content(part.id()) else {
            continue;
        };
        let Ok(body) = content.text() else { continue };
        let end = body.text().len();
        let at = [end, 0, end / 2, end / 3][variant % 4];
        let at = body.text().floor_char_boundary(at);
        let ours = ["\r\nours, größer\r\n", "x", "=\r\n \r\nFrom ", "y\r\n"][variant / 4 % 4];
        let new = match variant / 16 % 3 {
            0 => body.insert(At::Text(at), ours, Unmappable::Raise),
            1 => {
                let to = body.text().floor_char_boundary((at + 7).min(end));
                body.remove(std::slice::from_ref(&(at.min(to)..to)))
            }
            _ => {
                let each = [(At::Text(0), "a".to_string()), (At::Text(at), ours.into())];
                body.insert_each(&each, Unmappable::Entities)
            }
        };
        if let Ok(new) = new {
            edited.push((part.id(), new));
        }
    }
    edited
}

const VARIANTS: usize = 48;

#[test]
fn of_right_edits_of_the_corpus() {
    let (mut windowed, mut right) = (0, 0);
    for (name, raw) in corpus() {
        for (turn, raw) in [lf(&raw), raw].into_iter().enumerate() {
            // Each edit of some mails.
            let message = scan(&raw);
            for variant in (turn + name.len() % 5..VARIANTS).step_by(5) {
                for (id, new) in edited(&message, variant) {
                    windowed += usize::from(new.was_text.is_some());
                    right += usize::from(both(&message, id, &new).is_ok());
                }
            }
        }
    }
    assert!(windowed > 1000 && right > 1000, "{windowed} {right}");
}

/// Small bodies of all kinds: charset, transfer encoding, body.
const SMALL: &[(&str, &str, &[u8])] = &[
    ("us-ascii", "7bit", b"one\r\ntwo\r\n"),
    (
        "us-ascii",
        "quoted-printable",
        b"o=6Ee=\r\n \r\n=3D\r\n\r\n",
    ),
    ("utf-8", "8bit", "größer\r\n\r\nals\r\n".as_bytes()),
    ("utf-8", "binary", "größer\r\nals".as_bytes()),
    (
        "utf-8",
        "quoted-printable",
        b"gr=C3=\r\n=B6=C3=9Fer\r\nals= \r\n\r\nx \r\n=\r\nend=",
    ),
    ("utf-8", "base64", b"Z3LDtsOf\r\nZXINCmFs\r\ncw==\r\n"),
    ("iso-8859-1", "quoted-printable", b"gr=F6=DFer\r\nals\r\n"),
    ("gbk", "8bit", b"a\xba\xba\r\n\xba\xbab\r\n"),
    ("gb18030", "quoted-printable", b"=81=30=\r\n=81=30\r\nb\r\n"),
    ("shift_jis", "8bit", b"\x8a\xbf\r\n\x8a\xbf\r\n"),
    ("iso-2022-jp", "7bit", b"\x1b$B4A\r\n4A\x1b(B\r\nx\r\n"),
    ("utf-7", "7bit", b"+ZeU-\r\nx\r\n"),
    ("utf-16le", "base64", b"YQANAAoAYgA="),
];

/// Each octet of each of them changed, removed or joined by another.
#[test]
fn of_every_spoilt_octet() {
    let (mut right, mut wrong) = (0, 0);
    for (charset, encoding, body) in SMALL {
        for lf_only in [false, true] {
            let above = format!(
                "MIME-Version: 1.0\r\nContent-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
            );
            let raw = [above.as_bytes(), body].concat();
            let raw = if lf_only { lf(&raw) } else { raw };
            let message = scan(&raw);
            for variant in (0..VARIANTS).step_by(3) {
                for (id, new) in edited(&message, variant) {
                    for spoilt in spoilt(&new.raw) {
                        let new = NewBody {
                            raw: spoilt,
                            ..new.clone()
                        };
                        match both(&message, id, &new) {
                            Ok(()) => right += 1,
                            Err(_) => wrong += 1,
                        }
                    }
                }
            }
        }
    }
    assert!(right > 10_000 && wrong > 10_000, "{right} {wrong}");
}

fn spoilt(right: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for at in 0..=right.len() {
        let (before, after) = right.split_at(at);
        let pieces: [&[u8]; 6] = [b"\n", b"\r\n", b"=\r\n", b"=", b"\xc3", b"\x1b$"];
        for piece in pieces {
            all.push([before, piece, after].concat());
        }
        if let [first, rest @ ..] = after {
            all.push([before, rest].concat());
            all.push([before, &[first ^ 0x80], rest].concat());
            all.push([before, &[first ^ 1], rest].concat());
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(600),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn of_spoilt_edits_of_the_corpus(index: prop::sample::Index, variant in 0..VARIANTS, choices in choices(40), length in 0usize..1200) {
        let corpus = texts();
        let message = scan(index.get::<Vec<u8>>(corpus));
        for (id, new) in edited(&message, variant) {
            let mut raw = mutate(new.raw.clone(), &mut Choices::new(&choices));
            both(&message, id, &NewBody { raw: raw.clone(), ..new.clone() }).ok();
            // A line that may be too long.
            let at = index.index(raw.len() + 1);
            raw.splice(at..at, vec![b'x'; length]);
            both(&message, id, &NewBody { raw, ..new }).ok();
        }
    }
}

/// Mails of the corpus, with both line ends.
fn texts() -> &'static [Vec<u8>] {
    static TEXTS: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
    TEXTS.get_or_init(|| {
        let small = corpus().into_iter().map(|(_, raw)| raw);
        let small = small.filter(|raw| raw.len() < 60_000);
        small.flat_map(|raw| [lf(&raw), raw]).collect()
    })
}
