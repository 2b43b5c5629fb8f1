//! Replies as mail programs write them, a text in several parts, and domains in Unicode and in ASCII, end to end.
//!
//! Where a quoted mail begins is tested beside the code, on the replies of `mimicry-plugins/tests/replies`; here is what the program
//! makes of whole mails.

use crate::harness::{Directory, Ran, mail, run};

const OURS: &str = "OURS Example Ltd, no. 123456";

fn disclaim(options: &str) -> String {
    format!(
        "[[rule]]\nname = 'footer'\nplugin = 'disclaim'\n[rule.options]\ntext = '{OURS}'\nhtml = '<p>{OURS}</p>'\n{options}"
    )
}

fn filter(config: &str, from: &str, to: &str, stdin: &[u8]) -> Ran {
    let directory = Directory::new();
    directory.file("m.toml", config);
    let args = ["filter", "-c", "m.toml", "--from", from, "--to", to];
    let ran = run(directory.path(), &args, stdin);
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran
}

fn footer(options: &str, mail: &[u8]) -> Ran {
    filter(
        &disclaim(options),
        "anna@example.org",
        "bob@example.net",
        mail,
    )
}

/// Ours stands once, with `line` as the next line that says something.
#[track_caller]
fn stands_above(ran: &Ran, line: &str) {
    let text = ran.text();
    assert_eq!(text.matches("OURS").count(), 1, "{text}");
    let (_, below) = text.split_once(OURS).expect("ours");
    let next = below.lines().skip(1).find(|next| !next.trim().is_empty());
    assert!(
        next.is_some_and(|next| next.starts_with(line)),
        "{line}: {next:?}"
    );
}

const BELOW: &str = "place = 'below-reply'\n";

// man: mimicry-plugins(7) "If such a line stands above a certain beginning, our text goes above the uncertain line
// or to the bottom, never between the two."
#[test]
fn ours_never_stands_between_two_marks() {
    for (name, line) in [
        (
            "reply-unmarked-introduction-then-block.eml",
            "On Mon, Nov 23",
        ),
        ("reply-yahoo-classic.eml", "--- On Mon"),
        ("reply-emclient-html.eml", "<div>------ Original Message"),
        ("reply-apple-forward-marked.eml", "> Begin forwarded"),
    ] {
        stands_above(&footer(BELOW, &mail(name)), line);
    }
}

/// Parts one below the other, each a type and its text.
fn parts(boundary: &str, parts: &[(&str, String)]) -> String {
    let part = |(kind, text): &(&str, String)| {
        let fields = match *kind {
            "pdf" => "application/pdf\r\nContent-Disposition: attachment; filename=a.pdf",
            kind => kind,
        };
        format!("--{boundary}\r\nContent-Type: {fields}\r\n\r\n{text}\r\n")
    };
    let all: String = parts.iter().map(part).collect();
    format!("{all}--{boundary}--\r\n")
}

fn whole(kind: &str, body: &str) -> Vec<u8> {
    let head =
        "From: anna@example.org\r\nTo: bob@example.net\r\nSubject: Re: s\r\nMIME-Version: 1.0\r\n";
    format!("{head}Content-Type: multipart/{kind}; boundary=a\r\n\r\n{body}").into_bytes()
}

fn mixed(all: &[(&str, &str)]) -> Vec<u8> {
    let all: Vec<(&str, String)> = all
        .iter()
        .map(|(kind, text)| (*kind, (*text).to_string()))
        .collect();
    whole("mixed", &parts("a", &all))
}

const QUOTE: &str =
    "On 22 Nov 2026, at 09:00, Bob <bob@example.net> wrote:\r\n\r\n> Please send it.\r\n";
const TEXT: &str = "text/plain";
const HTML: &str = "text/html";

