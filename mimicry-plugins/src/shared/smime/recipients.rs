//! To whom a rule can encrypt: certificates by the addresses in them, and those that serve a whole domain.
//!
//! Must never: take a certificate that is not for the recipient, or that nobody who is trusted vouches for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use mimicry_core::domain::{
    and_above, compared_address, compared_path, of_address, without_detail,
};
use mimicry_core::envelope::Path;
use mimicry_core::plugin::{KeyInUse, KeyUse, OptionError, Options};
use openssl::x509::{X509, X509KeyUsage};

use super::certificate::{Certificate, Refusal, Use};
use super::read::certificates;
use super::scope::usable_lists;
use super::signers::{CA_FILE, roots};
use super::trust::Trust;

pub const CERTIFICATES: &str = "certificates";
pub const DOMAINS: &str = "domain_certificates";
pub const CRL_FILES: &str = "crl_files";

/// The certificates of a rule.
pub struct Recipients {
    certificates: Vec<Certificate>,
    /// Places of certificates, the newest first.
    by_address: BTreeMap<String, Vec<usize>>,
    /// Whose certificates serve a domain.
    domains: BTreeMap<String, String>,
    trust: Trust,
}

impl fmt::Debug for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipients({})", self.certificates.len())
    }
}

/// Why a recipient has no certificate that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unserved {
    pub why: String,
    /// It is to be mended here, by a new revocation list, and then the mail can go.
    pub is_ours: bool,
}

impl fmt::Display for Unserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Recipients {
    /// Those of the options of a rule, or what is wrong with them.
    pub fn of(options: &Options, errors: &mut Vec<OptionError>) -> Recipients {
        let authorities = roots(options, errors);
        if !options.is_set(CA_FILE) {
            let help = "name the file with the certificates of those who may vouch for recipients; a self-signed certificate stands there itself";
            let message = "smime_encrypt needs ca_file";
            errors.push(OptionError::new("", message, help));
        }
        let mut revoked = Vec::new();
        for (name, octets) in options.files(CRL_FILES) {
            match usable_lists(octets) {
                Ok(found) => revoked.extend(found),
                Err(unfit) => {
                    let message = format!("{name} {}", unfit.message);
                    errors.push(OptionError::new(CRL_FILES, message, unfit.help));
                }
            }
        }
        let (certificates, between) = read(options, errors);
        let mut by_address: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (place, certificate) in certificates.iter().enumerate() {
            for address in &certificate.addresses {
                by_address.entry(address.clone()).or_default().push(place);
            }
        }
        let domains = domains(options, &by_address, errors);
        Recipients {
            certificates,
            by_address,
            domains,
            trust: Trust::new(authorities, between, revoked),
        }
    }

    /// The newest certificate of a recipient that can be encrypted to at a time (seconds since 1970), or why there is none.
    pub fn of_recipient(&self, recipient: &Path, now: i64) -> Result<&Certificate, Unserved> {
        let mut refused = None;
        for (name, place) in self.candidates(&compared_path(recipient)) {
            let Some(certificate) = self.certificates.get(place) else {
                continue;
            };
            match self.trust.judge(certificate, Use::Encrypt, Some(name), now) {
                Ok(()) => return Ok(certificate),
                Err(refusal) => refused = refused.or(Some(refusal)),
            }
        }
        Err(Unserved {
            is_ours: matches!(
                refused,
                Some(Refusal::Stale(..) | Refusal::Forged(_) | Refusal::Unlisted(_))
            ),
            why: match refused {
                None => format!("there is no certificate of {recipient}"),
                Some(refusal) => format!("the certificate of {recipient} {refusal}"),
            },
        })
    }

