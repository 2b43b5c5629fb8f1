//! Text of ours that can be found again in a mail that quotes it, and removed.
//!
//! In HTML an element of ours bears a class that is a seal ([`mimicry_core::seals`]) of what stands in it, made with a key that
//! nobody outside has. Mail programs put letters before classes (`m_123k…` in Gmail, `x_k…` in Outlook on the web), rewrite
//! links and white space; so the class is recognised by its end, and the seal covers what a reader is told ([`said`]). Where
//! somebody wrote into the element, or made it without the key, the seal does not hold and the element stays. Before the seal
//! stand some digits of the mail's own, so that no style sheet can name the class beforehand. In plain text the words themselves
//! are looked for, on whole lines, quoted or not.
//!
//! Of the hidden line the words are the mail's own, so an outsider chose them: they are sealed, but they go only where they are
//! hidden indeed and the same words follow.
//!
//! Must never: name a range with words in it that are not ours, or one whose removal would leave an end tag without its start.
//!
//! Known limits: what a mail program rebuilt without classes (Outlook for Windows) is not found in HTML, nor in plain text what
//! it quotes with other marks than `>`. Who has got a banner of ours can use it again as it is; its words are ours, but a picture
//! in it may be another one.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;

use data_encoding::HEXLOWER;
use memchr::memmem;
use mimicry_core::message::Message;
use mimicry_core::message::compose::fnv1a;
use mimicry_core::message::digest::{Digest, trace_block};
use mimicry_core::seals::{Seal, SealKeys};
use siphasher::sip::SipHasher13;

use super::html::{self, Event, Reading, Scan, Token, name_of};
use super::plain;

mod page;
mod preview;
mod said;
mod shown;
mod words;

pub(crate) use page::DRESS;
pub use preview::preview;
pub(crate) use shown::declarations;

use page::SALT;
use preview::first_words;
use said::{letters, said};
use words::is_one_of;

/// Octets of HTML after an element that are looked at for the words of its hidden line.
const REPEATED_REACH: usize = 16 * 1024;
/// Open elements within ours, at most.
const DEPTH: usize = 64;
/// Octets of words that are searched at a time.
const WINDOW: usize = 8 * 1024;
/// Fewer words may stand on a line by chance.
const FEWEST_WORDS: usize = 3;
/// The letter that the class of an element of ours begins with, and that of its hidden line.
const ELEMENT: u8 = b'k';
const HIDDEN: u8 = b'h';
/// Hexadecimal digits of a seal.
const SEAL: usize = 32;

/// What marks HTML of a rule, in a class or a Content-ID. No proof of anything: everybody can write it.
#[must_use]
pub fn mark_of(rule: &str) -> String {
    format!("mimicry-{:016x}", fnv1a(rule.bytes(), 0))
}

/// Who seals and checks: the keys at hand, for one rule, at one time.
#[derive(Clone, Copy, Debug)]
pub struct Sealer<'a> {
    pub keys: &'a SealKeys,
    pub rule: &'a str,
    /// Seconds since 1970.
    pub now: i64,
}

impl Sealer<'_> {
    /// Digits that are the same for the same mail, and that nobody can tell beforehand: a keyed hash of all of it. Of samples it would
    /// be the same for a second mail, whose style sheet knows it from the answer to the first. The key is one for this alone.
    fn salt(&self, message: &Message) -> Option<String> {
        let key = self
            .keys
            .seal(self.now, &[b"class", self.rule.as_bytes()])?;
        let below = message.raw().get(trace_block(message).len()..);
        let hash = SipHasher13::new_with_key(&key).hash(below.unwrap_or_default());
        Some(format!("{hash:0SALT$x}"))
    }

    /// The same where there is no key: no mail can hold a digest of itself.
    fn name(message: &Message) -> String {
        let digest = HEXLOWER.encode(Digest::of(message).as_bytes());
        digest.get(..SALT).unwrap_or_default().to_string()
    }

    fn seal(&self, salt: &str, said: &str, hidden: &str) -> Option<String> {
        let (said, hidden) = digests(said, hidden);
        let seal = self
            .keys
            .seal(self.now, &self.pieces(salt, &said, &hidden))?;
        Some(HEXLOWER.encode(&seal))
    }

    fn holds(&self, seal: &Seal, salt: &str, said: &str, hidden: &str) -> bool {
        let (said, hidden) = digests(said, hidden);
        let pieces = self.pieces(salt, &said, &hidden);
        self.keys.holds(self.now, seal, &pieces)
    }

    fn pieces<'p>(&'p self, salt: &'p str, said: &'p Digest, hidden: &'p Digest) -> [&'p [u8]; 5] {
        [
            b"banner",
            self.rule.as_bytes(),
            salt.as_bytes(),
            said.as_bytes(),
            hidden.as_bytes(),
        ]
    }
}

