//! One mail: judged by the rules, edited, handed to the next hop of each class of its recipients.
//!
//! The only place that catches a panic: a mail that breaks a plugin is answered by 451 and stays with its client.
//!
//! Must never: say 2xx before the next hop has, or hand on a mail that a rule stopped.
//!
//! Longer than 600 lines: the walk of one mail, and what is remembered of it, stand together.

use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mimicry_core::config::endpoint::Protocol;
use mimicry_core::engine::{self, Applied, Report, Stopped};
use mimicry_core::mail::Mail;
use mimicry_core::message::digest::Digest;
use mimicry_core::message::seven_bit::{Unfit, to_7bit};
use mimicry_core::message::{Limits, Message};
use mimicry_core::origin::Origin;
use mimicry_core::plugin::{Effects, Means};
use mimicry_core::policy::select::Signature;
use mimicry_core::policy::{Banks, Effective, Memo, Policy};
use mimicry_core::reply::{self, Reply};
use mimicry_core::rule::Reason;
use mimicry_core::rule::facts::Facts;
use mimicry_core::rule::plan::{Decision, Plan, plan_class};
use mimicry_core::seals::SealKeys;

use crate::clock;
use crate::logging;
use crate::logging::line::{MailLine, RuleWord, Times, millis, now};
use crate::relay::ledger::{Key, Ledger};
use crate::relay::{
    Answer, Answers, Cause, Line, Opening, Outgoing, Pool, Route, Size, Watch, outgoing_rcpt_params,
};
use crate::smtp::data::Received;
use crate::smtp::session::{DataPlan, Replies};

use super::{settle, trace};

/// Recipients that get the same mail by the same way, and the line that was opened for them.
pub struct Class {
    /// Its banks, and the truth of the rules that depend on the recipient.
    pub signature: Signature,
    /// At first those of RCPT; when the message is in, those of the banks that its header selects as well.
    pub settings: Arc<Effective>,
    pub route: Rc<Route>,
    /// Indices into the envelope.
    pub recipients: Vec<usize>,
    pub line: Option<Line>,
}

/// A mail that was received.
pub struct Job<'c> {
    pub banks: &'c Banks,
    pub memo: &'c Memo,
    pub seal_keys: &'c SealKeys,
    pub hostname: &'c str,
    /// What the client speaks.
    pub client: Protocol,
    /// By what it is judged.
    pub origin: Origin,
    /// By what it came: not what the client said of others.
    pub connection: Origin,
    /// For the log: an address or `unix`.
    pub peer: String,
    pub plan: DataPlan,
    pub received: Received,
    /// When its first recipient was named.
    pub began: Instant,
    /// When it must be over.
    pub limit: Option<Instant>,
}

/// What came of it.
pub struct Outcome {
    pub replies: Replies,
    pub lines: Vec<Logged>,
    pub edited: bool,
    pub octets_out: u64,
    pub panicked: bool,
    pub unsettled: Option<Unsettled>,
}

/// What the ledger is to be told when it is known whether the client got its reply.
pub struct Unsettled {
    mail: Mail,
    /// Who has the mail now: indices into the envelope.
    has: Vec<usize>,
    /// What the final reply makes superfluous.
    done_with: Vec<Key>,
}

impl Unsettled {
    /// A client that could not be told that its mail was taken will bring it again.
    pub fn settle(self, ledger: &Ledger, told: bool) {
        if told {
            ledger.consume(&self.done_with);
            return;
        }
        if !ledger.is_there() || !has_message_id(&self.mail) {
            return;
        }
        let keys = keys(&self.mail);
        let keys: Vec<Key> = (self.has.iter())
            .filter_map(|index| keys.get(*index).cloned())
            .collect();
        if let Err(error) = ledger.remember(&keys) {
            log::warn!("a mail may be doubled: the ledger cannot be written: {error}");
        }
    }
}

