//! `mimicryd generations`: the configurations that were in force, and how two of them differ.
//!
//! Must never: show what is in a secret.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;
use similar::TextDiff;

use super::input::ConfigArg;
use super::output::Output;
use super::show::{Paint, count, escape, harden_json, pad, wrapped};
use crate::files;
use crate::prefork::exit::Exit;
use crate::state::generations::{Generation, Generations};
use crate::sys::terminal;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: PlaceArg,
    /// Write all facts as one JSON document
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show in which lines the files of two generations differ
    Diff {
        /// The number of the one before
        before: u64,
        /// The number of the one after; without it, the files as they are now
        after: Option<u64>,
    },
}

/// Where the generations of a configuration are.
#[derive(Debug, clap::Args)]
pub struct PlaceArg {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Where generations are, if the configuration does not say it any more
    #[arg(long, value_name = "DIR", global = true)]
    state: Option<PathBuf>,
}

/// The generations of a configuration.
pub struct All {
    pub store: Generations,
    /// Of the configuration, absolute.
    pub path: PathBuf,
    /// The oldest first, and at least one.
    pub list: Vec<Generation>,
}

impl PlaceArg {
    /// The file may be broken, or gone.
    pub fn open(&self) -> Result<All, Output> {
        let path = std::path::absolute(&self.config.config)
            .map_err(|error| Output::failure(Exit::Io, error))?;
        let state = self.state.clone().unwrap_or_else(|| {
            let octets = files::glance(&path).unwrap_or_default();
            mimicry_core::config::state(&path, &octets)
        });
        let store = Generations::below(&state);
        let directory = escape(store.directory().as_os_str().as_bytes());
        let list = store.all().map_err(|error| {
            let remedy = match error.kind() {
                ErrorKind::PermissionDenied => "; they are for the user who starts the daemon",
                _ => "",
            };
            Output::failure(Exit::Io, format!("{directory}: {error}{remedy}"))
        })?;
        if list.is_empty() {
            let reason = format!(
                "no generation is kept in {directory}: the daemon keeps each configuration that comes into force, and --state names another place"
            );
            return Err(Output::failure(Exit::Unavailable, reason));
        }
        Ok(All { store, path, list })
    }
}

impl All {
    pub fn find(&self, number: u64) -> Result<&Generation, Output> {
        self.list.iter().find(|one| one.has(number)).ok_or_else(|| {
            let numbers: Vec<String> = self.list.iter().map(Generation::numbers).collect();
            let reason = format!(
                "there is no generation {number}; kept are {}",
                numbers.join(", ")
            );
            Output::failure(Exit::Usage, reason)
        })
    }
}

pub fn run(args: &Args, paint: Paint) -> Result<Output, Output> {
    let all = args.place.open()?;
    match &args.action {
        None if args.json => Ok(Output::text(json(&all))),
        None => Ok(Output::text(list(&all, paint))),
        Some(Action::Diff { before, after }) => {
            let old = Side::kept(&all, all.find(*before)?)?;
            let new = match after {
                Some(number) => Side::kept(&all, all.find(*number)?)?,
                None => Side::now(all.find(*before)?),
            };
            Ok(Output::text(difference(&old, &new, paint)))
        }
    }
}

#[derive(Serialize)]
struct Row<'r> {
    first: u64,
    last: u64,
    /// RFC 3339.
    since: String,
    again: String,
    hash: &'r str,
    in_force: bool,
    files: Vec<String>,
}

fn json(all: &All) -> String {
    let rows = all.list.iter().map(|one| Row {
        first: one.first,
        last: one.last,
        since: Timestamp::from_second(one.since)
            .unwrap_or_default()
            .to_string(),
        again: Timestamp::from_second(one.again)
            .unwrap_or_default()
            .to_string(),
        hash: &one.hash,
        in_force: one.was_in_force,
        files: one
            .files
            .iter()
            .map(|file| file.path.display().to_string())
            .collect(),
    });
    let rows: Vec<Row<'_>> = rows.collect();
    let json = serde_json::to_string_pretty(&rows).unwrap_or_default();
    format!("{}\n", harden_json(&json))
}

