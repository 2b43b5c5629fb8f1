//! Where other programs may find other parts than the scanner does, or read another header.
//!
//! The scanner reads a message in one way; mail programs differ. Some take up a multipart again after its close delimiter (libmime,
//! c-client); some take a line that only begins with a boundary for a delimiter, as RFC 2046 section 5.1.1 has it (Dovecot); Python ends
//! lines at a lone CR; most pass over a line that is no header field, take a parameter without a blank in front for one, or pass over blank lines before a
//! header, where the scanner ends it; of two fields or parameters some take the last; some decode a boundary, or take quotes and comments off. Each such
//! part bears a doubt, so that a rule that removes or rejects can take it for what it may hide.
//!
//! A doubt is where the octets give another program something to find: a second boundary of which no line tells anything hides nothing.
//!
//! Must never: be set by what ordinary programs write, choose a reading, or take longer than linear time.
//!
//! Known limits: programs that guess the boundary of a multipart without one are covered, as such a multipart is not split; those
//! that look for a uuencoded file in a text are not.

use std::collections::BTreeMap;
use std::ops::Bound;

use memchr::{memchr, memchr_iter, memchr2, memmem};

use super::charset::decode_unlabelled;
use super::header::{Field, unfold};
use super::labels::WordCharset;
use super::limits::Limits;
use super::names::unescaped;
use super::params::{Params, percent_decode};
use super::part::loose_type;
use super::scan::Dashes;
use super::tree::{Doubt, Kind, Node, PartId};
use super::words;

/// Boundaries that are kept of one header.
const MOST_BOUNDARIES: usize = 32;
/// The type of the mails of Sun's mailtool, whose parts no boundary divides.
const SUN: &[u8] = b"x-sun-attachment";
/// Octets behind a header block that are looked at for more of it.
const MOST_OCTETS: usize = 64 * 1024;

/// Marks the parts in which an unread delimiter stands. `others` are boundaries that some program may read in the header of a part.
pub(super) fn mark(
    raw: &[u8],
    nodes: &mut [Node],
    others: Vec<(PartId, Vec<u8>)>,
    dashes: Dashes<'_>,
) {
    let mut lines = Lines {
        known: BTreeMap::new(),
        longest: 0,
        read: Vec::new(),
    };
    for (index, node) in nodes.iter().enumerate() {
        if let Kind::Multipart { boundary, close } = &node.kind {
            lines.know(boundary, PartId(index as u32));
            lines.read.extend(close.as_ref().map(|close| close.start));
        }
        lines.read.push(node.delimiter.start);
    }
    for (part, boundary) in &others {
        lines.know(boundary, *part);
    }
    if lines.known.is_empty() {
        return;
    }
    for parts in lines.known.values_mut() {
        parts.sort_unstable();
    }
    lines.read.sort_unstable();
    for start in dashes.all() {
        if lines.read.binary_search(&start).is_err() {
            lines.look(raw, start, nodes);
        }
    }
}

/// What is known of the delimiter lines of a message.
struct Lines {
    /// Boundaries in lower case, and the parts whose they are.
    known: BTreeMap<Vec<u8>, Vec<PartId>>,
    longest: usize,
    /// Where the lines begin that the scanner took for delimiters.
    read: Vec<usize>,
}

impl Lines {
    fn know(&mut self, boundary: &[u8], part: PartId) {
        self.longest = self.longest.max(boundary.len());
        let parts = self.known.entry(boundary.to_ascii_lowercase()).or_default();
        if parts.last() != Some(&part) {
            parts.push(part);
        }
    }

    /// Marks the part for which the line at `start` may be a delimiter that opens a part.
    fn look(&self, raw: &[u8], start: usize, nodes: &mut [Node]) {
        let rest = raw.get(start.saturating_add(2)..).unwrap_or_default();
        let most = rest.get(..self.longest).unwrap_or(rest);
        let end = memchr2(b'\r', b'\n', most).unwrap_or(most.len());
        let line = most.get(..end).unwrap_or_default().to_ascii_lowercase();
        let mut prefix = line.as_slice();
        // The greatest of the known that is no greater than the line begins as no other does; what it does not share with
        // the line, no shorter one shares.
        while let Some((boundary, parts)) = self
            .known
            .range::<[u8], _>((Bound::Unbounded, Bound::Included(prefix)))
            .next_back()
        {
            if prefix.starts_with(boundary) {
                let behind = rest.get(boundary.len()..).unwrap_or_default();
                if !behind.starts_with(b"--") {
                    mark_around(parts, start, nodes);
                }
                let Some(shorter) = boundary.len().checked_sub(1) else {
                    return;
                };
                prefix = prefix.get(..shorter).unwrap_or_default();
                continue;
            }
            let pairs = prefix.iter().zip(boundary);
            let shared = pairs.take_while(|(one, other)| one == other).count();
            prefix = prefix.get(..shared).unwrap_or_default();
        }
    }
}

