//! Secret keys of domains, read at load, and the public halves as the DNS has them.
//!
//! PEM, as openssl, opendkim-genkey and rspamadm write it: PKCS#8 or PKCS#1 for RSA, PKCS#8 for Ed25519 (RFC 8463).
//!
//! Must never: show a key, in an error or in `Debug`; draw random numbers from a generator that a fork would double.

use std::fmt;

use data_encoding::BASE64;
use ring::rand::SystemRandom;
use ring::signature::{
    ED25519, Ed25519KeyPair, KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
    UnparsedPublicKey,
};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

/// What a key signs with.
pub struct Key {
    pair: Pair,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.algorithm())
    }
}

/// Why a file is no key: what it is, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    pub message: &'static str,
    pub help: &'static str,
}

const MAKE: &str =
    "openssl genpkey -algorithm rsa -pkeyopt rsa_keygen_bits:2048 -out FILE makes one";

impl Key {
    /// Of the octets of a PEM file.
    pub fn read(pem: &[u8]) -> Result<Key, Unfit> {
        let unfit = |message| Unfit {
            message,
            help: MAKE,
        };
        if memchr::memmem::find(pem, b"ENCRYPTED").is_some() {
            return Err(Unfit {
                message: "is locked by a passphrase, which nobody could type here",
                help: "openssl pkey -in FILE -out NEW takes it away; NEW must be of mode 0600 or 0640",
            });
        }
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
            unfit(match pem.starts_with(b"-----BEGIN PUBLIC KEY") {
                true => "is the public half; the secret key is needed",
                false => "holds no secret key in PEM",
            })
        })?;
        let pair = match &der {
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der())
                .map(|pair| Pair::Rsa(Box::new(pair)))
                .map_err(|_| unfit(self::RSA))?,
            PrivateKeyDer::Pkcs8(der) => of_pkcs8(der.secret_pkcs8_der()).map_err(unfit)?,
            _ => return Err(unfit(OTHER)),
        };
        Ok(Key { pair })
    }

    /// As the tag `a` names it.
    pub fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "rsa-sha256",
            Pair::Ed25519(_) => "ed25519-sha256",
        }
    }

    /// The signature over these octets; `None` = the system gave no random numbers.
    pub fn sign(&self, octets: &[u8]) -> Option<Vec<u8>> {
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    octets,
                    &mut signature,
                )
                .ok()?;
                Some(signature)
            }
            // RFC 8463 section 3: what is signed is the hash.
            Pair::Ed25519(pair) => Some(pair.sign(&Sha256::digest(octets)).as_ref().to_vec()),
        }
    }

    /// Is it a signature of this key over these octets.
    pub fn verifies(&self, octets: &[u8], signature: &[u8]) -> bool {
        match &self.pair {
            Pair::Rsa(pair) => {
                let public =
                    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public().as_ref());
                public.verify(octets, signature).is_ok()
            }
            Pair::Ed25519(pair) => {
                let public = UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref());
                public.verify(&Sha256::digest(octets), signature).is_ok()
            }
        }
    }

    /// The text of the TXT record that the public half needs.
    pub fn record(&self) -> String {
        match &self.pair {
            Pair::Rsa(pair) => {
                let public = BASE64.encode(&subject_public_key(pair.public().as_ref()));
                format!("v=DKIM1; k=rsa; p={public}")
            }
            Pair::Ed25519(pair) => {
                let public = BASE64.encode(pair.public_key().as_ref());
                format!("v=DKIM1; k=ed25519; p={public}")
            }
        }
    }

    /// For people: `rsa 2048`, `ed25519`.
    pub fn describe(&self) -> String {
        match &self.pair {
            Pair::Rsa(pair) => format!("rsa {}", pair.public().modulus_len().saturating_mul(8)),
            Pair::Ed25519(_) => "ed25519".into(),
        }
    }
}

const RSA: &str = "is an RSA key of less than 2048 or more than 4096 bits, or a broken one";
const OTHER: &str = "is neither an RSA nor an Ed25519 key";

fn of_pkcs8(der: &[u8]) -> Result<Pair, &'static str> {
    // RFC 8410 section 3; OpenSSL leaves the public half out.
    const ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
    const RSA_ENCRYPTION: &[u8] = &[
        0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01,
    ];
    // The algorithm is named in the first octets, before the key.
    let head = der.get(..40).unwrap_or(der);
    if memchr::memmem::find(head, ED25519).is_some() {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der);
        return pair
            .map(|pair| Pair::Ed25519(Box::new(pair)))
            .map_err(|_| "is a broken Ed25519 key");
    }
    if memchr::memmem::find(head, RSA_ENCRYPTION).is_some() {
        let pair = RsaKeyPair::from_pkcs8(der);
        return pair.map(|pair| Pair::Rsa(Box::new(pair))).map_err(|_| RSA);
    }
    Err(OTHER)
}

/// A SubjectPublicKeyInfo (RFC 5280 section 4.1) around an RSAPublicKey, as verifiers expect it in the DNS.
fn subject_public_key(rsa: &[u8]) -> Vec<u8> {
    const ALGORITHM: &[u8] = &[
        0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
    ];
    let bits = der(0x03, &[&[0], rsa].concat());
    der(0x30, &[ALGORITHM, &bits].concat())
}

/// One value of DER; a key's length takes two octets at most.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let short: Vec<u8> = length
        .iter()
        .copied()
        .skip_while(|octet| *octet == 0)
        .collect();
    let mut out = vec![tag];
    match (content.len(), u8::try_from(short.len())) {
        (0..=127, _) => out.push(short.first().copied().unwrap_or(0)),
        (_, Ok(count)) => {
            out.push(0x80 | count);
            out.extend_from_slice(&short);
        }
        (_, Err(_)) => {}
    }
    out.extend_from_slice(content);
    out
}
