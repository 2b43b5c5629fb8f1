//! What one certificate says of itself: whose it is, from when until when, and what for; and the words for each thing that is wrong with one.
//!
//! Must never: believe a certificate; who vouches for it is asked in [`super::trust`].

use std::collections::HashSet;
use std::fmt;

use mimicry_core::domain::compared_address;
use mimicry_core::plugin::{KeyInUse, KeyUse, some};
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::Id;
use openssl::x509::{X509, X509ExtendedKeyUsage, X509KeyUsage, X509NameRef, X509Ref};

use super::mailbox::mailboxes;
use crate::shared::date::day;

/// The weakest RSA key, in bits.
const RSA_BITS: u32 = 2048;

/// What a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bits.
    Rsa(u32),
    /// Bits.
    Ec(u32),
    Other(String),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Rsa(bits) => write!(f, "rsa {bits}"),
            Kind::Ec(bits) => write!(f, "ec {bits}"),
            Kind::Other(name) => f.write_str(name),
        }
    }
}

/// What a certificate is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    Sign,
    Encrypt,
}

/// A certificate, and what it says.
pub struct Certificate {
    pub x509: X509,
    /// Those in it, as they are compared.
    pub addresses: Vec<String>,
    /// Those among them that have only the form that is beyond ASCII.
    pub mailboxes: HashSet<String>,
    /// Seconds since 1970.
    pub from: i64,
    /// Seconds since 1970; from then on it is not valid any more, as OpenSSL takes it.
    pub until: i64,
    pub kind: Kind,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.subject())
    }
}

/// Why a certificate is not used. Its words stand after "the certificate".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is for other addresses.
    Address(Vec<String>),
    /// Seconds since 1970.
    NotYet(i64),
    Expired(i64),
    /// It is a kind of key that cannot do it.
    Kind(Kind),
    Weak(Kind),
    /// Its key usage lacks what it is wanted for.
    KeyUsage(Use, Kind),
    /// Its extended key usage names other purposes.
    Purpose,
    /// Nobody who is trusted vouches for it: who issued it, by name.
    Unknown(String),
    /// One that vouches for it has expired, or is not yet valid.
    Issuer(String),
    /// One that vouches for it does so for other purposes.
    IssuerPurpose(String),
    /// One that vouches for it may not do so for this address.
    IssuerNames(String),
    /// The chain does not hold, in the words of OpenSSL.
    Chain(String),
    /// By whom, and when.
    Revoked(String, i64),
    /// The revocation list of an issuer is too old, since when.
    Stale(String, i64),
    /// The revocation list of an issuer is not signed by it.
    Forged(String),
    /// The issuer has revocation lists, and none of them speaks for it.
    Unlisted(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Address(others) if others.is_empty() => f.write_str("is for no address"),
            Refusal::Address(others) => write!(f, "is for {}", some(others)),
            Refusal::NotYet(at) => write!(f, "is not valid before {}", day(*at)),
            Refusal::Expired(at) => write!(f, "expired on {}", day(*at)),
            Refusal::Kind(kind) => {
                write!(f, "has a key of the kind {kind}, which is not used here")
            }
            Refusal::Weak(kind) => write!(f, "has a key that is too weak ({kind})"),
            Refusal::KeyUsage(Use::Sign, _) => f.write_str("may not sign, by its key usage"),
            Refusal::KeyUsage(Use::Encrypt, Kind::Ec(_)) => {
                f.write_str("may not be encrypted to: its key usage lacks keyAgreement")
            }
            Refusal::KeyUsage(Use::Encrypt, _) => {
                f.write_str("may not be encrypted to: its key usage lacks keyEncipherment")
            }
            Refusal::Purpose => {
                f.write_str("is not for e-mail: its extended key usage lacks emailProtection")
            }
            Refusal::Unknown(issuer) => write!(f, "was issued by {issuer}, which is not trusted"),
            Refusal::Issuer(issuer) => {
                write!(
                    f,
                    "was issued by {issuer}, whose own certificate has expired"
                )
            }
            Refusal::IssuerPurpose(issuer) => {
                write!(f, "was issued by {issuer}, which may not do so for e-mail")
            }
            Refusal::IssuerNames(issuer) => {
                write!(
                    f,
                    "was issued by {issuer}, which may not do so for this address"
                )
            }
            Refusal::Chain(words) => write!(f, "does not hold: {words}"),
            Refusal::Revoked(issuer, at) => write!(f, "was revoked by {issuer} on {}", day(*at)),
            Refusal::Stale(issuer, at) => write!(
                f,
                "cannot be checked: the revocation list of {issuer} ended on {}",
                day(*at)
            ),
            Refusal::Forged(issuer) => write!(
                f,
                "cannot be checked: the revocation list of {issuer} is not signed by it"
            ),
            Refusal::Unlisted(issuer) => write!(
                f,
                "cannot be checked: the revocation list of {issuer} is for other certificates"
            ),
        }
    }
}

impl Certificate {
    /// `None` = its times or its key cannot be read.
    pub fn of(x509: X509) -> Option<Certificate> {
        let key = x509.public_key().ok()?;
        let kind = match key.id() {
            Id::RSA => Kind::Rsa(key.bits()),
            Id::EC => Kind::Ec(key.bits()),
            other => Kind::Other(
                Nid::from_raw(other.as_raw())
                    .long_name()
                    .unwrap_or("unknown")
                    .to_ascii_lowercase(),
            ),
        };
        let (addresses, mailboxes) = addresses(&x509);
        Some(Certificate {
            addresses,
            mailboxes,
            from: unix(x509.not_before())?,
            until: unix(x509.not_after())?,
            kind,
            x509,
        })
    }

