//! Domains in the form in which they are compared: in ASCII, as in the DNS (A-labels, RFC 5890), however they were
//! written.
//!
//! `bücher.example` and `xn--bcher-kva.example` are one domain. A regex cannot know that, so it is matched against an address in
//! each of its spellings.
//!
//! Must never: change an address that is handed on, or refuse a text that is not a domain: it is compared as it is, in
//! lower case.
//!
//! The part before the `@` has several spellings, too, where quotes stand that need not: they count for nothing.
//!
//! Known limits: a regex is matched against that part in one spelling only.

use std::collections::HashSet;

use crate::envelope::Path;

pub mod list;

/// Octets of a name in the DNS are at most 255; in Unicode it may be longer. What is longer than this is no domain.
const LONGEST: usize = 1024;

/// What parts labels (UTS 46 section 2.3).
const DOTS: [char; 4] = ['.', '\u{3002}', '\u{FF0E}', '\u{FF61}'];

/// The domain in the form in which it is compared: small letters, A-labels, no dot at its end.
#[must_use]
pub fn compared(domain: &str) -> String {
    let domain = domain.trim_end_matches(DOTS);
    match is_other(domain) {
        true => idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_lowercase()),
        false => domain.to_lowercase(),
    }
}

/// An address, its domain in the form in which it is compared and all of it in small letters, without quotes that need not be there.
/// `@example.org`, and a domain alone, too.
#[must_use]
pub fn compared_address(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => format!("{}@{}", compared_local(local), compared(domain)),
        None => compared(address),
    }
}

/// The same of a path of the envelope. One that is no UTF-8 is nobody's address.
#[must_use]
pub fn compared_path(path: &Path) -> String {
    match std::str::from_utf8(path.as_bytes()) {
        Ok(address) => compared_address(address),
        Err(_) => path.to_string(),
    }
}

/// An address as it is compared, without its subaddress: `bob@example.org` of `bob+lists@example.org`. `None` = it has none.
#[must_use]
pub fn without_detail(address: &str) -> Option<String> {
    let (local, domain) = address.rsplit_once('@')?;
    let (user, _) = local.split_once('+')?;
    let user = match user.strip_prefix('"') {
        Some("") => return None,
        Some(_) => compared_local(&format!("{user}\"")),
        None => user.to_owned(),
    };
    (!user.is_empty()).then(|| format!("{user}@{domain}"))
}

/// `"anna"`, `"an\na"` and `anna` are one mailbox (RFC 5321 section 4.1.2).
fn compared_local(local: &str) -> String {
    let local = local.to_lowercase();
    match unquoted(&local) {
        None => local,
        Some(text) if is_dot_string(&text) => text,
        Some(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

/// What stands in the quotes; `None` = it is not one text in quotes.
fn unquoted(local: &str) -> Option<String> {
    let quoted = local.strip_prefix('"')?;
    let mut text = String::with_capacity(quoted.len());
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => return chars.next().is_none().then_some(text),
            '\\' => text.push(chars.next()?),
            char => text.push(char),
        }
    }
}

/// May it stand without quotes: words with dots between them (RFC 5321 section 4.1.2, RFC 6531 section 3.3).
fn is_dot_string(text: &str) -> bool {
    let is_fit = |char: char| {
        !char.is_ascii() || char.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(char)
    };
    text.split('.')
        .all(|word| !word.is_empty() && word.chars().all(is_fit))
}

/// Is the domain the other one, or below it; both as [`compared`] gives them.
#[must_use]
pub fn is_below(domain: &str, other: &str) -> bool {
    domain
        .strip_suffix(other)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whether something holds for the address (or the domain alone) as it stands, or with its domain in Unicode or in ASCII.
pub fn any_spelling(address: &str, mut holds: impl FnMut(&str) -> bool) -> bool {
    holds(address) || others(address).any(|other| holds(&other))
}

/// As [`any_spelling`], of octets.
pub fn any_spelling_of(address: &[u8], mut holds: impl FnMut(&[u8]) -> bool) -> bool {
    if holds(address) {
        return true;
    }
    // What is no UTF-8 has no domain (RFC 6531 section 3.3).
    std::str::from_utf8(address)
        .is_ok_and(|address| others(address).any(|other| holds(other.as_bytes())))
}

/// The spellings that differ from the one given.
fn others(address: &str) -> impl Iterator<Item = String> {
    let (before, domain) = match address.rfind('@').and_then(|at| at.checked_add(1)) {
        Some(at) => address.split_at_checked(at).unwrap_or(("", address)),
        None => ("", address),
    };
    let is_other = is_other(domain);
    let ascii = is_other
        .then(|| idna::domain_to_ascii(domain).ok())
        .flatten();
    let unicode = is_other.then(|| idna::domain_to_unicode(domain));
    // A label that is no U-label leaves the whole as it is.
    let unicode = unicode.and_then(|(domain, result)| result.is_ok().then_some(domain));
    [ascii, unicode]
        .into_iter()
        .flatten()
        .filter(move |other| *other != domain)
        .map(move |other| format!("{before}{other}"))
        .collect::<Vec<_>>()
        .into_iter()
}

/// May it have another spelling: most domains have none, and cost no more than a look.
fn is_other(domain: &str) -> bool {
    let has_prefix = || {
        let mut labels = domain.split('.');
        labels.any(|label| {
            let prefix = label.get(..4);
            prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case("xn--"))
        })
    };
    domain.len() <= LONGEST && (!domain.is_ascii() || has_prefix())
}

/// The domain of an address, as it is compared; `None` = it has none, as the null return path.
#[must_use]
pub fn of_address(address: &[u8]) -> Option<String> {
    // What is no UTF-8 has no domain (RFC 6531 section 3.3).
    let (_, domain) = std::str::from_utf8(address).ok()?.rsplit_once('@')?;
    Some(compared(domain)).filter(|domain| !domain.is_empty())
}

/// A domain and those above it, the longest first, without those that are none because they are too long: a sender may write one of
/// 30 000 labels.
pub fn and_above(domain: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(domain);
    let all = std::iter::from_fn(move || {
        let name = rest?;
        rest = name.split_once('.').map(|(_, above)| above);
        Some(name)
    });
    all.filter(|name| name.len() <= LONGEST)
}

/// Domains, each of which stands for all below it, and addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    domains: HashSet<String>,
    addresses: HashSet<String>,
}

