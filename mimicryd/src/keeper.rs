//! A child that writes down what a configuration is made of, so that a slow disk holds up nobody else: files of up to 64 MB are forced to
//! disk, and the directory of the state may be on one that hangs.
//!
//! It is forked when the configuration was loaded, before there are workers, which would bear a copy of the files for as long as they
//! live. It puts the files on disk and waits for a word: the number under which the configuration came into force, and then it
//! writes the page of that generation; or the end of the pipe, and then nothing is kept.
//!
//! Must never: read or write the directory in the parent, or wait there for a child, but a second at most for the number that comes next.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mimicry_core::config::Config;
use nix::unistd::Pid;

use crate::clock;
use crate::errand::{Errand, Returned, Terms};
use crate::loading::Snapshot;
use crate::state::generations::Generations;
use crate::sys::process::{self, Death};
use crate::sys::title;

/// A disk that takes longer is no place to keep anything.
const TIME: Duration = Duration::from_secs(600);

/// Octets of a reason.
const REASON: usize = 4096;

/// How long the number of a generation is looked for. It is looked for while the configuration is loaded, which takes longer.
const LOOKING: Duration = Duration::from_secs(1);

/// A child that writes, or waits for its word.
#[derive(Debug)]
pub struct Keeper {
    /// Where, for people.
    directory: PathBuf,
    errand: Errand,
    /// `None` = it has its word.
    word: Option<PipeWriter>,
}

/// What a configuration was made of, and where that is kept.
#[derive(Clone, Copy, Debug)]
pub struct Matter<'m> {
    pub state: &'m Path,
    pub snapshot: &'m Snapshot,
    pub path: &'m Path,
    pub hash: &'m str,
}

impl<'m> Matter<'m> {
    pub fn of(config: &'m Config, snapshot: &'m Snapshot) -> Matter<'m> {
        Matter {
            state: &config.daemon.state,
            snapshot,
            path: &config.path,
            hash: &config.hash,
        }
    }
}

impl Keeper {
    pub fn begin(matter: Matter<'_>) -> io::Result<Keeper> {
        let terms = Terms {
            user: None,
            time: TIME,
            answer: REASON,
            is_alone: true,
        };
        let (ear, word) = io::pipe()?;
        let store = Generations::below(matter.state);
        let directory = store.directory().to_path_buf();
        let errand = Errand::with(terms, Some(ear.as_fd()), || {
            // The other end is closed here already: this child has nothing but its two pipes.
            let done = write(&store, matter, &ear);
            done.err().map_or_else(Vec::new, |error| {
                let reason: String = error.to_string().chars().take(REASON / 8).collect();
                reason.into_bytes()
            })
        })?;
        Ok(Keeper {
            directory,
            errand,
            word: Some(word),
        })
    }

    /// Its configuration is in force, under this number.
    pub fn keep(&mut self, number: u64) {
        if let Some(mut word) = self.word.take() {
            // An empty pipe takes so little at once. A child that is gone says by its end what became of it.
            let _ = word.write_all(&number.to_be_bytes());
        }
    }

    /// Readable when [`Keeper::step`] has something to do.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.errand.as_fd()
    }

    /// When to call it in any case.
    pub fn deadline(&self) -> Option<Instant> {
        self.errand.deadline()
    }

    /// What came of it, without waiting: nothing, or what is to be said in the log; `None` = it is not done.
    pub fn step(&mut self, now: Instant) -> Option<Result<(), String>> {
        let why = match self.errand.step(now)? {
            Returned::Answer(answer) if answer.is_empty() => return Some(Ok(())),
            Returned::Answer(answer) => String::from_utf8_lossy(&answer).into_owned(),
            Returned::TooLate => format!("it takes more than {} s", TIME.as_secs()),
            Returned::Died(Some(death)) => {
                format!("the process that writes it {}", death.describe())
            }
            Returned::Died(None) => "the process that writes it vanished".into(),
            Returned::TooMuch => "the process that writes it says too much".into(),
            Returned::Unheard(error) => format!("poll: {error}"),
        };
        Some(Err(self.not_kept(&why)))
    }

    /// Ends it without waiting for it. What is to be said in the log.
    pub fn abandon(self, why: &str) -> String {
        let said = self.not_kept(why);
        self.errand.abandon();
        said
    }

    /// Somebody else collected a child that ended; true = it is this one.
    pub fn buried(&mut self, child: Pid, death: Death) -> bool {
        self.errand.buried(child, death)
    }

    fn not_kept(&self, why: &str) -> String {
        not_kept(&self.directory, why)
    }
}

/// Does the work of the child.
fn write(store: &Generations, matter: Matter<'_>, ear: &PipeReader) -> io::Result<()> {
    title::set("mimicryd: keeps a configuration");
    process::silence(false)?;
    let lock = store.lock()?;
    let staged = store.stage(matter.snapshot, matter.path, matter.hash, clock::now().unix)?;
    let mut number = [0; 8];
    let mut ear = ear;
    match ear.read_exact(&mut number) {
        Ok(()) => {}
        // Its configuration does not come into force.
        Err(_) => return Ok(()),
    }
    store.keep(staged, u64::from_be_bytes(number), clock::now().unix)?;
    drop(lock);
    Ok(())
}

fn not_kept(directory: &Path, why: &str) -> String {
    format!(
        "this configuration is not kept in {}: {why}; nobody can go back to it",
        directory.display()
    )
}

/// Looks for the number of the next generation.
#[derive(Debug)]
pub struct Numbering {
    state: PathBuf,
    errand: Errand,
}

impl Numbering {
    pub fn begin(state: &Path) -> io::Result<Numbering> {
        let terms = Terms {
            user: None,
            time: LOOKING,
            answer: 8,
            is_alone: true,
        };
        let errand = Errand::begin(terms, || {
            let next = Generations::below(state).next(1);
            next.to_be_bytes().to_vec()
        })?;
        Ok(Numbering {
            state: state.to_path_buf(),
            errand,
        })
    }

    pub fn is_of(&self, state: &Path) -> bool {
        self.state == state
    }

    /// Somebody else collected a child that ended; true = it is this one.
    pub fn buried(&mut self, child: Pid, death: Death) -> bool {
        self.errand.buried(child, death)
    }

    /// At least this one; waits for what is left of the second since it was begun.
    pub fn next(self, least: u64) -> u64 {
        let answer = match self.errand.wait() {
            Returned::Answer(answer) => answer,
            _ => Vec::new(),
        };
        let next = answer.try_into().map(u64::from_be_bytes);
        next.unwrap_or(least).max(least)
    }
}