/// The innermost of the parts that holds the place; the root where none does.
fn mark_around(parts: &[PartId], at: usize, nodes: &mut [Node]) {
    let before = parts.partition_point(|part| {
        nodes
            .get(part.index())
            .is_some_and(|node| node.header.start <= at)
    });
    let mut part = before
        .checked_sub(1)
        .and_then(|index| parts.get(index))
        .copied();
    while let Some(id) = part {
        let Some(node) = nodes.get(id.index()) else {
            break;
        };
        if at < node.body.end && parts.binary_search(&id).is_ok() {
            break;
        }
        part = node.parent;
    }
    let place = part.unwrap_or(PartId::ROOT).index();
    if let Some(node) = nodes.get_mut(place) {
        node.doubt.get_or_insert(Doubt::Delimiter);
    }
}

/// Do the lines up to the next blank one hold a field that says what a part is. Blank lines in front are passed over, and so is what
/// is no field if `over_junk`. More lines than anybody looks at may hold one.
pub(super) fn holds_fields<'a>(lines: impl Iterator<Item = &'a [u8]>, over_junk: bool) -> bool {
    let mut has_begun = false;
    let mut octets = 0usize;
    for line in lines {
        octets = octets.saturating_add(line.len());
        if octets > MOST_OCTETS {
            return over_junk;
        }
        let text = line.trim_ascii();
        if text.is_empty() {
            if has_begun && matches!(line, b"\n" | b"\r\n") {
                return false;
            }
            continue;
        }
        has_begun = true;
        let mut pieces = line.split(|octet| matches!(octet, b'\r' | 0));
        if is_about_part(line) || pieces.any(is_about_part) {
            return true;
        }
        if over_junk && is_parameter(text) {
            return true;
        }
        let is_field =
            memchr(b':', line).is_some() || line.starts_with(b" ") || line.starts_with(b"\t");
        if !over_junk && !is_field {
            return false;
        }
    }
    false
}

/// Has a header block that is read fields that only some programs read, behind a lone CR or a NUL.
pub(super) fn hides_behind_cut(header: &[u8]) -> bool {
    let is_cut = |at: &usize| {
        let rest = header.get(at.saturating_add(1)..).unwrap_or_default();
        rest.first() != Some(&b'\n') && {
            let end = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            rest.get(..end).is_some_and(is_about_part)
        }
    };
    memchr_iter(b'\r', header).any(|at| is_cut(&at)) || memchr_iter(0, header).any(|at| is_cut(&at))
}

/// Is a field with an odd name one that only some programs read.
pub(super) fn is_odd(field: &Field<'_>) -> bool {
    let is_usual = |octet: &u8| octet.is_ascii_alphanumeric() || b"-_.".contains(octet);
    !field.name().iter().all(is_usual) && is_about_part(field.raw())
}

/// Is a line a parameter of the field above it that says what a part is, which lost the blank in front.
fn is_parameter(line: &[u8]) -> bool {
    // With a number of sections of a few digits.
    let line = line.get(..40).unwrap_or(line);
    let Some(name) = memchr(b'=', line).and_then(|at| line.get(..at)) else {
        return false;
    };
    let name = name
        .split(|octet| *octet == b'*')
        .next()
        .unwrap_or_default();
    let name = name.trim_ascii().to_ascii_lowercase();
    matches!(name.as_slice(), b"name" | b"filename" | b"boundary")
}

