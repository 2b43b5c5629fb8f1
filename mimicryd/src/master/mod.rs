//! The master: binds, forks workers, replaces the dead, and answers to signals and to the control socket.
//!
//! - [`contract`]: how it is run, and how it ends · `state`: what it has in hand
//! - [`pool`]: how many workers there should be (pure) · [`child`]: one of them
//! - [`spawn`], [`reap`]: birth and death · [`watch`], [`watchdog`]: which of them is stuck · [`blame`], [`poison`]: which mail
//!   they died of · [`generation`], [`reload`]: the workers of a configuration, and their successors · `waiters`: who waits for
//!   the end of the old ones
//! - [`pidfile`], [`detach`]: the lock, the way into the background · [`mend`]: sockets that were shut · [`names`], `hops`: where next hops are, and whose lines are wanted
//! - [`control`], `hear`, [`status`]: the control socket, what is asked there, and what status shows · [`rates`]: mails per second
//!
//! One loop: take signals, collect the dead, see whether a generation is up, decide, do, wait in poll. Nothing in it waits
//! for a worker or a client.
//!
//! Must never read a client's octet, parse a mail, start a thread, or use a clock that can be set.
//!
//! Known limits: `pid_file` and `control` are those of the start; the master keeps the working directory when
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

use crate::prefork::contract::{Birth, Program, Refused};
use crate::prefork::exit::Exit;
use crate::prefork::hops::Hops;
use crate::prefork::listen;
use crate::prefork::pipes::pipes;
use crate::prefork::scoreboard::{Counter, Totals};
use crate::sys::signals::Signals;
use crate::sys::{descriptors, poll, privileges, process, signals, title};

pub mod blame;
pub mod child;
pub mod contract;
pub mod control;
pub mod detach;
pub mod generation;
mod hear;
mod hops;
pub mod mend;
pub mod names;
pub mod pidfile;
mod poison;
pub mod pool;
pub mod rates;
pub mod reap;
pub mod reload;
pub mod spawn;
mod state;
pub mod status;
mod waiters;
pub mod watch;
mod watchdog;

use child::Told;
use contract::{Ended, Failure, Options, notify};
use control::{Answer, Control};
use detach::{Detached, Report};
use generation::{Generation, Heritage, Progress};
use names::Names;
use pidfile::{PidFile, PidFileError};
use poison::Poison;
use rates::Rates;
use reap::Reaped;
use reload::LOOK;
use state::{Master, Mending, Phase};
use watch::Watched;

/// After QUIT a worker has this long before it is killed.
const GRACE: Duration = Duration::from_secs(1);

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
    let mut inherited = match descriptors::inherited() {
        Ok(inherited) => inherited,
        Err(error) => {
            let why = format!("LISTEN_FDS is set, but cannot be used: {error}");
            return Failure::new(Exit::System, why).into();
        }
    };
    let mut report = Report::Nobody;
    if !options.foreground {
        match detach::detach() {
            Ok(Detached::Parent(ended)) => return ended,
            Ok(Detached::Daemon(pipe)) => report = pipe,
            Err(error) => {
                let why = format!("cannot go into the background: {error}");
                return Failure::new(Exit::System, why).into();
            }
        }
    }
    let mut master = match Master::new(config, &program, &mut inherited) {
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
            // Everything that is the master's alone closes here.
            drop(master);
            work(*birth)
        }
    }
}

/// How the loop was left.
enum Outcome {
    /// In the master.
    Ended(Ended),
    /// In a worker.
    Born(Box<Birth>),
}

