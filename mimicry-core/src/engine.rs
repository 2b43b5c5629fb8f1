//! The engine: plans and applies the rules. The only place where jobs are called, and the only one that turns a fault
//! into an answer.
//!
//! Must never: speak to a socket, look at a clock, or let a mail out that [`verify`] has not proved.

mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use crate::mail::Mail;
use crate::message::edit::{EditSet, Refused};
use crate::message::render::render;
use crate::message::verify::verify;
use crate::message::{Limits, Message, PartId};
use crate::plugin::{Effects, Fault, Finish, Means, OnError, Scope, Task, Verdict};
use crate::policy::{Banks, Choice, ClassOf, Effective, Known, Memo, Policy};
use crate::reason::{OnDkim, Reason};
use crate::rule::Rule;
use crate::rule::facts::Facts;
use crate::rule::plan::{Decision, Plan, Run, plan_class};

pub use report::{Applied, Report, Stop, Stopped};

/// What the rules make of a mail for one class of its recipients.
#[derive(Debug)]
pub struct Judged {
    /// The banks that apply.
    pub choice: Choice,
    /// What is in force under them.
    pub settings: Arc<Effective>,
    pub plan: Plan,
    /// One for all classes that may share it ([`is_shared`]).
    pub result: Rc<Result<Applied, Stopped>>,
}

impl Judged {
    /// What the class gets; `None` = the rules stopped it.
    pub fn message<'m>(&'m self, mail: &'m Mail) -> Option<&'m Message> {
        let applied = self.result.as_ref().as_ref().ok()?;
        Some(applied.message.as_ref().unwrap_or(&mail.message))
    }

    pub fn is_edited(&self) -> bool {
        matches!(self.result.as_ref(), Ok(applied) if applied.message.is_some())
    }
}

/// The only way from a mail to plans and results, for the daemon, the commands and tests: what the rules make of it for each of
/// these classes ([`Memo::classes`]), in their order. The mail itself is not changed.
///
/// The banks that its header selects are laid first. Classes that may share a result have it worked out once; jobs that look at the
/// mail as it came (Archive) run once for all classes that their rules hold for, before all others.
pub fn judge(
    banks: &Banks,
    memo: &Memo,
    mail: &Mail,
    classes: &[ClassOf],
    means: Means<'_>,
) -> Vec<Judged> {
    let facts = Facts::of(mail);
    let settled: Vec<(Choice, Arc<Effective>, Plan)> = classes
        .iter()
        .map(|class| {
            let (choice, settings) = settled(banks, memo, &facts, class);
            let plan = plan_class(&settings.policy, &facts, class.recipients.clone());
            (choice, settings, plan)
        })
        .collect();
    // Limits that are for the whole mail are known at MAIL, so all classes have the same.
    let limits =
        (settled.first()).map_or_else(Limits::default, |(_, settings, _)| settings.limits.message);
    let policies = settled.iter().map(|(_, settings, _)| &*settings.policy);
    let policies: Vec<&Policy> = policies.collect();
    let plans: Vec<&Plan> = settled.iter().map(|(.., plan)| plan).collect();
    let results = apply_each(&policies, mail, &plans, &limits, means);
    let judged = settled.into_iter().zip(results);
    judged
        .map(|((choice, settings, plan), result)| Judged {
            choice,
            settings,
            plan,
            result,
        })
        .collect()
}

/// The banks of a class, now that the message is in. Its recipients agree on every bank.
fn settled(
    banks: &Banks,
    memo: &Memo,
    facts: &Facts<'_>,
    class: &ClassOf,
) -> (Choice, Arc<Effective>) {
    let mail = facts.mail();
    let first = class.recipients.first();
    let recipient = first.and_then(|index| mail.envelope.recipients.get(*index));
    let known = Known {
        origin: &mail.origin,
        sender: Some(&mail.envelope.sender),
        recipient: recipient.map(|recipient| &recipient.path),
        facts: Some(facts),
    };
    let choice = banks.complete(&class.choice, &known);
    let settings = Arc::clone(&memo.standing(banks, &choice).settings);
    (choice, settings)
}

