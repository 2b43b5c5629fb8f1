//! What is said of a doubtful pattern, and what is looked at for that.
//!
//! Must never: advise what does not compile.

use regex_syntax::hir::{Hir, HirKind};

/// What is doubtful about a pattern, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    pub message: String,
    pub help: String,
    /// The regex to write instead, where one can be named.
    pub instead: Option<String>,
}

/// What a pattern is matched against, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'k> {
    /// A bare address, without angle brackets.
    Address,
    FileName,
    /// A word of the protocol or of MIME: no blanks, no backslashes.
    Token,
    /// The media types from the root to a part: no backslashes.
    Path,
    /// A field of the header, by its name.
    Field(&'k str),
    Other,
}

impl Subject<'_> {
    pub fn of(key: &str) -> Subject<'_> {
        match key {
            "sender" | "recipient" | "header_sender" | "header_recipient" => Subject::Address,
            "filename" => Subject::FileName,
            "type" | "disposition" | "charset" | "helo" => Subject::Token,
            "type_path" => Subject::Path,
            _ => match key.split_once('.') {
                Some(("header", name)) => Subject::Field(name),
                _ => Subject::Other,
            },
        }
    }

    /// With its article.
    pub fn name(self) -> &'static str {
        match self {
            Subject::Address => "an address",
            Subject::FileName => "a file name",
            Subject::Token | Subject::Path => "such a value",
            Subject::Field(_) => "a field",
            Subject::Other => "a value",
        }
    }
}

pub fn written(regex: &str) -> String {
    // A regex with a single quote in it needs the long form.
    match regex.contains('\'') {
        true => format!("write '''{regex}'''"),
        false => format!("write '{regex}'"),
    }
}

/// An advice to write another regex, which must compile.
pub fn instead(message: impl Into<String>, regex: String) -> Option<Advice> {
    tree(&regex)?;
    Some(Advice {
        message: message.into(),
        help: written(&regex),
        instead: Some(regex),
    })
}

pub fn tree(pattern: &str) -> Option<Hir> {
    regex_syntax::ParserBuilder::new()
        .case_insensitive(true)
        .utf8(false)
        .build()
        .parse(pattern)
        .ok()
}

/// Is one of these octets asked for as itself.
pub fn asks_for(hir: &Hir, octets: &[u8]) -> bool {
    match hir.kind() {
        HirKind::Literal(literal) => literal.0.iter().any(|octet| octets.contains(octet)),
        HirKind::Repetition(repetition) => repetition.min > 0 && asks_for(&repetition.sub, octets),
        HirKind::Capture(capture) => asks_for(&capture.sub, octets),
        HirKind::Concat(subs) => subs.iter().any(|sub| asks_for(sub, octets)),
        HirKind::Alternation(subs) => subs.iter().all(|sub| asks_for(sub, octets)),
        HirKind::Empty | HirKind::Class(_) | HirKind::Look(_) => false,
    }
}

/// `@example.org` holds for `@example.org.attacker.example`, too.
pub fn open_domain(subject: Subject<'_>, pattern: &str) -> Option<Advice> {
    if subject != Subject::Address {
        return None;
    }
    let is_closed = pattern.ends_with('$');
    let plain = pattern
        .strip_suffix('$')
        .unwrap_or(pattern)
        .replace("\\.", ".");
    let plain = plain.strip_prefix('^').unwrap_or(&plain);
    let (user, domain) = match plain.split_once('@') {
        Some((user, domain)) => (Some(user), domain),
        None => (None, plain),
    };
    let last = domain.rsplit_once('.').map(|(_, last)| last)?;
    let is_host = |c: char| c.is_alphanumeric() || c == '-' || c == '.';
    let is_domain = domain.chars().all(is_host)
        && last.chars().count() >= 2
        && last.chars().all(char::is_alphabetic);
    let is_word = |c: char| c.is_alphanumeric() || "._-".contains(c);
    if !is_domain || !user.unwrap_or_default().chars().all(is_word) {
        return None;
    }
    let escaped = |text: &str| text.replace('.', "\\.");
    let anchor = if pattern.starts_with('^') { "^" } else { "" };
    if is_closed && (user.is_some() || domain.starts_with('.')) {
        return None;
    }
    let regex = match user {
        Some(user) => format!("{anchor}{}@{}$", escaped(user), escaped(domain)),
        // `anna.berg` may be a user.
        None if anchor == "^" || (last.len() > 2 && !is_known(last)) => return None,
        None => format!("[@.]{}$", escaped(domain.trim_start_matches('.'))),
    };
    instead(
        "this regex is not anchored: it holds for longer domains of others, too",
        regex,
    )
}

/// Top-level domains of more than two letters that people write rules for.
fn is_known(last: &str) -> bool {
    const KNOWN: [&str; 14] = [
        "com", "org", "net", "edu", "gov", "mil", "int", "info", "biz", "example", "test",
        "invalid", "local", "lan",
    ];
    KNOWN.iter().any(|known| last.eq_ignore_ascii_case(known))
}
