//! The rows of the conformance suite. Those of the commands are one table in a function of more than 80 lines.

use std::time::Duration;

use super::super::Cause;
use super::super::scripted::{Act, Stage};
use super::Subject;

/// The commands of a transaction as the client's user sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    Connect,
    Mail,
    Rcpt,
    /// DATA, the message and its dot are one call.
    Data,
}

/// What must come of it.
pub struct Row {
    pub number: &'static str,
    pub stage: Stage,
    pub act: Act,
    /// The first command that is not done, or the last one.
    pub at: At,
    /// The reply begins so.
    pub reply: &'static str,
    pub cause: Cause,
    pub doubtful: bool,
    pub usable: Usable,
}

/// Can another transaction go over the line?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usable {
    No,
    Yes,
}

pub fn row(
    number: &'static str,
    (stage, act): (Stage, Act),
    at: At,
    reply: &'static str,
    cause: Cause,
) -> Row {
    Row {
        number,
        stage,
        act,
        at,
        reply,
        cause,
        doubtful: false,
        usable: Usable::No,
    }
}

impl Row {
    fn usable(self, usable: Usable) -> Row {
        Row { usable, ..self }
    }

    fn doubtful(self) -> Row {
        Row {
            doubtful: true,
            ..self
        }
    }
}

pub fn say(text: &str) -> Act {
    Act::Say(text.as_bytes().to_vec())
}

pub fn last(text: &str) -> Act {
    Act::Last(text.as_bytes().to_vec())
}

pub fn octets(text: &[u8]) -> Act {
    Act::Say(text.to_vec())
}

pub fn surplus(text: &str) -> Act {
    Act::Surplus(text.as_bytes().to_vec())
}

/// T94, T95: before there is a transaction.
pub fn greetings(subject: &dyn Subject) -> Vec<Row> {
    use Cause::{Lost, NotUnderstood, Said, TimedOut};
    let mut rows = Vec::new();
    let mut stages = vec![("T94", Stage::Greeting), ("T95", Stage::Ehlo)];
    if subject.says_ehlo_twice() {
        stages.push(("T95 second", Stage::NextEhlo));
    }
    for (number, stage) in stages {
        for (act, reply, cause) in [
            (say("421 4.3.2 busy\r\n"), "451 4.3.2 busy", Said),
            (say("450 later\r\n"), "450 later", Said),
            (say("554 5.7.1 not you\r\n"), "451 4.3.0 ", Said),
            (say("502 5.5.1 a\r\n"), "451 4.3.0 ", Said),
            (say("SSH-2.0-OpenSSH\r\n"), "451 4.5.0 ", NotUnderstood),
            (last(""), "451 4.4.2 ", Lost),
            (last("22"), "451 4.4.2 ", Lost),
            (last("250-half\r\n"), "451 4.4.2 ", Lost),
            (Act::Silence, "451 4.4.2 ", TimedOut),
        ] {
            let is_refusal = matches!(&act, Act::Say(octets) if octets.starts_with(b"5"));
            rows.push(
                if is_refusal && stage != Stage::Greeting && subject.says_helo() {
                    let usable = Usable::Yes;
                    row(number, (stage, act), At::Data, "250 2.0.0 taken", Said).usable(usable)
                } else {
                    row(number, (stage, act), At::Connect, reply, cause)
                },
            );
        }
    }
    rows
}

/// T181: replies without end, in each form that one can have, at each stage where one is waited for.
pub fn endless() -> Vec<Row> {
    use Cause::{NotUnderstood, TimedOut};
    let mut rows = Vec::new();
    for (stage, at) in [
        (Stage::Greeting, At::Connect),
        (Stage::Ehlo, At::Connect),
        (Stage::Mail, At::Mail),
        (Stage::Rcpt, At::Rcpt),
        (Stage::Data, At::Data),
        (Stage::Dot, At::Data),
    ] {
        for (act, reply, cause) in [
            (Act::Endless("250 ", "x"), "451 4.5.0 ", NotUnderstood),
            (Act::Endless("250-", "x"), "451 4.5.0 ", NotUnderstood),
            (Act::Endless("", "250-x\r\n"), "451 4.5.0 ", NotUnderstood),
            (Act::Endless("250 x", "\r"), "451 4.5.0 ", NotUnderstood),
            (
                Act::Drip(b"250-drip\r\n".repeat(60), Duration::from_millis(20)),
                "451 4.4.2 ",
                TimedOut,
            ),
            (
                Act::Drip(
                    [b"250 "[..].to_vec(), vec![b'x'; 600]].concat(),
                    Duration::from_millis(20),
                ),
                "451 4.4.2 ",
                TimedOut,
            ),
        ] {
            let row = row("T181", (stage, act), at, reply, cause);
            rows.push(if stage == Stage::Dot {
                row.doubtful()
            } else {
                row
            });
        }
    }
    rows
}

