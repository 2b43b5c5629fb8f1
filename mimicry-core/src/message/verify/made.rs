//! Is what mimicry made true of its own header and of the standards.
//!
//! Must never: let pass what a reader would take for something else.

use std::io;

use super::mismatch::{Mismatch, fail, same};
use super::places::blank_line;
use crate::message::charset::{Charset, Reader};
use crate::message::codec::{self, Encoding};
use crate::message::compose::NewPart;
use crate::message::part::Part;
use crate::message::tree::Newline;

/// Octets on one line that SMTP lets pass, line end not counted (RFC 5321 section 4.5.3.1.6).
pub const MAX_LINE: usize = 998;

/// Is a new part there as it was made, and was it made well.
pub(super) fn new_part(
    place: Part<'_>,
    planned: &NewPart,
    found: Part<'_>,
) -> Result<(), Mismatch> {
    same(
        place,
        found.header() == planned.header,
        "the header of a new part is not as planned",
    )?;
    same(
        place,
        planned.body.is(found.body()),
        "the body of a new part is not as planned",
    )?;
    same(
        place,
        blank_line(found) == place.message().newline().as_bytes(),
        "a new part has no blank line",
    )?;
    same(
        place,
        found.media_type() == planned.media_type,
        "a new part is of another type",
    )?;
    same(
        place,
        !found.is_multipart() && !found.is_opaque(),
        "a new part is no leaf",
    )?;
    same(
        place,
        lines_are_clean(&planned.header, place.message().newline()),
        "a new header has a line that is too long or ends wrongly",
    )?;
    made_well(place, found, found.body(), true)
}

/// Is a body that mimicry made true of its own header (RFC 2045 sections 2 and 6). `new`: what is new of it, in whole lines of text
/// ([`super::window`]). `lines`: check their length and ends too, which may be as odd as those of the body that it replaces.
pub(super) fn made_well(
    place: Part<'_>,
    part: Part<'_>,
    new: &[u8],
    lines: bool,
) -> Result<(), Mismatch> {
    let encoding = part.encoding();
    match encoding {
        Encoding::SevenBit | Encoding::QuotedPrintable | Encoding::Base64 => {
            same(
                place,
                part.body().is_ascii(),
                "there is an 8-bit octet where the coding allows none",
            )?;
        }
        Encoding::EightBit | Encoding::Binary => {}
        Encoding::Unknown => return fail(place, "the transfer encoding is unknown"),
    }
    if lines && encoding != Encoding::Binary {
        same(
            place,
            lines_are_clean(new, place.message().newline()),
            "a line is too long or ends wrongly",
        )?;
    }
    if part.media_type().starts_with("text/") {
        let is_text = charset(part).is_some_and(|charset| is_text(charset, encoding, new));
        return same(place, is_text, "the new body is not text of its charset");
    }
    same(
        place,
        codec::decoded_len(encoding, new).is_ok(),
        "the new body does not decode",
    )
}

/// Is a body in this transfer encoding text of a charset. Without a second copy of a large one.
pub fn is_text(charset: Charset, encoding: Encoding, body: &[u8]) -> bool {
    let mut check = TextCheck(charset.reader());
    codec::decode_into(encoding, body, &mut check).is_ok() && check.0.finish(&mut |_| {})
}

/// The charset that the header of a text names.
pub fn charset(part: Part<'_>) -> Option<Charset> {
    match part.charset() {
        Some(label) => Charset::for_label(label.as_bytes()),
        None => Some(Charset::US_ASCII),
    }
}

/// Takes octets in pieces and refuses what is not the next of these.
pub(super) struct Expected<'o>(pub(super) &'o [u8]);

impl io::Write for Expected<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0 = self
            .0
            .strip_prefix(octets)
            .ok_or(io::ErrorKind::InvalidData)?;
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes octets in pieces and refuses what is no text.
pub(super) struct TextCheck(pub(super) Reader);

impl io::Write for TextCheck {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self.0.push(octets, &mut |_| {}) {
            true => Ok(octets.len()),
            false => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// No line over the limit, no line that ends otherwise than the message's lines do.
pub(super) fn lines_are_clean(octets: &[u8], newline: Newline) -> bool {
    let mut rest = octets;
    while !rest.is_empty() {
        let (line, tail) = match memchr::memchr(b'\n', rest) {
            Some(end) => rest
                .split_at_checked(end.saturating_add(1))
                .unwrap_or((rest, b"")),
            None => (rest, &b""[..]),
        };
        rest = tail;
        let text = match (line.strip_suffix(newline.as_bytes()), line.ends_with(b"\n")) {
            (Some(text), _) => text,
            (None, true) => return false,
            (None, false) => line,
        };
        if text.len() > MAX_LINE || (newline == Newline::Crlf && text.contains(&b'\r')) {
            return false;
        }
    }
    true
}
