//! Recipients that a client names in one go, and what the next hop hears of them: the same as one by one, together.
//!
//! Must never: need another program.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::client::Client;
use crate::harness::daemon::{PLAIN, Setup, World};
use crate::harness::hop::{Act, EXTENSIONS, Moment, Stage};

/// How a client sends the commands of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    OneByOne,
    InOneGo,
    /// Cut anywhere, with pauses between the pieces.
    InPieces,
}

/// The replies to MAIL, each recipient, DATA and, after 354, the message.
fn say(client: &mut Client, to: &[&str], manner: Manner) -> Vec<String> {
    let mut lines = vec!["MAIL FROM:<anna@example.org>\r\n".to_string()];
    lines.extend(to.iter().map(|name| format!("RCPT TO:<{name}>\r\n")));
    lines.push("DATA\r\n".into());
    let mut said = Vec::new();
    match manner {
        Manner::OneByOne => {
            for line in &lines {
                client.send(line.as_bytes());
                said.push(client.reply().to_string());
            }
        }
        Manner::InOneGo => client.send(lines.concat().as_bytes()),
        Manner::InPieces => {
            for piece in lines.concat().as_bytes().chunks(23) {
                client.send(piece);
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
    while said.len() < lines.len() {
        said.push(client.reply().to_string());
    }
    if said.last().is_some_and(|reply| reply.starts_with("354")) {
        client.send(PLAIN);
        client.send(b".\r\n");
        said.push(client.reply().to_string());
    }
    client.says("RSET", 250);
    said
}

/// The third field is what the next hop does, the fourth how many of the recipients it has in the end.
type Case<'c> = (&'c str, &'c [&'c str], fn(&Moment) -> Act, &'c [&'c str]);

const THREE: &[&str] = &["bob@example.net", "eve@example.net", "tom@example.net"];

fn refuse(moment: &Moment, stage: Stage, part: &str, reply: &str) -> Act {
    match moment.stage == stage && moment.line.contains(part) {
        true => Act::Say(reply.as_bytes().to_vec()),
        false => Act::Normal,
    }
}

/// What the client hears and who gets the mail is the same, whether the next hop takes commands together or not, and however the client
/// sends them.
// T209
// man: mimicryd(8) "What the client is answered does not depend on it."
#[test]
fn what_is_answered_is_the_same_as_one_by_one() {
    let cases: &[Case<'_>] = &[
        ("all is well", THREE, |_| Act::Normal, THREE),
        (
            "one is refused",
            THREE,
            |moment| refuse(moment, Stage::Rcpt, "<eve@", "550 5.1.1 no such user\r\n"),
            &["bob@example.net", "tom@example.net"],
        ),
        (
            "all are refused",
            THREE,
            |moment| refuse(moment, Stage::Rcpt, "<", "450 4.2.0 later\r\n"),
            &[],
        ),
        (
            "MAIL is refused, RCPT is not",
            THREE,
            |moment| refuse(moment, Stage::Mail, "", "550 5.7.1 not you\r\n"),
            &[],
        ),
        (
            "MAIL is refused once",
            THREE,
            |moment| match moment.nth {
                1 => refuse(moment, Stage::Mail, "", "451 4.7.1 later\r\n"),
                _ => Act::Normal,
            },
            &["eve@example.net", "tom@example.net"],
        ),
        (
            "it closes in the middle with 421",
            THREE,
            |moment| match (moment.stage, moment.nth) {
                (Stage::Rcpt, 2) => Act::SayAndClose(b"421 4.3.2 closing\r\n".to_vec()),
                _ => Act::Normal,
            },
            &["bob@example.net"],
        ),
        (
            "it closes in the middle without a word",
            THREE,
            |moment| match (moment.stage, moment.nth) {
                (Stage::Rcpt, 2) => Act::Close,
                _ => Act::Normal,
            },
            &["bob@example.net"],
        ),
        (
            "it takes its time",
            THREE,
            |moment| match moment.stage {
                Stage::Rcpt => Act::Drip(Duration::from_millis(1)),
                _ => Act::Normal,
            },
            THREE,
        ),
        (
            "one is named again",
            &[
                "bob@example.net",
                "eve@example.net",
                "bob@example.net",
                "tom@example.net",
            ],
            |_| Act::Normal,
            THREE,
        ),
        (
            "one that was refused is named again",
            &["bob@example.net", "eve@example.net", "eve@example.net"],
            |moment| match moment.nth {
                2 => refuse(moment, Stage::Rcpt, "<eve@", "450 4.2.0 later\r\n"),
                _ => Act::Normal,
            },
            &["bob@example.net", "eve@example.net"],
        ),
        (
            "another class begins and ends",
            &[
                "bob@example.net",
                "vip@example.com",
                "vap@example.com",
                "tom@example.net",
            ],
            |_| Act::Normal,
            &[
                "bob@example.net",
                "tom@example.net",
                "vap@example.com",
                "vip@example.com",
            ],
        ),
        (
            "more than a mail may have",
            &["a@x", "b@x", "c@x", "d@x", "e@x", "f@x", "g@x"],
            |_| Act::Normal,
            &["a@x", "b@x", "c@x", "d@x", "e@x"],
        ),
        (
            "one that is none stands between them",
            &["bob@example.net", "no one", "tom@example.net"],
            |_| Act::Normal,
            &["bob@example.net", "tom@example.net"],
        ),
    ];
    let mut world = World::new(Setup {
        daemon: "workers = { min = 1, max = 1, spare = 0 }",
        limits: "recipients = 5",
        rules: "[[rule]]\nname = \"vip\"\nplugin = \"header\"\nmatch = { recipient = '@example\\.com$' }\noptions = { add = { X-Vip = \"yes\" } }\n",
        ..Setup::default()
    });
    for (name, to, behaviour, expected) in cases {
        let mut first: Option<Vec<String>> = None;
        for offers in [false, true] {
            let kept = |keyword: &&&str| offers || **keyword != "PIPELINING";
            let extensions: Vec<&str> = EXTENSIONS.iter().filter(kept).copied().collect();
            world.hop.behave_well();
            world.hop.offer(&extensions);
            world.hop.hang_up();
            for manner in [Manner::OneByOne, Manner::InOneGo, Manner::InPieces] {
                // What is counted begins anew.
                world.hop.behave(*behaviour);
                let mut client = world.client();
                let said = say(&mut client, to, manner);
                let told = format!("{name}, {manner:?}, offered: {offers}");
                assert_eq!(*first.get_or_insert_with(|| said.clone()), said, "{told}");
                client.quit();
                let mails = world.hop.see(|record| std::mem::take(&mut record.mails));
                let mut got: Vec<&str> = mails.iter().flat_map(|mail| mail.recipients()).collect();
                got.sort_unstable();
                assert_eq!(got, *expected, "{told}: {said:?}");
            }
        }
    }
    world.daemon().logs("status=sent");
    world.alive();
}

