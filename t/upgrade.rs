//! Another master takes over: nobody outside notices, and a program that cannot leaves the one in force as it is.
//!
//! Each daemon is started from a name in its own directory, so that a test can put something else there.

use std::fs;
use std::io::IoSliceMut;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::sockopt::PassCred;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg, setsockopt};
use nix::unistd::{Pid, geteuid};

use crate::harness::client::{Client, PATIENCE, stuffed};
use crate::harness::daemon::{
    Daemon, OWN_SOCKET, PLAIN, Setup, World, eventually, is_gone, open_directory, prepared,
    workers_of,
};
use crate::harness::hop::{Hop, Stage};
use crate::harness::{Ran, run};

const FROM: &str = "anna@example.org";
const TO: &[&str] = &["bob@example.net"];

/// For [`Setup::shell`]: the program is called as `./mimicryd`.
const OWN_NAME: &str = "ln \"$0\" mimicryd 2>/dev/null || cp \"$0\" mimicryd\n\
    printf '#!/bin/sh\\nshift\\nexec ./mimicryd \"$@\"\\n' >called\nchmod 755 called\nRUN=./called";

fn own_name_and_socket() -> String {
    format!("{OWN_SOCKET}\n{OWN_NAME}")
}

/// Puts a script in the place of the program; the program stays as `real`.
fn replace(daemon: &Daemon, script: &str) {
    let place = daemon.directory.path();
    if !place.join("real").exists() {
        fs::rename(place.join("mimicryd"), place.join("real")).expect("the program");
    }
    let new = place.join("new");
    fs::write(&new, format!("#!/bin/sh\n{script}\n")).expect("a script");
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("our own file");
    fs::rename(new, place.join("mimicryd")).expect("the place of the program");
}

fn put_back(daemon: &Daemon) {
    let place = daemon.directory.path();
    fs::rename(place.join("real"), place.join("mimicryd")).expect("the program");
}

/// An upgrade that works; the result is the new master.
#[track_caller]
fn upgrade(daemon: &mut Daemon) -> Pid {
    let old = daemon.pid();
    let ran = daemon.command(&["upgrade"]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.err, daemon.said());
    let new = daemon.follow();
    assert_ne!(new, old);
    let said = format!(
        "mimicryd {}, process {new}, has taken over\n",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!((ran.text(), ran.err.as_str()), (said.as_str(), ""));
    new
}

/// Its master is the same as before, with the same workers, and serves.
#[track_caller]
fn is_untouched(world: &mut World, master: Pid, workers: &[Pid]) {
    let daemon = world.daemon();
    let pid = fs::read_to_string(daemon.directory.path().join("pid")).expect("the pid file");
    assert_eq!(pid, format!("{master}\n"));
    let status = json(&daemon.command(&["status", "--json"]));
    assert_eq!(status["pid"], master.as_raw());
    assert_eq!(status["state"], "running");
    assert_eq!(status["listeners"][0]["rebound"], 0);
    let now = daemon.workers();
    assert!(
        workers.iter().all(|worker| now.contains(worker)),
        "{workers:?} are not all in {now:?}"
    );
    world.alive();
}

fn json(ran: &Ran) -> serde_json::Value {
    assert_eq!(ran.code, 0, "{}", ran.err);
    serde_json::from_str(ran.text()).expect("JSON")
}

/// Connects, is greeted and leaves, again and again, while something is done.
fn knocking<T>(address: std::net::SocketAddr, act: impl FnOnce() -> T) -> (T, usize) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let knock = || {
            let mut count = 0;
            while !stop.load(Ordering::Relaxed) {
                let mut client = Client::try_connect(address).expect("no connection is refused");
                client.expect(220);
                client.says("QUIT", 221);
                count += 1;
            }
            count
        };
        let knocking = [scope.spawn(knock), scope.spawn(knock)];
        let result = act();
        stop.store(true, Ordering::Relaxed);
        let counts = knocking.map(|one| one.join().expect("every client was greeted"));
        (result, counts.iter().sum())
    })
}

