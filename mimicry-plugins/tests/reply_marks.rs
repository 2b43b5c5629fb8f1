//! The replies of `tests/replies` and the laws of [`reply_marks`]: where the quoted mail begins.
//!
//! A reply says by a token where ours is to go, how sure that is, and what must have been recognised:
//! `⟦HERE gmail_quote⟧` or `⟦LOW quoted-lines⟧`. Without a token its name says why there is no place: `none-…` for no
//! quoted mail, `below-…` for own text below it. In plain text the place must be exact; in HTML only white space may
//! lie between it and the token. Each is judged with LF and with CRLF.

use std::fmt::Write;
use std::path::Path;

use html5gum::{DefaultEmitter, Token, Tokenizer};
use mimicry_plugins::shared::reply_marks::{Confidence, Nowhere, Seam, in_html, in_text};
use proptest::prelude::*;

/// Name, form and octets of each reply, in the order of their names.
fn replies() -> Vec<(String, bool, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/replies");
    let mut replies: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with("README.md"))
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let is_html = match path.extension().and_then(|extension| extension.to_str()) {
                Some("html") => true,
                Some("txt") => false,
                _ => panic!("{name}"),
            };
            (name, is_html, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    replies.sort();
    replies
}

/// The reply without its token, and what it must come to.
fn expected(name: &str, marked: &str) -> (String, Result<(usize, Confidence, String), Nowhere>) {
    let tokens = marked.matches('⟦').count();
    assert!(tokens <= 1, "{name}: {tokens} tokens");
    let Some((before, rest)) = marked.split_once('⟦') else {
        let reason = match name.split_once('-') {
            Some(("none", _)) => Nowhere::NoQuote,
            Some(("below", _)) => Nowhere::OwnTextBelow,
            _ => panic!("{name} has no token"),
        };
        return (marked.to_owned(), Err(reason));
    };
    let (token, after) = rest.split_once('⟧').unwrap();
    let (confidence, mark) = match token.split_once(' ').unwrap() {
        ("HERE", mark) => (Confidence::High, mark),
        ("LOW", mark) => (Confidence::Low, mark),
        _ => panic!("{name}: {token}"),
    };
    let place = (before.len(), confidence, mark.to_owned());
    (format!("{before}{after}"), Ok(place))
}

fn find(is_html: bool, body: &str) -> Result<Seam, Nowhere> {
    if is_html {
        in_html(body)
    } else {
        in_text(body)
    }
}

