//! What each worker is doing: a slot per worker in memory shared with the master.
//!
//! A slot is written by its worker only, and cleared by the master when its worker has died. The row of the master is written by
//! the master only. A worker gives up all but its own slot at birth, so that this is so whoever it obeys later.
//!
//! What a mail and a rule are called is written as octets in numbers, cut to the room that there is: who reads it while it is written
//! sees a mixture, so it is for people and not for decisions.
//!
//! Must never hold anything but numbers: see [`shared`](crate::sys::shared).

#![forbid(unsafe_code)]

mod lent;
mod network;
mod tallied;

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mimicry_core::message::digest::Digest;
use mimicry_core::observer::Observer;

use super::poison::{self, Table};
use super::tally::Tally;
use crate::sys::shared::{Pen, Row, Rows};

pub use super::counter::Counter;
pub use network::Network;

/// What a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Was forked and does not accept yet.
    Starting,
    Idle,
    /// In a session, between mails.
    Session,
    /// Takes in a message.
    Receiving,
    /// Scan to verify.
    Rules,
    /// Hands the message to the next hop.
    Relaying,
}

impl State {
    pub const ALL: [State; 6] = [
        State::Starting,
        State::Idle,
        State::Session,
        State::Receiving,
        State::Rules,
        State::Relaying,
    ];

    pub fn word(self) -> &'static str {
        match self {
            State::Starting => "starting",
            State::Idle => "idle",
            State::Session => "session",
            State::Receiving => "receiving",
            State::Rules => "rules",
            State::Relaying => "relaying",
        }
    }

    pub fn is_busy(self) -> bool {
        !matches!(self, State::Starting | State::Idle)
    }
}

// The words of a worker's row; counters follow from FIRST_COUNTER on.
const PID: usize = 0;
const GENERATION: usize = 1;
/// The state in the highest octet, since when in the others, so that both are read at once.
const STATE: usize = 2;
// 3 to 5: [`network`]; 6: [`tallied`].
const FIRST_COUNTER: usize = 8;

/// How long it may be in its state, in milliseconds; 0 = the state has no limit of its own.
const LIMIT: usize = FIRST_COUNTER + Counter::ALL.len();
/// The id of the mail in hand.
const MAIL: Text = Text {
    first: LIMIT + 1,
    words: 2,
};
/// The rule at work.
const RULE: Text = Text {
    first: MAIL.end(),
    words: 6,
};

/// Whether it answers for a mail ([`Held`]), and the digest of that mail.
const HELD: usize = RULE.end();
const DIGEST: usize = HELD + 1;

// The words of the master's row.
const NUDGE_BELOW: usize = 0;
/// 1 = there will be no more workers than there are.
const FULL: usize = 1;
// 3: `lent`.

const SINCE_BITS: u32 = 56;

/// The slots of a generation of workers.
#[derive(Clone, Debug)]
pub struct Scoreboard {
    rows: Rc<Board>,
    /// Moments are counted from here, in milliseconds of the monotonic clock.
    epoch: Instant,
    poison: Option<Table>,
    tally: Option<Tally>,
}

/// The memory: each slot has its own, because each has another writer.
#[derive(Debug)]
struct Board {
    master: Rows,
    slots: Vec<Rows>,
}

/// A worker's own slot.
#[derive(Clone, Debug)]
pub struct Slot {
    board: Scoreboard,
    index: usize,
}

/// A mail that a worker answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    InHand,
    /// It made something panic, and the worker is about to go.
    Panicked,
}

/// The sums of all counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals([u64; Counter::ALL.len()]);

impl Scoreboard {
    pub fn new(slots: usize, epoch: Instant) -> io::Result<Scoreboard> {
        let slots = (0..slots).map(|_| Rows::new(1));
        let board = Board {
            master: Rows::new(1)?,
            slots: slots.collect::<io::Result<_>>()?,
        };
        Ok(Scoreboard {
            rows: Rc::new(board),
            epoch,
            poison: None,
            tally: None,
        })
    }

    /// With the table of mails that killed workers.
    pub fn knowing(self, poison: &Table) -> Scoreboard {
        Scoreboard {
            poison: Some(poison.clone()),
            ..self
        }
    }

    pub fn poison(&self) -> Option<&Table> {
        self.poison.as_ref()
    }

    /// Slots are counted from 0.
    pub fn slot(&self, index: usize) -> Option<Slot> {
        self.rows.slots.get(index)?;
        Some(Slot {
            board: self.clone(),
            index,
        })
    }

