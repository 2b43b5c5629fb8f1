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
//! Past 600 lines by the tables of its tests. Known limits: a `<meta charset>` within HTML is not touched when the part is raised to UTF-8; the label
//! in the header goes before it.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::Range;

use thiserror::Error;

use super::charset::{BOM, Charset};
use super::codec::{self, Encoding, Malformed};
use super::lines::lone;

/// The body of a text leaf, decoded and found to be text of its charset.
#[derive(Debug, Clone)]
pub struct TextBody<'a> {
    raw: &'a [u8],
    encoding: Encoding,
    charset: Charset,
    newline: &'static str,
    octets: Cow<'a, [u8]>,
    /// The octets are the text.
    is_own: bool,
    /// The text where it is not the octets themselves, made when it is first asked for: a large one costs memory.
    converted: OnceCell<String>,
    /// Its beginning, where no more is searched.
    beginning: OnceCell<String>,
}

/// Octets of a text of which no more is searched, if it must be converted for that: converted it may take three times the memory. No
/// reply is so long before what it quotes.
const SEARCHED: usize = 1 << 20;

/// A body to put in the place of the old one, with what must change in the header for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewBody {
    /// In the transfer encoding.
    pub raw: Vec<u8>,
    /// The new charset label, if it had to change.
    pub charset: Option<String>,
    /// The new transfer encoding, if it had to change.
    pub encoding: Option<Encoding>,
}

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
pub enum Place {
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
        let octets = codec::decode(encoding, raw)?;
        let charset = charset.resolve(&octets);
        let is_own = charset.borrowed(&octets).is_some();
        if !is_own && !charset.is_text(&octets) {
            return Err(NotEditable::Charset);
        }
        Ok(TextBody {
            raw,
            encoding,
            charset,
            newline: if newline == b"\n" { "\n" } else { "\r\n" },
            octets,
            is_own,
            converted: OnceCell::new(),
            beginning: OnceCell::new(),
        })
    }

    /// The body without its transfer encoding.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The text, a byte order mark included.
    pub fn text(&self) -> &str {
        if self.is_own {
            return std::str::from_utf8(&self.octets).unwrap_or_default();
        }
        self.converted.get_or_init(|| {
            let text = self.charset.decode(&self.octets);
            text.unwrap_or_default().into_owned()
        })
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
        if self.is_own || !self.markup_safe() {
            return None;
        }
        let beginning = self.octets.get(..SEARCHED)?;
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
        place: Place,
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
        inserts: &[(Place, String)],
        unmappable: Unmappable,
    ) -> Result<NewBody, NotEditable> {
        let Some(((place, text), others)) = inserts.split_last() else {
            return Err(NotEditable::Malformed);
        };
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
                Place::Text(at) => Place::Text(at.saturating_sub(lost)),
                octet => octet,
            };
            let next = body.insert(place, text, unmappable)?;
            new = NewBody {
                raw: next.raw,
                charset: next.charset.or(new.charset.take()),
                encoding: next.encoding.or(new.encoding),
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
        if self.is_own && (self.encoding.is_identity() || self.is_coded_anew()) {
            return Ok(self.body(self.charset, kept.into_bytes()));
        }
        let octets = codec::without(&self.octets, &octet_ranges);
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
    fn joins(&self, place: Place, at: usize, insert: &[u8], text: &str) -> bool {
        if self.markup_safe() {
            return true;
        }
        let (before, after) = self
            .octets
            .split_at_checked(at)
            .unwrap_or((&self.octets, &[]));
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
    fn octet_place(&self, place: Place) -> Result<Option<usize>, NotEditable> {
        let at = match place {
            Place::Octet(at) => at.min(self.octets.len()),
            Place::Text(_) => {
                let at = self.text_place(place)?;
                let prefix = self.text_with(at).get(..at).ok_or(NotEditable::Charset)?;
                match self.charset.octets_of(prefix) {
                    Some(len) => len,
                    None => return Ok(None),
                }
            }
        };
        let at = at.max(self.mark_octets());
        let prefix = self.octets.get(..at).unwrap_or_default();
        let whole = match place {
            _ if self.is_own => self.text().is_char_boundary(at),
            // An end of the octets is an end of the text; within, the octets before must be text by themselves.
            _ if at == self.octets.len() => true,
            Place::Octet(_) => self.charset.is_text(prefix),
            Place::Text(_) => {
                let at = self.text_place(place)?;
                let above = self.text_with(at).get(..at);
                above.is_some_and(|above| self.charset.reads(&[prefix], &[above]))
            }
        };
        match (whole, place) {
            (true, _) => Ok(Some(at)),
            (false, Place::Text(_)) => Ok(None),
            (false, Place::Octet(_)) => Err(NotEditable::Charset),
        }
    }

    /// The place as an offset into the text.
    fn text_place(&self, place: Place) -> Result<usize, NotEditable> {
        let text = match place {
            Place::Text(at) => self.text_with(at),
            Place::Octet(_) => self.text(),
        };
        let mark = if text.starts_with(BOM) {
            BOM.len_utf8()
        } else {
            0
        };
        let at = match place {
            Place::Text(at) => at.min(text.len()),
            Place::Octet(at) if self.is_own => at.min(text.len()),
            Place::Octet(at) if at >= self.octets.len() => text.len(),
            Place::Octet(at) => {
                let prefix = self
                    .octets
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
            Some(mark) if self.octets.starts_with(&mark) => mark.len(),
            _ => 0,
        }
    }

    fn spliced(mut self, at: usize, insert: &[u8]) -> Result<NewBody, NotEditable> {
        (self.converted, self.beginning) = (OnceCell::new(), OnceCell::new());
        if self.encoding.is_identity() || self.is_coded_anew() {
            let (before, after) = self
                .octets
                .split_at_checked(at)
                .unwrap_or((&self.octets, &[]));
            let content = [before, insert, after].concat();
            self.octets = Cow::Borrowed(b"");
            return Ok(self.body(self.charset, content));
        }
        self.octets = Cow::Borrowed(b"");
        let newline = self.newline.as_bytes();
        self.coded(codec::splice(self.encoding, self.raw, at, insert, newline)?)
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
        })
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
        let exact = exact.is_some_and(|octets| octets == *self.octets);
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

    fn inserted(&self, place: Place, insert: &str) -> Result<String, NotEditable> {
        let (before, after) = self.around(place)?;
        Ok([before, insert, after].concat())
    }

    /// The text before the place and the text after it.
    fn around(&self, place: Place) -> Result<(&str, &str), NotEditable> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read<'a>(
        raw: &'a [u8],
        label: &str,
        encoding: Encoding,
    ) -> Result<TextBody<'a>, NotEditable> {
        let label = (!label.is_empty()).then_some(label.as_bytes());
        TextBody::read(raw, label, encoding, b"\r\n")
    }

    #[test]
    fn what_can_be_edited() {
        use Encoding::{Base64, Binary, EightBit, QuotedPrintable, SevenBit, Unknown};
        for (label, encoding, raw, outcome) in [
            ("", SevenBit, &b"abc"[..], Ok("abc")),
            ("us-ascii", SevenBit, b"abc", Ok("abc")),
            ("", EightBit, b"caf\xc3\xa9", Err(NotEditable::Charset)),
            ("us-ascii", EightBit, b"caf\xe9", Err(NotEditable::Charset)),
            ("", SevenBit, b"\x1b$B4A\x1b(B", Err(NotEditable::Charset)),
            ("utf-8", EightBit, b"caf\xe9", Err(NotEditable::Charset)),
            ("utf-8", Binary, b"caf\xc3\xa9", Ok("café")),
            ("x-unknown", SevenBit, b"abc", Err(NotEditable::Charset)),
            ("utf-16", Base64, b"YQA=", Err(NotEditable::Charset)),
            ("utf-16", Base64, b"//5hAA==", Ok("\u{feff}a")),
            (
                "iso-2022-jp",
                SevenBit,
                b"\x1b$B4A",
                Err(NotEditable::Charset),
            ),
            ("iso-2022-jp", SevenBit, b"\x1b$B4A\x1b(B", Ok("漢")),
            ("utf-8", Base64, b"Y2Fmw6k", Err(NotEditable::Malformed)),
            (
                "utf-8",
                QuotedPrintable,
                b"=ZZ",
                Err(NotEditable::Malformed),
            ),
            ("utf-8", QuotedPrintable, b"caf=C3=A9", Ok("café")),
            ("utf-8", Unknown, b"abc", Err(NotEditable::Malformed)),
        ] {
            let got = read(raw, label, encoding);
            let got = got.as_ref().map(TextBody::text).map_err(|e| *e);
            assert_eq!(got, outcome, "{label} {encoding:?} {raw:?}");
        }
    }

    /// Charset, coding, raw body, place, text; the new raw body, new charset, new coding.
    type Rung<'a> = (
        &'a str,
        Encoding,
        &'a [u8],
        usize,
        &'a str,
        &'a [u8],
        Option<&'a str>,
        Option<Encoding>,
    );

    #[test]
    fn the_ladder() {
        use Encoding::{Base64, Binary, EightBit, QuotedPrintable, SevenBit};
        let mut rows: Vec<Rung<'_>> = vec![
            (
                "",
                SevenBit,
                b"ab\r\n",
                4,
                "x\n",
                b"ab\r\nx\r\n",
                None,
                None,
            ),
            (
                "us-ascii",
                SevenBit,
                b"ab\r\n",
                0,
                "x\n",
                b"x\r\nab\r\n",
                None,
                None,
            ),
            (
                "us-ascii",
                SevenBit,
                b"ab caf\r\n",
                8,
                "\u{e9}",
                b"ab caf\r\n=C3=A9",
                Some("utf-8"),
                Some(QuotedPrintable),
            ),
            (
                "utf-8",
                SevenBit,
                b"ab caf\r\n",
                8,
                "\u{e9}",
                b"ab caf\r\n=C3=A9",
                None,
                Some(QuotedPrintable),
            ),
            (
                "utf-8",
                EightBit,
                b"ab\r\n",
                4,
                "é",
                "ab\r\né".as_bytes(),
                None,
                None,
            ),
            (
                "iso-8859-1",
                EightBit,
                b"caf\xe9\r\n",
                6,
                "é",
                b"caf\xe9\r\n\xe9",
                None,
                None,
            ),
            (
                "iso-8859-1",
                EightBit,
                b"\xe9",
                1,
                "€",
                "é€".as_bytes(),
                Some("utf-8"),
                None,
            ),
            (
                "iso-8859-1",
                SevenBit,
                b"caf\xe9\r\n",
                6,
                "x",
                b"caf=E9\r\nx",
                None,
                Some(QuotedPrintable),
            ),
            (
                "iso-8859-1",
                QuotedPrintable,
                b"caf=E9\r\n",
                6,
                "é",
                b"caf=E9\r\n=E9",
                None,
                None,
            ),
            (
                "iso-8859-1",
                QuotedPrintable,
                b"caf=e9\r\n",
                6,
                "€",
                b"caf=C3=A9\r\n=E2=82=AC",
                Some("utf-8"),
                None,
            ),
            (
                "iso-8859-1",
                QuotedPrintable,
                b"caf\xe9\r\n",
                6,
                "x",
                b"caf=E9\r\nx",
                None,
                None,
            ),
            (
                "iso-8859-1",
                Base64,
                b"6Q==\r\n",
                1,
                "é",
                b"6ek=\r\n",
                None,
                None,
            ),
            (
                "iso-8859-1",
                Base64,
                b"6Q==\r\n",
                1,
                "€",
                b"w6nigqw=\r\n",
                Some("utf-8"),
                None,
            ),
            (
                "utf-16",
                Base64,
                b"//5hAA==\r\n",
                4,
                "b",
                b"//5hAGIA\r\n",
                None,
                None,
            ),
            (
                "utf-16",
                Base64,
                b"//5hAA==\r\n",
                0,
                "b",
                b"//5iAGEA\r\n",
                None,
                None,
            ),
            (
                "utf-16be",
                Base64,
                b"AGE=",
                2,
                "漢",
                b"AGFvIg==",
                None,
                None,
            ),
            (
                "utf-8",
                EightBit,
                b"\xef\xbb\xbfa",
                0,
                "b",
                b"\xef\xbb\xbfba",
                None,
                None,
            ),
            // T175
            (
                "utf-16le",
                Binary,
                b"a\0",
                2,
                "\r\nb",
                b"YQANAAoAYgA=",
                None,
                Some(Base64),
            ),
            (
                "utf-16be",
                EightBit,
                b"\0a",
                0,
                "b",
                b"AGIAYQ==",
                None,
                Some(Base64),
            ),
            // Half of a line end on either side.
            (
                "utf-8",
                Binary,
                b"a\r\nb",
                2,
                "x",
                b"YQ14CmI=",
                None,
                Some(Base64),
            ),
            ("utf-8", Binary, b"a\0\r\n", 4, "x", b"a\0\r\nx", None, None),
            (
                "utf-7",
                SevenBit,
                b"+ZeU-",
                5,
                "x",
                b"5peleA==",
                Some("utf-8"),
                Some(Base64),
            ),
            (
                "iso-2022-jp",
                SevenBit,
                b"\x1b$B4A\x1b(B\r\n",
                10,
                "漢",
                b"\x1b$B4A\x1b(B\r\n\x1b$B4A\x1b(B",
                None,
                None,
            ),
            (
                "iso-2022-jp",
                SevenBit,
                b"\x1b$B4A\x1b(B",
                8,
                "é",
                "5ryiw6k=".as_bytes(),
                Some("utf-8"),
                Some(Base64),
            ),
            (
                "shift_jis",
                EightBit,
                b"\x8a\xbf\r\n",
                4,
                "漢",
                b"\x8a\xbf\r\n\x8a\xbf",
                None,
                None,
            ),
        ];
        let long = "x".repeat(999);
        let broken = format!("ab\r\n{}=\r\n{}", "x".repeat(75), "x".repeat(75));
        rows.push((
            "us-ascii",
            SevenBit,
            b"ab\r\n",
            4,
            &long,
            broken.as_bytes(),
            None,
            Some(QuotedPrintable),
        ));
        for (label, encoding, raw, at, text, new, charset, changed) in rows {
            let body = read(raw, label, encoding).unwrap();
            let got = body
                .insert(Place::Octet(at), text, Unmappable::Raise)
                .unwrap();
            let shown = String::from_utf8_lossy(&got.raw).into_owned();
            let long = text.len() > 900; // only its beginning is in the table
            assert!(
                got.raw.starts_with(new) && (long || got.raw == new),
                "{label} {encoding:?}: {shown:?}"
            );
            assert_eq!(
                (got.charset.as_deref(), got.encoding),
                (charset, changed),
                "{label} {encoding:?}: {shown:?}"
            );
        }
    }

    #[test]
    fn references_in_html() {
        for (label, raw, text, new) in [
            ("us-ascii", &b"<p>"[..], "é€", &b"<p>&#233;&#8364;"[..]),
            ("iso-8859-1", b"<p>", "é€", b"<p>\xe9&#8364;"),
            ("utf-8", b"<p>", "é€", "<p>é€".as_bytes()),
            ("iso-2022-jp", b"<p>", "漢é", b"<p>\x1b$B4A\x1b(B&#233;"),
        ] {
            let body = read(raw, label, Encoding::EightBit).unwrap();
            let got = body
                .insert(Place::Octet(3), text, Unmappable::Entities)
                .unwrap();
            assert_eq!(
                String::from_utf8_lossy(&got.raw),
                String::from_utf8_lossy(new),
                "{label}"
            );
            assert_eq!((got.charset, got.encoding), (None, None), "{label}");
        }
    }

    #[test]
    fn places() {
        let body = read("aé漢".as_bytes(), "utf-8", Encoding::EightBit).unwrap();
        for inside in [2, 4, 5] {
            let got = body
                .clone()
                .insert(Place::Octet(inside), "x", Unmappable::Raise);
            assert_eq!(got, Err(NotEditable::Charset), "{inside}");
        }
        let gbk = read(b"\xba\xba\xba\xba", "gbk", Encoding::EightBit).unwrap();
        assert_eq!(
            gbk.clone().insert(Place::Octet(1), "x", Unmappable::Raise),
            Err(NotEditable::Charset)
        );
        let got = gbk
            .clone()
            .insert(Place::Text(3), "x", Unmappable::Raise)
            .unwrap();
        assert_eq!(got.raw, b"\xba\xbax\xba\xba");
        let latin = read(b"\x93a\x94", "iso-8859-1", Encoding::EightBit).unwrap();
        let got = latin
            .insert(Place::Text(4), "x", Unmappable::Raise)
            .unwrap();
        assert_eq!(got.raw, b"\x93ax\x94");
        // Within a stretch of two-octet characters only encoding the whole anew has a place.
        let jis = read(b"\x1b$B4A4A\x1b(B", "iso-2022-jp", Encoding::SevenBit).unwrap();
        let got = jis
            .clone()
            .insert(Place::Text(3), "x", Unmappable::Raise)
            .unwrap();
        assert_eq!(got.raw, b"\x1b$B4A\x1b(Bx\x1b$B4A\x1b(B");
        // A needless escape would be lost by that, so the part is raised.
        let odd = read(
            b"\x1b$B4A4A\x1b(Bz\x1b(Bz",
            "iso-2022-jp",
            Encoding::EightBit,
        )
        .unwrap();
        let got = odd
            .clone()
            .insert(Place::Text(3), "x", Unmappable::Raise)
            .unwrap();
        assert_eq!(
            (got.raw, got.charset.as_deref()),
            ("漢x漢zz".as_bytes().to_vec(), Some("utf-8"))
        );
        let got = odd
            .clone()
            .insert(Place::Text(7), "x", Unmappable::Raise)
            .unwrap();
        assert_eq!(
            (got.raw, got.charset),
            (b"\x1b$B4A4A\x1b(Bzx\x1b(Bz".to_vec(), None)
        );
        let beyond = body
            .insert(Place::Text(99), "x", Unmappable::Raise)
            .unwrap();
        assert_eq!(beyond.raw, "aé漢x".as_bytes());
    }

    #[test]
    #[rustfmt::skip]
    #[allow(clippy::single_range_in_vec_init, reason = "most rows remove one range")]
    fn what_is_removed() {
        use Encoding::{Base64, EightBit, QuotedPrintable, SevenBit};
        for (label, encoding, raw, ranges, new, charset, changed) in [
            ("", SevenBit, &b"a\r\nbc\r\nd"[..], &[3..7][..], &b"a\r\nd"[..], None, None),
            ("utf-8", EightBit, "aéb漢c".as_bytes(), &[1..3, 4..7], b"abc", None, None),
            ("iso-8859-1", EightBit, b"\xe9\xe8x", &[0..2], b"\xe8x", None, None),
            ("iso-8859-1", QuotedPrintable, b"a=e9b=e8c", &[3..4], b"a=e9=\r\n=e8c", None, None),
            ("utf-8", QuotedPrintable, b"first\r\nsec=\r\nond\r\nthird =\r\nx\r\n", &[7..15], b"first\r\nthird =\r\nx\r\n", None, None),
            ("utf-8", QuotedPrintable, b"a b\r\nc", &[2..3], b"a =\r\n\r\nc", None, None),
            ("utf-8", QuotedPrintable, b"abc", &[1..3], b"a", None, None),
            ("utf-8", Base64, b"YWJj\r\nZGVm\r\nZ2hp\r\n", &[3..4, 8..9], b"YWJj\r\nZWZn\r\naA==\r\n", None, None),
            ("utf-16", Base64, b"//5hAGIA", &[0..4], b"//5iAA==", None, None),
            ("shift_jis", EightBit, b"\x8a\xbfx\x8a\xbf", &[3..4], b"\x8a\xbf\x8a\xbf", None, None),
            ("iso-2022-jp", SevenBit, b"\x1b$B4A4A\x1b(Bx", &[0..3], b"\x1b$B4A\x1b(Bx", None, None),
            ("utf-7", SevenBit, b"+ZeU-x", &[3..4], b"5pel", Some("utf-8"), Some(Base64)),
        ] {
            let body = read(raw, label, encoding).unwrap();
            let got = body.remove(ranges).unwrap();
            assert_eq!(String::from_utf8_lossy(&got.raw), String::from_utf8_lossy(new), "{label} {encoding:?}");
            assert_eq!((got.charset.as_deref(), got.encoding), (charset, changed), "{label} {encoding:?}");
        }
        let body = read("aé".as_bytes(), "utf-8", EightBit).unwrap();
        for ranges in [&[2..3][..], &[0..9], &[1..3, 0..1]] {
            assert_eq!(body.remove(ranges), Err(NotEditable::Charset), "{ranges:?}");
        }
    }

    #[test]
    fn line_ends_follow_the_body() {
        let own = codec::encode(Encoding::Base64, b"a\nb\n", b"\r\n");
        let body = read(&own, "utf-8", Encoding::Base64).unwrap();
        let new = body
            .insert(Place::Octet(4), "x\r\ny", Unmappable::Raise)
            .unwrap();
        assert_eq!(
            codec::decode(Encoding::Base64, &new.raw).unwrap(),
            &b"a\nb\nx\ny"[..]
        );
        let plain = TextBody::read(b"a\n", None, Encoding::SevenBit, b"\n").unwrap();
        let new = plain
            .insert(Place::Octet(2), "x\r\ny\r", Unmappable::Raise)
            .unwrap();
        assert_eq!(new.raw, b"a\nx\ny\n");
    }

    const LABELS: &[&str] = &[
        "",
        "us-ascii",
        "iso-8859-1",
        "windows-1252",
        "iso-8859-2",
        "iso-8859-15",
        "koi8-r",
        "utf-8",
        "utf-16",
        "utf-16le",
        "utf-16be",
        "shift_jis",
        "euc-jp",
        "iso-2022-jp",
        "gb2312",
        "gbk",
        "gb18030",
        "big5",
        "euc-kr",
    ];
    const CODINGS: &[Encoding] = &[
        Encoding::SevenBit,
        Encoding::EightBit,
        Encoding::Binary,
        Encoding::Base64,
        Encoding::QuotedPrintable,
    ];

    fn text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => Just("word "), 2 => Just("\r\n"), 1 => Just("é"), 1 => Just("€"), 1 => Just("漢"), 1 => Just("ж"),
            1 => Just("<br>"), 1 => Just("From "), 1 => Just("."), 1 => Just(" "), 1 => Just("="), 1 => Just("𝄞"),
            1 => Just("0123456789012345678901234567890123456789012345678901234567890123456789")
        ];
        proptest::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
    }

    /// Reads a body by other people's code.
    fn independently(raw: &[u8], label: &str, encoding: Encoding) -> String {
        let ctype = mailparse::parse_content_type("application/octet-stream");
        let coding = Some(encoding.name().to_owned());
        let octets = match mailparse::body::Body::new(raw, &ctype, &coding) {
            mailparse::body::Body::Base64(body) | mailparse::body::Body::QuotedPrintable(body) => {
                body.get_decoded().unwrap()
            }
            _ => raw.to_vec(),
        };
        let encoding = encoding_rs::Encoding::for_label(if label.is_empty() {
            b"us-ascii"
        } else {
            label.as_bytes()
        })
        .unwrap();
        let (text, _, broken) = encoding.decode(&octets);
        assert!(!broken, "{label}: {text}");
        text.into_owned()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1500))]
        #[test]
        fn the_text_stands_at_its_place(
            label in proptest::sample::select(LABELS), encoding in proptest::sample::select(CODINGS), old in text(), insert in text(),
            place in any::<proptest::sample::Index>(), by_octet: bool, entities: bool
        ) {
            let charset = Charset::for_label(if label.is_empty() { b"us-ascii" } else { label.as_bytes() }).unwrap();
            let mut old = old;
            let written = if label == "utf-16" { Charset::for_label(b"utf-16le").unwrap() } else { charset };
            old.retain(|c| written.encode(c.encode_utf8(&mut [0; 4])).is_some());
            let content = if label == "utf-16" { format!("\u{feff}{old}") } else { old.clone() };
            let octets = written.encode(&content).unwrap();
            let raw = codec::encode_exact(encoding, &octets, b"\r\n");
            let body = read(&raw, label, encoding).unwrap();
            prop_assert_eq!(body.text(), &content);

            let mut at = place.index(content.len() + 1);
            while !content.is_char_boundary(at) || content.get(..at).unwrap().ends_with('\r') {
                at -= 1;
            }
            let octet = written.encode(&content[..at]).unwrap().len();
            let where_to = if by_octet && !label.starts_with("iso-2022") { Place::Octet(octet) } else { Place::Text(at) };
            let unmappable = if entities { Unmappable::Entities } else { Unmappable::Raise };
            let new = body.clone().insert(where_to, &insert, unmappable).unwrap();

            let now = new.encoding.unwrap_or(encoding);
            let label_now = new.charset.as_deref().unwrap_or(label);
            let mut read_back = independently(&new.raw, label_now, now);
            if entities {
                for c in ['é', '€', '漢', 'ж', '𝄞'] {
                    read_back = read_back.replace(&format!("&#{};", u32::from(c)), &c.to_string());
                }
            }
            let at = at.max(content.len() - old.len());
            let line_end = body.line_end();
            let expected = [&content[..at], &with_line_ends(&insert, line_end), &content[at..]].concat();
            prop_assert_eq!(read_back.trim_start_matches(BOM), expected.trim_start_matches(BOM), "{} {:?} -> {:?}", label, encoding, String::from_utf8_lossy(&new.raw));

            if !matches!(now, Encoding::EightBit | Encoding::Binary) {
                prop_assert!(new.raw.is_ascii());
            }
            let longest = new.raw.split(|b| *b == b'\n').map(<[u8]>::len).max().unwrap_or(0);
            match now {
                Encoding::Base64 | Encoding::QuotedPrintable => prop_assert!(longest <= 77),
                Encoding::Binary => {}
                _ => prop_assert!(longest <= 999),
            }
            // T175
            prop_assert_eq!(lone(&new.raw), None, "{} {:?}", label, encoding);
            let wide = label_now.starts_with("utf-16") && encoding != Encoding::Base64;
            prop_assert_eq!(wide && new.encoding != Some(Encoding::Base64), false);
            if matches!(encoding, Encoding::Base64 | Encoding::QuotedPrintable | Encoding::Binary) && !wide {
                prop_assert_eq!(new.encoding, None, "the class is kept");
            }
            prop_assert!(read(&new.raw, label_now, now).is_ok());
            if entities {
                prop_assert_eq!(new.charset, None);
            }
        }

        #[test]
        fn what_was_inserted_can_be_removed_and_so_can_anything(
            label in proptest::sample::select(LABELS), encoding in proptest::sample::select(CODINGS), old in text(),
            places in proptest::collection::vec(any::<proptest::sample::Index>(), 2..24)
        ) {
            let charset = Charset::for_label(if label.is_empty() { b"us-ascii" } else { label.as_bytes() }).unwrap();
            let mut old = old;
            let written = if label == "utf-16" { Charset::for_label(b"utf-16le").unwrap() } else { charset };
            old.retain(|c| written.encode(c.encode_utf8(&mut [0; 4])).is_some());
            let content = if label == "utf-16" { format!("\u{feff}{old}") } else { old.clone() };
            let raw = codec::encode_exact(encoding, &written.encode(&content).unwrap(), b"\r\n");
            let body = read(&raw, label, encoding).unwrap();

            let mut places: Vec<usize> = places.iter().map(|place| {
                let mut at = place.index(content.len() + 1);
                while !content.is_char_boundary(at) || content.get(..at).unwrap().ends_with('\r') {
                    at -= 1;
                }
                at.max(content.len() - old.len())
            }).collect();
            places.sort_unstable();
            places.dedup();
            let ranges: Vec<Range<usize>> = places.chunks_exact(2).map(|two| two[0]..two[1]).collect();
            let new = body.remove(&ranges).unwrap();
            let now = new.encoding.unwrap_or(encoding);
            let label_now = new.charset.as_deref().unwrap_or(label);
            let expected = String::from_utf8(codec::without(content.as_bytes(), &ranges)).unwrap();
            let got = independently(&new.raw, label_now, now);
            prop_assert_eq!(got.trim_start_matches(BOM), expected.trim_start_matches(BOM), "{} {:?} -> {:?}", label, encoding, String::from_utf8_lossy(&new.raw));
            prop_assert!(read(&new.raw, label_now, now).is_ok());
            prop_assert_eq!(&new.charset, &None);
            let longest = new.raw.split(|b| *b == b'\n').map(<[u8]>::len).max().unwrap_or(0);
            if matches!(now, Encoding::Base64 | Encoding::QuotedPrintable) {
                prop_assert!(longest <= 77);
            }
            if encoding.is_identity() && new.encoding.is_none() && !label.starts_with("iso-2022") {
                prop_assert_eq!(new.raw, codec::without(&raw, &ranges.iter().map(|range| {
                    let octets = |at| written.encode(&content[..at]).unwrap().len();
                    octets(range.start)..octets(range.end)
                }).collect::<Vec<_>>()));
            }
        }
    }
}
