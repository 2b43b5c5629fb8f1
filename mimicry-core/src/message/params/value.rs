//! What the parameters of a structured field value mean: joined, decoded, compared.
//!
//! Must never: change anything, or fail: what cannot be decoded is given as it stands.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr3, memmem};

use super::super::charset::decode_unlabelled;
use super::super::header::unfold;
use super::super::labels::WordCharset;
use super::super::words;

pub const MAX_SECTIONS: usize = 64;

/// A structured value with the positions of its parameters.
#[derive(Debug, Clone)]
pub struct Params<'a> {
    pub(super) raw: &'a [u8],
    pub(super) value: Option<String>,
    pub(super) params: Vec<Param>,
    pub(super) too_many: bool,
    /// Where a parameter can be added after everything that is sound.
    pub(super) sound_end: usize,
    /// A quote or comment is open at the end, or a stray quote stands in the junk.
    pub(super) unterminated: bool,
    pub(super) stray_quote: bool,
    /// The last thing before `sound_end` is a semicolon.
    pub(super) open_semicolon: bool,
}

/// One piece of a parameter, as it is marked.
#[derive(Debug)]
pub(in crate::message) struct Piece<'a> {
    pub(in crate::message) form: Form,
    pub(in crate::message) quoted: bool,
    pub(in crate::message) text: Cow<'a, [u8]>,
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
    pub(super) base: usize,
    pub(super) form: Form,
    pub(super) quoted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::message) enum Form {
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
                let known = WordCharset::for_label(&label);
                let text = known.and_then(|charset| charset.decode(&octets));
                text.unwrap_or_else(|| decode_unlabelled(&octets))
                    .into_owned()
            }
            None => words::decode(&octets),
        };
        Some(text.replace(['\r', '\n', '\t', '\0'], " "))
    }

    /// The pieces of a parameter, in the order of the value, each without its quotes and folds.
    pub(in crate::message) fn pieces<'p>(
        &'p self,
        name: &'p str,
    ) -> impl Iterator<Item = Piece<'a>> + 'p {
        self.named(name).map(|param| Piece {
            form: param.form,
            quoted: param.quoted,
            text: self.text(param, Quoting::Text),
        })
    }

    /// A quote does not close, or stands where none belongs: readers find other ends of the values.
    pub(in crate::message) fn is_sloppy(&self) -> bool {
        self.unterminated || self.stray_quote
    }

    /// Bare values that are encoded words with a `;` or a quote in them, up to the end of the word.
    pub(in crate::message) fn words_beyond<'p>(
        &'p self,
        name: &'p str,
    ) -> impl Iterator<Item = &'a [u8]> + 'p {
        self.named(name).filter_map(|param| {
            let rest = self.raw.get(param.value.start..)?;
            let word = rest.get(..words::word_len(rest)?)?;
            (word.len() > param.value.len()).then_some(word)
        })
    }

    /// Does an encoded word stand outside all values of parameters.
    pub(in crate::message) fn has_words_outside(&self) -> bool {
        let mut from = 0;
        let outside = |range: Range<usize>| {
            let octets = self.raw.get(range).unwrap_or_default();
            memmem::find(octets, b"=?").is_some()
        };
        for param in &self.params {
            // The `=` before a value belongs to it.
            if outside(from..param.attr.end) {
                return true;
            }
            from = param.value.end;
        }
        outside(from..self.raw.len())
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

    pub(super) fn named<'p>(&'p self, name: &'p str) -> impl Iterator<Item = &'p Param> {
        self.params.iter().filter(move |p| {
            let base = self
                .raw
                .get(p.attr.start..p.attr.start + p.base)
                .unwrap_or_default();
            base.eq_ignore_ascii_case(name.as_bytes())
        })
    }

    /// The pieces that make up the value of `name`, in their order.
    fn find<'p>(&'p self, name: &'p str) -> Option<Vec<&'p Param>> {
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
        if let Some(param) = extended
            && (plain.is_none() || self.has_charset(param))
        {
            return Some(vec![param]);
        }
        let joined: Vec<&Param> = sections.into_iter().map_while(|p| p).collect();
        if joined.is_empty() {
            return plain.map(|param| vec![param]);
        }
        Some(joined)
    }

    /// Without charset and language an RFC 2231 value is broken, and a plain one beside it is believed.
    fn has_charset(&self, param: &Param) -> bool {
        let raw = self.raw.get(param.value.clone()).unwrap_or_default();
        memchr::memchr_iter(b'\'', raw).nth(1).is_some()
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

pub(in crate::message) fn percent_decode(text: &[u8], out: &mut Vec<u8>) {
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
pub(super) fn token_char(b: u8) -> bool {
    TOKEN.get(usize::from(b)).copied().unwrap_or(false)
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut octet = 0x21;
    while octet < 0x7f {
        table[octet] = true;
        octet += 1;
    }
    let mut specials: &[u8] = b"()<>@,;:\\\"/[]?=";
    while let [first, rest @ ..] = specials {
        table[*first as usize] = false;
        specials = rest;
    }
    table
};

/// `attribute-char` of RFC 2231 7.
pub(super) fn attribute_char(b: u8) -> bool {
    token_char(b) && !b"*'%".contains(&b)
}

pub(super) fn blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\r' | b'\n')
}
