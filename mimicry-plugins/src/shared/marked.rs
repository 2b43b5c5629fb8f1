//! Text of ours that can be found again in a mail that quotes it, and taken out.
//!
//! In HTML an element of ours bears a class with a mark of the rule and a seal of the words within. Mail programs put letters
//! before classes (`m_123mimicry-…` in Gmail, `x_mimicry-…` in Outlook on the web), rewrite links and white space; so the class is
//! recognised by its end, and the seal covers words alone. Where somebody wrote into the element, the seal is broken and the
//! element stays. In plain text the words themselves are looked for, on whole lines, quoted or not.
//!
//! Must never: name a range with words in it that are not ours, or one whose removal would leave an end tag without its start.
//!
//! Known limits: what a mail program rebuilt without classes (Outlook for Windows) is not found in HTML, nor in plain text what
//! it quotes with other marks than `>`.

use std::collections::VecDeque;
use std::ops::Range;

use memchr::memmem;
use mimicry_core::message::compose::fnv1a;

use super::html::{self, Event, Reading, Scan, Token, name_of};
use super::plain;

/// Characters of [`preview`].
const PREVIEW: usize = 100;
/// Octets of HTML that are looked at for [`preview`]: the head of a page may hold much style.
const PREVIEW_REACH: usize = 256 * 1024;
/// Open elements within ours, at most.
const DEPTH: usize = 64;
/// What the class of the hidden line has behind the mark.
const HIDDEN: &str = "-preview";
/// Octets of words that are searched at a time.
const WINDOW: usize = 64 * 1024;
/// Fewer words may stand on a line by chance.
const FEWEST_WORDS: usize = 3;

/// What marks HTML of a rule, in a class that mail programs keep when they quote it, though some put letters before it.
#[must_use]
pub fn mark_of(rule: &str) -> String {
    format!("mimicry-{:016x}", fnv1a(rule.bytes(), 0))
}

/// The element around HTML of ours, with a hidden line above it where `preview` is not empty.
#[must_use]
pub fn element(mark: &str, html: &str, preview: &str) -> String {
    let seal = seal(html);
    let hidden = match preview {
        "" => String::new(),
        words => format!(
            "<div class=\"{mark}{HIDDEN}\" style=\"display:none;max-height:0;overflow:hidden;mso-hide:all\">{}</div>",
            html::escape(words)
        ),
    };
    format!("<div class=\"{mark}-{seal}\">{hidden}{html}</div>")
}

/// The first words of a page, on one line.
#[must_use]
pub fn preview(html: &str) -> String {
    let reach = html.floor_char_boundary(PREVIEW_REACH.min(html.len()));
    let text = html::to_text(html.get(..reach).unwrap_or(html));
    // Mail programs fill up their own hidden lines with characters that take no room.
    let is_filler = |c: char| {
        matches!(
            c,
            '\u{34F}' | '\u{200B}'..='\u{200F}' | '\u{2007}' | '\u{2060}' | '\u{FEFF}'
        )
    };
    let mut out = String::new();
    let words = text.split(|c: char| c.is_whitespace() || is_filler(c));
    // The target of a link stands behind its text.
    let is_shown = |word: &&str| !(word.is_empty() || word.starts_with('<') && word.ends_with('>'));
    for word in words.filter(is_shown) {
        let room = PREVIEW.saturating_sub(out.chars().count());
        if room <= 1 {
            break;
        }
        let blank = usize::from(!out.is_empty());
        out.extend(std::iter::repeat_n(' ', blank));
        out.extend(word.chars().take(room.saturating_sub(blank)));
    }
    out
}

/// Where elements made by [`element`] stand whole in HTML, in order. Linear in time.
#[must_use]
pub fn elements(html: &str, mark: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    if !html.contains(mark) {
        return found;
    }
    let mut scan = Scan::new(html.as_bytes(), Reading::BROWSER);
    let mut ours: Option<Element<'_>> = None;
    while let Some(token) = scan.next() {
        let step = match token.event {
            Event::Start(_) => {
                let name = name_of(scan.slice(token));
                let class = is_div(name).then(|| class_of(&scan, token, mark)).flatten();
                if let Some(Class::Ours(seal)) = class {
                    ours = Some(Element::new(token, seal));
                    continue;
                }
                let Some(element) = &mut ours else { continue };
                element.start(name, token, class == Some(Class::Hidden))
            }
            Event::End(_) => {
                let name = name_of(scan.slice(token));
                let Some(element) = &mut ours else { continue };
                element.end(name, token)
            }
            Event::Open(_) => Step::Broken,
            _ => continue,
        };
        match (step, ours.take()) {
            (Step::Inside, element) => ours = element,
            (Step::Closed, Some(element)) if element.is_as_it_was(html, token.start) => {
                found.push(element.start..token.end);
            }
            _ => {}
        }
    }
    found
}

