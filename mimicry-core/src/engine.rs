//! The engine: plans and applies the rules. The only place where jobs are called, and the only one that turns a fault
//! into an answer.
//!
//! Must never: speak to a socket, look at a clock, or let a mail out that [`verify`] has not proved.

mod divide;
mod pass;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use crate::mail::Mail;
use crate::message::edit::EditSet;
use crate::message::kept::AllKept;
use crate::message::seven_bit::to_7bit_noting;
use crate::message::{Limits, Message};
use crate::plugin::{Forgets, Means, Scope};
use crate::policy::{Banks, Choice, ClassOf, Effective, Known, Memo, Policy};
use crate::reason::Reason;
use crate::rule::facts::Facts;
use crate::rule::plan::{Decision, Plan, Run, plan_class};
use crate::rule::{Mode, Rule};

use divide::divide;
use pass::{Course, Pass};
pub use report::{Applied, Report, Reports, Stop, Stopped};

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
/// these classes ([`Memo::classes`]), in their order. The mail itself is not changed. A class whose recipients must not learn of each
/// other is divided: for each group of them there is one more result.
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
    let mut settled: Vec<(Choice, Arc<Effective>, Plan)> = Vec::with_capacity(classes.len());
    for class in classes {
        let (choice, settings) = settled_of(banks, memo, &facts, class);
        let mut plan = Plan {
            room: class.room,
            needs_7bit: class.needs_7bit,
            ..plan_class(&settings.policy, &facts, class.recipients.clone())
        };
        let others = divide(&settings, &facts, &mut plan);
        settled.push((choice, settings, plan));
        for plan in others {
            if let Some((choice, settings, _)) = settled.last() {
                settled.push((choice.clone(), Arc::clone(settings), plan));
            }
        }
    }
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

/// What becomes of a mail that no rule may see, and of which nothing is asked: it passes as it came. For each of these classes, with
/// the settings that were chosen for it at RCPT.
pub fn pass_unjudged(classes: &[(ClassOf, Arc<Effective>)], why: Reason) -> Vec<Judged> {
    let pass = |(class, settings): &(ClassOf, Arc<Effective>)| {
        let rules = settings.policy.rules.iter().enumerate();
        let steps = rules
            .map(|(index, rule)| match rule.mode {
                Mode::Off => (index, Decision::Off),
                _ => (index, Decision::Skip(why)),
            })
            .collect();
        Judged {
            choice: class.choice.clone(),
            settings: Arc::clone(settings),
            result: Rc::new(Ok(Applied {
                message: None,
                reports: Reports::default(),
            })),
            plan: Plan {
                recipients: class.recipients.clone(),
                room: class.room,
                needs_7bit: class.needs_7bit,
                steps,
                ended_by: None,
            },
        }
    };
    classes.iter().map(pass).collect()
}

