//! Quoted-printable (RFC 2045 section 6.7): strict decoding, writing, and changing a body at a place.
//!
//! Must never: touch a raw octet before the place of a change, but for the one soft break that a full line needs.

use std::ops::Range;

use memchr::{memchr2, memrchr};

use super::encoding::{LINE_MAX, Malformed};
use super::sink::{Sink, Stop};
use crate::find::first_of;
use crate::message::words;

/// What stands at the start of a quoted-printable stretch.
enum Atom {
    /// That many literal octets, no line end among them.
    Literal(usize),
    /// Blanks that are dropped, because the line or the body ends behind them.
    Padding(usize),
    /// CRLF or LF.
    LineEnd(usize),
    /// `=XX`
    Coded,
    /// `=`, blanks and a line end or the end of the body.
    Soft(usize),
}

impl Atom {
    /// The atom at the start of `rest`, which is not empty and starts behind an atom.
    fn at(rest: &[u8]) -> Result<Atom, Malformed> {
        match rest {
            [b'\n', ..] => Ok(Atom::LineEnd(1)),
            [b'\r', b'\n', ..] => Ok(Atom::LineEnd(2)),
            [b'=', high, low, ..] if coded(*high, *low).is_some() => Ok(Atom::Coded),
            [b'=', tail @ ..] => {
                let after = behind_soft_break(tail).ok_or(Malformed)?;
                Ok(Atom::Soft(rest.len() - after.len()))
            }
            [b' ' | b'\t', ..] => {
                let blanks = blanks(rest);
                match rest.get(blanks..).unwrap_or_default() {
                    [] | [b'\n', ..] | [b'\r', b'\n', ..] => Ok(Atom::Padding(blanks)),
                    _ => Ok(Atom::Literal(blanks)),
                }
            }
            _ => {
                // Up to the next `=` or line end, less the blanks before it.
                let stop = memchr2(b'=', b'\n', rest).unwrap_or(rest.len());
                let stretch = rest.get(..stop).unwrap_or_default();
                let line_end = rest.get(stop) != Some(&b'=');
                let stretch = match stretch.strip_suffix(b"\r") {
                    Some(text) if stop < rest.len() && line_end => text,
                    _ => stretch,
                };
                let kept = match line_end {
                    true => without_blanks(stretch).len(),
                    false => stretch.len(),
                };
                Ok(Atom::Literal(kept.max(1)))
            }
        }
    }
}

fn blanks(octets: &[u8]) -> usize {
    octets
        .iter()
        .position(|b| !matches!(b, b' ' | b'\t'))
        .unwrap_or(octets.len())
}

pub(super) fn decode_qp(raw: &[u8], sink: &mut impl Sink) -> Result<(), Stop> {
    decode_lines(raw, sink, |_, _| {})
}

/// As [`decode_qp`], with the places of some lines.
pub(super) fn decode_qp_marked(raw: &[u8], out: &mut Vec<u8>) -> Result<Marks, Stop> {
    let mut marks = Marks::default();
    let mut next = Marks::APART;
    decode_lines(raw, out, |place, out: &Vec<u8>| {
        if place >= next {
            marks.0.push((place, out.len()));
            next = place + Marks::APART;
        }
    })?;
    Ok(marks)
}

/// Decodes, and says where each line but the first begins. The same as going from [`Atom`] to [`Atom`], in half the time.
fn decode_lines<S: Sink>(
    raw: &[u8],
    sink: &mut S,
    mut begins: impl FnMut(usize, &S),
) -> Result<(), Stop> {
    let mut rest = raw;
    while let Some(stop) = first_of([b'=', b'\n'], rest)
        && let Some(behind) = rest.get(stop..)
    {
        if let [b'=', tail @ ..] = behind {
            sink.first(rest, stop)?;
            rest = match tail {
                [high, low, after @ ..] if let Some(octet) = coded(*high, *low) => {
                    sink.octet(octet)?;
                    let mut rest = after;
                    // A character of several octets, or a line of `=`.
                    while let [b'=', high, low, after @ ..] = rest
                        && let Some(octet) = coded(*high, *low)
                    {
                        sink.octet(octet)?;
                        rest = after;
                    }
                    rest
                }
                _ => {
                    let after = behind_soft_break(tail).ok_or(Stop::Malformed)?;
                    begins(raw.len() - after.len(), sink);
                    after
                }
            };
            continue;
        }
        let after = behind.get(1..).unwrap_or_default();
        let text = rest.get(..stop).unwrap_or(rest);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        match text.last() {
            Some(b' ' | b'\t') => {
                sink.octets(without_blanks(text))?;
                sink.octets(rest.get(text.len()..=stop).unwrap_or_default())?;
            }
            _ => sink.first(rest, stop + 1)?,
        }
        begins(raw.len() - after.len(), sink);
        rest = after;
    }
    sink.octets(without_blanks(rest))
}

