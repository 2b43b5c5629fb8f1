//! How another program takes over from this master: it is started on the same sockets, and until its own workers accept and it has
//! said so, nothing changes here.
//!
//! What each of the two says is in [`handover`](super::handover), what the new one does in `succeed`.
//!
//! Must never: wait for the new program, or give anything away before it is ready.

#![forbid(unsafe_code)]

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sd_notify::NotifyState;

use crate::poison;
use crate::prefork::contract::Refused;
use crate::prefork::exit::Exit;
use crate::prefork::scoreboard::{Counter, State};
use crate::status::named;
use crate::sys::descriptors;
use crate::sys::launch::With;
use crate::sys::process::{self, Death};
use crate::sys::send;

use super::child::Told;
use super::contract::{Ended, HANDLED, notify, survived};
use super::control::{Answer, ClientId};
use super::handover::{Estate, Heard, Legacy, Let, Named, Talk, VARIABLE, Word};
use super::reload::{LOOK, SETTLE};
use super::state::{Attempt, Failed, Master, Phase, Successor};
use super::succeed::LOST;

/// A new program that was told that it is the master has so long to answer.
const ANSWER: Duration = Duration::from_secs(30);

/// One that failed has so much longer than its mails in hand.
const MOMENT: Duration = Duration::from_secs(5);

/// After the end of its line the process itself ends within this time.
const END: Duration = Duration::from_secs(1);

/// Octets of what the new program writes to standard error that are shown.
const SHOWN: usize = 1000;

impl Master {
    /// By signal, or because somebody asked.
    pub(super) fn want_upgrade(&mut self, asker: Option<ClientId>) {
        let succession = &mut self.succession;
        let refusal = match &self.phase {
            Phase::Stopping { .. } => Some((Exit::Unavailable, "the daemon stops")),
            Phase::Starting => Some((Exit::Deferred, "the daemon has not started yet")),
            Phase::Running if succession.attempt.is_some() || succession.wanted.is_some() => {
                Some((Exit::Deferred, "an upgrade is under way already"))
            }
            Phase::Running => None,
        };
        let Some((status, why)) = refusal else {
            self.succession.wanted = Some(asker.into_iter().collect());
            return;
        };
        log::warn!("no upgrade: {why}");
        if let Some(asker) = asker {
            let text = format!("{why}\nnothing was upgraded\n");
            self.control.answer(asker, &Answer { status, text });
        }
    }

    /// True = an upgrade is under way, and nothing else is to begin.
    pub(super) fn progress_of_upgrade(&mut self, now: Instant) -> bool {
        if self.succession.attempt.is_some() {
            self.hear_of_attempt(now);
        } else if self.loading.is_none()
            && self.trial.is_none()
            && self.settling.is_none()
            && let Some(askers) = self.succession.wanted.take()
        {
            self.begin_upgrade(askers, now);
        }
        self.succession.attempt.is_some() || self.succession.successor.is_some()
    }

    fn begin_upgrade(&mut self, askers: Vec<ClientId>, now: Instant) {
        match survived(|| self.start_another(now)).unwrap_or_else(|| Err("it panicked".into())) {
            Ok(attempt) => {
                log::info!(
                    "upgrade: {} was started as process {}",
                    self.succession.start.program.display(),
                    attempt.child
                );
                self.succession.attempt = Some(Attempt { askers, ..attempt });
                if let Ok(moment) = NotifyState::monotonic_usec_now() {
                    notify(&[NotifyState::Reloading, moment]);
                }
            }
            Err(why) => self.refuse_upgrade(&askers, Exit::System, &because(why)),
        }
    }

    fn start_another(&self, now: Instant) -> Result<Attempt, String> {
        let succession = &self.succession;
        if succession.foreground && std::env::var_os("NOTIFY_SOCKET").is_none() {
            return Err("the daemon runs in the foreground, and whoever started it cannot be told of a new process (NOTIFY_SOCKET is not set); restart it".into());
        }
        if std::process::id() == 1 {
            return Err("the daemon is the first process of a container, which would end with it; restart it".into());
        }
        let program = &succession.start.program;
        self.launch(now)
            .map_err(|error| format!("{} cannot be started: {error}", program.display()))
    }

