//! Tables of the file against the table of settings: which keys there are, which are missing, which nobody knows.
//!
//! serde's derive stops at the first mistake, and `flatten`, `untagged` and `toml::Value` lose places; so the tree that
//! toml makes, in which every key and value knows its place, is walked against the table of settings instead.
//!
//! Must never: stop at a mistake. A wrong value counts as left out, so that it is reported once and not by what
//! depends on it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::near::{did_you_mean, nearest};
use crate::policy::select::SELECTORS;
use crate::rule::filter::FILTERS;
use crate::settings::given::Values;
use crate::settings::{LISTS, SETTINGS, find, tables};

use super::node::{Node, article};
use super::read::Reader;
use super::section::Section;

impl Reader<'_> {
    /// The table `name`, which stands once; empty when the file has none.
    pub(super) fn table<'t, 'i>(
        &mut self,
        root: &'t DeTable<'i>,
        name: &'static str,
    ) -> Section<'t, 'i> {
        let Some((key, node)) = root.get_key_value(name) else {
            return self.section(name, None, 0..0);
        };
        match node.get_ref() {
            DeValue::Table(table) => self.section(name, Some(table), node.span()),
            DeValue::Array(array) => {
                self.complaints.error(
                    node.span(),
                    format!("there is only one `{name}`"),
                    format!("write [{name}], in single brackets"),
                );
                let first = array
                    .iter()
                    .next()
                    .and_then(|element| element.get_ref().as_table());
                self.section(name, first, node.span())
            }
            _ => {
                self.complaints.error(
                    key.span(),
                    format!("`{name}` is a table"),
                    format!("write [{name}] on a line of its own, and its settings below"),
                );
                self.section(name, None, 0..0)
            }
        }
    }

    /// The tables of the list `name`, in the order of the file.
    pub(super) fn tables<'t, 'i>(
        &mut self,
        root: &'t DeTable<'i>,
        name: &'static str,
    ) -> Vec<Section<'t, 'i>> {
        let Some((key, node)) = root.get_key_value(name) else {
            return Vec::new();
        };
        let help = format!("write [[{name}]], in double brackets");
        match node.get_ref() {
            DeValue::Array(array) => array
                .iter()
                .filter_map(|element| match element.get_ref() {
                    DeValue::Table(table) => Some(self.section(name, Some(table), element.span())),
                    _ => {
                        self.complaints.error(
                            element.span(),
                            format!("`{name}` is a list of tables"),
                            help.as_str(),
                        );
                        None
                    }
                })
                .collect(),
            DeValue::Table(table) => {
                self.complaints
                    .error(node.span(), format!("`{name}` is a list of tables"), help);
                vec![self.section(name, Some(table), node.span())]
            }
            _ => {
                self.complaints
                    .error(key.span(), format!("`{name}` is a list of tables"), help);
                Vec::new()
            }
        }
    }

    /// Checks one table against the settings. `place` is where it is said that something is missing.
    pub(super) fn section<'t, 'i>(
        &mut self,
        table: &'static str,
        node: Option<&'t DeTable<'i>>,
        place: Range<usize>,
    ) -> Section<'t, 'i> {
        let mut section = Section {
            table,
            place,
            values: Values::default(),
            nodes: BTreeMap::new(),
            wrong: BTreeSet::new(),
        };
        if let Some(node) = node {
            self.keys("", node, &mut section);
        }
        for setting in SETTINGS.iter().filter(|setting| setting.table == table) {
            if setting.required
                && !section.is_given(setting.name)
                && !self.syntax.is_damaged(section.place.start)
            {
                let message = format!("`{}` is missing from this [[{table}]]", setting.name);
                self.complaints
                    .error(section.place.clone(), message, setting.doc);
            }
            if !section.values.is_set(setting.name)
                && let Some(given) = self.default(setting)
            {
                section.values.insert(setting.name, given);
            }
        }
        section
    }

    fn keys<'t, 'i>(&mut self, prefix: &str, node: &'t DeTable<'i>, section: &mut Section<'t, 'i>) {
        for (key, value) in node {
            let name = format!("{prefix}{}", key.get_ref());
            let setting = find(section.table, &name);
            // `rules` is a setting as well, but `[[rules]]` is meant to be a rule.
            let is_meant_as_table = setting.is_none() || value.get_ref().is_array();
            if section.table.is_empty()
                && holds_tables(value)
                && is_meant_as_table
                && !tables().contains(&name.as_str())
            {
                self.complaints.error(
                    key.span(),
                    format!("unknown table `{name}`"),
                    unknown_table_help(&name),
                );
                continue;
            }
            if let Some(setting) = setting {
                match self.setting(setting, value) {
                    Some(given) => {
                        section.values.insert(setting.name, given);
                    }
                    None => {
                        section.wrong.insert(setting.name);
                    }
                }
                section.nodes.insert(setting.name, (key.span(), value));
                continue;
            }
            let below = format!("{name}.");
            if SETTINGS
                .iter()
                .any(|setting| setting.table == section.table && setting.name.starts_with(&below))
            {
                match value.get_ref() {
                    DeValue::Table(table) => self.keys(&below, table, section),
                    other => {
                        let help = format!(
                            "write {name} = {{ {} }}",
                            known_below(section.table, &below).join(" = …, ") + " = …"
                        );
                        self.complaints.error(
                            value.span(),
                            format!("`{name}` is a table, not {}", article(other)),
                            help,
                        );
                    }
                }
                continue;
            }
            if section.table.is_empty() && tables().contains(&name.as_str()) {
                continue;
            }
            // Looking for what was meant costs more than reading the key.
            if self.complaints.is_full() {
                self.complaints.error(key.span(), "unknown key", "");
                continue;
            }
            let help = self.unknown_key_help(section, prefix, key.get_ref(), value);
            self.complaints
                .error(key.span(), format!("unknown key `{}`", key.get_ref()), help);
        }
    }

    /// What would be right instead of an unknown key.
    fn unknown_key_help(
        &self,
        section: &Section<'_, '_>,
        prefix: &str,
        key: &str,
        value: &Node<'_>,
    ) -> String {
        let table = section.table;
        let wants_table = matches!(value.get_ref(), DeValue::Table(_) | DeValue::Array(_));
        let mut known = known_below(table, prefix);
        if table.is_empty() {
            known.extend(tables());
        }
        if table.is_empty() && matches!(key, "include" | "includes" | "import") {
            return NO_INCLUDE.into();
        }
        if table == "rule" {
            if FILTERS.iter().any(|filter| filter.name == key) {
                return format!(
                    "`{key}` is a filter: put it into `match` or `unless`, such as match = {{ {key} = … }}"
                );
            }
            if let Some(kind) = self
                .registry
                .iter()
                .find(|kind| kind.options().iter().any(|option| option.name == key))
            {
                return format!(
                    "`{key}` is an option of {}: put it into `options`, such as options = {{ {key} = … }}",
                    kind.name()
                );
            }
        }
        if table == "bank" && SELECTORS.contains(&key) {
            return format!(
                "`{key}` selects a bank: put it into `when`, such as when = {{ {key} = … }}"
            );
        }
        let elsewhere = SETTINGS
            .iter()
            .find(|setting| setting.name == key && setting.table != table && prefix.is_empty());
        if let (Some(setting), false) = (elsewhere, wants_table) {
            return match setting.table {
                "" => format!("`{key}` belongs above all tables, at the start of the file"),
                list if LISTS.contains(&list) => format!("`{key}` belongs in [[{list}]]"),
                other => format!("`{key}` belongs in [{other}]"),
            };
        }
        did_you_mean(key, &known, "known here")
    }
}

