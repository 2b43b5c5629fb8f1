//! The relay: mimicry as the client of the next hop.
//!
//! [`NextHop`] is one connection with one transaction at a time; each command is given at once and its answer handed back.
//!
//! - [`client`]: what is said to a server, and what its answers are worth; over one of two links:
//!   [`smtp`] (lettre's connection beside ours: smtp:// without TLS) or [`wire`] (ours: LMTP, unix sockets, TLS)
//! - [`maildir`]: a directory
//! - [`guard`]: what no way out may send
//! - [`route`]: a next hop and the terms it is spoken to on; [`keys`]: passwords and trusted certificates
//! - [`pool`]: which lines a worker keeps, and to whom
//! - [`capabilities`]: what a next hop can do, and the parameters that fit it
//!
//! Whatever happens, the outcome of a command is a reply that can be given to the client: the next hop's own words, or a
//! 4xx. That is the rule by which no mail is lost: a 2xx stands here only for one complete, well-formed 2xx to *this*
//! command.
//!
//! Must never: know who asks, resolve a name while a mail is in hand, or write a final dot behind a message that is not
//! complete or whose sender has gone.

mod body;
pub mod capabilities;
pub mod client;
mod command;
mod connect;
mod guard;
pub mod keys;
pub mod maildir;
pub mod pool;
pub mod reader;
pub mod route;
pub mod smtp;
mod stream;
mod tls;
pub mod wire;
mod xforward;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod hostile_octets;
#[cfg(test)]
mod scripted;

use std::time::Instant;

use mimicry_core::envelope::Path;
use mimicry_core::origin::Origin;
use mimicry_core::reply::{Own, Reply};

use guard::Clean;

pub use capabilities::{Capabilities, Size, outgoing_mail_params, outgoing_rcpt_params};
pub use keys::Keys;
pub use pool::{Line, Opening, Pool};
pub use route::Route;

/// A connection to a next hop.
pub trait NextHop {
    /// What it said it can do.
    fn capabilities(&self) -> &Capabilities;

    /// No wait ends behind `deadline` from now on, however long its phase may take; `None` lifts that.
    fn limit(&mut self, deadline: Option<Instant>);

    /// Does it say behind the final dot what becomes of each recipient (LMTP)?
    fn replies_per_recipient(&self) -> bool {
        false
    }

    /// Tells it where the mail comes from, if it wants to know (XFORWARD); before [`mail`](NextHop::mail). A refusal is no
    /// reason not to go on.
    fn introduce(&mut self, _origin: &Origin) -> Answer {
        Answer::done()
    }

    /// `params` go out verbatim; what the next hop cannot take is out of them ([`outgoing_mail_params`]).
    fn mail(&mut self, sender: &Path, params: &[u8]) -> Answer;

    fn rcpt(&mut self, recipient: &Path, params: &[u8]) -> Answer;

    /// The whole message, not dot-stuffed, its lines ended by CRLF. A last line without one gets it: SMTP cannot say otherwise.
    /// `watch` is asked before DATA, before each block of the message and before the final dot. A message with another line end is not
    /// handed on at all: [`Cause::Unclean`], and the connection is as it was.
    ///
    /// Not to be written anew by a way out: it is what gives them [`hand_on`](NextHop::hand_on).
    fn data(&mut self, message: Outgoing<'_>, watch: &mut dyn FnMut() -> Watch) -> Answers {
        match Clean::of(message) {
            Ok(message) => self.hand_on(message, watch),
            Err(answer) => Answers::All(answer),
        }
    }

    /// What is done for [`data`](NextHop::data), with a message that may leave.
    fn hand_on(&mut self, message: Clean<'_>, watch: &mut dyn FnMut() -> Watch) -> Answers;

    /// Ends a transaction that did not come to its end.
    fn reset(&mut self) -> Answer;

    /// Says goodbye and closes; how that is taken does not matter any more.
    fn quit(&mut self);

    /// Closes at once, as if the line had been cut.
    fn abort(&mut self);

    /// Was MAIL given without a successful end of data or [`reset`](NextHop::reset)?
    fn is_in_transaction(&self) -> bool;

    /// Can a command be given? Looks at the line without waiting, so that one that died while idle is found here.
    fn is_usable(&mut self) -> bool;
}

/// What is handed on.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'m> {
    /// Complete lines on top of the message: apart from it, so that a large mail is not copied for them.
    pub above: &'m [u8],
    pub message: &'m [u8],
}

