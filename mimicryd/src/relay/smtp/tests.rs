//! Each shim by its number, against a scripted next hop.

use std::time::Duration;

use mimicry_core::envelope::Path;
use mimicry_core::extension::{Extension, Extensions};
use mimicry_core::reply::Meaning;

use super::super::body::BLOCK;
use super::super::conformance::{PATIENCE, Subject, TIMEOUTS, every_row};
use super::super::hostile_octets::only_clean_mail_leaves;
use super::super::scripted::{Act, EHLO, Script, Scripted, Seen, Stage};
use super::super::{NextHop, Watch};
use super::*;

fn connect(address: SocketAddr) -> SmtpHop {
    let patient = Timeouts {
        dot: Duration::from_secs(5),
        ..TIMEOUTS
    };
    SmtpHop::connect(address, "client.example", patient, None).unwrap()
}

fn envelope(hop: &mut SmtpHop) {
    assert!(hop.mail(&Path::new("a@b"), b"").is_done());
    assert!(hop.rcpt(&Path::new("c@d"), b"").is_done());
}

fn deliver(hop: &mut SmtpHop, message: &[u8]) -> Answer {
    envelope(hop);
    hop.data(message.into(), &mut || Watch::Stays).only()
}

fn say(text: &str) -> Act {
    Act::Say(text.as_bytes().to_vec())
}

/// What SMTP makes of a message.
fn dotted(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    if !out.is_empty() && !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

struct Lettres;

impl Subject for Lettres {
    fn meet(&self, script: Script) -> (Scripted, Result<Box<dyn NextHop>, Answer>) {
        let next_hop = Scripted::start(script);
        let hop = SmtpHop::connect(next_hop.address, "client.example", TIMEOUTS, None)
            .map(|hop| Box::new(hop) as Box<dyn NextHop>);
        (next_hop, hop)
    }

    fn says_helo(&self) -> bool {
        true
    }
}

/// Every behaviour of a next hop through lettre.
#[test]
fn t94_to_t120_conformance() {
    every_row(&Lettres);
}

#[test]
fn t175_only_clean_mail_leaves() {
    only_clean_mail_leaves(&Lettres);
}

#[test]
fn shim_1_an_address_where_nobody_listens() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let answer = SmtpHop::connect(address, "client.example", TIMEOUTS, None)
        .err()
        .unwrap();
    assert_eq!(
        answer.reply.to_string(),
        "451 4.4.1 cannot connect to the next hop (connect)"
    );
    assert_eq!(answer.cause, Cause::Unreachable);
}

#[test]
fn shim_1_an_address_that_swallows_packets() {
    // A listener whose queue is full.
    let listener =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let _queue: Vec<_> = (0..2)
        .map_while(|_| std::net::TcpStream::connect_timeout(&address, PATIENCE).ok())
        .collect();
    let start = Instant::now();
    let answer = SmtpHop::connect(address, "client.example", TIMEOUTS, None)
        .err()
        .unwrap();
    assert!(
        answer.reply.to_string().starts_with("451 4.4."),
        "{}",
        answer.reply
    );
    assert!(start.elapsed() < Duration::from_secs(2));
}

