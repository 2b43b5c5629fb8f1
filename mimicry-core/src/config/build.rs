//! Rules from their tables: filters, options, the plugin's instance, and what only shows when rules stand side by side.
//!
//! Must never: stop at a mistake, or name a concrete plugin.
//!
//! Longer than 600 lines: each check of a rule stands beside the others of the same table.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::near::{did_you_mean, nearest};
use crate::plugin::{
    Control, DefaultParts, OnError, OptionSpec, Options, Plugin, PluginKind, Value,
};
use crate::policy::Listed;
use crate::rule::filter::{FILTERS, Filter, Level, Operand, Raw};
use crate::rule::{Filters, Mode, OnSealed, Rule, Unsure};
use crate::settings::{Conduct, General, Listen};

use super::diag::line_number;
use super::index::Index;
use super::known;
use super::lint;
use super::read::Reader;
use super::section::Section;
use super::typed::{Declared, Variables};
use super::value::{Node, article};

/// What rules are checked against besides the registry.
pub(super) struct Surroundings<'s> {
    /// The settings above all tables.
    pub(super) general: &'s General,
    /// The names of the listeners; empty = the file has none, and a filter may name any.
    pub(super) listeners: &'s [String],
    /// The listeners themselves, as far as they are right.
    pub(super) listen: &'s [Listen],
    /// What templates may use, in the base or in any bank; `None` = there are mistakes in it.
    pub(super) variables: Option<&'s Variables>,
    pub(super) source: &'s str,
}

/// One `[[rule]]` with what its neighbours need to know of it.
pub(super) struct Draft<'s> {
    pub(super) section: &'s Section<'s, 's>,
    pub(super) name: String,
    pub(super) rule: Option<Rule>,
    /// Its own, before the setting above all tables.
    pub(super) mode: Mode,
    /// The same.
    on_error: Option<OnError>,
    /// No filter at all: it takes every mail.
    pub(super) takes_all: bool,
    pub(super) is_final: bool,
    pub(super) ignores_mail: bool,
}

/// Builds all rules, in the order of the file.
pub(super) fn rules<'s>(
    reader: &mut Reader<'_>,
    sections: &'s [Section<'s, 's>],
    around: &Surroundings<'_>,
) -> Vec<Draft<'s>> {
    let by_name = Index::of(sections.iter().map(|section| section.text("name")));
    let mut drafts: Vec<Draft<'_>> = Vec::with_capacity(sections.len());
    for (place, section) in sections.iter().enumerate() {
        let draft = draft(reader, section, around);
        let name = draft.name.as_str();
        let twin = by_name.twin(&name, place).filter(|_| !name.is_empty());
        if let Some(twin) = twin.and_then(|twin| sections.get(twin)) {
            let help = format!(
                "the first is on line {}; give each rule a different name",
                line_number(around.source, twin.span("name").start)
            );
            reader.complaints.error(
                section.span("name"),
                "there is already a rule with this name",
                help,
            );
        }
        drafts.push(draft);
    }
    drafts
}

impl Draft<'_> {
    /// `None` = there are mistakes in it.
    pub(super) fn listed(self) -> Option<Listed> {
        Some(Listed {
            rule: Arc::new(self.rule?),
            mode: self.mode,
            on_error: self.on_error,
        })
    }
}

