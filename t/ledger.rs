//! The ledger at work: a mail that only some of its recipients got comes again, and each has it exactly once.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use crate::harness::client::{Client, Outcome, stuffed};
use crate::harness::daemon::{OWN_SOCKET, PLAIN, Setup, World, eventually, workers_of};
use crate::harness::hop::{Act, Luck, Stage, flaky};
use crate::harness::{FOOTER, contains};

/// With [`FOOTER`]: one class with a footer, one with a tag, one with neither.
const TO: &[&str] = &[
    "bob@example.net",
    "in@inside.example",
    "eva@example.net",
    "tag@inside.example",
];

fn rules() -> String {
    format!(
        "{FOOTER}\n[[rule]]\nname = \"tag\"\nplugin = \"header\"\nmatch = {{ recipient = '^tag@' }}\noptions = {{ add = {{ X-Tag = \"yes\" }} }}\n"
    )
}

fn world(setup: Setup) -> World {
    let rules = rules();
    World::new(Setup {
        rules: &rules,
        ..setup
    })
}

/// How often each recipient has got a mail.
fn copies(world: &World) -> BTreeMap<String, usize> {
    let mut copies = BTreeMap::new();
    for mail in world.hop.mails() {
        for recipient in mail.recipients() {
            *copies.entry(recipient.to_string()).or_default() += 1;
        }
    }
    copies
}

fn once_each() -> BTreeMap<String, usize> {
    TO.iter().map(|to| ((*to).to_string(), 1)).collect()
}

fn entries(world: &mut World) -> usize {
    let directory = world.daemon().directory.path().join("spool/ledger");
    fs::read_dir(directory).map_or(0, Iterator::count)
}

/// The nth final dot is answered so, and no other.
fn at_dot(world: &World, nth: usize, line: &'static str) {
    world.hop.behave(move |moment| match moment.stage {
        Stage::Dot if moment.nth == nth => Act::Say(line.as_bytes().to_vec()),
        _ => Act::Normal,
    });
}

// T65
// man: mimicryd(8) "The ledger remembers who has the mail by then, and the retry delivers only what is missing"
#[test]
fn a_retry_delivers_only_what_is_missing() {
    for failing in 1..=3 {
        let mut world = world(Setup::default());
        at_dot(&world, failing, "451 4.3.0 not now\r\n");
        let mut client = world.client();
        let reply = client.mail("anna@example.org", TO, PLAIN);
        assert!(reply.is_temporary(), "{reply}");
        assert!(entries(&mut world) > 0);
        world.daemon().logs("partial");
        // The retry has one more Received field, as when it took another way.
        let again = [b"Received: from x by y; now\r\n", PLAIN].concat();
        let reply = client.mail("anna@example.org", TO, &again);
        assert!(reply.is_done(), "{reply}");
        client.quit();
        assert_eq!(copies(&world), once_each(), "failing at {failing}");
        world.daemon().logs("delivered before");
        // It was used up: the same mail sent once more is sent to all.
        assert!(eventually(|| entries(&mut world) == 0));
        let reply = world.client().mail("anna@example.org", TO, PLAIN);
        assert!(reply.is_done(), "{reply}");
        assert_eq!(copies(&world), once_each());
        world.alive();
    }
}

// T144, T146
// man: mimicryd(8) "If that cannot be written, none of them gets the mail"
#[test]
fn without_room_in_the_ledger_nobody_gets_a_mail_of_several_classes() {
    let mut world = world(Setup {
        errors: &["the ledger cannot be written"],
        ..Setup::default()
    });
    let ledger = world.daemon().directory.path().join("spool/ledger");
    let mode = |bits| {
        let mode = fs::Permissions::from_mode(bits);
        fs::set_permissions(&ledger, mode).expect("our own directory");
    };
    mode(0o500);
    at_dot(&world, 2, "451 4.3.0 not now\r\n");
    let mut client = world.client();
    let reply = client.mail("anna@example.org", TO, PLAIN);
    assert_eq!(
        (reply.code, reply.enhanced()),
        (451, Some("4.3.0")),
        "{reply}"
    );
    assert!(
        world.hop.mails().is_empty(),
        "some have the mail, and nobody knows who"
    );
    world.daemon().logs("by=mimicry");
    // A mail of one class needs no ledger.
    world.hop.behave_well();
    assert!(client.mail("anna@example.org", &TO[..1], PLAIN).is_done());
    world.hop.mails();
    mode(0o700);
    at_dot(&world, 2, "451 4.3.0 not now\r\n");
    assert!(client.mail("anna@example.org", TO, PLAIN).is_temporary());
    assert!(client.mail("anna@example.org", TO, PLAIN).is_done());
    client.quit();
    assert_eq!(copies(&world), once_each());
    assert!(eventually(|| entries(&mut world) == 0));
}