    /// Whose it is: its common name, or the whole of its subject.
    pub fn subject(&self) -> String {
        name(self.x509.subject_name())
    }

    /// What may be said of it beside the verdict on it.
    pub fn in_use(&self, used: KeyUse, verdict: Result<(), Refusal>) -> KeyInUse {
        let unfit = verdict.err();
        KeyInUse {
            owners: match self.addresses.is_empty() {
                true => vec![self.subject()],
                false => self.addresses.clone(),
            },
            name: self.fingerprint(),
            kind: self.kind.to_string(),
            used,
            record: None,
            expires: Some(self.until),
            unfit: unfit.map(|refusal| refusal.to_string()),
        }
    }

    pub fn issuer(&self) -> String {
        name(self.x509.issuer_name())
    }

    /// Does it vouch for others, instead of speaking for an address.
    pub fn is_authority(&self) -> bool {
        self.x509.key_usage().is_some_and(|usage| {
            usage.contains(X509KeyUsage::KEY_CERT_SIGN)
                && !usage.intersects(
                    X509KeyUsage::KEY_ENCIPHERMENT
                        | X509KeyUsage::KEY_AGREEMENT
                        | X509KeyUsage::DATA_ENCIPHERMENT,
                )
        })
    }

    /// SHA-256 in hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        let digest = self.x509.digest(MessageDigest::sha256());
        digest
            .map(|digest| data_encoding::HEXLOWER.encode(&digest))
            .unwrap_or_default()
    }

    /// Is it for this address, as addresses are compared.
    pub fn is_for(&self, address: &str) -> Result<(), Refusal> {
        match self.addresses.iter().any(|own| own == address) {
            true => Ok(()),
            false => Err(Refusal::Address(self.addresses.clone())),
        }
    }

    /// Is it valid at this time, in seconds since 1970.
    pub fn is_alive(&self, now: i64) -> Result<(), Refusal> {
        if now < self.from {
            return Err(Refusal::NotYet(self.from));
        }
        match now >= self.until {
            true => Err(Refusal::Expired(self.until)),
            false => Ok(()),
        }
    }

    /// May its key be used so, whenever and for whomever.
    pub fn may(&self, wanted: Use) -> Result<(), Refusal> {
        let needed = match (wanted, &self.kind) {
            (_, Kind::Rsa(bits)) if *bits < RSA_BITS => {
                return Err(Refusal::Weak(self.kind.clone()));
            }
            (_, Kind::Other(_)) => return Err(Refusal::Kind(self.kind.clone())),
            (Use::Sign, _) => X509KeyUsage::DIGITAL_SIGNATURE | X509KeyUsage::NON_REPUDIATION,
            (Use::Encrypt, Kind::Rsa(_)) => X509KeyUsage::KEY_ENCIPHERMENT,
            (Use::Encrypt, Kind::Ec(_)) => X509KeyUsage::KEY_AGREEMENT,
        };
        // Without the extension everything is allowed (RFC 5280 section 4.2.1.3).
        let usage = self.x509.key_usage();
        if usage.is_some_and(|usage| !usage.intersects(needed)) {
            return Err(Refusal::KeyUsage(wanted, self.kind.clone()));
        }
        match is_for_mail(&self.x509) {
            true => Ok(()),
            false => Err(Refusal::Purpose),
        }
    }
}

/// Does its extended key usage, if it has one, allow e-mail (RFC 8550 section 4.4.4).
pub fn is_for_mail(x509: &X509Ref) -> bool {
    let purposes = x509.extended_key_usage();
    let mail = X509ExtendedKeyUsage::SMIME | X509ExtendedKeyUsage::ANYEKU;
    purposes.is_none_or(|purposes| purposes.intersects(mail))
}

/// Seconds since 1970.
pub fn unix(time: &Asn1TimeRef) -> Option<i64> {
    let since = Asn1Time::from_unix(0).ok()?.diff(time).ok()?;
    i64::from(since.days)
        .checked_mul(86_400)?
        .checked_add(i64::from(since.secs))
}

/// The common name, else the organisation, else what else is there.
pub fn name(name: &X509NameRef) -> String {
    let one = |nid| name.entries_by_nid(nid).next();
    let entry = one(Nid::COMMONNAME)
        .or_else(|| one(Nid::ORGANIZATIONNAME))
        .or_else(|| name.entries().next());
    let text = entry.and_then(|entry| entry.data().to_string().ok());
    let text = text.unwrap_or_default();
    // It may stand in a reply and in a line of the log.
    let text: String = text.chars().filter(|c| !c.is_control()).take(100).collect();
    match text.is_empty() {
        true => "somebody without a name".into(),
        false => text,
    }
}

/// The addresses of the alternative names, and those of the subject, where old ones have them (RFC 8550 section 3); and those among them
/// that only SmtpUTF8Mailbox has.
fn addresses(x509: &X509Ref) -> (Vec<String>, HashSet<String>) {
    let (mut addresses, mut seen) = (Vec::new(), HashSet::new());
    let mut add = |text: &str| {
        let address = compared_address(text.trim());
        if address.contains('@') && seen.insert(address.clone()) {
            addresses.push(address);
        }
    };
    for each in x509.subject_alt_names().iter().flatten() {
        if let Some(text) = each.email() {
            add(text);
        }
    }
    let subject = x509.subject_name();
    for entry in subject.entries_by_nid(Nid::PKCS9_EMAILADDRESS) {
        if let Ok(text) = entry.data().to_string() {
            add(&text);
        }
    }
    let mut mailboxes = mailboxes(x509);
    mailboxes.retain(|address| seen.insert(address.clone()));
    addresses.extend_from_slice(&mailboxes);
    (addresses, mailboxes.into_iter().collect())
}
