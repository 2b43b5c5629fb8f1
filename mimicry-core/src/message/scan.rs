//! Octets → tree of parts (RFC 2046 section 5.1, RFC 5322 section 2).
//!
//! One pass from the first octet to the last: header blocks line by line, bodies by a search for line ends followed by
//! `--`. A boundary counts only as a whole line (blanks may trail), so one that is the prefix of another is told apart;
//! of two open multiparts with the same boundary the inner one has it until it is closed. A delimiter of an outer
//! multipart ends all inner ones. message/rfc822 is a leaf: what is forwarded is not ours to edit.
//!
//! Must never: fail, recurse, look at an octet more often than a bounded number of times, or "repair" anything.
//! Nothing is an error: what cannot be understood is an opaque leaf and sets a defect.
//!
//! Known limits: a line that is no header field ends the header block as Postfix and Python do; other readers skip it.
//! The difference sets [`Defects::structure`].

use std::ops::Range;

use memchr::{memchr, memmem};

use super::codec::Encoding;
use super::header::{Field, fields};
use super::params::Params;
use super::{Defects, Kind, Limits, Message, Newline, Node, PartId, sealed};

impl Message {
    /// Takes the octets and finds the parts in them. Linear in time; memory beside the octets is bounded by
    /// `limits.parts`.
    pub fn scan(raw: Vec<u8>, limits: &Limits) -> Message {
        let mut scanner = Scanner {
            raw: &raw,
            limits,
            nodes: Vec::new(),
            open: Vec::new(),
            defects: Defects::default(),
        };
        scanner.run();
        let Scanner { mut nodes, defects, .. } = scanner;
        sealed::mark(&raw, &mut nodes);
        Message {
            newline: Newline::of(&raw),
            raw,
            nodes,
            defects,
        }
    }
}

struct Scanner<'a> {
    raw: &'a [u8],
    limits: &'a Limits,
    nodes: Vec<Node>,
    /// From the root to the part that the current octet belongs to.
    open: Vec<Open>,
    defects: Defects,
}

/// A part whose end has not been seen.
struct Open {
    part: PartId,
    state: State,
    boundary: Box<[u8]>,
}

#[derive(PartialEq)]
enum State {
    Leaf,
    Multipart,
    /// Its close delimiter has been seen; what follows is its epilogue.
    Closed,
}

/// A line that is a delimiter of an open multipart.
struct Delimiter {
    /// Which of the open parts.
    index: usize,
    closes: bool,
    /// With its line end.
    line: Range<usize>,
}

impl<'a> Scanner<'a> {
    fn run(&mut self) {
        let mut at = self.begin_part(None, 0..0, false);
        while self.open.iter().any(|open| open.state == State::Multipart) {
            let Some(delimiter) = self.next_delimiter(at) else { break };
            at = delimiter.line.end;
            self.end_parts_above(delimiter.index, delimiter.line.start);
            let Some(open) = self.open.get_mut(delimiter.index) else { break };
            let parent = open.part;
            if delimiter.closes {
                open.state = State::Closed;
                if let Some(Node { kind: Kind::Multipart { close, .. }, .. }) = self.nodes.get_mut(parent.index()) {
                    *close = Some(delimiter.line);
                }
            } else {
                let digest = self.nodes.get(parent.index()).is_some_and(|node| &*node.media_type == "multipart/digest");
                at = self.begin_part(Some(parent), delimiter.line, digest);
                if self.nodes.len() >= self.limits.parts {
                    self.cut();
                    break;
                }
            }
        }
        if self.open.iter().any(|open| open.state == State::Multipart) {
            self.defects.structure = true;
        }
        let end = self.raw.len();
        while let Some(open) = self.open.pop() {
            self.close_node(open.part, end);
        }
    }

    /// Adds the part whose header block starts behind `delimiter`; returns where its body starts.
    fn begin_part(&mut self, parent: Option<PartId>, delimiter: Range<usize>, digest: bool) -> usize {
        let block = self.header_block(delimiter.end);
        let id = PartId(self.nodes.len() as u32);
        let depth = self.open.len() as u32 + 1;
        let number = parent.map_or(1, |parent| self.children_of(parent) + 1);
        let facts = match self.raw.get(block.header.clone()) {
            Some(header) if !block.over_limit => self.read_facts(header, digest),
            _ => HeaderFacts::opaque("application/octet-stream"),
        };
        let kind = match facts.kind {
            Kind::Multipart { .. } if depth as usize > self.limits.depth.min(Limits::MAX_DEPTH) => {
                self.defects.limit = true;
                Kind::Opaque
            }
            kind => kind,
        };
        let (state, boundary) = match &kind {
            Kind::Multipart { boundary, .. } => (State::Multipart, boundary.clone()),
            _ => (State::Leaf, Box::default()),
        };
        if state == State::Multipart
            && self.open.iter().any(|open| open.state == State::Multipart && open.boundary == boundary)
        {
            self.defects.structure = true;
        }
        self.nodes.push(Node {
            parent,
            next: PartId(id.0.saturating_add(1)),
            number,
            depth,
            delimiter,
            header: block.header,
            body: block.body_start..block.body_start,
            media_type: facts.media_type,
            kind,
            seal: None,
        });
        self.open.push(Open { part: id, state, boundary });
        block.body_start
    }

