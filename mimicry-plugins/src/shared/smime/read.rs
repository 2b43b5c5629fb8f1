//! Certificates, secret keys and revocation lists out of the octets of files: PEM, with any number of them, or one in DER.
//!
//! PEM is taken apart here and OpenSSL is given DER alone: its own reader asks at the terminal for the passphrase of a locked one.
//!
//! Must never: show a key, in an error or in `Debug`.

use openssl::pkey::{PKey, Private};
use openssl::x509::{X509, X509Crl};
use rustls_pki_types::pem::{PemObject, SectionKind};

/// Why a file is not what it should be: what it is, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// After the name of the file.
    pub message: String,
    pub help: &'static str,
}

impl Unfit {
    pub fn new(message: impl Into<String>, help: &'static str) -> Unfit {
        Unfit {
            message: message.into(),
            help,
        }
    }
}

const SPLIT: &str = "openssl pkcs12 -in FILE.p12 -nodes -out NEW.pem takes it out of a .p12";
const P7: &str =
    "openssl pkcs7 -print_certs -in FILE -out NEW.pem takes the certificates out of it";

/// One of the things that a file may hold.
enum Found {
    Certificate(Vec<u8>),
    Key(Vec<u8>),
    List(Vec<u8>),
}

/// What is in a file of PEM; `None` = it is none.
fn sections(octets: &[u8]) -> Result<Option<Vec<Found>>, Unfit> {
    if memchr::memmem::find(octets, b"-----BEGIN").is_none() {
        return Ok(None);
    }
    if memchr::memmem::find(octets, b"-----BEGIN PKCS7").is_some() {
        return Err(Unfit::new("is a PKCS #7 bundle", P7));
    }
    let mut found = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(octets) {
        let broken = |_| Unfit::new("is broken PEM: a BEGIN, an END or the base64 between", "");
        let (kind, der) = section.map_err(broken)?;
        match kind {
            SectionKind::Certificate => found.push(Found::Certificate(der)),
            SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => {
                found.push(Found::Key(der));
            }
            SectionKind::Crl => found.push(Found::List(der)),
            _ => {}
        }
    }
    Ok(Some(found))
}

fn certificate(der: &[u8]) -> Result<X509, Unfit> {
    X509::from_der(der).map_err(|_| Unfit::new("holds a certificate that cannot be read", ""))
}

/// The certificates of a file, in their order; at least one. What else it holds is passed over.
pub fn certificates(octets: &[u8]) -> Result<Vec<X509>, Unfit> {
    let Some(found) = sections(octets)? else {
        let none = |_| Unfit::new("holds no certificate, neither in PEM nor in DER", SPLIT);
        return X509::from_der(octets).map(|one| vec![one]).map_err(none);
    };
    let mut certificates = Vec::new();
    for each in &found {
        if let Found::Certificate(der) = each {
            certificates.push(certificate(der)?);
        }
    }
    match certificates.is_empty() {
        true => Err(Unfit::new("holds no certificate", SPLIT)),
        false => Ok(certificates),
    }
}

/// The secret key of a file, and its certificates in their order.
pub fn key_and_certificates(octets: &[u8]) -> Result<(PKey<Private>, Vec<X509>), Unfit> {
    if memchr::memmem::find(octets, b"ENCRYPTED").is_some() {
        return Err(Unfit::new(
            "is locked by a passphrase, which nobody could type here",
            "openssl pkey -in FILE -out NEW takes it away; NEW must be of mode 0600 or 0640",
        ));
    }
    let found = sections(octets)?.unwrap_or_default();
    let mut keys = found.iter().filter_map(|each| match each {
        Found::Key(der) => Some(der),
        _ => None,
    });
    let Some(key) = keys.next() else {
        return Err(Unfit::new("holds no secret key in PEM", SPLIT));
    };
    if keys.next().is_some() {
        return Err(Unfit::new(
            "holds several secret keys",
            "one file for each key",
        ));
    }
    let unread = |_| Unfit::new("holds a secret key that cannot be read", SPLIT);
    let key = PKey::private_key_from_der(key).map_err(unread)?;
    Ok((key, certificates(octets)?))
}

/// The revocation lists of a file, whatever they speak for; at least one.
pub fn lists(octets: &[u8]) -> Result<Vec<X509Crl>, Unfit> {
    let unread = |_| Unfit::new("holds a revocation list that cannot be read", "");
    let none = || {
        Unfit::new(
            "holds no revocation list (CRL), neither in PEM nor in DER",
            "",
        )
    };
    let Some(found) = sections(octets)? else {
        let list = X509Crl::from_der(octets).map_err(|_| none())?;
        return Ok(vec![list]);
    };
    let mut lists = Vec::new();
    for each in &found {
        if let Found::List(der) = each {
            lists.push(X509Crl::from_der(der).map_err(unread)?);
        }
    }
    match lists.is_empty() {
        true => Err(none()),
        false => Ok(lists),
    }
}
