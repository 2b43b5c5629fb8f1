//! A second handle on the socket under lettre's connection, for what lettre does not offer: to look at what has arrived
//! without taking it, to wait until a moment, to write the message, to hold back what is written, to cut the line.
//!
//! lettre hides its socket. It is found by its number, which is the lowest free one (a worker has one thread), and known by
//! its peer; a handle of our own is made of it. Options and flags belong to the socket and so hold for both handles.
//!
//! An answer is waited for by looking: only when a whole reply is in the kernel's buffer is lettre asked to read. So
//! lettre never waits, one deadline holds for a reply however slowly it drips, the octets judged are those that came after
//! the command was sent, and a reply without end costs no memory.
//!
//! Must never: take an octet out of the socket, or put one in that is not of a message.

use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::{Duration, Instant};

use nix::libc::POLLRDHUP;
use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{SockaddrStorage, getpeername};
use socket2::SockRef;

use crate::sys::descriptors::duplicate;
use crate::sys::poll::wait;

use super::Cause;
use super::client::State;
use super::reader::{MAX_REPLY, Reading, Received, read};

/// Numbers of descriptors that are looked at, if the socket has not got the one it should have.
const MAX_DESCRIPTOR: RawFd = 4096;

/// How long to wait for the rest of a reply that has begun, before looking again.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(20);

/// The handle.
pub struct Socket {
    stream: TcpStream,
    arrived: Vec<u8>,
}

/// The number that the next descriptor will have.
pub fn next_descriptor() -> io::Result<RawFd> {
    Ok(std::os::unix::net::UnixDatagram::unbound()?.as_raw_fd())
}

impl Socket {
    /// Finds the socket that was connected to `peer` and is not a line of ours yet; `expected` is the number it should have.
    /// It will not delay what is written, nor block.
    pub fn adopt(expected: RawFd, peer: SocketAddr) -> io::Result<Socket> {
        let numbers = std::iter::once(expected).chain(0..MAX_DESCRIPTOR);
        for number in numbers.filter(|number| has_peer(*number, peer)) {
            let stream = TcpStream::from(duplicate(number)?);
            // Every line that was adopted before has this option set; lettre 0.11.23 does not set it.
            if !stream.nodelay()? {
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                return Ok(Socket {
                    stream,
                    arrived: vec![0; 512],
                });
            }
        }
        Err(io::Error::from(ErrorKind::NotFound))
    }

    /// Looks without waiting.
    pub fn state(&mut self) -> State {
        let mut octet = [0];
        match self.peek(&mut octet) {
            Ok(0) => State::Closed,
            Ok(_) => State::Talking,
            Err(error) if error.kind() == ErrorKind::WouldBlock => State::Quiet,
            Err(_) => State::Closed,
        }
    }

    /// Waits until one complete reply has arrived and lends it. It is still to be read.
    pub fn reply(&mut self, deadline: Instant) -> Result<(Received<'_>, Surplus), Cause> {
        let length = self.arrival(deadline)?;
        let arrived = self.arrived.get(..length).unwrap_or_default();
        match read(arrived) {
            Reading::Complete(received) => {
                let surplus = Surplus(received.length < length);
                Ok((received, surplus))
            }
            Reading::Incomplete | Reading::Malformed => Err(Cause::NotUnderstood),
        }
    }

    /// A reply that nobody asked for, if a whole one has arrived.
    pub fn early_reply(&mut self) -> Option<Received<'_>> {
        self.reply(Instant::now())
            .ok()
            .map(|(received, _)| received)
    }

    /// Writes all of a block of the message. What arrives meanwhile ends the writing.
    pub fn write(&mut self, mut block: &mut [IoSlice<'_>], deadline: Instant) -> Result<(), Cause> {
        while !block.is_empty() {
            match self.state() {
                State::Quiet => {}
                State::Talking => return Err(Cause::OutOfStep),
                State::Closed => return Err(Cause::Lost),
            }
            match self.stream.write_vectored(block) {
                Ok(written) => IoSlice::advance_slices(&mut block, written),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if Instant::now() >= deadline {
                        return Err(Cause::TimedOut);
                    }
                    let events = PollFlags::POLLOUT | PollFlags::POLLIN;
                    let mut descriptors = [PollFd::new(self.stream.as_fd(), events)];
                    wait(&mut descriptors, Some(deadline)).map_err(|_| Cause::Lost)?;
                }
                Err(_) => return Err(Cause::Lost),
            }
        }
        Ok(())
    }

    /// Nothing that is written leaves until this is lifted (for 200 ms at most, tcp(7) TCP_CORK), full segments excepted.
    pub fn hold_back(&self, hold: bool) {
        // If it cannot be held back, an answer that comes within microseconds may be taken for one that nobody asked for: a 4xx.
        let _ = SockRef::from(&self.stream).set_tcp_cork(hold);
    }

    /// Cuts the line: what was written may still arrive, nothing more can be.
    pub fn cut(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Waits until what has arrived is a reply or cannot become one; how many octets of `arrived` hold it.
    fn arrival(&mut self, deadline: Instant) -> Result<usize, Cause> {
        let mut pause = FIRST_PAUSE;
        let mut has_ended = false;
        loop {
            let mut arrived = std::mem::take(&mut self.arrived);
            let peeked = self.peek(&mut arrived);
            self.arrived = arrived;
            let has_begun = match peeked {
                Ok(0) => return Err(Cause::Lost),
                Ok(length) => {
                    let octets = self.arrived.get(..length).unwrap_or_default();
                    if read(octets) != Reading::Incomplete {
                        return Ok(length);
                    }
                    if has_ended {
                        return Err(Cause::Lost);
                    }
                    if length == self.arrived.len() && length < MAX_REPLY {
                        self.arrived
                            .resize(length.saturating_mul(4).min(MAX_REPLY), 0);
                        continue;
                    }
                    true
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => false,
                Err(_) => return Err(Cause::Lost),
            };
            let now = Instant::now();
            if now >= deadline {
                return Err(Cause::TimedOut);
            }
            if has_begun {
                // The octets that are there would end every wait for octets at once: only the end of the line is waited for.
                has_ended = self.ends_before(deadline.min(now + pause))?;
                pause = LAST_PAUSE.min(pause * 2);
            } else {
                let mut descriptors = [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)];
                wait(&mut descriptors, Some(deadline)).map_err(|_| Cause::Lost)?;
            }
        }
    }

    fn ends_before(&self, moment: Instant) -> Result<bool, Cause> {
        let events = PollFlags::from_bits_retain(POLLRDHUP);
        let mut descriptors = [PollFd::new(self.stream.as_fd(), events)];
        wait(&mut descriptors, Some(moment)).map_err(|_| Cause::Lost)?;
        let [ready] = descriptors;
        Ok(ready.any().unwrap_or(true))
    }

    fn peek(&self, octets: &mut [u8]) -> io::Result<usize> {
        loop {
            let peeked = nix::sys::socket::recv(
                self.stream.as_raw_fd(),
                octets,
                nix::sys::socket::MsgFlags::MSG_PEEK | nix::sys::socket::MsgFlags::MSG_DONTWAIT,
            );
            match peeked {
                Err(nix::errno::Errno::EINTR) => {}
                peeked => return peeked.map_err(io::Error::from),
            }
        }
    }
}

