//! A mail that was received, with all that is needed to judge it and to tell of it.
//!
//! Must never: act.

use mimicry_core::origin::Origin;
use mimicry_core::policy::{Banks, Memo};
use mimicry_core::seals::SealKeys;
use mimicry_core::settings::endpoint::Protocol;

use super::ledger::Ledger;
use super::poison::Fate;
use crate::prefork::scoreboard::Slot;
use crate::smtp::data::Received;
use crate::smtp::step::DataPlan;

/// By what a mail is judged.
#[derive(Clone, Copy)]
pub struct Rules<'c> {
    pub banks: &'c Banks,
    pub memo: &'c Memo,
    pub seal_keys: &'c SealKeys,
    /// Is told where the mail is.
    pub slot: &'c Slot,
    pub fate: &'c Fate,
    /// The hash of the configuration.
    pub generation: &'c str,
}

/// A mail that was received.
pub struct Incoming<'c> {
    pub rules: Rules<'c>,
    pub hostname: &'c str,
    pub ledger: &'c Ledger,
    /// What the client speaks.
    pub client: Protocol,
    /// By what it is judged.
    pub origin: Origin,
    /// By what it came: not what the client said of others.
    pub connection: Origin,
    /// The log has the subject.
    pub with_subject: bool,
    /// For the log: an address or `unix`.
    pub peer: String,
    /// Of the mail; it stands in the log and in the Received field.
    pub id: String,
    pub plan: DataPlan,
    pub received: Received,
}
