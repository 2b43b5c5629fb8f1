//! Names of next hops, looked up by a resolver that the test leads: a name that moves, one that is slow without end, and one that ends
//! the process that asks.
//!
//! Must never: ask the system.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::symlink;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::client::Outcome;
use crate::harness::daemon::{PLAIN, Setup, World, eventually};
use crate::harness::hop::Hop;
use crate::harness::myself;

/// In the place of the system's.
pub fn find(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match host {
        "slow.test" => loop {
            thread::sleep(Duration::from_secs(3600));
        },
        "dies.test" => std::process::abort(),
        _ => {}
    }
    // What a link says is no file: the sandbox of a lookup lets it be read.
    let text = fs::read_link(myself::place().join("moves.test"))?;
    let text = text.to_string_lossy();
    let address: IpAddr = text.parse().map_err(io::Error::other)?;
    Ok(vec![(address, port).into()])
}

// T196
// man: mimicryd(8) "The name of a next hop is looked up by a process of its own, never in a session"
pub fn names_are_looked_up_where_nobody_waits(program: &str) {
    let mut moving = Hop::new();
    let port = moving.address.port();
    let bank = |name: &str| {
        format!(
            "[[bank]]\nname = \"{name}\"\nwhen.recipient = '@{name}\\.test$'\nnext_hop = \"smtp://{name}.test:{port}\"\n"
        )
    };
    let banks: String = ["moves", "slow", "dies"].map(bank).concat();
    let mut world = World::new(Setup {
        rules: &banks,
        shell: &format!("ln -s 127.0.0.1 moves.test\n{program}"),
        ..Setup::default()
    });
    let attempt = |world: &World, to: &str| {
        let began = Instant::now();
        let outcome = world.client().attempt("anna@example.org", &[to], PLAIN);
        (outcome, began.elapsed())
    };
    // Nobody waits for the names of others.
    for to in ["bob@hop.test", "bob@moves.test"] {
        let (outcome, took) = attempt(&world, to);
        assert!(matches!(outcome, Outcome::Accepted(_)), "{to}: {outcome:?}");
        assert!(took < Duration::from_secs(3), "{to}: {took:?}");
    }
    world.hop.only_mail();
    moving.only_mail();
    for to in ["bob@dies.test", "bob@slow.test"] {
        let (outcome, took) = attempt(&world, to);
        let Outcome::Kept(Some(reply)) = outcome else {
            panic!("{to}: {outcome:?}");
        };
        let said = reply.to_string();
        assert!(said.contains("its name was not found"), "{to}: {said}");
        assert!(took < Duration::from_secs(10), "{to}: {took:?}");
    }
    let daemon = world.daemon();
    let line = daemon.logs(&format!("next hop smtp://dies.test:{port} is not found"));
    assert!(line.contains("was killed by SIGABRT"), "{line}");
    daemon.logs(&format!(
        "next hop smtp://moves.test:{port} is at 127.0.0.1:{port}"
    ));
    let status = daemon.command(&["status"]);
    for part in [
        format!("next hop smtp://dies.test:{port}, not found now; connections 0"),
        format!("next hop smtp://slow.test:{port}, not looked up yet; connections 0"),
        format!("next hop smtp://moves.test:{port} at 127.0.0.1:{port}, found "),
    ] {
        assert!(status.text().contains(&part), "{part}: {}", status.text());
    }
    // It moves, and is found as soon as it is missed.
    moving.down();
    moving.address = ([127, 0, 0, 2], port).into();
    moving.up();
    let names = world.daemon().directory.path().join("moves.test");
    fs::remove_file(&names).expect("the link");
    symlink("127.0.0.2", names).expect("another one");
    let began = Instant::now();
    let is_followed = || matches!(attempt(&world, "bob@moves.test").0, Outcome::Accepted(_));
    assert!(eventually(is_followed));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
    moving.only_mail();
    let daemon = world.daemon();
    daemon.logs(&format!(
        "next hop smtp://moves.test:{port} is now at 127.0.0.2:{port}, it was at 127.0.0.1:{port}"
    ));
}
