//! Every charset label against octets made to choke on (T177): what decodes encodes to text that decodes to itself, whole and
//! in pieces alike; and what it takes in memory beside the text is bounded. How long it takes is the benchmark `cost`'s.

#[path = "../../t/bench/labels.rs"]
mod labels;

use std::collections::BTreeMap;

use labels::{LABELS, PIECES};
use mimicry_core::message::charset::Charset;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Octets of each text.
const SIZE: usize = 64 * 1024;
/// Octets that a conversion may take beside what it returns.
const BESIDE: usize = 64 * 1024;

/// One label of each charset.
fn charsets() -> BTreeMap<String, Charset> {
    let known = LABELS
        .iter()
        .filter_map(|label| Charset::for_label(label.as_bytes()));
    known
        .map(|charset| (format!("{charset:?}"), charset))
        .collect()
}

#[test]
fn labels_are_known_or_are_no_charsets_of_mail() {
    let unknown = LABELS
        .iter()
        .filter(|label| Charset::for_label(label.as_bytes()).is_none());
    let unknown: Vec<&str> = unknown.copied().collect();
    assert_eq!(
        unknown,
        [
            "csiso2022kr",
            "hz-gb-2312",
            "iso-2022-cn",
            "iso-2022-cn-ext",
            "iso-2022-kr",
            "replacement",
            "x-user-defined"
        ]
    );
    assert!(charsets().len() > 40);
}

// T177
#[test]
fn t177_every_charset_takes_memory_for_its_text_alone() {
    for (name, charset) in charsets() {
        for piece in PIECES {
            let octets: Vec<u8> = piece.iter().copied().cycle().take(SIZE).collect();
            let before = ALLOCATOR.current_usage();
            ALLOCATOR.reset_peak_usage();
            let text = charset.decode(&octets);
            let held = ALLOCATOR.current_usage() - before;
            let peak = ALLOCATOR.peak_usage() - before;
            assert!(
                held <= SIZE * 3 && peak <= held + BESIDE,
                "{name} {piece:?}: {peak}, {held} of text"
            );
            assert_eq!(charset.is_text(&octets), text.is_some(), "{name} {piece:?}");
            let Some(text) = text else { continue };
            assert!(charset.reads(&[&octets], &[&text]), "{name} {piece:?}");
            let (above, below) = octets.split_at(SIZE / 2 + 1);
            assert!(
                charset.reads(&[above, b"", below], &["", &text, ""]),
                "{name} {piece:?} in pieces"
            );
            assert!(
                !charset.reads(&[&octets], &[&text, "x"]),
                "{name} {piece:?}"
            );
            let before = ALLOCATOR.current_usage();
            ALLOCATOR.reset_peak_usage();
            let coded = charset.encode(&text);
            let held = ALLOCATOR.current_usage() - before;
            let peak = ALLOCATOR.peak_usage() - before;
            assert!(
                peak <= text.len() * 3 + BESIDE,
                "{name} {piece:?}: {peak}, {held} of octets"
            );
            if let Some(coded) = coded {
                assert!(charset.reads(&[&coded], &[&text]), "{name} {piece:?}");
            }
        }
    }
}
