//! The way to a file, directory by directory: each one is held open and judged while the next name is looked for in it.
//!
//! Whoever can replace one directory of a path decides which file is at its end, however well that file is protected.
//! So every directory from / on counts, also those that a link leads through, and the links themselves.
//!
//! Must never: use a path again after it was judged; the object that is opened is the one that was judged.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat};

use super::accounts::{group_name, user_name};
use super::guard::{self, Facts, Writers};

/// Links on one way, as many as the kernel follows.
const LINKS: usize = 40;

/// A directory for its descriptor alone.
pub const DIRECTORY: OFlag = OFlag::O_PATH
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);

/// What happens to a link at the end of the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    Followed,
    Kept,
}

/// A name that is looked for in a directory.
#[derive(Debug)]
pub struct Step<'s> {
    /// As it was come to.
    pub path: &'s Path,
    pub directory: &'s Facts,
    pub name: &'s OsStr,
    /// What stands there; `None` = nothing.
    pub entry: Option<&'s FileStat>,
    /// It is the end of the way.
    pub is_last: bool,
}

/// A name in a directory that is held open.
#[derive(Debug)]
pub struct Found {
    pub directory: OwnedFd,
    pub name: OsString,
}

/// Somebody else who can replace what stands on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposed {
    /// `DIRECTORY, which belongs to USER, who can replace it`.
    pub what: String,
    pub remedy: String,
}

/// Walks to the end of a path. An error of `visit` ends it.
pub fn walk(
    path: &Path,
    last: Last,
    visit: &mut dyn FnMut(&Step<'_>) -> io::Result<()>,
) -> io::Result<Found> {
    let root = Path::new("/");
    let start = if path.is_absolute() { "/" } else { "." };
    let mut here = open(start, DIRECTORY, Mode::empty())?;
    let mut shown = PathBuf::from(start);
    let mut rest = components(path);
    let mut links: usize = 0;
    while let Some(name) = rest.pop() {
        let directory = Facts::of(&here)?;
        let entry = match fstatat(&here, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(entry) => Some(entry),
            Err(Errno::ENOENT) => None,
            Err(error) => return Err(error.into()),
        };
        let is_link = entry
            .as_ref()
            .is_some_and(|entry| kind(entry) == SFlag::S_IFLNK);
        let is_last = rest.is_empty() && (last == Last::Kept || !is_link);
        visit(&Step {
            path: &shown,
            directory: &directory,
            name: &name,
            entry: entry.as_ref(),
            is_last,
        })?;
        if is_last {
            return Ok(Found {
                directory: here,
                name,
            });
        }
        if entry.is_none() {
            return Err(Errno::ENOENT.into());
        }
        if is_link {
            links = links.saturating_add(1);
            if links > LINKS {
                return Err(Errno::ELOOP.into());
            }
            let target = PathBuf::from(readlinkat(&here, name.as_os_str())?);
            if target.is_absolute() {
                here = open(root, DIRECTORY, Mode::empty())?;
                shown = root.into();
            }
            rest.extend(components(&target));
            continue;
        }
        here = openat(&here, name.as_os_str(), DIRECTORY, Mode::empty())?;
        shown = if start == "." && shown == Path::new(".") {
            name.into()
        } else {
            shown.join(name)
        };
    }
    // Such as `/`, or a link to it.
    Err(Errno::EISDIR.into())
}

/// The names on the way, the last one first.
fn components(path: &Path) -> Vec<OsString> {
    let step = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_os_string()),
        Component::ParentDir => Some(OsString::from("..")),
        _ => None,
    };
    path.components().rev().filter_map(step).collect()
}

pub fn kind(facts: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(facts.st_mode) & SFlag::S_IFMT
}

/// Can nobody else take away, or put another thing in the place of, what root or this user has in this directory.
pub fn keeps(directory: &Facts) -> bool {
    guard::is_private(directory)
        || (guard::is_trusted(directory.stat.st_uid) && guard::is_sticky(directory))
}

