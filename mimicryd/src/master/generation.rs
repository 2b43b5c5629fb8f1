//! A generation: the workers of one configuration, with everything that they get at birth.
//!
//! Must never reach into another generation: what they share (listeners) is handed over when one is made.

#![forbid(unsafe_code)]

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mimicry_core::config::Config;
use mimicry_core::settings::endpoint::Protocol;
use mimicry_core::settings::words::Profile;
use mimicry_core::settings::{Daemon, Listen, Workers};
use nix::sys::signal::Signal;

use crate::clock;
use crate::expiry;
use crate::keeper::Keeper;
use crate::prefork::contract::{Program, ServeFactory};
use crate::prefork::exit::Exit;
use crate::prefork::hops::Hops;
use crate::prefork::identity;
use crate::prefork::listen::{self, Listener};
use crate::prefork::poison::Table;
use crate::prefork::scoreboard::{Counter, Scoreboard, Slot, State, Totals};
use crate::prefork::tally::Register;
use crate::sys::privileges::{self, Identity};

use super::child::{Child, Told};
use super::contract::Failure;
use super::pool::{Facts, Surplus, Throttle};

/// The workers of one configuration.
pub struct Generation {
    /// Counted from 1.
    pub number: u64,
    pub config: Arc<Config>,
    pub factory: ServeFactory,
    /// Writes down what it is made of, once it is in force; `None` = it has its word.
    pub keeper: Option<Keeper>,
    pub identity: Option<Identity>,
    pub listeners: Vec<Rc<Listener>>,
    pub board: Scoreboard,
    /// When the keys of rules end, for metrics. Found once: it takes a look at every key.
    pub key_ends: Rc<[(String, u64)]>,
    pub children: Vec<Child>,
    /// As configured, and as TTIN and TTOU changed it.
    pub workers: Workers,
    pub throttle: Throttle,
    pub surplus: Surplus,
    /// Died and not replaced yet.
    pub crashed: usize,
    /// What its dead workers had counted.
    pub past: Totals,
    /// Why a worker could not start, in its own words.
    pub complaint: Option<String>,
    /// Mails finished when last looked.
    mails: u64,
}

/// How a generation that has just begun stands.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    Open,
    Passed,
    /// With a sentence for the operator.
    Failed(String),
}

/// What a new generation takes over.
pub struct Heritage<'a> {
    /// Listeners of the generation in force.
    pub listeners: Vec<Rc<Listener>>,
    /// Descriptors of the service manager.
    pub inherited: &'a mut Vec<(OwnedFd, String)>,
    /// How long a listener that is in use is tried again.
    pub patience: Duration,
    /// Mails that killed workers.
    pub poison: Table,
    /// What all workers count together.
    pub register: &'a mut Register,
    /// What all workers know of next hops.
    pub hops: &'a mut Hops,
    /// From when the scoreboard counts.
    pub epoch: Instant,
}

impl Generation {
    /// Makes everything that workers of this configuration are born with; forks none yet.
    pub fn open(
        number: u64,
        config: Arc<Config>,
        program: &Rc<dyn Program>,
        heritage: Heritage<'_>,
    ) -> Result<Generation, Failure> {
        let identity = identity(&config.daemon)?;
        let factory = program
            .prepare(&config, heritage.hops)
            .map_err(|why| Failure::new(Exit::Config, why))?;
        let keeper = program.stage(&config);
        let board = Scoreboard::new(config.daemon.workers.max, heritage.epoch)
            .map_err(|error| Failure::new(Exit::System, format!("no shared memory: {error}")))?
            .knowing(&heritage.poison)
            .counting(heritage.register.of(&config));
        let wanted = [&config.listen[..], metrics(&config).as_slice()].concat();
        let listeners = listen::open(
            &wanted,
            heritage.listeners,
            heritage.inherited,
            identity.as_ref(),
            heritage.patience,
        )
        .map_err(|why| Failure::new(Exit::Unavailable, why))?;
        Ok(Generation {
            number,
            workers: config.daemon.workers,
            key_ends: expiry::of_rules(&config, clock::now().unix).into(),
            config,
            factory,
            keeper,
            identity,
            listeners,
            board,
            children: Vec::new(),
            throttle: Throttle::default(),
            surplus: Surplus::default(),
            crashed: 0,
            past: Totals::default(),
            complaint: None,
            mails: 0,
        })
    }

    /// Where clients bring mail: all listeners but that of metrics, which is the last if there is one.
    pub fn doors(&self) -> &[Rc<Listener>] {
        let number = self.config.listen.len().min(self.listeners.len());
        self.listeners.get(..number).unwrap_or_default()
    }

    /// Where metrics are asked for.
    pub fn metrics(&self) -> Option<&Rc<Listener>> {
        self.listeners.get(self.config.listen.len())
    }

    /// A slot that no worker has.
    pub fn free_slot(&self) -> Option<(usize, Slot)> {
        let index = (0..self.board.slots())
            .find(|index| self.children.iter().all(|child| child.index != *index))?;
        Some((index, self.board.slot(index)?))
    }

