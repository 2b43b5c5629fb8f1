//! What a reader can be told by HTML, in a form that survives mail programs: the words, and what can show words without being text.
//!
//! Mail programs that quote HTML rewrap it, add elements that only dress it, and rewrite the targets of links; none of that counts
//! here. All that can show something by itself counts: pictures, backgrounds, form fields, SVG, styles with text of their own,
//! comments that Outlook shows. So two pieces of HTML that say the same hold the same words, and neither holds a picture more.
//!
//! Must never: call two texts the same if one tells a reader something that the other does not.
//!
//! Known limits: a picture is counted, not looked at; blanks between words do not count.

use html5gum::{DefaultEmitter, Token, Tokenizer};

/// Elements that show nothing but the text in them, and that mail programs put in and take out.
const PLAIN: &[&str] = &[
    "a",
    "abbr",
    "address",
    "article",
    "b",
    "big",
    "blockquote",
    "br",
    "center",
    "cite",
    "code",
    "dd",
    "del",
    "div",
    "dl",
    "dt",
    "em",
    "figcaption",
    "figure",
    "font",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "i",
    "ins",
    "kbd",
    "label",
    "li",
    "main",
    "mark",
    "o:p",
    "ol",
    "p",
    "pre",
    "s",
    "section",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "tt",
    "u",
    "ul",
    "var",
    "wbr",
];

/// Attributes that name a picture.
const PICTURES: [&[u8]; 3] = [b"background", b"poster", b"srcset"];

/// Before and after what is no text; no text of a mail holds them here.
const MARKS: (char, char) = ('\u{1}', '\u{2}');

/// What this HTML says. Linear in time.
#[must_use]
pub fn said(html: &str) -> String {
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let mut out = String::with_capacity(html.len() / 2);
    for token in Tokenizer::new_with_emitter(html, emitter).flatten() {
        match token {
            Token::StartTag(tag) => {
                let name = String::from_utf8_lossy(&tag.name);
                let pictured = tag
                    .attributes
                    .iter()
                    .any(|(name, value)| shows_picture(name, value));
                if pictured || !PLAIN.contains(&&*name) {
                    thing(&mut out, &name, pictured);
                }
                if let Some(alt) = tag.attributes.get(b"alt".as_slice()) {
                    words(&mut out, &String::from_utf8_lossy(alt));
                }
            }
            Token::String(text) => words(&mut out, &String::from_utf8_lossy(&text)),
            Token::Comment(comment) => {
                let comment = String::from_utf8_lossy(&comment);
                // Outlook shows what stands in such a one.
                if comment.contains("[if") || comment.contains("[endif") {
                    thing(&mut out, "!", false);
                    words(&mut out, &comment);
                }
            }
            Token::Doctype(_) => thing(&mut out, "!", false),
            Token::EndTag(_) | Token::Error(_) => {}
        }
    }
    out
}

/// The text without its blanks.
#[must_use]
pub fn letters(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    words(&mut out, text);
    out
}

fn words(out: &mut String, text: &str) {
    out.extend(
        text.chars()
            .filter(|c| !c.is_whitespace() && !c.is_control()),
    );
}

fn thing(out: &mut String, name: &str, pictured: bool) {
    out.push(MARKS.0);
    words(out, name);
    out.push_str(if pictured { "*" } else { "" });
    out.push(MARKS.1);
}

fn shows_picture(name: &[u8], value: &[u8]) -> bool {
    if name != b"style" {
        return PICTURES.contains(&name);
    }
    let value = value.to_ascii_lowercase();
    let holds = |word: &[u8]| memchr::memmem::find(&value, word).is_some();
    // A backslash can write any letter.
    value.contains(&b'\\') || holds(b"url") || holds(b"image") || holds(b"element(")
}

#[cfg(test)]
mod tests {
    use super::*;

    // T184
    #[test]
    #[rustfmt::skip]
    fn what_is_the_same_to_a_reader() {
        const BASE: &str = "<p><b>Mind</b> the <a href='https://a.example'>gap</a></p>";
        for (html, same) in [
            ("<div><p>\r\n<b>Mind</b> the\n <a target=_blank href='https://b.example'>gap</a></p></div>", true),
            ("<p><strong><font size=1>Mi<wbr>nd</font></strong>&nbsp;the&#32;gap<br></p><!-- note -->", true),
            ("<p>Mind the gap!</p>", false),
            ("<p>Mind the gap &lt;now</p>", false),
            ("<p>Mind the gap</p><img src=x>", false),
            ("<p>Mind the <img alt=gap></p>", false),
            ("<p>Mind the gap</p><input value=now>", false),
            ("<p>Mind the gap</p><svg></svg>", false),
            ("<p>Mind the gap</p><style>p::after{content:'now'}</style>", false),
            ("<p>Mind the gap</p><o-now></o-now>", false),
            ("<p style='background: URL(x)'>Mind the gap</p>", false),
            ("<p style='background: \\75rl(x)'>Mind the gap</p>", false),
            ("<p background=x>Mind the gap</p>", false),
            ("<p style='color:red'>Mind the gap</p>", true),
            ("<p>Mind the gap</p><!--[if mso]>now<![endif]-->", false),
            ("<p>Mind the gap</p><![if !mso]>", false),
            ("<p>Mind the gap</p><textarea>now</textarea>", false),
            ("<p>Mind the gap</p><title>now</title>", false),
            ("<p>Mind the gap\u{1}</p>", true),
            ("<p>Mind the g\u{200B}ap</p>", false),
        ] {
            assert_eq!(said(html) == said(BASE), same, "{html}");
        }
    }
}
