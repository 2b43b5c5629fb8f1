//! UTF-7 (RFC 2152), read octet by octet; encoding_rs has no such charset.
//!
//! Each octet is looked at once and yields at most two characters, and only a few bits are kept between two octets:
//! time and memory are bounded whatever the octets are.
//!
//! Must never: write UTF-7, or take something broken for text without saying so.

/// Stands for octets that are not valid in the charset.
const BROKEN: char = char::REPLACEMENT_CHARACTER;

/// A reader between two octets.
#[derive(Debug, Clone, Default)]
pub(super) struct Utf7 {
    /// Behind a plus sign.
    shifted: bool,
    /// Nothing stands after the plus sign so far.
    empty: bool,
    /// The last `held` bits that make no unit of UTF-16 yet.
    bits: u32,
    held: u32,
    /// The first half of a surrogate pair.
    high: Option<u16>,
}

impl Utf7 {
    /// The next octet; false if it shows that the octets are no text.
    pub(super) fn push(&mut self, octet: u8, out: &mut impl FnMut(char)) -> bool {
        if !self.shifted {
            return self.direct(octet, out);
        }
        if let Some(bits) = base64(octet) {
            self.empty = false;
            self.bits = self.bits << 6 | bits;
            self.held += 6;
            if self.held < 16 {
                return true;
            }
            self.held -= 16;
            let unit = u16::try_from(self.bits >> self.held).unwrap_or_default();
            self.bits &= (1 << self.held) - 1;
            return self.unit(unit, out);
        }
        if octet == b'-' && self.empty {
            self.shifted = false;
            out('+');
            return true;
        }
        let is_whole = self.end(out);
        is_whole & (octet == b'-' || self.direct(octet, out))
    }

    /// The end of the text, or of what stands after a plus sign; false if something is missing.
    pub(super) fn end(&mut self, out: &mut impl FnMut(char)) -> bool {
        let Utf7 {
            shifted,
            empty,
            bits,
            held,
            high,
        } = std::mem::take(self);
        // RFC 2152: the bits that are left over are zero, and fewer than make a character of base64.
        let is_whole = !shifted || !(empty || high.is_some() || held >= 6 || bits != 0);
        if !is_whole {
            out(BROKEN);
        }
        is_whole
    }

    fn direct(&mut self, octet: u8, out: &mut impl FnMut(char)) -> bool {
        match octet {
            b'+' => {
                self.shifted = true;
                self.empty = true;
                true
            }
            0..0x80 => {
                out(char::from(octet));
                true
            }
            _ => {
                out(BROKEN);
                false
            }
        }
    }

    fn unit(&mut self, unit: u16, out: &mut impl FnMut(char)) -> bool {
        let mut is_text = true;
        if let Some(high) = self.high.take() {
            if let Some(Ok(pair)) = char::decode_utf16([high, unit]).next() {
                out(pair);
                return true;
            }
            out(BROKEN);
            is_text = false;
        }
        match unit {
            0xd800..0xdc00 => self.high = Some(unit),
            _ => match char::from_u32(u32::from(unit)) {
                Some(character) => out(character),
                None => {
                    out(BROKEN);
                    is_text = false;
                }
            },
        }
        is_text
    }
}

fn base64(octet: u8) -> Option<u32> {
    let value = match octet {
        b'A'..=b'Z' => octet - b'A',
        b'a'..=b'z' => octet - b'a' + 26,
        b'0'..=b'9' => octet - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text with what is broken replaced, and whether nothing was.
    fn read(octets: &[u8]) -> (String, bool) {
        let mut reader = Utf7::default();
        let mut text = String::new();
        let mut put = |character| text.push(character);
        let mut whole = true;
        for octet in octets {
            whole &= reader.push(*octet, &mut put);
        }
        whole &= reader.end(&mut put);
        (text, whole)
    }

    #[test]
    fn texts() {
        for (octets, text) in [
            (&b""[..], ""),
            (b"Hi Mom -+Jjo--!", "Hi Mom -\u{263a}-!"),
            (b"A+ImIDkQ.", "A\u{2262}\u{391}."),
            (b"+ZeVnLIqe-", "日本語"),
            (b"+ZeVnLIqe", "日本語"),
            (b"Item 3 is +AKM-1.", "Item 3 is £1."),
            (b"+-", "+"),
            (b"+-+-a", "++a"),
            (b"+2DTdHg-", "𝄞"),
            (b"+IKw-+IKw-", "€€"),
            (b"+AGE-", "a"),
        ] {
            assert_eq!(read(octets), (text.to_string(), true), "{octets:?}");
        }
    }

    #[test]
    fn what_is_broken() {
        for (octets, text) in [
            (&b"caf\xe9"[..], "caf\u{fffd}"),
            (b"+", "\u{fffd}"),
            (b"+!", "\u{fffd}!"),
            (b"+A-", "\u{fffd}"),
            (b"+AG-", "\u{fffd}"),
            (b"+AGF-", "a\u{fffd}"),
            (b"+AGEA-", "a\u{fffd}"),
            (b"+2DQ-", "\u{fffd}"),
            (b"+2DQAYQ-", "\u{fffd}a"),
            (b"+3R4-", "\u{fffd}"),
            (b"+IKw\xff", "€\u{fffd}"),
        ] {
            assert_eq!(read(octets), (text.to_string(), false), "{octets:?}");
        }
    }

    // T177
    /// What an octet may cost does not depend on those before it.
    #[test]
    fn t177_an_octet_makes_two_characters_at_most_and_nothing_grows() {
        for piece in [
            &b"+"[..],
            b"A",
            b"+A",
            b"+-",
            b"+A-",
            b"+2DQ",
            b"\xff",
            b"+\xff",
            b"+AGE",
            b"=?",
        ] {
            let mut reader = Utf7::default();
            for octet in piece.iter().cycle().take(100_000) {
                let mut made = 0;
                reader.push(*octet, &mut |_| made += 1);
                assert!(made <= 2, "{piece:?}");
                assert!(reader.held < 16 && reader.bits < 1 << 16, "{piece:?}");
            }
        }
    }
}
