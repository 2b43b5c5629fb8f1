//! What two masters say to each other when one takes over from the other (`mimicryd upgrade`), and what each knows of the other.
//!
//! The master in force starts the new program with a socket whose number stands in `MIMICRYD_UPGRADE`, and with the descriptors that
//! it is to have. Each of the two sends lines of JSON:
//!
//! 1. the old one its [`Estate`], before the new program begins
//! 2. the new one [`Word`]: its workers accept, or why it cannot; then it ends
//! 3. the old one its [`Legacy`]: from here on the new one is the master
//! 4. the new one [`Word`]: it has the pid file and the control socket
//! 5. the old one [`Legacy`] once more, at its end
//!
//! A socket that closes before the third line leaves the old one in force.
//!
//! Either side may be another version: what it does not know is skipped, what is missing has a default.
//!
//! Must never: act on what the other one said; or wait for a new program in the old master.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};
use nix::unistd::{Pid, dup2_stderr};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::prefork::exit::Exit;
use crate::prefork::listen::{Deed, Listener};
use crate::prefork::tally::{self, Register};
use crate::sys::entry::Id;
use crate::sys::{descriptors, poll};

/// Where a new program finds the number of its socket to the master before it.
pub const VARIABLE: &str = "MIMICRYD_UPGRADE";

/// The longest line: all mails that killed workers, and more.
const LINE: usize = 256 * 1024;

/// Of a text that somebody says.
const TEXT: usize = 16 * 1024;

/// The estate was sent before the program began.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the new master gets. The numbers are those of descriptors.
#[derive(Debug, Serialize, Deserialize)]
pub struct Estate {
    pub version: String,
    pub pid: i32,
    /// Of the configuration in force.
    pub generation: u64,
    /// Of the daemon, whichever master it had.
    pub age_seconds: u64,
    /// How often another master took over.
    pub upgrades: u64,
    pub config: PathBuf,
    /// The path by which the daemon was started.
    pub program: PathBuf,
    /// Where standard error went before it was replaced by a pipe.
    pub stderr: RawFd,
    pub pid_file: Named,
    pub control: Named,
    pub listeners: Vec<Let>,
    /// What metrics count.
    #[serde(default)]
    pub register: Option<tally::Deed>,
}

/// Something that stands under a path.
#[derive(Debug, Serialize, Deserialize)]
pub struct Named {
    pub descriptor: RawFd,
    pub path: PathBuf,
    #[serde(default)]
    pub file: Option<Id>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Let {
    pub descriptor: RawFd,
    pub deed: Deed,
}

/// What the new master says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Word {
    /// 0, or the exit status with which it ends.
    #[serde(default)]
    pub status: u8,
    #[serde(default)]
    pub version: String,
    /// Why it ends, in one line for the log, and all of it.
    #[serde(default)]
    pub line: String,
    #[serde(default)]
    pub text: String,
}

/// What was counted before.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Legacy {
    /// By the names of `mimicryd status`.
    #[serde(default)]
    pub totals: BTreeMap<String, u64>,
    #[serde(default)]
    pub deaths: u64,
    #[serde(default)]
    pub stuck: u64,
    /// The mails that killed workers, as the spool has them.
    #[serde(default)]
    pub poison: String,
}

/// One end of the socket between two masters. It does not block.
#[derive(Debug)]
pub struct Talk {
    stream: UnixStream,
    input: Vec<u8>,
}

/// What came.
#[derive(Debug)]
pub enum Heard<T> {
    Nothing,
    Said(T),
    /// The other end is closed, or speaks nonsense.
    Over,
}

impl Talk {
    pub fn new(stream: UnixStream) -> io::Result<Talk> {
        stream.set_nonblocking(true)?;
        Ok(Talk {
            stream,
            input: Vec::new(),
        })
    }

    pub fn send(&self, what: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(what)?;
        line.push(b'\n');
        // The other one reads, or is stuck: its socket takes so much in one piece.
        (&self.stream).write_all(&line)
    }

    /// The next line, if it is there.
    pub fn hear<T: DeserializeOwned>(&mut self) -> Heard<T> {
        let mut block = [0; 4096];
        loop {
            if let Some(end) = self.input.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                return serde_json::from_slice(&line).map_or(Heard::Over, Heard::Said);
            }
            if self.input.len() > LINE {
                return Heard::Over;
            }
            match (&self.stream).read(&mut block) {
                Ok(0) => return Heard::Over,
                Ok(count) => self
                    .input
                    .extend_from_slice(block.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Heard::Nothing,
                Err(_) => return Heard::Over,
            }
        }
    }

    fn wait<T: DeserializeOwned>(&mut self, patience: Duration) -> Option<T> {
        let deadline = Instant::now().checked_add(patience)?;
        loop {
            match self.hear() {
                Heard::Said(what) => return Some(what),
                Heard::Over => return None,
                Heard::Nothing if deadline <= Instant::now() => return None,
                Heard::Nothing => {
                    let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
                    poll::wait(&mut fds, Some(deadline)).ok()?;
                }
            }
        }
    }

    fn same(&self) -> io::Result<Talk> {
        Talk::new(self.stream.try_clone()?)
    }
}

