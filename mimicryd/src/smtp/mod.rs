//! The SMTP and LMTP server without I/O: octets in, steps out.
//!
//! [`wire::Wire`] keeps what was read and lends command lines; [`command::Command`] is one of them understood;
//! [`session::Session`] says what to do about it ([`step::Step`]), within what it was told to offer; [`data::DataReader`] reads a message up to its end.
//! [`proxy::start`] reads what a load balancer puts before all that, [`xforward::apply`] what a trusted client says of its own. Whoever owns the socket
//! does what it is told and decides nothing about SMTP:
//!
//! - before it reads from the socket, hands a mail on or closes, it writes [`wire::Wire::outgoing`];
//! - it takes lines while [`wire::Wire::line`] has one, and reads into [`wire::Wire::space`] when there is none;
//! - it does what the [`step::Step`] says. `Forward` is answered by [`session::Session::forwarded`], `Receive`
//!   by [`session::Session::received`] or [`session::Session::refused`]; both return the next step;
//! - when a clock or a signal ends the session, it asks [`session::Session::leave`] for the last words.
//!
//! Must never: read, write, wait, ask the time, or know the relay.

mod blanks;
pub mod command;
pub mod data;
mod mbox;
mod mistake;
mod parameters;
mod path;
pub mod proxy;
pub mod session;
pub mod step;
mod transaction;
pub mod wire;
pub mod xforward;
mod xtext;

#[cfg(test)]
mod tests;
