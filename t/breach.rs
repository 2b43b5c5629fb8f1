//! The daemon with a plugin that tries what a worker would try that others have taken over: the kernel refuses it, the mail is
//! deferred, and the worker goes on. The same without the sandbox shows that it is the sandbox that refuses.
//!
//! Must never: need root, or try what would do harm if it succeeded.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use mimicry_core::message::PartId;
use mimicry_core::message::edit::{Content, EditSet};
use mimicry_core::plugin::{
    DefaultParts, Fault, Finish, Job, OptionError, OptionSpec, Options, Plugin, PluginKind, Scope,
    Task, Verdict,
};
use mimicry_core::reason::Reason;
use mimicry_core::registry::Registry;
use mimicryd::sys::sandbox::Kernel;
use nix::errno::Errno;
use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::personality;
use nix::sys::ptrace;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::kill;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockProtocol, SockType, sendmsg, socket,
};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, geteuid, getppid, mkfifo};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use harness::Directory;
use harness::daemon::{PLAIN, Setup, World};
use harness::myself;

#[allow(dead_code)]
#[path = "harness/mod.rs"]
mod harness;
#[path = "breach/lookup.rs"]
mod lookup;
#[path = "breach/memory.rs"]
mod memory;
#[path = "breach/short.rs"]
mod short;

const REGISTRY: Registry = Registry(&[&Tries]);

fn main() {
    old_kernel_if_asked();
    myself::serve_if_asked(REGISTRY, lookup::find);
    a_worker_that_was_taken_over_gets_nothing_that_mail_does_not_need();
    a_worker_is_bounded();
    what_the_kernel_lacks_is_said_and_what_is_required_is_a_mistake();
    memory::garbage_in_shared_memory_harms_nobody_else();
    lookup::a_name_that_takes_over_who_asks_for_it_gains_nothing();
    short::what_a_system_has_none_left_of_is_waited_for();
    println!("test result: ok. 6 passed");
}

/// The directory that holds the spool, and another one where everybody may do everything. The daemon's own holds the log, and
/// so it is no place where workers may not write.
const BESIDE: &str = "MIMICRY_TEST_BESIDE";

/// Numbers of system calls that fail in the daemon, each as NUMBER, or NUMBER:ERROR, or NUMBER:ERROR:FIRST for those whose first argument
/// it is; without an error the kernel of the daemon does not have the call.
const OLD_KERNEL: &str = "MIMICRY_TEST_OLD_KERNEL";

#[derive(Debug)]
struct Tries;

impl PluginKind for Tries {
    fn name(&self) -> &'static str {
        "tries"
    }

    fn summary(&self) -> &'static str {
        "tries what the recipient says"
    }

    fn scope(&self) -> Scope {
        Scope::Part
    }

    fn options(&self) -> &'static [OptionSpec] {
        &[]
    }

    fn default_parts(&self) -> DefaultParts {
        DefaultParts::Root
    }

    fn build(&self, _options: &Options) -> Result<Box<dyn Plugin>, Vec<OptionError>> {
        Ok(Box::new(Trial))
    }
}

#[derive(Debug)]
struct Trial;

impl Plugin for Trial {
    fn begin<'a>(&'a self, task: Task<'a>) -> Box<dyn Job + 'a> {
        let recipient = &task.mail.envelope.recipients[0].path;
        let text = String::from_utf8_lossy(recipient.as_bytes()).into_owned();
        let way = text.split('@').next().unwrap_or_default().to_string();
        Box::new(Attempt { way })
    }

    fn reads_recipients(&self) -> bool {
        true
    }
}

struct Attempt {
    way: String,
}

impl Job for Attempt {
    fn part(&mut self, _part: PartId, _now: &Content<'_>) -> Result<Verdict, Fault> {
        let tried = attempt(&self.way);
        log::warn!(target: "mimicry", "tried {}: {}", self.way, named(&tried));
        match tried {
            Ok(()) => Ok(Verdict::Keep(Reason::Exempt)),
            Err(error) => Err(Fault::Temporary(error.to_string())),
        }
    }

    fn finish(self: Box<Self>, _edits: &mut EditSet<'_>) -> Result<Finish, Fault> {
        Ok(Finish::default())
    }
}

