//! A session that brings no mail forward ends while all workers are busy and others wait: reading and writing with an eye on the
//! queue. How far the client is behind says its [`Pace`](super::pace::Pace).
//!
//! Must never: send somebody away while a worker is idle, more may come, or nobody waits; or make a system call while the client keeps
//! pace.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use super::link::Heard;
use super::pace::Pace;
use super::refusal::Event;
use super::serve::{Conversation, Over};
use crate::smtp::step::Leave;

impl Conversation<'_> {
    /// Reads; ends the session if the client is too slow for those who wait.
    pub fn hear(&mut self, deadline: Option<Instant>) -> Result<Heard, Over> {
        loop {
            if self.is_shed() {
                return self.give_up(Leave::Stress);
            }
            let heard = self.wait(deadline, |conversation, until| {
                Ok(conversation.link.read(until)?)
            })?;
            let is_over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if heard != Heard::Nothing || is_over {
                return Ok(heard);
            }
        }
    }

    /// Writes what is to be said, as long as the client is not too slow for those who wait.
    pub fn write(&mut self, deadline: Option<Instant>) -> Result<(), Over> {
        loop {
            let written = self.wait(deadline, |conversation, until| {
                Ok(conversation.link.flush(until))
            })?;
            let is_over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            match written {
                Err(error) if error.kind() == ErrorKind::TimedOut && !is_over => {}
                written => return Ok(written?),
            }
            // Who does not read is told nothing.
            if self.is_shed() {
                self.note(Event::StressEnded, None, None);
                return Err(Over::Said);
            }
        }
    }

    /// When a handshake must be over.
    pub fn handshake_deadline(&self, usual: Duration) -> Option<Instant> {
        let (board, timeout) = (self.slot.board(), self.settings.limits.stress_timeout);
        let most = match board.is_full() {
            true => Pace::of_handshake(timeout, board.slots(), self.link.waiting()).min(usual),
            false => usual,
        };
        Instant::now().checked_add(most)
    }

    /// Waits until the deadline or until it is time to look who else waits.
    fn wait<T>(
        &mut self,
        deadline: Option<Instant>,
        wait: impl FnOnce(&mut Self, Option<Instant>) -> Result<T, Over>,
    ) -> Result<T, Over> {
        let begin = Instant::now();
        let timeout = self.settings.limits.stress_timeout;
        let look = self.pace.look(timeout, || self.slot.board().is_full());
        let look = begin.checked_add(look);
        let result = wait(self, [deadline, look].into_iter().flatten().min());
        self.pace.waited(begin.elapsed());
        result
    }

    fn is_shed(&self) -> bool {
        let timeout = self.settings.limits.stress_timeout;
        let board = self.slot.board();
        self.pace.is_suspect(timeout)
            && board.is_full()
            && self
                .pace
                .is_too_slow(timeout, board.slots(), self.link.waiting())
    }
}
