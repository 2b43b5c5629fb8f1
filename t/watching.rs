//! The daemon as an administrator watches it: `status` on a narrow terminal, for programs and for Nagios, and `top`; the journal, and
//! `trace`, which finds a mail in the logs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::Pid;

use mimicryd::status::KeyStatus;

use crate::harness::daemon::{
    Daemon, PLAIN, Setup, World, eventually, open_directory, open_to_all,
};
use crate::harness::hop::Stage;
use crate::harness::{Ran, mimicryd, pack};

/// The program on a terminal that is this wide.
fn wide(daemon: &Daemon, columns: &str, args: &[&str]) -> Ran {
    let mut command = mimicryd();
    command
        .args(args)
        .args(["-c", "mimicry.toml"])
        .env("COLUMNS", columns)
        .current_dir(daemon.directory.path());
    Ran::of(command.output().expect("it runs"))
}

// man: mimicryd(8) "On a terminal no line but of a long name is wider than it"
#[test]
fn status_fits_a_terminal_of_80_columns() {
    let mut world = World::new(Setup::default());
    world.alive();
    let wide_text = wide(world.daemon(), "132", &["status"]);
    assert!(
        wide_text.text().contains("  MAIL        RULE\n"),
        "{}",
        wide_text.text()
    );
    let narrow = wide(world.daemon(), "80", &["status"]);
    let name = world.daemon().directory.path().display().to_string();
    for line in narrow.text().lines().filter(|line| !line.contains(&name)) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let heads = [
        "mimicryd ",
        "configuration ",
        "listening on ",
        "next hop ",
        "workers ",
        "mails ",
    ];
    for head in heads {
        assert!(
            narrow.text().lines().any(|line| line.starts_with(head)),
            "{head}"
        );
    }
    // For no terminal each fact has its line.
    let piped = world.daemon().command(&["status"]);
    assert!(
        piped.text().contains(" died, 0 of them stuck\n"),
        "{}",
        piped.text()
    );
}

/// Keys with their paths: `workers[].counters.mails`.
fn keys(value: &serde_json::Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (key, value) in fields {
                let path = match path {
                    "" => key.clone(),
                    path => format!("{path}.{key}"),
                };
                keys(value, &path, found);
                found.insert(path);
            }
        }
        serde_json::Value::Array(all) => {
            for one in all {
                keys(one, &format!("{path}[]"), found);
            }
        }
        _ => {}
    }
}

