//! How the master is run, how it ends, and whom it tells.

#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use nix::sys::signal::Signal;
use sd_notify::NotifyState;

use crate::prefork::contract::Refused;
use crate::prefork::exit::Exit;

use super::handover::Predecessor;

/// The signals that the master answers to.
pub const HANDLED: [Signal; 9] = [
    Signal::SIGCHLD,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
];

/// How to run.
#[derive(Debug, Default)]
pub struct Options {
    /// Stay in the foreground, with standard input and output as they are.
    pub foreground: bool,
    /// Is told on what workers accept, once they do.
    pub tell: Option<fn(&[String])>,
    /// The master that started this process to be followed by it.
    pub predecessor: Option<Predecessor>,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The exit status of the program.
    pub status: Exit,
    /// What to print on standard error, if anything.
    pub message: Option<String>,
}

/// Tells the service manager, if there is one.
pub fn notify(states: &[NotifyState<'_>]) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    if let Err(error) = tell_manager(&path, states) {
        log::debug!("the service manager cannot be told: {error}");
    }
}

/// Says it on the notification socket (sd_notify(3)); a service manager that does not read is waited for a moment, not for ever.
fn tell_manager(path: &OsStr, states: &[NotifyState<'_>]) -> io::Result<()> {
    let text: String = states.iter().map(|state| format!("{state}\n")).collect();
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(Duration::from_millis(500)))?;
    let address = match path.as_bytes().split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(path)?,
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

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Refused {
        Refused {
            line: failure.message.clone(),
            text: failure.message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // T143
    #[test]
    fn the_service_manager_is_told_on_both_kinds_of_sockets() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("notify");
        let name = format!("mimicry-notify-{}", std::process::id());
        let hidden = SocketAddr::from_abstract_name(&name).unwrap();
        for (socket, address) in [
            (UnixDatagram::bind(&path).unwrap(), path.into_os_string()),
            (
                UnixDatagram::bind_addr(&hidden).unwrap(),
                format!("@{name}").into(),
            ),
        ] {
            tell_manager(&address, &[NotifyState::MainPid(7), NotifyState::Ready]).unwrap();
            let mut octets = [0; 100];
            let count = socket.recv(&mut octets).unwrap();
            // One message: who is the main process is believed before the rest is.
            assert_eq!(&octets[..count], b"MAINPID=7\nREADY=1\n");
        }
    }
}
