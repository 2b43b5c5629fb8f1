//! Clients that say what no client should: they smuggle, inject, flood and lie.
//!
//! After each of them an ordinary mail passes.

use crate::harness::client::{Client, Gone, Reply};
use crate::harness::daemon::{PLAIN, Setup, World};

const FROM: &str = "anna@example.org";
const TO: &[&str] = &["bob@example.net"];

fn world() -> World {
    World::new(Setup::default())
}

/// A connection that ended, by whichever way.
#[track_caller]
fn is_over(client: &mut Client) {
    let (_, gone) = client.rest();
    assert_ne!(gone, Gone::Silent, "the connection is still open");
}

/// What a reader sees who takes each CR and each LF for a line end.
fn ends_early(wire: &[u8]) -> bool {
    let lax: Vec<u8> = wire
        .iter()
        .map(|octet| if *octet == b'\r' { b'\n' } else { *octet })
        .collect();
    lax.split(|octet| *octet == b'\n').any(|line| line == b".")
}

/// Between two lines of a message: what some reader takes for its end.
const SMUGGLERS: &[&str] = &[
    "\n.\n",
    "\n.\r\n",
    "\r\n.\n",
    "\r.\r",
    "\r.\r\n",
    "\r\n.\r",
    "\n.\r",
    "\r.\n",
    "\r\n\0.\r\n",
    "\r\r\n.\r\r\n",
    "\r\n. \r\n",
];

fn smuggled(end: &str) -> Vec<u8> {
    let second = "MAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\nSubject: evil\r\n\r\nevil";
    format!("Subject: x\r\n\r\nfirst{end}{second}\r\n.\r\n").into_bytes()
}

// T16, T17, T18, T19, T20, T21, T22, T23, T24, T25, T26, T27
// man: mimicry.toml(5) "What happens to a CR or LF in a mail that is not part of a CRLF: normalize turns an LF into
// CRLF and a lone CR into a space, reject refuses the mail with 550 5.6.11. Such an octet is never passed on."
#[test]
fn no_second_mail_is_smuggled_in() {
    for policy in ["normalize", "reject"] {
        let world = World::new(Setup {
            top: &format!("bare_newline = \"{policy}\""),
            ..Setup::default()
        });
        for end in SMUGGLERS {
            let shown = end.escape_default();
            let mut client = world.client();
            client.envelope(FROM, TO);
            client.says("DATA", 354);
            client.send(&smuggled(end));
            let reply = client.reply();
            let is_bare = crate::harness::hop::lone(end.as_bytes()).is_some();
            let mails = world.hop.mails();
            if policy == "reject" && is_bare {
                assert_eq!(
                    (reply.code, reply.enhanced()),
                    (550, Some("5.6.11")),
                    "{shown}: {reply}"
                );
                assert!(mails.is_empty(), "{shown}");
            } else {
                assert!(reply.is_done(), "{shown}: {reply}");
                assert_eq!(mails.len(), 1, "{shown}");
                assert_eq!(mails[0].sender(), FROM, "{shown}");
                assert!(
                    mails[0].message().ends_with(b"evil\r\n"),
                    "{shown}: the mail ends early"
                );
                // The hop has looked for lone CRs and LFs; this is for what is left.
                assert!(
                    !ends_early(&mails[0].wire),
                    "{shown}: {}",
                    mails[0].wire.escape_ascii()
                );
            }
            // One message was one message: there is no second reply, and the session is in step.
            client.says("NOOP", 250);
            client.quit();
            assert_eq!(world.hop.count("MAIL FROM:<evil"), 0, "{shown}");
        }
        world.alive();
    }
}

// T27
#[test]
fn lone_line_ends_become_what_they_stand_for() {
    let mut world = world();
    for (sent, arrived) in [
        ("a\nb\r\n", "a\r\nb\r\n"),
        ("a\rb\r\n", "a b\r\n"),
        ("a\n\n\nb\r\n", "a\r\n\r\n\r\nb\r\n"),
        ("a\r\r\nb\r\n", "a \r\nb\r\n"),
        ("\n.a\r\n", "\r\n.a\r\n"),
        ("a\n.\nb\r\n", "a\r\n.\r\nb\r\n"),
    ] {
        let head = "Subject: x\r\n\r\n";
        let mut client = world.client();
        client.envelope(FROM, TO);
        client.says("DATA", 354);
        client.send(format!("{head}{sent}.\r\n").as_bytes());
        assert!(client.reply().is_done(), "{sent:?}");
        let message = world.untraced(&world.hop.only_mail());
        assert_eq!(
            String::from_utf8(message).expect("ASCII"),
            format!("{head}{arrived}"),
            "{sent:?}"
        );
        client.quit();
    }
    // It is said in the log.
    let lines = world.daemon().mail_lines();
    assert!(
        lines.iter().all(|line| line.contains(" notes=")),
        "{lines:#?}"
    );
}

