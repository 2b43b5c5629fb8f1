//! Configurations that are an attack, or a blunder: nothing in one kills, holds up or fills whoever loads it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::harness::daemon::{Daemon, Setup, World, eventually};
use crate::harness::{Directory, Ran, mimicryd, run};

/// A rule whose text stands in a file.
const RULE: &str = "[[rule]]\nname = \"a\"\nplugin = \"disclaim\"\nmatch = { position = \"body\" }\n\
    options = { text_file = \"text\" }\n";

/// A command may take ten seconds of processor time, whatever else the machine does: it is killed then. One that waits for a file says so
/// after 60 s, which is not what a test expects.
fn check(directory: &Directory, name: &str) -> Ran {
    let mut command = Command::new("/bin/sh");
    let script = "ulimit -t 10; exec \"$0\" \"$@\"";
    command.args(["-c", script, env!("CARGO_BIN_EXE_mimicryd")]);
    command.args(["check", "-c", name]);
    command.env_clear().current_dir(directory.path());
    let ran = Ran::of(command.stdin(Stdio::null()).output().expect("a shell"));
    assert!(ran.err.len() < 500_000, "{} octets", ran.err.len());
    ran
}

/// What a mistake says, or one of several.
#[track_caller]
fn refused(directory: &Directory, name: &str, what: &str, said: &[&str]) {
    let ran = check(directory, name);
    let start: String = ran.err.chars().take(2000).collect();
    assert_eq!(ran.code, 78, "{what}: {start}");
    assert!(
        said.iter().any(|said| ran.err.contains(said)),
        "{what}: none of {said:?} in\n{start}"
    );
}

/// Texts that are too much for a template engine.
fn deep_templates() -> Vec<(&'static str, String)> {
    vec![
        ("not", format!("{{{{ {}x }}}}", "not ".repeat(40_000))),
        ("not, unclosed", format!("{{{{ {}x", "not ".repeat(40_000))),
        ("minus", format!("{{{{ {}1 }}}}", "-".repeat(160_000))),
        ("~", format!("{{{{ subject{} }}}}", "~'a'".repeat(40_000))),
        ("|", format!("{{{{ subject{} }}}}", "|upper".repeat(40_000))),
        ("[", format!("{{{{ {}1 }}}}", "[".repeat(100_000))),
        (
            "elif",
            format!("{{% if subject %}}{}", "{% elif subject %}".repeat(20_000)),
        ),
        ("if", "{% if subject %}".repeat(20_000)),
        ("a long number", format!("{{{{ {} }}}}", "9".repeat(66_000))),
    ]
}

// T183
// man: mimicryd(8) "A template may nest 200 statements, one expression may have 600 words and signs, and a number 38
// digits."
#[test]
fn a_deep_template_is_a_mistake() {
    let directory = Directory::new();
    directory.file("m.toml", RULE);
    for (what, text) in deep_templates() {
        directory.file("text", text);
        refused(&directory, "m.toml", what, &["text:1:"]);
    }
}

// T183
// man: mimicryd(8) "check, filter, explain and banks also take /dev/stdin and the /dev/fd of a shell as the
// configuration; file names in it are then relative to that directory."
#[test]
fn a_command_takes_a_configuration_that_it_was_given_open() {
    let directory = Directory::new();
    let rule = "[[rule]]\nname = \"a\"\nplugin = \"disclaim\"\noptions = { text = \"x\" }\n";
    let mail = "Subject: x\r\n\r\nHello\r\n";
    directory.file("mail", mail);
    for path in ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"] {
        let ran = run(directory.path(), &["check", "-c", path], rule.as_bytes());
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(ran.text().contains("1 rule"), "{}", ran.text());
        let explain = ["explain", "--to", "b@example.net", "-c", path, "mail"];
        let ran = run(directory.path(), &explain, rule.as_bytes());
        assert_eq!(ran.code, 0, "{}", ran.err);
    }
    // A shell gives the configuration and leaves the mail on its standard input.
    let script = "exec 9<<EOF\n".to_string()
        + rule
        + "EOF\nexec \"$0\" filter --from a@b --to c@d -c /dev/fd/9";
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_mimicryd")]);
    let mail_file = fs::File::open(directory.path().join("mail")).expect("the mail");
    let ran = Ran::of(command.stdin(mail_file).output().expect("a shell"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.text().contains("Hello"), "{}", ran.text());
    // A pipe without end is waited for as for any other, and a daemon takes none.
    let large = vec![b'#'; 17 << 20];
    let ran = run(directory.path(), &["check", "-c", "/dev/stdin"], &large);
    assert_eq!(ran.code, 78);
    assert!(ran.err.contains("larger than 16.0 MB"), "{}", ran.err);
    let ran = run(
        directory.path(),
        &["run", "-c", "/dev/stdin"],
        rule.as_bytes(),
    );
    assert_eq!(ran.code, 78, "{}", ran.err);
    assert!(ran.err.contains("/dev/stdin"), "{}", ran.err);
}

