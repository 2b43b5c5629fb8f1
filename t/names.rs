//! File names end to end: what a sender writes so that a rule on names does not see it.
//!
//! The forms of one name stand beside the code (`mimicry-core/src/message/names/tests.rs`); here is what the program does with them.

use crate::harness::daemon::{Setup, World};
use crate::harness::{PATHS, Ran, contains, filter, mail, root, with};

/// The rule of mimicry-plugins(7), REMOVE.
const PROGRAMS: &str = r"[[rule]]
name = 'no programs'
plugin = 'remove'
match = { filename = '\.(exe|com|scr|js|vbs)$' }
";

/// A mail with one attachment under these fields.
fn with_attachment(fields: &str) -> Vec<u8> {
    mixed(&format!("{fields}\r\n\r\nTHE-PROGRAM\r\n"))
}

fn mixed(part: &str) -> Vec<u8> {
    format!(
        "From: anna@example.org\r\nTo: bob@example.net\r\nSubject: s\r\nDate: Tue, 14 May 2024 09:30:00 +0200\r\n\
         Message-ID: <1@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nHello\r\n--b\r\n{part}--b--\r\n"
    )
    .into_bytes()
}

fn is_removed(ran: &Ran) -> bool {
    assert_eq!(ran.code, 0, "{}", ran.err);
    !contains(&ran.out, b"THE-PROGRAM")
}

// T179
// man: mimicry.toml(5) "A rule takes a part if one of its names matches."
#[test]
fn a_program_under_any_of_its_names_is_removed() {
    for name in [
        "name-trailing-dot.eml",
        "name-trailing-zero-width.eml",
        "name-quotes-within-quotes.eml",
        "name-rfc2231-sections-from-one.eml",
        "name-rfc2231-differs-from-plain.eml",
        "name-two-disposition-fields.eml",
        "name-rfc2231-broken-beside-plain.eml",
        "name-rfc2047-cp932.eml",
    ] {
        let ran = filter(PROGRAMS, &mail(name));
        assert_eq!(ran.code, 0, "{name}: {}", ran.err);
        assert!(!contains(&ran.out, b"TVqQAAMAAAAEAAAA"), "{name}");
        assert!(contains(&ran.out, b".removed.txt"), "{name}");
    }
}

// T179
#[test]
fn explain_shows_every_name() {
    let ran = with(
        PROGRAMS,
        &[&["explain"], PATHS, &["-"]].concat(),
        &mail("name-rfc2231-differs-from-plain.eml"),
    );
    for words in [
        "\"readme.txt\"",
        "or \"setup.exe\"",
        "mail programs read different names",
        "malformed yes",
        "a file name that mail programs read differently",
        "2 has names that mail programs read differently: readme.txt, setup.exe",
    ] {
        assert!(ran.text().contains(words), "{words}:\n{}", ran.text());
    }
}

// T179
// man: mimicry-plugins(7) "A part whose file name cannot be read to its end is removed by a rule on file names as one that may match"
#[test]
fn a_name_that_cannot_be_read_may_match() {
    let sections: String = (0..65)
        .map(|number| format!(";\r\n filename*{number}=a"))
        .collect();
    let fields = [
        format!("Content-Disposition: attachment{sections}"),
        "Content-Disposition: attachment; filename*=x-none''a.txt".to_string(),
        "Content-Disposition: attachment; filename*=utf-8''a%E9.txt".to_string(),
        "Content-Disposition: attachment; filename*=utf-8''a%.txt".to_string(),
        "Content-Disposition: attachment; filename=\"=?cp037?B?gYKD?=\"".to_string(),
    ];
    let pass = format!("{PROGRAMS}unsure = 'pass'\n");
    let other = PROGRAMS.replace("'remove'", "'keep'");
    let zip = "[[rule]]\nname = 'z'\nplugin = 'zip'\nmatch = { filename = 'none' }\noptions = { min_saving = 0 }\n";
    for fields in &fields {
        let mail = with_attachment(fields);
        assert!(is_removed(&filter(PROGRAMS, &mail)), "{fields}");
        for config in [&pass, &other, zip] {
            let ran = filter(config, &mail);
            assert_eq!(ran.out, mail, "{fields}: {config}");
        }
        let ran = with(PROGRAMS, &[&["explain"], PATHS, &["-"]].concat(), &mail);
        assert!(ran.text().contains("2 may match: "), "{}", ran.text());
    }
    // What can be read and does not match stays.
    for fields in [
        "Content-Disposition: attachment; filename=a.txt",
        "Content-Disposition: attachment; filename=\"Gr__e.txt\"; filename*=utf-8''Gr%C3%B6%C3%9Fe.txt",
    ] {
        let mail = with_attachment(fields);
        assert_eq!(filter(PROGRAMS, &mail).out, mail, "{fields}");
    }
}

