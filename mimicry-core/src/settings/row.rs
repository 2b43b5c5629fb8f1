//! What a row of the table of settings holds.
//!
//! Must never: name a setting.

use super::kind::Kind;

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The table it stands in; empty = above all tables. `listen`, `rule` and `bank` are lists of tables.
    pub table: &'static str,
    /// Its key. `workers.min` is the key `min` of the table `workers`.
    pub name: &'static str,
    pub kind: Kind,
    /// As it would be written in the file; `None` = unset.
    pub default: Option<&'static str>,
    /// An element of the list is nothing without it.
    pub required: bool,
    pub phase: Phase,
    /// Its key in a `[[bank]]`, if banks may change it.
    pub(super) in_bank: &'static str,
    /// One sentence.
    pub doc: &'static str,
}

/// When the value of a setting must be known, and with it the banks that may change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// When the configuration is loaded: no bank changes it.
    Load,
    /// When a client connects.
    Connect,
    /// At MAIL: it is one for the whole transaction.
    Mail,
    /// At RCPT, for each recipient.
    Rcpt,
    /// When the message is in, for each recipient.
    Data,
}

impl Setting {
    /// The setting of a `[[bank]]` that stands in place of this one; `None` = no bank changes it.
    pub(crate) fn in_bank(&self) -> Option<Setting> {
        (self.phase != Phase::Load).then_some(Setting {
            table: "bank",
            name: self.in_bank,
            default: None,
            ..*self
        })
    }
}
