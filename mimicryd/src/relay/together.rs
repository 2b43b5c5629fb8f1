//! Commands that are given ahead of being asked for: XFORWARD, MAIL and the recipients that the client has named already, in one write
//! to a server that offers PIPELINING (RFC 2920).
//!
//! Whoever speaks to the next hop asks for one command after the other as ever, and has the answer that stands here ([`Given`]). All
//! replies are read before the first of them is handed back: only what comes behind the last one tells whether there was one for each
//! command. If there is more, or less, than one each, no reply is anybody's answer from where that shows on; with more it shows for none
//! of them, so that none has one. DATA is never among them: its 354 is what both sides begin anew from.
//!
//! Known limits: a server that answers a command in the middle twice may have its second reply taken for that of the next recipient, until
//! what is left over behind the last one shows it. Then the line ends, and the mail is a 4xx.
//!
//! Must never: give a command that was not asked for to be given, nor hand a reply to another command than its own.

use mimicry_core::extension::Extension;
use mimicry_core::reply::Reply;

use super::ahead::{Ahead, Given, RCPT};
use super::answer::{Answer, Cause};
use super::client::Client;
use super::command::CommandLine;
use super::link::Link;
use super::reader::{Reading, read};

impl<L: Link> Client<L> {
    /// See [`NextHop::ahead`](super::NextHop::ahead).
    pub(super) fn give_ahead(&mut self, ahead: Ahead<'_>) -> usize {
        let is_offered = self.capabilities.contains(Extension::Pipelining);
        if !is_offered || self.broken.is_some() || !self.ahead.is_empty() {
            return 0;
        }
        let lines = ahead.lines(&self.capabilities);
        let recipients = lines.iter().filter(|(stage, _)| *stage == RCPT).count();
        // Alone it goes as ever.
        if lines.len() < 2 {
            return 0;
        }
        if ahead.opening.is_some() {
            self.begin();
        }
        self.exchange_all(lines);
        recipients
    }

    /// One write, and a reply for each line.
    fn exchange_all(&mut self, lines: Vec<(&'static str, CommandLine)>) {
        let (stages, lines): (Vec<&'static str>, Vec<CommandLine>) = lines.into_iter().unzip();
        let first = stages.first().copied().unwrap_or(RCPT);
        let mut failed = self.give(first, &lines, self.timeouts.mail).err();
        let mut behind = lines.len();
        let mut replies: Vec<Result<Reply, Answer>> = Vec::with_capacity(behind);
        for stage in &stages {
            behind = behind.saturating_sub(1);
            let reply = match &failed {
                None => {
                    let patience = match *stage {
                        RCPT => self.timeouts.rcpt,
                        _ => self.timeouts.mail,
                    };
                    let deadline = self.deadline(patience);
                    self.receive(stage, deadline, behind, &mut |_| {})
                }
                Some(answer) => Err(answer.clone()),
            };
            match &reply {
                // It closes the line: nobody waits for what it will not say any more.
                Ok(reply) if reply.code() == 421 => {
                    failed = Some(Answer::failed(Cause::Lost, stage));
                    self.abort_for(Cause::Lost);
                }
                Ok(_) => {}
                Err(answer) => failed = Some(answer.clone()),
            }
            replies.push(reply);
        }
        if failed.is_none() && self.is_surplus() {
            let answer = self.out_of_step(RCPT);
            replies.fill(Err(answer));
        }
        let given = lines.into_iter().zip(replies);
        self.ahead = given.map(|(line, reply)| Given { line, reply }).collect();
    }

    /// Is there more than the replies? A 421 may be said at any time, and is nobody's answer.
    fn is_surplus(&self) -> bool {
        let heard = self.link.heard();
        let is_farewell = || match read(heard) {
            Reading::Complete(received) => received.reply().code() == 421,
            Reading::Incomplete | Reading::Malformed => false,
        };
        !heard.is_empty() && !is_farewell()
    }

    /// What became of a command that was given ahead, now that it is asked for.
    pub(super) fn reply_to(
        &mut self,
        given: Given,
        line: &CommandLine,
        stage: &'static str,
    ) -> Result<Reply, Answer> {
        if given.line != *line {
            return Err(self.fail(Cause::OutOfStep, stage));
        }
        given.reply
    }
}

#[cfg(test)]
mod tests;
