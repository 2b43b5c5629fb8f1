//! `smtp://host`: lettre's connection, one command at a time.
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
//! There is no falling back to HELO. A surplus that arrives between our look and lettre's reading and is not a whole line
//! yet is lost in lettre's buffer; its rest makes the next reply unreadable or stands before the next command: a 4xx both times.
//! A reply that comes within the microseconds between our last look and the writing of the dot is not counted, but the dot
//! leaves: a 4xx that may double.
//!
//! Must never: give the outcome of anything but one complete reply to this command as a 2xx.

use std::error::Error as _;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lettre::transport::smtp::client::SmtpConnection;
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use mimicry_core::config::typed::Timeouts;
use mimicry_core::envelope::Path;
use mimicry_core::reply::{Class, Reply};

use super::body::Body;
use super::command::CommandLine;
use super::socket::{Socket, State, Surplus, next_descriptor};
use super::{Answer, Capabilities, Cause, NextHop, Outgoing, Watch};

type Said = Result<Response, lettre::transport::smtp::Error>;

/// A line to an SMTP server.
pub struct SmtpHop {
    connection: SmtpConnection,
    socket: Socket,
    capabilities: Capabilities,
    timeouts: Timeouts,
    limit: Option<Instant>,
    /// Why the line is not used any more.
    broken: Option<Cause>,
    is_in_transaction: bool,
}

impl SmtpHop {
    /// `helo` is the name given in EHLO. A refusal of the greeting or of EHLO is about the line and not about a mail, so it is
    /// a 4xx whatever its code was.
    pub fn connect(
        address: SocketAddr,
        helo: &str,
        timeouts: Timeouts,
        limit: Option<Instant>,
    ) -> Result<SmtpHop, Answer> {
        const STAGE: &str = "connect";
        let hello = CommandLine::plain(&format!("EHLO {helo}")).map_err(Answer::own)?;
        // lettre knows one time for connecting, the greeting and EHLO.
        let deadline = deadline(timeouts.connect.min(timeouts.helo), limit);
        let patience = remaining(deadline).ok_or_else(|| Answer::failed(Cause::TimedOut, STAGE))?;
        let expected = next_descriptor().map_err(|_| Answer::failed(Cause::Own, STAGE))?;
        let name = ClientId::Domain(helo.to_string());
        let connection = SmtpConnection::connect(address, Some(patience), &name, None, None)
            .map_err(|error| refused(&error, STAGE))?;
        let socket =
            Socket::adopt(expected, address).map_err(|_| Answer::failed(Cause::Own, STAGE))?;
        let mut hop = SmtpHop {
            connection,
            socket,
            capabilities: Capabilities::default(),
            timeouts,
            limit,
            broken: None,
            is_in_transaction: false,
        };
        hop.capabilities = hop.hello(&hello)?;
        Ok(hop)
    }

    fn hello(&mut self, line: &CommandLine) -> Result<Capabilities, Answer> {
        let mut capabilities = Capabilities::default();
        let reply = self.exchange("EHLO", line, self.timeouts.helo, |lines| {
            capabilities = Capabilities::from_lines(lines.iter().copied());
        })?;
        let answer = self.judge(reply, Class::Done, "EHLO");
        if answer.is_done() {
            Ok(capabilities)
        } else {
            Err(Answer {
                reply: answer.reply.as_temporary(),
                ..answer
            })
        }
    }

    /// Gives a command and waits for its reply.
    fn exchange(
        &mut self,
        stage: &'static str,
        line: &CommandLine,
        patience: Duration,
        look: impl FnMut(&[&[u8]]),
    ) -> Result<Reply, Answer> {
        self.ready(stage)?;
        let deadline = deadline(patience, self.limit);
        if remaining(deadline).is_none() {
            return Err(self.fail(Cause::TimedOut, stage));
        }
        // Should anything unwind from here on, nobody may go on with this line.
        self.broken = Some(Cause::OutOfStep);
        self.socket.hold_back(true);
        let early = self.connection.command(line);
        self.socket.hold_back(false);
        self.nothing_said(&early, stage)?;
        self.receive(stage, deadline, look)
    }

