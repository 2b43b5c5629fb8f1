//! The contract between the engine and its plugins.
//!
//! Three lifetimes, so that nothing can leak from one mail into the next: a [`PluginKind`] is static, a [`Plugin`] is
//! built once per rule when the configuration is loaded and is read-only from then on, a [`Job`] lives for one rule
//! and one mail and is consumed by [`Job::finish`].
//!
//! Must never: name a concrete plugin, read a file, or turn a fault into a reply (only the engine does).

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::envelope::Path;
use crate::mail::Mail;
use crate::message::PartId;
use crate::message::edit::{Content, EditSet, Refused};
use crate::message::kept::AllKept;
use crate::message::text::NewBody;
use crate::observer::Observer;
use crate::reason::{OnDkim, OnSealed, Reason};
use crate::seals::SealKeys;
use crate::words;

mod options;

pub use options::{
    KeyFile, KeyInUse, KeyUse, OptionError, OptionSpec, Options, Secret, SecretOctets, Value,
    ValueKind, some,
};

/// When a plugin's jobs run. The scopes run in this order, the rules of one scope in the order of the file, so that
/// "sign, then edit" cannot be configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Sees the mail as it came, before any edit.
    Original,
    /// Edits parts.
    Part,
    /// Sees the rendered mail as a whole.
    Whole,
    /// Sees the final octets.
    Seal,
}

impl Scope {
    /// The word used in the manual.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Original => "original",
            Scope::Part => "part",
            Scope::Whole => "whole",
            Scope::Seal => "seal",
        }
    }
}

/// What a rule takes when it names no part filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultParts {
    /// No part at all: the plugin acts on the mail.
    Mail,
    /// The root, and with it all that is below it.
    Root,
    /// The text a reader sees as the mail's text.
    Body,
    /// True attachments; what the plugin further excludes it says in [`PluginKind::declines`].
    Attachments,
}

/// Which bulk mail (delivery reports, null sender, automatic replies, lists) a plugin leaves alone unless the rule
/// names the filter `bulk` itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BulkExemption {
    None,
    /// Only multipart/report.
    Reports,
    All,
}

words! {
    /// What becomes of the mail when a rule fails for good; the later, the stricter.
    #[derive(PartialOrd, Ord)]
    OnError {
        /// The mail goes on without this rule's edits.
        Pass = "pass",
        /// 4xx: the client keeps the mail.
        Defer = "defer",
        /// 5xx: the client returns the mail.
        Reject = "reject",
    }
}

/// A plugin that steers the walk of the rules instead of editing. The planner reads this, so that a plan stays pure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// An ordinary plugin with jobs.
    None,
    /// The walk ends, earlier edits are cancelled, the mail passes as it came.
    IgnoreMail,
    /// The parts taken are closed to all later rules; with `subtree` all below them too.
    Keep { subtree: bool },
}

/// What jobs take out of a mail so that nobody who gets it may have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgets {
    pub parts: bool,
    pub fields: bool,
}

