//! The settings in force, in the form in which people ask for them: name, value, and the bank that set it.
//!
//! Must never: hold a setting that no bank can change.

use std::collections::BTreeMap;

use super::Banks;
use crate::rule::{Mode, Rule};
use crate::settings::SETTINGS;

/// One setting in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// As it stands in a `[[bank]]`; `variables.NAME` for a variable.
    pub name: String,
    /// As the file would have it.
    pub value: String,
    /// `default`, `base`, a bank, or `BANK, included by BANK`.
    pub from: String,
}

impl Shown {
    /// Did a bank lay it.
    pub fn is_of_bank(&self) -> bool {
        !matches!(self.from.as_str(), "default" | "base")
    }
}

/// A rule of the file where some banks apply.
#[derive(Clone, Copy, Debug)]
pub struct Force<'b> {
    pub rule: &'b Rule,
    /// What the rule says itself.
    pub own_mode: Mode,
    pub out_by: Option<OutBy<'b>>,
}

/// What puts a rule out of force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutBy<'b> {
    /// The list above all tables does not name it.
    Base,
    /// The list of this bank does not.
    Bank(&'b str),
}

impl Banks {
    /// All rules of the file, in its order.
    pub fn forces<'b>(&'b self, applied: &'b [usize]) -> impl Iterator<Item = Force<'b>> {
        self.rules.iter().enumerate().map(|(index, listed)| {
            let mut out_by = None;
            for (layer, bank) in self.layers(applied) {
                if let Some(named) = &layer.rules {
                    let name = bank.and_then(|bank| self.banks.get(bank));
                    let by = name.map_or(OutBy::Base, |bank| OutBy::Bank(&bank.name));
                    out_by = (!named.contains(&index)).then_some(by);
                }
                if layer.rules_add.contains(&index) {
                    out_by = None;
                }
            }
            Force {
                rule: &listed.rule,
                own_mode: listed.mode,
                out_by,
            }
        })
    }

    /// All settings that banks can change, in the order of the manual; those that nobody has set are left out.
    pub fn account(&self, applied: &[usize]) -> Vec<Shown> {
        let mut values: BTreeMap<&str, (String, String)> = BTreeMap::new();
        let mut variables: BTreeMap<&str, (String, String)> = BTreeMap::new();
        let mut rules = "base".to_string();
        self.settings.show(&mut |name, value| {
            values.insert(name, (value, "default".into()));
        });
        let banks = applied.iter().flat_map(|bank| {
            self.layers_of(*bank)
                .map(|(layer, of)| (layer, Some((*bank, of))))
        });
        for (layer, of) in std::iter::once((&self.base, None)).chain(banks) {
            let from = self.source(of);
            layer.settings.show(&mut |name, value| {
                values.insert(name, (value, from.clone()));
            });
            for (name, text) in &layer.variables {
                variables.insert(name, (format!("\"{text}\""), from.clone()));
            }
            if layer.rules.is_some() {
                rules.clone_from(&from);
            } else if !layer.rules_add.is_empty() {
                rules = format!("{rules} + {from}");
            }
        }
        let names = self.rules_of(applied).into_iter();
        let names = names.filter_map(|index| Some(self.rules.get(index)?.rule.name.as_str()));
        let names: Vec<String> = names.map(|name| format!("\"{name}\"")).collect();
        values.insert("rules", (format!("[{}]", names.join(", ")), rules));
        let of = |(name, value, from): (String, String, String)| Shown { name, value, from };
        let mut shown = Vec::new();
        for setting in SETTINGS.iter().filter(|setting| setting.table == "bank") {
            if let Some((value, from)) = values.remove(setting.name) {
                shown.push(of((setting.name.into(), value, from)));
            }
            if setting.name == "variables" {
                let texts = std::mem::take(&mut variables).into_iter();
                shown.extend(
                    texts.map(|(name, (text, from))| of((format!("variables.{name}"), text, from))),
                );
            }
        }
        shown
    }

    fn source(&self, of: Option<(usize, usize)>) -> String {
        let name = |index: usize| self.all().get(index).map_or("", |bank| bank.name.as_str());
        match of {
            None => "base".into(),
            Some((bank, layer)) if bank == layer => name(bank).into(),
            Some((bank, layer)) => format!("{}, included by {}", name(layer), name(bank)),
        }
    }
}
