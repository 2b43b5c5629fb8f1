//! What a part is, and where what we add may stand: the laws over the corpus, and cases rebuilt from public reports of
//! programs that do this job.

mod common;

use common::{apply, corpus_mails, mail_of, rules, show_tree};
use mimicry_core::mail::Mail;
use mimicry_core::message::Part;

/// Stands in every new part of text.
const OURS: &str = "OURS-7f3a";

/// Is it a text or an archive that these rules made.
fn is_ours(part: Part<'_>) -> bool {
    let named = |name: &str| name.contains(OURS);
    let text = part.decoded().unwrap_or_default();
    part.filename().is_some_and(|name| named(&name))
        || part.media_type() == "text/plain" && text.starts_with(OURS.as_bytes())
}

const RULES: [&str; 7] = [
    r#"zip | options.name = "OURS-7f3a.zip" | options.note = "text" | options.note_text = "OURS-7f3a" | match.bulk = [true, false]"#,
    r#"zip | options.name = "OURS-7f3a.zip" | options.placement = "end" | options.note = "text" | options.note_text = "OURS-7f3a" | match.bulk = [true, false]"#,
    r#"zip | match.type = "." | options.name = "OURS-7f3a.zip" | options.note = "text" | options.note_text = "OURS-7f3a" | match.bulk = [true, false]"#,
    r#"remove | options.text = "OURS-7f3a" | match.bulk = [true, false]"#,
    r#"remove | match.type = "^(text/html|image/)" | options.text = "OURS-7f3a" | match.bulk = [true, false]"#,
    r#"remove | match.type = "^[^m]" | options.note = "none" | options.text = "OURS-7f3a" | match.bulk = [true, false]"#,
    r#"disclaim | match.position = "attachment" | options.text = "OURS-7f3a" | options.html = "<p>OURS-7f3a" | options.place = "top" | match.bulk = [true, false]"#,
];

// man: mimicry-plugins(7) "A new part never stands within another multipart than a multipart/mixed:"
#[test]
fn new_parts_stand_where_everybody_sees_them() {
    let mut count = 0;
    for rule in RULES {
        let config = rules(rule);
        for (name, octets) in corpus_mails() {
            let mail = mail_of(octets, "");
            let Ok(applied) = apply(&config, &mail) else {
                continue;
            };
            let Some(message) = applied.message else {
                continue;
            };
            for part in message.leaves().filter(|part| is_ours(*part)) {
                // The text of the mail may hold ours; a note that has taken a part's place is new.
                let is_open = part
                    .ancestors()
                    .all(|above| above.media_type() == "multipart/mixed");
                let was_there = mail.message.part(part.id()).is_some_and(|old| {
                    rule.starts_with("disclaim") && old.media_type() == part.media_type()
                });
                assert!(
                    is_open || was_there,
                    "{name}: {rule}\n{}",
                    show_tree(&message)
                );
                count += 1;
            }
        }
    }
    assert!(count > 300, "{count}");
}

/// Parts given as `fields|body`, fields joined by ` / `, in a multipart.
fn multipart(kind: &str, parts: &[&str]) -> String {
    let boundary = format!("={}", kind.replace('/', ""));
    let part = |part: &&str| {
        let (head, body) = part.split_once('|').unwrap();
        format!("--{boundary}\n{}\n\n{body}\n", head.replace(" / ", "\n"))
    };
    let parts: String = parts.iter().map(part).collect();
    format!("Content-Type: multipart/{kind}; boundary=\"{boundary}\"|{parts}--{boundary}--")
}

/// Why a mail is not let through.
fn stopped(part: &str, rule: &str) -> Option<String> {
    let applied = apply(&rules(rule), &made(part));
    applied.err().map(|stopped| stopped.text)
}

fn made(part: &str) -> Mail {
    let (head, body) = part.split_once('|').unwrap();
    let mail = format!(
        "Subject: s\nMIME-Version: 1.0\n{}\n\n{body}\n",
        head.replace(" / ", "\n")
    );
    mail_of(mail.replace('\n', "\r\n").into_bytes(), "")
}