// T65
#[test]
fn each_class_has_its_own_mail_after_the_retry() {
    let world = world(Setup::default());
    at_dot(&world, 2, "451 4.3.0 not now\r\n");
    let mut client = world.client();
    assert!(client.mail("anna@example.org", TO, PLAIN).is_temporary());
    assert!(client.mail("anna@example.org", TO, PLAIN).is_done());
    client.quit();
    for mail in world.hop.mails() {
        let message = mail.message();
        let is_tagged = mail.recipients() == ["tag@inside.example"];
        let has_footer = mail.recipients().contains(&"bob@example.net");
        assert_eq!(contains(&message, b"X-Tag: yes"), is_tagged);
        assert_eq!(contains(&message, b"registered in Exampleton"), has_footer);
    }
}

// T65
#[test]
fn a_class_may_be_missing_one_recipient_only() {
    // Other recipients than the first time: the class has one who has the mail, and one who has not.
    let mut world = world(Setup::default());
    at_dot(&world, 2, "451 4.3.0 not now\r\n");
    let mut client = world.client();
    let first = ["bob@example.net", "in@inside.example"];
    assert!(
        client
            .mail("anna@example.org", &first, PLAIN)
            .is_temporary()
    );
    let then = ["bob@example.net", "eva@example.net", "in@inside.example"];
    assert!(client.mail("anna@example.org", &then, PLAIN).is_done());
    client.quit();
    let copies = copies(&world);
    assert!(copies.values().all(|count| *count == 1), "{copies:?}");
    assert_eq!(copies.len(), 3);
    assert!(eventually(|| entries(&mut world) == 0));
}

// T65
// man: mimicryd(8) "Otherwise it is a 5xx whose text names who is refused and says that all others have the mail."
#[test]
fn a_refusal_behind_a_success_names_who_is_refused() {
    let mut world = world(Setup::default());
    at_dot(&world, 2, "550 5.7.1 not for you\r\n");
    let mut client = world.client();
    let reply = client.mail("anna@example.org", TO, PLAIN);
    assert_eq!(reply.code, 550, "{reply}");
    let text = reply.lines.join("\n");
    assert!(
        text.contains("not for you") && text.contains("all others have the mail"),
        "{text}"
    );
    assert!(text.contains("<in@inside.example>"), "{text}");
    assert!(!text.contains("bob@") && !text.contains("tag@"), "{text}");
    assert!(eventually(|| entries(&mut world) == 0));
    client.quit();
    let mut expected = once_each();
    expected.remove("in@inside.example");
    assert_eq!(copies(&world), expected);
    // Refused and deferred: the client keeps the mail, and later hears of the refusal.
    world.hop.behave(|moment| match (moment.stage, moment.nth) {
        (Stage::Dot, 1) => Act::Say(b"451 4.3.0 not now\r\n".to_vec()),
        (Stage::Dot, 2 | 5) => Act::Say(b"550 5.7.1 not for you\r\n".to_vec()),
        _ => Act::Normal,
    });
    let mut client = world.client();
    assert!(client.mail("anna@example.org", TO, PLAIN).is_temporary());
    let reply = client.mail("anna@example.org", TO, PLAIN);
    assert_eq!(reply.code, 550, "{reply}");
    client.quit();
    assert!(copies(&world).values().all(|count| *count == 1));
    assert!(eventually(|| entries(&mut world) == 0));
}

