//! Files of secrets that settings and options name: one line, or keys, one by one or by a directory; and public keys, which are stored alike.
//!
//! Must never: show what is in one.

use std::path::Path;

use crate::plugin::{KeyFile, Secret, SecretOctets, ValueKind};
use crate::settings::kind::value_help;

use super::files::Use;
use super::node::Node;
use super::read::Reader;

/// How the name of a file of a key ends in a directory of keys; other files there are not looked at.
const ENDINGS: [&str; 3] = [".pem", ".key", ".private"];

/// Directories below which no public keys are looked for.
const DEPTH: usize = 8;

impl Reader<'_> {
    /// The one line of a file that nobody else may read. Messages never show it.
    pub(super) fn secret_file(&mut self, node: &Node<'_>) -> Option<Secret> {
        let text = self.text(node, || value_help(ValueKind::SecretFile).into())?;
        let path = Path::new(self.file_name(text, node.span())?);
        let full = self.directory.join(path);
        let octets = self.octets_of(path, Use::Secret, node.span())?;
        let text = std::str::from_utf8(&octets).ok();
        let line = text.map(|text| text.strip_suffix('\n').unwrap_or(text));
        let line = line.map(|line| line.strip_suffix('\r').unwrap_or(line));
        match line {
            Some(line) if !line.is_empty() && !line.chars().any(char::is_control) => {
                Some(Secret::new(line))
            }
            _ => {
                self.complaints.error(
                    node.span(),
                    format!("{} is not one line of UTF-8", full.display()),
                    "it holds the secret and nothing else",
                );
                None
            }
        }
    }

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

    /// The contents of files and of all files below directories, each with its name. In a directory what begins with a dot or an
    /// underscore is left out, and `trust-root`: an OpenPGP certificate directory has its own there.
    pub(super) fn public_keys(
        &mut self,
        node: &Node<'_>,
        help: &str,
    ) -> Option<Vec<(String, Vec<u8>)>> {
        let texts = self.texts(node, help)?;
        let mut files = Vec::new();
        for (text, span) in texts {
            let path = self.directory.join(self.file_name(text, span)?);
            self.keys_below(&path, DEPTH, node, &mut files)?;
        }
        Some(files)
    }

    fn keys_below(
        &mut self,
        path: &Path,
        depth: usize,
        node: &Node<'_>,
        files: &mut Vec<(String, Vec<u8>)>,
    ) -> Option<()> {
        if !self.files.is_directory(path) {
            let octets = self.octets_of(path, Use::Configuration, node.span())?;
            files.push((path.display().to_string(), octets));
            return Some(());
        }
        let names = self.listed(path, node)?;
        let is_key = |name: &&String| !name.starts_with(['.', '_']) && *name != "trust-root";
        for name in names.iter().filter(is_key) {
            match (name.strip_suffix('/'), depth.checked_sub(1)) {
                (None, _) => {
                    let path = path.join(name);
                    let octets = self.octets_of(&path, Use::Configuration, node.span())?;
                    files.push((path.display().to_string(), octets));
                }
                (Some(name), Some(depth)) => {
                    self.keys_below(&path.join(name), depth, node, files)?;
                }
                (Some(_), None) => {
                    let message = format!("{} has too many levels", path.display());
                    self.complaints.error(
                        node.span(),
                        message,
                        format!("keys lie at most {DEPTH} directories deep"),
                    );
                    return None;
                }
            }
        }
        Some(())
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