/// "done", or the name of the error.
fn named(tried: &io::Result<()>) -> String {
    match tried {
        Ok(()) => "done".into(),
        Err(error) => match error.raw_os_error() {
            Some(number) => format!("{:?}", Errno::from_raw(number)),
            None => error.to_string(),
        },
    }
}

fn attempt(way: &str) -> io::Result<()> {
    let beside = PathBuf::from(std::env::var_os(BESIDE).unwrap_or_default());
    let (outside, inside) = (beside.join("outside"), beside.join("spool/ledger"));
    let (way, number) = way.split_once('-').unwrap_or((way, "0"));
    let numbers = number.split('-').map(str::parse);
    let numbers: Vec<i32> = numbers
        .collect::<Result<_, _>>()
        .map_err(io::Error::other)?;
    let kind = numbers.first().copied().unwrap_or_default();
    let mut processes = numbers.into_iter().map(Pid::from_raw);
    let done = match way {
        // Files.
        "keep" => fs::write(inside.join("kept"), "x"),
        "moved" => fs::rename(inside.join("kept"), inside.join("moved")),
        "zone" => fs::read("/etc/localtime").map(drop),
        "passwd" => fs::read("/etc/passwd").map(drop),
        "config" => fs::read(myself::place().join("mimicry.toml")).map(drop),
        "maps" => fs::read("/proc/self/maps").map(drop),
        "list" => fs::read_dir("/").map(drop),
        "write" => fs::write(outside.join("made"), "x"),
        "change" => fs::write(outside.join("there"), "changed"),
        "remove" => fs::remove_file(outside.join("gone")),
        "spool" => fs::write(beside.join("spool/made"), "x"),
        "smuggle" => fs::rename(inside.join("kept"), outside.join("kept")),
        "steal" => fs::hard_link(outside.join("there"), inside.join("stolen")),
        "link" => symlink("/etc/passwd", inside.join("link")),
        "fifo" => mkfifo(&inside.join("fifo"), Mode::S_IRUSR).map_err(Into::into),
        "socket" => UnixListener::bind(inside.join("socket")).map(drop),
        // Programs and processes.
        "execute" => Err(Command::new("/bin/no-such-program").exec()),
        "start" => Command::new("/bin/true").status().map(drop),
        "thread" => thread::Builder::new().spawn(|| ()).map(drop),
        "trace" => processes.try_for_each(|pid| Ok(ptrace::attach(pid)?)),
        "signal" => processes.try_for_each(|pid| Ok(kill(pid, None)?)),
        "group" => kill(Pid::from_raw(0), None).map_err(Into::into),
        "master" => kill(getppid(), None).map_err(Into::into),
        "self" => kill(Pid::this(), None).map_err(Into::into),
        // The system.
        "unshare" => unshare(CloneFlags::empty()).map_err(Into::into),
        "join" => setns(io::stdin(), CloneFlags::empty()).map_err(Into::into),
        "mount" => {
            let (none, flags) = (None::<&str>, MsFlags::empty());
            mount(none, "/no/such/place", none, flags, none).map_err(Into::into)
        }
        "personality" => personality::get().map(drop).map_err(Into::into),
        "limits" => loosen(),
        // The network.
        "netlink" => {
            let (kind, flags) = (SockType::Raw, SockFlag::empty());
            let protocol = SockProtocol::NetlinkKObjectUEvent;
            socket(AddressFamily::Netlink, kind, flags, protocol)
                .map(drop)
                .map_err(Into::into)
        }
        "vsock" => socket(
            AddressFamily::Vsock,
            SockType::Stream,
            SockFlag::empty(),
            None,
        )
        .map(drop)
        .map_err(Into::into),
        "greet" => TcpListener::bind("127.0.0.1:0").map(drop),
        "ask" => UdpSocket::bind("127.0.0.1:0").map(drop),
        "listen" => listen_where_nobody_does(),
        "abstract" => UnixStream::connect_addr(&SocketAddr::from_abstract_name(
            outside.as_os_str().as_encoded_bytes(),
        )?)
        .map(drop),
        // T207
        "show" => fs::set_permissions(inside.join("moved"), fs::Permissions::from_mode(0o604)),
        "hand" => hand_over(),
        "control" => ask_the_master(),
        "scribble" => memory::scribble(kind),
        other => panic!("{other} is no way"),
    };
    let _ = fs::remove_file(inside.join("stolen"));
    done
}

