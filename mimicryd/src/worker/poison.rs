//! The guard around one mail: the master learns which mail a worker died of, and a mail that has killed too many gets its answer
//! instead of one more.
//!
//! Must never: let anything look into a mail before its digest is noted.

use mimicry_core::message::digest::Digest;
use mimicry_core::plugin::OnError;
use mimicry_core::reply::{Own, Reply};
use mimicry_core::settings::Daemon;

use crate::prefork::scoreboard::Slot;

/// A mail in hand.
pub struct Guard<'s> {
    slot: &'s Slot,
    digest: Digest,
    /// Workers that it killed before.
    deaths: u64,
}

/// What becomes of a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The rules judge it.
    Judged,
    /// No rule sees it: it passes as it came.
    Unjudged,
    /// It is answered so.
    Answered(Reply),
}

impl<'s> Guard<'s> {
    pub fn begin(slot: &'s Slot, message: &[u8]) -> Guard<'s> {
        let digest = Digest::of_samples(message);
        slot.hold(&digest);
        let table = slot.board().poison();
        Guard {
            slot,
            digest,
            deaths: table.map_or(0, |table| table.deaths(&digest)),
        }
    }

    pub fn fate(&self, daemon: &Daemon) -> Fate {
        fate(daemon.poison_limit, daemon.on_poison, self.deaths)
    }

    /// The mail came to its end, after this fate, or made something panic.
    pub fn end(self, fate: &Fate, panicked: bool) {
        let has_passed = *fate == Fate::Judged && !panicked && self.deaths > 0;
        if has_passed && let Some(table) = self.slot.board().poison() {
            table.passed(&self.digest);
        }
        self.slot.let_go(panicked);
    }
}

fn fate(limit: u32, answer: OnError, deaths: u64) -> Fate {
    if limit == 0 || deaths < u64::from(limit) {
        return Fate::Judged;
    }
    match answer {
        OnError::Pass => Fate::Unjudged,
        OnError::Defer => Fate::Answered(Own::PoisonKept.reply()),
        OnError::Reject => Fate::Answered(Own::PoisonRefused.reply()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::prefork::poison::Table;
    use crate::prefork::scoreboard::{Held, Scoreboard};

    // T93
    #[test]
    fn what_a_mail_gets_that_killed_workers() {
        for (limit, answer, deaths, expected) in [
            (3, OnError::Defer, 0, "judged"),
            (3, OnError::Defer, 2, "judged"),
            (3, OnError::Defer, 3, "451"),
            (3, OnError::Reject, 3, "554"),
            (3, OnError::Pass, 4, "unjudged"),
            (1, OnError::Reject, 1, "554"),
            (0, OnError::Reject, u64::MAX, "judged"),
        ] {
            let found = match fate(limit, answer, deaths) {
                Fate::Judged => "judged".to_string(),
                Fate::Unjudged => "unjudged".to_string(),
                Fate::Answered(reply) => reply.code().to_string(),
            };
            assert_eq!(found, expected, "{limit} {answer:?} {deaths}");
        }
    }

    // T93: passing resets, a panic does not
    #[test]
    fn only_a_mail_that_was_judged_is_forgotten() {
        let table = Table::new().unwrap();
        let board = Scoreboard::new(1, Instant::now()).unwrap().knowing(&table);
        let slot = board.slot(0).unwrap();
        let digest = Digest::of_samples(b"mail");
        for (fate, panicked, deaths, held) in [
            (Fate::Unjudged, false, 2, None),
            (Fate::Answered(Own::PoisonKept.reply()), false, 2, None),
            (Fate::Judged, true, 2, Some((digest, Held::Panicked))),
            (Fate::Judged, false, 0, None),
        ] {
            table.clear();
            table.add(&digest, 1);
            table.add(&digest, 1);
            let guard = Guard::begin(&slot, b"mail");
            assert_eq!(slot.held(), Some((digest, Held::InHand)));
            guard.end(&fate, panicked);
            assert_eq!(
                (table.deaths(&digest), slot.held()),
                (deaths, held),
                "{fate:?}"
            );
        }
    }
}
