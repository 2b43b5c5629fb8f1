//! Rules from their tables, and what a rule says that means nothing.
//!
//! Must never: stop at a mistake, or name a concrete plugin.

use std::sync::Arc;

use toml::de::DeTable;

use crate::plugin::{Control, OnError, Plugin, PluginKind, Scope};
use crate::policy::Listed;
use crate::reason::OnSealed;
use crate::rule::filter::Level;
use crate::rule::{Filters, Mode, Rule, Unsure};
use crate::settings::{Conduct, General};

use super::around::Surroundings;
use super::diag::line_number;
use super::filters::{Said, Whose, filters};
use super::index::Index;
use super::known;
use super::options::{build, option_span, options, plugin_kind};
use super::read::Reader;
use super::section::Section;

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
    /// The filters of `match`, as the file says them.
    pub(super) said: Vec<Said<'s>>,
    /// It has one filter, which judges no parts: whoever else has it meets the same mail.
    pub(super) is_single: bool,
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
    let (matching, matching_said) = filters(reader, section, "match", Whose::Rule(kind), around);
    let (unless, unless_said) = filters(reader, section, "unless", Whose::Rule(kind), around);
    repeated(reader, &matching_said, &unless_said);
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
        let node = section
            .node("options")
            .and_then(|node| node.get_ref().as_table());
        if let Some(node) = node.and_then(|table| table.get(option)) {
            reader.wide_networks(node);
        }
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
    let is_single = matching_said.len() == 1
        && matching.at(Level::Part).is_empty()
        && says_nothing("unless")
        && !reader.syntax.is_damaged(section.place.start);
    let ignores_mail = plugin
        .as_ref()
        .is_some_and(|plugin| plugin.control() == Control::IgnoreMail);
    let rule = kind.zip(plugin).zip(conduct.as_ref());
    let rule = rule.map(|(action, conduct)| {
        rule_of(
            name.clone(),
            action,
            (matching, unless),
            conduct,
            around.general,
        )
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
        said: matching_said,
        is_single,
    }
}

/// The rule that its table amounts to under what is said for all rules.
fn rule_of(
    name: String,
    (kind, plugin): (&'static dyn PluginKind, Box<dyn Plugin>),
    (matching, unless): (Filters, Filters),
    conduct: &Conduct,
    general: &General,
) -> Rule {
    Rule {
        name,
        kind,
        plugin: Arc::from(plugin),
        matching: Arc::new(matching),
        unless: Arc::new(unless),
        is_final: conduct.is_final,
        mode: conduct.mode.bounded_by(general.mode),
        on_error: conduct
            .on_error
            .or(general.on_error)
            .unwrap_or_else(|| kind.default_on_error()),
        on_sealed: conduct.on_sealed,
        on_dkim: conduct.on_dkim,
        show_bcc: conduct.show_bcc,
        unsure: conduct.unsure.unwrap_or(match kind.takes_unsure() {
            true => Unsure::Take,
            false => Unsure::Pass,
        }),
    }
}

/// Warns of a filter of `unless` that takes back all that one of `match` lets through, or every mail.
fn repeated(reader: &mut Reader<'_>, matching_said: &[Said<'_>], unless_said: &[Said<'_>]) {
    for said in unless_said {
        if said.is_always() {
            reader.complaints.warning(
                said.span.clone(),
                format!("{} in `unless` holds for every mail", said.key),
                "this rule can never act; leave the filter out",
            );
        } else if matching_said.iter().any(|other| said.covers(other)) {
            let help = "`unless` excludes all that it lets through; this rule can never act";
            reader.complaints.warning(
                said.span.clone(),
                format!("`unless` repeats {} of `match`", said.key),
                help,
            );
        }
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
    if kind.scope() == Scope::Seal {
        for setting in ["on_sealed", "on_dkim"] {
            if section.is_given(setting) {
                let message = format!(
                    "{} leaves the content as it is, so `{setting}` has no effect here",
                    kind.name()
                );
                wrong(setting, message, "leave it out");
            }
        }
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
