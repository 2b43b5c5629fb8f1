//! The control socket: one request a connection, one answer.
//!
//! A request is a line: `status --json`, `reload`, `reload --wait`, `check`, `poison list`, `poison clear`, `metrics`, `upgrade` or `stop`. The answer is a line with the exit status of the
//! command that asked (`0`, or a number of sysexits(3)), then text until the end of file. The answer to `reload` comes when
//! the new configuration is in force or refused, with `--wait` when the last old worker is gone, that to `stop` when the daemon
//! has ended its work.
//!
//! Only root and the user whom the master runs as are heard (SO_PEERCRED), and of that user no process that the master has forked: a
//! worker cannot stop the daemon.
//!
//! Must never wait for a client: everything is non-blocking, and a client that is slow to ask is dropped.
//!
//! Known limits: while a daemon that root did not start is upgraded, the new master does not know the workers of the one before, which are
//! of the same user.

#![forbid(unsafe_code)]

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};
use socket2::Socket;

use crate::prefork::exit::Exit;
use crate::prefork::listen;
use crate::sys::entry::{Entry, Id};
use crate::sys::poll;

use super::asker::Askers;

/// Clients at a time.
const CLIENTS: usize = 8;

/// The longest request.
const REQUEST: usize = 256;

/// How long a client may take to ask, or to read its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A pause when a client could not be accepted.
const PAUSE: Duration = Duration::from_secs(1);

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// The answer is JSON.
    Status,
    Reload,
    /// The same, and to be told when the last old worker is gone.
    ReloadWait,
    /// To be told what a reload would find wrong; the first line of the answer is the path of the configuration.
    Check,
    PoisonList,
    PoisonClear,
    Metrics,
    Upgrade,
    Stop,
}

impl Request {
    pub fn line(self) -> &'static str {
        match self {
            Request::Status => "status --json",
            Request::Reload => "reload",
            Request::ReloadWait => "reload --wait",
            Request::Check => "check",
            Request::PoisonList => "poison list",
            Request::PoisonClear => "poison clear",
            Request::Metrics => "metrics",
            Request::Upgrade => "upgrade",
            Request::Stop => "stop",
        }
    }

    fn parse(line: &str) -> Option<Request> {
        let all = [
            Request::Status,
            Request::Reload,
            Request::ReloadWait,
            Request::Check,
            Request::PoisonList,
            Request::PoisonClear,
            Request::Metrics,
            Request::Upgrade,
            Request::Stop,
        ];
        all.into_iter().find(|request| request.line() == line)
    }
}

/// What the daemon answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// For the command.
    pub status: Exit,
    pub text: String,
}

impl Answer {
    /// It was done as asked.
    pub fn done(text: impl Into<String>) -> Answer {
        Answer {
            status: Exit::Ok,
            text: text.into(),
        }
    }
}

/// Why there was no answer.
#[derive(Debug)]
pub enum AskError {
    /// Nobody listens there.
    NotRunning,
    /// One may not connect.
    Forbidden,
    /// The daemon closed the connection or took too long.
    Io(io::Error),
}

/// Asks the daemon; waits for its answer at most for `patience`.
pub fn ask(path: &Path, request: Request, patience: Duration) -> Result<Answer, AskError> {
    let mut stream = UnixStream::connect(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => AskError::NotRunning,
        io::ErrorKind::PermissionDenied => AskError::Forbidden,
        _ => AskError::Io(error),
    })?;
    exchange(&mut stream, request, patience).map_err(AskError::Io)
}

fn exchange(stream: &mut UnixStream, request: Request, patience: Duration) -> io::Result<Answer> {
    stream.set_nonblocking(true)?;
    let deadline = Instant::now().checked_add(patience);
    // A fresh socket takes so little in one piece.
    stream.write_all(format!("{}\n", request.line()).as_bytes())?;
    let mut octets = Vec::new();
    let mut block = [0; 4096];
    loop {
        match stream.read(&mut block) {
            Ok(0) => break,
            Ok(count) => octets.extend_from_slice(block.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                let mut fds = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
                poll::wait(&mut fds, deadline)?;
            }
            Err(error) => return Err(error),
        }
    }
    let text = String::from_utf8(octets).map_err(|_| io::ErrorKind::InvalidData)?;
    let (status, text) = text.split_once('\n').ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(Answer {
        status: Exit::from_status(status.parse().map_err(|_| io::ErrorKind::InvalidData)?),
        text: text.to_string(),
    })
}

