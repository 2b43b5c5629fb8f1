//! Where octets of a message as it came stand in what edits made of it.
//!
//! Written down while a message is rendered, so nobody has to search for them afterwards. Of a body that was replaced nothing is
//! known here, though most of it may be the same.
//!
//! Must never: claim that octets are the same which are not. Who builds on it compares all the same.

use std::ops::Range;

/// A run of octets that is there before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Where it began.
    pub before: usize,
    /// Where it begins now.
    pub after: usize,
    pub length: usize,
}

/// All runs, in the order in which they stand now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllKept(Vec<Kept>);

impl AllKept {
    /// Nothing was noted.
    pub const NONE: &'static AllKept = &AllKept(Vec::new());

    /// Nothing was edited.
    pub fn whole(length: usize) -> AllKept {
        let mut all = AllKept::default();
        all.push(0, 0, length);
        all
    }

    /// One more run, behind all others now; one that continues the last becomes one with it.
    pub(super) fn push(&mut self, before: usize, after: usize, length: usize) {
        if length == 0 {
            return;
        }
        match self.0.last_mut() {
            Some(last)
                if last.before.saturating_add(last.length) == before
                    && last.after.saturating_add(last.length) == after =>
            {
                last.length = last.length.saturating_add(length);
            }
            _ => self.0.push(Kept {
                before,
                after,
                length,
            }),
        }
    }

    /// What is left of these runs after another edit, which kept `then`.
    #[must_use]
    pub fn followed_by(&self, then: &AllKept) -> AllKept {
        let mut sorted: Vec<Kept> = then.0.clone();
        sorted.sort_unstable_by_key(|run| run.before);
        let mut found: Vec<Kept> = Vec::new();
        let mut rest = sorted.as_slice();
        for first in &self.0 {
            let end = first.after.saturating_add(first.length);
            // A run of the second edit may reach into the next one of the first.
            while let Some(run) = rest.first()
                && run.before.saturating_add(run.length) <= first.after
            {
                rest = rest.get(1..).unwrap_or_default();
            }
            for run in rest.iter().take_while(|run| run.before < end) {
                let from = run.before.max(first.after);
                let to = run.before.saturating_add(run.length).min(end);
                found.push(Kept {
                    before: (first.before).saturating_add(from.saturating_sub(first.after)),
                    after: (run.after).saturating_add(from.saturating_sub(run.before)),
                    length: to.saturating_sub(from),
                });
            }
        }
        found.sort_unstable_by_key(|run| run.after);
        let mut all = AllKept::default();
        for run in found {
            all.push(run.before, run.after, run.length);
        }
        all
    }

    /// The runs that lie in these ranges, counted from their beginnings, as far as they stand in the same order before and after.
    pub fn within(&self, before: Range<usize>, after: Range<usize>) -> Vec<Kept> {
        let mut found: Vec<Kept> = Vec::new();
        let mut last: usize = 0;
        for run in &self.0 {
            let skipped = (before.start.saturating_sub(run.before))
                .max(after.start.saturating_sub(run.after));
            let room = |start: usize, end: usize| {
                end.saturating_sub(start.saturating_add(skipped))
                    .min(run.length.saturating_sub(skipped))
            };
            let length = room(run.before, before.end).min(room(run.after, after.end));
            let at = (run.before.saturating_add(skipped)).saturating_sub(before.start);
            if length == 0 || at < last {
                continue;
            }
            last = at.saturating_add(length);
            found.push(Kept {
                before: at,
                after: (run.after.saturating_add(skipped)).saturating_sub(after.start),
                length,
            });
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(runs: &[(usize, usize, usize)]) -> AllKept {
        let mut all = AllKept::default();
        for (before, after, length) in runs {
            all.push(*before, *after, *length);
        }
        all
    }

    #[test]
    fn runs_in_ranges() {
        let kept = all(&[(0, 0, 10), (10, 14, 6), (30, 20, 5), (16, 40, 4)]);
        let runs = |before, after| -> Vec<(usize, usize, usize)> {
            let found = kept.within(before, after).into_iter();
            found
                .map(|run| (run.before, run.after, run.length))
                .collect()
        };
        // What moved up is not in order.
        assert_eq!(runs(0..50, 0..50), [(0, 0, 10), (10, 14, 6), (30, 20, 5)]);
        assert_eq!(runs(4..12, 2..50), [(0, 2, 6), (6, 12, 2)]);
        assert_eq!(runs(4..50, 6..16), [(2, 0, 4), (6, 8, 2)]);
        assert_eq!(runs(60..70, 0..50), []);
        assert_eq!(all(&[(0, 3, 2), (2, 5, 4)]), all(&[(0, 3, 6)]));
    }

    proptest! {
        /// Two edits, one after the other, as octets of their own numbers show them.
        #[test]
        fn one_edit_after_another(first in proptest::collection::vec((0usize..30, 0usize..9), 0..6), then in proptest::collection::vec((0usize..40, 0usize..9), 0..6)) {
            let edit = |source: &[u32], runs: &[(usize, usize)]| {
                let (mut out, mut all) = (Vec::new(), AllKept::default());
                for (start, length) in runs {
                    let run = source.get(*start..(start + length).min(source.len())).unwrap_or_default();
                    out.push(u32::MAX);
                    all.push(*start, out.len(), run.len());
                    out.extend_from_slice(run);
                }
                (out, all)
            };
            let source: Vec<u32> = (0..30).collect();
            let (middle, a) = edit(&source, &first);
            let (last, b) = edit(&middle, &then);
            for run in a.followed_by(&b).0 {
                let (before, after) = (run.before..run.before + run.length, run.after..run.after + run.length);
                prop_assert_eq!(&source[before], &last[after]);
            }
        }
    }
}
