//! The real daemon, in a directory of its own, on a socket that the test bound, and the world that it stands in.
//!
//! The socket is bound by the test and handed over as a service manager would do it, so that nobody else can take the port
//! and a client may connect before the daemon is ready. Readiness is what the daemon says on the notification socket.
//!
//! When it goes out of scope the daemon is stopped, must exit with 0, and must have logged no error that the test did
//! not announce. When a test fails, the end of the log is shown.
//!
//! Must never: need root, or sleep and hope.

use std::fmt::Write;
use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::client::{Client, Outcome, PATIENCE, stuffed};
use super::family::children;
pub use super::family::{children_of, is_gone, workers_of};
use super::heard;
use super::hop::{Act, Hop, Stage, Taken};
use super::{Directory, Ran, run};

/// What a test says of its daemon: lines of TOML for each table.
#[derive(Clone, Default)]
pub struct Setup<'a> {
    pub top: &'a str,
    pub daemon: &'a str,
    /// `target` too, if it is not to be a file.
    pub log: &'a str,
    pub listen: &'a str,
    /// `next_hop` too, if it is not to be the fake one.
    pub relay: &'a str,
    pub limits: &'a str,
    /// Rules, and further listeners.
    pub rules: &'a str,
    /// Commands for the shell that starts the daemon, such as `ulimit -n 40`; `RUN` is put before the program.
    pub shell: &'a str,
    /// Pieces of lines at level error that the test brings about.
    pub errors: &'a [&'a str],
}

pub struct Daemon {
    child: Child,
    pub directory: Directory,
    /// Where the first listener listens.
    pub address: SocketAddr,
    pub notices: UnixDatagram,
    script: String,
    errors: Vec<String>,
    ended: Option<ExitStatus>,
    /// The master that took over from the child, if one did.
    heir: Option<Pid>,
}

/// A daemon between a client and a next hop, or the next hop alone.
pub struct World {
    pub hop: Hop,
    daemon: Option<Daemon>,
}

/// An ordinary mail.
pub const PLAIN: &[u8] =
    b"From: Anna <anna@example.org>\r\nTo: Bob <bob@example.net>\r\nSubject: plain\r\n\
    Message-ID: <plain@example.org>\r\n\r\nHello, Bob.\r\n";

impl World {
    /// What the tests of the relay run in: with `MIMICRY_UNDER_TEST=none` there is nothing between client and next hop, so that the
    /// harness itself is tested.
    pub fn relay() -> World {
        World::relay_with(Setup::default())
    }

    pub fn relay_with(setup: Setup) -> World {
        let hop = Hop::new();
        let daemon = (!is_none()).then(|| Daemon::start(&setup, &hop));
        World { hop, daemon }
    }

    /// A daemon in any case.
    pub fn new(setup: Setup) -> World {
        let hop = Hop::new();
        let daemon = Some(Daemon::start(&setup, &hop));
        World { hop, daemon }
    }

    pub fn daemon(&mut self) -> &mut Daemon {
        self.daemon.as_mut().expect("a world with a daemon")
    }

    pub fn address(&self) -> SocketAddr {
        self.daemon
            .as_ref()
            .map_or(self.hop.address, |daemon| daemon.address)
    }

    /// A client that has connected and read nothing.
    pub fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// A client that has said EHLO.
    pub fn client(&self) -> Client {
        self.connect().greeted()
    }

    /// An ordinary mail passes, once and whole.
    #[track_caller]
    pub fn alive(&self) {
        self.hop.behave_well();
        let _ = self.hop.mails();
        let reply = self
            .client()
            .mail("alive@client.test", &["alive@hop.test"], PLAIN);
        assert!(reply.is_done(), "an ordinary mail is answered {reply}");
        // A rule of the test may add words to it.
        let arrived = self.untraced(&self.hop.only_mail());
        assert!(arrived.starts_with(PLAIN), "{}", arrived.escape_ascii());
    }

    /// A session with an ordinary mail that the next hop holds at this stage.
    #[track_caller]
    pub fn held(&self, stage: Stage) -> Client {
        self.hop.at(stage, Act::Hold);
        let mut client = self.client();
        client.envelope("anna@example.org", &["bob@example.net"]);
        client.says("DATA", 354);
        client.send(&stuffed(PLAIN));
        self.hop.wait("the mail", |record| record.held == 1);
        client
    }

