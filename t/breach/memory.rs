//! A worker that was taken over writes garbage into all memory that it shares with others: the master and the other workers go on as if
//! nothing had been written, and what the worker spoilt of what all write is whole again once it is gone.
//!
//! Must never: write to anything but memory that is shared and that this process may write to.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::harness::Directory;
use super::harness::client::Outcome;
use super::harness::daemon::{PLAIN, World, eventually};

/// Mappings of this process that it shares and may write to: first octet and end.
fn shared() -> io::Result<Vec<(u64, u64)>> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let places = maps.lines().filter_map(|line| {
        let (place, rest) = line.split_once(' ')?;
        let (start, end) = place.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        rest.starts_with("rw-s").then_some(())?;
        Some((number(start)?, number(end)?))
    });
    Ok(places.collect())
}

pub fn none_to_write_to() -> io::Result<()> {
    match shared()?.len() {
        0 => Ok(()),
        more => Err(io::Error::other(format!("{more} places"))),
    }
}

/// Writes this octet everywhere; with 256 what a generator says.
pub fn scribble(kind: i32) -> io::Result<()> {
    let memory = File::options().write(true).open("/proc/self/mem")?;
    let mut seed: u64 = 88_172_645_463_325_252;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed.to_le_bytes()
    };
    let places = shared()?;
    let mut octets = 0;
    for (start, end) in &places {
        let length = usize::try_from(end - start).map_err(io::Error::other)?;
        let garbage: Vec<u8> = match u8::try_from(kind) {
            Ok(octet) => vec![octet; length],
            Err(_) => std::iter::repeat_with(&mut next)
                .flatten()
                .take(length)
                .collect(),
        };
        memory.write_all_at(&garbage, *start)?;
        octets += length;
    }
    log::warn!(
        target: "mimicry",
        "scribbler {} wrote to {octets} octets in {} places",
        std::process::id(),
        places.len()
    );
    Ok(())
}

/// So many places may a worker write to: its own slot, what all write of the next hop and of mails that passed, the counters, and the number of lost
/// lines of the log.
const PLACES: &str = " in 5 places";

// T205, T206
// man: mimicryd(8) "What one process decides for all, the others can read and never write to"
pub fn garbage_in_shared_memory_harms_nobody_else() {
    for kind in [255, 0, 1, 10, 256, 127] {
        let directory = Directory::new();
        // Without the sandbox, so that it finds the memory.
        let mut world = super::world("off", "core_dumps = true", &directory);
        let before = world.daemon().workers();
        assert_eq!(before.len(), 2);
        pass(&world, 6);
        let _ = world.client().mail(
            "anna@example.org",
            &[&format!("scribble-{kind}@x.test")],
            PLAIN,
        );
        let line = world.daemon().logs("scribbler ");
        let number = line
            .split("scribbler ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        let scribbler: i32 = number
            .and_then(|pid| pid.parse().ok())
            .expect("a process id");
        let scribbler = Pid::from_raw(scribbler);
        assert!(line.ends_with(PLACES), "{line}");
        // The master looks at all of it.
        for words in [&["status"][..], &["status", "--json"], &["poison", "list"]] {
            let said = world.daemon().command(words);
            assert_eq!(said.code, 0, "{kind}: {}", said.complaints());
        }
        let other = before.iter().find(|pid| **pid != scribbler).copied();
        let other = other.expect("another worker");
        assert!(world.daemon().workers().contains(&other), "{kind}");
        if world.daemon().workers().contains(&scribbler) {
            // Else it retires, having counted more mails than it may take.
            let _ = kill(scribbler, Signal::SIGKILL);
        }
        let start = Instant::now();
        let passes = || {
            let mut client = world.client();
            let outcome = client.attempt("anna@example.org", &["keep@x.test"], PLAIN);
            matches!(outcome, Outcome::Accepted(_))
        };
        assert!(eventually(passes), "{kind}: nothing passes any more");
        let took = start.elapsed();
        assert!(took < Duration::from_secs(20), "{kind}: {took:?}");
        pass(&world, 6);
        assert_eq!(world.daemon().command(&["reload", "--wait"]).code, 0);
        pass(&world, 6);
        let daemon = world.daemon();
        let log = daemon.log();
        // A process that nobody wanted ended, and no mail but the scribbler's own, is blamed for anything.
        for said in ["which was stuck", "is killed\n", "panic"] {
            assert!(!log.contains(said), "{kind}: {log}");
        }
        let blamed = log
            .lines()
            .filter(|line| line.contains(" died of the mail "));
        let wanted = format!("worker {scribbler} died of");
        assert!(blamed.clone().all(|line| line.contains(&wanted)), "{log}");
    }
}

fn pass(world: &World, mails: usize) {
    for _ in 0..mails {
        let mut client = world.client();
        let reply = client.mail("anna@example.org", &["zone@x.test"], PLAIN);
        assert!(reply.is_done(), "an ordinary mail is answered {reply}");
    }
    let _ = world.hop.mails();
}
