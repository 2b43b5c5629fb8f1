//! The daemon as an administrator runs it: start, status, reload, stop, its sockets and its log.
//!
//! Where something needs root to be tried, it is left out for everybody else.

use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use crate::harness::client::Client;
use crate::harness::daemon::{
    OWN_SOCKET, PLAIN, Setup, World, eventually, open_directory, prepared,
};
use crate::harness::hop::{Hop, Stage};
use crate::harness::{family, run};

const FROM: &str = "anna@example.org";
const TO: &[&str] = &["bob@example.net"];

// T128
// man: mimicryd(8) "The daemon does not run, a listener cannot be bound, or workers cannot start."
#[test]
fn a_daemon_that_cannot_start_says_so() {
    let hop = Hop::new();
    // Somebody else has the port.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let directory = prepared(&Setup::default(), address, &hop);
    for args in [
        &["run", "-c", "mimicry.toml", "--foreground"][..],
        &["run", "-c", "mimicry.toml"],
    ] {
        let ran = run(directory.path(), args, b"");
        assert_ne!(ran.code, 0, "{args:?}");
        let log = fs::read_to_string(directory.path().join("log")).unwrap_or_default();
        assert!(
            ran.err.contains(&address.to_string()) || log.contains(&address.to_string()),
            "{args:?}: {ran:?}\n{log}"
        );
    }
    drop(taken);
    if geteuid().is_root() {
        let setup = Setup {
            daemon: "user = \"no-such-user\"",
            ..Setup::default()
        };
        let directory = prepared(&setup, address, &hop);
        let ran = run(
            directory.path(),
            &["run", "-c", "mimicry.toml", "--foreground"],
            b"",
        );
        assert_ne!(ran.code, 0);
        assert!(ran.err.contains("no-such-user"), "{}", ran.err);
    }
    // A configuration that is wrong.
    directory.file("mimicry.toml", "x = 1\n");
    let ran = run(directory.path(), &["run", "-c", "mimicry.toml"], b"");
    assert_eq!(ran.code, 78, "{}", ran.err);
    assert!(ran.err.contains("mimicry.toml:1:1"), "{}", ran.err);
}

// man: mimicryd(8) "it goes into the background, and the command that started it exits 0 only when the workers
// accept connections."
#[test]
fn in_the_background_it_is_ready_when_the_command_ends() {
    let hop = Hop::new();
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address");
    let directory = prepared(&Setup::default(), address, &hop);
    drop(free);
    // Whoever called it waits for the end of its output: the daemon must have let go of that, and its workers too.
    let (tell, told) = std::sync::mpsc::channel();
    let place = directory.path().to_path_buf();
    thread::spawn(move || tell.send(run(&place, &["run", "-c", "mimicry.toml"], b"")));
    let ran = told.recv_timeout(Duration::from_secs(20));
    let pid = fs::read_to_string(directory.path().join("pid")).expect("the pid file");
    let pid = Pid::from_raw(pid.trim().parse().expect("a process id"));
    let ran = ran.unwrap_or_else(|_| {
        let _ = kill(pid, Signal::SIGTERM);
        panic!("somebody in the background holds on to the standard output of the command");
    });
    assert_eq!((ran.code, ran.text()), (0, ""), "{}", ran.err);
    // At once, without any waiting.
    let reply = Client::connect(address).greeted().mail(FROM, TO, PLAIN);
    assert!(reply.is_done(), "{reply}");
    assert_eq!(hop.mails().len(), 1);
    // It has let go of the terminal.
    let session = &family::stat(pid).expect("the master")[3];
    assert_ne!(
        *session,
        nix::unistd::getsid(None).expect("our session").to_string()
    );
    let stopped = run(directory.path(), &["stop", "-c", "mimicry.toml"], b"");
    assert_eq!(stopped.code, 0, "{}", stopped.err);
    assert!(eventually(|| kill(pid, None).is_err()), "it still runs");
    assert!(!directory.path().join("pid").exists());
}

