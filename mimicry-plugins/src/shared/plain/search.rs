//! Whether a text contains our words, however mail programs have rewritten them in a quote.
//!
//! A program that quotes turns HTML into text in its own way: Gmail writes `*bold*`, `text <link>` and `[image: Logo]`,
//! Outlook `text<link>` and `[cid:logo.png]`, Roundcube and w3m number links (`text [1]`), others write `[text](link)`; bullets,
//! rules and table cells differ from program to program. So only words are compared, without the marks around them, without
//! the targets and numbers of links and without the places of pictures. An address that a filter of mail has wrapped into its own is
//! that address; of one that names no more than the site (Mimecast), the site is compared.
//!
//! Must never: hold more of a text than a few times the words that are looked for, or take more than one pass.
//!
//! Known limits: a picture without a name is ignored; a link target broken over two lines counts as words; where a filter that names
//! no more than the site has left other addresses of our text alone, it is another text.

mod wrapped;

use memchr::memmem;

use wrapped::{Wrapped, site, unwrapped};

/// Whether `haystack` holds the words of `needle` in their order, whatever the white space, the quote marks (`>`) and the marks
/// of bold type, links and pictures between them; case counts, and words count whole. Never true of a needle without words.
/// Linear in time.
#[must_use]
pub fn already_there(haystack: &str, needle: &str) -> bool {
    let mut search = Search::new(needle);
    search.push(haystack);
    search.finish()
}

/// [`already_there`] for a text that comes in pieces, which may end within a word. Holds no more of it than a few times the
/// needle and [`REACH`].
pub struct Search {
    needle: String,
    /// With the sites in place of the addresses, if there are any.
    by_site: Option<String>,
    /// Words, as [`words`] makes them, whose beginnings cannot be those of the needle any more but for the last.
    hay: String,
    reader: Reader,
    found: bool,
}

/// Octets that are searched at a time.
const REACH: usize = 64 * 1024;

impl Search {
    #[must_use]
    pub fn new(needle: &str) -> Search {
        Search {
            needle: words(needle),
            by_site: by_site(needle),
            hay: " ".into(),
            reader: Reader::default(),
            found: false,
        }
    }

    pub fn push(&mut self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() && !self.found && self.needle.len() > 1 {
            let (piece, behind) = rest
                .split_at_checked(rest.floor_char_boundary(REACH))
                .unwrap_or((rest, ""));
            rest = behind;
            self.reader.push(piece, &mut self.hay);
            if self.hay.len() > REACH {
                self.look();
            }
        }
    }

    #[must_use]
    pub fn finish(mut self) -> bool {
        self.reader.finish(&mut self.hay);
        self.look();
        self.found
    }

    fn look(&mut self) {
        let hay = self.hay.as_bytes();
        let is_there = |needle: &str| memmem::find(hay, needle.as_bytes()).is_some();
        self.found |= self.needle.len() > 1
            && (is_there(&self.needle) || self.by_site.as_deref().is_some_and(is_there));
        // A site is shorter than its address.
        let gone = self.hay.len().saturating_sub(self.needle.len());
        let gone = self.hay.floor_char_boundary(gone);
        // The last word may go on, and its beginning must stay; if it is longer than all of the needle, what it is does not matter.
        let word = self.hay.rfind(' ').unwrap_or(0);
        self.hay.drain(..gone.min(word));
        let most = word
            .saturating_sub(gone.min(word))
            .saturating_add(self.needle.len())
            .saturating_add(8);
        if self.hay.len() > most.saturating_add(REACH) {
            self.hay.truncate(self.hay.floor_char_boundary(most));
        }
    }
}

/// The words of `text`, one blank before, between and after them.
pub(in crate::shared) fn words(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(2));
    out.push(' ');
    let mut reader = Reader::default();
    reader.push(text, &mut out);
    reader.finish(&mut out);
    out
}

/// As [`words`], with the sites in place of the addresses of pages; `None` if there are none.
fn by_site(text: &str) -> Option<String> {
    let mut has_any = false;
    let mut out = String::from(" ");
    for word in words(text).split_ascii_whitespace() {
        match site(word) {
            Some(site) => {
                has_any = true;
                out.push_str(&site);
            }
            None => out.push_str(word),
        }
        out.push(' ');
    }
    has_any.then_some(out)
}

/// The targets of links that `text` holds as programs write them, `<https://…>`.
pub(in crate::shared) fn targets(text: &str) -> Vec<&str> {
    text.split('<')
        .skip(1)
        .filter_map(|piece| piece.split_once('>'))
        .map(|(target, _)| target)
        .filter(|target| is_target(target))
        .collect()
}