    pub fn slots(&self) -> usize {
        self.rows.slots.len()
    }

    /// Written by the master: a worker that begins a session wakes it if fewer than this are idle.
    pub fn set_nudge_below(&self, number: usize) {
        if let Some(row) = self.rows.master.pen(0) {
            row.set(NUDGE_BELOW, number as u64);
        }
    }

    /// Written by the master: will there be more workers if more are busy?
    pub fn set_full(&self, is_full: bool) {
        if let Some(row) = self.rows.master.pen(0) {
            row.set(FULL, u64::from(is_full));
        }
    }

    /// Are all workers busy, and will there be no more of them? Costs no system call.
    pub fn is_full(&self) -> bool {
        let is_free = |state| matches!(state, Some(State::Idle | State::Starting));
        self.masters().is_some_and(|row| row.get(FULL) != 0)
            && !self.all().any(|slot| is_free(slot.state()))
    }

    /// Asked by a worker that begins a session: are so few idle now that the master should know.
    pub fn is_nudge_due(&self) -> bool {
        let below = self.masters().map_or(0, |row| row.get(NUDGE_BELOW));
        if below == 0 {
            return false;
        }
        let idle = self.all().filter(|slot| slot.state() == Some(State::Idle));
        (idle.count() as u64) < below
    }

    fn all(&self) -> impl Iterator<Item = Slot> {
        (0..self.slots()).filter_map(|index| self.slot(index))
    }

    fn masters(&self) -> Option<&Row> {
        self.rows.master.row(0)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Slot {
    /// By the master, before the fork and after its worker's death: the slot is as new.
    pub fn clear(&self) {
        if let Some(row) = self.pen() {
            row.clear();
        }
    }

    /// By the worker: from here on it writes to this slot only, and to no other and not to the master's.
    pub fn keep_alone(&self) {
        let slots = self.board.rows.slots.iter().enumerate();
        slots
            .filter(|(index, _)| *index != self.index)
            .for_each(|(_, rows)| rows.give_up());
        self.board.rows.master.give_up();
        if let Some(poison) = &self.board.poison {
            poison.give_up();
        }
    }

    /// By the worker, first of all.
    pub fn claim(&self, pid: u32, generation: u64) {
        if let Some(row) = self.pen() {
            row.set(PID, u64::from(pid));
            row.set(GENERATION, generation);
        }
        self.enter(State::Starting);
    }

    /// By the worker: this is what it does from now on.
    pub fn enter(&self, state: State) {
        self.enter_for(state, None);
    }

    /// The same, for so long at most: beyond that it is stuck.
    pub fn enter_for(&self, state: State, limit: Option<Duration>) {
        let number = State::ALL
            .iter()
            .position(|one| *one == state)
            .map_or(0, |index| (index as u64).saturating_add(1));
        let since = self.board.now() & ((1 << SINCE_BITS) - 1);
        let limit = limit.map_or(0, |limit| {
            u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).max(1)
        });
        if let Some(row) = self.pen() {
            // Never the new state with an old limit.
            row.set(LIMIT, 0);
            row.set(STATE, number << SINCE_BITS | since);
            row.set(LIMIT, limit);
        }
    }

    /// By the worker: it has this mail in hand, and no rule is at work.
    pub fn take_mail(&self, id: &str) {
        if let Some(row) = self.pen() {
            MAIL.write(row, id);
            RULE.write(row, "");
        }
    }

    /// By the worker.
    pub fn add(&self, counter: Counter, number: u64) {
        if let Some(row) = self.pen() {
            row.add(word_of(counter), number);
        }
        if let (Some(listener), Some(tally)) = (self.listener(), self.board.tally()) {
            tally.count(listener, counter, number);
        }
    }

    pub fn count(&self, counter: Counter) -> u64 {
        self.row().map_or(0, |row| row.get(word_of(counter)))
    }

    /// `None` = no worker has claimed it yet.
    pub fn state(&self) -> Option<State> {
        let number = self.row()?.get(STATE) >> SINCE_BITS;
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        State::ALL.get(index).copied()
    }

    /// By the worker, before anything looks into the mail: if the worker dies now, this mail may be why.
    pub fn hold(&self, digest: &Digest) {
        if let Some(row) = self.pen() {
            for (word, number) in (DIGEST..).zip(poison::words(digest)) {
                row.set(word, number);
            }
            row.set(HELD, 1);
        }
    }

    /// By the worker: the mail came to its end, or made something panic.
    pub fn let_go(&self, panicked: bool) {
        if let Some(row) = self.pen() {
            row.set(HELD, if panicked { 2 } else { 0 });
        }
    }

    /// The mail that it answers for.
    pub fn held(&self) -> Option<(Digest, Held)> {
        let row = self.row()?;
        let held = match row.get(HELD) {
            1 => Held::InHand,
            2 => Held::Panicked,
            _ => return None,
        };
        let words = [0, 1, 2, 3].map(|word: usize| row.get(DIGEST.saturating_add(word)));
        Some((poison::digest(words), held))
    }

    /// A number that is another one each time that the worker enters a state.
    pub fn mark(&self) -> u64 {
        self.row().map_or(0, |row| row.get(STATE))
    }

    /// How long it may be in its state.
    pub fn limit(&self) -> Option<Duration> {
        let limit = self.row().map_or(0, |row| row.get(LIMIT));
        (limit > 0).then(|| Duration::from_millis(limit))
    }

    /// The id of the mail in hand, or of the last one.
    pub fn mail(&self) -> String {
        self.row().map_or_else(String::new, |row| MAIL.read(row))
    }

    /// The rule at work; empty = none is.
    pub fn rule(&self) -> String {
        self.row().map_or_else(String::new, |row| RULE.read(row))
    }

    /// For how long it has been in its state.
    pub fn age(&self) -> Duration {
        let since = self.row().map_or(0, |row| row.get(STATE)) & ((1 << SINCE_BITS) - 1);
        Duration::from_millis(self.board.now().saturating_sub(since))
    }

    /// The id of its worker; 0 = not claimed yet.
    pub fn pid(&self) -> u64 {
        self.row().map_or(0, |row| row.get(PID))
    }

    pub fn generation(&self) -> u64 {
        self.row().map_or(0, |row| row.get(GENERATION))
    }

    pub fn totals(&self) -> Totals {
        Totals(Counter::ALL.map(|counter| self.count(counter)))
    }

    pub fn board(&self) -> &Scoreboard {
        &self.board
    }

    fn row(&self) -> Option<&Row> {
        self.board.rows.slots.get(self.index)?.row(0)
    }

    fn pen(&self) -> Option<Pen<'_>> {
        self.board.rows.slots.get(self.index)?.pen(0)
    }
}