    /// Is the line in order, and silent?
    fn ready(&mut self, stage: &'static str) -> Result<(), Answer> {
        if let Some(cause) = self.broken {
            return Err(self.fail(cause, stage));
        }
        match self.socket.state() {
            State::Quiet => Ok(()),
            State::Closed => Err(self.fail(Cause::Lost, stage)),
            State::Talking => Err(self.out_of_step(stage)),
        }
    }

    /// `said` is what lettre read when the next hop could not have answered yet.
    fn nothing_said(&mut self, said: &Said, stage: &'static str) -> Result<(), Answer> {
        match said {
            Err(error) if is_would_block(error) => Ok(()),
            Err(error) if error.status().is_none() && !is_unreadable(error) => {
                Err(self.fail(Cause::Lost, stage))
            }
            _ => Err(self.fail(Cause::OutOfStep, stage)),
        }
    }

    /// Waits for one complete reply and takes it.
    fn receive(
        &mut self,
        stage: &'static str,
        deadline: Instant,
        mut look: impl FnMut(&[&[u8]]),
    ) -> Result<Reply, Answer> {
        self.broken = Some(Cause::OutOfStep);
        let (code, reply, surplus) = match self.socket.reply(deadline) {
            Ok((received, surplus)) => {
                look(&received.lines);
                (received.code, received.reply(), surplus)
            }
            Err(cause) => return Err(self.fail(cause, stage)),
        };
        let read = self.connection.read_response();
        let code_read = match &read {
            Ok(response) => Some(u16::from(response.code())),
            Err(error) => error.status().map(u16::from),
        };
        match code_read {
            Some(read) if read != code => return Err(self.fail(Cause::OutOfStep, stage)),
            Some(_) if surplus == Surplus(false) => self.broken = None,
            // The reply stands. What is in the line behind it is nobody's, or lettre does not know where it is.
            _ => {}
        }
        Ok(reply)
    }

    /// A reply that came is what the command may be answered with?
    fn judge(&mut self, reply: Reply, wanted: Class, stage: &'static str) -> Answer {
        if reply.code() == 421 {
            self.socket.cut();
            self.broken = Some(Cause::Lost);
            return Answer::said(reply.as_temporary());
        }
        let class = reply.class();
        if class == wanted || matches!(class, Class::Temporary | Class::Permanent) {
            return Answer::said(reply);
        }
        let answer = Answer::failed_with(Cause::NotUnderstood, stage, &reply);
        self.abort_for(Cause::NotUnderstood);
        answer
    }

    fn command(
        &mut self,
        stage: &'static str,
        line: Result<CommandLine, Reply>,
        patience: Duration,
    ) -> Answer {
        let line = match line {
            Ok(line) => line,
            Err(reply) => return Answer::own(reply),
        };
        match self.exchange(stage, &line, patience, |_| {}) {
            Ok(reply) => self.judge(reply, Class::Done, stage),
            Err(answer) => answer,
        }
    }

    /// DATA up to its 354.
    fn open_data(&mut self) -> Result<(), Answer> {
        let line = CommandLine::plain("DATA").map_err(Answer::own)?;
        let reply = self.exchange("DATA", &line, self.timeouts.data, |_| {})?;
        let code = reply.code();
        let answer = self.judge(reply, Class::GoOn, "DATA");
        match answer.reply.class() {
            Class::GoOn if code == 354 => Ok(()),
            Class::GoOn => {
                let failed = Answer::failed_with(Cause::NotUnderstood, "DATA", &answer.reply);
                self.abort_for(Cause::NotUnderstood);
                Err(failed)
            }
            _ => Err(answer),
        }
    }

    /// The message and its final dot, up to the moment when only the reply is missing.
    fn send(&mut self, mail: Outgoing<'_>, watch: &mut dyn FnMut() -> Watch) -> Result<(), Answer> {
        const STAGE: &str = "message";
        self.ready(STAGE)?;
        self.broken = Some(Cause::OutOfStep);
        let early = self.connection.read_response();
        self.nothing_said(&early, STAGE)?;
        let dot = CommandLine::plain(".").map_err(Answer::own)?;
        let mut body = Body::new(mail);
        loop {
            if watch() == Watch::Gone {
                return Err(self.fail(Cause::ClientGone, STAGE));
            }
            let Some(mut block) = body.block() else {
                break;
            };
            // The end of the message and its dot leave together.
            self.socket.hold_back(body.is_at_end());
            let deadline = deadline(self.timeouts.data_block, self.limit);
            match self.socket.write(&mut block, deadline) {
                Ok(()) => {}
                Err(Cause::OutOfStep) => return Err(self.out_of_step(STAGE)),
                Err(cause) => return Err(self.fail(cause, STAGE)),
            }
        }
        self.socket.hold_back(true);
        let early = self.connection.command(&dot);
        self.socket.hold_back(false);
        self.nothing_said(&early, DOT).map_err(doubtful)
    }

