//! What archives and `keep` directories hold under an id: the file, and what the sidecar says of it.
//!
//! The names of the files are made of digests (mimicry-plugins(7)), so an id is the beginning of a name: the digest of a mail, or
//! the SHA-256 of a removed part, which its note tells. In a mailbox mails have no names; there each is looked at.
//!
//! Must never: follow a link below the declared directory, or believe a sidecar about what a file holds.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mimicry_core::message::digest::Digest;
use mimicry_core::message::{Limits, Message};
use mimicry_core::units::show_size;
use mimicry_plugins::shared::store::{MBOX, all_of, uncompressed};
use serde_json::Value;

use crate::cli::mails;
use crate::sys::entry::Entry;

/// What is kept of a mail, or of a part of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    pub file: PathBuf,
    /// Which mail of a mailbox it is, from 1.
    pub number: Option<usize>,
    /// The sidecar says that it is a part.
    pub part: Option<PartFacts>,
    /// What the sidecars say, each of one envelope.
    pub facts: Vec<Facts>,
}

/// A transaction, as a sidecar has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub received: String,
    pub sender: Vec<u8>,
    pub recipients: Vec<Vec<u8>>,
    pub rule: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartFacts {
    pub filename: String,
    pub media_type: String,
    sha256: String,
}

/// Folders within each other.
const DEPTH: usize = 16;

/// Octets of a sidecar: of so many recipients as no mail has.
const LARGEST_SIDECAR: u64 = 64 << 20;

/// All that is held under an id in these directories.
pub fn find(directories: &[PathBuf], id: &str, most: u64) -> io::Result<Vec<Held>> {
    let mut seen = Seen::default();
    for directory in directories {
        // A link that leads to it is the administrator's; below it none is followed.
        seen.look(&fs::canonicalize(directory)?, id, DEPTH)?;
    }
    // One directory may stand within another.
    for found in [&mut seen.files, &mut seen.sidecars, &mut seen.mailboxes] {
        found.sort();
        found.dedup();
    }
    let mut held: Vec<Held> = Vec::new();
    for file in &seen.files {
        held.push(Held {
            file: file.clone(),
            ..Held::default()
        });
    }
    if held.is_empty() {
        for mailbox in &seen.mailboxes {
            held.extend(in_mailbox(mailbox, id)?);
        }
    }
    for sidecar in &seen.sidecars {
        let text = read(sidecar, LARGEST_SIDECAR)?;
        let Ok(json) = serde_json::from_slice::<Value>(&text) else {
            continue;
        };
        for one in &mut held {
            add(one, &json, id);
        }
    }
    // A file that is compressed and one that is not may both be there. One that is too large is there, and the reason is to be heard.
    held.retain(|one| {
        content(one, most).map_or_else(
            |error| error.kind() == io::ErrorKind::FileTooLarge,
            |_| true,
        )
    });
    Ok(held)
}

/// The octets that were kept, or why they are not to be had.
pub fn content(held: &Held, most: u64) -> io::Result<Vec<u8>> {
    kept(held, most).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => {
            let most = show_size(most);
            let why =
                format!("it holds more than {most}, far more than a mail may have (limits.mail)");
            io::Error::new(error.kind(), why)
        }
        _ => error,
    })
}

fn kept(held: &Held, most: u64) -> io::Result<Vec<u8>> {
    let largest = if held.number.is_some() {
        u64::MAX
    } else {
        most
    };
    let octets = read(&held.file, largest)?;
    if let Some(number) = held.number {
        let mails = mails::split(&octets);
        let mail = mails
            .get(number.saturating_sub(1))
            .ok_or(io::ErrorKind::NotFound)?;
        return Ok(with_crlf(mail));
    }
    // A part may be an archive itself.
    let is_raw = held
        .part
        .as_ref()
        .is_some_and(|part| part.sha256 == Digest::of_octets(&octets).to_string());
    match is_raw {
        true => Ok(octets),
        false => uncompressed(&octets, most),
    }
}

/// Whoever may write to an archive may have put a link, or what has no end, in the place of a file since it was looked at.
fn read(file: &Path, most: u64) -> io::Result<Vec<u8>> {
    let opened = Entry::of(file)?.open_to_read()?;
    if !opened.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    all_of(opened, most)
}

/// A mailbox ends its lines in LF alone.
pub fn with_crlf(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len().saturating_add(octets.len() / 32));
    let mut before = 0;
    for octet in octets {
        if *octet == b'\n' && before != b'\r' {
            out.push(b'\r');
        }
        out.push(*octet);
        before = *octet;
    }
    out
}

#[derive(Default)]
struct Seen {
    files: Vec<PathBuf>,
    sidecars: Vec<PathBuf>,
    mailboxes: Vec<PathBuf>,
}

impl Seen {
    fn look(&mut self, folder: &Path, id: &str, depth: usize) -> io::Result<()> {
        let Some(depth) = depth.checked_sub(1) else {
            return Ok(());
        };
        let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (path, kind) = (entry.path(), entry.file_type()?);
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if kind.is_dir() && name != ".mimicry" {
                self.look(&path, id, depth)?;
            } else if kind.is_file() && name.ends_with(".json") {
                if name.contains(id) {
                    self.sidecars.push(path);
                }
            } else if kind.is_file() && name == MBOX {
                self.mailboxes.push(path);
            } else if kind.is_file() && name.starts_with(id) && !name.ends_with(".trace") {
                self.files.push(path);
            }
        }
        Ok(())
    }
}

