//! Policy banks in the daemon: who gets which settings, by which next hop, and that nothing of it stays for the next mail.
//!
//! How banks are selected and laid over each other is tested beside `mimicry_core::policy`.

use std::thread;

use crate::harness::client::Client;
use crate::harness::daemon::{PLAIN, Setup, World};
use crate::harness::hop::{Act, Hop, Luck, Stage};
use crate::harness::{contains, with};

/// A footer that says whose bank it is of, and one that is in force in a bank only.
const RULES: &str = r#"
[[rule]]
name = "footer"
plugin = "disclaim"
options = { text = "Footer of {{ var.company }}.", html = "<p>Footer of {{ var.company }}.</p>" }
[[rule]]
name = "second"
plugin = "disclaim"
options = { text = "And another.", html = "<p>And another.</p>" }
"#;

const TOP: &str = "rules = [\"footer\"]\nvariables = { company = \"Base\" }";

fn world(banks: &str) -> World {
    World::new(Setup {
        top: TOP,
        rules: &format!("{RULES}{banks}"),
        ..Setup::default()
    })
}

/// The bank paths of the mails logged so far, with the classes and next hops.
fn logged(world: &mut World, mails: usize) -> Vec<String> {
    let daemon = world.daemon();
    let lines = || daemon.mail_lines();
    assert!(
        crate::harness::daemon::eventually(|| lines().len() >= mails),
        "{mails} lines in\n{}",
        daemon.log()
    );
    let word = |line: &str, key: &str| {
        let key = format!(" {key}=");
        let value = line.split(&key).nth(1).expect("the key");
        value.split(' ').next().expect("a value").to_string()
    };
    let mut found: Vec<String> = lines()
        .iter()
        .map(|line| {
            let words = ["bank", "class", "to", "status", "relay"].map(|key| word(line, key));
            words.join(" ")
        })
        .collect();
    found.sort();
    found
}

// man: mimicry.toml(5) "Each recipient is selected separately."
#[test]
fn recipients_of_different_banks_get_their_mails_by_their_next_hops() {
    let other = Hop::new();
    let mut world = world(&format!(
        r#"
[[bank]]
name = "subsidiary"
when.sender = '@example\.org$'
variables.company = "Subsidiary"
[[bank]]
name = "vip"
when.recipient = '^vip@'
next_hop = "smtp://{}"
rules_add = "second"
"#,
        other.address
    ));
    let to = ["bob@example.net", "vip@example.net", "eve@example.net"];
    let mut client = world.client();
    assert!(client.mail("anna@example.org", &to, PLAIN).is_done());
    let (here, there) = (world.hop.only_mail(), other.only_mail());
    assert_eq!(here.recipients(), ["bob@example.net", "eve@example.net"]);
    assert_eq!(there.recipients(), ["vip@example.net"]);
    assert!(contains(&here.message(), b"Footer of Subsidiary."));
    assert!(!contains(&here.message(), b"And another."));
    assert!(contains(&there.message(), b"Footer of Subsidiary."));
    assert!(contains(&there.message(), b"And another."));
    // Another sender, the same session.
    assert!(client.mail("x@example.com", &to[..1], PLAIN).is_done());
    assert!(contains(
        &world.hop.only_mail().message(),
        b"Footer of Base."
    ));
    client.quit();
    let (first, second) = (world.hop.address, other.address);
    assert_eq!(
        logged(&mut world, 3),
        [
            format!("base 1/1 <bob@example.net> sent smtp://{first}"),
            format!("base/subsidiary 1/2 <bob@example.net>,<eve@example.net> sent smtp://{first}"),
            format!("base/subsidiary/vip 2/2 <vip@example.net> sent smtp://{second}"),
        ]
    );
}

#[test]
fn a_next_hop_that_is_down_concerns_its_recipients_alone() {
    let mut other = Hop::new();
    let mut world = world(&format!(
        "[[bank]]\nname = \"b\"\nwhen.recipient = '@b\\.example$'\nnext_hop = \"smtp://{}\"\n",
        other.address
    ));
    other.down();
    let mut client = world.client();
    client.says("MAIL FROM:<anna@example.org>", 250);
    client.says("RCPT TO:<one@b.example>", 451);
    client.says("RCPT TO:<two@a.example>", 250);
    client.says("RCPT TO:<three@b.example>", 451);
    assert!(client.data(PLAIN).is_done());
    assert_eq!(world.hop.only_mail().recipients(), ["two@a.example"]);
    // It comes back, and what was kept comes again.
    other.up();
    let to = ["one@b.example", "three@b.example"];
    assert!(client.mail("anna@example.org", &to, PLAIN).is_done());
    assert_eq!(other.only_mail().recipients(), to);
    assert!(world.hop.mails().is_empty());
    client.quit();
    assert_eq!(logged(&mut world, 2).len(), 2);
}

