//! Mail through the daemon when all is well: nothing lost, nothing doubled, no octet changed.
//!
//! Slightly longer than 600 lines: all that must hold without the daemon too stands in one file.
//! With `MIMICRY_UNDER_TEST=none` the client speaks to the next hop itself, and all of these must hold as well: what fails then
//! is a fault of the harness. `the_harness_passes_its_own_tests` runs them so.

use std::collections::BTreeMap;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::client::{Client, Outcome, stuffed};
use crate::harness::daemon::{PLAIN, World};
use crate::harness::hop::{Act, Stage};
use crate::harness::mails;

const FROM: &str = "anna@example.org";
const TO: &[&str] = &["bob@example.net"];

fn text(body: &[u8]) -> Vec<u8> {
    [b"From: anna@example.org\r\nSubject: x\r\n\r\n", body].concat()
}

/// The tests of this file, with nothing between client and next hop.
#[test]
fn the_harness_passes_its_own_tests() {
    if std::env::var_os("MIMICRY_UNDER_TEST").is_some() {
        return;
    }
    let me = std::env::current_exe().expect("the tests");
    let mut command = Command::new(me);
    let output = command
        .arg("relay::")
        .env("MIMICRY_UNDER_TEST", "none")
        .output()
        .expect("the tests run");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

// T1
// man: mimicry.toml(5) "Adds a Received field to each mail that passes through the daemon."
#[test]
fn a_plain_mail_arrives_once_and_unchanged() {
    let world = World::relay();
    assert_eq!(world.pass(PLAIN), PLAIN);
    assert!(world.hop.mails().is_empty());
}

// T2
#[test]
fn greeting_and_ehlo_are_well_formed_and_quick() {
    let world = World::relay();
    let start = Instant::now();
    let mut client = world.connect();
    let greeting = client.expect(220);
    assert!(greeting.lines[0].contains(" ESMTP"), "{greeting}");
    let hello = client.says("EHLO client.test", 250);
    assert!(start.elapsed() < Duration::from_secs(5));
    for keyword in ["PIPELINING", "SIZE ", "8BITMIME", "ENHANCEDSTATUSCODES"] {
        assert!(
            hello
                .lines
                .iter()
                .skip(1)
                .any(|line| line.starts_with(keyword)),
            "{keyword} in {hello}"
        );
    }
    // What neither side can keep is not offered.
    for keyword in [
        "CHUNKING",
        "BINARYMIME",
        "XCLIENT",
        "BURL",
        "STARTTLS",
        "AUTH",
    ] {
        assert!(
            !hello.lines.iter().any(|line| line.starts_with(keyword)),
            "{keyword} in {hello}"
        );
    }
    client.quit();
}

// T3
#[test]
fn helo_is_enough() {
    let world = World::relay();
    let mut client = world.connect();
    client.expect(220);
    let hello = client.says("HELO client.test", 250);
    assert_eq!(hello.lines.len(), 1, "{hello}");
    assert!(client.mail(FROM, TO, PLAIN).is_done());
    assert_eq!(world.untraced(&world.hop.only_mail()), PLAIN);
    client.quit();
}

// T4
#[test]
fn three_mails_in_a_session_keep_their_recipients_apart() {
    let world = World::relay();
    let mut client = world.client();
    for number in 1..=3 {
        let (from, to) = (
            format!("from{number}@example.org"),
            format!("to{number}@example.net"),
        );
        let message = text(format!("mail {number}\r\n").as_bytes());
        assert!(client.mail(&from, &[&to], &message).is_done());
        let taken = world.hop.only_mail();
        assert_eq!(
            (taken.sender(), taken.recipients()),
            (from.as_str(), vec![to.as_str()])
        );
        assert_eq!(world.untraced(&taken), message);
    }
    client.quit();
}

// T5
#[test]
fn rset_and_a_second_ehlo_clear_the_transaction() {
    let world = World::relay();
    let mut client = world.client();
    for clear in ["RSET", "EHLO client.test"] {
        client.envelope("wrong@example.org", &["wrong@example.net"]);
        client.says(clear, 250);
        client.says("DATA", 503);
        client.says("RCPT TO:<bob@example.net>", 503);
        assert!(client.mail(FROM, TO, PLAIN).is_done());
        let taken = world.hop.only_mail();
        assert_eq!(
            (taken.sender(), taken.recipients()),
            (FROM, TO.to_vec()),
            "after {clear}"
        );
    }
    client.quit();
}

// T6
#[test]
fn the_null_sender_stays_empty() {
    let world = World::relay();
    let bounce = crate::harness::mail("demo-bounce.eml");
    let mut client = world.client();
    assert!(client.mail("", TO, &bounce).is_done());
    let taken = world.hop.only_mail();
    assert!(taken.from.starts_with("<>"), "{}", taken.from);
    assert_eq!(world.untraced(&taken), bounce);
    client.quit();
}

// T7
#[test]
fn dots_make_the_round_trip() {
    let world = World::relay();
    for body in [
        ".\r\n",
        "..\r\n",
        "...\r\n.\r\n..\r\n",
        ".a\r\n..b\r\n",
        "a\r\n.\r\n",
        "a\r\n.\r\n.\r\n",
        "\r\n.\r\n",
        ".QUIT\r\n",
        "a.\r\n.\r\nb\r\n",
    ] {
        let message = text(body.as_bytes());
        assert_eq!(
            world.pass(&message).escape_ascii().to_string(),
            message.escape_ascii().to_string()
        );
    }
}

// T8
#[test]
fn mails_without_a_body_or_a_header_arrive_or_are_refused() {
    let world = World::relay();
    for message in [
        "Subject: x\r\n\r\n",
        "Subject: x\r\n",
        "\r\nno header\r\n",
        "no header, no blank line\r\n",
        "\r\n",
        "\r\n\r\n",
        "",
    ] {
        match world.attempt(message.as_bytes()) {
            Outcome::Accepted(_) => {
                let arrived = world.untraced(&world.hop.only_mail());
                assert_eq!(
                    arrived.escape_ascii().to_string(),
                    below_the_trace(message.as_bytes())
                        .escape_ascii()
                        .to_string()
                );
            }
            Outcome::Refused(_) => assert!(world.hop.mails().is_empty(), "{message:?}"),
            Outcome::Kept(reply) => panic!("{message:?} is deferred: {reply:?}"),
        }
    }
    world.alive();
}

// T9
#[test]
fn odd_addresses_pass_unchanged() {
    let world = World::relay();
    let mut client = world.client();
    for path in [
        "\"a b\"@example.org",
        "\"a\\\"b\"@example.org",
        "\"a@b\"@example.org",
        "a@[192.0.2.1]",
        "a@[IPv6:2001:db8::1]",
        "a+b=c%d@example.org",
        "..a..@example.org",
        "!#$%&'*/=?^_`{|}~@example.org",
        "SRS0=abc=de=example.com=user@example.org",
        "user@under_score.example.org",
        "A.User@EXAMPLE.org",
        "@relay.example,@second.example:user@example.org",
        "postmaster",
    ] {
        let from = path.trim_start_matches("postmaster");
        assert!(client.mail(from, &[path], PLAIN).is_done());
        let taken = world.hop.only_mail();
        assert_eq!((taken.sender(), taken.recipients()), (from, vec![path]));
    }
    client.quit();
}

// T10
#[test]
fn eight_mebibytes_arrive_equal() {
    let world = World::relay();
    let line = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n";
    let message = text(&line.repeat(8 * 1024 * 1024 / line.len()));
    assert!(world.pass(&message) == message, "the mail differs");
}

// T11
#[test]
fn eight_bit_octets_and_body_pass() {
    let world = World::relay();
    let every: Vec<u8> = (1..=255)
        .filter(|octet| !matches!(octet, b'\r' | b'\n'))
        .collect();
    let message = text(&[&every[..], b"\r\n"].concat());
    let mut client = world.client();
    client.says("MAIL FROM:<anna@example.org> BODY=8BITMIME", 250);
    client.says("RCPT TO:<bob@example.net>", 250);
    assert!(client.data(&message).is_done());
    let taken = world.hop.only_mail();
    assert!(taken.from.contains(" BODY=8BITMIME"), "{}", taken.from);
    assert_eq!(world.untraced(&taken), message);
    client.quit();
}

// T12
#[test]
fn long_lines_lose_no_octet() {
    let world = World::relay();
    for octets in [998, 5000, 2 * 1024 * 1024] {
        let message = text(&[&b"x".repeat(octets)[..], b"\r\nend\r\n"].concat());
        match world.attempt(&message) {
            Outcome::Accepted(_) => assert!(
                world.untraced(&world.hop.only_mail()) == message,
                "{octets}"
            ),
            Outcome::Refused(_) => assert!(world.hop.mails().is_empty()),
            Outcome::Kept(reply) => panic!("a line of {octets} octets is deferred: {reply:?}"),
        }
    }
    world.alive();
}

// T13
#[test]
fn nul_cuts_nothing_short() {
    let world = World::relay();
    let message = b"Subject: a\0b\r\nX\0Y: z\r\n\r\nbefore\0behind\r\n\0\r\nend\r\n";
    match world.attempt(message) {
        Outcome::Accepted(_) => assert_eq!(world.untraced(&world.hop.only_mail()), message),
        Outcome::Refused(_) => assert!(world.hop.mails().is_empty()),
        Outcome::Kept(reply) => panic!("deferred: {reply:?}"),
    }
    world.alive();
}

// T14
#[test]
fn header_lines_stay_as_they_are_and_in_order() {
    let world = World::relay();
    let message = b"Received: from a by b; x\r\nDKIM-Signature: v=1; a=rsa-sha256;  d=example.org;\r\n\t bh=abc=; \r\n b=x y\r\n\
        Subject: one\r\nsubject:two \t\r\nSUBJECT :three\r\nX-Folded: a\r\n \r\n\tb\r\nX-8bit: \xe4\xf6\xfc\r\nX-Empty:\r\n\
        To: b\r\nTo: b\r\nDKIM-Signature: v=1; b=z\r\nnot a field\r\nFrom : x\r\n\r\nbody  \r\n\t\r\n";
    assert_eq!(
        world.pass(message).escape_ascii().to_string(),
        message.escape_ascii().to_string()
    );
}

// T15
#[test]
fn the_corpus_passes_octet_for_octet() {
    let world = World::relay();
    let mut client = world.client();
    let mut passed = 0;
    for (name, message) in mails() {
        // What becomes of lone CRs and LFs is a question of its own, and so is a mail that does not end in a line end.
        if crate::harness::hop::lone(&message).is_some() || !message.ends_with(b"\r\n") {
            continue;
        }
        let reply = client.mail(FROM, TO, &message);
        assert!(reply.is_done(), "{name} is answered {reply}");
        assert!(
            world.untraced(&world.hop.only_mail()) == below_the_trace(&message),
            "{name} differs"
        );
        passed += 1;
    }
    assert!(passed >= 100, "only {passed} mails were tried");
    client.quit();
}

// T28
#[test]
fn the_end_of_data_may_be_cut_at_each_octet() {
    let world = World::relay();
    let message = text(b"last line\r\n");
    let wire = stuffed(&message);
    let mut client = world.client();
    for cut in wire.len() - 8..wire.len() {
        client.envelope(FROM, TO);
        client.says("DATA", 354);
        client.send(&wire[..cut]);
        // The reply to nothing at all would come before that to NOOP: what was sent is no end.
        client.send(&wire[cut..]);
        assert!(client.reply().is_done(), "cut at {cut}");
        assert_eq!(
            world.untraced(&world.hop.only_mail()),
            message,
            "cut at {cut}"
        );
    }
    client.quit();
}

// T29
#[test]
fn a_dot_with_more_behind_it_is_data() {
    let world = World::relay();
    let mut client = world.client();
    for line in ["..", ".a", ". ", ".\t", "..QUIT", ".\0"] {
        client.envelope(FROM, TO);
        client.says("DATA", 354);
        client.send(format!("Subject: x\r\n\r\na\r\n{line}\r\nb\r\n.\r\n").as_bytes());
        assert!(client.reply().is_done(), "{line:?}");
        let expected = format!("Subject: x\r\n\r\na\r\n{}\r\nb\r\n", &line[1..]);
        assert_eq!(
            world.untraced(&world.hop.only_mail()),
            expected.as_bytes(),
            "{line:?}"
        );
    }
    client.quit();
}

// T30
#[test]
fn a_whole_session_in_one_write_is_one_mail() {
    let world = World::relay();
    let mut client = world.connect();
    let mut session = b"EHLO client.test\r\nMAIL FROM:<anna@example.org>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n".to_vec();
    session.extend_from_slice(&stuffed(PLAIN));
    session.extend_from_slice(b"QUIT\r\n");
    client.send(&session);
    for code in [220, 250, 250, 250, 354, 250, 221] {
        client.expect(code);
    }
    assert_eq!(world.untraced(&world.hop.only_mail()), PLAIN);
}

// T53
#[test]
fn a_client_that_sends_octet_by_octet_is_served() {
    let world = World::relay();
    let mut client = world.connect();
    client.expect(220);
    let say = |client: &mut Client, octets: &[u8]| {
        for octet in octets {
            client.send(&[*octet]);
        }
    };
    for (line, code) in [
        ("EHLO c.test", 250),
        ("MAIL FROM:<anna@example.org>", 250),
        ("RCPT TO:<bob@example.net>", 250),
        ("DATA", 354),
    ] {
        say(&mut client, format!("{line}\r\n").as_bytes());
        client.expect(code);
    }
    say(&mut client, &stuffed(PLAIN));
    client.expect(250);
    assert_eq!(world.untraced(&world.hop.only_mail()), PLAIN);
    client.quit();
}

// T56
#[test]
fn a_size_that_is_not_true_harms_nobody() {
    let world = World::relay();
    let mut client = world.client();
    for size in [0, 1, 100_000] {
        client.says(format!("MAIL FROM:<anna@example.org> SIZE={size}"), 250);
        client.says("RCPT TO:<bob@example.net>", 250);
        let reply = client.data(PLAIN);
        if reply.is_done() {
            assert_eq!(world.untraced(&world.hop.only_mail()), PLAIN);
        } else {
            assert_eq!(reply.code, 552, "{reply}");
        }
    }
    client.quit();
}

// T60
#[test]
fn a_hundred_recipients_get_it_once_each() {
    let world = World::relay();
    let recipients: Vec<String> = (0..100)
        .map(|number| format!("to{number}@example.net"))
        .collect();
    let to: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let mut client = world.client();
    assert!(client.mail(FROM, &to, PLAIN).is_done());
    assert_eq!(world.hop.only_mail().recipients(), to);
    client.quit();
}

// T61
#[test]
fn a_recipient_named_thrice_gets_one_mail() {
    let world = World::relay();
    let mut client = world.client();
    assert!(client.mail(FROM, &["bob@example.net"; 3], PLAIN).is_done());
    let taken = world.hop.only_mail();
    assert!(
        taken
            .recipients()
            .iter()
            .all(|path| *path == "bob@example.net"),
        "{:?}",
        taken.to
    );
    client.quit();
}

// T66, T68
#[test]
fn parameters_pass_to_a_next_hop_that_knows_them() {
    let world = World::relay();
    // The first session tells mimicry what the next hop can.
    world.alive();
    let mut client = world.client();
    client.says(
        "MAIL FROM:<anna@example.org> RET=HDRS ENVID=QQ314+2B159 BODY=8BITMIME",
        250,
    );
    client.says(
        "RCPT TO:<bob@example.net> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bob+2Bx@example.com",
        250,
    );
    client.says("RCPT TO:<carl@example.net> NOTIFY=NEVER", 250);
    assert!(client.data(PLAIN).is_done());
    let taken = world.hop.only_mail();
    for parameter in [" RET=HDRS", " ENVID=QQ314+2B159", " BODY=8BITMIME"] {
        assert!(
            taken.from.contains(parameter),
            "{parameter} in {}",
            taken.from
        );
    }
    assert_eq!(
        taken.to[0],
        "<bob@example.net> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bob+2Bx@example.com"
    );
    assert_eq!(taken.to[1], "<carl@example.net> NOTIFY=NEVER");
    client.says("MAIL FROM:<änna@exämple.org> SMTPUTF8", 250);
    client.says("RCPT TO:<bøb@example.net>", 250);
    assert!(
        client
            .data("Subject: grüße\r\n\r\nx\r\n".as_bytes())
            .is_done()
    );
    let taken = world.hop.only_mail();
    assert_eq!(
        (taken.sender(), taken.recipients()),
        ("änna@exämple.org", vec!["bøb@example.net"])
    );
    assert!(taken.from.contains(" SMTPUTF8"), "{}", taken.from);
    client.quit();
}

// T69
#[test]
fn commands_may_be_pipelined() {
    let world = World::relay();
    let mut client = world.client();
    let envelope = b"MAIL FROM:<anna@example.org>\r\nRCPT TO:<bob@example.net>\r\nRCPT TO:<carl@example.net>\r\nDATA\r\n";
    // Two mails: the second envelope stands right behind the first dot.
    client.send(envelope);
    for code in [250, 250, 250, 354] {
        client.expect(code);
    }
    client.send(&[&stuffed(PLAIN)[..], envelope].concat());
    for code in [250, 250, 250, 250, 354] {
        client.expect(code);
    }
    client.send(&[&stuffed(PLAIN)[..], b"RSET\r\nNOOP\r\nQUIT\r\n"].concat());
    for code in [250, 250, 250, 221] {
        client.expect(code);
    }
    let mails = world.hop.mails();
    assert_eq!(mails.len(), 2);
    for mail in mails {
        assert_eq!(mail.recipients(), ["bob@example.net", "carl@example.net"]);
        assert_eq!(world.untraced(&mail), PLAIN);
    }
    // Refused as a whole: the answers stay in order, and no mail comes of it.
    world
        .hop
        .at(Stage::Rcpt, Act::Say(b"550 5.1.1 unknown\r\n".to_vec()));
    let mut client = world.client();
    client.send(envelope);
    client.expect(250);
    client.expect(550);
    client.expect(550);
    let data = client.reply();
    assert!(data.is_permanent(), "{data}");
    client.says("RSET", 250);
    client.quit();
    assert!(world.hop.mails().is_empty());
    world.alive();
}

// T116
#[test]
fn a_next_hop_may_be_slow_or_drip() {
    let world = World::relay();
    for act in [
        Act::Drip(Duration::from_millis(2)),
        Act::After(Duration::from_millis(100)),
    ] {
        world.hop.behave(move |_| act.clone());
        assert_eq!(world.pass(PLAIN), PLAIN);
    }
}

// T122
// `MIMICRY_LONG=1` sends all of the 16 000 mails, else each client sends 25.
#[test]
fn forty_clients_at_once_get_each_mail_through_exactly_once() {
    let world = World::relay();
    let each = if std::env::var_os("MIMICRY_LONG").is_some() {
        400
    } else {
        25
    };
    thread::scope(|scope| {
        for number in 0..40 {
            let world = &world;
            scope.spawn(move || {
                let mut client = world.client();
                for mail in 0..each {
                    let to = format!("{number}-{mail}@example.net");
                    assert!(client.mail(FROM, &[&to], &text(to.as_bytes())).is_done());
                }
                client.quit();
            });
        }
    });
    let mut seen = BTreeMap::new();
    for mail in world.hop.mails() {
        let to = mail.recipients().concat();
        assert!(
            world
                .untraced(&mail)
                .ends_with(format!("{to}\r\n").as_bytes()),
            "{to} got another one's mail"
        );
        *seen.entry(to).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 40 * each);
    assert!(seen.values().all(|count| *count == 1));
}

/// What stands below the trace field.
///
/// man: mimicryd(8) "A message without any header gets, below that field, the blank line that makes it a body."
fn below_the_trace(message: &[u8]) -> Vec<u8> {
    // A line of an mbox becomes a field (T201).
    if message.starts_with(b"From ") && std::env::var_os("MIMICRY_UNDER_TEST").is_none() {
        return [b"X-Mailbox-Line: ", message].concat();
    }
    let first = message
        .split(|octet| *octet == b'\n')
        .next()
        .unwrap_or_default();
    let is_field = first.contains(&b':') || first.starts_with(b"\r");
    if is_field || message.is_empty() || std::env::var_os("MIMICRY_UNDER_TEST").is_some() {
        return message.to_vec();
    }
    [b"\r\n", message].concat()
}
