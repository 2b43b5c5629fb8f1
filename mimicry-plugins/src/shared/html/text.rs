//! HTML from a plain text of ours, and plain text from HTML.
//!
//! Must never: hold the text of a large page as a whole where it is asked for in pieces.

use std::borrow::Cow;

use html5gum::{Token as Gum, Tokenizer};

use super::nest::{NoPlace, Tag};
use super::scan::{Event, Reading, Scan, name_of};
use crate::shared::plain::lines;

/// The HTML fragment for a plain text of ours: paragraphs at blank lines, `<br>` at line ends, everything escaped, runs
/// of blanks kept by no-break spaces. Links stay text. Lines end in LF.
#[must_use]
pub fn from_text(text: &str) -> String {
    let mut out =
        String::with_capacity(text.len().saturating_add(text.len() / 8).saturating_add(16));
    let mut open = false;
    for line in lines(text) {
        let line = line.trim_end();
        match (line.is_empty(), open) {
            (true, true) => {
                out.push_str("</p>\n");
                open = false;
                continue;
            }
            (true, false) => continue,
            (false, true) => out.push_str("<br>\n"),
            (false, false) => out.push_str("<p>"),
        }
        open = true;
        let mut blank = true;
        for c in line.chars() {
            match c {
                ' ' | '\t' if blank => out.push_str("&nbsp;"),
                ' ' | '\t' => {
                    out.push(' ');
                    blank = true;
                    continue;
                }
                // The other controls are not characters of HTML.
                c if c.is_control() => continue,
                c => push_escaped(&mut out, c),
            }
            blank = false;
        }
    }
    if open {
        out.push_str("</p>\n");
    }
    out
}

/// The plain text for an HTML fragment of ours: block elements end lines, paragraphs leave a blank line, list items get
/// `- ` or their number, links become `text <url>`, entities are decoded, white space is folded except in `<pre>`;
/// head, script, style and comments are dropped. Lines end in LF, none ends in a blank; no line end after the last.
/// Linear in time.
#[must_use]
pub fn to_text(html: &str) -> String {
    let mut out = String::new();
    text_in_pieces(html, &mut |piece| out.push_str(piece));
    out
}

/// What the text of a page begins with that begins with `html`: as [`to_text`], but where a link is open nothing is said of its
/// target. Only the last word may be another one.
#[must_use]
pub fn text_of_start(html: &str) -> String {
    let mut text = String::new();
    let mut out = |piece: &str| text.push_str(piece);
    let mut writer = write(html, &mut out);
    writer.give(writer.out.trim_end().len(), &mut out);
    text
}

/// As [`to_text`], piece by piece, so that the text of a large page is never held as a whole.
pub fn text_in_pieces(html: &str, out: &mut dyn FnMut(&str)) {
    write(html, out).finish(out);
}

/// All but what the end makes of it.
fn write(html: &str, out: &mut dyn FnMut(&str)) -> TextWriter {
    let mut scan = Scan::new(html.as_bytes(), Reading::BROWSER);
    let mut writer = TextWriter::default();
    // Of the tag before: what is in an element without markup is text with entities or without.
    let mut raw_tag = Tag::Other;
    while let Some(token) = scan.next() {
        let slice = html.get(token.start..token.end).unwrap_or_default();
        match token.event {
            Event::Start(tag) => {
                raw_tag = tag;
                let name = lower_name(scan.slice(token));
                let attribute = |wanted: &[u8]| {
                    let mut all = scan.attributes_of(token);
                    let (_, value) = all.find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
                    Some(attribute_value(value))
                };
                writer.start(&name, attribute);
            }
            Event::End(_) => writer.end(&lower_name(scan.slice(token))),
            Event::Text | Event::Cdata => writer.encoded(slice, out),
            Event::Raw | Event::Open(NoPlace::RawText) => match raw_tag {
                Tag::Title | Tag::Textarea => writer.encoded(slice, out),
                _ => writer.raw(slice, out),
            },
            Event::Open(NoPlace::Tag) if matches!(slice, "<" | "</") => writer.text(slice),
            Event::Comment | Event::Doctype | Event::Open(_) => {}
        }
        writer.drain(out);
    }
    writer
}

/// The name in a tag, in lower case; empty where it is longer than any that matters.
fn lower_name(tag: &[u8]) -> Vec<u8> {
    let name = name_of(tag);
    match name.len() {
        0..=16 => name.to_ascii_lowercase(),
        _ => Vec::new(),
    }
}