/// T96 to T117: each command, each way to answer it wrongly.
pub fn commands() -> Vec<Row> {
    use Cause::{Lost, NotUnderstood, OutOfStep, Said, TimedOut};
    let mut rows = Vec::new();
    for (number, stage, at) in [
        ("T96-99", Stage::Mail, At::Mail),
        ("T100-103", Stage::Rcpt, At::Rcpt),
        ("T104-107", Stage::Data, At::Data),
        ("T108-111", Stage::Dot, At::Data),
    ] {
        let is_dot = stage == Stage::Dot;
        // The next hop's own word.
        for (act, reply, usable) in [
            (say("451 4.7.1 grey\r\n"), "451 4.7.1 grey", Usable::Yes),
            (say("452 4.3.1 full\r\n"), "452 4.3.1 full", Usable::Yes),
            (
                say("550 5.1.1 no such user\r\n"),
                "550 5.1.1 no such user",
                Usable::Yes,
            ),
            (
                say("550-5.7.1 one\r\n550-5.7.1 two\r\n550 5.7.1 three\r\n"),
                "550 5.7.1 one / two / three",
                Usable::Yes,
            ),
            (
                say("550 no enhanced code\r\n"),
                "550 no enhanced code",
                Usable::Yes,
            ),
            (
                say("421 4.3.2 closing\r\n"),
                "451 4.3.2 closing",
                Usable::No,
            ),
            (
                last("421 4.3.2 closing\r\n"),
                "451 4.3.2 closing",
                Usable::No,
            ),
            (
                last("550 5.7.1 and out\r\n"),
                "550 5.7.1 and out",
                Usable::No,
            ),
            (say("550\r\n"), "550 ", Usable::Yes),
            (say("550 2.0.0 odd\r\n"), "550 5.0.0 odd", Usable::Yes),
            (
                say("451-5.7.1 a\r\n451 5.7.1 b\r\n"),
                "451 4.0.0 a / b",
                Usable::Yes,
            ),
            (
                octets(b"550 5.7.1 pr\xe4t\r\n"),
                "550 5.7.1 pr?t",
                Usable::Yes,
            ),
            (octets(b"550 5.7.1 n\0l\r\n"), "550 5.7.1 n?l", Usable::Yes),
            (
                Act::Drip(
                    b"550-5.7.1 a\r\n550 5.7.1 b\r\n".to_vec(),
                    Duration::from_millis(3),
                ),
                "550 5.7.1 a / b",
                Usable::Yes,
            ),
        ] {
            rows.push(row(number, (stage, act), at, reply, Said).usable(usable));
        }
        // Not one complete reply.
        for (number, act, reply, cause) in [
            (number, last(""), "451 4.4.2 ", Lost),
            (number, Act::Reset, "451 4.4.2 ", Lost),
            (number, Act::Silence, "451 4.4.2 ", TimedOut),
            (number, say("what?\r\n"), "451 4.5.0 ", NotUnderstood),
            (number, say("\r\n"), "451 4.5.0 ", NotUnderstood),
            ("T112", last("250 2.0.0 o"), "451 4.4.2 ", Lost),
            ("T112", last("250 2.0.0 ok\r"), "451 4.4.2 ", Lost),
            ("T112", last("250-2.0.0 ok\r\n"), "451 4.4.2 ", Lost),
            ("T112", say("250-2.0.0 ok\r\n"), "451 4.4.2 ", TimedOut),
            (
                "T112",
                say("250-ok\r\n550 no\r\n"),
                "451 4.5.0 ",
                NotUnderstood,
            ),
            (
                "T112",
                octets(&b"250-x\r\n".repeat(200_000)),
                "451 4.5.0 ",
                NotUnderstood,
            ),
            ("T112", say("250\tok\r\n"), "451 4.5.0 ", NotUnderstood),
            ("T112", say("2500 ok\r\n"), "451 4.5.0 ", NotUnderstood),
            ("T112", say("150 ok\r\n"), "451 4.5.0 ", NotUnderstood),
            ("T120", say("250 ok\n"), "451 4.5.0 ", NotUnderstood),
            (
                "T120",
                octets(&[b"250 ", &b"x".repeat(5000)[..], b"\r\n"].concat()),
                "451 4.5.0 ",
                NotUnderstood,
            ),
            (
                "T116",
                Act::Drip(
                    b"250 2.0.0 too slow\r\n".to_vec(),
                    Duration::from_millis(50),
                ),
                "451 4.4.2 ",
                TimedOut,
            ),
        ] {
            let row = row(number, (stage, act), at, reply, cause);
            rows.push(if is_dot { row.doubtful() } else { row });
        }
        // A positive reply of the wrong kind.
        let wrong = if stage == Stage::Data {
            "250 2.0.0 ok\r\n"
        } else {
            "354 go on\r\n"
        };
        let row113 = row("T113", (stage, say(wrong)), at, "451 4.5.0 ", NotUnderstood);
        rows.push(if is_dot { row113.doubtful() } else { row113 });
    }
    rows.push(row(
        "T113",
        (Stage::Data, say("334 what\r\n")),
        At::Data,
        "451 4.5.0 ",
        NotUnderstood,
    ));
    // More than one reply: the command before has its answer, the next one is not given.
    for text in [
        "250 2.0.0 too many\r\n",
        "250-half\r\n",
        "2",
        "550 5.0.0 no\r\n",
        "x",
    ] {
        for act in [surplus(text), Act::Later(text.as_bytes().to_vec())] {
            for (stage, at) in [
                (Stage::Mail, At::Rcpt),
                (Stage::Rcpt, At::Data),
                (Stage::Data, At::Data),
            ] {
                rows.push(row(
                    "surplus",
                    (stage, act.clone()),
                    at,
                    "451 4.5.0 ",
                    OutOfStep,
                ));
            }
            rows.push(row(
                "surplus",
                (Stage::Dot, act),
                At::Data,
                "250 2.0.0 taken",
                Said,
            ));
        }
    }
    let closing = b"421 4.3.2 closing\r\n".to_vec();
    rows.push(row(
        "T94 idle",
        (Stage::Mail, Act::Later(closing)),
        At::Rcpt,
        "451 4.3.2 closing",
        Said,
    ));
    rows
}