impl Outcome {
    /// Nobody was named, which the session does not let happen.
    fn nothing() -> Outcome {
        Outcome {
            replies: Reply::own(451, "4.3.0", "not handed on").into(),
            lines: Vec::new(),
            edited: false,
            octets_out: 0,
            panicked: false,
            unsettled: None,
        }
    }
}

/// A line of the log, to be written when it is known whether the client got its reply.
pub struct Logged(MailLine);

impl Logged {
    pub fn log(mut self, told: bool) {
        if !told {
            self.0
                .notes
                .push("the client has gone before the reply".into());
        }
        logging::mail(&self.0);
    }
}

/// Octets that the client declared in MAIL (RFC 1870).
pub fn declared_size(params: &[u8]) -> Option<u64> {
    params.split(|octet| *octet == b' ').find_map(|word| {
        let (keyword, value) = word.split_at_checked(5)?;
        keyword.eq_ignore_ascii_case(b"SIZE=").then_some(())?;
        std::str::from_utf8(value).ok()?.parse().ok()
    })
}

/// Judges, edits and relays for classes that have recipients. Their lines stay with the caller.
pub fn run(
    job: Job<'_>,
    classes: &mut [Class],
    pool: &mut Pool,
    ledger: &Ledger,
    watch: &mut dyn FnMut() -> Watch,
) -> Outcome {
    let Job {
        banks,
        memo,
        seal_keys,
        hostname,
        client,
        origin,
        connection,
        peer,
        plan: DataPlan { envelope, with, .. },
        received,
        began,
        limit,
    } = job;
    // Limits that are for the whole mail are known at MAIL, so all classes have the same.
    let limits = classes.first().map(|class| Arc::clone(&class.settings));
    let Some(limits) = limits.as_ref().map(|settings| &settings.limits) else {
        return Outcome::nothing();
    };
    let mut story = Story {
        to: envelope
            .recipients
            .iter()
            .map(|recipient| recipient.path.as_bytes().to_vec())
            .collect(),
        line: MailLine {
            id: id(),
            client: client_of(&origin, &connection, &peer),
            listener: origin.listener.clone().unwrap_or_default(),
            helo: origin.helo.clone().unwrap_or_default(),
            from: envelope.sender.as_bytes().to_vec(),
            size: received.message.len(),
            ..MailLine::default()
        },
        began,
        receive: began.elapsed(),
        judge: Duration::ZERO,
    };
    if received.changed.lone_lf > 0 || received.changed.lone_cr > 0 {
        let (lf, cr) = (received.changed.lone_lf, received.changed.lone_cr);
        story
            .line
            .notes
            .push(format!("bare newlines normalised: {lf} LF, {cr} CR"));
    }
    let judging = Instant::now();
    let judged = panic::catch_unwind(AssertUnwindSafe(|| {
        let mail = Mail {
            origin,
            envelope,
            message: Message::scan(received.message, &limits.message),
            received: clock::now(),
        };
        let means = Means {
            effects: Effects::Real,
            seal_keys,
        };
        let judged = judge(banks, memo, &mail, classes, means);
        (mail, judged)
    }));
    story.judge = judging.elapsed();
    let (mail, judged) = match judged {
        Ok(judged) => judged,
        Err(_) => {
            log::error!(
                "a panic while judging the mail {}; it is deferred",
                story.line.id
            );
            let reply = Reply::own(451, "4.3.0", "something went wrong here; try again");
            return story.end_all(reply, classes, None, true);
        }
    };
    for (class, judged) in classes.iter_mut().zip(&judged) {
        class.settings = Arc::clone(&judged.settings);
    }
    let hops = mail
        .message
        .root()
        .fields()
        .filter(|field| field.is("received"))
        .count();
    if hops > limits.hops {
        return story.end_all(
            Reply::own(
                554,
                "5.4.6",
                "too many hops: this mail goes round in a loop",
            ),
            classes,
            Some(&judged),
            false,
        );
    }
    // A mail that one class may not get is given to none: what the client hears is true of all its recipients.
    if let Some(stopped) = judged
        .iter()
        .find_map(|judged| (*judged.result).as_ref().err())
    {
        return story.end_all(stopped.reply(), classes, Some(&judged), false);
    }
    let date = clock::date_time(mail.received);
    let trace = trace::field(&connection, hostname, with, &story.line.id, &date);
    let mut hand = Hand {
        pool,
        mail: &mail,
        limits: &limits.message,
        limit,
        watch,
    };
    let used = classes.len();
    // An LMTP next hop may take the mail for some recipients of a class.
    let in_part = |class: &Class| class.route.replies_per_recipient() && class.recipients.len() > 1;
    let may_split = used > 1 || classes.iter().any(in_part);
    let memory = Memory::of(ledger, client, &mail, may_split);
    let mut ends = Ends {
        client,
        of_recipients: vec![None; mail.envelope.recipients.len()],
        of_classes: Vec::with_capacity(used),
    };
    for (index, (class, judged)) in classes.iter_mut().zip(&judged).enumerate() {
        let message = match &*judged.result {
            Ok(Applied {
                message: Some(message),
                ..
            }) => message,
            _ => &mail.message,
        };
        let outgoing = Outgoing {
            above: &trace::above(class.settings.trace.then_some(&trace), message),
            message: message.raw(),
        };
        let relaying = Instant::now();
        let (had, missing) = memory.split(&class.recipients);
        let answers = match (missing.is_empty(), had.is_empty()) {
            (true, _) => None,
            (false, true) => Some(hand.deliver(class, &missing, outgoing, message)),
            (false, false) => {
                // The next hop was asked for all of them.
                if let Some(line) = class.line.take() {
                    hand.pool.give(line);
                }
                Some(hand.deliver(class, &missing, outgoing, message))
            }
        };
        complain(&story.line.id, answers.as_ref());
        ends.class_ended(
            index,
            &had,
            &missing,
            answers,
            outgoing.octets(),
            relaying.elapsed(),
        );
        let is_last = ends.of_classes.len() == used;
        memory.remember(&ends, &missing, is_last);
    }
    let done_with = memory.done_with(&ends);
    story.end(mail, classes, &judged, ends, done_with)
}