// T31
#[test]
fn a_browser_is_no_mail_client() {
    let world = world();
    let evil =
        "MAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\nevil\r\n.\r\n";
    for first in [
        "POST / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "CONNECT x:25 HTTP/1.1\r\n\r\n",
        "\x16\x03\x01\x02\0\x01\0\x01\r\n",
    ] {
        for hello in ["", "EHLO client.test\r\n"] {
            let mut client = world.connect();
            let _ = client.try_send(format!("{hello}{first}EHLO client.test\r\n{evil}").as_bytes());
            let (replies, gone) = client.rest();
            assert_ne!(gone, Gone::Silent, "{first:?}: {replies:?}");
            assert!(
                !replies.iter().any(|reply| reply.code == 354),
                "{first:?}: {replies:?}"
            );
        }
    }
    assert_eq!(world.hop.count("MAIL"), 0);
    world.alive();
}

// T32
#[test]
fn commands_out_of_order_are_503() {
    let world = world();
    let mut client = world.connect();
    client.expect(220);
    for line in [
        "MAIL FROM:<anna@example.org>",
        "RCPT TO:<bob@example.net>",
        "DATA",
    ] {
        client.says(line, 503);
    }
    client.says("EHLO client.test", 250);
    client.says("RCPT TO:<bob@example.net>", 503);
    client.says("DATA", 503);
    client.says("MAIL FROM:<anna@example.org>", 250);
    client.says("MAIL FROM:<anna@example.org>", 503);
    client.says("DATA", 503);
    client.says("RCPT TO:<bob@example.net>", 250);
    assert!(client.data(PLAIN).is_done());
    client.says("DATA", 503);
    client.quit();
    world.alive();
}

// T33, T73
#[test]
fn what_is_not_spoken_is_answered_and_the_session_goes_on() {
    let world = world();
    let mut client = world.client();
    for (line, codes) in [
        ("VRFY bob", &[252][..]),
        ("EXPN list", &[502, 252, 550]),
        ("HELP", &[214]),
        ("NOOP", &[250]),
        ("TURN", &[502, 500]),
        ("ETRN example.org", &[502, 500]),
        ("AUTH PLAIN AGEAYg==", &[502, 500, 503]),
        ("BURL imap://example.org LAST", &[502, 500]),
        ("STARTTLS", &[502, 500]),
        ("XCLIENT NAME=evil ADDR=192.0.2.1", &[550]),
        ("XYZZY", &[500, 502]),
        ("", &[500]),
        (" MAIL FROM:<a@b>", &[500]),
    ] {
        let reply = client.ask(line);
        assert!(codes.contains(&reply.code), "{line:?}: {reply}");
    }
    assert!(client.mail(FROM, TO, PLAIN).is_done());
    client.quit();
}

// T34
#[test]
fn malformed_paths_are_501() {
    let world = world();
    let mut client = world.client();
    for line in [
        "MAIL",
        "MAIL FROM",
        "MAIL FROM:",
        "MAIL FROM:<anna@example.org",
        "MAIL FROM:<anna@example.org>>",
        "MAIL FROM:<anna@example.org>X",
        "MAIL FROM:<<anna@example.org>>",
        "MAIL FROM:<anna@example.org> <b@c>",
        "MAIL FROM:<anna smith@example.org>",
        "MAIL TO:<anna@example.org>",
    ] {
        client.says(line, 501);
        client.says("RSET", 250);
    }
    client.says("MAIL FROM:<anna@example.org>", 250);
    for line in [
        "RCPT",
        "RCPT TO:",
        "RCPT TO:<>",
        "RCPT TO:<bob@example.net",
        "RCPT TO:< >",
        "RCPT TO:<@>",
        "RCPT FROM:<bob@example.net>",
    ] {
        let reply = client.ask(line);
        assert!(reply.is_permanent(), "{line:?}: {reply}");
    }
    client.says("DATA", 503);
    assert_eq!(world.hop.count("RCPT"), 0);
    client.quit();
    world.alive();
}

