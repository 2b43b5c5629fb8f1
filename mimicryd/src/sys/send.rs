//! Signals to children that became somebody else.
//!
//! Must never: be asked for a process that was collected, whose id may be another's by then.

use std::io;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid};

use super::privileges;

/// One that has ended by itself needs none. `user` = whom the child became: root without CAP_KILL may not signal others, so then its
/// user does.
pub fn to_child(child: Pid, signal: Signal, user: Option<(Uid, Gid)>) -> io::Result<()> {
    let send = || kill(child, signal).map_err(io::Error::from);
    match privileges::or_in_the_name_of(user, send) {
        Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => Ok(()),
        sent => sent,
    }
}
