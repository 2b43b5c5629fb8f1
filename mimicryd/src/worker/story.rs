//! What the log says of a mail: one line for each class of its recipients.
//!
//! Written when it is known whether the client got its reply.
//!
//! Must never: hold content of the mail.

use std::time::{Duration, Instant};

use mimicry_core::engine::{Judged, Report};
use mimicry_core::mail::Mail;
use mimicry_core::message::digest::Digest;
use mimicry_core::origin::Origin;
use mimicry_core::printable::Printable;
use mimicry_core::reason::Reason;
use mimicry_core::reply::Reply;
use mimicry_core::rule::plan::Decision;
use mimicry_core::settings::endpoint::Protocol;

use super::delivery::Class;
use super::incoming::Incoming;
use super::ledger::Unsettled;
use super::marks::Marks;
use super::settle::{Ends, OfClass, Settled};

use crate::logging;
use crate::logging::line::{MailLine, RuleWord, Times, millis, now};
use crate::prefork::tally::{Did, Tally};
use crate::smtp::step::Replies;

/// Recipients who have not got the mail that others of their class have: so many are named with the reply to each.
const NAMED: usize = 100;

/// A line of the log, to be written when it is known whether the client got its reply, and what is counted of it.
pub struct Logged {
    line: MailLine,
    /// Of each rule that the line names.
    deeds: Vec<(Did, Option<Reason>)>,
    /// Of the reply that decides for the class.
    code: u16,
    /// `None` = it was not handed on.
    relaying: Option<Duration>,
}

impl Logged {
    pub fn log(mut self, told: bool) {
        if !told {
            let note = "the client has gone before the reply";
            self.line.notes.push(note.into());
        }
        logging::mail(&self.line);
    }

    fn count(&self, tally: &Tally) {
        for (word, (did, reason)) in self.line.rules.iter().zip(&self.deeds) {
            tally.rule(&word.rule, *did, *reason);
        }
        tally.replied(&self.line.relay, self.code);
        if let Some(time) = self.relaying {
            let octets = self.line.out.unwrap_or_default();
            tally.relayed(&self.line.relay, time, octets as u64);
        }
    }
}

/// What came of a mail.
pub struct Outcome {
    pub replies: Replies,
    pub lines: Vec<Logged>,
    pub edited: bool,
    pub octets_out: u64,
    pub panicked: bool,
    /// How long the rules took; zero = they were not asked.
    pub judging: Duration,
    /// The mail, and what the ledger is to be told of it when it is known whether the client got its reply.
    pub unsettled: Option<(Mail, Unsettled)>,
}

impl Outcome {
    /// For metrics.
    pub fn count(&self, tally: &Tally) {
        if !self.judging.is_zero() {
            tally.judged(self.judging);
        }
        self.lines.iter().for_each(|logged| logged.count(tally));
    }
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
        let held = incoming.rules.slot.held();
        let mut line = MailLine {
            id: incoming.id.clone(),
            client: client_of(&incoming.origin, &incoming.connection, &incoming.peer),
            listener: incoming.origin.listener.clone().unwrap_or_default(),
            helo: incoming.origin.helo.clone().unwrap_or_default(),
            from: envelope.sender.as_bytes().to_vec(),
            size: incoming.received.message.len(),
            generation: incoming.rules.generation.into(),
            digest: held.map_or_else(String::new, |(digest, _)| brief(&digest)),
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

    /// What it is called in the logs of others.
    pub fn read(&mut self, mail: &Mail, with_subject: bool) {
        let Marks {
            queue,
            message_id,
            subject,
        } = Marks::of(mail, with_subject);
        self.line.queue = queue;
        self.line.message_id = message_id;
        self.line.subject = subject;
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
            judging: self.judge,
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
                logged.line.notes.push(note.into());
            }
        }
        Outcome {
            replies: verdict.replies,
            lines,
            edited: judged.iter().any(Judged::is_edited),
            octets_out,
            panicked: false,
            judging: self.judge,
            unsettled: None,
        }
    }

    fn lines(&self, chapters: Vec<Chapter<'_>>, heard: &Replies) -> Vec<Logged> {
        let of = chapters.len();
        let chapters = (1..).zip(chapters);
        chapters
            .map(|(number, chapter)| self.logged(format!("{number}/{of}"), chapter, heard))
            .collect()
    }

    fn logged(&self, place: String, chapter: Chapter<'_>, heard: &Replies) -> Logged {
        let acts = chapter.judged.map_or_else(Vec::new, acts);
        let sent = chapter.sent.filter(|sent| sent.octets > 0);
        Logged {
            deeds: acts.iter().map(|act| (act.did, act.reason)).collect(),
            code: chapter.end.reply.code(),
            relaying: sent.map(|sent| sent.relaying),
            line: MailLine {
                rules: acts.into_iter().map(RuleWord::from).collect(),
                ..self.line(place, &chapter, heard)
            },
        }
    }

    fn line(&self, place: String, chapter: &Chapter<'_>, heard: &Replies) -> MailLine {
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
            archive: chapter.judged.map_or_else(Vec::new, copies),
            notes: self.notes(chapter),
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

/// The digest as `mimicryd poison list` has it, its first digits.
fn brief(digest: &Digest) -> String {
    let digits = digest.to_string();
    digits.get(..16).unwrap_or(&digits).to_string()
}

/// What the copies of the mail in archives are called.
fn copies(judged: &Judged) -> Vec<String> {
    let applied = (*judged.result).as_ref().ok();
    let mut copies: Vec<String> = Vec::new();
    for report in applied.iter().flat_map(|applied| applied.reports.iter()) {
        if let Report::Done {
            kept: Some(kept), ..
        } = report
            && !copies.contains(kept)
        {
            copies.push(kept.clone());
        }
    }
    copies
}

/// What one rule did to a mail.
struct Act<'j> {
    rule: &'j str,
    /// As the log has it.
    word: &'static str,
    did: Did,
    reason: Option<Reason>,
}

impl From<Act<'_>> for RuleWord {
    fn from(act: Act<'_>) -> RuleWord {
        RuleWord {
            rule: act.rule.to_string(),
            did: act.word.into(),
        }
    }
}

/// What each rule did, as far as it had to do with the mail.
fn acts(judged: &Judged) -> Vec<Act<'_>> {
    let applied = (*judged.result).as_ref();
    let reports = applied.map(|applied| &applied.reports).ok();
    let stopped = applied.err().map(|stopped| stopped.rule);
    let rules = &judged.settings.policy.rules;
    // A rule that does not hold has nothing to say.
    let acts = judged.plan.steps.iter().filter_map(|(index, step)| {
        let rule = rules.get(index)?;
        let (word, did, reason) = match (reports.map(|reports| &reports[index]), step) {
            _ if stopped == Some(index) => ("stopped", Did::Fault, None),
            (Some(Report::Edited { undone: true, .. }), _) => ("removed", Did::Edited, None),
            (Some(Report::Edited { .. }), _) => ("edited", Did::Edited, None),
            (Some(Report::Done { .. }), _) => ("done", Did::Done, None),
            (_, Decision::IgnoreMail) => ("ignores", Did::Done, None),
            (_, Decision::Keep(_)) => ("keeps", Did::Done, None),
            (report, step) => {
                let reason = match (report, step) {
                    (Some(report), _) => report.reason(step)?,
                    (None, Decision::Skip(reason)) => *reason,
                    (None, _) => return None,
                };
                (reason.code(), Did::of(reason), Some(reason))
            }
        };
        Some(Act {
            rule: &rule.name,
            word,
            did,
            reason,
        })
    });
    acts.collect()
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
