//! Files of secret keys that options name, one by one or by a directory.
//!
//! Must never: show what is in one.

use std::path::Path;

use crate::plugin::{KeyFile, SecretOctets, ValueKind};
use crate::settings::kind::value_help;

use super::files::Use;
use super::node::Node;
use super::read::Reader;

/// How the name of a file of a key ends in a directory of keys; other files there are not looked at.
const ENDINGS: [&str; 3] = [".pem", ".key", ".private"];

impl Reader<'_> {
    /// Files of secret keys, each with the name that it stands beside.
    pub(super) fn key_files(&mut self, node: &Node<'_>, help: &str) -> Option<Vec<KeyFile>> {
        let names = self.of_names(node, help)?;
        let files: Vec<Option<KeyFile>> = names
            .into_iter()
            .map(|(name, path)| {
                let path = self.file_name(&path, node.span())?.to_string();
                self.key_file(name, Path::new(&path), node)
            })
            .collect();
        files.into_iter().collect()
    }

    /// `DIRECTORY/NAME/KEY.pem`, for all names.
    pub(super) fn key_tree(&mut self, node: &Node<'_>) -> Option<Vec<KeyFile>> {
        let text = self.text(node, || value_help(ValueKind::KeyTree).into())?;
        let root = self.directory.join(self.file_name(text, node.span())?);
        let mut files = Vec::new();
        for name in self.listed(&root, node)? {
            let Some(name) = name.strip_suffix('/') else {
                continue;
            };
            for file in self.listed(&root.join(name), node)? {
                if ENDINGS.iter().any(|ending| file.ends_with(ending)) {
                    files.push(self.key_file(name.into(), &root.join(name).join(file), node));
                }
            }
        }
        files.into_iter().collect()
    }

    fn key_file(&mut self, name: String, path: &Path, node: &Node<'_>) -> Option<KeyFile> {
        let content = self.octets_of(path, Use::Key, node.span())?;
        Some(KeyFile {
            name,
            path: self.directory.join(path),
            content: SecretOctets::new(content),
        })
    }

    fn listed(&mut self, directory: &Path, node: &Node<'_>) -> Option<Vec<String>> {
        match self.files.list(directory) {
            Ok(names) => Some(names),
            Err(unreadable) => {
                self.complaints
                    .error(node.span(), unreadable.message, unreadable.help);
                None
            }
        }
    }
}
