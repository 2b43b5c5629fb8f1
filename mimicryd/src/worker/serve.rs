//! Serves one connection: the socket on one side, the session's steps on the other, the relay between.
//!
//! Everything about SMTP is decided by [`Session`], everything about a mail by [`transaction`]; this is who reads,
//! writes and looks at the clock.
//!
//! Must never: write a final reply before the next hop has given its own, or wait without a deadline.
//!
//! Slightly longer than 600 lines: what belongs to one connection stands together.

use std::io::{self, ErrorKind, Read, Write};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mimicry_core::config::typed::{Config, Listen, Profile};
use mimicry_core::envelope::Recipient;
use mimicry_core::origin::Origin;
use mimicry_core::reply::Reply;
use mimicry_core::rule::plan;
use nix::poll::{PollFd, PollFlags};
use socket2::Socket;

use super::transaction::{self, Class, Job, Outcome};
use super::{Accepted, Life, Serve, SessionEnd, Wish};
use crate::master::listen::Peer;
use crate::master::scoreboard::{Counter, Slot, State};
use crate::relay::{Keys, Opening, Pool, Route, Size, Watch, capabilities, outgoing_rcpt_params};
use crate::smtp::data::{Fed, Received};
use crate::smtp::offer::Offer;
use crate::smtp::session::{DataPlan, Leave, Replies, Session, Step, Terms};
use crate::smtp::wire::Wire;
use crate::sys::poll;

/// The whole transaction of a listener before the queue: Postfix gives up on its proxy after 100 s.
const BEFORE_QUEUE: Duration = Duration::from_secs(90);

/// A listener that limits the data rate does so only after a while, so that a slow start is no offence.
const RATE_GRACE: Duration = Duration::from_secs(30);

/// The server of one worker.
pub struct Server {
    config: Arc<Config>,
    hostname: String,
    terms: Vec<Terms>,
    route: Route,
    pool: Pool,
    wire: Wire,
}

impl Server {
    /// Made in the worker. Names are resolved here, never during a mail.
    pub fn new(config: Arc<Config>, keys: Arc<Keys>) -> Result<Server, String> {
        let hostname = hostname(&config);
        let Some(route) = Route::of(&config.relay, &hostname) else {
            return Err("the configuration has no next hop".into());
        };
        let terms = config
            .listen
            .iter()
            .map(|listen| terms(&config, listen, &hostname))
            .collect();
        let mut pool = Pool::new(keys);
        if let Err(error) = pool.resolve(&route) {
            log::warn!("the next hop cannot be resolved: {error}; mail is deferred until it can");
        }
        Ok(Server {
            wire: Wire::new(config.limits.line),
            hostname,
            terms,
            route,
            pool,
            config,
        })
    }
}

/// The name that mimicry gives itself.
fn hostname(config: &Config) -> String {
    let own = || {
        nix::unistd::gethostname()
            .ok()
            .and_then(|name| name.into_string().ok())
    };
    config
        .hostname
        .clone()
        .or_else(own)
        .unwrap_or_else(|| "localhost".into())
}

fn terms(config: &Config, listen: &Listen, hostname: &str) -> Terms {
    Terms {
        hostname: hostname.to_string(),
        protocol: listen.protocol,
        mail: config.limits.mail,
        recipients: config.limits.recipients,
        errors: config.limits.errors,
        junk_commands: config.limits.junk_commands,
        bare_newline: config.bare_newline,
    }
}

impl Serve for Server {
    fn rest(&mut self) {
        self.pool.tidy();
    }

