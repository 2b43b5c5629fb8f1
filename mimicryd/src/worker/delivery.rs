//! The delivery of one mail: the classes of its recipients, and the transaction that each class has with its next hop, from
//! the first RCPT to the last reply.
//!
//! A transaction is opened at the first recipient of its class, and each recipient is passed to the next hop at once: with those behind
//! it that the client has named already, as far as they are of the same class, so that they go out together where the next hop takes
//! them so. A path that is named again, letter for letter, gets the mail once.
//!
//! Must never: pass a recipient to a next hop twice, wait longer than the limits of the relay, or make a 2xx of its
//! own.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mimicry_core::envelope::{Envelope, Path, Recipient};
use mimicry_core::mail::Mail;
use mimicry_core::message::seven_bit::{Unfit, to_7bit};
use mimicry_core::message::{Limits, Message};
use mimicry_core::origin::Origin;
use mimicry_core::plugin::OnError;
use mimicry_core::policy::select::Signature;
use mimicry_core::policy::{Banks, ClassOf, Effective, Memo};
use mimicry_core::reply::Own;
use mimicry_core::rule::reach::Named;
use mimicry_core::settings::endpoint::Protocol;

use super::terms::route;
use crate::relay::params::GROWTH;
use crate::relay::{
    Answer, Answers, Cause, Line, Opening, Outgoing, Pool, Route, Size, Watch, none_free,
};

/// For a listener before the queue: from a command of the client, or the end of its message, to our reply. Postfix gives up on its
/// proxy after 100 s. How long the client takes to send is the client's time.
const BEFORE_QUEUE: Duration = Duration::from_secs(90);

/// What belongs to the transaction that is open.
#[derive(Default)]
pub struct Delivery {
    began: Option<Instant>,
    /// For a listener before the queue: until when the reply must be there.
    limit: Option<Instant>,
    classes: Vec<Class>,
    /// None of their recipients was accepted, so they have no part in the mail.
    unused: Vec<Class>,
    /// The accepted paths, by their first place in the envelope.
    named: HashMap<Path, usize>,
    again: Vec<Again>,
    /// Next hops that had no further line for this mail: nobody waits for one twice.
    short: Vec<Rc<Route>>,
    /// So many of the recipients to come were passed on with one before them.
    foreseen: usize,
    /// A transaction was refused: what comes with it is in vain, so that each further one is tried with one recipient.
    is_wary: bool,
}

/// A recipient that was named before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Again {
    /// Its place in the envelope.
    pub at: usize,
    /// The place where it was named first.
    pub first: usize,
}

/// Recipients that get the same mail by the same way.
pub struct Class {
    /// Its banks, and the truth of the rules that depend on the recipient.
    signature: Signature,
    /// At first those of RCPT; when the message has arrived, those of the banks that its header selects as well.
    pub settings: Arc<Effective>,
    pub route: Rc<Route>,
    /// Places in the envelope.
    pub recipients: Vec<usize>,
    /// The connection that its transaction is open on.
    line: Option<Line>,
    /// It is one of several that were one class when their recipients were named.
    is_divided: bool,
}

/// What decides where a recipient belongs.
#[derive(Clone, Copy)]
pub struct Ways<'w> {
    pub banks: &'w Banks,
    pub memo: &'w Memo,
    pub routes: &'w [Rc<Route>],
    /// The way whose next hop the client was offered the extensions of.
    pub offered: Option<&'w Rc<Route>>,
    /// What the client speaks.
    pub client: Protocol,
    /// Is there a ledger, so that a retry can bring a mail to those alone who have not got it?
    pub has_ledger: bool,
    pub is_before_queue: bool,
}

/// A mail of which only the envelope is known so far.
#[derive(Clone, Copy)]
pub struct Announced<'a> {
    pub origin: &'a Origin,
    pub envelope: &'a Envelope,
    /// When the recipient in hand was named, seconds since 1970.
    pub now: i64,
}

impl<'a> Announced<'a> {
    fn named(&self, recipient: &'a Recipient) -> Named<'a> {
        Named {
            origin: self.origin,
            sender: &self.envelope.sender,
            recipient: &recipient.path,
            now: self.now,
        }
    }
}

/// A message on its way to a next hop.
#[derive(Clone, Copy)]
pub struct Parcel<'p> {
    /// As it goes out.
    pub outgoing: Outgoing<'p>,
    /// The same, scanned, for a next hop that needs another form of it.
    pub message: &'p Message,
}

