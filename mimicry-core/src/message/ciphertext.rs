//! Is a mail encrypted as a whole, so that nothing of its content can be read.
//!
//! What a part is called proves nothing: a sender writes that, and a mail that quotes the word is not encrypted. So the octets count:
//! OpenPGP, armoured or not, must be packets of an encrypted message and nothing else (RFC 9580 section 10.3), CMS must say that it is
//! an envelope (RFC 5652). Known forms: multipart/encrypted, application/pkcs7-mime, a text that is nothing but a PGP message, and what
//! Exchange makes of PGP/MIME: a multipart/mixed that has application/pgp-encrypted and the message after it.
//!
//! Must never: call a mail encrypted of which a part can be read. In doubt it is not.

use super::codec::{self, Encoding};
use super::{Message, Part, Seal, charrefs, sealed};

#[cfg(test)]
mod tests;

impl Message {
    /// Is all that the mail says encrypted.
    pub fn is_all_encrypted(&self) -> bool {
        let mut hidden = 0usize;
        for leaf in self.leaves() {
            match look(leaf) {
                Look::Hidden => hidden = hidden.saturating_add(1),
                Look::Nothing => {}
                Look::Clear => return false,
            }
        }
        // Of what was not read to its end nobody knows.
        hidden > 0 && !self.defects().cut
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Hidden,
    /// It says nothing at all.
    Nothing,
    Clear,
}

impl Look {
    fn hidden_if(is_hidden: bool) -> Look {
        match is_hidden {
            true => Look::Hidden,
            false => Look::Clear,
        }
    }
}

fn look(leaf: Part<'_>) -> Look {
    let Ok(content) = leaf.decoded() else {
        return Look::Clear;
    };
    if content.trim_ascii().is_empty() {
        return Look::Nothing;
    }
    match leaf.media_type() {
        "application/pgp-encrypted" if is_version(&content) => Look::Nothing,
        "application/pgp-encrypted" => Look::hidden_if(is_pgp(&content)),
        "application/pkcs7-mime" | "application/x-pkcs7-mime" => {
            Look::hidden_if(is_envelope(&content))
        }
        "text/html" => Look::hidden_if(is_armoured(&charrefs::resolve(&sealed::seen(&content)))),
        text if text.starts_with("text/") => Look::hidden_if(is_armoured(&content)),
        _ if is_of_pgp(leaf) => Look::hidden_if(is_pgp(&content)),
        _ => Look::hidden_if(leaf.seal() == Some(Seal::Encrypted) && is_envelope(&content)),
    }
}

/// Does it stand where PGP/MIME has the message, or where Exchange leaves it.
fn is_of_pgp(leaf: Part<'_>) -> bool {
    let Some(parent) = leaf.parent() else {
        return false;
    };
    let before = parent.children().take_while(|part| part.id() != leaf.id());
    let follows = before
        .last()
        .is_some_and(|part| part.media_type() == "application/pgp-encrypted");
    parent.media_type() == "multipart/encrypted" || follows
}

/// The part that says which version of PGP/MIME follows (RFC 3156 section 4).
fn is_version(content: &[u8]) -> bool {
    let mut lines = lines(content);
    let says = |line: &[u8]| line.len() <= 40 && line.starts_with(b"Version:");
    lines.all(says)
}

fn is_pgp(content: &[u8]) -> bool {
    is_encrypted_message(content) || is_armoured(content)
}

/// One block of armour with nothing before or after it, and an encrypted message in it.
fn is_armoured(text: &[u8]) -> bool {
    armoured(text).is_some_and(|packets| is_encrypted_message(&packets))
}

const BEGIN: &[u8] = b"-----BEGIN PGP MESSAGE-----";
const END: &[u8] = b"-----END PGP MESSAGE-----";

fn armoured(text: &[u8]) -> Option<Vec<u8>> {
    let mut lines = lines(text);
    if lines.next() != Some(BEGIN) {
        return None;
    }
    let mut data = Vec::with_capacity(text.len());
    for line in lines.by_ref() {
        if line == END {
            let is_last = lines.next().is_none();
            let packets = codec::decode(Encoding::Base64, &data).ok();
            return packets
                .filter(|_| is_last)
                .map(std::borrow::Cow::into_owned);
        }
        let is_sum = line.len() == 5 && line.starts_with(b"=") && !data.is_empty();
        let is_head = data.is_empty() && is_armour_header(line);
        if is_sum || is_head {
            continue;
        }
        let is_data = |octet: &u8| octet.is_ascii_alphanumeric() || b"+/=".contains(octet);
        if !line.iter().all(is_data) {
            return None;
        }
        data.extend_from_slice(line);
    }
    None
}

/// Of those that are written (RFC 9580 section 6.2.2), as long as they say little.
fn is_armour_header(line: &[u8]) -> bool {
    const NAMES: [&[u8]; 5] = [b"Version", b"Comment", b"Hash", b"Charset", b"MessageID"];
    let named = |name: &&[u8]| {
        let value = line.strip_prefix(*name);
        value.is_some_and(|value| value.starts_with(b":"))
    };
    line.len() <= 120 && NAMES.iter().any(named)
}

/// Those that are not empty, without blanks around them.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = text.split(|octet| *octet == b'\n').map(<[u8]>::trim_ascii);
    lines.filter(|line| !line.is_empty())
}

