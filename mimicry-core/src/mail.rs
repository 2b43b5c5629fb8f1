//! What the engine judges: origin, envelope and message together.

use crate::envelope::Envelope;
use crate::message::Message;
use crate::origin::Origin;

/// One mail in hand.
#[derive(Debug)]
pub struct Mail {
    pub origin: Origin,
    pub envelope: Envelope,
    pub message: Message,
    pub received: Moment,
}

impl Mail {
    /// The same mail with another message.
    pub fn with(&self, message: Message) -> Mail {
        Mail {
            origin: self.origin.clone(),
            envelope: self.envelope.clone(),
            message,
            received: self.received,
        }
    }
}

/// A moment, and the time of day that it was here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Seconds since 1970 in UTC.
    pub unix: i64,
    /// Seconds that the local time is ahead of UTC.
    pub offset: i32,
}
