//! The master: binds, forks workers, replaces the dead, and answers to signals and to the control socket.
//!
//! - [`contract`]: how it is run, and how it ends · `state`: what it has in hand
//! - [`pool`]: how many workers there should be (pure) · [`child`]: one of them
//! - [`spawn`], [`reap`]: birth and death · [`watch`], [`watchdog`]: which of them is stuck · [`blame`], [`poison`]: which mail
//!   they died of · [`generation`], [`reload`]: the workers of a configuration, and their successors · `waiters`: who waits for
//!   the end of the old ones
//! - `upgrade`: another program takes over from this one · `succeed`: this one takes over · [`handover`]: what the two say
//! - `end`: the way to stop
//! - [`pidfile`], [`detach`]: the lock, the way into the background · [`mend`]: sockets that were shut · [`names`], `hops`: where next hops
//!   are, and whose connections are wanted
//! - `check`: what a reload would find wrong
//! - [`control`], [`asker`], `hear`, [`status`]: the control socket, who may ask, what is asked there, and what status shows · [`rates`]: mails per second
//! - `metrics`, `servers`: the process that shows metrics · `keepers`, `keeping`: the processes that keep configurations
//!
//! One loop: take signals, collect the dead, see whether a generation is up, decide, do, wait in poll. Nothing in it waits
//! for a worker or a client.
//!
//! Must never read a client's octet, parse a mail, start a thread, or use a clock that can be set.
//!
//! Known limits: `pid_file` and `control` are those of the start or of the last upgrade; the master keeps the working directory when
//! the configuration has a relative name.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mimicry_core::config::Config;
use mimicry_core::settings::LogTarget;
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::Signal;
use sd_notify::NotifyState;

use crate::prefork::contract::{Birth, Program};
use crate::prefork::exit::Exit;
use crate::prefork::hops::Hops;
use crate::prefork::listen;
use crate::prefork::pipes::pipes;
use crate::prefork::scoreboard::Totals;
use crate::scrape;
use crate::sys::launch::Start;
use crate::sys::signals::Signals;
use crate::sys::{descriptors, poll, privileges, process, signals, title};

pub mod asker;
pub mod blame;
mod check;
pub mod child;
pub mod contract;
pub mod control;
pub mod detach;
mod end;
pub mod generation;
pub mod handover;
mod hear;
mod hops;
mod keepers;
mod keeping;
pub mod mend;
mod metrics;
pub mod names;
pub mod pidfile;
mod poison;
pub mod pool;
pub mod rates;
pub mod reap;
pub mod reload;
mod servers;
pub mod spawn;
mod state;
pub mod status;
mod succeed;
mod upgrade;
mod waiters;
pub mod watch;
mod watchdog;

use child::Told;
use contract::{Ended, Failure, HANDLED, Options, notify};
use detach::{Detached, Report};
use generation::{Generation, Heritage, Progress};
use keepers::Keepers;
use names::Names;
use poison::Poison;
use rates::Rates;
use reap::Reaped;
use reload::LOOK;
use servers::Metrics;
use state::{Master, Mending, Phase, Succession};
use watch::Watched;

/// At the start, an address in use is tried again for this long: a dead master's workers may still have it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs the daemon until it is told to stop. Without [`Options::foreground`] it returns in the process that called it as soon
/// as workers accept, or cannot, and once more in the daemon when that ends.
///
/// `work` is the life of a worker. To be called by a process without threads, early: descriptors that the service manager handed
/// over belong to this process id.
pub fn run(
    config: Arc<Config>,
    options: Options,
    program: Rc<dyn Program>,
    work: fn(Birth) -> !,
) -> Ended {
    privileges::restrict_umask();
    let start = Start::of_this_process();
    let mut inherited = match descriptors::inherited() {
        Ok(inherited) => inherited,
        Err(error) => {
            let why = format!("LISTEN_FDS is set, but cannot be used: {error}");
            return Failure::new(Exit::System, why).into();
        }
    };
    let mut report = Report::Nobody;
    if let Some(before) = &options.predecessor {
        match before.reporter() {
            Ok(reporter) => report = Report::Predecessor(reporter),
            Err(error) => return Failure::new(Exit::System, error.to_string()).into(),
        }
    } else if !options.foreground {
        match detach::detach() {
            Ok(Detached::Parent(ended)) => return ended,
            Ok(Detached::Daemon(pipe)) => report = pipe,
            Err(error) => {
                let why = format!("cannot go into the background: {error}");
                return Failure::new(Exit::System, why).into();
            }
        }
    }
    let succession = Succession::of(start, options);
    let mut master = match Master::new(config, &program, &mut inherited, succession) {
        Ok(master) => master,
        Err(failure) => {
            log::error!("{}", failure.message);
            return report.ends(failure.into());
        }
    };
    for (_, name) in inherited {
        log::warn!("no listener has the inherited socket {name}: it is closed");
    }
    master.report = report;
    match master.live() {
        Outcome::Ended(ended) => {
            let ended = master.report.ends(ended);
            master.end();
            ended
        }
        Outcome::Born(birth) => {
            master.leave();
            work(*birth)
        }
        Outcome::Shows(birth) => {
            master.leave();
            scrape::run(*birth)
        }
    }
}

