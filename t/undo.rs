//! The way back: configurations that were in force are kept, compared, and put in force again.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::{Arc, Mutex};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};

use crate::harness::daemon::{Daemon, PLAIN, Setup, World, eventually};
use crate::harness::hop::{Act, Stage};
use crate::harness::{Ran, contains, pack, run};

/// A footer in a file of its own, which is what people change.
const FOOTER: &str = "[[rule]]\nname = \"footer\"\nplugin = \"disclaim\"\n\
    options = { text_file = \"footer.txt\", html_file = \"footer.txt\" }\n";

/// A daemon whose footer says this, and that can be started again.
fn world() -> World {
    let mut world = World::new(Setup {
        // Its file is not there yet.
        rules: "",
        errors: &["configuration refused", "was killed by SIGKILL"],
        ..Setup::default()
    });
    let daemon = world.daemon();
    footer(daemon, "good words");
    let path = daemon.directory.path().join("mimicry.toml");
    let text = fs::read_to_string(&path).expect("the configuration");
    fs::write(path, text + FOOTER).expect("the configuration");
    done(&daemon.command(&["reload"]));
    world
}

fn footer(daemon: &Daemon, words: &str) {
    daemon.directory.file("footer.txt", format!("{words}\n"));
}

#[track_caller]
fn done(ran: &Ran) -> String {
    assert_eq!(ran.code, 0, "{}\n{}", ran.text(), ran.err);
    ran.text().to_string()
}

#[track_caller]
fn has(world: &World, words: &str) {
    let message = world.pass(PLAIN);
    assert!(
        contains(&message, words.as_bytes()),
        "{}",
        message.escape_ascii()
    );
}

// man: mimicryd(8) "Each configuration that comes into force is kept with all the files that it was made of"
// man: mimicryd(8) "lists the mails that the configuration of a generation changed"
// man: mimicryd(8) "what was there before is kept as a generation too, and the daemon loads the files"
#[test]
fn a_bad_footer_is_taken_back() {
    let mut world = world();
    has(&world, "good words");
    let daemon = world.daemon();
    footer(daemon, "bad words");
    done(&daemon.command(&["reload"]));
    has(&world, "bad words");
    let daemon = world.daemon();
    let list = done(&daemon.command(&["generations"]));
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 3, "{list}");
    assert!(
        lines[2].starts_with("3  ") && lines[2].ends_with("footer.txt changed"),
        "{list}"
    );
    let diff = done(&daemon.command(&["generations", "diff", "2", "3"]));
    assert!(diff.contains("\n-good words\n+bad words\n"), "{diff}");
    assert!(
        eventually(|| daemon.mail_lines().len() == 2),
        "{}",
        daemon.said()
    );
    // Also when the log was rotated away and compressed meanwhile.
    let directory = daemon.directory.path();
    let log = fs::read_to_string(directory.join("log")).expect("the log");
    for place in ["log", "log.2.gz"] {
        if place != "log" {
            pack(&directory.join("log"), &directory.join(place));
            daemon.signal(Signal::SIGUSR1);
            daemon.logs("log reopened");
        }
        let mails = done(&daemon.command(&["trace", "--generation", "3"]));
        assert_eq!(mails.lines().count(), 1, "{place}: {mails}");
        assert!(
            mails.ends_with("<anna@example.org> -> <bob@example.net>  footer\n"),
            "{place}: {mails}"
        );
    }
    let lines = File::options().append(true).open(directory.join("log"));
    lines
        .and_then(|mut lines| lines.write_all(log.as_bytes()))
        .expect("the log");
    let none = daemon.command(&["trace", "--generation", "1"]);
    assert_eq!((none.code, none.text()), (65, ""));
    assert!(
        none.err.contains("no mail was changed by generation 1 "),
        "{}",
        none.err
    );
    let ran = daemon.command(&["trace", "--generation", "9"]);
    assert_eq!(ran.code, 64);
    assert!(ran.err.contains("there is no generation 9"), "{}", ran.err);
    // Nobody is there to say yes.
    let ran = daemon.command(&["rollback"]);
    assert_eq!(ran.code, 64, "{}", ran.err);
    assert!(
        ran.err.contains("footer.txt is written back"),
        "{}",
        ran.err
    );
    assert_eq!(
        fs::read(daemon.directory.path().join("footer.txt")).unwrap(),
        b"bad words\n"
    );
    let said = done(&daemon.command(&["rollback", "--yes"]));
    assert!(said.contains("is in force, generation 4"), "{said}");
    has(&world, "good words");
    // And back: without a number it is the last one that is not what is there now.
    let said = done(&world.daemon().command(&["rollback", "--yes"]));
    assert!(said.starts_with("generation 3, "), "{said}");
    has(&world, "bad words");
    let said = done(&world.daemon().command(&["rollback", "2", "--yes"]));
    assert!(said.contains("is in force, generation 6"), "{said}");
    has(&world, "good words");
}

