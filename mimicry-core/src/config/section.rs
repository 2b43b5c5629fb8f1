//! One table of the file after its values were checked; values are found by the names of their settings.
//!
//! Must never: complain; for a wrong value the caller gets the default, or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, Range};

use toml::Spanned;
use toml::de::DeValue;

use crate::settings::declare::Group;
use crate::settings::given::{Given, Values};

use super::node::Node;
use super::typed::NamedFile;

/// One table of the file, checked against the settings.
#[derive(Debug)]
pub(super) struct Section<'t, 'i> {
    pub(super) table: &'static str,
    /// The header, or what stands for it.
    pub(super) place: Range<usize>,
    pub(super) values: Values,
    pub(super) nodes: BTreeMap<&'static str, (Range<usize>, &'t Node<'i>)>,
    pub(super) wrong: BTreeSet<&'static str>,
}

impl<'t, 'i> Section<'t, 'i> {
    /// Does the file hold it, right or wrong.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.nodes.contains_key(name)
    }

    /// Has it been complained about.
    pub(super) fn is_wrong(&self, name: &str) -> bool {
        self.wrong.contains(name)
    }

    /// What the file says, and no default.
    pub(super) fn given(&self, name: &str) -> Option<&Given> {
        self.get(name).filter(|_| self.is_given(name))
    }

    /// Its settings in their fields. `None`: one is missing that is required, which was complained about.
    pub(super) fn read<G: Group>(&self) -> Option<G> {
        G::read(&self.values)
    }

    pub(super) fn node(&self, name: &str) -> Option<&'t Node<'i>> {
        self.nodes.get(name).map(|(_, node)| *node)
    }

    /// The place of the value; of the table when it is not given.
    pub(super) fn span(&self, name: &str) -> Range<usize> {
        self.nodes
            .get(name)
            .map_or_else(|| self.place.clone(), |(_, node)| node.span())
    }

    /// The files that these settings name.
    pub(super) fn named_files(&self, settings: &[&'static str]) -> Vec<NamedFile> {
        let named = |setting: &&'static str| {
            let Some(Given::File(path)) = self.get(setting) else {
                return None;
            };
            Some(NamedFile {
                setting,
                path: path.clone(),
                span: self.span(setting),
            })
        };
        settings.iter().filter_map(named).collect()
    }

    /// The place of an element of a list; of the value when it is none.
    pub(super) fn element_span(&self, name: &str, index: usize) -> Range<usize> {
        match self.node(name).map(Spanned::get_ref) {
            Some(DeValue::Array(array)) => array
                .get(index)
                .map_or_else(|| self.span(name), Spanned::span),
            _ => self.span(name),
        }
    }

    /// The place of the key; of the table when it is not given.
    pub(super) fn key_span(&self, name: &str) -> Range<usize> {
        self.nodes
            .get(name)
            .map_or_else(|| self.place.clone(), |(span, _)| span.clone())
    }
}

/// A section is asked for its values.
impl Deref for Section<'_, '_> {
    type Target = Values;

    fn deref(&self) -> &Values {
        &self.values
    }
}
