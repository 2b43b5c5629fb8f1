use data_encoding::BASE64;
use mimicry_core::message::{Limits, Message};

use super::canon::{Canon, body, field};
use super::key::Key;
use super::sign::{Signer, Times, Work};
use super::tags::{FIELD, Signature};

const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/");

fn pem(name: &str) -> Vec<u8> {
    std::fs::read(format!("{KEYS}{name}.pem")).unwrap()
}

fn message(text: &str) -> Message {
    Message::scan(text.replace('\n', "\r\n").into_bytes(), &Limits::default())
}

fn body_of(raw: &str, canon: Canon, limit: Option<usize>) -> String {
    let mut out = Vec::new();
    body(raw.as_bytes(), canon, limit, &mut |octets| {
        out.extend_from_slice(octets)
    });
    String::from_utf8(out).unwrap()
}

// RFC 6376 section 3.4.5, and what it does not show
#[test]
#[rustfmt::skip]
fn fields_in_the_form_that_is_hashed() {
    use Canon::{Relaxed, Simple};
    for (raw, canon, form) in [
        ("A: X\r\n", Relaxed, "a:X\r\n"),
        ("B : Y\t\r\n\tZ  \r\n", Relaxed, "b:Y Z\r\n"),
        ("A: X\r\n", Simple, "A: X\r\n"),
        ("B : Y\t\r\n\tZ  \r\n", Simple, "B : Y\t\r\n\tZ  \r\n"),
        ("A: X\n", Simple, "A: X\r\n"),
        ("A: X\n Y\n", Relaxed, "a:X Y\r\n"),
        ("A:\r\n X", Relaxed, "a:X\r\n"),
        ("A:\r\n", Relaxed, "a:\r\n"),
        ("A:  \r\n \r\n", Relaxed, "a:\r\n"),
        ("A: x:y : z\r\n", Relaxed, "a:x:y : z\r\n"),
        ("A: \u{fc}\u{a0} \r\n", Relaxed, "a:\u{fc}\u{a0}\r\n"),
    ] {
        let found = String::from_utf8(field(raw.as_bytes(), canon)).unwrap();
        assert_eq!(found, form, "{raw:?} {canon:?}");
    }
}

#[test]
#[rustfmt::skip]
fn bodies_in_the_form_that_is_hashed() {
    use Canon::{Relaxed, Simple};
    for (raw, canon, limit, form) in [
        (" C \r\nD \t E\r\n\r\n\r\n", Relaxed, None, " C\r\nD E\r\n"),
        (" C \r\nD \t E\r\n\r\n\r\n", Simple, None, " C \r\nD \t E\r\n"),
        ("", Relaxed, None, ""),
        ("", Simple, None, "\r\n"),
        ("\r\n\r\n", Relaxed, None, ""),
        ("\r\n\r\n", Simple, None, "\r\n"),
        (" \t\r\n \r\n", Relaxed, None, ""),
        (" \t\r\n", Simple, None, " \t\r\n"),
        ("a", Relaxed, None, "a\r\n"),
        ("a", Simple, None, "a\r\n"),
        ("a\r\n\r\nb\r\n", Relaxed, None, "a\r\n\r\nb\r\n"),
        ("a\n\nb\n", Relaxed, None, "a\r\n\r\nb\r\n"),
        ("a\tb  c \t d\r\n", Relaxed, None, "a b c d\r\n"),
        ("\t\ta\r\n", Relaxed, None, " a\r\n"),
        ("a\r\n \r\nb", Relaxed, None, "a\r\n\r\nb\r\n"),
        ("abcdef\r\n", Relaxed, Some(3), "abc"),
        ("abcdef\r\n", Relaxed, Some(0), ""),
        ("abcdef\r\n", Relaxed, Some(99), "abcdef\r\n"),
        ("ab  cd\r\nef\r\n", Relaxed, Some(6), "ab cd\r"),
    ] {
        assert_eq!(body_of(raw, canon, limit), form, "{raw:?} {canon:?} {limit:?}");
    }
}

/// RFC 8463 appendix A: the mail with both signatures, and the key of one.
const FOOTBALL: &str = "\
DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
";
const FOOTBALL_SECRET: &str = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
const FOOTBALL_PUBLIC: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

