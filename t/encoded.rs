//! Words as a sender writes them who wants any character: for tests of what becomes of them.

use std::fmt::Write;

/// An encoded word for each character.
pub fn words(text: &str) -> String {
    let mut field = String::new();
    for char in text.chars() {
        let _ = write!(
            field,
            "{}=?utf-8?Q?",
            if field.is_empty() { "" } else { "\r\n " }
        );
        for octet in char.encode_utf8(&mut [0; 4]).bytes() {
            let _ = write!(field, "={octet:02X}");
        }
        field.push_str("?=");
    }
    field
}
