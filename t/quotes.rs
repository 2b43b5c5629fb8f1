//! The sentences of the manual that tests quote: they must stand there.
//!
//! A test that checks documented behaviour says so in a comment above it: `man: mimicryd(8) "..."`. Whoever changes the
//! sentence is led to the test, and the other way round.

use std::fs;

use crate::harness::{files, root};

/// A page as running text: what the macros of mdoc(7) would print, without their layout.
fn page(name: &str) -> String {
    let source = fs::read_to_string(root().join("man").join(name)).expect("a page of the manual");
    let mut words: Vec<String> = Vec::new();
    for line in source.lines().filter(|line| !line.starts_with(".\\\"")) {
        let is_macro = line.starts_with('.');
        for word in line.trim_start_matches('.').split_ascii_whitespace() {
            if is_macro && is_macro_name(word) {
                continue;
            }
            let word = word
                .replace("\\(aq", "'")
                .replace("\\-", "-")
                .replace("\\&", "");
            match words.last_mut() {
                // Punctuation of its own stands close to the word before.
                Some(last) if is_macro && matches!(word.as_str(), "." | "," | ";" | ":" | ")") => {
                    last.push_str(&word)
                }
                _ => words.push(word),
            }
        }
    }
    words.join(" ")
}

fn is_macro_name(word: &str) -> bool {
    matches!(word.as_bytes(), [b'A'..=b'Z', b'a'..=b'z'])
}

/// Page and sentence of each quotation in a source.
fn quotations(source: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Option<String> = None;
    for line in source.lines() {
        let Some(text) = line.strip_prefix("//").map(str::trim) else {
            assert!(open.is_none(), "a quotation does not end: {open:?}");
            continue;
        };
        let text = match open.take() {
            Some(before) => format!("{before} {text}"),
            None if text.starts_with("man: ") => text.to_string(),
            None => continue,
        };
        if !text.ends_with('"') {
            open = Some(text);
            continue;
        }
        let quotation = text.trim_start_matches("man: ").split_once(" \"");
        let (place, sentence) = quotation.unwrap_or_else(|| panic!("no quotation: {text}"));
        found.push((
            place.to_string(),
            sentence.trim_end_matches('"').to_string(),
        ));
    }
    found
}

#[test]
fn what_is_quoted_stands_in_the_manual() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (file, path) in files("t", ".rs") {
        for (place, sentence) in quotations(&fs::read_to_string(path).expect("a source")) {
            let name = place.replace('(', ".").replace(')', "");
            count += 1;
            if !page(&name).contains(&sentence) {
                wrong.push(format!("{file}: {place} does not say {sentence:?}"));
            }
        }
    }
    assert!(count > 20, "only {count} quotations were found");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
