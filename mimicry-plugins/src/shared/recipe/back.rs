//! The mail as it came, out of the mail that was edited and of the field on top of it.
//!
//! All above the field was added later and goes. What is made must have the length and the SHA-256 that the field names. Nothing says
//! who wrote the field: whoever could write it could name another mail.
//!
//! Must never: give a mail that is not the one of the field's hash.

use mimicry_core::message::{Limits, Message};
use sha2::{Digest, Sha256};

use super::instance::{Body, Hashes, Instance};
use super::lines::{Lost, apply};

/// Why the mail as it came cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    #[error("the mail has no Message-Instance field")]
    None,
    #[error("its Message-Instance fields are broken, or their numbers have a gap")]
    Broken,
    #[error(
        "what came is not in the mail any more (it was removed, packed, encoded anew or encrypted), and the field says so"
    )]
    Gone,
    #[error(
        "the field does not say what the mail was, octet for octet: mimicry did not write it, or could not say it"
    )]
    Unknown,
    #[error("the recipe names lines that are not there, or not in order")]
    Lost,
    #[error("the body was changed after the field had been written")]
    Body,
    #[error("fields below it were changed after the field had been written")]
    Header,
    #[error("what the recipe makes is not the mail of which the field has the hash")]
    Hash,
}

impl From<Lost> for Why {
    fn from(_: Lost) -> Why {
        Why::Lost
    }
}

/// The octets that came.
pub fn back(octets: Vec<u8>) -> Result<Vec<u8>, Why> {
    let message = Message::scan(octets, &Limits::default());
    let all = Instance::all(&message).ok_or(Why::Broken)?;
    let (instance, end) = all.first().ok_or(Why::None)?;
    let raw = message.raw();
    let body = message.root().body();
    let head = raw.len().saturating_sub(body.len());
    let below = raw.get(*end..head).unwrap_or_default();
    if instance.body == Body::Lost {
        return Err(Why::Gone);
    }
    let came = instance.came.as_ref().ok_or(Why::Unknown)?;
    let newline = message.newline().as_bytes();
    let made = apply(below, &came.header, newline).and_then(|mut made| {
        match &instance.body {
            Body::Steps(steps) => made.extend(apply(body, steps, newline)?),
            Body::Same | Body::Lost => made.extend_from_slice(body),
        }
        Ok(made)
    });
    let made = made.map(|made| cut(made, came.length));
    match made {
        Ok(made) if Sha256::digest(&made).as_slice() == came.sha256 => Ok(made),
        // Whoever asks wants to know what has changed.
        made => {
            let found = Hashes::of(message.root().header(), body);
            Err(match &instance.hashes {
                Some(hashes) if hashes.body != found.body => Why::Body,
                Some(hashes) if hashes.header != found.header => Why::Header,
                _ => made.err().map_or(Why::Hash, Why::from),
            })
        }
    }
}

/// A last line that had no end got one, and some programs put empty lines behind a mail.
fn cut(mut made: Vec<u8>, length: usize) -> Vec<u8> {
    let behind = made.get(length..).unwrap_or_default();
    if behind.iter().all(|octet| matches!(octet, b'\r' | b'\n')) {
        made.truncate(length);
    }
    made
}