impl Step<'_> {
    /// Who else can put another thing in the place of the entry, if anybody. In a sticky directory that is its owner alone, whom the
    /// next step judges; a link has none.
    pub fn exposed(&self) -> Option<Exposed> {
        let (shown, facts) = (self.path.display(), self.directory);
        let exposed = |what: String, remedy: String| Some(Exposed { what, remedy });
        if !guard::is_trusted(facts.stat.st_uid) {
            let owner = user_name(facts.stat.st_uid);
            return exposed(
                format!("{shown}, which belongs to {owner}, who can replace it"),
                format!("chown {shown} to root, or to the user who starts mimicryd"),
            );
        }
        if guard::is_sticky(facts) {
            let link = self.entry.filter(|entry| kind(entry) == SFlag::S_IFLNK);
            let link = link.filter(|link| !guard::is_trusted(link.st_uid))?;
            let owner = user_name(link.st_uid);
            return exposed(
                format!(
                    "{shown}, where {} is a link that belongs to {owner}, who can replace it",
                    self.name.display()
                ),
                "name the file that the link leads to".into(),
            );
        }
        match guard::writers(facts) {
            Writers::Nobody => None,
            Writers::Everybody => exposed(
                format!("{shown}, where everybody can replace it"),
                format!("chmod go-w {shown}"),
            ),
            Writers::Group => exposed(
                format!(
                    "{shown}, where others of the group {} can replace it",
                    group_name(facts.stat.st_gid)
                ),
                format!("chmod g-w {shown}"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::guard::tests::facts;
    use super::*;

    const STRANGER: u32 = 4_294_967_294;

    // T189: whichever directory of the way it is
    // man: mimicryd(8) "Each directory on the way to such a file, from / on, must belong to root or to this user, and nobody else may
    // write to it, unless it is sticky as /tmp is"
    #[test]
    fn who_can_replace_what_stands_in_a_directory() {
        let (file, link) = (SFlag::S_IFREG.bits(), SFlag::S_IFLNK.bits());
        for (owner, group, mode, entry, expected) in [
            (0, 0, 0o755, facts(0, 0, file), ""),
            (
                STRANGER,
                0,
                0o755,
                facts(0, 0, file),
                "belongs to 4294967294",
            ),
            // The sticky bit keeps nothing from the owner of the directory.
            (
                STRANGER,
                0,
                0o1755,
                facts(0, 0, file),
                "belongs to 4294967294",
            ),
            (0, 0, 0o777, facts(0, 0, file), "everybody"),
            (0, 0, 0o1777, facts(0, 0, file), ""),
            (0, 0, 0o1777, facts(0, 0, link), ""),
            (
                0,
                0,
                0o1777,
                facts(STRANGER, 0, link),
                "is a link that belongs to 4294967294",
            ),
            // It says who he is when it is looked into.
            (0, 0, 0o1777, facts(STRANGER, 0, file), ""),
            (
                0,
                STRANGER,
                0o775,
                facts(0, 0, file),
                "others of the group 4294967294",
            ),
            (0, STRANGER, 0o1775, facts(0, 0, file), ""),
            (0, STRANGER, 0o755, facts(0, 0, file), ""),
        ] {
            for is_last in [false, true] {
                let step = Step {
                    path: Path::new("/x"),
                    directory: &facts(owner, group, mode),
                    name: OsStr::new("y"),
                    entry: Some(&entry.stat),
                    is_last,
                };
                let said = step.exposed().map_or(String::new(), |exposed| exposed.what);
                let as_expected = said.is_empty() == expected.is_empty() && said.contains(expected);
                assert!(as_expected, "{owner} {group} {mode:o}: {said}");
            }
        }
    }

    #[test]
    fn every_directory_is_visited() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::create_dir(root.join("c")).unwrap();
        std::fs::write(root.join("a/b/file"), "").unwrap();
        std::os::unix::fs::symlink(root.join("a"), root.join("c/to-a")).unwrap();
        std::os::unix::fs::symlink("../c/to-a/b/../b/file", root.join("c/to-file")).unwrap();
        let mut seen = Vec::new();
        let path = root.join("c/to-file");
        let found = walk(&path, Last::Followed, &mut |step| {
            seen.push(step.path.join(step.name));
            Ok(())
        });
        assert_eq!(found.unwrap().name, "file");
        let seen: Vec<String> = seen
            .iter()
            .filter_map(|path| path.strip_prefix(&root).ok())
            .map(|path| path.display().to_string())
            .filter(|path| !path.is_empty())
            .collect();
        let expected = "c c/to-file c/.. c/../c c/../c/to-a a a/b a/b/.. a/b/../b a/b/../b/file";
        assert_eq!(seen.join(" "), expected);
        let kept = walk(&path, Last::Kept, &mut |_| Ok(())).unwrap();
        assert_eq!(kept.name, "to-file");
        assert!(walk(Path::new("/"), Last::Kept, &mut |_| Ok(())).is_err());
        assert!(walk(&root.join("no/file"), Last::Kept, &mut |_| Ok(())).is_err());
    }
}
