//! PGP encrypt: the mail as the rules made it, encrypted to its recipients, and signed within if the rule has a key of the author
//! (RFC 3156 sections 4 and 6.2).
//!
//! Whether a recipient has a usable key belongs to his class: nobody gets a mail that he cannot open, and nobody's mail goes out in the
//! clear but by the option that says so. Recipients whom the header does not name are named in no packet either.
//!
//! Must never: encrypt twice, or let a mail pass in the clear because something failed.
//!
//! Known limits: who gets a copy in secret can be counted, not named.

use mimicry_core::plugin::{
    DefaultParts, OnError, OptionError, OptionSpec, Options, Plugin, PluginKind, Scope, ValueKind,
};

use crate::shared::whole::missed::NO_KEY;
use crate::shared::words::option;

#[cfg(feature = "pgp")]
mod job;
#[cfg(not(feature = "pgp"))]
use crate::shared::left_out::pgp as job;

/// The kind.
#[derive(Debug)]
pub struct PgpEncrypt;

impl PluginKind for PgpEncrypt {
    fn name(&self) -> &'static str {
        "pgp_encrypt"
    }

    fn summary(&self) -> &'static str {
        "encrypts the mail with OpenPGP, and signs it"
    }

    fn scope(&self) -> Scope {
        Scope::Whole
    }

    fn options(&self) -> &'static [OptionSpec] {
        const {
            &[
                option(
                    "keys",
                    ValueKind::PublicKeys,
                    None,
                    "Files and directories with the public keys of recipients.",
                ),
                option(
                    "domain_keys",
                    ValueKind::Table,
                    None,
                    "Domains, each with the fingerprint or an address of the key that stands for all there who have none.",
                ),
                NO_KEY,
                option(
                    "hidden_recipients",
                    ValueKind::Word(&["bcc", "always"]),
                    Some("\"bcc\""),
                    "When the message names no key: if a recipient is not in To or Cc, or always.",
                ),
                option(
                    "hide_subject",
                    ValueKind::Bool,
                    Some("false"),
                    "Puts [...] outside for the subject, which stands inside.",
                ),
                option(
                    "sign_keys",
                    ValueKind::KeyFiles,
                    None,
                    "Addresses and domains, each with the file of the secret key that signs for it within the encryption.",
                ),
                option(
                    "passphrase_file",
                    ValueKind::SecretFile,
                    None,
                    "The file of the passphrase that opens sign_keys.",
                ),
                option(
                    "add_autocrypt",
                    ValueKind::Bool,
                    Some("false"),
                    "Adds a field Autocrypt with the public key, if the key that signs has the author's address.",
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

    fn default_on_error(&self) -> OnError {
        OnError::Defer
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Plugin>, Vec<OptionError>> {
        job::build(options)
    }
}