// T183: each rule has two patterns of its own, and there is a list of domains
#[test]
fn thousands_of_patterns_and_domains_are_read_in_time() {
    let directory = Directory::new();
    let rule = |number: usize| {
        format!(
            "[[rule]]\nname = \"r{number}\"\nplugin = \"remove\"\nmatch.filename = 'virus{number}\\.exe$'\n\
             unless.recipient = '@customer{number}\\.example$'\n"
        )
    };
    let list = "[[rule]]\nname = \"list\"\nplugin = \"keep\"\nmatch.sender_domain = \"file:domains.txt\"\n";
    let rules: String = (0..1_500).map(rule).collect();
    directory.file("m.toml", rules + list);
    let domains: String = (0..20_000)
        .map(|number| format!("d{number}.example\n"))
        .collect();
    directory.file("domains.txt", domains);
    let ran = check(&directory, "m.toml");
    assert_eq!(ran.code, 0, "{:.2000}", ran.err);
}

// T183: twice as many tables take twice the time
#[test]
fn thousands_of_tables_are_looked_at_in_time() {
    let directory = Directory::new();
    let many = |table: fn(usize) -> String| (0..5_000).map(table).collect::<String>();
    for (what, text) in [
        (
            "listeners",
            many(|number| {
                format!(
                    "[[listen]]\nname = \"l{number}\"\naddress = \"127.0.0.1:{}\"\n",
                    1_000 + number
                )
            }),
        ),
        (
            "rules",
            many(|number| {
                format!(
                    "[[rule]]\nname = \"r{number}\"\nplugin = \"header\"\noptions = {{ delete = [\"X-{number}\"] }}\n"
                )
            }),
        ),
    ] {
        directory.file("m.toml", text);
        let ran = check(&directory, "m.toml");
        assert_eq!(ran.code, 0, "{what}: {:.2000}", ran.err);
    }
    // Each bank has the settings of all before it.
    let bank = |number: usize| {
        let before = number.saturating_sub(1);
        format!(
            "[[bank]]\nname = \"b{number}\"\nwhen = {{ sender = \"a\" }}\ntrace = true\ninclude = [\"b{before}\"]\n"
        )
    };
    let chain: String = (0..300).map(bank).collect();
    directory.file("m.toml", chain.replacen("include = [\"b0\"]\n", "", 1));
    let said = "this bank has the settings of more than 100 others";
    refused(&directory, "m.toml", "a chain of banks", &[said]);
}

// T183
// man: mimicryd(8) "A file that is not UTF-8 is a mistake; the message names line and column of the first wrong
// octet."
#[test]
fn a_file_that_is_not_utf8_is_a_mistake() {
    let directory = Directory::new();
    let utf16: Vec<u8> = [0xff, 0xfe]
        .into_iter()
        .chain("a = 1\n".bytes().flat_map(|octet| [octet, 0]))
        .collect();
    for (content, place) in [
        (&b"# the rule\n# Gr\xf6\xdfe\n"[..], "m.toml:2:5\n"),
        (&utf16, "m.toml:1:1\n"),
        (b"a = \"\xc3", "m.toml:1:6\n"),
    ] {
        directory.file("m.toml", content);
        refused(&directory, "m.toml", place, &[place]);
        refused(
            &directory,
            "m.toml",
            place,
            &["help: save the file as UTF-8"],
        );
    }
    directory.file("m.toml", RULE);
    directory.file("text", b"one\n\xe9t\xe9");
    refused(
        &directory,
        "m.toml",
        "a text",
        &["text:2:1: this is not UTF-8: octet 0xe9"],
    );
}

