//! The system calls by which a process changes files below a directory, recorded as it runs.
//!
//! The process is traced (ptrace(2)), so what is recorded is what the kernel was asked for, whichever way the program went. What
//! a call changed is read off the file system while the process stands still after it.
//!
//! Must never: let a call pass that changes a file in a way that is not recorded; `disk.rs` compares what is recorded with what is there.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::libc;
use nix::sys::ptrace;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

/// A file or directory, from when it was made to when it is gone; 0 = the directory that is watched.
pub type Node = usize;

/// A name in a directory.
pub type Place = (Node, OsString);

#[derive(Clone, Debug)]
pub enum Event {
    /// These names stand for other files now, or for none, all at once.
    Names(Vec<(Place, Option<Node>)>),
    Content(Node, Vec<u8>),
    /// fsync of a file or of a directory.
    Synced(Node),
    /// The process says that something is done.
    Told(String),
}

#[derive(Debug, Default)]
pub struct Recording {
    pub events: Vec<Event>,
    pub nodes: Vec<Facts>,
    begins_at: usize,
}

impl Recording {
    /// The first event that is not of what was there before.
    pub fn begins_at(&self) -> usize {
        self.begins_at
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Facts {
    pub is_directory: bool,
    pub mode: u32,
    pub inode: u64,
}

/// What the traced process says a thing is done with.
pub const TOLD: &str = "told ";

struct Tracer<'r> {
    pid: Pid,
    root: &'r Path,
    memory: fs::File,
    by_id: HashMap<(u64, u64), Node>,
    recording: Recording,
}

/// A call about to be made.
struct Call {
    number: i64,
    args: [u64; 6],
    /// Names that it may change, with what they stand for now.
    names: Vec<PathBuf>,
    before: Vec<Option<Node>>,
}

/// Runs this program with these arguments and records what it does below `root`, which is there and whose content is on disk.
pub fn record(args: &[&OsStr], root: &Path) -> Recording {
    let mut child = Command::new("/proc/self/exe")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program, once more");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    let options = ptrace::Options::PTRACE_O_TRACESYSGOOD | ptrace::Options::PTRACE_O_EXITKILL;
    ptrace::seize(pid, options).expect("ptrace(2) of one's own child, which this test needs");
    ptrace::interrupt(pid).expect("a child that waits");
    waitpid(pid, None).expect("a child that stands still");
    let mut tracer = Tracer {
        pid,
        root,
        memory: fs::File::open(format!("/proc/{pid}/mem")).expect("its memory"),
        by_id: HashMap::new(),
        recording: Recording::default(),
    };
    tracer.adopt(root);
    tracer.recording.begins_at = tracer.recording.events.len();
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(b"go\n").expect("a child that reads");
    let status = tracer.run();
    // It was collected there, so this finds nobody.
    let _ = child.wait();
    let mut said = String::new();
    let mut stdout = child.stdout.take().expect("a pipe");
    stdout.read_to_string(&mut said).expect("text");
    assert_eq!(status, 0, "the traced process fails: {said}");
    tracer.recording
}

impl Tracer<'_> {
    /// What is there before the process begins.
    fn adopt(&mut self, path: &Path) -> Node {
        let facts = fs::symlink_metadata(path).expect("a file");
        let node = self.new_node(&facts);
        if !facts.is_dir() {
            let content = fs::read(path).expect("a file");
            self.recording.events.push(Event::Content(node, content));
            return node;
        }
        for entry in fs::read_dir(path).expect("a directory") {
            let entry = entry.expect("an entry");
            let below = self.adopt(&entry.path());
            let names = vec![((node, entry.file_name()), Some(below))];
            self.recording.events.push(Event::Names(names));
            self.recording.events.push(Event::Synced(below));
        }
        self.recording.events.push(Event::Synced(node));
        node
    }

