//! A scripted SMTP client: it says exactly the octets that a test wants, and reads replies strictly.
//!
//! A reply that is not one complete, well-formed reply fails the test. A connection that ended is no failure here: [`Gone`]
//! says how it ended, for the test to judge.
//!
//! Must never: pass over a reply unread, or wait without an end.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

use super::heard::{self, Next};

/// As long as a test waits for anything. Nothing that works takes nearly as long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Octets of a reply line (RFC 5321 section 4.5.3.1.5).
const MAX_REPLY_LINE: usize = 512;

pub struct Client {
    stream: Stream,
    unread: Vec<u8>,
    /// What was sent last, for the message of a failure.
    last: String,
    patience: Duration,
    /// Where it connected to.
    server: String,
    is_lmtp: bool,
    next: Next,
    /// A final reply, since something was said.
    has_heard: bool,
}

enum Stream {
    Tcp(TcpStream),
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>),
    Unix(UnixStream),
}

/// One complete reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    /// Without code and separator.
    pub lines: Vec<String>,
}

/// How a connection ended, or did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    Closed,
    Reset,
    /// Nothing came for as long as the client's patience lasted.
    Silent,
}

/// What became of a mail, as the client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The final 2xx.
    Accepted(Reply),
    /// A 4xx to whichever command, or a connection that ended: the client keeps the mail.
    Kept(Option<Reply>),
    /// A 5xx to whichever command.
    Refused(Reply),
}

impl Client {
    /// Connects and reads nothing.
    pub fn connect(address: SocketAddr) -> Client {
        Client::try_connect(address).expect("somebody listens")
    }

    pub fn try_connect(address: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        Ok(Client::over(Stream::Tcp(stream), address.to_string()))
    }

    /// Over a connection that the test made.
    pub fn of(stream: TcpStream) -> Client {
        let server = stream.peer_addr().expect("a connection").to_string();
        Client::over(Stream::Tcp(stream), server)
    }

    pub fn connect_unix(path: &Path) -> Client {
        let stream = UnixStream::connect(path).expect("somebody listens");
        Client::over(Stream::Unix(stream), path.display().to_string())
    }

    fn over(stream: Stream, server: String) -> Client {
        let mut client = Client {
            stream,
            unread: Vec::new(),
            last: "(nothing)".into(),
            patience: PATIENCE,
            server,
            is_lmtp: false,
            next: Next::Command,
            has_heard: false,
        };
        client.set_patience(PATIENCE);
        client
    }

