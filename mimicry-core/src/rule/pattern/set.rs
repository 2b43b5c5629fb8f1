//! All patterns on one kind of value. A value is walked once for the literals of all of them; only patterns whose literals it
//! holds are looked at further. What came of the last values is kept, because one value is asked about by many.
//!
//! Must never: keep more than [`KEPT`] octets of values.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::engine::Scratch;
use super::form::Form;
use super::need::fold;

/// How much of one value a pattern sees, in octets (64 KiB).
pub const HAYSTACK: usize = 64 * 1024;
/// Octets of values whose answers are kept, with their answers.
pub(super) const KEPT: usize = 64 << 10;
/// What is longer is not kept.
const LONGEST: usize = 1024;

/// Which patterns match, in order.
type Hits = Arc<[u32]>;

/// The patterns on one kind of value.
#[derive(Debug)]
pub struct Set {
    forms: Vec<Arc<Form>>,
    is_text: bool,
    /// Finds the literals of all patterns; `None` = there are none.
    literals: Option<AhoCorasick>,
    /// By literal: what it means to whom.
    uses: Vec<Vec<Use>>,
    /// Patterns of which an empty text is a literal.
    empty: Vec<Use>,
    /// Patterns without a literal.
    open: Vec<u32>,
    recent: Mutex<Recent>,
    scratch: Arc<Mutex<Scratch>>,
}

/// What a literal means to one pattern.
#[derive(Clone, Copy, Debug)]
struct Use {
    pattern: u32,
    /// It must stand there.
    start: bool,
    end: bool,
    /// The pattern matches then; otherwise it may.
    decides: bool,
}

#[derive(Debug, Default)]
struct Recent {
    hits: HashMap<Box<[u8]>, Hits>,
    octets: usize,
}

impl Set {
    pub(super) fn new(forms: Vec<Arc<Form>>, is_text: bool, scratch: Arc<Mutex<Scratch>>) -> Set {
        let mut places: HashMap<&[u8], usize> = HashMap::new();
        let mut needles: Vec<&[u8]> = Vec::new();
        let mut uses: Vec<Vec<Use>> = Vec::new();
        let mut empty = Vec::new();
        let mut open = Vec::new();
        for (id, form) in (0u32..).zip(&forms) {
            if form.items.is_empty() && form.regex.is_some() {
                open.push(id);
            }
            for item in &form.items {
                let one = Use {
                    pattern: id,
                    start: item.start,
                    end: item.end,
                    decides: form.regex.is_none(),
                };
                if item.literal.is_empty() {
                    empty.push(one);
                    continue;
                }
                let place = *places.entry(&item.literal).or_insert_with(|| {
                    needles.push(&item.literal);
                    uses.push(Vec::new());
                    needles.len().saturating_sub(1)
                });
                if let Some(list) = uses.get_mut(place) {
                    list.push(one);
                }
            }
        }
        let literals = match needles.is_empty() {
            true => None,
            false => AhoCorasick::builder()
                .match_kind(MatchKind::Standard)
                .kind(Some(AhoCorasickKind::ContiguousNFA))
                .build(&needles)
                .ok(),
        };
        if literals.is_none() {
            // Too many for a machine of 32 bits: each is looked at.
            open.extend(uses.iter().flatten().map(|one| one.pattern));
            open.sort_unstable();
            open.dedup();
        }
        Set {
            literals,
            uses,
            empty,
            open,
            is_text,
            recent: Mutex::default(),
            scratch,
            forms,
        }
    }

    pub(super) fn text(&self, id: u32) -> Option<&str> {
        Some(&self.form(id)?.text)
    }

    /// Does a pattern ask for some letters that stand together.
    pub(super) fn is_selective(&self, id: u32) -> bool {
        const LETTERS: usize = 3;
        self.form(id).is_some_and(|form| {
            let mut items = form.items.iter();
            (form.regex.is_none() || !form.items.is_empty())
                && items.all(|item| item.literal.len() >= LETTERS || (item.start && item.end))
        })
    }

    fn form(&self, id: u32) -> Option<&Form> {
        let place = usize::try_from(id).ok()?;
        self.forms.get(place).map(Arc::as_ref)
    }

    /// The patterns that match a value.
    pub fn hits(&self, value: &[u8]) -> Hits {
        let value = self.cut(value);
        if value.len() > LONGEST {
            return self.search(value);
        }
        // What a panic left behind is whole: each answer is put in at once.
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hits) = recent.hits.get(value) {
            return Arc::clone(hits);
        }
        let hits = self.search(value);
        let octets = value.len().saturating_add(hits.len().saturating_mul(4));
        let octets = octets.saturating_add(64);
        if recent.octets.saturating_add(octets) > KEPT {
            *recent = Recent::default();
        }
        recent.octets = recent.octets.saturating_add(octets);
        recent.hits.insert(value.into(), Arc::clone(&hits));
        hits
    }

    #[cfg(test)]
    pub(super) fn recent_octets(&self) -> (usize, usize) {
        let recent = self.recent.lock().unwrap();
        let octets = recent
            .hits
            .iter()
            .map(|(value, hits)| value.len() + hits.len() * 4 + 64);
        (octets.sum(), recent.hits.len())
    }

    /// As much of a value as is looked at, whole characters of a text.
    fn cut<'v>(&self, value: &'v [u8]) -> &'v [u8] {
        let Some(cut) = value.get(..HAYSTACK).filter(|_| value.len() > HAYSTACK) else {
            return value;
        };
        let is_continued = |at: usize| value.get(at).is_some_and(|octet| octet & 0xc0 == 0x80);
        let end = match self.is_text {
            true => (0..=HAYSTACK).rev().find(|at| !is_continued(*at)),
            false => None,
        };
        end.and_then(|end| cut.get(..end)).unwrap_or(cut)
    }

    fn search(&self, value: &[u8]) -> Hits {
        let mut hits: Vec<u32> = Vec::new();
        let mut candidates: Vec<u32> = self.open.clone();
        let mut found = |one: &Use, start: bool, end: bool| {
            if (one.start && !start) || (one.end && !end) {
                return;
            }
            match one.decides {
                true => hits.push(one.pattern),
                false => candidates.push(one.pattern),
            }
        };
        for one in &self.empty {
            // An empty text stands at each place, and so at each end.
            let is_both = one.start && one.end;
            found(one, !is_both || value.is_empty(), true);
        }
        if let Some(literals) = &self.literals {
            let folded = fold(value);
            for matched in literals.find_overlapping_iter(folded.as_ref()) {
                let (start, end) = (matched.start() == 0, matched.end() == folded.len());
                let uses = self.uses.get(matched.pattern().as_usize());
                for one in uses.into_iter().flatten() {
                    found(one, start, end);
                }
            }
        }
        candidates.sort_unstable();
        candidates.dedup();
        if !candidates.is_empty() {
            let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
            for id in candidates {
                let Some(form) = self.form(id) else { continue };
                let matches = match &form.regex {
                    Some(regex) => scratch.matches(form, regex, value),
                    None => form.decide(value),
                };
                if matches {
                    hits.push(id);
                }
            }
        }
        hits.sort_unstable();
        hits.dedup();
        hits.into()
    }
}
