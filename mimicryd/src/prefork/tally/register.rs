//! Which row of the [`Tally`] each name has. The master's: a name keeps its rows as long as the daemon lives, whatever configurations come
//! and go, and an upgrade hands names and rows on.
//!
//! Must never: give a row to two names, or to one that is not in a configuration.
//!
//! Known limit: there is room for some ten thousand names; those beyond are not counted, which is said in the log.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;

use mimicry_core::config::Config;
use mimicry_core::reason::Reason;
use serde::{Deserialize, Serialize};

use super::{
    Counter, DAEMON, Did, FIRST, Gauge, LAYOUT, LISTENER_ROWS, Labels, NEXT, NEXT_HOP_ROWS,
    Outcome, RULE_ROWS, Tally, WORDS,
};
use crate::sys::descriptors;
use crate::sys::shared::Rows;

/// Rows that there are. Those that nobody uses take no memory.
const ROWS: usize = 16_384;

/// All names that there ever were.
#[derive(Debug)]
pub struct Register {
    rows: Rc<Rows>,
    /// `None` = the system gives none, for the size of files is limited, and an upgrade begins anew.
    file: Option<OwnedFd>,
    named: Named,
}

/// Names with their first rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    #[serde(default)]
    listeners: BTreeMap<String, usize>,
    #[serde(default)]
    rules: BTreeMap<String, usize>,
    #[serde(default)]
    next_hops: BTreeMap<String, usize>,
}

/// What another master has to know of the numbers that it gets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Deed {
    pub descriptor: RawFd,
    pub named: Named,
}

impl Register {
    pub fn new() -> io::Result<Register> {
        let (rows, file) = match Rows::in_file(ROWS) {
            Ok((rows, file)) => (rows, Some(file)),
            Err(_) => (Rows::new(ROWS)?, None),
        };
        if let Some(row) = rows.pen(DAEMON) {
            row.set(LAYOUT, layout());
            row.set(NEXT, FIRST as u64);
        }
        Ok(Register {
            rows: Rc::new(rows),
            file,
            named: Named::default(),
        })
    }

    /// Of another master. An error: it counts otherwise than this program, and all numbers begin anew.
    pub fn inherit(deed: Deed) -> io::Result<Register> {
        let file = descriptors::handed_over(deed.descriptor)?;
        let rows = Rows::of_file(&file, ROWS)?;
        let is_known = rows.row(DAEMON).map(|row| row.get(LAYOUT)) == Some(layout());
        if !is_known || !deed.named.is_sound(next(&rows)) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Register {
            rows: Rc::new(rows),
            file: Some(file),
            named: deed.named,
        })
    }

    pub fn deed(&self) -> Option<Deed> {
        Some(Deed {
            descriptor: descriptors::number(self.as_fd()?),
            named: self.named.clone(),
        })
    }

    /// The names stay in the memory of this process, which needs them no more.
    pub fn is_never_freed(&mut self) {
        std::mem::forget(std::mem::take(&mut self.named));
    }

    pub fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(AsFd::as_fd)
    }

    /// The numbers of this configuration.
    pub fn of(&mut self, config: &Config) -> Tally {
        let mut land = Land {
            rows: &self.rows,
            left_out: 0,
        };
        let Named {
            listeners,
            rules,
            next_hops,
        } = &mut self.named;
        let names = config.listen.iter().map(|one| one.name.clone());
        let listeners = names.map(|name| {
            let row = land.place(listeners, &name, LISTENER_ROWS);
            // One without a row is beyond the last, so that the others keep their numbers.
            (name, row.unwrap_or(ROWS))
        });
        let listeners = listeners.collect();
        let rules = land.sorted(rules, config.banks.rule_names(), RULE_ROWS);
        let names = config.banks.next_hops();
        let names = names.iter().map(ToString::to_string).collect();
        let next_hops = land.sorted(next_hops, names, NEXT_HOP_ROWS);
        if land.left_out > 0 {
            log::warn!(
                "metrics have no room for {} more names; these are not counted",
                land.left_out
            );
        }
        Tally {
            rows: Rc::clone(&self.rows),
            labels: Rc::new(Labels {
                listeners,
                rules,
                next_hops,
            }),
        }
    }
}

/// Rows that names are given.
struct Land<'r> {
    rows: &'r Rows,
    left_out: usize,
}

impl Land<'_> {
    fn place(
        &mut self,
        names: &mut BTreeMap<String, usize>,
        name: &str,
        rows: usize,
    ) -> Option<usize> {
        if let Some(row) = names.get(name) {
            return Some(*row);
        }
        let first = next(self.rows);
        let end = first.checked_add(rows).filter(|end| *end <= ROWS);
        let (Some(end), Some(row)) = (end, self.rows.pen(DAEMON)) else {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        };
        // In the memory that an upgrade shares: a program that did not become the master may have given rows away.
        row.set(NEXT, end as u64);
        names.insert(name.to_string(), first);
        Some(first)
    }

    fn sorted(
        &mut self,
        known: &mut BTreeMap<String, usize>,
        mut names: Vec<String>,
        rows: usize,
    ) -> Vec<(String, usize)> {
        names.sort();
        names.dedup();
        let placed = names
            .into_iter()
            .filter_map(|name| Some((name.clone(), self.place(known, &name, rows)?)));
        placed.collect()
    }
}

