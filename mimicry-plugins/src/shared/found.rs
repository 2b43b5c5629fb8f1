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

impl Held {
    /// A key: what it says of being encrypted to, and, where its secret half is there, of signing. One that signs is not to blame that
    /// nobody can encrypt to it.
    pub fn take(&mut self, encrypts: KeyInUse, signs: Option<KeyInUse>) {
        let can_sign = signs.as_ref().is_some_and(|signs| signs.unfit.is_none());
        if encrypts.unfit.is_none() || !can_sign {
            self.keys.push(encrypts);
        }
        self.keys.extend(signs);
    }
}
