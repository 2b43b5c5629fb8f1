//! A stream to a next hop, over TCP or a unix socket, in the clear or inside TLS. It never blocks: whoever has to wait does so
//! in [`Stream::wait`].
//!
//! Must never: wait, but in `connect` and `wait`, which have deadlines; speak on in the clear once TLS was begun.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::sys::poll;

use super::Cause;
use super::client::remaining;

/// Octets that are read at once. A reply has seldom more.
const CHUNK: usize = 4096;

/// Where a server is.
#[derive(Clone, Copy, Debug)]
pub enum Place<'p> {
    Tcp(SocketAddr),
    Unix(&'p Path),
}

/// The stream.
pub struct Stream {
    socket: Socket,
    tls: Option<Box<ClientConnection>>,
    is_tcp: bool,
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

/// Why there is no TLS.
#[derive(Debug)]
pub enum NoTls {
    Refused(rustls::Error),
    /// The line ended or fell silent.
    Failed(Cause),
}

impl Stream {
    pub fn connect(place: Place<'_>, deadline: Instant) -> Result<Stream, Cause> {
        let patience = remaining(deadline).ok_or(Cause::TimedOut)?;
        let (domain, address) = match place {
            Place::Tcp(address) => (Domain::for_address(address), SockAddr::from(address)),
            Place::Unix(path) => (
                Domain::UNIX,
                SockAddr::unix(path).map_err(|_| Cause::Unreachable)?,
            ),
        };
        let opened = || {
            let socket = Socket::new(domain, Type::STREAM, None)?;
            socket.connect_timeout(&address, patience)?;
            socket.set_nonblocking(true)?;
            if let Place::Tcp(_) = place {
                socket.set_tcp_nodelay(true)?;
            }
            Ok(socket)
        };
        let socket = opened().map_err(|error: io::Error| match error.kind() {
            // A unix socket whose queue is full does not wait.
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Cause::TimedOut,
            _ => Cause::Unreachable,
        })?;
        Ok(Stream {
            socket,
            tls: None,
            is_tcp: matches!(place, Place::Tcp(_)),
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
        let tls = self.tls.insert(Box::new(tls));
        while tls.is_handshaking() || tls.wants_write() {
            let is_writing = tls.wants_write();
            let step = if is_writing {
                tls.write_tls(&mut &self.socket).map(|_| true)
            } else {
                tls.read_tls(&mut &self.socket).map(|count| count > 0)
            };
            match step {
                Ok(true) if is_writing => {}
                Ok(true) => {
                    if let Err(error) = tls.process_new_packets() {
                        // What was wrong is told to the other side, if it listens.
                        let _ = tls.write_tls(&mut &self.socket);
                        return Err(NoTls::Refused(error));
                    }
                }
                Ok(false) => return Err(NoTls::Failed(Cause::Lost)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if Instant::now() >= deadline {
                        return Err(NoTls::Failed(Cause::TimedOut));
                    }
                    let events = if is_writing {
                        PollFlags::POLLOUT
                    } else {
                        PollFlags::POLLIN
                    };
                    let mut descriptors = [PollFd::new(self.socket.as_fd(), events)];
                    poll::wait(&mut descriptors, Some(deadline))
                        .map_err(|_| NoTls::Failed(Cause::Lost))?;
                }
                Err(_) => return Err(NoTls::Failed(Cause::Lost)),
            }
        }
        Ok(())
    }

    pub fn is_tcp(&self) -> bool {
        self.is_tcp
    }

    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Appends what has come; at most a chunk.
    pub fn read(&mut self, into: &mut Vec<u8>) -> Heard {
        let mut chunk = [0; CHUNK];
        loop {
            let read = match &mut self.tls {
                None => (&self.socket).read(&mut chunk),
                Some(tls) => read_through(tls, &self.socket, &mut chunk),
            };
            return match read {
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
        match &mut self.tls {
            None => (&self.socket).write_vectored(block),
            Some(tls) => {
                while tls.wants_write() {
                    tls.write_tls(&mut &self.socket)?;
                }
                tls.writer().write_vectored(block)
            }
        }
    }

    /// True = nothing of what was written is still here.
    pub fn flush(&mut self) -> io::Result<bool> {
        let Some(tls) = &mut self.tls else {
            return Ok(true);
        };
        while tls.wants_write() {
            match tls.write_tls(&mut &self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Waits until something comes, or if `writing` also until something can be written, or until the deadline.
    pub fn wait(&self, writing: bool, deadline: Instant) -> io::Result<()> {
        let mut events = PollFlags::POLLIN;
        events.set(PollFlags::POLLOUT, writing);
        poll::wait(
            &mut [PollFd::new(self.socket.as_fd(), events)],
            Some(deadline),
        )
    }

    /// Over TCP nothing that is written leaves until this is lifted (for 200 ms at most), full segments excepted.
    pub fn hold_back(&self, hold: bool) {
        if self.is_tcp {
            // If it cannot be held back, an answer that comes within microseconds may be taken for one that nobody asked for: a 4xx.
            let _ = self.socket.set_tcp_cork(hold);
        }
    }

    /// Ends it: what was written may still arrive, nothing more can be.
    pub fn cut(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// Reads what is decrypted, and what that takes.
fn read_through(tls: &mut ClientConnection, socket: &Socket, into: &mut [u8]) -> io::Result<usize> {
    let mut socket = socket;
    loop {
        match tls.reader().read(into) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            read => return read,
        }
        if tls.read_tls(&mut socket)? == 0 {
            return Ok(0);
        }
        tls.process_new_packets()
            .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        // An answer to the protocol itself, such as new keys; whatever cannot leave now leaves with the next octets.
        if tls.wants_write() {
            let _ = tls.write_tls(&mut socket);
        }
    }
}
