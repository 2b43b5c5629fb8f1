//! What the master and all workers know together of each next hop, in memory that they share: where it is (`place`), who has lines to
//! it (`lines`), and whether it is away (`away`).
//!
//! The master makes it for the next hops of a configuration, before the workers that need it are forked; what a configuration has in
//! common with the one before stays. Addresses are written by the master, and no worker can; a line's place by the worker that has the
//! line, or by the master for one that died.
//!
//! Must never hold anything but numbers: see [`shared`](crate::sys::shared); decide anything about a mail, or wait.
//!
//! Known limits: a worker that was taken over can write who has lines and whether a next hop is away, and so keep mail from going. What it
//! wrote is no longer believed once it is gone: a minute later at most.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Instant;

use mimicry_core::settings::endpoint::{Address, NextHop};

use super::pipes::Ends;

mod away;
mod hop;
mod lines;
mod place;

pub use away::{Away, Probe};
pub use hop::Hop;
pub use lines::Ticket;
pub use place::ADDRESSES;

/// All next hops that the living generations have. The master's.
#[derive(Debug)]
pub struct Hops {
    known: HashMap<NextHop, Hop>,
    ends: Option<Rc<Ends>>,
    epoch: Instant,
}

/// The next hops of one configuration.
pub type Known = HashMap<NextHop, Hop>;

impl Hops {
    /// `ends` is where workers wake the master.
    pub fn new(ends: Option<Rc<Ends>>, epoch: Instant) -> Hops {
        Hops {
            known: HashMap::new(),
            ends,
            epoch,
        }
    }

    /// Those of a configuration; a directory has none. What no generation has any more is forgotten.
    pub fn of<'n>(&mut self, next_hops: impl Iterator<Item = &'n NextHop>) -> io::Result<Known> {
        let mut known = Known::new();
        for next_hop in next_hops {
            let NextHop::Server { address, .. } = next_hop else {
                continue;
            };
            let hop = match self.known.get(next_hop) {
                Some(hop) => hop.clone(),
                None => {
                    let hop = Hop::new(address, self.ends.clone(), self.epoch)?;
                    if let Some(places) = places(address) {
                        hop.found(&places);
                    }
                    hop
                }
            };
            known.insert(next_hop.clone(), hop);
        }
        self.forget_unused();
        let all = known.iter();
        self.known
            .extend(all.map(|(next_hop, hop)| (next_hop.clone(), hop.clone())));
        Ok(known)
    }

    /// What no generation has any more.
    pub fn forget_unused(&mut self) {
        self.known.retain(|_, hop| !hop.is_alone());
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&NextHop, &Hop)> {
        self.known.iter()
    }

    pub fn get(&self, next_hop: &NextHop) -> Option<&Hop> {
        self.known.get(next_hop)
    }

    /// By the master: this worker is dead, and has no lines any more.
    pub fn bury(&self, worker: u32) {
        for hop in self.known.values() {
            hop.bury_lines(worker);
            hop.bury_probe(worker);
        }
    }
}

/// Where it is for sure; `None` = only its name is known.
fn places(address: &Address) -> Option<Vec<SocketAddr>> {
    match address {
        Address::Unix(_) => Some(Vec::new()),
        Address::Tcp { host, port } => {
            let address = host.parse::<IpAddr>().ok()?;
            Some(vec![(address, *port).into()])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_configurations_have_in_common_stays() {
        let mut hops = Hops::new(None, Instant::now());
        let [one, two, stored] = ["smtp://192.0.2.1:25", "smtp://mx:25", "maildir:///m"]
            .map(|text| NextHop::parse(text).unwrap());
        let first = hops.of([&one, &two, &stored].into_iter()).unwrap();
        assert_eq!(first.len(), 2);
        let places = first[&one].addresses();
        assert_eq!(places, Some(vec!["192.0.2.1:25".parse().unwrap()]));
        assert_eq!(first[&two].addresses(), None);
        let socket = NextHop::parse("lmtp:///run/l").unwrap();
        let known = hops.of([&socket].into_iter()).unwrap();
        assert_eq!(known[&socket].addresses(), Some(Vec::new()));
        first[&two].found(&["192.0.2.2:25".parse().unwrap()]);
        let second = hops.of([&two].into_iter()).unwrap();
        assert!(second[&two].addresses().is_some());
        drop((first, known));
        let third = hops.of([&two].into_iter()).unwrap();
        assert_eq!(hops.iter().count(), 1);
        drop((second, third));
        assert_eq!(hops.of([&one].into_iter()).unwrap().len(), 1);
        assert!(hops.get(&two).is_none());
    }
}
