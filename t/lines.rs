//! Connections to next hops: those that serve few at a time, those that are away, and those that are known by a name.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::client::{Client, Outcome};
use crate::harness::daemon::{PLAIN, Setup, World, eventually};
use crate::harness::hop::{Act, Hop, Stage};

/// Each recipient `cN@...` is a class of its own, up to eight.
fn classes() -> String {
    let rule = |n: usize| {
        format!(
            "[[rule]]\nname = \"class {n}\"\nplugin = \"keep\"\nmatch = {{ recipient = '^c{n}@' }}\n"
        )
    };
    (1..=8).map(rule).collect()
}

/// How long a mail that has a connection waits for another one, in these tests.
const WAIT: Duration = Duration::from_millis(300);

/// What else may take time on a busy machine.
const SLACK: Duration = Duration::from_secs(4);

/// One mail to these recipients, again for those who were put off, until each has it. Returns the longest time that the reply to
/// MAIL or RCPT took.
fn deliver(client: &mut Client, name: &str, mut to: Vec<String>) -> Duration {
    let mut longest = Duration::ZERO;
    let mut timed = |client: &mut Client, line: &str| {
        let began = Instant::now();
        let reply = client.ask(line);
        longest = longest.max(began.elapsed());
        reply
    };
    while !to.is_empty() {
        timed(client, "MAIL FROM:<anna@example.org>");
        let mut later = Vec::new();
        let mut accepted = 0;
        for recipient in to {
            let reply = timed(client, &format!("RCPT TO:<{recipient}>"));
            if reply.is_done() {
                accepted += 1;
                continue;
            }
            assert_eq!(
                (reply.code, reply.enhanced()),
                (452, Some("4.3.2")),
                "{reply}"
            );
            later.push(recipient);
        }
        assert!(accepted > 0, "{name}: nobody is accepted");
        client.says("DATA", 354);
        client.send(format!("Subject: {name}\r\n\r\n{name}\r\n.\r\n").as_bytes());
        client.expect(250);
        to = later;
    }
    longest
}

fn recipients(classes: usize, mail: usize) -> Vec<String> {
    (1..=classes)
        .map(|n| format!("c{n}@m{mail}.example"))
        .collect()
}

/// Every recipient of the mails has it once.
fn delivered(world: &World) -> Vec<String> {
    let mails = world.hop.mails();
    let mut to: Vec<String> = mails
        .iter()
        .flat_map(|mail| mail.recipients().into_iter().map(String::from))
        .collect();
    to.sort();
    to
}

// T195
// man: mimicryd(8) "Who has a connection waits for another one no longer than connection_wait"
#[test]
fn t195_a_mail_of_six_classes_to_a_next_hop_that_serves_four() {
    for (connections, longest) in [("", WAIT + SLACK), ("connections = 4", WAIT)] {
        let rules = classes();
        let relay = format!(
            "connection_wait = \"{}ms\"\n{connections}",
            WAIT.as_millis()
        );
        let world = World::new(Setup {
            relay: &relay,
            rules: &rules,
            ..Setup::default()
        });
        world.hop.serve_at_a_time(4);
        let mut client = world.client();
        let took = deliver(&mut client, "six", recipients(6, 1));
        assert!(took < longest, "{connections}: {took:?}");
        assert_eq!(delivered(&world), recipients(6, 1));
    }
}

// T195
#[test]
fn t195_as_many_mails_as_the_next_hop_serves_each_of_several_classes() {
    for connections in ["", "connections = 6"] {
        let rules = classes();
        let relay = format!(
            "connection_wait = \"{}ms\"\n{connections}",
            WAIT.as_millis()
        );
        let world = World::new(Setup {
            daemon: "workers = { min = 6, max = 6, spare = 0 }",
            relay: &relay,
            rules: &rules,
            ..Setup::default()
        });
        world.hop.serve_at_a_time(6);
        let longest = Mutex::new(Duration::ZERO);
        thread::scope(|scope| {
            for number in 0..6 {
                let (world, longest) = (&world, &longest);
                scope.spawn(move || {
                    let mut client = world.client();
                    for round in 0..4 {
                        let mail = number * 4 + round;
                        let to = recipients(1 + mail % 8, mail);
                        let took = deliver(&mut client, &format!("mail {mail}"), to);
                        let mut longest = longest.lock().unwrap();
                        *longest = took.max(*longest);
                    }
                });
            }
        });
        let mut expected: Vec<String> = (0..24).flat_map(|m| recipients(1 + m % 8, m)).collect();
        expected.sort();
        assert_eq!(delivered(&world), expected);
        let took = longest.into_inner().unwrap();
        assert!(took < WAIT + SLACK, "{connections}: a reply took {took:?}");
    }
}

