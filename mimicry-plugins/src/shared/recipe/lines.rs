//! Old lines as copies of new ones, and back.
//!
//! What the edits kept is known and is not searched for. Between two such runs the lines at both ends are compared, and of the rest
//! those that stand there once: no line is looked at more than a few times, whatever is in the mail.
//!
//! Must never: copy a line that stands above one which was copied already, or more lines than there are.

use std::collections::HashMap;

use memchr::{memchr, memchr_iter, memchr2, memrchr};
use mimicry_core::message::kept::Kept;

/// One step on the way back. Lines are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// From the first to the last of these lines.
    Copy(usize, usize),
    /// Lines that are not in the edited mail, without their ends.
    Lines(Vec<Vec<u8>>),
}

/// Why steps lead nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// A line is named twice, or behind one that stands below it.
    Order,
    /// A line is named that is not there.
    Range,
}

/// How `old` is made of `new`, where `kept` is what is known to be the same, in order. `None` = it takes lines of more than `most`
/// octets that are not in `new`, or one with a CR within.
pub fn steps(old: &[u8], new: &[u8], kept: &[Kept], most: usize) -> Option<Vec<Step>> {
    let mut way = Way {
        steps: Vec::new(),
        line: 1,
        left: most,
    };
    let (mut at_old, mut at_new) = (0, 0);
    for run in kept {
        let Some((old_run, new_run)) = whole_lines(old, new, run) else {
            continue;
        };
        // What stands between is at the beginning of a line in both.
        if old_run.start < at_old || new_run.start < at_new {
            continue;
        }
        way.gap(
            old.get(at_old..old_run.start)?,
            new.get(at_new..new_run.start)?,
        )?;
        let lines = memchr_iter(b'\n', new.get(new_run.clone())?).count();
        way.copy(way.line, lines);
        way.line = way.line.saturating_add(lines);
        (at_old, at_new) = (old_run.end, new_run.end);
    }
    way.gap(old.get(at_old..)?, new.get(at_new..)?)?;
    Some(way.steps)
}

type Run = std::ops::Range<usize>;

/// The whole lines of a run, if they begin as lines in both. A last line without an end is none.
fn whole_lines(old: &[u8], new: &[u8], run: &Kept) -> Option<(Run, Run)> {
    let begins = |octets: &[u8], at: usize| {
        at.checked_sub(1)
            .is_none_or(|before| octets.get(before) == Some(&b'\n'))
    };
    let octets = old.get(run.before..run.before.checked_add(run.length)?)?;
    if new.get(run.after..run.after.checked_add(run.length)?)? != octets {
        return None;
    }
    let start = match begins(old, run.before) && begins(new, run.after) {
        true => 0,
        false => memchr(b'\n', octets)?.saturating_add(1),
    };
    let end = memrchr(b'\n', octets)?.saturating_add(1);
    let of = |from: usize| from.saturating_add(start)..from.saturating_add(end);
    (start < end).then(|| (of(run.before), of(run.after)))
}

struct Way {
    steps: Vec<Step>,
    /// The number of the next line of the new octets.
    line: usize,
    /// Octets that may still be written down.
    left: usize,
}

impl Way {
    fn copy(&mut self, first: usize, count: usize) {
        let Some(last) = first.saturating_add(count).checked_sub(1) else {
            return;
        };
        match self.steps.last_mut() {
            _ if count == 0 => {}
            Some(Step::Copy(_, end)) if end.saturating_add(1) == first => *end = last,
            _ => self.steps.push(Step::Copy(first, last)),
        }
    }

    fn write(&mut self, line: &[u8]) -> Option<()> {
        // The draft has no words for such an octet.
        if memchr2(b'\r', b'\n', line).is_some() {
            return None;
        }
        // In JSON it has quotes and a comma, besides.
        self.left = self.left.checked_sub(line.len().saturating_add(3))?;
        match self.steps.last_mut() {
            Some(Step::Lines(lines)) => lines.push(line.to_vec()),
            _ => self.steps.push(Step::Lines(vec![line.to_vec()])),
        }
        Some(())
    }

