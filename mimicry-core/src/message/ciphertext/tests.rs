//! What is encrypted, what only says so, and what is so in part.

use crate::message::{Limits, Message};

/// One session key of two octets, and encrypted data of three.
const PACKETS: &[u8] = b"\xC1\x02kk\xD2\x03ddd";
/// An envelope with nothing in it.
const DER: &[u8] = b"\x30\x0D\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x07\x03\xA0\x00";
const SIGNED_DER: &[u8] = b"\x30\x0D\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x07\x02\xA0\x00";
const AUTH_DER: &[u8] = b"\x30\x0F\x06\x0B\x2A\x86\x48\x86\xF7\x0D\x01\x09\x10\x01\x17\xA0\x00";
const BER: &[u8] = b"\x30\x80\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x07\x03\xA0\x80\0\0\0\0";

fn base64(octets: &[u8]) -> String {
    use super::codec::{Encoding, encode};
    String::from_utf8(encode(Encoding::Base64, octets, b"\n")).unwrap()
}

fn armour(octets: &[u8], head: &str) -> String {
    let data = base64(octets);
    let data = data.trim_end();
    format!("-----BEGIN PGP MESSAGE-----\n{head}\n{data}\n=abcd\n-----END PGP MESSAGE-----\n")
}

fn is_all_encrypted(mail: &str) -> bool {
    let octets = mail.replace('\n', "\r\n").into_bytes();
    Message::scan(octets, &Limits::default()).is_all_encrypted()
}

// T164
#[test]
fn armour_is_looked_into() {
    let pgp = armour(PACKETS, "");
    let html = |inside: &str| format!("Content-Type: text/html\n\n<p>{inside}</p>\n");
    let block =
        |line: &str| format!("-----BEGIN PGP MESSAGE-----\n\n{line}\n-----END PGP MESSAGE-----");
    for (mail, encrypted) in [
        (format!("\n{pgp}"), true),
        (format!("\n\n{pgp}\n\n"), true),
        (
            format!("\n{}", armour(PACKETS, "Version: GnuPG v2\nComment: x\n")),
            true,
        ),
        (html(&pgp.replace('\n', "<br>\n")), true),
        ("\nx\n".into(), false),
        ("\n\n".into(), false),
        // Words beside it are in the clear, and a mail that quotes one says the rest.
        (format!("\nsee below\n{pgp}"), false),
        (format!("\n{pgp}bye\n"), false),
        (format!("\n{pgp}secret\n{pgp}"), false),
        (html(&format!("secret{pgp}")), false),
        // Armour around what is no armour.
        (format!("\n{}\n", block("secret")), false),
        (format!("\n{}\n", block("The secret is: 42")), false),
        (format!("\n{}", armour(PACKETS, "Secret: 42\n")), false),
        (
            format!(
                "\n{}",
                armour(PACKETS, &format!("Comment: {}\n", "s".repeat(200)))
            ),
            false,
        ),
        // Armour around what anybody can read: signed, compressed, literal; also after a session key, and after encrypted data.
        (format!("\n{}", armour(b"\xCB\x03ttt", "")), false),
        (format!("\n{}", armour(b"\xC8\x03ttt", "")), false),
        (format!("\n{}", armour(b"\x90\x02ss\xCB\x03ttt", "")), false),
        (format!("\n{}", armour(b"\xC1\x02kk\xCB\x03ttt", "")), false),
        (format!("\n{}", armour(b"\xC1\x02kk", "")), false),
        (
            format!("\n{}", armour(&[PACKETS, b"\xCB\x03ttt"].concat(), "")),
            false,
        ),
        // Lengths that lie.
        (format!("\n{}", armour(b"\xC1\x02kk\xD2\x09ddd", "")), false),
        (
            format!("\n{}", armour(b"\xC1\x02kk\xD2\xFF\xFF\xFF\xFF\xFFddd", "")),
            false,
        ),
        // The old format, pieces, and lengths of more octets.
        (format!("\n{}", armour(b"\x84\x02kk\xA7ddd", "")), true),
        (
            format!("\n{}", armour(b"\x85\0\x02kk\xA6\0\0\0\x03ddd", "")),
            true,
        ),
        (
            format!("\n{}", armour(b"\xC1\x02kk\xD2\xE1dd\x01d", "")),
            true,
        ),
        (
            format!("\n{}", armour(b"\xC1\xFF\0\0\0\x02kk\xD2\x01d", "")),
            true,
        ),
        // A variant that is no armour itself.
        (
            format!(
                "Content-Type: multipart/alternative; boundary=b\n\n--b\n\n{pgp}\n--b\nContent-Type: text/html\n\n<p>secret\n--b--\n"
            ),
            false,
        ),
    ] {
        assert_eq!(is_all_encrypted(&mail), encrypted, "{mail}");
    }
}