/// The tree that is left of a mail, with our archive as `zip` and a note as `note`; `-` = unchanged.
fn left(part: &str, rule: &str) -> String {
    let mail = made(part);
    let applied = apply(&rules(rule), &mail).unwrap_or_else(|stopped| panic!("{stopped:?}"));
    applied
        .message
        .map_or("-".into(), |message| tree(message.root()))
}

fn tree(part: Part<'_>) -> String {
    let kind = part.media_type();
    let kind = kind.rsplit('/').next().unwrap_or(kind);
    if part.is_multipart() {
        let children: Vec<String> = part.children().map(tree).collect();
        return format!("{kind}({})", children.join(","));
    }
    let text = part.decoded().unwrap_or_default();
    let says_ours = text.windows(OURS.len()).any(|some| some == OURS.as_bytes());
    match (kind, says_ours) {
        ("plain", true) if text.starts_with(OURS.as_bytes()) => "note".into(),
        (_, true) => format!("{kind}+"),
        _ => kind.into(),
    }
}

const ZIP: &str = r#"zip | options.note = "text" | options.note_text = "OURS-7f3a""#;
const REMOVE: &str = r#"remove | options.text = "OURS-7f3a""#;
const FOOTER: &str = r#"disclaim | options.text = "OURS-7f3a" | options.html = "<p>OURS-7f3a</p>""#;

const TEXT: &str = "Content-Type: text/plain|Hello";
const HTML: &str = "Content-Type: text/html|<p>Hello";
const CSV: &str =
    "Content-Type: text/csv; name=a.csv / Content-Disposition: attachment|1;2;3;4;5;6;7;8";

fn csv() -> String {
    format!("{CSV}{}", "\n1;2;3;4;5;6;7;8".repeat(100))
}

// man: mimicry-plugins(7) "A file name makes no attachment of the text of a mail."
#[test]
fn a_name_makes_no_attachment_of_the_text() {
    let csv = csv();
    let long = "<p>Hello</p>\n".repeat(60);
    let named = &format!("Content-Type: text/html; name=body.html|{long}");
    let named_text = &format!("Content-Type: text/plain; name=body.txt|{long}");
    let inline = &format!(
        "Content-Type: text/html; name=m.html / Content-Disposition: inline; filename=m.html|{long}"
    );
    let called =
        &format!("Content-Type: text/plain; name=a.txt / Content-Disposition: attachment|{long}");
    let no_token = &format!(
        "Content-Type: text/plain / Content-Disposition: attachment filename=a.txt|{long}"
    );
    for (mail, zipped, removed, footed) in [
        (named.clone(), "-", "-", "html+"),
        (inline.clone(), "-", "-", "html+"),
        (named_text.clone(), "-", "-", "plain+"),
        (no_token.clone(), "-", "-", "plain+"),
        // It is all of the mail, and called a file: its text to a footer, a file to who takes files.
        (called.clone(), "zip", "note", "plain+"),
        (
            multipart("alternative", &[TEXT, named]),
            "-",
            "-",
            "alternative(plain+,html+)",
        ),
        (
            multipart("alternative", &[named_text, named]),
            "-",
            "-",
            "alternative(plain+,html+)",
        ),
        (
            multipart("alternative", &[named_text, HTML]),
            "-",
            "-",
            "alternative(plain+,html+)",
        ),
        (
            multipart(
                "mixed",
                &[&multipart("alternative", &[named_text, named]), &csv],
            ),
            "mixed(alternative(plain,html),note,zip)",
            "mixed(alternative(plain,html),note)",
            "mixed(alternative(plain+,html+),csv)",
        ),
        (
            multipart("mixed", &[named, &csv]),
            "mixed(html,note,zip)",
            "mixed(html,note)",
            "mixed(html+,csv)",
        ),
        (
            multipart("mixed", &[&csv, named]),
            "mixed(note,zip,html)",
            "mixed(note,html)",
            "mixed(csv,html+)",
        ),
        (
            multipart("mixed", &[TEXT, named]),
            "mixed(plain,note,zip)",
            "mixed(plain,note)",
            "mixed(plain+,html)",
        ),
        (
            multipart(
                "related",
                &[named, "Content-Type: image/png / Content-ID: <a>|x"],
            ),
            "-",
            "-",
            "related(html+,png)",
        ),
    ] {
        assert_eq!(left(&mail, ZIP), zipped, "zip {mail}");
        assert_eq!(left(&mail, REMOVE), removed, "remove {mail}");
        assert_eq!(left(&mail, FOOTER), footed, "footer {mail}");
    }
}

