//! The page around a block of ours: what must stand in its `<html>` and `<body>`, and in a style sheet before all others, so that
//! no style of the mail takes the whole page, or ours by way of the page, out of sight.
//!
//! Style in the tags themselves overrides every style sheet, so it is put there: as one more attribute, right after the
//! tag's name, because readers take the first of two attributes with the same name. Declarations of the mail's own
//! `style` attribute that can hide nothing are repeated in it. A page without such a tag gets one before our text,
//! which readers treat as its own.
//!
//! Must never: change an octet of the mail; all of this is inserted.

use super::nest::{NoPlace, Tag};
use super::scan::{Event, Reading, Scan, Token, is_space, name_of};

/// What a page is dressed with.
#[derive(Clone, Copy, Debug)]
pub struct Dress<'a> {
    /// Declarations for the tags.
    pub html: &'a str,
    pub body: &'a str,
    /// Of a head that has a style of its own.
    pub head: &'a str,
    /// A whole element.
    pub sheet: &'a str,
}

/// What goes in around a block that goes in at `at`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Octet offsets before `at`, ascending, and what goes in there.
    pub tags: Vec<(usize, String)>,
    /// Goes in right before the block.
    pub before: String,
    /// The names that parts of the page ask to stand at, by `slot`.
    pub slots: Vec<String>,
    /// Something in it asks for the focus, and readers show what has it.
    pub asks_focus: bool,
}

impl Frame {
    /// Does the page need one.
    #[must_use]
    pub fn is_dressed(&self) -> bool {
        !(self.tags.is_empty() && self.before.is_empty())
    }
}

/// The frame of a page for a block at `at`, which [`super::place`] chose as the top; empty where the page has no style that could
/// reach it. `declarations` splits the style of the mail's own tags. Linear in time.
///
/// # Errors
/// Readers disagree on what the tags of the page are, or the mail has a shadow root that ours would be part of.
pub fn frame(
    html: &[u8],
    at: usize,
    dress: &Dress<'_>,
    declarations: impl Fn(&str) -> Vec<(&str, &str)>,
) -> Result<Frame, NoPlace> {
    let mut seen = look(html, at, Reading::BROWSER);
    seen.is_styled |= shadows(html, at)?;
    // Where nothing can be read in another way, all readings are this one.
    let others = match seen.is_twisted {
        true => Reading::OTHERS
            .map(|reading| look(html, at, reading))
            .into(),
        false => Vec::new(),
    };
    let mut frame = Frame {
        asks_focus: places(html, b"autofocus").next().is_some(),
        ..Frame::default()
    };
    if !seen.is_styled && others.iter().all(|other| !other.is_styled) {
        return Ok(frame);
    }
    let tags = |page: &Page<'_>| (page.html, page.body, page.head, page.sheet);
    if others.iter().any(|other| tags(other) != tags(&seen)) {
        return Err(NoPlace::Ambiguous);
    }
    match seen.sheet.min(at) {
        sheet if sheet == at => frame.before.push_str(dress.sheet),
        sheet => frame.tags.push((sheet, dress.sheet.to_string())),
    }
    for (name, tag, own, ours) in [
        ("html", seen.html, seen.html_style, dress.html),
        ("body", seen.body, seen.body_style, dress.body),
    ] {
        let mut style = String::new();
        for (property, value) in declarations(own) {
            if is_harmless(property, value) {
                style.push_str(&format!("{property}:{value};"));
            }
        }
        style.push_str(ours);
        match tag {
            Some(end) => frame.tags.push((end, format!(" style=\"{style}\""))),
            None => frame
                .before
                .push_str(&format!("<{name} style=\"{style}\">")),
        }
    }
    let head = seen
        .head
        .map(|end| (end, format!(" style=\"{}\"", dress.head)));
    frame.tags.extend(head);
    frame.tags.sort_by_key(|(at, _)| *at);
    frame.slots = seen.slots;
    Ok(frame)
}

/// Names of slots that are kept, at most.
const SLOTS: usize = 8;

/// What a reading finds.
#[derive(Default)]
struct Page<'h> {
    /// Behind the names of the tags that open the page, before the block; of the head only if it is styled.
    html: Option<usize>,
    body: Option<usize>,
    head: Option<usize>,
    html_style: &'h str,
    body_style: &'h str,
    /// Where a style sheet comes before all others.
    sheet: usize,
    /// Nothing but the opening of the page came so far.
    is_opening: bool,
    slots: Vec<String>,
    /// Something in it could dress the page.
    is_styled: bool,
    /// Other readers may take it in another way.
    is_twisted: bool,
}