fn in_mailbox(mailbox: &Path, id: &str) -> io::Result<Vec<Held>> {
    let octets = read(mailbox, u64::MAX)?;
    let is_it = |mail: &[u8]| {
        let message = Message::scan(with_crlf(mail), &Limits::default());
        Digest::of(&message).to_string().starts_with(id)
    };
    let mails = mails::split(&octets).into_iter().zip(1_usize..);
    let found = mails
        .filter(|(mail, _)| is_it(mail))
        .map(|(_, number)| Held {
            file: mailbox.to_path_buf(),
            number: Some(number),
            ..Held::default()
        });
    Ok(found.collect())
}

/// Takes from a sidecar what it says of this file.
fn add(held: &mut Held, json: &Value, id: &str) {
    let text = |value: &Value, key: &str| {
        value
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_string()
    };
    let name = held.file.file_name().unwrap_or_default().to_string_lossy();
    // In a Maildir a reader adds its flags to the name.
    let names =
        |file: &str| !file.is_empty() && (name == file || name.split(':').next() == Some(file));
    let parts = json.get("parts").and_then(Value::as_array);
    let part = parts.and_then(|parts| parts.iter().find(|part| names(&text(part, "file"))));
    let is_of_mailbox = held.number.is_some() && text(json, "digest").starts_with(id);
    if part.is_none() && !names(&text(json, "file")) && !is_of_mailbox {
        return;
    }
    if let Some(part) = part {
        held.part = Some(PartFacts {
            filename: text(part, "filename"),
            media_type: text(part, "type"),
            sha256: text(part, "sha256"),
        });
    }
    let recipients = json.get("recipients").and_then(Value::as_array);
    let address = |one: &Value| meant(&text(one, "address"));
    held.facts.push(Facts {
        received: text(json, "received"),
        sender: meant(&text(json, "sender")),
        recipients: recipients
            .map(|all| all.iter().map(address).collect())
            .unwrap_or_default(),
        rule: text(json, "rule"),
    });
}

/// The octets of an address that was written as the log writes it: `\\`, `\xff`, `\u{1b}`.
fn meant(shown: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = shown;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(rest.get(..at).unwrap_or_default().as_bytes());
        rest = rest.get(at.saturating_add(1)..).unwrap_or_default();
        if let Some(after) = rest.strip_prefix('\\') {
            out.push(b'\\');
            rest = after;
        } else if let Some(octet) = rest
            .strip_prefix('x')
            .and_then(|digits| u8::from_str_radix(digits.get(..2)?, 16).ok())
        {
            out.push(octet);
            rest = rest.get(3..).unwrap_or_default();
        } else if let Some((code, after)) = rest
            .strip_prefix("u{")
            .and_then(|rest| rest.split_once('}'))
        {
            let char = u32::from_str_radix(code, 16).ok().and_then(char::from_u32);
            let mut octets = [0; 4];
            out.extend_from_slice(char.unwrap_or('?').encode_utf8(&mut octets).as_bytes());
            rest = after;
        }
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

#[cfg(test)]
mod tests {
    use mimicry_core::printable::Printable;

    use super::*;

    #[test]
    fn an_address_is_read_as_it_was_written() {
        for address in [
            &b"anna@example.org"[..],
            b"",
            b"a\\b@x",
            b"\xff\xc3\xbc@x",
            "ü\u{202e}\\x41@x".as_bytes(),
            b"\"a\tb\"@x",
        ] {
            assert_eq!(
                meant(&Printable(address).to_string()),
                address,
                "{}",
                address.escape_ascii()
            );
        }
        assert_eq!(meant("\\u{"), b"u{");
    }

    // T188
    #[test]
    fn what_took_the_place_of_a_file_is_not_read() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let (id, secret) = ("0123456789abcdef", at("secret"));
        fs::write(&secret, "secret").unwrap();
        fs::create_dir(at("archive")).unwrap();
        std::os::unix::fs::symlink(at("archive"), at("link")).unwrap();
        let kept = at("archive").join(id);
        fs::write(&kept, "mail").unwrap();
        let found = find(&[at("link")], id, 100).unwrap();
        assert_eq!(content(&found[0], 100).unwrap(), b"mail");
        // An IMAP server copies by second names.
        fs::hard_link(&kept, at("copy")).unwrap();
        assert_eq!(content(&found[0], 100).unwrap(), b"mail");
        assert!(content(&found[0], 3).is_err(), "it has grown");
        fs::remove_file(&kept).unwrap();
        std::os::unix::fs::symlink(&secret, &kept).unwrap();
        for number in [None, Some(1)] {
            let one = Held {
                number,
                ..found[0].clone()
            };
            let error = content(&one, 100).unwrap_err().to_string();
            assert!(error.ends_with("is a symbolic link"), "{error}");
        }
        // It waits for nobody.
        fs::remove_file(&kept).unwrap();
        nix::unistd::mkfifo(&kept, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(content(&found[0], 100).is_err());
    }

    #[test]
    fn lines_of_a_mailbox_get_their_cr_back() {
        assert_eq!(with_crlf(b"a\nb\r\n\nc"), b"a\r\nb\r\n\r\nc");
    }
}
