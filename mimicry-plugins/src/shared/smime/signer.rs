//! A secret key with its certificate and those between it and a root, and the signatures it makes.
//!
//! A reader trusts roots that it has already and must be given all that stands between: without it many show a good signature as a bad one.
//! The root itself is of no use in a mail.
//!
//! Must never: sign with a key that is not that of the certificate; show a key.

use std::fmt;

use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::pkey::{PKey, Private, Public};
use openssl::stack::Stack;
use openssl::x509::{X509, X509Ref, X509VerifyResult};

use super::certificate::{Certificate, Refusal, Use, name, unix};
use super::read::{Unfit, key_and_certificates};
use super::words;

/// A key that signs.
pub struct Signer {
    key: PKey<Private>,
    pub certificate: Certificate,
    /// From the issuer of the certificate upwards, without the root.
    between: Vec<X509>,
    /// The root, where the file had it or the certificate is one.
    root: Option<X509>,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.certificate.subject())
    }
}

const ORDER: &str =
    "write the certificate of the key first, then the one that issued it, and so on to the root";

impl Signer {
    /// Of the octets of a PEM file.
    pub fn read(octets: &[u8]) -> Result<Signer, Unfit> {
        let (key, mut certificates) = key_and_certificates(octets)?;
        let is_of_key = |x509: &X509| x509.public_key().is_ok_and(|own| own.public_eq(&key));
        match certificates.iter().position(is_of_key) {
            Some(0) => {}
            Some(_) => {
                return Err(Unfit::new(
                    "does not begin with the certificate of its key",
                    ORDER,
                ));
            }
            None => {
                return Err(Unfit::new(
                    "holds no certificate of its key",
                    "write key and certificate into one file",
                ));
            }
        }
        for pair in certificates.windows(2) {
            let [subject, issuer] = pair else { continue };
            if !is_issued_by(subject, issuer) {
                let (subject, issuer) = (subject.subject_name(), issuer.subject_name());
                let message = format!(
                    "is out of order: {} was not issued by {}",
                    name(subject),
                    name(issuer)
                );
                return Err(Unfit::new(message, ORDER));
            }
        }
        let root = match certificates.last() {
            Some(last) if is_self_signed(last) => Some(last.clone()),
            _ => None,
        };
        let mut between = certificates.split_off(1);
        if root.is_some() {
            between.pop();
        }
        let unread = || Unfit::new("holds a certificate that cannot be read", "");
        let leaf = certificates.pop().and_then(Certificate::of);
        let signer = Signer {
            key,
            certificate: leaf.ok_or_else(unread)?,
            between,
            root,
        };
        let may = signer.certificate.may(Use::Sign);
        may.map_err(|refusal| Unfit::new(format!("holds a certificate that {refusal}"), ""))?;
        Ok(signer)
    }

    /// When readers cease to take its signatures, in seconds since 1970: a certificate above its own may end before it.
    pub fn until(&self) -> i64 {
        let above = self
            .between
            .iter()
            .filter_map(|above| unix(above.not_after()));
        above.min().map_or(self.certificate.until, |end| {
            end.min(self.certificate.until)
        })
    }

    /// May it sign at a time, in seconds since 1970.
    pub fn is_alive(&self, now: i64) -> Result<(), Refusal> {
        self.certificate.is_alive(now)?;
        let late = |above: &&X509| unix(above.not_after()).is_none_or(|end| end <= now);
        match self.between.iter().find(late) {
            Some(above) => Err(Refusal::Issuer(name(above.subject_name()))),
            None => Ok(()),
        }
    }

    /// The certificates above its own that go with each signature.
    pub fn between(&self) -> &[X509] {
        &self.between
    }

    /// The name of the issuer at which the chain ends without a root: neither the file has it nor these.
    pub fn ends_at(&self, roots: &[X509]) -> Option<String> {
        if self.root.is_some() {
            return None;
        }
        let top = self.between.last().unwrap_or(&self.certificate.x509);
        match roots.iter().any(|root| is_issued_by(top, root)) {
            true => None,
            false => Some(name(top.issuer_name())),
        }
    }

    /// The signature of these octets, in DER, without them.
    pub fn detached(&self, octets: &[u8]) -> Result<Vec<u8>, String> {
        self.sign(octets, CMSOptions::DETACHED)
    }

    /// These octets with their signature around them, in DER.
    pub fn opaque(&self, octets: &[u8]) -> Result<Vec<u8>, String> {
        self.sign(octets, CMSOptions::empty())
    }

    fn sign(&self, octets: &[u8], options: CMSOptions) -> Result<Vec<u8>, String> {
        let signed = || {
            let mut between = Stack::new()?;
            for each in &self.between {
                between.push(each.clone())?;
            }
            let leaf = &self.certificate.x509;
            // The lines end as they leave: OpenSSL must not end them itself.
            let options = options | CMSOptions::BINARY;
            CmsContentInfo::sign(
                Some(leaf),
                Some(&self.key),
                Some(&between),
                Some(octets),
                options,
            )?
            .to_der()
        };
        signed().map_err(|errors| words(&errors))
    }
}

/// A root, or a certificate that nobody else vouches for: such a one need not be allowed to issue.
fn is_self_signed(x509: &X509Ref) -> bool {
    let names = (x509.subject_name().to_der(), x509.issuer_name().to_der());
    let is_own = matches!(names, (Ok(subject), Ok(issuer)) if subject == issuer);
    is_own && is_signed_by(x509, x509)
}

/// By name and by signature.
fn is_issued_by(subject: &X509Ref, issuer: &X509Ref) -> bool {
    issuer.issued(subject) == X509VerifyResult::OK && is_signed_by(subject, issuer)
}

fn is_signed_by(subject: &X509Ref, issuer: &X509Ref) -> bool {
    let verifies = |key: PKey<Public>| subject.verify(&key);
    issuer.public_key().and_then(verifies).unwrap_or(false)
}
