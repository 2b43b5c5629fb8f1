//! Finds the parameters of a structured field value.
//!
//! The reader takes what mail programs take: comments anywhere, folded lines, blanks around `=`, missing
//! semicolons, broken parameters before good ones, bare values with blanks or encoded words in them.
//! One pass; every octet is looked at a bounded number of times.
//!
//! Must never: fail, or look for the end of the same open quote or comment twice.

use std::ops::Range;

use memchr::{memchr, memchr2, memchr3};

use super::super::words;
use super::value::{Form, Param, Params, blank, token_char};

impl<'a> Params<'a> {
    /// Reads a raw field value (folds and all). Parameters after the first `max_params` are not read.
    pub fn parse(field_value: &'a [u8], max_params: usize) -> Params<'a> {
        Reader::new(field_value).read(max_params)
    }
}

struct Reader<'a> {
    raw: &'a [u8],
    at: usize,
    /// No quote closes after this one was seen not to.
    unclosed_quote: bool,
    unclosed_comment: bool,
    unterminated: bool,
    stray_quote: bool,
    sound_end: usize,
    open_semicolon: bool,
}

impl<'a> Reader<'a> {
    fn new(raw: &'a [u8]) -> Reader<'a> {
        Reader {
            raw,
            at: 0,
            unclosed_quote: false,
            unclosed_comment: false,
            unterminated: false,
            stray_quote: false,
            sound_end: 0,
            open_semicolon: false,
        }
    }

    fn read(mut self, max_params: usize) -> Params<'a> {
        let value = self.main_value();
        let mut params: Vec<Param> = Vec::new();
        let mut too_many = false;
        while let Some(param) = self.param() {
            if params.len() >= max_params {
                too_many = true;
                break;
            }
            params.push(param);
        }
        Params {
            raw: self.raw,
            value,
            params,
            too_many,
            sound_end: self.sound_end,
            unterminated: self.unterminated,
            stray_quote: self.stray_quote,
            open_semicolon: self.open_semicolon,
        }
    }

