//! Zip: the parts that a rule takes go into one zip archive.
//!
//! All of the work is shared; this file says what is particular about zip. Must never: do any of it by itself.

use mimicry_core::plugin::{OptionSpec, Options, ValueKind};

use crate::shared::bundle::{self, Container};
use crate::shared::pack::{self, Pack};
use crate::shared::words::option;

/// The kind.
pub const ZIP: Pack = Pack {
    name: "zip",
    summary: "puts the parts into one zip archive",
    options: &OPTIONS,
    container,
};

const OPTIONS: [OptionSpec; 3 + pack::SHARED.len()] = pack::with_shared(&[
    pack::name("\"attachments.zip\""),
    pack::level(0, "How hard to compress: 0 stores, 9 takes the most time."),
    option(
        "password_file",
        ValueKind::SecretFile,
        None,
        "The file with the password; the members are encrypted with AES-256.",
    ),
]);

fn container(options: &Options) -> Box<dyn Container> {
    Box::new(bundle::Zip {
        level: pack::level_of(options),
        password: options.secret("password_file").cloned(),
    })
}
