//! Content-Transfer-Encodings: decoding strictly, encoding, and inserting octets into an encoded body or cutting them out.
//!
//! Our own code, because mailparse 0.18 takes `base64 ` for 7bit and, through quoted_printable, drops
//! 8-bit octets and trailing blanks, turns LF into CRLF and leaves `From ` and a lone `.` unprotected:
//! nothing could be written back from that. What decodes here loses no content when it is encoded again.
//!
//! Must never: decode half of a broken body ([`Malformed`] instead); touch a raw octet before the
//! place of a [`splice`] (but for the one soft break that a full line needs).
//!
//! Known limits: uuencode, yEnc and other codings are [`Encoding::Unknown`], whose octets are the raw ones
//! and which nobody may edit. Past 600 lines because a splice must know every detail of both decoders.
//!
//! Positions and lengths are those of slices, so that a small sum of them cannot overflow.

use std::borrow::Cow;
use std::io;
use std::ops::Range;

use memchr::{memchr, memchr_iter, memchr2, memrchr};
use thiserror::Error;

use super::lines::lone;

/// Longest line of quoted-printable and base64 (RFC 2045 6.7, 6.8), without its line end.
const LINE_MAX: usize = 76;
/// Longest line of a mail (RFC 5322 2.1.1), without its line end.
pub const RAW_LINE_MAX: usize = 998;

/// A content transfer encoding (RFC 2045 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    SevenBit,
    EightBit,
    Binary,
    Base64,
    QuotedPrintable,
    /// A token that nobody here knows: the content is opaque, the body is never edited.
    Unknown,
}

/// The body is not what its transfer encoding says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the body is not in its declared transfer encoding")]
pub struct Malformed;

/// Why [`decode_into`] stopped.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// The sender's fault.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Ours: the sink took no more.
    #[error("cannot write the decoded body: {0}")]
    Write(#[from] io::Error),
}

impl Encoding {
    /// Reads a Content-Transfer-Encoding value: in any case, between blanks, cut at a blank, comment or
    /// semicolon. An empty value is 7bit.
    pub fn parse(value: &[u8]) -> Encoding {
        let mut value = value.trim_ascii();
        while let Some(comment) = value.strip_prefix(b"(") {
            let Some(end) = memchr(b')', comment) else {
                break;
            };
            value = comment
                .get(end + 1..)
                .unwrap_or_default()
                .trim_ascii_start();
        }
        let end = value
            .iter()
            .position(|b| b.is_ascii_whitespace() || matches!(b, b'(' | b';'));
        let token = value.get(..end.unwrap_or(value.len())).unwrap_or_default();
        let is = |name: &str| token.eq_ignore_ascii_case(name.as_bytes());
        if is("7bit") || token.is_empty() {
            Encoding::SevenBit
        } else if is("8bit") {
            Encoding::EightBit
        } else if is("binary") {
            Encoding::Binary
        } else if is("base64") {
            Encoding::Base64
        } else if is("quoted-printable") {
            Encoding::QuotedPrintable
        } else {
            Encoding::Unknown
        }
    }

    /// The token for a header; `x-unknown` stands for what cannot be written.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::SevenBit => "7bit",
            Encoding::EightBit => "8bit",
            Encoding::Binary => "binary",
            Encoding::Base64 => "base64",
            Encoding::QuotedPrintable => "quoted-printable",
            Encoding::Unknown => "x-unknown",
        }
    }

    /// True when the raw octets are the content.
    pub fn is_identity(self) -> bool {
        !matches!(self, Encoding::Base64 | Encoding::QuotedPrintable)
    }
}

/// The content of a body.
///
/// base64: blanks and line ends are passed over; junk, missing padding and anything behind the padding
/// are malformed. Quoted-printable: raw 8-bit octets are kept, blanks at the end of a line dropped
/// (RFC 2045 6.7 (3)), `=` at the end of the body accepted; `=` before anything else but two hexadecimal
/// digits in either case or a line end is malformed.
pub fn decode(encoding: Encoding, raw: &[u8]) -> Result<Cow<'_, [u8]>, Malformed> {
    if encoding.is_identity() {
        return Ok(Cow::Borrowed(raw));
    }
    let mut out = Vec::with_capacity(match encoding {
        Encoding::Base64 => raw.len() / 4 * 3 + 3,
        _ => raw.len(),
    });
    run(encoding, raw, &mut out).map_err(|_| Malformed)?;
    if out.capacity() > BUFFER && out.len() < out.capacity() / 4 * 3 {
        out.shrink_to_fit();
    }
    Ok(Cow::Owned(out))
}

/// Decodes into a sink through a fixed buffer; returns the number of content octets written.
pub fn decode_into(
    encoding: Encoding,
    raw: &[u8],
    sink: &mut dyn io::Write,
) -> Result<u64, DecodeError> {
    if encoding.is_identity() {
        sink.write_all(raw)?;
        return Ok(raw.len() as u64);
    }
    let mut out = Buffered {
        sink,
        buffer: [0; BUFFER],
        used: 0,
        written: 0,
    };
    run(encoding, raw, &mut out).map_err(|stop| match stop {
        Stop::Malformed => DecodeError::Malformed(Malformed),
        Stop::Sink(error) => DecodeError::Write(error),
    })?;
    out.flush()?;
    Ok(out.written)
}