impl<'m> Outgoing<'m> {
    pub fn octets(self) -> usize {
        self.above.len().saturating_add(self.message.len())
    }

    pub fn is_ascii(self) -> bool {
        self.above.is_ascii() && self.message.is_ascii()
    }

    /// One after the other they are the mail.
    pub fn pieces(self) -> [&'m [u8]; 2] {
        [self.above, self.message]
    }
}

impl<'m> From<&'m [u8]> for Outgoing<'m> {
    fn from(message: &'m [u8]) -> Outgoing<'m> {
        Outgoing {
            above: b"",
            message,
        }
    }
}

/// Is the client still there?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    Stays,
    Gone,
}

/// The outcome of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What the client may be told as it is.
    pub reply: Reply,
    pub cause: Cause,
    /// The final dot may have been seen, so that the next hop may have the mail although `reply` is a 4xx.
    pub is_doubtful: bool,
}

/// Whose words a reply is made of, or what went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The next hop said so.
    Said,
    /// No connection could be made.
    Unreachable,
    /// The connection ended.
    Lost,
    TimedOut,
    /// The next hop said more than it was asked: from now on nobody knows which command it answers.
    OutOfStep,
    /// Not a reply, or none that fits the command.
    NotUnderstood,
    /// The next hop does not let us in: a fault of the configuration, whatever mail it is.
    Login,
    /// No TLS could be agreed on, or the certificate does not hold.
    Tls,
    /// The client went away, so the mail was not handed on.
    ClientGone,
    /// The fault is ours: a command that must not go out, or a file that cannot be written.
    Own,
    /// The fault is ours: the mail holds a CR or LF that is not of a CRLF. Nothing of it went out.
    Unclean,
}

/// The outcome of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answers {
    /// For every recipient.
    All(Answer),
    /// One for each recipient that was accepted, in the order of their RCPT.
    Each(Vec<Answer>),
}

impl Answers {
    /// Of the recipient with this number among those that were accepted.
    pub fn of(&self, recipient: usize) -> Option<&Answer> {
        match self {
            Answers::All(answer) => Some(answer),
            Answers::Each(answers) => answers.get(recipient),
        }
    }

    /// Do all recipients have the mail?
    pub fn are_done(&self) -> bool {
        self.iter().all(Answer::is_done)
    }

    /// The only one.
    #[cfg(test)]
    pub fn only(self) -> Answer {
        assert_eq!(self.iter().count(), 1, "{self:?}");
        self.of(0).expect("an answer").clone()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Answer> {
        match self {
            Answers::All(answer) => std::slice::from_ref(answer),
            Answers::Each(answers) => answers.as_slice(),
        }
        .iter()
    }
}

impl Answer {
    pub fn is_done(&self) -> bool {
        self.reply.is_done()
    }

    /// For what needs no answer from outside.
    fn done() -> Answer {
        Answer::said(Own::Ok.reply())
    }

    fn said(reply: Reply) -> Answer {
        Answer {
            reply,
            cause: Cause::Said,
            is_doubtful: false,
        }
    }

    /// A reply of ours, whatever the next hop would say.
    pub fn own(reply: Reply) -> Answer {
        Answer {
            reply,
            cause: Cause::Own,
            is_doubtful: false,
        }
    }

    /// For a command that has no answer; `stage` names it.
    pub fn failed(cause: Cause, stage: &str) -> Answer {
        let own = match cause {
            Cause::Unreachable => Own::CannotConnect,
            Cause::Lost => Own::LostNextHop,
            Cause::TimedOut => Own::NextHopTimedOut,
            Cause::OutOfStep => Own::OutOfStep,
            Cause::NotUnderstood | Cause::Said => Own::NotUnderstood,
            Cause::Login => Own::NotLetIn,
            Cause::Tls => Own::NoTlsAtAll,
            Cause::ClientGone => Own::ClientGone,
            Cause::Own | Cause::Unclean => Own::CannotHandOn,
        };
        Answer {
            reply: own.with(stage),
            cause,
            is_doubtful: false,
        }
    }

    /// As [`Answer::failed`], with what the next hop said instead of an answer.
    fn failed_with(cause: Cause, stage: &str, said: &Reply) -> Answer {
        let Answer { reply, .. } = Answer::failed(cause, stage);
        let text: Vec<&str> = reply.text().collect();
        Answer {
            reply: reply.saying(&format!("{}: {said}", text.join(" "))),
            cause,
            is_doubtful: false,
        }
    }
}
