//! Where a block of ours may go in an HTML text.
//!
//! Must never: name an offset at which some reader hides the text, or change an octet.

use super::nest::{Nest, NoPlace, Tag};
use super::scan::{Event, Found, Reading, Scan, Twist, conditional, is_space};
use crate::shared::text_end::TextEnd;

/// Where ours goes in: `at` is an octet offset, `0..=html.len()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    pub at: usize,
    pub why: Why,
    /// End tags in ASCII (mostly none) which must go in before our block, because what they close would hide or
    /// displace it: `</select>`, `</table>` …
    pub close: String,
}

/// What stands at a [`Spot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Bottom: the last `</body>` follows.
    BeforeBodyEnd,
    /// Bottom: the last `</html>` follows; there is no usable `</body>`.
    BeforeHtmlEnd,
    /// Bottom: the end of the text.
    End,
    /// Top: the first `<body …>` precedes.
    AfterBodyStart,
    /// Top: `</head>`, or the last element that belongs into a head, precedes.
    AfterHead,
    /// Top: `<html …>` precedes.
    AfterHtmlStart,
    /// Top: the doctype or an XML declaration precedes.
    AfterDoctype,
    /// Top: the start of the text (after a byte order mark of UTF-8).
    Start,
}

/// The octet offset at which our block, an HTML fragment, is visible as the first or last thing of the page.
///
/// Bottom: before the last real `</body>`, else before the last real `</html>`, else at the end. Browsers move whatever
/// follows `</body>` or `</html>` into the body, below the rest; so an end tag followed by text or by an element that
/// may be seen (a quoted mail's own end tags) does not count, and ours stays the last thing seen. If the text ends in
/// something unclosed, only an end tag before it will do. Put a line end before the block, lest an entity without its
/// semicolon at the end of the text take in our first letters.
///
/// Top: after the first real `<body …>`, else after the head, `<html …>`, the doctype, else at the start, provided that
/// nothing which may be seen precedes.
///
/// Linear in time, no allocation but for a few octets of nesting.
///
/// # Errors
/// See [`NoPlace`].
pub fn place(html: &[u8], place: TextEnd) -> Result<Spot, NoPlace> {
    place_in(html, place, &Found::default())
}

/// As [`place()`], of a page of which tokens may have been found.
///
/// # Errors
/// See [`NoPlace`].
pub(in crate::shared) fn place_in(
    html: &[u8],
    place: TextEnd,
    found: &Found<'_>,
) -> Result<Spot, NoPlace> {
    // The top needs few tokens, and what is further down would twist it.
    let scan = match place {
        TextEnd::Top => Scan::new(html, Reading::BROWSER),
        TextEnd::Bottom => found.scan(html),
    };
    let (mut chosen, mut twist) = judge(scan, place);
    // Some readers see markup where a browser with scripts sees none: the spot must be right for all of them.
    for reading in Reading::OTHERS {
        if (reading.noscript && !twist.noscript) || (reading.foreign && !twist.foreign) {
            continue;
        }
        let (other, further) = judge(Scan::new(html, reading), place);
        chosen = match (chosen, other) {
            (Ok(a), Ok(b)) if a == b => Ok(a),
            // Up to the first twist all readings are the same.
            (Ok(a), Ok(b)) if place == TextEnd::Top && a.at.min(b.at) <= twist.at => {
                Ok(if a.at <= b.at { a } else { b })
            }
            (Err(fault), _) | (_, Err(fault)) => Err(fault),
            _ => Err(NoPlace::Ambiguous),
        };
        twist.noscript |= further.noscript;
        twist.foreign |= further.foreign;
    }
    chosen
}

/// Whether a block of ours is markup, and seen where it stands, when it goes in at `at`: for text in the middle of a
/// page, whose place somebody else has chosen. Linear in time.
#[must_use]
pub fn shows(html: &[u8], at: usize) -> bool {
    let (seen, mut twist) = shows_to(html, at, Reading::BROWSER);
    seen && Reading::OTHERS.iter().all(|reading| {
        if (reading.noscript && !twist.noscript) || (reading.foreign && !twist.foreign) {
            return true;
        }
        let (seen, further) = shows_to(html, at, *reading);
        twist.noscript |= further.noscript;
        twist.foreign |= further.foreign;
        seen
    })
}

fn shows_to(html: &[u8], at: usize, reading: Reading) -> (bool, Twist) {
    let mut scan = Scan::new(html, reading);
    let mut nest = Nest::default();
    let mut hidden = 0usize;
    let mut whole = at <= html.len();
    while whole && scan.pos < at {
        let Some(token) = scan.next() else { break };
        whole = match token.event {
            Event::Text => true,
            Event::Open(_) | Event::Start(Tag::Frameset) => false,
            Event::Raw => token.end < at,
            _ => token.end <= at,
        };
        match token.event {
            Event::Start(tag) => whole &= nest.start(tag, token.self_closing).is_ok(),
            Event::End(tag) => nest.end(tag),
            Event::Comment => hidden = conditional(scan.slice(token), hidden),
            _ => {}
        }
    }
    // Behind the start tag of an element without markup its inside begins.
    let seen = whole && hidden == 0 && scan.raw.is_none() && nest.close(nest.depth()).is_empty();
    (seen, scan.twist)
}