impl Master {
    /// Opens everything; forks nothing.
    fn new(
        config: Arc<Config>,
        program: &Rc<dyn Program>,
        inherited: &mut Vec<(OwnedFd, String)>,
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
        let pid_file = claim(&config)?;
        let started = Instant::now();
        let mut hops = Hops::new(Some(Rc::clone(&ends)), started);
        let heritage = Heritage {
            hops: &mut hops,
            listeners: Vec::new(),
            inherited,
            patience: PATIENCE,
            poison: poison.table.clone(),
            epoch: started,
        };
        let opened = Generation::open(1, config, program, heritage).and_then(|current| {
            let path = &current.config.daemon.control;
            match Control::open(path) {
                Ok(control) => Ok((current, control)),
                Err(error) => {
                    listen::close(&current.listeners, &[]);
                    let why = format!("control socket {}: {error}", path.display());
                    Err(Failure::new(Exit::CannotCreate, why))
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
            self.tend_poison(now);
            self.tend_hops(now);
            self.watch(now);
            self.mend(now);
            self.progress(now);
            self.answer_waiters(now);
            if let Some(ended) = self.is_over() {
                return Outcome::Ended(ended);
            }
            if let Some(birth) = self.tend(now) {
                return Outcome::Born(Box::new(birth));
            }
            self.rates.observe(self.totals().get(Counter::Mails), now);
            self.wait(now);
            let now = Instant::now();
            self.listen_to_control(now);
        }
    }

    /// After the last worker: takes away what the daemon had put into the file system, and says goodbye; last of all to
    /// those who asked it to stop, for they may start it again at once.
    fn end(mut self) {
        self.save_poison(Instant::now());
        listen::close(&self.current.listeners, &[]);
        self.control.remove();
        self.pid_file.remove();
        log::info!("stopped");
        let answer = Answer {
            status: Exit::Ok,
            text: "stopped\n".into(),
        };
        for asker in self.stop_askers {
            self.control.answer(asker, &answer);
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
                Signal::SIGHUP => {
                    self.reload.get_or_insert_default();
                }
                Signal::SIGUSR1 => {
                    self.program.reopen_log();
                    for generation in self.generations() {
                        generation.signal_all(Signal::SIGUSR1);
                    }
                    log::info!("log reopened");
                }
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
            let loader = self.loading.as_mut().map(|loading| &mut loading.child);
            let is_known = loader.is_some_and(|loader| loader.buried(pid, death))
                || self.names.buried(pid, death);
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
                Progress::Passed => self.accepts(),
                Progress::Failed(why) => {
                    log::error!("{why}");
                    self.give_up(now, Failure::new(Exit::Unavailable, why).into());
                }
            },
            Phase::Running => self.progress_of_reload(now),
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
        log::info!(
            "mimicryd {} accepts with {} workers, configuration {}, hash {}",
            env!("CARGO_PKG_VERSION"),
            self.current.children.len(),
            self.current.config.path.display(),
            self.current.config.hash
        );
        let is_background = matches!(self.report, Report::Parent(_));
        if is_background {
            let keep_stderr = self.current.config.log.target == LogTarget::Stderr;
            if let Err(error) = process::silence(keep_stderr) {
                log::warn!("cannot close standard input and output: {error}");
            }
        }
        self.report.accepts();
        notify(&[NotifyState::Ready, NotifyState::MainPid(std::process::id())]);
    }

    fn adjust(&mut self, more: bool) {
        let before = self.current.workers;
        let workers = pool::adjust(before, more);
        self.current.workers = workers;
        log::info!("at least {} workers, {} before", workers.min, before.min);
    }

    /// TERM or INT, or a request: the first lets sessions finish, the second does not.
    fn stop(&mut self, now: Instant) {
        match &self.phase {
            Phase::Stopping { .. } => self.hurry(now, Told::Quit),
            Phase::Starting => {
                let why = "told to stop before workers accepted";
                self.give_up(now, Failure::new(Exit::Unavailable, why).into());
            }
            Phase::Running => {
                let patience = self.current.config.daemon.drain_timeout;
                let ended = Ended {
                    status: Exit::Ok,
                    message: None,
                };
                log::info!("stopping: mails in hand have {} s", patience.as_secs());
                self.begin_to_stop(now, ended, now.checked_add(patience), Told::Drain);
            }
        }
    }

    /// The start failed.
    fn give_up(&mut self, now: Instant, ended: Ended) {
        self.begin_to_stop(now, ended, now.checked_add(GRACE), Told::Quit);
    }

    fn begin_to_stop(&mut self, now: Instant, ended: Ended, next: Option<Instant>, told: Told) {
        notify(&[NotifyState::Stopping]);
        if self.trial.is_some() {
            self.abandon("the daemon stops");
        }
        if let Some(settling) = &mut self.settling {
            settling.deadline = None;
            self.settle(now);
        }
        let refused = Refused {
            line: "the daemon stops".into(),
            text: "the daemon stops".into(),
        };
        self.abandon_loading(&refused);
        if let Some(askers) = self.reload.take() {
            self.refuse(&askers, &refused);
        }
        self.dismiss_waiters();
        for generation in self.generations() {
            generation.tell_all(told);
        }
        // New connections are refused from here on, rather than left waiting.
        listen::close(&self.current.listeners, &[]);
        self.current.let_go();
        self.phase = Phase::Stopping { next, told, ended };
    }

    /// Tells all workers something more urgent.
    fn hurry(&mut self, now: Instant, more: Told) {
        for generation in self.generations() {
            generation.tell_all(more);
        }
        if let Phase::Stopping { next, told, .. } = &mut self.phase
            && more > *told
        {
            *told = more;
            *next = if more < Told::Kill {
                now.checked_add(GRACE)
            } else {
                None
            };
        }
    }

    fn is_over(&mut self) -> Option<Ended> {
        match &self.phase {
            Phase::Stopping { ended, .. } if self.current.children.is_empty() => {
                self.old.is_empty().then(|| ended.clone())
            }
            _ => None,
        }
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
        let loader = self.loading.as_ref().map(|loading| loading.child.as_fd());
        descriptors.extend(loader.map(|loader| PollFd::new(loader, PollFlags::POLLIN)));
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
        ];
        match &self.phase {
            Phase::Stopping { next, .. } => due.push(*next),
            _ => {
                due.push(self.rates.due(now));
                due.push(self.mending_due(now));
                due.push(self.settling.as_ref().and_then(|_| now.checked_add(LOOK)));
                due.extend(
                    self.loading
                        .as_ref()
                        .map(|loading| loading.child.deadline()),
                );
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
        let mut totals = self.past;
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
    let own = Signals::new(&[
        Signal::SIGCHLD,
        Signal::SIGQUIT,
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGTTIN,
        Signal::SIGTTOU,
    ])?;
    // A file that reaches the limit of its size is an error of write(2), as a lost client is.
    signals::ignore(&[Signal::SIGPIPE, Signal::SIGXFSZ])?;
    signals::unblock_all()?;
    Ok(own)
}

fn claim(config: &Config) -> Result<PidFile, Failure> {
    let path = &config.daemon.pid_file;
    PidFile::claim(path, std::process::id()).map_err(|error| match error {
        PidFileError::Running(pid) => {
            let pid = pid.map_or(String::new(), |pid| format!(", process {pid}"));
            Failure::new(
                Exit::Deferred,
                format!("mimicryd runs already{pid}: {} is locked", path.display()),
            )
        }
        PidFileError::Io(error) => Failure::new(
            Exit::CannotCreate,
            format!("pid file {}: {error}", path.display()),
        ),
    })
}
