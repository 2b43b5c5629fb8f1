//! A child process that does one thing and says over a pipe what came of it, so that whatever happens to it happens to nobody else.
//!
//! Must never: wait for the child without a deadline, not even for one that was killed, which a disk may hold; or read more of it than was
//! agreed on.

use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Pid, Uid};

use crate::sys::process::{self, Death, Side};
use crate::sys::{descriptors, poll, send, shared, signals};

/// The exit status of a child in which something panicked.
pub const PANICKED: u8 = 70;

/// How much a child may take of its parent's patience.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Whom the child becomes, if anybody else: who ends it may have to be that one.
    pub user: Option<(Uid, Gid)>,
    pub time: Duration,
    /// Octets of its answer.
    pub answer: usize,
    /// The child has nothing that its parent has open, and no memory that its parent shares with others to write to.
    pub is_alone: bool,
}

/// A child at work.
#[derive(Debug)]
pub struct Errand {
    terms: Terms,
    child: Pid,
    pipe: PipeReader,
    answer: Vec<u8>,
    deadline: Option<Instant>,
    death: Option<Death>,
}

/// What came of it. The child is no more.
#[derive(Debug, PartialEq, Eq)]
pub enum Returned {
    Answer(Vec<u8>),
    /// Its answer is too long.
    TooMuch,
    TooLate,
    /// It ended otherwise than by its own will; `None` = nobody knows how.
    Died(Option<Death>),
    /// The system failed at waiting for it.
    Unheard(String),
}

impl Errand {
    /// Forks the child, in which none of the parent's handlers may run.
    pub fn begin(terms: Terms, act: impl FnOnce() -> Vec<u8>) -> io::Result<Errand> {
        Errand::with(terms, None, act)
    }

    /// The same for a child that has this descriptor too, though it is alone.
    pub fn with(
        terms: Terms,
        given: Option<BorrowedFd<'_>>,
        act: impl FnOnce() -> Vec<u8>,
    ) -> io::Result<Errand> {
        let (pipe, mut end) = io::pipe()?;
        descriptors::set_nonblocking(&pipe)?;
        let before = signals::block_all()?;
        let side = process::fork();
        if let Ok(Side::Child) = side {
            drop(pipe);
            if terms.is_alone {
                let kept: Vec<_> = given.into_iter().chain([end.as_fd()]).collect();
                descriptors::close_all_but(&kept);
                shared::give_up_all();
            }
            let answer = catch_unwind(AssertUnwindSafe(act));
            let Ok(answer) = answer else {
                process::exit_now(PANICKED)
            };
            // A parent that does not read is no longer interested.
            let _ = end.write_all(&answer);
            process::exit_now(0)
        }
        drop(end);
        signals::restore(&before)?;
        match side? {
            Side::Parent(child) => Ok(Errand {
                terms,
                child,
                pipe,
                answer: Vec::new(),
                deadline: Instant::now().checked_add(terms.time),
                death: None,
            }),
            Side::Child => process::exit_now(PANICKED),
        }
    }

    pub fn child(&self) -> Pid {
        self.child
    }

    /// Readable when [`Errand::step`] has something to do.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    /// When to call it in any case.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Takes what the child said, without waiting; `None` = it is not done.
    pub fn step(&mut self, now: Instant) -> Option<Returned> {
        let mut block = [0; 64 * 1024];
        loop {
            match self.pipe.read(&mut block) {
                Ok(0) => return Some(self.end()),
                Ok(count) if self.answer.len().saturating_add(count) <= self.terms.answer => {
                    self.answer
                        .extend_from_slice(block.get(..count).unwrap_or_default());
                }
                Ok(_) => return Some(self.give_up(Returned::TooMuch)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return Some(self.end()),
            }
        }
        let is_late = self.deadline.is_none_or(|deadline| deadline <= now);
        is_late.then(|| self.give_up(Returned::TooLate))
    }

    /// Waits for what it says.
    pub fn wait(mut self) -> Returned {
        loop {
            if let Some(returned) = self.step(Instant::now()) {
                return returned;
            }
            let mut fds = [PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)];
            if let Err(error) = poll::wait(&mut fds, self.deadline) {
                return self.give_up(Returned::Unheard(error.to_string()));
            }
        }
    }

    /// Ends the child: nobody waits for its answer any more.
    pub fn abandon(mut self) {
        let _ = self.give_up(Returned::TooLate);
    }

    /// Somebody else collected a child that ended; true = it is this one.
    pub fn buried(&mut self, child: Pid, death: Death) -> bool {
        let is_ours = child == self.child;
        if is_ours {
            self.death = Some(death);
        }
        is_ours
    }

    fn give_up(&mut self, why: Returned) -> Returned {
        // Once it is buried its id may be another's.
        if self.death.is_none() {
            // One that cannot be told ends by its own limits.
            let _ = send::to_child(self.child, Signal::SIGKILL, self.terms.user);
            // If it is not gone yet, whoever collects the children of this process does it.
            self.death = process::collect(self.child);
        }
        why
    }

    fn collect(&mut self) -> Option<Death> {
        if self.death.is_none() {
            self.death = process::wait(self.child);
        }
        self.death
    }

    /// It closed the pipe, which it does only by ending.
    fn end(&mut self) -> Returned {
        match self.collect() {
            Some(Death::Exit(0)) => Returned::Answer(std::mem::take(&mut self.answer)),
            death => Returned::Died(death),
        }
    }
}
