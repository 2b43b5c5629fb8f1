//! Processes: fork, limits, wait, exit, detach.
//!
//! Must never be used by a program that has started a thread: a fork would copy its locks in whatever state they are
//! in. [`fork`] checks.

use std::fs::{self, File};
use std::io::{self, Write};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{self, ForkResult, Pid};

use super::signals;

/// In which of the two processes a fork returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// With the new process's id.
    Parent(Pid),
    Child,
}

/// Forks. What stands in the buffers of standard output and error is written first, so that it is not written twice.
///
/// # Errors
///
/// Those of fork(2); and it refuses in a process that has threads.
pub fn fork() -> io::Result<Side> {
    if threads().is_some_and(|threads| threads > 1) {
        return Err(io::Error::other("a process with threads does not fork"));
    }
    // A closed standard output is no reason not to fork.
    let _ = io::stdout().flush();
    let _ = io::stderr().flush();
    // SAFETY: the process has one thread, so no lock is held by another one, and the child may go on as an ordinary
    // program.
    match unsafe { unistd::fork() }? {
        ForkResult::Parent { child } => Ok(Side::Parent(child)),
        ForkResult::Child => {
            ID.store(0, Ordering::Relaxed);
            Ok(Side::Child)
        }
    }
}

/// Of this process, once it was asked for; 0 = not yet.
static ID: AtomicU32 = AtomicU32::new(0);

/// The number of this process. Asked of the kernel once in each process: a line of the log needs it twice.
pub fn id() -> u32 {
    match ID.load(Ordering::Relaxed) {
        0 => {
            let id = std::process::id();
            ID.store(id, Ordering::Relaxed);
            id
        }
        id => id,
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    Exit(i32),
    /// The number of the signal; real-time signals are possible.
    Signal(i32),
}

impl Death {
    /// For the log: "exited with status 71" or "was killed by SIGSEGV".
    pub fn describe(self) -> String {
        match self {
            Death::Exit(status) => format!("exited with status {status}"),
            Death::Signal(number) => match Signal::try_from(number) {
                Ok(signal) => format!("was killed by {signal}"),
                Err(_) => format!("was killed by signal {number}"),
            },
        }
    }
}

/// Collects one child that has ended, whichever it is; `None` = none has. Never waits.
pub fn reap() -> Option<(Pid, Death)> {
    wait_for(-1, libc::WNOHANG)
}

/// Collects this child if it has ended. Never waits.
pub fn collect(child: Pid) -> Option<Death> {
    wait_for(child.as_raw(), libc::WNOHANG).map(|(_, death)| death)
}

/// Waits until this child has ended; `None` = it is no child of ours.
pub fn wait(child: Pid) -> Option<Death> {
    wait_for(child.as_raw(), 0).map(|(_, death)| death)
}

/// nix's own wait forgets which process it was when a real-time signal ended it.
fn wait_for(which: libc::pid_t, flags: libc::c_int) -> Option<(Pid, Death)> {
    loop {
        let mut status: libc::c_int = 0;
        // SAFETY: `status` is a valid place for one int and outlives the call.
        let pid = unsafe { libc::waitpid(which, &raw mut status, flags) };
        if pid == -1 && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted {
            continue;
        }
        if pid <= 0 {
            return None;
        }
        if libc::WIFEXITED(status) {
            return Some((Pid::from_raw(pid), Death::Exit(libc::WEXITSTATUS(status))));
        }
        if libc::WIFSIGNALED(status) {
            return Some((Pid::from_raw(pid), Death::Signal(libc::WTERMSIG(status))));
        }
        // Stopped or continued: only told to those who ask for it, but never a reason to give up on the others.
    }
}

/// Does this child of ours stand still now, because a signal stopped it? One that a debugger holds does not count.
pub fn is_stopped(child: Pid) -> bool {
    // It is looked at only: neither its stop nor its end is collected.
    let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    matches!(waitid(Id::Pid(child), flags), Ok(WaitStatus::Stopped(..)))
}

/// What a child may take of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of processor time.
    pub seconds: u64,
    /// Octets, beyond what it has already.
    pub memory: u64,
    /// Octets; less if this process has less than twice as much.
    pub stack: u64,
}

