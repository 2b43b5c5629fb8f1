//! Certificates for tests: made in the test, good ones and each kind of bad one.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use openssl::asn1::{Asn1Integer, Asn1Object, Asn1OctetString, Asn1Time};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName,
    SubjectKeyIdentifier,
};
use openssl::x509::{
    CrlNumber, X509, X509Builder, X509Crl, X509CrlBuilder, X509Extension, X509NameBuilder,
    X509RevokedBuilder,
};

/// 2026-11-29, noon.
pub const NOW: i64 = 1_795_953_600;
pub const DAY: i64 = 86_400;

/// Making one takes its time, and what is tested does not depend on which it is.
static RSA: LazyLock<PKey<Private>> = LazyLock::new(|| rsa(2048));
static OTHER_RSA: LazyLock<PKey<Private>> = LazyLock::new(|| rsa(2048));
/// Serial numbers.
static NEXT: AtomicU32 = AtomicU32::new(1);

fn rsa(bits: u32) -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap()
}

fn ec() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

/// What a key is to be.
#[derive(Clone, Copy)]
pub enum Kind {
    Rsa,
    /// Another one than the first.
    OtherRsa,
    Rsa1024,
    Ec,
    Ed25519,
}

/// What a certificate shall say.
#[derive(Clone, Copy)]
pub struct Says<'a> {
    pub name: &'a str,
    pub emails: &'a [&'a str],
    /// In the subject instead of the alternative names.
    pub old_form: bool,
    pub kind: Kind,
    /// By the words of openssl.cnf.
    pub usage: &'a [&'a str],
    pub purposes: &'a [&'a str],
    pub authority: bool,
    pub from: i64,
    pub until: i64,
    pub sha1: bool,
    /// More extensions, each an object identifier and its value in DER.
    pub more: &'a [(&'a str, &'a [u8])],
}

impl Default for Says<'_> {
    fn default() -> Self {
        Says {
            name: "Bob",
            emails: &["bob@partner.example"],
            old_form: false,
            kind: Kind::Rsa,
            usage: &["digitalSignature", "keyEncipherment"],
            purposes: &["emailProtection"],
            authority: false,
            from: NOW - 30 * DAY,
            until: NOW + 300 * DAY,
            sha1: false,
            more: &[],
        }
    }
}

/// A certificate and its key.
pub struct Made {
    pub x509: X509,
    pub key: PKey<Private>,
}

impl Made {
    /// Key first, as `openssl req -x509` and a second file joined to it.
    pub fn pem(&self) -> Vec<u8> {
        [self.key_pem(), self.certificate_pem()].concat()
    }

    pub fn key_pem(&self) -> Vec<u8> {
        self.key.private_key_to_pem_pkcs8().unwrap()
    }

    pub fn certificate_pem(&self) -> Vec<u8> {
        self.x509.to_pem().unwrap()
    }

    /// A revocation list that names these.
    pub fn list(&self, revoked: &[&X509], from: i64, until: i64) -> X509Crl {
        self.list_with(revoked, from, until, None)
    }

    /// The same with one more extension: its object identifier, whether it is critical, and its content in DER.
    pub fn list_with(
        &self,
        revoked: &[&X509],
        from: i64,
        until: i64,
        more: Option<(&str, bool, &[u8])>,
    ) -> X509Crl {
        let mut list = X509CrlBuilder::new().unwrap();
        list.set_issuer_name(self.x509.subject_name()).unwrap();
        list.set_last_update(&time(from)).unwrap();
        list.set_next_update(&time(until)).unwrap();
        for each in revoked {
            let mut entry = X509RevokedBuilder::new().unwrap();
            entry.set_serial_number(each.serial_number()).unwrap();
            entry.set_revocation_date(&time(from)).unwrap();
            list.add_revoked(entry.build()).unwrap();
        }
        let number = CrlNumber::new(BigNum::from_u32(1).unwrap()).unwrap();
        let issuer = X509::builder().unwrap();
        let context = issuer.x509v3_context(Some(&self.x509), None);
        let identifier = AuthorityKeyIdentifier::new().issuer(true).build(&context);
        list.append_extension(identifier.unwrap()).unwrap();
        list.append_extension(number.build().unwrap()).unwrap();
        if let Some((oid, is_critical, content)) = more {
            list.append_extension(extension(oid, is_critical, content))
                .unwrap();
        }
        list.sign(&self.key, MessageDigest::sha256()).unwrap();
        list.build().unwrap()
    }