/// So that many keys cost no more with much text than with little.
fn digests(said: &str, hidden: &str) -> (Digest, Digest) {
    (
        Digest::of_octets(said.as_bytes()),
        Digest::of_octets(hidden.as_bytes()),
    )
}

/// How an element of ours stands in its page.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setting<'a> {
    /// The hidden line above it, where it is not empty.
    pub preview: &'a str,
    /// The page is dressed for it, and put apart from it; the names that its parts ask for.
    pub apart: Option<&'a [String]>,
    /// The page would take the window elsewhere.
    pub holds_focus: bool,
}

/// The element around HTML of ours, for this mail. It bears no seal where there is no key, and is seen all the same.
#[must_use]
pub fn element(
    sealer: &Sealer<'_>,
    message: &Message,
    html: &str,
    setting: &Setting<'_>,
) -> String {
    let (around, html) = (shown::AROUND, shown::shown(html));
    let salt = sealer.salt(message);
    let class = salt.as_ref().map(|salt| format!(" class=\"h{salt}\""));
    let hidden = match setting.preview {
        "" => String::new(),
        words => format!(
            "<div{} style=\"display:none!important;max-height:0;overflow:hidden;mso-hide:all\">{}</div>",
            class.unwrap_or_default(),
            html::escape(words)
        ),
    };
    let sealed = salt.as_ref().and_then(|salt| {
        let all = format!("<div style=\"{around}\">{html}</div>");
        let seal = sealer.seal(salt, &said(&all), &said(&hidden))?;
        Some(format!("k{salt}{seal}"))
    });
    let (mut apart, mut more) = (String::new(), String::new());
    if let Some(slots) = setting.apart {
        let name = salt.unwrap_or_else(|| Sealer::name(message));
        apart = page::apart(&name, slots);
        more = format!(" slot=\"{name}\"");
    }
    if setting.holds_focus {
        more.push_str(page::FOCUS);
    }
    // The style sheet knows it by its second class.
    let class = match (sealed, setting.apart) {
        (Some(sealed), Some(_)) => format!(" class=\"{sealed} k\""),
        (Some(sealed), None) => format!(" class=\"{sealed}\""),
        (None, Some(_)) => " class=\"k\"".into(),
        (None, None) => String::new(),
    };
    format!("{apart}<div{class}{more} style=\"{around}\">{hidden}{html}</div>")
}

/// What was found in HTML.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What may go, in order. The ranges do not meet.
    pub ranges: Vec<Range<usize>>,
    /// Elements they are of.
    pub elements: usize,
    /// Elements that look like ours and whose seal does not hold.
    pub unproved: usize,
}

