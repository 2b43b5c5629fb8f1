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
}
