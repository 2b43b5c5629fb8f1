//! Encrypted mails, opened by the same library; others open them in t/interop/pgp.sh.

use crate::shared::pgp::tests::trial::{load_error, names_keys, opened, run, run_for, stopped};

fn rule(options: &str) -> String {
    format!(
        "[[rule]]\nname = \"e\"\nplugin = \"pgp_encrypt\"\n[rule.options]\nkeys = [\"anna.asc\", \"bo.asc\", \"expired.asc\", \"gateway.asc\"]\n{options}"
    )
}

const MAIL: &str = "Received: r\nFrom: anna@example.org\nTo: bo@example.com\nSubject: secret\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nGrüße\n";

// T165
#[test]
fn a_mail_is_opened_by_its_recipient_and_is_what_the_rules_made() {
    let (after, said) = run(&rule(""), MAIL);
    assert!(said.starts_with("encrypted to "), "{said}");
    let (inner, signed) = opened(&after, "bo");
    assert!(inner.ends_with("\r\n\r\nGrüße\r\n"), "{inner}");
    assert!(!inner.contains("Received"), "{inner}");
    assert!(inner.contains("HP-Outer: Subject: secret\r\n"), "{inner}");
    assert!(inner.contains("hp=cipher"), "{inner}");
    assert!(!signed);
    let root = after.root();
    for name in ["content-type", "mime-version"] {
        assert_eq!(root.fields().filter(|field| field.is(name)).count(), 1);
    }
    assert!(root.field("content-transfer-encoding").is_none());
}

#[test]
fn a_subject_is_hidden_and_the_author_signs_within() {
    let options = "hide_subject = true\nsign_keys = { \"example.org\" = \"anna.secret.asc\" }\nadd_autocrypt = true\n";
    let more = "Thread-Topic: secret\nKeywords: secret\nX-Spam-Prev-Subject: secret\n";
    let (after, said) = run(&rule(options), &format!("{more}{MAIL}"));
    assert!(said.contains("signed: "), "{said}");
    assert!(!String::from_utf8_lossy(after.raw()).contains("secret"));
    assert!(after.root().field("autocrypt").is_some());
    let (inner, signed) = opened(&after, "bo");
    assert!(inner.contains("Subject: secret\r\n"), "{inner}");
    assert!(inner.contains("HP-Outer: Subject: [...]\r\n"), "{inner}");
    assert!(signed);
    // Another author's mail is not signed.
    let other = MAIL.replace("anna@example.org", "bo@example.com");
    let (after, said) = run(&rule(options), &other);
    assert!(!said.contains("signed"), "{said}");
    assert!(!opened(&after, "bo").1);
}

/// A rule above has signed, or the author with a copy of the subject in what he signed; where there is none, it would be lost.
#[test]
fn the_subject_of_a_signed_mail_is_hidden_if_it_stands_inside() {
    let encrypts = rule("hide_subject = true\n");
    let signs = "[[rule]]\nname = \"s\"\nplugin = \"pgp_sign\"\nmatch.client = \"127.0.0.0/8\"\noptions.keys = { \"example.org\" = \"anna.secret.asc\" }\n";
    let signed = |copy: &str| {
        let head = MAIL.split("\n\n").next().unwrap().replace("Content-", "X-");
        format!(
            "{head}\nContent-Type: multipart/signed; boundary=b; protocol=\"application/pgp-signature\"\n\n--b\n{copy}\nx\n--b\nContent-Type: application/pgp-signature\n\ny\n--b--\n"
        )
    };
    for (source, mail, is_hidden) in [
        (format!("{signs}{encrypts}"), MAIL.to_string(), true),
        (encrypts.clone(), signed("Subject: secret\n"), true),
        (encrypts.clone(), signed("Subject: another\n"), false),
        (encrypts, signed(""), false),
    ] {
        let after = run_for(&source, &mail, &["bo@example.com"])
            .remove(0)
            .unwrap();
        let subject = after.root().field("subject").unwrap().decoded();
        assert_eq!(subject == "[...]", is_hidden, "{mail}");
        assert_eq!(
            opened(&after, "bo").0.contains("Subject: secret"),
            is_hidden
        );
    }
}

// T166
#[test]
fn who_gets_a_copy_in_secret_is_in_no_packet() {
    const BO: &str = "bo@example.com";
    for (options, recipients, named) in [
        ("", &[BO][..], true),
        ("", &[BO, "anna@example.org"], false),
        ("hidden_recipients = \"always\"\n", &[BO], false),
    ] {
        let mut results = run_for(&rule(options), MAIL, recipients);
        assert_eq!(results.len(), 1);
        let after = results.remove(0).unwrap();
        assert_eq!(names_keys(&after), named, "{options} {recipients:?}");
        opened(&after, "bo");
    }
}

