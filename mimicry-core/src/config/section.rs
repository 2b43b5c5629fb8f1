//! One table of the file after its values were checked, asked by the names of its settings.
//!
//! Must never: complain; whoever asks gets the default, or nothing, for what was wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::plugin::Value;

use super::endpoint::{ListenAddress, NextHop};
use super::typed::LogTarget;
use super::value::{Given, Node};

/// One table of the file, checked against the settings.
#[derive(Debug)]
pub(super) struct Section<'t, 'i> {
    pub(super) table: &'static str,
    /// The header, or what stands for it.
    pub(super) place: Range<usize>,
    pub(super) values: BTreeMap<&'static str, Given>,
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

    pub(super) fn node(&self, name: &str) -> Option<&'t Node<'i>> {
        self.nodes.get(name).map(|(_, node)| *node)
    }

    /// The place of the value; of the table when it is not given.
    pub(super) fn span(&self, name: &str) -> Range<usize> {
        self.nodes
            .get(name)
            .map_or_else(|| self.place.clone(), |(_, node)| node.span())
    }

    /// The place of the key; of the table when it is not given.
    pub(super) fn key_span(&self, name: &str) -> Range<usize> {
        self.nodes
            .get(name)
            .map_or_else(|| self.place.clone(), |(span, _)| span.clone())
    }

    pub(super) fn bool(&self, name: &str) -> bool {
        matches!(self.values.get(name), Some(Given::Plain(Value::Bool(true))))
    }

    /// 0 when unset.
    pub(super) fn integer(&self, name: &str) -> u64 {
        match self.values.get(name) {
            Some(Given::Plain(Value::Integer(number))) => u64::try_from(*number).unwrap_or(0),
            _ => 0,
        }
    }

    /// The bounds of the table keep it far below the limits of any type asked for.
    pub(super) fn number<T: TryFrom<u64> + Default>(&self, name: &str) -> T {
        T::try_from(self.integer(name)).unwrap_or_default()
    }

    /// Octets; 0 when unset.
    pub(super) fn size(&self, name: &str) -> usize {
        match self.values.get(name) {
            Some(Given::Plain(Value::Size(octets))) => {
                usize::try_from(*octets).unwrap_or(usize::MAX)
            }
            _ => 0,
        }
    }

    /// Zero when unset.
    pub(super) fn time(&self, name: &str) -> Duration {
        match self.values.get(name) {
            Some(Given::Plain(Value::Time(millis))) => Duration::from_millis(*millis),
            _ => Duration::ZERO,
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.values.get(name) {
            Some(Given::Plain(Value::Text(text))) => Some(text),
            _ => None,
        }
    }

    pub(super) fn list(&self, name: &str) -> &[String] {
        match self.values.get(name) {
            Some(Given::Plain(Value::List(list))) => list,
            _ => &[],
        }
    }

    pub(super) fn file(&self, name: &str) -> Option<PathBuf> {
        match self.values.get(name) {
            Some(Given::File(path)) => Some(path.clone()),
            _ => None,
        }
    }

    pub(super) fn networks(&self, name: &str) -> Vec<IpNet> {
        match self.values.get(name) {
            Some(Given::Networks(networks)) => networks.clone(),
            _ => Vec::new(),
        }
    }

    pub(super) fn next_hop(&self, name: &str) -> Option<NextHop> {
        match self.values.get(name) {
            Some(Given::NextHop(next_hop)) => Some(next_hop.clone()),
            _ => None,
        }
    }

    pub(super) fn address(&self, name: &str) -> Option<ListenAddress> {
        match self.values.get(name) {
            Some(Given::Address(address)) => Some(address.clone()),
            _ => None,
        }
    }

    pub(super) fn log_target(&self, name: &str) -> LogTarget {
        match self.values.get(name) {
            Some(Given::LogTarget(target)) => target.clone(),
            _ => LogTarget::Stderr,
        }
    }
}
