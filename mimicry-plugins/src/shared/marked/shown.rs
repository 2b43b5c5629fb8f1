//! HTML of ours, written so that no style of the mail around it can hide it.
//!
//! What stands in a `style` attribute and is `!important` overrides everything that a page's own style sheets can say
//! (CSS Cascade 5, section 6.1). So each element of ours sets there every property by which it could be made invisible:
//! first `all`, which resets what browsers know; then, one by one, the properties that are kept by mail programs
//! without `all`. What the administrator's HTML says in its own `style` attributes comes last, and counts. Attributes
//! such as `bgcolor`, which `all` would take back, are said again as style.
//!
//! Line breaks are added here and there, because with a line that is too long for mail the whole text would have to be
//! encoded anew.
//!
//! Must never: see HTML of the mail.
//!
//! Fonts are generic ones, because a mail can redefine any other font (`@font-face`).
//!
//! `page.rs` deals with everything that style in a tag cannot reach.

use super::html::{Event, Reading, Scan, is_space, name_of};

/// Around all of it.
pub(super) const AROUND: &str = "all:initial!important;display:block!important;visibility:visible!important;opacity:1!important;
position:relative!important;position:sticky!important;z-index:2147483647!important;top:auto!important;left:0!important;
right:0!important;bottom:auto!important;float:none!important;clear:both!important;width:auto!important;min-width:240px!important;
max-width:none!important;max-width:100vw!important;height:auto!important;max-height:none!important;margin:0!important;padding:0!important;
overflow:visible!important;clip:auto!important;clip-path:none!important;transform:none!important;filter:none!important;
font:14px/1.4 sans-serif!important;text-indent:0!important;letter-spacing:normal!important;white-space:normal!important;
text-align:start!important;color:#000!important;background:#fff!important;mso-hide:none!important;
direction:ltr!important;unicode-bidi:isolate!important;scroll-initial-target:nearest!important";

/// Of each element within, after its `display`.
const WITHIN: &str = "visibility:visible!important;opacity:1!important;position:static!important;float:none!important;
max-height:none!important;overflow:visible!important;clip:auto!important;transform:none!important;text-indent:0!important;
font-size:inherit!important;font-size:revert!important;color:inherit!important;color:revert!important;mso-hide:none!important;
direction:inherit!important;unicode-bidi:revert!important";

/// Elements that show nothing themselves, or nothing that could be hidden.
const BARE: &[&str] = &[
    "area", "base", "body", "br", "col", "colgroup", "head", "html", "link", "map", "meta",
    "noscript", "param", "script", "source", "style", "template", "title", "track", "wbr",
];

/// Fragments of the administrator's with each element made visible. Linear in time.
#[must_use]
pub(super) fn shown(html: &str) -> String {
    let mut scan = Scan::new(html.as_bytes(), Reading::BROWSER);
    let mut out = String::with_capacity(html.len().saturating_mul(4));
    let mut padding = String::new();
    let mut foreign = 0usize;
    while let Some(token) = scan.next() {
        let raw = html.get(token.start..token.end).unwrap_or_default();
        let name = String::from_utf8_lossy(name_of(raw.as_bytes())).to_ascii_lowercase();
        let is_foreign = matches!(&*name, "svg" | "math");
        match token.event {
            Event::Start(_) if foreign == 0 && !BARE.contains(&&*name) => {
                let attributes: Vec<(String, String)> = scan
                    .attributes_of(token)
                    .map(|(name, value)| {
                        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
                        (text(name).to_ascii_lowercase(), text(value))
                    })
                    .collect();
                if name == "table" {
                    padding = hint(&attributes, "cellpadding").unwrap_or_default();
                }
                let style = style(&name, &attributes, &padding);
                push_tag(&mut out, &name, &attributes, &style);
                out.push_str(if token.self_closing { "/>" } else { ">" });
                foreign = usize::from(is_foreign && !token.self_closing);
            }
            event => {
                if foreign > 0 && is_foreign {
                    foreign = match event {
                        Event::Start(_) if !token.self_closing => foreign.saturating_add(1),
                        Event::End(_) => foreign.saturating_sub(1),
                        _ => foreign,
                    };
                }
                out.push_str(raw);
            }
        }
    }
    out
}

fn push_tag(out: &mut String, name: &str, attributes: &[(String, String)], style: &str) {
    out.push('<');
    out.push_str(name);
    for (name, value) in attributes.iter().filter(|(name, _)| name != "style") {
        // Character references in it stay what they are.
        let value = value.replace('"', "&quot;");
        out.push_str(&format!(" {name}=\"{value}\""));
    }
    out.push_str(&format!(" style=\"{}\"", style.replace('"', "&quot;")));
}

