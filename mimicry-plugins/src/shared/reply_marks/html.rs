//! The lines of a text/html body as a reader sees them, for the judge: what stands between line breaks and the edges of
//! blocks, whether it is in a quote, and where a block of ours would stand above it.
//!
//! The place above a line lies in the gap between what is seen before it and the line: where the gap is least deep in
//! elements, and of several such places the last. So ours stands before the `<div>` that holds a quote, not in it.
//!
//! Must never follow the nesting of elements by recursion or keep more of a line than its beginning.
//!
//! Known limits: elements are matched by name, not by a tree; images are no text of the writer's.

use super::judge::Judge;
use super::line::{Finding, Level, ShownLine};
use super::phrases;
use super::seam::Nowhere;
use super::text::{REACH, head, is_blank, unquoted};
use crate::shared::html::{
    Event, Found, Nest, Reading, Scan, Tag, Token, conditional, decoded, is_space,
};

mod elements;

pub(super) use elements::may_bear;
use elements::{Kind, Name, Shape, TRACKED, kind_of};

/// The lines to the judge, in whose eyes the page begins at `start`; a verdict if one of them settles the matter.
pub(super) fn lines<'h>(
    html: &'h str,
    start: usize,
    judge: &mut Judge,
    found: &mut Found<'h>,
) -> Option<Finding> {
    let mut scan = Scan::new(html.as_bytes(), Reading::BROWSER);
    let mut reader = Reader {
        html,
        start,
        judge,
        verdict: None,
        gap: Gap {
            at: Some(if html.starts_with('\u{FEFF}') { 3 } else { 0 }),
            ..Gap::default()
        },
        hidden: 0,
        text: String::new(),
        open: None,
        whole: true,
        blank: start > 0,
        counts: [0; TRACKED],
        quotes: Vec::new(),
        mark: None,
        pre: 0,
        nest: Nest::default(),
        shown: false,
        image: None,
    };
    while let Some(token) = scan.next() {
        found.note(&scan, token);
        match token.event {
            Event::Text => reader.text(token),
            Event::Start(tag) => reader.start(tag, token, &scan),
            Event::End(tag) => reader.end(tag, token, scan.slice(token)),
            Event::Comment => {
                reader.hidden = conditional(scan.slice(token), reader.hidden);
                reader.gap(token.end);
            }
            Event::Doctype | Event::Cdata | Event::Raw => reader.gap(token.end),
            Event::Open(_) => break,
        }
        if reader.verdict.is_some() {
            found.stop(&scan);
            return reader.verdict;
        }
    }
    found.stop(&scan);
    reader.line_end();
    reader.verdict
}

/// How many elements a start tag opens that are followed by what they mean, for octets up to the first `>` in it; `None` if it may mean a quote.
pub(super) fn weight_of(markup: &[u8]) -> Option<usize> {
    let mut scan = Scan::new(markup, Reading::BROWSER);
    let token = scan.next()?;
    // A `>` in an attribute is not its end.
    let Event::Start(_) = token.event else {
        return None;
    };
    match kind_of(Name::of(scan.slice(token)), scan.attributes_of(token)) {
        None => Some(0),
        Some(Kind::Introduction | Kind::Signature) => Some(1),
        Some(Kind::Rest(_) | Kind::Quote(_) | Kind::Frame { .. } | Kind::Loose) => None,
    }
}

struct Reader<'a> {
    html: &'a str,
    /// What the judge's places are counted from.
    start: usize,
    judge: &'a mut Judge,
    verdict: Option<Finding>,
    gap: Gap,
    /// Depth of Outlook's conditionals.
    hidden: usize,
    /// The line so far, if `open`.
    text: String,
    open: Option<Opened>,
    whole: bool,
    blank: bool,
    /// Open elements of each name that is tracked.
    counts: [u32; TRACKED],
    /// The open elements that mean something, outermost first.
    quotes: Vec<Element>,
    /// The outermost element since the last line that opens a quote, as an index of `quotes`, and the place above it.
    mark: Option<(usize, Option<usize>)>,
    pre: u32,
    nest: Nest,
    /// Something was seen.
    shown: bool,
    /// The place above a line that begins with an image.
    image: Option<Option<usize>>,
}

/// What is known of a line at its first character.
struct Opened {
    place: Option<usize>,
    level: Level,
    opens: Option<&'static str>,
    introduction: bool,
    signature: bool,
}

/// The tokens since the last one that shows something.
#[derive(Default)]
struct Gap {
    depth: i64,
    least: i64,
    at: Option<usize>,
}

#[derive(Clone, Copy)]
struct Element {
    kind: Kind,
    /// Number of its name, and how many of that name were open with it.
    name: usize,
    level: u32,
    /// What it and those around it make of a line.
    state: Context,
}

#[derive(Clone, Copy, Default)]
struct Context {
    level: Level,
    introduction: bool,
    signature: bool,
    /// The mark of a [`Kind::Frame`].
    frame: Option<&'static str>,
    /// There is one whose blockquote has not come.
    unpassed: bool,
}

