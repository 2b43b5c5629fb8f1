//! How a mail ended: the outcome for each of its recipients, and the one verdict that the client, the log and the
//! ledger get. Pure.
//!
//! An LMTP client gets a reply for each recipient, so nothing must be remembered for it. An SMTP client hears one
//! reply: 2xx if all have the mail, 4xx if any recipient may still get it, and 5xx only if no further recipient can;
//! then the text says who is refused and that the others have it, because the client turns it into a report for its
//! user. A recipient who had the mail from an earlier attempt has it.
//!
//! Must never: say 2xx for somebody who does not have the mail, or 5xx while somebody may still get it.

use mimicry_core::envelope::Recipient;
use mimicry_core::reply::{Meaning, Own, Reply};
use mimicry_core::settings::endpoint::Protocol;

use super::delivery::Again;
use crate::relay::Answers;
use crate::smtp::step::Replies;

/// Refused recipients that are named; a reply has to stay short.
const NAMED: usize = 20;

/// Octets of an address that are shown.
const SHOWN: usize = 320;

/// What became of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// It has the mail from an earlier attempt.
    Had,
    /// Its mail was handed on, or refused, in this one.
    Said(Reply),
    /// It was named before, there.
    As(usize),
}

/// What became of all recipients of the envelope.
#[derive(Debug)]
pub struct Ends(Vec<Option<End>>);

/// What is made of it for the client.
#[derive(Debug, PartialEq, Eq)]
pub struct Settled {
    /// What the client hears.
    pub replies: Replies,
    /// The client will not bring the mail again: nothing has to be remembered any more.
    pub is_final: bool,
    /// Some have the mail, and some have not.
    pub is_mixed: bool,
}

/// What is made of it for the recipients of one class.
#[derive(Debug, PartialEq, Eq)]
pub struct OfClass {
    /// The reply that decides for an SMTP client: a 4xx, else a 5xx, else a 2xx; the first of its kind.
    pub reply: Reply,
    /// sent, deferred, rejected, partial.
    pub status: &'static str,
    /// How many had the mail before.
    pub had: usize,
    /// How many got it now.
    pub got: usize,
    /// Those who have not got it, where others of the class have.
    pub without: Vec<(usize, Reply)>,
    /// What was said for one who has it, where others have not.
    pub with: Option<Reply>,
}

impl Ends {
    pub fn new(recipients: usize, again: &[Again]) -> Ends {
        let mut ends = Ends(vec![None; recipients]);
        for again in again {
            ends.put(again.at, End::As(again.first));
        }
        ends
    }

    /// These have the mail already.
    pub fn had(&mut self, recipients: &[usize]) {
        recipients.iter().for_each(|at| self.put(*at, End::Had));
    }

    /// The answers to the mail that was handed on for these.
    pub fn answered(&mut self, recipients: &[usize], answers: &Answers) {
        for (number, at) in recipients.iter().enumerate() {
            if let Some(answer) = answers.of(number) {
                self.put(*at, End::Said(answer.reply.clone()));
            }
        }
    }

    /// One reply for all who have none yet.
    pub fn all(&mut self, reply: &Reply) {
        for end in self.0.iter_mut().filter(|end| end.is_none()) {
            *end = Some(End::Said(reply.clone()));
        }
    }

    /// Has this recipient the mail?
    pub fn has(&self, at: usize) -> bool {
        self.reply(at).is_done()
    }

    /// Who has it.
    pub fn who_has(&self) -> Vec<usize> {
        let all = 0..self.0.len();
        all.filter(|at| self.has(*at)).collect()
    }

    /// Is the matter over for all of them?
    pub fn are_final(&self) -> bool {
        let is_over = |reply: Reply| matches!(reply.class(), Meaning::Done | Meaning::Permanent);
        (0..self.0.len()).all(|at| is_over(self.reply(at)))
    }

    /// What is to be said of one recipient.
    fn reply(&self, at: usize) -> Reply {
        let end = match self.0.get(at) {
            Some(Some(End::As(first))) => self.0.get(*first),
            end => end,
        };
        match end {
            Some(Some(End::Said(reply))) => reply.clone(),
            Some(Some(End::Had)) => Own::ThereAlready.reply(),
            _ => Own::NotHandedOn.reply(),
        }
    }

    fn put(&mut self, at: usize, end: End) {
        if let Some(place) = self.0.get_mut(at) {
            *place = Some(end);
        }
    }

