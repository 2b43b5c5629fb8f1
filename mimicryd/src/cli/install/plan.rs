//! What is to be done for each item of the list, decided before anything is done.
//!
//! Must never: replace a file that the administrator edited, or touch the disk.

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::list::{Content, Item, Owner, USER, USR};

/// Where things are put.
#[derive(Clone, Debug)]
pub struct Target {
    /// Below it instead of below `/`.
    pub root: PathBuf,
    /// Instead of [`USR`].
    pub prefix: PathBuf,
}

impl Target {
    /// The path that an item has on the machine that it is for.
    pub fn name(&self, path: &str) -> PathBuf {
        let Some(rest) = path.strip_prefix("/usr/") else {
            return PathBuf::from(path);
        };
        // Where a shell looks below /usr/local, it looks under another name.
        let own = self.prefix == Path::new(USR);
        match (own, rest.strip_prefix("share/zsh/vendor-completions/")) {
            (false, Some(name)) => self.prefix.join("share/zsh/site-functions").join(name),
            _ => self.prefix.join(rest),
        }
    }

    /// Where it is now, to be written to.
    pub fn place(&self, path: &Path) -> PathBuf {
        let below = path.strip_prefix("/").unwrap_or(path);
        self.root.join(below)
    }

    /// Is it for this machine, as it runs.
    pub fn is_here(&self) -> bool {
        self.root == Path::new("/")
    }

    /// A file names the program, and the samples, where they are put.
    pub fn text(&self, octets: &[u8]) -> Vec<u8> {
        let prefix = self.prefix.to_str();
        let (Ok(text), Some(prefix)) = (std::str::from_utf8(octets), prefix) else {
            return octets.to_vec();
        };
        let names = ["/sbin/mimicryd", "/share/doc/mimicry/"];
        let replace = |text: String, name: &str| {
            text.replace(&format!("{USR}{name}"), &format!("{prefix}{name}"))
        };
        names.into_iter().fold(text.into(), replace).into_bytes()
    }
}

/// What becomes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is not there.
    New,
    /// It is there as it is to be.
    Same,
    /// It is there, and nobody edited it.
    Replaced,
    /// Somebody edited it.
    Kept,
}

impl Fate {
    pub fn words(self) -> &'static str {
        match self {
            Fate::New => "new",
            Fate::Same => "there already",
            Fate::Replaced => "replaced",
            Fate::Kept => "edited here: it stays as it is",
        }
    }

    /// `there` = what is there; `recorded` = the digest of what was installed there last.
    pub fn of(item: &Item, there: Option<&[u8]>, wanted: &[u8], recorded: Option<&str>) -> Fate {
        match (there, item.content) {
            (None, _) => Fate::New,
            (Some(there), _) if there == wanted => Fate::Same,
            (Some(there), Content::Configuration(_)) if recorded != Some(&digest(there)) => {
                Fate::Kept
            }
            (Some(_), _) => Fate::Replaced,
        }
    }
}

/// As the record of what was installed has it.
pub fn digest(octets: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(octets))
}

/// The record: a line for each configuration file, digest and name.
pub fn recorded<'r>(record: &'r str, name: &Path) -> Option<&'r str> {
    record.lines().find_map(|line| {
        let (digest, path) = line.split_once("  ")?;
        (Path::new(path) == name).then_some(digest)
    })
}

/// A line of what is done: kind, mode, owner, name, and what becomes of it.
pub fn line(item: &Item, name: &Path, fate: Fate) -> String {
    let (kind, owner) = match item.content {
        Content::Directory(Owner::Workers) => ("dir", USER),
        Content::Directory(Owner::Root) => ("dir", "root"),
        Content::Configuration(_) => ("conf", "root"),
        Content::Program | Content::File(_) | Content::Completions(_) => ("file", "root"),
    };
    format!(
        "{kind:<4} {:04o} {:<15} {} ({})\n",
        item.mode,
        format!("{owner}:{owner}"),
        name.display(),
        fate.words()
    )
}

#[cfg(test)]
mod tests {
    use super::super::list::{LIST, PROGRAM};
    use super::*;

    fn target(root: &str, prefix: &str) -> Target {
        Target {
            root: root.into(),
            prefix: prefix.into(),
        }
    }

