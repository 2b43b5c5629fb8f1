//! Patterns against the regex crate, which matches each of them by itself.

use super::*;
use proptest::prelude::*;

/// The patterns of one filter, ready to match.
pub(crate) fn lone(subject: Subject, texts: &[&str]) -> Result<Patterns, PatternError> {
    let mut book = Book::default();
    let patterns = book.patterns(subject, texts)?;
    book.seal();
    Ok(patterns)
}

/// What the regex crate says of one pattern.
fn plain(is_text: bool, pattern: &str, value: &[u8]) -> bool {
    match is_text {
        true => regex::RegexBuilder::new(pattern)
            .case_insensitive(true)
            .build()
            .unwrap()
            .is_match(std::str::from_utf8(value).unwrap()),
        false => regex::bytes::RegexBuilder::new(pattern)
            .case_insensitive(true)
            .build()
            .unwrap()
            .is_match(value),
    }
}

#[test]
fn patterns_are_unanchored_and_ignore_case_unless_told() {
    for (pattern, octets, holds) in [
        ("example", "A@EXAMPLE.org", true),
        ("(?-i)example", "A@EXAMPLE.org", false),
        ("^$", "", true),
        ("^$", "a", false),
        (r"@example\.(com|org)$", "x@sub.example.org", false),
        (r"@(.*\.)?example\.(com|org)$", "x@sub.example.org", true),
    ] {
        for subject in [Subject::Sender, Subject::Filename] {
            let patterns = lone(subject, &[pattern]).unwrap();
            assert_eq!(patterns.matches(octets), holds, "{pattern} {octets}");
        }
    }
}

#[test]
fn a_bad_pattern_is_named() {
    let error = lone(Subject::Type, &["good", "(open"]).unwrap_err();
    assert_eq!((error.index, error.message.as_str()), (1, "unclosed group"));
    for pattern in ["(a{1000}){1000}", r"(\w{100}){100}", r"x(\pL{1000}){50}y"] {
        let error = lone(Subject::Sender, &[pattern]).unwrap_err();
        assert_eq!(error.message, "the pattern is too large once compiled");
    }
    assert!(lone(Subject::Filename, &[r"(?-u)\xff"]).is_err());
    assert!(lone(Subject::Sender, &[r"(?-u)\xff"]).is_ok());
}

#[test]
fn a_haystack_is_cut_at_64_kib_between_characters() {
    let needle = lone(Subject::Filename, &["needle"]).unwrap();
    assert!(!needle.matches(&("ü".repeat(HAYSTACK) + "needle")));
    assert!(needle.matches(&("x".repeat(HAYSTACK - 6) + "needle")));
    assert!(!needle.matches(&("x".repeat(HAYSTACK - 5) + "needle")));
    // A character that the end would cut is left out of a text, and no part of it matched.
    let text = "x".repeat(HAYSTACK - 1) + "ü";
    assert!(!lone(Subject::Filename, &["[^x]"]).unwrap().matches(&text));
    assert!(
        lone(Subject::Sender, &["(?-u)[^x]"])
            .unwrap()
            .matches(&text)
    );
}

