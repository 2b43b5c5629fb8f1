//! An index of the fields of a large header block by name, so that an edit of one name looks only at the fields of that
//! name: edits of ten thousand names must not look at ten thousand fields each.
//!
//! Must never: find a field under a name that [`Field::is`] does not accept.

use std::collections::BTreeMap;

use crate::message::header::{Field, fields, fields_from};

/// Octets of a header block from which it has a list of its names.
const LARGE: usize = 4096;

/// The offsets of the fields of each name, which is in lower case.
#[derive(Debug)]
pub(super) struct Names(BTreeMap<Box<[u8]>, Vec<usize>>);

impl Names {
    /// `None` = the block is so small that looking through it is the shorter way.
    pub(super) fn of(block: &[u8]) -> Option<Names> {
        if block.len() < LARGE {
            return None;
        }
        let mut names: BTreeMap<Box<[u8]>, Vec<usize>> = BTreeMap::new();
        for field in fields(block).filter(|field| field.colon().is_some()) {
            let name = field.name().to_ascii_lowercase().into_boxed_slice();
            names.entry(name).or_default().push(field.start());
        }
        Some(Names(names))
    }

    /// The fields of that name, in their order. `block` is the one that the list was made of.
    pub(super) fn fields<'m>(&self, block: &'m [u8], name: &str) -> Vec<Field<'m>> {
        let name = name.as_bytes().to_ascii_lowercase();
        let places = self.0.get(&*name).into_iter().flatten();
        places
            .filter_map(|start| fields_from(block, *start).next())
            .collect()
    }
}
