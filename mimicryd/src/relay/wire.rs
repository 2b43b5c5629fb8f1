//! Our own connection: `lmtp:`, unix sockets, STARTTLS and `smtps://`.
//!
//! `smtps://` is spoken here and not through lettre. The guarantees of `client.rs` rest on seeing what has arrived without
//! taking it; through lettre's TLS one sees ciphertext, so that a reply too many, a dripping reply and a reply before the dot could
//! not be told apart from a good one, and tickets that a TLS 1.3 server sends unasked would look like speech.
//!
//! **STARTTLS.** Whatever came in the clear ends at the upgrade: if anything stands behind the 220 the line is out of step
//! (somebody put it there), and what EHLO said before does not count. Where TLS is only wished for (`may`), a server that refuses it or
//! breaks it off gets a second line, in the clear; a line that is out of step does not.
//!
//! Known limits: a reply that comes within the microseconds between our look and the write that follows it is taken for the answer; what
//! follows it is then a reply too many. Holding the write back (TCP_CORK) and looking once more made the window no smaller: it would be
//! that between the last look and the letting go.
//!
//! Must never: wait without a deadline, or hold more than one reply and what a read brings behind it.

use std::io::{ErrorKind, IoSlice};
use std::sync::Arc;
use std::time::Instant;

use mimicry_core::extension::Extension;
use mimicry_core::printable::Quoted;
use mimicry_core::reply::{Own, Reply};
use mimicry_core::settings::Timeouts;
use mimicry_core::settings::endpoint::Protocol;
use nix::poll::PollFlags;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::answer::{Answer, Cause};
use super::client::Client;
use super::command::CommandLine;
use super::link::{DOT_LINE, Link, LinkState, Stuck, Taken, Written, deadline, remaining};
use super::reader::{Reading, read};
use super::route::{Route, Security};
use super::stream::{Heard, ServerAddress, Stream};
use super::tls::in_words;
use crate::channel::NoTls;

/// A line to a server of SMTP or LMTP.
pub type WireHop = Client<Wire>;

/// Our connection.
pub struct Wire {
    stream: Stream,
    /// What was read and not taken.
    arrived: Vec<u8>,
}

/// Is shown the octets of a reply, those that have come behind it, and its lines without codes.
pub(super) type Look<'l> = dyn FnMut(&[u8], &[u8], &[&[u8]]) + 'l;

/// What a line begins with.
pub struct Terms<'t> {
    pub route: &'t Route,
    pub protocol: Protocol,
    pub place: ServerAddress<'t>,
    /// The name that the certificate must bear.
    pub name: Option<ServerName<'static>>,
    /// As the route's [`Security`] wants it.
    pub tls: Option<Arc<ClientConfig>>,
    pub patience: Patience<'t>,
}

/// How long a line may take to come about.
#[derive(Clone, Copy)]
pub struct Patience<'p> {
    pub limit: Option<Instant>,
    /// Is told if the next hop takes its time to greet: it may serve no more lines at present.
    pub slow: &'p dyn Fn(),
}

impl Patience<'_> {
    /// Nobody is told.
    pub fn until(limit: Option<Instant>) -> Patience<'static> {
        Patience {
            limit,
            slow: &|| {},
        }
    }
}

impl WireHop {
    pub fn connect(terms: &Terms<'_>) -> Result<WireHop, Answer> {
        let security = terms.route.security();
        match WireHop::connect_with(terms, security) {
            Err(answer) if answer.cause == Cause::Tls && security == Security::May => {
                log::warn!(
                    "{}: no TLS, the mail goes in the clear: {}",
                    terms.route.next_hop,
                    Quoted(answer.reply.to_string().as_bytes())
                );
                WireHop::connect_with(terms, Security::Clear)
            }
            outcome => outcome,
        }
    }

    /// Without TLS. `helo` is the name given in EHLO.
    pub fn in_the_clear(
        place: ServerAddress<'_>,
        protocol: Protocol,
        helo: &str,
        timeouts: Timeouts,
        patience: Patience<'_>,
    ) -> Result<WireHop, Answer> {
        let mut hop = WireHop::reach(place, protocol, timeouts, patience.limit)?;
        hop.greeting(patience.slow)?;
        hop.hello_or_helo(helo)?;
        Ok(hop)
    }

    /// A connection on which nothing was said.
    fn reach(
        place: ServerAddress<'_>,
        protocol: Protocol,
        timeouts: Timeouts,
        limit: Option<Instant>,
    ) -> Result<WireHop, Answer> {
        let until = deadline(timeouts.connect, limit);
        if remaining(until).is_none() {
            return Err(Answer::failed(Cause::OutOfTime, "connect"));
        }
        let stream =
            Stream::connect(place, until).map_err(|cause| Answer::failed(cause, "connect"))?;
        let link = Wire {
            stream,
            arrived: Vec::new(),
        };
        Ok(Client::new(link, protocol, timeouts, limit))
    }

