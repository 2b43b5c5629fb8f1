//! The trees that mails are taken for.

use super::*;
use crate::message::part::Part;

/// The tree in one line: `mixed{preamble}["body", text/html "body"]{epilogue}`. text/plain is left out; `>` in the
/// place of `]` is a missing close delimiter, `?` an opaque leaf; defects follow as S, L and C.
pub(in crate::message) fn notation(message: &Message) -> String {
    let mut out = String::new();
    write_part(message.root(), &mut out);
    let defects = message.defects();
    for (set, sign) in [
        (defects.structure || defects.doubt, " S"),
        (defects.limit, " L"),
        (defects.cut, " C"),
    ] {
        out.push_str(if set { sign } else { "" });
    }
    out.replace("\\r", "")
}

fn write_part(part: Part<'_>, out: &mut String) {
    let node = part.node();
    let text = |range: Range<usize>| part.message().raw()[range].escape_ascii().to_string();
    if let Kind::Multipart { close, .. } = &node.kind {
        let first = part
            .children()
            .next()
            .map(|child| child.node().delimiter.start);
        let preamble = node.body.start
            ..first
                .or(close.as_ref().map(|close| close.start))
                .unwrap_or(node.body.end);
        out.push_str(part.media_type().trim_start_matches("multipart/"));
        if !preamble.is_empty() {
            out.push_str(&format!("{{{}}}", text(preamble)));
        }
        out.push('[');
        for (index, child) in part.children().enumerate() {
            out.push_str(if index > 0 { ", " } else { "" });
            write_part(child, out);
        }
        out.push(if close.is_some() { ']' } else { '>' });
        if let Some(close) = close.as_ref().filter(|close| close.end < node.body.end) {
            out.push_str(&format!("{{{}}}", text(close.end..node.body.end)));
        }
        return;
    }
    if part.media_type() != "text/plain" {
        out.push_str(part.media_type());
        out.push(' ');
    }
    out.push_str(if part.is_opaque() { "?" } else { "" });
    out.push_str(&format!("\"{}\"", text(node.body.clone())));
}

/// `{b}` is the header block of a multipart/mixed with boundary b, `{h}` that of an HTML part.
pub(in crate::message) fn expand(short: &str) -> String {
    let mut out = String::new();
    let mut rest = short;
    while let Some((before, (name, after))) = rest
        .split_once('{')
        .map(|(a, b)| (a, b.split_once('}').unwrap()))
    {
        out.push_str(before);
        match name {
            "h" => out.push_str("Content-Type: text/html\n\n"),
            name => out.push_str(&format!(
                "Content-Type: multipart/mixed; boundary=\"{name}\"\n\n"
            )),
        }
        rest = after;
    }
    out + rest
}

pub(in crate::message) fn scan(raw: &str) -> Message {
    Message::scan(raw.into(), &Limits::default())
}

