//! A worker: gives up its privileges, accepts one connection after the other, has each one served, and retires.
//!
//! How a connection is served is a [`Serve`]. When to stop is a [`Life`], which serving asks and polls too.
//!
//! Must never: return into the program that forked it (its destructors would run twice), or wait where a signal or the
//! master's death cannot wake it.

#![forbid(unsafe_code)]

pub mod certificates;
mod confine;
mod delivery;
mod incoming;
pub mod ledger;
mod link;
mod marks;
mod needs;
mod pace;
mod peer;
mod poison;
mod quiet;
mod refusal;
mod serve;
pub mod server;
mod settle;
mod story;
mod stress;
mod terms;
mod trace;
mod transaction;

use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use crate::logging;
use crate::prefork::contract::{Accepted, Birth, Serve, SessionEnd};
use crate::prefork::exit::Exit;
use crate::prefork::life::{Life, Wish};
use crate::prefork::pipes::Ends;
use crate::prefork::scoreboard::{Counter, Slot, State};
use crate::sys::process::exit_now;
use crate::sys::signals::Signals;
use crate::sys::{descriptors, memory, poll, privileges, signals, title};
use confine::{Ground, confine};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::Signal;

/// How long a worker keeps its hands off the listeners when the system is out of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(500);

/// Lives the whole life of a worker.
pub fn run(birth: Birth) -> ! {
    // A panic outside a transaction ends here and does not unwind into the program that called the master.
    let _last = LastResort;
    let ends = Rc::clone(&birth.ends);
    let status = match live(birth) {
        Ok(()) => Exit::Ok,
        Err(failure) => {
            log::error!("worker cannot go on: {}", failure.why);
            ends.complain(&failure.why);
            failure.status
        }
    };
    logging::close();
    exit_now(status.status())
}

struct LastResort;

impl Drop for LastResort {
    fn drop(&mut self) {
        if thread::panicking() {
            exit_now(Exit::Software.status());
        }
    }
}

struct Failure {
    status: Exit,
    why: String,
}

fn failure(status: Exit, what: &str, error: impl std::fmt::Display) -> Failure {
    Failure {
        status,
        why: format!("{what}: {error}"),
    }
}

fn live(birth: Birth) -> Result<(), Failure> {
    birth.slot.claim(std::process::id(), birth.generation);
    birth.program.born(&birth.config);
    let signals = own_signals().map_err(|error| failure(Exit::System, "signals", error))?;
    if let Some(identity) = &birth.identity {
        privileges::become_user(identity).map_err(|error| {
            let what = format!("cannot become the user {}", identity.name);
            failure(Exit::Rejected, &what, error)
        })?;
    }
    // No client was heard yet.
    birth.slot.keep_alone();
    privileges::harden(birth.config.daemon.core_dumps)
        .map_err(|error| failure(Exit::System, "cannot give up rights", error))?;
    title::set("mimicryd: worker (starting)");
    memory::keep();
    let program = birth.program;
    let reopen_log = Box::new(move || program.reopen_log());
    let (ends, board) = (Rc::clone(&birth.ends), birth.slot.board().clone());
    let life = Life::new(signals, ends, birth.listeners, board, reopen_log)
        .map_err(|error| failure(Exit::System, "epoll", error))?;
    let mut serve = (birth.factory)(&birth.slot)
        .map_err(|why| failure(Exit::Unavailable, "cannot serve", why))?;
    let ground = confine(&birth.config).map_err(|why| Failure {
        status: Exit::System,
        why,
    })?;
    let mut worker = Worker {
        gate: Gate::new(&life).map_err(|error| failure(Exit::System, "epoll", error))?,
        mails: quota(birth.config.daemon.mails_per_worker),
        slot: birth.slot,
        ends: birth.ends,
        life,
        ground,
        announced: false,
        rested: Rested::No,
    };
    worker
        .work(serve.as_mut())
        .map_err(|error| failure(Exit::System, "cannot accept", error))
}

/// The master's signals are not a worker's. Everything is still blocked here.
fn own_signals() -> io::Result<Signals> {
    let own = Signals::new(&[
        Signal::SIGTERM,
        Signal::SIGQUIT,
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGWINCH,
    ])?;
    signals::default(&[Signal::SIGCHLD, Signal::SIGTTIN, Signal::SIGTTOU])?;
    // Rust's handler, which would print a line about the stack into nowhere, lets the first one pass that kill(2) sent.
    signals::default(&[Signal::SIGSEGV, Signal::SIGBUS])?;
    // A terminal sends INT to all; it is the master that decides. A lost client is an error of write(2), and so is a file that
    // reaches the limit of its size.
    signals::ignore(&[
        Signal::SIGINT,
        Signal::SIGUSR2,
        Signal::SIGPIPE,
        Signal::SIGXFSZ,
    ])?;
    signals::unblock_all()?;
    Ok(own)
}

