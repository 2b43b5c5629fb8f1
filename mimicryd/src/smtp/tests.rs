//! Dialogues: what a client says and what becomes of it. Each is played as written, and then with all that the client says cut
//! into pieces of each size up to one write, which must change nothing but the time.
//!
//! - `!` how it is set up
//! - `C` the client; CRLF is added, unless the line ends in `\c`
//! - `H` what the next hop answers to RCPTs and messages, in their order; yes, when none is left; `|` between recipients
//! - `S` the start of a line that is said
//! - `F` a recipient goes to the next hop
//! - `M` a message was read
//! - `R` the relay is reset
//! - `O` by what the recipient is judged: client, HELO, name, login
//! - `T` TLS begins
//! - `X` the connection is closed
//!
//! `F` and `M` are left out of dialogues in which they do not matter. They stand in `dialogues.rs`.

use std::collections::VecDeque;

use mimicry_core::envelope::{Envelope, Path};
use mimicry_core::extension::{Extension, Extensions};
use mimicry_core::origin::Origin;
use mimicry_core::reply::Reply;
use mimicry_core::settings::endpoint::Protocol;
use mimicry_core::settings::words::{BareNewline, MboxLine};
use mimicry_core::words::Word as _;

use super::data::DataReader;
use super::session::Session;
use super::step::{DataPlan, Leave, Replies, Step, Terms, Whose};
use super::wire::{Input, Wire};

mod dialogues;

use dialogues::DIALOGUES;

#[test]
fn dialogues() {
    for (title, text) in DIALOGUES {
        let script = Script::parse(text);
        script.play_as_written(title);
        let length = script.said().len();
        for chunk in (1..=length.min(80)).chain([length.max(1)]) {
            let mut play = Play::new(&script);
            for piece in script.said().chunks(chunk) {
                play.hear(piece);
            }
            script.compare(
                &play.done,
                script.expected.len(),
                &format!("{title}, by {chunk}"),
            );
        }
    }
}

/// T47 with the numbers of the default configuration.
#[test]
fn errors_and_junk_by_default() {
    for (command, answered) in [("WHAT\r\n", 20), ("NOOP\r\n", 120), ("RSET\r\n", 120)] {
        let script = Script::parse("! errors=20 junk=100");
        let mut play = Play::new(&script);
        play.hear(command.repeat(300).as_bytes());
        let said: Vec<&String> = play.done.iter().skip(1).collect();
        assert_eq!(said.len(), answered + 2, "{command}");
        assert!(said[answered].starts_with("S: 421 4.7.0"), "{command}");
        assert_eq!(said[answered + 1], "X:", "{command}");
    }
}

/// T60: what a list with 2000 recipients gets.
#[test]
fn two_thousand_recipients() {
    let script = Script::parse("! recipients=1000");
    let mut play = Play::new(&script);
    let mut said = "HELO c\r\nMAIL FROM:<a@b>\r\n".to_owned();
    for number in 0..2000 {
        said.push_str(&format!("RCPT TO:<{number}@c>\r\n"));
    }
    said.push_str("DATA\r\n.\r\n");
    play.hear(said.as_bytes());
    let count = |start: &str| {
        play.done
            .iter()
            .filter(|line| line.starts_with(start))
            .count()
    };
    assert_eq!(
        (count("S: 250 2.1.5"), count("S: 452 4.5.3"), count("F:")),
        (1000, 1000, 1000)
    );
    let mail = play
        .done
        .iter()
        .find(|line| line.starts_with("M:"))
        .unwrap();
    assert_eq!(mail.matches("@c>").count(), 1000);
    assert!(mail.contains("<999@c>:"));
}

/// T2: what stands in front of the first command of a client, and what a session that ends by itself says.
#[test]
fn last_words() {
    let terms = Script::parse("").terms;
    for (why, start) in [
        (Leave::Idle, "421 4.4.2 "),
        (Leave::TooLong, "421 4.4.2 "),
        (Leave::TooSlow, "421 4.4.2 "),
        (Leave::Stopping, "421 4.3.2 "),
        (Leave::Retiring, "421 4.3.2 "),
        (Leave::Broken, "421 4.3.0 "),
    ] {
        let mut session = Session::new(&terms, Extensions::ours(1000), Origin::default());
        session.open(true);
        let Step::Close(reply) = session.leave(why) else {
            panic!("{why:?}");
        };
        assert!(reply.to_string().starts_with(start), "{why:?}");
        assert!(
            matches!(session.step(Input::Command(b"NOOP")), Step::Close(_)),
            "nothing is answered behind the last words"
        );
    }
}

