//! Spots, what shows, and texts, against examples and against html5gum.
//!
//! Longer than 600 lines: tables.

use std::borrow::Cow;
use std::collections::BTreeMap;

use html5gum::{DefaultEmitter, Token as Gum, Tokenizer};
use proptest::prelude::*;

use super::place::{is_blank, place_in};
use super::text::PIECE;
use super::*;
use crate::shared::text_end::TextEnd;

/// `^` in `marked` is where the spot must be.
fn spot(marked: &str, end: TextEnd) -> Result<Spot, NoPlace> {
    let at = marked.find('^');
    let spot = place(marked.replacen('^', "", 1).as_bytes(), end);
    if let Ok(spot) = &spot {
        assert_eq!(Some(spot.at), at, "{marked:?}: {:?}", spot.why);
    }
    spot
}

#[test]
fn bottom_spots() {
    use Why::{BeforeBodyEnd as Body, BeforeHtmlEnd as Html, End};
    for (html, why) in [
        ("^", End),
        ("text^", End),
        ("<p>fragment</p>\r\n^", End),
        ("<html><body>x^</body></html>", Body),
        ("<HTML><BODY>x^</BODY ></HTML>\r\n", Body),
        ("<body>x^</body\n></html>", Body),
        ("<body>x^</body/></html>", Body),
        ("<body>x^</body class='>'></html>", Body),
        ("<body>x</bodyx></body-x>^</body>", Body),
        ("<body>x</ body>< /body>^</body>", Body),
        ("<html>x^</html>", Html),
        ("<html><body>x^</html>", Html),
        // Not real end tags.
        ("<body>x^</body><!-- </body></html> -->", Body),
        ("<!-- </body> -->x^", End),
        ("<body>x<!--></body>^</body>", Body),
        ("<body>x<!-- a --!>y^</body>", Body),
        ("<body>x<!-- a -- > </body> -->y^</body>", Body),
        ("<!--[if mso]></body><![endif]--><p>x</p>^</body>", Body),
        ("<body>x^</body><!--[if mso]></body><![endif]-->", Body),
        ("<script>'</body>'</script>x^", End),
        ("x<script>document.write('</body>')</script>^</body>", Body),
        (
            "x<script><!-- <script> </script> </body> --></script>^</body>",
            Body,
        ),
        ("x<script><!--></script>^</body>", Body),
        ("x<script><!--><script></script>^</body>", Body),
        ("x<script><!-- </script>^</body>", Body),
        ("x<SCRIPT></scripty></body></Script >^</body>", Body),
        ("<style>p::after{content:'</body>'}</style>x^", End),
        ("<title></body></title>x^", End),
        ("x<textarea></body></textarea>^</body>", Body),
        ("x<xmp></body></xmp>^</body>", Body),
        ("x<iframe></body></iframe>^</body>", Body),
        ("x<noembed></body></noembed>^", End),
        ("x<noframes></body></noframes>^", End),
        ("x<noscript></body></noscript>^</body>", Body),
        ("<body>x<noscript><img src='t'></noscript>^</body>", Body),
        ("x<iframe srcdoc=\"<body>y</body>\"></iframe>^</body>", Body),
        ("<p title=\"</body>\">x^", End),
        ("<p title='</body>'>x^</body>", Body),
        ("<p title = '</body>' >x^</body>", Body),
        ("<p a\"b>x</body>\"^", End),
        ("<p =\">x</p>^</body>", Body),
        ("<p title=a\"b>x^</body>", Body),
        ("x<![CDATA[ </body> ]]>^", End),
        ("x<svg><![CDATA[ a ]]></svg>^</body>", Body),
        (
            "x<svg><style>a{}</style><title>t</title></svg>^</body>",
            Body,
        ),
        ("x<?php </body ?>^</body>", Body),
        // Something visible follows.
        ("a</body></html>b^</body></html>", Body),
        ("a</body></html>b^", End),
        ("a</body></html><p>quoted</p>^</html>", Html),
        ("a</body></html><img src='t'>^", End),
        ("a</body><body>b^</body>", Body),
        ("a</body>^</body>", Body),
        ("a</html>^</body>", Body),
        (
            "a^</body></html>\r\n\t \0<!-- x --><style>p{}</style>",
            Body,
        ),
        (
            "<blockquote><html><body>q</body></html></blockquote>me^</body></html>",
            Body,
        ),
        ("<td>x</body></html></td><br>^</body></html>", Body),
        // Unclosed, but an end tag is before it.
        ("a^</body><!-- open", Body),
        ("a^</body><script>", Body),
        ("a^</html><p title=\"", Html),
        // Conditionals of Outlook.
        ("<![if !mso]>a</body><![endif]>^</html>", Html),
        ("<!--[if !mso]><!-->a</body><!--<![endif]-->^", End),
        ("<!--[if !mso]>-->a</body><!--<![endif]-->b^</body>", Body),
        ("<!--[if mso]><table><![endif]-->a^</body>", Body),
        ("<![if !supportLists]>-<![endif]>a^</body>", Body),
        ("a<![endif]>^</body>", Body),
        ("a<noscript><!-- </noscript></body> -->^", End),
        ("a<svg><![CDATA[ > </svg></body> ]]></svg>^", End),
        // Inside a template nothing is seen; after it all is.
        ("a<template></body></template>^", End),
        ("a<template></body></template>^</body>", Body),
        ("<table><tr><td>a</body></td></tr></table>^</html>", Html),
        // Octets that are no characters.
        ("<body>\0x^</body>\0", Body),
        ("<!DOCTYPE html PUBLIC \"a>b\"><body>x^</body>", Body),
        ("x</>^</body>", Body),
        ("x<frameset>y^</body>", Body),
        ("<body><frameset>^</body>", Body),
    ] {
        assert_eq!(
            spot(html, TextEnd::Bottom).map(|spot| (spot.why, spot.close)),
            Ok((why, String::new())),
            "{html}"
        );
    }
    assert_eq!(
        place(b"\xFF<p \xE9=\"\xFF>\">\xFE</body>", TextEnd::Bottom).map(|s| s.at),
        Ok(12)
    );
}