/// Without TCP_NODELAY a small mail waits 40 ms for the acknowledgement of what was written before its end.
#[test]
fn shim_2_no_command_waits_for_an_acknowledgement() {
    let next_hop = Scripted::that_works();
    let mut hop = connect(next_hop.address);
    let start = Instant::now();
    for _ in 0..50 {
        assert!(deliver(&mut hop, b"Subject: x\r\n\r\nx\r\n").is_done());
    }
    assert!(
        start.elapsed() < Duration::from_millis(50 * 20),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(next_hop.seen().connections, 1);
}

#[test]
fn shim_3_capabilities_are_those_that_ehlo_says() {
    let next_hop = Scripted::that(
        Stage::Ehlo,
        say("250-hop\r\n250-size 77\r\n250-Dsn\r\n250 XFORWARD NAME ADDR\r\n"),
    );
    let hop = connect(next_hop.address);
    let capabilities = hop.capabilities();
    assert_eq!(
        (
            capabilities.size(),
            capabilities.contains(Extension::Dsn),
            capabilities.contains(Extension::EightBitMime)
        ),
        (Some(77), true, false)
    );
    assert_eq!(capabilities.words(Extension::Xforward), ["NAME", "ADDR"]);
    let full = connect(Scripted::that_works().address);
    assert_eq!(
        full.capabilities(),
        &Extensions::from_lines(EHLO.lines().map(|line| &line.as_bytes()[4..]))
    );
    assert_eq!(next_hop.seen().commands, ["EHLO client.example\r\n"]);
}

#[test]
fn t95_t119_no_or_odd_capabilities() {
    for text in ["250 hop\r\n", "250-hop\r\n250-\r\n250 =\r\n", "250\r\n"] {
        let next_hop = Scripted::that(Stage::Ehlo, say(text));
        let outcome = SmtpHop::connect(next_hop.address, "client.example", TIMEOUTS, None);
        assert_eq!(outcome.unwrap().capabilities(), &Extensions::NONE, "{text}");
    }
}

#[test]
fn shim_4_commands_go_out_octet_for_octet() {
    let next_hop = Scripted::that_works();
    let mut hop = connect(next_hop.address);
    for (path, params) in [
        ("", ""),
        ("postmaster", "BODY=8BITMIME"),
        ("\"a b\"@x.", "ENVID=a+2Bb RET=HDRS"),
        ("@one,@two:..a@-x-", ""),
        ("ü@ü.example", "SMTPUTF8"),
    ] {
        assert!(hop.mail(&Path::new(path), params.as_bytes()).is_done());
        assert!(hop.rcpt(&Path::new(path), params.as_bytes()).is_done());
        let blank = if params.is_empty() { "" } else { " " };
        let commands = next_hop.seen().commands;
        let expected =
            ["MAIL FROM", "RCPT TO"].map(|verb| format!("{verb}:<{path}>{blank}{params}\r\n"));
        assert_eq!(commands[commands.len() - 2..], expected);
    }
    // What could be two lines does not go out, and the line lives.
    let before = next_hop.seen().commands.len();
    for (path, params) in [
        ("a@b\r\nQUIT", ""),
        ("a@b", "X\r\nQUIT"),
        ("a\n", ""),
        ("a\0", ""),
    ] {
        let answer = hop.rcpt(&Path::new(path), params.as_bytes());
        assert_eq!((answer.reply.code(), answer.cause), (501, Cause::Own));
    }
    assert_eq!(next_hop.seen().commands.len(), before);
    assert!(hop.reset().is_done());
}

/// Also shim 9 and 10 on the way that succeeds: nothing is added, nothing is missing.
#[test]
fn shim_5_no_octet_is_added() {
    let next_hop = Scripted::that_works();
    let mut hop = connect(next_hop.address);
    let line = b"0123456789abcde\r\n";
    let mut messages: Vec<Vec<u8>> = [
        &b""[..],
        b"\r\n",
        b"\r\n\r\n",
        b".\r\n",
        b"..\r\n",
        b"x",
        b"x\r\n",
        b"x\r\n.\r\n",
        b"x\r\n\r\n.\r\n\r\n",
        b".x\r\n.y\r\n",
        b"\0\xff\x80\r\n",
        b".",
        b"x\r\n.",
    ]
    .iter()
    .map(|message| message.to_vec())
    .collect();
    // A dot, and the last CRLF, at and around each border of a block.
    for around in BLOCK - 4..BLOCK + 4 {
        let mut message = vec![b'x'; around];
        message.extend_from_slice(b"\r\n.y\r\n");
        messages.push(message.clone());
        message.truncate(around + 2);
        messages.push(message);
    }
    messages.push(line.repeat(2 * BLOCK / line.len()));
    messages.push(b".\r\n".repeat(100_000));
    for (index, message) in messages.iter().enumerate() {
        let answer = deliver(&mut hop, message);
        assert_eq!(answer.reply.to_string(), "250 2.0.0 taken", "{index}");
        let seen = next_hop.seen();
        assert!(
            seen.messages.last().unwrap() == &dotted(message),
            "{index}: {} octets",
            message.len()
        );
        assert_eq!(seen.dots, index + 1);
    }
}

#[test]
fn shim_6_a_refusal_is_handed_on_and_the_line_lives() {
    let next_hop = Scripted::that(Stage::Rcpt, say("550-5.1.1 no\r\n550 5.1.1 such user\r\n"));
    let mut hop = connect(next_hop.address);
    hop.mail(&Path::new("a@b"), b"");
    for _ in 0..3 {
        let answer = hop.rcpt(&Path::new("c@d"), b"");
        assert_eq!(
            answer.reply.to_wire(),
            b"550-5.1.1 no\r\n550 5.1.1 such user\r\n"
        );
        assert_eq!(answer.cause, Cause::Said);
    }
    assert!(hop.is_in_transaction() && hop.reset().is_done() && !hop.is_in_transaction());
}

#[test]
fn shim_7_a_broken_line_takes_no_command() {
    let next_hop = Scripted::that(Stage::Mail, Act::Silence);
    let mut hop = connect(next_hop.address);
    assert_eq!(hop.mail(&Path::new("a@b"), b"").cause, Cause::TimedOut);
    let start = Instant::now();
    assert!(!hop.is_usable());
    assert_eq!(hop.rcpt(&Path::new("a@b"), b"").cause, Cause::TimedOut);
    assert_eq!(
        hop.data(b"x\r\n"[..].into(), &mut || Watch::Stays)
            .only()
            .cause,
        Cause::TimedOut
    );
    assert_eq!(hop.reset().cause, Cause::TimedOut);
    hop.quit();
    assert!(start.elapsed() < PATIENCE, "nothing is waited for");
    assert_eq!(next_hop.seen().commands.len(), 2);
}

/// A reply that comes in time octet by octet, and never as a whole.
#[test]
fn shim_7_one_deadline_for_a_reply_that_drips() {
    let drip = Act::Drip(
        vec![b'2'; 3].into_iter().chain(vec![b' '; 500]).collect(),
        Duration::from_millis(20),
    );
    for stage in [Stage::Mail, Stage::Dot] {
        let next_hop = Scripted::that(stage, drip.clone());
        let mut hop = SmtpHop::connect(next_hop.address, "client.example", TIMEOUTS, None).unwrap();
        let start = Instant::now();
        let answer = match stage {
            Stage::Mail => hop.mail(&Path::new("a@b"), b""),
            _ => deliver(&mut hop, b"x\r\n"),
        };
        assert_eq!((answer.cause, answer.reply.code()), (Cause::TimedOut, 451));
        assert!(start.elapsed() < 2 * PATIENCE, "{:?}", start.elapsed());
    }
}

/// The limit of the whole transaction stands above the phases' own.
#[test]
fn shim_7_the_transaction_has_a_limit() {
    let next_hop = Scripted::that(Stage::Dot, Act::Silence);
    let mut hop = connect(next_hop.address);
    let start = Instant::now();
    hop.limit(Some(start + Duration::from_millis(100)));
    let answer = deliver(&mut hop, b"x\r\n");
    assert_eq!((answer.cause, answer.is_doubtful), (Cause::TimedOut, true));
    assert!((100..1000).contains(&start.elapsed().as_millis()));
    let mut hop = connect(Scripted::that_works().address);
    hop.limit(Some(start));
    // T198: that is nobody's fault but ours.
    let answer = hop.mail(&Path::new("a@b"), b"");
    assert_eq!((answer.cause, answer.reply.code()), (Cause::OutOfTime, 451));
    let answer = SmtpHop::connect(next_hop.address, "client.example", TIMEOUTS, Some(start))
        .err()
        .unwrap();
    assert_eq!(answer.cause, Cause::OutOfTime);
}

#[test]
fn shim_8_no_starttls() {
    let offer = say("250-hop\r\n250 STARTTLS\r\n");
    let next_hop = Scripted::start(Box::new(move |_, stage| {
        (stage == Stage::Ehlo).then(|| offer.clone())
    }));
    let mut hop = connect(next_hop.address);
    assert!(hop.capabilities().contains(Extension::StartTls));
    assert!(deliver(&mut hop, b"x\r\n").is_done());
    assert!(
        !next_hop
            .seen()
            .commands
            .iter()
            .any(|command| command.starts_with("STARTTLS"))
    );
}

/// A reply too many would be taken for the answer to the next command.
#[test]
fn shim_9_a_surplus_reply_is_never_the_answer_to_the_next_command() {
    for stage in [Stage::Ehlo, Stage::Mail, Stage::Rcpt, Stage::Data] {
        let next_hop = Scripted::start(Box::new(move |_, at| match at {
            _ if at == stage => Some(Act::Surplus(b"250 2.0.0 too many\r\n".to_vec())),
            Stage::Dot => Some(say("550 5.7.1 no\r\n")),
            _ => None,
        }));
        let mut hop = connect(next_hop.address);
        let answers = [
            hop.mail(&Path::new("a@b"), b""),
            hop.rcpt(&Path::new("c@d"), b""),
            hop.data(b"x\r\n"[..].into(), &mut || Watch::Stays).only(),
        ];
        assert!(
            answers
                .iter()
                .any(|answer| answer.cause == Cause::OutOfStep),
            "{stage:?}"
        );
        assert!(!answers[2].is_done(), "{stage:?}");
        assert_eq!(next_hop.seen().dots, 0, "{stage:?}");
    }
}

/// What lettre finds before a command of its own is nobody's answer: the next command does not leave.
#[test]
fn shim_9_lettre_finds_one_reply_and_no_more() {
    let next_hop = Scripted::that_works();
    let mut hop = connect(next_hop.address);
    assert!(hop.mail(&Path::new("a@b"), b"").is_done());
    let codec = hop.link.codec.as_mut().unwrap();
    codec.end.write_all(b"250 2.0.0 too many\r\n").unwrap();
    assert_eq!(hop.rcpt(&Path::new("c@d"), b"").cause, Cause::OutOfStep);
    assert!(!hop.is_usable());
    assert_eq!(next_hop.seen().commands.len(), 2);
}

/// T203: lettre loses its place at a reply that is wider than its grammar, and our connection goes on alone: no line is lost by it.
#[test]
fn t203_a_reply_that_lettre_cannot_read_ends_lettre_and_not_the_line() {
    let long = format!("250 2.0.0 {}\r\n", "x".repeat(2000));
    for text in ["250\r\n", "269 odd\r\n", "250-\r\n250\r\n", &long] {
        for stage in [Stage::Mail, Stage::Rcpt, Stage::Dot] {
            let next_hop = Scripted::that(stage, say(text));
            let mut hop = connect(next_hop.address);
            for _ in 0..2 {
                assert!(deliver(&mut hop, b"x\r\n").is_done(), "{stage:?} {text}");
            }
            assert!(hop.is_usable(), "{stage:?} {text}");
            let seen = next_hop.seen();
            assert_eq!((seen.connections, seen.dots), (1, 2), "{stage:?} {text}");
        }
    }
    let next_hop = Scripted::that(Stage::Data, say("354\r\n"));
    let mut hop = connect(next_hop.address);
    assert!(deliver(&mut hop, b"x\r\n").is_done());
}

/// T181: whatever lettre reads was put there by us. Its descriptor is no socket of the network.
#[test]
fn t181_lettre_has_no_socket_of_the_next_hop() {
    let next_hop = Scripted::that_works();
    let mut hop = connect(next_hop.address);
    envelope(&mut hop);
    let to_next_hop = (0..MAX_DESCRIPTOR).filter(|number| has_peer(*number, next_hop.address));
    // Ours. Other tests have next hops of their own.
    assert_eq!(to_next_hop.count(), 1);
}

/// T181: a line is handed to lettre many times, by many threads at once, and each finds its own.
#[test]
fn t181_lines_do_not_get_mixed_up() {
    let next_hop = Scripted::that_works();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let address = next_hop.address;
            scope.spawn(move || {
                for mail in 0..8 {
                    let mut hop = connect(address);
                    let body = format!("{thread} {mail}\r\n");
                    assert!(deliver(&mut hop, body.as_bytes()).is_done());
                }
            });
        }
    });
    assert_eq!(next_hop.seen().dots, 64);
}

