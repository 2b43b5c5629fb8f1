//! Who said it: each refusal, and whatever else ends a mail or a session otherwise than asked, is heard, logged and counted alike.

use serde_json::Value;

use crate::harness::client::{Client, Reply, stuffed};
use crate::harness::daemon::{PLAIN, Setup, World, eventually};
use crate::harness::hop::{Act, Stage};

const EVENTS: [&str; 6] = [
    "client_refused",
    "mail_refused",
    "rcpt_refused",
    "data_refused",
    "session_ended",
    "client_gone",
];

/// What `status` has counted.
fn counted(world: &mut World, name: &str) -> u64 {
    let status = world.daemon().command(&["status", "--json"]);
    let status: Value = serde_json::from_str(status.text()).expect("JSON");
    status["totals"][name].as_u64().expect("a count")
}

/// There is one event, so called, by whom; it says what the client heard; and `status` has counted it and no other.
#[track_caller]
fn is_told(world: &mut World, event: &str, by: &str, heard: Option<&Reply>) {
    let line = world.daemon().logs(&format!("event={event} "));
    assert!(line.contains(&format!(" by={by} ")), "{line}");
    assert!(line.contains(" client="), "{line}");
    match heard {
        None => assert!(!line.contains(" reply="), "{line}"),
        Some(reply) => {
            let reply = format!(" reply=\"{reply}\"");
            assert!(line.contains(&reply), "{reply} is not in {line}");
        }
    }
    let log = world.daemon().log();
    let lines = log.lines().filter(|line| line.contains("]: event="));
    assert_eq!(lines.count(), 1, "{log}");
    for name in EVENTS {
        let expected = u64::from(name == event.replace('-', "_"));
        assert_eq!(counted(world, name), expected, "{name} for {event}");
    }
}

fn begun(world: &World) -> Client {
    let mut client = world.client();
    client.says("MAIL FROM:<anna@example.org>", 250);
    client
}

fn impatient() -> Setup<'static> {
    Setup {
        relay: "connect_timeout = \"1s\"\nmail_timeout = \"1s\"\nrcpt_timeout = \"1s\"\ndata_timeout = \"1s\"\ndot_timeout = \"1s\"",
        ..Setup::default()
    }
}

// man: mimicryd(8) "Every refusal, and everything else that ends a mail or a session otherwise than the client
// asked, has a line at level info"
// man: mimicryd(8) "The log has the same reply, and by says whose decision it was, whatever it was that refused the
// mail"
#[test]
fn refusals_of_the_next_hop() {
    // At MAIL, which goes out at the first RCPT, and at RCPT.
    for stage in [Stage::Mail, Stage::Rcpt] {
        for act in [
            Act::Say(b"451 4.7.1 come back\r\n".to_vec()),
            Act::Say(b"550 5.1.1 never heard of it\r\n".to_vec()),
            Act::Close,
            Act::Silence,
        ] {
            let mut world = World::new(impatient());
            world.hop.at(stage, act);
            let mut client = begun(&world);
            let reply = client.ask("RCPT TO:<bob@example.net>");
            assert!(reply.code >= 400, "{reply}");
            is_told(&mut world, "rcpt-refused", "next-hop", Some(&reply));
            let line = world.daemon().logs("event=rcpt-refused ");
            for piece in [
                " from=<anna@example.org>",
                " to=<bob@example.net>",
                " helo=client.test",
            ] {
                assert!(line.contains(piece), "{piece} is not in {line}");
            }
            client.quit();
        }
    }
    // At DATA and at the dot: it is a mail, which has its own line.
    for stage in [Stage::Data, Stage::Dot] {
        for act in [Act::Say(b"451 4.3.0 not now\r\n".to_vec()), Act::Close] {
            let mut world = World::new(impatient());
            world.hop.at(stage, act);
            let mut client = world.client();
            let reply = client.mail("anna@example.org", &["bob@example.net"], PLAIN);
            assert!(reply.is_temporary(), "{reply}");
            let line = world.daemon().logs(" status=deferred ");
            let said = format!(" reply=\"{reply}\" by=next-hop ");
            assert!(line.contains(&said), "{said} is not in {line}");
            assert_eq!(counted(&mut world, "deferred"), 1);
            client.quit();
        }
    }
}

