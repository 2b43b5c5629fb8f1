//! Where lines of the log are found: files with those that were rotated away beside them, some of them compressed, and the journal.
//!
//! Must never: follow a link that somebody put among the logs, or wait for what is no file.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::read::MultiGzDecoder;
use mimicry_core::settings::LogTarget;

use crate::sys::entry::Entry;

/// Octets of a line; more is none of ours.
const LINE: u64 = 64 * 1024;

/// Where syslog puts mail, on one system or the other.
const SYSLOG: [&str; 3] = ["/var/log/mail.log", "/var/log/maillog", "/var/log/syslog"];

#[derive(Debug, Default)]
pub struct Sources {
    /// The oldest first.
    files: Vec<PathBuf>,
    journal: bool,
    /// What was asked for, for a mail that is not found.
    names: Vec<String>,
}

/// What the configuration says.
pub fn of(target: &LogTarget) -> Sources {
    match target {
        LogTarget::File(path) => files(std::slice::from_ref(path)),
        LogTarget::Journal(_) | LogTarget::Stderr => Sources {
            journal: true,
            names: vec!["the journal".into()],
            ..Sources::default()
        },
        LogTarget::Syslog(_) => {
            let there = SYSLOG
                .iter()
                .map(PathBuf::from)
                .filter(|path| path.exists());
            let mut sources = files(&there.collect::<Vec<_>>());
            sources.journal = true;
            sources.names.push("the journal".into());
            sources
        }
    }
}

/// These files, and those beside them whose names begin alike.
pub fn files(paths: &[PathBuf]) -> Sources {
    let mut found: Vec<(_, bool, PathBuf)> = Vec::new();
    for path in paths {
        for other in family(path) {
            let facts = fs::symlink_metadata(&other);
            let changed = facts.map(|facts| (facts.mtime(), facts.mtime_nsec()));
            // Rotated and written in the same tick of the clock: what is still written to is the younger.
            let is_current = other.file_name() == path.file_name();
            found.push((changed.unwrap_or_default(), is_current, other));
        }
    }
    found.sort();
    found.dedup();
    Sources {
        files: found.into_iter().map(|(.., path)| path).collect(),
        journal: false,
        names: paths
            .iter()
            .map(|path| format!("{} and those beside it", path.display()))
            .collect(),
    }
}

/// `log`, `log.1`, `log.2.gz`, `log-20261129`.
fn family(path: &Path) -> Vec<PathBuf> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return vec![path.to_path_buf()];
    };
    let directory = match directory.as_os_str().is_empty() {
        true => Path::new("."),
        false => directory,
    };
    let Ok(entries) = fs::read_dir(directory) else {
        return vec![path.to_path_buf()];
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    names
        .filter(|other| is_rotated(other, name))
        .map(|other| directory.join(other))
        .collect()
}

fn is_rotated(other: &OsStr, name: &OsStr) -> bool {
    let rest = other
        .as_encoded_bytes()
        .strip_prefix(name.as_encoded_bytes());
    let rest = rest.map(|rest| rest.strip_suffix(b".gz").unwrap_or(rest));
    match rest {
        Some([]) => true,
        Some([b'.' | b'-', rest @ ..]) => {
            !rest.is_empty()
                && rest
                    .iter()
                    .all(|octet| octet.is_ascii_digit() || *octet == b'-')
        }
        _ => false,
    }
}

impl Sources {
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Shows each line, in the order of time as far as files tell; what cannot be read is a trouble.
    pub fn read(&self, troubles: &mut Vec<String>, show: &mut dyn FnMut(&str)) {
        for path in &self.files {
            let name = path.display().to_string();
            let opened = Entry::of(path).and_then(|entry| entry.open_to_read());
            let read = opened.and_then(|file| {
                if path.extension() == Some(OsStr::new("gz")) {
                    lines(MultiGzDecoder::new(file), show)
                } else {
                    lines(file, show)
                }
            });
            if let Err(error) = read {
                troubles.push(format!("{name}: {error}"));
            }
        }
        if self.journal
            && let Err(error) = journal(show)
        {
            troubles.push(format!("journalctl: {error}"));
        }
    }
}

fn journal(show: &mut dyn FnMut(&str)) -> std::io::Result<()> {
    let mut child = Command::new("journalctl")
        .args([
            "--no-pager",
            "--quiet",
            "--output=short-iso",
            "SYSLOG_IDENTIFIER=mimicryd",
        ])
        .args(["+", "_COMM=mimicryd"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(out) = child.stdout.take() {
        lines(out, show)?;
    }
    child.wait().map(drop)
}

fn lines(reader: impl Read, show: &mut dyn FnMut(&str)) -> std::io::Result<()> {
    let mut reader = BufReader::new(reader);
    let mut octets = Vec::new();
    let mut is_whole = true;
    loop {
        octets.clear();
        let count = (&mut reader).take(LINE).read_until(b'\n', &mut octets)?;
        if count == 0 {
            return Ok(());
        }
        let ends = octets.ends_with(b"\n");
        // The rest of a line that is too long is no line.
        if is_whole && (ends || (count as u64) < LINE) {
            let text = String::from_utf8_lossy(&octets);
            let text = text.trim_end_matches(['\n', '\r']);
            show(text);
        }
        is_whole = ends;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_rotated_away_is_found() {
        for (other, expected) in [
            ("log", true),
            ("log.1", true),
            ("log.23.gz", true),
            ("log-20261129", true),
            ("log-20261129.gz", true),
            ("log-2026-11-29", true),
            ("log.gz", true),
            ("log.old", false),
            ("log2", false),
            ("other", false),
            ("log.", false),
            ("log.1.gz.tmp", false),
        ] {
            assert_eq!(
                is_rotated(OsStr::new(other), OsStr::new("log")),
                expected,
                "{other}"
            );
        }
    }

    #[test]
    fn a_line_without_end_takes_no_more_than_it_may() {
        let mut text = b"first\r\n".to_vec();
        text.extend(vec![b'x'; 200_000]);
        text.extend(b"id=1 class=1/1\nlast\nrest");
        let mut found = Vec::new();
        lines(&text[..], &mut |line| found.push(line.to_string())).unwrap();
        assert_eq!(found, ["first", "last", "rest"]);
    }
}
