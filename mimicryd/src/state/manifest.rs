//! The page that describes a generation: lines of a word and its values, and `end`, so that half a page is none.
//!
//! Must never: take a page for whole that is not, or read a name otherwise than it was written.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::str::SplitAsciiWhitespace;

use crate::files::Owner;

/// The first line.
const TITLE: &str = "mimicry generation 1";

/// A configuration that was in force, or that a rollback found in its way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Generation {
    /// The same files were in force under all numbers from this one on,
    pub first: u64,
    /// to this one: a start or a reload without a change.
    pub last: u64,
    /// When it came into force under the first number and under the last one; seconds since 1970.
    pub since: i64,
    pub again: i64,
    /// As in the log.
    pub hash: String,
    /// The configuration itself.
    pub path: PathBuf,
    /// It was in force; else a rollback kept what it overwrote.
    pub was_in_force: bool,
    /// In the order in which they were read.
    pub files: Vec<Kept>,
}

/// A file of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub path: PathBuf,
    /// SHA-256 of the content, which is also its name in the store.
    pub digest: String,
    pub octets: u64,
    pub owner: Owner,
    /// Its content is shown to nobody.
    pub is_secret: bool,
}

impl Generation {
    /// The numbers under which it was in force, for people.
    pub fn numbers(&self) -> String {
        match self.first == self.last {
            true => self.first.to_string(),
            false => format!("{}-{}", self.first, self.last),
        }
    }

    pub fn has(&self, number: u64) -> bool {
        (self.first..=self.last).contains(&number)
    }

    /// Are the files of both the same, octet for octet.
    pub fn is_like(&self, other: &Generation) -> bool {
        let all = |one: &Generation| {
            let mut files: Vec<(PathBuf, String)> = Vec::new();
            files.extend(
                one.files
                    .iter()
                    .map(|file| (file.path.clone(), file.digest.clone())),
            );
            files.sort();
            files
        };
        self.path == other.path && all(self) == all(other)
    }

    pub fn file(&self, path: &Path) -> Option<&Kept> {
        self.files.iter().find(|file| file.path == path)
    }

    pub fn write(&self) -> String {
        let mut text = format!("{TITLE}\n");
        let mut line = |word: &str, value: &str| text.push_str(&format!("{word} {value}\n"));
        line("first", &self.first.to_string());
        line("last", &self.last.to_string());
        line("since", &self.since.to_string());
        line("again", &self.again.to_string());
        line("hash", &self.hash);
        line("path", &written(&self.path));
        let kept = match self.was_in_force {
            true => "in-force",
            false => "overwritten",
        };
        line("kept", kept);
        for file in &self.files {
            let Owner { mode, user, group } = file.owner;
            let kind = match file.is_secret {
                true => "secret",
                false => "plain",
            };
            let (digest, octets) = (&file.digest, file.octets);
            let path = written(&file.path);
            line(
                "file",
                &format!("{mode:04o} {user} {group} {kind} {octets} {digest} {path}"),
            );
        }
        text.push_str("end\n");
        text
    }

    /// `None` = it is not whole, or not ours.
    pub fn read(text: &[u8]) -> Option<Generation> {
        let text = std::str::from_utf8(text).ok()?.strip_suffix("\nend\n")?;
        let mut lines = text.split('\n');
        if lines.next()? != TITLE {
            return None;
        }
        let mut read = Generation::default();
        for line in lines {
            let mut words = line.split_ascii_whitespace();
            match words.next()? {
                "first" => read.first = words.next()?.parse().ok()?,
                "last" => read.last = words.next()?.parse().ok()?,
                "since" => read.since = words.next()?.parse().ok()?,
                "again" => read.again = words.next()?.parse().ok()?,
                "hash" => read.hash = words.next().unwrap_or_default().to_string(),
                "path" => read.path = meant(words.next()?)?,
                "kept" => read.was_in_force = words.next()? == "in-force",
                "file" => read.files.push(file(&mut words)?),
                _ => return None,
            }
        }
        (read.first > 0 && read.last >= read.first && !read.files.is_empty()).then_some(read)
    }
}

fn file(words: &mut SplitAsciiWhitespace<'_>) -> Option<Kept> {
    let owner = Owner {
        mode: u32::from_str_radix(words.next()?, 8).ok()? & 0o7777,
        user: words.next()?.parse().ok()?,
        group: words.next()?.parse().ok()?,
    };
    let is_secret = words.next()? == "secret";
    let octets = words.next()?.parse().ok()?;
    let digest = words.next()?;
    let is_digest = digest.len() == 64 && digest.bytes().all(|octet| octet.is_ascii_hexdigit());
    Some(Kept {
        path: meant(words.next()?)?,
        digest: is_digest.then(|| digest.to_string())?,
        octets,
        owner,
        is_secret,
    })
}

/// A path as one word: what is no plain octet as in a URL.
fn written(path: &Path) -> String {
    let mut text = String::new();
    for octet in path.as_os_str().as_bytes() {
        match octet {
            b'!'..=b'~' if *octet != b'%' => text.push(char::from(*octet)),
            _ => text.push_str(&format!("%{octet:02x}")),
        }
    }
    text
}

fn meant(word: &str) -> Option<PathBuf> {
    let mut octets = Vec::new();
    let mut rest = word.as_bytes();
    while let Some((octet, more)) = rest.split_first() {
        rest = more;
        if *octet != b'%' {
            octets.push(*octet);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        octets.push(u8::from_str_radix(digits, 16).ok()?);
        rest = rest.get(2..)?;
    }
    Some(PathBuf::from(OsString::from_vec(octets)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generation() -> Generation {
        let file = |path: &[u8], is_secret: bool| Kept {
            path: PathBuf::from(OsString::from_vec(path.to_vec())),
            digest: "0123456789abcdef".repeat(4),
            octets: 12,
            owner: Owner {
                mode: 0o640,
                user: 0,
                group: 4,
            },
            is_secret,
        };
        Generation {
            first: 7,
            last: 9,
            since: 1_795_339_810,
            again: 1_795_339_999,
            hash: "5f0c1a9e".into(),
            path: "/etc/mimicry/mimicry.toml".into(),
            was_in_force: true,
            files: vec![
                file(b"/etc/mimicry/mimicry.toml", false),
                file(b"/etc/a b%20\n\xff.txt", true),
            ],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let one = generation();
        let text = one.write();
        assert_eq!(Generation::read(text.as_bytes()), Some(one.clone()));
        assert_eq!(one.numbers(), "7-9");
        assert!(one.has(8) && !one.has(10));
        // Whatever is missing at its end, it is not taken.
        for end in 0..text.len() {
            assert_eq!(Generation::read(&text.as_bytes()[..end]), None, "{end}");
        }
    }

    #[test]
    fn the_order_of_files_is_no_difference() {
        let (one, mut other) = (generation(), generation());
        other.files.reverse();
        assert!(one.is_like(&other));
        other.files[0].digest = "f".repeat(64);
        assert!(!one.is_like(&other));
        other.files.remove(0);
        assert!(!one.is_like(&other));
    }
}
