//! Patterns that are doubtful, and what is said of each.

use super::*;

fn said(key: &str, pattern: &str) -> String {
    match doubt(key, pattern) {
        None => "-".into(),
        Some(Advice {
            instead: Some(regex),
            ..
        }) => regex,
        Some(Advice { message, .. }) => message.split(':').next().unwrap().into(),
    }
}

#[test]
fn doubtful_patterns() {
    for (key, pattern, expected) in [
        ("filename", r"\\.exe$", r"\.exe$"),
        ("sender", r"@example\\.org$", r"@example\.org$"),
        ("auth_user", r"EXAMPLE\\anna", "-"),
        ("header.x-path", r"C:\\.tmp", "-"),
        ("filename", "\u{8}setup", r"\bsetup"),
        ("filename", "a\n", "a"),
        ("filename", "\\.exe\u{200b}$", r"\.exe$"),
        ("sender", "\u{feff}@example\\.org$", r"@example\.org$"),
        ("header.subject", "a\u{a0}b", "a b"),
        ("filename", r"/\.exe$/", r"\.exe$"),
        ("sender", r"/@example\.org$/i", r"@example\.org$"),
        ("type", "/pdf", "-"),
        ("header.x-url", "/a/", "-"),
        ("header.subject", "/urgent/i", "urgent"),
        ("sender", r"@example\.org$ ", r"@example\.org$"),
        ("sender", r" @example\.org$", r"@example\.org$"),
        ("sender", r"^ anna@example\.org$", r"^anna@example\.org$"),
        ("header.subject", "^ Re:", "^Re:"),
        ("header.subject", "Re: ", "-"),
        ("header.subject", r"^[^ ]+$", "-"),
        ("filename", "annual report", "-"),
        ("header.subject", "^Subject: offer", "^offer"),
        ("header.Subject", r"subject:\s*offer", "offer"),
        ("header.subject", "subjects: offer", "-"),
        ("sender", "^<>$", "^$"),
        ("sender", "<>", "^$"),
        ("sender", "^$", "-"),
        (
            "recipient",
            r"^<anna@example\.org>$",
            r"^anna@example\.org$",
        ),
        ("header_sender", r"<.*@example\.org>", r"^.*@example\.org$"),
        ("sender", "(?P<user>anna)@", "-"),
        ("header.from", "<anna", "-"),
        ("filename", r"\.(exe|scr)$|", r"\.(exe|scr)$"),
        ("filename", r"\.(exe||scr)", r"\.(exe|scr)"),
        ("filename", "(exe||scr)$", "(exe|scr)$"),
        ("filename", "(exe|scr|)$", "(exe|scr)$"),
        ("filename", "^(|invoice)", "^(invoice)"),
        ("filename", "^(|invoice)$", "-"),
        ("filename", r"a\||b", "-"),
        ("filename", "[||]a", "-"),
        ("filename", r"\\\\.exe$", r"\.exe$"),
        ("filename", r"\\\.exe$", r"\.exe$"),
        ("auth_user", "/^anna$/", "^anna$"),
        (
            "type",
            r"^application/pdf; name=x\.pdf",
            "^application/pdf$",
        ),
        ("type", "^Content-Type: text/html", "^text/html"),
        ("disposition", "attachment; filename=x", "attachment$"),
        ("type", "^text/(html|plain)$", "-"),
        (
            "recipient",
            "^tom@example.net, anna@example.net$",
            "this regex can never hold",
        ),
        (
            "recipient",
            "tom@example.net;anna@example.net",
            "this regex can never hold",
        ),
        ("recipient", r#"^"a,b"@example\.net$"#, "-"),
        (
            "header_sender",
            r"^Anna <anna@example\.org>$",
            r"^anna@example\.org$",
        ),
        (
            "header_sender",
            r"^Anna Berg <.*@example\.org>",
            r"^.*@example\.org$",
        ),
        ("sender", "@*.example.org", r"@.*\.example\.org$"),
        ("recipient", r"example\.org$", r"[@.]example\.org$"),
        ("recipient", "example.org$", r"[@.]example\.org$"),
        ("recipient", r"\.example\.org$", "-"),
        ("recipient", r"[@.]example\.org$", "-"),
        ("recipient", r"anna@example\.org$", "-"),
        ("filename", "(exe|)", "(exe)"),
        ("filename", "|exe", "exe"),
        (
            "filename",
            "a*",
            "this regex holds for a file name of any form",
        ),
        (
            "filename",
            "(a|b)?",
            "this regex holds for a file name of any form",
        ),
        ("filename", ".*", "-"),
        ("filename", ".", "-"),
        ("header.list-id", "^", "-"),
        ("filename", r"\.exe$x", "this regex can never hold"),
        ("filename", r"x^\.exe", "this regex can never hold"),
        ("filename", r"(\.exe$)(\.scr$)", "this regex can never hold"),
        ("filename", r"\.exe$|\.scr$", "-"),
        ("filename", r"[^\s\S]", "this regex can never hold"),
        ("filename", "(?m)a$\nb", "(?m)a$b"),
        ("filename", "invoice*.exe", r"^invoice.*\.exe$"),
        ("filename", r"invoice.*\.exe$", "-"),
        ("sender", "news*@example.org", r"^news.*@example\.org$"),
        ("sender", "@example.org", r"@example\.org$"),
        ("sender", r"@example\.org", r"@example\.org$"),
        ("recipient", "example.org", r"[@.]example\.org$"),
        ("recipient", ".example.org", r"[@.]example\.org$"),
        ("recipient", r"^anna@example\.org", r"^anna@example\.org$"),
        ("recipient", r"anna\.berg", "-"),
        ("recipient", r"@example\.", "-"),
        ("sender", r"@example\.(com|org)$", "-"),
        ("sender", "^bounces", "-"),
        ("helo", "mail.example.org", "-"),
        ("type", "^image/", "-"),
        ("type_path", "a > b", "-"),
    ] {
        assert_eq!(said(key, pattern), expected, "{key} = '{pattern}'");
    }
}

#[test]
fn patterns_that_do_not_compile() {
    for (key, pattern, expected) in [
        ("filename", "*.exe", Some(r"\.exe$")),
        ("filename", "*.tar.gz", Some(r"\.tar\.gz$")),
        ("sender", "*@example.org", Some(r"@example\.org$")),
        ("filename", "*invoice*", Some("invoice")),
        ("filename", "?.exe", Some(r"^.\.exe$")),
        ("filename", "*.{exe,scr}", Some(r"\.(exe|scr)$")),
        ("filename", "*.{exe,scr", None),
        ("filename", r"\.exe\Z", Some(r"\.exe$")),
        ("filename", r"(a)\1", None),
        ("filename", "*", None),
        ("filename", "(", None),
        ("filename", "*(", None),
    ] {
        assert!(tree(pattern).is_none(), "{pattern}");
        let advice = remedy(key, pattern).and_then(|advice| advice.instead);
        assert_eq!(advice.as_deref(), expected, "{key} = '{pattern}'");
    }
    let advice = remedy("recipient", r"^(?!.*@example\.org$)").unwrap();
    assert!(advice.message.contains("look-around"), "{advice:?}");
    assert!(
        advice.help.contains("unless = { recipient = '…' }"),
        "{advice:?}"
    );
}

/// Whoever follows an advice has no second one, and a regex that the compiler takes.
#[test]
fn advice_is_right_when_followed() {
    for (key, pattern) in [
        ("filename", r"\\.exe$"),
        ("filename", r"\\\\.exe$"),
        ("filename", "*.exe"),
        ("filename", "*.{exe,scr}"),
        ("filename", "(exe||scr)$"),
        ("type", "^application/pdf; name=x"),
        ("type", "^Content-Type: text/html"),
        ("header_sender", r"^Anna <anna@example\.org>$"),
        ("sender", "@*.example.org"),
        ("recipient", r"example\.org$"),
        ("auth_user", "/^anna$/"),
        ("sender", "^<>$"),
        ("sender", "*@example.org"),
        ("sender", "@example.org"),
        ("recipient", "example.org"),
        ("filename", r"\.(exe|scr)$|"),
        ("header.subject", "^Subject: offer"),
        ("filename", "invoice*.exe"),
        ("sender", r"/@example\.org$/i"),
    ] {
        let advice = doubt(key, pattern).or_else(|| remedy(key, pattern));
        let regex = advice.and_then(|advice| advice.instead).unwrap();
        assert!(regex::RegexSet::new([&regex]).is_ok(), "{regex}");
        assert_eq!(doubt(key, &regex), None, "{regex}");
    }
}
