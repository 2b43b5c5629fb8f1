//! What a machine may find on its disk when the power failed: a model of a file system that keeps what was forced to disk, and of the
//! rest whatever it likes.
//!
//! - What a file held at its last fsync(2) stays. Of what was changed since, all may be there, or none, or half, or zeros of the
//!   right length (as where the length was written before the blocks).
//!   What stood before what was appended stays.
//! - Of the names, what a directory held at its last fsync(2) stays. Each change since may be there or not, whatever became of
//!   the others. A name that is replaced is the old one or the new one. A renaming is one change, also where it is from one directory to
//!   another, and is there when either was forced to disk.
//! - fsync(2) of a file says nothing of its name, and that of a directory nothing of what is in the files.
//!
//! No file system that Linux has in use is as bad; POSIX lets one be.
//!
//! Must never: keep something that nobody forced to disk in all that may be left.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::trace::{Event, Facts, Node, Place, Recording};

/// What may be left: each path with its content; `None` = a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Left(BTreeMap<PathBuf, File>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct File {
    mode: u32,
    inode: u64,
    content: Option<Vec<u8>>,
}

impl Left {
    /// Makes it real below a directory that is there and empty. Returns what the number of each inode was, by what it is.
    pub fn write(&self, root: &Path) -> HashMap<u64, u64> {
        let mut made: HashMap<u64, PathBuf> = HashMap::new();
        let mut numbers = HashMap::new();
        for (path, file) in &self.0 {
            let path = root.join(path);
            match (&file.content, made.get(&file.inode)) {
                (None, _) => fs::create_dir(&path).expect("a directory"),
                (Some(_), Some(other)) => {
                    fs::hard_link(other, &path).expect("a second name");
                    continue;
                }
                (Some(content), None) => {
                    fs::write(&path, content).expect("a file");
                    made.insert(file.inode, path.clone());
                }
            }
            fs::set_permissions(&path, Permissions::from_mode(file.mode)).expect("its mode");
            let number = fs::metadata(&path).expect("what was just made").ino();
            numbers.insert(number, file.inode);
        }
        numbers
    }

    /// Files, without directories.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        self.0
            .iter()
            .filter_map(|(path, file)| Some((path.as_path(), file.content.as_deref()?)))
    }

    /// What is there now, but for the modes.
    pub fn is_at(&self, root: &Path) -> Result<(), String> {
        let mut found = BTreeMap::new();
        let mut stack = vec![root.to_path_buf()];
        while let Some(directory) = stack.pop() {
            for entry in fs::read_dir(directory).expect("a directory") {
                let path = entry.expect("an entry").path();
                let is_directory = path.is_dir();
                let content = (!is_directory).then(|| fs::read(&path).expect("a file"));
                let name = path.strip_prefix(root).expect("below").to_path_buf();
                found.insert(name, content);
                if is_directory {
                    stack.push(path);
                }
            }
        }
        let expected: BTreeMap<_, _> = self
            .0
            .iter()
            .map(|(path, file)| (path.clone(), file.content.clone()))
            .collect();
        match found == expected {
            true => Ok(()),
            false => Err(format!("recorded: {self}\nthere: {found:?}")),
        }
    }
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (path, file) in &self.0 {
            let what = match &file.content {
                None => "directory".into(),
                Some(content) if content.len() > 120 => format!("{} octets", content.len()),
                Some(content) => content.escape_ascii().to_string(),
            };
            write!(f, "\n  {}: {what}", path.display())?;
        }
        Ok(())
    }
}

/// A change of names that no directory of it was forced to disk after.
struct Change {
    number: usize,
    names: Vec<(Place, Option<Node>)>,
}

/// The disk at one moment.
#[derive(Default)]
struct Disk {
    /// What stands for sure, with the number of the change.
    names: BTreeMap<Place, (usize, Option<Node>)>,
    pending: Vec<Change>,
    synced: HashMap<Node, Vec<u8>>,
    /// Files whose content is not on disk.
    now: BTreeMap<Node, Vec<u8>>,
}

/// What becomes of a content that is not on disk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Before,
    Now,
    Half,
    Zeros,
}

