//! What the tests share: directories that vanish, runs of the program, the mails of the corpus.
//!
//! Must never: judge. A test asserts; the harness panics only when it cannot do its own work.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

pub mod client;
pub mod daemon;
pub mod exposition;
pub mod family;
mod heard;
pub mod hop;
pub mod http;
pub mod logged;
#[allow(dead_code, reason = "for the tests without the harness of cargo")]
pub mod myself;
mod talk;

/// Where the tests make their directories: beside the program that is tested, or, where somebody else could replace that, as in a
/// tree that belongs to another user, where everybody does.
fn place() -> PathBuf {
    let beside = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let me = nix::unistd::geteuid().as_raw();
    let is_ours = |above: &Path| {
        let facts = fs::metadata(above);
        facts.is_ok_and(|facts| [0, me].contains(&facts.uid()) && facts.mode() & 0o022 == 0)
    };
    match beside.ancestors().all(is_ours) {
        true => beside.to_path_buf(),
        false => std::env::temp_dir(),
    }
}

/// A directory of one test, removed with all that is in it.
#[derive(Debug)]
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Directory {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", std::process::id());
        let path = place().join(name);
        fs::create_dir_all(&path).expect("a directory for the test");
        Directory(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file and tells where it is.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).expect("a file for the test");
        path
    }

    /// Copies the files of a directory of the project, which may belong to another user, and tells where they are.
    pub fn copy(&self, name: &str) -> PathBuf {
        let there = self.0.join(name);
        fs::create_dir_all(&there).expect("a directory for the test");
        for (file, path) in files(name, "") {
            if path.is_file() {
                let content = fs::read(&path).expect("a file of the project");
                fs::write(there.join(file), content).expect("a file for the test");
            }
        }
        there
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How a run of the program ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: Vec<u8>,
    pub err: String,
}

impl Ran {
    pub fn of(output: std::process::Output) -> Ran {
        Ran {
            code: output.status.code().expect("the program was not killed"),
            out: output.stdout,
            err: String::from_utf8(output.stderr).expect("what it says is text"),
        }
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.out).expect("the output is text")
    }

    /// What it says on standard error, less that this machine may have no syslog.
    pub fn complaints(&self) -> String {
        let is_its = |line: &&str| !line.contains("no syslog takes the log at /dev/log");
        let lines = self.err.lines().filter(is_its);
        lines.map(|line| format!("{line}\n")).collect()
    }
}

/// The program, with nothing of the environment of the tests.
pub fn mimicryd() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mimicryd"));
    command.env_clear();
    command
}

/// Runs the program in a directory, with these octets as its standard input.
pub fn run(directory: &Path, args: &[impl AsRef<OsStr>], stdin: &[u8]) -> Ran {
    let mut command = mimicryd();
    command.current_dir(directory).args(args);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut input = child.stdin.take().expect("a pipe");
    let output = std::thread::scope(|scope| {
        // A program that does not read its input to the end closes the pipe early, as it may.
        scope.spawn(move || input.write_all(stdin));
        child.wait_with_output().expect("the program ends")
    });
    Ran::of(output)
}

/// The root of the project.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Files of a directory of the project whose names end so, by name.
pub fn files(directory: &str, end: &str) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(root().join(directory)).expect("the directory is there");
    let mut files: Vec<(String, PathBuf)> = entries
        .map(|entry| entry.expect("an entry").path())
        .map(|path| {
            (
                path.file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                path,
            )
        })
        .filter(|(name, _)| name.ends_with(end))
        .collect();
    files.sort();
    files
}

/// The corpus: each mail with its name.
pub fn mails() -> Vec<(String, Vec<u8>)> {
    let mails: Vec<(String, Vec<u8>)> = files("t/mail", ".eml")
        .into_iter()
        .map(|(name, path)| (name, fs::read(path).expect("a mail")))
        .collect();
    assert!(mails.len() >= 120, "the corpus is not there");
    mails
}

/// One mail of the corpus.
pub fn mail(name: &str) -> Vec<u8> {
    fs::read(root().join("t/mail").join(name)).expect("a mail")
}

/// A rule that puts a line below the mails of some senders.
pub const FOOTER: &str = r#"
[[rule]]
name = "legal footer"
plugin = "disclaim"
match = { sender = '@example\.(com|org|net)$' }
unless = { recipient = '@inside\.example$' }
options = { text = "Example Ltd, registered in Exampleton.", html = "<p>Example Ltd, registered in Exampleton.</p>" }
"#;

/// A rule that makes one archive of the attachments.
pub const ZIP: &str = r#"
[[rule]]
name = "one archive"
plugin = "zip"
match = { position = "attachment" }
options = { name = "all.zip" }
"#;

/// Compresses a file, as a logrotate does.
pub fn pack(file: &Path, packed: &Path) {
    let content = fs::read(file).expect("a file of the test");
    let packed = fs::File::create(packed).expect("a directory of the test");
    let mut packer = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
    packer.write_all(&content).expect("room for it");
    packer.finish().expect("room for it");
    fs::remove_file(file).expect("a file of the test");
}

pub fn contains(octets: &[u8], words: &[u8]) -> bool {
    octets.windows(words.len()).any(|window| window == words)
}

/// Sender and recipient of a mail from the command line.
pub const PATHS: &[&str] = &["--from", "anna@example.org", "--to", "bob@example.net"];

/// Runs a command with a configuration `m.toml`.
pub fn with(config: &str, command: &[&str], stdin: &[u8]) -> Ran {
    let directory = Directory::new();
    directory.file("m.toml", config);
    let (name, rest) = command.split_first().expect("a command");
    let args: Vec<&str> = [*name, "-c", "m.toml"]
        .into_iter()
        .chain(rest.iter().copied())
        .collect();
    run(directory.path(), &args, stdin)
}

/// Runs `filter` so, for that sender and recipient.
pub fn filter(config: &str, stdin: &[u8]) -> Ran {
    with(config, &[&["filter"], PATHS].concat(), stdin)
}