/// Makes words of characters.
#[derive(Debug, Default)]
struct Reader {
    /// What began with `<`, `[` or `(` and may be the target or the number of a link, or the place of a picture.
    held: String,
    /// Behind the first word of a line.
    in_line: bool,
}

/// The most octets of a target; anything longer is not one.
const TARGET: usize = 4096;

/// What begins a target, in small letters.
const SCHEMES: &[&str] = &["http://", "https://", "mailto:", "tel:", "ftp://", "cid:"];

/// What Gmail writes before the name of a picture.
const IMAGE: &str = "[image:";

impl Reader {
    fn push(&mut self, text: &str, out: &mut String) {
        for c in text.chars() {
            let first = self.held.as_bytes().first();
            // What stands in `<` and `[` may have such a bracket in it.
            let is_open = matches!(c, '<' | '[') || c == '(' && matches!(first, None | Some(b'('));
            match first {
                _ if is_open => {
                    self.release(out);
                    self.held.push(c);
                    continue;
                }
                None => {
                    self.plain(c, out);
                    continue;
                }
                Some(_) => self.held.push(c),
            }
            let is_end = matches!(
                (self.held.as_bytes().first(), c),
                (Some(b'<'), '>') | (Some(b'['), ']') | (Some(b'('), ')')
            );
            let inner = self
                .held
                .get(1..self.held.len().saturating_sub(c.len_utf8()));
            let is_no_word = |inner| is_target(inner) || c == ']' && is_number(inner);
            if is_end && inner.is_some_and(is_no_word) || self.held.eq_ignore_ascii_case(IMAGE) {
                self.held.clear();
                self.plain(' ', out);
            } else if is_end || c.is_whitespace() || self.held.len() > TARGET {
                self.release(out);
            }
        }
    }

    /// It is no target.
    fn release(&mut self, out: &mut String) {
        let held = std::mem::take(&mut self.held);
        held.chars().for_each(|c| self.plain(c, out));
        // Its memory is there for the next one.
        self.held = held;
        self.held.clear();
    }

    /// One character that stands in no target.
    fn plain(&mut self, c: char, out: &mut String) {
        if is_between(c) {
            let start = out.rfind(' ').map_or(0, |at| at.saturating_add(1));
            if unwrap(out, start) {
                self.in_line = c != '\n';
                return;
            }
            let word = out.get(start..).unwrap_or_default();
            if c == '>' && !self.in_line && is_initials(word) {
                out.truncate(start);
                return;
            }
            self.in_line = c != '\n' && (self.in_line || !word.is_empty());
            end_word(out);
        } else {
            // What is a mark elsewhere may be a part of an address.
            out.push(c);
        }
    }

    fn finish(&mut self, out: &mut String) {
        self.release(out);
        self.plain(' ', out);
    }
}

/// Of the one who is quoted, as some programs write them before the quote mark (`LC>`).
fn is_initials(word: &str) -> bool {
    !word.is_empty() && word.chars().all(char::is_uppercase) && word.chars().nth(4).is_none()
}

/// Of a link, whose target stands elsewhere.
fn is_number(text: &str) -> bool {
    (1..=3).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_digit())
}

