//! How a mail is recognised when it is sent again, and what is noted of a mail that was kept.
//!
//! Three hashes: of the octets below the leading trace block (the digest), of the envelope, and of that block. The same words to
//! other people are another mail. The same words to the same people are the same mail; but as anybody may write trace fields,
//! a block that is not the one kept is kept too.
//!
//! Must never: take two mails for one if an octet, the sender or a recipient would then be kept nowhere.
//!
//! Known limit: two mails that differ in ESMTP parameters, or in the order of their recipients, are one.

use mimicry_core::mail::Mail;
use mimicry_core::message::Part;
use mimicry_core::message::digest::{Digest, trace_block};

/// Digits of a hash in a name: 128 bits, so that nobody finds two envelopes of one name.
const SHORT: usize = 32;

/// Octets of a section in a name; file systems end at 255 for all of it.
const LONGEST_SECTION: usize = 60;

/// The hashes of one mail, each of 64 digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub digest: String,
    envelope: String,
    pub trace: String,
}

impl Key {
    pub fn of(mail: &Mail) -> Key {
        Key {
            digest: Digest::of(&mail.message).to_string(),
            envelope: envelope(mail).to_string(),
            trace: Digest::of_octets(trace_block(&mail.message)).to_string(),
        }
    }

    /// One of 256: mails of the same digest have the same.
    pub fn slot(&self) -> &str {
        self.digest.get(..2).unwrap_or_default()
    }

    /// The name of the copy: digest and envelope.
    pub fn copy(&self) -> String {
        format!("{}-{}", self.digest, short(&self.envelope))
    }

    /// The name of what is particular to this coming of the mail: the trace block too.
    pub fn coming(&self) -> String {
        format!("{}-{}", self.copy(), short(&self.trace))
    }
}

/// Sender and recipients; each with its length before it, so that no two envelopes are one row of octets.
fn envelope(mail: &Mail) -> Digest {
    let envelope = &mail.envelope;
    let recipients = envelope.recipients.iter();
    let mut recipients: Vec<&[u8]> = recipients.map(|one| one.path.as_bytes()).collect();
    recipients.sort_unstable();
    recipients.dedup();
    let mut octets = Vec::new();
    for path in std::iter::once(envelope.sender.as_bytes()).chain(recipients) {
        octets.extend_from_slice(&(path.len() as u64).to_be_bytes());
        octets.extend_from_slice(path);
    }
    Digest::of_octets(&octets)
}

fn short(hash: &str) -> &str {
    hash.get(..SHORT).unwrap_or(hash)
}

/// The section of a part as it may stand in a file name: parts can be nested deeper than names can be long.
pub fn section(part: Part<'_>) -> String {
    let section = part.section_text();
    if section.len() <= LONGEST_SECTION {
        return section;
    }
    short(&Digest::of_octets(section.as_bytes()).to_string()).to_string()
}

/// What is noted of a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// Where it is in a mailbox that grows; else empty.
    pub mark: String,
    /// The hash of the trace block that was kept.
    pub trace: String,
    /// The folder below the declared directory, with `/` between its names.
    pub folder: String,
    /// The copy's name there, without what a layout adds.
    pub name: String,
}

impl Note {
    /// `None` = it was not written to its end, which may happen when the power fails.
    pub fn parse(text: &[u8]) -> Option<Note> {
        let mut lines = std::str::from_utf8(text).ok()?.split('\n');
        let mut line = || lines.next().map(str::to_string);
        let note = Note {
            mark: line()?,
            trace: line()?,
            folder: line()?,
            name: line()?,
        };
        // Behind the last line end is an empty line.
        line().is_some().then_some(note)
    }

    pub fn text(&self) -> String {
        let Note {
            mark,
            trace,
            folder,
            name,
        } = self;
        format!("{mark}\n{trace}\n{folder}\n{name}\n")
    }
}

#[cfg(test)]
mod tests {
    use mimicry_core::envelope::{Path, Recipient};

    use super::super::tests::mail;
    use super::*;

    /// T180: what makes another copy, what the same one, and what is kept beside it.
    #[test]
    fn the_key_is_digest_envelope_and_trace() {
        let of = |message: &str, sender: &str, to: &[&str]| {
            let mut mail = mail(message.as_bytes());
            mail.envelope.sender = Path::new(sender);
            mail.envelope.recipients = to.iter().map(|one| Recipient::new(*one)).collect();
            Key::of(&mail)
        };
        let words = "Subject: x\r\n\r\nwords\r\n";
        let known = of(words, "a@x", &["b@x", "c@x"]);
        for (message, sender, to, same_copy, same_coming) in [
            (words, "a@x", &["b@x", "c@x"][..], true, true),
            (words, "a@x", &["c@x", "b@x"], true, true),
            (words, "a@x", &["c@x", "b@x", "b@x"], true, true),
            (words, "a@x", &["b@x"], false, false),
            (words, "a@x", &["b@x", "c@x", "d@x"], false, false),
            (words, "", &["a@x", "b@x", "c@x"], false, false),
            (words, "b@x", &["a@x", "c@x"], false, false),
            (words, "a@xb@x", &["c@x"], false, false),
            (words, "a@x", &["b@xc@x"], false, false),
            (words, "a@x", &["B@x", "c@x"], false, false),
            (
                "Subject: x\r\n\r\nother\r\n",
                "a@x",
                &["b@x", "c@x"],
                false,
                false,
            ),
            (
                "Received: y\r\nSubject: x\r\n\r\nwords\r\n",
                "a@x",
                &["b@x", "c@x"],
                true,
                false,
            ),
            (
                "X-Y: y\r\nSubject: x\r\n\r\nwords\r\n",
                "a@x",
                &["b@x", "c@x"],
                false,
                false,
            ),
        ] {
            let key = of(message, sender, to);
            assert_eq!(
                key.copy() == known.copy(),
                same_copy,
                "{message} {sender} {to:?}"
            );
            assert_eq!(
                key.coming() == known.coming(),
                same_coming,
                "{message} {sender} {to:?}"
            );
        }
        assert!(known.coming().len() < 140);
    }

    #[test]
    fn a_note_is_whole_or_none() {
        let note = Note {
            trace: "t".into(),
            name: "n".into(),
            ..Note::default()
        };
        let text = note.text();
        assert_eq!(Note::parse(text.as_bytes()), Some(note));
        for cut in 0..text.len() {
            assert_eq!(Note::parse(&text.as_bytes()[..cut]), None, "{cut}");
        }
    }
}
