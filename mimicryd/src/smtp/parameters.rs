//! The parameters of MAIL and RCPT (RFC 5321 section 4.1.2): which were given, and which values are right (RFC 1870, 3461, 4954,
//! 6152, 6531, 6533). Which there are at all, the table of extensions in core says. ENVID and ORCPT may be as long as their line: the limits of
//! RFC 3461 (100 and 500 octets) nobody holds clients to, Postfix neither.
//!
//! Must never: take a parameter with a control octet in it, plain or in xtext.

use mimicry_core::extension::{Bearer, Extensions, Parameter};

use super::blanks::{is_blank, split_once};
use super::mistake::Mistake;
use super::xtext::xtext;

/// Which parameters were given, each once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given(u32);

// One bit for each.
const _: () = assert!(Parameter::ALL.len() <= 32);

impl Given {
    pub fn contains(self, parameter: Parameter) -> bool {
        self.0 & bit(parameter) != 0
    }

    pub fn iter(self) -> impl Iterator<Item = Parameter> {
        let all = Parameter::ALL.iter().copied();
        all.filter(move |parameter| self.contains(*parameter))
    }

    /// One that was given and belongs to no extension that was offered.
    pub fn not_offered(self, offered: &Extensions) -> Option<Parameter> {
        self.iter()
            .find(|parameter| !offered.contains(parameter.extension()))
    }

    /// `false` = it was there.
    fn insert(&mut self, parameter: Parameter) -> bool {
        let is_new = !self.contains(parameter);
        self.0 |= bit(parameter);
        is_new
    }
}

fn bit(parameter: Parameter) -> u32 {
    1 << parameter as u32
}

/// What a command was given, checked; `taken` is shown each parameter with its value.
pub fn read<'a>(
    bearer: Bearer,
    params: &'a [u8],
    mut taken: impl FnMut(Parameter, Option<&'a [u8]>),
) -> Result<Given, Mistake> {
    let mut given = Given::default();
    for word in params.split(|octet| is_blank(*octet)) {
        if word.is_empty() {
            continue;
        }
        let (keyword, value) = keyword_and_value(word)?;
        let parameter =
            Parameter::from_keyword(bearer, keyword).ok_or(Mistake::UnknownParameter)?;
        if !is_right(parameter, value) || !given.insert(parameter) {
            return Err(Mistake::Parameter);
        }
        taken(parameter, value);
    }
    Ok(given)
}

/// SIZE: at most 20 digits (RFC 1870 section 4); what is no u64 is no size.
pub fn octets(digits: &[u8]) -> Option<u64> {
    let is_number = digits.len() <= 20 && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits)
        .ok()
        .filter(|_| is_number)?
        .parse()
        .ok()
}

/// May it have this value, or none?
fn is_right(parameter: Parameter, value: Option<&[u8]>) -> bool {
    let has = |is_right: &dyn Fn(&[u8]) -> bool| value.is_some_and(is_right);
    match parameter {
        Parameter::Size => has(&|value| octets(value).is_some()),
        Parameter::Body => is_word_of(value, &["7BIT", "8BITMIME"]),
        Parameter::SmtpUtf8 => value.is_none(),
        Parameter::Ret => is_word_of(value, &["FULL", "HDRS"]),
        Parameter::Envid => has(&|value| is_xtext(value)),
        Parameter::Auth => has(&|value| value == b"<>" || is_xtext(value)),
        Parameter::Notify => has(&is_notify),
        Parameter::Orcpt => has(&is_orcpt),
    }
}

/// `keyword` or `keyword=value` (RFC 5321 section 4.1.2, `esmtp-param`). UTF-8 is left to ORCPT.
fn keyword_and_value(word: &[u8]) -> Result<(&[u8], Option<&[u8]>), Mistake> {
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
        return Err(Mistake::Parameter);
    }
    Ok((keyword, value))
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
