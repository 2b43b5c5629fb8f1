//! `smtp://host` without TLS: lettre's connection, one command at a time.
//!
//! lettre reads the greeting and the reply to EHLO inside its `connect`, each read with a time of its own and without a limit of
//! octets, and whatever it reads later it reads until it is content. So lettre never reads from a next hop (T181). Our own
//! connection (`wire.rs`) is made first: it bears the greeting, EHLO or HELO, all deadlines and all limits of octets. lettre's
//! connection ends in a socket pair ([`Codec`]): a command that it wrote there goes out on our connection, and the one complete
//! reply that our reader took (`reader.rs`, 32 KB at the most) is laid there for lettre to read.
//!
//! What lettre 0.11 leaves to its user is done here and in `wire.rs`:
//!
//! 1. it is given an address of this machine, never a name: its resolving has no deadline;
//! 2. TCP_NODELAY, or each command would wait for the acknowledgement of the one before (40 ms);
//! 3. the reply to EHLO is read by us, because lettre keeps it to itself;
//! 4. own command lines with a guard (`command.rs`), and what lettre wrote must be that line;
//! 5. the message is dot-stuffed and written by us (`body.rs`): lettre looks at each octet by itself, which cost more than
//!    all else, and would end a message that ends with CRLF by another one;
//! 6. what is no status is the end of the line and a 4xx;
//! 7. the line knows itself whether it is broken, and each reply has one deadline in all;
//! 8. no STARTTLS;
//! 9. lettre finds exactly one reply for each line: nothing may be left in its buffer then, where it would be the answer to the next;
//! 10. a message that must not be sent is ended by cutting the line; the final dot is ours as the message is, and lettre reads the reply.
//!
//! Several commands are one value to lettre, and it reads one reply for each of its lines; those that have come together are laid there
//! together.
//!
//! The reply is judged by our reader, and lettre has to find the same code. Where its grammar is narrower (a text that is no UTF-8,
//! a code without text, a line of 2 KB), it has lost its place: from then on our connection serves this line alone.
//!
//! Known limits: those of `wire.rs`.
//!
//! Must never: let lettre have a descriptor whose other end is not ours, or give the outcome of anything but one complete reply to
//! this command as a 2xx.

use std::error::Error as _;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::{Duration, Instant};

use lettre::transport::smtp::client::SmtpConnection;
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use mimicry_core::reply::Reply;
use mimicry_core::settings::Timeouts;
use mimicry_core::settings::endpoint::Protocol;
use nix::sys::socket::{SockaddrStorage, getpeername};

use super::answer::{Answer, Cause};
use super::client::Client;
use super::command::{CommandLine, Together};
use super::link::{Link, LinkState, Stuck, Taken, Written};
use super::reader::{Reading, read};
use super::stream::ServerAddress;
use super::wire::{Patience, Wire, WireHop};
use crate::sys::descriptors::{is_short, put_under, set_nonblocking};
use crate::sys::greeter::{Greeter, Words};

type Said = Result<Response, lettre::transport::smtp::Error>;

/// A line to an SMTP server.
pub type SmtpHop = Client<Lettre>;

/// Our connection, and lettre's beside it.
pub struct Lettre {
    wire: Wire,
    /// `None` = lettre has met a reply that it cannot read.
    codec: Option<Codec>,
}

impl SmtpHop {
    /// `helo` is the name given in EHLO.
    pub fn connect(
        address: SocketAddr,
        helo: &str,
        timeouts: Timeouts,
        limit: Option<Instant>,
    ) -> Result<SmtpHop, Answer> {
        let place = ServerAddress::Tcp(address);
        let hop = WireHop::in_the_clear(
            place,
            Protocol::Smtp,
            helo,
            timeouts,
            Patience::until(limit),
        )?;
        SmtpHop::over(hop).map_err(|failed| {
            let cause = match is_short(&failed.1) {
                true => Cause::Short,
                false => Cause::Own,
            };
            Answer::failed(cause, "connect")
        })
    }

    /// Gives a line that has said EHLO to lettre. It comes back with the reason if this machine gives lettre no connection.
    pub fn over(hop: WireHop) -> Result<SmtpHop, Box<(WireHop, io::Error)>> {
        match Codec::new() {
            Ok(codec) => Ok(hop.map(|wire| Lettre {
                wire,
                codec: Some(codec),
            })),
            Err(error) => Err(Box::new((hop, error))),
        }
    }
}

impl Link for Lettre {
    fn state(&mut self) -> LinkState {
        self.wire.state()
    }

    fn heard(&self) -> &[u8] {
        self.wire.heard()
    }

    fn give(&mut self, lines: &[CommandLine], deadline: Instant) -> Result<(), Cause> {
        if let Some(codec) = &mut self.codec {
            codec.command(lines)?;
        }
        self.wire.give(lines, deadline)
    }

    fn take(
        &mut self,
        deadline: Instant,
        behind: usize,
        look: &mut dyn FnMut(&[&[u8]]),
    ) -> Result<Taken, Cause> {
        let (codec, mut read) = (&mut self.codec, None);
        let taken = self
            .wire
            .take_octets(deadline, &mut |octets, further, lines| {
                look(lines);
                let further = replies(further, behind);
                read = codec
                    .as_mut()
                    .and_then(|codec| codec.reply(octets, further));
            })?;
        match read {
            Some(code) if code != taken.reply.code() => return Err(Cause::OutOfStep),
            Some(_) => {}
            // The reply stands, but lettre does not know where it ends.
            None => self.codec = None,
        }
        Ok(taken)
    }

