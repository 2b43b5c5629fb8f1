//! Refusals, and everything else that ends a mail or a session otherwise than the client asked: their names in the log
//! and in `status`. Pure.
//!
//! The end of a mail that was received is not among them: it has its own line ([`super::story`]).
//!
//! Must never: count as a refusal what the client asked for, such as the reply to QUIT.

use mimicry_core::reply::Reply;

use crate::prefork::scoreboard::Counter;
use crate::smtp::step::{Leave, Replies, Step};
use crate::smtp::wire::Input;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A client that may not send here, or that did not say whose connection it is.
    ClientRefused,
    MailRefused,
    RcptRefused,
    /// The message was refused before it was a mail, or DATA came for nobody.
    DataRefused,
    /// We ended the session.
    SessionEnded,
    /// The client went amid a mail.
    ClientGone,
    /// We ended a session that brought no mail forward, for others who waited.
    StressEnded,
    /// A connection beyond those that its network may have.
    ConnectionRefused,
}

impl Event {
    /// As the log has it.
    pub fn word(self) -> &'static str {
        match self {
            Event::ClientRefused => "client-refused",
            Event::MailRefused => "mail-refused",
            Event::RcptRefused => "rcpt-refused",
            Event::DataRefused => "data-refused",
            Event::SessionEnded => "session-ended",
            Event::ClientGone => "client-gone",
            Event::StressEnded => "stress-ended",
            Event::ConnectionRefused => "connection-refused",
        }
    }

    pub fn counter(self) -> Counter {
        match self {
            Event::ClientRefused => Counter::ClientRefused,
            Event::MailRefused => Counter::MailRefused,
            Event::RcptRefused => Counter::RcptRefused,
            Event::DataRefused => Counter::DataRefused,
            Event::SessionEnded => Counter::SessionEnded,
            Event::ClientGone => Counter::ClientGone,
            Event::StressEnded => Counter::StressEnded,
            Event::ConnectionRefused => Counter::ConnectionRefused,
        }
    }

    /// What a refusal of this line would be; `None` = no mail hangs on it.
    pub fn if_refused(line: &Input<'_>) -> Option<Event> {
        let Input::Command(text) = line else {
            return None;
        };
        let verb = text.split(|octet| *octet == b' ').next()?;
        [
            (&b"MAIL"[..], Event::MailRefused),
            (b"RCPT", Event::RcptRefused),
            (b"DATA", Event::DataRefused),
        ]
        .into_iter()
        .find(|(word, _)| verb.eq_ignore_ascii_case(word))
        .map(|(_, event)| event)
    }

    /// What it is that we end a session for this reason.
    pub fn of_leaving(why: Leave) -> Event {
        match why {
            Leave::Stress => Event::StressEnded,
            Leave::Crowded => Event::ConnectionRefused,
            Leave::Idle
            | Leave::TooLong
            | Leave::TooSlow
            | Leave::Stopping
            | Leave::Retiring
            | Leave::Broken => Event::SessionEnded,
        }
    }

    /// What a step says, if it is an event; `refused` is what a refusal would be.
    pub fn of(step: &Step, refused: Option<Event>) -> Option<(Event, &Reply)> {
        let refusal = |reply: &Reply| reply.code() >= 400;
        match step {
            Step::Close(reply) => refusal(reply).then_some((Event::SessionEnded, reply)),
            Step::Say(replies) | Step::Reset(replies) => {
                let reply = match replies {
                    Replies::One(reply) => Some(reply),
                    Replies::PerRecipient(replies) => replies.first(),
                };
                refused.zip(reply.filter(|reply| refusal(reply)))
            }
            Step::Forward(_) | Step::Receive(_) | Step::StartTls(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use mimicry_core::reply::Own;

    use super::*;

    #[test]
    fn what_is_an_event() {
        use Event::{DataRefused, MailRefused, RcptRefused, SessionEnded};
        let say = |own: Own| Step::Say(own.reply().into());
        for (line, step, expected) in [
            ("MAIL FROM:<a@b>", say(Own::SenderOk), None),
            ("mail from:<a@b>", say(Own::TooLarge), Some(MailRefused)),
            ("MAIL", say(Own::BadArgument), Some(MailRefused)),
            (
                "RCPT TO:<a@b>",
                say(Own::TooManyRecipients),
                Some(RcptRefused),
            ),
            ("DATA", say(Own::NoneAccepted), Some(DataRefused)),
            (
                "DATA",
                Step::Reset(Own::TooLarge.reply().into()),
                Some(DataRefused),
            ),
            (
                "RCPT TO:<a@b>",
                Step::Close(Own::TooManyErrors.reply()),
                Some(SessionEnded),
            ),
            (
                "GET / HTTP/1.1",
                Step::Close(Own::ForeignProtocol.reply()),
                Some(SessionEnded),
            ),
            ("QUIT", Step::Close(Own::Bye.reply()), None),
            ("FOO", say(Own::UnknownCommand), None),
            ("MAILX", say(Own::UnknownCommand), None),
            ("RSET", Step::Reset(Own::Ok.reply().into()), None),
        ] {
            let refused = Event::if_refused(&Input::Command(line.as_bytes()));
            let found = Event::of(&step, refused).map(|(event, _)| event);
            assert_eq!(found, expected, "{line}");
        }
        assert_eq!(Event::if_refused(&Input::TooLong), None);
    }
}