#[test]
fn a_session_may_be_left_between_mails_only() {
    let terms = Script::parse("").terms;
    let mut session = Session::new(&terms, Extensions::ours(1000), Origin::default());
    session.open(true);
    for (line, is_idle) in [
        ("HELO c", true),
        ("MAIL FROM:<a@b>", false),
        ("RSET", true),
        ("MAIL FROM:<a@b>", false),
        ("RCPT TO:<b@c>", false),
    ] {
        session.step(Input::Command(line.as_bytes()));
        assert_eq!(session.is_idle(), is_idle, "{line}");
    }
    session.forwarded(Reply::received(250, &[b"2.1.5 ok"]), Whose::NextHop);
    assert!(matches!(
        session.step(Input::Command(b"DATA")),
        Step::Receive(_)
    ));
    assert!(!session.is_idle());
    session.received(Reply::received(250, &[b"2.0.0 ok"]));
    assert!(session.is_idle());
    assert_eq!(session.origin().helo.as_deref(), Some(&b"c"[..]));
}

/// An owner that is out of step gets no second mail and no invented 2xx.
#[test]
fn answers_that_nobody_asked_for_end_the_session() {
    let terms = Script::parse("").terms;
    let ok = || Reply::received(250, &[b"2.0.0 ok"]);
    let begin = |lines: &[&str]| {
        let mut session = Session::new(&terms, Extensions::ours(1000), Origin::default());
        session.open(true);
        for line in lines {
            session.step(Input::Command(line.as_bytes()));
        }
        session
    };
    for mut session in [begin(&[]), begin(&["HELO c", "MAIL FROM:<a@b>"])] {
        assert!(matches!(
            session.forwarded(ok(), Whose::NextHop),
            Step::Close(_)
        ));
    }
    for mut session in [
        begin(&[]),
        begin(&["HELO c", "MAIL FROM:<a@b>", "RCPT TO:<b@c>"]),
    ] {
        assert!(matches!(session.received(ok()), Step::Close(_)));
    }
    let mut asking = begin(&["HELO c", "MAIL FROM:<a@b>", "RCPT TO:<b@c>"]);
    assert!(matches!(
        asking.step(Input::Command(b"NOOP")),
        Step::Close(_)
    ));
}

/// T35: replies to a client that says much and hears nothing are bounded by who writes them.
#[test]
fn collected_replies_are_to_be_written_in_time() {
    let script = Script::parse("! junk=100000");
    let mut play = Play::new(&script);
    play.hear("NOOP\r\n".repeat(20_000).as_bytes());
    assert!(play.most_collected < 20_000, "{}", play.most_collected);
    assert_eq!(play.done.len(), 20_001);
}

/// A dialogue and how it is set up.
struct Script {
    terms: Terms,
    offer: Extensions,
    believes_auth: bool,
    welcome: bool,
    max_line: usize,
    hop: VecDeque<String>,
    said: Vec<u8>,
    /// What the client said up to each place in `expected`.
    expected: Vec<(usize, String)>,
    /// Do `F` and `M` matter?
    kinds: Vec<char>,
}

