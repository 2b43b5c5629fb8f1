//! Going into the background: the parent waits until the daemon accepts connections, or says why it does not.

#![forbid(unsafe_code)]

use std::io::{self, PipeWriter, Read, Write};

use crate::prefork::exit::Exit;
use crate::sys::process::{self, Side};

use super::contract::Ended;
use super::handover::Reporter;

/// In which of the two processes [`detach`] returned.
pub enum Detached {
    /// With what the daemon reported.
    Parent(Ended),
    Daemon(Report),
}

/// To whom the daemon reports that it accepts, or that it cannot.
pub enum Report {
    /// It is in the foreground, or has reported.
    Nobody,
    /// One octet, the exit status, then the message.
    Parent(PipeWriter),
    /// This process is to follow another master.
    Predecessor(Reporter),
}

/// Forks; the child becomes a daemon and is to report, the parent waits for that.
pub fn detach() -> io::Result<Detached> {
    let (mut reader, writer) = io::pipe()?;
    match process::fork()? {
        Side::Child => {
            drop(reader);
            process::new_session()?;
            Ok(Detached::Daemon(Report::Parent(writer)))
        }
        Side::Parent(child) => {
            drop(writer);
            let mut octets = Vec::new();
            // An error leaves what came so far.
            let _ = reader.read_to_end(&mut octets);
            let ended = match octets.split_first() {
                Some((status, message)) => Ended {
                    status: Exit::from_status(*status),
                    message: (!message.is_empty())
                        .then(|| String::from_utf8_lossy(message).into_owned()),
                },
                None => {
                    let death =
                        process::wait(child).map_or("vanished".into(), process::Death::describe);
                    Ended {
                        status: Exit::Software,
                        message: Some(format!("the daemon {death} before it accepted connections")),
                    }
                }
            };
            Ok(Detached::Parent(ended))
        }
    }
}

impl Report {
    /// The daemon accepts. Returns whether somebody in the foreground was told.
    pub fn accepts(&mut self) -> bool {
        self.tell(Exit::Ok, "")
    }

    /// The daemon ends without having accepted. What was reported is not left for the caller to say again.
    pub fn ends(&mut self, ended: Ended) -> Ended {
        let told = self.tell(ended.status, ended.message.as_deref().unwrap_or_default());
        Ended {
            message: ended.message.filter(|_| !told),
            ..ended
        }
    }

    fn tell(&mut self, status: Exit, message: &str) -> bool {
        match std::mem::replace(self, Report::Nobody) {
            Report::Nobody => false,
            Report::Parent(mut pipe) => {
                // A parent that was killed needs no report.
                let _ = pipe
                    .write_all(&[status.status()])
                    .and_then(|()| pipe.write_all(message.as_bytes()));
                true
            }
            Report::Predecessor(reporter) => {
                reporter.tell(status, message, message);
                true
            }
        }
    }
}
