//! Base64 (RFC 2045 section 6.8): strict decoding, writing, and writing anew from a place on.
//!
//! Must never: decode half of a broken body.

use base64_simd::AsOut;
use memchr::{memchr, memrchr};

use super::encoding::{LINE_MAX, Malformed};
use super::sink::{BUFFER, Count, Sink, Stop};

// Values in the table that are no base64 digit.
const BLANK: u8 = 0x40;
const PAD: u8 = 0x41;
const JUNK: u8 = 0x42;

const BASE64: [u8; 256] = {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut table = [JUNK; 256];
    let mut n = 0;
    while n < 64 {
        table[digits[n] as usize] = n as u8;
        n += 1;
    }
    table[b' ' as usize] = BLANK;
    table[b'\t' as usize] = BLANK;
    table[b'\r' as usize] = BLANK;
    table[b'\n' as usize] = BLANK;
    table[b'=' as usize] = PAD;
    table
};

fn base64_value(octet: u8) -> u8 {
    BASE64.get(usize::from(octet)).copied().unwrap_or(JUNK)
}

/// Digits that are decoded at a time.
const BATCH: usize = 3 * 1024;

pub(super) fn decode_base64(raw: &[u8], sink: &mut impl Sink) -> Result<(), Stop> {
    let mut rest = raw;
    let mut batch = [0u8; BATCH];
    while !rest.is_empty() {
        let (digits, lines) = gather(rest, &mut batch);
        let digits = batch.get_mut(..digits).unwrap_or_default();
        if !digits.is_empty()
            && let Ok(octets) = base64_simd::STANDARD_NO_PAD.decode_inplace(digits)
        {
            sink.octets(octets)?;
            rest = rest.get(lines..).unwrap_or_default();
            continue;
        }
        // What is not written as most are, up to the end of those lines or of the next one.
        let next = rest.get(..BATCH).unwrap_or(rest);
        let next = memchr(b'\n', next).map_or(next.len(), |at| at + 1);
        let Some(after) = by_groups(rest, lines.max(next), sink)? else {
            return Ok(());
        };
        rest = after;
    }
    Ok(())
}

/// Puts the digits of whole lines together, as far as there is room: lines of whole groups that do not end in padding. Returns how many
/// digits they are, if they are digits, and how many octets the lines are with their ends.
fn gather(raw: &[u8], batch: &mut [u8; BATCH]) -> (usize, usize) {
    let (mut filled, mut used) = (0, 0);
    let mut width = 0;
    loop {
        let rest = raw.get(used..).unwrap_or_default();
        let room = batch.get_mut(filled..).unwrap_or_default();
        // As long as the line before, as most are; what is no digit in it, the decoder finds.
        if let Some((text, [b'\r', b'\n', ..])) = rest.split_at_checked(width)
            && width > 0
            && text.last() != Some(&b'=')
            && let Some(place) = room.get_mut(..width)
        {
            place.copy_from_slice(text);
            filled += width;
            used += width + 2;
            continue;
        }
        // A line may be the whole body.
        let near = rest.get(..room.len() + 2).unwrap_or(rest);
        let (text, end) = match memchr(b'\n', near) {
            Some(at) => (near.get(..at).unwrap_or_default(), at + 1),
            None => (
                near.get(..room.len()).unwrap_or(near),
                near.len().min(room.len()),
            ),
        };
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let Some(place) = room.get_mut(..text.len()) else {
            break;
        };
        if text.is_empty() || text.len() % 4 > 0 || text.last() == Some(&b'=') {
            break;
        }
        place.copy_from_slice(text);
        width = text.len();
        filled += width;
        used += end;
    }
    (filled, used)
}

