//! The content transfer encodings by name, and what can be wrong with a body.
//!
//! Must never: look at a body.

use std::io;

use memchr::memchr;
use thiserror::Error;

/// Longest line of quoted-printable and base64 (RFC 2045 6.7, 6.8), without its line end.
pub(in crate::message) const LINE_MAX: usize = 76;

/// Longest line of a mail (RFC 5322 2.1.1), without its line end.
pub const RAW_LINE_MAX: usize = 998;

/// A content transfer encoding (RFC 2045 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    SevenBit,
    EightBit,
    Binary,
    Base64,
    QuotedPrintable,
    /// A token that nobody here knows: the content is opaque, the body is never edited.
    Unknown,
}

/// The body is not what its transfer encoding says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the body is not in its declared transfer encoding")]
pub struct Malformed;

/// Why [`decode_into`] stopped.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// The sender's fault.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Ours: the sink took no more.
    #[error("cannot write the decoded body: {0}")]
    Write(#[from] io::Error),
}

impl Encoding {
    /// Reads a Content-Transfer-Encoding value: in any case, between blanks, cut at a blank, comment or
    /// semicolon. An empty value is 7bit.
    pub fn parse(value: &[u8]) -> Encoding {
        let mut value = value.trim_ascii();
        while let Some(comment) = value.strip_prefix(b"(") {
            let Some(end) = memchr(b')', comment) else {
                break;
            };
            value = comment
                .get(end + 1..)
                .unwrap_or_default()
                .trim_ascii_start();
        }
        let end = value
            .iter()
            .position(|b| b.is_ascii_whitespace() || matches!(b, b'(' | b';'));
        let token = value.get(..end.unwrap_or(value.len())).unwrap_or_default();
        let is = |name: &str| token.eq_ignore_ascii_case(name.as_bytes());
        if is("7bit") || token.is_empty() {
            Encoding::SevenBit
        } else if is("8bit") {
            Encoding::EightBit
        } else if is("binary") {
            Encoding::Binary
        } else if is("base64") {
            Encoding::Base64
        } else if is("quoted-printable") {
            Encoding::QuotedPrintable
        } else {
            Encoding::Unknown
        }
    }

    /// The token for a header; `x-unknown` stands for what cannot be written.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::SevenBit => "7bit",
            Encoding::EightBit => "8bit",
            Encoding::Binary => "binary",
            Encoding::Base64 => "base64",
            Encoding::QuotedPrintable => "quoted-printable",
            Encoding::Unknown => "x-unknown",
        }
    }

    /// True when the raw octets are the content.
    pub fn is_identity(self) -> bool {
        !matches!(self, Encoding::Base64 | Encoding::QuotedPrintable)
    }
}
