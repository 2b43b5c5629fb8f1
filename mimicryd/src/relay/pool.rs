//! The connections (lines) that a worker keeps to its next hops.
//!
//! A line is taken for one transaction and given back after it; several lines to the same next hop can be in use at
//! once, one per class. A line is checked before it is reused. If the next hop closes it just after that check, MAIL is
//! sent once more on another line, so the client never notices a line that died while it was idle.
//!
//! Idle lines are for the next mail, of whichever worker: [`Pool::give_back`] closes those to a next hop that is short of them.
//!
//! Must never: be kept across a fork with lines in it, give out a line that is inside a transaction, or keep an idle one while it waits
//! for another.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mimicry_core::envelope::{Path, Recipient};
use mimicry_core::extension::{Extension, Extensions};
use mimicry_core::origin::Origin;
use mimicry_core::printable::Quoted;
use mimicry_core::reply::{Own, Reply};
use mimicry_core::settings::endpoint;

use super::ahead::Ahead;
use super::answer::{Answer, Cause};
use super::keys::Keys;
use super::next_hop::NextHop;
use super::params::{Size, outgoing_mail_params, outgoing_rcpt_params};
use super::reach::{Need, Reached, reach};
use super::remembered::Remembered;
use super::route::Route;
use crate::prefork::hops::{self, Ticket};

/// Longer than that no line is kept without work: Postfix's server closes after 300 s, some after 60.
const IDLE: Duration = Duration::from_secs(60);

/// So many mails go over one line; then it is made anew, so that a next hop that spreads its load can do so.
const MAILS_PER_LINE: u32 = 100;

/// For so long it is taken for true what a next hop said it can do.
const KNOWN: Duration = Duration::from_secs(60);

/// For so long a next hop that could not be asked is not asked again.
const UNKNOWN: Duration = Duration::from_secs(10);

/// How long a client's EHLO waits for the next hop's.
const ASKING: Duration = Duration::from_secs(5);

/// How long a worker waits for the reply to QUIT: nothing depends on it.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a next hop does to every mail alike is logged so often at most.
const COMPLAINING: Duration = Duration::from_secs(60);

/// All lines of a worker.
pub struct Pool {
    keys: Arc<Keys>,
    hops: HashMap<Route, Hop>,
    remembered: Remembered,
    known: hops::Known,
}

/// A line in use. Dropped, it is cut.
pub struct Line {
    hop: Box<dyn NextHop>,
    /// Is free once the line is cut, and so stands below it.
    ticket: Option<Ticket>,
    address: Option<SocketAddr>,
    route: Route,
    mails: u32,
    idle_since: Instant,
    /// The message must be made 7-bit before it may go out on this line.
    pub needs_7bit: bool,
    /// SMTPUTF8 was asked for, and this next hop lacks it.
    pub needs_ascii_header: bool,
    is_promised: bool,
    /// Recipients that went out with MAIL.
    given: usize,
}

/// What begins a transaction.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// Told to a next hop that wants to know.
    pub origin: &'a Origin,
    pub sender: &'a Path,
    /// The parameters of MAIL as the client gave them.
    pub params: &'a [u8],
    /// Those who will be named next, as far as they are known.
    pub recipients: &'a [&'a Recipient],
    pub size: Size,
    /// The client was offered what this next hop was taken to have.
    pub is_promised: bool,
    /// The end of the whole transaction.
    pub limit: Option<Instant>,
    /// The mail has a line to this or another next hop already.
    pub has_line: bool,
}

#[derive(Default)]
struct Hop {
    idle: Vec<Line>,
    /// When it was asked, and what it said.
    known: Option<(Instant, Option<Extensions>)>,
    complained_at: Option<Instant>,
}

impl Pool {
    /// `keys` = what the routes need; `remembered` = what next hops can do that cannot be asked; `known` = what all workers know.
    pub fn new(keys: Arc<Keys>, remembered: Remembered, known: hops::Known) -> Pool {
        Pool {
            keys,
            hops: HashMap::new(),
            remembered,
            known,
        }
    }

