//! Master and workers: their birth, their number, their death, and what they hold.
//!
//! Where something needs root to be tried, it is left out for everybody else.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use crate::harness::client::{Client, Outcome, stuffed};
use crate::harness::daemon::{Daemon, OWN_SOCKET, PLAIN, Setup, World, eventually};
use crate::harness::hop::{Act, Stage};
use crate::harness::{family, root};
use crate::short::{limit_descriptors, other_user};

const FROM: &str = "anna@example.org";
const TO: &[&str] = &["bob@example.net"];
const ONE: &str = "workers = { min = 1, max = 1, spare = 0 }";
const KILLED: &[&str] = &["was killed by SIG"];

/// Another worker is there, and only it.
#[track_caller]
fn replaced(world: &mut World, old: Pid) {
    let daemon = world.daemon();
    let is_new = || daemon.workers().first().is_some_and(|new| *new != old);
    assert!(
        eventually(is_new),
        "worker {old} is not replaced\n{}",
        daemon.said()
    );
}

fn status_field(pid: Pid, field: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line = status
        .lines()
        .find(|line| line.starts_with(field))
        .unwrap_or_else(|| panic!("no {field}"));
    line.split_once(':').expect("a field").1.trim().to_string()
}

/// Ticks of processor time.
fn ticks(pid: Pid) -> u64 {
    let fields = family::stat(pid).expect("the process is there");
    fields[11..13]
        .iter()
        .map(|ticks| ticks.parse::<u64>().expect("a number"))
        .sum()
}

// T124, T126
// man: mimicryd(8) "After the message the client is told 250 only when the next hop has said 250 to this very
// message. Whatever else the next hop does is a 4xx to the client, which keeps the mail."
#[test]
fn a_worker_that_is_killed_loses_nothing() {
    let mut world = World::new(Setup {
        daemon: ONE,
        errors: KILLED,
        ..Setup::default()
    });
    let master = world.daemon().pid();
    for signal in [
        Signal::SIGKILL,
        Signal::SIGSEGV,
        Signal::SIGABRT,
        Signal::SIGBUS,
    ] {
        for place in ["mail", "data", "hop's data", "hop's dot"] {
            let worker = world.daemon().workers()[0];
            let mut client = match place {
                "hop's data" => world.held(Stage::Data),
                "hop's dot" => world.held(Stage::Dot),
                _ => {
                    let mut client = world.client();
                    client.envelope(FROM, TO);
                    if place == "data" {
                        client.says("DATA", 354);
                        client.send(b"Subject: half\r\n\r\nand ");
                    }
                    client
                }
            };
            kill(worker, signal).expect("the worker is there");
            client.end();
            world.hop.release();
            world.hop.behave_well();
            replaced(&mut world, worker);
            world
                .hop
                .wait("the end of the dead worker's line", |record| {
                    record.open == 0
                });
            // What was taken before the worker died was taken whole.
            let taken = world.hop.mails();
            assert!(
                taken.len() <= usize::from(place == "hop's dot"),
                "{signal} at {place}"
            );
            let outcome = world.attempt(PLAIN);
            assert!(
                matches!(outcome, Outcome::Accepted(_)),
                "{signal} at {place}: {outcome:?}"
            );
            assert_eq!(world.untraced(&world.hop.only_mail()), PLAIN);
        }
    }
    assert_eq!(world.daemon().pid(), master);
    assert!(world.daemon().log().contains("was killed by SIGSEGV"));
}

// T140
// man: mimicryd(8) "So is a worker that somebody has stopped (SIGSTOP) for longer than mail_timeout or 10 s, whichever is less, whatever
// it was doing."
#[test]
fn a_worker_that_was_stopped_is_replaced() {
    for place in ["idle", "session", "hop's dot"] {
        let mut world = World::new(Setup {
            daemon: &format!("{ONE}\nmail_timeout = \"1s\""),
            errors: &["was stopped by a signal"],
            ..Setup::default()
        });
        let worker = world.daemon().workers()[0];
        let client = match place {
            "idle" => None,
            "session" => Some(world.client()),
            _ => Some(world.held(Stage::Dot)),
        };
        kill(worker, Signal::SIGSTOP).expect("the worker is there");
        if let Some(mut client) = client {
            client.end();
        }
        world.hop.release();
        replaced(&mut world, worker);
        let said = match place {
            "hop's dot" => "in state relaying for",
            state => &format!("in state {state} for"),
        };
        let line = world.daemon().logs("was stopped by a signal");
        assert!(line.contains(said), "{place}: {line}");
        let _ = world.hop.mails();
        world.alive();
    }
}