    pub fn of_class(&self, recipients: &[usize]) -> OfClass {
        let replies: Vec<(usize, Reply)> = (recipients.iter())
            .map(|at| (*at, self.reply(*at)))
            .collect();
        let has = replies.iter().filter(|(_, reply)| reply.is_done()).count();
        let had = recipients
            .iter()
            .filter(|at| matches!(self.0.get(**at), Some(Some(End::Had))))
            .count();
        let reply = deciding(replies.iter().map(|(_, reply)| reply));
        let status = match reply.class() {
            _ if has > 0 && has < replies.len() => "partial",
            Meaning::Done => "sent",
            Meaning::Permanent => "rejected",
            Meaning::Temporary | Meaning::GoOn => "deferred",
        };
        let (mut without, mut with) = (Vec::new(), None);
        if status == "partial" {
            let replies = replies.into_iter();
            let (has, has_not): (Vec<_>, Vec<_>) = replies.partition(|(_, reply)| reply.is_done());
            with = has.into_iter().next().map(|(_, reply)| reply);
            without = has_not;
        }
        OfClass {
            status,
            had,
            got: has.saturating_sub(had),
            without,
            with,
            reply,
        }
    }
}

/// The verdict on a mail.
pub fn settle(client: Protocol, recipients: &[Recipient], ends: &Ends) -> Settled {
    let replies: Vec<Reply> = (0..recipients.len()).map(|at| ends.reply(at)).collect();
    let is_mixed = replies.iter().any(Reply::is_done) && !replies.iter().all(Reply::is_done);
    let is_final = ends.are_final();
    if client == Protocol::Lmtp {
        return Settled {
            replies: Replies::PerRecipient(replies),
            is_final: true,
            is_mixed,
        };
    }
    let worst = deciding(replies.iter());
    let reply = match is_mixed && is_final {
        true => naming(&worst, recipients, ends),
        false => worst,
    };
    Settled {
        replies: Replies::One(reply),
        is_final,
        is_mixed,
    }
}

/// The reply that is true of all: a 4xx keeps the mail with the client, a 5xx is said only if nothing may come of it any more.
fn deciding<'r>(replies: impl Iterator<Item = &'r Reply> + Clone) -> Reply {
    let first = |wanted: fn(Meaning) -> bool| replies.clone().find(|reply| wanted(reply.class()));
    let temporary = first(|class| matches!(class, Meaning::Temporary | Meaning::GoOn));
    let reply = temporary
        .or_else(|| first(|class| class == Meaning::Permanent))
        .or_else(|| first(|class| class == Meaning::Done));
    reply.map_or_else(|| Own::NotHandedOn.reply(), Reply::clone)
}

