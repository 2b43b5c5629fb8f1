//! Keep: the part is closed to all later rules.
//!
//! The planner does it all. Must never: touch a mail.

use mimicry_core::plugin::{
    Control, DefaultParts, OptionError, OptionSpec, Options, Plugin, PluginKind, Scope, ValueKind,
};

/// The kind.
#[derive(Debug)]
pub struct Keep;

impl PluginKind for Keep {
    fn name(&self) -> &'static str {
        "keep"
    }

    fn summary(&self) -> &'static str {
        "protects parts from all later rules"
    }

    fn scope(&self) -> Scope {
        Scope::Part
    }

    fn options(&self) -> &'static [OptionSpec] {
        &[OptionSpec {
            name: "subtree",
            value: ValueKind::Bool,
            default: Some("true"),
            doc: "Protects all parts below the part as well.",
        }]
    }

    fn default_parts(&self) -> DefaultParts {
        DefaultParts::Root
    }

    fn takes_multiparts(&self) -> bool {
        true
    }

    fn edits(&self) -> bool {
        false
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Plugin>, Vec<OptionError>> {
        Ok(Box::new(KeepPlugin {
            subtree: options.bool("subtree"),
        }))
    }
}

#[derive(Debug)]
struct KeepPlugin {
    subtree: bool,
}

impl Plugin for KeepPlugin {
    fn control(&self) -> Control {
        Control::Keep {
            subtree: self.subtree,
        }
    }
}
