//! HTML of the administrator, checked by itself when the configuration is loaded: does it end what it opens, is it a
//! fragment, and can readers see it? HTML that does not end what it opens would swallow the rest of every mail.
//!
//! Must never: judge the HTML of a mail.
//!
//! Known limits: where a template chooses between pieces of markup, elements are not counted.

use super::nest::{NoPlace, Tag};
use super::scan::{Event, Reading, Scan, conditional, is_space};

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Counted from 1.
    pub line: usize,
    pub message: String,
    pub help: &'static str,
    /// It would break mails; others are warned of.
    pub breaks: bool,
}

/// Elements that have no end tag (HTML standard, section 13.1.2).
const ENDLESS: &[&str] = &[
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source",
    "track", "wbr", "html", "head", "body",
];

/// Those that need none (section 13.1.2.4): another of the kind or the element around them ends them. What stands at the end of a
/// fragment has neither, and if it has a style, that is the mail's from there on.
const LENIENT: &[&str] = &[
    "p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "option", "optgroup",
    "colgroup", "caption",
];

/// Elements before which a paragraph ends.
const BLOCKS: &[&str] = &[
    "address",
    "article",
    "aside",
    "blockquote",
    "center",
    "dir",
    "div",
    "dl",
    "fieldset",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "main",
    "menu",
    "nav",
    "ol",
    "p",
    "pre",
    "section",
    "table",
    "ul",
];

/// Elements of a head. In a body they hold for the whole mail, or mail programs drop them.
const OF_HEAD: &[&str] = &["base", "link", "meta", "script", "style", "title"];

/// All that is wrong with a fragment. `dressed` = what is around it gives it a colour and a ground.
pub fn flaws(source: &str, images: &[&str], dressed: bool) -> Vec<Flaw> {
    let html = without_template(source);
    let chooses = source.contains("{%");
    let (mut flaws, for_outlook) = read(&html, images, (dressed, chooses, false));
    if !chooses {
        // Its words are the same as in the comments, so only what it leaves open or ends matters.
        let (of_outlook, _) = read(&for_outlook, images, (true, false, true));
        flaws.extend(of_outlook.into_iter().filter(|flaw| flaw.breaks));
    }
    flaws.dedup_by(|one, other| one.message == other.message);
    flaws
}

/// What is wrong with HTML, and the HTML that only Outlook sees.
fn read(
    html: &str,
    images: &[&str],
    (dressed, chooses, is_outlook): (bool, bool, bool),
) -> (Vec<Flaw>, String) {
    let mut judge = Judge {
        html,
        images,
        flaws: Vec::new(),
        open: Vec::new(),
        lenient: Vec::new(),
        conditionals: Vec::new(),
        for_outlook: String::new(),
        in_head: false,
    };
    let mut scan = Scan::new(html.as_bytes(), Reading::BROWSER);
    while let Some(token) = scan.next() {
        match token.event {
            Event::Open(what) => {
                judge.breaks(token.start, opened(what).into(), END_IT);
                // The one that holds it is not another mistake.
                judge.open.clear();
                judge.lenient.clear();
                judge.conditionals.clear();
            }
            Event::Comment => judge.comment(token.start, token.end),
            Event::Doctype
            | Event::Start(Tag::Html | Tag::Head | Tag::Body)
            | Event::End(Tag::Html | Tag::Head | Tag::Body) => {
                judge.in_head = matches!(token.event, Event::Start(Tag::Head))
                    || judge.in_head && matches!(token.event, Event::Doctype);
                judge.warns(token.start, SKELETON.into(), BODY_ONLY);
            }
            Event::Start(_) => {
                let name = name(scan.slice(token));
                let attributes: Vec<(String, String)> = scan
                    .attributes_of(token)
                    .map(|(name, value)| (lower(name), lower(value)))
                    .collect();
                // Elsewhere than in pictures, and in what Outlook draws, a slash before the > means nothing.
                let is_drawn = is_outlook && name.contains(':');
                let is_closed = token.self_closing && (is_drawn || judge.is_foreign(&name));
                let is_lenient = LENIENT.contains(&name.as_str());
                let ends = !is_closed && !is_lenient && !ENDLESS.contains(&name.as_str());
                judge.lenient(token.start, &name, is_lenient && !attributes.is_empty());
                if has_bare_value(scan.slice(token)) {
                    judge.warns(
                        token.start,
                        format!("a value in <{name}> without quotes around it"),
                        "a blank in the value would end the attribute, and what follows it would be another one; write quotes around it",
                    );
                }
                judge.start(token.start, &name, &attributes, (ends, dressed));
            }
            Event::End(_) if !chooses => {
                let name = name(scan.slice(token));
                judge.end(token.start, &name);
            }
            _ => {}
        }
    }
    if !chooses {
        judge.never_ended();
    }
    (judge.flaws, judge.for_outlook)
}

