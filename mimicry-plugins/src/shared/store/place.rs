//! Where things are kept: a fixed directory, and below it folders whose names may contain facts of the mail.
//!
//! A pattern is a path with tokens: `/srv/archive/{{ year }}-{{ month }}/{{ sender.domain }}`. What stands before the first
//! component with a token is the declared directory.
//!
//! Must never: let a fact of a mail become a path. What a token stands for is cut to letters, digits and `+ = @ . _ -`, never
//! begins with a dot, and never ends a component or begins another.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::Offset;
use mimicry_core::envelope::Path as Address;
use mimicry_core::plugin::Task;

/// The folder in each declared directory that is the store's own.
pub const OWN: &str = ".mimicry";

/// Octets that a token stands for.
const LONGEST: usize = 64;

/// Octets of a folder's name; file systems end at 255.
const LONGEST_NAME: usize = 200;

/// What may stand between the braces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Date,
    Year,
    Month,
    Day,
    SenderDomain,
    SenderLocal,
    RecipientDomain,
    RecipientLocal,
}

const TOKENS: &[(&str, Token)] = &[
    ("date", Token::Date),
    ("year", Token::Year),
    ("month", Token::Month),
    ("day", Token::Day),
    ("sender.domain", Token::SenderDomain),
    ("sender.local", Token::SenderLocal),
    ("recipient.domain", Token::RecipientDomain),
    ("recipient.local", Token::RecipientLocal),
];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Token(Token),
}

/// A pattern that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderPattern {
    declared: PathBuf,
    /// Names of folders, the outermost first.
    below: Vec<Vec<Piece>>,
}

/// What is wrong with a pattern, and what would be right.
pub type Wrong = (String, String);

impl FolderPattern {
    pub fn parse(pattern: &Path) -> Result<FolderPattern, Wrong> {
        let mut declared = PathBuf::new();
        let mut below: Vec<Vec<Piece>> = Vec::new();
        for component in pattern.components() {
            let Component::Normal(name) = component else {
                if below.is_empty() {
                    declared.push(component);
                    continue;
                }
                return Err((
                    "`..` after a token".into(),
                    "write the directory without it".into(),
                ));
            };
            let pieces = match name.to_str() {
                Some(name) => pieces(name)?,
                None => Vec::new(),
            };
            let has_token = pieces.iter().any(|piece| matches!(piece, Piece::Token(_)));
            if name == OWN {
                let help =
                    format!("{OWN} is where unfinished work and what was kept lately is noted");
                return Err((format!("{OWN} is taken"), help));
            }
            if below.is_empty() && !has_token {
                declared.push(name);
            } else {
                below.push(pieces);
            }
        }
        if !declared
            .components()
            .any(|one| matches!(one, Component::Normal(_)))
        {
            return Err((
                "the directory begins with a token".into(),
                "begin with the name of a directory that exists, such as /srv/archive/{{ year }}"
                    .into(),
            ));
        }
        Ok(FolderPattern { declared, below })
    }

    pub fn declared(&self) -> &Path {
        &self.declared
    }

    /// Whether a token stands for a recipient.
    pub fn reads_recipients(&self) -> bool {
        self.below.iter().flatten().any(|piece| {
            matches!(
                piece,
                Piece::Token(Token::RecipientDomain | Token::RecipientLocal)
            )
        })
    }

    /// The folders below the declared directory for one mail, the outermost first.
    pub fn folders(&self, task: &Task<'_>) -> Vec<OsString> {
        let names = self.below.iter().map(|pieces| name(pieces, task));
        names.map(OsString::from).collect()
    }
}

fn pieces(name: &str) -> Result<Vec<Piece>, Wrong> {
    let known = || {
        let names: Vec<String> = TOKENS
            .iter()
            .map(|(name, _)| format!("{{{{ {name} }}}}"))
            .collect();
        format!("the tokens are {}", names.join(", "))
    };
    let mut pieces = Vec::new();
    let mut rest = name;
    while let Some((before, behind)) = rest.split_once("{{") {
        let Some((word, behind)) = behind.split_once("}}") else {
            return Err((
                "a token is not closed, or has a slash in it".into(),
                known(),
            ));
        };
        let word = word.trim();
        let Some((_, token)) = TOKENS.iter().find(|(name, _)| *name == word) else {
            return Err((format!("unknown token `{word}`"), known()));
        };
        if !before.is_empty() {
            pieces.push(Piece::Text(before.into()));
        }
        pieces.push(Piece::Token(*token));
        rest = behind;
    }
    if rest.contains("}}") || rest.contains("{%") {
        return Err(("a brace that belongs to no token".into(), known()));
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.into()));
    }
    Ok(pieces)
}