/// Did something stand behind the reply?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surplus(pub bool);

fn has_peer(number: RawFd, peer: SocketAddr) -> bool {
    let Ok(found) = getpeername::<SockaddrStorage>(number) else {
        return false;
    };
    let found = match (found.as_sockaddr_in(), found.as_sockaddr_in6()) {
        (Some(v4), _) => SocketAddr::from((v4.ip(), v4.port())),
        (_, Some(v6)) => SocketAddr::from((v6.ip(), v6.port())),
        _ => return false,
    };
    (found.ip(), found.port()) == (peer.ip(), peer.port())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;

    use super::*;

    fn pair() -> (TcpStream, Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = listener.local_addr().unwrap();
        let ours = TcpStream::connect(peer).unwrap();
        let (theirs, _) = listener.accept().unwrap();
        let socket = Socket::adopt(ours.as_raw_fd(), peer).unwrap();
        (ours, socket, theirs)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(2)
    }

    #[test]
    fn the_youngest_line_to_a_peer_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = listener.local_addr().unwrap();
        let mut lines = Vec::new();
        for _ in 0..3 {
            let ours = TcpStream::connect(peer).unwrap();
            // The number is a wrong one on purpose.
            let socket = Socket::adopt(0, peer).unwrap();
            assert_eq!(
                socket.stream.local_addr().unwrap(),
                ours.local_addr().unwrap()
            );
            assert!(ours.nodelay().unwrap());
            lines.push((ours, socket));
        }
        assert!(Socket::adopt(0, peer).is_err(), "all have been found");
    }

    #[test]
    fn what_is_held_back_does_not_leave() {
        let (mut ours, socket, theirs) = pair();
        theirs
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        socket.hold_back(true);
        ours.write_all(b"NOOP\r\n").unwrap();
        assert!(theirs.peek(&mut [0; 9]).is_err());
        socket.hold_back(false);
        assert_eq!(theirs.peek(&mut [0; 9]).unwrap(), 6);
    }

    #[test]
    fn a_line_is_looked_at() {
        let (_ours, mut socket, mut theirs) = pair();
        assert_eq!(socket.state(), State::Quiet);
        theirs.write_all(b"2").unwrap();
        while socket.state() == State::Quiet {}
        assert_eq!(socket.state(), State::Talking);
        let mut block = [IoSlice::new(b"x")];
        assert_eq!(socket.write(&mut block, soon()), Err(Cause::OutOfStep));
        let (_ours, mut socket, theirs) = pair();
        drop(theirs);
        while socket.state() == State::Quiet {}
        assert_eq!(socket.state(), State::Closed);
        let mut block = [IoSlice::new(b"x")];
        assert_eq!(socket.write(&mut block, soon()), Err(Cause::Lost));
    }

    #[test]
    fn replies_are_waited_for() {
        let (_ours, mut socket, mut theirs) = pair();
        theirs.write_all(b"250-a\r\n250 b\r\n2").unwrap();
        for _ in 0..2 {
            let (received, surplus) = socket.reply(soon()).unwrap();
            assert_eq!(
                (received.code, received.length, surplus),
                (250, 14, Surplus(true))
            );
        }
        let (_ours, mut socket, mut theirs) = pair();
        theirs.write_all(b"250-a\r\n").unwrap();
        let start = Instant::now();
        let outcome = socket.reply(start + Duration::from_millis(80)).map(|_| ());
        assert_eq!(outcome, Err(Cause::TimedOut));
        assert!(start.elapsed() < Duration::from_secs(1));
        drop(theirs);
        assert_eq!(socket.reply(soon()).map(|_| ()), Err(Cause::Lost));
    }

    /// A dripping reply is waited for without spinning: the processor is idle but for a look now and then.
    #[test]
    fn t116_a_dripping_reply_is_waited_for() {
        let (_ours, mut socket, mut theirs) = pair();
        let dripping = std::thread::spawn(move || {
            for octet in b"250-one\r\n250 two\r\n" {
                theirs.write_all(&[*octet]).unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
            theirs
        });
        assert_eq!(socket.reply(soon()).unwrap().0.lines.len(), 2);
        drop(dripping.join().unwrap());
    }
}
