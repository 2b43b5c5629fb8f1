//! A mail and what seals it, both ways.

use mimicry_core::message::edit::{EditSet, Enclosed};
use mimicry_core::message::render::render;
use mimicry_core::message::seven_bit::to_signed_form;
use mimicry_core::message::verify::verify;
use mimicry_core::message::{Limits, Message};

use super::already::is_signed;
use super::inner::{HIDDEN, Inner, Protect, inner};
use super::outer::{Content, Signature, pgp_encrypted, pkcs7, signed};

/// `\n` stands for CRLF.
fn message(text: &str) -> Message {
    Message::scan(text.replace('\n', "\r\n").into_bytes(), &Limits::default())
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec())
        .unwrap()
        .replace("\r\n", "\n")
}

fn made(message: &Message, protect: Protect) -> Inner {
    inner(message, protect).expect("the same message")
}

const CIPHER: Protect = Protect::Cipher {
    hidden_subject: None,
};
const SECRET: Protect = Protect::Cipher {
    hidden_subject: Some(HIDDEN),
};

/// RFC 9788 sections 2 and 4; what is about the content stands inside, each field once.
#[test]
fn what_stands_inside() {
    for (mail, protect, expected) in [
        (
            "Received: r\nDKIM-Signature: d\nFrom: a@x\nSubject: s\nMIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n<p>x\n",
            Protect::Clear,
            "From: a@x\nSubject: s\nMIME-Version: 1.0\nContent-Type: text/html; charset=utf-8; hp=clear; protected-headers=v1\nContent-Transfer-Encoding: 8bit\n\n<p>x\n",
        ),
        (
            "From: a@x\nBcc: b@x\nSubject: a\n b\nContent-Type: text/plain\n\nx\n",
            CIPHER,
            "From: a@x\nSubject: a\n b\nHP-Outer: From: a@x\nHP-Outer: Subject: a\n b\nContent-Type: text/plain; hp=cipher; protected-headers=v1\n\nx\n",
        ),
        // A text of which nothing is said, with its subject hidden.
        (
            "From: a@x\nsubject: s\n\nx\n",
            SECRET,
            "From: a@x\nsubject: s\nHP-Outer: From: a@x\nHP-Outer: Subject: [...]\nContent-Type: text/plain; charset=us-ascii; hp=\"cipher\";\n\tprotected-headers=\"v1\"\n\nx\n",
        ),
        // What says the same as a hidden subject stands inside alone; one that is not hidden may be said twice.
        (
            "From: a@x\nSubject: s\nThread-Topic: s\nKeywords: k\nComments: c\nX-Spam-Prev-Subject: s\n\nx\n",
            SECRET,
            "From: a@x\nSubject: s\nThread-Topic: s\nKeywords: k\nComments: c\nX-Spam-Prev-Subject: s\nHP-Outer: From: a@x\nHP-Outer: Subject: [...]\nContent-Type: text/plain; charset=us-ascii; hp=\"cipher\";\n\tprotected-headers=\"v1\"\n\nx\n",
        ),
        (
            "Subject: s\nThread-Topic: s\n\nx\n",
            CIPHER,
            "Subject: s\nThread-Topic: s\nHP-Outer: Subject: s\nHP-Outer: Thread-Topic: s\nContent-Type: text/plain; charset=us-ascii; hp=\"cipher\";\n\tprotected-headers=\"v1\"\n\nx\n",
        ),
        // What somebody put there to deceive.
        (
            "From: a@x\nHP-Outer: From: z@x\nContent-Type: text/plain; hp=\"clear\"\n\nx\n",
            CIPHER,
            "From: a@x\nHP-Outer: From: a@x\nContent-Type: text/plain; hp=\"cipher\"; protected-headers=v1\n\nx\n",
        ),
        // The line with which a mail in a mailbox begins is no field.
        (
            "From a@x Fri Mar 22 07:00:00 2024\nFrom: a@x\nContent-Type: text/plain\n\nx\n",
            Protect::Clear,
            "From: a@x\nContent-Type: text/plain; hp=clear; protected-headers=v1\n\nx\n",
        ),
        // What cannot be read stays.
        (
            "From: a@x\nContent-Type: text\n\nx\n",
            Protect::Clear,
            "From: a@x\nContent-Type: text\n\nx\n",
        ),
        (
            "",
            Protect::Clear,
            "Content-Type: text/plain; charset=us-ascii; hp=\"clear\";\n\tprotected-headers=\"v1\"\n\n",
        ),
        // A part that is sealed already is not the one that readers take fields from.
        (
            "From: a@x\nSubject: s\nContent-Type: multipart/signed; boundary=b\n\n--b\n\nx\n--b\n\ny\n--b--\n",
            SECRET,
            "Content-Type: multipart/signed; boundary=b\n\n--b\n\nx\n--b\n\ny\n--b--\n",
        ),
    ] {
        let made = made(&message(mail), protect);
        assert_eq!(text(&made.octets), expected, "{mail}");
        assert_eq!(
            made.inside.contains(&super::inner::SUBJECT),
            expected.to_lowercase().contains("subject: s") || expected.contains("Subject: a"),
            "{mail}"
        );
    }
}

