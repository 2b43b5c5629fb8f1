//! Parameters as simple programs read them: split at semicolons, cut at the first `=`, one quote taken off at each end.
//!
//! Python's email package, PHP scripts and old programs do so; they read a broken field differently from a reader that
//! follows the grammar.
//!
//! Must never: be believed alone. Nothing is chosen here.

use std::borrow::Cow;

use memchr::{memchr, memmem};

use crate::message::charset::decode_unlabelled;
use crate::message::labels::WordCharset;
use crate::message::params::{Form, Piece, form};
use crate::message::words::{decode_b_loosely, decode_q};

/// Pieces of a value that are looked at.
const MOST_PIECES: usize = 1000;

/// The pieces of a parameter. With `quotes`, a semicolon within quotes splits nothing.
pub(super) fn pieces<'a>(line: &'a [u8], attribute: &str, quotes: bool) -> Vec<Piece<'a>> {
    let mut found = Vec::new();
    for piece in split(line, quotes).take(MOST_PIECES) {
        let Some((left, right)) = memchr(b'=', piece).and_then(|at| piece.split_at_checked(at))
        else {
            continue;
        };
        let Some(form) = attribute_of(left, attribute) else {
            continue;
        };
        let value = right.get(1..).unwrap_or_default().trim_ascii();
        let is_open = value.first() == Some(&b'"');
        let inner = value.strip_prefix(b"\"").unwrap_or(value);
        let closed = inner.strip_suffix(b"\"");
        let text = closed.unwrap_or(inner);
        let mut push = |text: &'a [u8]| {
            found.push(Piece {
                form,
                quoted: is_open,
                text: Cow::Borrowed(text),
            });
        };
        push(text);
        if is_open && let Some(end) = memchr(b'"', text) {
            // What follows the closing quote belongs to nobody, or to the next parameter.
            push(text.get(..end).unwrap_or_default());
        }
        if is_open && closed.is_none() {
            // An open quote, and the next parameter behind a blank.
            let next = memchr(b'=', text).and_then(|at| text.get(..at));
            let end = next.and_then(|before| before.iter().rposition(u8::is_ascii_whitespace));
            if let Some(end) = end {
                push(text.get(..end).unwrap_or_default());
            }
        }
    }
    found
}

/// Splits at semicolons; with `quotes`, where an even number of quotes stands before.
fn split(line: &[u8], quotes: bool) -> impl Iterator<Item = &[u8]> {
    let mut is_quoted = false;
    let mut before = 0;
    line.split(move |octet| {
        if *octet == b'"' && before != b'\\' {
            is_quoted = !is_quoted;
        }
        before = *octet;
        *octet == b';' && !(quotes && is_quoted)
    })
}

/// How the left side of a `=` marks the attribute; `None` = it is another one.
fn attribute_of(left: &[u8], attribute: &str) -> Option<Form> {
    let at = find_name(left)?;
    let is_file = left
        .get(..at)
        .is_some_and(|before| before.to_ascii_lowercase().ends_with(b"file"));
    if is_file != (attribute == "filename") {
        return None;
    }
    let marks = left.get(at.saturating_add(4)..).unwrap_or_default();
    let marks: Vec<u8> = marks.iter().copied().filter(u8::is_ascii_graphic).collect();
    match marks.as_slice() {
        [] => Some(Form::Plain),
        [b'*', .., last] | [last @ b'*'] => {
            let whole = [b"name".as_slice(), &marks].concat();
            match form(&whole).1 {
                // Marks that no standard knows.
                Form::Plain if *last == b'*' => Some(Form::Extended),
                known => Some(known),
            }
        }
        // The quote of an attribute in quotes.
        [b'"' | b'\''] => Some(Form::Plain),
        _ => None,
    }
}

/// Where the last `name` stands, in any case.
pub(in crate::message) fn find_name(text: &[u8]) -> Option<usize> {
    let mut end = text.len();
    loop {
        let before = text.get(..end)?;
        // The rarer letter of the word.
        let at = before
            .iter()
            .rposition(|octet| matches!(octet, b'm' | b'M'))?;
        let start = at.checked_sub(2);
        if let Some(start) = start
            && text
                .get(start..start.saturating_add(4))
                .is_some_and(|word| word.eq_ignore_ascii_case(b"name"))
        {
            return Some(start);
        }
        end = at;
    }
}

