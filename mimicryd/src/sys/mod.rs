//! The operating system behind safe names: fork, signals, shared memory, privileges, descriptors.
//!
//! - [`process`]: fork, wait, exit · [`send`]: signals to children that became somebody else
//! - [`launch`]: how this process was started, and another one in the same way
//! - [`signals`]: signals as something to poll
//! - [`poll`]: waiting with a monotonic deadline · [`outlet`]: standard error without waiting
//! - [`queue`]: how many connections wait at a listener
//! - [`shared`]: memory that master and workers share
//! - [`privileges`]: becoming an unprivileged user for good · [`sandbox`]: what the kernel keeps a process from
//! - [`entry`]: files by the directory that holds them · [`way`]: the directories that lead there
//! - [`guard`]: who may change a file · [`accounts`]: users and groups
//! - [`descriptors`]: descriptors that the service manager, or a master before this one, handed over
//! - [`greeter`]: a greeting for a library that waits for one
//! - `libcrypto`: OpenSSL without its configuration file
//! - [`memory`]: memory that is not needed any more
//! - [`title`]: what ps shows · [`terminal`]: the terminal of a command
//!
//! All unsafe code of the project is below this directory, each block with its reason. Where nix has a safe call, that
//! is used.
//!
//! Must never know what a mail, a worker or a configuration is.

pub mod accounts;
pub mod descriptors;
pub mod durable;
pub mod entry;
pub mod greeter;
pub mod guard;
pub mod launch;
#[cfg(feature = "smime")]
pub mod libcrypto;
pub mod memory;
pub mod outlet;
pub mod poll;
pub mod privileges;
pub mod process;
pub mod queue;
pub mod sandbox;
pub mod send;
pub mod shared;
pub mod signals;
pub mod terminal;
pub mod title;
pub mod way;
