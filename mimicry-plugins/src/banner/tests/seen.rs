//! Where the banner stands, and that it is seen there.

use super::*;

/// The text of each part that has the banner, by its section; `+` before a part that was added on top.
fn banners(message: &str) -> String {
    let before = Message::scan(message.as_bytes().to_vec(), &Limits::default());
    let (raw, _) = apply(ALL, OUT, "a@b.example", message.as_bytes());
    let after = Message::scan(raw, &Limits::default());
    let has_it = |part: &mimicry_core::message::Part<'_>| {
        let text = part.decoded().unwrap_or_default();
        text.windows(7).any(|seven| seven == b"Caution")
    };
    let added = after.leaves().count() > before.leaves().count();
    let found = after
        .leaves()
        .filter(has_it)
        .map(|part| part.section_text());
    let found: Vec<String> = found.collect();
    format!("{}{}", if added { "+" } else { "" }, found.join(" "))
}

// T185
#[test]
#[rustfmt::skip]
fn wherever_a_reader_sees_text() {
    let of = |kind: &str, parts: &[&str]| {
        let part = |head: &&str| format!("--b\r\n{}\r\n\r\n<p>x</p>\r\n", head.replace(" / ", "\r\n"));
        let parts: String = parts.iter().map(part).collect();
        format!("Subject: s\r\nMIME-Version: 1.0\r\nContent-Type: multipart/{kind}; boundary=b\r\n\r\n{parts}--b--\r\n")
    };
    const TEXT: &str = "Content-Type: text/plain";
    const HTML: &str = "Content-Type: text/html";
    const NAMED: &str = "Content-Type: text/html; name=a.html / Content-Disposition: inline; filename=a.html";
    const PDF: &str = "Content-Type: application/pdf";
    for (kind, parts, expected) in [
        ("mixed", &[TEXT, PDF][..], "1"),
        ("alternative", &[TEXT, HTML], "1 2"),
        // The last variant is what readers show.
        ("alternative", &[TEXT, HTML, HTML], "1 2 3"),
        ("mixed", &[TEXT, HTML], "1 2"),
        ("form-data", &["Content-Disposition: form-data; name=a"], "+1"),
        ("digest", &["Content-Type: message/rfc822"], "+1"),
        ("mixed", &[PDF], "+1"),
        ("related; start=\"<r@b>\"", &[HTML, "Content-Type: text/html / Content-ID: <r@b>"], "+1"),
    ] {
        assert_eq!(banners(&of(kind, parts)), expected, "{kind} {parts:?}");
    }
    for head in ["Content-Type: text/enriched", "Content-Type: message/rfc822", "Content-Type: image/png", "Content-Disposition: attachment", "Content-Type: multipart/mixed", "Content-Type: multipart/mixed; boundary=", "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64"] {
        assert_eq!(banners(&format!("Subject: s\r\nMIME-Version: 1.0\r\n{head}\r\n\r\nx\r\n")), "+1", "{head}");
    }
    // As it stands in a body, or above what some program does not take for one.
    for (kind, parts) in [("mixed", &[NAMED, TEXT][..]), ("alternative", &[TEXT, NAMED])] {
        let found = banners(&of(kind, parts));
        assert!(found == "+1" || found.ends_with(if kind == "mixed" { "1" } else { "1 2" }), "{kind} {found}");
    }
    assert!(!banners("Subject: s\r\nContent-Type: text/plain; name=a.txt\r\n\r\nx\r\n").is_empty());
}

// T185
#[test]
fn what_an_outsider_wrote_is_no_banner() {
    let options = format!("{ALL}\noptions.once = 'per-mail'");
    // The words elsewhere than on top, the class of old, and our own banner where nobody sees it.
    let old = format!(
        "<div class=\"{}-0123456789abcdef\"></div>",
        marked::mark_of("b")
    );
    for html in [
        format!("<p>x</p>{HTML}"),
        format!("<p>x</p>{old}"),
        format!("<p>x</p><div hidden>{}</div>", ours("", "")),
        ours("", "").replacen("display:block", "display:none", 1),
    ] {
        assert!(body(&options, OUT, &html_mail(&html)).is_ok(), "{html}");
    }
    assert!(body(&options, OUT, &text_mail(&format!("x\r\n{TEXT}\r\n"))).is_ok());
    for (mail, once) in [
        (html_mail(&(ours("", "") + "<p>x</p>")), "per-mail"),
        (text_mail(&format!("\r\n{TEXT}\r\nx\r\n")), "per-mail"),
        (
            html_mail(&format!("<p>x</p>{}", ours("", ""))),
            "per-thread",
        ),
        (text_mail(&format!("x\r\n> {TEXT}\r\n")), "per-thread"),
    ] {
        let options = format!(
            "{}\noptions.once = '{once}'",
            ALL.replace("options.subject_tag = '[EXTERNAL]'\n", "")
        );
        assert_eq!(body(&options, OUT, &mail), Err(Reason::Duplicate), "{mail}");
    }
    // Words in a variant that nobody reads are not the banner of the one that is read.
    let both = format!(
        "Subject: s\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\n{TEXT}\r\n\r\nx\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>x</p>\r\n--b--\r\n"
    );
    let changed = body(&options, OUT, &both).unwrap();
    assert!(changed.contains("class=\"k"), "{changed}");
}