/// The next row that nobody has.
fn next(rows: &Rows) -> usize {
    let next = rows.row(DAEMON).map_or(0, |row| row.get(NEXT));
    usize::try_from(next).unwrap_or(usize::MAX)
}

impl Named {
    /// Has each name rows of its own, before the next that is free.
    fn is_sound(&self, next: usize) -> bool {
        let of = |names: &BTreeMap<String, usize>, rows: usize| {
            let ends = names
                .values()
                .map(move |row| (*row, row.saturating_add(rows)));
            ends.collect::<Vec<_>>()
        };
        let mut taken = of(&self.listeners, LISTENER_ROWS);
        taken.extend(of(&self.rules, RULE_ROWS));
        taken.extend(of(&self.next_hops, NEXT_HOP_ROWS));
        taken.sort_unstable();
        let mut free = FIRST;
        for (first, end) in taken {
            if first < free {
                return false;
            }
            free = end;
        }
        free <= next && next <= ROWS
    }
}

/// Another number for each other meaning of the words.
fn layout() -> u64 {
    let mut text = format!("1 {WORDS} {FIRST} {LISTENER_ROWS} {RULE_ROWS} {NEXT_HOP_ROWS}");
    text.push_str(&format!(
        " {} {}",
        Gauge::WorkersMin as usize,
        Counter::ALL.len()
    ));
    let words = Did::ALL.map(Did::word).into_iter();
    let words = words.chain(Outcome::ALL.map(Outcome::word));
    for word in words.chain(Reason::ALL.iter().map(|(reason, _)| reason.code())) {
        text.push(' ');
        text.push_str(word);
    }
    // FNV-1a
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_rows_and_shares_them_with_nobody() {
        let register = Register::new().unwrap();
        let mut named = Named::default();
        let mut land = Land {
            rows: &register.rows,
            left_out: 0,
        };
        let first = land.place(&mut named.rules, "a", RULE_ROWS).unwrap();
        let hop = land
            .place(&mut named.next_hops, "a", NEXT_HOP_ROWS)
            .unwrap();
        assert_eq!((first, hop), (FIRST, FIRST + RULE_ROWS));
        let names = ["b", "a", "b"].map(String::from).to_vec();
        assert_eq!(
            land.sorted(&mut named.rules, names, RULE_ROWS),
            [("a".into(), first), ("b".into(), hop + NEXT_HOP_ROWS)]
        );
        assert!(named.is_sound(next(&register.rows)));
        let text = serde_json::to_string(&named).unwrap();
        assert_eq!(serde_json::from_str::<Named>(&text).unwrap(), named);
        for number in 0..ROWS {
            land.place(&mut named.rules, &number.to_string(), RULE_ROWS);
        }
        assert_eq!(next(&register.rows), ROWS);
        assert_eq!(land.place(&mut named.listeners, "new", 1), None);
        assert!(land.left_out > 0 && named.is_sound(ROWS));
        named.rules.insert("same".into(), hop + 1);
        assert!(!named.is_sound(ROWS));
        named.rules = BTreeMap::from([("out".into(), ROWS)]);
        assert!(!named.is_sound(ROWS));
    }

    // What an upgrade hands on.
    #[test]
    fn another_master_goes_on_with_the_numbers() {
        let mut before = Register::new().unwrap();
        let mut land = Land {
            rows: &before.rows,
            left_out: 0,
        };
        let row = land.place(&mut before.named.rules, "a", RULE_ROWS).unwrap();
        before.rows.pen(row).unwrap().add(0, 7);
        let deed = |register: &Register| {
            let copy = register.file.as_ref().unwrap().try_clone().unwrap();
            descriptors::keep_over_exec(copy.as_fd()).unwrap();
            let deed = Deed {
                descriptor: std::os::fd::IntoRawFd::into_raw_fd(copy),
                ..register.deed().unwrap()
            };
            serde_json::from_str::<Deed>(&serde_json::to_string(&deed).unwrap()).unwrap()
        };
        let after = Register::inherit(deed(&before)).unwrap();
        assert_eq!(after.named, before.named);
        assert_eq!(after.rows.row(row).unwrap().get(0), 7);
        // One that counts otherwise begins anew.
        before.rows.pen(DAEMON).unwrap().add(LAYOUT, 1);
        assert!(Register::inherit(deed(&before)).is_err());
    }
}
