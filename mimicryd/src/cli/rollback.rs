//! `mimicryd rollback`: the files of an earlier generation are put where they were, and the daemon loads them.
//!
//! What is there before is kept as a generation too, so that this can be undone. The files need not make a configuration that
//! loads, and no daemon need run.
//!
//! Must never: write a file before the generation is known to load with this program, or before somebody said yes.

use std::path::{Path, PathBuf};

use mimicry_core::config::Config;
use mimicry_plugins::REGISTRY;

use super::daemon::tell;
use super::generations::{All, PlaceArg, shown, time};
use super::input::refusal;
use super::output::{Output, Question};
use super::show::{Paint, escape};
use crate::clock;
use crate::daemon::runs;
use crate::files;
use crate::loading::{Order, ReadFile, Snapshot, Source, Trial};
use crate::master::control::{AskError, Request};
use crate::prefork::exit::Exit;
use crate::state::generations::{Generation, Kept, digest_of};
use crate::state::write_back::{Changes, Differs, there};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: PlaceArg,
    /// The generation; without it, the last one that differs from the files as they are now
    number: Option<u64>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// All that is known before anything is done.
struct Plan {
    all: All,
    target: Generation,
    wanted: Snapshot,
    /// The files as they are now.
    present: Snapshot,
    changes: Changes,
}

pub fn run(args: &Args, paint: Paint) -> Result<Output, Output> {
    let all = args.place.open()?;
    let present = present(&all);
    let target = match args.number {
        Some(number) => all.find(number)?,
        None => last_other(&all, &present)?,
    };
    if target.path != all.path {
        let reason = format!(
            "generation {} is one of {}; give that with -c",
            target.numbers(),
            target.path.display()
        );
        return Err(Output::failure(Exit::Usage, reason));
    }
    let target = target.clone();
    let wanted = all.store.snapshot(&target);
    let wanted = wanted.map_err(|error| Output::failure(Exit::Io, error))?;
    let trial = Trial::of(&order(&all.path), Some(&wanted)).and_then(Trial::wait);
    trial.map_err(|rejected| {
        let mut refused = refusal(rejected, paint);
        let line = format!(
            "mimicryd: generation {} does not load any more; nothing was changed\n",
            target.numbers()
        );
        refused.err.push_str(&line);
        refused
    })?;
    let changes = Changes::of(&wanted, &present);
    let plan = Plan {
        all,
        target,
        wanted,
        present,
        changes,
    };
    if args.yes || plan.changes.are_none() {
        return plan.carry_out(paint);
    }
    let text = format!("{}Put these files in force? [y/N] ", plan.told());
    Err(Output::question(Question {
        text,
        without: "--yes".into(),
        yes: Box::new(move || plan.carry_out(paint)),
    }))
}

impl Plan {
    /// What would be done.
    fn told(&self) -> String {
        let target = &self.target;
        let mut text = format!(
            "generation {}, in force since {}, hash {}\n",
            target.numbers(),
            time(target.since),
            target.hash
        );
        let directory = self.all.path.parent().unwrap_or(Path::new(""));
        for (path, differs) in self.changes.all() {
            let word = match differs {
                Differs::Changed => "is written back",
                Differs::Missing => "is made again",
                Differs::Extra => "is removed",
            };
            text.push_str(&format!("  {} {word}\n", shown(path, directory)));
        }
        text
    }