    fn launch(&self, now: Instant) -> io::Result<Attempt> {
        let (here, there) = UnixStream::pair()?;
        let line = Talk::new(here)?;
        let (errors, end) = io::pipe()?;
        descriptors::set_nonblocking(&errors)?;
        let stderr = io::stderr().as_fd().try_clone_to_owned()?;
        let control = self.control.socket().ok_or(io::ErrorKind::NotConnected)?;
        let mut handed = vec![
            there.as_fd(),
            stderr.as_fd(),
            self.pid_file.as_fd(),
            control,
        ];
        handed.extend(self.register.as_fd());
        handed.extend(self.current.listeners.iter().map(|one| one.as_fd()));
        line.send(&self.estate(stderr.as_fd(), control))?;
        let child = self.succession.start.launch(With {
            descriptors: &handed,
            variable: (VARIABLE, descriptors::number(there.as_fd()).to_string()),
            errors: end,
            own_session: !self.succession.foreground,
            handled: &HANDLED,
        })?;
        Ok(Attempt {
            child,
            line,
            errors: Some(errors),
            said: Vec::new(),
            deadline: now.checked_add(self.current.config.daemon.upgrade_timeout),
            version: String::new(),
            is_handed: false,
            closed: None,
            death: None,
            askers: Vec::new(),
        })
    }

    fn estate(&self, stderr: BorrowedFd<'_>, control: BorrowedFd<'_>) -> Estate {
        let listeners = self.current.listeners.iter().map(|listener| Let {
            descriptor: descriptors::number(listener.as_fd()),
            deed: listener.deed(),
        });
        Estate {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: process::own_id(),
            generation: self.current.number,
            age_seconds: self.started.elapsed().as_secs(),
            upgrades: self.succession.upgrades,
            program: self.succession.start.program.clone(),
            config: self.current.config.path.clone(),
            stderr: descriptors::number(stderr),
            pid_file: Named {
                descriptor: descriptors::number(self.pid_file.as_fd()),
                path: self.pid_file.path().to_path_buf(),
                file: None,
            },
            control: Named {
                descriptor: descriptors::number(control),
                path: self.control.path().to_path_buf(),
                file: Some(self.control.file()),
            },
            listeners: listeners.collect(),
            register: self.register.deed(),
        }
    }

    fn hear_of_attempt(&mut self, now: Instant) {
        let Some(attempt) = &mut self.succession.attempt else {
            return;
        };
        attempt.take_errors();
        match attempt.line.hear::<Word>() {
            Heard::Said(word) if word.status != 0 => {
                let why = Refused {
                    line: plain(&word.line),
                    text: word.text,
                };
                self.fail(Exit::from_status(word.status), &why, now);
                return;
            }
            Heard::Said(_) if attempt.is_handed => {
                self.let_it_take_over(now);
                return;
            }
            Heard::Said(word) => {
                attempt.version = plain(&word.version);
                self.hand_over(now);
                return;
            }
            Heard::Over => {
                attempt.closed.get_or_insert(now);
            }
            Heard::Nothing => {}
        }
        let is_late = |end: Option<Instant>| end.is_none_or(|end| end <= now);
        let why = if let Some(death) = attempt.death {
            format!("it {}{}", death.describe(), attempt.shown())
        } else if attempt.closed.is_some() && is_late(attempt.ending()) {
            format!("it does not speak to this master{}", attempt.shown())
        } else if attempt.is_handed && is_late(attempt.deadline) {
            format!("it does not answer{}", attempt.shown())
        } else if is_late(attempt.deadline) {
            let limit = self.current.config.daemon.upgrade_timeout;
            format!(
                "it was not ready within {} s (upgrade_timeout){}",
                limit.as_secs(),
                attempt.shown()
            )
        } else {
            return;
        };
        let program = self.succession.start.program.display();
        let why = because(format!("{program}: {why}"));
        self.fail(Exit::Unavailable, &why, now);
    }

    /// Its workers accept: it is to be the master.
    fn hand_over(&mut self, now: Instant) {
        let legacy = self.legacy();
        let Some(attempt) = &mut self.succession.attempt else {
            return;
        };
        // One of the two is to be heard there.
        self.control.rest();
        attempt.is_handed = true;
        attempt.deadline = now.checked_add(ANSWER);
        // An error shows as the end of the line.
        let _ = attempt.line.send(&legacy);
    }

