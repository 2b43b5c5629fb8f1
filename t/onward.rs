//! What the next hop would mend, refuse or misread of a mail or a reply, did we not know of it before.
//!
//! Must never: need another program.

use crate::harness::client::Client;
use crate::harness::contains;
use crate::harness::daemon::{Daemon, OWN_SOCKET, PLAIN, Setup, World, eventually, open_directory};
use crate::harness::hop::{Act, Hop, Stage};
use crate::transports::bridge;

/// Every reply of a next hop that has only a code, on every way out: it is the reply that it is.
// T203
// man: mimicryd(8) "A reply that has only a code is a reply"
#[test]
fn replies_of_a_bare_code_count_on_every_way_out() {
    let hop = Hop::new();
    let (_directory, path) = open_directory();
    let socket = path.join("hop.sock");
    bridge(&socket, hop.address);
    let socket = socket.to_str().expect("a path of ours");
    for next_hop in [
        format!("smtp://{}", hop.address),
        format!("smtp://{socket}"),
        format!("lmtp://{}", hop.address),
    ] {
        let relay = format!("next_hop = \"{next_hop}\"");
        let setup = Setup {
            daemon: "workers = { min = 1, max = 1, spare = 0 }",
            relay: &relay,
            ..Setup::default()
        };
        let daemon = Daemon::start(&setup, &hop);
        hop.behave(|moment| {
            let code = match moment.stage {
                Stage::Greeting => "220",
                Stage::Data => "354",
                Stage::Quit => "221",
                Stage::Body => return Act::Normal,
                _ => "250",
            };
            Act::Say(format!("{code}\r\n").into_bytes())
        });
        let before = hop.see(|record| record.connections);
        let mut client = Client::connect(daemon.address).greeted();
        for _ in 0..3 {
            let reply = client.mail("anna@example.org", &["bob@example.net"], PLAIN);
            assert_eq!(reply.to_string(), "250 ", "{next_hop}");
            assert!(hop.only_mail().message().ends_with(PLAIN), "{next_hop}");
        }
        // They cost no connection either.
        let connections = hop.see(|record| record.connections) - before;
        assert_eq!(connections, 1, "{next_hop}");
        // A bare refusal is one.
        hop.at(Stage::Rcpt, Act::Say(b"550\r\n".to_vec()));
        client.says("MAIL FROM:<anna@example.org>", 250);
        client.says("RCPT TO:<bob@example.net>", 550);
        client.quit();
        hop.behave_well();
    }
}

/// The line From of an mbox at the head of a mail is no field: our Received above it would cost the mail its header.
// T201
// man: mimicry.toml(5) "normalize turns it into a field X-Mailbox-Line, as Postfix does, reject refuses the mail with 550 5.6.0."
#[test]
fn a_leading_mbox_line_does_not_cost_the_header() {
    let mut world = World::new(Setup::default());
    for (head, expected) in [
        (
            "From anna Mon Jan  1 00:00:00 2024\r\n",
            "X-Mailbox-Line: From anna Mon Jan  1 00:00:00 2024\r\n",
        ),
        (">From anna\r\n", "X-Mailbox-Line: >From anna\r\n"),
        (
            "From a\r\nFrom b\r\n",
            "X-Mailbox-Line: From a\r\nX-Mailbox-Line: From b\r\n",
        ),
    ] {
        let arrived = world.pass(&[head.as_bytes(), PLAIN].concat());
        assert_eq!(
            arrived.escape_ascii().to_string(),
            [expected.as_bytes(), PLAIN]
                .concat()
                .escape_ascii()
                .to_string()
        );
    }
    // Anywhere else it is text.
    let below = [PLAIN, b"From here on\r\n"].concat();
    assert_eq!(world.pass(&below), below);
    world.daemon().logs("mbox lines made fields: 2");
    let mut world = World::new(Setup {
        top: "mbox_line = \"reject\"",
        ..Setup::default()
    });
    let mut client = world.client();
    let reply = client.mail(
        "anna@example.org",
        &["bob@example.net"],
        &[b"From a\r\n", PLAIN].concat(),
    );
    assert_eq!(
        (reply.code, reply.enhanced()),
        (550, Some("5.6.0")),
        "{reply}"
    );
    assert!(world.hop.mails().is_empty());
    client.quit();
    world.daemon().logs("event=data-refused");
    world.alive();
}

