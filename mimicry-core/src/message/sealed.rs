//! Which parts are signed or encrypted: their octets are the promise of somebody else.
//!
//! multipart/signed and multipart/encrypted (RFC 1847) with all below them, application/pkcs7-mime (RFC 8551), and
//! text that holds PGP armour (RFC 9580 section 6.2).
//!
//! Must never: verify or decrypt. What looks sealed is sealed, also when the seal is broken.

use memchr::memmem;

use super::codec::{self, Encoding};
use super::header::fields;
use super::params::Params;
use super::{Limits, Node};

/// How a part is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    Signed,
    Encrypted,
}

/// Marks the sealed parts of a scanned message, children with their parents.
pub(super) fn mark(raw: &[u8], nodes: &mut [Node]) {
    for index in 0..nodes.len() {
        let Some(node) = nodes.get(index) else { break };
        let inherited = node
            .parent
            .and_then(|parent| nodes.get(parent.index()))
            .and_then(|parent| parent.seal);
        let seal = inherited.or_else(|| own_seal(raw, node));
        if let Some(node) = nodes.get_mut(index) {
            node.seal = seal;
        }
    }
}

fn own_seal(raw: &[u8], node: &Node) -> Option<Seal> {
    let header = raw.get(node.header.clone()).unwrap_or_default();
    match &*node.media_type {
        "multipart/signed" => Some(Seal::Signed),
        "multipart/encrypted" | "application/pgp-encrypted" => Some(Seal::Encrypted),
        "application/pkcs7-mime" | "application/x-pkcs7-mime" => Some(smime_type(header)),
        "application/octet-stream" if is_smime_name(header) => Some(Seal::Encrypted),
        "text/plain" | "text/html" => {
            armour(header, raw.get(node.body.clone()).unwrap_or_default())
        }
        _ => None,
    }
}

/// RFC 8551 section 3.2.2; without a smime-type the file name says whether it is certificates or a signature.
fn smime_type(header: &[u8]) -> Seal {
    let kind = content_type_param(header, "smime-type")
        .unwrap_or_default()
        .to_ascii_lowercase();
    match kind.as_str() {
        "signed-data" | "certs-only" | "signed-receipt" => Seal::Signed,
        _ => Seal::Encrypted,
    }
}

/// Outlook and Exchange label S/MIME as application/octet-stream and leave the file name.
fn is_smime_name(header: &[u8]) -> bool {
    let named =
        |value: Option<String>| value.is_some_and(|name| name.eq_ignore_ascii_case("smime.p7m"));
    named(content_type_param(header, "name"))
        || fields(header)
            .find(|field| field.is("content-disposition"))
            .is_some_and(|field| {
                named(Params::parse(field.value(), Limits::default().params).get("filename"))
            })
}

fn content_type_param(header: &[u8], name: &str) -> Option<String> {
    let field = fields(header).find(|field| field.is("content-type"))?;
    Params::parse(field.value(), Limits::default().params).get(name)
}

/// PGP armour at the start of a line of a text part. Keys are no seal.
fn armour(header: &[u8], body: &[u8]) -> Option<Seal> {
    let encoding = fields(header)
        .find(|field| field.is("content-transfer-encoding"))
        .map_or(Encoding::SevenBit, |field| Encoding::parse(field.value()));
    match encoding {
        Encoding::Base64 => find_armour(&codec::decode(encoding, body).ok()?),
        // The words have no octet that must be coded, so the raw body tells whether decoding is worth it.
        Encoding::QuotedPrintable if memmem::find(body, b"BEGIN PGP ").is_some() => {
            match codec::decode(encoding, body) {
                Ok(decoded) => find_armour(&decoded),
                Err(_) => find_armour(body),
            }
        }
        Encoding::QuotedPrintable => None,
        _ => find_armour(body),
    }
}

fn find_armour(text: &[u8]) -> Option<Seal> {
    for at in memmem::find_iter(text, b"-----BEGIN PGP ") {
        let line_start = at == 0 || text.get(at.wrapping_sub(1)) == Some(&b'\n');
        let rest = text.get(at..).unwrap_or_default();
        if line_start && rest.starts_with(b"-----BEGIN PGP SIGNED MESSAGE-----") {
            return Some(Seal::Signed);
        }
        if line_start && rest.starts_with(b"-----BEGIN PGP MESSAGE") {
            return Some(Seal::Encrypted);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Part;
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
    fn by_armour() {
        let base64 = "Content-Transfer-Encoding: base64\n";
        let qp = "Content-Transfer-Encoding: quoted-printable\n";
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
        ] {
            assert_eq!(seals(&format!("{header}\n{body}")), sign, "{header}{body}");
        }
    }
}
