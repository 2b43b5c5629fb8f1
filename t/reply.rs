//! What the next hop says, and what the client hears of it: each command answered in every wrong way there is.
//!
//! A 2xx for a mail that the next hop did not take is the one thing that must never come of it.

use std::time::{Duration, Instant};

use crate::harness::client::{Client, Reply};
use crate::harness::daemon::{PLAIN, Setup, World, eventually};
use crate::harness::hop::{Act, Stage};

const FROM: &str = "anna@example.org";

/// One worker, so that all mails meet the same lines to the next hop, and no patience with it.
const IMPATIENT: Setup = Setup {
    top: "",
    daemon: "workers = { min = 1, max = 1, spare = 0 }",
    log: "",
    listen: "",
    relay: "connect_timeout = \"1s\"\nhelo_timeout = \"1s\"\nmail_timeout = \"1s\"\nrcpt_timeout = \"1s\"\ndata_timeout = \"1s\"\n\
        data_block_timeout = \"1s\"\ndot_timeout = \"1s\"\nquit_timeout = \"1s\"\nrset_timeout = \"1s\"",
    limits: "",
    rules: "",
    shell: "",
    errors: &[],
};

fn say(text: &str) -> Act {
    Act::Say(text.as_bytes().to_vec())
}

/// Offers a mail in a new session; returns the session and the reply that decided: the first that was no success, or the last.
fn offer(world: &World, message: &[u8]) -> (Client, Reply) {
    let mut client = world.client();
    for command in ["MAIL FROM:<anna@example.org>", "RCPT TO:<bob@example.net>"] {
        let reply = client.ask(command);
        if !reply.is_done() {
            return (client, reply);
        }
    }
    let reply = client.data(message);
    (client, reply)
}

fn big(octets: usize) -> Vec<u8> {
    let line = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n";
    [
        &b"Subject: big\r\n\r\n"[..],
        &line.repeat(octets / line.len()),
    ]
    .concat()
}

/// The next hop does this at this stage; the mail must not be taken, and ordinary mail passes afterwards.
#[track_caller]
fn fails(world: &World, stage: Stage, act: Act, message: &[u8]) -> Reply {
    world.hop.at(stage, act.clone());
    let (mut client, reply) = offer(world, message);
    assert!(!reply.is_done(), "{act:.60?} at {stage:?}: {reply}");
    assert!(
        world.hop.mails().is_empty(),
        "{act:.60?} at {stage:?}: the mail was taken"
    );
    // Whatever befalls the next hop's line, the client's session lives.
    client.says("NOOP", 250);
    client.quit();
    world.hop.release();
    world.alive();
    reply
}

// T96, T97, T98, T99, T100, T101, T102, T103, T104, T105, T106, T107, T108, T109, T110, T111
// man: mimicryd(8) "gives each recipient to the next hop as soon as the client names it, and the client gets the
// next hop's own reply."
// man: mimicryd(8) "After the message the client is told 250 only when the next hop has said 250 to this very
// message. Whatever else the next hop does is a 4xx to the client, which keeps the mail."
#[test]
fn every_command_answered_in_every_way() {
    let world = World::new(IMPATIENT);
    for stage in [Stage::Mail, Stage::Rcpt, Stage::Data, Stage::Dot] {
        for (act, code, enhanced, text) in [
            (say("451 4.2.1 come back\r\n"), 451, "4.2.1", "come back"),
            (say("452 no room\r\n"), 452, "", "no room"),
            (
                say("550 5.1.1 never heard of it\r\n"),
                550,
                "5.1.1",
                "never heard of it",
            ),
            (say("554 no\r\n"), 554, "", "no"),
            (
                say("550-5.7.1 first\r\n550-5.7.1 second\r\n550 5.7.1 third\r\n"),
                550,
                "5.7.1",
                "third",
            ),
            (
                Act::SayAndClose(b"421 4.3.2 shutting down\r\n".to_vec()),
                451,
                "4.3.2",
                "shutting down",
            ),
        ] {
            let reply = fails(&world, stage, act.clone(), PLAIN);
            assert_eq!(reply.code, code, "{act:?} at {stage:?}: {reply}");
            assert!(
                reply.to_string().contains(text),
                "{act:?} at {stage:?}: {reply}"
            );
            if !enhanced.is_empty() {
                assert_eq!(
                    reply.enhanced(),
                    Some(enhanced),
                    "{act:?} at {stage:?}: {reply}"
                );
            }
        }
        for act in [
            Act::Close,
            Act::Reset,
            Act::Silence,
            say("what?\r\n"),
            say("\r\n"),
            say("999 what\r\n"),
            say("2x0 ok\r\n"),
        ] {
            let reply = fails(&world, stage, act.clone(), PLAIN);
            assert!(reply.is_temporary(), "{act:?} at {stage:?}: {reply}");
        }
    }
}

