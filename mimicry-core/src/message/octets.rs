//! The octets of a new body, which writing the message may take: so a large one becomes the message and is not copied into it.
//!
//! Must never: say that other octets are the same. Of those that are gone their number and their SHA-256 stay.

use super::digest::Digest;

/// Octets of a body from which it is taken: to copy fewer costs less than to remember what they were.
const LARGE: usize = 4 << 20;

/// The octets of a new body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOctets {
    octets: Vec<u8>,
    gone: Option<(usize, Digest)>,
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
            Some((length, digest)) => found.len() == length && Digest::of_octets(found) == digest,
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone.is_some()
    }

    pub(super) fn is_large(&self) -> bool {
        self.octets.len() >= LARGE
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        self.gone = Some((self.octets.len(), Digest::of_octets(&self.octets)));
        std::mem::take(&mut self.octets)
    }
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
