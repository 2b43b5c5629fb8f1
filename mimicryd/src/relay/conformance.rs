//! For tests: how a next hop may behave, and what must come of it, whatever client speaks to it.
//!
//! One row = one deviation of the next hop at one stage of a transaction that would succeed otherwise. A client is a function
//! that connects to an address; each client of this crate that speaks SMTP or LMTP is put through [`every_row`].

use std::net::SocketAddr;
use std::time::Duration;

use mimicry_core::config::typed::Timeouts;
use mimicry_core::envelope::Path;

use super::scripted::{Act, Scripted, Stage};
use super::{Answer, Cause, NextHop, Watch};

/// How a client connects.
pub type Connect = fn(SocketAddr, Timeouts) -> Result<Box<dyn NextHop>, Answer>;

/// How long each phase may take in a test.
pub const PATIENCE: Duration = Duration::from_millis(300);

/// Longer than it takes until what is said too late has come.
const LATE: Duration = Duration::from_millis(60);

pub const TIMEOUTS: Timeouts = Timeouts {
    connect: PATIENCE,
    helo: PATIENCE,
    mail: PATIENCE,
    rcpt: PATIENCE,
    data: PATIENCE,
    data_block: PATIENCE,
    dot: PATIENCE,
    quit: PATIENCE,
    rset: PATIENCE,
};

/// The commands of a transaction as the client's user sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Connect,
    Mail,
    Rcpt,
    /// DATA, the message and its dot are one call.
    Data,
}

/// What must come of it.
struct Row {
    number: &'static str,
    stage: Stage,
    act: Act,
    /// The first command that is not done, or the last one.
    at: At,
    /// The reply begins so.
    reply: &'static str,
    cause: Cause,
    doubtful: bool,
    /// Can another transaction go over the line?
    usable: bool,
}

fn row(
    number: &'static str,
    stage: Stage,
    act: Act,
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
        usable: false,
    }
}

impl Row {
    fn usable(self) -> Row {
        Row {
            usable: true,
            ..self
        }
    }

    fn doubtful(self) -> Row {
        Row {
            doubtful: true,
            ..self
        }
    }
}

fn say(text: &str) -> Act {
    Act::Say(text.as_bytes().to_vec())
}

fn last(text: &str) -> Act {
    Act::Last(text.as_bytes().to_vec())
}

fn octets(text: &[u8]) -> Act {
    Act::Say(text.to_vec())
}

fn surplus(text: &str) -> Act {
    Act::Surplus(text.as_bytes().to_vec())
}

/// T94, T95: before there is a transaction.
fn greetings() -> Vec<Row> {
    use Cause::{Lost, NotUnderstood, Said, TimedOut};
    let mut rows = Vec::new();
    for (number, stage) in [
        ("T94", Stage::Greeting),
        ("T95", Stage::Ehlo),
        ("T95 second", Stage::NextEhlo),
    ] {
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
            rows.push(row(number, stage, act, At::Connect, reply, cause));
        }
    }
    rows
}

/// T96 to T117: each command, each way to answer it wrongly.
fn commands() -> Vec<Row> {
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
            (say("451 4.7.1 grey\r\n"), "451 4.7.1 grey", true),
            (say("452 4.3.1 full\r\n"), "452 4.3.1 full", true),
            (
                say("550 5.1.1 no such user\r\n"),
                "550 5.1.1 no such user",
                true,
            ),
            (
                say("550-5.7.1 one\r\n550-5.7.1 two\r\n550 5.7.1 three\r\n"),
                "550 5.7.1 one / two / three",
                true,
            ),
            (
                say("550 no enhanced code\r\n"),
                "550 no enhanced code",
                true,
            ),
            (say("421 4.3.2 closing\r\n"), "451 4.3.2 closing", false),
            (last("421 4.3.2 closing\r\n"), "451 4.3.2 closing", false),
            (last("550 5.7.1 and out\r\n"), "550 5.7.1 and out", false),
            (say("550\r\n"), "550 ", false),
            (octets(b"550 5.7.1 pr\xe4t\r\n"), "550 5.7.1 pr?t", false),
            (octets(b"550 5.7.1 n\0l\r\n"), "550 5.7.1 n?l", true),
            (
                Act::Drip(
                    b"550-5.7.1 a\r\n550 5.7.1 b\r\n".to_vec(),
                    Duration::from_millis(3),
                ),
                "550 5.7.1 a / b",
                true,
            ),
        ] {
            let row = row(number, stage, act, at, reply, Said);
            rows.push(if usable { row.usable() } else { row });
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
            let row = row(number, stage, act, at, reply, cause);
            rows.push(if is_dot { row.doubtful() } else { row });
        }
        // A positive reply of the wrong kind.
        let wrong = if stage == Stage::Data {
            "250 2.0.0 ok\r\n"
        } else {
            "354 go on\r\n"
        };
        let row113 = row("T113", stage, say(wrong), at, "451 4.5.0 ", NotUnderstood);
        rows.push(if is_dot { row113.doubtful() } else { row113 });
    }
    rows.push(row(
        "T113",
        Stage::Data,
        say("334 what\r\n"),
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
                    stage,
                    act.clone(),
                    at,
                    "451 4.5.0 ",
                    OutOfStep,
                ));
            }
            rows.push(row(
                "surplus",
                Stage::Dot,
                act,
                At::Data,
                "250 2.0.0 taken",
                Said,
            ));
        }
    }
    let closing = b"421 4.3.2 closing\r\n".to_vec();
    rows.push(row(
        "T94 idle",
        Stage::Mail,
        Act::Later(closing),
        At::Rcpt,
        "451 4.3.2 closing",
        Said,
    ));
    rows
}