#[test]
fn bottom_refusals() {
    use NoPlace::{Ambiguous, Comment, Conditional, Frameset, RawText, Tag, TooDeep};
    for (html, fault) in [
        (
            "<html><head></head><frameset cols='*'><frame src='a'></frameset></html>",
            Frameset,
        ),
        (
            "<frameset><noframes><body>x</body></noframes></frameset>",
            Frameset,
        ),
        ("x<!-- open", Comment),
        ("x<!-- </body>", Comment),
        ("x<!--[if mso]> </body>", Comment),
        ("x<!", Comment),
        ("x<?", Comment),
        ("x<", Tag),
        ("x</", Tag),
        ("x<p", Tag),
        ("x<p title=\"</body></html>", Tag),
        ("x<p title='a' ", Tag),
        ("x<textarea></body>", RawText),
        ("x<title></body></titles>", RawText),
        ("x<script></body>", RawText),
        ("x<script><!--<script></script></body>", RawText),
        ("x<style></body>", RawText),
        ("x<iframe>", RawText),
        ("x<noscript></body>", RawText),
        ("x<plaintext></plaintext></body>", RawText),
        ("x</body><textarea>", RawText),
        ("<![if !mso]>a</body>", Conditional),
        ("<!--[if !mso]><!-->a", Conditional),
        ("a<noscript><!-- </noscript></body>", Comment),
        ("a<noscript><!-- </noscript></body><!-- -->", Ambiguous),
        ("a<svg><style><!-- </style></svg></body><!-- -->", Ambiguous),
        (
            "a<svg><![CDATA[ > </svg></body><!-- ]]></svg> -->",
            Ambiguous,
        ),
        (&"<table><td>".repeat(257), TooDeep),
    ] {
        assert_eq!(spot(html, TextEnd::Bottom), Err(fault), "{html}");
    }
}

/// Anything quadratic would take minutes here.
#[test]
fn hostile_text_is_linear() {
    for unit in [
        "<",
        "<!--",
        "</body",
        "\"",
        "<a b=\"",
        "<title></title",
        "<script><!--<script>",
        "<noscript></noscript>",
        "</body>x",
        "<svg/><![CDATA[",
        "<table><template></table>",
        "<![if a]>",
        "<td>",
        "<a b= ",
        "--!",
    ] {
        let html = unit.repeat(500_000 / unit.len());
        for end in [TextEnd::Top, TextEnd::Bottom] {
            let at = place(html.as_bytes(), end).map_or(0, |spot| spot.at);
            assert!(at <= html.len(), "{unit}");
        }
        assert!(to_text(&html).len() <= html.len(), "{unit}");
    }
    let deep = "<video>".repeat(Nest::DEPTH - 1) + &"</table>".repeat(50_000);
    assert!(place(deep.as_bytes(), TextEnd::Bottom).is_ok());
}