/// The banks of a class, now that the message is in. Its recipients agree on every bank.
fn settled_of(
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
    let reads = |(index, step): (usize, &Decision)| {
        let rule = policy.rules.get(index);
        matches!(step, Decision::Run(_))
            && rule.is_some_and(|rule| !runs_once(rule) && rule.plugin.reads_recipients())
    };
    one.same_effect(other) && !one.steps.iter().any(reads)
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

impl<'c> Course<'c> {
    fn new(
        policy: &'c Policy,
        mail: &'c Mail,
        plans: &[&Plan],
        limits: &'c Limits,
        means: Means<'c>,
    ) -> Course<'c> {
        let acts = |step: &Decision| {
            matches!(step, Decision::Run(run) if !run.shadow)
                || matches!(step, Decision::IgnoreMail | Decision::Keep(_))
        };
        let steps = plans.iter().flat_map(|plan| plan.steps.iter());
        let acting: BTreeSet<usize> = (steps.filter(|(_, step)| acts(step)))
            .map(|(index, _)| index)
            .collect();
        let rules = acting
            .into_iter()
            .filter_map(|index| policy.rules.get(index));
        let mut course = Course {
            policy,
            mail,
            limits,
            means,
            rules: rules.map(|rule| rule.name.as_str()).collect(),
            originals: BTreeMap::new(),
        };
        course.run_originals(plans);
        course
    }

    /// Once for all classes, so that a mail that splits is not archived twice.
    fn run_originals(&mut self, plans: &[&Plan]) {
        let visited: BTreeSet<usize> = (plans.iter())
            .flat_map(|plan| plan.steps.iter().map(|(index, _)| index))
            .collect();
        for index in visited {
            let Some(rule) = (self.policy.rules.get(index)).filter(|rule| runs_once(rule)) else {
                continue;
            };
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
            let mut reports = Reports::default();
            let mut pass = Pass {
                course: self,
                plan: &plan,
                mail: self.mail,
                kept: None,
                forgotten: Forgets::default(),
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
fn rejects(plan: &Plan) -> Option<Stopped> {
    let mut steps = plan.steps.iter();
    steps.find_map(|(rule, step)| {
        let (stop, text) = match step {
            Decision::RejectSealed => (
                Stop::Reject,
                "signed or encrypted content is not accepted here".into(),
            ),
            Decision::RejectUnsure(why) => (
                Stop::Reject,
                format!("mail that programs read differently is not accepted here ({why})"),
            ),
            Decision::RejectCopies(why) => (Stop::TooLarge, why.clone()),
            _ => return None,
        };
        Some(Stopped { stop, rule, text })
    })
}

/// The plan of one class.
fn run_plan(course: &Course<'_>, plan: &Plan) -> Result<Applied, Stopped> {
    if let Some(stopped) = rejects(plan) {
        return Err(stopped);
    }
    let mail = course.mail;
    let mut reports = Reports::default();
    for (index, result) in &course.originals {
        if let Some(Decision::Run(_)) = plan.steps.get(*index) {
            reports.set(*index, result.clone()?);
        }
    }
    let mut message: Option<Message> = None;
    let mut kept =
        asks_what_was_kept(course.policy, plan).then(|| AllKept::whole(mail.message.raw().len()));
    for round in rounds(course.policy, plan) {
        if round == Round::Scopes(&[Scope::Seal])
            && plan.needs_7bit
            && seals(course.policy, plan).any(|run| !run.shadow)
        {
            let current = message.as_ref().unwrap_or(&mail.message);
            if let Some((new, then)) = in_7bit(current, course.limits) {
                kept = kept.map(|kept| kept.followed_by(&then));
                message = Some(new);
            }
        }
        let edited_mail = message.take().map(|message| mail.with(message));
        let edited = {
            let current = edited_mail.as_ref().unwrap_or(mail);
            let mut pass = Pass {
                course,
                plan,
                mail: current,
                kept: kept.as_ref(),
                forgotten: forgotten(course.policy, plan, &reports),
                edits: EditSet::new(&current.message),
                edited_by: Vec::new(),
                reports: &mut reports,
            };
            match round {
                Round::Scopes(scopes) => {
                    for scope in scopes {
                        pass.run(*scope, None)?;
                    }
                }
                Round::Whole(rule) => pass.run(Scope::Whole, Some(rule))?,
            }
            pass.prove(course.limits)?
        };
        message = match edited {
            Some((new, then)) => {
                kept = kept.map(|kept| kept.followed_by(&then));
                Some(new)
            }
            None => edited_mail.map(|mail| mail.message),
        };
    }
    Ok(Applied { message, reports })
}

/// Rules that see the same message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Round {
    Scopes(&'static [Scope]),
    /// One rule for the mail as a whole, by its place: the next sees what it has made.
    Whole(usize),
}

fn rounds(policy: &Policy, plan: &Plan) -> Vec<Round> {
    let mut rounds = vec![Round::Scopes(&[Scope::Original, Scope::Part])];
    let whole = runs(policy, plan).filter(|(_, rule, _)| rule.kind.scope() == Scope::Whole);
    rounds.extend(whole.map(|(index, ..)| Round::Whole(index)));
    if seals(policy, plan).next().is_some() {
        rounds.push(Round::Scopes(&[Scope::Seal]));
    }
    rounds
}

/// The jobs of the plan, with their rules and the places of these.
fn runs<'p>(
    policy: &'p Policy,
    plan: &'p Plan,
) -> impl Iterator<Item = (usize, &'p Rule, &'p Run)> {
    plan.steps.iter().filter_map(|(index, step)| match step {
        Decision::Run(run) => Some((index, &**policy.rules.get(index)?, run)),
        _ => None,
    })
}

/// Those that see the final octets.
fn seals<'p>(policy: &'p Policy, plan: &'p Plan) -> impl Iterator<Item = &'p Run> {
    let seals = runs(policy, plan).filter(|(_, rule, _)| rule.kind.scope() == Scope::Seal);
    seals.map(|(.., run)| run)
}

/// What the rules that edited so far took out for good.
fn forgotten(policy: &Policy, plan: &Plan, reports: &Reports) -> Forgets {
    let edited = runs(policy, plan)
        .filter(|(index, _, run)| !run.shadow && matches!(reports[*index], Report::Edited { .. }));
    edited.fold(Forgets::default(), |all, (_, rule, _)| {
        let Forgets { parts, fields } = rule.plugin.forgets();
        let encrypts = rule.encrypts();
        Forgets {
            parts: all.parts || parts || encrypts,
            fields: all.fields || fields || encrypts,
        }
    })
}

/// Does a job of the plan ask which octets were there before the edits.
fn asks_what_was_kept(policy: &Policy, plan: &Plan) -> bool {
    runs(policy, plan).any(|(_, rule, _)| rule.kind.asks_what_was_kept())
}

/// The message in 7 bits, if it is not, and can be: whoever hands it on says what becomes of one that cannot.
fn in_7bit(message: &Message, limits: &Limits) -> Option<(Message, AllKept)> {
    if message.raw().is_ascii() {
        return None;
    }
    to_7bit_noting(message, limits).ok()
}