    fn connect_with(terms: &Terms<'_>, security: Security) -> Result<WireHop, Answer> {
        let Route { timeouts, helo, .. } = terms.route;
        let Patience { limit, slow } = terms.patience;
        let mut hop = WireHop::reach(terms.place, terms.protocol, *timeouts, limit)?;
        if let Security::Implicit(_) = security {
            hop.upgrade(terms)?;
        }
        hop.greeting(slow)?;
        // A server that must know STARTTLS knows EHLO.
        match security {
            Security::Must(_) => hop.hello(helo)?,
            _ => hop.hello_or_helo(helo)?,
        }
        if matches!(security, Security::May | Security::Must(_)) {
            let is_offered = hop.capabilities.contains(Extension::StartTls);
            if is_offered {
                hop.ask_for_tls()?;
                hop.upgrade(terms)?;
                hop.hello(helo)?;
            } else if security != Security::May {
                return Err(no_tls(Own::NoStartTls.reply()));
            }
        }
        Ok(hop)
    }

    /// STARTTLS (RFC 3207), up to its 220.
    fn ask_for_tls(&mut self) -> Result<(), Answer> {
        const STAGE: &str = "STARTTLS";
        let line = CommandLine::plain(STAGE).map_err(Answer::own)?;
        let reply = self.exchange(STAGE, &line, self.timeouts.helo, &mut |_| {})?;
        let said = reply.to_string();
        self.must_be_done(reply, STAGE).map_err(|answer| {
            if answer.cause == Cause::Said {
                no_tls(Own::StartTlsRefused.with(&said.to_string()))
            } else {
                answer
            }
        })?;
        if self.link.state() == LinkState::Talking {
            return Err(self.out_of_step(STAGE));
        }
        Ok(())
    }

    fn upgrade(&mut self, terms: &Terms<'_>) -> Result<(), Answer> {
        let until = self.deadline(self.timeouts.helo);
        let (Some(config), Some(name)) = (&terms.tls, &terms.name) else {
            return Err(self.fail(Cause::Own, "TLS"));
        };
        let begun = self
            .link
            .stream
            .start_tls(Arc::clone(config), name.clone(), until);
        begun.map_err(|fault| {
            self.abort_for(Cause::Tls);
            match fault {
                NoTls::Refused(rustls::Error::InvalidCertificate(why)) => {
                    no_tls(Own::BadCertificate.with(&in_words(&why)))
                }
                NoTls::Refused(why) => no_tls(Own::NoTls.with(&why.to_string())),
                NoTls::TimedOut => no_tls(Own::TlsSilent.reply()),
                NoTls::Lost => no_tls(Own::TlsBroken.reply()),
            }
        })
    }

    /// Can nobody listen on the line?
    pub fn is_encrypted(&self) -> bool {
        self.link.stream.is_encrypted()
    }
}

/// RFC 3463: 4.7.5 = cryptographic failure.
fn no_tls(reply: Reply) -> Answer {
    Answer {
        cause: Cause::Tls,
        ..Answer::own(reply)
    }
}

impl Wire {
    /// As [`Link::take`]; `look` is shown its octets, too.
    pub(super) fn take_octets(
        &mut self,
        deadline: Instant,
        look: &mut Look<'_>,
    ) -> Result<Taken, Cause> {
        loop {
            match read(&self.arrived) {
                Reading::Complete(received) => {
                    let (reply, length) = (received.reply(), received.length);
                    let (octets, behind) =
                        self.arrived.split_at_checked(length).unwrap_or_default();
                    look(octets, behind, &received.lines);
                    self.arrived.drain(..length);
                    return Ok(Taken {
                        reply,
                        octets: length,
                    });
                }
                Reading::Malformed => return Err(Cause::NotUnderstood),
                Reading::Incomplete => {}
            }
            match self.stream.read_until(&mut self.arrived, deadline) {
                Heard::Octets => {}
                Heard::End => return Err(Cause::Lost),
                Heard::Nothing => return Err(Cause::TimedOut),
            }
        }
    }

