//! Policy banks from their tables: what selects each, what it sets, and what can only be seen when banks are compared
//! with each other.
//!
//! Must never: stop at a mistake.

use std::collections::HashSet;

use crate::policy::select::SELECTORS;
use crate::policy::{Bank, Layer};
use crate::rule::filter::{Filter, Level};
use crate::settings::{Overlay, Phase, Relay, SETTINGS, Setting, find};

use super::around::Surroundings;
use super::build::Draft;
use super::diag::line_number;
use super::filters::{Said, Whose, filters};
use super::known;
use super::order::{Force, Names, named, names, names_of};
use super::read::Reader;
use super::section::Section;
use super::typed::Variables;

/// What the file says outside of banks, and banks can change.
pub(super) fn said_for_all(
    top: &Section<'_, '_>,
    limits: &Section<'_, '_>,
    relay: &Relay,
) -> Overlay {
    let said = Overlay::read(&|table, name| match table {
        "limits" => limits.given(name).cloned(),
        _ => top.given(name).cloned(),
    });
    Overlay {
        next_hop: relay.next_hop.clone(),
        ..said
    }
}

/// Builds all banks, in the order of the file, and takes down which rules they name.
pub(super) fn banks(
    reader: &mut Reader<'_>,
    (sections, variables): (&[Section<'_, '_>], Vec<Variables>),
    drafts: &[Draft<'_>],
    force: &mut Force,
    around: &Surroundings<'_>,
) -> Vec<Bank> {
    let known = Names::of(
        sections
            .iter()
            .map(|section| section.text("name").unwrap_or_default()),
    );
    let rules_known = names_of(drafts);
    let mut whens = Vec::with_capacity(sections.len());
    let mut includes = Vec::with_capacity(sections.len());
    let mut banks = Vec::with_capacity(sections.len());
    for (place, (section, variables)) in sections.iter().zip(variables).enumerate() {
        name(reader, sections, &known, place, around);
        let (when, said) = filters(reader, section, "when", Whose::Bank(SELECTORS), around);
        known::of_bank(reader, &when, &said, around);
        includes.push(names(reader, section, "include", "bank", &known).unwrap_or_default());
        let rules = named(reader, section, "rules", &rules_known);
        let rules_add = named(reader, section, "rules_add", &rules_known).unwrap_or_default();
        force.named.extend(rules.iter().flatten().chain(&rules_add));
        force.is_replaced |= rules.is_some();
        force.changes_mode |= section.is_given("mode");
        banks.push(Bank {
            name: section.text("name").unwrap_or_default().to_string(),
            when: section.is_given("when").then_some(when),
            laid: Vec::new(),
            layer: Layer {
                settings: Overlay::read(&|table, name| {
                    let setting = find(table, name)?;
                    section.given(setting.in_bank()?.name).cloned()
                }),
                variables,
                rules,
                rules_add,
            },
        });
        whens.push(said);
    }
    let laid = lay(reader, sections, &includes);
    for (bank, laid) in banks.iter_mut().zip(laid) {
        bank.laid = laid;
    }
    let included: HashSet<usize> = includes.iter().flatten().copied().collect();
    for (place, section) in sections.iter().enumerate() {
        let said = whens.get(place).map(Vec::as_slice).unwrap_or_default();
        applies(reader, section, said, &included, place);
        in_time(reader, sections, &banks, said, place);
        adds(reader, section, force);
    }
    banks
}

fn name(
    reader: &mut Reader<'_>,
    sections: &[Section<'_, '_>],
    known: &Names<'_>,
    place: usize,
    around: &Surroundings<'_>,
) {
    let Some((section, name)) = sections
        .get(place)
        .and_then(|section| Some((section, section.text("name")?)))
    else {
        return;
    };
    let complaint = match name {
        "" => Some(("a bank needs a name", "the log shows it".to_string())),
        "base" => Some((
            "the settings outside of all banks are the bank base",
            "give it another name".to_string(),
        )),
        _ if name.contains('/') => Some((
            "the name of a bank has no / in it",
            "in the log, / stands between banks".to_string(),
        )),
        _ => {
            let twin = known.index.twin(&name, place);
            twin.and_then(|twin| sections.get(twin)).map(|twin| {
                let line = line_number(around.source, twin.span("name").start);
                let help = format!("the first is on line {line}; give each bank a different name");
                ("there is already a bank with this name", help)
            })
        }
    };
    if let Some((message, help)) = complaint {
        reader.complaints.error(section.span("name"), message, help);
    }
}

/// Banks whose settings one bank may have, itself among them: what a bank is, is looked up for each mail.
const MOST_INCLUDED: usize = 100;

/// The banks whose settings each bank has, in the order in which they are laid. A cycle is complained about once.
fn lay(
    reader: &mut Reader<'_>,
    sections: &[Section<'_, '_>],
    includes: &[Vec<usize>],
) -> Vec<Vec<usize>> {
    let mut laid: Vec<Option<Vec<usize>>> = vec![None; sections.len()];
    for (place, section) in sections.iter().enumerate() {
        follow(place, &mut Vec::new(), includes, &mut laid, &mut |trail| {
            let Some(section) = trail.first().and_then(|first| sections.get(*first)) else {
                return;
            };
            let names: Vec<&str> = trail
                .iter()
                .chain(trail.first())
                .filter_map(|index| sections.get(*index)?.text("name"))
                .collect();
            let names = names.join("\" includes \"");
            let message = format!("this bank includes itself: \"{names}\"");
            let help = "put what they share into a separate bank";
            reader
                .complaints
                .error(section.key_span("include"), message, help);
        });
        if let Some(Some(order)) = laid.get_mut(place)
            && order.len() > MOST_INCLUDED
        {
            // Those that include it have no more than this one.
            order.truncate(1);
            reader.complaints.error(
                section.key_span("include"),
                format!("this bank has the settings of more than {MOST_INCLUDED} others"),
                "put what they share into one bank",
            );
        }
    }
    laid.into_iter().map(Option::unwrap_or_default).collect()
}

/// Lays one bank behind those that it includes. `trail` leads to it; each bank is laid once, so that this is linear.
fn follow(
    place: usize,
    trail: &mut Vec<usize>,
    includes: &[Vec<usize>],
    laid: &mut Vec<Option<Vec<usize>>>,
    cycle: &mut dyn FnMut(&[usize]),
) -> Vec<usize> {
    if let Some(start) = trail.iter().position(|above| *above == place) {
        cycle(trail.get(start..).unwrap_or_default());
        return Vec::new();
    }
    if let Some(Some(known)) = laid.get(place) {
        return known.clone();
    }
    trail.push(place);
    let mut order = Vec::new();
    for included in includes.get(place).into_iter().flatten() {
        // What came by another way already is laid again, over what stands between.
        let below = follow(*included, trail, includes, laid, cycle);
        order.retain(|one| !below.contains(one));
        order.extend(below);
        // It is complained about by whoever asked, and more would cost more.
        if order.len() > MOST_INCLUDED {
            break;
        }
    }
    order.push(place);
    trail.pop();
    if let Some(entry) = laid.get_mut(place) {
        *entry = Some(order.clone());
    }
    order
}

/// Is there any mail that the bank is for, and anything that it does.
fn applies(
    reader: &mut Reader<'_>,
    section: &Section<'_, '_>,
    said: &[Said<'_>],
    included: &HashSet<usize>,
    place: usize,
) {
    if reader.syntax.is_damaged(section.place.start) {
        return;
    }
    let is_included = || included.contains(&place);
    if section.is_given("when") {
        let is_empty = section
            .node("when")
            .and_then(|node| node.get_ref().as_table())
            .is_some_and(|table| table.is_empty());
        if is_empty && said.is_empty() {
            reader.complaints.error(
                section.key_span("when"),
                "an empty `when` selects nothing",
                "settings for all mail stand outside of the banks; a bank that others include has no `when`",
            );
        }
    } else if !is_included() {
        reader.complaints.error(
            section.key_span("name"),
            "this bank never applies",
            "write what selects it, such as when = { sender = '@example\\.org$' }, or include it in another bank",
        );
    }
    let sets = |setting: &&Setting| {
        setting.table == "bank"
            && !matches!(setting.name, "name" | "when")
            && section.is_given(setting.name)
    };
    if !SETTINGS.iter().any(|setting| sets(&setting)) {
        reader.complaints.warning(
            section.key_span("name"),
            "this bank sets nothing",
            "its only effect is its name in the log",
        );
    }
}

/// Complains of settings that are needed before it is known whether the bank applies.
fn in_time(
    reader: &mut Reader<'_>,
    sections: &[Section<'_, '_>],
    banks: &[Bank],
    said: &[Said<'_>],
    place: usize,
) {
    let (Some(section), Some(bank)) = (sections.get(place), banks.get(place)) else {
        return;
    };
    let known = |said: &Said<'_>| Filter::lookup(&said.key).map(|(spec, _)| phase(spec.level));
    let Some(latest) = said.iter().max_by_key(|said| known(said)) else {
        return;
    };
    let Some(by) = known(latest) else { return };
    for layer in &bank.laid {
        let (Some(of), Some(settings)) = (sections.get(*layer), banks.get(*layer)) else {
            continue;
        };
        let late = SETTINGS.iter().filter(|setting| {
            setting.table == "bank" && setting.phase != Phase::Load && setting.phase < by
        });
        for setting in late.filter(|setting| of.get(setting.name).is_some()) {
            let (span, of_whom) = if *layer == place {
                (of.key_span(setting.name), String::new())
            } else {
                let name = format!(" of \"{}\"", settings.name);
                (section.key_span("include"), name)
            };
            let message = format!(
                "`{}`{of_whom} is needed {}, before `{}` is known",
                setting.name,
                moment(setting.phase),
                latest.key
            );
            let help = match setting.phase {
                Phase::Connect => "only listener and client can select a bank that sets it".into(),
                Phase::Mail => {
                    "only listener, client, auth_user, sender and sender_domain can select a bank that sets it".into()
                }
                _ => format!("{} cannot select a bank that sets it", latest.key),
            };
            reader.complaints.error(span, message, help);
        }
    }
}

/// When a filter of this level is known.
fn phase(level: Level) -> Phase {
    match level {
        Level::Origin => Phase::Connect,
        Level::Sender => Phase::Mail,
        Level::Recipient => Phase::Rcpt,
        Level::Mail | Level::Part => Phase::Data,
    }
}

fn moment(phase: Phase) -> &'static str {
    match phase {
        Phase::Load => "at load",
        Phase::Connect => "when a client connects",
        Phase::Mail => "at MAIL",
        Phase::Rcpt => "at RCPT",
        Phase::Data => "when the message has arrived",
    }
}

/// Adding to all rules adds nothing.
fn adds(reader: &mut Reader<'_>, section: &Section<'_, '_>, force: &Force) {
    if section.is_given("rules_add") && force.base.is_none() && !force.is_replaced {
        reader.complaints.warning(
            section.key_span("rules_add"),
            "all rules are in force already",
            "name the rules of all other mail above all tables, such as rules = [\"legal footer\"]",
        );
    }
}
