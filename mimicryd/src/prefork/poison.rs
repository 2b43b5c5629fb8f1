//! Mails that killed workers, and how many each: a table in memory shared by the master and all workers.
//!
//! The master writes the entries, and no worker can. A worker looks its mail up before anything reads it, and marks an entry whose mail
//! has passed the rules alive; the master then forgets it.
//!
//! Must never hold anything but numbers: see [`shared`](crate::sys::shared); or grow.
//!
//! Known limits: a worker that was taken over can mark any entry, and have the deaths of a mail counted anew.

#![forbid(unsafe_code)]

use std::io;
use std::rc::Rc;

/// To the master a number that names a mail.
pub use mimicry_core::message::digest::Digest;

use crate::sys::shared::{Row, Rows, WORDS};

/// So many mails, and no more: a new one takes the place of the one whose last death is longest ago.
pub const ENTRIES: usize = 256;

// The words of a row.
const DEATHS: usize = 0;
/// In seconds since 1970.
const LAST: usize = 1;
const DIGEST: usize = 2;
const DIGEST_WORDS: usize = 4;

/// The table. A clone is the same table.
#[derive(Clone, Debug)]
pub struct Table(Rc<Both>);

#[derive(Debug)]
struct Both {
    entries: Rows,
    /// A word for each entry, which any worker may write to; not 0 = it has passed.
    passed: Rows,
}

/// A mail that killed workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub digest: Digest,
    pub deaths: u64,
    /// The last death, in seconds since 1970.
    pub last: i64,
}

impl Table {
    pub fn new() -> io::Result<Table> {
        Ok(Table(Rc::new(Both {
            entries: Rows::new(ENTRIES)?,
            passed: Rows::new(ENTRIES.div_ceil(WORDS))?,
        })))
    }

    /// By a worker: from here on it does not write entries.
    pub fn give_up(&self) {
        self.0.entries.give_up();
    }

    /// How many workers this mail has killed since it last passed.
    pub fn deaths(&self, digest: &Digest) -> u64 {
        let row = self.find(digest).and_then(|index| self.row(index));
        row.map_or(0, |row| row.get(DEATHS))
    }

    /// By a worker: the mail has passed the rules alive.
    pub fn passed(&self, digest: &Digest) {
        if let Some(index) = self.find(digest) {
            self.mark(index, 1);
        }
    }

    /// By the master: forgets the mails that have passed, and those whose last death was before `oldest`. True = there were some.
    pub fn sweep(&self, oldest: i64) -> bool {
        let is_over = |row: &Row, index| self.has_passed(index) || last(row) < oldest;
        let mut swept = false;
        for (index, row) in self.used() {
            if is_over(row, index) {
                self.clear_row(index);
                swept = true;
            }
        }
        swept
    }

    /// By the master: this mail has killed one more worker. The sum of its deaths.
    pub fn add(&self, digest: &Digest, now: i64) -> u64 {
        let deaths = self.deaths(digest).saturating_add(1);
        self.put(&Entry {
            digest: *digest,
            deaths,
            last: now,
        });
        deaths
    }

    /// By the master.
    pub fn put(&self, entry: &Entry) {
        let known = self.find(&entry.digest);
        let free = || self.rows().find(|(_, row)| row.get(DEATHS) == 0);
        let oldest = || self.rows().min_by_key(|(_, row)| last(row));
        let other = || free().or_else(oldest).map(|(index, _)| index);
        let Some(index) = known.or_else(other) else {
            return;
        };
        // A row without deaths is no entry, whoever looks meanwhile.
        self.clear_row(index);
        let Some(row) = self.0.entries.pen(index) else {
            return;
        };
        for (word, number) in (DIGEST..).zip(words(&entry.digest)) {
            row.set(word, number);
        }
        row.set(LAST, u64::try_from(entry.last).unwrap_or_default());
        row.set(DEATHS, entry.deaths);
    }

    /// By the master: forgets all. How many there were.
    pub fn clear(&self) -> usize {
        let used = self.used().map(|(index, _)| self.clear_row(index));
        used.count()
    }

