//! For tests: how a next hop may behave, and what must come of it, whatever client speaks to it.
//!
//! One row = one deviation of the next hop at one stage of a transaction that would succeed otherwise. A [`Subject`] is a client
//! together with a kind of next hop that it speaks to; each of them is put through [`every_row`].

use std::time::{Duration, Instant};

use mimicry_core::envelope::Path;
use mimicry_core::settings::Timeouts;
use mimicry_core::settings::endpoint;
use mimicry_core::settings::words::Tls;

use super::scripted::{Act, ENDLESS, Script, Scripted, Stage, one_act};
use super::{Answer, NextHop, Route, Watch};

mod rows;

use rows::{At, Row, Usable, bodies, commands, endless, greetings, successes};

/// A client and its next hop.
pub trait Subject: Sync {
    /// A next hop of this kind, and how the client gets a line to it.
    fn meet(&self, script: Script) -> (Scripted, Result<Box<dyn NextHop>, Answer>);

    /// Does it say HELO where EHLO is not known?
    fn says_helo(&self) -> bool {
        false
    }

    /// Does it say EHLO twice?
    fn says_ehlo_twice(&self) -> bool {
        false
    }
}

/// On short terms.
pub fn route(next_hop: &str) -> Route {
    Route {
        next_hop: endpoint::NextHop::parse(next_hop).unwrap(),
        tls: Tls::None,
        ca_file: None,
        pins: Vec::new(),
        login: None,
        lmtp_partial: None,
        helo: "client.example".into(),
        connections: 100,
        connection_wait: PATIENCE,
        timeouts: TIMEOUTS,
    }
}

/// How long each phase may take in a test.
pub const PATIENCE: Duration = Duration::from_millis(600);

/// Longer than any row takes, shorter than what drips.
const SLOW: Duration = Duration::from_secs(6);

/// Longer than it takes until what is said too late has come.
const LATE: Duration = Duration::from_millis(150);

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

/// Puts a client through all rows, some at a time.
pub fn every_row(subject: &dyn Subject) {
    let rows: Vec<Row> = [
        greetings(subject),
        endless(),
        commands(),
        bodies(),
        successes(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = rows
            .chunks(rows.len().div_ceil(16))
            .map(|rows| {
                scope.spawn(|| {
                    rows.iter()
                        .filter_map(|row| one_row(row, subject))
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
fn one_row(row: &Row, subject: &dyn Subject) -> Option<String> {
    let start = Instant::now();
    let (next_hop, connected) = subject.meet(one_act(row.stage, row.act.clone()));
    // Large enough that the buffers of the kernel do not hold it.
    let large = row.stage == Stage::Body(1);
    let message = if large {
        b"0123456789abcdef\r\n".repeat(1 << 18)
    } else {
        b"Subject: x\r\n\r\n.\r\n".to_vec()
    };
    let (at, answer, hop) = transaction(connected, &message);
    // The line is judged when what was sent late has come, and its end too.
    if matches!(row.act, Act::Later(_) | Act::Last(_)) {
        std::thread::sleep(LATE);
    }
    let usable = hop.is_some_and(|mut hop| hop.is_usable());
    let must_be_usable = row.usable == Usable::Yes;
    let text = answer.reply.to_string();
    let mut wrong = Vec::new();
    if at != row.at {
        wrong.push(format!("at {at:?}, not {:?}", row.at));
    }
    if !text.starts_with(row.reply) {
        wrong.push(format!("not {}", row.reply));
    }
    if (answer.cause, answer.is_doubtful, usable) != (row.cause, row.doubtful, must_be_usable) {
        wrong.push(format!(
            "not {:?} doubtful {} usable {}",
            row.cause, row.doubtful, must_be_usable
        ));
    }
    // A few waits, and a busy machine.
    if start.elapsed() > SLOW {
        wrong.push(format!("it took {:?}", start.elapsed()));
    }
    let seen = next_hop.seen();
    if seen.endless > ENDLESS / 2 {
        wrong.push(format!("{} octets were taken", seen.endless));
    }
    let is_dotted = row.stage == Stage::Dot || row.reply == "250 2.0.0 taken";
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
    connected: Result<Box<dyn NextHop>, Answer>,
    message: &[u8],
) -> (At, Answer, Option<Box<dyn NextHop>>) {
    let mut hop = match connected {
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
    let answers = hop.data(message.into(), &mut || {
        asked += 1;
        // Between 354 and the message.
        if asked == 2 {
            std::thread::sleep(LATE);
        }
        Watch::Stays
    });
    (At::Data, answers.only(), Some(hop))
}