fn draft<'s>(
    reader: &mut Reader<'_>,
    section: &'s Section<'s, 's>,
    around: &Surroundings<'_>,
) -> Draft<'s> {
    let name = section.text("name").unwrap_or_default().to_string();
    if section.is_given("name") && section.text("name") == Some("") {
        reader.complaints.error(
            section.span("name"),
            "a rule needs a name",
            "the log shows it",
        );
    }
    let kind = plugin_kind(reader, section);
    let (matching, matching_said) = filters(reader, section, "match", kind, None, around);
    let (unless, unless_said) = filters(reader, section, "unless", kind, None, around);
    for said in &unless_said {
        if matching_said
            .iter()
            .any(|other| other.key == said.key && other.raw == said.raw)
        {
            let help = format!("`match` has the same {}; this rule can never act", said.key);
            reader.complaints.warning(
                said.span.clone(),
                format!("`unless` repeats {} of `match`", said.key),
                help,
            );
        }
    }
    known::of_rule(
        reader,
        (&matching, &matching_said),
        (&unless, &unless_said),
        around,
    );
    let plugin = kind.and_then(|kind| {
        let mut options = options(reader, section, kind)?;
        if let Some(variables) = around.variables {
            options = options.with_variables(variables.clone());
        }
        build(reader, section, kind, &options)
    });
    let conduct: Option<Conduct> = section.read();
    if let Some((kind, conduct)) = kind.zip(conduct.as_ref()) {
        means_nothing(reader, section, kind, plugin.as_deref(), conduct);
    }
    if let Some((option, networks)) = plugin.as_deref().and_then(Plugin::inside) {
        let span = option_span(section, option);
        known::of_plugin(reader, &matching, networks, &span, around);
    }

    // `match` and `unless` count even when a mistake in them left no filter; so does what a syntax error took away.
    let says_nothing = |table: &str| {
        section
            .node(table)
            .is_none_or(|node| node.get_ref().as_table().is_some_and(DeTable::is_empty))
    };
    let takes_all = says_nothing("match")
        && says_nothing("unless")
        && !reader.syntax.is_damaged(section.place.start);
    let ignores_mail = plugin
        .as_ref()
        .is_some_and(|plugin| plugin.control() == Control::IgnoreMail);
    let rule = kind.zip(plugin).zip(conduct.as_ref());
    let rule = rule.map(|((kind, plugin), conduct)| Rule {
        name: name.clone(),
        kind,
        plugin: Arc::from(plugin),
        matching: Arc::new(matching),
        unless: Arc::new(unless),
        is_final: conduct.is_final,
        mode: conduct.mode.bounded_by(around.general.mode),
        on_error: conduct
            .on_error
            .or(around.general.on_error)
            .unwrap_or_else(|| kind.default_on_error()),
        on_sealed: conduct.on_sealed,
        on_dkim: conduct.on_dkim,
        show_bcc: conduct.show_bcc,
        unsure: conduct.unsure.unwrap_or(match kind.takes_unsure() {
            true => Unsure::Take,
            false => Unsure::Pass,
        }),
    });
    unsure_has_an_effect(reader, section, rule.as_ref());
    Draft {
        section,
        name,
        rule,
        mode: conduct
            .as_ref()
            .map_or(Mode::Enforce, |conduct| conduct.mode),
        on_error: conduct.as_ref().and_then(|conduct| conduct.on_error),
        takes_all,
        is_final: conduct.is_some_and(|conduct| conduct.is_final),
        ignores_mail,
    }
}

/// Complains of settings that this plugin would not heed.
fn means_nothing(
    reader: &mut Reader<'_>,
    section: &Section<'_, '_>,
    kind: &dyn PluginKind,
    plugin: Option<&dyn Plugin>,
    conduct: &Conduct,
) {
    let mut wrong = |setting: &str, message: String, help: &str| {
        let span = section.key_span(setting);
        reader.complaints.error(span, message, help);
    };
    if !kind.edits() {
        for setting in ["on_sealed", "on_dkim", "show_bcc"] {
            if section.is_given(setting) {
                let name = kind.name();
                let message = format!("{name} does not edit, so `{setting}` has no effect here");
                wrong(setting, message, "leave it out");
            }
        }
        return;
    }
    if !kind.works_beside_seals() && conduct.on_sealed == Some(OnSealed::Wrap) {
        let message = format!("{} has nothing to put beside sealed content", kind.name());
        wrong("on_sealed", message, "write skip or reject");
    }
    if conduct.show_bcc && plugin.is_some_and(|plugin| !plugin.reads_recipients()) {
        let message = "no text of this rule names the recipients, so `show_bcc` has no effect here";
        wrong("show_bcc", message.into(), "leave it out");
    }
}