// T112
// man: mimicryd(8) "After the message the client is told 250 only when the next hop has said 250 to this very
// message. Whatever else the next hop does is a 4xx to the client, which keeps the mail."
#[test]
fn what_is_not_one_complete_reply_is_a_4xx() {
    let world = World::new(IMPATIENT);
    let endless = b"250-x\r\n".repeat(200_000);
    for stage in [Stage::Mail, Stage::Rcpt, Stage::Data, Stage::Dot] {
        for act in [
            Act::SayAndClose(b"2".to_vec()),
            Act::SayAndClose(b"250".to_vec()),
            Act::SayAndClose(b"250 ok".to_vec()),
            Act::SayAndClose(b"250 ok\r".to_vec()),
            Act::SayAndClose(b"250-ok\r\n".to_vec()),
            Act::SayAndClose(b"250-ok\r\n250".to_vec()),
            say("250-ok\r\n550 no\r\n"),
            say("250-ok\r\n354 go on\r\n"),
            say("550-no\r\n250 ok\r\n"),
            say("250-ok\r\n"),
            Act::Say(endless.clone()),
            Act::SayAndClose(b"354-go on\r\n".to_vec()),
        ] {
            let reply = fails(&world, stage, act.clone(), PLAIN);
            assert!(reply.is_temporary(), "{act:.60?} at {stage:?}: {reply}");
        }
    }
    for stage in [Stage::Mail, Stage::Rcpt, Stage::Dot] {
        let reply = fails(&world, stage, say("354 go on\r\n"), PLAIN);
        assert!(reply.is_temporary(), "354 at {stage:?}: {reply}");
    }
}

// T113
#[test]
fn a_250_in_place_of_354_sends_no_message() {
    let world = World::new(IMPATIENT);
    let reply = fails(&world, Stage::Data, say("250 2.0.0 ok\r\n"), PLAIN);
    assert!(reply.is_temporary(), "{reply}");
    // A message sent all the same would have been read as commands.
    assert_eq!(world.hop.count("From:") + world.hop.count("Hello"), 0);
}

// T114
#[test]
fn a_reply_before_the_dot_does_not_count() {
    let world = World::new(IMPATIENT);
    for early in [
        "250 2.0.0 taken\r\n",
        "250-taken\r\n250 taken\r\n",
        "2",
        "550 5.0.0 no\r\n",
    ] {
        // With the 354 in one write, and amid the message; the dot itself is refused.
        for behind in [None, Some(0), Some(1000)] {
            let early = early.as_bytes().to_vec();
            world
                .hop
                .behave(move |moment| match (moment.stage, behind) {
                    (Stage::Data, None) => Act::Surplus(early.clone()),
                    (Stage::Body, Some(octets)) => {
                        Act::Behind(octets, Box::new(Act::Say(early.clone())))
                    }
                    (Stage::Dot, _) => say("451 4.3.0 not taken\r\n"),
                    _ => Act::Normal,
                });
            let (_, reply) = offer(&world, &big(8 * 1024 * 1024));
            assert!(reply.is_temporary(), "{reply}");
            assert!(world.hop.mails().is_empty());
            world.alive();
        }
    }
}

