//! Clients that leave, stall or never listen: no message is finished that its client did not finish, no worker is held for ever.
//!
//! After each of them an ordinary mail passes.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::client::{Client, Gone, stuffed};
use crate::harness::daemon::{PLAIN, Setup, World, eventually};
use crate::harness::hop::{Act, Stage};

const FROM: &str = "anna@example.org";
const TO: &[&str] = &["bob@example.net"];

// T50
#[test]
fn a_message_that_breaks_off_is_never_finished() {
    let world = World::new(Setup::default());
    let message = &stuffed(&[PLAIN, &b"0123456789\r\n".repeat(20_000)].concat());
    for leave in ["FIN", "RST", "half-close"] {
        for octets in [0, 1, 1000, 100_000, message.len() - 3, message.len() - 1] {
            let mut client = world.client();
            client.envelope(FROM, TO);
            client.says("DATA", 354);
            let _ = client.try_send(&message[..octets]);
            match leave {
                "FIN" => client.vanish(),
                "RST" => client.reset(),
                _ => {
                    client.half_close();
                    // Whatever it hears, it is no success.
                    let (replies, _) = client.rest();
                    assert!(
                        replies.iter().all(|reply| !reply.is_done()),
                        "{leave} after {octets}: {replies:?}"
                    );
                }
            }
            world.alive();
        }
    }
    assert!(world.hop.mails().is_empty());
}

// T50: shim 10 of the relay. The client goes while the next hop has a part of the message: its line is cut, never dotted.
#[test]
fn a_message_that_is_no_longer_wanted_is_never_dotted() {
    let world = World::new(Setup {
        daemon: "workers = { min = 2, max = 4, spare = 1 }",
        ..Setup::default()
    });
    let message = [
        PLAIN,
        &b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n"
            .repeat(16 * 1024 * 16),
    ]
    .concat();
    for octets in [
        0,
        1,
        64 * 1024,
        128 * 1024,
        192 * 1024,
        1024 * 1024,
        4 * 1024 * 1024,
    ] {
        for by_reset in [false, true] {
            world
                .hop
                .at(Stage::Body, Act::Behind(octets, Box::new(Act::Hold)));
            let mut client = world.client();
            client.envelope(FROM, TO);
            client.says("DATA", 354);
            client.send(&stuffed(&message));
            world
                .hop
                .wait("the part of the message", |record| record.held == 1);
            if by_reset {
                client.reset()
            } else {
                client.vanish()
            }
            world.hop.release();
            world.hop.wait("the end of the line", |record| {
                !record.broken.is_empty() || !record.mails.is_empty()
            });
            let broken = world.hop.see(|record| std::mem::take(&mut record.broken));
            assert!(
                world.hop.mails().is_empty(),
                "after {octets} octets the mail of a vanished client was finished"
            );
            assert_eq!(broken.len(), 1);
            assert!(!broken[0].wire.ends_with(b"\r\n.\r\n"));
            world.alive();
        }
    }
    // Gone before the next hop's DATA: there is no message at all.
    let before = world.hop.count("DATA");
    world.hop.at(Stage::Rcpt, Act::Hold);
    let mut client = world.client();
    client.send(b"MAIL FROM:<anna@example.org>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n");
    world.hop.wait("the recipient", |record| record.held == 1);
    client.reset();
    world.hop.release();
    world.alive();
    assert_eq!(
        world.hop.count("DATA"),
        before + 1,
        "only the ordinary mail has a message"
    );
}

// T51
#[test]
fn a_client_that_is_gone_after_the_dot_harms_nobody() {
    let mut world = World::new(Setup::default());
    let workers = world.daemon().workers();
    for number in 0..20 {
        let mut client = world.client();
        client.envelope(FROM, TO);
        client.says("DATA", 354);
        client.send(&stuffed(PLAIN));
        if number % 2 == 0 {
            client.reset()
        } else {
            client.vanish()
        }
    }
    // Those that are on their way arrive before the last one.
    let done = eventually(|| world.daemon().mail_lines().len() >= 20);
    assert!(
        done,
        "20 mails, {} lines",
        world.daemon().mail_lines().len()
    );
    let mails = world.hop.mails();
    assert!(mails.len() <= 20);
    for mail in mails {
        assert_eq!(world.untraced(&mail), PLAIN);
    }
    assert!(
        workers
            .iter()
            .all(|worker| world.daemon().workers().contains(worker)),
        "a worker died"
    );
    world.alive();
}

