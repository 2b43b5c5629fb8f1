//! HTML of a mail, made harmless for a page that somebody opens in a browser.
//!
//! The frame that shows it is sandboxed and its policy allows neither scripts nor the network; this is the other half, so that
//! what a browser does before it asks a policy (looking names up, for one) has nothing to act on. Only elements and
//! attributes of a list come through, written anew; what is not on it goes, and of scripts their content too.
//!
//! Must never: let a URL through but that of a picture in the mail itself; write an octet of a mail as markup.

use html5gum::{DefaultEmitter, Token, Tokenizer};
use mimicry_core::printable::is_unprintable;
use mimicry_plugins::shared::html::escape;

/// Elements that lay out and mark text.
const ELEMENTS: &[&str] = &[
    "a",
    "abbr",
    "address",
    "article",
    "b",
    "big",
    "blockquote",
    "body",
    "br",
    "caption",
    "center",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "div",
    "dl",
    "dt",
    "em",
    "font",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "html",
    "i",
    "img",
    "ins",
    "kbd",
    "label",
    "li",
    "main",
    "mark",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "samp",
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
];

/// Attributes that name no other thing.
const ATTRIBUTES: &[&str] = &[
    "abbr",
    "align",
    "alt",
    "bgcolor",
    "border",
    "cellpadding",
    "cellspacing",
    "class",
    "color",
    "cols",
    "colspan",
    "dir",
    "face",
    "height",
    "hidden",
    "hspace",
    "id",
    "lang",
    "noshade",
    "nowrap",
    "rowspan",
    "rules",
    "scope",
    "size",
    "span",
    "start",
    "summary",
    "title",
    "type",
    "valign",
    "value",
    "vspace",
    "width",
];

/// Elements whose content is nothing to read.
const UNREAD: &[&str] = &[
    "applet", "audio", "canvas", "embed", "frameset", "head", "iframe", "math", "noembed",
    "noframes", "noscript", "object", "script", "select", "svg", "template", "textarea", "title",
    "video", "xmp",
];

/// What a picture in the mail is, as a `data:` URL; `None` = there is no such picture.
pub type Picture<'p> = &'p dyn Fn(&str) -> Option<String>;

/// The page, with nothing in it that acts.
pub fn html(page: &str, picture: Picture<'_>) -> String {
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let mut cleaner = Cleaner {
        out: String::with_capacity(page.len()),
        unread: Vec::new(),
        style: None,
        picture,
    };
    for token in Tokenizer::new_with_emitter(page, emitter) {
        let Ok(token) = token;
        cleaner.take(token);
    }
    cleaner.out
}

struct Cleaner<'p> {
    out: String,
    /// Elements that are open and not shown.
    unread: Vec<String>,
    /// The content of a style element that is open.
    style: Option<String>,
    picture: Picture<'p>,
}

