//! The tree as rows, for readers that are compared with it.

use mimicry_core::message::Part;
use mimicry_core::message::codec::Encoding;

/// A part, in document order; what is in an enclosed message is not looked into.
pub struct Row {
    pub depth: usize,
    pub media_type: String,
    pub names: Vec<String>,
    /// Of a leaf; `None` = it is none, or cannot be decoded.
    pub content: Option<Vec<u8>>,
    pub is_leaf: bool,
}

pub fn ours(part: Part<'_>, rows: &mut Vec<Row>) {
    let is_leaf = !part.is_multipart();
    let is_known = is_leaf && part.encoding() != Encoding::Unknown;
    rows.push(Row {
        depth: part.depth(),
        media_type: part.media_type().into(),
        names: part.names().iter().map(String::from).collect(),
        content: is_known
            .then(|| part.decoded().ok().map(|octets| octets.into_owned()))
            .flatten(),
        is_leaf,
    });
    if !is_leaf {
        part.children().for_each(|child| ours(child, rows));
    }
}
