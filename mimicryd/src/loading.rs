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
use std::io;
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mimicry_core::config::files::{Files, Unreadable, Use};
use mimicry_core::config::{self, Config, Mistakes};
use mimicry_core::registry::Registry;
use nix::unistd::Pid;

use crate::errand::{Errand, PANICKED, Returned, Terms};
use crate::files::{self, Disk, Owner};
use crate::sys::process::{self, Death, Limits};

mod answer;
mod frame;

pub use answer::{ReadFile, Rejected, Said, Snapshot, count};

/// How long a child may take. Who waits so long, waits for a disk: work is bounded by [`WORK`], and on a machine where others work too that
/// may take many times as long.
pub const TIME: Duration = Duration::from_secs(60);

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
    errand: Errand,
}

impl Trial {
    /// Forks the child, which reads the files from disk.
    pub fn begin(order: &Order<'_>) -> Result<Trial, Rejected> {
        Trial::of(order, None)
    }

    /// The same with these files in the place of those on disk.
    pub fn of(order: &Order<'_>, given: Option<&Snapshot>) -> Result<Trial, Rejected> {
        let terms = Terms {
            user: None,
            time: TIME,
            answer: ANSWER,
            // It may be told to read a descriptor.
            is_alone: false,
        };
        match Errand::begin(terms, || confined(order, given)) {
            Ok(errand) => Ok(Trial {
                path: order.path.to_path_buf(),
                errand,
            }),
            Err(error) => {
                let why = format!("cannot be tried in a child: {error}");
                Err(Rejected::because(order.path, &why))
            }
        }
    }

    /// Readable when [`Trial::step`] has something to do.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.errand.as_fd()
    }

    /// When to call it in any case.
    pub fn deadline(&self) -> Option<Instant> {
        self.errand.deadline()
    }

    /// Takes what the child said, without waiting; `None` = it is not done.
    pub fn step(&mut self, now: Instant) -> Option<Said> {
        let returned = self.errand.step(now)?;
        Some(said(&self.path, returned))
    }

    /// Waits for what it says.
    pub fn wait(self) -> Said {
        said(&self.path, self.errand.wait())
    }

    /// Ends the child: nobody waits for its answer any more.
    pub fn abandon(self) {
        self.errand.abandon();
    }

    /// Somebody else collected a child that ended; true = it is this one.
    pub fn buried(&mut self, child: Pid, death: Death) -> bool {
        self.errand.buried(child, death)
    }
}

/// What came of the child that loaded the file.
fn said(path: &Path, returned: Returned) -> Said {
    let too_large = "its files are too large together";
    let why = match returned {
        Returned::Answer(answer) => match frame::read(&answer) {
            Some(said) => return said,
            None => too_large.into(),
        },
        Returned::TooMuch => too_large.into(),
        Returned::TooLate => format!("loading it takes more than {} s", TIME.as_secs()),
        Returned::Died(Some(Death::Exit(status))) if status == i32::from(PANICKED) => {
            return Err(Rejected::broken(path));
        }
        Returned::Died(Some(death)) => limit(death),
        Returned::Died(None) => "the child that loaded it vanished".into(),
        Returned::Unheard(error) => format!("poll: {error}"),
    };
    Err(Rejected::because(path, &why))
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
fn confined(order: &Order<'_>, snapshot: Option<&Snapshot>) -> Vec<u8> {
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
        Ok(()) => judged(order, given, snapshot),
        Err(error) => {
            let why = format!("a child cannot be confined: {error}");
            Err(Rejected::because(order.path, &why))
        }
    };
    frame::write(&said)
}

fn judged(order: &Order<'_>, given: Option<io::Result<File>>, snapshot: Option<&Snapshot>) -> Said {
    let recorder = Recorder {
        open: given.map(|given| (order.path, RefCell::new(Some(given)))),
        files: RefCell::default(),
    };
    let files: &dyn Files = match snapshot {
        Some(snapshot) => snapshot,
        None => &recorder,
    };
    let config = config::load(order.path, order.registry, files);
    config
        .and_then(|config| (order.judge)(&config))
        .map_err(|mistakes| Rejected::from(&mistakes))?;
    Ok(Snapshot(recorder.files.into_inner()))
}

/// Reads files from disk, each once, and keeps them.
struct Recorder<'o> {
    /// What was given open, to be read once.
    open: Option<(&'o Path, RefCell<Option<io::Result<File>>>)>,
    files: RefCell<Vec<ReadFile>>,
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
        let is_secret = what != Use::Configuration;
        if let Some(known) = files.iter_mut().find(|file| file.is_at(path)) {
            known.is_secret |= is_secret;
            return Ok(known.content.clone());
        }
        let total: usize = files.iter().map(|file| file.content.len()).sum();
        if total.saturating_add(content.len()) > ALL_FILES {
            return Err(Unreadable::new(
                format!("{} and the files before it are too large", path.display()),
                format!("at most {} MB together", ALL_FILES >> 20),
            ));
        }
        files.push(ReadFile {
            path: path.to_path_buf(),
            content: content.clone(),
            owner: Owner::of(path).unwrap_or_default(),
            is_secret,
        });
        Ok(content)
    }

    fn list(&self, directory: &Path) -> Result<Vec<String>, Unreadable> {
        Disk.list(directory)
    }

    fn is_directory(&self, path: &Path) -> bool {
        Disk.is_directory(path)
    }
}
