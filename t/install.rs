//! What is put in place on a machine: the list of files, the configuration that they bring, the completions of shells; and what `check`
//! says of a machine.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::harness::daemon::{Setup, World};
use crate::harness::{Directory, run, with};

fn install(root: &Path, more: &[&str]) -> crate::harness::Ran {
    let root = root.to_str().expect("a name");
    let args: Vec<&str> = ["install", "--root", root]
        .iter()
        .chain(more)
        .copied()
        .collect();
    run(Path::new("/"), &args, b"")
}

/// Kind, mode, owner, path and what becomes of it, of each line.
fn lines(text: &str) -> Vec<(&str, u32, &str, &str, &str)> {
    let line = |line: &'_ str| -> Option<(_, _, _, _, _)> {
        let (rest, fate) = line.strip_suffix(')')?.split_once(" (")?;
        let mut words = rest.split_whitespace();
        let (kind, mode, owner, path) =
            (words.next()?, words.next()?, words.next()?, words.next()?);
        let start = |part: &str| part.as_ptr() as usize - line.as_ptr() as usize;
        let of = |part: &str| start(part)..start(part) + part.len();
        Some((
            of(kind),
            u32::from_str_radix(mode, 8).ok()?,
            of(owner),
            of(path),
            of(fate),
        ))
    };
    text.lines()
        .map(|text| {
            let (kind, mode, owner, path, fate) = line(text).expect("a line of the list");
            (&text[kind], mode, &text[owner], &text[path], &text[fate])
        })
        .collect()
}

// man: mimicryd(8) "prints each file and directory with owner and mode, and what would become of it."
// man: mimicryd(8) "A file of the configuration that was edited is never replaced; what a new version has instead is among the samples."
#[test]
fn everything_is_put_in_place_and_what_was_edited_stays() {
    let directory = Directory::new();
    let root = directory.path().join("root");
    let planned = install(&root, &["--prefix", "/usr", "--dry-run"]);
    assert_eq!((planned.code, planned.err.as_str()), (0, ""));
    assert!(!root.exists(), "a dry run makes something");
    let planned = lines(planned.text());
    assert!(planned.len() > 30, "{planned:?}");

    let done = install(&root, &["--prefix", "/usr"]);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    assert_eq!(lines(done.text()), planned);
    for (kind, mode, owner, path, fate) in planned {
        let facts = fs::metadata(root.join(&path[1..])).expect("it is there");
        assert_eq!(facts.permissions().mode() & 0o7777, mode, "{path}");
        assert_eq!(
            (facts.is_dir(), owner, fate),
            (kind == "dir", "root:root", "new"),
            "{path}"
        );
    }

    let conf = root.join("etc/mimicry/mimicry.toml");
    let man = root.join("usr/share/man/man8/mimicryd.8");
    for path in [&conf, &man] {
        fs::write(path, "edited").expect("a file");
    }
    let again = install(&root, &["--prefix", "/usr"]);
    assert_eq!(again.code, 0, "{}", again.err);
    for (_, _, _, path, fate) in lines(again.text()) {
        let expected = match path {
            "/etc/mimicry/mimicry.toml" => "edited here: it stays as it is",
            "/usr/share/man/man8/mimicryd.8" => "replaced",
            _ => "there already",
        };
        assert_eq!(fate, expected, "{path}");
    }
    assert_eq!(fs::read(&conf).expect("a file"), b"edited");
    assert!(fs::read(&man).expect("a file").len() > 1000);
}

// man: mimicryd(8) "Where install puts the program and its files; the default is /usr/local."
#[test]
fn what_names_the_program_names_it_where_it_is() {
    let directory = Directory::new();
    let done = install(directory.path(), &[]);
    assert_eq!(done.code, 0, "{}", done.err);
    let unit = directory
        .path()
        .join("usr/local/lib/systemd/system/mimicryd.service");
    let unit = fs::read_to_string(unit).expect("a unit");
    assert!(
        unit.contains("ExecStart=/usr/local/sbin/mimicryd run"),
        "{unit}"
    );
    assert!(!unit.contains("/usr/sbin/mimicryd"));
    let script =
        fs::read_to_string(directory.path().join("etc/init.d/mimicryd")).expect("a script");
    assert!(script.contains("MIMICRYD=/usr/local/sbin/mimicryd"));
    for wrong in [["--prefix", "usr"], ["--root", "here"]] {
        let ran = run(
            directory.path(),
            &["install", "--dry-run", wrong[0], wrong[1]],
            b"",
        );
        assert_eq!(ran.code, 64, "{wrong:?}");
    }
}

