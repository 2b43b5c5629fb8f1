//! One rule and one mail: what the rule did, or why it did nothing.
//!
//! The plan names the filter that decided; this file adds the value in the mail, because an administrator asks for that
//! next.
//!
//! Must never: judge a filter differently from the plan.

use mimicry_core::engine::{Report, Reports, Stopped};
use mimicry_core::message::PartId;
use mimicry_core::plugin::BulkExemption;
use mimicry_core::policy::account::OutBy;
use mimicry_core::policy::{Banks, Policy};
use mimicry_core::reason::Reason;
use mimicry_core::rule::facts::Facts;
use mimicry_core::rule::filter::Level;
use mimicry_core::rule::plan::{Decision, Plan, Run};
use mimicry_core::rule::{Mode, Rule};
use serde::Serialize;

use super::show::{octets, short};

/// One rule. The names of the fields are the keys of `explain --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleAccount {
    pub name: String,
    pub plugin: &'static str,
    /// The rule only says what it would have done.
    pub shadow: bool,
    pub outcome: Outcome,
    /// The filter that decided, for `no-match` and `vetoed`.
    pub filter: Option<String>,
    /// The rule above that ended the walk, for `behind`.
    pub by: Option<String>,
    /// The reason code, for `unchanged`.
    pub reason: Option<&'static str>,
    /// What the mail has, what the reason code means, or what went wrong.
    pub detail: Option<String>,
    /// Sections of the mail as it came: what was edited or is kept.
    pub parts: Vec<String>,
    /// Parts that the filters took and that stayed out of it.
    pub left: Vec<LeftPart>,
    /// The plugin's own words.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftPart {
    pub section: String,
    pub reason: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Its mode is off.
    Off,
    /// A list of rules does not name it.
    NotInForce,
    /// A rule above ended the walk.
    Behind,
    /// A filter of `match` does not hold.
    NoMatch,
    /// A filter of `unless` holds.
    Vetoed,
    /// Its filters on parts take none.
    NoPart,
    /// It matched and did not edit.
    Unchanged,
    /// It closed parts to later rules.
    Keeps,
    /// The mail passes as it came.
    IgnoresMail,
    Edited,
    /// It ran and had nothing to change in the mail.
    Done,
    /// The mail is deferred or rejected because of it.
    Stopped,
    /// It was to run, and the mail was stopped.
    NotFinished,
}

impl Outcome {
    /// As JSON has it.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Off => "off",
            Outcome::NotInForce => "not-in-force",
            Outcome::Behind => "behind",
            Outcome::NoMatch => "no-match",
            Outcome::Vetoed => "vetoed",
            Outcome::NoPart => "no-part",
            Outcome::Unchanged => "unchanged",
            Outcome::Keeps => "keeps",
            Outcome::IgnoresMail => "ignores-mail",
            Outcome::Edited => "edited",
            Outcome::Done => "done",
            Outcome::Stopped => "stopped",
            Outcome::NotFinished => "not-finished",
        }
    }
}

/// The plan of one class and what came of it.
#[derive(Clone, Copy, Debug)]
pub struct Course<'a> {
    pub policy: &'a Policy,
    pub facts: &'a Facts<'a>,
    pub plan: &'a Plan,
    pub result: Result<&'a Reports, &'a Stopped>,
}

/// One account for each rule, in the order of the file.
pub fn rules(course: Course<'_>) -> Vec<RuleAccount> {
    let decisions = course.plan.decisions(course.policy, course.facts);
    let steps = course.policy.rules.iter().zip(&decisions);
    steps
        .enumerate()
        .map(|(index, (rule, decision))| course.rule(index, rule, decision))
        .collect()
}

/// The accounts of all rules of the file: those that are in force, and those that are not, each with what made it so.
pub fn with_others(
    in_force: Vec<RuleAccount>,
    banks: &Banks,
    choice: &[usize],
) -> Vec<RuleAccount> {
    let mut in_force = in_force.into_iter();
    banks
        .forces(choice)
        .filter_map(|force| match force.out_by {
            Some(by) => Some(RuleAccount::not_in_force(force.rule, by)),
            None => in_force.next().map(|mut account| {
                if account.outcome == Outcome::Off {
                    account.detail = Some(match force.own_mode {
                        Mode::Off => "its own mode is off".into(),
                        _ => "the mode of all rules is off".into(),
                    });
                }
                account
            }),
        })
        .collect()
}

