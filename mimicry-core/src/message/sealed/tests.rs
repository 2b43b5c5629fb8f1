//! What counts as signed or encrypted.

use super::*;
use crate::message::part::Part;
use crate::message::scan::tests::{expand, scan};

/// Of every part, in document order: `-`, `S` signed, `E` encrypted.
fn seals(short: &str) -> String {
    let sign = |part: Part<'_>| match part.seal() {
        None => '-',
        Some(Seal::Signed) => 'S',
        Some(Seal::Encrypted) => 'E',
    };
    scan(&expand(short)).parts().map(sign).collect()
}

// T191
/// Base64 is decoded in pieces; the words of an armour may lie across two.
#[test]
fn t191_armour_across_pieces_is_found() {
    for before in (16 * 1024 - 40..16 * 1024 + 2).chain([0, 1, 50_000]) {
        for (start, sign) in [("\n", "E"), (" x ", "-")] {
            let text = format!("{}{start}-----BEGIN PGP MESSAGE-----\n", "x".repeat(before));
            let coded = codec::encode(Encoding::Base64, text.as_bytes(), b"\n");
            let coded = String::from_utf8(coded).unwrap();
            let mail = format!("Content-Transfer-Encoding: base64\n\n{coded}");
            assert_eq!(seals(&mail), sign, "{before} {start:?}");
            // A damaged coding is read as far as it goes.
            let mail = format!("Content-Transfer-Encoding: base64\n\n#{coded}");
            assert_eq!(seals(&mail), sign, "damaged {before} {start:?}");
        }
    }
}

#[test]
fn by_type() {
    for (header, sign) in [
        ("Content-Type: text/plain\n", "-"),
        ("Content-Type: multipart/signed\n", "S"),
        ("Content-Type: multipart/encrypted; boundary=\"\"\n", "E"),
        ("Content-Type: application/pgp-encrypted\n", "E"),
        ("Content-Type: application/pgp-signature\n", "-"),
        ("Content-Type: application/pgp-keys\n", "-"),
        ("Content-Type: application/pkcs7-signature\n", "-"),
        ("Content-Type: application/pkcs7-mime\n", "E"),
        (
            "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\n",
            "E",
        ),
        (
            "Content-Type: application/pkcs7-mime; smime-type=Signed-Data\n",
            "S",
        ),
        (
            "Content-Type: application/X-PKCS7-mime; smime-type=certs-only\n",
            "S",
        ),
        (
            "Content-Type: application/octet-stream; name=SMIME.p7m\n",
            "E",
        ),
        (
            "Content-Type: application/octet-stream\nContent-Disposition: attachment; filename*=utf-8''smime.p7m\n",
            "E",
        ),
        (
            "Content-Type: application/octet-stream; name=smime.p7s\n",
            "-",
        ),
        ("Content-Type: application/pdf; name=smime.p7m\n", "-"),
    ] {
        assert_eq!(seals(&format!("{header}\nx")), sign, "{header}");
    }
}

#[test]
fn with_all_below() {
    for (short, signs) in [
        (
            "Content-Type: multipart/signed; boundary=o\n\n--o\n{i}--i\n\nx\n--i--\n--o\n\ny\n--o--\n",
            "SSSS",
        ),
        (
            "{o}--o\n\nx\n--o\nContent-Type: multipart/signed; boundary=i\n\n--i\n\ny\n--i\n\nz\n--i--\n--o\n\nx\n--o--\n",
            "--SSS-",
        ),
        (
            "Content-Type: multipart/encrypted; boundary=o\n\n--o\nContent-Type: multipart/signed; boundary=i\n\n--i\n\nx\n--i--\n--o--\n",
            "EEE",
        ),
        (
            "{o}--o\nContent-Type: application/pkcs7-mime\n\nx\n--o\n\ny\n--o--\n",
            "-E-",
        ),
    ] {
        assert_eq!(seals(short), signs, "{short}");
    }
}

#[test]
fn armour_in_wide_characters() {
    for (label, text) in [("text/plain", "Hi\n"), ("text/html", "<div>")] {
        let text = format!("{text}-----BEGIN PGP MESSAGE-----\n");
        let wide = text.encode_utf16().flat_map(u16::to_le_bytes);
        let header = format!("Content-Type: {label}; charset=utf-16le\n\n");
        let mail: Vec<u8> = header.bytes().chain(wide).collect();
        let message = crate::message::tree::Message::scan(mail, &Limits::default());
        assert_eq!(message.root().seal(), Some(Seal::Encrypted), "{label}");
    }
}

