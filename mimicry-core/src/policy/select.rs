//! Which banks apply, as far as is known, and which recipients are in one class.
//!
//! A bank is judged as soon as all that its `when` names is known; before that it is pending, unless something that is
//! known already speaks against it. So the settings needed at a moment are final at that moment: that a bank sets nothing
//! that is needed before its `when` is known is proved at load.
//!
//! Must never: keep anything between two questions.

use std::sync::Arc;

use super::memo::Memo;
use super::standing::Standing;
use super::{Bank, Banks, Choice};
use crate::envelope::Path;
use crate::mail::Mail;
use crate::origin::Origin;
use crate::plugin::Missed;
use crate::rule::facts::Facts;
use crate::rule::filter::{Filter, Level};
use crate::rule::index::Asked;
use crate::rule::plan;
use crate::rule::reach::{self, Named};

/// The keys of `when`, in the order of the manual.
pub const SELECTORS: &[&str] = &[
    "listener",
    "client",
    "auth_user",
    "sender",
    "sender_domain",
    "header_sender",
    "header_sender_domain",
    "recipient",
    "recipient_domain",
];

/// What is known of a transaction; `None` = not yet.
#[derive(Clone, Copy, Debug)]
pub struct Known<'k> {
    pub origin: &'k Origin,
    pub sender: Option<&'k Path>,
    pub recipient: Option<&'k Path>,
    /// Those of the message.
    pub facts: Option<&'k Facts<'k>>,
}

/// What a bank's `when` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    Holds,
    Pending,
    /// This key does not hold.
    Fails(&'static str),
    /// It has no `when`.
    Never,
}

/// Recipients that get the same mail by the same way.
#[derive(Clone, Debug)]
pub struct ClassOf {
    /// Indices into the recipients.
    pub recipients: Vec<usize>,
    /// The banks as they are known at RCPT.
    pub choice: Choice,
    /// Octets of the message at most that its next hop takes; `None` = any number, or nobody knows.
    pub room: Option<usize>,
    /// Its next hop takes no 8-bit octets, and the mail has some.
    pub needs_7bit: bool,
}

/// The class of a recipient: its banks, and the truth of the rules that depend on the recipient and may come to act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    pub choice: Choice,
    /// By their places among all that tell recipients apart: those whose `match` names this one and that hold, and of those where only
    /// `unless` names recipients the ones that this one is kept from.
    rules: Vec<usize>,
    /// Those that cannot serve him, by their places among all that may miss a recipient.
    missed: Vec<usize>,
}

impl Signature {
    /// Why a recipient of this class is refused when he is named, with what stands for it; `None` = he is not, or the message decides.
    pub fn refused(&self, standing: &Standing, named: &Named<'_>) -> Option<Missed> {
        let is_settled = self.choice.pending.is_empty() && !self.choice.awaits_header;
        match self.missed.is_empty() || !is_settled {
            true => None,
            false => named.refused(&standing.settings.policy),
        }
    }
}

impl<'k> Known<'k> {
    /// At the connection.
    pub fn at_connect(origin: &'k Origin) -> Known<'k> {
        Known {
            origin,
            sender: None,
            recipient: None,
            facts: None,
        }
    }

    /// At MAIL.
    pub fn at_mail(origin: &'k Origin, sender: &'k Path) -> Known<'k> {
        Known {
            sender: Some(sender),
            ..Known::at_connect(origin)
        }
    }

    /// At RCPT.
    pub fn at_rcpt(origin: &'k Origin, sender: &'k Path, recipient: &'k Path) -> Known<'k> {
        Known {
            recipient: Some(recipient),
            ..Known::at_mail(origin, sender)
        }
    }
}

impl<'k> Known<'k> {
    /// The same for an index.
    fn asked(&self, recipients: &'k [&'k Path]) -> Asked<'k> {
        Asked {
            origin: self.origin,
            sender: self.sender,
            recipients,
            facts: self.facts,
        }
    }
}

impl Bank {
    pub fn judge(&self, known: &Known<'_>) -> Selection {
        let Some(when) = &self.when else {
            return Selection::Never;
        };
        let mut verdict = Selection::Holds;
        for filter in when.iter() {
            match holds(filter, known) {
                Some(true) => {}
                Some(false) => return Selection::Fails(filter.spec().name),
                None => verdict = Selection::Pending,
            }
        }
        verdict
    }
}

