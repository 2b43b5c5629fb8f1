//! What the log says of a mail: one line for each class of its recipients.
//!
//! Written when it is known whether the client got its reply.
//!
//! Must never: hold content of the mail.

use std::time::{Duration, Instant};

use mimicry_core::engine::{Judged, Report};
use mimicry_core::mail::Mail;
use mimicry_core::origin::Origin;
use mimicry_core::printable::Printable;
use mimicry_core::reason::Reason;
use mimicry_core::reply::Reply;
use mimicry_core::rule::plan::Decision;
use mimicry_core::settings::endpoint::Protocol;

use super::delivery::Class;
use super::incoming::Incoming;
use super::ledger::Unsettled;
use super::settle::{Ends, OfClass, Settled};

use crate::logging;
use crate::logging::line::{MailLine, RuleWord, Times, millis, now};
use crate::smtp::step::Replies;

/// Recipients who have not got the mail that others of their class have: so many are named with the reply to each.
const NAMED: usize = 100;

/// A line of the log, to be written when it is known whether the client got its reply.
pub struct Logged(MailLine);

impl Logged {
    pub fn log(mut self, told: bool) {
        if !told {
            let note = "the client has gone before the reply";
            self.0.notes.push(note.into());
        }
        logging::mail(&self.0);
    }
}

/// What came of a mail.
pub struct Outcome {
    pub replies: Replies,
    pub lines: Vec<Logged>,
    pub edited: bool,
    pub octets_out: u64,
    pub panicked: bool,
    /// The mail, and what the ledger is to be told of it when it is known whether the client got its reply.
    pub unsettled: Option<(Mail, Unsettled)>,
}

/// What was sent to a class.
pub struct Sent {
    /// Of the mail as it went out.
    pub octets: usize,
    pub relaying: Duration,
}

/// How a mail ended that was handed on.
pub struct Ended<'e> {
    pub ends: &'e Ends,
    /// One for each class.
    pub sent: &'e [Sent],
    pub verdict: Settled,
}

/// What is told of a mail.
pub struct Story {
    client: Protocol,
    /// All recipients of the envelope, for the log.
    to: Vec<Vec<u8>>,
    line: MailLine,
    began: Instant,
    receive: Duration,
    judge: Duration,
}

/// What a line says of one class.
struct Chapter<'c> {
    class: &'c Class,
    judged: Option<&'c Judged>,
    end: OfClass,
    sent: Option<&'c Sent>,
}

impl Story {
    /// The message was received; its first recipient was named at `began`.
    pub fn begin(incoming: &Incoming<'_>, began: Instant) -> Story {
        let envelope = &incoming.plan.envelope;
        let mut line = MailLine {
            id: incoming.id.clone(),
            client: client_of(&incoming.origin, &incoming.connection, &incoming.peer),
            listener: incoming.origin.listener.clone().unwrap_or_default(),
            helo: incoming.origin.helo.clone().unwrap_or_default(),
            from: envelope.sender.as_bytes().to_vec(),
            size: incoming.received.message.len(),
            generation: incoming.rules.generation.into(),
            ..MailLine::default()
        };
        let (lf, cr) = (
            incoming.received.changed.lone_lf,
            incoming.received.changed.lone_cr,
        );
        if lf > 0 || cr > 0 {
            let note = format!("bare newlines normalised: {lf} LF, {cr} CR");
            line.notes.push(note);
        }
        let mbox_lines = incoming.received.changed.mbox_lines;
        if mbox_lines > 0 {
            let note = format!("mbox lines made fields: {mbox_lines}");
            line.notes.push(note);
        }
        let to = envelope.recipients.iter();
        Story {
            client: incoming.client,
            to: to.map(|one| one.path.as_bytes().to_vec()).collect(),
            line,
            began,
            receive: began.elapsed(),
            judge: Duration::ZERO,
        }
    }

    /// Of the mail; it stands in the Received field.
    pub fn id(&self) -> &str {
        &self.line.id
    }

    pub fn judged_in(&mut self, time: Duration) {
        self.judge = time;
    }

    /// No class gets the mail. `judged` has those classes that the rules were asked for.
    pub fn end_all(self, reply: Reply, classes: &[Class], judged: &[Judged]) -> Outcome {
        let mut ends = Ends::new(self.to.len(), &[]);
        ends.all(&reply);
        let chapters = classes.iter().enumerate().map(|(at, class)| Chapter {
            class,
            judged: judged.get(at),
            end: ends.of_class(&class.recipients),
            sent: None,
        });
        let replies = Replies::One(reply);
        let lines = self.lines(chapters.collect(), &replies);
        Outcome {
            replies,
            lines,
            edited: false,
            octets_out: 0,
            panicked: false,
            unsettled: None,
        }
    }

