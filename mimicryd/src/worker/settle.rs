//! What the client is told when the recipients of one mail end differently, and what must be remembered of it. Pure.
//!
//! An LMTP client hears of each recipient and needs nothing remembered. An SMTP client hears one reply: 2xx if all have the mail,
//! 4xx if any may still get it, and 5xx only if nobody may any more; then the text says who is refused and that the others have
//! it, because the client makes a report of it for its user.
//!
//! Must never: say 2xx for somebody who has not got the mail, or 5xx while somebody may still get it.

use mimicry_core::config::endpoint::Protocol;
use mimicry_core::envelope::Recipient;
use mimicry_core::reply::{Class, Reply};

use crate::smtp::session::Replies;

/// Refused recipients that are named; a reply has to stay short.
const NAMED: usize = 20;

/// Octets of an address that are shown.
const SHOWN: usize = 320;

/// Is the matter over for all of them? Then nothing is to be remembered any more.
pub fn is_final(ends: &[Reply]) -> bool {
    ends.iter()
        .all(|end| matches!(end.class(), Class::Done | Class::Permanent))
}

/// `ends` has the end of each recipient.
pub fn replies(client: Protocol, recipients: &[Recipient], ends: Vec<Reply>) -> Replies {
    if client == Protocol::Lmtp {
        return Replies::PerRecipient(ends);
    }
    let worst = ends
        .iter()
        .find(|end| !matches!(end.class(), Class::Done | Class::Permanent))
        .or_else(|| ends.iter().find(|end| !end.is_done()));
    let Some(worst) = worst else {
        let first = ends.into_iter().next();
        return Replies::One(first.unwrap_or_else(|| Reply::own(451, "4.3.0", "not handed on")));
    };
    let is_mixed = ends.iter().any(Reply::is_done);
    if !(is_mixed && is_final(&ends)) {
        return Replies::One(worst.clone());
    }
    let refused = || {
        let both = recipients.iter().zip(&ends);
        both.filter(|(_, end)| !end.is_done())
    };
    let mut text = worst.text().collect::<Vec<_>>().join(" ");
    text.push_str("\nrefused for these, all others have the mail:");
    for (recipient, _) in refused().take(NAMED) {
        let shown: String = recipient.path.to_string().chars().take(SHOWN).collect();
        text.push_str(&format!("\n<{shown}>"));
    }
    let more = refused().count().saturating_sub(NAMED);
    if more > 0 {
        text.push_str(&format!("\nand {more} more"));
    }
    Replies::One(Reply::new(worst.code(), worst.enhanced(), &text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(text: &str) -> Reply {
        let (code, text) = text.split_once(' ').unwrap();
        Reply::received(code.parse().unwrap(), &[text.as_bytes()])
    }

    fn recipients(count: usize) -> Vec<Recipient> {
        (1..=count)
            .map(|n| Recipient::new(format!("r{n}@x")))
            .collect()
    }

    #[test]
    fn an_smtp_client_hears_what_is_true_of_all() {
        for (ends, expected) in [
            ("250 2.0.0 one|250 2.0.0 two", "250 2.0.0 one"),
            ("250 2.0.0 one|451 4.0.0 no", "451 4.0.0 no"),
            ("550 5.7.1 no|451 4.0.0 wait|250 2.0.0 ok", "451 4.0.0 wait"),
            ("550 5.7.1 no|554 5.6.0 nor this", "550 5.7.1 no"),
            ("421 4.0.0 away|550 5.7.1 no", "421 4.0.0 away"),
            (
                "250 2.0.0 ok|550 5.7.1 not you|250 2.0.0 ok",
                "550 5.7.1 not you/refused for these, all others have the mail:/<r2@x>",
            ),
            (
                "552 5.2.2 full|250 2.0.0 ok|550 5.7.1 not you",
                "552 5.2.2 full/refused for these, all others have the mail:/<r1@x>/<r3@x>",
            ),
        ] {
            let ends: Vec<Reply> = ends.split('|').map(end).collect();
            let Replies::One(reply) =
                replies(Protocol::Smtp, &recipients(ends.len()), ends.clone())
            else {
                panic!("one reply");
            };
            let lines: Vec<&str> = reply.text().collect();
            let enhanced = reply
                .enhanced()
                .map(|code| code.to_string())
                .unwrap_or_default();
            assert_eq!(
                format!("{} {enhanced} {}", reply.code(), lines.join("/")),
                expected
            );
            // Whatever happens.
            assert_eq!(reply.is_done(), ends.iter().all(Reply::is_done));
            let may_still = ends.iter().any(|end| end.class() == Class::Temporary);
            assert_eq!(reply.class() == Class::Temporary, may_still);
            assert_eq!(is_final(&ends), !may_still);
        }
    }

    #[test]
    fn many_refused_are_counted() {
        let mut ends = vec![end("250 2.0.0 ok")];
        ends.resize(31, end("550 5.1.1 who"));
        let Replies::One(reply) = replies(Protocol::Smtp, &recipients(31), ends) else {
            panic!("one reply");
        };
        let lines: Vec<&str> = reply.text().collect();
        assert_eq!(lines.len(), 2 + NAMED + 1);
        assert_eq!(lines.last(), Some(&"and 10 more"));
    }

    #[test]
    fn an_lmtp_client_hears_each_end() {
        let ends: Vec<Reply> = ["250 2.0.0 ok", "550 5.7.1 no", "451 4.0.0 wait"]
            .map(end)
            .into();
        assert_eq!(
            replies(Protocol::Lmtp, &recipients(3), ends.clone()),
            Replies::PerRecipient(ends)
        );
    }
}
