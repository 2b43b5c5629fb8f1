//! The log: what it says of a mail, where it goes, and that mail does not wait for it.

use std::fs;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::harness::daemon::{
    Daemon, PLAIN, Setup, World, eventually, open_directory, open_to_all,
};
use crate::harness::hop::{Act, Stage};
use crate::harness::{FOOTER, ZIP, contains, logged};

// man: mimicryd(8) "The log has one line per mail, or one per class of its recipients:"
// man: mimicryd(8) "The line of a mail begins with id=, that of a refusal with event=; no other line does."
#[test]
fn the_line_of_a_mail() {
    let mut world = World::new(Setup {
        rules: FOOTER,
        ..Setup::default()
    });
    assert!(contains(&world.pass(PLAIN), b"Exampleton"));
    let line = world.daemon().logs(" status=sent");
    for piece in [
        " id=",
        " client=127.0.0.1 ",
        " listener=t ",
        " helo=client.test ",
        " from=<anna@example.org> ",
        " to=<bob@example.net>",
        &format!(" size={} ", PLAIN.len()),
        " out=",
        " rules=\"legal footer:edited\" ",
        " class=1/1 status=sent reply=\"250 ",
        "2.0.0 taken",
        " total=",
    ] {
        assert!(line.contains(piece), "{piece:?} is not in {line}");
    }
    // The id is the one of the Received field.
    let mut client = world.client();
    let reply = client.mail("anna@example.org", &["bob@example.net"], PLAIN);
    assert!(reply.is_done());
    let message = String::from_utf8(world.hop.only_mail().message()).expect("text");
    let daemon = world.daemon();
    assert!(
        eventually(|| daemon.mail_lines().len() == 2),
        "{}",
        daemon.said()
    );
    let lines = daemon.mail_lines();
    let id = lines[1]
        .split(" id=")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .expect("an id");
    assert!(
        message.contains(&format!(" id {id}")),
        "{id} is not in {message}"
    );
    client.quit();
}

#[test]
fn the_line_of_a_mail_as_json() {
    let rules = format!("{FOOTER}{ZIP}");
    let mut world = World::new(Setup {
        rules: &rules,
        log: "format = \"json\"",
        ..Setup::default()
    });
    world.pass(PLAIN);
    let line = world.daemon().logs("\"status\":\"sent\"");
    let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(line["from"], "anna@example.org");
    assert_eq!(line["to"], serde_json::json!(["bob@example.net"]));
    assert_eq!(line["size"], PLAIN.len());
    assert_eq!(line["rules"][0]["did"], "edited");
    for line in world.daemon().log().lines() {
        serde_json::from_str::<serde_json::Value>(line).expect("every line of the log is JSON");
    }
}

/// Addresses that are lines of a log, if somebody lets them.
fn forgers() -> (String, Vec<String>) {
    let from = "\"a to=<x@y> status=sent reply=\\\"250 2.0.0 ok\\\" \\\\\"@example.org".to_string();
    let long = "x".repeat(180);
    let mut to: Vec<String> = (0..150)
        .map(|number| format!("\"{number} to=<y@z>,<y@z> {long}\"@example.net"))
        .collect();
    to.push(format!("{}@example.net", "y".repeat(1500)));
    (from, to)
}

/// The log lines of a worker, less the time and the process that stand before them.
fn said(log: &str) -> Vec<&str> {
    log.lines()
        .filter_map(|line| line.split_once(" mimicryd[")?.1.split_once("]: "))
        .map(|(_, said)| said)
        .collect()
}

