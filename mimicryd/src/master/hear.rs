//! Requests over the control socket, and the answers that the master can give at once.
//!
//! Must never: end the master. Whatever fails here, the daemon goes on as before.

#![forbid(unsafe_code)]

use std::time::Instant;

use nix::unistd::Pid;

use crate::lookup::Lookup;
use crate::prefork::contract::Refused;
use crate::prefork::exit::Exit;

use super::contract::survived;
use super::control::{Answer, ClientId, Request};
use super::state::{Master, Phase};

impl Master {
    pub(super) fn listen_to_control(&mut self, now: Instant) {
        let children = self.children();
        let requests = survived(|| self.control.step(&children, now)).unwrap_or_default();
        for (client, request) in requests {
            if survived(|| self.hear(client, request, now)).is_none() {
                let answer = Answer {
                    status: Exit::Software,
                    text: "mimicryd failed at this request, and goes on as before\n".into(),
                };
                self.control.answer(client, &answer);
            }
        }
    }

    /// Those that obey strangers once a stranger has taken them over.
    fn children(&mut self) -> Vec<i32> {
        let lookups = self.names.lookups().map(Lookup::child);
        let mut children: Vec<i32> = lookups.map(Pid::as_raw).collect();
        for generation in self.generations() {
            let workers = generation.children.iter().map(|child| child.pid.as_raw());
            children.extend(workers);
        }
        children
    }

    fn hear(&mut self, client: ClientId, request: Request, now: Instant) {
        log::debug!("control: {}", request.line());
        if let Some(successor) = &self.succession.successor {
            let answer = self.other_master(successor.pid);
            self.control.answer(client, &answer);
            return;
        }
        match request {
            Request::Status => {
                let answer = Answer::done(self.status(now).json());
                self.control.answer(client, &answer);
            }
            Request::Reload | Request::ReloadWait
                if matches!(self.phase, Phase::Stopping { .. }) =>
            {
                let refused = Refused {
                    line: "the daemon stops".into(),
                    text: "the daemon stops".into(),
                };
                self.refuse(&[client], &refused);
            }
            Request::ReloadWait if !self.may_wait(client, now) => {
                let answer = Answer {
                    status: Exit::Deferred,
                    text: "too many wait for old workers already: nothing was reloaded\n".into(),
                };
                self.control.answer(client, &answer);
            }
            Request::Reload | Request::ReloadWait => {
                log::info!("reload was asked for");
                self.reload.get_or_insert_default().push(client);
            }
            Request::Check => self.check_asked.push(client),
            Request::PoisonList | Request::PoisonClear => {
                let text = match request {
                    Request::PoisonClear => self.poison_clear(now),
                    _ => self.poison_list(),
                };
                let answer = Answer::done(text);
                self.control.answer(client, &answer);
            }
            Request::Metrics => {
                let answer = Answer::done(self.metrics_text(now));
                self.control.answer(client, &answer);
            }
            Request::Upgrade => {
                log::info!("an upgrade was asked for");
                self.want_upgrade(Some(client));
            }
            Request::Stop => {
                self.stop_askers.push(client);
                if !matches!(self.phase, Phase::Stopping { .. }) {
                    self.stop(now);
                }
            }
        }
    }
}
