//! The laws of the message layer, over the corpus, generated mails and noise:
//!
//! 1. scanning and rendering without an edit is the identity, and the parts with their framing are the whole message;
//! 2. an edit changes its own range and nothing else, as a model finds that knows nothing of rendering;
//! 3. what rendering makes is proved, and nothing else is;
//! 4. sealed content refuses every edit.
//!
//! Longer than 600 lines: the laws stand together, so that a new edit is put under all of them.
//! `PROPTEST_CASES` raises the number of generated cases.

mod common;

use common::*;
use mimicry_core::message::codec::Encoding;
use mimicry_core::message::compose::NewPart;
use mimicry_core::message::edit::{Around, EditSet, Refused};
use mimicry_core::message::render::render;
use mimicry_core::message::text::NewBody;
use mimicry_core::message::verify::verify;
use mimicry_core::message::{Limits, Message, Part, PartId};
use proptest::prelude::*;

fn cases(default: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok());
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
    check(
        render(&EditSet::new(&message)) == expected,
        "rendering is not the identity",
    )?;
    check(
        message.root().raw() == expected,
        "the root is not the whole",
    )?;

    let again = Message::scan(expected.clone(), &Limits::default());
    check(
        describe(&again) == describe(&message),
        "scanning is not deterministic",
    )?;

    for (index, part) in message.parts().enumerate() {
        check(part.id().index() == index, "parts out of order")?;
        let (whole, header, body) = (
            range_in(&message, part.raw()),
            range_in(&message, part.header()),
            range_in(&message, part.body()),
        );
        check(
            whole.start == header.start && header.end <= body.start && body.end == whole.end,
            "header and body overlap",
        )?;
        check(
            matches!(&expected[header.end..body.start], b"" | b"\n" | b"\r\n"),
            "no blank line between header and body",
        )?;
        check(
            header.is_empty()
                || body.start == expected.len()
                || expected[..body.start].ends_with(b"\n"),
            "a header ends within a line",
        )?;
        children_cover(part).map_err(|what| format!("{part:?}: {what}"))?;
    }
    check(
        message.into_raw().as_ptr() == buffer,
        "the buffer was copied",
    )
}

/// Children stand in order within the body, and between them there is a delimiter line and nothing else.
fn children_cover(part: Part<'_>) -> Result<(), String> {
    let message = part.message();
    let body = range_in(message, part.body());
    let boundary = if part.is_multipart() {
        boundary(part)
    } else {
        vec![]
    };
    let mut at = body.start;
    for (number, child) in part.children().enumerate() {
        let whole = range_in(message, child.raw());
        if whole.start < at || whole.end > body.end {
            return Err("a child lies outside of its place".into());
        }
        if child.parent().map(Part::id) != Some(part.id())
            || child.section().last() != Some(&(number as u32 + 1))
        {
            return Err("a child does not know its place".into());
        }
        let gap = &message.raw()[at..whole.start];
        let line = gap.strip_suffix(b"\n").unwrap_or(gap);
        let line_start = line
            .iter()
            .rposition(|octet| *octet == b'\n')
            .map_or(0, |lf| lf + 1);
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
    let one = |part: Part<'_>| {
        format!(
            "{part:?} {:?} {:?} {}",
            part.seal(),
            range_in(message, part.raw()),
            part.is_opaque()
        )
    };
    message
        .parts()
        .map(one)
        .chain([format!("{:?} {:?}", message.defects(), message.newline())])
        .collect()
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
        Err(_) if reuses_a_boundary(&message) => Ok(false),
        Err(mismatch) => Err(format!("refused: {mismatch}\n{}", rendered.escape_ascii())),
    }
}

/// The only mails of which a well-made edit may be refused: a multipart below another with the same boundary, or with
/// one that is the other's close delimiter. A new delimiter of the outer one would be the inner one's.
fn reuses_a_boundary(message: &Message) -> bool {
    let multiparts = message.parts().filter(|part| part.is_multipart());
    let same = |a: &[u8], b: &[u8]| {
        a == b || a.strip_suffix(b"--") == Some(b) || b.strip_suffix(b"--") == Some(a)
    };
    multiparts.into_iter().any(|part| {
        let own = boundary(part);
        part.ancestors().any(|above| same(&boundary(above), &own))
    })
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
    SMALL.get_or_init(|| {
        corpus()
            .into_iter()
            .map(|(_, raw)| raw)
            .filter(|raw| raw.len() < 20_000)
            .collect()
    })
}

