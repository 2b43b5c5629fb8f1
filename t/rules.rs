//! Rules at work in the daemon: what they change, for whom, and what they must leave alone.
//!
//! What `mimicryd filter` makes of a mail is tested beside each plugin; here the daemon must make the same of it.

use std::fmt::Write;

use crate::harness::client::Reply;
use crate::harness::daemon::{PLAIN, Setup, World, eventually, open_directory, open_to_all};
use crate::harness::hop::{Act, Stage, lone};
use crate::harness::{FOOTER, ZIP, contains, mail, mails};

const WORDS: &[u8] = b"Example Ltd, registered in Exampleton.";

fn both() -> String {
    format!("{FOOTER}{ZIP}")
}

fn with(rules: &str) -> World {
    World::new(Setup {
        rules,
        ..Setup::default()
    })
}

// T91
#[test]
fn the_daemon_edits_as_filter_does() {
    let mut world = with(&both());
    let mut client = world.client();
    for (name, message) in mails() {
        if lone(&message).is_some() || !message.ends_with(b"\r\n") {
            continue;
        }
        let daemon = world.daemon();
        let filtered = crate::harness::run(
            daemon.directory.path(),
            &[
                "filter",
                "-c",
                "mimicry.toml",
                "--from",
                "anna@example.org",
                "--to",
                "bob@example.net",
            ],
            &message,
        );
        assert_eq!(filtered.code, 0, "{name}: {}", filtered.err);
        client.says("MAIL FROM:<anna@example.org> BODY=8BITMIME", 250);
        client.says("RCPT TO:<bob@example.net>", 250);
        let reply = client.data(&message);
        assert!(reply.is_done(), "{name} is answered {reply}");
        let arrived = world.untraced(&world.hop.only_mail());
        // Behind DATA the last line has an end, too.
        let arrived = arrived
            .strip_suffix(if filtered.out.ends_with(b"\r\n") {
                &b""[..]
            } else {
                b"\r\n"
            })
            .unwrap_or(&arrived);
        // A line of an mbox is a matter of SMTP: filter leaves it to pipe(8) (T201).
        let arrived = match message.starts_with(b"From ") {
            true => arrived
                .strip_prefix(b"X-Mailbox-Line: ")
                .unwrap_or_default(),
            false => arrived,
        };
        assert!(
            arrived == filtered.out,
            "{name}\n--- daemon\n{}\n--- filter\n{}",
            String::from_utf8_lossy(arrived),
            String::from_utf8_lossy(&filtered.out)
        );
    }
    client.quit();
}

// T65
// man: mimicryd(8) "Recipients for whom different rules hold have a transaction each."
#[test]
fn recipients_with_different_rules_get_different_mails() {
    let world = with(FOOTER);
    let to = [
        "bob@example.net",
        "in1@inside.example",
        "carl@example.net",
        "in2@inside.example",
    ];
    let mut client = world.client();
    let reply = client.mail("anna@example.org", &to, PLAIN);
    assert!(reply.is_done(), "{reply}");
    let mut mails = world.hop.mails();
    mails.sort_by_key(|mail| mail.to.clone());
    assert_eq!(mails.len(), 2);
    assert_eq!(
        mails[0].recipients(),
        ["bob@example.net", "carl@example.net"]
    );
    assert_eq!(
        mails[1].recipients(),
        ["in1@inside.example", "in2@inside.example"]
    );
    assert!(contains(&mails[0].message(), WORDS));
    assert_eq!(world.untraced(&mails[1]), PLAIN);
    // Each recipient is asked for once, and before any message.
    let commands = world.hop.see(|record| record.commands.clone());
    let verbs: Vec<&str> = commands
        .iter()
        .map(|(_, line)| line.get(..4).unwrap_or(line))
        .collect();
    let first_data = verbs
        .iter()
        .position(|verb| *verb == "DATA")
        .expect("a message");
    assert_eq!(
        verbs.iter().filter(|verb| **verb == "RCPT").count(),
        to.len()
    );
    assert!(
        !verbs[first_data..].contains(&"RCPT") && !verbs[first_data..].contains(&"MAIL"),
        "{verbs:?}"
    );
    client.quit();
}

// T65
#[test]
fn a_refusal_of_all_classes_is_the_clients() {
    // Nobody has it: the refusal is the client's, as it is.
    let world = with(FOOTER);
    world
        .hop
        .at(Stage::Dot, Act::Say(b"550 5.7.1 never\r\n".to_vec()));
    let mut client = world.client();
    let reply = client.mail(
        "anna@example.org",
        &["bob@example.net", "in@inside.example"],
        PLAIN,
    );
    assert!(reply.is_permanent(), "{reply}");
    assert!(world.hop.mails().is_empty());
    client.quit();
}

