//! A connected socket, with or without TLS, for connections to clients and to next hops.
//!
//! A program that writes in two pieces what belongs together, and has not set TCP_NODELAY, sends the second when the first was acknowledged
//! (RFC 896): the end of a mail behind its text, the second of two replies. A system that has nothing to send holds its acknowledgement back
//! for 40 ms (RFC 1122 section 4.2.3.2), and would do so for each mail. Whoever waits here for more says so first.
//!
//! Must never: wait, except in [`Channel::secure`], which has a deadline, and in [`Channel::hear`], which waits as long as the socket
//! does; go on without TLS once TLS was begun.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Instant;

use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{MsgFlags, recv, send};
use rustls::Connection;
use socket2::Socket;

use crate::sys::poll;

/// The socket, and TLS from some moment on.
pub struct Channel {
    socket: Socket,
    tls: Option<Box<Connection>>,
    /// Octets have come and none were sent since, which would have acknowledged them.
    owes: bool,
}

/// The socket alone, for TLS. It is written to by writev(2), as the standard library does it: sendmsg(2), which can hand descriptors to other
/// processes, is refused to workers.
struct Plain<'s>(&'s Socket);

impl Read for Plain<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for Plain<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.write(octets)
    }

    fn write_vectored(&mut self, block: &[IoSlice<'_>]) -> io::Result<usize> {
        // The system takes no more at a time.
        const MOST: usize = 1024;
        let block = block.get(..MOST).unwrap_or(block);
        Ok(nix::sys::uio::writev(self.0, block)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum NoTls {
    /// What the other side said or showed will not do.
    #[error("{0}")]
    Refused(rustls::Error),
    /// The line ended.
    #[error("the other side broke off")]
    Lost,
    #[error("the other side fell silent")]
    TimedOut,
}

impl Channel {
    /// Only [`Channel::hear`] waits at a socket that blocks.
    pub fn new(socket: Socket) -> Channel {
        Channel {
            socket,
            tls: None,
            owes: false,
        }
    }

    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// TLS from here on. Nothing may have been read that belongs to it.
    pub fn secure(
        &mut self,
        connection: impl Into<Connection>,
        deadline: Option<Instant>,
    ) -> Result<(), NoTls> {
        // TLS reads and writes by itself, and knows of no other way not to wait.
        self.socket.set_nonblocking(true).map_err(|_| NoTls::Lost)?;
        let tls = self.tls.insert(Box::new(connection.into()));
        while tls.is_handshaking() || tls.wants_write() {
            // Also where there is always something to read.
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(NoTls::TimedOut);
            }
            let is_writing = tls.wants_write();
            let step = if is_writing {
                tls.write_tls(&mut Plain(&self.socket)).map(|_| true)
            } else {
                tls.read_tls(&mut Plain(&self.socket))
                    .map(|count| count > 0)
            };
            match step {
                Ok(true) if is_writing => {}
                Ok(true) => {
                    if let Err(error) = tls.process_new_packets() {
                        // What was wrong is told to the other side, if it listens.
                        let _ = tls.write_tls(&mut Plain(&self.socket));
                        return Err(NoTls::Refused(error));
                    }
                }
                Ok(false) => return Err(NoTls::Lost),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let events = if is_writing {
                        PollFlags::POLLOUT
                    } else {
                        PollFlags::POLLIN
                    };
                    let mut descriptors = [PollFd::new(self.socket.as_fd(), events)];
                    poll::wait(&mut descriptors, deadline).map_err(|_| NoTls::Lost)?;
                }
                Err(_) => return Err(NoTls::Lost),
            }
        }
        Ok(())
    }

    /// Says that nothing more will come, where the protocol has a word for it.
    pub fn farewell(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            // What does not leave at once is not waited for: the line ends anyway.
            let _ = tls.write_tls(&mut Plain(&self.socket));
        }
    }

    /// Reads, and waits for something to read as long as the socket's own limit says. Not inside TLS.
    pub fn hear(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.acknowledge();
        let count = self.receive(into, MsgFlags::empty())?;
        self.owes = count > 0;
        Ok(count)
    }

    /// To be called before more is waited for. Costs a system call only where something was heard and nothing said since.
    pub fn acknowledge(&mut self) {
        if std::mem::take(&mut self.owes) {
            // What is no TCP has nothing to acknowledge.
            let _ = self.socket.set_tcp_quickack(true);
        }
    }

    fn receive(&self, into: &mut [u8], flags: MsgFlags) -> io::Result<usize> {
        Ok(recv(self.socket.as_raw_fd(), into, flags)?)
    }

    /// Writes some of it. Inside TLS, what was taken may still have to leave: [`Channel::is_flushed`].
    pub fn write(&mut self, block: &[IoSlice<'_>]) -> io::Result<usize> {
        self.owes = false;
        match &mut self.tls {
            None => send_some(&self.socket, block),
            Some(tls) => {
                while tls.wants_write() {
                    tls.write_tls(&mut Plain(&self.socket))?;
                }
                tls.writer().write_vectored(block)
            }
        }
    }

    /// Lets leave what can; true = nothing of what was written is still here.
    pub fn is_flushed(&mut self) -> io::Result<bool> {
        let Some(tls) = &mut self.tls else {
            return Ok(true);
        };
        while tls.wants_write() {
            match tls.write_tls(&mut Plain(&self.socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Has the other side closed or reset the line, with nothing before that which is still to be read? Does not wait.
    pub fn has_ended(&mut self) -> bool {
        let is_over = |error: &io::Error| {
            !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
        };
        let Some(tls) = &mut self.tls else {
            return match self.receive(&mut [0], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT) {
                Ok(count) => count == 0,
                Err(error) => is_over(&error),
            };
        };
        for _ in 0..ROUNDS {
            // A farewell of TLS stands before the end of the line.
            match tls.process_new_packets() {
                Ok(state) if state.plaintext_bytes_to_read() > 0 => return false,
                Ok(state) if state.peer_has_closed() => return true,
                Ok(_) => {}
                Err(_) => return true,
            }
            match tls.read_tls(&mut Plain(&self.socket)) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return is_over(&error),
            }
        }
        false
    }
}

/// Octets of several slices that go out in one call.
const GATHERED: usize = 64 * 1024;

/// Writes some of it and does not wait, whether the socket does or not: writev(2) would. sendmsg(2) is refused to workers, so that small
/// slices are put into one; a large one leaves as it is.
fn send_some(socket: &Socket, block: &[IoSlice<'_>]) -> io::Result<usize> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    let mut slices = block.iter().filter(|slice| !slice.is_empty());
    let (first, next) = (slices.next(), slices.next());
    let first: &[u8] = first.map_or(b"", |slice| slice);
    if next.is_none() || first.len() >= GATHERED {
        return Ok(send(socket.as_raw_fd(), first, flags)?);
    }
    let mut gathered = Vec::with_capacity(GATHERED);
    for slice in block {
        let room = GATHERED.saturating_sub(gathered.len());
        gathered.extend_from_slice(slice.get(..room).unwrap_or(slice));
        if gathered.len() >= GATHERED {
            break;
        }
    }
    Ok(send(socket.as_raw_fd(), &gathered, flags)?)
}

/// How often TLS is fed before whoever waits looks at his clock. One record takes a few rounds; the other side can send any number
/// of records that carry nothing (RFC 8446 sections 4.6 and 5.4), as fast as they are read (T181).
const ROUNDS: usize = 64;

impl Read for Channel {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.tls {
            None => self.receive(into, MsgFlags::MSG_DONTWAIT),
            Some(tls) => read_through(tls, &mut Plain(&self.socket), into),
        }?;
        self.owes |= count > 0;
        Ok(count)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Reads what is decrypted, and what that takes.
fn read_through(
    tls: &mut Connection,
    socket: &mut (impl Read + Write),
    into: &mut [u8],
) -> io::Result<usize> {
    for _ in 0..ROUNDS {
        match tls.reader().read(into) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            read => return read,
        }
        if tls.read_tls(socket)? == 0 {
            return Ok(0);
        }
        tls.process_new_packets()
            .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        // An answer to the protocol itself, such as new keys; whatever cannot leave now leaves with the next octets.
        if tls.wants_write() {
            let _ = tls.write_tls(socket);
        }
    }
    tls.reader().read(into)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    use rcgen::{CertificateParams, IsCa, KeyPair};
    use rustls::crypto::ring;
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

    use super::*;

    /// Of a peer without TCP_NODELAY. Each piece would wait 40 ms.
    #[test]
    fn a_second_piece_does_not_wait_for_its_acknowledgement() {
        const TIMES: u32 = 100;
        type Reading = fn(&mut Channel, &mut [u8]) -> io::Result<usize>;
        let ways: [Reading; 2] = [Channel::hear, |channel, into| {
            channel.acknowledge();
            poll::wait(&mut [PollFd::new(channel.as_fd(), PollFlags::POLLIN)], None)?;
            channel.read(into)
        }];
        for read in ways {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let mut channel = Channel::new(listener.accept().unwrap().0.into());
            let begin = Instant::now();
            let talk = thread::spawn(move || {
                for _ in 0..TIMES {
                    peer.write_all(b"a")?;
                    peer.write_all(b"b")?;
                    peer.read_exact(&mut [0])?;
                }
                Ok::<_, io::Error>(())
            });
            for _ in 0..TIMES {
                let mut heard = 0;
                while heard < 2 {
                    heard += read(&mut channel, &mut [0; 2]).unwrap();
                }
                assert_eq!(channel.write(&[IoSlice::new(b"c")]).unwrap(), 1);
            }
            talk.join().unwrap().unwrap();
            let most = TIMES * Duration::from_millis(20);
            assert!(begin.elapsed() < most, "{:?}", begin.elapsed());
        }
    }

    /// What the other side has written, a little at a time; our answers are of no interest.
    struct Pair {
        octets: Vec<u8>,
        at: usize,
    }

    impl Read for Pair {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let most = into.len().min(100);
            let count = (&self.octets[self.at..]).read(&mut into[..most])?;
            self.at += count;
            match count {
                0 => Err(ErrorKind::WouldBlock.into()),
                count => Ok(count),
            }
        }
    }

    impl Write for Pair {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Both ends after the handshake, and so many session tickets that the server wrote behind it.
    fn ends(tickets: usize) -> (Connection, ServerConnection, Vec<u8>) {
        let provider = || Arc::new(ring::default_provider());
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["mx.example.org".to_string()]).unwrap();
        params.is_ca = IsCa::ExplicitNoCa;
        let certificate = params.self_signed(&key).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.send_tls13_tickets = tickets;
        let mut server = ServerConnection::new(Arc::new(config)).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = "mx.example.org".try_into().unwrap();
        let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut written = Vec::new();
        while client.is_handshaking() || server.is_handshaking() {
            while client.wants_write() {
                let mut octets = Vec::new();
                client.write_tls(&mut octets).unwrap();
                server.read_tls(&mut &octets[..]).unwrap();
                server.process_new_packets().unwrap();
            }
            written.clear();
            while server.wants_write() {
                server.write_tls(&mut written).unwrap();
            }
            if client.is_handshaking() {
                client.read_tls(&mut &written[..]).unwrap();
                client.process_new_packets().unwrap();
            }
        }
        (client.into(), server, written)
    }

    /// T181: who has records to read that carry nothing comes back in between, and can look at his clock; what follows is read.
    #[test]
    fn t181_records_without_content_hold_nobody() {
        let (mut client, mut server, mut octets) = ends(200);
        server.writer().write_all(b"220 ready\r\n").unwrap();
        while server.wants_write() {
            server.write_tls(&mut octets).unwrap();
        }
        let all = octets.len();
        let mut line = Pair { octets, at: 0 };
        let (mut heard, mut looks) = ([0; 64], 0);
        let count = loop {
            match read_through(&mut client, &mut line, &mut heard) {
                Ok(count) => break count,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            looks += 1;
            assert!(line.at < all || looks > 1, "all at once");
        };
        assert_eq!(&heard[..count], b"220 ready\r\n");
        assert!(looks > 1, "{looks} looks at {all} octets");
    }
}