/// Does a line begin with the name of a field that says what a part is, whatever else stands around the name.
fn is_about_part(line: &[u8]) -> bool {
    // The longest is Content-Transfer-Encoding; what stands around it is short, or it is no name.
    let line = line.get(..100).unwrap_or(line);
    let Some(name) = memchr(b':', line).and_then(|colon| line.get(..colon)) else {
        return false;
    };
    let name: Vec<u8> = name
        .iter()
        .filter(|octet| octet.is_ascii_alphanumeric() || **octet == b'-')
        .map(u8::to_ascii_lowercase)
        .collect();
    [b"content-".as_slice(), b"x-sun-data-"]
        .iter()
        .any(|start| memmem::find(&name, start).is_some())
}

/// The boundaries that some program may read in these fields of a header block, Content-Type each, other than the one that is read,
/// and whether a multipart is there for some program without one.
pub(super) fn other_boundaries(
    content_types: &[Field<'_>],
    own: Option<&[u8]>,
) -> (Vec<Vec<u8>>, Option<Doubt>) {
    let mut found = Boundaries::default();
    let mut is_multipart = false;
    let mut is_sun = false;
    for field in content_types {
        let line = unfold(field.value());
        let lower = line.to_ascii_lowercase();
        let before = found.list.len();
        found.of_field(field, &line, &lower);
        let is_without = found.list.len() == before;
        // Octets that are no text, or encoded, may be read as anything.
        let is_text = lower
            .iter()
            .all(|octet| matches!(octet, b'\t' | b' '..=b'~'));
        let is_plain = is_text && memmem::find(&lower, b"=?").is_none();
        let may_be = |word: &[u8]| !is_plain || memmem::find(&lower, word).is_some();
        if may_be(SUN) || is_without && may_be(b"multipart") {
            let kind = loose_type(field);
            is_sun |= kind.as_bytes() == SUN;
            is_multipart |= is_without && kind.starts_with("multipart");
        }
    }
    let own_lower = own.map(<[u8]>::to_ascii_lowercase);
    found
        .list
        .retain(|boundary| Some(boundary) != own_lower.as_ref());
    let without = is_multipart && own.is_none();
    let doubt = is_sun || without || found.list.len() > MOST_BOUNDARIES;
    (found.list, doubt.then_some(Doubt::Type))
}

/// Each in lower case, once.
#[derive(Default)]
struct Boundaries {
    list: Vec<Vec<u8>>,
}

impl Boundaries {
    /// `line` is the field's value without its folds, `lower` the same in lower case.
    fn of_field(&mut self, field: &Field<'_>, line: &[u8], lower: &[u8]) {
        const WORD: &[u8] = b"boundary";
        let mut places = memmem::find_iter(lower, WORD).peekable();
        if places.peek().is_none() && memmem::find(lower, b"=?").is_none() {
            return;
        }
        let params = Params::parse(field.value(), Limits::default().params);
        if let Some(value) = params.get_bytes("boundary") {
            self.add_forms(&value);
        }
        let mut joined = Vec::new();
        for at in places {
            let rest = line
                .get(at.saturating_add(WORD.len())..)
                .unwrap_or_default();
            let is_mark = |octet: &u8| octet.is_ascii_digit() || b"* \t'\"".contains(octet);
            let marks = rest.iter().take_while(|octet| is_mark(octet)).count();
            let Some(value) = rest.get(marks..).and_then(|rest| rest.strip_prefix(b"=")) else {
                continue;
            };
            if self.list.len() > MOST_BOUNDARIES {
                return;
            }
            joined.extend_from_slice(self.add_value(value.trim_ascii_start()));
        }
        self.add_forms(&joined);
        if memmem::find(lower, b"=?").is_some() {
            let decoded = words::decode(line);
            let params = Params::parse(decoded.as_bytes(), Limits::default().params);
            if let Some(value) = params.get_bytes("boundary") {
                self.add_forms(&value);
            }
        }
    }

    /// What programs take for the end of a value; the usual one is given back.
    fn add_value<'v>(&mut self, value: &'v [u8]) -> &'v [u8] {
        let upto = |text: &'v [u8], ends: &dyn Fn(&u8) -> bool| {
            let end = text.iter().position(ends).unwrap_or(text.len());
            text.get(..end).unwrap_or_default()
        };
        let piece = upto(value, &|octet| *octet == b';');
        let token = upto(value, &|octet| {
            octet.is_ascii_whitespace() || b";,(".contains(octet)
        });
        let quoted = value
            .strip_prefix(b"\"")
            .map(|inner| upto(inner, &|octet| *octet == b'"'));
        let behind_comment = value
            .strip_prefix(b"(")
            .and_then(|_| piece.get(memchr(b')', piece)?.saturating_add(1)..));
        for form in [Some(piece), Some(token), quoted, behind_comment]
            .into_iter()
            .flatten()
        {
            self.add_forms(form);
        }
        quoted.unwrap_or(token)
    }

    /// A value, and what programs make of it: without quotes and escapes, decoded, cut.
    fn add_forms(&mut self, value: &[u8]) {
        // Longer than any boundary may be, and than any reader compares.
        let value = value.get(..1000).unwrap_or(value);
        self.add(value);
        // As nearly all are; they have no other form.
        let is_usual = |octet: &u8| octet.is_ascii_alphanumeric() || b"-_=.+:/".contains(octet);
        if value.iter().all(is_usual) {
            return;
        }
        let is_quote = |octet: &u8| b"\"'<>".contains(octet);
        let bare = value
            .iter()
            .position(|octet| !is_quote(octet))
            .unwrap_or_default();
        let end = value
            .iter()
            .rposition(|octet| !is_quote(octet))
            .unwrap_or_default();
        self.add(value.get(bare..=end).unwrap_or_default());
        if memchr(b'\\', value).is_some() {
            self.add(&unescaped(value));
        }
        if let Some(cut) = memchr2(0, b'\r', value) {
            self.add(value.get(..cut).unwrap_or_default());
        }
        if !value.is_ascii() {
            self.add(decode_unlabelled(value).as_bytes());
        }
        if memmem::find(value, b"=?").is_some() {
            self.add(words::decode(value).as_bytes());
        }
        let mut parts = value.splitn(3, |octet| *octet == b'\'');
        let (label, _, tail) = (parts.next(), parts.next(), parts.next());
        if tail.is_some() || memchr(b'%', value).is_some() {
            let mut octets = Vec::new();
            percent_decode(tail.unwrap_or(value), &mut octets);
            self.add(&octets);
            let charset = label.and_then(WordCharset::for_label);
            if let Some(text) = charset.and_then(|charset| charset.decode(&octets)) {
                self.add(text.as_bytes());
            }
        }
    }

    fn add(&mut self, boundary: &[u8]) {
        let boundary = boundary.trim_ascii();
        let is_known = |known: &Vec<u8>| known.eq_ignore_ascii_case(boundary);
        if !boundary.is_empty()
            && !self.list.iter().any(is_known)
            && self.list.len() <= MOST_BOUNDARIES
        {
            self.list.push(boundary.to_ascii_lowercase());
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::message::scan::tests::{expand, scan};

    /// The sections of the parts in doubt, with the first letter of why.
    fn doubts(raw: &str) -> String {
        let message = scan(raw);
        let found: Vec<String> = message
            .parts()
            .filter_map(|part| {
                let why = format!("{:?}", part.doubt()?);
                let section = match part.is_root() {
                    true => "0".into(),
                    false => part.section_text(),
                };
                Some(format!("{section}{}", &why[..1]))
            })
            .collect();
        assert!(found.is_empty() || message.malformed(), "{raw}");
        found.join(" ")
    }

    // T179
    #[test]
    #[rustfmt::skip]
    fn what_other_programs_may_find() {
        for (short, found, who) in [
            // behind the close delimiter
            ("{b}--b\n\nx\n--b--\n--b\n\ny\n--b--\n", "0D", "libmime, c-client"),
            ("{b}--b\n\nx\n--b--\n--b\nContent-Disposition: attachment; filename=setup.exe\n\ny\n", "0D", "libmime, c-client"),
            ("{b}--b\n\nx\n--b--\n\nfooter of a list\n--b--\n", "", "all: nothing opens"),
            ("{o}--o\n{i}--i\n\nx\n--i--\n--i\n\ny\n--o--\n", "1D", "libmime"),
            ("{o}--o\n{i}--i\n\nx\n--o--\n--i\n\ny\n--i--\n", "0D", "mail-parser"),
            // nearly a delimiter
            ("{b}--b\n\nx\n--bz\n\ny\n--b--\n", "0D", "Dovecot: RFC 2046 section 5.1.1"),
            ("{b}--b\n\nx\n--b z\n\ny\n--b--\n", "0D", "Dovecot"),
            ("{b}--b\n\nx\n--B\n\ny\n--b--\n", "0D", "who knows no case"),
            ("{b}--b\n\nx\n--b\0\n\ny\n--b--\n", "0D", "programs in C"),
            ("{b}--b\n\nx\n--b\u{b}\n\ny\n--b--\n", "0D", "programs in C"),
            ("{b}--B\n\nx\n--b\n\ny\n--b--\n", "0D", "who knows no case, in the preamble"),
            ("{b}--b\n\nx\r--b\r\ry\n--b--\n", "0D", "CPython: a lone CR ends a line"),
            ("{b}--b\n\nx\n--b--z\n--b--\n", "", "all: nothing opens"),
            ("{o}--o\n{ob}--ob\n\nx\n--ob\n\ny\n--ob--\n--o\n\nz\n--o--\n", "", "all: a boundary that begins as another"),
            ("{ob}--ob\n{o}--o\n\nx\n--o--\n--ob\n\nz\n--ob--\n", "", "all: a boundary that begins as another"),
            ("{b}--b\n\n-- \nsignature\n--\n---\n--b--\n", "", "all"),
            // boundaries
            ("Content-Type: multipart/mixed; boundary=a; boundary=b\n\n--a\n\nx\n--b\n\ny\n--b--\n--a--\n", "0D", "who takes the last"),
            ("Content-Type: multipart/mixed; boundary=a; boundary=b\n\n--a\n\nx\n--a--\n", "", "all: no line is another's"),
            ("Content-Type: multipart/mixed; boundary=a; boundary*=us-ascii''b\n\n--a\n\nx\n--b\n\ny\n--b--\n", "0D", "who knows no RFC 2231"),
            ("Content-Type: multipart/mixed; boundary*=utf-16be''%00b\n\n--b\n\nx\n--b--\n", "0D", "who decodes it"),
            ("Content-Type: multipart/mixed; boundary=\"=?us-ascii?q?b?=\"\n\n--b\n\nx\n--b--\n", "0D", "who decodes words"),
            ("Content-Type: multipart/mixed; boundary='b'\n\n--b\n\nx\n--b--\n", "0D", "PHP scripts"),
            ("Content-Type: multipart/mixed; boundary=\"a\"; x=\"y; boundary=b\"\n\n--a\n\nx\n--b\n\ny\n--b--\n--a--\n", "0D", "simple"),
            ("Content-Type: multipart/mixed; boundary=\" b\"\n\n--b\n\nx\n--b--\n", "0D", "who trims"),
            ("Content-Type: multipart/mixed; boundary=b(c)\n\n--b\n\nx\n--b--\n", "", "all"),
            ("Content-Type: multipart/mixed; boundary*0=a; boundary*1=b\n\n--ab\n\nx\n--ab--\n", "", "all"),
            ("Content-Type: multipart/mixed; boundary=\"a b\"; charset=utf-8\n\n--a b\n\nx\n--a b--\n", "", "all"),
            // types
            ("Content-Type: text/plain\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n", "0D", "who takes the last"),
            ("Content-Type: text/plain\nContent-Type: multipart/mixed; boundary=b\n\nx\n", "", "all: no delimiter"),
            ("Content-Type: multipart/mixed; boundary=b\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\nx\n--b--\n", "", "all: one boundary"),
            ("Content-Type: \"multipart/mixed\"; boundary=b\n\n--b\n\nx\n--b--\n", "0D", "who takes quotes off"),
            ("Content-Type: multipart; boundary=b\n\n--b\n\nx\n--b--\n", "0D", "who needs no subtype"),
            ("Content-Type: =?us-ascii?q?multipart/mixed=3B_boundary=3Db?=\n\n--b\n\nx\n--b--\n", "0D", "who decodes words first"),
            ("Content-Type: text/plain; boundary=b\n\nx\n", "", "all: no delimiter"),
            ("Content-Type: X-Sun-Attachment\n\n----------\nX-Sun-Data-Name: setup.exe\n\nx\n", "0T", "libmime"),
            ("Content-Type: multipart/mixed\n\n--b\n\nx\n--b--\n", "0U", "who guesses the boundary"),
            ("Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\n--b\n\nx\n--b--\n", "0T", "who decodes it, or does not"),
            ("Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: base64\n\n--b\n\nx\n--b--\n", "0T", "likewise"),
            // header fields
            ("{b}--b\njunk\nContent-Disposition: attachment\n\nx\n--b--\n", "1H", "libmime, GMime, Outlook"),
            ("{b}--b\n\njunk\n\nContent-Disposition: attachment\n\nx\n--b--\n", "", "all: behind a blank line"),
            ("{b}--b\njunk\n\nx\n--b--\n", "", "all: no field"),
            ("{b}--b\nContent-Type: a/b;\nname=\"setup.exe\"\n\nx\n--b--\n", "1H", "Outlook, Thunderbird: a field goes on without a blank"),
            ("{b}--b\nContent-Disposition: attachment;\njunk;\nfilename*0*=us-ascii''setup.exe\n\nx\n--b--\n", "1H", "likewise"),
            ("{b}--b\nContent-Type: a/b;\nx=y\n\nx\n--b--\n", "", "all: no name"),
            ("{b}--b\nContent-Type: a/b;\n name=x\n\nx\n--b--\n", "", "all: folded"),
            ("{b}--b\n\nname=x\n\nx\n--b--\n", "", "all: text"),
            ("{b}--b\n Content-Disposition: attachment\n\nx\n--b--\n", "1H", "who knows no continuation there"),
            ("{b}--b\n\nContent-Disposition: attachment\n\nx\n--b--\n", "1H", "who passes over blank lines"),
            ("{b}--b\n \nContent-Disposition: attachment\n\nx\n--b--\n", "1H", "who passes over blank lines"),
            ("{b}--b\n\nHello\nContent-Disposition: attachment\n\nx\n--b--\n", "", "all: text"),
            ("{b}--b\nA: b\n\nContent-Disposition: attachment\n\nx\n--b--\n", "", "all: text"),
            ("{b}--b\nContent-Disposition\0: attachment\n\nx\n--b--\n", "1H", "programs in C"),
            ("{b}--b\n\u{feff}Content-Disposition: attachment\n\nx\n--b--\n", "1H", "who takes a byte order mark off"),
            ("{b}--b\nContent-Disposition\u{a0}: attachment\n\nx\n--b--\n", "1H", "who trims blanks"),
            ("{b}--b\nContent-Disposition(c): attachment\n\nx\n--b--\n", "1H", "who takes comments off"),
            ("{b}--b\nA: b\rContent-Disposition: attachment\n\nx\n--b--\n", "1H", "CPython"),
            ("{b}--b\nA: b\0Content-Disposition: attachment\n\nx\n--b--\n", "1H", "programs in C"),
            ("{b}--b\nA: b\r\r\nContent-Disposition: attachment\n\nx\n--b--\n", "", "all: a field, or text for who ends the header at the CR"),
            ("A: b\njunk\nContent-Type: application/octet-stream\n\nx\n", "0H", "libmime"),
            ("A: b\r\n\nContent-Type: application/octet-stream\r\n\r\nx\n", "0H", "who ends lines at CRLF only"),
            ("DKIM-Signature: h=from:\n content-type:content-disposition; b=x\n\nx\n", "", "all"),
            ("X-Content-Type-Options: nosniff\n\nx\n", "", "all"),
            ("Content-Type : text/plain\n\nx\n", "", "all"),
            ("Content-Type: multipart/digest; boundary=b\n\n--b\n\nFrom: a\nContent-Type: text/plain\n\nx\n--b--\n", "", "all: a message"),
        ] {
            assert_eq!(doubts(&expand(short)), found, "{who}: {short:?}");
        }
    }

    // T179
    #[test]
    fn hostile_lines_take_linear_time() {
        let near = "--".to_string() + &"a".repeat(70);
        for body in [
            (near + "\n").repeat(10_000),
            "--b\n".repeat(10_000),
            "\r--b".repeat(10_000),
            "a: b\n".repeat(10_000),
        ] {
            let mut raw = String::new();
            for depth in 0..90 {
                let boundary = "a".repeat(depth) + "!";
                raw += &format!(
                    "Content-Type: multipart/mixed; boundary=\"{boundary}\"\njunk\n--{boundary}\n"
                );
            }
            let message = scan(&(raw + &body));
            assert!(message.malformed());
        }
    }
}