// T138
// man: mimicryd(8) "A next hop that is slow has the limits of [relay], and nobody is killed for it."
#[test]
fn nobody_is_killed_for_a_slow_next_hop() {
    let mut world = World::new(Setup {
        daemon: &format!("{ONE}\nmail_timeout = \"1s\""),
        ..Setup::default()
    });
    let workers = world.daemon().workers();
    let late = Act::After(Duration::from_secs(3));
    world.hop.at(Stage::Dot, late);
    let outcome = world.attempt(PLAIN);
    assert!(matches!(outcome, Outcome::Accepted(_)), "{outcome:?}");
    assert_eq!(world.daemon().workers(), workers);
}

// T127, T129
// man: mimicryd(8) "A worker that dies is replaced at once. Only after five workers in a row have died before they
// finished a mail, the master waits before it starts the next ones, 0.1 s at first and 10 s at most."
#[test]
fn all_workers_killed_again_and_again() {
    let mut world = World::new(Setup {
        daemon: "workers = { min = 4, max = 8, spare = 2 }",
        errors: KILLED,
        ..Setup::default()
    });
    let mut old = Vec::new();
    for _ in 0..5 {
        let workers = world.daemon().workers();
        for worker in &workers {
            let _ = kill(*worker, Signal::SIGKILL);
        }
        old.extend(workers);
        let start = Instant::now();
        let daemon = world.daemon();
        assert!(
            eventually(|| daemon.zombies() == 0) && start.elapsed() < Duration::from_secs(2),
            "zombies"
        );
        assert!(
            eventually(|| daemon.workers().iter().any(|worker| !old.contains(worker))),
            "no new workers\n{}",
            daemon.said()
        );
    }
    let start = Instant::now();
    world.alive();
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "it took {:?} to recover",
        start.elapsed()
    );
    let log = world.daemon().log();
    let windows = log
        .lines()
        .filter(|line| line.contains("no new ones for"))
        .count();
    let deaths = log
        .lines()
        .filter(|line| line.contains("was killed by SIGKILL"))
        .count();
    assert!((1..=8).contains(&windows), "{log}");
    assert!(deaths <= 4 + windows, "one line per window: {log}");
    // A mail was finished: the next death is replaced at once.
    let daemon = world.daemon();
    assert!(eventually(|| daemon.workers().len() >= 4));
    let victim = daemon.workers()[0];
    let start = Instant::now();
    kill(victim, Signal::SIGKILL).expect("the worker is there");
    assert!(eventually(
        || daemon.workers().len() >= 4 && !daemon.workers().contains(&victim)
    ));
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "replaced after {:?}",
        start.elapsed()
    );
}

// man: mimicry.toml(5) "Idle workers that are kept ready."
#[test]
fn workers_grow_with_the_sessions() {
    let mut world = World::new(Setup {
        daemon: "workers = { min = 2, max = 12, spare = 2 }",
        ..Setup::default()
    });
    assert_eq!(world.daemon().workers().len(), 2);
    let mut sessions = Vec::new();
    for number in 1..=8 {
        sessions.push(world.client());
        let daemon = world.daemon();
        let wanted = (number + 2).clamp(2, 12);
        assert!(
            eventually(|| daemon.workers().len() >= wanted),
            "{number} sessions, {} workers",
            daemon.workers().len()
        );
    }
    // Up to max and not beyond.
    for _ in 0..4 {
        sessions.push(world.client());
    }
    let waiting = world.connect();
    assert!(world.daemon().workers().len() <= 12);
    // The one that waits is served when another one goes.
    sessions.pop();
    let mut waiting = waiting.greeted();
    assert!(waiting.mail(FROM, TO, PLAIN).is_done());
}

// man: mimicryd(8) "Raise or lower the least number of workers by one."
#[test]
fn ttin_and_ttou_count() {
    let mut world = World::new(Setup {
        daemon: "workers = { min = 2, max = 6, spare = 0 }",
        ..Setup::default()
    });
    let daemon = world.daemon();
    daemon.signal(Signal::SIGTTIN);
    assert!(
        eventually(|| daemon.workers().len() == 3),
        "{}",
        daemon.said()
    );
    daemon.signal(Signal::SIGTTOU);
    daemon.logs("at least 2 workers");
    world.alive();
}