/// Where elements made by [`element`] stand whole in HTML. Linear in time.
#[must_use]
pub fn elements(html: &str, sealer: &Sealer<'_>) -> Found {
    let mut found = Found::default();
    if !may_hold_seal(html.as_bytes()) {
        return found;
    }
    let mut scan = Scan::new(html.as_bytes(), Reading::BROWSER);
    let mut ours: Option<Element<'_>> = None;
    // What was put into the tags of the page along with it.
    let mut page = Vec::new();
    while let Some(token) = scan.next() {
        let step = match token.event {
            Event::Start(_) => {
                let name = name_of(scan.slice(token));
                page.extend(page::of_page(html, token, name));
                let class = is_div(name).then(|| class_of(&scan, token)).flatten();
                if let Some(ClassName::Ours(salt, seal)) = class {
                    ours = Some(Element::new(token, salt, seal));
                    continue;
                }
                let Some(element) = &mut ours else { continue };
                let hidden = class == Some(ClassName::Hidden(element.salt));
                element.start(&scan, name, token, hidden)
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
            (Step::Closed, Some(element)) => match element.proved(html, token.end, sealer) {
                Some(ranges) => {
                    found.elements = found.elements.saturating_add(1);
                    found.ranges.extend(ranges);
                }
                None => found.unproved = found.unproved.saturating_add(1),
            },
            _ => {}
        }
    }
    if found.elements > 0 {
        found.ranges.extend(page);
        found.ranges.sort_by_key(|range| range.start);
    }
    found
}

/// Are there as many hexadecimal digits together as the class of an element of ours has. So many hold an octet whose place is a
/// multiple of their number, and no other is looked at where there are none.
fn may_hold_seal(html: &[u8]) -> bool {
    const DIGITS: usize = SALT.saturating_add(SEAL);
    let steps = (0..html.len()).step_by(DIGITS);
    let mut starts = steps.filter(|at| html.get(*at).is_some_and(is_digit));
    starts.any(|at| {
        let (before, behind) = html.split_at_checked(at).unwrap_or_default();
        let before = before
            .iter()
            .rev()
            .take(DIGITS)
            .take_while(|octet| is_digit(octet));
        let behind = behind
            .iter()
            .take(DIGITS)
            .take_while(|octet| is_digit(octet));
        before.count().saturating_add(behind.count()) >= DIGITS
    })
}

fn is_digit(octet: &u8) -> bool {
    matches!(octet, b'0'..=b'9' | b'a'..=b'f')
}

/// Does an element of ours stand at the very top of this HTML, dressed as we dress it, so that it is seen.
#[must_use]
pub fn is_on_top(html: &str, sealer: &Sealer<'_>) -> bool {
    page::is_on_top(html, &elements(html, sealer).ranges)
}

/// Where whole lines hold the words of `ours` and no others, quoted or not, with one blank line behind them; or those of the text
/// that a mail program made of `html`, which is ours too. In order. Linear in time.
#[must_use]
pub fn lines(text: &str, ours: &str, html: &str) -> Vec<Range<usize>> {
    let made = html::to_text(html);
    let targets: Vec<&str> = [ours, &made].into_iter().flat_map(plain::targets).collect();
    match lines_of(text, ours, &targets) {
        none if none.is_empty() => lines_of(text, &made, &targets),
        found => found,
    }
}

fn lines_of(text: &str, ours: &str, targets: &[&str]) -> Vec<Range<usize>> {
    let needle = plain::words(ours);
    if needle.split_whitespace().count() < FEWEST_WORDS {
        return Vec::new();
    }
    let mut window = Window {
        needle,
        targets,
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

/// Nothing but the target of a link of ours: what Gmail wraps off the line with the words of the link.
fn is_target_of_ours(line: &str, targets: &[&str]) -> bool {
    let line = line.trim_matches(|c: char| c == '>' || c.is_whitespace());
    let line = line.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '/');
    let target = line
        .strip_prefix('<')
        .map(|target| target.trim_end_matches(['/', '>']));
    target.is_some_and(|target| {
        targets
            .iter()
            .any(|ours| ours.trim_end_matches('/') == target)
    })
}

/// The last lines of a text: those in which the words that are looked for may stand.
struct Window<'t> {
    needle: String,
    /// Of links of ours.
    targets: &'t [&'t str],
    /// The words of the lines, with a blank before, between and after them.
    hay: String,
    lines: VecDeque<WordLine>,
    /// A blank line stands behind the last line.
    is_followed: bool,
    found: Vec<Range<usize>>,
}

/// A line that has words.
struct WordLine {
    /// Within the hay.
    words: Range<usize>,
    start: usize,
    /// Behind the line end, and the blank line if one follows.
    end: usize,
}