// man: mimicryd(8) "could not speak to the next hop"
#[test]
fn a_next_hop_that_is_down() {
    let mut world = World::new(impatient());
    world.hop.down();
    let mut client = begun(&world);
    let reply = client.says("RCPT TO:<bob@example.net>", 451);
    assert!(reply.to_string().contains("cannot connect"), "{reply}");
    is_told(&mut world, "rcpt-refused", "next-hop", Some(&reply));
    // Nobody was accepted: DATA is refused, which is one more event.
    let reply = client.says("DATA", 451);
    let line = world.daemon().logs("event=data-refused ");
    assert!(line.contains(&format!(" reply=\"{reply}\"")), "{line}");
    client.quit();
    // Down only when the message has arrived.
    world.hop.up();
    let mut client = world.client();
    client.envelope("anna@example.org", &["bob@example.net"]);
    client.says("DATA", 354);
    world.hop.down();
    client.send(&stuffed(PLAIN));
    let reply = client.expect(451);
    let line = world.daemon().logs(" status=deferred ");
    assert!(
        line.contains(&format!(" reply=\"{reply}\" by=next-hop ")),
        "{line}"
    );
    client.quit();
}

// man: mimicryd(8) "recipients that were refused have the id of the mail that the others got."
#[test]
fn a_refused_recipient_has_the_id_of_its_mail() {
    let mut world = World::new(Setup::default());
    world
        .hop
        .behave(|moment| match moment.line.contains("<no") {
            true => Act::Say(b"550 5.1.1 no such user\r\n".to_vec()),
            false => Act::Normal,
        });
    let mut client = begun(&world);
    client.says("RCPT TO:<no@example.net>", 550);
    client.says("RCPT TO:<bob@example.net>", 250);
    assert!(client.data(PLAIN).is_done());
    client.quit();
    let id = |line: String| {
        let rest = line.split(" id=").nth(1).expect("an id").to_string();
        rest.split(' ').next().expect("an id").to_string()
    };
    let refused = id(world.daemon().logs("event=rcpt-refused "));
    assert_eq!(refused, id(world.daemon().logs(" status=sent ")));
}

#[test]
fn refusals_of_our_own() {
    type Act = fn(&World) -> Reply;
    let rows: [(&str, &str, &str, &str, Act); 9] = [
        ("", "", "client-refused", "limit", |world| {
            world.connect().expect(554)
        }),
        ("", "mail = \"1K\"", "mail-refused", "limit", |world| {
            world.client().says("MAIL FROM:<a@b> SIZE=2000", 552)
        }),
        ("", "", "mail-refused", "client", |world| {
            world.client().says("MAIL FROM:<a@b", 501)
        }),
        ("", "recipients = 1", "rcpt-refused", "limit", |world| {
            let mut client = begun(world);
            client.says("RCPT TO:<one@example.net>", 250);
            let reply = client.says("RCPT TO:<two@example.net>", 452);
            client.says("RSET", 250);
            client.quit();
            reply
        }),
        ("", "", "data-refused", "client", |world| {
            let mut client = begun(world);
            let reply = client.says("DATA", 503);
            client.quit();
            reply
        }),
        ("", "mail = \"1K\"", "data-refused", "limit", |world| {
            let mut client = begun(world);
            client.says("RCPT TO:<one@example.net>", 250);
            let reply = client.data(
                &b"x"
                    .repeat(70)
                    .into_iter()
                    .chain(*b"\r\n")
                    .collect::<Vec<u8>>()
                    .repeat(40),
            );
            client.quit();
            reply
        }),
        (
            "bare_newline = \"reject\"",
            "",
            "data-refused",
            "client",
            |world| {
                let mut client = begun(world);
                client.says("RCPT TO:<one@example.net>", 250);
                let reply = client.data(b"Subject: x\n\r\ny\r\n");
                client.quit();
                reply
            },
        ),
        (
            "mbox_line = \"reject\"",
            "",
            "data-refused",
            "client",
            |world| {
                let mut client = begun(world);
                client.says("RCPT TO:<one@example.net>", 250);
                let reply =
                    client.data(b"From a@b Mon Jan  1 00:00:00 2024\r\nSubject: x\r\n\r\ny\r\n");
                client.quit();
                reply
            },
        ),
        ("", "", "session-ended", "client", |world| {
            let mut client = world.connect();
            client.expect(220);
            client.says("GET / HTTP/1.1", 500)
        }),
    ];
    for (top, limits, event, by, act) in rows {
        let listen = if event == "client-refused" {
            "clients = [\"192.0.2.0/24\"]"
        } else {
            ""
        };
        let mut world = World::new(Setup {
            top,
            limits,
            listen,
            ..Setup::default()
        });
        let reply = act(&world);
        is_told(&mut world, event, by, Some(&reply));
    }
}

