//! The daemon that endures: in a directory of its own, started as an administrator starts it, known by its pid file.
//!
//! Must never: leave a daemon or a mount behind.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};

use super::books::{last_line, message};
use super::harness::Ran;
use super::harness::daemon::open_directory;

pub struct Daemon {
    directory: super::harness::Directory,
    pub address: SocketAddr,
    hop: SocketAddr,
    /// The disk is a file system of its own.
    pub is_mounted: bool,
}

impl Daemon {
    pub fn start(hop: SocketAddr, away: bool) -> Daemon {
        let (directory, path) = open_directory();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port for the daemon");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let mut daemon = Daemon {
            directory,
            address,
            hop,
            is_mounted: false,
        };
        fs::create_dir(path.join("disk")).expect("a directory");
        if geteuid().is_root() && !away {
            let mount = Command::new("mount")
                .args(["-t", "tmpfs", "-o", "size=512m,mode=755", "tmpfs"])
                .arg(path.join("disk"))
                .status();
            daemon.is_mounted = mount.is_ok_and(|status| status.success());
        }
        let archive = path.join("disk/archive");
        fs::create_dir(&archive).expect("a directory");
        fs::set_permissions(&archive, fs::Permissions::from_mode(0o700))
            .expect("our own directory");
        if geteuid().is_root() {
            let users = ["mimicry", "nobody"].into_iter();
            let user = users
                .filter_map(|name| User::from_name(name).ok().flatten())
                .next();
            let user = user.expect("a user for the workers");
            chown(&archive, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                .expect("our own directory");
        }
        daemon.put_program();
        daemon.configure(0);
        let ran = daemon.command("run", &[]);
        assert_eq!(ran.code, 0, "the daemon does not start: {}", ran.err);
        daemon.wait_for_pid();
        daemon
    }

    /// Another copy of the program, as a package puts it in the place of the one that runs.
    pub fn put_program(&self) {
        let (new, place) = (self.path().join("new"), self.path().join("mimicryd"));
        fs::copy(env!("CARGO_BIN_EXE_mimicryd"), &new).expect("a copy of the program");
        fs::rename(new, place).expect("our own directory");
    }

    /// The configuration of that number: the words of a rule differ.
    pub fn configure(&self, number: usize) {
        let path = self.path().display();
        let text = format!(
            r#"hostname = "mimicry.test"
[daemon]
pid_file = "{path}/pid"
control = "{path}/control"
spool = "{path}/disk/spool"
state = "{path}/disk/state"
workers = {{ min = 8, max = 60, spare = 4 }}
# Whoever kills here does not look at the mail in hand.
poison_limit = 0
[log]
target = "file:{path}/log"
[[listen]]
name = "t"
address = "{}"
[relay]
next_hop = "smtp://{}"
[[rule]]
name = "footer"
plugin = "disclaim"
match = {{ sender = '@example\.com$' }}
unless = {{ recipient = '@inside\.example$' }}
options = {{ text = "Example Ltd, registered in Exampleton, edition {number}." }}
[[rule]]
name = "copy"
plugin = "archive"
match = {{ sender = '^kept@' }}
options = {{ dir = "{path}/disk/archive", layout = "files" }}
"#,
            self.address, self.hop
        );
        let (new, place) = (
            self.path().join("new.toml"),
            self.path().join("mimicry.toml"),
        );
        fs::write(&new, text).expect("our own directory");
        fs::rename(new, place).expect("our own directory");
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Runs the program that is in place now.
    pub fn command(&self, name: &str, args: &[&str]) -> Ran {
        let mut command = Command::new(self.path().join("mimicryd"));
        command.env_clear().current_dir(self.path());
        command
            .args([name, "-c"])
            .arg(self.path().join("mimicry.toml"))
            .args(args);
        let output = command.output().expect("the program starts");
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: output.stdout,
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The master's, as the pid file says.
    pub fn pid(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.path().join("pid")).ok()?;
        let pid = text.strip_suffix('\n')?.parse().ok()?;
        Some(Pid::from_raw(pid))
    }

    fn wait_for_pid(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.pid().is_none() {
            assert!(Instant::now() < deadline, "no pid file: {}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Workers that serve or wait, and none of the helpers that a master may have beside them.
    pub fn workers(&self) -> Vec<Pid> {
        self.pid().map_or(Vec::new(), workers_of)
    }

    fn log(&self) -> String {
        fs::read(self.path().join("log")).map_or(String::new(), |log| {
            String::from_utf8_lossy(&log).into_owned()
        })
    }

    pub fn panics(&self) -> Vec<String> {
        self.log()
            .lines()
            .filter(|line| line.contains("panic"))
            .map(String::from)
            .collect()
    }

    /// How often each mail is in the archive. One that is not whole has no number.
    pub fn archived(&self) -> BTreeMap<Option<usize>, usize> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(self.path().join("disk/archive")).expect("the archive") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap_or_default();
            let number = text
                .split("Message-ID: <")
                .nth(1)
                .and_then(|rest| rest.split('@').next()?.parse().ok());
            let number = number
                .filter(|mail| text.ends_with(&message(*mail)) && text.contains(&last_line(*mail)));
            *found.entry(number).or_insert(0) += 1;
        }
        found
    }

    /// Ends it, which must take no force.
    pub fn stop(&self) {
        let pid = self.pid();
        let ran = self.command("stop", &[]);
        assert_eq!(ran.code, 0, "the daemon does not stop: {}", ran.err);
        let is_there = |pid: Pid| kill(pid, None).is_ok();
        let deadline = Instant::now() + Duration::from_secs(60);
        while pid.is_some_and(is_there) {
            assert!(Instant::now() < deadline, "the daemon does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The directory stays when this goes, with the log.
    pub fn keep(&self) -> PathBuf {
        let there = std::env::temp_dir().join(format!("endure-{}", std::process::id()));
        let _ = fs::create_dir_all(&there);
        for name in ["log", "mimicry.toml"] {
            let _ = fs::copy(self.path().join(name), there.join(name));
        }
        there
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            let _ = kill(pid, Signal::SIGKILL);
            thread::sleep(Duration::from_millis(500));
        }
        if self.is_mounted {
            let _ = Command::new("umount")
                .arg("-l")
                .arg(self.path().join("disk"))
                .status();
        }
    }
}

pub fn workers_of(master: Pid) -> Vec<Pid> {
    let children =
        fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap_or_default();
    let pids = children
        .split_ascii_whitespace()
        .filter_map(|pid| pid.parse().ok());
    let is_worker = |pid: &i32| {
        let title = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        title.starts_with(b"mimicryd: worker")
    };
    pids.filter(is_worker).map(Pid::from_raw).collect()
}
