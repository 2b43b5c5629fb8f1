//! What is done with mail: the rules in force and the texts they may use.
//!
//! Built once when the configuration is loaded, read-only from then on, shared by all workers.
//!
//! Must never: know where it came from, or judge a mail (that is `rule::plan`).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::rule::Rule;

/// The rules in force, in the order of the file, and the variables.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Mode and on_error of each are final: what the configuration says for all rules is worked in.
    pub rules: Vec<Arc<Rule>>,
    pub variables: BTreeMap<String, String>,
}

impl Policy {
    pub fn rule(&self, name: &str) -> Option<&Arc<Rule>> {
        self.rules.iter().find(|rule| rule.name == name)
    }
}