/// For the log: whom a trusted client had the mail from, else the client.
fn client_of(origin: &Origin, connection: &Origin, peer: &str) -> String {
    match origin.client {
        client if client == connection.client => peer.to_string(),
        Some(client) => client.to_string(),
        None => "unknown".into(),
    }
}

/// What the rules make of the mail for one class.
struct Judged {
    settings: Arc<Effective>,
    plan: Plan,
    /// Shared by classes whose plans do the same.
    result: Rc<Result<Applied, Stopped>>,
}

fn judge(
    banks: &Banks,
    memo: &Memo,
    mail: &Mail,
    classes: &[Class],
    means: Means<'_>,
) -> Vec<Judged> {
    let facts = Facts::of(mail);
    let first = classes.first();
    let limits = first.map_or_else(Limits::default, |class| class.settings.limits.message);
    let settled = classes.iter().map(|class| {
        let first = class.recipients.first();
        let recipient = first.and_then(|index| mail.envelope.recipients.get(*index));
        let path = recipient.map(|recipient| &recipient.path);
        let standing = memo.settled(banks, &class.signature.choice, &facts, path);
        Arc::clone(&standing.settings)
    });
    let settled: Vec<Arc<Effective>> = settled.collect();
    let policies: Vec<&Policy> = settled.iter().map(|settings| &*settings.policy).collect();
    let plans = classes.iter().zip(&policies);
    let plans = plans.map(|(class, policy)| plan_class(policy, &facts, class.recipients.clone()));
    let plans: Vec<Plan> = plans.collect();
    let results = engine::apply_each(&policies, mail, &plans, &limits, means);
    let judged = settled.into_iter().zip(plans).zip(results);
    judged
        .map(|((settings, plan), result)| Judged {
            settings,
            plan,
            result,
        })
        .collect()
}