    fn has_heard(&mut self, until: Instant) -> bool {
        self.wire.has_heard(until)
    }

    fn early_reply(&mut self) -> Option<Reply> {
        self.wire.early_reply()
    }

    fn write(
        &mut self,
        block: Vec<IoSlice<'_>>,
        with_dot: bool,
        deadline: Instant,
    ) -> Result<Written, Stuck> {
        self.wire.write(block, with_dot, deadline)
    }

    fn dot(&mut self, deadline: Instant) -> Result<(), Cause> {
        self.wire.dot(deadline)
    }

    fn cut(&mut self) {
        self.wire.cut();
    }
}

/// lettre's connection, and the end of the socket pair that it speaks to.
struct Codec {
    connection: SmtpConnection,
    end: UnixStream,
    /// Replies that lie there and are not yet asked for.
    laid: usize,
}

/// Octets of replies that are laid there at once: lettre takes them in one read.
const LAID: usize = 4096;

/// What lettre's `connect` wants to hear.
static WELCOME: Words = Words(b"220 here\r\n250 here\r\n");

/// The words are there before lettre reads. If the signal that says them is blocked, lettre waits so long and no longer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Numbers of descriptors that are looked at, if lettre's socket has not got the one it should have.
const MAX_DESCRIPTOR: RawFd = 4096;

impl Codec {
    /// lettre has no other way in than `connect`. It meets a greeter of our own, and then finds its socket exchanged. The socket is
    /// found by its number, which is the lowest free one (a worker has one thread), and known by its peer.
    fn new() -> io::Result<Codec> {
        let greeter = Greeter::new(&WELCOME)?;
        let expected = UnixDatagram::unbound()?.as_raw_fd();
        let name = ClientId::Domain("here".to_string());
        let connection =
            SmtpConnection::connect(greeter.address(), Some(PATIENCE), &name, None, None)
                .map_err(io::Error::other)?;
        let number = std::iter::once(expected)
            .chain(0..MAX_DESCRIPTOR)
            .find(|number| has_peer(*number, greeter.address()))
            .ok_or(ErrorKind::NotFound)?;
        let (end, theirs) = UnixStream::pair()?;
        set_nonblocking(&theirs)?;
        end.set_nonblocking(true)?;
        put_under(number, &theirs)?;
        Ok(Codec {
            connection,
            end,
            laid: 0,
        })
    }

    /// Has lettre write commands, as one value. It looks for the answer at once, and cannot find one.
    fn command(&mut self, lines: &[CommandLine]) -> Result<(), Cause> {
        let together = Together(lines);
        nothing_said(&self.connection.command(&together))?;
        // One octet more shows that there is none.
        let mut written = vec![0; together.octets().saturating_add(1)];
        let mut count = 0;
        while count < together.octets() {
            let free = written.get_mut(count..).unwrap_or_default();
            match self.end.read(free) {
                Ok(read) if read > 0 => count = count.saturating_add(read),
                _ => return Err(Cause::Own),
            }
        }
        match together.is(written.get(..count).unwrap_or_default()) {
            true => Ok(()),
            false => Err(Cause::Own),
        }
    }

    /// Has lettre read a reply; `None` = it does not understand it. `further` = whole replies behind it that it will be asked for next.
    fn reply(&mut self, octets: &[u8], further: (usize, &[u8])) -> Option<u16> {
        match self.laid.checked_sub(1) {
            Some(left) => self.laid = left,
            None => {
                let (count, further) = further;
                self.end.write_all(&[octets, further].concat()).ok()?;
                self.laid = count;
            }
        }
        match self.connection.read_response() {
            Ok(response) => Some(u16::from(response.code())),
            Err(error) => error.status().map(u16::from),
        }
    }
}

/// How many whole replies stand here, and their octets; no more than `most`, nor than are laid at once.
fn replies(octets: &[u8], most: usize) -> (usize, &[u8]) {
    let (mut count, mut end) = (0usize, 0usize);
    while count < most
        && let Some(rest) = octets.get(end..)
        && let Reading::Complete(received) = read(rest)
        && end.saturating_add(received.length) <= LAID
    {
        count = count.saturating_add(1);
        end = end.saturating_add(received.length);
    }
    (count, octets.get(..end).unwrap_or_default())
}

fn has_peer(number: RawFd, peer: SocketAddr) -> bool {
    getpeername::<SockaddrStorage>(number)
        .ok()
        .and_then(|found| {
            let found = found.as_sockaddr_in()?;
            Some(SocketAddr::from((found.ip(), found.port())))
        })
        .is_some_and(|found| found == peer)
}

/// `said` is what lettre read when nothing was laid there for it.
fn nothing_said(said: &Said) -> Result<(), Cause> {
    match said {
        Err(error) if is_would_block(error) => Ok(()),
        _ => Err(Cause::OutOfStep),
    }
}

fn is_would_block(error: &lettre::transport::smtp::Error) -> bool {
    error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|error| error.kind() == ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests;