/// Lines that end in LF alone are sealed with CRLF, and a mail without a header or a blank line is one.
#[test]
fn line_ends_are_those_of_a_mail_that_is_sent() {
    let lf = Message::scan(b"From: a@x\n\nx\ny\n".to_vec(), &Limits::default());
    let made = made(&lf, Protect::Clear);
    assert!(
        !made
            .octets
            .windows(2)
            .any(|two| two[1] == b'\n' && two[0] != b'\r')
    );
    assert!(made.octets.ends_with(b"\r\n\r\nx\r\ny\r\n"));
}

/// Puts the mail into what `part` makes of it, and proves that.
fn enclosed(
    message: &Message,
    part: (mimicry_core::message::compose::NewPart, Enclosed),
) -> Message {
    let mut edits = EditSet::new(message);
    edits.enclose(part.0, part.1);
    verify(&edits, render(&edits), &Limits::default()).unwrap()
}

fn signature() -> Signature<'static> {
    Signature {
        micalg: "pgp-sha512",
        media_type: "application/pgp-signature",
        filename: "signature.asc",
        description: "OpenPGP digital signature",
        content: Content::Armour(
            b"-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----\n".to_vec(),
        ),
    }
}

const MAILS: &[&str] = &[
    "From: a@x\nSubject: s\nMIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: 7bit\nX: y\n\nx\n",
    "From: a@x\nMime-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\nContent-Disposition: inline\n\n--b\n\nx\n--b\n\ny\n--b--\nepilogue\n",
    "From: a@x\nContent-Type: multipart/mixed; boundary=b\n\nno part\n",
    "From: a@x\nContent-Type: multipart/mixed\n\n--b\n\nx\n",
    "From: a@x\nContent-Type: text/plain\nContent-Type: text/html\n\nx",
    "From: a@x\nContent-Type: multipart/signed; boundary=b\n\n--b\n\nx\n--b\n\ny\n--b--\n",
    "From: a@x",
    "From: a@x\njunk\n\nx\n",
    "\nx\n",
    "From: a@x\n\n--=_mimicry_0_\n",
];

/// Fields of the content stand outside once; the first part of a signature is what was signed, octet for octet.
#[test]
fn every_mail_is_put_into_what_seals_it() {
    for mail in MAILS {
        let message = message(mail);
        let inner = made(&message, Protect::Clear).octets;
        // A session key and encrypted data, and an envelope, as far as anybody can see.
        let armour =
            b"-----BEGIN PGP MESSAGE-----\r\n\r\nwQJra9IDZGRk\r\n-----END PGP MESSAGE-----\r\n"
                .to_vec();
        let der = b"\x30\x0D\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x07\x03\xA0\x00".to_vec();
        let all = [
            (
                enclosed(&message, signed(&message, inner.clone(), signature())),
                "multipart/signed",
            ),
            (
                enclosed(&message, pgp_encrypted(&message, armour)),
                "multipart/encrypted",
            ),
            (
                enclosed(&message, pkcs7(&message, der, "enveloped-data")),
                "application/pkcs7-mime",
            ),
        ];
        for (after, media_type) in &all {
            let root = after.root();
            assert_eq!(root.media_type(), *media_type, "{mail}");
            for (name, most) in [
                ("content-type", 1),
                ("mime-version", 1),
                (
                    "content-transfer-encoding",
                    usize::from(!root.is_multipart()),
                ),
            ] {
                assert_eq!(
                    root.fields().filter(|field| field.is(name)).count(),
                    most,
                    "{mail}: {name}"
                );
            }
            let kept = |message: &Message| -> Vec<Vec<u8>> {
                let is_other = |name: &[u8]| {
                    !name.to_ascii_lowercase().starts_with(b"content-")
                        && !name.eq_ignore_ascii_case(b"mime-version")
                };
                let fields = message
                    .root()
                    .fields()
                    .filter(|field| is_other(field.name()));
                fields
                    .map(|field| field.raw().trim_ascii_end().to_vec())
                    .collect()
            };
            assert_eq!(kept(after), kept(&message), "{mail}");
        }
        let first = all[0].0.root().children().next().unwrap();
        assert_eq!(first.raw(), inner, "{mail}");
        assert!(is_signed(&all[0].0) && !all[0].0.is_all_encrypted());
        assert!(all[1].0.is_all_encrypted() && all[2].0.is_all_encrypted());
    }
}

