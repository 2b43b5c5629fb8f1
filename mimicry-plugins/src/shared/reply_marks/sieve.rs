//! A look at the octets of a body that tells, of most mails without a quote, that they have none: no tag is read to its end, no line is made,
//! nothing is judged.
//!
//! Must never say so of a body of which the judge says anything but [`super::Nowhere::NoQuote`]; in doubt it says nothing. Must never look at an octet
//! more often than a few times.
//!
//! What it rests on: a tag of HTML starts at the first `<` behind a `>`, text starts right behind a `>`, and neither needs to be told from what only
//! looks like it. Words of programs have to stand before the first colon of a line, so what is before the first colon of a piece of
//! text is the end of such words or no matter.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memchr3, memmem};

use super::html::{may_bear, weight_of};
use super::phrases::{self, Ending, Lead};
use super::text::{REACH, head, unquoted};
use crate::shared::html::{Tag, decoded, is_space, key, name_of};

/// True only where the judge finds no quote in a text/plain body, nor anything that might be one.
pub(super) fn is_bare_text(text: &str) -> bool {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let mut look = Look::new(text);
    let mut end = 0usize;
    while let Some(rest) = text.get(end..).filter(|rest| !rest.is_empty()) {
        let length = memchr(b'\n', rest.as_bytes()).map_or(rest.len(), |at| at.saturating_add(1));
        end = end.saturating_add(length);
        let line = head(rest.get(..length).unwrap_or(rest).trim_end());
        // It is whole, so a rule under a heading can be told from a divider.
        let is_divider = phrases::behind_dash(line).is_some()
            && matches!(phrases::lead(line), Some(Lead::Divider(_)));
        if is_divider || unquoted(line).is_some() || !look.words(line, end) {
            return false;
        }
    }
    true
}

/// As [`is_bare_text`], in a text/html body.
pub(super) fn is_bare_page(html: &str) -> bool {
    let octets = html.as_bytes();
    let mut look = Look::new(html);
    // Behind the last `>`, and all that is behind the tag before it.
    let (mut rest, mut behind_tag) = (octets, octets);
    loop {
        let length = match rest {
            // As between most tags.
            [b'<', ..] => 0,
            [b'\n', b'<', ..] => 1,
            [b'\r', b'\n', b'<', ..] => 2,
            _ => memchr2(b'<', b'>', rest).unwrap_or(rest.len()),
        };
        let (text, markup) = rest.split_at_checked(length).unwrap_or_default();
        let is_closed = markup.first() == Some(&b'>');
        if is_closed || !text.iter().all(|octet| is_space(*octet)) {
            let end = octets.len().saturating_sub(markup.len());
            let piece = Piece {
                text: html
                    .get(end.saturating_sub(length)..end)
                    .unwrap_or_default(),
                end,
                is_closed,
                reach: behind_tag.len().saturating_sub(markup.len()),
            };
            if !look.piece(&piece) {
                return false;
            }
        }
        let length = match markup {
            [] => return true,
            [b'>', tail @ ..] => {
                rest = tail;
                continue;
            }
            // As most end tags of a page of tables.
            [b'<', b'/', b'a'..=b'z', b'a'..=b'z', b'>', ..] => Some(4),
            [b'<', b'/' | b'!' | b'?' | b'a'..=b'z' | b'A'..=b'Z', ..] => memchr(b'>', markup),
            // Text that goes on.
            _ => return false,
        };
        let length = length.map(|length| length.saturating_add(1));
        let parts = length.and_then(|length| markup.split_at_checked(length));
        let Some((tag, tail)) = parts else {
            // Neither a whole tag follows nor text.
            return true;
        };
        if !look.tag(tag) {
            return false;
        }
        (rest, behind_tag) = (tail, tail);
    }
}

/// What stands behind a `>` and before the next `<` or `>`: a text, or the beginning or a later piece of one, or no text at all.
struct Piece<'a> {
    text: &'a str,
    end: usize,
    /// A `>` follows.
    is_closed: bool,
    /// Octets at most from the start of the text that it is a piece of to its end.
    reach: usize,
}

