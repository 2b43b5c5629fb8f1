//! How much memory a mail takes (T191): every octet that is alive while the rules are applied, proved and made fit for a
//! next hop of 7 bits, against the size of the mail as it came or as it leaves, whichever is larger; the mail itself counts.
//!
//! The allocator counts a growing vector with the old and the new one, as an allocator does that must copy. Octets that were asked
//! for and never written count, too: the address space of a worker is limited.
//!
//! `MEMORY_SIZE=16` measures mails of so many MB, `MEMORY_ONLY=html` those with the word in their name, `--nocapture` shows all
//! figures.

mod common;
#[path = "../../t/bench/inputs.rs"]
mod inputs;

use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;

use peak_alloc::PeakAlloc;

use common::*;
use mimicry_core::message::Limits;
use mimicry_core::message::seven_bit::to_7bit;
use mimicry_plugins::shared::reply_marks::{Nowhere, in_html, in_text};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Of the mail, at the most.
const TIMES: usize = 3;
/// Beside it: tables of compressors, and what a tree of ten thousand parts needs.
const BESIDE: usize = 16 << 20;
/// Beside a mail that is one text, so that a small one shows what a large one would take.
const BESIDE_TEXT: usize = 2 << 20;
/// Beside one in another charset than UTF-8, whose beginning is converted to be searched.
const BESIDE_CONVERTED: usize = 4 << 20;

const MB: usize = 1 << 20;

fn size() -> usize {
    let asked = std::env::var("MEMORY_SIZE").ok();
    asked.and_then(|size| size.parse().ok()).unwrap_or(1) * MB
}

/// What was alive at once, at the most, the mail included; and the mail that leaves.
fn peak(raw: Vec<u8>, rules: &str, archive: &str, envelope: &str) -> (usize, Vec<u8>) {
    let before = ALLOCATOR.current_usage() - raw.capacity();
    let config = rules_of(rules, archive);
    let mut mail = mail_of(raw, envelope);
    // All keys of the tests are valid then: New Year of 2027.
    mail.received.unix = 1_798_761_600;
    ALLOCATOR.reset_peak_usage();
    let applied = apply(&config, &mail);
    let message = applied
        .as_ref()
        .ok()
        .and_then(|applied| applied.message.as_ref());
    // As a worker does for a next hop that takes no 8-bit octets.
    if message.is_some() {
        mail.message = mail.message.header_alone();
    }
    let message = message.unwrap_or(&mail.message);
    if !message.raw().is_ascii() {
        let _ = to_7bit(message, &Limits::default());
    }
    (ALLOCATOR.peak_usage() - before, message.raw().to_vec())
}

fn rules_of(notation: &str, archive: &str) -> mimicry_core::config::Config {
    rules(&notation.replace("ARCHIVE", archive))
}

/// A directory that copies are kept in, for as long as it is held.
fn archive() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let path = directory.path().display().to_string();
    (directory, path)
}

/// How many times its size a mail took, for the line of the mail; what is beyond the limit is noted.
fn account(
    beyond: &mut Vec<String>,
    (input, rule): (&str, &str),
    peak: usize,
    (size, beside): (usize, usize),
) -> String {
    let times = peak as f64 / size as f64;
    if peak > TIMES * size + beside {
        let of = size / 1024;
        beyond.push(format!("{input}, {rule}: {times:.1} times {of} KB"));
    }
    format!(" {times:.1}")
}

