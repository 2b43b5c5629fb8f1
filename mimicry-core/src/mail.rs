//! What the engine judges: origin, envelope and message together.

use std::collections::HashSet;

use crate::domain::{compared_address, compared_path};
use crate::envelope::{Envelope, Path};
use crate::message::Message;
use crate::message::address::addresses;
use crate::origin::Origin;

/// One mail in hand.
#[derive(Debug)]
pub struct Mail {
    pub origin: Origin,
    pub envelope: Envelope,
    pub message: Message,
    pub received: Moment,
}

impl Mail {
    /// The same mail with another message.
    pub fn with(&self, message: Message) -> Mail {
        Mail {
            origin: self.origin.clone(),
            envelope: self.envelope.clone(),
            message,
            received: self.received,
        }
    }
}

/// Whom the header of a message names as its recipients. Who is not among them gets it in secret.
#[derive(Debug)]
pub struct Addressees(HashSet<String>);

impl Addressees {
    pub fn of(message: &Message) -> Addressees {
        const NAMING: &[&str] = &["to", "cc", "resent-to", "resent-cc"];
        let fields = message.root().fields();
        let all = fields
            .filter(|field| NAMING.iter().any(|name| field.is(name)))
            .flat_map(|field| addresses(field.value()));
        Addressees(all.map(|one| compared_address(&one.addr)).collect())
    }

    /// Is the recipient among them.
    pub fn hold(&self, recipient: &Path) -> bool {
        self.0.contains(&compared_path(recipient))
    }
}

/// A moment, and the time of day that it was here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Seconds since 1970 in UTC.
    pub unix: i64,
    /// Seconds that the local time is ahead of UTC.
    pub offset: i32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Limits;

    #[test]
    fn whom_the_header_names() {
        let header = "To: Bob <Bob@Example.org>, \"anna b\"@example.org,\r\n\t\"carl\"@b\u{fc}cher.example\r\nCc: team: eve@example.org;\r\n\
            Resent-To: dan@example.org\r\nBcc: fay@example.org\r\nFrom: gil@example.org\r\n\r\nTo: hal@example.org\r\n";
        let message = Message::scan(header.as_bytes().to_vec(), &Limits::default());
        let addressees = Addressees::of(&message);
        for (path, is_named) in [
            ("bob@example.org", true),
            ("\"bob\"@example.org", true),
            ("bob+x@example.org", false),
            ("\"Anna\\ B\"@example.org", true),
            ("carl@xn--bcher-kva.example", true),
            ("eve@example.org", true),
            ("dan@example.org", true),
            ("fay@example.org", false),
            ("gil@example.org", false),
            ("hal@example.org", false),
            ("", false),
        ] {
            assert_eq!(addressees.hold(&Path::new(path)), is_named, "{path}");
        }
    }
}