/// Every kind of edit on up to six parts of every mail of the corpus, alone or with an attachment besides: none is
/// refused, also not of the mails that use a boundary twice.
#[test]
fn edits_of_the_corpus() {
    for (name, raw) in corpus() {
        for raw in [lf(&raw), raw] {
            let parts = scan(&raw).parts().len();
            let step = parts.div_ceil(6);
            for (part, kind) in (0..parts)
                .step_by(step)
                .flat_map(|part| (1..KINDS).map(move |kind| (part, kind)))
            {
                let op = Op {
                    kind,
                    part,
                    variant: part + kind,
                };
                let attach = Op {
                    kind: 12,
                    part: 0,
                    variant: 3,
                };
                let ops = if (part + kind) % 2 == 0 {
                    vec![op]
                } else {
                    vec![op, attach]
                };
                assert_eq!(
                    edits_keep_to_themselves(&raw, &ops),
                    Ok(true),
                    "{name}: {ops:?}"
                );
            }
        }
    }
}

/// Mails of all framings, small enough to be spoilt at each octet.
const SMALL: [&str; 6] = [
    "Subject: a\r\n b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\ntext\r\n",
    "Subject: a\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npre\r\n--b\r\n\r\none\r\n--b \r\nContent-Type: text/html\r\n\r\n<p>\r\n--b--\r\nepi\r\n",
    "Subject: a\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\none\n--b\nContent-Type: multipart/mixed; boundary=bb\n\n--bb\nA: b\n\ntwo\n\n--bb--\n--b--\n",
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\nA: b\r\n--b\r\nContent-Type: text/plain\r\n\r\nnot closed",
    "Subject: only a header",
    "Content-Type: multipart/signed; boundary=b; protocol=\"x/y\"\r\n\r\n--b\r\n\r\nsigned\r\n--b\r\nContent-Type: x/y\r\n\r\nseal\r\n--b--\r\n",
];

/// Every octet of a rendered mail changed, removed, doubled or joined by another: never is it taken for the right one.
#[test]
fn no_octet_can_be_wrong() {
    let limits = Limits::default();
    let mut spoilt = 0;
    for (raw, kind) in SMALL
        .iter()
        .flat_map(|raw| (1..KINDS).map(move |kind| (raw, kind)))
    {
        for part in 0..scan(raw.as_bytes()).parts().len() {
            let message = scan(raw.as_bytes());
            let mut edited = Edited::new(&message);
            edited.apply(&Op {
                kind,
                part,
                variant: kind % 5,
            });
            if edited.accepted == 0 {
                continue;
            }
            let right = render(&edited.edits);
            verify(&edited.edits, right.clone(), &limits).unwrap();
            for at in 0..=right.len() {
                let old = right.get(at).copied();
                let mut wrong: Vec<Vec<u8>> = Vec::new();
                for octet in [b'\n', b'\r', b' ', b'-', b'x'] {
                    let mut with = right.clone();
                    with.insert(at, octet);
                    wrong.push(with);
                }
                if let Some(old) = old {
                    for octet in [old ^ 1, old ^ 0x20, old | 0x80, b'\n'] {
                        let mut with = right.clone();
                        with[at] = octet;
                        wrong.push(with);
                    }
                    let mut without = right.clone();
                    without.remove(at);
                    wrong.push(without);
                }
                for wrong in wrong.into_iter().filter(|wrong| *wrong != right) {
                    spoilt += 1;
                    let found = verify(&edited.edits, wrong.clone(), &limits);
                    assert!(
                        found.is_err(),
                        "octet {at}, edit {kind} of part {part}: {}",
                        wrong.escape_ascii()
                    );
                }
            }
        }
    }
    assert!(spoilt > 100_000, "{spoilt}");
}