    /// Issued by this one.
    pub fn issue(&self, says: Says<'_>) -> Made {
        make(says, Some(self))
    }
}

/// The certificate of a root.
pub fn root(name: &str) -> Made {
    make(authority(name), None)
}

/// What an authority says of itself.
pub fn authority(name: &str) -> Says<'_> {
    Says {
        name,
        emails: &[],
        kind: Kind::OtherRsa,
        usage: &["keyCertSign", "cRLSign"],
        purposes: &[],
        authority: true,
        until: NOW + 30_000 * DAY,
        ..Says::default()
    }
}

/// One that nobody issued but itself.
pub fn self_signed(says: Says<'_>) -> Made {
    make(says, None)
}

fn make(says: Says<'_>, issuer: Option<&Made>) -> Made {
    let key = match says.kind {
        Kind::Rsa => RSA.clone(),
        Kind::OtherRsa => OTHER_RSA.clone(),
        Kind::Rsa1024 => rsa(1024),
        Kind::Ec => ec(),
        Kind::Ed25519 => PKey::generate_ed25519().unwrap(),
    };
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let serial = NEXT.fetch_add(1, Ordering::Relaxed);
    let serial = Asn1Integer::from_bn(&BigNum::from_u32(serial).unwrap()).unwrap();
    builder.set_serial_number(&serial).unwrap();
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_text("CN", says.name).unwrap();
    for email in says.emails.iter().filter(|_| says.old_form) {
        subject.append_entry_by_text("emailAddress", email).unwrap();
    }
    let subject = subject.build();
    builder.set_subject_name(&subject).unwrap();
    let issued_by = issuer.map_or(&*subject, |issuer| issuer.x509.subject_name());
    builder.set_issuer_name(issued_by).unwrap();
    builder.set_not_before(&time(says.from)).unwrap();
    builder.set_not_after(&time(says.until)).unwrap();
    builder.set_pubkey(&key).unwrap();
    extend(&mut builder, says, issuer);
    let digest = match (says.kind, says.sha1) {
        (_, true) => MessageDigest::sha1(),
        (Kind::Ed25519, _) if issuer.is_none() => MessageDigest::null(),
        _ => MessageDigest::sha256(),
    };
    let by = issuer.map_or(&key, |issuer| &issuer.key);
    builder.sign(by, digest).unwrap();
    Made {
        x509: builder.build(),
        key,
    }
}

fn extend(builder: &mut X509Builder, says: Says<'_>, issuer: Option<&Made>) {
    let mut extensions = Vec::new();
    if says.authority {
        extensions.push(BasicConstraints::new().critical().ca().build().unwrap());
    }
    if !says.usage.is_empty() {
        let mut usage = KeyUsage::new();
        for word in says.usage {
            match *word {
                "digitalSignature" => usage.digital_signature(),
                "nonRepudiation" => usage.non_repudiation(),
                "keyEncipherment" => usage.key_encipherment(),
                "keyAgreement" => usage.key_agreement(),
                "keyCertSign" => usage.key_cert_sign(),
                "cRLSign" => usage.crl_sign(),
                other => panic!("{other}"),
            };
        }
        extensions.push(usage.critical().build().unwrap());
    }
    if !says.purposes.is_empty() {
        let mut purposes = ExtendedKeyUsage::new();
        for word in says.purposes {
            purposes.other(word);
        }
        extensions.push(purposes.build().unwrap());
    }
    let context = builder.x509v3_context(issuer.map(|issuer| &*issuer.x509), None);
    if !says.emails.is_empty() && !says.old_form {
        let mut names = SubjectAlternativeName::new();
        for email in says.emails {
            names.email(email);
        }
        extensions.push(names.build(&context).unwrap());
    }
    extensions.push(SubjectKeyIdentifier::new().build(&context).unwrap());
    for (oid, value) in says.more {
        extensions.push(extension(oid, false, value));
    }
    for extension in extensions {
        builder.append_extension(extension).unwrap();
    }
}

fn extension(oid: &str, is_critical: bool, value: &[u8]) -> X509Extension {
    let oid = Asn1Object::from_str(oid).unwrap();
    let value = Asn1OctetString::new_from_bytes(value).unwrap();
    X509Extension::new_from_der(&oid, is_critical, &value).unwrap()
}

fn time(unix: i64) -> Asn1Time {
    Asn1Time::from_unix(unix).unwrap()
}