    /// How long the client waits for octets, or for room to write some.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
        let time = Some(patience);
        match &self.stream {
            Stream::Tcp(stream) => stream
                .set_read_timeout(time)
                .and_then(|()| stream.set_write_timeout(time)),
            Stream::Tls(stream) => stream
                .sock
                .set_read_timeout(time)
                .and_then(|()| stream.sock.set_write_timeout(time)),
            Stream::Unix(stream) => stream
                .set_read_timeout(time)
                .and_then(|()| stream.set_write_timeout(time)),
        }
        .expect("a time-out");
    }

    /// TLS from here on, with a server that has a certificate of this name from this authority.
    #[track_caller]
    pub fn secured(self, name: &str, authority: &rustls::pki_types::CertificateDer<'_>) -> Client {
        let Stream::Tcp(stream) = self.stream else {
            panic!("TLS over TCP only");
        };
        assert!(self.unread.is_empty(), "octets before TLS");
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(authority.clone().into_owned())
            .expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = rustls::pki_types::ServerName::try_from(name.to_string()).expect("a name");
        let tls = rustls::ClientConnection::new(Arc::new(config), name).expect("a client");
        let stream = Stream::Tls(Box::new(rustls::StreamOwned::new(tls, stream)));
        Client {
            is_lmtp: self.is_lmtp,
            ..Client::over(stream, self.server)
        }
    }

    /// Reads the greeting and says EHLO.
    pub fn greeted(mut self) -> Client {
        self.expect(220);
        self.says("EHLO client.test", 250);
        self
    }

    pub fn send(&mut self, octets: &[u8]) {
        self.try_send(octets)
            .expect("the connection takes what the client says");
    }

    pub fn try_send(&mut self, octets: &[u8]) -> io::Result<()> {
        let shown = octets.get(..octets.len().min(200)).unwrap_or_default();
        self.last = shown.escape_ascii().to_string();
        if std::mem::take(&mut self.has_heard) {
            self.next = Next::Command;
        }
        self.stream.write_all(octets)
    }

    /// A command line and its reply.
    pub fn ask(&mut self, line: impl AsRef<[u8]>) -> Reply {
        self.try_ask(line.as_ref())
            .unwrap_or_else(|gone| panic!("no reply to {:?}: {gone:?}", self.last))
    }

    pub fn try_ask(&mut self, line: &[u8]) -> Result<Reply, Gone> {
        match self.try_send(&[line, b"\r\n"].concat()) {
            Ok(()) => self.try_reply(),
            // What was said before the end may still be there to be read.
            Err(error) => self.try_reply().map_err(|_| gone(&error)),
        }
    }

    /// A command line whose reply has this code.
    #[track_caller]
    pub fn says(&mut self, line: impl AsRef<[u8]>, code: u16) -> Reply {
        self.send(&[line.as_ref(), b"\r\n"].concat());
        self.expect(code)
    }

    /// The next reply has this code.
    #[track_caller]
    pub fn expect(&mut self, code: u16) -> Reply {
        let reply = self.reply();
        assert_eq!(reply.code, code, "the reply to {:?} is {reply}", self.last);
        reply
    }

    #[track_caller]
    pub fn reply(&mut self) -> Reply {
        match self.try_reply() {
            Ok(reply) => reply,
            Err(gone) => panic!("no reply to {:?}: {gone:?}", self.last),
        }
    }

    pub fn try_reply(&mut self) -> Result<Reply, Gone> {
        let deadline = Instant::now() + self.patience;
        let mut lines = Vec::new();
        let mut code = None;
        loop {
            let line = match self.line(deadline) {
                Ok(line) => line,
                Err(gone) => {
                    assert!(
                        lines.is_empty(),
                        "the reply to {:?} ends after {lines:?}: {gone:?}",
                        self.last
                    );
                    return Err(gone);
                }
            };
            let (this, is_last, text) = parse(&line);
            assert_eq!(
                *code.get_or_insert(this),
                this,
                "one reply has two codes: {lines:?}, {line:?}"
            );
            lines.push(text);
            if is_last {
                let reply = Reply { code: this, lines };
                self.note(&reply);
                return Ok(reply);
            }
        }
    }

    /// Final replies are compared with the log when the daemon has ended.
    fn note(&mut self, reply: &Reply) {
        if reply.code == 220 && reply.lines.concat().contains(" LMTP ") {
            self.is_lmtp = true;
        }
        if self.next != Next::Command {
            heard::note(&self.server, self.is_lmtp, reply);
            self.has_heard = true;
        }
        self.next = match (reply.code, self.is_lmtp, self.next) {
            (354, true, _) => Next::Each,
            (354, false, _) => Next::Final,
            (_, true, Next::Each) => Next::Each,
            _ => Next::Command,
        };
    }

    /// A line with its CRLF. A piece of one that nothing follows is a failure.
    fn line(&mut self, deadline: Instant) -> Result<Vec<u8>, Gone> {
        loop {
            if let Some(at) = self.unread.windows(2).position(|pair| pair == b"\r\n") {
                return Ok(self.unread.drain(..at + 2).collect());
            }
            assert!(
                self.unread.len() <= MAX_REPLY_LINE,
                "an over-long reply: {}",
                self.unread.escape_ascii()
            );
            if Instant::now() > deadline {
                return Err(Gone::Silent);
            }
            let mut buffer = [0; 4096];
            let end = match self.stream.read(&mut buffer) {
                Ok(0) => Gone::Closed,
                Ok(octets) => {
                    self.unread.extend_from_slice(&buffer[..octets]);
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => gone(&error),
            };
            assert!(
                self.unread.is_empty(),
                "half a reply, then {end:?}: {}",
                self.unread.escape_ascii()
            );
            return Err(end);
        }
    }

    /// All replies until the connection ends, or until none comes for a while.
    pub fn rest(&mut self) -> (Vec<Reply>, Gone) {
        self.set_patience(Duration::from_millis(1500));
        let mut replies = Vec::new();
        loop {
            match self.try_reply() {
                Ok(reply) => replies.push(reply),
                Err(gone) => return (replies, gone),
            }
        }
    }

    /// Nothing more comes; how did it end?
    #[track_caller]
    pub fn end(&mut self) -> Gone {
        match self.try_reply() {
            Ok(reply) => panic!("one more reply after {:?}: {reply}", self.last),
            Err(Gone::Silent) => panic!("the connection is still open after {:?}", self.last),
            Err(gone) => gone,
        }
    }

    /// MAIL and RCPT, all of them accepted.
    #[track_caller]
    pub fn envelope(&mut self, from: &str, to: &[&str]) {
        self.says(format!("MAIL FROM:<{from}>"), 250);
        for path in to {
            self.says(format!("RCPT TO:<{path}>"), 250);
        }
    }

    /// DATA, the message dot-stuffed, the final dot; returns the final reply.
    #[track_caller]
    pub fn data(&mut self, message: &[u8]) -> Reply {
        self.says("DATA", 354);
        self.send(&stuffed(message));
        self.reply()
    }

    /// A whole mail whose envelope is accepted.
    #[track_caller]
    pub fn mail(&mut self, from: &str, to: &[&str], message: &[u8]) -> Reply {
        self.envelope(from, to);
        self.data(message)
    }

    /// A whole mail as an MTA would try it: it stops at the first refusal.
    pub fn attempt(&mut self, from: &str, to: &[&str], message: &[u8]) -> Outcome {
        let mut commands = vec![(format!("MAIL FROM:<{from}>"), 250)];
        commands.extend(to.iter().map(|path| (format!("RCPT TO:<{path}>"), 250)));
        commands.push(("DATA".into(), 354));
        for (command, code) in commands {
            match self.try_ask(command.as_bytes()) {
                Ok(reply) if reply.code == code => {}
                other => return Outcome::of(other),
            }
        }
        if self.try_send(&stuffed(message)).is_err() {
            return Outcome::Kept(None);
        }
        Outcome::of(self.try_reply())
    }

    /// Says no more, but goes on reading.
    pub fn half_close(&mut self) {
        match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Tls(stream) => stream.sock.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
        .expect("a half-closed connection");
    }

    /// Goes without QUIT, by FIN.
    pub fn vanish(self) {}

    /// Goes without QUIT, by RST.
    pub fn reset(self) {
        if let Stream::Tcp(stream) = &self.stream {
            make_reset(stream);
        }
    }

    pub fn quit(mut self) {
        self.says("QUIT", 221);
        assert_eq!(self.end(), Gone::Closed);
    }
}