/// One a line, the newest last, as in a log.
fn list(all: &All, paint: Paint) -> String {
    let width = all
        .list
        .iter()
        .map(|one| one.numbers().len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    let mut before: Option<&Generation> = None;
    for one in &all.list {
        let what = match before {
            _ if !one.was_in_force => "never in force: overwritten by a rollback".to_string(),
            None => count(one.files.len(), "file"),
            Some(before) => changed(before, one),
        };
        let hash = match one.hash.as_str() {
            "" => "-",
            hash => hash,
        };
        let head = format!(
            "{:>width$}  {}  {}  ",
            one.numbers(),
            time(one.since),
            pad(hash, 8)
        );
        let indent = head.chars().count();
        let head = match one.was_in_force {
            true => paint.bold(&head),
            false => paint.dim(&head),
        };
        text.push_str(&format!(
            "{head}{}\n",
            wrapped(&what, indent, terminal::columns())
        ));
        before = Some(one);
    }
    text
}

/// Local time, to the second.
pub fn time(unix: i64) -> String {
    let zoned = Timestamp::from_second(unix).map(|time| time.to_zoned(TimeZone::system()));
    zoned.map_or_else(
        |_| "-".into(),
        |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

/// Which files are others than in the one before.
fn changed(before: &Generation, one: &Generation) -> String {
    let paths: BTreeSet<&Path> = before
        .files
        .iter()
        .chain(&one.files)
        .map(|file| file.path.as_path())
        .collect();
    let directory = one.path.parent().unwrap_or(Path::new(""));
    let words = paths.into_iter().filter_map(|path| {
        let word = match (before.file(path), one.file(path)) {
            (Some(old), Some(new)) if old.digest == new.digest => return None,
            (Some(_), Some(_)) => "changed",
            (None, _) => "new",
            (_, None) => "gone",
        };
        Some(format!("{} {word}", shown(path, directory)))
    });
    words.collect::<Vec<String>>().join(", ")
}

/// Without the directory of the configuration.
pub fn shown(path: &Path, directory: &Path) -> String {
    let short = path.strip_prefix(directory).unwrap_or(path);
    escape(short.as_os_str().as_bytes())
}

/// Where its configuration stood.
fn directory_of(generation: &Generation) -> PathBuf {
    let directory = generation.path.parent();
    directory.unwrap_or(Path::new("")).to_path_buf()
}

/// One of the two in a comparison.
struct Side {
    name: String,
    directory: PathBuf,
    /// Path, content, and whether that is for nobody's eyes.
    files: Vec<(PathBuf, Vec<u8>, bool)>,
}

impl Side {
    fn kept(all: &All, generation: &Generation) -> Result<Side, Output> {
        let snapshot = all.store.snapshot(generation);
        let snapshot = snapshot.map_err(|error| Output::failure(Exit::Io, error))?;
        let files = snapshot
            .0
            .into_iter()
            .map(|file| (file.path, file.content, file.is_secret));
        Ok(Side {
            name: format!("generation {}", generation.numbers()),
            directory: directory_of(generation),
            files: files.collect(),
        })
    }

    /// The same files as they are now.
    fn now(generation: &Generation) -> Side {
        let files = generation.files.iter().filter_map(|file| {
            let content = files::glance(&file.path).ok()?;
            Some((file.path.clone(), content, file.is_secret))
        });
        Side {
            name: "now".into(),
            directory: directory_of(generation),
            files: files.collect(),
        }
    }

    fn file(&self, path: &Path) -> Option<&(PathBuf, Vec<u8>, bool)> {
        self.files.iter().find(|(name, _, _)| name == path)
    }
}

fn difference(old: &Side, new: &Side, paint: Paint) -> String {
    let mut text = String::new();
    let both = old.files.iter().chain(&new.files);
    let paths: BTreeSet<&Path> = both.map(|(path, _, _)| path.as_path()).collect();
    for path in paths {
        let (before, after) = (old.file(path), new.file(path));
        let content = |file: Option<&(PathBuf, Vec<u8>, bool)>| {
            file.map(|(_, content, _)| content.clone())
                .unwrap_or_default()
        };
        let (one, other) = (content(before), content(after));
        if one == other && before.is_some() == after.is_some() {
            continue;
        }
        let name = shown(path, &new.directory);
        let head = |side: &Side, is_there: bool| match is_there {
            true => format!("{name}  ({})", side.name),
            false => format!("/dev/null  ({})", side.name),
        };
        let (one_head, other_head) = (head(old, before.is_some()), head(new, after.is_some()));
        text.push_str(&paint.bold(&format!("--- {one_head}\n+++ {other_head}")));
        text.push('\n');
        let is_secret = [before, after]
            .into_iter()
            .flatten()
            .any(|(_, _, secret)| *secret);
        if is_secret {
            text.push_str("it is a secret: its lines are not shown\n");
        } else {
            text.push_str(&hunks(&one, &other, paint));
        }
    }
    match text.is_empty() {
        true => "no file differs\n".into(),
        false => text,
    }
}

/// The lines that differ, with three around them.
fn hunks(one: &[u8], other: &[u8], paint: Paint) -> String {
    let (one, other) = (String::from_utf8_lossy(one), String::from_utf8_lossy(other));
    let diff = TextDiff::from_lines(one.as_ref(), other.as_ref());
    let mut text = String::new();
    for line in diff.unified_diff().context_radius(3).to_string().lines() {
        let shown = escape_line(line);
        let shown = match line.as_bytes().first() {
            Some(b'+') => paint.green(&shown),
            Some(b'-') => paint.red(&shown),
            Some(b'@') => paint.dim(&shown),
            _ => shown,
        };
        text.push_str(&format!("{shown}\n"));
    }
    text
}

/// A backslash of a regex stays one, so that the line can be copied; what could move the cursor is escaped.
fn escape_line(line: &str) -> String {
    line.split('\\')
        .map(escape)
        .collect::<Vec<String>>()
        .join("\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(name: &str, files: &[(&str, &str, bool)]) -> Side {
        let file = |(path, content, secret): &(&str, &str, bool)| {
            (PathBuf::from(path), content.as_bytes().to_vec(), *secret)
        };
        Side {
            name: name.into(),
            directory: PathBuf::from("/etc/mimicry"),
            files: files.iter().map(file).collect(),
        }
    }

    #[test]
    fn lines_that_differ_are_shown_and_secrets_are_not() {
        let old = side(
            "generation 1",
            &[
                ("/etc/mimicry/a.txt", "one\ntwo\n", false),
                ("/etc/mimicry/same", "s\n", false),
                ("/etc/secret", "swordfish\n", true),
                ("/etc/mimicry/gone", "g\\d\n", false),
            ],
        );
        let new = side(
            "now",
            &[
                ("/etc/mimicry/a.txt", "one\n\x1b[2Jthree\n", false),
                ("/etc/mimicry/same", "s\n", false),
                ("/etc/secret", "tuna\n", true),
            ],
        );
        let text = difference(&old, &new, Paint(false));
        assert_eq!(
            text,
            "--- a.txt  (generation 1)\n+++ a.txt  (now)\n@@ -1,2 +1,2 @@\n one\n-two\n+\\u{1b}[2Jthree\n\
             --- gone  (generation 1)\n+++ /dev/null  (now)\n@@ -1 +0,0 @@\n-g\\d\n\
             --- /etc/secret  (generation 1)\n+++ /etc/secret  (now)\nit is a secret: its lines are not shown\n"
        );
        assert_eq!(difference(&old, &old, Paint(false)), "no file differs\n");
    }
}
