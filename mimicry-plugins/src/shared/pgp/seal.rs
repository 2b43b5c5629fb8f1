//! Octets in, armour out.
//!
//! Random numbers (session keys, padding) come from the operating system each time, so that workers share none.
//!
//! Must never: write a part of a message that failed, or draw from a generator that a fork would double.

use std::io::Write;

use sequoia_openpgp::armor::{Kind, Writer};
use sequoia_openpgp::crypto::KeyPair;
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::serialize::stream::{
    Armorer, Encryptor, LiteralWriter, Message, Recipient, Signer,
};
use sequoia_openpgp::types::HashAlgorithm;
use sequoia_openpgp::{Packet, Result};

use super::judge::Usable;
use super::time;

/// Octets that are encrypted at once.
const PIECE: usize = 1 << 16;

/// An armoured message to these keys; with `hidden` none of them is named in it. Signed within, if somebody signs.
pub fn encrypt(
    octets: &[u8],
    keys: Vec<Usable<'_>>,
    hidden: bool,
    signer: Option<(&KeyPair, i64)>,
) -> Result<Vec<u8>> {
    let mut recipients = Vec::with_capacity(keys.len());
    for key in keys {
        let recipient = Recipient::from(key);
        recipients.push(match hidden {
            true => recipient.set_key_handle(None)?,
            false => recipient,
        });
    }
    // Base64 in lines of 64, and what stands before it.
    let due = octets.len().saturating_div(8).saturating_mul(11);
    let mut out = Vec::with_capacity(due.saturating_add(1 << 16));
    let message = Message::new(&mut out);
    let message = Armorer::new(message).kind(Kind::Message).build()?;
    let message = Encryptor::for_recipients(message, recipients).build()?;
    let message = match signer {
        Some((pair, now)) => Signer::new(message, pair.clone())?
            .creation_time(time(now))
            .build()?,
        None => message,
    };
    let mut message = LiteralWriter::new(message).build()?;
    // In pieces: what encrypts has a copy of each.
    for piece in octets.chunks(PIECE) {
        message.write_all(piece)?;
    }
    message.finalize()?;
    Ok(out)
}

/// A signature that stands beside what it signs.
#[derive(Debug)]
pub struct Detached {
    pub armour: Vec<u8>,
    /// `pgp-sha512`: of the signature, whatever the key prefers.
    pub micalg: String,
}

/// Signs octets.
pub fn sign(octets: &[u8], pair: &KeyPair, now: i64) -> Result<Detached> {
    let mut raw = Vec::new();
    let mut message = Signer::new(Message::new(&mut raw), pair.clone())?
        .creation_time(time(now))
        .detached()
        .build()?;
    message.write_all(octets)?;
    message.finalize()?;
    let hash = match Packet::from_bytes(&raw)? {
        Packet::Signature(signature) => signature.hash_algo(),
        _ => HashAlgorithm::Unknown(0),
    };
    let mut writer = Writer::new(Vec::new(), Kind::Signature)?;
    writer.write_all(&raw)?;
    Ok(Detached {
        armour: writer.finalize()?,
        micalg: micalg(hash).to_string(),
    })
}

/// RFC 3156 section 5.
fn micalg(hash: HashAlgorithm) -> &'static str {
    match hash {
        HashAlgorithm::SHA1 => "pgp-sha1",
        HashAlgorithm::RipeMD => "pgp-ripemd160",
        HashAlgorithm::SHA224 => "pgp-sha224",
        HashAlgorithm::SHA256 => "pgp-sha256",
        HashAlgorithm::SHA384 => "pgp-sha384",
        HashAlgorithm::SHA512 => "pgp-sha512",
        HashAlgorithm::SHA3_256 => "pgp-sha3-256",
        HashAlgorithm::SHA3_512 => "pgp-sha3-512",
        _ => "pgp-unknown",
    }
}
