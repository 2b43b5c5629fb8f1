//! Serves one connection: the link to the client on one side, the session's steps on the other, the relay between.
//!
//! Everything about SMTP is decided by [`Session`], everything about a mail by [`transaction`]; this is who reads,
//! writes and looks at the clock.
//!
//! Must never: write a final reply before the next hop has given its own, or wait without a deadline.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mimicry_core::config::typed::Config;
use mimicry_core::envelope::{Path, Recipient};
use mimicry_core::policy::{Effective, Memo};
use mimicry_core::printable::Quoted;
use mimicry_core::reply::{By, Own, Reply};
use mimicry_core::seals::SealKeys;
use rustls::ServerConfig;

use super::delivery::{Announced, Delivery, Ways};
use super::incoming::{Incoming, Rules};
use super::ledger::Ledger;
use super::link::{Heard, Link};
use super::pace::Pace;
use super::peer::client;
use super::poison::Guard;
use super::quiet::Quiet;
use super::refusal::Event;
use super::story::{self, Outcome};
use super::terms::{offer, route};
use super::transaction;
use crate::clock;
use crate::logging;
use crate::logging::line::{self, EventLine};
use crate::prefork::life::Wish;
use crate::prefork::listen::Peer;
use crate::prefork::scoreboard::{Counter, Slot, State};
use crate::prefork::tally;
use crate::relay::{Cause, Pool, Route, Watch};
use crate::smtp::command;
use crate::smtp::data::{Fed, Received};
use crate::smtp::session::Session;
use crate::smtp::step::{DataPlan, Leave, Replies, Step, Whose};

/// A listener that limits the data rate does so only after a while, so that a slow start is no offence.
const RATE_GRACE: Duration = Duration::from_secs(30);

/// How long a client may take to begin TLS.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// A client that has spoken since its last mail, or has just come, may be about to send one: a worker that retires ends the session
/// after so much silence. Without that the mail would be deferred.
const ABOUT_TO_SEND: Duration = Duration::from_secs(5);

/// A client that has just had the reply to its mail is about to say QUIT. Some programs that read 421 as the reply to QUIT take the mail
/// for refused, and send it again.
const ABOUT_TO_QUIT: Duration = Duration::from_secs(1);

/// Recipients that are looked for behind the one in hand.
const NEXT: usize = 100;

/// How long a reply may take to be written when the session's time is over.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// One session in hand.
pub struct Conversation<'s> {
    pub config: &'s Config,
    /// Those that hold from the connection on.
    pub settings: Arc<Effective>,
    pub memo: &'s Memo,
    pub seal_keys: &'s SealKeys,
    pub hostname: &'s str,
    pub routes: &'s [Rc<Route>],
    pub pool: &'s mut Pool,
    pub ledger: &'s Ledger,
    pub link: Link<'s>,
    pub slot: &'s Slot,
    /// What of it has no line in the log.
    pub quiet: &'s mut Quiet,
    pub peer: Peer,
    /// What STARTTLS needs, if it is offered.
    pub tls: Option<&'s Arc<ServerConfig>>,
    pub is_before_queue: bool,
    pub session: Session<'s>,
    pub delivery: Delivery,
    /// Of the mail in hand, from the first word about it in the log.
    pub id: Option<String>,
    /// Of the message that is being received.
    pub sender: Option<Path>,
    /// When the last mail had its final reply; `None` = the client may be about to send one: it has just connected, or has said
    /// something since.
    pub answered: Option<Instant>,
    pub broken: bool,
    /// Only its last words are left to say.
    pub is_leaving: bool,
    pub ends_at: Option<Instant>,
    pub pace: Pace,
}

/// The session is over.
pub enum Over {
    /// Its last words were said.
    Said,
    /// Nobody is there.
    Gone,
}

impl From<io::Error> for Over {
    fn from(_: io::Error) -> Over {
        Over::Gone
    }
}

