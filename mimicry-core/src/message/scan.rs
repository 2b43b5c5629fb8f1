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
//! The difference sets [`Defects::structure`]. Where others may find what is not found here, [`doubt`] says so at the part.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::OnceLock;

use memchr::memchr;

use super::codec::Encoding;
use super::header::{Field, fields};
use super::limits::Limits;
use super::params::Params;
use super::tree::{Defects, Doubt, Kind, Message, Newline, Node, PartId};
use super::{doubt, sealed};

mod dashes;

pub(super) use dashes::Dashes;

#[cfg(test)]
pub(super) mod tests;

impl Message {
    /// Takes the octets and finds the parts in them. Linear in time; memory beside the octets is bounded by
    /// `limits.parts`.
    pub fn scan(raw: Vec<u8>, limits: &Limits) -> Message {
        let mut scanner = Scanner {
            raw: &raw,
            limits,
            nodes: Vec::new(),
            open: Vec::new(),
            boundaries: BTreeMap::new(),
            closed: BTreeMap::new(),
            others: Vec::new(),
            dashes: Dashes::of(&raw),
            newline: Newline::of(&raw),
            defects: Defects::default(),
        };
        scanner.run();
        let Scanner {
            mut nodes,
            mut defects,
            others,
            dashes,
            ..
        } = scanner;
        doubt::mark(&raw, &mut nodes, others, dashes);
        defects.doubt = nodes.iter().any(|node| node.doubt.is_some());
        sealed::mark(&raw, &mut nodes);
        Message {
            newline: Newline::of(&raw),
            raw,
            nodes,
            defects,
            roles: OnceLock::new(),
        }
    }
}

struct Scanner<'a> {
    raw: &'a [u8],
    limits: &'a Limits,
    nodes: Vec<Node>,
    /// From the root to the part that the current octet belongs to.
    open: Vec<Open>,
    /// By the boundary: which of the open parts are multiparts with it, the innermost last. A line is looked up in it,
    /// and not compared with each of a hundred boundaries.
    boundaries: BTreeMap<Box<[u8]>, Vec<usize>>,
    /// The same of those whose close delimiter has been seen.
    closed: BTreeMap<Box<[u8]>, Vec<usize>>,
    /// Boundaries that other programs may read in the header of a part.
    others: Vec<(PartId, Vec<u8>)>,
    dashes: Dashes<'a>,
    newline: Newline,
    defects: Defects,
}

/// A part whose end has not been seen.
struct Open {
    part: PartId,
    state: Stage,
    boundary: Box<[u8]>,
    /// It has a transfer encoding that no multipart may have.
    coded: bool,
}