    fn session(&mut self, connection: Accepted, slot: &Slot, life: &Life) -> SessionEnd {
        let Some((listen, terms)) = self
            .config
            .listen
            .get(connection.listener)
            .zip(self.terms.get(connection.listener))
        else {
            return SessionEnd::Served;
        };
        self.pool.tidy();
        self.wire.reset(self.config.limits.line);
        let welcome = is_welcome(listen, &connection.peer);
        let origin = Origin {
            client: client(&connection.peer),
            listener: Some(listen.name.clone()),
            ..Origin::default()
        };
        let offer = if welcome {
            offer(&self.config, &mut self.pool, &self.route)
        } else {
            Offer::ours(self.config.limits.mail)
        };
        let mut conversation = Conversation {
            config: &self.config,
            hostname: &self.hostname,
            route: &self.route,
            pool: &mut self.pool,
            wire: &mut self.wire,
            slot,
            life,
            peer: connection.peer,
            socket: connection.socket,
            before_queue: listen.profile == Profile::BeforeQueue,
            session: Session::new(terms, offer, origin),
            open: Open::default(),
            broken: false,
            ends_at: Instant::now().checked_add(self.config.limits.session_timeout),
        };
        // An error is a client that has gone: there is nobody to tell.
        let _ = conversation.run(welcome);
        let broken = conversation.broken;
        conversation.forget();
        if broken {
            SessionEnd::Broken
        } else {
            SessionEnd::Served
        }
    }
}

/// Extensions offered: ours, less those hidden, as far as the next hop's last EHLO had them.
fn offer(config: &Config, pool: &mut Pool, route: &Route) -> Offer {
    let ours =
        Offer::ours(config.limits.mail).without(config.hide_extensions.iter().map(String::as_str));
    let Some(known) = pool.last_known(route) else {
        return Offer {
            dsn: false,
            smtputf8: false,
            ..ours
        };
    };
    let size = match (ours.size, known.size) {
        (Some(own), Some(hop)) if hop > 0 => Some(own.min(hop)),
        (own, _) => own,
    };
    Offer {
        size,
        eight_bit_mime: ours.eight_bit_mime && known.eight_bit_mime,
        smtputf8: ours.smtputf8 && known.smtp_utf8,
        dsn: ours.dsn && known.dsn,
        ..ours
    }
}

fn client(peer: &Peer) -> Option<IpAddr> {
    match peer {
        Peer::Inet(address) => Some(address.ip()),
        Peer::Unix => None,
    }
}

/// A unix socket is guarded by its file's permissions.
fn is_welcome(listen: &Listen, peer: &Peer) -> bool {
    client(peer).is_none_or(|address| {
        listen
            .clients
            .iter()
            .any(|network| network.contains(&address))
    })
}

/// One session in hand.
struct Conversation<'s> {
    config: &'s Config,
    hostname: &'s str,
    route: &'s Route,
    pool: &'s mut Pool,
    wire: &'s mut Wire,
    slot: &'s Slot,
    life: &'s Life,
    peer: Peer,
    socket: Socket,
    before_queue: bool,
    session: Session<'s>,
    open: Open,
    broken: bool,
    ends_at: Option<Instant>,
}

/// What belongs to the transaction that is open.
#[derive(Default)]
struct Open {
    began: Option<Instant>,
    classes: Vec<Class>,
    /// For a listener before the queue: the end of it all.
    limit: Option<Instant>,
}

/// The session is over.
enum Over {
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
    fn run(&mut self, welcome: bool) -> Result<(), Over> {
        let step = self.session.open(welcome);
        self.act(step)?;
        loop {
            self.slot.enter(State::Session);
            self.commands()?;
            self.flush()?;
            if self.session.is_idle() && self.life.wish() >= Wish::Drain {
                return self.leave(Leave::Stopping);
            }
            self.read_commands()?;
        }
    }

