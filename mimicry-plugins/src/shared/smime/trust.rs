//! Whom a certificate goes back to: the authorities that the administrator trusts, the certificates between, and their revocation lists.
//!
//! Must never: trust what is not in `ca_file`, or take an authority's silence for revocation: an issuer without a list is not asked.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use openssl::pkey::{PKey, Public};
use openssl::stack::Stack;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::{X509VerifyFlags, X509VerifyParam};
use openssl::x509::{CrlStatus, X509, X509Crl, X509Ref, X509StoreContext, X509VerifyResult};

use super::certificate::{Certificate, Refusal, Use, is_for_mail, name, unix};
use super::mailbox::may_vouch;
use super::scope::Scope;
use super::words;

/// OpenSSL's measure of strength for the signatures and keys of a chain: 112 bits, which leaves out SHA-1 and RSA of 1024 bits.
const LEVEL: i32 = 2;

/// Certificates of one name at most that are asked whether they signed a list, those that are trusted first.
const ISSUERS: usize = 100;

/// The certificates that are trusted, and those that may stand between.
pub struct Trust {
    authorities: Vec<X509>,
    between: Vec<X509>,
    lists: Vec<List>,
    /// The authorities as they stood when somebody last asked, seconds since 1970: with a thousand of them that takes its time.
    store: Mutex<Option<(i64, X509Store)>>,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (authorities, lists) = (self.authorities.len(), self.lists.len());
        write!(f, "Trust({authorities} authorities, {lists} lists)")
    }
}

/// A revocation list, and the keys of those who really signed it.
struct List {
    crl: X509Crl,
    issuer: Vec<u8>,
    keys: Vec<PKey<Public>>,
    /// For which certificates it speaks; `None` = for none that could be said.
    scope: Option<Scope>,
}

impl Trust {
    pub fn new(authorities: Vec<X509>, between: Vec<X509>, lists: Vec<X509Crl>) -> Trust {
        let mut by_name: HashMap<Vec<u8>, Vec<&X509>> = HashMap::new();
        let known = authorities.iter().chain(&between);
        for each in known.filter(|_| !lists.is_empty()) {
            let name = each.subject_name().to_der().unwrap_or_default();
            by_name.entry(name).or_default().push(each);
        }
        // The signature of a long list takes its time, and it is the same for every mail.
        let lists = lists.into_iter().map(|crl| {
            let issuer = crl.issuer_name().to_der().unwrap_or_default();
            let known = by_name.get(&issuer).into_iter().flatten();
            let keys = known
                .take(ISSUERS)
                .filter_map(|known| known.public_key().ok())
                .filter(|key| crl.verify(key).unwrap_or(false))
                .collect();
            // OpenSSL puts what is in it in order when it is first asked, in every worker anew if not here.
            if let Some(any) = authorities.first() {
                crl.get_by_cert(any);
            }
            List {
                scope: Scope::of(&crl).ok(),
                crl,
                issuer,
                keys,
            }
        });
        let lists = lists.collect();
        Trust {
            authorities,
            between,
            lists,
            store: Mutex::default(),
        }
    }

    /// The day on which the first of the lists ends, in seconds since 1970, and whose it is.
    pub fn lists_end(&self) -> Option<(i64, String)> {
        let ends = self.lists.iter().filter_map(|list| {
            let end = unix(list.crl.next_update()?)?;
            Some((end, name(list.crl.issuer_name())))
        });
        ends.min()
    }

    /// May this be encrypted to, or signed with, for this address at this time (seconds since 1970). Without an address it was given for
    /// whom it shall serve.
    pub fn judge(
        &self,
        certificate: &Certificate,
        wanted: Use,
        address: Option<&str>,
        now: i64,
    ) -> Result<(), Refusal> {
        if let Some(address) = address {
            certificate.is_for(address)?;
        }
        certificate.is_alive(now)?;
        certificate.may(wanted)?;
        let chain = self.chain(certificate, now)?;
        named(certificate, address, &chain)?;
        self.revoked(&chain, now)
    }