// T187
// man: mimicryd(8) "No line is cut: what does not fit goes into further lines. They begin with the same id and
// class, and with part,"
#[test]
fn no_recipient_forges_cuts_or_breaks_a_line() {
    let (from, to) = forgers();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    let path = |address: &str| format!("<{address}>").into_bytes();
    let paths: Vec<Vec<u8>> = to.iter().map(|address| path(address)).collect();
    let send = |world: &World| {
        world.hop.at(
            Stage::Dot,
            Act::Say(b"550 5.7.1 no\" status=sent to=<q@r>\r\n".to_vec()),
        );
        let reply = world.client().mail(&from, &to, PLAIN);
        assert_eq!(reply.code, 550, "{reply}");
    };
    // Into a file, as text: the fields are read back.
    let mut world = World::new(Setup::default());
    send(&world);
    let daemon = world.daemon();
    let is_whole = |log: &str| {
        let first = said(log).into_iter().find(|line| line.starts_with("id="));
        let more = first.and_then(|line| {
            let fields = logged::fields(line);
            let more = fields.iter().find(|(key, ..)| key == "more")?;
            logged::text(&more.2[0]).parse::<usize>().ok()
        });
        more.is_some_and(|more| log.contains(&format!(" part={} ", more + 1)))
    };
    assert!(eventually(|| is_whole(&daemon.log())), "{}", daemon.said());
    let log = daemon.log();
    assert!(log.lines().all(|line| line.len() < 8192 + 80), "{log}");
    let mails = logged::mails(said(&log));
    assert_eq!(mails.len(), 1);
    let mail = &mails[0];
    assert_eq!(mail["status"], [b"rejected"]);
    assert_eq!(mail["reply"], [b"550 5.7.1 no\" status=sent to=<q@r>"]);
    assert_eq!(mail["from"], [path(&from)]);
    assert_eq!(mail["nrcpt"], [b"151"]);
    assert_eq!(mail["to"], paths);
    // Who looks at the first line only, and knows no quotes, sees what became of it.
    let first = daemon.mail_lines().remove(0);
    let status = first
        .split(" status=")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    assert_eq!(status, Some("rejected"), "{first}");
    drop(world);
    // As JSON: each line is one, and all recipients are there.
    let mut world = World::new(Setup {
        log: "format = \"json\"",
        ..Setup::default()
    });
    send(&world);
    let daemon = world.daemon();
    let count = || {
        let log = daemon.log();
        let lines = log.lines().map(serde_json::from_str::<serde_json::Value>);
        let lines: Vec<serde_json::Value> = lines.map(|line| line.expect("JSON")).collect();
        let of_mails = lines.iter().filter(|line| line["id"].is_string());
        of_mails
            .map(|line| line["to"].as_array().map_or(0, Vec::len))
            .sum::<usize>()
    };
    assert!(eventually(|| count() == 151), "{}", daemon.said());
    let line = daemon.logs("\"status\":\"rejected\"");
    let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(line["reply"], "550 5.7.1 no\" status=sent to=<q@r>");
    assert_eq!(line["nrcpt"], 151);
}

// T187
// man: mimicryd(8) "A line has at most 1024 octets in a message of rfc3164, 2048 in one of rfc5424, 4096 on
// a pipe and 8192 elsewhere."
#[test]
fn no_message_to_syslog_is_longer_than_it_may_be() {
    let (from, to) = forgers();
    // No more lines than the queue of a socket holds at the least, because nobody waits for a syslog that is slow.
    let to: Vec<&str> = to.iter().rev().take(18).map(String::as_str).collect();
    for (form, most) in [("rfc3164", 1024), ("rfc5424", 2048)] {
        let (_directory, path) = open_directory();
        let socket = path.join("log");
        let syslog = listen(&socket);
        let log = format!(
            "target = \"syslog:{}\"\nsyslog_format = \"{form}\"",
            socket.display()
        );
        let world = World::new(Setup {
            log: &log,
            ..Setup::default()
        });
        let lines = std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut lines: Vec<String> = Vec::new();
                let mut buffer = [0; 16384];
                loop {
                    let octets = syslog.recv(&mut buffer).expect("all lines of the mail");
                    assert!(octets <= most, "{octets} octets in one message");
                    let line = String::from_utf8(buffer[..octets].to_vec()).expect("text");
                    let said = line.find("id=").map(|at| line[at..].to_string());
                    lines.extend(said.filter(|said| said.contains(" class=1/1 ")));
                    let more = lines.first().map(|first| logged::fields(first));
                    let more = more.into_iter().flatten().find(|(key, ..)| key == "more");
                    let more = more.map(|more| logged::text(&more.2[0]).parse::<usize>());
                    if more.is_some_and(|more| more == Ok(lines.len() - 1)) {
                        return lines;
                    }
                }
            });
            let reply = world.client().mail(&from, &to, PLAIN);
            assert!(reply.is_done(), "{reply}");
            reader.join().expect("no panic")
        });
        let mails = logged::mails(lines.iter().map(String::as_str));
        assert_eq!(mails.len(), 1);
        assert_eq!(mails[0]["to"].len(), to.len());
        assert_eq!(mails[0]["status"], [b"sent"]);
    }
}

