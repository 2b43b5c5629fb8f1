//! The paths of MAIL and RCPT (RFC 5321 section 4.1.2).
//!
//! The structure of a path is strict: brackets, quotes, escapes, address literals and source routes must be as the standard
//! says, so that no octet of it can be taken for something else further on. The next hop judges the rest: a local part
//! may be long, begin with a dot or stand without a domain, a domain may have an underscore or a dot at its end, because such
//! addresses exist and refusing them here would lose mail that the next hop takes.
//!
//! Must never: lend a path with a control octet in it.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A path (RFC 5321 section 4.1.2) at the start of `input`, without its brackets, and what follows. Postfix takes a mailbox without
/// brackets, and so do we; with one bracket alone it may be half of a path.
pub fn path(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let Some(inner) = input.strip_prefix(b"<") else {
        return bounded(input, mailbox);
    };
    let (path, rest) = bounded(inner, |cursor| {
        if cursor.peek() == Some(b'>') {
            return Some(());
        }
        if cursor.peek() == Some(b'@') {
            source_route(cursor)?;
        }
        mailbox(cursor)
    })?;
    Some((path, rest.strip_prefix(b">")?))
}

fn mailbox(cursor: &mut Cursor<'_>) -> Option<()> {
    local_part(cursor)?;
    if !cursor.eat(b'@') {
        return Some(());
    }
    match cursor.eat(b'[') {
        true => address_literal(cursor),
        false => domain(cursor),
    }
}

/// What is read, and what follows.
fn bounded(
    inner: &[u8],
    read: impl FnOnce(&mut Cursor<'_>) -> Option<()>,
) -> Option<(&[u8], &[u8])> {
    let mut cursor = Cursor(inner);
    read(&mut cursor)?;
    let (path, rest) = inner.split_at_checked(inner.len().checked_sub(cursor.0.len())?)?;
    let text = std::str::from_utf8(path).ok()?;
    if text.chars().any(char::is_control) {
        return None;
    }
    Some((path, rest))
}

/// `@one,@two:`
fn source_route(cursor: &mut Cursor<'_>) -> Option<()> {
    loop {
        cursor.eat(b'@').then_some(())?;
        domain(cursor)?;
        if cursor.eat(b':') {
            return Some(());
        }
        cursor.eat(b',').then_some(())?;
    }
}

fn local_part(cursor: &mut Cursor<'_>) -> Option<()> {
    if !cursor.eat(b'"') {
        let is_atext = |octet: u8| {
            octet.is_ascii_alphanumeric()
                || b"!#$%&'*+-/=?^_`{|}~.".contains(&octet)
                || octet >= 0x80
        };
        return (cursor.skip(is_atext) > 0).then_some(());
    }
    loop {
        match cursor.next()? {
            b'"' => return Some(()),
            b'\\' => {
                matches!(cursor.next()?, b' '..=b'~').then_some(())?;
            }
            b' '..=b'~' | 0x80.. => {}
            _ => return None,
        }
    }
}

/// Labels with dots between them; one more dot may stand at the end.
fn domain(cursor: &mut Cursor<'_>) -> Option<()> {
    let is_label = |octet: u8| {
        octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_' || octet >= 0x80
    };
    let mut labels = 0;
    loop {
        if cursor.skip(is_label) == 0 {
            break;
        }
        labels += 1;
        if !cursor.eat(b'.') {
            return Some(());
        }
    }
    (labels > 0).then_some(())
}

/// What follows `[`, up to and with `]` (RFC 5321 section 4.1.3).
fn address_literal(cursor: &mut Cursor<'_>) -> Option<()> {
    let start = cursor.0;
    let length = cursor.skip(|octet| matches!(octet, b'!'..=b'Z' | b'^'..=b'~'));
    let text = std::str::from_utf8(start.get(..length)?).ok()?;
    let is_right = match text.split_once(':') {
        None => text.parse::<Ipv4Addr>().is_ok(),
        Some((tag, address)) if tag.eq_ignore_ascii_case("IPv6") => {
            address.parse::<Ipv6Addr>().is_ok()
        }
        Some((tag, content)) => {
            let is_tag = tag
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
            is_tag && !tag.is_empty() && !tag.ends_with('-') && !content.is_empty()
        }
    };
    (is_right && cursor.eat(b']')).then_some(())
}

/// What is still to be read.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn next(&mut self) -> Option<u8> {
        let (octet, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*octet)
    }

    fn eat(&mut self, octet: u8) -> bool {
        let is_there = self.peek() == Some(octet);
        if is_there {
            self.next();
        }
        is_there
    }

    /// How many octets were skipped.
    fn skip(&mut self, wanted: impl Fn(u8) -> bool) -> usize {
        let length = self.0.iter().take_while(|octet| wanted(**octet)).count();
        self.0 = self.0.get(length..).unwrap_or_default();
        length
    }
}
