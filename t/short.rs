//! A system that has run short: of room on the disk, of descriptors, of peace. Mail keeps its promises, the client hears what is so,
//! and all goes on when it is over.
//!
//! Must never: need root, or fill a disk.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use crate::harness::Directory;
use crate::harness::daemon::{PLAIN, Setup, World, open_to_all};
use crate::soak::send_all;

const FROM: &str = "anna@example.org";
const TO: &[&str] = &["bob@example.net"];
const ONE: &str = "workers = { min = 1, max = 1, spare = 0 }";

fn large() -> Vec<u8> {
    [PLAIN, &b"0123456789abcdef0123456789abcdef\r\n".repeat(8000)].concat()
}

// T147
// man: mimicryd(8) "A file that reaches the limit of its size (RLIMIT_FSIZE) is like a full disk."
#[test]
fn a_log_that_may_not_grow_stops_nobody() {
    // In blocks of 512 octets; the signal that comes with it ends a program that does not ignore it.
    let mut world = World::new(Setup {
        daemon: ONE,
        shell: "ulimit -f 48",
        ..Setup::default()
    });
    let before = world.daemon().workers();
    for _ in 0..80 {
        assert!(world.client().mail(FROM, TO, PLAIN).is_done());
    }
    assert_eq!(world.hop.mails().len(), 80);
    let length = world.daemon().log().len();
    assert_eq!(length, 48 * 512, "the log is full");
    assert_eq!(world.daemon().workers(), before);
    // A new file has room again: what was held back is in it, and what follows.
    let log = world.daemon().directory.path().join("log");
    let old = log.with_extension("full");
    fs::rename(&log, &old).expect("our own file");
    world.daemon().signal(Signal::SIGUSR1);
    world.daemon().logs("log reopened");
    assert!(
        world
            .client()
            .mail(FROM, &["last@example.net"], PLAIN)
            .is_done()
    );
    world.daemon().logs("last@example.net");
    // The beginning of a line, which ends the old one, is of a line that stands whole in the new one.
    let text = fs::read(&old).expect("our own file");
    let whole = text
        .iter()
        .rposition(|octet| *octet == b'\n')
        .expect("a line");
    fs::write(&old, &text[..=whole]).expect("our own file");
}

// T144
// man: mimicryd(8) "A file that reaches the limit of its size (RLIMIT_FSIZE) is like a full disk."
#[test]
fn a_maildir_without_room_is_a_452() {
    let directory = Directory::new();
    open_to_all(directory.path());
    let maildir = directory.path().join("mail");
    let mut world = World::new(Setup {
        daemon: ONE,
        relay: &format!("next_hop = \"maildir://{}\"", maildir.display()),
        shell: "ulimit -f 200",
        ..Setup::default()
    });
    let before = world.daemon().workers();
    let mut client = world.client();
    let reply = client.mail(FROM, TO, &large());
    assert_eq!(
        (reply.code, reply.enhanced()),
        (452, Some("4.3.1")),
        "{reply}"
    );
    // The session lives, and the worker.
    assert!(client.mail(FROM, TO, PLAIN).is_done());
    client.quit();
    let count = |name: &str| fs::read_dir(maildir.join(name)).expect("a maildir").count();
    assert_eq!((count("tmp"), count("new")), (0, 1));
    assert_eq!(world.daemon().workers(), before);
}

/// For [`Setup::shell`]: root is nobody whom limits keep from anything, so the daemon is somebody else. Also for whoever changes the
/// limits of such a daemon.
const OTHER: &str = "setpriv --reuid=64231 --regid=64231 --clear-groups";

/// The same, as it stands in a test that others do without root.
pub fn other_user() -> String {
    match geteuid().is_root() {
        true => format!("RUN='{OTHER}'"),
        false => String::new(),
    }
}

/// How many descriptors a process may have; false = this cannot be set here. The daemon is [`other_user`]'s and may be dumped.
pub fn limit_descriptors(pid: Pid, count: usize) -> bool {
    let limit = format!("prlimit --pid={pid} --nofile={count}:");
    let words = match geteuid().is_root() {
        true => format!("{OTHER} {limit}"),
        false => limit,
    };
    let mut words = words.split(' ');
    let program = words.next().unwrap_or_default();
    let status = Command::new(program).args(words).status();
    status.is_ok_and(|status| status.success())
}

// T131
// man: mimicryd(8) "has no descriptor or memory left, no connection is accepted for half a second"
#[test]
fn a_next_hop_is_not_blamed_for_our_descriptors() {
    let mut world = World::new(Setup {
        daemon: "workers = { min = 1, max = 1, spare = 0 }\ncore_dumps = true",
        shell: &other_user(),
        ..Setup::default()
    });
    let worker = world.daemon().workers()[0];
    let mut client = world.client();
    world.hop.hang_up();
    // Each descriptor that it has stays, and there is no other one.
    if !limit_descriptors(worker, 4) {
        return;
    }
    client.says("MAIL FROM:<anna@example.org>", 250);
    let reply = client.ask("RCPT TO:<bob@example.net>");
    assert_eq!(
        (reply.code, reply.enhanced()),
        (451, Some("4.3.2")),
        "{reply}"
    );
    let line = world.daemon().logs("event=rcpt-refused ");
    assert!(line.contains(" by=mimicry "), "{line}");
    assert!(limit_descriptors(worker, 1024));
    client.says("RSET", 250);
    assert!(client.mail(FROM, TO, PLAIN).is_done());
    client.quit();
    assert_eq!(world.daemon().workers(), [worker]);
    assert_eq!(world.hop.mails().len(), 1);
}

/// T131: calls that end early because a process was stopped and goes on are calls that are made again.
#[test]
fn interruptions_lose_and_double_nothing() {
    let mut world = World::new(Setup {
        daemon: "workers = { min = 3, max = 3, spare = 0 }\nmail_timeout = \"60s\"",
        ..Setup::default()
    });
    let (master, workers) = (world.daemon().pid(), world.daemon().workers());
    let all: Vec<_> = workers.iter().copied().chain([master]).collect();
    let done = std::sync::atomic::AtomicBool::new(false);
    let stops = thread::scope(|scope| {
        let storm = scope.spawn(|| {
            let mut stops = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                for pid in &all {
                    // Signals that are ignored interrupt nothing; to stop and to go on does.
                    let _ = kill(*pid, Signal::SIGSTOP);
                    thread::sleep(Duration::from_micros(200));
                    let _ = kill(*pid, Signal::SIGCONT);
                    stops += 1;
                }
            }
            stops
        });
        let sent = send_all(&world, 3, "storm", 300);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(sent.len(), 300);
        storm.join().expect("no panic")
    });
    println!("{stops} stops");
    let mails = world.hop.mails();
    assert_eq!(mails.len(), 300);
    assert_eq!(world.daemon().workers().len(), 3);
    assert!(
        world
            .daemon()
            .workers()
            .iter()
            .all(|pid| workers.contains(pid))
    );
}
