//! Mails made to exhaust a reader (faults.md part D): each is scanned, asked for everything, edited, rendered and proved,
//! under the default limits and under none. What is asserted is the outcome; `--nocapture` shows the time of each, and
//! `HOSTILE_SCALE=2` doubles the inputs, to see that twice the input takes about twice the time.

mod common;

use std::time::Instant;

use common::*;
use mimicry_core::message::edit::{EditSet, Refused};
use mimicry_core::message::render::render;
use mimicry_core::message::verify::verify;
use mimicry_core::message::{Limits, Message, PartId};

/// As if there were no limits.
const NO_LIMITS: Limits = Limits {
    depth: usize::MAX,
    parts: usize::MAX,
    header: usize::MAX,
    field: usize::MAX,
    fields: usize::MAX,
    params: usize::MAX,
};

/// What a hostile mail is read as.
#[derive(Debug, PartialEq)]
struct Reading {
    parts: usize,
    limit: bool,
    structure: bool,
    /// The edits could be proved.
    proved: bool,
}

fn scale(count: usize) -> usize {
    count
        * std::env::var("HOSTILE_SCALE")
            .ok()
            .and_then(|scale| scale.parse().ok())
            .unwrap_or(1)
}

/// Takes a mail through everything that a mail goes through.
fn survive(name: &str, raw: &[u8], limits: &Limits) -> Reading {
    let start = Instant::now();
    let message = Message::scan(raw.to_vec(), limits);
    let scanned = start.elapsed();
    assert!(
        render(&EditSet::new(&message)) == raw,
        "{name}: rendering is not the identity"
    );
    ask_all(&message);
    let asked = start.elapsed() - scanned;

    let mut edits = EditSet::new(&message);
    edits.set_field(PartId::ROOT, "X-Seen", "yes").unwrap();
    let new = new_part(&message, 3);
    match edits.attach(new.clone()) {
        Ok(()) => {}
        Err(Refused::Opaque) => assert!(message.root().is_opaque(), "{name}"),
        Err(Refused::Limit) => assert!(message.defects().cut, "{name}"),
        Err(other) => panic!("{name}: {other}"),
    }
    for leaf in message.leaves() {
        // Every other leaf leaves.
        if leaf.section().last().is_some_and(|number| number % 2 == 0) {
            let _ = edits.remove(leaf.id());
        } else {
            let _ = edits.insert_before(leaf.id(), new.clone());
        }
    }
    let rendered = render(&edits);
    let parts = if message.defects().cut {
        limits.parts
    } else {
        usize::MAX
    };
    let proved = verify(&edits, rendered, &Limits { parts, ..*limits });
    println!(
        "{name}: {} octets, scan {scanned:?}, ask {asked:?}, edit {:?}",
        raw.len(),
        start.elapsed() - scanned - asked
    );
    Reading {
        parts: message.parts().len(),
        limit: message.defects().limit,
        structure: message.defects().structure,
        proved: proved.is_ok(),
    }
}

/// Once under the default limits, once under none: the number of parts, and S for a defect of structure, L for a limit
/// that was reached, R for edits that the proof refuses.
fn check(name: &str, raw: &[u8], limited: (usize, &str), unlimited: (usize, &str)) {
    for (limits, (parts, defects)) in [(Limits::default(), limited), (NO_LIMITS, unlimited)] {
        let expected = Reading {
            parts,
            limit: defects.contains('L'),
            structure: defects.contains('S'),
            proved: !defects.contains('R'),
        };
        assert_eq!(survive(name, raw, &limits), expected, "{name}");
    }
}

fn mail_of(header: &str, body: &str) -> Vec<u8> {
    format!("From: a@example.org\r\n{header}\r\n{body}").into_bytes()
}

fn multipart(boundary: &str) -> String {
    format!("Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n")
}

#[test]
fn encoded_word_openers() {
    let openers = "=?".repeat(scale(1_000_000));
    check(
        "1 M =? in Subject",
        &mail_of(&format!("Subject: {openers}\r\n"), "x\r\n"),
        (1, "L"),
        (1, ""),
    );
    check(
        "1 M =? in From",
        &mail_of(&format!("From: {openers} <a@b>\r\n"), "x\r\n"),
        (1, "L"),
        (1, ""),
    );
    let below = "=?".repeat(50_000);
    check(
        "=? below the limit",
        &mail_of(&format!("Subject: {below}\r\n"), "x\r\n"),
        (1, ""),
        (1, ""),
    );
    let name = format!("Content-Disposition: attachment; filename=\"{below}\"\r\n");
    check(
        "=? in a file name",
        &mail_of(&name, "x\r\n"),
        (1, ""),
        (1, ""),
    );
    let words = "=?utf-8?q?=C3=A4?= ".repeat(scale(20_000));
    check(
        "20 000 encoded words",
        &mail_of(&format!("Subject: {words}\r\n"), "x\r\n"),
        (1, "L"),
        (1, ""),
    );
}