// man: mimicryd(8) "Shows the state of the daemon and of each worker: what it is doing and for how long, its
// sessions, mails, octets and rates."
// man: mimicryd(8) "Tells the daemon to finish the mails in hand and to stop; returns when it has stopped."
#[test]
fn the_control_socket_answers() {
    let mut world = World::new(Setup {
        daemon: "workers = { min = 3, max = 9, spare = 2 }",
        ..Setup::default()
    });
    world.alive();
    let mut session = world.client();
    let daemon = world.daemon();
    let status = daemon.command(&["status"]);
    assert_eq!(status.code, 0, "{}", status.err);
    let workers = daemon.workers();
    let listed = workers
        .iter()
        .filter(|pid| status.text().contains(&format!(" {pid} ")))
        .count();
    assert!(listed >= 3, "{workers:?} in\n{}", status.text());
    assert!(
        status.text().contains(&daemon.pid().to_string()),
        "{}",
        status.text()
    );
    assert!(status.text().contains("mails 1 "), "{}", status.text());
    assert!(
        status.text().contains(" session ") && status.text().contains(" idle "),
        "{}",
        status.text()
    );
    let json = daemon.command(&["status", "--json"]);
    let json: serde_json::Value = serde_json::from_str(json.text()).expect("JSON");
    assert_eq!(json["totals"]["mails"], 1);
    assert_eq!(json["min"], 3);
    session.says("QUIT", 221);
    drop(session);
    let stop = daemon.command(&["stop"]);
    assert_eq!(stop.code, 0, "{}", stop.err);
    assert!(daemon.ends().success());
    for command in ["status", "reload", "stop"] {
        let ran = daemon.command(&[command]);
        assert_ne!(ran.code, 0, "{command} without a daemon");
        assert!(!ran.err.is_empty(), "{command}");
    }
}

// man: mimicry.toml(5) "An address and a port, an IPv6 address in brackets, or unix: and the path of a socket."
#[test]
fn it_listens_on_every_kind_of_socket() {
    let path = open_directory();
    let socket = path.1.join("smtp.sock");
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let second = free.local_addr().expect("an address");
    drop(free);
    let v6 = TcpListener::bind("[::1]:0")
        .and_then(|listener| listener.local_addr())
        .ok();
    let mut listeners = format!(
        "[[listen]]\nname = \"socket\"\naddress = \"unix:{}\"\n[[listen]]\nname = \"second\"\naddress = \"{second}\"\n",
        socket.display()
    );
    if let Some(v6) = v6 {
        listeners += &format!("[[listen]]\nname = \"six\"\naddress = \"{v6}\"\n");
    }
    let mut world = World::new(Setup {
        rules: &listeners,
        ..Setup::default()
    });
    let mut clients = vec![
        ("t", world.connect()),
        ("second", Client::connect(second)),
        ("socket", Client::connect_unix(&socket)),
    ];
    if let Some(v6) = v6 {
        clients.push(("six", Client::connect(v6)));
    }
    for (name, client) in clients {
        let mut client = client.greeted();
        assert!(client.mail(FROM, TO, PLAIN).is_done(), "{name}");
        assert_eq!(world.untraced(&world.hop.only_mail()), PLAIN);
        world.daemon().logs(&format!(" listener={name} "));
        client.quit();
    }
    let daemon = world.daemon();
    assert_eq!(daemon.command(&["stop"]).code, 0);
    daemon.ends();
    assert!(!socket.exists(), "the socket's file is left behind");
}

// T134
// man: mimicryd(8) "New workers must accept connections before the old ones end; no connection is refused
// meanwhile."
#[test]
fn a_good_configuration_comes_into_force() {
    let rule = "[[rule]]\nname = \"r\"\nplugin = \"disclaim\"\noptions = { text = \"old words\", html = \"old words\" }\n";
    let mut world = World::new(Setup {
        rules: rule,
        ..Setup::default()
    });
    let words = |world: &World| {
        let arrived = String::from_utf8(world.pass(PLAIN)).expect("text");
        arrived.lines().last().unwrap_or_default().to_string()
    };
    assert_eq!(words(&world), "old words");
    let old = world.daemon().workers();
    let mut in_flight = world.held(Stage::Dot);
    world.hop.behave_well();
    world.daemon().change("old words", "new words");
    // Connections come in all the time.
    let address = world.address();
    let stop = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        let knocking = scope.spawn(|| {
            let mut count = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let mut client = Client::try_connect(address).expect("no connection is refused");
                client.expect(220);
                client.says("QUIT", 221);
                count += 1;
            }
            count
        });
        let reload = world.daemon().command(&["reload"]);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(reload.code, 0, "{}", reload.err);
        assert!(knocking.join().expect("every client was greeted") > 0);
    });
    // In force when the command ends.
    assert_eq!(words(&world), "new words");
    world.hop.release();
    in_flight.expect(250);
    let taken = world.hop.only_mail();
    assert!(String::from_utf8_lossy(&taken.message()).contains("old words"));
    in_flight.expect(421);
    let daemon = world.daemon();
    assert!(
        eventually(|| daemon.workers().iter().all(|worker| !old.contains(worker))),
        "old workers are left over"
    );
    // By signal it is the same.
    daemon.change("new words", "third words");
    daemon.signal(Signal::SIGHUP);
    let mut last = String::new();
    assert!(
        eventually(|| {
            last = words(&world);
            last == "third words"
        }),
        "{last}"
    );
}

