//! What a command has to say, and how the process then ends.
//!
//! Must never: print; [`super::main`] does.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use super::demo::Running;
use crate::prefork::exit::Exit;
use crate::sys::entry::Entry;

/// What a command has to say.
#[derive(Debug)]
pub struct Output {
    pub out: Vec<u8>,
    /// Written first, so that it stands above on a terminal.
    pub err: String,
    pub exit: Exit,
    /// Is the work done only when all of `out` has been read; else a reader that has seen enough is no failure.
    pub must_arrive: bool,
    /// What has to be asked before anything is done.
    pub question: Option<Box<Question>>,
    /// A daemon that goes on if `out` has been read; else it is stopped, for nobody would know of it.
    pub running: Option<Box<Running>>,
}

impl Output {
    pub fn text(out: String) -> Output {
        Output {
            out: out.into_bytes(),
            err: String::new(),
            exit: Exit::Ok,
            must_arrive: false,
            question: None,
            running: None,
        }
    }

    /// Nothing yet.
    pub fn question(question: Question) -> Output {
        Output {
            question: Some(Box::new(question)),
            ..Output::text(String::new())
        }
    }

    /// Nothing but a reason on standard error.
    pub fn failure(exit: Exit, reason: impl std::fmt::Display) -> Output {
        Output {
            err: format!("mimicryd: {reason}\n"),
            exit,
            ..Output::text(String::new())
        }
    }
}

/// Writes a file that somebody named, whole. A device or a pipe is written to and not replaced, and a link stays one.
pub fn write_file(path: &Path, octets: &[u8], mode: u32) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    if fs::metadata(&path).is_ok_and(|facts| !facts.is_file()) {
        return fs::OpenOptions::new()
            .write(true)
            .open(&path)?
            .write_all(octets);
    }
    let path = fs::canonicalize(&path).unwrap_or(path);
    Entry::of(&path)?.write_whole(octets, mode, true)
}

/// A question that somebody at a terminal answers with yes or no.
pub struct Question {
    pub text: String,
    /// The option that makes it needless.
    pub without: String,
    /// What a yes brings about.
    pub yes: Box<dyn FnOnce() -> Result<Output, Output>>,
}

impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.text)
    }
}