impl Script {
    fn parse(text: &str) -> Script {
        let mut script = Script {
            terms: Terms {
                hostname: "mx.example.org".into(),
                protocol: Protocol::Smtp,
                mail: 1000,
                recipients: 100,
                errors: 5,
                junk_commands: 10,
                bare_newline: BareNewline::Normalize,
                mbox_line: MboxLine::Normalize,
            },
            offer: for_everybody(1000),
            believes_auth: false,
            welcome: true,
            max_line: 200,
            hop: VecDeque::new(),
            said: Vec::new(),
            expected: Vec::new(),
            kinds: vec!['S', 'R', 'X'],
        };
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some(words) = line.strip_prefix("! ") {
                words.split(' ').for_each(|word| script.set(word));
                continue;
            }
            let (kind, rest) = line.split_once(':').unwrap();
            match kind {
                "C" => script
                    .said
                    .extend(unescaped(rest.strip_prefix(' ').unwrap_or(rest))),
                "H" => script.hop.push_back(rest.trim().to_owned()),
                _ => {
                    script.kinds.push(kind.chars().next().unwrap());
                    script.expected.push((script.said.len(), line.to_owned()));
                }
            }
        }
        script
    }

    fn set(&mut self, word: &str) {
        let (name, value) = word.split_once('=').unwrap_or((word, "0"));
        let number = value.parse().unwrap_or(0);
        match name {
            "lmtp" => self.terms.protocol = Protocol::Lmtp,
            "reject" => self.terms.bare_newline = BareNewline::Reject,
            "unwelcome" => self.welcome = false,
            "line" => self.max_line = number,
            "recipients" => self.terms.recipients = number,
            "errors" => self.terms.errors = number as u32,
            "junk" => self.terms.junk_commands = number as u32,
            "mail" => {
                self.terms.mail = number;
                self.offer = for_everybody(number);
            }
            "xforward" => self.offer.add(Extension::Xforward),
            "auth" => self.offer.add(Extension::Auth),
            "believed" => self.believes_auth = true,
            "starttls" => self.offer.add(Extension::StartTls),
            "without" => {
                let hidden: Vec<Extension> =
                    value.split(',').filter_map(Extension::from_word).collect();
                self.offer = self.offer.clone().without(&hidden);
            }
            other => panic!("{other}"),
        }
    }

    fn said(&self) -> &[u8] {
        &self.said
    }

    fn play_as_written(&self, title: &str) {
        let mut play = Play::new(self);
        let mut heard = 0;
        for (index, (said, _)) in self.expected.iter().enumerate() {
            if *said > heard {
                self.compare(&play.done, index, title);
                play.hear(&self.said[heard..*said]);
                heard = *said;
            }
        }
        play.hear(&self.said[heard..]);
        self.compare(&play.done, self.expected.len(), title);
    }

    /// `done` against the first `count` of what is expected.
    fn compare(&self, done: &[String], count: usize, title: &str) {
        let done: Vec<&String> = done
            .iter()
            .filter(|line| self.kinds.iter().any(|kind| line.starts_with(*kind)))
            .collect();
        let expected: Vec<&str> = self
            .expected
            .iter()
            .take(count)
            .map(|(_, line)| line.as_str())
            .collect();
        let is_as_expected = done.len() == expected.len()
            && done
                .iter()
                .zip(&expected)
                .all(|(line, start)| match start.starts_with('S') {
                    true => line.starts_with(start),
                    false => line.trim_end() == *start,
                });
        assert!(
            is_as_expected,
            "{title}\ndone:     {done:#?}\nexpected: {expected:#?}"
        );
    }
}

/// The part of the socket's owner, of the relay and of the next hop.
struct Play<'s> {
    script: &'s Script,
    hop: VecDeque<String>,
    wire: Wire,
    session: Session<'s>,
    reading: Option<(DataReader, DataPlan)>,
    closed: bool,
    done: Vec<String>,
    most_collected: usize,
}