    /// Obeys what has come in whole lines. Replies are collected, so that a pipelining client gets them in one write.
    fn commands(&mut self) -> Result<(), Over> {
        loop {
            let Some(line) = self.wire.line() else {
                return Ok(());
            };
            let step = self.session.step(line);
            self.act(step)?;
            if self.wire.is_full() {
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
                    let reply = self.forward(&recipient);
                    self.session.forwarded(reply)
                }
                Step::Receive(plan) => match self.receive(plan)? {
                    Some(step) => step,
                    None => return Ok(()),
                },
                Step::StartTls(_) => self.session.leave(Leave::Broken),
                Step::Close(reply) => {
                    self.wire.say(&reply);
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
            self.wire.say(reply);
        }
    }

    fn leave(&mut self, why: Leave) -> Result<(), Over> {
        let step = self.session.leave(why);
        self.act(step)
    }

    /// Lines go back to the pool; what was begun on them is reset there.
    fn forget(&mut self) {
        for class in std::mem::take(&mut self.open).classes {
            if let Some(line) = class.line {
                self.pool.give(line);
            }
        }
    }

    /// RCPT: the class of the recipient gets its transaction if it has none yet, and the next hop's own answer is the
    /// client's.
    fn forward(&mut self, recipient: &Recipient) -> Reply {
        let Some(envelope) = self.session.envelope() else {
            return Reply::own(451, "4.3.0", "no transaction is open");
        };
        let index = envelope.recipients.len();
        if self.open.began.is_none() {
            self.open.began = Some(Instant::now());
            if self.before_queue {
                self.open.limit = Instant::now().checked_add(BEFORE_QUEUE);
            }
        }
        let policy = &self.config.policy;
        let signature = plan::signature(
            policy,
            self.session.origin(),
            &envelope.sender,
            &recipient.path,
        );
        let known = self
            .open
            .classes
            .iter()
            .position(|class| class.signature == signature);
        let at = match known {
            Some(at) => at,
            None if self.open.classes.len() >= self.config.limits.max_classes => {
                return Reply::own(
                    452,
                    "4.5.3",
                    "too many recipients that need different mails; send to the others separately",
                );
            }
            None => {
                let size = transaction::declared_size(&envelope.sender_params);
                let opening = Opening {
                    origin: self.session.origin(),
                    sender: &envelope.sender,
                    params: &envelope.sender_params,
                    size: size.map_or(Size::Unknown, |octets| Size::Declared {
                        octets,
                        growth: capabilities::GROWTH,
                    }),
                    limit: self.open.limit,
                };
                match self.pool.begin(self.route, &opening) {
                    Ok(line) => self.open.classes.push(Class {
                        signature,
                        recipients: Vec::new(),
                        line: Some(line),
                    }),
                    Err(answer) => return answer.reply,
                }
                self.open.classes.len().saturating_sub(1)
            }
        };
        let Some(class) = self.open.classes.get_mut(at) else {
            return Reply::own(451, "4.3.0", "no transaction is open");
        };
        let Some(line) = &mut class.line else {
            return Reply::own(451, "4.4.2", "lost the connection to the next hop");
        };
        let params = outgoing_rcpt_params(&recipient.params, line.capabilities());
        let answer = line.rcpt(&recipient.path, &params);
        if answer.is_done() {
            class.recipients.push(index);
        }
        answer.reply
    }

    /// DATA: reads the message, hands it on, and says what came of it. `Some` = this is to be done besides.
    fn receive(&mut self, plan: DataPlan) -> Result<Option<Step>, Over> {
        self.wire.say(&plan.reply);
        self.flush()?;
        self.slot.enter(State::Receiving);
        let began = self.open.began.unwrap_or_else(Instant::now);
        let received = match self.read_message(&plan)? {
            Ok(received) => received,
            Err(refusal) => return Ok(Some(self.session.refused(refusal))),
        };
        let octets = received.message.len() as u64;
        self.slot.add(Counter::OctetsIn, octets);
        self.slot.enter(State::Rules);
        let job = Job {
            config: self.config,
            hostname: self.hostname,
            origin: self.session.origin().clone(),
            peer: self.peer.to_string(),
            plan,
            received,
            began,
            limit: self.open.limit,
        };
        let mut classes = std::mem::take(&mut self.open.classes);
        let socket = &self.socket;
        let input = self.wire.input().is_empty();
        let slot = self.slot;
        let mut watch = || {
            slot.enter(State::Relaying);
            // What the client has sent ahead stands before its end of file.
            if input && has_gone(socket) {
                Watch::Gone
            } else {
                Watch::Stays
            }
        };
        let outcome = transaction::run(job, &mut classes, self.pool, self.route, &mut watch);
        let Outcome {
            replies,
            lines,
            edited,
            octets_out,
            panicked,
        } = outcome;
        let step = self.session.received(replies);
        // The client's reply first; what is left to say to the next hop has time.
        if let Step::Say(replies) = &step {
            self.count(replies, edited, octets_out, panicked);
            self.say(replies);
        }
        let written = self.flush();
        for line in lines {
            line.log(written.is_ok());
        }
        self.open.classes = classes;
        self.forget();
        if panicked {
            self.broken = true;
        }
        written?;
        Ok(self.broken.then(|| self.session.leave(Leave::Broken)))
    }

    fn count(&self, replies: &Replies, edited: bool, octets_out: u64, panicked: bool) {
        self.slot.add(Counter::Mails, 1);
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
            let Fed { taken, ended } = reader.feed(self.wire.input());
            self.wire.consume(taken);
            octets = octets.saturating_add(taken as u64);
            if let Some(ended) = ended {
                return Ok(ended);
            }
            if self.is_too_slow(began, octets) {
                return self.give_up(Leave::TooLong);
            }
            let deadline = self.idle_deadline();
            match self.read(deadline)? {
                Heard::Octets => {}
                Heard::Nothing => return self.give_up(Leave::Idle),
                Heard::End => return Err(Over::Gone),
                // The mail in hand is finished; a worker that must go at once leaves it to the client.
                Heard::Wish if self.life.wish() >= Wish::Quit => {
                    return self.give_up(Leave::Stopping);
                }
                Heard::Wish => {}
            }
        }
    }