    fn new_node(&mut self, facts: &fs::Metadata) -> Node {
        let node = self.recording.nodes.len();
        self.recording.nodes.push(Facts {
            is_directory: facts.is_dir(),
            mode: facts.mode() & 0o7777,
            inode: facts.ino(),
        });
        self.by_id.insert((facts.dev(), facts.ino()), node);
        node
    }

    /// To the end of the process; its status.
    fn run(&mut self) -> i32 {
        let mut call = None;
        let mut signal = None;
        loop {
            ptrace::syscall(self.pid, signal.take()).expect("a child that stands still");
            match waitpid(self.pid, None).expect("a child") {
                WaitStatus::PtraceSyscall(_) => match call.take() {
                    None => call = Some(self.enters()),
                    Some(call) => self.leaves(call),
                },
                WaitStatus::Exited(_, status) => return status,
                WaitStatus::Signaled(_, signal, _) => panic!("killed by {signal}"),
                WaitStatus::Stopped(_, stopped) => signal = Some(stopped),
                _ => {}
            }
        }
    }

    fn enters(&mut self) -> Call {
        let (number, args) = registers::call(self.pid);
        let names = self.names(number, &args);
        let before = names.iter().map(|path| self.known(path)).collect();
        Call {
            number,
            args,
            names,
            before,
        }
    }

    /// The names below the root that a call is about to change.
    fn names(&self, number: i64, args: &[u64; 6]) -> Vec<PathBuf> {
        let at = |directory: usize, name: usize| self.path_at(args[directory] as i32, args[name]);
        #[cfg(target_arch = "x86_64")]
        let here = |name: usize| self.path_at(libc::AT_FDCWD, args[name]);
        let paths = match number {
            libc::SYS_openat if args[2] as i32 & libc::O_CREAT != 0 => vec![at(0, 1)],
            libc::SYS_mkdirat | libc::SYS_unlinkat => vec![at(0, 1)],
            libc::SYS_renameat2 | libc::SYS_linkat | libc::SYS_renameat => vec![at(0, 1), at(2, 3)],
            libc::SYS_symlinkat => vec![at(1, 2)],
            #[cfg(target_arch = "x86_64")]
            libc::SYS_open if args[1] as i32 & libc::O_CREAT != 0 => vec![here(0)],
            #[cfg(target_arch = "x86_64")]
            libc::SYS_mkdir | libc::SYS_unlink | libc::SYS_rmdir | libc::SYS_creat => vec![here(0)],
            #[cfg(target_arch = "x86_64")]
            libc::SYS_rename | libc::SYS_link => vec![here(0), here(1)],
            #[cfg(target_arch = "x86_64")]
            libc::SYS_symlink => vec![here(1)],
            _ => vec![],
        };
        let is_below = |path: &PathBuf| path.starts_with(self.root);
        paths.into_iter().filter(is_below).collect()
    }

    fn leaves(&mut self, call: Call) {
        let result = registers::result(self.pid);
        if result < 0 {
            return;
        }
        let mut changes = Vec::new();
        for (path, before) in call.names.iter().zip(&call.before) {
            if before.is_none() && makes(call.number) {
                // A number may have been another file's before.
                let facts = fs::symlink_metadata(path).expect("what was just made");
                self.by_id.remove(&(facts.dev(), facts.ino()));
            }
            let after = self.known(path);
            if after != *before {
                let parent = path.parent().expect("below the root");
                let directory = self.known(parent).expect("a directory that is known");
                let name = path.file_name().expect("a name").to_os_string();
                changes.push(((directory, name), after));
            }
        }
        if !changes.is_empty() {
            self.recording.events.push(Event::Names(changes));
        }
        let fd = call.args[0] as i32;
        match call.number {
            libc::SYS_write if fd == 1 => self.told(&call, result),
            libc::SYS_write
            | libc::SYS_pwrite64
            | libc::SYS_writev
            | libc::SYS_pwritev
            | libc::SYS_ftruncate
            | libc::SYS_fallocate => self.changed(fd),
            // Opening may cut off what was there.
            libc::SYS_openat if call.args[2] as i32 & libc::O_TRUNC != 0 => {
                self.changed(result as i32);
            }
            libc::SYS_copy_file_range | libc::SYS_splice => self.changed(call.args[2] as i32),
            libc::SYS_sendfile => self.changed(fd),
            libc::SYS_fsync | libc::SYS_fdatasync => {
                if let Some(node) = self.known(&self.descriptor(fd)) {
                    self.recording.events.push(Event::Synced(node));
                }
            }
            _ => {}
        }
    }