// T185
#[test]
fn no_style_of_the_mail_reaches_it() {
    let mail = html_mail(
        "<html><head><style>body{display:none!important}</style></head><body style=\"color:red;opacity:0\"><p>x</p></body></html>",
    );
    let found = body(ALL, OUT, &mail).unwrap();
    let crlf = |text: &str| text.replace('\n', "\r\n");
    let dress = marked::DRESS;
    let (root, page, sheet) = (crlf(dress.html), crlf(dress.body), crlf(dress.sheet));
    // Ours is the first style sheet, and what stands in a tag goes before all of them.
    assert!(
        found.starts_with(&format!("<html style=\"{root}\"><head>{sheet}<style>body")),
        "{found}"
    );
    let apart = "<template shadowrootmode=\"closed\"><slot name=\"";
    assert!(
        found.contains(&format!(
            "<body style=\"color:red;{page}\" style=\"color:red;opacity:0\">\r\n{apart}"
        )),
        "{found}"
    );
    // Where an answer holds all of it, all of it goes.
    let quoted = html_mail(&found);
    let left = body(
        &ALL.replace("options.subject_tag = '[EXTERNAL]'\n", ""),
        IN,
        &quoted,
    );
    let (_, own) = mail.split_once("\r\n\r\n").unwrap();
    assert_eq!(left, Ok(own.replace("<p>x", "\r\n\r\n<p>x")));
    // The class is the same for the same mail, and another for another one.
    assert_eq!(body(ALL, OUT, &mail), Ok(found.clone()));
    let class = |text: &str| {
        text.split("class=\"")
            .nth(1)
            .map(|rest| rest[..17].to_string())
    };
    let other = body(ALL, OUT, &mail.replace("<p>x", "<p>y")).unwrap();
    assert_ne!(class(&found), class(&other));
    // Wherever they differ: of samples an outsider would know what he must leave as it is.
    let large = |at: usize| {
        let mut filler = "word\r\n".repeat(8_000);
        filler.replace_range(at..at + 4, "Word");
        let found = body(ALL, OUT, &html_mail(&format!("<p>{filler}"))).unwrap();
        class(&found).unwrap()
    };
    let classes: Vec<_> = (0..8).map(|part| large(part * 6_000 + 6)).collect();
    for (at, one) in classes.iter().enumerate() {
        assert!(!classes[..at].contains(one), "{at}: {one}");
    }
}

// T185
#[test]
#[rustfmt::skip]
fn whatever_could_reach_it_is_met() {
    let of = |html: &str| body(ALL, OUT, &html_mail(html)).unwrap();
    for (html, is_met) in [
        ("<p>x", false),
        ("<p style='color:red;position:absolute'>x", false),
        ("<head></head><body bgcolor=red>x", false),
        // A style sheet, and what can hold or fetch one.
        ("x<style>*{}</style>", true),
        ("x<link rel=stylesheet href=x>", true),
        ("x<!--[if mso]><STYLE>*{}</style><![endif]-->", true),
        // Style of what stands in front of ours.
        ("<html style=x>x", true),
        ("<head style='display:block'></head>x", true),
        ("<title style='display:block'>x</title>y", true),
        ("<body hidden>x", true),
        ("<body popover>x", true),
        ("<body topmargin=900>x", true),
        ("<body marginheight=900>x", true),
        ("x<html style=x>", true),
        // What can lie over it.
        ("x<p style='position:fixed;Z-Index:2147483647'>y", true),
        ("x<p style='position:fixed;z\\2d index:9'>y", true),
        ("x<p style='position:fixed;&#122;-index:9'>y", true),
        ("x<template ShadowRootMode=open>y</template>", true),
    ] {
        let found = of(html);
        assert_eq!(found.contains("@layer{"), is_met, "{html}");
        assert_eq!(found.contains("<template shadowrootmode=\"closed\"><slot name="), is_met, "{html}");
        let is_first = found.find("@layer{").is_none_or(|sheet| {
            let own = found.find("<style>*").or(found.find("<link")).unwrap_or(usize::MAX);
            sheet < own && found.matches("<style>\r\nhtml::before").count() == 1
        });
        assert!(is_first, "{found}");
        assert!(found.contains("class=\"k"), "{found}");
        // Once more is too much.
        let once = format!("{}\noptions.once = 'per-mail'", ALL.replace("options.subject_tag = '[EXTERNAL]'\n", ""));
        assert_eq!(body(&once, OUT, &html_mail(&found)), Err(Reason::Duplicate), "{found}");
        // Without what dresses the page, the banner of a page with style is none.
        if is_met {
            for bare in [found.replacen("::before", "::befor", 1), found.replacen("margin:0 auto", "margin:-900px", 1)] {
                assert!(body(&once, OUT, &html_mail(&bare)).is_ok(), "{bare}");
            }
        }
    }
    // What asks for a place of its own is not lost, and what asks for the focus does not get it.
    let found = of("<style></style><p slot=a>x<p slot=a>y<p slot='<b>'>z<input autofocus>");
    assert!(found.contains("z-index:0\"><slot name=\"a\"></slot><slot></slot></div></template><div class="), "{found}");
    assert!(found.contains("\" autofocus=\"\" tabindex=\"-1\" style=\"all:initial"), "{found}");
    // Nothing of ours in the text could come before these: the fallback is asked.
    for html in ["<head><title shadowrootmode>t</title></head><body>x", "x<template shadowroot=open>"] {
        let found = of(html);
        assert!(found.contains("Content-Type: text/plain") && !found.contains("class=\"k"), "{found}");
    }
}