/// A kind of plugin: one static value per plugin, one line in the registry.
pub trait PluginKind: Sync {
    /// The name in the configuration, snake_case.
    fn name(&self) -> &'static str;
    /// One line, without a full stop.
    fn summary(&self) -> &'static str;
    fn scope(&self) -> Scope;
    /// The options it knows, in the order of the manual.
    fn options(&self) -> &'static [OptionSpec];
    fn default_parts(&self) -> DefaultParts;
    /// May a rule of this kind take a multipart.
    fn takes_multiparts(&self) -> bool {
        false
    }
    /// Does it change octets: only then do sealed content, DKIM and bulk mail matter.
    fn edits(&self) -> bool {
        true
    }
    /// Does it move or remove parts whole, so that an explicit rule may give it a sealed part.
    fn moves_whole(&self) -> bool {
        false
    }
    /// Does it remove what its filters take, so that a part whose name cannot be read to its end is taken by default
    /// ([`crate::rule::Unsure`]).
    fn takes_unsure(&self) -> bool {
        false
    }
    /// Can it put what it has to say beside sealed content, so that a rule may say `on_sealed = "wrap"`.
    fn works_beside_seals(&self) -> bool {
        false
    }
    /// Does it edit fields of the mail's header too, so that its job runs also where it may have no part: on sealed content,
    /// kept parts and bulk mail.
    fn edits_fields(&self) -> bool {
        false
    }
    /// Does it vouch for the mail in the name of a domain, so that a rule of it should say whose mail that is.
    fn vouches(&self) -> bool {
        false
    }
    /// Do its jobs ask which octets of the mail as it came stand where in the edited one ([`Task::kept`]): for others nobody notes it.
    fn asks_what_was_kept(&self) -> bool {
        false
    }
    fn bulk_exemption(&self) -> BulkExemption {
        BulkExemption::None
    }
    fn default_on_error(&self) -> OnError {
        OnError::Pass
    }
    /// Parts it declines when a rule names no part filter, although [`DefaultParts`] covers them.
    fn declines(&self, _mail: &Mail, _part: PartId) -> bool {
        false
    }
    /// Builds the instance of one rule. The options have been checked against [`PluginKind::options`]; what is left
    /// are the mistakes that only the plugin can see, all of them at once.
    fn build(&self, options: &Options) -> Result<Box<dyn Plugin>, Vec<OptionError>>;
}

impl fmt::Debug for dyn PluginKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The instance of one rule: read-only, shared by all workers.
pub trait Plugin: fmt::Debug + Send + Sync {
    fn control(&self) -> Control {
        Control::None
    }
    /// Do its filters on parts also judge the parts of an enclosed message, which it then takes whole.
    fn looks_inside(&self) -> bool {
        false
    }
    /// What the administrator should know about its options although they are right; asked once, at load.
    fn warnings(&self) -> Vec<OptionError> {
        Vec::new()
    }
    /// The option by which it knows mail from inside by its client, with the networks of such clients.
    fn inside(&self) -> Option<(&'static str, &[IpNet])> {
        None
    }
    /// The directories that its jobs write to, each with the option that names it. They are looked at when a daemon starts, and
    /// nothing else is open to a worker for writing.
    fn directories(&self) -> Vec<(&'static str, PathBuf)> {
        Vec::new()
    }
    /// Does what its jobs do follow from who receives the mail ([`Task::recipients`])? Asked of the built instance: its templates
    /// are known then. Classes of recipients share no result of one that says so, and one that denies it is shown no recipient.
    fn reads_recipients(&self) -> bool {
        true
    }
    /// Does it put something into mails that a rule may require: what becomes, by its options, of a mail that cannot have it.
    /// `Pass` = as the rule's `on_error` says. `None` = it has nothing of the kind.
    fn requires(&self) -> Option<OnError> {
        None
    }
    /// Does it seal text of its own, or look for such seals: whether the keys are missed when there are none.
    fn needs_seal_keys(&self) -> bool {
        false
    }
    /// Will its job sign this mail with DKIM, so that a rule may say `on_dkim = "resign"`. Asked of the mail as it came.
    fn signs(&self, _mail: &Mail) -> bool {
        false
    }
    /// What its jobs take out that no other job shall repeat in the mail.
    fn forgets(&self) -> Forgets {
        Forgets::default()
    }
    /// The keys that its jobs sign with or encrypt to, as they stand at a time, seconds since 1970.
    fn keys(&self, _now: i64) -> Vec<KeyInUse> {
        Vec::new()
    }
    /// Are there recipients whom it cannot serve, for want of a key say ([`Plugin::reach`])? Then they are a class of their own.
    fn may_miss(&self) -> bool {
        false
    }
    /// Can it serve a recipient at a time, seconds since 1970; asked for each recipient of a mail if [`Plugin::may_miss`] says so.
    fn reach(&self, _recipient: &Path, _now: i64) -> Result<(), Missed> {
        Ok(())
    }
    /// Does what its jobs make tell whoever gets it who gets it with him, whatever the header says? Then recipients whom the header
    /// does not name get mails of their own.
    fn shows_recipients(&self) -> bool {
        false
    }
    /// Starts the job of one mail. Never called for plugins that steer the walk, which have no need to answer.
    fn begin<'a>(&'a self, _task: Task<'a>) -> Box<dyn Job + 'a> {
        Box::new(Idle)
    }
}

