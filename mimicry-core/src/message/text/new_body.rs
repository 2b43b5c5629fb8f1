//! A body that replaces another one, and what is known of that one.
//!
//! Must never: say that a body is text which nobody has read.

use crate::message::charset::Charset;
use crate::message::codec::Encoding;

/// A body to put in the place of the old one, with what must change in the header for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewBody {
    /// In the transfer encoding.
    pub raw: Vec<u8>,
    /// The new charset label, if it had to change.
    pub charset: Option<String>,
    /// The new transfer encoding, if it had to change.
    pub encoding: Option<Encoding>,
    /// What is known of the body that it was made from; `None` in one that was made otherwise.
    pub was_text: Option<WasText>,
}

/// A body is text: in this transfer encoding, and of this charset. Only [`TextBody::read`](super::TextBody::read) says so. The proof need not read again
/// what an edit has left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WasText {
    encoding: Encoding,
    charset: Charset,
}

impl WasText {
    pub(super) fn new(encoding: Encoding, charset: Charset) -> WasText {
        WasText { encoding, charset }
    }

    /// Are a line end in the octets of that coding and a line end in the text of that charset the same, but for soft breaks: so that a
    /// line can be read without those around it. `encoding` and `charset` are those of the new body.
    pub(in crate::message) fn by_lines(self, encoding: Encoding, charset: Charset) -> bool {
        let lines = encoding.is_identity() || encoding == Encoding::QuotedPrintable;
        lines && charset.markup_safe() && (self.encoding, self.charset) == (encoding, charset)
    }
}
