//! The next hop of the benchmark: takes every mail and throws it away, in one thread that waits with epoll.
//!
//! Must never: be what limits, or answer before the final dot. It checks nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use memchr::{memchr, memmem};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// Runs until the program ends.
pub struct Sink {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    mails: AtomicU64,
    keeps: AtomicBool,
    kept: Mutex<Vec<u8>>,
}

impl Sink {
    pub fn start() -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port for the sink");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        thread::spawn(move || serve(&listener, &own).expect("epoll works"));
        Sink { address, shared }
    }

    /// Mails that it said 250 to.
    pub fn mails(&self) -> u64 {
        self.shared.mails.load(Ordering::SeqCst)
    }

    /// Keeps the mails that begin from now on, or no more.
    pub fn keep(&self, keeps: bool) {
        self.shared.keeps.store(keeps, Ordering::SeqCst);
    }

    /// The last mail that was kept, as it stood behind DATA, with the final dot.
    pub fn kept(&self) -> Vec<u8> {
        self.shared.kept.lock().expect("no panic").clone()
    }
}

fn serve(listener: &TcpListener, shared: &Shared) -> nix::Result<()> {
    listener.set_nonblocking(true).expect("a socket of ours");
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let listens = token(listener.as_raw_fd());
    epoll.add(
        listener,
        EpollEvent::new(EpollFlags::EPOLLIN, listens as u64),
    )?;
    // By descriptor.
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut events = [EpollEvent::empty(); 64];
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let ready = match epoll.wait(&mut events, EpollTimeout::NONE) {
            Err(nix::Error::EINTR) => 0,
            ready => ready?,
        };
        for event in &events[..ready] {
            let at = event.data() as usize;
            if at == listens {
                while let Ok((stream, _)) = listener.accept() {
                    let Ok(connection) = Connection::greet(stream) else {
                        continue;
                    };
                    let at = token(connection.stream.as_raw_fd());
                    epoll.add(
                        &connection.stream,
                        EpollEvent::new(EpollFlags::EPOLLIN, at as u64),
                    )?;
                    if connections.len() <= at {
                        connections.resize_with(at + 1, || None);
                    }
                    connections[at] = Some(connection);
                }
            } else if let Some(connection) = &mut connections[at]
                && !connection.read(&mut buffer, shared)
            {
                // Closing takes it out of the epoll.
                connections[at] = None;
            }
        }
    }
}

fn token(descriptor: i32) -> usize {
    usize::try_from(descriptor).expect("an open descriptor")
}

struct Connection {
    stream: TcpStream,
    /// In a message: its last octets, at most four, behind the CRLF that it follows. Else `None`.
    message: Option<Vec<u8>>,
    /// The beginning of a line.
    line: Vec<u8>,
    kept: Option<Vec<u8>>,
    replies: Vec<u8>,
}

const END: &[u8] = b"\r\n.\r\n";

impl Connection {
    fn greet(mut stream: TcpStream) -> std::io::Result<Connection> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        stream.write_all(b"220 sink.test ESMTP\r\n")?;
        Ok(Connection {
            stream,
            message: None,
            line: Vec::new(),
            kept: None,
            replies: Vec::new(),
        })
    }

    /// Reads and answers; `false` when the connection is over.
    fn read(&mut self, buffer: &mut [u8], shared: &Shared) -> bool {
        let octets = match self.stream.read(buffer) {
            Ok(0) => return false,
            Ok(octets) => octets,
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        };
        let mut rest = &buffer[..octets];
        let mut goes_on = true;
        while !rest.is_empty() && goes_on {
            if self.message.is_some() {
                rest = self.take_message(rest, shared);
                continue;
            }
            let Some(end) = memchr(b'\n', rest) else {
                self.line.extend_from_slice(rest);
                break;
            };
            let (line, behind) = rest.split_at(end + 1);
            rest = behind;
            self.line.extend_from_slice(line);
            goes_on = self.command(shared);
            self.line.clear();
        }
        let said = self.replies.is_empty() || self.stream.write_all(&self.replies).is_ok();
        self.replies.clear();
        said && goes_on
    }

    fn command(&mut self, shared: &Shared) -> bool {
        let reply: &[u8] = match self.line.get(..4).unwrap_or_default() {
            b"EHLO" => b"250-sink.test\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n250-ENHANCEDSTATUSCODES\r\n250 8BITMIME\r\n",
            b"DATA" => {
                self.message = Some(b"\r\n".to_vec());
                self.kept = shared.keeps.load(Ordering::Relaxed).then(Vec::new);
                b"354 go on\r\n"
            }
            b"QUIT" => b"221 2.0.0 bye\r\n",
            _ => b"250 2.0.0 ok\r\n",
        };
        self.replies.extend_from_slice(reply);
        !self.line.starts_with(b"QUIT")
    }

    /// Skips what belongs to the message; what is behind it.
    fn take_message<'b>(&mut self, input: &'b [u8], shared: &Shared) -> &'b [u8] {
        let tail = self.message.as_mut().expect("in a message");
        let before = tail.len();
        tail.extend_from_slice(&input[..input.len().min(END.len() - 1)]);
        let end = match memmem::find(tail, END) {
            Some(at) => Some(at + END.len() - before),
            None => memmem::find(input, END).map(|at| at + END.len()),
        };
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(&input[..end.unwrap_or(input.len())]);
        }
        let Some(end) = end else {
            if input.len() >= END.len() {
                tail.clear();
                tail.extend_from_slice(&input[input.len() - (END.len() - 1)..]);
            } else {
                let surplus = tail.len().saturating_sub(END.len() - 1);
                tail.drain(..surplus);
            }
            return b"";
        };
        self.message = None;
        if let Some(kept) = self.kept.take() {
            *shared.kept.lock().expect("no panic") = kept;
        }
        shared.mails.fetch_add(1, Ordering::SeqCst);
        self.replies.extend_from_slice(b"250 2.0.0 taken\r\n");
        &input[end..]
    }
}
