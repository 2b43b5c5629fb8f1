//! What a file of keys holds, for whoever asks without a configuration: judged as by a rule that names the file and says nothing else.
//!
//! Must never: show what is secret, or ask for a passphrase.

use std::path::Path;

use mimicry_core::plugin::OptionError;

use super::dkim::keys;
use super::found::Held;
#[cfg(not(all(feature = "pgp", feature = "smime")))]
use super::left_out::built_without;
#[cfg(feature = "pgp")]
use super::pgp::certs;
#[cfg(feature = "smime")]
use super::smime::held as smime;

/// What a file holds by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Pgp,
    /// Or a list of those that were revoked.
    Certificate,
    /// A secret key alone.
    Key,
    Other,
}

/// The keys in the octets of a file, as they stand at a time, seconds since 1970; or what is wrong with it, after its name.
pub fn held(path: &Path, octets: &[u8], now: i64) -> Result<Held, OptionError> {
    match kind(octets) {
        Kind::Pgp => pgp(octets, now),
        Kind::Certificate => certificates(octets, now),
        Kind::Key => Ok(Held {
            kind: "DKIM",
            keys: vec![keys::in_file(path, octets)?],
            unread: 0,
            is_secret: true,
        }),
        Kind::Other => Err(wrong(
            "holds no key",
            "OpenPGP keys may be binary or armoured, certificates and keys of DKIM are in PEM",
        )),
    }
}

fn kind(octets: &[u8]) -> Kind {
    /// The first octet of a SEQUENCE in DER, as every certificate is; OpenPGP sets the bit above.
    const SEQUENCE: u8 = 0x30;
    const PACKET: u8 = 0x80;
    let has = |words: &[u8]| memchr::memmem::find(octets, words).is_some();
    // Where GnuPG has its mark, another program may find nothing; it says why.
    if has(b"-----BEGIN PGP ") || octets.get(8..12) == Some(b"KBXf") {
        return Kind::Pgp;
    }
    let is_certificate = ["CERTIFICATE", "TRUSTED CERTIFICATE", "PKCS7", "X509 CRL"]
        .iter()
        .any(|name| has(format!("-----BEGIN {name}-----").as_bytes()));
    match octets.first() {
        _ if is_certificate => Kind::Certificate,
        _ if has(b"-----BEGIN ") => Kind::Key,
        Some(&SEQUENCE) => Kind::Certificate,
        Some(first) if first & PACKET != 0 => Kind::Pgp,
        _ => Kind::Other,
    }
}

fn wrong(message: impl Into<String>, help: &str) -> OptionError {
    OptionError::new("", message, help)
}

#[cfg(feature = "pgp")]
fn pgp(octets: &[u8], now: i64) -> Result<Held, OptionError> {
    let help = "gpg --export ADDRESS > FILE makes one";
    let found = certs::in_file(octets, now).map_err(|why| wrong(why, help))?;
    Ok(Held {
        kind: "OpenPGP",
        ..found
    })
}

#[cfg(not(feature = "pgp"))]
fn pgp(_: &[u8], _: i64) -> Result<Held, OptionError> {
    Err(unknown("OpenPGP", &built_without("pgp")))
}

#[cfg(feature = "smime")]
fn certificates(octets: &[u8], now: i64) -> Result<Held, OptionError> {
    let found = smime::in_file(octets, now).map_err(|unfit| wrong(unfit.message, unfit.help))?;
    Ok(Held {
        kind: "S/MIME",
        ..found
    })
}

#[cfg(not(feature = "smime"))]
fn certificates(_: &[u8], _: i64) -> Result<Held, OptionError> {
    Err(unknown("certificates", &built_without("smime")))
}

#[cfg(not(all(feature = "pgp", feature = "smime")))]
fn unknown(what: &str, why: &OptionError) -> OptionError {
    let message = format!("holds {what}, and {}", why.message);
    wrong(message, why.help.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_holds_is_seen_by_its_content() {
        for (octets, expected) in [
            (&b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n"[..], Kind::Pgp),
            (b"Key of Bo:\n-----BEGIN PGP PUBLIC KEY BLOCK-----\n", Kind::Pgp),
            (b"\x99\x01\x0d\x04", Kind::Pgp),
            (b"\xc6\x33\x04", Kind::Pgp),
            (b"\x00\x00\x00\x20\x01\x01\x00\x02KBXf", Kind::Pgp),
            (b"-----BEGIN CERTIFICATE-----\n", Kind::Certificate),
            (
                b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n-----BEGIN CERTIFICATE-----\n",
                Kind::Certificate,
            ),
            (b"-----BEGIN PKCS7-----\n", Kind::Certificate),
            (b"-----BEGIN X509 CRL-----\n", Kind::Certificate),
            (b"\x30\x82\x03\x01", Kind::Certificate),
            (b"-----BEGIN PRIVATE KEY-----\n", Kind::Key),
            (b"-----BEGIN PUBLIC KEY-----\n", Kind::Key),
            (b"Hello\n", Kind::Other),
            (b"", Kind::Other),
        ] {
            assert_eq!(kind(octets), expected, "{}", octets.escape_ascii());
        }
    }
}