// T136
// man: mimicryd(8) "Reopen the log file."
#[test]
fn usr1_opens_the_log_anew() {
    let mut world = World::new(Setup {
        daemon: "mails_per_worker = 0",
        ..Setup::default()
    });
    world.alive();
    let daemon = world.daemon();
    let (log, moved) = (
        daemon.directory.path().join("log"),
        daemon.directory.path().join("log.1"),
    );
    daemon.logs(" status=sent");
    fs::rename(&log, &moved).expect("the log is moved");
    daemon.signal(Signal::SIGUSR1);
    assert!(eventually(|| log.exists()), "there is no new log");
    // Each worker opens it for itself; from then on all lines go there, and none is lost.
    let mut mails = 0;
    while !world.daemon().log().contains(" status=sent") {
        world.alive();
        mails += 1;
        assert!(
            mails < 200,
            "200 mails, but no line in the new log\n{}",
            world.daemon().said()
        );
    }
    let old = fs::read(&moved).expect("the old log").len();
    for _ in 0..5 {
        world.alive();
    }
    let daemon = world.daemon();
    assert!(
        eventually(|| daemon.mail_lines().len() >= 5),
        "{}",
        daemon.said()
    );
    assert_eq!(
        fs::read(&moved).expect("the old log").len(),
        old,
        "a worker still writes into the old log"
    );
}

// T147, T199
#[test]
fn mail_goes_on_without_a_log() {
    // A disk that is full.
    let world = World::new(Setup {
        log: "target = \"file:/dev/full\"",
        ..Setup::default()
    });
    for _ in 0..5 {
        world.alive();
    }
    drop(world);
    // A syslog that comes and goes, and that is stuck.
    let (_directory, path) = open_directory();
    let socket = path.join("log");
    let target = format!("target = \"syslog:{}\"", socket.display());
    let syslog = listen(&socket);
    let world = World::new(Setup {
        daemon: "workers = { min = 1, max = 1, spare = 0 }",
        log: &target,
        ..Setup::default()
    });
    world.alive();
    let line = next(&syslog, " status=sent");
    // mail.info is 2 * 8 + 6.
    assert!(
        line.starts_with("<22>") && line.contains(" mimicryd["),
        "{line}"
    );
    drop(syslog);
    fs::remove_file(&socket).expect("the socket");
    world.alive();
    let syslog = listen(&socket);
    // Found again after a while.
    syslog
        .set_read_timeout(Some(Duration::from_millis(200)))
        .expect("a time-out");
    let mut buffer = [0; 16384];
    let is_back = eventually(|| {
        world.alive();
        syslog.recv(&mut buffer).is_ok()
    });
    assert!(is_back, "a syslog that was started anew is not found");
    // Nobody reads any more: the queue of the socket is full after some ten lines.
    let start = Instant::now();
    for _ in 0..40 {
        world.alive();
    }
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "a stuck syslog holds up the mail: {:?}",
        start.elapsed()
    );
}

/// A daemon whose standard error is a FIFO that the test may read, as the log.
fn on_a_fifo(rules: &'static str) -> World {
    World::new(Setup {
        daemon: "workers = { min = 2, max = 2, spare = 0 }\nmails_per_worker = 0",
        log: "target = \"stderr\"",
        shell: "mkfifo out; exec 2<>out",
        rules,
        ..Setup::default()
    })
}

/// What `status` says.
fn status(daemon: &Daemon, args: &[&str]) -> String {
    let ran = daemon.command(&[&["status"], args].concat());
    String::from_utf8(ran.out).expect("text")
}

/// What it says of lost lines.
fn lost(daemon: &Daemon) -> u64 {
    let status: serde_json::Value =
        serde_json::from_str(&status(daemon, &["--json"])).expect("JSON");
    status["log"]["lost"].as_u64().expect("a number")
}

// T199
// man: mimicryd(8) "Mail never waits for the reader of the log."
// man: mimicryd(8) "what does not fit either is lost and counted."
#[test]
fn mail_goes_on_when_nobody_reads_standard_error() {
    let mut world = on_a_fifo("");
    let (from, to) = forgers();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    // More than the pipe and the memory of both workers hold.
    for _ in 0..16 {
        let reply = world.client().mail(&from, &to, PLAIN);
        assert!(reply.is_done(), "{reply}");
    }
    let daemon = world.daemon();
    assert!(lost(daemon) > 0, "{}", status(daemon, &[]));
    let text = status(daemon, &[]);
    assert!(text.contains(" lines of it were lost"), "{text}");
    // Somebody reads again: what was kept comes, then how many were lost, then all that is new.
    let mut pipe = fs::File::options()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(daemon.directory.path().join("out"))
        .expect("the FIFO");
    let mut heard = Vec::new();
    let mut read = |heard: &mut Vec<u8>| {
        let mut piece = [0; 65536];
        while let Ok(octets @ 1..) = pipe.read(&mut piece) {
            heard.extend_from_slice(&piece[..octets]);
        }
    };
    let is_told = eventually(|| {
        read(&mut heard);
        world.alive();
        contains(&heard, b" lines of the log were lost")
    });
    assert!(is_told, "{}", heard.escape_ascii());
    let is_new = eventually(|| {
        world.alive();
        read(&mut heard);
        contains(&heard, b"from=<alive@client.test>")
    });
    assert!(is_new, "{}", heard.escape_ascii());
    // No line is cut, or mixed with that of another process.
    let heard = String::from_utf8(heard).expect("text");
    for line in heard.lines() {
        assert_eq!(line.matches(" mimicryd[").count(), 1, "{line}");
        assert!(line.len() < 4096, "{line}");
    }
}