// man: mimicry-plugins(7) "A text in several parts, as Apple Mail writes it around attachments, is judged as one
// text"
#[test]
fn a_text_in_several_parts_is_one_text() {
    stands_above(
        &footer(BELOW, &mail("reply-apple-attachment-last.eml")),
        "> On 22 Nov",
    );
    let answer = format!("Here it is.\r\n\r\n{QUOTE}");
    let with_introduction = format!("Here it is.\r\n\r\n{}", QUOTE.lines().next().unwrap());
    for (all, note) in [
        // The quote first, last, and with its introduction in another part than its lines.
        (
            mixed(&[(TEXT, &answer), ("pdf", "x"), (TEXT, "")]),
            "1: below the reply",
        ),
        (
            mixed(&[(TEXT, "Here it is."), ("pdf", "x"), (TEXT, QUOTE)]),
            "3: below the reply",
        ),
        (
            mixed(&[
                (TEXT, &with_introduction),
                ("pdf", "x"),
                (TEXT, "> Please send it."),
            ]),
            "1: below the reply",
        ),
        (
            mixed(&[
                (TEXT, "a"),
                ("pdf", "x"),
                (TEXT, &answer),
                ("pdf", "x"),
                (TEXT, ""),
            ]),
            "3: below the reply",
        ),
        // The writer's own words below it.
        (
            mixed(&[
                (TEXT, &answer),
                ("pdf", "x"),
                (TEXT, "And this is what I think of it."),
            ]),
            "3: bottom, because of own text below",
        ),
        // What a telephone adds.
        (
            mixed(&[(TEXT, &answer), ("pdf", "x"), (TEXT, "Sent from my iPhone")]),
            "3: bottom, because introduction is not certain",
        ),
        (
            mixed(&[(TEXT, "Here it is."), ("pdf", "x"), (TEXT, "")]),
            "3: bottom, because of no quoted mail",
        ),
    ] {
        let ran = footer(BELOW, &all);
        assert!(ran.err.contains(note), "{note}: {}", ran.err);
        assert_eq!(ran.text().matches("OURS").count(), 1);
    }
    // One rule may want the first text, whatever stands where.
    let ran = footer(
        "place = 'below-reply'\nparts = 'first'\n",
        &mixed(&[(TEXT, "a"), ("pdf", "x"), (TEXT, QUOTE)]),
    );
    assert!(ran.err.contains("1: bottom"), "{}", ran.err);
}

#[test]
fn both_readers_see_ours_in_the_same_text() {
    let quote = "<blockquote type=cite>On 22 Nov 2026, Bob wrote:<br>Please send it.</blockquote>";
    let text = (TEXT, format!("Here it is.\r\n\r\n{QUOTE}"));
    let html = (HTML, format!("<p>Here it is.</p>{quote}"));
    let pages = parts(
        "c",
        &[html.clone(), ("pdf", "x".into()), (HTML, "<p></p>".into())],
    );
    let apple = parts("a", &[text.clone(), ("multipart/mixed; boundary=c", pages)]);
    let ran = footer(BELOW, &whole("alternative", &apple));
    for note in ["1: below the reply", "2.1: below the reply"] {
        assert!(ran.err.contains(note), "{note}: {}", ran.err);
    }
    assert_eq!(ran.text().matches("OURS").count(), 2);
    for (html, last, notes) in [
        (html, "", ["1.1: below the reply", "1.2: below the reply"]),
        // Where only one of them is certain, both have it at the end.
        (
            (HTML, "<p>Here it is.</p>".into()),
            "Bye",
            ["3: bottom", "3: bottom"],
        ),
    ] {
        let both = parts("c", &[text.clone(), html]);
        let all = [
            ("multipart/alternative; boundary=c", both),
            ("pdf", "x".into()),
            (TEXT, last.into()),
        ];
        let ran = footer(BELOW, &whole("mixed", &parts("a", &all)));
        for note in notes {
            assert!(ran.err.contains(note), "{note}: {}", ran.err);
        }
    }
}

// man: mimicry-plugins(7) "its words, whatever line breaks, quote marks and marks of bold type, links and pictures
// stand between them"
#[test]
fn ours_is_seen_in_any_part_and_in_any_dress() {
    let thread = "once = 'per-thread'\n";
    let ran = footer(
        thread,
        &mail("reply-apple-attachment-last-with-ours.eml").replace_ours(),
    );
    assert!(ran.err.contains("duplicate"), "{}", ran.err);
    assert!(ran.err.contains("1 has it already"), "{}", ran.err);
    let quoted = format!("a\r\n\r\n{QUOTE}> {OURS}\r\n");
    let own = format!("a\r\n{OURS}\r\n");
    for (options, all, is_there) in [
        (
            thread,
            mixed(&[(TEXT, &quoted), ("pdf", "x"), (TEXT, "")]),
            true,
        ),
        (
            thread,
            mixed(&[(TEXT, "a"), ("pdf", "x"), (TEXT, &quoted)]),
            true,
        ),
        (
            thread,
            mixed(&[(TEXT, "a"), ("pdf", "x"), (TEXT, QUOTE)]),
            false,
        ),
        (
            "once = 'per-mail'\n",
            mixed(&[(TEXT, &quoted), ("pdf", "x"), (TEXT, "")]),
            false,
        ),
        (
            "once = 'per-mail'\n",
            mixed(&[(TEXT, &own), ("pdf", "x"), (TEXT, QUOTE)]),
            true,
        ),
        (
            "once = 'per-mail'\n",
            mixed(&[(TEXT, "a"), ("pdf", "x"), (TEXT, &quoted)]),
            false,
        ),
        (
            "once = 'always'\n",
            mixed(&[(TEXT, &quoted), ("pdf", "x"), (TEXT, "")]),
            false,
        ),
    ] {
        let ran = footer(options, &all);
        assert_eq!(
            ran.err.contains("duplicate"),
            is_there,
            "{options}: {}",
            ran.err
        );
    }
    let config = "[[rule]]\nname = 'footer'\nplugin = 'disclaim'\n[rule.options]\ntext = 'Example Ltd, www.example.org'\n\
        html = \"<p><b>Example Ltd</b>, <a href='http://www.example.org/'>www.example.org</a></p>\"\nonce = 'per-thread'\n";
    let gmail = mail("reply-gmail-text-made-of-html.eml");
    let gmail = String::from_utf8(gmail).expect("text");
    let outlook = gmail.replace(
        "*Example Ltd*, www.example.org",
        "Example Ltd, www.example.org<http://www.example.org/>",
    );
    for mail in [&gmail, &outlook] {
        let ran = filter(
            config,
            "anna@example.org",
            "bob@example.net",
            mail.as_bytes(),
        );
        assert!(ran.err.contains("duplicate"), "{}", ran.err);
    }
}