/// T114, T115: while the message is on its way.
pub fn bodies() -> Vec<Row> {
    use Cause::{Lost, OutOfStep, Said, TimedOut};
    [
        ("T114", say("250 2.0.0 taken\r\n"), "451 4.5.0 ", OutOfStep),
        ("T114", say("2"), "451 4.5.0 ", OutOfStep),
        (
            "T115",
            say("552 5.3.4 too big\r\n"),
            "451 4.5.0 ",
            OutOfStep,
        ),
        (
            "T115",
            say("421 4.3.2 closing\r\n"),
            "451 4.3.2 closing",
            Said,
        ),
        ("T115", last(""), "451 4.4.2 ", Lost),
        ("T115", Act::Reset, "451 4.4.2 ", Lost),
        ("T115", Act::Stall, "451 4.4.2 ", TimedOut),
    ]
    .into_iter()
    .map(|(number, act, reply, cause)| row(number, (Stage::Body(1), act), At::Data, reply, cause))
    .collect()
}

/// What is odd but right.
pub fn successes() -> Vec<Row> {
    let mut rows = Vec::new();
    for (act, reply, usable) in [
        (say("250 2.0.0 fine\r\n"), "250 2.0.0 fine", Usable::Yes),
        (
            say("250-2.0.0 one\r\n250 2.0.0 two\r\n"),
            "250 2.0.0 one / two",
            Usable::Yes,
        ),
        (say("251 forwarded\r\n"), "251 forwarded", Usable::Yes),
        (say("250 \r\n"), "250 ", Usable::Yes),
        (say("250\r\n"), "250 ", Usable::Yes),
        (say("269 odd\r\n"), "269 odd", Usable::Yes),
        (
            octets(b"250 2.0.0 pr\xe4t\r\n"),
            "250 2.0.0 pr?t",
            Usable::Yes,
        ),
        (
            octets(&[b"250 2.0.0 ", &b"x".repeat(2000)[..], b"\r\n"].concat()),
            "250 2.0.0 xxx",
            Usable::Yes,
        ),
        (octets(b"250 2.0.0 a\rb\r\n"), "250 2.0.0 a?b", Usable::Yes),
        (
            Act::Drip(
                b"250-2.0.0 a\r\n250 2.0.0 b\r\n".to_vec(),
                Duration::from_millis(3),
            ),
            "250 2.0.0 a / b",
            Usable::Yes,
        ),
        (
            last("250 2.0.0 and gone\r\n"),
            "250 2.0.0 and gone",
            Usable::No,
        ),
    ] {
        rows.push(
            row(
                "T116, T120",
                (Stage::Dot, act),
                At::Data,
                reply,
                Cause::Said,
            )
            .usable(usable),
        );
    }
    rows
}