/// How it ended.
struct Ends {
    client: Protocol,
    of_recipients: Vec<Option<Reply>>,
    /// Those that have recipients, in their order.
    of_classes: Vec<ClassEnd>,
}

struct ClassEnd {
    /// Its index.
    class: usize,
    /// The worst of its replies.
    reply: Reply,
    /// It was handed on, and somebody has it.
    sent: bool,
    /// Some of its recipients have it and some have not.
    is_mixed: bool,
    /// Recipients who had it before.
    had: usize,
    octets: usize,
    relaying: Duration,
}

impl Ends {
    /// `answers` are for those who were missing; `None` = nobody was.
    fn class_ended(
        &mut self,
        class: usize,
        had: &[usize],
        missing: &[usize],
        answers: Option<Answers>,
        octets: usize,
        relaying: Duration,
    ) {
        let before = || Reply::own(250, "2.0.0", "the mail is there already");
        for index in had {
            self.put(*index, before());
        }
        let mut done = 0;
        if let Some(answers) = &answers {
            for (number, index) in missing.iter().enumerate() {
                if let Some(answer) = answers.of(number) {
                    done += usize::from(answer.is_done());
                    self.put(*index, answer.reply.clone());
                }
            }
        }
        let are_done = answers.as_ref().is_none_or(Answers::are_done);
        self.of_classes.push(ClassEnd {
            class,
            reply: answers.map_or_else(before, |answers| answers.merged().reply),
            sent: done > 0,
            is_mixed: !are_done && (done > 0 || !had.is_empty()),
            had: had.len(),
            octets,
            relaying,
        });
    }

    fn put(&mut self, index: usize, reply: Reply) {
        if let Some(place) = self.of_recipients.get_mut(index) {
            *place = Some(reply);
        }
    }

    fn replies(&self) -> Vec<Reply> {
        let unanswered = || Reply::own(451, "4.3.0", "not handed on");
        let replies = self.of_recipients.iter().cloned();
        replies
            .map(|reply| reply.unwrap_or_else(unanswered))
            .collect()
    }

    /// Who has the mail.
    fn has(&self) -> Vec<usize> {
        let numbered = self.of_recipients.iter().enumerate();
        numbered
            .filter(|(_, reply)| reply.as_ref().is_some_and(Reply::is_done))
            .map(|(index, _)| index)
            .collect()
    }
}

/// What the ledger knows of the mail in hand.
struct Memory<'l> {
    ledger: &'l Ledger,
    /// One per recipient; empty = nothing is known, and nothing need be remembered.
    keys: Vec<Key>,
    had: Vec<bool>,
}

impl<'l> Memory<'l> {
    /// The digest of a mail is made only where somebody may have it already, or where it may be that only some will.
    fn of(ledger: &'l Ledger, client: Protocol, mail: &Mail, may_split: bool) -> Memory<'l> {
        let is_needed = client == Protocol::Smtp
            && ledger.is_there()
            && (may_split || !ledger.is_empty())
            && has_message_id(mail);
        let keys = if is_needed { keys(mail) } else { Vec::new() };
        Memory {
            ledger,
            had: keys.iter().map(|key| ledger.has(key)).collect(),
            keys,
        }
    }

    /// Those who have the mail already, and those who have not.
    fn split(&self, recipients: &[usize]) -> (Vec<usize>, Vec<usize>) {
        let has = |index: &&usize| self.had.get(**index).copied().unwrap_or(false);
        (
            recipients.iter().filter(has).copied().collect(),
            recipients
                .iter()
                .filter(|index| !has(index))
                .copied()
                .collect(),
        )
    }

    /// Before the next class's final dot; behind the last one only if the client will come again.
    fn remember(&self, ends: &Ends, recipients: &[usize], is_last: bool) {
        if self.keys.is_empty() || (is_last && settle::is_final(&ends.replies())) {
            return;
        }
        let has = ends.has();
        let keys: Vec<Key> = recipients
            .iter()
            .filter(|index| has.contains(index))
            .filter_map(|index| self.keys.get(*index).cloned())
            .collect();
        if let Err(error) = self.ledger.remember(&keys) {
            log::warn!("a mail may be doubled: the ledger cannot be written: {error}");
        }
    }

    /// The entries that are superfluous when the client has its final reply.
    fn done_with(self, ends: &Ends) -> Vec<Key> {
        // Only an SMTP client has keys.
        if self.keys.is_empty() || settle::is_final(&ends.replies()) {
            self.keys
        } else {
            Vec::new()
        }
    }
}

fn keys(mail: &Mail) -> Vec<Key> {
    let digest = Digest::of(&mail.message);
    let envelope = &mail.envelope;
    envelope
        .recipients
        .iter()
        .map(|recipient| Key::of(&envelope.sender, &recipient.path, digest.as_bytes()))
        .collect()
}

/// Without one, two mails of the same words (a report that is sent every hour) could not be told apart.
fn has_message_id(mail: &Mail) -> bool {
    mail.message
        .root()
        .fields()
        .any(|field| field.is("message-id") && !field.value().trim_ascii().is_empty())
}

/// Hands messages to the next hop.
struct Hand<'h> {
    pool: &'h mut Pool,
    mail: &'h Mail,
    limits: &'h Limits,
    limit: Option<Instant>,
    watch: &'h mut dyn FnMut() -> Watch,
}

