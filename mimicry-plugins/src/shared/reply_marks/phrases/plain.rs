//! Lines that are nothing to anybody: one look at the octets, which spares nearly all lines of a mail the looks at their words.
//!
//! Must never: call a line plain that a look at its words takes for a divider, a header line or the end of an introduction. In doubt
//! it is not plain.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::OnceLock;

use super::words::{BEGIN, LABELS};
use super::{Label, bare_start, ends_in_colon, is_dash, is_decoration, small};

/// True only where [`super::lead`], [`super::label`] and [`super::shape`] find nothing and no colon is at the end.
pub(in crate::shared::reply_marks) fn is_plain(line: &str) -> bool {
    if ends_in_colon(line) || behind_dash(line).is_some() {
        return false;
    }
    let octets = line.as_bytes();
    let mut is_named = false;
    for at in memchr::memchr3_iter(b':', WIDE_COLON[0], b'-', octets) {
        let Some((before, rest)) = octets.split_at_checked(at) else {
            return false;
        };
        // What is before the first colon is the name, if there is one.
        if !is_named && (rest.starts_with(b":") || rest.starts_with(&WIDE_COLON)) {
            if !before.iter().any(|octet| is_in_no_name(*octet)) {
                return false;
            }
            is_named = true;
        }
        // A summary has them.
        if rest.starts_with(b"---") {
            return false;
        }
    }
    true
}

/// What follows the first dash, if the line starts with one.
pub(in crate::shared::reply_marks) fn behind_dash(line: &str) -> Option<&str> {
    bare_start(line).strip_prefix(is_dash)
}

/// What a piece of a line, whose beginning may be elsewhere, may be the end of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shared::reply_marks) enum Ending {
    Nothing,
    /// A name that counts for a header.
    Label,
    /// What stands above a forwarded mail, or characters that may be made part of others.
    Doubt,
}

/// What is before the first colon of a piece of a line.
pub(in crate::shared::reply_marks) fn ending(name: &str) -> Ending {
    if !may_end_so(name) || name.bytes().any(is_in_no_name) {
        return Ending::Nothing;
    }
    // None of these is changed by what stands beside it.
    let is_stable =
        |c| matches!(c, '\0'..='\u{24F}' | '\u{410}'..='\u{44F}' | '\u{2010}'..='\u{201F}');
    if !name.chars().all(is_stable) {
        return Ending::Doubt;
    }
    let name: String = small(name.trim_matches(is_decoration))
        .chars()
        .rev()
        .collect();
    let (labels, begin) = backwards();
    let is_end = |words: &BTreeSet<String>| {
        let mut behind = words.range::<str, _>((Bound::Included(name.as_str()), Bound::Unbounded));
        behind.next().is_some_and(|word| word.starts_with(&name))
    };
    if is_end(begin) {
        Ending::Doubt
    } else if is_end(labels) {
        Ending::Label
    } else {
        Ending::Nothing
    }
}

/// By its last three octets, if they are letters of ASCII: most names are told by them, at little cost.
fn may_end_so(name: &str) -> bool {
    static ENDS: OnceLock<BTreeSet<[u8; 3]>> = OnceLock::new();
    let Some(end) = name.as_bytes().last_chunk() else {
        return true;
    };
    if !end.iter().all(u8::is_ascii_alphabetic) {
        return true;
    }
    let ends = ENDS.get_or_init(|| {
        let names = LABELS.iter().flat_map(|(_, names)| *names);
        let words = names.chain(BEGIN);
        words
            .filter_map(|word| word.as_bytes().last_chunk().copied())
            .collect()
    });
    ends.contains(&end.map(|octet| octet.to_ascii_lowercase()))
}

/// The names that count for a header, and what stands above a forwarded mail, their last letters first.
fn backwards() -> &'static (BTreeSet<String>, BTreeSet<String>) {
    static BACKWARDS: OnceLock<(BTreeSet<String>, BTreeSet<String>)> = OnceLock::new();
    BACKWARDS.get_or_init(|| {
        let counts = |label| !matches!(label, Label::Other | Label::Source);
        let labels = LABELS.iter().filter(|(label, _)| counts(*label));
        let backwards = |word: &&str| word.chars().rev().collect();
        (
            labels
                .flat_map(|(_, names)| *names)
                .map(backwards)
                .collect(),
            BEGIN.iter().map(backwards).collect(),
        )
    })
}

