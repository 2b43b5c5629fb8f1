//! The mails that the command line names: files, mailboxes, and folders of either.
//!
//! A folder is a Maildir (`cur` and `new` below it) or has files whose names end in `.eml` or `.mbox`, at any depth. A file that
//! begins with `From ` and has more than one such line after an empty one is a mailbox (mboxrd: one `>` is taken from
//! `>From `).
//!
//! Must never: follow a link to a folder, which may lead in a circle.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use memchr::memmem;

use super::input::{read_mail, shown_name};
use super::output::Output;
use crate::prefork::exit::Exit;

/// A mail, and where it comes from.
#[derive(Debug)]
pub struct Named {
    pub name: String,
    pub raw: Vec<u8>,
}

/// The most folders within each other.
const DEPTH: usize = 16;

/// The files that these names stand for, in order.
pub fn files(names: &[PathBuf]) -> Result<Vec<PathBuf>, Output> {
    let mut found = Vec::new();
    for name in names {
        if !name.is_dir() {
            found.push(name.clone());
            continue;
        }
        let before = found.len();
        below(name, DEPTH, &mut found)
            .map_err(|error| Output::failure(Exit::Io, format!("{}: {error}", shown_name(name))))?;
        if found.len() == before {
            let reason = format!(
                "{} has no mails: neither cur and new, nor files that end in .eml or .mbox",
                shown_name(name)
            );
            return Err(Output::failure(Exit::Usage, reason));
        }
    }
    Ok(found)
}

/// The mails of one file; the limit is that of the configuration, in octets.
pub fn read(file: &Path, limit: usize) -> Result<Vec<Named>, Output> {
    let name = file.display().to_string();
    if !is_mailbox(file) {
        let raw = read_mail(file, limit)?;
        return Ok(vec![Named { name, raw }]);
    }
    // It may be larger than any one of its mails.
    let octets = fs::read(file)
        .map_err(|error| Output::failure(Exit::Io, format!("{}: {error}", shown_name(file))))?;
    let mails = split(&octets).into_iter().zip(1_usize..);
    let mails = mails.map(|(raw, number)| Named {
        name: format!("{name}:{number}"),
        raw,
    });
    Ok(mails.collect())
}

fn below(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let Some(depth) = depth.checked_sub(1) else {
        return Ok(());
    };
    let entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    paths.sort();
    let is_maildir = ["cur", "new"].iter().any(|name| folder.join(name).is_dir());
    for path in paths {
        let Ok(facts) = fs::symlink_metadata(&path) else {
            continue;
        };
        if facts.is_dir() && is_maildir && (path.ends_with("cur") || path.ends_with("new")) {
            let mut mails = fs::read_dir(&path)?
                .map(|entry| Ok(entry?.path()))
                .collect::<io::Result<Vec<_>>>()?;
            // Pages of `test` may stand beside them.
            mails.retain(|mail| mail.is_file() && !named(mail, &["toml"]));
            mails.sort();
            found.append(&mut mails);
        } else if facts.is_dir() && !path.ends_with("tmp") {
            below(&path, depth, found)?;
        } else if path.is_file() && named(&path, &["eml", "mbox"]) {
            found.push(path);
        }
    }
    Ok(())
}

fn named(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| endings.contains(&ending))
}

/// Standard input is one mail.
fn is_mailbox(file: &Path) -> bool {
    const START: &[u8] = b"From ";
    let mut start = [0; START.len()];
    let mut begins = |file: &Path| {
        fs::File::open(file)?
            .read_exact(&mut start)
            .map(|()| start == *START)
    };
    // Only then all of it is read.
    file.is_file()
        && begins(file).unwrap_or(false)
        && fs::read(file).is_ok_and(|octets| starts(&octets).len() > 1)
}

