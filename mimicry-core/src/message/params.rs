//! Structured field values, `value *( ";" attribute "=" value )`: Content-Type and Content-Disposition.
//!
//! Our own reader, because mailparse 0.18 takes the last of two equal parameters, leaves `filename*`
//! undecoded beside `filename`, is quadratic in the number of RFC 2231 sections and tells no positions,
//! without which a parameter cannot be changed with every other octet kept.
//!
//! [`read`] finds the parameters, [`value`] says what they mean, [`write`] changes one and makes new ones.
//!
//! Must never: change an octet outside the parameter it was asked to change.
//!
//! Known limits: a backslash in a quoted string escapes only `"` and `\` when a parameter is read as
//! text (file names hold Windows paths), any octet when it is read as octets (boundaries).
//!
//! Positions are offsets into a slice, so that adding a small constant to one cannot overflow.

mod read;
#[cfg(test)]
mod tests;
mod value;
mod write;

pub(super) use read::form;
pub(super) use value::{Form, Piece, percent_decode};
pub use value::{MAX_SECTIONS, Param, Params};
pub use write::{encode_filename_params, set};