#[derive(PartialEq)]
enum Stage {
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
        // Where all are closed, the search still finds one that is taken up again.
        while self.open.iter().any(|open| open.state != Stage::Leaf) {
            let Some(delimiter) = self.next_delimiter(at) else {
                break;
            };
            at = delimiter.line.end;
            self.end_parts_above(delimiter.index, delimiter.line.start);
            let Some(open) = self.open.get_mut(delimiter.index) else {
                break;
            };
            let parent = open.part;
            if delimiter.closes {
                open.state = Stage::Closed;
                let boundary = open.boundary.clone();
                self.forget(&boundary, delimiter.index);
                self.closed
                    .entry(boundary)
                    .or_default()
                    .push(delimiter.index);
                if let Some(Node {
                    kind: Kind::Multipart { close, .. },
                    ..
                }) = self.nodes.get_mut(parent.index())
                {
                    *close = Some(delimiter.line);
                }
            } else {
                let digest = self
                    .nodes
                    .get(parent.index())
                    .is_some_and(|node| &*node.media_type == "multipart/digest");
                at = self.begin_part(Some(parent), delimiter.line, digest);
                if self.nodes.len() >= self.limits.parts {
                    self.cut();
                    break;
                }
            }
        }
        if self.open.iter().any(|open| open.state == Stage::Multipart) {
            self.defects.structure = true;
        }
        let end = self.raw.len();
        while let Some(open) = self.open.pop() {
            self.close_node(&open, end);
        }
    }

    /// Adds the part whose header block starts behind `delimiter`; returns where its body starts.
    fn begin_part(
        &mut self,
        parent: Option<PartId>,
        delimiter: Range<usize>,
        digest: bool,
    ) -> usize {
        let block = self.header_block(delimiter.end);
        let id = PartId(self.nodes.len() as u32);
        let depth = self.open.len() as u32 + 1;
        let number = parent.map_or(1, |parent| self.children_of(parent) + 1);
        let facts = match self.raw.get(block.header.clone()) {
            Some(header) if !block.over_limit => self.read_facts(header, digest),
            _ => HeaderFacts::opaque("application/octet-stream"),
        };
        let others = facts.others.into_iter();
        self.others.extend(others.map(|boundary| (id, boundary)));
        let doubt = facts
            .doubt
            .or_else(|| self.hides_fields(&block, digest, &facts.kind));
        let kind = match facts.kind {
            Kind::Multipart { .. } if depth as usize > self.limits.depth.min(Limits::MAX_DEPTH) => {
                self.defects.limit = true;
                Kind::Opaque
            }
            kind => kind,
        };
        let (state, boundary) = match &kind {
            Kind::Multipart { boundary, .. } => (Stage::Multipart, boundary.clone()),
            _ => (Stage::Leaf, Box::default()),
        };
        if state == Stage::Multipart {
            let same = self.boundaries.entry(boundary.clone()).or_default();
            self.defects.structure |= !same.is_empty();
            same.push(self.open.len());
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
            sealed_by_variant: false,
            doubt,
        });
        self.open.push(Open {
            part: id,
            state,
            boundary,
            coded: facts.coded,
        });
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
        let mut reopened = false;
        let mut found = None;
        while let Some(start) = self.dashes.next() {
            // Not a line to us, or one of the header that was read.
            let before = start.checked_sub(1).and_then(|before| self.raw.get(before));
            if start < at || before != Some(&b'\n') {
                continue;
            }
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
        let innermost = |boundary: &[u8]| self.boundaries.get(boundary)?.last().copied();
        let opens = innermost(text);
        let closes = text.strip_suffix(b"--").and_then(innermost);
        // `None` is less than any index.
        let index = opens.max(closes)?;
        Some(Delimiter {
            index,
            closes: opens < closes,
            line,
        })
    }

    /// Some readers take up a multipart again after its close delimiter; we do not, and say that they may differ.
    fn is_closed_boundary(&self, start: usize) -> bool {
        !self.closed.is_empty()
            && self
                .boundary_line(start)
                .is_some_and(|(text, _)| self.closed.contains_key(text))
    }

    /// An open multipart has been closed or has ended.
    fn forget(&mut self, boundary: &[u8], index: usize) {
        for map in [&mut self.boundaries, &mut self.closed] {
            if let Some(open) = map.get_mut(boundary) {
                open.retain(|other| *other != index);
                if open.is_empty() {
                    map.remove(boundary);
                }
            }
        }
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
        if self
            .open
            .iter()
            .skip(keep)
            .any(|open| open.state == Stage::Multipart)
        {
            self.defects.structure = true;
        }
        // The line end before a delimiter belongs to the delimiter (RFC 2046 section 5.1.1).
        let before = self.raw.get(..line_start).unwrap_or_default();
        let before = before.strip_suffix(b"\n").unwrap_or(before);
        let mut end = before.strip_suffix(b"\r").unwrap_or(before).len();
        while self.open.len() > keep
            && let Some(open) = self.open.pop()
        {
            if open.state != Stage::Leaf {
                self.forget(&open.boundary, self.open.len());
            }
            end = self.close_node(&open, end);
        }
    }

    /// Ends a part at `end`, or behind its blank line where that is further; returns which.
    fn close_node(&mut self, open: &Open, end: usize) -> usize {
        let next = PartId(self.nodes.len() as u32);
        let Some(node) = self.nodes.get_mut(open.part.index()) else {
            return end;
        };
        // Without a delimiter in the raw body it may be coded in truth, and nobody knows what is in it.
        let is_empty = next.index() <= open.part.index().saturating_add(1);
        if open.coded && open.state == Stage::Multipart && is_empty {
            node.kind = Kind::Opaque;
        }
        node.body.end = end.max(node.body.start);
        node.next = next;
        node.body.end
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
    end: BlockEnd,
}