// man: mimicryd(8) "The file need not load, and the daemon need not run"
#[test]
fn a_broken_file_and_a_daemon_that_is_down_are_no_hindrance() {
    let mut world = world();
    let daemon = world.daemon();
    let path = daemon.directory.path().join("mimicry.toml");
    let good = fs::read(&path).expect("the configuration");
    // Not even its tables are there any more.
    fs::write(&path, "[[[").expect("the configuration");
    fs::remove_file(daemon.directory.path().join("footer.txt")).expect("the footer");
    let ran = daemon.command(&["rollback", "--yes"]);
    assert_ne!(ran.code, 0, "nobody knows where they are: {}", ran.text());
    let said = done(&daemon.command(&["rollback", "--yes", "--state", "state"]));
    assert!(said.contains("footer.txt is made again"), "{said}");
    assert!(said.contains("what was there is generation 3"), "{said}");
    assert_eq!(fs::read(&path).expect("the configuration"), good);
    has(&world, "good words");
    // What it overwrote can be had back, though nothing would load it.
    let daemon = world.daemon();
    let list = done(&daemon.command(&["generations"]));
    assert!(list.contains("never in force"), "{list}");
    let ran = daemon.command(&["rollback", "3", "--yes"]);
    assert_eq!(ran.code, 78, "{}", ran.err);
    assert!(
        ran.err
            .contains("does not load any more; nothing was changed"),
        "{}",
        ran.err
    );
    // One with a mistake that says where they are.
    daemon.change("[relay]", "nonsense = 1\n[relay]");
    daemon.command(&["stop"]);
    daemon.ends();
    let said = done(&daemon.command(&["rollback", "--yes"]));
    assert!(said.contains("no daemon runs"), "{said}");
    assert_eq!(fs::read(&path).expect("the configuration"), good);
}

// man: mimicryd(8) "A process of its own writes it, so that a disk that is slow or hangs holds nobody up"
#[test]
fn a_slow_disk_holds_nobody_up() {
    let mut world = world();
    let place = world.daemon().directory.path().to_path_buf();
    let slow = || {
        let file = File::open(place.join("state/generations/lock")).expect("the lock");
        Flock::lock(file, FlockArg::LockExclusive).expect("the lock")
    };
    let listed = || {
        let ran = run(&place, &["generations", "-c", "mimicry.toml"], b"");
        done(&ran).lines().count()
    };
    assert!(eventually(|| listed() == 2));
    let held = slow();
    let daemon = world.daemon();
    footer(daemon, "slow words");
    let said = done(&daemon.command(&["reload"]));
    assert!(said.contains("is in force, generation 3"), "{said}");
    // The master goes on: mail passes, and who dies is replaced.
    let worker = daemon.workers()[0];
    kill(worker, Signal::SIGKILL).expect("a worker");
    has(&world, "slow words");
    let daemon = world.daemon();
    assert!(eventually(|| !daemon.workers().contains(&worker)));
    assert_eq!(listed(), 2);
    drop(held);
    assert!(eventually(|| listed() == 3));
    // Nor is the end held up, and what was in force is kept all the same when the disk goes on.
    let held = slow();
    let daemon = world.daemon();
    footer(daemon, "last words");
    done(&daemon.command(&["reload"]));
    done(&daemon.command(&["stop"]));
    assert!(daemon.ends().success());
    assert_eq!(listed(), 3);
    drop(held);
    assert!(eventually(|| listed() == 4));
}

