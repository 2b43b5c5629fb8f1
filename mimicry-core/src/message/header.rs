//! Header blocks: splitting one into fields, reading a field, making a new one.
//!
//! The fields of a block are slices of it, and put together they are the block again, whatever it
//! holds: lines without a colon and stray continuation lines are fields with an empty name. A line
//! ends at LF (with or without CR before it); a lone CR is data.
//!
//! Must never: change, re-fold or drop an octet of a field that it did not make; make a field that is
//! more than one field (no CR, LF or NUL of a value survives [`make`]).

use std::borrow::Cow;

use memchr::{memchr, memchr_iter};

use super::words;

/// Columns of a line that we write: 76, the limit for lines with encoded words (RFC 2047 2), which is
/// below the 78 of RFC 5322 2.1.1.
const FOLD_AT: usize = 76;

/// The fields of a header block, in order. Concatenated, their raw slices are the block.
pub fn fields(block: &[u8]) -> Fields<'_> {
    fields_from(block, 0)
}

/// The fields of a block from the one that begins at `start`.
pub fn fields_from(block: &[u8], start: usize) -> Fields<'_> {
    Fields {
        rest: block.get(start..).unwrap_or_default(),
        start,
    }
}

/// How many fields were looked at, in this thread: what an edit costs.
#[cfg(test)]
pub(crate) mod looks {
    use std::cell::Cell;

    thread_local!(static LOOKS: Cell<usize> = const { Cell::new(0) });

    pub(crate) fn count() -> usize {
        LOOKS.get()
    }

    pub(super) fn one() {
        LOOKS.set(LOOKS.get() + 1);
    }
}

/// Iterator over the fields of a block; see [`fields`].
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
    start: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        #[cfg(test)]
        looks::one();
        let end = memchr_iter(b'\n', self.rest)
            .map(|lf| lf + 1)
            .find(|&next| !matches!(self.rest.get(next), Some(b' ' | b'\t')))
            .unwrap_or(self.rest.len());
        let (raw, rest) = self.rest.split_at_checked(end)?;
        let field = Field::new(raw, self.start);
        self.rest = rest;
        self.start += end;
        Some(field)
    }
}

/// One field of a header block, as it stands there.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    raw: &'a [u8],
    start: usize,
    /// Offset of the colon in `raw`; `None` for a line that is no field.
    colon: Option<usize>,
}

impl<'a> Field<'a> {
    fn new(raw: &'a [u8], start: usize) -> Field<'a> {
        let line = memchr(b'\n', raw).unwrap_or(raw.len());
        let colon = raw
            .get(..line)
            .filter(|line| !matches!(line.first(), Some(b' ' | b'\t' | b':')))
            .and_then(|line| memchr(b':', line));
        Field { raw, start, colon }
    }

    /// Byte offset of the field in its block.
    pub fn start(&self) -> usize {
        self.start
    }

    /// Byte offset of the first octet after the field in its block.
    pub fn end(&self) -> usize {
        self.start + self.raw.len()
    }

    /// The octets of the field with its line ends, the last one included if there is one.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Byte offset of the colon in [`Field::raw`]; `None` for a line that is no field.
    pub fn colon(&self) -> Option<usize> {
        self.colon
    }

    /// The name as written, without the blanks before the colon (RFC 5322 4.5 allows them, and mail
    /// programs honour `Content-Type :`); empty for a line that is no field.
    pub fn name(&self) -> &'a [u8] {
        self.raw
            .get(..self.colon.unwrap_or(0))
            .unwrap_or_default()
            .trim_ascii_end()
    }

    /// Whether the field has this name, in any case.
    pub fn is(&self, name: &str) -> bool {
        self.colon.is_some() && self.name().eq_ignore_ascii_case(name.as_bytes())
    }