/// Mails after which this worker retires; `None` = never. Up to an eighth more than configured, so that workers that
/// were born together do not go together.
fn quota(configured: u64) -> Option<u64> {
    if configured == 0 {
        return None;
    }
    let spread = (configured / 8).saturating_add(1);
    // Without a random number they go together, which is no harm.
    let random = getrandom::u64().unwrap_or(0);
    Some(configured.saturating_add(random.checked_rem(spread).unwrap_or(0)))
}

struct Worker {
    life: Life,
    gate: Gate,
    slot: Slot,
    ends: Rc<Ends>,
    mails: Option<u64>,
    ground: Ground,
    /// Does the master know that this worker accepts.
    announced: bool,
    rested: Rested,
}

/// What an idle worker has given up since its last session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rested {
    No,
    Memory,
    All,
}

impl Rested {
    /// After how long without a connection the next of it goes.
    fn next(self) -> Option<Duration> {
        match self {
            Rested::No => Some(Duration::from_secs(1)),
            Rested::Memory => Some(Duration::from_secs(60)),
            Rested::All => None,
        }
    }
}

impl Worker {
    fn work(&mut self, serve: &mut dyn Serve) -> io::Result<()> {
        loop {
            self.idle();
            let wish = self.life.look();
            if self.life.take_lines_wanted() {
                serve.give_back();
            }
            match wish {
                Wish::Stay => match self.gate.wait(&self.life, self.patience())? {
                    Waited::Connection(connection) => {
                        self.rested = Rested::No;
                        if !self.serve(serve, connection) {
                            return Ok(());
                        }
                    }
                    Waited::InVain => self.rest(serve),
                    Waited::Told => {}
                },
                Wish::Retire => {
                    // The kernel may have woken this worker, and no other, for a connection.
                    if let Some(connection) = self.gate.try_all(&self.life)? {
                        self.serve(serve, connection);
                    }
                    return Ok(());
                }
                Wish::Drain | Wish::Quit => return Ok(()),
            }
        }
    }

    /// Who has rested and still has lines for the log tries again now and then.
    fn patience(&self) -> Option<Duration> {
        let later = || logging::is_behind().then_some(Duration::from_secs(60));
        self.rested.next().or_else(later)
    }

    /// The memory of a large mail is of use to the next one, but not while nobody comes; nor are the lines to the next hop.
    fn rest(&mut self, serve: &mut dyn Serve) {
        self.rested = match self.rested {
            Rested::No => {
                memory::give_back();
                Rested::Memory
            }
            Rested::Memory | Rested::All => {
                serve.rest();
                Rested::All
            }
        };
    }

    fn idle(&mut self) {
        log::logger().flush();
        self.slot.enter(State::Idle);
        title::set("mimicryd: worker (idle)");
        if !self.announced {
            self.announced = true;
            self.ends.nudge();
        }
    }

    /// Serves a connection. False = this was the last one.
    fn serve(&mut self, serve: &mut dyn Serve, connection: Accepted) -> bool {
        self.slot.enter(State::Session);
        self.slot.serve(connection.listener);
        self.slot.add(Counter::Sessions, 1);
        title::set(&format!("mimicryd: worker (busy {})", connection.peer));
        if self.slot.board().is_nudge_due() {
            self.ends.nudge();
        }
        let end = serve.session(connection, &self.slot, &self.life);
        end != SessionEnd::Broken
            && !self.is_spent()
            && self.life.wish() == Wish::Stay
            && self.ground.stands()
    }

    fn is_spent(&self) -> bool {
        self.mails
            .is_some_and(|mails| self.slot.count(Counter::Mails) >= mails)
    }
}

/// What came of waiting.
enum Waited {
    Connection(Accepted),
    /// Something else happened.
    Told,
    /// Nothing happened.
    InVain,
}

/// Where connections come in.
struct Gate {
    /// Own to this worker, as is each worker's. Made after the fork: a shared one would wake all of them.
    epoll: Epoll,
    /// When the system ran short: no accepting before.
    paused: Option<Instant>,
    complained: Option<Instant>,
}

/// The event of a [`Life`]; a listener's is its index.
const LIFE: u64 = u64::MAX;