/// What rules add would pass the limit that the next hop's SIZE names: that is known before anything is handed on, and is the rule's
/// failure.
// T202
// man: mimicry.toml(5) "A rule whose edit would make the mail larger than the SIZE of its next hop fails"
#[test]
fn growth_past_the_size_of_the_next_hop_is_known_before_the_dot() {
    let header = "From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n";
    let mail = |octets: usize| {
        let line = "0123456789 0123456789 0123456789 0123456789\r\n";
        let text = line.repeat(octets.saturating_sub(header.len()) / line.len());
        format!("{header}{text}").into_bytes()
    };
    let footer = "the footer ".repeat(40);
    for (on_error, reply) in [
        ("pass", "250 "),
        ("defer", "451 4.3.0 "),
        ("reject", "554 5.7.1 "),
    ] {
        let rules = format!(
            "[[rule]]\nname = \"footer\"\nplugin = \"disclaim\"\non_error = \"{on_error}\"\noptions = {{ text = \"{footer}\", html = \"x\" }}\n\
             [[rule]]\nname = \"field\"\nplugin = \"header\"\noptions.add = {{ X-Y = \"z\" }}\n"
        );
        let mut world = World::new(Setup {
            rules: &rules,
            ..Setup::default()
        });
        world.hop.offer(&["SIZE 10000", "8BITMIME"]);
        let send = |octets: usize| {
            let mut client = world.client();
            client.says("MAIL FROM:<anna@example.org>", 250);
            client.says("RCPT TO:<bob@example.net>", 250);
            client.data(&mail(octets))
        };
        assert!(send(9000).is_done());
        assert!(contains(&world.hop.only_mail().message(), b"the footer"));
        let said = send(9700);
        assert!(said.to_string().starts_with(reply), "{on_error}: {said}");
        if on_error == "pass" {
            let message = world.hop.only_mail().message();
            assert!(message.len() <= 10_000, "{}", message.len());
            // Another rule's edit stands.
            assert!(contains(&message, b"X-Y: z\r\n"));
            assert!(!contains(&message, b"the footer"));
            world.daemon().logs("footer:limit");
        } else {
            assert!(
                said.to_string().contains("and the next hop takes"),
                "{said}"
            );
            assert!(world.hop.mails().is_empty());
        }
    }
}

/// What EHLO offers.
fn offered(client: &mut Client) -> Vec<String> {
    client.says("EHLO client.test", 250).lines
}

fn has(offered: &[String], keyword: &str) -> bool {
    offered.iter().any(|line| line == keyword)
}

/// Real Postfix returns a mail in UTF-8 with 5.6.7 to its sender when SMTPUTF8 is not offered: that must not happen because the next
/// hop restarts.
// T197
// man: mimicryd(8) "While it cannot be asked, what it last said holds for a day, over restarts too, but for the size, for which a client
// would return the mail."
#[test]
fn what_a_next_hop_last_said_holds_while_it_is_away() {
    let mut world = World::new(Setup {
        shell: OWN_SOCKET,
        relay: "connect_timeout = \"1s\"",
        ..Setup::default()
    });
    world.hop.offer(&["SIZE 7777777", "8BITMIME", "SMTPUTF8"]);
    world.client().quit();
    world.hop.down();
    world.daemon().signal(nix::sys::signal::Signal::SIGTERM);
    world.daemon().ends();
    world.daemon().start_again();
    let mut client = world.connect();
    client.expect(220);
    let known = offered(&mut client);
    // A limit that nobody says now is no reason to return a mail for ever.
    for (keyword, is_there) in [("SIZE 7777777", false), ("SMTPUTF8", true), ("DSN", false)] {
        assert_eq!(has(&known, keyword), is_there, "{keyword}: {known:?}");
    }
    client.says("MAIL FROM:<anna@example.org> SIZE=8000000", 250);
    let reply = client.ask("RCPT TO:<bob@example.net>");
    assert!(reply.is_temporary(), "{reply}");
    client.says("RSET", 250);
    client.says("MAIL FROM:<\u{e4}@example.org> SMTPUTF8", 250);
    let reply = client.ask("RCPT TO:<bob@example.net>");
    assert!(reply.is_temporary(), "{reply}");
    world.hop.up();
    // It was tried so often that it counts as away for a moment.
    let mut taken = || client.ask("RCPT TO:<bob@example.net>").is_done();
    assert!(eventually(&mut taken));
    assert!(client.data(PLAIN).is_done());
    assert!(world.hop.only_mail().from.contains("SMTPUTF8"));
    client.quit();
}

