//! Signed mails, verified by the same library; others verify them in t/interop/pgp.sh.

use crate::shared::pgp::tests::trial::{NOW, load, load_error, run, verified};

fn rule(options: &str) -> String {
    format!(
        "[[rule]]\nname = \"s\"\nplugin = \"pgp_sign\"\nmatch.client = \"127.0.0.0/8\"\n[rule.options]\nkeys = {{ \"example.org\" = \"anna.secret.asc\" }}\n{options}"
    )
}

const PLAIN: &str =
    "From: Anna <anna@example.org>\nTo: bo@example.com\nSubject: s\n\nGrüße \nFrom here\n";

// T167
#[test]
fn what_is_signed_verifies_and_is_what_the_rules_made() {
    let (after, said) = run(&rule(""), PLAIN);
    assert!(said.starts_with("signed: "), "{said}");
    let (inner, micalg) = verified(&after, "anna");
    assert!(inner.is_ascii() && inner.contains("=46rom here"), "{inner}");
    assert!(inner.contains("=20\r\n"), "{inner}");
    assert!(inner.contains("hp=\"clear\"") || inner.contains("hp=clear"));
    assert!(inner.contains("Subject: s\r\n"), "{inner}");
    let root = after.root();
    assert_eq!(root.param("micalg").as_deref(), Some(micalg.as_str()));
    let subject = root.field("subject").map(|field| field.decoded());
    assert_eq!(subject.as_deref(), Some("s"));
}

#[test]
fn who_is_not_signed_for() {
    let encrypted = "From: anna@example.org\nContent-Type: multipart/encrypted; boundary=b\n\n--b\nContent-Type: application/pgp-encrypted\n\nVersion: 1\n--b\nContent-Type: application/octet-stream\n\n-----BEGIN PGP MESSAGE-----\n\nwQJra9IDZGRk\n-----END PGP MESSAGE-----\n--b--\n";
    let signed = "From: anna@example.org\nContent-Type: multipart/signed; boundary=b\n\n--b\n\nx\n--b\n\ny\n--b--\n";
    let report =
        "From: anna@example.org\nContent-Type: multipart/report; boundary=b\n\n--b\n\nx\n--b--\n";
    let many = "From: anna@example.org\nFrom: bo@example.com\n\nx\n";
    for (mail, said) in [
        ("From: bo@example.com\n\nx\n", "no-key"),
        (encrypted, "sealed"),
        (signed, "sealed"),
        // It has no part in the job, which acts on fields alone.
        (report, "exempt"),
    ] {
        let (after, found) = run(&rule(""), mail);
        assert_eq!(found, said, "{mail}");
        assert_eq!(after.raw(), mail.replace('\n', "\r\n").as_bytes());
    }
    let refused = crate::shared::pgp::tests::trial::stopped(&rule(""), many, "bo@example.com");
    assert!(refused.contains("2 From fields"), "{refused}");
}

#[test]
fn a_public_key_is_added_for_its_own_address_alone() {
    let field = |from: &str| {
        let mail = PLAIN.replace("anna@", from);
        let (after, _) = run(&rule("add_autocrypt = true\n"), &mail);
        let field = after.root().field("autocrypt");
        field.map(|field| field.decoded()).unwrap_or_default()
    };
    let own = field("anna@");
    assert!(own.starts_with("addr=anna@example.org; keydata= "), "{own}");
    assert_eq!(field("bo@"), "");
}

#[test]
fn mistakes() {
    for (options, message) in [
        ("", "pgp_sign needs a key"),
        (
            "options.keys = { \"example.org\" = \"anna.asc\" }",
            "anna.asc holds the public half only; the secret key is needed",
        ),
        (
            "options.keys = { \"example.org\" = \"locked.secret.asc\" }",
            "locked.secret.asc is locked by a passphrase",
        ),
    ] {
        let source = format!(
            "[[rule]]\nname = \"s\"\nplugin = \"pgp_sign\"\nmatch.client = \"127.0.0.0/8\"\n{options}\n"
        );
        assert_eq!(load_error(&source), message, "{options}");
    }
    let config = load(&rule("")).unwrap();
    let keys = config.policy.rules[0].plugin.keys(NOW);
    assert_eq!(keys[0].owner(), "example.org");
    assert_eq!(keys[0].unfit, None);
}
