//! How many mails a second there were: counts of the last minutes, and their average.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::status::Rate;

/// How often mails are counted for the rates.
const STEP: Duration = Duration::from_secs(10);

/// For how long counts are kept.
const KEPT: Duration = Duration::from_secs(300);

/// Counts of mails in the past.
#[derive(Debug, Default)]
pub struct Rates {
    counts: VecDeque<(Instant, u64)>,
}

impl Rates {
    /// To be told from time to time; keeps one count per step.
    pub fn observe(&mut self, mails: u64, now: Instant) {
        if self.due(now).is_some_and(|due| due > now) {
            return;
        }
        let is_old = |(at, _): &(Instant, u64)| now.saturating_duration_since(*at) > KEPT;
        while self.counts.front().is_some_and(is_old) {
            self.counts.pop_front();
        }
        self.counts.push_back((now, mails));
    }

    /// So many of the mails were before the counts began.
    pub fn shift(&mut self, mails: u64) {
        for (_, then) in &mut self.counts {
            *then = then.saturating_add(mails);
        }
    }

    /// When to tell next.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        match self.counts.back() {
            None => Some(now),
            Some((at, _)) => at.checked_add(STEP),
        }
    }

    pub fn rate(&self, mails: u64, now: Instant) -> Rate {
        Rate {
            one_minute: self.over(Duration::from_secs(60), mails, now),
            five_minutes: self.over(KEPT, mails, now),
        }
    }

    /// From the oldest count that is not older than that.
    fn over(&self, span: Duration, mails: u64, now: Instant) -> f64 {
        let since = |at: Instant| now.saturating_duration_since(at);
        let Some((at, then)) = self.counts.iter().find(|(at, _)| since(*at) <= span) else {
            return 0.0;
        };
        let seconds = since(*at).as_secs_f64();
        if seconds < 0.001 {
            return 0.0;
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "a rate is shown with two digits"
        )]
        let count = mails.saturating_sub(*then) as f64;
        (count / seconds * 100.0).round() / 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_averages() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut rates = Rates::default();
        assert_eq!(rates.rate(7, at(0)), Rate::default());
        // Ten a second for nine minutes, then none.
        for seconds in 0..540 {
            rates.observe(seconds * 10, at(seconds));
        }
        assert!(rates.counts.len() <= 32, "{}", rates.counts.len());
        let rate = rates.rate(5400, at(540));
        assert_eq!((rate.one_minute, rate.five_minutes), (10.0, 10.0));
        for seconds in 540..600 {
            rates.observe(5400, at(seconds));
        }
        let rate = rates.rate(5400, at(600));
        assert_eq!((rate.one_minute, rate.five_minutes), (0.0, 8.0));
    }
}
