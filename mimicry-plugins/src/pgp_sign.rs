//! PGP sign: a signature of the author on the mail as the rules made it (RFC 3156 section 5).
//!
//! The key is that of the address in From, or of its domain. What is signed is in 7 bits, with blanks and lines protected that
//! transports change, and a copy of the header stands in it (RFC 9788).
//!
//! Must never: sign in the name of an address that does not stand in From, or a mail that is signed or encrypted.
//!
//! Known limits: an attached message with 8-bit octets is signed as it is; a later hop that takes 7 bits alone would have to change it.

use mimicry_core::plugin::{
    BulkExemption, DefaultParts, OnError, OptionError, OptionSpec, Options, Plugin, PluginKind,
    Scope, ValueKind,
};

use crate::shared::words::option;

#[cfg(feature = "pgp")]
mod job;
#[cfg(not(feature = "pgp"))]
use crate::shared::left_out::pgp as job;

/// The kind.
#[derive(Debug)]
pub struct PgpSign;

impl PluginKind for PgpSign {
    fn name(&self) -> &'static str {
        "pgp_sign"
    }

    fn summary(&self) -> &'static str {
        "signs the mail with OpenPGP in the name of its author"
    }

    fn scope(&self) -> Scope {
        Scope::Whole
    }

    fn options(&self) -> &'static [OptionSpec] {
        const {
            &[
                option(
                    "keys",
                    ValueKind::KeyFiles,
                    None,
                    "Addresses and domains, each with the file of the secret key that signs for it.",
                ),
                option(
                    "passphrase_file",
                    ValueKind::SecretFile,
                    None,
                    "The file of the passphrase that opens the keys.",
                ),
                option(
                    "add_autocrypt",
                    ValueKind::Bool,
                    Some("false"),
                    "Adds a field Autocrypt with the public key, if the key has the author's address.",
                ),
                option(
                    "accept_sha1",
                    ValueKind::Bool,
                    Some("false"),
                    "Uses keys that are bound by SHA-1, too.",
                ),
            ]
        }
    }

    fn default_parts(&self) -> DefaultParts {
        DefaultParts::Mail
    }

    fn vouches(&self) -> bool {
        true
    }

    fn bulk_exemption(&self) -> BulkExemption {
        BulkExemption::Reports
    }

    fn default_on_error(&self) -> OnError {
        OnError::Defer
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Plugin>, Vec<OptionError>> {
        job::build(options)
    }
}
