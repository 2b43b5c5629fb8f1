//! The program around the pure core: what touches files, terminals and processes.
//!
//! - [`cli`]: the command line, and the only place that prints and ends the process
//!
//! Must never: decide about mail. That is `mimicry_core::engine`, which the command line and the daemon call alike.

#![deny(unsafe_code)]

pub mod cli;