impl Hand<'_> {
    /// A next hop that went away while the client was still sending is addressed once more. `recipients` are those of the class
    /// that have not got the mail.
    fn deliver(
        &mut self,
        class: &mut Class,
        recipients: &[usize],
        mail: Outgoing<'_>,
        message: &Message,
    ) -> Answers {
        if let Some(line) = &mut class.line
            && line.is_usable()
        {
            let answers = send(line, mail, message, self.limits, self.watch);
            match &answers {
                Answers::All(answer) if answer.cause == Cause::Lost && !answer.is_doubtful => {}
                _ => return answers,
            }
        }
        match self.address_again(&class.route, recipients, mail.octets() as u64) {
            Ok(line) => {
                let line = class.line.insert(line);
                send(line, mail, message, self.limits, self.watch)
            }
            Err(answer) => Answers::All(answer),
        }
    }

    /// The recipients were promised to the client, so whatever the next hop now says against one is temporary.
    fn address_again(
        &mut self,
        route: &Route,
        recipients: &[usize],
        octets: u64,
    ) -> Result<Line, Answer> {
        let envelope = &self.mail.envelope;
        let temporary = |answer: Answer| Answer {
            reply: answer.reply.as_temporary(),
            ..answer
        };
        if (self.watch)() == Watch::Gone {
            return Err(Answer {
                reply: Reply::own(451, "4.4.2", "the client has gone"),
                cause: Cause::ClientGone,
                is_doubtful: false,
            });
        }
        let opening = Opening {
            origin: &self.mail.origin,
            sender: &envelope.sender,
            params: &envelope.sender_params,
            size: Size::Exact(octets),
            limit: self.limit,
        };
        let mut line = self.pool.begin(route, &opening).map_err(temporary)?;
        for recipient in recipients
            .iter()
            .filter_map(|index| envelope.recipients.get(*index))
        {
            let params = outgoing_rcpt_params(&recipient.params, line.capabilities());
            let answer = line.rcpt(&recipient.path, &params);
            if !answer.is_done() {
                self.pool.give(line);
                return Err(temporary(answer));
            }
        }
        Ok(line)
    }
}

/// No mail should come to that; which one did, somebody must look into.
fn complain(id: &str, answers: Option<&Answers>) {
    let mut answers = answers.into_iter().flat_map(Answers::iter);
    if let Some(answer) = answers.find(|answer| answer.cause == Cause::Unclean) {
        log::error!(
            "a fault of mimicry's own: the mail {id} is not handed on, and its client keeps it: {}",
            answer.reply
        );
    }
}

