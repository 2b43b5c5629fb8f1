//! Decides, line by line, where the quoted mail of a reply begins.
//!
//! There are quotes whose end can be seen (lines behind `>`, a blockquote) and quotes that run to the end of the mail
//! (everything below a header block, a divider, or an element that a mail program puts below the answer). One of the
//! second kind settles the matter at once. One of the first kind is forgotten as soon as the writer's own text follows.
//!
//! Must never keep more than a few lines: the text may be as long as a mail.

use super::phrases::{self, Label, Lead, Traits};
use super::{Confidence, Nowhere, Place};

/// A line that shows something.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Line<'a> {
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

type Verdict = Result<Place, Nowhere>;

#[derive(Debug, Default)]
pub(super) struct Judge {
    /// The quote below which no own text stands so far.
    quote: Option<Quote>,
    /// Own text stood below an earlier quote.
    interleaved: bool,
    /// Lines of the writer's since the last quoted one.
    own: Own,
    lead: Option<Standing>,
    block: Option<Block>,
    /// A whole introduction was the last line, at that place; true if it was indented.
    announced: Option<(Option<usize>, bool)>,
    /// What counts if nothing better is found.
    weak: Option<(Option<usize>, &'static str)>,
    run: Option<Run>,
}

#[derive(Clone, Copy, Debug)]
struct Quote {
    place: Option<usize>,
    confidence: Confidence,
    mark: &'static str,
}

/// A lead as the last line.
#[derive(Clone, Copy, Debug)]
struct Standing {
    lead: Lead,
    place: Option<usize>,
    /// Own lines up to it.
    own: usize,
}

/// Header lines, so far.
#[derive(Clone, Copy, Debug)]
struct Block {
    place: Option<usize>,
    lead: Option<Lead>,
    labels: u8,
    address: bool,
    /// Lines since the last header line.
    idle: u8,
    /// Own lines above it.
    own: usize,
}

/// Quoted lines without own lines between them.
#[derive(Debug)]
struct Run {
    place: Option<usize>,
    level: Level,
    /// Its first lines: some programs put the introduction into the quote.
    head: String,
    lines: usize,
    /// Octets of the last line.
    last: usize,
    /// The quote begins with it.
    first: bool,
    /// It counts as own text unless it begins with an introduction.
    declined: bool,
}

#[derive(Debug, Default)]
struct Own {
    count: usize,
    /// The last ones, the newest last.
    recent: Vec<Kept>,
    tail: Tail,
    /// The quoted line above them was of at least [`FULL`] octets.
    below_full_line: bool,
}

#[derive(Debug)]
struct Kept {
    text: String,
    place: Option<usize>,
    blank_before: bool,
    introduction: bool,
}

/// What own lines below a quote are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Tail {
    #[default]
    None,
    /// A signature or a footer, of so many lines at most.
    Signature(u8),
    Text,
}

/// Lines over which an introduction may be wrapped.
const WRAPPED: usize = 3;

/// Lines of a signature or footer below a quote.
const TAIL: u8 = 15;

/// Lines by which a header line may be continued.
const CONTINUED: u8 = 4;

/// A quoted line at least so long may have been wrapped, and what was wrapped is at most [`REMNANT`].
const FULL: usize = 60;
const REMNANT: usize = 40;

impl Judge {
    /// The next line; a verdict if it settles the matter.
    pub(super) fn line(&mut self, line: &Line<'_>) -> Option<Verdict> {
        if let Some(mark) = line.opens {
            let (place, own) = match self.lead {
                Some(standing) if standing.lead == Lead::Rule => (standing.place, standing.own),
                _ => (line.place, self.own.count),
            };
            return Some(self.rest(place, own, Confidence::High, mark));
        }
        if line.level == Level::Own {
            self.own_line(line)
        } else {
            self.quoted_line(line)
        }
    }

    pub(super) fn end(self) -> Verdict {
        let quote = match self.quote {
            Some(quote) if self.own.count == 0 => quote,
            Some(quote) if matches!(self.own.tail, Tail::Signature(_)) => Quote {
                confidence: Confidence::Low,
                ..quote
            },
            Some(_) => return Err(Nowhere::OwnTextBelow),
            None => match self.weak {
                Some((place, mark)) => Quote {
                    place,
                    confidence: Confidence::Low,
                    mark,
                },
                None if self.interleaved => return Err(Nowhere::OwnTextBelow),
                None => return Err(Nowhere::NoQuote),
            },
        };
        quote.verdict()
    }

    /// All from `place` on is quoted; `own` lines of the writer's stand between the last quote and it.
    fn rest(
        &self,
        place: Option<usize>,
        own: usize,
        confidence: Confidence,
        mark: &'static str,
    ) -> Verdict {
        match self.quote {
            Some(quote) if own == 0 => quote,
            _ => Quote {
                place,
                confidence,
                mark,
            },
        }
        .verdict()
    }

