//! More clients than workers, and more connections than one client may have: who is sent away, who is not, and how that is told; and
//! that a worker holds no more after many mails than after a few.
//!
//! Must never: send away a client that nobody waits for.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use serde_json::Value;

use crate::harness::Directory;
use crate::harness::client::{Client, Gone, stuffed};
use crate::harness::daemon::{Daemon, PLAIN, Setup, World, eventually};

const FROM: &str = "anna@example.org";
const TO: &[&str] = &["bob@example.net"];

/// What `status` has counted.
fn counted(world: &mut World, name: &str) -> u64 {
    let status = world.daemon().command(&["status", "--json"]);
    let status: Value = serde_json::from_str(status.text()).expect("JSON");
    status["totals"][name].as_u64().expect("a count")
}

fn two_workers() -> World {
    World::new(Setup {
        daemon: "workers = { min = 2, max = 2, spare = 0 }",
        limits: "stress_timeout = \"1s\"",
        ..Setup::default()
    })
}

/// Ways to hold a worker: what is said first, and again and again.
const WAYS: [(&str, &str, &str); 9] = [
    ("silence", "", ""),
    ("silence after EHLO", "EHLO a\r\n", ""),
    ("a command octet by octet", "", "x"),
    ("NOOP", "", "NOOP\r\n"),
    ("EHLO", "", "EHLO a\r\n"),
    (
        "RSET",
        "EHLO a\r\nMAIL FROM:<a@b>\r\n",
        "RSET\r\nMAIL FROM:<a@b>\r\n",
    ),
    (
        "refusals",
        "EHLO a\r\nMAIL FROM:<a@b>\r\n",
        "RCPT TO:<>\r\n",
    ),
    (
        "silence in DATA",
        "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n",
        "",
    ),
    (
        "a message octet by octet",
        "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n",
        "x",
    ),
];

