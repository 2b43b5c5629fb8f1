//! A process that answers who asks for metrics over HTTP: it reads what master and workers count, and nothing else.
//!
//! A child of the master, as unprivileged and as confined as a worker, so that neither a client that is slow or hostile nor a fault in
//! here concerns a mail or the master; and workers that hang do not keep an administrator from seeing so.
//!
//! - `http`: a request and its answer, pure
//!
//! Must never: write to memory that others read, wait for one client while others ask, or have more of them than it may.
//!
//! Known limits: one request a connection. What this process inherited of the master's memory it has: secrets among it, as each worker.

#![forbid(unsafe_code)]

mod http;

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mimicry_core::settings::words::Sandbox;
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::Signal;
use socket2::Socket;

use crate::metrics::{Format, Source};
use crate::prefork::exit::Exit;
use crate::prefork::listen::Listener;
use crate::prefork::pipes::Ends;
use crate::sys::privileges::{self, Identity};
use crate::sys::process::exit_now;
use crate::sys::sandbox::Who;
use crate::sys::signals::Signals;
use crate::sys::{poll, sandbox, shared, signals, title};

use http::{About, Heard, Request, Status};

/// After a failed accept(2).
const PAUSE: Duration = Duration::from_millis(200);

/// How long a client may take, from its connection to the end of the answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// So many clients at a time; one more takes the place of the one that has been there for longest.
const CLIENTS: usize = 64;

/// Octets of memory beyond what it was born with, and descriptors.
const MEMORY: u64 = 64 << 20;
const DESCRIPTORS: u64 = 128;

/// What this process is born with. All signals are blocked.
pub struct Birth {
    pub source: Source,
    pub listener: Rc<Listener>,
    /// Whom to become; `None` = stay who we are.
    pub identity: Option<Identity>,
    pub sandbox: Sandbox,
    pub core_dumps: bool,
    pub ends: Rc<Ends>,
}

/// Lives the whole life of the process.
pub fn run(birth: Birth) -> ! {
    let served = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| live(birth)));
    let status = match served {
        Ok(Ok(())) => Exit::Ok,
        Ok(Err(error)) => {
            log::error!("metrics cannot be served: {error}");
            Exit::System
        }
        Err(_) => Exit::Software,
    };
    exit_now(status.status())
}

fn live(birth: Birth) -> io::Result<()> {
    let Birth {
        source,
        listener,
        identity,
        sandbox,
        core_dumps,
        ends,
    } = birth;
    let signals = Signals::new(&[Signal::SIGTERM])?;
    signals::default(&[Signal::SIGCHLD, Signal::SIGSEGV, Signal::SIGBUS])?;
    // It is the master that decides, whoever sends them to all.
    signals::ignore(&[
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGWINCH,
        Signal::SIGTTIN,
        Signal::SIGTTOU,
        Signal::SIGPIPE,
        Signal::SIGXFSZ,
    ])?;
    signals::unblock_all()?;
    if let Some(identity) = &identity {
        privileges::become_user(identity)?;
    }
    privileges::harden(core_dumps)?;
    title::set("mimicryd: metrics");
    privileges::bound(MEMORY, DESCRIPTORS)?;
    match (sandbox, sandbox_entered(sandbox)) {
        (Sandbox::Require, Err(error)) => return Err(error),
        (_, Err(error)) => {
            log::warn!("the sandbox of the process for metrics is not whole: {error}")
        }
        (_, Ok(())) => {}
    }
    // Last, because even a line of the log may count.
    shared::give_up_all();
    let mut server = Server {
        source,
        listener: Some(listener),
        ends,
        signals,
        clients: Vec::new(),
        paused: None,
    };
    server.serve()
}

/// No file is needed.
fn sandbox_entered(sandbox: Sandbox) -> io::Result<()> {
    match sandbox {
        Sandbox::Off => Ok(()),
        Sandbox::Try | Sandbox::Require => sandbox::enter(Who::Worker, &[]),
    }
}

struct Server {
    source: Source,
    /// `None` = another one listens now.
    listener: Option<Rc<Listener>>,
    ends: Rc<Ends>,
    signals: Signals,
    /// In the order in which they came.
    clients: Vec<Client>,
    /// When the system ran short: no accepting before.
    paused: Option<Instant>,
}

impl Server {
    fn serve(&mut self) -> io::Result<()> {
        loop {
            let now = Instant::now();
            self.paused = self.paused.filter(|until| *until > now);
            if !self.signals.take().is_empty() {
                self.listener = None;
            }
            self.accept(now);
            for client in &mut self.clients {
                client.step(&self.source, now);
            }
            self.clients.retain(|client| !client.is_over());
            if self.listener.is_none() && self.clients.is_empty() {
                return Ok(());
            }
            if self.wait()? {
                // The master is dead.
                return Ok(());
            }
        }
    }