// T52
#[test]
fn a_client_may_leave_in_each_state() {
    let mut world = World::new(Setup::default());
    let workers = world.daemon().workers();
    let steps = [
        "EHLO client.test\r\n",
        "MAIL FROM:<anna@example.org>\r\n",
        "RCPT TO:<bob@example.net>\r\n",
        "RCPT TO:<carl@example.net>\r\n",
        "RSET\r\n",
        "MAI",
    ];
    for by_reset in [false, true] {
        for count in 0..=steps.len() {
            for with_replies in [false, true] {
                let mut client = world.connect();
                for step in &steps[..count] {
                    let _ = client.try_send(step.as_bytes());
                    if with_replies {
                        let _ = client.try_reply();
                    }
                }
                if by_reset {
                    client.reset()
                } else {
                    client.vanish()
                }
            }
        }
    }
    world.alive();
    assert!(world.hop.see(|record| record.broken.is_empty()));
    assert!(
        workers
            .iter()
            .all(|worker| world.daemon().workers().contains(worker)),
        "a worker died"
    );
}

// T54
#[test]
fn idle_clients_harm_nobody() {
    let world = World::new(Setup {
        daemon: "workers = { min = 2, max = 8, spare = 2 }",
        ..Setup::default()
    });
    let idle: Vec<Client> = (0..6).map(|_| world.client()).collect();
    let start = Instant::now();
    world.alive();
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "beside 6 idle clients a mail took {:?}",
        start.elapsed()
    );
    drop(idle);
}

// T54
// man: mimicry.toml(5) "How long a client may be silent."
#[test]
fn clients_that_hold_all_workers_are_sent_away() {
    let world = World::new(Setup {
        daemon: "workers = { min = 1, max = 2, spare = 1 }",
        limits: "idle_timeout = \"1s\"",
        ..Setup::default()
    });
    let mut idle: Vec<Client> = (0..2).map(|_| world.client()).collect();
    let start = Instant::now();
    world.alive();
    assert!(
        start.elapsed() < Duration::from_secs(6),
        "the next client waited {:?}",
        start.elapsed()
    );
    for client in &mut idle {
        client.expect(421);
        client.end();
    }
    // Silence amid a command or a message is no better.
    let mut amid_command = world.client();
    amid_command.send(b"MAI");
    let mut amid_message = world.client();
    amid_message.envelope(FROM, TO);
    amid_message.says("DATA", 354);
    amid_message.send(b"Subject: x\r\n\r\nand th");
    for client in [&mut amid_command, &mut amid_message] {
        client.expect(421);
        client.end();
    }
    world.alive();
    assert!(world.hop.mails().is_empty());
}

/// Sends an octet from time to time until the server has had enough; tells how long that took.
fn drip(client: &mut Client, octet: u8) -> Duration {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(25) {
        if client.try_send(&[octet]).is_err() {
            break;
        }
        client.set_patience(Duration::from_millis(50));
        match client.try_reply() {
            Ok(reply) => assert_eq!(reply.code, 421, "{reply}"),
            Err(Gone::Silent) => {}
            Err(_) => break,
        }
    }
    start.elapsed()
}

// T54
// man: mimicry.toml(5) "How long a session may last."
// man: mimicry.toml(5) "Octets per second that a client must send on average during DATA; 0 means any rate."
#[test]
fn a_slow_loris_is_sent_away() {
    let world = World::new(Setup {
        limits: "idle_timeout = \"2s\"\nsession_timeout = \"6s\"\ndata_rate = 5000",
        ..Setup::default()
    });
    thread::scope(|scope| {
        let amid_command = scope.spawn(|| drip(&mut world.client(), b'x'));
        let amid_message = scope.spawn(|| {
            let mut client = world.client();
            client.envelope(FROM, TO);
            client.says("DATA", 354);
            drip(&mut client, b'x')
        });
        for (name, took) in [
            ("command", amid_command.join()),
            ("message", amid_message.join()),
        ] {
            let took = took.expect("no panic");
            assert!(
                took < Duration::from_secs(15),
                "dripping a {name} went on for {took:?}"
            );
        }
    });
    assert!(world.hop.mails().is_empty());
    world.alive();
}