// T179
// man: mimicry.toml(5) "takes the part as one that may match, and the log and mimicryd explain say so;"
#[test]
fn the_log_says_why_a_part_was_taken() {
    let mut world = World::new(Setup {
        rules: PROGRAMS,
        ..Setup::default()
    });
    world.pass(&with_attachment(
        "Content-Disposition: attachment; filename*=x-none''a.txt",
    ));
    let why = "no programs: 2 may match: octets that are not valid in their charset, or an unknown charset";
    let line = world.daemon().logs(" status=sent");
    assert!(
        line.contains(why) && line.contains("no programs:edited"),
        "{line}"
    );
}

// T179
// man: mimicry.toml(5) "unless and for keep and ignore_mail, all names of the part must match."
#[test]
fn what_lets_pass_must_know_every_name() {
    let two = with_attachment(
        "Content-Disposition: attachment; filename=a.pdf; filename*=utf-8''setup.exe",
    );
    let one = with_attachment("Content-Disposition: attachment; filename=a.pdf");
    let keep = r"[[rule]]
name = 'documents stay'
plugin = 'keep'
match = { filename = '\.pdf$' }

[[rule]]
name = 'nothing else'
plugin = 'remove'
match = { position = 'attachment' }
";
    let unless = r"[[rule]]
name = 'documents only'
plugin = 'remove'
match = { position = 'attachment' }
unless = { filename = '\.pdf$' }
";
    for config in [keep, unless] {
        assert!(is_removed(&filter(config, &two)), "{config}");
        assert!(!is_removed(&filter(config, &one)), "{config}");
    }
}

// T179
#[test]
fn every_type_is_judged() {
    let rule = r"[[rule]]
name = 'by type'
plugin = 'remove'
match = { type = '^application/x-msdownload$' }
";
    for fields in [
        "Content-Type: application/x-msdownload",
        "Content-Type: text/plain\r\nContent-Type: application/x-msdownload",
        "Content-Type: application/x-msdownload\r\nContent-Type: text/plain",
        "Content-Type: \"application/x-msdownload\"",
        "Content-Type: application/x-msdownload, x",
        "Content-Type: =?utf-8?Q?application/x-msdownload?=",
    ] {
        let fields = format!("{fields}\r\nContent-Disposition: attachment");
        assert!(
            is_removed(&filter(rule, &with_attachment(&fields))),
            "{fields}"
        );
    }
}

const ENCLOSED: &str = "From: x@example.com\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n\
                        --i\r\n\r\ntext\r\n--i\r\nContent-Disposition: attachment; filename=setup.exe\r\n\r\nTHE-PROGRAM\r\n--i--\r\n";