    /// It is the master.
    fn let_it_take_over(&mut self, now: Instant) {
        let Some(attempt) = self.succession.attempt.take() else {
            return;
        };
        let pid = attempt.child;
        let new = u32::try_from(pid.as_raw()).unwrap_or_default();
        notify(&[NotifyState::MainPid(new), NotifyState::Ready]);
        let by = format!("mimicryd {}, process {pid}", attempt.version);
        log::info!("{by}, has taken over; the sessions of this process come to their end");
        self.control.give_away();
        self.pid_file.set_lent(true);
        for generation in self.generations() {
            generation.board.set_lent(true);
            generation.tell_all(Told::Retire);
        }
        self.metrics.end();
        // They live on in the other master.
        self.current.let_go();
        self.phase = Phase::Stopping {
            next: None,
            told: Told::Retire,
            ended: Ended {
                status: Exit::Ok,
                message: None,
            },
        };
        if let Some(askers) = self.reload.take() {
            // Whether it has seen the files as they are now is not known.
            let _ = kill(pid, Signal::SIGHUP);
            self.answer_all(&askers, &self.other_master(pid));
        }
        self.succession.successor = Some(Successor {
            pid,
            line: attempt.line,
            done: format!("{by}, has taken over\n"),
            askers: attempt.askers,
            settled: now.checked_add(SETTLE),
        });
        self.settle_upgrade(now);
    }

    /// Says that an upgrade is done once no worker of this master waits for connections any more.
    pub(super) fn settle_upgrade(&mut self, now: Instant) {
        let generations = self.old.iter().chain(Some(&self.current));
        let mut workers = generations.flat_map(|one| &one.children);
        let is_waiting = workers.any(|child| child.slot.state() == Some(State::Idle));
        let Some(successor) = &mut self.succession.successor else {
            return;
        };
        if is_waiting && successor.settled.is_some_and(|end| end > now) {
            return;
        }
        let askers = std::mem::take(&mut successor.askers);
        let answer = Answer::done(&successor.done);
        self.answer_all(&askers, &answer);
    }

    /// What is said to those who ask for something that only the master can do.
    pub(super) fn other_master(&self, pid: Pid) -> Answer {
        Answer {
            status: Exit::Deferred,
            text: format!("process {pid} has taken over as the master; ask again\n"),
        }
    }

    /// The new program does not become the master; this one stays.
    fn fail(&mut self, status: Exit, why: &Refused, now: Instant) {
        let Some(attempt) = self.succession.attempt.take() else {
            return;
        };
        if attempt.is_handed
            && let Err(error) = self.pid_file.name(std::process::id())
        {
            log::error!("cannot write the pid file: {error}");
        }
        self.control.hear();
        if attempt.death.is_none() {
            // Its workers, if it has any, may finish what they have begun.
            let _ = kill(attempt.child, Signal::SIGTERM);
            let patience = self.current.config.daemon.drain_timeout;
            self.succession.failed.push(Failed {
                child: attempt.child,
                kill_at: now.checked_add(patience.saturating_add(MOMENT)),
            });
        }
        self.refuse_upgrade(&attempt.askers, status, why);
        self.notify_ready();
    }

    fn refuse_upgrade(&mut self, askers: &[ClientId], status: Exit, why: &Refused) {
        let outcome = if self.is_stopping() {
            log::warn!("upgrade given up: {}", why.line);
            "nothing was upgraded"
        } else {
            log::error!("upgrade failed, the daemon goes on as before: {}", why.line);
            "the upgrade failed, the daemon goes on as before"
        };
        let answer = Answer {
            status,
            text: format!("{}\n{outcome}\n", why.text.trim_end()),
        };
        self.answer_all(askers, &answer);
    }

    fn answer_all(&mut self, askers: &[ClientId], answer: &Answer) {
        for asker in askers {
            self.control.answer(*asker, answer);
        }
    }

    /// The daemon stops.
    pub(super) fn abandon_upgrade(&mut self, now: Instant) {
        let why = because("the daemon stops");
        if let Some(askers) = self.succession.wanted.take() {
            self.refuse_upgrade(&askers, Exit::Unavailable, &why);
        }
        self.fail(Exit::Unavailable, &why, now);
    }