// man: mimicryd(8) "If the directory cannot be written, the log says at the start that the configuration is not kept."
#[test]
fn a_state_that_cannot_be_written_is_said() {
    let mut world = World::new(Setup {
        daemon: "state = \"/proc/mimicry\"",
        ..Setup::default()
    });
    world
        .daemon()
        .logs("this configuration is not kept in /proc/mimicry/generations: ");
    world.pass(PLAIN);
}

// man: mimicryd(8) "What is kept can be read by root alone, or by the user who starts the daemon"
#[test]
fn what_is_kept_is_nobody_elses_and_secrets_are_not_shown() {
    let mut world = World::new(Setup::default());
    let daemon = world.daemon();
    let secret = daemon.directory.file("password", "swordfish\n");
    let private = fs::Permissions::from_mode(0o600);
    fs::set_permissions(&secret, private.clone()).expect("a mode");
    let path = daemon.directory.path().join("mimicry.toml");
    let text = fs::read_to_string(&path).expect("the configuration");
    let rule =
        "[[rule]]\nname = \"z\"\nplugin = \"zip\"\noptions = { password_file = \"password\" }\n";
    fs::write(&path, format!("{text}{rule}")).expect("the configuration");
    done(&daemon.command(&["reload"]));
    fs::write(&secret, "tunafish\n").expect("the secret");
    done(&daemon.command(&["reload"]));
    let diff = done(&daemon.command(&["generations", "diff", "2", "3"]));
    assert!(
        diff.contains("password") && !diff.contains("fish"),
        "{diff}"
    );
    fs::remove_file(&secret).expect("the secret");
    done(&daemon.command(&["rollback", "2", "--yes"]));
    assert_eq!(fs::read(&secret).expect("the secret"), b"swordfish\n");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&secret), 0o600);
    let kept = daemon.directory.path().join("state/generations");
    assert_eq!((mode(&kept), mode(&kept.join("files"))), (0o700, 0o700));
    for file in fs::read_dir(kept.join("files")).expect("contents") {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
    // Numbers go on after a restart that finds the same files.
    let ran = run(
        daemon.directory.path(),
        &["generations", "-c", "mimicry.toml", "--json"],
        b"",
    );
    let list: serde_json::Value = serde_json::from_str(&done(&ran)).expect("JSON");
    assert_eq!(list[3]["first"], 4, "{list}");
}

/// A directory of the workers' user, and the rules that keep mails and parts there.
fn stores() -> (crate::harness::Directory, std::path::PathBuf, String) {
    let (directory, archive) = crate::archive::place();
    let kept = archive.join("kept");
    fs::create_dir(&kept).expect("a directory");
    let owner = fs::metadata(&archive).expect("the archive");
    std::os::unix::fs::chown(&kept, Some(owner.uid()), Some(owner.gid()))
        .expect("our own directory");
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o700)).expect("a mode");
    let rules = format!(
        "[[rule]]\nname = \"copy\"\nplugin = \"archive\"\noptions = {{ dir = \"{0}/{{{{ date }}}}\", layout = \"files\", sidecar = true, compress = \"gzip\" }}\n\
         [[rule]]\nname = \"aside\"\nplugin = \"remove\"\nmatch = {{ type = '^application/' }}\noptions = {{ keep = \"{0}/kept\" }}\n",
        archive.display()
    );
    (directory, archive, rules)
}

const WITH_PART: &[u8] = b"From: Anna <anna@example.org>\r\nTo: bob@example.net\r\nSubject: the plan\r\nMessage-ID: <p@example.org>\r\n\
    MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello\r\n\
    --b\r\nContent-Type: application/pdf; name=\"Pl\xc3\xa4ne.pdf\"\r\n\r\n%PDF plans\r\n--b--\r\n";

/// What an archive calls it by.
fn digest_with_part() -> String {
    mimicry_core::message::digest::Digest::of(&mimicry_core::message::Message::scan(
        WITH_PART.to_vec(),
        &mimicry_core::message::Limits::default(),
    ))
    .to_string()
}

