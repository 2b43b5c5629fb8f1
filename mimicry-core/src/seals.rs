//! The keys of our seals: with them we recognise our own text when it comes back, and nobody else can make such a seal.
//!
//! A seal is the first half of HMAC-SHA-256 (RFC 2104). Keys have the second in which they were made. The newest one
//! that is not of the future makes the seals; one that has a successor is accepted for another [`HONOURED`], so that
//! seals in mail under way survive a change of keys. A key of the future makes no seal yet, so machines that share a
//! file can all have it before the first of them seals with it.
//!
//! Must never: read a file, a clock or random numbers, which come in from outside; or show a key, in `Debug`, an error or a log.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Seconds that a key is honoured after the next one took its place: 90 days.
pub const HONOURED: i64 = 90 * 24 * 3600;
/// Octets of a key.
pub const SECRET: usize = 32;
/// Keys of a file, at most.
const KEYS: usize = 64;
/// Octets of a seal.
const SEAL: usize = 16;

/// A seal.
pub type Seal = [u8; SEAL];

/// All keys that are at hand; without any, no seal is made and none holds.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SealKeys {
    /// The newest first.
    keys: Vec<SealKey>,
}

#[derive(Clone, PartialEq, Eq)]
struct SealKey {
    /// Seconds since 1970.
    made: i64,
    secret: [u8; SECRET],
}

impl fmt::Debug for SealKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKeys({})", self.keys.len())
    }
}

/// Why a text holds no keys. It names lines, never what they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKeys {
    #[error(
        "line {0} is no key; a key is a time in seconds since 1970, a space, and 64 hexadecimal digits"
    )]
    Line(usize),
    #[error("there is no key in it")]
    None,
    #[error("there are more than {KEYS} keys in it")]
    TooMany,
}

impl SealKeys {
    /// No key at all.
    pub const NONE: &'static SealKeys = &SealKeys { keys: Vec::new() };

    /// From the text of a file: a key a line, in any order, `#` before a comment.
    pub fn parse(text: &str) -> Result<SealKeys, BadKeys> {
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bad = BadKeys::Line(index.saturating_add(1));
            let (made, digits) = line.split_once([' ', '\t']).ok_or(bad)?;
            keys.push(SealKey {
                made: made.parse().ok().filter(|made| *made >= 0).ok_or(bad)?,
                secret: secret(digits.trim()).ok_or(bad)?,
            });
        }
        match keys.len() {
            0 => Err(BadKeys::None),
            1..=KEYS => Ok(SealKeys { keys }.sorted()),
            _ => Err(BadKeys::TooMany),
        }
    }

    /// As [`SealKeys::parse`] reads it. This is the secret itself: for a file that nobody else may read.
    pub fn reveal(&self) -> String {
        let lines = self.keys.iter().map(|key| {
            let secret = data_encoding::HEXLOWER.encode(&key.secret);
            format!("{} {secret}\n", key.made)
        });
        lines.collect()
    }

    /// With one more key, and without those that are honoured no more at that time.
    #[must_use]
    pub fn with(&self, made: i64, secret: [u8; SECRET]) -> SealKeys {
        let mut keys: Vec<SealKey> = self.honoured(made).cloned().collect();
        keys.push(SealKey { made, secret });
        SealKeys { keys }.sorted()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// When the newest key was made.
    pub fn newest(&self) -> Option<i64> {
        self.keys.first().map(|key| key.made)
    }

    /// The seal of these pieces, whose lengths are sealed too. `None` = there is no key.
    pub fn seal(&self, now: i64, pieces: &[&[u8]]) -> Option<Seal> {
        let current = self.keys.iter().find(|key| key.made <= now);
        current.or(self.keys.last()).map(|key| key.seal(pieces))
    }

    /// Is this the seal of these pieces, by a key that is honoured at that time. Takes as long for a wrong one.
    pub fn holds(&self, now: i64, seal: &Seal, pieces: &[&[u8]]) -> bool {
        self.honoured(now).any(|key| key.holds(seal, pieces))
    }

    /// A key is honoured until [`HONOURED`] after the next one took its place.
    fn honoured(&self, now: i64) -> impl Iterator<Item = &SealKey> {
        let mut next: Option<i64> = None;
        self.keys.iter().filter(move |key| {
            let is_honoured = next.is_none_or(|next| now <= next.saturating_add(HONOURED));
            // What follows in time but not yet takes no place.
            if key.made <= now {
                next = Some(key.made);
            }
            is_honoured
        })
    }

    fn sorted(mut self) -> SealKeys {
        self.keys.sort_by_key(|key| std::cmp::Reverse(key.made));
        self
    }
}

