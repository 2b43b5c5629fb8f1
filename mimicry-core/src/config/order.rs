//! Which rules are in force, and what can only be seen when rules are compared with each other.
//!
//! Must never: stop at a mistake.

use std::collections::{HashMap, HashSet};

use crate::near::did_you_mean;
use crate::plugin::{DefaultParts, Scope};
use crate::reason::{OnDkim, OnSealed};
use crate::rule::filter::{Filter, Level};
use crate::rule::{Mode, Rule};

use super::around::Surroundings;
use super::build::Draft;
use super::diag::line_number;
use super::filters::Said;
use super::index::Index;
use super::read::Reader;
use super::section::Section;

/// Which rules are in force, for checks that look at several of them.
#[derive(Debug, Default)]
pub(super) struct Force {
    /// In the base; `None` = all.
    pub(super) base: Option<Vec<usize>>,
    /// Those that some bank names.
    pub(super) named: Vec<usize>,
    /// Some bank has `rules`, so that what holds for the base need not hold for all mail.
    pub(super) is_replaced: bool,
    /// Some bank has `mode`.
    pub(super) changes_mode: bool,
}

/// The names of a list, in its order.
#[derive(Debug)]
pub(super) struct Names<'n> {
    pub(super) all: Vec<&'n str>,
    pub(super) index: Index<&'n str>,
}

