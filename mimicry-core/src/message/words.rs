//! RFC 2047 encoded words: reading them in header values and parameters, and writing our own text.
//!
//! Reading is our own because mailparse 0.18 is quadratic in the number of `=?` (1 million of them, 2 MB,
//! take more than a minute) and leaves `?==?` runs undecoded. Each octet here is looked at a bounded
//! number of times: a word stops at the next `=?`, so that no two openers scan the same stretch.
//!
//! Must never: return CR, LF or NUL, whatever a word encodes (a header value is one line); drop an
//! octet of a word that it cannot decode (illegal words stay as they stand).
//!
//! Known limits: words are decoded also where RFC 2047 5 forbids them (inside quoted strings, in the
//! middle of a token), as mail programs do.

use memchr::{memchr, memmem};

use super::charset::decode_unlabelled;
use super::labels::{LOST, WordCharset, without_mark};

/// Longest encoded word (RFC 2047 2).
const WORD_MAX: usize = 75;
/// Longest line that holds an encoded word (RFC 2047 2).
const LINE_MAX: usize = 76;
/// Octets of `=?utf-8?Q?` and `?=`.
const WORD_FRAME: usize = 12;
/// A token of ASCII this long cannot stand on a line of 998 octets and is written as encoded words.
const TOKEN_MAX: usize = 900;

/// The text of an unfolded header value: words decoded, blanks between adjacent words dropped, raw
/// 8-bit octets read as UTF-8 or else as windows-1252.
///
/// Adjacent words of one charset are joined before they are converted, because many senders split
/// characters between words.
pub fn decode(value: &[u8]) -> String {
    decode_noting(value).0
}

/// As [`decode`]; and whether each word could be read: its charset is known, its coding whole, its octets text in it.
pub(super) fn decode_noting(value: &[u8]) -> (String, bool) {
    let mut out = String::with_capacity(value.len());
    let mut run = Run::default();
    let mut all_read = true;
    let mut literal = value; // not yet written
    let mut search = 0; // from here on in `literal`
    while let Some(found) = memmem::find(literal.get(search..).unwrap_or_default(), b"=?") {
        let opener = search + found;
        let (between, rest) = literal.split_at_checked(opener).unwrap_or((literal, &[]));
        let Some(frame) = Frame::at(rest) else {
            search = opener + 2;
            continue;
        };
        let Some((charset, octets)) = frame.decode() else {
            all_read = false;
            search = opener + frame.len;
            continue;
        };
        let adjacent = !run.ends.is_empty() && between.iter().all(u8::is_ascii_whitespace);
        if !adjacent {
            all_read &= run.flush(&mut out);
            push_line(&mut out, &decode_unlabelled(between));
        } else if run.charset != Some(charset) {
            all_read &= run.flush(&mut out);
        }
        run.push(charset, &octets);
        literal = rest.get(frame.len..).unwrap_or_default();
        search = 0;
    }
    all_read &= run.flush(&mut out);
    push_line(&mut out, &decode_unlabelled(literal));
    (out, all_read)
}

/// `text` as the value of an unstructured field: unchanged where it is plain ASCII, otherwise with
/// the stretch from the first to the last token that needs it as UTF-8 words of at most 75 octets,
/// B or Q, whichever is shorter, a single blank between them and no character split.
///
/// `first_line_used` counts the columns before the value (`Subject: ` is 9), so that the first
/// word still fits its line when the caller folds at the blanks. CR, LF and NUL become blanks.
pub fn encode(text: &str, first_line_used: usize) -> String {
    let text = text.replace(['\r', '\n', '\0'], " ");
    let needs = |token: &str| {
        token.len() > TOKEN_MAX
            || token.contains("=?")
            || !token.bytes().all(|b| b.is_ascii_graphic() || b == b'\t')
    };
    let mut stretch: Option<(usize, usize)> = None;
    let mut at = 0;
    for token in text.split(' ') {
        let end = at + token.len();
        if !token.is_empty() && needs(token) {
            stretch = Some((stretch.map_or(at, |(from, _)| from), end));
        }
        at = end + 1;
    }
    let Some((before, middle, after)) = stretch.and_then(|(from, to)| {
        let (head, after) = text.split_at_checked(to)?;
        let (before, middle) = head.split_at_checked(from)?;
        Some((before, middle, after))
    }) else {
        return text;
    };

    words_of(before, middle, after, first_line_used)
}

/// All of `text`, blanks at its ends included, as encoded words: beside another encoded word a blank counts only within one.
pub(super) fn encode_all(text: &str, first_line_used: usize) -> String {
    let text = text.replace(['\r', '\n', '\0'], " ");
    words_of("", &text, "", first_line_used)
}