/// What was seen so far.
struct Look<'a> {
    body: &'a str,
    /// Pieces of text that may be the name of a header line.
    names: u8,
    /// Elements that hide what is put into them, and those that mean something but no quote.
    elements: usize,
    /// Up to here no address is.
    unaddressed: usize,
    /// The last tags that mean nothing: pages have the same again and again.
    plain: [&'a [u8]; PLAIN],
    next_plain: usize,
}

const PLAIN: usize = 4;

/// Elements beyond which a page is not looked at here: their nesting counts.
const ELEMENTS: usize = 500;

/// Names of header lines below which there is no header.
const NAMES: u8 = 2;

impl<'a> Look<'a> {
    fn new(body: &'a str) -> Look<'a> {
        Look {
            body,
            names: 0,
            elements: 0,
            unaddressed: 0,
            plain: [b""; PLAIN],
            next_plain: 0,
        }
    }

    /// From a `<` to the first `>` behind it: a tag if it ends there, the beginning of one, or what no browser takes for one.
    fn tag(&mut self, markup: &'a [u8]) -> bool {
        match markup {
            // As most are.
            [b'<', b'/' | b'!' | b'?', ..] => return true,
            [b'<', b't', b'd' | b'r', b' ' | b'>', ..] => return true,
            [b'<', b'p', b'>'] | [b'<', b'a', b' ', ..] => return true,
            _ => {}
        }
        let name = name_of(markup);
        if name.len() > 8 {
            return !name.eq_ignore_ascii_case(b"blockquote");
        }
        let letters = key(name);
        if Tag::of(letters).is_followed() {
            // A table and the cell in it.
            self.elements = self.elements.saturating_add(2);
        }
        if may_bear(letters)
            && markup.len() > name.len().saturating_add(2)
            && !self.plain.contains(&markup)
        {
            match weight_of(markup) {
                None => return false,
                Some(0) => {
                    if let Some(slot) = self.plain.get_mut(self.next_plain % PLAIN) {
                        *slot = markup;
                    }
                    self.next_plain = self.next_plain.wrapping_add(1);
                }
                Some(weight) => self.elements = self.elements.saturating_add(weight),
            }
        }
        // Each line in one is a line.
        letters != const { key(b"pre") } && self.elements < ELEMENTS
    }

    fn piece(&mut self, piece: &Piece<'_>) -> bool {
        // More of a text is no matter to the judge.
        let seen = head(piece.text);
        // Most have no entity, nor a colon, of which the wide one begins with this octet.
        let has_more = memchr3(b'&', b':', 0xEF, seen.as_bytes()).is_some();
        let text = match has_more {
            true => decoded(seen),
            false => Cow::Borrowed(seen),
        };
        // Where a text is cut, an entity may become another one.
        if matches!(text, Cow::Owned(_)) && piece.reach > REACH {
            return false;
        }
        let is_quoted = match piece.is_closed {
            true => unquoted(&[&text, ">"].concat()).is_some(),
            false => unquoted(&text).is_some(),
        };
        // Further ones may follow in the same line.
        let is_divider = phrases::behind_dash(&text)
            .is_some_and(|behind| behind.is_empty() || phrases::behind_dash(behind).is_some());
        !is_quoted && !is_divider && (!has_more || self.words(&text, piece.end))
    }

    /// A line or a piece of one, which ends in the body at `end`.
    fn words(&mut self, text: &str, end: usize) -> bool {
        let Some((name, _)) = phrases::split_at_colon(text) else {
            return true;
        };
        if phrases::ends_in_colon(text) && self.is_addressed(end) {
            return false;
        }
        match phrases::ending(name) {
            Ending::Nothing => true,
            Ending::Label => {
                self.names = self.names.saturating_add(1);
                self.names < NAMES
            }
            Ending::Doubt => false,
        }
    }

    /// May there be an address up to `end`, without which no introduction is complete.
    fn is_addressed(&mut self, end: usize) -> bool {
        let octets = self.body.as_bytes();
        let fresh = octets.get(self.unaddressed..end).unwrap_or_default();
        let is_addressed = memchr(b'@', fresh).is_some()
            || memmem::find(fresh, b"&#").is_some()
            || memmem::find(fresh, b"&commat").is_some();
        if !is_addressed {
            self.unaddressed = end;
        }
        is_addressed
    }
}

#[cfg(test)]
mod tests {
    use mailparse::ParsedMail;
    use proptest::prelude::*;

