//! One mail: judged by the rules, edited, handed to the next hop of each class of its recipients.
//!
//! The only place that catches a panic: a mail that breaks a plugin is answered by 451 and stays with its client.
//!
//! Must never: say 2xx before the next hop has, or hand on a mail that a rule stopped.

use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::time::{Duration, Instant};

use mimicry_core::config::typed::Config;
use mimicry_core::engine::{self, Applied, Report, Stopped};
use mimicry_core::envelope::Envelope;
use mimicry_core::mail::Mail;
use mimicry_core::message::Message;
use mimicry_core::origin::Origin;
use mimicry_core::printable::Printable;
use mimicry_core::reply::{self, Reply};
use mimicry_core::rule::Reason;
use mimicry_core::rule::facts::Facts;
use mimicry_core::rule::plan::{Decision, Plan, plan_class};

use crate::clock;
use crate::logging;
use crate::logging::line::{MailLine, RuleWord, Times, millis, now};
use crate::relay::{
    Answer, Cause, Line, Opening, Outgoing, Pool, Route, Size, Watch, outgoing_rcpt_params,
};
use crate::smtp::data::Received;
use crate::smtp::session::{DataPlan, Replies};

use super::trace;

/// Recipients that get the same mail, and the line that was opened for them.
pub struct Class {
    /// The truth of the rules that depend on the recipient.
    pub signature: Vec<bool>,
    /// Indices into the envelope.
    pub recipients: Vec<usize>,
    pub line: Option<Line>,
}

/// A mail that was received.
pub struct Job<'c> {
    pub config: &'c Config,
    pub hostname: &'c str,
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
        log::info!(target: logging::MAIL, "{}", self.0.compose(logging::format()));
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

