//! System calls by seccomp: those that no worker needs are refused with EPERM, all others pass.
//!
//! A list of what is refused, not of what is allowed: which harmless calls a C library makes changes with its version, and a service
//! must not die of an update. The unit for systemd has a list of what is allowed, which systemd keeps up to date.
//!
//! Must never: kill the process, or refuse what the standard library does for files, sockets, memory, time and random numbers.
//!
//! Known limits: the kernel shows a filter the arguments of a call, not what they point to, so a path is not judged here; where that
//! would matter the call is refused whatever it says.

use std::collections::BTreeMap;
use std::io;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

/// Refused whatever their arguments.
const NEVER: &[libc::c_long] = &[
    // Other programs and processes. A worker starts none, and has no threads.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_clone,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_kcmp,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_setpriority,
    libc::SYS_ioprio_set,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setscheduler,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    libc::SYS_mbind,
    libc::SYS_set_mempolicy,
    // Namespaces and mounts.
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    // Parts of the kernel that are large, and rich in faults.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_setup,
    libc::SYS_io_submit,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    // What processes of one user share beside files and sockets.
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_semget,
    libc::SYS_msgget,
    libc::SYS_mq_open,
    // Files past their directories.
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_mknodat,
    // Showing files to others past their modes. Which modes may be set is said below.
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    // setxattrat, removexattrat and fchmodat2, which the libc crate does not have.
    463,
    466,
    452,
    // Making files older than they are.
    libc::SYS_utimensat,
    // The machine.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    libc::SYS_personality,
];

/// As above, where the processor still has them.
#[cfg(target_arch = "x86_64")]
const OLD: &[libc::c_long] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_mknod,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_uselib,
    libc::SYS_modify_ldt,
    libc::SYS_iopl,
    libc::SYS_ioperm,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[libc::c_long] = &[];

/// Whose calls are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// It accepts, speaks and connects.
    Worker,
    /// A process that asks for the addresses of a name.
    Lookup,
}

impl Who {
    /// Refused besides.
    fn never(self) -> &'static [libc::c_long] {
        match self {
            // With which descriptors, such as a listener, are handed to processes outside. The C library asks for names with them.
            Who::Worker => &[libc::SYS_sendmsg, libc::SYS_sendmmsg],
            Who::Lookup => &[libc::SYS_listen, libc::SYS_accept, libc::SYS_accept4],
        }
    }
}

/// Sockets of these families may be made: names are looked up with the help of netlink.
const FAMILIES: [libc::c_int; 4] = [
    libc::AF_UNIX,
    libc::AF_INET,
    libc::AF_INET6,
    libc::AF_NETLINK,
];

/// Numbers of another way of calling (x32), which a filter of the ordinary numbers does not know.
const FOREIGN: u32 = 0x4000_0000;

/// Is this a processor whose calls the filter can tell.
pub fn is_known_processor() -> bool {
    TargetArch::try_from(std::env::consts::ARCH).is_ok()
}

/// Restricts this thread, the only one of its process.
pub fn restrict(who: Who) -> io::Result<()> {
    let program = program(who, std::process::id()).map_err(failed)?;
    seccompiler::apply_filter(&program).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("seccomp: {error}"))
}

/// The filter for the process of this id.
fn program(who: Who, own: u32) -> Result<BpfProgram, seccompiler::BackendError> {
    let filter = SeccompFilter::new(
        rules(who, own)?,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM as u32),
        TargetArch::try_from(std::env::consts::ARCH)?,
    )?;
    let mut program = unknown_numbers();
    program.extend(BpfProgram::try_from(filter)?);
    Ok(program)
}

