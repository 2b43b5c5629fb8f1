//! The envelope: who sends, who receives, and the ESMTP parameters, octet for octet as they came (RFC 5321).
//!
//! Must never rewrite an address: a path is handed on, compared and printed, never normalised.

use std::fmt;

use crate::printable::Printable;

/// An address as it stood between the angle brackets of MAIL or RCPT. The null return path is empty.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Path(Vec<u8>);

impl Path {
    /// The octets between `<` and `>`, neither included.
    pub fn new(octets: impl Into<Vec<u8>>) -> Path {
        Path(octets.into())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The return path of delivery reports (RFC 5321 section 4.5.5).
    pub fn is_null(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Path {
    /// For people and logs: on one line, whatever it holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printable(&self.0).fmt(f)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{self}>")
    }
}

/// A recipient of the envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    pub path: Path,
    /// The parameters after the path, verbatim (`NOTIFY=NEVER ORCPT=rfc822;a@example.org`); empty = none.
    pub params: Vec<u8>,
}

impl Recipient {
    pub fn new(path: impl Into<Vec<u8>>) -> Recipient {
        Recipient {
            path: Path::new(path),
            params: Vec::new(),
        }
    }
}

/// Sender and recipients of one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    pub sender: Path,
    /// The parameters of MAIL, verbatim; empty = none.
    pub sender_params: Vec<u8>,
    /// Octets that the client said the message has (SIZE, RFC 1870).
    pub declared_size: Option<u64>,
    pub recipients: Vec<Recipient>,
}

impl Envelope {
    /// Without parameters.
    pub fn new<R: Into<Vec<u8>>>(
        sender: impl Into<Vec<u8>>,
        recipients: impl IntoIterator<Item = R>,
    ) -> Envelope {
        Envelope {
            sender: Path::new(sender),
            recipients: recipients.into_iter().map(Recipient::new).collect(),
            ..Envelope::default()
        }
    }
}
