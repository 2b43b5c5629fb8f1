//! The clock that can be set: for times that people read. Deadlines use another clock.
//!
//! Must never: be what a wait or a time-out depends on.

use jiff::{Timestamp, Zoned, tz::Offset};
use mimicry_core::mail::Moment;

/// This moment, in the zone of the machine.
pub fn now() -> Moment {
    let now = Zoned::now();
    Moment {
        unix: now.timestamp().as_second(),
        offset: now.offset().seconds(),
    }
}

/// RFC 5322 section 3.3.
pub fn date_time(moment: Moment) -> String {
    let offset = Offset::from_seconds(moment.offset).unwrap_or(Offset::UTC);
    let timestamp = Timestamp::from_second(moment.unix).unwrap_or(Timestamp::UNIX_EPOCH);
    offset
        .to_datetime(timestamp)
        .to_zoned(offset.to_time_zone())
        .map(|zoned| zoned.strftime("%a, %d %b %Y %H:%M:%S %z").to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (unix, offset, expected) in [
            (0, 0, "Thu, 01 Jan 1970 00:00:00 +0000"),
            (1_795_370_400, 3600, "Sun, 22 Nov 2026 19:00:00 +0100"),
            (1_795_370_400, -12_600, "Sun, 22 Nov 2026 14:30:00 -0330"),
        ] {
            assert_eq!(date_time(Moment { unix, offset }), expected);
        }
    }
}
