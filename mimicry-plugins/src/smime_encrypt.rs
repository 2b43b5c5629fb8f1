//! S/MIME encrypt: the mail as the rules made it, for those of its recipients who have a certificate (RFC 8551).
//!
//! Must never: encrypt to a certificate that is not good for the recipient at the time of the mail, or let a mail pass in the clear but by
//! `no_key = "pass"`.
//!
//! Whoever gets a mail sees issuer and number of the certificates of all who get it with him: so recipients whom the header does not name get
//! copies of their own ([`Plugin::shows_recipients`]).
//!
//! Known limits: see `shared::smime`.

use mimicry_core::plugin::{
    DefaultParts, OnError, OptionError, OptionSpec, Options, Plugin, PluginKind, Scope, ValueKind,
};

use crate::shared::whole::missed::NO_KEY;
use crate::shared::words::option;

#[cfg(feature = "smime")]
mod job;
#[cfg(not(feature = "smime"))]
use crate::shared::left_out::smime as job;

/// What a content may be encrypted with.
const CIPHERS: &[&str] = &["aes-256-cbc", "aes-256-gcm", "aes-128-gcm"];

/// The kind.
#[derive(Debug)]
pub struct SmimeEncrypt;

impl PluginKind for SmimeEncrypt {
    fn name(&self) -> &'static str {
        "smime_encrypt"
    }

    fn summary(&self) -> &'static str {
        "encrypts the mail with S/MIME to its recipients"
    }

    fn scope(&self) -> Scope {
        Scope::Whole
    }

    fn options(&self) -> &'static [OptionSpec] {
        const {
            &[
                option(
                    "certificates",
                    ValueKind::PublicKeys,
                    None,
                    "Certificates of recipients, and those between them and an authority: files, and directories of them with all below.",
                ),
                option(
                    "ca_file",
                    ValueKind::Files,
                    None,
                    "The authorities that may vouch for recipients; what stands here is trusted, be it a root or not.",
                ),
                option(
                    "crl_files",
                    ValueKind::Files,
                    None,
                    "Revocation lists. An issuer without a list is not asked.",
                ),
                option(
                    "domain_certificates",
                    ValueKind::Table,
                    None,
                    "Domains, each with the address whose certificate serves all addresses of it that have none of their own.",
                ),
                option(
                    "cipher",
                    ValueKind::Word(CIPHERS),
                    Some("\"aes-256-cbc\""),
                    "What the content is encrypted with. Few programs read GCM.",
                ),
                NO_KEY,
            ]
        }
    }

    fn default_parts(&self) -> DefaultParts {
        DefaultParts::Mail
    }

    fn edits_fields(&self) -> bool {
        true
    }

    fn default_on_error(&self) -> OnError {
        OnError::Defer
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Plugin>, Vec<OptionError>> {
        job::build(options)
    }
}
