//! The client of the benchmark: so many sessions at a time, each sending one mail after another, in one thread that waits with
//! epoll.
//!
//! A mail's latency is the time from the first octet of its MAIL to the last of its final reply; connecting, the greeting and
//! EHLO are in no latency, but in the mails per second.
//!
//! Must never: go on after a reply that is not the one it wants; a figure without all of its mails is no figure.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

#[derive(Clone, Copy)]
pub struct Manner {
    /// After so many mails a session ends and another begins.
    pub mails_per_session: usize,
    /// MAIL, RCPT and DATA leave together.
    pub pipelining: bool,
}

pub struct Plan<'a> {
    pub target: SocketAddr,
    pub sessions: usize,
    pub manner: Manner,
    /// Dots doubled, with the final one.
    pub message: &'a [u8],
    /// For so long, and for one mail of each session, nothing is counted; then for the window, and for two of each.
    pub warm_up: Duration,
    pub window: Duration,
}

#[derive(Debug)]
pub struct Driven {
    /// Mails that ended within the window.
    pub latencies: Vec<Duration>,
    pub window: Duration,
    /// Mails at all.
    pub mails: u64,
}

/// A mail as it is behind DATA.
pub fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(message.len() + message.len() / 32);
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        if line.first() == Some(&b'.') {
            stuffed.push(b'.');
        }
        stuffed.extend_from_slice(line);
    }
    stuffed.extend_from_slice(b".\r\n");
    stuffed
}

/// Sends mails until the window is over; mails in hand are finished and every session says QUIT.
pub fn drive(plan: &Plan) -> io::Result<Driven> {
    let mut crowd = Crowd {
        plan,
        epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
        phase: Phase::WarmUp,
        since: Instant::now(),
        driven: Driven {
            latencies: Vec::new(),
            window: Duration::ZERO,
            mails: 0,
        },
    };
    let mut sessions: Vec<Option<Session>> = Vec::new();
    for number in 0..plan.sessions {
        sessions.push(Some(crowd.connect(number)?));
    }
    let mut open = plan.sessions;
    let mut events = [EpollEvent::empty(); 64];
    let mut buffer = vec![0; 4096];
    while open > 0 {
        let ready = match crowd.epoll.wait(&mut events, EpollTimeout::from(PATIENCE)) {
            Err(nix::Error::EINTR) => continue,
            ready => ready?,
        };
        if ready == 0 {
            return Err(io::Error::other("no session gets an answer"));
        }
        for event in &events[..ready] {
            let number = event.data() as usize;
            let Some(session) = &mut sessions[number] else {
                continue;
            };
            if crowd.serve(session, number, &mut buffer)? {
                continue;
            }
            sessions[number] = if crowd.phase == Phase::Over {
                open -= 1;
                None
            } else {
                Some(crowd.connect(number)?)
            };
        }
    }
    Ok(crowd.driven)
}

/// Milliseconds.
const PATIENCE: u16 = 30_000;

const MAIL: &[u8] = b"MAIL FROM:<anna@example.org>\r\n";
const RCPT: &[u8] = b"RCPT TO:<bob@example.net>\r\n";
const DATA: &[u8] = b"DATA\r\n";
const ENVELOPE: &[u8] = b"MAIL FROM:<anna@example.org>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n";

/// What is to be answered next.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Greeting,
    Ehlo,
    Mail,
    Rcpt,
    Data,
    Dot,
    Quit,
}

struct Session {
    stream: TcpStream,
    stage: Stage,
    received: Vec<u8>,
    /// Of the message.
    sent: usize,
    waits_for_room: bool,
    mails: usize,
    began: Instant,
}

struct Crowd<'a> {
    plan: &'a Plan<'a>,
    epoll: Epoll,
    phase: Phase,
    /// When the phase began.
    since: Instant,
    driven: Driven,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    WarmUp,
    Window,
    Over,
}

