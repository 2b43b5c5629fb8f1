//! The instructions that a mail costs between its last octet and its relay: scan, plan, edit, proof. A gate without a clock.
//! `t/bench/instructions`, or `cargo bench --workspace --bench instructions`.
//!
//! Each case runs in a process of its own under callgrind, which counts one walk after another that nothing counts, so that
//! what is made once is there. Inputs are fixed and in the program; callgrind shows every program the same processor
//! and the same addresses, so two runs differ by less than one in a thousand. A case that costs over 3 % more than
//! `instructions.txt` has for it is a failure. `--write` writes that file; `--only WORDS` runs only cases with these words in
//! their names.
//!
//! Known limits: the figures are of x86-64 with AVX2, under the profile `bench` and the compiler of `rust-version`; waiting
//! for memory is not in them. On another processor they are printed and nothing is compared.
//!
//! Must never: look at a clock, or call a case good that was not counted.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use mimicry_core::engine::Judged;
use mimicry_core::mail::Mail;
use mimicry_core::policy::{Banks, Memo};

use walk::{BELOW_REPLY, DISCLAIM, NEWSLETTER, ZIP, lines, load, walk};

#[allow(dead_code)]
mod attachments;
mod callgrind;
mod walk;

const SMALL: &[u8] = include_bytes!("../mail/outlook-alternative-reply-divider.eml");

const BANNER: &str = r#"
[[rule]]
name = "outside"
plugin = "banner"
options = { internal_clients = [], text = "This mail is from outside.", html = "<p>This mail is from outside.</p>" }
"#;

const HEADER: &str = r#"
[[rule]]
name = "header"
plugin = "header"
options = { delete = ["X-*"], add = { "X-Looked-At" = "yes" }, prefix_subject = "[x]" }
"#;

const REMOVE: &str = r#"
[[rule]]
name = "remove"
plugin = "remove"
"#;

/// A case: its name, its rules, its mail.
type Case = (&'static str, &'static str, fn() -> Vec<u8>);

const CASES: &[Case] = &[
    ("2k-pass", "", small),
    ("2k-disclaim", DISCLAIM, small),
    ("2k-below-reply", BELOW_REPLY, small),
    ("57k-pass", "", newsletter),
    ("57k-disclaim", DISCLAIM, newsletter),
    ("57k-below-reply", BELOW_REPLY, newsletter),
    ("57k-banner", BANNER, newsletter),
    ("57k-header", HEADER, newsletter),
    ("1m-pass", "", long_text),
    ("1m-disclaim", DISCLAIM, long_text),
    ("1m2-pass", "", attachments::mail),
    ("1m2-disclaim", DISCLAIM, attachments::mail),
    ("1m2-remove", REMOVE, attachments::mail),
    ("1m2-zip", ZIP, attachments::mail),
];

fn small() -> Vec<u8> {
    SMALL.to_vec()
}

fn newsletter() -> Vec<u8> {
    NEWSLETTER.to_vec()
}

/// Plain lines without a coding, a megabyte of them.
fn long_text() -> Vec<u8> {
    let fields = "From: anna@example.org\r\nTo: tom@example.net\r\nSubject: lines\r\n\r\n";
    [fields, &lines(1 << 20)].concat().into_bytes()
}

/// In percent.
const TOLERANCE: u64 = 3;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["--case", name] => {
            run(name);
            ExitCode::SUCCESS
        }
        ["--bench"] => gate("", false),
        ["--write", "--bench"] => gate("", true),
        ["--only", only, "--bench"] => gate(only, false),
        _ => {
            println!("t/bench/instructions counts; see the head of t/bench/instructions.rs");
            ExitCode::SUCCESS
        }
    }
}

/// One walk that nothing counts, and one that callgrind counts.
fn run(name: &str) {
    let (_, rules, mail) = CASES
        .iter()
        .find(|(case, ..)| *case == name)
        .expect("a case");
    let config = load(rules);
    let memo = Memo::default();
    drop(walk(&config.banks, &memo, mail()));
    let (mail, judged) = counted(&config.banks, &memo, mail());
    let results = judged.iter().all(|judged| judged.result.is_ok());
    let is_edited = judged.iter().any(Judged::is_edited);
    assert!(
        results && is_edited != rules.is_empty(),
        "{name}: {judged:?}"
    );
    println!(
        "{} octets",
        judged
            .first()
            .and_then(|judged| judged.message(&mail))
            .map_or(0, |m| m.raw().len())
    );
}

/// What callgrind counts: its name is [`COUNTED`].
#[inline(never)]
fn counted(banks: &Banks, memo: &Memo, raw: Vec<u8>) -> (Mail, Vec<Judged>) {
    walk(banks, memo, raw)
}

const COUNTED: &str = "instructions::counted*";

/// Counts every case and holds it against the baseline; writes that anew where it `writes`.
fn gate(only: &str, writes: bool) -> ExitCode {
    let baseline = baseline();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut is_good = true;
    println!(
        "{:18} {:>12} {:>12} {:>8} {:>9}",
        "case", "instructions", "baseline", "change", "of a pass"
    );
    for (name, ..) in CASES.iter().filter(|(name, ..)| name.contains(only)) {
        let count = match callgrind::count(&["--case", name], COUNTED) {
            Ok(count) => count,
            Err(error) => {
                println!("{name:18} was not counted: {error}");
                is_good = false;
                continue;
            }
        };
        counts.insert(name, count);
        let passed = name
            .split('-')
            .next()
            .and_then(|size| counts.get(format!("{size}-pass").as_str()));
        let ratio = passed.map_or(String::new(), |passed| {
            format!("{:.2}", count as f64 / *passed as f64)
        });
        let (stored, change) = match baseline.get(*name) {
            Some(stored) => (
                stored.to_string(),
                format!("{:+.1} %", (count as f64 / *stored as f64 - 1.0) * 100.0),
            ),
            None => ("none".into(), String::new()),
        };
        println!("{name:18} {count:>12} {stored:>12} {change:>8} {ratio:>9}");
        is_good &= writes || is_within(count, baseline.get(*name));
    }
    if writes {
        return write(&counts);
    }
    if !has_avx2() {
        println!("the baseline is of another processor: nothing is compared");
        return ExitCode::SUCCESS;
    }
    if is_good {
        return ExitCode::SUCCESS;
    }
    println!(
        "more than {TOLERANCE} % over the baseline, or without one: find out why, or write it anew and say why"
    );
    ExitCode::FAILURE
}

fn is_within(count: u64, stored: Option<&u64>) -> bool {
    stored.is_some_and(|stored| count.saturating_mul(100) <= stored.saturating_mul(100 + TOLERANCE))
}

fn has_avx2() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../t/bench/instructions.txt")
}

fn baseline() -> BTreeMap<String, u64> {
    let text = fs::read_to_string(file()).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let entry = |line: &str| {
        let (name, count) = line.split_once(' ')?;
        Some((name.to_string(), count.trim().parse().ok()?))
    };
    lines.filter_map(entry).collect()
}

fn write(counts: &BTreeMap<&str, u64>) -> ExitCode {
    let mut text =
        String::from("# Instructions for each case of instructions.rs, which writes this file.\n");
    for (name, ..) in CASES {
        if let Some(count) = counts.get(name) {
            let _ = writeln!(text, "{name} {count}");
        }
    }
    match fs::write(file(), text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{}: {error}", file().display());
            ExitCode::FAILURE
        }
    }
}