// T115
#[test]
fn a_next_hop_that_fails_amid_the_message_is_a_4xx() {
    let world = World::new(IMPATIENT);
    for act in [
        Act::Close,
        Act::Reset,
        Act::SayAndClose(b"421 4.3.2 going\r\n".to_vec()),
        Act::Hold,
    ] {
        for octets in [0, 100_000] {
            let act = Act::Behind(octets, Box::new(act.clone()));
            let reply = fails(&world, Stage::Body, act.clone(), &big(8 * 1024 * 1024));
            assert!(reply.is_temporary(), "{act:?}: {reply}");
        }
    }
    // Refused for good amid the message, the line kept open: the client hears it, or a 4xx.
    let act = Act::Behind(100_000, Box::new(say("552 5.3.4 too much\r\n")));
    world.hop.behave(move |moment| match moment.stage {
        Stage::Body => act.clone(),
        Stage::Dot => say("552 5.3.4 too much\r\n"),
        _ => Act::Normal,
    });
    let (_, reply) = offer(&world, &big(8 * 1024 * 1024));
    assert!(!reply.is_done(), "{reply}");
    world.alive();
}

/// One octet too many before a command means that every later reply would be the answer to another command.
// T114: shim 9 of the relay, at each command
#[test]
fn a_surplus_reply_never_answers_the_next_command() {
    let world = World::new(IMPATIENT);
    for stage in [
        Stage::Greeting,
        Stage::Ehlo,
        Stage::Mail,
        Stage::Rcpt,
        Stage::Data,
    ] {
        for surplus in [
            "250 2.0.0 extra\r\n",
            "250 2.0.0 one\r\n250 2.0.0 two\r\n",
            "354 go on\r\n",
            "x",
        ] {
            let surplus = surplus.as_bytes().to_vec();
            world.hop.hang_up();
            world.hop.behave(move |moment| match moment.stage {
                stage_now if stage_now == stage => Act::Surplus(surplus.clone()),
                // Whoever counts the replies wrongly takes the surplus one for the answer to the dot.
                Stage::Dot => say("554 5.6.0 not taken\r\n"),
                _ => Act::Normal,
            });
            let (_, reply) = offer(&world, PLAIN);
            assert!(!reply.is_done(), "a surplus reply at {stage:?}: {reply}");
            world.alive();
        }
    }
    // Behind the final reply: this mail is taken, and the next one goes over another line.
    world
        .hop
        .once(Stage::Dot, Act::Surplus(b"250 2.0.0 extra\r\n".to_vec()));
    let mut client = world.client();
    assert!(client.mail(FROM, &["bob@example.net"], PLAIN).is_done());
    assert!(client.mail(FROM, &["carl@example.net"], PLAIN).is_done());
    let mails = world.hop.mails();
    assert_eq!(mails.len(), 2);
    assert_ne!(mails[0].connection, mails[1].connection);
    client.quit();
}

// T62, T63
// man: mimicryd(8) "gives each recipient to the next hop as soon as the client names it, and the client gets the
// next hop's own reply."
#[test]
fn refused_recipients_are_refused_at_rcpt() {
    let world = World::new(IMPATIENT);
    world.hop.behave(|moment| match moment.stage {
        Stage::Rcpt if moment.line.contains("<no") => say("550 5.1.1 no such user\r\n"),
        Stage::Rcpt if moment.line.contains("<wait") => say("450 4.2.0 greylisted\r\n"),
        _ => Act::Normal,
    });
    let mut client = world.client();
    client.says("MAIL FROM:<anna@example.org>", 250);
    for number in 0..10 {
        let (name, code, text) = match number {
            2 | 5 | 8 => ("no", 550, "5.1.1 no such user"),
            3 => ("wait", 450, "4.2.0 greylisted"),
            _ => ("yes", 250, "2.1.5 recipient ok"),
        };
        let reply = client.says(format!("RCPT TO:<{name}{number}@example.net>"), code);
        assert_eq!(reply.lines, [text]);
    }
    assert!(client.data(PLAIN).is_done());
    let taken = world.hop.only_mail();
    let expected: Vec<String> = [0, 1, 4, 6, 7, 9]
        .iter()
        .map(|number| format!("yes{number}@example.net"))
        .collect();
    assert_eq!(taken.recipients(), expected);
    client.quit();
}

