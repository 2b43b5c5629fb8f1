//! The terminal of a command: how large it is, and keys that are read as they are pressed.
//!
//! Must never: leave a terminal otherwise than it was found.

use std::io::{self, IsTerminal};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::libc;

/// Columns and rows; `None` = it is no terminal, or does not say.
pub fn size(terminal: impl AsFd) -> Option<(usize, usize)> {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the kernel writes one `winsize`, which outlives the call.
    let done = unsafe {
        libc::ioctl(
            terminal.as_fd().as_raw_fd(),
            libc::TIOCGWINSZ,
            &raw mut size,
        )
    };
    let (columns, rows) = (usize::from(size.ws_col), usize::from(size.ws_row));
    (done == 0 && columns > 0 && rows > 0).then_some((columns, rows))
}

/// Columns of the terminal that standard output is; `None` = it is none, whose readers want whole lines, or does not say.
pub fn columns() -> Option<usize> {
    let stdout = io::stdout();
    let is_terminal = stdout.is_terminal();
    is_terminal
        .then(|| size(&stdout))
        .flatten()
        .map(|(columns, _)| columns)
}

/// A terminal whose keys are read as they are pressed, and are not shown. When it is dropped it is as before.
pub struct Keys {
    terminal: OwnedFd,
    before: libc::termios,
}

impl Keys {
    /// `None` = it is no terminal.
    pub fn of(terminal: impl AsFd) -> io::Result<Option<Keys>> {
        if !terminal.as_fd().is_terminal() {
            return Ok(None);
        }
        let terminal = terminal.as_fd().try_clone_to_owned()?;
        let mut before = MaybeUninit::<libc::termios>::uninit();
        // SAFETY: the call fills the structure, or fails.
        let done = unsafe { libc::tcgetattr(terminal.as_raw_fd(), before.as_mut_ptr()) };
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it was filled.
        let before = unsafe { before.assume_init() };
        let keys = Keys { terminal, before };
        let mut own = before;
        own.c_lflag &= !(libc::ICANON | libc::ECHO);
        keys.set(&own)?;
        Ok(Some(keys))
    }

    fn set(&self, termios: &libc::termios) -> io::Result<()> {
        // SAFETY: the kernel reads the structure, which outlives the call.
        let done = unsafe { libc::tcsetattr(self.terminal.as_raw_fd(), libc::TCSADRAIN, termios) };
        match done {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = self.set(&self.before);
    }
}