    /// Each class has its end.
    pub fn end(self, classes: &[Class], judged: &[Judged], ended: Ended<'_>) -> Outcome {
        let Ended {
            ends,
            sent,
            verdict,
        } = ended;
        let chapters = classes.iter().enumerate().map(|(at, class)| Chapter {
            class,
            judged: judged.get(at),
            end: ends.of_class(&class.recipients),
            sent: sent.get(at),
        });
        let chapters: Vec<Chapter<'_>> = chapters.collect();
        let octets = chapters.iter().filter_map(Chapter::out);
        let octets_out = octets.map(|octets| octets as u64).sum();
        let mut lines = self.lines(chapters, &verdict.replies);
        if verdict.is_mixed && self.client == Protocol::Smtp {
            for logged in &mut lines {
                let note = "partial: other recipients have the mail already";
                logged.0.notes.push(note.into());
            }
        }
        Outcome {
            replies: verdict.replies,
            lines,
            edited: judged.iter().any(Judged::is_edited),
            octets_out,
            panicked: false,
            unsettled: None,
        }
    }

    fn lines(&self, chapters: Vec<Chapter<'_>>, heard: &Replies) -> Vec<Logged> {
        let of = chapters.len();
        let chapters = (1..).zip(chapters);
        chapters
            .map(|(number, chapter)| Logged(self.line(format!("{number}/{of}"), chapter, heard)))
            .collect()
    }

    fn line(&self, place: String, chapter: Chapter<'_>, heard: &Replies) -> MailLine {
        let (class, end) = (chapter.class, &chapter.end);
        // An LMTP client hears of each recipient, so of this class too; an SMTP client of all classes together.
        let heard = match heard {
            Replies::One(reply) => reply,
            Replies::PerRecipient(_) => &end.reply,
        };
        let (own, reply) = (end.reply.to_string(), heard.to_string());
        MailLine {
            time: now(),
            to: self.paths(&class.recipients),
            out: chapter.out(),
            bank: class.settings.path.clone(),
            relay: class.route.next_hop.to_string(),
            class: place,
            rules: chapter.judged.map_or_else(Vec::new, rule_words),
            notes: self.notes(&chapter),
            status: end.status,
            by: heard.by(),
            said: (own != reply).then_some(own),
            reply,
            times: Times {
                receive: millis(self.receive),
                judge: millis(self.judge),
                relay: millis(chapter.sent.map_or(Duration::ZERO, |sent| sent.relaying)),
                total: millis(self.began.elapsed()),
            },
            ..self.line.clone()
        }
    }

    fn notes(&self, chapter: &Chapter<'_>) -> Vec<String> {
        let mut notes = self.line.notes.clone();
        notes.extend(chapter.judged.map_or_else(Vec::new, remarks));
        for (at, reply) in chapter.end.without.iter().take(NAMED) {
            let path = self.to.get(*at).map_or(&b""[..], Vec::as_slice);
            notes.push(format!("<{}> does not have it: {reply}", Printable(path)));
        }
        if let Some(reply) = &chapter.end.with {
            notes.push(format!("others of the class have it: {reply}"));
        }
        let had = chapter.end.had;
        if had > 0 {
            notes.push(format!("delivered before: {had} of its recipients"));
        }
        notes
    }

    fn paths(&self, recipients: &[usize]) -> Vec<Vec<u8>> {
        let paths = recipients.iter().filter_map(|at| self.to.get(*at));
        paths.cloned().collect()
    }
}

impl Chapter<'_> {
    /// Octets that somebody took.
    fn out(&self) -> Option<usize> {
        self.sent
            .filter(|_| self.end.got > 0)
            .map(|sent| sent.octets)
    }
}

/// For the log: whom a trusted client had the mail from, else the client.
pub fn client_of(origin: &Origin, connection: &Origin, peer: &str) -> String {
    match origin.client {
        client if client == connection.client => peer.to_string(),
        Some(client) => client.to_string(),
        None => "unknown".into(),
    }
}

/// What the plan remarked on the parts that rules took: names that readers see differently or that cannot be read.
fn remarks(judged: &Judged) -> Vec<String> {
    /// The rest is for explain.
    const MOST: usize = 4;
    let rules = &judged.settings.policy.rules;
    let of_rule = judged.plan.steps.iter().flat_map(|(index, step)| {
        let remarks = match step {
            Decision::Run(run) => run.remarks.as_slice(),
            _ => &[],
        };
        let name = rules.get(index).map_or("", |rule| rule.name.as_str());
        remarks
            .iter()
            .map(move |remark| format!("{name}: {remark}"))
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
    // A rule that does not hold has nothing to say.
    for (index, step) in judged.plan.steps.iter() {
        let Some(rule) = judged.settings.policy.rules.get(index) else {
            continue;
        };
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
pub fn id() -> String {
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
    fn ids_differ_and_are_words() {
        let ids: std::collections::HashSet<String> = (0..1000).map(|_| id()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(
            ids.iter()
                .all(|id| id.len() == 10 && id.bytes().all(|octet| octet.is_ascii_alphanumeric()))
        );
    }
}
