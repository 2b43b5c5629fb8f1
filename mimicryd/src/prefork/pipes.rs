//! The pipes between the master and all of its workers: the master's death is seen at one, workers are heard at the other.
//!
//! Must never: block, or hand on what a worker wrote as it is.

#![forbid(unsafe_code)]

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::rc::Rc;

use crate::sys::descriptors;

/// The longest complaint of a worker that is read.
const COMPLAINT: usize = 400;

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

/// Makes the pipes between the master and all of its workers.
pub fn pipes() -> io::Result<(Pipes, Rc<Ends>)> {
    let (life, _life) = io::pipe()?;
    let (nudges, nudge) = io::pipe()?;
    descriptors::set_nonblocking(&nudges)?;
    descriptors::set_nonblocking(&nudge)?;
    Ok((Pipes { _life, nudges }, Rc::new(Ends { life, nudge })))
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
