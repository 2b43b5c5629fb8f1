//! The connection to a client: the channel, its buffers, and the waiting in between.
//!
//! Must never: wait without a deadline, unless the caller has none; or read on without TLS once TLS was begun.

use std::io::{self, ErrorKind, IoSlice, Read};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags};
use rustls::{ServerConfig, ServerConnection};
use socket2::Socket;

use crate::channel::{Channel, NoTls};
use crate::prefork::life::{Life, Wish};
use crate::smtp::wire::Wire;
use crate::sys::{poll, queue};

/// One connection.
pub struct Link<'l> {
    channel: Channel,
    pub wire: &'l mut Wire,
    life: &'l Life,
    /// The client has just been told something, and nothing was read since: it is waited for before it is read from.
    has_said: bool,
    /// Nothing was said since the master's wishes were looked for.
    has_looked: bool,
}

/// What reading brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    Octets,
    End,
    /// Nothing, until the deadline.
    Nothing,
    /// The master wants something.
    Wish,
}

impl<'l> Link<'l> {
    /// The socket must not block; `wire` must be empty.
    pub fn new(socket: Socket, wire: &'l mut Wire, life: &'l Life) -> Link<'l> {
        Link {
            channel: Channel::new(socket),
            wire,
            life,
            has_said: false,
            has_looked: false,
        }
    }

    /// Are idle lines to next hops wanted by others? Once only.
    pub fn take_lines_wanted(&self) -> bool {
        self.life.take_lines_wanted()
    }

    /// What the master wants, as far as it matters before the next command. Costs a system call only if something was said since it was
    /// looked for: who reads looks while it waits.
    pub fn wish(&mut self) -> Wish {
        if !self.has_looked || self.life.known() > Wish::Stay {
            self.has_looked = true;
            return self.life.wish();
        }
        Wish::Stay
    }

    /// The same before it is read, which looks at what is not yet known.
    pub fn known_wish(&mut self) -> Wish {
        match self.waits_first() {
            true if self.life.known() == Wish::Stay => Wish::Stay,
            _ => self.wish(),
        }
    }

    /// Inside TLS something may be here that nobody sees from outside.
    fn waits_first(&self) -> bool {
        self.has_said && !self.channel.is_encrypted()
    }

    /// How many clients wait for a worker.
    pub fn waiting(&self) -> usize {
        let listeners = self.life.listeners();
        let queues = listeners.iter().map(|one| queue::waiting(one.as_fd()));
        queues.fold(0, usize::saturating_add)
    }

    /// Waits for octets of the client.
    pub fn read(&mut self, deadline: Option<Instant>) -> io::Result<Heard> {
        // What comes after it makes `life` readable; a further look would cost a system call for each read.
        let known = self.life.known();
        let mut waits = self.waits_first();
        self.has_said = false;
        loop {
            if !std::mem::take(&mut waits) {
                match self.channel.read(self.wire.space()) {
                    Ok(0) => return Ok(Heard::End),
                    Ok(count) => {
                        self.wire.filled(count);
                        return Ok(Heard::Octets);
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    // TLS that ends without a word of farewell.
                    Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                        return Ok(Heard::End);
                    }
                    Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                    Err(_) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                        return Ok(Heard::Nothing);
                    }
                    Err(_) => {}
                }
            }
            self.channel.acknowledge();
            // A wish that is known already must not make this a busy loop.
            let mut waited = vec![PollFd::new(self.channel.as_fd(), PollFlags::POLLIN)];
            if known < Wish::Quit {
                waited.push(PollFd::new(self.life.as_fd(), PollFlags::POLLIN));
            }
            poll::wait(&mut waited, deadline)?;
            let is_told = waited.get(1).is_some_and(|life| life.any() != Some(false));
            self.has_looked = true;
            if (is_told && self.life.look() > known) || self.life.are_lines_wanted() {
                return Ok(Heard::Wish);
            }
        }
    }

    /// Writes what is to be said. An error also means that the client did not take it until the deadline.
    pub fn flush(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        let is_said = !self.wire.outgoing().is_empty();
        self.has_said |= is_said;
        self.has_looked &= !is_said;
        loop {
            let outgoing = self.wire.outgoing();
            let done = if outgoing.is_empty() {
                match self.channel.is_flushed() {
                    Ok(true) => return Ok(()),
                    Ok(false) => Err(ErrorKind::WouldBlock.into()),
                    Err(error) => Err(error),
                }
            } else {
                self.channel.write(&[IoSlice::new(outgoing)])
            };
            match done {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.wire.sent(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                        return Err(ErrorKind::TimedOut.into());
                    }
                    poll::wait(
                        &mut [PollFd::new(self.channel.as_fd(), PollFlags::POLLOUT)],
                        deadline,
                    )?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// TLS from here on. What the client had sent before is thrown away: it came from anybody (RFC 3207 section 6).
    pub fn secure(
        &mut self,
        config: &Arc<ServerConfig>,
        deadline: Option<Instant>,
    ) -> Result<(), NoTls> {
        self.wire.discard_input();
        let tls = ServerConnection::new(Arc::clone(config)).map_err(NoTls::Refused)?;
        self.channel.secure(tls, deadline)
    }

    /// To be called before the connection is closed.
    pub fn farewell(&mut self) {
        self.channel.farewell();
    }

    /// Has the client closed or reset its side? Asked without waiting; what it has sent ahead stands before its end.
    pub fn has_gone(&mut self) -> bool {
        self.wire.input().is_empty() && self.channel.has_ended()
    }
}
