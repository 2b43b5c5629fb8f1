//! Addresses beyond ASCII in a certificate: the alternative name SmtpUTF8Mailbox (RFC 9598), and whether its issuers may give it.
//!
//! OpenSSL holds such a name against the name constraints of an issuer with U-labels, which RFC 9598 does not have, so that an excluded
//! domain beyond ASCII is not found: that is decided here again.
//!
//! Must never: take one for an address of ASCII alone, which has a form of its own, or one of which it is in doubt.

use mimicry_core::domain::{compared, compared_address};
use openssl::x509::X509Ref;

use super::der::{OBJECT_IDENTIFIER, OF_CERTIFICATE, SEQUENCE, elements, expect, extensions};

const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 17];
const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 30];
/// `id-on-SmtpUTF8Mailbox`, 1.3.6.1.5.5.7.8.9.
const MAILBOX: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x08, 0x09];

const UTF8_STRING: u8 = 0x0c;
/// `[0]`: an otherName, the value in one, and the permitted names of a constraint.
const FIRST: u8 = 0xa0;
const EXCLUDED: u8 = 0xa1;
const RFC822_NAME: u8 = 0x81;

/// Those of a certificate that can be believed, as addresses are compared.
pub fn mailboxes(x509: &X509Ref) -> Vec<String> {
    let der = x509.to_der().unwrap_or_default();
    let value = value(&der, ALTERNATIVE_NAMES).flatten();
    let names = value.and_then(|value| elements(expect(value, SEQUENCE)?.0));
    let names = names.into_iter().flatten();
    names
        .filter(|(tag, _)| *tag == FIRST)
        .filter_map(|(_, name)| mailbox(name))
        .collect()
}

fn mailbox(other_name: &[u8]) -> Option<String> {
    let (oid, value) = expect(other_name, OBJECT_IDENTIFIER)?;
    if oid != MAILBOX {
        return None;
    }
    let (text, _) = expect(expect(value, FIRST)?.0, UTF8_STRING)?;
    let text = std::str::from_utf8(text).ok()?;
    let (local, domain) = text.rsplit_once('@')?;
    let is_label = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let is_believed = !local.is_ascii() && local.chars().all(is_of_atom);
    let is_domain = !domain.is_empty() && domain.chars().all(is_label);
    (is_believed && is_domain).then(|| compared_address(text))
}

/// Beyond ASCII those that stay there in small letters: the sign for kelvin becomes a k, and the address that of another.
fn is_of_atom(c: char) -> bool {
    match c.is_ascii() {
        true => c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c),
        false => {
            !c.is_control() && !c.is_whitespace() && c.to_lowercase().all(|small| !small.is_ascii())
        }
    }
}

/// May this issuer vouch for this address, one of [`mailboxes`], by its name constraints (RFC 5280 section 4.2.1.10, RFC 9598 section 6).
pub fn may_vouch(issuer: &X509Ref, address: &str) -> bool {
    let der = issuer.to_der().unwrap_or_default();
    match value(&der, NAME_CONSTRAINTS) {
        None => false,
        Some(None) => true,
        Some(Some(constraints)) => allows(constraints, address) == Some(true),
    }
}

/// `None` = nobody here can tell.
fn allows(constraints: &[u8], address: &str) -> Option<bool> {
    let (_, domain) = address.rsplit_once('@')?;
    let (mut permitted, mut is_limited) = (false, false);
    for (tag, subtrees) in elements(expect(constraints, SEQUENCE)?.0)? {
        let is_excluded = match tag {
            FIRST => false,
            EXCLUDED => true,
            _ => return None,
        };
        for (tag, subtree) in elements(subtrees)? {
            let subtree = (tag == SEQUENCE).then(|| elements(subtree))??;
            match (*subtree.first()?, is_excluded) {
                // Constraints on addresses have no other form (RFC 9598 section 6), and what such a one means is not known.
                ((FIRST, _), _) => return None,
                ((RFC822_NAME, base), true) if excludes(base, domain)? => return Some(false),
                ((RFC822_NAME, base), false) => {
                    is_limited = true;
                    permitted |= permits(base, domain)?;
                }
                _ => {}
            }
        }
    }
    Some(permitted || !is_limited)
}

/// One address permits no other, and none of them is beyond ASCII.
fn permits(base: &[u8], domain: &str) -> Option<bool> {
    let base = std::str::from_utf8(base).ok()?;
    Some(!base.contains('@') && !base.is_empty() && is_in(base, domain))
}

/// In doubt it does: by an address all of its domain.
fn excludes(base: &[u8], domain: &str) -> Option<bool> {
    let base = std::str::from_utf8(base).ok()?;
    let (_, host) = base.rsplit_once('@').unwrap_or(("", base));
    Some(host.is_empty() || is_in(host, domain))
}

/// Is it this domain, or one below it if that begins with a dot.
fn is_in(base: &str, domain: &str) -> bool {
    match base.strip_prefix('.') {
        None => compared(base) == domain,
        Some(above) => {
            let below = domain.strip_suffix(&compared(above));
            below.is_some_and(|below| below.len() > 1 && below.ends_with('.'))
        }
    }
}

/// The value of an extension of a certificate. `None` = it cannot be read; `Some(None)` = it is not there.
fn value<'d>(der: &'d [u8], oid: &[u8]) -> Option<Option<&'d [u8]>> {
    let found = extensions(der, OF_CERTIFICATE)?;
    let mut of_kind = found.iter().filter(|extension| extension.oid == oid);
    Some(of_kind.next().map(|extension| extension.value))
}