impl Observer for Slot {
    fn at(&self, rule: Option<&str>) {
        if let Some(row) = self.pen() {
            RULE.write(row, rule.unwrap_or_default());
        }
    }
}

/// A place for a text in a row: eight octets in each of its words.
struct Text {
    first: usize,
    words: usize,
}

impl Text {
    const fn end(&self) -> usize {
        self.first + self.words
    }

    fn write(&self, row: Pen<'_>, text: &str) {
        let mut octets = text.bytes();
        for word in self.first..self.end() {
            let number = [0; 8].map(|_: u8| octets.next().unwrap_or(0));
            row.set(word, u64::from_ne_bytes(number));
        }
    }

    fn read(&self, row: &Row) -> String {
        let words = self.first..self.end();
        let octets = words.flat_map(|word| row.get(word).to_ne_bytes());
        let octets: Vec<u8> = octets.take_while(|octet| *octet != 0).collect();
        // One that was cut amid a character, or is being written.
        String::from_utf8_lossy(&octets).into_owned()
    }
}

fn word_of(counter: Counter) -> usize {
    FIRST_COUNTER.saturating_add(counter as usize)
}

// Nothing of a row is left out.
const _: () = assert!(DIGEST + 4 <= crate::sys::shared::WORDS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_says_what_was_written() {
        let board = Scoreboard::new(2, Instant::now()).unwrap();
        assert_eq!(board.slots(), 2);
        assert!(board.slot(2).is_none());
        let slot = board.slot(1).unwrap();
        assert_eq!((slot.state(), slot.pid()), (None, 0));
        slot.claim(4711, 3);
        assert_eq!(
            (slot.state(), slot.pid(), slot.generation()),
            (Some(State::Starting), 4711, 3)
        );
        for state in State::ALL {
            slot.enter(state);
            assert_eq!(slot.state(), Some(state));
            assert!(slot.age() < Duration::from_secs(5));
        }
        for (number, counter) in (1..).zip(Counter::ALL) {
            slot.add(counter, number);
            slot.add(counter, 100);
        }
        for (number, counter) in (1..).zip(Counter::ALL) {
            assert_eq!(slot.count(counter), number + 100);
            assert_eq!(slot.totals().get(counter), number + 100);
        }
        let other = board.slot(0).unwrap();
        assert_eq!((other.state(), other.totals()), (None, Totals::default()));
        slot.clear();
        assert_eq!((slot.state(), slot.pid()), (None, 0));
        assert_eq!(slot.totals(), Totals::default());
    }

    #[test]
    fn a_slot_says_what_is_in_hand() {
        let board = Scoreboard::new(2, Instant::now()).unwrap();
        let slot = board.slot(0).unwrap();
        let long = "\u{e4}".repeat(40);
        assert_eq!((slot.mail(), slot.rule()), (String::new(), String::new()));
        for (id, rule, shown) in [
            ("0123456789", Some("a rule"), "a rule"),
            ("0123456789abcdef", None, ""),
            ("x", Some(long.as_str()), &long[..48]),
        ] {
            slot.take_mail(id);
            assert_eq!((slot.mail().as_str(), slot.rule().as_str()), (id, ""));
            slot.at(rule);
            assert_eq!(slot.rule(), shown);
        }
        slot.take_mail("y");
        assert_eq!((slot.mail().as_str(), slot.rule().as_str()), ("y", ""));
        assert_eq!(board.slot(1).unwrap().mail(), "");
        let digest = Digest::of_octets(b"x");
        assert_eq!(slot.held(), None);
        slot.hold(&digest);
        assert_eq!(slot.held(), Some((digest, Held::InHand)));
        slot.let_go(true);
        assert_eq!(slot.held(), Some((digest, Held::Panicked)));
        slot.let_go(false);
        assert_eq!(slot.held(), None);
        slot.enter_for(State::Relaying, Some(Duration::from_secs(7)));
        assert_eq!(slot.limit(), Some(Duration::from_secs(7)));
        slot.enter(State::Session);
        assert_eq!(slot.limit(), None);
    }

    #[test]
    fn ages_grow() {
        let board = Scoreboard::new(1, Instant::now()).unwrap();
        let slot = board.slot(0).unwrap();
        slot.enter(State::Idle);
        std::thread::sleep(Duration::from_millis(20));
        assert!(slot.age() >= Duration::from_millis(19), "{:?}", slot.age());
    }

    #[test]
    fn the_master_is_woken_when_few_are_idle() {
        let board = Scoreboard::new(4, Instant::now()).unwrap();
        for index in 0..3 {
            board.slot(index).unwrap().enter(State::Idle);
        }
        assert!(!board.is_nudge_due(), "the master does not want it");
        board.set_nudge_below(2);
        assert!(!board.is_nudge_due());
        board.slot(0).unwrap().enter(State::Session);
        assert!(!board.is_nudge_due());
        board.slot(1).unwrap().enter(State::Relaying);
        assert!(board.is_nudge_due());
    }

    // T54
    #[test]
    fn all_are_busy_when_none_is_idle_and_none_will_come() {
        let board = Scoreboard::new(3, Instant::now()).unwrap();
        let slots = [0, 1, 2].map(|index| board.slot(index).unwrap());
        for (states, is_last, expected) in [
            ([State::Session, State::Rules, State::Relaying], true, true),
            (
                [State::Session, State::Rules, State::Relaying],
                false,
                false,
            ),
            ([State::Session, State::Idle, State::Relaying], true, false),
            (
                [State::Starting, State::Rules, State::Relaying],
                true,
                false,
            ),
        ] {
            board.set_full(is_last);
            for (slot, state) in slots.iter().zip(states) {
                slot.enter(state);
            }
            assert_eq!(board.is_full(), expected, "{states:?} {is_last}");
        }
        // A slot that nobody has is no worker.
        slots[0].clear();
        assert!(board.is_full());
    }

    #[test]
    fn totals_are_sums() {
        let board = Scoreboard::new(1, Instant::now()).unwrap();
        let slot = board.slot(0).unwrap();
        slot.add(Counter::Mails, 2);
        slot.add(Counter::OctetsOut, u64::MAX);
        let mut totals = slot.totals();
        totals.add(slot.totals());
        assert_eq!(totals.get(Counter::Mails), 4);
        assert_eq!(totals.get(Counter::OctetsOut), u64::MAX - 1);
        assert_eq!(totals.get(Counter::Sessions), 0);
    }
}
