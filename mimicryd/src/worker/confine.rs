//! How a worker gives up what it does not need, between its birth and its first client, and how it finds out that this was too much.
//!
//! The kernel knows the directories that a worker may write to as objects, not by name. One that is replaced, or mounted, while a worker
//! lives is out of its reach: then the worker retires after its session, and the next one knows the new directory.
//!
//! Must never: go on after a failure where the sandbox is required.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use mimicry_core::config::Config;
use mimicry_core::settings::words::Sandbox;

use super::needs;
use crate::relay::maildir::Maildir;
use crate::sys::entry::Id;
use crate::sys::privileges;
use crate::sys::sandbox::{self, Rights, Who};

/// What a worker may write to.
#[derive(Debug, Default)]
pub struct Ground {
    /// Each directory with what was there when the worker was confined.
    kept: Vec<(PathBuf, Option<Id>)>,
}

/// Gives up all of the machine that no mail needs. What is made at birth is made by now, and no client was heard yet.
pub fn confine(config: &Config) -> Result<Ground, String> {
    let bounds = needs::bounds(config);
    privileges::bound(bounds.memory, bounds.descriptors)
        .map_err(|error| format!("cannot bound memory and descriptors: {error}"))?;
    if config.daemon.sandbox == Sandbox::Off {
        return Ok(Ground::default());
    }
    for path in needs::maildirs(config) {
        // Later it could not be made. What is in its way now is said to the first mail.
        let _ = Maildir::open(&path);
    }
    let files = needs::files(config);
    let kept = files.iter().filter(|one| one.rights == Rights::Keep);
    let ground = Ground {
        kept: kept.map(|one| (one.path.clone(), id(&one.path))).collect(),
    };
    match sandbox::enter(Who::Worker, &files) {
        Ok(()) => Ok(ground),
        Err(error) if config.daemon.sandbox == Sandbox::Try => {
            log::warn!("the sandbox of this worker is not whole: {error}");
            Ok(ground)
        }
        Err(error) => Err(format!("cannot enter the sandbox: {error}")),
    }
}

impl Ground {
    /// Is each directory still the one that it was? Says so if not.
    pub fn stands(&self) -> bool {
        let moved = self.kept.iter().find(|(path, before)| id(path) != *before);
        if let Some((path, _)) = moved {
            log::info!(
                "{} is not what it was when this worker began, which cannot write to another one: it is replaced",
                path.display()
            );
        }
        moved.is_none()
    }
}

fn id(path: &Path) -> Option<Id> {
    let facts = std::fs::metadata(path).ok()?;
    Some((facts.dev(), facts.ino()))
}
