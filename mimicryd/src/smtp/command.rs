//! One command line understood (RFC 5321 section 4.1.1); its path is read in `path.rs`, its parameters in `parameters.rs`.
//!
//! Paths and parameters are lent as they came and handed on verbatim. Blanks after `FROM:` and `TO:` are tolerated,
//! TABs as blanks, and a path without its brackets, as Postfix does.
//!
//! Must never: lend a path or a parameter with a control octet in it, plain or in xtext.

use mimicry_core::extension::{Bearer, Parameter};

use super::blanks::{is_blank, split_at_blank, trim_blanks, trim_blanks_end};
use super::mistake::Mistake;
use super::parameters::{self, Given, octets};
use super::path::path;
use super::wire::Input;

#[cfg(test)]
mod tests;

/// Octets of the argument of EHLO (RFC 5321 section 4.5.3.1.2).
const MAX_NAME: usize = 255;

/// What a client can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// EHLO, HELO or LHLO.
    Hello(Greeting, &'a [u8]),
    Mail(MailCommand<'a>),
    Rcpt(RcptCommand<'a>),
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
pub struct MailCommand<'a> {
    /// Without its brackets; empty is the null return path.
    pub path: &'a [u8],
    /// As they came; empty = none.
    pub params: &'a [u8],
    pub given: Given,
    /// SIZE, in octets.
    pub size: Option<u64>,
    /// AUTH, in xtext: who the client says submitted the mail; `<>` is nobody (RFC 4954 section 5).
    pub auth: Option<&'a [u8]>,
}

/// The arguments of RCPT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RcptCommand<'a> {
    /// Without its brackets; never empty.
    pub path: &'a [u8],
    /// As they came; empty = none.
    pub params: &'a [u8],
    pub given: Given,
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

/// What a verb wants after it.
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
    pub fn parse(line: &'a [u8]) -> Result<Command<'a>, Mistake> {
        let (verb, argument) = split_at_blank(line).unwrap_or((line, b""));
        let argument = trim_blanks_end(argument);
        let found = VERBS
            .iter()
            .find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(verb));
        let Some((_, verb)) = found else {
            return Ok(Command::Unknown);
        };
        match *verb {
            Verb::Hello(greeting) => Ok(Command::Hello(greeting, name(argument)?)),
            Verb::Mail => MailCommand::parse(argument).map(Command::Mail),
            Verb::Rcpt => RcptCommand::parse(argument).map(Command::Rcpt),
            Verb::Xforward => Ok(Command::Xforward(argument)),
            Verb::Bare(_) if !argument.is_empty() => {
                Err(Mistake::Argument("this command takes no argument"))
            }
            Verb::With(_) if argument.is_empty() => {
                Err(Mistake::Argument("this command needs an argument"))
            }
            Verb::Bare(command) | Verb::With(command) | Verb::Any(command) => Ok(command),
        }
    }
}

/// Does the client end the session?
pub fn is_quit(input: &Input<'_>) -> bool {
    matches!(input, Input::Command(text) if Command::parse(text) == Ok(Command::Quit))
}

impl<'a> MailCommand<'a> {
    fn parse(argument: &'a [u8]) -> Result<MailCommand<'a>, Mistake> {
        let rest = after_keyword(argument, b"FROM:")
            .ok_or(Mistake::Argument("write MAIL FROM:<address>"))?;
        let (path, rest) = path(rest).ok_or(Mistake::Sender)?;
        let params = parameters_of(rest).ok_or(Mistake::Sender)?;
        let mut size = None;
        let mut auth = None;
        let given = parameters::read(Bearer::Mail, params, |parameter, value| match parameter {
            Parameter::Size => size = value.and_then(octets),
            Parameter::Auth => auth = value,
            _ => {}
        })?;
        Ok(MailCommand {
            path,
            params,
            given,
            size,
            auth,
        })
    }

    /// Does it need SMTPUTF8?
    pub fn is_utf8(&self) -> bool {
        !self.path.is_ascii()
    }
}

impl<'a> RcptCommand<'a> {
    fn parse(argument: &'a [u8]) -> Result<RcptCommand<'a>, Mistake> {
        let rest =
            after_keyword(argument, b"TO:").ok_or(Mistake::Argument("write RCPT TO:<address>"))?;
        let (path, rest) = path(rest)
            .filter(|(path, _)| !path.is_empty())
            .ok_or(Mistake::Recipient)?;
        let params = parameters_of(rest).ok_or(Mistake::Recipient)?;
        let given = parameters::read(Bearer::Rcpt, params, |_, _| {})?;
        Ok(RcptCommand {
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

/// The argument of EHLO. It goes into a Received field and into the log, so that what is special there is refused: blanks and the
/// `specials` of RFC 5322 but for those of domains and address literals.
fn name(argument: &[u8]) -> Result<&[u8], Mistake> {
    let is_plain = argument
        .iter()
        .all(|octet| octet.is_ascii_graphic() && !b"()<>@,;\\\"".contains(octet));
    if argument.is_empty() || argument.len() > MAX_NAME || !is_plain {
        return Err(Mistake::Argument(
            "say your name, as in EHLO mail.example.org",
        ));
    }
    Ok(argument)
}

/// `FROM:` or `TO:`, in any case, and the blanks around it.
fn after_keyword<'a>(argument: &'a [u8], keyword: &[u8]) -> Option<&'a [u8]> {
    let argument = trim_blanks(argument);
    let (found, rest) = argument.split_at_checked(keyword.len())?;
    found
        .eq_ignore_ascii_case(keyword)
        .then(|| trim_blanks(rest))
}

/// What follows a path: nothing, or a blank and parameters, which are returned without blanks around them.
fn parameters_of(rest: &[u8]) -> Option<&[u8]> {
    let ends = rest.first().is_none_or(|octet| is_blank(*octet));
    ends.then(|| trim_blanks(rest))
}