// man: mimicryd(8) "shows what it is, who sent it to whom, and for whom it was restored"
// man: mimicryd(8) "It is handed to each recipient once"
#[test]
fn an_archived_mail_is_shown_written_out_and_handed_on_once() {
    let (_directory, _, rules) = stores();
    let mut world = World::new(Setup {
        rules: &rules,
        ..Setup::default()
    });
    let arrived = world.pass(WITH_PART);
    assert!(!contains(&arrived, b"%PDF"), "{}", arrived.escape_ascii());
    let digest = digest_with_part();
    let daemon = world.daemon();
    let shown = done(&daemon.command(&["restore", &digest[..12]]));
    for piece in [
        "anna@example.org",
        "bob@example.net",
        "the plan",
        "application/pdf",
    ] {
        assert!(shown.contains(piece), "{piece}: {shown}");
    }
    assert_eq!(daemon.command(&["restore", "0123456789ab"]).code, 69);
    assert_eq!(daemon.command(&["restore", &digest[..4]]).code, 64);
    let ran = daemon.command(&["restore", &digest, "-o", "-"]);
    // As it came: the trace field is put on top later.
    assert!(ran.out.ends_with(WITH_PART), "{}", ran.out.escape_ascii());
    done(&daemon.command(&["restore", &digest, "-o", "copy.eml"]));
    let path = daemon.directory.path().join("copy.eml");
    assert_eq!(fs::metadata(&path).expect("the copy").mode() & 0o777, 0o600);
    assert_ne!(
        daemon.command(&["restore", &digest, "-o", "copy.eml"]).code,
        0,
        "it is not overwritten"
    );
    let said = done(&daemon.command(&["restore", &digest, "--deliver"]));
    assert!(
        said.starts_with("handed on for bob@example.net by smtp://"),
        "{said}"
    );
    daemon.logs("restored ");
    let again = world.hop.only_mail();
    assert!(
        again.from.starts_with("<anna@example.org>"),
        "{}",
        again.from
    );
    assert_eq!(again.to.len(), 1);
    let message = again.message();
    assert!(
        message.starts_with(b"Resent-Date: ") && message.ends_with(WITH_PART),
        "{}",
        message.escape_ascii()
    );
    assert!(contains(&message, b"\r\nResent-From: postmaster@mimicry.test\r\nResent-To: bob@example.net\r\nResent-Message-ID: <"));
    let daemon = world.daemon();
    let ran = daemon.command(&["restore", &digest, "--deliver"]);
    assert_eq!(ran.code, 64, "{}", ran.text());
    assert!(
        ran.err.contains("bob@example.net has it since "),
        "{}",
        ran.err
    );
    let shown = done(&daemon.command(&["restore", &digest]));
    assert!(
        shown.contains("restored    for bob@example.net, "),
        "{shown}"
    );
    assert!(world.hop.mails().is_empty());
    let daemon = world.daemon();
    done(&daemon.command(&["restore", &digest, "--deliver", "--to", "cy@example.net"]));
    done(&daemon.command(&["restore", &digest, "--deliver", "--again"]));
    assert_eq!(world.hop.mails().len(), 2);
}

// man: mimicryd(8) "What is unpacked may be twice as large as limits.mail and 1 MB more."
#[test]
fn an_archive_that_workers_filled_does_not_fill_the_memory_of_root() {
    let (_directory, archive, rules) = stores();
    let mut world = World::new(Setup {
        limits: "mail = \"1M\"",
        rules: &rules,
        ..Setup::default()
    });
    world.pass(WITH_PART);
    let digest = digest_with_part();
    let days = fs::read_dir(&archive).expect("the archive");
    let files = days
        .flatten()
        .filter_map(|day| fs::read_dir(day.path()).ok());
    let kept = files.flatten().flatten().map(|entry| entry.path());
    let kept = kept.filter(|path| path.extension().is_some_and(|end| end == "gz"));
    let kept = kept.last().expect("the mail");
    for (size, code) in [(3 << 20, 0), ((3 << 20) + 1, 74)] {
        let file = fs::File::create(&kept).expect("the mail");
        let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        encoder.write_all(&vec![b'a'; size]).expect("octets");
        encoder.finish().expect("octets");
        let ran = world.daemon().command(&["restore", &digest, "-o", "-"]);
        assert_eq!(
            (ran.code, ran.out.len()),
            (code, if code == 0 { size } else { 0 }),
            "{}",
            ran.err
        );
        let said = "it holds more than 3.0 MB, far more than a mail may have (limits.mail)";
        assert_eq!(ran.err.contains(said), code != 0, "{}", ran.err);
    }
}

