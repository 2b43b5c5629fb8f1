//! Encryption to certificates (RFC 5652 EnvelopedData, RFC 5083 AuthEnvelopedData).
//!
//! Must never: judge who may read; the certificates were judged before ([`super::trust`]).

use mimicry_core::words;
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::stack::Stack;
use openssl::symm::Cipher;

use super::certificate::Certificate;

words! {
    /// What the content is encrypted with.
    Content {
        /// What every reader knows.
        Aes256Cbc = "aes-256-cbc",
        Aes256Gcm = "aes-256-gcm",
        Aes128Gcm = "aes-128-gcm",
    }
}

impl Content {
    fn cipher(self) -> Cipher {
        match self {
            Content::Aes256Cbc => Cipher::aes_256_cbc(),
            Content::Aes256Gcm => Cipher::aes_256_gcm(),
            Content::Aes128Gcm => Cipher::aes_128_gcm(),
        }
    }

    /// The parameter `smime-type` (RFC 8551 section 3.2.2).
    pub fn smime_type(self) -> &'static str {
        match self {
            Content::Aes256Cbc => "enveloped-data",
            Content::Aes256Gcm | Content::Aes128Gcm => "authEnveloped-data",
        }
    }
}

/// These octets so that each of these can read them, and nobody else, in DER.
pub fn seal(to: &[&Certificate], octets: &[u8], content: Content) -> Result<Vec<u8>, String> {
    if to.is_empty() {
        return Err("there is nobody to encrypt to".into());
    }
    let sealed = || {
        let mut certificates = Stack::new()?;
        for each in to {
            certificates.push(each.x509.clone())?;
        }
        CmsContentInfo::encrypt(&certificates, octets, content.cipher(), CMSOptions::BINARY)?
            .to_der()
    };
    sealed().map_err(|errors| super::words(&errors))
}
