//! For tests: a next hop on loopback that does as it is told, and remembers what it saw.
//!
//! It is a server of SMTP and LMTP in its own right and shares no code with the client; a session that began with LHLO gets one
//! reply for each recipient behind the dot. It listens on TCP or on a unix socket, and speaks TLS from the first octet or after
//! STARTTLS if it has a certificate.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

/// Where in its life a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    Greeting,
    /// The first EHLO.
    Ehlo,
    /// Each further EHLO.
    NextEhlo,
    Helo,
    StartTls,
    /// Behind the 220 of STARTTLS, instead of the handshake: what is said there is no TLS.
    Handshake,
    Auth,
    /// A line that is no command, such as an answer in the dialogue of AUTH LOGIN.
    Word(&'static str),
    Xforward,
    Mail,
    Rcpt,
    Data,
    /// So many octets of the message have come; a script is asked until it does something.
    Body(usize),
    Dot,
    /// Behind the dot, the reply for this recipient but the first, whose stage is [`Stage::Dot`].
    NextDot(usize),
    Rset,
    Quit,
}

/// What it does there instead of what it should.
#[derive(Clone, Debug)]
pub enum Act {
    Say(Vec<u8>),
    /// Then the line is closed.
    Last(Vec<u8>),
    /// A reset instead of an end.
    Reset,
    /// Reads on but says nothing.
    Silence,
    /// Does not even read.
    Stall,
    /// One octet at a time, with this pause between them.
    Drip(Vec<u8>, Duration),
    /// In place of a handshake: waits for what the client says, says this, and ends.
    AfterHello(Vec<u8>),
    /// The usual reply, and then this in the same segment.
    Surplus(Vec<u8>),
    /// The usual reply, and this a little later.
    Later(Vec<u8>),
    /// This, and then the other again and again, as long as it is taken and up to [`ENDLESS`] octets.
    Endless(&'static str, &'static str),
}

/// What stands for an endless reply. Many times what the kernel holds of a line that nobody reads.
pub const ENDLESS: usize = 64 << 20;

/// What it saw.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub connections: usize,
    /// Command lines with their ends, over all connections.
    pub commands: Vec<String>,
    /// What came between 354 and the final dot, that included, or as far as it came.
    pub messages: Vec<Vec<u8>>,
    /// Final dots.
    pub dots: usize,
    /// Octets of endless replies that were taken.
    pub endless: usize,
}

/// Connection (from 0) and stage decide.
pub type Script = Box<dyn Fn(usize, Stage) -> Option<Act> + Send + Sync>;

pub struct Scripted {
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

/// TLS of the next hop.
#[derive(Clone)]
pub enum Tls {
    Never,
    /// Offered in EHLO.
    Offered(Arc<rustls::ServerConfig>),
    Implicit(Arc<rustls::ServerConfig>),
}

enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listening {
    fn accept(&self) -> io::Result<Stream> {
        Ok(match self {
            Listening::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                Stream::Tcp(stream)
            }
            Listening::Unix(listener) => Stream::Unix(listener.accept()?.0),
        })
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<rustls::StreamOwned<rustls::ServerConnection, TcpStream>>),
    /// Between the one and the other.
    None,
}

impl Read for Stream {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(octets),
            Stream::Unix(stream) => stream.read(octets),
            Stream::Tls(stream) => stream.read(octets),
            Stream::None => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(octets),
            Stream::Unix(stream) => stream.write(octets),
            Stream::Tls(stream) => {
                let count = stream.write(octets)?;
                stream.flush()?;
                Ok(count)
            }
            Stream::None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream {
    /// Only TCP knows a reset; elsewhere it is an end.
    fn reset_when_closed(&self) -> io::Result<()> {
        let socket = match self {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Tls(stream) => stream.get_ref().as_fd(),
            Stream::Unix(_) | Stream::None => return Ok(()),
        };
        SockRef::from(&socket).set_linger(Some(Duration::ZERO))
    }

    fn start_tls(self, config: &Arc<rustls::ServerConfig>) -> io::Result<Stream> {
        let Stream::Tcp(stream) = self else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let connection =
            rustls::ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        let mut stream = rustls::StreamOwned::new(connection, stream);
        stream.conn.complete_io(&mut stream.sock)?;
        Ok(Stream::Tls(Box::new(stream)))
    }
}

pub const EHLO: &str = "250-hop.example\r\n250-SIZE 1000000\r\n250-8BITMIME\r\n250-DSN\r\n250-SMTPUTF8\r\n250 PIPELINING\r\n";

impl Scripted {
    pub fn start(script: Script) -> Scripted {
        Scripted::with(script, Tls::Never)
    }

