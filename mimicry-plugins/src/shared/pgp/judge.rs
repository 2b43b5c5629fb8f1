//! Which keys of a certificate can be used at a time, and in words why none can.
//!
//! The policy is Sequoia's standard one. A certificate bound by SHA-1 has been worth nothing there since February 2023, because such a
//! binding can be forged; many companies have one all the same, so a rule may accept them.
//!
//! Must never: take a key that has ended or was revoked, whatever the options say.

use std::time::SystemTime;

use sequoia_openpgp::Cert;
use sequoia_openpgp::cert::ValidCert;
use sequoia_openpgp::cert::amalgamation::ValidAmalgamation;
use sequoia_openpgp::cert::amalgamation::key::{
    ValidErasedKeyAmalgamation, ValidKeyAmalgamationIter,
};
use sequoia_openpgp::crypto::mpi::PublicKey;
use sequoia_openpgp::packet::Key;
use sequoia_openpgp::packet::key::{KeyParts, KeyRole, PublicParts, UnspecifiedRole};
use sequoia_openpgp::policy::{AsymmetricAlgorithm, HashAlgoSecurity, StandardPolicy};
use sequoia_openpgp::types::{HashAlgorithm, PublicKeyAlgorithm as Algorithm, RevocationStatus};

use super::{time, unix};
use crate::shared::date::day;

/// What is demanded of a certificate.
#[derive(Debug)]
pub struct Demands {
    policy: StandardPolicy<'static>,
    /// With SHA-1, to say what is wrong with one.
    lenient: StandardPolicy<'static>,
    /// And with keys that the standard policy takes no more, for the same end.
    weak: StandardPolicy<'static>,
}

/// What the standard policy leaves out and somebody may have.
const WEAK: &[AsymmetricAlgorithm] = &[
    AsymmetricAlgorithm::RSA1024,
    AsymmetricAlgorithm::DSA1024,
    AsymmetricAlgorithm::ElGamal1024,
    AsymmetricAlgorithm::ElGamal2048,
    AsymmetricAlgorithm::ElGamal3072,
    AsymmetricAlgorithm::ElGamal4096,
    AsymmetricAlgorithm::Unknown,
];

/// What a key is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A message on its way.
    Transport,
    /// A copy that is kept.
    Storage,
    Sign,
}

/// A key that can be used.
pub type Usable<'c> = ValidErasedKeyAmalgamation<'c, PublicParts>;

const SHA1: &str = "is bound by SHA-1, which is not accepted (accept_sha1)";

impl Demands {
    pub fn new(accept_sha1: bool) -> Demands {
        let mut lenient = StandardPolicy::new();
        lenient.accept_hash_property(
            HashAlgorithm::SHA1,
            HashAlgoSecurity::SecondPreImageResistance,
        );
        let mut weak = lenient.clone();
        for algorithm in WEAK {
            weak.accept_asymmetric_algo(*algorithm);
        }
        Demands {
            policy: match accept_sha1 {
                true => lenient.clone(),
                false => StandardPolicy::new(),
            },
            lenient,
            weak,
        }
    }

    /// The certificate as it stands at a time.
    pub fn valid<'c>(&'c self, cert: &'c Cert, now: i64) -> Result<ValidCert<'c>, String> {
        let now = time(now);
        let valid = match cert.with_policy(&self.policy, now) {
            Ok(valid) => valid,
            Err(_) if cert.with_policy(&self.lenient, now).is_ok() => return Err(SHA1.into()),
            Err(_) if cert.primary_key().key().creation_time() > now => {
                let from = day(unix(cert.primary_key().key().creation_time()));
                return Err(format!("is valid from {from} on only"));
            }
            // What it signs of itself cannot be looked at.
            Err(_) if !is_known(cert.primary_key().key()) => {
                let kind = describe(cert.primary_key().key());
                return Err(format!("is of a kind that is not known here ({kind})"));
            }
            Err(_) if cert.with_policy(&self.weak, now).is_ok() => {
                let kind = describe(cert.primary_key().key());
                return Err(format!("is too weak ({kind})"));
            }
            Err(_) => return Err("has no valid signature of its own".into()),
        };
        if let RevocationStatus::Revoked(_) = valid.revocation_status() {
            return Err("was revoked".into());
        }
        match (valid.alive(), valid.primary_key().key_expiration_time()) {
            (Ok(()), _) => Ok(valid),
            (Err(_), Some(end)) if end <= now => Err(format!("expired on {}", day(unix(end)))),
            (Err(_), _) => Err("is not valid yet".into()),
        }
    }

