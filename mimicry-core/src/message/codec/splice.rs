//! Octets put into an encoded body or cut out of it.
//!
//! Must never: code anew what stands before the place.

use std::ops::Range;

use super::base64::{rewrite_base64, splice_base64};
use super::encoding::{Encoding, Malformed};
use super::qp::{Marks, cut_qp, splice_qp, splice_qp_marked};
use super::whole::{decode, decoded_len, encode_exact};

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

/// As [`splice`], into a body that [`super::decode_marked`] has decoded: it is not decoded again.
pub(in crate::message) fn splice_marked(
    encoding: Encoding,
    (raw, marks): (&[u8], &Marks),
    at: usize,
    insert: &[u8],
    newline: &[u8],
) -> Result<Vec<u8>, Malformed> {
    match encoding {
        Encoding::QuotedPrintable if !insert.is_empty() => {
            splice_qp_marked(raw, marks, at, insert, newline)
        }
        _ => splice(encoding, raw, at, insert, newline),
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