    /// Opens a transaction: a line to the next hop, and MAIL on it. `Err` is the answer to give instead.
    pub fn begin(&mut self, route: &Route, opening: &Opening<'_>) -> Result<Line, Answer> {
        loop {
            let (mut line, was_idle) = self.take(route, opening.limit, opening.has_line)?;
            line.is_promised = opening.is_promised;
            let outgoing = outgoing_mail_params(
                opening.params,
                opening.sender,
                line.hop.capabilities(),
                opening.size,
            );
            let outgoing = match outgoing {
                Ok(outgoing) => outgoing,
                Err(reply) => {
                    let reply = line.lacks(reply);
                    self.give(line);
                    return Err(Answer::said(reply));
                }
            };
            line.needs_7bit = outgoing.needs_7bit;
            line.needs_ascii_header = outgoing.needs_ascii_header;
            line.open_ahead(opening, &outgoing.params);
            let introduced = line.hop.introduce(opening.origin);
            // A refusal of that changes no mail; a line that broke at it has no MAIL any more.
            let is_open = introduced.is_done() || line.hop.is_ahead() || line.hop.is_usable();
            let answer = match is_open {
                true => line.hop.mail(opening.sender, &outgoing.params),
                false => introduced.clone().as_temporary(),
            };
            if answer.is_done() {
                if !introduced.is_done() {
                    self.complain(route, "refuses XFORWARD", &introduced);
                }
                return Ok(line);
            }
            // Closed between our look and MAIL. A new line has no such excuse, and one that kept us waiting is not tried twice.
            let is_late = matches!(answer.cause, Cause::TimedOut | Cause::OutOfTime);
            line.hop.forget();
            let died = !line.hop.is_usable() && !is_late;
            self.give(line);
            if !(was_idle && died) {
                return Err(answer);
            }
        }
    }

    /// Takes a line back. What is left of a transaction on it is ended, so this belongs behind the client's reply.
    pub fn give(&mut self, mut line: Line) {
        line.hop.limit(None);
        line.needs_7bit = false;
        line.needs_ascii_header = false;
        line.hop.forget();
        if line.hop.is_in_transaction() && line.hop.is_in_order() {
            line.hop.reset();
        }
        // Whether it lives is seen when it is taken.
        if line.hop.is_in_transaction() || !line.hop.is_in_order() {
            return;
        }
        if line.mails >= MAILS_PER_LINE {
            farewell(line);
            return;
        }
        line.idle_since = Instant::now();
        if let Some(ticket) = &line.ticket {
            ticket.idle();
        }
        if self.is_short(&line.route) {
            farewell(line);
            return;
        }
        if let Some(hop) = self.hops.get_mut(&line.route) {
            hop.idle.push(line);
        }
    }

    /// Says goodbye on the idle lines to next hops that somebody waits for a line to.
    pub fn give_back(&mut self) {
        for (route, hop) in &mut self.hops {
            let known = self.known.get(&route.next_hop);
            if known.is_some_and(hops::Hop::is_short) {
                hop.idle.drain(..).for_each(farewell);
            }
        }
        let short = self.known.values().filter(|hop| hop.is_short());
        short.for_each(|hop| hop.disown(std::process::id()));
    }

    fn is_short(&self, route: &Route) -> bool {
        let known = self.known.get(&route.next_hop);
        known.is_some_and(hops::Hop::is_short)
    }

    /// What the next hop can do: what it has said within the last minute or says now, else, if it is down or too slow to wait for, what
    /// it last said within a day. It is asked on the line that the mail will take.
    pub fn last_known(&mut self, route: &Route) -> Option<Extensions> {
        let asked = self.asked(route);
        // A mail that is larger than it once took would be returned for ever; deferred, it costs a moment.
        let last = || self.remembered.last(&route.next_hop);
        asked.or_else(|| last().map(Extensions::of_any_size))
    }