/// How the loop was left.
enum Outcome {
    /// In the master.
    Ended(Ended),
    /// In a worker.
    Born(Box<Birth>),
    /// In a process that shows metrics.
    Shows(Box<scrape::Birth>),
}

impl Master {
    // Longer than 80 lines: what must be given back when a later step fails is opened in one place.
    /// Opens everything; forks nothing.
    fn new(
        config: Arc<Config>,
        program: &Rc<dyn Program>,
        inherited: &mut Vec<(OwnedFd, String)>,
        mut succession: Succession,
    ) -> Result<Master, Failure> {
        let failed =
            |what: &str, error: io::Error| Failure::new(Exit::System, format!("{what}: {error}"));
        program.adopt(&config);
        // Before there is a pid file, for whoever reads it may send a signal.
        let signals = own_signals().map_err(|error| failed("signals", error))?;
        let (pipes, ends) = pipes().map_err(|error| failed("pipes", error))?;
        if config.path.is_absolute() {
            // Not to stand in the way of an unmount.
            let _ = std::env::set_current_dir("/");
        }
        listen::make_directories(&[&config.daemon.pid_file, &config.daemon.control]);
        let poison = Poison::new()
            .map_err(|error| Failure::new(Exit::System, format!("no shared memory: {error}")))?;
        let pid_file = succeed::pid_file(&config, succession.predecessor.as_mut())?;
        let started = succession.started(&config)?;
        let lent = succession.listeners();
        let mut hops = Hops::new(Some(Rc::clone(&ends)), started);
        let mut register = succession
            .register()
            .map_err(|error| failed("no shared memory", error))?;
        let heritage = Heritage {
            hops: &mut hops,
            listeners: lent.clone(),
            inherited,
            patience: PATIENCE,
            poison: poison.table.clone(),
            register: &mut register,
            epoch: started,
        };
        let number = program.number(&config, succession.next_generation());
        let opened = Generation::open(number, config, program, heritage).and_then(|current| {
            current.board.set_lent(succession.predecessor.is_some());
            match succeed::control(&current.config, succession.predecessor.as_mut()) {
                Ok(control) => Ok((current, control)),
                Err(failure) => {
                    listen::close(&current.listeners, &lent);
                    Err(failure)
                }
            }
        });
        let (current, control) = match opened {
            Ok(opened) => opened,
            Err(failure) => {
                pid_file.remove();
                return Err(failure);
            }
        };
        title::set(&format!(
            "mimicryd: master {}",
            current.config.path.display()
        ));
        let mut master = Master {
            program: Rc::clone(program),
            started,
            signals,
            pipes,
            ends,
            report: Report::Nobody,
            pid_file,
            control,
            phase: Phase::Starting,
            current,
            loading: None,
            checking: None,
            check_asked: Vec::new(),
            trial: None,
            old: Vec::new(),
            reload: None,
            settling: None,
            waiters: Vec::new(),
            mending: Mending::default(),
            stop_askers: Vec::new(),
            past: Totals::default(),
            deaths: 0,
            stuck: 0,
            watched: Watched::new(started),
            poison,
            names: Names::new(hops, program.find()),
            asked_for_lines: HashMap::new(),
            rates: Rates::default(),
            register,
            metrics: Metrics::default(),
            keepers: Keepers::default(),
            succession,
        };
        master.remember_poison();
        Ok(master)
    }

    /// The loop.
    fn live(&mut self) -> Outcome {
        loop {
            let now = Instant::now();
            log::logger().flush();
            self.take_signals(now);
            self.take_complaints();
            self.reap(now);
            self.end_failed(|end| end <= now);
            self.progress_of_succession(now);
            self.settle_upgrade(now);
            self.tend_poison(now);
            self.tend_hops(now);
            self.watch(now);
            self.mend(now);
            self.progress(now);
            self.progress_of_checks(now);
            self.tend_keepers(now);
            self.answer_waiters(now);
            if let Some(ended) = self.is_over() {
                return Outcome::Ended(ended);
            }
            if let Some(birth) = self.tend(now) {
                return Outcome::Born(Box::new(birth));
            }
            if let Some(birth) = self.tend_metrics(now) {
                return Outcome::Shows(Box::new(birth));
            }
            self.rates.observe(self.mails(), now);
            self.wait(now);
            let now = Instant::now();
            self.listen_to_control(now);
        }
    }

