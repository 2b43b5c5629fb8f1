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

/// Restricts this process. Returns those that are not there.
pub fn restrict(allowed: &[Allowed]) -> io::Result<Vec<Allowed>> {
    let mut rules = Ruleset::default()
        .handle_access(handled())
        .and_then(|rules| rules.handle_access(AccessNet::BindTcp))
        .and_then(|rules| rules.scope(Scope::Signal | Scope::AbstractUnixSocket))
        .and_then(Ruleset::create)
        .map_err(failed)?;
    let mut missing = Vec::new();
    for one in allowed {
        let found = std::fs::metadata(&one.path).ok();
        let place = PathFd::new(&one.path).ok();
        let (Some(found), Some(place)) = (found, place) else {
            missing.push(one.clone());
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
    Ok(missing)
}

fn failed(error: impl Display) -> io::Error {
    io::Error::other(format!("landlock: {error}"))
}

#[cfg(test)]
mod tests {
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
}
