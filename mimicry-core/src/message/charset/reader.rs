//! Reads octets of a charset strictly and piece by piece: are they text, and do they read as this text? So a large body
//! is judged without a second copy.
//!
//! Must never: judge differently from [`Charset::decode`], or hold more than a few octets and a buffer.
//!
//! encoding_rs decodes into a buffer of fixed size here: into a `String` it would fill the remaining room at each call,
//! which takes quadratic time.

use encoding_rs::{Decoder, DecoderResult};

use super::utf7::Utf7;
use super::{Charset, Kind, Order};

/// Octets of UTF-8 that are decoded at a time.
const BUFFER: usize = 8 * 1024;

/// A reader of one charset.
pub(in crate::message) struct Reader {
    form: Form,
    /// As large as was needed so far, up to [`BUFFER`].
    buffer: Vec<u8>,
    is_text: bool,
}

enum Form {
    Ascii {
        /// The last octet was an escape.
        escape: bool,
    },
    Utf7(Utf7),
    Web(Decoder),
    /// ISO-2022-JP, and the last escape sequence.
    Jp(Decoder, Vec<u8>),
    /// UTF-16 whose first octets have not come.
    Begin(Order, Vec<u8>),
}

impl Charset {
    pub(in crate::message) fn reader(&self) -> Reader {
        let web =
            |encoding: &'static encoding_rs::Encoding| encoding.new_decoder_without_bom_handling();
        let form = match self.0 {
            Kind::Ascii => Form::Ascii { escape: false },
            Kind::Latin1 => Form::Web(web(encoding_rs::WINDOWS_1252)),
            Kind::Utf7 => Form::Utf7(Utf7::default()),
            Kind::Utf16(order) => Form::Begin(order, Vec::new()),
            Kind::Other { encoding, .. } if encoding == encoding_rs::ISO_2022_JP => {
                Form::Jp(web(encoding), Vec::new())
            }
            Kind::Other { encoding, .. } => Form::Web(web(encoding)),
        };
        Reader {
            form,
            buffer: Vec::new(),
            is_text: true,
        }
    }

    /// Would [`Charset::decode`] find text in these octets.
    pub fn is_text(&self, octets: &[u8]) -> bool {
        let mut reader = self.reader();
        reader.push(octets, &mut |_| {});
        reader.finish(&mut |_| {})
    }

    /// Do these octets, one piece after the other, read as the pieces of this text.
    pub fn reads(&self, octets: &[&[u8]], text: &[&str]) -> bool {
        let mut pieces = text.iter().map(|piece| piece.as_bytes());
        let mut rest: &[u8] = b"";
        let mut is_same = true;
        let mut compare = |found: &[u8]| {
            let mut found = found;
            while is_same && !found.is_empty() {
                if rest.is_empty() {
                    match pieces.next() {
                        Some(piece) => rest = piece,
                        None => is_same = false,
                    }
                    continue;
                }
                let length = rest.len().min(found.len());
                let (ours, theirs) = (
                    rest.split_at_checked(length),
                    found.split_at_checked(length),
                );
                let (Some((ours, tail)), Some((theirs, behind))) = (ours, theirs) else {
                    is_same = false;
                    continue;
                };
                is_same &= ours == theirs;
                (rest, found) = (tail, behind);
            }
        };
        let mut reader = self.reader();
        for piece in octets {
            reader.push(piece, &mut compare);
        }
        let is_text = reader.finish(&mut compare);
        is_text && is_same && rest.is_empty() && pieces.all(<[u8]>::is_empty)
    }
}

impl Reader {
    /// The next octets; `out` gets the text in UTF-8, in pieces that may end within a character. False once they are no text.
    pub(in crate::message) fn push(&mut self, octets: &[u8], out: &mut impl FnMut(&[u8])) -> bool {
        if self.is_text {
            self.is_text = self.take(octets, out);
        }
        self.is_text
    }

