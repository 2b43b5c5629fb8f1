//! Copies that this machine can write and not read: each is encrypted to OpenPGP keys before anything of it is on disk.
//!
//! Must never: write a copy in the clear because a key is of no use.

use mimicry_core::plugin::{KeyInUse, OptionError, Options};

#[cfg(feature = "pgp")]
use crate::shared::pgp::{
    certs::Certs,
    judge::{Demands, Purpose},
    seal,
};

/// The name of the option.
pub(super) const OPTION: &str = "encrypt_to";

/// What the names of copies end in.
pub(super) const SUFFIX: &str = ".asc";

/// The keys that copies are encrypted to.
#[cfg(feature = "pgp")]
#[derive(Debug)]
pub(super) struct Cipher(Certs);

/// There is none without the feature.
#[cfg(not(feature = "pgp"))]
#[derive(Debug)]
pub(super) enum Cipher {}

#[cfg(feature = "pgp")]
impl Cipher {
    pub(super) fn of(options: &Options, errors: &mut Vec<OptionError>) -> Option<Cipher> {
        if !options.is_set(OPTION) {
            return None;
        }
        let certs = Certs::of(OPTION, options.files(OPTION), Demands::new(false), errors);
        if certs.is_empty() && errors.is_empty() {
            let message = "there is no key in it";
            errors.push(OptionError::new(
                OPTION,
                message,
                "name a file of public keys",
            ));
        }
        Some(Cipher(certs))
    }

    /// Encrypts to all of the keys.
    pub(super) fn encrypt(&self, content: &[u8], now: i64) -> Result<Vec<u8>, String> {
        let keys = self.0.all_keys(Purpose::Storage, now)?;
        seal::encrypt(content, keys, false, None).map_err(|_| "it cannot be encrypted".into())
    }

    pub(super) fn keys(&self, now: i64) -> Vec<KeyInUse> {
        self.0.in_use(Purpose::Storage, now)
    }
}

#[cfg(not(feature = "pgp"))]
impl Cipher {
    pub(super) fn of(options: &Options, errors: &mut Vec<OptionError>) -> Option<Cipher> {
        if options.is_set(OPTION) {
            let without = crate::shared::left_out::built_without("pgp");
            errors.push(OptionError {
                option: OPTION,
                ..without
            });
        }
        None
    }

    pub(super) fn encrypt(&self, _: &[u8], _: i64) -> Result<Vec<u8>, String> {
        match *self {}
    }

    pub(super) fn keys(&self, _: i64) -> Vec<KeyInUse> {
        match *self {}
    }
}
