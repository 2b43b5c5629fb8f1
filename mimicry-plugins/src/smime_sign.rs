//! S/MIME sign: the mail as the rules made it and a signature of its author, for whoever has a mail program (RFC 8551).
//!
//! Must never: sign in the name of an address that does not stand in From, sign what is signed or encrypted already, or leave a mail
//! unsigned because a key has ended: that is a fault, and `on_error` decides.
//!
//! Known limits: see `shared::smime`.

use mimicry_core::plugin::{
    BulkExemption, DefaultParts, OnError, OptionError, OptionSpec, Options, Plugin, PluginKind,
    Scope, ValueKind,
};

use crate::shared::words::option;

#[cfg(feature = "smime")]
mod job;
#[cfg(not(feature = "smime"))]
use crate::shared::left_out::smime as job;

/// The kind.
#[derive(Debug)]
pub struct SmimeSign;

impl PluginKind for SmimeSign {
    fn name(&self) -> &'static str {
        "smime_sign"
    }

    fn summary(&self) -> &'static str {
        "signs the mail with S/MIME in the name of its author"
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
                    "Addresses and domains, each with the file of its secret key, its certificate and those between it and a root; of several the first that is valid signs.",
                ),
                option(
                    "ca_file",
                    ValueKind::Files,
                    None,
                    "Roots that readers trust: each chain must reach one of them.",
                ),
                option(
                    "opaque",
                    ValueKind::Bool,
                    Some("false"),
                    "Puts the mail into its signature: programs without S/MIME show nothing of it.",
                ),
            ]
        }
    }

    fn default_parts(&self) -> DefaultParts {
        DefaultParts::Mail
    }

    fn edits_fields(&self) -> bool {
        true
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