impl RuleAccount {
    /// Nothing has become of the rule.
    fn new(rule: &str, plugin: &'static str, outcome: Outcome) -> RuleAccount {
        RuleAccount {
            name: rule.into(),
            plugin,
            shadow: false,
            outcome,
            filter: None,
            by: None,
            reason: None,
            detail: None,
            parts: Vec::new(),
            left: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn not_in_force(rule: &Rule, by: OutBy<'_>) -> RuleAccount {
        RuleAccount {
            detail: Some(match by {
                OutBy::Base => "`rules` does not name it".into(),
                OutBy::Bank(bank) => {
                    format!(
                        "`rules` of the bank \"{}\" does not name it",
                        short(bank, 40)
                    )
                }
            }),
            ..RuleAccount::new(&rule.name, rule.kind.name(), Outcome::NotInForce)
        }
    }

    /// Did it act on the mail.
    pub fn acted(&self) -> bool {
        matches!(
            self.outcome,
            Outcome::Edited | Outcome::Done | Outcome::Keeps | Outcome::IgnoresMail
        ) && !self.shadow
    }

    /// What it did or why not, on one line.
    pub fn line(&self) -> String {
        let detail = self
            .detail
            .as_ref()
            .map(|detail| format!(": {detail}"))
            .unwrap_or_default();
        let filter = self
            .filter
            .as_deref()
            .map(|filter| short(filter, 40))
            .unwrap_or_default();
        let would = if self.shadow { "would have " } else { "" };
        let mut line = match self.outcome {
            Outcome::Off => format!("off{detail}"),
            Outcome::NotInForce => format!("not in force{detail}"),
            Outcome::Behind => format!(
                "after \"{}\", which ended the walk",
                short(self.by.as_deref().unwrap_or_default(), 40)
            ),
            Outcome::NoMatch => format!("no match, {filter} does not hold{detail}"),
            Outcome::Vetoed => format!("no match, unless {filter} holds{detail}"),
            Outcome::NoPart => format!("no part{detail}"),
            Outcome::Unchanged if self.shadow && self.reason != Some("shadow") => {
                format!(
                    "would not have edited, {}{detail}",
                    self.reason.unwrap_or_default()
                )
            }
            Outcome::Unchanged => {
                format!("not edited, {}{detail}", self.reason.unwrap_or_default())
            }
            Outcome::Keeps => format!("keeps {}", list(&self.parts)),
            Outcome::IgnoresMail => "the mail passes as it came".to_string(),
            Outcome::Edited => format!("{would}edited {}", list(&self.parts)),
            Outcome::Done if self.shadow => "would have run".to_string(),
            Outcome::Done => "done".to_string(),
            Outcome::Stopped => format!("stopped the mail{detail}"),
            Outcome::NotFinished => "not finished, because the mail was stopped".to_string(),
        };
        if !self.notes.is_empty() {
            let notes: Vec<String> = self
                .notes
                .iter()
                .take(MOST)
                .map(|note| short(note, 120))
                .collect();
            let more = if self.notes.len() > MOST { "; …" } else { "" };
            line.push_str(&format!(" ({}{more})", notes.join("; ")));
        }
        if !self.left.is_empty() {
            let left: Vec<String> = self
                .left
                .iter()
                .map(|left| format!("{} ({})", left.section, left.reason))
                .collect();
            line.push_str(&format!("; left alone {}", list(&left)));
        }
        line
    }
}

/// Most entries of a list within a line; JSON has them all.
const MOST: usize = 8;

fn list(entries: &[String]) -> String {
    let shown: Vec<String> = entries
        .iter()
        .take(MOST)
        .map(|entry| short(entry, 40))
        .collect();
    match entries.len().checked_sub(MOST) {
        Some(more) if more > 0 => format!("{} and {more} more", shown.join(", ")),
        _ => shown.join(", "),
    }
}

impl Course<'_> {
    fn rule(self, index: usize, rule: &Rule, decision: &Decision) -> RuleAccount {
        let mut account = RuleAccount::new(&rule.name, rule.kind.name(), Outcome::Off);
        match decision {
            Decision::Off => {}
            Decision::Behind(by) => {
                account.outcome = Outcome::Behind;
                account.by = self.policy.rules.get(*by).map(|rule| rule.name.clone());
            }
            Decision::NoMatch(key) | Decision::Vetoed(key) => {
                let no_match = matches!(decision, Decision::NoMatch(_));
                account.outcome = if no_match {
                    Outcome::NoMatch
                } else {
                    Outcome::Vetoed
                };
                account.filter = Some(key.clone());
                account.detail = self.has(key);
            }
            Decision::NoPart => {
                account.outcome = Outcome::NoPart;
                account.detail = Some(self.why_no_part(rule));
            }
            Decision::Skip(reason) => {
                account.unchanged(*reason);
                account.detail = Some(self.why_skipped(rule, *reason));
            }
            Decision::IgnoreMail => account.outcome = Outcome::IgnoresMail,
            Decision::Keep(parts) => {
                account.outcome = Outcome::Keeps;
                account.parts = self.sections(parts);
            }
            Decision::RejectSealed | Decision::RejectUnsure(_) | Decision::RejectCopies(_) => {
                account.outcome = Outcome::NotFinished
            }
            Decision::Run(run) => self.ran(index, run, &mut account),
        }
        if let Err(stopped) = self.result
            && stopped.rule == index
        {
            account.outcome = Outcome::Stopped;
            account.detail = Some(stopped.text.clone());
        }
        account
    }

    fn ran(self, index: usize, run: &Run, account: &mut RuleAccount) {
        account.shadow = run.shadow;
        account.left = run
            .left
            .iter()
            .map(|(part, reason)| LeftPart {
                section: self.section(*part),
                reason: reason.code(),
            })
            .collect();
        match self.result {
            Ok(reports) => self.report(&reports[index], account),
            Err(_) => account.outcome = Outcome::NotFinished,
        }
    }

    fn report(self, report: &Report, account: &mut RuleAccount) {
        match report {
            // A job that was planned leaves a report.
            Report::AsPlanned => account.outcome = Outcome::NotFinished,
            Report::Edited { parts, notes, .. } => {
                account.outcome = Outcome::Edited;
                account.parts = self.sections(parts);
                account.notes.clone_from(notes);
            }
            Report::Done { notes, .. } => {
                account.outcome = Outcome::Done;
                account.notes.clone_from(notes);
            }
            Report::Unchanged { reason, notes } => {
                account.unchanged(*reason);
                account.notes.clone_from(notes);
                // The plugin knows which of the causes that share a code it was.
                let is_shared = matches!(reason, Reason::Exempt | Reason::Dkim);
                if is_shared && !account.notes.is_empty() {
                    account.detail = Some(account.notes.remove(0));
                }
            }
            Report::Shadow(inner) => {
                account.shadow = true;
                self.report(inner, account);
            }
        }
    }

    fn sections(self, parts: &[PartId]) -> Vec<String> {
        parts.iter().map(|part| self.section(*part)).collect()
    }

    fn section(self, part: PartId) -> String {
        self.facts
            .mail()
            .message
            .part(part)
            .map_or_else(String::new, |part| part.section_text())
    }

    /// What the mail has where a filter looked; `None` where it stands above anyway.
    fn has(self, key: &str) -> Option<String> {
        let mail = self.facts.mail();
        let origin = &mail.origin;
        let given = |value: Option<String>, option: &str| {
            Some(value.unwrap_or_else(|| format!("{option} was not given")))
        };
        let either = |truth: bool, word: &str| {
            Some(if truth {
                format!("the mail is {word}")
            } else {
                format!("the mail is not {word}")
            })
        };
        match key {
            "sender" | "sender_domain" if mail.envelope.sender.is_null() => {
                Some("the return path is null".into())
            }
            "sender" | "sender_domain" => Some(mail.envelope.sender.to_string()),
            "header_sender" | "header_sender_domain" => Some(values(
                self.facts.header_senders(),
                "no address in From or Sender",
            )),
            "header_recipient" => Some(values(
                self.facts.header_recipients(),
                "no address in To or Cc",
            )),
            "mail_size" => Some(format!("{} octets", octets(self.facts.mail_size()))),
            "client" => given(origin.client.map(|client| client.to_string()), "--client"),
            "listener" => given(
                origin.listener.as_ref().map(|name| short(name, 60)),
                "--listener",
            ),
            "helo" => given(origin.helo.as_ref().map(|name| short(name, 60)), "--helo"),
            "auth_user" => given(
                origin.auth_user.as_ref().map(|user| short(user, 60)),
                "--auth-user",
            ),
            "bulk" => either(self.facts.bulk(), "bulk"),
            "signed" => either(self.facts.signed(), "signed"),
            "encrypted" => either(self.facts.encrypted(), "encrypted"),
            "malformed" => either(self.facts.malformed(), "malformed"),
            _ => {
                let name = key.strip_prefix("header.")?;
                Some(values(&self.facts.header(name), "there is no such field"))
            }
        }
    }

    /// Why the plan left a rule out that matched.
    fn why_skipped(self, rule: &Rule, reason: Reason) -> String {
        const UNLESS: &str = "which this plugin leaves alone unless the rule names the filter bulk";
        match (reason, rule.kind.bulk_exemption()) {
            (Reason::Exempt, BulkExemption::Reports) => format!("a delivery report, {UNLESS}"),
            (Reason::Exempt, _) => format!("bulk mail, {UNLESS}"),
            (Reason::Dkim, _) => {
                "the mail has a DKIM signature and the rule says on_dkim = \"skip\"".into()
            }
            _ => meaning(reason),
        }
    }

    /// Of the filters on parts: those that hold for no part at all, or else that they hold for no part together.
    fn why_no_part(self, rule: &Rule) -> String {
        let message = &self.facts.mail().message;
        let filters = rule.matching.at(Level::Part);
        let may_take = |multipart: bool| !multipart || rule.kind.takes_multiparts();
        let candidates: Vec<_> = message
            .parts()
            .filter(|part| may_take(part.is_multipart()))
            .collect();
        let nowhere = filters.iter().filter(|filter| {
            !candidates
                .iter()
                .any(|part| rule.holds_for_part(filter, &self.facts.part(*part)))
        });
        let keys: Vec<String> = nowhere.map(|filter| filter.key()).collect();
        if !keys.is_empty() {
            let verb = if keys.len() == 1 { "holds" } else { "hold" };
            return format!("{} {verb} for none", keys.join(", "));
        }
        let all = |part: &mimicry_core::message::Part<'_>| {
            filters
                .iter()
                .all(|filter| rule.holds_for_part(filter, &self.facts.part(*part)))
        };
        let taken: Vec<String> = candidates
            .into_iter()
            .filter(all)
            .map(|part| part.section_text())
            .collect();
        if taken.is_empty() {
            let keys: Vec<String> = filters.iter().map(|filter| filter.key()).collect();
            return format!("{} hold for none together", keys.join(", "));
        }
        let vetoes: Vec<String> = rule
            .unless
            .at(Level::Part)
            .iter()
            .map(|filter| filter.key())
            .collect();
        format!("unless {} holds for {}", vetoes.join(" or "), list(&taken))
    }
}

