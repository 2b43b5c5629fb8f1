//! Directories, and files that grow, whose names this process has forced to disk: known by device and inode.
//!
//! Must never: be asked for anything but whether to do it again.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use mimicry_core::known::Known;

static FORCED: Known<(u64, u64)> = Known::new();

/// Does this for what is open, unless it was done before and went well.
pub fn once<E>(open: &File, force: impl FnOnce() -> Result<(), E>) -> io::Result<Result<(), E>> {
    let facts = open.metadata()?;
    let id = (facts.dev(), facts.ino());
    if FORCED.has(&id) {
        return Ok(Ok(()));
    }
    let done = force();
    if done.is_ok() {
        FORCED.add(id);
    }
    Ok(done)
}
