//! The configurations that were in force, each with all the files that it was made of, as they were read.
//!
//! They stand in `generations` below `daemon.state`: a page for each ([`Generation`], named by its first number), and in `files`
//! each content once, named by its SHA-256, so that a long list that stays the same costs nothing. A page is written
//! after all that it names, under another name first, so it is whole or not there. At most [`KEPT`] are kept.
//!
//! Must never: let anybody but the user of this process read what is kept; believe a content that is not the one of its name.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use mimicry_core::message::digest::Digest;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::sys::stat::futimens;
use nix::sys::time::TimeSpec;

use crate::files::{self, Access, LARGEST};
use crate::loading::{ReadFile, Snapshot};
use crate::sys::entry::Entry;

pub use super::manifest::{Generation, Kept};

/// So many stay.
pub const KEPT: usize = 20;

/// The directory below the state.
const DIRECTORY: &str = "generations";
/// In it, the contents.
const FILES: &str = "files";
/// Octets of a page that are read: ten thousand files of long names.
const LARGEST_PAGE: u64 = 4 << 20;
/// A content that no page names stays for so many seconds, because whoever wrote it may be about to write the page.
const UNNAMED: i64 = 3600;

/// In the directory too: who writes has it locked.
const LOCK: &str = "lock";

/// Nobody else writes.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "it is unlocked when it is closed")] Flock<File>);

/// The generations below one directory.
#[derive(Debug)]
pub struct Generations {
    directory: PathBuf,
}

impl Generations {
    pub fn below(state: &Path) -> Generations {
        Generations {
            directory: state.join(DIRECTORY),
        }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// All of them, the oldest first; none if nothing was ever kept. A page that is not whole, or not ours, is left out.
    pub fn all(&self) -> io::Result<Vec<Generation>> {
        let names = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            names => names?,
        };
        let mut all = Vec::new();
        for name in names {
            let name = name?.file_name();
            let number = name.to_str().and_then(|name| name.parse::<u64>().ok());
            let Some(number) = number else { continue };
            let page = Entry::of(&self.page(number))
                .and_then(|place| files::read_held(&place, LARGEST_PAGE, Access::Owner));
            let read = page.ok().as_deref().and_then(Generation::read);
            all.extend(read.filter(|one| one.first == number));
        }
        all.sort_by_key(|one| one.first);
        Ok(all)
    }

    /// The number after all those that are kept, and at least this one.
    pub fn next(&self, least: u64) -> u64 {
        let all = self.all().unwrap_or_default();
        let last = all.iter().map(|one| one.last).max();
        last.map_or(least, |last| least.max(last.saturating_add(1)))
    }

    /// Makes the directories, and waits until nobody else writes to them. Held until it is dropped.
    pub fn lock(&self) -> io::Result<Lock> {
        if let Some(state) = self.directory.parent() {
            Entry::of(state)?.make_directory(0o755, None)?;
        }
        Entry::of(&self.directory)?.make_directory(0o700, None)?;
        Entry::of(&self.directory.join(FILES))?.make_directory(0o700, None)?;
        let place = Entry::of(&self.directory.join(LOCK))?;
        let file = place.open_or_make(OFlag::O_RDWR, 0o600)?;
        let locked = Flock::lock(file, FlockArg::LockExclusive);
        Ok(Lock(locked.map_err(|(_, error)| error)?))
    }

    /// Puts all files on disk and says how they would be described; nothing is kept before [`Generations::keep`].
    pub fn stage(
        &self,
        snapshot: &Snapshot,
        path: &Path,
        hash: &str,
        now: i64,
    ) -> io::Result<Generation> {
        let mut files = Vec::new();
        for read in &snapshot.0 {
            let digest = digest_of(&read.content);
            self.put(&digest, &read.content, now)?;
            files.push(Kept {
                path: read.path.clone(),
                digest,
                octets: read.content.len() as u64,
                owner: read.owner,
                is_secret: read.is_secret,
            });
        }
        Ok(Generation {
            hash: hash.to_string(),
            path: path.to_path_buf(),
            was_in_force: true,
            files,
            ..Generation::default()
        })
    }