/// Octets of the content, without making it.
pub fn decoded_len(encoding: Encoding, raw: &[u8]) -> Result<u64, Malformed> {
    if encoding.is_identity() {
        return Ok(raw.len() as u64);
    }
    let mut count = Count(0);
    run(encoding, raw, &mut count).map_err(|_| Malformed)?;
    Ok(count.0)
}

/// Content as a body. Line ends of text (CRLF or LF) become `newline` under quoted-printable and
/// separate the lines of base64, whose last line is ended too; 7bit, 8bit and binary pass as they are.
///
/// Quoted-printable: lines of at most 76 octets, soft breaks never inside a UTF-8 character, blanks
/// before a line end, lone CR, `From ` and `.` at the start of a line coded.
pub fn encode(encoding: Encoding, content: &[u8], newline: &[u8]) -> Vec<u8> {
    encode_with(encoding, content, newline, LineEnds::Text)
}

/// As [`encode`], but what decodes again is the content octet for octet: under quoted-printable only
/// `newline` itself is a line end, every other CR and LF is coded.
pub fn encode_exact(encoding: Encoding, content: &[u8], newline: &[u8]) -> Vec<u8> {
    encode_with(encoding, content, newline, LineEnds::Exact)
}

fn encode_with(encoding: Encoding, content: &[u8], newline: &[u8], line_ends: LineEnds) -> Vec<u8> {
    match encoding {
        Encoding::SevenBit | Encoding::EightBit | Encoding::Binary | Encoding::Unknown => {
            content.to_vec()
        }
        Encoding::Base64 => {
            let mut out =
                Vec::with_capacity(content.len() / 3 * 4 + content.len() / 57 * newline.len() + 8);
            write_base64(&mut out, content, 0, LINE_MAX, newline);
            if !content.is_empty() {
                out.extend_from_slice(newline);
            }
            out
        }
        Encoding::QuotedPrintable => {
            let mut out = Vec::with_capacity(content.len() + content.len() / 8 + 16);
            write_qp(&mut out, content, newline, line_ends);
            out
        }
    }
}

/// As [`encode_exact`], onto octets that are there.
pub fn encode_onto(out: &mut Vec<u8>, encoding: Encoding, content: &[u8], newline: &[u8]) {
    match encoding {
        Encoding::SevenBit | Encoding::EightBit | Encoding::Binary | Encoding::Unknown => {
            out.extend_from_slice(content);
        }
        Encoding::Base64 => {
            write_base64(out, content, 0, LINE_MAX, newline);
            if !content.is_empty() {
                out.extend_from_slice(newline);
            }
        }
        Encoding::QuotedPrintable => write_qp(out, content, newline, LineEnds::Exact),
    }
}

/// Octets of `content` in an encoding, or somewhat more.
pub fn encoded_len(encoding: Encoding, content: &[u8]) -> usize {
    let lines = |octets: usize| octets.saturating_add(octets / 70 * 4).saturating_add(16);
    match encoding {
        Encoding::Base64 => lines((content.len() / 3).saturating_add(1).saturating_mul(4)),
        Encoding::QuotedPrintable => {
            let coded = |octet: u8, next: u8| {
                let is_break = (octet == b'\r') & (next != b'\n');
                u8::from(
                    !(0x20..0x7f).contains(&octet) & (octet != b'\r') & (octet != b'\n')
                        | (octet == b'=')
                        | is_break,
                )
            };
            lines(
                content
                    .len()
                    .saturating_add(count(content, coded).saturating_mul(2)),
            )
        }
        _ => content.len(),
    }
}

/// The encoding under which `content` may stand in a message whose lines end in `newline`: `encoding` itself where that is legal, else
/// quoted-printable, or base64 for what is mostly no ASCII, has a NUL or line ends of another kind.
///
/// Binary is no exception from the last: SMTP without BINARYMIME (RFC 3030) has no other line end than CRLF, whatever a header says.
pub fn smallest_legal(encoding: Encoding, content: &[u8], newline: &[u8]) -> Encoding {
    if !encoding.is_identity() || encoding == Encoding::Unknown {
        return encoding;
    }
    let has_lone = match newline {
        b"\n" => !line_ends_agree(content),
        _ => lone(content).is_some(),
    };
    if has_lone || (encoding != Encoding::Binary && memchr(0, content).is_some()) {
        return Encoding::Base64;
    }
    if encoding == Encoding::Binary {
        return encoding;
    }
    let high = count(content, |b, _| b >> 7);
    if encoding == Encoding::SevenBit && high > content.len() / 2 {
        Encoding::Base64
    } else if (encoding == Encoding::SevenBit && high > 0) || has_long_line(content) {
        Encoding::QuotedPrintable
    } else {
        encoding
    }
}

/// Whether a line is longer than 998 octets, its line end not counted.
pub fn has_long_line(octets: &[u8]) -> bool {
    // From line end to the last line end that is near enough: one search for many short lines.
    let mut rest = octets;
    while let Some(window) = rest.get(..RAW_LINE_MAX + 1) {
        let reach = match rest.get(RAW_LINE_MAX..RAW_LINE_MAX + 2) {
            Some(b"\r\n") => RAW_LINE_MAX + 2,
            _ => match memrchr(b'\n', window) {
                Some(lf) => lf + 1,
                None => return window.last() != Some(&b'\r') || rest.len() > window.len(),
            },
        };
        rest = rest.get(reach..).unwrap_or_default();
    }
    false
}

