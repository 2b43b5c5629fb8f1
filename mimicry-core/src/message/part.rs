//! One part as a reader sees it: its types, names and octets, each worked out when it is asked for.
//!
//! Must never: decide anything that the scanner has decided, or return text for octets without saying how it decoded.

use std::borrow::Cow;
use std::ops::Range;

use super::codec::{self, Encoding, Malformed};
use super::header::{Field, Fields, fields};
use super::limits::Limits;
use super::names::find_name;
use super::params::Params;
use super::tree::{Doubt, Kind, Message, Node, PartId, Seal};

/// A view of one part.
#[derive(Clone, Copy)]
pub struct Part<'m> {
    message: &'m Message,
    id: PartId,
}

/// What the octets of a part end in: it decides on the line end before a delimiter that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// A header block without a blank line; one more line end would be the blank line.
    Header,
    /// The blank line; there is no body.
    Blank,
    /// A body or an epilogue.
    Body,
}

impl Message {
    /// A message of the same header and without a body, for who has no more need of the octets.
    pub fn header_alone(&self) -> Message {
        let header = self.root().header().to_vec();
        Message::scan(header, &Limits::default())
    }

    pub fn root(&self) -> Part<'_> {
        Part::new(self, PartId::ROOT)
    }

    /// `None` = the id belongs to another message.
    pub fn part(&self, id: PartId) -> Option<Part<'_>> {
        (id.index() < self.nodes.len()).then(|| Part::new(self, id))
    }

    /// All parts, in document order.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = Part<'_>> + ExactSizeIterator {
        (0..self.nodes.len() as u32).map(|index| Part::new(self, PartId(index)))
    }

    /// The parts that have no children, in document order.
    pub fn leaves(&self) -> impl DoubleEndedIterator<Item = Part<'_>> {
        self.parts().filter(|part| !part.is_multipart())
    }
}

impl<'m> Part<'m> {
    pub(super) fn new(message: &'m Message, id: PartId) -> Part<'m> {
        Part { message, id }
    }

    pub(super) fn node(self) -> &'m Node {
        // Ids are made by the scanner of this very message; the arena is never empty.
        self.message
            .nodes
            .get(self.id.index())
            .unwrap_or(&self.message.nodes[0])
    }

    pub fn id(self) -> PartId {
        self.id
    }

