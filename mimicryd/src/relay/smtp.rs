//! `smtp://host` without TLS: lettre's connection, one command at a time.
//!
//! What lettre 0.11 leaves to its user is done here and in `socket.rs`:
//!
//! 1. it is given an address, never a name: its resolving has no deadline;
//! 2. TCP_NODELAY, or each command would wait for the acknowledgement of the one before (40 ms);
//! 3. a second EHLO, because lettre keeps the first reply to itself;
//! 4. own command lines with a guard (`command.rs`);
//! 5. the message is dot-stuffed and written by us (`body.rs`): lettre looks at each octet by itself, which cost more than
//!    all else, and would end a message that ends with CRLF by another one;
//! 6. what is no status is the end of the line and a 4xx;
//! 7. the line knows itself whether it is broken, and each reply has one deadline in all;
//! 8. no STARTTLS;
//! 9. before a command and before the message nothing may have arrived: not in the kernel, and not in lettre's own buffer,
//!    where a reply too many would be the answer to the next command;
//! 10. a message that must not be sent is ended by cutting the line; the final dot is a command of its own, given when all
//!     of the message is written and the client is still there.
//!
//! A command is written while the socket is held back and does not block. lettre reads at once after writing, when the
//! next hop cannot have seen the command: what it finds then is out of step (9), and what it does not find is waited for by us
//! (7). The reply is judged by our reader; lettre reads it out of the socket and has to find the same code. Where its
//! grammar is narrower (a text that is no UTF-8, a code without text, a line of 2 KB), ours holds and the line is not used again.
//!
//! Known limits: the greeting and the reply to the first EHLO are read by lettre alone, within the smaller of `connect` and
//! `helo` for each read, without a deadline in all; a dripping greeting is bounded by the master's watch over the transaction.
//! There is no falling back to HELO here: `connect.rs` takes the other client then. A surplus that arrives between our look and lettre's reading and is not a whole line
//! yet is lost in lettre's buffer; its rest makes the next reply unreadable or stands before the next command: a 4xx both times.
//! A reply that comes within the microseconds between our last look and the writing of the dot is not counted, but the dot
//! leaves: a 4xx that may double.
//!
//! Must never: give the outcome of anything but one complete reply to this command as a 2xx.

use std::error::Error as _;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::time::Instant;

use lettre::transport::smtp::client::SmtpConnection;
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use mimicry_core::config::endpoint::Protocol;
use mimicry_core::config::typed::Timeouts;
use mimicry_core::reply::Reply;

use super::client::{Client, Link, State, Taken, deadline, remaining};
use super::command::CommandLine;
use super::socket::{Socket, Surplus, next_descriptor};
use super::{Answer, Cause};

type Said = Result<Response, lettre::transport::smtp::Error>;

/// A line to an SMTP server.
pub type SmtpHop = Client<Lettre>;

/// lettre's connection, and our handle on its socket.
pub struct Lettre {
    connection: SmtpConnection,
    socket: Socket,
}

impl SmtpHop {
    /// `helo` is the name given in EHLO.
    pub fn connect(
        address: SocketAddr,
        helo: &str,
        timeouts: Timeouts,
        limit: Option<Instant>,
    ) -> Result<SmtpHop, Answer> {
        const STAGE: &str = "connect";
        // lettre knows one time for connecting, the greeting and EHLO.
        let deadline = deadline(timeouts.connect.min(timeouts.helo), limit);
        let patience = remaining(deadline).ok_or_else(|| Answer::failed(Cause::TimedOut, STAGE))?;
        let expected = next_descriptor().map_err(|_| Answer::failed(Cause::Own, STAGE))?;
        let name = ClientId::Domain(helo.to_string());
        let connection = SmtpConnection::connect(address, Some(patience), &name, None, None)
            .map_err(|error| refused(&error, STAGE))?;
        let socket =
            Socket::adopt(expected, address).map_err(|_| Answer::failed(Cause::Own, STAGE))?;
        let link = Lettre { connection, socket };
        let mut hop = Client::new(link, Protocol::Smtp, timeouts, limit);
        hop.hello(helo)?;
        Ok(hop)
    }
}

