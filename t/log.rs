//! The log: what it says of a mail, where it goes, and that mail does not wait for it.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::harness::daemon::{PLAIN, Setup, World, eventually, open_directory, open_to_all};
use crate::harness::{FOOTER, ZIP, contains};

// man: mimicryd(8) "The log has one line per mail, or one per class of its recipients:"
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
        " to=<bob@example.net> ",
        &format!(" size={} ", PLAIN.len()),
        " out=",
        "legal footer:edited",
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

// T136
// man: mimicryd(8) "Open the log file anew."
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

// T147
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
    let listen = || {
        let syslog = UnixDatagram::bind(&socket).expect("a socket");
        open_to_all(&socket);
        syslog
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a time-out");
        syslog
    };
    let syslog = listen();
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
    let syslog = listen();
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

// man: mimicry.toml(5) "The form of a syslog message."
#[test]
fn syslog_has_two_forms() {
    let (_directory, path) = open_directory();
    let socket = path.join("log");
    let syslog = UnixDatagram::bind(&socket).expect("a socket");
    open_to_all(&socket);
    syslog
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a time-out");
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
