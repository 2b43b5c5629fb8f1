//! What an element is to the lines of a mail: by its name, and by the classes and attributes that mail programs give it.
//!
//! Must never: know where the element stands.

use crate::shared::html::{is_space, key, name_of};

/// What mail programs say by an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// All from here on is quoted.
    Rest(&'static str),
    /// All in it is quoted.
    Quote(&'static str),
    /// An introduction and a blockquote; what stands below the blockquote is the writer's.
    Frame {
        mark: &'static str,
        passed: bool,
    },
    /// A blockquote without a sign of a mail program.
    Loose,
    Introduction,
    Signature,
}

/// What the name of a tag tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) shape: Shape,
    /// Of an element that may bear a mark, whose nesting is followed: its number, below [`TRACKED`].
    pub(super) tracked: Option<usize>,
}

/// Elements that may bear a mark, with a short name; beside them there is `<blockquote>`.
const SHORT: [u64; 5] = [
    key(b"div"),
    key(b"p"),
    key(b"span"),
    key(b"table"),
    key(b"section"),
];
const QUOTE: usize = SHORT.len();
pub(super) const TRACKED: usize = QUOTE + 1;

/// What an element does to lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Break,
    Rule,
    /// Is seen without being text.
    Image,
    /// Has no end tag.
    Void,
    Block,
    /// A block whose line ends are seen.
    Preformatted,
    Paragraph,
    Cell,
    Inline,
}

/// Are the attributes looked at of an element with this name, of at most eight letters; beside these, those of `<blockquote>` are.
pub(in crate::shared::reply_marks) fn may_bear(name: u64) -> bool {
    name == const { key(b"hr") } || SHORT.contains(&name)
}

impl Name {
    /// The name in a start or end tag.
    pub(super) fn of(tag: &[u8]) -> Name {
        let name = name_of(tag);
        if name.len() <= 8 {
            let key = key(name);
            return Name {
                shape: Shape::of(key),
                tracked: SHORT.iter().position(|short| *short == key),
            };
        }
        match name.eq_ignore_ascii_case(b"blockquote") {
            true => Name {
                shape: Shape::Block,
                tracked: Some(QUOTE),
            },
            false => Name {
                shape: Shape::Inline,
                tracked: None,
            },
        }
    }

    pub(super) fn is_quote(self) -> bool {
        self.tracked == Some(QUOTE)
    }
}

impl Shape {
    fn of(name: u64) -> Shape {
        macro_rules! table {
            ($($($name:literal)+ => $shape:ident),+ $(,)?) => {
                match name {
                    $($(k if k == const { key($name) } => Self::$shape,)+)+
                    _ => Self::Inline,
                }
            };
        }
        table! {
            b"br" => Break,
            b"hr" => Rule,
            b"img" b"image" b"input" b"embed" => Image,
            b"area" b"col" b"param" b"source" b"track" b"wbr" b"bgsound" => Void,
            b"p" => Paragraph,
            b"pre" => Preformatted,
            b"td" b"th" => Cell,
            b"div" b"table" b"tr" b"ul" b"ol" b"li" b"dl" b"dt" b"dd" b"h1" b"h2" b"h3" b"h4" b"h5" b"h6" b"section"
            b"article" b"header" b"footer" b"main" b"aside" b"nav" b"center" b"form" b"fieldset" b"figure" b"address"
            b"caption" b"details" => Block,
        }
    }
}

/// What the attributes of a start tag make of it.
pub(super) fn kind_of<'a>(
    name: Name,
    attributes: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Option<Kind> {
    let is_quote = name.is_quote();
    let mut kind = None;
    for (attribute, value) in attributes {
        let is = |known: &str| attribute.eq_ignore_ascii_case(known.as_bytes());
        let found = if is("class") || is("id") {
            value
                .split(|&b| is_space(b))
                .find_map(|word| kind_of_word(word, is_quote))
        } else if is("type") && is_quote && value.eq_ignore_ascii_case(b"cite") {
            Some(Kind::Quote("blockquote-cite"))
        } else if is("cite") && is_quote {
            kind.is_none().then_some(Kind::Quote("blockquote-cite"))
        } else if is("name") {
            match value {
                b"quote" => Some(Kind::Quote("quote")),
                b"messageReplySection" => Some(Kind::Frame {
                    mark: "messageReplySection",
                    passed: false,
                }),
                _ => None,
            }
        } else if is("data-marker") {
            match value {
                b"__DIVIDER__" | b"__HEADERS__" => Some(Kind::Rest("zimbra")),
                b"__QUOTED_TEXT__" => Some(Kind::Quote("zimbra")),
                _ => None,
            }
        } else if is("fairemail") {
            match value {
                b"reference" => Some(Kind::Frame {
                    mark: "fairemail",
                    passed: false,
                }),
                b"signature" => Some(Kind::Signature),
                _ => None,
            }
        } else {
            None
        };
        // A name of a mail program tells more than `type="cite"`.
        if kind.is_none() || kind == Some(Kind::Quote("blockquote-cite")) {
            kind = found.or(kind);
        }
    }
    kind
}

