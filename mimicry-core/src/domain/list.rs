//! Lists of domains, as filters have them: each stands for itself or, with a dot before it, for itself and all below it. Very many
//! lists of very many domains are one table, in which a domain is looked up label by label.
//!
//! Must never: take for a domain what is an address, a glob or a regex.

use std::collections::HashMap;

use super::{DOTS, and_above, compared};

/// Octets of a domain in ASCII (RFC 1035 section 2.3.4), without the dot at its end.
const LONGEST: usize = 253;
/// Octets of a label in ASCII.
const LONGEST_LABEL: usize = 63;

/// One domain of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As it is compared.
    pub name: String,
    /// It stands for all below it, too.
    pub and_below: bool,
}

/// Why a text is no domain, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoDomain {
    pub message: String,
    pub help: String,
}

impl Entry {
    /// `example.org`, or `.example.org` for all below it as well.
    pub fn parse(text: &str) -> Result<Entry, NoDomain> {
        let bare = text.strip_prefix('.');
        let and_below = bare.is_some();
        match name_of(bare.unwrap_or(text)) {
            Some(name) => Ok(Entry { name, and_below }),
            None => Err(no_domain(text)),
        }
    }
}

/// A domain as it is compared, or an address in brackets (RFC 5321 section 4.1.3). `None` = it is none.
fn name_of(text: &str) -> Option<String> {
    if text.starts_with('[') {
        let is_address = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-');
        let inner = text.strip_prefix('[')?.strip_suffix(']')?;
        let is_literal = !inner.is_empty() && inner.chars().all(is_address);
        return is_literal.then(|| text.to_ascii_lowercase());
    }
    let without_dot = text.strip_suffix(DOTS).unwrap_or(text);
    let name = compared(without_dot);
    let is_label = |label: &str| {
        let is_inner = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_';
        !label.is_empty()
            && label.len() <= LONGEST_LABEL
            && label.bytes().all(is_inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_domain = !without_dot.is_empty()
        && !without_dot.ends_with(DOTS)
        && name.len() <= LONGEST
        && name.split('.').all(is_label);
    is_domain.then_some(name)
}

/// What somebody meant who wrote this.
fn no_domain(text: &str) -> NoDomain {
    let wrong = |message: &str, help: String| NoDomain {
        message: format!("\"{text}\" {message}"),
        help,
    };
    let domain = |text: &str| name_of(text.trim_start_matches('.')).map(|_| text.to_string());
    let write = |text: String| format!("write \"{text}\"");
    let example = || {
        "write one such as \"example.org\", or \".example.org\" for all below it as well"
            .to_string()
    };
    if text.trim().is_empty() {
        return NoDomain {
            message: "an empty domain".into(),
            help: example(),
        };
    }
    if let Some(trimmed) = domain(text.trim()).filter(|trimmed| trimmed != text) {
        return wrong("has a space at its end", write(trimmed));
    }
    let plain = text.replace("\\.", ".");
    let plain = plain.trim_start_matches('^').trim_end_matches('$');
    let plain = plain.trim_matches(['(', ')']).trim_start_matches('@');
    if text.contains(['\\', '$', '^', '(', '+', '?']) {
        let help = domain(plain).map_or_else(example, write);
        return wrong("is a regex, not a domain", help);
    }
    if let Some(below) = text.strip_prefix("*.").and_then(domain) {
        return wrong("is a glob, not a domain", write(format!(".{below}")));
    }
    if let Some(of_address) = text.rsplit_once('@').map(|(_, domain)| domain) {
        let help = domain(of_address).map_or_else(example, write);
        return wrong("is an address, not a domain", help);
    }
    if let Some((_, rest)) = text.split_once("://") {
        let host = rest.split(['/', ':']).next().and_then(domain);
        return wrong("is a URL, not a domain", host.map_or_else(example, write));
    }
    if text.starts_with("file") || text.contains('/') {
        let help = "the name of a file is written as \"file:domains.txt\"".to_string();
        return wrong("is no domain", help);
    }
    if let Some(first) = text.split([' ', '\t', ',', ';']).next().and_then(domain)
        && first != text
    {
        let help = "each domain is a text of its own, and in a file a line of its own".to_string();
        return wrong("is more than one domain", help);
    }
    wrong("is no domain", example())
}

/// A mistake in a file of domains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Counted from 1.
    pub line: usize,
    pub why: NoDomain,
}

/// Reads a file of domains: one on each line; what follows a `#` is a comment.
pub fn lines(text: &str) -> Result<Vec<Entry>, Vec<BadLine>> {
    /// Nobody mends more at a time.
    const MOST: usize = 20;
    let mut entries = Vec::new();
    let mut bad = Vec::new();
    for (line, written) in (1..).zip(text.lines()) {
        let before = written.split('#').next().unwrap_or_default().trim();
        if before.is_empty() {
            continue;
        }
        match Entry::parse(before) {
            Ok(entry) => entries.push(entry),
            Err(why) => bad.push(BadLine { line, why }),
        }
        if bad.len() >= MOST {
            break;
        }
    }
    match bad.is_empty() {
        true => Ok(entries),
        false => Err(bad),
    }
}

/// In which lists a domain is.
#[derive(Debug, Default)]
pub struct Table {
    lists: HashMap<Box<str>, Lists>,
}

/// The lists that name a domain; most domains are in one.
#[derive(Debug)]
enum Lists {
    One(Member),
    Many(Vec<Member>),
}

/// A domain in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Member {
    list: u32,
    and_below: bool,
}