    /// Certificates that may serve an address, each with the address by which it does.
    fn candidates<'r>(&'r self, address: &str) -> Vec<(&'r str, usize)> {
        let by = |name: &str| {
            let found = self.by_address.get_key_value(name);
            found.into_iter().flat_map(|(name, places)| {
                let each = places.iter().copied();
                each.map(|place| (name.as_str(), place))
            })
        };
        let domain = of_address(address.as_bytes()).unwrap_or_default();
        let below = || and_above(&domain).find_map(|above| self.domains.get(&format!(".{above}")));
        let plain = without_detail(address);
        let mut found: Vec<_> = by(address).collect();
        found.extend(plain.iter().flat_map(|plain| by(plain)));
        match self.domains.get(&domain).or_else(below) {
            Some(other) if found.is_empty() => by(other).collect(),
            _ => found,
        }
    }

    /// What may be said of them.
    pub fn in_use(&self, now: i64) -> Vec<KeyInUse> {
        let verdict = |certificate: &Certificate| match certificate.addresses.is_empty() {
            true => Err(Refusal::Address(Vec::new())),
            false => self.trust.judge(certificate, Use::Encrypt, None, now),
        };
        let each = self.certificates.iter();
        each.map(|certificate| certificate.in_use(KeyUse::Encrypt, verdict(certificate)))
            .collect()
    }
}

/// The certificates of recipients, the newest first, and those that vouch for them.
fn read(options: &Options, errors: &mut Vec<OptionError>) -> (Vec<Certificate>, Vec<X509>) {
    let files = options.files(CERTIFICATES);
    let mut wrong = |message: String, help: &str| {
        errors.push(OptionError::new(CERTIFICATES, message, help));
    };
    if files.is_empty() {
        let help = "write certificates = [\"smime/partners\"]: files, or directories of them";
        wrong("there are no certificates of recipients".into(), help);
    }
    let (mut own, mut between): (Vec<Certificate>, Vec<X509>) = (Vec::new(), Vec::new());
    let mut known = BTreeSet::new();
    for (name, octets) in files {
        let found = match certificates(octets) {
            Ok(found) => found,
            Err(unfit) => {
                wrong(format!("{name} {}", unfit.message), unfit.help);
                continue;
            }
        };
        for x509 in found {
            let usage = x509.key_usage();
            let vouches = usage.is_some_and(|usage| usage.contains(X509KeyUsage::KEY_CERT_SIGN));
            if vouches {
                between.push(x509.clone());
            }
            let Some(certificate) = Certificate::of(x509) else {
                wrong(
                    format!("{name} holds a certificate that cannot be read"),
                    "",
                );
                continue;
            };
            // The same one may be in two files.
            if !certificate.is_authority() && known.insert(certificate.fingerprint()) {
                own.push(certificate);
            }
        }
    }
    own.sort_by_key(|certificate| std::cmp::Reverse(certificate.from));
    (own, between)
}

fn domains(
    options: &Options,
    by_address: &BTreeMap<String, Vec<usize>>,
    errors: &mut Vec<OptionError>,
) -> BTreeMap<String, String> {
    let mut domains = BTreeMap::new();
    for (domain, address) in options.table(DOMAINS) {
        let other = compared_address(address);
        if domain.contains('@') {
            let message = format!("`{domain}` is not a domain");
            errors.push(OptionError::new(
                DOMAINS,
                message,
                "write the part of an address behind the @",
            ));
        } else if !by_address.contains_key(&other) {
            let message = format!("no certificate is for {address}");
            let help = "name an address that one of the certificates has";
            errors.push(OptionError::new(DOMAINS, message, help));
        } else {
            domains.insert(compared_address(domain), other);
        }
    }
    domains
}

#[cfg(test)]
mod tests {
    use mimicry_core::plugin::Value;

    use super::super::made::{DAY, NOW, Says, root};
    use super::*;

    fn recipients(
        files: Vec<(&str, Vec<u8>)>,
        ca: &[u8],
        domains: &[(&str, &str)],
    ) -> Result<Recipients, Vec<String>> {
        let mut options = Options::default();
        let files = files
            .into_iter()
            .map(|(name, octets)| (name.to_string(), octets));
        options.set(CERTIFICATES, Value::Files(files.collect()));
        if !ca.is_empty() {
            options.set(CA_FILE, Value::Files(vec![("ca.pem".into(), ca.to_vec())]));
        }
        let domains = domains
            .iter()
            .map(|(one, other)| (one.to_string(), other.to_string()));
        options.set(DOMAINS, Value::Table(domains.collect()));
        let mut errors = Vec::new();
        let recipients = Recipients::of(&options, &mut errors);
        match errors.is_empty() {
            true => Ok(recipients),
            false => Err(errors.into_iter().map(|error| error.message).collect()),
        }
    }