#[test]
fn many_parts() {
    let count = scale(100_000);
    let parts = "--b\r\n\r\n".repeat(count);
    check(
        "100 000 parts",
        &mail_of(&multipart("b"), &format!("{parts}--b--\r\n")),
        (10_000, "SL"),
        (count + 1, ""),
    );
    check(
        "100 000 parts, not closed",
        &mail_of(&multipart("b"), &parts),
        (10_000, "SL"),
        (count + 1, "S"),
    );
}

#[test]
fn many_closed_multiparts() {
    let count = scale(30_000);
    let part = format!("--b\r\n{}\r\n--i\r\n\r\nx\r\n--i--\r\n", multipart("i"));
    let raw = mail_of(&multipart("b"), &(part.repeat(count) + "--b--\r\n"));
    check(
        "30 000 multiparts side by side",
        &raw,
        (10_000, "SL"),
        (2 * count + 1, ""),
    );
}

/// On a stack as large as that of a process, which is what a worker has: rendering and proving recurse.
#[test]
fn deep_multiparts() {
    let size = std::env::var("HOSTILE_STACK")
        .ok()
        .and_then(|size| size.parse().ok())
        .unwrap_or(8 << 20);
    std::thread::Builder::new()
        .stack_size(size)
        .spawn(all_deep_multiparts)
        .unwrap()
        .join()
        .unwrap();
}

fn all_deep_multiparts() {
    let depth = scale(20_000);
    let open: String = (0..depth)
        .map(|level| format!("{}\r\n--{level}\r\n", multipart(&level.to_string())))
        .collect();
    check("depth 20 000", open.as_bytes(), (101, "SL"), (1001, "SL"));
    let close: String = (0..depth)
        .rev()
        .map(|level| format!("\r\n--{level}--\r\n"))
        .collect();
    check(
        "depth 20 000, closed",
        format!("{open}\r\nx{close}").as_bytes(),
        (101, "L"),
        (1001, "L"),
    );
    let same = format!("{}\r\n--b\r\n", multipart("b")).repeat(depth);
    // Without a limit of parts the root gets one more, and nobody could tell whose it is.
    check(
        "depth 20 000, one boundary",
        same.as_bytes(),
        (10_000, "SL"),
        (depth + 1, "SLR"),
    );
}

#[test]
fn deep_messages() {
    let nested = "Content-Type: message/rfc822\r\n\r\n".repeat(scale(120_000));
    check(
        "120 000 nested messages",
        nested.as_bytes(),
        (1, ""),
        (1, ""),
    );
}

#[test]
fn large_header_blocks() {
    let fields: String = (0..scale(20_000))
        .map(|number| format!("X-{number}: y\r\n"))
        .collect();
    check(
        "20 000 fields",
        &mail_of(&fields, "x\r\n"),
        (1, "L"),
        (1, ""),
    );
    let same = "Content-Type: text/plain\r\n".repeat(scale(20_000));
    check(
        "20 000 times Content-Type",
        &mail_of(&same, "x\r\n"),
        (1, "L"),
        (1, ""),
    );
    let lines = format!("Subject: x\r\n{}", " y\r\n".repeat(scale(50_000)));
    check(
        "a field of 50 000 lines",
        &mail_of(&lines, "x\r\n"),
        (1, "L"),
        (1, ""),
    );
    let endless = "Subject: ".to_string() + &"x".repeat(scale(10_000_000));
    check(
        "a header that never ends",
        endless.as_bytes(),
        (1, "L"),
        (1, ""),
    );
}

#[test]
fn comments() {
    let open = "(".repeat(scale(1_000_000));
    check(
        "1 M open comments in From",
        &mail_of(&format!("From: {open}\r\n"), "x\r\n"),
        (1, "L"),
        (1, ""),
    );
    check(
        "1 M open comments in Content-Type",
        &mail_of(&format!("Content-Type: {open}\r\n"), "x\r\n"),
        (1, "L"),
        (1, "S"),
    );
    check(
        "1 M open comments below the type",
        &mail_of(&format!("Content-Type: text/plain; {open}\r\n"), "x\r\n"),
        (1, "L"),
        (1, ""),
    );
    let below = "(".repeat(90_000);
    check(
        "comments below the limit",
        &mail_of(
            &format!("To: {below}\r\nContent-Type: text/plain; {below}\r\n"),
            "x\r\n",
        ),
        (1, ""),
        (1, ""),
    );
}