/// All line ends CRLF, or all of them LF; no lone CR.
fn line_ends_agree(content: &[u8]) -> bool {
    let crs = memchr_iter(b'\r', content).count();
    if crs == 0 {
        return true;
    }
    let pairs = count(content, |b, next| u8::from((b == b'\r') & (next == b'\n')));
    crs == pairs && crs == memchr_iter(b'\n', content).count()
}

/// Sums what `one` (0 or 1) makes of each octet and the octet behind it, but for the last, behind which is NUL.
/// In chunks whose sum fits an octet, so that the compiler can take 16 or 32 at a time: 20 times as fast as counting.
fn count(octets: &[u8], one: impl Fn(u8, u8) -> u8) -> usize {
    const CHUNK: usize = 128;
    let behind = octets.get(1..).unwrap_or_default();
    let last = octets.last().map_or(0, |last| usize::from(one(*last, 0)));
    let sums = octets.chunks(CHUNK).zip(behind.chunks(CHUNK));
    let sums =
        sums.map(|(a, b)| usize::from(a.iter().zip(b).map(|(a, b)| one(*a, *b)).sum::<u8>()));
    sums.sum::<usize>() + last
}

/// `insert` put into the content before its octet number `at`, every raw octet before that place kept.
///
/// `decode` of the result is the content with `insert` in it; under quoted-printable every CR and LF of
/// `insert` that is not of a `newline` is coded. An offset beyond the end is the end; one between the CR and LF of a quoted-printable
/// line end is taken as before the CR. Quoted-printable keeps all octets (a line that is full gets a
/// soft break before its last character); base64 keeps all before the group of four that holds the place and
/// wraps what follows at the width of the first line. Unknown encodings are malformed.
pub fn splice(
    encoding: Encoding,
    raw: &[u8],
    at: usize,
    insert: &[u8],
    newline: &[u8],
) -> Result<Vec<u8>, Malformed> {
    if insert.is_empty() {
        decoded_len(encoding, raw)?;
        return Ok(raw.to_vec());
    }
    match encoding {
        Encoding::SevenBit | Encoding::EightBit | Encoding::Binary => {
            let (before, after) = raw.split_at_checked(at).unwrap_or((raw, &[]));
            Ok([before, insert, after].concat())
        }
        Encoding::QuotedPrintable => splice_qp(raw, at, insert, newline),
        Encoding::Base64 => splice_base64(raw, at, insert, newline),
        Encoding::Unknown => Err(Malformed),
    }
}

/// Up to this many ranges are cut out of quoted-printable one by one, each at the cost of the whole body.
const FEW: usize = 8;

/// The body whose content lacks the octets of `ranges`, which ascend and do not meet.
///
/// Every raw octet before the first range is kept. Quoted-printable keeps those behind as well, unless there are many ranges or
/// what meets would read otherwise: then all of it is coded anew. Base64 is coded anew from the group of four that holds
/// the first range. Unknown encodings are malformed.
pub fn cut(
    encoding: Encoding,
    raw: &[u8],
    ranges: &[Range<usize>],
    newline: &[u8],
) -> Result<Vec<u8>, Malformed> {
    let content = decode(encoding, raw)?;
    let Some(first) = ranges.first() else {
        return Ok(raw.to_vec());
    };
    let wanted = without(&content, ranges);
    match encoding {
        Encoding::SevenBit | Encoding::EightBit | Encoding::Binary => Ok(wanted),
        Encoding::QuotedPrintable => {
            if ranges.len() <= FEW {
                let mut out = raw.to_vec();
                for range in ranges.iter().rev() {
                    out = cut_qp(&out, range, newline)?;
                }
                if decode(encoding, &out).is_ok_and(|content| *content == wanted) {
                    return Ok(out);
                }
            }
            Ok(encode_exact(encoding, &wanted, newline))
        }
        Encoding::Base64 => {
            let rest = wanted.get(first.start..).unwrap_or_default();
            rewrite_base64(raw, first.start, newline, rest, false)
        }
        Encoding::Unknown => Err(Malformed),
    }
}

/// `octets` without those of `ranges`, which ascend and do not meet.
pub fn without(octets: &[u8], ranges: &[Range<usize>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len());
    let mut at = 0;
    for range in ranges {
        out.extend_from_slice(octets.get(at..range.start).unwrap_or_default());
        at = range.end;
    }
    out.extend_from_slice(octets.get(at..).unwrap_or_default());
    out
}

/// Where decoded octets go; a decoder is compiled once for each.
trait Sink {
    fn octet(&mut self, octet: u8) -> Result<(), Stop>;
    fn octets(&mut self, octets: &[u8]) -> Result<(), Stop>;
}

#[derive(Debug)]
enum Stop {
    Malformed,
    Sink(io::Error),
}