// T65
// man: mimicry.toml(5) "Classes of recipients in a transaction; recipients of further classes get 452 4.5.3, and the
// client sends them again."
#[test]
fn recipients_of_too_many_classes_come_again() {
    let mut rules = String::new();
    for number in 0..5 {
        let _ = write!(
            rules,
            "[[rule]]\nname = \"{number}\"\nplugin = \"disclaim\"\nmatch = {{ recipient = '^to{number}@' }}\noptions = {{ text = \"words {number}\", html = \"words {number}\" }}\n"
        );
    }
    let world = World::new(Setup {
        rules: &rules,
        limits: "max_classes = 3",
        ..Setup::default()
    });
    let mut client = world.client();
    client.says("MAIL FROM:<anna@example.org>", 250);
    let codes: Vec<(u16, Option<String>)> = (0..5)
        .map(|number| client.ask(format!("RCPT TO:<to{number}@example.net>")))
        .map(|reply: Reply| (reply.code, reply.enhanced().map(String::from)))
        .collect();
    assert!(codes[..3].iter().all(|(code, _)| *code == 250), "{codes:?}");
    assert!(
        codes[3..]
            .iter()
            .all(|(code, enhanced)| *code == 452 && enhanced.as_deref() == Some("4.5.3")),
        "{codes:?}"
    );
    // One more of a class that is there.
    client.says("RCPT TO:<to1@example.com>", 250);
    assert!(client.data(PLAIN).is_done());
    let mails = world.hop.mails();
    assert_eq!(mails.len(), 3);
    for mail in mails {
        let number = mail.recipients()[0]
            .get(2..3)
            .expect("a number")
            .to_string();
        assert!(
            contains(&mail.message(), format!("words {number}").as_bytes()),
            "{mail:?}"
        );
    }
    client.quit();
}

// T86, T87
// man: mimicryd(8) "rules says what each rule that had to do with the mail did, or gives its reason code."
#[test]
fn sealed_mail_passes_untouched_and_the_log_says_why() {
    let mut world = with(&both());
    let mut count = 0;
    for (name, message) in mails() {
        let is_sealed = [
            "pgp-signed",
            "pgp-encrypted-",
            "smime-signed",
            "smime-enveloped",
            "smime-opaque",
        ]
        .iter()
        .any(|kind| name.contains(kind) && !name.contains("below"));
        if !is_sealed || lone(&message).is_some() {
            continue;
        }
        assert!(world.pass(&message) == message, "{name} was changed");
        count += 1;
    }
    assert!(count >= 5, "only {count} sealed mails");
    let daemon = world.daemon();
    assert!(
        eventually(|| daemon.log().matches("legal footer:sealed").count() >= 5),
        "{}",
        daemon.said()
    );
}

// man: mimicry.toml(5) "Adds a Received field to each mail that passes through the daemon."
#[test]
fn without_trace_nothing_is_added() {
    let world = World::new(Setup {
        top: "trace = false",
        ..Setup::default()
    });
    let mut client = world.client();
    for name in [
        "demo-newsletter.eml",
        "demo-pgp-signed.eml",
        "demo-latin1.eml",
    ] {
        let message = mail(name);
        assert!(
            client
                .mail("anna@example.org", &["bob@example.net"], &message)
                .is_done()
        );
        assert!(world.hop.only_mail().message() == message, "{name}");
    }
    client.quit();
}

#[test]
fn shadow_changes_nothing() {
    let mut world = with(&FOOTER.replace("plugin", "mode = \"shadow\"\nplugin"));
    assert_eq!(world.pass(PLAIN), PLAIN);
    world.daemon().logs("legal footer:shadow");
}

// man: mimicry-plugins(7) "ignore_mail passes the whole mail without changing an octet and ends rule processing, for
// the recipients for whom the rule matched."
#[test]
fn ignored_mail_passes_as_it_came() {
    let ignore = "[[rule]]\nname = \"partners\"\nplugin = \"ignore_mail\"\nmatch = { recipient = '^bob@' }\n";
    let world = with(&format!("{ignore}{}", both()));
    for name in [
        "demo-newsletter.eml",
        "demo-latin1.eml",
        "cte-qp-8bit-html-mixed-classes.eml",
    ] {
        let message = mail(name);
        assert!(world.pass(&message) == message, "{name}");
    }
}