fn name(pieces: &[Piece], task: &Task<'_>) -> String {
    let mut name = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => name.push_str(text),
            Piece::Token(token) => name.push_str(&value(*token, task)),
        }
    }
    while name.len() > LONGEST_NAME {
        name.pop();
    }
    // Text of the pattern and a token together, such as `.{{ sender.domain }}`.
    if name == OWN || name == "." || name == ".." {
        name.insert(0, '_');
    }
    name
}

/// What a token stands for: never empty.
fn value(token: Token, task: &Task<'_>) -> String {
    let mail = task.mail;
    let recipient = || {
        let first = task
            .recipients
            .first()
            .and_then(|index| mail.envelope.recipients.get(*index));
        first.map(|one| &one.path)
    };
    match token {
        Token::Date => date(task, "%Y-%m-%d"),
        Token::Year => date(task, "%Y"),
        Token::Month => date(task, "%m"),
        Token::Day => date(task, "%d"),
        Token::SenderDomain => domain(Some(&mail.envelope.sender)),
        Token::SenderLocal => local(Some(&mail.envelope.sender)),
        Token::RecipientDomain => domain(recipient()),
        Token::RecipientLocal => local(recipient()),
    }
}

fn date(task: &Task<'_>, format: &str) -> String {
    let moment = task.mail.received;
    let offset = Offset::from_seconds(moment.offset).unwrap_or(Offset::UTC);
    let date = Timestamp::from_second(moment.unix).unwrap_or_default();
    let text = jiff::fmt::strtime::format(format, &date.to_zoned(offset.to_time_zone()));
    safe(text.unwrap_or_default().as_bytes())
}

fn domain(path: Option<&Address>) -> String {
    safe(split(path).1)
}

fn local(path: Option<&Address>) -> String {
    safe(split(path).0)
}

/// `postmaster` has no domain (RFC 5321 section 4.5.1).
fn split(path: Option<&Address>) -> (&[u8], &[u8]) {
    let octets = path.map(Address::as_bytes).unwrap_or_default();
    match octets.iter().rposition(|octet| *octet == b'@') {
        Some(at) => (
            octets.get(..at).unwrap_or_default(),
            octets.get(at.saturating_add(1)..).unwrap_or_default(),
        ),
        None => (octets, b""),
    }
}

/// The octets as part of a name, whatever they are.
fn safe(octets: &[u8]) -> String {
    let mut text: String = octets
        .iter()
        .take(LONGEST)
        .map(|octet| match octet.to_ascii_lowercase() {
            octet @ (b'a'..=b'z' | b'0'..=b'9' | b'+' | b'=' | b'@' | b'.' | b'_' | b'-') => {
                char::from(octet)
            }
            _ => '_',
        })
        .collect();
    if text.is_empty() || text.starts_with('.') {
        text.insert(0, '_');
    }
    text
}

