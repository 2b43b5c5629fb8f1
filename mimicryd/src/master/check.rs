//! What a reload would find wrong, for whoever asks: the file is loaded by a child of the master, which sees the machine as the daemon
//! does, a file system that is read-only for it included.
//!
//! Must never: put anything in force, or stand in the way of what does.

#![forbid(unsafe_code)]

use std::time::Instant;

use crate::prefork::exit::Exit;

use super::contract::survived;
use super::control::{Answer, ClientId};
use super::state::{Loading, Master};

impl Master {
    pub(super) fn progress_of_checks(&mut self, now: Instant) {
        if self.checking.is_none() && !self.check_asked.is_empty() {
            let askers = std::mem::take(&mut self.check_asked);
            match survived(|| self.program.begin()) {
                Some(Ok(child)) => self.checking = Some(Loading { child, askers }),
                Some(Err(refused)) => self.say(&askers, Exit::Config, &refused.text),
                None => self.say(&askers, Exit::Software, "it could not be tried"),
            }
        }
        let Some(said) = (self.checking.as_mut()).and_then(|one| one.child.step(now)) else {
            return;
        };
        let Some(Loading { askers, .. }) = self.checking.take() else {
            return;
        };
        match said {
            Ok(_) => self.say(&askers, Exit::Ok, ""),
            Err(rejected) => self.say(&askers, Exit::Config, &rejected.plain),
        }
    }

    /// Nobody is told any more: the daemon stops.
    pub(super) fn abandon_checks(&mut self) {
        if let Some(Loading { child, askers }) = self.checking.take() {
            child.abandon();
            self.check_asked.extend(askers);
        }
        let askers = std::mem::take(&mut self.check_asked);
        self.say(&askers, Exit::Unavailable, "the daemon stops");
    }

    fn say(&mut self, askers: &[ClientId], status: Exit, text: &str) {
        let path = self.current.config.path.display();
        let text = format!("{path}\n{}\n", text.trim_end());
        for asker in askers {
            let text = text.clone();
            self.control.answer(*asker, &Answer { status, text });
        }
    }
}