    /// Looks, and writes. `alone` = what is written can have no answer before all of it is there, so that it is looked before each further
    /// write, too.
    fn write_all(
        &mut self,
        mut block: &mut [IoSlice<'_>],
        alone: bool,
        deadline: Instant,
    ) -> Result<(), Cause> {
        self.is_quiet()?;
        let mut is_begun = false;
        while !block.is_empty() {
            if is_begun && alone {
                self.is_quiet()?;
            }
            match self.stream.write(block) {
                Ok(count) => {
                    is_begun = true;
                    IoSlice::advance_slices(&mut block, count);
                }
                Err(error) => self.wait_to_write(error.kind(), alone, deadline)?,
            }
        }
        self.flush(deadline)
    }

    /// What is left of a dot that has begun to leave.
    fn write_rest(&mut self, mut rest: &[u8], deadline: Instant) -> Result<(), Cause> {
        while !rest.is_empty() {
            match self.stream.write(&[IoSlice::new(rest)]) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) => self.wait_to_write(error.kind(), false, deadline)?,
            }
        }
        self.flush(deadline)
    }

    /// When the last octet has left, an answer may be there before anybody looks.
    fn flush(&mut self, deadline: Instant) -> Result<(), Cause> {
        loop {
            match self.stream.flush() {
                Ok(true) => return Ok(()),
                Ok(false) => self.wait_to_write(ErrorKind::WouldBlock, false, deadline)?,
                Err(error) => self.wait_to_write(error.kind(), false, deadline)?,
            }
        }
    }

    /// Until it can be written again, or `is_heard` and something comes.
    fn wait_to_write(
        &self,
        why: ErrorKind,
        is_heard: bool,
        deadline: Instant,
    ) -> Result<(), Cause> {
        let mut events = PollFlags::POLLOUT;
        events.set(PollFlags::POLLIN, is_heard);
        match why {
            ErrorKind::Interrupted => Ok(()),
            ErrorKind::WouldBlock if Instant::now() >= deadline => Err(Cause::TimedOut),
            ErrorKind::WouldBlock => {
                let waited = self.stream.wait(events, deadline);
                waited.map_err(|_| Cause::Lost)
            }
            _ => Err(Cause::Lost),
        }
    }

    fn is_quiet(&mut self) -> Result<(), Cause> {
        match self.state() {
            LinkState::Quiet => Ok(()),
            LinkState::Talking => Err(Cause::OutOfStep),
            LinkState::Closed => Err(Cause::Lost),
        }
    }
}

impl Link for Wire {
    fn state(&mut self) -> LinkState {
        if !self.arrived.is_empty() {
            return LinkState::Talking;
        }
        match self.stream.read(&mut self.arrived) {
            Heard::Octets => LinkState::Talking,
            Heard::Nothing => LinkState::Quiet,
            Heard::End => LinkState::Closed,
        }
    }

    fn heard(&self) -> &[u8] {
        &self.arrived
    }

    fn give(&mut self, lines: &[CommandLine], deadline: Instant) -> Result<(), Cause> {
        let slices = lines.iter().map(|line| IoSlice::new(line.as_bytes()));
        let mut slices: Vec<IoSlice<'_>> = slices.collect();
        // The first of several may be answered while the last one is still here.
        self.write_all(&mut slices, lines.len() == 1, deadline)
    }

    fn take(
        &mut self,
        deadline: Instant,
        _behind: usize,
        look: &mut dyn FnMut(&[&[u8]]),
    ) -> Result<Taken, Cause> {
        self.take_octets(deadline, &mut |_, _, lines| look(lines))
    }

    fn has_heard(&mut self, until: Instant) -> bool {
        !self.arrived.is_empty()
            || self.stream.read_until(&mut self.arrived, until) != Heard::Nothing
    }

    fn early_reply(&mut self) -> Option<Reply> {
        self.take(Instant::now(), 0, &mut |_| {})
            .ok()
            .map(|taken| taken.reply)
    }

    fn write(
        &mut self,
        mut block: Vec<IoSlice<'_>>,
        with_dot: bool,
        deadline: Instant,
    ) -> Result<Written, Stuck> {
        let stuck = |is_dotted| move |cause| Stuck { cause, is_dotted };
        let octets = block.iter().map(|slice| slice.len());
        let octets = octets.fold(0, usize::saturating_add);
        let mut written = 0;
        if with_dot {
            self.is_quiet().map_err(stuck(false))?;
            block.push(IoSlice::new(DOT_LINE));
            written = match self.stream.write(&block) {
                Ok(count) => count,
                Err(error) => {
                    let waited = self.wait_to_write(error.kind(), true, deadline);
                    waited.map(|()| 0).map_err(stuck(false))?
                }
            };
            block.pop();
            if let Some(of_dot) = written.checked_sub(octets).filter(|count| *count > 0) {
                let rest = DOT_LINE.get(of_dot..).unwrap_or_default();
                self.write_rest(rest, deadline).map_err(stuck(true))?;
                return Ok(Written::Dotted);
            }
        }
        let mut slices = block.as_mut_slice();
        IoSlice::advance_slices(&mut slices, written);
        self.write_all(slices, true, deadline)
            .map_err(stuck(false))?;
        Ok(Written::Block)
    }

    fn dot(&mut self, deadline: Instant) -> Result<(), Cause> {
        self.write_all(&mut [IoSlice::new(DOT_LINE)], true, deadline)
    }

    fn cut(&mut self) {
        self.stream.cut();
    }
}

#[cfg(test)]
mod tests;
