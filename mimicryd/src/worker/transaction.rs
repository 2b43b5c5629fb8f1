//! One mail: it is judged by the rules, edited, and handed to the next hop of each class of its recipients.
//!
//! The only place that catches a panic: a mail that makes a plugin panic is answered with 451, and its client keeps it.
//!
//! Must never: say 2xx before the next hop has, or hand on a mail that a rule stopped.

use std::io::{self, ErrorKind};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mimicry_core::engine::{self, Judged, Stopped};
use mimicry_core::mail::Mail;
use mimicry_core::message::{Limits, Message};
use mimicry_core::plugin::{Effects, Means};
use mimicry_core::policy::ClassOf;
use mimicry_core::reason::Reason;
use mimicry_core::reply::{Own, Reply};
use mimicry_core::settings::endpoint::Protocol;

use super::delivery::{Class, Delivery, Hand, Parcel};
use super::incoming::{Incoming, Rules};
use super::ledger::Memory;
use super::poison::Fate;
use super::settle::{Ends, settle};
use super::story::{Ended, Outcome, Sent, Story};
use super::trace;
use crate::clock;
use crate::prefork::scoreboard::State;
use crate::relay::{self, Answers, Cause, Outgoing, Pool, Watch};
use crate::smtp::step::DataPlan;

/// What is ours of the time that a mail takes after the rules.
const OWN_TIME: Duration = Duration::from_secs(30);

/// Judges, edits and relays. Longer than 80 lines: the steps of one mail stand in their order.
pub fn run(
    incoming: Incoming<'_>,
    delivery: &mut Delivery,
    pool: &mut Pool,
    watch: &mut dyn FnMut() -> Watch,
) -> Outcome {
    let mut story = Story::begin(&incoming, delivery.began());
    let Incoming {
        rules,
        hostname,
        ledger,
        client,
        origin,
        connection,
        with_subject,
        plan: DataPlan { envelope, with, .. },
        received,
        ..
    } = incoming;
    let mut ends = Ends::new(envelope.recipients.len(), delivery.again());
    let limit = delivery.limit();
    let classes = delivery.used();
    // Limits that are for the whole mail are known at MAIL, so all classes have the same.
    let first = classes.first();
    let limits = first.map_or_else(Limits::default, |class| class.settings.limits.message);
    let limits = match rules.fate {
        Fate::Answered(reply) => return story.end_all(reply.clone(), classes, &[]),
        // What killed workers may be the reading of its structure.
        Fate::Unjudged => Limits {
            depth: 1,
            parts: 1,
            ..limits
        },
        Fate::Judged => limits,
    };
    let hops = first.map_or(0, |class| class.settings.limits.hops);
    let judging = Instant::now();
    let now = clock::now();
    let trace = trace::field(
        &connection,
        hostname,
        with,
        story.id(),
        &clock::date_time(now),
    );
    let scan = || Mail {
        origin,
        envelope,
        message: Message::scan(received.message, &limits),
        received: now,
    };
    let judged = rules.judge(scan, classes, trace::most_above(&trace));
    story.judged_in(judging.elapsed());
    let Some((mut mail, judged)) = judged else {
        let id = story.id();
        log::error!("a panic while judging the mail {id}; it is deferred");
        return Outcome {
            panicked: true,
            ..story.end_all(Own::Panic.reply(), classes, &[])
        };
    };
    story.read(&mail, with_subject);
    if judged.len() > classes.len() {
        let groups = judged
            .iter()
            .map(|judged| judged.plan.recipients.as_slice());
        delivery.divide(pool, groups);
    }
    let classes = delivery.used();
    for (class, judged) in classes.iter_mut().zip(&judged) {
        class.settings = Arc::clone(&judged.settings);
    }
    if let Some(reply) = refusal(&mail, hops, &judged) {
        // Before the rules were changed some may have got it.
        let memory = Memory::of(ledger, client, &mail, false);
        ends.had(&memory.who_had());
        ends.all(&reply);
        return Outcome {
            edited: false,
            ..settled(
                story,
                client,
                mail,
                (classes, &judged),
                (memory, false),
                (&ends, &[]),
            )
        };
    }
    rules
        .slot
        .enter_for(State::Relaying, Some(patience(&mail, classes, &judged)));
    let is_done_with = is_done_with(classes, &judged);
    let may_split = may_split(classes);
    let may_be_asked = is_done_with || may_split;
    let memory = Memory::of(ledger, client, &mail, may_be_asked);
    if may_split && let Err(error) = memory.reserve() {
        log::error!(
            "the ledger cannot be written: {error}; the mail {} is deferred",
            story.id()
        );
        return story.end_all(no_ledger(&error), classes, &judged);
    }
    if is_done_with {
        mail.message = mail.message.header_alone();
    }
    let hand = Hand {
        pool,
        mail: &mail,
        limits: &limits,
        limit,
        is_alone: classes.len() == 1 || !classes.iter().any(Class::has_line),
        watch,
    };
    let mut giving = Giving {
        id: story.id(),
        trace: &trace,
        memory: &memory,
        ends: &mut ends,
        hand,
    };
    let number = classes.len();
    let sent: Vec<Sent> = (1..)
        .zip(classes.iter_mut().zip(&judged))
        .map(|(at, (class, judged))| giving.give(class, judged, at == number))
        .collect();
    settled(
        story,
        client,
        mail,
        (classes, &judged),
        (memory, may_split),
        (&ends, &sent),
    )
}

