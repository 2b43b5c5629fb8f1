//! Rules that see the same message, one after the other: the only place where jobs are called.
//!
//! Must never: let an edit stand that was not accounted for, or that the proof refuses.

use std::collections::{BTreeMap, BTreeSet};

use super::report::{Report, Reports, Stop, Stopped};
use crate::mail::Mail;
use crate::message::edit::{EditSet, Refused};
use crate::message::kept::AllKept;
use crate::message::render::{render, render_last, render_noting};
use crate::message::verify::verify;
use crate::message::{Limits, Message, PartId};
use crate::plugin::{Effects, Fault, Finish, Forgets, Job, Means, OnError, Scope, Task, Verdict};
use crate::policy::Policy;
use crate::reason::{OnDkim, Reason};
use crate::rule::Rule;
use crate::rule::plan::{Decision, Plan, Run};

/// One mail and what all of its classes share.
pub(super) struct Course<'c> {
    pub(super) policy: &'c Policy,
    pub(super) mail: &'c Mail,
    pub(super) limits: &'c Limits,
    pub(super) means: Means<'c>,
    /// The rules that take part, for any class.
    pub(super) rules: Vec<&'c str>,
    /// What became of the rules whose jobs see the mail as it came, by index.
    pub(super) originals: BTreeMap<usize, Result<Report, Stopped>>,
}

/// Rules that see the same message, one behind the other.
pub(super) struct Pass<'p> {
    pub(super) course: &'p Course<'p>,
    pub(super) plan: &'p Plan,
    pub(super) mail: &'p Mail,
    /// What is left of the octets that came, if a job of the plan asks.
    pub(super) kept: Option<&'p AllKept>,
    /// What rules of earlier scopes took out for good.
    pub(super) forgotten: Forgets,
    pub(super) edits: EditSet<'p>,
    /// Indices of the rules whose edits are in the set.
    pub(super) edited_by: Vec<usize>,
    pub(super) reports: &'p mut Reports,
}

/// What became of the parts that a job was shown.
#[derive(Default)]
struct Seen {
    edited: Vec<PartId>,
    /// They must be accounted for when the job ends.
    waiting: Vec<PartId>,
    /// Why the first of those that stay does.
    reason: Option<Reason>,
}

impl<'p> Pass<'p> {
    /// The rules of a scope, or only one of them, by its place.
    pub(super) fn run(&mut self, scope: Scope, only: Option<usize>) -> Result<(), Stopped> {
        let course = self.course;
        for (index, step) in self.plan.steps.iter() {
            let (Decision::Run(run), Some(rule)) = (step, course.policy.rules.get(index)) else {
                continue;
            };
            let is_meant = rule.kind.scope() == scope && only.is_none_or(|only| only == index);
            if !is_meant || course.originals.contains_key(&index) {
                continue;
            }
            let report = self.step(index, rule, run)?;
            self.reports.set(index, report);
        }
        Ok(())
    }