// man: mimicry-plugins(7) "A picture that the mail shows stays where it is."
#[test]
fn a_picture_that_is_shown_stays() {
    let csv = csv();
    let bitmap = "0123456789abcdef\n".repeat(100);
    let picture = |fields: &str| format!("Content-Type: image/bmp; name=p.bmp / {fields}|{bitmap}");
    let inline = "Content-Disposition: inline; filename=p.bmp";
    for (html, fields) in [
        (
            "<img src=\"cid:a@b\">",
            format!("{inline} / Content-ID: <a@b>"),
        ),
        (
            "<img src=\"cid:a&amp;b\">",
            format!("{inline} / Content-ID: <a&b>"),
        ),
        (
            "<img src=\"cid:a@b\">",
            format!("{inline} / Content-ID: < a@b >"),
        ),
        (
            "<img src=\"p.bmp\">",
            format!("{inline} / Content-Location: p.bmp"),
        ),
        ("<p>no picture", format!("{inline} / Content-ID: <a@b>")),
        ("<p>no picture", inline.into()),
        ("<p>no picture", "Content-ID: <a@b>".into()),
        (
            "<p>no picture",
            "Content-Disposition: attachment / Content-ID: <a@b>".into(),
        ),
        (
            "<p>no picture",
            "Content-Disposition: inline filename / Content-Location: p.bmp".into(),
        ),
    ] {
        let html = format!("Content-Type: text/html|{html}");
        let related = multipart("related", &[&html, &picture(&fields)]);
        let mail = multipart("mixed", &[&related, &csv]);
        assert_eq!(
            left(&mail, ZIP),
            "mixed(related(html,bmp),note,zip)",
            "{html} {fields}"
        );
        assert_eq!(
            left(&mail, REMOVE),
            "mixed(related(html,bmp),note)",
            "{html} {fields}"
        );
        assert_eq!(left(&related, REMOVE), "-", "{html} {fields}");
    }
    // Beside the HTML, not within a related, what nothing refers to is an attachment.
    for (html, expected) in [
        ("<img src=\"a@b\">", "-"),
        ("<img src=\"cid: a@b\">", "-"),
        ("<p>no picture", "mixed(html,note)"),
    ] {
        let html = format!("Content-Type: text/html|{html}");
        let mail = multipart(
            "mixed",
            &[&html, &picture(&format!("{inline} / Content-ID: <a@b>"))],
        );
        assert_eq!(left(&mail, REMOVE), expected, "{html}");
    }
    // A document in a related is one.
    let pdf = "Content-Type: application/pdf; name=a.pdf / Content-Disposition: attachment|x";
    assert_eq!(
        left(&multipart("related", &[HTML, pdf]), REMOVE),
        "mixed(related(html),note)"
    );
}

