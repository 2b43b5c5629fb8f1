//! Plugins and their options from the tables of rules.
//!
//! Must never: stop at a mistake, or name a concrete plugin.

use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

use crate::config::read::Reader;
use crate::config::section::Section;
use crate::config::typed::Declared;
use crate::near::did_you_mean;
use crate::plugin::{OptionSpec, Options, Plugin, PluginKind, Value};

pub(super) fn plugin_kind(
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

/// Checks the options against the plugin's table. `None` = there are mistakes, and the plugin shall not be built.
pub(super) fn options(
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

pub(super) fn build(
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
pub(super) fn option_span(section: &Section<'_, '_>, option: &str) -> Range<usize> {
    let table = section
        .node("options")
        .and_then(|node| node.get_ref().as_table());
    match table.and_then(|table| table.get(option)) {
        Some(node) => node.span(),
        None if section.is_given("options") => section.key_span("options"),
        None => section.key_span("plugin"),
    }
}
