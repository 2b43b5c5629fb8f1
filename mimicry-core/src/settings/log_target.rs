//! Where the log goes, as a configuration names it.
//!
//! Must never: open it.

use std::path::{Path, PathBuf};

/// Where the log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// The path of the socket; `None` = the system's.
    Syslog(Option<PathBuf>),
    /// systemd's, with a field for each fact; the path of the socket, `None` = the system's.
    Journal(Option<PathBuf>),
    Stderr,
    File(PathBuf),
}

impl LogTarget {
    /// Relative names are relative to `directory`.
    pub(crate) fn parse(text: &str, directory: &Path) -> Option<LogTarget> {
        let is_path = |path: &str| !path.is_empty() && !path.chars().any(char::is_control);
        match text.split_once(':') {
            None if text == "syslog" => Some(LogTarget::Syslog(None)),
            None if text == "journal" => Some(LogTarget::Journal(None)),
            None if text == "stderr" => Some(LogTarget::Stderr),
            Some(("syslog", path)) if is_path(path) => {
                Some(LogTarget::Syslog(Some(directory.join(path))))
            }
            Some(("journal", path)) if is_path(path) => {
                Some(LogTarget::Journal(Some(directory.join(path))))
            }
            Some(("file", path)) if is_path(path) => Some(LogTarget::File(directory.join(path))),
            _ => None,
        }
    }
}