/// The value of an attribute, its entities decoded by the rules for attributes. What is too long for any use is cut.
fn attribute_value(raw: &[u8]) -> String {
    let raw = String::from_utf8_lossy(raw.get(..ATTRIBUTE_REACH).unwrap_or(raw));
    if !raw.contains('&') {
        return raw.into_owned();
    }
    let quote = if raw.contains('"') { '\'' } else { '"' };
    let tag = format!("<a x={quote}{raw}{quote}>");
    for token in Tokenizer::new(&tag).flatten() {
        if let Gum::StartTag(tag) = token
            && let Some(value) = tag.attributes.get(&b"x"[..])
        {
            return String::from_utf8_lossy(value).into_owned();
        }
    }
    String::new()
}

/// A text with its entities decoded.
pub(in crate::shared) fn decoded(text: &str) -> Cow<'_, str> {
    if memchr::memchr(b'&', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    if decode_plain(text, &mut out) {
        return Cow::Owned(out);
    }
    Cow::Owned(decoded_by_tokenizer(text))
}

fn decoded_by_tokenizer(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for token in Tokenizer::new(text).flatten() {
        if let Gum::String(text) = token {
            out.push_str(&String::from_utf8_lossy(&text));
        }
    }
    out
}

/// Text whose entities are the usual ones, written whole: the tokenizer costs ten times as much. `false` = it takes the tokenizer.
fn decode_plain(text: &str, out: &mut String) -> bool {
    if memchr::memchr3(b'<', b'\r', 0, text.as_bytes()).is_some() {
        return false;
    }
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('&') {
        out.push_str(before);
        let name = behind
            .get(..behind.floor_char_boundary(8))
            .unwrap_or(behind);
        let Some((name, _)) = name.split_once(';') else {
            return false;
        };
        let Some(character) = plain_entity(name) else {
            return false;
        };
        out.push(character);
        rest = behind
            .get(name.len().saturating_add(1)..)
            .unwrap_or_default();
    }
    out.push_str(rest);
    true
}

fn plain_entity(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "nbsp" => '\u{A0}',
        "zwnj" => '\u{200C}',
        _ => {
            let digits = name.strip_prefix('#')?;
            let is_decimal = digits.bytes().all(|octet| octet.is_ascii_digit());
            let code = digits.parse().ok().filter(|_| is_decimal)?;
            // Of the others some stand for another character.
            let is_itself = matches!(code, 0x20..=0x7E | 0xA0..=0xD7FF);
            return char::from_u32(code).filter(|_| is_itself);
        }
    })
}

/// Pieces of a text of at most [`PIECE`] octets; none ends within an entity that a reader would know.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = rest.floor_char_boundary(PIECE);
        if end < rest.len() {
            let tail = rest.floor_char_boundary(end.saturating_sub(ENTITY));
            if let Some(at) = rest.get(tail..end).and_then(|tail| tail.rfind('&')) {
                end = tail.saturating_add(at);
            }
        }
        let (piece, behind) = rest
            .split_at_checked(end)
            .filter(|(piece, _)| !piece.is_empty())?;
        rest = behind;
        Some(piece)
    })
}

/// `text` safe as HTML text and in a quoted attribute value.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len().saturating_add(16));
    text.chars().for_each(|c| push_escaped(&mut out, c));
    Cow::Owned(out)
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '"' => out.push_str("&quot;"),
        '\'' => out.push_str("&#39;"),
        c => out.push(c),
    }
}

/// Octets of a text that are decoded at a time, and held before they are given away.
pub(super) const PIECE: usize = 16 * 1024;

/// Octets of an entity.
const ENTITY: usize = 64;

/// Octets of an attribute's value.
const ATTRIBUTE_REACH: usize = 64 * 1024;

/// Octets of the text of a link that may be its address.
const LINK_REACH: usize = 4 * 1024;

/// Builds the text variant token by token.
#[derive(Default)]
struct TextWriter {
    /// What was not given away yet.
    out: String,
    /// Something was; it ended in no white space.
    given: bool,
    /// Line ends due before the next character.
    breaks: usize,
    /// A blank is due before the next character of the same line.
    blank: bool,
    /// Depth of `<pre>`.
    pre: usize,
    /// Depth of elements whose text is dropped.
    dropped: usize,
    /// One entry per open list: the number of the next item, none for bullets.
    lists: Vec<Option<u32>>,
    /// The target of the open link and where its text starts; `None` = it is longer than any address.
    link: Option<(String, Option<usize>)>,
}

