//! Bodies as a tolerant reader sees them: octets that do not decode are skipped, not refused.
//!
//! For questions only (is this part shown, is this text sealed): a wrong answer from a damaged coding would hide what a reader
//! sees. Must never: be used for octets that leave.

use std::borrow::Cow;

use super::codec::{self, Encoding};

/// The content, as far as it can be read. Linear in time.
pub(super) fn decode(encoding: Encoding, raw: &[u8]) -> Cow<'_, [u8]> {
    match (codec::decode(encoding, raw), encoding) {
        (Ok(content), _) => content,
        (Err(_), Encoding::Base64) => Cow::Owned(base64(raw)),
        (Err(_), Encoding::QuotedPrintable) => Cow::Owned(quoted_printable(raw)),
        (Err(_), _) => Cow::Borrowed(raw),
    }
}

fn base64(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len() / 4 * 3);
    base64_in_pieces(raw, &mut |piece| out.extend_from_slice(piece));
    out
}

/// Octets in a piece of what is decoded.
const PIECE: usize = 8 * 1024;

/// Other octets than those of the alphabet are passed over; padding ends a group and what follows it is read on.
pub(super) fn base64_in_pieces(raw: &[u8], sink: &mut dyn FnMut(&[u8])) {
    let mut piece = Vec::with_capacity(PIECE);
    let (mut bits, mut count) = (0u32, 0u32);
    for octet in raw {
        let value = match octet {
            b'A'..=b'Z' => octet - b'A',
            b'a'..=b'z' => octet - b'a' + 26,
            b'0'..=b'9' => octet - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => {
                (bits, count) = (0, 0);
                continue;
            }
            _ => continue,
        };
        bits = (bits << 6) | u32::from(value);
        count = count.saturating_add(6);
        if count >= 8 {
            count = count.saturating_sub(8);
            piece.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
        if piece.len() >= PIECE {
            sink(&piece);
            piece.clear();
        }
    }
    sink(&piece);
}

/// A `=` that begins no escape and no soft line break stands for itself.
fn quoted_printable(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'=' {
            out.push(*first);
            continue;
        }
        let blanks = tail
            .iter()
            .take_while(|octet| matches!(octet, b' ' | b'\t'))
            .count();
        let behind = tail.get(blanks..).unwrap_or_default();
        match (hex_pair(tail), behind) {
            (Some(octet), _) => {
                out.push(octet);
                rest = tail.get(2..).unwrap_or_default();
            }
            (None, [b'\r', b'\n', next @ ..] | [b'\n', next @ ..]) => rest = next,
            (None, []) => rest = behind,
            (None, _) => out.push(b'='),
        }
    }
    out
}

/// The octet that two hexadecimal digits stand for.
pub(super) fn hex_pair(text: &[u8]) -> Option<u8> {
    let [high, low, ..] = text else { return None };
    let digit = |octet: u8| char::from(octet).to_digit(16);
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_decode_is_passed_over() {
        for (encoding, raw, content) in [
            (Encoding::Base64, "Y2lk#OmFA\nYg==", "cid:a@b"),
            (Encoding::Base64, "Y2lkOg==\nYUBi!", "cid:a@b"),
            (Encoding::Base64, "####", ""),
            (Encoding::QuotedPrintable, "b=\"#f\" =C3=BC", "b=\"#f\" ü"),
            (Encoding::QuotedPrintable, "=zz a= \r\nb=", "=zz ab"),
            (Encoding::QuotedPrintable, "=3d=zz", "==zz"),
            (Encoding::SevenBit, "a=3D", "a=3D"),
        ] {
            let found = decode(encoding, raw.as_bytes());
            assert_eq!(String::from_utf8_lossy(&found), content, "{raw}");
        }
    }
}
