//! Which refusals have a line of the log each, and which are summed up: what a client can bring about as fast as it can connect, at no
//! cost to itself, must not fill the disk.
//!
//! The first such refusal of a network has its line, those that follow within a minute are counted, and the sum has a line. Everything
//! else that is refused has a line of its own, always.
//!
//! Must never: keep more than a bounded number of networks, or lose a count.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use mimicry_core::reply::By;

use super::refusal::Event;
use crate::prefork::scoreboard::Network;

/// For so long after a line its like are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// So many at a time; what is more is counted as of nobody.
const MOST: usize = 64;

/// What is alike.
type Kind = (Event, Option<Network>);

/// What one worker has not said yet.
#[derive(Debug, Default)]
pub struct Quiet {
    floods: HashMap<Kind, Flood>,
}

#[derive(Debug)]
struct Flood {
    since: Instant,
    client: Option<IpAddr>,
    more: u64,
}

/// Events that had no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    pub event: Event,
    /// One of the network; `None` = of any.
    pub client: Option<IpAddr>,
    pub number: u64,
}

impl Quiet {
    /// Does this event have a line of its own. If not, it is counted.
    pub fn says(&mut self, event: Event, by: By, client: Option<IpAddr>, now: Instant) -> bool {
        if !is_cheap(event, by) {
            return true;
        }
        let kind = (event, client.map(Network::of));
        let has_room = self.floods.len() < MOST;
        let (kind, client) = match has_room || self.floods.contains_key(&kind) {
            true => (kind, client),
            false => ((event, None), None),
        };
        if let Some(flood) = self.floods.get_mut(&kind) {
            flood.more = flood.more.saturating_add(1);
            return false;
        }
        self.floods.insert(
            kind,
            Flood {
                since: now,
                client,
                more: 0,
            },
        );
        true
    }

    /// What is to be said now: of minutes that are over, or of all.
    pub fn sums(&mut self, now: Instant, all: bool) -> Vec<Sum> {
        let is_over = |flood: &Flood| all || now.saturating_duration_since(flood.since) >= WINDOW;
        let over = self.floods.extract_if(|_, flood| is_over(flood));
        let sums = over.map(|((event, _), flood)| Sum {
            event,
            client: flood.client,
            number: flood.more,
        });
        sums.filter(|sum| sum.number > 0).collect()
    }
}

impl Sum {
    pub fn text(&self) -> String {
        let whose = match self.client {
            Some(client) => format!("the network of {client}"),
            None => "other clients".into(),
        };
        format!(
            "{} more times {} of {whose}, without a line each",
            self.number,
            self.event.word()
        )
    }
}

/// Can a client bring it about without end, for next to nothing.
fn is_cheap(event: Event, by: By) -> bool {
    match event {
        Event::ConnectionRefused | Event::ClientRefused => true,
        // Recipients beyond the limit, thousands in one mail.
        Event::RcptRefused => by == By::Limit,
        Event::MailRefused
        | Event::DataRefused
        | Event::SessionEnded
        | Event::ClientGone
        | Event::StressEnded => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // T54
    #[test]
    fn the_first_is_said_and_the_others_are_summed_up() {
        use Event::{ConnectionRefused, MailRefused, RcptRefused};
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let ip = |text: &str| text.parse::<IpAddr>().ok();
        let mut quiet = Quiet::default();
        for (second, event, by, client, said) in [
            (0, ConnectionRefused, By::Limit, "192.0.2.1", true),
            (0, ConnectionRefused, By::Limit, "192.0.2.1", false),
            (1, ConnectionRefused, By::Limit, "2001:db8::1", true),
            (59, ConnectionRefused, By::Limit, "2001:db8::2", false),
            (59, ConnectionRefused, By::Limit, "192.0.2.1", false),
            (59, MailRefused, By::Limit, "192.0.2.1", true),
            (59, MailRefused, By::Limit, "192.0.2.1", true),
            (59, RcptRefused, By::NextHop, "192.0.2.1", true),
            (59, RcptRefused, By::NextHop, "192.0.2.1", true),
            (59, RcptRefused, By::Limit, "192.0.2.1", true),
            (59, RcptRefused, By::Limit, "192.0.2.1", false),
        ] {
            let found = quiet.says(event, by, ip(client), at(second));
            assert_eq!(found, said, "{second} {event:?} {by:?} {client}");
        }
        assert_eq!(quiet.sums(at(59), false), []);
        let sums = quiet.sums(at(60), false);
        let texts: Vec<String> = sums.iter().map(Sum::text).collect();
        let text =
            "2 more times connection-refused of the network of 192.0.2.1, without a line each";
        assert_eq!(texts, [text]);
        assert!(quiet.says(ConnectionRefused, By::Limit, ip("192.0.2.1"), at(60)));
        let mut rest: Vec<u64> = quiet
            .sums(at(60), true)
            .iter()
            .map(|sum| sum.number)
            .collect();
        rest.sort_unstable();
        assert_eq!(rest, [1, 1]);
        assert_eq!(quiet.sums(at(999), true), []);
        // Any number of networks.
        let many = (0..1000_u32).filter(|number| {
            let client = Some(IpAddr::V4((*number).into()));
            quiet.says(ConnectionRefused, By::Limit, client, at(60))
        });
        assert_eq!(many.count(), MOST + 1);
        let sums = quiet.sums(at(120), false);
        assert_eq!(sums.len(), 1);
        assert_eq!(sums[0].number, 1000 - MOST as u64 - 1);
    }
}