// T65
// man: mimicryd(8) "So it is if a rule stops the retry because the rules were changed meanwhile"
#[test]
fn a_rule_that_stops_the_retry_does_not_hide_who_has_the_mail() {
    let signed = crate::harness::mail("demo-pgp-signed.eml");
    for (failing, refused) in [
        (2, &["<in@inside.example>"][..]),
        (3, &["<tag@inside.example>"]),
        // The last one got it, and the client was gone.
        (0, &[]),
    ] {
        let mut world = world(Setup::default());
        at_dot(&world, failing, "451 4.3.0 not now\r\n");
        let mut client = world.client();
        if failing > 0 {
            let reply = client.mail("anna@example.org", TO, &signed);
            assert!(reply.is_temporary(), "{reply}");
            client.quit();
        } else {
            world.hop.behave(|moment| match (moment.stage, moment.nth) {
                (Stage::Dot, 3) => Act::Hold,
                _ => Act::Normal,
            });
            client.envelope("anna@example.org", TO);
            client.says("DATA", 354);
            client.send(&stuffed(&signed));
            world.hop.wait("the last one", |record| record.held == 1);
            client.reset();
            world.hop.release();
            // What is only reserved has a longer name.
            let ledger = world.daemon().directory.path().join("spool/ledger");
            let written = || {
                let files = fs::read_dir(&ledger).expect("the ledger").flatten();
                files.filter(|file| file.file_name().len() == 64).count()
            };
            assert!(eventually(|| written() == TO.len()));
        }
        let _ = copies(&world);
        let daemon = world.daemon();
        let rule = "name = \"legal footer\"\n";
        daemon.change(rule, &format!("{rule}on_sealed = \"reject\"\n"));
        assert_eq!(daemon.command(&["reload"]).code, 0, "{}", daemon.said());
        let mut client = world.client();
        let reply = client.mail("anna@example.org", TO, &signed);
        if refused.is_empty() {
            assert!(reply.is_done(), "{reply}");
        } else {
            assert_eq!(reply.code, 554, "{reply}");
            let text = reply.lines.join("\n");
            assert!(text.contains("all others have the mail"), "{text}");
            let words = text.split_ascii_whitespace();
            let named: Vec<&str> = words.filter(|word| word.starts_with('<')).collect();
            assert_eq!(named, refused);
            world
                .daemon()
                .logs("partial: other recipients have the mail");
        }
        client.quit();
        assert!(copies(&world).is_empty());
        assert!(eventually(|| entries(&mut world) == 0));
        // Of a mail that nobody has it says no more than that.
        let reply = world.client().mail("anna@example.org", TO, &signed);
        assert!(
            reply.code == 554 && !reply.to_string().contains("have the mail"),
            "{reply}"
        );
    }
}

// T51
// man: mimicryd(8) "the next hop has said 250 and the client has disconnected before it could be told."
#[test]
fn a_client_that_was_gone_before_it_could_be_told_does_not_double_the_mail() {
    let mut world = World::new(Setup::default());
    let client = world.held(Stage::Dot);
    client.reset();
    world.hop.release();
    assert!(eventually(|| entries(&mut world) == 1));
    let reply = world
        .client()
        .mail("anna@example.org", &["bob@example.net"], PLAIN);
    assert!(reply.is_done(), "{reply}");
    assert_eq!(world.hop.mails().len(), 1);
    assert!(eventually(|| entries(&mut world) == 0));
}

// man: mimicryd(8) "A mail without a Message-ID is not remembered"
#[test]
fn a_mail_without_a_message_id_is_not_remembered() {
    let mut world = world(Setup::default());
    at_dot(&world, 2, "451 4.3.0 not now\r\n");
    let report = b"Subject: report\r\n\r\nAll is well.\r\n";
    let mut client = world.client();
    assert!(client.mail("anna@example.org", TO, report).is_temporary());
    assert_eq!(entries(&mut world), 0);
    assert!(client.mail("anna@example.org", TO, report).is_done());
    client.quit();
    assert_eq!(copies(&world)["bob@example.net"], 2);
}

// man: mimicryd(8) "If the workers cannot write to the spool, the log says so at the start, check and status say so at any time, and
// a retry goes to all recipients."
#[test]
fn without_a_spool_all_get_it_again() {
    let mut world = world(Setup {
        daemon: "spool = \"/nonexistent/spool\"",
        ..Setup::default()
    });
    world.daemon().logs("no ledger below /nonexistent/spool");
    at_dot(&world, 2, "451 4.3.0 not now\r\n");
    let mut client = world.client();
    assert!(client.mail("anna@example.org", TO, PLAIN).is_temporary());
    assert!(client.mail("anna@example.org", TO, PLAIN).is_done());
    client.quit();
    let copies = copies(&world);
    assert_eq!(copies["bob@example.net"], 2);
    assert_eq!(copies["in@inside.example"], 1);
}

