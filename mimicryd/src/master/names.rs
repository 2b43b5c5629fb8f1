//! Names of next hops: which is looked up when, and what is made of the answer.
//!
//! A name is looked up again by age, and at once when a worker could not connect. What was found last stays in force until something
//! else is found, so a name server that is away stops no mail. Names that were found go before those that were not, and have processes
//! of their own: dead names, however many, delay no living one.
//!
//! Must never: look a name up in this process, wait for a lookup, or take back what is known because a lookup failed.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use mimicry_core::settings::endpoint::{Address, NextHop};
use mimicry_core::settings::words::Sandbox;
use nix::unistd::Pid;

use crate::lookup::{Find, Found, Lookup, Question};
use crate::prefork::hops::{Hop, Hops};
use crate::sys::privileges::Identity;
use crate::sys::process::Death;

/// A name that was found is looked up again after so long.
const AGE: Duration = Duration::from_secs(25);

/// One that was not, after so long.
const LOST: Duration = Duration::from_secs(10);

/// So long after the last one at the earliest, whoever wants it.
const PAUSE: Duration = Duration::from_secs(2);

/// So many lookups at a time, and so many of them for names that were not found when they were looked up last.
const AT_ONCE: usize = 32;
const IN_VAIN: usize = 24;

/// What the master knows of next hops and their names.
#[derive(Debug)]
pub struct Names {
    pub hops: Hops,
    lookups: HashMap<NextHop, Lookup>,
    /// When each was last looked up.
    begun: HashMap<NextHop, Instant>,
    find: Find,
}

/// What decides when a name is looked up.
#[derive(Clone, Copy, Debug)]
struct Facts {
    begun: Option<Instant>,
    /// It was not found when it was last looked up.
    is_lost: bool,
    /// Somebody could not connect.
    is_wanted: bool,
}

impl Facts {
    /// When it is to be looked up; `None` = at once.
    fn due(&self) -> Option<Instant> {
        let begun = self.begun?;
        let pause = match (self.is_wanted, self.is_lost) {
            (true, _) => PAUSE,
            (false, true) => LOST,
            (false, false) => AGE,
        };
        begun.checked_add(pause)
    }
}

/// A name that may be looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate<T> {
    what: T,
    is_lost: bool,
    due: Option<Instant>,
}

/// Which of them are looked up now, while so many lookups are in hand, and so many of them in vain so far.
fn choose<T>(
    mut candidates: Vec<Candidate<T>>,
    now: Instant,
    mut in_hand: usize,
    mut in_vain: usize,
) -> Vec<T> {
    candidates.retain(|one| one.due.is_none_or(|due| due <= now));
    candidates.sort_by_key(|one| (one.is_lost, one.due));
    let mut chosen = Vec::new();
    for one in candidates {
        if in_hand >= AT_ONCE || (one.is_lost && in_vain >= IN_VAIN) {
            continue;
        }
        in_hand = in_hand.saturating_add(1);
        in_vain = in_vain.saturating_add(usize::from(one.is_lost));
        chosen.push(one.what);
    }
    chosen
}

impl Names {
    pub fn new(hops: Hops, find: Find) -> Names {
        Names {
            hops,
            lookups: HashMap::new(),
            begun: HashMap::new(),
            find,
        }
    }

    /// The host of a next hop that is known by a name.
    pub fn name(next_hop: &NextHop) -> Option<(&str, u16)> {
        match next_hop {
            NextHop::Server {
                address: Address::Tcp { host, port },
                ..
            } if host.parse::<IpAddr>().is_err() => Some((host, *port)),
            _ => None,
        }
    }

    /// Somebody else collected a child that ended; true = it looked a name up.
    pub fn buried(&mut self, child: Pid, death: Death) -> bool {
        self.lookups
            .values_mut()
            .any(|lookup| lookup.buried(child, death))
    }

    /// Ends what is in hand.
    pub fn abandon(&mut self) {
        for (_, lookup) in self.lookups.drain() {
            lookup.abandon();
        }
    }

    fn candidates(&self) -> Vec<Candidate<NextHop>> {
        let named = self.hops.iter().filter(|(next_hop, _)| {
            Names::name(next_hop).is_some() && !self.lookups.contains_key(*next_hop)
        });
        named
            .map(|(next_hop, hop)| Candidate {
                what: next_hop.clone(),
                is_lost: hop.is_lost(),
                due: self.facts(next_hop, hop).due(),
            })
            .collect()
    }

    fn facts(&self, next_hop: &NextHop, hop: &Hop) -> Facts {
        Facts {
            begun: self.begun.get(next_hop).copied(),
            is_lost: hop.is_lost(),
            is_wanted: hop.is_wanted(),
        }
    }

    /// When something is to be done even if nothing is heard.
    pub fn due(&self) -> Option<Instant> {
        let deadlines = self.lookups.values().filter_map(Lookup::deadline);
        let lookups = self.candidates().into_iter().filter_map(|one| one.due);
        deadlines.chain(lookups).min()
    }

    /// Where lookups are heard.
    pub fn lookups(&self) -> impl Iterator<Item = &Lookup> {
        self.lookups.values()
    }

    /// Takes what was found, and looks up what is due, in the name of this user and in this sandbox.
    pub fn tend(&mut self, whose: (Option<&Identity>, Sandbox), now: Instant) {
        self.take(now);
        self.hops.forget_unused();
        let hops = &self.hops;
        self.begun
            .retain(|next_hop, _| hops.get(next_hop).is_some());
        let is_lost = |next_hop: &&NextHop| hops.get(next_hop).is_some_and(Hop::is_lost);
        let in_vain = self.lookups.keys().filter(is_lost).count();
        let in_hand = self.lookups.len();
        for next_hop in choose(self.candidates(), now, in_hand, in_vain) {
            self.look_up(next_hop, whose, now);
        }
    }

