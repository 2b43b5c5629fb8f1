//! How the files of a configuration are read, by code that may look at the disk.
//!
//! Must never: read a file itself. The caller that loads a configuration decides which files are trusted and how much
//! of one is read.

use std::cell::RefCell;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

/// What a file is for, which says how well it must be guarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// The configuration, or a file that it names: whoever can write it decides what happens to mail.
    Configuration,
    /// A file that nobody else may read either.
    Secret,
    /// The same, but its group may read it, as packages that make keys leave them.
    Key,
}

/// Why a file is not read, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    pub message: String,
    pub help: String,
}

impl Unreadable {
    pub fn new(message: impl Into<String>, help: impl Into<String>) -> Unreadable {
        Unreadable {
            message: message.into(),
            help: help.into(),
        }
    }

    /// What the system says of a file.
    pub fn system(path: &Path, error: &io::Error) -> Unreadable {
        let help = if error.kind() == io::ErrorKind::NotFound {
            "a relative name is relative to the configuration file"
        } else {
            "mimicry must be able to read it when the configuration is loaded"
        };
        Unreadable::new(format!("cannot read {}: {error}", path.display()), help)
    }
}

/// Who reads files.
pub trait Files {
    /// The whole content of a file.
    fn read(&self, path: &Path, what: Use) -> Result<Vec<u8>, Unreadable>;

    /// What a directory holds, sorted; the names of directories end in `/`. Nothing is said of who may write to it: whoever reads a
    /// file of it says that.
    fn list(&self, directory: &Path) -> Result<Vec<String>, Unreadable>;

    /// Is it one that [`Files::list`] can list.
    fn is_directory(&self, path: &Path) -> bool;
}

/// Files whose guard does not matter, such as those of a test.
pub struct Given<'f>(pub &'f dyn Fn(&Path) -> io::Result<Vec<u8>>);

impl Files for Given<'_> {
    fn read(&self, path: &Path, _: Use) -> Result<Vec<u8>, Unreadable> {
        (self.0)(path).map_err(|error| Unreadable::system(path, &error))
    }

    /// As lines of text.
    fn list(&self, directory: &Path) -> Result<Vec<String>, Unreadable> {
        let octets = self.read(directory, Use::Configuration)?;
        let text = String::from_utf8(octets).map_err(io::Error::other);
        let text = text.map_err(|error| Unreadable::system(directory, &error))?;
        Ok(text.lines().map(String::from).collect())
    }

    /// What has no ending.
    fn is_directory(&self, path: &Path) -> bool {
        path.extension().is_none()
    }
}

/// Where the octets are no longer text in UTF-8. A NUL counts as no text: it comes from UTF-16 without a byte order mark.
pub(super) fn text_ends(octets: &[u8]) -> Option<usize> {
    let valid = std::str::from_utf8(octets)
        .err()
        .map(|error| error.valid_up_to());
    let nul = memchr::memchr(0, octets);
    valid.into_iter().chain(nul).min()
}

/// Files by which a configuration is recognised: their octets go into a hash, except secrets, because whoever sees the
/// hash could try out what a password is.
pub(super) struct Hashed<'f> {
    files: &'f dyn Files,
    hash: RefCell<Sha256>,
}

impl<'f> Hashed<'f> {
    pub fn new(files: &'f dyn Files) -> Hashed<'f> {
        Hashed {
            files,
            hash: RefCell::default(),
        }
    }

    /// The first eight digits: for people, who compare two of them.
    pub fn short(self) -> String {
        let digest = self.hash.into_inner().finalize();
        let octets = digest.iter().take(4);
        octets.map(|octet| format!("{octet:02x}")).collect()
    }
}

impl Files for Hashed<'_> {
    fn read(&self, path: &Path, what: Use) -> Result<Vec<u8>, Unreadable> {
        let octets = self.files.read(path, what)?;
        if what == Use::Configuration {
            let mut hash = self.hash.borrow_mut();
            // With its length, so that an octet that moves from one file into the next is a change.
            hash.update((octets.len() as u64).to_be_bytes());
            hash.update(&octets);
        }
        Ok(octets)
    }

    fn list(&self, directory: &Path) -> Result<Vec<String>, Unreadable> {
        self.files.list(directory)
    }

    fn is_directory(&self, path: &Path) -> bool {
        self.files.is_directory(path)
    }
}

/// Line and column of the first octet that is no UTF-8, both counted from 1, the column in characters; and the octet.
pub(super) fn first_bad_octet(octets: &[u8]) -> Option<(usize, usize, u8)> {
    let valid = text_ends(octets)?;
    let before = octets.get(..valid).unwrap_or_default();
    let start = memchr::memrchr(b'\n', before).map_or(0, |at| at.saturating_add(1));
    let line = memchr::memchr_iter(b'\n', before).count();
    let head = std::str::from_utf8(before.get(start..).unwrap_or_default()).unwrap_or_default();
    let column = head.chars().count();
    Some((
        line.saturating_add(1),
        column.saturating_add(1),
        octets.get(valid).copied().unwrap_or_default(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(files: &[(&str, Use)]) -> String {
        let content = |path: &Path| Ok(path.display().to_string().into_bytes());
        let given = Given(&content);
        let hashed = Hashed::new(&given);
        for (content, what) in files {
            let octets = hashed.read(Path::new(content), *what).unwrap();
            assert_eq!(octets, content.as_bytes());
        }
        hashed.short()
    }

    #[test]
    fn a_hash_knows_the_files_but_no_secret() {
        use Use::{Configuration as C, Secret as S};
        let whole = hash(&[("a", C), ("bc", C)]);
        assert_eq!(whole.len(), 8);
        for (files, is_same) in [
            (&[("a", C), ("bc", C)][..], true),
            (&[("a", C), ("secret", S), ("bc", C)], true),
            (&[("a", C), ("bc", S)], false),
            (&[("ab", C), ("c", C)], false),
            (&[("bc", C), ("a", C)], false),
            (&[("a", C), ("bC", C)], false),
            (&[("a", C)], false),
        ] {
            assert_eq!(hash(files) == whole, is_same, "{files:?}");
        }
    }

    // T183
    #[test]
    fn the_first_octet_that_is_no_utf8_has_a_place() {
        for (octets, place) in [
            (&b""[..], None),
            ("ü\n".as_bytes(), None),
            (b"\xff\xfea\0", Some((1, 1, 0xff))),
            (b"one\nGr\xfc\xdfe\n", Some((2, 3, 0xfc))),
            (b"a\0b\0", Some((1, 2, 0))),
            (b"\0a\xff", Some((1, 1, 0))),
            (b"a\xff\0", Some((1, 2, 0xff))),
            (b"one\n\xc3\xbc\xc3\xbc\xe9", Some((2, 3, 0xe9))),
            (b"a\r\n\n\xc3", Some((3, 1, 0xc3))),
        ] {
            assert_eq!(first_bad_octet(octets), place, "{}", octets.escape_ascii());
        }
    }
}
