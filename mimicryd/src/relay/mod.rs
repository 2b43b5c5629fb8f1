//! The relay: mimicry as the client of the next hop.
//!
//! [`NextHop`] is one connection with one transaction at a time; each command is given at once and its answer handed back.
//!
//! - [`client`]: what is said to a server, and what its answers are worth; over one of two links:
//!   [`smtp`] (lettre's connection beside ours: smtp:// without TLS) or [`wire`] (ours: LMTP, unix sockets, TLS)
//! - `together`: commands that go out together
//! - [`maildir`]: a directory
//! - [`guard`]: what no way out may send
//! - [`route`]: a next hop and the terms it is spoken to on; [`keys`]: passwords and trusted certificates
//! - [`pool`]: which lines a worker keeps, and to whom · `reach`: how a new one comes about
//! - `patience`: what the limits of a next hop add up to
//! - [`params`]: the parameters that fit what a next hop can do; [`remembered`]: what it last said of that
//! - [`answer`]: the outcome of a command
//!
//! Whatever happens, the outcome of a command is a reply that can be given to the client: the next hop's own words, or a
//! 4xx. That is the rule by which no mail is lost: a 2xx stands here only for one complete, well-formed 2xx to *this*
//! command.
//!
//! Must never: know who asks, look a name up, or write a final dot behind a message that is not
//! complete or whose sender has gone.

mod ahead;
pub mod answer;
mod body;
pub mod client;
mod command;
mod connect;
mod guard;
pub mod keys;
mod link;
pub mod maildir;
mod next_hop;
pub mod params;
mod patience;
pub mod pool;
mod reach;
pub mod reader;
pub mod remembered;
pub mod route;
pub mod smtp;
mod stream;
mod tls;
mod together;
pub mod wire;
mod xforward;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod hostile_octets;
#[cfg(test)]
mod scripted;

pub use ahead::Ahead;
pub use answer::{Answer, Answers, Cause};
pub use guard::Outgoing;
pub use keys::Keys;
pub use next_hop::{NextHop, Watch};
pub use params::{Size, outgoing_mail_params, outgoing_rcpt_params};
pub use patience::patience;
pub use pool::{Line, Opening, Pool};
pub use reach::none_free;
pub use remembered::Remembered;
pub use route::Route;
