//! How long the limits of a next hop can add up to for one mail: beyond that it is not the next hop that is waited for.
//!
//! Must never: be less than what the relay may take by its own limits.

use std::time::Duration;

use mimicry_core::settings::Timeouts;

use super::body::BLOCK;
use super::reach::NAMED;
use super::route::Route;

/// Addresses of a next hop that are tried one after the other.
const ADDRESSES: u32 = 16;

/// The largest sum of the limits for one class of recipients: a line that is lost is replaced once, each address may have to be tried,
/// each of them may be greeted, asked again after STARTTLS and logged in to.
pub fn patience(route: &Route, recipients: usize, octets: usize) -> Duration {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let Timeouts {
        connect,
        helo,
        mail,
        rcpt,
        data,
        data_block,
        dot,
        quit,
        rset,
    } = route.timeouts;
    let hello = helo
        .saturating_mul(4)
        .saturating_add(mail.saturating_mul(3));
    let reach = connect.saturating_add(hello).saturating_mul(ADDRESSES);
    let blocks = count(octets / BLOCK).saturating_add(2);
    let times = [
        reach,
        // Until a line is free, and until its address is known.
        connect.max(route.connection_wait),
        NAMED,
        // XFORWARD in two commands, and MAIL.
        mail.saturating_mul(3),
        rcpt.saturating_mul(count(recipients)),
        data,
        data_block.saturating_mul(blocks),
        dot,
        quit,
        rset,
    ];
    let once = times
        .into_iter()
        .fold(Duration::ZERO, Duration::saturating_add);
    once.saturating_mul(2)
}

#[cfg(test)]
mod tests {
    use super::super::conformance::route;
    use super::*;

    #[test]
    fn the_sum_is_above_all_limits() {
        let second = Duration::from_secs(1);
        let timeouts = |dot: u64| Timeouts {
            connect: second,
            helo: second,
            mail: second,
            rcpt: second,
            data: second,
            data_block: second,
            dot: Duration::from_secs(dot),
            quit: second,
            rset: second,
        };
        let route = |dot| Route {
            timeouts: timeouts(dot),
            connection_wait: Duration::from_secs(7),
            ..route("smtp://192.0.2.1")
        };
        let of = |dot, recipients, octets| patience(&route(dot), recipients, octets).as_secs();
        assert_eq!(
            of(1, 1, 1000),
            2 * (16 * 8 + 7 + 5 + 3 + 1 + 1 + 2 + 1 + 1 + 1)
        );
        assert_eq!(of(541, 1, 0) - of(1, 1, 0), 2 * 540);
        assert_eq!(of(1, 1000, 0) - of(1, 1, 0), 2 * 999);
        assert_eq!(of(1, 1, 100 * BLOCK) - of(1, 1, 0), 2 * 100);
        assert!(
            patience(&route(u64::MAX), usize::MAX, usize::MAX) >= Duration::from_secs(u64::MAX)
        );
    }
}