/// A rule without a filter on what a part holds has nothing to be unsure of.
fn unsure_has_an_effect(reader: &mut Reader<'_>, section: &Section<'_, '_>, rule: Option<&Rule>) {
    if section.is_given("unsure")
        && let Some(rule) = rule
        && !rule.names_files()
        && !(rule.kind.takes_unsure() && rule.judges_content())
        && !rule.plugin.looks_inside()
    {
        reader.complaints.error(
            section.key_span("unsure"),
            "`unsure` has no effect without the filter `filename` or `type` in `match`",
            "leave it out, or name files or types",
        );
    }
}

fn plugin_kind(
    reader: &mut Reader<'_>,
    section: &Section<'_, '_>,
) -> Option<&'static dyn PluginKind> {
    let name = section.text("plugin")?;
    let kind = reader.registry.get(name);
    if kind.is_none() {
        let known: Vec<&str> = reader.registry.iter().map(PluginKind::name).collect();
        let help = did_you_mean(name, &known, "known plugins");
        reader.complaints.error(
            section.span("plugin"),
            format!("unknown plugin \"{name}\""),
            help,
        );
    }
    kind
}

/// A filter as the file says it, to find what is said twice.
pub(super) struct Said<'t> {
    pub(super) key: String,
    raw: Raw<'t>,
    pub(super) span: Range<usize>,
}

/// Builds the filters of `match`, `unless` or `when`; `keys` = the only ones that may stand there.
pub(super) fn filters<'t>(
    reader: &mut Reader<'_>,
    section: &'t Section<'_, '_>,
    table: &'static str,
    kind: Option<&'static dyn PluginKind>,
    keys: Option<&[&str]>,
    around: &Surroundings<'_>,
) -> (Filters, Vec<Said<'t>>) {
    let mut filters = Filters::default();
    let mut said = Vec::new();
    let Some(DeValue::Table(node)) = section.node(table).map(Spanned::get_ref) else {
        return (filters, said);
    };
    for (key, key_span, node) in filter_keys(reader, node) {
        if let Some(keys) = keys.filter(|keys| !keys.contains(&key.as_str())) {
            let help = did_you_mean(&key, keys, "these do");
            let message = format!("`{key}` does not select a bank");
            reader.complaints.error(key_span, message, help);
            continue;
        }
        let Some((spec, _)) = Filter::lookup(&key) else {
            reader.complaints.error(
                key_span,
                format!("unknown filter `{key}`"),
                unknown_filter_help(&key),
            );
            continue;
        };
        if let Some(kind) = kind
            && spec.level == Level::Part
            && kind.default_parts() == DefaultParts::Mail
        {
            let message = format!("{} acts on the mail, `{key}` judges its parts", kind.name());
            reader
                .complaints
                .error(key_span, message, "use filters that judge the mail");
            continue;
        }
        let Some((raw, spans)) = raw(reader, spec.operand, node) else {
            continue;
        };
        match Filter::new(&key, &raw) {
            Ok(filter) => {
                if let Filter::Listener(names) = &filter {
                    known_listeners(reader, names, &spans, around);
                }
                if let (Operand::Patterns, Raw::Texts(texts)) = (spec.operand, &raw) {
                    doubtful(reader, &key, texts, &spans);
                }
                filters.push(filter);
            }
            Err(error) => {
                // Without an index it is the name of the header field that is wrong.
                let span = error
                    .index
                    .and_then(|index| spans.get(index).cloned())
                    .unwrap_or_else(|| key_span.clone());
                let advice = match (spec.operand, &raw, error.index) {
                    (Operand::Patterns, Raw::Texts(texts), Some(index)) => {
                        texts.get(index).and_then(|text| lint::remedy(&key, text))
                    }
                    _ => None,
                };
                let (message, help) = match advice {
                    Some(advice) => (advice.message, Some(advice.help)),
                    None => (error.message, error.help),
                };
                let help = help.unwrap_or_else(|| match (spec.operand, error.index) {
                    (Operand::Patterns, Some(_)) => {
                        "a character such as ( [ . + that means itself has a backslash before it"
                            .into()
                    }
                    (Operand::Patterns, None) => {
                        "the name of a header field has neither spaces nor colons".into()
                    }
                    _ => String::new(),
                });
                reader.complaints.error(span, message, help);
            }
        }
        said.push(Said {
            key: key.to_lowercase(),
            raw,
            span: key_span,
        });
    }
    (filters, said)
}