// T143
// man: mimicryd(8) "No connection is refused meanwhile, and no mail is deferred."
// man: mimicryd(8) "An open session finishes the mail in hand and then ends with 421 4.3.2; an idle one ends at once."
#[test]
fn clients_notice_nothing_but_a_421_between_mails() {
    let own = own_name_and_socket();
    // As etc/systemd/mimicryd.service has it.
    let few_rights = format!(
        "{own}\nRUN='setpriv --no-new-privs --bounding-set -all,+setuid,+setgid,+kill --inh-caps -all ./called'"
    );
    for shell in [OWN_NAME, &own, &few_rights] {
        if shell == few_rights && !geteuid().is_root() {
            continue;
        }
        let mut world = World::new(Setup {
            shell,
            ..Setup::default()
        });
        let address = world.address();
        let first = world.daemon().pid();
        let mut idle = world.client();
        let mut in_hand = world.held(Stage::Dot);
        let mut leaving = world.client();
        leaving.envelope(FROM, TO);
        leaving.says("DATA", 354);
        leaving.send(&stuffed(PLAIN));
        world.hop.wait("both mails", |record| record.held == 2);
        world.hop.behave_well();
        let (masters, count) = knocking(address, || {
            let masters = [(); 3].map(|()| upgrade(world.daemon()));
            world.alive();
            masters
        });
        assert!(count > 10, "{count}");
        assert!(!masters.contains(&first));
        let reply = idle.expect(421);
        assert!(reply.to_string().contains("4.3.2"), "{reply}");
        // Their mails are in hand still, and the first master waits for them.
        assert!(!is_gone(first));
        let _ = world.hop.mails();
        world.hop.release();
        for client in [&mut in_hand, &mut leaving] {
            client.expect(250);
        }
        assert_eq!(world.hop.mails().len(), 2);
        leaving.says("QUIT", 221);
        let reply = in_hand.expect(421);
        assert!(reply.to_string().contains("4.3.2"), "{reply}");
        let daemon = world.daemon();
        assert!(daemon.first_ends().success());
        // It took nothing with it.
        assert_eq!(daemon.follow(), masters[2]);
        let gone = |pid: Pid| eventually(|| is_gone(pid));
        assert!(gone(masters[0]) && gone(masters[1]), "{}", daemon.said());
        let status = json(&daemon.command(&["status", "--json"]));
        assert_eq!(status["upgrades"], 3);
        assert_eq!(status["pid"], masters[2].as_raw());
        assert_eq!(status["generation"], 4);
        // Also what was finished after another one was the master.
        assert!(
            eventually(|| {
                let status = json(&daemon.command(&["status", "--json"]));
                status["totals"]["mails"] == 3 && status["predecessor"].is_null()
            }),
            "{}",
            daemon.command(&["status"]).text()
        );
        world.alive();
    }
}