    fn rest(&self) -> &'a [u8] {
        self.raw.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.raw.get(self.at).copied()
    }

    fn sound(&mut self) {
        if !self.unterminated {
            self.sound_end = self.at;
        }
    }

    fn main_value(&mut self) -> Option<String> {
        self.skip_blanks_and_comments();
        let mut value = self.lower_token();
        let mut end = self.at;
        self.skip_blanks_and_comments();
        if self.peek() == Some(b'/') {
            self.at += 1;
            self.skip_blanks_and_comments();
            let subtype = self.lower_token();
            value = match (value, subtype) {
                (Some(main), Some(sub)) => Some([&*main, "/", &*sub].concat()),
                _ => None,
            };
            end = self.at;
            self.skip_blanks_and_comments();
        }
        // `text/plain charset=utf-8` lacks a semicolon, and is taken.
        if !matches!(self.peek(), None | Some(b';')) && !self.attribute_ahead(self.at) {
            value = None;
        }
        if value.is_some() {
            self.sound_end = end;
        }
        value
    }

    fn lower_token(&mut self) -> Option<String> {
        let rest = self.rest();
        let len = rest
            .iter()
            .position(|b| !token_char(*b))
            .unwrap_or(rest.len());
        if self.attribute_ahead(self.at) {
            return None; // `charset=utf-8` where the type should be
        }
        self.at += len;
        let token = std::str::from_utf8(rest.get(..len)?).ok()?;
        (len > 0).then(|| token.to_ascii_lowercase())
    }

    /// Whether `token=` stands at `at`.
    fn attribute_ahead(&self, at: usize) -> bool {
        let rest = self.raw.get(at..).unwrap_or_default();
        let len = rest
            .iter()
            .position(|b| !token_char(*b))
            .unwrap_or(rest.len());
        len > 0 && rest.get(len) == Some(&b'=')
    }

    /// The next parameter; broken ones are passed over.
    fn param(&mut self) -> Option<Param> {
        let mut semicolon = None;
        loop {
            self.skip_blanks_and_comments();
            let start = self.at;
            match self.peek()? {
                b';' => {
                    semicolon = Some(start);
                    self.at += 1;
                    self.open_semicolon = true;
                    continue;
                }
                b'"' => {
                    self.open_semicolon = false;
                    semicolon = None;
                    self.skip_stray_quote();
                    continue;
                }
                _ => self.open_semicolon = false,
            }
            let rest = self.rest();
            let len = rest
                .iter()
                .position(|b| blank(*b) || matches!(b, b';' | b'=' | b'"' | b'('))
                .unwrap_or(rest.len());
            let attr = start..start + len;
            self.at = attr.end;
            if len > 0 {
                self.skip_blanks_and_comments();
            }
            if self.peek() != Some(b'=') {
                // An attribute without a value: nobody's parameter.
                semicolon = None;
                self.sound();
                continue;
            }
            self.at += 1;
            self.skip_blanks_and_comments();
            let (value, quoted) = self.param_value();
            if len == 0 {
                semicolon = None;
                continue;
            }
            self.sound();
            let (base, form) = form(rest.get(..len)?);
            return Some(Param {
                piece: semicolon.unwrap_or(start)..value.end,
                attr,
                value,
                base,
                form,
                quoted,
            });
        }
    }

    fn param_value(&mut self) -> (Range<usize>, bool) {
        let start = self.at;
        if self.peek() == Some(b'"') {
            match closing_quote(self.rest()) {
                Some(len) => self.at += len,
                None => {
                    self.at = self.raw.len();
                    self.unterminated = true;
                }
            }
            return (start..self.at, true);
        }
        // A bare value goes on over blanks and comments unless after them comes its end or `attr=`.
        let mut end = start;
        while let Some(b) = self.peek() {
            if b == b';' {
                break;
            }
            if blank(b) || (b == b'(' && self.comment_closes()) {
                self.skip_blanks_and_closed_comments();
                if self.attribute_ahead(self.at) {
                    break;
                }
                continue;
            }
            let rest = self.rest();
            let word = if rest.starts_with(b"=?") {
                self.bare_word()
            } else {
                None
            };
            let len = word.unwrap_or_else(|| {
                let tail = rest.get(1..).unwrap_or_default();
                let stop =
                    |b: &u8| blank(*b) || *b == b';' || (*b == b'(' && !self.unclosed_comment);
                1 + tail.iter().position(stop).unwrap_or(tail.len())
            });
            self.at += len;
            end = self.at;
        }
        self.at = end; // blanks and comments behind it belong to nobody
        (start..end, false)
    }

    /// An encoded word in a bare value may hold blanks and `token=`, as senders who do not quote write it.
    fn bare_word(&self) -> Option<usize> {
        let len = words::word_len(self.rest())?;
        let word = self.rest().get(..len)?;
        memchr2(b';', b'"', word).is_none().then_some(len)
    }

    /// A quote where none belongs: what it encloses is passed over, or it alone when it never closes.
    fn skip_stray_quote(&mut self) {
        self.stray_quote = true;
        let closed = if self.unclosed_quote {
            None
        } else {
            closing_quote(self.rest())
        };
        match closed {
            Some(len) => self.at += len,
            None => {
                self.unclosed_quote = true;
                self.unterminated = true;
                self.at += 1;
            }
        }
    }

    /// A comment that never closes takes the rest of the field.
    fn skip_blanks_and_comments(&mut self) {
        self.skip_blanks_and_closed_comments();
        if self.peek() == Some(b'(') {
            self.at = self.raw.len();
        }
    }

    fn skip_blanks_and_closed_comments(&mut self) {
        loop {
            let rest = self.rest();
            self.at += rest.iter().position(|b| !blank(*b)).unwrap_or(rest.len());
            if self.peek() != Some(b'(') || !self.comment_closes() {
                return;
            }
            self.at += comment_end(self.rest()).unwrap_or(0);
        }
    }

    /// Whether the parenthesis here closes; asked in vain once, it is taken for text ever after, so
    /// that a million open ones are not each followed to the end.
    fn comment_closes(&mut self) -> bool {
        if self.unclosed_comment || comment_end(self.rest()).is_none() {
            self.unclosed_comment = true;
            self.unterminated = true;
            return false;
        }
        true
    }
}

/// Length of the quoted string at the start, its quotes included.
fn closing_quote(quoted: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr2(b'"', b'\\', quoted.get(at..)?)?;
        if quoted.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Length of the comment at the start, its parentheses included. A loop: a million may be open.
fn comment_end(comment: &[u8]) -> Option<usize> {
    let mut depth = 0usize;
    let mut at = 0;
    loop {
        at += memchr3(b'(', b')', b'\\', comment.get(at..)?)?;
        match comment.get(at) {
            Some(b'(') => depth += 1,
            Some(b')') => depth = depth.saturating_sub(1),
            _ => at += 1,
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

/// RFC 2231 marks of an attribute: the length before them, and what they say.
pub(in crate::message) fn form(attr: &[u8]) -> (usize, Form) {
    let plain = (attr.len(), Form::Plain);
    let Some((base, marks)) = memchr(b'*', attr).and_then(|star| attr.split_at_checked(star))
    else {
        return plain;
    };
    if base.is_empty() {
        return plain;
    }
    let (digits, extended) = match marks {
        [b'*'] => return (base.len(), Form::Extended),
        [b'*', digits @ .., b'*'] => (digits, true),
        [b'*', digits @ ..] => (digits, false),
        _ => return plain,
    };
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(digits).ok().filter(|_| is_number);
    match number {
        // Leading zeros count for nothing; programs without a bound read any number.
        Some(number) => (
            base.len(),
            Form::Section {
                number: number.parse().unwrap_or(usize::MAX),
                extended,
            },
        ),
        None => plain,
    }
}