/// What a job is about. All of it was fixed by the plan.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// The mail as it came, or as the scopes before this one have left it.
    pub mail: &'a Mail,
    /// The mail as it came.
    pub original: &'a Mail,
    /// Where octets of the mail as it came stand in this one; empty unless the kind asks ([`PluginKind::asks_what_was_kept`]).
    pub kept: &'a AllKept,
    /// What the rules that edited it in earlier scopes took out for good.
    pub forgotten: Forgets,
    /// The name of the rule.
    pub rule: &'a str,
    /// The parts it takes, in document order. Those that an earlier rule took or removed are not among them.
    pub parts: &'a [PartId],
    /// Sealed parts that its filters took and that it shall put its text beside, in document order.
    pub beside: &'a [PartId],
    /// Parts that its filters took and that it may not touch: sealed, kept, or closed to it for another reason.
    pub left: &'a [(PartId, Reason)],
    /// No filter of the rule is on parts: they are those of the plugin's default.
    pub by_default: bool,
    /// Indices into the envelope's recipients: the class. None for a plugin that does not read them
    /// ([`Plugin::reads_recipients`]).
    pub recipients: &'a [usize],
    /// What becomes of a mail that cannot have what the rule puts in ([`crate::rule::Rule::on_failure`]).
    pub on_failure: OnError,
    /// What the rule says of sealed content.
    pub on_sealed: Option<OnSealed>,
    /// A text may name those of them too whom only the envelope names: recipients in secret.
    pub show_bcc: bool,
    /// What becomes of DKIM-Signature fields when the mail is edited.
    pub on_dkim: OnDkim,
    /// The texts of the configuration that templates may use.
    pub variables: &'a BTreeMap<String, String>,
    /// The rules that take part in this mail, for any of its recipients, in the order of the file.
    pub rules: &'a [&'a str],
    /// What the job may do to the world.
    pub effects: Effects,
    /// The keys by which text of ours is known again.
    pub seal_keys: &'a SealKeys,
}

impl<'a> Task<'a> {
    /// Of a rule without a name that takes no part of a mail as it came, for its first recipient, and changes nothing in the world: for
    /// whoever tries out what a rule would say.
    pub fn plain(mail: &'a Mail, variables: &'a BTreeMap<String, String>) -> Task<'a> {
        Task {
            mail,
            original: mail,
            kept: AllKept::NONE,
            forgotten: Forgets::default(),
            rule: "",
            parts: &[],
            beside: &[],
            left: &[],
            by_default: true,
            recipients: &[0],
            on_failure: OnError::Pass,
            on_sealed: None,
            show_bcc: false,
            on_dkim: OnDkim::Edit,
            variables,
            rules: &[],
            effects: Effects::None,
            seal_keys: SealKeys::NONE,
        }
    }
}

/// What comes to jobs from outside, whatever the mail.
#[derive(Clone, Copy, Debug)]
pub struct Means<'a> {
    pub effects: Effects,
    pub seal_keys: &'a SealKeys,
    pub observer: &'a dyn Observer,
}

impl From<Effects> for Means<'_> {
    /// Without keys, and unwatched.
    fn from(effects: Effects) -> Self {
        Means {
            effects,
            seal_keys: SealKeys::NONE,
            observer: &(),
        }
    }
}

/// May a job do anything but judge and edit the mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effects {
    /// The mail is on its way: what the rule keeps is written.
    Real,
    /// It is only asked what would be done (`mimicryd explain`, shadow mode): nothing is written, anywhere.
    None,
}

/// One rule at work on one mail.
pub trait Job {
    /// Judges one part of [`Task::parts`]; called once for each, in document order. `now` shows the part as the
    /// edits of earlier rules have left it. A job that needs no part by itself decides about all in [`Job::finish`].
    fn part(&mut self, _part: PartId, _now: &Content<'_>) -> Result<Verdict, Fault> {
        Ok(Verdict::Later)
    }