/// Puts a child under limits: beyond one of them the kernel ends it, without a word and without a core file. It ends with its parent,
/// too, and is heard only by the process at the other end of its own pipe.
pub fn confine(limits: &Limits) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    silence(false)?;
    // The runtime's own handler would write about an overflow.
    signals::default(&[Signal::SIGSEGV, Signal::SIGBUS])?;
    let (stack, most) = getrlimit(Resource::RLIMIT_STACK)?;
    limit(Resource::RLIMIT_STACK, limits.stack.min(stack / 2), most)?;
    limit(Resource::RLIMIT_CPU, limits.seconds, limits.seconds)?;
    bound_memory(limits.memory)?;
    let (_, most) = getrlimit(Resource::RLIMIT_CORE)?;
    limit(Resource::RLIMIT_CORE, 0, most)
}

/// Bounds the address space of this process to what it has already and so many octets more.
pub(super) fn bound_memory(beyond: u64) -> io::Result<()> {
    let has: u64 = stat_fields()
        .and_then(|fields| fields.get(20)?.parse().ok())
        .unwrap_or_default();
    let (_, most) = getrlimit(Resource::RLIMIT_AS)?;
    let most = has.saturating_add(beyond).min(most);
    limit(Resource::RLIMIT_AS, most, most)
}

/// A service manager may forbid the call; what is left then is that the parent waits no longer than it wants to.
pub(super) fn limit(what: Resource, soft: u64, hard: u64) -> io::Result<()> {
    match setrlimit(what, soft, hard) {
        Ok(()) | Err(Errno::EPERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The id of this process.
pub fn own_id() -> i32 {
    unistd::getpid().as_raw()
}

/// Ends this process at once: no destructor, no handler of atexit, no buffer is flushed. For children of a fork, whose
/// parent's destructors are not theirs to run.
pub fn exit_now(status: u8) -> ! {
    // SAFETY: _exit(2) may be called at any time and does not return.
    unsafe { libc::_exit(i32::from(status)) }
}

/// Makes this process the leader of a new session, without a terminal.
pub fn new_session() -> io::Result<()> {
    unistd::setsid()?;
    Ok(())
}

/// Connects standard input and output with /dev/null, and standard error too unless it is kept.
pub fn silence(keep_stderr: bool) -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    unistd::dup2_stdin(&null)?;
    unistd::dup2_stdout(&null)?;
    if !keep_stderr {
        unistd::dup2_stderr(&null)?;
    }
    Ok(())
}

/// The fields of /proc/self/stat after the command's name, starting with the state, which is field 3 of proc(5).
/// `None` = /proc is not there.
pub(super) fn stat_fields() -> Option<Vec<String>> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name may contain blanks and brackets; its own closing bracket is the last one.
    let (_, fields) = stat.rsplit_once(')')?;
    Some(fields.split_ascii_whitespace().map(String::from).collect())
}

/// Field 20 of proc(5).
fn threads() -> Option<u64> {
    stat_fields()?.get(17)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deaths_are_described() {
        for (death, text) in [
            (Death::Exit(71), "exited with status 71"),
            (Death::Signal(9), "was killed by SIGKILL"),
            (Death::Signal(11), "was killed by SIGSEGV"),
            (Death::Signal(40), "was killed by signal 40"),
        ] {
            assert_eq!(death.describe(), text);
        }
    }

    #[test]
    fn a_process_with_threads_does_not_fork() {
        // The thread waits until the attempt was made.
        let (send, receive) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || receive.recv());
        let refused = fork();
        assert_ne!(
            refused.as_ref().ok(),
            Some(&Side::Child),
            "this is a forked test"
        );
        assert_eq!(
            refused.unwrap_err().to_string(),
            "a process with threads does not fork"
        );
        drop(send);
        let _ = thread.join();
    }
}