/// Some have the mail and the others never will: who that is.
fn naming(worst: &Reply, recipients: &[Recipient], ends: &Ends) -> Reply {
    let is_once = |at: &usize| !matches!(ends.0.get(*at), Some(Some(End::As(_))));
    let refused = || {
        let all = recipients.iter().enumerate();
        all.filter(|(at, _)| is_once(at) && !ends.has(*at))
    };
    let mut text = worst.text().collect::<Vec<_>>().join(" ");
    text.push_str("\nrefused for these, all others have the mail:");
    for (_, recipient) in refused().take(NAMED) {
        let shown: String = recipient.path.to_string().chars().take(SHOWN).collect();
        text.push_str(&format!("\n<{shown}>"));
    }
    let more = refused().count().saturating_sub(NAMED);
    if more > 0 {
        text.push_str(&format!("\nand {more} more"));
    }
    worst.saying(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(text: &str) -> Option<End> {
        Some(match text.split_once(' ') {
            None if text == "had" => End::Had,
            None => End::As(text.parse().unwrap()),
            Some((code, text)) => {
                End::Said(Reply::received(code.parse().unwrap(), &[text.as_bytes()]))
            }
        })
    }

    fn ends(text: &str) -> Ends {
        Ends(text.split('|').map(end).collect())
    }

    fn recipients(count: usize) -> Vec<Recipient> {
        (1..=count)
            .map(|n| Recipient::new(format!("r{n}@x")))
            .collect()
    }

    fn one(ends: &Ends) -> (Reply, bool) {
        match settle(Protocol::Smtp, &recipients(ends.0.len()), ends) {
            Settled {
                replies: Replies::One(reply),
                is_final,
                ..
            } => (reply, is_final),
            settled => panic!("one reply: {settled:?}"),
        }
    }

    // T74: what an LMTP next hop says of each recipient, for a client that hears one reply
    #[test]
    fn an_smtp_client_hears_what_is_true_of_all() {
        for (said, expected) in [
            ("250 2.0.0 one|250 2.0.0 two", "250 2.0.0 one"),
            ("had|had", "250 2.0.0 the mail has been delivered already"),
            ("250 2.0.0 one|451 4.0.0 no", "451 4.0.0 no"),
            ("had|451 4.0.0 no", "451 4.0.0 no"),
            ("550 5.7.1 no|451 4.0.0 wait|250 2.0.0 ok", "451 4.0.0 wait"),
            ("550 5.7.1 no|554 5.6.0 nor this", "550 5.7.1 no"),
            ("421 4.0.0 away|550 5.7.1 no", "421 4.0.0 away"),
            (
                "250 2.0.0 ok|550 5.7.1 not you|250 2.0.0 ok",
                "550 5.7.1 not you / refused for these, all others have the mail: / <r2@x>",
            ),
            (
                "had|550 5.7.1 not you",
                "550 5.7.1 not you / refused for these, all others have the mail: / <r2@x>",
            ),
            // Named again, it is named once.
            (
                "552 5.2.2 full|250 2.0.0 ok|0|550 5.7.1 not you|1",
                "552 5.2.2 full / refused for these, all others have the mail: / <r1@x> / <r4@x>",
            ),
        ] {
            let ends = ends(said);
            let (reply, is_final) = one(&ends);
            assert_eq!(reply.to_string(), expected);
            // Whatever happens.
            let all = || (0..ends.0.len()).map(|at| ends.reply(at));
            assert_eq!(reply.is_done(), all().all(|end| end.is_done()));
            let may_still = all().any(|end| end.class() == Meaning::Temporary);
            assert_eq!(reply.class() == Meaning::Temporary, may_still);
            assert_eq!(is_final, !may_still);
        }
        assert_eq!(one(&Ends(vec![None])).0.code(), 451);
    }

    #[test]
    fn many_refused_are_counted() {
        let mut ends = ends("250 2.0.0 ok");
        ends.0.resize(31, end("550 5.1.1 who"));
        let lines: Vec<String> = one(&ends).0.text().map(String::from).collect();
        assert_eq!(lines.len(), 2 + NAMED + 1);
        assert_eq!(lines.last().map(String::as_str), Some("and 10 more"));
    }

    #[test]
    fn an_lmtp_client_hears_each_end() {
        let ends = ends("250 2.0.0 ok|550 5.7.1 no|451 4.0.0 wait|1");
        let settled = settle(Protocol::Lmtp, &recipients(4), &ends);
        let said: Vec<String> = settled.replies.iter().map(Reply::to_string).collect();
        assert_eq!(
            said,
            [
                "250 2.0.0 ok",
                "550 5.7.1 no",
                "451 4.0.0 wait",
                "550 5.7.1 no"
            ]
        );
        assert!(settled.is_final && settled.is_mixed);
    }

    #[test]
    fn what_the_log_says_of_a_class() {
        for (said, status, reply, had, got, without) in [
            ("250 2.0.0 a|250 2.0.0 b", "sent", "250 2.0.0 a", 0, 2, 0),
            (
                "had|had",
                "sent",
                "250 2.0.0 the mail has been delivered already",
                2,
                0,
                0,
            ),
            (
                "had|250 2.0.0 b",
                "sent",
                "250 2.0.0 the mail has been delivered already",
                1,
                1,
                0,
            ),
            (
                "550 5.0.0 a|550 5.0.0 b",
                "rejected",
                "550 5.0.0 a",
                0,
                0,
                0,
            ),
            (
                "550 5.0.0 a|451 4.0.0 b",
                "deferred",
                "451 4.0.0 b",
                0,
                0,
                0,
            ),
            (
                "250 2.0.0 a|550 5.1.1 b|250 2.0.0 c",
                "partial",
                "550 5.1.1 b",
                0,
                2,
                1,
            ),
            ("had|451 4.0.0 b", "partial", "451 4.0.0 b", 1, 0, 1),
        ] {
            let ends = ends(said);
            let all: Vec<usize> = (0..ends.0.len()).collect();
            let class = ends.of_class(&all);
            assert_eq!(
                (class.status, class.reply.to_string().as_str()),
                (status, reply),
                "{said}"
            );
            let counts = (class.had, class.got, class.without.len());
            assert_eq!(counts, (had, got, without), "{said}");
        }
    }
}
