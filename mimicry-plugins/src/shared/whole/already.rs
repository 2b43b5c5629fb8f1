//! Is a mail signed already, so that there is nothing left to do.
//!
//! Whether it is encrypted the message knows ([`Message::is_all_encrypted`]).
//!
//! Must never: take a mail for signed because of a word in it.

use mimicry_core::message::{Message, Part, Seal};

/// Is the mail signed as a whole.
pub fn is_signed(message: &Message) -> bool {
    let root = message.root();
    let is_signed = |part: Part<'_>| part.seal() == Some(Seal::Signed);
    match root.is_multipart() {
        false => is_signed(root),
        true if is_signed(root) => true,
        // Texts that bear their signatures with them, and nothing else.
        true => message.leaves().all(is_signed),
    }
}
