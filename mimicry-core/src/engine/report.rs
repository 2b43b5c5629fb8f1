//! The result of a plan: the new message and what each rule did, or why the mail may not pass.
//!
//! Must never: hold more of the mail than the result.

use std::collections::BTreeMap;
use std::ops::Index;

use crate::message::{Message, PartId};
use crate::reason::Reason;
use crate::reply::{Own, Reply};
use crate::rule::plan::Decision;

/// What came of a plan.
#[derive(Debug)]
pub struct Applied {
    /// The new message, proved; `None` = nothing was edited, and the octets as they came are the result.
    pub message: Option<Message>,
    pub reports: Reports,
}

/// What each rule did, by its place in the policy. Those that did not come to their job are not there: a policy may have thousands of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reports(BTreeMap<usize, Report>);

impl Reports {
    pub(super) fn set(&mut self, rule: usize, report: Report) {
        self.0.insert(rule, report);
    }

    /// Of the rules that came to their job, in the order of the policy.
    pub fn iter(&self) -> impl Iterator<Item = &Report> {
        self.0.values()
    }
}

impl Index<usize> for Reports {
    type Output = Report;

    fn index(&self, rule: usize) -> &Report {
        self.0.get(&rule).unwrap_or(&Report::AsPlanned)
    }
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
        /// It took off what it had put on another mail.
        undone: bool,
    },
    /// Its job ran and changed nothing that this mail shows: a copy was kept, say.
    Done {
        notes: Vec<String>,
        /// What the copy is called.
        kept: Option<String>,
    },
    /// Its job ran and did not edit.
    Unchanged { reason: Reason, notes: Vec<String> },
    /// In shadow mode: what it would have done.
    Shadow(Box<Report>),
}

impl Report {
    /// With what the plan had to remark.
    pub(super) fn with_remarks(mut self, remarks: &[String]) -> Report {
        if let Report::Edited { notes, .. }
        | Report::Done { notes, .. }
        | Report::Unchanged { notes, .. } = &mut self
        {
            notes.extend_from_slice(remarks);
        }
        self
    }

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
    pub stop: Stop,
    /// The index of the rule that decided.
    pub rule: usize,
    /// For the log and the reply.
    pub text: String,
}

/// What the client is to do with a mail that may not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Keep it and try again.
    Defer,
    /// Keep it and try again: there is no room to store what must be stored.
    StorageFull,
    /// Return it.
    Reject,
    /// Return it: there would be too much of it.
    TooLarge,
    /// Keep it and try again: a recipient cannot be served.
    DeferMissed,
    /// Return it: a recipient cannot be served.
    RejectMissed,
}

impl Stopped {
    pub fn is_reject(&self) -> bool {
        matches!(
            self.stop,
            Stop::Reject | Stop::TooLarge | Stop::RejectMissed
        )
    }

    /// What the client hears.
    pub fn reply(&self) -> Reply {
        let own = match self.stop {
            Stop::Defer => Own::RuleDefers,
            Stop::StorageFull => Own::RuleHasNoRoom,
            Stop::Reject => Own::RuleRejects,
            Stop::TooLarge => Own::CopiesTooLarge,
            Stop::DeferMissed => Own::RecipientMissedYet,
            Stop::RejectMissed => Own::RecipientMissed,
        };
        own.with(&self.text)
    }
}
