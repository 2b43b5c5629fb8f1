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
//! Known limits: as in `smtp.rs`, a reply that comes within the microseconds between our last look and the writing of the dot
//! is not counted, but the dot leaves: a 4xx that may double. Over a unix socket nothing can be held back, so that there the window
//! lasts until the write is done and such a reply is taken for the answer; what follows it is then a reply too many.
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
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::answer::{Answer, Cause};
use super::client::{Client, Link, LinkState, Taken, deadline, remaining};
use super::command::CommandLine;
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

/// Is shown the octets of a reply, and its lines without codes.
pub(super) type Look<'l> = dyn FnMut(&[u8], &[&[u8]]) + 'l;

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
                    let octets = self.arrived.get(..length).unwrap_or_default();
                    look(octets, &received.lines);
                    self.arrived.drain(..length);
                    return Ok(Taken {
                        reply,
                        octets: length,
                    });
                }
                Reading::Malformed => return Err(Cause::NotUnderstood),
                Reading::Incomplete => {}
            }
            match self.stream.read(&mut self.arrived) {
                Heard::Octets => continue,
                Heard::End => return Err(Cause::Lost),
                Heard::Nothing if Instant::now() >= deadline => return Err(Cause::TimedOut),
                Heard::Nothing => self.stream.wait(false, deadline).map_err(|_| Cause::Lost)?,
            }
        }
    }

    fn write_all(&mut self, mut block: &mut [IoSlice<'_>], deadline: Instant) -> Result<(), Cause> {
        loop {
            let written = if block.is_empty() {
                // When the last octet has left, an answer may be there before anybody looks.
                match self.stream.flush() {
                    Ok(true) => return Ok(()),
                    Ok(false) => Err(ErrorKind::WouldBlock),
                    Err(error) => Err(error.kind()),
                }
            } else {
                match self.state() {
                    LinkState::Quiet => {}
                    LinkState::Talking => return Err(Cause::OutOfStep),
                    LinkState::Closed => return Err(Cause::Lost),
                }
                self.stream.write(block).map_err(|error| error.kind())
            };
            match written {
                Ok(count) => IoSlice::advance_slices(&mut block, count),
                Err(ErrorKind::Interrupted) => {}
                Err(ErrorKind::WouldBlock) if Instant::now() >= deadline => {
                    return Err(Cause::TimedOut);
                }
                Err(ErrorKind::WouldBlock) => {
                    self.stream.wait(true, deadline).map_err(|_| Cause::Lost)?
                }
                Err(_) => return Err(Cause::Lost),
            }
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

    fn give(&mut self, line: &CommandLine, deadline: Instant) -> Result<(), Cause> {
        self.stream.hold_back(true);
        let written = self.write_all(&mut [IoSlice::new(line.as_bytes())], deadline);
        // The next hop cannot have seen the line.
        let early = self.state();
        self.stream.hold_back(false);
        written?;
        match early {
            LinkState::Talking if self.stream.is_tcp() => Err(Cause::OutOfStep),
            _ => Ok(()),
        }
    }

    fn take(&mut self, deadline: Instant, look: &mut dyn FnMut(&[&[u8]])) -> Result<Taken, Cause> {
        self.take_octets(deadline, &mut |_, lines| look(lines))
    }

    fn has_heard(&mut self, until: Instant) -> bool {
        while self.state() == LinkState::Quiet {
            if Instant::now() >= until || self.stream.wait(false, until).is_err() {
                return false;
            }
        }
        true
    }

    fn early_reply(&mut self) -> Option<Reply> {
        self.take(Instant::now(), &mut |_| {})
            .ok()
            .map(|taken| taken.reply)
    }

    fn write(
        &mut self,
        block: &mut [IoSlice<'_>],
        is_last: bool,
        deadline: Instant,
    ) -> Result<(), Cause> {
        // The end of the message and its dot leave together.
        self.stream.hold_back(is_last);
        self.write_all(block, deadline)
    }

    fn cut(&mut self) {
        self.stream.cut();
    }
}

#[cfg(test)]
mod tests;
