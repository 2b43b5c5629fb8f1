//! What templates are asked with, and what is wrong with one.
//!
//! Must never: read a template.

use std::collections::BTreeMap;

use mimicry_core::plugin::{OptionError, Options};

use crate::shared::directory::Directory;

/// What the text is for, which says how values are made safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Text,
    /// Values are escaped.
    Html,
    /// One line: a value's line breaks and control characters become blanks.
    Line,
}

/// What is known at load.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'k> {
    /// `None` = unknown, and any may be named.
    pub variables: Option<&'k BTreeMap<String, String>>,
    /// `None` = there is none, and `person` may not be named.
    pub directory: Option<&'k Directory>,
    /// Names of the plugin's own; see [`Facts::with`].
    pub extra: &'static [&'static str],
}

impl<'k> Known<'k> {
    pub fn of(options: &'k Options, directory: Option<&'k Directory>) -> Known<'k> {
        Known {
            variables: options.variables(),
            directory,
            extra: &[],
        }
    }
}

/// A mistake in a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadTemplate {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    pub message: String,
    pub help: Option<String>,
}

impl BadTemplate {
    /// The mistake as one of the option that the template came from.
    pub fn of_option(self, option: &'static str, options: &Options) -> OptionError {
        let BadTemplate { line, column, .. } = self;
        let place = match options.path(option) {
            Some(path) => format!("{path}:{line}:{column}"),
            None => format!("line {line}, column {column} of the text"),
        };
        OptionError {
            option,
            message: format!("{place}: {}", self.message),
            help: self.help,
        }
    }
}

pub(super) fn breaks_a_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}