    fn give_up<T>(&mut self, why: Leave) -> Result<T, Over> {
        self.leave(why)?;
        Err(Over::Said)
    }

    fn is_too_slow(&self, began: Instant, octets: u64) -> bool {
        let spent = began.elapsed();
        let due = self.config.limits.data_rate.saturating_mul(spent.as_secs());
        spent > RATE_GRACE && octets < due
    }

    fn read_commands(&mut self) -> Result<(), Over> {
        loop {
            let deadline = self.idle_deadline();
            match self.read(deadline)? {
                Heard::Octets => return Ok(()),
                Heard::End => return Err(Over::Gone),
                Heard::Nothing => {
                    let session_over = self.ends_at.is_some_and(|at| Instant::now() >= at);
                    return self.leave(if session_over {
                        Leave::TooLong
                    } else {
                        Leave::Idle
                    });
                }
                Heard::Wish => {
                    let wish = self.life.wish();
                    if wish >= Wish::Quit || (wish >= Wish::Drain && self.session.is_idle()) {
                        return self.leave(Leave::Stopping);
                    }
                }
            }
        }
    }

    /// The earlier of the end of patience and the end of the session.
    fn idle_deadline(&self) -> Option<Instant> {
        let idle = Instant::now().checked_add(self.config.limits.idle_timeout);
        [idle, self.ends_at].into_iter().flatten().min()
    }

    /// Waits for octets of the client.
    fn read(&mut self, deadline: Option<Instant>) -> Result<Heard, Over> {
        let known = self.life.wish();
        loop {
            match (&self.socket).read(self.wire.space()) {
                Ok(0) => return Ok(Heard::End),
                Ok(count) => {
                    self.wire.filled(count);
                    return Ok(Heard::Octets);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                        return Ok(Heard::Nothing);
                    }
                    // A wish that is known already must not make this a busy loop.
                    let mut waited = vec![PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
                    if known < Wish::Quit {
                        waited.push(PollFd::new(self.life.as_fd(), PollFlags::POLLIN));
                    }
                    poll::wait(&mut waited, deadline)?;
                    if self.life.look() > known {
                        return Ok(Heard::Wish);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Writes what is to be said. A client that does not read is not waited for longer than one that does not speak.
    fn flush(&mut self) -> Result<(), Over> {
        let deadline = Instant::now().checked_add(self.config.limits.idle_timeout);
        loop {
            let outgoing = self.wire.outgoing();
            if outgoing.is_empty() {
                return Ok(());
            }
            match (&self.socket).write(outgoing) {
                Ok(0) => return Err(Over::Gone),
                Ok(count) => self.wire.sent(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                        return Err(Over::Gone);
                    }
                    poll::wait(
                        &mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT)],
                        deadline,
                    )?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// What reading brought.
enum Heard {
    Octets,
    End,
    /// Nothing, until the deadline.
    Nothing,
    /// The master wants something.
    Wish,
}

/// Has the client closed or reset its side? It is asked without waiting and without taking an octet.
fn has_gone(socket: &Socket) -> bool {
    let mut octet = [std::mem::MaybeUninit::uninit()];
    match socket.peek(&mut octet) {
        Ok(count) => count == 0,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
    }
}