impl SealKey {
    fn mac(&self, pieces: &[&[u8]]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).ok()?;
        for piece in pieces {
            mac.update(&(piece.len() as u64).to_be_bytes());
            mac.update(piece);
        }
        Some(mac)
    }

    fn seal(&self, pieces: &[&[u8]]) -> Seal {
        let mut seal = Seal::default();
        // HMAC takes keys of any length.
        if let Some(mac) = self.mac(pieces) {
            let whole = mac.finalize().into_bytes();
            seal.iter_mut()
                .zip(whole.iter())
                .for_each(|(to, from)| *to = *from);
        }
        seal
    }

    fn holds(&self, seal: &Seal, pieces: &[&[u8]]) -> bool {
        self.mac(pieces)
            .is_some_and(|mac| mac.verify_truncated_left(seal).is_ok())
    }
}

fn secret(digits: &str) -> Option<[u8; SECRET]> {
    let octets = data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes());
    octets.ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3600;

    fn keys(made: &[i64]) -> SealKeys {
        let line = |made: &i64| format!("{made} {:064x}\n", made + 7);
        SealKeys::parse(&made.iter().map(line).collect::<String>()).unwrap()
    }

    // RFC 4231, test case 2, by which the construction is HMAC-SHA-256; the pieces' lengths stand before them.
    #[test]
    fn a_seal_is_half_a_hmac() {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"Jefe").unwrap();
        mac.update(b"what do ya want for nothing?");
        let whole = data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes());
        assert_eq!(
            whole,
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        let keys = keys(&[5]);
        let seal = keys.seal(9, &[b"ab", b"c"]).unwrap();
        for (pieces, held) in [
            (&[b"ab".as_slice(), b"c"][..], true),
            (&[b"a", b"bc"], false),
            (&[b"abc"], false),
            (&[b"ab", b"c", b""], false),
            (&[b"ab", b"d"], false),
        ] {
            assert_eq!(keys.holds(9, &seal, pieces), held, "{pieces:?}");
        }
        let mut wrong = seal;
        wrong[15] ^= 1;
        assert!(!keys.holds(9, &wrong, &[b"ab", b"c"]));
        assert_eq!(SealKeys::NONE.seal(9, &[b"x"]), None);
        assert!(!SealKeys::NONE.holds(9, &[0; 16], &[b"x"]));
    }

    // T184
    #[test]
    fn which_key_seals_and_which_are_honoured() {
        let at = |day: i64| day * DAY;
        // Of one key of a set: does it seal on that day, and does it hold.
        for (made, key, day, seals, held) in [
            (&[0][..], 0, 1000, true, true),
            (&[0, 100], 100, 100, true, true),
            (&[0, 100], 0, 99, true, true),
            (&[0, 100], 0, 100, false, true),
            (&[0, 100], 0, 190, false, true),
            (&[0, 100], 0, 191, false, false),
            (&[0, 10, 20], 0, 101, false, false),
            (&[0, 10, 20], 10, 101, false, true),
            // One of the future is known and waits.
            (&[0, 100], 100, 50, false, true),
            (&[0, 100], 100, -1, false, true),
        ] {
            let all = keys(&made.iter().map(|day| at(*day)).collect::<Vec<_>>());
            let one = keys(&[at(key)]);
            let seal = one.seal(at(day), &[b"x"]).unwrap();
            assert_eq!(
                all.seal(at(day), &[b"x"]) == Some(seal),
                seals,
                "{made:?} {key} {day}"
            );
            assert_eq!(
                all.holds(at(day), &seal, &[b"x"]),
                held,
                "{made:?} {key} {day}"
            );
        }
        let more = keys(&[0, at(10)]).with(at(20), [1; SECRET]);
        assert_eq!((more.newest(), more.keys.len()), (Some(at(20)), 3));
        assert_eq!(keys(&[0, at(10)]).with(at(200), [1; SECRET]).keys.len(), 2);
    }

    #[test]
    fn texts_with_keys() {
        let hex = "0f".repeat(32);
        for (text, expected) in [
            (format!("1 {hex}"), Ok(1)),
            (
                format!("# ours\n\n 1\t{hex} \r\n2 {}\n", hex.to_uppercase()),
                Ok(2),
            ),
            (String::new(), Err(BadKeys::None)),
            ("# none\n".into(), Err(BadKeys::None)),
            (format!("1 {hex}\n{hex}"), Err(BadKeys::Line(2))),
            (format!("x {hex}"), Err(BadKeys::Line(1))),
            (format!("-1 {hex}"), Err(BadKeys::Line(1))),
            (format!("1 {hex}0f"), Err(BadKeys::Line(1))),
            (format!("1 {}", &hex[2..]), Err(BadKeys::Line(1))),
            (format!("1 {}zz", &hex[2..]), Err(BadKeys::Line(1))),
            (format!("1 {hex}\n").repeat(65), Err(BadKeys::TooMany)),
        ] {
            let read = SealKeys::parse(&text);
            assert_eq!(
                read.as_ref()
                    .map(|keys| keys.keys.len())
                    .map_err(|bad| *bad),
                expected,
                "{text}"
            );
            if let Ok(keys) = read {
                assert_eq!(SealKeys::parse(&keys.reveal()), Ok(keys.clone()));
                assert!(!format!("{keys:?}").contains("0f"), "{keys:?}");
            }
        }
        assert!(!BadKeys::Line(1).to_string().contains(&hex));
    }
}