#[test]
fn each_reply_has_its_place() {
    let mut wrong = String::new();
    for (name, is_html, marked) in replies() {
        for marked in [marked.clone(), marked.replace('\n', "\r\n")] {
            let (body, wanted) = expected(&name, &marked);
            let found = find(is_html, &body);
            let right = match (&found, &wanted) {
                (Ok(found), Ok((at, confidence, mark))) => {
                    let (from, to) = (found.offset.min(*at), found.offset.max(*at));
                    let between = body.get(from..to).unwrap_or("?");
                    found.confidence == *confidence
                        && found.mark == mark
                        && (from == to || is_html && between.trim_ascii().is_empty())
                }
                (Err(found), Err(wanted)) => found == wanted,
                _ => false,
            };
            if !right {
                let shown = found
                    .as_ref()
                    .ok()
                    .map(|found| body[found.offset..].chars().take(60).collect::<String>());
                writeln!(wrong, "{name}: {found:?} {shown:?}, wanted {wanted:?}").unwrap();
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn replies_cover_programs_tongues_and_forms() {
    let names: Vec<String> = replies().into_iter().map(|(name, ..)| name).collect();
    let count = |test: &dyn Fn(&str) -> bool| names.iter().filter(|name| test(name)).count();
    for tongue in [
        "en", "de", "fr", "es", "it", "nl", "pt", "pl", "sv", "cs", "ru", "ja", "zh",
    ] {
        for form in ["txt", "html"] {
            let end = format!("-{tongue}.{form}");
            assert!(count(&|name| name.ends_with(&end)) >= 4, "{end}");
        }
    }
    for program in [
        "gmail-web",
        "gmail-android",
        "outlook-desktop",
        "outlook-web",
        "outlook-mobile",
        "apple-mail",
        "ios",
        "thunderbird",
        "yahoo",
        "proton",
        "notes",
        "k9",
        "fairemail",
        "samsung",
        "gmx",
        "zimbra",
        "roundcube",
        "sogo",
        "fastmail",
    ] {
        for form in [".txt", ".html"] {
            let has = |name: &str| name.starts_with(program) && name.ends_with(form);
            assert!(count(&has) > 0, "{program}{form}");
        }
    }
    let nowhere = |name: &str| name.starts_with("none-") || name.starts_with("below-");
    assert!(count(&nowhere) >= 15);
    assert!(names.len() - count(&nowhere) >= 80);
}

const UNCERTAIN: &[&str] = &[
    "On Mon, Nov 23, 2026 at 4:58 AM Bob <bob@example.net> wrote:",
    "On Mon, Nov 23, 2026 at 4:58 AM Bob <\nbob@example.net> wrote:",
    "Am 23.11.2026 um 04:58 schrieb Bob:",
    "Bob Example wrote on Monday, 23 November 2026:",
    "Quoting Bob <bob@example.net>:",
    "-----Original Message-----",
    "-------- Weitergeleitete Nachricht --------",
    "---- Skeyti ----",
    "--- On Mon, 11/23/26, Bob <bob@example.net> wrote:",
    "Expedidor: Bob <bob@example.net>\nExpedido: 23/11/2026 04:58\nArgumento: x",
    "From: Bob <bob@example.net>\nExpedido: 23 November 2026 04:58\nArgumento: x",
];

const CERTAIN: &[&str] = &[
    "From: a\nSent: b\nTo: c\nSubject: d\n\nx\n",
    "-----Original Message-----\nFrom: Carl\nx\n",
    "On 22/11/2026 21:58, Carl wrote:\n> x\n",
    "Begin forwarded message:\n\n> From: Carl\n",
    "> Begin forwarded message:\n>\n> x\n",
];

/// Tags, comments and doctypes, and the text octet by octet.
fn tokens(html: &[u8]) -> Vec<String> {
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let mut out = Vec::new();
    for token in Tokenizer::new_with_emitter(html, emitter).flatten() {
        match token {
            Token::String(text) => out.extend(text.iter().map(u8::to_string)),
            Token::Error(_) => {}
            token => out.push(format!("{token:?}")),
        }
    }
    out
}

/// A block put in at the place is one element more and changes no other token.
fn is_between_tokens(html: &str, at: usize) -> bool {
    let block = "<p class=ours>";
    let (before, after) = html.split_at(at);
    let (old, new) = (
        tokens(html.as_bytes()),
        tokens([before, block, after].concat().as_bytes()),
    );
    let Some(mark) = new.iter().position(|token| token.contains("ours")) else {
        return false;
    };
    new.len() == old.len() + 1 && new[..mark] == old[..mark] && new[mark + 1..] == old[mark..]
}

#[test]
fn places_in_the_replies_are_between_tokens() {
    for (name, is_html, marked) in replies() {
        let (body, _) = expected(&name, &marked);
        if is_html && let Ok(place) = in_html(&body) {
            assert!(is_between_tokens(&body, place.offset), "{name}");
        }
    }
}

fn pieces(known: &'static [&'static str]) -> impl Strategy<Value = String> {
    let known = prop::sample::select(known).prop_map(str::to_owned);
    let piece = prop_oneof![30 => known, 1 => ".{1,3}"];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

#[rustfmt::skip]
fn text_soup() -> impl Strategy<Value = String> {
    pieces(&[
        "\n", "\r\n", "\n\n", "> ", ">", ">\n", "> a\n", "a\n", "é", "。", "\u{FEFF}", " ", "\t",
        "On 19/03/2024 15:58, Laura <l@a.example> wrote:\n", "On 19/03/2024 15:58,\n", "wrote:\n", "15:58写道：\n", "Laura <l@a.example>",
        "-----Original Message-----\n", "From: x\n", "Sent: y\n", "To: z@a.example\n", "Subject: s\n", "__________\n", "-- \n", "--- x ---\n",
        "Begin forwarded message:\n", "Sent from my phone\n", "    ",
    ])
}

#[rustfmt::skip]
fn html_soup() -> impl Strategy<Value = String> {
    pieces(&[
        "<div class=gmail_quote>", "<div class='gmail_attr'>", "<blockquote type=cite>", "<blockquote>", "</blockquote>", "<div>", "</div>",
        "<p>", "</p>", "<br>", "<hr>", "<hr id=zwchr>", "<div id=\"divRplyFwdMsg\">", "<div class=\"moz-cite-prefix\">", "<div class=yahoo_quoted>",
        "On 19/03/2024 15:58, Laura wrote:", "From: x<br>", "Sent: y<br>", "To: z<br>", "Subject: s<br>", "-----Original Message-----<br>",
        "text", " ", "\n", "é", "&gt; q<br>", "&nbsp;", "<table>", "<tr>", "<td>", "</td>", "</tr>", "</table>", "<a title='", "<a title=\"", "'", "\"",
        ">", "<", "<!--", "-->", "<!-- x -->", "<script>", "</script>", "<style>", "</style>", "<title>", "</title>", "<pre>", "</pre>", "<svg>", "</svg>",
        "<![CDATA[", "]]>", "<noscript>", "</noscript>", "<select>", "</select>", "<template>", "</template>", "<textarea>", "</textarea>",
        "<body>", "<html>", "<head>", "</head>", "</body>", "<img src=x>", "<![if !mso]>", "<![endif]>", "<!--[if mso]>", "<![endif]-->", "<frameset>", "</",
        "<plaintext>", "&am", "&amp;", "<span>", "</span>", "<div id=Signature>",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8192))]

    #[test]
    fn a_place_in_text_is_the_start_of_a_line(text in text_soup()) {
        if let Ok(Seam { offset, .. }) = in_text(&text) {
            let (before, after) = text.split_at_checked(offset).expect("a place in the text");
            let is_start = before.is_empty() || before == "\u{FEFF}" || before.ends_with('\n');
            prop_assert!(is_start);
            prop_assert!(!after.trim().is_empty());
        }
    }

    #[test]
    fn a_place_in_html_is_between_tokens(html in html_soup()) {
        if let Ok(Seam { offset, .. }) = in_html(&html) {
            prop_assert!(html.is_char_boundary(offset));
            prop_assert!(is_between_tokens(&html, offset), "{}", offset);
        }
    }

    /// What stands below a header block is of no account, nor what stands far above it.
    #[test]
    fn a_header_block_settles_it(above in "[a-z \n]{0,80}", below in text_soup()) {
        let above = format!("{above}\n\n");
        let text = format!("{above}From: a\nSent: b\nTo: c\nSubject: d\n\n{below}");
        prop_assert_eq!(in_text(&text), Ok(Seam { offset: above.len(), confidence: Confidence::High, mark: "header-block" }));
    }

    /// What may be a mark caps what is one: ours never stands between the two.
    #[test]
    fn an_uncertain_mark_caps_a_certain_one(
        above in "([a-z]{1,9} ){1,3}\n\n",
        uncertain in prop::sample::select(UNCERTAIN),
        between in "\n([a-z]{1,9} ){1,3}\n\n",
        certain in prop::sample::select(CERTAIN),
    ) {
        let text = format!("{above}{uncertain}\n{between}{certain}");
        match in_text(&text) {
            Ok(place) if place.confidence == Confidence::High => prop_assert_eq!(place.offset, above.len()),
            Ok(_) | Err(_) => {}
        }
        let lines = text.lines().map(|line| format!("<div>{}</div>\n", line.replace('<', "&lt;")));
        let html: String = lines.collect();
        if let Ok(place) = in_html(&html)
            && place.confidence == Confidence::High
        {
            let mark = uncertain.lines().next().unwrap().replace('<', "&lt;");
            prop_assert!(place.offset < html.find(&mark).unwrap(), "{}", place.mark);
        }
    }

    /// Own text at the very end is never above ours by mistake.
    #[test]
    fn own_text_below_is_seen(quoted in "(> [a-z]{1,9}\n){1,5}", below in "[a-z]{5,30}( [a-z]{5,30}){0,3}") {
        let text = format!("On 19/03/2024 15:58, Laura wrote:\n{quoted}\n{below}\n");
        prop_assert_eq!(in_text(&text), Err(Nowhere::OwnTextBelow));
    }
}