/// Session keys, then encrypted data, and nothing else: no literal text, no signature, nothing that is only compressed.
fn is_encrypted_message(packets: &[u8]) -> bool {
    let (mut rest, mut has_data) = (packets, false);
    while !rest.is_empty() {
        let Some((tag, after)) = packet(rest) else {
            return false;
        };
        match (tag, has_data) {
            // Session keys for a key or a password, markers, padding.
            (1 | 3 | 10 | 21, false) | (21, true) => {}
            // Encrypted data: of old, with proof of integrity, AEAD.
            (9 | 18 | 20, false) => has_data = true,
            _ => return false,
        }
        rest = after;
    }
    has_data
}

/// The tag of the first packet, and what comes after it (RFC 9580 section 4.2).
fn packet(octets: &[u8]) -> Option<(u8, &[u8])> {
    let (head, mut rest) = octets.split_first()?;
    match head & 0xC0 {
        0xC0 => loop {
            let (length, after, is_partial) = new_length(rest)?;
            rest = after.get(length..)?;
            if !is_partial {
                return Some((head & 0x3F, rest));
            }
        },
        0x80 => {
            let octets = match head & 3 {
                0 => 1,
                1 => 2,
                2 => 4,
                // To the end.
                _ => return Some(((head >> 2) & 0x0F, &[])),
            };
            let (length, after) = rest.split_at_checked(octets)?;
            Some(((head >> 2) & 0x0F, after.get(number(length)?..)?))
        }
        _ => None,
    }
}

/// The length of a packet of the new format, or of a piece of one.
fn new_length(octets: &[u8]) -> Option<(usize, &[u8], bool)> {
    let (first, rest) = octets.split_first()?;
    match first {
        0..=191 => Some((usize::from(*first), rest, false)),
        192..=223 => {
            let (second, rest) = rest.split_first()?;
            let high = usize::from(first.saturating_sub(192)).checked_mul(256)?;
            let length = high.checked_add(usize::from(*second))?.checked_add(192)?;
            Some((length, rest, false))
        }
        224..=254 => Some((1usize.checked_shl(u32::from(first & 0x1F))?, rest, true)),
        255 => {
            let (length, rest) = rest.split_at_checked(4)?;
            Some((number(length)?, rest, false))
        }
    }
}

/// The first octet is the highest.
fn number(octets: &[u8]) -> Option<usize> {
    octets.iter().try_fold(0usize, |number, octet| {
        number.checked_mul(256)?.checked_add(usize::from(*octet))
    })
}

/// CMS that is an envelope: enveloped-data, authEnveloped-data, or encrypted-data, as an object identifier in DER.
const ENVELOPES: [&[u8]; 3] = [
    b"\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x07\x03",
    b"\x06\x0B\x2A\x86\x48\x86\xF7\x0D\x01\x09\x10\x01\x17",
    b"\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x07\x06",
];

/// Is it one, with nothing after it. Signed and compressed data can be read by anybody, whatever smime-type says.
fn is_envelope(octets: &[u8]) -> bool {
    let content = || {
        let rest = octets.strip_prefix(b"\x30")?;
        let (first, rest) = rest.split_first()?;
        match first {
            // Of indefinite length: to its end.
            0x80 => Some(rest),
            0..0x80 => ended(rest, usize::from(*first)),
            _ => {
                let (length, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
                ended(rest, number(length)?)
            }
        }
    };
    content().is_some_and(|content| ENVELOPES.iter().any(|oid| content.starts_with(oid)))
}

/// The first octets, if blanks alone follow them.
fn ended(octets: &[u8], length: usize) -> Option<&[u8]> {
    let (content, after) = octets.split_at_checked(length)?;
    after.trim_ascii().is_empty().then_some(content)
}
