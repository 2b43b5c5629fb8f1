//! Whose mail a rule signs, and with what: by the author's address, or by his domain.
//!
//! Must never: sign in the name of an address with a certificate for another, unless the configuration gives a whole domain to it.

use std::collections::BTreeMap;

use mimicry_core::domain::{compared_address, of_address};
use mimicry_core::plugin::{KeyFile, KeyInUse, KeyUse, OptionError, Options, some};
use openssl::x509::X509;

use super::certificate::Refusal;
use super::read::certificates;
use super::signer::Signer;

/// The option that names the files.
pub const KEYS: &str = "keys";

/// The keys by the addresses and domains that they sign for.
#[derive(Debug)]
pub struct Signers {
    by_name: BTreeMap<String, Vec<Signer>>,
    warnings: Vec<OptionError>,
}

impl Signers {
    /// Those of the options of a rule, or what is wrong with them.
    pub fn of(options: &Options, errors: &mut Vec<OptionError>) -> Signers {
        let roots = roots(options, errors);
        let mut signers = Signers {
            by_name: BTreeMap::new(),
            warnings: Vec::new(),
        };
        if options.keys(KEYS).is_empty() {
            let help = "write keys = { \"anna@example.org\" = \"smime/anna.pem\" }";
            errors.push(OptionError::new("", "smime_sign needs a key", help));
        }
        for file in options.keys(KEYS) {
            if let Err(error) = signers.add(file, &roots) {
                errors.push(error);
            }
        }
        signers
    }

    fn add(&mut self, file: &KeyFile, roots: &[X509]) -> Result<(), OptionError> {
        let shown = file.path.display();
        let wrong = |message: String, help: &str| OptionError::new(KEYS, message, help);
        let name = compared_address(&file.name);
        let signer = Signer::read(file.content.reveal())
            .map_err(|unfit| wrong(format!("{shown} {}", unfit.message), unfit.help))?;
        let addresses = &signer.certificate.addresses;
        match name.contains('@') {
            true => {
                let is_for = signer.certificate.is_for(&name);
                is_for.map_err(|refusal| {
                    let message = format!("the certificate in {shown} {refusal}, not for {name}");
                    wrong(
                        message,
                        "readers would not take the signature for the author's",
                    )
                })?;
            }
            false
                if addresses
                    .iter()
                    .all(|own| of_address(own.as_bytes()).as_ref() != Some(&name)) =>
            {
                let message = format!("the certificate in {shown} is for no address of {name}");
                return Err(wrong(
                    message,
                    "name an address or a domain that is in the certificate",
                ));
            }
            false => {
                let only = some(addresses);
                let message =
                    format!("{shown} signs for all of {name}, and its certificate is for {only}");
                let help = "many mail programs show a warning when the author is somebody else";
                self.warnings.push(wrong(message, help));
            }
        }
        if let Some(issuer) = signer.ends_at(roots) {
            let message = format!("the chain in {shown} ends before a root: {issuer} is missing");
            match roots.is_empty() {
                false => return Err(wrong(message, "add the certificates between, or the root to ca_file")),
                true => self.warnings.push(wrong(
                    message,
                    "if that is no root, readers cannot verify the signature; name the roots in ca_file, and it is checked",
                )),
            }
        }
        self.by_name.entry(name).or_default().push(signer);
        Ok(())
    }

    pub fn warnings(&self) -> Vec<OptionError> {
        self.warnings.clone()
    }

    /// Who signs for an author at a time (seconds since 1970): the first of his keys that is valid then, else why the last is not.
    /// `None` = nobody signs for him.
    pub fn of_author(&self, address: &str, now: i64) -> Option<Result<&Signer, Refusal>> {
        let address = compared_address(address);
        let of_domain = || self.by_name.get(&of_address(address.as_bytes())?);
        let signers = self.by_name.get(&address).or_else(of_domain)?;
        let mut verdict = None;
        for signer in signers {
            match signer.is_alive(now) {
                Ok(()) => return Some(Ok(signer)),
                Err(refusal) => verdict = Some(Err(refusal)),
            }
        }
        verdict
    }

    /// What may be said of them.
    pub fn in_use(&self, now: i64) -> Vec<KeyInUse> {
        let each = self.by_name.iter().flat_map(|(name, signers)| {
            signers.iter().map(move |signer| {
                let unfit = signer.is_alive(now).err();
                KeyInUse {
                    owners: vec![name.clone()],
                    name: signer.certificate.fingerprint(),
                    kind: signer.certificate.kind.to_string(),
                    used: KeyUse::Sign,
                    record: None,
                    expires: Some(signer.until()),
                    unfit: unfit.map(|refusal| refusal.to_string()),
                }
            })
        });
        each.collect()
    }
}

