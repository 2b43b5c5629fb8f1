//! Scanning, and what stands on it: octets per second. `cargo bench -p mimicry-core`.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use mimicry_core::message::edit::EditSet;
use mimicry_core::message::render::render;
use mimicry_core::message::roles::Roles;
use mimicry_core::message::verify::verify;
use mimicry_core::message::{Limits, Message, PartId};

fn main() {
    divan::main();
}

const NEWSLETTER: &[u8] = include_bytes!("../../t/mail/newsletter-57k-alternative.eml");

/// Two texts and three attachments in base64, 10 MB in all.
fn with_attachments() -> Vec<u8> {
    let mut mail = b"From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=outer\r\n\r\n".to_vec();
    mail.extend_from_slice(b"--outer\r\nContent-Type: text/plain\r\n\r\nsee attached\r\n");
    let line = b"VGhpcyBpcyBhIGxpbmUgb2YgYmFzZTY0IHRoYXQgc3RhbmRzIGZvciBtYW55IG90aGVyIGxpbmVz\r\n";
    for name in ["one", "two", "three"] {
        mail.extend_from_slice(
            format!("--outer\r\nContent-Type: application/pdf; name={name}.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n").as_bytes(),
        );
        for _ in 0..43_000 {
            mail.extend_from_slice(line);
        }
    }
    mail.extend_from_slice(b"--outer--\r\n");
    mail
}

fn hostile(kind: &str, size: usize) -> Vec<u8> {
    let mut mail = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_vec();
    match kind {
        "near-boundaries" => {
            while mail.len() < size {
                mail.extend_from_slice(b"--bb\r\n--\r\n--b-\r\n");
            }
        }
        "parts" => {
            while mail.len() < size {
                mail.extend_from_slice(b"--b\r\n\r\nx\r\n");
            }
        }
        "depth" => {
            mail.clear();
            let mut level = 0;
            while mail.len() < size {
                mail.extend_from_slice(
                    format!(
                        "Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n"
                    )
                    .as_bytes(),
                );
                level += 1;
            }
        }
        "encoded-words" => {
            mail = b"Subject: ".to_vec();
            mail.resize(size, b'=');
            for pair in mail[9..].chunks_exact_mut(2) {
                pair.copy_from_slice(b"=?");
            }
            mail.extend_from_slice(b"\r\n\r\n");
        }
        "comments" => {
            mail = b"Content-Type: ".to_vec();
            mail.resize(size, b'(');
            mail.extend_from_slice(b"\r\n\r\n");
        }
        _ => {
            mail.clear();
            while mail.len() < size {
                mail.extend_from_slice(b"X-Field: value\r\n");
            }
        }
    }
    mail
}

#[divan::bench]
fn scan_57k_alternative(bencher: Bencher<'_, '_>) {
    bench_scan(bencher, NEWSLETTER.to_vec());
}

#[divan::bench]
fn scan_10m_attachments(bencher: Bencher<'_, '_>) {
    bench_scan(bencher, with_attachments());
}

/// Twice the size, about twice the time.
#[divan::bench(args = ["near-boundaries", "parts", "depth", "encoded-words", "comments", "fields"], consts = [1, 2, 4])]
fn hostile_megabytes<const MEGABYTES: usize>(bencher: Bencher<'_, '_>, kind: &str) {
    let mail = hostile(kind, MEGABYTES << 20);
    bencher
        .counter(BytesCount::new(mail.len()))
        .with_inputs(|| mail.clone())
        .bench_values(|raw| {
            let message = Message::scan(raw, &Limits::default());
            black_box(Roles::of(&message));
            for field in message.root().fields() {
                black_box(field.decoded());
            }
            message
        });
}

#[divan::bench]
fn attach_render_verify_10m(bencher: Bencher<'_, '_>) {
    let mail = with_attachments();
    let message = Message::scan(mail, &Limits::default());
    bencher
        .counter(BytesCount::new(message.raw().len()))
        .bench_local(|| {
            let mut edits = EditSet::new(&message);
            edits.set_field(PartId::ROOT, "Subject", "new").unwrap();
            verify(&edits, render(&edits), &Limits::default()).unwrap()
        });
}

fn bench_scan(bencher: Bencher<'_, '_>, mail: Vec<u8>) {
    bencher
        .counter(BytesCount::new(mail.len()))
        .with_inputs(|| mail.clone())
        .bench_values(|raw| Message::scan(raw, &Limits::default()));
}