#[test]
fn a_next_hop_that_refuses_a_recipient_is_heard() {
    let other = Hop::new();
    let world = world(&format!(
        "[[bank]]\nname = \"b\"\nwhen.recipient = '@b\\.example$'\nnext_hop = \"smtp://{}\"\n",
        other.address
    ));
    other.at(Stage::Rcpt, Act::Say(b"550 5.1.1 not here\r\n".to_vec()));
    let mut client = world.client();
    client.says("MAIL FROM:<anna@example.org>", 250);
    let reply = client.says("RCPT TO:<one@b.example>", 550);
    assert_eq!(reply.lines, ["5.1.1 not here"]);
    client.says("RCPT TO:<two@a.example>", 250);
    assert!(client.data(PLAIN).is_done());
    assert_eq!(world.hop.only_mail().recipients(), ["two@a.example"]);
    assert!(other.mails().is_empty());
    client.quit();
}

// man: mimicry.toml(5) "A bank that header_sender selects is applied when the whole message has arrived."
#[test]
fn a_bank_by_header_applies_behind_data() {
    let mut world = world(
        r#"
[[bank]]
name = "by header"
when.header_sender = '^anna@example\.org$'
rules_add = "second"
variables.company = "Anna"
"#,
    );
    let mut client = world.client();
    let to = ["bob@example.net"];
    assert!(client.mail("bounces@list.example", &to, PLAIN).is_done());
    let anna = world.hop.only_mail().message();
    assert!(contains(&anna, b"Footer of Anna.") && contains(&anna, b"And another."));
    let eve = b"From: eve@example.org\r\nSubject: x\r\n\r\nHello.\r\n";
    assert!(client.mail("anna@example.org", &to, eve).is_done());
    let eve = world.hop.only_mail().message();
    assert!(contains(&eve, b"Footer of Base.") && !contains(&eve, b"And another."));
    client.quit();
    world.daemon().logs(" bank=\"base/by header\"");
}

/// Whose footer a sender's mail has, by the banks of [`INTERLEAVED`].
fn footer(sender: usize, recipient: usize) -> String {
    let company = match (sender, recipient) {
        (_, 3) => "R".to_string(),
        (0, _) => "Base".to_string(),
        (number, _) => format!("S{number}"),
    };
    format!("Footer of {company}.")
}

const INTERLEAVED: &str = r#"
[[bank]]
name = "s1"
when.sender = '^s1@'
variables.company = "S1"
[[bank]]
name = "s2"
when.sender = '^s2@'
variables.company = "S2"
limits.recipients = 1
[[bank]]
name = "s3"
when.header_sender = '^s3@'
variables.company = "S3"
rules_add = "second"
[[bank]]
name = "r3"
when.recipient = '^r3@'
variables.company = "R"
trace = false
"#;

/// One session with mails of all banks in a row that chance makes, some of them begun and given up.
fn session(mut client: Client, seed: u64) -> Vec<(String, String)> {
    let mut luck = Luck(seed);
    let mut sent = Vec::new();
    for number in 0..40 {
        let sender = luck.below(4) as usize;
        let recipient = luck.below(4) as usize;
        let id = format!("{seed}-{number}@id.test");
        let message = format!(
            "From: s{sender}@example.org\r\nMessage-ID: <{id}>\r\nSubject: x\r\n\r\nHello.\r\n"
        );
        let (from, to) = (
            format!("s{sender}@example.org"),
            format!("r{recipient}@example.net"),
        );
        if luck.below(3) == 0 {
            // A transaction that comes to nothing.
            let other = luck.below(4);
            client.says(format!("MAIL FROM:<s{other}@example.org>"), 250);
            client.says(format!("RCPT TO:<r{}@example.net>", luck.below(4)), 250);
            client.says("RSET", 250);
        }
        client.says(format!("MAIL FROM:<{from}>"), 250);
        client.says(format!("RCPT TO:<{to}>"), 250);
        let second = client.ask("RCPT TO:<r0@example.net>");
        assert_eq!(second.code, if sender == 2 { 452 } else { 250 }, "{from}");
        let reply = client.data(message.as_bytes());
        assert!(reply.is_done(), "{reply}");
        sent.push((format!("{id} {to}"), footer(sender, recipient)));
        // Who is named twice gets it once.
        if sender != 2 && recipient != 0 {
            sent.push((format!("{id} r0@example.net"), footer(sender, 0)));
        }
    }
    client.quit();
    sent
}

