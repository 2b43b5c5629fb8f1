//! How long something took, counted in fixed buckets: each is twice as long as the one before, from a millisecond to nine minutes, which
//! is the longest that a next hop may take for a final reply.
//!
//! Must never: lose what is longer than all of them; it is counted beyond the last.

use std::time::Duration;

use crate::sys::shared::{Pen, Row};

const BUCKETS: usize = 20;

/// The upper bounds, in milliseconds.
pub const BOUNDS: [u64; BUCKETS] = {
    let mut bounds = [1; BUCKETS];
    let mut at = 1;
    while at < BUCKETS {
        bounds[at] = bounds[at - 1] * 2;
        at += 1;
    }
    bounds
};

// Words of a row: the buckets, what is beyond, and the sum.
const BEYOND: usize = BUCKETS;
const MICROSECONDS: usize = BEYOND + 1;
pub const WORDS_OF_ONE: usize = MICROSECONDS + 1;

/// Numbers of one histogram, read at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Of each bucket without those before it.
    buckets: [u64; BUCKETS],
    beyond: u64,
    pub microseconds: u64,
}

/// Counts it.
pub fn observe(row: Pen<'_>, time: Duration) {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    row.add(bucket_of(micros), 1);
    row.add(MICROSECONDS, micros);
}

fn bucket_of(micros: u64) -> usize {
    let millis = micros.div_ceil(1000);
    BOUNDS
        .iter()
        .position(|bound| millis <= *bound)
        .unwrap_or(BEYOND)
}

impl Histogram {
    pub fn of(row: &Row) -> Histogram {
        let mut histogram = Histogram::default();
        for (word, bucket) in histogram.buckets.iter_mut().enumerate() {
            *bucket = row.get(word);
        }
        histogram.beyond = row.get(BEYOND);
        histogram.microseconds = row.get(MICROSECONDS);
        histogram
    }

    /// How many took no longer than each of [`BOUNDS`].
    pub fn cumulated(&self) -> [u64; BUCKETS] {
        let mut sum: u64 = 0;
        self.buckets.map(|bucket| {
            sum = sum.saturating_add(bucket);
            sum
        })
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        let within = self.buckets.iter().copied();
        within.fold(self.beyond, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::shared::Rows;

    #[test]
    fn times_are_counted_in_their_buckets() {
        assert_eq!((BOUNDS[0], BOUNDS[19]), (1, 524_288));
        let rows = Rows::new(1).unwrap();
        let row = rows.pen(0).unwrap();
        for (micros, bucket) in [
            (0, 0),
            (1000, 0),
            (1001, 1),
            (2000, 1),
            (524_288_000, 19),
            (524_288_001, 20),
            (u64::MAX / 1000, 20),
        ] {
            assert_eq!(bucket_of(micros), bucket, "{micros}");
        }
        for micros in [0, 1000, 1001, 524_288_001] {
            observe(row, Duration::from_micros(micros));
        }
        let histogram = Histogram::of(rows.row(0).unwrap());
        assert_eq!(histogram.cumulated()[..3], [2, 3, 3]);
        assert_eq!(histogram.cumulated()[19], 3);
        assert_eq!(
            (histogram.count(), histogram.microseconds),
            (4, 524_290_002)
        );
    }
}