/// Is it a table, or a list that has one.
fn holds_tables(value: &Node<'_>) -> bool {
    match value.get_ref() {
        DeValue::Table(_) => true,
        DeValue::Array(array) => array.iter().any(|element| element.get_ref().is_table()),
        _ => false,
    }
}

const NO_INCLUDE: &str = "there are no include files: one file has all rules, and it names the files of texts, tables and lists; to use several files, join them, such as cat conf.d/*.toml >mimicry.toml";

/// The header of the table that was meant, or all of them.
fn unknown_table_help(name: &str) -> String {
    match name {
        "include" | "includes" | "import" => return NO_INCLUDE.into(),
        "match" | "unless" | "options" => {
            return format!("it belongs to a rule: write [rule.{name}] below its [[rule]]");
        }
        "when" => return "it belongs to a bank: write [bank.when] below its [[bank]]".into(),
        "workers" => return "write [daemon.workers]".into(),
        _ => {}
    }
    let known: Vec<&str> = tables().into_iter().chain(["variables"]).collect();
    let header = |table: &str| match LISTS.contains(&table) {
        true => format!("`[[{table}]]`"),
        false => format!("`[{table}]`"),
    };
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean {}?", header(near)),
        None => {
            let headers: Vec<String> = known.iter().map(|table| header(table)).collect();
            format!("known tables: {}", headers.join(", "))
        }
    }
}

/// The keys of a table below a prefix, each once, in the order of the manual.
fn known_below(table: &str, prefix: &str) -> Vec<&'static str> {
    let mut known: Vec<&'static str> = SETTINGS
        .iter()
        .filter(|setting| setting.table == table)
        .filter_map(|setting| setting.name.strip_prefix(prefix))
        .filter_map(|name| name.split('.').next())
        .collect();
    known.dedup();
    known
}

/// Two settings that mean nothing without each other.
pub(super) fn together(reader: &mut Reader<'_>, table: &Section<'_, '_>, one: &str, other: &str) {
    for (given, missing) in [(one, other), (other, one)] {
        if table.is_given(given)
            && !table.is_given(missing)
            && !reader.syntax.is_damaged(table.place.start)
        {
            reader.complaints.error(
                table.key_span(given),
                format!("`{given}` needs `{missing}`"),
                format!("write {missing} beside it"),
            );
        }
    }
}