    fn try_data(
        &mut self,
        mail: Outgoing<'_>,
        watch: &mut dyn FnMut() -> Watch,
    ) -> Result<Answer, Answer> {
        self.ready("DATA")?;
        if watch() == Watch::Gone {
            return Err(self.fail(Cause::ClientGone, "DATA"));
        }
        self.open_data()?;
        self.send(mail, watch)?;
        let deadline = deadline(self.timeouts.dot, self.limit);
        let reply = self.receive(DOT, deadline, |_| {}).map_err(doubtful)?;
        let answer = self.judge(reply, Class::Done, DOT);
        Ok(match answer.cause {
            Cause::Said => answer,
            _ => doubtful(answer),
        })
    }

    /// Ends the line with what the next hop said without having been asked.
    fn out_of_step(&mut self, stage: &'static str) -> Answer {
        let early = self.socket.early_reply().map(|received| received.reply());
        let answer = match early {
            Some(reply) if reply.code() == 421 => Answer::said(reply.as_temporary()),
            Some(reply) => Answer::failed_with(Cause::OutOfStep, stage, &reply),
            None => Answer::failed(Cause::OutOfStep, stage),
        };
        self.abort_for(answer.cause);
        answer
    }

    fn fail(&mut self, cause: Cause, stage: &'static str) -> Answer {
        self.abort_for(cause);
        Answer::failed(cause, stage)
    }

    fn abort_for(&mut self, cause: Cause) {
        self.socket.cut();
        self.broken = Some(cause);
    }
}

impl NextHop for SmtpHop {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn limit(&mut self, deadline: Option<Instant>) {
        self.limit = deadline;
    }

    fn mail(&mut self, sender: &Path, params: &[u8]) -> Answer {
        self.is_in_transaction = true;
        self.command(
            "MAIL",
            CommandLine::mail(sender, params),
            self.timeouts.mail,
        )
    }

    fn rcpt(&mut self, recipient: &Path, params: &[u8]) -> Answer {
        self.command(
            "RCPT",
            CommandLine::rcpt(recipient, params),
            self.timeouts.rcpt,
        )
    }

    fn data(&mut self, mail: Outgoing<'_>, watch: &mut dyn FnMut() -> Watch) -> Answer {
        match self.try_data(mail, watch) {
            Ok(answer) => {
                self.is_in_transaction = !answer.is_done();
                answer
            }
            Err(answer) => answer,
        }
    }

    fn reset(&mut self) -> Answer {
        let answer = self.command("RSET", CommandLine::plain("RSET"), self.timeouts.rset);
        self.is_in_transaction = !answer.is_done();
        answer
    }

    fn quit(&mut self) {
        if self.is_usable() {
            self.command("QUIT", CommandLine::plain("QUIT"), self.timeouts.quit);
        }
        self.abort();
    }

    fn abort(&mut self) {
        self.abort_for(Cause::Lost);
    }

    fn is_in_transaction(&self) -> bool {
        self.is_in_transaction
    }

    fn is_usable(&mut self) -> bool {
        self.broken.is_none() && self.socket.state() == State::Quiet
    }
}

const DOT: &str = "end of the message";

/// Zero would mean for ever.
const TICK: Duration = Duration::from_millis(1);

fn deadline(patience: Duration, limit: Option<Instant>) -> Instant {
    let deadline = Instant::now() + patience;
    limit.map_or(deadline, |limit| limit.min(deadline))
}

fn remaining(deadline: Instant) -> Option<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    (left >= TICK).then_some(left)
}

fn doubtful(answer: Answer) -> Answer {
    Answer {
        is_doubtful: answer.cause != Cause::ClientGone,
        ..answer
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
