//! Commands that go out together, against next hops that answer them rightly and wrongly, by each way out.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use mimicry_core::envelope::Path;
use mimicry_core::origin::Origin;
use mimicry_core::settings::endpoint::Protocol;

use super::super::ahead::MOST_LINES;
use super::super::conformance::TIMEOUTS;
use super::super::scripted::{Act, Script, Scripted, Stage};
use super::super::smtp::SmtpHop;
use super::super::stream::ServerAddress;
use super::super::wire::{Patience, WireHop};
use super::super::{NextHop, Watch};
use super::*;

/// The ways out that speak to a server.
#[derive(Clone, Copy, Debug)]
enum Way {
    Lettre,
    Smtp,
    Lmtp,
    Unix,
}

const WAYS: [Way; 4] = [Way::Lettre, Way::Smtp, Way::Lmtp, Way::Unix];

fn line_to(way: Way, place: ServerAddress<'_>) -> Box<dyn NextHop> {
    let protocol = match way {
        Way::Lmtp => Protocol::Lmtp,
        Way::Lettre | Way::Smtp | Way::Unix => Protocol::Smtp,
    };
    let hop =
        WireHop::in_the_clear(place, protocol, "me", TIMEOUTS, Patience::until(None)).unwrap();
    match way {
        Way::Lettre => Box::new(SmtpHop::over(hop).map_err(|failed| failed.1).unwrap()),
        Way::Smtp | Way::Lmtp | Way::Unix => Box::new(hop),
    }
}

fn meet(way: Way, script: Script) -> (Scripted, Box<dyn NextHop>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hop");
    match way {
        Way::Unix => {
            let next_hop = Scripted::on_unix(&path, script);
            let hop = line_to(way, ServerAddress::Unix(&path));
            (next_hop, hop)
        }
        Way::Lettre | Way::Smtp | Way::Lmtp => {
            let next_hop = Scripted::start(script);
            let hop = line_to(way, ServerAddress::Tcp(next_hop.address));
            (next_hop, hop)
        }
    }
}

const NAMES: [&str; 3] = ["one", "two", "three"];

/// Gives MAIL and three recipients ahead, and asks for each until MAIL is refused; the answers, in words.
fn transaction(hop: &mut dyn NextHop) -> Vec<String> {
    let paths = NAMES.map(Path::new);
    let recipients: Vec<(&Path, Vec<u8>)> = paths.iter().map(|path| (path, Vec::new())).collect();
    let (origin, sender) = (Origin::default(), Path::new("a@b"));
    let given = hop.ahead(Ahead {
        opening: Some((&origin, &sender, b"")),
        recipients: &recipients,
    });
    assert_eq!((given, hop.is_ahead()), (3, true));
    let said = |answer: &Answer| format!("{} {:?}", answer.reply.code(), answer.cause);
    assert!(hop.introduce(&origin).is_done());
    let mail = hop.mail(&sender, b"");
    let mut answers = vec![said(&mail)];
    if mail.is_done() {
        let rcpts = paths.iter().map(|path| hop.rcpt(path, b""));
        answers.extend(rcpts.map(|answer| said(&answer)).collect::<Vec<_>>());
        assert!(!hop.is_ahead());
    }
    answers
}

/// At the nth time that this stage is reached.
fn at(stage: Stage, nth: usize, act: Act) -> Script {
    let reached = Mutex::new(0);
    Box::new(move |_, now| {
        let mut reached = reached.lock().unwrap();
        *reached += usize::from(now == stage);
        (now == stage && *reached == nth).then(|| act.clone())
    })
}

fn say(text: &str) -> Act {
    Act::Say(text.as_bytes().to_vec())
}

fn last(text: &str) -> Act {
    Act::Last(text.as_bytes().to_vec())
}

fn surplus(text: &str) -> Act {
    Act::Surplus(text.as_bytes().to_vec())
}