    /// Keeps one under that number, or under the next one that is free. If it is like the one before, that one gets the number
    /// too. Returns the number.
    pub fn keep(&self, staged: Generation, number: u64, now: i64) -> io::Result<u64> {
        let mut all = self.all()?;
        let number = self.next(number);
        let before = all
            .last()
            .filter(|before| before.is_like(&staged) && before.was_in_force == staged.was_in_force);
        let kept = match before {
            Some(before) => Generation {
                last: number,
                again: now,
                hash: staged.hash,
                files: staged.files,
                ..before.clone()
            },
            None => Generation {
                first: number,
                last: number,
                since: now,
                again: now,
                ..staged
            },
        };
        for file in &kept.files {
            Entry::of(&self.content_of(&file.digest))?.facts()?;
        }
        let page = Entry::of(&self.page(kept.first))?;
        page.write_whole(kept.write().as_bytes(), 0o600, true)?;
        all.retain(|one| one.first != kept.first);
        all.push(kept);
        self.forget(&all, now);
        Ok(number)
    }

    /// What was in a file.
    pub fn content(&self, file: &Kept) -> io::Result<Vec<u8>> {
        let path = self.content_of(&file.digest);
        let content = files::read_held(&Entry::of(&path)?, LARGEST, Access::Owner)?;
        if digest_of(&content) != file.digest {
            let why = format!("{} is damaged", path.display());
            return Err(io::Error::new(ErrorKind::InvalidData, why));
        }
        Ok(content)
    }

    /// All its files, as they were read.
    pub fn snapshot(&self, generation: &Generation) -> io::Result<Snapshot> {
        let read = |file: &Kept| {
            Ok(ReadFile {
                path: file.path.clone(),
                content: self.content(file)?,
                owner: file.owner,
                is_secret: file.is_secret,
            })
        };
        let files: io::Result<Vec<_>> = generation.files.iter().map(read).collect();
        Ok(Snapshot(files?))
    }

    fn page(&self, number: u64) -> PathBuf {
        self.directory.join(number.to_string())
    }

    fn content_of(&self, digest: &str) -> PathBuf {
        self.directory.join(FILES).join(digest)
    }

    fn put(&self, digest: &str, content: &[u8], now: i64) -> io::Result<()> {
        let place = Entry::of(&self.content_of(digest))?;
        if files::read_held(&place, LARGEST, Access::Owner).is_ok_and(|there| there == content) {
            // It may be one that nobody named for long.
            let now = TimeSpec::new(now, 0);
            return Ok(futimens(place.open_to_read()?, &now, &now)?);
        }
        place.write_whole(content, 0o600, true)
    }

    /// Removes those that are too many, and contents that no page names any more.
    fn forget(&self, all: &[Generation], now: i64) {
        let (old, kept) = all.split_at(all.len().saturating_sub(KEPT));
        for one in old {
            remove(&self.page(one.first));
        }
        let is_named = |name: &str| {
            let mut files = kept.iter().flat_map(|one| &one.files);
            files.any(|file| file.digest == name)
        };
        let Ok(names) = fs::read_dir(self.directory.join(FILES)) else {
            return;
        };
        for name in names.flatten() {
            let place = Entry::of(&name.path());
            let modified = place
                .and_then(|place| place.facts())
                .map(|facts| facts.st_mtime);
            let is_young = modified.is_ok_and(|then| now.saturating_sub(then) < UNNAMED);
            let text = name.file_name();
            if !text.to_str().is_some_and(is_named) && !is_young {
                remove(&name.path());
            }
        }
    }
}

/// What a content is called by.
pub fn digest_of(content: &[u8]) -> String {
    Digest::of_octets(content).to_string()
}