// T164
#[test]
fn what_a_part_is_called_proves_nothing() {
    let pgp = armour(PACKETS, "");
    let multipart = |kind: &str, parts: &[&str]| {
        let parts: String = parts.iter().map(|part| format!("--b\n{part}\n")).collect();
        format!("Content-Type: multipart/{kind}; boundary=b\n\n{parts}--b--\n")
    };
    let version = "Content-Type: application/pgp-encrypted\n\nVersion: 1\n";
    let octets = format!("Content-Type: application/octet-stream\n\n{pgp}");
    let raw = format!(
        "Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n{}",
        base64(PACKETS)
    );
    let forged = "Content-Type: application/octet-stream\n\nsecret\n";
    let text = "Content-Type: text/plain\n\nsecret\n";
    let smime = |kind: &str, der: &[u8]| {
        format!(
            "Content-Type: {kind}\nContent-Transfer-Encoding: base64\n\n{}",
            base64(der)
        )
    };
    let p7m = "application/pkcs7-mime";
    for (mail, encrypted) in [
        (multipart("encrypted", &[version, &octets]), true),
        (multipart("encrypted", &[version, &raw]), true),
        (multipart("encrypted", &[version, forged]), false),
        (multipart("encrypted", &[version, text]), false),
        (multipart("encrypted", &[version, &octets, text]), false),
        (multipart("encrypted", &[text]), false),
        (multipart("encrypted", &[version]), false),
        (
            multipart(
                "encrypted",
                &[
                    "Content-Type: application/pgp-encrypted\n\nThe secret is 42\n",
                    &octets,
                ],
            ),
            false,
        ),
        // No parts at all.
        (
            "Content-Type: multipart/encrypted\n\nsecret\n".into(),
            false,
        ),
        (
            "Content-Type: multipart/encrypted; boundary=b\n\nsecret\n".into(),
            false,
        ),
        (
            "Content-Type: application/pgp-encrypted\n\nsecret\n".into(),
            false,
        ),
        // As Exchange leaves it.
        (multipart("mixed", &["\n", version, &octets]), true),
        (multipart("mixed", &[version, &octets]), true),
        (multipart("mixed", &["\nsecret\n", version, &octets]), false),
        (multipart("mixed", &[&octets, version]), false),
        (multipart("mixed", &[version, forged]), false),
        (multipart("mixed", &[&format!("\n{pgp}"), &octets]), false),
        (smime(p7m, DER), true),
        (smime(p7m, AUTH_DER), true),
        (smime(p7m, BER), true),
        (smime("application/octet-stream; name=smime.p7m", DER), true),
        (
            smime(
                "application/pkcs7-mime; smime-type=enveloped-data",
                SIGNED_DER,
            ),
            false,
        ),
        (smime(p7m, SIGNED_DER), false),
        (
            smime("application/octet-stream; name=smime.p7m", SIGNED_DER),
            false,
        ),
        (smime("application/octet-stream; name=a.bin", DER), false),
        (smime(p7m, &[DER, b"secret"].concat()), false),
        (smime(p7m, b"\x30\xFF"), false),
        (
            smime(p7m, b"\x30\x88\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"),
            false,
        ),
        (
            "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\n\nsecret\n".into(),
            false,
        ),
    ] {
        assert_eq!(is_all_encrypted(&mail), encrypted, "{mail}");
    }
}
