//! How this master takes over from the one that started it (see [`handover`](super::handover)): it reports when its workers accept,
//! and when it is told that it is the master, the pid file, the control socket and the listeners are its own.
//!
//! Must never: remove or change what is the other one's before that.

#![forbid(unsafe_code)]

use std::fs::File;
use std::time::Instant;

use mimicry_core::config::Config;
use nix::sys::signal::{Signal, kill};

use crate::poison;
use crate::prefork::exit::Exit;
use crate::prefork::listen;
use crate::prefork::scoreboard::{Counter, Totals};
use crate::prefork::tally::Occasion;
use crate::status::name;
use crate::sys::entry::Entry;

use super::contract::Failure;
use super::control::Control;
use super::detach::Report;
use super::generation::Progress;
use super::handover::{Heard, Legacy, Predecessor, Word};
use super::pidfile::{PidFile, PidFileError};
use super::state::{Master, Phase};

impl Master {
    /// Are pid file, control socket and listeners another master's still.
    pub(super) fn is_lent(&self) -> bool {
        let before = self.succession.predecessor.as_ref();
        before.is_some_and(|before| before.is_in_force)
    }

    /// Is this the one that keeps what outlives a master.
    pub(super) fn is_in_force(&self) -> bool {
        !self.is_lent() && self.succession.successor.is_none()
    }

    /// Reports that workers accept, or hears what the master before says.
    pub(super) fn progress_of_succession(&mut self, now: Instant) {
        let is_starting = matches!(self.phase, Phase::Starting);
        if is_starting && self.is_lent() && self.current.progress() == Progress::Passed {
            self.report.accepts();
        }
        let Some(before) = &mut self.succession.predecessor else {
            return;
        };
        if before.is_gone {
            return;
        }
        match before.line.hear::<Legacy>() {
            Heard::Nothing => {}
            Heard::Said(legacy) if !before.is_in_force => self.succession.inherited = legacy,
            Heard::Said(legacy) if is_starting && matches!(self.report, Report::Nobody) => {
                self.take_office(legacy, now);
            }
            // It stops, and nobody asked for that.
            Heard::Said(_) => {}
            Heard::Over if before.is_in_force => {
                before.is_gone = true;
                if is_starting {
                    self.give_up(now, late().into());
                }
            }
            Heard::Over => {
                log::info!(
                    "process {}, the master before this one, has ended",
                    before.pid
                );
                self.succession.predecessor = None;
            }
        }
    }

    /// From here on this is the master.
    fn take_office(&mut self, legacy: Legacy, now: Instant) {
        if let Err(error) = self.pid_file.name(std::process::id()) {
            log::error!("cannot write the pid file: {error}");
        }
        let Some(before) = &mut self.succession.predecessor else {
            return;
        };
        let word = Word {
            version: env!("CARGO_PKG_VERSION").into(),
            ..Word::default()
        };
        if before.line.send(&word).is_err() {
            // It has given this one up, or is dead.
            before.is_gone = true;
            let _ = self.pid_file.name(before.pid.as_raw().unsigned_abs());
            self.give_up(now, late().into());
            return;
        }
        self.pid_file.set_lent(false);
        self.current.board.set_lent(false);
        self.control.set_lent(false);
        self.control.hear();
        self.inherit(legacy);
        let upgrades = &mut self.succession.upgrades;
        *upgrades = upgrades.saturating_add(1);
        let Some(before) = &mut self.succession.predecessor else {
            return;
        };
        before.is_in_force = false;
        // What the configuration does not name any more.
        listen::close(
            &std::mem::take(&mut before.listeners),
            &self.current.listeners,
        );
        if let Some((path, file)) = before.pid_file.take()
            && let Ok(file) = PidFile::inherit(&path, File::from(file))
        {
            file.remove();
        }
        if let Some((path, file, _)) = before.control.take() {
            listen::remove_socket(&path, file);
        }
        log::info!(
            "upgrade: takes over from mimicryd {}, process {}",
            before.version,
            before.pid
        );
        self.accepts();
        self.note_configuration(Some(Occasion::Upgraded));
    }

