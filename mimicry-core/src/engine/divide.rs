//! A class whose recipients must not learn of each other, divided into groups that each get a mail of their own.
//!
//! Classes are made when recipients are named, and only the header says who is named to the others: so it is asked when the message is in.
//! Those whom it names stay together, each of the others is alone. Nothing is asked where no rule acts that shows recipients.
//!
//! Must never: divide for a rule that does not act, or leave a recipient out.

use crate::mail::Addressees;
use crate::policy::Effective;
use crate::rule::facts::Facts;
use crate::rule::plan::{Decision, Plan};

/// Leaves a plan to the first group, and has one more for each of the others.
pub(super) fn divide(settings: &Effective, facts: &Facts<'_>, plan: &mut Plan) -> Vec<Plan> {
    let Some(rule) = showing(settings, facts, plan) else {
        return Vec::new();
    };
    let groups = grouped(facts, &plan.recipients);
    if let Some(why) = too_much(settings, facts, groups.len()) {
        plan.steps.set(rule, Decision::RejectCopies(why));
        return Vec::new();
    }
    let mut groups = groups.into_iter();
    plan.recipients = groups.next().unwrap_or_default();
    let others = groups.map(|recipients| Plan {
        recipients,
        ..plan.clone()
    });
    others.collect()
}

/// The first rule, by its place, that is to act for several recipients and shows each who the others are.
fn showing(settings: &Effective, facts: &Facts<'_>, plan: &Plan) -> Option<usize> {
    let [first, _, ..] = plan.recipients.as_slice() else {
        return None;
    };
    let mail = facts.mail();
    let shows = |(index, step): (usize, &Decision)| {
        let rule = settings.policy.rules.get(index)?;
        let acts = matches!(step, Decision::Run(run) if !run.shadow);
        let is_such = acts && rule.plugin.shows_recipients();
        // Whom it cannot serve he shares with all of his class.
        let serves = || {
            let recipient = mail.envelope.recipients.get(*first);
            recipient.is_some_and(|one| rule.plugin.reach(&one.path, mail.received.unix).is_ok())
        };
        (is_such && serves() && !facts.all_encrypted()).then_some(index)
    };
    plan.steps.iter().find_map(shows)
}

/// Those whom the header names, and each of the others, in the order of the first of each.
fn grouped(facts: &Facts<'_>, recipients: &[usize]) -> Vec<Vec<usize>> {
    let mail = facts.mail();
    let addressees = Addressees::of(&mail.message);
    let all = &mail.envelope.recipients;
    let (mut groups, mut of_named): (Vec<Vec<usize>>, Option<usize>) = (Vec::new(), None);
    for at in recipients {
        let is_named = all.get(*at).is_some_and(|one| addressees.hold(&one.path));
        match of_named.and_then(|place| groups.get_mut(place)) {
            Some(named) if is_named => named.push(*at),
            _ => {
                of_named = of_named.or(is_named.then_some(groups.len()));
                groups.push(vec![*at]);
            }
        }
    }
    groups
}

/// All copies are in memory until the last is handed on: what is said of those that would be more than a worker has room for.
fn too_much(settings: &Effective, facts: &Facts<'_>, copies: usize) -> Option<String> {
    let most = settings.limits.mail;
    let most = most.saturating_add(most / 2);
    let octets = facts.mail().message.raw().len();
    let is_too_much = copies > 1 && octets.saturating_mul(copies) > most;
    is_too_much.then(|| {
        format!("recipients whom no header field names need copies of their own: {copies} copies of {octets} octets are too much; send to fewer at a time")
    })
}
