//! The program around the pure core: what touches files, terminals and processes.
//!
//! - [`cli`]: the command line, and the only place that prints and ends the process
//! - [`daemon`]: the program that the master runs
//! - [`master`]: binds, forks, replaces, reloads · [`worker`]: serves one connection after the other · [`prefork`]: what both need
//! - [`status`]: the daemon at a moment, for people and programs
//! - [`metrics`]: numbers for Prometheus, as text · [`scrape`]: a process that serves them
//! - [`smtp`]: the server without I/O · [`relay`]: the client of the next hop
//! - [`loading`]: a configuration, tried in a process of its own · `files`: what is read at load · `machine`: what the configuration names on this machine · [`state`]: what is kept for those who undo · `keeper`: a process that writes it · `own_places`: pid file and control socket of a plain user · `spool`: whose it is, and whether the ledger is in force · `unit`: what systemd's unit grants · `seal_keys`: those of the banner's seals · `poison`: mails that killed workers · `lookup`: the addresses of a name, by a process of its own · `errand`: such a process · `channel`: a socket in the clear or inside TLS, for both · `clock`: the time for people · [`logging`]: the log · [`sys`]: system calls, and all unsafe code
//!
//! Must never: decide about mail. That is `mimicry_core::engine`, which the command line and the daemon call alike.

#![deny(unsafe_code)]

mod channel;
pub mod cli;
mod clock;
pub mod daemon;
mod errand;
mod expiry;
mod files;
mod keeper;
pub mod loading;
pub mod logging;
pub mod lookup;
mod machine;
pub mod master;
pub mod metrics;
mod own_places;
pub mod poison;
pub mod prefork;
pub mod relay;
pub mod scrape;
pub mod seal_keys;
pub mod smtp;
mod spool;
pub mod state;
pub mod status;
#[allow(unsafe_code)]
pub mod sys;
mod unit;
pub mod worker;