/// A next hop that says nothing before it has all of them: with a client that sends them in one go they are there, and with any client
/// MAIL and the first recipient are.
// T209
// man: mimicryd(8) "To a next hop that offers PIPELINING, XFORWARD, MAIL and the recipients that the client has named so far go out in one write"
#[test]
fn what_the_client_has_named_goes_out_together() {
    for (manner, waits_for) in [(Manner::InOneGo, 3), (Manner::OneByOne, 1)] {
        let world = World::new(Setup {
            daemon: "workers = { min = 1, max = 1, spare = 0 }",
            ..Setup::default()
        });
        world.hop.at(Stage::Mail, Act::Hold);
        let mut client = world.client();
        match manner {
            Manner::OneByOne => {
                client.says("MAIL FROM:<anna@example.org>", 250);
                client.send(b"RCPT TO:<bob@example.net>\r\n");
            }
            _ => client.send(b"MAIL FROM:<anna@example.org>\r\nRCPT TO:<bob@example.net>\r\nRCPT TO:<eve@example.net>\r\nRCPT TO:<tom@example.net>\r\n"),
        }
        world.hop.wait("MAIL", |record| record.held == 1);
        let waiting = world
            .hop
            .see(|record| String::from_utf8_lossy(&record.behind).into_owned());
        assert_eq!(waiting.matches("RCPT TO:").count(), waits_for, "{waiting}");
        world.hop.release();
        if manner == Manner::InOneGo {
            client.expect(250);
        }
        for _ in 0..waits_for {
            client.expect(250);
        }
        client.says("RSET", 250);
        client.quit();
    }
}

/// Where nobody sets TCP_NODELAY, the system keeps what is written second until the first was acknowledged (RFC 896): of a client the end
/// of the mail, of a next hop the reply to RCPT. Each waits 40 ms if we let it.
// man: mimicryd(8) "Neither waits for an acknowledgement that is held back"
#[test]
fn nobody_waits_for_an_acknowledgement() {
    const MAILS: u32 = 100;
    let world = World::new(Setup::default());
    world.hop.delay();
    let stream = TcpStream::connect(world.address()).unwrap();
    let mut client = Client::of(stream).greeted();
    let begin = Instant::now();
    for _ in 0..MAILS {
        client.send(b"MAIL FROM:<anna@example.org>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n");
        for code in [250, 250, 354] {
            client.expect(code);
        }
        client.send(PLAIN);
        client.send(b".\r\n");
        client.expect(250);
    }
    // With one of the two it is twice as long.
    let most = MAILS * Duration::from_millis(20);
    assert!(begin.elapsed() < most, "{:?}", begin.elapsed());
}