    /// A child that is no worker ended; true = it is one of these.
    pub(super) fn buried(&mut self, pid: Pid, death: Death) -> bool {
        let succession = &mut self.succession;
        let mut failed = succession.failed.iter();
        if let Some(index) = failed.position(|one| one.child == pid) {
            succession.failed.swap_remove(index);
            return true;
        }
        let attempt = succession.attempt.as_mut();
        let successor = succession.successor.as_ref();
        match attempt.filter(|attempt| attempt.child == pid) {
            Some(attempt) => {
                attempt.death = Some(death);
                true
            }
            None => successor.is_some_and(|successor| successor.pid == pid),
        }
    }

    /// Ends programs that failed and do not end, as far as it is time. When this process ends it is: nobody else sees to them. Their workers
    /// finish what they have in hand, as those of any master that dies.
    pub(super) fn end_failed(&mut self, is_time: impl Fn(Instant) -> bool) {
        for failed in &mut self.succession.failed {
            if failed.kill_at.is_some_and(&is_time) {
                let _ = send::to_child(failed.child, Signal::SIGKILL, None);
                failed.kill_at = None;
            }
        }
    }

    /// What was counted, for the master after this one.
    pub(super) fn legacy(&self) -> Legacy {
        let lost = (LOST.to_string(), self.all_lost());
        let totals = named(&self.totals()).into_iter().chain([lost]);
        Legacy {
            totals: totals.collect(),
            deaths: self.all_deaths(),
            stuck: self.all_stuck(),
            poison: poison::lines(&self.poison.table.entries()),
        }
    }

    /// What to wait for, and until when.
    pub(super) fn awaited(&self) -> Vec<PollFd<'_>> {
        let succession = &self.succession;
        let mut all = Vec::new();
        if let Some(attempt) = &succession.attempt {
            let errors = attempt.errors.as_ref();
            all.extend(errors.map(|errors| PollFd::new(errors.as_fd(), PollFlags::POLLIN)));
            if attempt.closed.is_none() {
                all.push(PollFd::new(attempt.line.as_fd(), PollFlags::POLLIN));
            }
        }
        let before = succession.predecessor.as_ref();
        // One that is gone has said all.
        let before = before.filter(|before| !before.is_gone);
        all.extend(before.map(|before| PollFd::new(before.line.as_fd(), PollFlags::POLLIN)));
        all
    }

    pub(super) fn upgrade_due(&self, now: Instant) -> Option<Instant> {
        let succession = &self.succession;
        let attempt = succession.attempt.as_ref();
        let waits = succession.successor.as_ref();
        let is_asked = waits.is_some_and(|successor| !successor.askers.is_empty());
        let settling = is_asked.then(|| now.checked_add(LOOK)).flatten();
        let kills = succession.failed.iter().filter_map(|one| one.kill_at);
        let ending = attempt.and_then(|attempt| attempt.closed.and(attempt.ending()));
        let deadline = attempt.and_then(|attempt| attempt.deadline);
        kills.chain(ending).chain(deadline).chain(settling).min()
    }

    /// Mails of the masters before this one included.
    pub(super) fn mails(&self) -> u64 {
        self.totals().get(Counter::Mails)
    }
}

impl Attempt {
    /// When a process that closed its line should have ended.
    fn ending(&self) -> Option<Instant> {
        self.closed.and_then(|closed| closed.checked_add(END))
    }

    /// What comes on its standard error until it is a mimicryd, which then has the right one.
    fn take_errors(&mut self) {
        let mut block = [0; 4096];
        while let Some(errors) = &mut self.errors {
            match errors.read(&mut block) {
                Ok(0) => self.errors = None,
                Ok(count) => {
                    let room = SHOWN.saturating_sub(self.said.len()).min(count);
                    let said = block.get(..room).unwrap_or_default();
                    self.said.extend_from_slice(said);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.errors = None,
            }
        }
    }

    fn shown(&self) -> String {
        let said = plain(&String::from_utf8_lossy(&self.said));
        match said.trim() {
            "" => String::new(),
            said => format!(", and said {said:?}"),
        }
    }
}

fn because(why: impl Into<String>) -> Refused {
    let line = why.into();
    Refused {
        text: line.clone(),
        line,
    }
}

/// Another program may write anything.
fn plain(text: &str) -> String {
    let clean = |sign: char| if sign.is_control() { ' ' } else { sign };
    text.trim().chars().map(clean).take(SHOWN).collect()
}
