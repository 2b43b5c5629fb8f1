//! How a new line comes about: whether the next hop may be tried now, whether one line more is allowed, where the next hop is, and how
//! long all of that may take.
//!
//! Nobody who has something that others may wait for waits without a bound (T195): a mail that has a line waits for another one as long
//! as `connection_wait` says, and idle lines are given back before anything is waited for. Who has no line stands in nobody's way, and
//! waits as long as the limits of the next hop allow.
//!
//! Must never: look a name up, try a next hop that is away while somebody else does, or make a line that is not counted.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use mimicry_core::printable::Quoted;
use mimicry_core::reply::Own;

use super::answer::{Answer, Cause};
use super::connect::connect;
use super::keys::Keys;
use super::next_hop::NextHop;
use super::route::Route;
use super::wire::Patience;
use crate::prefork::hops::{Away, Hop, Probe, Ticket};

/// How often it is looked whether a line has become free.
const LOOKING: Duration = Duration::from_millis(20);

/// How long a name that was never looked up is waited for: the master does that when it makes the workers.
pub const NAMED: Duration = Duration::from_secs(5);

/// With less time than that left nothing is begun any more.
const LAST: Duration = Duration::from_millis(5);

/// A try that takes longer is not waited for by others.
const TRYING: Duration = Duration::from_secs(60);

/// A line was made.
pub struct Reached {
    pub hop: Box<dyn NextHop>,
    /// Of a next hop that has some.
    pub address: Option<SocketAddr>,
    pub ticket: Option<Ticket>,
}

/// What a line is made for.
#[derive(Clone, Copy)]
pub struct Need<'n> {
    pub limit: Option<Instant>,
    /// The mail has a line already, which somebody else may wait for.
    pub has_line: bool,
    /// The idle lines of this worker are to go, because it waits.
    pub give_back: &'n dyn Fn(),
}

/// Makes a line. `known` = what all workers know of the next hop; a directory has nothing of the kind.
pub fn reach(
    route: &Route,
    known: Option<&Hop>,
    keys: &Keys,
    need: Need<'_>,
) -> Result<Reached, Answer> {
    let now = Instant::now();
    let Some(known) = known else {
        let (hop, address) = connect(route, &[], keys, Patience::until(need.limit))?;
        return Ok(Reached {
            hop,
            address,
            ticket: None,
        });
    };
    if known.is_away(now) {
        return Err(away(known, now));
    }
    let bound = need.has_line.then(|| now + route.connection_wait);
    let ticket = ticket(route, known, &need, bound)?;
    let pid = std::process::id();
    let is_try = match known.ask(pid, TRYING, Instant::now()) {
        Away::No => false,
        Away::Try => true,
        Away::TriedIn(_) => return Err(away(known, Instant::now())),
    };
    let addresses = addresses(known, earlier(need.limit, bound));
    let slow = || {
        ticket.ungreeted();
        (need.give_back)();
    };
    let patience = Patience {
        limit: earlier(need.limit, bound),
        slow: &slow,
    };
    match connect(route, &addresses, keys, patience) {
        Ok((hop, address)) => {
            ticket.in_use();
            came(route, known);
            Ok(Reached {
                hop,
                address,
                ticket: Some(ticket),
            })
        }
        Err(answer) => {
            let now = Instant::now() + LAST;
            let is_over = |until: Option<Instant>| until.is_some_and(|at| at <= now);
            let is_late = matches!(answer.cause, Cause::TimedOut | Cause::OutOfTime);
            // Our own haste says nothing of the next hop, nor does a machine that runs short; nor does it when it greets nobody because
            // others of us are there.
            let is_short = answer.cause == Cause::Short;
            let is_ours = is_late && (is_over(patience.limit) || known.lines().0 > 1);
            // Who does not let us in is there.
            let is_there = matches!(answer.cause, Cause::Login | Cause::Tls);
            if is_there {
                came(route, known);
            } else if is_short {
                known.does_not_try(pid);
            } else if is_try || !is_ours {
                failed(route, known, &answer);
            }
            match is_late && is_over(bound) {
                true => Err(none_free()),
                false => Err(answer),
            }
        }
    }
}

/// The next hop has no line for a mail that has one already.
pub fn none_free() -> Answer {
    Answer {
        cause: Cause::NoneFree,
        ..Answer::own(Own::NoLineFree.reply())
    }
}

/// One line more, as soon as there may be one.
fn ticket(
    route: &Route,
    known: &Hop,
    need: &Need<'_>,
    bound: Option<Instant>,
) -> Result<Ticket, Answer> {
    let pid = std::process::id();
    let until = bound.unwrap_or_else(|| Instant::now() + route.timeouts.connect);
    let until = need.limit.map_or(until, |limit| limit.min(until));
    let mut has_given = false;
    loop {
        if let Some(ticket) = known.take_line(pid, route.connections, need.has_line) {
            return Ok(ticket);
        }
        // What this mail has itself does not become free by waiting.
        let is_own = known.lines_in_use(pid) >= route.connections;
        if is_own || Instant::now() >= until {
            return Err(none_free());
        }
        known.is_wanting(need.has_line);
        if !has_given {
            has_given = true;
            (need.give_back)();
        }
        thread::sleep(LOOKING);
    }
}

/// Where it is. A name that was never looked up is being looked up now.
fn addresses(known: &Hop, until: Option<Instant>) -> Vec<SocketAddr> {
    let named = Instant::now() + NAMED;
    let until = earlier(until, Some(named)).unwrap_or(named);
    loop {
        match known.addresses() {
            Some(addresses) => return addresses,
            None if Instant::now() >= until => return Vec::new(),
            None => thread::sleep(LOOKING),
        }
    }
}

/// The line could not be made: it may be somewhere else by now, and it may be away.
fn failed(route: &Route, known: &Hop, answer: &Answer) {
    if matches!(
        answer.cause,
        Cause::Unreachable | Cause::Lost | Cause::TimedOut
    ) {
        known.want_lookup();
    }
    if known.has_failed(std::process::id(), Instant::now()) == Probe::Gone {
        let said = answer.reply.to_string();
        log::warn!(
            "next hop {} is away; its mail is deferred, and one worker at a time tries again: {}",
            route.next_hop,
            Quoted(said.as_bytes())
        );
    }
}

/// It can be reached.
fn came(route: &Route, known: &Hop) {
    if let Some(gone) = known.has_come(Instant::now()) {
        let hop = &route.next_hop;
        log::warn!("next hop {hop} is back after {:.1} s", gone.as_secs_f32());
    }
}

fn away(known: &Hop, now: Instant) -> Answer {
    let left = known.tried_in(now).as_secs_f32();
    Answer {
        cause: Cause::Unreachable,
        ..Answer::own(Own::NextHopAway.with(&format!("within {:.0} s", left.ceil().max(1.0))))
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    [one, other].into_iter().flatten().min()
}
