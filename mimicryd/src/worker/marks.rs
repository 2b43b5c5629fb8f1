//! By what a mail is found in the logs of others: its Message-ID, the queue id on the machine before, and, if it is wanted, its subject.
//!
//! Must never: believe them. Whoever wrote the mail may have chosen them; they are for people who read logs.

use mimicry_core::mail::Mail;
use mimicry_core::message::Message;

/// Octets of each that are kept; a longer one is nobody's that is looked for.
const MOST: usize = 1000;

/// What a line of the log has of it.
#[derive(Debug, Default)]
pub struct Marks {
    pub queue: Option<Vec<u8>>,
    pub message_id: Option<Vec<u8>>,
    pub subject: Option<Vec<u8>>,
}

impl Marks {
    pub fn of(mail: &Mail, with_subject: bool) -> Marks {
        let message = &mail.message;
        let ident = mail.origin.ident.clone();
        let subject = || field(message, "subject").map(|field| field.decoded().into_bytes());
        Marks {
            queue: ident.or_else(|| queue_id(message)).map(cut),
            message_id: field(message, "message-id")
                .map(|field| field.unfolded().trim_ascii().to_vec())
                .filter(|id| !id.is_empty())
                .map(cut),
            subject: with_subject.then(subject).flatten().map(cut),
        }
    }
}

fn field<'m>(message: &'m Message, name: &str) -> Option<mimicry_core::message::header::Field<'m>> {
    message.root().fields().find(|field| field.is(name))
}

/// What stands behind `id` in the topmost Received field, which the client wrote if it wrote any (RFC 5321 section 4.4).
fn queue_id(message: &Message) -> Option<Vec<u8>> {
    let value = field(message, "received")?.unfolded().into_owned();
    // Comments may hold the word, too.
    let (mut depth, mut plain) = (0_usize, Vec::with_capacity(value.len()));
    for octet in value {
        match octet {
            b'(' => depth = depth.saturating_add(1),
            b')' => depth = depth.saturating_sub(1),
            octet if depth == 0 => plain.push(octet),
            _ => {}
        }
    }
    let clauses = plain.split(|octet| *octet == b';').next()?;
    let mut words = clauses
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    words.find(|word| word.eq_ignore_ascii_case(b"id"))?;
    let id = words.next()?;
    let is_plain = id.iter().all(u8::is_ascii_graphic) && id.len() <= 100;
    is_plain.then(|| id.to_vec())
}

fn cut(mut octets: Vec<u8>) -> Vec<u8> {
    octets.truncate(MOST);
    octets
}

#[cfg(test)]
mod tests {
    use mimicry_core::envelope::Envelope;
    use mimicry_core::message::Limits;
    use mimicry_core::origin::Origin;

    use super::*;

    fn of(header: &str) -> [Option<String>; 3] {
        let raw = format!("{header}\r\nbody\r\n").into_bytes();
        let mail = Mail {
            origin: Origin::default(),
            envelope: Envelope::default(),
            message: Message::scan(raw, &Limits::default()),
            received: Default::default(),
        };
        let marks = Marks::of(&mail, true);
        [marks.queue, marks.message_id, marks.subject]
            .map(|octets| octets.map(|octets| String::from_utf8(octets).unwrap()))
    }

    #[test]
    fn what_the_logs_of_others_have() {
        let some = |text: &str| Some(text.to_string());
        for (header, expected) in [
            ("X: y\r\n", [None, None, None]),
            (
                "Received: from a (b [192.0.2.1])\r\n\tby mx.example.org (Postfix) with ESMTPS id 4Zq01x\r\n\tfor <b@c>; Sun, 29 Nov\r\nReceived: by y id other; x\r\nMessage-ID:\r\n <1@example.org>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n b\r\n",
                [some("4Zq01x"), some("<1@example.org>"), some("Grüße b")],
            ),
            (
                "Received: from exim (helo=x)\r\n by y with esmtp (Exim 4.96)\r\n (envelope-from <a@b> id no)\r\n id 1qabcd-0001-2z; x\r\n",
                [some("1qabcd-0001-2z"), None, None],
            ),
            (
                "Received: by y; id no\r\nMessage-ID: \r\n",
                [None, None, None],
            ),
            ("Received: by y id\r\n", [None, None, None]),
            ("Received: by y (id x\r\n", [None, None, None]),
            ("Received: by y id \u{fc}; x\r\n", [None, None, None]),
        ] {
            assert_eq!(of(header), expected, "{header}");
        }
        let long = of(&format!("Message-ID: <{}>\r\n", "x".repeat(5000)));
        assert_eq!(long[1].as_ref().map(String::len), Some(MOST));
    }

    #[test]
    fn what_a_trusted_client_says_counts_first() {
        let mail = Mail {
            origin: Origin {
                ident: Some(b"4Xf".to_vec()),
                ..Origin::default()
            },
            envelope: Envelope::default(),
            message: Message::scan(
                b"Received: by x id 4Zq; d\r\nSubject: s\r\n\r\n".to_vec(),
                &Limits::default(),
            ),
            received: Default::default(),
        };
        let marks = Marks::of(&mail, false);
        assert_eq!(marks.queue.as_deref(), Some(&b"4Xf"[..]));
        assert_eq!(marks.subject, None);
    }
}
