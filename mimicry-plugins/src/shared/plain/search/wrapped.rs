//! The address that stands within that of a filter of mail, which looks at what is behind it when somebody follows it.
//!
//! Must never take an address for another one that it does not name: what cannot be read stays as it is written.

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD};

/// What the address of a filter says of the one within it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrapped {
    Address(String),
    /// Its site alone, as [`site`] makes it.
    Site(String),
}

/// The address within that of a filter; `None` if the word is none.
pub(super) fn unwrapped(word: &str) -> Option<Wrapped> {
    let word = word.trim_start_matches(|c: char| !c.is_alphanumeric());
    if !word.starts_with("http") {
        return None;
    }
    let rest = behind_scheme(word)?;
    let (host, rest) = rest.split_at_checked(rest.find(['/', '?']).unwrap_or(rest.len()))?;
    let host = host.to_ascii_lowercase();
    if host == "urldefense.com" || host == "urldefense.proofpoint.com" {
        let address = match rest.get(..4)? {
            "/v1/" => percent(parameter(rest, "u")?),
            "/v2/" => percent(&parameter(rest, "u")?.replace('-', "%").replace('_', "/")),
            "/v3/" => starred(rest.get(4..)?),
            _ => None,
        };
        return address.map(Wrapped::Address);
    }
    if host.ends_with(".protection.sophos.com") {
        let coded = percent(parameter(rest, "u")?)?;
        return String::from_utf8(base64(&coded)?)
            .ok()
            .map(Wrapped::Address);
    }
    if host.ends_with(".mimecast.com") || host.ends_with(".mimecastprotect.com") {
        let domain = parameter(rest, "domain")?;
        let domain = domain.trim_end_matches(|c: char| !c.is_alphanumeric());
        return Some(Wrapped::Site(marked(domain)));
    }
    // Outlook, Barracuda and others: any parameter.
    let small = word.to_ascii_lowercase();
    let starts = ["https%3a%2f%2f", "http%3a%2f%2f"];
    let start = starts.iter().find_map(|start| small.find(start))?;
    let coded = word.get(start..)?.split('&').next()?;
    percent(coded).map(Wrapped::Address)
}

/// The site of an address, with what no word begins with: no text can be taken for one.
pub(super) fn site(word: &str) -> Option<String> {
    let rest = behind_scheme(word)?;
    let host = rest.split(['/', '?', '#']).next()?;
    (!host.is_empty()).then(|| marked(host))
}

fn marked(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    format!("\u{1}{}", host.strip_prefix("www.").unwrap_or(&host))
}

fn behind_scheme(word: &str) -> Option<&str> {
    let schemes = ["https://", "http://"];
    schemes.iter().find_map(|scheme| word.strip_prefix(scheme))
}

/// The value of a parameter of the query.
fn parameter<'a>(rest: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = rest.split_once('?')?;
    // Where the text was made of HTML carelessly, `&` is still an entity.
    let mut parameters = query
        .split('&')
        .map(|one| one.strip_prefix("amp;").unwrap_or(one));
    parameters.find_map(|one| one.strip_prefix(name)?.strip_prefix('='))
}

fn percent(coded: &str) -> Option<String> {
    let mut parts = coded.split('%');
    let mut out = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        out.push(u8::from_str_radix(digits, 16).ok()?);
        out.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(out).ok()
}

fn base64(coded: &str) -> Option<Vec<u8>> {
    let coded = coded.trim_end_matches('=').as_bytes();
    let decoded = BASE64URL_NOPAD.decode(coded);
    decoded.or_else(|_| BASE64_NOPAD.decode(coded)).ok()
}

/// `__ADDRESS__;CHARACTERS!!…`, as Proofpoint writes it now: a `*` in the address stands for the next of the characters, `**` and a letter
/// for as many of them as it says.
fn starred(text: &str) -> Option<String> {
    const COUNTS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (address, rest) = text.strip_prefix("__")?.split_once("__;")?;
    let characters = base64(rest.split('!').next()?)?;
    let mut characters = std::str::from_utf8(&characters).ok()?.chars();
    let mut out = String::with_capacity(address.len());
    let mut coded = address.chars().peekable();
    while let Some(c) = coded.next() {
        if c != '*' {
            out.push(c);
            continue;
        }
        let count = match coded.next_if_eq(&'*') {
            Some(_) => COUNTS.find(coded.next()?)?.saturating_add(2),
            None => 1,
        };
        for _ in 0..count {
            out.push(characters.next()?);
        }
    }
    // One of the two slashes may have been lost on the way.
    let is_short =
        |scheme: &str| out.starts_with(scheme) && !out.starts_with(&format!("{scheme}/"));
    let short = ["https:/", "http:/"]
        .into_iter()
        .find(|scheme| is_short(scheme));
    if let Some(scheme) = short {
        out.insert(scheme.len(), '/');
    }
    Some(out)
}
