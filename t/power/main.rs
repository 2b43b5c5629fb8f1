//! What the power may leave on disk: whatever the daemon was writing when it failed, each thing is whole or not there, and what
//! somebody was told is there.
//!
//! Each store is used as the daemon uses it while its system calls are recorded ([`trace`]). For each moment of the recording, all that a
//! bad file system may have kept by then ([`disk`]) is made real, and opened and used by the program's own readers ([`stores`], [`archive`]).
//!
//! It is a test without the harness of cargo, because what is traced answers to one thread alone. `cargo test --test power NAME` runs the
//! stores with these words in their names.
//!
//! Known limits: processes that write at once are not recorded, and no file system is asked whether it forces to disk what it is told to.
//!
//! Must never: need root, or take a loss for allowed because it is unlikely.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use stores::{Crashed, STORES, Store};
use trace::Event;

mod archive;
mod disk;
mod stores;
mod trace;

/// Before the name of a store: this process is the one that is traced.
const TRACED: &str = "traced:";

fn main() {
    let mut args = std::env::args().skip(1);
    let first = args.next().unwrap_or_default();
    if let Some(name) = first.strip_prefix(TRACED) {
        let root = args.next().expect("a directory");
        return traced(name, Path::new(&root));
    }
    let words = if first.starts_with('-') {
        ""
    } else {
        first.as_str()
    };
    let mut failed = 0;
    for store in STORES.iter().filter(|store| store.name.contains(words)) {
        match what_the_power_leaves_is_whole(store) {
            Ok(report) => println!("{}: {report}", store.name),
            Err(error) => {
                println!("{}: {error}", store.name);
                failed += 1;
            }
        }
    }
    assert_eq!(failed, 0, "stores that lose or break something");
    println!("test result: ok.");
}

/// Waits to be traced, then uses the store.
fn traced(name: &str, root: &Path) {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("a word");
    let store = STORES.iter().find(|store| store.name == name);
    (store.expect("a store of that name").act)(root);
}

// T145, T158, T159, T160
fn what_the_power_leaves_is_whole(store: &Store) -> Result<String, String> {
    let place = Place::new();
    let root = place.fresh("recorded");
    (store.before)(&root);
    let name = format!("{TRACED}{}", store.name);
    let recording = trace::record(&[OsStr::new(&name), root.as_os_str()], &root);
    let whole = disk::whole(&recording);
    whole
        .is_at(&root)
        .map_err(|error| format!("the recording is not what happened\n{error}"))?;
    let mut seen = BTreeSet::new();
    let first = recording.begins_at();
    for at in first..=recording.events.len() {
        let told: Vec<String> = recording.events[..at]
            .iter()
            .filter_map(|event| match event {
                Event::Told(what) => Some(what.clone()),
                _ => None,
            })
            .collect();
        for left in disk::after_crash(&recording, at) {
            if !seen.insert((told.len(), left.clone())) {
                continue;
            }
            let root = place.fresh("left");
            let numbers = left.write(&root);
            archive::renumber(&root, &numbers);
            let crashed = Crashed {
                root: &root,
                told: &told,
                whole: &whole,
            };
            (store.check)(&crashed).map_err(|error| {
                let last = recording.events[..at].iter().rev().take(6);
                let last: Vec<String> = last.map(|event| format!("\n  {event:?}")).collect();
                format!(
                    "{error}\nafter {told:?}, left at {at} of {}:{left}\nthe last calls, backwards:{}",
                    recording.events.len(),
                    last.concat()
                )
            })?;
        }
    }
    let events = recording.events.len() - first;
    let cases = seen.len();
    Ok(format!(
        "{events} calls, {cases} states of the disk, each whole"
    ))
}

/// A directory for the test, in memory where there is one: nothing here depends on the disk.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        let name = format!("mimicry-power-{}", std::process::id());
        let paths = [
            Path::new("/dev/shm").join(&name),
            std::env::temp_dir().join(&name),
        ];
        let made = paths.into_iter().find(|path| fs::create_dir(path).is_ok());
        Place(made.expect("a directory"))
    }

    /// An empty directory of that name.
    fn fresh(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        if path.exists() {
            fs::remove_dir_all(&path).expect("our own directory");
        }
        fs::create_dir(&path).expect("a directory");
        fs::set_permissions(&path, Permissions::from_mode(0o700)).expect("our own directory");
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