#[test]
fn a_maildir_is_a_next_hop() {
    let (_directory, path) = open_directory();
    let maildir = path.join("Maildir");
    for place in ["", "tmp", "new", "cur"] {
        std::fs::create_dir(maildir.join(place)).expect("a directory");
        open_to_all(&maildir.join(place));
    }
    let relay = format!("next_hop = \"maildir://{}\"", maildir.display());
    let world = World::new(Setup {
        relay: &relay,
        rules: FOOTER,
        ..Setup::default()
    });
    let mut client = world.client();
    for _ in 0..3 {
        assert!(
            client
                .mail("anna@example.org", &["bob@example.net"], PLAIN)
                .is_done()
        );
    }
    client.quit();
    let files: Vec<_> = std::fs::read_dir(maildir.join("new"))
        .expect("a Maildir")
        .flatten()
        .collect();
    assert_eq!(files.len(), 3);
    for file in files {
        let content = std::fs::read(file.path()).expect("a mail");
        assert!(contains(&content, WORDS) && contains(&content, b"Subject: plain"));
    }
    assert_eq!(
        std::fs::read_dir(maildir.join("tmp"))
            .expect("a Maildir")
            .count(),
        0
    );
    assert_eq!(world.hop.see(|record| record.connections), 0);
}

// T125, T8: a plugin that fails for good, as its on_error says
// man: mimicry.toml(5) "What happens to the mail if the rule fails permanently."
#[test]
fn a_rule_that_must_not_fail_stops_the_mail() {
    for (fallback, code) in [("defer", 4), ("reject", 5)] {
        let rule = format!(
            "[[rule]]\nname = \"must\"\nplugin = \"disclaim\"\noptions = {{ text = \"words\", html = \"words\", fallback = [\"{fallback}\"] }}\n"
        );
        let world = with(&rule);
        let message = b"Subject: x\r\nContent-Type: text/plain; charset=x-unknown\r\n\r\n\xe4\r\n";
        let reply = world
            .client()
            .mail("anna@example.org", &["bob@example.net"], message);
        assert_eq!(reply.code / 100, code, "{reply}");
        assert!(world.hop.mails().is_empty());
        world.alive();
    }
}

// man: mimicry-plugins(7) "In the HTML of a mail from inside every such element is removed, octet for octet, at any
// depth of quoting"
#[test]
fn a_banner_comes_on_the_way_in_and_goes_on_the_way_out() {
    const BANNER: &str = r#"
[[rule]]
name = "external mail"
plugin = "banner"

[rule.options]
text = "This mail came from outside: open links with care."
html = "<p>This mail came from outside: open links with care.</p>"
subject_tag = "[EXTERNAL]"
header = "X-External: yes"
own_domains = ["example.org"]
once = "always"
"#;
    const WARNING: &[u8] = b"This mail came from outside: open links with care.";
    let html = |from: &str, to: &str, subject: &str, body: &[u8]| -> Vec<u8> {
        let header = format!(
            "From: {from}\r\nTo: {to}\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
        );
        [header.as_bytes(), body].concat()
    };
    let world = with(BANNER);
    let mut client = world.client();
    let mut send = |from: &str, to: &str, message: &[u8]| {
        let reply = client.mail(from, &[to], message);
        assert!(reply.is_done(), "{reply}");
        world.untraced(&world.hop.only_mail())
    };
    let question = b"<html><body><p>Are you there?</p></body></html>\r\n";
    let came = html("bob@example.net", "anna@example.org", "Hello", question);
    let marked = send("bob@example.net", "anna@example.org", &came);
    let shown = String::from_utf8_lossy(&marked);
    assert!(contains(&marked, WARNING), "{shown}");
    assert!(
        shown.contains("\r\nSubject: [EXTERNAL] Hello\r\n"),
        "{shown}"
    );
    assert!(shown.contains("\r\nX-External: yes\r\n"), "{shown}");
    // The reader answers, and his program quotes what it was shown.
    let shown_body = &marked[shown.find("\r\n\r\n").expect("a body") + 4..];
    let answer = |quoted: &[u8], subject: &str| {
        let body = [
            b"<p>Yes.</p><blockquote type=\"cite\">".as_slice(),
            quoted.trim_ascii_end(),
            b"</blockquote>\r\n",
        ]
        .concat();
        html("anna@example.org", "bob@example.net", subject, &body)
    };
    let sent = send(
        "anna@example.org",
        "bob@example.net",
        &answer(shown_body, "Re: [EXTERNAL] Hello"),
    );
    // The line ends around the element stay.
    let without = |message: &[u8]| String::from_utf8_lossy(message).replace("\r\n", "");
    assert_eq!(without(&sent), without(&answer(question, "Re: Hello")));
    // A second mail from outside is marked again, and its tag is not put before one that is there.
    let again = html(
        "bob@example.net",
        "anna@example.org",
        "Re: [EXTERNAL] Hello",
        question,
    );
    let marked = send("bob@example.net", "anna@example.org", &again);
    let shown = String::from_utf8_lossy(&marked);
    assert_eq!(shown.matches("[EXTERNAL]").count(), 1, "{shown}");
    assert!(contains(&marked, WARNING), "{shown}");
    client.quit();
}