/// Gives a message to a next hop, in 7 bits if it takes no others. `message` is that of the mail.
fn send(
    line: &mut Line,
    mail: Outgoing<'_>,
    message: &Message,
    limits: &Limits,
    watch: &mut dyn FnMut() -> Watch,
) -> Answers {
    if !line.needs_7bit || mail.is_ascii() {
        return line.data(mail, watch);
    }
    match to_7bit(message, limits) {
        Ok(message) if mail.above.is_ascii() => {
            let mail = Outgoing {
                message: message.raw(),
                ..mail
            };
            line.data(mail, watch)
        }
        outcome => {
            let why = outcome.err().unwrap_or(Unfit::Header);
            let text = format!("the next hop takes no 8-bit content, and {why}");
            Answers::All(Answer {
                reply: Reply::own(554, "5.6.3", &text),
                cause: Cause::Own,
                is_doubtful: false,
            })
        }
    }
}

/// What is told of a mail.
struct Story {
    /// All recipients of the envelope, for the log.
    to: Vec<Vec<u8>>,
    line: MailLine,
    began: Instant,
    receive: Duration,
    judge: Duration,
}

impl Story {
    /// No class gets the mail.
    fn end_all(
        self,
        reply: Reply,
        classes: &[Class],
        judged: Option<&[Judged]>,
        panicked: bool,
    ) -> Outcome {
        let used = classes.len();
        let mut lines = Vec::with_capacity(used);
        for (at, class) in classes.iter().enumerate() {
            let judged = judged.and_then(|judged| judged.get(at));
            lines.push(self.line_of(
                class,
                (lines.len(), used),
                judged,
                &reply,
                None,
                Duration::ZERO,
            ));
        }
        Outcome {
            replies: reply.into(),
            lines,
            edited: false,
            octets_out: 0,
            panicked,
            unsettled: None,
        }
    }

    /// Each class has its end.
    fn end(
        self,
        mail: Mail,
        classes: &[Class],
        judged: &[Judged],
        ends: Ends,
        done_with: Vec<Key>,
    ) -> Outcome {
        let used = ends.of_classes.len();
        let mut lines: Vec<Logged> = Vec::with_capacity(used);
        let (mut edited, mut octets_out) = (false, 0u64);
        for end in &ends.of_classes {
            let Some((class, judged)) = classes.get(end.class).zip(judged.get(end.class)) else {
                continue;
            };
            let out = end.sent.then_some(end.octets);
            octets_out = octets_out.saturating_add(out.unwrap_or(0) as u64);
            edited |= matches!(
                &*judged.result,
                Ok(Applied {
                    message: Some(_),
                    ..
                })
            );
            let place = (lines.len(), used);
            let mut logged =
                self.line_of(class, place, Some(judged), &end.reply, out, end.relaying);
            if end.is_mixed {
                logged.0.status = "partial";
            }
            if end.had > 0 {
                let note = format!("delivered before: {} of its recipients", end.had);
                logged.0.notes.push(note);
            }
            lines.push(logged);
        }
        let has = ends.has();
        let recipients = &mail.envelope.recipients;
        let of_recipients = ends.replies();
        if !has.is_empty() && has.len() < recipients.len() && ends.client == Protocol::Smtp {
            for logged in &mut lines {
                let note = "partial: other recipients have the mail already";
                logged.0.notes.push(note.into());
            }
        }
        Outcome {
            replies: settle::replies(ends.client, recipients, of_recipients),
            lines,
            edited,
            octets_out,
            panicked: false,
            unsettled: (ends.client == Protocol::Smtp
                && (!has.is_empty() || !done_with.is_empty()))
            .then_some(Unsettled {
                mail,
                has,
                done_with,
            }),
        }
    }

