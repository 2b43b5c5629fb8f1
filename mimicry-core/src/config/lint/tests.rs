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
        ("type_path", r"\\.", r"\."),
        ("header.subject", r"\\[urgent\\]", r"\[urgent\]"),
        ("header.subject", r"^\\burgent\\b", r"^\burgent\b"),
        ("type", r"text\\/html", r"text\/html"),
        ("auth_user", r"EXAMPLE\\.*", "-"),
        ("header.subject", "[EXTERNAL]", r"\[EXTERNAL\]"),
        ("header.subject", "^[Ticket: new]", r"^\[Ticket: new\]"),
        ("header.x-class", "^[ABC]$", "-"),
        ("header.subject", "^[a-z]+$", "-"),
        ("header.subject", "[aeiou]", "-"),
        ("header.subject", "[EXTERNAL]+", "-"),
        ("helo", "^[192.0.2.1]$", r"^\[192\.0\.2\.1\]$"),
        ("helo", "^[0-9.]+$", "-"),
        ("header.subject", "^*urgent*", "urgent"),
        ("header.subject", "^***SPAM***", r"^\*\*\*SPAM\*\*\*"),
        ("filename", r"\.[exe|scr]$", r"\.(exe|scr)$"),
        (
            "sender",
            r"@[example\.org|example\.net]$",
            r"@(example\.org|example\.net)$",
        ),
        ("filename", "[a-z|0-9]x", "-"),
        ("filename", r"[\w|\d]x", "-"),
        ("filename", "[a|b]x", "-"),
        ("filename", r"\.(exe,scr)$", r"\.(exe|scr)$"),
        ("filename", "^(Berg, Anna)", "-"),
        ("type", "^image/(png,jpeg)$", "^image/(png|jpeg)$"),
        (
            "recipient",
            r"@example\.(org,net)$",
            r"@example\.(org|net)$",
        ),
        ("filename", r"\.(exe | scr)$", r"\.(exe|scr)$"),
        (
            "recipient",
            r"@( a\.example | b\.example )$",
            r"@(a\.example|b\.example)$",
        ),
        ("filename", "(^| )invoice", "-"),
        (
            "filename",
            ".exe, .scr",
            "this regex can never hold as it is meant",
        ),
        (
            "filename",
            r"\.exe$;\.scr$",
            "this regex can never hold as it is meant",
        ),
        ("filename", "Berg, Anna", "-"),
        (
            "type",
            "text/html, text/plain",
            "this regex can never hold as it is meant",
        ),
        ("filename", ".exe", r"\.exe$"),
        ("filename", ".exe$|.scr$", r"\.(exe|scr)$"),
        ("filename", r"\.exe", "-"),
        ("filename", r"\.exe|scr|bat$", r"\.(exe|scr|bat)$"),
        ("filename", r"\.exe$|\.scr$", "-"),
        ("filename", "\"setup.exe\"", "setup.exe"),
        ("filename", "\"", "-"),
        ("charset", "charset=\"utf-8\"", "utf-8"),
        ("type", "^image/*$", "^image/"),
        ("type", "application/*zip", "application/.*zip$"),
        ("type", "/.*pdf", "-"),
        ("type_path", "mixed>text/plain$", "mixed > text/plain$"),
        ("type_path", "mixed.*>.*html", "-"),
        ("sender", "", "^$"),
        ("recipient", "", "an empty regex holds for every recipient"),
        ("filename", "", "-"),
        ("sender", r"^@example\.org$", r"@example\.org$"),
        ("sender", "^@example.org", r"@example\.org$"),
        ("recipient", r"^example\.org$", r"@example\.org$"),
        ("recipient", r"^anna\.berg$", "-"),
        ("sender", "^.*@example.org", r"@example\.org$"),
        ("sender", r".*@example\.org$", "-"),
        (
            "sender",
            r"@example\.org|@example\.net",
            r"@example\.org$|@example\.net$",
        ),
        ("sender", r"@example\.org$|@example\.net$", "-"),
        (
            "sender",
            r"@(example\.org|example\.net)",
            r"@(example\.org|example\.net)$",
        ),
        ("sender", r"@(example\.org|example\.net)$", "-"),
        ("sender", "(anna|bo)@example", "-"),
        ("sender", r"^(anna|bo)@example\.org$", "-"),
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
        ("header.subject", "***SPAM***", Some(r"\*\*\*SPAM\*\*\*")),
        ("filename", r"\.{exe,scr}$", Some(r"\.(exe|scr)$")),
        ("filename", r"a{2,1}", None),
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
        ("filename", ".exe|.scr"),
        ("filename", r"\.[exe|scr]$"),
        ("filename", r"\.(exe | scr)$"),
        ("filename", r"\.{exe,scr}$"),
        ("header.subject", "[EXTERNAL]"),
        ("header.subject", "***SPAM***"),
        ("header.subject", "^***SPAM***"),
        ("type", "^image/*$"),
        ("type_path", "mixed>text"),
        ("sender", "^@example.org"),
        ("sender", "^.*@example.org|@example.net"),
        ("sender", "@(example.org|example.net)"),
        ("sender", ""),
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
