//! The program that the master runs: where its configuration and its log come from, and what a worker does.
//!
//! Must never: accept a configuration that asks for what this version does not do.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use mimicry_core::config::{Config, Mistakes};
use mimicry_core::registry::Registry;
use mimicry_core::seals::SealKeys;
use mimicry_core::settings::words::Sandbox;
use mimicry_core::settings::{Log, LogTarget};
use nix::unistd::{Gid, Pid, Uid};

use crate::clock;
use crate::keeper::{Keeper, Matter, Numbering};
use crate::loading::{self, Order, Said, Snapshot, Source, Trial};
use crate::logging;
use crate::lookup::Find;
use crate::machine;
use crate::own_places;
use crate::prefork::contract::{LogState, Program, Refused, ServeFactory};
use crate::prefork::hops::Hops;
use crate::prefork::identity;
use crate::relay::{Keys, Remembered};
use crate::seal_keys;
use crate::spool::{self, LedgerState};
use crate::sys::memory::Holes;
use crate::sys::process::Death;
use crate::sys::sandbox::Kernel;
use crate::sys::{privileges, process};
use crate::worker::certificates::Certificates;
use crate::worker::ledger::Ledger;
use crate::worker::server::{Server, Shared};

/// The daemon of one configuration file.
#[derive(Debug)]
pub struct Daemon {
    /// Absolute: the daemon changes its working directory.
    pub path: PathBuf,
    pub registry: Registry,
    /// Does it go into the background.
    pub background: bool,
    /// Where the log of this process goes, since a configuration said so.
    pub log: RefCell<Option<Log>>,
    pub log_facts: Cell<LogFacts>,
    /// Those of the configuration in force.
    pub seal_keys: RefCell<SealKeys>,
    /// What the log was told of.
    pub sandbox: Cell<Option<Sandbox>>,
    /// What looks names up.
    pub find: Find,
    pub kept: Keeping,
    /// The spool whose directories are made, and for whom.
    pub spool: RefCell<Option<MadeSpool>>,
}

/// A spool whose directories are made, and for whom.
pub type MadeSpool = (PathBuf, Option<(Uid, Gid)>);

/// What a configuration is made of, on its way to the generations that are kept.
#[derive(Debug, Default)]
pub struct Keeping {
    /// As it was loaded last.
    loaded: RefCell<Option<Snapshot>>,
    /// Where the generations of the last configuration are.
    state: RefCell<Option<PathBuf>>,
    /// Looks for the number of the next one.
    numbering: RefCell<Option<Numbering>>,
}

/// What the processes of the daemon must know of the log beside where it goes.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogFacts {
    /// Standard error is the log.
    is_stderr: bool,
    /// Whom a log file belongs to when root made it, so that workers can open it anew.
    owner: Option<(Uid, Gid)>,
}

impl Program for Daemon {
    fn begin(&self) -> Result<Trial, Refused> {
        let trial = Trial::begin(&self.order()).map_err(Refused::from)?;
        // Meanwhile, because nobody may wait for the disk afterwards.
        if let Some(state) = self.kept.state.borrow().as_deref() {
            self.kept.numbering.replace(Numbering::begin(state).ok());
        }
        Ok(trial)
    }

    fn finish(&self, said: Said) -> Result<Arc<Config>, Refused> {
        let snapshot = said?;
        let mut config = loading::finish(&self.order(), &snapshot)?;
        own_places::take(&mut config.daemon);
        self.kept.loaded.replace(Some(snapshot));
        Ok(Arc::new(config))
    }

    fn prepare(&self, config: &Arc<Config>, hops: &mut Hops) -> Result<ServeFactory, String> {
        // What is made from here on stands together, and not between the rules.
        let between_rules = Holes::take();
        if !self.logs_so(config) {
            // Not first in the new workers, which would say so where nobody looks any more.
            logging::can_open(&config.log, identity::owner(&config.daemon))
                .map_err(|error| cannot_log(&error))?;
        }
        let config = Arc::clone(config);
        let keys = Arc::new(Keys::load(&config.relays())?);
        let owner = identity::owner(&config.daemon);
        self.prepare_spool(&config.daemon.spool, owner);
        let kept = self.seal_keys.borrow().clone();
        let seal_keys = seal_keys::prepare(&config, clock::now().unix, &kept)?;
        self.seal_keys.replace(seal_keys.clone());
        let seal_keys = Arc::new(seal_keys);
        let certificates = Arc::new(Certificates::load(&config.listen)?);
        let next_hops = config.banks.next_hops();
        let shared = Shared {
            keys,
            certificates,
            seal_keys,
            hops: hops
                .of(next_hops.iter())
                .map_err(|error| format!("no shared memory: {error}"))?,
        };
        let holes = (between_rules, Holes::take());
        Ok(Rc::new(move |slot| {
            // They are the generation's, as this is.
            let _held = &holes;
            let server = Server::new(Arc::clone(&config), shared.clone(), slot)?;
            Ok(Box::new(server))
        }))
    }

    fn find(&self) -> Find {
        self.find
    }

    fn adopt(&self, config: &Config) {
        // At the start the log is still standard error, and at a reload it is the log before.
        if let Some(missing) = logging::missing(&config.log) {
            log::warn!("{missing}");
        }
        if let Err(error) = privileges::allow_dumps(config.daemon.core_dumps) {
            log::warn!("cannot set whether there are core files: {error}");
        }
        self.log_so(config);
        self.say_sandbox(config.daemon.sandbox);
        for warning in &config.warnings.list {
            log::warn!("{}: {}", self.path.display(), warning.message);
        }
    }