/// The proof of the engine does not take another mail for it.
#[test]
fn what_was_sealed_is_proved() {
    let message = message(MAILS[0]);
    let inner = made(&message, Protect::Clear).octets;
    let mut edits = EditSet::new(&message);
    let (part, place) = signed(&message, inner.clone(), signature());
    edits.enclose(part, place);
    let right = String::from_utf8(render(&edits)).unwrap();
    for (from, to) in [
        ("\r\nx\r\n", "\r\ny\r\n"),
        ("X: y", "X: z"),
        ("END PGP", "ENDE PGP"),
        ("micalg=pgp-sha512", "micalg=pgp-sha256"),
    ] {
        assert!(right.contains(from), "{from}");
        let wrong = right.replacen(from, to, 1).into_bytes();
        assert!(verify(&edits, wrong, &Limits::default()).is_err(), "{from}");
    }
    // A place that is not the first part's.
    let (part, _) = signed(&message, inner.clone(), signature());
    let mut edits = EditSet::new(&message);
    edits.enclose(part, Enclosed::Shown(1..9));
    assert!(verify(&edits, render(&edits), &Limits::default()).is_err());
}

#[test]
fn what_is_signed_already() {
    const CLEAR: &str = "-----BEGIN PGP SIGNED MESSAGE-----\n\nx\n-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----\n";
    for (mail, signed) in [
        ("Content-Type: multipart/signed; boundary=b\n\n--b\n\nx\n--b\n\ny\n--b--\n".to_string(), true),
        ("Content-Type: application/pkcs7-mime; smime-type=signed-data\n\nx\n".into(), true),
        (format!("\n{CLEAR}"), true),
        // What a list added stands beside it.
        ("Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/signed; boundary=b\n\n--b\n\nx\n--b\n\ny\n--b--\n--a\n\nlist\n--a--\n".into(), false),
        ("\nx\n".into(), false),
    ] {
        assert_eq!(is_signed(&message(&mail)), signed, "{mail}");
    }
}

/// RFC 3156 section 5: what transports change is coded, and what cannot be stays.
// T167
#[test]
fn what_transports_change_is_coded() {
    for (mail, expected) in [
        ("\nx\n", None),
        ("\nx \ny\t\n", Some("x=20\ny=09\n")),
        ("\nFrom here\n", Some("=46rom here\n")),
        ("\nx\nFrom here\n", Some("x\n=46rom here\n")),
        ("\nx ", Some("x=20")),
        ("\nGrüße\n", Some("Gr=C3=BC=C3=9Fe\n")),
        (
            "Content-Transfer-Encoding: quoted-printable\n\nx=20\n",
            None,
        ),
        (
            "Content-Transfer-Encoding: quoted-printable\n\nFrom A=3D=\nFrom B\nx  \nFrom \nyes\n",
            Some("=46rom A=3D=\n=46rom B\nx\nFrom\nyes\n"),
        ),
        ("Content-Type: message/rfc822\n\nA: b\n\nx \n", None),
    ] {
        let message = message(mail);
        let after = to_signed_form(&message, &Limits::default());
        let body = after.map(|after| text(after.root().body()));
        assert_eq!(body.as_deref(), expected, "{mail}");
    }
}

/// A part that is not what it says stays as it is, and keeps no other from being coded.
// T167
#[test]
fn one_part_that_cannot_be_coded_is_no_harm_to_the_others() {
    let head = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain; charset=us-ascii; format=flowed\n\nx =FF ";
    let more = "\n--b\nContent-Type: text/plain; charset=utf-8\n\n\u{FF}From\nFrom here\n--b--\n";
    let octets = |bad: &[u8]| {
        [
            head.replace('\n', "\r\n").as_bytes(),
            bad,
            more.replace('\n', "\r\n").as_bytes(),
        ]
        .concat()
    };
    let message = Message::scan(octets(b"\xfc"), &Limits::default());
    let after = to_signed_form(&message, &Limits::default()).unwrap();
    let after = String::from_utf8_lossy(after.raw()).into_owned();
    assert!(
        after.contains("x =FF \u{FFFD}\r\n") && after.contains("\r\n=46rom here\r\n"),
        "{after}"
    );
}
