//! The texts of a message, decoded, for whoever looks at them.
//!
//! Must never: fail. A text that cannot be decoded is none.

use mimicry_core::message::text::TextBody;
use mimicry_core::message::{Message, Part};

/// The text of a leaf of type text; `None` = it is none, or cannot be decoded.
pub fn of(part: Part<'_>) -> Option<String> {
    if part.is_multipart() || !part.media_type().starts_with("text/") {
        return None;
    }
    let label = part.charset();
    let label = label.as_deref().map(str::as_bytes);
    let newline = part.message().newline().as_bytes();
    let body = TextBody::read(part.body(), label, part.encoding(), newline);
    body.ok().map(|body| body.text().to_string())
}

/// All of them, each on lines of its own.
pub fn all(message: &Message) -> String {
    let texts = message.leaves().filter_map(of);
    texts.map(|text| format!("{text}\n")).collect()
}
