//! Death of a worker: collects it, adds its counters, and logs it.
//!
//! Must never wait for a process, or write a line per death once they come in a row.

#![forbid(unsafe_code)]

use std::time::Instant;

use nix::unistd::Pid;

use crate::prefork::scoreboard::{Counter, State};
use crate::prefork::tally::Occasion;
use crate::sys::process::{self, Death};

use super::blame::{Culprit, culprit};
use super::child::{Child, Told};
use super::generation::Generation;
use super::pool::{EARLY_DEATHS, Loudness};
use super::watchdog::deed;

/// The children that have ended.
#[derive(Debug, Default)]
pub struct Reaped {
    /// Workers that died other than by retiring or by our hand.
    pub deaths: u64,
    /// Mails that workers died of.
    pub culprits: Vec<Culprit>,
    /// All workers that ended, however.
    pub workers: Vec<Pid>,
    /// Children that are no workers.
    pub others: Vec<(Pid, Death)>,
}

/// Collects all children that have ended.
pub fn reap<'a>(generations: impl Iterator<Item = &'a mut Generation>, now: Instant) -> Reaped {
    let mut generations: Vec<&mut Generation> = generations.collect();
    let mut reaped = Reaped::default();
    while let Some((pid, death)) = process::reap() {
        let found = generations.iter_mut().find_map(|generation| {
            let children = &generation.children;
            let index = children.iter().position(|child| child.pid == pid)?;
            Some((generation, index))
        });
        match found {
            Some((generation, index)) => {
                let child = generation.children.swap_remove(index);
                reaped.workers.push(pid);
                reaped.culprits.extend(culprit(&child, death));
                if bury(generation, &child, death, now) {
                    reaped.deaths = reaped.deaths.saturating_add(1);
                }
                // A worker that is gone is neither idle nor in a session.
                child.slot.clear();
            }
            None => reaped.others.push((pid, death)),
        }
    }
    reaped
}

/// True = it died before its time.
fn bury(generation: &mut Generation, child: &Child, death: Death, now: Instant) -> bool {
    let totals = child.slot.totals();
    generation.past.add(totals);
    let mails = totals.get(Counter::Mails);
    if death == Death::Exit(0) {
        log::debug!("worker {} retired after {mails} mails", child.pid);
        return false;
    }
    let is_stuck = child.watch.is_stuck();
    if !is_stuck && child.told >= Told::Quit {
        // The worker cannot say any more what became of its mail.
        let doubt = match child.slot.state() {
            Some(State::Relaying) => "; whether the next hop has the mail is not known",
            _ => "",
        };
        log::warn!(
            "worker {} was cut off {}: it {}{doubt}",
            child.pid,
            deed(child),
            death.describe()
        );
        return false;
    }
    if is_stuck || child.told == Told::Nothing {
        generation.crashed = generation.crashed.saturating_add(1);
    }
    if let Some(tally) = child.slot.board().tally() {
        tally.died(death);
        if is_stuck {
            tally.happened(Occasion::Stuck);
        }
    }
    if is_stuck {
        // What it was doing stands in the log already, and it is no sign that workers cannot live.
        log::info!(
            "worker {}, which was stuck, {}",
            child.pid,
            death.describe()
        );
        return true;
    }
    let epitaph = format!(
        "worker {} {} {}, after {mails} mails in {} sessions",
        child.pid,
        death.describe(),
        deed(child),
        totals.get(Counter::Sessions),
    );
    match generation.throttle.died(mails == 0, now) {
        Loudness::Death => log::error!("{epitaph}"),
        Loudness::Window(wait) => log::error!(
            "{epitaph}; {EARLY_DEATHS} or more in a row died before finishing a mail: no new ones for {:.1} s",
            wait.as_secs_f32()
        ),
        Loudness::Silent => {}
    }
    true
}