/// Decodes group by group, wherever blanks and line ends stand, until so many octets are behind; returns what follows, `None` = the
/// end is reached.
pub(super) fn by_groups<'r>(
    raw: &'r [u8],
    octets: usize,
    sink: &mut impl Sink,
) -> Result<Option<&'r [u8]>, Stop> {
    let end = raw.len().saturating_sub(octets);
    let mut rest = raw;
    while rest.len() > end {
        let mut group = [0u8; 4];
        let (mut digits, mut pads, mut used) = (0usize, 0usize, 0usize);
        for &octet in rest {
            used += 1;
            match base64_value(octet) {
                BLANK => {}
                PAD => pads += 1,
                JUNK => return Err(Stop::Malformed),
                _ if pads > 0 => return Err(Stop::Malformed),
                value => {
                    if let Some(place) = group.get_mut(digits) {
                        *place = value;
                    }
                    digits += 1;
                }
            }
            if digits + pads == 4 {
                break;
            }
        }
        rest = rest.get(used..).unwrap_or_default();
        let [a, b, c, d] = group;
        match (digits, pads) {
            (0, 0) => return Ok(None),
            (4, 0) => sink.octets(&[a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d])?,
            (3, 1) => sink.octets(&[a << 2 | b >> 4, b << 4 | c >> 2])?,
            (2, 2) => sink.octet(a << 2 | b >> 4)?,
            _ => return Err(Stop::Malformed),
        }
        if pads > 0 {
            let end = rest.iter().all(|b| base64_value(*b) == BLANK);
            return if end { Ok(None) } else { Err(Stop::Malformed) };
        }
    }
    Ok(Some(rest))
}

/// Lines that are coded at a time, for which the coder looks once what the processor can do.
const LINES: usize = 32;

/// Content as base64 in lines, of which the last is not ended, written where the content is: from its end on, as what is written
/// is longer than what it stands for.
pub(in crate::message) fn into_base64(content: Vec<u8>, newline: &[u8]) -> Vec<u8> {
    const OCTETS: usize = LINE_MAX / 4 * 3;
    let length = content.len();
    let lines = length.div_ceil(OCTETS);
    let mut out = content;
    out.resize(
        base64_simd::STANDARD.encoded_length(length) + lines.saturating_sub(1) * newline.len(),
        0,
    );
    let mut octets = [0u8; LINES * OCTETS];
    let mut coded = [0u8; LINES * LINE_MAX];
    for first in (0..lines).step_by(LINES).rev() {
        let start = first * OCTETS;
        let end = length.min(start + octets.len());
        let (Some(from), Some(octets)) = (out.get(start..end), octets.get_mut(..end - start))
        else {
            break;
        };
        octets.copy_from_slice(from);
        let mut to = first * (LINE_MAX + newline.len());
        let coded = base64_simd::STANDARD.encode(octets, coded.as_mut_slice().as_out());
        // The last line has no room behind it.
        for piece in coded.chunks(LINE_MAX).flat_map(|line| [line, newline]) {
            if let Some(place) = out.get_mut(to..to + piece.len()) {
                place.copy_from_slice(piece);
            }
            to += piece.len();
        }
    }
    out
}

/// Base64 of `content` from column `column` on, in lines of `width`, at most [`LINE_MAX`]; the last line is not ended.
pub(super) fn write_base64(
    out: &mut Vec<u8>,
    content: &[u8],
    column: usize,
    width: usize,
    newline: &[u8],
) {
    let width = width.min(LINE_MAX);
    let mut column = column;
    let mut rest = content;
    let mut coded = [0u8; LINES * LINE_MAX];
    while !rest.is_empty() {
        if width.saturating_sub(column) < 4 {
            out.extend_from_slice(newline);
            column = 0;
        }
        let groups = (width.saturating_sub(column) / 4).max(1);
        let lines = if column > 0 { 1 } else { LINES };
        let octets = lines * groups * 3;
        let (piece, after) = rest.split_at_checked(octets).unwrap_or((rest, &[]));
        rest = after;
        let coded = base64_simd::STANDARD.encode(piece, coded.as_mut_slice().as_out());
        for (index, line) in coded.chunks(groups * 4).enumerate() {
            if index > 0 {
                out.extend_from_slice(newline);
                column = 0;
            }
            out.extend_from_slice(line);
            column += line.len();
        }
    }
}

pub(super) fn splice_base64(
    raw: &[u8],
    at: usize,
    insert: &[u8],
    newline: &[u8],
) -> Result<Vec<u8>, Malformed> {
    rewrite_base64(raw, at, newline, insert, true)
}

