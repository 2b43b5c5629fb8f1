//! Whole walks of a mail: scan, plan, apply, prove. `cargo bench -p mimicry-plugins`.
//!
//! `floor_*` is what the work cannot do without: copying the mail and transcoding its two text parts, deflating the
//! attachments.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use mimicry_core::message::{Limits, Message, codec};
use mimicry_core::policy::Memo;

use walk::{BELOW_REPLY, DISCLAIM, NEWSLETTER, ZIP, load};

#[path = "../../t/bench/attachments.rs"]
mod attachments;
#[allow(dead_code)]
#[path = "../../t/bench/walk.rs"]
mod walk;

fn main() {
    divan::main();
}

const TEMPLATE: &str = r#"
[variables]
company = "Example GmbH"
[[rule]]
name = "footer"
plugin = "disclaim"
[rule.options]
text = "{{ header_sender.name | default('Gruesse') }} aus Koeln\n{{ var.company }}, {{ date | format('%d.%m.%Y') }}"
html = "<p>{{ header_sender.name | default('Grüße') }} aus Köln<br>{{ var.company }}, {{ date | format('%d.%m.%Y') }}</p>"
"#;

#[divan::bench]
fn disclaim_57k(bencher: Bencher<'_, '_>) {
    walk(bencher, DISCLAIM, NEWSLETTER.to_vec());
}

#[divan::bench]
fn disclaim_57k_template(bencher: Bencher<'_, '_>) {
    walk(bencher, TEMPLATE, NEWSLETTER.to_vec());
}

#[divan::bench]
fn disclaim_57k_below_reply(bencher: Bencher<'_, '_>) {
    walk(bencher, BELOW_REPLY, NEWSLETTER.to_vec());
}

#[divan::bench]
fn pass_57k(bencher: Bencher<'_, '_>) {
    walk(bencher, "", NEWSLETTER.to_vec());
}

/// Copy, and decode and encode both texts.
#[divan::bench]
fn floor_disclaim_57k(bencher: Bencher<'_, '_>) {
    let message = Message::scan(NEWSLETTER.to_vec(), &Limits::default());
    bencher
        .counter(BytesCount::new(NEWSLETTER.len()))
        .bench_local(|| {
            for part in message.leaves() {
                let decoded = part.decoded().unwrap();
                let text = String::from_utf8(decoded.into_owned()).unwrap();
                black_box(codec::encode(part.encoding(), text.as_bytes(), b"\r\n"));
            }
            black_box(message.raw().to_vec())
        });
}

#[divan::bench]
fn disclaim_1m2_with_attachments(bencher: Bencher<'_, '_>) {
    walk(bencher, DISCLAIM, attachments::mail());
}

#[divan::bench]
fn zip_1m2(bencher: Bencher<'_, '_>) {
    walk(bencher, ZIP, attachments::mail());
}

/// Deflating the decoded attachments at the same level.
#[divan::bench]
fn floor_zip_1m2(bencher: Bencher<'_, '_>) {
    let contents = attachments::contents();
    bencher
        .counter(BytesCount::new(attachments::mail().len()))
        .bench_local(|| attachments::deflate(black_box(&contents)));
}

#[divan::bench]
fn tar_gzip_1m2(bencher: Bencher<'_, '_>) {
    walk(
        bencher,
        &ZIP.replace("zip", "tar_gzip"),
        attachments::mail(),
    );
}

/// 20 pictures that are stored, not compressed.
#[divan::bench]
fn zip_20_pictures(bencher: Bencher<'_, '_>) {
    walk(bencher, ZIP, pictures());
}

/// Reading and writing those pictures: a scan, three times decoded (to judge, to store, to prove) and once encoded.
#[divan::bench]
fn floor_zip_20_pictures(bencher: Bencher<'_, '_>) {
    let raw = pictures();
    bencher
        .counter(BytesCount::new(raw.len()))
        .with_inputs(|| raw.clone())
        .bench_local_values(|raw| {
            let message = Message::scan(raw, &Limits::default());
            for part in message.leaves().skip(1) {
                black_box(part.decoded().unwrap());
                black_box(part.decoded().unwrap());
                let content = part.decoded().unwrap();
                black_box(codec::encode(codec::Encoding::Base64, &content, b"\r\n"));
            }
            message
        });
}

/// A mail with 20 pictures of 45 KB, 1.2 MB on the wire, CRLF.
fn pictures() -> Vec<u8> {
    let mut mail = b"From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=outer\r\n\r\n--outer\r\n\r\nsee attached\r\n".to_vec();
    let mut state = 1u64;
    for number in 0..20 {
        let mut content = b"\x89PNG\r\n\x1a\n".to_vec();
        while content.len() < 45_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            content.extend_from_slice(&state.to_be_bytes()[..4]);
        }
        // What the archive does without, so that it is made.
        let filler = "x".repeat(300);
        mail.extend_from_slice(
            format!("--outer\r\nContent-Type: image/png\r\nX-Filler: {filler}\r\nContent-Disposition: attachment; filename={number}.png\r\nContent-Transfer-Encoding: base64\r\n\r\n")
                .as_bytes(),
        );
        mail.extend_from_slice(&codec::encode(codec::Encoding::Base64, &content, b"\r\n"));
    }
    mail.extend_from_slice(b"--outer--\r\n");
    mail
}

/// `10 MB of <`: a page that is no page.
#[divan::bench(consts = [5, 10, 20])]
fn disclaim_megabytes_of_angle_brackets<const MEGABYTES: usize>(bencher: Bencher<'_, '_>) {
    let mut mail = b"Content-Type: text/html; charset=utf-8\r\n\r\n".to_vec();
    for _ in 0..(MEGABYTES << 20) / 80 {
        mail.extend_from_slice(&[b'<'; 78]);
        mail.extend_from_slice(b"\r\n");
    }
    walk(bencher, DISCLAIM, mail);
}

fn walk(bencher: Bencher<'_, '_>, rules: &str, raw: Vec<u8>) {
    let config = load(rules);
    let memo = Memo::default();
    bencher
        .counter(BytesCount::new(raw.len()))
        .with_inputs(|| raw.clone())
        .bench_local_values(|raw| {
            let (mail, judged) = walk::walk(&config.banks, &memo, raw);
            assert!(judged.iter().all(|judged| judged.result.is_ok()));
            (mail, judged)
        });
}