impl Context {
    fn within(mut self, kind: Kind) -> Context {
        let sure = match kind {
            Kind::Rest(mark) | Kind::Quote(mark) => Some(mark),
            Kind::Frame { mark, passed } => {
                self.frame = Some(mark);
                self.unpassed |= !passed;
                (!passed).then_some(mark)
            }
            Kind::Loose => {
                if self.level == Level::Own {
                    self.level = Level::Loose;
                }
                None
            }
            Kind::Introduction => {
                self.introduction = true;
                None
            }
            Kind::Signature => {
                self.signature = true;
                None
            }
        };
        if let Some(mark) = sure
            && !matches!(self.level, Level::Sure(_))
        {
            self.level = Level::Sure(mark);
        }
        self
    }
}

/// Open elements among which the partner of an end tag is sought: more have no meaning in a mail.
const DEPTH: usize = 100;

/// Open quotes beyond which it is no mail: each of them is kept.
const NESTED: usize = 10_000;

impl Reader<'_> {
    fn text(&mut self, token: Token) {
        let html = self.html;
        let Some(text) = html.get(token.start..token.end) else {
            return;
        };
        if self.pre == 0 {
            return self.words(text, token.end);
        }
        let mut start = token.start;
        for line in text.split_inclusive('\n') {
            start = start.saturating_add(line.len());
            self.words(line, start);
            if line.ends_with('\n') {
                self.line_break();
                self.gap(start);
            }
            if self.verdict.is_some() {
                return;
            }
        }
    }

    /// Text up to `end`.
    fn words(&mut self, text: &str, end: usize) {
        let start = head(text);
        // What is behind the reach of a run of blanks may be a word.
        let is_whole = start.len() == text.len();
        // As most text between two tags.
        if is_whole && start.bytes().all(is_space) {
            return self.blanks(end);
        }
        let shown = decoded(start);
        if is_whole && shown.chars().all(is_blank) {
            return self.blanks(end);
        }
        self.open_line();
        self.whole &= is_whole;
        self.push(&shown);
        self.seen(end);
    }

    fn blanks(&mut self, end: usize) {
        if self.open.is_some() {
            self.push(" ");
        }
        self.gap(end);
    }

    fn push(&mut self, text: &str) {
        let room = REACH.saturating_sub(self.text.len());
        let fits = text.get(..text.floor_char_boundary(room)).unwrap_or(text);
        self.whole &= fits.len() == text.len();
        self.text.push_str(fits);
    }

    fn open_line(&mut self) {
        if self.open.is_some() {
            return;
        }
        let mark = self.mark.take();
        let state = self.state();
        let opening = mark.and_then(|(index, _)| self.quotes.get(index));
        self.open = Some(Opened {
            place: match (mark, self.image.take()) {
                (Some((_, place)), _) | (None, Some(place)) => place,
                (None, None) => self.gap.at,
            },
            level: state.level,
            opens: match opening {
                Some(Element {
                    kind: Kind::Rest(mark),
                    ..
                }) => Some(mark),
                _ => None,
            },
            introduction: state.introduction,
            signature: state.signature,
        });
    }

    fn state(&self) -> Context {
        self.quotes
            .last()
            .map(|element| element.state)
            .unwrap_or_default()
    }

    fn line_break(&mut self) {
        if self.open.is_none() && self.image.is_none() {
            self.blank = true;
        }
        self.line_end();
    }

    fn line_end(&mut self) {
        self.image = None;
        let Some(opened) = self.open.take() else {
            return;
        };
        self.tell(opened, false);
    }

    fn tell(&mut self, opened: Opened, rule: bool) {
        let unquoted = unquoted(&self.text);
        let level = match opened.level {
            Level::Own if unquoted.is_some() && !rule => Level::Marked,
            level => level,
        };
        let is_between_marks = level == Level::Marked && phrases::is_between_marks(&self.text);
        let verdict = self.judge.line(&ShownLine {
            text: unquoted.unwrap_or(&self.text).trim(),
            whole: self.whole,
            place: opened.place.map(|place| place.saturating_add(self.start)),
            level,
            blank_before: std::mem::take(&mut self.blank),
            opens: opened.opens.or(is_between_marks.then_some("groupwise")),
            introduction: opened.introduction,
            signature: opened.signature,
            rule,
        });
        self.verdict = self.verdict.or(verdict);
        self.text.clear();
        self.whole = true;
    }

    fn start(&mut self, tag: Tag, token: Token, scan: &Scan<'_>) {
        if self.nest.start(tag, token.self_closing).is_err() {
            self.verdict = Some(Err(Nowhere::Unfit));
            return;
        }
        if is_page(tag) {
            // What stands before these is above the page.
            if !self.shown {
                self.gap.restart(Some(token.end));
            }
            return;
        }
        let name = Name::of(scan.slice(token));
        match name.shape {
            Shape::Break => {
                self.line_break();
                return self.gap(token.end);
            }
            Shape::Rule => {
                self.line_end();
                let state = self.state();
                let mut opened = Opened {
                    place: self.gap.at,
                    level: state.level,
                    opens: None,
                    introduction: false,
                    signature: state.signature,
                };
                if let Some(Kind::Rest(mark)) = kind_of(name, scan.attributes_of(token)) {
                    opened.opens = Some(mark);
                } else if self.mark.is_some() {
                    self.open_line();
                    opened = self.open.take().unwrap_or(opened);
                }
                self.text.clear();
                self.tell(opened, true);
                return self.seen(token.end);
            }
            Shape::Image => {
                if self.open.is_none() && self.image.is_none() {
                    self.image = Some(self.gap.at);
                }
                return self.seen(token.end);
            }
            Shape::Void => return self.gap(token.end),
            Shape::Block => self.line_end(),
            Shape::Preformatted => {
                self.line_end();
                self.pre = self.pre.saturating_add(1);
            }
            Shape::Paragraph => {
                self.line_end();
                self.blank = true;
            }
            Shape::Cell if self.open.is_some() => self.push(" "),
            Shape::Cell | Shape::Inline => {}
        }
        self.enter(name, token, scan);
        self.gap.depth = self.gap.depth.saturating_add(1);
        self.gap(token.end);
    }

    /// Follows an element that may bear a mark.
    fn enter(&mut self, name: Name, token: Token, scan: &Scan<'_>) {
        let Some(index) = name.tracked else { return };
        let Some(count) = self.counts.get_mut(index) else {
            return;
        };
        *count = count.saturating_add(1);
        let level = *count;
        let mut kind = kind_of(name, scan.attributes_of(token));
        if name.is_quote() {
            let Context {
                frame, unpassed, ..
            } = self.state();
            if unpassed {
                self.pass_frames();
            }
            kind = match (frame, kind) {
                (Some(mark), _) => Some(Kind::Quote(mark)),
                (None, None) => Some(Kind::Loose),
                (None, kind) => kind,
            };
        }
        let Some(kind) = kind else { return };
        if self.quotes.len() >= NESTED {
            self.verdict = Some(Err(Nowhere::Unfit));
            return;
        }
        if matches!(kind, Kind::Rest(_) | Kind::Quote(_) | Kind::Frame { .. })
            && self.mark.is_none()
        {
            self.mark = Some((self.quotes.len(), self.gap.at));
        }
        self.quotes.push(Element {
            kind,
            name: index,
            level,
            state: self.state().within(kind),
        });
    }

    /// The blockquote has come for which the frames stand: what is below it in them is the writer's.
    fn pass_frames(&mut self) {
        let outer = self.quotes.len().saturating_sub(DEPTH);
        let (below, within) = self.quotes.split_at_mut_checked(outer).unwrap_or_default();
        let mut state = below
            .last()
            .map(|element| element.state)
            .unwrap_or_default();
        for element in within {
            if let Kind::Frame { passed, .. } = &mut element.kind {
                *passed = true;
            }
            state = state.within(element.kind);
            element.state = state;
        }
    }

    fn end(&mut self, tag: Tag, token: Token, slice: &[u8]) {
        self.nest.end(tag);
        if is_page(tag) {
            return self.gap(token.end);
        }
        let name = Name::of(slice);
        match name.shape {
            Shape::Break => self.line_break(),
            Shape::Block => self.line_end(),
            Shape::Preformatted => {
                self.line_end();
                self.pre = self.pre.saturating_sub(1);
            }
            Shape::Paragraph => {
                self.line_end();
                self.blank = true;
            }
            Shape::Rule | Shape::Void => return self.gap(token.end),
            Shape::Image | Shape::Cell | Shape::Inline => {}
        }
        self.leave(name);
        self.gap.depth = self.gap.depth.saturating_sub(1);
        self.gap(token.end);
    }

    fn leave(&mut self, name: Name) {
        let Some(index) = name.tracked else { return };
        let Some(count) = self.counts.get_mut(index).filter(|count| **count > 0) else {
            return;
        };
        *count = count.saturating_sub(1);
        let left = *count;
        let inner = self.quotes.iter().enumerate().rev().take(DEPTH);
        let closed = inner
            .take_while(|(_, element)| element.name != index || element.level > left)
            .filter(|(_, element)| element.name == index)
            .last();
        if let Some((at, _)) = closed {
            self.quotes.truncate(at);
            // It held nothing.
            self.mark = self.mark.filter(|(index, _)| *index < at);
        }
    }

    /// A token that shows nothing ends at `end`: a place, if it is the least deep so far.
    fn gap(&mut self, end: usize) {
        let gap = &mut self.gap;
        if self.hidden == 0
            && self.nest.is_in_flow()
            && (gap.depth <= gap.least || gap.at.is_none())
        {
            gap.least = gap.depth;
            gap.at = Some(end);
        }
    }

    /// A token that shows something ends at `end`.
    fn seen(&mut self, end: usize) {
        self.shown = true;
        self.gap
            .restart((self.hidden == 0 && self.nest.is_in_flow()).then_some(end));
    }
}

impl Gap {
    fn restart(&mut self, at: Option<usize>) {
        *self = Gap {
            depth: 0,
            least: 0,
            at,
        };
    }
}

fn is_page(tag: Tag) -> bool {
    matches!(
        tag,
        Tag::Html | Tag::Head | Tag::Body | Tag::Meta | Tag::Title | Tag::Style
    )
}