/// A value with each fold gone, the blanks after it included; `None` = it has no fold.
pub(super) fn without_folds(value: &[u8]) -> Option<Vec<u8>> {
    memchr(b'\n', value)?;
    let mut lines = value.split(|octet| *octet == b'\n');
    let mut out = lines.next().unwrap_or_default().trim_ascii_end().to_vec();
    for line in lines {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        out.extend_from_slice(line.trim_ascii_start());
    }
    Some(out)
}

/// The last element of the path of an address; `None` = it has no path.
pub(super) fn file_of(address: &[u8]) -> Option<&[u8]> {
    let address = address.split(|octet| matches!(octet, b'?' | b'#')).next()?;
    let path = match memmem::find(address, b"://") {
        Some(at) => {
            let rest = address.get(at.saturating_add(3)..)?;
            rest.get(memchr(b'/', rest)?..)?
        }
        None => address,
    };
    path.rsplit(|octet| *octet == b'/')
        .find(|name| !name.is_empty())
}

/// What cannot stand in a token (RFC 2045 section 5.1).
pub(super) fn ends_token(octet: &u8) -> bool {
    octet.is_ascii_whitespace() || b"()<>@,;:\\\"/[]?=".contains(octet)
}

/// The text with every backslash gone and the octet after it kept.
pub(in crate::message) fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut octets = text.iter();
    while let Some(octet) = octets.next() {
        match octet {
            b'\\' => out.extend(octets.next()),
            octet => out.push(*octet),
        }
    }
    out
}

/// The text before the first percent sign that is followed by anything but two hexadecimal digits; `None` = there is none.
pub(super) fn before_broken_escape(text: &[u8]) -> Option<&[u8]> {
    let is_broken = |at: &usize| {
        let digits = text.get(at.saturating_add(1)..at.saturating_add(3));
        !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let at = memchr::memchr_iter(b'%', text).find(is_broken)?;
    text.get(..at)
}

/// Encoded words as they are read by who forgives all: of unknown charset, with octets that are no base64, without an end.
/// `None` = there are none.
pub(super) fn words(value: &[u8]) -> Option<String> {
    let mut out = String::new();
    let mut rest = value;
    let mut found = false;
    while let Some(at) = memmem::find(rest, b"=?") {
        let (before, word) = rest.split_at_checked(at)?;
        let Some(parsed) = word_at(word) else {
            let (opener, after) = word.split_at_checked(2)?;
            out.push_str(&decode_unlabelled(before));
            out.push_str(&decode_unlabelled(opener));
            rest = after;
            continue;
        };
        if !(found && before.trim_ascii().is_empty()) {
            out.push_str(&decode_unlabelled(before));
        }
        found = true;
        out.push_str(&parsed.text);
        rest = parsed.rest;
    }
    out.push_str(&decode_unlabelled(rest));
    found.then_some(out)
}

struct Word<'a> {
    text: String,
    rest: &'a [u8],
}

fn word_at(word: &[u8]) -> Option<Word<'_>> {
    let rest = word.get(2..)?;
    let (label, rest) = rest.split_at_checked(memchr(b'?', rest)?)?;
    if label.len() > 64 {
        return None;
    }
    let (is_q, body) = match rest {
        [b'?', b'q' | b'Q', b'?', body @ ..] => (true, body),
        [b'?', b'b' | b'B', b'?', body @ ..] => (false, body),
        _ => return None,
    };
    let end = memmem::find(body, b"?=").or_else(|| memmem::find(body, b"=?"));
    let closes = end.is_some_and(|end| body.get(end) == Some(&b'?'));
    let (content, tail) = body.split_at_checked(end.unwrap_or(body.len()))?;
    let octets = match is_q {
        true => decode_q(content),
        false => decode_b_loosely(content),
    };
    let label = label.split(|octet| *octet == b'*').next()?;
    let text = match WordCharset::for_label(label) {
        Some(charset) => charset.decode_for_matching(&octets).into_owned(),
        None => decode_unlabelled(&octets).into_owned(),
    };
    Some(Word {
        text,
        rest: if closes { tail.get(2..)? } else { tail },
    })
}