impl Link for Lettre {
    fn state(&mut self) -> State {
        self.socket.state()
    }

    /// lettre's own buffer is not seen from outside.
    fn look_closer(&mut self) -> Result<(), Cause> {
        nothing_said(&self.connection.read_response())
    }

    fn give(&mut self, line: &CommandLine, _deadline: Instant) -> Result<(), Cause> {
        self.socket.hold_back(true);
        let early = self.connection.command(line);
        self.socket.hold_back(false);
        nothing_said(&early)
    }

    fn take(&mut self, deadline: Instant, look: &mut dyn FnMut(&[&[u8]])) -> Result<Taken, Cause> {
        let (received, surplus) = self.socket.reply(deadline)?;
        look(&received.lines);
        let (code, reply) = (received.code, received.reply());
        let read = self.connection.read_response();
        let code_read = match &read {
            Ok(response) => Some(u16::from(response.code())),
            Err(error) => error.status().map(u16::from),
        };
        if code_read.is_some_and(|read| read != code) {
            return Err(Cause::OutOfStep);
        }
        // The reply stands. What is in the line behind it is nobody's, or lettre does not know where it is.
        let is_in_order = code_read.is_some() && surplus == Surplus(false);
        Ok(Taken { reply, is_in_order })
    }

    fn early_reply(&mut self) -> Option<Reply> {
        self.socket.early_reply().map(|received| received.reply())
    }

    fn write(
        &mut self,
        block: &mut [IoSlice<'_>],
        is_last: bool,
        deadline: Instant,
    ) -> Result<(), Cause> {
        // The end of the message and its dot leave together.
        self.socket.hold_back(is_last);
        self.socket.write(block, deadline)
    }

    fn cut(&mut self) {
        self.socket.cut();
    }
}

/// `said` is what lettre read when the next hop could not have answered yet.
fn nothing_said(said: &Said) -> Result<(), Cause> {
    match said {
        Err(error) if is_would_block(error) => Ok(()),
        Err(error) if error.status().is_none() && !is_unreadable(error) => Err(Cause::Lost),
        _ => Err(Cause::OutOfStep),
    }
}

/// What lettre says when there is no line.
fn refused(error: &lettre::transport::smtp::Error, stage: &str) -> Answer {
    if let Some(status) = error.status() {
        let text = error.source().map(ToString::to_string).unwrap_or_default();
        let reply = Reply::received(u16::from(status), &[text.as_bytes()]);
        return Answer::said(reply.as_temporary());
    }
    let cause = match io_kind(error) {
        Some(ErrorKind::WouldBlock) => Cause::TimedOut,
        Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => Cause::Lost,
        Some(ErrorKind::InvalidData) => Cause::NotUnderstood,
        None if is_end(error) => Cause::Lost,
        None if error.is_response() => Cause::NotUnderstood,
        _ => Cause::Unreachable,
    };
    Answer::failed(cause, stage)
}

fn is_would_block(error: &lettre::transport::smtp::Error) -> bool {
    io_kind(error) == Some(ErrorKind::WouldBlock)
}

/// Something was read that lettre does not take for a reply.
fn is_unreadable(error: &lettre::transport::smtp::Error) -> bool {
    io_kind(error) == Some(ErrorKind::InvalidData) || (error.is_response() && !is_end(error))
}

/// lettre has no other sign for the end of the line than its text.
fn is_end(error: &lettre::transport::smtp::Error) -> bool {
    error
        .source()
        .is_some_and(|source| source.to_string() == "incomplete response")
}

fn io_kind(error: &lettre::transport::smtp::Error) -> Option<ErrorKind> {
    error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
        .map(io::Error::kind)
}

#[cfg(test)]
mod tests;
