//! Patterns: regexes that run in linear time, in one set per filter, so that a list of a thousand domains costs one pass.
//!
//! Must never run a pattern over more than [`HAYSTACK`] octets of one value: a header of a megabyte is cut first.

use regex::{RegexSet, RegexSetBuilder, bytes};

/// How much of one value a pattern sees, in octets (64 KiB).
pub const HAYSTACK: usize = 64 * 1024;

/// How large a compiled pattern may become, in octets.
const SIZE_LIMIT: usize = 10 << 20;

/// Why a pattern is no pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    /// Which of the patterns.
    pub index: usize,
    /// What the regex compiler says, in one line.
    pub message: String,
}

/// Patterns over decoded text.
#[derive(Clone, Debug)]
pub struct TextPatterns(RegexSet);

impl TextPatterns {
    /// Case-insensitive and unanchored, unless the pattern says otherwise.
    pub fn new(patterns: &[&str]) -> Result<TextPatterns, PatternError> {
        let build = |list: &[&str]| {
            RegexSetBuilder::new(list)
                .case_insensitive(true)
                .size_limit(SIZE_LIMIT)
                .build()
        };
        build(patterns)
            .map(TextPatterns)
            .map_err(|_| culprit(patterns, |one| build(one).err()))
    }

    pub fn matches(&self, text: &str) -> bool {
        let end = floor_char_boundary(text, HAYSTACK);
        self.0.is_match(text.get(..end).unwrap_or_default())
    }
}

/// Patterns over octets: envelope paths, media types.
#[derive(Clone, Debug)]
pub struct OctetPatterns(bytes::RegexSet);

impl OctetPatterns {
    /// As [`TextPatterns::new`].
    pub fn new(patterns: &[&str]) -> Result<OctetPatterns, PatternError> {
        let build = |list: &[&str]| {
            bytes::RegexSetBuilder::new(list)
                .case_insensitive(true)
                .size_limit(SIZE_LIMIT)
                .build()
        };
        build(patterns)
            .map(OctetPatterns)
            .map_err(|_| culprit(patterns, |one| build(one).err()))
    }

    pub fn matches(&self, octets: &[u8]) -> bool {
        self.0.is_match(octets.get(..HAYSTACK).unwrap_or(octets))
    }
}

/// Finds the pattern that a set refused, and says why in one line.
fn culprit(patterns: &[&str], build: impl Fn(&[&str]) -> Option<regex::Error>) -> PatternError {
    for (index, pattern) in patterns.iter().enumerate() {
        if let Some(error) = build(&[pattern]) {
            let message = match error {
                regex::Error::CompiledTooBig(_) => {
                    "the pattern is too large once compiled".to_string()
                }
                error => {
                    let text = error.to_string();
                    // regex prints a picture of the place first; its last line is the sentence.
                    let sentence = text.lines().last().unwrap_or_default();
                    sentence.trim_start_matches("error: ").to_string()
                }
            };
            return PatternError { index, message };
        }
    }
    PatternError {
        index: 0,
        message: "the patterns are too large once compiled".to_string(),
    }
}

fn floor_char_boundary(text: &str, most: usize) -> usize {
    if text.len() <= most {
        return text.len();
    }
    (0..=most)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let patterns = OctetPatterns::new(&[pattern]).unwrap();
            assert_eq!(
                patterns.matches(octets.as_bytes()),
                holds,
                "{pattern} {octets}"
            );
            let patterns = TextPatterns::new(&[pattern]).unwrap();
            assert_eq!(patterns.matches(octets), holds, "{pattern} {octets}");
        }
    }

    #[test]
    fn a_bad_pattern_is_named() {
        let error = TextPatterns::new(&["good", "(open"]).unwrap_err();
        assert_eq!((error.index, error.message.as_str()), (1, "unclosed group"));
        let error = OctetPatterns::new(&["(a{1000}){1000}"]).unwrap_err();
        assert_eq!(error.message, "the pattern is too large once compiled");
    }

    #[test]
    fn a_haystack_is_cut_at_64_kib_between_characters() {
        let text = "ü".repeat(HAYSTACK) + "needle";
        assert!(!TextPatterns::new(&["needle"]).unwrap().matches(&text));
        let text = "x".repeat(HAYSTACK - 6) + "needle";
        assert!(TextPatterns::new(&["needle"]).unwrap().matches(&text));
    }
}