    /// How many children a part has so far.
    fn children_of(&self, parent: PartId) -> u32 {
        // The last part of the arena is the previous sibling or below it, so this walks up, never along the siblings.
        let mut last = self.nodes.last();
        while let Some(node) = last {
            match node.parent {
                Some(above) if above == parent => return node.number,
                Some(above) => last = self.nodes.get(above.index()),
                None => return 0,
            }
        }
        0
    }

    /// The next line from `at` (which is the start of a line) that is a delimiter of an open multipart.
    fn next_delimiter(&mut self, at: usize) -> Option<Delimiter> {
        // From the line end before, so that a delimiter on the very first line is found by the same search.
        let from = at.saturating_sub(1);
        let haystack = self.raw.get(from..)?;
        let mut reopened = false;
        let mut found = None;
        for hit in memmem::find_iter(haystack, b"\n--") {
            let start = from.checked_add(hit)?.checked_add(1)?;
            match self.delimiter_at(start) {
                Some(delimiter) => {
                    found = Some(delimiter);
                    break;
                }
                None => reopened |= self.is_closed_boundary(start),
            }
        }
        self.defects.structure |= reopened;
        found
    }

    /// Is the line at `start`, which begins with `--`, a delimiter of an open multipart. The innermost wins.
    fn delimiter_at(&self, start: usize) -> Option<Delimiter> {
        let (text, line) = self.boundary_line(start)?;
        let open = self.open.iter().enumerate().rev();
        for (index, open) in open.filter(|(_, open)| open.state == State::Multipart) {
            let closes = match text.strip_prefix(&*open.boundary) {
                Some(b"") => false,
                Some(b"--") => true,
                _ => continue,
            };
            return Some(Delimiter { index, closes, line });
        }
        None
    }

    /// Some readers take up a multipart again after its close delimiter; we do not, and say that they may differ.
    fn is_closed_boundary(&self, start: usize) -> bool {
        self.open.iter().any(|open| open.state == State::Closed)
            && self.boundary_line(start).is_some_and(|(text, _)| {
                self.open
                    .iter()
                    .any(|open| open.state == State::Closed && text.strip_prefix(&*open.boundary) == Some(b""))
            })
    }

    /// The text of a line behind its `--`, less trailing blanks, and the line with its end.
    fn boundary_line(&self, start: usize) -> Option<(&'a [u8], Range<usize>)> {
        let rest = self.raw.get(start..)?;
        let length = memchr(b'\n', rest).map_or(rest.len(), |at| at.saturating_add(1));
        let line = rest.get(..length)?;
        let text = line.strip_prefix(b"--")?.trim_ascii_end();
        Some((text, start..start.saturating_add(length)))
    }

    /// A delimiter line at `line_start` ends all open parts above `index`.
    fn end_parts_above(&mut self, index: usize, line_start: usize) {
        let keep = index.saturating_add(1);
        if self.open.iter().skip(keep).any(|open| open.state == State::Multipart) {
            self.defects.structure = true;
        }
        // The line end before a delimiter belongs to the delimiter (RFC 2046 section 5.1.1).
        let before = self.raw.get(..line_start).unwrap_or_default();
        let before = before.strip_suffix(b"\n").unwrap_or(before);
        let before = before.strip_suffix(b"\r").unwrap_or(before);
        while self.open.len() > keep
            && let Some(open) = self.open.pop()
        {
            self.close_node(open.part, before.len());
        }
    }

    fn close_node(&mut self, part: PartId, end: usize) {
        let next = PartId(self.nodes.len() as u32);
        if let Some(node) = self.nodes.get_mut(part.index()) {
            node.body.end = end.max(node.body.start);
            node.next = next;
        }
    }

    /// The limit of parts is reached: the part just begun holds all the rest.
    fn cut(&mut self) {
        self.defects.limit = true;
        self.defects.cut = true;
        if let Some(node) = self.nodes.last_mut() {
            node.kind = Kind::Opaque;
        }
    }
}

/// A header block and where the body behind it starts.
struct Block {
    header: Range<usize>,
    body_start: usize,
    over_limit: bool,
}

