//! Whom a rule cannot serve, a recipient without a key say, and whether that can be said when he is named.
//!
//! Where no filter on the message is involved, the answer stands at RCPT; else it waits for the end of the message, where the rule's
//! job gives it.
//!
//! Must never: refuse a recipient for a rule that another rule, the message or a bank to come could keep from acting.

use std::sync::Arc;

use super::filter::{Filter, Level};
use super::{Mode, Policy, Rule};
use crate::envelope::Path;
use crate::mail::Mail;
use crate::origin::Origin;
use crate::plugin::{BulkExemption, Control, Missed, OnError};
use crate::reason::OnDkim;

/// A recipient as RCPT names him.
#[derive(Clone, Copy, Debug)]
pub struct Named<'n> {
    pub origin: &'n Origin,
    pub sender: &'n Path,
    pub recipient: &'n Path,
    /// Seconds since 1970.
    pub now: i64,
}

impl<'n> Named<'n> {
    /// When the mail has come.
    pub fn of(mail: &'n Mail, recipient: &'n Path) -> Named<'n> {
        Named {
            origin: &mail.origin,
            sender: &mail.envelope.sender,
            recipient,
            now: mail.received.unix,
        }
    }
}

impl Named<'_> {
    /// Do the filters hold that are judged before there is a recipient.
    pub(super) fn may_hold(&self, rule: &Rule) -> bool {
        let holds = |filter: &Filter| filter.holds_before_recipients(self.origin, self.sender);
        [Level::Origin, Level::Sender].iter().all(|level| {
            rule.matching.at(*level).iter().all(holds) && !rule.unless.at(*level).iter().any(holds)
        })
    }

    /// The first rule of a policy that is sure to act on whatever comes, cannot serve the recipient, and does not let such mail pass.
    pub fn refused(&self, policy: &Policy) -> Option<Missed> {
        let rules = policy.rules.iter();
        let acting = rules.filter(|rule| {
            rule.mode == Mode::Enforce
                && self.may_hold(rule)
                && rule.shut_by(self.recipient).is_none()
        });
        for rule in acting {
            let is_sure = is_sure(rule);
            if is_sure && rule.plugin.may_miss() {
                match rule.plugin.reach(self.recipient, self.now) {
                    Err(missed) if missed.answer != OnError::Pass => return Some(missed),
                    Err(_) => {}
                    // What it has encrypted the rules below leave alone, whether they have a key of his or not.
                    Ok(()) => return None,
                }
            }
            // The walk may end here: what stands below does not act for sure.
            if rule.is_final || rule.plugin.control() == Control::IgnoreMail {
                return None;
            }
        }
        None
    }
}

/// Those of some rules that are to act for a recipient, as far as is known, and cannot serve him, by their places.
pub fn missed(rules: &[Arc<Rule>], named: &Named<'_>) -> Vec<usize> {
    let misses = |rule: &Rule| {
        rule.mode == Mode::Enforce
            && named.may_hold(rule)
            && rule.shut_by(named.recipient).is_none()
            && rule.plugin.reach(named.recipient, named.now).is_err()
    };
    let places = rules.iter().enumerate().filter(|(_, rule)| misses(rule));
    places.map(|(place, _)| place).collect()
}

/// Does nothing about the message decide whether the rule acts.
fn is_sure(rule: &Rule) -> bool {
    let on_message = [&rule.matching, &rule.unless]
        .iter()
        .any(|filters| !filters.at(Level::Mail).is_empty() || !filters.at(Level::Part).is_empty());
    !on_message
        && rule.kind.bulk_exemption() == BulkExemption::None
        && matches!(rule.on_dkim, OnDkim::Edit | OnDkim::Strip)
}
