//! TLS as a client: which certificates are accepted.
//!
//! rustls with ring: TLS 1.2 and 1.3, nothing older. No session is kept for the next connection: a line carries many mails.
//!
//! Must never: accept an invalid certificate where a valid one is required.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use mimicry_core::settings::fingerprint::Fingerprint;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
};
use sha2::{Digest, Sha256};

use crate::files;

/// The name, the dates and the descent of a certificate count. `ca_file` = the authorities, instead of the system's.
pub fn valid_certificates(ca_file: Option<&Path>) -> Result<ClientConfig, String> {
    let roots = match ca_file {
        Some(path) => from_file(path)?,
        None => of_system()?,
    };
    let mut config = builder()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// One of these certificates, by its fingerprint. Neither its dates nor its name nor its descent count: who names a certificate has
/// said that it is the right one. That the next hop has its key is proved by the handshake.
pub fn pinned_certificates(pins: Vec<Fingerprint>) -> Result<ClientConfig, String> {
    trusting(Trust::Pinned(pins))
}

/// Whoever it is.
pub fn any_certificate() -> Result<ClientConfig, String> {
    trusting(Trust::Any)
}

fn trusting(trust: Trust) -> Result<ClientConfig, String> {
    let provider = provider();
    let verifier = Verifier { provider, trust };
    let mut config = builder()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, String> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))
}

fn from_file(path: &Path) -> Result<RootCertStore, String> {
    let fault = |what: &dyn fmt::Display| format!("ca_file {}: {what}", path.display());
    let mut roots = RootCertStore::empty();
    let text = files::certificates(path).map_err(|wrong| fault(&wrong))?;
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| fault(&error))?;
        roots.add(certificate).map_err(|error| fault(&error))?;
    }
    if roots.is_empty() {
        return Err(fault(&"there is no certificate in it"));
    }
    Ok(roots)
}

/// Certificates of the system that are none are passed over, as other programs do.
fn of_system() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found
            .errors
            .first()
            .map_or_else(String::new, |error| format!(" ({error})"));
        return Err(format!(
            "this system trusts no certificate authority{why}: install ca-certificates, or name a file in ca_file"
        ));
    }
    Ok(roots)
}

/// What is wrong with a certificate, for somebody who has to mend it.
pub fn in_words(why: &CertificateError) -> String {
    let text = match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet: is the clock right?"
        }
        CertificateError::UnknownIssuer => {
            "no authority that is trusted here has signed it (see ca_file in mimicry.toml(5))"
        }
        CertificateError::BadSignature => {
            "its signature is not that of the authority that it names (see ca_file in mimicry.toml(5))"
        }
        CertificateError::NotValidForName => "it is for another name",
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            let names = match presented.as_slice() {
                [] => "no name at all".to_string(),
                // As DnsName("mx.example.org").
                names => {
                    let bare = |name: &String| name.split('"').nth(1).unwrap_or(name).to_string();
                    names.iter().map(bare).collect::<Vec<_>>().join(", ")
                }
            };
            return format!("it is for {names} and not for {}", expected.to_str());
        }
        CertificateError::Revoked => "it was revoked",
        CertificateError::BadEncoding => "it cannot be read",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it is not one for servers"
        }
        CertificateError::UnhandledCriticalExtension => {
            "it bears an extension that must be understood and is not known here"
        }
        CertificateError::Other(OtherError(why)) => return other_in_words(&why.to_string()),
        other => return other.to_string(),
    };
    text.to_string()
}

/// What the reader of certificates calls by a name of its own.
fn other_in_words(why: &str) -> String {
    match why {
        "CaUsedAsEndEntity" => "it is one of an authority, and not one of a server".to_string(),
        "EndEntityUsedAsCa" => {
            "one of its chain is that of a server, and not of an authority".to_string()
        }
        "UnsupportedCertVersion" => {
            "it is of an old version (X.509 version 3 is needed)".to_string()
        }
        other => other.to_string(),
    }
}

/// Looks at no name, date or descent.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    trust: Trust,
}

#[derive(Debug)]
enum Trust {
    /// Every certificate will do. Its signatures are not looked at either: they would prove that somebody has the key of a
    /// certificate that anybody can make, and old certificates cannot be read at all.
    Any,
    /// Those that are named, and the signatures of the handshake count.
    Pinned(Vec<Fingerprint>),
}

/// The certificate that was shown is another one.
#[derive(Debug, thiserror::Error)]
#[error("its SHA-256 is {0}, which tls_fingerprint does not name")]
struct NotNamed(Fingerprint);

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Trust::Pinned(pins) = &self.trust else {
            return Ok(ServerCertVerified::assertion());
        };
        let shown = Fingerprint(Sha256::digest(end_entity).into());
        if pins.contains(&shown) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::Other(OtherError(Arc::new(NotNamed(shown)))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        match self.trust {
            Trust::Any => Ok(HandshakeSignatureValid::assertion()),
            Trust::Pinned(_) => verify_tls12_signature(message, certificate, signed, algorithms),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        match self.trust {
            Trust::Any => Ok(HandshakeSignatureValid::assertion()),
            Trust::Pinned(_) => verify_tls13_signature(message, certificate, signed, algorithms),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_authorities() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        let begin = "-----BEGIN CERTIFICATE-----\n";
        for (content, fault) in [
            ("", "there is no certificate in it"),
            ("no PEM at all\n", "there is no certificate in it"),
            (begin, "ca_file "),
            (
                &format!("{begin}AAAA\n-----END CERTIFICATE-----\n"),
                "ca_file ",
            ),
        ] {
            std::fs::write(&path, content).unwrap();
            let error = valid_certificates(Some(&path)).unwrap_err();
            assert!(error.contains(fault), "{error}");
        }
        assert!(valid_certificates(Some(Path::new("/nowhere"))).is_err());
        assert!(any_certificate().is_ok());
    }
}