// man: mimicryd(8) "starts the daemon with a configuration that listens on 127.0.0.1:10025 and changes nothing"
#[test]
fn the_configuration_that_comes_with_it_loads_and_changes_nothing() {
    let shipped = include_str!("../etc/package/mimicry.toml");
    let checked = with(shipped, &["check", "--offline"], b"");
    assert_eq!((checked.code, checked.err.as_str()), (0, ""));
    assert!(
        checked
            .text()
            .starts_with("m.toml: no rules, no warnings\n")
    );
    let mail = b"From: a@example.org\r\nTo: b@example.net\r\nSubject: s\r\n\r\ntext\r\n";
    let filter = ["filter", "--from", "a@example.org", "--to", "b@example.net"];
    assert_eq!(with(shipped, &filter, mail).out, mail);
    // What it says about switching the footer on is so.
    let switched: String = shipped
        .split_inclusive('\n')
        .map(|line| {
            line.strip_prefix('#')
                .filter(|rest| !rest.starts_with(' ') && rest.len() > 1)
                .unwrap_or(line)
        })
        .collect();
    let footed = with(&switched, &filter, mail);
    assert_eq!(footed.code, 0, "{}", footed.err);
    assert!(
        footed
            .text()
            .contains("text\r\n\r\nExample Ltd, Exampletown\r\n"),
        "{}",
        footed.text()
    );
}

// man: mimicryd(8) "Prints the completions of a shell:"
#[test]
fn completions_know_commands_and_options() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = run(Path::new("/"), &["completions", shell], b"");
        assert_eq!(ran.code, 0, "{}", ran.err);
        for word in ["explain", "install", "dry-run", "offline"] {
            assert!(ran.text().contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(run(Path::new("/"), &["completions", "sh"], b"").code, 64);
}

// man: mimicryd(8) "nothing of the machine is looked at and no daemon is asked, and one line says what was left out"
#[test]
fn a_file_for_another_machine_is_checked_offline() {
    let config = "[daemon]\nuser = \"no-such-user\"\n[log]\ntarget = \"file:/no/such/log\"\n[[rule]]\nname = \"a\"\nplugin = \"archive\"\n\
        options = { dir = \"/no/such/archive\" }\n";
    let here = with(config, &["check"], b"");
    assert_eq!(here.code, 78);
    let offline = with(config, &["check", "--offline"], b"");
    assert_eq!((offline.code, offline.err.as_str()), (0, ""));
    let said = offline.text().lines().nth(1).unwrap_or_default();
    assert!(said.starts_with("not looked at: "), "{said}");
    for left_out in [
        "user no-such-user",
        "log /no/such/log",
        "directory /no/such/archive",
        "the ledger",
        "the daemon that runs",
    ] {
        assert!(said.contains(left_out), "{left_out}: {said}");
    }
    // A mistake of the file itself is one everywhere.
    assert_eq!(with("x = 1\n", &["check", "--offline"], b"").code, 78);
}

// man: mimicryd(8) "If a daemon runs with the same file, it is asked as well"
#[test]
fn a_daemon_that_runs_says_what_it_would_refuse() {
    let mut world = World::new(Setup::default());
    let daemon = world.daemon();
    let control = daemon.directory.path().join("control");
    let ask = || {
        use std::io::{Read, Write};
        let mut stream = std::os::unix::net::UnixStream::connect(&control).expect("a daemon");
        stream.write_all(b"check\n").expect("a question");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    };
    let path = daemon.directory.path().join("mimicry.toml");
    let sound = fs::read_to_string(&path).expect("a file");
    assert_eq!(ask(), format!("0\n{}\n\n", path.display()));
    fs::write(&path, format!("nonsense = 1\n{sound}")).expect("a file");
    let said = ask();
    assert!(
        said.starts_with(&format!("78\n{}\n", path.display())),
        "{said}"
    );
    assert!(said.contains("unknown key `nonsense`"), "{said}");
    fs::write(&path, sound).expect("a file");
    assert_eq!(daemon.command(&["check"]).code, 0);
    // Nothing was put in force, and nothing refused.
    assert!(daemon.command(&["status"]).text().contains("generation 1,"));
    world.alive();
}

// man: mimicryd(8) "One line says whether the ledger is in force, or why not."
#[test]
fn status_and_check_say_whether_the_ledger_is_in_force() {
    let mut world = World::new(Setup::default());
    let daemon = world.daemon();
    let ledger = daemon.directory.path().join("spool/ledger");
    let line = format!("ledger {}\n", ledger.display());
    for command in ["status", "check"] {
        let ran = daemon.command(&[command]);
        assert!(ran.text().contains(&line), "{command}: {}", ran.text());
    }
    fs::remove_dir(&ledger).expect("an empty ledger");
    fs::write(&ledger, "").expect("a file");
    for command in ["status", "check"] {
        let ran = daemon.command(&[command]);
        let said = ran.text();
        assert!(
            said.contains("ledger not in force: ") && said.contains("ledger is no directory"),
            "{command}: {said}"
        );
    }
    fs::remove_file(&ledger).expect("our file");
    let status = daemon.command(&["status", "--json"]);
    assert!(status.text().contains("\"ledger\": {"), "{}", status.text());
}
