//! Directories whose names are on disk, so that what is forced to disk in them is not lost with them.
//!
//! fsync(2) of a file, or of the directory that it is in, says nothing of the name of that directory. It stands in the one above, which
//! has to be forced to disk too: by whoever makes it, and, as that process may have been killed before it came to that, by each
//! process that finds it there, once.
//!
//! Must never: take a directory for safe because it can be seen.
//!
//! Known limits: what this user may not read, it cannot force to disk. A directory that was removed, and made again by another process,
//! counts as the one before.

#![forbid(unsafe_code)]

use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use mimicry_core::known::Known;

/// Directories whose names are on disk as far as this process can bring that about.
static SURE: Known<PathBuf> = Known::new();

/// Makes a directory with this mode, and those above it that are missing.
pub fn make_directories(path: &Path, mode: u32) -> io::Result<()> {
    if SURE.has(&path.to_path_buf()) && path.is_dir() {
        return Ok(());
    }
    let parent = path.parent();
    if let Some(parent) = parent.filter(|parent| !parent.as_os_str().is_empty()) {
        make_directories(parent, mode)?;
    }
    let is_new = !path.is_dir();
    if is_new {
        match DirBuilder::new().mode(mode).create(path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => {}
            Err(error) => return Err(error),
        }
    }
    let above = match parent {
        // The root stands in nothing.
        None => return Ok(()),
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
    };
    match File::open(above).and_then(|directory| directory.sync_all()) {
        Err(error) if is_new && error.kind() != ErrorKind::PermissionDenied => Err(error),
        // One that was there before may stand where nothing can be forced to disk, and need not.
        _ => {
            SURE.add(path.to_path_buf());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn directories_are_made_and_made_again() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a/b/c");
        for _ in 0..2 {
            make_directories(&path, 0o700).unwrap();
            for made in ["a", "a/b", "a/b/c"] {
                let facts = fs::metadata(place.path().join(made)).unwrap();
                assert_eq!(facts.permissions().mode() & 0o777, 0o700, "{made}");
            }
            make_directories(&path, 0o700).unwrap();
            fs::remove_dir_all(place.path().join("a")).unwrap();
        }
        fs::write(place.path().join("a"), "").unwrap();
        assert!(make_directories(&path, 0o700).is_err());
    }
}