// Whoever believes the enhanced code would take for delivered what was refused, or return what was taken.
// man: mimicryd(8) "An enhanced code that contradicts its reply goes to the client as one that says only the class"
#[test]
fn an_enhanced_code_never_contradicts_its_reply() {
    let world = World::new(IMPATIENT);
    for (said, heard) in [
        ("550 2.0.0 no\r\n", "550 5.0.0 no"),
        ("552 4.2.2 full\r\n", "552 5.0.0 full"),
        ("451 5.1.1 later\r\n", "451 4.0.0 later"),
        ("421 2.0.0 closing\r\n", "451 4.0.0 closing"),
    ] {
        for stage in [Stage::Mail, Stage::Rcpt, Stage::Data, Stage::Dot] {
            let reply = fails(&world, stage, say(said), PLAIN);
            assert_eq!(reply.to_string(), heard, "{said:?} at {stage:?}");
        }
    }
    world.hop.at(Stage::Rcpt, say("250 5.1.1 yes\r\n"));
    let mut client = world.client();
    client.says("MAIL FROM:<anna@example.org>", 250);
    let reply = client.says("RCPT TO:<bob@example.net>", 250);
    assert_eq!(reply.to_string(), "250 2.0.0 yes");
    client.quit();
}

// T64
#[test]
fn no_recipient_no_data() {
    let world = World::new(IMPATIENT);
    for (line, is_permanent) in [
        ("550 5.1.1 no such user\r\n", true),
        ("450 4.2.0 greylisted\r\n", false),
    ] {
        world.hop.at(Stage::Rcpt, say(line));
        let mut client = world.client();
        client.says("MAIL FROM:<anna@example.org>", 250);
        for _ in 0..3 {
            let reply = client.ask("RCPT TO:<bob@example.net>");
            assert_eq!(reply.is_permanent(), is_permanent, "{reply}");
        }
        let reply = client.ask("DATA");
        assert_eq!(
            (reply.is_permanent(), reply.is_temporary()),
            (is_permanent, !is_permanent),
            "{reply}"
        );
        assert_eq!(world.hop.count("DATA"), 0);
        client.quit();
    }
    world.alive();
}

// T92
#[test]
fn a_next_hop_that_is_down_is_used_again_when_it_is_up() {
    let mut world = World::new(IMPATIENT);
    world.alive();
    for _ in 0..2 {
        world.hop.down();
        let mut client = world.client();
        client.says("MAIL FROM:<anna@example.org>", 250);
        for _ in 0..3 {
            let reply = client.ask("RCPT TO:<bob@example.net>");
            assert!(reply.is_temporary(), "{reply}");
        }
        world.hop.up();
        // The same transaction goes on, as soon as the next hop is tried again.
        let is_back = || client.ask("RCPT TO:<bob@example.net>").is_done();
        assert!(eventually(is_back));
        assert!(client.data(PLAIN).is_done());
        assert_eq!(world.untraced(&world.hop.only_mail()), PLAIN);
        client.quit();
    }
}

// T92, T197
#[test]
fn a_next_hop_that_was_never_up_does_not_keep_the_daemon_from_greeting() {
    let mut world = World::new(IMPATIENT);
    world.hop.down();
    let mut client = world.connect();
    client.expect(220);
    let hello = client.says("EHLO client.test", 250);
    // Unknown: a client that is not offered what its mail needs would return it.
    for keyword in ["DSN", "SMTPUTF8"] {
        assert!(hello.lines.iter().any(|line| line == keyword), "{hello}");
    }
    client.says("MAIL FROM:<anna@example.org>", 250);
    let reply = client.ask("RCPT TO:<bob@example.net>");
    assert!(reply.is_temporary(), "{reply}");
    client.quit();
    world.hop.up();
    world.alive();
}

// T94
#[test]
fn a_greeting_that_is_none_is_a_4xx() {
    let world = World::new(IMPATIENT);
    for act in [
        Act::SayAndClose(b"421 4.3.2 busy\r\n".to_vec()),
        Act::SayAndClose(b"554 5.7.1 not you\r\n".to_vec()),
        say("SSH-2.0-OpenSSH_9.9\r\n"),
        say("\r\n"),
        Act::Close,
        Act::Reset,
        Act::Silence,
        Act::Say(vec![b'2'; 4 * 1024 * 1024]),
        Act::Say(
            b"220-"
                .iter()
                .chain(&[b'x'; 300])
                .chain(b"\r\n")
                .copied()
                .cycle()
                .take(3_000_000)
                .collect(),
        ),
    ] {
        world.hop.hang_up();
        let reply = fails(&world, Stage::Greeting, act.clone(), PLAIN);
        assert!(reply.is_temporary(), "{act:.60?}: {reply}");
    }
}