/// Regexes that compile and do not say what was meant.
fn doubtful(reader: &mut Reader<'_>, key: &str, patterns: &[&str], spans: &[Range<usize>]) {
    for (pattern, span) in patterns.iter().zip(spans) {
        if let Some(advice) = lint::doubt(key, pattern) {
            reader
                .complaints
                .warning(span.clone(), advice.message, advice.help);
        }
    }
}

/// The filters of a table in the order of the file, `header = { NAME = … }` taken apart.
fn filter_keys<'t, 'i>(
    reader: &mut Reader<'_>,
    table: &'t DeTable<'i>,
) -> Vec<(String, Range<usize>, &'t Node<'i>)> {
    let mut keys = Vec::new();
    for (key, node) in table {
        let name: &DeString<'_> = key.get_ref();
        if name != "header" {
            keys.push((name.to_string(), key.span(), node));
            continue;
        }
        match node.get_ref() {
            DeValue::Table(fields) => {
                for (field, node) in fields {
                    keys.push((format!("header.{}", field.get_ref()), field.span(), node));
                }
            }
            _ => reader.complaints.error(
                key.span(),
                "which header field?",
                "write the name after it, such as header.Subject",
            ),
        }
    }
    keys.sort_by_key(|(_, span, _)| span.start);
    keys
}

fn unknown_filter_help(key: &str) -> String {
    let mut known: Vec<&str> = FILTERS
        .iter()
        .map(|filter| filter.name)
        .filter(|name| *name != "header.")
        .collect();
    if let Some(near) = nearest(key, known.iter().copied()) {
        return format!("did you mean `{near}`?");
    }
    // What people know by the name of its field.
    match key.to_ascii_lowercase().as_str() {
        "from" => return "did you mean `header_sender`, or `sender` for the envelope?".into(),
        "to" | "cc" => {
            return "did you mean `header_recipient`, or `recipient` for the envelope?".into();
        }
        "subject" | "message-id" | "list-id" | "reply-to" | "date" => {
            return format!("did you mean `header.{key}`?");
        }
        field if field.starts_with("x-") => return format!("did you mean `header.{key}`?"),
        _ => {}
    }
    known.push("header.NAME");
    format!("known filters: {}", known.join(", "))
}

/// The operand of a filter as the file has it, and the places of its texts.
fn raw<'t>(
    reader: &mut Reader<'_>,
    operand: Operand,
    node: &'t Node<'_>,
) -> Option<(Raw<'t>, Vec<Range<usize>>)> {
    if operand == Operand::Bool {
        return match truths(node.get_ref()) {
            Some(truths) => Some((Raw::Bools(truths), Vec::new())),
            None => {
                let other = node.get_ref();
                let message = format!("expected true or false, found {}", article(other));
                reader.complaints.error(
                    node.span(),
                    message,
                    "write true or false, without quotes",
                );
                None
            }
        };
    }
    let help = match operand {
        Operand::SizeRange => "write a range in quotes, such as \"> 1M\"",
        Operand::Positions => "write a position in quotes, such as \"body\" or \"1.2\"",
        Operand::Networks => "write a network in quotes, such as \"192.0.2.0/24\"",
        Operand::Names => "write a name in quotes, or a list of names",
        Operand::Patterns | Operand::Bool => "write a regex in single quotes, or a list of them",
    };
    let texts = reader.texts(node, help)?;
    if texts.is_empty() {
        reader.complaints.error(
            node.span(),
            "an empty list never holds",
            "leave the filter out, or give it a value",
        );
        return None;
    }
    let (texts, spans) = texts.into_iter().unzip();
    Some((Raw::Texts(texts), spans))
}

