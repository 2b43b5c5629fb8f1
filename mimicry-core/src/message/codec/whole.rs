//! A whole body decoded, measured or encoded.
//!
//! Must never: decode half of a broken body ([`Malformed`] instead).

use std::borrow::Cow;
use std::io;

use memchr::{memchr, memchr_iter, memrchr};

use super::super::lines::lone;
use super::base64::{decode_base64, write_base64};
use super::encoding::{DecodeError, Encoding, LINE_MAX, Malformed, RAW_LINE_MAX};
use super::qp::{LineEnds, Marks, decode_qp, decode_qp_marked, write_qp};
use super::sink::{BUFFER, Buffered, Count, Sink, Stop};

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
    Ok(Cow::Owned(fitted(out)))
}

/// As [`decode`], with what a later [`super::splice_marked`] needs to find its place.
pub(in crate::message) fn decode_marked(
    encoding: Encoding,
    raw: &[u8],
) -> Result<(Cow<'_, [u8]>, Marks), Malformed> {
    if encoding != Encoding::QuotedPrintable {
        return Ok((decode(encoding, raw)?, Marks::default()));
    }
    let mut out = Vec::with_capacity(raw.len());
    let marks = decode_qp_marked(raw, &mut out).map_err(|_| Malformed)?;
    Ok((Cow::Owned(fitted(out)), marks))
}

/// Without much room that it does not need, if it is large.
fn fitted(mut out: Vec<u8>) -> Vec<u8> {
    if out.capacity() > BUFFER && out.len() < out.capacity() / 4 * 3 {
        out.shrink_to_fit();
    }
    out
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
    let mut out = Buffered::new(sink);
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
/// In chunks whose sum fits an octet, so that the compiler can take 16 or 32 at a time: 20 times as fast as counting. A sum that is looked at
/// for overflow, as all are by default, would be made one by one.
pub(super) fn count(octets: &[u8], one: impl Fn(u8, u8) -> u8) -> usize {
    const CHUNK: usize = 128;
    let behind = octets.get(1..).unwrap_or_default();
    let last = octets.last().map_or(0, |last| usize::from(one(*last, 0)));
    let sums = octets.chunks(CHUNK).zip(behind.chunks(CHUNK));
    let sums = sums.map(|(a, b)| {
        let ones = a.iter().zip(b).map(|(a, b)| one(*a, *b));
        usize::from(ones.fold(0u8, u8::wrapping_add))
    });
    sums.sum::<usize>() + last
}

fn run(encoding: Encoding, raw: &[u8], sink: &mut impl Sink) -> Result<(), Stop> {
    match encoding {
        Encoding::Base64 => decode_base64(raw, sink),
        Encoding::QuotedPrintable => decode_qp(raw, sink),
        _ => sink.octets(raw),
    }
}