/// What a next hop answers, and what each command is told of it: exactly what it was told one by one, but where nobody can say which
/// reply is whose.
#[test]
fn each_command_has_its_own_reply_or_none() {
    let (mail, rcpt) = (Stage::Mail, Stage::Rcpt);
    let fine = "250 Said, 250 Said, 250 Said, 250 Said";
    let nobody = "451 OutOfStep";
    for (stage, nth, act, expected, usable) in [
        (Stage::Quit, 1, say(""), fine, true),
        // A refusal is that of its own command.
        (
            rcpt,
            2,
            say("550 5.1.1 no\r\n"),
            "250 Said, 250 Said, 550 Said, 250 Said",
            true,
        ),
        (
            rcpt,
            1,
            say("450-4.2.0 a\r\n450 4.2.0 b\r\n"),
            "250 Said, 450 Said, 250 Said, 250 Said",
            true,
        ),
        (
            rcpt,
            3,
            say("550\r\n"),
            "250 Said, 250 Said, 250 Said, 550 Said",
            true,
        ),
        (
            rcpt,
            2,
            say("550 pr\u{e4}t\r\n"),
            "250 Said, 250 Said, 550 Said, 250 Said",
            true,
        ),
        // MAIL is refused, and RCPT taken all the same.
        (mail, 1, say("550 5.7.1 not you\r\n"), "550 Said", false),
        // It closes in the middle, with a word and without.
        (
            rcpt,
            2,
            say("421 4.3.2 closing\r\n"),
            "250 Said, 250 Said, 451 Said, 451 Lost",
            false,
        ),
        (
            rcpt,
            2,
            last("421 4.3.2 closing\r\n"),
            "250 Said, 250 Said, 451 Said, 451 Lost",
            false,
        ),
        (
            rcpt,
            2,
            last(""),
            "250 Said, 250 Said, 451 Lost, 451 Lost",
            false,
        ),
        (
            rcpt,
            3,
            last("25"),
            "250 Said, 250 Said, 250 Said, 451 Lost",
            false,
        ),
        (mail, 1, last(""), "451 Lost", false),
        (mail, 1, say("421 4.3.2 closing\r\n"), "451 Said", false),
        // Fewer replies.
        (
            rcpt,
            3,
            Act::Silence,
            "250 Said, 250 Said, 250 Said, 451 TimedOut",
            false,
        ),
        (
            rcpt,
            2,
            say("what?\r\n"),
            "250 Said, 250 Said, 451 NotUnderstood, 451 NotUnderstood",
            false,
        ),
        (
            rcpt,
            1,
            say("354 go on\r\n"),
            "250 Said, 451 NotUnderstood, 451 NotUnderstood, 451 NotUnderstood",
            false,
        ),
        // More replies: no one's is certain.
        (rcpt, 3, surplus("250 2.0.0 x\r\n"), nobody, false),
        (rcpt, 3, surplus("2"), nobody, false),
        // A farewell may come at any time, and is no reply.
        (rcpt, 3, surplus("421 4.3.2 closing\r\n"), fine, false),
        // Late, but there.
        (
            rcpt,
            2,
            Act::Drip(b"250 2.1.5 slow\r\n".to_vec(), Duration::from_millis(5)),
            fine,
            true,
        ),
    ] {
        for way in WAYS {
            let (next_hop, mut hop) = meet(way, at(stage, nth, act.clone()));
            let answers = transaction(hop.as_mut());
            let name = format!("{way:?} {stage:?} {nth} {act:?}");
            assert_eq!(answers.join(", "), expected, "{name}");
            assert_eq!(hop.is_usable(), usable, "{name}");
            // What is left over goes with the transaction.
            if answers.len() == 1 && answers[0].starts_with('5') {
                hop.forget();
                assert!(hop.is_in_transaction() && hop.reset().is_done(), "{name}");
                assert_eq!(transaction(hop.as_mut()).join(", "), fine, "{name}");
                assert_eq!(next_hop.seen().connections, 1, "{name}");
            }
            if usable {
                let answers = hop.data(b"x\r\n"[..].into(), &mut || Watch::Stays);
                assert!(answers.are_done(), "{name} {answers:?}");
                // The line goes on as ever.
                assert!(hop.mail(&Path::new("a@b"), b"").is_done(), "{name}");
                assert!(hop.rcpt(&Path::new("c@d"), b"").is_done(), "{name}");
            }
        }
    }
}

/// A reply too many in the middle is taken for the next one's until the last has come, whenever that is; no mail goes over the line.
#[test]
fn a_reply_too_many_in_the_middle_ends_the_line() {
    for (stage, text) in [
        (Stage::Mail, "550 5.0.0 no\r\n"),
        (Stage::Mail, "250 2.0.0 x\r\n"),
        (Stage::Rcpt, "250 2.0.0 x\r\n"),
        (Stage::Rcpt, "354 x\r\n"),
    ] {
        for way in WAYS {
            let (next_hop, mut hop) = meet(way, at(stage, 1, surplus(text)));
            transaction(hop.as_mut());
            thread::sleep(Duration::from_millis(30));
            assert!(!hop.is_usable(), "{way:?} {text}");
            let answers = hop.data(b"x\r\n"[..].into(), &mut || Watch::Stays);
            let all_451 = answers.iter().all(|answer| answer.reply.code() == 451);
            assert!(all_451, "{way:?} {text} {answers:?}");
            assert_eq!(next_hop.seen().dots, 0);
        }
    }
}

