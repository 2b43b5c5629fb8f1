//! The daemon of a demonstration: this program started as `run --foreground`, and stopped whatever happens.
//!
//! Its listening socket is bound here and handed over as systemd does it, so that no other program can take the port in
//! between. It ends with this process, even one that is killed, unless it is to be kept; and it is stopped when
//! its [`Running`] goes out of scope.
//!
//! Must never: leave the daemon running, except by [`Running::release`].
//!
//! Known limit: when it is to be kept and this process is killed by SIGKILL before the end, the daemon stays.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid, getppid};

use crate::prefork::exit::Exit;
use crate::sys::process::{self, Death, Side};
use crate::sys::signals::{self, Signals};
use crate::sys::{descriptors, poll};

/// What ends a demonstration from outside.
const ENDS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// How long the daemon may take to finish the mails in hand.
const PATIENCE: Duration = Duration::from_secs(10);

/// A socket on a free port that nobody reads from yet.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    pub address: SocketAddr,
}

impl Door {
    pub fn open() -> io::Result<Door> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        Ok(Door { listener, address })
    }
}

/// A daemon that runs.
#[derive(Debug)]
pub struct Running {
    pid: Pid,
    signals: Signals,
    is_interrupted: bool,
    has_ended: bool,
}

impl Running {
    /// `errors` is the file for what it writes to standard error. `name` is the listener that gets the socket.
    pub fn start(
        config: &Path,
        door: Door,
        name: &str,
        errors: &Path,
        keep: bool,
    ) -> io::Result<Running> {
        let errors = File::create(errors)?;
        let program = std::env::current_exe()?;
        let mut command = Command::new(program);
        command
            .args(["run", "--foreground", "-c"])
            .arg(config)
            .env("LISTEN_FDS", "1")
            .env("LISTEN_FDNAMES", name)
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors.try_clone()?);
        let mut handled = ENDS.to_vec();
        handled.push(Signal::SIGCHLD);
        let signals = Signals::new(&handled)?;
        let demo = getpid();
        match process::fork()? {
            Side::Parent(pid) => Ok(Running {
                pid,
                signals,
                is_interrupted: false,
                has_ended: false,
            }),
            Side::Child => {
                let error = become_daemon(command, door.listener.into(), demo, keep);
                let _ = io::Write::write_all(&mut &errors, format!("{error}\n").as_bytes());
                process::exit_now(Exit::System.status())
            }
        }
    }

    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Did a signal come that ends this process?
    pub fn is_interrupted(&mut self) -> bool {
        self.note_signals();
        self.is_interrupted
    }

    /// How the daemon ended, if it does within that time.
    pub fn death(&mut self, within: Duration) -> Option<Death> {
        let deadline = Instant::now().checked_add(within);
        loop {
            if let Some((_, death)) = process::reap() {
                self.has_ended = true;
                return Some(death);
            }
            if deadline.is_none_or(|deadline| deadline <= Instant::now()) {
                return None;
            }
            let mut fds = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            poll::wait(&mut fds, deadline).ok()?;
            self.note_signals();
        }
    }

    /// Stops the daemon and waits until it is gone; `None` = it has been gone before.
    pub fn stop(&mut self) -> Option<Death> {
        if self.has_ended {
            return None;
        }
        // It is our child and not collected yet, so the process id is no other's.
        let _ = kill(self.pid, Signal::SIGTERM);
        if let Some(death) = self.death(PATIENCE) {
            return Some(death);
        }
        let _ = kill(self.pid, Signal::SIGKILL);
        self.has_ended = true;
        process::wait(self.pid)
    }

    fn note_signals(&mut self) {
        let came = self.signals.take();
        self.is_interrupted |= came.iter().any(|signal| ENDS.contains(signal));
    }

    /// Lets the daemon run on without this process, unless a signal came that ends the demonstration.
    pub fn release(mut self) -> Exit {
        if self.is_interrupted() {
            return Exit::Unavailable;
        }
        self.has_ended = true;
        Exit::Ok
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// In the child: becomes the daemon. Returns only when that fails.
fn become_daemon(mut command: Command, socket: OwnedFd, demo: Pid, keep: bool) -> io::Error {
    let prepare = || {
        signals::default(&ENDS)?;
        if keep {
            // Neither the terminal's ^C nor its end is for a daemon that goes on.
            process::new_session()?;
        } else {
            prctl::set_pdeathsig(Signal::SIGTERM)?;
            if getppid() != demo {
                return Err(io::Error::other("the demonstration has ended"));
            }
        }
        descriptors::hand_over(socket)
    };
    match prepare() {
        Ok(()) => command
            .env("LISTEN_PID", std::process::id().to_string())
            .exec(),
        Err(error) => error,
    }
}