// T183
// man: mimicryd(8) "A file is read only if it is a regular file of at most 16 MB; together the files may have 64
// MB."
// man: mimicryd(8) "A FIFO, a device, a directory or a file below /proc that never ends is a mistake, and the child
// does not wait for it."
#[test]
fn what_is_no_file_of_a_decent_size_is_a_mistake() {
    let directory = Directory::new();
    let path = directory.path().join("text");
    let link = |to: &str| {
        let _ = fs::remove_file(&path);
        std::os::unix::fs::symlink(to, &path).expect("a link");
    };
    mkfifo(&directory.path().join("fifo"), Mode::S_IRWXU).expect("a FIFO");
    fs::create_dir(directory.path().join("folder")).expect("a directory");
    let large = fs::File::create(directory.path().join("large")).expect("a file");
    large.set_len(20 << 20).expect("a large file");
    directory.file("m.toml", RULE);
    for to in ["fifo", "/dev/zero", "/dev/tty", "folder"] {
        link(to);
        refused(&directory, "m.toml", to, &["cannot read text: "]);
        refused(&directory, "text", to, &["cannot read text: "]);
    }
    link("large");
    refused(
        &directory,
        "m.toml",
        "large",
        &["text is larger than 16.0 MB"],
    );
    // Regular files by name, and whatever they are by content.
    for to in [
        "/proc/kmsg",
        "/proc/self/mem",
        "/proc/self/maps",
        "/proc/self/pagemap",
    ] {
        link(to);
        assert_eq!(check(&directory, "text").code, 78, "{to}");
    }
    // Each is small enough, and all of them are not.
    let mut rules = String::new();
    for number in 0..6 {
        let name = format!("large{number}");
        let file = fs::File::create(directory.path().join(&name)).expect("a file");
        file.set_len(15 << 20).expect("a large file");
        rules += &RULE
            .replace("\"a\"", &format!("\"{number}\""))
            .replace("\"text\"", &format!("\"{name}\""));
    }
    directory.file("m.toml", rules);
    refused(
        &directory,
        "m.toml",
        "all files",
        &["at most 64 MB together", "processor time"],
    );
}

// T183
// man: mimicryd(8) "At most 200 mistakes of a file are shown, and the rest is counted."
#[test]
fn a_file_that_is_too_much_is_a_mistake_within_ten_seconds_of_work() {
    let directory = Directory::new();
    let keys = |count: usize| -> String { (0..count).map(|key| format!("k{key} = 1\n")).collect() };
    let regexes: String = (0..500)
        .map(|number| {
            let size = 100 + number % 100;
            format!("[[rule]]\nname = \"{number}\"\nplugin = \"keep\"\nmatch = {{ filename = '[\\w\\s]{{{size}}}{number}' }}\n")
        })
        .collect();
    let nested = format!("{}{}", "(".repeat(20_000), ")".repeat(20_000));
    for (what, content, said) in [
        (
            "some unknown keys",
            keys(20_000),
            &["\nand 19800 more mistakes\n"][..],
        ),
        (
            "14 MB of unknown keys",
            keys(1_100_000),
            &["more mistakes", "processor time", "memory"],
        ),
        (
            "20 MB of unknown keys",
            keys(1_600_000),
            &["is larger than 16.0 MB"],
        ),
        ("regexes", regexes, &["processor time", "memory"]),
        (
            "a nested regex",
            format!("[[rule]]\nname = 'a'\nplugin = 'keep'\nmatch = {{ filename = '{nested}' }}\n"),
            &["nested"],
        ),
        (
            "brackets",
            format!("a = {}", "[".repeat(200_000)),
            &["m.toml:1:"],
        ),
        (
            "braces",
            format!("a = {}", "{a=".repeat(100_000)),
            &["m.toml:1:"],
        ),
        (
            "a dotted key",
            format!("{}a = 1\n", "a.".repeat(200_000)),
            &["m.toml:1:"],
        ),
        (
            "a dotted header",
            format!("[{}a]\n", "a.".repeat(200_000)),
            &["m.toml:1:"],
        ),
        (
            "one line",
            format!("a = \"{}\"\n", "x".repeat(14 << 20)),
            &["m.toml:1:1\n"],
        ),
    ] {
        directory.file("m.toml", content);
        refused(&directory, "m.toml", what, said);
    }
}

fn put(path: &Path, content: &str) {
    let _ = fs::remove_file(path);
    fs::write(path, content).expect("a file");
}

// T183
// man: mimicryd(8) "A configuration that reaches one of these limits is a mistake like any other: the command exits
// 78, and a running daemon keeps its old configuration and goes on serving."
#[test]
fn a_reload_of_what_kills_or_hangs_changes_nothing() {
    let mut world = World::new(Setup {
        rules: RULE,
        daemon: "workers = { min = 1, max = 2, spare = 0 }",
        shell: "printf Footer >text",
        errors: &["configuration refused"],
        ..Setup::default()
    });
    world.alive();
    let daemon = world.daemon();
    let path = daemon.directory.path().join("text");
    let refuse = |daemon: &mut Daemon, what: &str| {
        let ran = daemon.command(&["reload"]);
        daemon.notice("READY=1");
        assert_eq!(ran.code, 78, "{what}: {}", ran.err);
        let said = "the configuration was refused, the old one stays in force";
        assert!(ran.err.contains(said), "{what}: {}", ran.err);
    };
    for (what, text) in deep_templates() {
        put(&path, &text);
        refuse(daemon, what);
    }
    fs::remove_file(&path).expect("the text");
    mkfifo(&path, Mode::S_IRWXU).expect("a FIFO");
    refuse(daemon, "a FIFO");
    let refusals = |daemon: &Daemon| daemon.log().matches("configuration refused").count();
    let before = refusals(daemon);
    daemon.signal(Signal::SIGHUP);
    assert!(
        eventually(|| refusals(daemon) > before),
        "HUP is not answered"
    );
    fs::remove_file(&path).expect("the FIFO");
    std::os::unix::fs::symlink("/dev/zero", &path).expect("a link");
    refuse(daemon, "/dev/zero");
    put(&path, "Footer");
    let latin1 = daemon.directory.path().join("mimicry.toml");
    let sound = fs::read(&latin1).expect("the configuration");
    fs::write(&latin1, [sound.as_slice(), b"# Gr\xf6\xdfe\n"].concat()).expect("the configuration");
    refuse(daemon, "Latin-1");
    fs::write(&latin1, sound).expect("the configuration");
    assert_eq!(daemon.command(&["reload"]).code, 0);
    assert!(daemon.zombies() == 0 || eventually(|| daemon.zombies() == 0));
    world.alive();
}