/// Whoever ends the command while the next hop of the second class is silent does not make the first one get it again.
#[test]
fn who_has_a_mail_is_noted_before_the_others_are_served() {
    let (_directory, _, rules) = stores();
    let for_cy = "[[rule]]\nname = \"for cy\"\nplugin = \"header\"\nmatch = { recipient = '^cy@' }\noptions = { add = { X-Cy = \"1\" } }\n";
    let mut world = World::new(Setup {
        rules: &(rules + for_cy),
        ..Setup::default()
    });
    world.pass(WITH_PART);
    let restored = world.daemon().directory.path().join("state/restored");
    let noted = Arc::new(Mutex::new(Vec::new()));
    let at_the_dot = Arc::clone(&noted);
    world.hop.behave(move |moment| {
        if moment.stage == Stage::Dot {
            let names = fs::read_dir(&restored).expect("what was restored");
            at_the_dot.lock().expect("a lock").push(names.count());
        }
        Act::Normal
    });
    let digest = digest_with_part();
    let both = ["--to", "bob@example.net", "--to", "cy@example.net"];
    let command = [&["restore", digest.as_str(), "--deliver"], &both[..]].concat();
    done(&world.daemon().command(&command));
    assert_eq!(*noted.lock().expect("a lock"), [0, 1]);
}

// man: mimicryd(8) "While one restore hands something on, another one does not."
#[test]
fn of_two_at_a_time_one_hands_a_mail_on() {
    let (_directory, _, rules) = stores();
    let mut world = World::new(Setup {
        rules: &rules,
        ..Setup::default()
    });
    world.pass(WITH_PART);
    let directory = world.daemon().directory.path().to_path_buf();
    let digest = digest_with_part();
    let command = [
        "restore",
        "-c",
        "mimicry.toml",
        digest.as_str(),
        "--deliver",
    ];
    world.hop.at(Stage::Dot, Act::Hold);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| run(&directory, &command, b""));
        world.hop.wait("the first", |record| record.held == 1);
        let second = run(&directory, &command, b"");
        assert!(second.err.contains("another restore hands something on"));
        world.hop.release();
        done(&first.join().expect("a run"));
    });
    assert_eq!(world.hop.mails().len(), 1);
}

// man: mimicryd(8) "A part comes as the attachment of a new mail"
#[test]
fn a_removed_part_comes_back() {
    let (_directory, _, rules) = stores();
    let mut world = World::new(Setup {
        rules: &rules,
        ..Setup::default()
    });
    world.pass(WITH_PART);
    let sha256 = mimicry_core::message::digest::Digest::of_octets(b"%PDF plans").to_string();
    let daemon = world.daemon();
    let shown = done(&daemon.command(&["restore", &sha256]));
    assert!(shown.contains("\"Pläne.pdf\", application/pdf"), "{shown}");
    assert_eq!(
        daemon.command(&["restore", &sha256, "-o", "-"]).out,
        b"%PDF plans"
    );
    done(&daemon.command(&["restore", &sha256, "--deliver"]));
    let message = world.hop.only_mail().message();
    for piece in [
        "\r\nTo: bob@example.net\r\n",
        "filename*=utf-8''Pl%C3%A4ne.pdf\r\n",
        "\r\n\r\nJVBERiBwbGFucw==\r\n",
    ] {
        assert!(
            contains(&message, piece.as_bytes()),
            "{piece:?}: {}",
            message.escape_ascii()
        );
    }
    assert_eq!(
        world
            .daemon()
            .command(&["restore", &sha256, "--deliver"])
            .code,
        64
    );
}