#[test]
fn parameters() {
    let count = scale(20_000);
    let plain: String = (0..count).map(|number| format!("; a{number}=b")).collect();
    check(
        "20 000 parameters",
        &mail_of(&format!("Content-Type: text/plain{plain}\r\n"), "x\r\n"),
        (1, "L"),
        (1, ""),
    );
    let sections: String = (0..count)
        .map(|number| format!("; name*{number}*=%41"))
        .collect();
    check(
        "20 000 sections",
        &mail_of(&format!("Content-Type: text/plain{sections}\r\n"), "x\r\n"),
        (1, "L"),
        (1, ""),
    );
    let boundaries: String = (0..900)
        .map(|number| format!(";\r\n boundary=b{number}"))
        .collect();
    let raw = mail_of(
        &format!("Content-Type: multipart/mixed{boundaries}\r\n"),
        "--b0\r\n\r\nx\r\n--b0--\r\n",
    );
    check("900 boundaries", &raw, (2, "S"), (2, "S"));
    let semicolons = ";".repeat(90_000);
    check(
        "semicolons",
        &mail_of(
            &format!("Content-Type: text/plain{semicolons}\r\n"),
            "x\r\n",
        ),
        (1, ""),
        (1, ""),
    );
}

#[test]
fn near_boundary_lines() {
    let boundary = "b".repeat(60);
    for (name, line) in [
        ("--", "--\r\n".to_string()),
        ("almost the boundary", format!("--{}c\r\n", &boundary[1..])),
        ("LF only", "\n--".into()),
    ] {
        let lines = line.repeat(scale(14_000_000) / line.len());
        let raw = mail_of(
            &multipart(&boundary),
            &format!("--{boundary}\r\n\r\n{lines}\r\n--{boundary}--\r\n"),
        );
        check(
            &format!("14 MB of near-boundary lines, {name}"),
            &raw,
            (2, ""),
            (2, ""),
        );
    }
}

#[test]
fn near_boundary_lines_at_depth_90() {
    let open: String = (0..90)
        .map(|level| format!("{}\r\n--{level}\r\n", multipart(&level.to_string())))
        .collect();
    let raw = format!("{open}\r\n{}", "--91\r\n".repeat(scale(14_000_000) / 6));
    check(
        "14 MB of near-boundary lines at depth 90",
        raw.as_bytes(),
        (91, "S"),
        (91, "S"),
    );
}

#[test]
fn html() {
    let html = |body: String| mail_of("Content-Type: text/html\r\nContent-ID: <c>\r\n", &body);
    check(
        "10 MB of <",
        &html("<".repeat(scale(10_000_000))),
        (1, ""),
        (1, ""),
    );
    check(
        "10 MB of cid:",
        &html("cid:".repeat(scale(2_500_000))),
        (1, ""),
        (1, ""),
    );
    check(
        "10 MB of references",
        &html("cid:%63\"".repeat(scale(1_250_000))),
        (1, ""),
        (1, ""),
    );
    check(
        "10 MB of c",
        &html("c".repeat(scale(10_000_000))),
        (1, ""),
        (1, ""),
    );
}

#[test]
fn armour() {
    let lines = "-----BEGIN PGP \r\n".repeat(scale(600_000));
    check(
        "10 MB of almost armour",
        &mail_of("", &lines),
        (1, ""),
        (1, ""),
    );
    let coded = "Content-Transfer-Encoding: quoted-printable\r\n";
    check(
        "10 MB of almost armour, coded",
        &mail_of(coded, &lines),
        (1, ""),
        (1, ""),
    );
    check(
        "10 MB of =",
        &mail_of(coded, &"=".repeat(scale(10_000_000))),
        (1, ""),
        (1, ""),
    );
}

/// A boundary of ours must not be in the mail; the mail holds the first ones that would be tried.
#[test]
fn boundaries_guessed() {
    let mut raw = b"Content-Type: text/plain\r\n\r\n".to_vec();
    raw.resize(70_000, b'x');
    raw.extend_from_slice(b"\r\n");
    for _ in 0..3 {
        // The place of the guesses lies behind what the boundary is made from.
        let message = scan(&raw);
        let guess = mimicry_core::message::compose::boundary(&message, 0, &[]);
        raw.extend_from_slice(format!("--{guess}\r\n").as_bytes());
    }
    check("boundaries guessed", &raw, (1, ""), (1, ""));
}