    fn take_signals(&mut self, now: Instant) {
        for signal in self.signals.take() {
            match signal {
                Signal::SIGTERM | Signal::SIGINT => self.stop(now),
                Signal::SIGQUIT => {
                    self.stop(now);
                    self.hurry(now, Told::Quit);
                }
                Signal::SIGHUP if self.succession.successor.is_none() => {
                    self.reload.get_or_insert_default();
                }
                Signal::SIGUSR1 => {
                    self.program.reopen_log();
                    for generation in self.generations() {
                        generation.signal_all(Signal::SIGUSR1);
                    }
                    self.tell_predecessor(Signal::SIGUSR1);
                    self.renew_server();
                    log::info!("log reopened");
                }
                Signal::SIGUSR2 => self.want_upgrade(None),
                Signal::SIGTTIN => self.adjust(true),
                Signal::SIGTTOU => self.adjust(false),
                // CHLD: the loop looks for the dead in any case.
                _ => {}
            }
        }
    }

    fn take_complaints(&mut self) {
        if let Some(complaint) = self.pipes.take_nudges() {
            let generation = match &mut self.trial {
                Some(trial) => &mut trial.generation,
                None => &mut self.current,
            };
            generation.complaint = Some(complaint);
        }
    }

    fn reap(&mut self, now: Instant) {
        let Reaped {
            deaths,
            culprits,
            workers,
            others,
        } = reap::reap(self.generations(), now);
        self.deaths = self.deaths.saturating_add(deaths);
        self.blame(&culprits);
        for worker in workers {
            self.names.hops.bury(worker.as_raw().unsigned_abs());
        }
        for (pid, death) in others {
            let is_loader = [&mut self.loading, &mut self.checking]
                .into_iter()
                .flatten()
                .any(|loading| loading.child.buried(pid, death));
            let is_known = is_loader
                || self.names.buried(pid, death)
                || self.buried_server(pid, death, now)
                || self.buried_keeper(pid, death)
                || self.program.buried(pid, death)
                || self.buried(pid, death);
            if !is_known {
                // As the first process of a container one gets orphans.
                log::debug!("process {pid}, which is no worker, {}", death.describe());
            }
        }
        let past = &mut self.past;
        self.old.retain(|generation| {
            if generation.children.is_empty() {
                past.add(generation.totals());
            }
            !generation.children.is_empty()
        });
    }

    /// Goes from one phase into the next, where it is time.
    fn progress(&mut self, now: Instant) {
        match &self.phase {
            Phase::Starting => match self.current.progress() {
                Progress::Open => {}
                // The master before this one decides when.
                Progress::Passed if self.is_lent() => {}
                Progress::Passed => self.accepts(),
                Progress::Failed(why) => {
                    log::error!("{why}");
                    self.give_up(now, Failure::new(Exit::Unavailable, why).into());
                }
            },
            Phase::Running => {
                if !self.progress_of_upgrade(now) {
                    self.progress_of_reload(now);
                }
            }
            Phase::Stopping {
                next: Some(next),
                told,
                ..
            } if *next <= now => {
                let more = if *told < Told::Quit {
                    log::warn!("the time to finish is over: sessions are cut off");
                    Told::Quit
                } else {
                    Told::Kill
                };
                self.hurry(now, more);
            }
            Phase::Stopping { .. } => {}
        }
    }

    /// Workers accept for the first time.
    fn accepts(&mut self) {
        self.phase = Phase::Running;
        self.note_configuration(None);
        log::info!(
            "mimicryd {} accepts with {} workers, configuration {}, hash {}",
            env!("CARGO_PKG_VERSION"),
            self.current.children.len(),
            self.current.config.path.display(),
            self.current.config.hash
        );
        self.keep();
        if !self.succession.foreground {
            let keep_stderr = self.current.config.log.target == LogTarget::Stderr;
            if let Err(error) = process::silence(keep_stderr) {
                log::warn!("cannot close standard input and output: {error}");
            }
        }
        self.report.accepts();
        if let Some(tell) = self.succession.tell {
            let listeners = self.current.config.listen.iter();
            let all = listeners.zip(&self.current.listeners);
            let all =
                all.map(|(listen, listener)| format!("{} ({})", listener.place(), listen.name));
            tell(&all.collect::<Vec<_>>());
        }
        // Of a new master the one before says it: the service manager does not believe a stranger.
        if self.succession.predecessor.is_none() {
            notify(&[NotifyState::Ready, NotifyState::MainPid(std::process::id())]);
        }
    }

