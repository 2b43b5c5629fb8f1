//! Signatures of a domain over header fields and the body (RFC 6376): what ARC has in common with DKIM, too.
//!
//! - [`canon`]: fields and bodies in the form in which they are hashed
//! - [`tags`]: the tags of a signature, and what it covers
//! - [`key`]: secret keys, and what the DNS says of them · [`keys`]: those of a rule, by domain
//! - [`sign`]: a new signature · [`chain`]: the sets of ARC
//!
//! Must never: look a key up in the DNS, or say that a signature of another is good.

pub mod canon;
pub mod chain;
pub mod key;
pub mod keys;
pub mod sign;
pub mod tags;
#[cfg(test)]
mod tests;
