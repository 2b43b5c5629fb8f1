//! The plan: for one class of recipients, which rule takes which part, and why every other rule does not.
//!
//! Pure: the same policy and mail give the same plan, and nothing is changed by making it. Filters judge the mail as it
//! came; what an edit does to later rules (a part that is gone) is the engine's task.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::facts::Facts;
use super::filter::{Filter, Level};
use super::forks;
use super::index::{Asked, Shortlist};
use super::reach::Named;
use super::taken::{takes, vetoes};
use super::{Mode, Policy, Rule, Unsure};
use crate::envelope::Path;
use crate::mail::Mail;
use crate::message::roles::Role;
use crate::message::{Part, PartId, Seal};
use crate::plugin::{BulkExemption, Control, DefaultParts, Scope};
use crate::reason::{OnDkim, OnSealed, Reason};

/// What the rules do for the recipients of one class.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Indices into the envelope's recipients.
    pub recipients: Vec<usize>,
    /// Of the rules that can hold, in the order of the policy.
    pub steps: Steps,
    /// The rule that ended the walk.
    pub ended_by: Option<usize>,
    /// Octets of the message at most that the next hop of the class takes, as far as that is known.
    pub room: Option<usize>,
    /// The next hop of the class takes no 8-bit octets: what is signed must be in 7 bits before (RFC 6376 section 5.3).
    pub needs_7bit: bool,
}

/// What becomes of each rule. Those that cannot hold are not there: a policy may have thousands of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps(Vec<(usize, Decision)>);

impl Steps {
    /// Of a rule, by its place in the policy; `None` = it does not hold, or stands below one that ended the walk.
    pub fn get(&self, rule: usize) -> Option<&Decision> {
        let place = self.0.binary_search_by_key(&rule, |(rule, _)| *rule).ok()?;
        self.0.get(place).map(|(_, decision)| decision)
    }

    /// Of a rule that has one.
    pub(crate) fn set(&mut self, rule: usize, decision: Decision) {
        let mut all = self.0.iter_mut();
        if let Some((_, known)) = all.find(|(known, _)| *known == rule) {
            *known = decision;
        }
    }

    /// By place in the policy, in order.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Decision)> {
        self.0.iter().map(|(rule, decision)| (*rule, decision))
    }
}

impl FromIterator<(usize, Decision)> for Steps {
    /// Of places in order.
    fn from_iter<I: IntoIterator<Item = (usize, Decision)>>(steps: I) -> Steps {
        Steps(steps.into_iter().collect())
    }
}

/// What becomes of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Its mode is off.
    Off,
    /// A rule above ended the walk: its index.
    Behind(usize),
    /// This filter of `match` does not hold.
    NoMatch(String),
    /// This filter of `unless` holds.
    Vetoed(String),
    /// All filters on the mail hold, but those on parts hold for no part.
    NoPart,
    /// It matched and does not edit.
    Skip(Reason),
    /// It matched, sealed content was among its parts, and it says `on_sealed = "reject"`.
    RejectSealed,
    /// It is about malformed mail, and other programs may find more than can be removed: where, and why.
    RejectUnsure(String),
    /// It needs a mail of its own for each of many recipients, which are too much together: how much.
    RejectCopies(String),
    /// An ignore_mail rule: the mail passes as it came.
    IgnoreMail,
    /// A keep rule: these parts are closed to later rules.
    Keep(Vec<PartId>),
    /// Its job runs.
    Run(Run),
}

/// A job that the engine will start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// In document order.
    pub parts: Vec<PartId>,
    /// Parts that the filters took and that stay out of it.
    pub left: Vec<(PartId, Reason)>,
    /// The sealed parts among them that it works beside: the highest sealed part of each.
    pub beside: Vec<PartId>,
    /// It only says what it would have done.
    pub shadow: bool,
    /// What an administrator should know of how the parts were found: names that differ or cannot be read, what an enclosed message
    /// holds. In a few words each.
    pub remarks: Vec<String>,
}

impl Plan {
    /// Do the same jobs run on the same parts for two classes, with the same parts kept from them and the same room. What else kept other rules
    /// from running may differ. Whether the classes get the same octets, the engine says.
    pub fn same_effect(&self, other: &Plan) -> bool {
        let effect = |step: &Decision| {
            matches!(
                step,
                Decision::Run(_)
                    | Decision::RejectSealed
                    | Decision::RejectUnsure(_)
                    | Decision::RejectCopies(_)
                    | Decision::IgnoreMail
                    | Decision::Keep(_)
            )
        };
        let ours = self.steps.iter().filter(|(_, step)| effect(step));
        let theirs = other.steps.iter().filter(|(_, step)| effect(step));
        self.room == other.room && self.needs_7bit == other.needs_7bit && ours.eq(theirs)
    }

