//! Addresses of From, Sender, To and Cc, decoded, as filters see them.
//!
//! mailparse's `addrparse_header` does the grammar (groups, comments, quoted pairs, words decoded after the list was
//! taken apart; never `addrparse` on a decoded value, where an encoded comma becomes a separator). If it refuses a
//! whole field because of one odd address, a scan of our own reads the field.
//!
//! Must never: hand mailparse a value on which it is slow (see [`AFFORDABLE`]); leave out a
//! `local@domain` that stands outside of names and comments, since a filter would miss it.
//!
//! Known limits: a route (`<@a,@b:c@d>`) is kept as it stands in the address.

use std::borrow::Cow;

use mailparse::MailAddr;
use memchr::memmem;

use super::header::unfold;
use super::words;

/// mailparse looks for a word boundary by counting characters from the start of the line, at every `=?` and
/// `?=`: its time grows with their number times the length. This product costs about 10 ms; past
/// it, our own scan reads the value. A list without encoded words is linear at any length.
const AFFORDABLE: usize = 10_000_000;
/// Longest value that mailparse gets: its tokens cost many times the value in memory.
const LENGTH_MAX: usize = 256 * 1024;

/// One mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The display name, decoded; empty when there is none.
    pub display: String,
    /// `local@domain` as it stands in the value.
    pub addr: String,
}

/// The mailboxes of a raw field value, groups taken apart. `<>` and names without an address yield none.
pub fn addresses(raw_value: &[u8]) -> Vec<Address> {
    let value = unfold(raw_value);
    by_mailparse(&value)
        .filter(|list| !list.is_empty())
        .unwrap_or_else(|| by_scan(&value))
}

/// What the filters `header_sender` and `header_recipient` judge: the addresses without their names.
pub fn filter_text(raw_value: &[u8]) -> Vec<String> {
    addresses(raw_value)
        .into_iter()
        .map(|address| address.addr)
        .collect()
}

fn by_mailparse(value: &[u8]) -> Option<Vec<Address>> {
    let marks = memmem::find_iter(value, b"=?").count() + memmem::find_iter(value, b"?=").count();
    if value.len() > LENGTH_MAX || marks.saturating_mul(value.len()) > AFFORDABLE {
        return None;
    }
    let mut field = b"To: ".to_vec();
    field.extend(value.iter().map(|b| {
        if matches!(b, b'\r' | b'\n' | 0) {
            b' '
        } else {
            *b
        }
    }));
    let (header, _) = mailparse::parse_header(&field).ok()?;
    let list = mailparse::addrparse_header(&header).ok()?;
    let singles = list.iter().flat_map(|entry| match entry {
        MailAddr::Single(single) => std::slice::from_ref(single),
        MailAddr::Group(group) => group.addrs.as_slice(),
    });
    let address = |single: &mailparse::SingleInfo| Address {
        display: one_line(single.display_name.as_deref().unwrap_or_default()),
        addr: one_line(&single.addr),
    };
    let list: Vec<Address> = singles.map(address).collect();
    // A missing comma or bracket ends up inside an address: then it read something else than there is.
    let plain = |addr: &str| {
        !addr.contains(['<', '>', ',', ';', '(', '"'])
            && !addr.contains(char::is_whitespace)
            && addr.matches('@').count() == 1
    };
    list.iter()
        .all(|address| plain(&address.addr))
        .then_some(list)
}

fn one_line(text: &str) -> String {
    text.replace(['\r', '\n', '\0'], " ").trim().to_owned()
}

/// Entries between commas, semicolons and group colons; quotes, comments and brackets are looked through.
fn by_scan(value: &[u8]) -> Vec<Address> {
    let mut found = Vec::new();
    let mut entry = Entry::default();
    let mut rest = value;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'\\' if entry.comments > 0 => rest = tail.get(1..).unwrap_or_default(),
            b'"' if entry.comments == 0 => {
                let end = quoted_len(tail);
                let (inner, after) = tail.split_at_checked(end).unwrap_or((tail, &[]));
                entry.push_quoted(inner);
                rest = after.get(1..).unwrap_or_default();
            }
            b'(' => entry.comments += 1,
            b')' if entry.comments > 0 => entry.comments -= 1,
            _ if entry.comments > 0 => {}
            b'<' => entry.bracket = true,
            b'>' if entry.bracket => {
                entry.bracket = false;
                entry.take(&mut found);
            }
            b',' | b';' if !entry.bracket => entry.take(&mut found),
            b':' if !entry.bracket && !entry.text.contains(&b'@') => entry = Entry::default(),
            other if entry.bracket => entry.addr.push(*other),
            other => entry.text.push(*other),
        }
    }
    entry.take(&mut found);
    found
}

/// Octets up to the closing quote; to the end of the value where there is none.
fn quoted_len(text: &[u8]) -> usize {
    let mut escaped = false;
    text.iter()
        .position(|b| {
            let closes = *b == b'"' && !escaped;
            escaped = *b == b'\\' && !escaped;
            closes
        })
        .unwrap_or(text.len())
}

#[derive(Debug, Default)]
struct Entry {
    /// Outside of brackets: the display name, or a bare address.
    text: Vec<u8>,
    /// Within brackets.
    addr: Vec<u8>,
    bracket: bool,
    comments: usize,
}

impl Entry {
    fn push_quoted(&mut self, inner: &[u8]) {
        let target = if self.bracket {
            &mut self.addr
        } else {
            &mut self.text
        };
        target.push(b'"');
        target.extend_from_slice(inner);
        target.push(b'"');
    }

