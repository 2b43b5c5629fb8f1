//! Whom a mail is from, for those who sign in his name.
//!
//! Must never: choose among several fields: readers would not agree on one.

use mimicry_core::message::Message;
use mimicry_core::message::address::addresses;
use mimicry_core::plugin::Fault;

/// The first address in From; `None` = there is none in it.
pub fn author_of(message: &Message) -> Result<Option<String>, Fault> {
    let root = message.root();
    let mut from = root.fields().filter(|field| field.is("from"));
    let (first, others) = (from.next(), from.count());
    let Some(field) = first else {
        return Err(Fault::Permanent("the mail has no From field".into()));
    };
    if others > 0 {
        let many = others.saturating_add(1);
        return Err(Fault::Permanent(format!(
            "the mail has {many} From fields, and readers would not agree on its author"
        )));
    }
    let list = addresses(field.value());
    Ok(list.into_iter().next().map(|address| address.addr))
}

#[cfg(test)]
mod tests {
    use mimicry_core::message::Limits;

    use super::*;

    /// The address in the brackets, whatever stands around it.
    // T167
    #[test]
    fn names_do_not_pass_for_addresses() {
        for (from, expected) in [
            ("anna@example.org", "anna@example.org"),
            (
                "\"eve@evil.example\" <anna@example.org>",
                "anna@example.org",
            ),
            ("anna@example.org <eve@evil.example>", "eve@evil.example"),
            (
                "\"anna@example.org\" <eve@evil.example>",
                "eve@evil.example",
            ),
            (
                "=?utf-8?q?anna=40example.org?= <eve@evil.example>",
                "eve@evil.example",
            ),
            (
                "=?utf-8?q?=3Canna=40example.org=3E?= <eve@evil.example>",
                "eve@evil.example",
            ),
            ("(anna@example.org) eve@evil.example", "eve@evil.example"),
            ("eve@evil.example (<anna@example.org>)", "eve@evil.example"),
            (
                "\"<anna@example.org>\" <eve@evil.example>",
                "eve@evil.example",
            ),
            ("eve@evil.example, anna@example.org", "eve@evil.example"),
            (
                "Team: anna@example.org, eve@evil.example;",
                "anna@example.org",
            ),
            ("undisclosed:;", ""),
            ("", ""),
            ("Anna", ""),
            ("<>", ""),
            (
                "anna@example.org@evil.example",
                "anna@example.org@evil.example",
            ),
            ("anna@bücher.example", "anna@bücher.example"),
        ] {
            let octets = format!("From: {from}\r\n\r\nx\r\n").into_bytes();
            let author = author_of(&Message::scan(octets, &Limits::default()));
            assert_eq!(author.unwrap().unwrap_or_default(), expected, "{from}");
        }
    }
}
