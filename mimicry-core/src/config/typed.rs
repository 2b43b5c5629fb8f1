//! The configuration as the program needs it: every value typed, every default filled in.
//!
//! Must never hold a text that still has to be parsed.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use crate::policy::{Banks, Effective, Policy};
use crate::settings::{Daemon, Listen, Log, Relay};

use super::diag::Mistakes;

/// A configuration that was loaded.
#[derive(Debug)]
pub struct Config {
    /// The file it came from, as it was named.
    pub path: PathBuf,
    /// A short hash of the octets of that file and of those that it names, without secrets; empty = it did not come from a file.
    pub hash: String,
    pub daemon: Daemon,
    pub log: Log,
    pub places: Places,
    pub listen: Vec<Listen>,
    pub relay: Relay,
    /// In the order of the file.
    pub directories: Vec<Declared>,
    /// What only the daemon opens.
    pub files: Vec<NamedFile>,
    /// The settings of mail to which no bank applies.
    pub base: Arc<Effective>,
    /// The rules and variables of the base.
    pub policy: Arc<Policy>,
    /// How settings differ from mail to mail.
    pub banks: Banks,
    /// What loads but hardly does what was meant.
    pub warnings: Mistakes,
}

/// Where the file names what must be on the machine, and what must fit each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    pub user: Range<usize>,
    pub group: Range<usize>,
    pub sandbox: Range<usize>,
    pub log_target: Range<usize>,
    pub workers: Range<usize>,
    pub metrics: Range<usize>,
    pub pid_file: Range<usize>,
    pub control: Range<usize>,
    /// `None` = the file does not say it.
    pub connections: Option<Range<usize>>,
}

/// A file that a setting names and that is not read when the configuration is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    pub setting: &'static str,
    pub path: PathBuf,
    /// Where the file says so.
    pub span: Range<usize>,
}

/// A directory that the jobs of a rule write to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    pub rule: String,
    pub path: PathBuf,
    /// Where the file says so.
    pub span: Range<usize>,
}

/// The texts of the table `variables`.
pub type Variables = BTreeMap<String, String>;