    /// The octets after the colon, folds and blanks included, the last line end not; the whole line
    /// where there is no colon.
    pub fn value(&self) -> &'a [u8] {
        let from = self.colon.map_or(0, |colon| colon + 1);
        let value = self.raw.get(from..).unwrap_or_default();
        match value.strip_suffix(b"\n") {
            Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
            None => value,
        }
    }

    /// Byte range of [`Field::value`] in the block.
    pub fn value_range(&self) -> std::ops::Range<usize> {
        let from = self.start + self.colon.map_or(0, |colon| colon + 1);
        from..from + self.value().len()
    }

    /// The value without its line ends, blanks kept (RFC 5322 2.2.3).
    pub fn unfolded(&self) -> Cow<'a, [u8]> {
        unfold(self.value())
    }

    /// The value as text on one line: unfolded, trimmed, encoded words decoded, raw 8-bit octets read
    /// as UTF-8 or else windows-1252.
    pub fn decoded(&self) -> String {
        words::decode(self.unfolded().trim_ascii())
    }
}

/// `value` without its line ends (CRLF and LF); a lone CR is data.
pub fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    if memchr(b'\n', value).is_none() {
        return Cow::Borrowed(value);
    }
    let mut out = Vec::with_capacity(value.len());
    for line in value.split_inclusive(|b| *b == b'\n') {
        let text = line
            .strip_suffix(b"\n")
            .map(|l| l.strip_suffix(b"\r").unwrap_or(l))
            .unwrap_or(line);
        out.extend_from_slice(text);
    }
    Cow::Owned(out)
}

/// A new field, folded at blanks to at most 76 columns where blanks allow it, ending in `newline`.
///
/// `body` is text: what is not ASCII becomes encoded words. Folds in it (CRLF or LF before a blank)
/// are undone first; every other CR, LF and NUL becomes a blank, so that no value can begin a second
/// field. Octets that cannot stand in a field name are dropped from `name`.
pub fn make(name: &str, body: &str, newline: &[u8]) -> Vec<u8> {
    let name: String = name
        .chars()
        .filter(|c| c.is_ascii_graphic() && *c != ':')
        .collect();
    let indent = name.len() + 2;
    let body = words::encode(one_line(body).trim_matches([' ', '\t']), indent);

    let mut out = Vec::with_capacity(indent + body.len() * 2);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    fold(&mut out, indent, &body, newline);
    out.extend_from_slice(newline);
    out
}

/// Which end of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Front,
    Back,
}

/// A field with text put before or after its value, of which every octet stays as it is, whether anybody can read it or not.
/// `None` for a field without a value.
///
/// A blank between two encoded words is not shown (RFC 2047 section 6.2), so beside one an encoded word of ours holds the blank.
pub fn add_to(raw: &[u8], text: &str, end: End, newline: &[u8]) -> Option<Vec<u8>> {
    let field = fields(raw).next()?;
    let head = raw.get(..=field.colon()?)?;
    let old = field.value();
    let shown = field.unfolded();
    let shown = shown.trim_ascii();
    if shown.is_empty() {
        return None;
    }
    let text = one_line(text);
    let text = text.trim_matches([' ', '\t']);
    let is_blank = |octet: Option<&u8>| matches!(octet, Some(b' ' | b'\t' | b'\r' | b'\n'));
    let mut out = head.to_vec();
    match end {
        End::Front => {
            let indent = head.len() + 1;
            let mut ours = words::encode(text, indent);
            if shown.starts_with(b"=?") && ours.ends_with("?=") {
                ours = words::encode_all(&format!("{text} "), indent);
            }
            out.push(b' ');
            let column = fold(&mut out, indent, &ours, newline);
            let line = old.split(|octet| *octet == b'\n').next().unwrap_or(old);
            // A line of blanks alone would end the header for some readers.
            if column + 1 + line.len() > FOLD_AT && !line.trim_ascii().is_empty() {
                out.extend_from_slice(newline);
            }
            if !is_blank(old.first()) {
                out.push(b' ');
            }
            out.extend_from_slice(old);
        }
        End::Back => {
            out.extend_from_slice(old);
            let column = out
                .iter()
                .rev()
                .take_while(|octet| **octet != b'\n')
                .count();
            let mut ours = words::encode(text, column + 1);
            if shown.ends_with(b"?=") && ours.starts_with("=?") {
                ours = words::encode_all(&format!(" {text}"), column + 1);
            }
            if is_blank(old.last()) {
                fold(&mut out, column, &ours, newline);
            } else {
                fold(&mut out, column, &format!(" {ours}"), newline);
            }
        }
    }
    out.extend_from_slice(newline);
    Some(out)
}