    fn told(&mut self, call: &Call, octets: i64) {
        let mut text = vec![0; usize::try_from(octets).expect("a number")];
        self.memory
            .read_exact_at(&mut text, call.args[1])
            .expect("its memory");
        let text = String::from_utf8(text).expect("text");
        for told in text.lines().filter_map(|line| line.strip_prefix(TOLD)) {
            self.recording.events.push(Event::Told(told.into()));
        }
    }

    fn changed(&mut self, fd: i32) {
        let path = self.descriptor(fd);
        let Some(node) = self.known(&path) else {
            return;
        };
        let content = fs::read(path).expect("a file that is open");
        self.recording.events.push(Event::Content(node, content));
    }

    fn descriptor(&self, fd: i32) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{fd}", self.pid))
    }

    /// What stands there, if it is below the root; made known if it is new.
    fn known(&mut self, path: &Path) -> Option<Node> {
        let is_descriptor = path.starts_with("/proc");
        let facts = match is_descriptor {
            true => fs::metadata(path),
            false => fs::symlink_metadata(path),
        };
        let facts = facts.ok()?;
        let id = (facts.dev(), facts.ino());
        match self.by_id.get(&id) {
            Some(node) => Some(*node),
            None if is_descriptor => None,
            None => Some(self.new_node(&facts)),
        }
    }

    fn path_at(&self, directory: i32, name: u64) -> PathBuf {
        let name = PathBuf::from(self.text(name));
        if name.is_absolute() {
            return name;
        }
        let directory = match directory {
            libc::AT_FDCWD => fs::read_link(format!("/proc/{}/cwd", self.pid)),
            directory => fs::read_link(self.descriptor(directory)),
        };
        directory.unwrap_or_default().join(name)
    }

    /// A text in its memory, which ends in 0.
    fn text(&self, at: u64) -> OsString {
        let mut octets = Vec::new();
        let mut one = [0];
        while self
            .memory
            .read_exact_at(&mut one, at.saturating_add(octets.len() as u64))
            .is_ok()
            && one != [0]
        {
            octets.push(one[0]);
        }
        OsString::from_vec(octets)
    }
}

/// Does the call make a new file, rather than give one another name.
fn makes(number: i64) -> bool {
    #[cfg(target_arch = "x86_64")]
    if matches!(number, libc::SYS_open | libc::SYS_creat | libc::SYS_mkdir) {
        return true;
    }
    matches!(number, libc::SYS_openat | libc::SYS_mkdirat)
}

#[cfg(target_arch = "x86_64")]
mod registers {
    use super::{Pid, ptrace};

    pub fn call(pid: Pid) -> (i64, [u64; 6]) {
        let all = ptrace::getregs(pid).expect("registers");
        assert_eq!(all.rax as i64, -38, "it is not at the beginning of a call");
        let args = [all.rdi, all.rsi, all.rdx, all.r10, all.r8, all.r9];
        (all.orig_rax as i64, args)
    }

    pub fn result(pid: Pid) -> i64 {
        ptrace::getregs(pid).expect("registers").rax as i64
    }
}

#[cfg(target_arch = "aarch64")]
mod registers {
    use super::{Pid, ptrace};

    pub fn call(pid: Pid) -> (i64, [u64; 6]) {
        let all = ptrace::getregs(pid).expect("registers").regs;
        let args = [all[0], all[1], all[2], all[3], all[4], all[5]];
        (all[8] as i64, args)
    }

    pub fn result(pid: Pid) -> i64 {
        ptrace::getregs(pid).expect("registers").regs[0] as i64
    }
}
