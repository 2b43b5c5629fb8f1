//! What a child that loads a configuration answers: the files that it has read, or all that is wrong.
//!
//! Must never: read a file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mimicry_core::config::files::{Files, Unreadable, Use};
use mimicry_core::config::{self, Level, Mistakes};

use crate::files::Owner;

/// Why a configuration is not taken, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    /// The first mistake, in one line for the log.
    pub line: String,
    /// All of them, for people.
    pub plain: String,
    /// The same with the colours of a terminal.
    pub coloured: String,
    /// `mimicry.toml: 3 mistakes, 1 warning`; empty when it could not be loaded at all.
    pub summary: String,
}

/// The files that a configuration was made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot(pub Vec<ReadFile>);

/// A file as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadFile {
    pub path: PathBuf,
    pub content: Vec<u8>,
    pub owner: Owner,
    pub is_secret: bool,
}

impl ReadFile {
    /// By the octets of the names: they come from one configuration, and there may be thousands.
    pub fn is_at(&self, path: &Path) -> bool {
        self.path.as_os_str() == path.as_os_str()
    }
}

impl Snapshot {
    pub fn file(&self, path: &Path) -> Option<&ReadFile> {
        self.0.iter().find(|file| file.is_at(path))
    }
}

/// What the child said.
pub type Said = Result<Snapshot, Rejected>;

impl Files for Snapshot {
    fn read(&self, path: &Path, _: Use) -> Result<Vec<u8>, Unreadable> {
        let found = self.file(path);
        found.map(|file| file.content.clone()).ok_or_else(|| {
            let message = format!("{} could not be read when it was looked at", path.display());
            Unreadable::new(message, "load the configuration again")
        })
    }

    /// What was read of it.
    fn list(&self, directory: &Path) -> Result<Vec<String>, Unreadable> {
        let names = self.0.iter().filter_map(|file| {
            let mut below = file.path.strip_prefix(directory).ok()?.components();
            let name = below.next()?.as_os_str().to_str()?;
            let sign = if below.next().is_some() { "/" } else { "" };
            Some(format!("{name}{sign}"))
        });
        let names: BTreeSet<String> = names.collect();
        Ok(names.into_iter().collect())
    }

    /// What was listed and not read.
    fn is_directory(&self, path: &Path) -> bool {
        self.file(path).is_none()
    }
}

impl Rejected {
    pub fn because(path: &Path, why: &str) -> Rejected {
        let line = format!("{}: {why}", path.display());
        Rejected {
            plain: format!("error: {line}"),
            coloured: format!("error: {line}"),
            line,
            summary: String::new(),
        }
    }

    pub fn broken(path: &Path) -> Rejected {
        Rejected::because(
            path,
            "mimicryd failed while it loaded this, which is a bug in mimicryd",
        )
    }
}

impl From<&Mistakes> for Rejected {
    fn from(mistakes: &Mistakes) -> Rejected {
        let is_error = |one: &&config::Diagnostic| one.level == Level::Error;
        let errors = mistakes.list.iter().filter(is_error).count();
        let warnings = mistakes.list.len().saturating_sub(errors);
        let errors = errors.saturating_add(mistakes.more.errors);
        let warnings = warnings.saturating_add(mistakes.more.warnings);
        let first = mistakes.list.iter().find(is_error);
        let message = first.map_or("is wrong", |first| first.message.as_str());
        let place = match first.and_then(|first| first.span.as_ref()) {
            Some(span) => {
                let (line, column) = mistakes.place(span.start);
                format!(":{line}:{column}")
            }
            None => String::new(),
        };
        let path = mistakes.path.display();
        let more = match errors.saturating_sub(1) {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let mut summary = format!("{path}: {}", count(errors, "mistake"));
        if warnings > 0 {
            summary.push_str(&format!(", {}", count(warnings, "warning")));
        }
        // What is wrong with the file itself names it.
        let is_named = place.is_empty() && message.contains(&path.to_string());
        let name = if is_named {
            String::new()
        } else {
            format!("{path}{place}: ")
        };
        Rejected {
            line: format!("{name}{message}{more}"),
            plain: mistakes.to_string(),
            coloured: mistakes.coloured(),
            summary,
        }
    }
}

/// `1 rule`, `2 rules`; none is `no rules`.
pub fn count(number: usize, noun: &str) -> String {
    match number {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}
