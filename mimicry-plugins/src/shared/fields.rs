//! What is known of header fields by their names.
//!
//! Must never: look at a value.

/// Fields that stand at most once (RFC 5322 section 3.6, and those of MIME).
pub const SINGLE: &[&str] = &[
    "date",
    "from",
    "sender",
    "reply-to",
    "to",
    "cc",
    "bcc",
    "message-id",
    "in-reply-to",
    "references",
    "subject",
    "mime-version",
    "return-path",
    "content-id",
    "content-description",
    "content-disposition",
];

/// Fields that only `force` changes.
pub const PROTECTED: &[&str] = &["received", "return-path", "from", "mime-version"];

/// Fields that change with the body only.
pub const OF_BODY: &[&str] = &["content-type", "content-transfer-encoding"];

/// RFC 5322 section 3.6.8; the limit keeps the first line of any field below 998 octets. No `*`, which stands for any rest.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let letters = |octet: u8| octet.is_ascii_graphic() && octet != b':' && octet != b'*';
    !name.is_empty() && name.len() <= 200 && name.bytes().all(letters)
}