    /// Sends a mail in a session of its own, as an MTA would.
    pub fn attempt(&self, message: &[u8]) -> Outcome {
        self.client()
            .attempt("anna@example.org", &["bob@example.net"], message)
    }

    /// Sends a mail that is taken; returns what arrived, less the Received field that mimicry added.
    #[track_caller]
    pub fn pass(&self, message: &[u8]) -> Vec<u8> {
        let reply = self
            .client()
            .mail("anna@example.org", &["bob@example.net"], message);
        assert!(reply.is_done(), "the mail is answered {reply}");
        self.untraced(&self.hop.only_mail())
    }

    /// The message that arrived, less the one Received field that mimicry puts on top.
    #[track_caller]
    pub fn untraced(&self, taken: &Taken) -> Vec<u8> {
        let message = taken.message();
        if self.daemon.is_none() {
            return message;
        }
        let (field, rest) = first_field(&message);
        let text = std::str::from_utf8(field).expect("our own field is ASCII");
        assert!(
            text.starts_with("Received: from ") && text.contains("by mimicry.test "),
            "on top stands {text:?}"
        );
        rest.to_vec()
    }
}

impl Daemon {
    pub fn start(setup: &Setup, hop: &Hop) -> Daemon {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port for the daemon");
        let address = listener.local_addr().expect("an address");
        let directory = prepared(setup, address, hop);
        heard::forget(directory.path());
        let notices = notification_socket(directory.path());
        // The shell hands over its standard input as descriptor 3 and becomes the daemon, so that LISTEN_PID is right.
        let script = format!(
            "export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=t\nexec 3<&0 </dev/null\n{}\n\
             exec $RUN \"$0\" run --foreground -c mimicry.toml",
            setup.shell
        );
        let child = launch(
            &script,
            directory.path(),
            Stdio::from(OwnedFd::from(listener)),
        );
        let mut daemon = Daemon {
            child,
            directory,
            address,
            notices,
            script,
            errors: setup.errors.iter().map(ToString::to_string).collect(),
            ended: None,
            heir: None,
        };
        daemon.notice("READY=1");
        daemon
    }

    /// Starts it anew after its end; for a daemon with [`OWN_SOCKET`].
    pub fn start_again(&mut self) {
        assert!(
            self.ended.is_some() && self.script.contains(OWN_SOCKET),
            "it still runs, or its socket is gone"
        );
        self.child = launch(&self.script, self.directory.path(), Stdio::null());
        self.ended = None;
        self.notice("READY=1");
    }

    /// Waits for a line on the notification socket.
    #[track_caller]
    pub fn notice(&mut self, wanted: &str) {
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = [0; 4096];
        loop {
            match self.notices.recv(&mut buffer) {
                Ok(octets) => {
                    let text = String::from_utf8_lossy(&buffer[..octets]).into_owned();
                    if text.lines().any(|line| line == wanted) {
                        return;
                    }
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    if let Some(status) = self.child.try_wait().expect("a child") {
                        self.ended = Some(status);
                        panic!(
                            "the daemon ended before it said {wanted}: {status}\n{}",
                            self.said()
                        );
                    }
                    assert!(
                        Instant::now() < deadline,
                        "the daemon does not say {wanted}\n{}",
                        self.said()
                    );
                }
                Err(error) => panic!("the notification socket: {error}"),
            }
        }
    }

    /// The master's.
    pub fn pid(&self) -> Pid {
        self.heir.unwrap_or_else(|| self.first_pid())
    }

