//! What a worker needs for its next hops but must not read itself: passwords, and the certificates that it trusts.
//!
//! Made in the master, with its privileges, at the start and on reload; workers inherit it. So a password file belongs to root
//! alone, a wrong file refuses the configuration, and no file is read while a mail is in hand.
//!
//! Must never: show a password, in a log, a panic or a reply.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::BASE64;
use mimicry_core::reply::Reply;
use mimicry_core::settings::fingerprint::Fingerprint;
use mimicry_core::settings::{Login, Relay};
use rustls::ClientConfig;

use crate::files::{self, Access};

use super::command::CommandLine;
use super::route::{Check, Route};
use super::tls;

/// Octets of a password file that are read.
const MAX_PASSWORD_FILE: u64 = 16 * 1024;

/// So many octets in a row of a password in base64, which has no fewer, are too much to show.
const TELLING: usize = 4;

/// What is asked of a certificate, and what it is held against.
type Trust = (Check, Option<PathBuf>, Vec<Fingerprint>);

/// All of it.
#[derive(Debug, Default)]
pub struct Keys {
    tls: HashMap<Trust, Arc<ClientConfig>>,
    passwords: HashMap<PathBuf, Password>,
}

impl Keys {
    /// Reads what these settings name. An error is one sentence that names the file.
    pub fn load<'r>(relays: impl IntoIterator<Item = &'r Relay>) -> Result<Keys, String> {
        let mut keys = Keys::default();
        for relay in relays {
            // The name given in EHLO opens nothing.
            if let Some(route) = Route::of(relay, "") {
                keys.add(&route)?;
            }
        }
        Ok(keys)
    }

    pub(super) fn add(&mut self, route: &Route) -> Result<(), String> {
        self.trust(route)?;
        if let Some(Login { password_file, .. }) = &route.login
            && !self.passwords.contains_key(password_file)
        {
            let password = Password::read(password_file)?;
            self.passwords.insert(password_file.clone(), password);
        }
        Ok(())
    }

    fn trust(&mut self, route: &Route) -> Result<(), String> {
        let Some(trust) = trust(route) else {
            return Ok(());
        };
        if let Entry::Vacant(entry) = self.tls.entry(trust) {
            let (check, ca_file, pins) = entry.key();
            let config = match check {
                Check::Any => tls::any_certificate(),
                Check::Valid => tls::valid_certificates(ca_file.as_deref()),
                Check::Pinned => tls::pinned_certificates(pins.clone()),
            }?;
            entry.insert(Arc::new(config));
        }
        Ok(())
    }

    /// `None`: no TLS is wanted for it, or it was not among those that were loaded.
    pub fn tls(&self, route: &Route) -> Option<Arc<ClientConfig>> {
        self.tls.get(&trust(route)?).map(Arc::clone)
    }

    pub fn password(&self, login: &Login) -> Option<&Password> {
        self.passwords.get(&login.password_file)
    }
}

/// Only what matters to the check. `None`: there is no TLS.
fn trust(route: &Route) -> Option<Trust> {
    let check = route.security().check()?;
    Some(match check {
        Check::Any => (check, None, Vec::new()),
        Check::Valid => (check, route.ca_file.clone(), Vec::new()),
        Check::Pinned => (check, None, route.pins.clone()),
    })
}

/// A password.
pub struct Password(Vec<u8>);

impl Password {
    /// The first line of the file, which nobody but its owner may read.
    pub fn read(path: &Path) -> Result<Password, String> {
        let fault = |what: &dyn fmt::Display| format!("password_file {}: {what}", path.display());
        let text =
            files::read(path, MAX_PASSWORD_FILE, Access::Owner).map_err(|why| fault(&why))?;
        let line = text.split(|octet| *octet == b'\n').next().unwrap_or(b"");
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Err(fault(&"its first line is empty"));
        }
        if line.contains(&0) {
            return Err(fault(&"there is a NUL in its first line"));
        }
        Ok(Password(line.to_vec()))
    }

    /// With the initial response (RFC 4954 section 4).
    pub(super) fn plain(&self, user: &str) -> Result<CommandLine, Reply> {
        CommandLine::plain(&format!(
            "AUTH PLAIN {}",
            BASE64.encode(&self.message(user))
        ))
    }

    /// The older dialogue: user and password, one after the other.
    pub(super) fn login(&self, user: &str) -> Vec<Result<CommandLine, Reply>> {
        vec![
            CommandLine::plain("AUTH LOGIN"),
            CommandLine::plain(&BASE64.encode(user.as_bytes())),
            CommandLine::plain(&BASE64.encode(&self.0)),
        ]
    }

    /// What a next hop answers to a login, for client and log: servers repeat, whole or in part, a command that they do not know.
    pub(super) fn unsaid(&self, user: &str, reply: Reply) -> Reply {
        let said: String = reply.text().collect();
        let said = said.to_ascii_lowercase().into_bytes();
        let has = |told: &[u8]| {
            let told = told.to_ascii_lowercase();
            memchr::memmem::find(&said, &told).is_some()
        };
        let coded = [BASE64.encode(&self.0), BASE64.encode(&self.message(user))];
        let mut pieces = coded
            .iter()
            .flat_map(|coded| coded.as_bytes().windows(TELLING));
        match has(&self.0) || pieces.any(has) {
            true => reply.saying("its text repeats the login and is not shown"),
            false => reply,
        }
    }

    /// RFC 4616
    fn message(&self, user: &str) -> Vec<u8> {
        [b"\0", user.as_bytes(), b"\0", &self.0].concat()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// For a route in tests.
#[cfg(test)]
impl From<&str> for Password {
    fn from(text: &str) -> Password {
        Password(text.as_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn read(content: &[u8], mode: u32) -> Result<Vec<u8>, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        Password::read(&path).map(|password| password.0)
    }

    /// man: mimicry.toml(5) "Others than its owner must not be able to read it"
    #[test]
    fn password_files() {
        for (content, expected) in [
            (&b"secret"[..], &b"secret"[..]),
            (b"secret\n", b"secret"),
            (b"secret\r\nmore\n", b"secret"),
            (b" with blanks \n", b" with blanks "),
            (b"\xff\xfe\n", b"\xff\xfe"),
        ] {
            assert_eq!(read(content, 0o600).unwrap(), expected);
        }
        for (content, mode, fault) in [
            (
                &b"secret"[..],
                0o640,
                "by others than its owner (mode 0640)",
            ),
            (b"secret", 0o604, "by others than its owner"),
            (b"secret", 0o620, "by others than its owner"),
            (b"", 0o600, "is empty"),
            (b"\nsecret", 0o600, "is empty"),
            (b"a\0b", 0o600, "NUL"),
        ] {
            let error = read(content, mode).unwrap_err();
            assert!(error.contains(fault), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(Password::read(Path::new("/nowhere")).is_err());
    }

    #[test]
    fn a_password_is_not_shown() {
        let password = Password::from("secret");
        let line = password.plain("me").unwrap();
        assert_eq!(line.to_string(), "AUTH PLAIN AG1lAHNlY3JldA==\r\n");
        let lines = password.login("me");
        let shown = format!("{password:?} {line:?} {lines:?}");
        for part in ["secret", "AG1lAHNl", "c2Vj", "bWU="] {
            assert!(!shown.contains(part), "{shown}");
        }
    }
}
