//! The words that a page begins with: what a list of mails shows of it.
//!
//! Must never: read much more of a page than these words take.

use super::super::html;

/// Characters of [`preview`].
const PREVIEW: usize = 100;
/// Octets of HTML that are looked at for [`preview`]: the head of a page may hold much style.
const PREVIEW_REACH: usize = 256 * 1024;
/// Octets of it that are looked at first.
const REACH_FIRST: usize = 4 * 1024;

/// The first words of a page, on one line.
#[must_use]
pub fn preview(html: &str) -> String {
    first_words(html, PREVIEW_REACH)
}

/// Mostly they stand near the start: four times as much is read where they do not.
pub(super) fn first_words(html: &str, reach: usize) -> String {
    let mut read = REACH_FIRST.min(reach);
    while read < html.len() {
        let start = html.get(..html.floor_char_boundary(read));
        let (words, is_whole) = words_of(&html::text_of_start(start.unwrap_or(html)));
        if is_whole || read >= reach {
            return words;
        }
        read = read.saturating_mul(4).min(reach);
    }
    words_of(&html::to_text(html)).0
}

/// The first words of a text, and whether there were more of them than asked for.
fn words_of(text: &str) -> (String, bool) {
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
            return (out, true);
        }
        let blank = usize::from(!out.is_empty());
        out.extend(std::iter::repeat_n(' ', blank));
        out.extend(word.chars().take(room.saturating_sub(blank)));
    }
    (out, false)
}
