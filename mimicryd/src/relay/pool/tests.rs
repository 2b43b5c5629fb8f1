//! Connections that are kept, given out and replaced, against scripted next hops.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mimicry_core::extension::Extension;

use super::super::Watch;
use super::super::conformance::{PATIENCE, route};
use super::super::scripted::{Act, Scripted, Stage};
use super::*;

fn pool(next_hop: &Scripted) -> (Pool, Route) {
    pool_to(&format!("smtp://{}", next_hop.address))
}

fn pool_to(next_hop: &str) -> (Pool, Route) {
    let route = route(next_hop);
    let pool = pool_with(Keys::default(), &route.next_hop);
    (pool, route)
}

/// What all workers know of the next hop of a pool that has one.
fn known(pool: &Pool) -> hops::Hop {
    pool.known.values().next().unwrap().clone()
}

fn begin(pool: &mut Pool, next_hop: &Route, params: &str) -> Result<Line, Answer> {
    let opening = Opening {
        origin: &Origin::default(),
        sender: &Path::new("a@b"),
        params: params.as_bytes(),
        recipients: &[],
        size: Size::Unknown,
        is_promised: false,
        limit: None,
        has_line: false,
    };
    pool.begin(next_hop, &opening)
}

fn deliver(pool: &mut Pool, next_hop: &Route) -> Answer {
    let mut line = match begin(pool, next_hop, "") {
        Ok(line) => line,
        Err(answer) => return answer,
    };
    line.rcpt(&Path::new("c@d"), b"");
    let answers = line.data(b"x\r\n"[..].into(), &mut || Watch::Stays);
    pool.give(line);
    answers.only()
}

#[test]
fn a_line_is_used_again() {
    let next_hop = Scripted::that_works();
    let (mut pool, name) = pool(&next_hop);
    for _ in 0..5 {
        assert!(deliver(&mut pool, &name).is_done());
    }
    let seen = next_hop.seen();
    assert_eq!((seen.connections, seen.dots), (1, 5));
    assert!(!seen.commands.contains(&"RSET\r\n".to_string()));
}

#[test]
fn a_line_ends_after_a_hundred_mails_and_at_the_end() {
    let next_hop = Scripted::that_works();
    let (mut pool, name) = pool(&next_hop);
    for _ in 0..=MAILS_PER_LINE {
        assert!(deliver(&mut pool, &name).is_done());
    }
    assert_eq!(next_hop.seen().connections, 2);
    pool.close();
    let quits = |commands: &[String]| {
        commands
            .iter()
            .filter(|command| *command == "QUIT\r\n")
            .count()
    };
    assert_eq!(quits(&next_hop.seen().commands), 2);
}

#[test]
fn one_line_per_class_in_flight() {
    let next_hop = Scripted::that_works();
    let (mut pool, name) = pool(&next_hop);
    for _ in 0..2 {
        let mut lines: Vec<Line> = (0..4)
            .map(|_| begin(&mut pool, &name, "").unwrap())
            .collect();
        for line in &mut lines {
            assert!(line.rcpt(&Path::new("c@d"), b"").is_done());
        }
        for mut line in lines {
            assert!(
                line.data(b"x\r\n"[..].into(), &mut || Watch::Stays)
                    .are_done()
            );
            pool.give(line);
        }
    }
    let seen = next_hop.seen();
    assert_eq!((seen.connections, seen.dots), (4, 8));
}

#[test]
fn a_transaction_that_failed_is_reset() {
    let next_hop = Scripted::that_works();
    let (mut pool, name) = pool(&next_hop);
    let line = begin(&mut pool, &name, "").unwrap();
    pool.give(line);
    assert!(deliver(&mut pool, &name).is_done());
    let seen = next_hop.seen();
    assert_eq!(seen.connections, 1);
    assert_eq!(seen.commands[1..3], ["MAIL FROM:<a@b>\r\n", "RSET\r\n"]);
}

/// The next hop closes an idle line, with or without a word, before we look or while MAIL is on its way.
#[test]
fn t123_a_dead_idle_line_is_replaced_unnoticed() {
    for act in [
        Act::Last(b"250 2.0.0 taken\r\n".to_vec()),
        Act::Later(b"421 4.4.2 idle\r\n".to_vec()),
        Act::Surplus(b"421 4.4.2 idle\r\n".to_vec()),
    ] {
        let next_hop = Scripted::that(Stage::Dot, act);
        let (mut pool, name) = pool(&next_hop);
        for mails in 1..=3 {
            assert!(deliver(&mut pool, &name).is_done());
            std::thread::sleep(PATIENCE / 4);
            assert_eq!(next_hop.seen().connections, mails);
        }
    }
    for act in [
        Act::Last(Vec::new()),
        Act::Reset,
        Act::Say(b"421 4.4.2 idle\r\n".to_vec()),
    ] {
        let mails = Arc::new(AtomicUsize::new(0));
        let next_hop = Scripted::start(Box::new(move |connection, stage| {
            let is_second = stage == Stage::Mail
                && connection == 0
                && mails.fetch_add(1, Ordering::SeqCst) == 1;
            is_second.then(|| act.clone())
        }));
        let (mut pool, name) = pool(&next_hop);
        for _ in 0..3 {
            assert!(deliver(&mut pool, &name).is_done());
        }
        assert_eq!(next_hop.seen().connections, 2);
    }
}

