//! What is said of parts of mimicry that a program was built without.
//!
//! Must never: stand in for a part that is there.

use mimicry_core::plugin::OptionError;

/// A plugin that needs such a part.
pub fn built_without(feature: &str) -> OptionError {
    OptionError::new(
        "",
        format!("this mimicry was built without {feature}"),
        format!("install the package, or build it with cargo build --features {feature}"),
    )
}

/// In the place of the jobs of plugins.
macro_rules! in_place {
    ($name:ident, $feature:literal) => {
        #[cfg(not(feature = $feature))]
        pub mod $name {
            use mimicry_core::plugin::{OptionError, Options, Plugin};

            pub fn build(_: &Options) -> Result<Box<dyn Plugin>, Vec<OptionError>> {
                Err(vec![super::built_without($feature)])
            }
        }
    };
}

in_place!(pgp, "pgp");
in_place!(smime, "smime");