fn football_key() -> Key {
    let seed = BASE64.decode(FOOTBALL_SECRET.as_bytes()).unwrap();
    let head = [
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    let der = BASE64.encode(&[head.as_slice(), &seed].concat());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
    Key::read(pem.as_bytes()).unwrap()
}

#[test]
fn a_signature_of_the_standard_holds_and_breaks_where_it_should() {
    let key = football_key();
    assert_eq!(
        key.record(),
        format!("v=DKIM1; k=ed25519; p={FOOTBALL_PUBLIC}")
    );
    for (from, to, holds) in [
        ("", "", true),
        // Blanks at the ends of lines, and runs of them, are nothing to `relaxed`.
        ("hungry yet?\n", "hungry   yet? \n", true),
        ("Subject: Is", "SUBJECT:   Is", true),
        ("Joe.\n", "Joe.\n\n\n", true),
        ("Joe.\n", "Joe\n", false),
        ("dinner", "supper", false),
        ("Date: Fri", "Date: Sat", false),
        // Signed once more than it stands.
        ("\n\nHi", "\nSubject: Win\n\nHi", false),
        ("\n\nHi", "\nTo: eve@example.net\n\nHi", false),
        ("\n\nHi", "\nX-More: 1\n\nHi", true),
        ("t=1528637909", "t=1528637908", false),
        ("a=ed25519-sha256", "a=rsa-sha256", false),
        ("4D11Bus", "4D11bus", false),
    ] {
        let changed = FOOTBALL.replacen(from, to, 1);
        assert!(from.is_empty() || changed != FOOTBALL, "{from}");
        let message = message(&changed);
        let signature = Signature::of(&message).next().unwrap();
        assert_eq!(
            signature.is_by(&key, signature.covered(&message)),
            holds,
            "{from:?} -> {to:?}"
        );
    }
}

#[test]
#[rustfmt::skip]
fn files_that_are_keys_and_files_that_are_not() {
    for (name, expected) in [
        ("rsa", "rsa-sha256"),
        ("rsa1", "rsa-sha256"),
        ("ed25519", "ed25519-sha256"),
        ("short", "is an RSA key of less than 2048 or more than 4096 bits, or a broken one"),
        ("ec", "is neither an RSA nor an Ed25519 key"),
        ("public", "is the public half; the secret key is needed"),
        ("locked", "is locked by a passphrase, which nobody could type here"),
        ("locked1", "is locked by a passphrase, which nobody could type here"),
    ] {
        let found = match Key::read(&pem(name)) {
            Ok(key) => key.algorithm(),
            Err(unfit) => unfit.message,
        };
        assert_eq!(found, expected, "{name}");
    }
    let pem = pem("rsa");
    let cut = &pem[..pem.len() / 2];
    for octets in [&b""[..], b"hello\n", b"\xff\xfe", cut] {
        assert_eq!(Key::read(octets).unwrap_err().message, "holds no secret key in PEM");
    }
    // PEM whose content is cut.
    let short = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIL5K4dGJ\n-----END PRIVATE KEY-----\n";
    assert_eq!(Key::read(short.as_bytes()).unwrap_err().message, "is a broken Ed25519 key");
}

// The two forms of a file are one key, and the public half is what openssl makes of it.
#[test]
fn the_record_of_the_dns_has_the_public_half() {
    let record = |name: &str| Key::read(&pem(name)).unwrap().record();
    let public = String::from_utf8(pem("public")).unwrap();
    let base64: String = public
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    assert_eq!(record("rsa"), format!("v=DKIM1; k=rsa; p={base64}"));
    assert_eq!(record("rsa1"), record("rsa"));
}

#[test]
fn what_is_signed_holds_until_it_is_changed() {
    let text = "From: a@example.org\nSubject: =?utf-8?q?=C3=BC?= x\nX-A: 1\nX-A: 2\nTo: b@example.com,\n\tc@example.com\n\nhello  world \n\n";
    for name in ["rsa", "ed25519"] {
        let key = Key::read(&pem(name)).unwrap();
        let before = message(text);
        let work = Work::of(&before, &["x-a".into()]).unwrap();
        let signer = Signer {
            domain: "example.org",
            selector: "mail",
            key: &key,
        };
        let times = Times {
            signed: 1_795_370_400,
            expires: Some(1_795_970_400),
        };
        let value = work.signature(FIELD, "v=1", &signer, times).unwrap();
        assert!(
            value.contains("; t=1795370400; x=1795970400; h="),
            "{value}"
        );
        assert!(!value.contains("l="), "{value}");
        let folded = value.replace(' ', "\n ");
        for value in [&value, &folded] {
            let signed = message(&format!("{FIELD}: {value}\n{text}"));
            let signature = Signature::of(&signed).next().unwrap();
            assert!(signature.is_by(&key, signature.covered(&signed)), "{value}");
        }
        for (from, to, holds) in [
            ("hello  world \n\n", "hello world\n", true),
            ("From: a@", "From: b@", false),
            ("\n\nhello", "\nFrom: b@example.org\n\nhello", false),
            ("\n\nhello", "\nReply-To: b@example.org\n\nhello", false),
            ("\n\nhello", "\nContent-Type: text/html\n\nhello", false),
            ("X-A: 2\n", "", false),
            ("X-A: 1", "X-A: 3", false),
            // Named as often as it stood: one more is not signed, and is another's business.
            ("X-A: 1", "X-A: 0\nX-A: 1", true),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            let changed = message(&format!("{FIELD}: {value}\n{changed}"));
            let signature = Signature::of(&changed).next().unwrap();
            assert_eq!(
                signature.is_by(&key, signature.covered(&changed)),
                holds,
                "{from:?}"
            );
        }
    }
}

#[test]
fn a_mail_of_endless_fields_is_not_signed() {
    let text = "Cc: a@example.org\n".repeat(600) + "\nx\n";
    assert!(Work::of(&message(&text), &[]).is_none());
}