    pub fn parent(self) -> Option<Part<'m>> {
        self.node().parent.map(|id| Part::new(self.message, id))
    }

    /// In document order; empty for leaves.
    pub fn children(self) -> impl Iterator<Item = Part<'m>> {
        let end = self.node().next;
        let first = PartId(self.id.0.saturating_add(1));
        let mut at = (first < end).then_some(first);
        std::iter::from_fn(move || {
            let child = Part::new(self.message, at?);
            at = Some(child.node().next).filter(|next| *next < end);
            Some(child)
        })
    }

    /// From the parent to the root.
    pub fn ancestors(self) -> impl Iterator<Item = Part<'m>> {
        std::iter::successors(self.parent(), |part| part.parent())
    }

    /// Is it `above` or anywhere below it.
    pub fn is_within(self, above: PartId) -> bool {
        self.message
            .nodes
            .get(above.index())
            .is_some_and(|node| (above..node.next).contains(&self.id))
    }

    pub fn is_root(self) -> bool {
        self.id == PartId::ROOT
    }

    /// Has it been split into children. A multipart that could not be is a leaf.
    pub fn is_multipart(self) -> bool {
        matches!(self.node().kind, Kind::Multipart { .. })
    }

    /// A leaf that was not looked into: over a limit, or its framing is broken. Nothing may edit it.
    pub fn is_opaque(self) -> bool {
        matches!(self.node().kind, Kind::Opaque)
    }

    /// The root is at depth 1.
    pub fn depth(self) -> usize {
        self.node().depth as usize
    }

    /// In lower case, without parameters; `text/plain` when the part says nothing (RFC 2045 section 5.2).
    pub fn media_type(self) -> &'m str {
        &self.node().media_type
    }

    /// Is it signed or encrypted, itself or by a part around it.
    pub fn seal(self) -> Option<Seal> {
        self.node().seal
    }

    /// Is it the outermost part of what is sealed.
    pub fn is_seal_root(self) -> bool {
        self.seal().is_some() && self.parent().is_none_or(|parent| parent.seal().is_none())
    }

    /// Why some program may find other parts in it than there are here, or read another header.
    pub fn doubt(self) -> Option<Doubt> {
        let node = self.node();
        node.doubt.or(self.is_opaque().then_some(Doubt::Unsplit))
    }

    /// The header block, without the blank line.
    pub fn header(self) -> &'m [u8] {
        self.message.slice(&self.node().header)
    }

    pub fn fields(self) -> Fields<'m> {
        fields(self.header())
    }

    /// The first field of that name.
    pub fn field(self, name: &str) -> Option<Field<'m>> {
        self.fields().find(|field| field.is(name))
    }

    /// The body in its transfer encoding.
    pub fn body(self) -> &'m [u8] {
        self.message.slice(&self.node().body)
    }

    /// Header block, blank line and body, as they stand in the message.
    pub fn raw(self) -> &'m [u8] {
        self.message.slice(&self.range())
    }

    /// Where [`Part::raw`] stands in the message.
    pub(super) fn range(self) -> Range<usize> {
        let node = self.node();
        node.header.start..node.body.end
    }

    pub fn encoding(self) -> Encoding {
        self.field("content-transfer-encoding")
            .map_or(Encoding::SevenBit, |field| Encoding::parse(field.value()))
    }

    /// The body without its transfer encoding.
    pub fn decoded(self) -> Result<Cow<'m, [u8]>, Malformed> {
        codec::decode(self.encoding(), self.body())
    }

    /// The length of the body without its transfer encoding, in octets; `None` when the coding is broken.
    pub fn decoded_len(self) -> Option<u64> {
        codec::decoded_len(self.encoding(), self.body()).ok()
    }

    /// A parameter of Content-Type, decoded.
    pub fn param(self, name: &str) -> Option<String> {
        let field = self.field("content-type")?;
        Params::parse(field.value(), Limits::default().params).get(name)
    }

    /// The charset as declared, in lower case.
    pub fn charset(self) -> Option<String> {
        self.param("charset")
            .map(|label| label.to_ascii_lowercase())
    }

    /// The word of Content-Disposition, in lower case (RFC 2183); what is no token is no disposition.
    pub fn disposition(self) -> Option<String> {
        let field = self.field("content-disposition")?;
        let unfolded = field.unfolded();
        let word = unfolded
            .split(|octet| matches!(octet, b';' | b'('))
            .next()?
            .trim_ascii();
        let is_token =
            |octet: &u8| octet.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(octet);
        (!word.is_empty() && word.iter().all(is_token)).then(|| {
            word.iter()
                .map(|octet| char::from(octet.to_ascii_lowercase()))
                .collect()
        })
    }

    /// The media types that some mail program could read, in lower case: the one that the structure follows, and those of further or
    /// broken fields.
    pub fn media_types(self) -> Vec<String> {
        let mut types = vec![self.media_type().to_string()];
        for field in self.fields().filter(|field| field.is("content-type")) {
            let params = Params::parse(field.value(), Limits::default().params);
            let read = params.media_type().map(String::from);
            for found in [read, Some(loose_type(&field))].into_iter().flatten() {
                if found.contains('/') && !types.contains(&found) {
                    types.push(found);
                }
            }
        }
        types
    }

    /// The file names that most mail programs read: of Content-Disposition, then of Content-Type where that differs.
    pub fn filenames(self) -> Vec<String> {
        let mut names = Vec::new();
        for (name, attribute) in [
            ("content-disposition", "filename"),
            ("content-type", "name"),
        ] {
            let Some(field) = self.field(name) else {
                continue;
            };
            if find_name(field.value()).is_none() {
                continue;
            }
            let params = Params::parse(field.value(), Limits::default().params);
            if let Some(name) = params.get(attribute)
                && !name.is_empty()
                && !names.contains(&name)
            {
                names.push(name);
            }
        }
        names
    }

    /// The recommended file name, the one of Content-Disposition before that of Content-Type.
    pub fn filename(self) -> Option<String> {
        self.filenames().into_iter().next()
    }

    /// Content-ID without its angle brackets and what stands beside them (RFC 2045 section 7 allows comments), and without blanks
    /// and quotes around it.
    pub fn content_id(self) -> Option<Vec<u8>> {
        let field = self.field("content-id")?;
        let unfolded = field.unfolded();
        let open = memchr::memchr(b'<', &unfolded);
        let bracketed = open.and_then(|open| {
            let rest = unfolded.get(open..)?;
            rest.get(..memchr::memchr(b'>', rest)?)
        });
        let unfolded = bracketed.unwrap_or(&unfolded);
        let around =
            |octet: &u8| octet.is_ascii_whitespace() || matches!(octet, b'<' | b'>' | b'"');
        let start = unfolded.iter().position(|octet| !around(octet))?;
        let end = unfolded.iter().rposition(|octet| !around(octet))?;
        unfolded.get(start..=end).map(<[u8]>::to_vec)
    }

    /// The numbers from the root to the part, as IMAP counts (RFC 9051 section 6.4.5.1): the children of the root are
    /// 1, 2, …; a root that is a leaf is 1; a multipart root has none.
    pub fn section(self) -> Vec<u32> {
        if self.is_root() && !self.is_multipart() {
            return vec![1];
        }
        let mut numbers: Vec<u32> = std::iter::successors(Some(self), |part| part.parent())
            .filter(|part| !part.is_root())
            .map(|part| part.node().number)
            .collect();
        numbers.reverse();
        numbers
    }

    /// The section as text: `1.2`; `0` for a multipart root.
    pub fn section_text(self) -> String {
        let numbers = self.section();
        if numbers.is_empty() {
            return "0".into();
        }
        let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
        numbers.join(".")
    }

    /// The media types from the root to the part, joined by ` > `.
    pub fn type_path(self) -> String {
        let mut types: Vec<&str> = std::iter::once(self)
            .chain(self.ancestors())
            .map(Part::media_type)
            .collect();
        types.reverse();
        types.join(" > ")
    }

    /// The first line of the message where that is an mbox envelope line: fields go below it.
    pub fn envelope_line(self) -> Option<Field<'m>> {
        let first = self.fields().next().filter(|_| self.is_root())?;
        // The scanner lets no other line without a field name into a header block.
        let is_named = !first.name().is_empty() && first.name().iter().all(u8::is_ascii_graphic);
        (!is_named).then_some(first)
    }

    pub(super) fn tail(self) -> Tail {
        let last = Part::new(self.message, PartId(self.node().next.0.saturating_sub(1)));
        let closed = std::iter::once(last)
            .chain(last.ancestors())
            .take_while(|part| part.is_within(self.id))
            .any(|part| matches!(part.node().kind, Kind::Multipart { close: Some(_), .. }));
        if closed || !last.body().is_empty() {
            Tail::Body
        } else if last.node().header.end == last.node().body.start {
            Tail::Header
        } else {
            Tail::Blank
        }
    }

    /// The message it is a part of.
    pub fn message(self) -> &'m Message {
        self.message
    }
}