impl Names {
    /// Of domains and addresses as they are written.
    pub fn new<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> Names {
        let names = names.into_iter();
        let compared = names.map(|name| compared_address(name.as_ref()));
        let (addresses, domains) = compared.partition(|name| name.contains('@'));
        Names { domains, addresses }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty() && self.addresses.is_empty()
    }

    /// Is the address among them, or of a domain among them, or below one.
    #[must_use]
    pub fn hold(&self, address: &str) -> bool {
        let address = compared_address(address);
        let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
        self.addresses.contains(&address)
            || and_above(domain).any(|name| self.domains.contains(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[rustfmt::skip]
    #[test]
    fn one_domain_however_it_is_written() {
        for (written, same) in [
            ("Example.ORG", "example.org"),
            ("example.org.", "example.org"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
            ("bu\u{308}cher.example", "xn--bcher-kva.example"),
            ("XN--BCHER-KVA.Example", "xn--bcher-kva.example"),
            ("bücher。example", "xn--bcher-kva.example"),
            ("пример.испытание", "xn--e1afmkfd.xn--80akhbyknj4f"),
            ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
            ("straße.example", "xn--strae-oqa.example"),
            ("mail.bücher.example", "mail.xn--bcher-kva.example"),
            // No domains.
            ("xn--\u{fc}.example", "xn--\u{fc}.example"),
            ("", ""),
            ("[192.0.2.1]", "[192.0.2.1]"),
        ] {
            assert_eq!(compared(written), same, "{written}");
        }
        for (domain, other, below) in [
            ("example.org", "example.org", true),
            ("a.example.org", "example.org", true),
            ("anexample.org", "example.org", false),
            ("org", "example.org", false),
        ] {
            assert_eq!(is_below(domain, other), below, "{domain} {other}");
        }
    }

    #[rustfmt::skip]
    #[test]
    fn addresses_in_each_spelling() {
        for (address, spelling, there) in [
            ("a@bücher.example", "a@xn--bcher-kva.example", true),
            ("a@xn--bcher-kva.example", "a@bücher.example", true),
            ("a@XN--BCHER-KVA.example", "a@bücher.example", true),
            ("A@bücher.example", "A@xn--bcher-kva.example", true),
            ("xn--bcher-kva.example", "bücher.example", true),
            ("ü@example.org", "ü@example.org", true),
            ("a@example.org", "a@example.com", false),
            // A local part is no domain.
            ("xn--bcher-kva@example.org", "bücher@example.org", false),
            ("a@xn--\u{fc}.example", "a@bücher.example", false),
        ] {
            assert_eq!(any_spelling(address, |one| one == spelling), there, "{address}");
            assert_eq!(any_spelling_of(address.as_bytes(), |one| one == spelling.as_bytes()), there, "{address}");
        }
        assert!(!any_spelling_of(b"a@\xfc.example", |one| one == b"x"));
        let long = format!("a@{}.example", "ü".repeat(500_000));
        assert!(!any_spelling(&long, |one| one == "x"));
    }

    #[rustfmt::skip]
    #[test]
    fn a_mailbox_is_one_with_and_without_quotes() {
        for (written, same) in [
            (r#"Anna@Example.org"#, "anna@example.org"),
            (r#""Anna"@example.org"#, "anna@example.org"),
            (r#""an\na"@example.org"#, "anna@example.org"),
            (r#""anna.b"@example.org"#, "anna.b@example.org"),
            (r#""ann\.b+c"@example.org"#, "ann.b+c@example.org"),
            (r#""Änna"@bücher.example"#, "änna@xn--bcher-kva.example"),
            // Here they must stand.
            (r#""anna b"@example.org"#, r#""anna b"@example.org"#),
            (r#""anna\ b"@example.org"#, r#""anna b"@example.org"#),
            (r#""a@b"@example.org"#, r#""a@b"@example.org"#),
            (r#""a\"b\\c"@example.org"#, r#""a\"b\\c"@example.org"#),
            (r#""\a\"b"@example.org"#, r#""a\"b"@example.org"#),
            (r#"""@example.org"#, r#"""@example.org"#),
            (r#"".anna"@example.org"#, r#"".anna"@example.org"#),
            (r#""an..na"@example.org"#, r#""an..na"@example.org"#),
            // No text in quotes.
            (r#""anna@example.org"#, r#""anna@example.org"#),
            (r#""anna\"@example.org"#, r#""anna\"@example.org"#),
            (r#""an"na@example.org"#, r#""an"na@example.org"#),
            (r#""an"."na"@example.org"#, r#""an"."na"@example.org"#),
            (r#"anna"@example.org"#, r#"anna"@example.org"#),
        ] {
            assert_eq!(compared_address(written), same, "{written}");
            assert_eq!(compared_address(same), same, "{written}");
            assert_eq!(compared_path(&Path::new(written)), same, "{written}");
        }
        assert_eq!(compared_path(&Path::new(*b"a\xff@example.org")), r"a\xff@example.org");
        for (address, plain) in [
            ("bob+x+y@example.org", Some("bob@example.org")),
            (r#""bob b+x"@example.org"#, Some(r#""bob b"@example.org"#)),
            (r#""bob+x y"@example.org"#, Some("bob@example.org")),
            (r#""b\"+x"@example.org"#, Some(r#""b\""@example.org"#)),
            ("bob@example.org", None),
            ("+x@example.org", None),
            (r#""+x y"@example.org"#, None),
            ("bob", None),
        ] {
            assert_eq!(without_detail(address).as_deref(), plain, "{address}");
        }
    }

    #[rustfmt::skip]
    #[test]
    fn the_domain_of_an_address() {
        for (address, domain) in [
            ("anna@Example.ORG", Some("example.org")),
            ("anna@bücher.example.", Some("xn--bcher-kva.example")),
            ("\"a@b\"@example.org", Some("example.org")),
            ("@hop.example,@b:anna@example.org", Some("example.org")),
            ("anna@[192.0.2.1]", Some("[192.0.2.1]")),
            ("", None),
            ("postmaster", None),
            ("anna@", None),
        ] {
            assert_eq!(of_address(address.as_bytes()).as_deref(), domain, "{address}");
        }
        assert_eq!(of_address(b"a\xff@example.org"), None);
    }

    #[test]
    fn names() {
        let names = Names::new(["bücher.example", "Tom@xn--mller-kva.example"]);
        for (address, held) in [
            ("anna@xn--bcher-kva.example", true),
            ("anna@mail.BÜCHER.example", true),
            ("anna@mybücher.example", false),
            ("tom@müller.example", true),
            ("tim@müller.example", false),
            ("tom@a.müller.example", false),
            ("", false),
            ("bücher.example", false),
        ] {
            assert_eq!(names.hold(address), held, "{address}");
        }
        assert!(!Names::default().hold("a@b"));
    }

    proptest! {
        #[test]
        fn compared_twice_is_compared_once(domain in "[a-zA-Zäöüßéпр例。.\\-]{0,20}") {
            let once = compared(&domain);
            prop_assert_eq!(compared(&once), once.clone());
        }

        #[test]
        fn an_address_compared_twice_is_compared_once(local in "[aB.\"\\\\ +@\u{e4}]{0,12}", domain in "[a-zA-Z.]{0,8}") {
            let once = compared_address(&format!("{local}@{domain}"));
            prop_assert_eq!(compared_address(&once), once.clone());
            if let Some(plain) = without_detail(&once) {
                prop_assert_eq!(compared_address(&plain), plain);
            }
        }

        #[test]
        fn anything_is_survived(address in ".{0,40}", octets: Vec<u8>) {
            let _ = compared_address(&address);
            let _ = any_spelling(&address, |_| false);
            let _ = any_spelling_of(&octets, |_| false);
        }
    }
}
