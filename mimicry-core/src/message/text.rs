//! Text into a text leaf, or out of it: charset and transfer encoding together.
//!
//! The ladder, from the gentlest change to the strongest: the text is written in the part's charset and
//! spliced into the raw body; where the transfer encoding cannot hold the outcome, the body is encoded
//! anew; where the charset cannot hold the text, the part is raised to UTF-8 (or, for HTML, the characters
//! become numeric references). What the header says afterwards is true of the body.
//!
//! Must never: write into a body that does not decode in its declared charset (a missing label means
//! us-ascii, whatever the octets look like); put a raw octet above 0x7f into a 7bit, quoted-printable or
//! base64 body; replace a character by a similar one; write a CR or LF that is no CRLF into a message whose lines end in CRLF.
//!
//! Known limits: a `<meta charset>` within HTML is not touched when the part is raised to UTF-8; the label
//! in the header goes before it.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::Range;

use thiserror::Error;

use super::charset::{BOM, Charset};
use super::codec::{self, Encoding, Malformed, Marks};
use super::lines::lone;

mod new_body;
#[cfg(test)]
mod tests;

pub use new_body::{NewBody, WasText};

/// The body of a text leaf, decoded and found to be text of its charset.
#[derive(Debug, Clone)]
pub struct TextBody<'a> {
    raw: &'a [u8],
    encoding: Encoding,
    charset: Charset,
    newline: &'static str,
    content: Content<'a>,
    marks: Marks,
    /// The text where it is not the octets themselves, made when it is first asked for: a large one costs memory.
    converted: OnceCell<String>,
    /// Its beginning, where no more is searched.
    beginning: OnceCell<String>,
}

/// A body without its transfer encoding.
#[derive(Debug, Clone)]
enum Content<'a> {
    /// The octets are the text.
    Text(Cow<'a, str>),
    Octets(Cow<'a, [u8]>),
}

/// Octets of a text of which no more is searched, if it must be converted for that: converted it may take three times the memory. No
/// reply is so long before what it quotes.
const SEARCHED: usize = 1 << 20;

/// Why a body is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotEditable {
    /// The charset is unknown, the octets are no text in it, or the place lies within a character.
    #[error("the text cannot be read in its declared charset")]
    Charset,
    /// The transfer encoding is broken or unknown.
    #[error("the transfer encoding is broken or unknown")]
    Malformed,
}

impl From<Malformed> for NotEditable {
    fn from(Malformed: Malformed) -> NotEditable {
        NotEditable::Malformed
    }
}

/// Where to insert. A place before or within a byte order mark is behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Before that octet of [`TextBody::octets`]; the number of octets is the end.
    Octet(usize),
    /// Before that byte of [`TextBody::text`]; its length is the end.
    Text(usize),
}

/// What becomes of characters that the charset cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmappable {
    /// The whole part is raised to UTF-8.
    Raise,
    /// They become `&#n;`; for HTML only.
    Entities,
}

