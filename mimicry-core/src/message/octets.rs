//! The octets of a new body, which writing the message may take: so a large one becomes the message and is not copied into it.
//!
//! Must never: say that other octets are the same. Of those that are gone their number stays, and a hash with a key that nobody knows: it is
//! asked of octets that this program has put together, within the same mail, and costs a tenth of a SHA-256 where the processor has none.

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

fn hash_of(octets: &[u8]) -> u64 {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    let mut hasher = KEY.build_hasher();
    hasher.write(octets);
    hasher.finish()
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
}