/// On a new line the same is an answer, and a refusal is one on every line.
#[test]
fn refusals_are_not_tried_again() {
    for (act, reply, connections) in [
        (Act::Last(Vec::new()), "451 4.4.2 ", 2),
        (Act::Say(b"550 5.7.1 no\r\n".to_vec()), "550 5.7.1 no", 1),
    ] {
        let next_hop = Scripted::that(Stage::Mail, act);
        let (mut pool, name) = pool(&next_hop);
        for _ in 0..2 {
            let answer = begin(&mut pool, &name, "").err().unwrap();
            assert!(
                answer.reply.to_string().starts_with(reply),
                "{}",
                answer.reply
            );
        }
        assert_eq!(next_hop.seen().connections, connections);
    }
}

#[test]
fn parameters_fit_the_next_hop() {
    let plain = || Some(Act::Say(b"250-hop\r\n250 SIZE 1000\r\n".to_vec()));
    let next_hop = Scripted::start(Box::new(
        move |_, stage| {
            if stage == Stage::Ehlo { plain() } else { None }
        },
    ));
    let (mut pool, name) = pool(&next_hop);
    let sender = Path::new("a@b");
    let origin = Origin::default();
    let opening = |params, size| Opening {
        origin: &origin,
        sender: &sender,
        params,
        recipients: &[],
        size,
        is_promised: false,
        limit: None,
        has_line: false,
    };
    let declared = Size::Declared {
        octets: 500,
        growth: 100,
    };
    let line = pool
        .begin(&name, &opening(b"SIZE=500 BODY=7BIT RET=HDRS", declared))
        .unwrap();
    assert!(line.needs_7bit);
    pool.give(line);
    // T197: only what needs it is refused.
    let line = pool
        .begin(&name, &opening(b"SMTPUTF8", Size::Unknown))
        .unwrap();
    assert!(line.needs_ascii_header);
    pool.give(line);
    let utf8 = Path::new("\u{e4}@b");
    for (is_promised, expected) in [(false, "553 5.6.7 "), (true, "450 4.6.7 ")] {
        let opening = Opening {
            sender: &utf8,
            is_promised,
            ..opening(b"SMTPUTF8", Size::Unknown)
        };
        let refusal = pool.begin(&name, &opening).err().unwrap().reply;
        assert!(refusal.to_string().starts_with(expected), "{refusal}");
    }
    assert_eq!(
        next_hop.seen().commands[1..],
        [
            "MAIL FROM:<a@b> SIZE=600\r\n",
            "RSET\r\n",
            "MAIL FROM:<a@b>\r\n",
            "RSET\r\n"
        ]
    );
}

#[test]
fn capabilities_are_asked_for_once_a_minute() {
    let next_hop = Scripted::that_works();
    let (mut pool, name) = pool(&next_hop);
    for _ in 0..3 {
        assert!(pool.last_known(&name).unwrap().contains(Extension::Dsn));
    }
    assert!(deliver(&mut pool, &name).is_done());
    assert_eq!(next_hop.seen().connections, 1);
    // A minute later.
    let long_ago = Instant::now().checked_sub(KNOWN).unwrap();
    pool.hops.get_mut(&name).unwrap().known.as_mut().unwrap().0 = long_ago;
    assert!(pool.last_known(&name).unwrap().contains(Extension::Dsn));
    assert_eq!(next_hop.seen().connections, 2);
}

#[test]
fn t92_a_next_hop_that_is_down() {
    let (mut pool, name) = pool_to("smtp://127.0.0.1:1");
    assert_eq!(pool.last_known(&name), None);
    assert_eq!(
        deliver(&mut pool, &name).reply.to_string(),
        "451 4.4.1 cannot connect to the next hop (connect)"
    );
    assert!(known(&pool).is_wanted(), "it is looked for at once");
    let (mut pool, name) = pool_to("smtp://no-such-host.invalid");
    known(&pool).not_found();
    let answer = deliver(&mut pool, &name);
    assert_eq!(
        answer.reply.to_string(),
        "451 4.4.1 cannot connect to the next hop (its name was not found)"
    );
}

#[test]
fn addresses_are_tried_in_order() {
    let next_hop = Scripted::that_works();
    let (mut pool, name) = pool(&next_hop);
    let port = next_hop.address.port();
    let down = SocketAddr::from(([127, 0, 0, 77], port));
    known(&pool).found(&[down, next_hop.address]);
    assert!(deliver(&mut pool, &name).is_done());
    // T196: a line to where it is no more is not used again.
    known(&pool).found(&[next_hop.address]);
    assert!(deliver(&mut pool, &name).is_done());
    assert_eq!(next_hop.seen().connections, 1);
    known(&pool).found(&[down]);
    let answer = deliver(&mut pool, &name);
    assert!(!answer.is_done(), "{}", answer.reply);
}

