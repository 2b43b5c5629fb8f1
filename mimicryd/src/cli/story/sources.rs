//! Where lines of the log are found: files with those that were rotated away beside them, some of them compressed, and the journal.
//!
//! Must never: follow a link that somebody put among the logs, or wait for what is no file.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::read::MultiGzDecoder;
use mimicry_core::settings::LogTarget;
use nix::unistd::Uid;

use crate::sys::entry::Entry;

/// Octets of a line; more is none of ours.
const LINE: u64 = 64 * 1024;

/// Where syslog puts mail, on one system or the other.
const SYSLOG: [&str; 3] = ["/var/log/mail.log", "/var/log/maillog", "/var/log/syslog"];

#[derive(Debug, Default)]
pub struct Sources {
    /// The oldest first.
    files: Vec<PathBuf>,
    /// The users whose lines of the journal are ours; `None` = it is not read.
    journal: Option<Vec<Uid>>,
    /// Standard input, once it was read.
    given: OnceCell<Vec<u8>>,
    /// What was asked for, for a mail that is not found.
    names: Vec<String>,
}

/// What the configuration says. `users` = whom master and workers may be.
pub fn of(target: &LogTarget, users: Vec<Uid>) -> Sources {
    match target {
        LogTarget::File(path) => files(std::slice::from_ref(path)),
        LogTarget::Journal(_) | LogTarget::Stderr => Sources {
            journal: Some(users),
            names: vec!["the journal".into()],
            ..Sources::default()
        },
        LogTarget::Syslog(_) => {
            let there = SYSLOG
                .iter()
                .map(PathBuf::from)
                .filter(|path| path.exists());
            let mut sources = files(&there.collect::<Vec<_>>());
            sources.journal = Some(users);
            sources.names.push("the journal".into());
            sources
        }
    }
}

/// These files, and those beside them whose names begin alike.
pub fn files(paths: &[PathBuf]) -> Sources {
    let mut found: Vec<(_, bool, PathBuf)> = Vec::new();
    for path in paths.iter().filter(|path| !is_input(path)) {
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
    let input = paths.iter().find(|path| is_input(path)).cloned();
    let found = found.into_iter().map(|(.., path)| path);
    let name = |path: &PathBuf| match is_input(path) {
        true => "standard input".to_string(),
        false => format!("{} and those beside it", path.display()),
    };
    Sources {
        files: found.chain(input).collect(),
        names: paths.iter().map(name).collect(),
        ..Sources::default()
    }
}

/// Is it `-`.
fn is_input(path: &Path) -> bool {
    path.as_os_str() == "-"
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
    let found: Vec<PathBuf> = names
        .filter(|other| is_rotated(other, name))
        .map(|other| directory.join(other))
        .collect();
    // Whoever mistyped the name of a log shall hear that there is none.
    match found.is_empty() {
        true => vec![path.to_path_buf()],
        false => found,
    }
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
            if is_input(path) {
                if let Err(error) = self.input().and_then(|text| lines(text, show)) {
                    troubles.push(format!("standard input: {error}"));
                }
                continue;
            }
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
        if let Some(users) = &self.journal
            && let Err(error) = journal(users, show)
        {
            troubles.push(format!("journalctl: {error}"));
        }
    }
}

impl Sources {
    /// Kept, because it is looked at twice.
    fn input(&self) -> std::io::Result<&[u8]> {
        if self.given.get().is_none() {
            let mut text = Vec::new();
            std::io::stdin().lock().read_to_end(&mut text)?;
            let _ = self.given.set(text);
        }
        Ok(self.given.get().map_or(&[], Vec::as_slice))
    }
}

/// Which entries are ours: anybody can give the journal lines with our name, but not with the user of another.
fn of_ours(users: &[Uid]) -> Vec<String> {
    let either = |name: &str| {
        let users = users.iter().map(|user| format!("_UID={user}"));
        [name.to_string()]
            .into_iter()
            .chain(users)
            .collect::<Vec<_>>()
    };
    let (named, called) = (
        either("SYSLOG_IDENTIFIER=mimicryd"),
        either("_COMM=mimicryd"),
    );
    [named, vec!["+".into()], called].concat()
}

fn journal(users: &[Uid], show: &mut dyn FnMut(&str)) -> std::io::Result<()> {
    let mut child = Command::new("journalctl")
        .args(["--no-pager", "--quiet", "--output=short-iso"])
        .args(of_ours(users))
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
    fn a_log_that_is_not_there_is_a_trouble() {
        let sources = files(&["/dev/no-such-log".into(), "/no-such/log".into()]);
        let mut troubles = Vec::new();
        sources.read(&mut troubles, &mut |_| {});
        assert_eq!(troubles.len(), 2, "{troubles:?}");
        assert!(
            troubles
                .iter()
                .all(|trouble| trouble.contains("No such file")),
            "{troubles:?}"
        );
    }

    #[test]
    fn entries_of_the_journal_are_ours_by_their_user() {
        assert_eq!(
            of_ours(&[Uid::from_raw(0), Uid::from_raw(997)]).join(" "),
            "SYSLOG_IDENTIFIER=mimicryd _UID=0 _UID=997 + _COMM=mimicryd _UID=0 _UID=997"
        );
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
