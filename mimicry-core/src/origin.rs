//! Where a mail came from: facts of the connection, after what a trusted client said of the one before it.
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
}
