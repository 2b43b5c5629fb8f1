//! Do two readings mean one name: the name written twice, or the true name and its ASCII fallback for programs that
//! know no other form?
//!
//! A fallback has the same extension. Of the rest, what is a letter or digit of ASCII in the true name stands in it too, in its order; what is not
//! ASCII became anything at all (`_`, `?`, `ue`, `%C3%BC`, or nothing); and it may have been cut, when [`CUT`] characters are
//! left of it or when it is a short name of DOS (`REPORT~1.PDF`).
//!
//! Must never: call two names one that differ in the extension, by which programs choose what opens the file.

use unicode_normalization::UnicodeNormalization;

/// Characters that a cut name has at least.
const CUT: usize = 8;
/// Characters of a name that are compared. What is longer was cut by somebody.
const LONGEST: usize = 256;

/// Are both one name to a reader.
pub(super) fn same(one: &str, other: &str) -> bool {
    let (one, other) = (canonical(one), canonical(other));
    if one == other {
        return true;
    }
    let (true_name, fallback) = match (one.is_ascii(), other.is_ascii()) {
        (false, true) => (one, other),
        (true, false) => (other, one),
        (true, true) if one.len() >= other.len() => (one, other),
        (true, true) => (other, one),
        (false, false) => return false,
    };
    let (stem, extension) = split(&true_name);
    let (short, of_short) = split(&fallback);
    extension == of_short && is_fallback(stem, short)
}

/// Composed, in lower case, blanks of any number one, none at the ends.
fn canonical(name: &str) -> String {
    let words: Vec<&str> = name.split_whitespace().collect();
    words.join(" ").nfc().flat_map(char::to_lowercase).collect()
}

/// Stem and extension, without the dot; an extension is of letters and digits.
fn split(name: &str) -> (&str, &str) {
    match name.rsplit_once('.') {
        Some((stem, extension))
            if !extension.is_empty() && extension.chars().all(char::is_alphanumeric) =>
        {
            (stem, extension)
        }
        _ => (name, ""),
    }
}

/// What of a true name a fallback must have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Letter(char),
    /// Characters that ASCII has not: any number of others in their place.
    Any,
}

fn is_fallback(stem: &str, short: &str) -> bool {
    let mut tokens = Vec::new();
    for c in stem.chars().take(LONGEST) {
        if c.is_ascii_alphanumeric() {
            tokens.push(Token::Letter(c));
        } else if !c.is_ascii() && tokens.last() != Some(&Token::Any) {
            tokens.push(Token::Any);
        }
    }
    let dos = short
        .rsplit_once('~')
        .filter(|(_, digits)| digits.bytes().all(|octet| octet.is_ascii_digit()));
    let kept = dos.map_or(short, |(kept, _)| kept);
    let letters: Vec<char> = kept
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(LONGEST)
        .collect();
    let may_be_cut = dos.is_some() || letters.len() >= CUT;
    matches(&tokens, &letters, may_be_cut)
}

/// Do the letters fit the tokens; with `cut`, the first letters of what fits. The last `Any` is tried again one letter further
/// when what follows it does not fit, as for a glob.
fn matches(tokens: &[Token], letters: &[char], cut: bool) -> bool {
    let (mut token, mut letter) = (0usize, 0usize);
    let mut again: Option<(usize, usize)> = None;
    while letter < letters.len() {
        match tokens.get(token) {
            Some(Token::Any) => {
                again = Some((token, letter));
                token = token.saturating_add(1);
                continue;
            }
            Some(Token::Letter(wanted)) if letters.get(letter) == Some(wanted) => {
                token = token.saturating_add(1);
                letter = letter.saturating_add(1);
                continue;
            }
            _ => {}
        }
        let Some((any, at)) = again else {
            return false;
        };
        again = Some((any, at.saturating_add(1)));
        token = any.saturating_add(1);
        letter = at.saturating_add(1);
    }
    let rest = tokens.get(token..).unwrap_or_default();
    cut || rest.iter().all(|token| *token == Token::Any)
}

#[cfg(test)]
mod tests {
    use super::same;

    // T179
    #[test]
    fn a_fallback_is_the_same_name() {
        for (one, other, is_same) in [
            ("Größe.pdf", "Gr__e.pdf", true),
            ("Größe.pdf", "Gr??e.pdf", true),
            ("Größe.pdf", "Groesse.pdf", true),
            ("Größe.pdf", "Gre.pdf", true),
            ("Größe.pdf", "Gr%C3%B6%C3%9Fe.pdf", true),
            ("Größe.pdf", "GR__E.PDF", true),
            ("請求書.csv", "___.csv", true),
            ("請求書.csv", "invoice.csv", true),
            ("請求書 2023.csv", "seikyusho 2023.csv", true),
            ("a\"b.pdf", "a_b.pdf", true),
            (
                "annual report of the company.pdf",
                "annual report.pdf",
                true,
            ),
            ("annual report of the company.pdf", "ANNUAL~1.PDF", true),
            ("a  b.pdf", "a b.pdf", true),
            ("e\u{301}.txt", "é.txt", true),
            ("readme.txt", "setup.exe", false),
            ("readme.txt", "readme.txt.exe", false),
            ("Größe.pdf", "Gr__e.exe", false),
            ("請求書.csv", "___.exe", false),
            ("請求書.csv", "___", false),
            ("Größe.pdf", "Maße.pdf", false),
            ("Größe.pdf", "Kleid.pdf", false),
            ("setup.exe", "setup", false),
            ("abc.pdf", "a.pdf", false),
            ("請求書.csv", "見積書.csv", false),
        ] {
            assert_eq!(same(one, other), is_same, "{one} {other}");
            assert_eq!(same(other, one), is_same, "{other} {one}");
        }
        let hostile = "ü".repeat(60_000) + &"a".repeat(60_000);
        assert!(!same(&hostile, &("a".repeat(60_000) + "b.exe")));
    }
}
