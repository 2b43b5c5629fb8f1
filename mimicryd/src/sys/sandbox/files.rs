//! Files, ports and sockets by landlock: everything is refused but what a rule allows.
//!
//! A right is named here or it is not given; what a newer kernel could refuse besides is left alone, so that a new kernel never breaks
//! a service that ran: connecting to sockets with a path (syslog, LMTP) and datagrams are such rights. A rule belongs to the
//! file or directory that is found when it is made; another one that takes its name later is out of reach.
//!
//! Must never: allow a file to be executed, or a device, a socket or a link to be made.
//!
//! Known limits: landlock does not keep anybody from asking whether a file is there, from changing mode, owner or times of a file that
//! is the user's, or from what is open already.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;

use landlock::{
    Access as _, AccessFs, AccessNet, BitFlags, NetPort, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope, make_bitflags,
};

/// A file, or a directory with all that is in it, and what may be done there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    pub path: PathBuf,
    pub rights: Rights,
}

/// What may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Files are read, directories are listed.
    Read,
    /// Files are made and written to: for logs, which nobody reads here, cuts short or takes away.
    Log,
    /// Files and directories are made, read, changed, renamed and taken away.
    Keep,
}

impl Rights {
    fn access(self) -> BitFlags<AccessFs> {
        let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
        match self {
            Rights::Read => read,
            Rights::Log => make_bitflags!(AccessFs::{WriteFile | MakeReg}),
            Rights::Keep => {
                read | make_bitflags!(AccessFs::{
                    WriteFile | Truncate | MakeReg | MakeDir | RemoveFile | RemoveDir | Refer
                })
            }
        }
    }
}

/// Those that mean something for a file that is no directory; the kernel refuses a rule with others.
const OF_A_FILE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | WriteFile | Truncate});

/// Everything that is refused where no rule allows it: named, so that it does not grow with the kernel.
fn handled() -> BitFlags<AccessFs> {
    // All of the first version, executing and making sockets, devices and links among them.
    AccessFs::from_all(landlock::ABI::V1) | AccessFs::Refer | AccessFs::Truncate
}

/// Restricts this process. What is not there is left out.
pub fn restrict(allowed: &[Allowed]) -> io::Result<()> {
    let mut rules = Ruleset::default()
        .handle_access(handled())
        .and_then(|rules| rules.handle_access(AccessNet::BindTcp))
        .and_then(|rules| rules.scope(Scope::Signal | Scope::AbstractUnixSocket))
        .and_then(Ruleset::create)
        .map_err(failed)?;
    for one in allowed {
        let found = std::fs::metadata(&one.path).ok();
        let place = PathFd::new(&one.path).ok();
        let (Some(found), Some(place)) = (found, place) else {
            continue;
        };
        let access = match found.is_dir() {
            true => one.rights.access(),
            false => one.rights.access() & OF_A_FILE,
        };
        rules = rules
            .add_rule(PathBeneath::new(place, access))
            .map_err(failed)?;
    }
    // Any free port: the greeter listens on loopback for a moment.
    rules
        .add_rule(NetPort::new(0, AccessNet::BindTcp))
        .and_then(landlock::RulesetCreated::restrict_self)
        .map_err(failed)?;
    Ok(())
}

fn failed(error: impl Display) -> io::Error {
    io::Error::other(format!("landlock: {error}"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::path::Path;

    use super::*;

    // T153
    #[test]
    fn nothing_is_executed_and_no_device_socket_or_link_is_made() {
        let never = make_bitflags!(AccessFs::{
            Execute | MakeChar | MakeBlock | MakeSock | MakeFifo | MakeSym
        });
        assert!(handled().contains(never));
        for rights in [Rights::Read, Rights::Log, Rights::Keep] {
            let access = rights.access();
            assert!(!access.intersects(never), "{rights:?}");
            assert!(handled().contains(access), "{rights:?}");
            assert!(!(access & OF_A_FILE).is_empty(), "{rights:?}");
        }
        let changes = handled() & !(never | AccessFs::ReadFile | AccessFs::ReadDir);
        assert!(!Rights::Read.access().intersects(changes));
        assert!(Rights::Keep.access().contains(changes));
        // Who may write to a log need not read what others wrote there, nor take it away.
        assert_eq!(Rights::Log.access() & changes, Rights::Log.access());
        assert!(
            !Rights::Log
                .access()
                .intersects(AccessFs::Truncate | AccessFs::RemoveFile)
        );
    }

    // T153
    #[test]
    fn what_is_allowed_is_done_and_nothing_else() {
        const NAMES: [&str; 4] = ["read", "log", "keep", "other"];
        type Act = fn(&Path) -> io::Result<()>;
        let kernel = crate::sys::sandbox::Kernel::probe();
        if !kernel.guards_files() {
            // What such a kernel leaves open is said by status; see t/breach.rs.
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        for name in NAMES {
            fs::create_dir(path(name)).unwrap();
            fs::write(path(name).join("old"), "old").unwrap();
        }
        fs::write(path("lone"), "lone").unwrap();
        let tool = path("keep").join("tool");
        fs::copy("/bin/true", &tool).unwrap();
        execute(&tool).unwrap();
        let allowed = [
            ("read", Rights::Read),
            ("log", Rights::Log),
            ("keep", Rights::Keep),
            ("lone", Rights::Read),
            ("none", Rights::Keep),
        ];
        let allowed = allowed.map(|(name, rights)| Allowed {
            path: path(name),
            rights,
        });
        let (yes, no) = (true, false);
        // Nobody can forbid it before the third version.
        let cuts = kernel.landlock < 3;
        let acts: [(&str, Act, [bool; 4]); 9] = [
            ("list", list, [yes, no, yes, no]),
            ("read", read, [yes, no, yes, no]),
            ("append", |at| append(&at.join("old")), [no, yes, yes, no]),
            (
                "cut",
                |at| fs::write(at.join("old"), ""),
                [no, cuts, yes, no],
            ),
            ("make", |at| append(&at.join("new")), [no, yes, yes, no]),
            ("rename", |at| rename(at, "old", "moved"), [no, no, yes, no]),
            (
                "remove",
                |at| fs::remove_file(at.join("new")),
                [no, no, yes, no],
            ),
            (
                "folder",
                |at| fs::create_dir(at.join("f")),
                [no, no, yes, no],
            ),
            (
                "into it",
                |at| rename(at, "moved", "f/it"),
                [no, no, yes, no],
            ),
        ];
        let confined = || {
            restrict(&allowed).unwrap();
            for (what, act, sound) in acts {
                for (name, sound) in NAMES.into_iter().zip(sound) {
                    let done = act(&path(name));
                    assert_eq!(done.is_ok(), sound, "{what} in {name}: {done:?}");
                }
            }
            assert!(fs::read(path("lone")).is_ok());
            assert!(append(&path("lone")).is_err());
            let refused = execute(&tool).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        };
        std::thread::scope(|scope| scope.spawn(confined).join().unwrap());
    }

    fn list(at: &Path) -> io::Result<()> {
        fs::read_dir(at).map(drop)
    }

    fn read(at: &Path) -> io::Result<()> {
        fs::read(at.join("old")).map(drop)
    }

    fn rename(at: &Path, old: &str, new: &str) -> io::Result<()> {
        fs::rename(at.join(old), at.join(new))
    }

    fn append(path: &Path) -> io::Result<()> {
        let mut file = fs::File::options().append(true).create(true).open(path)?;
        file.write_all(b"x")
    }

    fn execute(path: &Path) -> io::Result<()> {
        std::process::Command::new(path).status().map(drop)
    }
}
