//! The ways out: LMTP, unix sockets, XFORWARD, a login, and next hops that lack an extension.
//!
//! TLS is tried in `mimicryd/src/relay/wire/tests.rs`, with certificates of every kind, and with a real server in `interop/`.

use std::fs::Permissions;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;

use crate::harness::client::{Client, Reply, stuffed};
use crate::harness::daemon::{Daemon, PLAIN, Setup, World, open_directory, prepared};
use crate::harness::hop::{Act, Hop, Stage};
use crate::harness::{Directory, mail, run};

const FROM: &str = "anna@example.org";
const THREE: &[&str] = &["one@example.net", "two@example.net", "three@example.net"];

/// A next hop, and a daemon that speaks to it as `relay` says: `SOCKET` and `PORT` in it become those of the next hop.
fn world(relay: &str) -> (Hop, Daemon, Directory) {
    world_with(relay, "")
}

fn world_with(relay: &str, listen: &str) -> (Hop, Daemon, Directory) {
    let hop = Hop::new();
    let (directory, path) = open_directory();
    let socket = path.join("hop.sock");
    bridge(&socket, hop.address);
    let relay = relay
        .replace("SOCKET", socket.to_str().expect("a path of ours"))
        .replace("PORT", &hop.address.port().to_string());
    let setup = Setup {
        relay: &relay,
        listen,
        ..Setup::default()
    };
    let daemon = Daemon::start(&setup, &hop);
    (hop, daemon, directory)
}

/// What comes to the socket goes to the address, and back.
pub fn bridge(socket: &Path, address: SocketAddr) {
    let listener = UnixListener::bind(socket).expect("a socket");
    // The workers are another user.
    std::fs::set_permissions(socket, Permissions::from_mode(0o777)).expect("our socket");
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(address) else {
                return;
            };
            let (from_client, from_server): (UnixStream, TcpStream) = (
                client.try_clone().expect("a descriptor"),
                server.try_clone().expect("a descriptor"),
            );
            thread::spawn(move || pump(from_client, server, |server| server.shutdown(END)));
            thread::spawn(move || pump(from_server, client, |client| client.shutdown(END)));
        }
    });
}

const END: std::net::Shutdown = std::net::Shutdown::Both;

fn pump<R: io::Read, W: io::Write>(mut from: R, mut to: W, end: impl Fn(&W) -> io::Result<()>) {
    let _ = io::copy(&mut from, &mut to);
    let _ = end(&to);
}

fn send(daemon: &Daemon, to: &[&str], message: &[u8]) -> Reply {
    let mut client = Client::connect(daemon.address).greeted();
    client.mail(FROM, to, message)
}

/// A mail that is not another one's retry.
fn numbered(number: usize) -> Vec<u8> {
    let id = format!("Message-ID: <{number}@example.org>");
    String::from_utf8_lossy(PLAIN)
        .replace("Message-ID: <plain@example.org>", &id)
        .into_bytes()
}

/// Who has it, in the order of the mails that the next hop took.
fn recipients(hop: &Hop) -> Vec<String> {
    hop.mails()
        .iter()
        .flat_map(|taken| {
            taken
                .recipients()
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        })
        .collect()
}

// T74
// man: mimicry.toml(5) "With single each recipient has a transaction and a connection of its own"
#[test]
fn an_lmtp_next_hop_gets_recipients_one_by_one() {
    for relay in [
        "next_hop = \"lmtp://127.0.0.1:PORT\"\nlmtp_partial = \"single\"",
        "next_hop = \"lmtp://SOCKET\"\nlmtp_partial = \"single\"",
    ] {
        let (hop, daemon, _socket) = world(relay);
        assert_eq!(send(&daemon, THREE, PLAIN).to_string(), "250 2.0.0 taken");
        let mails = hop.mails();
        let all: Vec<Vec<&str>> = mails.iter().map(|taken| taken.recipients()).collect();
        assert_eq!(
            all,
            THREE.iter().map(|name| vec![*name]).collect::<Vec<_>>(),
            "{relay}"
        );
        for taken in &mails {
            assert!(taken.message().ends_with(PLAIN));
            assert!(taken.message().starts_with(b"Received: from "));
        }
        assert_eq!((hop.count("LHLO"), hop.count("EHLO")), (3, 0), "{relay}");
        // One recipient that is refused at RCPT is refused there.
        hop.behave(|moment| match moment.line.contains("two@") {
            true if moment.stage == Stage::Rcpt => Act::Say(b"550 5.1.1 no\r\n".to_vec()),
            _ => Act::Normal,
        });
        let mut client = Client::connect(daemon.address).greeted();
        client.says("MAIL FROM:<anna@example.org>", 250);
        client.says("RCPT TO:<one@example.net>", 250);
        let refused = client.says("RCPT TO:<two@example.net>", 550);
        assert_eq!(refused.to_string(), "550 5.1.1 no");
        assert!(client.data(PLAIN).is_done());
        assert_eq!(recipients(&hop), ["one@example.net"]);
    }
}