/// The client goes away before DATA, and before each block and the dot.
#[test]
fn shim_10_an_aborted_message_has_no_dot() {
    let message = b"0123456789abcd\r\n".repeat(5 * BLOCK / 16);
    let blocks = message.len() / BLOCK;
    for stays in 0..blocks + 2 {
        let next_hop = Scripted::that_works();
        let mut hop = connect(next_hop.address);
        envelope(&mut hop);
        let mut asked = 0;
        let answer = hop
            .data(message[..].into(), &mut || {
                asked += 1;
                if asked > stays {
                    Watch::Gone
                } else {
                    Watch::Stays
                }
            })
            .only();
        assert_eq!(
            (answer.cause, answer.is_doubtful),
            (Cause::ClientGone, false),
            "{stays}"
        );
        assert!(!hop.is_usable());
        drop(hop);
        let sent = stays.saturating_sub(1) * BLOCK;
        let arrived =
            |seen: &Seen| seen.messages.first().map_or(0, Vec::len) >= sent.saturating_sub(2);
        let seen = next_hop.seen_when(arrived);
        assert!(arrived(&seen), "{stays}");
        std::thread::sleep(Duration::from_millis(20));
        let seen = next_hop.seen();
        assert_eq!(seen.dots, 0, "{stays}");
        assert!(!seen.messages.concat().ends_with(b"\r\n.\r\n"));
    }
    // The figures are right: one look more, and the mail is through.
    let next_hop = Scripted::that_works();
    let mut hop = connect(next_hop.address);
    envelope(&mut hop);
    let mut asked = 0;
    let answer = hop
        .data(message[..].into(), &mut || {
            asked += 1;
            Watch::Stays
        })
        .only();
    assert!(answer.is_done());
    assert_eq!((asked, next_hop.seen().dots), (blocks + 2, 1));
}