/// A name of ours, which has nothing of a mail but digits.
pub fn os(name: &str) -> &OsStr {
    OsStr::from_bytes(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use mimicry_core::envelope::Recipient;
    use proptest::prelude::*;

    use super::super::tests::{mail, task};
    use super::*;

    fn shown(pattern: &str) -> String {
        let (mail, none) = (mail(b"A: b\r\n\r\n"), BTreeMap::new());
        let task = task(&mail, &none);
        match FolderPattern::parse(Path::new(pattern)) {
            Ok(place) => {
                let folders = place.folders(&task);
                let below: Vec<&str> = folders.iter().map(|name| name.to_str().unwrap()).collect();
                format!("{} | {}", place.declared().display(), below.join("/"))
            }
            Err((wrong, _)) => wrong,
        }
    }

    #[test]
    fn patterns() {
        for (pattern, expected) in [
            ("/srv/archive", "/srv/archive | "),
            (
                "/srv/archive/{{ year }}-{{ month }}",
                "/srv/archive | 2026-11",
            ),
            ("/srv/{{year}}/{{month}}/{{day}}/x", "/srv | 2026/11/22/x"),
            ("/srv/{{ date }}", "/srv | 2026-11-22"),
            (
                "/srv/.{{ sender.domain }}.{{ sender.local }}",
                "/srv | .example.org.anna",
            ),
            (
                "/srv/{{ recipient.domain }}/{{ recipient.local }}",
                "/srv | example.com/bo",
            ),
            ("a/b/../{{ year }}", "a/b/.. | 2026"),
            ("{{ year }}/x", "the directory begins with a token"),
            ("/{{ year }}", "the directory begins with a token"),
            ("/srv/{{ year }}/../x", "`..` after a token"),
            ("/srv/{{ year }}/.mimicry", ".mimicry is taken"),
            ("/srv/{{ subject }}", "unknown token `subject`"),
            ("/srv/{{ year | upper }}", "unknown token `year | upper`"),
            (
                "/srv/{{ year",
                "a token is not closed, or has a slash in it",
            ),
            (
                "/srv/{{ year/x }}",
                "a token is not closed, or has a slash in it",
            ),
            ("/srv/year }}", "a brace that belongs to no token"),
            ("/srv/{% if year %}", "a brace that belongs to no token"),
        ] {
            assert_eq!(shown(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn what_tokens_stand_for() {
        for (octets, expected) in [
            (&b"Example.ORG"[..], "example.org"),
            (b"", "_"),
            (b"..", "_.."),
            (b".", "_."),
            (b"../../etc", "_.._.._etc"),
            (b"a/b\\c:d\0e", "a_b_c_d_e"),
            (b"[192.0.2.1]", "_192.0.2.1_"),
            ("bücher".as_bytes(), "b__cher"),
            (b"{{ year }}", "___year___"),
            (b".mimicry", "_.mimicry"),
        ] {
            assert_eq!(safe(octets), expected);
        }
        assert_eq!(safe(&[b'x'; 1000]).len(), LONGEST);
    }

    proptest! {
        /// T158, T81: whatever stands in an envelope, a folder is a folder, and no other than its own.
        #[test]
        fn no_mail_steers_out_of_the_directory(
            sender in hostile(), recipient in hostile(), unix in any::<i64>(), offset in any::<i32>(),
            pattern in proptest::sample::select(vec![
                "/srv/{{ sender.domain }}/{{ sender.local }}",
                "/srv/.{{ recipient.domain }}/{{ recipient.local }}",
                "/srv/{{ date }}.{{ sender.domain }}{{ sender.local }}{{ recipient.local }}{{ recipient.domain }}{{ sender.domain }}",
            ]),
        ) {
            let mut mail = mail(b"A: b\r\n\r\n");
            mail.envelope.sender = Address::new(sender);
            mail.envelope.recipients = vec![Recipient::new(recipient)];
            mail.received.unix = unix;
            mail.received.offset = offset;
            let none = BTreeMap::new();
            let place = FolderPattern::parse(Path::new(pattern)).unwrap();
            prop_assert_eq!(place.declared(), Path::new("/srv"));
            for name in place.folders(&task(&mail, &none)) {
                let text = name.to_str().unwrap();
                prop_assert!(!text.is_empty() && text.len() <= 255 && text != "." && text != ".." && text != OWN, "{text}");
                prop_assert!(text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"+=@._-".contains(&octet)), "{text}");
                let components: Vec<_> = Path::new(&name).components().collect();
                prop_assert_eq!(components, [Component::Normal(&name)]);
            }
        }
    }

    /// Addresses, and what tries to be more than one.
    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let piece = proptest::sample::select(vec![
            "..",
            ".",
            "/",
            "\\",
            "@",
            "\0",
            "~",
            "a",
            "new",
            "tmp",
            "mimicry",
            ".mimicry",
            "%2e",
            "\u{202e}",
            "{{ year }}",
            "\r\n",
            "CON",
            ":",
        ]);
        prop_oneof![
            proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat().into_bytes()),
            proptest::collection::vec(any::<u8>(), 0..300),
        ]
    }
}