// T74
#[test]
fn mixed_replies_of_an_lmtp_next_hop_are_a_4xx() {
    for partial in ["single", "class"] {
        for target in ["127.0.0.1:PORT", "SOCKET"] {
            let (hop, daemon, _socket) = world(&format!(
                "next_hop = \"lmtp://{target}\"\nlmtp_partial = \"{partial}\""
            ));
            for (number, (act, expected)) in [
                (Act::Say(b"452 4.2.2 full\r\n".to_vec()), "452 4.2.2 full"),
                (
                    Act::Say(b"450-4.2.2 a\r\n450 4.2.2 b\r\n".to_vec()),
                    "450 4.2.2 ",
                ),
                (Act::Say(b"what?\r\n".to_vec()), "451 4.5.0 "),
                (Act::Close, "451 4.4.2 "),
            ]
            .into_iter()
            .enumerate()
            {
                hop.behave(move |moment| match moment.line.contains("three@") {
                    true if moment.stage == Stage::Dot => act.clone(),
                    _ => Act::Normal,
                });
                let mail = numbered(number);
                let reply = send(&daemon, THREE, &mail);
                assert!(
                    reply.to_string().starts_with(expected),
                    "{partial} {target}: {reply}"
                );
                // Whoever is not the last has it; nobody else is said to have it.
                assert_eq!(recipients(&hop), THREE[..2], "{partial} {target}: {reply}");
                // The retry is for who has not got it.
                hop.behave_well();
                assert!(send(&daemon, THREE, &mail).is_done());
                assert_eq!(recipients(&hop), THREE[2..], "{partial} {target}: {reply}");
            }
            // All refused for good.
            hop.at(Stage::Dot, Act::Say(b"552 5.2.2 too big\r\n".to_vec()));
            let reply = send(&daemon, THREE, PLAIN);
            assert_eq!(reply.to_string(), "552 5.2.2 too big", "{partial}");
            hop.behave_well();
            assert!(send(&daemon, THREE, PLAIN).is_done());
            assert_eq!(recipients(&hop), THREE);
        }
    }
}

#[test]
fn a_class_is_one_transaction_if_that_is_wanted() {
    let (hop, daemon, _socket) = world("next_hop = \"lmtp://SOCKET\"\nlmtp_partial = \"class\"");
    assert!(send(&daemon, THREE, PLAIN).is_done());
    assert_eq!(hop.only_mail().recipients(), THREE);
    assert_eq!(hop.count("MAIL"), 1);
}

#[test]
fn smtp_over_a_unix_socket() {
    let (hop, daemon, _socket) = world("next_hop = \"smtp://SOCKET\"");
    let mut client = Client::connect(daemon.address).greeted();
    for _ in 0..3 {
        assert_eq!(
            client.mail(FROM, THREE, PLAIN).to_string(),
            "250 2.0.0 taken"
        );
        assert_eq!(hop.only_mail().recipients(), THREE);
    }
    assert_eq!((hop.count("EHLO"), hop.count("RSET")), (1, 0), "one line");
}

// T95
#[test]
fn a_next_hop_that_knows_only_helo() {
    let (hop, daemon, _socket) = world("next_hop = \"smtp://SOCKET\"");
    hop.at(Stage::Ehlo, Act::Say(b"500 5.5.1 what?\r\n".to_vec()));
    assert!(send(&daemon, &["one@example.net"], PLAIN).is_done());
    assert_eq!(hop.count("HELO"), 1);
}