#[test]
fn what_must_be_closed() {
    for (html, close) in [
        ("<table><tr><td>x^</body>", ""),
        ("<table><tr><td>x</td></tr>^</body>", "</table>"),
        (
            "<table><tr><td>x<table><tr><td>y</td></tr>^</body>",
            "</table>",
        ),
        ("<table><tr><td>x<td>y<tr>^</body>", "</table>"),
        ("<table><caption>x^", ""),
        ("x<template>^", "</template>"),
        ("x<select><option>y^</body>", "</select>"),
        ("x<video><table><td>^</html>", "</table></video>"),
        ("<object>x</object>^</body>", ""),
        ("<template><table></template>x^</body>", ""),
        ("<table><template></table>^", "</template></table>"),
        ("x<svg><text>y^", "</svg>"),
        ("x<svg/>y^", ""),
        ("x<svg/a>y^", "</svg>"),
        ("x<svg/ >y^", "</svg>"),
        ("x<svg a/>y^", ""),
        ("x<svg><p>y^", ""),
        ("x<select><select>y^", ""),
        ("x<math>y</svg>^</body>", "</math>"),
    ] {
        assert_eq!(
            spot(html, TextEnd::Bottom)
                .map(|spot| spot.close)
                .as_deref(),
            Ok(close),
            "{html}"
        );
    }
}

#[test]
fn top_spots() {
    use Why::{
        AfterBodyStart as Body, AfterDoctype as Doctype, AfterHead as Head, AfterHtmlStart as Html,
        Start,
    };
    for (html, why) in [
        ("^", Start),
        ("^text", Start),
        ("^<p>x<body>y", Start),
        ("\u{FEFF}^text", Start),
        ("<html><head><title>t</title></head><body>^x</body>", Body),
        ("<BODY bgcolor=\"#fff\" title=\"a>b\" onload='x>y'>^x", Body),
        ("<body/>^x", Body),
        ("<!-- <body> --><body>^x", Body),
        ("<script>'<body>'</script><body>^x", Body),
        ("<style><body></style><body>^<body>", Body),
        ("<title><body></title><body>^x", Body),
        ("^<bodyx>", Start),
        ("<html><head><style>p{}</style></head>^<p>x", Head),
        (
            "<html><head><meta charset='utf-8'><style>p{}</style>^<p>x",
            Head,
        ),
        ("<html><head>^x", Head),
        ("<html lang='>'>^\r\n<p>x", Html),
        ("<!DOCTYPE html>^\r\n<p>x", Doctype),
        ("<?xml version='1.0'?>^<p>x", Doctype),
        (
            "<?xml version='1.0'?>\n<!DOCTYPE html>\n<html><body>^x",
            Body,
        ),
        (
            "<head><noscript><style>a{}</style></noscript></head><body>^x",
            Body,
        ),
        ("<head>^<noscript><img></noscript></head><body>x", Head),
        // A conditional of Outlook may hold another body tag.
        (
            "<!--[if !mso]><!--><body class=a><!--<![endif]-->^<!--[if mso]><body class=b><![endif]-->x",
            Body,
        ),
        ("<html>^<![if !mso]><body>x<![endif]>", Html),
        ("<!--[if mso]><xml></xml><![endif]--><body>^x", Body),
        // What comes after the spot is of no concern.
        ("<body>^<!-- open", Body),
        ("^<!-- open", Start),
        ("^<p title=\"", Start),
        ("<html><head>^<title>open", Head),
        ("^<textarea><body>", Start),
        ("^<plaintext><body>", Start),
        ("^<template><body></template>", Start),
        ("^<table>", Start),
    ] {
        assert_eq!(
            spot(html, TextEnd::Top).map(|spot| (spot.why, spot.close)),
            Ok((why, String::new())),
            "{html}"
        );
    }
    assert_eq!(
        spot("<html><head></head><frameset>", TextEnd::Top),
        Err(NoPlace::Frameset)
    );
}