// T143
// man: mimicryd(8) "If the new program does not start, ends, refuses the configuration, or is not ready within upgrade_timeout, the daemon goes
// on as before: nothing of it was touched."
#[test]
fn a_program_that_cannot_leaves_the_master_as_it_is() {
    let mut world = World::new(Setup {
        shell: OWN_NAME,
        daemon: "upgrade_timeout = \"1s\"\ndrain_timeout = \"1s\"\nworkers = { min = 3, max = 3, spare = 0 }",
        // Who is ready to be the master has the right standard error, and complains there too.
        errors: &[
            "upgrade failed, the daemon goes on as before",
            "unknown table",
            "cannot read",
        ],
        ..Setup::default()
    });
    let mut session = world.client();
    let (master, workers) = (world.daemon().pid(), world.daemon().workers());
    let place = world.daemon().directory.path().to_path_buf();
    for (script, code, said) in [
        (
            "echo no such library >&2; exit 3",
            69,
            "exited with status 3, and said \"no such library\"",
        ),
        ("kill -9 $$", 69, "was killed by SIGKILL"),
        (
            "exec sleep 1000",
            69,
            "was not ready within 1 s (upgrade_timeout)",
        ),
        (
            "trap '' TERM; echo $$ >stubborn; while :; do sleep 0.1; done",
            69,
            "was not ready within 1 s",
        ),
        ("exec >&- 2>&-; exit 0", 69, "exited with status 0"),
        (
            "exec ./real run --foreground -c other.toml",
            78,
            "other.toml",
        ),
    ] {
        replace(world.daemon(), script);
        let ran = world.daemon().command(&["upgrade"]);
        assert_eq!(ran.code, code, "{script}: {}", ran.err);
        assert!(ran.err.contains(said), "{script}: {}", ran.err);
        assert!(
            ran.err
                .ends_with("the upgrade failed, the daemon goes on as before\n"),
            "{}",
            ran.err
        );
        world.daemon().logs(said);
        is_untouched(&mut world, master, &workers);
    }
    fs::write(place.join("mimicryd"), "no program").expect("our own file");
    let ran = world.daemon().command(&["upgrade"]);
    assert!(ran.err.contains("cannot be started"), "{}", ran.err);
    fs::remove_file(place.join("mimicryd")).expect("our own file");
    let ran = world.daemon().command(&["upgrade"]);
    assert!(
        ran.err.contains("cannot be started: No such file"),
        "{}",
        ran.err
    );
    is_untouched(&mut world, master, &workers);
    // A configuration with a mistake is shown as reload shows it.
    put_back(world.daemon());
    world.daemon().change("[relay]", "[relais]");
    let ran = world.daemon().command(&["upgrade"]);
    assert_eq!(ran.code, 78, "{}", ran.err);
    assert!(
        ran.err.contains("unknown") && ran.err.contains("relais"),
        "{}",
        ran.err
    );
    is_untouched(&mut world, master, &workers);
    world.daemon().change("[relais]", "[relay]");
    // The session did not notice, none of the programs is left, and one that can takes over.
    assert!(session.mail(FROM, TO, PLAIN).is_done());
    let daemon = world.daemon();
    assert!(
        eventually(|| daemon.workers().len() <= workers.len()),
        "{:?}",
        daemon.workers()
    );
    upgrade(daemon);
    session.expect(421);
    world.alive();
    // The master that is gone left nobody behind who does not listen to it.
    let stubborn = fs::read_to_string(place.join("stubborn")).expect("its number");
    let process = Path::new("/proc").join(stubborn.trim());
    assert!(eventually(|| !process.exists()), "{stubborn}");
}

// T143
#[test]
fn a_new_master_that_is_killed_takes_no_socket_with_it() {
    let shell = own_name_and_socket();
    let mut world = World::new(Setup {
        shell: &shell,
        daemon: "workers = { min = 3, max = 3, spare = 0 }",
        errors: &["upgrade failed, the daemon goes on as before"],
        ..Setup::default()
    });
    let (master, workers) = (world.daemon().pid(), world.daemon().workers());
    replace(
        world.daemon(),
        "until [ -e go ]; do sleep 0.01; done; exec ./real \"$@\"",
    );
    world.daemon().signal(Signal::SIGUSR2);
    let line = world.daemon().logs("was started as process");
    let new = line.rsplit(' ').next().and_then(|pid| pid.parse().ok());
    let new = Pid::from_raw(new.expect("a process id"));
    // The old one does not notice that the new one is ready.
    world.daemon().signal(Signal::SIGSTOP);
    world.daemon().directory.file("go", "");
    let is_idle = |pid: &Pid| {
        let title = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        title.starts_with(b"mimicryd: worker (idle)")
    };
    let accept = || workers_of(new).iter().filter(|pid| is_idle(pid)).count() >= 2;
    assert!(eventually(accept), "{}", world.daemon().said());
    let orphans = workers_of(new);
    kill(new, Signal::SIGKILL).expect("it is there");
    assert!(
        eventually(|| orphans.iter().all(|pid| is_gone(*pid))),
        "they stay without a master"
    );
    // The listeners are open, whoever accepts.
    Client::connect(world.address()).greeted().quit();
    world.daemon().signal(Signal::SIGCONT);
    world.daemon().logs("was killed by SIGKILL");
    is_untouched(&mut world, master, &workers);
    let log = world.daemon().log();
    assert!(!log.contains("shut down from outside"), "{log}");
}

