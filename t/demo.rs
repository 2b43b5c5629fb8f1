//! `mimicryd demo`: what a newcomer runs first succeeds, says when something is wrong, and never leaves a daemon behind.

use std::fs;
use std::io::{PipeReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::client::Client;
use crate::harness::daemon::{eventually, open_to_all};
use crate::harness::{Directory, Ran, contains, mail, mimicryd, root, run};

/// A directory in which demonstrations make theirs, and those of another user's workers may pass.
fn place() -> Directory {
    let place = Directory::new();
    open_to_all(place.path());
    place
}

fn demo(place: &Directory, args: &[&str]) -> Command {
    let mut command = mimicryd();
    command.arg("demo").args(args).env("TMPDIR", place.path());
    command.stdin(Stdio::null());
    command
}

fn ran(mut command: Command) -> Ran {
    Ran::of(command.output().expect("the program starts"))
}

/// The directories of the demonstrations in a place.
fn directories(place: &Directory) -> Vec<PathBuf> {
    let entries = fs::read_dir(place.path()).expect("our own directory");
    entries.flatten().map(|entry| entry.path()).collect()
}

fn only_directory(place: &Directory) -> PathBuf {
    let mut directories = directories(place);
    assert_eq!(directories.len(), 1, "{directories:?}");
    directories.remove(0)
}

/// Asks the daemon of the only demonstration.
fn ask(place: &Directory, command: &str) -> Ran {
    let config = only_directory(place).join("mimicry.toml");
    let config = config.display().to_string();
    run(place.path(), &[command, "-c", config.as_str()], b"")
}

/// No daemon of any demonstration runs: its pid file, which it removes at its end, is not there.
fn nobody_is_left(place: &Directory) -> bool {
    directories(place)
        .iter()
        .all(|directory| !directory.join("mimicryd.pid").exists())
}

fn delivered(place: &Directory) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(only_directory(place).join("mail/new")).expect("a Maildir");
    let read = |entry: fs::DirEntry| fs::read(entry.path()).expect("a mail");
    entries.flatten().map(read).collect()
}

// man: mimicryd(8) "sends five mails to it by SMTP. For each mail it shows the parts before and after, what each
// rule did, how long it took, and the file that was delivered."
#[test]
fn five_mails_pass_and_the_daemon_stops() {
    let place = place();
    let ran = ran(demo(&place, &[]));
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.text());
    let text = ran.text();
    for words in [
        "5 mails sent, 5 delivered: all as they should be.",
        "+ footer   edited",
        "- footer   not edited, sealed: ",
        "- footer   not edited, exempt: ",
        "ok one file; the footer once in each of 2 variants; 2 attachments in one zip, each with its octets; all else",
        "\"attachments.zip\"  new",
        "The daemon has been stopped; its directory stays.",
    ] {
        assert!(text.contains(words), "{words} is not in\n{text}");
    }
    assert!(!text.contains('\x1b'), "no colours in a pipe");
    assert!(
        text.lines().all(|line| line.chars().count() <= 160),
        "{text}"
    );
    // The files are what it says they are.
    let files = delivered(&place);
    assert_eq!(files.len(), 5);
    for name in ["demo-pgp-signed.eml", "demo-bounce.eml"] {
        let sent = mail(name);
        let same = files.iter().filter(|file| file.ends_with(&sent)).count();
        assert_eq!(same, 1, "{name}");
    }
    for entry in fs::read_dir(only_directory(&place).join("mail/new")).expect("a Maildir") {
        let path = entry.expect("an entry").path().display().to_string();
        assert!(text.contains(&path), "{path} is not in\n{text}");
    }
    assert!(nobody_is_left(&place));
    assert_eq!(ask(&place, "status").code, 69);
}

// man: mimicryd(8) "leaves the daemon running"
#[test]
fn a_kept_daemon_takes_mail_until_the_printed_command_stops_it() {
    let place = place();
    let ran = ran(demo(&place, &["--keep"]));
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.text());
    let status = ask(&place, "status");
    assert_eq!(status.code, 0, "{}", status.err);
    assert!(
        status.text().contains("mails 5 (3 edited"),
        "{}",
        status.text()
    );
    let shown = |start: &str| {
        let line = ran.text().lines().find(|line| line.starts_with(start));
        let line = line.unwrap_or_else(|| panic!("no {start} in\n{}", ran.text()));
        line.strip_prefix(start)
            .unwrap_or_default()
            .trim()
            .to_string()
    };
    // What is shown for nc goes out in one piece.
    let address = shown("send it mail");
    let address = address.split_whitespace().nth(2).expect("an address");
    let mut client = Client::connect(address.parse().expect("an address"));
    client.send(
        b"EHLO me\r\nMAIL FROM:<anna@example.org>\r\nRCPT TO:<tom@example.net>\r\nDATA\r\n\
          Subject: hello\r\n\r\nHello Tom\r\n.\r\nQUIT\r\n",
    );
    for code in [220, 250, 250, 250, 354, 250, 221] {
        client.expect(code);
    }
    let files = delivered(&place);
    assert_eq!(files.len(), 6);
    assert!(files.iter().any(|file| contains(file, b"Subject: hello")));

    let stop = Command::new("/bin/sh")
        .args(["-c", &shown("stop it")])
        .output();
    let stop = Ran::of(stop.expect("a shell"));
    assert_eq!((stop.code, stop.text()), (0, "stopped\n"), "{}", stop.err);
    assert_eq!(ask(&place, "status").code, 69);
    assert!(nobody_is_left(&place));
}