#[test]
fn what_shows() {
    for (marked, seen) in [
        ("^", true),
        ("a^b", true),
        ("<p>^a</p>", true),
        ("<p^>a</p>", false),
        ("<a title='^'>", false),
        ("<!-- ^ -->", false),
        ("<!-- --^>", false),
        ("<script>^</script>", false),
        ("<script>a^</script>", false),
        ("<textarea>^", false),
        ("<style></style>^", true),
        ("<table>^<tr><td>", false),
        ("<table><tr>^<td>", false),
        ("<table><tr><td>^", true),
        ("<table></table>^", true),
        ("<select>^</select>", false),
        ("<template>^</template>", false),
        ("<![if !mso]>^<![endif]>", false),
        ("<![if !mso]><![endif]>^", true),
        ("<frameset>^", false),
        ("<noscript>^</noscript>", false),
        ("<noscript><p>a</noscript>^", true),
        ("<noscript><!-- </noscript>^ -->", false),
    ] {
        let at = marked.find('^').expect("a mark");
        let html = marked.replacen('^', "", 1);
        assert_eq!(shows(html.as_bytes(), at), seen, "{marked}");
    }
    assert!(!shows(b"a", 2));
}

#[test]
fn html_from_text() {
    for (text, html) in [
        ("", ""),
        ("\n \n", ""),
        ("a", "<p>a</p>\n"),
        ("a\nb\r\nc\rd", "<p>a<br>\nb<br>\nc<br>\nd</p>\n"),
        ("a\r\n\r\n\r\nb\n", "<p>a</p>\n<p>b</p>\n"),
        (
            "a < b & \"c\" 'd' >",
            "<p>a &lt; b &amp; &quot;c&quot; &#39;d&#39; &gt;</p>\n",
        ),
        (
            "https://a.example/?b&c",
            "<p>https://a.example/?b&amp;c</p>\n",
        ),
        ("  a   b  ", "<p>&nbsp; a &nbsp; b</p>\n"),
        ("a\u{7}b\0é", "<p>abé</p>\n"),
    ] {
        assert_eq!(from_text(text), html);
    }
}

#[test]
fn text_from_html() {
    for (html, text) in [
        ("", ""),
        (" <p> a \n b\t</p> ", "a b"),
        ("<p>a</p><p>b</p>", "a\n\nb"),
        ("a<br>b<br/><br>c", "a\nb\n\nc"),
        ("<div>a</div><div><div>b</div></div>c", "a\nb\nc"),
        ("<b>a</b><i>b</i> <u> c</u>", "ab c"),
        ("&lt;&amp;&eacute;&#8364;&nbsp;x&quot;&copy", "<&é€ x\"©"),
        (
            "<head><title>t</title><style>p{}</style></head><script>x<y</script>a<!-- b -->",
            "a",
        ),
        (
            "<a href='https://a.example/'>here</a>.",
            "here <https://a.example/>.",
        ),
        ("<a href='https://a.example/'>a.example</a>", "a.example"),
        (
            "<a href='https://a.example/'>https://A.example</a>",
            "https://A.example",
        ),
        (
            "<a href='mailto:x@a.example'>x@a.example</a>",
            "x@a.example",
        ),
        (
            "<a href='mailto:x@a.example'>write</a>",
            "write <x@a.example>",
        ),
        (
            "<a href='mailto:x@\r\na.exa\tmple'>write</a>",
            "write <x@a.example>",
        ),
        (
            "<a href='#top'>up</a> <a>b</a> <a href='javascript:x'>c</a>",
            "up b c",
        ),
        (
            "see <a href='http://a.example'></a>",
            "see http://a.example",
        ),
        ("<a href='http://a.example'>open", "open <http://a.example>"),
        (
            "<a href='http://a.example'><p>block</p></a>b",
            "block <http://a.example>\n\nb",
        ),
        (
            "a<ul><li>b<li>c<ul><li>d</ul></ul>e",
            "a\n\n- b\n- c\n  - d\n\ne",
        ),
        ("<ol start=3><li>a</li><li>b</li></ol>", "3. a\n4. b"),
        (
            "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>",
            "a b\nc",
        ),
        ("a<hr>b", "a\n----------------------------------------\nb"),
        ("<pre>a\n  b  \nc</pre>d", "a\n  b\nc\n\nd"),
        ("<img alt='Logo' src='x'> a", "Logo a"),
        ("a&shy;b\0", "ab"),
        ("<p>a<br></p>b", "a\n\nb"),
    ] {
        assert_eq!(to_text(html), text, "{html}");
    }
}