// T143
#[test]
fn an_old_master_that_is_killed_takes_no_socket_with_it() {
    let shell = own_name_and_socket();
    let mut world = World::new(Setup {
        shell: &shell,
        daemon: "workers = { min = 3, max = 3, spare = 0 }",
        ..Setup::default()
    });
    let mut in_hand = world.held(Stage::Dot);
    world.hop.behave_well();
    let old = world.daemon().pid();
    let new = upgrade(world.daemon());
    kill(old, Signal::SIGKILL).expect("it is there");
    world.daemon().logs("the master before this one, has ended");
    world.hop.release();
    in_hand.expect(250);
    let _ = world.hop.mails();
    let workers = world.daemon().workers();
    is_untouched(&mut world, new, &workers);
    let log = world.daemon().log();
    assert!(!log.contains("shut down from outside"), "{log}");
}

// T143
// man: mimicryd(8) "It reads the configuration file, so an upgrade is a reload, too, and pid_file, control and every listener are those of the
// file afterwards."
#[test]
fn what_the_configuration_says_by_now_is_in_force() {
    let (_directory, path) = open_directory();
    let (one, two) = (path.join("one.sock"), path.join("two.sock"));
    let kept = path.join("kept.sock");
    let listeners = format!(
        "[[listen]]\nname = \"kept\"\naddress = \"unix:{}\"\n[[listen]]\nname = \"u\"\naddress = \"unix:{}\"\n",
        kept.display(),
        one.display()
    );
    let shell = own_name_and_socket();
    let mut world = World::new(Setup {
        shell: &shell,
        rules: &listeners,
        ..Setup::default()
    });
    let daemon = world.daemon();
    let place = daemon.directory.path().to_path_buf();
    let inode =
        |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).expect("a file"));
    let before = (
        inode(&kept),
        inode(&place.join("pid")),
        inode(&place.join("control")),
    );
    upgrade(daemon);
    let after = (
        inode(&kept),
        inode(&place.join("pid")),
        inode(&place.join("control")),
    );
    assert_eq!(before, after);
    daemon.change("one.sock", "two.sock");
    daemon.change("/pid\"", "/pid2\"");
    daemon.change("/control\"", "/control2\"");
    // The command looks for the socket in the configuration.
    daemon.signal(Signal::SIGUSR2);
    assert!(
        eventually(|| two.exists() && !one.exists()),
        "{}",
        daemon.said()
    );
    assert!(
        eventually(|| !place.join("pid").exists() && !place.join("control").exists()),
        "{}",
        daemon.said()
    );
    daemon.first_ends();
    fs::copy(place.join("pid2"), place.join("pid")).expect("the new pid file");
    daemon.follow();
    fs::remove_file(place.join("pid")).expect("the copy");
    assert_eq!(json(&daemon.command(&["status", "--json"]))["upgrades"], 2);
    for socket in [&kept, &two] {
        let mut client = Client::connect_unix(socket).greeted();
        assert!(client.mail(FROM, TO, PLAIN).is_done());
    }
    assert_eq!(daemon.command(&["stop"]).code, 0);
    assert!(daemon.ends().success());
    for file in [&kept, &two, &place.join("pid2"), &place.join("control2")] {
        assert!(!file.exists(), "{} is left", file.display());
    }
}