/// One truth, or a list of them: `[true, false]` holds for every mail, which names a filter without choosing.
fn truths(value: &DeValue<'_>) -> Option<Vec<bool>> {
    match value {
        DeValue::Boolean(truth) => Some(vec![*truth]),
        DeValue::Array(list) if !list.is_empty() => {
            list.iter().map(|one| one.get_ref().as_bool()).collect()
        }
        _ => None,
    }
}

/// A filter on a listener that is not there never holds.
fn known_listeners(
    reader: &mut Reader<'_>,
    names: &[String],
    spans: &[Range<usize>],
    around: &Surroundings<'_>,
) {
    if around.listeners.is_empty() || reader.syntax.is_incomplete() {
        return;
    }
    let known: Vec<&str> = around.listeners.iter().map(String::as_str).collect();
    for (name, span) in names.iter().zip(spans) {
        if !known.contains(&name.as_str()) {
            reader.complaints.error(
                span.clone(),
                format!("there is no listener \"{name}\""),
                did_you_mean(name, &known, "the listeners are"),
            );
        }
    }
}

/// Checks the options against the plugin's table. `None` = there are mistakes, and the plugin shall not be built.
fn options(
    reader: &mut Reader<'_>,
    section: &Section<'_, '_>,
    kind: &'static dyn PluginKind,
) -> Option<Options> {
    let specs = kind.options();
    let mut options = Options::default();
    let mut wrong = false;
    match section.node("options").map(Spanned::get_ref) {
        Some(DeValue::Table(table)) => {
            for (key, node) in table {
                let name = key.get_ref().as_ref();
                let Some(spec) = specs.iter().find(|spec| spec.name == name) else {
                    let known: Vec<&str> = specs.iter().map(|spec| spec.name).collect();
                    let help = if known.is_empty() {
                        format!("{} has no options", kind.name())
                    } else {
                        did_you_mean(name, &known, &format!("options of {}", kind.name()))
                    };
                    reader
                        .complaints
                        .error(key.span(), format!("unknown option `{name}`"), help);
                    wrong = true;
                    continue;
                };
                match reader.value(spec.value, node) {
                    Some(value) => options.set(spec.name, value),
                    None => wrong = true,
                }
            }
        }
        Some(_) => wrong = true,
        None => {}
    }
    // What a syntax error took away might be the option that the plugin would miss.
    if reader.syntax.is_damaged(section.place.start) {
        wrong = true;
    }
    for spec in specs {
        if !options.is_set(spec.name)
            && let Some(value) = default(reader, spec)
        {
            options.set(spec.name, value);
        }
    }
    (!wrong).then_some(options)
}

/// The default of an option. [`super::sound_defaults`] tests a registry for defaults that are none.
pub(super) fn default(reader: &mut Reader<'_>, spec: &OptionSpec) -> Option<Value> {
    let node = DeValue::parse(spec.default?).ok()?;
    reader.value(spec.value, &node)
}

fn build(
    reader: &mut Reader<'_>,
    section: &Section<'_, '_>,
    kind: &'static dyn PluginKind,
    options: &Options,
) -> Option<Box<dyn Plugin>> {
    let span = |option: &str| option_span(section, option);
    match kind.build(options) {
        Ok(plugin) => {
            for warning in plugin.warnings() {
                let help = warning.help.unwrap_or_default();
                reader
                    .complaints
                    .warning(span(warning.option), warning.message, help);
            }
            let rule = section.text("name").unwrap_or_default();
            for (option, path) in plugin.directories() {
                reader.directories.push(Declared {
                    rule: rule.to_string(),
                    path,
                    span: span(option),
                });
            }
            Some(plugin)
        }
        Err(errors) => {
            for error in errors {
                reader.complaints.error(
                    span(error.option),
                    error.message,
                    error.help.unwrap_or_default(),
                );
            }
            None
        }
    }
}

/// Where an option stands, or else what it would stand in.
fn option_span(section: &Section<'_, '_>, option: &str) -> Range<usize> {
    let table = section
        .node("options")
        .and_then(|node| node.get_ref().as_table());
    match table.and_then(|table| table.get(option)) {
        Some(node) => node.span(),
        None if section.is_given("options") => section.key_span("options"),
        None => section.key_span("plugin"),
    }
}