// T134
// man: mimicryd(8) "If the file has mistakes, each is shown, the exit status is 78, and the old configuration stays
// in force."
#[test]
fn a_bad_configuration_changes_nothing() {
    let rule = "[[rule]]\nname = \"r\"\nplugin = \"disclaim\"\noptions = { text = \"old words\", html = \"old words\" }\n";
    let mut world = World::new(Setup {
        rules: rule,
        errors: &["configuration refused"],
        ..Setup::default()
    });
    let workers = world.daemon().workers();
    world
        .daemon()
        .change("plugin = \"disclaim\"", "plugin = \"disclame\"");
    let reload = world.daemon().command(&["reload"]);
    assert_eq!(reload.code, 78, "{}", reload.err);
    assert!(
        reload.err.contains("disclame") && reload.err.contains("did you mean"),
        "{}",
        reload.err
    );
    world.daemon().signal(Signal::SIGHUP);
    let daemon = world.daemon();
    assert!(
        eventually(|| daemon.log().matches("configuration refused").count() == 2),
        "{}",
        daemon.said()
    );
    assert!(
        String::from_utf8(world.pass(PLAIN))
            .expect("text")
            .contains("old words")
    );
    assert!(
        workers
            .iter()
            .all(|worker| world.daemon().workers().contains(worker)),
        "a worker was replaced"
    );
    // Mended, it loads.
    world.daemon().change("disclame", "disclaim");
    assert_eq!(world.daemon().command(&["reload"]).code, 0);
}

// T135
// man: mimicryd(8) "Accept no more connections, finish the mails in hand, exit 0."
#[test]
fn term_lets_the_mail_in_hand_end() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut world = World::new(Setup {
            shell: OWN_SOCKET,
            ..Setup::default()
        });
        let mut idle = world.client();
        let mut open = world.client();
        open.envelope(FROM, TO);
        let mut client = world.held(Stage::Dot);
        world.daemon().signal(signal);
        let address = world.address();
        // Refused at once, although workers that finish their mail are still there.
        let knock = || TcpStream::connect_timeout(&address, Duration::from_millis(500));
        assert!(
            eventually(|| knock().is_err()),
            "it still takes connections"
        );
        assert!(world.daemon().ends_within(Duration::ZERO).is_none());
        world.hop.release();
        client.expect(250);
        assert_eq!(world.untraced(&world.hop.only_mail()), PLAIN);
        // Whoever has no mail in hand is sent away.
        if let Ok(reply) = idle.try_reply() {
            assert_eq!(reply.code, 421, "{reply}");
        }
        drop(open);
        let status = world.daemon().ends();
        assert!(status.success(), "{status}");
    }
}

// T135
// man: mimicryd(8) "or at a second signal, the remaining sessions end with 421, and the client keeps the mail."
#[test]
fn a_second_term_is_quick() {
    let mut world = World::new(Setup {
        daemon: "drain_timeout = \"60s\"",
        ..Setup::default()
    });
    let mut client = world.held(Stage::Dot);
    world.daemon().signal(Signal::SIGTERM);
    world.daemon().logs("stopping");
    world.daemon().signal(Signal::SIGTERM);
    let start = Instant::now();
    world.daemon().ends();
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "the end took {:?}",
        start.elapsed()
    );
    if let Ok(reply) = client.try_reply() {
        assert!(reply.is_temporary(), "{reply}");
    }
}