// T143
// man: mimicryd(8) "It is started from the path by which the daemon was started, with the same arguments, the same environment and the same
// working directory."
#[test]
fn the_new_program_is_started_as_the_old_one_was() {
    let mut world = World::new(Setup {
        shell: &format!("export SIGN=kept\n{OWN_NAME}"),
        ..Setup::default()
    });
    let daemon = world.daemon();
    let environment = |pid: Pid| {
        let text = fs::read_to_string(format!("/proc/{pid}/environ")).expect("the process");
        let mut all: Vec<String> = text
            .split('\0')
            .filter(|one| !one.is_empty() && !one.starts_with("LISTEN_"))
            .filter(|one| !one.starts_with("MIMICRYD_UPGRADE="))
            .map(String::from)
            .collect();
        all.sort();
        all
    };
    let old = daemon.pid();
    let before = environment(old);
    assert!(before.contains(&"SIGN=kept".to_string()));
    // The old one is not what stands there any more; the path stays the same, whatever a script in between calls.
    replace(
        daemon,
        "pwd >seen; echo \"$0 $*\" >>seen; exec ./real \"$@\"",
    );
    let new = upgrade(daemon);
    let place = daemon.directory.path().to_path_buf();
    let seen = fs::read_to_string(place.join("seen")).expect("what the script saw");
    let expected = format!(
        "{}\n{}/./mimicryd run --foreground -c mimicry.toml\n",
        place.display(),
        place.display()
    );
    assert_eq!(seen, expected);
    let after: Vec<String> = environment(new)
        .into_iter()
        // Of the shell in between.
        .filter(|one| !one.starts_with("OLDPWD=") && !one.starts_with("_="))
        .collect();
    let before: Vec<String> = before
        .into_iter()
        .filter(|one| !one.starts_with("OLDPWD=") && !one.starts_with("_="))
        .collect();
    assert_eq!(before, after);
    // What the new program leaves open, it leaves to nobody.
    let count = |pid: Pid| Daemon::descriptors(pid);
    daemon.first_ends();
    let first = count(daemon.pid());
    put_back(daemon);
    for _ in 0..3 {
        upgrade(daemon);
    }
    let pid = daemon.pid();
    assert!(
        eventually(|| json(&daemon.command(&["status", "--json"]))["predecessor"].is_null()),
        "{}",
        daemon.said()
    );
    assert!(
        eventually(|| count(pid) <= first),
        "{} descriptors after three more upgrades, {first} before",
        count(pid)
    );
}

// T143
// man: mimicryd(8) "While an upgrade is under way, another one is refused, a reload waits for its end"
#[test]
fn what_else_is_asked_during_an_upgrade() {
    let mut world = World::new(Setup {
        shell: OWN_NAME,
        daemon: "upgrade_timeout = \"60s\"",
        errors: &["refused"],
        ..Setup::default()
    });
    replace(
        world.daemon(),
        "until [ -e go ]; do sleep 0.01; done; exec ./real \"$@\"",
    );
    let daemon = world.daemon();
    let old = daemon.pid();
    daemon.signal(Signal::SIGUSR2);
    daemon.logs("was started as process");
    daemon.notice("RELOADING=1");
    let ran = daemon.command(&["upgrade"]);
    assert_eq!(ran.code, 75, "{}", ran.err);
    assert!(
        ran.err.contains("an upgrade is under way already"),
        "{}",
        ran.err
    );
    let status = json(&daemon.command(&["status", "--json"]));
    assert_eq!(status["state"], "upgrading");
    daemon.signal(Signal::SIGHUP);
    daemon.directory.file("go", "");
    let name = |daemon: &Daemon| fs::read_to_string(daemon.directory.path().join("pid")).ok();
    assert!(
        eventually(|| name(daemon).is_some_and(|pid| pid.trim() != old.to_string())),
        "{}",
        daemon.said()
    );
    let new = daemon.follow();
    daemon.notice(&format!("MAINPID={new}"));
    daemon.first_ends();
    // The reload is the new one's.
    daemon.logs("generation 3");
    put_back(daemon);
    upgrade(daemon);
    world.alive();

    // TERM ends both.
    let daemon = world.daemon();
    replace(daemon, "exec sleep 1000");
    daemon.signal(Signal::SIGUSR2);
    let child = started(daemon, 3);
    daemon.signal(Signal::SIGTERM);
    daemon.ends();
    assert!(eventually(|| is_gone(child)), "the new program is left");
    assert!(!daemon.directory.path().join("pid").exists());
}