    fn own_line(&mut self, line: &Line<'_>) -> Option<Verdict> {
        if let Some(run) = self.run.take().filter(|run| !run.declined) {
            self.own.below_full_line = run.last >= FULL;
        }
        if let Some((place, indented)) = self.announced.take() {
            if indented || line.text.starts_with([' ', '\t', '\u{A0}']) {
                let own = self.own.count.saturating_sub(1);
                return Some(self.rest(place, own, Confidence::High, "introduction"));
            }
            self.weak.get_or_insert((place, "introduction"));
        }
        let above = self.own.count;
        let verdict = self.heading(line, above);
        if verdict.is_some() {
            return verdict;
        }
        self.keep(line);
        self.announce();
        None
    }

    /// Dividers and header lines.
    fn heading(&mut self, line: &Line<'_>, above: usize) -> Option<Verdict> {
        let standing = self.lead.take();
        let lead = if line.rule {
            Some(Lead::Rule)
        } else {
            phrases::lead(line.text)
        };
        if let Some(lead) = lead {
            self.block = None;
            let upper = standing.filter(|upper| upper.lead == Lead::Rule && lead != Lead::Rule);
            let place = upper.map_or(line.place, |upper| upper.place);
            self.lead = Some(Standing {
                lead,
                place,
                own: upper.map_or(above, |upper| upper.own),
            });
            if let Lead::Divider(mark) = lead {
                self.weak.get_or_insert((place, mark));
            }
            return None;
        }
        let Some(label) = phrases::label(line.text) else {
            if let Some(block) = &mut self.block {
                block.idle = block.idle.saturating_add(1);
                if block.idle > CONTINUED || line.blank_before {
                    self.block = None;
                }
            }
            return None;
        };
        let block = self.block.get_or_insert(Block {
            place: standing.map_or(line.place, |standing| standing.place),
            lead: standing.map(|standing| standing.lead),
            labels: 0,
            address: false,
            idle: 0,
            own: standing.map_or(above, |standing| standing.own),
        });
        block.idle = 0;
        block.labels |= label as u8;
        block.address |= phrases::has_address(line.text);
        let block = *block;
        let mark = block.mark()?;
        Some(self.rest(block.place, block.own, Confidence::High, mark))
    }

    fn keep(&mut self, line: &Line<'_>) {
        if self.quote.is_some() {
            let starts = |line: &Line<'_>| line.signature || phrases::starts_tail(line.text);
            self.own.tail = match self.own.tail {
                Tail::None if self.own.count == 0 && starts(line) => Tail::Signature(TAIL),
                Tail::Signature(left) if line.signature || left > 0 => {
                    Tail::Signature(left.saturating_sub(u8::from(!line.signature)))
                }
                _ => Tail::Text,
            };
        }
        self.own.count = self.own.count.saturating_add(1);
        // The slot of the oldest is used again.
        let mut text = if self.own.recent.len() >= WRAPPED {
            let mut text = self.own.recent.remove(0).text;
            text.clear();
            text
        } else {
            String::new()
        };
        if line.whole {
            text.push_str(line.text);
        }
        self.own.recent.push(Kept {
            text,
            place: line.place,
            blank_before: line.blank_before,
            introduction: line.introduction,
        });
    }

    /// An introduction so complete that it needs no quote marks below it.
    fn announce(&mut self) {
        let has_address = |kept: &Kept| phrases::has_address(&kept.text);
        if self.weak.is_some() || !self.own.recent.iter().any(has_address) {
            return;
        }
        if let Some((first, traits)) = self.introduction()
            && traits.is_complete()
        {
            let indented = first.text.starts_with([' ', '\t', '\u{A0}']);
            self.announced = Some((first.place, indented));
        }
    }

    /// The introduction that the last lines are, and its first line.
    fn introduction(&self) -> Option<(&Kept, Traits)> {
        let recent = &self.own.recent;
        if !phrases::ends_in_colon(&recent.last()?.text) {
            return None;
        }
        let mut best: Option<(&Kept, Traits)> = None;
        let mut joined = String::new();
        for kept in recent.iter().rev() {
            if kept.text.is_empty() {
                break;
            }
            joined = if joined.is_empty() {
                kept.text.clone()
            } else {
                format!("{} {joined}", kept.text.trim_end())
            };
            let traits = Traits::of(&joined);
            if traits.is_introduction()
                && best.is_none_or(|(_, before)| traits.weight() > before.weight())
            {
                best = Some((kept, traits));
            }
            if kept.blank_before {
                break;
            }
        }
        best
    }

    /// How many of the last lines stand in an element for an introduction.
    fn marked_introduction(&self) -> usize {
        let lines = self.own.recent.iter().rev();
        lines.take_while(|kept| kept.introduction).count()
    }

    fn quoted_line(&mut self, line: &Line<'_>) -> Option<Verdict> {
        let standing = self.lead.take();
        self.announced = None;
        self.block = None;
        let starts = match &self.run {
            None => true,
            Some(run) => run.declined && line.level != Level::Loose,
        };
        if starts {
            // What a forwarded mail holds may look like an answer below a quote.
            if let Level::Sure(mark) = line.level
                && matches!(
                    phrases::lead(line.text),
                    Some(Lead::Divider(_) | Lead::Begin)
                )
            {
                return Some(self.rest(line.place, self.own.count, Confidence::High, mark));
            }
            if let Some(standing) = standing
                && standing.lead != Lead::Rule
                && standing.lead != Lead::Dashes
            {
                let mark = standing.lead.mark();
                return Some(self.rest(standing.place, standing.own, Confidence::High, mark));
            }
            self.start(line);
        }
        self.within(line);
        None
    }