// T130
#[test]
fn aborted_sessions_leave_no_descriptor() {
    let mut world = World::new(Setup {
        daemon: "workers = { min = 1, max = 1, spare = 0 }\ncore_dumps = true",
        ..Setup::default()
    });
    world.alive();
    let (master, worker) = (world.daemon().pid(), world.daemon().workers()[0]);
    let open = |pid| Daemon::descriptors(pid);
    let before = (open(master), open(worker));
    // A process that may be dumped may be looked into.
    assert!(before.0 > 0 && before.1 > 0, "{before:?}");
    for number in 0..60 {
        let mut client = world.client();
        if number % 3 > 0 {
            client.envelope(FROM, TO);
        }
        if number % 3 > 1 {
            client.says("DATA", 354);
            let _ = client.try_send(b"half a ");
        }
        if number % 2 == 0 {
            client.reset()
        } else {
            client.vanish()
        }
    }
    world.alive();
    assert_eq!(world.daemon().workers(), [worker]);
    let after = (open(master), open(worker));
    assert!(
        after.0 <= before.0 + 1 && after.1 <= before.1 + 1,
        "descriptors before {before:?}, after {after:?}"
    );
}

// T131
#[test]
fn without_descriptors_it_waits_and_does_not_spin() {
    let mut world = World::new(Setup {
        daemon: "workers = { min = 1, max = 1, spare = 0 }\ncore_dumps = true",
        errors: &["cannot accept on"],
        shell: &other_user(),
        ..Setup::default()
    });
    world.alive();
    let worker = world.daemon().workers()[0];
    // Below what it has open. Limits cannot be set without prlimit(1).
    if !limit_descriptors(worker, 4) {
        return;
    }
    let mut waiting = world.connect();
    world.daemon().logs("cannot accept on");
    let (start, before) = (Instant::now(), ticks(worker));
    thread::sleep(Duration::from_secs(2));
    let busy = ticks(worker) - before;
    // A tick is 10 ms: 5 % of two seconds are ten.
    assert!(busy <= 10, "{busy} ticks in {:?}", start.elapsed());
    assert!(limit_descriptors(worker, 1024));
    waiting.expect(220);
    waiting.quit();
    world.alive();
    assert_eq!(world.daemon().workers(), [worker]);
}

// T132
#[test]
fn when_no_process_can_be_made_those_that_live_serve() {
    // Root's processes are not limited; a user's are counted together with all others of that user.
    if !geteuid().is_root() {
        return;
    }
    let mut world = World::new(Setup {
        daemon: "workers = { min = 2, max = 30, spare = 2 }",
        shell: "RUN='prlimit --nproc=6 setpriv --reuid=64231 --regid=64231 --clear-groups'",
        errors: &["cannot fork a worker"],
        ..Setup::default()
    });
    let mut sessions: Vec<Client> = (0..4).map(|_| world.client()).collect();
    world.daemon().logs("cannot fork a worker");
    assert!(world.daemon().workers().len() <= 5);
    for client in &mut sessions {
        assert!(client.mail(FROM, TO, PLAIN).is_done());
    }
    drop(sessions);
    world.alive();
    let lines = world.daemon().log().matches("cannot fork a worker").count();
    assert!(lines <= 5, "{lines} lines about it");
}

// T133
#[test]
fn when_the_master_dies_the_mail_in_hand_is_finished() {
    let mut world = World::new(Setup {
        daemon: ONE,
        shell: OWN_SOCKET,
        ..Setup::default()
    });
    let mut idle = world.daemon().workers();
    let mut client = world.held(Stage::Dot);
    let worker = idle.remove(0);
    world.daemon().signal(Signal::SIGKILL);
    world.daemon().ends();
    world.hop.release();
    world.hop.behave_well();
    client.expect(250);
    assert_eq!(world.untraced(&world.hop.only_mail()), PLAIN);
    // The session, if it lives on, takes no further mail.
    if let Ok(reply) = client.try_ask(b"MAIL FROM:<anna@example.org>") {
        assert_eq!(reply.code, 421, "{reply}");
    }
    assert!(
        eventually(|| kill(worker, None).is_err()),
        "worker {worker} is left over"
    );
    // The next master has the port, the pid file and the control socket.
    world.daemon().start_again();
    world.alive();
    assert_eq!(world.daemon().command(&["status"]).code, 0);
}

// T137
#[test]
fn a_broken_pipe_is_no_signal() {
    let mut world = World::new(Setup::default());
    world.alive();
    let daemon = world.daemon();
    for pid in daemon.workers().into_iter().chain([daemon.pid()]) {
        let ignored = u64::from_str_radix(&status_field(pid, "SigIgn"), 16).expect("a mask");
        assert!(
            ignored & (1 << (Signal::SIGPIPE as u32 - 1)) != 0,
            "process {pid}"
        );
    }
}