    fn inherit(&mut self, legacy: Legacy) {
        let before = self.mails();
        for entry in poison::entries(&legacy.poison) {
            if entry.deaths > self.poison.table.deaths(&entry.digest) {
                self.poison.table.put(&entry);
                self.poison.is_saved = false;
            }
        }
        self.succession.inherited = legacy;
        // No mails of this moment.
        self.rates.shift(self.mails().saturating_sub(before));
    }

    /// Of the masters before this one.
    pub(super) fn inherited_totals(&self) -> Totals {
        let totals = &self.succession.inherited.totals;
        Totals::of(|counter: Counter| totals.get(name(counter)).copied().unwrap_or_default())
    }

    /// Lines of the log that no process of the daemon could write, those of the masters before this one included.
    pub(super) fn all_lost(&self) -> u64 {
        let lost = self.program.log_state().lost;
        lost.saturating_add(self.lost_before())
    }

    /// By the masters before this one.
    pub(super) fn lost_before(&self) -> u64 {
        let before = self.succession.inherited.totals.get(LOST);
        before.copied().unwrap_or_default()
    }

    pub(super) fn all_deaths(&self) -> u64 {
        self.deaths.saturating_add(self.succession.inherited.deaths)
    }

    pub(super) fn all_stuck(&self) -> u64 {
        self.stuck.saturating_add(self.succession.inherited.stuck)
    }

    /// Workers of the master before this one are the daemon's, too.
    pub(super) fn tell_predecessor(&self, signal: Signal) {
        // As long as its end of the line is open it lives, and the process id is no other's.
        if let Some(before) = &self.succession.predecessor
            && !before.is_in_force
            && let Err(error) = kill(before.pid, signal)
        {
            log::warn!("cannot send {signal} to process {}: {error}", before.pid);
        }
    }
}

/// The name under which the lost lines of the log are handed over.
pub const LOST: &str = "log_lost";

fn late() -> Failure {
    let why = "the master before this one does not let it take over";
    Failure::new(Exit::Unavailable, why)
}

/// The pid file of the configuration: the one that the master before has, if that is it.
pub fn pid_file(
    config: &Config,
    predecessor: Option<&mut Predecessor>,
) -> Result<PidFile, Failure> {
    let path = &config.daemon.pid_file;
    let handed = predecessor.and_then(|before| before.pid_file.take_if(|(there, _)| there == path));
    if let Some((_, file)) = handed
        && let Ok(mut inherited) = PidFile::inherit(path, File::from(file))
    {
        inherited.set_lent(true);
        return Ok(inherited);
    }
    PidFile::claim(path, std::process::id()).map_err(|error| match error {
        PidFileError::Running(pid) => {
            let pid = pid.map_or(String::new(), |pid| format!(", process {pid}"));
            Failure::new(
                Exit::Deferred,
                format!(
                    "mimicryd runs already{pid}: {} is locked; mimicryd reload puts the configuration in force",
                    path.display()
                ),
            )
        }
        PidFileError::Io(error) => Failure::new(
            Exit::CannotCreate,
            format!("pid file {}: {error}", path.display()),
        ),
    })
}

/// The same for the control socket. While there is a master before, nobody is heard there.
pub fn control(config: &Config, predecessor: Option<&mut Predecessor>) -> Result<Control, Failure> {
    let path = &config.daemon.control;
    let has_one = predecessor.is_some();
    let handed = predecessor.and_then(|before| {
        let stands = |file| Entry::of(path).is_ok_and(|place| place.id() == Some(file));
        let own = before
            .control
            .take_if(|(there, file, _)| there == path && stands(*file));
        own.and_then(|(_, file, socket)| Some((file, listen::listening(socket).ok()?)))
    });
    let opened = match handed {
        Some((file, socket)) => {
            let mut control = Control::of(path.clone(), socket, file);
            control.set_lent(true);
            Ok(control)
        }
        None => Control::open(path),
    };
    let mut control = opened.map_err(|error| {
        let why = format!("control socket {}: {error}", path.display());
        Failure::new(Exit::CannotCreate, why)
    })?;
    if has_one {
        control.rest();
    }
    Ok(control)
}