/// The words of these tests.
trait ReplaceOurs {
    fn replace_ours(self) -> Vec<u8>;
}

impl ReplaceOurs for Vec<u8> {
    fn replace_ours(self) -> Vec<u8> {
        let text = String::from_utf8(self).expect("text");
        text.replace("OURS Example Ltd, Exampleland, no. 123456", OURS)
            .into_bytes()
    }
}

#[test]
fn a_tag_behind_a_turkish_mark_is_not_put_on_again() {
    let config = "[[rule]]\nname = 'tag'\nplugin = 'header'\noptions = { prefix_subject = '[EXTERNAL]', force = true }\n";
    let before = mail("subject-reply-mark-turkish.eml");
    let ran = filter(config, "anna@example.org", "bob@example.net", &before);
    assert!(ran.out == before, "{}", ran.text());
}

// man: mimicry.toml(5) "A regex is matched against each spelling of an address"
#[test]
fn a_domain_is_one_in_unicode_and_in_ascii() {
    let footer = |filter: &str| {
        format!(
            "[[rule]]\nname = 'footer'\nplugin = 'disclaim'\nmatch = {{ {filter} }}\noptions = {{ text = 'OURS' }}\n"
        )
    };
    let (unicode, ascii) = ("anna@bücher.example", "anna@xn--bcher-kva.example");
    for (filter_of, from, to, holds) in [
        (
            r"recipient = '@müller\.example$'",
            "a@example.org",
            "tom@xn--mller-kva.example",
            true,
        ),
        (
            r"recipient = '@MÜLLER\.example$'",
            "a@example.org",
            "tom@XN--MLLER-KVA.example",
            true,
        ),
        (
            r"recipient = '@xn--mller-kva\.example$'",
            "a@example.org",
            "tom@müller.example",
            true,
        ),
        (
            r"recipient = '@miller\.example$'",
            "a@example.org",
            "tom@xn--mller-kva.example",
            false,
        ),
        (
            r"sender = '@(.*\.)?bücher\.example$'",
            ascii,
            "b@example.net",
            true,
        ),
        (
            r"sender = '@xn--bcher-kva\.example$'",
            unicode,
            "b@example.net",
            true,
        ),
        (
            r"header_sender = '@bücher\.example$'",
            "a@example.org",
            "b@example.net",
            true,
        ),
        (
            r"header_sender = '@xn--bcher-kva\.example$'",
            "a@example.org",
            "b@example.net",
            true,
        ),
    ] {
        let ran = filter(
            &footer(filter_of),
            from,
            to,
            &mail("sender-idn-a-label.eml"),
        );
        assert_eq!(
            ran.text().contains("OURS"),
            holds,
            "{filter_of} {from} {to}: {}",
            ran.err
        );
    }
    // A bank, its `when`.
    let bank = "rules = []\n[[rule]]\nname = 'footer'\nplugin = 'disclaim'\noptions = { text = 'OURS' }\n\
        [[bank]]\nname = 'books'\nwhen = { sender = '@bücher\\.example$' }\nrules = ['footer']\n";
    for (from, holds) in [(ascii, true), (unicode, true), ("a@example.org", false)] {
        let ran = filter(bank, from, "b@example.net", &mail("sender-idn-a-label.eml"));
        assert_eq!(ran.text().contains("OURS"), holds, "{from}: {}", ran.err);
    }
    let banner = "[[rule]]\nname = 'outside'\nplugin = 'banner'\n[rule.options]\ntext = 'OURS'\nsubject_tag = '[EXTERNAL]'\n";
    for (option, from) in [
        ("own_domains = ['bücher.example']", ascii),
        ("own_domains = ['BÜCHER.example']", unicode),
        ("own_domains = ['xn--bcher-kva.example']", unicode),
        ("trusted = ['bücher.example']\ninternal_clients = []", ascii),
        (
            "trusted = ['Anna@bücher.example']\ninternal_clients = []",
            ascii,
        ),
    ] {
        let before = mail("sender-idn-a-label.eml");
        let ran = filter(
            &format!("{banner}{option}\n"),
            from,
            "b@example.net",
            &before,
        );
        assert!(ran.out == before, "{option}: {}", ran.text());
    }
}
