//! A text that must be in every mail, or the mail does not leave: with the real program, over mails that have no room for it.
//!
//! What stays as it came when a field is edited, and what explain says of rules that did nothing, is here too.

use crate::harness::{Directory, Ran, mail, run};

/// Sender and recipient of mail to which the rules apply.
const PATHS: &[&str] = &["--from", "anna@example.org", "--to", "bob@example.net"];

fn with(config: &str, command: &[&str], stdin: &[u8]) -> Ran {
    let directory = Directory::new();
    directory.file("m.toml", config);
    let (name, rest) = command.split_first().expect("a command");
    let args = [&[*name, "-c", "m.toml"], PATHS, rest].concat();
    run(directory.path(), &args, stdin)
}

const OURS: &str = "OURS Example Ltd, Exampleland, no. 123456";

fn notice(settings: &str, fallback: &str) -> String {
    format!(
        "[[rule]]\nname = \"required notice\"\nplugin = \"disclaim\"\n{settings}\n[rule.options]\ntext = \"{OURS}\"\nhtml = \"<p>{OURS}</p>\"\n{fallback}\n"
    )
}

// man: mimicry-plugins(7) "a mail without a body, such as a scan, a picture, a calendar or something that cannot be
// read, gets the text by attach, or does not leave"
#[test]
fn a_scan_has_its_notice() {
    let scan = mail("mixed-scan-without-text.eml");
    let config = notice(
        "on_sealed = \"reject\"\non_error = \"reject\"",
        "fallback = [\"attach\", \"reject\"]",
    );
    let ran = with(&config, &["filter"], &scan);
    let text = String::from_utf8(ran.out).expect("text");
    assert_eq!(ran.code, 0, "{}", ran.err);
    let (before, part) = text.split_once("JVBERi0xLjQKJUVPRgo=").expect("the scan");
    assert!(!before.contains("OURS") && part.contains(OURS), "{text}");
    assert!(part.contains("Content-Type: text/plain"), "{text}");
    for (fallback, code, word) in [("reject", 77, "rejected"), ("defer", 75, "deferred")] {
        let config = notice("", &format!("fallback = \"{fallback}\""));
        let ran = with(&config, &["filter"], &scan);
        assert_eq!((ran.code, ran.out.len()), (code, 0), "{}", ran.err);
        let why = format!("mimicryd: {word} by required notice");
        assert!(
            ran.err.contains(&why) && ran.err.contains("no-body"),
            "{}",
            ran.err
        );
    }
    // The default, and skip in so many words.
    for fallback in ["", "fallback = \"skip\"\n"] {
        let settings = if fallback.is_empty() {
            ""
        } else {
            "on_error = \"reject\""
        };
        let ran = with(&notice(settings, fallback), &["filter"], &scan);
        assert_eq!((ran.code, ran.out), (0, scan.clone()), "{fallback}");
    }
}

/// The octets of the Subject field of a mail.
fn subject(mail: &[u8]) -> String {
    let text = String::from_utf8_lossy(mail).into_owned();
    let lines = text
        .split("\r\n")
        .skip_while(|line| !line.starts_with("Subject:"));
    let field = lines
        .enumerate()
        .take_while(|(index, line)| *index == 0 || line.starts_with(' '));
    field.map(|(_, line)| line).collect()
}

// man: mimicry-plugins(7) "The old subject stays as it is, octet for octet, whether anybody can read it or not"
#[test]
fn a_tag_leaves_the_subject_as_it_is() {
    for rule in [
        "plugin = \"header\"\noptions = { prefix_subject = \"[EXTERNAL]\", force = true }",
        "plugin = \"banner\"\noptions = { subject_tag = \"[EXTERNAL]\", internal_clients = [] }",
    ] {
        let config = format!("[[rule]]\nname = \"tag\"\n{rule}\n");
        for name in [
            "header-subject-cp949-word.eml",
            "header-subject-damaged-base64-word.eml",
            "header-encoded-words-odd.eml",
            "header-8bit-latin1.eml",
            "demo-text.eml",
        ] {
            let before = mail(name);
            let ran = with(&config, &["filter"], &before);
            assert_eq!(ran.code, 0, "{name}: {}", ran.err);
            let (old, new) = (subject(&before), subject(&ran.out));
            let old = old.strip_prefix("Subject:").expect("a subject").trim();
            assert!(
                new.starts_with("Subject: [EXTERNAL] ") && new.ends_with(old),
                "{name}: {new}"
            );
        }
    }
}

