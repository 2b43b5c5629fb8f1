//! What a list of banks amounts to: the settings in force, and the rules that tell recipients apart.
//!
//! Must never: say how it comes about.

use std::sync::Arc;

use crate::extension::Extension;
use crate::rule::index::Shortlist;
use crate::rule::{Policy, Rule};
use crate::settings::Limits;
use crate::settings::endpoint::NextHop;
use crate::settings::words::{BareNewline, MboxLine};

/// The settings in force behind a list of banks.
#[derive(Debug)]
pub struct Effective {
    /// The bank path: `base`, or `base/subsidiary/vip`.
    pub path: String,
    pub policy: Arc<Policy>,
    /// `None` only where the configuration names none for it.
    pub next_hop: Option<NextHop>,
    pub limits: Limits,
    /// Adds a Received field.
    pub trace: bool,
    pub bare_newline: BareNewline,
    pub mbox_line: MboxLine,
    /// Those that are not offered.
    pub hide_extensions: Vec<Extension>,
    /// `None` = the name of the machine.
    pub hostname: Option<String>,
}

/// What a list of banks amounts to.
#[derive(Debug)]
pub struct Standing {
    pub settings: Arc<Effective>,
    pub(super) candidates: Candidates,
}

impl Standing {
    /// How many rules stand in its lists; those in force are shared with another one where no bank changes them.
    pub(super) fn rules_beside(&self, other: Option<&Arc<Standing>>) -> usize {
        let own = &self.settings.policy.rules;
        let is_shared = other.is_some_and(|other| Arc::ptr_eq(own, &other.settings.policy.rules));
        let own = if is_shared { 0 } else { own.len() };
        let Candidates { rules, missing, .. } = &self.candidates;
        own.saturating_add(rules.len())
            .saturating_add(missing.len())
    }
}

/// The rules that tell recipients apart.
#[derive(Debug)]
pub(super) struct Candidates {
    pub(super) rules: Vec<Arc<Rule>>,
    /// Which of them can hold.
    pub(super) shortlist: Shortlist,
    /// Those that may be unable to serve a recipient.
    pub(super) missing: Vec<Arc<Rule>>,
}