/// `：`
const WIDE_COLON: [u8; 3] = [0xEF, 0xBC, 0x9A];

/// Neither in a name of a header line, nor in anything that has its shape, nor in what stands above a forwarded mail; nor made part of another
/// character by a mark behind it.
fn is_in_no_name(octet: u8) -> bool {
    matches!(octet, b'0'..=b'9' | b'!' | b'"' | b'#' | b'$' | b'%' | b'&' | b'+' | b'/' | b';' | b'?' | b'@' | b'['..=b'`' | b'{' | b'}' | b'~')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::tests::samples;
    use super::super::super::text::head;
    use super::super::{COLONS, is_decoration, label, lead, shape};
    use super::*;

    /// What those who look at the words say of a line that is called plain.
    fn check(line: &str) {
        let ends_in_colon_at_length = line.trim_end_matches(is_decoration).ends_with(COLONS);
        assert_eq!(ends_in_colon(line), ends_in_colon_at_length, "{line:?}");
        if is_plain(line) {
            let seen = (
                lead(line),
                label(line),
                shape(line),
                ends_in_colon_at_length,
            );
            assert_eq!(seen, (None, None, None, false), "{line:?}");
        }
    }

    /// The lines of each mail of the corpus and of each reply, as they are, decoded or not, and what is left of them without their beginning
    /// or their end.
    #[test]
    fn lines_of_mails() {
        let mut plain = 0usize;
        for (_, octets) in samples() {
            for line in String::from_utf8_lossy(&octets).lines() {
                let line = head(line);
                plain += usize::from(is_plain(line));
                for (at, _) in line.char_indices().take(100) {
                    let (start, end) = line.split_at(at);
                    check(start);
                    check(end);
                }
                check(line);
            }
        }
        assert!(plain > 10_000, "{plain}");
    }

    #[test]
    fn lines_that_most_mails_have() {
        for line in [
            "Dear Mr Reed,",
            "Now € 39,00 – https://www.example.com/shop/item/1107?a=b--c&d=e",
            "==========",
            "> 140 × 200 cm of Norwegian lamb’s wool",
            "我们，他们",
            "x --- 10:30",
            "",
        ] {
            assert_eq!(is_plain(line), !line.contains("---"), "{line}");
        }
        for line in ["From: x", "发件人：Laura", "_____", " - x", "x :", "*a*: b"] {
            assert!(!is_plain(line), "{line}");
        }
    }

    #[test]
    fn words_have_none_of_these() {
        let names = LABELS.iter().flat_map(|(_, names)| *names);
        for word in names.chain(BEGIN) {
            assert!(!word.bytes().any(is_in_no_name), "{word}");
        }
    }

    #[test]
    fn endings() {
        for (name, is) in [
            ("Yes", Ending::Nothing),
            ("View this letter in the browser", Ending::Nothing),
            ("Now 3 From", Ending::Nothing),
            ("From", Ending::Label),
            ("om ", Ending::Label),
            (" *Gesendet am*", Ending::Label),
            ("Cc", Ending::Nothing),
            ("Begin forwarded message", Ending::Doubt),
            ("ssage", Ending::Doubt),
            ("", Ending::Doubt),
            ("\u{308}m", Ending::Doubt),
            ("发件人", Ending::Doubt),
        ] {
            assert_eq!(ending(name), is, "{name}");
        }
    }

    #[rustfmt::skip]
    fn line_soup() -> impl Strategy<Value = String> {
        let known = prop::sample::select(&[
            "On 19/03/2024 15:58,", "Laura <l@a.example>", "wrote", "schrieb", "From", "Von", "Envoyé le", "Subject", "发件人", "Kopie (cc)", "Received", "by ",
            "Original Message", "Forwarded message", "Begin forwarded message", "---", "-----", "__________", "--", "-", "——", "─", ":", "：", ":", "，", "\u{FEFF}",
            " ", "\u{A0}", "\t", "*", "|", "\u{200E}", ">", "<", "\u{338}", "\u{307}", "\u{308}", "é", "3", "03:58 PM", ",", "/", "//", "'", ".", "a", "k", "\u{212A}", "\u{1FEF}", "\u{37E}",
        ][..]).prop_map(str::to_owned);
        let piece = prop_oneof![20 => known, 1 => ".{1,3}"];
        prop::collection::vec(piece, 0..9).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16_384))]

        #[test]
        fn lines_of_anything(line in line_soup()) {
            check(&line);
        }
    }
}