/// If one variant is sealed, all are; what is attached is no variant.
#[test]
fn of_variants() {
    let armour = "-----BEGIN PGP MESSAGE-----\n";
    let alternative = "Content-Type: multipart/alternative; boundary=b\n\n";
    for (mail, signs) in [
        (
            format!("{alternative}--b\n\n{armour}\n--b\n{{h}}x\n--b--\n"),
            "-EE",
        ),
        (
            format!("{alternative}--b\n\nx\n--b\n{{h}}<p>{armour}\n--b--\n"),
            "-EE",
        ),
        (
            format!(
                "{alternative}--b\n\n{armour}\n--b\nContent-Type: multipart/related; boundary=i\n\n--i\n{{h}}x\n--i\nContent-Type: image/png\n\nx\n--i--\n--b--\n"
            ),
            "-E-E-",
        ),
        (
            format!(
                "{alternative}--b\n\nx\n--b\n{{h}}x\n--b\nContent-Disposition: attachment\n\n{armour}\n--b--\n"
            ),
            "---E",
        ),
        (
            format!(
                "{alternative}--b\n\n{armour}\n--b\n{{h}}x\n--b\nContent-Disposition: attachment\n\nx\n--b--\n"
            ),
            "-EE-",
        ),
        (format!("{{b}}--b\n\n{armour}\n--b\n{{h}}x\n--b--\n"), "-E-"),
    ] {
        assert_eq!(seals(&mail), signs, "{mail}");
    }
}

#[test]
fn attached_documents() {
    let p7m = |name: &str| format!("Content-Type: application/pkcs7-mime{name}\n\nx");
    for (mail, is_document) in [
        (p7m("; name=a.xml.p7m"), false),
        (
            format!("{{b}}--b\n\nx\n--b\n{}\n--b--\n", p7m("; name=a.xml.p7m")),
            true,
        ),
        (
            format!("{{b}}--b\n\nx\n--b\n{}\n--b--\n", p7m("; name=smime.p7m")),
            false,
        ),
        (format!("{{b}}--b\n\nx\n--b\n{}\n--b--\n", p7m("")), false),
        (
            format!("{{b}}--b\n{}\n--b--\n", p7m("; name=a.xml.p7m")),
            false,
        ),
    ] {
        let message = scan(&expand(&mail));
        let last = message.leaves().last().unwrap();
        assert_eq!(last.is_sealed_document(), is_document, "{mail}");
        assert!(last.seal().is_some());
    }
}