/// `middle` as encoded words between text that stays as it is.
fn words_of(before: &str, middle: &str, after: &str, first_line_used: usize) -> String {
    let q = middle
        .bytes()
        .map(|b| if q_literal(b) { 1 } else { 3 })
        .sum::<usize>();
    let b = middle.len().div_ceil(3) * 4;
    let coding = if q <= b { Coding::Q } else { Coding::B };
    // The line before the first word: what follows the last blank of `before` cannot be known to the
    // caller's folding, but a fold before the first word is always possible when `before` is not empty.
    let used = if before.is_empty() {
        first_line_used
    } else {
        0
    };
    let mut budget = match LINE_MAX
        .saturating_sub(used)
        .min(WORD_MAX)
        .checked_sub(WORD_FRAME)
    {
        Some(room) if room >= 12 => room,
        _ => WORD_MAX - WORD_FRAME,
    };

    let length = before.len() + middle.len() * 2 + after.len();
    let mut out = String::with_capacity(length + WORD_FRAME);
    out.push_str(before);
    let mut word = String::new();
    let mut cost = 0;
    for c in middle.chars() {
        let more = match coding {
            Coding::Q => c
                .encode_utf8(&mut [0; 4])
                .bytes()
                .map(|b| if q_literal(b) { 1 } else { 3 })
                .sum(),
            Coding::B => c.len_utf8(),
        };
        let full = match coding {
            Coding::Q => cost + more > budget,
            Coding::B => (cost + more).div_ceil(3) * 4 > budget,
        };
        if full {
            push_word(&mut out, coding, &word);
            out.push(' ');
            word.clear();
            cost = 0;
            budget = WORD_MAX - WORD_FRAME;
        }
        word.push(c);
        cost += more;
    }
    push_word(&mut out, coding, &word);
    out.push_str(after);
    out
}

/// Octets that the encoded word at the start of `bytes` takes, `None` when there is none.
pub(super) fn word_len(bytes: &[u8]) -> Option<usize> {
    Frame::at(bytes).map(|frame| frame.len)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Q,
    B,
}

/// The frame of a word: legal in form, its charset and content not yet looked at.
#[derive(Debug)]
struct Frame<'a> {
    charset: &'a [u8],
    coding: Coding,
    text: &'a [u8],
    len: usize,
}

impl<'a> Frame<'a> {
    /// The word that starts at the first octet. Blanks and raw `?` in the text are illegal but common, and taken.
    fn at(bytes: &'a [u8]) -> Option<Frame<'a>> {
        let rest = bytes.strip_prefix(b"=?")?;
        let (charset, rest) = rest.split_at_checked(memchr(b'?', rest)?)?;
        if charset.is_empty() || !charset.iter().all(|b| b.is_ascii_graphic() && *b != b'=') {
            return None;
        }
        let (coding, text) = match rest {
            [b'?', b'q' | b'Q', b'?', text @ ..] => (Coding::Q, text),
            [b'?', b'b' | b'B', b'?', text @ ..] => (Coding::B, text),
            _ => return None,
        };
        let mut end = 0;
        loop {
            end += memchr(b'?', text.get(end..)?)?;
            if text.get(end + 1) == Some(&b'=') {
                break;
            }
            let opener = end.checked_sub(1).and_then(|at| text.get(at)) == Some(&b'=');
            if coding == Coding::B || opener {
                return None;
            }
            end += 1;
        }
        let text = text.get(..end)?;
        Some(Frame {
            charset,
            coding,
            text,
            len: 2 + charset.len() + 3 + text.len() + 2,
        })
    }

    fn decode(&self) -> Option<(WordCharset, Vec<u8>)> {
        // RFC 2231 5: the charset may carry a language after an asterisk.
        let label = self.charset.split(|b| *b == b'*').next()?;
        let charset = WordCharset::for_label(label)?;
        let octets = match self.coding {
            Coding::Q => decode_q(self.text),
            Coding::B => decode_b(self.text)?,
        };
        Some((charset, octets))
    }
}

/// Adjacent words of one charset.
#[derive(Debug, Default)]
struct Run {
    charset: Option<WordCharset>,
    octets: Vec<u8>,
    ends: Vec<usize>,
}

impl Run {
    fn push(&mut self, charset: WordCharset, octets: &[u8]) {
        self.charset = Some(charset);
        self.octets.extend_from_slice(octets);
        self.ends.push(self.octets.len());
    }