/// Renders that are wrong as a whole: what stands left is replaced by what stands right.
#[test]
fn no_render_can_be_wrong() {
    let raw = "Subject: a\r\n b\r\nX: y\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
        --b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n\
        --b\r\nContent-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\nsigned \r\n--s\r\nContent-Type: x/y\r\n\r\nseal\r\n--s--\r\n\
        --b--\r\n";
    let message = scan(raw.as_bytes());
    let mut edits = EditSet::new(&message);
    edits.set_field(PartId::ROOT, "X", "new").unwrap();
    edits.attach(new_part(&message, 3)).unwrap();
    edits
        .insert_before(message.parts().nth(2).unwrap().id(), new_part(&message, 0))
        .unwrap();
    let right = String::from_utf8(render(&edits)).unwrap();
    verify(&edits, right.clone().into(), &Limits::default()).unwrap();
    for (what, from, to) in [
        ("a part is dropped", "--b\r\n\r\none\r\n", ""),
        (
            "a part is added",
            "\r\n--b--\r\n",
            "\r\n--b\r\n\r\nmore\r\n--b--\r\n",
        ),
        (
            "a part is doubled",
            "--b\r\n\r\none\r\n",
            "--b\r\n\r\none\r\n--b\r\n\r\none\r\n",
        ),
        ("two are swapped", "one", "two"),
        ("a delimiter is lost", "one\r\n--b\r\n", "one\r\n"),
        ("the close delimiter is lost", "--b--\r\n", ""),
        (
            "the close delimiter is doubled",
            "--b--\r\n",
            "--b--\r\n--b--\r\n",
        ),
        ("the close delimiter opens", "--b--\r\n", "--b\r\n"),
        (
            "a delimiter got a blank",
            "--b\r\n\r\none",
            "--b \r\n\r\none",
        ),
        (
            "a field is re-folded",
            "Subject: a\r\n b\r\n",
            "Subject: a b\r\n",
        ),
        ("a field is lost", "Subject: a\r\n b\r\n", ""),
        ("a field is doubled", "X: new\r\n", "X: new\r\nX: new\r\n"),
        ("a field is not set", "X: new\r\n", "X: y\r\n"),
        (
            "fields are swapped",
            "Subject: a\r\n b\r\nX: new\r\n",
            "X: new\r\nSubject: a\r\n b\r\n",
        ),
        ("a field has another case", "Subject", "SUBJECT"),
        ("something signed is changed", "signed \r\n", "signed\r\n"),
        ("a seal is dropped", "multipart/signed", "multipart/mixed"),
        (
            "the attachment is lost",
            &right[right.rfind("--b\r\n").unwrap()..right.rfind("\r\n--b--").unwrap()],
            "",
        ),
        (
            "a preamble comes",
            "boundary=b\r\n\r\n",
            "boundary=b\r\n\r\nThis is a multi-part message in MIME format.\r\n",
        ),
        ("an epilogue comes", "--b--\r\n", "--b--\r\n\r\n"),
        ("line ends change", "\r\n", "\n"),
        ("everything is doubled", &right, &right.repeat(2)),
        ("nothing is left", &right, ""),
    ] {
        assert!(right.contains(from), "{what}: {from:?}");
        let wrong = right.replace(from, to);
        assert!(
            verify(&edits, wrong.into(), &Limits::default()).is_err(),
            "{what}"
        );
    }
    let other = Message::scan(b"Subject: b\r\n\r\nelse\r\n".to_vec(), &Limits::default());
    assert!(
        verify(&edits, other.into_raw(), &Limits::default()).is_err(),
        "another mail"
    );
}