// T95
// man: mimicryd(8) "A next hop that knows only HELO gets its mail all the same."
#[test]
fn a_next_hop_without_ehlo_is_told_helo() {
    for refusal in ["500 5.5.1 what\r\n", "502 5.5.1 no\r\n"] {
        let world = World::new(IMPATIENT);
        world.hop.at(Stage::Ehlo, say(refusal));
        assert_eq!(world.pass(PLAIN), PLAIN);
    }
}

// T95
#[test]
fn a_next_hop_that_refuses_a_second_ehlo_gets_its_mail() {
    let world = World::new(IMPATIENT);
    world.hop.behave(|moment| match moment.stage {
        Stage::Ehlo if moment.nth == 2 => say("503 5.5.1 already identified\r\n"),
        _ => Act::Normal,
    });
    assert_eq!(world.pass(PLAIN), PLAIN);
    assert_eq!(world.hop.count("EHLO"), 1);
}

// T95
#[test]
fn a_next_hop_that_says_no_to_ehlo_is_a_4xx() {
    let world = World::new(IMPATIENT);
    for act in [say("421 4.3.2 no\r\n"), Act::Close] {
        world.hop.hang_up();
        let reply = fails(&world, Stage::Ehlo, act.clone(), PLAIN);
        assert!(reply.is_temporary(), "{act:?}: {reply}");
    }
}

// T117
#[test]
fn the_client_has_its_250_at_once() {
    for act in [Act::Silence, Act::Close, Act::Reset, Act::Normal] {
        let world = World::new(Setup {
            daemon: "workers = { min = 1, max = 1, spare = 0 }",
            ..Setup::default()
        });
        world.hop.at(Stage::Quit, act.clone());
        let mut client = world.client();
        client.envelope(FROM, &["bob@example.net"]);
        let start = Instant::now();
        assert!(client.data(PLAIN).is_done(), "{act:?} at QUIT");
        assert!(
            start.elapsed() < Duration::from_secs(2),
            "{act:?} at QUIT: the 250 took {:?}",
            start.elapsed()
        );
        assert_eq!(world.untraced(&world.hop.only_mail()), PLAIN);
        // The line ends behind the 250.
        world.hop.hang_up();
        assert!(client.mail(FROM, &["bob@example.net"], PLAIN).is_done());
        assert_eq!(world.untraced(&world.hop.only_mail()), PLAIN);
        client.quit();
    }
}

/// 40 ms is what a delayed acknowledgement costs where two small writes follow each other.
// T117: and no stall between two replies
#[test]
fn no_reply_waits_for_an_acknowledgement() {
    let world = World::new(Setup::default());
    world.alive();
    let mut client = world.client();
    let mut times: Vec<Duration> = (0..20)
        .map(|_| {
            let start = Instant::now();
            assert!(client.mail(FROM, &["bob@example.net"], PLAIN).is_done());
            start.elapsed()
        })
        .collect();
    times.sort();
    // A busy machine makes some of them slow, a stall makes all of them slow.
    assert!(
        times[0] < Duration::from_millis(35),
        "the quickest of 20 mails took {:?}",
        times[0]
    );
    client.quit();
}

// T119
#[test]
fn capabilities_may_be_few_or_odd() {
    let world = World::new(IMPATIENT);
    for extensions in [
        &[][..],
        &["SIZE"],
        &["SIZE abc", "XYZZY", "AUTH=LOGIN PLAIN", "8BITMIME x"],
        &["SIZE 0"],
        &["X-ODD  two  blanks", "size 5000"],
    ] {
        world.hop.hang_up();
        world.hop.offer(extensions);
        assert_eq!(world.pass(PLAIN), PLAIN, "{extensions:?}");
    }
}

