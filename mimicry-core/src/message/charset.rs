//! Charsets: strict conversion between octets and text, for editing, and a tolerant one, for filters.
//!
//! encoding_rs implements the Encoding Standard of the web, where `us-ascii` and `iso-8859-1` are other
//! names of windows-1252, unmappable characters become `&#n;` and UTF-16 "encodes" to UTF-8. For mail
//! that would be wrong under the declared label, so this file keeps the label's own meaning wherever
//! text is written, and proves each encoding by decoding it again.
//!
//! Must never: replace or drop a character in [`Charset::decode`] or [`Charset::encode`]; both say
//! `None` instead. Only [`Charset::decode_for_matching`] replaces.
//!
//! A leading byte order mark stays in the decoded text as U+FEFF, so that decoding and encoding are
//! inverse to each other.
//!
//! Time and memory are linear in the octets, for every label.
//!
//! Known limits: UTF-7 is read, never written; UTF-32, HZ and ISO-2022-KR/CN are unknown labels.

use std::borrow::Cow;

use encoding_rs::{EncoderResult, Encoding};

mod reader;
#[cfg(test)]
mod tests;
mod utf7;

pub(in crate::message) use reader::Reader;

/// U+FEFF at the start of a text: the byte order mark.
pub const BOM: char = '\u{feff}';

