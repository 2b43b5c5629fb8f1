//! Where a mail came from: the facts of the connection, or what a trusted client said about the client before it.
//!
//! Must never hold anything of the envelope or the message.

use std::net::IpAddr;

/// The connection that brought a mail. Facts that are not known are `None`; a filter on them never holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The address of the client.
    pub client: Option<IpAddr>,
    /// The name of the listener it came in by.
    pub listener: Option<String>,
    /// The argument of EHLO, HELO or LHLO as received.
    pub helo: Option<Vec<u8>>,
    /// AUTH= of a trusted client's MAIL command (RFC 4954), decoded.
    pub auth_user: Option<String>,
    /// The name of the client, as somebody who looked it up said.
    pub name: Option<Vec<u8>>,
    /// The client's port.
    pub port: Option<u16>,
    /// The protocol that the mail came in by: `SMTP`, `ESMTP`.
    pub proto: Option<Vec<u8>>,
    /// The mail's identifier on the machine before.
    pub ident: Option<Vec<u8>>,
    pub source: Option<Source>,
}

/// Where the machine before had the mail from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Its own users and programs.
    Local,
    /// The network.
    Remote,
}
