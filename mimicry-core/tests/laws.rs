//! The laws of the message layer, over the corpus, generated mails and noise:
//!
//! 1. scanning and rendering without an edit is the identity, and the parts with their framing are the whole message;
//! 2. an edit changes its own range and nothing else, as a model finds that knows nothing of rendering;
//! 3. what rendering makes is proved, and nothing else is;
//! 4. sealed content refuses every edit.
//!
//! `PROPTEST_CASES` raises the number of generated cases.

mod common;

use common::*;
use mimicry_core::message::compose::NewPart;
use mimicry_core::message::edit::{EditSet, Refused};
use mimicry_core::message::render::render;
use mimicry_core::message::text::NewBody;
use mimicry_core::message::verify::verify;
use mimicry_core::message::{Limits, Message, Part, PartId};
use proptest::prelude::*;

fn cases(default: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig {
        cases: asked.unwrap_or(default),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Law 1 for one message.
fn is_whole(raw: Vec<u8>) -> Result<(), String> {
    let expected = raw.clone();
    let buffer = raw.as_ptr();
    let message = Message::scan(raw, &Limits::default());
    let check = |is: bool, what: &str| if is { Ok(()) } else { Err(what.to_string()) };
    check(message.raw() == expected, "the octets changed")?;
    check(render(&EditSet::new(&message)) == expected, "rendering is not the identity")?;
    check(message.root().raw() == expected, "the root is not the whole")?;

    let again = Message::scan(expected.clone(), &Limits::default());
    check(describe(&again) == describe(&message), "scanning is not deterministic")?;

    for (index, part) in message.parts().enumerate() {
        check(part.id().index() == index, "parts out of order")?;
        let (whole, header, body) = (range_in(&message, part.raw()), range_in(&message, part.header()), range_in(&message, part.body()));
        check(whole.start == header.start && header.end <= body.start && body.end == whole.end, "header and body overlap")?;
        check(matches!(&expected[header.end..body.start], b"" | b"\n" | b"\r\n"), "no blank line between header and body")?;
        check(header.is_empty() || body.start == expected.len() || expected[..body.start].ends_with(b"\n"), "a header ends within a line")?;
        children_cover(part).map_err(|what| format!("{part:?}: {what}"))?;
    }
    check(message.into_raw().as_ptr() == buffer, "the buffer was copied")
}

/// Children stand in order within the body, and between them there is a delimiter line and nothing else.
fn children_cover(part: Part<'_>) -> Result<(), String> {
    let message = part.message();
    let body = range_in(message, part.body());
    let boundary = if part.is_multipart() { boundary(part) } else { vec![] };
    let mut at = body.start;
    for (number, child) in part.children().enumerate() {
        let whole = range_in(message, child.raw());
        if whole.start < at || whole.end > body.end {
            return Err("a child lies outside of its place".into());
        }
        if child.parent().map(Part::id) != Some(part.id()) || child.section().last() != Some(&(number as u32 + 1)) {
            return Err("a child does not know its place".into());
        }
        let gap = &message.raw()[at..whole.start];
        let line = gap.strip_suffix(b"\n").unwrap_or(gap);
        let line_start = line.iter().rposition(|octet| *octet == b'\n').map_or(0, |lf| lf + 1);
        let (before, line) = line.split_at(line_start);
        if line.strip_prefix(b"--").map(<[u8]>::trim_ascii_end) != Some(&boundary) {
            return Err(format!("no delimiter but {}", line.escape_ascii()));
        }
        if number > 0 && !matches!(before, b"" | b"\n" | b"\r\n") {
            return Err("there is something between a child and the delimiter".into());
        }
        at = whole.end;
    }
    Ok(())
}

fn describe(message: &Message) -> Vec<String> {
    let one = |part: Part<'_>| format!("{part:?} {:?} {:?} {}", part.seal(), range_in(message, part.raw()), part.is_opaque());
    message.parts().map(one).chain([format!("{:?} {:?}", message.defects(), message.newline())]).collect()
}

/// Laws 2 and 3 for one message: whether the proof accepted what was rendered.
fn edits_keep_to_themselves(raw: &[u8], ops: &[Op]) -> Result<bool, String> {
    let message = scan(raw);
    let mut edited = Edited::new(&message);
    for op in ops {
        edited.apply(op);
    }
    let rendered = render(&edited.edits);
    if edited.accepted == 0 && rendered != raw {
        return Err(format!("a refused edit left a trace: {:?}", edited.refused));
    }
    match verify(&edited.edits, rendered.clone(), &Limits::default()) {
        Ok(after) => {
            if after.raw() != rendered {
                return Err("the proof changed octets".into());
            }
            compare(&edited.planned(), &edited.found(&after)).map(|()| true)
        }
        // A reader could take a delimiter of such a mail for another multipart's, or a line for a field.
        Err(_) if message.malformed() => Ok(false),
        Err(mismatch) => Err(format!("refused: {mismatch}\n{}", rendered.escape_ascii())),
    }
}

#[test]
fn corpus_is_whole() {
    for (name, raw) in corpus() {
        for raw in [lf(&raw), raw] {
            for cut in truncated(&raw) {
                is_whole(cut).unwrap_or_else(|what| panic!("{name}, cut off: {what}"));
            }
            is_whole(raw).unwrap_or_else(|what| panic!("{name}: {what}"));
        }
    }
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn generated_mails_are_whole(raw in mail()) {
        is_whole(raw).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn noise_is_whole(raw in noise()) {
        ask_all(&scan(&raw));
        is_whole(raw).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn edits_of_generated_mails(raw in mail(), ops in ops()) {
        edits_keep_to_themselves(&raw, &ops).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn edits_of_noise(raw in noise(), ops in ops()) {
        edits_keep_to_themselves(&raw, &ops).map_err(TestCaseError::fail)?;
    }
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn mutated_corpus(index: prop::sample::Index, choices in choices(40), ops in ops()) {
        let corpus = small_corpus();
        let raw = mutate(index.get(corpus).clone(), &mut Choices::new(&choices));
        ask_all(&scan(&raw));
        is_whole(raw.clone()).map_err(TestCaseError::fail)?;
        edits_keep_to_themselves(&raw, &ops).map_err(TestCaseError::fail)?;
    }
}

fn small_corpus() -> &'static [Vec<u8>] {
    static SMALL: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
    SMALL.get_or_init(|| corpus().into_iter().map(|(_, raw)| raw).filter(|raw| raw.len() < 20_000).collect())
}

/// Every kind of edit on every part of every mail of the corpus, one at a time and with an attachment besides. The
/// malformed mails of which the proof refuses some rendered edit are these and no others; it never accepts a wrong one.
#[test]
fn edits_of_the_corpus() {
    let mut refused = Vec::new();
    for (name, raw) in corpus() {
        for raw in [lf(&raw), raw] {
            let parts = scan(&raw).parts().len();
            let step = parts.div_ceil(12);
            for (part, kind) in (0..parts).step_by(step).flat_map(|part| (0..KINDS).map(move |kind| (part, kind))) {
                let op = Op { kind, part, variant: part + kind };
                let attach = Op { kind: 12, part: 0, variant: 3 };
                for ops in [&[op.clone()][..], &[op, attach]] {
                    match edits_keep_to_themselves(&raw, ops) {
                        Ok(true) => {}
                        Ok(false) => refused.push(name.clone()),
                        Err(what) => panic!("{name}: {ops:?}: {what}"),
                    }
                }
            }
        }
    }
    refused.dedup();
    assert_eq!(refused, AMBIGUOUS);
}

/// Mails whose framing is so broken that some edit of them cannot be made unambiguous.
const AMBIGUOUS: [&str; 0] = [];
