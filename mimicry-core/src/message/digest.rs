//! The digest of a mail: it is the same when the mail is sent again.
//!
//! SHA-256 of the octets below the leading trace block. A client that tries again may put another Received line on top,
//! and the servers before it may add other results of their checks, so these fields do not count as part of the mail.
//!
//! Must never: depend on anything but the octets of the mail. Two mails have one digest only if they are the same below
//! their trace.

use std::fmt;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::header::{Field, fields};
use super::tree::Message;

/// Octets at each end of a mail that are a sample.
const END: usize = 4096;
/// Pieces between them, and the octets of each.
const PIECES: usize = 16;
const PIECE: usize = 256;

/// SHA-256, shown as 64 digits in lower case.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of a mail, below its leading trace block.
    pub fn of(message: &Message) -> Digest {
        let below = trace_block(message).len();
        Digest::of_octets(message.raw().get(below..).unwrap_or_default())
    }

    /// Of samples of a mail that nobody has scanned: the length of what stands below the trace block, its first and last 4 KB, and
    /// 16 pieces of 256 octets from between. That costs the same for a mail of any size, and names a mail that comes again; two
    /// mails that differ elsewhere have the same one.
    pub fn of_samples(mail: &[u8]) -> Digest {
        let trace = fields(mail).take_while(is_trace).last();
        let below = trace.map_or(0, |field| field.end());
        let below = mail.get(below..).unwrap_or_default();
        let mut sum = Sha256::new();
        sum.update((below.len() as u64).to_be_bytes());
        match samples(below) {
            Some((head, between, tail)) => {
                sum.update(head);
                for piece in between.chunks_exact(between.len() / PIECES) {
                    sum.update(piece.get(..PIECE).unwrap_or(piece));
                }
                sum.update(tail);
            }
            None => sum.update(below),
        }
        Digest(sum.finalize().into())
    }

    /// As [`Digest::as_bytes`] gave it.
    pub fn from_bytes(octets: [u8; 32]) -> Digest {
        Digest(octets)
    }

    /// As it is shown.
    pub fn parse(text: &str) -> Option<Digest> {
        let octets = HEXLOWER.decode(text.as_bytes()).ok()?;
        Some(Digest(octets.try_into().ok()?))
    }

    /// Of these octets, all of them.
    pub fn of_octets(octets: &[u8]) -> Digest {
        Digest(Sha256::digest(octets).into())
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// Both ends of a mail and what is between them; none if the samples would be all of it.
fn samples(mail: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (head, rest) = mail.split_at_checked(END)?;
    let (between, tail) = rest.split_at_checked(rest.len().checked_sub(END)?)?;
    (between.len() > PIECES * PIECE).then_some((head, between, tail))
}

/// The trace block that the mail begins with: what [`Digest::of`] leaves out. Empty if there is none.
pub fn trace_block(message: &Message) -> &[u8] {
    let fields = message.root().fields().take_while(is_trace);
    let end = fields.last().map_or(0, |field| field.end());
    message.raw().get(..end).unwrap_or_default()
}

fn is_trace(field: &Field<'_>) -> bool {
    const NAMES: &[&str] = &[
        "received",
        "return-path",
        "received-spf",
        "authentication-results",
    ];
    let name = field.name();
    let is_arc = || {
        name.get(..4)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"arc-"))
    };
    NAMES.iter().any(|trace| field.is(trace)) || is_arc()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::scan::tests::scan;

    #[test]
    fn what_stands_above_the_trace_block_is_the_mail() {
        let mail = "From: a@b\r\nReceived: below\r\n\r\nx\r\n";
        let digest = Digest::of(&scan(mail));
        assert_eq!(digest, Digest::of_octets(mail.as_bytes()));
        for (above, same) in [
            ("Received: from x by y; now\r\n", true),
            ("RECEIVED: from x\r\n\tby y;\r\n now\r\n", true),
            (
                "Return-Path: <a@b>\r\nReceived-SPF: pass\r\nAuthentication-Results: x; spf=pass\r\n",
                true,
            ),
            (
                "ARC-Seal: i=1\r\nArc-Message-Signature: i=1\r\narc-authentication-results: i=1\r\nReceived: y\r\n",
                true,
            ),
            ("ARC: no\r\n", false),
            ("X-Spam: no\r\nReceived: y\r\n", false),
            ("Received-By: y\r\n", false),
            ("DKIM-Signature: v=1\r\n", false),
        ] {
            let whole = format!("{above}{mail}");
            let other = Digest::of(&scan(&whole));
            assert_eq!(digest == other, same, "{above}");
            let samples = [whole.as_str(), mail].map(|mail| Digest::of_samples(mail.as_bytes()));
            assert_eq!(samples[0] == samples[1], same, "{above}");
        }
        for other in [
            "",
            "Received: x\r\n",
            "From: a@b\r\n\r\nx\r\n",
            "From: a@b\r\nReceived: below\r\n\r\nX\r\n",
        ] {
            assert_ne!(digest, Digest::of(&scan(other)), "{other}");
            let samples = Digest::of_samples(other.as_bytes());
            assert_ne!(samples, Digest::of_samples(mail.as_bytes()), "{other}");
            assert_eq!(Digest::parse(&samples.to_string()), Some(samples));
            assert_eq!(Digest::from_bytes(*samples.as_bytes()), samples);
        }
        // No header, and nothing but trace.
        assert_eq!(Digest::of(&scan("")), Digest::of(&scan("Received: x\r\n")));
    }

    // T93
    #[test]
    fn samples_are_all_of_a_small_mail_and_some_of_a_large_one() {
        let whole = 2 * END + PIECES * PIECE;
        for (length, every) in [
            (0, 1),
            (100, 1),
            (whole, 1),
            (whole + 1, 1),
            (57_000, PIECE),
            (3_000_000, PIECE),
        ] {
            let mail: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let digest = Digest::of_samples(&mail);
            let mut longer = mail.clone();
            longer.push(b'x');
            assert_ne!(digest, Digest::of_samples(&longer), "{length}");
            // An octet of either end, or of any place of a mail that is no longer than its samples.
            let ends = (0..length.min(END)).chain(length.saturating_sub(END)..length);
            let places = ends.step_by(61).chain((0..length).step_by(997 * every));
            for at in places {
                let mut other = mail.clone();
                other[at] = !other[at];
                let is_sampled = length <= whole || at < END || at >= length - END;
                let is_same = Digest::of_samples(&other) == digest;
                assert!(!(is_sampled && is_same), "{length} {at}");
            }
            // Whatever lies between, some octet of every 16th counts.
            for sixteenth in 0..PIECES {
                let Some((_, between, _)) = samples(&mail) else {
                    break;
                };
                let step = between.len() / PIECES;
                let mut other = mail.clone();
                let place = END + sixteenth * step;
                other[place..place + step].fill(0xff);
                assert_ne!(Digest::of_samples(&other), digest, "{length} {sixteenth}");
            }
        }
    }

    #[test]
    fn it_is_sha_256() {
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of_octets(b"abc").to_string(), abc);
    }
}
