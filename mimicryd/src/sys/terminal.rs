//! How wide the terminal is.
//!
//! Must never: say anything of an output that is a file or a pipe, whose readers want whole lines.

use std::io::{self, IsTerminal};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;

use nix::libc;

/// Columns of the terminal that standard output is; `None` = it is none, or does not say.
pub fn columns() -> Option<usize> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let mut size = MaybeUninit::<libc::winsize>::zeroed();
    // SAFETY: the kernel writes a winsize there, and all octets zero are one, too.
    let size = unsafe {
        if libc::ioctl(stdout.as_raw_fd(), libc::TIOCGWINSZ, size.as_mut_ptr()) != 0 {
            return None;
        }
        size.assume_init()
    };
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}