// T135
// man: mimicry.toml(5) "How long mails in hand may take when the daemon stops."
// man: mimicryd(8) "A worker that does not end within a second more is killed; the log names its mail, of which it is not known then whether the
// next hop has it."
#[test]
fn the_drain_has_a_deadline() {
    let mut world = World::new(Setup {
        daemon: "drain_timeout = \"1s\"",
        ..Setup::default()
    });
    let mut client = world.held(Stage::Dot);
    let status = world.daemon().command(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(status.text()).expect("JSON");
    let workers = status["workers"].as_array().expect("a list");
    let mail = workers.iter().find_map(|worker| worker["mail"].as_str());
    let mail = mail.expect("the mail in hand").to_string();
    world.daemon().signal(Signal::SIGTERM);
    let start = Instant::now();
    let status = world.daemon().ends();
    let line = world.daemon().logs("was cut off in state relaying for");
    let said = format!(
        "mail {mail}: it was killed by SIGKILL; whether the next hop has the mail is not known"
    );
    assert!(line.contains(&said), "{line}");
    assert!(
        start.elapsed() < Duration::from_secs(8),
        "the end took {:?}",
        start.elapsed()
    );
    assert!(status.success(), "{status}");
    if let Ok(reply) = client.try_reply() {
        assert!(reply.is_temporary(), "{reply}");
    }
}

/// It has begun a mail, and nothing comes of it.
// T198
// man: mimicryd(8) "When the service stops, a client that has begun a mail and sends nothing for 5 seconds gets a 421."
#[test]
fn a_client_that_dawdles_in_a_mail_does_not_hold_up_the_end() {
    let mut world = World::new(Setup {
        daemon: "drain_timeout = \"60s\"",
        ..Setup::default()
    });
    let mut begun = world.client();
    begun.says("MAIL FROM:<anna@example.org>", 250);
    let mut named = world.client();
    named.says("MAIL FROM:<anna@example.org>", 250);
    named.says("RCPT TO:<bob@example.net>", 250);
    // Who goes on may finish.
    let mut active = world.client();
    active.says("MAIL FROM:<anna@example.org>", 250);
    world.daemon().signal(Signal::SIGTERM);
    world.daemon().logs("stopping");
    let start = Instant::now();
    active.says("RCPT TO:<carol@example.net>", 250);
    assert!(active.data(PLAIN).is_done());
    for client in [&mut begun, &mut named] {
        client.expect(421);
    }
    world.daemon().ends();
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "the end took {:?}",
        start.elapsed()
    );
    assert_eq!(world.hop.only_mail().recipients(), ["carol@example.net"]);
}

// T142
// man: mimicryd(8) "Or the daemon runs already"
#[test]
fn a_second_daemon_refuses_to_start() {
    let mut world = World::new(Setup {
        errors: &["run"],
        ..Setup::default()
    });
    let daemon = world.daemon();
    let pid = fs::read_to_string(daemon.directory.path().join("pid")).expect("the pid file");
    assert_eq!(pid.trim(), daemon.pid().to_string());
    for args in [&["run", "--foreground"][..], &["run"]] {
        let ran = daemon.command(args);
        assert_ne!(ran.code, 0);
        assert!(ran.err.contains(&daemon.pid().to_string()), "{}", ran.err);
    }
    assert_eq!(
        fs::read_to_string(daemon.directory.path().join("pid")).expect("the pid file"),
        pid
    );
    world.alive();
    // A stale one does no harm: its lock is gone with the process.
    let mut world = World::new(Setup {
        shell: OWN_SOCKET,
        ..Setup::default()
    });
    world.daemon().signal(Signal::SIGKILL);
    world.daemon().ends();
    assert!(world.daemon().directory.path().join("pid").exists());
    world.daemon().start_again();
    world.alive();
}

