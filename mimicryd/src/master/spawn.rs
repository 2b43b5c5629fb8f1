//! Birth of a worker: the fork, and what the child takes along.
//!
//! The child gets a [`Birth`] and nothing else. Everything that belongs to the master alone is owned by the master and is
//! closed when the child drops it.

#![forbid(unsafe_code)]

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use mimicry_core::config::Config;
use nix::unistd::Pid;

use crate::sys::privileges::Identity;
use crate::sys::process::{self, Side};
use crate::sys::{descriptors, signals};

use super::generation::Generation;
use super::listen::Listener;
use super::pool::{self, Action, Loudness};
use super::scoreboard::Slot;
use super::{Program, ServeFactory};

/// The longest complaint of a worker that is read.
const COMPLAINT: usize = 400;

/// What a worker is born with. All signals are blocked.
pub struct Birth {
    pub generation: u64,
    pub config: Arc<Config>,
    pub factory: ServeFactory,
    pub program: Rc<dyn Program>,
    /// Whom to become; `None` = stay who we are.
    pub identity: Option<Identity>,
    /// In the order of the configuration.
    pub listeners: Vec<Rc<Listener>>,
    pub slot: Slot,
    pub ends: Rc<Ends>,
}

/// The workers' ends of the pipes that they share.
#[derive(Debug)]
pub struct Ends {
    life: PipeReader,
    nudge: PipeWriter,
}

/// The master's ends.
#[derive(Debug)]
pub struct Pipes {
    /// Never written to. With the master it closes, and the workers read the end of file.
    _life: PipeWriter,
    /// Workers that want to be looked at.
    nudges: PipeReader,
}

/// A worker, as the master knows it.
#[derive(Debug)]
pub struct Child {
    pub pid: Pid,
    /// Its index in the scoreboard.
    pub index: usize,
    pub slot: Slot,
    pub told: Told,
}

/// What a worker was told, from the least to the most urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    Nothing,
    Retire,
    Drain,
    Quit,
    Kill,
}

/// Makes the pipes between the master and all of its workers.
pub fn pipes() -> io::Result<(Pipes, Rc<Ends>)> {
    let (life, _life) = io::pipe()?;
    let (nudges, nudge) = io::pipe()?;
    descriptors::set_nonblocking(&nudges)?;
    descriptors::set_nonblocking(&nudge)?;
    Ok((Pipes { _life, nudges }, Rc::new(Ends { life, nudge })))
}

/// Decides how many workers a generation should have, and sees to it. In a new worker the result is its birth.
pub fn tend(
    generation: &mut Generation,
    ends: &Rc<Ends>,
    program: &Rc<dyn Program>,
    now: Instant,
) -> Option<Birth> {
    let facts = generation.facts(now);
    for action in pool::decide(&facts) {
        match action {
            Action::Retire(number) => generation.retire_idle(number),
            Action::Spawn(number) => {
                for _ in 0..number {
                    match spawn(generation, ends, program) {
                        Ok(Some(birth)) => return Some(birth),
                        Ok(None) => generation.throttle.forked(),
                        Err(error) => {
                            if generation.throttle.fork_failed(now) != Loudness::Silent {
                                log::error!("cannot fork a worker: {error}");
                            }
                            generation.complaint = Some(format!("fork: {error}"));
                            break;
                        }
                    }
                }
            }
        }
    }
    if facts.may_spawn {
        generation.crashed = 0;
    }
    let facts = generation.facts(now);
    generation.board.set_nudge_below(facts.nudge_below());
    None
}

/// Forks one worker. In the master the result is `None`, in the worker its birth.
fn spawn(
    generation: &mut Generation,
    ends: &Rc<Ends>,
    program: &Rc<dyn Program>,
) -> io::Result<Option<Birth>> {
    let Some((index, slot)) = generation.free_slot() else {
        return Ok(None);
    };
    slot.clear();
    let before = signals::block_all()?;
    match process::fork() {
        Ok(Side::Child) => Ok(Some(Birth {
            generation: generation.number,
            config: Arc::clone(&generation.config),
            factory: Rc::clone(&generation.factory),
            program: Rc::clone(program),
            identity: generation.identity.clone(),
            listeners: generation.listeners.clone(),
            slot,
            ends: Rc::clone(ends),
        })),
        Ok(Side::Parent(pid)) => {
            signals::restore(&before)?;
            generation.children.push(Child {
                pid,
                index,
                slot,
                told: Told::Nothing,
            });
            Ok(None)
        }
        Err(error) => {
            signals::restore(&before)?;
            Err(error)
        }
    }
}

impl Ends {
    /// Readable (its end of file) when the master is dead.
    pub fn life(&self) -> impl AsFd {
        self.life.as_fd()
    }

    /// Wakes the master. If the pipe is full it is awake anyway.
    pub fn nudge(&self) {
        let _ = (&self.nudge).write(b"\n");
    }

    /// Tells the master why this worker ends. One line, cut to a size that a pipe takes in one piece.
    pub fn complain(&self, why: &str) {
        let clean = |sign: char| if sign.is_control() { ' ' } else { sign };
        let mut line: String = why.chars().map(clean).take(COMPLAINT / 4).collect();
        line.push('\n');
        let _ = (&self.nudge).write(line.as_bytes());
    }
}

impl Pipes {
    /// Empties the pipe of nudges. Returns the last complaint in it.
    pub fn take_nudges(&self) -> Option<String> {
        let mut octets = [0; 4096];
        let count = (&self.nudges).read(&mut octets).unwrap_or(0);
        let text = String::from_utf8_lossy(octets.get(..count).unwrap_or_default());
        let complaint = text.lines().rfind(|line| !line.is_empty())?;
        // A worker may be anybody's by then.
        let clean = |sign: char| if sign.is_control() { ' ' } else { sign };
        Some(complaint.chars().map(clean).take(COMPLAINT).collect())
    }

    pub fn nudges(&self) -> impl AsFd {
        self.nudges.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nudges_and_complaints() {
        let (pipes, ends) = pipes().unwrap();
        assert_eq!(pipes.take_nudges(), None);
        ends.nudge();
        ends.nudge();
        assert_eq!(pipes.take_nudges(), None);
        ends.nudge();
        ends.complain("no such\nuser\x1b[1m");
        ends.nudge();
        assert_eq!(pipes.take_nudges().as_deref(), Some("no such user [1m"));
        assert_eq!(pipes.take_nudges(), None);
        ends.complain(&"ü".repeat(10_000));
        let complaint = pipes.take_nudges().unwrap();
        assert_eq!(complaint, "ü".repeat(COMPLAINT / 4));
    }

    #[test]
    fn a_full_pipe_does_not_block() {
        let (pipes, ends) = pipes().unwrap();
        for _ in 0..100_000 {
            ends.nudge();
        }
        assert_eq!(pipes.take_nudges(), None);
    }
}
