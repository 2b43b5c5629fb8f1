//! A next hop that speaks without end: what it costs the worker in memory and the client in time.
//!
//! Must never: take more than it needs to show that there is no end.

use std::time::{Duration, Instant};

use crate::harness::client::Outcome;
use crate::harness::daemon::{PLAIN, Setup, World, eventually};
use crate::harness::hop::{Act, Stage};
use crate::memory::peak;

/// Far below what an endless reply has here, far above what a worker has otherwise.
const PEAK: usize = 64 << 20;

/// A second for each of connect, greeting, EHLO and one command, and what a busy machine adds.
const LONG: Duration = Duration::from_secs(15);

const IMPATIENT: &str = "connect_timeout = \"1s\"\nhelo_timeout = \"1s\"\nmail_timeout = \"1s\"\nrcpt_timeout = \"1s\"\ndata_timeout = \"1s\"\n\
    data_block_timeout = \"1s\"\ndot_timeout = \"1s\"\nquit_timeout = \"1s\"\nrset_timeout = \"1s\"";

fn world() -> World {
    World::new(Setup {
        daemon: "workers = { min = 1, max = 1, spare = 0 }",
        relay: IMPATIENT,
        ..Setup::default()
    })
}

// T181
// man: mimicryd(8) "A reply that is longer or later is a 4xx to the client, the connection is closed, and the worker
// goes on."
#[test]
fn a_reply_without_end_fills_no_worker() {
    let mut world = world();
    let workers = world.daemon().workers();
    for stage in [
        Stage::Greeting,
        Stage::Ehlo,
        Stage::Mail,
        Stage::Rcpt,
        Stage::Data,
        Stage::Dot,
    ] {
        for act in [
            Act::Endless(b"250 ", b"x"),
            Act::Endless(b"250-", b"x"),
            Act::Endless(b"", b"250-x\r\n"),
            Act::Endless(b"354 ", b"\r"),
            Act::Drip(Duration::from_millis(150)),
        ] {
            world.hop.hang_up();
            world.hop.at(stage, act.clone());
            let start = Instant::now();
            let outcome = world.attempt(PLAIN);
            let took = start.elapsed();
            assert!(
                matches!(outcome, Outcome::Kept(Some(_))),
                "{act:?} at {stage:?}: {outcome:?}"
            );
            assert!(took < LONG, "{act:?} at {stage:?} took {took:?}");
            // What came of the mail at the dot is the next hop's business.
            world.hop.mails();
        }
    }
    assert_eq!(world.daemon().workers(), workers, "a worker died");
    for worker in workers {
        let most = peak(worker.as_raw().unsigned_abs());
        assert!(most < PEAK, "a worker took {} MB", most >> 20);
    }
    world.hop.behave_well();
    world.hop.hang_up();
    // It counts as away, and is tried again after a pause.
    assert!(eventually(|| matches!(
        world.attempt(PLAIN),
        Outcome::Accepted(_)
    )));
    world.alive();
    // It says so in the log where it has to do without lettre.
    assert!(!world.daemon().log().contains("lettre"));
}

/// The reply to EHLO waits five seconds for it.
// T181: the client's greeting comes at once, whatever the next hop does
// man: mimicryd(8) "The greeting to a client waits for no next hop"
#[test]
fn the_clients_greeting_does_not_wait_for_the_next_hop() {
    for act in [
        Act::Silence,
        Act::Endless(b"220-x\r\n", b"220-x\r\n"),
        Act::Drip(Duration::from_secs(1)),
    ] {
        let world = World::new(Setup {
            daemon: "workers = { min = 1, max = 1, spare = 0 }",
            ..Setup::default()
        });
        world.hop.at(Stage::Greeting, act.clone());
        let start = Instant::now();
        let mut client = world.connect();
        client.expect(220);
        let took = start.elapsed();
        assert!(took < Duration::from_secs(4), "{act:?}: {took:?}");
        client.says("EHLO client.example", 250);
    }
}
