//! A listener on loopback that greets its client while the same thread waits for the greeting: for a library that
//! connects and waits for a greeting in one call, in a process with one thread that forks no child for it.
//!
//! The kernel signals the connection (SIGIO, fcntl(2) F_SETOWN_EX) to the thread that made the greeter, and the handler
//! accepts the connection, writes the prepared greeting and closes: calls that signal-safety(7) allows. Anybody else
//! who connects to that port meanwhile reads the same greeting.
//!
//! Must never: do more in the handler, or listen for longer than a [`Greeter`] lives.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::unistd::gettid;

use super::process::own_id;

/// What is said. Not longer than what one reading takes.
#[derive(Debug)]
pub struct Words(pub &'static [u8]);

/// Whose visitors the handler serves, and with which words.
static LISTENER: AtomicI32 = AtomicI32::new(NOBODY);
static WORDS: AtomicPtr<Words> = AtomicPtr::new(ptr::null_mut());
/// The visitor's connection stays open as long as the greeter: a socket whose other side has gone forgets who that was.
static VISITOR: AtomicI32 = AtomicI32::new(NOBODY);
const NOBODY: RawFd = -1;

/// One at a time. The daemon has one thread and never waits here; tests have many.
static TURN: Mutex<()> = Mutex::new(());

/// It listens as long as it lives.
#[derive(Debug)]
pub struct Greeter {
    listener: TcpListener,
    address: SocketAddr,
    _turn: MutexGuard<'static, ()>,
}

impl Greeter {
    pub fn new(words: &'static Words) -> io::Result<Greeter> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        handle()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        WORDS.store(ptr::from_ref(words).cast_mut(), Ordering::SeqCst);
        LISTENER.store(listener.as_raw_fd(), Ordering::SeqCst);
        // From here on dropping it undoes what was set.
        let greeter = Greeter {
            listener,
            address,
            _turn: turn,
        };
        signal_this_thread(greeter.listener.as_raw_fd())?;
        Ok(greeter)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Greeter {
    fn drop(&mut self) {
        LISTENER.store(NOBODY, Ordering::SeqCst);
        keep(NOBODY);
    }
}

/// Keeps this visitor's connection and closes the one before.
fn keep(visitor: RawFd) {
    let before = VISITOR.swap(visitor, Ordering::SeqCst);
    if before != NOBODY {
        // SAFETY: the handler made it, nobody else knows its number, and the swap gives it to one caller only.
        unsafe { libc::close(before) };
    }
}

/// Registers the handler, once for the process and those that it forks.
fn handle() -> io::Result<()> {
    static REGISTERED: OnceLock<()> = OnceLock::new();
    if REGISTERED.get().is_none() {
        // SAFETY: the action makes system calls that signal-safety(7) names, allocates nothing, takes no lock and does not unwind.
        unsafe { signal_hook::low_level::register(libc::SIGIO, greet) }?;
        let _ = REGISTERED.set(());
    }
    Ok(())
}

/// Runs inside the signal handler.
fn greet() {
    let before = Errno::last_raw();
    let listener = LISTENER.load(Ordering::SeqCst);
    // SAFETY: it is null or came from a `&'static Words`.
    let words = unsafe { WORDS.load(Ordering::SeqCst).as_ref() };
    if let (Some(words), true) = (words, listener != NOBODY) {
        loop {
            // SAFETY: accept4 takes any number, and null for an address that is not wanted.
            let visitor = unsafe {
                libc::accept4(
                    listener,
                    ptr::null_mut(),
                    ptr::null_mut(),
                    libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
                )
            };
            if visitor < 0 {
                break;
            }
            let Words(words) = words;
            // SAFETY: `words` is valid for its length; `visitor` was made just now.
            unsafe {
                libc::send(
                    visitor,
                    words.as_ptr().cast(),
                    words.len(),
                    libc::MSG_NOSIGNAL,
                );
            }
            keep(visitor);
        }
    }
    Errno::set_raw(before);
}

/// What happens on the descriptor is told to this thread by SIGIO.
fn signal_this_thread(descriptor: RawFd) -> io::Result<()> {
    /// fcntl(2); the libc crate has neither for glibc.
    #[repr(C)]
    struct Owner {
        kind: c_int,
        id: libc::pid_t,
    }
    const F_SETOWN_EX: c_int = 15;
    const F_OWNER_TID: c_int = 0;
    let owner = Owner {
        kind: F_OWNER_TID,
        id: gettid().as_raw(),
    };
    // SAFETY: `owner` has the layout of struct f_owner_ex and outlives the call.
    let told = Errno::result(unsafe { libc::fcntl(descriptor, F_SETOWN_EX, &raw const owner) });
    match told {
        // The sandbox of a worker, which has one thread, lets it name itself only, and as a process.
        Err(Errno::EPERM) => {
            // SAFETY: fcntl takes any number and touches no memory.
            Errno::result(unsafe { libc::fcntl(descriptor, libc::F_SETOWN, own_id()) })?
        }
        told => told?,
    };
    // SAFETY: fcntl takes any number and touches no memory.
    let flags = Errno::result(unsafe { libc::fcntl(descriptor, libc::F_GETFL) })?;
    // SAFETY: as above.
    Errno::result(unsafe { libc::fcntl(descriptor, libc::F_SETFL, flags | libc::O_ASYNC) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;

    static HELLO: Words = Words(b"hello\n");

    /// The thread that connects waits in a read, and is spoken to.
    #[test]
    fn t181_who_waits_is_spoken_to_by_his_own_thread() {
        for _ in 0..20 {
            let greeter = Greeter::new(&HELLO).unwrap();
            let mut visitor = TcpStream::connect(greeter.address()).unwrap();
            visitor
                .set_read_timeout(Some(Duration::from_secs(5)))
                .unwrap();
            let mut heard = [0; 6];
            visitor.read_exact(&mut heard).unwrap();
            assert_eq!(&heard, b"hello\n");
            // What the visitor says is of no interest and does no harm.
            visitor.write_all(b"and you?\n").unwrap();
        }
    }

    #[test]
    fn t181_nobody_listens_afterwards() {
        let address = Greeter::new(&HELLO).unwrap().address();
        assert!(TcpStream::connect(address).is_err());
    }
}