/// clone3(2) hides its flags from a filter; whoever hears that the kernel has no such call takes clone(2). The same is said of all
/// foreign numbers. The crate does neither.
fn unknown_numbers() -> BpfProgram {
    let say = (libc::BPF_RET | libc::BPF_K) as u16;
    let jump = |test: u32, k: u32, jf: u8| sock_filter {
        code: (libc::BPF_JMP | test | libc::BPF_K) as u16,
        jt: 0,
        jf,
        k,
    };
    let plain = |code: u16, k: u32| sock_filter {
        code,
        jt: 0,
        jf: 0,
        k,
    };
    let no_such_call = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
    vec![
        // The number of the call stands first in what the filter is shown.
        plain((libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, 0),
        jump(libc::BPF_JGE, FOREIGN, 1),
        plain(say, no_such_call),
        jump(libc::BPF_JEQ, libc::SYS_clone3 as u32, 1),
        plain(say, no_such_call),
    ]
}

/// A condition on an argument, of which the lower half counts, as it does for the kernel.
type Condition = (u8, SeccompCmpOp, u64);

fn rules(who: Who, own: u32) -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    use SeccompCmpOp::{Eq, MaskedEq, Ne};
    let own = u64::from(own);
    let of_others = [(0, Ne, own)];
    let families = FAMILIES.map(|family| (0, Ne, family as u64));
    let other_netlink = [
        (0, Eq, libc::AF_NETLINK as u64),
        (2, Ne, libc::NETLINK_ROUTE as u64),
    ];
    let command = |number: u64| (1, Eq, number);
    let owner = [command(libc::F_SETOWN as u64), (2, Ne, own)];
    // Modes that nothing here has: for everybody, for the group to write to, and with another user's rights.
    let modes = |argument: u8| {
        [0, 1, 2, 4, 9, 10, 11].map(|bit| [(argument, MaskedEq(1 << bit), 1 << bit)])
    };
    let (second, third) = (modes(1), modes(2));
    let [second, third] = [&second, &third].map(|modes| modes.each_ref().map(|one| &one[..]));
    // fcntl(2); with F_SETSIG SIGIO becomes any signal, and with F_SETOWN_EX its target any process of the user, in memory that a filter
    // does not see. A lease holds up whoever opens the file. The libc crate does not have all of the numbers.
    const F_SETSIG: u64 = 10;
    const F_SETOWN_EX: u64 = 15;
    const F_SETLEASE: u64 = 1024;
    const F_NOTIFY: u64 = 1026;
    const FIOSETOWN: u64 = 0x8901;
    const SIOCSPGRP: u64 = 0x8902;
    let descriptors: [&[Condition]; 5] = [
        &owner,
        &[command(F_SETSIG)],
        &[command(F_SETOWN_EX)],
        &[command(F_SETLEASE)],
        &[command(F_NOTIFY)],
    ];
    // TIOCSTI types into the terminal that the daemon was started from.
    let devices: [&[Condition]; 3] = [
        &[command(libc::TIOCSTI)],
        &[command(FIOSETOWN)],
        &[command(SIOCSPGRP)],
    ];
    let some: [(libc::c_long, &[&[Condition]]); 12] = [
        (libc::SYS_kill, &[&of_others]),
        (libc::SYS_tkill, &[&of_others]),
        (libc::SYS_tgkill, &[&of_others]),
        (libc::SYS_rt_sigqueueinfo, &[&of_others]),
        (libc::SYS_rt_tgsigqueueinfo, &[&of_others]),
        (libc::SYS_prlimit64, &[&[(0, Ne, own), (0, Ne, 0)]]),
        (libc::SYS_socket, &[&families, &other_netlink]),
        (libc::SYS_socketpair, &[&families]),
        (libc::SYS_fcntl, &descriptors),
        (libc::SYS_ioctl, &devices),
        (libc::SYS_fchmod, &second),
        (libc::SYS_fchmodat, &third),
    ];
    let mut rules = BTreeMap::new();
    for number in NEVER.iter().chain(OLD).chain(who.never()) {
        rules.insert(*number, Vec::new());
    }
    for (number, refused) in some {
        let refused = refused.iter().map(|conditions| rule(conditions));
        rules.insert(number, refused.collect::<Result<_, _>>()?);
    }
    Ok(rules)
}