// T119
#[test]
fn a_mail_larger_than_the_next_hop_takes_is_refused() {
    let world = World::new(IMPATIENT);
    world.hop.offer(&["SIZE 2000"]);
    world.alive();
    let mut client = world.client();
    let reply = client.ask("MAIL FROM:<anna@example.org> SIZE=5000");
    assert_eq!(reply.code, 552, "{reply}");
    client.envelope(FROM, &["bob@example.net"]);
    let reply = client.data(&big(5000));
    assert!(reply.is_permanent() && reply.code == 552, "{reply}");
    assert!(world.hop.mails().is_empty());
    client.quit();
    world.alive();
}

// T120
#[test]
fn a_dirty_reply_comes_out_clean() {
    let world = World::new(IMPATIENT);
    let long = format!("550 5.1.1 {}\r\n", "x".repeat(2000));
    for (octets, is_permanent) in [
        (long.as_bytes(), None),
        (b"550 5.1.1 a\0b\r\n", None),
        (b"550 5.1.1 caf\xc3\xa9\r\n", None),
        (b"550 5.1.1 \x1b[2J\r\n", Some(true)),
        (b"550 5.1.1 a\rb\r\n", None),
        (b"550 5.1.1 lone LF\n", Some(false)),
        (b"250 2.0.0 lone LF\n", Some(false)),
        (b"550\t5.1.1 tab\r\n", None),
        (b"550\r\n", None),
        (b"550 \xff\xfe\r\n", None),
    ] {
        for stage in [Stage::Rcpt, Stage::Dot] {
            // The client of the harness takes nothing but clean lines of at most 512 octets.
            let reply = fails(&world, stage, Act::Say(octets.to_vec()), PLAIN);
            if let Some(is_permanent) = is_permanent {
                assert_eq!(
                    reply.is_permanent(),
                    is_permanent,
                    "{}: {reply}",
                    octets.escape_ascii()
                );
            }
        }
    }
}

// T123
#[test]
fn a_line_is_kept_and_a_dead_one_replaced() {
    let world = World::new(IMPATIENT);
    let mut client = world.client();
    let mut lines = Vec::new();
    for _ in 0..3 {
        assert!(client.mail(FROM, &["bob@example.net"], PLAIN).is_done());
        lines.push(world.hop.only_mail().connection);
    }
    assert!(lines.iter().all(|line| *line == lines[0]), "{lines:?}");
    // Another session, the same worker.
    client.quit();
    world.alive();
    let mut client = world.client();
    for _ in 0..3 {
        world.hop.hang_up();
        world.hop.wait("the line's end", |record| record.open == 0);
        assert!(client.mail(FROM, &["bob@example.net"], PLAIN).is_done());
        let line = world.hop.only_mail().connection;
        assert!(!lines.contains(&line));
        lines.push(line);
    }
    client.quit();
}

// T123
// The line dies while the client still sends its message: the recipients are named anew, once and silently.
#[test]
fn a_line_that_dies_during_data_is_replaced() {
    let world = World::new(IMPATIENT);
    let mut client = world.client();
    client.envelope(FROM, &["bob@example.net", "carl@example.net"]);
    client.says("DATA", 354);
    client.send(b"Subject: x\r\n\r\n");
    world.hop.hang_up();
    world.hop.wait("the line's end", |record| record.open == 0);
    client.send(b"body\r\n.\r\n");
    assert!(client.reply().is_done());
    let taken = world.hop.only_mail();
    assert_eq!(taken.recipients(), ["bob@example.net", "carl@example.net"]);
    assert_eq!(world.untraced(&taken), b"Subject: x\r\n\r\nbody\r\n");
    // A refusal the second time is a 4xx: it was accepted before.
    client.envelope(FROM, &["bob@example.net"]);
    client.says("DATA", 354);
    world.hop.at(Stage::Rcpt, say("550 5.1.1 no such user\r\n"));
    world.hop.hang_up();
    world.hop.wait("the line's end", |record| record.open == 0);
    client.send(b"body\r\n.\r\n");
    let reply = client.reply();
    assert!(reply.is_temporary(), "{reply}");
    client.quit();
    world.alive();
}
