//! What can be wrong with the arguments of a command.
//!
//! Must never: be about anything that is not in the line itself.

use mimicry_core::reply::{Own, Reply};

/// Why the arguments of a command are wrong; each is the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// The command takes no argument, or needs another; the text says which.
    Argument(&'static str),
    Sender,
    Recipient,
    /// A parameter is ill-formed, has a value it cannot have, or is there twice.
    Parameter,
    UnknownParameter,
}

impl Mistake {
    pub fn reply(self) -> Reply {
        match self {
            Mistake::Argument(text) => Own::BadArgument.with(text),
            Mistake::Sender => Own::BadSender.reply(),
            Mistake::Recipient => Own::BadRecipient.reply(),
            Mistake::Parameter => Own::BadParameter.reply(),
            Mistake::UnknownParameter => Own::UnknownParameter.reply(),
        }
    }
}