/// What stands in the body of a document; `None` = it is a fragment.
pub fn body_of(source: &str) -> Option<String> {
    let html = without_template(source);
    let (mut out, mut in_head, mut is_document) = (String::new(), false, false);
    for token in Scan::new(html.as_bytes(), Reading::BROWSER) {
        match token.event {
            Event::Start(Tag::Head) => (in_head, is_document) = (true, true),
            Event::End(Tag::Head) => in_head = false,
            Event::Start(Tag::Body) => (in_head, is_document) = (false, true),
            Event::Doctype | Event::Start(Tag::Html) | Event::End(Tag::Html | Tag::Body) => {
                is_document = true;
            }
            _ if in_head => {}
            _ => out.push_str(source.get(token.start..token.end).unwrap_or_default()),
        }
    }
    is_document.then(|| out.trim().to_string())
}

const END_IT: &str = "everything after it in a mail would be lost; end it";
const SKELETON: &str =
    "a document where a fragment is needed: only the content of its body is used";
const BODY_ONLY: &str =
    "leave out <!doctype>, <html>, <head> and <body>, and write styles into style attributes";

fn opened(what: NoPlace) -> &'static str {
    match what {
        NoPlace::Comment => "a comment that never ends",
        NoPlace::Tag => "a tag or a quote that never ends",
        _ => "an element that never ends",
    }
}

struct Judge<'h> {
    html: &'h str,
    images: &'h [&'h str],
    flaws: Vec<Flaw>,
    /// Elements that are open: name, where, and whether they have a colour and a ground.
    open: Vec<(String, usize, bool)>,
    /// Those that need no end tag, and whose style would be the mail's: name, where, and how many others are open around them.
    lenient: Vec<(String, usize, usize)>,
    /// Where the conditionals begin that are open.
    conditionals: Vec<usize>,
    /// What only Outlook sees, in comments, one below the other.
    for_outlook: String,
    in_head: bool,
}

