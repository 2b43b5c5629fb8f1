//! The outcome of a command to a next hop, and of a message.
//!
//! Whatever happens, it is a reply that can be given to the client: the next hop's own words, or a 4xx.
//!
//! Must never: be a 2xx that the next hop did not say.

use mimicry_core::reply::{Own, Reply};

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
    /// No connection could be made, because this system has nothing left to make one of.
    Short,
    /// The connection ended.
    Lost,
    TimedOut,
    /// No further connection to it was free in time.
    NoneFree,
    /// What there was of time for the whole mail had gone before it was asked.
    OutOfTime,
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

    /// The same, not for good.
    pub fn as_temporary(self) -> Answer {
        Answer {
            reply: self.reply.as_temporary(),
            ..self
        }
    }

    /// For what needs no answer from outside.
    pub(super) fn done() -> Answer {
        Answer::said(Own::Ok.reply())
    }

    pub(super) fn said(reply: Reply) -> Answer {
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
            Cause::Short => Own::Short,
            Cause::Lost => Own::LostNextHop,
            Cause::TimedOut => Own::NextHopTimedOut,
            Cause::NoneFree => Own::NoLineFree,
            Cause::OutOfTime => Own::OutOfTime,
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
    pub(super) fn failed_with(cause: Cause, stage: &str, said: &Reply) -> Answer {
        let Answer { reply, .. } = Answer::failed(cause, stage);
        let text: Vec<&str> = reply.text().collect();
        Answer {
            reply: reply.saying(&format!("{}: {said}", text.join(" "))),
            cause,
            is_doubtful: false,
        }
    }
}
