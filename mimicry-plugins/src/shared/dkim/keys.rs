//! Which keys a rule has: by domain, each under its selector.
//!
//! Must never: show what is in a file.

use std::collections::BTreeMap;
use std::path::Path;

use mimicry_core::domain::compared;
use mimicry_core::plugin::{KeyInUse, KeyUse, OptionError, Options};

use super::key::Key;

/// One key of a domain.
#[derive(Debug)]
pub struct Own {
    pub selector: String,
    pub key: Key,
}

/// The keys of all domains.
#[derive(Debug)]
pub struct Keys {
    /// By domain, as domains are compared.
    by_domain: BTreeMap<String, Vec<Own>>,
}

impl Keys {
    /// Those of the options of a plugin, or what is wrong with them.
    pub fn of(
        plugin: &str,
        names: &[&'static str],
        options: &Options,
        errors: &mut Vec<OptionError>,
    ) -> Keys {
        let by_domain = keys(plugin, names, options, errors);
        Keys { by_domain }
    }

    /// What may be said of them.
    pub fn in_use(&self) -> Vec<KeyInUse> {
        let each = self.iter().flat_map(|(domain, keys)| {
            keys.iter()
                .map(move |own| in_use(domain, &own.selector, &own.key))
        });
        each.collect()
    }

    /// Each domain and its keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Own])> {
        let each = self.by_domain.iter();
        each.map(|(domain, keys)| (domain.as_str(), keys.as_slice()))
    }

    /// The domain that signs for an author, and its keys: the author's own, or with `subdomains` the nearest above.
    pub fn of_author(&self, author: &str, subdomains: bool) -> Option<(&str, &[Own])> {
        let mut domain = author;
        loop {
            if let Some((domain, keys)) = self.by_domain.get_key_value(domain) {
                return Some((domain, keys));
            }
            (_, domain) = domain.split_once('.').filter(|_| subdomains)?;
        }
    }
}

/// What may be said of a file that no rule names, so that nobody knows which domain it is to sign for.
pub fn in_file(path: &Path, octets: &[u8]) -> Result<KeyInUse, OptionError> {
    const DOMAIN: &str = "DOMAIN";
    let key = Key::read(octets).map_err(|unfit| OptionError::new("", unfit.message, unfit.help))?;
    let selector = selector_of(path, DOMAIN);
    let selector = match is_domain(&selector) {
        true => selector.as_str(),
        false => "SELECTOR",
    };
    Ok(in_use(DOMAIN, selector, &key))
}

fn in_use(domain: &str, selector: &str, key: &Key) -> KeyInUse {
    KeyInUse {
        owners: vec![domain.to_string()],
        name: selector.to_string(),
        kind: key.describe(),
        used: KeyUse::Sign,
        record: Some((format!("{selector}._domainkey.{domain}"), key.record())),
        expires: None,
        unfit: None,
    }
}

fn keys(
    plugin: &str,
    names: &[&'static str],
    options: &Options,
    errors: &mut Vec<OptionError>,
) -> BTreeMap<String, Vec<Own>> {
    let mut keys: BTreeMap<String, Vec<Own>> = BTreeMap::new();
    let files = || {
        let each = names.iter().copied();
        each.flat_map(|option| options.keys(option).iter().map(move |file| (option, file)))
    };
    if files().next().is_none() {
        let help = "write keys = { \"example.org\" = \"dkim/example.org/mail.pem\" }";
        errors.push(OptionError::new("", format!("{plugin} needs a key"), help));
    }
    for (option, file) in files() {
        let domain = compared(&file.name);
        let shown = file.path.display();
        let wrong = |message: String, help: &str| OptionError::new(option, message, help);
        if !is_domain(&domain) {
            let help = "write the part of an address behind the @, without a dot at either end";
            errors.push(wrong(format!("`{}` is not a domain", file.name), help));
            continue;
        }
        let selector = selector_of(&file.path, &file.name);
        if !is_domain(&selector) {
            let help = "name the file SELECTOR.pem";
            errors.push(wrong(format!("`{selector}` is not a selector"), help));
            continue;
        }
        let key = match Key::read(file.content.reveal()) {
            Ok(key) => key,
            Err(unfit) => {
                errors.push(wrong(format!("{shown} {}", unfit.message), unfit.help));
                continue;
            }
        };
        let of_domain = keys.entry(domain).or_default();
        let twin = of_domain
            .iter()
            .find(|own| own.key.algorithm() == key.algorithm() || own.selector == selector);
        if let Some(twin) = twin {
            let message = match twin.selector == selector {
                true => format!("{shown} has the selector of another key of {}", file.name),
                false => format!(
                    "{shown} is a second {} key of {}",
                    key.algorithm(),
                    file.name
                ),
            };
            let help =
                "a domain signs with one RSA key and one Ed25519 key at most, under two selectors";
            errors.push(wrong(message, help));
            continue;
        }
        of_domain.push(Own { selector, key });
    }
    // RSA first: some verifiers look at the first signature alone, and know nothing else.
    for of_domain in keys.values_mut() {
        of_domain.sort_by_key(|own| own.key.algorithm() != "rsa-sha256");
    }
    keys
}

/// `mail.pem`, or `example.org.mail.key` as rspamd names them: `mail`.
fn selector_of(path: &Path, domain: &str) -> String {
    let stem = path.file_stem().unwrap_or_default();
    let stem = stem.to_string_lossy().to_ascii_lowercase();
    let domain = format!("{}.", domain.to_ascii_lowercase());
    match stem.strip_prefix(&domain) {
        Some(selector) => selector.to_string(),
        None => stem,
    }
}

/// Labels of letters, digits, hyphens and underscores, parted by dots.
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        let letters = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
        (1..=63).contains(&label.len()) && label.bytes().all(letters)
    };
    text.len() <= 253 && text.split('.').all(is_label)
}