// man: mimicryd(8) "If anything is missing or wrong it says what, and the exit status is 70."
#[test]
fn a_mail_that_is_not_delivered_is_told() {
    let place = place();
    // In blocks of 512 octets: the newsletter is larger, and so is no other file.
    let script = "ulimit -f 7; exec \"$0\" demo";
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_mimicryd")]);
    let ran = ran({
        shell.env_clear().env("TMPDIR", place.path());
        shell
    });
    assert_eq!(ran.code, 70, "{}{}", ran.err, ran.text());
    assert!(ran.text().contains("WRONG not taken: 4"), "{}", ran.text());
    assert!(ran.text().contains("NOT all as they should be."));
    assert!(
        ran.err
            .starts_with("mimicryd: 4 of 5 mails are as they should be, and 4 files"),
        "{}",
        ran.err
    );
    assert!(nobody_is_left(&place));
}

#[test]
fn a_daemon_that_does_not_start_is_told() {
    // The demonstration needs fewer descriptors than the daemon.
    let place = place();
    let mut command = Command::new("sh");
    let program = mimicryd().get_program().to_owned();
    let limited = "ulimit -n 18; exec \"$0\" demo";
    command.args(["-c", limited]).arg(program);
    command.env("TMPDIR", place.path()).stdin(Stdio::null());
    let failed = ran(command);
    assert_eq!((failed.code, failed.text()), (69, ""), "{}", failed.err);
    assert!(
        failed
            .err
            .starts_with("mimicryd: the daemon exited with status 7")
            && failed.err.contains("Too many open files"),
        "{}",
        failed.err
    );
    // The control socket's name has no room in an address.
    let deep = place.path().join("d".repeat(100));
    fs::create_dir(&deep).expect("a directory");
    open_to_all(&deep);
    let mut command = demo(&place, &[]);
    command.env("TMPDIR", &deep);
    let failed = ran(command);
    assert_eq!(failed.code, 78, "{}", failed.err);
    assert!(
        failed.err.contains("the path of a socket"),
        "{}",
        failed.err
    );
    let mut command = demo(&place, &[]);
    command.env("TMPDIR", "/nonexistent");
    let failed = ran(command);
    assert_eq!(failed.code, 73, "{}", failed.err);
    assert!(failed.err.contains("/nonexistent"), "{}", failed.err);
}

/// A demonstration that has done all but to write its text: the pipe has no room for it.
fn held(place: &Directory) -> (Child, PipeReader) {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    fcntl(&reader, FcntlArg::F_SETPIPE_SZ(4096)).expect("a small pipe");
    let mut command = demo(place, &["--keep"]);
    let child = command.stdout(writer).stderr(Stdio::null()).spawn();
    drop(command);
    let child = child.expect("the program starts");
    let mut first = [0; 16];
    reader.read_exact(&mut first).expect("it begins to write");
    (child, reader)
}

#[test]
fn a_kept_daemon_that_nobody_hears_of_is_stopped() {
    let place = place();
    let (mut child, reader) = held(&place);
    assert_eq!(ask(&place, "status").code, 0, "it runs meanwhile");
    drop(reader);
    assert_eq!(child.wait().expect("its end").code(), Some(74));
    assert!(nobody_is_left(&place));
}

#[test]
fn an_interrupted_demonstration_stops_its_daemon() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let place = place();
        let (mut child, mut reader) = held(&place);
        let pid = i32::try_from(child.id()).expect("a process id");
        kill(Pid::from_raw(pid), signal).expect("our own child");
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).expect("the rest of its text");
        let status = child.wait().expect("its end");
        assert_eq!(status.code(), Some(69), "{signal}");
        assert!(nobody_is_left(&place), "{signal}");
    }
}

/// The README shows what the demonstration prints, but for what is different each time.
#[test]
fn the_readme_shows_what_it_prints() {
    let readme = fs::read_to_string(root().join("README.md")).expect("the README");
    let first = readme
        .find("cargo run --release -- demo")
        .expect("the first command");
    let shown = readme
        .get(first..)
        .and_then(|rest| rest.split("This runs the tests").next());
    let shown: Vec<&str> = shown
        .unwrap_or_default()
        .lines()
        .skip(1)
        .filter_map(|line| line.strip_prefix("    "))
        .collect();
    assert!(shown.len() > 20, "{shown:?}");
    let ran = ran(demo(&place(), &[]));
    let printed: Vec<String> = ran.text().lines().map(constant).collect();
    for line in shown {
        assert!(
            printed.contains(&constant(line)),
            "{line} is not in\n{}",
            ran.text()
        );
    }
}

/// A line without times, paths and the octets out, to which the name of the host belongs.
fn constant(line: &str) -> String {
    if line.trim_start().starts_with("after ") {
        return "after".into();
    }
    let is_table = line.ends_with(" yes");
    let words = line.split_whitespace().filter(|word| {
        let is_number = word.starts_with(|c: char| c.is_ascii_digit());
        !(is_number && (is_table || word.contains('.')))
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Killed at one moment or another; the daemon gets a signal from the kernel.
#[test]
fn a_killed_demonstration_takes_its_daemon_along() {
    for mails in 0..5 {
        let place = place();
        let mut child = demo(&place, &[])
            .stdout(Stdio::null())
            .spawn()
            .expect("the program");
        let count = || {
            let directory = directories(&place).pop()?;
            let entries = fs::read_dir(directory.join("mail/new")).ok()?;
            Some(entries.count())
        };
        assert!(eventually(|| count() >= Some(mails)));
        child.kill().expect("our own child");
        child.wait().expect("its end");
        assert!(eventually(|| nobody_is_left(&place)), "after {mails} mails");
    }
}
