//! The trace field of a mail: `Received:`, put on top of the message.
//!
//! Must never: contain an octet from the client that could end the line or begin a comment.

use mimicry_core::message::Message;
use mimicry_core::origin::Origin;

/// RFC 5321 section 4.4. What the client said of itself goes in only as far as it can be a name.
pub fn field(origin: &Origin, hostname: &str, with: &str, id: &str, date: &str) -> Vec<u8> {
    let helo: String = origin
        .helo
        .iter()
        .flatten()
        .map(|octet| char::from(*octet))
        .filter(|char| {
            char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_' | ':' | '[' | ']')
        })
        .take(255)
        .collect();
    let helo = if helo.is_empty() { "unknown" } else { &helo };
    let client = match origin.client {
        Some(address) if address.is_ipv6() => format!(" ([IPv6:{address}])"),
        Some(address) => format!(" ([{address}])"),
        None => String::new(),
    };
    format!("Received: from {helo}{client}\r\n\tby {hostname} (mimicry) with {with} id {id};\r\n\t{date}\r\n").into_bytes()
}

/// What stands above the message: our trace field, and for a message that has no header at all the blank line that makes it
/// a body.
pub fn above(trace: Option<&[u8]>, message: &Message) -> Vec<u8> {
    let Some(trace) = trace else {
        return Vec::new();
    };
    let raw = message.raw();
    let starts_with_body =
        message.root().header().is_empty() && !raw.is_empty() && !raw.starts_with(b"\r\n");
    let blank: &[u8] = if starts_with_body { b"\r\n" } else { b"" };
    [trace, blank].concat()
}

/// Octets of [`above`] at most.
pub fn most_above(trace: &[u8]) -> usize {
    trace.len().saturating_add(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(client: Option<&str>, helo: &str) -> Origin {
        Origin {
            client: client.map(|address| address.parse().unwrap()),
            helo: Some(helo.as_bytes().to_vec()),
            ..Origin::default()
        }
    }

    #[test]
    fn fields() {
        const DATE: &str = "Sun, 22 Nov 2026 19:00:00 +0100";
        for (origin, from) in [
            (
                origin(Some("192.0.2.1"), "mx.example.org"),
                "mx.example.org ([192.0.2.1])",
            ),
            (
                origin(Some("2001:db8::1"), "[IPv6:2001:db8::1]"),
                "[IPv6:2001:db8::1] ([IPv6:2001:db8::1])",
            ),
            (origin(None, "a b(c)\r\nX: y"), "abcX:y"),
            (origin(None, "\u{fc}"), "unknown"),
        ] {
            let field = field(&origin, "mail.example.com", "ESMTP", "4kz", DATE);
            let expected = format!(
                "Received: from {from}\r\n\tby mail.example.com (mimicry) with ESMTP id 4kz;\r\n\t{DATE}\r\n"
            );
            assert_eq!(String::from_utf8(field).unwrap(), expected);
        }
    }

    #[test]
    fn the_trace_field_stands_above_everything() {
        for (raw, expected) in [
            ("Subject: x\r\n\r\nbody", "T: t\r\n"),
            ("\r\nbody", "T: t\r\n"),
            ("no header here", "T: t\r\n\r\n"),
            ("", "T: t\r\n"),
        ] {
            let message = Message::scan(raw.as_bytes().to_vec(), &Default::default());
            assert_eq!(
                String::from_utf8(above(Some(b"T: t\r\n"), &message)).unwrap(),
                expected
            );
            assert_eq!(above(None, &message), b"");
        }
    }
}
