//! What an element is to the lines of a mail: by its name, and by the classes and attributes that mail programs give it.
//!
//! Must never: know where the element stands.

use crate::shared::html::is_space;

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

/// Elements that may bear a mark, whose nesting is followed.
pub(super) const TRACKED: [&[u8]; 6] = [b"div", b"p", b"span", b"blockquote", b"table", b"section"];

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
    Paragraph,
    Cell,
    Inline,
}

impl Shape {
    pub(super) fn of(name: &[u8]) -> Shape {
        let mut small = [0u8; 10];
        let Some(small) = small.get_mut(..name.len()) else {
            return Shape::Inline;
        };
        small.copy_from_slice(name);
        small.make_ascii_lowercase();
        match &*small {
            b"br" => Shape::Break,
            b"hr" => Shape::Rule,
            b"img" | b"image" | b"input" | b"embed" => Shape::Image,
            b"area" | b"col" | b"param" | b"source" | b"track" | b"wbr" | b"bgsound" => Shape::Void,
            b"div" | b"blockquote" | b"table" | b"tr" | b"ul" | b"ol" | b"li" | b"dl" | b"dt"
            | b"dd" | b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" | b"pre" | b"section"
            | b"article" | b"header" | b"footer" | b"main" | b"aside" | b"nav" | b"center"
            | b"form" | b"fieldset" | b"figure" | b"address" | b"caption" | b"details" => {
                Shape::Block
            }
            b"p" => Shape::Paragraph,
            b"td" | b"th" => Shape::Cell,
            _ => Shape::Inline,
        }
    }
}

pub(super) fn tracked(name: &[u8]) -> Option<usize> {
    TRACKED
        .iter()
        .position(|tracked| name.eq_ignore_ascii_case(tracked))
}

/// What the attributes of a start tag make of it.
pub(super) fn kind_of<'a>(
    name: &[u8],
    attributes: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Option<Kind> {
    let is_quote = name.eq_ignore_ascii_case(b"blockquote");
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