/// Where a header block ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BlockEnd {
    Blank,
    /// A blank line that ends as no other line does.
    OddBlank,
    /// A delimiter, or the end of the message.
    Other,
    /// A line that is no field.
    Junk,
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
                [] => return block_without_blank(start, at, over_limit, BlockEnd::Other),
                [b'\n', ..] | [b'\r', b'\n', ..] => {
                    let is_odd = line.first() == Some(&b'\n') && self.newline == Newline::Crlf;
                    return Block {
                        header: start..at,
                        body_start: after,
                        over_limit,
                        end: match is_odd {
                            true => BlockEnd::OddBlank,
                            false => BlockEnd::Blank,
                        },
                    };
                }
                [b'-', b'-', ..] if self.delimiter_at(at).is_some() => {
                    return block_without_blank(start, at, over_limit, BlockEnd::Other);
                }
                [b' ' | b'\t', ..] if at > start => {}
                line if is_field(line) || (at == start && start == 0 && is_mbox_line(line)) => {
                    count = count.saturating_add(1);
                    field_start = at;
                }
                _ => {
                    self.defects.structure = true;
                    return block_without_blank(start, at, over_limit, BlockEnd::Junk);
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

    /// May the header go on for other programs behind its end.
    fn hides_fields(&self, block: &Block, digest: bool, kind: &Kind) -> Option<Doubt> {
        let goes_on = match block.end {
            BlockEnd::Junk | BlockEnd::OddBlank => true,
            // Some pass over blank lines in front. What stands in a digest begins with a header of its own.
            BlockEnd::Blank => block.header.is_empty() && !digest,
            BlockEnd::Other => false,
        };
        let over_junk = block.end != BlockEnd::Blank;
        let rest = goes_on.then(|| self.raw.get(block.body_start..))??;
        let lines = rest.split_inclusive(|octet| *octet == b'\n');
        let mut at = block.body_start;
        let lines = lines.take_while(|line| {
            let is_own = |rest: &[u8]| matches!(kind, Kind::Multipart { boundary, .. } if rest.starts_with(boundary));
            let is_delimiter = line.strip_prefix(b"--").is_some_and(is_own)
                || (line.starts_with(b"--") && self.delimiter_at(at).is_some());
            at = at.saturating_add(line.len());
            !is_delimiter
        });
        doubt::holds_fields(lines, over_junk).then_some(Doubt::Header)
    }

    /// Reads what decides on the structure from a header block.
    fn read_facts(&mut self, header: &[u8], digest: bool) -> HeaderFacts {
        let default = if digest {
            "message/rfc822"
        } else {
            "text/plain"
        };
        // Readers differ on which of several they believe. The first, as most do.
        let mut content_types: Vec<Field<'_>> = Vec::new();
        let mut encoding: Option<Field<'_>> = None;
        // RFC 2045 section 6.4: no coding but the identities is allowed on a multipart.
        let mut coded = false;
        let mut is_odd = doubt::hides_behind_cut(header);
        for field in fields(header) {
            is_odd |= doubt::is_odd(&field);
            if field.is("content-type") {
                let first = content_types.first();
                self.defects.structure |= first.is_some_and(|first| first.value() != field.value());
                content_types.push(field);
            } else if field.is("content-transfer-encoding") {
                coded |= !matches!(
                    Encoding::parse(field.value()),
                    Encoding::SevenBit | Encoding::EightBit | Encoding::Binary
                );
                let first = *encoding.get_or_insert(field);
                self.defects.structure |= first.value() != field.value();
            }
        }
        let odd = is_odd.then_some(Doubt::Header);
        let Some(content_type) = content_types.first() else {
            return HeaderFacts::leaf(default).with(&[], odd);
        };
        let params = Params::parse(content_type.value(), self.limits.params);
        let Some(media_type) = params.media_type() else {
            // RFC 2045 section 5.2: what cannot be read is text/plain.
            self.defects.structure = true;
            return HeaderFacts::leaf("text/plain").with(&content_types, odd);
        };
        if params.too_many() {
            self.defects.limit = true;
            return HeaderFacts::opaque(media_type);
        }
        if !media_type.starts_with("multipart/") {
            return HeaderFacts::leaf(media_type).with(&content_types, odd);
        }
        self.defects.structure |= params.ambiguous("boundary");
        let boundary = params.get_bytes("boundary").unwrap_or_default();
        let boundary = boundary.trim_ascii_end();
        // Most readers look for the delimiters in the raw body all the same; some decode it first.
        self.defects.structure |= coded;
        let odd = odd.or(coded.then_some(Doubt::Type));
        if boundary.is_empty() || boundary.contains(&b'\n') {
            self.defects.structure = true;
            return HeaderFacts::opaque(media_type);
        }
        HeaderFacts {
            coded,
            media_type: media_type.into(),
            kind: Kind::Multipart {
                boundary: boundary.into(),
                close: None,
            },
            others: Vec::new(),
            doubt: None,
        }
        .with(&content_types, odd)
    }
}