    /// All entries, the last death first.
    pub fn entries(&self) -> Vec<Entry> {
        let rows = self.used().filter(|(index, _)| !self.has_passed(*index));
        let mut entries: Vec<Entry> = rows
            .map(|(_, row)| Entry {
                digest: digest(
                    [0, 1, 2, 3].map(|word: usize| row.get(DIGEST.saturating_add(word))),
                ),
                deaths: row.get(DEATHS),
                last: last(row),
            })
            .collect();
        entries.sort_by_key(|entry| (std::cmp::Reverse(entry.last), entry.digest));
        entries
    }

    fn rows(&self) -> impl Iterator<Item = (usize, &Row)> {
        (0..ENTRIES).filter_map(|index| Some((index, self.row(index)?)))
    }

    /// Rows that are entries.
    fn used(&self) -> impl Iterator<Item = (usize, &Row)> {
        self.rows().filter(|(_, row)| row.get(DEATHS) > 0)
    }

    fn row(&self, index: usize) -> Option<&Row> {
        self.0.entries.row(index)
    }

    fn clear_row(&self, index: usize) {
        if let Some(row) = self.0.entries.pen(index) {
            row.clear();
        }
        self.mark(index, 0);
    }

    fn has_passed(&self, index: usize) -> bool {
        let row = self.0.passed.row(index / WORDS);
        row.is_some_and(|row| row.get(index % WORDS) != 0)
    }

    fn mark(&self, index: usize, passed: u64) {
        if let Some(row) = self.0.passed.pen(index / WORDS) {
            row.set(index % WORDS, passed);
        }
    }

    fn find(&self, digest: &Digest) -> Option<usize> {
        let wanted = words(digest);
        let is_same = |row: &Row| {
            let mut words = (DIGEST..).zip(wanted);
            words.all(|(word, number)| row.get(word) == number)
        };
        let mut used = self.used();
        let found = used.find(|(index, row)| !self.has_passed(*index) && is_same(row));
        found.map(|(index, _)| index)
    }
}

fn last(row: &Row) -> i64 {
    i64::try_from(row.get(LAST)).unwrap_or(i64::MAX)
}

/// A digest as numbers.
pub fn words(digest: &Digest) -> [u64; DIGEST_WORDS] {
    let mut octets = digest.as_bytes().iter().copied();
    [0; DIGEST_WORDS]
        .map(|_: u64| u64::from_be_bytes([0; 8].map(|_: u8| octets.next().unwrap_or_default())))
}

/// The digest that these numbers are.
pub fn digest(words: [u64; DIGEST_WORDS]) -> Digest {
    let mut octets = words.into_iter().flat_map(u64::to_be_bytes);
    Digest::from_bytes([0; 32].map(|_: u8| octets.next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(number: usize) -> Digest {
        Digest::of_octets(&number.to_be_bytes())
    }

    // T93
    #[test]
    fn deaths_are_counted_until_the_mail_passes() {
        let table = Table::new().unwrap();
        let other = table.clone();
        assert_eq!(digest(words(&of(1))), of(1));
        assert_eq!((table.deaths(&of(1)), table.entries().len()), (0, 0));
        assert_eq!(table.add(&of(1), 100), 1);
        assert_eq!(table.add(&of(2), 101), 1);
        assert_eq!(table.add(&of(1), 102), 2);
        let entries = [(1, 2, 102), (2, 1, 101)].map(|(number, deaths, last)| Entry {
            digest: of(number),
            deaths,
            last,
        });
        assert_eq!(other.entries(), entries);
        other.passed(&of(3));
        assert!(!table.sweep(0));
        other.passed(&of(1));
        assert_eq!(table.deaths(&of(1)), 0, "at once");
        assert!(table.sweep(0));
        assert_eq!(table.entries(), entries[1..]);
        assert!(!table.sweep(101) && table.sweep(102), "old ones go");
        table.put(&entries[0]);
        assert_eq!(
            (table.deaths(&of(1)), table.clear(), table.clear()),
            (2, 1, 0)
        );
    }

    #[test]
    fn the_table_is_bounded() {
        let table = Table::new().unwrap();
        for number in 0..ENTRIES + 10 {
            table.add(&of(number), i64::try_from(number).unwrap());
        }
        assert_eq!(table.entries().len(), ENTRIES);
        assert_eq!((table.deaths(&of(9)), table.deaths(&of(10))), (0, 1));
    }
}