    #[test]
    fn things_are_where_a_machine_looks_for_them() {
        for (prefix, path, name) in [
            ("/usr", PROGRAM, "/usr/sbin/mimicryd"),
            ("/usr/local", PROGRAM, "/usr/local/sbin/mimicryd"),
            ("/usr/local", "/etc/init.d/mimicryd", "/etc/init.d/mimicryd"),
            (
                "/usr",
                "/usr/share/zsh/vendor-completions/_m",
                "/usr/share/zsh/vendor-completions/_m",
            ),
            (
                "/opt/m",
                "/usr/share/zsh/vendor-completions/_m",
                "/opt/m/share/zsh/site-functions/_m",
            ),
        ] {
            assert_eq!(
                target("/", prefix).name(path),
                Path::new(name),
                "{prefix} {path}"
            );
        }
        let staged = target("/tmp/root", "/usr").place(Path::new(PROGRAM));
        assert_eq!(staged, Path::new("/tmp/root/usr/sbin/mimicryd"));
        let unit = b"ExecStart=/usr/sbin/mimicryd run\n";
        assert_eq!(
            target("/", "/usr/local").text(unit),
            b"ExecStart=/usr/local/sbin/mimicryd run\n"
        );
        assert_eq!(target("/", "/usr").text(unit), unit);
        assert_eq!(target("/", "/opt").text(b"\x89PNG\xff"), b"\x89PNG\xff");
    }

    #[test]
    fn what_was_edited_stays() {
        let of = |path: &str| LIST.iter().find(|item| item.path == path).unwrap();
        let (conf, file) = (
            of("/etc/mimicry/mimicry.toml"),
            of("/usr/lib/tmpfiles.d/mimicry.conf"),
        );
        let old = digest(b"old");
        for (item, there, record, fate) in [
            (conf, None, None, Fate::New),
            (conf, Some("new"), None, Fate::Same),
            (conf, Some("mine"), None, Fate::Kept),
            (conf, Some("mine"), Some(&old), Fate::Kept),
            (conf, Some("old"), Some(&old), Fate::Replaced),
            (conf, Some("old"), None, Fate::Kept),
            (file, Some("mine"), None, Fate::Replaced),
        ] {
            let found = Fate::of(
                item,
                there.map(str::as_bytes),
                b"new",
                record.map(String::as_str),
            );
            assert_eq!(found, fate, "{} {there:?} {record:?}", item.path);
        }
        let record = format!("{old}  /etc/mimicry/mimicry.toml\n");
        assert_eq!(
            recorded(&record, Path::new("/etc/mimicry/mimicry.toml")),
            Some(&*old)
        );
        assert_eq!(recorded(&record, Path::new("/etc/mimicry")), None);
    }

    /// What makes the directories at each start of the machine, and what is made here, are the same.
    #[test]
    fn tmpfiles_and_list_agree() {
        let tmpfiles = LIST
            .iter()
            .find(|item| item.path.contains("tmpfiles.d"))
            .unwrap();
        let Content::File(text) = tmpfiles.content else {
            panic!("no file");
        };
        let text = std::str::from_utf8(text).unwrap();
        let lines = text.lines().filter(|line| line.starts_with("d "));
        let mut made: Vec<String> = lines.map(String::from).collect();
        let list = LIST.iter().filter_map(|item| match item.content {
            Content::Directory(owner) if item.path.starts_with("/var/") => {
                let owner = if owner == Owner::Workers {
                    USER
                } else {
                    "root"
                };
                Some(format!(
                    "d {} {:04o} {owner} {owner} -",
                    item.path, item.mode
                ))
            }
            _ => None,
        });
        let mut listed: Vec<String> = list.collect();
        made.sort();
        listed.sort();
        assert_eq!(made, listed);
    }

    /// A sample of the source that no machine gets, or a page that is not installed.
    #[test]
    fn every_sample_and_page_of_the_source_is_in_the_list() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut missing = Vec::new();
        let mut directories = vec![source.join("etc"), source.join("man")];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let name = path
                    .strip_prefix(&source)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_string();
                // What makes packages is not part of one.
                let makes = ["build", "rust", "mimicry.spec", "Containerfile", "sbom"];
                if path.is_dir() {
                    directories.push(path);
                } else if !LIST.iter().any(|item| item.source == name)
                    && !makes
                        .iter()
                        .any(|make| name == format!("etc/package/{make}"))
                {
                    missing.push(name);
                }
            }
        }
        assert!(missing.is_empty(), "not in the list: {missing:#?}");
    }
}