/// Hands messages to next hops.
pub struct Hand<'h> {
    pub pool: &'h mut Pool,
    pub mail: &'h Mail,
    pub limits: &'h Limits,
    pub limit: Option<Instant>,
    /// No other class has a line, so that nobody waits for one of this mail while it waits for one.
    pub is_alone: bool,
    pub watch: &'h mut dyn FnMut() -> Watch,
}

impl Delivery {
    /// Has nothing been passed on of those who will be named next, so that it is of use to know them?
    pub fn is_curious(&self) -> bool {
        self.foreseen == 0 && !self.is_wary
    }

    /// RCPT: the class of the recipient gets its transaction if it has none yet. The next hop's own answer, or ours. `next` = whom the
    /// client has named behind it, as far as each of them will be asked for.
    pub fn rcpt(
        &mut self,
        ways: &Ways<'_>,
        pool: &mut Pool,
        mail: Announced<'_>,
        (recipient, next): (&Recipient, &[Recipient]),
    ) -> Answer {
        self.foreseen = self.foreseen.saturating_sub(1);
        self.began.get_or_insert_with(Instant::now);
        self.restart(ways.is_before_queue);
        let at = mail.envelope.recipients.len();
        if let Some(first) = self.named.get(&recipient.path).copied() {
            self.again.push(Again { at, first });
            return Answer::own(Own::NamedBefore.reply());
        }
        let answer = match self.class_of(ways, pool, mail, (recipient, next)) {
            Ok(class) => class.rcpt(at, recipient),
            Err(answer) => answer,
        };
        if answer.is_done() {
            self.named.insert(recipient.path.clone(), at);
        }
        answer
    }

    /// The client has said something that it now waits for the reply to.
    pub fn restart(&mut self, is_before_queue: bool) {
        self.limit = match is_before_queue {
            true => Instant::now().checked_add(BEFORE_QUEUE),
            false => None,
        };
        let lines = self.classes.iter_mut().chain(&mut self.unused);
        for line in lines.filter_map(|class| class.line.as_mut()) {
            line.limit(self.limit);
        }
    }

    /// The class that a recipient joins, with an open transaction.
    fn class_of(
        &mut self,
        ways: &Ways<'_>,
        pool: &mut Pool,
        mail: Announced<'_>,
        (recipient, next): (&Recipient, &[Recipient]),
    ) -> Result<&mut Class, Answer> {
        let envelope = mail.envelope;
        let named = mail.named(recipient);
        let (signature, standing) = (ways.memo).class(ways.banks, &named);
        if let Some(missed) = signature.refused(&standing, &named) {
            let own = match missed.answer {
                OnError::Reject => Own::RecipientMissed,
                _ => Own::RecipientMissedYet,
            };
            return Err(Answer::own(own.with(&missed.text)));
        }
        let settings = &standing.settings;
        let Some(route) = route(ways.routes, settings) else {
            return Err(Answer::own(Own::NoNextHop.reply()));
        };
        // Where each recipient needs a transaction of its own, nobody joins a class that has one.
        let is_one_by_one = route.is_one_by_one(ways.client, ways.has_ledger);
        let joins = |class: &Class| {
            class.signature == signature && (!is_one_by_one || class.recipients.is_empty())
        };
        let known = self.classes.iter().position(joins);
        let together = match is_one_by_one {
            true => vec![recipient],
            false => self.together(ways, mail, &signature, (recipient, next)),
        };
        let at = match known {
            Some(at) => {
                if let Some(line) = self
                    .classes
                    .get_mut(at)
                    .and_then(|class| class.line.as_mut())
                {
                    let given = line.address_ahead(&together);
                    self.foreseen = self.foreseen.max(given.saturating_sub(1));
                }
                at
            }
            None if self.classes.len() >= settings.limits.max_classes => {
                return Err(Answer::own(Own::TooManyClasses.reply()));
            }
            None if self.short.contains(route) => return Err(none_free()),
            None => {
                let size = match envelope.declared_size {
                    None => Size::Unknown,
                    Some(octets) => Size::Declared {
                        octets,
                        growth: GROWTH,
                    },
                };
                let opening = Opening {
                    recipients: &together,
                    is_promised: ways.offered.is_some_and(|offered| offered == route),
                    has_line: self.classes.iter().any(|class| class.line.is_some()),
                    ..opening(mail, size, self.limit)
                };
                let line = match pool.begin(route, &opening) {
                    Ok(line) => line,
                    Err(answer) => {
                        self.is_wary = true;
                        if answer.cause == Cause::NoneFree && opening.has_line {
                            self.short.push(Rc::clone(route));
                        }
                        return Err(answer);
                    }
                };
                self.foreseen = line.given_ahead();
                self.classes.push(Class {
                    signature,
                    settings: Arc::clone(settings),
                    route: Rc::clone(route),
                    recipients: Vec::new(),
                    line: Some(line),
                    is_divided: false,
                });
                self.classes.len().saturating_sub(1)
            }
        };
        let class = self.classes.get_mut(at);
        class.ok_or_else(|| Answer::failed(Cause::Own, "RCPT"))
    }