// T191
/// Given away in pieces the text is what it is in one.
#[test]
fn t191_a_long_text_is_given_away_in_small_pieces() {
    for (piece, text) in [
        ("<p>a&amp;b</p>\n", "a&b\n\n"),
        ("a&amp;", "a&"),
        ("word ", "word "),
        ("<pre>a  \n</pre>", "a\n\n"),
        ("<a href=http://a.example>b</a> ", "b <http://a.example> "),
    ] {
        let count = 100_000;
        let (mut whole, mut longest) = (String::new(), 0);
        text_in_pieces(&piece.repeat(count), &mut |piece| {
            whole.push_str(piece);
            longest = longest.max(piece.len());
        });
        assert_eq!(whole, text.repeat(count).trim_end(), "{piece}");
        assert!(longest <= 3 * PIECE, "{piece}: {longest}");
    }
    let link = format!("<a href=http://a.example>{}</a>.", "b ".repeat(50_000));
    assert!(to_text(&link).ends_with("b b <http://a.example>."));
    let attributes: String = (0..50_000).map(|number| format!("a{number} ")).collect();
    assert_eq!(to_text(&format!("<p {attributes}>x")), "x");
    assert_eq!(
        to_text("<a href='http://a.example/?b&copy=c&amp;d'>x</a> a<"),
        "x <http://a.example/?b&copy=c&d> a<"
    );
}

#[test]
fn escaping() {
    assert!(matches!(escape("aé"), Cow::Borrowed("aé")));
    assert_eq!(escape("<a b='&\">"), "&lt;a b=&#39;&amp;&quot;&gt;");
}

/// Everything but text and errors, with its extent, as html5gum sees it.
fn oracle(html: &[u8]) -> Vec<(String, usize, usize)> {
    let mut emitter = DefaultEmitter::<usize>::new_with_span();
    emitter.naively_switch_states(true);
    Tokenizer::new_with_emitter(html, emitter)
        .flatten()
        .filter_map(|token| {
            let (kind, span) = match token {
                Gum::StartTag(tag) => {
                    (format!("{:?}", Event::Start(Tag::new(&tag.name))), tag.span)
                }
                Gum::EndTag(tag) => (format!("{:?}", Event::End(Tag::new(&tag.name))), tag.span),
                Gum::Comment(comment) => ("Comment".to_owned(), comment.span),
                Gum::Doctype(doctype) => ("Doctype".to_owned(), doctype.span),
                Gum::String(_) | Gum::Error(_) => return None,
            };
            Some((kind, span.start, span.end))
        })
        .collect()
}

/// Tokens without their extents, text octet by octet.
fn flat(html: &[u8]) -> Vec<String> {
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let mut out = Vec::new();
    for token in Tokenizer::new_with_emitter(html, emitter).flatten() {
        match token {
            Gum::String(text) => out.extend(text.iter().map(u8::to_string)),
            Gum::Error(_) => {}
            token => out.push(format!("{token:?}")),
        }
    }
    out
}

