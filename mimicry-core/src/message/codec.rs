//! Content-Transfer-Encodings: decoding strictly, encoding, and inserting octets into an encoded body or cutting them out.
//!
//! `encoding`: their names · `base64`, `qp`: one coding each · `whole`: a whole body · `splice`: changes at a place · `sink`: where decoded octets go
//!
//! Our own code, because mailparse 0.18 takes `base64 ` for 7bit and, through quoted_printable, drops
//! 8-bit octets and trailing blanks, turns LF into CRLF and leaves `From ` and a lone `.` unprotected:
//! nothing could be written back from that. What decodes here loses no content when it is encoded again.
//!
//! Must never: decode half of a broken body ([`Malformed`] instead); touch a raw octet before the
//! place of a [`splice()`] (but for the one soft break that a full line needs).
//!
//! Known limits: uuencode, yEnc and other codings are [`Encoding::Unknown`], whose octets are the raw ones
//! and which nobody may edit.
//!
//! Positions and lengths are those of slices, so that a small sum of them cannot overflow.

mod base64;
mod encoding;
mod qp;
mod sink;
mod splice;
#[cfg(test)]
mod tests;
mod whole;

pub(super) use base64::into_base64;
pub(super) use encoding::LINE_MAX;
pub use encoding::{DecodeError, Encoding, Malformed, RAW_LINE_MAX};
pub(super) use qp::{Marks, without_blanks};
pub(super) use splice::splice_marked;
pub use splice::{cut, splice, without};
pub(super) use whole::decode_marked;
pub use whole::{
    decode, decode_into, decoded_len, encode, encode_exact, encode_onto, encoded_len,
    has_long_line, smallest_legal,
};