    /// In a new process: closes everything that is the master's alone. What is only memory, and much, is not freed: it is shared until
    /// somebody writes to it, and to free the names of ten thousand rules, or the configuration that another replaces, is to write to
    /// each of its pages.
    fn leave(mut self) {
        let trial = self.trial.iter().map(|trial| &trial.generation);
        for generation in self.old.iter().chain(trial).chain([&self.current]) {
            generation.is_never_freed();
        }
        self.register.is_never_freed();
        drop(self);
    }

    fn adjust(&mut self, more: bool) {
        let before = self.current.workers;
        let workers = pool::adjust(before, more);
        self.current.workers = workers;
        self.note_workers();
        log::info!("at least {} workers, {} before", workers.min, before.min);
    }

    /// Sees to the number of workers. In a new worker the result is its birth.
    fn tend(&mut self, now: Instant) -> Option<Birth> {
        if matches!(self.phase, Phase::Stopping { .. }) {
            return None;
        }
        let trial = self.trial.as_mut().map(|trial| &mut trial.generation);
        let generations = std::iter::once(&mut self.current).chain(trial);
        for generation in generations {
            if let Some(birth) = spawn::tend(generation, &self.ends, &self.program, now) {
                return Some(birth);
            }
        }
        None
    }

    fn wait(&mut self, now: Instant) {
        let deadline = self.due(now);
        let nudges = self.pipes.nudges();
        let mut descriptors = vec![
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(nudges.as_fd(), PollFlags::POLLIN),
        ];
        descriptors.extend(self.control.descriptors());
        descriptors.extend(self.endings(now));
        let lookups = self.names.lookups();
        descriptors.extend(lookups.map(|one| PollFd::new(one.as_fd(), PollFlags::POLLIN)));
        descriptors.extend(self.awaited());
        let loaders = [&self.loading, &self.checking].into_iter().flatten();
        descriptors
            .extend(loaders.map(|loading| PollFd::new(loading.child.as_fd(), PollFlags::POLLIN)));
        let keepers = self.keepers.list();
        descriptors.extend(keepers.map(|one| PollFd::new(one.as_fd(), PollFlags::POLLIN)));
        if let Err(error) = poll::wait(&mut descriptors, deadline) {
            // Out of memory, if anything: not to be tried in a circle.
            log::error!("poll: {error}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// When something is to be done even if nothing happens.
    fn due(&self, now: Instant) -> Option<Instant> {
        let mut due = vec![
            self.control.due(),
            self.watching_due(),
            self.poison_due(),
            self.hops_due(now),
            self.upgrade_due(now),
            self.metrics_due(),
            self.keepers.due(),
        ];
        match &self.phase {
            Phase::Stopping { next, .. } => due.push(*next),
            _ => {
                due.push(self.rates.due(now));
                due.push(self.mending_due(now));
                due.push(self.settling.as_ref().and_then(|_| now.checked_add(LOOK)));
                let loaders = [&self.loading, &self.checking].into_iter().flatten();
                due.extend(loaders.map(|loading| loading.child.deadline()));
                let trial = self.trial.as_ref();
                due.extend(trial.map(|trial| trial.deadline));
                let generations = [Some(&self.current), trial.map(|trial| &trial.generation)];
                for generation in generations.into_iter().flatten() {
                    due.push(generation.throttle.until(now));
                    due.push(generation.surplus.due(now));
                }
            }
        }
        due.into_iter().flatten().min()
    }

    fn totals(&self) -> Totals {
        let mut totals = self.inherited_totals();
        totals.add(self.past);
        let trial = self.trial.as_ref().map(|trial| &trial.generation);
        for generation in self.old.iter().chain(Some(&self.current)).chain(trial) {
            totals.add(generation.totals());
        }
        totals
    }

    fn generations(&mut self) -> impl Iterator<Item = &mut Generation> {
        let trial = self.trial.as_mut().map(|trial| &mut trial.generation);
        let current = Some(&mut self.current);
        self.old.iter_mut().chain(current).chain(trial)
    }
}

fn own_signals() -> io::Result<Signals> {
    let own = Signals::new(&HANDLED)?;
    // A file that reaches the limit of its size is an error of write(2), as a lost client is.
    signals::ignore(&[Signal::SIGPIPE, Signal::SIGXFSZ])?;
    signals::unblock_all()?;
    Ok(own)
}
