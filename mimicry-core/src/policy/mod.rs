//! What is done with mail: the rules in force, the texts that they may use, and every other setting that policy banks
//! may change.
//!
//! - [`Banks`]: the base settings and the banks of a configuration, and how they lie over each other
//! - [`select`]: which banks a transaction, a recipient, a mail has, and the class of a recipient
//! - [`Standing`]: what a list of banks amounts to · [`memo`]: results that are kept
//! - [`account`]: where each setting in force came from
//!
//! Built once when the configuration is loaded, read-only from then on, shared by all workers. Selection and overlay are
//! pure: the same facts give the same settings, and nothing of one transaction is kept for the next.
//!
//! Must never: know the file it came from, or judge a rule (that is `rule::plan`).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use crate::plugin::OnError;
use crate::rule::filter::Level;
use crate::rule::index::{Entries, Index, Shortlist};
use crate::rule::{Filters, Mode, Rule};
use crate::settings::endpoint::NextHop;
use crate::settings::{General, InForce, Overlay};

pub mod account;
pub mod memo;
pub mod select;
mod standing;
#[cfg(test)]
mod tests;

pub use crate::rule::Policy;
pub use memo::Memo;
pub use select::{ClassOf, Known};
use standing::Candidates;
pub use standing::{Effective, Standing};

/// Banks by their places in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Choice {
    pub applied: Vec<usize>,
    /// From RCPT on: nothing that is known speaks against them, and not all that they ask for is known. Without those that ask for
    /// the header alone.
    pub pending: Vec<usize>,
    /// Those that ask for the header alone are pending, too.
    pub awaits_header: bool,
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
    indices: Indices,
    /// What stands where no bank applies, for all workers; `None` = it is about to be made.
    of_base: Option<Arc<Standing>>,
}

/// What is found by what it asks for.
#[derive(Debug, Default)]
struct Indices {
    /// The rules of the file.
    rules: Arc<Index>,
    /// Those of them that tell recipients apart, by what is known at RCPT.
    tellers: Arc<Index>,
    /// The banks, by what is known at RCPT, without those that ask for the header alone.
    banks: Index,
    /// Those.
    of_header: Index,
    awaiting_header: Vec<usize>,
    /// Those that say how large a mail may be, themselves or by what they include.
    of_own_size: Vec<usize>,
}

impl Indices {
    fn of(rules: &[Listed], banks: &[Bank]) -> Indices {
        let numbered = || (0u32..).zip(rules);
        let whole = |rule: &Rule| !rule.plugin.looks_inside();
        let all = numbered().map(|(number, listed)| {
            let rule = &listed.rule;
            (number, &*rule.matching, whole(rule))
        });
        let tellers = numbered().filter(|(_, listed)| listed.rule.depends_on_recipient());
        let tellers = tellers.map(|(number, listed)| {
            let rule = &listed.rule;
            (number, &*rule.matching, &*rule.unless)
        });
        let whens = (0u32..).zip(banks);
        let whens: Vec<(u32, &Filters)> = whens
            .filter_map(|(number, bank)| Some((number, bank.when.as_ref()?)))
            .collect();
        let asks_for_header =
            |when: &Filters| when.iter().all(|filter| filter.level() == Level::Mail);
        let (header, envelope): (Vec<_>, Vec<_>) =
            (whens.into_iter()).partition(|(_, when)| asks_for_header(when));
        let numbered = |list: &[(u32, &Filters)]| -> Vec<usize> {
            let places = list.iter().map(|(number, _)| usize::try_from(*number));
            places.filter_map(Result::ok).collect()
        };
        let awaiting_header = numbered(&header);
        let index = |list: Vec<(u32, &Filters)>, entries: Entries| {
            let list = list.into_iter();
            Index::of(list.map(|(number, when)| (number, when, false)), entries)
        };
        Indices {
            rules: Arc::new(Index::of(all, Entries::All)),
            tellers: Arc::new(Index::of_tellers(tellers)),
            banks: index(envelope, Entries::Envelope),
            of_header: index(header, Entries::Header),
            awaiting_header,
            of_own_size: Vec::new(),
        }
    }
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
    /// `laid` of each bank holds indices into `banks`, the rules of each layer into `rules`. The books of the filters are sealed.
    pub(crate) fn new(
        rules: Vec<Listed>,
        settings: InForce,
        base: Layer,
        banks: Vec<Bank>,
    ) -> Banks {
        let mut all = Banks {
            indices: Indices::of(&rules, &banks),
            rules,
            settings,
            base,
            banks,
            of_base: None,
        };
        let places = 0..all.banks.len();
        let says = |bank: &usize| all.own_largest_mail(*bank).is_some();
        all.indices.of_own_size = places.filter(says).collect();
        let choice = all.no_bank();
        all.of_base = Some(Arc::new(Standing {
            settings: Arc::new(all.effective(&[])),
            candidates: all.candidates(&choice),
        }));
        all
    }