/// A charset as a label in a mail means it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charset(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ascii,
    /// Read as windows-1252, as every mail program does; written as ISO 8859-1.
    Latin1,
    Utf7,
    Utf16(Order),
    /// `repertoire` narrows what may be written where the label names less than encoding_rs writes.
    Other {
        encoding: &'static Encoding,
        name: &'static str,
        repertoire: Repertoire,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
    /// The bare label `utf-16`: only a byte order mark tells.
    FromMark,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repertoire {
    Whole,
    /// The ISO set under a Windows superset: no octet 0x80..=0x9f.
    NoC1,
    /// The 94×94 set under a superset (GBK, UHC): high octets come in pairs of 0xa1..=0xfe.
    Euc94,
    /// GBK as everybody else knows it: the euro sign is not the single octet 0x80.
    NoOctet80,
}

const ASCII_LABELS: &[&str] = &[
    "us-ascii",
    "ascii",
    "us",
    "ansi_x3.4-1968",
    "ansi_x3.4-1986",
    "iso646-us",
    "iso_646.irv:1991",
    "iso-ir-6",
    "ibm367",
    "cp367",
    "csascii",
];
const LATIN1_LABELS: &[&str] = &[
    "iso-8859-1",
    "iso8859-1",
    "iso88591",
    "iso_8859-1",
    "iso_8859-1:1987",
    "iso-ir-100",
    "latin1",
    "l1",
    "cp819",
    "ibm819",
    "csisolatin1",
];
const UTF7_LABELS: &[&str] = &["utf-7", "unicode-1-1-utf-7", "csunicode11utf7"];
const WINDOWS_1252_LABELS: &[&str] = &["windows-1252", "cp1252", "x-cp1252"];

impl Charset {
    /// UTF-8, the charset to which a part is raised when its own cannot hold a text.
    pub const UTF_8: Charset = Charset(Kind::Other {
        encoding: encoding_rs::UTF_8,
        name: "utf-8",
        repertoire: Repertoire::Whole,
    });
    /// What a missing label means (RFC 2045 5.2).
    pub const US_ASCII: Charset = Charset(Kind::Ascii);

    /// The charset that a label names, in any case and between blanks; `None` when nobody here knows it.
    pub fn for_label(label: &[u8]) -> Option<Charset> {
        let label = label.trim_ascii();
        let is = |names: &[&str]| {
            names
                .iter()
                .any(|n| label.eq_ignore_ascii_case(n.as_bytes()))
        };
        if is(ASCII_LABELS) {
            return Some(Charset(Kind::Ascii));
        }
        if is(LATIN1_LABELS) {
            return Some(Charset(Kind::Latin1));
        }
        if is(UTF7_LABELS) {
            return Some(Charset(Kind::Utf7));
        }
        let encoding = Encoding::for_label_no_replacement(label)?;
        if encoding == encoding_rs::UTF_16LE {
            let little = label.eq_ignore_ascii_case(b"utf-16le");
            return Some(Charset(Kind::Utf16(if little {
                Order::Little
            } else {
                Order::FromMark
            })));
        }
        if encoding == encoding_rs::UTF_16BE {
            return Some(Charset(Kind::Utf16(Order::Big)));
        }
        if encoding == encoding_rs::X_USER_DEFINED {
            return None; // private use characters: a device of the web, not a charset
        }
        // What is left under windows-1252 besides its own names are further aliases of the two above.
        if encoding == encoding_rs::WINDOWS_1252 && !is(WINDOWS_1252_LABELS) {
            return Some(Charset(Kind::Latin1));
        }
        let iso_name = |iso: &'static str, windows: &[&str]| {
            if is(windows) {
                (encoding.name(), Repertoire::Whole)
            } else {
                (iso, Repertoire::NoC1)
            }
        };
        let (name, repertoire) = if encoding == encoding_rs::WINDOWS_1254 {
            iso_name("iso-8859-9", &["windows-1254", "cp1254", "x-cp1254"])
        } else if encoding == encoding_rs::WINDOWS_874 {
            iso_name("tis-620", &["windows-874", "dos-874"])
        } else if encoding == encoding_rs::GBK {
            if is(&["gbk", "x-gbk", "cp936", "ms936", "windows-936"]) {
                ("gbk", Repertoire::NoOctet80)
            } else {
                ("gb2312", Repertoire::Euc94)
            }
        } else if encoding == encoding_rs::EUC_KR {
            if is(&["windows-949"]) {
                ("windows-949", Repertoire::Whole)
            } else {
                ("euc-kr", Repertoire::Euc94)
            }
        } else if encoding == encoding_rs::UTF_8 {
            return Some(Charset::UTF_8);
        } else {
            (encoding.name(), Repertoire::Whole)
        };
        Some(Charset(Kind::Other {
            encoding,
            name,
            repertoire,
        }))
    }

    /// The usual name, fit for a `charset` parameter.
    pub fn name(&self) -> &'static str {
        match self.0 {
            Kind::Ascii => "us-ascii",
            Kind::Latin1 => "iso-8859-1",
            Kind::Utf7 => "utf-7",
            Kind::Utf16(Order::Little) => "utf-16le",
            Kind::Utf16(Order::Big) => "utf-16be",
            Kind::Utf16(Order::FromMark) => "utf-16",
            Kind::Other { name, .. } => name,
        }
    }

    /// The charset of just these octets: the bare `utf-16` becomes the byte order that its mark names
    /// (and stays what it is without one); everything else is itself.
    pub fn resolve(self, octets: &[u8]) -> Charset {
        match self.0 {
            Kind::Utf16(Order::FromMark) if octets.starts_with(&[0xff, 0xfe]) => {
                Charset(Kind::Utf16(Order::Little))
            }
            Kind::Utf16(Order::FromMark) if octets.starts_with(&[0xfe, 0xff]) => {
                Charset(Kind::Utf16(Order::Big))
            }
            _ => self,
        }
    }

    /// True when an octet below 0x80 that is no trail octet of a longer character always means ASCII.
    pub fn is_ascii_superset(&self) -> bool {
        match self.0 {
            Kind::Ascii | Kind::Latin1 => true,
            Kind::Utf7 | Kind::Utf16(_) => false,
            Kind::Other { encoding, .. } => encoding.is_ascii_compatible(),
        }
    }

    /// True when `<` `>` `/` `"` `'` `=` `&`, blanks and line ends can be searched on the octets, and ASCII text
    /// inserted beside them: trail octets of Shift_JIS, GBK, GB18030, Big5 and UHC are digits or lie
    /// above 0x3f, those of the EUC sets and UTF-8 above 0x7f.
    pub fn markup_safe(&self) -> bool {
        self.is_ascii_superset()
    }

    /// True when CR and LF octets are line ends of the text and nothing else: in all but UTF-16.
    pub fn has_octet_lines(&self) -> bool {
        !matches!(self.0, Kind::Utf16(_))
    }

    /// The text, or `None` when one octet is no text in this charset.
    ///
    /// Also `None`: us-ascii with octets above 0x7f or with ISO 2022 escapes, bare utf-16 without a
    /// byte order mark, a mark that contradicts the label, ISO-2022-JP that does not end in ASCII.
    pub fn decode<'a>(&self, octets: &'a [u8]) -> Option<Cow<'a, str>> {
        if let Some(text) = self.borrowed(octets) {
            return Some(Cow::Borrowed(text));
        }
        // Counted first: a guess would be three times the octets, and those may be a large mail's.
        let mut length = 0usize;
        let mut reader = self.reader();
        reader.push(octets, &mut |piece| {
            length = length.saturating_add(piece.len())
        });
        if !reader.finish(&mut |piece| length = length.saturating_add(piece.len())) {
            return None;
        }
        let mut text = Vec::with_capacity(length);
        let mut reader = self.reader();
        reader.push(octets, &mut |piece| text.extend_from_slice(piece));
        reader.finish(&mut |piece| text.extend_from_slice(piece));
        String::from_utf8(text).ok().map(Cow::Owned)
    }

    /// The octets themselves where they are the text already: ASCII, and UTF-8.
    pub fn borrowed<'a>(&self, octets: &'a [u8]) -> Option<&'a str> {
        self.may_own(octets)
            .then(|| std::str::from_utf8(octets).ok())?
    }

    /// As [`Charset::borrowed`], for octets that are kept; they come back where they are not the text.
    pub fn owned<'a>(&self, octets: Cow<'a, [u8]>) -> Result<Cow<'a, str>, Cow<'a, [u8]>> {
        if !self.may_own(&octets) {
            return Err(octets);
        }
        match octets {
            Cow::Borrowed(octets) => match std::str::from_utf8(octets) {
                Ok(text) => Ok(Cow::Borrowed(text)),
                Err(_) => Err(Cow::Borrowed(octets)),
            },
            Cow::Owned(octets) => match String::from_utf8(octets) {
                Ok(text) => Ok(Cow::Owned(text)),
                Err(error) => Err(Cow::Owned(error.into_bytes())),
            },
        }
    }

    /// Are the octets the text already, if they are UTF-8.
    fn may_own(&self, octets: &[u8]) -> bool {
        match self.0 {
            Kind::Ascii => self.is_text(octets),
            Kind::Latin1 => octets.is_ascii(),
            Kind::Utf7 => octets.is_ascii() && memchr::memchr(b'+', octets).is_none(),
            Kind::Utf16(order) => octets.is_empty() && order != Order::FromMark,
            Kind::Other { encoding, .. } if encoding == encoding_rs::UTF_8 => true,
            Kind::Other { encoding, .. } if encoding == encoding_rs::ISO_2022_JP => {
                octets.is_ascii() && memchr::memchr3(0x1b, 0x0e, 0x0f, octets).is_none()
            }
            Kind::Other { encoding, .. } => encoding.is_ascii_compatible() && octets.is_ascii(),
        }
    }

    /// The text for filters: what is broken becomes U+FFFD, 8-bit octets under us-ascii are read as
    /// UTF-8 or else as windows-1252, a leading byte order mark is dropped.
    pub fn decode_for_matching<'a>(&self, octets: &'a [u8]) -> Cow<'a, str> {
        match self.0 {
            Kind::Ascii => decode_unlabelled(octets),
            Kind::Latin1 => {
                encoding_rs::WINDOWS_1252
                    .decode_without_bom_handling(octets)
                    .0
            }
            Kind::Utf7 => Cow::Owned(utf7_for_matching(octets)),
            Kind::Utf16(order) => {
                let encoding = match self.resolve(octets).0 {
                    Kind::Utf16(Order::Little) => encoding_rs::UTF_16LE,
                    Kind::Utf16(Order::Big) => encoding_rs::UTF_16BE,
                    // No mark: where the zero octets of ASCII characters lie tells the order.
                    _ => {
                        debug_assert_eq!(order, Order::FromMark);
                        let zeros = |odd: usize| {
                            octets
                                .iter()
                                .skip(odd)
                                .step_by(2)
                                .take(2048)
                                .filter(|&&b| b == 0)
                                .count()
                        };
                        if zeros(1) > zeros(0) {
                            encoding_rs::UTF_16LE
                        } else {
                            encoding_rs::UTF_16BE
                        }
                    }
                };
                encoding.decode_with_bom_removal(octets).0
            }
            Kind::Other { encoding, .. } => encoding.decode_with_bom_removal(octets).0,
        }
    }

    /// The octets, or `None` when one character cannot be written in this charset (bare utf-16 and
    /// UTF-7 never can: resolve the first, leave the second).
    pub fn encode(&self, text: &str) -> Option<Vec<u8>> {
        match self.0 {
            Kind::Ascii => {
                let octets = text.as_bytes().to_vec();
                self.decode(&octets).is_some().then_some(octets)
            }
            Kind::Latin1 => {
                let octet = |c| u8::try_from(c).ok().filter(|b| !(0x80..0xa0).contains(b));
                let mut octets = Vec::with_capacity(text.chars().count());
                for c in text.chars() {
                    octets.push(octet(c)?);
                }
                Some(octets)
            }
            Kind::Utf7 | Kind::Utf16(Order::FromMark) => None,
            Kind::Utf16(order) => {
                let octets_of = match order {
                    Order::Big => u16::to_be_bytes,
                    _ => u16::to_le_bytes,
                };
                let mut octets = Vec::with_capacity(text.encode_utf16().count().saturating_mul(2));
                text.encode_utf16()
                    .for_each(|unit| octets.extend_from_slice(&octets_of(unit)));
                Some(octets)
            }
            Kind::Other {
                encoding,
                repertoire,
                ..
            } => {
                if encoding == encoding_rs::UTF_8 {
                    return Some(text.as_bytes().to_vec());
                }
                let mut length = 0usize;
                if !encode_in_pieces(encoding, text, &mut |piece| {
                    length = length.saturating_add(piece.len())
                }) {
                    return None;
                }
                let mut octets = Vec::with_capacity(length);
                encode_in_pieces(encoding, text, &mut |piece| octets.extend_from_slice(piece));
                // The round trip catches the quiet changes of the web's encoders: the yen sign to a
                // backslash in Shift_JIS, half-width katakana to full-width in ISO-2022-JP.
                let exact = repertoire.holds(&octets) && self.reads(&[&octets], &[text]);
                exact.then_some(octets)
            }
        }
    }

    /// Octets that `prefix`, the start of a decoded text, came from, if the usual way to write it was used.
    ///
    /// A guess: who relies on it decodes that many octets and compares.
    pub(super) fn octets_of(&self, prefix: &str) -> Option<usize> {
        match self.0 {
            Kind::Ascii => Some(prefix.len()),
            Kind::Latin1 => Some(prefix.chars().count()),
            Kind::Other { encoding, .. } if encoding.is_single_byte() => {
                Some(prefix.chars().count())
            }
            Kind::Other { encoding, .. } if encoding == encoding_rs::UTF_8 => Some(prefix.len()),
            Kind::Other { encoding, .. } => {
                let mut length = 0usize;
                let mut count = |piece: &[u8]| length = length.saturating_add(piece.len());
                encode_in_pieces(encoding, prefix, &mut count).then_some(length)
            }
            Kind::Utf7 | Kind::Utf16(Order::FromMark) => None,
            Kind::Utf16(_) => Some(prefix.encode_utf16().count().saturating_mul(2)),
        }
    }
}

