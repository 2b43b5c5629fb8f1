//! What a session runs on, and what it says is to be done: the words between it and whoever owns the socket.
//!
//! Must never: decide anything.

use mimicry_core::envelope::{Envelope, Path, Recipient};
use mimicry_core::origin::Origin;
use mimicry_core::reply::Reply;
use mimicry_core::settings::endpoint::Protocol;
use mimicry_core::settings::words::{BareNewline, MboxLine};

use super::data::DataReader;

/// What holds for all sessions of a listener.
#[derive(Clone, Debug)]
pub struct Terms {
    pub hostname: String,
    pub protocol: Protocol,
    /// Octets of a mail.
    pub mail: usize,
    /// Accepted recipients of a transaction.
    pub recipients: usize,
    /// Errors that are answered; the next one ends the session.
    pub errors: u32,
    /// Commands between two mails that bring no mail forward; each further one counts as an error.
    pub junk_commands: u32,
    pub bare_newline: BareNewline,
    pub mbox_line: MboxLine,
}

/// Those of the terms that each mail may have other ones of.
#[derive(Clone, Copy, Debug)]
pub struct MailTerms {
    /// Octets of the mail.
    pub mail: usize,
    /// Accepted recipients.
    pub recipients: usize,
    pub bare_newline: BareNewline,
    pub mbox_line: MboxLine,
}

/// Finds the terms of a mail at MAIL.
pub type FindTerms<'t> = &'t dyn Fn(&Origin, &Path) -> MailTerms;

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Say it, then take the next line.
    Say(Replies),
    /// The transaction is over without a mail: the relay forgets what it was told of it. Say it, then take the next line.
    Reset(Replies),
    /// Ask the next hop for this recipient of [`Session::envelope`](super::session::Session::envelope); then [`Session::forwarded`](super::session::Session::forwarded).
    Forward(Recipient),
    /// Say 354 and read the message; then [`Session::received`](super::session::Session::received) or [`Session::refused`](super::session::Session::refused).
    Receive(DataPlan),
    /// Say it, throw away what else came, and speak TLS from now on; then [`Session::secured`](super::session::Session::secured). The relay forgets the transaction.
    StartTls(Reply),
    /// The relay forgets the transaction, if there is one. Say it, write all that is to be written, and close.
    Close(Reply),
}

/// The reply to a command, or those to the recipients of an LMTP mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replies {
    One(Reply),
    /// One per accepted recipient, in their order.
    PerRecipient(Vec<Reply>),
}

/// How a message is to be read, and whose it is.
#[derive(Debug, PartialEq, Eq)]
pub struct DataPlan {
    /// The 354.
    pub reply: Reply,
    /// It has at least one recipient, and each was accepted by the next hop.
    pub envelope: Envelope,
    /// For `with` in the Received field (RFC 3848, RFC 6531 section 4.3).
    pub with: &'static str,
    /// Octets of the message.
    pub limit: usize,
    pub bare_newline: BareNewline,
    pub mbox_line: MboxLine,
}

/// Why a session ends that the client did not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// The client was silent for too long.
    Idle,
    /// The session lasted too long.
    TooLong,
    /// It sends its message too slowly.
    TooSlow,
    /// It brings no mail forward while others wait for a worker.
    Stress,
    /// Its network has as many connections as it may have.
    Crowded,
    /// The daemon stops.
    Stopping,
    /// The worker retires, and others take connections.
    Retiring,
    /// Something here went wrong.
    Broken,
}

/// Who answered for a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The next hop, in its own words.
    NextHop,
    /// A limit of ours, or what became of the connection to the next hop.
    Ours,
}

impl DataPlan {
    pub fn reader(&self) -> DataReader {
        DataReader::new(self.limit, self.bare_newline, self.envelope.declared_size)
            .with_mbox_line(self.mbox_line)
    }
}

impl Replies {
    pub fn iter(&self) -> impl Iterator<Item = &Reply> {
        match self {
            Replies::One(reply) => std::slice::from_ref(reply).iter(),
            Replies::PerRecipient(replies) => replies.iter(),
        }
    }
}

impl From<Reply> for Replies {
    fn from(reply: Reply) -> Replies {
        Replies::One(reply)
    }
}
