//! Connections to next hops: those that serve few at a time, those that are away, and those that are known by a name.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::client::Client;
use crate::harness::daemon::{Setup, World};

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
