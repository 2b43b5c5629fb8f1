//! A connection to a next hop, whatever it is: one transaction at a time, each command given at once and its answer handed back.
//!
//! Must never: know which kinds of next hop there are.

use std::time::Instant;

use mimicry_core::envelope::Path;
use mimicry_core::extension::Extensions;
use mimicry_core::origin::Origin;

use super::ahead::Ahead;
use super::answer::{Answer, Answers};
use super::guard::{Clean, Outgoing};

/// A connection to a next hop.
pub trait NextHop {
    /// What it said it can do.
    fn capabilities(&self) -> &Extensions;

    /// No wait ends behind `deadline` from now on, however long its phase may take; `None` lifts that.
    fn limit(&mut self, deadline: Option<Instant>);

    /// Does it say behind the final dot what becomes of each recipient (LMTP)?
    fn replies_per_recipient(&self) -> bool {
        false
    }

    /// What will be asked for next, in this order. The answers are those of the calls themselves, which are to be made all the same; what is
    /// given to the next hop beforehand is its own affair. So many of the recipients were.
    fn ahead(&mut self, _commands: Ahead<'_>) -> usize {
        0
    }

    /// Is something given to the next hop that was not yet asked for?
    fn is_ahead(&self) -> bool {
        false
    }

    /// What was given and not asked for will not be. The transaction is good for nothing then but [`reset`](NextHop::reset).
    fn forget(&mut self) {}

    /// Tells it where the mail comes from, if it wants to know (XFORWARD); before [`mail`](NextHop::mail). A refusal is no
    /// reason not to go on.
    fn introduce(&mut self, _origin: &Origin) -> Answer {
        Answer::done()
    }

    /// `params` go out verbatim; what the next hop cannot take is out of them ([`outgoing_mail_params`](super::params::outgoing_mail_params)).
    fn mail(&mut self, sender: &Path, params: &[u8]) -> Answer;

    fn rcpt(&mut self, recipient: &Path, params: &[u8]) -> Answer;

    /// The whole message, not dot-stuffed, its lines ended by CRLF. A last line without one gets it: SMTP cannot say otherwise.
    /// `watch` is asked before DATA, before each block of the message and before the final dot. A message with another line end is not
    /// handed on at all: [`Cause::Unclean`](super::answer::Cause::Unclean), and the connection is as it was.
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

    /// Can a command be given, as far as is known? Costs nothing: who gives one looks.
    fn is_in_order(&self) -> bool;

    /// Can a command be given? Looks at the line without waiting, so that one that died while idle is found here.
    fn is_usable(&mut self) -> bool;
}

/// Is the client still there?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    Stays,
    Gone,
}
