//! A message: its octets, and the tree of its parts as ranges into them.
//!
//! - [`scan`]: octets → tree, iterative, line-anchored, bounded by [`limits`]
//! - [`part`]: one part as a reader sees it; [`roles`]: which leaves are body, attachment, inline
//! - [`header`], [`params`], [`words`], [`labels`], [`address`]: header values; [`names`]: all readings of a file name; [`codec`], [`charset`], [`text`]: bodies
//! - [`doubt`]: where other programs find other parts
//! - [`sealed`]: which parts are signed or encrypted · [`digest`]: what tells a mail from others, also when it comes again
//! - [`place`]: where new parts may stand; [`edit`]: the only way to change a message; [`compose`]: new parts; [`render`]: octets out; [`verify`]: the proof
//! - [`seven_bit`]: the same message for next hops that take no 8-bit octets · [`lines`]: octets that must never leave
//!
//! Must never: know rules, or change an octet that no edit names.

use std::ops::Range;

pub mod address;
mod charrefs;
pub mod charset;
pub mod codec;
pub mod compose;
pub mod digest;
pub mod doubt;
pub mod edit;
pub mod header;
pub mod labels;
mod lenient;
pub mod limits;
pub mod lines;
pub mod names;
pub mod params;
pub mod part;
pub mod place;
mod refers;
pub mod render;
pub mod roles;
pub mod scan;
pub mod sealed;
pub mod seven_bit;
pub mod text;
pub mod verify;
pub mod words;

pub use doubt::Doubt;
pub use limits::Limits;
pub use part::Part;
pub use sealed::Seal;

/// A message as it came, scanned. The octets cannot change any more; an edit yields new octets.
pub struct Message {
    raw: Vec<u8>,
    /// In document order: a part stands before its children, and these before its next sibling. Never empty.
    nodes: Vec<Node>,
    newline: Newline,
    defects: Defects,
}

/// The index of a part in its message. Document order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartId(u32);

impl PartId {
    pub const ROOT: PartId = PartId(0);

    /// Counted from 0, in document order.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// How the lines of a message end; what is made for it ends its lines likewise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Newline {
    #[default]
    Crlf,
    Lf,
}

impl Newline {
    /// As the first line ends; CRLF for a message without a line end.
    pub fn of(raw: &[u8]) -> Newline {
        match memchr::memchr(b'\n', raw) {
            Some(at) if at == 0 || raw.get(at.wrapping_sub(1)) != Some(&b'\r') => Newline::Lf,
            _ => Newline::Crlf,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Newline::Crlf => "\r\n",
            Newline::Lf => "\n",
        }
    }

    pub fn as_bytes(self) -> &'static [u8] {
        self.as_str().as_bytes()
    }

    /// Text of ours with every line end (CRLF, LF or CR) made this one.
    pub fn apply(self, text: &str) -> String {
        let lf = text.replace("\r\n", "\n").replace('\r', "\n");
        match self {
            Newline::Crlf => lf.replace('\n', "\r\n"),
            Newline::Lf => lf,
        }
    }
}

/// What is broken or ambiguous in the structure of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Defects {
    /// A limit was reached and part of the message was not looked into.
    pub limit: bool,
    /// Header blocks, types, codings or boundaries that are broken or that readers understand differently.
    pub structure: bool,
    /// Some part bears a [`Doubt`]: other programs may find other parts.
    pub doubt: bool,
    /// The limit of parts was reached: the last part holds all the rest, and no part may come or go.
    pub cut: bool,
}

/// One part: ranges into the octets, links into the arena.
#[derive(Clone, Debug)]
struct Node {
    parent: Option<PartId>,
    /// The first part behind this one's subtree; may lie behind the end of the arena.
    next: PartId,
    /// 1 = the first child of its parent.
    number: u32,
    depth: u32,
    /// The delimiter line that opens it, with its line end. Empty for the root.
    delimiter: Range<usize>,
    /// The header block up to and with the line end of the last field.
    header: Range<usize>,
    /// The octets behind the blank line (or behind the header, when there is none), up to the line end that belongs
    /// to the next delimiter.
    body: Range<usize>,
    /// In lower case: `text/plain`.
    media_type: Box<str>,
    kind: Kind,
    seal: Option<Seal>,
    /// It is sealed only because another variant of the same text is.
    sealed_by_variant: bool,
    doubt: Option<Doubt>,
}

#[derive(Clone, Debug)]
enum Kind {
    Leaf,
    /// A leaf that was not looked into, because a limit was reached or because its framing is broken.
    Opaque,
    Multipart {
        /// Without the leading `--`.
        boundary: Box<[u8]>,
        /// The close delimiter with its line end; `None` = it is missing.
        close: Option<Range<usize>>,
    },
}

impl Message {
    /// The octets as they came.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Gives the octets back: the very buffer that was scanned.
    pub fn into_raw(self) -> Vec<u8> {
        self.raw
    }

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

    pub fn newline(&self) -> Newline {
        self.newline
    }

    pub fn defects(&self) -> Defects {
        self.defects
    }

    /// Is anything broken or ambiguous in its structure.
    pub fn malformed(&self) -> bool {
        self.is_broken() || self.defects.doubt
    }

    /// As [`Message::malformed`], but for what only other programs may find.
    pub fn is_broken(&self) -> bool {
        self.defects.limit || self.defects.structure
    }

    /// The octets of a range that the scanner made; empty for one that is not within the message.
    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.raw.get(range.clone()).unwrap_or_default()
    }
}

impl std::fmt::Debug for Message {
    /// The tree; never the content, which belongs to the sender and the recipients.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("octets", &self.raw.len())
            .field(
                "types",
                &self
                    .nodes
                    .iter()
                    .map(|node| &node.media_type)
                    .collect::<Vec<_>>(),
            )
            .finish()
    }
}
