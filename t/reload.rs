//! A reload is the whole configuration: what new workers do from the start, and what becomes of the old ones and their sessions.

use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::signal::Signal;

use crate::harness::client::{Client, stuffed};
use crate::harness::contains;
use crate::harness::daemon::{PLAIN, Setup, World, eventually};
use crate::harness::hop::Stage;

// T134
// man: mimicry.toml(5) "New workers log as the new table says from their first line on."
#[test]
fn new_workers_log_as_the_new_configuration_says() {
    let mut world = World::new(Setup::default());
    let daemon = world.daemon();
    daemon.change("/log\"", "/log.new\"\nformat = \"json\"");
    let reload = daemon.command(&["reload"]);
    assert_eq!(reload.code, 0, "{}", reload.err);
    world.pass(PLAIN);
    let daemon = world.daemon();
    let path = daemon.directory.path().join("log.new");
    let new = || fs::read_to_string(&path).unwrap_or_default();
    let is_there = || new().contains("\"status\":\"sent\"") || !daemon.mail_lines().is_empty();
    assert!(eventually(is_there), "{}", daemon.said());
    assert_eq!(daemon.mail_lines(), [""; 0], "a worker lags behind");
    for line in new().lines() {
        serde_json::from_str::<serde_json::Value>(line).expect("every line is JSON");
    }
}

// T134
// man: mimicry.toml(5) "If the new log cannot be opened, the reload is refused."
#[test]
fn a_log_that_cannot_be_opened_is_refused() {
    let mut world = World::new(Setup {
        errors: &["configuration refused"],
        ..Setup::default()
    });
    let daemon = world.daemon();
    let file = daemon.directory.file("other", "");
    fs::hard_link(file, daemon.directory.path().join("taken")).expect("a second name");
    daemon.change("/log\"", "/taken\"");
    let reload = daemon.command(&["reload"]);
    assert_eq!(reload.code, 78, "{}", reload.text());
    assert!(
        reload.err.contains("cannot open the log: "),
        "{}",
        reload.err
    );
    world.pass(PLAIN);
    world.daemon().logs(" status=sent");
}

/// Rules by which it is seen which configuration a mail met.
const OLD: &str = "[[rule]]\nname = \"r\"\nplugin = \"disclaim\"\noptions = { text = \"old words\", html = \"old words\" }\n";

const FROM: &str = "anna@example.org";
const TO: &[&str] = &["bob@example.net"];

/// A daemon with new words in its file.
fn changed(world: &mut World) {
    world.daemon().change("old words", "new words");
    let reload = world.daemon().command(&["reload"]);
    assert_eq!(reload.code, 0, "{}", reload.err);
}

/// The one mail that arrived has these words.
#[track_caller]
fn has(world: &World, words: &str) {
    let message = world.hop.only_mail().message();
    assert!(
        contains(&message, words.as_bytes()),
        "{}",
        message.escape_ascii()
    );
}

/// The session is ended by us.
#[track_caller]
fn is_sent_away(client: &mut Client) {
    let reply = client.expect(421);
    assert_eq!(reply.enhanced(), Some("4.3.2"), "{reply}");
    client.end();
}

// T134
// man: mimicryd(8) "An open session finishes the mail in hand under the old rules and then ends with 421 4.3.2; an
// idle one ends at once."
#[test]
fn an_open_session_finishes_its_mail_and_ends() {
    let mut world = World::new(Setup {
        rules: OLD,
        ..Setup::default()
    });
    let mut idle = world.client();
    assert!(idle.mail(FROM, TO, PLAIN).is_done());
    has(&world, "old words");
    let mut reused = world.client();
    assert!(reused.mail(FROM, TO, PLAIN).is_done());
    has(&world, "old words");
    // As an MTA that asks whether the session still holds before it sends the next mail.
    reused.says("RSET", 250);
    let fresh = world.client();
    let mut open = world.client();
    open.envelope(FROM, TO);
    let mut silent = world.client();
    let mut held = world.held(Stage::Dot);
    // One that ends the session in the same breath.
    let mut ending = world.client();
    ending.envelope(FROM, TO);
    ending.says("DATA", 354);
    changed(&mut world);
    is_sent_away(&mut idle);
    world.hop.behave_well();
    world.hop.release();
    held.expect(250);
    has(&world, "old words");
    is_sent_away(&mut held);
    ending.send(&[&stuffed(PLAIN)[..], b"QUIT\r\n"].concat());
    ending.expect(250);
    ending.expect(221);
    has(&world, "old words");
    for mut client in [reused, fresh] {
        assert!(client.mail(FROM, TO, PLAIN).is_done());
        has(&world, "old words");
        is_sent_away(&mut client);
    }
    assert!(open.data(PLAIN).is_done());
    has(&world, "old words");
    is_sent_away(&mut open);
    is_sent_away(&mut silent);
    assert!(world.client().mail(FROM, TO, PLAIN).is_done());
    has(&world, "new words");
}