// T55
#[test]
fn a_client_that_never_reads_is_left() {
    let world = World::new(Setup {
        daemon: "workers = { min = 1, max = 1, spare = 0 }",
        limits: "idle_timeout = \"1s\"\nerrors = 1000000\njunk_commands = 1000000",
        ..Setup::default()
    });
    let mut client = world.client();
    client.set_patience(Duration::from_secs(20));
    let start = Instant::now();
    let block = "NOOP\r\n".repeat(10_000);
    let ended = loop {
        match client.try_send(block.as_bytes()) {
            Ok(()) => assert!(
                start.elapsed() < Duration::from_secs(60),
                "it is served without reading"
            ),
            Err(error) => break error,
        }
    };
    assert!(
        !matches!(
            ended.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
        ),
        "the worker waits for ever: {ended}"
    );
    world.alive();
}

/// Says `first`, then `again` without a pause, and reads all that comes; returns for how long the session lasted.
fn flooded(world: &World, first: &str, again: &str, limit: Duration) -> Duration {
    let start = Instant::now();
    let stream = TcpStream::connect(world.address()).expect("somebody listens");
    let patience = Some(limit);
    stream.set_read_timeout(patience).expect("a time-out");
    stream.set_write_timeout(patience).expect("a time-out");
    let block = again.repeat(2000);
    thread::scope(|scope| {
        let (mut writer, mut reader) = (&stream, &stream);
        scope.spawn(move || {
            let _ = writer.write_all(format!("EHLO client.test\r\n{first}").as_bytes());
            // The worker never finds that nothing has come.
            while start.elapsed() < limit && writer.write_all(block.as_bytes()).is_ok() {}
        });
        let mut buffer = [0; 65536];
        while start.elapsed() < limit && reader.read(&mut buffer).is_ok_and(|octets| octets > 0) {}
        let took = start.elapsed();
        let _ = stream.shutdown(Shutdown::Both);
        took
    })
}

// T186
// man: mimicry.toml(5) "It is checked before each command and during DATA, whatever the client sends."
#[test]
fn a_session_ends_whatever_the_client_sends() {
    let world = World::new(Setup {
        limits: "session_timeout = \"2s\"\nerrors = 1000000\njunk_commands = 1000000\nrecipients = 1000000\nmail = \"1M\"",
        ..Setup::default()
    });
    let limit = Duration::from_secs(15);
    let mail = "MAIL FROM:<anna@example.org>\r\n";
    let data = format!("{mail}RCPT TO:<bob@example.net>\r\nDATA\r\n");
    for (first, again) in [
        ("", "NOOP\r\n"),
        ("", "RSET\r\n"),
        ("", "XYZZY\r\n"),
        ("", "MAIL FROM:<\u{fc}@example.org>\r\n"),
        ("", "MAIL FROM:<anna@example.org> SIZE=99999999\r\n"),
        ("", "MAIL FROM:<anna@example.org>\r\nRSET\r\n"),
        (mail, "RCPT TO:<\u{fc}@example.net>\r\n"),
        // A message without an end, far beyond the largest mail.
        (&data, "words without an end\r\n"),
    ] {
        let took = flooded(&world, first, again, limit);
        // On a fast machine what is counted may come to its limit, a million, before the time does.
        assert!(took < limit, "{again:?} goes on for {took:?}");
    }
    // It is told why.
    let mut client = world.client();
    let last = loop {
        client.send(&b"NOOP\r\n".repeat(50));
        let mut replies = (0..50).map(|_| client.try_reply());
        if let Some(Ok(last)) =
            replies.find(|reply| reply.as_ref().map_or(true, |one| one.code != 250))
        {
            break last;
        }
    };
    assert_eq!((last.code, last.enhanced()), (421, Some("4.4.2")), "{last}");
    assert!(world.hop.mails().is_empty());
    world.alive();
}