fn is_target(text: &str) -> bool {
    let starts = |scheme: &&str| {
        let start = text.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    SCHEMES.iter().any(starts) && !text.contains(char::is_whitespace)
}

/// What stands between words: white space, quote marks, the walls of tables, bullets.
fn is_between(c: char) -> bool {
    c.is_whitespace() || matches!(c, '>' | '|' | '•' | '·' | '▪' | '◦')
}

/// What stands for bold type and the like, and what is not seen.
fn is_mark(c: char) -> bool {
    matches!(c, '*' | '_' | '\u{AD}' | '\u{200B}' | '\u{FEFF}')
}

/// The last word loses its marks, and is the address that a filter has wrapped if it is one. True if it is a whole word then.
fn unwrap(out: &mut String, start: usize) -> bool {
    let word = out.get(start..).unwrap_or_default();
    match unwrapped(word) {
        Some(Wrapped::Site(site)) => {
            out.truncate(start);
            out.push_str(&site);
            out.push(' ');
            return true;
        }
        Some(Wrapped::Address(address)) => {
            out.truncate(start);
            out.extend(address.chars().filter(|&c| !is_mark(c)));
        }
        None if word.contains(is_mark) => {
            let bare: String = word.chars().filter(|&c| !is_mark(c)).collect();
            out.truncate(start);
            out.push_str(&bare);
        }
        None => {}
    }
    false
}

/// The last word loses what stands around its letters; one without any is none.
fn end_word(out: &mut String) {
    let start = out.rfind(' ').map_or(0, |at| at.saturating_add(1));
    let word = out.get(start..).unwrap_or_default();
    let is_letter = |c: char| c.is_alphanumeric();
    let Some(first) = word.find(is_letter) else {
        out.truncate(start);
        return;
    };
    let last = word.trim_end_matches(|c| !is_letter(c)).len();
    out.truncate(start.saturating_add(last));
    out.drain(start..start.saturating_add(first));
    out.push(' ');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // T191
    /// In pieces as in one, wherever they are cut.
    #[test]
    fn t191_words_are_found_across_pieces() {
        for (hay, needle, there) in [
            ("a b c", "b", true),
            ("a bb c", "b", false),
            ("a > b\n> c", "a b c", true),
            ("ab c", "b c", false),
            ("a b", "", false),
            ("", "a", false),
            ("grüße aus köln", "aus köln", true),
        ] {
            let padding = "words in between ".repeat(10_000);
            for before in ["", &padding, &"x".repeat(200_000)] {
                let text = format!("{before} {hay} {padding}");
                for size in [1, 7, 70_000] {
                    let mut search = Search::new(needle);
                    let mut rest = text.as_str();
                    while !rest.is_empty() {
                        let (piece, behind) = rest.split_at(rest.ceil_char_boundary(size));
                        search.push(piece);
                        assert!(search.hay.len() < 3 * REACH);
                        rest = behind;
                    }
                    assert_eq!(search.finish(), there, "{hay} {needle} by {size}");
                }
            }
        }
    }

    #[test]
    fn already_there_table() {
        for (haystack, needle, there) in [
            (
                "a\r\n> This mail\r\n> is secret.\r\n",
                "This mail is\nsecret.",
                true,
            ),
            (">> This\n>> >mail", "This mail", true),
            ("this mail", "This mail", false),
            ("This mails", "This mail", false),
            ("Xthis mail", "this mail", false),
            ("This\u{A0}mail", "This  mail", true),
            ("This mail", "", false),
            ("", "This", false),
            ("This mail", " > \n", false),
            ("mail This", "This mail", false),
        ] {
            assert_eq!(
                already_there(haystack, needle),
                there,
                "{haystack:?} {needle:?}"
            );
        }
        let hostile = "a ".repeat(500_000);
        assert!(!already_there(
            &hostile,
            &format!("{}b", "a ".repeat(250_000))
        ));
    }

    // What the programs write, seen in public reports of them.
    #[rustfmt::skip]
    #[test]
    fn what_programs_make_of_html() {
        const OURS: &str = "Example Ltd, see www.example.org, call us.";
        for (program, text, there) in [
            ("Gmail", "> *Example Ltd*, see www.example.org, call us.", true),
            ("Gmail", "> *Example Ltd*, see www.example.org\n> <https://www.example.org/>, *call\n> us*.", true),
            ("Gmail", "[image: Logo]\n\n*Example Ltd*, see www.example.org, call us.", true),
            ("Outlook", "Example Ltd, see www.example.org<https://www.example.org/>, call us<tel:+493012345>.", true),
            ("Outlook", "[cid:logo.png@01DB]Example Ltd, see\twww.example.org<https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fwww.example.org>, call us.", true),
            ("Apple Mail", "> Example Ltd, see www.example.org <http://www.example.org/>, call us.", true),
            ("Thunderbird", "> *Example Ltd*, see www.example.org <http://www.example.org>, _call us_.", true),
            ("a table", "| Example Ltd, | see www.example.org, |\n| call us. |", true),
            ("a list", "  • Example Ltd,\n  - see www.example.org,\n  * call us.", true),
            ("Roundcube", "> Example Ltd, see www.example.org [1], call us.\n>\n> Links:\n> ------\n> [1] https://www.example.org/", true),
            ("w3m", "> [1]Example Ltd, see [2]www.example.org, [13]call us.", true),
            ("Nextcloud", "**Example Ltd**, see [www.example.org](https://www.example.org/), call us.", true),
            ("The Bat!", "LC> Example Ltd,\nLC> see www.example.org,\nИП> call us.", true),
            ("another", "Example LC> Ltd, see www.example.org, call us.", false),
            ("another", "Example Ltd, see [www.example.org, call] us.", true),
            ("another", "Example Ltd, see (www.example.org), (call us).", true),
            ("another", "Example Ltd, see (never) www.example.org, call us.", false),
            ("another", "Example Ltd, see [1a] www.example.org, call us.", false),
            ("another", "Example Ltd, see www.example.com, call us.", false),
            ("another", "Example Ltd, see <bob@example.org> www.example.org, call us.", false),
            ("another", "Example Ltd, see <www.example.org, call> us.", true),
            ("another", "Example Ltd, never see www.example.org, call us.", false),
            ("open", "<https://www.example.org/ Example Ltd, see www.example.org, call us.", true),
        ] {
            assert_eq!(already_there(text, OURS), there, "{program}: {text}");
        }
        assert!(already_there("Logo Example", "[image: Logo] Example"));
        for (address, there) in [
            ("https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fwww.example.org%2Fa%2F&data=05%7Cx", true),
            ("https://linkprotect.cudasvc.com/url?a=https%3a%2f%2fwww.example.org%2fa%2f&c=E", true),
            ("https://safelinks.protection.outlook.com/?url=https%3A%2F%2Fwww.example.com%2Fa%2F&data=x", false),
            ("https://www.example.com/?url=https%3A%2F%2F%ZZ", false),
            ("https://www.example.com/?url=https%3A%2F%2F%C3", false),
            ("https://urldefense.proofpoint.com/v1/url?u=https://www.example.org/a/&k=x%2By%3D%3D%0A&r=z", true),
            ("https://urldefense.proofpoint.com/v1/url?u=https%3A//www.example.org/a/&k=x", true),
            ("https://urldefense.proofpoint.com/v1/url?u=https://www.example.com/a/&k=x%2By", false),
            ("https://urldefense.proofpoint.com/v2/url?u=https-3A__www.example.org_a_&d=DwMF_aQ&c=x-y&e=", true),
            ("https://urldefense.proofpoint.com/v2/url?u=https-3A__www.example.com_a_&d=DwMFaQ", false),
            ("https://urldefense.proofpoint.com/v2/url?u=https-3A__www.example.orga&d=DwMFaQ", false),
            ("https://urldefense.com/v3/__https://www.example.org/a/__;!!A_b-C!d*E$", true),
            ("https://urldefense.com/v3/__https:/www.example.org/a/__;!!AbC!dE$", true),
            ("https://urldefense.com/v3/__https://www.example.org*a*__;Ly8!!AbC!dE$", true),
            ("https://urldefense.com/v3/__https://www.example.com/a/__;!!AbC!dE$", false),
            ("https://urldefense.com/v3/__https://www.example.org/a/b__;!!AbC!dE$", false),
            ("https://www.example.com/v3/__https://www.example.org/a/__;!!AbC!dE$", false),
            ("https://eu-west-1.protection.sophos.com?d=example.org&u=aHR0cHM6Ly93d3cuZXhhbXBsZS5vcmcvYS8=&i=N&t=q0=&h=4", true),
            ("https://eu-west-1.protection.sophos.com/?d=example.org&u=aHR0cHM6Ly93d3cuZXhhbXBsZS5vcmcvYS8%3D&i=N", true),
            ("https://eu-west-1.protection.sophos.com?d=example.org&u=aHR0cHM6Ly93d3cuZXhhbXBsZS5jb20vYS8=&i=N", false),
            ("https://protection.sophos.com.example.com?d=example.org&u=aHR0cHM6Ly93d3cuZXhhbXBsZS5vcmcvYS8=", false),
            ("https://protect-eu.mimecast.com/s/Ab_C1?domain=example.org", true),
            ("https://url.uk.m.mimecastprotect.com/s/AbC1?domain=www.example.org", true),
            ("https://protect-eu.mimecast.com/s/AbC1?domain=example.com", false),
            ("https://protect-eu.mimecast.com/s/AbC1", false),
            ("https://notmimecast.com/s/AbC1?domain=example.org", false),
            ("https://www.example.org/b/", false),
            ("Site\u{1}example.org", false),
        ] {
            let text = format!("Example Ltd, {address}.");
            assert_eq!(already_there(&text, "Example Ltd, https://www.example.org/a/."), there, "{address}");
        }
        assert_eq!(targets("a <https://a.example/x> b <c@d> <mailto:e@f> <"), ["https://a.example/x", "mailto:e@f"]);
        let open = "<".repeat(300_000) + &"[image".repeat(100_000) + &"<http://".repeat(100_000);
        assert!(!already_there(&open, OURS));
    }

    proptest! {
        /// Words are found whatever is put around them.
        #[test]
        fn words_are_found_in_any_dress(
            ours in proptest::collection::vec("[a-zäé]{1,8}", 1..6),
            dress in proptest::collection::vec(prop::sample::select(&[" ", "\n> ", "* ", " *", "* *", " | ", ", ", "<https://x.example/> ", "\n\u{2022} ", " [cid:a@b] "][..]), 6),
            size in 1usize..9,
        ) {
            let needle = ours.join(" ");
            let text: String = ours.iter().zip(&dress).map(|(word, dress)| format!("{word}{dress}")).collect();
            let text = format!("before {text} after");
            let mut search = Search::new(&needle);
            let mut rest = text.as_str();
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at(rest.ceil_char_boundary(size).min(rest.len()));
                search.push(piece);
                rest = behind;
            }
            prop_assert!(search.finish(), "{text:?} {needle:?}");
        }
    }
}
