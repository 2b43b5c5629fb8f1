//! The ground floor of master and worker: what both need, and nothing that only one of them does.
//!
//! - [`contract`]: a worker's birth, what serves its connections, and the program around master and worker
//! - [`life`]: when a worker is to stop · [`exit`]: how processes end · [`pipes`]: how the two hear of each other
//! - [`scoreboard`]: what each worker is doing · [`listen`]: the sockets that workers accept on
//! - [`poison`]: mails that killed workers · [`identity`]: whom workers become · [`counter`]: what a worker counts · [`tally`]: what metrics count
//!
//! Must never: know the master or the worker.

#![forbid(unsafe_code)]

pub mod contract;
pub mod counter;
pub mod exit;
pub mod hops;
pub mod identity;
pub mod life;
pub mod listen;
pub mod pipes;
pub mod poison;
pub mod scoreboard;
pub mod tally;