/// What stands before the first semicolon or blank behind a word, without quotes and comments, encoded words decoded.
pub(super) fn loose_type(field: &Field<'_>) -> String {
    let text = field.decoded().to_lowercase();
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '"');
    let ends = |c: char| c.is_whitespace() || matches!(c, ';' | '"' | ',' | '(');
    text.split(ends).next().unwrap_or_default().to_string()
}

impl std::fmt::Debug for Part<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.section_text(), self.media_type())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::scan::tests::{expand, scan};

    /// RFC 9051 section 6.4.5.1, but that message/rfc822 is not entered.
    #[test]
    fn sections() {
        for (short, sections) in [
            ("\nx", "1"),
            ("{b}--b\n\nx\n--b--\n", "0 1"),
            (
                "{o}--o\n\nx\n--o\n{i}--i\n\ny\n--i\n\nz\n--i--\n--o\n\nw\n--o--\n",
                "0 1 2 2.1 2.2 3",
            ),
            (
                "{o}--o\n{m}--m\n{i}--i\n\nx\n--o\n\ny\n--o--\n",
                "0 1 1.1 1.1.1 2",
            ),
            ("{b}--b--\n", "0"),
            ("Content-Type: message/rfc822\n\n{b}--b\n\nx\n--b--\n", "1"),
        ] {
            let message = scan(&expand(short));
            let found: Vec<String> = message.parts().map(Part::section_text).collect();
            assert_eq!(found.join(" "), sections, "{short}");
        }
    }

    #[test]
    fn navigation() {
        let message = scan(&expand("{o}--o\n\nx\n--o\n{i}--i\n{h}y\n--i--\n--o--\n"));
        let [root, first, inner, leaf] = message.parts().collect::<Vec<_>>()[..] else {
            panic!("{message:?}")
        };
        assert_eq!(
            root.children().map(Part::id).collect::<Vec<_>>(),
            [first.id(), inner.id()]
        );
        assert_eq!(
            leaf.ancestors().map(Part::id).collect::<Vec<_>>(),
            [inner.id(), root.id()]
        );
        assert_eq!((root.depth(), first.depth(), leaf.depth()), (1, 2, 3));
        assert!(
            leaf.is_within(inner.id()) && leaf.is_within(leaf.id()) && !leaf.is_within(first.id())
        );
        assert_eq!(
            leaf.type_path(),
            "multipart/mixed > multipart/mixed > text/html"
        );
        assert_eq!(format!("{leaf:?}"), "2.1 text/html");
        assert_eq!(message.part(PartId(4)).map(Part::id), None);
        assert_eq!(
            message.leaves().map(Part::id).collect::<Vec<_>>(),
            [first.id(), leaf.id()]
        );
    }

    #[test]
    fn names() {
        for (header, names) in [
            ("", &[][..]),
            ("Content-Type: x/y; name=a\n", &["a"]),
            ("Content-Disposition: attachment; filename=b\n", &["b"]),
            (
                "Content-Type: x/y; name=a\nContent-Disposition: attachment; filename=b\n",
                &["b", "a"],
            ),
            (
                "Content-Type: x/y; name=a\nContent-Disposition: attachment; filename=\"a\"\n",
                &["a"],
            ),
            ("Content-Disposition: attachment; filename=\"\"\n", &[]),
            (
                "Content-Disposition: attachment; filename*=utf-8''%C3%A4\n",
                &["ä"],
            ),
            (
                "Content-Disposition: attachment; filename*0=a; filename*1=b\n",
                &["ab"],
            ),
            (
                "Content-Disposition: attachment; filename=\"=?utf-8?q?=C3=A4?=\"\n",
                &["ä"],
            ),
            (
                "Content-Disposition: attachment; filename=x; filename*=utf-8''%C3%A4\n",
                &["ä"],
            ),
            (
                "Content-Disposition: attachment;\n filename=\"a b\"\n",
                &["a b"],
            ),
        ] {
            let message = scan(&format!("{header}\nx"));
            assert_eq!(message.root().filenames(), names, "{header}");
            assert_eq!(message.root().filename().as_deref(), names.first().copied());
        }
    }

    #[test]
    fn facts() {
        let message = scan(
            "Content-Type : Text/HTML; Charset=\"UTF-8\"\nContent-Transfer-Encoding: Base64\n\
             Content-Disposition: (c) ; x\nContent-Disposition: Inline;a=b\nContent-ID:\n <a@b> \n\nw6Q=",
        );
        let root = message.root();
        assert_eq!(
            (root.media_type(), root.charset().as_deref()),
            ("text/html", Some("utf-8"))
        );
        assert_eq!(
            (root.encoding(), root.decoded_len()),
            (Encoding::Base64, Some(2))
        );
        assert_eq!(&*root.decoded().unwrap(), "ä".as_bytes());
        assert_eq!(
            (root.disposition(), root.content_id()),
            (None, Some(b"a@b".to_vec()))
        );
        for (value, word) in [
            ("", None),
            ("inline", Some("inline")),
            (" ATTACHMENT (x); a=b", Some("attachment")),
            ("x y", None),
            ("\"attachment\"", None),
            ("attachment filename=a", None),
            ("filename=a", None),
            ("x-odd;", Some("x-odd")),
        ] {
            let message = scan(&format!("Content-Disposition:{value}\n\nx"));
            assert_eq!(message.root().disposition().as_deref(), word, "{value}");
        }
        let broken = scan("Content-Transfer-Encoding: base64\n\n####");
        assert_eq!(broken.root().decoded_len(), None);
    }

    #[test]
    fn envelope_lines() {
        for (raw, line) in [
            (
                "From a@b.example Mon Jan  1 10:00:00 2024\nA: b\n\nx",
                Some("From a@b.example Mon Jan  1 10:00:00 2024\n"),
            ),
            (">From a@b.example\nA: b\n\nx", Some(">From a@b.example\n")),
            ("From : a@b.example\nA: b\n\nx", None),
            ("From: a@b.example\nA: b\n\nx", None),
            ("", None),
        ] {
            assert_eq!(
                scan(raw).root().envelope_line().map(|field| field.raw()),
                line.map(str::as_bytes),
                "{raw}"
            );
        }
    }

    #[test]
    fn tails() {
        for (short, tail) in [
            ("", Tail::Header),
            ("A: b", Tail::Header),
            ("A: b\n\n", Tail::Blank),
            ("A: b\n\nx", Tail::Body),
            ("{b}--b--", Tail::Body),
            ("{b}", Tail::Blank),
            ("{b}--b\n", Tail::Header),
            ("{b}--b\n\n", Tail::Blank),
            ("{b}--b\n\nx", Tail::Body),
            ("{b}--b\n\n--b--", Tail::Body),
            ("{o}--o\n{i}--i\nA: b\n", Tail::Header),
            ("{o}--o\n{i}--i\nA: b\n--i--\n", Tail::Body),
        ] {
            assert_eq!(scan(&expand(short)).root().tail(), tail, "{short}");
        }
    }
}