    #[test]
    fn the_newest_certificate_that_will_do_is_used() {
        let ca = root("Root");
        let issue = |name, emails: &[&str], from: i64, until: i64, usage: &[&str]| {
            let says = Says {
                name,
                emails,
                from,
                until,
                usage,
                ..Says::default()
            };
            ca.issue(says).certificate_pem()
        };
        let (start, end) = (NOW - 90 * DAY, NOW + 90 * DAY);
        let enc = ["keyEncipherment"];
        let (bob, gate) = (["bob@p.example"], ["gate@big.example"]);
        let files = vec![
            ("1", issue("old", &bob, start, end, &enc)),
            ("2", issue("new", &bob, start + DAY, end, &enc)),
            (
                "3",
                issue("signs", &bob, start + 2 * DAY, end, &["digitalSignature"]),
            ),
            ("4", issue("gone", &bob, start + 3 * DAY, NOW - DAY, &enc)),
            ("5", issue("gate", &gate, start, end, &enc)),
            (
                "6",
                issue("gone", &["eve@big.example"], start, NOW - DAY, &enc),
            ),
            (
                "7",
                issue("same", &["ann@bücher.example"], start, end, &enc),
            ),
        ];
        let domains = [
            ("big.example", "gate@big.example"),
            (".wide.example", "gate@big.example"),
        ];
        let recipients = recipients(files, &ca.certificate_pem(), &domains).unwrap();
        for (address, expected) in [
            ("bob@p.example", "new"),
            ("Bob@P.Example", "new"),
            ("bob+x+y@p.example", "new"),
            (
                "bobby@p.example",
                "there is no certificate of bobby@p.example",
            ),
            ("any@big.example", "gate"),
            (
                "any@sub.big.example",
                "there is no certificate of any@sub.big.example",
            ),
            ("any@sub.wide.example", "gate"),
            // Who has one of his own is not served by another's.
            (
                "eve@big.example",
                "the certificate of eve@big.example expired on 2026-11-28",
            ),
            ("ann@xn--bcher-kva.example", "same"),
            ("", "there is no certificate of "),
        ] {
            let found = recipients.of_recipient(&Path::new(address), NOW);
            let found = found.map_or_else(|unserved| unserved.why, Certificate::subject);
            assert_eq!(found, expected);
        }
        let listed: Vec<bool> = (recipients.in_use(NOW).iter())
            .map(|key| key.unfit.is_none())
            .collect();
        assert_eq!(listed.iter().filter(|good| **good).count(), 4);
        // What was good at noon may not be in the evening.
        assert!(
            recipients
                .of_recipient(&Path::new("bob@p.example"), end + 1)
                .is_err()
        );
    }

    #[test]
    fn mistakes_are_named() {
        let ca = root("Root");
        let bob = ca.issue(Says::default()).certificate_pem();
        let pem = ca.certificate_pem();
        for (files, ca, domains, expected) in [
            (
                vec![("b.pem", bob.clone())],
                &pem[..],
                vec![("x.example", "bob@partner.example")],
                vec![],
            ),
            (
                vec![],
                &pem,
                vec![],
                vec!["there are no certificates of recipients"],
            ),
            (
                vec![("b.pem", bob.clone())],
                b"",
                vec![],
                vec!["smime_encrypt needs ca_file"],
            ),
            (
                vec![("b.pem", b"x".to_vec())],
                &pem,
                vec![],
                vec!["b.pem holds no certificate, neither in PEM nor in DER"],
            ),
            (
                vec![("b.pem", bob.clone())],
                b"x",
                vec![],
                vec!["ca.pem holds no certificate, neither in PEM nor in DER"],
            ),
            (
                vec![("b.pem", bob.clone())],
                &pem,
                vec![("x.example", "eve@x.example")],
                vec!["no certificate is for eve@x.example"],
            ),
            (
                vec![("b.pem", bob.clone())],
                &pem,
                vec![("a@x.example", "bob@partner.example")],
                vec!["`a@x.example` is not a domain"],
            ),
        ] {
            let found = recipients(files, ca, &domains).err().unwrap_or_default();
            assert_eq!(found, expected);
        }
    }
}
