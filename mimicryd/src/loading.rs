//! A child process loads a configuration first, so that loading can neither kill nor block nor fill the process that
//! needs it.
//!
//! The child reads the files, builds a configuration from them, and answers over a pipe: with all mistakes, or with the
//! octets that it has read. Only then the parent builds the configuration, from exactly those octets, so it repeats
//! what the child has already done with half the stack. If loading takes too long, too much memory or too much stack,
//! only the child ends, and that is a mistake in the configuration.
//!
//! Must never: read a file in the parent, or wait for the child without a deadline.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mimicry_core::config::files::{Files, Unreadable, Use};
use mimicry_core::config::{self, Config, Mistakes};
use mimicry_core::registry::Registry;
use nix::poll::{PollFd, PollFlags};
use nix::unistd::Pid;

use crate::files::{self, Disk};
use crate::sys::process::{self, Death, Limits, Side};
use crate::sys::{descriptors, poll, signals};

mod answer;
mod frame;

pub use answer::{Rejected, Said, Snapshot, count};

/// How long a child may take.
const TIME: Duration = Duration::from_secs(8);

/// Seconds of processor time that it may take.
const WORK: u64 = 5;

/// Octets of memory that it may take beyond what it is born with.
const MEMORY: u64 = 1 << 30;

/// Octets of stack; the process that loads after it has twice as much.
const STACK: u64 = 4 << 20;

/// Octets of all files together.
const ALL_FILES: usize = 64 << 20;

/// Octets of an answer: the files, or what is said of mistakes.
const ANSWER: usize = ALL_FILES + (4 << 20);

/// The exit status of a child in which something panicked.
const PANICKED: u8 = 70;

/// What is asked of a configuration beyond that it can be loaded.
pub type Judge = fn(&Config) -> Result<(), Mistakes>;

/// What of a configuration is to be loaded.
#[derive(Clone, Copy, Debug)]
pub struct Order<'o> {
    pub path: &'o Path,
    pub registry: Registry,
    pub judge: Judge,
    pub source: Source,
}

/// Where a configuration may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file, which nobody else can have written.
    File,
    /// Also what a command was given open, such as `/dev/stdin` or the `/dev/fd/63` of a shell: whoever runs it vouches for that.
    FileOrOpen,
}

/// Loads a configuration, waiting for the child.
pub fn load(order: &Order<'_>) -> Result<Config, Rejected> {
    let snapshot = Trial::begin(order)?.wait()?;
    finish(order, &snapshot)
}

/// Makes the configuration that the child has found to be right. A panic is a mistake too, and not the end of the process.
pub fn finish(order: &Order<'_>, snapshot: &Snapshot) -> Result<Config, Rejected> {
    let made = catch_unwind(AssertUnwindSafe(|| {
        config::load(order.path, order.registry, snapshot)
    }));
    match made {
        Ok(result) => result.map_err(|mistakes| Rejected::from(&mistakes)),
        Err(_) => Err(Rejected::broken(order.path)),
    }
}

/// A child at work.
#[derive(Debug)]
pub struct Trial {
    path: PathBuf,
    child: Pid,
    pipe: PipeReader,
    answer: Vec<u8>,
    deadline: Option<Instant>,
    death: Option<Death>,
}

impl Trial {
    /// Forks the child.
    pub fn begin(order: &Order<'_>) -> Result<Trial, Rejected> {
        let cannot = |error: io::Error| {
            Rejected::because(order.path, &format!("cannot be tried in a child: {error}"))
        };
        let (pipe, mut end) = io::pipe().map_err(cannot)?;
        descriptors::set_nonblocking(&pipe).map_err(cannot)?;
        // None of the parent's handlers may run in the child.
        let before = signals::block_all().map_err(cannot)?;
        let side = process::fork();
        if let Ok(Side::Child) = side {
            drop(pipe);
            let answer = catch_unwind(AssertUnwindSafe(|| confined(order)));
            let Ok(answer) = answer else {
                process::exit_now(PANICKED)
            };
            // A parent that does not read is no longer interested.
            let _ = end.write_all(&answer);
            process::exit_now(0)
        }
        drop(end);
        signals::restore(&before).map_err(cannot)?;
        match side.map_err(cannot)? {
            Side::Parent(child) => Ok(Trial {
                path: order.path.to_path_buf(),
                child,
                pipe,
                answer: Vec::new(),
                deadline: Instant::now().checked_add(TIME),
                death: None,
            }),
            Side::Child => process::exit_now(PANICKED),
        }
    }

    /// Readable when [`Trial::step`] has something to do.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    /// When to call it in any case.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Takes what the child said, without waiting; `None` = it is not done.
    pub fn step(&mut self, now: Instant) -> Option<Said> {
        let mut block = [0; 64 * 1024];
        loop {
            match self.pipe.read(&mut block) {
                Ok(0) => return Some(self.end()),
                Ok(count) if self.answer.len().saturating_add(count) <= ANSWER => {
                    self.answer
                        .extend_from_slice(block.get(..count).unwrap_or_default());
                }
                Ok(_) => return Some(self.give_up("its files are too large together")),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return Some(self.end()),
            }
        }
        let is_late = self.deadline.is_none_or(|deadline| deadline <= now);
        is_late.then(|| {
            let why = format!("loading it takes more than {} s", TIME.as_secs());
            self.give_up(&why)
        })
    }