/// Names a client while it waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientId(u64);

/// The master's side.
#[derive(Debug)]
pub struct Control {
    /// `None` = another master has it now.
    socket: Option<Socket>,
    /// Its file is another master's still.
    lent: bool,
    /// Who asks is heard; at an upgrade one of two masters hears.
    hears: bool,
    path: PathBuf,
    file: Id,
    askers: Askers,
    clients: Vec<Client>,
    next: u64,
    paused: Option<Instant>,
}

#[derive(Debug)]
struct Client {
    id: ClientId,
    stream: UnixStream,
    input: Vec<u8>,
    stage: Stage,
    deadline: Instant,
}

#[derive(Debug)]
enum Stage {
    Asking,
    /// The master works on it, for as long as it takes.
    Waiting,
    Answering(Vec<u8>),
    Gone,
}

impl Control {
    pub fn open(path: &Path) -> io::Result<Control> {
        if let Some(exposed) = Entry::of(path)?.exposed() {
            // Whoever asks would be answered by somebody else.
            return Err(io::Error::other(exposed));
        }
        let (socket, file) = listen::bind_unix(path, 0o600, None)?;
        Ok(Control::of(path.to_path_buf(), socket, file))
    }

    /// On a socket that stands under this path already.
    pub fn of(path: PathBuf, socket: Socket, file: Id) -> Control {
        Control {
            socket: Some(socket),
            lent: false,
            hears: true,
            path,
            file,
            askers: Askers::default(),
            clients: Vec::new(),
            next: 0,
            paused: None,
        }
    }

    /// Nobody is heard until [`Control::hear`]; whoever connects waits. Those who are connected are served.
    pub fn rest(&mut self) {
        self.hears = false;
    }

    pub fn hear(&mut self) {
        self.hears = true;
    }

    pub fn set_lent(&mut self, lent: bool) {
        self.lent = lent;
    }

    /// It is another master's.
    pub fn give_away(&mut self) {
        self.socket = None;
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Device and inode of the socket's file.
    pub fn file(&self) -> Id {
        self.file
    }

    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(Socket::as_fd)
    }

    /// The socket, if somebody is to be heard now.
    fn open_socket(&self) -> Option<&Socket> {
        let has_room = self.clients.len() < CLIENTS;
        self.socket.as_ref().filter(|_| self.hears && has_room)
    }