fn soup() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "<html>",
        "</html>",
        "<head>",
        "</head>",
        "<body>",
        "<BODY a='>'>",
        "</body>",
        "</Body >",
        "<p>",
        "</p>",
        "<p a=\"",
        "<p b='",
        "\"",
        "'",
        ">",
        "/>",
        "<",
        "</",
        "<!",
        "<!--",
        "-->",
        "--!>",
        "<!-->",
        "<!--->",
        "-",
        "--",
        "!",
        "=",
        " ",
        "\r\n",
        "x",
        "&amp;",
        "&",
        "&am",
        "<script>",
        "</script>",
        "<script",
        "</script",
        "<!-- <script>",
        "<style>",
        "</style>",
        "<title>",
        "</title ",
        "<textarea>",
        "</textarea>",
        "<xmp>",
        "</xmp>",
        "<plaintext>",
        "<template>",
        "</template>",
        "<table>",
        "<tr>",
        "<td>",
        "</td>",
        "</table>",
        "<select>",
        "</select>",
        "<svg>",
        "</svg>",
        "<![CDATA[",
        "]]>",
        "<!DOCTYPE html",
        "<?xml ?>",
        "<iframe>",
        "</iframe>",
        "<![if !mso]>",
        "<![endif]>",
        "<!--[if mso]>",
        "<![endif]-->",
        "<!--[if !mso]><!-->",
        "<!--<![endif]-->",
        "\0",
        "<a href=x",
        "<a =\">",
        "/",
        "<noscript>",
        "</noscript>",
        "<frameset>",
    ])
    .prop_map(|text| text.as_bytes().to_vec());
    let piece = prop_oneof![20 => known, 1 => prop::collection::vec(any::<u8>(), 1..4)];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// Start and end tags of attributes in every form, right and wrong.