impl<'s> Play<'s> {
    fn new(script: &'s Script) -> Play<'s> {
        let mut play = Play {
            script,
            hop: script.hop.clone(),
            wire: Wire::new(script.max_line),
            session: Session::new(&script.terms, script.offer.clone(), Origin::default())
                .believing_auth(script.believes_auth),
            reading: None,
            closed: false,
            done: Vec::new(),
            most_collected: 0,
        };
        let step = play.session.open(play.script.welcome);
        play.act(step);
        play.flush();
        play
    }

    fn hear(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() && !self.closed {
            let space = self.wire.space();
            let fitting = octets.len().min(space.len());
            assert!(fitting > 0, "no room");
            space[..fitting].copy_from_slice(&octets[..fitting]);
            self.wire.filled(fitting);
            octets = &octets[fitting..];
            while let Some(step) = self.next() {
                self.act(step);
                if self.closed {
                    break;
                }
            }
            self.flush();
        }
    }

    /// `None` = more input is needed.
    fn next(&mut self) -> Option<Step> {
        let Some((mut reader, plan)) = self.reading.take() else {
            return Some(self.session.step(self.wire.line()?));
        };
        let fed = reader.feed(self.wire.input());
        self.wire.consume(fed.taken);
        let Some(ended) = fed.ended else {
            self.reading = Some((reader, plan));
            return None;
        };
        Some(match ended {
            Err(refusal) => self.session.refused(refusal),
            Ok(received) => {
                let message = received.message.escape_ascii();
                self.log(format!(
                    "M: {} {}: {message}",
                    plan.with,
                    shown(&plan.envelope)
                ));
                let answer = self.hop.pop_front().unwrap_or("250 2.0.0 taken".into());
                match answer.contains('|') {
                    true => {
                        let replies = answer.split('|').filter(|reply| !reply.trim().is_empty());
                        let replies = replies.map(|reply| reply_of(reply.trim())).collect();
                        self.session.received(Replies::PerRecipient(replies))
                    }
                    false => self.session.received(reply_of(&answer)),
                }
            }
        })
    }

    fn act(&mut self, mut step: Step) {
        loop {
            match step {
                Step::Say(replies) => return self.say(&replies),
                Step::Reset(replies) => {
                    self.log("R:".into());
                    return self.say(&replies);
                }
                Step::Forward(recipient) => {
                    let mut envelope = self.session.envelope().unwrap().clone();
                    envelope.recipients = vec![recipient];
                    self.log(format!("F: {}", shown(&envelope)));
                    self.log(format!("O: {}", judged_by(self.session.origin())));
                    let answer = self.hop.pop_front().unwrap_or("250 2.1.5 ok".into());
                    step = match answer.strip_prefix("ours ") {
                        Some(answer) => self.session.forwarded(reply_of(answer), Whose::Ours),
                        None => self.session.forwarded(reply_of(&answer), Whose::NextHop),
                    };
                }
                Step::Receive(plan) => {
                    self.say(&plan.reply.clone().into());
                    self.reading = Some((plan.reader(), plan));
                    return;
                }
                Step::StartTls(reply) => {
                    self.say(&reply.into());
                    self.log("T:".into());
                    self.session.secured();
                    return;
                }
                Step::Close(reply) => {
                    self.say(&reply.into());
                    self.log("X:".into());
                    self.closed = true;
                    return;
                }
            }
        }
    }

    fn say(&mut self, replies: &Replies) {
        for reply in replies.iter() {
            self.wire.say(reply);
        }
        self.most_collected = self.most_collected.max(self.wire.outgoing().len());
        if self.wire.is_full() {
            self.flush();
        }
    }

    /// Replies are logged when they are written, all else when it happens: behind what was said before.
    fn log(&mut self, line: String) {
        self.flush();
        self.done.push(line);
    }

    fn flush(&mut self) {
        let written = self.wire.outgoing().to_vec();
        self.wire.sent(written.len());
        let text = String::from_utf8(written).unwrap();
        assert!(text.is_empty() || text.ends_with("\r\n"));
        for line in text.split_terminator("\r\n") {
            assert!(
                !line.contains(['\r', '\n']) && line.len() <= 510,
                "{line:?}"
            );
            self.done.push(format!("S: {line}"));
        }
    }
}

fn for_everybody(size: usize) -> Extensions {
    Extensions::ours(size).without(&[Extension::Xforward, Extension::StartTls])
}

fn judged_by(origin: &Origin) -> String {
    let text = |octets: &Option<Vec<u8>>| match octets {
        Some(octets) => String::from_utf8_lossy(octets).into_owned(),
        None => "-".into(),
    };
    let client = origin.client.map_or("-".into(), |it| it.to_string());
    let login = origin.auth_user.as_deref().unwrap_or("-");
    let (helo, name) = (text(&origin.helo), text(&origin.name));
    format!("{client} {helo} {name} {login}")
}

fn shown(envelope: &Envelope) -> String {
    let one = |path: &Path, params: &[u8]| {
        let path = String::from_utf8_lossy(path.as_bytes());
        match params {
            b"" => format!("<{path}>"),
            params => format!("<{path}> {}", String::from_utf8_lossy(params)),
        }
    };
    let recipients: Vec<String> = envelope
        .recipients
        .iter()
        .map(|one_of| one(&one_of.path, &one_of.params))
        .collect();
    format!(
        "{} -> {}",
        one(&envelope.sender, &envelope.sender_params),
        recipients.join(" ")
    )
}

fn reply_of(text: &str) -> Reply {
    let (code, text) = text.split_once(' ').unwrap();
    Reply::received(code.parse().unwrap(), &[text.as_bytes()])
}

/// `\r`, `\n` and `\x1b` stand for octets, `\c` at the end for "no CRLF here"; any other backslash for itself.
fn unescaped(text: &str) -> Vec<u8> {
    let (text, end) = match text.strip_suffix("\\c") {
        Some(text) => (text, &b""[..]),
        None => (text, &b"\r\n"[..]),
    };
    let mut octets = Vec::new();
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        octets.extend_from_slice(before.as_bytes());
        if let Some(behind) = escape.strip_prefix('r') {
            octets.push(b'\r');
            rest = behind;
        } else if let Some(behind) = escape.strip_prefix('n') {
            octets.push(b'\n');
            rest = behind;
        } else if let Some(behind) = escape.strip_prefix('x') {
            octets.push(u8::from_str_radix(&behind[..2], 16).unwrap());
            rest = &behind[2..];
        } else {
            octets.push(b'\\');
            rest = escape;
        }
    }
    octets.extend_from_slice(rest.as_bytes());
    octets.extend_from_slice(end);
    octets
}
