//! What the master needs of the program around it, and what it says when it ends.

#![forbid(unsafe_code)]

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mimicry_core::config::Config;
use sd_notify::NotifyState;

use crate::exit::Exit;
use crate::loading::{Rejected, Trial, Verdict};
use crate::worker::Serve;

use super::scoreboard::Slot;

/// Makes, in a new worker, what serves its connections; an error ends the worker, and is its reason.
pub type ServeFactory = Rc<dyn Fn(&Slot) -> Result<Box<dyn Serve>, String>>;

/// What the master needs of the program around it.
pub trait Program {
    /// Has a child load the configuration from its file.
    fn begin(&self) -> Result<Trial, Refused>;

    /// Makes the configuration that the child has found to be right. Called in the master.
    fn finish(&self, verdict: Verdict) -> Result<Arc<Config>, Refused>;

    /// Both, waiting for the child.
    fn load(&self) -> Result<Arc<Config>, Refused> {
        self.finish(self.begin()?.wait())
    }

    /// Reads what workers of this configuration need and may not read themselves, such as secrets. Called in the master,
    /// with its privileges, before the fork; an error refuses the configuration.
    fn prepare(&self, config: &Arc<Config>) -> Result<ServeFactory, String>;

    /// This configuration is in force from now on: the log goes where it says. Called in the master, at the start before
    /// anything else.
    fn adopt(&self, config: &Config);

    /// Opens the log anew. Called in master and workers.
    fn reopen_log(&self);

    /// This process is a new worker of this configuration, which may not be in force yet: its log goes where the configuration
    /// says. Called before anything else there, with the master's privileges and all signals blocked.
    fn born(&self, config: &Config);
}

/// Why a configuration is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The first mistake, in one line for the log.
    pub line: String,
    /// All of them, for whoever asked.
    pub text: String,
}

impl From<Rejected> for Refused {
    fn from(rejected: Rejected) -> Refused {
        Refused {
            line: rejected.line,
            text: rejected.plain,
        }
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Refused {
        Refused {
            line: failure.message.clone(),
            text: failure.message,
        }
    }
}

/// How to run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Stay in the foreground, with standard input and output as they are.
    pub foreground: bool,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The exit status of the program.
    pub status: Exit,
    /// What to print on standard error, if anything.
    pub message: Option<String>,
}

/// Says it on the notification socket (sd_notify(3)); a service manager that does not read is waited for a moment, not for ever.
pub fn tell_manager(states: &[NotifyState<'_>]) -> io::Result<()> {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
        return Ok(());
    };
    let text: String = states.iter().map(|state| format!("{state}\n")).collect();
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(Duration::from_millis(500)))?;
    let address = match path.as_bytes().split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(&path)?,
    };
    socket.send_to_addr(text.as_bytes(), &address)?;
    Ok(())
}

/// Does what the master must survive: `None` = it panicked, and what it was to bring about is not done.
pub fn survived<T>(act: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(act)).ok()
}

/// Why the daemon or a configuration cannot start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub status: Exit,
    pub message: String,
}

impl Failure {
    pub fn new(status: Exit, message: impl Into<String>) -> Failure {
        Failure {
            status,
            message: message.into(),
        }
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Ended {
        Ended {
            status: failure.status,
            message: Some(failure.message),
        }
    }
}