fn style(name: &str, attributes: &[(String, String)], padding: &str) -> String {
    let mut style = format!(
        "all:revert!important;display:{}!important;\n{WITHIN}",
        display(name)
    );
    let mut add = |property: &str, value: &str| {
        style.push_str(&format!(";{property}:{value}!important"));
    };
    for (property, value) in hints(name, attributes, padding) {
        add(property, &value);
    }
    let own = attributes.iter().find(|(name, _)| name == "style");
    let own = declarations(own.map_or("", |(_, value)| value));
    let mut font = hint(attributes, "face").filter(|_| name == "font");
    for (property, value) in &own {
        add(property, value);
        if ["font", "font-family"].contains(&&*property.to_ascii_lowercase()) {
            font = Some((*value).to_string());
        }
    }
    // Any other one the mail can define anew, with letters that are not there.
    if let Some(font) = font {
        add("font-family", generic(&font));
    }
    style
}

/// The generic font that is named last, for lists of fonts end with it.
fn generic(fonts: &str) -> &'static str {
    let fonts = fonts.to_ascii_lowercase();
    let last = fonts.split([',', ' ']).map(str::trim).next_back();
    ["serif", "monospace", "cursive", "fantasy", "system-ui"]
        .into_iter()
        .find(|known| last == Some(known))
        .unwrap_or("sans-serif")
}

/// What the browser's own style sheet says, for readers that do not know `revert`.
fn display(name: &str) -> &'static str {
    match name {
        "table" => "table",
        "tr" => "table-row",
        "td" | "th" => "table-cell",
        "tbody" => "table-row-group",
        "thead" => "table-header-group",
        "tfoot" => "table-footer-group",
        "caption" => "table-caption",
        "li" => "list-item",
        "address" | "article" | "aside" | "blockquote" | "center" | "dd" | "div" | "dl" | "dt"
        | "fieldset" | "figcaption" | "figure" | "footer" | "form" | "h1" | "h2" | "h3" | "h4"
        | "h5" | "h6" | "header" | "hr" | "main" | "nav" | "ol" | "p" | "pre" | "section"
        | "ul" => "block",
        _ => "inline",
    }
}

/// Attributes that dress an element, as style. Values that are not as plain as they should be are left out.
fn hints(
    name: &str,
    attributes: &[(String, String)],
    padding: &str,
) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let length = |value: String| match value.bytes().all(|octet| octet.is_ascii_digit()) {
        true => format!("{value}px"),
        false => value,
    };
    let of = |attribute: &str| hint(attributes, attribute);
    let colour = |value: String| {
        let is_hex = value.len() == 6 && value.bytes().all(|octet| octet.is_ascii_hexdigit());
        if is_hex { format!("#{value}") } else { value }
    };
    found.extend(of("bgcolor").map(|value| ("background-color", colour(value))));
    found.extend(of("width").map(|value| ("width", length(value))));
    found.extend(of("height").map(|value| ("height", length(value))));
    found.extend(of("valign").map(|value| ("vertical-align", value)));
    found.extend(of("nowrap").map(|_| ("white-space", "nowrap".into())));
    found.extend(of("cellspacing").map(|value| ("border-spacing", length(value))));
    match (name, of("align")) {
        ("table", Some(align)) if align.eq_ignore_ascii_case("center") => {
            found.push(("margin-left", "auto".into()));
            found.push(("margin-right", "auto".into()));
        }
        ("table" | "img", Some(align)) => found.push(("float", align)),
        (_, Some(align)) => found.push(("text-align", align)),
        _ => {}
    }
    match of("dir") {
        Some(dir) if dir.eq_ignore_ascii_case("auto") => {
            found.push(("unicode-bidi", "plaintext".into()));
        }
        Some(dir) => found.push(("direction", dir)),
        None => {}
    }
    match name {
        "td" | "th" if !padding.is_empty() => found.push(("padding", length(padding.into()))),
        "table" => found.extend(of("border").map(|value| ("border-width", length(value)))),
        "font" => {
            found.extend(of("color").map(|value| ("color", colour(value))));
            found.extend(of("face").map(|value| ("font-family", value)));
            let sizes = [
                "x-small",
                "small",
                "medium",
                "large",
                "x-large",
                "xx-large",
                "xxx-large",
            ];
            let size = of("size").and_then(|size| size.parse::<usize>().ok());
            let size = size.and_then(|size| sizes.get(size.checked_sub(1)?));
            found.extend(size.map(|size| ("font-size", size.to_string())));
        }
        _ => {}
    }
    found
}

fn hint(attributes: &[(String, String)], name: &str) -> Option<String> {
    let (_, value) = attributes.iter().find(|(other, _)| other == name)?;
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '#' | '%' | '.' | ',' | '-' | ' ');
    value
        .chars()
        .all(is_plain)
        .then(|| value.trim().to_string())
}

