//! The page around a block of ours: what must stand in its `<html>` and `<body>` so that no style sheet of the mail takes the
//! whole page, or ours by way of the page, out of sight.
//!
//! Only style in the tags themselves goes before every style sheet, so it is put there: as one more attribute, right after the
//! tag's name, because of two of one name readers take the first. What the mail's own `style` attribute says that can hide
//! nothing is repeated in it. A page without such a tag gets one in front of ours, which readers take as part of its own.
//!
//! Must never: change an octet of the mail's; all of this is put in between.

use super::{Event, NoPlace, Reading, Scan, Tag, is_space};

/// What goes in around a block that goes in at `at`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Octet offsets before `at`, ascending, and what goes in there.
    pub tags: Vec<(usize, String)>,
    /// Goes in right before the block.
    pub before: String,
}

/// The frame of a page for a block at `at`, which [`super::place`] chose as the top; empty where the page has no style that could
/// reach it. `page` are the declarations, `declarations` splits those of the mail. Linear in time.
///
/// # Errors
/// Readers disagree on what the tags of the page are.
pub fn frame(
    html: &[u8],
    at: usize,
    page: &str,
    declarations: impl Fn(&str) -> Vec<(&str, &str)>,
) -> Result<Frame, NoPlace> {
    let seen = look(html, at, Reading::BROWSER);
    // Where nothing can be read in another way, all readings are this one.
    let others = match seen.is_twisted {
        true => Reading::OTHERS
            .map(|reading| look(html, at, reading))
            .into(),
        false => Vec::new(),
    };
    if !seen.is_styled && others.iter().all(|other| !other.is_styled) {
        return Ok(Frame::default());
    }
    let is_other = |other: &Page<'_>| (other.html, other.body) != (seen.html, seen.body);
    if others.iter().any(is_other) {
        return Err(NoPlace::Ambiguous);
    }
    let mut frame = Frame::default();
    for (name, tag, own) in [
        ("html", seen.html, seen.html_style),
        ("body", seen.body, seen.body_style),
    ] {
        let mut style = String::new();
        for (property, value) in declarations(own) {
            if is_harmless(property, value) {
                style.push_str(&format!("{property}:{value};"));
            }
        }
        style.push_str(page);
        match tag {
            Some(end) => frame.tags.push((end, format!(" style=\"{style}\""))),
            None => frame
                .before
                .push_str(&format!("<{name} style=\"{style}\">")),
        }
    }
    frame.tags.sort_by_key(|(at, _)| *at);
    Ok(frame)
}

/// What a reading finds.
#[derive(Default)]
struct Page<'h> {
    /// Behind the names of the tags that open the page, before the block.
    html: Option<usize>,
    body: Option<usize>,
    html_style: &'h str,
    body_style: &'h str,
    /// Something in it could dress the page.
    is_styled: bool,
    /// Other readers may take it in another way.
    is_twisted: bool,
}

fn look(html: &[u8], at: usize, reading: Reading) -> Page<'_> {
    let mut page = Page::default();
    let mut scan = Scan::new(html, reading);
    while let Some(token) = scan.next() {
        match token.event {
            Event::Start(tag @ (Tag::Html | Tag::Body)) => {
                let mut style = "";
                for (name, value) in scan.attributes_of(token) {
                    let dresses = name.eq_ignore_ascii_case(b"style");
                    page.is_styled |= dresses || name.eq_ignore_ascii_case(b"hidden");
                    if dresses && style.is_empty() {
                        style = std::str::from_utf8(value).unwrap_or_default();
                    }
                }
                if token.end > at {
                    continue;
                }
                // `<`, and a name of four letters.
                let behind = token.start.saturating_add(5);
                let (place, own) = match tag {
                    Tag::Html => (&mut page.html, &mut page.html_style),
                    _ => (&mut page.body, &mut page.body_style),
                };
                if place.is_none() {
                    (*place, *own) = (Some(behind), style);
                }
            }
            Event::Start(Tag::Style) => page.is_styled = true,
            Event::Start(Tag::Meta) => {
                let name = super::name_of(scan.slice(token));
                page.is_styled |= name.eq_ignore_ascii_case(b"link");
            }
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

fn holds_style(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'<', rest) {
        rest = rest.get(at.saturating_add(1)..).unwrap_or_default();
        let is = |word: &[u8]| {
            let found = rest.get(..word.len());
            found.is_some_and(|found| found.eq_ignore_ascii_case(word))
        };
        if is(b"style") || is(b"link") {
            return true;
        }
    }
    false
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
    use super::super::{Place, place};
    use super::*;

    fn split(style: &str) -> Vec<(&str, &str)> {
        style
            .split(';')
            .filter_map(|one| one.split_once(':'))
            .collect()
    }

    // T185
    #[test]
    #[rustfmt::skip]
    fn where_style_goes_in() {
        for (html, expected) in [
            ("<p>x", "|<p>x"),
            ("<html><body><p>x", "<html><body>|<p>x"),
            ("<HTML lang=en><head><style>body{display:none}</style></head><Body class=x>y", "<HTML style=\"P\" lang=en><head><style>body{display:none}</style></head><Body style=\"P\" class=x>|y"),
            ("<html><body style='display:none;color:red'>y", "<html style=\"P\"><body style=\"color:red;P\" style='display:none;color:red'>|y"),
            ("<body hidden>y", "<body style=\"P\" hidden><html style=\"P\">|y"),
            ("<style>*{}</style>y", "<style>*{}</style><html style=\"P\"><body style=\"P\">|y"),
            ("y<link rel=stylesheet>", "<html style=\"P\"><body style=\"P\">|y<link rel=stylesheet>"),
            ("y<body style=display:none>", "<html style=\"P\"><body style=\"P\">|y<body style=display:none>"),
            ("<!--[if mso]><STYLE>p{}</style><![endif]--><body>y", "<!--[if mso]><STYLE>p{}</style><![endif]--><body style=\"P\"><html style=\"P\">|y"),
            ("<body style=\"font-family:'a';background:url(x);margin:0!\">y<html style=x>", "<body style=\"font-family:'a';P\" style=\"font-family:'a';background:url(x);margin:0!\"><html style=\"P\">|y<html style=x>"),
        ] {
            let at = place(html.as_bytes(), Place::Top).unwrap().at;
            let frame = frame(html.as_bytes(), at, "P", split).unwrap();
            let mut out = html.to_string();
            out.insert_str(at, &format!("{}|", frame.before));
            for (at, text) in frame.tags.iter().rev() {
                out.insert_str(*at, text);
            }
            assert_eq!(out, expected, "{html}");
        }
        let hidden = b"<noscript><html style=display:none></noscript><body>y";
        let at = place(hidden, Place::Top).unwrap().at;
        assert_eq!(frame(hidden, at, "P", split), Err(NoPlace::Ambiguous));
    }
}
