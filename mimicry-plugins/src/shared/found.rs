//! The keys that were found in a file.
//!
//! Must never: hold what is secret.

use mimicry_core::plugin::KeyInUse;

/// What is in a file.
#[derive(Debug, Default)]
pub struct Held {
    /// `OpenPGP`, `S/MIME`, `DKIM`.
    pub kind: &'static str,
    pub keys: Vec<KeyInUse>,
    /// How many things beside the keys cannot be read.
    pub unread: usize,
    /// There is a secret half among them.
    pub is_secret: bool,
}