/// The spot by one reading.
fn judge(mut scan: Scan<'_>, place: TextEnd) -> (Result<Spot, NoPlace>, Twist) {
    let result = match place {
        TextEnd::Top => top(&mut scan),
        TextEnd::Bottom => bottom(&mut scan),
    };
    (result, scan.twist)
}

fn top(scan: &mut Scan<'_>) -> Result<Spot, NoPlace> {
    let start = if scan.html.starts_with(b"\xEF\xBB\xBF") {
        3
    } else {
        0
    };
    scan.pos = start;
    let mut spot = Spot {
        at: start,
        why: Why::Start,
        close: String::new(),
    };
    let mut found = Why::Start;
    let mut hidden = 0usize;
    while let Some(token) = scan.next() {
        let why = match token.event {
            Event::Start(Tag::Frameset) => return Err(NoPlace::Frameset),
            Event::Start(Tag::Body) => Why::AfterBodyStart,
            Event::Start(Tag::Html) => Why::AfterHtmlStart,
            Event::Start(Tag::Head | Tag::Meta)
            | Event::End(Tag::Head | Tag::Title | Tag::Style | Tag::Script | Tag::Noscript) => {
                Why::AfterHead
            }
            Event::Doctype => Why::AfterDoctype,
            Event::Text if is_blank(scan.slice(token)) => continue,
            Event::Comment => {
                hidden = conditional(scan.slice(token), hidden);
                if scan.slice(token).starts_with(b"<?") {
                    Why::AfterDoctype
                } else {
                    found
                }
            }
            Event::Start(Tag::Title | Tag::Style | Tag::Script | Tag::Noscript)
            | Event::End(_)
            | Event::Raw => continue,
            Event::Text | Event::Cdata | Event::Start(_) | Event::Open(_) => break,
        };
        let comment = token.event == Event::Comment && why == found;
        found = why;
        // What stands in a conditional of Outlook counts where the conditional ends.
        if hidden == 0 && !(comment && spot.why == found) {
            spot = Spot {
                at: token.end,
                why: found,
                ..spot
            };
            if found == Why::AfterBodyStart {
                break;
            }
        }
    }
    Ok(spot)
}

/// An end tag before which ours may go, while nothing that can be seen follows.
#[derive(Clone, Copy)]
struct Candidate {
    at: usize,
    depth: usize,
}

fn bottom(scan: &mut Scan<'_>) -> Result<Spot, NoPlace> {
    let mut nest = Nest::default();
    let (mut body, mut html): (Option<Candidate>, Option<Candidate>) = (None, None);
    let (mut has_body, mut has_text) = (false, false);
    let mut hidden = 0usize;
    let mut end = None;
    while let Some(token) = scan.next() {
        let seen = match token.event {
            Event::Text | Event::Cdata => {
                let seen =
                    (body.is_some() || html.is_some() || !has_text) && !is_blank(scan.slice(token));
                has_text |= seen;
                seen
            }
            Event::Start(tag) => {
                if tag == Tag::Frameset && !has_body && !has_text {
                    return Err(NoPlace::Frameset);
                }
                has_body |= tag == Tag::Body;
                nest.start(tag, token.self_closing)?;
                !tag.is_invisible()
            }
            Event::End(tag @ (Tag::Body | Tag::Html)) => {
                let candidate = (hidden == 0).then_some(Candidate {
                    at: token.start,
                    depth: nest.depth(),
                });
                let slot = if tag == Tag::Body {
                    &mut body
                } else {
                    &mut html
                };
                *slot = candidate.or(*slot);
                false
            }
            Event::End(tag) => {
                nest.end(tag);
                false
            }
            Event::Comment => {
                hidden = conditional(scan.slice(token), hidden);
                false
            }
            Event::Open(what) => {
                end = Some(what);
                false
            }
            Event::Raw | Event::Doctype => false,
        };
        // If what was open at an end tag was closed after it, closing it there would let out what it holds.
        if body.is_some() || html.is_some() {
            let depth = nest.depth();
            body = body.filter(|c| !seen && c.depth <= depth);
            html = html.filter(|c| !seen && c.depth <= depth);
        }
    }
    let (candidate, why) = match (body, html, end) {
        (Some(candidate), _, _) => (candidate, Why::BeforeBodyEnd),
        (None, Some(candidate), _) => (candidate, Why::BeforeHtmlEnd),
        (None, None, Some(what)) => return Err(what),
        (None, None, None) if hidden > 0 => return Err(NoPlace::Conditional),
        (None, None, None) => (
            Candidate {
                at: scan.html.len(),
                depth: nest.depth(),
            },
            Why::End,
        ),
    };
    Ok(Spot {
        at: candidate.at,
        why,
        close: nest.close(candidate.depth),
    })
}

pub(super) fn is_blank(text: &[u8]) -> bool {
    text.iter().all(|&b| is_space(b) || b == 0)
}
