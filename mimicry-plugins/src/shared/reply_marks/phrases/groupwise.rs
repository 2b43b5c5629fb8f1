//! What GroupWise writes above a quoted mail whose lines bear no marks.
//!
//! Must never read further than the few lines over which it folds an introduction and the next one that is not blank.

use super::dates::date_and_time;
use super::{Traits, ends_in_colon};

/// `>>> Laura Chen <laura@example.com> 3/19/2024 3:58 PM >>>`, as GroupWise writes it above a quoted mail without marks.
pub(in super::super) fn is_between_marks(line: &str) -> bool {
    const MARKS: &str = ">>>";
    let inner = line.trim().strip_prefix(MARKS);
    inner
        .and_then(|inner| inner.strip_suffix(MARKS))
        .is_some_and(|inner| inner.starts_with(' ') && date_and_time(inner) == (true, true))
}

/// `>>> On 3/19/2024 at 3:58 PM, in message <…>, Laura Chen <laura@example.com> wrote:`, as newer GroupWise writes it above a quoted mail without
/// marks; in plain text it is folded. `text` begins with the line, what follows may be of the quote.
pub(in super::super) fn is_marked_introduction(text: &str) -> bool {
    const FOLDED: usize = 3;
    let Some(inner) = text.strip_prefix(">>> ") else {
        return false;
    };
    let mut lines = inner.lines();
    let mut joined = String::new();
    for line in lines.by_ref().take(FOLDED) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('>') || line.len() > LONGEST {
            return false;
        }
        joined.push_str(line);
        if ends_in_colon(line) {
            let below = lines.find(|line| !line.trim().is_empty());
            let is_unmarked = below.is_some_and(|line| !line.trim_start().starts_with('>'));
            return is_unmarked && Traits::of(&joined).is_complete();
        }
        joined.push(' ');
    }
    return false;

    /// In octets: no program writes a longer one.
    const LONGEST: usize = 998;
}
