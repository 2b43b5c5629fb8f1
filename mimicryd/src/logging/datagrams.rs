//! A socket for datagrams at a path, as syslog and the journal have one: connected again after a restart of the daemon behind it, and
//! never waited for.
//!
//! Must never: wait.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;

/// How long a connection that failed is left alone.
const RETRY: Duration = Duration::from_secs(1);

pub struct Datagrams {
    path: PathBuf,
    socket: Option<UnixDatagram>,
    /// No attempt to connect before.
    retry_at: Option<Instant>,
}

/// Why nobody takes datagrams at this path; `None` = somebody does, or it lies where this process may not look. Such a socket is
/// connected at once or not at all. `who` = such as "syslog".
pub fn missing(who: &str, path: &Path) -> Option<String> {
    let error = connect(path).err()?;
    let why = match Errno::from_raw(error.raw_os_error().unwrap_or_default()) {
        Errno::EACCES | Errno::EPERM => return None,
        Errno::EPROTOTYPE => "it is a stream socket, not one for datagrams".to_string(),
        _ => error.to_string(),
    };
    Some(format!(
        "no {who} takes the log at {}: {why}",
        path.display()
    ))
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect(path)?;
    Ok(socket)
}

impl Datagrams {
    pub fn to(path: &Path) -> Datagrams {
        Datagrams {
            path: path.to_path_buf(),
            socket: None,
            retry_at: None,
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sends one datagram. A socket that the daemon behind it has left is connected again, once.
    pub fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        let again = self.socket.is_some();
        match self.try_send(datagram) {
            Err(error) if again && error.kind() != io::ErrorKind::WouldBlock => {
                self.socket = None;
                self.try_send(datagram)
            }
            done => done,
        }
    }

    fn try_send(&mut self, datagram: &[u8]) -> io::Result<()> {
        if self.socket.is_none() {
            let now = Instant::now();
            if self.retry_at.is_some_and(|at| now < at) {
                return Err(io::ErrorKind::NotConnected.into());
            }
            self.retry_at = now.checked_add(RETRY);
            self.socket = Some(connect(&self.path)?);
        }
        match &self.socket {
            Some(socket) => socket.send(datagram).map(|_| ()),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// As if the time to leave it alone were over.
    #[cfg(test)]
    pub fn may_retry(&mut self) {
        self.retry_at = None;
    }
}