    fn line_of(
        &self,
        class: &Class,
        place: (usize, usize),
        judged: Option<&Judged>,
        reply: &Reply,
        out: Option<usize>,
        relaying: Duration,
    ) -> Logged {
        let status = match reply.class() {
            reply::Class::Done => "sent",
            reply::Class::Permanent => "rejected",
            _ => "deferred",
        };
        let (number, of) = place;
        Logged(MailLine {
            time: now(),
            to: class
                .recipients
                .iter()
                .filter_map(|index| self.to.get(*index).cloned())
                .collect(),
            out,
            bank: class.settings.path.clone(),
            relay: class.route.next_hop.to_string(),
            class: format!("{}/{of}", number.saturating_add(1)),
            rules: judged.map_or_else(Vec::new, rule_words),
            notes: [
                self.line.notes.clone(),
                judged.map_or_else(Vec::new, remarks),
            ]
            .concat(),
            status,
            reply: reply.to_string(),
            times: Times {
                receive: millis(self.receive),
                judge: millis(self.judge),
                relay: millis(relaying),
                total: millis(self.began.elapsed()),
            },
            ..self.line.clone()
        })
    }
}

/// What the plan remarked on the parts that rules took: names that readers see differently or that cannot be read.
fn remarks(judged: &Judged) -> Vec<String> {
    /// The rest is for explain.
    const MOST: usize = 4;
    let rules = judged.settings.policy.rules.iter();
    let of_rule = rules.zip(&judged.plan.steps).flat_map(|(rule, step)| {
        let remarks = match step {
            Decision::Run(run) => run.remarks.as_slice(),
            _ => &[],
        };
        remarks
            .iter()
            .map(|remark| format!("{}: {remark}", rule.name))
    });
    of_rule.take(MOST).collect()
}

/// What each rule did, as far as it had to do with the mail.
fn rule_words(judged: &Judged) -> Vec<RuleWord> {
    let reports = (*judged.result)
        .as_ref()
        .map(|applied| applied.reports.as_slice())
        .unwrap_or_default();
    let mut words = Vec::new();
    for (index, (rule, step)) in judged
        .settings
        .policy
        .rules
        .iter()
        .zip(&judged.plan.steps)
        .enumerate()
    {
        let stopped = (*judged.result)
            .as_ref()
            .is_err_and(|stopped| stopped.rule == index);
        let report = reports.get(index);
        let did = match (report, step) {
            _ if stopped => Some("stopped"),
            (Some(Report::Edited { .. }), _) => Some("edited"),
            (Some(Report::Done { .. }), _) => Some("done"),
            (_, Decision::IgnoreMail) => Some("ignores"),
            (_, Decision::Keep(_)) => Some("keeps"),
            (Some(report), _) => report.reason(step).map(Reason::code),
            (None, Decision::Skip(reason)) => Some(reason.code()),
            (None, _) => None,
        };
        words.extend(did.map(|did| RuleWord {
            rule: rule.name.clone(),
            did: did.into(),
        }));
    }
    words
}

/// Ten letters that no other mail has. Not from a generator that a fork would repeat.
fn id() -> String {
    const LETTERS: &[u8; 32] = b"0123456789bcdfghjklmnpqrstvwxyzB";
    // Without a random number the clock must do: the id is for people who read logs.
    let mut bits = getrandom::u64().unwrap_or_else(|_| {
        Instant::now().elapsed().as_nanos() as u64 ^ u64::from(std::process::id())
    });
    let mut id = String::with_capacity(10);
    for _ in 0..10 {
        id.push(char::from(
            LETTERS.get((bits & 31) as usize).copied().unwrap_or(b'0'),
        ));
        bits >>= 5;
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_sizes() {
        for (params, size) in [
            (&b"SIZE=100"[..], Some(100)),
            (b"BODY=8BITMIME size=7", Some(7)),
            (b"", None),
            (b"SIZE=x", None),
            (b"XSIZE=1", None),
        ] {
            assert_eq!(declared_size(params), size);
        }
    }

    #[test]
    fn ids_differ_and_are_words() {
        let ids: std::collections::HashSet<String> = (0..1000).map(|_| id()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(
            ids.iter()
                .all(|id| id.len() == 10 && id.bytes().all(|octet| octet.is_ascii_alphanumeric()))
        );
    }
}
