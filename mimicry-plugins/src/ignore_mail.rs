//! IgnoreMail: the whole mail passes without a changed octet, and rule processing ends.
//!
//! The planner does it all, because it also cancels the edits of rules above. Must never: touch a mail.

use mimicry_core::plugin::{
    Control, DefaultParts, OptionError, OptionSpec, Options, Plugin, PluginKind, Scope,
};

/// The kind.
#[derive(Debug)]
pub struct IgnoreMail;

impl PluginKind for IgnoreMail {
    fn name(&self) -> &'static str {
        "ignore_mail"
    }

    fn summary(&self) -> &'static str {
        "passes the whole mail without changing an octet and ends rule processing"
    }

    fn scope(&self) -> Scope {
        Scope::Part
    }

    fn options(&self) -> &'static [OptionSpec] {
        &[]
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

    fn build(&self, _options: &Options) -> Result<Box<dyn Plugin>, Vec<OptionError>> {
        Ok(Box::new(IgnoreMail))
    }
}

impl Plugin for IgnoreMail {
    fn control(&self) -> Control {
        Control::IgnoreMail
    }
}