#[test]
fn the_ledger_outlives_the_daemon() {
    let mut world = world(Setup {
        shell: OWN_SOCKET,
        ..Setup::default()
    });
    at_dot(&world, 2, "451 4.3.0 not now\r\n");
    let reply = world.client().mail("anna@example.org", TO, PLAIN);
    assert!(reply.is_temporary(), "{reply}");
    world.daemon().signal(Signal::SIGTERM);
    world.daemon().ends();
    world.daemon().start_again();
    let reply = world.client().mail("anna@example.org", TO, PLAIN);
    assert!(reply.is_done(), "{reply}");
    assert_eq!(copies(&world), once_each());
}

/// The recipients of a mail of that name, each in a class of its own.
fn recipients_of(name: &str) -> [String; 3] {
    [
        format!("{name}@example.net"),
        format!("{name}@inside.example"),
        format!("tag@{name}.inside.example"),
    ]
}

/// Tries until it is accepted; returns how often the connection ended where nobody can know what became of the mail.
fn send(world: &World, name: &str) -> usize {
    let message = crate::soak::message(name);
    let to = recipients_of(name);
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    let mut unknown = 0;
    // By time, not by a number: while the next hop is given a rest, a try takes a millisecond.
    let accepted = eventually(|| {
        let Ok(mut client) = Client::try_connect(world.address()) else {
            return false;
        };
        if !client.try_reply().is_ok_and(|reply| reply.code == 220)
            || client.try_ask(b"EHLO client.test").is_err()
        {
            return false;
        }
        match client.attempt("anna@example.org", &to, message.as_bytes()) {
            Outcome::Accepted(_) => return true,
            Outcome::Kept(Some(_)) => {}
            Outcome::Kept(None) => unknown += 1,
            Outcome::Refused(reply) => panic!("{name} is refused: {reply}"),
        }
        false
    });
    assert!(accepted, "{name} is not accepted");
    unknown
}

// T65, T124
#[test]
fn many_mails_of_several_classes_while_the_next_hop_fails_and_workers_die() {
    let mails = match std::env::var_os("MIMICRY_LONG").is_some() {
        true => 20_000,
        false => 300,
    };
    for killing in [false, true] {
        let mut world = world(Setup {
            // Whoever kills does not look at the mail in hand: three times the same one is chance.
            daemon: "workers = { min = 4, max = 20, spare = 2 }\npoison_limit = 0",
            errors: &["was killed by SIG"],
            ..Setup::default()
        });
        let menu = [Act::Say(b"451 4.3.0 not now\r\n".to_vec()), Act::Close];
        world.hop.behave(flaky(15, 4713, &menu));
        let pid = world.daemon().pid();
        let over = AtomicBool::new(false);
        let next = AtomicUsize::new(0);
        let unknown: BTreeMap<String, usize> = thread::scope(|scope| {
            if killing {
                scope.spawn(|| {
                    let mut luck = Luck(11);
                    while !over.load(Ordering::Relaxed) {
                        thread::sleep(Duration::from_millis(50));
                        let workers = workers_of(pid);
                        let pick = usize::try_from(luck.below(1000)).unwrap_or(0);
                        if let Some(victim) = workers.get(pick % workers.len().max(1)) {
                            let _ = kill(*victim, Signal::SIGKILL);
                        }
                    }
                });
            }
            let clients: Vec<_> = (0..6)
                .map(|_| {
                    scope.spawn(|| {
                        let mut sent = Vec::new();
                        loop {
                            let number = next.fetch_add(1, Ordering::Relaxed);
                            if number >= mails {
                                return sent;
                            }
                            let name = format!("m{number}");
                            let unknown = send(&world, &name);
                            sent.push((name, unknown));
                        }
                    })
                })
                .collect();
            let sent = clients
                .into_iter()
                .flat_map(|client| client.join().expect("a client without a complaint"))
                .collect();
            over.store(true, Ordering::Relaxed);
            sent
        });
        world.hop.behave_well();
        let copies = copies(&world);
        let mut doubled = 0;
        for (name, unknown) in &unknown {
            for recipient in recipients_of(name) {
                let copies = copies.get(&recipient).copied().unwrap_or(0);
                assert!(copies > 0, "{recipient} has lost {name}");
                assert!(
                    copies <= 1 + unknown,
                    "{recipient} has {copies} copies, {unknown} unknown"
                );
                doubled += copies - 1;
            }
        }
        let unknown: usize = unknown.values().sum();
        eprintln!(
            "{mails} mails of 3 classes, killing {killing}: {unknown} attempts ended unknown, {doubled} copies too many"
        );
        assert!(killing || doubled == 0);
    }
}