impl Conversation<'_> {
    pub fn run(&mut self, welcome: bool) -> Result<(), Over> {
        let step = self.session.open(welcome);
        self.tell(&step, Some(Event::ClientRefused), None);
        self.act(step)?;
        // The greeting waits for nobody; the reply to EHLO says what the next hop can do, if it says so soon.
        self.flush()?;
        if welcome && let Some(route) = route(self.routes, &self.settings) {
            let offered = self.session.offered().clone();
            let offer = offer(offered, &self.settings, self.pool, route);
            self.session.offer(offer);
        }
        loop {
            self.slot.enter(State::Session);
            self.commands()?;
            self.flush()?;
            self.read_commands()?;
        }
    }

    /// Obeys what has come in whole lines. Replies are collected, so that a pipelining client gets them in one write.
    fn commands(&mut self) -> Result<(), Over> {
        loop {
            // Before each command: a client that always has one more may not stay.
            let over = match self.link.wire.input().is_empty() {
                true => None,
                false => self.over(),
            };
            let Some(line) = self.link.wire.line() else {
                return Ok(());
            };
            if let Some(why) = over
                && !command::is_quit(&line)
            {
                return self.leave(why);
            }
            self.answered = None;
            let refused = Event::if_refused(&line);
            let step = self.session.step(line);
            self.tell(&step, refused, None);
            self.act(step)?;
            if self.link.wire.is_full() {
                self.flush()?;
            }
        }
    }

    fn act(&mut self, step: Step) -> Result<(), Over> {
        let mut step = step;
        loop {
            step = match step {
                Step::Say(replies) => {
                    self.say(&replies);
                    return Ok(());
                }
                Step::Reset(replies) => {
                    self.say(&replies);
                    self.flush()?;
                    self.forget();
                    return Ok(());
                }
                Step::Forward(recipient) => {
                    let (reply, whose) = self.forward(&recipient);
                    if reply.is_done() {
                        self.pace.took_recipient();
                    }
                    let step = self.session.forwarded(reply, whose);
                    self.tell(&step, Some(Event::RcptRefused), Some(&recipient));
                    step
                }
                Step::Receive(plan) => match self.receive(plan)? {
                    Some(step) => step,
                    None => return Ok(()),
                },
                Step::StartTls(reply) => return self.start_tls(&reply),
                Step::Close(reply) => {
                    self.link.wire.say(&reply);
                    // What cannot be said is not waited for.
                    let _ = self.flush();
                    self.forget();
                    return Err(Over::Said);
                }
            };
        }
    }

    fn say(&mut self, replies: &Replies) {
        for reply in replies.iter() {
            self.link.wire.say(reply);
        }
    }

    fn start_tls(&mut self, reply: &Reply) -> Result<(), Over> {
        self.link.wire.say(reply);
        self.flush()?;
        self.forget();
        let Some(config) = self.tls else {
            return Err(Over::Gone);
        };
        let handshake = self.handshake_deadline(HANDSHAKE);
        let deadline = [handshake, self.ends_at].into_iter().flatten().min();
        // In the clear nothing may be said any more.
        if let Err(why) = self.link.secure(config, deadline) {
            let why = why.to_string();
            self.slot.add(Event::SessionEnded.counter(), 1);
            log::warn!("{}: no TLS: {}", self.peer, Quoted(why.as_bytes()));
            return Err(Over::Gone);
        }
        self.session.secured();
        Ok(())
    }

    fn leave(&mut self, why: Leave) -> Result<(), Over> {
        let step = self.session.leave(why);
        if let Step::Close(reply) = &step {
            self.note(Event::of_leaving(why), Some(reply), None);
        }
        self.is_leaving = true;
        self.act(step)
    }

    /// Too many connections come from its network.
    pub fn turn_away(&mut self) -> Result<(), Over> {
        self.leave(Leave::Crowded)
    }

    /// What ends a mail or a session otherwise than asked has a line in the log and is counted. `refused` is what a refusal
    /// would be.
    fn tell(&mut self, step: &Step, refused: Option<Event>, recipient: Option<&Recipient>) {
        if let Some((event, reply)) = Event::of(step, refused) {
            self.note(event, Some(reply), recipient);
        }
    }

    /// The client has gone without a word. Between two mails it may.
    pub fn gone(&mut self) {
        if !self.session.is_idle() {
            self.note(Event::ClientGone, None, None);
        }
    }

    pub fn note(&mut self, event: Event, reply: Option<&Reply>, recipient: Option<&Recipient>) {
        self.slot.add(event.counter(), 1);
        let by = reply.map_or(By::Client, Reply::by);
        let now = Instant::now();
        if !self.quiet.says(event, by, client(&self.peer), now) {
            return;
        }
        let (origin, connection) = (self.session.origin(), self.session.connection());
        let open = self.session.envelope().map(|envelope| &envelope.sender);
        let from = open.or(self.sender.as_ref());
        logging::event(&EventLine {
            time: line::now(),
            event: event.word(),
            id: self.id.get_or_insert_with(story::id).clone(),
            reply: reply.map(Reply::to_string),
            by,
            client: story::client_of(origin, connection, &self.peer.to_string()),
            listener: origin.listener.clone().unwrap_or_default(),
            helo: origin.helo.clone().unwrap_or_default(),
            from: from.map(|path| path.as_bytes().to_vec()),
            to: recipient.map(|one| one.path.as_bytes().to_vec()),
        });
    }

    /// Connections go back to the pool; what was begun on them is reset there.
    pub fn forget(&mut self) {
        (self.id, self.sender) = (None, None);
        std::mem::take(&mut self.delivery).release(self.pool);
    }

    /// RCPT: the next hop's own answer is the client's.
    fn forward(&mut self, recipient: &Recipient) -> (Reply, Whose) {
        let Some(envelope) = self.session.envelope() else {
            let reply = Own::NoTransaction.reply();
            return (reply, Whose::Ours);
        };
        let next = match self.delivery.is_curious() {
            true => self.next_recipients(),
            false => Vec::new(),
        };
        let ways = Ways {
            banks: &self.config.banks,
            memo: self.memo,
            routes: self.routes,
            offered: route(self.routes, &self.settings),
            client: self.session.protocol(),
            has_ledger: self.ledger.is_there(),
            is_before_queue: self.is_before_queue,
        };
        let mail = Announced {
            origin: self.session.origin(),
            envelope,
            now: clock::now().unix,
        };
        let both = (recipient, next.as_slice());
        let answer = self.delivery.rcpt(&ways, self.pool, mail, both);
        let whose = match answer.cause {
            // That it is away, or has no connection free, is no error of the client.
            Cause::Said | Cause::Unreachable | Cause::NoneFree => Whose::NextHop,
            _ => Whose::Ours,
        };
        (answer.reply, whose)
    }

    /// Whom the client has named behind the recipient in hand, as far as each of them will be asked for whatever becomes of the others.
    fn next_recipients(&self) -> Vec<Recipient> {
        let mut found = Vec::new();
        for line in self.link.wire.further_lines() {
            match self.session.foresee(line, found.len()) {
                Some(recipient) if found.len() < NEXT => found.push(recipient),
                _ => break,
            }
        }
        found
    }

    /// DATA: reads the message, hands it on, and says what came of it. `Some` = this is to be done besides.
    fn receive(&mut self, plan: DataPlan) -> Result<Option<Step>, Over> {
        let received = match self.take_message(&plan)? {
            Ok(received) => received,
            Err(step) => return Ok(Some(step)),
        };
        // How slowly the client sent it is not to be made up for by the next hop.
        self.delivery.restart(self.is_before_queue);
        let octets = received.message.len() as u64;
        self.slot.add(Counter::OctetsIn, octets);
        let id = self.id.take().unwrap_or_else(story::id);
        self.slot.take_mail(&id);
        self.slot.enter(State::Rules);
        let guard = Guard::begin(self.slot, &received.message);
        let fate = guard.fate(&self.config.daemon);
        let rules = Rules {
            banks: &self.config.banks,
            memo: self.memo,
            seal_keys: self.seal_keys,
            slot: self.slot,
            fate: &fate,
            generation: &self.config.hash,
        };
        let incoming = Incoming {
            rules,
            hostname: self.hostname,
            ledger: self.ledger,
            client: self.session.protocol(),
            origin: self.session.origin().clone(),
            connection: self.session.connection().clone(),
            with_subject: self.config.log.subject,
            peer: self.peer.to_string(),
            id,
            plan,
            received,
        };
        let link = &mut self.link;
        let mut watch = || match link.has_gone() {
            true => Watch::Gone,
            false => Watch::Stays,
        };
        let outcome = transaction::run(incoming, &mut self.delivery, self.pool, &mut watch);
        guard.end(&fate, outcome.panicked);
        // How long the client takes for its reply is limited as in the rest of the session.
        self.slot.enter(State::Session);
        if let Some(tally) = self.slot.board().tally() {
            outcome.count(tally);
        }
        let Outcome {
            replies,
            lines,
            edited,
            octets_out,
            panicked,
            unsettled,
            ..
        } = outcome;
        let step = self.session.received(replies);
        // The client's reply first; what is left to say to the next hop has time.
        if let Step::Say(replies) = &step {
            if replies.iter().any(Reply::is_done) {
                self.pace = Pace::of_commands();
            }
            self.count(replies, edited, octets_out, panicked);
            self.say(replies);
        }
        let written = self.flush();
        for line in lines {
            line.log(written.is_ok());
        }
        if let Some((mail, unsettled)) = unsettled {
            unsettled.settle(self.ledger, &mail, written.is_ok());
        }
        self.forget();
        self.broken |= panicked;
        written?;
        self.answered = Some(Instant::now());
        Ok(None)
    }

    /// The message, or what is to be done because it is refused.
    fn take_message(&mut self, plan: &DataPlan) -> Result<Result<Received, Step>, Over> {
        self.link.wire.say(&plan.reply);
        self.flush()?;
        self.slot.enter(State::Receiving);
        self.sender = Some(plan.envelope.sender.clone());
        let pace = std::mem::replace(&mut self.pace, Pace::of_message());
        let received = self.read_message(plan)?;
        self.pace = pace;
        Ok(received.map_err(|refusal| {
            let step = self.session.refused(refusal);
            self.tell(&step, Some(Event::DataRefused), None);
            step
        }))
    }

    fn count(&self, replies: &Replies, edited: bool, octets_out: u64, panicked: bool) {
        self.slot.add(Counter::Mails, 1);
        self.slot
            .ended(tally::Outcome::of(replies.iter().map(Reply::code)));
        self.slot.add(Counter::OctetsOut, octets_out);
        let flags = [
            (Counter::Edited, edited),
            (
                Counter::Deferred,
                replies.iter().any(|reply| reply.code() / 100 == 4),
            ),
            (
                Counter::Refused,
                replies.iter().any(|reply| reply.code() / 100 == 5),
            ),
            (Counter::Panics, panicked),
        ];
        for (counter, _) in flags.into_iter().filter(|(_, holds)| *holds) {
            self.slot.add(counter, 1);
        }
    }

    fn read_message(
        &mut self,
        plan: &DataPlan,
    ) -> Result<Result<Received, crate::smtp::data::Refusal>, Over> {
        let mut reader = plan.reader();
        let began = Instant::now();
        let mut octets = 0u64;
        loop {
            let Fed { taken, ended } = reader.feed(self.link.wire.input());
            self.link.wire.consume(taken);
            octets = octets.saturating_add(taken as u64);
            self.pace.took_octets(taken, self.settings.limits.data_rate);
            if let Some(ended) = ended {
                return Ok(ended);
            }
            if self.is_late() {
                return self.give_up(Leave::TooLong);
            }
            if self.is_too_slow(began, octets) {
                return self.give_up(Leave::TooSlow);
            }
            let deadline = self.idle_deadline();
            match self.hear(deadline)? {
                Heard::Octets => {}
                Heard::Nothing => return self.give_up(self.silence()),
                Heard::End => return Err(Over::Gone),
                // The mail in hand is finished; a worker that must go at once leaves it to the client.
                Heard::Wish if self.link.wish() >= Wish::Quit => {
                    return self.give_up(Leave::Stopping);
                }
                Heard::Wish => self.give_back(),
            }
        }
    }

    /// Other workers wait for lines that this one keeps, perhaps.
    fn give_back(&mut self) {
        if self.link.take_lines_wanted() {
            self.pool.give_back();
        }
    }

    pub fn give_up<T>(&mut self, why: Leave) -> Result<T, Over> {
        self.leave(why)?;
        Err(Over::Said)
    }

    fn is_too_slow(&self, began: Instant, octets: u64) -> bool {
        let spent = began.elapsed();
        let due = self
            .settings
            .limits
            .data_rate
            .saturating_mul(spent.as_secs());
        spent > RATE_GRACE && octets < due
    }

    fn read_commands(&mut self) -> Result<(), Over> {
        loop {
            let wish = self.link.known_wish();
            if wish >= Wish::Quit {
                return self.leave(Leave::Stopping);
            }
            let ending = self.ending(wish);
            let dawdling = (wish >= Wish::Drain).then_some(Leave::Stopping);
            let deadline = match (ending, dawdling) {
                (Some(why), _) => self.patience(why),
                // A mail is begun, and nothing comes of it.
                (None, Some(_)) => {
                    (Instant::now().checked_add(ABOUT_TO_SEND)).min(self.idle_deadline())
                }
                (None, None) => self.idle_deadline(),
            };
            match self.hear(deadline)? {
                Heard::Octets => return Ok(()),
                Heard::End => return Err(Over::Gone),
                Heard::Nothing => return self.leave(ending.or(dawdling).unwrap_or(self.silence())),
                Heard::Wish => self.give_back(),
            }
        }
    }

    /// Why the session must end between two mails.
    fn ending(&self, wish: Wish) -> Option<Leave> {
        let why = match wish {
            _ if self.broken => Leave::Broken,
            Wish::Stay => return None,
            Wish::Retire => Leave::Retiring,
            Wish::Drain | Wish::Quit => Leave::Stopping,
        };
        self.session.is_idle().then_some(why)
    }

    /// Why the next command gets no more than 421, unless it is QUIT.
    fn over(&mut self) -> Option<Leave> {
        if self.is_late() {
            return Some(Leave::TooLong);
        }
        // Only between two mails it matters.
        if !self.session.is_idle() {
            return None;
        }
        let wish = self.link.wish();
        self.ending(wish)
            .filter(|why| self.answered.is_some() || *why == Leave::Stopping)
    }

    /// Until when a session that must end waits for a word of the client. What has come already is read in any case.
    fn patience(&self, why: Leave) -> Option<Instant> {
        let now = Instant::now();
        let until = match self.answered {
            Some(at) => at.checked_add(ABOUT_TO_QUIT),
            None if why == Leave::Retiring => now.checked_add(ABOUT_TO_SEND),
            None => Some(now),
        };
        until.min(self.idle_deadline())
    }

    /// The time of the session is over.
    fn is_late(&self) -> bool {
        self.ends_at.is_some_and(|at| Instant::now() >= at)
    }

    /// What silence until [`Conversation::idle_deadline`] means.
    fn silence(&self) -> Leave {
        match self.is_late() {
            true => Leave::TooLong,
            false => Leave::Idle,
        }
    }

    /// The earlier of the end of patience and the end of the session.
    fn idle_deadline(&self) -> Option<Instant> {
        let idle = Instant::now().checked_add(self.settings.limits.idle_timeout);
        [idle, self.ends_at].into_iter().flatten().min()
    }

    /// Writes what is to be said. A client that does not read is not waited for longer than one that does not speak; when its
    /// time is over, a moment, for the answer to a mail that took it, or to tell it why it must go.
    fn flush(&mut self) -> Result<(), Over> {
        let last_words = Instant::now().checked_add(LAST_WORDS);
        if self.is_leaving {
            return Ok(self.link.flush(last_words)?);
        }
        self.write(self.idle_deadline().max(last_words))
    }
}
