//! Is a mail sealed already, so that there is nothing left to do.
//!
//! A mail counts as encrypted only if nothing of its content can be read: one that is in part in the clear is encrypted once more, because
//! to leave it would show that part. Known forms: multipart/encrypted, application/pkcs7-mime with an envelope, a text that is nothing but
//! a PGP message, and what Exchange makes of PGP/MIME: a multipart/mixed that has application/pgp-encrypted and the message behind it.
//!
//! Must never: take a mail for encrypted because of a word in it.

use mimicry_core::message::{Message, Part, Seal};

use crate::shared::html;

const BEGIN: &[u8] = b"-----BEGIN PGP MESSAGE-----";
const END: &[u8] = b"-----END PGP MESSAGE-----";

/// Is all that the mail says encrypted.
pub fn is_encrypted(message: &Message) -> bool {
    let mut hidden = 0usize;
    for leaf in message.leaves() {
        match look(leaf) {
            Look::Hidden => hidden = hidden.saturating_add(1),
            Look::Nothing => {}
            Look::Clear => return false,
        }
    }
    hidden > 0
}

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

enum Look {
    Hidden,
    /// It says nothing at all.
    Nothing,
    Clear,
}

fn look(leaf: Part<'_>) -> Look {
    let media_type = leaf.media_type();
    let is_envelope = |part: Part<'_>| {
        part.seal() == Some(Seal::Encrypted)
            && matches!(
                part.media_type(),
                "multipart/encrypted"
                    | "application/pkcs7-mime"
                    | "application/x-pkcs7-mime"
                    | "application/pgp-encrypted"
            )
    };
    if is_envelope(leaf) || leaf.ancestors().any(is_envelope) || follows_pgp(leaf) {
        return Look::Hidden;
    }
    if !media_type.starts_with("text/") {
        let is_smime = media_type == "application/octet-stream";
        return match is_smime && leaf.seal() == Some(Seal::Encrypted) {
            true => Look::Hidden,
            false => Look::Clear,
        };
    }
    let Ok(content) = leaf.decoded() else {
        return Look::Clear;
    };
    let text = content.trim_ascii();
    if text.is_empty() {
        return Look::Nothing;
    }
    if leaf.seal() != Some(Seal::Encrypted) {
        return Look::Clear;
    }
    let is_message = |text: &[u8]| text.starts_with(BEGIN) && text.ends_with(END);
    let is_one = match media_type {
        "text/html" => {
            let html = String::from_utf8_lossy(text);
            is_message(html::to_text(&html).trim().as_bytes())
        }
        _ => is_message(text),
    };
    match is_one {
        true => Look::Hidden,
        false => Look::Clear,
    }
}

/// The message that Exchange leaves behind application/pgp-encrypted.
fn follows_pgp(leaf: Part<'_>) -> bool {
    if leaf.media_type() != "application/octet-stream" {
        return false;
    }
    let Some(parent) = leaf.parent() else {
        return false;
    };
    let before = parent.children().take_while(|part| part.id() != leaf.id());
    before
        .last()
        .is_some_and(|part| part.media_type() == "application/pgp-encrypted")
}