// T179
// man: mimicry-plugins(7) "An enclosed message with a part that the filters match is removed whole."
#[test]
fn programs_in_enclosed_messages_are_removed_whole() {
    let inside = format!("{PROGRAMS}options = {{ inside = 'message' }}\n");
    let within = |inner: &str| format!("Content-Type: message/rfc822\r\n\r\n{inner}");
    let twice = within(&format!("Subject: outer\r\n{}", within(ENCLOSED)));
    let digest = format!(
        "Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\nSubject: harmless\r\n\r\nAlpha\r\n--d\r\n\r\n{ENCLOSED}--d--\r\n"
    );
    for part in [within(ENCLOSED), twice, digest.clone()] {
        let mail = mixed(&part);
        assert!(is_removed(&filter(&inside, &mail)), "{part}");
        // Without the option an enclosed message is one leaf.
        assert_eq!(filter(PROGRAMS, &mail).out, mail, "{part}");
    }
    // The other messages of a digest stay.
    let left = filter(&inside, &mixed(&digest)).out;
    assert!(contains(&left, b"Subject: harmless\r\n\r\nAlpha"));
    let harmless = mixed(&within(&ENCLOSED.replace("setup.exe", "a.txt")));
    assert_eq!(filter(&inside, &harmless).out, harmless);
    // A name that cannot be read is one that may match within, too.
    let unsure = mixed(&within(&ENCLOSED.replace("=setup.exe", "*=x-none''a")));
    assert!(is_removed(&filter(&inside, &unsure)));
    let pass = inside.replace("plugin", "unsure = 'pass'\nplugin");
    assert_eq!(filter(&pass, &unsure).out, unsure);
    let ran = with(
        &inside,
        &[&["explain"], PATHS, &["-"]].concat(),
        &mixed(&within(ENCLOSED)),
    );
    assert!(ran.text().contains("2 holds 2 setup.exe"), "{}", ran.text());
    // Deeper than anybody looks.
    let deep = (0..20).fold(ENCLOSED.to_string(), |inner, _| within(&inner));
    assert!(is_removed(&filter(&inside, &mixed(&deep))));
}

// T179
// man: mimicry-plugins(7) "has them all."
#[test]
fn the_companion_rules_let_no_program_through() {
    let sample =
        std::fs::read_to_string(root().join("etc/mimicry.programs.toml")).expect("the sample");
    let check = with(&sample, &["check"], b"");
    assert_eq!(
        (check.code, check.complaints()),
        (0, String::new()),
        "{}",
        check.text()
    );
    let named = "Content-Disposition: attachment; filename=setup.exe\r\n\r\nTHE-PROGRAM\r\n";
    let report = format!(
        "From: <>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=r\r\n\r\n\
         --r\r\n\r\ntext\r\n--r\r\n{named}--r--\r\n"
    );
    let signed = format!(
        "From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/signed; protocol=\"application/pgp-signature\"; \
         micalg=pgp-sha256; boundary=s\r\n\r\n--s\r\n{named}--s\r\nContent-Type: application/pgp-signature\r\n\r\nx\r\n--s--\r\n"
    );
    let encrypted = "From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/encrypted; \
         protocol=\"application/pgp-encrypted\"; boundary=e\r\n\r\n--e\r\nContent-Type: application/pgp-encrypted\r\n\r\n\
         Version: 1\r\n--e\r\nContent-Type: application/octet-stream\r\n\r\nTHE-PROGRAM\r\n--e--\r\n";
    // Two boundaries: readers take the one or the other.
    let malformed = "From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x; boundary=y\r\n\r\n\
         --x\r\n\r\ntext\r\n--x\r\nContent-Type: application/octet-stream\r\n\r\nTHE-PROGRAM\r\n--x--\r\n";
    let enclosed = mixed(&format!("Content-Type: message/rfc822\r\n\r\n{ENCLOSED}"));
    let plain = with_attachment("Content-Disposition: attachment; filename=setup.exe");
    let by_type = with_attachment(
        "Content-Type: application/x-msdownload\r\nContent-Disposition: attachment",
    );
    // man: mimicry-plugins(7) "With the part of a multipart/related that shows the others, the whole multipart/related is removed"
    // What shows the others of a multipart/related, or is a fork of a file, alone or in a variant.
    let picture = "Content-Type: image/png\r\nContent-ID: <p>\r\n\r\nx\r\n";
    let fork = "Content-Type: application/applefile; name=setup.exe\r\n\r\nTHE-PROGRAM\r\n";
    let of = |kind: &str, parts: &[&str]| {
        let inside: String = parts.iter().map(|part| format!("--i\r\n{part}")).collect();
        format!("Content-Type: multipart/{kind}; boundary=i\r\n\r\n{inside}--i--\r\n")
    };
    let wholes = [
        of("related", &[NAMED, picture]),
        of("related; start=\"<p>\"", &[NAMED, picture]),
        of("related", &[NAMED]),
        of("related", &[NAMED, NAMED]),
        of("appledouble", &[fork, NAMED]),
        of("appledouble", &[fork, picture]),
        of("alternative", &[NAMED, NAMED]),
        of("digest", &[NAMED]),
    ];
    let alone = wholes
        .iter()
        .map(|whole| format!("From: a@example.org\r\nMIME-Version: 1.0\r\n{whole}").into_bytes());
    let within = wholes.iter().map(|whole| mixed(whole));
    for mail in alone.chain(within) {
        let ran = filter(&sample, &mail);
        let shown = String::from_utf8_lossy(&mail);
        assert!(ran.code == 77 || is_removed(&ran), "{} {shown}", ran.code);
    }
    for mail in [
        report.as_bytes(),
        signed.as_bytes(),
        encrypted.as_bytes(),
        malformed.as_bytes(),
        &enclosed,
        &plain,
        &by_type,
    ] {
        let ran = filter(&sample, mail);
        let shown = String::from_utf8_lossy(mail);
        // Rejected, or without it.
        assert!(ran.code == 77 || is_removed(&ran), "{} {shown}", ran.code);
    }
    let harmless = with_attachment(
        "Content-Type: application/pdf; name=a.pdf\r\nContent-Disposition: attachment; filename=a.pdf",
    );
    assert_eq!(filter(&sample, &harmless).out, harmless);
}

