//! What a message is: its octets, the tree of its parts as ranges into them, and the roles of these.
//!
//! Must never: read octets to find parts (`scan` does), or change one.

use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

/// A message as it came, scanned. The octets cannot change any more; an edit yields new octets.
pub struct Message {
    pub(super) raw: Vec<u8>,
    /// In document order: a part stands before its children, and these before its next sibling. Never empty.
    pub(super) nodes: Vec<Node>,
    pub(super) newline: Newline,
    pub(super) defects: Defects,
    /// Found when somebody asks.
    pub(super) roles: OnceLock<Roles>,
}

/// The index of a part in its message. Document order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartId(pub(super) u32);

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
pub(super) struct Node {
    pub(super) parent: Option<PartId>,
    /// The first part behind this one's subtree; may lie behind the end of the arena.
    pub(super) next: PartId,
    /// 1 = the first child of its parent.
    pub(super) number: u32,
    pub(super) depth: u32,
    /// The delimiter line that opens it, with its line end. Empty for the root.
    pub(super) delimiter: Range<usize>,
    /// The header block up to and with the line end of the last field.
    pub(super) header: Range<usize>,
    /// The octets behind the blank line (or behind the header, when there is none), up to the line end that belongs
    /// to the next delimiter.
    pub(super) body: Range<usize>,
    /// In lower case: `text/plain`.
    pub(super) media_type: Box<str>,
    pub(super) kind: Kind,
    pub(super) seal: Option<Seal>,
    /// It is sealed only because another variant of the same text is.
    pub(super) sealed_by_variant: bool,
    pub(super) doubt: Option<Doubt>,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
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

/// Why some program may find other parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It was not split: a limit was reached, or its framing is broken.
    Unsplit,
    Header,
    Type,
    Delimiter,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Doubt::Unsplit => {
                "it is not looked into, because a limit is reached or its framing is broken"
            }
            Doubt::Header => "header fields that only some programs read",
            Doubt::Type => "a multipart for some programs only",
            Doubt::Delimiter => "lines that only some programs take for delimiters",
        })
    }
}

/// How a part is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    Signed,
    Encrypted,
}

/// The role of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// text/plain or text/html that a reader sees as the mail's text; with alternatives each of them.
    Body,
    /// Disposition attachment, or a file name, and not shown.
    Attachment,
    /// Everything else: pictures that are shown, calendars, unnamed parts.
    Inline,
}

/// The roles of all parts of a message.
#[derive(Debug)]
pub struct Roles {
    /// By part; `None` for multiparts.
    pub(super) roles: Vec<Option<Role>>,
    /// In document order.
    pub(super) shown: Vec<PartId>,
    /// The root, where it is the mail's text and says that it is attached.
    pub(super) attached_root: bool,
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
    pub(super) fn slice(&self, range: &Range<usize>) -> &[u8] {
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
