//! Signals as a descriptor to poll: the handler notes which signal came and writes one octet into a socket pair.
//!
//! A forked child inherits the handlers together with the parent's socket pair, so that a signal to the child would
//! wake the parent. Around a fork all signals are therefore blocked; the child drops the parent's [`Signals`], makes its
//! own, and only then unblocks.
//!
//! Must never do more in a handler than set a flag and write an octet.
//!
//! Known limit: several signals of one kind between two checks count as one.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::libc::c_int;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal};
use signal_hook::SigId;
use signal_hook::low_level;

/// Which signals came since the last look, by number. One array for the process, as handlers are the process's too.
static RAISED: [AtomicBool; 32] = [const { AtomicBool::new(false) }; 32];

/// The signals that this process handles. At most one of these lives at a time.
#[derive(Debug)]
pub struct Signals {
    watched: Vec<Signal>,
    actions: Vec<SigId>,
    pipe: UnixStream,
}

impl Signals {
    /// Handles these signals from now on.
    pub fn new(watched: &[Signal]) -> io::Result<Signals> {
        let (pipe, end) = UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        let mut signals = Signals {
            watched: watched.to_vec(),
            actions: Vec::new(),
            pipe,
        };
        for &signal in watched {
            let number = signal as c_int;
            if let Some(flag) = flag(signal) {
                // A flag that the parent of a fork has not looked at is none of ours.
                flag.store(false, Ordering::SeqCst);
                // The flag first: whoever the octet wakes finds it set.
                let id = signal_hook::flag::register(number, flag)?;
                signals.actions.push(id);
                let id = low_level::pipe::register(number, end.try_clone()?)?;
                signals.actions.push(id);
            }
        }
        Ok(signals)
    }

    /// The signals that came since the last call, in the order in which they were named to [`Signals::new`].
    pub fn take(&self) -> Vec<Signal> {
        // The pipe first: a signal that comes in between makes it readable again.
        let mut octets = [0; 64];
        loop {
            match (&self.pipe).read(&mut octets) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let came = |signal: &&Signal| {
            flag(**signal).is_some_and(|flag| flag.swap(false, Ordering::SeqCst))
        };
        self.watched.iter().filter(came).copied().collect()
    }
}

/// Readable when a signal came.
impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// The signals are then ignored; unregistering does not bring their defaults back.
impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.actions.drain(..) {
            low_level::unregister(id);
        }
    }
}

/// Holds all signals back; the result gives them back to [`restore`].
pub fn block_all() -> io::Result<SigSet> {
    Ok(SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?)
}

/// Undoes [`block_all`].
pub fn restore(before: &SigSet) -> io::Result<()> {
    Ok(before.thread_set_mask()?)
}

/// Lets all signals through, whatever the process that started this one had blocked.
pub fn unblock_all() -> io::Result<()> {
    Ok(SigSet::empty().thread_set_mask()?)
}

/// Gives these signals back to the system. Of no use for a signal of which a [`Signals`] is to be made later in the same process.
pub fn default(signals: &[Signal]) -> io::Result<()> {
    set(signals, SigHandler::SigDfl)
}

/// Ignores these signals. The same limit as [`default`].
pub fn ignore(signals: &[Signal]) -> io::Result<()> {
    set(signals, SigHandler::SigIgn)
}

fn set(signals: &[Signal], handler: SigHandler) -> io::Result<()> {
    for &which in signals {
        // SAFETY: the handler is the system's own or none, so no code of ours can run at a wrong moment.
        unsafe { signal(which, handler) }?;
    }
    Ok(())
}

fn flag(signal: Signal) -> Option<&'static AtomicBool> {
    usize::try_from(signal as c_int)
        .ok()
        .and_then(|number| RAISED.get(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_taken_once() {
        let signals = Signals::new(&[Signal::SIGWINCH, Signal::SIGURG]).unwrap();
        assert_eq!(signals.take(), []);
        low_level::raise(Signal::SIGURG as c_int).unwrap();
        low_level::raise(Signal::SIGURG as c_int).unwrap();
        assert_eq!(signals.take(), [Signal::SIGURG]);
        assert_eq!(signals.take(), []);
        low_level::raise(Signal::SIGURG as c_int).unwrap();
        low_level::raise(Signal::SIGWINCH as c_int).unwrap();
        assert_eq!(signals.take(), [Signal::SIGWINCH, Signal::SIGURG]);
    }
}