    fn number(&self, config: &Config, least: u64) -> u64 {
        let state = &config.daemon.state;
        self.kept.state.replace(Some(state.clone()));
        let begun = self.kept.numbering.take();
        let begun = begun.filter(|numbering| numbering.is_of(state));
        let numbering = begun.map_or_else(|| Numbering::begin(state), Ok);
        numbering.map_or(least, |numbering| numbering.next(least))
    }

    fn stage(&self, config: &Config) -> Option<Keeper> {
        let snapshot = self.kept.loaded.take()?;
        match Keeper::begin(Matter::of(config, &snapshot)) {
            Ok(keeper) => Some(keeper),
            Err(error) => {
                log::warn!("this configuration is not kept: {error}; nobody can go back to it");
                None
            }
        }
    }

    fn buried(&self, child: Pid, death: Death) -> bool {
        let mut numbering = self.kept.numbering.borrow_mut();
        numbering
            .as_mut()
            .is_some_and(|numbering| numbering.buried(child, death))
    }

    fn reopen_log(&self) -> bool {
        // The master is the first: a worker finds the file there, and may open it if it could be given to its user.
        match logging::reopen() {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && self.is_a_worker() => {
                return false;
            }
            Err(error) => log::error!("cannot reopen the log: {error}"),
        }
        self.give_log();
        true
    }

    fn log_state(&self) -> LogState {
        logging::state()
    }

    fn ledger(&self, config: &Config) -> LedgerState {
        spool::ledger(&config.daemon)
    }

    fn born(&self, config: &Config) {
        // A worker of the configuration in force has the master's log, which may have been moved away and not be opened anew yet.
        if !self.logs_so(config) {
            self.log_so(config);
        }
        // Whoever started the daemon may wait for the end of its output.
        if self.background
            && let Err(error) = process::silence(self.log_facts.get().is_stderr)
        {
            log::warn!("cannot close standard input and output: {error}");
        }
    }
}

impl Daemon {
    fn order(&self) -> Order<'_> {
        Order {
            path: &self.path,
            registry: self.registry,
            judge: runs,
            source: Source::File,
        }
    }

    /// Makes the directories of the spool and forces them to disk, unless that was done: a reload waits for no slow disk.
    fn prepare_spool(&self, spool: &Path, owner: Option<(Uid, Gid)>) {
        let this = (spool.to_path_buf(), owner);
        let directories = [Ledger::directory(spool), Remembered::directory(spool)];
        let is_there = |one: &PathBuf| {
            let facts = fs::symlink_metadata(one);
            facts.is_ok_and(|facts| facts.is_dir())
        };
        let are_there = directories.iter().all(is_there);
        if are_there && self.spool.borrow().as_ref() == Some(&this) {
            return;
        }
        let ledger = Ledger::prepare(spool, owner);
        let remembered = Remembered::prepare(spool, owner);
        let are_done = ledger.is_ok() && remembered.is_ok();
        self.spool.replace(Some(this).filter(|_| are_done));
        if let Err(error) = ledger {
            log::warn!(
                "no ledger below {}: {error}; a retry of a mail that only some recipients got goes to all of them",
                spool.display()
            );
        }
        if let Err(error) = remembered {
            log::warn!(
                "what next hops can do is not kept below {}: {error}; each worker knows what it heard itself",
                spool.display()
            );
        }
    }

    /// Says what the kernel cannot do for workers, once.
    fn say_sandbox(&self, wanted: Sandbox) {
        let lacks = Kernel::probe().lacks();
        if self.sandbox.replace(Some(wanted)) != Some(wanted)
            && wanted != Sandbox::Off
            && !lacks.is_empty()
        {
            log::warn!(
                "the sandbox of workers is not whole: this kernel does not guard {}",
                lacks.join(", ")
            );
        }
    }

    /// Has this process become the user of the workers.
    fn is_a_worker(&self) -> bool {
        self.log_facts.get().owner.is_some() && !privileges::is_root()
    }

    /// Does the log go where this configuration says.
    fn logs_so(&self, config: &Config) -> bool {
        self.log.borrow().as_ref() == Some(&config.log)
    }

    /// From here on it does.
    fn log_so(&self, config: &Config) {
        let owner = identity::owner(&config.daemon);
        if let Err(error) = logging::configure(&config.log, owner) {
            log::error!("{}", cannot_log(&error));
        }
        self.log.replace(Some(config.log.clone()));
        self.log_facts.set(LogFacts {
            is_stderr: config.log.target == LogTarget::Stderr,
            owner,
        });
        self.give_log();
    }

    /// A log file that root made belongs to the user that the workers run as.
    fn give_log(&self) {
        if let Some((user, group)) = self.log_facts.get().owner
            && privileges::is_root()
            && let Err(error) = logging::give(user, group)
            // Without CAP_CHOWN it stays root's, and workers are replaced when it is opened anew.
            && error.kind() != io::ErrorKind::PermissionDenied
        {
            log::warn!("cannot give the log to the workers' user: {error}");
        }
    }
}

fn cannot_log(error: &io::Error) -> String {
    format!("cannot open the log: {error}")
}

/// Can it run here.
pub fn runs(config: &Config) -> Result<(), Mistakes> {
    config.ready_to_run()?;
    machine::check(config)
}