    /// What stands where no bank applies.
    pub fn standing_of_base(&self) -> Option<&Arc<Standing>> {
        self.of_base.as_ref()
    }

    /// The choice of mail for which no bank applies, before its header is known.
    fn no_bank(&self) -> Choice {
        Choice {
            awaits_header: !self.indices.awaiting_header.is_empty(),
            ..Choice::default()
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
        let (rules, shortlist) = self.in_force(applied, mode, on_error);
        let policy = Policy {
            rules,
            variables,
            shortlist,
        };
        Effective {
            path: self.path(applied),
            policy: Arc::new(policy),
            next_hop,
            limits,
            trace,
            bare_newline,
            mbox_line,
            hide_extensions,
            hostname,
        }
    }

    /// The rules in force, and which of them can hold.
    fn in_force(
        &self,
        applied: &[usize],
        mode: Mode,
        on_error: Option<OnError>,
    ) -> (Arc<Vec<Arc<Rule>>>, Arc<Shortlist>) {
        let changes = |layer: &Layer| {
            let general = &layer.settings.general;
            let is_named = layer.rules.is_some() || !layer.rules_add.is_empty();
            is_named || general.mode.is_some() || general.on_error.is_some()
        };
        let mut layers = applied.iter().flat_map(|index| self.layers_of(*index));
        if let Some(base) = &self.of_base
            && !layers.any(|(layer, _)| changes(layer))
        {
            let policy = &base.settings.policy;
            return (Arc::clone(&policy.rules), Arc::clone(&policy.shortlist));
        }
        let (mut numbers, mut rules) = (Vec::new(), Vec::new());
        for index in self.rules_of(applied) {
            if let (Ok(number), Some(listed)) = (u32::try_from(index), self.rules.get(index)) {
                numbers.push(number);
                rules.push(listed.under(mode, on_error));
            }
        }
        let shortlist = Shortlist::new(&self.indices.rules, numbers);
        (Arc::new(rules), Arc::new(shortlist))
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
        let layers = self.banks.iter().map(|bank| &bank.layer);
        let layers = std::iter::once(&self.base).chain(layers);
        let mut seen = HashSet::new();
        let hops = layers.filter_map(|layer| layer.settings.next_hop.as_ref());
        hops.filter(|hop| seen.insert(*hop)).cloned().collect()
    }

    /// Octets of the largest mail that may come in where some banks apply and these may come to.
    fn largest_mail(&self, applied: &[usize], pending: impl Iterator<Item = usize>) -> usize {
        let applied = self.effective(applied).limits.mail;
        pending
            .filter_map(|bank| self.own_largest_mail(bank))
            .fold(applied, usize::max)
    }

    /// Octets of the largest mail that may come by any banks.
    pub fn largest_mail_of_all(&self) -> usize {
        self.largest_mail(&[], 0..self.banks.len())
    }

    /// Octets of the largest mail that a bank says, or one of those that it includes.
    fn own_largest_mail(&self, bank: usize) -> Option<usize> {
        let layers = self.layers_of(bank);
        let said = layers.filter_map(|(layer, _)| layer.settings.limits.mail);
        said.max()
    }

    /// The names of the rules that may act on some mail, in the base or by a bank.
    pub fn acting_names(&self) -> BTreeSet<String> {
        self.acting().iter().map(|rule| rule.name.clone()).collect()
    }

    /// How many classes the recipients of a mail can make: each rule and each bank that asks who they are may tell them apart.
    pub fn most_classes(&self) -> usize {
        let acting = self.acting();
        let tells = |rule: &&&Rule| rule.depends_on_recipient() || rule.plugin.may_miss();
        let rules = acting.iter().filter(tells);
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

    /// The rules that are in force, or tried in the shadow, for some mail, in the base or by a bank: each once, in the order of the file.
    pub fn in_use(&self) -> Vec<&Rule> {
        self.somewhere(|mode| mode != Mode::Off)
    }

    /// The rules that may act on some mail, as the base has them. A worker asks, and must not write to what it shares: so none is
    /// cloned.
    fn acting(&self) -> Vec<&Rule> {
        self.somewhere(|mode| mode == Mode::Enforce)
    }

    /// The rules that may come to such a mode for some mail, in the base or by a bank.
    fn somewhere(&self, is_such: fn(Mode) -> bool) -> Vec<&Rule> {
        let every = Choice {
            pending: (0..self.banks.len()).collect(),
            ..Choice::default()
        };
        let numbers = self.reach(&every, is_such);
        let listed = numbers
            .into_iter()
            .filter_map(|index| self.rules.get(index));
        listed.map(|listed| &*listed.rule).collect()
    }

    /// The banks that are not decided on.
    fn pending<'b>(&'b self, choice: &'b Choice) -> impl Iterator<Item = usize> {
        let of_header = &self.indices.awaiting_header;
        let awaiting = choice.awaits_header.then_some(of_header);
        let pending = choice.pending.iter();
        pending.chain(awaiting.into_iter().flatten()).copied()
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
        // `None` = all.
        let mut rules: Option<BTreeSet<usize>> = None;
        for (layer, _) in self.layers(applied) {
            if let Some(named) = &layer.rules {
                rules = Some(named.iter().copied().collect());
            }
            if let Some(rules) = &mut rules {
                rules.extend(&layer.rules_add);
            }
        }
        rules.unwrap_or_else(|| (0..self.rules.len()).collect())
    }

    /// Rules, by number, that depend on the recipient and may come to act: by the banks that apply, and by those that are decided on when
    /// the message is in. All of them tell recipients apart, because classes are made before that.
    fn candidates(&self, choice: &Choice) -> Candidates {
        let (mut numbers, mut rules, mut missing) = (Vec::new(), Vec::new(), Vec::new());
        for index in self.reach(choice, |mode| mode == Mode::Enforce) {
            let (Ok(number), Some(listed)) = (u32::try_from(index), self.rules.get(index)) else {
                continue;
            };
            if listed.rule.depends_on_recipient() {
                numbers.push(number);
                rules.push(listed.under(Mode::Enforce, None));
            }
            if listed.rule.plugin.may_miss() {
                missing.push(listed.under(Mode::Enforce, None));
            }
        }
        Candidates {
            missing,
            rules,
            shortlist: Shortlist::new(&self.indices.tellers, numbers),
        }
    }

    /// The rules, by their places, that may come to such a mode by the banks that apply and by any of those that are pending.
    fn reach(&self, choice: &Choice, is_such: fn(Mode) -> bool) -> Vec<usize> {
        let mut named = self.rules_of(&choice.applied);
        let mut modes = vec![self.mode_of(&choice.applied)];
        for (layer, _) in (self.pending(choice)).flat_map(|index| self.layers_of(index)) {
            named.extend(layer.rules.iter().flatten().chain(&layer.rules_add));
            modes.extend(layer.settings.general.mode);
        }
        if !modes.into_iter().any(is_such) {
            return Vec::new();
        }
        let acts = |index: &usize| {
            let listed = self.rules.get(*index);
            listed.is_some_and(|listed| is_such(listed.mode))
        };
        named.into_iter().filter(acts).collect()
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
