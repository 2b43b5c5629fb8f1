//! Structured field values, `value *( ";" attribute "=" value )`: Content-Type and Content-Disposition.
//!
//! Our own reader, because mailparse 0.18 takes the last of two equal parameters, leaves `filename*`
//! undecoded beside `filename`, is quadratic in the number of RFC 2231 sections and tells no positions,
//! without which a parameter cannot be changed with every other octet kept.
//!
//! The reader takes what mail programs take: comments anywhere, folded lines, blanks around `=`, missing
//! semicolons, broken parameters before good ones, bare values with blanks or encoded words in them.
//! One pass; every octet is looked at a bounded number of times.
//!
//! Must never: change an octet outside the parameter it was asked to change.
//!
//! Known limits: a backslash in a quoted string escapes only `"` and `\` when a parameter is read as
//! text (file names hold Windows paths), any octet when it is read as octets (boundaries).
//!
//! Past 600 lines because reading and changing share every detail; the half of it is tests.
//!
//! Positions are offsets into a slice, so that adding a small constant to one cannot overflow.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr2, memchr3};

use super::charset::{Charset, decode_unlabelled};
use super::header::unfold;
use super::words;

/// RFC 2231 sections that are read and written for one parameter.
pub const MAX_SECTIONS: usize = 64;
/// Columns of a line that we write.
const LINE_MAX: usize = 76;

/// A structured value with the positions of its parameters.
#[derive(Debug, Clone)]
pub struct Params<'a> {
    raw: &'a [u8],
    value: Option<String>,
    params: Vec<Param>,
    too_many: bool,
    /// Where a parameter can be added after everything that is sound.
    sound_end: usize,
    /// A quote or comment is open at the end, or a stray quote stands in the junk.
    unterminated: bool,
    /// The last thing before `sound_end` is a semicolon.
    open_semicolon: bool,
}

/// One parameter, as ranges into the value that was parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// `;attr=value`; without the semicolon where it is missing.
    pub piece: Range<usize>,
    /// The attribute with its RFC 2231 marks.
    pub attr: Range<usize>,
    /// The value as written, quotes included; empty for an attribute without one.
    pub value: Range<usize>,
    /// Length of the attribute without its RFC 2231 marks.
    base: usize,
    form: Form,
    quoted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    /// `name*`
    Extended,
    /// `name*0`, `name*0*`
    Section {
        number: usize,
        extended: bool,
    },
}

