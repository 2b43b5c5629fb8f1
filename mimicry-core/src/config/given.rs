//! Checked values of settings under their names, asked by name.
//!
//! The file's tables and the layers of policy banks hold them alike: a bank's settings lie over the base's by their names.
//!
//! Must never: complain; whoever asks gets nothing, or what stands for it, for what is not there.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::plugin::Value;

use super::endpoint::{ListenAddress, NextHop};
use super::typed::LogTarget;

/// A checked value.
#[derive(Clone, Debug)]
pub(crate) enum Given {
    Plain(Value),
    File(PathBuf),
    Networks(Vec<IpNet>),
    NextHop(NextHop),
    Address(ListenAddress),
    LogTarget(LogTarget),
    /// Left to the caller, who finds the node in the section.
    Table,
}

/// Values under the names of their settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values(BTreeMap<&'static str, Given>);

impl Values {
    pub(crate) fn insert(&mut self, name: &'static str, given: Given) {
        self.0.insert(name, given);
    }

    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Given> {
        self.0.get(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &Given)> {
        self.0.iter().map(|(name, given)| (*name, given))
    }

    pub(crate) fn bool(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(Given::Plain(Value::Bool(true))))
    }

    /// 0 when unset.
    pub(crate) fn integer(&self, name: &str) -> u64 {
        match self.0.get(name) {
            Some(Given::Plain(Value::Integer(number))) => u64::try_from(*number).unwrap_or(0),
            _ => 0,
        }
    }

    /// The bounds of the table keep it far below the limits of any type asked for.
    pub(crate) fn number<T: TryFrom<u64> + Default>(&self, name: &str) -> T {
        T::try_from(self.integer(name)).unwrap_or_default()
    }

    /// Octets; 0 when unset.
    pub(crate) fn size(&self, name: &str) -> usize {
        match self.0.get(name) {
            Some(Given::Plain(Value::Size(octets))) => {
                usize::try_from(*octets).unwrap_or(usize::MAX)
            }
            _ => 0,
        }
    }

    /// Zero when unset.
    pub(crate) fn time(&self, name: &str) -> Duration {
        match self.0.get(name) {
            Some(Given::Plain(Value::Time(millis))) => Duration::from_millis(*millis),
            _ => Duration::ZERO,
        }
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name) {
            Some(Given::Plain(Value::Text(text))) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn list(&self, name: &str) -> &[String] {
        match self.0.get(name) {
            Some(Given::Plain(Value::List(list))) => list,
            _ => &[],
        }
    }

    pub(crate) fn file(&self, name: &str) -> Option<PathBuf> {
        match self.0.get(name) {
            Some(Given::File(path)) => Some(path.clone()),
            _ => None,
        }
    }

    pub(crate) fn networks(&self, name: &str) -> Vec<IpNet> {
        match self.0.get(name) {
            Some(Given::Networks(networks)) => networks.clone(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn next_hop(&self, name: &str) -> Option<NextHop> {
        match self.0.get(name) {
            Some(Given::NextHop(next_hop)) => Some(next_hop.clone()),
            _ => None,
        }
    }

    pub(crate) fn address(&self, name: &str) -> Option<ListenAddress> {
        match self.0.get(name) {
            Some(Given::Address(address)) => Some(address.clone()),
            _ => None,
        }
    }

    pub(crate) fn log_target(&self, name: &str) -> LogTarget {
        match self.0.get(name) {
            Some(Given::LogTarget(target)) => target.clone(),
            _ => LogTarget::Stderr,
        }
    }
}