impl Judge<'_> {
    fn breaks(&mut self, at: usize, message: String, help: &'static str) {
        self.flaw(at, message, help, true);
    }

    fn warns(&mut self, at: usize, message: String, help: &'static str) {
        self.flaw(at, message, help, false);
    }

    fn flaw(&mut self, at: usize, message: String, help: &'static str, breaks: bool) {
        let before = self.html.get(..at).unwrap_or_default();
        self.flaws.push(Flaw {
            line: before.matches('\n').count().saturating_add(1),
            message,
            help,
            breaks,
        });
    }

    fn start(
        &mut self,
        at: usize,
        name: &str,
        attributes: &[(String, String)],
        (ends, dressed): (bool, bool),
    ) {
        let value = |wanted: &str| {
            let mut found = attributes.iter().filter(|(name, _)| name == wanted);
            found.next().map(|(_, value)| value.as_str())
        };
        if OF_HEAD.contains(&name) && !self.in_head && !self.is_foreign(name) {
            self.warns(
                at,
                format!("<{name}> in a fragment: it holds for the whole mail, or is dropped"),
                "leave it out; styles stand in style attributes",
            );
        }
        if attributes.iter().any(|(_, value)| value.contains('<')) {
            self.breaks(
                at,
                format!("a quote in <{name}> that is not closed"),
                END_IT,
            );
        }
        if name == "img" || name == "input" {
            self.picture(at, value("src").unwrap_or_default());
        }
        let style = value("style").unwrap_or_default();
        let has = |wanted: &str| {
            let mut declared = style.split(';').filter_map(|one| one.split_once(':'));
            declared.any(|(property, _)| property.trim() == wanted)
        };
        let has_ground = has("background") || has("background-color") || value("bgcolor").is_some();
        let has_colour = has("color") || (name == "font" && value("color").is_some());
        let is_dressed = dressed || self.open.last().is_some_and(|(_, _, dressed)| *dressed);
        if has_ground != has_colour && !is_dressed {
            let message = match has_colour {
                true => "a colour without its background",
                false => "a background without the colour of its text",
            };
            self.warns(
                at,
                message.into(),
                "readers with a dark screen choose the other one; give both, such as color:#000;background:#fff",
            );
        }
        if ends {
            let is_dressed = is_dressed || (has_ground && has_colour);
            self.open.push((name.to_string(), at, is_dressed));
        }
    }

    /// An element begins; those that need no end tag may end there.
    fn lenient(&mut self, at: usize, name: &str, spills: bool) {
        let depth = self.open.len();
        let is_block = BLOCKS.contains(&name);
        self.lenient.retain(|(open, _, around)| {
            let is_ended = open == name || (open == "p" && is_block);
            *around < depth || !is_ended
        });
        if spills {
            self.lenient.push((name.to_string(), at, depth));
        }
    }

    fn is_foreign(&self, name: &str) -> bool {
        let is = |name: &str| matches!(name, "svg" | "math");
        is(name) || self.open.iter().any(|(open, _, _)| is(open))
    }

    fn picture(&mut self, at: usize, src: &str) {
        let src = src.trim();
        // What a template says is not known here.
        if src.starts_with("https:") || src.contains([VALUE, CHOICE]) {
            return;
        }
        match src.strip_prefix("cid:") {
            Some(name) if self.images.iter().any(|image| image.eq_ignore_ascii_case(name)) => {}
            Some(name) => self.warns(
                at,
                format!("cid:{name} is not among the pictures"),
                "name its file in images",
            ),
            None => self.warns(
                at,
                "a picture that mail programs do not show".into(),
                "put it into images and show it as cid: and its name, or give an address with https:",
            ),
        }
    }

    fn end(&mut self, at: usize, name: &str) {
        if ENDLESS.contains(&name) {
            return;
        }
        if LENIENT.contains(&name) {
            if let Some(place) = self.lenient.iter().rposition(|(open, _, _)| open == name) {
                self.lenient.truncate(place);
            }
            return;
        }
        match self.open.iter().rposition(|(open, _, _)| open == name) {
            Some(place) => {
                self.lenient.retain(|(_, _, around)| *around <= place);
                let left: Vec<_> = self.open.drain(place..).skip(1).collect();
                for (inner, at, _) in left {
                    self.breaks(at, format!("<{inner}> that is not ended"), "end it");
                }
            }
            None => self.breaks(
                at,
                format!("</{name}> without a start tag in this HTML"),
                "it would end an element of the mail; leave it out",
            ),
        }
    }

    /// `<!--[if mso]>…<![endif]-->` holds what only Outlook sees; `<!--[if !mso]><!-->` and `<![if !mso]>` hide what follows from it.
    fn comment(&mut self, start: usize, end: usize) {
        let comment = self.html.get(start..end).unwrap_or_default();
        let before = self.conditionals.len();
        match conditional(comment.as_bytes(), before) {
            depth if depth > before => self.conditionals.push(start),
            depth => self.conditionals.truncate(depth),
        }
        let inner = comment.strip_prefix("<!--[if").and_then(|rest| {
            let (condition, inner) = rest.split_once("]>")?;
            let (inner, _) = inner.rsplit_once("<![")?;
            (!condition.contains('!')).then_some(inner)
        });
        if let Some(inner) = inner {
            let lines = |text: &str| text.matches('\n').count();
            let above = lines(self.html.get(..start).unwrap_or_default());
            let missing = above.saturating_sub(lines(&self.for_outlook));
            self.for_outlook.extend(std::iter::repeat_n('\n', missing));
            self.for_outlook.push_str(inner);
        }
    }

    fn never_ended(&mut self) {
        let lenient = std::mem::take(&mut self.lenient).into_iter();
        let lenient = lenient.filter(|(_, _, around)| *around == 0);
        let open = std::mem::take(&mut self.open).into_iter();
        let open = open.map(|(name, at, _)| (name, at));
        for (name, at) in open.chain(lenient.map(|(name, at, _)| (name, at))) {
            self.breaks(
                at,
                format!("<{name}> that is not ended"),
                "everything after it in a mail would become part of it; end it",
            );
        }
        for at in std::mem::take(&mut self.conditionals) {
            self.breaks(
                at,
                "a conditional that never ends".into(),
                "Outlook would show nothing of what is after it in a mail; end it with <!--<![endif]-->",
            );
        }
    }
}