// T35, T36
#[test]
fn an_over_long_line_is_never_run() {
    let world = world();
    let mut client = world.client();
    let tail = "MAIL FROM:<evil@example.org>";
    for octets in [2100, 5000, 64 * 1024] {
        client.send(format!("NOOP {}{tail}\r\n", "x".repeat(octets)).as_bytes());
        let reply = client.reply();
        assert_eq!(
            (reply.code, reply.enhanced()),
            (500, Some("5.5.2")),
            "{octets}: {reply}"
        );
        // No transaction was begun by the tail.
        client.says("RCPT TO:<bob@example.net>", 503);
    }
    client.quit();
    // No end in sight.
    let mut client = world.client();
    let sent = client.try_send(&vec![b'x'; 1024 * 1024]);
    let (replies, gone) = client.rest();
    assert!(sent.is_err() || gone != Gone::Silent, "{replies:?}");
    world.alive();
}

// T37, T38, T39, T40, T41, T42, T44, T45
#[test]
fn nothing_is_injected_into_commands() {
    let world = world();
    let evil = "RCPT TO:<victim@example.net>";
    for line in [
        format!("MAIL FROM:<a@example.org>\n{evil}"),
        format!("MAIL FROM:<a@example.org>\r{evil}"),
        format!("MAIL FROM:<a\r\n{evil}\r\n@example.org>"),
        "MAIL FROM:<a\0b@example.org>".to_string(),
        format!("MAIL FROM:<a@example.org> ENVID=a+0D+0A{evil}"),
        "MAIL FROM:<a@example.org> ENVID=a+0d+0aX".to_string(),
        "MAIL FROM:<a@example.org> ENVID=+00".to_string(),
        "MAIL FROM:<a@example.org> AUTH=a+0D+0Ab".to_string(),
        format!("MAIL FROM:<\"a\n{evil}\"@example.org>"),
        "MAIL FROM:<\"a\\\r\"@example.org>".to_string(),
    ] {
        let mut client = world.client();
        client.send(format!("{line}\r\n").as_bytes());
        let (replies, _) = client.rest();
        assert!(
            replies.iter().all(|reply| !reply.is_done()),
            "{line:?}: {replies:?}"
        );
    }
    for line in [
        "RCPT TO:<b@example.net>\nDATA",
        "RCPT TO:<b\r@example.net>",
        "RCPT TO:<b\0@example.net>",
        "RCPT TO:<b@example.net> ORCPT=rfc822;a+0D+0ADATA",
        "RCPT TO:<\"b\n\"@example.net>",
    ] {
        let mut client = world.client();
        client.says("MAIL FROM:<anna@example.org>", 250);
        client.send(format!("{line}\r\n").as_bytes());
        let (replies, _) = client.rest();
        assert!(
            replies.iter().all(|reply| !reply.is_done()),
            "{line:?}: {replies:?}"
        );
    }
    // The name of EHLO stands in the Received field.
    for name in [
        "a\nb",
        "a\rb",
        "a\0b",
        "a\r\n X: y",
        "a (b",
        "a;b",
        "a\x1bb",
    ] {
        let mut client = world.connect();
        client.expect(220);
        client.send(format!("EHLO {name}\r\n").as_bytes());
        let (replies, _) = client.rest();
        let first = replies.first().expect("a reply");
        assert!(
            !first.is_done() || name.contains("\r\n"),
            "{name:?}: {first}"
        );
    }
    assert_eq!(world.hop.count("RCPT") + world.hop.count("DATA"), 0);
    world.alive();
}

// T43
#[test]
fn the_name_of_ehlo_stays_on_its_line() {
    let world = world();
    for name in ["[127.0.0.1]", "[IPv6:::1]", "mail.example.org", "my_host"] {
        let mut client = world.connect();
        client.expect(220);
        client.says(format!("EHLO {name}"), 250);
        assert!(client.mail(FROM, TO, PLAIN).is_done());
        let message = world.hop.only_mail().message();
        let (field, rest) = crate::harness::daemon::first_field(&message);
        let field = std::str::from_utf8(field).expect("ASCII");
        assert!(
            field.starts_with(&format!("Received: from {name} ")),
            "{field}"
        );
        assert!(field.split("\r\n").all(|line| line.len() <= 78), "{field}");
        assert_eq!(rest, PLAIN);
        client.quit();
    }
}

