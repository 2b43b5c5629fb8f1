//! What reading a file needs, and what it takes down.
//!
//! Must never: know what a table holds (`tables`) or what a value says (`value`).

use std::path::Path;

use crate::config::diag::Complaints;
use crate::config::files::Files;
use crate::config::syntax::Syntax;
use crate::config::typed::{Declared, NamedFile};
use crate::registry::Registry;
use crate::rule::filter::Books;

/// What reading a file needs.
pub(super) struct Reader<'a> {
    pub(super) complaints: Complaints,
    pub(super) registry: Registry,
    pub(super) syntax: &'a Syntax,
    /// Relative names are relative to it.
    pub(super) directory: &'a Path,
    pub(super) files: &'a dyn Files,
    /// What the plugins built so far will write to.
    pub(super) directories: Vec<Declared>,
    /// What only the daemon opens.
    pub(super) named: Vec<NamedFile>,
    /// What the filters built so far share.
    pub(super) books: Books,
}
