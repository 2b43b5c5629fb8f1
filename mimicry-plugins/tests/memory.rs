//! How much memory a mail takes (T191): every octet that is alive while the rules are applied, proved and made fit for a
//! next hop of 7 bits, against the size of the mail; the mail itself counts.
//!
//! The allocator counts a growing vector with the old and the new one, as an allocator does that must copy. Octets that were asked
//! for and never written count, too: the address space of a worker is limited.
//!
//! `MEMORY_SIZE=16` measures mails of so many MB, `--nocapture` shows all figures.

mod common;
#[path = "../../t/bench/inputs.rs"]
mod inputs;

use std::os::unix::fs::PermissionsExt;

use peak_alloc::PeakAlloc;

use common::*;
use mimicry_core::message::Limits;
use mimicry_core::message::seven_bit::to_7bit;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Of the mail, at the most.
const TIMES: usize = 3;
/// Beside it: tables of compressors, and what a tree of ten thousand parts needs.
const BESIDE: usize = 16 << 20;

const MB: usize = 1 << 20;

fn size() -> usize {
    let asked = std::env::var("MEMORY_SIZE").ok();
    asked.and_then(|size| size.parse().ok()).unwrap_or(8) * MB
}

/// What was alive at once, at the most, the mail included.
fn peak(raw: Vec<u8>, rules: &str, archive: &str) -> usize {
    let before = ALLOCATOR.current_usage() - raw.capacity();
    let config = rules_of(rules, archive);
    let mail = mail_of(raw, "[client=192.0.2.7]");
    ALLOCATOR.reset_peak_usage();
    let applied = apply(&config, &mail);
    let message = applied.as_ref().ok().and_then(|applied| applied.message.as_ref());
    let message = message.unwrap_or(&mail.message);
    if !message.raw().is_ascii() {
        let _ = to_7bit(message, &Limits::default());
    }
    ALLOCATOR.peak_usage() - before
}

fn rules_of(notation: &str, archive: &str) -> mimicry_core::config::Config {
    rules(&notation.replace("ARCHIVE", archive))
}

fn inputs() -> Vec<(String, Vec<u8>)> {
    let size = size();
    let kinds = inputs::TEXTS.iter().chain(inputs::TREES);
    let mut all: Vec<(String, Vec<u8>)> = kinds.map(|(name, make)| (name.to_string(), make(size))).collect();
    for (charset, piece) in inputs::CHARSETS {
        for subtype in ["plain", "html"] {
            all.push((format!("{subtype} {charset}"), inputs::in_charset(size, subtype, charset, piece)));
        }
    }
    all
}

// T191
#[test]
fn t191_no_mail_takes_more_than_three_times_its_size() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let archive = directory.path().display().to_string();
    let only = std::env::var("MEMORY_ONLY").unwrap_or_default();
    let mut beyond = Vec::new();
    for (input, raw) in inputs().into_iter().filter(|(input, _)| input.contains(&only)) {
        let mut line = String::new();
        for (name, rules) in inputs::RULES {
            let size = raw.len();
            let peak = peak(raw.clone(), rules, &archive);
            line += &format!(" {:.1}", peak as f64 / size as f64);
            if peak > TIMES * size + BESIDE {
                beyond.push(format!("{input}, {name}: {:.1} times", peak as f64 / size as f64));
            }
        }
        println!("{input:24}{line}");
    }
    assert!(beyond.is_empty(), "{}", beyond.join("\n"));
}