    /// What becomes of each rule of the policy, for people: of those, too, that were not visited.
    pub fn decisions(&self, policy: &Policy, facts: &Facts<'_>) -> Vec<Decision> {
        let walk = Walk::new(facts, &self.recipients, true);
        let rules = policy.rules.iter().enumerate();
        rules
            .map(|(index, rule)| match self.steps.get(index) {
                Some(decision) => decision.clone(),
                None if rule.mode == Mode::Off => Decision::Off,
                None => match self.ended_by.filter(|ended_by| index > *ended_by) {
                    Some(ended_by) => Decision::Behind(ended_by),
                    // Its filters on parts are all that is left.
                    None => walk.judge_mail(rule).err().unwrap_or(Decision::NoPart),
                },
            })
            .collect()
    }
}

/// The class of one recipient, by places of rules that depend on the recipient: those that do for this one what they do not do for a
/// recipient whom no rule names. Where `match` names recipients, such a rule holds; where only `unless` does, it does not. Two recipients for
/// whom these are the same have the same rules.
pub fn signature((rules, shortlist): (&[Arc<Rule>], &Shortlist), named: &Named<'_>) -> Vec<usize> {
    let recipient = named.recipient;
    let may_hold = |rule: &Rule| {
        rule.mode == Mode::Enforce && rule.depends_on_recipient() && named.may_hold(rule)
    };
    let candidates = shortlist.candidates(&Asked {
        origin: named.origin,
        sender: Some(named.sender),
        recipients: &[recipient],
        facts: None,
    });
    let differs = |rule: &Rule| {
        let holds_for_named = !rule.matching.at(Level::Recipient).is_empty();
        may_hold(rule) && rule.shut_by(recipient).is_none() == holds_for_named
    };
    let names = |place: &usize| rules.get(*place).is_some_and(|rule| differs(rule));
    candidates.into_iter().filter(names).collect()
}

/// Plans one class.
pub fn plan_class(policy: &Policy, facts: &Facts<'_>, recipients: Vec<usize>) -> Plan {
    let mail = facts.mail();
    let paths: Vec<&Path> = paths(mail, &recipients).collect();
    let candidates = policy.shortlist.candidates(&Asked {
        origin: &mail.origin,
        sender: Some(&mail.envelope.sender),
        recipients: &paths,
        facts: Some(facts),
    });
    let walk = |is_signed_anew: bool| {
        let mut walk = Walk::new(facts, &recipients, is_signed_anew);
        for index in candidates.iter().copied() {
            if let Some(rule) = policy.rules.get(index) {
                walk.rule(index, rule, policy);
            }
            if walk.ended_by.is_some() {
                break;
            }
        }
        (Steps(walk.steps), walk.ended_by)
    };
    let (mut steps, mut ended_by) = walk(true);
    if facts.has_dkim_signature()
        && waits_for_signature(policy, &steps)
        && !is_signed(policy, mail, &steps)
    {
        (steps, ended_by) = walk(false);
    }
    Plan {
        recipients,
        steps,
        ended_by,
        room: None,
        needs_7bit: false,
    }
}

/// Recipients by their places.
fn paths<'m>(mail: &'m Mail, recipients: &[usize]) -> impl Iterator<Item = &'m Path> {
    let all = &mail.envelope.recipients;
    let places = recipients.iter();
    places.filter_map(|place| all.get(*place).map(|recipient| &recipient.path))
}

/// Does a rule that edits wait for a new signature.
fn waits_for_signature(policy: &Policy, steps: &Steps) -> bool {
    let mut rules = steps
        .iter()
        .filter_map(|(index, _)| policy.rules.get(index));
    rules.any(|rule| rule.on_dkim == OnDkim::Resign)
}

/// Will a rule sign the mail with DKIM.
fn is_signed(policy: &Policy, mail: &Mail, steps: &Steps) -> bool {
    steps
        .iter()
        .filter(|(_, step)| matches!(step, Decision::Run(run) if !run.shadow))
        .filter_map(|(index, _)| policy.rules.get(index))
        .any(|rule| rule.plugin.signs(mail))
}

