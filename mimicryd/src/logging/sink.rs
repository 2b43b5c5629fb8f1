//! Where lines of the log go: standard error, a file, or syslog.
//!
//! Must never: wait. What does not go out at once is an error, and the line is still the caller's.

use std::fs::File;
use std::io::{self, Stderr, Write};
use std::path::{Path, PathBuf};

use log::Level;
use mimicry_core::settings;
use nix::fcntl::OFlag;
use nix::unistd::{Gid, Uid};

use crate::sys::entry::Entry;
use crate::sys::outlet::{ATOMIC, Outlet};
use crate::sys::{privileges, process};

use super::journal::Journal;
use super::line;
use super::syslog::{self, Syslog};

/// Octets of one line at most in a file or on stderr, less the time before it. syslog and a pipe have limits of their own.
pub const MAX_LINE: usize = 8192;

/// Octets that the time, the process and the end of the line take at most.
const AROUND: usize = 96;

/// Whom a file belongs to that root makes.
pub type Owner = Option<(Uid, Gid)>;

pub enum Sink {
    /// With `<N>` before each line, the severity as journald reads it.
    Marked(Outlet<Stderr>),
    Stderr(Outlet<Stderr>),
    File {
        path: PathBuf,
        file: File,
        owner: Owner,
    },
    Syslog(Syslog),
    Journal(Journal),
}

impl Sink {
    pub fn open(config: &settings::Log, owner: Owner) -> io::Result<Sink> {
        Ok(match &config.target {
            settings::LogTarget::Stderr => Sink::stderr(),
            settings::LogTarget::File(path) => Sink::File {
                path: path.clone(),
                file: open_file(path, owner)?,
                owner,
            },
            settings::LogTarget::Syslog(path) => Sink::Syslog(Syslog::new(path.as_deref(), config)),
            settings::LogTarget::Journal(path) => {
                Sink::Journal(Journal::new(path.as_deref(), config.facility.number()))
            }
        })
    }

    pub fn stderr() -> Sink {
        let outlet = Outlet::of(io::stderr());
        // systemd sets it when stderr is the journal.
        if std::env::var_os("JOURNAL_STREAM").is_some() {
            Sink::Marked(outlet)
        } else {
            Sink::Stderr(outlet)
        }
    }

    /// Opens a file anew.
    pub fn reopen(&mut self) -> io::Result<()> {
        if let Sink::File { path, file, owner } = self {
            *file = open_file(path, *owner)?;
        }
        Ok(())
    }

    /// For messages.
    pub fn name(&self) -> String {
        match self {
            Sink::Marked(_) | Sink::Stderr(_) => "stderr".into(),
            Sink::File { path, .. } => format!("file:{}", path.display()),
            Sink::Syslog(syslog) => format!("syslog:{}", syslog.path().display()),
            Sink::Journal(journal) => format!("journal:{}", journal.path().display()),
        }
    }

    /// The time, where nobody else writes it.
    pub fn prefix(&self) -> String {
        match self {
            Sink::Stderr(_) | Sink::File { .. } => {
                format!("{} mimicryd[{}]: ", line::now(), process::id())
            }
            Sink::Marked(_) | Sink::Syslog(_) | Sink::Journal(_) => String::new(),
        }
    }

    /// Octets of a line at most, less what the sink puts before it. A pipe takes no more than this whole: a longer line
    /// could be cut, or mixed with that of another process.
    pub fn room(&self) -> usize {
        match self {
            Sink::Marked(outlet) | Sink::Stderr(outlet) if outlet.is_pipe() => {
                ATOMIC.saturating_sub(AROUND)
            }
            Sink::Marked(_) | Sink::Stderr(_) | Sink::File { .. } | Sink::Journal(_) => MAX_LINE,
            Sink::Syslog(syslog) => syslog.room(),
        }
    }

    /// The octets to be written for a line.
    pub fn form(&mut self, level: Level, line: &str) -> io::Result<Vec<u8>> {
        Ok(match self {
            Sink::Stderr(_) | Sink::File { .. } => format!("{line}\n").into_bytes(),
            Sink::Marked(_) => format!("<{}>{line}\n", syslog::severity(level) as u8).into_bytes(),
            Sink::Syslog(syslog) => syslog.datagram(level, line)?,
            Sink::Journal(journal) => journal.datagram(level, line),
        })
    }

    /// Are lines written one after the other, so that one could be cut.
    pub fn is_stream(&self) -> bool {
        !matches!(self, Sink::Syslog(_) | Sink::Journal(_))
    }

    /// Writes them in one call, so that lines of several processes do not mix; says how many went out.
    pub fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Sink::Stderr(outlet) | Sink::Marked(outlet) => outlet.write(octets),
            // It was opened so that it does not block.
            Sink::File { file, .. } => file.write(octets),
            Sink::Syslog(syslog) => syslog.send(octets).map(|()| octets.len()),
            Sink::Journal(journal) => journal.send(octets).map(|()| octets.len()),
        }
    }
}

/// The directory may be the workers', who could put a link there.
fn open_file(path: &Path, owner: Owner) -> io::Result<File> {
    privileges::or_in_the_name_of(owner, || {
        Entry::of(path)?.open_or_make(OFlag::O_WRONLY | OFlag::O_APPEND, 0o640)
    })
}
