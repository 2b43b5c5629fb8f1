//! A line of a text as the judge is shown it.
//!
//! Must never: judge it.

use crate::shared::reply_marks::seam::{Nowhere, Seam};

/// A line that shows something.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ShownLine<'a> {
    /// Without quote marks.
    pub text: &'a str,
    /// False if `text` is but its beginning.
    pub whole: bool,
    /// Where a block of ours would stand directly above it; `None` if it would not be seen there.
    pub place: Option<usize>,
    pub level: Level,
    pub blank_before: bool,
    /// The first line in an element below which all is quoted.
    pub opens: Option<&'static str>,
    /// In an element that mail programs make for an introduction.
    pub introduction: bool,
    /// In an element that mail programs make for a signature.
    pub signature: bool,
    /// A line across the page.
    pub rule: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Level {
    #[default]
    Own,
    /// Behind `>`.
    Marked,
    /// In a blockquote that may be anybody's.
    Loose,
    /// In an element that mail programs make for a quote.
    Sure(&'static str),
}

pub(super) type Finding = Result<Seam, Nowhere>;
