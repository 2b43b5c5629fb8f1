//! Rules: filters that decide, and one action.
//!
//! - [`filter`]: one variant per criterion, and the table that the manual is tested against
//! - [`pattern`]: regexes, bounded; [`domains`]: lists of domains; [`position`]: where a part stands
//! - [`index`]: which of many rules can hold at all
//! - [`facts`]: what filters ask about a mail, each answer worked out once
//! - [`reach`]: whom a rule cannot serve
//! - [`inside`]: the same filters within an enclosed message
//! - [`plan`]: which rule takes which part, and why every other rule does not
//!
//! Must never: edit anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::envelope::Path;
use crate::plugin::{Control, DefaultParts, OnError, Plugin, PluginKind, Scope};
use crate::reason::{OnDkim, OnSealed};
use crate::words;

pub mod domains;
pub mod facts;
pub mod filter;
mod forks;
pub mod index;
pub mod inside;
pub mod pattern;
pub mod plan;
pub mod position;
pub mod reach;
mod taken;

use facts::PartFacts;
pub use filter::Filters;
use filter::{Filter, Level};
use index::Shortlist;
use position::Position;

/// A rule as built from the configuration. A copy shares its instance and filters: policy banks may give it another mode and
/// on_error.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Unique in its configuration.
    pub name: String,
    pub kind: &'static dyn PluginKind,
    pub plugin: Arc<dyn Plugin>,
    /// All must hold.
    pub matching: Arc<Filters>,
    /// Any that holds vetoes.
    pub unless: Arc<Filters>,
    /// Ends the walk for the classes for which it matched.
    pub is_final: bool,
    pub mode: Mode,
    pub on_error: OnError,
    /// `None` = it does not say: then it is skip, and of a rule that is required what its plugin makes of it.
    pub on_sealed: Option<OnSealed>,
    pub on_dkim: OnDkim,
    /// Its texts may name recipients whom no field of the header names.
    pub show_bcc: bool,
    /// What becomes of a part that may be one that the filters mean: its name cannot be read to its end, or other programs find other
    /// parts in it.
    pub unsure: Unsure,
}

impl Rule {
    /// Does its truth depend on who receives the mail.
    pub fn depends_on_recipient(&self) -> bool {
        !self.matching.at(Level::Recipient).is_empty()
            || !self.unless.at(Level::Recipient).is_empty()
    }

    /// Is it to keep what a mail says from all but its recipients, some of whom it may be unable to serve.
    pub fn encrypts(&self) -> bool {
        self.kind.scope() == Scope::Whole && self.plugin.may_miss()
    }

    /// The filter that keeps a recipient out of it, and whether it is one of `unless`; `None` = it is for him.
    pub fn shut_by(&self, recipient: &Path) -> Option<(&Filter, bool)> {
        let holds = |filter: &&Filter| filter.holds_for_recipient(recipient);
        let (matching, unless) = (
            self.matching.at(Level::Recipient),
            self.unless.at(Level::Recipient),
        );
        let fails = matching.iter().find(|filter| !holds(filter));
        let vetoes = || unless.iter().find(holds);
        fails
            .map(|filter| (filter, false))
            .or_else(|| vetoes().map(|filter| (filter, true)))
    }

    /// What becomes of a mail that cannot have what the rule puts in; `None` = such a mail passes. The plugin's own answer goes
    /// before a passing `on_error`, which then stands for faults only that nobody thought of.
    pub fn required(&self) -> Option<OnError> {
        let least = self.plugin.requires()?;
        let strict = match self.on_error {
            OnError::Pass => least,
            said => said,
        };
        (strict != OnError::Pass).then_some(strict)
    }

    /// What becomes of the mail when the rule fails for good.
    pub fn on_failure(&self) -> OnError {
        self.required().unwrap_or(self.on_error)
    }

    /// Does its text go beside sealed content.
    pub fn works_beside_seals(&self) -> bool {
        let is_unsaid = || self.on_sealed.is_none() && self.required().is_some();
        self.on_sealed == Some(OnSealed::Wrap) || (self.kind.works_beside_seals() && is_unsaid())
    }