/// The certificates of `ca_file`.
pub fn roots(options: &Options, errors: &mut Vec<OptionError>) -> Vec<X509> {
    let mut roots = Vec::new();
    for (name, octets) in options.files(CA_FILE) {
        match certificates(octets) {
            Ok(found) => roots.extend(found),
            Err(unfit) => {
                let message = format!("{name} {}", unfit.message);
                errors.push(OptionError::new(CA_FILE, message, unfit.help));
            }
        }
    }
    roots
}

/// The option that names the authorities.
pub const CA_FILE: &str = "ca_file";

#[cfg(test)]
mod tests {
    use mimicry_core::plugin::{SecretOctets, Value};

    use super::super::made::{DAY, Made, NOW, Says, root};
    use super::*;

    fn signers(keys: &[(&str, Vec<u8>)], ca: Option<&Made>) -> (Signers, Vec<String>) {
        let mut options = Options::default();
        let keys = keys.iter().map(|(name, octets)| KeyFile {
            name: name.to_string(),
            path: "k.pem".into(),
            content: SecretOctets::new(octets.clone()),
        });
        options.set(KEYS, Value::Keys(keys.collect()));
        if let Some(ca) = ca {
            options.set(
                CA_FILE,
                Value::Files(vec![("ca.pem".into(), ca.certificate_pem())]),
            );
        }
        let mut errors = Vec::new();
        let signers = Signers::of(&options, &mut errors);
        (
            signers,
            errors.into_iter().map(|error| error.message).collect(),
        )
    }

    #[test]
    fn the_first_key_of_the_author_that_is_valid_signs() {
        let ca = root("Root");
        let key = |name, emails: &[&str], from: i64, until: i64| {
            let made = ca.issue(Says {
                name,
                emails,
                from,
                until,
                ..Says::default()
            });
            [made.pem(), ca.certificate_pem()].concat()
        };
        let (start, end) = (NOW - 90 * DAY, NOW + 90 * DAY);
        let ann = ["ann@example.org", "office@example.org"];
        let keys = [
            ("ann@example.org", key("old", &ann, start, NOW - DAY)),
            ("Ann@Example.Org", key("now", &ann, start, end)),
            ("ann@example.org", key("next", &ann, start, end + DAY)),
            (
                "eve@example.org",
                key("gone", &["eve@example.org"], start, NOW - DAY),
            ),
            ("example.org", key("house", &ann, start, end)),
        ];
        let (signers, errors) = signers(&keys, None);
        assert_eq!(errors, Vec::<String>::new());
        for (author, at, expected) in [
            ("ann@example.org", NOW, "now"),
            ("ANN@EXAMPLE.ORG", NOW, "now"),
            ("ann@example.org", end + 1, "next"),
            ("ann@example.org", NOW - 10 * DAY, "old"),
            ("bob@example.org", NOW, "house"),
            ("bob@sub.example.org", NOW, "nobody"),
            ("eve@example.org", NOW, "expired on 2026-11-28"),
            (
                "ann@example.org",
                start - 1,
                "is not valid before 2026-08-31",
            ),
            ("", NOW, "nobody"),
        ] {
            let found = match signers.of_author(author, at) {
                None => "nobody".into(),
                Some(Err(refusal)) => refusal.to_string(),
                Some(Ok(signer)) => signer.certificate.subject(),
            };
            assert_eq!(found, expected, "{author} {at}");
        }
        let warned: Vec<String> = signers.warnings().into_iter().map(|w| w.message).collect();
        assert_eq!(
            warned,
            [
                "k.pem signs for all of example.org, and its certificate is for ann@example.org, office@example.org"
            ]
        );
        assert_eq!(
            signers
                .in_use(NOW)
                .iter()
                .filter(|key| key.unfit.is_some())
                .count(),
            2
        );
    }

    #[test]
    fn mistakes_are_named() {
        let ca = root("Root");
        let other = root("Other");
        let bob = ca.issue(Says::default());
        let whole = [bob.pem(), ca.certificate_pem()].concat();
        let b = "bob@partner.example";
        for (keys, ca, expected) in [
            (vec![(b, whole.clone())], None, vec![]),
            (vec![(b, bob.pem())], Some(&ca), vec![]),
            (vec![], None, vec!["smime_sign needs a key"]),
            (
                vec![("eve@partner.example", whole.clone())],
                None,
                vec![
                    "the certificate in k.pem is for bob@partner.example, not for eve@partner.example",
                ],
            ),
            (
                vec![("other.example", whole.clone())],
                None,
                vec!["the certificate in k.pem is for no address of other.example"],
            ),
            (
                vec![(b, bob.pem())],
                Some(&other),
                vec!["the chain in k.pem ends before a root: Root is missing"],
            ),
            (
                vec![(b, bob.key_pem())],
                None,
                vec!["k.pem holds no certificate"],
            ),
        ] {
            assert_eq!(signers(&keys, ca).1, expected);
        }
    }
}