#[test]
fn by_armour() {
    let base64 = "Content-Transfer-Encoding: base64\n";
    let qp = "Content-Transfer-Encoding: quoted-printable\n";
    let html = "Content-Type: text/html\n";
    let message_in_base64 = "LS0tLS1CRUdJTiBQR1AgTUVTU0FHRS0tLS0tCg==";
    for (header, body, sign) in [
        ("", "-----BEGIN PGP MESSAGE-----\nx", "E"),
        ("", "-----BEGIN PGP MESSAGE, PART 1/2-----\nx", "E"),
        ("", "Hi\n-----BEGIN PGP SIGNED MESSAGE-----\nx", "S"),
        (
            "Content-Type: text/html\n",
            "<pre>\n-----BEGIN PGP MESSAGE-----\nx",
            "E",
        ),
        // T185: what nobody sees is no seal.
        (html, "<p>Hi<!--\n-----BEGIN PGP MESSAGE-----\n-->", "-"),
        (html, "<!-- > \n-----BEGIN PGP MESSAGE-----\n--!><p>Hi", "-"),
        (html, "<!--\n-----BEGIN PGP MESSAGE-----\n", "-"),
        (
            html,
            "<style>\n-----BEGIN PGP MESSAGE-----\n</style>Hi",
            "-",
        ),
        (
            html,
            "<TITLE>\n-----BEGIN PGP MESSAGE-----\n</b></title>Hi",
            "-",
        ),
        (
            html,
            "<a title=\"> \n-----BEGIN PGP MESSAGE-----\n\">Hi</a>",
            "-",
        ),
        (html, "<?x \n-----BEGIN PGP MESSAGE-----\n>Hi", "-"),
        (html, "<!-->\n-----BEGIN PGP MESSAGE-----\n-->", "E"),
        (html, "<!-- x -->\n-----BEGIN PGP MESSAGE-----\n", "E"),
        (html, "1 < 2\n-----BEGIN PGP SIGNED MESSAGE-----\n", "S"),
        (html, "<a title=it's>\n-----BEGIN PGP MESSAGE-----\n", "E"),
        (
            html,
            "<style>p{}</style><pre>\n-----BEGIN PGP MESSAGE-----\n",
            "E",
        ),
        (
            html,
            "<!--\n-----BEGIN PGP MESSAGE-----\n-->\n-----BEGIN PGP SIGNED MESSAGE-----\n",
            "S",
        ),
        (
            "Content-Type: application/octet-stream\n",
            "-----BEGIN PGP MESSAGE-----\nx",
            "-",
        ),
        ("", "> -----BEGIN PGP MESSAGE-----\nx", "-"),
        ("", "-----BEGIN PGP PUBLIC KEY BLOCK-----\nx", "-"),
        ("", "-----BEGIN PGP SIGNATURE-----\nx", "-"),
        (
            "",
            "-----BEGIN PGP PUBLIC KEY BLOCK-----\n-----BEGIN PGP MESSAGE-----\nx",
            "E",
        ),
        (base64, message_in_base64, "E"),
        (base64, "####", "-"),
        (qp, "-----BEGIN PGP MESSAGE-----\nx", "E"),
        (qp, "a =\n-----BEGIN PGP MESSAGE-----\nx", "-"),
        (qp, "=2D----BEGIN PGP MESSAGE-----\nx", "E"),
        (qp, "-----BEGIN PGP MESSAGE-----\n=zz", "E"),
        (qp, "-----BEGIN PG=\nP MESSAGE-----\n", "E"),
        (qp, "-----BEGIN =50GP MESSAGE-----\n", "E"),
        (qp, "-----BEGIN P=47P MESSAGE-----\n", "E"),
        (qp, "-----BEGIN P=\n=\nGP MESSAGE-----\n", "E"),
        (qp, "-----BEGIN P=\t\nGP MESSAGE-----\n", "E"),
        (qp, "-----BEGIN P=\n=47P MESSAGE-----\n", "E"),
        (qp, "-----BEGIN PG=\n=\nP MESSAGE-----\n", "E"),
        (qp, "-----BEGIN PG= \nP MESSAGE-----\n", "E"),
        (base64, "LS0tLS1CRUdJTiBQR1AgTUVTU0FHRS0tLS0t#", "E"),
        ("", "\u{FEFF}-----BEGIN PGP MESSAGE-----\n", "E"),
        ("", "  -----BEGIN PGP MESSAGE-----\n", "E"),
        // In HTML a line begins on the screen, not in the source.
        (html, "<div>-----BEGIN PGP MESSAGE-----<br>x", "E"),
        (html, "Hi<br>-----BEGIN PGP SIGNED MESSAGE-----<br>", "S"),
        (html, "Hi<BR/>-----BEGIN PGP MESSAGE-----<br>", "E"),
        (html, "<p>Hi</p><span>-----BEGIN PGP MESSAGE-----", "E"),
        (
            html,
            "<pre class=\"a>b\"><b>-----BEGIN PGP MESSAGE-----",
            "E",
        ),
        (html, "<td>&nbsp;-----BEGIN PGP MESSAGE-----", "E"),
        (html, "<p>&#45;----BEGIN&#32;PGP MESSAGE-----", "E"),
        (html, "<p>-----BEGIN<wbr> PGP <b>MESSAGE</b>-----", "E"),
        // Word breaks the lines of its source, and editors write no-break spaces.
        (html, "<p>-----BEGIN\n PGP MESSAGE-----", "E"),
        (
            html,
            "<p>-----BEGIN&nbsp;PGP&nbsp;SIGNED\nMESSAGE-----",
            "S",
        ),
        (html, "<p>-----BEGIN PGP\u{A0}MESSAGE-----", "E"),
        (html, "<p>-----BEGINPGP MESSAGE-----", "-"),
        ("", "-----BEGIN PGP\nMESSAGE-----\n", "-"),
        (html, "<o:p>&gt; -----BEGIN PGP MESSAGE-----", "-"),
        (html, "<p>Look for <b>-----BEGIN PGP MESSAGE-----</b>", "-"),
        (html, "<p>-----BEGIN PGP PUBLIC KEY BLOCK-----<br>", "-"),
    ] {
        assert_eq!(seals(&format!("{header}\n{body}")), sign, "{header}{body}");
    }
}

proptest::proptest! {
    /// A text that may not say it does not say it; one of these letters in vain is rare.
    #[test]
    fn coded_letters_are_found(body in "([PGa]|=\r?\n|=[ \t]\n|=50|=47|=4|\n){0,10}") {
        let decoded = lenient::decode(Encoding::QuotedPrintable, body.as_bytes());
        if memmem::find(&decoded, b"PGP").is_some() {
            proptest::prop_assert!(may_say_pgp(body.as_bytes()), "{:?}", body);
        }
        let near = body.contains('=') || body.contains("PGP");
        proptest::prop_assert!(near || !may_say_pgp(body.as_bytes()), "{:?}", body);
    }
}