/// The declarations of a `style` attribute, without their `!important`.
pub(crate) fn declarations(style: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let (mut quote, mut depth, mut start) = (None, 0usize, 0usize);
    let mut take = |from: usize, to: usize| {
        let one = style.get(from..to).unwrap_or_default();
        let Some((property, value)) = one.split_once(':') else {
            return;
        };
        let value = value.split("!").next().unwrap_or_default().trim();
        let property = property.trim();
        if !property.is_empty() && !value.is_empty() {
            found.push((property, value));
        }
    };
    // A semicolon within a character reference ends no declaration.
    let mut reference = false;
    for (at, c) in style.char_indices() {
        match (quote, c) {
            (None, ';') if reference => reference = false,
            (None, ';') if depth == 0 => {
                take(start, at);
                start = at.saturating_add(1);
            }
            (None, '&') => reference = true,
            (None, '"' | '\'') => quote = Some(c),
            (None, '(') => depth = depth.saturating_add(1),
            (None, ')') => depth = depth.saturating_sub(1),
            (Some(open), c) if open == c => quote = None,
            (_, c) if !c.is_ascii_alphanumeric() && c != '#' => reference = false,
            _ => {}
        }
    }
    take(start, style.len());
    found
}

/// Is what this `style` attribute dresses invisible, whatever any style sheet says.
pub(super) fn is_hidden(style: &[u8]) -> bool {
    let is_plain = |octet: &u8| {
        octet.is_ascii_alphanumeric() || is_space(*octet) || b":;!-.#%,".contains(octet)
    };
    let Ok(style) = std::str::from_utf8(style) else {
        return false;
    };
    if !style.bytes().all(|octet| is_plain(&octet)) {
        return false;
    }
    let mut hidden = false;
    for one in style.to_ascii_lowercase().split(';') {
        let Some((property, value)) = one.split_once(':') else {
            continue;
        };
        let value: String = value.chars().filter(|c| !c.is_whitespace()).collect();
        match property.trim() {
            "all" => return false,
            "display" if value == "none!important" => hidden = true,
            "display" => return false,
            _ => {}
        }
    }
    hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    // T185
    #[test]
    fn every_element_says_for_itself_that_it_is_seen() {
        let html = "<p style='color: red !IMPORTANT;font-family:\"a;b\"' class=x>A<br><b>B</b></p><table bgcolor=ffcc00 cellpadding=4><tr><td align=center>C</table><img src=\"cid:x\" width=40 /><svg><path d=m/></svg>";
        let out = shown(html);
        for (piece, times) in [
            ("all:revert!important;display:block!important", 1),
            ("all:revert!important", 7),
            (
                ";color:red!important;font-family:&quot;a;b&quot;!important;font-family:sans-serif!important\"",
                1,
            ),
            ("<p class=\"x\" style=\"", 1),
            ("<br><b style=\"", 1),
            ("background-color:#ffcc00!important", 1),
            ("padding:4px!important", 1),
            ("text-align:center!important", 1),
            ("width:40px!important", 1),
            ("<path d=m/></svg>", 1),
            ("display:table-cell!important", 1),
        ] {
            assert_eq!(out.matches(piece).count(), times, "{piece} in {out}");
        }
        assert_eq!(
            shown("<!--[if mso]><p>x</p><![endif]-->a &lt; b"),
            "<!--[if mso]><p>x</p><![endif]-->a &lt; b"
        );
        for style in [AROUND, WITHIN] {
            assert!(style.lines().all(|line| line.len() < 200), "{style}");
            for one in style.split(';') {
                assert!(one.ends_with("!important") && one.contains(':'), "{one}");
            }
        }
    }

    // T185
    #[test]
    fn what_all_does_not_take_back() {
        for (html, end) in [
            ("<p>x", "unicode-bidi:revert!important\""),
            ("<p dir=rtl>x", ";direction:rtl!important\""),
            ("<p dir=auto>x", ";unicode-bidi:plaintext!important\""),
            // A font that has a name of its own, the mail could make anew.
            (
                "<p style='font-family:Arial, Verdana , SERIF'>x",
                ";font-family:serif!important\"",
            ),
            (
                "<p style='font:bold 20px Arial'>x",
                "Arial!important;font-family:sans-serif!important\"",
            ),
            (
                "<font face='Courier, monospace'>x",
                ";font-family:monospace!important\"",
            ),
        ] {
            let out = shown(html);
            let (tag, _) = out.split_once('>').expect("a tag");
            assert!(tag.ends_with(end), "{tag}");
        }
        assert!(AROUND.contains("direction:ltr!important;unicode-bidi:isolate!important"));
    }

    #[test]
    fn styles() {
        for (style, expected) in [
            ("", &[][..]),
            ("a:b", &[("a", "b")]),
            (
                "a: b ! important ; ;c:url(x;y);d",
                &[("a", "b"), ("c", "url(x;y)")],
            ),
            (
                "a:'x;y';b:&quot;c&quot;;d:e",
                &[("a", "'x;y'"), ("b", "&quot;c&quot;"), ("d", "e")],
            ),
        ] {
            assert_eq!(declarations(style), expected, "{style}");
        }
        for (style, hidden) in [
            ("display:none!important", true),
            ("max-height:0; DISPLAY : none ! important", true),
            ("display:none", false),
            ("display:none!important;display:block", false),
            ("display:none!important;all:initial!important", false),
            ("display:none!important;/*", false),
            ("display:none!important;d\\isplay:block!important", false),
            ("visibility:hidden!important", false),
            ("", false),
        ] {
            assert_eq!(is_hidden(style.as_bytes()), hidden, "{style}");
        }
    }
}