fn look(html: &[u8], at: usize, reading: Reading) -> Page<'_> {
    let mut page = Page {
        sheet: if html.starts_with(MARK) {
            MARK.len()
        } else {
            0
        },
        is_opening: true,
        ..Page::default()
    };
    let mut scan = Scan::new(html, reading);
    let has_more = has_slots(html) || may_twist(html);
    while let Some(token) = scan.next() {
        // What is behind the place of a page that is dressed anyhow cannot tell more.
        if page.is_styled && token.start > at && !page.is_opening && !has_more {
            break;
        }
        if page.is_opening {
            match opens(&scan, token) {
                Some(true) => page.sheet = token.end,
                Some(false) => {}
                None => page.is_opening = false,
            }
        }
        match token.event {
            Event::Start(tag) => page.start(&scan, tag, token, at),
            // Outlook reads what stands in such a comment.
            Event::Comment | Event::Raw => {
                page.is_styled |= holds_style(scan.slice(token));
            }
            _ => {}
        }
    }
    page.is_twisted = scan.twist.noscript || scan.twist.foreign;
    page
}

/// Is there what may be the attribute with a value.
fn has_slots(html: &[u8]) -> bool {
    const NAME: &[u8] = b"slot";
    places(html, NAME).any(|at| {
        let behind = html.get(at.saturating_add(NAME.len())..);
        let mut behind = behind.unwrap_or_default().iter();
        behind.find(|octet| !is_space(**octet)) == Some(&b'=')
    })
}

/// Is there an element that readers may take in two ways.
fn may_twist(html: &[u8]) -> bool {
    memchr::memchr_iter(b'<', html).any(|at| {
        let behind = html.get(at.saturating_add(1)..).unwrap_or_default();
        let starts = |name: &[u8]| {
            let start = behind.get(..name.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(name))
        };
        matches!(
            behind.first(),
            Some(b'n' | b'N' | b's' | b'S' | b'm' | b'M')
        ) && (starts(b"noscript") || starts(b"svg") || starts(b"math"))
    })
}

/// A byte order mark.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// May a style sheet come after this and still be the first (true), or does this at least end nothing (false).
fn opens(scan: &Scan<'_>, token: Token) -> Option<bool> {
    match token.event {
        Event::Doctype | Event::Start(Tag::Html | Tag::Head) => Some(true),
        Event::Comment => Some(false),
        Event::Text => {
            let text = scan.slice(token);
            let text = text.strip_prefix(MARK).unwrap_or(text);
            text.iter().all(|octet| is_space(*octet)).then_some(false)
        }
        // Readers look for the charset at the start alone.
        Event::Start(Tag::Meta) if name_of(scan.slice(token)).eq_ignore_ascii_case(b"meta") => {
            let mut all = scan.attributes_of(token);
            let is_plain = all.all(|(name, value)| {
                !name.eq_ignore_ascii_case(b"http-equiv")
                    || value.eq_ignore_ascii_case(b"content-type")
            });
            is_plain.then_some(true)
        }
        _ => None,
    }
}

impl<'h> Page<'h> {
    fn start(&mut self, scan: &Scan<'h>, tag: Tag, token: Token, at: usize) {
        let is_page = matches!(tag, Tag::Html | Tag::Body);
        let (mut style, mut is_dressed) = ("", false);
        for (name, value) in scan.attributes_of(token) {
            if name.eq_ignore_ascii_case(b"slot") {
                self.slot(value);
            } else if name.eq_ignore_ascii_case(b"style") {
                // In front of ours it can push, anywhere it can lie over ours.
                self.is_styled |= is_page || token.end <= at || may_cover(value);
                if !is_dressed {
                    style = std::str::from_utf8(value).unwrap_or_default();
                }
                is_dressed = true;
            } else if is_page {
                self.is_styled |= moves_page(name);
            }
        }
        if tag == Tag::Style || tag == Tag::Meta && is_link(scan, token) {
            self.is_styled = true;
        }
        if token.end > at {
            return;
        }
        // `<`, and a name of four letters.
        let behind = token.start.saturating_add(5);
        match tag {
            Tag::Html if self.html.is_none() => {
                (self.html, self.html_style) = (Some(behind), style);
            }
            Tag::Body if self.body.is_none() => {
                (self.body, self.body_style) = (Some(behind), style);
            }
            Tag::Head if self.head.is_none() && is_dressed => self.head = Some(behind),
            _ => {}
        }
    }