fn run(encoding: Encoding, raw: &[u8], sink: &mut impl Sink) -> Result<(), Stop> {
    match encoding {
        Encoding::Base64 => decode_base64(raw, sink),
        Encoding::QuotedPrintable => decode_qp(raw, sink),
        _ => sink.octets(raw),
    }
}

impl Sink for Vec<u8> {
    fn octet(&mut self, octet: u8) -> Result<(), Stop> {
        self.push(octet);
        Ok(())
    }

    fn octets(&mut self, octets: &[u8]) -> Result<(), Stop> {
        self.extend_from_slice(octets);
        Ok(())
    }
}

struct Count(u64);

impl Sink for Count {
    fn octet(&mut self, _: u8) -> Result<(), Stop> {
        self.0 += 1;
        Ok(())
    }

    fn octets(&mut self, octets: &[u8]) -> Result<(), Stop> {
        self.0 += octets.len() as u64;
        Ok(())
    }
}

const BUFFER: usize = 16 * 1024;

struct Buffered<'a> {
    sink: &'a mut dyn io::Write,
    buffer: [u8; BUFFER],
    used: usize,
    written: u64,
}

impl Buffered<'_> {
    fn flush(&mut self) -> io::Result<()> {
        self.sink
            .write_all(self.buffer.get(..self.used).unwrap_or_default())?;
        self.written += self.used as u64;
        self.used = 0;
        Ok(())
    }
}

impl Sink for Buffered<'_> {
    fn octet(&mut self, octet: u8) -> Result<(), Stop> {
        self.octets(&[octet])
    }

    fn octets(&mut self, octets: &[u8]) -> Result<(), Stop> {
        for chunk in octets.chunks(BUFFER) {
            if chunk.len() > BUFFER - self.used {
                self.flush().map_err(Stop::Sink)?;
            }
            if let Some(room) = self.buffer.get_mut(self.used..self.used + chunk.len()) {
                room.copy_from_slice(chunk);
                self.used += chunk.len();
            }
        }
        Ok(())
    }
}

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

fn decode_base64(raw: &[u8], sink: &mut impl Sink) -> Result<(), Stop> {
    let mut rest = raw;
    loop {
        // Whole groups without a blank between them, a stretch at a time.
        let mut batch = [0u8; 768];
        let mut filled = 0;
        for (group, place) in rest.chunks_exact(4).zip(batch.chunks_exact_mut(3)) {
            let &[a, b, c, d] = group else { break };
            let [a, b, c, d] = [a, b, c, d].map(base64_value);
            if (a | b | c | d) >= BLANK {
                break;
            }
            place.copy_from_slice(&[a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d]);
            filled += 3;
        }
        sink.octets(batch.get(..filled).unwrap_or_default())?;
        rest = rest.get(filled / 3 * 4..).unwrap_or_default();
        if filled == batch.len() {
            continue;
        }
        // One group with blanks or padding.
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
            (0, 0) => return Ok(()), // the end
            (4, 0) => sink.octets(&[a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d])?,
            (3, 1) => sink.octets(&[a << 2 | b >> 4, b << 4 | c >> 2])?,
            (2, 2) => sink.octet(a << 2 | b >> 4)?,
            _ => return Err(Stop::Malformed),
        }
        if pads > 0 {
            let end = rest.iter().all(|b| base64_value(*b) == BLANK);
            return if end { Ok(()) } else { Err(Stop::Malformed) };
        }
    }
}

/// What stands at the start of a quoted-printable stretch.
enum Atom {
    /// That many literal octets, no line end among them.
    Literal(usize),
    /// Blanks that are dropped, because the line or the body ends behind them.
    Padding(usize),
    /// CRLF or LF.
    LineEnd(usize),
    /// `=XX`
    Coded(u8),
    /// `=`, blanks and a line end or the end of the body.
    Soft(usize),
}

impl Atom {
    fn len(&self) -> usize {
        match self {
            Atom::Literal(len) | Atom::Padding(len) | Atom::LineEnd(len) | Atom::Soft(len) => *len,
            Atom::Coded(_) => 3,
        }
    }