impl<'a> Params<'a> {
    /// Reads a raw field value (folds and all). Parameters after the first `max_params` are not read.
    pub fn parse(field_value: &'a [u8], max_params: usize) -> Params<'a> {
        Reader::new(field_value).read(max_params)
    }

    /// What stands before the parameters, in lower case, without blanks and comments: `text/plain` or
    /// `attachment`. `None` when it is not one token or two around a slash.
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// [`Params::value`] where it is `type/subtype`.
    pub fn media_type(&self) -> Option<&str> {
        self.value().filter(|v| v.contains('/'))
    }

    /// The parameters in the order of the value, RFC 2231 sections each by itself.
    pub fn iter(&self) -> impl Iterator<Item = &Param> {
        self.params.iter()
    }

    /// True when there were more parameters than `max_params`.
    pub fn too_many(&self) -> bool {
        self.too_many
    }

    /// The parameter as text on one line: RFC 2231 decoded and joined, or RFC 2047 words decoded, raw
    /// 8-bit octets read as UTF-8 or else windows-1252. Preferred are `name*`, then `name*0`…, then `name`;
    /// of equal ones the first.
    pub fn get(&self, name: &str) -> Option<String> {
        let found = self.find(name)?;
        let (octets, label) = self.octets(&found, Quoting::Text);
        let text = match label {
            Some(label) => {
                let known = Charset::for_label(&label).map(|charset| charset.resolve(&octets));
                let text = known.and_then(|charset| charset.decode(&octets));
                text.unwrap_or_else(|| decode_unlabelled(&octets))
                    .into_owned()
            }
            None => words::decode(&octets),
        };
        Some(text.replace(['\r', '\n', '\0'], " "))
    }

    /// The parameter as octets, for boundaries: unquoted, RFC 2231 sections joined and percent-decoded,
    /// in no charset and without a look at encoded words.
    pub fn get_bytes(&self, name: &str) -> Option<Vec<u8>> {
        let found = self.find(name)?;
        Some(self.octets(&found, Quoting::Octets).0)
    }

    /// True when two readers may see different values: the same parameter twice, or, for anything but
    /// names (where the plain one is a fallback in ASCII), a plain and an RFC 2231 one that differ.
    pub fn ambiguous(&self, name: &str) -> bool {
        let (mut plain, mut extended) = (0usize, 0usize);
        let mut sections = [0usize; MAX_SECTIONS];
        for param in self.named(name) {
            match param.form {
                Form::Plain => plain += 1,
                Form::Extended => extended += 1,
                Form::Section { number, .. } => match sections.get_mut(number) {
                    Some(count) => *count += 1,
                    None => return true,
                },
            }
        }
        let sectioned = sections.first().is_some_and(|first| *first > 0);
        if plain > 1
            || extended > 1
            || (extended > 0 && sectioned)
            || sections.iter().any(|count| *count > 1)
        {
            return true;
        }
        let fallback = name.eq_ignore_ascii_case("filename") || name.eq_ignore_ascii_case("name");
        plain > 0 && (extended > 0 || sectioned) && !fallback && {
            let first = self.named(name).find(|p| p.form == Form::Plain);
            first.map(|p| self.octets(&[p], Quoting::Octets).0) != self.get_bytes(name)
        }
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &Param> {
        self.params.iter().filter(move |p| {
            let base = self
                .raw
                .get(p.attr.start..p.attr.start + p.base)
                .unwrap_or_default();
            base.eq_ignore_ascii_case(name.as_bytes())
        })
    }

    /// The pieces that make up the value of `name`, in their order.
    fn find(&self, name: &str) -> Option<Vec<&Param>> {
        let (mut plain, mut extended) = (None, None);
        let mut sections = [None; MAX_SECTIONS];
        for param in self.named(name) {
            let place = match param.form {
                Form::Plain => &mut plain,
                Form::Extended => &mut extended,
                Form::Section { number, .. } => match sections.get_mut(number) {
                    Some(place) => place,
                    None => continue,
                },
            };
            place.get_or_insert(param);
        }
        if let Some(param) = extended {
            return Some(vec![param]);
        }
        let joined: Vec<&Param> = sections.into_iter().map_while(|p| p).collect();
        if joined.is_empty() {
            return plain.map(|param| vec![param]);
        }
        Some(joined)
    }

    /// The octets of the pieces together, and the charset label of RFC 2231 if they bear one.
    fn octets(&self, pieces: &[&Param], quoting: Quoting) -> (Vec<u8>, Option<Vec<u8>>) {
        let mut out = Vec::new();
        let mut label = None;
        for (at, param) in pieces.iter().enumerate() {
            let text = self.text(param, quoting);
            let extended = matches!(
                param.form,
                Form::Extended | Form::Section { extended: true, .. }
            );
            if !extended {
                out.extend_from_slice(&text);
                continue;
            }
            let mut rest = &*text;
            if at == 0 {
                // charset'language'text; with fewer quotes all of it is text.
                let mut parts = text.splitn(3, |b| *b == b'\'');
                if let (Some(charset), Some(_), Some(tail)) =
                    (parts.next(), parts.next(), parts.next())
                {
                    label = Some(charset.to_vec()).filter(|l| !l.is_empty());
                    rest = tail;
                }
            }
            percent_decode(rest, &mut out);
        }
        (out, label)
    }

    /// The value of one piece without quotes and line ends.
    fn text(&self, param: &Param, quoting: Quoting) -> Cow<'a, [u8]> {
        let raw = self.raw.get(param.value.clone()).unwrap_or_default();
        if !param.quoted {
            return unfold(raw);
        }
        let inner = raw.strip_prefix(b"\"").unwrap_or(raw);
        let mut out = Vec::with_capacity(inner.len());
        let mut rest = inner;
        while let Some(special) = memchr3(b'"', b'\\', b'\n', rest) {
            let (before, tail) = rest.split_at_checked(special).unwrap_or((rest, &[]));
            out.extend_from_slice(before);
            match tail {
                [b'\\', escaped @ (b'"' | b'\\'), after @ ..] => {
                    out.push(*escaped);
                    rest = after;
                }
                [b'\\', after @ ..] => {
                    if quoting == Quoting::Text || after.is_empty() {
                        out.push(b'\\');
                    }
                    rest = after;
                }
                [b'\n', after @ ..] => {
                    if out.last() == Some(&b'\r') {
                        out.pop();
                    }
                    rest = after;
                }
                _ => return Cow::Owned(out), // the closing quote
            }
        }
        out.extend_from_slice(rest);
        Cow::Owned(out)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quoting {
    Text,
    Octets,
}

/// `value` with the parameter `name` set to `new`, every other octet as it was. Certain only for a value whose main value
/// can be read ([`Params::value`]).
///
/// A parameter that is there keeps its place and its quotes; its RFC 2231 sections and its duplicates
/// collapse into one. A new one is added at the end, or after the last sound parameter where an open
/// quote or comment would swallow it. `new` is quoted where needed and written by RFC 2231 where it is not
/// ASCII; CR, LF and NUL in it become blanks.
pub fn set(value: &[u8], name: &str, new: &str) -> Vec<u8> {
    let parsed = Params::parse(value, usize::MAX);
    let new = new.replace(['\r', '\n', '\0'], " ");
    let mut out = Vec::with_capacity(value.len() + name.len() + new.len() + 8);
    let slice = |range: Range<usize>| value.get(range).unwrap_or_default();

    let place = parsed
        .named(name)
        .next()
        .filter(|p| !parsed.unterminated || p.piece.end <= parsed.sound_end);
    let (at, attr, quote) = match place {
        Some(first) => {
            out.extend_from_slice(slice(0..first.attr.start));
            let attr = slice(first.attr.start..first.attr.start + first.base);
            (first.piece.end, attr, first.quoted)
        }
        None => {
            let at = if parsed.unterminated {
                parsed.sound_end
            } else {
                // Only what the grammar calls blank: a form feed would become a part of our value.
                value
                    .iter()
                    .rposition(|octet| !blank(*octet))
                    .map_or(0, |last| last.saturating_add(1))
            };
            out.extend_from_slice(slice(0..at));
            let semicolon = parsed.open_semicolon && !parsed.unterminated;
            out.extend_from_slice(if semicolon { b" " } else { b"; " });
            (at, name.as_bytes(), parsed.unterminated)
        }
    };
    push_param(&mut out, attr, &new, quote);
    // Junk behind the value, or behind a second one that goes, would become a part of ours unless something ends it. An
    // RFC 2231 value takes even a comment in.
    let ends = |at: usize| {
        let behind = slice(at..value.len()).iter().find(|octet| !blank(**octet));
        matches!(behind, None | Some(b';')) || (new.is_ascii() && behind == Some(&b'('))
    };
    if !ends(at) {
        out.push(b';');
    }
    let mut done = at;
    for other in parsed.named(name).filter(|p| p.piece.start >= at) {
        out.extend_from_slice(slice(done..other.piece.start));
        done = other.piece.end;
        if !ends(done) {
            out.push(b';');
        }
    }
    out.extend_from_slice(slice(done..value.len()));
    out
}

/// `attr="…"` in ASCII and, where that is not the whole truth, RFC 2231 sections below it: each with
/// its semicolon and fold (CRLF) before it, on a line of its own of at most 76 columns.
///
/// To be written directly behind `attachment`. CR, LF and NUL become blanks; what does not fit in 64
/// sections (about 3 000 octets) is cut.
pub fn encode_filename_params(attr: &str, name: &str) -> String {
    let name = name.replace(['\r', '\n', '\0'], " ");
    let exact = |c: char| (c.is_ascii_graphic() || c == ' ') && c != '"' && c != '\\';
    let room = LINE_MAX.saturating_sub(attr.len() + 5); // a blank, `=""`, a semicolon
    let mut fallback: String = name
        .chars()
        .map(|c| if exact(c) { c } else { '_' })
        .collect();
    // RFC 2047 words in a fallback would be decoded by some readers and not by others.
    fallback = fallback.replace("=?", "__");
    if fallback.len() > room {
        let extension = fallback
            .rfind('.')
            .filter(|dot| fallback.len() - dot <= 12)
            .unwrap_or(fallback.len());
        let (stem, extension) = fallback
            .split_at_checked(extension)
            .unwrap_or((&fallback, ""));
        let stem = stem
            .get(..room.saturating_sub(extension.len()))
            .unwrap_or(stem);
        fallback = format!("{stem}{extension}");
    }
    let mut out = format!(";\r\n {attr}=\"{fallback}\"");
    if fallback == name {
        return out;
    }

    let mut section = format!("{attr}*0*=utf-8''");
    let mut number = 0;
    for c in name.chars() {
        let mut coded = String::new();
        for b in c.encode_utf8(&mut [0; 4]).bytes() {
            if attribute_char(b) {
                coded.push(char::from(b));
            } else {
                words::push_hex(&mut coded, '%', b);
            }
        }
        // A blank before and a semicolon after the section.
        if section.len() + coded.len() + 2 > LINE_MAX {
            if number + 1 == MAX_SECTIONS {
                break;
            }
            number += 1;
            push_section(&mut out, &section);
            section = format!("{attr}*{number}*=");
        }
        section.push_str(&coded);
    }
    if number == 0 {
        section = section.replacen("*0*=", "*=", 1);
    }
    push_section(&mut out, &section);
    out
}

fn push_section(out: &mut String, section: &str) {
    out.push_str(";\r\n ");
    out.push_str(section);
}

fn push_param(out: &mut Vec<u8>, attr: &[u8], new: &str, quote: bool) {
    out.extend_from_slice(attr);
    if !new.is_ascii() {
        let mut coded = String::from("*=utf-8''");
        for b in new.bytes() {
            if attribute_char(b) {
                coded.push(char::from(b));
            } else {
                words::push_hex(&mut coded, '%', b);
            }
        }
        out.extend_from_slice(coded.as_bytes());
        return;
    }
    out.push(b'=');
    if !quote && !new.is_empty() && new.bytes().all(token_char) {
        out.extend_from_slice(new.as_bytes());
        return;
    }
    out.push(b'"');
    for b in new.bytes() {
        if matches!(b, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(b);
    }
    out.push(b'"');
}

fn percent_decode(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(percent) = memchr(b'%', rest) {
        let (before, tail) = rest.split_at_checked(percent).unwrap_or((rest, &[]));
        out.extend_from_slice(before);
        rest = match tail {
            [_, high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(words::hex(*high) << 4 | words::hex(*low));
                after
            }
            [percent, after @ ..] => {
                out.push(*percent);
                after
            }
            [] => tail,
        };
    }
    out.extend_from_slice(rest);
}

/// `token` of RFC 2045 5.1, raw 8-bit octets refused.
fn token_char(b: u8) -> bool {
    b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&b)
}

/// `attribute-char` of RFC 2231 7.
fn attribute_char(b: u8) -> bool {
    token_char(b) && !b"*'%".contains(&b)
}

fn blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\r' | b'\n')
}

struct Reader<'a> {
    raw: &'a [u8],
    at: usize,
    /// No quote closes after this one was seen not to.
    unclosed_quote: bool,
    unclosed_comment: bool,
    unterminated: bool,
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
                (Some(main), Some(sub)) => Some(format!("{main}/{sub}")),
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
fn form(attr: &[u8]) -> (usize, Form) {
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
    let number = std::str::from_utf8(digits)
        .ok()
        .filter(|d| d.len() <= 6 && d.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|d| d.parse().ok());
    match number {
        Some(number) => (base.len(), Form::Section { number, extended }),
        None => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(value: &[u8]) -> Params<'_> {
        Params::parse(value, 1000)
    }

    #[test]
    fn main_values() {
        for (raw, value, media) in [
            (&b"text/plain"[..], Some("text/plain"), true),
            (b" Text/HTML; charset=utf-8", Some("text/html"), true),
            (
                b"\r\n text/html;\r\n charset=utf-8",
                Some("text/html"),
                true,
            ),
            (
                b"multipart/mixed (c); boundary=x",
                Some("multipart/mixed"),
                true,
            ),
            (
                b"(a) multipart (b (c)) / (d) mixed (e)",
                Some("multipart/mixed"),
                true,
            ),
            (b"text/plain charset=utf-8", Some("text/plain"), true),
            (b"attachment; filename=x", Some("attachment"), false),
            (b"Attachment", Some("attachment"), false),
            (b"text", Some("text"), false),
            (b"text;charset=utf-8", Some("text"), false),
            (b"text/", None, false),
            (b"/plain", None, false),
            (b"text/plain/x", None, false),
            (b"text plain", None, false),
            (b"", None, false),
            (b";", None, false),
            (b"charset=utf-8", None, false),
            (b"text/pl\xe4in", None, false),
            (b"\"text/plain\"", None, false),
            (b"((((text/plain", None, false),
        ] {
            let parsed = parse(raw);
            assert_eq!(parsed.value(), value, "{}", String::from_utf8_lossy(raw));
            assert_eq!(
                parsed.media_type().is_some(),
                media,
                "{}",
                String::from_utf8_lossy(raw)
            );
        }
    }

    #[test]
    fn boundaries_as_octets() {
        for (raw, boundary) in [
            (&b"multipart/mixed; boundary=abc"[..], Some(&b"abc"[..])),
            (b"multipart/mixed; boundary=\"a b\"", Some(b"a b")),
            (b"multipart/mixed; BOUNDARY = \"abc\"", Some(b"abc")),
            (b"multipart/mixed;boundary=abc;", Some(b"abc")),
            (b"multipart/mixed; boundary=abc (comment)", Some(b"abc")),
            (
                b"multipart/mixed; (x) boundary (y) = (z) abc (w); a=b",
                Some(b"abc"),
            ),
            (b"multipart/mixed ((c)); boundary=abc", Some(b"abc")),
            (b"multipart/mixed boundary=abc", Some(b"abc")),
            (b"multipart/mixed; charset=x boundary=abc", Some(b"abc")),
            (b"multipart/mixed; charset=\"x\" boundary=abc", Some(b"abc")),
            (
                b"multipart/mixed; =; ;; foo; \"junk;\"; bar baz; boundary=abc",
                Some(b"abc"),
            ),
            (b"multipart/mixed; = x; boundary=abc", Some(b"abc")),
            (b"multipart/mixed; \"junk; boundary=abc", Some(b"abc")),
            (b"multipart/mixed; boundary=\"\"", Some(b"")),
            (b"multipart/mixed; boundary=", Some(b"")),
            (b"multipart/mixed; boundary", None),
            (b"multipart/mixed", None),
            (b"multipart/mixed; boundary=\"a\\\"b\\c\"", Some(b"a\"bc")),
            (b"multipart/mixed; boundary=\"abc", Some(b"abc")),
            (b"multipart/mixed; boundary=\"ab\r\n c\"", Some(b"ab c")),
            (
                b"multipart/mixed;\r\n\tboundary=\"abc\";\r\n x=y",
                Some(b"abc"),
            ),
            (
                b"multipart/mixed; boundary*0=ab; boundary*1=c",
                Some(b"abc"),
            ),
            (
                b"multipart/mixed; boundary*1=c; boundary*0*=us-ascii''a%62",
                Some(b"abc"),
            ),
            (b"multipart/mixed; boundary*=us-ascii''abc", Some(b"abc")),
            (
                b"multipart/mixed; boundary==?utf-8?Q?abc?=",
                Some(b"=?utf-8?Q?abc?="),
            ),
            (b"multipart/mixed; boundary=a==b", Some(b"a==b")),
            (b"multipart/mixed; boundary=abc; boundary=def", Some(b"abc")),
            (b"multipart/mixed; boundary=caf\xe9", Some(b"caf\xe9")),
            (b"multipart/mixed; boundary=a b", Some(b"a b")),
        ] {
            let got = parse(raw).get_bytes("boundary");
            assert_eq!(got.as_deref(), boundary, "{}", String::from_utf8_lossy(raw));
        }
    }

    #[test]
    fn file_names_as_text() {
        for (raw, name) in [
            (&b"attachment; filename=a.pdf"[..], Some("a.pdf")),
            (b"attachment; filename=\"my file.pdf\"", Some("my file.pdf")),
            (b"attachment; filename=my file.pdf", Some("my file.pdf")),
            (
                b"attachment; filename=my file.pdf; x=y",
                Some("my file.pdf"),
            ),
            (
                b"attachment; filename=report (1).exe",
                Some("report (1).exe"),
            ),
            (b"attachment; filename=report (1.exe", Some("report (1.exe")),
            (
                b"attachment; filename=report (1.exe; x=y",
                Some("report (1.exe"),
            ),
            (
                b"attachment; filename=\"C:\\temp\\x.exe\"",
                Some("C:\\temp\\x.exe"),
            ),
            (
                b"attachment; filename=C:\\temp\\x.exe",
                Some("C:\\temp\\x.exe"),
            ),
            (b"attachment; filename=\"a\\\"b\"", Some("a\"b")),
            (
                b"attachment; filename*=utf-8''na%C3%AFve.txt",
                Some("naïve.txt"),
            ),
            (
                b"attachment; filename*=UTF-8'en'na%c3%afve.txt",
                Some("naïve.txt"),
            ),
            (
                b"attachment; filename=naive.txt; filename*=utf-8''na%C3%AFve.txt",
                Some("naïve.txt"),
            ),
            (
                b"attachment; filename*=utf-8''na%C3%AFve.txt; filename=naive.txt",
                Some("naïve.txt"),
            ),
            (
                b"attachment; filename*=\"utf-8''na%C3%AFve.txt\"",
                Some("naïve.txt"),
            ),
            (
                b"attachment; filename*0*=utf-8''%E2%82; filename*1*=%AC; filename*2=.txt",
                Some("€.txt"),
            ),
            (
                b"attachment; filename*2=.txt; filename*0*=utf-8''%E2%82; filename*1*=%AC",
                Some("€.txt"),
            ),
            (
                b"attachment; filename*0=\"a b\"; filename*1=\"c.txt\"",
                Some("a bc.txt"),
            ),
            (b"attachment; filename*0=a; filename*2=c", Some("a")),
            (b"attachment; filename*1=b; filename=x", Some("x")),
            (
                b"attachment; filename*0*=iso-2022-jp''%1B$B4A; filename*1*=%1B%28B.txt",
                Some("漢.txt"),
            ),
            (b"attachment; filename*=x-unknown''caf%E9", Some("café")),
            (b"attachment; filename*=x-unknown''caf%C3%A9", Some("café")),
            (b"attachment; filename*=utf-8''caf%E9", Some("café")),
            (b"attachment; filename*=''caf%C3%A9", Some("café")),
            (b"attachment; filename*=caf%C3%A9", Some("café")),
            (b"attachment; filename*=utf-8'caf%C3%A9", Some("utf-8'café")),
            (b"attachment; filename*=utf-8''100%", Some("100%")),
            (b"attachment; filename*=utf-8''it's", Some("it's")),
            (b"attachment; filename*00=a; filename*1=b", Some("ab")),
            (b"attachment; filename*x=a; filename=b", Some("b")),
            (
                b"attachment; filename=\"=?utf-8?Q?na=C3=AFve.txt?=\"",
                Some("naïve.txt"),
            ),
            (
                b"attachment; filename==?utf-8?Q?na=C3=AFve.txt?=",
                Some("naïve.txt"),
            ),
            (
                b"attachment; filename==?utf-8?Q?na=C3=AF?= =?utf-8?Q?ve.txt?=",
                Some("naïve.txt"),
            ),
            (
                b"attachment; filename==?utf-8?Q?na=C3=AF?==?utf-8?Q?ve.txt?=",
                Some("naïve.txt"),
            ),
            (
                b"attachment; filename==?utf-8?Q?na ve=2Etxt?=",
                Some("na ve.txt"),
            ),
            (
                b"attachment; filename=\"=?utf-8?B?bmHDr3Y=?=\r\n =?utf-8?B?ZS50eHQ=?=\"",
                Some("naïve.txt"),
            ),
            (b"attachment; filename=\"caf\xc3\xa9\"", Some("café")),
            (b"attachment; filename=caf\xe9", Some("café")),
            (
                b"attachment; filename*=utf-8''a%0D%0AEvil:%20x%00",
                Some("a  Evil: x "),
            ),
            (
                b"attachment; filename=\"../../etc/passwd\"",
                Some("../../etc/passwd"),
            ),
            (b"attachment; filename=\"\"", Some("")),
            (b"attachment", None),
        ] {
            let got = parse(raw).get("filename");
            assert_eq!(got.as_deref(), name, "{}", String::from_utf8_lossy(raw));
        }
    }

    #[test]
    fn ambiguity() {
        for (raw, name, ambiguous) in [
            (&b"a/b; boundary=x"[..], "boundary", false),
            (b"a/b; boundary=x; boundary=x", "boundary", true),
            (b"a/b; boundary=x; boundary*=''y", "boundary", true),
            (b"a/b; boundary=x; boundary*=''x", "boundary", false),
            (b"a/b; boundary*0=x; boundary*0=y", "boundary", true),
            (b"a/b; boundary*0=x; boundary*64=y", "boundary", true),
            (b"a; filename=x; filename*=utf-8''y", "filename", false),
            (b"a; filename*0=x; filename*=utf-8''y", "filename", true),
            (b"a/b", "boundary", false),
        ] {
            assert_eq!(
                parse(raw).ambiguous(name),
                ambiguous,
                "{}",
                String::from_utf8_lossy(raw)
            );
        }
    }

    #[test]
    fn positions() {
        let raw = b"text/plain;\r\n charset = \"utf-8\" ; name=x";
        let parsed = parse(raw);
        let shown: Vec<_> = parsed
            .iter()
            .map(|p| [p.piece.clone(), p.attr.clone(), p.value.clone()].map(|r| &raw[r]))
            .collect();
        assert_eq!(
            shown,
            [
                [&b";\r\n charset = \"utf-8\""[..], b"charset", b"\"utf-8\""],
                [b"; name=x", b"name", b"x"]
            ]
        );
    }

    #[test]
    fn setting() {
        for (raw, name, new, after) in [
            (
                "text/plain",
                "charset",
                "utf-8",
                "text/plain; charset=utf-8",
            ),
            // A form feed is no blank of the grammar: found by fuzzing, it was read back as a part of the new value.
            (
                "a b\u{c}\n",
                "charset",
                "utf-8",
                "a b\u{c}; charset=utf-8\n",
            ),
            (
                "text/plain;",
                "charset",
                "utf-8",
                "text/plain; charset=utf-8",
            ),
            (
                "text/plain; charset=x",
                "charset",
                "utf-8",
                "text/plain; charset=utf-8",
            ),
            (
                "text/plain;\r\n Charset = \"x\"; a=b",
                "charset",
                "utf-8",
                "text/plain;\r\n Charset=\"utf-8\"; a=b",
            ),
            (
                "text/plain; charset=x (old); a=b",
                "charset",
                "utf-8",
                "text/plain; charset=utf-8 (old); a=b",
            ),
            (
                "text/plain; a=b; charset=x; c=d; charset=y; e",
                "charset",
                "z",
                "text/plain; a=b; charset=z; c=d; e",
            ),
            ("a/b; n*1=y; x=1; n*0=x", "n", "z", "a/b; n=z; x=1"),
            ("a/b", "n", "x y", "a/b; n=\"x y\""),
            ("a/b", "n", "a\"b", "a/b; n=\"a\\\"b\""),
            ("a/b", "n", "", "a/b; n=\"\""),
            ("a/b", "n", "é", "a/b; n*=utf-8''%C3%A9"),
            ("a/b", "n", "x\r\nEvil: y", "a/b; n=\"x  Evil: y\""),
            ("a/b\r\n ", "n", "x", "a/b; n=x\r\n "),
            ("a/b (open", "n", "x", "a/b; n=\"x\" (open"),
            (
                "a/b; c=d; e=\"open",
                "n",
                "x",
                "a/b; c=d; n=\"x\"; e=\"open",
            ),
            ("a/b charset=x", "charset", "y", "a/b charset=y"),
        ] {
            let set = set(raw.as_bytes(), name, new);
            assert_eq!(
                Params::parse(&set, usize::MAX).get(name),
                Some(new.replace(['\r', '\n'], " ")),
                "{raw}"
            );
            assert_eq!(String::from_utf8_lossy(&set), after, "{raw} {name}={new}");
        }
    }

    #[test]
    fn names_for_writing() {
        for (name, written) in [
            ("a.pdf", ";\r\n filename=\"a.pdf\""),
            ("my file.pdf", ";\r\n filename=\"my file.pdf\""),
            (
                "naïve.txt",
                ";\r\n filename=\"na_ve.txt\";\r\n filename*=utf-8''na%C3%AFve.txt",
            ),
            ("a\"b", ";\r\n filename=\"a_b\";\r\n filename*=utf-8''a%22b"),
            (
                "=?x",
                ";\r\n filename=\"__x\";\r\n filename*=utf-8''%3D%3Fx",
            ),
        ] {
            assert_eq!(encode_filename_params("filename", name), written, "{name}");
        }
        let long = format!("{}.pdf", "a".repeat(200));
        let written = encode_filename_params("filename", &long);
        assert!(
            written.starts_with(";\r\n filename=\"aaa")
                && written.contains("aa.pdf\";\r\n filename*0*=utf-8''")
        );
    }

    #[test]
    fn hostile_values() {
        let comments = format!("text/plain {}", "(".repeat(1_000_000));
        assert_eq!(parse(comments.as_bytes()).value(), Some("text/plain"));
        let nested = format!(
            "multipart/mixed {}{}; boundary=x",
            "(".repeat(60_000),
            ")".repeat(60_000)
        );
        assert_eq!(
            parse(nested.as_bytes()).get("boundary").as_deref(),
            Some("x")
        );
        let closed = format!("a/b; x=1 {}end", "(c)".repeat(100_000));
        assert!(
            parse(closed.as_bytes())
                .get("x")
                .is_some_and(|x| x.ends_with("end"))
        );

        let many: String = (0..20_000).map(|n| format!("; p{n}=v{n}")).collect();
        let value = format!("a/b{many}");
        let parsed = Params::parse(value.as_bytes(), 1000);
        assert!(parsed.too_many());
        assert_eq!(
            (parsed.get("p999").as_deref(), parsed.get("p1000")),
            (Some("v999"), None)
        );
        let all = Params::parse(value.as_bytes(), 20_000);
        assert!(!all.too_many());
        assert_eq!(all.get("p19999").as_deref(), Some("v19999"));

        let sections: String = (0..50_000).rev().map(|n| format!("; n*{n}=x")).collect();
        let value = format!("a/b{sections}");
        let parsed = Params::parse(value.as_bytes(), usize::MAX);
        assert_eq!(parsed.get("n"), Some("x".repeat(64)));
        assert!(parsed.ambiguous("n"));
        assert_eq!(set(value.as_bytes(), "n", "y"), b"a/b; n=y");

        let quotes = format!("a/b; {}", "\"x\\".repeat(100_000));
        assert_eq!(parse(quotes.as_bytes()).value(), Some("a/b"));
        let equals = format!("a/b; {}", "=".repeat(100_000));
        assert_eq!(parse(equals.as_bytes()).iter().count(), 0);
        let words = format!("a/b; n={}", "=?a?Q?".repeat(100_000));
        assert!(parse(words.as_bytes()).get("n").is_some());
    }

    fn value_like() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just("text/plain"),
            Just("; "),
            Just(";"),
            Just("="),
            Just("\""),
            Just("("),
            Just(")"),
            Just("\\"),
            Just(" "),
            Just("\r\n "),
            Just("name"),
            Just("other=x"),
            Just("name*0*=utf-8''%41"),
            Just("name*1=b"),
            Just("n=\"q\""),
            Just("=?utf-8?Q?a"),
            Just("?="),
            Just("'"),
            Just("%41"),
            Just("*"),
            Just("é"),
            Just("/")
        ];
        proptest::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn what_was_set_is_got(value in value_like(), new in "[a-z \"\\\\();=?é]{0,8}") {
            let before = Params::parse(&value, usize::MAX);
            // Where not even the main value can be read, there is no place that is sure to be outside of the rubbish; such a
            // field is never edited.
            if before.value().is_none() {
                return Ok(());
            }
            let changed = set(&value, "name", &new);
            let after = Params::parse(&changed, usize::MAX);
            prop_assert_eq!(after.get("name"), Some(new.clone()), "{:?} -> {:?}", String::from_utf8_lossy(&value), String::from_utf8_lossy(&changed));
            prop_assert_eq!(after.value(), before.value());
            prop_assert!(!after.ambiguous("name"), "{:?}", String::from_utf8_lossy(&changed));
            prop_assert_eq!(after.get_bytes("other"), before.get_bytes("other"));
            prop_assert_eq!(after.get_bytes("n"), before.get_bytes("n"));
        }

        #[test]
        fn written_names_read_back(name in "[a-z. é漢\"\\\\%'=?]{0,150}") {
            let value = format!("attachment{}", encode_filename_params("filename", &name));
            prop_assert!(value.is_ascii());
            prop_assert!(value.split("\r\n").all(|line| line.len() <= LINE_MAX), "{}", value);
            let parsed = parse(value.as_bytes());
            prop_assert_eq!(parsed.get("filename"), Some(name.clone()));
            prop_assert!(!parsed.ambiguous("filename"));
            let theirs = mailparse::parse_content_disposition(&value.replace("\r\n", ""));
            let read = theirs.params.get("filename").cloned().unwrap_or_default();
            if !value.contains("filename*") {
                prop_assert_eq!(read, name);
            }
        }

        #[test]
        fn spans_lie_in_order(value: Vec<u8>) {
            let parsed = Params::parse(&value, usize::MAX);
            let mut last = 0;
            for param in parsed.iter() {
                prop_assert!(last <= param.piece.start && param.piece.start <= param.attr.start);
                prop_assert!(param.attr.end <= param.value.start && param.value.end == param.piece.end);
                last = param.piece.end;
            }
            prop_assert!(last <= value.len());
        }
    }
}