/// Where whole lines hold the words of `ours` and no others, quoted or not, with one blank line behind them. In order.
/// Linear in time.
#[must_use]
pub fn lines(text: &str, ours: &str) -> Vec<Range<usize>> {
    let needle = plain::words(ours);
    if needle.split_whitespace().count() < FEWEST_WORDS {
        return Vec::new();
    }
    let mut window = Window {
        needle,
        hay: " ".into(),
        lines: VecDeque::new(),
        is_followed: false,
        found: Vec::new(),
    };
    let mut at = 0usize;
    for line in text.split_inclusive('\n') {
        let start = at;
        at = at.saturating_add(line.len());
        window.line(line, start..at);
    }
    window.look(true);
    window.found
}

/// The last lines of a text: those in which the words that are looked for may stand.
struct Window {
    needle: String,
    /// The words of the lines, with a blank before, between and after them.
    hay: String,
    lines: VecDeque<Line>,
    /// A blank line stands behind the last line.
    is_followed: bool,
    found: Vec<Range<usize>>,
}

/// A line that has words.
struct Line {
    /// Within the hay.
    words: Range<usize>,
    start: usize,
    /// Behind the line end, and the blank line if one follows.
    end: usize,
}

impl Window {
    fn line(&mut self, line: &str, place: Range<usize>) {
        let words = plain::words(line.trim_start_matches('\u{FEFF}'));
        let words = words.trim_start();
        if words.is_empty() {
            if let Some(last) = self.lines.back_mut().filter(|_| !self.is_followed) {
                last.end = place.end;
                self.is_followed = true;
            }
            return;
        }
        if self.hay.len() > WINDOW.saturating_add(self.needle.len().saturating_mul(2)) {
            self.look(false);
        }
        let from = self.hay.len();
        self.hay.push_str(words);
        self.is_followed = false;
        self.lines.push_back(Line {
            words: from..self.hay.len(),
            start: place.start,
            end: place.end,
        });
    }

    /// Takes what is found, and lets go all lines but those with which more may begin.
    fn look(&mut self, is_last: bool) {
        let last = self.lines.back().map_or(0, |line| line.words.start);
        // What begins here or later may end in the last line, whose end is not known yet.
        let limit = match is_last {
            true => self.hay.len(),
            false => last.saturating_sub(self.needle.len()),
        };
        let (hay, needle) = (self.hay.as_bytes(), self.needle.as_bytes());
        let mut from = 0usize;
        while let Some(hit) = hay.get(from..).and_then(|hay| memmem::find(hay, needle)) {
            let hit = from.saturating_add(hit);
            if hit >= limit {
                break;
            }
            // The blank at its end may be the one before the next.
            from = hit.saturating_add(needle.len()).saturating_sub(1);
            let (start, end) = (hit.saturating_add(1), from.saturating_add(1));
            let first = self
                .lines
                .binary_search_by_key(&start, |line| line.words.start);
            let last = self.lines.binary_search_by_key(&end, |line| line.words.end);
            if let (Ok(first), Ok(last)) = (first, last)
                && let (Some(first), Some(last)) = (self.lines.get(first), self.lines.get(last))
            {
                self.found.push(first.start..last.end);
            }
        }
        let is_done =
            |line: &&Line| line.words.end <= from.saturating_add(1) || line.words.end < limit;
        let gone = self.lines.iter().take_while(is_done).count();
        self.lines.drain(..gone);
        // The blank before the first line stays.
        let first = self
            .lines
            .front()
            .map_or(self.hay.len(), |line| line.words.start);
        let cut = first.saturating_sub(1);
        self.hay.drain(..self.hay.floor_char_boundary(cut));
        for line in &mut self.lines {
            line.words.start = line.words.start.saturating_sub(cut);
            line.words.end = line.words.end.saturating_sub(cut);
        }
    }
}