/// What became of the mail, for its client, the log and the ledger, which may have kept room for it.
fn settled(
    story: Story,
    client: Protocol,
    mail: Mail,
    (classes, judged): (&[Class], &[Judged]),
    (memory, was_reserved): (Memory<'_>, bool),
    (ends, sent): (&Ends, &[Sent]),
) -> Outcome {
    let verdict = settle(client, &mail.envelope.recipients, ends);
    let unsettled = memory.unsettled(ends.who_has(), verdict.is_final, was_reserved);
    let ended = Ended {
        ends,
        sent,
        verdict,
    };
    let outcome = story.end(classes, judged, ended);
    Outcome {
        unsettled: (client == Protocol::Smtp).then_some((mail, unsettled)),
        ..outcome
    }
}

/// How long the mail may take from the rules to its last reply: what the limits of its next hops add up to, and a while for our own
/// work between them.
fn patience(mail: &Mail, classes: &[Class], judged: &[Judged]) -> Duration {
    let limits = classes.iter().zip(judged).map(|(class, judged)| {
        let message = judged.message(mail).unwrap_or(&mail.message);
        // Coded in 7 bits it may grow to three times its size.
        let octets = message.raw().len().saturating_mul(3);
        relay::patience(&class.route, class.recipients.len(), octets)
    });
    limits.fold(OWN_TIME, Duration::saturating_add)
}

impl Rules<'_> {
    /// `above` = octets at most that stand above the message when it goes out. `None` = something panicked.
    fn judge(
        self,
        scan: impl FnOnce() -> Mail,
        classes: &[Class],
        above: usize,
    ) -> Option<(Mail, Vec<Judged>)> {
        let judge = || {
            let mail = scan();
            let known = classes.iter().map(|class| class.as_known(above));
            if *self.fate == Fate::Unjudged {
                let settings = classes.iter().map(|class| Arc::clone(&class.settings));
                let classes: Vec<_> = known.zip(settings).collect();
                return (mail, engine::pass_unjudged(&classes, Reason::Poison));
            }
            let means = Means {
                effects: Effects::Real,
                seal_keys: self.seal_keys,
                observer: self.slot,
            };
            let classes: Vec<ClassOf> = known.collect();
            let judged = engine::judge(self.banks, self.memo, &mail, &classes, means);
            (mail, judged)
        };
        panic::catch_unwind(AssertUnwindSafe(judge)).ok()
    }
}

/// What each class is given, and what has become of it so far.
struct Giving<'g> {
    id: &'g str,
    /// The Received field.
    trace: &'g [u8],
    memory: &'g Memory<'g>,
    ends: &'g mut Ends,
    hand: Hand<'g>,
}

impl Giving<'_> {
    /// Hands a class its mail, for those of its recipients who have not got it.
    fn give(&mut self, class: &mut Class, judged: &Judged, is_last: bool) -> Sent {
        let began = Instant::now();
        let (had, missing) = self.memory.split(&class.recipients);
        self.ends.had(&had);
        let mut octets = 0;
        if !missing.is_empty() {
            let mail = self.hand.mail;
            let message = judged.message(mail).unwrap_or(&mail.message);
            let outgoing = Outgoing {
                above: &trace::above(class.settings.trace.then_some(self.trace), message),
                message: message.raw(),
            };
            let answers = class.hand_on(&missing, Parcel { outgoing, message }, &mut self.hand);
            complain(self.id, &answers);
            self.ends.answered(&missing, &answers);
            octets = outgoing.octets();
        }
        // Before the next class's final dot; behind the last one only if the client will come again.
        if !(is_last && self.ends.are_final()) {
            let has = missing.iter().copied().filter(|at| self.ends.has(*at));
            self.memory.remember(&has.collect::<Vec<_>>());
        }
        Sent {
            octets,
            relaying: began.elapsed(),
        }
    }
}

/// May it be that some recipients get the mail and others do not? An LMTP next hop may take it for some recipients of a class.
fn may_split(classes: &[Class]) -> bool {
    let in_part = |class: &Class| class.route.replies_per_recipient() && class.recipients.len() > 1;
    classes.len() > 1 || classes.iter().any(in_part)
}

/// Whether the octets of the mail as it came can go before they are handed on: each class gets what the rules made of them, and that is
/// coded once more for a next hop that takes no 8-bit octets. A mail is there twice then, and not three times.
fn is_done_with(classes: &[Class], judged: &[Judged]) -> bool {
    classes.iter().any(Class::needs_7bit) && judged.iter().all(Judged::is_edited)
}

/// Why nobody gets the mail. What one class may not get is given to none: what the client hears is true of all its recipients.
fn refusal(mail: &Mail, most_hops: usize, judged: &[Judged]) -> Option<Reply> {
    let fields = mail.message.root().fields();
    if fields.filter(|field| field.is("received")).count() > most_hops {
        return Some(Own::TooManyHops.reply());
    }
    let mut stopped = judged
        .iter()
        .filter_map(|judged| judged.result.as_ref().as_ref().err());
    stopped.next().map(Stopped::reply)
}

/// Some would have the mail and others not, and nobody would know who when it comes again.
fn no_ledger(error: &io::Error) -> Reply {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Own::LedgerFull.reply(),
        _ => Own::LedgerUnwritable.reply(),
    }
}

/// No mail should come to that; which one did, somebody must look into.
fn complain(id: &str, answers: &Answers) {
    if let Some(answer) = answers.iter().find(|answer| answer.cause == Cause::Unclean) {
        log::error!(
            "a fault of mimicry's own: the mail {id} is not handed on, and its client keeps it: {}",
            answer.reply
        );
    }
}