// T195
// man: mimicryd(8) "A worker that is idle, or whose client is silent, closes the connections that it keeps as soon as another worker waits for one."
#[test]
fn t195_lines_that_others_keep_are_given_back() {
    for is_in_session in [true, false] {
        let mut world = World::new(Setup {
            daemon: "workers = { min = 2, max = 2, spare = 0 }",
            relay: "connection_wait = \"300ms\"",
            ..Setup::default()
        });
        world.hop.serve_at_a_time(1);
        let mut first = world.client();
        let reply = first.mail("anna@example.org", &["bob@example.net"], PLAIN);
        assert!(reply.is_done(), "{reply}");
        let first = is_in_session.then_some(first);
        // That worker keeps its connection, and the other one gets none but this.
        let mut second = world.connect();
        second.expect(220);
        second.says("EHLO client.test", 250);
        second.says("MAIL FROM:<anna@example.org>", 250);
        let began = Instant::now();
        second.says("RCPT TO:<bob@example.net>", 250);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(3), "{is_in_session}: {took:?}");
        assert!(second.data(PLAIN).is_done());
        drop(first);
        let status = world.daemon().command(&["status"]);
        let next_hop = format!("next hop smtp://{}; connections ", world.hop.address);
        assert!(status.text().contains(&next_hop), "{}", status.text());
    }
}

// T195
// man: mimicryd(8) "What a worker had when it died is free again at once."
#[test]
fn t195_the_lines_of_a_dead_worker_are_free() {
    let mut world = World::new(Setup {
        daemon: "workers = { min = 2, max = 2, spare = 0 }",
        relay: "connections = 1",
        errors: &["was killed by SIGKILL"],
        ..Setup::default()
    });
    let client = world.held(Stage::Dot);
    let busy = world.daemon().command(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(busy.text()).expect("JSON");
    assert_eq!(status["next_hops"][0]["connections"], 1);
    let workers = status["workers"].as_array().expect("workers");
    let worker = workers
        .iter()
        .find(|worker| worker["state"] == "relaying")
        .and_then(|worker| worker["pid"].as_i64())
        .expect("a worker that relays");
    let worker = nix::unistd::Pid::from_raw(i32::try_from(worker).expect("a process id"));
    nix::sys::signal::kill(worker, nix::sys::signal::Signal::SIGKILL).expect("our worker");
    drop(client);
    world.hop.release();
    world.daemon().logs("was killed by SIGKILL");
    world
        .hop
        .wait("the end of the line", |record| record.open == 0);
    world.alive();
}

// T92
// man: mimicryd(8) "After three connections in a row that could not be made, the next hop counts as away, for all workers."
#[test]
fn t92_a_next_hop_that_is_away_is_tried_by_one_worker_at_a_time() {
    let mut world = World::new(Setup {
        daemon: "workers = { min = 4, max = 4, spare = 0 }",
        ..Setup::default()
    });
    world.hop.at(
        Stage::Greeting,
        Act::SayAndClose(b"421 4.3.2 not now\r\n".to_vec()),
    );
    let began = Instant::now();
    let mails = Mutex::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            let (world, mails) = (&world, &mails);
            scope.spawn(move || {
                while began.elapsed() < Duration::from_secs(2) {
                    let outcome = world.attempt(PLAIN);
                    assert!(matches!(outcome, Outcome::Kept(Some(_))), "{outcome:?}");
                    *mails.lock().unwrap() += 1;
                }
            });
        }
    });
    let (mails, connections) = (
        mails.into_inner().unwrap(),
        world.hop.see(|r| r.connections),
    );
    // 3 and those that were on their way, then one after 100, 300, 700 and 1500 ms.
    assert!(mails > 20 && connections <= 12, "{connections} for {mails}");
    let status = world.daemon().command(&["status"]);
    assert!(status.text().contains("; away for 2."), "{}", status.text());
    world.hop.behave_well();
    let began = Instant::now();
    assert!(eventually(|| matches!(
        world.attempt(PLAIN),
        Outcome::Accepted(_)
    )));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
    let log = world.daemon().log();
    for said in [" is away; its mail is deferred", " is back after "] {
        assert_eq!(log.matches(said).count(), 1, "{said}");
    }
}

// T196
// man: mimicryd(8) "If a name is not found, the last addresses stay in force; if there are none, the mail for this next hop, and no other, gets 451."
#[test]
fn t196_a_name_that_is_not_found_concerns_its_mail_alone() {
    let named = Hop::new();
    let port = named.address.port();
    let bank = |name: &str, next_hop: &str| {
        format!(
            "[[bank]]\nname = \"{name}\"\nwhen.recipient = '@{name}\\.example$'\nnext_hop = \"{next_hop}\"\n"
        )
    };
    let banks = bank("named", &format!("smtp://localhost:{port}"))
        + &bank("dead", "smtp://no-such-host.invalid:25");
    let mut world = World::new(Setup {
        rules: &banks,
        ..Setup::default()
    });
    let mut client = world.client();
    client.says("MAIL FROM:<anna@example.org>", 250);
    client.says("RCPT TO:<bob@named.example>", 250);
    client.says("RCPT TO:<bob@other.example>", 250);
    let reply = client.says("RCPT TO:<bob@dead.example>", 451);
    let said = "cannot connect to the next hop (its name was not found)";
    assert!(reply.to_string().contains(said), "{reply}");
    assert!(client.data(PLAIN).is_done());
    assert_eq!(named.only_mail().recipients(), ["bob@named.example"]);
    assert_eq!(world.hop.only_mail().recipients(), ["bob@other.example"]);
    let daemon = world.daemon();
    daemon.logs("next hop smtp://no-such-host.invalid:25 is not found: ");
    let status = daemon.command(&["status"]);
    for part in [
        "next hop smtp://no-such-host.invalid:25, not found now; ",
        &format!("next hop smtp://localhost:{port} at "),
    ] {
        assert!(status.text().contains(part), "{}", status.text());
    }
}
