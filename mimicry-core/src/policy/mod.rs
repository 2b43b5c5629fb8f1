//! What is done with mail: the rules in force, the texts that they may use, and every other setting that policy banks
//! may change.
//!
//! - [`Banks`]: the base settings and the banks of a configuration, and how they lie over each other
//! - [`select`]: which banks a transaction, a recipient, a mail has, and the class of a recipient
//! - [`memo`]: results that are kept
//! - [`account`]: where each setting in force came from
//!
//! Built once when the configuration is loaded, read-only from then on, shared by all workers. Selection and overlay are
//! pure: the same facts give the same settings, and nothing of one transaction is kept for the next.
//!
//! Must never: know the file it came from, or judge a rule (that is `rule::plan`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::extension::Extension;
use crate::plugin::OnError;
use crate::rule::filter::Level;
use crate::rule::{Filters, Mode, Rule};
use crate::settings::endpoint::NextHop;
use crate::settings::words::{BareNewline, MboxLine};
use crate::settings::{General, InForce, Limits, Overlay};

pub mod account;
pub mod memo;
pub mod select;
#[cfg(test)]
mod tests;

pub use crate::rule::Policy;
pub use memo::{Memo, Standing};
pub use select::{ClassOf, Known};

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

/// Banks by their places in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Choice {
    pub applied: Vec<usize>,
    /// Nothing that is known speaks against them, and not all that they ask for is known.
    pub pending: Vec<usize>,
}

/// The base settings, the rules of the file, and the banks.
#[derive(Debug)]
pub struct Banks {
    rules: Vec<Listed>,
    /// Those of all mail, with the defaults of what the file does not say.
    settings: InForce,
    /// What the file says for all mail.
    base: Layer,
    banks: Vec<Bank>,
}

/// A rule of the file, in force or not.
#[derive(Debug)]
pub(crate) struct Listed {
    /// As the base has it.
    pub(crate) rule: Arc<Rule>,
    /// Its own.
    pub(crate) mode: Mode,
    /// Its own.
    pub(crate) on_error: Option<OnError>,
}

/// One `[[bank]]`.
#[derive(Debug)]
pub struct Bank {
    /// Unique, not `base`, without `/`.
    pub name: String,
    /// All must hold. `None` = it is there for others to include.
    pub(crate) when: Option<Filters>,
    /// The banks whose settings it has, in the order in which they are laid; the last is itself.
    pub(crate) laid: Vec<usize>,
    /// Its own settings.
    pub(crate) layer: Layer,
}

/// Settings that lie over others.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    pub(crate) settings: Overlay,
    pub(crate) variables: BTreeMap<String, String>,
    /// Indices into the rules of the file; `None` = as below.
    pub(crate) rules: Option<Vec<usize>>,
    pub(crate) rules_add: Vec<usize>,
}

impl Banks {
    /// `laid` of each bank holds indices into `banks`, the rules of each layer into `rules`.
    pub(crate) fn new(
        rules: Vec<Listed>,
        settings: InForce,
        base: Layer,
        banks: Vec<Bank>,
    ) -> Banks {
        Banks {
            rules,
            settings,
            base,
            banks,
        }
    }

    /// In the order of the file.
    pub fn all(&self) -> &[Bank] {
        &self.banks
    }

    /// Those of the file, in force or not.
    pub fn number_of_rules(&self) -> usize {
        self.rules.len()
    }

    /// Of those of the file, in force or not.
    pub fn rule_names(&self) -> Vec<String> {
        let names = self.rules.iter().map(|listed| listed.rule.name.clone());
        names.collect()
    }

    /// The settings behind banks, given by their places in the order of the file.
    pub fn effective(&self, applied: &[usize]) -> Effective {
        let mut settings = self.settings.clone();
        let mut variables = BTreeMap::new();
        for (layer, _) in self.layers(applied) {
            settings.lay(&layer.settings);
            let texts = layer.variables.iter();
            variables.extend(texts.map(|(name, text)| (name.clone(), text.clone())));
        }
        // Each by its name, so that none is forgotten here.
        let InForce {
            next_hop,
            limits,
            general,
        } = settings;
        let General {
            hostname,
            trace,
            bare_newline,
            mbox_line,
            hide_extensions,
            mode,
            on_error,
        } = general;
        let rules = self.rules_of(applied).into_iter();
        let rules = rules
            .filter_map(|index| self.rules.get(index))
            .map(|listed| listed.under(mode, on_error))
            .collect();
        Effective {
            path: self.path(applied),
            policy: Arc::new(Policy { rules, variables }),
            next_hop,
            limits,
            trace,
            bare_newline,
            mbox_line,
            hide_extensions,
            hostname,
        }
    }

    /// The names of the banks behind `base`, by `/`.
    pub fn path(&self, applied: &[usize]) -> String {
        let names = applied.iter().filter_map(|index| self.banks.get(*index));
        let mut path = String::from("base");
        for bank in names {
            path.push('/');
            path.push_str(&bank.name);
        }
        path
    }

    /// Every next hop that a mail may have, each once.
    pub fn next_hops(&self) -> Vec<NextHop> {
        let mut hops = Vec::new();
        let layers = self.banks.iter().map(|bank| &bank.layer);
        for layer in std::iter::once(&self.base).chain(layers) {
            if let Some(hop) = &layer.settings.next_hop
                && !hops.contains(hop)
            {
                hops.push(hop.clone());
            }
        }
        hops
    }