    /// A recipient, and those behind it that join the same class and are named for the first time.
    fn together<'n>(
        &self,
        ways: &Ways<'_>,
        mail: Announced<'_>,
        signature: &Signature,
        (recipient, next): (&'n Recipient, &'n [Recipient]),
    ) -> Vec<&'n Recipient> {
        let mut together = vec![recipient];
        for one in next {
            let is_named = self.named.contains_key(&one.path);
            if is_named || together.iter().any(|other| other.path == one.path) {
                break;
            }
            let (other, _) = (ways.memo).class(ways.banks, &mail.named(one));
            if other != *signature {
                break;
            }
            together.push(one);
        }
        together
    }

    /// The message is in: the classes that get it.
    pub fn used(&mut self) -> &mut [Class] {
        let is_unused = |class: &mut Class| class.recipients.is_empty();
        self.unused.extend(self.classes.extract_if(.., is_unused));
        &mut self.classes
    }

    /// The rules have divided classes, for these groups of recipients, in the order of the classes. The transaction that is open for a
    /// class names all of them, so each group gets one of its own, one after the other on one connection.
    pub fn divide<'g>(&mut self, pool: &mut Pool, groups: impl Iterator<Item = &'g [usize]>) {
        let mut classes: Vec<Class> = Vec::with_capacity(self.classes.len());
        let mut groups = groups.peekable();
        for class in std::mem::take(&mut self.classes) {
            let is_own = |group: &&[usize]| group.iter().all(|at| class.recipients.contains(at));
            let own: Vec<&[usize]> = std::iter::from_fn(|| groups.next_if(is_own)).collect();
            if own.len() < 2 {
                classes.push(class);
                continue;
            }
            if let Some(line) = class.line {
                pool.give(line);
            }
            classes.extend(own.into_iter().map(|group| Class {
                signature: class.signature.clone(),
                settings: Arc::clone(&class.settings),
                route: Rc::clone(&class.route),
                recipients: group.to_vec(),
                line: None,
                is_divided: true,
            }));
        }
        self.classes = classes;
    }

    /// When the first recipient was named.
    pub fn began(&self) -> Instant {
        self.began.unwrap_or_else(Instant::now)
    }

    pub fn limit(&self) -> Option<Instant> {
        self.limit
    }

    /// Recipients that were named before.
    pub fn again(&self) -> &[Again] {
        &self.again
    }

    /// The connections go back to the pool; what was begun on them is reset there.
    pub fn release(self, pool: &mut Pool) {
        for class in self.classes.into_iter().chain(self.unused) {
            if let Some(line) = class.line {
                pool.give(line);
            }
        }
    }
}

impl Class {
    /// For the engine, that judges the mail for it. So many octets at most stand above the message when it goes out.
    pub fn as_known(&self, above: usize) -> ClassOf {
        let limit = self
            .line
            .as_ref()
            .and_then(|line| line.capabilities().size());
        // 0 = no limit.
        let limit = limit.filter(|limit| *limit > 0);
        let limit = limit.and_then(|limit| usize::try_from(limit).ok());
        ClassOf {
            recipients: self.recipients.clone(),
            choice: self.signature.choice.clone(),
            room: limit.map(|limit| limit.saturating_sub(above)),
            needs_7bit: self.needs_7bit(),
        }
    }

    /// One more recipient, who has that place in the envelope.
    fn rcpt(&mut self, at: usize, recipient: &Recipient) -> Answer {
        let Some(line) = &mut self.line else {
            return Answer::failed(Cause::Lost, "RCPT");
        };
        let answer = line.address(recipient);
        if answer.is_done() {
            self.recipients.push(at);
        }
        answer
    }

    pub fn has_line(&self) -> bool {
        self.line.is_some()
    }