/// May two classes share what comes of a plan: they are of the same effect, and no job of it looks at who the recipients are, as
/// one would whose text names them.
fn is_shared(policy: &Policy, one: &Plan, other: &Plan) -> bool {
    let reads = |(rule, step): (&Arc<Rule>, &Decision)| {
        matches!(step, Decision::Run(_)) && !runs_once(rule) && rule.plugin.reads_recipients()
    };
    one.same_effect(other) && !policy.rules.iter().zip(&one.steps).any(reads)
}

/// Runs the plans of classes that have one policy, in their order.
fn apply_all(
    policy: &Policy,
    mail: &Mail,
    plans: &[&Plan],
    limits: &Limits,
    means: Means<'_>,
) -> Vec<Rc<Result<Applied, Stopped>>> {
    let course = Course::new(policy, mail, plans, limits, means);
    let mut results: Vec<Rc<Result<Applied, Stopped>>> = Vec::with_capacity(plans.len());
    for plan in plans {
        let same = plans
            .iter()
            .zip(&results)
            .find(|(other, _)| is_shared(policy, other, plan))
            .map(|(_, result)| Rc::clone(result));
        results.push(same.unwrap_or_else(|| Rc::new(run_plan(&course, plan))));
    }
    results
}

/// As [`apply_all`], for classes that differ in their policies: one for each plan.
fn apply_each(
    policies: &[&Policy],
    mail: &Mail,
    plans: &[&Plan],
    limits: &Limits,
    means: Means<'_>,
) -> Vec<Rc<Result<Applied, Stopped>>> {
    let mut results: Vec<Option<Rc<Result<Applied, Stopped>>>> = vec![None; plans.len()];
    for (first, policy) in policies.iter().enumerate() {
        if !matches!(results.get(first), Some(None)) {
            continue;
        }
        let all = policies.iter().zip(plans).enumerate();
        let same = all.filter(|(_, (other, _))| other.is_same(policy));
        let (places, group): (Vec<usize>, Vec<&Plan>) =
            same.map(|(place, (_, plan))| (place, *plan)).unzip();
        let applied = apply_all(policy, mail, &group, limits, means);
        for (place, result) in places.into_iter().zip(applied) {
            if let Some(entry) = results.get_mut(place) {
                *entry = Some(result);
            }
        }
    }
    results.into_iter().flatten().collect()
}

/// One mail and what all of its classes share.
struct Course<'c> {
    policy: &'c Policy,
    mail: &'c Mail,
    limits: &'c Limits,
    means: Means<'c>,
    /// The rules that take part, for any class.
    rules: Vec<&'c str>,
    /// What became of the rules whose jobs see the mail as it came, by index.
    originals: BTreeMap<usize, Result<Report, Stopped>>,
}

impl<'c> Course<'c> {
    fn new(
        policy: &'c Policy,
        mail: &'c Mail,
        plans: &[&Plan],
        limits: &'c Limits,
        means: Means<'c>,
    ) -> Course<'c> {
        let acts = |index: usize| {
            plans.iter().any(|plan| {
                let step = plan.steps.get(index);
                step.is_some_and(|step| {
                    matches!(step, Decision::Run(run) if !run.shadow)
                        || matches!(step, Decision::IgnoreMail | Decision::Keep(_))
                })
            })
        };
        let rules = policy.rules.iter().enumerate();
        let mut course = Course {
            policy,
            mail,
            limits,
            means,
            rules: rules
                .filter(|(index, _)| acts(*index))
                .map(|(_, rule)| rule.name.as_str())
                .collect(),
            originals: BTreeMap::new(),
        };
        course.run_originals(plans);
        course
    }

    /// Once for all classes, so that a mail that splits is not archived twice.
    fn run_originals(&mut self, plans: &[&Plan]) {
        for (index, rule) in self.policy.rules.iter().enumerate() {
            if !runs_once(rule) {
                continue;
            }
            let mut classes = plans.iter().filter_map(|plan| match plan.steps.get(index) {
                Some(Decision::Run(run)) if rejects(plan).is_none() => Some((*plan, run)),
                _ => None,
            });
            let Some((plan, run)) = classes.next() else {
                continue;
            };
            let mut plan = plan.clone();
            plan.recipients
                .extend(classes.flat_map(|(plan, _)| &plan.recipients));
            plan.recipients.sort_unstable();
            let mut reports = vec![Report::AsPlanned; plan.steps.len()];
            let mut pass = Pass {
                course: self,
                plan: &plan,
                mail: self.mail,
                edits: EditSet::new(&self.mail.message),
                edited_by: Vec::new(),
                reports: &mut reports,
            };
            let report = pass.step(index, rule, run);
            self.originals.insert(index, report);
        }
    }
}