#[test]
fn shim_10_an_empty_message_is_not_dotted_either() {
    let next_hop = Scripted::that_works();
    let mut hop = connect(next_hop.address);
    envelope(&mut hop);
    let mut asked = 0;
    let answer = hop
        .data(b""[..].into(), &mut || {
            asked += 1;
            if asked == 2 {
                Watch::Gone
            } else {
                Watch::Stays
            }
        })
        .only();
    assert_eq!(answer.cause, Cause::ClientGone);
    drop(hop);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(next_hop.seen().dots, 0);
}

/// The next hop cuts, resets or stalls within the message, or says something.
#[test]
fn t115_a_next_hop_that_fails_in_the_message_sees_no_dot() {
    let message = b"0123456789abcd\r\n".repeat(80 * BLOCK / 16);
    for block in [0, 1, 20] {
        for (act, speaks) in [
            (Act::Last(Vec::new()), false),
            (Act::Last(b"552 5.3.4 too big\r\n".to_vec()), false),
            (Act::Reset, false),
            (Act::Stall, false),
            (say("452 4.3.1 full\r\n"), true),
        ] {
            let next_hop = Scripted::that(Stage::Body(block * BLOCK + 1), act.clone());
            let mut hop = connect(next_hop.address);
            hop.timeouts.dot = PATIENCE;
            let answer = deliver(&mut hop, &message);
            assert_eq!(answer.reply.class(), Meaning::Temporary, "{block} {act:?}");
            drop(hop);
            // What is said late in the message may find all of it on its way; it is the answer to the dot then.
            assert!(
                next_hop.seen().dots == 0 || (speaks && block > 1),
                "{block} {act:?} {}",
                answer.reply
            );
        }
    }
}

#[test]
fn t117_after_the_last_reply_nothing_matters() {
    for act in [
        Act::Silence,
        Act::Reset,
        Act::Last(Vec::new()),
        say("550 no\r\n"),
        say("junk"),
    ] {
        let next_hop = Scripted::that(Stage::Quit, act);
        let mut hop = connect(next_hop.address);
        assert!(deliver(&mut hop, b"x\r\n").is_done());
        let start = Instant::now();
        hop.quit();
        assert!(start.elapsed() < 2 * PATIENCE);
        assert_eq!(next_hop.seen().commands.last().unwrap(), "QUIT\r\n");
    }
}