struct Walk<'w> {
    facts: &'w Facts<'w>,
    recipients: &'w [usize],
    steps: Vec<(usize, Decision)>,
    /// Parts that a keep rule protects.
    kept: BTreeSet<PartId>,
    ended_by: Option<usize>,
    /// A rule signs the mail with DKIM after all edits.
    is_signed_anew: bool,
}

impl<'w> Walk<'w> {
    fn new(facts: &'w Facts<'w>, recipients: &'w [usize], is_signed_anew: bool) -> Walk<'w> {
        Walk {
            facts,
            recipients,
            steps: Vec::new(),
            kept: BTreeSet::new(),
            ended_by: None,
            is_signed_anew,
        }
    }

    fn rule(&mut self, index: usize, rule: &Rule, policy: &Policy) {
        let decision = self.decide(rule);
        let took_part = !matches!(decision, Decision::NoPart);
        let matched = !matches!(
            decision,
            Decision::Off | Decision::Behind(_) | Decision::NoMatch(_) | Decision::Vetoed(_)
        );
        if matched
            && took_part
            && rule.mode == Mode::Enforce
            && (rule.is_final || decision == Decision::IgnoreMail)
        {
            self.ended_by = Some(index);
        }
        if decision == Decision::IgnoreMail {
            self.cancel_edits(policy);
        }
        if let Decision::Keep(parts) = &decision {
            self.kept.extend(parts);
        }
        self.steps.push((index, decision));
    }

    fn decide(&self, rule: &Rule) -> Decision {
        if rule.mode == Mode::Off {
            return Decision::Off;
        }
        if let Err(decision) = self.judge_mail(rule) {
            return decision;
        }
        let Some((parts, remarks)) = self.parts(rule) else {
            return Decision::NoPart;
        };
        let shadow = rule.mode == Mode::Shadow;
        match rule.plugin.control() {
            Control::IgnoreMail | Control::Keep { .. } if shadow => Decision::Skip(Reason::Shadow),
            Control::IgnoreMail => Decision::IgnoreMail,
            Control::Keep { subtree } => Decision::Keep(self.closed_by(&parts, subtree)),
            Control::None if rule.kind.edits() => {
                let mut decision = self.edit(rule, parts, shadow);
                if let Decision::Run(run) = &mut decision {
                    run.remarks = remarks;
                }
                decision
            }
            Control::None if shadow && rule.kind.scope() == Scope::Original => {
                Decision::Skip(Reason::Shadow)
            }
            Control::None => Decision::Run(Run {
                parts: ids(&parts),
                left: Vec::new(),
                beside: Vec::new(),
                shadow,
                remarks,
            }),
        }
    }

    /// Judges all filters that are not on parts.
    fn judge_mail(&self, rule: &Rule) -> Result<(), Decision> {
        let mail = self.facts.mail();
        let holds = |filter: &Filter| match (filter.level(), filter) {
            // To such a rule a mail is encrypted if nothing of it is in the clear: else the rest would leave as it is.
            (Level::Mail, Filter::Encrypted(truths)) if rule.encrypts() => {
                truths.contains(&self.facts.all_encrypted())
            }
            (Level::Mail, _) => filter.holds_for_mail(self.facts),
            _ => filter.holds_before_recipients(&mail.origin, &mail.envelope.sender),
        };
        for level in [Level::Origin, Level::Sender, Level::Mail] {
            if let Some(filter) = rule.matching.at(level).iter().find(|filter| !holds(filter)) {
                return Err(Decision::NoMatch(filter.key()));
            }
            if let Some(filter) = rule.unless.at(level).iter().find(|filter| holds(filter)) {
                return Err(Decision::Vetoed(filter.key()));
            }
        }
        // The recipients of a class agree on every rule that acts. On a shadow rule, which makes no class, they may
        // differ: it speaks up when one of them would have been concerned.
        let mut verdict = Ok(());
        for path in paths(mail, self.recipients) {
            verdict = judge_recipient(rule, path);
            if verdict.is_ok() {
                break;
            }
        }
        verdict
    }

    /// The parts that the rule's filters take, or its plugin's default, less those that `unless` vetoes. `None` = the
    /// filters leave none; without a filter at work there may be none, and the plugin says what that means.
    fn parts(&self, rule: &Rule) -> Option<(Vec<Part<'_>>, Vec<String>)> {
        let mail: &Mail = self.facts.mail();
        let message = &mail.message;
        let mut remarks = Vec::new();
        let taken: Vec<Part<'_>> = if rule.names_parts() {
            let may = |part: &Part<'_>| !part.is_multipart() || rule.kind.takes_multiparts();
            let takes = |part: &Part<'_>| match may(part).then(|| takes(rule, self.facts, *part)) {
                Some(Some(taken)) => {
                    remarks.extend(taken.remark(*part));
                    true
                }
                _ => false,
            };
            message.parts().filter(takes).collect()
        } else {
            let role = |role: Role| {
                message
                    .leaves()
                    .filter(move |part| self.facts.roles().role(part.id()) == Some(role))
            };
            let default: Vec<Part<'_>> = match rule.kind.default_parts() {
                DefaultParts::Mail => return Some((Vec::new(), remarks)),
                DefaultParts::Root => vec![message.root()],
                DefaultParts::Body => role(Role::Body).collect(),
                DefaultParts::Attachments => message
                    .leaves()
                    .filter(|part| self.facts.roles().is_attached(part.id()))
                    .filter(|part| !rule.kind.declines(mail, part.id()))
                    .collect(),
            };
            if default.is_empty() && rule.kind.edits() {
                // What the rule is after may be within: it is left as sealed, not as absent.
                message.leaves().filter(hides_content).collect()
            } else {
                default
            }
        };
        let vetoed = |part: &Part<'_>| vetoes(rule, self.facts.part(*part));
        // A text that every mail must have does not wait for a body.
        let is_awaited = taken.is_empty() && rule.required().is_some() && rule.means_body();
        let filtered = !is_awaited && (rule.names_parts() || !taken.is_empty());
        let parts: Vec<Part<'_>> = taken.into_iter().filter(|part| !vetoed(part)).collect();
        let parts = forks::together(rule, parts);
        (!parts.is_empty() || !filtered).then_some((parts, remarks))
    }

    /// What a keep rule closes: the parts, those below them, and every multipart around them, which may not leave
    /// whole with a kept part in it.
    fn closed_by(&self, parts: &[Part<'_>], subtree: bool) -> Vec<PartId> {
        let mut closed: BTreeSet<PartId> = BTreeSet::new();
        let mut roots: BTreeSet<PartId> = BTreeSet::new();
        for kept in parts {
            roots.insert(kept.id());
            for above in kept.ancestors() {
                if !closed.insert(above.id()) {
                    break; // Those above it are closed, too.
                }
            }
        }
        // A part stands behind its parent.
        for part in self.facts.mail().message.parts() {
            let is_below = subtree
                && part
                    .parent()
                    .is_some_and(|above| roots.contains(&above.id()));
            if is_below {
                roots.insert(part.id());
            }
        }
        closed.extend(roots);
        closed.into_iter().collect()
    }

    /// Decides on an editing rule that matched.
    fn edit(&self, rule: &Rule, parts: Vec<Part<'_>>, shadow: bool) -> Decision {
        let facts = self.facts;
        let exempt = match rule.kind.bulk_exemption() {
            BulkExemption::None => false,
            BulkExemption::Reports => facts.is_report(),
            BulkExemption::All => facts.bulk(),
        };
        let exempt = exempt && !rule.names_bulk() && rule.required().is_none();
        if exempt && !rule.kind.edits_fields() {
            return Decision::Skip(Reason::Exempt);
        }
        let leaves_signed = match rule.on_dkim {
            OnDkim::Skip => true,
            OnDkim::Resign => !self.is_signed_anew,
            OnDkim::Edit | OnDkim::Strip => false,
        };
        if leaves_signed && facts.has_dkim_signature() {
            return Decision::Skip(Reason::Dkim);
        }
        let mut run = Run {
            parts: Vec::new(),
            left: Vec::new(),
            beside: Vec::new(),
            shadow,
            remarks: Vec::new(),
        };
        // What comes after all edits has the mail as a whole: its parts may be others by then.
        let parts = match rule.kind.scope() > Scope::Part {
            true => Vec::new(),
            false => parts,
        };
        let mut unsure_of_all = None;
        let kept_roots = forks::kept_roots(rule, &facts.mail().message, &self.kept);
        for part in parts {
            unsure_of_all = unsure_of_all.or_else(|| cannot_go(rule, part));
            let obstacle = match exempt {
                true => Some(Reason::Exempt),
                false if kept_roots.contains(&part.id()) => Some(Reason::Kept),
                false => self.obstacle(rule, part),
            };
            if obstacle == Some(Reason::Sealed) && rule.works_beside_seals() {
                let highest = std::iter::once(part)
                    .chain(part.ancestors())
                    .take_while(|part| part.seal().is_some())
                    .last();
                let root = highest.unwrap_or(part).id();
                // In document order those of one root stand together.
                if run.beside.last() != Some(&root) {
                    run.beside.push(root);
                }
            }
            match obstacle {
                Some(reason) => run.left.push((part.id(), reason)),
                None => run.parts.push(part.id()),
            }
        }
        if rule.judges_malformed()
            && let Some(text) = unsure_of_all
        {
            return match shadow {
                true => Decision::Skip(Reason::Shadow),
                false => Decision::RejectUnsure(text),
            };
        }
        let sealed = run.left.iter().any(|(_, reason)| *reason == Reason::Sealed);
        if sealed && rule.on_sealed == Some(OnSealed::Reject) {
            return if shadow {
                Decision::Skip(Reason::Shadow)
            } else {
                Decision::RejectSealed
            };
        }
        if run.parts.is_empty() && run.beside.is_empty() && !rule.kind.edits_fields() {
            // What is broken may still be answered by the plugin's fallback; a seal and a keep rule only where the text is required.
            let reasons: &[Reason] = match (rule.required(), rule.on_sealed) {
                (None, _) => &[Reason::Sealed, Reason::Kept],
                (Some(_), Some(_)) => &[Reason::Sealed],
                (Some(_), None) => &[],
            };
            if let Some(reason) = reasons
                .iter()
                .copied()
                .find(|reason| run.left.iter().any(|(_, left)| left == reason))
            {
                return Decision::Skip(reason);
            }
        }
        Decision::Run(run)
    }

    /// Why an editing rule may not have a part that its filters took.
    fn obstacle(&self, rule: &Rule, part: Part<'_>) -> Option<Reason> {
        // Moved or removed whole by a rule that names parts, a seal is not broken.
        let moves = rule.kind.moves_whole() && rule.names_parts() && !part.is_root();
        if self.kept.contains(&part.id()) {
            Some(Reason::Kept)
        } else if part.seal().is_some() && !(moves && part.is_seal_root()) {
            Some(Reason::Sealed)
        } else if part.is_opaque() && !moves {
            Some(Reason::Malformed)
        } else {
            None
        }
    }

    /// The mail passes as it came: earlier edits are cancelled, copies that were made of it are not.
    fn cancel_edits(&mut self, policy: &Policy) {
        for (index, step) in &mut self.steps {
            let Some(rule) = policy.rules.get(*index) else {
                continue;
            };
            let cancelled = match step {
                Decision::Run(run) => rule.kind.edits() && !run.shadow,
                Decision::RejectSealed | Decision::RejectUnsure(_) | Decision::RejectCopies(_) => {
                    true
                }
                _ => false,
            };
            if cancelled {
                *step = Decision::Skip(Reason::Ignored);
            }
        }
    }
}