// T46
#[test]
fn an_early_talker_is_served_or_refused() {
    let world = world();
    let mut client = world.connect();
    client.send(b"EHLO client.test\r\n");
    let first = client.reply();
    if first.code == 220 {
        client.expect(250);
        assert!(client.mail(FROM, TO, PLAIN).is_done());
    } else {
        assert!(first.is_permanent() || first.is_temporary(), "{first}");
    }
    world.alive();
}

// T47, T186
// man: mimicry.toml(5) "Errors of a client before its session ends with 421: commands that are unknown, ill-formed
// or out of place, and every 4xx and 5xx of mimicryd's own to MAIL and RCPT."
// man: mimicry.toml(5) "NOOP, VRFY, HELP and RSET between two mails before they count as errors."
#[test]
fn junk_ends_with_421() {
    let world = world();
    for (line, most) in [
        ("XYZZY", 21),
        ("NOOP", 122),
        ("RSET", 122),
        ("VRFY bob", 122),
        ("HELP", 122),
        ("RCPT TO:<bob@example.net>", 21),
        ("MAIL FROM:<anna@example.org> SIZE=999999999999", 21),
        ("MAIL FROM:<\u{fc}@example.org>", 21),
    ] {
        let mut client = world.client();
        let mut said = 0;
        loop {
            said += 1;
            let reply = client.ask(line);
            if reply.code == 421 {
                assert_eq!(reply.enhanced(), Some("4.7.0"), "{reply}");
                break;
            }
            assert!(said <= most, "{line}: {said} were answered");
        }
        assert!(said > most / 2, "{line}: sent away after {said}");
        assert_ne!(client.end(), Gone::Silent);
    }
    // All at once, without reading.
    let mut client = world.client();
    let _ = client.try_send("XYZZY\r\n".repeat(300).as_bytes());
    let (replies, gone) = client.rest();
    assert_ne!(gone, Gone::Silent);
    assert!(replies.len() <= 21, "{} replies", replies.len());
    // A mail clears the count.
    let mut client = world.client();
    for _ in 0..3 {
        for _ in 0..90 {
            client.says("NOOP", 250);
        }
        assert!(client.mail(FROM, TO, PLAIN).is_done());
    }
    client.quit();
}

// T49
#[test]
fn bdat_was_not_offered_and_its_payload_is_not_run() {
    let world = world();
    let mut client = world.client();
    client.envelope(FROM, TO);
    let payload = "RSET\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\nevil\r\n.\r\n";
    client.send(format!("BDAT {} LAST\r\n{payload}", payload.len()).as_bytes());
    let (replies, gone) = client.rest();
    assert!(
        replies.first().is_some_and(Reply::is_permanent),
        "{replies:?}"
    );
    assert_eq!(replies.len(), 1, "the payload was run: {replies:?}");
    assert_ne!(gone, Gone::Silent);
    assert_eq!(world.hop.count("MAIL FROM:<evil"), 0);
    assert!(world.hop.mails().is_empty());
    world.alive();
}

// T57
// man: mimicry.toml(5) "Octets of a mail. The daemon offers it as SIZE if the next hop does not offer less."
#[test]
fn too_large_is_552() {
    let world = World::new(Setup {
        limits: "mail = \"10K\"",
        ..Setup::default()
    });
    let mut client = world.connect();
    client.expect(220);
    let hello = client.says("EHLO client.test", 250);
    assert!(
        hello.lines.iter().any(|line| line == "SIZE 10240"),
        "{hello}"
    );
    let reply = client.says("MAIL FROM:<anna@example.org> SIZE=10241", 552);
    assert_eq!(reply.enhanced(), Some("5.3.4"));
    client.says("MAIL FROM:<anna@example.org> SIZE=10240", 250);
    client.says("RSET", 250);
    let line = b"0123456789\r\n";
    for (octets, is_taken) in [(9000, true), (12_000, false), (1_000_000, false)] {
        client.envelope(FROM, TO);
        let reply = client.data(&line.repeat(octets / line.len()));
        assert_eq!(reply.is_done(), is_taken, "{octets}: {reply}");
        assert!(
            is_taken || (reply.code == 552 && reply.enhanced() == Some("5.3.4")),
            "{reply}"
        );
        assert_eq!(world.hop.mails().len(), usize::from(is_taken));
    }
    client.quit();
    world.alive();
}