/// T195: lines are counted, and given back to whoever waits for one.
#[test]
fn t195_lines_are_counted_and_given_back() {
    let next_hop = Scripted::that_works();
    let (mut pool, route) = pool(&next_hop);
    let few = Route {
        connections: 2,
        ..route
    };
    let known = known(&pool);
    let mut lines: Vec<Line> = (0..2)
        .map(|_| begin(&mut pool, &few, "").unwrap())
        .collect();
    assert_eq!(known.lines(), (2, 0));
    // Whoever has all of them waits for none.
    let began = Instant::now();
    let answer = begin(&mut pool, &few, "").err().unwrap();
    assert_eq!(
        answer.reply.to_string(),
        "452 4.3.2 no connection to the next hop is free; send this recipient again"
    );
    assert!(began.elapsed() < PATIENCE / 2);
    pool.give(lines.pop().unwrap());
    assert_eq!((known.lines(), known.keepers().len()), ((2, 1), 1));
    drop(lines);
    assert_eq!(known.lines(), (1, 1));
    pool.give_back();
    assert_eq!(known.lines(), (1, 1), "nobody wants it");
    known.is_wanting(true);
    pool.give_back();
    assert_eq!(known.lines(), (0, 0));
    // While somebody waits none is kept.
    let line = begin(&mut pool, &few, "").unwrap();
    pool.give(line);
    assert_eq!(known.lines(), (0, 0));
}

/// T195: another worker has all lines, and the mail of this one has one to another next hop.
#[test]
fn t195_who_has_a_line_waits_for_another_as_long_as_is_set() {
    let next_hop = Scripted::that_works();
    let (mut pool, route) = pool(&next_hop);
    let few = Route {
        connections: 1,
        connection_wait: Duration::from_millis(200),
        ..route
    };
    let known = known(&pool);
    let other = known.take_line(1, 1, false).unwrap();
    let origin = Origin::default();
    let sender = Path::new("a@b");
    let opening = Opening {
        origin: &origin,
        sender: &sender,
        params: b"",
        recipients: &[],
        size: Size::Unknown,
        is_promised: false,
        limit: None,
        has_line: true,
    };
    let began = Instant::now();
    let answer = pool.begin(&few, &opening).err().unwrap();
    assert_eq!(answer.cause, Cause::NoneFree);
    let took = began.elapsed();
    assert!(few.connection_wait <= took && took < PATIENCE, "{took:?}");
    assert!(known.is_short());
    drop(other);
    assert!(pool.begin(&few, &opening).is_ok());
}

/// A next hop that is away is not tried by each mail, and is found when it is back.
#[test]
fn t92_a_next_hop_that_is_away_is_tried_now_and_then() {
    let next_hop = Scripted::start(Box::new(|connection, stage| {
        let is_away = stage == Stage::Greeting && connection < 4;
        is_away.then(|| Act::Last(b"421 4.3.2 not now\r\n".to_vec()))
    }));
    let (mut pool, name) = pool(&next_hop);
    let said: Vec<String> = (0..4)
        .map(|_| deliver(&mut pool, &name).reply.to_string())
        .collect();
    assert_eq!(said[2], "451 4.3.2 not now", "{said:?}");
    assert_eq!(
        said[3],
        "451 4.4.1 the next hop is away; it is tried again within 1 s"
    );
    let known = known(&pool);
    assert!(known.away_for(Instant::now()).is_some());
    // It is asked for nothing but whether it is back.
    assert_eq!(pool.last_known(&name), None);
    assert_eq!(next_hop.seen().connections, 3);
    let began = Instant::now();
    while !deliver(&mut pool, &name).is_done() {
        assert!(began.elapsed() < PATIENCE * 5);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(next_hop.seen().connections, 5);
    assert_eq!(known.away_for(Instant::now()), None);
}

#[test]
fn idle_lines_are_said_goodbye_to() {
    let next_hop = Scripted::that_works();
    let (mut pool, name) = pool(&next_hop);
    assert!(deliver(&mut pool, &name).is_done());
    pool.tidy();
    assert!(!next_hop.seen().commands.contains(&"QUIT\r\n".to_string()));
    pool.hops.get_mut(&name).unwrap().idle[0].idle_since =
        Instant::now().checked_sub(IDLE).unwrap();
    pool.tidy();
    assert!(next_hop.seen().commands.contains(&"QUIT\r\n".to_string()));
    assert!(pool.hops[&name].idle.is_empty());
}

#[test]
fn a_maildir_is_a_next_hop() {
    let directory = tempfile::tempdir().unwrap();
    let (mut pool, name) = pool_to(&format!("maildir://{}/new", directory.path().display()));
    assert!(!pool.last_known(&name).unwrap().contains(Extension::Dsn));
    assert!(deliver(&mut pool, &name).is_done());
    assert_eq!(
        std::fs::read_dir(directory.path().join("new/new"))
            .unwrap()
            .count(),
        1
    );
}
