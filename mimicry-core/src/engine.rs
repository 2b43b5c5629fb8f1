//! The engine: plans and applies the rules. The only place where jobs are called, and the only one that turns a fault
//! into an answer.
//!
//! Must never: speak to a socket, look at a clock, or let a mail out that [`verify`] has not proved.

use crate::mail::Mail;
use crate::message::edit::{EditSet, Refused};
use crate::message::render::render;
use crate::message::verify::verify;
use crate::message::{Limits, Message, PartId};
use crate::plugin::{Fault, Finish, OnError, Scope, Task, Verdict};
use crate::policy::Policy;
use crate::rule::facts::Facts;
use crate::rule::plan::{Decision, Plan, Run, classes, plan_class};
use crate::rule::{OnDkim, Reason, Rule};

/// One plan per class of recipients. Pure.
pub fn plan(policy: &Policy, mail: &Mail) -> Vec<Plan> {
    let facts = Facts::of(mail);
    classes(
        policy,
        &mail.origin,
        &mail.envelope.sender,
        &mail.envelope.recipients,
    )
    .into_iter()
    .map(|recipients| plan_class(policy, &facts, recipients))
    .collect()
}

/// What came of a plan.
#[derive(Debug)]
pub struct Applied {
    /// The new message, proved; `None` = nothing was edited, and the octets as they came are the result.
    pub message: Option<Message>,
    /// One per rule of the policy, in its order.
    pub reports: Vec<Report>,
}

/// What one rule did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// It did not come to its job: the plan says why.
    AsPlanned,
    /// It changed these parts (of the mail as it came).
    Edited {
        parts: Vec<PartId>,
        notes: Vec<String>,
    },
    /// Its job ran and changed nothing that this mail shows: a copy was kept, say.
    Done { notes: Vec<String> },
    /// Its job ran and did not edit.
    Unchanged { reason: Reason, notes: Vec<String> },
    /// In shadow mode: what it would have done.
    Shadow(Box<Report>),
}

impl Report {
    /// The code in the log of a rule that matched and did not edit.
    pub fn reason(&self, decision: &Decision) -> Option<Reason> {
        match (self, decision) {
            (Report::AsPlanned, Decision::Skip(reason)) => Some(*reason),
            (Report::Unchanged { reason, .. }, _) => Some(*reason),
            (Report::Shadow(_), _) => Some(Reason::Shadow),
            _ => None,
        }
    }
}

/// The mail may not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// 5xx; else 4xx.
    pub reject: bool,
    /// The index of the rule that decided.
    pub rule: usize,
    /// For the log and the reply.
    pub text: String,
}

/// Runs a plan. The mail itself is not changed.
pub fn apply(
    policy: &Policy,
    mail: &Mail,
    plan: &Plan,
    limits: &Limits,
) -> Result<Applied, Stopped> {
    if let Some(rule) = plan
        .steps
        .iter()
        .position(|step| *step == Decision::RejectSealed)
    {
        return Err(Stopped {
            reject: true,
            rule,
            text: "signed or encrypted content is not accepted here".into(),
        });
    }
    let mut reports = vec![Report::AsPlanned; plan.steps.len()];
    let mut edited_mail: Option<Mail> = None;
    for scopes in [
        &[Scope::Original, Scope::Part][..],
        &[Scope::Whole],
        &[Scope::Seal],
    ] {
        let edited = {
            let current = edited_mail.as_ref().unwrap_or(mail);
            let mut pass = Pass {
                policy,
                plan,
                mail: current,
                edits: EditSet::new(&current.message),
                edited_by: Vec::new(),
                reports: &mut reports,
            };
            for scope in scopes {
                pass.run(*scope)?;
            }
            pass.prove(limits)?
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
    policy: &'p Policy,
    plan: &'p Plan,
    mail: &'p Mail,
    edits: EditSet<'p>,
    /// Indices of the rules whose edits are in the set.
    edited_by: Vec<usize>,
    reports: &'p mut Vec<Report>,
}

impl<'p> Pass<'p> {
    fn run(&mut self, scope: Scope) -> Result<(), Stopped> {
        for (index, (rule, step)) in self.policy.rules.iter().zip(&self.plan.steps).enumerate() {
            let Decision::Run(run) = step else { continue };
            if rule.kind.scope() != scope {
                continue;
            }
            let before = self.edits.clone();
            let report = match self.job(index, rule, run) {
                Ok(report) => report,
                Err(fault) if run.shadow && !matches!(fault, Fault::NotApplicable(_)) => {
                    Report::Unchanged {
                        reason: Reason::Fault,
                        notes: vec![fault.to_string()],
                    }
                }
                Err(fault) => answer(index, rule, fault)?,
            };
            let edited = matches!(report, Report::Edited { .. });
            if edited && !run.shadow {
                self.edited_by.push(index);
            } else {
                // A rule that fails leaves no edit behind, nor does one in shadow mode or one that reports none.
                self.edits = before;
            }
            let report = if run.shadow {
                Report::Shadow(Box::new(report))
            } else {
                report
            };
            if let Some(place) = self.reports.get_mut(index) {
                *place = report;
            }
        }
        Ok(())
    }

    /// Runs one job to its end; on a fault the edits made so far are the caller's to discard.
    fn job(&mut self, index: usize, rule: &'p Rule, run: &Run) -> Result<Report, Fault> {
        let parts: Vec<PartId> = run
            .parts
            .iter()
            .copied()
            .filter(|part| !self.edits.is_gone(*part))
            .collect();
        if parts.is_empty() && !run.parts.is_empty() {
            return Ok(Report::Unchanged {
                reason: Reason::Kept,
                notes: Vec::new(),
            });
        }
        let mut job = rule.plugin.begin(Task {
            mail: self.mail,
            rule: &rule.name,
            parts: &parts,
            beside: &run.beside,
            recipients: &self.plan.recipients,
            on_dkim: rule.on_dkim,
            variables: &self.policy.variables,
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
        for part in waiting {
            if finish.released.contains(part) {
                continue;
            }
            if !finish.taken.contains(part) {
                return Err(Fault::Permanent(
                    "a part was taken and not accounted for".into(),
                ));
            }
            match self.edits.remove_pruning(*part) {
                Ok(()) => {}
                // A mail that is nothing but the part: it was replaced in its place.
                Err(Refused::Root) if self.edits.is_replaced(*part) => {}
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
            .filter_map(|index| Some((self.policy.rules.get(*index)?.on_error, *index)))
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
                reject: on_error == OnError::Reject,
                rule,
                text,
            }),
        }
    }
}

/// What a fault means for the mail.
fn answer(index: usize, rule: &Rule, fault: Fault) -> Result<Report, Stopped> {
    let stop = |reject: bool, text: String| Stopped {
        reject,
        rule: index,
        text,
    };
    match fault {
        Fault::Temporary(text) => Err(stop(false, text)),
        Fault::Asked { reject, text } => Err(stop(reject, text)),
        Fault::NotApplicable(reason) => Ok(Report::Unchanged {
            reason,
            notes: Vec::new(),
        }),
        Fault::Permanent(text) => match rule.on_error {
            OnError::Defer => Err(stop(false, text)),
            OnError::Reject => Err(stop(true, text)),
            OnError::Pass => Ok(Report::Unchanged {
                reason: Reason::Fault,
                notes: vec![text],
            }),
        },
    }
}