impl Scanner<'_> {
    /// Reads lines from `start` to the blank line, to a delimiter of an open multipart, or to a line that is no field.
    fn header_block(&mut self, start: usize) -> Block {
        let mut at = start;
        let mut count = 0usize;
        let mut field_start = start;
        let mut over_limit = false;
        loop {
            let rest = self.raw.get(at..).unwrap_or_default();
            let length = memchr(b'\n', rest).map_or(rest.len(), |end| end.saturating_add(1));
            let line = rest.get(..length).unwrap_or_default();
            let after = at.saturating_add(length);
            match line {
                [] => return self.block_without_blank(start, at, over_limit),
                [b'\n', ..] | [b'\r', b'\n', ..] => {
                    return Block {
                        header: start..at,
                        body_start: after,
                        over_limit,
                    };
                }
                [b'-', b'-', ..] if self.delimiter_at(at).is_some() => {
                    return self.block_without_blank(start, at, over_limit);
                }
                [b' ' | b'\t', ..] if at > start => {}
                line if is_field(line) || (at == start && start == 0 && is_mbox_line(line)) => {
                    count = count.saturating_add(1);
                    field_start = at;
                }
                _ => {
                    self.defects.structure = true;
                    return self.block_without_blank(start, at, over_limit);
                }
            }
            at = after;
            if count > self.limits.fields
                || at.saturating_sub(field_start) > self.limits.field
                || at.saturating_sub(start) > self.limits.header
            {
                over_limit = true;
                self.defects.limit = true;
            }
        }
    }

    fn block_without_blank(&mut self, start: usize, end: usize, over_limit: bool) -> Block {
        Block {
            header: start..end,
            body_start: end,
            over_limit,
        }
    }

    /// Reads what decides on the structure from a header block.
    fn read_facts(&mut self, header: &[u8], digest: bool) -> HeaderFacts {
        let default = if digest { "message/rfc822" } else { "text/plain" };
        let mut content_type: Option<Field<'_>> = None;
        let mut encoding: Option<Field<'_>> = None;
        for field in fields(header) {
            let slot = if field.is("content-type") {
                &mut content_type
            } else if field.is("content-transfer-encoding") {
                &mut encoding
            } else {
                continue;
            };
            match slot {
                // Readers differ on which of several they believe. The first, as most do.
                Some(first) => self.defects.structure |= first.value() != field.value(),
                None => *slot = Some(field),
            }
        }
        let Some(content_type) = content_type else {
            return HeaderFacts::leaf(default);
        };
        let params = Params::parse(content_type.value(), self.limits.params);
        let Some(media_type) = params.media_type() else {
            // RFC 2045 section 5.2: what cannot be read is text/plain.
            self.defects.structure = true;
            return HeaderFacts::leaf(default);
        };
        if params.too_many() {
            self.defects.limit = true;
            return HeaderFacts::opaque(media_type);
        }
        if !media_type.starts_with("multipart/") {
            return HeaderFacts::leaf(media_type);
        }
        self.defects.structure |= params.ambiguous("boundary");
        let boundary = params.get_bytes("boundary").unwrap_or_default();
        let boundary = boundary.trim_ascii_end();
        // RFC 2045 section 6.4: no coding but the identities is allowed on a multipart.
        let coded = encoding.is_some_and(|field| {
            !matches!(
                Encoding::parse(field.value()),
                Encoding::SevenBit | Encoding::EightBit | Encoding::Binary
            )
        });
        if boundary.is_empty() || boundary.contains(&b'\n') || coded {
            self.defects.structure = true;
            return HeaderFacts::opaque(media_type);
        }
        HeaderFacts {
            media_type: media_type.into(),
            kind: Kind::Multipart {
                boundary: boundary.into(),
                close: None,
            },
        }
    }
}

/// What a header block says about the structure.
struct HeaderFacts {
    media_type: Box<str>,
    kind: Kind,
}

impl HeaderFacts {
    fn leaf(media_type: &str) -> HeaderFacts {
        HeaderFacts {
            media_type: media_type.into(),
            kind: Kind::Leaf,
        }
    }

    fn opaque(media_type: &str) -> HeaderFacts {
        HeaderFacts {
            media_type: media_type.into(),
            kind: Kind::Opaque,
        }
    }
}

/// Is this the first line of a header field: printable octets and a colon, blanks before the colon tolerated
/// (RFC 5322 section 4.5).
fn is_field(line: &[u8]) -> bool {
    let Some(colon) = memchr(b':', line) else { return false };
    let name = line.get(..colon).unwrap_or_default().trim_ascii_end();
    !name.is_empty() && name.iter().all(|octet| octet.is_ascii_graphic())
}

/// The envelope line of an mbox, which some programs leave on top of a mail.
fn is_mbox_line(line: &[u8]) -> bool {
    line.starts_with(b"From ") || line.starts_with(b">From ")
}