const NAMED: &str = "Content-Disposition: attachment; filename=setup.exe\r\n\r\nTHE-PROGRAM\r\n";

/// Mails in which only some programs find the program: the root's fields, and what stands below them.
#[rustfmt::skip]
fn hidden() -> Vec<Vec<u8>> {
    let multipart = "Content-Type: multipart/mixed; boundary=B";
    let text = "--B\r\n\r\ntext\r\n";
    let roots = [
        // behind the close delimiter, or a line that is nearly one
        (multipart, format!("{text}--B--\r\n--B\r\n{NAMED}--B--\r\n")),
        (multipart, format!("{text}--B--\r\n\r\n--Bz\r\n{NAMED}")),
        (multipart, format!("{text}--B z\r\n{NAMED}--B--\r\n")),
        (multipart, format!("{text}--b\r\n{NAMED}--B--\r\n")),
        (multipart, format!("{text}--B\0\r\n{NAMED}--B--\r\n")),
        (multipart, format!("--b\r\n{NAMED}{text}--B--\r\n")),
        // roots that are split by some only
        ("Content-Type: multipart/mixed", format!("{text}--B\r\n{NAMED}--B--\r\n")),
        ("Content-Type: multipart/mixed; boundary=B\r\nContent-Transfer-Encoding: base64", "VEhFLVBST0dSQU0=\r\nTHE-PROGRAM".into()),
        ("Content-Type: multipart/mixed; boundary=B\r\nContent-Transfer-Encoding: quoted-printable", format!("{text}--B\r\n{NAMED}--B--\r\n")),
        ("Content-Type: multipart/mixed; boundary=A; boundary=B", format!("--A\r\n\r\n{text}--B\r\n{NAMED}--B--\r\n--A--\r\n")),
        ("Content-Type: text/plain\r\nContent-Type: multipart/mixed; boundary=B", format!("{text}--B\r\n{NAMED}--B--\r\n")),
        ("Content-Type: \"multipart/mixed\"; boundary=B", format!("{text}--B\r\n{NAMED}--B--\r\n")),
        ("Content-Type: multipart; boundary=B", format!("{text}--B\r\n{NAMED}--B--\r\n")),
        ("Content-Type: X-Sun-Attachment", "----------\r\nX-Sun-Data-Name: setup.exe\r\n\r\nTHE-PROGRAM\r\n".into()),
    ];
    let roots = roots.iter().map(|(fields, body)| {
        format!("From: a@example.org\r\nMIME-Version: 1.0\r\n{fields}\r\n\r\n{body}").into_bytes()
    });
    let within = |fields: &str| format!("Content-Type: {fields}\r\n\r\n{ENCLOSED}");
    let parts = [
        // header fields that some read
        format!("garbage\r\n{NAMED}"),
        format!(" {NAMED}"),
        format!("\r\n{NAMED}"),
        format!(" \r\n{NAMED}"),
        NAMED.replace("Disposition:", "Disposition\0:"),
        NAMED.replace("Disposition:", "Disposition(c):"),
        format!("\u{feff}{NAMED}"),
        // two types, odd types, messages of all kinds
        "Content-Type: text/plain\r\nContent-Type: application/octet-stream; name=setup.exe\r\n\r\nTHE-PROGRAM\r\n".to_string(),
        within("text/plain\r\nContent-Type: message/rfc822"),
        within("\"message/rfc822\""),
        within("message/x-rfc822"),
        within("message/partial; id=a; number=2; total=2"),
        within("message/external-body; access-type=x"),
        within("application/octet-stream; name=x.eml"),
        within("application/octet-stream; name=x.MHT"),
        within("message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64"),
        // names
        format!("Content-Name: setup.exe\r\n{}", NAMED.replace("; filename=setup.exe", "")),
        format!("X-Sun-Data-Name: setup.exe\r\n{}", NAMED.replace("; filename=setup.exe", "")),
        NAMED.replace("filename=setup", "filename*00000000=setup; filename*00000001="),
        NAMED.replace("setup.exe", "\"setup.e\0xe\""),
        // a multipart that goes whole
        format!("{multipart}2\r\n\r\n--B2\r\n\r\ntext\r\n--B2--\r\n--B2\r\n{NAMED}--B2--\r\n").replace("=B2", "=\"inner\"").replace("--B2", "--inner"),
    ];
    let parts = parts.iter().map(|part| mixed(part));
    roots.chain(parts).collect()
}

