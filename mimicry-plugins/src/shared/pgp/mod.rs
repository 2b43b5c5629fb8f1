//! OpenPGP (RFC 9580): certificates, secret keys, ciphertext and signatures.
//!
//! - [`certs`]: certificates of recipients, by address · [`judge`]: which keys of one are of use, and why not
//! - [`secret`]: secret keys of senders, read and unlocked at load · [`seal`]: octets in, armour out
//!
//! Must never: show what is secret, look at a clock, or use a key that [`judge`] has not passed.

pub mod certs;
pub mod judge;
pub mod seal;
pub mod secret;
#[cfg(test)]
pub mod tests;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
fn time(unix: i64) -> SystemTime {
    let since = Duration::from_secs(u64::try_from(unix).unwrap_or(0));
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}

fn unix(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
