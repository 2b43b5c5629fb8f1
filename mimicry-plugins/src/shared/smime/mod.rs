//! S/MIME (RFC 8551): certificates, what they may be used for, and the CMS structures (RFC 5652) that sign and encrypt.
//!
//! - [`read`]: certificates, keys and revocation lists out of files · [`certificate`]: what one certificate says, and why it is refused
//! - [`trust`]: whom a certificate goes back to, and who has revoked it · [`signer`]: a key with its chain, and what it signs
//! - `scope`: for which certificates a list speaks · `mailbox`: addresses beyond ASCII · `der`: what both are read from
//! - [`seal`]: encryption to certificates · [`signers`]: the keys of a rule · [`recipients`]: its certificates · [`held`]: those of any file
//!
//! OpenSSL encrypts to certificates that expired and to such as may only sign, and its purpose `smimeencrypt` refuses good ones with EC
//! keys: who may receive is decided here, before it is asked.
//!
//! Must never: ask anybody for a passphrase, look into the system's store of certificates, or ask a server (OCSP) about one.
//!
//! Known limits: OpenSSL puts the system's time into a signature. Keys for EC are derived with SHA-1 (`dhSinglePass-stdDH-sha1kdf`), and RSA
//! is PKCS #1 v1.5 in signatures and encryption: what every reader knows, and what OpenSSL does by itself.

pub mod certificate;
mod der;
pub mod held;
mod mailbox;
pub mod read;
pub mod recipients;
mod scope;
pub mod seal;
pub mod signer;
pub mod signers;
pub mod trust;

#[cfg(test)]
pub mod made;
#[cfg(test)]
mod tests;

use openssl::error::ErrorStack;

/// What OpenSSL said, in one line: its reasons, without its files and lines.
fn words(errors: &ErrorStack) -> String {
    let reasons: Vec<&str> = errors.errors().iter().filter_map(|e| e.reason()).collect();
    match reasons.is_empty() {
        true => "OpenSSL gave no reason".into(),
        false => format!("OpenSSL: {}", reasons.join(", ")),
    }
}