/// Measures the mails with the rules whose names begin so, and prints a line of each mail.
fn check(mails: impl Iterator<Item = (String, Vec<u8>)>, names: &[&str], beside: usize) {
    let (_directory, archive) = archive();
    let is_meant = |name: &str| names.iter().any(|start| name.starts_with(start));
    let rules: Vec<_> = inputs::RULES
        .iter()
        .filter(|(name, _)| is_meant(name))
        .collect();
    println!(
        "{:24} {:?}",
        "",
        rules.iter().map(|(name, _)| name).collect::<Vec<_>>()
    );
    let mut beyond = Vec::new();
    let only = std::env::var("MEMORY_ONLY").unwrap_or_default();
    for (input, raw) in mails.filter(|(input, _)| input.contains(&only)) {
        let mut line = String::new();
        for (name, rules) in &rules {
            let (peak, out) = peak(raw.clone(), rules, &archive, "[client=192.0.2.7]");
            // Notes for thousands of parts are more than the parts were.
            let size = raw.len().max(out.len());
            line += &account(&mut beyond, (&input, name), peak, (size, beside));
        }
        println!("{input:24}{line}");
    }
    assert!(beyond.is_empty(), "{}", beyond.join("\n"));
}

/// Rules that see the mail as a whole, each with the recipient whose key it has, and what it needs beside the mail: OpenPGP encrypts
/// in pieces of 4 MB, each of which is there more than once.
#[cfg(all(feature = "pgp", feature = "smime"))]
const WHOLE: &[(&str, &str, &str, usize)] = &[
    (
        "pgp_sign",
        "pgp_sign | options.keys = { \"example.org\" = \"keys/pgp/anna.secret.asc\" }",
        "bo@example.com",
        BESIDE_TEXT,
    ),
    (
        "pgp_encrypt",
        "pgp_encrypt | options.keys = \"keys/pgp/bo.asc\" | options.sign_keys = { \"example.org\" = \"keys/pgp/anna.secret.asc\" }",
        "bo@example.com",
        BESIDE,
    ),
    (
        "smime_sign",
        "smime_sign | options.keys = { \"example.org\" = \"keys/smime-anna.pem\" }",
        "bob@partner.example",
        BESIDE_TEXT,
    ),
    (
        "smime_sign opaque",
        "smime_sign | options.keys = { \"example.org\" = \"keys/smime-anna.pem\" } | options.opaque = true",
        "bob@partner.example",
        BESIDE_TEXT,
    ),
    (
        "smime_encrypt",
        "smime_encrypt | options.certificates = \"keys/smime-bob.pem\" | options.ca_file = \"keys/smime-root.pem\"",
        "bob@partner.example",
        BESIDE_TEXT,
    ),
    (
        "archive",
        "archive | options.dir = \"ARCHIVE\" | options.layout = \"files\" | options.encrypt_to = \"keys/pgp/bo.asc\"",
        "bo@example.com",
        BESIDE,
    ),
    (
        "message_instance",
        "header | options.add = { X-A = \"b\" } ;; message_instance",
        "bo@example.com",
        BESIDE_TEXT,
    ),
];

// T191: without the memory that OpenSSL takes, which t/memory.rs counts.
#[cfg(all(feature = "pgp", feature = "smime"))]
#[test]
fn t191_mails_that_are_signed_or_encrypted_take_three_times_their_size() {
    let _turn = TURN.lock();
    let (_directory, archive) = archive();
    let mut beyond = Vec::new();
    let large = ["plain-lines", "half-8bit", "attachment"];
    let all = inputs::TEXTS.iter().chain(inputs::TREES);
    let large = all.filter(|(name, _)| large.contains(name));
    let large = large.map(|(name, make)| (*name, make(4 * size()), false));
    let small = inputs::TREES.iter().skip(2);
    let small = small.map(|(name, make)| (*name, make(size()), true));
    for (input, raw, is_tree) in large.chain(small).chain([("deep", nested(200), true)]) {
        let mut line = String::new();
        for (name, rules, recipient, beside) in WHOLE {
            let envelope = format!("anna@example.org > {recipient} [client=192.0.2.7]");
            let (peak, out) = peak(raw.clone(), rules, &archive, &envelope);
            // A copy of the archive is in armour.
            let size = match *name {
                "archive" => raw.len() / 8 * 11,
                _ => raw.len().max(out.len()),
            };
            // Of a header that is near the limit no copy can stand inside.
            let is_left = *name == "archive" || input == "many-fields";
            assert!(is_left || out != raw, "{input}, {name}: it was not changed");
            let beside = if is_tree { BESIDE } else { *beside };
            line += &account(&mut beyond, (input, name), peak, (size, beside));
        }
        println!("{input:24}{line}");
    }
    assert!(beyond.is_empty(), "{}", beyond.join("\n"));
}

