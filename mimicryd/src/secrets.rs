//! Files that hold a secret: read once, in the master, and only if nobody else may have them.
//!
//! Must never: show what is in one.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Who may have access to a file beside root.
#[derive(Clone, Copy, Debug)]
pub enum Access {
    Owner,
    /// Its group may read it, as Debian's ssl-cert does.
    Group,
}

/// At most so many octets of it. An error is what is wrong, without the name of the file.
pub fn read(path: &Path, octets: u64, access: Access) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mode = file.metadata().map_err(|error| error.to_string())?.mode() & 0o7777;
    match access {
        Access::Owner if mode & 0o077 != 0 => {
            return Err(format!(
                "others than its owner may read or change it (mode {mode:04o}); chmod 600"
            ));
        }
        Access::Group if mode & 0o027 != 0 => {
            return Err(format!(
                "others may read it, or its group may change it (mode {mode:04o}); chmod 640"
            ));
        }
        Access::Owner | Access::Group => {}
    }
    let mut text = Vec::new();
    file.take(octets)
        .read_to_end(&mut text)
        .map_err(|error| error.to_string())?;
    Ok(text)
}