/// `None` = not known yet.
fn holds(filter: &Filter, known: &Known<'_>) -> Option<bool> {
    match filter.level() {
        Level::Origin => Some(filter.holds_before_recipients(known.origin, &Path::default())),
        Level::Sender => known
            .sender
            .map(|sender| filter.holds_before_recipients(known.origin, sender)),
        Level::Recipient => known
            .recipient
            .map(|recipient| filter.holds_for_recipient(recipient)),
        Level::Mail | Level::Part => known.facts.map(|facts| filter.holds_for_mail(facts)),
    }
}

impl Banks {
    /// The banks of a transaction, as far as it is known. Those that wait for a sender or a recipient are not among the pending.
    pub fn choose(&self, known: &Known<'_>) -> Choice {
        let index = &self.indices.banks;
        let mut found = index.find(&known.asked(known.recipient.as_slice()));
        found.extend(index.always());
        if known.facts.is_some() {
            let of_header = &self.indices.of_header;
            found.extend(of_header.find(&known.asked(&[])));
            found.extend(of_header.always());
        }
        found.sort_unstable();
        let mut choice = Choice {
            awaits_header: known.facts.is_none() && !self.indices.awaiting_header.is_empty(),
            ..Choice::default()
        };
        for index in found
            .into_iter()
            .filter_map(|index| usize::try_from(index).ok())
        {
            match self.all().get(index).map(|bank| bank.judge(known)) {
                Some(Selection::Holds) => choice.applied.push(index),
                Some(Selection::Pending) => choice.pending.push(index),
                _ => {}
            }
        }
        choice
    }

    /// Octets of the largest mail that may come from a client, whoever sends it.
    pub fn largest_mail_from(&self, origin: &Origin) -> usize {
        let known = Known::at_connect(origin);
        let is_possible = |bank: &&usize| {
            let bank = self.all().get(**bank);
            bank.is_some_and(|bank| bank.judge(&known) == Selection::Pending)
        };
        let pending = self.indices.of_own_size.iter().filter(is_possible);
        self.largest_mail(&self.choose(&known).applied, pending.copied())
    }

    /// What was chosen at RCPT, now that the message is in.
    pub fn complete(&self, choice: &Choice, known: &Known<'_>) -> Choice {
        let mut pending = choice.pending.clone();
        if choice.awaits_header {
            let found = self.indices.of_header.find(&known.asked(&[]));
            let found = found.iter().chain(self.indices.of_header.always());
            pending.extend(found.filter_map(|index| usize::try_from(*index).ok()));
        }
        pending.retain(|index| {
            let bank = self.all().get(*index);
            bank.is_some_and(|bank| bank.judge(known) == Selection::Holds)
        });
        let mut applied = choice.applied.clone();
        applied.extend(pending);
        applied.sort_unstable();
        Choice {
            applied,
            ..Choice::default()
        }
    }
}

impl Memo {
    /// The class of a recipient, and what stands for it at RCPT.
    pub fn class(&self, banks: &Banks, named: &Named<'_>) -> (Signature, Arc<Standing>) {
        let known = Known::at_rcpt(named.origin, named.sender, named.recipient);
        let choice = banks.choose(&known);
        let standing = self.standing(banks, &choice);
        let candidates = &standing.candidates;
        let candidates = (candidates.rules.as_slice(), &candidates.shortlist);
        let rules = plan::signature(candidates, named);
        let missed = reach::missed(&standing.candidates.missing, named);
        let signature = Signature {
            choice,
            rules,
            missed,
        };
        (signature, standing)
    }

    /// All recipients by their classes, in the order of their first recipients.
    pub fn classes(&self, banks: &Banks, mail: &Mail) -> Vec<ClassOf> {
        let mut classes: Vec<(Signature, ClassOf)> = Vec::new();
        for (index, recipient) in mail.envelope.recipients.iter().enumerate() {
            let named = Named::of(mail, &recipient.path);
            let (signature, _) = self.class(banks, &named);
            match classes.iter_mut().find(|(known, _)| *known == signature) {
                Some((_, class)) => class.recipients.push(index),
                None => {
                    let class = ClassOf {
                        recipients: vec![index],
                        choice: signature.choice.clone(),
                        room: None,
                        needs_7bit: false,
                    };
                    classes.push((signature, class));
                }
            }
        }
        classes.into_iter().map(|(_, class)| class).collect()
    }
}
