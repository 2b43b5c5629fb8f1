//! What octets and those that an edit made of them begin and end with alike. An edit of a large message leaves nearly all of it, and that
//! is found here by one comparison.
//!
//! Must never: call octets the same that it has not compared, or use what the edit says of where it changed something.
//!
//! Known limits: of two edits far apart, all between them is not alike.

use std::ops::Range;

use memchr::{memchr_iter, memrchr};

/// How many octets two runs of octets begin with alike, and how many of what is left they end with alike.
pub(super) struct Alike {
    old_len: usize,
    new_len: usize,
    start: usize,
    end: usize,
}

impl Alike {
    pub(super) fn of(old: &[u8], new: &[u8]) -> Alike {
        let start = common_start(old, new);
        let [old_rest, new_rest] = [old, new].map(|octets| octets.get(start..).unwrap_or_default());
        Alike {
            old_len: old.len(),
            new_len: new.len(),
            start,
            end: common_end(old_rest, new_rest),
        }
    }

    /// Is it known that a piece of the old octets and one of the new are the same. `false` says nothing.
    pub(super) fn are_same(&self, old: &Range<usize>, new: &Range<usize>) -> bool {
        let is_at_start = old == new && old.end <= self.start;
        let from_end = |range: &Range<usize>, length: usize| {
            let start = length.checked_sub(range.start)?;
            Some((start, length.checked_sub(range.end)?))
        };
        let (old, new) = (from_end(old, self.old_len), from_end(new, self.new_len));
        is_at_start || old == new && old.is_some_and(|(start, _)| start <= self.end)
    }

    /// The lines of `new`, which are the new octets, between those that both begin with and those that both end in. `has_soft`: a line that
    /// ends in `=` does not end there.
    pub(super) fn lines_between<'n>(&self, new: &'n [u8], has_soft: bool) -> &'n [u8] {
        let head = new.get(..self.start).unwrap_or_default();
        let tail = new
            .get(new.len().saturating_sub(self.end)..)
            .unwrap_or_default();
        let kept = tail.len().saturating_sub(first_hard_end(tail, has_soft));
        new.get(last_hard_end(head, has_soft)..new.len().saturating_sub(kept))
            .unwrap_or(new)
    }
}

/// Behind the last line end that ends a line of the content too; 0 = there is none.
fn last_hard_end(head: &[u8], has_soft: bool) -> usize {
    let mut line = head;
    while let Some(lf) = memrchr(b'\n', line) {
        line = line.get(..lf).unwrap_or_default();
        if !has_soft || ends_hard(line) {
            return lf.saturating_add(1);
        }
    }
    0
}

/// Behind the first such line end; the length = there is none.
fn first_hard_end(tail: &[u8], has_soft: bool) -> usize {
    let mut ends = memchr_iter(b'\n', tail);
    let hard = ends.find(|lf| !has_soft || ends_hard(tail.get(..*lf).unwrap_or_default()));
    hard.map_or(tail.len(), |lf| lf.saturating_add(1))
}

/// Is there something before the line end that ends these octets, and not the `=` of a soft break. What is seen there is the same in
/// both; before it there may be a `=` in one of them.
fn ends_hard(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let last = line
        .iter()
        .rev()
        .find(|octet| !matches!(octet, b' ' | b'\t'));
    last.is_some_and(|octet| *octet != b'=')
}

/// Octets that are compared at once: many, then those of the first piece that differs.
const CHUNKS: [usize; 3] = [256, 16, 1];

fn common_start(a: &[u8], b: &[u8]) -> usize {
    CHUNKS.iter().fold(0, |same, chunk| {
        let [a, b] = [a, b].map(|octets| octets.get(same..).unwrap_or_default());
        let chunks = a.chunks_exact(*chunk).zip(b.chunks_exact(*chunk));
        let more = chunks.take_while(|(a, b)| a == b).count();
        same.saturating_add(more.saturating_mul(*chunk))
    })
}