// man: mimicry.toml(5) "Banks are selected anew for each mail."
#[test]
fn nothing_of_a_mail_is_left_for_the_next() {
    let mut world = world(INTERLEAVED);
    let address = world.address();
    let sessions: Vec<_> = (1..=6)
        .map(|seed| thread::spawn(move || session(Client::connect(address).greeted(), seed * 7919)))
        .collect();
    let mut sent: Vec<(String, String)> = sessions
        .into_iter()
        .flat_map(|session| session.join().expect("a session"))
        .collect();
    let mut taken = Vec::new();
    for mail in world.hop.mails() {
        let text = String::from_utf8(mail.message()).expect("ASCII");
        let id = text
            .split("Message-ID: <")
            .nth(1)
            .and_then(|rest| rest.split('>').next());
        let id = id.expect("an id").to_string();
        let footer = text.lines().find(|line| line.starts_with("Footer of"));
        let is_s3 = text.contains("From: s3@");
        assert_eq!(text.contains("And another."), is_s3, "{text}");
        for to in mail.recipients() {
            assert_eq!(
                !text.starts_with("Received:"),
                to.starts_with("r3@"),
                "{text}"
            );
            taken.push((format!("{id} {to}"), footer.expect("a footer").to_string()));
        }
    }
    sent.sort();
    taken.sort();
    assert!(sent.len() > 300);
    assert_eq!(taken, sent);
    // And the log says the same.
    for line in world.daemon().mail_lines() {
        let said = |key: &str| {
            let rest = line.split(&format!(" {key}=")).nth(1).expect("the key");
            rest.split(' ').next().expect("a value").to_string()
        };
        let mut path = "base".to_string();
        let from = said("from");
        for number in 1..4 {
            if from == format!("<s{number}@example.org>") {
                path.push_str(&format!("/s{number}"));
            }
        }
        if said("to").contains("<r3@") {
            path.push_str("/r3");
        }
        assert_eq!(said("bank"), path, "{line}");
    }
}

// man: mimicry.toml(5) "Settings that are needed when a client connects can only be selected by listener and
// client:"
#[test]
fn what_is_offered_follows_the_banks_of_the_connection() {
    let world = world(
        r#"
[[bank]]
name = "by client"
when = { client = "127.0.0.0/8", listener = "t" }
hide_extensions = ["DSN", "8BITMIME"]
hostname = "other.example"
limits = { mail = "1M", errors = 1 }
[[bank]]
name = "elsewhere"
when.client = "127.9.0.0/16"
hide_extensions = "PIPELINING"
"#,
    );
    let mut client = world.connect();
    let greeting = client.expect(220);
    assert!(
        greeting.lines[0].starts_with("other.example "),
        "{greeting}"
    );
    let hello = client.says("EHLO client.test", 250);
    let offers = |keyword: &str| hello.lines.iter().any(|line| line.starts_with(keyword));
    assert!(!offers("DSN") && !offers("8BITMIME"), "{hello}");
    assert!(offers("PIPELINING") && offers("SIZE 1048576"), "{hello}");
    client.says("NONSENSE", 500);
    client.says("NONSENSE", 421);
}

// man: mimicry.toml(5) "SIZE offers the largest size that any mail of this client may have."
#[test]
fn limits_follow_the_sender() {
    let world = World::new(Setup {
        top: TOP,
        limits: "mail = \"1M\"",
        rules: &format!(
            r#"{RULES}
[[bank]]
name = "small"
when.sender = '^small@'
limits = {{ mail = "10K", recipients = 2 }}
[[bank]]
name = "large"
when.sender = '^large@'
limits = {{ mail = "2M" }}
"#
        ),
        ..Setup::default()
    });
    let small = [PLAIN, &b"line\r\n".repeat(3000)].concat();
    let mut client = world.connect();
    client.expect(220);
    let hello = client.says("EHLO client.test", 250);
    assert!(
        hello.lines.iter().any(|line| line == "SIZE 2097152"),
        "{hello}"
    );
    client.says("MAIL FROM:<small@example.org> SIZE=20000", 552);
    client.says("MAIL FROM:<large@example.org> SIZE=3000000", 552);
    client.says("MAIL FROM:<other@example.org> SIZE=2000000", 552);
    client.says("MAIL FROM:<large@example.org> SIZE=2000000", 250);
    client.says("RSET", 250);
    client.says("MAIL FROM:<small@example.org>", 250);
    client.says("RCPT TO:<a@example.net>", 250);
    client.says("RCPT TO:<b@example.net>", 250);
    client.says("RCPT TO:<c@example.net>", 452);
    assert_eq!(client.data(&small).code, 552);
    assert!(world.hop.mails().is_empty());
    let to = ["a@example.net", "b@example.net", "c@example.net"];
    assert!(client.mail("other@example.org", &to, &small).is_done());
    assert_eq!(world.hop.only_mail().recipients(), to);
    client.quit();
}