impl Cleaner<'_> {
    fn take(&mut self, token: Token) {
        match token {
            Token::StartTag(tag) => {
                let name = text(&tag.name);
                let attributes = tag
                    .attributes
                    .iter()
                    .map(|(name, value)| (text(name), text(value)));
                self.opens(&name, tag.self_closing, &attributes.collect::<Vec<_>>());
            }
            Token::EndTag(tag) => self.closes(&text(&tag.name)),
            Token::String(said) => {
                if let Some(style) = &mut self.style {
                    style.push_str(&text(&said));
                } else if self.is_read() {
                    self.out.push_str(&escaped(&text(&said)));
                }
            }
            Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
        }
    }

    /// A head is not read, but for its style, and ends at the latest where the body begins.
    fn is_read(&self) -> bool {
        self.unread.is_empty()
    }

    fn opens(&mut self, name: &str, self_closing: bool, attributes: &[(String, String)]) {
        if name == "body" {
            self.unread.retain(|open| open != "head");
        }
        if name == "style" {
            let is_head_only = self.unread.iter().all(|open| open == "head");
            self.style = is_head_only.then(String::new);
            if !is_head_only {
                self.unread.push("style".into());
            }
            return;
        }
        if UNREAD.contains(&name) {
            if !self_closing && name != "embed" {
                self.unread.push(name.into());
            }
            return;
        }
        if !self.is_read() || !ELEMENTS.contains(&name) {
            return;
        }
        self.out.push('<');
        self.out.push_str(name);
        for (key, value) in attributes {
            let kept = match key.as_str() {
                "style" => Some(("style", harmless_style(value))),
                // Where it leads is seen and not followed.
                "href" if name == "a" => Some(("title", value.clone())),
                "src" if name == "img" => self.source(value).map(|source| ("src", source)),
                key if ATTRIBUTES.contains(&key) => Some((key, value.clone())),
                _ => None,
            };
            if let Some((key, value)) = kept {
                self.out
                    .push_str(&format!(" {key}=\"{}\"", escaped(&value)));
            }
        }
        self.out.push('>');
    }

    fn closes(&mut self, name: &str) {
        if name == "style"
            && let Some(style) = self.style.take()
        {
            // A sheet has no use for it, and here it could begin a tag.
            if !style.contains('<') {
                self.out
                    .push_str(&format!("<style>{}</style>", harmless_style(&style)));
            }
            return;
        }
        if let Some(at) = self.unread.iter().rposition(|open| open == name) {
            self.unread.truncate(at);
            return;
        }
        let is_void = matches!(name, "br" | "col" | "hr" | "img");
        if self.is_read() && ELEMENTS.contains(&name) && !is_void {
            self.out.push_str(&format!("</{name}>"));
        }
    }

    /// Of a picture that the mail holds.
    fn source(&self, value: &str) -> Option<String> {
        let value = value.trim();
        let lower = value
            .get(..64.min(value.len()))
            .unwrap_or(value)
            .to_ascii_lowercase();
        if let Some(at) = lower.strip_prefix("cid:").map(|_| 4) {
            return (self.picture)(value.get(at..).unwrap_or_default());
        }
        let is_picture = [
            "data:image/png;",
            "data:image/gif;",
            "data:image/jpeg;",
            "data:image/webp;",
        ];
        let is_picture = is_picture.iter().any(|start| lower.starts_with(start));
        is_picture.then(|| value.to_string())
    }
}

/// A style that fetches nothing: without the functions and rules that name another thing, and without the backslashes that would
/// hide them.
fn harmless_style(style: &str) -> String {
    let mut out = style.replace(['\\', '<', '>'], " ");
    for (word, instead) in [
        ("url", "none"),
        ("@import", "none"),
        ("image-set", "none"),
        ("@namespace", "none"),
        ("src", "none"),
        ("expression", "none"),
        ("image(", "none("),
        ("cross-fade", "none"),
    ] {
        out = replaced(&out, word, instead);
    }
    out
}

