//! What may be said of the certificates of a file that no rule names.
//!
//! Must never: say that a certificate is trusted: without `ca_file` nobody vouches for one.

use mimicry_core::plugin::{KeyUse, some};
use openssl::pkey::{PKey, Private};
use openssl::x509::X509Crl;

use super::certificate::{Certificate, Refusal, Use, name, unix};
use super::read::{Unfit, certificates, key_and_certificates, lists};
use crate::shared::date::day;
use crate::shared::found::Held;

/// Of each but those that vouch for others, what it says of itself; where its secret key is there, also whether it signs.
pub fn in_file(octets: &[u8], now: i64) -> Result<Held, Unfit> {
    let all = certificates(octets)
        .map_err(|unfit| lists(octets).map_or(unfit, |lists| only_lists(&lists)))?;
    let key = key_and_certificates(octets).ok().map(|(key, _)| key);
    let mut held = Held {
        is_secret: memchr::memmem::find(octets, b"PRIVATE KEY-----").is_some(),
        ..Held::default()
    };
    let mut authorities = 0usize;
    for x509 in all {
        let Some(certificate) = Certificate::of(x509) else {
            held.unread = held.unread.saturating_add(1);
            continue;
        };
        if certificate.is_authority() {
            authorities = authorities.saturating_add(1);
            continue;
        }
        let verdict = |wanted| match certificate.addresses.is_empty() {
            true => Err(Refusal::Address(Vec::new())),
            false => (certificate.is_alive(now)).and_then(|()| certificate.may(wanted)),
        };
        let encrypts = certificate.in_use(KeyUse::Encrypt, verdict(Use::Encrypt));
        let public = certificate.x509.public_key();
        let is_its =
            |own: &PKey<Private>| public.as_ref().is_ok_and(|public| public.public_eq(own));
        let has_key = key.as_ref().is_some_and(is_its);
        let signs = has_key.then(|| certificate.in_use(KeyUse::Sign, verdict(Use::Sign)));
        held.take(encrypts, signs);
    }
    match held.keys.is_empty() && authorities > 0 {
        true => Err(Unfit::new(
            "holds only certificates that vouch for others",
            "such a file is named by ca_file",
        )),
        false => Ok(held),
    }
}

/// Whose lists they are, and until when.
fn only_lists(lists: &[X509Crl]) -> Unfit {
    let each = lists.iter().map(|list| {
        let issuer = name(list.issuer_name());
        match list.next_update().and_then(unix) {
            Some(end) => format!("the revocation list of {issuer} until {}", day(end)),
            None => format!("the revocation list of {issuer}"),
        }
    });
    let each: Vec<String> = each.collect();
    Unfit::new(
        format!("holds no key, but {}", some(&each)),
        "such a file is named by crl_files",
    )
}