/// Text on one line: its folds undone, every other CR, LF and NUL a blank.
fn one_line(text: &str) -> String {
    text.replace("\r\n ", " ")
        .replace("\r\n\t", "\t")
        .replace("\n ", " ")
        .replace("\n\t", "\t")
        .replace("\r\n", " ")
        .replace(['\r', '\n', '\0'], " ")
}

/// Writes what stands from this column on, folded at blanks where it becomes too long. Returns the column after it.
fn fold(out: &mut Vec<u8>, mut column: usize, body: &str, newline: &[u8]) -> usize {
    for piece in pieces(body) {
        if column + piece.len() > FOLD_AT && piece.starts_with([' ', '\t']) {
            out.extend_from_slice(newline);
            column = 0;
        }
        out.extend_from_slice(piece.as_bytes());
        column += piece.len();
    }
    column
}

/// The tokens of a value, each with the blanks before it.
fn pieces(body: &str) -> impl Iterator<Item = &str> {
    let blank = |c: char| c == ' ' || c == '\t';
    let mut rest = body;
    std::iter::from_fn(move || {
        let token = rest.find(|c| !blank(c))?;
        let end = rest
            .get(token..)?
            .find(blank)
            .map_or(rest.len(), |len| token + len);
        let (piece, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_field() {
        for (raw, name, value, unfolded, decoded) in [
            (
                &b"Subject: hi\r\n"[..],
                &b"Subject"[..],
                &b" hi"[..],
                &b" hi"[..],
                "hi",
            ),
            (b"Subject: hi\n", b"Subject", b" hi", b" hi", "hi"),
            (b"Subject: hi", b"Subject", b" hi", b" hi", "hi"),
            (b"Subject:\r\n", b"Subject", b"", b"", ""),
            (
                b"Content-Type : text/plain\r\n",
                b"Content-Type",
                b" text/plain",
                b" text/plain",
                "text/plain",
            ),
            (b"Content-Type\t:x\r\n", b"Content-Type", b"x", b"x", "x"),
            (b"A: b\r\n\tc\r\n", b"A", b" b\r\n\tc", b" b\tc", "b\tc"),
            (b"A: b\n c\n", b"A", b" b\n c", b" b c", "b c"),
            (b"A: b\rc\r\n", b"A", b" b\rc", b" b\rc", "b c"),
            (b"A: b:c\r\n", b"A", b" b:c", b" b:c", "b:c"),
            (
                b"A: =?utf-8?Q?=C3=A9?=\r\n =?utf-8?Q?=C3=A9?=\r\n",
                b"A",
                b" =?utf-8?Q?=C3=A9?=\r\n =?utf-8?Q?=C3=A9?=",
                b" =?utf-8?Q?=C3=A9?= =?utf-8?Q?=C3=A9?=",
                "éé",
            ),
            (b"A: caf\xe9\r\n", b"A", b" caf\xe9", b" caf\xe9", "café"),
            (
                b"junk without colon\r\n",
                b"",
                b"junk without colon",
                b"junk without colon",
                "junk without colon",
            ),
            (
                b" leading: continuation\r\n",
                b"",
                b" leading: continuation",
                b" leading: continuation",
                "leading: continuation",
            ),
            (
                b": no name\r\n",
                b"",
                b": no name",
                b": no name",
                ": no name",
            ),
            (
                b"junk\r\n with: colon below\r\n",
                b"",
                b"junk\r\n with: colon below",
                b"junk with: colon below",
                "junk with: colon below",
            ),
            (b"\r\n", b"", b"", b"", ""),
        ] {
            let mut all = fields(raw);
            let field = all.next().unwrap();
            assert!(all.next().is_none(), "one field: {raw:?}");
            assert_eq!(field.raw(), raw);
            assert_eq!(field.name(), name, "{raw:?}");
            assert_eq!(field.value(), value, "{raw:?}");
            assert_eq!(&raw[field.value_range()], value, "{raw:?}");
            assert_eq!(field.unfolded(), unfolded, "{raw:?}");
            assert_eq!(field.decoded(), decoded, "{raw:?}");
        }
    }

    #[test]
    fn a_block() {
        let block = b"A: 1\r\nb : 2\r\n 3\njunk\nA:4";
        let seen: Vec<_> = fields(block)
            .map(|f| (f.start(), f.name(), f.is("B")))
            .collect();
        assert_eq!(
            seen,
            [
                (0, &b"A"[..], false),
                (6, b"b", true),
                (16, b"", false),
                (21, b"A", false)
            ]
        );
        assert!(!fields(b"junk\n").next().unwrap().is(""));
    }

    #[test]
    fn making() {
        for (name, body, raw) in [
            ("Subject", "hi", "Subject: hi\r\n"),
            ("Subject", "", "Subject: \r\n"),
            ("X", "a\r\nEvil: b", "X: a Evil: b\r\n"),
            ("X", "a\nEvil: b", "X: a Evil: b\r\n"),
            ("X", "a\r\n b", "X: a b\r\n"),
            ("X", "a\rb\0c", "X: a b c\r\n"),
            ("X\r\nEvil: y", "a", "XEvily: a\r\n"),
            ("Subject", "Grüße", "Subject: =?utf-8?B?R3LDvMOfZQ==?=\r\n"),
        ] {
            assert_eq!(make(name, body, b"\r\n"), raw.as_bytes(), "{name} {body}");
        }
        let long = "word ".repeat(40);
        let made = make("Subject", &long, b"\n");
        assert!(made.split(|b| *b == b'\n').all(|line| line.len() <= 78));
        assert!(made.len() > 200);
    }

    /// The octets that are there stay, and readers see the blank between them and ours.
    #[test]
    fn adding_to_a_value() {
        let long = "x".repeat(70);
        for (old, text, front, back) in [
            ("A: hi\r\n", "[x]", "A: [x] hi\r\n", "A: hi [x]\r\n"),
            ("A : hi\r\n", "[x]", "A : [x] hi\r\n", "A : hi [x]\r\n"),
            ("A:hi", "[x]", "A: [x] hi\r\n", "A:hi [x]\r\n"),
            (
                "A:   hi \t\r\n",
                "[x]",
                "A: [x]   hi \t\r\n",
                "A:   hi \t[x]\r\n",
            ),
            (
                "A: b\r\n\tc\r\n",
                "[x]",
                "A: [x] b\r\n\tc\r\n",
                "A: b\r\n\tc [x]\r\n",
            ),
            (
                "A:\r\n c\r\n",
                "[x]",
                "A: [x]\r\n c\r\n",
                "A:\r\n c [x]\r\n",
            ),
            (
                "A: =?cp949?B?sN/A+w==?= 1\r\n",
                "[x]",
                "A: [x] =?cp949?B?sN/A+w==?= 1\r\n",
                "A: =?cp949?B?sN/A+w==?= 1 [x]\r\n",
            ),
            (
                "A: =?utf-8?Q?=C3=A9?=\r\n",
                "ä",
                "A: =?utf-8?B?w6Qg?= =?utf-8?Q?=C3=A9?=\r\n",
                "A: =?utf-8?Q?=C3=A9?= =?utf-8?B?IMOk?=\r\n",
            ),
            (
                "A: hi\r\n",
                "ä",
                "A: =?utf-8?B?w6Q=?= hi\r\n",
                "A: hi =?utf-8?B?w6Q=?=\r\n",
            ),
            (
                "A: =?utf-8?Q?=C3=A9?=\r\n",
                "ä b",
                "A: =?utf-8?B?w6Q=?= b =?utf-8?Q?=C3=A9?=\r\n",
                "A: =?utf-8?Q?=C3=A9?= =?utf-8?B?IMOkIGI=?=\r\n",
            ),
            (
                &format!("A: {long}\r\n"),
                "[x]",
                &format!("A: [x]\r\n {long}\r\n"),
                &format!("A: {long}\r\n [x]\r\n"),
            ),
            (
                "A: hi\r\n",
                " [x]\r\nB: c",
                "A: [x] B: c hi\r\n",
                "A: hi [x] B: c\r\n",
            ),
        ] {
            let added = |end| add_to(old.as_bytes(), text, end, b"\r\n").unwrap();
            for (end, expected) in [(End::Front, front), (End::Back, back)] {
                let new = added(end);
                assert_eq!(String::from_utf8_lossy(&new), expected, "{old:?} {end:?}");
                let read = |raw: &[u8]| fields(raw).next().unwrap().decoded();
                let (before, text) = (read(old.as_bytes()), one_line(text));
                let joined = match end {
                    End::Front => format!("{} {before}", text.trim()),
                    End::Back => format!("{before} {}", text.trim()),
                };
                let one = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
                assert_eq!(one(&read(&new)), one(&joined), "{old:?}");
            }
        }
        for empty in ["A:\r\n", "A: \r\n", "A: \r\n \r\n", "no field", ""] {
            assert_eq!(
                add_to(empty.as_bytes(), "x", End::Front, b"\r\n"),
                None,
                "{empty:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_added_to_stays(value in proptest::collection::vec(prop_oneof![Just(b' '), Just(b'?'), Just(b'='), 0x21u8..=0xff], 1..120), text in "[a-zé漢=?]{1,30}( [a-zé=?]{1,30}){0,9}", back: bool) {
            let old = [b"Subject: ", &value[..], b"\r\n"].concat();
            let end = if back { End::Back } else { End::Front };
            if let Some(new) = add_to(&old, &text, end, b"\r\n") {
                prop_assert_eq!(fields(&new).count(), 1);
                prop_assert!(memchr::memmem::find(&new, value.trim_ascii()).is_some());
                prop_assert!(new.split(|octet| *octet == b'\n').all(|line| line.len() < 300));
            }
        }

        #[test]
        fn fields_are_the_block(block in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b' '), Just(b':'), Just(b'\t'), any::<u8>()], 0..200)) {
            let mut joined = Vec::new();
            for field in fields(&block) {
                prop_assert_eq!(field.start(), joined.len());
                prop_assert!(!field.raw().is_empty());
                joined.extend_from_slice(field.raw());
                prop_assert_eq!(field.end(), joined.len());
                prop_assert_eq!(block.get(field.value_range()), Some(field.value()));
                prop_assert!(!field.unfolded().contains(&b'\n') );
                let _ = field.decoded();
            }
            prop_assert_eq!(joined, block);
        }

        #[test]
        fn made_is_one_field(name in "[ -~]{0,10}", body in "[a-z =?é漢\r\n\0\t:]{0,300}", lf: bool) {
            let newline: &[u8] = if lf { b"\n" } else { b"\r\n" };
            let name = format!("X{name}");
            let made = make(&name, &body, newline);
            prop_assert_eq!(fields(&made).count(), 1);
            prop_assert!(made.is_ascii() && !made.contains(&0));
            let crs = made.iter().filter(|b| **b == b'\r').count();
            let lfs = made.iter().filter(|b| **b == b'\n').count();
            prop_assert_eq!(crs, if lf { 0 } else { lfs });
            let lines: Vec<_> = made.split(|b| *b == b'\n').collect();
            for line in &lines[..lines.len() - 1] {
                prop_assert!(line.iter().any(|b| b.is_ascii_graphic()), "a blank line");
                prop_assert!(line.len() <= 78 || !line.trim_ascii().contains(&b' ') || line.len() < 998);
            }
        }

        #[test]
        fn made_reads_back(body in "[a-zé漢]{1,30}( [a-zé漢]{1,30}){0,9}") {
            let made = make("Subject", &body, b"\r\n");
            prop_assert!(made.split(|b| *b == b'\n').all(|line| line.len() <= 77));
            prop_assert_eq!(fields(&made).next().unwrap().decoded(), body);
        }
    }
}