    /// The first line of a run of quoted lines.
    fn start(&mut self, line: &Line<'_>) {
        let remnant = self.is_remnant(line);
        let inner = Traits::of(line.text).is_introduction();
        let marked = self.marked_introduction();
        let outer = if marked > 0 {
            let at = self.own.recent.len().saturating_sub(marked);
            self.own.recent.get(at).map(|kept| (kept.place, marked))
        } else {
            self.introduction().map(|(first, _)| {
                let lines = self.own.recent.iter().rev();
                let above = lines.take_while(|kept| !std::ptr::eq(*kept, first)).count();
                (first.place, above.saturating_add(1))
            })
        };
        let own = self
            .own
            .count
            .saturating_sub(outer.map_or(0, |(_, lines)| lines));
        if self.quote.is_some() && own > 0 && !remnant {
            self.quote = None;
            self.interleaved = true;
        }
        let mut declined = false;
        let first = self.quote.is_none();
        if first {
            let place = outer.map_or(line.place, |(place, _)| place);
            let colon = self
                .own
                .recent
                .last()
                .is_some_and(|kept| phrases::ends_in_colon(&kept.text));
            let (confidence, mark) = match line.level {
                Level::Sure(mark) if self.interleaved && outer.is_none() && !inner => {
                    (Confidence::Low, mark)
                }
                Level::Sure(mark) if colon && outer.is_none() && !inner => (Confidence::Low, mark),
                Level::Sure(mark) => (Confidence::High, mark),
                _ if outer.is_some() || inner => (Confidence::High, "introduction"),
                Level::Loose => {
                    declined = true;
                    (Confidence::Low, "")
                }
                _ => (Confidence::Low, "quoted-lines"),
            };
            if !declined {
                self.quote = Some(Quote {
                    place,
                    confidence,
                    mark,
                });
            }
        }
        if !declined {
            self.own = Own::default();
        }
        self.run = Some(Run {
            place: line.place,
            level: line.level,
            head: String::new(),
            lines: 0,
            last: 0,
            first,
            declined,
        });
    }

    /// One line between two quoted ones, cut off the upper one by a program that wraps lines.
    fn is_remnant(&self, line: &Line<'_>) -> bool {
        let [kept] = self.own.recent.as_slice() else {
            return false;
        };
        self.quote.is_some()
            && line.level == Level::Marked
            && !line.blank_before
            && !kept.blank_before
            && self.own.count == 1
            && kept.text.len() <= REMNANT
            && self.own.below_full_line
    }

    /// Any line of a run: its first ones may be the introduction.
    fn within(&mut self, line: &Line<'_>) {
        let Some(run) = &mut self.run else {
            return;
        };
        run.last = line.text.len();
        run.lines = run.lines.saturating_add(1);
        let mut inner = false;
        if run.lines <= WRAPPED && line.whole {
            if run.lines > 1 {
                run.head.push(' ');
            }
            run.head.push_str(line.text);
            inner = phrases::ends_in_colon(line.text) && Traits::of(&run.head).is_introduction();
        }
        if run.declined {
            if inner && self.quote.is_none() {
                run.declined = false;
                self.quote = Some(Quote {
                    place: run.place,
                    confidence: Confidence::High,
                    mark: "introduction",
                });
                self.own = Own::default();
            } else {
                let own = Line {
                    level: Level::Own,
                    ..*line
                };
                self.keep(&own);
            }
            return;
        }
        if inner
            && run.first
            && let Some(quote) = &mut self.quote
            && quote.confidence == Confidence::Low
            && !self.interleaved
        {
            *quote = Quote {
                place: run.place,
                confidence: Confidence::High,
                mark: match run.level {
                    Level::Sure(mark) => mark,
                    _ => "introduction",
                },
            };
        }
    }
}

impl Quote {
    fn verdict(self) -> Verdict {
        Ok(Place {
            offset: self.place.ok_or(Nowhere::Unfit)?,
            confidence: self.confidence,
            mark: self.mark,
        })
    }
}

impl Block {
    /// What it is, if there is enough of it.
    fn mark(&self) -> Option<&'static str> {
        let has = |label: Label| self.labels & label as u8 != 0;
        let count = [Label::From, Label::Sent, Label::To, Label::Subject]
            .iter()
            .filter(|&&label| has(label))
            .count();
        let enough = match self.lead {
            Some(Lead::Divider(_) | Lead::Begin) => count >= 1,
            Some(Lead::Dashes) => count >= 2,
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
    fn mark(self) -> &'static str {
        match self {
            Lead::Divider(mark) => mark,
            Lead::Begin => "forwarded-message",
            Lead::Dashes | Lead::Rule => "divider",
        }
    }
}