    /// The next hop that was addressed takes no 8-bit octets.
    pub fn needs_7bit(&self) -> bool {
        self.line.as_ref().is_some_and(|line| line.needs_7bit)
    }

    /// Hands the class its mail, for those of its recipients who have not got it. A next hop that went away while the client
    /// was still sending is addressed once more.
    pub fn hand_on(
        &mut self,
        recipients: &[usize],
        parcel: Parcel<'_>,
        hand: &mut Hand<'_>,
    ) -> Answers {
        // The next hop was asked for all of them, so a mail for some takes another transaction.
        if recipients.len() < self.recipients.len()
            && let Some(line) = self.line.take()
        {
            hand.pool.give(line);
        }
        if let Some(line) = &mut self.line
            && line.is_usable()
        {
            let answers = send(line, parcel, hand);
            match &answers {
                Answers::All(answer) if answer.cause == Cause::Lost && !answer.is_doubtful => {}
                _ => return answers,
            }
        }
        match self.open_again(recipients, parcel.outgoing.octets() as u64, hand) {
            // The next group of the class waits for the connection.
            Ok(mut line) if self.is_divided => {
                let answers = send(&mut line, parcel, hand);
                hand.pool.give(line);
                answers
            }
            Ok(line) => {
                let line = self.line.insert(line);
                send(line, parcel, hand)
            }
            Err(answer) => Answers::All(answer),
        }
    }

    /// The recipients were promised to the client, so whatever the next hop now says against one is temporary.
    fn open_again(
        &self,
        recipients: &[usize],
        octets: u64,
        hand: &mut Hand<'_>,
    ) -> Result<Line, Answer> {
        if (hand.watch)() == Watch::Gone {
            return Err(Answer::failed(Cause::ClientGone, "MAIL"));
        }
        let envelope = &hand.mail.envelope;
        let mail = Announced {
            origin: &hand.mail.origin,
            envelope,
            now: hand.mail.received.unix,
        };
        let recipients: Vec<&Recipient> = recipients
            .iter()
            .filter_map(|index| envelope.recipients.get(*index))
            .collect();
        let opening = Opening {
            recipients: &recipients,
            has_line: !hand.is_alone,
            ..opening(mail, Size::Exact(octets), hand.limit)
        };
        let mut line = hand
            .pool
            .begin(&self.route, &opening)
            .map_err(Answer::as_temporary)?;
        for (at, recipient) in recipients.iter().enumerate() {
            line.address_ahead(recipients.get(at..).unwrap_or_default());
            let answer = line.address(recipient);
            if !answer.is_done() {
                hand.pool.give(line);
                return Err(answer.as_temporary());
            }
        }
        Ok(line)
    }
}

fn opening(mail: Announced<'_>, size: Size, limit: Option<Instant>) -> Opening<'_> {
    Opening {
        origin: mail.origin,
        sender: &mail.envelope.sender,
        params: &mail.envelope.sender_params,
        recipients: &[],
        size,
        is_promised: false,
        limit,
        has_line: false,
    }
}

/// Gives a message to a next hop, in 7 bits if it takes no others.
fn send(line: &mut Line, parcel: Parcel<'_>, hand: &mut Hand<'_>) -> Answers {
    let outgoing = parcel.outgoing;
    if line.needs_ascii_header && parcel.message.parts().any(|part| !part.header().is_ascii()) {
        return Answers::All(line.no_utf8());
    }
    if !line.needs_7bit || outgoing.is_ascii() {
        return line.data(outgoing, hand.watch);
    }
    match to_7bit(parcel.message, hand.limits) {
        Ok(message) if outgoing.above.is_ascii() => {
            let outgoing = Outgoing {
                message: message.raw(),
                ..outgoing
            };
            line.data(outgoing, hand.watch)
        }
        outcome => {
            let why = outcome.err().unwrap_or(Unfit::Header);
            Answers::All(Answer::own(Own::NoEightBit.with(&why.to_string())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T198: what the client took to send is not taken from the next hop's time.
    #[test]
    fn t198_the_clock_begins_anew_with_what_the_client_says() {
        let mut delivery = Delivery::default();
        delivery.restart(false);
        assert_eq!(delivery.limit(), None);
        delivery.restart(true);
        let first = delivery.limit().unwrap();
        assert!(first > Instant::now() + BEFORE_QUEUE / 2);
        std::thread::sleep(Duration::from_millis(2));
        delivery.restart(true);
        assert!(delivery.limit().unwrap() > first);
    }
}