impl Lists {
    fn all(&self) -> &[Member] {
        match self {
            Lists::One(member) => std::slice::from_ref(member),
            Lists::Many(members) => members,
        }
    }
}

impl Table {
    /// Puts the domains of a list in.
    pub fn add(&mut self, list: u32, entries: &[Entry]) {
        self.lists.reserve(entries.len());
        for entry in entries {
            let member = Member {
                list,
                and_below: entry.and_below,
            };
            match self.lists.get_mut(entry.name.as_str()) {
                None => {
                    let name = entry.name.as_str().into();
                    self.lists.insert(name, Lists::One(member));
                }
                Some(lists) if lists.all().contains(&member) => {}
                Some(Lists::Many(members)) => members.push(member),
                Some(lists) => {
                    let mut members = lists.all().to_vec();
                    members.push(member);
                    *lists = Lists::Many(members);
                }
            }
        }
    }

    /// The lists that a domain, as it is compared, is in: in order, each once.
    pub fn lists_of(&self, domain: &str) -> Vec<u32> {
        let mut found = Vec::new();
        for name in and_above(domain) {
            let is_itself = name.len() == domain.len();
            let members = self.lists.get(name).map_or(&[][..], Lists::all);
            let held = members
                .iter()
                .filter(|member| is_itself || member.and_below);
            found.extend(held.map(|member| member.list));
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::is_below;
    use proptest::prelude::*;

    #[rustfmt::skip]
    #[test]
    fn what_is_a_domain() {
        for (text, name, and_below) in [
            ("example.org", "example.org", false),
            (".example.org", "example.org", true),
            ("Example.ORG.", "example.org", false),
            ("bücher.example", "xn--bcher-kva.example", false),
            (".BÜCHER.example", "xn--bcher-kva.example", true),
            ("xn--bcher-kva.example", "xn--bcher-kva.example", false),
            ("例え。テスト", "xn--r8jz45g.xn--zckzah", false),
            ("localhost", "localhost", false),
            ("a_b.example", "a_b.example", false),
            ("[192.0.2.1]", "[192.0.2.1]", false),
            ("[IPv6:2001:db8::1]", "[ipv6:2001:db8::1]", false),
        ] {
            assert_eq!(Entry::parse(text), Ok(Entry { name: name.into(), and_below }), "{text}");
        }
        for (text, message, help) in [
            ("", "an empty domain", "\"example.org\""),
            ("example.org ", "\"example.org \" has a space at its end", "write \"example.org\""),
            ("*.example.org", "\"*.example.org\" is a glob, not a domain", "write \".example.org\""),
            ("@example.org", "\"@example.org\" is an address, not a domain", "write \"example.org\""),
            ("anna@example.org", "\"anna@example.org\" is an address, not a domain", "write \"example.org\""),
            (r"@example\.org$", r#""@example\.org$" is a regex, not a domain"#, "write \"example.org\""),
            (r"^example\.(com|org)$", "is a regex, not a domain", "\"example.org\""),
            ("https://example.org/x", "is a URL, not a domain", "write \"example.org\""),
            ("/etc/domains", "\"/etc/domains\" is no domain", "file:domains.txt"),
            ("files:x", "is no domain", "file:domains.txt"),
            ("example.org, example.net", "is more than one domain", "a text of its own"),
            ("example.org OK", "is more than one domain", "a line of its own"),
            ("a..b", "\"a..b\" is no domain", "such as"),
            ("..a", "is no domain", "such as"),
            ("a.b..", "is no domain", "such as"),
            ("-a.example", "is no domain", "such as"),
            ("a!b", "is no domain", "such as"),
            (".", "is no domain", "such as"),
            ("[]", "is no domain", "such as"),
            (&format!("{}.example", "a".repeat(64)), "is no domain", "such as"),
            (&"a.".repeat(200), "is no domain", "such as"),
        ] {
            let wrong = Entry::parse(text).unwrap_err();
            assert!(wrong.message.contains(message) && wrong.help.contains(help), "{text}: {wrong:?}");
        }
    }

    #[test]
    fn a_file_has_one_on_each_line() {
        let text =
            "# ours\r\nexample.org\r\n\n  .example.net # and below\nBÜCHER.example\n#example.com\n";
        let names: Vec<String> = (lines(text).unwrap().iter())
            .map(|entry| format!("{} {}", entry.name, entry.and_below))
            .collect();
        assert_eq!(
            names,
            [
                "example.org false",
                "example.net true",
                "xn--bcher-kva.example false"
            ]
        );
        let bad = lines("a.example\n\n*.b.example\nc.example d.example\n").unwrap_err();
        let places: Vec<usize> = bad.iter().map(|bad| bad.line).collect();
        assert_eq!(places, [3, 4]);
        assert_eq!(lines(&"@\n".repeat(100)).unwrap_err().len(), 20);
    }

    #[test]
    fn a_domain_of_very_many_labels_is_one_walk() {
        let mut table = Table::default();
        table.add(7, &[Entry::parse(".b.example").unwrap()]);
        assert_eq!(table.lists_of(&("a.".repeat(500_000) + "b.example")), [7]);
    }

    fn names() -> impl Strategy<Value = String> {
        prop::collection::vec(
            prop::sample::select(vec!["a", "b", "aa", "xn--bcher-kva"]),
            1..5,
        )
        .prop_map(|labels| labels.join("."))
    }

    proptest! {
        #[test]
        fn a_table_finds_what_a_walk_through_the_lists_finds(
            lists in prop::collection::vec(prop::collection::vec((names(), any::<bool>()), 0..6), 0..6),
            domain in names(),
        ) {
            let lists: Vec<Vec<Entry>> = (lists.into_iter())
                .map(|list| list.into_iter().map(|(name, and_below)| Entry { name, and_below }).collect())
                .collect();
            let mut table = Table::default();
            let mut expected = Vec::new();
            for (id, entries) in (0u32..).zip(&lists) {
                table.add(id, entries);
                let holds = |entry: &Entry| match entry.and_below {
                    true => is_below(&domain, &entry.name),
                    false => domain == entry.name,
                };
                if entries.iter().any(holds) {
                    expected.push(id);
                }
            }
            prop_assert_eq!(table.lists_of(&domain), expected);
        }

        #[test]
        fn any_text_is_survived(text in ".{0,40}") {
            if let Ok(entry) = Entry::parse(&text) {
                prop_assert_eq!(Entry::parse(&entry.name).map(|again| again.name), Ok(entry.name));
            }
        }
    }
}
