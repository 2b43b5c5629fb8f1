//! What rules and banks are checked against besides the registry.
//!
//! Must never: complain.

use crate::config::typed::Variables;
use crate::settings::{General, Listen};

/// What rules are checked against besides the registry.
pub(super) struct Surroundings<'s> {
    /// The settings above all tables.
    pub(super) general: &'s General,
    /// The names of the listeners; empty = the file has none, and a filter may name any.
    pub(super) listeners: &'s [String],
    /// The listeners themselves, as far as they are right.
    pub(super) listen: &'s [Listen],
    /// What templates may use, in the base or in any bank; `None` = there are mistakes in it.
    pub(super) variables: Option<&'s Variables>,
    pub(super) source: &'s str,
}