// T86
#[test]
fn a_text_beside_signed_mail_leaves_each_octet_of_it() {
    let world = with(&format!("{FOOTER}on_sealed = \"wrap\"\n"));
    let mut count = 0;
    for (name, message) in mails() {
        let is_signed = name.contains("pgp-signed") || name.contains("smime-signed");
        if !is_signed || name.contains("below") || lone(&message).is_some() {
            continue;
        }
        let changed = world.pass(&message);
        assert!(contains(&changed, WORDS), "{name}");
        // All from its Content-Type's boundary on stands in it as it came.
        let body = message
            .windows(4)
            .position(|octets| octets == b"\r\n\r\n")
            .expect("a body");
        assert!(
            contains(&changed, message[body..].trim_ascii_end()),
            "{name}"
        );
        count += 1;
    }
    assert!(count >= 3, "only {count} signed mails");
}

// T89
// man: mimicry-plugins(7) "not if the writer's own text has it;"
#[test]
fn a_mail_that_passes_twice_has_one_disclaimer() {
    const ONCE: &str = "[[rule]]\nname = \"once\"\nplugin = \"disclaim\"\noptions = { text = \"Example Ltd, registered in Exampleton.\", html = \"<p>Example Ltd, registered in Exampleton.</p>\", once = \"per-mail\" }\n";
    let mut world = with(ONCE);
    for name in ["demo-text.eml", "demo-latin1.eml"] {
        let first = world.pass(&mail(name));
        assert!(contains(&first, WORDS), "{name}");
        let second = world.pass(&first);
        assert!(second == first, "{name} was changed again");
    }
    world.daemon().logs("once:duplicate");
}

/// Bob and Carl are of one class, In of another for which the rules do the same. The header names Bob and In.
fn to_two_classes(rule: &str, expected: &[(&str, &str)]) {
    let keep = "[[rule]]\nname = \"k\"\nplugin = \"keep\"\nmatch = { recipient = '@inside', filename = 'no such file' }\n";
    let world = with(&format!("{keep}{rule}"));
    let message = [
        &b"Cc: in@inside.example\r\n"[..],
        PLAIN,
        b"\r\nwith a second line\r\n",
    ]
    .concat();
    let to = ["bob@example.net", "carl@example.net", "in@inside.example"];
    let reply = world.client().mail("anna@example.org", &to, &message);
    assert!(reply.is_done(), "{reply}");
    let mut mails = world.hop.mails();
    mails.sort_by_key(|mail| mail.to.clone());
    let seen: Vec<(String, String)> = mails
        .iter()
        .map(|mail| {
            let text = String::from_utf8(world.untraced(mail)).expect("ASCII");
            let texts = text.lines().filter_map(|line| line.split_once("seen by "));
            let texts: Vec<&str> = texts
                .map(|(_, seen)| seen.trim_end_matches("</p>"))
                .collect();
            (mail.recipients().join(" "), texts.join(" | "))
        })
        .collect();
    let expected: Vec<(String, String)> = expected
        .iter()
        .map(|(to, seen)| (to.to_string(), seen.to_string()))
        .collect();
    assert_eq!(seen, expected, "{rule}");
}

// T182
// man: mimicry-plugins(7) "No text names recipients of other classes, or anybody whom only the envelope names"
// man: mimicry.toml(5) "Whether texts that name the recipients also name recipients whom no header field names"
#[test]
fn a_text_that_names_recipients_names_none_of_another_class_and_nobody_in_secret() {
    let (first, second) = ("bob@example.net carl@example.net", "in@inside.example");
    let rule = |plugin: &str, options: &str| {
        format!("[[rule]]\nname = \"r\"\nplugin = \"{plugin}\"\noptions = {{ {options} }}\n")
    };
    for text in [
        rule("disclaim", "text = 'seen by {{ recipients }}', html = 'x'"),
        rule("header", "add.X-Seen = 'seen by {{ recipients }}'"),
        rule("banner", "header = 'X-Seen: seen by {{ recipients }}'"),
        rule("remove", "text = 'seen by {{ recipients }}'") + "match = { position = \"root\" }\n",
    ] {
        to_two_classes(&text, &[(first, "bob@example.net"), (second, second)]);
        let shown = text.replace("options =", "show_bcc = true\noptions =");
        let both = "bob@example.net, carl@example.net";
        to_two_classes(&shown, &[(first, both), (second, second)]);
    }
    // Nobody is left to name: the line goes.
    let nobody = rule(
        "disclaim",
        "text = \"\"\"\nseen by {{ recipients[1] }}\nseen by x\"\"\", html = 'x'",
    );
    to_two_classes(&nobody, &[(first, "x"), (second, "x")]);
}
