//! What edits make of a message, and which are refused.
//!
//! Longer than 600 lines: tables.

use super::*;
use crate::message::header;
use crate::message::limits::Limits;
use crate::message::render::render;
use crate::message::scan::tests::{expand, scan};
use crate::message::verify::verify;

const TWO: &str = "A: b\n{b}--b\n\nx\n--b\n{h}y\n--b--\n";
const SIGNED: &str =
    "Subject: s\nContent-Type: multipart/signed; boundary=b\n\n--b\n\nx\n--b\n\ny\n--b--\n";

fn id(index: u32) -> PartId {
    PartId(index)
}

fn new(name: &str) -> NewPart {
    NewPart {
        media_type: "x/y".into(),
        header: format!("Content-Type: x/y; name={name}\n").into_bytes(),
        body: name.as_bytes().to_vec().into(),
    }
}

fn body(raw: &str) -> NewBody {
    NewBody {
        raw: raw.into(),
        ..NewBody::default()
    }
}

/// What becomes of a mail; the boundary of a new multipart is shown as `#`.
fn edited(
    short: &str,
    change: impl FnOnce(&mut EditSet<'_>) -> Result<(), Refused>,
) -> Result<String, Refused> {
    let message = scan(&expand(short));
    let mut edits = EditSet::new(&message);
    change(&mut edits)?;
    let after = verify(&edits, render(&edits), &Limits::default()).unwrap();
    let mut text = String::from_utf8(after.into_raw()).unwrap();
    for short in ["#", "##"] {
        if let Some((_, rest)) = text.split_once("=_mimicry_") {
            text = text.replace(&format!("=_mimicry_{}", &rest[..18]), short);
        }
    }
    Ok(text)
}

type Change = fn(&mut EditSet<'_>) -> Result<(), Refused>;

/// What says how long or what sum the content is goes where that is no longer so, and nowhere else.
#[test]
fn what_is_false_goes() {
    const ROOT: &str = "Content-MD5: r\nContent-Length: 9\n";
    const PART: &str = "Content-Md5: p\ncontent-length: 1\n";
    let two = TWO.replace("{b}", &format!("{ROOT}{{b}}"));
    let two = two.replace("--b\n\nx", &format!("--b\n{PART}\nx"));
    let leaf = format!("{ROOT}\nx");
    let rows: &[(&str, &str, Change, bool, bool)] = &[
        (
            "body",
            &leaf,
            |e| e.replace_body(id(0), body("y")),
            false,
            false,
        ),
        (
            "field",
            &leaf,
            |e| e.set_field(id(0), "Subject", "y"),
            true,
            false,
        ),
        (
            "wrap",
            &leaf,
            |e| e.wrap(id(0), Around::Mixed, vec![], vec![new("n")]),
            true,
            false,
        ),
        (
            "body below",
            &two,
            |e| e.replace_body(id(1), body("y")),
            false,
            false,
        ),
        (
            "body beside",
            &two,
            |e| e.replace_body(id(2), body("y")),
            false,
            true,
        ),
        ("removed", &two, |e| e.remove(id(1)), false, false),
        ("removed beside", &two, |e| e.remove(id(2)), false, true),
        (
            "before",
            &two,
            |e| e.insert_before(id(1), new("n")),
            false,
            true,
        ),
        (
            "behind",
            &two,
            |e| e.insert_after(id(1), new("n")),
            false,
            true,
        ),
        ("at the end", &two, |e| e.attach(new("n")), false, true),
        (
            "wrapped below",
            &two,
            |e| e.wrap(id(1), Around::Mixed, vec![], vec![new("n")]),
            false,
            true,
        ),
        (
            "replaced",
            &two,
            |e| e.replace_part(id(1), new("n")),
            false,
            false,
        ),
        (
            "field of the root",
            &two,
            |e| e.set_field(id(0), "Subject", "y"),
            true,
            true,
        ),
        (
            "refused",
            &two,
            |e| {
                let _ = e.remove(id(0));
                e.set_field(id(0), "A", "y")
            },
            true,
            true,
        ),
    ];
    for (name, short, change, root, part) in rows {
        let after = edited(short, change).unwrap();
        for (words, stays) in [
            ("Content-MD5: r", root),
            ("Content-Length: 9", root),
            ("Content-Md5: p", part),
            ("content-length: 1", part),
        ] {
            assert_eq!(after.contains(words), *stays, "{name}: {words} in {after}");
        }
    }
    let coded = edited(&leaf, |e| e.code_body(id(0), None, Encoding::Base64)).unwrap();
    assert!(
        coded.contains("Content-MD5") && !coded.contains("Content-Length"),
        "{coded}"
    );
}

/// The outcome, octet for octet, of one method or two.
#[test]
fn outcomes() {
    let rows: &[(&str, &str, Change, &str)] = &[
        // Bodies
        (
            "body",
            "A: b\n\nx",
            |e| e.replace_body(id(0), body("y")),
            "A: b\n\ny",
        ),
        (
            "body, no blank line",
            "A: b",
            |e| e.replace_body(id(0), body("y")),
            "A: b\r\n\r\ny",
        ),
        (
            "body of nothing",
            "",
            |e| e.replace_body(id(0), body("y")),
            "\r\ny",
        ),
        (
            "body below",
            TWO,
            |e| e.replace_body(id(1), body("z\n")),
            "A: b\n{b}--b\n\nz\n\n--b\n{h}y\n--b--\n",
        ),
        (
            "body emptied",
            TWO,
            |e| e.replace_body(id(2), body("")),
            "A: b\n{b}--b\n\nx\n--b\n{h}\n--b--\n",
        ),
        (
            "body with charset",
            "MIME-Version: 1.0\nContent-Type: text/plain (c); format=flowed\n\nx",
            |e| {
                e.replace_body(
                    id(0),
                    NewBody {
                        raw: b"y".to_vec(),
                        charset: Some("utf-8".into()),
                        encoding: Some(Encoding::EightBit),
                        ..NewBody::default()
                    },
                )
            },
            "MIME-Version: 1.0\nContent-Type: text/plain (c); format=flowed; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\ny",
        ),
        (
            "body with charset, no fields",
            "A: b\n\nx",
            |e| {
                e.replace_body(
                    id(0),
                    NewBody {
                        raw: b"y".to_vec(),
                        charset: Some("utf-8".into()),
                        encoding: None,
                        ..NewBody::default()
                    },
                )
            },
            "A: b\nContent-Type: text/plain; charset=utf-8\nMIME-Version: 1.0\n\ny",
        ),
        // Fields
        (
            "set",
            "A: b\nC: d\n\nx",
            |e| e.set_field(id(0), "a", "new"),
            "a: new\nC: d\n\nx",
        ),
        (
            "set one of several",
            "A: 1\nC: d\nA: 2\n\nx",
            |e| e.set_field(id(0), "A", "new"),
            "A: new\nC: d\n\nx",
        ),
        (
            "set, not there",
            "A: b\n\nx",
            |e| e.set_field(id(0), "C", "d"),
            "A: b\nC: d\n\nx",
        ),
        (
            "set twice",
            "A: b\n\nx",
            |e| {
                e.set_field(id(0), "C", "d")
                    .and(e.set_field(id(0), "C", "e"))
            },
            "A: b\nC: e\n\nx",
        ),
        (
            "set what was added above",
            "A: b\n\nx",
            |e| {
                e.add_field_above(id(0), "A", "0")
                    .and(e.set_field(id(0), "A", "1"))
            },
            "A: 1\n\nx",
        ),
        (
            "set in a body-only mail",
            "hello\n",
            |e| e.set_field(id(0), "A", "b"),
            "A: b\n\nhello\n",
        ),
        (
            "set in an empty mail",
            "",
            |e| e.set_field(id(0), "A", "b"),
            "A: b\r\n",
        ),
        (
            "set in a header without end",
            "A: b",
            |e| e.set_field(id(0), "C", "d"),
            "A: b\r\nC: d\r\n",
        ),
        (
            "set below an mbox line",
            "From x\nA: b\n\nx",
            |e| e.add_field_above(id(0), "C", "d"),
            "From x\nC: d\nA: b\n\nx",
        ),
        (
            "set of a part",
            TWO,
            |e| e.set_field(id(1), "A", "b"),
            "A: b\n{b}--b\nA: b\n\nx\n--b\n{h}y\n--b--\n",
        ),
        (
            "set with line ends",
            "A: b\n\nx",
            |e| e.set_field(id(0), "C", "d\r\nEvil: e"),
            "A: b\nC: d Evil: e\n\nx",
        ),
        (
            "add above",
            "A: b\n\nx",
            |e| {
                e.add_field_above(id(0), "C", "1")
                    .and(e.add_field_above(id(0), "C", "2"))
            },
            "C: 2\nC: 1\nA: b\n\nx",
        ),
        (
            "add below",
            "A: b\n\nx",
            |e| {
                e.add_field_below(id(0), "C", "1")
                    .and(e.add_field_below(id(0), "C", "2"))
            },
            "A: b\nC: 1\nC: 2\n\nx",
        ),
        (
            "remove fields",
            "A: 1\nC: d\na: 2\n\nx",
            |e| {
                e.remove_fields(id(0), "A", |_| true)
                    .map(|count| assert_eq!(count, 2))
            },
            "C: d\n\nx",
        ),
        (
            "remove some",
            "A: 1\nA: 2\n\nx",
            |e| {
                e.remove_fields(id(0), "A", |value| value == b" 1")
                    .map(drop)
            },
            "A: 2\n\nx",
        ),
        (
            "remove all there are",
            "A: 1\n\nx",
            |e| e.remove_fields(id(0), "A", |_| true).map(drop),
            "\nx",
        ),
        (
            "remove what was set",
            "A: 1\n\nx",
            |e| {
                e.set_field(id(0), "A", "2").and(
                    e.remove_fields(id(0), "A", |value| value == b" 2")
                        .map(drop),
                )
            },
            "\nx",
        ),
        (
            "keep what was set",
            "A: 1\n\nx",
            |e| {
                e.set_field(id(0), "A", "2").and(
                    e.remove_fields(id(0), "A", |value| value == b" 1")
                        .map(drop),
                )
            },
            "A: 2\n\nx",
        ),
        (
            "remove of a new part",
            TWO,
            |e| {
                e.replace_part(id(1), new("n"))
                    .and(e.remove_fields(id(1), "Content-None", |_| true).map(drop))
            },
            "A: b\n{b}--b\nContent-Type: x/y; name=n\n\nn\n--b\n{h}y\n--b--\n",
        ),
        // Parts
        (
            "remove the first",
            TWO,
            |e| e.remove(id(1)),
            "A: b\n{b}--b\n{h}y\n--b--\n",
        ),
        (
            "remove the last",
            TWO,
            |e| e.remove(id(2)),
            "A: b\n{b}--b\n\nx\n--b--\n",
        ),
        (
            "remove the last of an unclosed",
            "{b}--b\n\nx\n--b\n\ny",
            |e| e.remove(id(2)),
            "{b}--b\n\nx",
        ),
        (
            "remove, with preamble and epilogue",
            "{b}pre\n--b\n\nx\n--b\n\ny\n--b--\nepi",
            |e| e.remove(id(1)),
            "{b}pre\n--b\n\ny\n--b--\nepi",
        ),
        (
            "remove a multipart",
            "{o}--o\n\nx\n--o\n{i}--i\n\ny\n--i--\n--o--\n",
            |e| e.remove(id(2)),
            "{o}--o\n\nx\n--o--\n",
        ),
        (
            "prune",
            "{o}--o\n\nx\n--o\n{i}--i\n\ny\n--i--\n--o--\n",
            |e| e.remove_pruning(id(3)),
            "{o}--o\n\nx\n--o--\n",
        ),
        (
            "remove, then put in its place",
            TWO,
            |e| e.remove(id(1)).and(e.insert_after(id(1), new("n"))),
            "A: b\n{b}--b\nContent-Type: x/y; name=n\n\nn\n--b\n{h}y\n--b--\n",
        ),
        (
            "insert before",
            TWO,
            |e| e.insert_before(id(1), new("n")),
            "A: b\n{b}--b\nContent-Type: x/y; name=n\n\nn\n--b\n\nx\n--b\n{h}y\n--b--\n",
        ),
        (
            "insert after",
            TWO,
            |e| {
                e.insert_after(id(2), new("n"))
                    .and(e.insert_after(id(2), new("m")))
            },
            "A: b\n{b}--b\n\nx\n--b\n{h}y\n--b\nContent-Type: x/y; name=n\n\nn\n--b\nContent-Type: x/y; name=m\n\nm\n--b--\n",
        ),
        (
            "append",
            TWO,
            |e| e.append(id(0), new("n")),
            "A: b\n{b}--b\n\nx\n--b\n{h}y\n--b\nContent-Type: x/y; name=n\n\nn\n--b--\n",
        ),
        (
            "append to an unclosed",
            "{b}--b\n\nx",
            |e| e.append(id(0), new("n")),
            "{b}--b\n\nx\n--b\nContent-Type: x/y; name=n\n\nn",
        ),
        (
            "append behind a header block",
            "{b}--b\nA: b\n",
            |e| e.append(id(0), new("n")),
            "{b}--b\nA: b\n--b\nContent-Type: x/y; name=n\n\nn",
        ),
        (
            "append behind a delimiter",
            "{b}--b",
            |e| e.append(id(0), new("n")),
            "{b}--b\n--b\nContent-Type: x/y; name=n\n\nn",
        ),
        (
            "append within an unclosed",
            "{o}--o\n{i}--i\n\n--o--\n",
            |e| e.append(id(1), new("n")),
            "{o}--o\n{i}--i\n\n\n--i\nContent-Type: x/y; name=n\n\nn\n--o--\n",
        ),
        (
            "insert beside a part without header",
            "{b}--b\njunk\n--b--\n",
            |e| e.insert_after(id(1), new("n")),
            "{b}--b\njunk\n--b\nContent-Type: x/y; name=n\n\nn\n--b--\n",
        ),
        (
            "field in the delimiter at the end",
            "{b}--b",
            |e| e.set_field(id(1), "A", "b"),
            "{b}--b\nA: b\n",
        ),
        (
            "replace a part",
            "{b}--b\nX: 1\nContent-ID: <a>\n\nx\n--b--\n",
            |e| e.replace_part(id(1), new("n")),
            "{b}--b\nX: 1\nContent-Type: x/y; name=n\n\nn\n--b--\n",
        ),
        (
            "replace the root",
            "A: b\nContent-Type: text/html\n\nx",
            |e| e.replace_part(id(0), new("n")),
            "A: b\nContent-Type: x/y; name=n\nMIME-Version: 1.0\n\nn",
        ),
        // Wrapping
        (
            "wrap",
            "A: b\nContent-Type: text/html\nMime-version: 1.0\n\nx",
            |e| e.wrap(id(0), Around::Mixed, vec![], vec![new("n")]),
            "A: b\nMime-version: 1.0\nContent-Type: multipart/mixed;\n\tboundary=\"#\"\n\n--#\n{h}x\n--#\nContent-Type: x/y; name=n\n\nn\n--#--\n",
        ),
        (
            "wrap a text",
            "A: b\n\nx\n",
            |e| e.wrap(id(0), Around::Mixed, vec![], vec![]),
            "A: b\nMIME-Version: 1.0\nContent-Type: multipart/mixed;\n\tboundary=\"#\"\n\n--#\n\nx\n\n--#--\n",
        ),
        (
            "wrap a body-only mail",
            "hello\nyou",
            |e| e.wrap(id(0), Around::Mixed, vec![], vec![]),
            "MIME-Version: 1.0\nContent-Type: multipart/mixed;\n\tboundary=\"#\"\n\n--#\n\nhello\nyou\n--#--\n",
        ),
        (
            "wrap a part",
            TWO,
            |e| e.wrap(id(2), Around::Related, vec![], vec![]),
            "A: b\n{b}--b\n\nx\n--b\nContent-Type: multipart/related; type=\"text/html\";\n\tboundary=\"#\"\n\n--#\n{h}y\n--#--\n--b--\n",
        ),
        (
            "wrap twice",
            "A: b\nContent-Type: text/html\nMime-version: 1.0\n\nx",
            |e| {
                e.wrap(id(0), Around::Mixed, vec![new("0")], vec![new("3")])?;
                e.wrap(id(0), Around::Related, vec![], vec![new("1")])?;
                e.wrap(id(0), Around::Related, vec![], vec![new("2")])?;
                e.wrap(id(0), Around::Mixed, vec![new("-1")], vec![new("4")])
            },
            "A: b\nMime-version: 1.0\nContent-Type: multipart/mixed;\n\tboundary=\"#\"\n\n\
             --#\nContent-Type: x/y; name=-1\n\n-1\n--#\nContent-Type: x/y; name=0\n\n0\n--#\n\
             Content-Type: multipart/related; type=\"text/html\";\n\tboundary=\"##\"\n\n--##\n{h}x\n\
             --##\nContent-Type: x/y; name=1\n\n1\n--##\nContent-Type: x/y; name=2\n\n2\n--##--\n\
             --#\nContent-Type: x/y; name=3\n\n3\n--#\nContent-Type: x/y; name=4\n\n4\n--#--\n",
        ),
        (
            "wrap an unclosed",
            "MIME-Version: 1.0\n{b}--b\nA: b\n",
            |e| e.wrap(id(0), Around::Mixed, vec![], vec![]),
            "MIME-Version: 1.0\nContent-Type: multipart/mixed;\n\tboundary=\"#\"\n\n--#\n{b}--b\nA: b\n--#--\n",
        ),
        (
            "wrap what is sealed",
            SIGNED,
            |e| e.attach(new("n")),
            "Subject: s\nMIME-Version: 1.0\nContent-Type: multipart/mixed;\n\tboundary=\"#\"\n\n--#\n\
             Content-Type: multipart/signed; boundary=b\n\n--b\n\nx\n--b\n\ny\n--b--\n\n--#\nContent-Type: x/y; name=n\n\nn\n--#--\n",
        ),
        (
            "wrap in a digest",
            "Content-Type: multipart/digest; boundary=b\n\n--b\n\nA: b\n--b--\n",
            |e| e.wrap(id(1), Around::Mixed, vec![], vec![]),
            "Content-Type: multipart/digest; boundary=b\n\n--b\nContent-Type: multipart/mixed;\n\tboundary=\"#\"\n\n--#\n\
             Content-Type: message/rfc822\n\nA: b\n--#--\n--b--\n",
        ),
        (
            "a multipart replaced",
            TWO,
            |e| e.replace_part(id(0), new("n")),
            "A: b\nContent-Type: x/y; name=n\nMIME-Version: 1.0\n\nn",
        ),
        (
            "a multipart replaced, and wrapped",
            TWO,
            |e| {
                e.replace_part(id(0), new("n"))
                    .and(e.attach_above(new("m")))
            },
            "A: b\nMIME-Version: 1.0\nContent-Type: multipart/mixed;\n\tboundary=\"#\"\n\n--#\nContent-Type: x/y; name=m\n\nm\n--#\nContent-Type: x/y; name=n\n\nn\n--#--\n",
        ),
        (
            "attach to a mixed",
            TWO,
            |e| e.attach(new("n")),
            "A: b\n{b}--b\n\nx\n--b\n{h}y\n--b\nContent-Type: x/y; name=n\n\nn\n--b--\n",
        ),
        (
            "attach above in a mixed",
            TWO,
            |e| e.attach_above(new("n")),
            "A: b\n{b}--b\nContent-Type: x/y; name=n\n\nn\n--b\n\nx\n--b\n{h}y\n--b--\n",
        ),
        (
            "attach above a text",
            "MIME-Version: 1.0\n\nx",
            |e| e.attach_above(new("n")),
            "MIME-Version: 1.0\nContent-Type: multipart/mixed;\n\tboundary=\"#\"\n\n--#\nContent-Type: x/y; name=n\n\nn\n--#\n\nx\n--#--\n",
        ),
        (
            "attach above a multipart without a boundary",
            "MIME-Version: 1.0\nContent-Type: multipart/mixed\n\n--b\nx",
            |e| e.attach_above(new("n")),
            "MIME-Version: 1.0\nContent-Type: multipart/mixed;\n\tboundary=\"#\"\n\n--#\nContent-Type: x/y; name=n\n\nn\n--#\nContent-Type: multipart/mixed\n\n--b\nx\n--#--\n",
        ),
        (
            "attach to a multipart in base64",
            "Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\neA==\n",
            |e| e.attach(new("n")),
            "MIME-Version: 1.0\nContent-Type: multipart/mixed;\n\tboundary=\"#\"\n\n--#\nContent-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\neA==\n\n--#\nContent-Type: x/y; name=n\n\nn\n--#--\n",
        ),
        (
            "attach twice",
            "MIME-Version: 1.0\n\nx",
            |e| e.attach(new("n")).and(e.attach(new("m"))),
            "MIME-Version: 1.0\nContent-Type: multipart/mixed;\n\tboundary=\"#\"\n\n--#\n\nx\n--#\nContent-Type: x/y; name=n\n\nn\n--#\nContent-Type: x/y; name=m\n\nm\n--#--\n",
        ),
        (
            "attach to a mixed without parts",
            "MIME-Version: 1.0\n{b}--b--\n",
            |e| e.attach(new("n")),
            "MIME-Version: 1.0\nContent-Type: multipart/mixed;\n\tboundary=\"#\"\n\n--#\n{b}--b--\n\n--#\nContent-Type: x/y; name=n\n\nn\n--#--\n",
        ),
    ];
    let mut wrong = Vec::new();
    for (name, short, change, expected) in rows {
        let expected = expand(expected);
        let found = edited(short, change);
        if found != Ok(expected.clone()) {
            wrong.push(format!("{name}:\n{found:?}\n{expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn crlf_mails_get_crlf() {
    let message = scan("A: b\r\n\r\nx\r\n");
    let mut edits = EditSet::new(&message);
    edits.set_field(PartId::ROOT, "C", "d").unwrap();
    edits
        .attach(NewPart::text("plain", "y\n", message.newline()))
        .unwrap();
    let rendered = String::from_utf8(render(&edits)).unwrap();
    assert_eq!(
        rendered.matches('\n').count(),
        rendered.matches("\r\n").count()
    );
}

#[test]
fn refusals() {
    let cut = Limits {
        parts: 3,
        ..Limits::default()
    };
    let long = format!("A: {}\nContent-Type: text/plain\n\nx", "x".repeat(2 << 20));
    let rows: &[(&str, &str, Change, Refused)] = &[
        (
            "body of a multipart",
            TWO,
            |e| e.replace_body(id(0), body("x")),
            Refused::NoLeaf,
        ),
        (
            "appended to a multipart that was replaced",
            TWO,
            |e| {
                e.replace_part(id(0), new("n"))
                    .and(e.append(id(0), new("m")))
            },
            Refused::NoMultipart,
        ),
        (
            "beside a child of a multipart that was replaced",
            TWO,
            |e| {
                e.replace_part(id(0), new("n"))
                    .and(e.insert_after(id(1), new("m")))
            },
            Refused::Gone,
        ),
        (
            "a child of a multipart that was replaced",
            TWO,
            |e| e.replace_part(id(0), new("n")).and(e.remove(id(1))),
            Refused::Gone,
        ),
        (
            "body of an opaque part",
            "Content-Type: multipart/mixed\n\nx",
            |e| e.replace_body(id(0), body("x")),
            Refused::Opaque,
        ),
        (
            "opaque part replaced",
            "Content-Type: multipart/mixed\n\nx",
            |e| e.replace_part(id(0), new("n")),
            Refused::Opaque,
        ),
        (
            "a root beyond the limits wrapped",
            &long,
            |e| e.attach(new("n")),
            Refused::Opaque,
        ),
        (
            "content field of an opaque part",
            "Content-Type: multipart/mixed\n\nx",
            |e| e.set_field(id(0), "Content-ID", "x"),
            Refused::Opaque,
        ),
        (
            "charset where the type is not readable",
            "Content-Type: @\n\nx",
            |e| {
                e.replace_body(
                    id(0),
                    NewBody {
                        charset: Some("utf-8".into()),
                        ..NewBody::default()
                    },
                )
            },
            Refused::BadField,
        ),
        (
            "type set",
            TWO,
            |e| e.set_field(id(1), "Content-Type", "text/html"),
            Refused::OfBody,
        ),
        (
            "type removed",
            TWO,
            |e| e.remove_fields(id(0), "content-type", |_| true).map(drop),
            Refused::OfBody,
        ),
        (
            "coding added",
            TWO,
            |e| e.add_field_above(id(1), "Content-Transfer-Encoding", "base64"),
            Refused::OfBody,
        ),
        (
            "name with a colon",
            TWO,
            |e| e.set_field(id(0), "A:", "x"),
            Refused::BadField,
        ),
        (
            "name with a blank",
            TWO,
            |e| e.add_field_below(id(0), "A b", "x"),
            Refused::BadField,
        ),
        (
            "no name",
            TWO,
            |e| e.add_field_above(id(0), "", "x"),
            Refused::BadField,
        ),
        (
            "name that fills a line",
            TWO,
            |e| e.set_field(id(0), &"x".repeat(998), "x"),
            Refused::BadField,
        ),
        ("root removed", TWO, |e| e.remove(id(0)), Refused::Root),
        (
            "beside the root",
            TWO,
            |e| e.insert_after(id(0), new("n")),
            Refused::Root,
        ),
        (
            "last child removed",
            TWO,
            |e| e.remove(id(1)).and(e.remove(id(2))),
            Refused::LastChild,
        ),
        (
            "last child pruned",
            TWO,
            |e| e.remove(id(1)).and(e.remove_pruning(id(2))),
            Refused::LastChild,
        ),
        (
            "removed twice",
            TWO,
            |e| e.remove(id(1)).and(e.remove(id(1))),
            Refused::Gone,
        ),
        (
            "edited after removal",
            TWO,
            |e| e.remove(id(1)).and(e.replace_body(id(1), body("x"))),
            Refused::Gone,
        ),
        (
            "appended to a leaf",
            TWO,
            |e| e.append(id(1), new("n")),
            Refused::NoMultipart,
        ),
        (
            "appended to nothing",
            "{b}--b--\n",
            |e| e.append(id(0), new("n")),
            Refused::NoMultipart,
        ),
        ("unknown part", TWO, |e| e.remove(id(3)), Refused::Unknown),
        (
            "inside a seal",
            SIGNED,
            |e| e.remove(id(1)),
            Refused::Sealed,
        ),
        (
            "a sealed part's content field",
            SIGNED,
            |e| e.set_field(id(0), "content-id", "x"),
            Refused::Sealed,
        ),
    ];
    for (name, short, change, refused) in rows {
        assert_eq!(edited(short, change), Err(*refused), "{name}");
    }
    let message = Message::scan(
        expand("{b}--b\n\nx\n--b\n\ny\n--b\n\nz\n--b--\n").into_bytes(),
        &cut,
    );
    let mut edits = EditSet::new(&message);
    assert_eq!(edits.attach(new("n")), Err(Refused::Limit));
    assert_eq!(edits.remove(id(1)), Err(Refused::Limit));
    assert_eq!(
        edits.wrap(id(1), Around::Mixed, vec![], vec![]),
        Err(Refused::Limit)
    );
    assert_eq!(edits.replace_body(id(2), body("x")), Err(Refused::Opaque));
    assert!(edits.is_empty());
}

// T178
/// An edit of one name looks at the fields of that name, not at all of them.
#[test]
fn t178_edits_of_all_names_look_at_each_field_a_few_times() {
    const FIELDS: usize = 2_000;
    let names: Vec<String> = (0..FIELDS)
        .map(|number| format!("X-Name-{number}"))
        .collect();
    let header: String = names.iter().map(|name| format!("{name}: x\n")).collect();
    let message = scan(&format!("{header}\nx"));
    type One = fn(&mut EditSet<'_>, &str);
    let verbs: [(&str, One); 3] = [
        ("remove", |edits, name| {
            assert_eq!(edits.remove_fields(PartId::ROOT, name, |_| true), Ok(1));
        }),
        ("set", |edits, name| {
            edits.set_field(PartId::ROOT, name, "y").unwrap();
        }),
        ("set and remove", |edits, name| {
            edits.set_field(PartId::ROOT, name, "y").unwrap();
            assert_eq!(edits.remove_fields(PartId::ROOT, name, |_| true), Ok(1));
        }),
    ];
    for (verb, change) in verbs {
        let mut edits = EditSet::new(&message);
        let before = header::looks::count();
        names.iter().for_each(|name| change(&mut edits, name));
        let rendered = render(&edits);
        let looks = header::looks::count() - before;
        assert!(looks < FIELDS * 10, "{verb}: {looks} looks");
        assert!(rendered != message.raw(), "{verb}");
        verify(&edits, rendered, &Limits::default()).unwrap();
    }
}

/// A child that was removed may be the last one again once others have come.
#[test]
fn children_are_counted() {
    let message = scan(&expand(TWO));
    let mut edits = EditSet::new(&message);
    edits.remove(id(1)).unwrap();
    let savepoint = edits.clone();
    assert_eq!(edits.remove(id(2)), Err(Refused::LastChild));
    edits.append(PartId::ROOT, new("n")).unwrap();
    edits.remove(id(2)).unwrap();
    assert_eq!(edits.insert_before(id(2), new("m")), Ok(()));
    assert!(edits.is_gone(id(1)) && edits.is_gone(id(2)) && !edits.is_gone(id(0)));
    edits = savepoint;
    assert_eq!(edits.remove(id(2)), Err(Refused::LastChild));
}

#[test]
fn content_is_as_the_edits_leave_it() {
    let message = scan("A: b\nContent-Type: text/plain; charset=iso-8859-1\n\nx");
    let mut edits = EditSet::new(&message);
    let content = edits.content(PartId::ROOT).unwrap();
    assert_eq!(
        (
            content.body(),
            content.encoding(),
            content.param("charset").as_deref()
        ),
        (&b"x"[..], Encoding::SevenBit, Some("iso-8859-1"))
    );
    edits
        .replace_body(
            PartId::ROOT,
            NewBody {
                raw: b"w6Q=".to_vec(),
                charset: Some("utf-8".into()),
                encoding: Some(Encoding::Base64),
                ..NewBody::default()
            },
        )
        .unwrap();
    edits.set_field(PartId::ROOT, "A", "c").unwrap();
    let content = edits.content(PartId::ROOT).unwrap();
    assert_eq!(
        (content.encoding(), content.param("charset").as_deref()),
        (Encoding::Base64, Some("utf-8"))
    );
    assert_eq!(
        (&*content.decoded().unwrap(), content.text().unwrap().text()),
        ("ä".as_bytes(), "ä")
    );
    assert_eq!(content.field("a").as_deref(), Some(&b"A: c\n"[..]));
    assert_eq!(
        (content.media_type(), content.part().media_type()),
        ("text/plain", "text/plain")
    );
    edits.replace_part(PartId::ROOT, new("n")).unwrap();
    let content = edits.content(PartId::ROOT).unwrap();
    assert_eq!(
        (
            content.media_type(),
            content.body(),
            content.param("name").as_deref()
        ),
        ("x/y", &b"n"[..], Some("n"))
    );
    assert!(edits.is_replaced(PartId::ROOT));
    assert_eq!(edits.touched().collect::<Vec<_>>(), [PartId::ROOT]);
}