fn rule(conditions: &[Condition]) -> Result<SeccompRule, seccompiler::BackendError> {
    let one = |(argument, test, value): &Condition| {
        SeccompCondition::new(*argument, SeccompCmpArgLen::Dword, test.clone(), *value)
    };
    SeccompRule::new(conditions.iter().map(one).collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    /// Makes a call with arguments of which none is a valid pointer or descriptor.
    fn call(number: libc::c_long, arguments: [libc::c_long; 3]) -> Result<libc::c_long, Errno> {
        let [first, second, third] = arguments;
        let bad: libc::c_long = -1;
        // SAFETY: no pointer among the arguments is valid, so the kernel neither reads nor writes memory of this process; what needs
        // none is refused by the filter, which the caller has seen at work.
        Errno::result(unsafe { libc::syscall(number, first, second, third, bad, bad, bad) })
    }

    /// In a thread that has the filter, and ends with it.
    fn confined(test: impl FnOnce(libc::c_long) + Send + 'static) {
        confined_as(Who::Worker, test);
    }

    fn confined_as(who: Who, test: impl FnOnce(libc::c_long) + Send + 'static) {
        let thread = std::thread::spawn(move || {
            // A filter is a thread's; this one is alone as far as signals go.
            let own = nix::unistd::gettid().as_raw();
            seccompiler::apply_filter(&program(who, own as u32).unwrap()).unwrap();
            // Nothing is tried unless the filter works: without it some calls would do what they say.
            let seen = nix::sys::personality::get();
            assert_eq!(seen, Err(Errno::EPERM), "the filter is not in force");
            test(own.into());
        });
        thread.join().unwrap();
    }

    // T154
    #[test]
    fn what_no_worker_needs_is_refused() {
        confined(|_| {
            for number in NEVER.iter().chain(OLD) {
                assert_eq!(call(*number, [-1; 3]), Err(Errno::EPERM), "{number}");
            }
            // By name, whatever the list is.
            for number in [
                libc::SYS_execve,
                libc::SYS_execveat,
                libc::SYS_clone,
                libc::SYS_ptrace,
                libc::SYS_process_vm_readv,
                libc::SYS_process_vm_writev,
                libc::SYS_mount,
                libc::SYS_umount2,
                libc::SYS_bpf,
                libc::SYS_keyctl,
                libc::SYS_add_key,
                libc::SYS_init_module,
                libc::SYS_finit_module,
                libc::SYS_io_uring_setup,
                libc::SYS_perf_event_open,
                libc::SYS_userfaultfd,
                libc::SYS_kexec_load,
                libc::SYS_reboot,
                libc::SYS_swapon,
                libc::SYS_setns,
                libc::SYS_unshare,
                libc::SYS_pidfd_getfd,
            ] {
                assert_eq!(call(number, [-1; 3]), Err(Errno::EPERM), "{number}");
            }
        });
    }

    // T154, T207, T208
    #[test]
    fn what_depends_on_whose_it_is() {
        for (who, other) in [(Who::Worker, Who::Lookup), (Who::Lookup, Who::Worker)] {
            confined_as(who, move |_| {
                for number in who.never().iter().chain(NEVER) {
                    assert_eq!(
                        call(*number, [-1; 3]),
                        Err(Errno::EPERM),
                        "{who:?} {number}"
                    );
                }
                for number in other.never() {
                    let said = call(*number, [-1; 3]);
                    assert_ne!(said, Err(Errno::EPERM), "{who:?} {number}");
                }
            });
        }
    }

    // T154
    #[test]
    fn what_depends_on_its_arguments() {
        const SOCK_DGRAM: libc::c_long = libc::SOCK_DGRAM as libc::c_long;
        let socket = |family: libc::c_int| (libc::SYS_socket, family.into(), SOCK_DGRAM, 0);
        confined(move |own| {
            let refused = Err(Errno::EPERM);
            for (number, first, second, third) in [
                (libc::SYS_kill, 1, 0, 0),
                (libc::SYS_kill, 0, 0, 0),
                (libc::SYS_kill, -1, 0, 0),
                // The kernel takes the lower half.
                (libc::SYS_kill, 1 << 32 | 1, 0, 0),
                (libc::SYS_tkill, 1, 0, 0),
                (libc::SYS_tgkill, 1, 1, 0),
                (libc::SYS_rt_sigqueueinfo, 1, 0, 0),
                (libc::SYS_rt_tgsigqueueinfo, 1, 1, 0),
                (libc::SYS_prlimit64, 1, 0, 0),
                socket(libc::AF_PACKET),
                socket(libc::AF_VSOCK),
                socket(libc::AF_ALG),
                (libc::SYS_socket, libc::AF_NETLINK.into(), SOCK_DGRAM, 15),
                (libc::SYS_socketpair, libc::AF_TIPC.into(), SOCK_DGRAM, 0),
                (libc::SYS_fcntl, 0, 10, 9),
                (libc::SYS_fcntl, 0, libc::F_SETOWN.into(), 1),
                // T207: whom a signal goes to, past kill(2).
                (libc::SYS_fcntl, 0, 15, 0),
                (libc::SYS_fcntl, 0, 1024, 0),
                (libc::SYS_fcntl, 0, 1026, 0),
                (libc::SYS_ioctl, 0, 0x8901, 0),
                (libc::SYS_ioctl, 0, 0x8902, 0),
                (libc::SYS_ioctl, 0, libc::TIOCSTI as libc::c_long, 0),
                // T207: files of all.
                (libc::SYS_fchmod, -1, 0o604, 0),
                (libc::SYS_fchmod, -1, 0o620, 0),
                (libc::SYS_fchmod, -1, 0o4700, 0),
                (libc::SYS_fchmodat, -1, 0, 0o777),
            ] {
                let said = call(number, [first, second, third]);
                assert_eq!(said, refused, "{number} {first} {second} {third}");
            }
            for (number, first, second, third) in [
                (libc::SYS_kill, own, 0, 0),
                (libc::SYS_tkill, own, 0, 0),
                (libc::SYS_getpid, 0, 0, 0),
                socket(libc::AF_UNIX),
                socket(libc::AF_INET),
                socket(libc::AF_INET6),
                socket(libc::AF_NETLINK),
                (libc::SYS_fcntl, 0, libc::F_GETFL.into(), 0),
                (libc::SYS_fchmod, -1, 0o640, 0),
                (libc::SYS_fchmod, -1, 0o750, 0),
                (libc::SYS_fchmodat, -1, 0, 0o600),
                (libc::SYS_prlimit64, 0, libc::RLIMIT_CORE.into(), 0),
            ] {
                let said = call(number, [first, second, third]);
                // No memory is given for an answer, and no family is missing from every kernel.
                assert_ne!(said, refused, "{number} {first} {second} {third}");
            }
        });
    }

    // T154
    #[test]
    fn foreign_numbers_are_no_calls() {
        confined(|_| {
            let foreign = i64::from(FOREIGN);
            for number in [
                libc::SYS_clone3,
                foreign | libc::SYS_getpid,
                foreign | libc::SYS_execve,
                foreign | 520,
                foreign | 521,
                foreign | 545,
            ] {
                assert_eq!(call(number, [-1; 3]), Err(Errno::ENOSYS), "{number:x}");
            }
        });
    }

    // T154
    #[test]
    fn the_standard_library_works() {
        confined(|_| {
            let place = tempfile::tempdir().unwrap();
            let path = place.path().join("file");
            // As the umask of workers has it.
            let mut file = std::fs::File::options();
            let file =
                std::os::unix::fs::OpenOptionsExt::mode(file.write(true).create(true), 0o600);
            std::io::Write::write_all(&mut file.open(&path).unwrap(), &[1; 1 << 20]).unwrap();
            std::fs::copy(&path, place.path().join("copy")).unwrap();
            std::fs::rename(&path, place.path().join("moved")).unwrap();
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            std::os::unix::net::UnixStream::pair().unwrap();
            std::thread::sleep(std::time::Duration::from_millis(1));
            assert!(getrandom::u64().is_ok());
            // Looked up by files, which asks netlink for the addresses of this machine.
            use std::net::ToSocketAddrs;
            assert!(("localhost", 25).to_socket_addrs().is_ok());
        });
    }
}
