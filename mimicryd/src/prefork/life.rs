//! When a worker is to stop, and what else it is told: signals of the master, and its death.
//!
//! Must never: take a wish back, or keep a listener that somebody else may want.

#![forbid(unsafe_code)]

use std::cell::{Cell, Ref, RefCell};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::Signal;

use super::listen::Listener;
use super::pipes::Ends;
use super::scoreboard::Scoreboard;
use crate::sys::signals::Signals;

/// What is asked of a worker, from the least to the most urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wish {
    /// Go on.
    Stay,
    /// Finish the mail in hand, or one that may be on its way, answer 421 to whatever follows, then go: there is a newer generation, or
    /// there are too many workers (HUP).
    Retire,
    /// Finish the transaction, answer 421 to whatever follows, then go: the daemon stops (TERM), or the master is dead.
    Drain,
    /// Go at once, answering 421 if that does not take time: the time to drain is over (QUIT).
    Quit,
}

/// When to stop. It can be polled: readable = ask [`Life::wish`].
pub struct Life {
    /// Of the signals and the life pipe, so that one descriptor stands for both.
    epoll: Epoll,
    signals: Signals,
    ends: Rc<Ends>,
    wish: Cell<Wish>,
    /// Idle lines to next hops are wanted by other workers.
    lines_wanted: Cell<bool>,
    listeners: RefCell<Vec<Rc<Listener>>>,
    board: Scoreboard,
    reopen_log: Box<dyn Fn() -> bool>,
}

const SIGNALS: u64 = 0;
const PIPE: u64 = 1;

impl Life {
    /// All listeners of this process, where its master says whose they are, and what USR1 asks for.
    pub fn new(
        signals: Signals,
        ends: Rc<Ends>,
        listeners: Vec<Rc<Listener>>,
        board: Scoreboard,
        reopen_log: Box<dyn Fn() -> bool>,
    ) -> io::Result<Life> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&signals, EpollEvent::new(EpollFlags::EPOLLIN, SIGNALS))?;
        epoll.add(ends.life(), EpollEvent::new(EpollFlags::EPOLLIN, PIPE))?;
        Ok(Life {
            epoll,
            signals,
            ends,
            wish: Cell::new(Wish::Stay),
            lines_wanted: Cell::new(false),
            listeners: RefCell::new(listeners),
            board,
            reopen_log,
        })
    }

    /// What is asked of this worker; it never becomes less. To be asked by serving at least before each transaction, and
    /// whenever [`Life`] is readable. Costs one system call.
    pub fn wish(&self) -> Wish {
        let wish = self.look();
        if wish > Wish::Stay {
            // Nothing more is accepted, and nobody is to be kept waiting at a door that does not open, nor a new master
            // from binding.
            self.listeners.borrow_mut().clear();
        }
        wish
    }

    /// The same, with the listeners kept.
    pub fn look(&self) -> Wish {
        let mut events = [EpollEvent::empty(); 2];
        // An error leaves everything as it was, and the next call tries again.
        let count = self
            .epoll
            .wait(&mut events, EpollTimeout::ZERO)
            .unwrap_or(0);
        for event in events.iter().take(count) {
            match event.data() {
                SIGNALS => self.take_signals(),
                _ => self.master_is_gone(),
            }
        }
        self.wish.get()
    }

    /// What was asked of this worker as of the last look. Costs nothing.
    pub fn known(&self) -> Wish {
        self.wish.get()
    }

    /// Are idle lines to next hops to be given back? As of the last look.
    pub fn are_lines_wanted(&self) -> bool {
        self.lines_wanted.get()
    }

    /// The same, and it is seen to.
    pub fn take_lines_wanted(&self) -> bool {
        self.lines_wanted.replace(false)
    }

    /// In the order of the configuration; none once more than [`Wish::Stay`] was wished for.
    pub fn listeners(&self) -> Ref<'_, Vec<Rc<Listener>>> {
        self.listeners.borrow()
    }

    fn take_signals(&self) {
        for signal in self.signals.take() {
            match signal {
                Signal::SIGHUP => self.raise(Wish::Retire),
                Signal::SIGTERM => self.raise(Wish::Drain),
                Signal::SIGQUIT => self.raise(Wish::Quit),
                Signal::SIGWINCH => self.lines_wanted.set(true),
                Signal::SIGUSR1 if !(self.reopen_log)() => self.raise(Wish::Retire),
                _ => {}
            }
        }
    }

    fn master_is_gone(&self) {
        if self.wish.get() < Wish::Drain {
            log::warn!("the master is gone");
        }
        self.raise(Wish::Drain);
        // For the others too, who may be busy for a while: a new master is to be able to bind at once. Not while an upgrade lets two
        // masters have the sockets: the other one goes on with them.
        if !self.board.is_lent() {
            for listener in self.listeners.borrow().iter() {
                listener.shut();
            }
        }
        // The end of file stays; without this, whoever polls would never wait again.
        let _ = self.epoll.delete(self.ends.life());
    }

    fn raise(&self, wish: Wish) {
        self.wish.set(self.wish.get().max(wish));
    }
}

impl AsFd for Life {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}