// T199: a disk that has room again
// man: mimicryd(8) "The log says how many lines were lost as soon as it can be written again, and"
#[test]
fn a_log_that_could_not_be_written_says_how_much_is_missing() {
    let (_directory, path) = open_directory();
    let socket = path.join("log");
    let target = format!("target = \"syslog:{}\"", socket.display());
    let (from, to) = forgers();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    let mut world = World::new(Setup {
        daemon: "workers = { min = 1, max = 1, spare = 0 }\nmails_per_worker = 0",
        log: &target,
        ..Setup::default()
    });
    for _ in 0..8 {
        assert!(world.client().mail(&from, &to, PLAIN).is_done());
    }
    assert!(lost(world.daemon()) > 0);
    let syslog = listen(&socket);
    syslog
        .set_read_timeout(Some(Duration::from_millis(50)))
        .expect("a time-out");
    let mut buffer = [0; 16384];
    let mut heard = String::new();
    let is_told = eventually(|| {
        world.alive();
        while let Ok(octets) = syslog.recv(&mut buffer) {
            heard += &String::from_utf8_lossy(&buffer[..octets]);
            heard.push('\n');
        }
        heard.contains(" lines of the log were lost")
    });
    assert!(is_told, "{heard}");
    // What was kept came before it.
    let kept = heard.find(" part=2 ").expect("a line that was kept");
    assert!(
        kept < heard
            .find(" lines of the log were lost")
            .unwrap_or_default()
    );
}

// T200
// man: mimicryd(8) "No syslog at its socket is said on standard error at the start, by"
#[test]
fn a_syslog_that_is_not_there_is_said() {
    let (_directory, path) = open_directory();
    let socket = path.join("log");
    let target = format!("target = \"syslog:{}\"", socket.display());
    let mut world = World::new(Setup {
        log: &target,
        ..Setup::default()
    });
    let missing = format!(
        "no syslog takes the log at {}: No such file or directory",
        socket.display()
    );
    let daemon = world.daemon();
    let stderr = fs::read_to_string(daemon.directory.path().join("stderr")).expect("a file");
    assert!(stderr.contains(&missing), "{stderr}");
    let said = daemon.command(&["check"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.err.contains(&missing), "{said:?}");
    let said = status(daemon, &[]);
    assert!(said.contains(&missing), "{said}");
    // Once it is there, nobody complains any more.
    let syslog = listen(&socket);
    let said = daemon.command(&["check"]);
    assert!(!said.err.contains("no syslog"), "{said:?}");
    let said = status(daemon, &[]);
    assert!(!said.contains("no syslog"), "{said}");
    // A socket that nobody listens on any more, and one of another kind.
    drop(syslog);
    let said = status(daemon, &[]);
    assert!(said.contains("Connection refused"), "{said}");
    fs::remove_file(&socket).expect("the socket");
    let _stream = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    open_to_all(&socket);
    let said = daemon.command(&["check"]);
    assert!(
        said.err
            .contains("it is a stream socket, not one for datagrams"),
        "{said:?}"
    );
}

// man: mimicry.toml(5) "The form of a syslog message."
#[test]
fn syslog_has_two_forms() {
    let (_directory, path) = open_directory();
    let socket = path.join("log");
    let syslog = listen(&socket);
    let log = format!(
        "target = \"syslog:{}\"\nsyslog_format = \"rfc5424\"\nfacility = \"local3\"",
        socket.display()
    );
    let world = World::new(Setup {
        log: &log,
        ..Setup::default()
    });
    world.alive();
    // local3.info is 19 * 8 + 6, version 1.
    let line = next(&syslog, " status=sent");
    assert!(line.starts_with("<158>1 "), "{line}");
}

/// A syslog at this path.
fn listen(socket: &Path) -> UnixDatagram {
    let syslog = UnixDatagram::bind(socket).expect("a socket");
    open_to_all(socket);
    syslog
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a time-out");
    syslog
}

/// Reads on to a datagram with this piece.
fn next(syslog: &UnixDatagram, piece: &str) -> String {
    let mut buffer = [0; 16384];
    loop {
        let octets = syslog
            .recv(&mut buffer)
            .unwrap_or_else(|error| panic!("no line with {piece:?}: {error}"));
        let line = String::from_utf8_lossy(&buffer[..octets]).into_owned();
        if line.contains(piece) {
            return line;
        }
    }
}