// T70
// man: mimicryd(8) "A next hop that offers XFORWARD is told the origin of each mail"
#[test]
fn a_next_hop_that_offers_xforward_is_told_the_origin() {
    let world = World::new(Setup::default());
    world
        .hop
        .offer(&["8BITMIME", "XFORWARD NAME ADDR PROTO HELO SOURCE"]);
    for _ in 0..2 {
        world.pass(PLAIN);
    }
    let told: Vec<String> = world.hop.see(|record| {
        record
            .commands
            .iter()
            .map(|(_, line)| line.clone())
            .filter(|line| line.starts_with("XFORWARD") || line.starts_with("MAIL"))
            .collect()
    });
    let forward = "XFORWARD NAME=[UNAVAILABLE] ADDR=127.0.0.1 PROTO=ESMTP HELO=client.test SOURCE=[UNAVAILABLE]";
    let mail = "MAIL FROM:<anna@example.org>";
    assert_eq!(told, [forward, mail, forward, mail]);
}

// T67
// man: mimicryd(8) "A next hop without 8BITMIME gets no 8-bit octet"
#[test]
fn eight_bit_content_for_a_next_hop_that_takes_seven() {
    let world = World::new(Setup::default());
    world.hop.offer(&["PIPELINING"]);
    let header =
        "From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n";
    let eight = format!("{header}Content-Transfer-Encoding: 8bit\r\n\r\nviele Grüße = x\r\n");
    let seven = format!(
        "{header}Content-Transfer-Encoding: quoted-printable\r\n\r\nviele Gr=C3=BC=C3=9Fe =3D x\r\n"
    );
    let arrived = world.pass(eight.as_bytes());
    assert_eq!(
        arrived.escape_ascii().to_string(),
        seven.as_bytes().escape_ascii().to_string()
    );
    // What is 7-bit stays as it is.
    assert_eq!(world.pass(PLAIN), PLAIN);
    let signed = mail("demo-pgp-signed.eml");
    let signed = [&signed[..signed.len() - 1], b"\xc3\xbc\r\n"].concat();
    for message in [
        signed.as_slice(),
        "From: Jürgen <a@b>\r\n\r\nx\r\n".as_bytes(),
    ] {
        let reply = world.client().mail(FROM, &["bob@example.net"], message);
        assert!(reply.to_string().starts_with("554 5.6.3 "), "{reply}");
    }
    assert!(world.hop.mails().is_empty());
}

// T66, T68
// man: mimicryd(8) "Parameters of DSN are dropped for a next hop without DSN."
// man: mimicryd(8) "or deferred with a 450 if SMTPUTF8 was offered to the client because this next hop was believed to have it."
#[test]
fn extensions_that_the_next_hop_lost() {
    let world = World::new(Setup::default());
    let mut client = world.client();
    world.hop.offer(&["8BITMIME"]);
    world.hop.hang_up();
    client.says("MAIL FROM:<anna@example.org> RET=HDRS ENVID=x", 250);
    client.says("RCPT TO:<bob@example.net> NOTIFY=NEVER", 250);
    assert!(client.data(PLAIN).is_done());
    let taken = world.hop.only_mail();
    assert_eq!(
        (taken.from.as_str(), taken.to.concat().as_str()),
        ("<anna@example.org>", "<bob@example.net>")
    );
    client.says("MAIL FROM:<ä@example.org> SMTPUTF8", 250);
    let refused = client.says("RCPT TO:<bob@example.net>", 450);
    assert!(refused.to_string().starts_with("450 4.6.7 "), "{refused}");
    client.says("RSET", 250);
    assert!(client.mail(FROM, &["bob@example.net"], PLAIN).is_done());
}

