//! Standard error as a way out on which nobody ever waits for the reader.
//!
//! Standard error is shared with other processes, such as the shell that the daemon was started from, and so are its
//! flags: to make it non-blocking would break their output. So a pipe or a terminal is opened a second time by way of
//! /proc, which gives flags of our own. Where that is refused (the pipe of another user, no /proc), the kernel is asked
//! write by write not to wait. A socket takes that wish with every call. A regular file waits for nobody but its disk,
//! and is not opened anew, because its position is shared on purpose.
//!
//! Must never: change a flag of a descriptor that others have, or wait.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::{SFlag, fstat};

use super::way::kind;

/// Octets that a pipe takes whole or not at all.
pub const ATOMIC: usize = libc::PIPE_BUF;

/// A descriptor of others, and how to write to it.
#[derive(Debug)]
pub struct Outlet<F> {
    shared: F,
    way: Way,
    is_pipe: bool,
}

#[derive(Debug)]
enum Way {
    Socket,
    /// Opened a second time: this one does not block.
    Own(File),
    /// Only with a question before.
    Asked,
    /// A regular file.
    Plain,
}

impl<F: AsFd> Outlet<F> {
    pub fn of(shared: F) -> Outlet<F> {
        let kind = fstat(&shared).map_or(SFlag::empty(), |facts| kind(&facts));
        let way = match kind {
            SFlag::S_IFSOCK => Way::Socket,
            SFlag::S_IFREG => Way::Plain,
            _ => again(&shared).map_or(Way::Asked, Way::Own),
        };
        let is_pipe = kind == SFlag::S_IFIFO;
        Outlet {
            shared,
            way,
            is_pipe,
        }
    }

    /// A pipe takes at most [`ATOMIC`] octets whole.
    pub fn is_pipe(&self) -> bool {
        self.is_pipe
    }

    /// Writes what goes out at once; `WouldBlock` = nothing does.
    pub fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match &mut self.way {
            Way::Own(file) => file.write(octets),
            Way::Plain => Ok(nix::unistd::write(&self.shared, octets)?),
            Way::Asked => asked(&self.shared, octets),
            Way::Socket => {
                let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
                Ok(send(self.shared.as_fd().as_raw_fd(), octets, flags)?)
            }
        }
    }
}

fn again(shared: &impl AsFd) -> io::Result<File> {
    File::options()
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(format!("/proc/self/fd/{}", shared.as_fd().as_raw_fd()))
}

/// Kernels before 6.4 cannot be asked this of a pipe. There it is looked first, and another process may fill the pipe
/// between the look and the write.
fn asked(shared: &impl AsFd, octets: &[u8]) -> io::Result<usize> {
    let whole = IoSlice::new(octets);
    // SAFETY: an IoSlice has the layout of an iovec; it and the octets that it names outlive the call, which only reads them.
    let written = unsafe {
        libc::pwritev2(
            shared.as_fd().as_raw_fd(),
            (&raw const whole).cast(),
            1,
            -1,
            libc::RWF_NOWAIT,
        )
    };
    match Errno::result(written) {
        Ok(written) => Ok(usize::try_from(written).unwrap_or_default()),
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINVAL | Errno::ESPIPE) => {
            looked(shared, octets)
        }
        Err(error) => Err(error.into()),
    }
}

fn looked(shared: &impl AsFd, octets: &[u8]) -> io::Result<usize> {
    let mut asked = [PollFd::new(shared.as_fd(), PollFlags::POLLOUT)];
    poll(&mut asked, PollTimeout::ZERO)?;
    let is_ready = asked[0]
        .revents()
        .is_some_and(|events| events.intersects(PollFlags::POLLOUT | PollFlags::POLLERR));
    if !is_ready {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let piece = octets.get(..ATOMIC).unwrap_or(octets);
    Ok(nix::unistd::write(shared, piece)?)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::process::{Command, Stdio};

    use nix::fcntl::{FcntlArg, OFlag, fcntl};

    use super::*;

    const LINE: [u8; 1000] = [b'x'; 1000];

    /// Writes until nothing goes out any more: at least 30 lines, and never for ever.
    fn fill<F: AsFd>(mut write: impl FnMut(&[u8]) -> io::Result<usize>, shared: F) -> usize {
        let mut octets = 0;
        loop {
            match write(&LINE) {
                Ok(written) => octets += written,
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
                    break;
                }
            }
            assert!(octets < 10_000_000);
        }
        assert!(octets >= 30_000, "{octets}");
        let flags = OFlag::from_bits_retain(fcntl(&shared, FcntlArg::F_GETFL).unwrap());
        assert!(!flags.contains(OFlag::O_NONBLOCK), "others have it, too");
        octets
    }

    // T199
    #[test]
    fn nothing_that_is_full_is_waited_for() {
        let pipe = || {
            let (reader, writer) = io::pipe().unwrap();
            (OwnedFd::from(reader), OwnedFd::from(writer))
        };
        let (_reader, writer) = pipe();
        let mut outlet = Outlet::of(writer.try_clone().unwrap());
        assert!(matches!(outlet.way, Way::Own(_)) && outlet.is_pipe());
        fill(|octets| outlet.write(octets), &writer);
        let (_reader, writer) = pipe();
        fill(|octets| asked(&writer, octets), &writer);
        let (_reader, writer) = pipe();
        fill(|octets| looked(&writer, octets), &writer);
        let (_reader, writer) = UnixStream::pair().unwrap();
        let mut outlet = Outlet::of(writer.try_clone().unwrap());
        assert!(matches!(outlet.way, Way::Socket) && !outlet.is_pipe());
        fill(|octets| outlet.write(octets), &writer);
    }

    // T199
    #[test]
    fn a_reader_that_is_gone_is_an_error() {
        let (reader, writer) = io::pipe().unwrap();
        let mut outlet = Outlet::of(writer.try_clone().unwrap());
        assert_eq!(outlet.write(b"one\n").unwrap(), 4);
        drop(reader);
        for result in [
            outlet.write(b"two\n"),
            asked(&writer, b"two\n"),
            looked(&writer, b"two\n"),
        ] {
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        }
    }

    #[test]
    fn a_file_is_written_at_the_position_that_all_share() {
        let mut file = tempfile::tempfile().unwrap();
        let mut outlet = Outlet::of(OwnedFd::from(file.try_clone().unwrap()));
        assert_eq!(outlet.write(b"ours\n").unwrap(), 5);
        let theirs = Stdio::from(file.try_clone().unwrap());
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "echo theirs"]).stdout(theirs);
        assert!(shell.status().unwrap().success());
        assert_eq!(outlet.write(b"again\n").unwrap(), 6);
        let mut text = String::new();
        io::Seek::rewind(&mut file).unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "ours\ntheirs\nagain\n");
    }
}