fn judge_recipient(rule: &Rule, recipient: &Path) -> Result<(), Decision> {
    match rule.shut_by(recipient) {
        None => Ok(()),
        Some((filter, false)) => Err(Decision::NoMatch(filter.key())),
        Some((filter, true)) => Err(Decision::Vetoed(filter.key())),
    }
}

/// Where and why a part is in doubt that cannot be removed: the whole mail, or one of a mail that was not read to its end.
fn cannot_go(rule: &Rule, part: Part<'_>) -> Option<String> {
    let stays = part.is_root() && (part.is_multipart() || part.is_opaque());
    let doubt = part.doubt()?;
    let takes = rule.unsure == Unsure::Take && rule.kind.takes_unsure();
    (takes && (stays || part.message().defects().cut))
        .then(|| format!("part {}: {doubt}", part.section_text()))
}

/// Is the part encrypted, or wrapped up with its signature (RFC 8551 section 3.5.2), so that neither its text nor its
/// attachments can be seen. Armour within a text is no such thing: that text is a body of its own.
fn hides_content(part: &Part<'_>) -> bool {
    let sealed_up = match part.seal() {
        Some(Seal::Encrypted) => true,
        Some(Seal::Signed) => part.is_seal_root(),
        None => false,
    };
    sealed_up && !part.media_type().starts_with("text/") && !part.is_sealed_document()
}

fn ids(parts: &[Part<'_>]) -> Vec<PartId> {
    parts.iter().map(|part| part.id()).collect()
}