// man: mimicryd(8) "The document has these keys, each time all of them."
#[test]
fn every_key_of_the_json_is_in_the_manual() {
    let mut world = World::new(Setup::default());
    let json = world.daemon().command(&["status", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.out).expect("JSON");
    let mut found = BTreeSet::new();
    keys(&json, "", &mut found);
    // No rule of this daemon has a key that ends.
    let key = serde_json::to_value(KeyStatus::default()).expect("JSON");
    keys(&key, "keys[]", &mut found);
    let page = std::fs::read_to_string(crate::harness::root().join("man/mimicryd.8")).unwrap();
    let section = page
        .split(".Ss The keys of status")
        .nth(1)
        .expect("a section");
    let section = section.split("\n.Sh").next().unwrap();
    let documented: BTreeSet<String> = section
        .lines()
        .filter_map(|line| line.strip_prefix(".It "))
        .flat_map(|keys| keys.split(" , ").map(|key| key.replace("\\-", "-")))
        .collect();
    assert_eq!(documented, found);
}

// man: mimicryd(8) "The exit status is 0 if all is well, 1 if something may go wrong, 2 if something is wrong, and 3 if that is not known."
#[test]
fn a_check_for_nagios() {
    let mut world = World::new(Setup {
        errors: &["configuration refused"],
        ..Setup::default()
    });
    let check = |daemon: &Daemon| {
        let ran = daemon.command(&["status", "--check"]);
        assert_eq!((ran.text().lines().count(), ran.err.as_str()), (1, ""));
        (ran.code, ran.text().trim_end().to_string())
    };
    world.alive();
    let (code, line) = check(world.daemon());
    assert_eq!(code, 0, "{line}");
    assert!(line.starts_with("MIMICRY OK - running, "), "{line}");
    assert!(
        line.contains(" | workers=") && line.contains(" mails=1c "),
        "{line}"
    );
    world.daemon().change("[limits]", "[limit]");
    assert_eq!(world.daemon().command(&["reload"]).code, 78);
    let (code, line) = check(world.daemon());
    assert!(
        code == 1 && line.starts_with("MIMICRY WARNING - the last reload was refused | "),
        "{line}"
    );
    world.daemon().change("[limit]", "[limits]");
    assert_eq!(world.daemon().command(&["reload"]).code, 0);
    let hop = world.hop.address;
    world.hop.down();
    let refused = |world: &World| {
        let mut client = world.client();
        client.says("MAIL FROM:<anna@example.org>", 250);
        assert!(client.ask("RCPT TO:<bob@example.net>").is_temporary());
    };
    refused(&world);
    // It was asked at EHLO, and again for the recipient.
    let (code, line) = check(world.daemon());
    let said = format!("MIMICRY WARNING - next hop smtp://{hop}: the last ");
    assert!(code == 1 && line.starts_with(&said), "{line}");
    let ran = world.daemon().command(&["status"]);
    assert!(
        ran.text().contains(" could not be made\n"),
        "{}",
        ran.text()
    );
    refused(&world);
    refused(&world);
    let (code, line) = check(world.daemon());
    let said = format!("MIMICRY CRITICAL - next hop smtp://{hop} away for ");
    assert!(code == 2 && line.starts_with(&said), "{line}");
    assert_eq!(world.daemon().command(&["stop"]).code, 0);
    world.daemon().ends();
    let (code, line) = check(world.daemon());
    assert!(
        code == 2 && line.starts_with("MIMICRY CRITICAL - no daemon listens at "),
        "{line}"
    );
    let place = world.daemon().directory.path().join("control");
    std::fs::write(&place, "").expect("our own directory");
    let (code, line) = check(world.daemon());
    assert!(code == 2 || code == 3, "{line}");
    std::fs::remove_file(&place).expect("our own file");
}

// man: mimicryd(8) "Without a terminal it prints one screen."
#[test]
fn top_without_a_terminal_prints_once() {
    let mut world = World::new(Setup::default());
    let client = world.held(Stage::Dot);
    let ran = world.daemon().command(&["top"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let text = ran.text();
    assert!(!text.contains('\u{1b}'), "{text}");
    let busy = text
        .lines()
        .find(|line| line.contains(" W relaying "))
        .expect("a line of the worker");
    assert!(
        text.contains("\nnext hop smtp://") && text.contains(" up, connections 1, 0 idle\n"),
        "{text}"
    );
    assert!(
        text.lines()
            .any(|line| line.starts_with('[') && line.contains('W') && line.contains('_'))
    );
    world.hop.release();
    drop(client);
    let id = busy
        .split_whitespace()
        .nth(5)
        .expect("the id of the mail")
        .to_string();
    let line = world.daemon().logs(" status=");
    assert!(line.contains(&format!("id={id} ")), "{busy}\n{line}");
    assert_eq!(world.daemon().command(&["top", "--interval", "0"]).code, 64);
}

// man: mimicryd(8) "q or a signal ends it, and the terminal is as it was before."
#[test]
fn top_on_a_terminal_leaves_it_as_it_was() {
    let mut world = World::new(Setup::default());
    world.alive();
    for end in [
        None,
        Some(Signal::SIGTERM),
        Some(Signal::SIGINT),
        Some(Signal::SIGHUP),
    ] {
        let size = Winsize {
            ws_row: 12,
            ws_col: 60,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pair = openpty(Some(&size), None).expect("a terminal");
        let before = tcgetattr(&pair.slave).expect("its settings");
        let own = |end: &OwnedFd| Stdio::from(end.try_clone().expect("a descriptor"));
        let mut command: Command = mimicryd();
        let mut child = command
            .args(["top", "-c", "mimicry.toml", "--interval", "0.2"])
            .current_dir(world.daemon().directory.path())
            .stdin(own(&pair.slave))
            .stdout(own(&pair.slave))
            .stderr(own(&pair.slave))
            .spawn()
            .expect("it runs");
        drop(command);
        let master = File::from(pair.master);
        let mut reader = master.try_clone().expect("a descriptor");
        let said = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let heard = std::sync::Arc::clone(&said);
        let listening = thread::spawn(move || {
            let mut block = [0; 4096];
            // The end is an error, when nobody has the other side any more.
            while let Ok(count @ 1..) = reader.read(&mut block) {
                heard.lock().unwrap().extend_from_slice(&block[..count]);
            }
        });
        let text = || String::from_utf8_lossy(&said.lock().unwrap()).into_owned();
        assert!(
            eventually(|| text().matches("\u{1b}[H").count() >= 3),
            "{}",
            text()
        );
        let meanwhile = tcgetattr(&pair.slave).expect("its settings");
        assert!(
            !meanwhile
                .local_flags
                .intersects(LocalFlags::ECHO | LocalFlags::ICANON)
        );
        match end {
            Some(signal) => {
                let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
                kill(pid, signal).expect("our own");
            }
            None => {
                (&master).write_all(b"q").expect("a key");
            }
        }
        assert!(child.wait().expect("a child").success(), "{end:?}");
        let after = tcgetattr(&pair.slave).expect("its settings");
        assert_eq!(after, before, "{end:?}");
        drop(pair.slave);
        listening.join().expect("it read to the end");
        let text = text();
        assert!(
            text.ends_with("\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l"),
            "{text:?}"
        );
        let screen = text.split("\u{1b}[H").nth(2).expect("a screen");
        let lines: Vec<&str> = screen.split("\r\n").collect();
        assert!(lines.len() <= 12, "{screen:?}");
        for line in lines {
            let plain = line
                .replace('\r', "")
                .replace("\u{1b}[K", "")
                .replace("\u{1b}[J", "");
            assert!(plain.chars().count() <= 60, "{plain:?}");
        }
    }
}

/// A journal that a test reads.
fn journal(path: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(path).expect("our own directory");
    open_to_all(path);
    let patience = std::time::Duration::from_secs(20);
    socket.set_read_timeout(Some(patience)).expect("a time-out");
    socket
}

/// The next entry with this field.
fn entry(socket: &UnixDatagram, with: &str) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut buffer = [0; 65536];
    loop {
        let length = socket.recv(&mut buffer).expect("an entry");
        let fields = native(&buffer[..length]);
        if fields.contains_key(with) {
            return fields;
        }
    }
}

/// `NAME=value` and a line end; or the name, a line end, the length in eight octets, the value and a line end.
fn native(mut entry: &[u8]) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut fields: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    while !entry.is_empty() {
        let end = entry
            .iter()
            .position(|octet| matches!(octet, b'=' | b'\n'))
            .expect("a name");
        let name = String::from_utf8(entry[..end].to_vec()).expect("a name");
        assert!(
            name.bytes()
                .all(|octet| octet.is_ascii_uppercase() || octet == b'_'),
            "{name}"
        );
        let (start, length) = match entry[end] {
            b'=' => {
                let rest = &entry[end + 1..];
                (
                    end + 1,
                    rest.iter()
                        .position(|octet| *octet == b'\n')
                        .expect("an end"),
                )
            }
            _ => {
                let length = entry[end + 1..end + 9].try_into().expect("eight octets");
                (
                    end + 9,
                    usize::try_from(u64::from_le_bytes(length)).expect("a length"),
                )
            }
        };
        fields
            .entry(name)
            .or_default()
            .push(entry[start..start + length].to_vec());
        assert_eq!(entry[start + length], b'\n');
        entry = &entry[start + length + 1..];
    }
    fields
}

// T187
// man: mimicryd(8) "each fact is a field of the entry, too: MIMICRY_ and the key in capitals"
#[test]
fn the_journal_has_a_field_for_each_fact() {
    let (_directory, place) = open_directory();
    let path = place.join("journal");
    let socket = journal(&path);
    let mut world = World::new(Setup {
        log: &format!("target = \"journal:{}\"\nsubject = true", path.display()),
        rules: "[[rule]]\nname = \"tag it\"\nplugin = \"header\"\noptions = { add = { X-Tag = \"yes\" } }\n",
        ..Setup::default()
    });
    let mail = "Received: from x by y (Postfix) id 4Zq01x; now\r\nMessage-ID: <1@example.org>\r\n\
        Subject: =?utf-8?q?two=0AMIMICRY=5FSTATUS=3Dforged?=\r\n\r\nText.\r\n";
    let reply = world
        .client()
        .mail("anna@example.org", &["bob@example.net"], mail.as_bytes());
    assert!(reply.is_done());
    let found = entry(&socket, "MIMICRY_ID");
    let one = |key: &str| {
        let values = &found[key];
        assert_eq!(values.len(), 1, "{key}: {values:?}");
        String::from_utf8(values[0].clone()).expect("text")
    };
    for (key, value) in [
        ("MIMICRY_STATUS", "sent"),
        ("MIMICRY_CLASS", "1/1"),
        ("MIMICRY_FROM", "<anna@example.org>"),
        ("MIMICRY_TO", "<bob@example.net>"),
        ("MIMICRY_MSGID", "<1@example.org>"),
        ("MIMICRY_QUEUE", "4Zq01x"),
        ("MIMICRY_SUBJECT", "two MIMICRY_STATUS=forged"),
        ("MIMICRY_RULES", "tag it:edited"),
        ("PRIORITY", "6"),
        ("SYSLOG_FACILITY", "2"),
        ("SYSLOG_IDENTIFIER", "mimicryd"),
    ] {
        assert_eq!(one(key), value, "{key}");
    }
    let line = one("MESSAGE");
    assert!(
        line.starts_with(&format!("id={} class=1/1 status=sent ", one("MIMICRY_ID"))),
        "{line}"
    );
    // A journal that is started again is found again, from inside the sandbox.
    drop(socket);
    fs::remove_file(&path).expect("our own file");
    let socket = journal(&path);
    let asked = eventually(|| {
        let reply = world
            .client()
            .mail("again@example.org", &["bob@example.net"], PLAIN);
        assert!(reply.is_done());
        socket.set_nonblocking(true).expect("a socket");
        let mut buffer = [0; 65536];
        std::iter::from_fn(|| {
            socket
                .recv(&mut buffer)
                .ok()
                .map(|length| buffer[..length].to_vec())
        })
        .any(|entry| {
            native(&entry)
                .get("MIMICRY_FROM")
                .is_some_and(|from| from[0] == b"<again@example.org>")
        })
    });
    assert!(asked, "{}", world.daemon().said());
    let ran = world.daemon().command(&["status"]);
    assert!(
        ran.text()
            .contains(&format!("log journal:{}", path.display())),
        "{}",
        ran.text()
    );
    drop(socket);
    fs::remove_file(&path).expect("our own file");
    let ran = world.daemon().command(&["check"]);
    assert!(
        ran.err.contains("no journal takes the log at "),
        "{}",
        ran.err
    );
}

// man: mimicryd(8) "finds all lines of a mail, in files that were rotated and compressed, too, and tells what became of it"
#[test]
fn trace_finds_a_mail_and_tells_its_story() {
    let mut world = World::new(Setup {
        log: "subject = true",
        rules: "[[rule]]\nname = \"tag it\"\nplugin = \"header\"\noptions = { add = { X-Tag = \"yes\" } }\n",
        ..Setup::default()
    });
    let mail = "Received: from x by y (Postfix) id 4Zq01x; now\r\nMessage-ID: <1@example.org>\r\n\
        Subject: hello\r\n\r\nText.\r\n";
    let send = |world: &World| {
        let reply = world
            .client()
            .mail("anna@example.org", &["bob@example.net"], mail.as_bytes());
        assert!(reply.is_done());
    };
    send(&world);
    let daemon = world.daemon();
    let place = daemon.directory.path().to_path_buf();
    let first = daemon.logs(" status=sent ");
    // What a logrotate does, twice; the first log is compressed then.
    let rotate = |daemon: &Daemon| {
        fs::rename(place.join("log"), place.join("log.1")).expect("our own file");
        daemon.signal(Signal::SIGUSR1);
        daemon.logs("log reopened");
    };
    rotate(daemon);
    let whole = fs::read(place.join("log.1")).expect("our own file");
    pack(&place.join("log.1"), &place.join("log.2.gz"));
    fs::write(
        place.join("mail.log"),
        "Nov 29 12:00:00 mx postfix/smtp[7]: 4Zq01x: to=<bob@example.net>, status=sent\n\
         Nov 29 12:00:00 mx postfix/smtp[7]: mimicryd[1]: id=zzzzzzzzzz class=1/1 msgid=<1@example.org>\n",
    )
    .expect("our own directory");
    send(&world);
    let daemon = world.daemon();
    let second = daemon.logs(" status=sent ");
    let id = |line: &str| {
        let at = line.find("id=").expect("an id");
        line[at + 3..].split(' ').next().expect("an id").to_string()
    };
    let (first, second) = (id(&first), id(&second));
    let ran = daemon.command(&["trace", "<1@example.org>"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let text = ran.text();
    let at = |id: &str| text.find(&format!("mail {id}\n"));
    assert!(
        at(&first).is_some() && at(&first) < at(&second),
        "the older one is first: {text}"
    );
    for piece in [
        " sent: 250 ",
        "    from     <anna@example.org>, client 127.0.0.1, ",
        ", queue 4Zq01x\n",
        "    to       <bob@example.net>\n",
        "    mail     msgid <1@example.org>, subject hello, size ",
        "    rule     tag it:edited\n",
        "    relay    smtp://",
    ] {
        assert_eq!(text.matches(piece).count(), 2, "{piece}: {text}");
    }
    let ran = daemon.command(&["trace", &first, "--lines"]);
    assert_eq!(ran.text().matches("  | ").count(), 1, "{}", ran.text());
    assert!(!ran.text().contains(&second));
    // With the log of the MTA, what that says of it; what only looks like ours is not.
    let ran = daemon.command(&[
        "trace",
        "1@example.org",
        "--log",
        "mail.log",
        "--log",
        "log",
    ]);
    assert!(
        ran.text()
            .contains("in the logs of others\n  Nov 29 12:00:00 mx postfix/smtp[7]: 4Zq01x: to="),
        "{}",
        ran.text()
    );
    assert!(!ran.text().contains("mail zzzzzzzzzz"), "{}", ran.text());
    let ran = daemon.command(&["trace", "nobody@example.org"]);
    assert_eq!(ran.code, 65);
    assert!(
        ran.err.contains("nothing of nobody@example.org is in "),
        "{}",
        ran.err
    );
    // For the harness, which looks for what its clients heard.
    let log = File::options().append(true).open(place.join("log"));
    log.and_then(|mut log| log.write_all(&whole))
        .expect("our own file");
}

// man: mimicryd(8) "How wide the output of status, banks, explain, plugins, demo and trace may be where it goes to no terminal."
#[test]
fn tables_are_cut_between_words() {
    let world = &mut World::new(Setup::default());
    for args in [&["plugins"][..], &["plugins", "banner"]] {
        let run = |columns: &str| {
            let mut command = mimicryd();
            command.args(args).env("COLUMNS", columns);
            Ran::of(command.output().expect("it runs"))
        };
        let (narrow, wide) = (run("80"), run("400"));
        let words = |text: &str| {
            text.split_whitespace()
                .map(String::from)
                .collect::<Vec<_>>()
        };
        assert_eq!(words(narrow.text()), words(wide.text()));
        assert!(wide.text().lines().any(|line| line.chars().count() > 80));
        for line in narrow.text().lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
    // What a program reads is left alone.
    let json = wide(world.daemon(), "40", &["status", "--json"]);
    assert!(serde_json::from_slice::<serde_json::Value>(&json.out).is_ok());
}
