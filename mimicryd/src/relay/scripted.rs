//! For tests: a next hop on loopback that does as it is told, and remembers what it saw.
//!
//! It is an SMTP server in its own right and shares no code with the client. LHLO is taken as EHLO is.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
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
    Mail,
    Rcpt,
    Data,
    /// So many octets of the message have come; a script is asked until it does something.
    Body(usize),
    Dot,
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
    /// The usual reply, and then this in the same segment.
    Surplus(Vec<u8>),
    /// The usual reply, and this a little later.
    Later(Vec<u8>),
}

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
}

/// Connection (from 0) and stage decide.
pub type Script = Box<dyn Fn(usize, Stage) -> Option<Act> + Send + Sync>;

pub struct Scripted {
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

pub const EHLO: &str = "250-hop.example\r\n250-SIZE 1000000\r\n250-8BITMIME\r\n250-DSN\r\n250-SMTPUTF8\r\n250 PIPELINING\r\n";

impl Scripted {
    pub fn start(script: Script) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        let script = Arc::new(script);
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let (seen, script) = (Arc::clone(&shared), Arc::clone(&script));
                seen.lock().unwrap().connections += 1;
                thread::spawn(move || {
                    let _ = Connection {
                        stream: stream.unwrap(),
                        number,
                        buffer: Vec::new(),
                        seen,
                        script,
                    }
                    .serve();
                });
            }
        });
        Scripted { address, seen }
    }

    /// Does one thing at one stage of every connection, and all else as it should.
    pub fn that(stage: Stage, act: Act) -> Scripted {
        Scripted::start(Box::new(move |_, at| {
            let is_there = match (stage, at) {
                (Stage::Body(from), Stage::Body(octets)) => octets >= from,
                _ => at == stage,
            };
            is_there.then(|| act.clone())
        }))
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

struct Connection {
    stream: TcpStream,
    number: usize,
    buffer: Vec<u8>,
    seen: Arc<Mutex<Seen>>,
    script: Arc<Script>,
}

impl Connection {
    fn serve(&mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
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
                "EHLO" | "LHLO" => {
                    let stage = if hellos == 0 {
                        Stage::Ehlo
                    } else {
                        Stage::NextEhlo
                    };
                    hellos += 1;
                    self.act(stage, EHLO)?;
                }
                "MAIL" => drop(self.act(Stage::Mail, "250 2.1.0 sender ok\r\n")?),
                "RCPT" => drop(self.act(Stage::Rcpt, "250 2.1.5 recipient ok\r\n")?),
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
                _ => self.stream.write_all(b"500 5.5.2 what?\r\n")?,
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
                return self.act(Stage::Dot, "250 2.0.0 taken\r\n").map(|_| ());
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
                SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))?;
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
            Some(Act::Surplus(octets)) => [usual, octets].concat(),
            Some(Act::Later(octets)) => {
                self.stream.write_all(&usual)?;
                thread::sleep(Duration::from_millis(30));
                self.stream.write_all(&octets)?;
                return Ok(usual);
            }
        };
        self.stream.write_all(&said)?;
        Ok(said)
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