/// What cannot be removed is tried again with the next one.
fn remove(path: &Path) {
    let _ = Entry::of(path).and_then(|place| place.remove());
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;
    use crate::files::Owner;

    fn snapshot(files: &[(&str, &str)]) -> Snapshot {
        let file = |(path, content): &(&str, &str)| ReadFile {
            path: PathBuf::from(path),
            content: content.as_bytes().to_vec(),
            owner: Owner::default(),
            is_secret: path.contains("secret"),
        };
        Snapshot(files.iter().map(file).collect())
    }

    fn keep(kept: &Generations, files: &[(&str, &str)], number: u64) -> u64 {
        // An hour and more apart, so that nothing is young.
        let now = 4_000_000_000 + (number as i64) * 2 * UNNAMED;
        let _lock = kept.lock().unwrap();
        let staged = kept.stage(&snapshot(files), Path::new("/m.toml"), "0a0b0c0d", now);
        kept.keep(staged.unwrap(), number, now).unwrap()
    }

    fn numbers(kept: &Generations) -> Vec<String> {
        kept.all()
            .unwrap()
            .iter()
            .map(Generation::numbers)
            .collect()
    }

    fn modes(directory: &Path) -> Vec<u32> {
        let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode() & 0o777;
        let below = fs::read_dir(directory).unwrap();
        below.map(|one| mode(&one.unwrap().path())).collect()
    }

    #[test]
    fn a_configuration_is_kept_once_for_as_long_as_it_stays_the_same() {
        let place = tempfile::tempdir().unwrap();
        let kept = Generations::below(place.path());
        assert_eq!((numbers(&kept), kept.next(1)), (vec![], 1));
        let (one, two) = ([("/m.toml", "a"), ("/secret", "s")], [("/m.toml", "b")]);
        assert_eq!(keep(&kept, &one, 1), 1);
        // A restart counts from 1 again.
        assert_eq!(keep(&kept, &one, 1), 2);
        assert_eq!(keep(&kept, &two, 5), 5);
        assert_eq!(keep(&kept, &one, 6), 6);
        assert_eq!(numbers(&kept), ["1-2", "5", "6"]);
        assert_eq!(kept.next(1), 7);
        let all = kept.all().unwrap();
        assert_eq!(kept.snapshot(&all[0]).unwrap(), snapshot(&one));
        let directory = kept.directory();
        assert_eq!(fs::metadata(directory).unwrap().mode() & 0o777, 0o700);
        assert!(
            modes(directory)
                .iter()
                .all(|mode| [0o600, 0o700].contains(mode))
        );
        assert_eq!(modes(&directory.join(FILES)), [0o600; 3]);
    }

    #[test]
    fn the_oldest_go_and_take_along_what_nobody_else_names() {
        let place = tempfile::tempdir().unwrap();
        let kept = Generations::below(place.path());
        for number in 1..=KEPT as u64 + 5 {
            keep(
                &kept,
                &[("/m.toml", &number.to_string()), ("/list", "long")],
                number,
            );
        }
        let all = kept.all().unwrap();
        assert_eq!((all.len(), all[0].first), (KEPT, 6));
        let contents = fs::read_dir(kept.directory().join(FILES)).unwrap();
        assert_eq!(contents.count(), KEPT + 1);
    }

    #[test]
    fn what_is_damaged_or_not_ours_is_not_believed() {
        let place = tempfile::tempdir().unwrap();
        let kept = Generations::below(place.path());
        keep(&kept, &[("/m.toml", "a")], 1);
        let page = kept.page(1);
        fs::copy(&page, kept.page(2)).unwrap();
        assert_eq!(numbers(&kept), ["1"], "the page of another number");
        fs::set_permissions(&page, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(numbers(&kept), [""; 0], "others may read it");
        fs::set_permissions(&page, fs::Permissions::from_mode(0o600)).unwrap();
        let all = kept.all().unwrap();
        let content = kept.content_of(&all[0].files[0].digest);
        fs::write(&content, "b").unwrap();
        assert!(kept.snapshot(&all[0]).is_err());
        // Written anew, it is whole.
        keep(&kept, &[("/m.toml", "a")], 2);
        assert!(kept.snapshot(&all[0]).is_ok());
        fs::remove_file(&content).unwrap();
        let staged = Generation {
            files: all[0].files.clone(),
            ..Generation::default()
        };
        assert!(kept.keep(staged, 3, 0).is_err());
    }
}
