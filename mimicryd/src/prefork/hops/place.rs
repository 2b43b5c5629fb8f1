//! Where a next hop is: the addresses that its name stands for, as the master last found them.
//!
//! The master writes them into one of two rows, and then says which one counts; a worker that reads meanwhile has the one or the other.
//! No worker can write there, so that none sends the mail of others elsewhere.
//!
//! Must never: look a name up.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::{Duration, Instant};

use super::hop::{FOUND_AT, Hop, IS_LOST, PLACES, VERSION, WANTED};
use crate::sys::shared::{Pen, Row, WORDS};

/// Addresses of a name that are kept; further ones are not tried.
pub const ADDRESSES: usize = 15;

/// Words of an address: what kind it is, with its scope, and its octets.
const SIZE: usize = 3;

// One word is their number.
const _: () = assert!(ADDRESSES * SIZE < WORDS);

const V4: u64 = 4;
const V6: u64 = 6;

impl Hop {
    /// Where it is; `None` = nobody knows yet, and empty = its name was not found.
    pub fn addresses(&self) -> Option<Vec<SocketAddr>> {
        let is_lost = self.is_lost();
        loop {
            let version = self.told(VERSION);
            if version == 0 {
                return is_lost.then(Vec::new);
            }
            let addresses = self.read(version);
            // Written twice meanwhile, it may be a mixture.
            if self.told(VERSION) == version {
                return addresses;
            }
        }
    }

    /// By the master: it is here.
    pub fn found(&self, addresses: &[SocketAddr]) {
        let version = self.told(VERSION).saturating_add(1);
        if let Some(row) = self.place_pen(row_of(version)) {
            let addresses = addresses.iter().take(ADDRESSES);
            row.set(0, addresses.len() as u64);
            for (at, address) in (1..).step_by(SIZE).zip(addresses) {
                write(row, at, address);
            }
        }
        self.tell(VERSION, version);
        self.tell(FOUND_AT, self.moment(Instant::now()));
        self.tell(IS_LOST, 0);
    }

    /// By the master: its name was not found. What was known of it before stays.
    pub fn not_found(&self) {
        self.tell(IS_LOST, 1);
    }

    /// By the master: how long ago it was found.
    pub fn found_ago(&self, now: Instant) -> Option<Duration> {
        self.ago(self.told(FOUND_AT), now)
    }

    /// Was it not found when it was last looked for.
    pub fn is_lost(&self) -> bool {
        self.told(IS_LOST) != 0
    }

    /// By a worker: it may be somewhere else by now.
    pub fn want_lookup(&self) {
        if self.swap(WANTED, 0, 1) {
            self.nudge();
        }
    }

    /// By the master: is it to be looked for at once.
    pub fn is_wanted(&self) -> bool {
        self.get(WANTED) != 0
    }

    /// By the master: it is looked for now.
    pub fn is_looked_for(&self) {
        self.set(WANTED, 0);
    }

    fn read(&self, version: u64) -> Option<Vec<SocketAddr>> {
        let row = self.place(row_of(version))?;
        let count = usize::try_from(row.get(0)).ok()?.min(ADDRESSES);
        let at = (1..).step_by(SIZE).take(count);
        Some(at.filter_map(|at| read(row, at, self.port)).collect())
    }
}

fn row_of(version: u64) -> usize {
    PLACES.saturating_add(usize::from(version % 2 == 1))
}

fn write(row: Pen<'_>, at: usize, address: &SocketAddr) {
    let (kind, octets) = match address {
        SocketAddr::V4(address) => (V4, u128::from(address.ip().to_bits())),
        SocketAddr::V6(address) => (
            V6 | u64::from(address.scope_id()) << 32,
            address.ip().to_bits(),
        ),
    };
    let words = [kind, (octets >> 64) as u64, octets as u64];
    for (word, value) in (at..).zip(words) {
        row.set(word, value);
    }
}

fn read(row: &Row, at: usize, port: u16) -> Option<SocketAddr> {
    let word = |number: usize| row.get(at.saturating_add(number));
    let octets = u128::from(word(1)) << 64 | u128::from(word(2));
    let kind = word(0);
    match kind & u64::from(u32::MAX) {
        V4 => {
            let ip = IpAddr::V4(u32::try_from(octets).ok()?.into());
            Some(SocketAddr::new(ip, port))
        }
        V6 => {
            let scope = u32::try_from(kind >> 32).ok()?;
            let ip = Ipv6Addr::from_bits(octets);
            Some(SocketAddrV6::new(ip, port, 0, scope).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use mimicry_core::settings::endpoint::Address;

    use super::*;

    fn hop() -> Hop {
        let address = Address::Tcp {
            host: "mx".into(),
            port: 25,
        };
        Hop::new(&address, None, Instant::now()).unwrap()
    }

    // T196
    #[test]
    fn what_was_last_found_stays_until_something_else_is() {
        let hop = hop();
        assert_eq!(
            (hop.addresses(), hop.found_ago(Instant::now())),
            (None, None)
        );
        hop.not_found();
        assert_eq!((hop.addresses(), hop.is_lost()), (Some(Vec::new()), true));
        for texts in [
            "192.0.2.1:25",
            "[2001:db8::1]:25 192.0.2.1:25 [fe80::1%3]:25",
            "255.255.255.255:25",
        ] {
            let addresses: Vec<SocketAddr> =
                texts.split(' ').map(|text| text.parse().unwrap()).collect();
            hop.found(&addresses);
            assert_eq!(hop.addresses().as_ref(), Some(&addresses), "{texts}");
            assert!(!hop.is_lost() && hop.found_ago(Instant::now()).is_some());
            hop.not_found();
            assert_eq!(hop.addresses(), Some(addresses), "{texts}");
        }
        let many = vec!["192.0.2.1:25".parse().unwrap(); 100];
        hop.found(&many);
        assert_eq!(hop.addresses().map(|known| known.len()), Some(ADDRESSES));
        assert!(!hop.is_wanted());
        hop.want_lookup();
        assert!(hop.is_wanted());
        hop.is_looked_for();
        assert!(!hop.is_wanted());
    }
}