    pub fn with(script: Script, tls: Tls) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        Scripted::listen(Listening::Tcp(listener), address, script, tls)
    }

    /// Its `address` stands for nothing.
    pub fn on_unix(path: &Path, script: Script) -> Scripted {
        let listener = Listening::Unix(UnixListener::bind(path).unwrap());
        Scripted::listen(listener, ([127, 0, 0, 1], 1).into(), script, Tls::Never)
    }

    fn listen(listener: Listening, address: SocketAddr, script: Script, tls: Tls) -> Scripted {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        let script = Arc::new(script);
        thread::spawn(move || {
            for number in 0.. {
                let stream = listener.accept().unwrap();
                let (seen, script) = (Arc::clone(&shared), Arc::clone(&script));
                let tls = tls.clone();
                seen.lock().unwrap().connections += 1;
                thread::spawn(move || {
                    let _ = Connection {
                        stream,
                        number,
                        buffer: Vec::new(),
                        seen,
                        script,
                        tls,
                        recipients: None,
                    }
                    .serve();
                });
            }
        });
        Scripted { address, seen }
    }

    /// Does one thing at one stage of every connection, and all else as it should.
    pub fn that(stage: Stage, act: Act) -> Scripted {
        Scripted::start(one_act(stage, act))
    }

    pub fn that_works() -> Scripted {
        Scripted::start(Box::new(|_, _| None))
    }

    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    /// As soon as it has seen what is wanted, or after two seconds.
    pub fn seen_when(&self, wanted: impl Fn(&Seen) -> bool) -> Seen {
        let start = Instant::now();
        loop {
            let seen = self.seen();
            if wanted(&seen) || start.elapsed() > Duration::from_secs(2) {
                return seen;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// One thing at one stage.
pub fn one_act(stage: Stage, act: Act) -> Script {
    Box::new(move |_, at| {
        let is_there = match (stage, at) {
            (Stage::Body(from), Stage::Body(octets)) => octets >= from,
            _ => at == stage,
        };
        is_there.then(|| act.clone())
    })
}

struct Connection {
    stream: Stream,
    number: usize,
    buffer: Vec<u8>,
    seen: Arc<Mutex<Seen>>,
    script: Arc<Script>,
    tls: Tls,
    /// Over LMTP: those that were accepted.
    recipients: Option<usize>,
}

impl Connection {
    fn serve(&mut self) -> io::Result<()> {
        if let Tls::Implicit(config) = self.tls.clone() {
            self.upgrade(&config)?;
        }
        self.act(Stage::Greeting, "220 hop.example ready\r\n")?;
        let mut hellos = 0;
        loop {
            let line = self.line()?;
            self.seen.lock().unwrap().commands.push(line.clone());
            match line
                .get(..4)
                .unwrap_or_default()
                .to_ascii_uppercase()
                .as_str()
            {
                hello @ ("EHLO" | "LHLO") => {
                    self.recipients = (hello == "LHLO").then_some(0);
                    let stage = if hellos == 0 {
                        Stage::Ehlo
                    } else {
                        Stage::NextEhlo
                    };
                    hellos += 1;
                    let mut offer = EHLO.to_string();
                    if matches!((&self.tls, &self.stream), (Tls::Offered(_), Stream::Tcp(_))) {
                        offer = offer.replace("250 PIPELINING", "250-PIPELINING\r\n250 STARTTLS");
                    }
                    self.act(stage, &offer)?;
                }
                "HELO" => drop(self.act(Stage::Helo, "250 hop.example\r\n")?),
                "STAR" => {
                    let said = self.act(Stage::StartTls, "220 2.0.0 go on\r\n")?;
                    let Tls::Offered(config) = self.tls.clone() else {
                        continue;
                    };
                    if said.starts_with(b"220") {
                        self.act(Stage::Handshake, "")?;
                        self.upgrade(&config)?;
                        hellos = 1;
                    }
                }
                "AUTH" => drop(self.act(Stage::Auth, "235 2.7.0 welcome\r\n")?),
                "XFOR" => drop(self.act(Stage::Xforward, "250 2.0.0 noted\r\n")?),
                "MAIL" => {
                    self.recipients = self.recipients.map(|_| 0);
                    self.act(Stage::Mail, "250 2.1.0 sender ok\r\n")?;
                }
                "RCPT" => {
                    let said = self.act(Stage::Rcpt, "250 2.1.5 recipient ok\r\n")?;
                    if said.starts_with(b"2") {
                        self.recipients = self.recipients.map(|count| count + 1);
                    }
                }
                "RSET" => drop(self.act(Stage::Rset, "250 2.0.0 reset\r\n")?),
                "QUIT" => {
                    self.act(Stage::Quit, "221 2.0.0 bye\r\n")?;
                    return Ok(());
                }
                "DATA" => {
                    let said = self.act(Stage::Data, "354 go on\r\n")?;
                    if said.starts_with(b"354") {
                        self.message()?;
                    }
                }
                _ => {
                    let word = ["bWU=", "c2VjcmV0"]
                        .into_iter()
                        .find(|word| line.trim_end() == *word)
                        .unwrap_or_default();
                    self.act(Stage::Word(word), "500 5.5.2 what?\r\n")?;
                }
            }
        }
    }

    fn message(&mut self) -> io::Result<()> {
        let index = {
            let mut seen = self.seen.lock().unwrap();
            seen.messages.push(Vec::new());
            seen.messages.len() - 1
        };
        let mut length: usize = 0;
        let mut has_acted = false;
        loop {
            let end = {
                let mut seen = self.seen.lock().unwrap();
                let message = &mut seen.messages[index];
                // A final dot may begin in what was searched before.
                let searched = length.saturating_sub(4);
                message.append(&mut self.buffer);
                let end = if message.starts_with(b".\r\n") {
                    Some(3)
                } else {
                    memchr::memmem::find(&message[searched..], b"\r\n.\r\n")
                        .map(|at| searched + at + 5)
                };
                if let Some(end) = end {
                    self.buffer = message.split_off(end);
                }
                length = message.len();
                seen.dots += usize::from(end.is_some());
                end
            };
            if end.is_some() {
                self.act(Stage::Dot, "250 2.0.0 taken\r\n")?;
                for recipient in 1..self.recipients.unwrap_or(1) {
                    self.act(Stage::NextDot(recipient), "250 2.0.0 taken\r\n")?;
                }
                return Ok(());
            }
            if !has_acted && (self.script)(self.number, Stage::Body(length)).is_some() {
                has_acted = true;
                self.act(Stage::Body(length), "")?;
            }
            self.fill()?;
        }
    }

    /// Does what the script says; gives back what was said.
    fn act(&mut self, stage: Stage, usual: &str) -> io::Result<Vec<u8>> {
        let usual = usual.as_bytes().to_vec();
        let said = match (self.script)(self.number, stage) {
            None => usual,
            Some(Act::Say(octets)) => octets,
            Some(Act::Last(octets)) => {
                self.stream.write_all(&octets)?;
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            Some(Act::Reset) => {
                self.stream.reset_when_closed()?;
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Some(Act::Silence) => Vec::new(),
            Some(Act::Stall) => {
                thread::sleep(Duration::from_secs(3));
                return Err(io::ErrorKind::TimedOut.into());
            }
            Some(Act::Drip(octets, pause)) => {
                for octet in &octets {
                    self.stream.write_all(&[*octet])?;
                    thread::sleep(pause);
                }
                return Ok(octets);
            }
            Some(Act::AfterHello(octets)) => {
                self.fill()?;
                self.stream.write_all(&octets)?;
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            Some(Act::Surplus(octets)) => [usual, octets].concat(),
            Some(Act::Later(octets)) => {
                self.stream.write_all(&usual)?;
                thread::sleep(Duration::from_millis(30));
                self.stream.write_all(&octets)?;
                return Ok(usual);
            }
            Some(Act::Endless(start, again)) => {
                self.stream.write_all(start.as_bytes())?;
                let block = again.repeat((64 << 10) / again.len());
                for _ in 0..ENDLESS / block.len() {
                    self.stream.write_all(block.as_bytes())?;
                    self.seen.lock().unwrap().endless += block.len();
                }
                return Ok(Vec::new());
            }
        };
        self.stream.write_all(&said)?;
        Ok(said)
    }

    fn upgrade(&mut self, config: &Arc<rustls::ServerConfig>) -> io::Result<()> {
        let stream = std::mem::replace(&mut self.stream, Stream::None);
        self.stream = stream.start_tls(config)?;
        Ok(())
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                let rest = self.buffer.split_off(end + 1);
                let line = std::mem::replace(&mut self.buffer, rest);
                return Ok(String::from_utf8(line).unwrap());
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut octets = [0; 16 * 1024];
        match self.stream.read(&mut octets)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            length => {
                self.buffer.extend_from_slice(&octets[..length]);
                Ok(())
            }
        }
    }
}
