//! How the program ends: the exit codes of all its processes.
//!
//! Must never: end a process; the command line and workers do.

#![forbid(unsafe_code)]

/// The exit codes, those of sysexits(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Ok = 0,
    /// Of `status --check` alone, as the next two: something may go wrong.
    Warning = 1,
    /// Something is wrong.
    Critical = 2,
    /// It is not known.
    Unknown = 3,
    /// The command line is wrong.
    Usage = 64,
    /// The mail is not one that can be worked on.
    Data = 65,
    /// The user or group of the daemon does not exist.
    NoUser = 67,
    /// The daemon cannot be reached, a listener cannot be bound, or workers cannot start.
    Unavailable = 69,
    /// A mistake of this program.
    Software = 70,
    /// The system refused something.
    System = 71,
    /// The pid file or the control socket cannot be made.
    CannotCreate = 73,
    /// Reading or writing failed.
    Io = 74,
    /// The mail must be tried again; the daemon runs already.
    Deferred = 75,
    /// The mail must go back; something is not allowed.
    Rejected = 77,
    /// The configuration is wrong.
    Config = 78,
}

impl Exit {
    const ALL: [Exit; 15] = [
        Exit::Ok,
        Exit::Warning,
        Exit::Critical,
        Exit::Unknown,
        Exit::Usage,
        Exit::Data,
        Exit::NoUser,
        Exit::Unavailable,
        Exit::Software,
        Exit::System,
        Exit::CannotCreate,
        Exit::Io,
        Exit::Deferred,
        Exit::Rejected,
        Exit::Config,
    ];

    /// The exit of a status that another process of ours gave.
    pub fn from_status(status: u8) -> Exit {
        let mut all = Exit::ALL.into_iter();
        all.find(|exit| exit.status() == status)
            .unwrap_or(Exit::Software)
    }

    pub fn status(self) -> u8 {
        self as u8
    }
}