// man: mimicry-plugins(7) "A Content-MD5 or Content-Length field that an edit makes false is removed."
#[test]
fn no_false_digest_leaves() {
    let ran = with(
        &notice("", ""),
        &["filter"],
        &mail("header-content-md5.eml"),
    );
    let text = String::from_utf8(ran.out).expect("text");
    assert!(
        text.contains(OURS) && !text.contains("Content-MD5"),
        "{text}"
    );
    let config =
        "[[rule]]\nname = \"tag\"\nplugin = \"header\"\noptions = { prefix_subject = \"[x]\" }\n";
    let ran = with(config, &["filter"], &mail("header-content-md5.eml"));
    let text = String::from_utf8(ran.out).expect("text");
    assert!(
        text.contains("Content-MD5: tzv307oaUXZEZhvEvNhfmg=="),
        "{text}"
    );
}

// man: mimicry-plugins(7) "A variant of another type (AMP, text/enriched) cannot have our text; the notes of explain
// name it."
#[test]
fn variants_without_the_text_are_named() {
    for (name, variant) in [
        ("amp-newsletter.eml", "text/x-amp-html"),
        ("alt-enriched.eml", "text/enriched"),
        ("alt-watch-html.eml", "text/watch-html"),
    ] {
        let config = notice("match = { bulk = [true, false] }", "");
        let ran = with(&config, &["explain", "-"], &mail(name));
        let line = ran
            .text()
            .lines()
            .find(|line| line.contains("required notice"))
            .expect("the rule");
        assert!(
            line.contains("without the text: ") && line.contains(variant),
            "{name}: {line}"
        );
    }
}

// man: mimicryd(8) "Where one reason code has several causes, the sentence says which one it was."
#[test]
fn explain_names_the_cause() {
    const BANNER: &str = "plugin = \"banner\"\noptions = { text = \"CAUTION: this mail came from outside\", html = \"<p>CAUTION: this mail came from outside</p>\", internal_clients = [\"10.0.0.0/8\"], trusted = [\"friend.example\"]";
    let banner = format!("{BANNER} }}");
    let text = "From: anna@example.org\r\nTo: bob@example.net\r\nSubject: Topic\r\n\r\nHello\r\n";
    let bulk = format!("List-Id: <a.example>\r\n{text}");
    let friend = text.replace("anna@example.org", "tom@friend.example");
    let dkim = format!("DKIM-Signature: v=1; h=From:Subject; b=x\r\n{text}");
    let report = "From: a@example.org\r\nContent-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b--\r\n";
    let disclaim = "plugin = \"disclaim\"\noptions = { text = \"x\", html = \"x\" }";
    for (rule, options, octets, says, not) in [
        (
            banner.as_str(),
            &["--client", "10.1.1.1"][..],
            text,
            "not edited, exempt: from inside",
            "bulk",
        ),
        (
            &banner,
            &["--auth-user", "anna"],
            text,
            "not edited, exempt: from inside",
            "bulk",
        ),
        (
            &banner,
            &["--client", "192.0.2.1"],
            &friend,
            "not edited, exempt: of a trusted sender",
            "bulk",
        ),
        (
            disclaim,
            &[],
            &bulk,
            "not edited, exempt: bulk mail, which",
            "inside",
        ),
        (
            "plugin = \"remove\"",
            &[],
            report,
            "not edited, exempt: a delivery report, which",
            "bulk mail",
        ),
        (
            "plugin = \"disclaim\"\noptions = { text = \"{{ header.none }}\", html = \"{{ header.none }}\" }",
            &[],
            text,
            "not edited, exempt: no text for this mail",
            "bulk",
        ),
        (disclaim, &[], &dkim, "edited 1", "on_dkim"),
        (
            "plugin = \"disclaim\"\non_dkim = \"skip\"\noptions = { text = \"x\", html = \"x\" }",
            &[],
            &dkim,
            "not edited, dkim: the mail has a DKIM signature and the rule says on_dkim = \"skip\"",
            "covers",
        ),
        (
            "plugin = \"header\"\noptions = { prefix_subject = \"[x]\" }",
            &[],
            &dkim,
            "not edited, dkim: a DKIM signature covers Subject",
            "on_dkim",
        ),
        (
            "plugin = \"header\"\noptions = { prefix_subject = \"{{ header.none }}\" }",
            &[],
            text,
            "not edited, exempt: a value of the template is missing",
            "bulk",
        ),
    ] {
        let config = format!("[[rule]]\nname = \"the rule\"\n{rule}\n");
        let ran = with(
            &config,
            &[&["explain"], options, &["-"]].concat(),
            octets.as_bytes(),
        );
        assert_eq!(ran.code, 0, "{}", ran.err);
        let line = ran
            .text()
            .lines()
            .find(|line| line.contains("the rule"))
            .expect("the rule");
        assert!(line.contains(says) && !line.contains(not), "{rule}: {line}");
    }
}