/// A port that was free a moment ago, by its number.
fn listen_where_nobody_does() -> io::Result<()> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    TcpListener::bind(("127.0.0.1", port)).map(drop)
}

/// A descriptor for another process, which could be a listener for one that outlives the worker.
fn hand_over() -> io::Result<()> {
    let (one, _other) = UnixStream::pair()?;
    let word = [io::IoSlice::new(b"x")];
    let own = [0];
    let rights = [ControlMessage::ScmRights(&own)];
    sendmsg::<()>(one.as_raw_fd(), &word, &rights, MsgFlags::empty(), None)?;
    Ok(())
}

/// What only an administrator may ask; a refusal of any kind is one.
fn ask_the_master() -> io::Result<()> {
    let refused = || io::Error::from_raw_os_error(libc::EPERM);
    let mut stream = UnixStream::connect(myself::place().join("control")).map_err(|_| refused())?;
    stream.write_all(b"poison list\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.starts_with("0\n") {
        true => Ok(()),
        false => Err(refused()),
    }
}

fn loosen() -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_AS)?;
    setrlimit(Resource::RLIMIT_AS, hard, hard.saturating_add(1)).map_err(Into::into)
}

/// What refuses a way when the sandbox is in force, and what happens without it.
enum Guard {
    /// Not refused: the mail passes.
    Nobody,
    /// By landlock, from this version on.
    Files(u32, &'static str),
    Calls,
}

use Guard::{Calls, Files, Nobody};

/// Way, guard, and what the same comes to without a sandbox. That "done" is not everywhere: what would do harm is tried on what is
/// not there, and shows another error.
const WAYS: &[(&str, Guard, &str)] = &[
    ("keep", Nobody, "done"),
    ("moved", Nobody, "done"),
    ("keep", Nobody, "done"),
    ("zone", Nobody, "done"),
    ("passwd", Files(2, "EACCES"), "done"),
    ("config", Files(2, "EACCES"), "done"),
    ("maps", Files(2, "EACCES"), "done"),
    ("list", Files(2, "EACCES"), "done"),
    ("write", Files(2, "EACCES"), "done"),
    ("change", Files(2, "EACCES"), "done"),
    ("remove", Files(2, "EACCES"), "done"),
    ("spool", Files(2, "EACCES"), "done"),
    ("steal", Files(2, "EXDEV"), "done"),
    ("smuggle", Files(2, "EACCES"), "done"),
    ("link", Files(2, "EACCES"), "done"),
    ("fifo", Calls, "done"),
    ("socket", Files(2, "EACCES"), "done"),
    ("execute", Calls, "ENOENT"),
    ("start", Calls, "EAGAIN"),
    ("thread", Calls, "EAGAIN"),
    ("trace-2147483647", Calls, "ESRCH"),
    ("signal-WORKERS", Calls, "done"),
    ("group", Calls, "done"),
    ("self", Nobody, "done"),
    ("unshare", Calls, "done"),
    ("join", Calls, "EINVAL"),
    ("mount", Calls, "ENOENT"),
    ("personality", Calls, "done"),
    ("netlink", Calls, "done"),
    ("vsock", Calls, "done"),
    ("greet", Nobody, "done"),
    ("ask", Nobody, "done"),
    ("show", Calls, "done"),
    ("hand", Calls, "done"),
    // Nobody's business in any case.
    ("control", Calls, "EPERM"),
    ("listen", Files(4, "EACCES"), "done"),
    ("abstract", Files(6, "EPERM"), "done"),
];

/// What a worker is refused, as the kernel at hand can do it.
fn expected(guard: &Guard, kernel: Kernel, outside: &'static str) -> &'static str {
    match guard {
        Files(since, refusal) if kernel.landlock >= *since => refusal,
        Calls if kernel.seccomp => "EPERM",
        _ => outside,
    }
}

const TRIES: &str = "[[rule]]\nname = \"r\"\nplugin = \"tries\"\n";

/// Makes the directory where everybody may do everything.
fn open_outside(directory: &Directory) {
    let outside = directory.path().join("outside");
    fs::create_dir(&outside).expect("a directory");
    let open_to_all = |path: &PathBuf, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own file");
    };
    open_to_all(&outside, 0o777);
    for name in ["there", "gone"] {
        let path = directory.file(&format!("outside/{name}"), "as it was");
        open_to_all(&path, 0o666);
    }
}

/// A world with two workers that try, and a directory beside it where everybody may do everything.
fn world(sandbox: &str, more: &str, directory: &Directory) -> World {
    open_outside(directory);
    let beside = directory.path().display();
    let shell = format!("export {BESIDE}='{beside}'\n{}", myself::shell());
    let settings = format!(
        "workers = {{ min = 2, max = 2, spare = 0 }}\nsandbox = \"{sandbox}\"\nspool = \"{beside}/spool\"\n{more}"
    );
    World::new(Setup {
        daemon: &settings,
        rules: TRIES,
        shell: &shell,
        errors: &["was killed by SIGKILL"],
        ..Setup::default()
    })
}

// T153, T154
// man: mimicryd(8) "What is refused is an error for whoever asks, and no more: the mail is deferred, and the worker goes on."
fn a_worker_that_was_taken_over_gets_nothing_that_mail_does_not_need() {
    let kernel = Kernel::probe();
    let nothing = Kernel {
        landlock: 0,
        seccomp: false,
    };
    for (sandbox, kernel) in [("try", kernel), ("off", nothing)] {
        let directory = Directory::new();
        let mut world = world(sandbox, "", &directory);
        let outside = directory.path().join("outside");
        let name = SocketAddr::from_abstract_name(outside.as_os_str().as_encoded_bytes());
        let _listener = UnixListener::bind_addr(&name.expect("a name")).expect("a socket");
        let workers = world.daemon().workers();
        // Root's master is not the workers' to signal in any case.
        let master = (
            "master",
            Calls,
            if geteuid().is_root() { "EPERM" } else { "done" },
        );
        let status = world.daemon().command(&["status"]);
        assert!(
            status.text().contains(&format!("\nsandbox {sandbox}")),
            "{}",
            status.text()
        );
        let both: Vec<String> = workers.iter().map(Pid::to_string).collect();
        for (way, guard, outside) in WAYS.iter().chain([&master]) {
            let wanted = expected(guard, kernel, outside);
            let way = way.replace("WORKERS", &both.join("-"));
            let to = format!("{way}@example.net");
            let reply = world.client().mail("anna@example.org", &[&to], PLAIN);
            let daemon = world.daemon();
            let line = daemon.logs(&format!("tried {way}: "));
            assert!(
                line.ends_with(&format!(": {wanted}")),
                "{sandbox}, not {wanted}: {line}"
            );
            let code = if wanted == "done" { 250 } else { 451 };
            assert_eq!(reply.code, code, "{sandbox}, {way}: {reply}");
        }
        assert_eq!(world.daemon().workers(), workers, "{sandbox}");
        // What mail needs is not refused.
        let log = world.daemon().log();
        assert!(
            !log.contains("lettre gets no connection"),
            "{sandbox}: {log}"
        );
        let _ = world.hop.mails();
    }
}

/// A line of /proc/PID/limits: soft and hard.
fn limit(pid: Pid, name: &str) -> (Option<u64>, Option<u64>) {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("a process");
    let line = limits.lines().find_map(|line| line.strip_prefix(name));
    let mut words = line.unwrap_or_default().split_ascii_whitespace();
    let mut number = || words.next().and_then(|word| word.parse().ok());
    (number(), number())
}

// T153
// man: mimicryd(8) "four times the largest mail that limits or a bank allow, and 192 MB"
fn a_worker_is_bounded() {
    for (limits, mail) in [("", 100 << 20), ("mail = \"1M\"", 1 << 20)] {
        let mut world = World::new(Setup {
            daemon: "workers = { min = 1, max = 1, spare = 0 }",
            limits,
            rules: TRIES,
            shell: &myself::shell(),
            ..Setup::default()
        });
        let worker = world.daemon().workers()[0];
        let most = mail * 4 + (192 << 20);
        let (soft, hard) = limit(worker, "Max address space");
        let room = soft
            .expect("a limit")
            .checked_sub(most)
            .expect("room for a mail");
        // What it was born with: the program, its libraries and the configuration.
        assert!(room < 256 << 20, "{room} beyond {most}");
        assert_eq!(soft, hard);
        let (_, descriptors) = limit(worker, "Max open files");
        assert!(
            descriptors.is_some_and(|most| most <= 2048),
            "{descriptors:?}"
        );
        assert_eq!(limit(worker, "Max processes"), (Some(0), Some(0)));
        let reply = world
            .client()
            .mail("anna@example.org", &["limits@example.net"], PLAIN);
        assert_eq!(reply.code, 451, "{reply}");
        world.daemon().logs("tried limits: EPERM");
    }
}

/// Becomes a process for which the kernel is another one, without these system calls, if it is asked to.
fn old_kernel_if_asked() {
    let Ok(numbers) = std::env::var(OLD_KERNEL) else {
        return;
    };
    let mut error = libc::ENOSYS as u32;
    let mut missing = BTreeMap::new();
    for one in numbers.split(' ') {
        let words = one
            .split(':')
            .map(|word| word.parse::<i64>().expect("a number"));
        let words: Vec<i64> = words.collect();
        if let Some(other) = words.get(1) {
            error = u32::try_from(*other).expect("an error");
        }
        let first = words.get(2).map(|first| {
            let first = u64::try_from(*first).expect("an argument");
            let is = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, first);
            SeccompRule::new(vec![is.expect("a condition")]).expect("a rule")
        });
        missing.insert(words[0], first.into_iter().collect());
    }
    let program = SeccompFilter::new(
        missing,
        SeccompAction::Allow,
        SeccompAction::Errno(error),
        TargetArch::try_from(std::env::consts::ARCH).expect("a known processor"),
    );
    let program = BpfProgram::try_from(program.expect("a filter")).expect("a program");
    seccompiler::apply_filter(&program).expect("a kernel with seccomp");
}