/// In letters of either case; in one pass, since a mail may have thousands of them.
fn replaced(text: &str, word: &str, instead: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for (at, found) in lower.match_indices(word) {
        out.push_str(text.get(from..at).unwrap_or_default());
        out.push_str(instead);
        from = at.saturating_add(found.len());
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// Text as content of an element, or of an attribute in double quotes.
pub fn escaped(text: &str) -> String {
    // No characters of HTML.
    let is_none = |char: char| char.is_control() && !matches!(char, '\n' | '\r' | '\t');
    escape(&text.replace(is_none, "\u{fffd}")).into_owned()
}

/// The same where words of others stand beside ours: outside of the frames. What could make them look like other words is shown.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\n' | '\r' | '\t' => out.push(char),
            char if is_unprintable(char) => out.extend(char.escape_unicode()),
            char => out.push(char),
        }
    }
    escape(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(page: &str) -> String {
        html(page, &|id| {
            (id == "logo@x").then(|| "data:image/png;base64,AA==".to_string())
        })
    }

    #[test]
    fn what_lays_out_stays() {
        for (page, clean) in [
            (
                "<p style='color:red' onclick='x()'>a &lt;b&gt; &amp; c</p>",
                "<p style=\"color:red\">a &lt;b&gt; &amp; c</p>",
            ),
            (
                "<html><head><title>t</title><style>p{color:red}</style></head><body bgcolor=red>x",
                "<html><style>p{color:red}</style><body bgcolor=\"red\">x",
            ),
            ("<head><meta charset=x>nothing<body>x", "<body>x"),
            (
                "<a href=https://evil.test/?x=1&y>l</a>",
                "<a title=\"https://evil.test/?x=1&amp;y\">l</a>",
            ),
            (
                "<img src=cid:logo@x width=3>",
                "<img src=\"data:image/png;base64,AA==\" width=\"3\">",
            ),
            ("<img src='cid:other' alt=a>", "<img alt=\"a\">"),
            ("a<br/>b</br><hr>", "a<br>b<hr>"),
        ] {
            assert_eq!(cleaned(page), clean, "{page}");
        }
    }

    #[test]
    fn many_addresses_in_a_style_take_no_long_time() {
        let page = format!(
            "<style>{}</style>",
            "p{background:URL(//evil.test)}".repeat(20_000)
        );
        let begun = std::time::Instant::now();
        assert!(!cleaned(&page).to_ascii_lowercase().contains("url"));
        assert!(begun.elapsed() < std::time::Duration::from_secs(20));
    }

    #[test]
    fn what_acts_goes() {
        for page in [
            "<script>evil()</script>",
            "<SCRIPT SRC=//evil.test></SCRIPT >",
            "<img src=x onerror=evil()>",
            "<img src=https://evil.test/p.gif>",
            "<img srcset='https://evil.test/p.gif 2x'>",
            "<img src=data:image/svg+xml,evil>",
            "<svg onload=evil()><script>evil()</script></svg>",
            "<math><mtext><style><img src=x onerror=evil()></style></mtext></math>",
            "<style><img src=x onerror=evil()></style>",
            "<style>@import 'https://evil.test/a.css'; p{background:url(//evil.test)}</style>",
            "<p style='background:u\\72l(https://evil.test)'>",
            "<p style='background:-webkit-image-set(\"https://evil.test\" 1x)'>",
            "<table background=https://evil.test/b.gif><body background=//evil.test>",
            "<link rel=dns-prefetch href=//evil.test><link rel=stylesheet href=//evil.test>",
            "<meta http-equiv=refresh content='0;url=https://evil.test'>",
            "<base href=https://evil.test/><a href=x ping=https://evil.test>",
            "<iframe src=https://evil.test srcdoc='<script>evil()</script>'></iframe>",
            "<object data=https://evil.test></object><embed src=https://evil.test>",
            "<form action=https://evil.test><button formaction=javascript:evil()>",
            "<video poster=https://evil.test><source src=https://evil.test></video>",
            "<a href='javascript:evil()'>",
            "<input type=image src=https://evil.test>",
            "<noscript><p title='</noscript><img src=x onerror=evil()>'></noscript>",
            "<template><script>evil()</script></template>",
            "<textarea></textarea><img/src=x/onerror=evil()>",
            "<plaintext><script>evil()</script>",
            "<!--><script>evil()</script>-->",
            "<p title='\"><script>evil()</script>'>",
        ] {
            let clean = cleaned(page);
            // Outside of texts and titles nothing of it is left.
            let bare = clean.replace("title=\"https://evil.test/x\"", "");
            for word in [
                "<script",
                "onerror=",
                "onload=",
                "src=\"h",
                "srcset",
                "url(",
                "@import",
                "<link",
                "<meta",
                "<base",
                "<iframe",
                "<object",
                "<embed",
                "<form",
                "<svg",
                "<math",
                "background=",
                "action=",
                "image-set",
                "ping=",
            ] {
                let in_text = escaped_parts_removed(&bare);
                assert!(
                    !in_text.to_ascii_lowercase().contains(word),
                    "{page} gives {clean}"
                );
            }
        }
    }

    /// Without what stands in quotes after `title=`, which is shown and does nothing.
    fn escaped_parts_removed(page: &str) -> String {
        let mut pieces = page.split(" title=\"");
        let mut out = pieces.next().unwrap_or_default().to_string();
        for piece in pieces {
            out.push_str(piece.split_once('"').map_or("", |(_, rest)| rest));
        }
        out
    }
}