/// Does a rule only look at the mail as it came, once for all classes.
fn runs_once(rule: &Rule) -> bool {
    rule.kind.scope() == Scope::Original && !rule.kind.edits()
}

/// The rule that does not let the mail pass, and what it says.
fn rejects(plan: &Plan) -> Option<(usize, String)> {
    let mut steps = plan.steps.iter().enumerate();
    steps.find_map(|(rule, step)| {
        let text = match step {
            Decision::RejectSealed => "signed or encrypted content is not accepted here".into(),
            Decision::RejectUnsure(why) => {
                format!("mail that programs read differently is not accepted here ({why})")
            }
            _ => return None,
        };
        Some((rule, text))
    })
}

/// The plan of one class.
fn run_plan(course: &Course<'_>, plan: &Plan) -> Result<Applied, Stopped> {
    if let Some((rule, text)) = rejects(plan) {
        return Err(Stopped {
            stop: Stop::Reject,
            rule,
            text,
        });
    }
    let mail = course.mail;
    let mut reports = vec![Report::AsPlanned; plan.steps.len()];
    for (index, result) in &course.originals {
        if let (Some(Decision::Run(_)), Some(report)) =
            (plan.steps.get(*index), reports.get_mut(*index))
        {
            *report = result.clone()?;
        }
    }
    let mut edited_mail: Option<Mail> = None;
    for scopes in [
        &[Scope::Original, Scope::Part][..],
        &[Scope::Whole],
        &[Scope::Seal],
    ] {
        let edited = {
            let current = edited_mail.as_ref().unwrap_or(mail);
            let mut pass = Pass {
                course,
                plan,
                mail: current,
                edits: EditSet::new(&current.message),
                edited_by: Vec::new(),
                reports: &mut reports,
            };
            for scope in scopes {
                pass.run(*scope)?;
            }
            pass.prove(course.limits)?
        };
        if let Some(message) = edited {
            edited_mail = Some(Mail {
                origin: mail.origin.clone(),
                envelope: mail.envelope.clone(),
                message,
                received: mail.received,
            });
        }
    }
    Ok(Applied {
        message: edited_mail.map(|mail| mail.message),
        reports,
    })
}

/// Rules that see the same message, one behind the other.
struct Pass<'p> {
    course: &'p Course<'p>,
    plan: &'p Plan,
    mail: &'p Mail,
    edits: EditSet<'p>,
    /// Indices of the rules whose edits are in the set.
    edited_by: Vec<usize>,
    reports: &'p mut Vec<Report>,
}

impl<'p> Pass<'p> {
    fn run(&mut self, scope: Scope) -> Result<(), Stopped> {
        let course = self.course;
        for (index, (rule, step)) in course.policy.rules.iter().zip(&self.plan.steps).enumerate() {
            let Decision::Run(run) = step else { continue };
            if rule.kind.scope() != scope || course.originals.contains_key(&index) {
                continue;
            }
            let report = self.step(index, rule, run)?;
            if let Some(place) = self.reports.get_mut(index) {
                *place = report;
            }
        }
        Ok(())
    }

