//! Where in a reply the writer's own new text ends and the quoted mail begins, its introduction included.
//!
//! Two readers ([`text`], [`html`]) make lines of a body, each with the offset at which a block of ours would stand
//! above it; one judge ([`judge`]) decides on the lines alone, so that both forms of a mail are judged alike. What counts:
//! elements that mail programs put around a quote, headers and dividers of quoted mails, introductions followed by a
//! quote, and what the writer wrote below or between quotes.
//!
//! Must never read a word as a mark without the structure around it: `Laura wrote:` in a sentence is nothing. Must never
//! name an offset inside a tag, a comment or a character.
//!
//! Most mails hold no quote, nor anything like one: [`sieve`] tells that of most of these from their octets alone.
//!
//! One pass, linear in time; memory does not grow with the text but for a few octets per open quote in HTML.
//!
//! Known limits: no CSS is read; a place in HTML may stand inside an open `<p>`, which our block then ends; text of the
//! writer's inside a quoted mail that has no marks of its lines (Outlook) is not seen.

mod html;
mod judge;
mod line;
mod phrases;
mod seam;
mod sieve;
mod text;

use super::html::Found;
pub use seam::{Confidence, Nowhere, Seam};

/// One of the texts that a reader sees one below the other, decoded.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    pub text: &'a str,
    pub is_html: bool,
}

/// The place in a text/plain body, decoded.
///
/// # Errors
/// See [`Nowhere`].
pub fn in_text(text: &str) -> Result<Seam, Nowhere> {
    let is_html = false;
    in_bodies(&[Body { text, is_html }]).map(|(_, place)| place)
}

/// The place in a text/html body, decoded.
///
/// # Errors
/// See [`Nowhere`].
pub fn in_html(html: &str) -> Result<Seam, Nowhere> {
    in_page(html, &mut Found::default())
}

/// As [`in_html`], and what was found of the page.
///
/// # Errors
/// See [`Nowhere`].
pub(in crate::shared) fn in_page<'h>(
    html: &'h str,
    found: &mut Found<'h>,
) -> Result<Seam, Nowhere> {
    let is_html = true;
    let text = html;
    judged(&[Body { text, is_html }], found).map(|(_, place)| place)
}

/// The place in one of several bodies, which are one text: what Apple Mail parts by an attachment. Which of them, and the place in it.
///
/// # Errors
/// See [`Nowhere`].
pub fn in_bodies(bodies: &[Body<'_>]) -> Result<(usize, Seam), Nowhere> {
    judged(bodies, &mut Found::default())
}

/// With what was found of the first page among them, if it was gone over.
fn judged<'h>(bodies: &[Body<'h>], found: &mut Found<'h>) -> Result<(usize, Seam), Nowhere> {
    let is_bare = match bodies {
        [body] if body.text.len() < SHORT => false,
        [body] if body.is_html => sieve::is_bare_page(body.text),
        [body] => sieve::is_bare_text(body.text),
        _ => false,
    };
    match is_bare {
        true => Err(Nowhere::NoQuote),
        false => judged_by_lines(bodies, found),
    }
}

/// Octets of a body below which a look at them costs as much as its lines.
const SHORT: usize = 2 * 1024;

fn judged_by_lines<'h>(
    bodies: &[Body<'h>],
    found: &mut Found<'h>,
) -> Result<(usize, Seam), Nowhere> {
    let mut judge = judge::Judge::default();
    let mut starts = Vec::with_capacity(bodies.len());
    let mut start = 0usize;
    let mut verdict = None;
    for body in bodies {
        starts.push(start);
        verdict = match body.is_html {
            true => html::lines(body.text, start, &mut judge, found),
            false => text::lines(body.text, start, &mut judge),
        };
        if verdict.is_some() {
            break;
        }
        // A place at the end of one is none at the start of the next.
        start = start.saturating_add(body.text.len()).saturating_add(1);
    }
    let place = match verdict {
        Some(verdict) => verdict?,
        None => judge.end()?,
    };
    let index = starts.partition_point(|start| *start <= place.offset);
    let index = index.saturating_sub(1);
    let start = starts.get(index).copied().unwrap_or(0);
    let offset = place.offset.saturating_sub(start);
    let body = bodies.get(index).ok_or(Nowhere::NoQuote)?;
    if body.is_html && !super::html::shows(body.text.as_bytes(), offset) {
        return Err(Nowhere::Unfit);
    }
    Ok((index, Seam { offset, ..place }))
}

#[cfg(test)]
mod tests {
    use super::phrases::looks;
    use super::{Body, Found, judged_by_lines};

    /// The mails of the corpus, with `true`, and the replies, which are texts.
    pub(in crate::shared::reply_marks) fn samples() -> Vec<(bool, Vec<u8>)> {
        let mut paths = Vec::new();
        for folder in ["../t/mail", "tests/replies"] {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
            let entries = std::fs::read_dir(folder).unwrap();
            paths.extend(entries.map(|entry| entry.unwrap().path()));
        }
        paths.sort();
        let sample = |path: &std::path::PathBuf| {
            let is_mail = path.extension().is_some_and(|extension| extension == "eml");
            (is_mail, std::fs::read(path).unwrap_or_default())
        };
        paths.iter().map(sample).collect()
    }

    /// However the lines of a mail look like introductions that go on and on, each octet is looked at a few times.
    #[test]
    fn introductions_take_linear_time() {
        const LINES: usize = 1_000;
        let words = "s w e a p h r i k c z q n m ".repeat(20);
        for piece in [
            "On 1.1.2026 a@b.example wrote:\n".to_string(),
            "On 1.1.2026\na@b.example\nBob\nwrites\nwrote:\n".to_string(),
            "a:\n> b:\n".to_string(),
            "a\nb\nc\nd\ne:\n> b\n".to_string(),
            format!("{words}:\n"),
            format!("{words}\n{words}\n{words}\n{words}\n{words}:\n"),
            format!("> {words}\n> {words}\n> {words}\n> {words}\n{words}:\n"),
            format!("-- {words}:\n"),
        ] {
            let looked_at = |text: &str| {
                let before = looks::count();
                let is_html = false;
                let _ = judged_by_lines(&[Body { text, is_html }], &mut Found::default());
                looks::count() - before
            };
            let text = piece.repeat(LINES);
            let (one, two) = (looked_at(&text), looked_at(&text.repeat(2)));
            let start: String = piece.chars().take(40).collect();
            assert!(
                one > 0 && two <= 2 * one + text.len() / 10,
                "{start:?}: {one}, {two}"
            );
            assert!(one < 40 * text.len(), "{start:?}: {one} of {}", text.len());
        }
    }
}
