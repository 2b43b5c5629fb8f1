//! What listeners need for STARTTLS: certificate and key, read in the master with its privileges, at the start and on reload.
//!
//! Must never: show a key, or take one that everybody may read.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use mimicry_core::settings::{Listen, ListenTls};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::files::{self, Access};

/// Octets of a key file that are read.
const MAX_KEY_FILE: u64 = 256 * 1024;

/// One per listener, in their order; `None` = it offers no STARTTLS.
#[derive(Debug, Default)]
pub struct Certificates(Vec<Option<Arc<ServerConfig>>>);

impl Certificates {
    /// An error is one sentence that names the file.
    pub fn load(listeners: &[Listen]) -> Result<Certificates, String> {
        let load = |listen: &Listen| listen.tls.as_ref().map(config).transpose();
        listeners
            .iter()
            .map(load)
            .collect::<Result<_, _>>()
            .map(Certificates)
    }

    pub fn of(&self, listener: usize) -> Option<&Arc<ServerConfig>> {
        self.0.get(listener)?.as_ref()
    }
}

fn config(tls: &ListenTls) -> Result<Arc<ServerConfig>, String> {
    let chain = chain(&tls.cert)?;
    let key = key(&tls.key)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| {
            format!(
                "tls_cert {} and tls_key {}: {error}",
                tls.cert.display(),
                tls.key.display()
            )
        })?;
    Ok(Arc::new(config))
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let fault = |what: &dyn fmt::Display| format!("tls_cert {}: {what}", path.display());
    let text = files::certificates(path).map_err(|why| fault(&why))?;
    let chain = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| fault(&error))?;
    if chain.is_empty() {
        return Err(fault(&"there is no certificate in it"));
    }
    Ok(chain)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let fault = |what: &dyn fmt::Display| format!("tls_key {}: {what}", path.display());
    let text = files::read(path, MAX_KEY_FILE, Access::Group).map_err(|why| fault(&why))?;
    // What the parser says of a key is never more than what is missing.
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| fault(&error))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn files() {
        let directory = tempfile::tempdir().unwrap();
        let tls = ListenTls {
            cert: directory.path().join("cert.pem"),
            key: directory.path().join("key.pem"),
        };
        let write = |path: &Path, text: &str, mode: u32| {
            fs::write(path, text).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let made = rcgen::generate_simple_self_signed(vec!["mx.example.org".into()]).unwrap();
        let other = rcgen::generate_simple_self_signed(vec!["mx.example.org".into()]).unwrap();
        let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        assert!(config(&tls).unwrap_err().starts_with("tls_cert "));
        for (cert, key, mode, fault) in [
            (cert.as_str(), key.as_str(), 0o600, ""),
            (&cert, &key, 0o640, ""),
            (&cert, &key, 0o644, "can be read by others"),
            (&cert, &key, 0o660, "changed by its group"),
            (&cert, "", 0o600, "tls_key "),
            (&cert, &cert, 0o600, "tls_key "),
            ("", &key, 0o600, "there is no certificate in it"),
            ("-----BEGIN CERTIFICATE-----\n", &key, 0o600, "tls_cert "),
            (&other.cert.pem(), &key, 0o600, "tls_cert "),
        ] {
            write(&tls.cert, cert, 0o644);
            write(&tls.key, key, mode);
            match config(&tls) {
                Ok(_) => assert_eq!(fault, ""),
                Err(error) => {
                    assert!(!fault.is_empty() && error.contains(fault), "{error}");
                    assert!(!error.contains("PRIVATE"), "{error}");
                }
            }
        }
    }
}