    fn look_up(
        &mut self,
        next_hop: NextHop,
        (identity, sandbox): (Option<&Identity>, Sandbox),
        now: Instant,
    ) {
        let (Some((host, port)), Some(hop)) = (Names::name(&next_hop), self.hops.get(&next_hop))
        else {
            return;
        };
        hop.is_looked_for();
        let question = Question {
            host,
            port,
            identity,
            sandbox,
        };
        match Lookup::begin(question, self.find) {
            Ok(lookup) => {
                self.lookups.insert(next_hop.clone(), lookup);
            }
            Err(error) => settle(&next_hop, hop, &Err(format!("no process for it: {error}"))),
        }
        self.begun.insert(next_hop, now);
    }

    fn take(&mut self, now: Instant) {
        let done = self.lookups.iter_mut();
        let done: Vec<(NextHop, Found)> = done
            .filter_map(|(next_hop, lookup)| Some((next_hop.clone(), lookup.step(now)?)))
            .collect();
        for (next_hop, found) in done {
            self.lookups.remove(&next_hop);
            if let Some(hop) = self.hops.get(&next_hop) {
                settle(&next_hop, hop, &found);
            }
        }
    }
}

/// What was found is in force from now on; what changes is said, and what stays is not.
fn settle(next_hop: &NextHop, hop: &Hop, found: &Found) {
    let before = hop.addresses();
    match found {
        Ok(addresses) => {
            let was_lost = hop.is_lost();
            hop.found(addresses);
            let (is, was) = (shown(addresses), before.as_deref().map(shown));
            match was.filter(|was| !was.is_empty()) {
                None => log::info!("next hop {next_hop} is at {is}"),
                Some(was) if was != is => {
                    log::warn!("next hop {next_hop} is now at {is}, it was at {was}");
                }
                Some(_) if was_lost => log::info!("next hop {next_hop} is found again, at {is}"),
                Some(_) => {}
            }
        }
        Err(why) => {
            let is_new = !hop.is_lost();
            hop.not_found();
            match before.filter(|before| !before.is_empty()) {
                _ if !is_new => {}
                None => log::warn!(
                    "next hop {next_hop} is not found: {why}; its mail is deferred until it is"
                ),
                Some(before) => log::warn!(
                    "next hop {next_hop} is not found: {why}; mail goes on to where it was, {}",
                    shown(&before)
                ),
            }
        }
    }
}

/// Addresses in an order that is always the same: that of the answer changes each time.
pub fn shown(addresses: &[SocketAddr]) -> String {
    let mut addresses = addresses.to_vec();
    addresses.sort();
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    // T196
    #[test]
    fn when_a_name_is_looked_up() {
        let start = Instant::now();
        for (is_lost, is_wanted, pause) in [
            (false, false, AGE),
            (true, false, LOST),
            (false, true, PAUSE),
            (true, true, PAUSE),
        ] {
            let facts = |begun| Facts {
                begun,
                is_lost,
                is_wanted,
            };
            assert_eq!(facts(None).due(), None, "at once");
            assert_eq!(facts(Some(start)).due(), Some(start + pause));
        }
        // With the time that a lookup may take, a change is followed within a minute.
        assert!(AGE + crate::lookup::TIME < Duration::from_secs(60));
    }

    // T196: a hundred dead names
    #[test]
    fn dead_names_delay_no_other() {
        let now = Instant::now();
        let dead = (0..100).map(|n| Candidate {
            what: n,
            is_lost: true,
            due: None,
        });
        let alive = |n| Candidate {
            what: n,
            is_lost: false,
            due: Some(now),
        };
        let chosen = choose(dead.clone().collect(), now, 0, 0);
        assert_eq!(chosen, (0..IN_VAIN).collect::<Vec<_>>());
        let all: Vec<_> = dead.chain([alive(100), alive(101)]).collect();
        assert_eq!(choose(all.clone(), now, IN_VAIN, IN_VAIN), [100, 101]);
        assert_eq!(choose(all.clone(), now, 0, 0).len(), IN_VAIN + 2);
        assert_eq!(choose(all, now, AT_ONCE - 1, 0), [100]);
        let later = Candidate {
            due: Some(now + PAUSE),
            ..alive(1)
        };
        assert!(choose(vec![later], now, 0, 0).is_empty());
    }

    // T196
    #[test]
    fn a_failed_lookup_takes_nothing_back() {
        let next_hop = NextHop::parse("smtp://mx.example.org").unwrap();
        let mut hops = Hops::new(None, Instant::now());
        let known = hops.of([&next_hop].into_iter()).unwrap();
        let hop = &known[&next_hop];
        let addresses = vec!["192.0.2.1:25".parse().unwrap()];
        for found in [
            Err("no".to_string()),
            Ok(addresses.clone()),
            Err("no".to_string()),
            Err("no".to_string()),
        ] {
            let before = hop.addresses().unwrap_or_default();
            settle(&next_hop, hop, &found);
            assert_eq!(hop.addresses(), Some(found.clone().unwrap_or(before)));
            assert_eq!(hop.is_lost(), found.is_err());
        }
        assert_eq!(
            shown(&["192.0.2.2:25", "192.0.2.1:25"].map(|text| text.parse().unwrap())),
            "192.0.2.1:25, 192.0.2.2:25"
        );
        assert_eq!(Names::name(&next_hop), Some(("mx.example.org", 25)));
        let of_address = NextHop::parse("smtp://[2001:db8::1]").unwrap();
        assert_eq!(Names::name(&of_address), None);
    }
}