    /// Does it name the filter `bulk` itself, which switches the exemption of bulk mail off.
    pub fn names_bulk(&self) -> bool {
        let named = |filters: &Filters| {
            filters
                .at(Level::Mail)
                .iter()
                .any(|filter| matches!(filter, Filter::Bulk(_)))
        };
        named(&self.matching) || named(&self.unless)
    }

    /// Has it a filter on file names, of which a part may have one that cannot be read.
    pub fn names_files(&self) -> bool {
        let parts = self.matching.at(Level::Part);
        parts
            .iter()
            .any(|filter| matches!(filter, Filter::Filename(_)))
    }

    /// Has it a filter on what a part holds, of which a part may have something that only other programs find.
    pub fn judges_content(&self) -> bool {
        let parts = self.matching.at(Level::Part);
        let is_about = |filter: &Filter| matches!(filter, Filter::Filename(_) | Filter::Type(_));
        parts.iter().any(is_about) || (self.judges_malformed() && !parts.is_empty())
    }

    /// Is it about mails that programs read differently.
    pub fn judges_malformed(&self) -> bool {
        let mail = self.matching.at(Level::Mail);
        mail.iter()
            .any(|filter| matches!(filter, Filter::Malformed(truths) if truths.contains(&true)))
    }

    /// Does a filter of `match` hold for a part. What keeps a part, or the whole mail, from later rules must do so by every name of
    /// the part.
    pub fn holds_for_part(&self, filter: &Filter, part: &PartFacts<'_>) -> bool {
        match self.plugin.control() {
            Control::None => filter.holds_for_part(part),
            Control::Keep { .. } | Control::IgnoreMail => filter.holds_for_every_name(part),
        }
    }

    /// Are its only filters on parts such as say what the plugin's default says, the body.
    pub fn means_body(&self) -> bool {
        let is_body = |filter: &Filter| matches!(filter, Filter::Position(list) if list.iter().all(|one| *one == Position::Body));
        self.kind.default_parts() == DefaultParts::Body
            && self.matching.at(Level::Part).iter().all(is_body)
    }

    /// Has it a filter on parts: then it takes what the filter says, else its plugin's default.
    pub fn names_parts(&self) -> bool {
        !self.matching.at(Level::Part).is_empty()
    }
}

/// The rules in force, in the order of the file, and the variables.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Mode and on_error of each are final: what the configuration says for all rules is worked in. Banks that do not change the rules
    /// share them with the base.
    pub rules: Arc<Vec<Arc<Rule>>>,
    pub variables: BTreeMap<String, String>,
    /// Which of them can hold.
    pub shortlist: Arc<Shortlist>,
}

impl Policy {
    pub fn rule(&self, name: &str) -> Option<&Arc<Rule>> {
        self.rules.iter().find(|rule| rule.name == name)
    }

    /// Do the same plans of both do the same? Names of rules are unique in a configuration.
    pub fn is_same(&self, other: &Policy) -> bool {
        let one = |rule: &Rule| (rule.mode, rule.on_error);
        self.variables == other.variables
            && (Arc::ptr_eq(&self.rules, &other.rules)
                || (self.rules.len() == other.rules.len()
                    && (self.rules.iter().zip(&*other.rules))
                        .all(|(a, b)| Arc::ptr_eq(a, b) || (a.name == b.name && one(a) == one(b)))))
    }
}

words! {
    /// Does a rule act.
    #[derive(Default)]
    Mode {
        #[default]
        Enforce = "enforce",
        /// Logs what it would have done; makes no class, writes no file, ends no walk.
        Shadow = "shadow",
        Off = "off",
    }
}

impl Mode {
    /// The mode for all rules is a bound, not a default: whoever tries mimicry with `mode = "shadow"` at the head of the
    /// file must be able to trust that no rule below acts.
    #[must_use]
    pub fn bounded_by(self, bound: Mode) -> Mode {
        match (self, bound) {
            (Mode::Off, _) | (_, Mode::Off) => Mode::Off,
            (Mode::Shadow, _) | (_, Mode::Shadow) => Mode::Shadow,
            (Mode::Enforce, Mode::Enforce) => Mode::Enforce,
        }
    }
}

words! {
    /// What a rule on file names does with a part whose name cannot be read to its end.
    Unsure {
        /// It takes it, as one that may match.
        Take = "take",
        Pass = "pass",
    }
}
