//! From which network the session of each worker comes. Connections are so counted without a count: nothing is left over of a worker
//! that was killed.
//!
//! Must never: keep anything when the session is over.
//!
//! Known limit: workers of an older generation, which finish what they have in hand, are not counted.

#![forbid(unsafe_code)]

use std::net::IpAddr;

use super::Slot;
use crate::sys::shared;

// In the row of a worker.
/// The network of the session, in two words; zero = there is none.
const NETWORK: usize = 3;
/// Which session this is, above those that there were when it began; 0 = it is about to draw its number.
const NUMBER: usize = 5;

/// Clients that are counted as one: an IPv4 address, or an IPv6 network of 64 bits, which is what one customer gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network([u64; 2]);

impl Network {
    pub fn of(client: IpAddr) -> Network {
        match client.to_canonical() {
            // As it is written in IPv6 (RFC 4291 section 2.5.5.2).
            IpAddr::V4(address) => Network([0, 0xffff_0000_0000 | u64::from(u32::from(address))]),
            // Never both words zero.
            IpAddr::V6(address) => {
                let upper = u128::from(address) >> 64;
                Network([u64::try_from(upper).unwrap_or_default(), 1])
            }
        }
    }
}

impl Slot {
    /// By the worker: its session comes from this network. How many sessions of the network there were already.
    ///
    /// Of two that begin at the same moment at least one sees the other: numbers are drawn as in a bakery (Lamport 1974), where nobody
    /// writes what is another's.
    pub fn come_from(&self, network: Network) -> usize {
        let Some(own) = self.pen() else {
            return 0;
        };
        own.set(NUMBER, 0);
        for (word, half) in (NETWORK..).zip(network.0) {
            own.set(word, half);
        }
        shared::settle();
        let others = || self.board.all().filter(|slot| slot.index != self.index);
        let of = |slot: &Slot, word| slot.row().map_or(0, |row| row.get(word));
        let number = others().map(|slot| of(&slot, NUMBER)).max().unwrap_or(0);
        let number = number.saturating_add(1);
        own.set(NUMBER, number);
        shared::settle();
        let is_earlier = |slot: &Slot| {
            let place = (of(slot, NUMBER), slot.index);
            [of(slot, NETWORK), of(slot, NETWORK + 1)] == network.0 && place < (number, self.index)
        };
        others().filter(is_earlier).count()
    }

    /// By the worker: its session is over.
    pub fn leave_network(&self) {
        if let Some(row) = self.pen() {
            row.set(NETWORK, 0);
            row.set(NETWORK + 1, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::Scoreboard;
    use super::*;

    // T54
    #[test]
    fn sessions_of_a_network_are_counted() {
        let board = Scoreboard::new(8, Instant::now()).unwrap();
        let come = |index, from: &str| {
            let slot = board.slot(index).unwrap();
            slot.come_from(Network::of(from.parse().unwrap()))
        };
        for (index, (from, before)) in [
            ("192.0.2.1", 0),
            ("192.0.2.2", 0),
            ("::ffff:192.0.2.1", 1),
            ("2001:db8:0:1::1", 0),
            ("2001:db8:0:1:ffff::2", 1),
            ("2001:db8:0:2::1", 0),
            ("::1", 0),
            ("192.0.2.1", 2),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(come(index, from), before, "{from}");
        }
        board.slot(2).unwrap().leave_network();
        board.slot(0).unwrap().clear();
        assert_eq!(come(2, "192.0.2.1"), 1);
        // Who comes again is not its own predecessor.
        assert_eq!(come(2, "192.0.2.1"), 1);
        assert_eq!(come(6, "::2"), 0);
    }
}
