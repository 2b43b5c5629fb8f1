//! What a command has to say, and how the process then ends.
//!
//! Must never: print; [`super::main`] does.

use super::demo::Running;
use crate::prefork::exit::Exit;

/// What a command has to say.
#[derive(Debug)]
pub struct Output {
    pub out: Vec<u8>,
    /// Written first, so that it stands above on a terminal.
    pub err: String,
    pub exit: Exit,
    /// Is the work done only when all of `out` has been read; else a reader that has seen enough is no failure.
    pub must_arrive: bool,
    /// A daemon that goes on if `out` has been read; else it is stopped, for nobody would know of it.
    pub running: Option<Running>,
}

impl Output {
    pub fn text(out: String) -> Output {
        Output {
            out: out.into_bytes(),
            err: String::new(),
            exit: Exit::Ok,
            must_arrive: false,
            running: None,
        }
    }

    /// Nothing but a reason on standard error.
    pub fn failure(exit: Exit, reason: impl std::fmt::Display) -> Output {
        Output {
            out: Vec::new(),
            err: format!("mimicryd: {reason}\n"),
            exit,
            must_arrive: false,
            running: None,
        }
    }
}