/// Every row once with LF and once with CRLF lines; the bodies are shown with LF.
#[test]
fn trees() {
    let mut wrong = Vec::new();
    let long = "x".repeat(75);
    let over_70 = format!("{{{long}}}--{long}\n\nx\n--{long}--\n");
    for (name, short, tree) in [
        // Messages without parts
        ("empty message", "", r#""""#),
        ("body only", "hello\n", r#""hello\n" S"#),
        ("body of blank lines", "\n\n\n", r#""\n\n""#),
        ("header only", "A: b\n", r#""""#),
        ("header only, cut off", "A: b", r#""""#),
        ("header with blank line, no body", "A: b\n\n", r#""""#),
        ("blank header block", "\nx: y\n", r#""x: y\n""#),
        ("no blank line", "A: b\nc d\n", r#""c d\n" S"#),
        (
            "header starts with a blank",
            " A: b\nC: d\n\nx",
            r#"" A: b\nC: d\n\nx" S"#,
        ),
        (
            "a line of blanks is a continuation",
            "A: b\n  \nC: d\n\nx",
            r#""x""#,
        ),
        ("colon first", ": b\n\nx", r#"": b\n\nx" S"#),
        (
            "mbox line",
            "From a@b.example Mon Jan  1 10:00:00 2024\n{h}x",
            r#"text/html "x""#,
        ),
        (
            "quoted mbox line",
            ">From a@b.example\n{h}x",
            r#"text/html "x""#,
        ),
        (
            "mbox line below a field",
            "A: b\nFrom a@b.example\n\nx",
            r#""From a@b.example\n\nx" S"#,
        ),
        ("no final line end", "A: b\n\nx", r#""x""#),
        // Types
        (
            "blank before the colon",
            "Content-Type : text/html\n\nx",
            r#"text/html "x""#,
        ),
        (
            "type in capitals",
            "CONTENT-TYPE: TEXT/HTML\n\nx",
            r#"text/html "x""#,
        ),
        ("type empty", "Content-Type:\n\nx", r#""x" S"#),
        ("type without slash", "Content-Type: text\n\nx", r#""x" S"#),
        ("type is garbage", "Content-Type: @@ / ; =\n\nx", r#""x" S"#),
        (
            "type folded",
            "Content-Type:\n text/html;\n charset=x\n\nx",
            r#"text/html "x""#,
        ),
        (
            "type twice, the same",
            "Content-Type: text/html\nContent-Type: text/html\n\nx",
            r#"text/html "x""#,
        ),
        (
            "type twice, differing",
            "Content-Type: text/html\nContent-Type: text/css\n\nx",
            r#"text/html "x" S"#,
        ),
        (
            "coding twice, differing",
            "Content-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: 8bit\n\nx",
            r#""x" S"#,
        ),
        // Multiparts as they should be
        (
            "two parts",
            "{b}--b\n\nx\n--b\n{h}y\n--b--\n",
            r#"mixed["x", text/html "y"]"#,
        ),
        (
            "preamble, epilogue",
            "{b}pre\n--b\n\nx\n--b--\nepi\n",
            r#"mixed{pre\n}["x"]{epi\n}"#,
        ),
        (
            "blank line before the first",
            "{b}\n--b\n\nx\n--b--\n",
            r#"mixed{\n}["x"]"#,
        ),
        (
            "body of lines",
            "{b}--b\n\nx\ny\n\n--b--\n",
            r#"mixed["x\ny\n"]"#,
        ),
        (
            "no line end after the close",
            "{b}--b\n\nx\n--b--",
            r#"mixed["x"]"#,
        ),
        (
            "trailing blanks",
            "{b}--b \t\n\nx\n--b-- \t \n",
            r#"mixed["x"]"#,
        ),
        (
            "nested",
            "{o}--o\n{i}--i\n\nx\n--i--\n\n--o\n\ny\n--o--\n",
            r#"mixed[mixed["x"], "y"]"#,
        ),
        (
            "nested, text after the inner close",
            "{o}--o\n{i}--i\n\nx\n--i--\nepi\n--o--\n",
            r#"mixed[mixed["x"]{epi}]"#,
        ),
        (
            "empty parts",
            "{b}--b\n\n--b\n\n\n--b--\n",
            r#"mixed["", ""]"#,
        ),
        (
            "part with fields only",
            "{b}--b\nA: b\n--b\n\ny\n--b--\n",
            r#"mixed["", "y"]"#,
        ),
        (
            "nothing between delimiters",
            "{b}--b\n--b\n--b--\n",
            r#"mixed["", ""]"#,
        ),
        (
            "digest",
            "Content-Type: multipart/digest; boundary=b\n\n--b\n\nA: b\n\ny\n--b\n{h}z\n--b--\n",
            r#"digest[message/rfc822 "A: b\n\ny", text/html "z"]"#,
        ),
        (
            "message/rfc822 is a leaf",
            "Content-Type: message/rfc822\n\n{b}--b\n\nx\n--b--\n",
            r#"message/rfc822 "Content-Type: multipart/mixed; boundary=\"b\"\n\n--b\n\nx\n--b--\n""#,
        ),
        (
            "boundary in a part's header block",
            "{b}--b\nA: b\n c\n--b--\n",
            r#"mixed[""]"#,
        ),
        (
            "blank lines missing everywhere",
            "Content-Type: multipart/mixed; boundary=b\n--b\nA: b\n--b--\n",
            r#"mixed[""] S"#,
        ),
        // What is a delimiter
        (
            "not at the start of a line",
            "{b}--b\n\nx --b\n --b\n--b--\n",
            r#"mixed["x --b\n --b"]"#,
        ),
        (
            "near-boundary lines",
            "{b}--b\n\n-b\n--\n---b\n--b-\n--B\n--bb\n--b--b\n--b --\n--b--\n",
            r#"mixed["-b\n--\n---b\n--b-\n--B\n--bb\n--b--b\n--b --"] S"#,
        ),
        (
            "outer is a prefix of inner",
            "{b}--b\n{bb}--bb\n\nx\n--bb--\n--b\n\ny\n--b--\n",
            r#"mixed[mixed["x"], "y"]"#,
        ),
        (
            "inner is a prefix of outer",
            "{bb}--bb\n{b}--b\n\nx\n--b--\n--bb\n\ny\n--bb--\n",
            r#"mixed[mixed["x"], "y"]"#,
        ),
        (
            "inner is outer with dashes",
            "{b}--b\n{b--}--b--\n\nx\n--b----\n--b--\n",
            r#"mixed[mixed["x"]]"#,
        ),
        (
            "only in case",
            "{b}--b\n{B}--B\n\nx\n--B--\n--b--\n",
            r#"mixed[mixed["x"]]"#,
        ),
        (
            "inside base64",
            "{b}--b\nContent-Transfer-Encoding: base64\n\neA==\n--b\n\neA==\n--b--\n",
            r#"mixed["eA==", "eA=="]"#,
        ),
        ("over 70 octets", &over_70, r#"mixed["x"]"#),
        // Boundaries used twice
        (
            "siblings",
            "{o}--o\n{i}--i\n\nx\n--i--\n--o\n{i}--i\n\ny\n--i--\n--o--\n",
            r#"mixed[mixed["x"], mixed["y"]]"#,
        ),
        (
            "nested, inner closed",
            "{b}--b\n{b}--b\n\nx\n--b--\n--b\n\ny\n--b--\n",
            r#"mixed[mixed["x"], "y"] S"#,
        ),
        (
            "nested, inner never closed",
            "{b}--b\n{b}--b\n\nx\n--b\n\ny\n",
            r#"mixed[mixed["x", "y\n">> S"#,
        ),
        // Closes missing or doubled
        ("last one missing", "{b}--b\n\nx\n", r#"mixed["x\n"> S"#),
        (
            "cut off in a body",
            "{b}--b\n\nx\n--b\n\ny",
            r#"mixed["x", "y"> S"#,
        ),
        (
            "cut off in a delimiter",
            "{b}--b\n\nx\n--b",
            r#"mixed["x", ""> S"#,
        ),
        (
            "cut off in a header block",
            "{b}--b\n\nx\n--b\nA: b",
            r#"mixed["x", ""> S"#,
        ),
        (
            "inner never closed",
            "{o}--o\n{i}--i\n\nx\n--o\n\ny\n--o--\n",
            r#"mixed[mixed["x">, "y"] S"#,
        ),
        (
            "inner never closed, nor outer",
            "{o}--o\n{i}--i\n\nx\n",
            r#"mixed[mixed["x\n">> S"#,
        ),
        (
            "outer closed within inner",
            "{o}--o\n{i}--i\n\nx\n--o--\nepi\n",
            r#"mixed[mixed["x">]{epi\n} S"#,
        ),
        (
            "taken up again",
            "{b}--b\n\nx\n--b--\n--b\n\ny\n--b--\n",
            r#"mixed["x"]{--b\n\ny\n--b--\n} S"#,
        ),
        (
            "inner taken up again",
            "{o}--o\n{i}--i\n\nx\n--i--\n--i\n\ny\n--o--\n",
            r#"mixed[mixed["x"]{--i\n\ny}] S"#,
        ),
        (
            "closed twice",
            "{b}--b\n\nx\n--b--\n--b--\n",
            r#"mixed["x"]{--b--\n}"#,
        ),
        ("no parts", "{b}--b--\n", "mixed[]"),
        ("no parts, only text", "{b}text\n", r#"mixed{text\n}[> S"#),
        (
            "no body",
            "Content-Type: multipart/mixed; boundary=b\n",
            "mixed[> S",
        ),
        // Boundary parameters
        (
            "boundary missing",
            "Content-Type: multipart/mixed\n\n--b\n",
            r#"multipart/mixed ?"--b\n" S"#,
        ),
        (
            "boundary empty",
            "{}--\n\nx\n----\n",
            r#"multipart/mixed ?"--\n\nx\n----\n" S"#,
        ),
        (
            "boundary of blanks",
            "{ }-- \n\nx\n",
            r#"multipart/mixed ?"-- \n\nx\n" S"#,
        ),
        (
            "boundary with a trailing blank",
            "{b }--b\n\nx\n--b--\n",
            r#"mixed["x"]"#,
        ),
        (
            "boundary as a token",
            "Content-Type: multipart/mixed;boundary=a'b_c,d\n\n--a'b_c,d\n\nx\n--a'b_c,d--\n",
            r#"mixed["x"]"#,
        ),
        (
            "boundary among comments",
            "Content-Type: (c) multipart (c) / (c) mixed (c); (c(c)) boundary (c) = (c) b (c)\n\n--b\n\nx\n--b--\n",
            r#"mixed["x"]"#,
        ),
        (
            "boundary in sections",
            "Content-Type: multipart/mixed; boundary*0=a; boundary*1=b\n\n--ab\n\nx\n--ab--\n",
            r#"mixed["x"]"#,
        ),
        (
            "boundary with a charset",
            "Content-Type: multipart/mixed; boundary*=us-ascii''a%62\n\n--ab\n\nx\n--ab--\n",
            r#"mixed["x"]"#,
        ),
        (
            "boundary twice",
            "Content-Type: multipart/mixed; boundary=b; boundary=c\n\n--b\n\nx\n--b--\n",
            r#"mixed["x"] S"#,
        ),
        (
            "boundary as an encoded word",
            "{=?us-ascii?q?b?=}--b\n\n--=?us-ascii?q?b?=\n\nx\n--=?us-ascii?q?b?=--\n",
            r#"mixed{--b\n\n}["x"] S"#,
        ),
        (
            "boundary with quoted pairs",
            "Content-Type: multipart/mixed; boundary=\"a\\b\\\"c\"\n\n--ab\"c\n\nx\n--ab\"c--\n",
            r#"mixed["x"]"#,
        ),
        (
            "boundary folded",
            "Content-Type: multipart/mixed;\n boundary=\"b\"\n\n--b\n\nx\n--b--\n",
            r#"mixed["x"]"#,
        ),
        (
            "base64 on a multipart",
            "Content-Transfer-Encoding: base64\n{b}--b\n\nx\n--b--\n",
            r#"mixed["x"] S"#,
        ),
        (
            "base64 on a multipart that is coded in truth",
            "Content-Transfer-Encoding: base64\n{b}LS1iCgp4Ci0tYi0tCg==\n",
            r#"multipart/mixed ?"LS1iCgp4Ci0tYi0tCg==\n" S"#,
        ),
        (
            "quoted-printable on an inner multipart",
            "{o}--o\nContent-Transfer-Encoding: quoted-printable\n{i}--i\n\nx\n--i--\n--o\n\ny\n--o--\n",
            r#"mixed[mixed["x"], "y"] S"#,
        ),
        (
            "8bit on a multipart",
            "Content-Transfer-Encoding: 8bit\n{b}--b\n\nx\n--b--\n",
            r#"mixed["x"]"#,
        ),
    ] {
        let raw = expand(short);
        for raw in [raw.clone(), raw.replace('\n', "\r\n")] {
            let message = scan(&raw);
            let found = notation(&message);
            if found != tree || message.into_raw() != raw.as_bytes() {
                wrong.push(format!("{name}: {found}, not {tree}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Lines that end in several ways; the bodies as they are.
#[test]
fn mixed_line_ends() {
    for (raw, bodies) in [
        ("{b}--b\r\n\nx\r\n--b\n\r\ny\n--b--\r\n", &["x", "y"][..]),
        ("{b}--b\n\nx\r\r\n--b--\n", &["x\r"]),
        ("{b}--b\n\nx\n\r\n--b--\n", &["x\n"]),
        ("{b}--b\n\nx\r--b\ry\n--b--\n", &["x\r--b\ry"]),
        ("A: b\r\r\n\r\nx", &["x"]),
        ("A: b\rC: d\r\rx", &[""]),
        ("A: b\n\rx", &["\rx"]),
    ] {
        let message = scan(&expand(raw));
        let found: Vec<&[u8]> = message.leaves().map(Part::body).collect();
        let bodies: Vec<&[u8]> = bodies.iter().map(|body| body.as_bytes()).collect();
        assert_eq!(found, bodies, "{raw:?}");
    }
}

#[test]
fn limits() {
    let all = Limits::default();
    let fields = "A: b\n".repeat(4) + "\nx";
    let params = "Content-Type: text/html; a=b; c=d\n\nx";
    let three = "{b}--b\n\nx\n--b\n\ny\n--b\n\nz\n--b--\n";
    let deep = "{o}--o\n{m}--m\n{i}--i\n\nx\n--i--\n--m--\n--o\n\ny\n--o--\n";
    for (name, limits, raw, tree) in [
        (
            "depth, at",
            Limits { depth: 3, ..all },
            deep,
            r#"mixed[mixed[mixed["x"]], "y"]"#,
        ),
        (
            "depth, above",
            Limits { depth: 2, ..all },
            deep,
            r#"mixed[mixed[multipart/mixed ?"--i\n\nx\n--i--"], "y"] L"#,
        ),
        (
            "depth 0",
            Limits { depth: 0, ..all },
            "{b}--b\n",
            r#"multipart/mixed ?"--b\n" L"#,
        ),
        (
            "parts, below",
            Limits { parts: 5, ..all },
            three,
            r#"mixed["x", "y", "z"]"#,
        ),
        (
            "parts, the last takes the rest",
            Limits { parts: 4, ..all },
            three,
            r#"mixed["x", "y", ?"z\n--b--\n"> S L C"#,
        ),
        (
            "parts, above",
            Limits { parts: 3, ..all },
            three,
            r#"mixed["x", ?"y\n--b\n\nz\n--b--\n"> S L C"#,
        ),
        (
            "header, at",
            Limits { header: 20, ..all },
            fields.as_str(),
            r#""x""#,
        ),
        (
            "header, above",
            Limits { header: 19, ..all },
            fields.as_str(),
            r#"application/octet-stream ?"x" L"#,
        ),
        (
            "fields, at",
            Limits { fields: 4, ..all },
            fields.as_str(),
            r#""x""#,
        ),
        (
            "fields, above",
            Limits { fields: 3, ..all },
            fields.as_str(),
            r#"application/octet-stream ?"x" L"#,
        ),
        (
            "field, at",
            Limits { field: 9, ..all },
            "A: b\n c \n\nx",
            r#""x""#,
        ),
        (
            "field, above",
            Limits { field: 8, ..all },
            "A: b\n c \n\nx",
            r#"application/octet-stream ?"x" L"#,
        ),
        (
            "params, at",
            Limits { params: 2, ..all },
            params,
            r#"text/html "x""#,
        ),
        (
            "params, above",
            Limits { params: 1, ..all },
            params,
            r#"text/html ?"x" L"#,
        ),
    ] {
        let raw = expand(raw);
        let message = Message::scan(raw.clone().into_bytes(), &limits);
        assert_eq!(notation(&message), tree, "{name}");
        assert_eq!(message.raw(), raw.as_bytes());
    }
}

#[test]
fn no_depth_beyond_the_stack() {
    let levels = Limits::MAX_DEPTH + 5;
    let raw: String = (0..levels)
        .map(|level| expand(&format!("{{{level}}}--{level}\n")))
        .collect();
    let message = Message::scan(
        raw.into_bytes(),
        &Limits {
            depth: usize::MAX,
            ..Limits::default()
        },
    );
    assert!(message.defects().limit);
    assert_eq!(
        message.leaves().map(Part::depth).collect::<Vec<_>>(),
        [Limits::MAX_DEPTH + 1]
    );
}