impl Reply {
    /// `5.7.1` at the start of the first line.
    pub fn enhanced(&self) -> Option<&str> {
        let word = self.lines.first()?.split(' ').next()?;
        let is_number = |digits: &str| {
            matches!(digits.len(), 1..=3) && digits.bytes().all(|octet| octet.is_ascii_digit())
        };
        (word.split('.').count() == 3 && word.split('.').all(is_number)).then_some(word)
    }

    pub fn is_done(&self) -> bool {
        self.code / 100 == 2
    }

    pub fn is_temporary(&self) -> bool {
        self.code / 100 == 4
    }

    pub fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.lines.join(" / "))
    }
}

impl Outcome {
    fn of(reply: Result<Reply, Gone>) -> Outcome {
        match reply {
            Ok(reply) if reply.is_done() => Outcome::Accepted(reply),
            Ok(reply) if reply.is_permanent() => Outcome::Refused(reply),
            Ok(reply) => Outcome::Kept(Some(reply)),
            Err(_) => Outcome::Kept(None),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(octets),
            Stream::Tls(stream) => stream.write(octets),
            Stream::Unix(stream) => stream.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The message as it goes behind DATA: dots stuffed at line starts, a CRLF put where the last line has none, and the final dot.
pub fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 16);
    let mut at_start = true;
    let mut before = 0;
    for octet in message {
        if at_start && *octet == b'.' {
            out.push(b'.');
        }
        out.push(*octet);
        at_start = before == b'\r' && *octet == b'\n';
        before = *octet;
    }
    if !at_start {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

/// Closing it will reset the connection.
pub fn make_reset(stream: &TcpStream) {
    let linger = nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(stream, sockopt::Linger, &linger).expect("SO_LINGER");
}

fn gone(error: &io::Error) -> Gone {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Gone::Silent,
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => {
            Gone::Reset
        }
        _ => panic!("the connection fails: {error}"),
    }
}

/// Code, whether it is the last line, and the text (RFC 5321 section 4.2).
fn parse(line: &[u8]) -> (u16, bool, String) {
    let shown = line.escape_ascii().to_string();
    assert!(line.len() <= MAX_REPLY_LINE, "over-long: {shown}");
    let line = line
        .strip_suffix(b"\r\n")
        .expect("the caller looked for it");
    assert!(
        line.iter().all(|octet| (b' '..=b'~').contains(octet)),
        "not printable: {shown}"
    );
    let text = std::str::from_utf8(line).expect("ASCII");
    let (code, rest) = text
        .split_at_checked(3)
        .unwrap_or_else(|| panic!("no reply: {shown}"));
    let digits = code.as_bytes();
    let is_code = matches!(digits, [b'2'..=b'5', b'0'..=b'5', b'0'..=b'9']);
    assert!(is_code, "no reply: {shown}");
    let (is_last, text) = match rest.split_at_checked(1) {
        Some((" ", text)) => (true, text),
        Some(("-", text)) => (false, text),
        None => (true, ""),
        Some(_) => panic!("no reply: {shown}"),
    };
    let reply = Reply {
        code: code.parse().expect("digits"),
        lines: vec![text.to_string()],
    };
    // RFC 2034 section 4
    if let Some(enhanced) = reply.enhanced() {
        assert_eq!(
            enhanced.as_bytes().first(),
            digits.first(),
            "the codes differ in class: {shown}"
        );
    }
    (reply.code, is_last, text.to_string())
}