// T148
// man: mimicry.toml(5) "A listener that other machines can reach must have this setting, because it is an open door
// to the next hop."
#[test]
fn a_listener_that_others_reach_needs_clients() {
    let hop = Hop::new();
    for (address, clients, code) in [
        ("127.0.0.1:0", "", 0),
        ("0.0.0.0:0", "", 78),
        ("[::]:0", "", 78),
        ("0.0.0.0:0", "clients = [\"192.0.2.0/24\"]", 0),
    ] {
        let listen = format!("address = \"{address}\"\n{clients}");
        let setup = Setup {
            listen: &listen,
            ..Setup::default()
        };
        let directory = prepared(&setup, hop.address, &hop);
        let ran = run(directory.path(), &["check", "-c", "mimicry.toml"], b"");
        assert_eq!(ran.code, code, "{address} {clients}: {}", ran.err);
    }
}

// T150
#[test]
fn no_recipient_chooses_where_the_mail_goes() {
    let world = World::new(Setup::default());
    let trap = TcpListener::bind("127.0.0.1:0").expect("a port");
    trap.set_nonblocking(true).expect("a socket");
    let port = trap.local_addr().expect("an address").port();
    let literal = "a@[127.0.0.1]".to_string();
    let route = format!("@[127.0.0.1]:b%c@localhost:{port}");
    let mut client = world.client();
    client.says("MAIL FROM:<anna@example.org>", 250);
    for (path, is_path) in [
        ("a@localhost", true),
        (&literal, true),
        ("a%b@localhost", true),
        ("b!a", true),
        (&route, false),
    ] {
        let reply = client.ask(format!("RCPT TO:<{path}>"));
        assert_eq!(reply.is_done(), is_path, "{path}: {reply}");
    }
    assert!(client.data(PLAIN).is_done());
    assert_eq!(world.hop.only_mail().to.len(), 4);
    let mut nobody = [0; 1];
    assert!(
        trap.accept()
            .map(|(mut stream, _)| stream.read(&mut nobody))
            .is_err()
    );
    client.quit();
}

// T155, T200
// man: mimicryd(8) "A master that is root without the right to give files away"
#[test]
fn a_root_that_may_give_nothing_away_serves_all_the_same() {
    if !geteuid().is_root() {
        return;
    }
    let (_directory, path) = open_directory();
    let socket = path.join("in");
    let rules = format!(
        "[[listen]]\nname = \"u\"\naddress = \"unix:{}\"\n",
        socket.display()
    );
    let mut world = World::new(Setup {
        daemon: "user = \"nobody\"\nmails_per_worker = 0\nworkers = { min = 2, max = 2, spare = 0 }",
        // As etc/systemd/mimicryd.service has it.
        shell: "mkdir -p spool; chown nobody spool; chmod 0700 spool\nRUN='setpriv --bounding-set -all,+setuid,+setgid --inh-caps -all'",
        rules: &rules,
        ..Setup::default()
    });
    world.alive();
    let here = world.daemon().directory.path().to_path_buf();
    let nobody = nix::unistd::User::from_name("nobody")
        .expect("users")
        .expect("nobody");
    // The spool is the workers' and closed: what the master notes there, it notes in their name.
    let said = world.daemon().command(&["poison", "clear"]);
    assert_eq!(said.code, 0, "{}", said.complaints());
    // The socket is open to the group, and the ledger is the workers'.
    let facts = fs::metadata(&socket).expect("the socket");
    assert_eq!(facts.gid(), nobody.gid.as_raw());
    assert_eq!(facts.mode() & 0o777, 0o660);
    let ledger = fs::metadata(here.join("spool/ledger")).expect("the ledger");
    assert_eq!(ledger.uid(), nobody.uid.as_raw());
    let log = world.daemon().log();
    assert!(!log.contains("warn: "), "{log}");
    // After a rotation the workers are those that have the new file.
    let daemon = world.daemon();
    fs::rename(here.join("log"), here.join("log.1")).expect("the log is moved");
    daemon.signal(Signal::SIGUSR1);
    daemon.logs("log reopened");
    let is_new = eventually(|| {
        world.alive();
        world.daemon().log().contains(" status=sent")
    });
    assert!(is_new, "{}", world.daemon().said());
    let old = || fs::read(here.join("log.1")).expect("the old log").len();
    let is_left = eventually(|| {
        let before = old();
        for _ in 0..5 {
            world.alive();
        }
        old() == before
    });
    assert!(is_left, "a worker still writes into the old log");
}