    /// Counts the workers.
    pub fn facts(&mut self, now: Instant) -> Facts {
        if self.throttle.is_counting() {
            let mails = self.totals().get(Counter::Mails);
            if mails > self.mails {
                self.throttle.finished_mail();
            }
            self.mails = mails;
        }
        let mut facts = Facts {
            workers: self.workers,
            starting: 0,
            idle: 0,
            busy: 0,
            leaving: 0,
            crashed: self.crashed,
            may_spawn: self.throttle.may_spawn(now),
            surplus: false,
        };
        for child in &self.children {
            let count = match (child.told, child.slot.state()) {
                (Told::Nothing, None | Some(State::Starting)) => &mut facts.starting,
                (Told::Nothing, Some(State::Idle)) => &mut facts.idle,
                (Told::Nothing, Some(_)) => &mut facts.busy,
                (_, _) => &mut facts.leaving,
            };
            *count = count.saturating_add(1);
        }
        facts.surplus = self.surplus.observe(facts.too_many(), now);
        facts
    }

    /// Workers that accept.
    pub fn up(&self) -> usize {
        let is_up = |child: &&Child| {
            child.told == Told::Nothing
                && child
                    .slot
                    .state()
                    .is_some_and(|state| state != State::Starting)
        };
        self.children.iter().filter(is_up).count()
    }

    /// Do enough workers accept, or is it hopeless.
    pub fn progress(&self) -> Progress {
        let up = self.up();
        if up >= self.workers.min || (up > 0 && self.throttle.is_tripped()) {
            return Progress::Passed;
        }
        // Those who are still on their way may make it.
        if self.throttle.is_tripped() && self.children.is_empty() {
            let why = self
                .complaint
                .clone()
                .unwrap_or_else(|| "each one dies before it accepts connections".into());
            return Progress::Failed(format!("no worker can start: {why}"));
        }
        Progress::Open
    }

    /// Tells the workers that have been idle for longest to retire.
    pub fn retire_idle(&mut self, number: usize) {
        let mut idle: Vec<&mut Child> = self
            .children
            .iter_mut()
            .filter(|child| child.told == Told::Nothing && child.slot.state() == Some(State::Idle))
            .collect();
        idle.sort_by_key(|child| std::cmp::Reverse(child.slot.age()));
        for child in idle.into_iter().take(number) {
            child.tell(Told::Retire);
        }
    }

    pub fn tell_all(&mut self, what: Told) {
        for child in &mut self.children {
            child.tell(what);
        }
    }

    /// Ends a generation that does not come into force. A worker that accepts may have a mail in hand; one that does not yet
    /// may be stuck.
    pub fn dismiss(&mut self) {
        for child in &mut self.children {
            match child.slot.state() {
                None | Some(State::Starting) => child.tell(Told::Kill),
                Some(_) => child.tell(Told::Drain),
            }
        }
    }

    pub fn signal_all(&self, signal: Signal) {
        for child in &self.children {
            child.send(signal);
        }
    }

    /// Its configuration, and what workers are made with, stay in the memory of this process.
    pub fn is_never_freed(&self) {
        std::mem::forget((Arc::clone(&self.config), Rc::clone(&self.factory)));
    }

    /// Has nothing to do with new connections any more.
    pub fn let_go(&mut self) {
        self.listeners.clear();
        self.keeper = None;
        self.crashed = 0;
    }

    /// Of the living and the dead.
    pub fn totals(&self) -> Totals {
        let mut totals = self.past;
        for child in &self.children {
            totals.add(child.slot.totals());
        }
        totals
    }
}

/// The name of the listener of metrics in the log, and for a socket of the service manager.
const NAME: &str = "metrics";

/// Where metrics are asked for, as a listener of the configuration.
fn metrics(config: &Config) -> Option<Listen> {
    let address = config.daemon.metrics.clone()?;
    Some(Listen {
        name: NAME.into(),
        address,
        protocol: Protocol::Smtp,
        clients: Vec::new(),
        xforward_clients: Default::default(),
        auth_clients: Default::default(),
        proxy_clients: Default::default(),
        profile: Profile::AfterQueue,
        tls: None,
    })
}

/// Whom workers become, and a word where that is not what an administrator might expect.
fn identity(daemon: &Daemon) -> Result<Option<Identity>, Failure> {
    let whose =
        identity::workers(daemon).map_err(|missing| Failure::new(Exit::NoUser, missing.message))?;
    if whose.as_ref().is_some_and(|whose| whose.is_last_resort) {
        log::warn!("there is no user mimicry: workers run as nobody");
    }
    if let (None, Some(user)) = (&whose, &daemon.user) {
        let is_other =
            identity::user(user).is_ok_and(|identity| identity.uid != privileges::current_user());
        if is_other {
            log::warn!("user {user} is not used: only root can start workers of another user");
        }
    }
    Ok(whose.map(|whose| whose.identity))
}