    /// One rule, to its report. The edits of one that fails are gone.
    pub(super) fn step(
        &mut self,
        index: usize,
        rule: &'p Rule,
        run: &Run,
    ) -> Result<Report, Stopped> {
        let before = self.edits.clone();
        let observer = self.course.means.observer;
        observer.at(Some(&rule.name));
        let done = self.job(index, rule, run);
        observer.at(None);
        let report = match done.and_then(|report| self.fit(report)) {
            Ok(report) => report.with_remarks(&run.remarks),
            Err(Fault::NotApplicable(reason)) if run.shadow => Report::Unchanged {
                reason,
                notes: Vec::new(),
            },
            Err(fault) if run.shadow => Report::Unchanged {
                reason: fault.reason(),
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

    /// A rule whose edit makes the mail larger than its next hop takes fails. A mail that came larger is for the next hop to judge.
    fn fit(&self, report: Report) -> Result<Report, Fault> {
        let came = self.course.mail.message.raw().len();
        let room = self.plan.room.filter(|room| came <= *room);
        let (Some(room), Report::Edited { .. }) = (room, &report) else {
            return Ok(report);
        };
        if self.edits.octets_due() <= room {
            return Ok(report);
        }
        let octets = render(&self.edits).len();
        match octets <= room {
            true => Ok(report),
            false => Err(Fault::TooLarge(format!(
                "the mail would have {octets} octets, and the next hop takes {room}"
            ))),
        }
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
        let mut job = rule.plugin.begin(self.task(rule, run, &parts, &left));
        let Seen {
            mut edited,
            waiting,
            reason,
        } = self.show(&mut *job, &parts)?;
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
        if edited.is_empty() {
            return Ok(unedited(rule, run, finish, reason));
        }
        if rule.on_dkim == OnDkim::Strip {
            self.edits
                .remove_fields(PartId::ROOT, "DKIM-Signature", |_| true)?;
        }
        Ok(Report::Edited {
            parts: edited,
            notes: finish.notes,
            undone: finish.undone,
        })
    }

    /// What the job is about.
    fn task<'a>(
        &self,
        rule: &'a Rule,
        run: &'a Run,
        parts: &'a [PartId],
        left: &'a [(PartId, Reason)],
    ) -> Task<'a>
    where
        'p: 'a,
    {
        Task {
            mail: self.mail,
            original: self.course.mail,
            kept: self.kept.unwrap_or(AllKept::NONE),
            forgotten: self.forgotten,
            rule: &rule.name,
            parts,
            beside: &run.beside,
            left,
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
        }
    }

    /// Shows the job its parts, and does what it says of each.
    fn show(&mut self, job: &mut (dyn Job + '_), parts: &[PartId]) -> Result<Seen, Fault> {
        let mut seen = Seen::default();
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
                Verdict::Keep(why) => seen.reason = seen.reason.or(Some(why)),
                Verdict::Later => {}
                Verdict::Remove => {
                    self.edits.remove_pruning(part)?;
                    seen.edited.push(part);
                }
                Verdict::Replace(body) => {
                    self.edits.replace_body(part, body)?;
                    seen.edited.push(part);
                }
                Verdict::Take => seen.waiting.push(part),
            }
        }
        Ok(seen)
    }

    /// The multiparts that keep rules above protect. Their children may leave when `subtree` is false, but pruning must
    /// not take the multipart along.
    fn kept_before(&self, index: usize) -> impl Iterator<Item = PartId> {
        let message = &self.mail.message;
        let kept = self
            .plan
            .steps
            .iter()
            .take_while(move |(rule, _)| *rule < index)
            .flat_map(|(_, step)| match step {
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

    /// Renders and proves, and says what was kept if somebody asks. `None` = there is nothing to render.
    pub(super) fn prove(mut self, limits: &Limits) -> Result<Option<(Message, AllKept)>, Stopped> {
        if self.edits.is_empty() {
            return Ok(None);
        }
        let (rendered, kept) = match self.kept {
            Some(_) => render_noting(&self.edits),
            None => (render_last(&mut self.edits), AllKept::default()),
        };
        let mismatch = match verify(&self.edits, rendered, limits) {
            Ok(message) => return Ok(Some((message, kept))),
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
                    let report = Report::Unchanged {
                        reason: Reason::Fault,
                        notes: vec![text.clone()],
                    };
                    self.reports.set(*index, report);
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

/// The report of a job that edited nothing.
fn unedited(rule: &Rule, run: &Run, finish: Finish, reason: Option<Reason>) -> Report {
    if rule.kind.edits() {
        let left = run.left.iter().map(|(_, reason)| *reason).next();
        // A job that got none of its parts can only say that there were none.
        let kept_out = left.filter(|_| run.parts.is_empty());
        return Report::Unchanged {
            reason: kept_out
                .or(finish.reason)
                .or(reason)
                .or(left)
                .unwrap_or(Reason::NoBody),
            notes: finish.notes,
        };
    }
    match finish.reason {
        Some(reason) => Report::Unchanged {
            reason,
            notes: finish.notes,
        },
        None => Report::Done {
            notes: finish.notes,
            kept: finish.kept,
        },
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
        Fault::Missed { reject: true, text } => Err(stop(Stop::RejectMissed, text)),
        Fault::Missed { text, .. } => Err(stop(Stop::DeferMissed, text)),
        Fault::NotApplicable(reason) if rule.required().is_some() => {
            let text = format!("the rule could not be carried out: {reason}");
            answer(index, rule, Fault::Permanent(text))
        }
        Fault::NotApplicable(reason) => Ok(Report::Unchanged {
            reason,
            notes: Vec::new(),
        }),
        Fault::Permanent(_) | Fault::TooLarge(_) => {
            let (reason, text) = (fault.reason(), fault.to_string());
            match rule.on_failure() {
                OnError::Defer => Err(stop(Stop::Defer, text)),
                OnError::Reject => Err(stop(Stop::Reject, text)),
                OnError::Pass => Ok(Report::Unchanged {
                    reason,
                    notes: vec![text],
                }),
            }
        }
    }
}
