//! Lists of domains, in the configuration and in files of their own.
//!
//! Must never: read a list twice that many filters name.

use std::ops::Range;
use std::path::Path;

use crate::domain::list::{Entry, NoDomain, lines};

use super::files::{Use, first_bad_octet};
use super::node::Node;
use super::read::Reader;

/// What a text begins with that names a file.
const FILE: &str = "file:";

impl Reader<'_> {
    /// Puts the domains of a filter into the books; false = there are mistakes in them.
    pub(super) fn domains(&mut self, texts: &[&str], spans: &[Range<usize>]) -> bool {
        if self.books.domains.known(texts).is_some() {
            return true;
        }
        match self.entries(texts, spans) {
            Some(entries) => {
                self.books.domains.add(texts, &entries);
                true
            }
            None => false,
        }
    }

    /// The domains of an option, in the form in which they are compared.
    pub(super) fn domain_names(&mut self, node: &Node<'_>, help: &str) -> Option<Vec<String>> {
        let (texts, spans): (Vec<&str>, Vec<_>) = self.texts(node, help)?.into_iter().unzip();
        let entries = self.entries(&texts, &spans)?;
        Some(entries.into_iter().map(|entry| entry.name).collect())
    }

    /// The domains of a list, those in files among them. `None` = there are mistakes in them.
    fn entries(&mut self, texts: &[&str], spans: &[Range<usize>]) -> Option<Vec<Entry>> {
        let mut entries = Vec::new();
        let mut are_sound = true;
        for (text, span) in texts.iter().zip(spans) {
            if let Some(name) = text.strip_prefix(FILE) {
                match self.domains_of_file(name, span) {
                    Some(of_file) => entries.extend(of_file),
                    None => are_sound = false,
                }
                continue;
            }
            match Entry::parse(text) {
                Ok(entry) => entries.push(entry),
                Err(NoDomain { message, help }) => {
                    self.complaints.error(span.clone(), message, help);
                    are_sound = false;
                }
            }
        }
        are_sound.then_some(entries)
    }

    fn domains_of_file(&mut self, name: &str, span: &Range<usize>) -> Option<Vec<Entry>> {
        let name = self.file_name(name.trim(), span.clone())?;
        let octets = self.octets_of(Path::new(name), Use::Configuration, span.clone())?;
        let shown = self.directory.join(name).display().to_string();
        if let Some((line, column, octet)) = first_bad_octet(&octets) {
            let message =
                format!("{shown}:{line}:{column}: this is not UTF-8: octet 0x{octet:02x}");
            let help = "save the file as UTF-8";
            self.complaints.error(span.clone(), message, help);
            return None;
        }
        let text = String::from_utf8(octets).ok()?;
        match lines(text.strip_prefix('\u{feff}').unwrap_or(&text)) {
            Ok(entries) => {
                if entries.is_empty() {
                    let message = format!("{shown} names no domain");
                    let help = "write one on each line, such as example.org";
                    self.complaints.warning(span.clone(), message, help);
                }
                Some(entries)
            }
            Err(bad) => {
                for bad in bad {
                    let NoDomain { message, help } = bad.why;
                    let message = format!("{shown}:{}: {message}", bad.line);
                    self.complaints.error(span.clone(), message, help);
                }
                None
            }
        }
    }
}
