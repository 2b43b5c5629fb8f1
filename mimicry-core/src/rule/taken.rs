//! How the filters on parts take a part: by what it is, by what cannot be read, or by what an enclosed message holds.
//!
//! Must never: look at more than one rule.

use std::sync::Arc;

use super::facts::{Facts, Inside, PartFacts};
use super::filter::Level;
use super::inside;
use super::{Rule, Unsure};
use crate::message::names::Unread;
use crate::message::{Doubt, Part};

/// How a rule's filters take a part.
pub(super) enum Taken {
    ByName,
    /// By one of several names that readers see.
    ByOneOf(Vec<String>),
    /// By a name that cannot be read.
    Unsure(Unread),
    /// By what other programs may find in it.
    Doubt(Doubt),
    Inside(Inside),
}

impl Taken {
    pub(super) fn remark(&self, part: Part<'_>) -> Option<String> {
        let section = part.section_text();
        match self {
            Taken::ByName => None,
            Taken::ByOneOf(names) => Some(format!(
                "{section} has names that mail programs read differently: {}",
                names.join(", ")
            )),
            Taken::Unsure(why) => Some(format!("{section} may match: {why}")),
            Taken::Doubt(why) => Some(format!("{section} may match: {why}")),
            Taken::Inside(inside) if inside.is_unsure => {
                Some(format!("{section} may match: {}", inside.words))
            }
            Taken::Inside(inside) => Some(format!("{section} holds {}", inside.words)),
        }
    }
}

/// Do the filters of `match` on parts take a part, by what it is or, where the plugin looks there, by what an enclosed message
/// holds.
pub(super) fn takes(rule: &Rule, facts: &Facts<'_>, part: Part<'_>) -> Option<Taken> {
    let one = takes_itself(rule, facts, part);
    if one.is_some() || !rule.plugin.looks_inside() || !inside::is_message(&facts.part(part)) {
        return one;
    }
    let holds = |facts: &Facts<'_>, part: Part<'_>| {
        if vetoes(rule, facts.part(part)) {
            return None;
        }
        let of_part = takes_itself(rule, facts, part)?;
        let is_unsure = matches!(of_part, Taken::Unsure(_) | Taken::Doubt(_));
        let name = facts.part(part).names().and_then(|names| {
            let first = names.iter().next()?;
            Some(first.chars().take(60).collect::<String>())
        });
        Some(Inside {
            words: of_part
                .remark(part)
                .filter(|_| is_unsure)
                .unwrap_or_else(|| {
                    format!(
                        "{} {}",
                        part.section_text(),
                        name.as_deref().unwrap_or(part.media_type())
                    )
                }),
            is_unsure,
        })
    };
    // The filters of a rule are shared by all its copies and live as long as the policy.
    let key = Arc::as_ptr(&rule.matching).addr();
    let inside = facts.inside(part, key, &holds)?;
    (!inside.is_unsure || rule.unsure == Unsure::Take).then_some(Taken::Inside(inside))
}

fn takes_itself(rule: &Rule, facts: &Facts<'_>, part: Part<'_>) -> Option<Taken> {
    let of_part = facts.part(part);
    let filters = rule.matching.at(Level::Part);
    let mut unread = None;
    let takes_doubt =
        rule.unsure == Unsure::Take && rule.kind.takes_unsure() && rule.judges_content();
    let doubt = part.doubt().filter(|_| takes_doubt);
    let mut is_in_doubt = false;
    for filter in filters {
        if rule.holds_for_part(filter, &of_part) {
            continue;
        }
        if doubt.is_some() {
            is_in_doubt = true;
            continue;
        }
        let why = filter.may_hold_for_part(&of_part);
        unread = unread.or(why);
        if why.is_none() || rule.unsure == Unsure::Pass {
            return None;
        }
    }
    if let Some(why) = unread {
        return Some(Taken::Unsure(why));
    }
    if let Some(why) = doubt.filter(|_| is_in_doubt) {
        return Some(Taken::Doubt(why));
    }
    match of_part.names() {
        Some(names) if names.differ() && rule.names_files() => {
            // A few of them, and not all of each: it is for people.
            let short = |name: &str| name.chars().take(60).collect();
            Some(Taken::ByOneOf(names.iter().take(4).map(short).collect()))
        }
        _ => Some(Taken::ByName),
    }
}

/// Does a filter of `unless` on parts hold, by every name of the part.
pub(super) fn vetoes(rule: &Rule, part: PartFacts<'_>) -> bool {
    let filters = rule.unless.at(Level::Part);
    filters
        .iter()
        .any(|filter| filter.holds_for_every_name(&part))
}
