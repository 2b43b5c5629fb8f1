//! The files of a configuration, put where they came from.
//!
//! Each file is replaced as a whole, one that is as it should be is not touched, and if one cannot be written, those before it
//! are what they were. A link stays: what it leads to is replaced. A file that is there keeps its mode and its owner, one
//! that is not gets those that it had.
//!
//! Must never: leave half a file, or open to others what was a secret.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid};

use crate::files::{self, Owner};
use crate::loading::{ReadFile, Snapshot};
use crate::sys::durable;
use crate::sys::entry::Entry;

/// How a file on disk differs from the one that is to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Differs {
    Changed,
    Missing,
    /// It is there, and to go.
    Extra,
}

/// Files that are to be written or removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub write: Vec<(PathBuf, Differs)>,
    pub remove: Vec<PathBuf>,
}

impl Changes {
    /// What must be done for these files to be there, and none of `before` that is not among them.
    pub fn of(wanted: &Snapshot, before: &Snapshot) -> Changes {
        let differs = |file: &ReadFile| match files::glance(&file.path) {
            Ok(content) => (content != file.content).then_some(Differs::Changed),
            Err(error) if error.kind() == ErrorKind::NotFound => Some(Differs::Missing),
            Err(_) => Some(Differs::Changed),
        };
        let write = wanted.0.iter();
        let write = write.filter_map(|file| Some((file.path.clone(), differs(file)?)));
        let extra = before
            .0
            .iter()
            .filter(|file| wanted.file(&file.path).is_none());
        Changes {
            write: write.collect(),
            remove: extra.map(|file| file.path.clone()).collect(),
        }
    }

    pub fn are_none(&self) -> bool {
        self.write.is_empty() && self.remove.is_empty()
    }

    pub fn all(&self) -> impl Iterator<Item = (&Path, Differs)> {
        let write = self.write.iter().map(|(path, how)| (path.as_path(), *how));
        let remove = self.remove.iter();
        write.chain(remove.map(|path| (path.as_path(), Differs::Extra)))
    }

    /// Does it. An error names the file; then all are as they were, as far as that could be done.
    pub fn apply(&self, wanted: &Snapshot) -> io::Result<()> {
        let mut before: Vec<(PathBuf, Option<ReadFile>)> = Vec::new();
        let mut act = || {
            for (path, _) in &self.write {
                let file = wanted.file(path).ok_or(ErrorKind::NotFound)?;
                before.push((path.clone(), there(path)));
                put(file).map_err(|error| named(path, &error))?;
            }
            for path in &self.remove {
                before.push((path.clone(), there(path)));
                remove(path).map_err(|error| named(path, &error))?;
            }
            Ok(())
        };
        let done = act();
        if done.is_err() {
            for (path, was) in before.into_iter().rev() {
                // What fails here is in the generation that was kept before.
                let _ = match was {
                    Some(file) => put(&file),
                    None => remove(&path),
                };
            }
        }
        done
    }
}

/// A file as it is now; `None` = there is none that could be read.
pub fn there(path: &Path) -> Option<ReadFile> {
    Some(ReadFile {
        content: files::glance(path).ok()?,
        owner: Owner::of(path)?,
        path: path.to_path_buf(),
        is_secret: false,
    })
}

fn put(file: &ReadFile) -> io::Result<()> {
    // A link stays one.
    let real = fs::canonicalize(&file.path).unwrap_or_else(|_| file.path.clone());
    if let Some(parent) = real.parent() {
        durable::make_directories(parent, 0o755)?;
    }
    let now = Owner::of(&real);
    let mut owner = now.unwrap_or(file.owner);
    if file.is_secret {
        owner.mode &= 0o700;
    }
    let place = Entry::of(&real)?;
    let whose = (Uid::from_raw(owner.user), Gid::from_raw(owner.group));
    match place.write_whole_for(&file.content, owner.mode, whose) {
        // Who may not give it away writes it in its own name, where it may.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            place.write_whole(&file.content, owner.mode, true)
        }
        result => result,
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match Entry::of(path).and_then(|place| place.remove()) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn file(path: PathBuf, content: &str, mode: u32) -> ReadFile {
        let Owner { user, group, .. } = Owner::of(Path::new("/proc/self")).unwrap();
        ReadFile {
            path,
            content: content.into(),
            owner: Owner { mode, user, group },
            is_secret: mode == 0o600,
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn files_are_put_back_and_links_and_modes_stay() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        for (name, content, mode) in [
            ("same", "s", 0o604),
            ("real", "new", 0o640),
            ("extra", "x", 0o644),
        ] {
            fs::write(at(name), content).unwrap();
            fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        symlink("real", at("link")).unwrap();
        let wanted = Snapshot(vec![
            file(at("same"), "s", 0o644),
            file(at("link"), "old", 0o644),
            file(at("below/gone"), "secret", 0o600),
        ]);
        let before = Snapshot(vec![
            file(at("same"), "s", 0o644),
            file(at("extra"), "x", 0o644),
        ]);
        let changes = Changes::of(&wanted, &before);
        assert_eq!(
            changes,
            Changes {
                write: vec![
                    (at("link"), Differs::Changed),
                    (at("below/gone"), Differs::Missing)
                ],
                remove: vec![at("extra")],
            }
        );
        changes.apply(&wanted).unwrap();
        assert_eq!(fs::read(at("real")).unwrap(), b"old");
        assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
        let modes = ["same", "real", "below/gone"].map(|name| mode(&at(name)));
        assert_eq!(modes, [0o604, 0o640, 0o600]);
        assert!(!at("extra").exists());
        assert!(Changes::of(&wanted, &wanted).are_none());
    }

    #[test]
    fn what_cannot_be_written_leaves_all_as_it_was() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        fs::write(at("a"), "new").unwrap();
        // A file stands where the directory of the second should be.
        fs::write(at("b"), "in the way").unwrap();
        let wanted = Snapshot(vec![
            file(at("a"), "old", 0o644),
            file(at("b/c"), "old", 0o644),
        ]);
        let error = Changes::of(&wanted, &wanted).apply(&wanted).unwrap_err();
        assert!(error.to_string().contains("b/c"), "{error}");
        assert_eq!(fs::read(at("a")).unwrap(), b"new");
        assert_eq!(fs::read(at("b")).unwrap(), b"in the way");
    }
}
