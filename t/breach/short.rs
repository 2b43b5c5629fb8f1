//! A system that has no files, memory or processes left, played by a filter of system calls, as no test may bring a machine into that
//! state: the calls of the daemon fail with the very errors.
//!
//! Must never: need root.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;

use super::harness::Directory;
use super::harness::client::Outcome;
use super::harness::daemon::{PLAIN, Setup, World};
use super::{OLD_KERNEL, myself};

/// Exports a filter: these calls fail with this error, for this first argument if there is one.
fn failing(call: libc::c_long, error: i32, first: Option<i32>) -> String {
    let first = first.map(|first| format!(":{first}")).unwrap_or_default();
    format!(
        "export {OLD_KERNEL}='{call}:{error}{first}'\n{}",
        myself::shell()
    )
}

/// Processor time of a process so far, in ticks.
fn ticks(pid: nix::unistd::Pid) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let (_, fields) = stat.rsplit_once(')').expect("its name");
    let fields = fields.split_ascii_whitespace().skip(11).take(2);
    fields.filter_map(|field| field.parse::<u64>().ok()).sum()
}

// T131, T132
pub fn what_a_system_has_none_left_of_is_waited_for() {
    // No file for a connection that comes: a pause, no spin.
    for error in [libc::ENFILE, libc::ENOMEM] {
        let mut world = World::new(Setup {
            daemon: "workers = { min = 1, max = 1, spare = 0 }",
            shell: &failing(libc::SYS_accept4, error, None),
            errors: &["cannot accept"],
            ..Setup::default()
        });
        let _waits = world.connect();
        let worker = world.daemon().workers()[0];
        let (before, began) = (ticks(worker), Instant::now());
        thread::sleep(Duration::from_secs(2));
        let took = ticks(worker) - before;
        // A hundred ticks are a second.
        assert!(took < 20, "{took} ticks in {:?}", began.elapsed());
        assert_eq!(world.daemon().workers(), [worker]);
        let log = world.daemon().log();
        assert!(log.lines().count() < 20, "{log}");
    }
    // None for the connection to the next hop, which is not blamed for that.
    for error in [libc::ENFILE, libc::ENOMEM] {
        let mut world = World::new(Setup {
            daemon: "workers = { min = 1, max = 1, spare = 0 }",
            shell: &failing(libc::SYS_socket, error, Some(libc::AF_INET)),
            ..Setup::default()
        });
        for _ in 0..5 {
            let outcome = world
                .client()
                .attempt("anna@example.org", &["bob@example.net"], PLAIN);
            assert!(matches!(outcome, Outcome::Kept(Some(_))), "{outcome:?}");
        }
        let log = world.daemon().log();
        assert!(!log.contains(" is away"), "{log}");
    }
    // No process at all: it is said, and is no endless loop.
    for error in [libc::EAGAIN, libc::ENOMEM] {
        let directory = Directory::new();
        directory.file(
            "mimicry.toml",
            "[[listen]]\nname = \"t\"\naddress = \"127.0.0.1:0\"\n[relay]\nnext_hop = \"smtp://127.0.0.1:9\"\n",
        );
        let began = Instant::now();
        let ran = Command::new("sh")
            .args(["-c", &failing(libc::SYS_clone, error, None)])
            .current_dir(directory.path())
            .output()
            .expect("a shell");
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(ran.status.code().is_some_and(|code| code != 0), "{said}");
        assert!(said.contains(&format!("(os error {error})")), "{said}");
        assert!(began.elapsed() < Duration::from_secs(30));
    }
}