/// What the words of HTML say, whatever became of its links.
fn seal(html: &str) -> String {
    words_hash(&html::to_text(html))
}

fn words_hash(text: &str) -> String {
    // A link is its text and its target, in angle brackets: mail programs rewrite targets.
    let words = text
        .split_whitespace()
        .filter(|word| !word.starts_with('<'));
    let octets = words.flat_map(|word| word.bytes().chain([b' ']));
    format!("{:016x}", fnv1a(octets, 0))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class<'a> {
    Ours(&'a [u8]),
    Hidden,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Inside,
    Closed,
    Broken,
}

/// An element of ours that is open.
struct Element<'a> {
    start: usize,
    inner: usize,
    seal: &'a [u8],
    /// The hidden line within.
    hidden: Option<Range<usize>>,
    /// The open elements within, and which of them is the hidden line.
    open: Vec<&'a [u8]>,
    hidden_at: Option<usize>,
}

impl<'a> Element<'a> {
    fn new(token: Token, seal: &'a [u8]) -> Element<'a> {
        Element {
            start: token.start,
            inner: token.end,
            seal,
            hidden: None,
            open: Vec::new(),
            hidden_at: None,
        }
    }

    fn start(&mut self, name: &'a [u8], token: Token, is_hidden: bool) -> Step {
        if self.open.len() >= DEPTH || is_one_of(name, PAGE) {
            return Step::Broken;
        }
        if is_hidden && self.hidden.is_none() {
            self.hidden = Some(token.start..token.start);
            self.hidden_at = Some(self.open.len());
        }
        if !is_one_of(name, VOID) {
            self.open.push(name);
        }
        Step::Inside
    }

    fn end(&mut self, name: &[u8], token: Token) -> Step {
        let Some(at) = self
            .open
            .iter()
            .rposition(|open| open.eq_ignore_ascii_case(name))
        else {
            return match is_div(name) {
                true => Step::Closed,
                // Browsers make an element of these.
                false if is_one_of(name, &[b"p", b"br"]) => Step::Inside,
                false => Step::Broken,
            };
        };
        // Browsers do not close a div by the end of something around it.
        let within = self.open.get(at.saturating_add(1)..).unwrap_or_default();
        if within.iter().any(|open| is_div(open)) {
            return Step::Broken;
        }
        self.open.truncate(at);
        if self.hidden_at.is_some_and(|hidden| at <= hidden) {
            self.hidden_at = None;
            if let Some(hidden) = &mut self.hidden {
                hidden.end = token.end;
            }
        }
        Step::Inside
    }

    /// Holds it the words that it was made with, up to `end`, and no others.
    fn is_as_it_was(&self, html: &str, end: usize) -> bool {
        let hidden = self.hidden.clone().unwrap_or(self.inner..self.inner);
        let (before, after) = (
            html.get(self.inner..hidden.start),
            html.get(hidden.end..end),
        );
        let (Some(before), Some(after)) = (before, after) else {
            return false;
        };
        self.hidden_at.is_none() && seal(&[before, after].concat()).as_bytes() == self.seal
    }
}

/// Elements without an end tag (HTML standard, section 13.1.2).
const VOID: &[&[u8]] = &[
    b"area", b"base", b"br", b"col", b"embed", b"hr", b"img", b"input", b"link", b"meta", b"param",
    b"source", b"track", b"wbr",
];
const PAGE: &[&[u8]] = &[b"html", b"head", b"body"];

fn is_one_of(name: &[u8], list: &[&[u8]]) -> bool {
    list.iter().any(|one| name.eq_ignore_ascii_case(one))
}

fn is_div(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"div")
}

/// What a word of the class says, whatever mail programs put before it.
fn class_of<'a>(scan: &Scan<'a>, token: Token, mark: &str) -> Option<Class<'a>> {
    let (_, value) = scan
        .attributes_of(token)
        .find(|(name, _)| name.eq_ignore_ascii_case(b"class"))?;
    value.split(|&b| html::is_space(b)).find_map(|word| {
        let at = memmem::rfind(word, mark.as_bytes())?;
        let rest = word.get(at.checked_add(mark.len())?..)?;
        if rest == HIDDEN.as_bytes() {
            return Some(Class::Hidden);
        }
        let seal = rest.strip_prefix(b"-")?;
        (seal.len() == 16 && seal.iter().all(u8::is_ascii_hexdigit)).then_some(Class::Ours(seal))
    })
}
