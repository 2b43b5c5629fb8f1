//! One command line understood (RFC 5321 section 4.1.1), with its parameters (RFC 1870, 3461, 4954, 6152, 6531).
//!
//! The structure of a path is strict: brackets, quotes, escapes, address literals and source routes must be as the standard
//! says, so that no octet of it can be taken for something else further on. The next hop judges the rest: a local part
//! may be long, begin with a dot or stand without a domain, a domain may have an underscore or a dot at its end, because such
//! addresses exist and refusing them here would lose mail that the next hop takes.
//!
//! Paths and parameters are lent as they came and handed on verbatim. Blanks behind `FROM:` and `TO:` are tolerated.
//!
//! Half of this file is tables of tests.
//!
//! Must never: lend a path or a parameter with a control octet in it, plain or in xtext.

use std::net::{Ipv4Addr, Ipv6Addr};

use mimicry_core::reply::{Own, Reply};

use super::wire::Line;

/// Octets of the argument of EHLO (RFC 5321 section 4.5.3.1.2).
const MAX_NAME: usize = 255;

/// Octets of ENVID (RFC 3461 section 4.4) and of ORCPT (section 4.2).
const MAX_ENVID: usize = 100;
const MAX_ORCPT: usize = 500;

/// What a client can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// EHLO, HELO or LHLO.
    Hello(Greeting, &'a [u8]),
    Mail(Mail<'a>),
    Rcpt(Rcpt<'a>),
    Data,
    Rset,
    Noop,
    Vrfy,
    Expn,
    Help,
    Quit,
    /// What follows is not commands, and how much of it is only the client's word (RFC 3030).
    Bdat,
    Xclient,
    /// Its arguments, which [`super::xforward`] understands.
    Xforward(&'a [u8]),
    StartTls,
    /// Known, but not spoken here.
    NotSpoken,
    Unknown,
    /// A verb of HTTP or of the PROXY protocol: this is no mail client.
    Foreign,
}

/// The way to say hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    Helo,
    Ehlo,
    Lhlo,
}

/// The arguments of MAIL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mail<'a> {
    /// Without its brackets; empty is the null return path.
    pub path: &'a [u8],
    /// Verbatim; empty = none.
    pub params: &'a [u8],
    pub given: Given,
    /// SIZE, in octets.
    pub size: Option<u64>,
    /// AUTH, in xtext: who the client says submitted the mail; `<>` is nobody (RFC 4954 section 5).
    pub auth: Option<&'a [u8]>,
}

/// The arguments of RCPT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rcpt<'a> {
    /// Without its brackets; never empty.
    pub path: &'a [u8],
    /// Verbatim; empty = none.
    pub params: &'a [u8],
    pub given: Given,
}

/// A parameter of MAIL or RCPT whose meaning is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    Size,
    Body,
    SmtpUtf8,
    Ret,
    Envid,
    Auth,
    Notify,
    Orcpt,
}

/// Which parameters were given, each once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given(u8);

/// Why the arguments of a command are wrong; each is the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The command takes no argument, or needs another; the text says which.
    Argument(&'static str),
    Sender,
    Recipient,
    /// A parameter is ill-formed, has a value it cannot have, or is there twice.
    Parameter,
    UnknownParameter,
}

const VERBS: &[(&str, Verb)] = &[
    ("EHLO", Verb::Hello(Greeting::Ehlo)),
    ("HELO", Verb::Hello(Greeting::Helo)),
    ("LHLO", Verb::Hello(Greeting::Lhlo)),
    ("MAIL", Verb::Mail),
    ("RCPT", Verb::Rcpt),
    ("DATA", Verb::Bare(Command::Data)),
    ("RSET", Verb::Bare(Command::Rset)),
    ("QUIT", Verb::Bare(Command::Quit)),
    ("NOOP", Verb::Any(Command::Noop)),
    ("HELP", Verb::Any(Command::Help)),
    ("VRFY", Verb::With(Command::Vrfy)),
    ("EXPN", Verb::With(Command::Expn)),
    ("BDAT", Verb::Any(Command::Bdat)),
    ("XCLIENT", Verb::Any(Command::Xclient)),
    ("STARTTLS", Verb::Bare(Command::StartTls)),
    ("AUTH", Verb::Any(Command::NotSpoken)),
    ("XFORWARD", Verb::Xforward),
    ("BURL", Verb::Any(Command::NotSpoken)),
    ("ETRN", Verb::Any(Command::NotSpoken)),
    ("ATRN", Verb::Any(Command::NotSpoken)),
    ("TURN", Verb::Any(Command::NotSpoken)),
    ("SEND", Verb::Any(Command::NotSpoken)),
    ("SOML", Verb::Any(Command::NotSpoken)),
    ("SAML", Verb::Any(Command::NotSpoken)),
    ("GET", Verb::Any(Command::Foreign)),
    ("POST", Verb::Any(Command::Foreign)),
    ("PUT", Verb::Any(Command::Foreign)),
    ("HEAD", Verb::Any(Command::Foreign)),
    ("CONNECT", Verb::Any(Command::Foreign)),
    ("OPTIONS", Verb::Any(Command::Foreign)),
    ("DELETE", Verb::Any(Command::Foreign)),
    ("PATCH", Verb::Any(Command::Foreign)),
    ("TRACE", Verb::Any(Command::Foreign)),
    ("PRI", Verb::Any(Command::Foreign)),
    ("PROXY", Verb::Any(Command::Foreign)),
];