#[test]
fn equal_patterns_are_one() {
    let mut book = Book::default();
    let first = book.patterns(Subject::Sender, &["a.*b", "c"]).unwrap();
    let second = book.patterns(Subject::Sender, &["c", "a.*b", "c"]).unwrap();
    assert_eq!(first.ids(), second.ids());
    let other = book.patterns(Subject::Recipient, &["c"]).unwrap();
    assert_eq!(book.known.len(), 2);
    assert!(!first.matches("c"), "the book is open");
    book.seal();
    assert!(first.matches("c") && second.matches("axb") && other.matches("c"));
    assert_eq!(format!("{other:?}"), r#"[Some("c")]"#);
}

/// Patterns that people write, and patterns that are hard.
const PATTERNS: &[&str] = &[
    r"@example\.org$",
    r"@(.+\.)?example\.(com|org)$",
    r"^boss@|@vip\.example$",
    r"\.(exe|scr|js)$",
    r"^(re|aw|wg):",
    r"",
    r"^",
    r"$",
    r"^$",
    r"^$|x",
    r".",
    r"(?-i)Kiosk",
    r"kiosk",
    r"(?-u)kiosk",
    r"sister",
    r"stra(ss|ß)e",
    r"bücher",
    r"B\u{dc}CHER",
    r"\bk\b",
    r"\Bs\B",
    r"\bß",
    r"(?-u:\b)s",
    r"[^a-z]",
    r"[ks]{2,3}$",
    r"[a-f0-9]{8}",
    r"\w+@\w+",
    r"^\d+$",
    r"\s",
    r"(a|b|)c?$",
    r"(?m)^s",
    r"(?s).{3}$",
    r"例え",
    r"x{0,2}y?$",
    r"(ab|cd){2}",
    r"[a&&b]",
    r"(?x) a b # c",
    r"k|[^\x00-\x7f]",
    r"\.example\.[a-z]{2,4}$",
];

#[test]
fn sets_match_as_the_regex_crate_does() {
    let values = [
        "",
        "k",
        "K",
        "\u{212a}",
        "\u{17f}",
        "s",
        "ss",
        "kiosk",
        "KIO\u{17f}\u{212a}",
        "Kiosk",
        "\u{17f}i\u{17f}ter",
        "straße",
        "STRASSE",
        "STRAẞE",
        "Bücher",
        "BÜCHER",
        "bu\u{308}cher",
        "a@example.org",
        "a@sub.EXAMPLE.com",
        "a@example.orgx",
        "boss@x",
        "xboss@vip.example",
        "setup.EXE",
        "setup.exe ",
        "Re: x",
        "ARE: x",
        "deadbeef",
        "dead beef",
        "x\ny",
        "abcd",
        "ab",
        "cdcd",
        "例えば",
        "12",
        "١٢",
        "\u{a0}",
        "yx",
        "xy",
        "a.example.museum",
        "a.example.info",
    ];
    for is_text in [true, false] {
        let subject = if is_text {
            Subject::Filename
        } else {
            Subject::Sender
        };
        let set = lone(subject.clone(), PATTERNS).unwrap();
        let set = set.set.get().unwrap();
        for value in values {
            let expected: Vec<u32> = (0u32..)
                .zip(PATTERNS)
                .filter(|(_, pattern)| plain(is_text, pattern, value.as_bytes()))
                .map(|(id, _)| id)
                .collect();
            assert_eq!(&*set.hits(value.as_bytes()), expected, "{value:?}");
        }
        // Long ones go other ways.
        for value in values {
            let value = "z".repeat(9000) + value;
            for pattern in PATTERNS {
                let one = lone(subject.clone(), &[pattern]).unwrap();
                assert_eq!(
                    one.matches(&value),
                    plain(is_text, pattern, value.as_bytes()),
                    "{pattern} {}",
                    &value[9000..]
                );
            }
        }
    }
}

#[test]
fn most_patterns_need_no_machine() {
    for (pattern, is_decided, literals) in [
        (r"@example\.org$", true, 1),
        (r"^boss@|@vip\.example$", true, 2),
        (r"@example\.(com|org)$", true, 2),
        (r"\.(exe|scr|js)$", true, 3),
        (r"^$", true, 1),
        (r"@(.+\.)?example\.org$", false, 1),
        (r"(?-i)@Example\.org$", false, 1),
        (r"^\d+@example\.org$", false, 1),
        (r"\w+", false, 0),
    ] {
        let form = Form::read(pattern, false, &mut Compiler::default()).unwrap();
        assert_eq!(
            (form.regex.is_none(), form.items.len()),
            (is_decided, literals),
            "{pattern}"
        );
    }
}

#[test]
fn what_is_kept_is_bounded() {
    let patterns = lone(Subject::Sender, &["@example", r"\w\d"]).unwrap();
    for number in 0..20_000 {
        patterns.matches(&format!("ü{number}@example.org"));
    }
    let set = patterns.set.get().unwrap();
    let recent = set.recent_octets();
    assert!(recent.0 <= set::KEPT && recent.1 > 10, "{recent:?}");
}

/// Regexes of small pieces.
fn regexes() -> impl Strategy<Value = String> {
    let atom = prop::sample::select(vec![
        "a", "K", "s", "ſ", "ü", "@", r"\.", ".", "[ab]", "[^a]", "[a-s]", r"\w", r"\d", r"\b",
        r"\B", "^", "$", "(?-i:K)", "(?-u:s)", "例", r"\s", "[sK]", "(?m:^)", "(?i-u:k)",
    ]);
    let leaf = atom.prop_map(str::to_string);
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            prop::collection::vec(inner.clone(), 1..4)
                .prop_map(|parts| format!("({})", parts.join("|"))),
            (
                inner,
                prop::sample::select(vec!["?", "*", "+", "{2}", "{1,2}", "{0}", "??"])
            )
                .prop_map(|(part, times)| format!("(?:{part}){times}")),
        ]
    })
}

proptest! {
    #[test]
    fn any_set_matches_as_the_regex_crate_does(
        patterns in prop::collection::vec(regexes(), 1..6),
        values in prop::collection::vec("[asKkSſKüÜ@.1 b例\n]{0,8}", 1..6),
        octets in prop::collection::vec(prop::sample::select(vec![0x61, 0x73, 0xc5, 0xbf, 0xe2, 0x84, 0xaa, 0xff, 0x6b]), 0..8),
    ) {
        let texts: Vec<&str> = patterns.iter().map(String::as_str).collect();
        for is_text in [true, false] {
            let subject = if is_text { Subject::Filename } else { Subject::Sender };
            let Ok(set) = lone(subject.clone(), &texts) else { continue };
            let long = "b".repeat(3000) + &values[0];
            let mut all: Vec<&[u8]> = values.iter().map(String::as_bytes).chain([long.as_bytes()]).collect();
            if !is_text {
                all.push(&octets);
            }
            for value in all {
                let expected = texts.iter().any(|pattern| plain(is_text, pattern, value));
                prop_assert_eq!(set.matches(value), expected, "{:?} {}", texts, value.escape_ascii());
                for pattern in &texts {
                    let one = lone(subject.clone(), &[pattern]).unwrap();
                    prop_assert_eq!(one.matches(value), plain(is_text, pattern, value), "{} {}", pattern, value.escape_ascii());
                }
            }
        }
    }
}
