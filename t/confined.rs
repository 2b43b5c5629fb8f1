//! What mail needs works inside the sandbox: the rest of the tests runs with it too, where the kernel has one; these require it.
//!
//! Must never: need root. Mounts are in `interop/archive.sh`, the unit of systemd in `interop/unit.sh`, what is refused in `breach.rs`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use mimicryd::sys::sandbox::Kernel;
use nix::sys::signal::Signal;
use nix::unistd::{User, geteuid};

use crate::harness::Directory;
use crate::harness::client::stuffed;
use crate::harness::daemon::{PLAIN, Setup, World, eventually};

/// The setting for the kernel at hand: what it cannot do cannot be required here, and is in what status shows.
fn sandbox() -> &'static str {
    match Kernel::probe().is_enough() {
        true => "sandbox = \"require\"",
        false => "sandbox = \"try\"",
    }
}

fn settings() -> String {
    format!("workers = {{ min = 1, max = 1, spare = 0 }}\n{}", sandbox())
}

/// A directory of this name that the workers may write to, and nobody else.
fn own_directory(path: &Path) {
    fs::create_dir(path).expect("a directory");
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).expect("our own");
    if geteuid().is_root() {
        let named = |name| User::from_name(name).ok().flatten();
        let user = named("mimicry").or_else(|| named("nobody"));
        let user = user.expect("a user for the workers");
        chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).expect("our own");
    }
}

fn archive_rule(archive: &Path) -> String {
    format!(
        "[[rule]]\nname = \"a\"\nplugin = \"archive\"\noptions = {{ dir = \"{}/{{{{ sender.domain }}}}\" }}\n",
        archive.display()
    )
}

/// Mails that an archive holds.
fn count(archive: &Path) -> usize {
    let entries = fs::read_dir(archive).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            match entry.path() {
                // The store's own, and what it says about a mail.
                _ if name.starts_with('.') || name.ends_with(".json") => 0,
                path if path.is_dir() => count(&path),
                _ => 1,
            }
        })
        .sum()
}

/// The kernel says of a worker that it is confined.
fn is_confined(world: &mut World) -> bool {
    let worker = world.daemon().workers()[0];
    let status = fs::read_to_string(format!("/proc/{worker}/status")).expect("a worker");
    let has = |line: &str| {
        status
            .lines()
            .any(|one| one.split_ascii_whitespace().eq(line.split(' ')))
    };
    has("Seccomp: 2") && has("NoNewPrivs: 1") && has("CapEff: 0000000000000000")
}

// T153
// man: mimicryd(8) "a syslog that was restarted is found again"
#[test]
fn a_syslog_that_is_restarted_is_found_again() {
    let directory = Directory::new();
    let path = directory.path().join("log.socket");
    let listen = || {
        let _ = fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).expect("a socket");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("our own");
        socket.set_nonblocking(true).expect("a socket");
        socket
    };
    let hears = |socket: &UnixDatagram| {
        let mut buffer = [0; 4096];
        std::iter::from_fn(|| socket.recv(&mut buffer).ok().map(|_| ())).count() > 0
    };
    let syslog = listen();
    let target = format!("target = \"syslog:{}\"", path.display());
    let mut world = World::new(Setup {
        daemon: &settings(),
        log: &target,
        ..Setup::default()
    });
    assert!(is_confined(&mut world) || !Kernel::probe().seccomp);
    let worker = world.daemon().workers();
    world.alive();
    assert!(eventually(|| hears(&syslog)));
    drop(syslog);
    let syslog = listen();
    // It connects again after a second at the most.
    let is_found = eventually(|| {
        world.alive();
        hears(&syslog)
    });
    assert!(is_found);
    assert_eq!(world.daemon().workers(), worker);
}

// T153
// man: mimicryd(8) "a log file that was moved away is opened anew"
#[test]
fn a_log_file_that_was_moved_away_is_opened_anew() {
    let mut world = World::new(Setup {
        daemon: &settings(),
        ..Setup::default()
    });
    world.alive();
    let (place, worker) = (
        world.daemon().directory.path().to_path_buf(),
        world.daemon().workers(),
    );
    for round in 0..2 {
        fs::rename(place.join("log"), place.join(format!("log.{round}"))).expect("a log");
        world.daemon().signal(Signal::SIGUSR1);
        world.daemon().logs("log reopened");
        let is_heard = eventually(|| {
            world.alive();
            !world.daemon().mail_lines().is_empty()
        });
        assert!(is_heard, "{}", world.daemon().said());
        assert_eq!(world.daemon().workers(), worker);
    }
}