/// What a verb wants behind it.
#[derive(Clone, Copy)]
enum Verb {
    Hello(Greeting),
    Mail,
    Rcpt,
    Xforward,
    /// No argument.
    Bare(Command<'static>),
    /// One argument or more, which do not matter.
    With(Command<'static>),
    /// Whatever there is.
    Any(Command<'static>),
}

impl<'a> Command<'a> {
    /// `line` is without its CRLF.
    pub fn parse(line: &'a [u8]) -> Result<Command<'a>, Fault> {
        let (verb, argument) = split_once(line, b' ').unwrap_or((line, b""));
        let argument = trim_blanks_end(argument);
        let found = VERBS
            .iter()
            .find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(verb));
        let Some((_, verb)) = found else {
            return Ok(Command::Unknown);
        };
        match *verb {
            Verb::Hello(greeting) => Ok(Command::Hello(greeting, name(argument)?)),
            Verb::Mail => Mail::parse(argument).map(Command::Mail),
            Verb::Rcpt => Rcpt::parse(argument).map(Command::Rcpt),
            Verb::Xforward => Ok(Command::Xforward(argument)),
            Verb::Bare(_) if !argument.is_empty() => {
                Err(Fault::Argument("this command takes no argument"))
            }
            Verb::With(_) if argument.is_empty() => {
                Err(Fault::Argument("this command needs an argument"))
            }
            Verb::Bare(command) | Verb::With(command) | Verb::Any(command) => Ok(command),
        }
    }
}

/// The client ends the session.
pub fn is_quit(line: &Line<'_>) -> bool {
    matches!(line, Line::Command(text) if Command::parse(text) == Ok(Command::Quit))
}

impl<'a> Mail<'a> {
    fn parse(argument: &'a [u8]) -> Result<Mail<'a>, Fault> {
        let rest = behind_keyword(argument, b"FROM:")
            .ok_or(Fault::Argument("write MAIL FROM:<address>"))?;
        let (path, rest) = path(rest).ok_or(Fault::Sender)?;
        let params = parameters(rest).ok_or(Fault::Sender)?;
        let mut given = Given::default();
        let mut size = None;
        let mut auth = None;
        for word in words(params) {
            let (parameter, value) = parameter(word)?;
            let value_is_right = match parameter {
                Parameter::Size => {
                    size = value.and_then(number);
                    size.is_some()
                }
                Parameter::Body => is_word_of(value, &["7BIT", "8BITMIME"]),
                Parameter::SmtpUtf8 => value.is_none(),
                Parameter::Ret => is_word_of(value, &["FULL", "HDRS"]),
                Parameter::Envid => {
                    value.is_some_and(|value| value.len() <= MAX_ENVID && is_xtext(value))
                }
                Parameter::Auth => {
                    auth = value;
                    value.is_some_and(|value| value == b"<>" || is_xtext(value))
                }
                Parameter::Notify | Parameter::Orcpt => return Err(Fault::UnknownParameter),
            };
            if !value_is_right || !given.insert(parameter) {
                return Err(Fault::Parameter);
            }
        }
        Ok(Mail {
            path,
            params,
            given,
            size,
            auth,
        })
    }
}

impl<'a> Rcpt<'a> {
    fn parse(argument: &'a [u8]) -> Result<Rcpt<'a>, Fault> {
        let rest =
            behind_keyword(argument, b"TO:").ok_or(Fault::Argument("write RCPT TO:<address>"))?;
        let (path, rest) = path(rest)
            .filter(|(path, _)| !path.is_empty())
            .ok_or(Fault::Recipient)?;
        let params = parameters(rest).ok_or(Fault::Recipient)?;
        let mut given = Given::default();
        for word in words(params) {
            let (parameter, value) = parameter(word)?;
            let value_is_right = match parameter {
                Parameter::Notify => value.is_some_and(is_notify),
                Parameter::Orcpt => {
                    value.is_some_and(|value| value.len() <= MAX_ORCPT && is_orcpt(value))
                }
                _ => return Err(Fault::UnknownParameter),
            };
            if !value_is_right || !given.insert(parameter) {
                return Err(Fault::Parameter);
            }
        }
        Ok(Rcpt {
            path,
            params,
            given,
        })
    }

    /// Does it need SMTPUTF8? ORCPT may hold UTF-8 where the path has none (RFC 6533 section 3).
    pub fn is_utf8(&self) -> bool {
        !self.path.is_ascii() || !self.params.is_ascii()
    }
}

impl Mail<'_> {
    /// Does it need SMTPUTF8?
    pub fn is_utf8(&self) -> bool {
        !self.path.is_ascii()
    }
}

impl Parameter {
    pub const ALL: [Parameter; 8] = [
        Parameter::Size,
        Parameter::Body,
        Parameter::SmtpUtf8,
        Parameter::Ret,
        Parameter::Envid,
        Parameter::Auth,
        Parameter::Notify,
        Parameter::Orcpt,
    ];

    pub fn keyword(self) -> &'static str {
        match self {
            Parameter::Size => "SIZE",
            Parameter::Body => "BODY",
            Parameter::SmtpUtf8 => "SMTPUTF8",
            Parameter::Ret => "RET",
            Parameter::Envid => "ENVID",
            Parameter::Auth => "AUTH",
            Parameter::Notify => "NOTIFY",
            Parameter::Orcpt => "ORCPT",
        }
    }

    fn bit(self) -> u8 {
        match self {
            Parameter::Size => 1,
            Parameter::Body => 1 << 1,
            Parameter::SmtpUtf8 => 1 << 2,
            Parameter::Ret => 1 << 3,
            Parameter::Envid => 1 << 4,
            Parameter::Auth => 1 << 5,
            Parameter::Notify => 1 << 6,
            Parameter::Orcpt => 1 << 7,
        }
    }
}

impl Given {
    pub fn contains(self, parameter: Parameter) -> bool {
        self.0 & parameter.bit() != 0
    }

    pub fn iter(self) -> impl Iterator<Item = Parameter> {
        Parameter::ALL
            .into_iter()
            .filter(move |parameter| self.contains(*parameter))
    }

    /// `false` = it was there.
    fn insert(&mut self, parameter: Parameter) -> bool {
        let is_new = !self.contains(parameter);
        self.0 |= parameter.bit();
        is_new
    }
}

impl Fault {
    pub fn reply(self) -> Reply {
        match self {
            Fault::Argument(text) => Own::BadArgument.with(text),
            Fault::Sender => Own::BadSender.reply(),
            Fault::Recipient => Own::BadRecipient.reply(),
            Fault::Parameter => Own::BadParameter.reply(),
            Fault::UnknownParameter => Own::UnknownParameter.reply(),
        }
    }
}

/// The argument of EHLO. It goes into a Received field and into the log, so that what is special there is refused: blanks and the
/// `specials` of RFC 5322 but for those of domains and address literals.
fn name(argument: &[u8]) -> Result<&[u8], Fault> {
    let is_plain = argument
        .iter()
        .all(|octet| octet.is_ascii_graphic() && !b"()<>@,;\\\"".contains(octet));
    if argument.is_empty() || argument.len() > MAX_NAME || !is_plain {
        return Err(Fault::Argument(
            "say your name, as in EHLO mail.example.org",
        ));
    }
    Ok(argument)
}

/// `FROM:` or `TO:`, in any case, and the blanks around it.
fn behind_keyword<'a>(argument: &'a [u8], keyword: &[u8]) -> Option<&'a [u8]> {
    let argument = trim_blanks(argument);
    let (found, rest) = argument.split_at_checked(keyword.len())?;
    found
        .eq_ignore_ascii_case(keyword)
        .then(|| trim_blanks(rest))
}

fn trim_blanks(octets: &[u8]) -> &[u8] {
    let blanks = octets.iter().take_while(|octet| **octet == b' ').count();
    octets.get(blanks..).unwrap_or_default()
}

fn trim_blanks_end(octets: &[u8]) -> &[u8] {
    let blanks = octets
        .iter()
        .rev()
        .take_while(|octet| **octet == b' ')
        .count();
    octets
        .get(..octets.len().saturating_sub(blanks))
        .unwrap_or_default()
}

fn split_once(octets: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let (before, behind) = octets.split_at_checked(memchr::memchr(separator, octets)?)?;
    Some((before, behind.get(1..)?))
}

/// A path (RFC 5321 section 4.1.2) at the start of `input`, without its brackets, and what follows.
fn path(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = input.strip_prefix(b"<")?;
    let mut cursor = Cursor(inner);
    if cursor.peek() != Some(b'>') {
        if cursor.peek() == Some(b'@') {
            source_route(&mut cursor)?;
        }
        local_part(&mut cursor)?;
        if cursor.eat(b'@') {
            if cursor.eat(b'[') {
                address_literal(&mut cursor)?;
            } else {
                domain(&mut cursor)?;
            }
        }
    }
    let (path, rest) = inner.split_at_checked(inner.len().checked_sub(cursor.0.len())?)?;
    let text = std::str::from_utf8(path).ok()?;
    if text.chars().any(char::is_control) {
        return None;
    }
    Some((path, rest.strip_prefix(b">")?))
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

/// What follows a path: nothing, or a blank and parameters, which are returned without blanks around them.
fn parameters(rest: &[u8]) -> Option<&[u8]> {
    (rest.is_empty() || rest.starts_with(b" ")).then(|| trim_blanks(rest))
}

fn words(params: &[u8]) -> impl Iterator<Item = &[u8]> {
    params
        .split(|octet| *octet == b' ')
        .filter(|word| !word.is_empty())
}

/// `keyword` or `keyword=value` (RFC 5321 section 4.1.2, `esmtp-param`). UTF-8 is left to ORCPT.
fn parameter(word: &[u8]) -> Result<(Parameter, Option<&[u8]>), Fault> {
    let (keyword, value) = match split_once(word, b'=') {
        Some((keyword, value)) => (keyword, Some(value)),
        None => (word, None),
    };
    let starts_right = keyword.first().is_some_and(u8::is_ascii_alphanumeric);
    let is_keyword = keyword
        .iter()
        .all(|octet| octet.is_ascii_alphanumeric() || *octet == b'-');
    let is_value = value.is_none_or(|value| {
        !value.is_empty()
            && value
                .iter()
                .all(|octet| (octet.is_ascii_graphic() && *octet != b'=') || *octet >= 0x80)
    });
    if !starts_right || !is_keyword || !is_value {
        return Err(Fault::Parameter);
    }
    let known = Parameter::ALL
        .into_iter()
        .find(|parameter| parameter.keyword().as_bytes().eq_ignore_ascii_case(keyword));
    known
        .map(|parameter| (parameter, value))
        .ok_or(Fault::UnknownParameter)
}

/// At most 20 digits (RFC 1870 section 4); what is no u64 is no size.
fn number(digits: &[u8]) -> Option<u64> {
    let is_number = digits.len() <= 20 && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits)
        .ok()
        .filter(|_| is_number)?
        .parse()
        .ok()
}

fn is_word_of(value: Option<&[u8]>, words: &[&str]) -> bool {
    value.is_some_and(|value| {
        words
            .iter()
            .any(|word| word.as_bytes().eq_ignore_ascii_case(value))
    })
}

/// NEVER, or a list of the others (RFC 3461 section 4.1).
fn is_notify(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"NEVER")
        || value
            .split(|octet| *octet == b',')
            .all(|word| is_word_of(Some(word), &["SUCCESS", "FAILURE", "DELAY"]))
}

