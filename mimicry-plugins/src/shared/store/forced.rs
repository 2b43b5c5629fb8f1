//! Directories, and files that grow, whose names this process has forced to disk: known by device and inode.
//!
//! Must never: be asked for anything but whether to do it again.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, PoisonError};

static FORCED: Mutex<Option<HashSet<(u64, u64)>>> = Mutex::new(None);

/// So many are remembered; more are forced again.
const MOST: usize = 1000;

/// Does this for what is open, unless it was done before and went well.
pub fn once<E>(open: &File, force: impl FnOnce() -> Result<(), E>) -> io::Result<Result<(), E>> {
    let facts = open.metadata()?;
    let id = (facts.dev(), facts.ino());
    let mut forced = FORCED.lock().unwrap_or_else(PoisonError::into_inner);
    let ids = forced.get_or_insert_default();
    if ids.contains(&id) {
        return Ok(Ok(()));
    }
    let done = force();
    if done.is_ok() {
        if ids.len() >= MOST {
            ids.clear();
        }
        ids.insert(id);
    }
    Ok(done)
}