fn block_without_blank(start: usize, end: usize, over_limit: bool, why: BlockEnd) -> Block {
    Block {
        header: start..end,
        body_start: end,
        over_limit,
        end: why,
    }
}

/// What a header block says about the structure.
struct HeaderFacts {
    media_type: Box<str>,
    kind: Kind,
    coded: bool,
    /// Boundaries that other programs may read.
    others: Vec<Vec<u8>>,
    doubt: Option<Doubt>,
}

impl HeaderFacts {
    /// With what other programs may read in the same block.
    fn with(mut self, content_types: &[Field<'_>], odd: Option<Doubt>) -> HeaderFacts {
        let own = match &self.kind {
            Kind::Multipart { boundary, .. } => Some(&**boundary),
            _ => None,
        };
        let (others, doubt) = doubt::other_boundaries(content_types, own);
        self.others = others;
        self.doubt = odd.or(doubt);
        self
    }

    fn leaf(media_type: &str) -> HeaderFacts {
        HeaderFacts {
            media_type: media_type.into(),
            kind: Kind::Leaf,
            coded: false,
            others: Vec::new(),
            doubt: None,
        }
    }

    fn opaque(media_type: &str) -> HeaderFacts {
        HeaderFacts {
            media_type: media_type.into(),
            kind: Kind::Opaque,
            coded: false,
            others: Vec::new(),
            doubt: None,
        }
    }
}

/// Is this the first line of a header field: printable octets and a colon, blanks before the colon tolerated
/// (RFC 5322 section 4.5).
fn is_field(line: &[u8]) -> bool {
    let Some(colon) = memchr(b':', line) else {
        return false;
    };
    let name = line.get(..colon).unwrap_or_default().trim_ascii_end();
    !name.is_empty() && name.iter().all(|octet| octet.is_ascii_graphic())
}

/// The envelope line of an mbox, which some programs leave on top of a mail.
fn is_mbox_line(line: &[u8]) -> bool {
    line.starts_with(b"From ") || line.starts_with(b">From ")
}
