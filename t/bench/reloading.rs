//! How long a mail waits while the daemon loads a large configuration, against how long it waits else.
//!
//! Must never: call a reload harmless during which no mail came.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::client::{Client, Outcome};
use crate::harness::daemon::{Daemon, Setup, eventually};
use crate::harness::hop::Hop;
use crate::sink;

const SIZES: &[usize] = &[1, 100, 1000, 10_000];

/// Before the reload mails are sent for so long.
const QUIET: Duration = Duration::from_secs(2);

/// Of a reload of a second or more, the part that a mail may wait at most: half of it would be a daemon that waits for it.
const PART: u32 = 2;

/// From the connection of a client to the reply after its mail.
struct Sent {
    at: Instant,
    took: Duration,
}

/// Runs the table, and says whether mails went on.
pub fn table(most: usize, rules: fn(usize) -> String, message: &[u8]) -> bool {
    println!("\nreload");
    println!(
        "{:>12} {:>10} {:>14} {:>14} {:>14} {:>14}",
        "rules", "reload s", "mails", "of them quiet", "longest ms", "quiet ms"
    );
    let sink = sink::Sink::start();
    let mut is_good = true;
    for number in SIZES.iter().copied().filter(|number| *number <= most) {
        let hop = Hop::new();
        let relay = format!("next_hop = \"smtp://{}\"", sink.address);
        let rules = rules(number);
        let setup = Setup {
            daemon: "workers = { min = 2, max = 4, spare = 1 }",
            relay: &relay,
            rules: &rules,
            ..Setup::default()
        };
        let daemon = Daemon::start(&setup, &hop);
        eventually(|| daemon.workers().len() >= 2);
        let (begun, took, sent) = reloaded(&daemon, message);
        let (meanwhile, quiet): (Vec<&Sent>, Vec<&Sent>) =
            (sent.iter()).partition(|one| one.at + one.took > begun && one.at < begun + took);
        let longest = |list: &[&Sent]| list.iter().map(|one| one.took).max().unwrap_or_default();
        let (most, else_most) = (longest(&meanwhile), longest(&quiet));
        println!(
            "{number:>12} {:>10.2} {:>14} {:>14} {:>14.1} {:>14.1}",
            took.as_secs_f64(),
            sent.len(),
            quiet.len(),
            most.as_secs_f64() * 1000.0,
            else_most.as_secs_f64() * 1000.0
        );
        let stalls = took >= Duration::from_secs(1) && most > took / PART && most > else_most;
        if stalls || meanwhile.is_empty() {
            println!("             mails waited for the reload");
            is_good = false;
        }
    }
    is_good
}

/// When a reload began, what it took, and the mails before it and meanwhile.
fn reloaded(daemon: &Daemon, message: &[u8]) -> (Instant, Duration, Vec<Sent>) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| send_until(&is_over, daemon, message)))
            .collect();
        thread::sleep(QUIET);
        let begun = Instant::now();
        let ran = daemon.command(&["reload"]);
        let took = begun.elapsed();
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let sent = clients
            .into_iter()
            .flat_map(|client| client.join().expect("a client"));
        (begun, took, sent.collect())
    })
}

fn send_until(is_over: &AtomicBool, daemon: &Daemon, message: &[u8]) -> Vec<Sent> {
    let mut sent = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let at = Instant::now();
        // Of a worker that is about to go the answer may be to come again.
        loop {
            let mut client = Client::connect(daemon.address).greeted();
            match client.attempt("anna@s0.example", &["tom@t0.example"], message) {
                Outcome::Accepted(_) => break,
                other => assert!(at.elapsed() < Duration::from_secs(30), "{other:?}"),
            }
        }
        sent.push(Sent {
            at,
            took: at.elapsed(),
        });
    }
    sent
}
