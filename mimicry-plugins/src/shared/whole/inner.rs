//! The part that is sealed: the mail as the rules made it, octet for octet, less what belongs to its journey.
//!
//! Its header has all that says what the content is (Content fields and MIME-Version), and a copy of every field that a reader sees, so
//! that nobody can change those unseen (RFC 9788). Beside `hp`, which that RFC asks for, stands `protected-headers`, which Thunderbird and
//! K-9 look for. Fields of the journey (Received, signatures of domains) stay outside alone, and so does Bcc. A mail that is sealed already
//! gets no such copies: its own part would not be the one that readers take them from.
//!
//! Must never: change an octet of the body, or bring a recipient inside whom the header does not name.

use std::borrow::Cow;
use std::collections::HashSet;

use mimicry_core::message::edit::{EditSet, Refused, is_content_field, is_mime_version};
use mimicry_core::message::header::Field;
use mimicry_core::message::params::{self, Params};
use mimicry_core::message::{Limits, Message, Part, PartId};
use mimicry_core::plugin::Fault;

/// Is the header of the part to be read with what stands outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protect {
    /// The content can be read: it is signed.
    Clear,
    /// It is encrypted; `hidden_subject` = what stands outside instead of the subject.
    Cipher {
        hidden_subject: Option<&'static str>,
    },
}

/// What stands outside for a subject that is inside (RFC 9788 section 3.2.1).
pub const HIDDEN: &str = "[...]";

pub(super) const SUBJECT: &str = "subject";

/// What stands inside alone when the subject is hidden: it says the same (RFC 9788 section 3.2.1, and what Exchange and SpamAssassin
/// make of a subject).
const BESIDE_SUBJECT: &[&str] = &[
    "comments",
    "keywords",
    "thread-topic",
    "x-spam-prev-subject",
];

/// What is sealed, in lines that end in CRLF.
#[derive(Debug)]
pub struct Inner {
    pub octets: Vec<u8>,
    /// Of the subject and what says the same, the names that stand inside, so that those outside may go.
    pub(super) inside: Vec<&'static str>,
}

impl Inner {
    /// Takes the subject, and what says the same, out of the header outside, if it stands inside.
    pub fn hide_subject(&self, edits: &mut EditSet<'_>) -> Result<(), Refused> {
        for name in &self.inside {
            match *name {
                SUBJECT => edits.set_field(PartId::ROOT, "Subject", HIDDEN)?,
                name => {
                    edits.remove_fields(PartId::ROOT, name, |_| true)?;
                }
            }
        }
        Ok(())
    }
}

/// Fields of the journey, which later hops add to and remove; and Bcc.
const OUTSIDE: &[&str] = &[
    "arc-authentication-results",
    "arc-message-signature",
    "arc-seal",
    "authentication-results",
    "autocrypt",
    "bcc",
    "delivered-to",
    "dkim-signature",
    "domainkey-signature",
    "hp-outer",
    "message-instance",
    "received",
    "received-spf",
    "resent-bcc",
    "return-path",
    "x-original-to",
];

/// Octets of a line at most, without its end.
const LINE: usize = 998;

/// The part that seals a message, or why there is none, behind "the mail": what is not read as that message must not be sealed.
pub fn inner(message: &Message, protect: Protect) -> Result<Inner, &'static str> {
    if is_beyond_limits(message) {
        return Err(LIMIT);
    }
    let root = message.root();
    let newline = message.newline().as_bytes();
    let is_protected = root.seal().is_none();
    // Each field twice, at the most; a vector that grows is there twice, too.
    let more = (root.fields().count().saturating_mul(16)).saturating_add(root.header().len());
    let due = message.raw().len().saturating_add(more);
    let mut out = Vec::with_capacity(due.saturating_add(2048));
    if is_protected {
        let copied = || root.fields().filter(is_copied);
        for field in copied() {
            line(&mut out, field.raw(), newline);
        }
        if let Protect::Cipher { hidden_subject } = protect {
            let is_beside = |field: &Field<'_>| BESIDE_SUBJECT.iter().any(|name| field.is(name));
            let outside = copied().filter(|field| hidden_subject.is_none() || !is_beside(field));
            for field in outside {
                match hidden_subject.filter(|_| field.is(SUBJECT)) {
                    Some(subject) => {
                        let field = format!("HP-Outer: Subject: {subject}");
                        line(&mut out, field.as_bytes(), newline);
                    }
                    None => {
                        let fold: &[u8] = match has_room(field.raw()) {
                            true => b"",
                            false => newline,
                        };
                        let head = [b"HP-Outer:", fold, b" "].concat();
                        line(&mut out, &[&head, field.raw()].concat(), newline);
                    }
                }
            }
        }
    }
    let mut has_type = false;
    for field in root.fields().filter(|field| is_about_content(field.name())) {
        if field.is("content-type") && is_protected && !has_type {
            has_type = true;
            line(&mut out, &protected_type(&field, protect), newline);
        } else {
            line(&mut out, field.raw(), newline);
        }
    }
    if is_protected && !has_type {
        let field = format!(
            "Content-Type: text/plain; charset=us-ascii; hp=\"{}\";{}\tprotected-headers=\"v1\"",
            protect.word(),
            message.newline().as_str()
        );
        line(&mut out, field.as_bytes(), newline);
    }
    out.extend_from_slice(newline);
    out.extend_from_slice(root.body());
    let found = Message::scan(to_crlf(out), &Limits::default());
    is_the_same(message, &found)?;
    Ok(Inner {
        octets: found.into_raw(),
        inside: inside(root, is_protected),
    })
}