/// As [`is_sent_away`], but the client says QUIT first, as programs do that send one mail: its mail was taken, and nothing that it hears
/// may say otherwise.
#[track_caller]
fn may_say_quit(client: &mut Client) {
    client.says("QUIT", 221);
    client.end();
}

// T134
// man: mimicryd(8) "After a mail the client has 1 second to say QUIT, and hears 221; any other command is answered
// with 421."
#[test]
fn a_client_that_says_quit_after_its_mail_does_not_hear_421() {
    let mut world = World::new(Setup {
        rules: OLD,
        ..Setup::default()
    });
    let mut quits = world.held(Stage::Dot);
    let mut asks = world.client();
    asks.envelope(FROM, TO);
    let mut sends = world.client();
    sends.envelope(FROM, TO);
    changed(&mut world);
    world.hop.behave_well();
    world.hop.release();
    quits.expect(250);
    may_say_quit(&mut quits);
    has(&world, "old words");
    assert!(asks.data(PLAIN).is_done());
    has(&world, "old words");
    asks.send(b"RSET\r\n");
    is_sent_away(&mut asks);
    // No second mail under the old rules, however soon it comes.
    sends.says("DATA", 354);
    sends.send(&[&stuffed(PLAIN)[..], b"MAIL FROM:<anna@example.org>\r\n"].concat());
    sends.expect(250);
    is_sent_away(&mut sends);
    has(&world, "old words");
    // The same when the daemon stops.
    let mut last = world.held(Stage::Dot);
    world.daemon().signal(Signal::SIGTERM);
    world.daemon().logs("stopping");
    world.hop.behave_well();
    world.hop.release();
    last.expect(250);
    may_say_quit(&mut last);
    world.daemon().ends();
}

/// Sends mails as an MTA does that keeps sessions: before each further mail it asks by RSET whether the session holds, and
/// connects anew where it does not. Returns how many it sent, and how often it was sent away.
fn keeps_sending(address: SocketAddr, is_over: &AtomicBool) -> (usize, usize) {
    let (mut sent, mut away) = (0, 0);
    let mut client = Client::connect(address).greeted();
    while !is_over.load(Ordering::Relaxed) {
        if !client.try_ask(b"RSET").is_ok_and(|reply| reply.is_done()) {
            away += 1;
            client = Client::connect(address).greeted();
        }
        let reply = client.mail(FROM, TO, PLAIN);
        assert!(reply.is_done(), "a mail is deferred: {reply}");
        sent += 1;
    }
    (sent, away)
}

// T134
// man: mimicryd(8) "No mail is deferred by that:"
#[test]
fn no_client_defers_a_mail_because_of_a_reload() {
    let mut world = World::new(Setup {
        rules: OLD,
        ..Setup::default()
    });
    let address = world.address();
    let is_over = AtomicBool::new(false);
    let (sent, away) = thread::scope(|scope| {
        let senders: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| keeps_sending(address, &is_over)))
            .collect();
        for _ in 0..6 {
            let reload = world.daemon().command(&["reload"]);
            assert_eq!(reload.code, 0, "{}", reload.err);
        }
        is_over.store(true, Ordering::Relaxed);
        senders
            .into_iter()
            .map(|sender| sender.join().expect("a sender"))
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    });
    assert!(away >= 4, "{away} sessions were ended, {sent} mails sent");
    assert_eq!(world.hop.mails().len(), sent);
}

/// The generation in the line of the mail that is sent now.
fn generation(world: &mut World) -> String {
    let before = world.daemon().mail_lines().len();
    world.pass(PLAIN);
    let daemon = world.daemon();
    assert!(
        eventually(|| daemon.mail_lines().len() > before),
        "{}",
        daemon.said()
    );
    let line = daemon.mail_lines().pop().unwrap_or_default();
    let value = line
        .split(" generation=")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    value
        .unwrap_or_else(|| panic!("no generation in {line}"))
        .into()
}