/// A part in a part in a part.
#[cfg(all(feature = "pgp", feature = "smime"))]
fn nested(depth: usize) -> Vec<u8> {
    let mut mail = b"From: anna@example.org\r\nTo: bo@example.com\r\n".to_vec();
    for level in 0..depth {
        mail.extend_from_slice(
            format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n")
                .as_bytes(),
        );
    }
    mail.extend_from_slice(b"\r\nHello\r\n");
    for level in (0..depth).rev() {
        mail.extend_from_slice(format!("--b{level}--\r\n").as_bytes());
    }
    mail
}

/// What is counted is alive in the whole program: one test after the other.
static TURN: Mutex<()> = Mutex::new(());

fn made(list: &'static [(&'static str, inputs::Make)]) -> impl Iterator<Item = (String, Vec<u8>)> {
    list.iter()
        .map(|(name, make)| (name.to_string(), make(size())))
}

// T191
#[test]
fn t191_hostile_texts_take_three_times_their_size() {
    let _turn = TURN.lock();
    check(
        made(inputs::TEXTS),
        &["disclaim", "banner", "header", "all"],
        BESIDE_TEXT,
    );
}

// T191
#[test]
fn t191_hostile_trees_take_three_times_their_size() {
    let _turn = TURN.lock();
    check(made(inputs::TREES), &[""], BESIDE);
}

// T191
#[test]
fn t191_texts_of_every_charset_take_three_times_their_size() {
    let _turn = TURN.lock();
    let mails = inputs::CHARSETS.iter().flat_map(|(charset, piece)| {
        ["plain", "html"].map(|subtype| {
            let raw = inputs::in_charset(size(), subtype, charset, piece);
            (format!("{subtype} {charset}"), raw)
        })
    });
    check(mails, &["disclaim", "banner"], BESIDE_CONVERTED);
}

// T191: what takes three times and a half at any size, or five, shows where what stands beside is little of it.
#[test]
fn t191_large_texts_take_three_times_their_size() {
    let _turn = TURN.lock();
    let large = 8 * size();
    let text = |name: &str| {
        let (_, make) = inputs::TEXTS.iter().find(|(other, _)| *other == name)?;
        Some((name.to_string(), make(large)))
    };
    let texts = ["base64-tiny-lines", "qp-escapes", "half-8bit"].map(|name| text(name).unwrap());
    let rules = ["disclaim top", "disclaim reply", "disclaim once"];
    check(texts.into_iter(), &rules, BESIDE_TEXT);
    let charset = |name: &str| inputs::CHARSETS.iter().find(|(other, _)| *other == name);
    let mails = ["iso-8859-1", "windows-1252", "gb18030"].map(|name| {
        let (charset, piece) = charset(name).unwrap();
        (
            name.to_string(),
            inputs::in_charset(large, "plain", charset, piece),
        )
    });
    check(
        mails.into_iter(),
        &["disclaim reply", "disclaim once"],
        BESIDE_CONVERTED,
    );
}

/// Of a body without a quote, whatever it is, no copy is made to tell that.
#[test]
fn t191_what_is_no_quote_is_told_in_little_memory() {
    let _turn = TURN.lock();
    let long = |piece: &str, end: &str| piece.repeat(8 * size() / piece.len()) + end;
    for body in [long("&amp;", ""), long("a ", ">"), long("a ", "From:")] {
        for judged in [in_text, in_html] {
            let before = ALLOCATOR.current_usage();
            ALLOCATOR.reset_peak_usage();
            assert_eq!(judged(&body), Err(Nowhere::NoQuote));
            let peak = ALLOCATOR.peak_usage() - before;
            let start: String = body.chars().take(9).collect();
            assert!(peak < MB / 2, "{start}: {peak}");
        }
    }
}
