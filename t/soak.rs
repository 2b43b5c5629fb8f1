//! Many mails from many clients while workers die and the next hop fails: none is lost, and none is doubled but for what no proxy
//! can help, a mail that the next hop had taken when the worker died that was to say so.
//!
//! `MIMICRY_LONG=1` sends 100 000 mails, else 2 000.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use crate::harness::client::{Client, Gone, stuffed};
use crate::harness::daemon::{Setup, World, eventually};
use crate::harness::hop::{Act, Luck, Stage, flaky};

/// What came of one mail, once it was accepted.
#[derive(Default)]
pub struct Sent {
    attempts: usize,
    /// How often the connection ended between the dot and its reply: the client cannot know.
    unknown: usize,
}

/// The mail of that name.
pub fn message(name: &str) -> String {
    format!("From: anna@example.org\r\nMessage-ID: <{name}>\r\nSubject: {name}\r\n\r\n.{name}\r\n")
}

/// Tries until it is accepted, as an MTA does, if with less patience.
fn send(world: &World, client: &mut Option<Client>, name: &str) -> Sent {
    let message = message(name);
    let mut sent = Sent::default();
    let mut last = String::new();
    loop {
        sent.attempts += 1;
        assert!(
            sent.attempts < 500,
            "{name} is not accepted after {} attempts, the last was answered {last}",
            sent.attempts
        );
        match attempt(world, client, name, message.as_bytes()) {
            Try::Accepted => return sent,
            Try::Later(why) => {
                // The workers leave a next hop alone for up to a second that failed three times; who asks 500 times meanwhile learns nothing.
                if why.contains(" 4.4.1 ") {
                    thread::sleep(Duration::from_millis(20));
                }
                last = why;
            }
            Try::Unknown => sent.unknown += 1,
        }
    }
}

enum Try {
    Accepted,
    /// A 4xx, or the connection ended before the dot.
    Later(String),
    Unknown,
}

fn attempt(world: &World, client: &mut Option<Client>, name: &str, message: &[u8]) -> Try {
    let mut session = match client.take() {
        Some(session) => session,
        None => {
            let Ok(mut session) = Client::try_connect(world.address()) else {
                return Try::Later("no connection".into());
            };
            match session.try_reply() {
                Ok(reply) if reply.code == 220 => {}
                Ok(reply) => return Try::Later(format!("{reply} as a greeting")),
                Err(_) => return Try::Later("no greeting".into()),
            }
            if session.try_ask(b"EHLO client.test").is_err() {
                return Try::Later("no reply to EHLO".into());
            }
            session
        }
    };
    let commands = [
        "MAIL FROM:<anna@example.org>",
        &format!("RCPT TO:<{name}@example.net>"),
        "DATA",
    ];
    for command in commands {
        match session.try_ask(command.as_bytes()) {
            Ok(reply) if reply.is_done() || reply.code == 354 => {}
            Ok(reply) => {
                assert!(
                    reply.is_temporary() || command == "DATA",
                    "{name} is refused: {reply}"
                );
                if session.try_ask(b"RSET").is_ok_and(|reply| reply.is_done()) {
                    *client = Some(session);
                }
                return Try::Later(format!("{reply} to {command}"));
            }
            Err(Gone::Silent) => panic!("{name}: no reply to {command}"),
            Err(_) => return Try::Later(format!("no reply to {command}")),
        }
    }
    // What could not be written whole has no dot.
    if session.try_send(&stuffed(message)).is_err() {
        return Try::Later("the end of the connection in the mail".into());
    }
    match session.try_reply() {
        Ok(reply) => {
            assert!(!reply.is_permanent(), "{name} is refused: {reply}");
            *client = Some(session);
            if reply.is_done() {
                Try::Accepted
            } else {
                Try::Later(format!("{reply} to the dot"))
            }
        }
        Err(Gone::Silent) => panic!("{name}: no reply to the dot"),
        Err(_) => Try::Unknown,
    }
}

/// Sends mails from so many clients at once; returns what came of each, by name, which is `prefix` and a number.
pub fn send_all(
    world: &World,
    clients: usize,
    prefix: &str,
    mails: usize,
) -> BTreeMap<String, Sent> {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..clients)
            .map(|_| {
                scope.spawn(|| {
                    let mut results = Vec::new();
                    let mut client = None;
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= mails {
                            return results;
                        }
                        let name = format!("{prefix}{number}");
                        results.push((name.clone(), send(world, &mut client, &name)));
                    }
                })
            })
            .collect();
        clients
            .into_iter()
            .flat_map(|client| client.join().expect("a client without a complaint"))
            .collect()
    })
}

/// How often the next hop took each, by recipient; each copy is whole.
fn arrived(world: &World) -> BTreeMap<String, usize> {
    let mut copies = BTreeMap::new();
    for mail in world.hop.mails() {
        let name = mail.recipients().concat().replace("@example.net", "");
        let message = String::from_utf8(mail.message()).expect("ASCII");
        assert!(
            message.ends_with(&format!("Subject: {name}\r\n\r\n.{name}\r\n")),
            "{name} is not itself: {message}"
        );
        *copies.entry(name).or_insert(0) += 1;
    }
    copies
}