impl TextWriter {
    fn encoded(&mut self, text: &str, out: &mut dyn FnMut(&str)) {
        for piece in pieces(text) {
            self.text(&decoded(piece));
            self.drain(out);
        }
    }

    fn raw(&mut self, text: &str, out: &mut dyn FnMut(&str)) {
        for piece in pieces(text) {
            self.text(piece);
            self.drain(out);
        }
    }

    /// Gives away what cannot change any more.
    fn drain(&mut self, out: &mut dyn FnMut(&str)) {
        if self.out.len() < PIECE {
            return;
        }
        let mut end = self.out.trim_end().len();
        if let Some((_, start)) = &mut self.link {
            match *start {
                Some(from) if self.out.len().saturating_sub(from) <= LINK_REACH => {
                    end = end.min(from)
                }
                _ => *start = None,
            }
        }
        self.give(end, out);
    }

    fn give(&mut self, end: usize, out: &mut dyn FnMut(&str)) {
        let Some(text) = self.out.get(..end).filter(|text| !text.is_empty()) else {
            return;
        };
        out(text);
        self.given = true;
        self.out.drain(..end);
        if let Some((_, Some(start))) = &mut self.link {
            *start = start.saturating_sub(end);
        }
    }

    /// Nothing has been written.
    fn is_at_start(&self) -> bool {
        !self.given && self.out.is_empty()
    }