/// A word of a class, or an id. Outlook on the web puts `x_` before those of a mail that it quotes.
fn kind_of_word(mut word: &[u8], is_quote: bool) -> Option<Kind> {
    while let Some(rest) = word.strip_prefix(b"x_") {
        word = rest;
    }
    let frame = |mark| {
        Some(if is_quote {
            Kind::Quote(mark)
        } else {
            Kind::Frame {
                mark,
                passed: false,
            }
        })
    };
    match word {
        b"gmail_quote" | b"gmail_quote_container" => frame("gmail_quote"),
        b"protonmail_quote" => frame("protonmail_quote"),
        b"zmail_extra" => frame("zmail_extra"),
        b"divRplyFwdMsg" => Some(Kind::Rest("divRplyFwdMsg")),
        b"OutlookMessageHeader" => Some(Kind::Rest("OutlookMessageHeader")),
        b"ms-outlook-mobile-reference-message" | b"mail-editor-reference-message-container" => {
            Some(Kind::Rest("outlook-reference-message"))
        }
        b"moz-forward-container" => Some(Kind::Rest("moz-forward-container")),
        b"zwchr" => Some(Kind::Rest("zimbra")),
        b"yahoo_quoted" => Some(Kind::Quote("yahoo_quoted")),
        b"isReplyContent" => Some(Kind::Quote("isReplyContent")),
        b"front-blockquote" | b"tutanota_quote" if is_quote => Some(Kind::Quote("blockquote-cite")),
        b"moz-cite-prefix" | b"reply-intro" => Some(Kind::Introduction),
        b"gmail_signature"
        | b"moz-signature"
        | b"protonmail_signature_block"
        | b"ms-outlook-mobile-signature"
        | b"ymail_android_signature"
        | b"composer_signature"
        | b"AppleMailSignature"
        | b"Signature"
        | b"_rc_sig" => Some(Kind::Signature),
        _ if word.starts_with(b"yahoo_quoted_") => Some(Kind::Quote("yahoo_quoted")),
        _ if is_yqt(word) => Some(Kind::Quote("yahoo_quoted")),
        _ => None,
    }
}

/// `yqt1234567890`
fn is_yqt(word: &[u8]) -> bool {
    word.strip_prefix(b"yqt")
        .is_some_and(|rest| rest.len() >= 4 && rest.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, shape, is_tracked) in [
            ("br", Shape::Break, false),
            ("p", Shape::Paragraph, true),
            ("pre", Shape::Preformatted, false),
            ("td", Shape::Cell, false),
            ("fieldset", Shape::Block, false),
            ("section", Shape::Block, true),
            ("blockquote", Shape::Block, true),
            ("span", Shape::Inline, true),
            ("a", Shape::Inline, false),
            ("o:p", Shape::Inline, false),
            // Their last eight letters are those of another, or would be.
            ("ockquote", Shape::Inline, false),
            ("afieldset", Shape::Inline, false),
            ("figcaption", Shape::Inline, false),
            ("", Shape::Inline, false),
        ] {
            let large = name.to_uppercase();
            for tag in [
                format!("<{name}>"),
                format!("</{large}>"),
                format!("<{large}/>"),
                format!("<{name}\nclass=p>"),
            ] {
                let name = Name::of(tag.as_bytes());
                let seen = (name.shape, name.tracked.is_some(), name.is_quote());
                let is_quote = tag.to_lowercase().contains("blockquote");
                assert_eq!(seen, (shape, is_tracked, is_quote), "{tag}");
                assert!(name.tracked.is_none_or(|number| number < TRACKED));
            }
        }
    }
}
