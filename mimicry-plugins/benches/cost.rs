//! Does twice the mail take twice the time (T177, T178): every plugin with mails made to cost much, every charset label with octets
//! made to choke on, at doubled sizes. Prints the exponent of each and exits with 1 if one is above 1.1.
//! `cargo bench -p mimicry-plugins --bench cost [-- WORD]`: only what has the word in its name.
//!
//! Processor time is measured, not the clock: other programs may run. A figure that is too high is measured again, the least counts.
//! If it is too high still, mails [`LARGER`] times as large decide: work that is worse than linear shows the more the larger a mail
//! is, but what a mail costs that does not fit into a cache any more, or whose memory the kernel must make anew, shows once.
//! Of what is above the limit even then the instructions decide, which callgrind counts (valgrind must be there).

#[path = "../../t/bench/callgrind.rs"]
mod callgrind;
#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../../t/bench/inputs.rs"]
mod inputs;
#[path = "../../t/bench/labels.rs"]
mod labels;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;

use common::{apply, mail_of, rules};
use mimicry_core::config::Config;
use mimicry_core::message::Limits;
use mimicry_core::message::charset::Charset;
use mimicry_core::message::seven_bit::to_7bit;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// What is above is worse than linear.
const LINEAR: f64 = 1.1;
/// Octets of the smallest mail; the others have two and four times as many.
const SIZE: usize = 1 << 20;
/// Microseconds below which a figure is chance.
const LEAST: f64 = 4_000.0;
/// How often a figure that is too high is measured again.
const AGAIN: usize = 4;
/// The mails that decide about a row that is too high still, against those before.
const LARGER: usize = 4;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let [COUNT, name, size] = words[..] {
        let size: usize = size.parse().expect("a number");
        rows(&mut |row, _, run| {
            if row == name {
                run(size);
            }
        });
        return ExitCode::SUCCESS;
    }
    let only = words.iter().find(|word| !word.starts_with("--"));
    let only = only.copied().unwrap_or_default();
    let mut worse = Vec::new();
    rows(&mut |name, has_limit, run| {
        if !name.contains(only) {
            return;
        }
        let mut exponent = fit(SIZE, run);
        print!("{exponent:5.2}  {name}");
        if exponent > LINEAR && !has_limit {
            exponent = fit(SIZE * LARGER, run);
            print!(", larger {exponent:.2}");
        }
        if exponent > LINEAR {
            match instructions(name) {
                Ok(counted) => exponent = counted,
                Err(error) => print!(", instructions not counted: {error}"),
            }
            print!(", instructions {exponent:.2}");
        }
        println!();
        if exponent > LINEAR {
            worse.push(name.to_string());
        }
    });
    if worse.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("worse than linear:\n{}", worse.join("\n"));
    ExitCode::FAILURE
}

/// The argument by which one row is run once, for callgrind.
const COUNT: &str = "--count";

/// The exponent of a row by the instructions of a larger mail and of one of twice its size. Both are beyond the size from which a mail is proved
/// by its digests, which callgrind's processor has no instructions of its own for: that costs much, once.
fn instructions(name: &str) -> Result<f64, String> {
    let count = |size: usize| callgrind::count(&[COUNT, name, &size.to_string()], "cost::counted*");
    let size = SIZE * LARGER;
    Ok((count(size * 2)? as f64 / count(size)? as f64).log2())
}

/// What runs a row at a size, and says what it took.
type Run<'r> = &'r mut dyn FnMut(usize) -> f64;