// man: mimicry.toml(5) "The master reads it, at the start and on reload"
#[test]
fn the_daemon_logs_in() {
    let hop = Hop::new();
    hop.offer(&["8BITMIME", "AUTH PLAIN"]);
    let (directory, path) = open_directory();
    let file = path.join("password");
    std::fs::write(&file, "s e cret\nnot this\n").expect("a file");
    std::fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("our file");
    let relay = format!("user = \"me\"\npassword_file = \"{}\"", file.display());
    let setup = Setup {
        relay: &relay,
        errors: &["cannot be used as configured", "configuration refused"],
        ..Setup::default()
    };
    let daemon = Daemon::start(&setup, &hop);
    assert!(send(&daemon, THREE, PLAIN).is_done());
    assert_eq!(hop.count("AUTH PLAIN AG1lAHMgZSBjcmV0"), 1);
    // A login that is refused defers every mail, and is logged once, without the password.
    hop.hang_up();
    hop.offer(&["8BITMIME", "AUTH GSSAPI"]);
    for _ in 0..3 {
        let mut client = Client::connect(daemon.address).greeted();
        client.says("MAIL FROM:<anna@example.org>", 250);
        let reply = client.says("RCPT TO:<one@example.net>", 451);
        assert!(reply.to_string().starts_with("451 4.7.0 "), "{reply}");
    }
    daemon.logs("cannot be used as configured");
    assert!(!daemon.log().contains("cret") && !daemon.log().contains("AG1l"));
    assert_eq!(daemon.mail_lines().len(), 1);

    // A file that others may read is refused, on reload and at the start.
    std::fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("our file");
    let reload = daemon.command(&["reload"]);
    assert_eq!(reload.code, 78, "{}", reload.err);
    let setup = Setup {
        relay: &relay,
        ..Setup::default()
    };
    let other = prepared(&setup, ([127, 0, 0, 1], 1).into(), &hop);
    let started = run(
        other.path(),
        &["run", "--foreground", "-c", "mimicry.toml"],
        b"",
    );
    assert_eq!(started.code, 78);
    assert!(
        started
            .err
            .contains("can be read or changed by others than its owner"),
        "{}",
        started.err
    );
    drop((daemon, directory));
}

/// The answer of an LMTP next hop to each recipient, by a piece of its path.
fn answer_each(hop: &Hop, answers: &'static [(&'static str, &'static str)]) {
    hop.behave(move |moment| {
        let answer = answers
            .iter()
            .find(|(piece, _)| moment.stage == Stage::Dot && moment.line.contains(piece));
        answer.map_or(Act::Normal, |(_, line)| Act::Say(line.as_bytes().to_vec()))
    });
}

// T74
// man: mimicry.toml(5) "The client gets a 4xx if the others may still get the mail, and its retry brings the mail to
// them alone. Otherwise it gets a 5xx that names who is refused"
#[test]
fn a_class_that_an_lmtp_next_hop_takes_for_some_only() {
    for (answers, heard, retried) in [
        (
            &[("two@", "550 5.1.1 no such user\r\n")][..],
            "550 5.1.1 no such user / refused for these, all others have the mail: / <two@example.net>",
            &[][..],
        ),
        (
            &[("two@", "452 4.2.2 full\r\n")],
            "452 4.2.2 full",
            &["two@example.net"],
        ),
        (
            &[("one@", "550 5.1.1 no\r\n"), ("two@", "452 4.2.2 full\r\n")],
            "452 4.2.2 full",
            &["one@example.net", "two@example.net"],
        ),
    ] {
        let (hop, daemon, _socket) = world("next_hop = \"lmtp://SOCKET\"");
        answer_each(&hop, answers);
        let reply = send(&daemon, THREE, PLAIN);
        let lines = reply.lines.join(" / ").replace(" / 5.1.1 ", " / ");
        assert_eq!(format!("{} {lines}", reply.code), heard);
        assert_eq!(hop.count("MAIL"), 1, "one transaction");
        // The log says what the client heard, and who has not got it.
        let line = daemon.logs(" status=partial ");
        assert!(line.contains(&format!(" reply=\"{heard}\"")), "{line}");
        for (piece, said) in answers {
            let said = said.trim_end();
            let note = format!("<{piece}example.net> does not have it: {said}");
            assert!(line.contains(&note), "{note} is not in {line}");
        }
        hop.mails();
        hop.behave_well();
        let entries = std::fs::read_dir(daemon.directory.path().join("spool/ledger"));
        let entries = entries.map_or(0, Iterator::count);
        assert_eq!(
            entries,
            if retried.is_empty() {
                0
            } else {
                3 - retried.len()
            }
        );
        if !retried.is_empty() {
            assert!(send(&daemon, THREE, PLAIN).is_done());
            assert_eq!(recipients(&hop), retried);
            daemon.logs("delivered before: ");
        }
    }
}