// T197
// man: mimicryd(8) "If nothing is known, all that stands here is offered, and a mail that cannot be handed on so is deferred"
#[test]
fn with_nothing_known_all_is_offered_and_what_cannot_be_handed_on_is_deferred() {
    let mut world = World::new(Setup {
        relay: "connect_timeout = \"1s\"",
        ..Setup::default()
    });
    world.hop.down();
    let mut client = world.connect();
    client.expect(220);
    let all = offered(&mut client);
    assert!(has(&all, "SMTPUTF8") && has(&all, "DSN"), "{all:?}");
    // It is up again, and lacks both.
    world.hop.offer(&["8BITMIME"]);
    world.hop.up();
    client.says("MAIL FROM:<\u{e4}@example.org> SMTPUTF8", 250);
    let reply = client.says("RCPT TO:<bob@example.net>", 450);
    assert_eq!(reply.enhanced(), Some("4.6.7"));
    client.says("RSET", 250);
    client.says("MAIL FROM:<anna@example.org> SMTPUTF8 RET=HDRS", 250);
    client.says("RCPT TO:<\u{e4}@example.net>", 450);
    client.says("RCPT TO:<bob@example.net> NOTIFY=NEVER", 250);
    // A header in UTF-8 needs it, too.
    let utf8 = "From: a@example.org\r\nSubject: \u{e4}\r\n\r\nx\r\n";
    let reply = client.data(utf8.as_bytes());
    assert_eq!(reply.code, 450, "{reply}");
    // What is ASCII passes, whatever was asked for.
    client.says("MAIL FROM:<anna@example.org> SMTPUTF8 RET=HDRS", 250);
    client.says("RCPT TO:<bob@example.net> NOTIFY=NEVER", 250);
    assert!(client.data(PLAIN).is_done());
    assert_eq!(world.hop.only_mail().from, "<anna@example.org>");
    client.quit();
    // From now on it is known.
    let mut client = world.connect();
    client.expect(220);
    let known = offered(&mut client);
    assert!(!has(&known, "SMTPUTF8") && !has(&known, "DSN"), "{known:?}");
    client.quit();
}

/// The client is offered what the next hop of its connection can do; that of a bank may be able to do less.
// T197
// man: mimicryd(8) "A mail that needs SMTPUTF8 is refused with a 553"
#[test]
fn a_lesser_next_hop_of_a_bank_refuses_only_what_needs_what_it_lacks() {
    let lesser = Hop::new();
    lesser.offer(&["8BITMIME"]);
    let rules = format!(
        "[[bank]]\nname = \"lesser\"\nwhen.recipient = '@lesser\\.example$'\nnext_hop = \"smtp://{}\"\n",
        lesser.address
    );
    let world = World::new(Setup {
        rules: &rules,
        ..Setup::default()
    });
    let mut client = world.client();
    let utf8 = "From: a@example.org\r\nSubject: \u{e4}\r\n\r\nx\r\n";
    for (sender, message, expected) in [
        ("anna", PLAIN, "250 2.0.0 "),
        ("anna", utf8.as_bytes(), "553 5.6.7 "),
    ] {
        client.says(format!("MAIL FROM:<{sender}@example.org> SMTPUTF8"), 250);
        client.says("RCPT TO:<bob@lesser.example>", 250);
        let reply = client.data(message);
        assert!(reply.to_string().starts_with(expected), "{reply}");
    }
    assert_eq!(lesser.only_mail().from, "<anna@example.org>");
    client.says("MAIL FROM:<\u{e4}@example.org> SMTPUTF8", 250);
    client.says("RCPT TO:<bob@lesser.example>", 553);
    // The other can.
    client.says("RCPT TO:<bob@example.net>", 250);
    assert!(client.data(utf8.as_bytes()).is_done());
    assert!(world.hop.only_mail().from.contains("SMTPUTF8"));
    client.quit();
}
