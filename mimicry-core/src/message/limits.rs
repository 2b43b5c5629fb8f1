//! How much structure a mail may have. Above a limit the rest is an opaque leaf: it passes, and nothing edits it.
//!
//! Must never: be read from anywhere but an argument.

/// Limits of [`super::Message::scan`]. Lengths are octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Multiparts within multiparts; the root is at depth 1.
    pub depth: usize,
    /// Parts of all kinds.
    pub parts: usize,
    /// One header block.
    pub header: usize,
    /// One header field, folded lines included.
    pub field: usize,
    /// Fields in one header block.
    pub fields: usize,
    /// Parameters of one field.
    pub params: usize,
}

impl Limits {
    /// Rendering and proving recurse once per level, so this bounds their stack whatever the configuration says.
    pub const MAX_DEPTH: usize = 1000;
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            depth: 100,
            parts: 10_000,
            header: 1 << 20,
            field: 100 << 10,
            fields: 10_000,
            params: 1_000,
        }
    }
}