    /// Waits for what it says.
    pub fn wait(mut self) -> Said {
        loop {
            if let Some(said) = self.step(Instant::now()) {
                return said;
            }
            let mut fds = [PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)];
            if let Err(error) = poll::wait(&mut fds, self.deadline) {
                return self.give_up(&format!("poll: {error}"));
            }
        }
    }

    /// Ends the child: nobody waits for its answer any more.
    pub fn abandon(mut self) {
        let _ = self.give_up("");
    }

    /// Somebody else collected a child that ended; true = it is this one.
    pub fn buried(&mut self, child: Pid, death: Death) -> bool {
        let is_ours = child == self.child;
        if is_ours {
            self.death = Some(death);
        }
        is_ours
    }

    fn give_up(&mut self, why: &str) -> Said {
        process::kill(self.child);
        self.collect();
        Err(Rejected::because(&self.path, why))
    }

    fn collect(&mut self) -> Option<Death> {
        if self.death.is_none() {
            self.death = process::wait(self.child);
        }
        self.death
    }

    /// It closed the pipe, which it does only by ending.
    fn end(&mut self) -> Said {
        let why = match self.collect() {
            Some(Death::Exit(0)) => match frame::read(&self.answer) {
                Some(said) => return said,
                None => "its files are too large together".into(),
            },
            Some(Death::Exit(status)) if status == i32::from(PANICKED) => {
                return Err(Rejected::broken(&self.path));
            }
            Some(death) => limit(death),
            None => "the child that loaded it vanished".into(),
        };
        Err(Rejected::because(&self.path, &why))
    }
}

/// Which of its limits a child came to.
fn limit(death: Death) -> String {
    match death {
        Death::Signal(nix::libc::SIGSEGV | nix::libc::SIGBUS) => {
            "loading it takes more stack than there is: something in it is nested too deeply".into()
        }
        Death::Signal(nix::libc::SIGABRT) => {
            format!("loading it takes more than {} MB of memory", MEMORY >> 20)
        }
        Death::Signal(nix::libc::SIGKILL) => {
            format!("loading it takes more than {WORK} s of processor time")
        }
        death => format!("the child that loaded it {}", death.describe()),
    }
}

/// Does the work of the child.
fn confined(order: &Order<'_>) -> Vec<u8> {
    let limits = Limits {
        seconds: WORK,
        memory: MEMORY,
        stack: STACK,
    };
    // Confined, it has no standard input any more.
    let given = match order.source {
        Source::FileOrOpen if files::is_open(order.path) => Some(File::open(order.path)),
        Source::FileOrOpen | Source::File => None,
    };
    let confined = process::confine(&limits);
    let said = match confined {
        Ok(()) => judged(order, given),
        Err(error) => {
            let why = format!("a child cannot be confined: {error}");
            Err(Rejected::because(order.path, &why))
        }
    };
    frame::write(&said)
}

fn judged(order: &Order<'_>, given: Option<io::Result<File>>) -> Said {
    let recorder = Recorder {
        open: given.map(|given| (order.path, RefCell::new(Some(given)))),
        files: RefCell::default(),
    };
    let config = config::load(order.path, order.registry, &recorder);
    config
        .and_then(|config| (order.judge)(&config))
        .map_err(|mistakes| Rejected::from(&mistakes))?;
    Ok(Snapshot(recorder.files.into_inner()))
}

/// Reads files from disk, each once, and keeps them.
struct Recorder<'o> {
    /// What was given open, to be read once.
    open: Option<(&'o Path, RefCell<Option<io::Result<File>>>)>,
    files: RefCell<Vec<(PathBuf, Vec<u8>)>>,
}

impl Files for Recorder<'_> {
    fn read(&self, path: &Path, what: Use) -> Result<Vec<u8>, Unreadable> {
        // A file that is named as a text and as a secret is judged as both.
        let given = self.open.as_ref().filter(|(name, _)| *name == path);
        let content = match given.and_then(|(_, file)| file.borrow_mut().take()) {
            Some(file) => files::read_open(path, file)?,
            None => Disk.read(path, what)?,
        };
        let mut files = self.files.borrow_mut();
        if let Some((_, content)) = files.iter().find(|(name, _)| name == path) {
            return Ok(content.clone());
        }
        let total: usize = files.iter().map(|(_, content)| content.len()).sum();
        if total.saturating_add(content.len()) > ALL_FILES {
            return Err(Unreadable::new(
                format!("{} and the files before it are too large", path.display()),
                format!("at most {} MB together", ALL_FILES >> 20),
            ));
        }
        files.push((path.to_path_buf(), content.clone()));
        Ok(content)
    }
}