/// The subject and what says the same, as far as it is inside: copied, or because who signed the mail, a rule perhaps, has put it into what
/// he signed.
fn inside(root: Part<'_>, is_protected: bool) -> Vec<&'static str> {
    let mut signed = root;
    while let Some(first) = signed.children().next() {
        if is_protected || signed.media_type() != "multipart/signed" {
            break;
        }
        signed = first;
    }
    let stands = |name: &str| {
        let mut own = root.fields().filter(is_copied);
        if is_protected {
            return own.any(|field| field.is(name));
        }
        let of = |part: Part<'_>| -> HashSet<String> {
            let named = part.fields().filter(|field| field.is(name));
            named
                .map(|field| field.decoded().trim().to_string())
                .collect()
        };
        let outside = of(root);
        signed.id() != root.id() && !outside.is_empty() && outside.is_subset(&of(signed))
    };
    let names = std::iter::once(&SUBJECT).chain(BESIDE_SUBJECT);
    names.copied().filter(|name| stands(name)).collect()
}

const LIMIT: &str = "has a header that is larger than limits.header, limits.fields or limits.field allows, with the copy that would stand inside";

/// The fault of a mail that cannot be `signed` or `encrypted` for such a reason.
pub fn cannot_be(sealed: &'static str) -> impl Fn(&'static str) -> Fault {
    move |why| Fault::Permanent(format!("the mail cannot be {sealed}: it {why}"))
}

/// Was its header not read.
fn is_beyond_limits(message: &Message) -> bool {
    let root = message.root();
    message.defects().limit && root.is_opaque()
}

impl Protect {
    fn word(self) -> &'static str {
        match self {
            Protect::Clear => "clear",
            Protect::Cipher { .. } => "cipher",
        }
    }
}

fn is_about_content(name: &[u8]) -> bool {
    is_content_field(name) || is_mime_version(name)
}

fn is_copied(field: &Field<'_>) -> bool {
    // The line with which a mail in a mailbox begins has a colon, too, in its time.
    let name = field.name();
    let is_field =
        field.colon().is_some() && !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    is_field && !is_about_content(field.name()) && !OUTSIDE.iter().any(|name| field.is(name))
}

/// Fits ` HP-Outer:` on the first line of a field.
fn has_room(field: &[u8]) -> bool {
    let end = memchr::memchr(b'\n', field).unwrap_or(field.len());
    end.saturating_add(12) <= LINE
}

/// A line or more, ended.
fn line(out: &mut Vec<u8>, octets: &[u8], newline: &[u8]) {
    out.extend_from_slice(octets);
    if !octets.ends_with(b"\n") {
        out.extend_from_slice(newline);
    }
}

/// Content-Type with the parameters of a protected header. One that cannot be read stays: a parameter more could make another type of it.
fn protected_type(field: &Field<'_>, protect: Protect) -> Vec<u8> {
    let value = field.value();
    if Params::parse(value, usize::MAX).media_type().is_none() {
        return field.raw().to_vec();
    }
    let value = params::set(value, "hp", protect.word());
    let value = params::set(&value, "protected-headers", "v1");
    let new = [b"Content-Type:", value.as_slice()].concat();
    // A line that would be too long is no line that all programs read.
    match new
        .split(|octet| *octet == b'\n')
        .all(|line| line.len() <= LINE)
    {
        true => new,
        false => field.raw().to_vec(),
    }
}

/// As [`with_crlf`], in its place where there is nothing to do.
pub fn to_crlf(octets: Vec<u8>) -> Vec<u8> {
    let other = match with_crlf(&octets) {
        Cow::Owned(other) => Some(other),
        Cow::Borrowed(_) => None,
    };
    other.unwrap_or(octets)
}

/// With CRLF for each LF that has none.
pub fn with_crlf(octets: &[u8]) -> Cow<'_, [u8]> {
    let lone = || {
        memchr::memchr_iter(b'\n', octets)
            .filter(|at| at.checked_sub(1).and_then(|at| octets.get(at)) != Some(&b'\r'))
    };
    let number = lone().count();
    if number == 0 {
        return Cow::Borrowed(octets);
    }
    let mut out = Vec::with_capacity(octets.len().saturating_add(number));
    let mut done = 0;
    for at in lone() {
        out.extend_from_slice(octets.get(done..at).unwrap_or_default());
        out.push(b'\r');
        done = at;
    }
    out.extend_from_slice(octets.get(done..).unwrap_or_default());
    Cow::Owned(out)
}

/// The proof: scanned anew it has the same parts, and each the same octets.
fn is_the_same(message: &Message, found: &Message) -> Result<(), &'static str> {
    let is_same = |one: &[u8], other: &[u8]| *with_crlf(one) == *other;
    // With other limits other parts are found; they are compared as one.
    let is_cut = message.defects().cut || found.defects().cut;
    let mut below = message.parts().zip(found.parts()).skip(1);
    let parts_agree = is_cut
        || message.parts().len() == found.parts().len()
            && below.all(|(one, other)| is_same(one.raw(), other.raw()));
    let (one, other) = (message.root(), found.root());
    if parts_agree && one.media_type() == other.media_type() && is_same(one.body(), other.body()) {
        return Ok(());
    }
    Err(match is_beyond_limits(found) {
        true => LIMIT,
        false => "is not read as itself once more",
    })
}