impl<'a> TextBody<'a> {
    /// Decodes a body. `label` is the charset parameter, `newline` the line end of the message.
    pub fn read(
        raw: &'a [u8],
        label: Option<&[u8]>,
        encoding: Encoding,
        newline: &[u8],
    ) -> Result<TextBody<'a>, NotEditable> {
        if encoding == Encoding::Unknown {
            return Err(NotEditable::Malformed);
        }
        let charset = match label {
            Some(label) => Charset::for_label(label).ok_or(NotEditable::Charset)?,
            None => Charset::US_ASCII,
        };
        let (octets, marks) = codec::decode_marked(encoding, raw)?;
        let charset = charset.resolve(&octets);
        let content = match charset.owned(octets) {
            Ok(text) => Content::Text(text),
            Err(octets) if charset.is_text(&octets) => Content::Octets(octets),
            Err(_) => return Err(NotEditable::Charset),
        };
        Ok(TextBody {
            raw,
            encoding,
            charset,
            newline: if newline == b"\n" { "\n" } else { "\r\n" },
            content,
            marks,
            converted: OnceCell::new(),
            beginning: OnceCell::new(),
        })
    }

    /// The body without its transfer encoding.
    pub fn octets(&self) -> &[u8] {
        match &self.content {
            Content::Text(text) => text.as_bytes(),
            Content::Octets(octets) => octets,
        }
    }

    /// Are the octets the text.
    fn is_own(&self) -> bool {
        matches!(self.content, Content::Text(_))
    }

    /// The text, a byte order mark included.
    pub fn text(&self) -> &str {
        match &self.content {
            Content::Text(text) => text,
            Content::Octets(octets) => self.converted.get_or_init(|| {
                let text = self.charset.decode(octets);
                text.unwrap_or_default().into_owned()
            }),
        }
    }

    /// The text as far as it is searched: all of it, unless it must be converted and is larger than [`SEARCHED`]. A place in it is the
    /// same place in [`TextBody::text`].
    pub fn searched(&self) -> &str {
        let Some(beginning) = self.beginning() else {
            return self.text();
        };
        self.beginning
            .get_or_init(|| self.charset.decode(beginning).unwrap_or_default().into())
    }

    /// Of a text that is not searched to its end, the whole lines that are.
    fn beginning(&self) -> Option<&[u8]> {
        if self.is_own() || !self.markup_safe() {
            return None;
        }
        let beginning = self.octets().get(..SEARCHED)?;
        let end = memchr::memrchr(b'\n', beginning).map_or(0, |lf| lf.saturating_add(1));
        beginning.get(..end)
    }

    /// A text in which that place is. Where the beginning will do, no more is converted.
    fn text_with(&self, at: usize) -> &str {
        let searched = self.searched();
        match at <= searched.len() {
            true => searched,
            false => self.text(),
        }
    }

    /// The charset of the octets; a bare utf-16 label is resolved by the byte order mark.
    pub fn charset(&self) -> Charset {
        self.charset
    }

    /// The transfer encoding of the body.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Whether markup and line ends can be searched on [`TextBody::octets`]; if not, search the text.
    pub fn markup_safe(&self) -> bool {
        self.charset.markup_safe()
    }

    /// The line end of the text: the message's, but in base64 and binary, which keep any, the text's own.
    pub fn line_end(&self) -> &'static str {
        if !matches!(self.encoding, Encoding::Base64 | Encoding::Binary) {
            return self.newline;
        }
        let text = match self.markup_safe() {
            true => self.octets(),
            false => self.text().as_bytes(),
        };
        match memchr::memchr(b'\n', text) {
            Some(lf) if text.get(..lf).is_some_and(|line| line.ends_with(b"\r")) => "\r\n",
            Some(_) => "\n",
            None => self.newline,
        }
    }

    /// The body with `text` at `place`. Line ends of `text` (CRLF, LF or CR) become those of the body. It takes the body that was
    /// read, so that what was decoded of it goes before the new one is made.
    pub fn insert(
        self,
        place: At,
        text: &str,
        unmappable: Unmappable,
    ) -> Result<NewBody, NotEditable> {
        let text = with_line_ends(text, self.line_end());
        let Some((text, octets)) = self.written(&text, unmappable) else {
            return Ok(self.raised(self.inserted(place, &text)?));
        };
        match self.octet_place(place)? {
            Some(at) if self.joins(place, at, &octets, &text) => self.spliced(at, &octets),
            _ => self.rewritten(self.inserted(place, &text)?),
        }
    }

    /// The body with each of these texts at its place. The places ascend, and are all of one kind.
    pub fn insert_each(
        self,
        inserts: &[(At, String)],
        unmappable: Unmappable,
    ) -> Result<NewBody, NotEditable> {
        let Some(((place, text), others)) = inserts.split_last() else {
            return Err(NotEditable::Malformed);
        };
        if !others.is_empty()
            && let Some(new) = self.spliced_each(inserts, unmappable)
        {
            return Ok(new);
        }
        let (charset, own_encoding, newline) =
            (self.charset, self.encoding, self.newline.as_bytes());
        let has_mark = self.mark_octets() > 0;
        // From the last to the first, so that no place moves.
        let mut new = self.insert(*place, text, unmappable)?;
        for (place, text) in others.iter().rev() {
            let label = new.charset.as_deref().unwrap_or(charset.name());
            let encoding = new.encoding.unwrap_or(own_encoding);
            let body = TextBody::read(&new.raw, Some(label.as_bytes()), encoding, newline)?;
            // Where the text was raised to UTF-8, its byte order mark has gone.
            let lost = match has_mark && body.mark_octets() == 0 {
                true => BOM.len_utf8(),
                false => 0,
            };
            let place = match *place {
                At::Text(at) => At::Text(at.saturating_sub(lost)),
                octet => octet,
            };
            let next = body.insert(place, text, unmappable)?;
            new = NewBody {
                raw: next.raw,
                charset: next.charset.or(new.charset.take()),
                encoding: next.encoding.or(new.encoding),
                was_text: new.was_text,
            };
        }
        Ok(new)
    }

    /// The body without these ranges of [`TextBody::text`], which ascend and do not meet. A byte order mark stays. Charset
    /// and transfer encoding are kept as by [`TextBody::insert`].
    pub fn remove(&self, ranges: &[Range<usize>]) -> Result<NewBody, NotEditable> {
        let text = self.text();
        let mark = if text.starts_with(BOM) {
            BOM.len_utf8()
        } else {
            0
        };
        let mut kept = String::with_capacity(text.len());
        let mut octet_ranges = Vec::with_capacity(ranges.len());
        let (mut at, mut octet) = (0usize, 0usize);
        for range in ranges {
            let start = range.start.max(mark);
            let before = text.get(at..start).ok_or(NotEditable::Charset)?;
            let gone = text.get(start..range.end).ok_or(NotEditable::Charset)?;
            kept.push_str(before);
            at = range.end;
            // What is guessed wrong here is found out by decoding what is left.
            let lengths = (self.charset.octets_of(before), self.charset.octets_of(gone));
            if let (Some(before), Some(gone)) = lengths {
                let start = octet.saturating_add(before);
                octet = start.saturating_add(gone);
                octet_ranges.push(start..octet);
            }
        }
        kept.push_str(text.get(at..).ok_or(NotEditable::Charset)?);
        if self.is_own() && (self.encoding.is_identity() || self.is_coded_anew()) {
            return Ok(self.body(self.charset, kept.into_bytes()));
        }
        let octets = codec::without(self.octets(), &octet_ranges);
        let reads_so =
            octet_ranges.len() == ranges.len() && self.charset.reads(&[&octets], &[&kept]);
        if !reads_so {
            return self.rewritten(kept);
        }
        if self.encoding.is_identity() || self.is_coded_anew() {
            return Ok(self.body(self.charset, octets));
        }
        let newline = self.newline.as_bytes();
        self.coded(codec::cut(self.encoding, self.raw, &octet_ranges, newline)?)
    }

    /// Whether the octets inserted there read as the text inserted there. Always so in charsets without
    /// states; in ISO-2022-JP one escape directly behind another is an error to many readers.
    fn joins(&self, place: At, at: usize, insert: &[u8], text: &str) -> bool {
        if self.markup_safe() {
            return true;
        }
        let octets = self.octets();
        let (before, after) = octets.split_at_checked(at).unwrap_or((octets, &[]));
        self.around(place).is_ok_and(|(above, below)| {
            let wanted = [above, text, below];
            self.charset.reads(&[before, insert, after], &wanted)
        })
    }

    /// The text in the part's charset, with references if asked for; `None` when it cannot be.
    fn written<'t>(
        &self,
        text: &'t str,
        unmappable: Unmappable,
    ) -> Option<(Cow<'t, str>, Vec<u8>)> {
        if let Some(octets) = self.charset.encode(text) {
            return Some((Cow::Borrowed(text), octets));
        }
        if unmappable == Unmappable::Raise {
            return None;
        }
        let mut referenced = String::with_capacity(text.len() * 2);
        for c in text.chars() {
            if c.is_ascii() || self.charset.encode(c.encode_utf8(&mut [0; 4])).is_some() {
                referenced.push(c);
            } else {
                referenced.push_str(&format!("&#{};", u32::from(c)));
            }
        }
        let octets = self.charset.encode(&referenced)?;
        Some((Cow::Owned(referenced), octets))
    }

    /// The place as an octet offset where octets can be inserted; `None` where there is none, because the
    /// charset has states or its octets do not map back.
    fn octet_place(&self, place: At) -> Result<Option<usize>, NotEditable> {
        let at = match place {
            At::Octet(at) => at.min(self.octets().len()),
            At::Text(_) => {
                let at = self.text_place(place)?;
                let prefix = self.text_with(at).get(..at).ok_or(NotEditable::Charset)?;
                match self.charset.octets_of(prefix) {
                    Some(len) => len,
                    None => return Ok(None),
                }
            }
        };
        let at = at.max(self.mark_octets());
        let prefix = self.octets().get(..at).unwrap_or_default();
        let whole = match place {
            _ if self.is_own() => self.text().is_char_boundary(at),
            // An end of the octets is an end of the text; within, the octets before must be text by themselves.
            _ if at == self.octets().len() => true,
            At::Octet(_) => self.charset.is_text(prefix),
            At::Text(_) => {
                let at = self.text_place(place)?;
                let above = self.text_with(at).get(..at);
                above.is_some_and(|above| self.charset.reads(&[prefix], &[above]))
            }
        };
        match (whole, place) {
            (true, _) => Ok(Some(at)),
            (false, At::Text(_)) => Ok(None),
            (false, At::Octet(_)) => Err(NotEditable::Charset),
        }
    }

    /// The place as an offset into the text.
    fn text_place(&self, place: At) -> Result<usize, NotEditable> {
        let text = match place {
            At::Text(at) => self.text_with(at),
            At::Octet(_) => self.text(),
        };
        let mark = if text.starts_with(BOM) {
            BOM.len_utf8()
        } else {
            0
        };
        let at = match place {
            At::Text(at) => at.min(text.len()),
            At::Octet(at) if self.is_own() => at.min(text.len()),
            At::Octet(at) if at >= self.octets().len() => text.len(),
            At::Octet(at) => {
                let prefix = self
                    .octets()
                    .get(..at.max(self.mark_octets()))
                    .unwrap_or_default();
                self.charset
                    .decode(prefix)
                    .ok_or(NotEditable::Charset)?
                    .len()
            }
        };
        let at = at.max(mark);
        if text.is_char_boundary(at) {
            Ok(at)
        } else {
            Err(NotEditable::Charset)
        }
    }

    /// Octets of the byte order mark.
    fn mark_octets(&self) -> usize {
        let mark = self.charset.encode(BOM.encode_utf8(&mut [0; 4]));
        match mark {
            Some(mark) if self.octets().starts_with(&mark) => mark.len(),
            _ => 0,
        }
    }

    fn spliced(mut self, at: usize, insert: &[u8]) -> Result<NewBody, NotEditable> {
        (self.converted, self.beginning) = (OnceCell::new(), OnceCell::new());
        const NONE: Content<'_> = Content::Octets(Cow::Borrowed(b""));
        if self.encoding.is_identity() || self.is_coded_anew() {
            let octets = self.octets();
            let (before, after) = octets.split_at_checked(at).unwrap_or((octets, &[]));
            let content = [before, insert, after].concat();
            self.content = NONE;
            return Ok(self.body(self.charset, content));
        }
        self.content = NONE;
        let (body, newline) = ((self.raw, &self.marks), self.newline.as_bytes());
        self.coded(codec::splice_marked(
            self.encoding,
            body,
            at,
            insert,
            newline,
        )?)
    }

    /// Quoted-printable with each of these texts at its place, as far as that keeps all of it: what stands before a place is where it
    /// was when the texts behind it are in, so the body need not be read again for the next one. `None` = one by one, then.
    fn spliced_each(&self, inserts: &[(At, String)], unmappable: Unmappable) -> Option<NewBody> {
        if self.encoding != Encoding::QuotedPrintable || !self.markup_safe() || self.is_coded_anew()
        {
            return None;
        }
        let newline = self.newline.as_bytes();
        let mut raw = Cow::Borrowed(self.raw);
        for (place, text) in inserts.iter().rev() {
            let text = with_line_ends(text, self.line_end());
            let (_, octets) = self.written(&text, unmappable)?;
            let at = self.octet_place(*place).ok()??;
            let body = (&*raw, &self.marks);
            let new = codec::splice_marked(self.encoding, body, at, &octets, newline).ok()?;
            raw = Cow::Owned(new);
        }
        (!self.has_lone(&raw)).then(|| NewBody {
            raw: raw.into_owned(),
            was_text: Some(self.was_text()),
            ..NewBody::default()
        })
    }

    /// A coded body of which most was kept, unless a CR or LF stands alone in it: because the change took its other half away, or
    /// because the mail came so.
    fn coded(&self, raw: Vec<u8>) -> Result<NewBody, NotEditable> {
        if self.has_lone(&raw) {
            let content = codec::decode(self.encoding, &raw)?.into_owned();
            return Ok(self.body(self.charset, content));
        }
        Ok(NewBody {
            raw,
            charset: None,
            encoding: None,
            was_text: Some(self.was_text()),
        })
    }

    fn was_text(&self) -> WasText {
        WasText::new(self.encoding, self.charset)
    }

    /// Nothing can be said of a message whose lines end in LF: it has not come by SMTP, and does not leave by it.
    fn has_lone(&self, octets: &[u8]) -> bool {
        self.newline == "\r\n" && lone(octets).is_some()
    }

    /// Raw 8-bit octets under quoted-printable are illegal: only coding all of it makes the header true.
    fn is_coded_anew(&self) -> bool {
        !self.raw.is_ascii() || self.least_encoding(self.charset, &[]) != self.encoding
    }

    /// The whole new text encoded anew in its charset, if that changes nothing of what is kept.
    fn rewritten(&self, text: String) -> Result<NewBody, NotEditable> {
        let exact = self.charset.encode(self.text());
        let exact = exact.is_some_and(|octets| octets == self.octets());
        let octets = exact.then(|| self.charset.encode(&text)).flatten();
        Ok(match octets {
            Some(octets) => {
                drop(text);
                self.body(self.charset, octets)
            }
            None => self.raised(text),
        })
    }

    fn raised(&self, mut text: String) -> NewBody {
        // A byte order mark is needless in UTF-8.
        if text.starts_with(BOM) {
            text.remove(0);
        }
        let mut new = self.body(Charset::UTF_8, text.into_bytes());
        new.charset = Some(Charset::UTF_8.name().to_owned());
        new
    }

    fn inserted(&self, place: At, insert: &str) -> Result<String, NotEditable> {
        let (before, after) = self.around(place)?;
        Ok([before, insert, after].concat())
    }

    /// The text before the place and the text after it.
    fn around(&self, place: At) -> Result<(&str, &str), NotEditable> {
        let at = self.text_place(place)?;
        self.text().split_at_checked(at).ok_or(NotEditable::Charset)
    }

    fn least_encoding(&self, charset: Charset, content: &[u8]) -> Encoding {
        // The octets of UTF-16 have CR and LF where no line ends, and whoever wrote the text has chosen which: only base64 hides
        // them from a transport that looks for line ends.
        if !charset.has_octet_lines() {
            return Encoding::Base64;
        }
        codec::smallest_legal(self.encoding, content, self.newline.as_bytes())
    }

    /// `content` in the part's transfer encoding, or in the least other one that may hold it.
    fn body(&self, charset: Charset, content: Vec<u8>) -> NewBody {
        let encoding = self.least_encoding(charset, &content);
        let newline = self.newline.as_bytes();
        let raw = match encoding {
            Encoding::Base64 => {
                let mut raw = codec::encode_exact(encoding, &content, newline);
                raw.truncate(raw.trim_ascii_end().len());
                let text = self.raw.trim_ascii_end().len();
                let blanks = self.raw.get(text..).unwrap_or_default();
                match self.encoding {
                    Encoding::Base64 if !self.has_lone(blanks) => raw.extend(blanks),
                    _ if self.raw.ends_with(b"\n") => raw.extend(newline),
                    _ => {}
                }
                raw
            }
            Encoding::QuotedPrintable => codec::encode_exact(encoding, &content, newline),
            _ => content,
        };
        NewBody {
            raw,
            charset: None,
            encoding: Some(encoding).filter(|new| *new != self.encoding),
            was_text: Some(self.was_text()),
        }
    }
}

/// `text` with every line end (CRLF, LF, CR) as `newline`.
fn with_line_ends(text: &str, newline: &str) -> String {
    let unified = text.replace("\r\n", "\n").replace('\r', "\n");
    if newline == "\n" {
        unified
    } else {
        unified.replace('\n', newline)
    }
}