    /// Of the master that was started first.
    pub fn first_pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"))
    }

    /// Whom the pid file names is the master from now on.
    #[track_caller]
    pub fn follow(&mut self) -> Pid {
        let text = fs::read_to_string(self.directory.path().join("pid")).expect("the pid file");
        let pid = Pid::from_raw(text.trim().parse().expect("a process id"));
        self.heir = Some(pid);
        pid
    }

    /// Waits for the end of the master that was started first, after another one took over.
    #[track_caller]
    pub fn first_ends(&mut self) -> ExitStatus {
        let mut status = None;
        let ended = eventually(|| {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        });
        assert!(ended, "the first master does not end\n{}", self.said());
        status.expect("it has ended")
    }

    pub fn workers(&self) -> Vec<Pid> {
        workers_of(self.pid())
    }

    /// Children that live and are no workers.
    pub fn helpers(&self) -> Vec<Pid> {
        let workers = self.workers();
        let mut all = children_of(self.pid());
        all.retain(|child| !workers.contains(child));
        all
    }

    /// Children that ended and were not collected.
    pub fn zombies(&self) -> usize {
        children(self.pid())
            .iter()
            .filter(|(_, state)| *state == 'Z')
            .count()
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("the master is there");
    }

    /// Descriptors that a process has open.
    pub fn descriptors(pid: Pid) -> usize {
        fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
    }

    /// Replaces a piece of the configuration.
    pub fn change(&self, from: &str, to: &str) {
        let path = self.directory.path().join("mimicry.toml");
        let old = fs::read_to_string(&path).expect("the configuration");
        assert!(old.contains(from), "{from:?} is not in the configuration");
        fs::write(&path, old.replace(from, to)).expect("the configuration");
    }

    /// Another run of the program: `status`, `reload`, `stop`.
    pub fn command(&self, args: &[&str]) -> Ran {
        let (name, rest) = args.split_first().expect("a command");
        let args: Vec<&str> = [*name, "-c", "mimicry.toml"]
            .into_iter()
            .chain(rest.iter().copied())
            .collect();
        run(self.directory.path(), &args, b"")
    }

    pub fn log(&self) -> String {
        fs::read(self.directory.path().join("log"))
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }

    /// The lines of mails.
    pub fn mail_lines(&self) -> Vec<String> {
        self.log()
            .lines()
            .filter(|line| line.contains(" status="))
            .map(String::from)
            .collect()
    }

    /// Waits until a line with this is in the log.
    #[track_caller]
    pub fn logs(&self, wanted: &str) -> String {
        let mut found = None;
        let waited = eventually(|| {
            found = self
                .log()
                .lines()
                .find(|line| line.contains(wanted))
                .map(String::from);
            found.is_some()
        });
        assert!(waited, "{wanted:?} is not in the log:\n{}", self.said());
        found.unwrap_or_default()
    }

    /// Waits for the master's end.
    #[track_caller]
    pub fn ends(&mut self) -> ExitStatus {
        let status = self.ends_within(PATIENCE);
        status.unwrap_or_else(|| panic!("the daemon does not end\n{}", self.said()))
    }

    pub fn ends_within(&mut self, time: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + time;
        while self.ended.is_none() && Instant::now() < deadline {
            let status = self.child.try_wait().expect("a child");
            self.ended = match self.heir {
                None => status,
                // Of a process that is not our child only its end can be seen.
                Some(heir) => status
                    .filter(|_| is_gone(heir))
                    .map(|_| ExitStatus::default()),
            };
            thread::sleep(Duration::from_millis(2));
        }
        self.ended
    }

    /// All that the daemon said, for the message of a failure.
    pub fn said(&self) -> String {
        let stderr = fs::read_to_string(self.directory.path().join("stderr")).unwrap_or_default();
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines
            .get(lines.len().saturating_sub(60)..)
            .unwrap_or_default()
            .join("\n");
        format!("--- log\n{tail}\n--- standard error\n{stderr}---")
    }

    fn complaints(&self) -> Vec<String> {
        let stderr = fs::read_to_string(self.directory.path().join("stderr")).unwrap_or_default();
        let log = self.log();
        let is_bad = |line: &str| {
            line.contains("error: ")
                || line.contains("panic")
                || line.contains("\"level\":\"error\"")
        };
        let is_announced = |line: &str| self.errors.iter().any(|piece| line.contains(piece));
        log.lines()
            .chain(stderr.lines())
            .filter(|line| is_bad(line) && !is_announced(line))
            .map(String::from)
            .collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.said());
        }
        let was_running = self.ended.is_none();
        if was_running {
            let _ = kill(self.pid(), Signal::SIGTERM);
            if self.ends_within(Duration::from_secs(10)).is_none() {
                let workers = self.workers();
                let _ = self.child.kill();
                let _ = self.child.wait();
                for worker in workers {
                    let _ = kill(worker, Signal::SIGKILL);
                }
            }
        }
        if thread::panicking() {
            return;
        }
        if was_running {
            let status = self
                .ended
                .unwrap_or_else(|| panic!("TERM does not end the daemon\n{}", self.said()));
            assert!(
                status.success(),
                "after TERM the daemon ends with {status}\n{}",
                self.said()
            );
        }
        let wrong = heard::wrong(self.directory.path());
        assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), self.said());
        let complaints = self.complaints();
        assert!(
            complaints.is_empty(),
            "unexpected in the log:\n{}",
            complaints.join("\n")
        );
    }
}