/// New bodies and parts that are not what their header says are rendered, and then not let pass.
#[test]
fn nothing_badly_made_passes() {
    let message =
        scan(b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nx\r\n");
    let body = |raw: &[u8], charset: Option<&str>, encoding| NewBody {
        raw: raw.to_vec(),
        charset: charset.map(Into::into),
        encoding,
        ..NewBody::default()
    };
    let lines = |length: usize| [vec![b'x'; length], b"\r\n".to_vec()].concat();
    for (what, new, passes) in [
        ("as it should be", body(b"y\r\n", None, None), true),
        (
            "8-bit under 7bit",
            body(b"\xe4\r\n", Some("iso-8859-1"), None),
            false,
        ),
        (
            "8-bit under 8bit",
            body(b"\xe4\r\n", Some("iso-8859-1"), Some(Encoding::EightBit)),
            true,
        ),
        (
            "8-bit under quoted-printable",
            body(
                b"\xe4\r\n",
                Some("iso-8859-1"),
                Some(Encoding::QuotedPrintable),
            ),
            false,
        ),
        (
            "no text of its charset",
            body(b"\xe4\r\n", Some("utf-8"), Some(Encoding::EightBit)),
            false,
        ),
        (
            "no text of its old charset",
            body(b"=E4\r\n", None, Some(Encoding::QuotedPrintable)),
            false,
        ),
        (
            "a charset that nobody knows",
            body(b"x\r\n", Some("x-none"), None),
            false,
        ),
        (
            "broken quoted-printable",
            body(b"=x\r\n", None, Some(Encoding::QuotedPrintable)),
            false,
        ),
        (
            "broken base64",
            body(b"####\r\n", None, Some(Encoding::Base64)),
            false,
        ),
        (
            "an unknown coding",
            body(b"x", None, Some(Encoding::Unknown)),
            false,
        ),
        ("a line of 998 octets", body(&lines(998), None, None), true),
        ("a line of 999 octets", body(&lines(999), None, None), false),
        ("a lone LF", body(b"x\ny\r\n", None, None), false),
        ("a lone CR", body(b"x\ry\r\n", None, None), false),
    ] {
        let mut edits = EditSet::new(&message);
        edits.replace_body(PartId::ROOT, new).unwrap();
        let found = verify(&edits, render(&edits), &Limits::default());
        assert_eq!(found.is_ok(), passes, "{what}: {found:?}");
    }
    let part = |media_type: &str, header: &str, body: &[u8]| NewPart {
        media_type: media_type.into(),
        header: header.into(),
        body: body.to_vec().into(),
    };
    for (what, new, passes) in [
        (
            "as it should be",
            part("x/y", "Content-Type: x/y\r\n", b"x"),
            true,
        ),
        (
            "another type",
            part("x/y", "Content-Type: x/z\r\n", b"x"),
            false,
        ),
        ("no field", part("text/plain", "junk\r\n", b"x"), false),
        (
            "a header of two blocks",
            part("x/y", "Content-Type: x/y\r\n\r\nx: y\r\n", b"x"),
            false,
        ),
        (
            "a header without line end",
            part("x/y", "Content-Type: x/y", b"x"),
            false,
        ),
        (
            "a header with LF lines",
            part("x/y", "Content-Type: x/y\n", b"x"),
            false,
        ),
        (
            "a header with a long line",
            part(
                "x/y",
                &format!("Content-Type: x/y; a={}\r\n", "a".repeat(990)),
                b"x",
            ),
            false,
        ),
        (
            "a multipart",
            part(
                "multipart/mixed",
                "Content-Type: multipart/mixed; boundary=b\r\n",
                b"--b\r\n\r\n--b--",
            ),
            false,
        ),
        (
            "8-bit under 7bit",
            part("x/y", "Content-Type: x/y\r\n", b"\xff"),
            false,
        ),
        (
            "long lines",
            part("x/y", "Content-Type: x/y\r\n", &lines(999)),
            false,
        ),
        (
            "binary",
            part(
                "x/y",
                "Content-Type: x/y\r\nContent-Transfer-Encoding: binary\r\n",
                &[&lines(999)[..], b"\0\xff"].concat(),
            ),
            true,
        ),
        // T175
        (
            "binary with a lone LF",
            part(
                "x/y",
                "Content-Type: x/y\r\nContent-Transfer-Encoding: binary\r\n",
                &[&lines(999)[..], b"\n\xff"].concat(),
            ),
            false,
        ),
    ] {
        let mut edits = EditSet::new(&message);
        edits.attach(new).unwrap();
        let found = verify(&edits, render(&edits), &Limits::default());
        assert_eq!(found.is_ok(), passes, "{what}: {found:?}");
    }
    let mut edits = EditSet::new(&message);
    let other_type = part("x/y", "Content-Type: x/z\r\n", b"x");
    edits.replace_part(PartId::ROOT, other_type).unwrap();
    assert!(verify(&edits, render(&edits), &Limits::default()).is_err());
}

/// No method of [`EditSet`] reaches into what is sealed; around it, edits leave it octet for octet.
#[test]
fn sealed_content_is_out_of_reach() {
    let sealed: Vec<(String, Vec<u8>)> = corpus()
        .into_iter()
        .filter(|(_, raw)| scan(raw).parts().any(|part| part.seal().is_some()))
        .collect();
    for prefix in [
        "pgp-signed-",
        "pgp-encrypted-",
        "smime-signed-",
        "smime-enveloped",
        "smime-opaque-",
        "smime-p7m-",
        "inline-pgp-",
    ] {
        assert!(
            sealed.iter().any(|(name, _)| name.starts_with(prefix)),
            "no mail {prefix}"
        );
    }
    for (name, raw) in sealed {
        let message = scan(&raw);
        for part in message.parts().filter(|part| part.seal().is_some()) {
            let id = part.id();
            let new = || new_part(&message, 0);
            let body = || NewBody {
                raw: b"x".to_vec(),
                charset: None,
                encoding: None,
                ..NewBody::default()
            };
            let mut edits = EditSet::new(&message);
            let mut must_refuse = vec![
                ("replace_body", edits.replace_body(id, body())),
                ("append", edits.append(id, new())),
                (
                    "set Content-",
                    edits.set_field(id, "Content-Description", "x"),
                ),
                (
                    "add Content- above",
                    edits.add_field_above(id, "Content-Description", "x"),
                ),
                (
                    "add Content- below",
                    edits.add_field_below(id, "content-x", "x"),
                ),
                (
                    "remove Content-",
                    edits.remove_fields(id, "Content-Type", |_| true).map(drop),
                ),
                (
                    "set MIME-Version",
                    edits.set_field(id, "MIME-Version", "1.0"),
                ),
                (
                    "remove MIME-Version",
                    edits.remove_fields(id, "mime-version", |_| true).map(drop),
                ),
            ];
            if !part.is_root() {
                must_refuse.extend([
                    ("set", edits.set_field(id, "Subject", "x")),
                    ("add above", edits.add_field_above(id, "X", "x")),
                    ("add below", edits.add_field_below(id, "X", "x")),
                    (
                        "remove fields",
                        edits.remove_fields(id, "Subject", |_| true).map(drop),
                    ),
                ]);
            }
            if !part.is_seal_root() {
                must_refuse.extend([
                    ("replace_part", edits.replace_part(id, new())),
                    ("remove", edits.remove(id)),
                    ("remove_pruning", edits.remove_pruning(id)),
                    ("insert_before", edits.insert_before(id, new())),
                    ("insert_after", edits.insert_after(id, new())),
                    ("wrap", edits.wrap(id, Around::Mixed, vec![], vec![new()])),
                ]);
            }
            for (method, outcome) in must_refuse {
                assert_eq!(outcome, Err(Refused::Sealed), "{name}, {part:?}: {method}");
            }
            assert!(
                edits.is_empty(),
                "{name}, {part:?}: a refused edit left a trace"
            );
        }

        let mut edits = EditSet::new(&message);
        edits.set_field(PartId::ROOT, "Subject", "new").unwrap();
        edits.add_field_above(PartId::ROOT, "X-New", "x").unwrap();
        let outside = verify(&edits, render(&edits), &Limits::default())
            .unwrap_or_else(|what| panic!("{name}: {what}"));
        assert_eq!(seals(&outside), seals(&message), "{name}");
        edits.attach(new_part(&message, 3)).unwrap();
        let attached = verify(&edits, render(&edits), &Limits::default())
            .unwrap_or_else(|what| panic!("{name}: {what}"));
        assert_eq!(seals(&attached), seals(&message), "{name}");
        assert!(attached.parts().len() > message.parts().len());
    }
}

/// What is sealed, how, and the octets: of the root without the fields that may change.
fn seals(message: &Message) -> Vec<(Vec<u8>, String)> {
    let content = |part: Part<'_>| {
        let fields = part
            .fields()
            .filter(|field| field.name().to_ascii_lowercase().starts_with(b"content-"));
        fields
            .flat_map(|field| field.raw())
            .chain(part.body())
            .copied()
            .collect()
    };
    let sealed = message.parts().filter(|part| part.is_seal_root());
    sealed
        .map(|part| (content(part), format!("{:?}", part.seal())))
        .collect()
}