/// What follows a soft break of which `tail` is all behind the `=`; `None` = it is none.
fn behind_soft_break(tail: &[u8]) -> Option<&[u8]> {
    match tail.get(blanks(tail)..).unwrap_or_default() {
        [] => Some(&[]),
        [b'\n', after @ ..] | [b'\r', b'\n', after @ ..] => Some(after),
        _ => None,
    }
}

/// Without the blanks at its end, which are of a transport.
pub(in crate::message) fn without_blanks(text: &[u8]) -> &[u8] {
    let kept = text.iter().rposition(|b| !matches!(b, b' ' | b'\t'));
    text.get(..kept.map_or(0, |last| last + 1)).unwrap_or(text)
}

/// The octet of two hexadecimal digits.
fn coded(high: u8, low: u8) -> Option<u8> {
    let digit = |octet: u8| DIGIT.get(usize::from(octet)).copied().unwrap_or(NO_DIGIT);
    let (high, low) = (digit(high), digit(low));
    (high | low < NO_DIGIT).then_some(high << 4 | low)
}

const NO_DIGIT: u8 = 0x10;

const DIGIT: [u8; 256] = {
    let mut table = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789ABCDEF"[value] as usize] = value as u8;
        table[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    table
};

/// Where lines begin, in the raw body and in the content: some of them, ascending. So a place in a content that was decoded is found
/// without decoding it again.
#[derive(Debug, Clone, Default)]
pub(in crate::message) struct Marks(Vec<(usize, usize)>);

impl Marks {
    /// Raw octets between two.
    const APART: usize = 1024;

    /// The last line of these that begins at or before that octet of the content.
    fn before(&self, at: usize) -> (usize, usize) {
        let behind = self.0.partition_point(|(_, content)| *content <= at);
        let last = behind.checked_sub(1).and_then(|last| self.0.get(last));
        last.copied().unwrap_or_default()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineEnds {
    /// CRLF and LF are line ends.
    Text,
    /// Only the `newline` that is written is one.
    Exact,
}

/// True for octets that stand for themselves anywhere in a line.
const QP_LITERAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut octet = 0x21;
    while octet < 0x7f {
        table[octet] = octet != b'=' as usize;
        octet += 1;
    }
    table
};

fn qp_literal(octet: u8) -> bool {
    QP_LITERAL.get(usize::from(octet)).copied().unwrap_or(false)
}

/// Quoted-printable from column 0 on. Lines get soft breaks at 75 columns, so that one more `=` fits behind
/// whatever is written last.
pub(super) fn write_qp(out: &mut Vec<u8>, content: &[u8], newline: &[u8], line_ends: LineEnds) {
    let room = LINE_MAX - 1;
    let line_end = |rest: &[u8]| match rest {
        [b'\r', b'\n', ..] if line_ends == LineEnds::Text || newline == b"\r\n" => 2,
        [b'\n', ..] if line_ends == LineEnds::Text || newline == b"\n" => 1,
        _ => 0,
    };
    let mut rest = content;
    let mut column = 0;
    while let [first, tail @ ..] = rest {
        let end = line_end(rest);
        if end > 0 {
            out.extend_from_slice(newline);
            column = 0;
            rest = rest.get(end..).unwrap_or_default();
            continue;
        }
        let first = *first;
        if column == 0 && (first == b'.' || rest.starts_with(b"From ")) {
            push_coded(out, first);
            column = 3;
            rest = tail;
            continue;
        }
        // A run of octets that stand for themselves, blanks included where something follows them.
        let run = rest
            .iter()
            .take(room.saturating_sub(column))
            .take_while(|b| qp_literal(**b) || matches!(**b, b' ' | b'\t'))
            .count();
        let behind = rest.get(run..).unwrap_or_default();
        let ended = behind.is_empty() || line_end(behind) > 0;
        let blank_last = run > 0 && matches!(rest.get(run - 1), Some(b' ' | b'\t'));
        let run = if ended && blank_last { run - 1 } else { run };
        if run > 0 {
            let (literal, after) = rest.split_at_checked(run).unwrap_or((rest, &[]));
            out.extend_from_slice(literal);
            column += run;
            rest = after;
            continue;
        }
        // Coded: one octet, or a UTF-8 character as a whole.
        let len = if column < room && (first.is_ascii()) {
            1
        } else {
            utf8_len(rest)
        };
        let literal = len == 1
            && (qp_literal(first)
                || (matches!(first, b' ' | b'\t') && !tail.is_empty() && line_end(tail) == 0));
        let cost = if literal { 1 } else { len * 3 };
        if column > 0 && column + cost > room {
            out.push(b'=');
            out.extend_from_slice(newline);
            column = 0;
            continue;
        }
        let (octets, after) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        for octet in octets {
            push_coded(out, *octet);
        }
        column += len * 3;
        rest = after;
    }
}

/// Octets of the UTF-8 character at the start, 1 where there is none.
fn utf8_len(octets: &[u8]) -> usize {
    let len = match octets.first() {
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        _ => return 1,
    };
    match octets.get(1..len) {
        Some(tail) if tail.iter().all(|b| b & 0xc0 == 0x80) => len,
        _ => 1,
    }
}

fn push_coded(out: &mut Vec<u8>, octet: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| {
        DIGITS
            .get(usize::from(nibble & 15))
            .copied()
            .unwrap_or(b'0')
    };
    out.extend_from_slice(&[b'=', digit(octet >> 4), digit(octet)]);
}

pub(super) fn splice_qp(
    raw: &[u8],
    at: usize,
    insert: &[u8],
    newline: &[u8],
) -> Result<Vec<u8>, Malformed> {
    let marks = decode_qp_marked(raw, &mut Vec::with_capacity(raw.len()));
    splice_qp_marked(raw, &marks.map_err(|_| Malformed)?, at, insert, newline)
}

/// As [`splice_qp`], into a body that was decoded.
pub(super) fn splice_qp_marked(
    raw: &[u8],
    marks: &Marks,
    at: usize,
    insert: &[u8],
    newline: &[u8],
) -> Result<Vec<u8>, Malformed> {
    let place = qp_place_from(raw, marks.before(at), at)?;
    let (before, after) = raw.split_at_checked(place).unwrap_or((raw, &[]));
    let mut out = Vec::with_capacity(raw.len() + insert.len() + insert.len() / 8 + 16);
    out.extend_from_slice(before);
    break_softly(&mut out, insert.starts_with(newline), newline);
    write_qp(&mut out, insert, newline, LineEnds::Exact);
    let joined = matches!(
        Atom::at_or_end(after)?,
        None | Some(Atom::LineEnd(_) | Atom::Soft(_) | Atom::Padding(1))
    );
    if !insert.ends_with(newline) && !joined {
        push_soft_break(&mut out, newline);
    }
    out.extend_from_slice(after);
    Ok(out)
}

/// Quoted-printable without a range of its content: a soft break stands in its place where lines would meet.
pub(super) fn cut_qp(
    raw: &[u8],
    range: &Range<usize>,
    newline: &[u8],
) -> Result<Vec<u8>, Malformed> {
    let (start, end) = (qp_place(raw, range.start)?, qp_place(raw, range.end)?);
    let mut out = Vec::with_capacity(raw.len() + 2 * newline.len() + 2);
    out.extend_from_slice(raw.get(..start).unwrap_or_default());
    let after = raw.get(end..).unwrap_or_default();
    if !after.is_empty() {
        let ends_line = matches!(Atom::at(after)?, Atom::LineEnd(_));
        break_softly(&mut out, ends_line, newline);
    }
    out.extend_from_slice(after);
    Ok(out)
}

/// A soft break behind `out`, unless that is the start of a line or a line end follows that is safe there.
fn break_softly(out: &mut Vec<u8>, ends_line: bool, newline: &[u8]) {
    let line_start = memrchr(b'\n', out).map_or(0, |lf| lf + 1);
    let column = out.len() - line_start;
    let blank_before = matches!(out.last(), Some(b' ' | b'\t'));
    if column == 0 || (ends_line && !blank_before) {
        return;
    }
    if column >= LINE_MAX {
        // A full line: its last character goes down to the new one.
        let last = last_character(out.get(line_start..).unwrap_or_default());
        let moved = out.split_off(out.len() - last);
        push_soft_break(out, newline);
        out.extend_from_slice(&moved);
    }
    push_soft_break(out, newline);
}

/// What [`decode_qp`] must make of it, atom by atom.
#[cfg(test)]
pub(super) fn decode_by_atoms(raw: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::new();
    let mut rest = raw;
    while let Some(atom) = Atom::at_or_end(rest)? {
        let len = match atom {
            Atom::Literal(len) | Atom::Padding(len) | Atom::LineEnd(len) | Atom::Soft(len) => len,
            Atom::Coded => 3,
        };
        let (octets, after) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        rest = after;
        match atom {
            Atom::Literal(_) | Atom::LineEnd(_) => out.extend_from_slice(octets),
            Atom::Coded => out.push(words::hex(octets[1]) << 4 | words::hex(octets[2])),
            Atom::Padding(_) | Atom::Soft(_) => {}
        }
    }
    Ok(out)
}

impl Atom {
    fn at_or_end(rest: &[u8]) -> Result<Option<Atom>, Malformed> {
        if rest.is_empty() {
            Ok(None)
        } else {
            Atom::at(rest).map(Some)
        }
    }
}

fn push_soft_break(out: &mut Vec<u8>, newline: &[u8]) {
    out.push(b'=');
    out.extend_from_slice(newline);
}

/// The raw offset before the content octet number `at`: behind soft breaks, before dropped blanks.
pub(super) fn qp_place(raw: &[u8], at: usize) -> Result<usize, Malformed> {
    qp_place_from(raw, (0, 0), at)
}

/// As [`qp_place`], from a line on whose first octets in the body and in the content have these numbers.
fn qp_place_from(raw: &[u8], line: (usize, usize), at: usize) -> Result<usize, Malformed> {
    let (mut place, mut content) = line;
    while let Some(atom) = Atom::at_or_end(raw.get(place..).unwrap_or_default())? {
        let wanted = at.saturating_sub(content);
        match atom {
            Atom::Soft(len) => place += len,
            _ if wanted == 0 => break,
            Atom::Padding(len) => {
                // Dropped blanks: what is sought lies behind the line end, if there is one.
                if place + len == raw.len() {
                    break;
                }
                place += len;
            }
            Atom::Literal(len) if wanted < len => {
                place += wanted;
                break;
            }
            Atom::LineEnd(len) if wanted < len => break,
            Atom::Literal(len) | Atom::LineEnd(len) => {
                place += len;
                content += len;
            }
            Atom::Coded => {
                place += 3;
                content += 1;
            }
        }
    }
    Ok(place)
}

/// Raw octets of the last character of a line: one octet or `=XX`, with the coded octets of the same
/// UTF-8 character before it.
pub(super) fn last_character(line: &[u8]) -> usize {
    let mut len = 0;
    for _ in 0..4 {
        let rest = line.get(..line.len() - len).unwrap_or_default();
        let coded = match rest {
            [.., b'=', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                words::hex(*high) << 4 | words::hex(*low)
            }
            [] => return len,
            _ => return len.max(1),
        };
        len += 3;
        if coded & 0xc0 != 0x80 {
            return len;
        }
    }
    len
}