    /// Each word by itself when each is whole, as the standard has it; else all of them as one. False when that leaves
    /// octets that are no text.
    fn flush(&mut self, out: &mut String) -> bool {
        let Some(charset) = self.charset.take() else {
            return true;
        };
        let mark = out.len();
        let mut from = 0;
        let whole = self.ends.iter().all(|&end| {
            let word = self.octets.get(from..end).unwrap_or_default();
            from = end;
            charset
                .decode(word)
                .map(|text| push_line(out, without_mark(&text)))
                .is_some()
        });
        let mut is_text = true;
        if !whole {
            out.truncate(mark);
            let text = charset.decode_for_matching(&self.octets);
            is_text = !text.contains(LOST);
            push_line(out, &text);
        }
        self.octets.clear();
        self.ends.clear();
        is_text
    }
}

fn push_line(out: &mut String, text: &str) {
    if text.bytes().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
        out.extend(text.chars().map(|c| {
            if matches!(c, '\r' | '\n' | '\0') {
                ' '
            } else {
                c
            }
        }));
    } else {
        out.push_str(text);
    }
}

pub(super) fn decode_q(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (*first, tail) {
            (b'=', [high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                out.push(hex(*high) << 4 | hex(*low));
                rest = after;
            }
            (b'_', _) => out.push(b' '),
            (other, _) => out.push(other),
        }
    }
    out
}

/// The value of a hexadecimal digit, in either case; 0 for anything else.
pub(super) fn hex(digit: u8) -> u8 {
    char::from(digit)
        .to_digit(16)
        .and_then(|v| u8::try_from(v).ok())
        .unwrap_or(0)
}

/// Tolerant base64: blanks ignored, padding may be missing or stand between joined pieces.
fn decode_b(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let (mut bits, mut held) = (0u32, 0u32);
    for &b in text {
        let value = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                held = 0;
                continue;
            }
            b' ' | b'\t' | b'\r' | b'\n' => continue,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    Some(out)
}

/// As [`decode_b`]; what is no base64 is passed over.
pub(super) fn decode_b_loosely(text: &[u8]) -> Vec<u8> {
    let is_base64 =
        |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/' | b'=');
    let kept: Vec<u8> = text.iter().copied().filter(is_base64).collect();
    decode_b(&kept).unwrap_or_default()
}

/// What a Q word may hold as itself also inside a phrase (RFC 2047 5 (3)).
fn q_literal(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b' ' | b'!' | b'*' | b'+' | b'-' | b'/')
}

fn push_word(out: &mut String, coding: Coding, text: &str) {
    match coding {
        Coding::Q => {
            out.push_str("=?utf-8?Q?");
            for b in text.bytes() {
                match b {
                    b' ' => out.push('_'),
                    b if q_literal(b) => out.push(char::from(b)),
                    b => push_hex(out, '=', b),
                }
            }
        }
        Coding::B => {
            out.push_str("=?utf-8?B?");
            data_encoding::BASE64.encode_append(text.as_bytes(), out);
        }
    }
    out.push_str("?=");
}