/// `type;address` (RFC 3461 section 4.2); for the type `utf-8` RFC 6533 section 3.
fn is_orcpt(value: &[u8]) -> bool {
    let Some((kind, address)) = split_once(value, b';') else {
        return false;
    };
    let is_atom = !kind.is_empty()
        && kind
            .iter()
            .all(|octet| octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(octet));
    let ascii = |octets: &[u8]| octets.is_ascii() && is_xtext(octets);
    let is_address = if kind.eq_ignore_ascii_case(b"utf-8") {
        let text = std::str::from_utf8(address).unwrap_or_default();
        let plain: Vec<u8> = text.bytes().filter(u8::is_ascii).collect();
        !text.is_empty() && !text.chars().any(char::is_control) && ascii(&plain)
    } else {
        !address.is_empty() && ascii(address)
    };
    is_atom && is_address
}

fn is_xtext(value: &[u8]) -> bool {
    xtext(value).is_some()
}

/// What xtext (RFC 3461 section 4) stands for; `None` if it is none, or stands for a control octet. Digits are taken in either
/// case.
pub fn xtext(value: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((octet, behind)) = rest.split_first() {
        rest = behind;
        match octet {
            b'+' => {
                let (digits, behind) = rest.split_at_checked(2)?;
                let number = data_encoding::HEXUPPER_PERMISSIVE.decode(digits).ok()?;
                let [number @ (b' '..=b'~' | 0x80..)] = number.as_slice() else {
                    return None;
                };
                out.push(*number);
                rest = behind;
            }
            b'=' => return None,
            octet if octet.is_ascii_graphic() => out.push(*octet),
            _ => return None,
        }
    }
    Some(out)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// In one line: `MAIL <path> [params] size`, or the code of the fault.
    fn shown(line: &[u8]) -> String {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        match Command::parse(line) {
            Ok(Command::Mail(mail)) => {
                let size = mail.size.map(|size| format!(" {size}")).unwrap_or_default();
                format!("MAIL <{}> [{}]{size}", text(mail.path), text(mail.params))
            }
            Ok(Command::Rcpt(rcpt)) => {
                format!("RCPT <{}> [{}]", text(rcpt.path), text(rcpt.params))
            }
            Ok(Command::Hello(greeting, name)) => format!("{greeting:?} {}", text(name)),
            Ok(other) => format!("{other:?}"),
            Err(fault) => fault
                .reply()
                .to_string()
                .split(' ')
                .take(2)
                .collect::<Vec<_>>()
                .join(" "),
        }
    }

    #[test]
    fn verbs() {
        for (line, expected) in [
            ("EHLO client.example.org", "Ehlo client.example.org"),
            ("ehlo [127.0.0.1]", "Ehlo [127.0.0.1]"),
            ("HELO my_host ", "Helo my_host"),
            ("LHLO [IPv6:::1]", "Lhlo [IPv6:::1]"),
            ("EHLO", "501 5.5.4"),
            ("EHLO ", "501 5.5.4"),
            ("EHLO two names", "501 5.5.4"),
            ("EHLO a(b)", "501 5.5.4"),
            ("EHLO a\tb", "501 5.5.4"),
            ("EHLO <a>", "501 5.5.4"),
            ("EHLO ü", "501 5.5.4"),
            (
                &format!("EHLO {}", "x".repeat(255)),
                &format!("Ehlo {}", "x".repeat(255)),
            ),
            (&format!("EHLO {}", "x".repeat(256)), "501 5.5.4"),
            ("DATA", "Data"),
            ("data  ", "Data"),
            ("DATA x", "501 5.5.4"),
            ("RSET", "Rset"),
            ("RSET x", "501 5.5.4"),
            ("QUIT", "Quit"),
            ("QUIT now", "501 5.5.4"),
            ("NOOP", "Noop"),
            ("NOOP x y", "Noop"),
            ("HELP MAIL", "Help"),
            ("VRFY postmaster", "Vrfy"),
            ("VRFY", "501 5.5.4"),
            ("EXPN list", "Expn"),
            ("BDAT 5 LAST", "Bdat"),
            ("XCLIENT NAME=x", "Xclient"),
            ("STARTTLS", "StartTls"),
            ("STARTTLS x", "501 5.5.4"),
            ("AUTH PLAIN x", "NotSpoken"),
            ("xforward NAME=x ", "Xforward([78, 65, 77, 69, 61, 120])"),
            ("BURL imap://x LAST", "NotSpoken"),
            ("TURN", "NotSpoken"),
            ("", "Unknown"),
            (" QUIT", "Unknown"),
            ("QUITX", "Unknown"),
            ("QUIT\tx", "Unknown"),
            ("ÜBER", "Unknown"),
            ("GET / HTTP/1.1", "Foreign"),
            ("post /x HTTP/1.1", "Foreign"),
            ("CONNECT x:25 HTTP/1.1", "Foreign"),
            ("PRI * HTTP/2.0", "Foreign"),
            ("PROXY TCP4 1.2.3.4 1.2.3.4 1 2", "Foreign"),
        ] {
            assert_eq!(shown(line.as_bytes()), expected, "{line:?}");
        }
    }

    /// What stands between the brackets, and is it a path?
    const PATHS: &[(&str, bool)] = &[
        ("a@example.org", true),
        ("a.b+c=d@sub.example.org", true),
        ("!#$%&'*+-/=?^_`{|}~@example.org", true),
        ("a@b", true),
        ("a@example.org.", true),
        ("a@under_score.example.org", true),
        ("a@-x-.example.org", true),
        // in the world, if not in the standard
        (".a..b.@example.org", true),
        ("root", true),
        ("postmaster", true),
        ("Postmaster", true),
        // RFC 5321 section 4.1.2: quoted
        ("\"a b\"@example.org", true),
        ("\"a\\\"b\"@example.org", true),
        ("\"a>b\"@example.org", true),
        ("\"a@b\"@example.org", true),
        ("\"\\\\\"@example.org", true),
        ("\"\"@example.org", true),
        ("\"a\\\"@example.org", false),
        ("\"a@example.org", false),
        ("\"a\"b@example.org", false),
        ("a\"b\"@example.org", false),
        ("\"a\tb\"@example.org", false),
        ("\"a\\\tb\"@example.org", false),
        // section 4.1.3: literals
        ("a@[192.0.2.1]", true),
        ("a@[IPv6:2001:db8::1]", true),
        ("a@[ipv6:::ffff:192.0.2.1]", true),
        ("a@[x-tag:content]", true),
        // by the grammar, 2001 is a tag
        ("a@[2001:db8::1]", true),
        ("a@[192.0.2]", false),
        ("a@[192.0.2.256]", false),
        ("a@[IPv6:xyz]", false),
        ("a@[]", false),
        ("a@[192.0.2.1", false),
        ("a@[192.0.2.1]x", false),
        ("a@[x-:y]", false),
        ("a@[x:]", false),
        ("a@[x:y\\]", false),
        // source routes
        ("@one:a@example.org", true),
        ("@one,@two.example:a@example.org", true),
        ("@one,two:a@example.org", false),
        ("@one,:a@example.org", false),
        ("@one a@example.org", false),
        ("@one:", false),
        ("@:a@example.org", false),
        ("@example.org", false),
        // broken
        ("@", false),
        ("a@", false),
        ("a@.", false),
        ("a@.example.org", false),
        ("a@b..c", false),
        ("a@b@c", false),
        ("a b@example.org", false),
        (" a@example.org", false),
        ("a@example.org ", false),
        ("a@exam ple.org", false),
        ("a<b@example.org", false),
        ("<a@example.org>", false),
        ("a(c)@example.org", false),
        ("a,b@example.org", false),
        ("a:b@example.org", false),
        ("a;b@example.org", false),
        ("a\\b@example.org", false),
        ("a\tb@example.org", false),
        ("a\x7f@example.org", false),
        ("a@example.org\x1b", false),
        // SMTPUTF8: whether it was asked for is the session's question
        ("ü@example.org", true),
        ("a@exämple.org", true),
        ("\"ü ö\"@example.org", true),
        ("\"\\ü\"@example.org", false),
        ("a\u{85}@example.org", false),
    ];

    #[test]
    fn paths() {
        for (path, is_path) in PATHS {
            for (command, name, fault) in [
                ("MAIL FROM:", "MAIL", "501 5.1.7"),
                ("RCPT TO:", "RCPT", "501 5.1.3"),
            ] {
                let line = format!("{command}<{path}>");
                let expected = if *is_path {
                    format!("{name} <{path}> []")
                } else {
                    fault.to_owned()
                };
                assert_eq!(shown(line.as_bytes()), expected, "{line:?}");
            }
        }
        for line in [
            &b"MAIL FROM:<\xff@example.org>"[..],
            b"MAIL FROM:<a@\xc3>",
            b"MAIL FROM:<\"\xc3\"@x>",
        ] {
            assert_eq!(shown(line), "501 5.1.7");
        }
    }

    #[test]
    fn mail_and_rcpt() {
        let long = format!("{}@example.org", "x".repeat(1000));
        for (line, expected) in [
            ("MAIL FROM:<>", "MAIL <> []"),
            ("mail from:<a@b>", "MAIL <a@b> []"),
            ("MAIL FROM: <a@b>", "MAIL <a@b> []"),
            ("MAIL  FROM:<a@b>  ", "MAIL <a@b> []"),
            (&format!("MAIL FROM:<{long}>"), &format!("MAIL <{long}> []")),
            ("MAIL", "501 5.5.4"),
            ("MAIL FROM", "501 5.5.4"),
            ("MAIL FROM :<a@b>", "501 5.5.4"),
            ("MAIL TO:<a@b>", "501 5.5.4"),
            ("MAIL FROM:", "501 5.1.7"),
            ("MAIL FROM:a@b", "501 5.1.7"),
            ("MAIL FROM:<a@b", "501 5.1.7"),
            ("MAIL FROM:a@b>", "501 5.1.7"),
            ("MAIL FROM:<a@b>x", "501 5.1.7"),
            ("MAIL FROM:<a@b><c@d>", "501 5.1.7"),
            ("MAIL FROM:<a@b>\tSIZE=1", "501 5.1.7"),
            ("MAIL FROM:A <a@b>", "501 5.1.7"),
            ("RCPT TO:<a@b>", "RCPT <a@b> []"),
            ("RCPT TO:<>", "501 5.1.3"),
            ("RCPT TO:", "501 5.1.3"),
            ("RCPT TO:< >", "501 5.1.3"),
            ("RCPT FROM:<a@b>", "501 5.5.4"),
            ("RCPT", "501 5.5.4"),
        ] {
            assert_eq!(shown(line.as_bytes()), expected, "{line:?}");
        }
    }

    #[test]
    fn parameters_are_kept_verbatim_and_checked() {
        let envid = "x".repeat(100);
        let orcpt = format!("rfc822;{}", "x".repeat(493));
        for (command, params, expected) in [
            ("MAIL", "SIZE=1000", "1000"),
            ("MAIL", "size=0 body=8bitmime", "0"),
            ("MAIL", "SIZE=18446744073709551615", "18446744073709551615"),
            // T58
            ("MAIL", "SIZE=18446744073709551617", "501"),
            ("MAIL", "SIZE=99999999999999999999999", "501"),
            ("MAIL", "SIZE=000000000000000000000", "501"),
            ("MAIL", "SIZE=abc", "501"),
            ("MAIL", "SIZE=-1", "501"),
            ("MAIL", "SIZE=+1", "501"),
            ("MAIL", "SIZE=1 SIZE=1", "501"),
            ("MAIL", "SIZE=", "501"),
            ("MAIL", "SIZE", "501"),
            ("MAIL", "BODY=7BIT", ""),
            ("MAIL", "BODY=BINARYMIME", "501"),
            ("MAIL", "BODY", "501"),
            ("MAIL", "SMTPUTF8", ""),
            ("MAIL", "SMTPUTF8=yes", "501"),
            ("MAIL", "RET=FULL ENVID=QQ314159", ""),
            ("MAIL", "RET=HDRS  AUTH=<>", ""),
            ("MAIL", "AUTH=e+3Dmc2@example.org", ""),
            ("MAIL", "RET=NONE", "501"),
            ("MAIL", &format!("ENVID={envid}"), ""),
            ("MAIL", &format!("ENVID={envid}x"), "501"),
            ("MAIL", "ENVID=a+2Bb+2bb", ""),
            // T37-45: what xtext hides
            ("MAIL", "ENVID=a+0D+0Ab", "501"),
            ("MAIL", "ENVID=a+0ab", "501"),
            ("MAIL", "ENVID=a+00", "501"),
            ("MAIL", "ENVID=a+7F", "501"),
            ("MAIL", "ENVID=a+", "501"),
            ("MAIL", "ENVID=a+2", "501"),
            ("MAIL", "ENVID=a+2G", "501"),
            ("MAIL", "ENVID=a=b", "501"),
            ("MAIL", "ENVID=\x01", "501"),
            ("MAIL", "ENVID=a\tb", "501"),
            ("MAIL", "ENVID=ü", "501"),
            ("MAIL", "AUTH=a+0Ab", "501"),
            // T59
            ("MAIL", "FOO=bar", "555"),
            ("MAIL", "FOO", "555"),
            ("MAIL", "X-Y=1 X-Y=1", "555"),
            ("MAIL", "NOTIFY=NEVER", "555"),
            ("MAIL", "HOLDFOR=5", "555"),
            ("MAIL", "-FOO=bar", "501"),
            ("MAIL", "FO_O=bar", "501"),
            ("MAIL", "=bar", "501"),
            ("MAIL", "FOO=a=b", "501"),
            ("RCPT", "NOTIFY=NEVER", ""),
            (
                "RCPT",
                "NOTIFY=SUCCESS,failure,DELAY ORCPT=rfc822;a+2Bb@example.org",
                "",
            ),
            ("RCPT", "NOTIFY=NEVER,DELAY", "501"),
            ("RCPT", "NOTIFY=DELAY,", "501"),
            ("RCPT", "NOTIFY=", "501"),
            ("RCPT", "NOTIFY=NEVER NOTIFY=NEVER", "501"),
            ("RCPT", &format!("ORCPT={orcpt}"), ""),
            ("RCPT", &format!("ORCPT={orcpt}x"), "501"),
            ("RCPT", "ORCPT=rfc822", "501"),
            ("RCPT", "ORCPT=rfc822;", "501"),
            ("RCPT", "ORCPT=;a", "501"),
            ("RCPT", "ORCPT=rfc(822;a@b", "501"),
            ("RCPT", "ORCPT=rfc822;a+0D+0ARCPT", "501"),
            ("RCPT", "ORCPT=rfc822;ü@b", "501"),
            ("RCPT", "ORCPT=utf-8;ü@b", ""),
            ("RCPT", "ORCPT=utf-8;\\x{FC}@b", ""),
            ("RCPT", "ORCPT=utf-8;ü+0A@b", "501"),
            ("RCPT", "ORCPT=utf-8;\u{85}@b", "501"),
            ("RCPT", "SIZE=1", "555"),
            ("RCPT", "FOO=bar", "555"),
        ] {
            let (line, name) = match command {
                "MAIL" => (format!("MAIL FROM:<a@b> {params} "), "MAIL"),
                _ => (format!("RCPT TO:<a@b> {params} "), "RCPT"),
            };
            let expected = match expected {
                "501" => "501 5.5.4".to_owned(),
                "555" => "555 5.5.4".to_owned(),
                "" => format!("{name} <a@b> [{params}]"),
                size => format!("{name} <a@b> [{params}] {size}"),
            };
            assert_eq!(shown(line.as_bytes()), expected, "{line:?}");
        }
        assert_eq!(shown(b"RCPT TO:<a@b> ORCPT=utf-8;\xff@b"), "501 5.5.4");
    }

    #[test]
    fn what_needs_smtputf8() {
        for (line, is_utf8) in [
            ("MAIL FROM:<a@b> SMTPUTF8", false),
            ("MAIL FROM:<ü@b>", true),
            ("RCPT TO:<a@b>", false),
            ("RCPT TO:<a@ü>", true),
            ("RCPT TO:<a@b> ORCPT=utf-8;ü@b", true),
        ] {
            let found = match Command::parse(line.as_bytes()) {
                Ok(Command::Mail(mail)) => mail.is_utf8(),
                Ok(Command::Rcpt(rcpt)) => rcpt.is_utf8(),
                other => panic!("{other:?}"),
            };
            assert_eq!(found, is_utf8, "{line}");
        }
    }

    #[test]
    fn many_parameters_are_read_in_linear_time() {
        let line = format!("MAIL FROM:<a@b>{}", " RET=FULL".repeat(100_000));
        assert_eq!(shown(line.as_bytes()), "501 5.5.4");
    }

    proptest! {
        /// Whatever comes, what is lent has no octet that could end a line, and stood in the line just so.
        #[test]
        fn nothing_is_smuggled(
            verb in "(MAIL FROM:<|RCPT TO:<|EHLO |mail from: <)",
            tail in proptest::collection::vec(prop_oneof![
                4 => proptest::sample::select(b"a.@>\"\\[]<: =+;".to_vec()),
                1 => any::<u8>(),
            ], 0..40),
        ) {
            let mut line = verb.into_bytes();
            line.extend_from_slice(&tail);
            let lent = match Command::parse(&line) {
                Ok(Command::Mail(mail)) => [mail.path, mail.params],
                Ok(Command::Rcpt(rcpt)) => [rcpt.path, rcpt.params],
                Ok(Command::Hello(_, name)) => [name, b""],
                _ => return Ok(()),
            };
            for octets in lent {
                prop_assert!(!octets.iter().any(u8::is_ascii_control));
                prop_assert!(octets.is_empty() || memchr::memmem::find(&line, octets).is_some());
            }
        }

        /// A path, and what of it was read, do not depend on what follows.
        #[test]
        fn a_path_that_is_read_is_read_again(path in "[a@.\"\\\\:,\\[\\]>ü ]{0,12}") {
            let line = format!("RCPT TO:<{path}>");
            if let Ok(Command::Rcpt(rcpt)) = Command::parse(line.as_bytes()) {
                let again = [b"RCPT TO:<", rcpt.path, b"> NOTIFY=NEVER"].concat();
                let Ok(Command::Rcpt(second)) = Command::parse(&again) else {
                    panic!("{again:?}");
                };
                prop_assert_eq!(second.path, rcpt.path);
            }
        }
    }
}