    /// What to poll for.
    pub fn descriptors(&self) -> Vec<PollFd<'_>> {
        let mut descriptors = Vec::new();
        if let Some(socket) = self.open_socket().filter(|_| self.paused.is_none()) {
            descriptors.push(PollFd::new(socket.as_fd(), PollFlags::POLLIN));
        }
        for client in &self.clients {
            let flags = match client.stage {
                Stage::Asking => PollFlags::POLLIN,
                Stage::Answering(_) => PollFlags::POLLOUT,
                Stage::Waiting | Stage::Gone => PollFlags::empty(),
            };
            descriptors.push(PollFd::new(client.stream.as_fd(), flags));
        }
        descriptors
    }

    /// When to call [`Control::step`] even if nothing is ready.
    pub fn due(&self) -> Option<Instant> {
        let slow = self.clients.iter().filter(|client| !client.is_waiting());
        let deadlines = slow.map(|client| client.deadline);
        deadlines.chain(self.paused).min()
    }

    /// Does whatever can be done without waiting. Returns the requests that came in. `own` are the children of the master, which may
    /// ask for nothing.
    pub fn step(&mut self, own: &[i32], now: Instant) -> Vec<(ClientId, Request)> {
        self.accept(own, now);
        let mut requests = Vec::new();
        for client in &mut self.clients {
            if let Some(request) = client.step(now) {
                requests.push((client.id, request));
            }
        }
        self.clients
            .retain(|client| !matches!(client.stage, Stage::Gone));
        requests
    }

    /// Is it still there.
    pub fn has(&self, id: ClientId) -> bool {
        self.clients.iter().any(|client| client.id == id)
    }

    /// Answers a client, if it is still there.
    pub fn answer(&mut self, id: ClientId, answer: &Answer) {
        let now = Instant::now();
        if let Some(client) = self.clients.iter_mut().find(|client| client.id == id) {
            client.answer(answer, now);
            client.write();
        }
        self.clients
            .retain(|client| !matches!(client.stage, Stage::Gone));
    }

    /// Removes the socket's file, unless another one has it.
    pub fn remove(&self) {
        if self.socket.is_none() || self.lent {
            return;
        }
        listen::remove_socket(&self.path, self.file);
    }

    fn accept(&mut self, own: &[i32], now: Instant) {
        if self.paused.is_some_and(|until| until > now) {
            return;
        }
        self.paused = None;
        while let Some(socket) = self.open_socket() {
            match socket.accept() {
                Ok((socket, _)) => self.welcome(UnixStream::from(socket), own, now),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return,
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    // Out of descriptors: not to be tried in a circle.
                    _ => {
                        self.paused = now.checked_add(PAUSE);
                        log::error!("cannot accept on {}: {error}", self.path.display());
                        return;
                    }
                },
            }
        }
    }

    fn welcome(&mut self, stream: UnixStream, children: &[i32], now: Instant) {
        let Some(deadline) = now.checked_add(PATIENCE) else {
            return;
        };
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        let id = ClientId(self.next);
        self.next = self.next.wrapping_add(1);
        let mut client = Client {
            id,
            stream,
            input: Vec::new(),
            stage: Stage::Asking,
            deadline,
        };
        if !self.askers.may_ask(&client.stream, children, now) {
            let answer = Answer {
                status: Exit::Rejected,
                text: "only root and the daemon's user may ask\n".into(),
            };
            client.answer(&answer, now);
        }
        self.clients.push(client);
    }
}

impl Client {
    fn step(&mut self, now: Instant) -> Option<Request> {
        match self.stage {
            Stage::Asking => {
                let request = self.read(now);
                if self.deadline <= now {
                    self.stage = Stage::Gone;
                    return None;
                }
                request
            }
            Stage::Waiting => {
                // Nothing is asked for but the hang-up, which poll reports in any case.
                let mut fds = [PollFd::new(self.stream.as_fd(), PollFlags::empty())];
                let _ = poll::wait(&mut fds, Some(now));
                if fds.iter().any(|fd| fd.any() == Some(true)) {
                    self.stage = Stage::Gone;
                }
                None
            }
            Stage::Answering(_) => {
                self.write();
                if self.deadline <= now {
                    self.stage = Stage::Gone;
                }
                None
            }
            Stage::Gone => None,
        }
    }

    fn read(&mut self, now: Instant) -> Option<Request> {
        let mut block = [0; REQUEST];
        loop {
            match self.stream.read(&mut block) {
                Ok(0) => {
                    self.stage = Stage::Gone;
                    return None;
                }
                Ok(count) => {
                    self.input
                        .extend_from_slice(block.get(..count).unwrap_or_default());
                    let end = self.input.iter().position(|octet| *octet == b'\n');
                    let line = end.and_then(|end| self.input.get(..end));
                    let request = match line {
                        Some(line) => Request::parse(&String::from_utf8_lossy(line)),
                        None if self.input.len() < REQUEST => continue,
                        None => None,
                    };
                    if request.is_none() {
                        let answer = Answer {
                            status: Exit::Usage,
                            text: "no such request\n".into(),
                        };
                        self.answer(&answer, now);
                    } else {
                        self.stage = Stage::Waiting;
                    }
                    return request;
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return None,
                    io::ErrorKind::Interrupted => {}
                    _ => {
                        self.stage = Stage::Gone;
                        return None;
                    }
                },
            }
        }
    }