/// Base64 whose content is `insert` from octet number `at` on, and behind that what stood there if it `keeps` it.
pub(super) fn rewrite_base64(
    raw: &[u8],
    at: usize,
    newline: &[u8],
    insert: &[u8],
    keeps: bool,
) -> Result<Vec<u8>, Malformed> {
    // The groups before the place stay; the first line tells the width.
    let mut groups = (at / 3).saturating_mul(4);
    let mut place = 0;
    let mut digits = 0;
    for (offset, octet) in raw.iter().enumerate() {
        if digits == groups {
            break;
        }
        match base64_value(*octet) {
            BLANK => {}
            PAD => {
                groups = digits - digits % 4; // beyond the end: the last group is written anew
                break;
            }
            _ => {
                digits += 1;
                if digits % 4 == 0 {
                    place = offset + 1;
                }
            }
        }
    }
    let kept = digits.min(groups) / 4 * 3;
    let (before, tail) = raw.split_at_checked(place).unwrap_or((raw, &[]));
    decode_base64(before, &mut Count(0)).map_err(|_| Malformed)?;
    let first = raw
        .iter()
        .position(|b| base64_value(*b) != BLANK)
        .unwrap_or(0);
    let line = raw.get(first..).unwrap_or_default();
    let width = match line.iter().position(|b| base64_value(*b) == BLANK) {
        Some(len) if len > 0 && len % 4 == 0 && len < LINE_MAX && line.len() > len * 2 => len,
        _ => LINE_MAX,
    };
    let column = before.len() - memrchr(b'\n', before).map_or(0, |lf| lf + 1);
    // Very short lines are blanks for a good part, and what is reserved for each of them is written for none.
    let left = match width < LINE_MAX / 2 {
        true => tail.iter().filter(|b| base64_value(**b) != BLANK).count(),
        false => tail.len(),
    };
    let digits = (left / 4 * 3 + insert.len()) / 3 * 4 + 8;
    let mut out = Vec::with_capacity(
        before.len() + digits + digits / width * newline.len() + newline.len() + 16,
    );
    out.extend_from_slice(before);
    let mut lines = Lines {
        out,
        content: Vec::with_capacity(BUFFER * 2),
        column,
        width,
        newline,
        ahead: at.saturating_sub(kept),
        insert: Some(insert),
        keeps,
    };
    decode_base64(tail, &mut lines).map_err(|_| Malformed)?;
    let mut out = lines.finish();
    let last = raw.iter().rposition(|b| base64_value(*b) != BLANK);
    match last.and_then(|last| raw.get(last + 1..)) {
        Some(blanks) => out.extend_from_slice(blanks),
        None => out.extend_from_slice(newline),
    }
    Ok(out)
}

/// Writes the lines of base64 while its content is decoded, so that this is never there as a whole.
struct Lines<'a> {
    out: Vec<u8>,
    /// What does not fill lines yet.
    content: Vec<u8>,
    column: usize,
    width: usize,
    newline: &'a [u8],
    /// Octets to come before those that are inserted.
    ahead: usize,
    insert: Option<&'a [u8]>,
    keeps: bool,
}

impl Lines<'_> {
    fn put(&mut self, octets: &[u8]) {
        for piece in octets.chunks(BUFFER) {
            self.content.extend_from_slice(piece);
            if self.content.len() > BUFFER {
                self.write();
            }
        }
    }

    /// Whole lines, less one: the rest must not be empty, or the last would be ended twice.
    fn write(&mut self) {
        let room = self.width.saturating_sub(self.column) / 4 * 3;
        let line = (self.width / 4).max(1) * 3;
        let more = self.content.len().saturating_sub(room).saturating_sub(1) / line * line;
        let (whole, _) = self
            .content
            .split_at_checked(room + more)
            .unwrap_or_default();
        write_base64(&mut self.out, whole, self.column, self.width, self.newline);
        let written = whole.len();
        if written > 0 {
            self.column = self.width;
        }
        self.content.drain(..written);
    }

    fn finish(mut self) -> Vec<u8> {
        if let Some(insert) = self.insert.take() {
            self.put(insert);
        }
        write_base64(
            &mut self.out,
            &self.content,
            self.column,
            self.width,
            self.newline,
        );
        self.out
    }
}

impl Sink for Lines<'_> {
    fn octet(&mut self, octet: u8) -> Result<(), Stop> {
        self.octets(&[octet])
    }

    fn octets(&mut self, octets: &[u8]) -> Result<(), Stop> {
        let mut rest = octets;
        if let Some(insert) = self.insert {
            let (before, after) = octets.split_at_checked(self.ahead).unwrap_or((octets, &[]));
            self.put(before);
            self.ahead -= before.len();
            if after.is_empty() {
                return Ok(());
            }
            self.insert = None;
            self.put(insert);
            rest = after;
        }
        if self.keeps {
            self.put(rest);
        }
        Ok(())
    }
}