    /// The keys of a certificate that can be used for a purpose; at least one.
    pub fn keys<'c>(
        &'c self,
        cert: &'c Cert,
        purpose: Purpose,
        now: i64,
    ) -> Result<Vec<Usable<'c>>, String> {
        let valid = self.valid(cert, now)?;
        let fit = valid.keys().alive().revoked(false);
        let mut keys = of_purpose(fit, purpose);
        keys.retain(|key| is_known(key.key()));
        match keys.is_empty() {
            true => Err(self.why_none(cert, &valid, (purpose, time(now)))),
            false => Ok(keys),
        }
    }

    /// No key is of use: what is wrong with the one that would be.
    fn why_none(
        &self,
        cert: &Cert,
        valid: &ValidCert<'_>,
        (purpose, now): (Purpose, SystemTime),
    ) -> String {
        let kind = match purpose {
            Purpose::Sign => "a signing",
            _ => "an encryption",
        };
        let of = |valid: &ValidCert<'_>| -> Option<String> {
            let keys = of_purpose(valid.keys(), purpose);
            // The one that was made last.
            let key = keys.iter().max_by_key(|key| key.key().creation_time())?;
            Some(match (key.revocation_status(), key.key_expiration_time()) {
                (RevocationStatus::Revoked(_), _) => format!("has {kind} key that was revoked"),
                (_, Some(end)) if end <= now => {
                    format!("has {kind} key that expired on {}", day(unix(end)))
                }
                _ if !is_known(key.key()) => {
                    let name = describe(key.key());
                    format!("has {kind} key of a kind that is not known here ({name})")
                }
                _ if key.key().creation_time() > now => {
                    format!("has {kind} key that is not valid yet")
                }
                _ => format!("has {kind} key that is too weak ({})", describe(key.key())),
            })
        };
        if let Some(why) = of(valid) {
            return why;
        }
        let of_policy = |policy| of(&cert.with_policy(policy, now).ok()?);
        if of_policy(&self.lenient).is_some() {
            return SHA1.into();
        }
        of_policy(&self.weak).unwrap_or_else(|| match purpose {
            Purpose::Sign => "has no key to sign with".into(),
            // The key of a partner: who reads this cannot mend it himself.
            _ => {
                "is only for signatures; its owner adds one to encrypt to with gpg --quick-add-key"
                    .into()
            }
        })
    }

    /// When a certificate ends for a purpose, seconds since 1970, or has ended: with its primary key, or with the last of its keys for that.
    /// `None` = never, or it is of no use anyway.
    pub fn ends(&self, cert: &Cert, purpose: Purpose, now: i64) -> Option<i64> {
        let valid = cert.with_policy(&self.policy, time(now)).ok()?;
        if let RevocationStatus::Revoked(_) = valid.revocation_status() {
            return None;
        }
        let primary = valid.primary_key().key_expiration_time();
        let keys = of_purpose(valid.keys().revoked(false), purpose);
        let keys = keys.iter().filter(|key| is_known(key.key()));
        let ends: Vec<_> = keys.map(|key| key.key_expiration_time()).collect();
        let last = match ends.contains(&None) {
            true => None,
            false => ends.into_iter().flatten().max(),
        };
        primary.into_iter().chain(last).min().map(unix)
    }
}

type Keys<'c> = ValidKeyAmalgamationIter<'c, PublicParts, UnspecifiedRole>;

fn of_purpose(keys: Keys<'_>, purpose: Purpose) -> Vec<Usable<'_>> {
    match purpose {
        Purpose::Transport => keys.for_transport_encryption().collect(),
        Purpose::Storage => keys.for_storage_encryption().collect(),
        Purpose::Sign => keys.for_signing().collect(),
    }
}

/// Can Sequoia do with a key what it is for. What is said to be supported is the algorithm, whatever its curve: encryption to one of
/// Brainpool fails, and with it that to all others of the mail.
fn is_known<P: KeyParts, R: KeyRole>(key: &Key<P, R>) -> bool {
    let has_all = match key.mpis() {
        PublicKey::ECDH {
            curve, hash, sym, ..
        } => curve.is_supported() && hash.is_supported() && sym.is_supported(),
        PublicKey::ECDSA { curve, .. } | PublicKey::EdDSA { curve, .. } => curve.is_supported(),
        _ => true,
    };
    key.pk_algo().is_supported() && has_all
}

/// `rsa 3072`, `cv25519`.
pub fn describe<P: KeyParts, R: KeyRole>(key: &Key<P, R>) -> String {
    if let PublicKey::ECDH { curve, .. } | PublicKey::ECDSA { curve, .. } = key.mpis()
        && !curve.is_supported()
    {
        return format!("{}, {curve}", key.pk_algo()).to_lowercase();
    }
    let bits = key.mpis().bits();
    match (key.pk_algo(), bits) {
        (Algorithm::RSAEncryptSign, Some(bits)) => format!("rsa {bits}"),
        (Algorithm::EdDSA | Algorithm::Ed25519, _) => "ed25519".into(),
        (Algorithm::X25519, _) => "x25519".into(),
        (Algorithm::ECDH, Some(256)) => "ecdh 256".into(),
        (algorithm, Some(bits)) => format!("{algorithm} {bits}").to_lowercase(),
        (algorithm, None) => algorithm.to_string().to_lowercase(),
    }
}