#[test]
fn never_within_what_hides_it() {
    let csv = csv();
    let photo = &format!(
        "Content-Type: image/bmp; name=p.bmp / Content-Disposition: attachment|{}",
        "0123456789abcdef\n".repeat(100)
    );
    let fork = "Content-Type: application/applefile; name=a.csv|xyz";
    let double = multipart("appledouble", &[fork, &csv]);
    let alternative = multipart("alternative", &[TEXT, HTML, photo]);
    for (mail, zipped, removed) in [
        (
            multipart("mixed", &[&alternative, &csv]),
            "mixed(alternative(plain,html),note,zip)",
            "mixed(alternative(plain,html),note,note)",
        ),
        (
            alternative.clone(),
            "mixed(alternative(plain,html),note,zip)",
            "mixed(alternative(plain,html),note)",
        ),
        (
            multipart("alternative", &[TEXT, &multipart("mixed", &[HTML, &csv])]),
            "mixed(alternative(plain,mixed(html)),note,zip)",
            "mixed(alternative(plain,mixed(html)),note)",
        ),
        (
            multipart("related", &[HTML, &csv]),
            "mixed(related(html),note,zip)",
            "mixed(related(html),note)",
        ),
        // The forks of a file go together, and their multipart with them.
        (
            multipart("mixed", &[TEXT, &double]),
            "mixed(plain,note,zip)",
            "mixed(plain,note)",
        ),
        (double.clone(), "zip", "note"),
        (
            multipart("mixed", &[&double]),
            "mixed(note,zip)",
            "mixed(note)",
        ),
        // Nothing but what is taken, and no place beside it.
        (
            multipart("related", &[&csv, photo]),
            "zip",
            "mixed(note,note)",
        ),
        (
            multipart("parallel", &[TEXT, &csv]),
            "mixed(parallel(plain),note,zip)",
            "mixed(parallel(plain),note)",
        ),
    ] {
        assert_eq!(left(&mail, ZIP), zipped, "zip {mail}");
        assert_eq!(left(&mail, REMOVE), removed, "remove {mail}");
    }
    let named = r#"remove | match.filename = 'csv$' | options.text = "OURS-7f3a""#;
    assert_eq!(
        left(&multipart("mixed", &[TEXT, &double]), named),
        "mixed(plain,note)"
    );
    // A fork that may not go keeps the other.
    let exclude = format!(r#"{ZIP} | options.exclude = ["text/csv"]"#);
    assert_eq!(left(&multipart("mixed", &[TEXT, &double]), &exclude), "-");
}

// man: mimicry-plugins(7) "Invitations, signatures, keys and winmail.dat are left alone"
#[test]
fn what_programs_use_is_left_alone() {
    let body = "0123456789abcdef\n".repeat(100);
    let attached = |kind: &str, name: &str| {
        format!(
            "Content-Type: {kind}; name={name} / Content-Disposition: attachment; filename={name}|{body}"
        )
    };
    for (kind, name) in [
        ("application/octet-stream", "invite.ics"),
        ("application/octet-stream", "smime.p7s"),
        ("application/octet-stream", "signature.asc"),
        ("application/octet-stream", "WINMAIL.DAT"),
        ("application/ms-tnef", "winmail.dat"),
        ("application/x-pkcs7-signature", "smime.p7s"),
        ("text/calendar; method=REQUEST", "event.ics"),
        ("application/pgp-keys", "OpenPGP_0x12.asc"),
    ] {
        let mail = multipart("mixed", &[TEXT, &attached(kind, name)]);
        assert_eq!(left(&mail, ZIP), "-", "{kind} {name}");
        assert_eq!(left(&mail, REMOVE), "-", "{kind} {name}");
        let named =
            format!(r#"remove | match.filename = '(?i)^{name}$' | options.text = "OURS-7f3a""#);
        assert_eq!(left(&mail, &named), "mixed(plain,note)", "{kind} {name}");
    }
    // One harmless name among others saves nothing.
    let two = format!(
        "Content-Type: application/octet-stream; name=invite.ics / Content-Disposition: attachment; filename=setup.exe|{body}"
    );
    assert_eq!(
        left(&multipart("mixed", &[TEXT, &two]), REMOVE),
        "mixed(plain,note)"
    );
}

// man: mimicry-plugins(7) "is sealed itself and does not make the mail signed or encrypted"
#[test]
fn a_sealed_document_seals_itself() {
    let invoice = "Content-Type: application/pkcs7-mime; name=a.xml.p7m / Content-Disposition: attachment; filename=a.xml.p7m|MIIB";
    let message = "Content-Type: application/pkcs7-mime; name=smime.p7m|MIIB";
    let rule = format!("{FOOTER} | match.encrypted = false");
    for (mail, expected) in [
        (
            multipart("mixed", &[TEXT, invoice]),
            "mixed(plain+,pkcs7-mime)",
        ),
        (multipart("mixed", &[TEXT, message]), "-"),
        (message.to_string(), "-"),
        (invoice.to_string(), "-"),
    ] {
        assert_eq!(left(&mail, &rule), expected, "{mail}");
    }
}

// man: mimicry-plugins(7) "If one variant of a multipart/alternative holds armour, all its text is sealed."
#[test]
fn if_one_variant_is_sealed_no_variant_is_edited() {
    let armour = "-----BEGIN PGP MESSAGE-----";
    for html in [
        format!("<div><pre>{armour}\nx"),
        format!("<div>{armour}<br>x"),
        "<p>Hello".to_string(),
    ] {
        let mail = multipart(
            "alternative",
            &[
                &format!("Content-Type: text/plain|{armour}\nx"),
                &format!("Content-Type: text/html|{html}"),
            ],
        );
        assert_eq!(left(&mail, FOOTER), "-", "{html}");
        let wrapped = format!(r#"{FOOTER} | on_sealed = "wrap""#);
        assert_eq!(
            left(&mail, &wrapped),
            "mixed(alternative(plain,html),note)",
            "{html}"
        );
    }
}

#[test]
fn a_coded_multipart_is_read_as_one() {
    let program = "Content-Type: application/octet-stream; name=setup.exe|x";
    let (head, body) = multipart("mixed", &[TEXT, program])
        .split_once('|')
        .map(|(head, body)| (head.to_string(), body.to_string()))
        .unwrap();
    for coding in ["quoted-printable", "base64", "x-odd", "binary"] {
        let mail = format!("{head} / Content-Transfer-Encoding: {coding}|{body}");
        let rule = r#"remove | match.filename = 'exe$' | options.text = "OURS-7f3a""#;
        assert_eq!(left(&mail, rule), "mixed(plain,note)", "{coding}");
        // Who decodes it finds other parts: a rule for such mail takes it, or says that it cannot go.
        let malformed = format!("{rule} | match.malformed = true");
        let outcome = stopped(&mail, &malformed);
        let expected = match coding {
            "binary" => None,
            _ => Some(
                "mail that programs read differently is not accepted here (part 0: a multipart for some programs only)",
            ),
        };
        assert_eq!(outcome.as_deref(), expected, "{coding}");
    }
}

/// The mails of the corpus that were rebuilt from reports.
#[test]
fn cases_from_the_field() {
    let picture = "mixed(related(html,bmp),note,zip)";
    for (name, rule, expected) in [
        ("html-root-named", ZIP, "-"),
        ("html-root-named", REMOVE, "-"),
        ("html-root-named-inline", ZIP, "-"),
        ("html-root-named-inline", REMOVE, "-"),
        ("html-root-named-inline", FOOTER, "html+"),
        (
            "alt-both-named-with-csv",
            ZIP,
            "mixed(alternative(plain,html),note,zip)",
        ),
        (
            "alt-both-named-with-csv",
            FOOTER,
            "mixed(alternative(plain+,html+),csv)",
        ),
        ("alt-html-variant-named", ZIP, "-"),
        (
            "alt-picture-attached",
            ZIP,
            "mixed(alternative(plain,html),note,zip)",
        ),
        ("related-cid-blanks-inside", ZIP, picture),
        ("related-cid-character-reference", ZIP, picture),
        ("related-cid-in-damaged-qp", ZIP, picture),
        ("related-picture-by-location", ZIP, picture),
        (
            "related-picture-without-reference",
            ZIP,
            "mixed(alternative(plain,related(html,bmp)),note,zip)",
        ),
        ("calendar-octet-stream", ZIP, "-"),
        ("calendar-octet-stream", REMOVE, "-"),
        ("smime-invoice-attached", FOOTER, "mixed(plain+,pkcs7-mime)"),
        ("cte-qp-declared-on-multipart", REMOVE, "mixed(plain,note)"),
        ("inline-pgp-html-breaks", FOOTER, "-"),
        ("inline-pgp-in-both-variants", FOOTER, "-"),
        ("apple-appledouble", ZIP, "mixed(plain,note,zip)"),
        ("apple-appledouble", REMOVE, "mixed(plain,note)"),
    ] {
        let mail = mail_of(common::octets(&format!("{name}.eml")), "");
        let applied = apply(&rules(rule), &mail).unwrap_or_else(|stopped| panic!("{stopped:?}"));
        let found = applied
            .message
            .map_or("-".into(), |message| tree(message.root()));
        assert_eq!(found, expected, "{name}: {rule}");
    }
}
