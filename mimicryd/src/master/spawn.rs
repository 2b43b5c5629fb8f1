//! Birth of a worker: the fork, and what the child gets.
//!
//! The child gets a [`Birth`] and nothing else. Everything that belongs to the master alone is owned by the master and is
//! closed when the child drops it.

#![forbid(unsafe_code)]

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use crate::prefork::contract::{Birth, Program};
use crate::prefork::pipes::Ends;
use crate::prefork::tally::Occasion;
use crate::sys::process::{self, Side};
use crate::sys::signals;

use super::child::{Child, Told};
use super::generation::Generation;
use super::pool::{self, Action, Loudness};
use super::watch::Watch;

/// Decides how many workers a generation should have, and sees to it. In a new worker the result is its birth.
pub fn tend(
    generation: &mut Generation,
    ends: &Rc<Ends>,
    program: &Rc<dyn Program>,
    now: Instant,
) -> Option<Birth> {
    let facts = generation.facts(now);
    for action in pool::decide(&facts) {
        match action {
            Action::Retire(number) => generation.retire_idle(number),
            Action::Spawn(number) => {
                for _ in 0..number {
                    match spawn(generation, ends, program) {
                        Ok(Some(birth)) => return Some(birth),
                        Ok(None) => generation.throttle.forked(),
                        Err(error) => {
                            if generation.throttle.fork_failed(now) != Loudness::Silent {
                                log::error!("cannot fork a worker: {error}");
                            }
                            generation.complaint = Some(format!("fork: {error}"));
                            break;
                        }
                    }
                }
            }
        }
    }
    if facts.may_spawn {
        generation.crashed = 0;
    }
    let facts = generation.facts(now);
    generation.board.set_nudge_below(facts.nudge_below());
    generation.board.set_full(facts.is_full());
    None
}

/// Forks one worker. In the master the result is `None`, in the worker its birth.
fn spawn(
    generation: &mut Generation,
    ends: &Rc<Ends>,
    program: &Rc<dyn Program>,
) -> io::Result<Option<Birth>> {
    let Some((index, slot)) = generation.free_slot() else {
        return Ok(None);
    };
    slot.clear();
    let before = signals::block_all()?;
    match process::fork() {
        Ok(Side::Child) => Ok(Some(Birth {
            generation: generation.number,
            config: Arc::clone(&generation.config),
            factory: Rc::clone(&generation.factory),
            program: Rc::clone(program),
            identity: generation.identity.clone(),
            listeners: generation.doors().to_vec(),
            slot,
            ends: Rc::clone(ends),
        })),
        Ok(Side::Parent(pid)) => {
            signals::restore(&before)?;
            if let Some(tally) = generation.board.tally() {
                tally.happened(Occasion::Born);
            }
            let user = generation.identity.as_ref();
            let user = user.map(|identity| (identity.uid, identity.gid));
            generation.children.push(Child {
                pid,
                user,
                index,
                slot,
                told: Told::Nothing,
                watch: Watch::default(),
            });
            Ok(None)
        }
        Err(error) => {
            signals::restore(&before)?;
            Err(error)
        }
    }
}
