//! The lines that begin with `--`, which are found once for all who look for boundaries.
//!
//! Must never: pass over one of them, or keep more of them than takes little memory.

use memchr::memmem;

/// Those of a message, one after the other. A line begins behind an LF, and behind a CR too, as some programs have it.
pub(in crate::message) struct Dashes<'a> {
    raw: &'a [u8],
    dashes: memmem::Finder<'static>,
    /// Octets that were looked at.
    looked: usize,
    /// Where lines began that were found, the first of them.
    kept: Vec<usize>,
    /// Octets of which all lines are kept.
    kept_to: usize,
}

impl<'a> Dashes<'a> {
    const MOST: usize = 1024;

    pub(in crate::message) fn of(raw: &'a [u8]) -> Dashes<'a> {
        Dashes {
            raw,
            dashes: memmem::Finder::new(b"--"),
            looked: 0,
            kept: Vec::new(),
            kept_to: 0,
        }
    }

    /// All of them, also those that were found.
    pub(in crate::message) fn all(mut self) -> impl Iterator<Item = usize> {
        // What follows is not asked for again.
        self.looked = std::mem::replace(&mut self.kept_to, usize::MAX);
        std::mem::take(&mut self.kept).into_iter().chain(self)
    }
}

impl Iterator for Dashes<'_> {
    type Item = usize;

    /// Where the next one begins.
    fn next(&mut self) -> Option<usize> {
        loop {
            let keeps = self.kept_to == self.looked && self.kept.len() < Self::MOST;
            let rest = self.raw.get(self.looked..)?;
            let at = self.dashes.find(rest).unwrap_or(rest.len());
            let (_, row) = rest.split_at_checked(at)?;
            let start = self.looked.saturating_add(at);
            // No other line begins within the row.
            let length = row.iter().take_while(|octet| **octet == b'-').count();
            self.looked = start.saturating_add(length);
            let before = start.checked_sub(1).and_then(|at| self.raw.get(at));
            let is_found = length > 0 && matches!(before, Some(b'\r' | b'\n'));
            if keeps {
                self.kept_to = self.looked;
                self.kept.extend(is_found.then_some(start));
            }
            if is_found {
                return Some(start);
            }
            if length == 0 {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_is_found(octets in "[-a\r\n]{0,60}", times in 1usize..200, taken in 0usize..40) {
            let raw = octets.repeat(times).into_bytes();
            let begins = |at: &usize| {
                matches!(raw.get(at.wrapping_sub(1)), Some(b'\r' | b'\n')) && raw[*at..].starts_with(b"--")
            };
            let expected: Vec<usize> = (0..raw.len()).filter(begins).collect();
            let mut dashes = Dashes::of(&raw);
            let some: Vec<usize> = dashes.by_ref().take(taken).collect();
            prop_assert_eq!(&some[..], &expected[..taken.min(expected.len())]);
            prop_assert!(dashes.kept.len() <= Dashes::MOST);
            prop_assert_eq!(dashes.all().collect::<Vec<_>>(), expected);
        }
    }
}