/// Judges, edits and relays. The lines of the classes stay with the caller.
pub fn run(
    job: Job<'_>,
    classes: &mut [Class],
    pool: &mut Pool,
    route: &Route,
    watch: &mut dyn FnMut() -> Watch,
) -> Outcome {
    let Job {
        config,
        hostname,
        origin,
        connection,
        peer,
        plan: DataPlan { envelope, with, .. },
        received,
        began,
        limit,
    } = job;
    let mut story = Story {
        config,
        to: envelope
            .recipients
            .iter()
            .map(|recipient| recipient.path.to_string())
            .collect(),
        line: MailLine {
            id: id(),
            client: client_of(&origin, &connection, &peer),
            listener: origin.listener.clone().unwrap_or_default(),
            helo: Printable(origin.helo.as_deref().unwrap_or_default()).to_string(),
            from: envelope.sender.to_string(),
            size: received.message.len(),
            bank: "base".into(),
            relay: route.next_hop.to_string(),
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
        judge(config, origin, envelope, received.message, classes)
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
    let hops = mail
        .message
        .root()
        .fields()
        .filter(|field| field.is("received"))
        .count();
    if hops > config.limits.hops {
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
        let reply = match stopped.reject {
            true => Reply::own(554, "5.7.1", &stopped.text),
            false => Reply::own(451, "4.3.0", &stopped.text),
        };
        return story.end_all(reply, classes, Some(&judged), false);
    }
    let trace = config.trace.then(|| {
        trace::field(
            &connection,
            hostname,
            with,
            &story.line.id,
            &clock::date_time(mail.received),
        )
    });
    let mut hand = Hand {
        pool,
        route,
        mail: &mail,
        limit,
        watch,
    };
    let mut answers = Vec::with_capacity(classes.len());
    for (class, judged) in classes.iter_mut().zip(&judged) {
        if class.recipients.is_empty() {
            answers.push(None);
            continue;
        }
        let message = match &*judged.result {
            Ok(Applied {
                message: Some(message),
                ..
            }) => message,
            _ => &mail.message,
        };
        let outgoing = Outgoing {
            above: &trace::above(trace.as_deref(), message),
            message: message.raw(),
        };
        let relaying = Instant::now();
        let answer = hand.deliver(class, outgoing);
        answers.push(Some((answer, outgoing.octets(), relaying.elapsed())));
    }
    story.end(&mail.envelope, classes, &judged, answers)
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
    plan: Plan,
    /// Shared by classes whose plans do the same.
    result: Rc<Result<Applied, Stopped>>,
}

fn judge(
    config: &Config,
    origin: Origin,
    envelope: Envelope,
    message: Vec<u8>,
    classes: &[Class],
) -> (Mail, Vec<Judged>) {
    let mail = Mail {
        origin,
        envelope,
        message: Message::scan(message, &config.limits.message),
        received: clock::now(),
    };
    let facts = Facts::of(&mail);
    let mut judged: Vec<Judged> = Vec::with_capacity(classes.len());
    for class in classes {
        let plan = plan_class(&config.policy, &facts, class.recipients.clone());
        let same = judged.iter().find(|other| other.plan.same_effect(&plan));
        let result = match same {
            Some(other) => Rc::clone(&other.result),
            None => Rc::new(engine::apply(
                &config.policy,
                &mail,
                &plan,
                &config.limits.message,
            )),
        };
        judged.push(Judged { plan, result });
    }
    drop(facts);
    (mail, judged)
}

/// Hands messages to the next hop.
struct Hand<'h> {
    pool: &'h mut Pool,
    route: &'h Route,
    mail: &'h Mail,
    limit: Option<Instant>,
    watch: &'h mut dyn FnMut() -> Watch,
}

impl Hand<'_> {
    /// A next hop that went away while the client was still sending is addressed once more.
    fn deliver(&mut self, class: &mut Class, mail: Outgoing<'_>) -> Answer {
        if let Some(line) = &mut class.line
            && line.is_usable()
        {
            if line.needs_7bit && !mail.is_ascii() {
                return needs_conversion();
            }
            let answer = line.data(mail, self.watch).merged();
            if answer.cause != Cause::Lost || answer.is_doubtful {
                return answer;
            }
        }
        match self.address_again(class, mail.octets() as u64) {
            Ok(line) => {
                let line = class.line.insert(line);
                if line.needs_7bit && !mail.is_ascii() {
                    return needs_conversion();
                }
                line.data(mail, self.watch).merged()
            }
            Err(answer) => answer,
        }
    }

    /// The recipients were promised to the client, so whatever the next hop now says against one is temporary.
    fn address_again(&mut self, class: &mut Class, octets: u64) -> Result<Line, Answer> {
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
        let mut line = self.pool.begin(self.route, &opening).map_err(temporary)?;
        for recipient in class
            .recipients
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

fn needs_conversion() -> Answer {
    Answer {
        reply: Reply::own(554, "5.6.3", "the next hop takes no 8-bit content"),
        cause: Cause::Own,
        is_doubtful: false,
    }
}

/// What is told of a mail.
struct Story<'c> {
    config: &'c Config,
    /// All recipients of the envelope, for the log.
    to: Vec<String>,
    line: MailLine,
    began: Instant,
    receive: Duration,
    judge: Duration,
}

impl Story<'_> {
    /// No class gets the mail.
    fn end_all(
        self,
        reply: Reply,
        classes: &[Class],
        judged: Option<&[Judged]>,
        panicked: bool,
    ) -> Outcome {
        let used = classes
            .iter()
            .filter(|class| !class.recipients.is_empty())
            .count();
        let mut lines = Vec::with_capacity(used);
        for (at, class) in classes
            .iter()
            .enumerate()
            .filter(|(_, class)| !class.recipients.is_empty())
        {
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
        }
    }

    /// Each class has its answer; those without recipients have none.
    fn end(
        self,
        envelope: &Envelope,
        classes: &[Class],
        judged: &[Judged],
        answers: Vec<Option<(Answer, usize, Duration)>>,
    ) -> Outcome {
        let used = answers.iter().flatten().count();
        let mut replies =
            vec![Reply::own(451, "4.3.0", "not handed on"); envelope.recipients.len()];
        let mut outcome = Outcome {
            replies: Replies::PerRecipient(Vec::new()),
            lines: Vec::with_capacity(used),
            edited: false,
            octets_out: 0,
            panicked: false,
        };
        for ((class, judged), answer) in classes.iter().zip(judged).zip(&answers) {
            let Some((answer, octets, relaying)) = answer else {
                continue;
            };
            for index in &class.recipients {
                if let Some(reply) = replies.get_mut(*index) {
                    *reply = answer.reply.clone();
                }
            }
            let out = answer.is_done().then_some(*octets);
            outcome.octets_out = outcome.octets_out.saturating_add(out.unwrap_or(0) as u64);
            outcome.edited |= matches!(
                &*judged.result,
                Ok(Applied {
                    message: Some(_),
                    ..
                })
            );
            let place = (outcome.lines.len(), used);
            outcome.lines.push(self.line_of(
                class,
                place,
                Some(judged),
                &answer.reply,
                out,
                *relaying,
            ));
        }
        let done = answers
            .iter()
            .flatten()
            .filter(|(answer, ..)| answer.is_done())
            .count();
        if done > 0 && done < used {
            for logged in &mut outcome.lines {
                logged
                    .0
                    .notes
                    .push("partial: other recipients have the mail already".into());
            }
            // The client keeps the mail for all: whoever has it gets it again, and nobody is left without.
            replies
                .iter_mut()
                .filter(|reply| reply.class() == reply::Class::Permanent)
                .for_each(|reply| *reply = reply.as_temporary());
        }
        outcome.replies = match answers.into_iter().flatten().next() {
            Some((answer, ..)) if used == 1 => Replies::One(answer.reply),
            _ => Replies::PerRecipient(replies),
        };
        outcome
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
            class: format!("{}/{of}", number.saturating_add(1)),
            rules: judged.map_or_else(Vec::new, |judged| rule_words(self.config, judged)),
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

/// What each rule did, as far as it had to do with the mail.
fn rule_words(config: &Config, judged: &Judged) -> Vec<RuleWord> {
    let reports = (*judged.result)
        .as_ref()
        .map(|applied| applied.reports.as_slice())
        .unwrap_or_default();
    let mut words = Vec::new();
    for (index, (rule, step)) in config
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
