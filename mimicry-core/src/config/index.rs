//! The first place of a name in a list, without a search through the list for each name: a file may have very many
//! names.
//!
//! Must never: complain.

use std::collections::HashMap;
use std::hash::Hash;

#[derive(Debug)]
pub(super) struct Index<K> {
    first: HashMap<K, usize>,
}

impl<K: Eq + Hash> Index<K> {
    /// Of a list; `None` is an element without a name.
    pub(super) fn of(names: impl IntoIterator<Item = Option<K>>) -> Index<K> {
        let mut first = HashMap::new();
        for (place, name) in names.into_iter().enumerate() {
            if let Some(name) = name {
                first.entry(name).or_insert(place);
            }
        }
        Index { first }
    }

    pub(super) fn first(&self, name: &K) -> Option<usize> {
        self.first.get(name).copied()
    }

    /// The first one of the name at this place, if that is another.
    pub(super) fn twin(&self, name: &K, place: usize) -> Option<usize> {
        self.first(name).filter(|first| *first < place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_name() {
        let index = Index::of([Some("a"), None, Some("b"), Some("a")]);
        assert_eq!(index.first(&"a"), Some(0));
        assert_eq!(index.first(&"c"), None);
        assert_eq!(index.twin(&"a", 0), None);
        assert_eq!(index.twin(&"a", 3), Some(0));
        assert_eq!(index.twin(&"b", 2), None);
    }
}
