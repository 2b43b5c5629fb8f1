//! How this process was started, and another one started in the same way: the same path looked up anew, the same arguments,
//! environment and working directory.
//!
//! Must never: start what stands behind `/proc/self/exe`, which after an upgrade of the package is the old program, deleted.

#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::fs;
use std::io::{self, PipeWriter, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use nix::unistd::{Pid, dup2_stderr, execve};

use super::entry::Entry;
use super::process::{self, Side};
use super::{descriptors, signals};

/// What the service manager handed over belongs to this process id alone.
const OF_ONE_PROCESS: [&str; 3] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];

/// The exit status of a child that could not become the program, as of a shell.
const NOT_STARTED: u8 = 127;

/// How a process was started.
#[derive(Clone, Debug)]
pub struct Start {
    /// Absolute, and as it was written: a link in it is followed anew each time.
    pub program: PathBuf,
    /// The first is the name that the program was called by.
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: PathBuf,
}

/// What a process that is started has beyond the [`Start`].
pub struct With<'w> {
    /// Open for it, with the same numbers.
    pub descriptors: &'w [BorrowedFd<'w>],
    /// One more variable.
    pub variable: (&'w str, String),
    /// Its standard error.
    pub errors: PipeWriter,
    /// Is it to be the leader of a session of its own.
    pub own_session: bool,
    /// What this process handles.
    pub handled: &'w [Signal],
}

impl Start {
    /// Of this process. To be called early: the arguments are overwritten by a title, and the working directory is left.
    pub fn of_this_process() -> Start {
        let directory = env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        let arguments: Vec<OsString> = env::args_os().collect();
        let own = fs::metadata("/proc/self/exe").map(|own| (own.dev(), own.ino()));
        let is_own = |path: &Path| {
            let there = fs::metadata(path).map(|there| (there.dev(), there.ino()));
            own.as_ref()
                .is_ok_and(|own| there.is_ok_and(|there| there == *own))
        };
        let called = arguments
            .first()
            .map_or(OsStr::new(""), OsString::as_os_str);
        let search = env::var_os("PATH");
        let program = written(called, search.as_deref(), &directory, is_own)
            // It was called by another name.
            .or_else(|| env::current_exe().ok())
            .unwrap_or_else(|| directory.join(called));
        let is_kept = |(name, _): &(OsString, OsString)| {
            !OF_ONE_PROCESS
                .iter()
                .any(|other| name.as_os_str() == *other)
        };
        Start {
            program,
            environment: env::vars_os().filter(is_kept).collect(),
            arguments,
            directory,
        }
    }

    /// Starts it once more as a child. What then cannot be done is said on its standard error, and it ends with 127.
    ///
    /// # Errors
    ///
    /// Those of fork(2); and it is refused if somebody else could put another program there.
    pub fn launch(&self, with: With<'_>) -> io::Result<Pid> {
        if let Some(exposed) = Entry::of(&self.program)?.exposed() {
            // It would be run with the rights of this process.
            return Err(io::Error::other(exposed));
        }
        let before = signals::block_all()?;
        match process::fork() {
            Ok(Side::Child) => {
                let mut said = with.errors.try_clone();
                let error = self.become_it(with);
                if let Ok(said) = &mut said {
                    let _ = said.write_all(format!("cannot be started: {error}\n").as_bytes());
                }
                process::exit_now(NOT_STARTED)
            }
            Ok(Side::Parent(child)) => {
                signals::restore(&before)?;
                Ok(child)
            }
            Err(error) => {
                signals::restore(&before)?;
                Err(error)
            }
        }
    }

    /// In the child. Returns only when that fails.
    fn become_it(&self, with: With<'_>) -> io::Error {
        let prepare = || {
            // None of the parent's handlers may run here.
            signals::default(with.handled)?;
            signals::unblock_all()?;
            if with.own_session {
                process::new_session()?;
            }
            with.descriptors
                .iter()
                .try_for_each(|one| descriptors::keep_over_exec(*one))
        };
        if let Err(error) = prepare() {
            return error;
        }
        if env::set_current_dir(&self.directory).is_err() {
            // It is gone. Whoever names no file relative to it needs none.
            let _ = env::set_current_dir("/");
        }
        match self.exec(with.variable, with.errors) {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    /// Not by execvp(3), which would have a shell read a program that is broken.
    fn exec(&self, variable: (&str, String), errors: PipeWriter) -> io::Result<Infallible> {
        let text = |what: &OsStr| CString::new(what.as_bytes()).map_err(io::Error::from);
        let arguments = self.arguments.iter().map(|one| text(one));
        let arguments = arguments.collect::<io::Result<Vec<_>>>()?;
        let (name, value) = (OsString::from(variable.0), OsString::from(variable.1));
        let one_more = (name, value);
        let environment = self.environment.iter().chain(Some(&one_more));
        let pair = |(name, value): &(OsString, OsString)| {
            let mut pair = name.clone();
            pair.push("=");
            pair.push(value);
            text(&pair)
        };
        let environment = environment.map(pair).collect::<io::Result<Vec<_>>>()?;
        dup2_stderr(&errors)?;
        Ok(execve(
            &text(self.program.as_os_str())?,
            &arguments,
            &environment,
        )?)
    }
}

/// The path by which a program was called, made absolute, if this program is what stands there.
fn written(
    called: &OsStr,
    search: Option<&OsStr>,
    directory: &Path,
    is_own: impl Fn(&Path) -> bool,
) -> Option<PathBuf> {
    if called.as_bytes().contains(&b'/') {
        let path = directory.join(called);
        return is_own(&path).then_some(path);
    }
    if called.is_empty() {
        return None;
    }
    env::split_paths(search?)
        .map(|place| directory.join(place).join(called))
        .find(|path| is_own(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    // T143
    #[test]
    fn the_path_is_the_one_that_was_written() {
        let here = Path::new("/home/anna");
        let search = OsStr::new("/usr/sbin:bin:/sbin");
        for (called, own, expected) in [
            (
                "/usr/sbin/mimicryd",
                "/usr/sbin/mimicryd",
                Some("/usr/sbin/mimicryd"),
            ),
            (
                "./mimicryd",
                "/home/anna/./mimicryd",
                Some("/home/anna/./mimicryd"),
            ),
            ("mimicryd", "/usr/sbin/mimicryd", Some("/usr/sbin/mimicryd")),
            (
                "mimicryd",
                "/home/anna/bin/mimicryd",
                Some("/home/anna/bin/mimicryd"),
            ),
            // Not where a shell would look.
            ("mimicryd", "/opt/mimicryd", None),
            // Another name, and nobody to say where.
            ("/usr/sbin/other", "/usr/sbin/mimicryd", None),
            ("", "/usr/sbin/mimicryd", None),
        ] {
            let is_own = |path: &Path| path.as_os_str() == own;
            let found = written(OsStr::new(called), Some(search), here, is_own);
            assert_eq!(found.as_deref(), expected.map(Path::new), "{called} {own}");
        }
    }
}