// T153, T154
// man: mimicry.toml(5) "A kernel that cannot do it is then a mistake in the configuration."
// man: mimicryd(8) "What the kernel at hand cannot guard is in the log once, and status shows it."
fn what_the_kernel_lacks_is_said_and_what_is_required_is_a_mistake() {
    if !Kernel::probe().seccomp {
        // Nobody can play another kernel here, and this one is one of those that lack it.
        let mut world = old_world("", "try");
        world.daemon().logs("this kernel does not guard");
        return;
    }
    let landlock = format!(
        "{} {} {}",
        libc::SYS_landlock_create_ruleset,
        libc::SYS_landlock_add_rule,
        libc::SYS_landlock_restrict_self
    );
    let seccomp = libc::SYS_seccomp.to_string();
    for (missing, lacks) in [
        (&landlock, "files (it has no landlock"),
        (&seccomp, "system calls (it has no seccomp)"),
    ] {
        let mut world = old_world(missing, "try");
        let said =
            format!("the sandbox of workers is not whole: this kernel does not guard {lacks}");
        let line = world.daemon().logs(&said);
        assert!(line.contains("warn: "), "{line}");
        world.alive();
        let status = |world: &mut World| world.daemon().command(&["status"]).text().to_string();
        let shown = format!("\nsandbox try; this kernel does not guard {lacks}");
        assert!(
            status(&mut world).contains(&shown),
            "{}",
            status(&mut world)
        );
        // Once, however often the configuration is loaded anew.
        assert_eq!(world.daemon().command(&["reload"]).code, 0);
        world.alive();
        assert_eq!(world.daemon().log().matches(&said).count(), 1);
        // What is required now is a mistake, and what ran goes on.
        world.daemon().change("\"try\"", "\"require\"");
        let refused = world.daemon().command(&["reload"]);
        let wanted = format!("sandbox is \"require\", but this kernel does not guard {lacks}");
        assert!(
            refused.complaints().contains(&wanted),
            "{}",
            refused.complaints()
        );
        assert!(
            refused.complaints().contains("mimicry.toml:"),
            "{}",
            refused.complaints()
        );
        world.alive();
        assert!(status(&mut world).contains("\nsandbox try"));
    }
}

/// A world whose kernel lacks these calls.
fn old_world(missing: &str, sandbox: &str) -> World {
    let export = match missing {
        "" => String::new(),
        missing => format!("export {OLD_KERNEL}='{missing}'"),
    };
    World::new(Setup {
        daemon: &format!("workers = {{ min = 1, max = 1, spare = 0 }}\nsandbox = \"{sandbox}\""),
        shell: &format!("{export}\n{}", myself::shell()),
        errors: &["configuration refused"],
        ..Setup::default()
    })
}
