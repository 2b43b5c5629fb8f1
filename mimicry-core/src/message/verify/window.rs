//! What differs between the body of a text and the one that replaces it, in whole lines.
//!
//! The lines before and after are the same octets in both, and were text of the charset in the coding that both have. A line that
//! ends hard ends a character and what the coding makes of it. So the new body is text if these lines are, and its lines are
//! good if these are or if they were bad before.
//!
//! Must never: use what the edit says of where it changed something.

use memchr::{memchr_iter, memrchr};

use super::made::{charset, lines_are_clean, made_well};
use super::mismatch::Mismatch;
use crate::message::codec::Encoding;
use crate::message::part::Part;
use crate::message::text::WasText;

/// What of the new body must be looked at: all of it, where nothing is known of the old one or a line does not stand for itself.
pub(super) fn window<'n>(old: Part<'_>, new: Part<'n>, was_text: Option<WasText>) -> &'n [u8] {
    let encoding = new.encoding();
    let is_text = new.media_type().starts_with("text/");
    match (was_text, charset(new)) {
        (Some(was), Some(charset)) if is_text && was.by_lines(encoding, charset) => {
            differing_lines(old.body(), new.body(), encoding)
        }
        _ => new.body(),
    }
}

/// Is a body that replaces another one well made, where `looked_at` is all that is new of it.
pub(super) fn replaced_well(
    old: Part<'_>,
    new: Part<'_>,
    looked_at: &[u8],
) -> Result<(), Mismatch> {
    let newline = old.message().newline();
    let lines = lines_are_clean(looked_at, newline) || lines_are_clean(old.body(), newline);
    made_well(old, new, looked_at, lines)
}

/// The lines of `new` between those that both begin with and those that both end in.
pub(super) fn differing_lines<'n>(old: &[u8], new: &'n [u8], encoding: Encoding) -> &'n [u8] {
    let has_soft = encoding == Encoding::QuotedPrintable;
    let same = common_start(old, new);
    let head = new.get(..same).unwrap_or_default();
    let (old, rest) = (old.get(same..), new.get(same..));
    let same = common_end(old.unwrap_or_default(), rest.unwrap_or_default());
    let tail = new
        .get(new.len().saturating_sub(same)..)
        .unwrap_or_default();
    let kept = tail.len().saturating_sub(first_hard_end(tail, has_soft));
    new.get(last_hard_end(head, has_soft)..new.len().saturating_sub(kept))
        .unwrap_or(new)
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
/// both bodies; before it there may be a `=` in one of them.
fn ends_hard(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let last = line
        .iter()
        .rev()
        .find(|octet| !matches!(octet, b' ' | b'\t'));
    last.is_some_and(|octet| *octet != b'=')
}

/// Octets that are compared at once.
const CHUNK: usize = 256;

fn common_start(a: &[u8], b: &[u8]) -> usize {
    let chunks = a.chunks_exact(CHUNK).zip(b.chunks_exact(CHUNK));
    let whole = chunks
        .take_while(|(a, b)| a == b)
        .count()
        .saturating_mul(CHUNK);
    // To skip them in an iterator would be to go over each.
    let rest = [a, b].map(|octets| octets.get(whole..).unwrap_or_default().iter());
    let [a, b] = rest;
    whole.saturating_add(a.zip(b).take_while(|(a, b)| a == b).count())
}

fn common_end(a: &[u8], b: &[u8]) -> usize {
    let chunks = a.rchunks_exact(CHUNK).zip(b.rchunks_exact(CHUNK));
    let whole = chunks
        .take_while(|(a, b)| a == b)
        .count()
        .saturating_mul(CHUNK);
    let rest = [a, b].map(|octets| {
        let end = octets.len().saturating_sub(whole);
        octets.get(..end).unwrap_or_default().iter().rev()
    });
    let [a, b] = rest;
    whole.saturating_add(a.zip(b).take_while(|(a, b)| a == b).count())
}