/// The number of the process that was started last to take over.
#[track_caller]
fn started(daemon: &Daemon, times: usize) -> Pid {
    let lines = || -> Vec<String> {
        let log = daemon.log();
        let lines = log.lines();
        lines
            .filter(|line| line.contains("was started as process"))
            .map(String::from)
            .collect()
    };
    assert!(eventually(|| lines().len() == times), "{}", daemon.said());
    let last = lines().pop().expect("a line");
    let pid = last.rsplit(' ').next().and_then(|pid| pid.parse().ok());
    Pid::from_raw(pid.expect("a process id"))
}

/// Waits until this master has gone through its loop once.
#[track_caller]
fn goes_round(daemon: &Daemon, master: Pid) {
    for _ in 0..2 {
        let count = || daemon.log().matches("log reopened").count();
        let before = count();
        kill(master, Signal::SIGUSR1).expect("it is there");
        assert!(eventually(|| count() > before), "{}", daemon.said());
    }
}

// T143
// man: mimicryd(8) "stopping the daemon ends the new program, too"
#[test]
fn to_stop_gives_up_an_upgrade() {
    let shell = own_name_and_socket();
    for moment in ["it starts", "it is told", "it has taken over"] {
        let mut world = World::new(Setup {
            shell: &shell,
            daemon: "upgrade_timeout = \"60s\"\nworkers = { min = 3, max = 3, spare = 0 }",
            ..Setup::default()
        });
        let mut in_hand = world.held(Stage::Dot);
        let daemon = world.daemon();
        let (old, place) = (daemon.pid(), daemon.directory.path().to_path_buf());
        replace(
            daemon,
            "until [ -e go ]; do sleep 0.01; done; exec ./real \"$@\"",
        );
        daemon.signal(Signal::SIGUSR2);
        let new = started(daemon, 1);
        daemon.notice("RELOADING=1");
        if moment != "it starts" {
            daemon.signal(Signal::SIGSTOP);
            daemon.directory.file("go", "");
            let is_idle = |pid: &Pid| {
                let title = fs::read(format!("/proc/{pid}/cmdline"));
                title.is_ok_and(|title| title.starts_with(b"mimicryd: worker (idle)"))
            };
            let accept = || workers_of(new).iter().filter(|pid| is_idle(pid)).count() == 3;
            assert!(eventually(accept), "{}", daemon.said());
            goes_round(daemon, new);
            kill(new, Signal::SIGSTOP).expect("it is there");
            daemon.signal(Signal::SIGCONT);
            goes_round(daemon, old);
        }
        if moment == "it has taken over" {
            daemon.signal(Signal::SIGSTOP);
            kill(new, Signal::SIGCONT).expect("it is there");
            daemon.logs("takes over from mimicryd");
        }
        daemon.signal(Signal::SIGTERM);
        daemon.signal(Signal::SIGCONT);
        daemon.logs("upgrade given up: the daemon stops");
        if moment != "it has taken over" {
            // Until it has stopped it is the daemon, and says so.
            let pid = fs::read_to_string(place.join("pid")).expect("the pid file");
            assert_eq!(pid, format!("{old}\n"), "{moment}");
            let status = json(&daemon.command(&["status", "--json"]));
            assert_eq!(status["state"], "stopping", "{moment}");
            let ran = daemon.command(&["upgrade"]);
            let said = "the daemon stops\nnothing was upgraded\n";
            assert_eq!((ran.code, ran.err.as_str()), (69, said), "{moment}");
            let ran = daemon.command(&["reload"]);
            let said = "the daemon stops\nnothing was reloaded\n";
            assert_eq!((ran.code, ran.err.as_str()), (69, said), "{moment}");
        }
        world.hop.release();
        in_hand.expect(250);
        let daemon = world.daemon();
        assert!(daemon.ends().success(), "{moment}");
        assert!(eventually(|| is_gone(new)), "{moment}: it is left");
        assert!(eventually(|| workers_of(new).is_empty()), "{moment}");
        assert!(!place.join("pid").exists() && !place.join("control").exists());
        let log = daemon.log();
        assert!(!log.contains("goes on as before"), "{moment}: {log}");
        let mut last = String::new();
        let mut octets = [0; 4096];
        while let Ok(count) = daemon.notices.recv(&mut octets) {
            last = String::from_utf8_lossy(&octets[..count]).into_owned();
        }
        assert_eq!(last, "STOPPING=1\n", "{moment}");
    }
}

