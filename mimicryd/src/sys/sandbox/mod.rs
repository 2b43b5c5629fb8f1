//! What the kernel keeps a process from, beyond the rights of its user: files that it does not need ([`files`], by landlock),
//! and system calls that it does not need ([`calls`], by seccomp). Both last as long as the process, and cannot be loosened.
//!
//! Whom it is for decides which calls are refused besides: a worker accepts connections, a lookup of a name does not.
//!
//! Must never: be entered by the master, which forks, binds, and opens files for others; or kill: a refused call is an error that
//! the caller hears.

use std::io;

use nix::libc;

mod calls;
mod files;

pub use calls::Who;
pub use files::{Allowed, Rights};

/// What the kernel at hand can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// The version of landlock; 0 = there is none.
    pub landlock: u32,
    /// It takes filters of system calls, and this is a processor whose calls are known here.
    pub seccomp: bool,
}

/// The version of landlock from which files can be renamed between directories under rules. Before, every such rename is
/// refused, and a Maildir takes no mail.
const RENAMES: u32 = 2;

/// What a later version of landlock guards.
const LATER: &[(u32, &str)] = &[
    (3, "cutting files short (Linux 6.2)"),
    (4, "listening at ports (Linux 6.7)"),
    (6, "sockets with abstract names (Linux 6.12)"),
];

impl Kernel {
    pub fn probe() -> Kernel {
        // SAFETY: with this flag the call takes no attributes, and returns a version or an error.
        let version = unsafe {
            libc::syscall(
                libc::SYS_landlock_create_ruleset,
                std::ptr::null::<libc::c_void>(),
                0_usize,
                1_u32,
            )
        };
        let action: u32 = libc::SECCOMP_RET_ERRNO;
        // SAFETY: the kernel reads one u32, which outlives the call.
        let seccomp = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_GET_ACTION_AVAIL,
                0_u32,
                &raw const action,
            )
        };
        Kernel {
            landlock: u32::try_from(version).unwrap_or(0),
            seccomp: seccomp == 0 && calls::is_known_processor(),
        }
    }

    fn guards_files(self) -> bool {
        self.landlock >= RENAMES
    }

    /// Can it do what makes a sandbox: guard files and system calls.
    pub fn is_enough(self) -> bool {
        self.guards_files() && self.seccomp
    }

    /// What it does not guard, in words.
    pub fn lacks(self) -> Vec<String> {
        let mut lacks = Vec::new();
        if self.guards_files() {
            let later = LATER.iter().filter(|(since, _)| *since > self.landlock);
            lacks.extend(later.map(|(_, what)| (*what).to_string()));
        } else {
            lacks.push("files (it has no landlock; Linux 5.19 and later have it, if it is switched on there)".into());
        }
        if !self.seccomp {
            lacks.push("system calls (it has no seccomp)".into());
        }
        lacks
    }
}

/// Gives up, for good, all files but these and all system calls that such a process does not need, as far as the kernel can. What is put
/// in the place of one of them later is out of reach.
pub fn enter(who: Who, allowed: &[Allowed]) -> io::Result<()> {
    let kernel = Kernel::probe();
    forbid_new_code();
    if kernel.guards_files() {
        files::restrict(allowed)?;
    }
    // Last: it refuses what the rest needs.
    if kernel.seccomp {
        calls::restrict(who)?;
    }
    Ok(())
}

/// From here on no memory that can be written is made executable. A kernel before Linux 6.3 does not know it.
fn forbid_new_code() {
    const PR_SET_MDWE: libc::c_int = 65;
    const REFUSE_EXEC_GAIN: libc::c_ulong = 1;
    let none: libc::c_ulong = 0;
    // SAFETY: the call takes numbers only.
    unsafe { libc::prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, none, none, none) };
}

#[cfg(test)]
mod tests {
    use super::*;

    // T154
    #[test]
    fn memory_that_was_written_is_not_executed() {
        forbid_new_code();
        const PR_GET_MDWE: libc::c_int = 66;
        let none: libc::c_ulong = 0;
        // SAFETY: the call takes numbers only.
        let known = unsafe { libc::prctl(PR_GET_MDWE, none, none, none, none) };
        let rights = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping at a place that the kernel chooses, which nobody uses.
        let place = unsafe { libc::mmap(std::ptr::null_mut(), 4096, rights, flags, -1, 0) };
        // Linux 6.3 and later know it.
        assert_eq!(place == libc::MAP_FAILED, known > 0, "{known}");
    }

    // T153
    #[test]
    fn what_a_kernel_lacks() {
        const FILES: &str =
            "files (it has no landlock; Linux 5.19 and later have it, if it is switched on there)";
        const CALLS: &str = "system calls (it has no seccomp)";
        const CUT: &str = "cutting files short (Linux 6.2)";
        const PORTS: &str = "listening at ports (Linux 6.7)";
        const ABSTRACT: &str = "sockets with abstract names (Linux 6.12)";
        for (landlock, seccomp, lacks, is_enough) in [
            (0, false, vec![FILES, CALLS], false),
            (0, true, vec![FILES], false),
            // Debian's Linux 5.15: no rename from one directory into another.
            (1, true, vec![FILES], false),
            (2, true, vec![CUT, PORTS, ABSTRACT], true),
            (3, true, vec![PORTS, ABSTRACT], true),
            (5, true, vec![ABSTRACT], true),
            (6, true, vec![], true),
            (6, false, vec![CALLS], false),
            (99, true, vec![], true),
        ] {
            let kernel = Kernel { landlock, seccomp };
            assert_eq!(kernel.lacks(), lacks, "{kernel:?}");
            assert_eq!(kernel.is_enough(), is_enough, "{kernel:?}");
        }
    }
}