    /// The end: was all of it text.
    pub(in crate::message) fn finish(mut self, out: &mut impl FnMut(&[u8])) -> bool {
        if !self.is_text {
            return false;
        }
        match &mut self.form {
            Form::Ascii { .. } => true,
            Form::Utf7(reader) => reader.end(&mut |_| {}),
            Form::Web(decoder) => web(decoder, b"", true, &mut self.buffer, out),
            // It must end in ASCII (RFC 1468); the Encoding Standard's decoder does not ask for it.
            Form::Jp(decoder, escape) => {
                (escape.is_empty() || escape == b"\x1b(B")
                    && web(decoder, b"", true, &mut self.buffer, out)
            }
            Form::Begin(order, head) => {
                let (order, head) = (*order, std::mem::take(head));
                self.form = match begin(order, &head) {
                    Some(decoder) => Form::Web(decoder),
                    None => return false,
                };
                self.push(&head, out);
                self.finish(out)
            }
        }
    }

    fn take(&mut self, octets: &[u8], out: &mut impl FnMut(&[u8])) -> bool {
        match &mut self.form {
            Form::Ascii { escape } => {
                // ISO 2022 under another name.
                let starts = *escape && matches!(octets.first(), Some(b'$' | b'('));
                let escapes = memchr::memchr_iter(0x1b, octets)
                    .any(|at| matches!(octets.get(at.wrapping_add(1)), Some(b'$' | b'(')));
                if let Some(last) = octets.last() {
                    *escape = *last == 0x1b;
                }
                let is_text = !starts && !escapes && octets.is_ascii();
                if is_text {
                    out(octets);
                }
                is_text
            }
            Form::Utf7(reader) => utf7(reader, octets, out),
            Form::Web(decoder) => web(decoder, octets, false, &mut self.buffer, out),
            Form::Jp(decoder, escape) => {
                match memchr::memrchr(0x1b, octets) {
                    Some(at) => {
                        escape.clear();
                        escape.extend(octets.iter().skip(at).take(3));
                    }
                    None if !escape.is_empty() => {
                        escape.extend(octets.iter().take(3usize.saturating_sub(escape.len())));
                    }
                    None => {}
                }
                web(decoder, octets, false, &mut self.buffer, out)
            }
            Form::Begin(order, head) => {
                let (first, rest) = octets
                    .split_at_checked(2usize.saturating_sub(head.len()))
                    .unwrap_or((octets, b""));
                head.extend_from_slice(first);
                if head.len() < 2 {
                    return true;
                }
                let (order, head) = (*order, std::mem::take(head));
                let Some(decoder) = begin(order, &head) else {
                    return false;
                };
                self.form = Form::Web(decoder);
                self.take(&head, out) && self.take(rest, out)
            }
        }
    }
}

/// The decoder for UTF-16 that begins with these octets.
fn begin(order: Order, head: &[u8]) -> Option<Decoder> {
    Some(super::utf16_of(order, head)?.new_decoder_without_bom_handling())
}

fn utf7(reader: &mut Utf7, octets: &[u8], out: &mut impl FnMut(&[u8])) -> bool {
    for piece in octets.chunks(BUFFER) {
        let mut text = String::with_capacity(piece.len().saturating_mul(3));
        let mut put = |character| text.push(character);
        if !piece.iter().all(|octet| reader.push(*octet, &mut put)) {
            return false;
        }
        out(text.as_bytes());
    }
    true
}

fn web(
    decoder: &mut Decoder,
    octets: &[u8],
    last: bool,
    buffer: &mut Vec<u8>,
    out: &mut impl FnMut(&[u8]),
) -> bool {
    // Three octets of UTF-8 for each, and room for what the decoder holds back: less, and it may not go on.
    let due = octets
        .len()
        .saturating_mul(3)
        .saturating_add(16)
        .min(BUFFER);
    if buffer.len() < due {
        buffer.resize(due, 0);
    }
    let mut rest = octets;
    loop {
        let (result, read, written) =
            decoder.decode_to_utf8_without_replacement(rest, buffer, last);
        out(buffer.get(..written).unwrap_or_default());
        rest = rest.get(read..).unwrap_or_default();
        match result {
            DecoderResult::InputEmpty => return true,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => return false,
        }
    }
}