// T164
#[test]
fn nobody_gets_what_he_cannot_open() {
    let both = &["bo@example.com", "nobody@example.com"];
    let why =
        "mail to nobody@example.com must be encrypted, and there is no key of nobody@example.com";
    for (options, expected) in [
        ("", format!("550 5.7.1 {why}")),
        ("no_key = \"defer\"\n", format!("451 4.7.1 {why}")),
        ("no_key = \"pass\"\n", "in the clear".to_string()),
    ] {
        let mut results = run_for(&rule(options), MAIL, both);
        assert_eq!(results.len(), 2, "{options}");
        let other = match results.remove(1) {
            Ok(message) if message.raw() == MAIL.replace('\n', "\r\n").as_bytes() => {
                "in the clear".into()
            }
            Ok(_) => "edited".into(),
            Err(reply) => reply,
        };
        assert_eq!(other, expected, "{options}");
        opened(&results.remove(0).unwrap(), "bo");
    }
    assert_eq!(
        stopped(&rule(""), MAIL, "expired@example.com"),
        "550 5.7.1 mail to expired@example.com must be encrypted, and the key of expired@example.com expired on 2026-06-01"
    );
    // That faults pass is not about this one.
    let passes = rule("").replace("[rule.options]", "on_error = \"pass\"\n[rule.options]");
    assert!(stopped(&passes, MAIL, "nobody@example.com").starts_with("550"));
}

#[test]
fn what_is_encrypted_stays_as_it_is() {
    let (once, _) = run(&rule(""), MAIL);
    let text = String::from_utf8(once.raw().to_vec()).unwrap();
    let (twice, said) = run(&rule(""), &text.replace("\r\n", "\n"));
    assert_eq!(said, "sealed");
    assert_eq!(once.raw(), twice.raw());
}

/// Broken ones, too, and those that say they are encrypted: none leaves in the clear, whatever filter is about encrypted mail.
// T164
#[test]
fn every_mail_is_encrypted() {
    const ARMOUR: &str = "-----BEGIN PGP MESSAGE-----\n\nwQJra9IDZGRk\n-----END PGP MESSAGE-----\n";
    let mails = [
        "",
        "x",
        "Content-Type: multipart/mixed\n\n--b\n\nsecret\n",
        "Content-Type: multipart/mixed; boundary=b\n\nsecret\n",
        "Content-Type: text/plain\nContent-Type: text/html\n\nsecret\n",
        "Content-Type: multipart/signed; boundary=b\n\n--b\n\nsecret\n--b\n\ny\n--b--\n",
        "Content-Transfer-Encoding: x-uue\n\nsecret\n",
        "Content-Type: multipart/encrypted; boundary=b\n\n--b\nContent-Type: application/pgp-encrypted\n\nVersion: 1\n--b\nContent-Type: text/plain\n\nsecret\n--b--\n",
        "Content-Type: multipart/encrypted\n\nsecret\n",
        "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\n\nsecret\n",
        "Content-Type: application/octet-stream; name=smime.p7m\n\nsecret\n",
        &format!("\nsecret\n{ARMOUR}"),
        &format!("\n{ARMOUR}secret\n{ARMOUR}"),
        "\n-----BEGIN PGP MESSAGE-----\nsecret\n-----END PGP MESSAGE-----\n",
        &format!(
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n{ARMOUR}\n--b\nContent-Type: text/csv\n\nsecret\n--b--\n"
        ),
    ];
    let filters = [
        "",
        "unless = { encrypted = true }\n",
        "match = { encrypted = false }\n",
    ];
    for (mail, filters) in mails
        .iter()
        .flat_map(|mail| filters.map(|filters| (mail, filters)))
    {
        let rule = rule("").replace("[rule.options]", &format!("{filters}[rule.options]"));
        let (after, said) = run(&rule, mail);
        assert!(said.starts_with("encrypted to "), "{mail}: {said}");
        assert!(
            !String::from_utf8_lossy(after.raw()).contains("secret"),
            "{mail}"
        );
        let (inner, _) = opened(&after, "bo");
        assert_eq!(inner.contains("secret"), mail.contains("secret"), "{mail}");
    }
}

#[test]
fn mistakes() {
    for (options, message) in [
        ("", "pgp_encrypt needs the keys of recipients"),
        (
            "options.keys = \"README.md\"",
            "README.md holds no OpenPGP key",
        ),
        (
            "options = { keys = \"anna.asc\", domain_keys = { \"example.com\" = \"bo@example.com\" } }",
            "no certificate of keys has the fingerprint or the address bo@example.com",
        ),
        (
            "options.keys = \"anna.asc\"\n[[rule]]\nname = \"i\"\nplugin = \"ignore_mail\"\nmatch.header.Subject = \"x\"",
            "this rule cancels edits, and stands below one that encrypts",
        ),
        // Anybody can write such a field.
        (
            "on_dkim = \"skip\"\noptions.keys = \"anna.asc\"",
            "a mail with a DKIM signature, which anybody can write, would leave in the clear",
        ),
        (
            "options = { keys = \"anna.asc\", add_autocrypt = true }",
            "add_autocrypt is about keys that sign, and there is none",
        ),
    ] {
        let source = format!("[[rule]]\nname = \"e\"\nplugin = \"pgp_encrypt\"\n{options}\n");
        assert_eq!(load_error(&source), message, "{options}");
    }
}
