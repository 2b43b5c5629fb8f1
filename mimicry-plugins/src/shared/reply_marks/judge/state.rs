//! The state that the judge keeps between two lines.
//!
//! Must never: decide anything but whether header lines are enough of a header.

use std::collections::VecDeque;

use super::super::line::{Finding, Level};
use super::super::phrases::{self, Label, Lead, Shape};
use super::super::seam::{Confidence, Nowhere, Seam};

#[derive(Clone, Copy, Debug)]
pub(super) struct Quote {
    pub(super) place: Option<usize>,
    pub(super) confidence: Confidence,
    pub(super) mark: &'static str,
}

/// An introduction that no quote follows so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Announced {
    pub(super) place: Option<usize>,
    pub(super) indented: bool,
    /// It says who wrote, when and from which address.
    pub(super) complete: bool,
    /// Own lines above it.
    pub(super) own: usize,
    /// The divider right above it, or that it is itself: no writer has both.
    pub(super) divider: Option<Standing>,
}

/// The first mark that is not certain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cap {
    pub(super) place: Option<usize>,
    pub(super) mark: &'static str,
    /// A mark only by a program: with a certain one below it, it is certain.
    pub(super) sure: bool,
    /// Own lines between the quote above it, if there is one, and it.
    pub(super) own: usize,
    /// There was a quote above it.
    pub(super) below_quote: bool,
}

/// Lines one below the other that look like header lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shapes {
    pub(super) place: Option<usize>,
    pub(super) own: usize,
    pub(super) lines: u8,
    pub(super) seen: Shape,
}

/// A lead as the last line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) lead: Lead,
    pub(super) place: Option<usize>,
    /// Own lines up to it.
    pub(super) own: usize,
}

/// Header lines, so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Block {
    pub(super) place: Option<usize>,
    pub(super) lead: Option<Lead>,
    pub(super) labels: u8,
    /// There is a line without its colon among them.
    pub(super) bare: bool,
    pub(super) address: bool,
    /// Lines since the last header line.
    pub(super) idle: u8,
    /// Own lines above it.
    pub(super) own: usize,
}

/// Quoted lines without own lines between them.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) place: Option<usize>,
    pub(super) level: Level,
    /// Its first lines: some programs put the introduction into the quote.
    pub(super) head: String,
    pub(super) lines: usize,
    /// Octets of the last line.
    pub(super) last: usize,
    /// The quote begins with it.
    pub(super) first: bool,
    /// Its first lines as header lines.
    pub(super) block: Block,
    /// It counts as own text unless it begins with an introduction.
    pub(super) declined: bool,
}

#[derive(Debug, Default)]
pub(super) struct Own {
    pub(super) count: usize,
    /// The last ones, the newest last.
    pub(super) recent: VecDeque<Kept>,
    pub(super) tail: Tail,
    /// The quoted line above them was of at least [`FULL`] octets.
    pub(super) below_full_line: bool,
}

#[derive(Debug)]
pub(super) struct Kept {
    pub(super) text: String,
    pub(super) place: Option<usize>,
    pub(super) blank_before: bool,
    pub(super) introduction: bool,
}

/// What own lines below a quote are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tail {
    #[default]
    None,
    /// A signature or a footer, of so many lines at most.
    Signature(u8),
    Text,
}

impl Quote {
    pub(super) fn verdict(self) -> Finding {
        Ok(Seam {
            offset: self.place.ok_or(Nowhere::Unfit)?,
            confidence: self.confidence,
            mark: self.mark,
        })
    }
}

impl Block {
    pub(super) fn add(&mut self, label: Label, bare: bool, text: &str) {
        self.idle = 0;
        self.labels |= label as u8;
        self.bare |= bare;
        self.address |= phrases::has_address(text);
    }

    fn count(&self) -> usize {
        [Label::From, Label::Sent, Label::To, Label::Subject]
            .iter()
            .filter(|&&label| self.labels & label as u8 != 0)
            .count()
    }

    /// With an introduction below it there is enough of it.
    pub(super) fn says_two(&self) -> bool {
        self.count() >= 2
    }

    /// What it is, if there is enough of it.
    pub(super) fn mark(&self) -> Option<&'static str> {
        let has = |label: Label| self.labels & label as u8 != 0;
        let count = self.count();
        let enough = match self.lead {
            _ if self.bare => count >= 3 && self.address,
            Some(Lead::Divider(_) | Lead::Begin) => count >= 1,
            Some(Lead::Dashes | Lead::Unknown) => count >= 2,
            _ if has(Label::Subject) => count >= 3 && has(Label::From),
            _ => count == 3 && self.address,
        };
        enough.then(|| match self.lead {
            Some(lead @ (Lead::Divider(_) | Lead::Begin)) => lead.mark(),
            _ => "header-block",
        })
    }
}

impl Lead {
    pub(super) fn mark(self) -> &'static str {
        match self {
            Lead::Divider(mark) => mark,
            Lead::Begin => "forwarded-message",
            Lead::Unknown | Lead::Dashes | Lead::Rule => "divider",
        }
    }
}