// T143
// man: mimicryd(8) "A master that is told to stop tells the one before it, too, and ends after it."
#[test]
fn to_stop_stops_the_old_master_too() {
    let shell = own_name_and_socket();
    let mut world = World::new(Setup {
        shell: &shell,
        ..Setup::default()
    });
    let mut in_hand = world.held(Stage::Dot);
    let mut idle = world.client();
    let old = world.daemon().pid();
    upgrade(world.daemon());
    idle.expect(421);
    let status = world.daemon().command(&["status"]);
    let said = format!("upgraded 1 times since; process {old}, the master before, still");
    assert!(status.text().contains(&said), "{}", status.text());
    world.daemon().signal(Signal::SIGTERM);
    world.daemon().logs("stopping: mails in hand have");
    assert!(!is_gone(world.daemon().pid()));
    world.hop.release();
    in_hand.expect(250);
    let daemon = world.daemon();
    assert!(daemon.ends().success());
    assert!(!daemon.directory.path().join("pid").exists());
    assert_eq!(world.hop.mails().len(), 1);
}

// T143
// man: mimicryd(8) "A daemon in the foreground can be upgraded only under a service manager that can be told of the new process"
#[test]
fn who_started_it_must_know_of_the_new_master() {
    let mut world = World::new(Setup {
        shell: OWN_NAME,
        ..Setup::default()
    });
    let daemon = world.daemon();
    daemon.signal(Signal::SIGUSR2);
    daemon.notice("RELOADING=1");
    daemon.logs("takes over from mimicryd");
    let new = daemon.follow();
    daemon.notice(&format!("MAINPID={new}"));
    world.alive();

    let hop = Hop::new();
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address");
    let directory = prepared(&Setup::default(), address, &hop);
    drop(free);
    let place = directory.path().to_path_buf();
    let args = |command: &'static str| [command, "-c", "mimicry.toml"];
    let pid = || fs::read_to_string(place.join("pid")).expect("the pid file");
    let mut child = Command::new(env!("CARGO_BIN_EXE_mimicryd"))
        .args(["run", "--foreground", "-c", "mimicry.toml"])
        .current_dir(&place)
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .spawn()
        .expect("the daemon");
    assert!(eventually(|| {
        run(&place, &args("status"), b"")
            .text()
            .contains(", running, ")
    }));
    let ran = run(&place, &args("upgrade"), b"");
    assert_eq!(ran.code, 71, "{}", ran.err);
    assert!(ran.err.contains("NOTIFY_SOCKET is not set"), "{}", ran.err);
    assert_eq!(pid(), format!("{}\n", child.id()));
    assert_eq!(run(&place, &args("stop"), b"").code, 0);
    assert!(child.wait().expect("a child").success());

    // In the background nobody has to be told; the command that started it is long gone.
    assert_eq!(run(&place, &args("run"), b"").code, 0);
    let first = pid();
    let (ran, count) = knocking(address, || run(&place, &args("upgrade"), b""));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(count > 0);
    assert_ne!(pid(), first);
    let text = fs::read_to_string(format!("/proc/{}/stat", pid().trim())).expect("the master");
    let (_, rest) = text.rsplit_once(')').expect("a name");
    // A session of its own, as the first one had.
    assert_eq!(rest.split_ascii_whitespace().nth(3), Some(pid().trim()));
    assert_eq!(run(&place, &args("stop"), b"").code, 0);
    assert!(!place.join("pid").exists() && !place.join("control").exists());
}