    fn carry_out(self, paint: Paint) -> Result<Output, Output> {
        let mut out = match self.changes.are_none() {
            true => format!(
                "the files are those of generation {} already\n",
                self.target.numbers()
            ),
            false => self.told(),
        };
        if let Some(number) = self.keep_present()? {
            out.push_str(&format!("what was there is generation {number}\n"));
        }
        // Where the daemon listens that runs now.
        let control = control(&self.all.path, &self.present);
        self.changes.apply(&self.wanted).map_err(|error| {
            let reason = format!("{error}; all files are as they were");
            Output::failure(Exit::Io, reason)
        })?;
        let loaded = Trial::begin(&order(&self.all.path)).and_then(Trial::wait);
        let loaded = loaded.map_err(|rejected| {
            let mut refused = refusal(rejected, paint);
            refused.out = out.clone().into_bytes();
            refused
        })?;
        let stray = loaded
            .0
            .iter()
            .find(|file| self.wanted.file(&file.path).is_none());
        if let Some(stray) = stray {
            let reason = format!(
                "the configuration reads {}, too, which generation {} did not have: remove it, then mimicryd reload",
                escape(stray.path.display().to_string()),
                self.target.numbers()
            );
            return Err(Output::failure(Exit::Config, reason));
        }
        match tell(&control, Request::Reload) {
            Ok(answer) if answer.status == Exit::Ok => {
                out.push_str(&answer.text);
                Ok(Output::text(out))
            }
            Ok(answer) => Err(Output {
                err: answer.text,
                exit: answer.status,
                ..Output::text(out)
            }),
            Err(AskError::NotRunning) => {
                out.push_str("no daemon runs: the files are in force from its next start on\n");
                Ok(Output::text(out))
            }
            Err(error) => Err(Output {
                out: out.into_bytes(),
                ..super::daemon::unasked(&control, &error)
            }),
        }
    }

    /// Keeps what is there now, unless it is kept. The number under which it is kept anew.
    fn keep_present(&self) -> Result<Option<u64>, Output> {
        let fail = |error| {
            Output::failure(
                Exit::Io,
                format!("what is there cannot be kept: {error}; nothing was changed"),
            )
        };
        if self.changes.are_none() || self.present.0.is_empty() {
            return Ok(None);
        }
        let store = &self.all.store;
        // The daemon may still write the one that it has just loaded.
        let _lock = store.lock().map_err(fail)?;
        let mut staged = store
            .stage(&self.present, &self.all.path, "", clock::now().unix)
            .map_err(fail)?;
        staged.was_in_force = false;
        let is_kept = self.all.list.iter().any(|one| one.is_like(&staged));
        if is_kept {
            return Ok(None);
        }
        let number = store.keep(staged, store.next(1), clock::now().unix);
        number.map(Some).map_err(fail)
    }
}

/// The files as they are now: those that the configuration reads, or, if it does not load, those that it is known to have had.
fn present(all: &All) -> Snapshot {
    let any = Order {
        judge: |_: &Config| Ok(()),
        ..order(&all.path)
    };
    if let Ok(snapshot) = Trial::begin(&any).and_then(Trial::wait) {
        return snapshot;
    }
    let last = all
        .list
        .iter()
        .rev()
        .find(|one| one.was_in_force && one.path == all.path);
    let known = last.map(|one| one.files.as_slice()).unwrap_or_default();
    let mut paths: Vec<PathBuf> = vec![all.path.clone()];
    paths.extend(known.iter().map(|file| file.path.clone()));
    let mut files = Vec::new();
    for path in paths {
        if files.iter().any(|file: &ReadFile| file.path == path) {
            continue;
        }
        if let Some(mut file) = there(&path) {
            file.is_secret = known.iter().any(|one| one.path == path && one.is_secret);
            files.push(file);
        }
    }
    Snapshot(files)
}

/// The last one that was in force and is not what is there now.
fn last_other<'a>(all: &'a All, present: &Snapshot) -> Result<&'a Generation, Output> {
    let is_there = |one: &Generation| {
        let same = |file: &Kept| {
            present
                .file(&file.path)
                .is_some_and(|now| digest_of(&now.content) == file.digest)
        };
        one.files.len() == present.0.len() && one.files.iter().all(same)
    };
    let mut others = all.list.iter().rev();
    others
        .find(|one| one.was_in_force && one.path == all.path && !is_there(one))
        .ok_or_else(|| {
            let reason = "no other generation is kept: there is nothing to go back to";
            Output::failure(Exit::Unavailable, reason)
        })
}

fn order(path: &Path) -> Order<'_> {
    Order {
        path,
        registry: REGISTRY,
        judge: runs,
        source: Source::File,
    }
}

/// The control socket of the configuration that is there, which is the running daemon's.
fn control(path: &Path, present: &Snapshot) -> PathBuf {
    let octets = present.file(path).map(|file| file.content.clone());
    let octets = octets
        .or_else(|| files::glance(path).ok())
        .unwrap_or_default();
    mimicry_core::config::control_socket(path, &octets)
}