fn common_end(a: &[u8], b: &[u8]) -> usize {
    CHUNKS.iter().fold(0, |same, chunk| {
        let [a, b] = [a, b].map(|octets| {
            let end = octets.len().saturating_sub(same);
            octets.get(..end).unwrap_or_default()
        });
        let chunks = a.rchunks_exact(*chunk).zip(b.rchunks_exact(*chunk));
        let more = chunks.take_while(|(a, b)| a == b).count();
        same.saturating_add(more.saturating_mul(*chunk))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::lines::lone;

    #[test]
    fn lines_between() {
        for (old, new, between) in [
            ("a\nb\nc\n", "a\nb\nc\n", ""),
            ("a\nb\nc\n", "a\nx\nb\nc\n", "x\nb\n"),
            ("a\nb\nc\n", "a\nbx\nc\n", "bx\n"),
            ("a\r\nb\r\n", "a\r\n\nb\r\n", "\nb\r\n"),
            ("a\nb", "a\nbc", "bc"),
            ("a\nb", "a\n", ""),
            ("", "a\n", "a\n"),
            ("a\n", "", ""),
        ] {
            let found =
                Alike::of(old.as_bytes(), new.as_bytes()).lines_between(new.as_bytes(), false);
            assert_eq!(
                found.escape_ascii().to_string(),
                between.escape_default().to_string(),
                "{old:?} {new:?}"
            );
        }
    }

    proptest! {
        /// Where no CR and no LF stood alone before, one that does so now stands in the lines that differ.
        #[test]
        fn t175_what_is_alike_has_no_new_lone_line_end(
            kept in ("(a|\r\n){0,8}", "(a|\r\n){0,8}", "(a|\r\n){0,8}"),
            new in "[a\r\n]{0,3}",
            fill in 0..2 * CHUNKS[0],
        ) {
            let fill = "b".repeat(fill);
            let old = [&*fill, &*kept.0, &*kept.1, &*kept.2, &*fill].concat();
            let new = [&*fill, &*kept.0, &*new, &*kept.2, &*fill].concat();
            prop_assert!(lone(old.as_bytes()).is_none());
            // Cut anywhere, as an edit may.
            for at in (0..new.len()).filter(|at| new.as_bytes()[*at] != b'b').chain([new.len()]) {
                for new in [&new.as_bytes()[..at], &new.as_bytes()[at..]] {
                    let between = Alike::of(old.as_bytes(), new).lines_between(new, false);
                    prop_assert_eq!(lone(between).is_some(), lone(new).is_some());
                }
            }
        }

        /// Of any two pieces, wherever the chunks lie.
        #[test]
        fn what_is_said_to_be_the_same_is(
            parts in ("[ab]{0,9}", "[ab]{0,9}", "[ab]{0,9}", "[ab]{0,9}"),
            fill in (0..2 * CHUNKS[0], 0..2 * CHUNKS[0]),
            at in (0..5 * CHUNKS[0], 0..CHUNKS[0], 0..5 * CHUNKS[0], 0..CHUNKS[0]),
        ) {
            let [before, after] = [fill.0, fill.1].map(|fill| "c".repeat(fill));
            let old = [&*before, &*parts.0, &*parts.1, &*after].concat().into_bytes();
            let new = [&*before, &*parts.2, &*parts.3, &*after].concat().into_bytes();
            let alike = Alike::of(&old, &new);
            let pieces = [
                (at.0..at.0 + at.1, at.2..at.2 + at.3),
                (at.0..at.0 + at.1, at.0..at.0 + at.1),
                // As far from the end.
                (at.0..at.0 + at.1, (at.0 + new.len()).saturating_sub(old.len())..(at.0 + at.1 + new.len()).saturating_sub(old.len())),
                (0..fill.0, 0..fill.0),
                (old.len() - fill.1..old.len(), new.len() - fill.1..new.len()),
            ];
            for (index, (one, other)) in pieces.iter().enumerate() {
                let is_same = alike.are_same(one, other);
                prop_assert!(!is_same || old.get(one.clone()).is_some() && old.get(one.clone()) == new.get(other.clone()));
                // What was put before and behind both.
                prop_assert!(is_same || index < 3 || alike.start + alike.end >= old.len().min(new.len()));
            }
        }
    }
}