// T183
// man: mimicryd(8) "The daemon serves while the configuration is loaded."
#[test]
fn the_master_goes_on_while_a_configuration_is_loaded() {
    let mut world = World::new(Setup {
        daemon: "workers = { min = 1, max = 2, spare = 0 }",
        errors: &["configuration refused", "was killed by SIGKILL"],
        ..Setup::default()
    });
    let daemon = world.daemon();
    let mut rules = String::new();
    for number in 0..500 {
        rules += &format!(
            "[[rule]]\nname = \"{number}\"\nplugin = \"keep\"\nmatch = {{ filename = '[\\w\\s]{{199}}{number}' }}\n"
        );
    }
    daemon.change("[relay]", &format!("{rules}[relay]"));
    let daemon = &*daemon;
    let worker = daemon.workers()[0];
    let before = daemon.helpers();
    let others = || daemon.workers().iter().any(|one| *one != worker);
    thread::scope(|scope| {
        let reload = scope.spawn(|| daemon.command(&["reload"]));
        assert!(
            eventually(|| daemon.helpers().iter().any(|one| !before.contains(one))),
            "no child loads it"
        );
        // A worker that dies is replaced at once, though the child is at work for seconds.
        kill(worker, Signal::SIGKILL).expect("a worker");
        assert!(eventually(others), "the worker is not replaced");
        assert_eq!(daemon.command(&["status"]).code, 0);
        assert!(!reload.is_finished());
        let ran = reload.join().expect("the reload");
        assert_eq!(ran.code, 78, "{}", ran.err);
    });
    world.alive();
}

// T183: what the child lacks is the processor, and more of it comes
// man: mimicryd(8) "it may take 5 seconds of processor time, 1 GB of memory and 4 MB of stack, and 60 seconds in all, which only a disk that
// does not answer or a machine that has no time for it comes to."
#[test]
fn a_child_that_gets_no_time_is_waited_for() {
    /// What was once too much.
    const LONG: Duration = Duration::from_secs(9);
    let mut world = World::new(Setup {
        daemon: "workers = { min = 1, max = 2, spare = 0 }",
        ..Setup::default()
    });
    let daemon = world.daemon();
    // Most of a second of work: enough to find the child at it, and far less than it may take.
    let rules: String = (0..100)
        .map(|number| {
            format!(
                "[[rule]]\nname = \"{number}\"\nplugin = \"keep\"\nmatch = {{ filename = '[\\w\\s]{{50}}{number}' }}\n"
            )
        })
        .collect();
    daemon.change("[relay]", &format!("{rules}[relay]"));
    let before = daemon.helpers();
    let mut command = mimicryd();
    command.args(["reload", "-c", "mimicry.toml"]);
    command.current_dir(daemon.directory.path());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut reload = command.spawn().expect("a command");
    // The first that the master starts.
    let mut child = None;
    let begun = eventually(|| {
        let mut new = daemon.helpers();
        new.retain(|helper| !before.contains(helper));
        child = new.into_iter().min();
        child.is_some()
    });
    assert!(begun, "no child loads it");
    let child = child.expect("a child");
    kill(child, Signal::SIGSTOP).expect("the child");
    // Mail passes meanwhile, one after the other.
    let begin = Instant::now();
    while begin.elapsed() < LONG {
        world.alive();
    }
    let helpers = world.daemon().helpers();
    assert!(helpers.contains(&child), "it is no longer waited for");
    assert!(reload.try_wait().expect("the reload").is_none());
    kill(child, Signal::SIGCONT).expect("the child");
    let ran = Ran::of(reload.wait_with_output().expect("the reload"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    world.alive();
}