impl<'n> Names<'n> {
    pub(super) fn of(names: impl IntoIterator<Item = &'n str>) -> Names<'n> {
        let all: Vec<&str> = names.into_iter().collect();
        let index = Index::of(all.iter().copied().map(Some));
        Names { all, index }
    }
}

pub(super) fn names_of<'n>(drafts: &'n [Draft<'_>]) -> Names<'n> {
    Names::of(drafts.iter().map(|draft| draft.name.as_str()))
}

/// The rules that the setting `key` of a table names, by their places; `None` = it is not there, or all of it is wrong.
pub(super) fn named(
    reader: &mut Reader<'_>,
    section: &Section<'_, '_>,
    key: &str,
    rules: &Names<'_>,
) -> Option<Vec<usize>> {
    let places = names(reader, section, key, "rule", rules)?;
    if !places.is_sorted() {
        reader.complaints.warning(
            section.key_span(key),
            "rules are applied in the order of the file, which differs from this one",
            "change the order of the [[rule]] tables, or of the names here",
        );
    }
    Some(places)
}

/// The places of names in a list of known ones; those that are unknown or named twice are complained about.
pub(super) fn names(
    reader: &mut Reader<'_>,
    section: &Section<'_, '_>,
    key: &str,
    what: &str,
    known: &Names<'_>,
) -> Option<Vec<usize>> {
    section.node(key)?;
    if section.is_wrong(key) {
        return None;
    }
    let named = section.list(key);
    let before = Index::of(named.iter().map(|name| Some(name.as_str())));
    let mut places = Vec::new();
    for (index, name) in named.iter().enumerate() {
        if before.twin(&name.as_str(), index).is_some() {
            reader.complaints.error(
                section.element_span(key, index),
                "named twice",
                format!("name each {what} once"),
            );
            continue;
        }
        match known.index.first(&name.as_str()) {
            Some(place) => places.push(place),
            None if reader.syntax.is_incomplete() => {}
            None => {
                // Looking for what was meant costs more than looking the name up.
                let help = if reader.complaints.is_full() {
                    String::new()
                } else if known.all.is_empty() {
                    format!("the file has no {what}s")
                } else {
                    did_you_mean(name, &known.all, &format!("the {what}s are"))
                };
                reader.complaints.error(
                    section.element_span(key, index),
                    format!("there is no {what} \"{name}\""),
                    help,
                );
            }
        }
    }
    Some(places)
}

/// Rules that another one above or below makes useless, and those that are in force for no mail.
pub(super) fn order(
    reader: &mut Reader<'_>,
    drafts: &[Draft<'_>],
    force: &Force,
    around: &Surroundings<'_>,
) {
    let in_base_of = force
        .base
        .as_ref()
        .map(|base| base.iter().collect::<HashSet<_>>());
    let named: HashSet<_> = force.named.iter().collect();
    let has_companion = drafts.iter().any(judges_malformed);
    let signs = |draft: &Draft<'_>| {
        let seals = |rule: &Rule| rule.kind.vouches() && rule.kind.scope() == Scope::Seal;
        draft.rule.as_ref().is_none_or(seals)
    };
    let has_signer = drafts
        .iter()
        .any(|draft| draft.mode == Mode::Enforce && signs(draft));
    let mut end: Option<&Draft<'_>> = None;
    let mut ends: HashMap<(&str, &str), &Draft<'_>> = HashMap::new();
    let mut editing: Option<&Draft<'_>> = None;
    let mut sealing: Option<&Draft<'_>> = None;
    let mut encrypting: Option<&Draft<'_>> = None;
    let mut leading_back: Option<&Draft<'_>> = None;
    for (place, draft) in drafts.iter().enumerate() {
        let in_base = in_base_of.as_ref().is_none_or(|base| base.contains(&place));
        let is_named = named.contains(&place);
        if !in_base && !is_named && draft.mode != Mode::Off && !reader.syntax.is_incomplete() {
            reader.complaints.warning(
                draft.section.key_span("name"),
                "this rule is in force for no mail",
                "neither `rules` above all tables nor a bank names it; a rule that should not act has mode = \"off\"",
            );
        }
        // Behind another bank's `rules` it may stand without what is said of it here.
        let is_elsewhere = is_named && force.is_replaced;
        if draft.mode == Mode::Enforce && (in_base || is_named) {
            companions(reader, draft, has_companion);
            vouches(reader, draft);
            signed_anew(reader, draft, has_signer);
            waits_for_dkim(reader, draft);
            takes_no_text(reader, draft);
        }
        if draft.mode == Mode::Off || !(in_base || is_named) || is_elsewhere {
            continue;
        }
        let line = |other: &Draft<'_>| {
            format!(
                "\"{}\" on line {}",
                other.name,
                line_number(around.source, other.section.place.start)
            )
        };
        if let Some(end) = end.filter(|_| !force.changes_mode) {
            let help = format!(
                "{} takes every mail and ends the walk; move it down, or give it filters",
                line(end)
            );
            reader.complaints.error(
                draft.section.key_span("name"),
                "this rule is never reached",
                help,
            );
            continue;
        }
        if let Some(end) = ended_by(&ends, draft).filter(|_| !force.changes_mode) {
            let help = format!(
                "{} has the same filter and ends the walk; put this rule above it",
                line(end)
            );
            reader.complaints.warning(
                draft.section.key_span("name"),
                "this rule is never reached",
                help,
            );
        }
        if draft.mode != Mode::Enforce {
            continue;
        }
        if draft.ignores_mail {
            cancels(reader, draft, (editing.map(line), encrypting.map(line)));
        }
        if !in_base {
            continue;
        }
        if let (Some(rule), Some(sealing)) = (&draft.rule, sealing)
            && rule.required().is_some()
            && rule.kind.scope() < Scope::Whole
        {
            let help = format!(
                "what it puts in must be in the mail before that is signed or encrypted: put it above {}",
                line(sealing)
            );
            reader.complaints.error(
                draft.section.key_span("plugin"),
                "this rule is required, and stands below one that seals the mail",
                help,
            );
        }
        if let (Some(rule), Some(encrypting)) = (&draft.rule, encrypting)
            && rule.kind.scope() == Scope::Whole
            && rule.kind.vouches()
        {
            let help = format!(
                "a signature belongs inside: put it above {}",
                line(encrypting)
            );
            reader.complaints.warning(
                draft.section.key_span("plugin"),
                "this rule signs, and stands below one that encrypts, whose mail it leaves alone",
                help,
            );
        }
        let acts_last = |rule: &Rule| rule.kind.scope() == Scope::Seal && rule.kind.edits();
        if let Some(before) = leading_back.filter(|_| draft.rule.as_ref().is_some_and(acts_last)) {
            let help = format!(
                "what it removes, such as a signature that the edits broke, nobody can make again: put it above {}",
                line(before)
            );
            reader.complaints.warning(
                draft.section.key_span("plugin"),
                "this rule acts after one that says how the mail as it came is made again",
                help,
            );
        }
        let leads_back = |rule: &Rule| acts_last(rule) && rule.kind.asks_what_was_kept();
        if draft.rule.as_ref().is_some_and(leads_back) {
            leading_back = leading_back.or(Some(draft));
        }
        if draft.rule.as_ref().is_some_and(Rule::encrypts) {
            encrypting = encrypting.or(Some(draft));
        }
        let seals = |rule: &Rule| rule.kind.scope() == Scope::Whole && rule.kind.edits();
        if draft.rule.as_ref().is_some_and(seals) {
            sealing = sealing.or(Some(draft));
        }
        if draft.rule.as_ref().is_some_and(|rule| rule.kind.edits()) && editing.is_none() {
            editing = Some(draft);
        }
        if draft.takes_all && (draft.is_final || draft.ignores_mail) {
            end = Some(draft);
        }
        if draft.is_single && draft.rule.is_some() && (draft.is_final || draft.ignores_mail) {
            for (key, text) in draft.said.iter().flat_map(Said::texts) {
                ends.entry((key, text)).or_insert(draft);
            }
        }
    }
}

/// The rule above that ends the walk for all mail that this one matches: all values of one of its filters are those of that rule.
fn ended_by<'d, 's>(
    ends: &HashMap<(&str, &str), &'d Draft<'s>>,
    draft: &Draft<'_>,
) -> Option<&'d Draft<'s>> {
    draft.said.iter().find_map(|said| {
        let mut found = said.texts().map(|value| ends.get(&value).copied());
        let end = found.next()??;
        found
            .all(|other| other.is_some_and(|other| std::ptr::eq(other, end)))
            .then_some(end)
    })
}

/// A rule that lets a mail pass as it came, below one that edits, or even encrypts: those with their lines.
fn cancels(
    reader: &mut Reader<'_>,
    draft: &Draft<'_>,
    (editing, encrypting): (Option<String>, Option<String>),
) {
    let place = draft.section.key_span("plugin");
    if let Some(encrypting) = encrypting {
        reader.complaints.error(
            place,
            "this rule cancels edits, and stands below one that encrypts",
            format!("mail that {encrypting} has encrypted would leave in the clear; put this rule above it"),
        );
    } else if let Some(editing) = editing {
        reader.complaints.warning(
            place,
            "this rule stands below one that edits",
            format!(
                "it cancels the edits of the rules above it, such as {editing}; put it above them"
            ),
        );
    }
}

/// A rule that removes programs sees none in what it leaves alone by design; other rules must see to that.
fn companions(reader: &mut Reader<'_>, draft: &Draft<'_>, has_companion: bool) {
    let Some(rule) = draft.rule.as_ref().filter(|rule| removes_programs(rule)) else {
        return;
    };
    let mut passes = Vec::new();
    let mut remedies = Vec::new();
    let mut missing = |what: &'static str, remedy: &'static str| {
        passes.push(what);
        remedies.push(remedy);
    };
    if !has_companion {
        missing(
            "broken mails",
            "a separate rule with match = { malformed = true }",
        );
    }
    if rule.on_sealed != Some(OnSealed::Reject) {
        missing("signed parts", "on_sealed = \"reject\"");
    }
    if !rule.names_bulk() {
        missing("delivery reports", "bulk = [true, false] in match");
    }
    if !rule.plugin.looks_inside() {
        missing("enclosed messages", "options = { inside = \"message\" }");
    }
    if !passes.is_empty() {
        reader.complaints.warning(
            draft.section.key_span("match"),
            format!(
                "this rule removes programs, but not from {}",
                passes.join(", ")
            ),
            format!(
                "add {}; the sample mimicry.programs.toml has it all",
                remedies.join("; ")
            ),
        );
    }
}

/// A rule that vouches for mail should know whose mail that is: anybody can write a From field.
fn vouches(reader: &mut Reader<'_>, draft: &Draft<'_>) {
    let Some(rule) = draft.rule.as_ref().filter(|rule| rule.kind.vouches()) else {
        return;
    };
    if rule.matching.at(Level::Origin).is_empty() {
        reader.complaints.warning(
            draft.section.key_span("plugin"),
            "this rule signs mail of anybody who writes your domain into From",
            "add client, listener or auth_user to match, so that it signs what comes from your own users alone",
        );
    }
}

/// An edit that waits for a signature waits for ever where no rule signs.
fn signed_anew(reader: &mut Reader<'_>, draft: &Draft<'_>, has_signer: bool) {
    let waits = draft
        .rule
        .as_ref()
        .is_some_and(|rule| rule.on_dkim == OnDkim::Resign);
    if waits && !has_signer && !reader.syntax.is_incomplete() {
        reader.complaints.error(
            draft.section.key_span("on_dkim"),
            "no rule signs, so mail with a DKIM signature would never be edited",
            "add a rule of dkim_sign, or write on_dkim = \"skip\"",
        );
    }
}

/// Anybody can write a DKIM-Signature field: that must not be the way around a rule that encrypts.
fn waits_for_dkim(reader: &mut Reader<'_>, draft: &Draft<'_>) {
    let leaves = |rule: &Rule| matches!(rule.on_dkim, OnDkim::Skip | OnDkim::Resign);
    let is_such = |rule: &Rule| rule.encrypts() && leaves(rule);
    if draft.rule.as_ref().is_some_and(is_such) {
        reader.complaints.error(
            draft.section.key_span("on_dkim"),
            "a mail with a DKIM signature, which anybody can write, would leave in the clear",
            "a rule that encrypts has on_dkim = \"edit\" or \"strip\"",
        );
    }
}

/// A rule that puts its text into texts, and whose filter takes nothing but other parts: mail that has such parts was meant.
fn takes_no_text(reader: &mut Reader<'_>, draft: &Draft<'_>) {
    const TEXTS: [&str; 2] = ["text/plain", "text/html"];
    let takes_others = |filter: &Filter| matches!(filter, Filter::Type(patterns) if !TEXTS.iter().any(|text| patterns.matches(text)));
    let is_such = |rule: &Rule| {
        rule.kind.default_parts() == DefaultParts::Body
            && rule.required().is_none()
            && rule.on_sealed != Some(OnSealed::Wrap)
            && rule.matching.iter().any(takes_others)
    };
    if draft.rule.as_ref().is_some_and(is_such) {
        reader.complaints.warning(
            draft.section.key_span("match"),
            "this rule can never act: it takes parts that are no text",
            "a filter on parts says into which parts the text goes, not which mail gets it; leave it out",
        );
    }
}

/// Is it a rule for the parts that cannot be read to their end.
fn judges_malformed(draft: &Draft<'_>) -> bool {
    draft.mode == Mode::Enforce && draft.rule.as_ref().is_some_and(|rule| {
        let holds =
            |filter: &Filter| matches!(filter, Filter::Malformed(truths) if truths.contains(&true));
        rule.kind.takes_unsure() && rule.matching.iter().any(holds)
    })
}

/// Does it remove what bears the name or type of a program.
fn removes_programs(rule: &Rule) -> bool {
    const NAMES: &[&str] = &[
        "setup.exe",
        "a.com",
        "a.scr",
        "a.bat",
        "a.cmd",
        "a.js",
        "a.vbs",
        "a.msi",
    ];
    const TYPES: &[&str] = &[
        "application/x-msdownload",
        "application/x-dosexec",
        "application/x-msdos-program",
    ];
    let names = |filter: &Filter| match filter {
        Filter::Filename(patterns) => NAMES.iter().any(|name| patterns.matches(name)),
        Filter::Type(patterns) => TYPES.iter().any(|name| patterns.matches(name)),
        _ => false,
    };
    // One that takes any name is not about programs.
    let takes_all = |filter: &Filter| {
        matches!(filter, Filter::Filename(patterns) if patterns.matches("a"))
            || matches!(filter, Filter::Type(patterns) if patterns.matches("x/y"))
    };
    rule.kind.takes_unsure()
        && rule.matching.iter().any(names)
        && !rule.matching.iter().any(takes_all)
}
