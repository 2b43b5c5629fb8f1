//! The octets of a new body, which writing the message may take: so a large one becomes the message and is not copied into it.
//!
//! Must never: say that other octets are the same. Of those that are gone their number stays, and a hash with a key that nobody knows.
//!
//! Why no other octets have it: each block of 512 goes through NH (J. Black et al., UMAC, CRYPTO 1999, theorem 4.2), and what comes out, with
//! what follows the last whole block, through SipHash. Octets of the same number that differ do so in a block or behind the last one. Two
//! blocks that differ, whatever they are, have the same NH under at most one key in 2^64, and what differs before SipHash has the same 64 bits
//! behind it as seldom. So it is a chance of one in 2^63 for a mail of any size, and only if something went wrong before. Who
//! sends the mail cannot better it: neither the key nor a hash leaves this process, and what he learns is at most that a mail was refused.
//!
//! NH is one multiplication for 16 octets. All of it costs less than an instruction for an octet, SipHash alone two and a half.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

/// Octets of a body from which it is taken: to copy fewer costs less than to remember what they were.
const LARGE: usize = 4 << 20;

/// The octets of a new body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOctets {
    octets: Vec<u8>,
    gone: Option<(usize, u64)>,
}

impl From<Vec<u8>> for NewOctets {
    fn from(octets: Vec<u8>) -> NewOctets {
        NewOctets { octets, gone: None }
    }
}

impl NewOctets {
    pub fn len(&self) -> usize {
        self.gone.map_or(self.octets.len(), |(length, _)| length)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Empty once they were taken.
    pub fn as_slice(&self) -> &[u8] {
        &self.octets
    }

    /// Are these the octets.
    pub(super) fn is(&self, found: &[u8]) -> bool {
        match self.gone {
            None => found == self.octets,
            Some((length, hash)) => found.len() == length && hash_of(found) == hash,
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone.is_some()
    }

    pub(super) fn is_large(&self) -> bool {
        self.octets.len() >= LARGE
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        self.gone = Some((self.octets.len(), hash_of(&self.octets)));
        std::mem::take(&mut self.octets)
    }
}

/// Octets that NH makes 16 of.
const BLOCK: usize = 512;
/// Pairs of words in a block.
const PAIRS: usize = BLOCK / 16;
/// Pairs that are taken without a question between them.
const ROW: usize = 8;

struct Key {
    nh: [[u64; 2]; PAIRS],
    siphash: RandomState,
}

fn hash_of(octets: &[u8]) -> u64 {
    static KEY: LazyLock<Key> = LazyLock::new(|| {
        let siphash = RandomState::new();
        // What SipHash makes of numbers is random to all who have not its key; it is asked of them here only, as bodies that are taken are
        // large.
        let word = |pair, at| siphash.hash_one::<(usize, usize)>((pair, at));
        let nh = std::array::from_fn(|pair| [word(pair, 0), word(pair, 1)]);
        Key { nh, siphash }
    });
    let mut hasher = KEY.siphash.build_hasher();
    let (blocks, rest) = octets.as_chunks();
    for block in blocks {
        hasher.write_u128(nh(block, &KEY.nh));
    }
    hasher.write(rest);
    hasher.finish()
}

/// The sum of the products of words, two by two, to each of which a word of the key was added. It is modulo 2^128, and words are
/// modulo 2^64: that is what is proved of it.
fn nh(block: &[u8; BLOCK], key: &[[u64; 2]; PAIRS]) -> u128 {
    let (words, _) = block.as_chunks::<8>();
    let (pairs, _) = words.as_chunks::<2>();
    let (rows, _) = pairs.as_chunks::<ROW>();
    let (keys, _) = key.as_chunks::<ROW>();
    let keyed =
        |word: &[u8; 8], key: &u64| u128::from(u64::from_le_bytes(*word).wrapping_add(*key));
    let mut sum = 0u128;
    for (row, keys) in rows.iter().zip(keys) {
        for ([one, other], [key, other_key]) in row.iter().zip(keys) {
            sum = sum.wrapping_add(keyed(one, key).wrapping_mul(keyed(other, other_key)));
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_is_known() {
        let mut octets = NewOctets::from(b"abc".to_vec());
        for is_gone in [false, true] {
            if is_gone {
                assert_eq!(octets.take(), b"abc");
            }
            assert_eq!((octets.len(), octets.is_gone()), (3, is_gone));
            for (found, same) in [
                ("abc", true),
                ("abd", false),
                ("ab", false),
                ("abcd", false),
            ] {
                assert_eq!(octets.is(found.as_bytes()), same, "{found} {is_gone}");
            }
        }
        assert!(octets.as_slice().is_empty() && !octets.is_empty());
    }

    #[test]
    fn an_octet_anywhere_counts() {
        for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 17] {
            let octets: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let mut new = NewOctets::from(octets.clone());
            new.take();
            assert!(new.is(&octets));
            for at in 0..length {
                for bit in 0..8 {
                    let mut other = octets.clone();
                    other[at] ^= 1 << bit;
                    assert!(!new.is(&other), "{length} {at} {bit}");
                }
            }
            // The same words and the same blocks in another order.
            for step in [8, 16, 16 * ROW, BLOCK] {
                let mut other = octets.clone();
                if length >= 2 * step {
                    other.rotate_left(step);
                    assert!(!new.is(&other), "{length} {step}");
                }
            }
        }
    }

    #[test]
    fn it_is_nh() {
        // Words of a block: the number of the pair, and three; keys: one, and the largest word, which makes two of three.
        let mut block = Vec::new();
        for pair in 0..PAIRS as u64 {
            block.extend_from_slice(&pair.to_le_bytes());
            block.extend_from_slice(&3u64.to_le_bytes());
        }
        let block: &[u8; BLOCK] = block.as_slice().try_into().unwrap();
        let pairs = PAIRS as u128;
        assert_eq!(nh(block, &[[1, u64::MAX]; PAIRS]), pairs * (pairs + 1));
        // All products are as large as can be, and their sum is cut.
        let most = u128::from(u64::MAX);
        let expected = (0..PAIRS).fold(0u128, |sum, _| sum.wrapping_add(most * most));
        assert_eq!(nh(&[0xff; BLOCK], &[[0, 0]; PAIRS]), expected);
    }
}