fn tags() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        " ",
        "\t",
        "\r\n",
        "/",
        "=",
        "\"",
        "'",
        ">",
        "<",
        "<p",
        "</p",
        "a",
        "b",
        "B-c",
        "d:e",
        "x=\"y\"",
        " x='y>'",
        "=\"",
        "\" ",
        " nowrap",
        " long-name-of-an-attribute",
        "=value",
        "a text of some length",
        "é",
        "\0",
    ]);
    let all = prop::collection::vec(pieces, 0..40);
    all.prop_map(|pieces| format!("<p{}", pieces.concat()).into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// Who goes over a page again, wherever the first scan has ended, finds the same place.
    #[test]
    fn what_was_found_is_not_looked_for_again(html in soup(), count in 0usize..24) {
        let mut found = Found::default();
        let mut scan = Scan::new(&html, Reading::BROWSER);
        for _ in 0..count {
            let Some(token) = scan.next() else { break };
            found.note(&scan, token);
        }
        found.stop(&scan);
        for end in [TextEnd::Top, TextEnd::Bottom] {
            prop_assert_eq!(place_in(&html, end, &found), place(&html, end));
        }
        let other = html.clone();
        prop_assert_eq!(place_in(&other, TextEnd::Bottom, &found), place(&html, TextEnd::Bottom));
    }

    /// The scanner and html5gum see the same tags, comments and doctypes at the same octets.
    #[test]
    fn scans_as_html5gum(html in prop_oneof![soup(), tags()]) {
        let mut ours = Vec::new();
        let mut open = None;
        let mut end = 0;
        for token in Scan::new(&html, Reading::BROWSER) {
            prop_assert_eq!(token.start, end);
            prop_assert!(token.end > token.start || matches!(token.event, Event::Open(_)));
            end = token.end;
            match token.event {
                Event::Text | Event::Raw => {}
                // `</>` is nothing at all.
                Event::Comment if token.end - token.start == 3 && html[token.start + 1] == b'/' => {}
                Event::Open(_) => open = Some(token.start),
                event => ours.push((format!("{event:?}"), token.start, token.end)),
            }
        }
        prop_assert_eq!(end, html.len());
        let mut theirs = oracle(&html);
        // What the text's end cuts off is a comment or doctype to html5gum where it is not dropped.
        if let Some(open) = open {
            let cut = theirs.iter().position(|(_, start, _)| *start >= open).unwrap_or(theirs.len());
            let rest = theirs.split_off(cut);
            prop_assert!(rest.iter().all(|(kind, ..)| kind == "Comment" || kind == "Doctype"), "{:?}", rest);
            prop_assert!(rest.len() <= 1);
        }
        prop_assert_eq!(ours, theirs);
    }

    /// The first attribute of each name, as html5gum reads it; what it decodes or replaces is left out.
    #[test]
    fn reads_attributes_as_html5gum(html in prop_oneof![soup(), tags()]) {
        let mut scan = Scan::new(&html, Reading::BROWSER);
        let mut ours = Vec::new();
        while let Some(token) = scan.next() {
            if matches!(token.event, Event::Start(_)) {
                let mut first = BTreeMap::new();
                for (name, value) in scan.attributes_of(token) {
                    first.entry(name.to_ascii_lowercase()).or_insert_with(|| value.to_vec());
                }
                ours.push(first);
            }
        }
        let mut emitter = DefaultEmitter::default();
        emitter.naively_switch_states(true);
        let theirs = Tokenizer::new_with_emitter(&html, emitter).flatten().filter_map(|token| match token {
            Gum::StartTag(tag) => Some(tag.attributes),
            _ => None,
        });
        for (ours, theirs) in ours.into_iter().zip(theirs) {
            prop_assert_eq!(ours.len(), theirs.len());
            // NUL becomes U+FFFD there.
            if ours.keys().flatten().any(|&b| b == 0) {
                continue;
            }
            for (ours, (name, value)) in ours.iter().zip(&theirs) {
                prop_assert_eq!(ours.0, &name.to_vec());
                if !ours.1.iter().any(|b| matches!(b, b'&' | b'\0' | b'\r')) {
                    prop_assert_eq!(ours.1, &value.to_vec());
                }
            }
        }
    }

    /// Between tokens, where ours shows, it is markup, and all else stays what it was.
    #[test]
    fn what_shows_is_markup(html in soup()) {
        let spots: Vec<usize> = Scan::new(&html, Reading::BROWSER).map(|token| token.end).collect();
        for at in spots.into_iter().filter(|&at| shows(&html, at)) {
            let block = b"<p class=ours>OURS</p>\n";
            let (before, after) = html.split_at(at);
            let (old, new, block) = (flat(&html), flat(&[before, block, after].concat()), flat(block));
            let from = new.iter().position(|token| token.contains("ours")).expect("our tag");
            prop_assert_eq!(&new[..from], &old[..from]);
            prop_assert_eq!(&new[from..from + block.len()], &block[..]);
            prop_assert_eq!(&new[from + block.len()..], &old[from..]);
        }
    }

    /// What goes in at the spot is markup there, and all else stays what it was.
    #[test]
    fn the_block_is_seen(html in soup(), end in prop::sample::select(vec![TextEnd::Top, TextEnd::Bottom])) {
        if let Ok(Spot { at, close, .. }) = place(&html, end) {
            prop_assert!(at <= html.len());
            let block = format!("{close}\r\n<p class=ours>OURS</p>\n");
            let (before, after) = html.split_at(at);
            let new = [before, block.as_bytes(), after].concat();
            let (old, new, block) = (flat(&html), flat(&new), flat(block.as_bytes()));
            let mark = new.iter().position(|token| token.contains("ours")).expect("our tag");
            let from = mark - block.iter().position(|token| token.contains("ours")).expect("our tag");
            prop_assert_eq!(&new[from..from + block.len()], &block[..]);
            prop_assert_eq!(&new[..from], &old[..from]);
            prop_assert_eq!(&new[from + block.len()..], &old[from..]);
        }
    }

    /// Only what cannot be seen follows at the bottom, or precedes at the top.
    #[test]
    fn nothing_visible_beyond(html in soup(), end in prop::sample::select(vec![TextEnd::Top, TextEnd::Bottom])) {
        if let Ok(Spot { at, .. }) = place(&html, end) {
            let beyond = |token: &Token| (token.start >= at) == (end == TextEnd::Bottom);
            let scan = Scan::new(&html, Reading::BROWSER).collect::<Vec<_>>();
            for token in scan.iter().filter(|token| beyond(token)) {
                let text = &html[token.start..token.end];
                let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
                let seen = match token.event {
                    Event::Text => !is_blank(text),
                    Event::Start(tag) => !tag.is_invisible() && tag != Tag::Noscript,
                    _ => false,
                };
                prop_assert!(!seen, "{:?}", token);
            }
        }
    }

    #[test]
    fn text_survives_html(text in "[a-z<>&\"'é;#]{1,6}(( |\n|\n\n)[a-z<>&\"'é;#]{1,6}){0,8}") {
        prop_assert_eq!(to_text(&from_text(&text)), text.clone());
        prop_assert_eq!(to_text(&escape(&text)), text.split_whitespace().collect::<Vec<_>>().join(" "));
    }

    #[test]
    fn text_never_ends_in_blanks(html in soup()) {
        let text = to_text(&String::from_utf8_lossy(&html));
        prop_assert!(text.split('\n').all(|line| !line.ends_with(' ')));
        prop_assert!(!text.ends_with('\n') && !text.starts_with('\n'));
    }
}