#[test]
fn a_bank_can_keep_its_rules_in_the_shadow_or_bring_them_to_act() {
    let mut world = World::new(Setup {
        top: "mode = \"shadow\"\nrules = [\"footer\"]\nvariables = { company = \"Base\" }",
        rules: &format!(
            "{RULES}[[bank]]\nname = \"tried\"\nwhen.recipient = '^vip@'\nmode = \"enforce\"\nrules_add = \"second\"\n"
        ),
        ..Setup::default()
    });
    let to = ["bob@example.net", "vip@example.net"];
    let mut client = world.client();
    assert!(client.mail("anna@example.org", &to, PLAIN).is_done());
    client.quit();
    let mut mails = world.hop.mails();
    mails.sort_by_key(|mail| mail.to.clone());
    assert_eq!(world.untraced(&mails[0]), PLAIN);
    assert!(contains(&mails[1].message(), b"And another."));
    for (class, bank, rules) in [
        ("1/2", "base", " rules=footer:shadow "),
        ("2/2", "base/tried", " rules=footer:edited,second:edited "),
    ] {
        let line = world.daemon().logs(&format!(" class={class} "));
        assert!(line.contains(&format!(" bank={bank} ")), "{line}");
        assert!(line.contains(rules), "{line}");
    }
}

#[test]
fn the_commands_say_what_the_daemon_does() {
    let mut world = world(INTERLEAVED);
    for (from, to) in [("s1", "r0"), ("s2", "r3"), ("s3", "r3"), ("s0", "r1")] {
        let (from, to) = (format!("{from}@example.org"), format!("{to}@example.net"));
        let message = format!("From: {from}\r\nSubject: x\r\n\r\nHello.\r\n");
        let mut client = world.client();
        assert!(client.mail(&from, &[&to], message.as_bytes()).is_done());
        client.quit();
        let line = world.daemon().logs(&format!(" from=<{from}> "));
        let path = line
            .split(" bank=")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        let path = path.expect("a bank path");
        let daemon = world.daemon();
        daemon.directory.file("mail.eml", &message);
        let who = ["--from", &from, "--to", &to];
        let explained = daemon.command(&[&["explain", "mail.eml"], &who[..]].concat());
        let told = daemon.command(&[&["banks", "--header-from", &from], &who[..]].concat());
        for ran in [&explained, &told] {
            assert_eq!(ran.code, 0, "{}", ran.err);
            assert!(
                ran.text().contains(&format!("bank  {path}\n")),
                "{path}\n{}",
                ran.text()
            );
        }
    }
}

// man: mimicryd(8) "Rules that are not in force are listed too"
// man: mimicryd(8) "rules whose mode is off, with the mode that switches them off."
#[test]
fn explain_names_the_rules_that_are_out_of_force() {
    const FILE: &str = "rules = [\"a\", \"b\", \"c\"]
[[rule]]
name = \"a\"
plugin = \"header\"
options = { add = { X-A = \"1\" } }
[[rule]]
name = \"b\"
plugin = \"header\"
options = { add = { X-B = \"1\" } }
[[rule]]
name = \"c\"
plugin = \"header\"
mode = \"off\"
options = { add = { X-C = \"1\" } }
[[rule]]
name = \"d\"
plugin = \"header\"
options = { add = { X-D = \"1\" } }
[[bank]]
name = \"vip\"
when.recipient = '^vip@'
rules = [\"b\"]
[[bank]]
name = \"more\"
when.recipient = '^more@'
include = [\"vip\"]
rules_add = [\"d\"]
[[bank]]
name = \"quiet\"
when.recipient = '^quiet@'
mode = \"off\"
";
    const NO_RULE: &str = "not in force: `rules` does not name it";
    const NO_VIP: &str = "not in force: `rules` of the bank \"vip\" does not name it";
    const OFF: &str = "off: the mode of all rules is off";
    let added = |name: &str| format!("edited 1 (X-{name} added)");
    let (a, b, d) = (added("A"), added("B"), added("D"));
    let mail = b"From: anna@example.org\r\n\r\nHello\r\n";
    for (to, expected) in [
        ("tom", [&*a, &b, "off: its own mode is off", NO_RULE]),
        ("vip", [NO_VIP, &b, NO_VIP, NO_VIP]),
        ("more", [NO_VIP, &b, NO_VIP, &d]),
        ("quiet", [OFF, OFF, "off: its own mode is off", NO_RULE]),
    ] {
        let to = format!("{to}@example.net");
        let ran = with(FILE, &["explain", "--to", &to, "-"], mail);
        let said: Vec<&str> = ran
            .text()
            .lines()
            .filter_map(|line| {
                let (name, rest) = line.get(2..)?.split_once("  header  ")?;
                (name.len() == 1).then_some(rest)
            })
            .collect();
        assert_eq!(said, expected, "{}", ran.text());
    }
}