impl Repertoire {
    fn holds(self, octets: &[u8]) -> bool {
        match self {
            Repertoire::Whole => true,
            Repertoire::NoC1 => !octets.iter().any(|b| (0x80..0xa0).contains(b)),
            Repertoire::NoOctet80 => {
                let mut rest = octets.iter();
                while let Some(&b) = rest.next() {
                    if b == 0x80 {
                        return false;
                    }
                    if b > 0x80 {
                        rest.next();
                    }
                }
                true
            }
            Repertoire::Euc94 => {
                let mut rest = octets.iter();
                while let Some(b) = rest.next() {
                    let graphic = |b: &u8| (0xa1..=0xfe).contains(b);
                    if *b >= 0x80 && !(graphic(b) && rest.next().is_some_and(graphic)) {
                        return false;
                    }
                }
                true
            }
        }
    }
}

/// Text of octets that nobody labelled: UTF-8, or else windows-1252, which takes any octet.
pub fn decode_unlabelled(octets: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(octets) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            encoding_rs::WINDOWS_1252
                .decode_without_bom_handling(octets)
                .0
        }
    }
}

/// The encoding of UTF-16 that begins with these octets; `None` where the mark is missing or contradicts the label.
fn utf16_of(order: Order, octets: &[u8]) -> Option<&'static Encoding> {
    match (order, octets) {
        (Order::Little, [0xfe, 0xff, ..]) | (Order::Big, [0xff, 0xfe, ..]) => None,
        (Order::Little, _) | (Order::FromMark, [0xff, 0xfe, ..]) => Some(encoding_rs::UTF_16LE),
        (Order::Big, _) | (Order::FromMark, [0xfe, 0xff, ..]) => Some(encoding_rs::UTF_16BE),
        (Order::FromMark, _) => None,
    }
}

/// What is broken is replaced, and a byte order mark dropped.
fn utf7_for_matching(octets: &[u8]) -> String {
    let mut reader = utf7::Utf7::default();
    let mut text = String::new();
    let mut put = |character| text.push(character);
    for octet in octets {
        reader.push(*octet, &mut put);
    }
    reader.end(&mut put);
    if text.starts_with(BOM) {
        text.remove(0);
    }
    text
}

/// Encodes through a buffer of fixed size; false at the first character that the encoding has not.
fn encode_in_pieces(encoding: &'static Encoding, text: &str, out: &mut impl FnMut(&[u8])) -> bool {
    let mut encoder = encoding.new_encoder();
    let mut buffer = [0; 4096];
    let mut rest = text;
    loop {
        let (result, read, written) =
            encoder.encode_from_utf8_without_replacement(rest, &mut buffer, true);
        out(buffer.get(..written).unwrap_or_default());
        rest = rest.get(read..).unwrap_or_default();
        match result {
            EncoderResult::InputEmpty => return true,
            EncoderResult::OutputFull => {}
            EncoderResult::Unmappable(_) => return false,
        }
    }
}