impl Window<'_> {
    fn line(&mut self, line: &str, place: Range<usize>) {
        let words = plain::words(line.trim_start_matches('\u{FEFF}'));
        let words = words.trim_start();
        if words.is_empty() {
            let is_blank = line.chars().all(|c| c == '>' || c.is_whitespace());
            let is_target = is_target_of_ours(line, self.targets);
            if let Some(last) = self.lines.back_mut().filter(|_| !self.is_followed) {
                if is_blank || is_target {
                    last.end = place.end;
                }
                // What is neither has no words and is somebody's.
                self.is_followed = !is_target;
            }
            return;
        }
        if self.hay.len() > WINDOW.saturating_add(self.needle.len().saturating_mul(2)) {
            self.look(false);
        }
        let from = self.hay.len();
        self.hay.push_str(words);
        self.is_followed = false;
        self.lines.push_back(WordLine {
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
            |line: &&WordLine| line.words.end <= from.saturating_add(1) || line.words.end < limit;
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClassName<'a> {
    /// The digits of the mail, and the seal.
    Ours(&'a str, Seal),
    Hidden(&'a str),
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
    salt: &'a str,
    seal: Seal,
    /// The hidden line within.
    hidden: Option<Range<usize>>,
    /// Nobody can see it.
    is_hidden: bool,
    /// The open elements within, and which of them is the hidden line.
    open: Vec<&'a [u8]>,
    hidden_at: Option<usize>,
}

impl<'a> Element<'a> {
    fn new(token: Token, salt: &'a str, seal: Seal) -> Element<'a> {
        Element {
            start: token.start,
            salt,
            seal,
            hidden: None,
            is_hidden: false,
            open: Vec::new(),
            hidden_at: None,
        }
    }

    fn start(&mut self, scan: &Scan<'a>, name: &'a [u8], token: Token, is_hidden: bool) -> Step {
        if self.open.len() >= DEPTH || is_one_of(name, PAGE_TAGS) {
            return Step::Broken;
        }
        if is_hidden && self.hidden.is_none() {
            self.hidden = Some(token.start..token.start);
            self.hidden_at = Some(self.open.len());
            let mut attributes = scan.attributes_of(token);
            let style = attributes.find(|(name, _)| name.eq_ignore_ascii_case(b"style"));
            self.is_hidden = style.is_some_and(|(_, value)| shown::is_hidden(value));
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

    /// What of it may go, if it says what it was sealed with, up to `end`, and nothing else.
    fn proved(&self, html: &str, end: usize, sealer: &Sealer<'_>) -> Option<Vec<Range<usize>>> {
        if self.hidden_at.is_some() {
            return None;
        }
        let hidden = self.hidden.clone().unwrap_or(end..end);
        let (before, line, after) = (
            html.get(self.start..hidden.start)?,
            html.get(hidden.clone())?,
            html.get(hidden.end..end)?,
        );
        let shown = match line {
            "" => Cow::Borrowed(before),
            _ => Cow::Owned([before, after].concat()),
        };
        let line = said(line);
        if !sealer.holds(&self.seal, self.salt, &said(&shown), &line) {
            return None;
        }
        let is_repeated = || {
            let next = first_words(html.get(end..).unwrap_or_default(), REPEATED_REACH);
            letters(&next).starts_with(&line)
        };
        let (first, second) = match line.is_empty() || self.is_hidden && is_repeated() {
            true => (self.start..end, None),
            false => (self.start..hidden.start, Some(hidden.end..end)),
        };
        // What puts the page apart goes with it.
        let start = page::apart_before(html, first.start, self.salt).unwrap_or(first.start);
        Some(std::iter::once(start..first.end).chain(second).collect())
    }
}

/// Elements without an end tag (HTML standard, section 13.1.2).
const VOID: &[&[u8]] = &[
    b"area", b"base", b"br", b"col", b"embed", b"hr", b"img", b"input", b"link", b"meta", b"param",
    b"source", b"track", b"wbr",
];
const PAGE_TAGS: &[&[u8]] = &[b"html", b"head", b"body"];

fn is_div(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"div")
}

/// What a word of the class says, whatever mail programs put before it.
fn class_of<'a>(scan: &Scan<'a>, token: Token) -> Option<ClassName<'a>> {
    let (_, value) = scan
        .attributes_of(token)
        .find(|(name, _)| name.eq_ignore_ascii_case(b"class"))?;
    value.split(|&b| html::is_space(b)).find_map(|word| {
        let ours = || {
            let (salt, seal) =
                digits(word, ELEMENT, SALT.checked_add(SEAL)?)?.split_at_checked(SALT)?;
            let seal = HEXLOWER.decode(seal.as_bytes()).ok()?.try_into().ok()?;
            Some(ClassName::Ours(salt, seal))
        };
        ours().or_else(|| digits(word, HIDDEN, SALT).map(ClassName::Hidden))
    })
}

/// The hexadecimal digits at the end of a word, if there are so many behind that letter.
fn digits(word: &[u8], letter: u8, count: usize) -> Option<&str> {
    let at = word.len().checked_sub(count)?;
    let (before, digits) = word.split_at_checked(at)?;
    (before.last() == Some(&letter) && digits.iter().all(is_digit))
        .then(|| std::str::from_utf8(digits).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    // T184
    #[test]
    fn digits_of_a_seal_are_seen_wherever_they_stand() {
        for before in 0..100 {
            for (count, holds) in [(0, false), (47, false), (48, true), (49, true), (200, true)] {
                let digits = "a".repeat(count);
                let html = format!("{}{digits}k", "k".repeat(before));
                assert_eq!(may_hold_seal(html.as_bytes()), holds, "{before}");
            }
        }
    }
}