    fn take(&mut self, found: &mut Vec<Address>) {
        let entry = std::mem::take(self);
        let bracketed = entry.addr.trim_ascii();
        if bracketed.contains(&b'@') {
            found.push(Address {
                display: words::decode(&unquoted(entry.text.trim_ascii()))
                    .trim()
                    .to_owned(),
                addr: words::decode(bracketed),
            });
        }
        // Also a name may look like an address, and a bracket may have been forgotten.
        if bracketed.is_empty() {
            for word in bare_words(&entry.text) {
                if word.contains(&b'@') {
                    found.push(Address {
                        display: String::new(),
                        addr: words::decode(word),
                    });
                }
            }
        }
    }
}

/// The name without its quotes.
fn unquoted(text: &[u8]) -> Cow<'_, [u8]> {
    match text.iter().any(|b| matches!(b, b'"' | b'\\')) {
        true => Cow::Owned(
            text.iter()
                .copied()
                .filter(|b| !matches!(b, b'"' | b'\\'))
                .collect(),
        ),
        false => Cow::Borrowed(text),
    }
}

/// Stretches between blanks outside of quotes.
fn bare_words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    text.split(move |b| {
        quoted ^= *b == b'"';
        !quoted && b.is_ascii_whitespace()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lists() {
        for (value, expected) in [
            (&b"a@b"[..], &["|a@b"][..]),
            (b" A B <a@b>", &["A B|a@b"]),
            (b"\"B, A\" <a@b>, c@d", &["B, A|a@b", "|c@d"]),
            (b"=?utf-8?Q?B=2C_=C3=84?= <a@b>", &["B, Ä|a@b"]),
            (
                b"=?utf-8?Q?B?=\r\n =?utf-8?Q?=C3=84?= <a@b>,\r\n c@d",
                &["BÄ|a@b", "|c@d"],
            ),
            (b"a@b (comment), (x) c@d", &["|a@b", "|c@d"]),
            (b"team: a@b, C <c@d>;", &["|a@b", "C|c@d"]),
            (b"undisclosed-recipients:;", &[]),
            (b"undisclosed-recipients: ;", &[]),
            (b"<>", &[]),
            (b"", &[]),
            (b"nobody", &[]),
            (b"\"a b\"@c", &["|\"a b\"@c"]),
            (b"A <\"a b\"@c>, d@e", &["A|\"a b\"@c", "|d@e"]),
            (b"<>, a@b", &["|a@b"]),
            (b"A <a@b> junk, c@d", &["A|a@b", "|c@d"]),
            (b"A <a@b", &["A|a@b"]),
            (b"a@b c@d", &["|a@b", "|c@d"]),
            (b"a@b c@d (5\" \\) disk)", &["|a@b", "|c@d"]),
            (b"a@b; c@d", &["|a@b", "|c@d"]),
            (b"team: x: a@b;;", &["|a@b"]),
            (b"caf\xe9 <a@b>", &["café|a@b"]),
            (b"caf\xc3\xa9 <\xc3\xa4@b>", &["café|ä@b"]),
            (b"\"x@evil\" <a@b>", &["x@evil|a@b"]),
            (b"\"open <a@b>", &[]),
            (b"A <a@b\r\n >", &["A|a@b"]),
            (b"=?utf-8?Q?x=0D=0AEvil:_y?= <a@b>", &["x  Evil: y|a@b"]),
        ] {
            let got: Vec<String> = addresses(value)
                .into_iter()
                .map(|a| format!("{}|{}", a.display, a.addr))
                .collect();
            if value.starts_with(b"\"open") {
                assert!(got.iter().all(|a| a.contains("a@b")), "{got:?}");
                continue;
            }
            assert_eq!(got, expected, "{}", String::from_utf8_lossy(value));
        }
        assert_eq!(filter_text(b"A <a@b>, c@d"), ["a@b", "c@d"]);
    }

    #[test]
    fn hostile_lists() {
        let openers = [&b"a@b, "[..], &b"=?".repeat(1_000_000)].concat();
        assert_eq!(
            filter_text(&openers).first().map(String::as_str),
            Some("a@b")
        );
        let comments = [&b"a@b "[..], &b"(".repeat(1_000_000)].concat();
        assert_eq!(filter_text(&comments), ["a@b"]);
        let many = b"a@b, ".repeat(50_000);
        assert_eq!(filter_text(&many).len(), 50_000);
        let _ = filter_text(&b"a:".repeat(100_000));
        let _ = filter_text(&b"\"".repeat(100_001));
        let _ = filter_text(&b"<".repeat(100_000));
    }

    proptest! {
        #[test]
        fn both_ways_agree(list in proptest::collection::vec(("[A-Z][a-z]{0,5}( [A-Z][a-z]{0,5})?", "[a-z.]{1,6}@[a-z.]{1,6}", 0..3u8), 1..6)) {
            let entries: Vec<String> = list.iter().map(|(name, addr, form)| match form {
                0 => addr.clone(),
                1 => format!("{name} <{addr}>"),
                _ => format!("\"{name}\" <{addr}>"),
            }).collect();
            let value = entries.join(", ");
            prop_assert_eq!(by_mailparse(value.as_bytes()), Some(by_scan(value.as_bytes())));
            prop_assert_eq!(filter_text(value.as_bytes()).len(), list.len());
        }

        #[test]
        fn anything_is_survived(value in "[a@<>\",;:() =?\\\\\r\né]{0,60}") {
            for address in addresses(value.as_bytes()) {
                prop_assert!(address.addr.contains('@'));
                prop_assert!(!address.addr.contains(['\r', '\n', '\0']) && !address.display.contains(['\r', '\n', '\0']));
            }
        }

        #[test]
        fn random_octets_are_survived(value: Vec<u8>) {
            let _ = addresses(&value);
        }
    }
}
