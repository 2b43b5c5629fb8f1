//! What is kept for those who undo: the configurations that were in force, in a directory that is the master's alone.
//!
//! - [`generations`]: configurations with all their files · `manifest`: the page that describes one
//! - [`write_back`]: the files of one put where they came from
//! - [`restored`]: which mails were handed out again
//!
//! What is read here is believed only if it belongs to root or to the user of this process, and nobody else may read it: there are
//! passwords in it, and root writes it back.
//!
//! Must never: keep the daemon from starting, or show what is in a secret.

pub mod generations;
mod manifest;
pub mod restored;
pub mod write_back;