    fn slot(&mut self, name: &[u8]) {
        let is_plain = |octet: &u8| octet.is_ascii_alphanumeric() || b"-_".contains(octet);
        let Ok(name) = std::str::from_utf8(name) else {
            return;
        };
        let is_new = self.slots.len() < SLOTS && self.slots.iter().all(|other| other != name);
        if is_new && (1..=32).contains(&name.len()) && name.bytes().all(|octet| is_plain(&octet)) {
            self.slots.push(name.to_string());
        }
    }
}

fn is_link(scan: &Scan<'_>, token: Token) -> bool {
    name_of(scan.slice(token)).eq_ignore_ascii_case(b"link")
}

/// Attributes of the page's tags that hide or move it without any style.
fn moves_page(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(&*name, b"hidden" | b"popover")
        || name.starts_with(b"margin")
        || name.ends_with(b"margin")
}

/// Could an element with this style lie over one that has the highest z-index: it says one itself, as it is or escaped.
fn may_cover(style: &[u8]) -> bool {
    style.contains(&b'\\')
        || places(style, b"&#").next().is_some()
        || places(style, b"z-index").next().is_some()
}

/// Does the page make shadow roots, which ours must come before.
fn shadows(html: &[u8], at: usize) -> Result<bool, NoPlace> {
    const ROOT: &[u8] = b"shadowroot";
    let mut found = false;
    for start in places(html, ROOT) {
        let rest = html.get(start.saturating_add(ROOT.len())..);
        let mode = rest.and_then(|rest| rest.get(..4));
        // One that readers of today know, and that comes after ours, makes none where ours is.
        if start < at || !mode.is_some_and(|mode| mode.eq_ignore_ascii_case(b"mode")) {
            return Err(NoPlace::Ambiguous);
        }
        found = true;
    }
    Ok(found)
}

/// Where a word stands, whatever its case. What is looked for is its octet that a page has least often.
fn places<'h>(html: &'h [u8], word: &'static [u8]) -> impl Iterator<Item = usize> + 'h {
    let rank = |octet: u8| RARE.iter().position(|rare| *rare == octet);
    let rarest = word.iter().enumerate();
    let rarest = rarest.min_by_key(|(_, octet)| rank(**octet).unwrap_or(RARE.len()));
    let (before, octet) = rarest.map_or((0, 0), |(at, octet)| (at, *octet));
    memchr::memchr2_iter(octet, octet.to_ascii_uppercase(), html).filter_map(move |at| {
        let start = at.checked_sub(before)?;
        let found = html.get(start..start.saturating_add(word.len()))?;
        found.eq_ignore_ascii_case(word).then_some(start)
    })
}

/// Octets of words that are looked for, those first that pages have least often.
const RARE: &[u8] = b"zqxjkvwyf#&<";

fn holds_style(text: &[u8]) -> bool {
    places(text, b"<style").next().is_some() || places(text, b"<link").next().is_some()
}