// T134
// man: mimicryd(8) "the first eight digits of the SHA-256 of the configuration"
#[test]
fn the_generation_is_a_hash_of_all_that_was_loaded() {
    let rule = "[[rule]]\nname = \"r\"\nplugin = \"disclaim\"\noptions = { text_file = \"footer.txt\", html = \"w\" }\n";
    let mut world = World::new(Setup {
        rules: OLD,
        ..Setup::default()
    });
    let footer = world.daemon().directory.path().join("footer.txt");
    let seen = |world: &mut World| {
        let reload = world.daemon().command(&["reload"]);
        assert_eq!(reload.code, 0, "{}", reload.err);
        let logged = generation(world);
        let status = world.daemon().command(&["status"]);
        let shown = format!(", hash {logged}\n");
        assert!(status.text().contains(&shown), "{}", status.text());
        let json = world.daemon().command(&["status", "--json"]);
        let json: serde_json::Value = serde_json::from_str(json.text()).expect("JSON");
        assert_eq!(json["generation_hash"], *logged);
        let workers = json["workers"].as_array().expect("workers");
        let is_new = |worker: &serde_json::Value| worker["generation_hash"] == *logged;
        assert!(workers.iter().any(is_new), "{json}");
        logged
    };
    let first = generation(&mut world);
    assert_eq!(first.len(), 8);
    assert!(
        first.bytes().all(|octet| octet.is_ascii_hexdigit()),
        "{first}"
    );
    assert_eq!(seen(&mut world), first, "the same files");
    fs::write(&footer, "one\n").expect("a footer");
    world.daemon().change(OLD, rule);
    let one = seen(&mut world);
    fs::write(&footer, "two\n").expect("a footer");
    let two = seen(&mut world);
    world.daemon().change(rule, OLD);
    let last = seen(&mut world);
    assert_ne!(one, first);
    assert_ne!(two, one, "a text that the file names has changed");
    assert_eq!(last, first, "changed back");
}

// T134
// man: mimicryd(8) "At most four commands may wait at a time;"
// man: mimicryd(8) "With -wait it returns only when the last worker with an older configuration has ended, and says
// how long that took."
#[test]
fn reload_waits_for_the_last_old_worker() {
    let mut world = World::new(Setup {
        rules: OLD,
        daemon: "drain_timeout = \"1s\"",
        ..Setup::default()
    });
    let old = world.daemon().workers();
    let mut open = world.client();
    open.envelope(FROM, TO);
    world.daemon().change("old words", "new words");
    let daemon = &*world.daemon();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| daemon.command(&["reload", "--wait"]));
        daemon.logs("is in force, generation 2");
        // Another one, that does not wait, is answered meanwhile.
        let other = daemon.command(&["reload"]);
        assert_eq!(other.code, 0, "{}", other.err);
        assert!(!waiting.is_finished(), "an old worker has a mail in hand");
        assert!(open.data(PLAIN).is_done());
        let ran = waiting.join().expect("the reload");
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(
            ran.text().contains("is in force, generation 2"),
            "{}",
            ran.text()
        );
        assert!(
            ran.text().contains("the last old worker ended after "),
            "{}",
            ran.text()
        );
        let left: Vec<_> = daemon
            .workers()
            .into_iter()
            .filter(|pid| old.contains(pid))
            .collect();
        assert!(left.is_empty(), "{left:?} are there yet");
    });
    // Not so many that nobody else is heard, and the daemon's end is an answer too.
    let mut open = world.client();
    open.envelope(FROM, TO);
    let daemon = &*world.daemon();
    let asked = || daemon.log().matches("reload was asked for").count();
    let before = asked();
    thread::scope(|scope| {
        let wait = || daemon.command(&["reload", "--wait"]);
        let waiting: Vec<_> = (0..4).map(|_| scope.spawn(wait)).collect();
        assert!(eventually(|| asked() == before + 4), "{}", daemon.said());
        let one_more = wait();
        assert_eq!(one_more.code, 75, "{}", one_more.err);
        assert_eq!(asked(), before + 4, "nothing is reloaded");
        assert_eq!(daemon.command(&["status"]).code, 0);
        let is_calm = || daemon.command(&["status"]).text().contains(", running, ");
        assert!(eventually(is_calm), "{}", daemon.said());
        assert_eq!(daemon.command(&["stop"]).code, 0);
        for one in waiting {
            let ran = one.join().expect("the reload");
            assert_eq!(ran.code, 69, "{} {}", ran.text(), ran.err);
        }
    });
    assert!(world.daemon().ends().success());
}