// man: mimicryd(8) "One line of the head names what is not known of the client."
// man: mimicryd(8) "An option with several addresses is refused."
#[test]
fn explain_says_what_it_was_not_told() {
    let config = notice("", "");
    let octets = mail("demo-text.eml");
    let ran = with(&config, &["explain", "-"], &octets);
    let all = "unknown     client, listener, helo, auth_user: no filter on them holds  (--client, --listener, --helo, --auth-user set them)";
    assert!(ran.text().contains(all), "{}", ran.text());
    let ran = with(
        &config,
        &["explain", "--client", "192.0.2.1", "--helo", "x", "-"],
        &octets,
    );
    let rest = "unknown     listener, auth_user: no filter";
    assert!(ran.text().contains(rest), "{}", ran.text());
    for command in ["explain", "filter"] {
        for (to, code) in [
            ("a@x.org,b@y.org", 64),
            ("a@x.org, b@y.org", 64),
            ("a@x.org;b@y.org", 64),
            ("\"a,b\"@x.org", 0),
            ("a+b@x.org", 0),
        ] {
            let rest: &[&str] = if command == "explain" { &["-"] } else { &[] };
            let ran = with(&config, &[&[command, "--to", to], rest].concat(), &octets);
            assert_eq!(ran.code, code, "{command} {to}: {}", ran.err);
            assert!(
                code == 0 || ran.err.contains("give the option once for each"),
                "{}",
                ran.err
            );
        }
    }
}

// man: mimicry-plugins(7) "The HTML must be complete in itself, or the configuration does not load."
// man: mimicry-plugins(7) "From a whole document only the content of its body is used, with a warning."
#[test]
fn html_of_the_configuration_is_whole() {
    let check = |html: &str| {
        let directory = Directory::new();
        directory.file("ours.html", html);
        let config = format!(
            "[[rule]]\nname = \"a\"\nplugin = \"disclaim\"\noptions = {{ text = \"{OURS}\", html_file = \"ours.html\" }}\n"
        );
        directory.file("m.toml", &config);
        run(directory.path(), &["check", "-c", "m.toml"], b"")
    };
    for (html, code, says) in [
        (
            "<!-- external mail <p>This mail came from outside.</p>\n",
            78,
            "a comment that never ends",
        ),
        ("<div>\n<b>x</div>\n", 78, "line 2: <b> that is not ended"),
        ("x</div>\n", 78, "</div> without a start tag"),
        (
            "<!DOCTYPE html>\n<html><body bgcolor=\"#ffeeee\"><p>OURS</p></body></html>\n",
            0,
            "a document where a fragment is needed",
        ),
        (
            "<p style=\"color:#888\">x</p>\n",
            0,
            "a colour without its background",
        ),
        (
            "<img src=\"http://x.example/a.png\">\n",
            0,
            "a picture that mail programs do not show",
        ),
        ("<p style=\"color:#000;background:#fff\">x</p>\n", 0, ""),
    ] {
        let ran = check(html);
        assert_eq!(ran.code, code, "{html}: {}", ran.err);
        assert!(
            ran.err.contains(says) && ran.complaints().is_empty() == says.is_empty(),
            "{html}: {}",
            ran.err
        );
    }
}

/// Whoever wants a text in each mail with a PDF writes such a rule, and shall not read that the mail has no text.
#[test]
fn a_rule_whose_filters_take_no_text_says_what_they_take() {
    let config = "[[rule]]\nname = \"r\"\nplugin = \"disclaim\"\nmatch = { filename = '\\.pdf$' }\noptions = { text = \"a\", html = \"b\" }\n";
    let ran = with(config, &["explain", "-"], &mail("demo-newsletter.eml"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.text()
            .contains("(the filters of the rule take 3, application/pdf, and no text)"),
        "{}",
        ran.text()
    );
}