/// Shows each row: its name, and whether limits end its growth.
fn rows(tell: &mut dyn FnMut(&str, bool, Run<'_>)) {
    let directory = tempfile::tempdir().expect("a directory");
    let private = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(directory.path(), private).expect("a mode");
    let archive = directory.path().display().to_string();
    for (rule, notation) in inputs::RULES {
        let config = rules(&notation.replace("ARCHIVE", &archive));
        for (input, make) in inputs::TEXTS.iter().chain(inputs::TREES) {
            tell(&format!("{rule}, {input}"), false, &mut |size| {
                walk(&config, make(size))
            });
        }
        // The limits keep a header small; the number of its fields is what is doubled here.
        for (input, make) in HEADERS {
            tell(&format!("{rule}, {input}"), true, &mut |size| {
                walk(&config, make(size / 512))
            });
        }
        for (charset, piece) in inputs::CHARSETS {
            tell(&format!("{rule}, text in {charset}"), false, &mut |size| {
                walk(&config, inputs::in_charset(size, "html", charset, piece))
            });
        }
    }
    let known = labels::LABELS
        .iter()
        .filter_map(|label| Charset::for_label(label.as_bytes()));
    let charsets: BTreeMap<String, Charset> = known.map(|one| (format!("{one:?}"), one)).collect();
    for charset in charsets.values() {
        for piece in labels::PIECES {
            let name = format!("{} of {}", charset.name(), piece.escape_ascii());
            tell(&name, false, &mut |size| {
                convert(charset, &piece.repeat(size / piece.len()))
            });
        }
    }
}

/// Headers of as many fields, parameters or addresses as asked for; the limits end at 10 000 fields and 1 MB.
const HEADERS: &[(&str, inputs::Make)] = &[
    ("fields of many names", |count| {
        header((0..count).map(|number| format!("X-{number}: y\r\n")))
    }),
    ("fields of one name", |count| {
        header((0..count).map(|_| "X-1: y\r\n".into()))
    }),
    ("signatures", |count| {
        header((0..count).map(|_| "DKIM-Signature: h=a:b:c\r\n".into()))
    }),
    ("subjects", |count| {
        header((0..count).map(|_| "Subject: =?utf-7?q?+AGE-?=\r\n".into()))
    }),
    ("received", |count| {
        header((0..count).map(|_| "Received: x\r\n".into()))
    }),
];

fn header(fields: impl Iterator<Item = String>) -> Vec<u8> {
    let fields: String = fields.collect();
    format!("From: anna@example.org\r\n{fields}\r\nHello\r\n").into_bytes()
}

/// Of the fit through this size, twice and four times as much, on logarithmic scales.
fn fit(size: usize, run: Run<'_>) -> f64 {
    let mut best = [f64::MAX; 3];
    let mut found = 0.0;
    for _ in 0..=AGAIN {
        for (least, size) in best.iter_mut().zip([size, size * 2, size * 4]) {
            *least = least.min(run(size));
        }
        if best[2] < LEAST {
            return 0.0;
        }
        found = (best[2].max(1.0) / best[0].max(1.0)).log2() / 2.0;
        if found <= LINEAR {
            break;
        }
    }
    found
}

/// Microseconds of the processor for a mail's whole walk.
fn walk(config: &Config, raw: Vec<u8>) -> f64 {
    let mut raw = Some(raw);
    measured(&mut || {
        // A mail that came in is moved, not copied.
        let raw = raw.take().expect("measured once");
        let mail = mail_of(raw, "[client=192.0.2.7]");
        let applied = apply(config, &mail);
        let message = applied
            .as_ref()
            .ok()
            .and_then(|applied| applied.message.as_ref());
        let message = message.unwrap_or(&mail.message);
        if !message.raw().is_ascii() {
            let _ = to_7bit(message, &Limits::default());
        }
    })
}

fn convert(charset: &Charset, octets: &[u8]) -> f64 {
    measured(&mut || {
        if let Some(text) = charset.decode(octets) {
            std::hint::black_box(charset.encode(&text));
        }
        std::hint::black_box(charset.decode_for_matching(octets));
    })
}

fn measured(work: &mut dyn FnMut()) -> f64 {
    let before = used();
    counted(work);
    used() - before
}

/// What callgrind counts.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
}

fn used() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("the kernel counts");
    (usage.user_time() + usage.system_time()).num_microseconds() as f64
}