    use super::super::tests::samples;
    use super::super::{Body, Found, Nowhere, judged_by_lines};
    use super::*;

    fn is_bare(text: &str, is_html: bool) -> bool {
        match is_html {
            true => is_bare_page(text),
            false => is_bare_text(text),
        }
    }

    /// What the judge says of a body in which there is nothing.
    fn check(text: &str, is_html: bool) {
        if is_bare(text, is_html) {
            let found = judged_by_lines(&[Body { text, is_html }], &mut Found::default());
            assert_eq!(found, Err(Nowhere::NoQuote), "{text:?}");
        }
    }

    fn bodies(mail: &ParsedMail<'_>, into: &mut Vec<String>) {
        if mail.ctype.mimetype.starts_with("text/")
            && let Ok(text) = mail.get_body()
        {
            into.push(text);
        }
        for part in &mail.subparts {
            bodies(part, into);
        }
    }

    /// The texts of the corpus and of the replies.
    fn corpus() -> Vec<String> {
        let mut all = Vec::new();
        for (is_mail, octets) in samples() {
            match is_mail {
                true => {
                    if let Ok(mail) = mailparse::parse_mail(&octets) {
                        bodies(&mail, &mut all);
                    }
                }
                false => all.push(String::from_utf8_lossy(&octets).into_owned()),
            }
        }
        all
    }

    #[rustfmt::skip]
    const PIECES: &[&str] = &[
        "\n", "\r\n", " ", "\u{A0}", "\u{FEFF}", "\u{200B}", "*", "|", "&nbsp;", "&gt;", "&gt", "&#62;", "&#58;", "&colon;", "&#45;", "&commat;", "&am", "&", "&lt;", "A", "AB", "ABCDE",
        ">", ">>", "> a", "<", "< ", "<3", "</", "-->", "<!--", "<![if !mso]>", "a", "é", "ü", "Ω", "\u{2126}", "\u{338}", "\u{308}", "보", "낸 사람", ":", "：", "，", "-", "--", "---", "----- ", "–", "__________\n",
        "On 19/03/2024 15:58, Laura <l@a.example> wrote:\n", "On 19/03/2024 15:58, ", "Laura l@a.example", " wrote", "wrote:", "15:58写道：\n", "    indented",
        "-----Original Message-----\n", "Original Message", "Begin forwarded message:\n", "Begin forwarded", " message", "From", "Fr", "om", "From: x\n", "Sent: y\n", "To: z@a.example\n", "Subject: s\n",
        "Date", "To", "Subject", "Von", "an", "From x y z\n", "To z@a.example\n", "Subject s\n", "Cc: x\n", "Tel: 030\n", "Yes: no", "Now 3,00 – https://a.example/b?c=d\n", "-- \n", "Laura ---03/19/2024 03:58 PM---Hello",
        "<div class=gmail_quote>", "<div class=\"gmail_signature\">", "<div class='moz-cite-prefix'>", "<blockquote>", "<BLOCKQUOTE type=cite>", "</blockquote>", "<div>", "</div>", "<DIV ID=divRplyFwdMsg>", "<hr id=zwchr>", "<hr>",
        "<div data-marker=\"__QUOTED_TEXT__\">", "<span name=quote>", "<p title='>' class=yahoo_quoted>", "<p>", "</p>", "<p class=MsoNormal>", "<br>", "<b>", "</b>", "<td>", "<td class=x>", "</td>", "<table>", "<table width=1>",
        "</table>", "<a href='x'>", "<a href=\"", "\"", "'", "</a>", "<img src=x>", "<pre>", "<PRE >", "</pre>", "<script>", "</script>", "<style>", "</style>", "<title>", "</title>", "<textarea>", "<svg>", "<![CDATA[", "]]>",
        "<noscript>", "</noscript>", "<plaintext>", "<template>", "<select>", "<frameset>", "<html>", "<body>", "</body>", "<o:p>", "<x", "<1>", "<?x>",
    ];

