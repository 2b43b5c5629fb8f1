//! What a worker counts: for itself, and for the listener by which its session came.
//!
//! Must never: have two counters for one thing.

#![forbid(unsafe_code)]

/// What a worker counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Sessions begun.
    Sessions,
    /// Transactions that got a final reply after the end of data, whichever: a worker that has one is no early death.
    Mails,
    /// Of these: mails that a rule edited.
    Edited,
    /// Mails with a final 4xx.
    Deferred,
    /// Mails with a final 5xx.
    Refused,
    /// Mails whose transaction panicked.
    Panics,
    /// Octets of messages that came in.
    OctetsIn,
    /// Octets of messages that the next hop took.
    OctetsOut,
    /// Clients that may not send.
    ClientRefused,
    /// MAIL commands that were refused or put off.
    MailRefused,
    /// RCPT commands that were refused or put off.
    RcptRefused,
    /// Messages that were refused before they were a mail, and DATA that came for nobody.
    DataRefused,
    /// Sessions that did not end by QUIT: 421, another protocol.
    SessionEnded,
    /// Clients that went amid a mail.
    ClientGone,
    /// Sessions that ended because all workers were busy, others waited, and they brought no mail forward.
    StressEnded,
    /// Connections beyond those that a network may have.
    ConnectionRefused,
}

impl Counter {
    pub const ALL: [Counter; 16] = [
        Counter::Sessions,
        Counter::Mails,
        Counter::Edited,
        Counter::Deferred,
        Counter::Refused,
        Counter::Panics,
        Counter::OctetsIn,
        Counter::OctetsOut,
        Counter::ClientRefused,
        Counter::MailRefused,
        Counter::RcptRefused,
        Counter::DataRefused,
        Counter::SessionEnded,
        Counter::ClientGone,
        Counter::StressEnded,
        Counter::ConnectionRefused,
    ];
}