    /// Called once, after the last part, also when there was none. Must account for every part it took, by putting
    /// it into a new part ([`Finish::taken`]) or by giving it back ([`Finish::released`]).
    fn finish(self: Box<Self>, edits: &mut EditSet<'_>) -> Result<Finish, Fault>;
}

/// The job of a plugin that the planner carries out.
struct Idle;

impl Job for Idle {
    fn part(&mut self, _part: PartId, _now: &Content<'_>) -> Result<Verdict, Fault> {
        Ok(Verdict::Keep(Reason::Kept))
    }

    fn finish(self: Box<Self>, _edits: &mut EditSet<'_>) -> Result<Finish, Fault> {
        Ok(Finish::default())
    }
}

/// What a job wants done with one part.
#[derive(Debug)]
pub enum Verdict {
    /// The part stays as it is; the reason goes into the log when nothing else of the rule edits the mail.
    Keep(Reason),
    /// The job decides about this part in [`Job::finish`].
    Later,
    /// The part leaves the mail.
    Remove,
    /// The body is replaced; Content-Type's charset and Content-Transfer-Encoding follow.
    Replace(NewBody),
    /// The part leaves its place and goes into something that `finish` makes.
    Take,
}

/// The result of a job.
#[derive(Debug, Default)]
pub struct Finish {
    /// Parts with the verdict `Take` that are now in a new part.
    pub taken: Vec<PartId>,
    /// Parts with the verdict `Take` that stay where they are after all.
    pub released: Vec<PartId>,
    /// Parts that [`Job::finish`] itself edited, or beside which it put a new part.
    pub edited: Vec<PartId>,
    /// What was edited is that something of ours was taken off again.
    pub undone: bool,
    /// What a copy is called that was kept elsewhere.
    pub kept: Option<String>,
    /// Why nothing was edited, when nothing was.
    pub reason: Option<Reason>,
    /// What was done, in a few words for `explain` and `filter`: "bottom of 1.1, before </body>".
    pub notes: Vec<String>,
}

impl Finish {
    /// Nothing was edited, and why.
    pub fn unchanged(reason: Reason, notes: Vec<String>) -> Finish {
        Finish {
            reason: Some(reason),
            notes,
            ..Finish::default()
        }
    }
}

/// A recipient whom a rule cannot serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    /// What becomes of mail to him; `Pass` = it passes without what the rule would do.
    pub answer: OnError,
    /// For the client's reply and the log, complete.
    pub text: String,
}

/// Why a job could not do its work. The engine alone makes a reply of it.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Will pass: always a 4xx.
    #[error("{0}")]
    Temporary(String),
    /// There is no room to store what must be stored: always 452 (RFC 5321 section 4.2.3).
    #[error("{0}")]
    StorageFull(String),
    /// Will not pass: the rule's `on_error` decides.
    #[error("{0}")]
    Permanent(String),
    /// The mail would be larger than the next hop takes: as above, with the reason `limit`.
    #[error("{0}")]
    TooLarge(String),
    /// The rule cannot apply to this mail; the mail goes on, with the reason in the log.
    #[error("not applicable: {0}")]
    NotApplicable(Reason),
    /// The rule itself asked that such a mail be deferred or rejected.
    #[error("{text}")]
    Asked { reject: bool, text: String },
    /// Recipients cannot be served ([`Plugin::reach`]), and the rule asked that mail to them be deferred or rejected.
    #[error("{text}")]
    Missed { reject: bool, text: String },
}

impl Fault {
    /// The code in the log for a rule that failed and let the mail pass.
    pub fn reason(&self) -> Reason {
        match self {
            Fault::NotApplicable(reason) => *reason,
            Fault::TooLarge(_) => Reason::Limit,
            _ => Reason::Fault,
        }
    }
}

impl From<Refused> for Fault {
    /// The core refused an edit: sealed content stays sealed, anything else is a mistake of the plugin.
    fn from(refused: Refused) -> Fault {
        match refused {
            Refused::Sealed => Fault::NotApplicable(Reason::Sealed),
            other => Fault::Permanent(other.to_string()),
        }
    }
}
