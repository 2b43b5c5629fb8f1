//! A stream to a next hop, over TCP or a unix socket, with or without TLS.
//!
//! Outside TLS the socket itself waits for what is to be read, [`TICK`] by tick: one call of the kernel for a reply, where waiting in
//! poll takes two, and three if it is tried before. Whatever is written, or only looked for, does not wait.
//!
//! Must never: wait, except in `connect`, `read_until` and `wait`, which have deadlines; go on without TLS once TLS was begun.

use std::io::{self, ErrorKind, IoSlice, Read as _};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::channel::{Channel, NoTls};
use crate::sys::{descriptors, poll};

use super::answer::Cause;
use super::link::remaining;

/// Octets that are read at once. A reply has seldom more.
const CHUNK: usize = 4096;

/// How long the socket waits at a time. What is left of a deadline behind its last tick is waited for in poll, which takes any time.
const TICK: Duration = Duration::from_millis(200);

/// Where a server is.
#[derive(Clone, Copy, Debug)]
pub enum ServerAddress<'p> {
    Tcp(SocketAddr),
    Unix(&'p Path),
}

/// The stream.
pub struct Stream {
    channel: Channel,
}

/// What reading brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    Octets,
    /// Nothing yet.
    Nothing,
    /// Nothing any more.
    End,
}

impl Stream {
    pub fn connect(place: ServerAddress<'_>, deadline: Instant) -> Result<Stream, Cause> {
        let patience = remaining(deadline).ok_or(Cause::TimedOut)?;
        let (domain, address) = match place {
            ServerAddress::Tcp(address) => (Domain::for_address(address), SockAddr::from(address)),
            ServerAddress::Unix(path) => (
                Domain::UNIX,
                SockAddr::unix(path).map_err(|_| Cause::Unreachable)?,
            ),
        };
        let opened = || {
            let socket = Socket::new(domain, Type::STREAM, None)?;
            socket.connect_timeout(&address, patience)?;
            socket.set_read_timeout(Some(TICK))?;
            if let ServerAddress::Tcp(_) = place {
                socket.set_tcp_nodelay(true)?;
            }
            Ok(socket)
        };
        let socket = opened().map_err(|error: io::Error| match error.kind() {
            // A unix socket whose queue is full does not wait.
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Cause::TimedOut,
            _ if descriptors::is_short(&error) => Cause::Short,
            _ => Cause::Unreachable,
        })?;
        Ok(Stream {
            channel: Channel::new(socket),
        })
    }

    /// TLS from here on. Nothing may have been read that was not asked for.
    pub fn start_tls(
        &mut self,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        deadline: Instant,
    ) -> Result<(), NoTls> {
        let tls = ClientConnection::new(config, name).map_err(NoTls::Refused)?;
        self.channel.secure(tls, Some(deadline))
    }

    pub fn is_encrypted(&self) -> bool {
        self.channel.is_encrypted()
    }

    /// Appends what has come; at most a chunk. Does not wait.
    pub fn read(&mut self, into: &mut Vec<u8>) -> Heard {
        self.append(into, |channel, chunk| channel.read(chunk))
    }

    /// The same, and waits for it until the deadline.
    pub fn read_until(&mut self, into: &mut Vec<u8>, deadline: Instant) -> Heard {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let heard = match self.channel.is_encrypted() || left < TICK {
                true => self.read(into),
                false => self.append(into, |channel, chunk| channel.hear(chunk)),
            };
            if heard != Heard::Nothing || Instant::now() >= deadline {
                return heard;
            }
            self.channel.acknowledge();
            let is_waited = self.channel.is_encrypted() || left < TICK;
            if is_waited && self.wait(PollFlags::POLLIN, deadline).is_err() {
                return Heard::End;
            }
        }
    }

    fn append(
        &mut self,
        into: &mut Vec<u8>,
        read: fn(&mut Channel, &mut [u8]) -> io::Result<usize>,
    ) -> Heard {
        let mut chunk = [0; CHUNK];
        loop {
            return match read(&mut self.channel, &mut chunk) {
                Ok(0) => Heard::End,
                Ok(count) => {
                    into.extend_from_slice(chunk.get(..count).unwrap_or_default());
                    Heard::Octets
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => Heard::Nothing,
                Err(_) => Heard::End,
            };
        }
    }

    /// Writes some of it. Inside TLS, what was taken may still have to leave: [`Stream::flush`].
    pub fn write(&mut self, block: &[IoSlice<'_>]) -> io::Result<usize> {
        self.channel.write(block)
    }

    /// True = nothing of what was written is still here.
    pub fn flush(&mut self) -> io::Result<bool> {
        self.channel.is_flushed()
    }

    /// Waits until one of these can be done, or until the deadline.
    pub fn wait(&self, events: PollFlags, deadline: Instant) -> io::Result<()> {
        poll::wait(
            &mut [PollFd::new(self.channel.as_fd(), events)],
            Some(deadline),
        )
    }

    /// Ends it: what was written may still arrive, nothing more can be.
    pub fn cut(&self) {
        let _ = self.channel.socket().shutdown(Shutdown::Both);
    }
}