/// For [`Setup::shell`]: the daemon binds its socket itself.
pub const OWN_SOCKET: &str = "unset LISTEN_PID LISTEN_FDS LISTEN_FDNAMES; exec 3<&-";

/// A directory with the configuration of a daemon that nobody has started.
pub fn prepared(setup: &Setup, address: SocketAddr, hop: &Hop) -> Directory {
    let directory = Directory::new();
    open_to_all(directory.path());
    directory.file(
        "mimicry.toml",
        configuration(setup, directory.path(), address, hop.address),
    );
    directory
}

fn launch(script: &str, directory: &Path, stdin: Stdio) -> Child {
    let stderr = fs::File::options()
        .append(true)
        .create(true)
        .open(directory.join("stderr"))
        .expect("a file");
    Command::new("/bin/sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_mimicryd")])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("NOTIFY_SOCKET", directory.join("notify"))
        .env("RUST_BACKTRACE", "1")
        .current_dir(directory)
        .stdin(stdin)
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .expect("a shell")
}

/// Looks again and again until it is so; tells whether it came to be.
pub fn eventually(mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// The first field of a message with its CRLF, and what follows.
pub fn first_field(message: &[u8]) -> (&[u8], &[u8]) {
    let mut end = 0;
    while let Some(at) = message[end..].windows(2).position(|pair| pair == b"\r\n") {
        end += at + 2;
        if !matches!(message.get(end), Some(b' ' | b'\t')) {
            break;
        }
    }
    message.split_at(end)
}

fn is_none() -> bool {
    match std::env::var("MIMICRY_UNDER_TEST").as_deref() {
        Ok("none") => true,
        Ok(other) => panic!("MIMICRY_UNDER_TEST is {other:?}; only \"none\" means something"),
        Err(_) => false,
    }
}

/// Started as root, the workers are somebody else. What stands in such a directory stays ours: it is sticky.
pub fn open_to_all(path: &Path) {
    let mode = if path.is_dir() { 0o1777 } else { 0o777 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own directory");
}

fn notification_socket(directory: &Path) -> UnixDatagram {
    let path = directory.join("notify");
    let socket = UnixDatagram::bind(&path).expect("a notification socket");
    open_to_all(&path);
    socket
        .set_read_timeout(Some(Duration::from_millis(100)))
        .expect("a time-out");
    socket
}

fn configuration(setup: &Setup, directory: &Path, address: SocketAddr, hop: SocketAddr) -> String {
    let mut text = String::new();
    let mut table = |head: &str, defaults: &[(&str, String)], given: &str| {
        if !head.is_empty() {
            let _ = writeln!(text, "{head}");
        }
        for (key, value) in defaults {
            let is_given = given.lines().any(|line| line.trim_start().starts_with(key));
            if !is_given {
                let _ = writeln!(text, "{key} = {value}");
            }
        }
        let _ = writeln!(text, "{given}");
    };
    let path = |name: &str| format!("\"{}\"", directory.join(name).display());
    table("", &[("hostname", "\"mimicry.test\"".into())], setup.top);
    let files = [
        ("pid_file", path("pid")),
        ("control", path("control")),
        ("spool", path("spool")),
        ("state", path("state")),
    ];
    let workers = ("workers", "{ min = 2, max = 60, spare = 2 }".into());
    table("[daemon]", &[&files[..], &[workers]].concat(), setup.daemon);
    table(
        "[log]",
        &[(
            "target",
            format!("\"file:{}\"", directory.join("log").display()),
        )],
        setup.log,
    );
    table(
        "[[listen]]",
        &[
            ("name", "\"t\"".into()),
            ("address", format!("\"{address}\"")),
        ],
        setup.listen,
    );
    table(
        "[relay]",
        &[("next_hop", format!("\"smtp://{hop}\""))],
        setup.relay,
    );
    table("[limits]", &[], setup.limits);
    text + setup.rules
}

/// Where things of a test lie that is not in a [`Daemon`]'s directory.
pub fn open_directory() -> (Directory, PathBuf) {
    let directory = Directory::new();
    open_to_all(directory.path());
    let path = directory.path().to_path_buf();
    (directory, path)
}