// T153
// man: mimicryd(8) "A directory that a reload names is known to the new workers; the old ones finish with the old one."
#[test]
fn archives_on_another_file_system_and_in_a_new_directory() {
    let mut place = vec![Directory::new().path().to_path_buf()];
    // Another file system, where there is one.
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        place.push(memory.join(format!("mimicry-confined-{}", std::process::id())));
    }
    let gone = place.clone();
    for (number, place) in place.iter().enumerate() {
        let _ = fs::create_dir_all(place);
        let (first, second) = (place.join("first"), place.join("second"));
        own_directory(&first);
        let mut world = World::new(Setup {
            daemon: &settings(),
            rules: &archive_rule(&first),
            ..Setup::default()
        });
        world.alive();
        assert_eq!(count(&first), 1, "{number}");
        // A worker that knows the first alone has a mail in hand.
        let mut old = world.client();
        old.envelope("anna@example.org", &["bob@example.net"]);
        old.says("DATA", 354);
        own_directory(&second);
        world.daemon().change("/first/", "/second/");
        assert_eq!(world.daemon().command(&["reload"]).code, 0);
        let mail = [PLAIN, b"again\r\n"].concat();
        let reply = world
            .client()
            .mail("anna@example.org", &["bob@example.net"], &mail);
        assert!(reply.is_done(), "{reply}");
        assert_eq!(count(&second), 1, "{number}");
        old.send(&stuffed(&[PLAIN, b"late\r\n"].concat()));
        old.expect(250);
        assert_eq!((count(&first), count(&second)), (2, 1), "{number}");
        let _ = world.hop.mails();
    }
    for place in gone {
        let _ = fs::remove_dir_all(place);
    }
}

// T153
// man: mimicryd(8) "A directory that is replaced or mounted while a worker lives is out of its reach:"
#[test]
fn a_directory_that_is_replaced_is_found_by_the_next_worker() {
    let directory = Directory::new();
    let archive = directory.path().join("archive");
    own_directory(&archive);
    let mut world = World::new(Setup {
        daemon: &settings(),
        rules: &archive_rule(&archive),
        errors: &["cannot be archived"],
        ..Setup::default()
    });
    world.alive();
    let before = world.daemon().workers();
    fs::rename(&archive, directory.path().join("away")).expect("a directory");
    own_directory(&archive);
    let mail = [PLAIN, b"again\r\n"].concat();
    // A kernel without landlock lets the old worker write there.
    let _ = world.attempt(&mail);
    let _ = world.hop.mails();
    world
        .daemon()
        .logs("is not what it was when this worker began");
    let is_new = eventually(|| {
        let workers = world.daemon().workers();
        workers.len() == 1 && workers != before
    });
    assert!(is_new, "{}", world.daemon().said());
    let reply = world
        .client()
        .mail("anna@example.org", &["bob@example.net"], &mail);
    assert!(reply.is_done(), "{reply}");
    assert!(count(&archive) >= 1);
}

// T153
#[test]
fn a_maildir_that_is_not_there_is_made_and_gets_mail() {
    let (_directory, path) = crate::harness::daemon::open_directory();
    let root: PathBuf = path.join("new/mail");
    let relay = format!("next_hop = \"maildir://{}\"", root.display());
    let mut world = World::new(Setup {
        daemon: &settings(),
        relay: &relay,
        ..Setup::default()
    });
    for number in 1..4 {
        let reply = world
            .client()
            .mail("anna@example.org", &["bob@example.net"], PLAIN);
        assert!(reply.is_done(), "{reply}\n{}", world.daemon().said());
        let inside = |name: &str| fs::read_dir(root.join(name)).map_or(0, Iterator::count);
        assert_eq!((inside("new"), inside("tmp")), (number, 0));
    }
}
