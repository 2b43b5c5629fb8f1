//! The recipe of an edit: how the mail as it came is made of the edited one, as the field Message-Instance of DKIM2 says it.
//!
//! By draft-ietf-dkim-dkim2-spec-08. A recipe counts lines: some are copied from the edited mail, the others stand in the recipe.
//!
//! - [`lines`]: what is copied and what is not, and the way back · [`steps`]: that as JSON
//! - [`fields`]: the header as others see it, by names and values · [`instance`]: the field with its tags and hashes
//! - [`back`]: the mail as it came, out of the field
//!
//! Must never: hand out a mail that is not, octet for octet, the one that came; or do more for a recipe than its length and that of the
//! mail ask for.

pub mod back;
pub mod fields;
pub mod instance;
pub mod lines;
pub mod steps;
#[cfg(test)]
mod tests;