/// Where mails begin: at `From ` at the beginning, or after an empty line.
fn starts(octets: &[u8]) -> Vec<usize> {
    let mut starts = Vec::new();
    if octets.starts_with(b"From ") {
        starts.push(0);
    }
    for at in memmem::find_iter(octets, b"\nFrom ") {
        let before = octets.get(..at).unwrap_or_default();
        let is_after_empty = before.ends_with(b"\n") || before.ends_with(b"\n\r");
        if is_after_empty {
            starts.push(at.saturating_add(1));
        }
    }
    starts
}

/// The mails of a mailbox.
pub fn split(octets: &[u8]) -> Vec<Vec<u8>> {
    let starts = starts(octets);
    let ends = starts.iter().skip(1).copied().chain([octets.len()]);
    let mails = starts.iter().zip(ends).map(|(start, end)| {
        let mail = octets.get(*start..end).unwrap_or_default();
        // The line that begins it, and the empty line that ends it, are the mailbox's.
        let head = memchr::memchr(b'\n', mail).map_or(mail.len(), |at| at.saturating_add(1));
        let mut mail = mail.get(head..).unwrap_or_default();
        for end in [&b"\r\n\r\n"[..], b"\n\n"] {
            if mail.ends_with(end) {
                mail = mail
                    .get(..mail.len().saturating_sub(end.len() / 2))
                    .unwrap_or_default();
                break;
            }
        }
        unquoted(mail)
    });
    mails.collect()
}

/// `>From ` becomes `From `, `>>From ` becomes `>From `.
fn unquoted(mail: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(mail.len());
    for line in mail.split_inclusive(|octet| *octet == b'\n') {
        let bare = line.iter().position(|octet| *octet != b'>').unwrap_or(0);
        let is_quoted = bare > 0 && line.get(bare..).unwrap_or_default().starts_with(b"From ");
        out.extend_from_slice(line.get(usize::from(is_quoted)..).unwrap_or_default());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_is_taken_apart() {
        for (octets, mails) in [
            (
                &b"From a\nS: x\n\n1\n\nFrom b\nS: y\n\n2\n"[..],
                &[&b"S: x\n\n1\n"[..], b"S: y\n\n2\n"][..],
            ),
            (
                b"From a\r\n\r\n1\r\n\r\nFrom b\r\n\r\n2\r\n\r\n",
                &[b"\r\n1\r\n", b"\r\n2\r\n"],
            ),
            (
                b"From a\n\n>From x\n>>From y\n> From\n\nFrom b\n\n",
                &[b"\nFrom x\n>From y\n> From\n", b"\n"],
            ),
            // Not after an empty line.
            (b"From a\n\n1\nFrom b\n", &[b"\n1\nFrom b\n"]),
        ] {
            assert_eq!(split(octets), mails, "{}", octets.escape_ascii());
        }
        assert!(split(b"S: x\n\n1\n").is_empty());
    }

    #[test]
    fn folders_are_looked_through() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        for name in ["box/cur", "box/new", "box/tmp", "more/deep"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        for name in [
            "b.eml",
            "a.eml",
            "a.toml",
            "more/deep/c.eml",
            "box/new/1",
            "box/cur/2:2,S",
            "box/tmp/3",
        ] {
            fs::write(at(name), "Subject: x\n\n").unwrap();
        }
        std::os::unix::fs::symlink(place.path(), at("more/round")).unwrap();
        fs::write(at("old.mbox"), "From a\n\n1\n\nFrom b\n\n2\n").unwrap();
        let found = files(&[place.path().to_path_buf()]).unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|path| path.strip_prefix(place.path()).unwrap().to_str().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "a.eml",
                "b.eml",
                "box/cur/2:2,S",
                "box/new/1",
                "more/deep/c.eml",
                "old.mbox"
            ]
        );
        let mails = read(&at("old.mbox"), 99).unwrap();
        assert!(mails[1].name.ends_with("old.mbox:2") && mails[1].raw == b"\n2\n");
        assert_eq!(read(&at("a.eml"), 99).unwrap().len(), 1);
        assert!(files(&[at("box/tmp")]).is_err());
    }
}