    /// True = there is no master any more.
    fn wait(&self) -> io::Result<bool> {
        let life = self.ends.life();
        let mut fds = vec![
            PollFd::new(life.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
        ];
        if let Some(listener) = self.listener.as_ref().filter(|_| self.paused.is_none()) {
            fds.push(PollFd::new(listener.as_fd(), PollFlags::POLLIN));
        }
        fds.extend(self.clients.iter().map(Client::awaited));
        let ends = self.clients.iter().map(|client| client.deadline);
        poll::wait(&mut fds, ends.chain(self.paused).min())?;
        Ok(fds.first().is_some_and(|life| life.any() == Some(true)))
    }

    fn accept(&mut self, now: Instant) {
        let Some(listener) = self.listener.clone().filter(|_| self.paused.is_none()) else {
            return;
        };
        loop {
            match listener.accept() {
                Ok((socket, _)) => {
                    if self.clients.len() >= CLIENTS {
                        self.clients.remove(0);
                    }
                    self.clients.push(Client::new(socket, now));
                }
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        // Short of something, or shut down, which the master mends: not to be tried in a circle.
                        self.paused = now.checked_add(PAUSE);
                    }
                    return;
                }
            }
        }
    }
}

/// Who has connected.
struct Client {
    socket: Socket,
    stage: Stage,
    deadline: Instant,
}

enum Stage {
    /// What came of the request.
    Asking(Vec<u8>),
    /// What is left of the answer.
    Answering(Vec<u8>),
    /// The answer was written. What the client sends still is read, because octets that nobody read would make the end a reset, which
    /// takes an answer from the client that it has not read yet.
    Leaving,
    Over,
}

impl Client {
    fn new(socket: Socket, now: Instant) -> Client {
        Client {
            socket,
            stage: Stage::Asking(Vec::new()),
            deadline: now.checked_add(PATIENCE).unwrap_or(now),
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    fn awaited(&self) -> PollFd<'_> {
        let flags = match self.stage {
            Stage::Answering(_) => PollFlags::POLLOUT,
            _ => PollFlags::POLLIN,
        };
        PollFd::new(self.socket.as_fd(), flags)
    }

    /// Goes on as far as it goes without waiting.
    fn step(&mut self, source: &Source, now: Instant) {
        if let Stage::Asking(octets) = &mut self.stage {
            let Ok(is_ended) = read(&mut self.socket, octets) else {
                self.stage = Stage::Over;
                return;
            };
            let answer = match http::read(octets) {
                Heard::Part if self.deadline <= now => http::refusal(Status::TooLate),
                Heard::Part if is_ended => {
                    self.stage = Stage::Over;
                    return;
                }
                Heard::Part => return,
                Heard::Whole(request) => answer(source, request, now),
                Heard::Wrong(status) => http::refusal(status),
            };
            self.stage = Stage::Answering(answer);
        }
        if let Stage::Answering(octets) = &mut self.stage {
            match write(&mut self.socket, octets) {
                Ok(()) if octets.is_empty() => {
                    let _ = self.socket.shutdown(Shutdown::Write);
                    self.stage = Stage::Leaving;
                }
                Ok(()) => {}
                Err(_) => self.stage = Stage::Over,
            }
        }
        let is_gone = matches!(self.stage, Stage::Leaving) && skip(&mut self.socket).is_err();
        if is_gone || self.deadline <= now {
            self.stage = Stage::Over;
        }
    }
}

fn answer(source: &Source, request: Request, now: Instant) -> Vec<u8> {
    let plain = Format::Text.content_type();
    let (status, content_type, body) = match request.about {
        About::Metrics(format) => (Status::Ok, format.content_type(), source.text(format, now)),
        About::Health if source.is_healthy() => (Status::Ok, plain, "ok\n".to_string()),
        About::Health => {
            let text = "no worker takes connections\n".to_string();
            (Status::Unavailable, plain, text)
        }
    };
    http::answer(status, content_type, &body, request.is_head)
}

/// Takes what is there. True = there will be no more.
fn read(socket: &mut Socket, octets: &mut Vec<u8>) -> io::Result<bool> {
    let mut block = [0; http::LARGEST];
    while octets.len() < http::LARGEST {
        match socket.read(&mut block) {
            Ok(0) => return Ok(true),
            Ok(count) => octets.extend_from_slice(block.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

fn write(socket: &mut Socket, octets: &mut Vec<u8>) -> io::Result<()> {
    while !octets.is_empty() {
        match socket.write(octets) {
            Ok(count) => {
                octets.drain(..count.min(octets.len()));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads a bounded part of what nobody wants; an error: there will be no more.
fn skip(socket: &mut Socket) -> io::Result<()> {
    let mut block = [0; http::LARGEST];
    for _ in 0..8 {
        match socket.read(&mut block) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