// man: mimicry.toml(5) "Recipients belong to one class if they have the same next hop, and if the same rules and
// banks hold for them; their number does not matter."
#[test]
fn a_hundred_recipients_in_one_lmtp_transaction() {
    let (hop, daemon, _socket) = world("next_hop = \"lmtp://SOCKET\"");
    let to: Vec<String> = (0..100).map(|n| format!("r{n}@example.net")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    // Each RCPT must be answered by 250: none is put off.
    assert_eq!(send(&daemon, &to, PLAIN).to_string(), "250 2.0.0 taken");
    assert_eq!(hop.only_mail().recipients(), to);
    assert_eq!((hop.count("LHLO"), hop.count("MAIL")), (1, 1));
}

// man: mimicry.toml(5) "Without a spool nothing is remembered, and the retry goes to all."
#[test]
fn without_a_spool_an_lmtp_next_hop_gets_recipients_one_by_one() {
    let hop = Hop::new();
    let relay = format!("next_hop = \"lmtp://{}\"", hop.address);
    let setup = Setup {
        relay: &relay,
        daemon: "spool = \"/nonexistent/spool\"",
        ..Setup::default()
    };
    let daemon = Daemon::start(&setup, &hop);
    answer_each(&hop, &[("three@", "452 4.2.2 full\r\n")]);
    assert_eq!(send(&daemon, THREE, PLAIN).to_string(), "452 4.2.2 full");
    assert_eq!(hop.count("MAIL"), 3);
    assert_eq!(recipients(&hop), THREE[..2]);
    hop.behave_well();
    assert!(send(&daemon, THREE, PLAIN).is_done());
    assert_eq!(recipients(&hop), THREE);
}

// man: mimicryd(8) "If a transaction names a recipient more than once, letter for letter, it gets the mail once, by
// whatever transport."
#[test]
fn a_recipient_that_is_named_three_times_gets_the_mail_once() {
    let maildir = open_directory();
    for (relay, listen, is_lmtp) in [
        ("next_hop = \"smtp://127.0.0.1:PORT\"", "", false),
        ("next_hop = \"lmtp://SOCKET\"", "", false),
        (
            "next_hop = \"lmtp://SOCKET\"\nlmtp_partial = \"single\"",
            "",
            false,
        ),
        ("next_hop = \"lmtp://SOCKET\"", "protocol = \"lmtp\"", true),
        ("next_hop = \"maildir://MAILDIR\"", "", false),
    ] {
        let inbox = maildir.1.join("new");
        let path = maildir.1.to_str().expect("a path of ours");
        let (hop, daemon, _socket) = world_with(&relay.replace("MAILDIR", path), listen);
        let mut client = Client::connect(daemon.address);
        client.expect(220);
        client.says(if is_lmtp { "LHLO c" } else { "EHLO c" }, 250);
        let names = [
            "one@example.net",
            "two@example.net",
            "one@example.net",
            "one@example.net",
        ];
        client.envelope(FROM, &names);
        client.says("DATA", 354);
        client.send(&stuffed(PLAIN));
        for _ in 0..if is_lmtp { names.len() } else { 1 } {
            client.expect(250);
        }
        client.quit();
        match relay.contains("maildir") {
            true => assert_eq!(std::fs::read_dir(&inbox).map_or(0, Iterator::count), 1),
            false => assert_eq!(recipients(&hop), names[..2], "{relay}"),
        }
        let line = daemon.logs(" status=sent ");
        assert!(
            line.contains(" nrcpt=2 ") || relay.contains("single"),
            "{line}"
        );
    }
}

// An LMTP client hears of a recipient that it named twice what it heard of it first.
#[test]
fn a_recipient_that_is_named_twice_has_one_fate() {
    let (hop, daemon, _socket) = world_with("next_hop = \"lmtp://SOCKET\"", "protocol = \"lmtp\"");
    answer_each(&hop, &[("one@", "550 5.2.1 not here\r\n")]);
    let mut client = Client::connect(daemon.address);
    client.expect(220);
    client.says("LHLO c", 250);
    client.envelope(
        FROM,
        &["one@example.net", "two@example.net", "one@example.net"],
    );
    client.says("DATA", 354);
    client.send(&stuffed(PLAIN));
    let said: Vec<u16> = (0..3).map(|_| client.reply().code).collect();
    assert_eq!(said, [550, 250, 550]);
    client.quit();
}