    /// The same of what may become of each text when pieces of it are left out, or others come in.
    #[test]
    fn bodies_of_mails() {
        let (mut bare, mut seed) = (0, 7usize);
        for text in corpus() {
            for is_html in [false, true] {
                check(&text, is_html);
                bare += usize::from(is_bare(&text, is_html));
                for _ in 0..40 {
                    let mut changed = text.clone();
                    for _ in 0..3 {
                        let mut any = |below: usize| {
                            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                            (seed >> 33) % below.max(1)
                        };
                        let at = changed.floor_char_boundary(any(changed.len() + 1));
                        let left_out = [0, 1, 5, 200][any(4)];
                        let end = changed.floor_char_boundary(at + left_out);
                        changed.replace_range(at..end.max(at), PIECES[any(PIECES.len())]);
                    }
                    check(&changed, is_html);
                }
            }
        }
        assert!(bare > 100, "{bare}");
    }

    #[test]
    fn what_most_mails_have() {
        for (text, is_html) in [
            (
                "Dear Tom,\r\n\r\nas agreed: the plan.\r\n------------\r\n-- \r\nAnna\r\n",
                false,
            ),
            ("Now 3,00: https://a.example/b?c=d\nDate: 3 May\n", false),
            (
                "<p class=MsoNormal>Dear Tom,&nbsp;</p><p>as agreed: <b>the</b> plan</p> <!--[if mso]><v:a><![endif]-->",
                true,
            ),
            (
                "<style>.a:hover > b { color: red }</style><td>3 &gt; 2</td><td>Date: 3 May</td>",
                true,
            ),
        ] {
            assert!(is_bare(text, is_html), "{text}");
        }
        for (text, is_html) in [
            ("\u{FEFF}> a", false),
            ("Date: 3 May\nTo: you", false),
            ("a@b.example\nBob:", false),
            ("<b>From</b>: a", true),
            ("<p>AB> a", true),
            ("<p title='>' class=yahoo_quoted>a", true),
            ("a < b", true),
        ] {
            assert!(!is_bare(text, is_html), "{text}");
        }
        let deep = "<table><tr><td>".repeat(250);
        assert!(!is_bare_page(&deep));
    }

    /// Each element of HTML, nested deeper than the judge follows one.
    #[test]
    fn nested_elements() {
        for name in concat!(
            "a abbr acronym address applet area article aside audio b base basefont bdi bdo bgsound big blink blockquote body br ",
            "button canvas caption center cite code col colgroup data datalist dd del details dfn dialog dir div dl dt em embed ",
            "fieldset figcaption figure font footer form frame frameset h1 h6 head header hgroup hr html i iframe img input ins ",
            "kbd label legend li link listing main map mark marquee math menu meta meter nav nobr noembed noframes noscript ",
            "object ol optgroup option output p param picture plaintext pre progress q rb rp rt rtc ruby s samp script search ",
            "section select slot small source span strike strong style sub summary sup svg table tbody td template textarea ",
            "tfoot th thead time title tr track tt u ul var video wbr xmp",
        )
        .split(' ')
        {
            for tags in [format!("<{name}>"), format!("<{name}><td>")] {
                check(&tags.repeat(600), true);
            }
        }
    }

    fn soup() -> impl Strategy<Value = String> {
        let known = prop::sample::select(PIECES).prop_map(str::to_owned);
        let piece = prop_oneof![30 => known, 1 => ".{1,3}", 1 => "[ a]{300,700}"];
        prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16_384))]

        #[test]
        fn bodies_of_anything(text in soup()) {
            check(&text, false);
            check(&text, true);
        }
    }
}
