//! Decides, line by line, where the quoted mail of a reply begins.
//!
//! There are quotes whose end can be seen (lines after `>`, a blockquote) and quotes that run to the end of the mail
//! (everything below a header block, a divider, or an element that a mail program puts below the answer). One of the
//! second kind settles the matter at once. One of the first kind is forgotten as soon as the writer's own text follows.
//!
//! A mark may be uncertain: an introduction without a quote, a divider without header lines, header lines in an unknown
//! language. If it stands above a certain mark, our text goes above the uncertain one, or there is no certain place at
//! all; it never goes between the two.
//!
//! Must never keep more than a few lines: the text may be as long as a mail.

use super::line::{Finding, Level, ShownLine};
use super::phrases::{self, Lead, Shape, Traits};
use super::seam::{Confidence, Nowhere};

mod state;

use state::{Announced, Block, Cap, Kept, Own, Quote, Run, Shapes, Standing, Tail};

#[derive(Debug, Default)]
pub(super) struct Judge {
    /// The quote below which no own text stands so far.
    quote: Option<Quote>,
    /// Own text stood below an earlier quote.
    interleaved: bool,
    /// Lines of the writer's since the last quoted one.
    own: Own,
    lead: Option<Standing>,
    /// The last divider of known words, and how many own lines there were with it.
    parted: Option<(Standing, usize)>,
    block: Option<Block>,
    /// An introduction was the last line.
    announced: Option<Announced>,
    cap: Option<Cap>,
    /// Lines that look like header lines, so far.
    shapes: Option<Shapes>,
    run: Option<Run>,
}

/// Lines over which an introduction may be wrapped.
const WRAPPED: usize = 5;

/// Lines of a quote that may be the header of the quoted mail.
const HEADER: usize = 8;

/// Lines that look like header lines, of a header at least.
const SHAPES: u8 = 3;

/// Lines of a signature or footer below a quote.
const TAIL: u8 = 15;

/// Lines by which a header line may be continued.
const CONTINUED: u8 = 4;

/// A quoted line at least so long may have been wrapped, and what was wrapped is at most [`REMNANT`].
const FULL: usize = 60;
const REMNANT: usize = 40;

impl Judge {
    /// The next line; a verdict if it settles the matter.
    pub(super) fn line(&mut self, line: &ShownLine<'_>) -> Option<Finding> {
        if let Some(mark) = line.opens {
            let (place, own) = match (self.announced, self.lead) {
                (Some(announced), _) => (announced.place, announced.own),
                (None, Some(standing)) if standing.lead == Lead::Rule => {
                    (standing.place, standing.own)
                }
                _ => (line.place, self.own.count),
            };
            return Some(self.rest(place, own, mark));
        }
        if line.level == Level::Own {
            self.own_line(line)
        } else {
            self.quoted_line(line)
        }
    }

    pub(super) fn end(self) -> Finding {
        let quote = match self.quote {
            Some(quote) if self.own.count == 0 => quote,
            Some(quote) if matches!(self.own.tail, Tail::Signature(_)) => Quote {
                confidence: Confidence::Low,
                ..quote
            },
            Some(_) => return Err(Nowhere::OwnTextBelow),
            None => match self.cap {
                Some(cap) if cap.sure => Quote {
                    place: cap.place,
                    confidence: Confidence::Low,
                    mark: cap.mark,
                },
                _ if self.interleaved => return Err(Nowhere::OwnTextBelow),
                _ => return Err(Nowhere::NoQuote),
            },
        };
        self.capped(quote).verdict()
    }

    /// All from `place` on is quoted; `own` lines of the writer's stand between the last quote and it.
    fn rest(&self, place: Option<usize>, own: usize, mark: &'static str) -> Finding {
        let quote = match self.quote {
            Some(quote) if own == 0 => quote,
            _ => Quote {
                place,
                confidence: Confidence::High,
                mark,
            },
        };
        self.capped(quote).verdict()
    }