    fn start(&mut self, name: &[u8], attribute: impl Fn(&[u8]) -> Option<String>) {
        match name {
            b"script" | b"style" | b"title" | b"template" | b"iframe" => {
                self.dropped = self.dropped.saturating_add(1)
            }
            b"br" => {
                self.breaks = self.breaks.saturating_add(1);
                self.blank = false;
            }
            b"hr" => {
                self.line_break(1);
                self.literal(&"-".repeat(40));
                self.line_break(1);
            }
            b"ul" | b"ol" => {
                self.line_break(if self.lists.is_empty() { 2 } else { 1 });
                let first = attribute(b"start")
                    .and_then(|n| n.parse().ok())
                    .unwrap_or(1);
                self.lists.push((name == b"ol").then_some(first));
            }
            b"li" => {
                self.line_break(1);
                let indent = self.lists.len().saturating_sub(1).min(16);
                let mark = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        let mark = format!("{number}. ");
                        *number = number.saturating_add(1);
                        mark
                    }
                    _ => "- ".to_owned(),
                };
                self.literal(&("  ".repeat(indent) + &mark));
            }
            b"a" => {
                self.end_link();
                if let Some(href) = attribute(b"href") {
                    // The URL Standard takes line ends and tabs out of an address, wherever they stand.
                    let mut address = href.trim().to_owned();
                    address.retain(|character| !character.is_control());
                    self.link = Some((address, Some(self.out.len())));
                }
            }
            b"img" => {
                if let Some(alt) = attribute(b"alt") {
                    self.text(&alt);
                }
            }
            b"td" | b"th" => self.blank = true,
            b"pre" => {
                self.line_break(2);
                self.pre = self.pre.saturating_add(1);
            }
            _ => self.line_break(Self::gap(name)),
        }
    }

    fn end(&mut self, name: &[u8]) {
        match name {
            b"script" | b"style" | b"title" | b"template" | b"iframe" => {
                self.dropped = self.dropped.saturating_sub(1)
            }
            b"ul" | b"ol" => {
                self.lists.pop();
                self.line_break(if self.lists.is_empty() { 2 } else { 1 });
            }
            b"li" => self.line_break(1),
            b"a" => self.end_link(),
            b"pre" => {
                self.pre = self.pre.saturating_sub(1);
                self.line_break(2);
            }
            _ => self.line_break(Self::gap(name)),
        }
    }

    /// The line ends that an element asks for before and after itself.
    fn gap(name: &[u8]) -> usize {
        match name {
            b"p" | b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" | b"blockquote" | b"table"
            | b"dl" => 2,
            b"div" | b"tr" | b"center" | b"address" | b"section" | b"article" | b"header"
            | b"footer" | b"main" | b"nav" | b"aside" | b"figure" | b"figcaption" | b"form"
            | b"fieldset" | b"dt" | b"dd" | b"caption" | b"body" | b"html" | b"head" => 1,
            _ => 0,
        }
    }

    fn line_break(&mut self, lines: usize) {
        if lines > 0 {
            self.breaks = self.breaks.max(lines);
            self.blank = false;
        }
    }

    fn text(&mut self, text: &str) {
        if self.dropped > 0 {
            return;
        }
        for c in text.chars() {
            match c {
                '\n' if self.pre > 0 => {
                    self.breaks = self.breaks.saturating_add(1);
                    self.blank = false;
                }
                ' ' | '\t' if self.pre > 0 => {
                    self.flush();
                    self.out.push(' ');
                }
                ' ' | '\t' | '\n' | '\r' | '\x0C' => self.blank = true,
                '\u{A0}' => {
                    self.flush();
                    self.out.push(' ');
                }
                // A soft hyphen, and what is no character of a mail.
                '\u{AD}' => {}
                c if c.is_control() => {}
                c => {
                    self.flush();
                    self.out.push(c);
                }
            }
        }
    }

    fn literal(&mut self, text: &str) {
        if self.dropped == 0 {
            self.flush();
            self.out.push_str(text);
        }
    }

    /// Writes the line ends or the blank that are due.
    fn flush(&mut self) {
        if self.breaks > 0 {
            self.trim_line();
            if !self.is_at_start() {
                self.out
                    .extend(std::iter::repeat_n('\n', self.breaks.min(2)));
            }
        } else if self.blank && !self.is_at_start() && !self.out.ends_with([' ', '\n']) {
            self.out.push(' ');
        }
        self.breaks = 0;
        self.blank = false;
    }

    fn trim_line(&mut self) {
        self.out.truncate(self.out.trim_end_matches(' ').len());
    }

    /// `text <url>`, or the text alone where it is the address already.
    fn end_link(&mut self) {
        let Some((href, from)) = self.link.take() else {
            return;
        };
        let Some((scheme, address)) = href.split_once(':') else {
            return;
        };
        let is_mail = scheme.eq_ignore_ascii_case("mailto");
        if !is_mail
            && !["http", "https", "ftp", "tel"]
                .iter()
                .any(|known| scheme.eq_ignore_ascii_case(known))
        {
            return;
        }
        let bare = |url: &str| {
            url.trim_start_matches("//")
                .trim_end_matches('/')
                .to_ascii_lowercase()
        };
        let shown = from.map(|from| self.out.get(from..).unwrap_or_default().trim());
        if shown.is_some_and(|shown| {
            [href.as_str(), address]
                .iter()
                .any(|url| bare(url) == bare(shown))
        }) {
            return;
        }
        let shown = shown.unwrap_or("…");
        let url = if is_mail { address } else { &href };
        let text = if shown.is_empty() {
            url.to_owned()
        } else {
            format!(" <{url}>")
        };
        let blank = std::mem::take(&mut self.blank) && shown.is_empty();
        let breaks = if shown.is_empty() {
            self.breaks
        } else {
            std::mem::take(&mut self.breaks)
        };
        if shown.is_empty() {
            self.blank = blank;
            self.text(&text);
        } else {
            self.literal(&text);
            self.breaks = breaks;
        }
    }

    fn finish(mut self, out: &mut dyn FnMut(&str)) {
        self.end_link();
        let end = self.out.trim_end().len();
        self.give(end, out);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The usual entities as the tokenizer decodes them, and whatever looks like one.
        #[test]
        fn entities_as_the_tokenizer_decodes_them(
            pieces in proptest::collection::vec(prop_oneof![
                prop::sample::select(&["&amp;", "&lt;", "&gt;", "&quot;", "&nbsp;", "&zwnj;", "&#847;", "&#65;", "&#128;",
                    "&#0;", "&#x41;", "&#+65;", "&copy;", "&amp", "&", ";", "<", "\r", "a", "\u{E4}", "\u{1F600}"][..]).prop_map(str::to_string),
                (0u32..70_000).prop_map(|code| format!("&#{code};")),
            ], 0..8)
        ) {
            let text = pieces.concat();
            let mut plain = String::new();
            if decode_plain(&text, &mut plain) {
                prop_assert_eq!(plain, decoded_by_tokenizer(&text));
            }
        }
    }

    // The preview takes what comes first of a page that is cut.
    #[test]
    fn the_start_of_a_page() {
        for (html, start) in [
            ("<p>a b", "a b"),
            (
                "<p>a <a href=http://x.example>b</a> c",
                "a b <http://x.example> c",
            ),
            ("<p>a <a href=http://x.example>b c", "a b c"),
            ("<p>a <a href=http://x.example>", "a"),
            ("<p>a<p title=\"b", "a"),
            ("<p>a<!-- b", "a"),
            ("<style>a", ""),
        ] {
            assert_eq!(text_of_start(html), start, "{html}");
        }
    }
}