    /// From the certificate to one that is trusted.
    fn chain(&self, certificate: &Certificate, now: i64) -> Result<Vec<X509>, Refusal> {
        let failed = |errors| Refusal::Chain(words(&errors));
        let mut last = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let store = match last.take().filter(|(at, _)| *at == now) {
            Some((_, store)) => store,
            None => self.store(now).map_err(failed)?,
        };
        let (_, store) = last.insert((now, store));
        let mut between = Stack::new().map_err(failed)?;
        for each in &self.between {
            between.push(each.clone()).map_err(failed)?;
        }
        let mut context = X509StoreContext::new().map_err(failed)?;
        let verdict = context.init(store, &certificate.x509, &between, |context| {
            let Ok(true) = context.verify_cert() else {
                let at = context.current_cert();
                return Ok(Err(refusal(context.error(), at, &certificate.x509)));
            };
            let chain = context.chain().into_iter().flatten();
            Ok(Ok(chain.map(|each| each.to_owned()).collect::<Vec<X509>>()))
        });
        let chain = verdict.map_err(failed)??;
        // OpenSSL looks at the purposes of issuers only when it is told the purpose, and then it refuses EC keys that may agree only.
        let issuers = chain.iter().skip(1);
        match issuers.clone().find(|issuer| !is_for_mail(issuer)) {
            Some(issuer) => Err(Refusal::IssuerPurpose(name(issuer.subject_name()))),
            None => Ok(chain),
        }
    }

    fn store(&self, now: i64) -> Result<X509Store, openssl::error::ErrorStack> {
        let mut parameters = X509VerifyParam::new()?;
        parameters.set_time(now);
        parameters.set_auth_level(LEVEL);
        // What stands in ca_file is trusted, be it self-signed or not.
        parameters.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
        let mut store = X509StoreBuilder::new()?;
        store.set_param(&parameters)?;
        for authority in &self.authorities {
            store.add_cert(authority.clone())?;
        }
        Ok(store.build())
    }

    /// Does a list of an issuer in the chain name the certificate below it.
    fn revoked(&self, chain: &[X509], now: i64) -> Result<(), Refusal> {
        for pair in chain.windows(2) {
            let [subject, issuer] = pair else { continue };
            let issuer_name = issuer.subject_name().to_der().unwrap_or_default();
            let key = issuer.public_key().ok();
            let is_of_issuer = |list: &&List| list.issuer == issuer_name;
            let mut lists = self.lists.iter().filter(is_of_issuer).peekable();
            if lists.peek().is_none() {
                continue;
            }
            let who = || name(issuer.subject_name());
            let signed = lists.filter(|list| {
                let mut keys = list.keys.iter();
                key.as_ref()
                    .is_some_and(|key| keys.any(|own| own.public_eq(key)))
            });
            let mut newest: Option<i64> = None;
            let mut missing = Refusal::Forged(who());
            for list in signed {
                if let CrlStatus::Revoked(entry) = list.crl.get_by_cert(subject) {
                    let at = unix(entry.revocation_date()).unwrap_or(0);
                    return Err(Refusal::Revoked(who(), at));
                }
                // What it does not name may stand in another part of the list.
                if !(list.scope.as_ref()).is_some_and(|scope| scope.holds(subject)) {
                    missing = Refusal::Unlisted(who());
                    continue;
                }
                // A list without an end holds until there is another.
                let end = list.crl.next_update().map_or(Some(i64::MAX), unix);
                newest = newest.max(end);
            }
            match newest {
                None => return Err(missing),
                Some(end) if end < now => return Err(Refusal::Stale(who(), end)),
                Some(_) => {}
            }
        }
        Ok(())
    }
}

/// May the issuers in the chain vouch for the address, or for one at least if none is given.
fn named(certificate: &Certificate, address: Option<&str>, chain: &[X509]) -> Result<(), Refusal> {
    let mut others = certificate.addresses.iter().map(String::as_str);
    let barred = |address: &str| {
        let is_mailbox = certificate.mailboxes.contains(address);
        let mut issuers = chain.iter().skip(1).filter(|_| is_mailbox);
        let issuer = issuers.find(|issuer| !may_vouch(issuer, address))?;
        Some(Refusal::IssuerNames(name(issuer.subject_name())))
    };
    let refusal = match address {
        Some(address) => barred(address),
        None => others
            .try_fold(None, |_, address| barred(address).map(Some))
            .flatten(),
    };
    refusal.map_or(Ok(()), Err)
}

/// In our words, what OpenSSL found wrong, and with which certificate of the chain.
fn refusal(error: X509VerifyResult, at: Option<&X509Ref>, leaf: &X509Ref) -> Refusal {
    /// `X509_V_ERR_*`.
    const UNKNOWN: &[i32] = &[2, 18, 19, 20, 21];
    const TIME: &[i32] = &[9, 10];
    let at = at.unwrap_or(leaf);
    match error.as_raw() {
        code if UNKNOWN.contains(&code) => Refusal::Unknown(name(at.issuer_name())),
        code if TIME.contains(&code) => Refusal::Issuer(name(at.subject_name())),
        _ => Refusal::Chain(error.error_string().to_string()),
    }
}