impl Gate {
    fn new(life: &Life) -> io::Result<Gate> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        for (index, listener) in life.listeners().iter().enumerate() {
            // Exclusive: a connection wakes one worker, not all.
            let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE;
            epoll.add(listener.as_fd(), EpollEvent::new(flags, index as u64))?;
        }
        epoll.add(life, EpollEvent::new(EpollFlags::EPOLLIN, LIFE))?;
        Ok(Gate {
            epoll,
            paused: None,
            complained: None,
        })
    }

    /// Waits for a connection.
    fn wait(&mut self, life: &Life, patience: Option<Duration>) -> io::Result<Waited> {
        if let Some(until) = self.paused.take() {
            // Not in epoll: whoever waits there would be woken for connections that it cannot take.
            let mut told = [PollFd::new(life.as_fd(), PollFlags::POLLIN)];
            poll::wait(&mut told, Some(until))?;
            return Ok(Waited::Told);
        }
        // One event: the kernel then takes the listeners in turn.
        let mut events = [EpollEvent::empty()];
        let patience = patience.and_then(|patience| EpollTimeout::try_from(patience).ok());
        match self
            .epoll
            .wait(&mut events, patience.unwrap_or(EpollTimeout::NONE))
        {
            Ok(0) => return Ok(Waited::InVain),
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Waited::Told),
            Err(error) => return Err(error.into()),
        };
        match events.first() {
            Some(event) if event.data() != LIFE => {
                let index = usize::try_from(event.data()).unwrap_or(usize::MAX);
                let connection = self.accept(life, index)?;
                Ok(connection.map_or(Waited::Told, Waited::Connection))
            }
            _ => Ok(Waited::Told),
        }
    }

    /// Takes a connection that waits already.
    fn try_all(&mut self, life: &Life) -> io::Result<Option<Accepted>> {
        let count = life.listeners().len();
        for index in 0..count {
            if let Some(connection) = self.accept(life, index)? {
                return Ok(Some(connection));
            }
        }
        Ok(None)
    }

    fn accept(&mut self, life: &Life, index: usize) -> io::Result<Option<Accepted>> {
        let listeners = life.listeners();
        let Some(listener) = listeners.get(index) else {
            return Ok(None);
        };
        match listener.accept() {
            Ok((socket, peer)) => Ok(Some(Accepted {
                socket,
                peer,
                listener: index,
            })),
            Err(error) => match after(&error) {
                After::GoOn => Ok(None),
                After::Shut => {
                    // It stays ready for ever. What comes next is told by the master.
                    self.paused = Instant::now().checked_add(PAUSE);
                    Ok(None)
                }
                After::Pause => {
                    let now = Instant::now();
                    self.paused = now.checked_add(PAUSE);
                    let silent = self.complained.is_some_and(|last| {
                        now.saturating_duration_since(last) < Duration::from_secs(60)
                    });
                    if !silent {
                        self.complained = Some(now);
                        log::error!(
                            "cannot accept on {}: {error}; trying again",
                            listener.place()
                        );
                    }
                    Ok(None)
                }
                After::GiveUp => Err(error),
            },
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum After {
    GoOn,
    Shut,
    Pause,
    GiveUp,
}

/// What a failed accept(2) means for the next one.
fn after(error: &io::Error) -> After {
    if descriptors::is_short(error) {
        return After::Pause;
    }
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EBADF | Errno::ENOTSOCK | Errno::EFAULT | Errno::EOPNOTSUPP) => After::GiveUp,
        Some(Errno::EINVAL) => After::Shut,
        // Another worker was quicker, the client is gone already, or its network is; accept(2) hands over errors of the
        // new connection as its own.
        _ => After::GoOn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_accept() {
        for (error, expected) in [
            (Errno::EMFILE, After::Pause),
            (Errno::ENFILE, After::Pause),
            (Errno::ENOBUFS, After::Pause),
            (Errno::ENOMEM, After::Pause),
            (Errno::EAGAIN, After::GoOn),
            (Errno::EINTR, After::GoOn),
            (Errno::ECONNABORTED, After::GoOn),
            (Errno::EPROTO, After::GoOn),
            (Errno::ENETDOWN, After::GoOn),
            (Errno::EPERM, After::GoOn),
            (Errno::EBADF, After::GiveUp),
            (Errno::EINVAL, After::Shut),
            (Errno::ENOTSOCK, After::GiveUp),
        ] {
            let error = io::Error::from_raw_os_error(error as i32);
            assert_eq!(after(&error), expected, "{error}");
        }
        assert_eq!(after(&io::Error::other("x")), After::GoOn);
    }

    #[test]
    fn quotas_have_jitter() {
        assert_eq!(quota(0), None);
        assert_eq!(quota(1), Some(1));
        assert_eq!(quota(7), Some(7));
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let quota = quota(1000).unwrap();
            assert!((1000..=1125).contains(&quota), "{quota}");
            seen.insert(quota);
        }
        assert!(seen.len() > 10, "{seen:?}");
        assert!(quota(u64::MAX).is_some());
    }
}