fn name(tag: &[u8]) -> String {
    let tag = tag.strip_prefix(b"<").unwrap_or(tag);
    let tag = tag.strip_prefix(b"/").unwrap_or(tag);
    let end = tag
        .iter()
        .position(|b| is_space(*b) || matches!(b, b'/' | b'>'));
    lower(tag.get(..end.unwrap_or(tag.len())).unwrap_or_default())
}

fn lower(text: &[u8]) -> String {
    String::from_utf8_lossy(text).to_lowercase()
}

/// In the place of what a template puts there: of a value, and of what it chooses or leaves out.
const VALUE: char = '\u{2}';
const CHOICE: char = '\u{1}';

/// Does a value of the template stand in this tag where no quotes are around it.
fn has_bare_value(tag: &[u8]) -> bool {
    let (mut quote, mut before) = (None, b' ');
    for &octet in tag {
        match quote {
            Some(end) if octet == end => quote = None,
            Some(_) => {}
            None if before == b'=' && matches!(octet, b'"' | b'\'') => quote = Some(octet),
            None if char::from(octet) == VALUE => return true,
            None => {}
        }
        if !is_space(octet) {
            before = octet;
        }
    }
    false
}

/// The source with as many octets that mean nothing in the place of what a template puts there.
fn without_template(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest
        .find("{{")
        .into_iter()
        .chain(rest.find("{%"))
        .chain(rest.find("{#"))
        .min()
    {
        let (before, from) = rest.split_at_checked(start).unwrap_or((rest, ""));
        let (close, instead) = match from.as_bytes().get(1) {
            Some(b'{') => ("}}", VALUE),
            Some(b'%') => ("%}", CHOICE),
            _ => ("#}", CHOICE),
        };
        let end = from
            .find(close)
            .map_or(from.len(), |at| at.saturating_add(2));
        out.push_str(before);
        let inside = from.get(..end).unwrap_or_default();
        // Line ends stay, so that lines can be counted.
        out.extend(
            inside
                .bytes()
                .map(|octet| if octet == b'\n' { '\n' } else { instead }),
        );
        rest = from.get(end..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn what_is_wrong() {
        for (html, expected) in [
            ("<p>x</p>", ""),
            ("<p>x<br>y<p>z</p>", ""),
            ("<p>x<div>y</div>", ""),
            ("<p>x<p>y", ""),
            ("<p class=x>x<p>y", ""),
            ("<p>x<p align=right>y", "! <p> that is not ended"),
            ("<div><p>x</div>", ""),
            ("<div><p class=x>x</div><p class=x>y", "! <p> that is not ended"),
            ("<p style='color:#000;background:#fff'>x", "! <p> that is not ended"),
            ("<ul><li>x<li>y</ul>", ""),
            ("<li value=2>x", "! <li> that is not ended"),
            ("<p class=x>x</body>", "a document where a fragment is needed: only the content of its body is used; ! <p> that is not ended"),
            ("</body>", "a document where a fragment is needed: only the content of its body is used"),
            ("<style>p{}</style>x", "<style> in a fragment: it holds for the whole mail, or is dropped"),
            ("<script>x</script>x", "<script> in a fragment: it holds for the whole mail, or is dropped"),
            ("<meta charset=utf-8>x", "<meta> in a fragment: it holds for the whole mail, or is dropped"),
            ("<base href=https://x.example/>x", "<base> in a fragment: it holds for the whole mail, or is dropped"),
            ("<svg><title>x</title></svg>", ""),
            ("x & y < z", ""),
            ("<!-- c --><p>x</p>", ""),
            ("<!-- external mail <p>x</p>", "! a comment that never ends"),
            ("<!--[if !mso]><!--><p>x</p><!--<![endif]-->", ""),
            ("<!--[if !mso]><!--><p>x</p>", "! a conditional that never ends"),
            ("<![if !mso]><p>x</p>", "! a conditional that never ends"),
            ("<!--[if mso]>x--><p>x</p>", "! a conditional that never ends"),
            ("<!--[if mso]><table><tr><td><![endif]--><p>x</p><!--[if mso]></td></tr></table><![endif]-->", ""),
            ("<!--[if mso]><table><tr><td><![endif]--><p>x</p>", "! <table> that is not ended"),
            ("<p>x</p><!--[if mso]></div><![endif]-->", "! </div> without a start tag in this HTML"),
            ("<!--[if gte mso 9]><v:rect><v:fill src=x /><v:textbox><![endif]-->x<!--[if gte mso 9]></v:textbox></v:rect><![endif]-->", ""),
            ("<!--[if !mso]><div><![endif]-->x", ""),
            ("<p>x</p\n", "! a tag or a quote that never ends"),
            ("<p class=\"x>y</p>", "! a tag or a quote that never ends"),
            ("<a href=\"x>y</a><a href=\"z\">w</a>", "! a quote in <a> that is not closed"),
            ("<style>p{}", "<style> in a fragment: it holds for the whole mail, or is dropped; ! an element that never ends"),
            ("<html><head><title>x</title></head><body>x</body></html>", "a document where a fragment is needed: only the content of its body is used"),
            ("<div>x", "! <div> that is not ended"),
            ("<div><b>x</div>", "! <b> that is not ended"),
            ("x</div>", "! </div> without a start tag in this HTML"),
            ("<div/>x", "! <div> that is not ended"),
            ("<svg><path d=x /></svg>", ""),
            ("<table><tr><td>x</table>", ""),
            ("<!DOCTYPE html><html><body>x</body></html>", "a document where a fragment is needed: only the content of its body is used"),
            ("<img src=https://x.example/a.png>", ""),
            ("<img src=\"cid:logo.png\">", ""),
            ("<img src='{{ person.photo }}'>", ""),
            ("<img src='cid:other.png'>", "cid:other.png is not among the pictures"),
            ("<img src=http://x.example/a.png>", "a picture that mail programs do not show"),
            ("<img src='data:image/png;base64,x'>", "a picture that mail programs do not show"),
            ("<img src=logo.png>", "a picture that mail programs do not show"),
            ("<p style='color:#888'>x</p>", "a colour without its background"),
            ("<p style='background-color: red'>x</p>", "a background without the colour of its text"),
            ("<p style='color:#000;background:#fff'>x</p>", ""),
            ("<div style='color:#000;background:#fff'><b style='color:red'>x</b></div>", ""),
            ("<font color=red>x</font>", "a colour without its background"),
            ("{% if a < b %}<div>{% else %}<div class=x>{% endif %}x</div>", ""),
            ("<a href=\"{{ header['x'] }}\">y</a>", ""),
            ("<a href='x{{ subject }}' title = \"{{ subject }}\" {% if a %}class=x{% endif %}>{{ subject }}</a>", ""),
            ("<a href=mailto:{{ sender }}>y</a>", "a value in <a> without quotes around it"),
            ("<b {{ subject }}>y</b>", "a value in <b> without quotes around it"),
            ("<b a=it's title={{ subject }}>y</b>", "a value in <b> without quotes around it"),
        ] {
            let found: Vec<String> = flaws(html, &["logo.png"], false).into_iter()
                .map(|flaw| format!("{}{}", if flaw.breaks { "! " } else { "" }, flaw.message)).collect();
            assert_eq!(found.join("; "), expected, "{html}");
        }
        assert!(flaws("<p style='color:#888'>x</p>", &[], true).is_empty());
        assert_eq!(flaws("x\n{{ a\n}}\n<div>", &[], true)[0].line, 4);
        assert_eq!(flaws("x\n<!--[if mso]><div><![endif]-->", &[], true)[0].line, 2);
    }

    #[test]
    #[rustfmt::skip]
    fn the_body_of_a_document() {
        for (html, body) in [
            ("<p>x</p>", None),
            ("<!DOCTYPE html>\n<html>\n<head>\n<title>t</title><style>p{}</style>\n</head>\n<body bgcolor=red>\n<p>{{ x }}</p>\n</body>\n</html>\n", Some("<p>{{ x }}</p>")),
            ("<head><title>t</title><body>x", Some("x")),
            ("<body>x", Some("x")),
        ] {
            assert_eq!(body_of(html).as_deref(), body, "{html}");
        }
    }
}