    /// The quote, or what stands above it and may be the beginning of one.
    fn capped(&self, certain: Quote) -> Quote {
        let Some(cap) = self.cap.filter(|cap| cap.place != certain.place) else {
            return certain;
        };
        let above = match self.quote {
            // What the cap is a part of.
            Some(quote) if cap.below_quote && cap.own == 0 => quote,
            // A quote that is older than it.
            Some(quote) if cap.below_quote && quote.place == certain.place => return certain,
            _ => Quote {
                place: cap.place,
                confidence: Confidence::High,
                mark: cap.mark,
            },
        };
        let sure = cap.sure && !self.interleaved && certain.confidence == Confidence::High;
        Quote {
            confidence: match sure {
                true => above.confidence,
                false => Confidence::Low,
            },
            ..above
        }
    }

    fn cap(&mut self, place: Option<usize>, own: usize, mark: &'static str, sure: bool) {
        let below_quote = self.quote.is_some();
        self.cap.get_or_insert(Cap {
            place,
            mark,
            sure,
            own,
            below_quote,
        });
    }

    fn own_line(&mut self, line: &ShownLine<'_>) -> Option<Finding> {
        if let Some(run) = &self.run {
            if !run.declined {
                self.own.below_full_line = run.last >= FULL;
            }
            self.run = None;
        }
        if let Some(announced) = self.announced.take() {
            if let Some(divider) = announced.divider {
                return Some(self.rest(divider.place, divider.own, divider.lead.mark()));
            }
            let indented = announced.indented || line.text.starts_with([' ', '\t', '\u{A0}']);
            if indented && announced.complete {
                return Some(self.rest(announced.place, announced.own, "introduction"));
            }
            self.cap(
                announced.place,
                announced.own,
                "introduction",
                announced.complete,
            );
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
    fn heading(&mut self, line: &ShownLine<'_>, above: usize) -> Option<Finding> {
        let standing = self.lead.take();
        let is_plain = !line.rule && phrases::is_plain(line.text);
        let lead = match line.rule {
            true => Some(Lead::Rule),
            false if is_plain => None,
            false => phrases::lead(line.text),
        };
        if let Some(lead) = lead {
            self.divider(lead, standing, line, above);
            return None;
        }
        let bare = || {
            let lead = match (standing, self.block) {
                (Some(standing), _) => Some(standing.lead),
                (None, block) => block.and_then(|block| block.lead),
            };
            match lead {
                Some(Lead::Divider(_) | Lead::Begin) => phrases::bare_label(line.text),
                _ => None,
            }
        };
        let label = match is_plain {
            true => None,
            false => phrases::label(line.text),
        };
        let is_bare = label.is_none();
        let label = label.or_else(bare);
        let verdict = label.and_then(|label| {
            // Newer programs write the words of a divider without its dashes.
            let heading = self.own.recent.back().filter(|kept| {
                self.block.is_none() && standing.is_none() && phrases::is_bare_divider(&kept.text)
            });
            let (place, own) = match (standing, heading) {
                (Some(standing), _) => (standing.place, standing.own),
                (None, Some(heading)) => (heading.place, above.saturating_sub(1)),
                (None, None) => (line.place, above),
            };
            let block = self.block.get_or_insert(Block {
                place,
                lead: standing.map(|standing| standing.lead),
                own,
                ..Block::default()
            });
            block.add(label, is_bare, line.text);
            let block = *block;
            let mark = block.mark()?;
            // These lines are no mark above themselves.
            if let (Some(cap), Some(shapes)) = (self.cap, self.shapes)
                && cap.place == shapes.place
            {
                self.cap = None;
            }
            Some(self.rest(block.place, block.own, mark))
        });
        if label.is_none()
            && let Some(block) = &mut self.block
        {
            block.idle = block.idle.saturating_add(1);
            if block.idle > CONTINUED || line.blank_before {
                self.block = None;
            }
        }
        if is_plain {
            self.shapes = None;
        } else if verdict.is_none() {
            self.shape(standing, line, above);
        }
        verdict
    }

    fn divider(
        &mut self,
        lead: Lead,
        standing: Option<Standing>,
        line: &ShownLine<'_>,
        above: usize,
    ) {
        self.block = None;
        self.shapes = None;
        let upper = standing.filter(|upper| upper.lead == Lead::Rule && lead != Lead::Rule);
        let place = upper.map_or(line.place, |upper| upper.place);
        let own = upper.map_or(above, |upper| upper.own);
        let standing = Standing { lead, place, own };
        self.lead = Some(standing);
        match lead {
            Lead::Divider(mark) => {
                self.cap(place, own, mark, true);
                self.parted = Some((standing, above.saturating_add(1)));
                if phrases::is_dated_divider(line.text) {
                    self.announced = Some(Announced {
                        place,
                        indented: false,
                        complete: true,
                        own,
                        divider: Some(standing),
                    });
                }
            }
            Lead::Unknown => self.cap(place, own, "divider", false),
            Lead::Begin | Lead::Dashes | Lead::Rule => {}
        }
    }

    /// Header lines by their shape alone.
    fn shape(&mut self, standing: Option<Standing>, line: &ShownLine<'_>, above: usize) {
        let Some(shape) = phrases::shape(line.text) else {
            self.shapes = None;
            return;
        };
        let first = Shapes {
            place: standing.map_or(line.place, |standing| standing.place),
            own: standing.map_or(above, |standing| standing.own),
            lines: 0,
            seen: Shape::default(),
        };
        let mut shapes = self.shapes.filter(|_| !line.blank_before).unwrap_or(first);
        shapes.lines = shapes.lines.saturating_add(1);
        shapes.seen.address |= shape.address;
        shapes.seen.dated |= shape.dated;
        self.shapes = Some(shapes);
        if shapes.lines >= SHAPES && shapes.seen.address && shapes.seen.dated {
            self.cap(shapes.place, shapes.own, "unknown-header-block", false);
        }
    }

    fn keep(&mut self, line: &ShownLine<'_>) {
        if self.quote.is_some() {
            let starts = |line: &ShownLine<'_>| line.signature || phrases::starts_tail(line.text);
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
        let mut text = match self.own.recent.len() >= WRAPPED {
            true => self.own.recent.pop_front(),
            false => None,
        }
        .map(|oldest| oldest.text)
        .unwrap_or_default();
        text.clear();
        if line.whole {
            text.push_str(line.text);
        }
        self.own.recent.push_back(Kept {
            text,
            place: line.place,
            blank_before: line.blank_before,
            introduction: line.introduction,
        });
    }

    /// An introduction, as far as it is one without quote marks below it.
    fn announce(&mut self) {
        let Some((first, traits)) = self.introduction() else {
            return;
        };
        if !traits.is_uncertain() {
            return;
        }
        let lines = self.own.recent.iter().rev();
        let lines = lines.take_while(|kept| !std::ptr::eq(*kept, first)).count();
        // A sentence that ends is no introduction that goes on.
        let is_sentence = |kept: &Kept| kept.text.trim_end().ends_with(['.', '!', '?', '。']);
        let above = self.own.recent.iter().rev().take(lines.saturating_add(1));
        if !traits.opener && above.skip(1).any(is_sentence) {
            return;
        }
        let own = self.own.count.saturating_sub(lines.saturating_add(1));
        let divider = self.parted.filter(|(_, below)| *below == own);
        self.announced = Some(Announced {
            place: first.place,
            indented: first.text.starts_with([' ', '\t', '\u{A0}']),
            complete: traits.is_complete(),
            own,
            divider: divider
                .filter(|_| traits.is_complete())
                .map(|(standing, _)| standing),
        });
    }

    /// The introduction that the last lines are, and its first line.
    fn introduction(&self) -> Option<(&Kept, Traits)> {
        let recent = &self.own.recent;
        if !phrases::ends_in_colon(&recent.back()?.text) {
            return None;
        }
        let mut best: Option<(&Kept, Traits)> = None;
        let mut joined = String::new();
        for kept in recent.iter().rev() {
            // No introduction goes on behind its colon.
            if kept.text.is_empty() || !joined.is_empty() && phrases::ends_in_colon(&kept.text) {
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

    fn quoted_line(&mut self, line: &ShownLine<'_>) -> Option<Finding> {
        let standing = self.lead.take();
        self.announced = None;
        let block = self.block.take();
        self.shapes = None;
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
                return Some(self.rest(line.place, self.own.count, mark));
            }
            if let Some(standing) = standing
                && matches!(standing.lead, Lead::Divider(_) | Lead::Begin)
            {
                let mark = standing.lead.mark();
                return Some(self.rest(standing.place, standing.own, mark));
            }
            self.start(line, block);
        }
        self.within(line);
        None
    }

    /// The first line of a run of quoted lines. `above`: header lines that stand above its introduction, as Yandex writes them.
    fn start(&mut self, line: &ShownLine<'_>, above: Option<Block>) {
        let remnant = self.is_remnant(line);
        let divider = match phrases::lead(line.text) {
            Some(lead @ (Lead::Divider(_) | Lead::Begin)) => Some(lead.mark()),
            _ => None,
        };
        let inner = divider.is_some() || Traits::of(line.text).is_introduction();
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
        let stamp = || {
            let last = self.own.recent.back()?;
            phrases::is_stamp(&last.text).then_some((last.place, 1))
        };
        let outer = outer.or_else(stamp);
        let own = self
            .own
            .count
            .saturating_sub(outer.map_or(0, |(_, lines)| lines));
        let outer = outer.map(|(place, _)| (place, own));
        let header = above.filter(|block| outer.is_some() && block.says_two());
        let outer = header.map(|block| (block.place, block.own)).or(outer);
        let own = outer.map_or(own, |(_, own)| own);
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
                .back()
                .is_some_and(|kept| phrases::ends_in_colon(&kept.text));
            let (confidence, mark) = match line.level {
                Level::Sure(mark) if self.interleaved && outer.is_none() && !inner => {
                    (Confidence::Low, mark)
                }
                Level::Sure(mark) if colon && outer.is_none() && !inner => (Confidence::Low, mark),
                Level::Sure(mark) => (Confidence::High, mark),
                _ if outer.is_some() || inner => {
                    let mark = divider.filter(|_| outer.is_none());
                    (Confidence::High, mark.unwrap_or("introduction"))
                }
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
            self.parted = None;
        }
        self.run = Some(Run {
            place: line.place,
            level: line.level,
            head: String::new(),
            lines: 0,
            last: 0,
            first,
            block: Block::default(),
            declined,
        });
    }

    /// One line between two quoted ones, cut off the upper one by a program that wraps lines.
    fn is_remnant(&self, line: &ShownLine<'_>) -> bool {
        let Some(kept) = self.own.recent.back() else {
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
    fn within(&mut self, line: &ShownLine<'_>) {
        let Some(run) = &mut self.run else {
            return;
        };
        run.last = line.text.len();
        run.lines = run.lines.saturating_add(1);
        let mut inner = None;
        if run.lines <= WRAPPED && line.whole {
            if run.lines > 1 {
                run.head.push(' ');
            }
            run.head.push_str(line.text);
            if phrases::ends_in_colon(line.text) && Traits::of(&run.head).is_introduction() {
                inner = Some("introduction");
            }
        }
        if run.lines <= HEADER
            && let Some(label) = phrases::label(line.text)
        {
            run.block.add(label, false, line.text);
            inner = inner.or(run.block.mark());
        }
        if run.declined {
            if let Some(mark) = inner
                && self.quote.is_none()
            {
                run.declined = false;
                self.quote = Some(Quote {
                    place: run.place,
                    confidence: Confidence::High,
                    mark,
                });
                self.own = Own::default();
            } else {
                let own = ShownLine {
                    level: Level::Own,
                    ..*line
                };
                self.keep(&own);
            }
            return;
        }
        if let Some(inner) = inner
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
                    _ => inner,
                },
            };
        }
    }
}