    fn answer(&mut self, answer: &Answer, now: Instant) {
        let octets = format!("{}\n{}", answer.status.status(), answer.text).into_bytes();
        self.stage = Stage::Answering(octets);
        self.deadline = now.checked_add(PATIENCE).unwrap_or(now);
    }

    fn write(&mut self) {
        let Stage::Answering(octets) = &mut self.stage else {
            return;
        };
        while !octets.is_empty() {
            match self.stream.write(octets) {
                Ok(count) => {
                    octets.drain(..count.min(octets.len()));
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return,
                    io::ErrorKind::Interrupted => {}
                    _ => break,
                },
            }
        }
        let _ = self.stream.shutdown(Shutdown::Both);
        self.stage = Stage::Gone;
    }

    fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread;

    use super::*;

    fn control(name: &str) -> (Control, PathBuf) {
        let name = format!("mimicry-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_file(&path);
        (Control::open(&path).unwrap(), path)
    }

    /// Runs the master's side until a request came in.
    fn next(control: &mut Control) -> (ClientId, Request) {
        loop {
            let due = control.due();
            poll::wait(&mut control.descriptors(), due).unwrap();
            if let Some(request) = control.step(&[], Instant::now()).pop() {
                return request;
            }
        }
    }

    #[test]
    fn one_request_one_answer() {
        let (mut control, path) = control("control");
        for request in [Request::Status, Request::Reload, Request::ReloadWait] {
            let path = path.clone();
            let client =
                thread::spawn(move || ask(&path, request, Duration::from_secs(10)).unwrap());
            let (id, came) = next(&mut control);
            assert_eq!(came, request);
            // Longer than a socket takes at once.
            let answer = Answer {
                status: Exit::Config,
                text: "a line\n".repeat(100_000),
            };
            control.answer(id, &answer);
            while !control.clients.is_empty() {
                poll::wait(&mut control.descriptors(), control.due()).unwrap();
                control.step(&[], Instant::now());
            }
            assert_eq!(client.join().unwrap(), answer);
        }
        control.remove();
        assert!(matches!(
            ask(&path, Request::Stop, Duration::from_secs(1)),
            Err(AskError::NotRunning)
        ));
    }

    #[test]
    fn nonsense_is_refused_and_the_silent_are_dropped() {
        let (mut control, path) = control("control-nonsense");
        for (sent, answered) in [
            (&b"restart\n"[..], "64\nno such request\n"),
            (&[b'x'; 1000], "64\nno such request\n"),
            (b"\xff\n", "64\nno such request\n"),
        ] {
            let mut stream = UnixStream::connect(&path).unwrap();
            stream.write_all(sent).unwrap();
            for _ in 0..3 {
                assert!(control.step(&[], Instant::now()).is_empty());
            }
            let mut text = String::new();
            // Octets that nobody read make the end a reset.
            let _ = stream.read_to_string(&mut text);
            assert_eq!(text, answered);
        }
        let _silent = UnixStream::connect(&path).unwrap();
        let now = Instant::now();
        control.step(&[], now);
        assert_eq!(control.clients.len(), 1);
        control.step(&[], now + PATIENCE);
        assert!(control.clients.is_empty());
        control.remove();
    }

    #[test]
    fn a_client_that_went_away_is_forgotten() {
        let (mut control, path) = control("control-gone");
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(b"stop\n").unwrap();
        assert_eq!(next(&mut control).1, Request::Stop);
        control.step(&[], Instant::now());
        assert_eq!(control.clients.len(), 1);
        drop(stream);
        control.step(&[], Instant::now());
        assert!(control.clients.is_empty());
        control.remove();
    }

    #[test]
    fn clients_are_counted() {
        let (mut control, path) = control("control-many");
        let clients: Vec<_> = (0..20)
            .map(|_| UnixStream::connect(&path).unwrap())
            .collect();
        control.step(&[], Instant::now());
        assert_eq!(control.clients.len(), CLIENTS);
        assert_eq!(control.descriptors().len(), CLIENTS);
        drop(clients);
        control.remove();
    }
}