/// None lost, none doubled beyond what could not be known. Returns how many copies too many there are.
#[track_caller]
fn account(sent: &BTreeMap<String, Sent>, copies: &BTreeMap<String, usize>, mails: usize) -> usize {
    assert_eq!(sent.len(), mails);
    let mut doubled = 0;
    for (name, sent) in sent {
        let copies = copies.get(name).copied().unwrap_or(0);
        assert!(copies > 0, "{name} was accepted and is lost");
        assert!(
            copies <= 1 + sent.unknown,
            "{name} arrived {copies} times, {} of them unknown",
            sent.unknown
        );
        doubled += copies - 1;
    }
    doubled
}

fn say(text: &str) -> Act {
    Act::Say(text.as_bytes().to_vec())
}

// T121
#[test]
fn a_flaky_next_hop_loses_and_doubles_nothing() {
    let mut world = World::new(Setup::default());
    let menu = [
        say("451 4.3.0 not now\r\n"),
        say("450 4.2.0 not yet\r\n"),
        Act::Close,
        Act::Reset,
        Act::SayAndClose(b"421 4.3.2 bye\r\n".to_vec()),
    ];
    world.hop.behave(flaky(8, 4711, &menu));
    let sent = send_all(&world, 4, "m", 200);
    let copies = arrived(&world);
    assert_eq!(account(&sent, &copies, 200), 0, "copies too many");
    assert!(
        sent.values().any(|sent| sent.attempts > 1),
        "nothing went wrong"
    );
    world.alive();
    // It takes the mail, but its reply is lost: the client must try again, and only the next hop knows better.
    let losing = flaky(8, 4712, &[Act::TakeAndClose]);
    world.hop.behave(move |moment| {
        if moment.stage == Stage::Dot {
            losing(moment)
        } else {
            Act::Normal
        }
    });
    let sent = send_all(&world, 4, "m", 100);
    // A mail whose reply came is not brought again.
    let answered = |name: &String| {
        world.hop.see(|record| {
            let copies = record
                .mails
                .iter()
                .filter(|mail| mail.recipients().concat() == format!("{name}@example.net"));
            copies.filter(|mail| mail.replied).count()
        })
    };
    assert!(
        sent.keys().all(|name| answered(name) == 1),
        "a mail is lost or brought again"
    );
    world.alive();
    let daemon = world.daemon();
    assert!(eventually(|| daemon.zombies() == 0), "zombies");
}

// T124, T121
#[test]
fn the_soak() {
    let mails = if std::env::var_os("MIMICRY_LONG").is_some() {
        100_000
    } else {
        2_000
    };
    let mut world = World::new(Setup {
        // Whoever kills does not look at the mail in hand: three times the same one is chance.
        daemon: "workers = { min = 8, max = 40, spare = 4 }\npoison_limit = 0",
        errors: &["was killed by SIG"],
        ..Setup::default()
    });
    world
        .hop
        .behave(flaky(20, 42, &[say("451 4.3.0 not now\r\n"), Act::Close]));
    let start = Instant::now();
    let over = AtomicBool::new(false);
    let pid = world.daemon().pid();
    let (sent, killed) = thread::scope(|scope| {
        let killer = scope.spawn(|| {
            let mut luck = Luck(7);
            let mut killed = 0;
            while !over.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(50));
                let workers = crate::harness::daemon::workers_of(pid);
                let Some(victim) = usize::try_from(luck.below(1000))
                    .ok()
                    .and_then(|pick| workers.get(pick % workers.len().max(1)))
                else {
                    continue;
                };
                let signal = if luck.below(2) == 0 {
                    Signal::SIGKILL
                } else {
                    Signal::SIGSEGV
                };
                killed += usize::from(kill(*victim, signal).is_ok());
            }
            killed
        });
        let sent = send_all(&world, 20, "m", mails);
        over.store(true, Ordering::Relaxed);
        (sent, killer.join().expect("the killer"))
    });
    let took = start.elapsed();
    world.hop.behave_well();
    let copies = arrived(&world);
    let doubled = account(&sent, &copies, mails);
    let attempts: usize = sent.values().map(|sent| sent.attempts).sum();
    let unknown: usize = sent.values().map(|sent| sent.unknown).sum();
    eprintln!(
        "soak: {mails} mails in {:.1} s, {killed} workers killed, {attempts} attempts, {unknown} ended between dot and reply, \
         0 lost, {doubled} doubled where the next hop had said 250",
        took.as_secs_f32()
    );
    assert!(killed > 0);
    assert!(doubled <= unknown);
    let daemon = world.daemon();
    assert!(
        eventually(|| daemon.zombies() == 0 && daemon.workers().len() >= 8),
        "{}",
        daemon.said()
    );
    world.alive();
}
