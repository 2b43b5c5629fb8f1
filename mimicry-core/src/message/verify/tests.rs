//! Mails that are not as planned, and what the proof says of them.

use std::io::Write;

use super::made::{TextCheck, lines_are_clean};
use super::*;
use crate::message::charset::Charset;
use crate::message::edit::Around;
use crate::message::render::render;
use crate::message::scan::tests::scan;
use crate::message::text::NewBody;

const MAIL: &str = "A: b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b\nContent-Type: text/html\n\ny\n--b--\n";

/// What is said of a wrong render: which part, and what.
#[test]
fn says_what_is_wrong() {
    let message = scan(MAIL);
    let mut edits = EditSet::new(&message);
    edits
        .set_field(message.parts().nth(2).unwrap().id(), "N", "v")
        .unwrap();
    let right = String::from_utf8(render(&edits)).unwrap();
    for (from, to, wrong) in [
        ("", "", None),
        ("A: b", "A: c", Some("part 0: the header is not as planned")),
        ("N: v", "N: w", Some("part 2: the header is not as planned")),
        ("\nx\n", "\nX\n", Some("part 1: an untouched part changed")),
        ("\ny\n", "\nz\n", Some("part 2: a body changed")),
        (
            "text/html",
            "text/css",
            Some("part 2: the header is not as planned"),
        ),
        ("--b\n\nx\n", "", Some("part 1: an untouched part changed")),
        (
            "--b--",
            "--b --",
            Some("part 0: the new structure is broken or ambiguous"),
        ),
        (
            "--b--\n",
            "--b--\n\n",
            Some("part 0: the epilogue or the close delimiter changed"),
        ),
    ] {
        let found = verify(
            &edits,
            right.replacen(from, to, 1).into_bytes(),
            &Limits::default(),
        );
        assert_eq!(
            found.err().map(|mismatch| mismatch.to_string()).as_deref(),
            wrong,
            "{from:?} -> {to:?}"
        );
    }
}

/// A variant is sealed with the other one, and no longer when that has gone; both are read as before in themselves.
#[test]
fn a_sealed_variant_may_go() {
    let armour = "-----BEGIN PGP MESSAGE-----";
    let mail = MAIL.replace("mixed", "alternative");
    for mail in [
        mail.replace("\nx\n", &format!("\n{armour}\n")),
        mail.replace("\ny\n", &format!("\n<p>{armour}\n")),
    ] {
        let message = scan(&mail);
        assert!(message.leaves().all(|leaf| leaf.seal().is_some()), "{mail}");
        for leaf in message.leaves() {
            let mut edits = EditSet::new(&message);
            edits.remove(leaf.id()).unwrap();
            let after = verify(&edits, render(&edits), &Limits::default()).unwrap();
            let has_armour = memchr::memmem::find(after.raw(), armour.as_bytes()).is_some();
            let is_sealed = after.leaves().all(|leaf| leaf.seal().is_some());
            assert_eq!(is_sealed, has_armour, "{mail}");
        }
    }
}

#[test]
fn a_limit_passed_by_the_edit_is_refused() {
    let message = scan(MAIL);
    let mut edits = EditSet::new(&message);
    edits
        .attach(NewPart::text("plain", "x", message.newline()))
        .unwrap();
    for (parts, passes) in [(5, true), (4, false)] {
        let limits = Limits {
            parts,
            ..Limits::default()
        };
        assert_eq!(
            verify(&edits, render(&edits), &limits).is_ok(),
            passes,
            "{parts}"
        );
    }
}

/// The octets of a binary body have no lines, and still no lone line end may leave.
#[test]
fn t175_no_edit_brings_a_lone_cr_or_lf() {
    for (before, body, wrong) in [
        ("x", &b"y\r\nz"[..], None),
        ("x", b"y\0z", None),
        ("x", b"y\nz", Some("a CR or LF stands alone")),
        ("x", b"y\rz", Some("a CR or LF stands alone")),
        ("x", b"y\r", Some("a CR or LF stands alone")),
        // It had one before.
        ("x\ny", b"y\nz", None),
    ] {
        let above = "A: b\r\nContent-Type: x/y\r\nContent-Transfer-Encoding: binary\r\n\r\n";
        let message = scan(&format!("{above}{before}"));
        let mut edits = EditSet::new(&message);
        let new = NewBody {
            raw: body.to_vec(),
            ..NewBody::default()
        };
        edits.replace_body(message.root().id(), new).unwrap();
        let found = verify(&edits, render(&edits), &Limits::default());
        let found = found.err().map(|mismatch| mismatch.what);
        assert_eq!(found, wrong, "{before:?} {body:?}");
    }
}

/// A malformed mail may stay so, but its parts are still those that they were.
#[test]
fn a_part_that_is_no_longer_looked_into_is_refused() {
    let raw = "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\nx\n--o--\n";
    for (depth, wrong) in [
        (3, None),
        (2, Some("an untouched part is read as another tree")),
    ] {
        let limits = Limits {
            depth,
            ..Limits::default()
        };
        let message = Message::scan(raw.into(), &limits);
        assert!(message.malformed() && message.parts().len() == 3);
        let mut edits = EditSet::new(&message);
        edits
            .wrap(message.root().id(), Around::Mixed, vec![], vec![])
            .unwrap();
        assert_eq!(
            verify(&edits, render(&edits), &limits)
                .err()
                .map(|mismatch| mismatch.what),
            wrong
        );
    }
}

#[test]
fn lines() {
    let x = |count: usize| "x".repeat(count);
    for (text, newline, clean) in [
        ("".to_string(), Newline::Crlf, true),
        ("x".into(), Newline::Crlf, true),
        ("x\r\ny\r\n".into(), Newline::Crlf, true),
        ("x\n".into(), Newline::Crlf, false),
        ("x\ry".into(), Newline::Crlf, false),
        ("x\r".into(), Newline::Crlf, false),
        ("x\n".into(), Newline::Lf, true),
        ("x\r\n".into(), Newline::Lf, true),
        (x(998), Newline::Lf, true),
        (x(999), Newline::Lf, false),
        (x(998) + "\r\n" + &x(998), Newline::Crlf, true),
        (x(5) + "\r\n" + &x(999) + "\r\n", Newline::Crlf, false),
    ] {
        assert_eq!(lines_are_clean(text.as_bytes(), newline), clean, "{text:?}");
    }
}

#[test]
fn utf8_in_pieces() {
    for (octets, is_text) in [
        ("aüb€c𝄞".as_bytes(), true),
        (b"", true),
        (b"a\xff", false),
        (b"a\xc3", false),
        (b"\xc3(", false),
    ] {
        for size in 1..=octets.len().max(1) {
            let mut check = TextCheck(Charset::UTF_8.reader());
            let taken = octets
                .chunks(size)
                .try_for_each(|piece| check.write_all(piece));
            assert_eq!(
                taken.is_ok() && check.0.finish(&mut |_| {}),
                is_text,
                "{octets:?} by {size}"
            );
        }
    }
}