    /// One rule, to its report. The edits of one that fails are gone.
    fn step(&mut self, index: usize, rule: &'p Rule, run: &Run) -> Result<Report, Stopped> {
        let before = self.edits.clone();
        let report = match self.job(index, rule, run) {
            Ok(report) => report.with_remarks(&run.remarks),
            Err(Fault::NotApplicable(reason)) if run.shadow => Report::Unchanged {
                reason,
                notes: Vec::new(),
            },
            Err(fault) if run.shadow => Report::Unchanged {
                reason: Reason::Fault,
                notes: vec![fault.to_string()],
            },
            Err(fault) => answer(index, rule, fault)?,
        };
        let edited = matches!(report, Report::Edited { .. });
        if edited && !run.shadow {
            self.edited_by.push(index);
        } else {
            // A rule that fails leaves no edit behind, nor does one in shadow mode or one that reports none.
            self.edits = before;
        }
        Ok(if run.shadow {
            Report::Shadow(Box::new(report))
        } else {
            report
        })
    }

    /// Runs one job to its end; on a fault the edits made so far are the caller's to discard.
    fn job(&mut self, index: usize, rule: &'p Rule, run: &Run) -> Result<Report, Fault> {
        let parts: Vec<PartId> = run
            .parts
            .iter()
            .copied()
            .filter(|part| !self.edits.is_gone(*part))
            .collect();
        if parts.is_empty() && !run.parts.is_empty() && rule.required().is_none() {
            return Ok(Report::Unchanged {
                reason: Reason::Kept,
                notes: Vec::new(),
            });
        }
        let mut left = run.left.clone();
        let gone = run.parts.iter().filter(|part| !parts.contains(part));
        left.extend(gone.map(|part| (*part, Reason::Kept)));
        let mut job = rule.plugin.begin(Task {
            mail: self.mail,
            rule: &rule.name,
            parts: &parts,
            beside: &run.beside,
            left: &left,
            by_default: !rule.names_parts(),
            recipients: match rule.plugin.reads_recipients() {
                true => &self.plan.recipients,
                false => &[],
            },
            on_failure: rule.on_failure(),
            on_sealed: rule.on_sealed,
            show_bcc: rule.show_bcc,
            on_dkim: rule.on_dkim,
            variables: &self.course.policy.variables,
            rules: &self.course.rules,
            effects: match run.shadow {
                true => Effects::None,
                false => self.course.means.effects,
            },
            seal_keys: self.course.means.seal_keys,
        });
        let mut edited = Vec::new();
        let mut waiting = Vec::new();
        let mut reason = None;
        for part in parts.iter().copied() {
            if self.edits.is_gone(part) {
                // It left with a multipart that this very rule removed.
                continue;
            }
            let verdict = {
                let content = self.edits.content(part)?;
                job.part(part, &content)?
            };
            match verdict {
                Verdict::Keep(why) => reason = reason.or(Some(why)),
                Verdict::Later => {}
                Verdict::Remove => {
                    self.edits.remove_pruning(part)?;
                    edited.push(part);
                }
                Verdict::Replace(body) => {
                    self.edits.replace_body(part, body)?;
                    edited.push(part);
                }
                Verdict::Take => waiting.push(part),
            }
        }
        let finish = job.finish(&mut self.edits)?;
        self.account(&waiting, &finish, &mut edited)?;
        if rule.kind.scope() == Scope::Part
            && self.kept_before(index).any(|part| self.edits.is_gone(part))
        {
            return Err(Fault::NotApplicable(Reason::Kept));
        }
        edited.extend(&finish.edited);
        edited.sort_unstable();
        edited.dedup();
        if edited.is_empty() && rule.kind.edits() {
            let left = run.left.iter().map(|(_, reason)| *reason).next();
            // A job that got none of its parts can only say that there were none.
            let kept_out = left.filter(|_| run.parts.is_empty());
            return Ok(Report::Unchanged {
                reason: kept_out
                    .or(finish.reason)
                    .or(reason)
                    .or(left)
                    .unwrap_or(Reason::NoBody),
                notes: finish.notes,
            });
        }
        if edited.is_empty() {
            return Ok(match finish.reason {
                Some(reason) => Report::Unchanged {
                    reason,
                    notes: finish.notes,
                },
                None => Report::Done {
                    notes: finish.notes,
                },
            });
        }
        if rule.on_dkim == OnDkim::Strip {
            self.edits
                .remove_fields(PartId::ROOT, "DKIM-Signature", |_| true)?;
        }
        Ok(Report::Edited {
            parts: edited,
            notes: finish.notes,
        })
    }