impl RuleAccount {
    fn unchanged(&mut self, reason: Reason) {
        self.outcome = Outcome::Unchanged;
        self.reason = Some(reason.code());
        self.detail = Some(meaning(reason));
    }
}

fn meaning(reason: Reason) -> String {
    let known = Reason::ALL.iter().find(|(known, _)| *known == reason);
    known.map_or_else(String::new, |(_, meaning)| meaning.to_string())
}

fn values(values: &[String], none: &str) -> String {
    if values.is_empty() {
        return none.to_string();
    }
    let values: Vec<String> = values.iter().map(|value| short(value, 60)).collect();
    match values.len().checked_sub(3) {
        Some(more) if more > 0 => format!(
            "{} and {more} more",
            values.get(..3).unwrap_or_default().join(", ")
        ),
        _ => values.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(outcome: Outcome) -> RuleAccount {
        RuleAccount::new("a", "b", outcome)
    }

    fn sections(numbers: std::ops::Range<usize>) -> Vec<String> {
        numbers.map(|number| number.to_string()).collect()
    }

    #[test]
    fn a_rule_is_one_line() {
        let edited = |count: usize| RuleAccount {
            parts: sections(1..count),
            ..account(Outcome::Edited)
        };
        let refused = RuleAccount {
            reason: Some("sealed"),
            detail: Some("it is sealed".into()),
            ..account(Outcome::Unchanged)
        };
        let left = |section: &str| LeftPart {
            section: section.into(),
            reason: "sealed",
        };
        for (account, line) in [
            (account(Outcome::Off), "off"),
            (account(Outcome::Done), "done"),
            (
                account(Outcome::NotFinished),
                "not finished, because the mail was stopped",
            ),
            (edited(3), "edited 1, 2"),
            (edited(12), "edited 1, 2, 3, 4, 5, 6, 7, 8 and 3 more"),
            (
                RuleAccount {
                    shadow: true,
                    ..edited(2)
                },
                "would have edited 1",
            ),
            (
                RuleAccount {
                    shadow: true,
                    ..account(Outcome::Done)
                },
                "would have run",
            ),
            (
                RuleAccount {
                    notes: vec!["x\n".into(), "y".into()],
                    ..edited(2)
                },
                "edited 1 (x\\u{a}; y)",
            ),
            (
                RuleAccount {
                    left: vec![left("2"), left("3")],
                    ..edited(2)
                },
                "edited 1; left alone 2 (sealed), 3 (sealed)",
            ),
            (refused.clone(), "not edited, sealed: it is sealed"),
            (
                RuleAccount {
                    shadow: true,
                    ..refused
                },
                "would not have edited, sealed: it is sealed",
            ),
            (
                RuleAccount {
                    detail: Some("why".into()),
                    ..account(Outcome::Stopped)
                },
                "stopped the mail: why",
            ),
            (
                RuleAccount {
                    filter: Some("header.x".into()),
                    detail: Some("y".into()),
                    ..account(Outcome::Vetoed)
                },
                "no match, unless header.x holds: y",
            ),
        ] {
            assert_eq!(account.line(), line);
        }
    }

    #[test]
    fn values_are_a_few() {
        assert_eq!(values(&[], "none"), "none");
        assert_eq!(values(&sections(1..4), "none"), "1, 2, 3");
        assert_eq!(values(&sections(1..7), "none"), "1, 2, 3 and 3 more");
    }
}