    fn asked(&mut self, route: &Route) -> Option<Extensions> {
        if let Some((at, known)) = self.hops.get(route).and_then(|hop| hop.known.as_ref()) {
            let lasts = if known.is_some() { KNOWN } else { UNKNOWN };
            if at.elapsed() < lasts {
                return known.clone();
            }
        }
        // Nobody waits for what is not needed yet, and the line for it is not to be one line more.
        if self.is_short(route) {
            return None;
        }
        if let Some(hop) = self.hops.get_mut(route) {
            hop.idle.pop().into_iter().for_each(farewell);
        }
        let limit = Some(Instant::now() + ASKING);
        let line = self.open(route, limit, false).ok()?;
        let capabilities = line.hop.capabilities().clone();
        self.give(line);
        Some(capabilities)
    }

    /// To be called between mails: says goodbye on lines that were idle for long.
    pub fn tidy(&mut self) {
        for hop in self.hops.values_mut() {
            for line in hop
                .idle
                .extract_if(.., |line| line.idle_since.elapsed() >= IDLE)
            {
                farewell(line);
            }
        }
    }

    /// Says goodbye on all lines.
    pub fn close(&mut self) {
        for hop in self.hops.values_mut() {
            hop.idle.drain(..).for_each(farewell);
        }
    }

    /// An idle line that still lives, else a new one; whether it was idle.
    fn take(
        &mut self,
        route: &Route,
        limit: Option<Instant>,
        has_line: bool,
    ) -> Result<(Line, bool), Answer> {
        let known = self.known.get(&route.next_hop);
        let addresses = known.and_then(hops::Hop::addresses).unwrap_or_default();
        let idle = self.hops.get_mut(route).map(|hop| &mut hop.idle);
        // The youngest first: what is not needed ages and goes.
        for mut line in idle
            .into_iter()
            .flat_map(|idle| std::iter::from_fn(|| idle.pop()))
        {
            let is_there = line.address.is_none_or(|at| addresses.contains(&at));
            // That it died while it was idle is seen before MAIL is written.
            if is_there && line.idle_since.elapsed() < IDLE && line.hop.is_in_order() {
                line.hop.limit(limit);
                line.mails = line.mails.saturating_add(1);
                if let Some(ticket) = &line.ticket {
                    ticket.in_use();
                }
                return Ok((line, true));
            }
        }
        let mut line = self.open(route, limit, has_line)?;
        line.mails = 1;
        Ok((line, false))
    }

    /// A new line; what the next hop can do is remembered.
    fn open(
        &mut self,
        route: &Route,
        limit: Option<Instant>,
        has_line: bool,
    ) -> Result<Line, Answer> {
        self.hops.entry(route.clone()).or_default();
        let hops = RefCell::new(&mut self.hops);
        let give_back = || {
            for hop in hops.borrow_mut().values_mut() {
                hop.idle.drain(..).for_each(farewell);
            }
        };
        let need = Need {
            limit,
            has_line,
            give_back: &give_back,
        };
        let known = self.known.get(&route.next_hop);
        let opened = reach(route, known, &self.keys, need);
        let hop = self.hops.entry(route.clone()).or_default();
        let capabilities = opened.as_ref().ok();
        let capabilities = capabilities.map(|reached| reached.hop.capabilities().clone());
        if let Some(capabilities) = &capabilities {
            self.remembered.note(&route.next_hop, capabilities);
        }
        hop.known = Some((Instant::now(), capabilities));
        match opened {
            Ok(Reached {
                mut hop,
                address,
                ticket,
            }) => {
                hop.limit(limit);
                Ok(Line {
                    hop,
                    ticket,
                    address,
                    route: route.clone(),
                    mails: 0,
                    idle_since: Instant::now(),
                    needs_7bit: false,
                    needs_ascii_header: false,
                    is_promised: false,
                    given: 0,
                })
            }
            Err(answer) => {
                // Every mail fails by it, and only the operator can help.
                if matches!(answer.cause, Cause::Login | Cause::Tls) {
                    self.complain(route, "cannot be used as configured", &answer);
                }
                Err(answer)
            }
        }
    }