/// What a service manager with NotifyAccess=main makes of the messages: it hears the main process alone, and that names another one.
struct Manager {
    socket: UnixDatagram,
    main: i32,
}

impl Manager {
    /// Hears until it is told this; what came up to then.
    #[track_caller]
    fn hears(&mut self, wanted: &str) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            let mut octets = [0; 4096];
            let mut room = nix::cmsg_space!(UnixCredentials);
            let mut parts = [IoSliceMut::new(&mut octets)];
            let message = recvmsg::<()>(
                self.socket.as_raw_fd(),
                &mut parts,
                Some(&mut room),
                MsgFlags::empty(),
            )
            .unwrap_or_else(|error| panic!("{wanted} is not said: {error}; {heard:?}"));
            let sender = message
                .cmsgs()
                .expect("a message")
                .find_map(|one| match one {
                    ControlMessageOwned::ScmCredentials(sender) => Some(sender.pid()),
                    _ => None,
                });
            let count = message.bytes;
            let text = String::from_utf8_lossy(&octets[..count]).into_owned();
            assert_eq!(sender, Some(self.main), "another process says {text:?}");
            for line in text.lines() {
                if let Some(pid) = line.strip_prefix("MAINPID=") {
                    self.main = pid.parse().expect("a process id");
                }
                heard.push(line.to_string());
            }
            if heard.iter().any(|line| line == wanted) {
                return heard;
            }
        }
    }
}

// T143
// man: mimicryd(8) "the old master names the new one as the main process"
#[test]
fn the_service_manager_needs_to_believe_the_main_process_only() {
    let hop = Hop::new();
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address");
    let directory = prepared(&Setup::default(), address, &hop);
    drop(free);
    let place = directory.path().to_path_buf();
    let name = format!("mimicry-manager-{}", std::process::id());
    let hidden = SocketAddr::from_abstract_name(&name).expect("a name");
    let socket = UnixDatagram::bind_addr(&hidden).expect("a socket");
    setsockopt(&socket, PassCred, &true).expect("an option");
    socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let mut child = Command::new(env!("CARGO_BIN_EXE_mimicryd"))
        .args(["run", "--foreground", "-c", "mimicry.toml"])
        .current_dir(&place)
        .env("NOTIFY_SOCKET", format!("@{name}"))
        .stdin(Stdio::null())
        .spawn()
        .expect("the daemon");
    let first = i32::try_from(child.id()).expect("a process id");
    let mut manager = Manager {
        socket,
        main: first,
    };
    let asked = |command| run(&place, &[command, "-c", "mimicry.toml"], b"").code;
    manager.hears("READY=1");
    for _ in 0..2 {
        let before = manager.main;
        assert_eq!(asked("upgrade"), 0);
        let heard = manager.hears("READY=1");
        assert_eq!(heard[0], "RELOADING=1");
        assert!(heard[1].starts_with("MONOTONIC_USEC="), "{heard:?}");
        assert_ne!(manager.main, before);
        let pid = fs::read_to_string(place.join("pid")).expect("the pid file");
        assert_eq!(pid, format!("{}\n", manager.main));
        // The new one is heard from here on.
        assert_eq!(asked("reload"), 0);
        manager.hears("READY=1");
    }
    // The first one leaves without a word.
    assert!(child.wait().expect("a child").success());
    assert_eq!(asked("stop"), 0);
    manager.hears("STOPPING=1");
}