impl AsFd for Talk {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// To whom a new master reports that its workers accept, or that they cannot.
#[derive(Debug)]
pub struct Reporter(Talk);

impl Reporter {
    pub fn tell(&self, status: Exit, line: &str, text: &str) {
        let word = Word {
            status: status.status(),
            version: env!("CARGO_PKG_VERSION").into(),
            line: cut(line).into(),
            text: cut(text).into(),
        };
        // A master that was killed needs no report.
        let _ = self.0.send(&word);
    }
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default()
}

/// The master before this one, as this one knows it.
#[derive(Debug)]
pub struct Predecessor {
    pub line: Talk,
    /// Of a process that lives as long as its end of the line is open.
    pub pid: Pid,
    pub version: String,
    pub generation: u64,
    pub age: Duration,
    pub upgrades: u64,
    pub config: PathBuf,
    pub program: PathBuf,
    pub pid_file: Option<(PathBuf, OwnedFd)>,
    pub control: Option<(PathBuf, Id, OwnedFd)>,
    pub listeners: Vec<Rc<Listener>>,
    /// `None` = it has none that this program understands, and metrics begin anew.
    pub register: Option<Register>,
    /// It is the master still.
    pub is_in_force: bool,
    /// Its end of the line closed while it was.
    pub is_gone: bool,
}

impl Predecessor {
    /// The master that started this process, if one did. To be called before anything is written to standard error.
    ///
    /// # Errors
    ///
    /// A sentence: what it handed over cannot be used. It knows already.
    pub fn of_this_process() -> Result<Option<Predecessor>, String> {
        let Some(descriptor) = descriptors::named_by(VARIABLE) else {
            return Ok(None);
        };
        let fault = |error: io::Error| format!("{VARIABLE} is set, but cannot be used: {error}");
        let stream = UnixStream::from(descriptor.map_err(fault)?);
        let mut line = Talk::new(stream).map_err(fault)?;
        let Some(estate) = line.wait::<Estate>(PATIENCE) else {
            return Err(fault(io::ErrorKind::UnexpectedEof.into()));
        };
        let reporter = Reporter(line.same().map_err(fault)?);
        let found = Predecessor::of(line, estate);
        found.map(Some).map_err(|error| {
            let why = fault(error);
            reporter.tell(Exit::System, &why, &why);
            why
        })
    }

    fn of(line: Talk, estate: Estate) -> io::Result<Predecessor> {
        let taken = descriptors::handed_over;
        dup2_stderr(taken(estate.stderr)?)?;
        let pid_file = (estate.pid_file.path, taken(estate.pid_file.descriptor)?);
        let control = match estate.control.file {
            Some(file) => Some((estate.control.path, file, taken(estate.control.descriptor)?)),
            None => None,
        };
        let listeners = estate.listeners.into_iter().map(|one| {
            let listener = Listener::of_deed(one.deed, taken(one.descriptor)?)?;
            Ok(Rc::new(listener))
        });
        Ok(Predecessor {
            line,
            pid: Pid::from_raw(estate.pid),
            version: estate.version,
            generation: estate.generation,
            age: Duration::from_secs(estate.age_seconds),
            upgrades: estate.upgrades,
            config: estate.config,
            program: estate.program,
            pid_file: Some(pid_file),
            control,
            listeners: listeners.collect::<io::Result<_>>()?,
            register: estate
                .register
                .and_then(|deed| Register::inherit(deed).ok()),
            is_in_force: true,
            is_gone: false,
        })
    }

    pub fn reporter(&self) -> io::Result<Reporter> {
        Ok(Reporter(self.line.same()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // T143
    #[test]
    fn lines_come_one_by_one_and_others_may_know_more() {
        let (here, there) = UnixStream::pair().unwrap();
        let mut line = Talk::new(here).unwrap();
        assert!(matches!(line.hear::<Word>(), Heard::Nothing));
        let mut raw = &there;
        raw.write_all(b"{\"status\":78,\"text\":\"no\",\"news\":[1]}\n{")
            .unwrap();
        let Heard::Said(word) = line.hear::<Word>() else {
            panic!("a line");
        };
        assert_eq!(
            (word.status, word.text.as_str(), word.version.as_str()),
            (78, "no", "")
        );
        assert!(matches!(line.hear::<Word>(), Heard::Nothing));
        raw.write_all(b"}\nnonsense\n").unwrap();
        assert!(matches!(line.hear::<Word>(), Heard::Said(word) if word.status == 0));
        assert!(matches!(line.hear::<Word>(), Heard::Over));
        drop(there);
        assert!(matches!(line.hear::<Word>(), Heard::Over));
    }

    // T143
    #[test]
    fn no_line_is_longer_than_it_may_be() {
        let (here, there) = UnixStream::pair().unwrap();
        let mut line = Talk::new(here).unwrap();
        there.set_nonblocking(true).unwrap();
        let mut raw = &there;
        let mut sent = 0;
        let block = [b'x'; 4096];
        loop {
            while let Ok(count) = raw.write(&block) {
                sent += count;
            }
            match line.hear::<Word>() {
                Heard::Nothing => assert!(sent < 2 * LINE, "{sent}"),
                Heard::Over => break,
                Heard::Said(word) => panic!("{word:?}"),
            }
        }
        assert!(line.input.len() <= LINE + 4096);
    }

    // T143
    #[test]
    fn a_report_is_cut_between_characters() {
        let (here, there) = UnixStream::pair().unwrap();
        let reporter = Reporter(Talk::new(here).unwrap());
        reporter.tell(Exit::Config, "", &format!("x{}", "ü".repeat(TEXT)));
        let mut line = Talk::new(there).unwrap();
        let Heard::Said(word) = line.hear::<Word>() else {
            panic!("a line");
        };
        assert_eq!(word.status, 78);
        assert_eq!(word.text.len(), TEXT - 1);
    }
}
