//! Where a writer's text ends and the mail that it answers begins, or why there is no such place.
//!
//! Must never: look for it.

use thiserror::Error;

/// Where ours goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seam {
    /// In octets of the text given. In plain text the start of a line: that of the introduction or of the first quoted
    /// line. In HTML a place outside of all tags, before the element that holds the introduction or the quote.
    pub offset: usize,
    pub confidence: Confidence,
    /// What was recognised, for the log: `gmail_quote`, `introduction` …
    pub mark: &'static str,
}

/// How sure it is that the writer's text ends here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    Low,
    High,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Nowhere {
    #[error("no quoted mail")]
    NoQuote,
    /// The newest text is at the bottom, or between quotes.
    #[error("own text below the quoted mail")]
    OwnTextBelow,
    /// The quote begins where readers would hide our block, or tear it out of its place.
    #[error("no place above the quoted mail")]
    Unfit,
}