    /// Octets of the largest mail that may come in by these banks, or by those of them that are still to be decided on.
    pub fn largest_mail(&self, choice: &Choice) -> usize {
        let applied = self.effective(&choice.applied).limits.mail;
        let pending = choice
            .pending
            .iter()
            .flat_map(|index| self.layers_of(*index));
        pending
            .filter_map(|(layer, _)| layer.settings.limits.mail)
            .fold(applied, usize::max)
    }

    /// Octets of the largest mail that may come by any banks.
    pub fn largest_mail_of_all(&self) -> usize {
        self.largest_mail(&Choice {
            applied: Vec::new(),
            pending: (0..self.banks.len()).collect(),
        })
    }

    /// The names of the rules that may act on some mail, in the base or by a bank.
    pub fn acting_names(&self) -> BTreeSet<String> {
        self.acting().iter().map(|rule| rule.name.clone()).collect()
    }

    /// How many classes the recipients of a mail can make: each rule and each bank that asks who they are may tell them apart.
    pub fn most_classes(&self) -> usize {
        let acting = self.acting();
        let rules = acting.iter().filter(|rule| rule.depends_on_recipient());
        let banks = self.banks.iter().filter_map(|bank| bank.when.as_ref());
        let banks = banks.filter(|when| !when.at(Level::Recipient).is_empty());
        let splits = u32::try_from(rules.count().saturating_add(banks.count()));
        let most = splits.ok().and_then(|splits| 1_usize.checked_shl(splits));
        most.filter(|most| *most > 0).unwrap_or(usize::MAX)
    }

    /// Are there rules that want the keys of seals, in the base or by a bank?
    pub fn needs_seal_keys(&self) -> bool {
        self.acting()
            .iter()
            .any(|rule| rule.plugin.needs_seal_keys())
    }

    /// The rules that may act on some mail.
    fn acting(&self) -> Vec<Arc<Rule>> {
        self.reach(&Choice {
            applied: Vec::new(),
            pending: (0..self.banks.len()).collect(),
        })
    }

    /// The base and the banks' settings, in the order in which they are laid, each with the bank it is of; `None` = the base.
    fn layers<'b>(
        &'b self,
        applied: &'b [usize],
    ) -> impl Iterator<Item = (&'b Layer, Option<usize>)> {
        let banks = applied.iter().flat_map(|index| self.layers_of(*index));
        std::iter::once((&self.base, None)).chain(banks.map(|(layer, index)| (layer, Some(index))))
    }

    /// A bank's settings: those that it includes, and its own.
    fn layers_of(&self, bank: usize) -> impl Iterator<Item = (&Layer, usize)> {
        let laid = self.banks.get(bank).into_iter().flat_map(|bank| &bank.laid);
        laid.filter_map(|index| Some((&self.banks.get(*index)?.layer, *index)))
    }

    /// The rules in force, in the order of the file.
    fn rules_of(&self, applied: &[usize]) -> BTreeSet<usize> {
        let mut rules: BTreeSet<usize> = (0..self.rules.len()).collect();
        for (layer, _) in self.layers(applied) {
            if let Some(named) = &layer.rules {
                rules = named.iter().copied().collect();
            }
            rules.extend(&layer.rules_add);
        }
        rules
    }

    /// Rules that depend on the recipient and may come to act: by the banks that apply, and by those that are decided on when
    /// the message is in. All of them tell recipients apart, because classes are made before that.
    fn candidates(&self, choice: &Choice, effective: &Effective) -> Vec<Arc<Rule>> {
        let mut rules = match choice.pending.is_empty() {
            true => effective.policy.rules.clone(),
            false => self.reach(choice),
        };
        rules.retain(|rule| rule.depends_on_recipient());
        rules
    }

    /// The rules that may come to act by the banks that apply and by any of those that are pending.
    fn reach(&self, choice: &Choice) -> Vec<Arc<Rule>> {
        let mut named = self.rules_of(&choice.applied);
        let mut modes = vec![self.mode_of(&choice.applied)];
        for (layer, _) in choice
            .pending
            .iter()
            .flat_map(|index| self.layers_of(*index))
        {
            named.extend(layer.rules.iter().flatten().chain(&layer.rules_add));
            modes.extend(layer.settings.general.mode);
        }
        if !modes.contains(&Mode::Enforce) {
            return Vec::new();
        }
        let listed = named.into_iter().filter_map(|index| self.rules.get(index));
        let acting = listed.filter(|listed| listed.mode == Mode::Enforce);
        acting
            .map(|listed| listed.under(Mode::Enforce, None))
            .collect()
    }

    fn mode_of(&self, applied: &[usize]) -> Mode {
        let layers = self.layers(applied);
        let said = layers.filter_map(|(layer, _)| layer.settings.general.mode);
        said.last().unwrap_or(self.settings.general.mode)
    }
}

impl Listed {
    /// The rule under what is said for all rules.
    fn under(&self, mode: Mode, on_error: Option<OnError>) -> Arc<Rule> {
        let mode = self.mode.bounded_by(mode);
        let on_error = self
            .on_error
            .or(on_error)
            .unwrap_or_else(|| self.rule.kind.default_on_error());
        if (self.rule.mode, self.rule.on_error) == (mode, on_error) {
            return Arc::clone(&self.rule);
        }
        Arc::new(Rule {
            mode,
            on_error,
            ..(*self.rule).clone()
        })
    }
}