/// `=E9` or `%E9`.
pub(super) fn push_hex(out: &mut String, mark: char, b: u8) {
    out.push(mark);
    for nibble in [b >> 4, b & 15] {
        let digit = char::from_digit(u32::from(nibble), 16).unwrap_or('0');
        out.push(digit.to_ascii_uppercase());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailparse::MailHeaderMap;
    use proptest::prelude::*;

    #[test]
    fn reading() {
        for (value, text) in [
            (&b"plain"[..], "plain"),
            (b"", ""),
            (b"=?utf-8?Q?caf=C3=A9?=", "café"),
            (b"=?UTF-8?b?Y2Fmw6k=?=", "café"),
            (b"=?utf-8?B?Y2Fmw6k?=", "café"),
            (b"=?iso-8859-1?q?caf=e9_au_lait?=", "café au lait"),
            (b"=?us-ascii*en?Q?a?=", "a"),
            (b"=?utf-8*en-GB?B?w6k=?=", "é"),
            (b"=?utf-8?Q?a?= =?utf-8?Q?b?=", "ab"),
            (b"=?utf-8?Q?a?=\r\n =?utf-8?Q?b?=", "ab"),
            (b"=?utf-8?Q?a?==?utf-8?Q?b?=", "ab"),
            (b"=?utf-8?Q?a?= b =?utf-8?Q?c?= d", "a b c d"),
            (b"x=?utf-8?Q?a?=y", "xay"),
            (b"=?utf-8?Q?caf=C3?= =?utf-8?Q?=A9?=", "café"),
            (b"=?utf-8?B?4oI=?= =?utf-8?Q?=AC?=", "€"),
            (b"=?iso-2022-jp?B?GyRCNEE=?= =?iso-2022-jp?B?GyhC?=", "漢"),
            (
                b"=?iso-2022-jp?B?GyRCNEEbKEI=?= =?iso-2022-jp?B?GyRCNEEbKEI=?=",
                "漢漢",
            ),
            (b"=?gb2312?B?uro=?=", "汉"),
            (b"=?x-unknown?Q?a?=", "=?x-unknown?Q?a?="),
            (b"=?utf-8?X?a?= =?utf-8?Q?b?=", "=?utf-8?X?a?= b"),
            (b"=?utf-8?B?***?=", "=?utf-8?B?***?="),
            (b"=?utf-8?Q?a", "=?utf-8?Q?a"),
            (b"=?utf-8?Q?a =?utf-8?Q?b?=", "=?utf-8?Q?a b"),
            (b"=?utf-8?Q??=", ""),
            (b"=?utf-8?Q?Who??=", "Who?"),
            (b"=?utf-8?Q?a b?=", "a b"),
            (b"=?utf-8?Q?=ZZ?=", "=ZZ"),
            (b"=?utf-8?Q?a=0D=0AEvil:_x=00?=", "a  Evil: x "),
            (b"=?utf-8?Q?=FF?=", "\u{fffd}"),
            (b"caf\xc3\xa9", "café"),
            (b"caf\xe9 =?utf-8?Q?=C3=A9?=", "café é"),
            (b"=??Q?a?=", "=??Q?a?="),
            (b"=?=?=?=", "=?=?=?="),
        ] {
            assert_eq!(decode(value), text, "{}", String::from_utf8_lossy(value));
        }
    }

    #[test]
    fn hostile_words_stay_as_they_stand() {
        let openers = "=?".repeat(1_000_000);
        assert_eq!(decode(openers.as_bytes()), openers);
        let framed = "=?utf-8?Q?".repeat(300_000);
        assert_eq!(decode(framed.as_bytes()), framed);
        let closed_once = format!("{framed}x?=");
        assert!(decode(closed_once.as_bytes()).ends_with("=?utf-8?Q?x"));
        let words = "=?utf-8?Q?a?= ".repeat(20_000);
        assert_eq!(decode(words.as_bytes()).trim_end().len(), 20_000);
    }

    #[test]
    fn writing() {
        for (text, value) in [
            ("plain text", "plain text"),
            ("", ""),
            ("[x] Grüße an alle", "[x] =?utf-8?B?R3LDvMOfZQ==?= an alle"),
            ("Überraschung", "=?utf-8?Q?=C3=9Cberraschung?="),
            ("a é b é c", "a =?utf-8?B?w6kgYiDDqQ==?= c"),
            ("漢字", "=?utf-8?B?5ryi5a2X?="),
            ("a =?utf-8?Q?b?= c", "a =?utf-8?B?PT91dGYtOD9RP2I/PQ==?= c"),
            ("a\r\nEvil: x", "a  Evil: x"),
        ] {
            assert_eq!(encode(text, 9), value, "{text}");
        }
    }

    fn by_mailparse(value: &str) -> String {
        let raw = format!("Subject: {value}\r\n\r\n");
        let (headers, _) = mailparse::parse_headers(raw.as_bytes()).unwrap();
        headers.get_first_value("Subject").unwrap()
    }

    fn word() -> impl Strategy<Value = String> {
        (
            "[a-zé€漢 .]{1,8}",
            any::<bool>(),
            prop_oneof![Just("utf-8"), Just("UTF-8")],
        )
            .prop_map(|(text, b, charset)| {
                let mut out = format!("=?{charset}?{}?", if b { 'b' } else { 'Q' });
                if b {
                    out.push_str(&data_encoding::BASE64.encode(text.as_bytes()));
                } else {
                    for octet in text.bytes() {
                        push_hex(&mut out, '=', octet);
                    }
                }
                out + "?="
            })
    }

    proptest! {
        #[test]
        fn as_mailparse_reads_it(parts in proptest::collection::vec(prop_oneof![word(), "[a-z]{1,5}"], 1..8)) {
            let value = parts.join(" ");
            prop_assert_eq!(decode(value.as_bytes()), by_mailparse(&value));
        }

        #[test]
        fn what_we_write_reads_back(text in "[a-z =?_é€漢𝄞\t,]{0,200}", used in 0usize..80) {
            let value = encode(&text, used);
            prop_assert!(value.is_ascii());
            prop_assert_eq!(decode(value.as_bytes()), text.clone());
            for word in value.split(' ').filter(|w| w.starts_with("=?utf-8?")) {
                prop_assert!(word.len() <= WORD_MAX, "{}", word);
                let single = Frame::at(word.as_bytes()).unwrap().decode().unwrap().1;
                prop_assert!(std::str::from_utf8(&single).is_ok(), "a character split: {}", word);
            }
            let theirs = by_mailparse(&value);
            prop_assert_eq!(theirs.trim(), text.trim());
        }

        #[test]
        fn one_line_whatever_comes(value: Vec<u8>) {
            prop_assert!(!decode(&value).contains(['\r', '\n', '\0']));
        }

        #[test]
        fn openers_and_closers_are_survived(value in "(=\\?|\\?=|utf-8|\\?Q\\?|\\?B\\?|[a =?]){0,40}") {
            let _ = decode(value.as_bytes());
        }
    }
}