/// T114, T115: while the message is on its way.
fn bodies() -> Vec<Row> {
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
    .map(|(number, act, reply, cause)| row(number, Stage::Body(1), act, At::Data, reply, cause))
    .collect()
}

/// What is odd but right.
fn successes() -> Vec<Row> {
    let mut rows = Vec::new();
    for (act, reply, usable) in [
        (say("250 2.0.0 fine\r\n"), "250 2.0.0 fine", true),
        (
            say("250-2.0.0 one\r\n250 2.0.0 two\r\n"),
            "250 2.0.0 one / two",
            true,
        ),
        (say("251 forwarded\r\n"), "251 forwarded", true),
        (say("250 \r\n"), "250 ", true),
        (say("250\r\n"), "250 ", false),
        (say("269 odd\r\n"), "269 odd", false),
        (octets(b"250 2.0.0 pr\xe4t\r\n"), "250 2.0.0 pr?t", false),
        (
            octets(&[b"250 2.0.0 ", &b"x".repeat(2000)[..], b"\r\n"].concat()),
            "250 2.0.0 xxx",
            false,
        ),
        (octets(b"250 2.0.0 a\rb\r\n"), "250 2.0.0 a?b", true),
        (
            Act::Drip(
                b"250-2.0.0 a\r\n250 2.0.0 b\r\n".to_vec(),
                Duration::from_millis(3),
            ),
            "250 2.0.0 a / b",
            true,
        ),
        (last("250 2.0.0 and gone\r\n"), "250 2.0.0 and gone", false),
    ] {
        let row = row("T116, T120", Stage::Dot, act, At::Data, reply, Cause::Said);
        rows.push(if usable { row.usable() } else { row });
    }
    rows
}

/// Puts a client through all rows, some at a time.
pub fn every_row(connect: Connect) {
    let rows: Vec<Row> = [greetings(), commands(), bodies(), successes()]
        .into_iter()
        .flatten()
        .collect();
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = rows
            .chunks(rows.len().div_ceil(16))
            .map(|rows| {
                scope.spawn(|| {
                    rows.iter()
                        .filter_map(|row| one_row(row, connect))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
}

/// What is wrong with it, if anything.
fn one_row(row: &Row, connect: Connect) -> Option<String> {
    let next_hop = Scripted::that(row.stage, row.act.clone());
    // Large enough that the buffers of the kernel do not hold it.
    let large = row.stage == Stage::Body(1);
    let message = if large {
        b"0123456789abcdef\r\n".repeat(1 << 18)
    } else {
        b"Subject: x\r\n\r\n.\r\n".to_vec()
    };
    let (at, answer, hop) = transaction(next_hop.address, connect, &message);
    // The line is judged when what was sent late has come, and its end too.
    if matches!(row.act, Act::Later(_) | Act::Last(_)) {
        std::thread::sleep(LATE);
    }
    let usable = hop.is_some_and(|mut hop| hop.is_usable());
    let text = answer.reply.to_string();
    let mut wrong = Vec::new();
    if at != row.at {
        wrong.push(format!("at {at:?}, not {:?}", row.at));
    }
    if !text.starts_with(row.reply) {
        wrong.push(format!("not {}", row.reply));
    }
    if (answer.cause, answer.is_doubtful, usable) != (row.cause, row.doubtful, row.usable) {
        wrong.push(format!(
            "not {:?} doubtful {} usable {}",
            row.cause, row.doubtful, row.usable
        ));
    }
    let seen = next_hop.seen();
    let is_dotted = row.stage == Stage::Dot;
    if (seen.dots > 0) != is_dotted {
        wrong.push(format!("{} dots", seen.dots));
    }
    // The words of a refusal are the next hop's own or ours, on lines that a client can take.
    if answer
        .reply
        .to_wire()
        .split(|octet| *octet == b'\n')
        .any(|line| line.len() > 511)
    {
        wrong.push("a line is too long".into());
    }
    (!wrong.is_empty()).then(|| {
        let act = format!("{:.100}", format!("{:?}", row.act));
        format!(
            "{} {:?} {act}: {} [{text:.100} {:?} doubtful {} usable {usable}]",
            row.number,
            row.stage,
            wrong.join(", "),
            answer.cause,
            answer.is_doubtful
        )
    })
}

/// A whole transaction, up to the first command that is not done.
fn transaction(
    address: SocketAddr,
    connect: Connect,
    message: &[u8],
) -> (At, Answer, Option<Box<dyn NextHop>>) {
    let mut hop = match connect(address, TIMEOUTS) {
        Ok(hop) => hop,
        Err(answer) => return (At::Connect, answer, None),
    };
    let answer = hop.mail(&Path::new("a@b"), b"");
    if !answer.is_done() {
        return (At::Mail, answer, Some(hop));
    }
    // What is said too late is there before the next command.
    std::thread::sleep(LATE);
    let answer = hop.rcpt(&Path::new("c@d"), b"");
    if !answer.is_done() {
        return (At::Rcpt, answer, Some(hop));
    }
    std::thread::sleep(LATE);
    let mut asked = 0;
    let answer = hop.data(message.into(), &mut || {
        asked += 1;
        // Between 354 and the message.
        if asked == 2 {
            std::thread::sleep(LATE);
        }
        Watch::Stays
    });
    (At::Data, answer, Some(hop))
}
