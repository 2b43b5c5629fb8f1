//! A mail as a whole that is signed or encrypted: what PGP/MIME and S/MIME have in common. No cryptography.
//!
//! - [`inner`]: the part that is sealed, made of the mail, and what of the header stands in it
//! - [`outer`]: the mails that hold it: multipart/signed, multipart/encrypted, application/pkcs7-mime
//! - [`already`]: is it signed already
//! - [`missed`]: recipients without a key
//!
//! Must never: know what a signature or a ciphertext is.

pub mod already;
pub mod inner;
pub mod missed;
pub mod outer;
#[cfg(test)]
mod tests;