    /// The atom at the start of `rest`, which is not empty and starts behind an atom.
    fn at(rest: &[u8]) -> Result<Atom, Malformed> {
        match rest {
            [b'\n', ..] => Ok(Atom::LineEnd(1)),
            [b'\r', b'\n', ..] => Ok(Atom::LineEnd(2)),
            [b'=', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => Ok(
                Atom::Coded(super::words::hex(*high) << 4 | super::words::hex(*low)),
            ),
            [b'=', tail @ ..] => {
                let blanks = blanks(tail);
                match tail.get(blanks..).unwrap_or_default() {
                    [] => Ok(Atom::Soft(1 + blanks)),
                    [b'\n', ..] => Ok(Atom::Soft(1 + blanks + 1)),
                    [b'\r', b'\n', ..] => Ok(Atom::Soft(1 + blanks + 2)),
                    _ => Err(Malformed),
                }
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
                let kept = if line_end {
                    stretch.len()
                        - stretch
                            .iter()
                            .rev()
                            .take_while(|b| matches!(b, b' ' | b'\t'))
                            .count()
                } else {
                    stretch.len()
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

fn decode_qp(raw: &[u8], sink: &mut impl Sink) -> Result<(), Stop> {
    let mut rest = raw;
    while !rest.is_empty() {
        let atom = Atom::at(rest).map_err(|_| Stop::Malformed)?;
        let (octets, after) = rest.split_at_checked(atom.len()).unwrap_or((rest, &[]));
        rest = after;
        match atom {
            Atom::Literal(_) | Atom::LineEnd(_) => sink.octets(octets)?,
            Atom::Coded(octet) => sink.octet(octet)?,
            Atom::Padding(_) | Atom::Soft(_) => {}
        }
    }
    Ok(())
}

/// Base64 of `content` from column `column` on, in lines of `width`; the last line is not ended.
fn write_base64(out: &mut Vec<u8>, content: &[u8], column: usize, width: usize, newline: &[u8]) {
    let mut column = column;
    let mut rest = content;
    while !rest.is_empty() {
        if width.saturating_sub(column) < 4 {
            out.extend_from_slice(newline);
            column = 0;
        }
        let octets = (width.saturating_sub(column) / 4).max(1) * 3;
        let (line, after) = rest.split_at_checked(octets).unwrap_or((rest, &[]));
        rest = after;
        let from = out.len();
        let coded = data_encoding::BASE64.encode_len(line.len());
        out.resize(from + coded, 0);
        if let Some(place) = out.get_mut(from..) {
            data_encoding::BASE64.encode_mut(line, place);
        }
        column += coded;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineEnds {
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
fn write_qp(out: &mut Vec<u8>, content: &[u8], newline: &[u8], line_ends: LineEnds) {
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

fn splice_qp(raw: &[u8], at: usize, insert: &[u8], newline: &[u8]) -> Result<Vec<u8>, Malformed> {
    let place = qp_place(raw, at)?;
    let (before, after) = raw.split_at_checked(place).unwrap_or((raw, &[]));
    decoded_len(Encoding::QuotedPrintable, after)?;

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
fn cut_qp(raw: &[u8], range: &Range<usize>, newline: &[u8]) -> Result<Vec<u8>, Malformed> {
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
fn qp_place(raw: &[u8], at: usize) -> Result<usize, Malformed> {
    let mut place = 0;
    let mut content = 0usize;
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
            Atom::Coded(_) => {
                place += 3;
                content += 1;
            }
        }
    }
    Ok(place)
}

/// Raw octets of the last character of a line: one octet or `=XX`, with the coded octets of the same
/// UTF-8 character before it.
fn last_character(line: &[u8]) -> usize {
    let mut len = 0;
    for _ in 0..4 {
        let rest = line.get(..line.len() - len).unwrap_or_default();
        let coded = match rest {
            [.., b'=', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                super::words::hex(*high) << 4 | super::words::hex(*low)
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

fn splice_base64(
    raw: &[u8],
    at: usize,
    insert: &[u8],
    newline: &[u8],
) -> Result<Vec<u8>, Malformed> {
    rewrite_base64(raw, at, newline, insert, true)
}

/// Base64 whose content is `insert` from octet number `at` on, and behind that what stood there if it `keeps` it.
fn rewrite_base64(
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
    decoded_len(Encoding::Base64, before)?;
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
    run(Encoding::Base64, tail, &mut lines).map_err(|_| Malformed)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const QP: Encoding = Encoding::QuotedPrintable;
    const B64: Encoding = Encoding::Base64;

    #[test]
    fn names() {
        for (value, encoding) in [
            (&b"7bit"[..], Encoding::SevenBit),
            (b"", Encoding::SevenBit),
            (b" 8BIT ", Encoding::EightBit),
            (b"binary", Encoding::Binary),
            (b"base64 ", B64),
            (b" Base64\r\n", B64),
            (b"base64 (x)", B64),
            (b"base64(x)", B64),
            (b"(x) base64", B64),
            (b"base64;", B64),
            (b"Quoted-Printable", QP),
            (b"x-uuencode", Encoding::Unknown),
            (b"utf-8", Encoding::Unknown),
            (b"base64x", Encoding::Unknown),
        ] {
            assert_eq!(
                Encoding::parse(value),
                encoding,
                "{}",
                String::from_utf8_lossy(value)
            );
        }
        for encoding in [
            Encoding::SevenBit,
            Encoding::EightBit,
            Encoding::Binary,
            B64,
            QP,
            Encoding::Unknown,
        ] {
            assert_eq!(Encoding::parse(encoding.name().as_bytes()), encoding);
        }
    }

    #[test]
    fn decoding() {
        for (encoding, raw, content) in [
            (B64, &b"aGVsbG8="[..], Some(&b"hello"[..])),
            (B64, b"aGVs\r\nbG8=\r\n", Some(b"hello")),
            (B64, b" aG Vs\tbG\n8 = \n\n", Some(b"hello")),
            (B64, b"", Some(b"")),
            (B64, b"\r\n", Some(b"")),
            (B64, b"YQ==", Some(b"a")),
            (B64, b"YR==", Some(b"a")), // bits that say nothing
            (B64, b"aGVsbG8", None),
            (B64, b"YQ=", None),
            (B64, b"YQ", None),
            (B64, b"Y", None),
            (B64, b"Y===", None),
            (B64, b"====", None),
            (B64, b"YWJj=", None),
            (B64, b"aGVs!bG8=", None),
            (B64, b"aGVsbG8=\r\n-- \r\nlist footer", None),
            (B64, b"YQ==YQ==", None),
            (B64, b"YQ==\r\nYQ==", None),
            (B64, b"aGVs\0", None),
            (B64, b"aGVs\x0bbG8=", None),
            (QP, b"hello", Some(b"hello")),
            (QP, b"", Some(b"")),
            (QP, b"caf=C3=A9", Some(b"caf\xc3\xa9")),
            (QP, b"caf=c3=a9", Some(b"caf\xc3\xa9")),
            (QP, b"caf\xe9 raw", Some(b"caf\xe9 raw")),
            (QP, b"a=\r\nb", Some(b"ab")),
            (QP, b"a=\nb", Some(b"ab")),
            (QP, b"a=  \t\r\nb", Some(b"ab")),
            (QP, b"a  \r\nb\t\nc  ", Some(b"a\r\nb\nc")),
            (QP, b"a \t b", Some(b"a \t b")),
            (QP, b"a =20\r\n", Some(b"a  \r\n")),
            (QP, b"  \r\n", Some(b"\r\n")),
            (QP, b"a=", Some(b"a")),
            (QP, b"a=  ", Some(b"a")),
            (QP, b"a=\r\n", Some(b"a")),
            (QP, b"a\rb", Some(b"a\rb")),
            (QP, b"a\r", Some(b"a\r")),
            (QP, b"a\r\r\n", Some(b"a\r\r\n")),
            (QP, b"a =\r\n b", Some(b"a  b")),
            (QP, b"=ZZ", None),
            (QP, b"=4", None),
            (QP, b"=4\r\n1", None),
            (QP, b"a=\rb", None),
            (QP, b"a= b", None),
            (Encoding::SevenBit, b"=ZZ\xff", Some(b"=ZZ\xff")),
            (Encoding::Unknown, b"begin 644", Some(b"begin 644")),
        ] {
            let shown = String::from_utf8_lossy(raw);
            assert_eq!(decode(encoding, raw).ok().as_deref(), content, "{shown:?}");
            let len = content.map(|c| c.len() as u64);
            assert_eq!(decoded_len(encoding, raw).ok(), len, "{shown:?}");
            let mut sink = Vec::new();
            assert_eq!(decode_into(encoding, raw, &mut sink).ok(), len, "{shown:?}");
            if let Some(content) = content {
                assert_eq!(sink, content, "{shown:?}");
            }
        }
    }

    #[test]
    fn encoding() {
        for (content, written) in [
            (&b"hello\r\n"[..], &b"hello\r\n"[..]),
            (b"a\nb", b"a\r\nb"),
            (b"a \r\nb\t", b"a=20\r\nb=09"),
            (b"a b", b"a b"),
            (b"caf\xc3\xa9", b"caf=C3=A9"),
            (b"a\rb", b"a=0Db"),
            (b"a=b", b"a=3Db"),
            (b"From me\nFrom you\n", b"=46rom me\r\n=46rom you\r\n"),
            (b"Fromage", b"Fromage"),
            (b".\r\n..\r\n.a", b"=2E\r\n=2E.\r\n=2Ea"),
            (b"\0", b"=00"),
            (b"", b""),
        ] {
            assert_eq!(
                encode(QP, content, b"\r\n"),
                written,
                "{}",
                String::from_utf8_lossy(content)
            );
        }
        assert_eq!(
            encode_exact(QP, b"a\nb\r\nc\rd", b"\r\n"),
            b"a=0Ab\r\nc=0Dd"
        );
        assert_eq!(encode_exact(QP, b"a\nb\r\nc", b"\n"), b"a\nb=0D\nc");
        assert_eq!(encode(B64, b"hello", b"\n"), b"aGVsbG8=\n");
        assert_eq!(encode(B64, b"", b"\n"), b"");
        assert_eq!(encode(B64, &[0; 58], b"\r\n").len(), 76 + 2 + 4 + 2);
        assert_eq!(encode(Encoding::EightBit, b"\xff\n", b"\r\n"), b"\xff\n");
    }

    #[test]
    fn legality() {
        use Encoding::{Base64, Binary, EightBit, QuotedPrintable, SevenBit, Unknown};
        let long = "x".repeat(999);
        let just = "x".repeat(998) + "\r\n";
        for (encoding, content, legal) in [
            (SevenBit, &b"a\r\n"[..], SevenBit),
            (SevenBit, b"a\n", Base64),
            (SevenBit, "café au lait".as_bytes(), QuotedPrintable),
            (SevenBit, "漢字".as_bytes(), Base64),
            (SevenBit, long.as_bytes(), QuotedPrintable),
            (SevenBit, just.as_bytes(), SevenBit),
            (SevenBit, b"a\0", Base64),
            (SevenBit, b"a\rb", Base64),
            (SevenBit, b"a\r\nb\n", Base64),
            (EightBit, "漢字".as_bytes(), EightBit),
            (EightBit, long.as_bytes(), QuotedPrintable),
            (EightBit, b"a\0", Base64),
            (QuotedPrintable, b"a\0", QuotedPrintable),
            (Base64, b"a", Base64),
            (Binary, b"a\0", Binary),
            (Binary, long.as_bytes(), Binary),
            (Binary, b"a\r\n", Binary),
            // T175
            (Binary, b"a\n", Base64),
            (Binary, b"a\rb", Base64),
            (EightBit, b"a\nb", Base64),
            (Unknown, b"a\0", Unknown),
        ] {
            assert_eq!(
                smallest_legal(encoding, content, b"\r\n"),
                legal,
                "{}",
                String::from_utf8_lossy(content)
            );
        }
        for (encoding, content, legal) in [
            (SevenBit, "a\n", SevenBit),
            (Binary, "a\n", Binary),
            (SevenBit, "a\r\n", SevenBit),
            (Binary, "a\rb", Base64),
            (SevenBit, "a\r\nb\n", Base64),
        ] {
            let found = smallest_legal(encoding, content.as_bytes(), b"\n");
            assert_eq!(found, legal, "{content:?}");
        }
    }

    #[test]
    fn splicing() {
        let full = "x".repeat(76);
        let cut = format!("{}=\r\nx=\r\nY", "x".repeat(75));
        for (encoding, raw, at, insert, result) in [
            (Encoding::SevenBit, "ab", 1, "X", Some("aXb")),
            (Encoding::SevenBit, "ab", 9, "X", Some("abX")),
            (Encoding::Unknown, "ab", 1, "X", None),
            (QP, "ab\r\n", 4, "X\r\n", Some("ab\r\nX\r\n")),
            (QP, "ab", 2, "\r\nX", Some("ab\r\nX")),
            (QP, "ab ", 2, "\r\nX", Some("ab\r\nX ")),
            (QP, "ab=20", 3, "\r\nX", Some("ab=20\r\nX")),
            (QP, "a b", 2, "\r\nX\r\n", Some("a =\r\n\r\nX\r\nb")),
            (QP, "ab", 1, "X", Some("a=\r\nX=\r\nb")),
            (
                QP,
                "a=C3=A9b",
                1,
                "\u{e9}\r\n",
                Some("a=\r\n=C3=A9\r\n=C3=A9b"),
            ),
            (QP, "a=\r\nb", 1, "X", Some("a=\r\nX=\r\nb")),
            (QP, "ab=\r\n", 2, "X", Some("ab=\r\nX")),
            (QP, "a  \r\nb", 1, "X", Some("a=\r\nX=\r\n  \r\nb")),
            (QP, "a\r\nb", 2, "X", Some("a=\r\nX\r\nb")),
            (QP, "", 0, "X", Some("X")),
            (QP, &full, 76, "Y", Some(&cut)),
            (QP, "=ZZ", 0, "X", None),
            (QP, "a\r\n=ZZ", 1, "X", None),
            (B64, "aGVsbG8=\r\n", 5, " you", Some("aGVsbG8geW91\r\n")),
            (B64, "aGVsbG8=", 0, "x", Some("eGhlbGxv")),
            (
                B64,
                "aGVs\r\nbG8h\r\nYWJj\r\n",
                3,
                "xyz",
                Some("aGVs\r\neHl6\r\nbG8h\r\nYWJj\r\n"),
            ),
            (B64, "", 0, "x", Some("eA==\r\n")),
            (B64, "aGVsbG8", 0, "x", None),
            (B64, "!aGVsbG8=", 5, "x", None),
        ] {
            let got = splice(encoding, raw.as_bytes(), at, insert.as_bytes(), b"\r\n").ok();
            let got = got.as_deref().map(String::from_utf8_lossy);
            assert_eq!(got.as_deref(), result, "{raw:?} {at} {insert:?}");
        }
    }

    fn qp_like() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just("a"),
            Just("some words "),
            Just(" "),
            Just("\t"),
            Just("=C3=A9"),
            Just("=3d"),
            Just("=\r\n"),
            Just("= \r\n"),
            Just("\r\n"),
            Just("."),
            Just("From "),
            Just("é"),
            Just("0123456789012345678901234567890123456789012345678901234567890123456789")
        ];
        proptest::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat().into_bytes())
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just("a"),
            Just("word "),
            Just(" "),
            Just("\t"),
            Just("é"),
            Just("漢𝄞"),
            Just("="),
            Just("\r\n"),
            Just("."),
            Just("From "),
            Just("0123456789012345678901234567890123456789012345678901234567890123456789")
        ];
        proptest::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat().into_bytes())
    }

    fn longest_line(raw: &[u8]) -> usize {
        raw.split(|b| *b == b'\n')
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line).len())
            .max()
            .unwrap_or(0)
    }

    proptest! {
        #[test]
        fn counting_counts(octets in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), any::<u8>()], 0..300)) {
            prop_assert_eq!(count(&octets, |b, _| b >> 7), octets.iter().filter(|b| !b.is_ascii()).count());
            let pairs = octets.windows(2).filter(|w| *w == b"\r\n").count();
            prop_assert_eq!(count(&octets, |b, next| u8::from((b == b'\r') & (next == b'\n'))), pairs);
        }

        #[test]
        fn long_lines_are_found(lens in proptest::collection::vec(prop_oneof![0usize..10, 990usize..1005], 0..8), lf: bool) {
            let lines: Vec<String> = lens.iter().map(|len| "x".repeat(*len)).collect();
            let text = lines.join(if lf { "\n" } else { "\r\n" });
            prop_assert_eq!(has_long_line(text.as_bytes()), lens.iter().any(|len| *len > RAW_LINE_MAX));
        }

        #[test]
        fn encoded_decodes_to_itself(content: Vec<u8>, lf: bool) {
            let newline: &[u8] = if lf { b"\n" } else { b"\r\n" };
            for encoding in [QP, B64] {
                let raw = encode_exact(encoding, &content, newline);
                prop_assert!(raw.is_ascii() && longest_line(&raw) <= LINE_MAX);
                prop_assert_eq!(decode(encoding, &raw).unwrap(), &content[..]);
                prop_assert_eq!(decoded_len(encoding, &raw).unwrap(), content.len() as u64);
            }
        }

        #[test]
        fn written_text_is_fit_for_the_wire(content in text()) {
            let raw = encode(QP, &content, b"\r\n");
            prop_assert_eq!(decode(QP, &raw).unwrap(), &content[..]);
            prop_assert!(raw.is_ascii() && longest_line(&raw) <= LINE_MAX);
            for line in raw.split(|b| *b == b'\n') {
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                prop_assert!(!line.starts_with(b"From ") && !line.starts_with(b"."));
                prop_assert!(!matches!(line.last(), Some(b' ' | b'\t')));
                let soft = line.strip_suffix(b"=").unwrap_or(line);
                let octets = decode(QP, soft).unwrap();
                prop_assert!(std::str::from_utf8(&octets).is_ok(), "a character split");
            }
            let theirs = quoted(&raw);
            prop_assert_eq!(theirs, content);
        }

        #[test]
        fn decoders_agree_with_mailparse(content in text()) {
            let raw = encode(B64, &content, b"\r\n");
            prop_assert_eq!(by_mailparse("base64", &raw), content);
        }

        #[test]
        fn sinks_agree(raw in proptest::collection::vec(prop_oneof![Just(b'='), Just(b'\r'), Just(b'\n'), Just(b' '), Just(b'A'), Just(b'4'), any::<u8>()], 0..60)) {
            for encoding in [QP, B64] {
                let whole = decode(encoding, &raw).ok().map(Cow::into_owned);
                prop_assert_eq!(decoded_len(encoding, &raw).ok(), whole.as_ref().map(|w| w.len() as u64));
                let mut sink = Vec::new();
                let written = decode_into(encoding, &raw, &mut sink).ok();
                prop_assert_eq!(written.map(|_| sink), whole);
            }
        }

        #[test]
        fn a_splice_inserts_and_no_more(
            raw in qp_like(), content in text(), insert in text(), place in any::<proptest::sample::Index>(), width in 1usize..20
        ) {
            let mut base64 = Vec::new();
            write_base64(&mut base64, &content, 0, width * 4, b"\r\n");
            for (encoding, raw) in [(QP, &raw), (B64, &base64), (Encoding::EightBit, &content)] {
                let old = decode(encoding, raw).unwrap().into_owned();
                let mut at = place.index(old.len() + 1);
                if encoding == QP && at > 0 && old.get(at - 1..at + 1) == Some(b"\r\n") {
                    at -= 1;
                }
                let new = splice(encoding, raw, at, &insert, b"\r\n").unwrap();
                let expected = [&old[..at], &insert, &old[at..]].concat();
                let decoded = decode(encoding, &new).unwrap();
                prop_assert_eq!(
                    String::from_utf8_lossy(&decoded), String::from_utf8_lossy(&expected), "{:?} {:?}", at, String::from_utf8_lossy(&new)
                );
                if insert.is_empty() {
                    prop_assert_eq!(&new, raw);
                    continue;
                }
                let common = raw.iter().zip(&new).take_while(|(a, b)| a == b).count();
                match encoding {
                    QP => {
                        prop_assert!(longest_line(&new) <= longest_line(raw).max(LINE_MAX), "{}", String::from_utf8_lossy(&new));
                        let before = &raw[..qp_place(raw, at).unwrap()];
                        let line = &before[memrchr(b'\n', before).map_or(0, |lf| lf + 1)..];
                        let moved = if line.len() >= LINE_MAX { last_character(line) } else { 0 };
                        prop_assert!(common >= before.len() - moved, "raw octets before the place are kept");
                    }
                    B64 => {
                        prop_assert!(longest_line(&new) <= longest_line(raw).max(LINE_MAX));
                        let digits = raw[..common].iter().filter(|b| !b.is_ascii_whitespace()).count();
                        prop_assert!(digits >= at / 3 * 4);
                    }
                    _ => prop_assert!(common >= at),
                }
            }
        }
    }

    fn by_mailparse(encoding: &str, raw: &[u8]) -> Vec<u8> {
        let ctype = mailparse::parse_content_type("application/octet-stream");
        match mailparse::body::Body::new(raw, &ctype, &Some(encoding.to_owned())) {
            mailparse::body::Body::Base64(body) | mailparse::body::Body::QuotedPrintable(body) => {
                body.get_decoded().unwrap()
            }
            _ => Vec::new(),
        }
    }

    fn quoted(raw: &[u8]) -> Vec<u8> {
        by_mailparse("quoted-printable", raw)
    }
}