#[test]
fn sessions_that_end() {
    // Idle.
    let mut world = World::new(Setup {
        limits: "idle_timeout = \"1s\"",
        ..Setup::default()
    });
    let mut client = world.client();
    let reply = client.expect(421);
    is_told(&mut world, "session-ended", "limit", Some(&reply));
    // Too many errors.
    let mut world = World::new(Setup {
        limits: "errors = 2",
        ..Setup::default()
    });
    let mut client = world.client();
    client.says("FOO", 500);
    client.says("FOO", 500);
    let reply = client.says("FOO", 421);
    is_told(&mut world, "session-ended", "limit", Some(&reply));
    // The daemon stops.
    let mut world = World::new(Setup::default());
    let mut client = world.client();
    world.daemon().signal(nix::sys::signal::Signal::SIGTERM);
    let reply = client.expect(421);
    world.daemon().ends();
    let line = world.daemon().logs("event=session-ended ");
    assert!(
        line.contains(&format!(" reply=\"{reply}\" by=mimicry ")),
        "{line}"
    );
}

#[test]
fn clients_that_go() {
    // Before DATA, and during it.
    for is_receiving in [false, true] {
        let mut world = World::new(Setup::default());
        let mut client = begun(&world);
        client.says("RCPT TO:<bob@example.net>", 250);
        if is_receiving {
            client.says("DATA", 354);
            client.send(b"Subject: x\r\n");
        }
        client.vanish();
        is_told(&mut world, "client-gone", "client", None);
        let line = world.daemon().logs("event=client-gone ");
        assert!(line.contains(" from=<anna@example.org>"), "{line}");
    }
    // Between two mails a client may go.
    let mut world = World::new(Setup::default());
    world.client().vanish();
    world.alive();
    assert!(eventually(|| world
        .daemon()
        .command(&["status"])
        .text()
        .contains(" 0 busy")));
    assert!(
        !world.daemon().log().contains("event="),
        "{}",
        world.daemon().log()
    );
}

#[test]
fn a_rule_that_stops_a_mail() {
    let mut world = World::new(Setup {
        rules: "[[rule]]\nname = \"no seals\"\nplugin = \"disclaim\"\non_sealed = \"reject\"\noptions = { text = \"x\", html = \"x\" }\n",
        ..Setup::default()
    });
    let mut client = world.client();
    let signed = crate::harness::mail("demo-pgp-signed.eml");
    let reply = client.mail("anna@example.org", &["bob@example.net"], &signed);
    assert_eq!(reply.code, 554, "{reply}");
    let line = world.daemon().logs(" status=rejected ");
    assert!(
        line.contains(&format!(" reply=\"{reply}\" by=rule ")),
        "{line}"
    );
    client.quit();
}