const FATES: [Fate; 4] = [Fate::Before, Fate::Now, Fate::Half, Fate::Zeros];

impl Disk {
    fn after(events: &[Event]) -> Disk {
        let mut disk = Disk::default();
        for (number, event) in events.iter().enumerate() {
            match event {
                Event::Names(names) => disk.pending.push(Change {
                    number,
                    names: names.clone(),
                }),
                Event::Content(node, content) => {
                    disk.now.insert(*node, content.clone());
                }
                Event::Synced(node) => disk.sync(*node),
                Event::Told(_) => {}
            }
        }
        disk
    }

    fn sync(&mut self, node: Node) {
        if let Some(content) = self.now.remove(&node) {
            self.synced.insert(node, content);
        }
        let of_it = |change: &Change| {
            change
                .names
                .iter()
                .any(|((directory, _), _)| *directory == node)
        };
        let (done, pending) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(of_it);
        self.pending = pending;
        let done: Vec<Change> = done;
        for change in done {
            apply(&mut self.names, &change);
        }
    }

    fn left(&self, nodes: &[Facts], is_there: &dyn Fn(usize) -> bool, fate: Fate) -> Left {
        let mut names = self.names.clone();
        for (at, change) in self.pending.iter().enumerate() {
            if is_there(at) {
                apply(&mut names, change);
            }
        }
        let mut left = BTreeMap::new();
        let mut stack = vec![(0, PathBuf::new())];
        while let Some((directory, path)) = stack.pop() {
            let first = (directory, OsString::new());
            for ((_, name), (_, node)) in names
                .range(first..)
                .take_while(|((of, _), _)| *of == directory)
            {
                let Some(node) = *node else { continue };
                let path = path.join(name);
                let facts = nodes[node];
                let file = File {
                    mode: facts.mode,
                    // Two files may have had one number, one after the other.
                    inode: facts.inode,
                    content: (!facts.is_directory).then(|| self.content(node, fate)),
                };
                left.insert(path.clone(), file);
                if facts.is_directory {
                    stack.push((node, path));
                }
            }
        }
        Left(left)
    }

    fn content(&self, node: Node, fate: Fate) -> Vec<u8> {
        let before = self.synced.get(&node).cloned().unwrap_or_default();
        let Some(now) = self.now.get(&node) else {
            return before;
        };
        // What is only appended to is not put at risk.
        let kept = if now.starts_with(&before) {
            before.len()
        } else {
            0
        };
        let (kept, new) = now.split_at(kept);
        match fate {
            Fate::Before => before,
            Fate::Now => now.clone(),
            Fate::Half => [kept, &new[..new.len() / 2]].concat(),
            Fate::Zeros => [kept, &vec![0; new.len()]].concat(),
        }
    }
}

/// A later change of a name stands.
fn apply(names: &mut BTreeMap<Place, (usize, Option<Node>)>, change: &Change) {
    for (place, node) in &change.names {
        let is_later = names
            .get(place)
            .is_none_or(|(number, _)| *number < change.number);
        if is_later {
            names.insert(place.clone(), (change.number, *node));
        }
    }
}

/// Of so many changes, the first ones, each two are tried that came to the disk alone.
const MOST_PAIRED: usize = 6;

/// All that a crash before the event of that number may leave.
pub fn after_crash(recording: &Recording, at: usize) -> BTreeSet<Left> {
    let disk = Disk::after(&recording.events[..at]);
    let pending = disk.pending.len();
    let mut all = BTreeSet::new();
    for fate in FATES {
        let mut add = |is_there: &dyn Fn(usize) -> bool| {
            all.insert(disk.left(&recording.nodes, is_there, fate));
        };
        add(&|_| false);
        add(&|_| true);
        for one in 0..pending {
            add(&|change| change == one);
            add(&|change| change != one);
            // As a journal is cut off.
            add(&|change| change < one);
        }
        for one in 0..pending.min(MOST_PAIRED) {
            for other in 0..one {
                add(&|change| change == one || change == other);
            }
        }
    }
    all
}

/// What is there when nothing is lost.
pub fn whole(recording: &Recording) -> Left {
    let disk = Disk::after(&recording.events);
    disk.left(&recording.nodes, &|_| true, Fate::Now)
}