// T139
// Deadlines are counted on the monotonic clock: the one that can be set stands only where people read the time.
#[test]
fn deadlines_do_not_depend_on_the_clock_that_can_be_set() {
    // The log, the names of files in a Maildir, the date of the Received field; and the age of the ledger's files and of what next hops said, in days.
    const READ_BY_PEOPLE: &[&str] = &[
        "logging/",
        "maildir.rs",
        "clock.rs",
        "ledger.rs",
        "ledger/stamp.rs",
        "remembered.rs",
    ];
    let mut stack = vec![root().join("mimicryd/src")];
    let mut seen = 0;
    while let Some(folder) = stack.pop() {
        for path in fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
        {
            if path.is_dir() {
                stack.push(path);
                continue;
            }
            let name = path.display().to_string();
            let source = fs::read_to_string(&path).expect("a source");
            seen += 1;
            if READ_BY_PEOPLE.iter().any(|place| name.contains(place)) {
                continue;
            }
            let code = source.split("#[cfg(test)]").next().unwrap_or_default();
            for word in [
                "SystemTime",
                "Zoned::now",
                "Timestamp::now",
                "CLOCK_REALTIME",
            ] {
                assert!(!code.contains(word), "{name} uses {word}");
            }
        }
    }
    assert!(seen > 20);
}

// T141
// man: mimicry.toml(5) "Mails after which a worker is replaced; 0 means never."
#[test]
fn a_worker_retires_without_cutting_a_mail() {
    let mut world = World::new(Setup {
        daemon: "workers = { min = 1, max = 3, spare = 1 }\nmails_per_worker = 3",
        ..Setup::default()
    });
    let mut workers = std::collections::BTreeSet::new();
    let mut waiting: Vec<usize> = (0..30).collect();
    while !waiting.is_empty() {
        workers.extend(world.daemon().workers());
        // Five mails in one write: the session may end only where a mail begins.
        let batch: Vec<usize> = waiting.iter().copied().take(5).collect();
        let mut client = world.client();
        let mut octets = Vec::new();
        for number in &batch {
            octets.extend_from_slice(
                format!(
                    "MAIL FROM:<anna@example.org>\r\nRCPT TO:<to{number}@example.net>\r\nDATA\r\n"
                )
                .as_bytes(),
            );
            octets.extend_from_slice(&stuffed(PLAIN));
        }
        client.send(&octets);
        for number in batch {
            let reply = client.reply();
            if reply.code == 421 {
                break;
            }
            assert_eq!(reply.code, 250, "{reply}");
            for code in [250, 354, 250] {
                client.expect(code);
            }
            waiting.retain(|other| *other != number);
        }
    }
    let mut recipients: Vec<String> = world
        .hop
        .mails()
        .iter()
        .map(|mail| mail.recipients().concat())
        .collect();
    recipients.sort();
    recipients.dedup();
    assert_eq!(recipients.len(), 30);
    assert!(
        workers.len() >= 4,
        "30 mails, 3 a worker, {} workers",
        workers.len()
    );
    let daemon = world.daemon();
    assert!(eventually(|| daemon.zombies() == 0), "zombies");
    // Retiring is no death.
    assert!(
        !world.daemon().log().contains("error"),
        "{}",
        world.daemon().said()
    );
}

// T151, T152
// man: mimicryd(8) "Each worker becomes the user of the configuration when it is started"
#[test]
fn a_worker_has_no_rights() {
    let mut world = World::new(Setup::default());
    world.alive();
    let daemon = world.daemon();
    for worker in daemon.workers() {
        assert_eq!(status_field(worker, "NoNewPrivs"), "1");
        assert_eq!(status_field(worker, "Umask"), "0077");
        let users: Vec<String> = status_field(worker, "Uid")
            .split_ascii_whitespace()
            .map(String::from)
            .collect();
        assert!(users.iter().all(|user| *user == users[0]), "{users:?}");
        if geteuid().is_root() {
            assert_ne!(users[0], "0");
            assert_eq!(status_field(worker, "CapEff"), "0000000000000000");
            assert!(
                !status_field(worker, "Groups")
                    .split(' ')
                    .any(|group| group == "0")
            );
            let limits = fs::read_to_string(format!("/proc/{worker}/limits")).expect("limits");
            let core = limits
                .lines()
                .find(|line| line.starts_with("Max core file size"))
                .expect("a line");
            assert_eq!(core.split_ascii_whitespace().nth(4), Some("0"), "{core}");
        }
    }
}
