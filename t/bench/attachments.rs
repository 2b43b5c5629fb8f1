//! A text and three attachments of text-like content, 1.2 MB on the wire, and the work that no archive can do without.
//! The benchmarks of mimicry-plugins use it too.

use std::io::Write;

use mimicry_core::message::{Limits, Message, codec};

/// The mail, with CRLF.
pub fn mail() -> Vec<u8> {
    let mut mail = b"From: a@example.org\r\nDate: Sun, 22 Nov 2026 17:35:00 +0100\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=outer\r\n\r\n--outer\r\nContent-Type: text/plain\r\n\r\nsee attached\r\n".to_vec();
    let mut state = 1u32;
    for name in ["one", "two", "three"] {
        let mut content = Vec::with_capacity(300_000);
        while content.len() < 300_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let word = WORDS[(state >> 24) as usize % WORDS.len()];
            content.extend_from_slice(word.as_bytes());
            content.push(if state & 0x70_0000 == 0 { b'\n' } else { b' ' });
        }
        mail.extend_from_slice(
            format!("--outer\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename={name}.csv\r\nContent-Transfer-Encoding: base64\r\n\r\n")
                .as_bytes(),
        );
        mail.extend_from_slice(&codec::encode(codec::Encoding::Base64, &content, b"\r\n"));
    }
    mail.extend_from_slice(b"--outer--\r\n");
    mail
}

/// The three attachments, decoded.
pub fn contents() -> Vec<Vec<u8>> {
    Message::scan(mail(), &Limits::default())
        .leaves()
        .skip(1)
        .map(|part| part.decoded().unwrap().into_owned())
        .collect()
}

/// Deflates each with the back-end and the level of the plugin Zip; the octets that come out.
pub fn deflate(contents: &[Vec<u8>]) -> usize {
    let deflated = |content: &Vec<u8>| {
        let mut encoder =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(6));
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap().len()
    };
    contents.iter().map(deflated).sum()
}

const WORDS: &[&str] = &[
    "invoice",
    "order",
    "Köln",
    "quantity",
    "1204",
    "98.70",
    "total",
    "shipping",
    "customer",
    "2026-11-22",
    "net",
    "gross",
    "VAT",
    "position",
    "article",
    "pieces",
    "EUR",
    "3381",
    "north",
    "south",
    "warehouse",
    "delivered",
    "open",
    "paid",
    "reminder",
    "note",
];