    /// The multiparts that keep rules above protect. Their children may leave when `subtree` is false, but pruning must
    /// not take the multipart along.
    fn kept_before(&self, index: usize) -> impl Iterator<Item = PartId> {
        let message = &self.mail.message;
        let kept = self
            .plan
            .steps
            .iter()
            .take(index)
            .flat_map(|step| match step {
                Decision::Keep(parts) => parts.as_slice(),
                _ => &[],
            });
        kept.copied()
            .filter(|part| message.part(*part).is_some_and(|part| part.is_multipart()))
    }

    /// Every part that a job took is in a new part now, or has been given back.
    fn account(
        &mut self,
        waiting: &[PartId],
        finish: &Finish,
        edited: &mut Vec<PartId>,
    ) -> Result<(), Fault> {
        let released: BTreeSet<&PartId> = finish.released.iter().collect();
        let taken: BTreeSet<&PartId> = finish.taken.iter().collect();
        for part in waiting {
            if released.contains(part) {
                continue;
            }
            if !taken.contains(part) {
                return Err(Fault::Permanent(
                    "a part was taken and not accounted for".into(),
                ));
            }
            match self.edits.remove_pruning(*part) {
                Ok(()) => {}
                // A mail that is nothing but the part: it was replaced in its place.
                Err(Refused::Root) if self.edits.is_replaced(*part) => {}
                // It left with the whole of the mail, in whose place the new part stands.
                Err(Refused::Gone) if self.edits.is_replaced(PartId::ROOT) => {}
                Err(refused) => return Err(refused.into()),
            }
            edited.push(*part);
        }
        Ok(())
    }

    /// Renders and proves. `None` = there is nothing to render.
    fn prove(self, limits: &Limits) -> Result<Option<Message>, Stopped> {
        if self.edits.is_empty() {
            return Ok(None);
        }
        let mismatch = match verify(&self.edits, render(&self.edits), limits) {
            Ok(message) => return Ok(Some(message)),
            Err(mismatch) => mismatch,
        };
        let text = format!("the edited mail could not be proved: {mismatch}");
        log::error!("{text}");
        let strictest = self
            .edited_by
            .iter()
            .filter_map(|index| Some((self.course.policy.rules.get(*index)?.on_failure(), *index)))
            .max();
        match strictest {
            Some((OnError::Pass, _)) | None => {
                for index in &self.edited_by {
                    if let Some(report) = self.reports.get_mut(*index) {
                        *report = Report::Unchanged {
                            reason: Reason::Fault,
                            notes: vec![text.clone()],
                        };
                    }
                }
                Ok(None)
            }
            Some((on_error, rule)) => Err(Stopped {
                stop: match on_error {
                    OnError::Reject => Stop::Reject,
                    _ => Stop::Defer,
                },
                rule,
                text,
            }),
        }
    }
}

/// What a fault means for the mail.
fn answer(index: usize, rule: &Rule, fault: Fault) -> Result<Report, Stopped> {
    let stop = |stop: Stop, text: String| Stopped {
        stop,
        rule: index,
        text,
    };
    match fault {
        Fault::Temporary(text) => Err(stop(Stop::Defer, text)),
        Fault::StorageFull(text) => Err(stop(Stop::StorageFull, text)),
        Fault::Asked { reject: true, text } => Err(stop(Stop::Reject, text)),
        Fault::Asked { text, .. } => Err(stop(Stop::Defer, text)),
        Fault::NotApplicable(reason) if rule.required().is_some() => {
            let text = format!("the rule could not be carried out: {reason}");
            answer(index, rule, Fault::Permanent(text))
        }
        Fault::NotApplicable(reason) => Ok(Report::Unchanged {
            reason,
            notes: Vec::new(),
        }),
        Fault::Permanent(text) => match rule.on_failure() {
            OnError::Defer => Err(stop(Stop::Defer, text)),
            OnError::Reject => Err(stop(Stop::Reject, text)),
            OnError::Pass => Ok(Report::Unchanged {
                reason: Reason::Fault,
                notes: vec![text],
            }),
        },
    }
}