    /// Lines of which it is not known what they have in common.
    fn gap(&mut self, old: &[u8], new: &[u8]) -> Option<()> {
        let (old, new): (Vec<TextLine<'_>>, Vec<TextLine<'_>>) =
            (lines(old).collect(), lines(new).collect());
        let first = self.line;
        self.line = first.saturating_add(new.len());
        let head = common(old.iter(), new.iter());
        self.copy(first, head);
        let (old, new) = (old.get(head..)?, new.get(head..)?);
        let tail = common(old.iter().rev(), new.iter().rev());
        let inner = |lines: &[TextLine<'_>]| lines.len().saturating_sub(tail);
        let (old, new) = (old.get(..inner(old))?, new.get(..inner(new))?);
        let first = first.saturating_add(head);
        self.middle(old, new, first)?;
        self.copy(first.saturating_add(new.len()), tail);
        Some(())
    }

    fn middle(&mut self, old: &[TextLine<'_>], new: &[TextLine<'_>], first: usize) -> Option<()> {
        // `None` = it stands there more than once.
        let mut places: HashMap<TextLine<'_>, Option<usize>> = HashMap::new();
        for (place, line) in new.iter().enumerate() {
            places
                .entry(*line)
                .and_modify(|place| *place = None)
                .or_insert(Some(place));
        }
        let mut at = 0;
        for line in old {
            let only = places.get(line).copied().flatten();
            let place = match new.get(at) == Some(line) {
                true => Some(at),
                false => only.filter(|place| *place >= at && !line.content.is_empty()),
            };
            match place {
                Some(place) => {
                    self.copy(first.saturating_add(place), 1);
                    at = place.saturating_add(1);
                }
                None => self.write(line.content)?,
            }
        }
        Some(())
    }
}

fn common<'l, 'o: 'l>(
    old: impl Iterator<Item = &'l TextLine<'o>>,
    new: impl Iterator<Item = &'l TextLine<'o>>,
) -> usize {
    old.zip(new).take_while(|(old, new)| old == new).count()
}

/// A line, and whether it ends in LF alone. A last line without an end is one that ends as lines should.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct TextLine<'o> {
    content: &'o [u8],
    is_lf: bool,
}

/// The lines with their ends.
pub fn whole(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = octets;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr(b'\n', rest).map_or(rest.len(), |at| at.saturating_add(1));
        let (line, behind) = rest.split_at_checked(end)?;
        rest = behind;
        Some(line)
    })
}

fn lines(octets: &[u8]) -> impl Iterator<Item = TextLine<'_>> {
    whole(octets).map(|line| {
        let without_lf = line.strip_suffix(b"\n");
        let without_crlf = line.strip_suffix(b"\r\n");
        TextLine {
            content: without_crlf.or(without_lf).unwrap_or(line),
            is_lf: without_lf.is_some() && without_crlf.is_none(),
        }
    })
}

/// The lines that the steps name, of `new` as they stand there, the others with this line end. So is the last one of `new` where it
/// has none.
pub fn apply(new: &[u8], steps: &[Step], newline: &[u8]) -> Result<Vec<u8>, Lost> {
    let mut out = Vec::new();
    let mut lines = whole(new);
    let mut at: usize = 1;
    for step in steps {
        match step {
            Step::Copy(first, last) => {
                if *first < at || last < first {
                    return Err(Lost::Order);
                }
                while at < *first {
                    lines.next().ok_or(Lost::Range)?;
                    at = at.saturating_add(1);
                }
                while at <= *last {
                    let line = lines.next().ok_or(Lost::Range)?;
                    out.extend_from_slice(line);
                    if !line.ends_with(b"\n") {
                        out.extend_from_slice(newline);
                    }
                    at = at.saturating_add(1);
                }
            }
            Step::Lines(lines) => {
                for line in lines {
                    out.extend_from_slice(line);
                    out.extend_from_slice(newline);
                }
            }
        }
    }
    Ok(out)
}