/// Can a declaration be repeated: it is plain, it yields to what follows, and it dresses without hiding.
fn is_harmless(property: &str, value: &str) -> bool {
    const DRESS: &[&str] = &[
        "background",
        "background-color",
        "color",
        "direction",
        "font",
        "font-family",
        "font-size",
        "font-style",
        "font-weight",
        "line-height",
        "max-width",
        "text-align",
        "width",
        "word-wrap",
        "-ms-text-size-adjust",
        "-webkit-text-size-adjust",
        "-webkit-font-smoothing",
    ];
    let is_plain =
        |octet: u8| octet.is_ascii_alphanumeric() || is_space(octet) || b"#%.,-'".contains(&octet);
    let quotes = value.matches('\'').count();
    DRESS
        .iter()
        .any(|dress| property.eq_ignore_ascii_case(dress))
        && value.bytes().all(is_plain)
        && quotes.is_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::super::place;
    use super::*;
    use crate::shared::text_end::TextEnd;

    fn split(style: &str) -> Vec<(&str, &str)> {
        style
            .split(';')
            .filter_map(|one| one.split_once(':'))
            .collect()
    }

    #[test]
    fn words_in_any_case() {
        for word in [
            &b"autofocus"[..],
            b"shadowroot",
            b"slot",
            b"z-index",
            b"&#",
            b"<link",
        ] {
            for html in [
                "",
                "SHADOWroot",
                "<LINK <lin",
                "autofocuautofocus",
                "zz-Index",
                "w shadowro",
                "SLOTslot",
                "&&#",
                "f",
            ] {
                let octets = html.as_bytes();
                let windows = octets.windows(word.len()).enumerate();
                let is_word = |(_, octets): &(usize, &[u8])| octets.eq_ignore_ascii_case(word);
                let expected: Vec<usize> = windows.filter(is_word).map(|(at, _)| at).collect();
                assert_eq!(places(octets, word).collect::<Vec<_>>(), expected, "{html}");
            }
        }
    }

    // T185: what stands far behind the place tells nothing, or is looked at.
    #[test]
    fn what_is_behind_the_place() {
        let look = |behind: &str| {
            let html = format!("<style></style><body>{}{behind}", "<p>a".repeat(9));
            let page = look(html.as_bytes(), 21, Reading::BROWSER);
            (page.is_styled, page.is_twisted, page.slots)
        };
        let none = Vec::<String>::new;
        for (behind, expected) in [
            ("", (true, false, none())),
            ("<p>a slot <p a=b>", (true, false, none())),
            ("<p SLOT \n=x>", (true, false, vec!["x".to_string()])),
            ("<NoScript>", (true, true, none())),
            ("<svg><title>", (true, true, none())),
            ("<math><style>", (true, true, none())),
        ] {
            assert_eq!(look(behind), expected, "{behind}");
        }
    }

    // T185
    #[test]
    #[rustfmt::skip]
    fn where_style_goes_in() {
        const DRESS: Dress<'_> = Dress { html: "P", body: "P", head: "N", sheet: "S" };
        for (html, expected) in [
            ("<p>x", "|<p>x"),
            ("<html><body><p>x", "<html><body>|<p>x"),
            ("<HTML lang=en><head><style>body{display:none}</style></head><Body class=x>y", "<HTML style=\"P\" lang=en><head>S<style>body{display:none}</style></head><Body style=\"P\" class=x>|y"),
            ("<html><body style='display:none;color:red'>y", "<html style=\"P\">S<body style=\"color:red;P\" style='display:none;color:red'>|y"),
            ("<body hidden>y", "S<body style=\"P\" hidden><html style=\"P\">|y"),
            ("<style>*{}</style>y", "S<style>*{}</style><html style=\"P\"><body style=\"P\">|y"),
            ("y<link rel=stylesheet>", "S<html style=\"P\"><body style=\"P\">|y<link rel=stylesheet>"),
            ("y<body style=display:none>", "S<html style=\"P\"><body style=\"P\">|y<body style=display:none>"),
            ("<!--[if mso]><STYLE>p{}</style><![endif]--><body>y", "S<!--[if mso]><STYLE>p{}</style><![endif]--><body style=\"P\"><html style=\"P\">|y"),
            ("<body style=\"font-family:'a';background:url(x);margin:0!\">y<html style=x>", "S<body style=\"font-family:'a';P\" style=\"font-family:'a';background:url(x);margin:0!\"><html style=\"P\">|y<html style=x>"),
            ("<!-- c --><!doctype html>\n<html>\n<!-- c --><head style=x>\n<meta charset=x>\n<meta name=a><title>t</title>", "<!-- c --><!doctype html>\n<html style=\"P\">\n<!-- c --><head style=\"N\" style=x>\n<meta charset=x>\n<meta name=a>S<title>t</title><body style=\"P\">|"),
            ("\u{FEFF}<head><meta http-equiv=link content=x><style></style>", "\u{FEFF}<head>S<meta http-equiv=link content=x><style></style><html style=\"P\"><body style=\"P\">|"),
            ("<html><head><base href=x><meta charset=x><link>", "<html style=\"P\"><head>S<base href=x><meta charset=x><link><body style=\"P\">|"),
        ] {
            let at = place(html.as_bytes(), TextEnd::Top).unwrap().at;
            let frame = frame(html.as_bytes(), at, &DRESS, split).unwrap();
            let mut out = html.to_string();
            out.insert_str(at, &format!("{}|", frame.before));
            for (at, text) in frame.tags.iter().rev() {
                out.insert_str(*at, text);
            }
            assert_eq!(out, expected, "{html}");
        }
        for html in ["<noscript><html style=display:none></noscript><body>y", "<head><title shadowrootmode>a</title></head><body>y", "y<template SHADOWROOT=open>"] {
            let html = html.as_bytes();
            let at = place(html, TextEnd::Top).unwrap().at;
            assert_eq!(frame(html, at, &DRESS, split), Err(NoPlace::Ambiguous));
        }
        let html = b"<style></style><p slot=a><p slot=b><p slot=a><p slot='<'><p slot=>";
        assert_eq!(frame(html, 15, &DRESS, split).unwrap().slots, ["a", "b"]);
    }
}