/// Holds a connection in one of the ways until it is sent away; tells the last reply and how long it lasted.
fn hold(address: SocketAddr, first: &str, again: &str) -> (String, Duration) {
    let start = Instant::now();
    let mut client = Client::connect(address);
    client.send(first.as_bytes());
    client.set_patience(Duration::from_millis(100));
    let mut last = String::new();
    loop {
        assert!(start.elapsed() < Duration::from_secs(25), "held for ever");
        match client.try_reply() {
            Ok(reply) => last = reply.to_string(),
            Err(Gone::Silent) => {
                if client.try_send(again.as_bytes()).is_err() {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    (last, start.elapsed())
}

// T54
// man: mimicry.toml(5) "How long a client may go without bringing its mail forward while all workers are busy and another client
// waits"
#[test]
fn who_holds_a_worker_makes_room_for_who_waits() {
    let mut world = two_workers();
    let address = world.address();
    for (name, first, again) in WAYS {
        thread::scope(|scope| {
            let before = counted(&mut world, "sessions");
            let held: Vec<_> = (0..2)
                .map(|_| scope.spawn(move || hold(address, first, again)))
                .collect();
            assert!(eventually(|| counted(&mut world, "sessions") == before + 2));
            let start = Instant::now();
            world.alive();
            let waited = start.elapsed();
            assert!(waited < Duration::from_secs(4), "{name}: {waited:?}");
            // The other one holds nobody up any more, until somebody needs its worker.
            let mut needs = [world.connect(), world.connect()];
            let ends = held.into_iter().map(|one| one.join().expect("no panic"));
            for (last, _) in ends {
                assert!(last.starts_with("421 4.3.2 "), "{name}: {last:?}");
            }
            for client in &mut needs {
                client.expect(220);
                client.says("QUIT", 221);
            }
        });
    }
    let line = world.daemon().logs("event=stress-ended ");
    assert!(
        line.contains(" by=limit ") && line.contains("421 4.3.2"),
        "{line}"
    );
    let ended = counted(&mut world, "stress_ended");
    assert_eq!(ended, 2 * WAYS.len() as u64);
    assert_eq!(counted(&mut world, "session_ended"), 0);
    assert!(world.hop.mails().is_empty());
}

// T54
#[test]
fn who_never_reads_makes_room_too() {
    let world = World::new(Setup {
        daemon: "workers = { min = 1, max = 1, spare = 0 }",
        limits: "stress_timeout = \"1s\"\nerrors = 1000000\njunk_commands = 1000000",
        ..Setup::default()
    });
    let address = world.address();
    let mut stream = TcpStream::connect(address).expect("somebody listens");
    thread::scope(|scope| {
        let deaf = scope.spawn(move || {
            let time = Some(Duration::from_secs(25));
            stream.set_write_timeout(time).expect("a time-out");
            let block = "NOOP\r\n".repeat(10_000);
            while stream.write_all(block.as_bytes()).is_ok() {}
        });
        let start = Instant::now();
        world.alive();
        let waited = start.elapsed();
        assert!(waited < Duration::from_secs(8), "{waited:?}");
        deaf.join().expect("no panic");
    });
}

// T54
#[test]
fn who_never_ends_a_handshake_makes_room_too() {
    let directory = Directory::new();
    let made = rcgen::generate_simple_self_signed(["mx.example.org".to_string()]);
    let made = made.expect("a certificate");
    let cert = directory.file("cert.pem", made.cert.pem());
    let key = directory.file("key.pem", made.signing_key.serialize_pem());
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("our own file");
    let (cert, key) = (cert.display(), key.display());
    let world = World::new(Setup {
        daemon: "workers = { min = 1, max = 1, spare = 0 }",
        listen: &format!("tls_cert = \"{cert}\"\ntls_key = \"{key}\""),
        limits: "stress_timeout = \"1s\"",
        ..Setup::default()
    });
    let mut stalling = world.client();
    stalling.says("STARTTLS", 220);
    let start = Instant::now();
    world.alive();
    let waited = start.elapsed();
    assert!(waited < Duration::from_secs(5), "{waited:?}");
}

// T54
// man: mimicry.toml(5) "Nobody is sent away for whom nobody waits."
#[test]
fn nobody_is_sent_away_for_nobody() {
    let mut world = two_workers();
    let mut held = [world.client(), world.client()];
    for client in &mut held {
        client.set_patience(Duration::from_millis(1500));
        assert_eq!(client.try_reply(), Err(Gone::Silent));
    }
    assert_eq!(counted(&mut world, "stress_ended"), 0);
    // One worker is free: whoever comes is served beside the other.
    let [mut first, second] = held;
    second.quit();
    world.alive();
    first.set_patience(Duration::from_secs(30));
    assert!(first.mail(FROM, TO, PLAIN).is_done());
    assert_eq!(counted(&mut world, "stress_ended"), 0);
}

// T54
// man: mimicry.toml(5) "A mail that comes at"
#[test]
fn a_mail_that_comes_slowly_is_not_cut() {
    let world = World::new(Setup {
        daemon: "workers = { min = 1, max = 1, spare = 0 }",
        limits: "stress_timeout = \"1s\"\ndata_rate = 500",
        ..Setup::default()
    });
    let mut slow = world.client();
    slow.envelope(FROM, TO);
    // Who waits is served when the mail is in.
    let mut waiting = world.connect();
    slow.says("DATA", 354);
    let mail = [
        PLAIN,
        &b"0123456789 0123456789 0123456789 0123456789\r\n".repeat(70),
    ]
    .concat();
    let mut pieces = mail.chunks(400).collect::<Vec<_>>();
    let last = pieces.pop().expect("a mail");
    for piece in pieces {
        slow.send(piece);
        slow.set_patience(Duration::from_millis(400));
        assert_eq!(slow.try_reply(), Err(Gone::Silent));
    }
    slow.set_patience(Duration::from_secs(30));
    slow.send(last);
    slow.send(b".\r\n");
    slow.expect(250);
    let arrived = world.untraced(&world.hop.only_mail());
    assert_eq!(stuffed(&arrived), stuffed(&mail));
    slow.says("QUIT", 221);
    waiting.expect(220);
    waiting.says("QUIT", 221);
}

/// Connects from an address of this machine.
fn from(source: u8, to: SocketAddr) -> TcpStream {
    let kind = socket2::Type::STREAM;
    let socket = socket2::Socket::new(socket2::Domain::IPV4, kind, None).expect("a socket");
    let source = IpAddr::V4(Ipv4Addr::new(127, 0, 0, source));
    let bound = socket.bind(&SocketAddr::new(source, 0).into());
    bound.expect("all of 127.0.0.0/8 is this machine");
    socket.connect(&to.into()).expect("somebody listens");
    socket.into()
}

const CROWDED: &str = "421 4.7.0 ";

// T54
// man: mimicry.toml(5) "Connections that the clients of one network may have at a time"
#[test]
fn a_network_has_so_many_connections_and_no_more() {
    let mut world = World::new(Setup {
        daemon: "workers = { min = 6, max = 6, spare = 0 }",
        limits: "connections_per_client = 2",
        errors: &["was killed by SIG"],
        ..Setup::default()
    });
    let address = world.address();
    let client = |source| Client::of(from(source, address));
    let mut held = [client(3).greeted(), client(3).greeted()];
    let refused = client(3).reply();
    assert!(refused.to_string().starts_with(CROWDED), "{refused}");
    let line = world.daemon().logs("event=connection-refused ");
    let said = format!(" reply=\"{refused}\"");
    assert!(
        line.contains(&said) && line.contains(" by=limit "),
        "{line}"
    );
    assert!(
        line.contains("client=[127.0.0.3]") || line.contains("127.0.0.3"),
        "{line}"
    );
    assert_eq!(counted(&mut world, "connection_refused"), 1);
    assert_eq!(counted(&mut world, "session_ended"), 0);
    // Others are not meant.
    client(4).greeted().quit();
    for client in &mut held {
        assert!(client.mail(FROM, TO, PLAIN).is_done());
    }
    // Whoever goes makes room, whether it quits or its worker dies.
    let [first, mut second] = held;
    first.quit();
    let served = || Client::of(from(3, address)).reply().code == 220;
    assert!(eventually(served));
    let busy = world.daemon().command(&["status", "--json"]);
    let busy: Value = serde_json::from_str(busy.text()).expect("JSON");
    let workers = busy["workers"].as_array().expect("workers").clone();
    let mut sessions = workers.iter().filter(|worker| worker["state"] == "session");
    let pid = sessions.next().expect("a session")["pid"]
        .as_i64()
        .expect("a pid");
    assert!(sessions.next().is_none(), "{workers:?}");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).expect("a pid"));
    kill(pid, Signal::SIGKILL).expect("a worker");
    let _ = second.end();
    let mut both = None;
    assert!(eventually(|| {
        let (mut first, mut second) = (client(3), client(3));
        let codes = (first.reply().code, second.reply().code);
        let is_so = codes == (220, 220);
        both = is_so.then_some((first, second));
        is_so
    }));
    assert!(client(3).reply().to_string().starts_with(CROWDED));
}

// T54
// man: mimicryd(8) "those that follow within a minute are counted"
#[test]
fn a_flood_of_refusals_does_not_fill_the_log() {
    let mut world = World::new(Setup {
        daemon: "workers = { min = 4, max = 4, spare = 0 }",
        limits: "connections_per_client = 1\nrecipients = 10\nerrors = 1000",
        ..Setup::default()
    });
    let address = world.address();
    let client = |source| Client::of(from(source, address));
    let held = client(3).greeted();
    for _ in 0..200 {
        let refused = client(3).reply();
        assert!(refused.to_string().starts_with(CROWDED), "{refused}");
    }
    // Others have their lines.
    let _other = client(4).greeted();
    assert!(client(4).reply().to_string().starts_with(CROWDED));
    assert_eq!(counted(&mut world, "connection_refused"), 201);
    drop(held);
    // Recipients without end.
    let mut client = client(5).greeted();
    client.says(format!("MAIL FROM:<{FROM}>"), 250);
    for number in 0..200 {
        let code = if number < 10 { 250 } else { 452 };
        client.says(format!("RCPT TO:<r{number}@example.net>"), code);
    }
    assert_eq!(counted(&mut world, "rcpt_refused"), 190);
    client.vanish();
    // What was counted is said when a worker goes, at the latest.
    assert_eq!(world.daemon().command(&["reload", "--wait"]).code, 0);
    let log = world.daemon().log();
    let lines = |event: &str| log.matches(&format!("event={event} ")).count();
    // One for each worker and network.
    assert!(lines("connection-refused") <= 2 * 4, "{log}");
    assert_eq!(lines("rcpt-refused"), 1);
    let sum = |event: &str| -> usize {
        let said = format!(" more times {event} of the network of ");
        let sums = log.lines().filter_map(|line| line.split_once(&said));
        let numbers =
            sums.filter_map(|(before, _)| before.rsplit(' ').next()?.parse::<usize>().ok());
        numbers.sum()
    };
    assert_eq!(sum("connection-refused") + lines("connection-refused"), 201);
    assert_eq!(sum("rcpt-refused"), 189);
}

// T54
// man: mimicry.toml(5) "Not counted are the clients of unix sockets and those that"
#[test]
fn the_mta_beside_us_has_as_many_connections_as_it_wants() {
    let world = World::new(Setup {
        daemon: "workers = { min = 4, max = 4, spare = 0 }",
        listen: "xforward_clients = [\"127.0.0.1\"]",
        limits: "connections_per_client = 1",
        ..Setup::default()
    });
    let mta: Vec<Client> = (0..3).map(|_| world.client()).collect();
    let address = world.address();
    let mut first = Client::of(from(5, address));
    first.expect(220);
    drop(mta);
    assert!(eventually(|| {
        let mut second = Client::of(from(5, address));
        second.reply().to_string().starts_with(CROWDED)
    }));
    // By default nobody is counted.
    let world = World::new(Setup {
        daemon: "workers = { min = 4, max = 4, spare = 0 }",
        ..Setup::default()
    });
    let all: Vec<Client> = (0..4).map(|_| world.client()).collect();
    drop(all);
    world.alive();
}

/// What a process holds: kilobytes of memory, and descriptors.
fn holds(pid: nix::unistd::Pid) -> (usize, usize) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let memory = kilobytes.and_then(|number| number.parse().ok());
    (memory.expect("a number of kB"), Daemon::descriptors(pid))
}

const WORK: &str = r#"
[[rule]]
name = "footer"
plugin = "disclaim"
options = { text = "A word from us." }

[[rule]]
name = "pack"
plugin = "zip"
match = { position = "attachment" }
options = { name = "all.zip" }
"#;

/// One of several kinds of mail, and each another size.
fn mail(number: usize) -> Vec<u8> {
    let long = "0123456789abcdef0123456789abcdef\r\n".repeat(number * 7919 % 300);
    let head = format!("From: a@example.org\r\nMessage-ID: <{number}@x>\r\nMIME-Version: 1.0\r\n");
    match number % 3 {
        0 => format!("{head}\r\nHello {number}\r\n{long}"),
        1 => format!(
            "{head}Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello\r\n--b\r\n\
             Content-Type: application/x\r\nContent-Disposition: attachment; filename={number}.txt\r\n\r\n{long}\r\n--b--\r\n"
        ),
        _ => format!("{head}Content-Type: text/html\r\n\r\n<html><body>{long}</body></html>\r\n"),
    }
    .into_bytes()
}

// T130
#[test]
fn a_worker_holds_no_more_after_many_mails() {
    let mut world = World::new(Setup {
        daemon: "workers = { min = 1, max = 1, spare = 0 }\nmails_per_worker = 0\ncore_dumps = true",
        rules: WORK,
        ..Setup::default()
    });
    let (master, worker) = (world.daemon().pid(), world.daemon().workers()[0]);
    let mut early = (0, 0, 0, 0);
    let sum = |one: (usize, usize), other: (usize, usize)| (one.0, one.1, other.0, other.1);
    for number in 0..3000 {
        // Sessions of a few mails, some of which end without a word, and some mails that are not finished.
        let mut client = world.client();
        assert!(client.mail(FROM, TO, &mail(number)).is_done());
        match number % 4 {
            0 => client.quit(),
            1 => {
                client.envelope(FROM, TO);
                client.says("DATA", 354);
                client.send(b"half a ");
                client.reset();
            }
            2 => client.vanish(),
            _ => {
                client.says("RSET", 250);
            }
        }
        if number == 500 {
            early = sum(holds(master), holds(worker));
            assert!(early.1 > 0 && early.3 > 0, "{early:?}");
        }
        world.hop.mails();
    }
    assert_eq!(world.daemon().workers(), [worker]);
    let late = sum(holds(master), holds(worker));
    println!(
        "kB and descriptors of master and worker after 500 and after 3000 mails: {early:?}, {late:?}"
    );
    let is_flat = |early: usize, late: usize| late <= early + early / 20 + 1024;
    assert!(
        is_flat(early.0, late.0) && is_flat(early.2, late.2),
        "{early:?}, {late:?}"
    );
    assert!(
        late.1 <= early.1 + 1 && late.3 <= early.3 + 1,
        "{early:?}, {late:?}"
    );
}