// T58, T59
#[test]
fn parameters_that_make_no_sense() {
    let world = world();
    let mut client = world.client();
    for (parameters, code) in [
        ("SIZE=abc", 501),
        ("SIZE=-1", 501),
        ("SIZE=", 501),
        ("SIZE=18446744073709551617", 501),
        ("SIZE=99999999999999999999999999", 501),
        ("SIZE=1 SIZE=1", 501),
        ("BODY=9BIT", 501),
        ("BODY=BINARYMIME", 501),
        ("RET=SOME", 501),
        ("XYZZY", 555),
        ("XYZZY=1", 555),
        ("NOTIFY=NEVER", 555),
        ("REQUIRETLS", 555),
        ("=", 501),
    ] {
        client.says(format!("MAIL FROM:<anna@example.org> {parameters}"), code);
    }
    client.says("MAIL FROM:<anna@example.org>", 250);
    client.says("RCPT TO:<bob@example.net> XYZZY=1", 555);
    client.says("RCPT TO:<bob@example.net>", 250);
    assert!(client.data(PLAIN).is_done());
    client.quit();
}

// T60
// man: mimicry.toml(5) "Recipients of a transaction; further ones get 452 4.5.3, and the client sends them again."
#[test]
fn recipients_beyond_the_limit_come_again() {
    let world = world();
    let mut client = world.client();
    client.says("MAIL FROM:<anna@example.org>", 250);
    let mut accepted = Vec::new();
    let names: Vec<String> = (0..2000)
        .map(|number| format!("to{number}@example.net"))
        .collect();
    for chunk in names.chunks(100) {
        client.send(
            chunk
                .iter()
                .map(|name| format!("RCPT TO:<{name}>\r\n"))
                .collect::<String>()
                .as_bytes(),
        );
        for name in chunk {
            let reply = client.reply();
            if reply.is_done() {
                accepted.push(name.as_str());
            } else {
                assert_eq!(
                    (reply.code, reply.enhanced()),
                    (452, Some("4.5.3")),
                    "{reply}"
                );
            }
        }
    }
    assert_eq!(accepted.len(), 1000);
    assert!(client.data(PLAIN).is_done());
    assert_eq!(world.hop.only_mail().recipients(), accepted);
    client.quit();
}

// T71
// man: mimicry.toml(5) "Received fields of a mail before it is refused as a loop."
#[test]
fn a_mail_that_goes_in_circles_is_refused() {
    let world = world();
    let hops = |count: usize| [&b"Received: from a by b; x\r\n".repeat(count)[..], PLAIN].concat();
    let reply = world.client().mail(FROM, TO, &hops(51));
    assert_eq!(
        (reply.code, reply.enhanced()),
        (554, Some("5.4.6")),
        "{reply}"
    );
    assert!(world.hop.mails().is_empty());
    assert_eq!(world.pass(&hops(49)), hops(49));
    // Only fields count.
    let body = [PLAIN, &b"Received: x\r\n".repeat(100)].concat();
    assert_eq!(world.pass(&body), body);
}

// T149
// man: mimicry.toml(5) "Networks that may connect; everybody else gets 554."
#[test]
fn a_stranger_is_sent_away() {
    let world = World::new(Setup {
        listen: "clients = [\"192.0.2.0/24\", \"::1\"]",
        ..Setup::default()
    });
    let mut client = world.connect();
    let reply = client.expect(554);
    assert_eq!(reply.enhanced(), Some("5.7.1"));
    for line in ["EHLO client.test", "MAIL FROM:<anna@example.org>", "NOOP"] {
        match client.try_ask(line.as_bytes()) {
            Ok(reply) => assert_eq!(reply.code, 503, "{line}"),
            Err(_) => break,
        }
    }
    is_over(&mut {
        let _ = client.try_send(b"QUIT\r\n");
        client
    });
    assert_eq!(world.hop.see(|record| record.connections), 0);
}
