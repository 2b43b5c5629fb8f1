//! From a plugin's name in the configuration to its kind.
//!
//! Must never know a concrete plugin: the slice comes from outside.

use crate::plugin::PluginKind;

/// All plugins of a program, in documentation order.
#[derive(Clone, Copy, Debug)]
pub struct Registry(pub &'static [&'static dyn PluginKind]);

impl Registry {
    pub fn get(self, name: &str) -> Option<&'static dyn PluginKind> {
        self.iter().find(|kind| kind.name() == name)
    }

    pub fn iter(self) -> impl Iterator<Item = &'static dyn PluginKind> {
        self.0.iter().copied()
    }
}