/// A server that says nothing before it has seen the last command: each of them is there, in order, in one write.
#[test]
fn they_go_out_together() {
    for way in [Way::Lettre, Way::Smtp] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let read = |stream: &mut std::net::TcpStream| {
                let mut octets = [0; 4096];
                let count = stream.read(&mut octets).unwrap();
                String::from_utf8(octets[..count].to_vec()).unwrap()
            };
            stream.write_all(b"220 hi\r\n").unwrap();
            read(&mut stream);
            stream
                .write_all(b"250-hi\r\n250-XFORWARD NAME\r\n250 PIPELINING\r\n")
                .unwrap();
            let seen = read(&mut stream);
            stream.write_all(&b"250 ok\r\n".repeat(5)).unwrap();
            seen
        });
        let mut hop = line_to(way, ServerAddress::Tcp(address));
        assert_eq!(
            transaction(hop.as_mut()).join(", "),
            "250 Said, 250 Said, 250 Said, 250 Said"
        );
        assert_eq!(
            server.join().unwrap(),
            "XFORWARD NAME=[UNAVAILABLE]\r\nMAIL FROM:<a@b>\r\nRCPT TO:<one>\r\nRCPT TO:<two>\r\nRCPT TO:<three>\r\n"
        );
    }
}

/// A server that does not offer it has each command when the one before has its reply.
#[test]
fn to_others_one_by_one() {
    let (_next_hop, mut hop) = meet(
        Way::Smtp,
        Box::new(|_, stage| match stage {
            Stage::Ehlo => Some(say("250-hop\r\n250 SIZE 1000\r\n")),
            _ => None,
        }),
    );
    let path = Path::new("one");
    let given = hop.ahead(Ahead {
        opening: Some((&Origin::default(), &path, b"")),
        recipients: &[(&path, Vec::new()), (&path, Vec::new())],
    });
    assert_eq!((given, hop.is_ahead()), (0, false));
    assert!(!hop.is_in_transaction());
}

/// Who asks for something else than was given has no answer, and the line is not used again: nothing that the next hop was told goes
/// further than the client knows of.
#[test]
fn what_was_not_asked_for_goes_no_further() {
    for way in WAYS {
        let (next_hop, mut hop) = meet(way, Box::new(|_, _| None));
        let (sender, paths) = (Path::new("a@b"), NAMES.map(Path::new));
        let recipients: Vec<(&Path, Vec<u8>)> =
            paths.iter().map(|path| (path, Vec::new())).collect();
        hop.ahead(Ahead {
            opening: Some((&Origin::default(), &sender, b"")),
            recipients: &recipients,
        });
        assert!(hop.mail(&sender, b"").is_done() && hop.rcpt(&paths[0], b"").is_done());
        assert!(!hop.is_usable() && !hop.is_in_order());
        let answers = hop.data(b"x\r\n"[..].into(), &mut || Watch::Stays);
        assert!(
            answers
                .iter()
                .all(|answer| answer.cause == Cause::OutOfStep),
            "{way:?}"
        );
        assert!(!hop.is_usable());
        thread::sleep(Duration::from_millis(20));
        assert_eq!(next_hop.seen().dots, 0);
    }
}

/// More than go at once, and longer ones: the rest is for another time, and nobody waits for each other.
#[test]
fn there_is_a_bound() {
    for (count, length, expected) in [(500, 10, MOST_LINES), (99, 10, 99), (60, 900, 17)] {
        for way in WAYS {
            let (_next_hop, mut hop) = meet(way, Box::new(|_, _| None));
            let paths: Vec<Path> = (0..count)
                .map(|number| Path::new(format!("{number:0length$}@d").as_bytes()))
                .collect();
            let recipients: Vec<(&Path, Vec<u8>)> =
                paths.iter().map(|path| (path, Vec::new())).collect();
            let sender = Path::new("a@b");
            let began = Instant::now();
            let mut given = hop.ahead(Ahead {
                opening: Some((&Origin::default(), &sender, b"")),
                recipients: &recipients,
            });
            assert_eq!(given, expected, "{way:?} {length}");
            assert!(hop.mail(&sender, b"").is_done());
            for (at, path) in paths.iter().enumerate() {
                if !hop.is_ahead() && at > 0 {
                    given += hop.ahead(Ahead {
                        opening: None,
                        recipients: &recipients[at..],
                    });
                }
                assert!(hop.rcpt(path, b"").is_done(), "{way:?} {at}");
            }
            // A last one alone goes as ever.
            assert!(given + 1 >= count, "{given} of {count}");
            assert!(began.elapsed() < Duration::from_secs(5));
        }
    }
}