    fn complain(&mut self, route: &Route, what: &str, answer: &Answer) {
        let hop = self.hops.entry(route.clone()).or_default();
        if hop
            .complained_at
            .is_none_or(|at| at.elapsed() >= COMPLAINING)
        {
            hop.complained_at = Some(Instant::now());
            let said = answer.reply.to_string();
            log::error!(
                "next hop {} {what}: {}",
                route.next_hop,
                Quoted(said.as_bytes())
            );
        }
    }
}

impl Line {
    pub fn next_hop(&self) -> &endpoint::NextHop {
        &self.route.next_hop
    }

    /// What the recipient's RCPT has for parameters, or why there is none.
    fn rcpt_params(&self, recipient: &Recipient) -> Result<Vec<u8>, Answer> {
        let is_ascii = recipient.path.as_bytes().is_ascii() && recipient.params.is_ascii();
        let capabilities = self.hop.capabilities();
        if !is_ascii && !capabilities.contains(Extension::SmtpUtf8) {
            return Err(self.no_utf8());
        }
        outgoing_rcpt_params(&recipient.params, capabilities).map_err(Answer::own)
    }

    /// Tells the next hop of a recipient.
    pub fn address(&mut self, recipient: &Recipient) -> Answer {
        match self.rcpt_params(recipient) {
            Ok(params) => self.hop.rcpt(&recipient.path, &params),
            Err(answer) => answer,
        }
    }

    /// So many of the recipients to come the next hop was told of when the transaction was opened, less the one at hand.
    pub fn given_ahead(&self) -> usize {
        self.given.saturating_sub(1)
    }

    /// These will be named next, in this order. So many of them the next hop was told of beforehand.
    pub fn address_ahead(&mut self, recipients: &[&Recipient]) -> usize {
        match recipients.is_empty() || self.hop.is_ahead() {
            true => 0,
            false => self.give_ahead(None, recipients),
        }
    }

    fn open_ahead(&mut self, opening: &Opening<'_>, params: &[u8]) {
        let begin = (opening.origin, opening.sender, params);
        self.given = self.give_ahead(Some(begin), opening.recipients);
    }

    fn give_ahead(
        &mut self,
        opening: Option<(&Origin, &Path, &[u8])>,
        recipients: &[&Recipient],
    ) -> usize {
        let recipients: Vec<(&Path, Vec<u8>)> = recipients
            .iter()
            .map_while(|one| Some((&one.path, self.rcpt_params(one).ok()?)))
            .collect();
        let recipients = &recipients;
        self.hop.ahead(Ahead {
            opening,
            recipients,
        })
    }

    /// This next hop takes no SMTPUTF8, and the mail needs it.
    pub fn no_utf8(&self) -> Answer {
        Answer::said(self.lacks(Own::NoUtf8.reply()))
    }

    /// A refusal for want of an extension. One that was promised to the client is not there yet, or no more: the client is to ask again.
    fn lacks(&self, refusal: Reply) -> Reply {
        match self.is_promised && refusal == Own::NoUtf8.reply() {
            true => Own::NoUtf8Now.reply(),
            false => refusal,
        }
    }
}

impl std::ops::Deref for Line {
    type Target = dyn NextHop;

    fn deref(&self) -> &Self::Target {
        self.hop.as_ref()
    }
}

impl std::ops::DerefMut for Line {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.hop.as_mut()
    }
}

fn farewell(mut line: Line) {
    line.hop.limit(Some(Instant::now() + FAREWELL));
    line.hop.quit();
}

/// With the one next hop that a test has.
#[cfg(test)]
pub fn pool_with(keys: Keys, next_hop: &endpoint::NextHop) -> Pool {
    let mut hops = hops::Hops::new(None, Instant::now());
    let known = hops.of([next_hop].into_iter()).unwrap();
    Pool::new(Arc::new(keys), Remembered::default(), known)
}

#[cfg(test)]
mod tests;