// T179
// man: mimicry-plugins(7) "If it is the whole mail, the rule leaves it, but a rule with malformed = true rejects
// such a mail."
#[test]
fn the_companion_rules_see_what_only_some_programs_find() {
    let sample =
        std::fs::read_to_string(root().join("etc/mimicry.programs.toml")).expect("the sample");
    for mail in hidden() {
        let ran = filter(&sample, &mail);
        let shown = String::from_utf8_lossy(&mail);
        assert!(ran.code == 77 || is_removed(&ran), "{} {shown}", ran.code);
    }
    let pass = sample.replace("\nplugin", "\nunsure = \"pass\"\nplugin");
    let first = hidden().swap_remove(0);
    assert_eq!(filter(&pass, &first).out, first);
    let ran = filter(&sample, &first);
    assert_eq!(ran.code, 77);
    assert!(
        ran.err
            .contains("part 0: lines that only some programs take for delimiters"),
        "{}",
        ran.err
    );
    // Without a companion the part goes that can go.
    let nested = hidden().pop().expect("the last");
    assert!(is_removed(&filter(PROGRAMS, &nested)));
    assert_eq!(filter(PROGRAMS, &first).out, first);
}

// T179
// man: mimicry-plugins(7) "mimicryd check warns if one is missing"
#[test]
fn check_warns_of_missing_companions() {
    let warns = |config: &str| {
        with(config, &["check"], b"").text().to_string() + &with(config, &["check"], b"").err
    };
    let said = warns(PROGRAMS);
    for words in [
        "this rule removes programs, but not from broken mails, signed parts, delivery reports, enclosed messages",
        "on_sealed = \"reject\"",
        "bulk = [true, false]",
        "inside = \"message\"",
        "malformed = true",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    for quiet in [
        PROGRAMS.replace("exe|com|scr|js|vbs", "pdf"),
        PROGRAMS.replace("'remove'", "'zip'"),
        PROGRAMS.replace("plugin", "mode = 'off'\nplugin"),
    ] {
        assert!(!warns(&quiet).contains("removes programs"), "{quiet}");
    }
    let useless = PROGRAMS
        .replace("match", "unsure = 'take'\nmatch")
        .replace("filename", "disposition");
    assert!(
        warns(&useless).contains("`unsure` has no effect without the filter `filename` or `type`")
    );
}