impl Crowd<'_> {
    fn connect(&self, number: usize) -> io::Result<Session> {
        let stream = TcpStream::connect(self.plan.target)?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let event = EpollEvent::new(EpollFlags::EPOLLIN, number as u64);
        self.epoll.add(&stream, event)?;
        Ok(Session {
            stream,
            stage: Stage::Greeting,
            received: Vec::new(),
            sent: 0,
            waits_for_room: false,
            mails: 0,
            began: Instant::now(),
        })
    }

    /// Does what the session's socket is ready for; `false` when the session is over.
    fn serve(
        &mut self,
        session: &mut Session,
        number: usize,
        buffer: &mut [u8],
    ) -> io::Result<bool> {
        if session.waits_for_room {
            self.send(session, number)?;
        }
        match session.stream.read(buffer) {
            Ok(0) => return Err(session.wrong("end of file")),
            Ok(octets) => session.received.extend_from_slice(&buffer[..octets]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(session.wrong(&error.to_string())),
        }
        let received = std::mem::take(&mut session.received);
        let mut rest = &received[..];
        while let Some(end) = reply_end(rest) {
            let (reply, behind) = rest.split_at(end);
            rest = behind;
            if !self.step(session, number, reply)? {
                return Ok(false);
            }
        }
        session.received.extend_from_slice(rest);
        Ok(true)
    }

    fn step(&mut self, session: &mut Session, number: usize, reply: &[u8]) -> io::Result<bool> {
        let wanted: &[u8] = match session.stage {
            Stage::Greeting => b"220",
            Stage::Data => b"354",
            Stage::Quit => b"221",
            _ => b"250",
        };
        if !reply.starts_with(wanted) {
            return Err(session.wrong(&reply.escape_ascii().to_string()));
        }
        let pipelining = self.plan.manner.pipelining;
        match session.stage {
            Stage::Greeting => session.say(b"EHLO client.test\r\n", Stage::Ehlo)?,
            Stage::Ehlo => self.begin(session)?,
            Stage::Mail if pipelining => session.stage = Stage::Rcpt,
            Stage::Mail => session.say(RCPT, Stage::Rcpt)?,
            Stage::Rcpt if pipelining => session.stage = Stage::Data,
            Stage::Rcpt => session.say(DATA, Stage::Data)?,
            Stage::Data => {
                session.stage = Stage::Dot;
                session.sent = 0;
                self.send(session, number)?;
            }
            Stage::Dot => {
                let now = Instant::now();
                self.count(now, now - session.began);
                session.mails += 1;
                let is_full = session.mails == self.plan.manner.mails_per_session;
                if is_full || self.phase == Phase::Over {
                    session.say(b"QUIT\r\n", Stage::Quit)?;
                } else {
                    self.begin(session)?;
                }
            }
            Stage::Quit => return Ok(false),
        }
        Ok(true)
    }

    fn count(&mut self, now: Instant, latency: Duration) {
        self.driven.mails += 1;
        let passed = now - self.since;
        match self.phase {
            Phase::WarmUp => {
                if passed >= self.plan.warm_up && self.driven.mails >= self.plan.sessions as u64 {
                    self.phase = Phase::Window;
                    self.since = now;
                }
            }
            Phase::Window => {
                self.driven.latencies.push(latency);
                let mails = self.driven.latencies.len();
                if passed >= self.plan.window && mails >= 2 * self.plan.sessions {
                    self.phase = Phase::Over;
                    self.driven.window = passed;
                }
            }
            Phase::Over => {}
        }
    }

    fn begin(&self, session: &mut Session) -> io::Result<()> {
        session.began = Instant::now();
        let first = if self.plan.manner.pipelining {
            ENVELOPE
        } else {
            MAIL
        };
        session.say(first, Stage::Mail)
    }

    /// As much of the message as there is room for.
    fn send(&self, session: &mut Session, number: usize) -> io::Result<()> {
        let mut has_room = true;
        while has_room && session.sent < self.plan.message.len() {
            match session.stream.write(&self.plan.message[session.sent..]) {
                Ok(octets) => session.sent += octets,
                Err(error) if error.kind() == ErrorKind::WouldBlock => has_room = false,
                Err(error) => return Err(session.wrong(&error.to_string())),
            }
        }
        if session.waits_for_room == has_room {
            session.waits_for_room = !has_room;
            let mut flags = EpollFlags::EPOLLIN;
            flags.set(EpollFlags::EPOLLOUT, session.waits_for_room);
            let mut event = EpollEvent::new(flags, number as u64);
            self.epoll.modify(&session.stream, &mut event)?;
        }
        Ok(())
    }
}

impl Session {
    fn say(&mut self, words: &[u8], stage: Stage) -> io::Result<()> {
        self.stage = stage;
        self.stream.write_all(words)
    }

    fn wrong(&self, what: &str) -> io::Error {
        io::Error::other(format!("at {:?}, mail {}: {what}", self.stage, self.mails))
    }
}

/// Where the first whole reply ends.
fn reply_end(received: &[u8]) -> Option<usize> {
    let mut end = 0;
    loop {
        let line = &received[end..];
        end += memchr::memchr(b'\n', line)? + 1;
        if line.get(3) != Some(&b'-') {
            return Some(end);
        }
    }
}
