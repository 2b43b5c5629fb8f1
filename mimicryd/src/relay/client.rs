//! A connection to an SMTP (RFC 5321) or LMTP (RFC 2033) server: the commands, and how each reply is judged.
//!
//! How octets come and go is a [`Link`] (`link.rs`): lettre's connection (`smtp.rs`) or our own (`wire.rs`). The rules are here, once:
//!
//! - before a command and before the message nothing may have arrived, and each command has exactly one reply;
//! - commands that are known together go out together to a server that offers PIPELINING (RFC 2920), and each is asked for its answer in
//!   turn (`together.rs`): who asks does not notice. One octet beyond the last of their replies, and none of them has one:
//!   nobody could say whose each is;
//! - anything other than a complete and well-formed reply ends the connection and is a 4xx;
//! - each wait ends at the deadline of its phase, or earlier at the limit of the transaction;
//! - a reply has at most 32 KB; the replies of a transaction have 4 KB each, and 256 KB together beyond that;
//! - the final dot is sent only when the whole message is written and the client is still there; a small end of a message
//!   has its dot in the same write;
//! - over LMTP each accepted recipient has its own reply after the dot, and all of them share one deadline.
//!
//! Must never: give the outcome of anything but one complete reply to this command as a 2xx.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use mimicry_core::envelope::Path;
use mimicry_core::extension::{Extension, Extensions};
use mimicry_core::origin::Origin;
use mimicry_core::reply::{Meaning, Own, Reply};
use mimicry_core::settings::Timeouts;
use mimicry_core::settings::endpoint::Protocol;

use super::ahead::{Ahead, Given};
use super::answer::{Answer, Answers, Cause};
use super::body::Body;
use super::command::CommandLine;
use super::guard::Clean;
use super::keys::Password;
use super::link::{Link, LinkState, Written, deadline, remaining};
use super::next_hop::{NextHop, Watch};
use super::xforward;

/// A line to a server.
pub struct Client<L> {
    pub(super) link: L,
    protocol: Protocol,
    pub(super) capabilities: Extensions,
    pub(super) timeouts: Timeouts,
    limit: Option<Instant>,
    /// Why the line is not used any more.
    pub(super) broken: Option<Cause>,
    is_in_transaction: bool,
    /// Recipients of the transaction.
    accepted: usize,
    /// So many octets more may its replies have beyond what is ordinary.
    allowance: usize,
    /// Commands that were given ahead of being asked for, and what became of them.
    pub(super) ahead: VecDeque<Given>,
}

/// Octets of a reply that nobody counts: several lines, each of the longest that RFC 5321 section 4.5.3.1.5 allows.
const ORDINARY: usize = 4 * 1024;

/// What the replies of a transaction may have beyond that, all together, so that a thousand refusals of 32 KB do not fill us.
const ALLOWANCE: usize = 256 * 1024;

impl<L: Link> Client<L> {
    pub(super) fn new(
        link: L,
        protocol: Protocol,
        timeouts: Timeouts,
        limit: Option<Instant>,
    ) -> Client<L> {
        Client {
            link,
            protocol,
            capabilities: Extensions::NONE,
            timeouts,
            limit,
            broken: None,
            is_in_transaction: false,
            accepted: 0,
            allowance: ALLOWANCE,
            ahead: VecDeque::new(),
        }
    }

    /// The same line over another link.
    pub(super) fn map<M>(self, change: impl FnOnce(L) -> M) -> Client<M> {
        Client {
            link: change(self.link),
            protocol: self.protocol,
            capabilities: self.capabilities,
            timeouts: self.timeouts,
            limit: self.limit,
            broken: self.broken,
            is_in_transaction: self.is_in_transaction,
            accepted: self.accepted,
            allowance: self.allowance,
            ahead: self.ahead,
        }
    }

    /// The greeting. A refusal of it or of EHLO is about the line and not about a mail, so it is a 4xx whatever its code was.
    /// `slow` is told if it does not come at once.
    pub(super) fn greeting(&mut self, slow: &dyn Fn()) -> Result<(), Answer> {
        let deadline = self.deadline(self.timeouts.helo);
        let soon = deadline.min(Instant::now() + SOON);
        if !self.link.has_heard(soon) {
            slow();
        }
        let reply = self.receive("greeting", deadline, 0, &mut |_| {})?;
        self.must_be_done(reply, "greeting")
    }

    /// EHLO or LHLO: what the server can do is known then.
    pub(super) fn hello(&mut self, name: &str) -> Result<(), Answer> {
        let reply = self.say_hello(name)?;
        self.must_be_done(reply, "EHLO")
    }

    /// As [`Client::hello`], and HELO to a server that does not know EHLO (RFC 5321 section 3.2).
    pub(super) fn hello_or_helo(&mut self, name: &str) -> Result<(), Answer> {
        let reply = self.say_hello(name)?;
        if self.protocol == Protocol::Lmtp || reply.class() != Meaning::Permanent {
            return self.must_be_done(reply, "EHLO");
        }
        self.capabilities = Extensions::NONE;
        let line = CommandLine::plain(&format!("HELO {name}")).map_err(Answer::own)?;
        let reply = self.exchange("HELO", &line, self.timeouts.helo, &mut |_| {})?;
        self.must_be_done(reply, "HELO")
    }

    fn say_hello(&mut self, name: &str) -> Result<Reply, Answer> {
        let verb = match self.protocol {
            Protocol::Smtp => "EHLO",
            Protocol::Lmtp => "LHLO",
        };
        let line = CommandLine::plain(&format!("{verb} {name}")).map_err(Answer::own)?;
        let mut capabilities = Extensions::NONE;
        let reply = self.exchange(verb, &line, self.timeouts.helo, &mut |lines| {
            capabilities = Extensions::from_lines(lines.iter().copied());
        })?;
        self.capabilities = capabilities;
        Ok(reply)
    }

    /// AUTH (RFC 4954) by PLAIN or LOGIN, the two that servers of mail for machines have. A refusal is a fault of the
    /// configuration and not of any mail: a 4xx. `is_sure` = nobody but the next hop that is meant can be at the other end.
    pub(super) fn login(
        &mut self,
        user: &str,
        password: &Password,
        is_sure: bool,
    ) -> Result<(), Answer> {
        const STAGE: &str = "AUTH";
        let refused = |reply: Reply| Answer {
            cause: Cause::Login,
            ..Answer::own(reply)
        };
        if !is_sure {
            return Err(refused(Own::PasswordUnsafe.reply()));
        }
        let mechanisms = self.capabilities.words(Extension::Auth);
        let offered = |name: &str| mechanisms.iter().any(|known| known == name);
        let lines = if offered("PLAIN") {
            vec![password.plain(user)]
        } else if offered("LOGIN") {
            password.login(user)
        } else {
            return Err(refused(Own::NoAuth.reply()));
        };
        let last = lines.len().saturating_sub(1);
        for (index, line) in lines.into_iter().enumerate() {
            let line = line.map_err(Answer::own)?;
            let code = if index == last { 235 } else { 334 };
            let reply = self.exchange(STAGE, &line, self.timeouts.mail, &mut |_| {})?;
            if reply.code() == code {
                continue;
            }
            let reply = password.unsaid(user, reply);
            let class = if index == last {
                Meaning::Done
            } else {
                Meaning::GoOn
            };
            let said = reply.to_string();
            let answer = self.judge(reply, class, STAGE);
            if answer.cause != Cause::Said {
                return Err(answer);
            }
            return Err(refused(Own::LoginRefused.with(&said)));
        }
        Ok(())
    }

    /// Gives a command and waits for its reply. One that was given ahead has its reply already.
    pub(super) fn exchange(
        &mut self,
        stage: &'static str,
        line: &CommandLine,
        patience: Duration,
        look: &mut dyn FnMut(&[&[u8]]),
    ) -> Result<Reply, Answer> {
        if let Some(given) = self.ahead.pop_front() {
            return self.reply_to(given, line, stage);
        }
        let deadline = self.give(stage, std::slice::from_ref(line), patience)?;
        self.receive(stage, deadline, 0, look)
    }

    /// Writes command lines in one write; until when the first reply may take.
    pub(super) fn give(
        &mut self,
        stage: &'static str,
        lines: &[CommandLine],
        patience: Duration,
    ) -> Result<Instant, Answer> {
        self.in_order(stage)?;
        let deadline = self.deadline(patience);
        if remaining(deadline).is_none() {
            return Err(self.fail(Cause::OutOfTime, stage));
        }
        // Should anything unwind from here on, nobody may go on with this line.
        self.broken = Some(Cause::OutOfStep);
        match self.link.give(lines, deadline) {
            Ok(()) => Ok(deadline),
            Err(Cause::OutOfStep) => Err(self.out_of_step(stage)),
            Err(cause) => Err(self.fail(cause, stage)),
        }
    }

    /// Is the line in order, as far as is known? Whoever writes to it looks once more.
    fn in_order(&mut self, stage: &'static str) -> Result<(), Answer> {
        if let Some(cause) = self.broken {
            return Err(self.fail(cause, stage));
        }
        if !self.ahead.is_empty() {
            return Err(self.fail(Cause::OutOfStep, stage));
        }
        match self.link.heard() {
            [] => Ok(()),
            _ => Err(self.out_of_step(stage)),
        }
    }

    /// Waits for one complete reply and takes it; `behind` = so many more are waited for.
    pub(super) fn receive(
        &mut self,
        stage: &'static str,
        deadline: Instant,
        behind: usize,
        look: &mut dyn FnMut(&[&[u8]]),
    ) -> Result<Reply, Answer> {
        self.broken = Some(Cause::OutOfStep);
        match self.link.take(deadline, behind, look) {
            Ok(taken) => {
                let beyond = taken.octets.saturating_sub(ORDINARY);
                let Some(left) = self.allowance.checked_sub(beyond) else {
                    return Err(self.fail(Cause::NotUnderstood, stage));
                };
                self.allowance = left;
                self.broken = None;
                Ok(taken.reply)
            }
            Err(cause) => Err(self.fail(cause, stage)),
        }
    }

    /// A reply that came is what the command may be answered with?
    fn judge(&mut self, reply: Reply, wanted: Meaning, stage: &'static str) -> Answer {
        if reply.code() == 421 {
            self.abort_for(Cause::Lost);
            return Answer::said(reply.as_temporary());
        }
        let class = reply.class();
        if class == wanted || matches!(class, Meaning::Temporary | Meaning::Permanent) {
            return Answer::said(reply);
        }
        let answer = Answer::failed_with(Cause::NotUnderstood, stage, &reply);
        self.abort_for(Cause::NotUnderstood);
        answer
    }

    /// For what is said before there is a mail.
    pub(super) fn must_be_done(&mut self, reply: Reply, stage: &'static str) -> Result<(), Answer> {
        let answer = self.judge(reply, Meaning::Done, stage);
        if answer.is_done() {
            return Ok(());
        }
        Err(Answer {
            reply: answer.reply.as_temporary(),
            ..answer
        })
    }

    fn command(
        &mut self,
        stage: &'static str,
        line: Result<CommandLine, Reply>,
        patience: Duration,
    ) -> Answer {
        let line = match line {
            Ok(line) => line,
            Err(reply) => return Answer::own(reply),
        };
        match self.exchange(stage, &line, patience, &mut |_| {}) {
            Ok(reply) => self.judge(reply, Meaning::Done, stage),
            Err(answer) => answer,
        }
    }

    /// DATA up to its 354.
    fn open_data(&mut self) -> Result<(), Answer> {
        let line = CommandLine::plain("DATA").map_err(Answer::own)?;
        let reply = self.exchange("DATA", &line, self.timeouts.data, &mut |_| {})?;
        let code = reply.code();
        let answer = self.judge(reply, Meaning::GoOn, "DATA");
        match answer.reply.class() {
            Meaning::GoOn if code == 354 => Ok(()),
            Meaning::GoOn => {
                let failed = Answer::failed_with(Cause::NotUnderstood, "DATA", &answer.reply);
                self.abort_for(Cause::NotUnderstood);
                Err(failed)
            }
            _ => Err(answer),
        }
    }

    /// The message and its final dot, up to the moment when only the reply is missing.
    fn send(&mut self, mail: Clean<'_>, watch: &mut dyn FnMut() -> Watch) -> Result<(), Answer> {
        const STAGE: &str = "message";
        self.in_order(STAGE)?;
        self.broken = Some(Cause::OutOfStep);
        let mut body = Body::new(mail);
        loop {
            if watch() == Watch::Gone {
                return Err(self.fail(Cause::ClientGone, STAGE));
            }
            let Some(block) = body.block() else {
                break;
            };
            let deadline = self.deadline(self.timeouts.data_block);
            let octets = block.iter().map(|slice| slice.len());
            let is_small = octets.fold(0, usize::saturating_add) <= SMALL;
            match self
                .link
                .write(block, is_small && body.is_at_end(), deadline)
            {
                Ok(Written::Block) => {}
                Ok(Written::Dotted) => return Ok(()),
                Err(stuck) if stuck.is_dotted => {
                    return Err(doubtful(self.fail(stuck.cause, DOT)));
                }
                Err(stuck) if stuck.cause == Cause::OutOfStep => {
                    return Err(self.out_of_step(STAGE));
                }
                Err(stuck) => return Err(self.fail(stuck.cause, STAGE)),
            }
        }
        let deadline = self.deadline(self.timeouts.data_block);
        self.link
            .dot(deadline)
            .map_err(|cause| doubtful(self.fail(cause, DOT)))
    }

    fn try_data(
        &mut self,
        mail: Clean<'_>,
        watch: &mut dyn FnMut() -> Watch,
    ) -> Result<Answers, Answer> {
        self.in_order("DATA")?;
        if watch() == Watch::Gone {
            return Err(self.fail(Cause::ClientGone, "DATA"));
        }
        self.open_data()?;
        self.send(mail, watch)?;
        let deadline = self.deadline(self.timeouts.dot);
        match self.protocol {
            Protocol::Smtp => Ok(Answers::All(self.outcome(deadline))),
            Protocol::Lmtp => {
                // Behind a reply that is none nobody knows whose the next one is: what broke the line broke it for the rest.
                let mut answers: Vec<Answer> = Vec::with_capacity(self.accepted);
                for _ in 0..self.accepted {
                    let answer = match (answers.last(), self.broken) {
                        (Some(before), Some(_)) if before.cause != Cause::Said => before.clone(),
                        (Some(_), Some(cause)) => doubtful(self.fail(cause, DOT)),
                        _ => self.outcome(deadline),
                    };
                    answers.push(answer);
                }
                Ok(Answers::Each(answers))
            }
        }
    }

    /// One reply to the final dot.
    fn outcome(&mut self, deadline: Instant) -> Answer {
        let reply = match self.receive(DOT, deadline, 0, &mut |_| {}) {
            Ok(reply) => reply,
            Err(answer) => return doubtful(answer),
        };
        let answer = self.judge(reply, Meaning::Done, DOT);
        match answer.cause {
            Cause::Said => answer,
            _ => doubtful(answer),
        }
    }

    /// A transaction is begun, with MAIL or before it.
    pub(super) fn begin(&mut self) {
        if self.ahead.is_empty() {
            self.allowance = ALLOWANCE;
        }
        self.is_in_transaction = true;
        self.accepted = 0;
    }

    /// Ends the line with what the next hop said without having been asked.
    pub(super) fn out_of_step(&mut self, stage: &'static str) -> Answer {
        let answer = match self.link.early_reply() {
            Some(reply) if reply.code() == 421 => Answer::said(reply.as_temporary()),
            Some(reply) => Answer::failed_with(Cause::OutOfStep, stage, &reply),
            None => Answer::failed(Cause::OutOfStep, stage),
        };
        self.abort_for(answer.cause);
        answer
    }

    pub(super) fn fail(&mut self, cause: Cause, stage: &'static str) -> Answer {
        self.abort_for(cause);
        Answer::failed(cause, stage)
    }

    pub(super) fn abort_for(&mut self, cause: Cause) {
        self.link.cut();
        self.broken = Some(cause);
        // What it said later than what broke it is nobody's answer.
        self.ahead.clear();
    }

    pub(super) fn deadline(&self, patience: Duration) -> Instant {
        deadline(patience, self.limit)
    }
}

impl<L: Link> NextHop for Client<L> {
    fn capabilities(&self) -> &Extensions {
        &self.capabilities
    }

    fn limit(&mut self, deadline: Option<Instant>) {
        self.limit = deadline;
    }

    fn replies_per_recipient(&self) -> bool {
        self.protocol == Protocol::Lmtp
    }

    fn ahead(&mut self, commands: Ahead<'_>) -> usize {
        self.give_ahead(commands)
    }

    fn is_ahead(&self) -> bool {
        !self.ahead.is_empty()
    }

    fn forget(&mut self) {
        self.ahead.clear();
    }

    fn introduce(&mut self, origin: &Origin) -> Answer {
        let mut outcome = Answer::done();
        let listed = self.capabilities.words(Extension::Xforward);
        for line in xforward::commands(origin, listed) {
            let answer = self.command("XFORWARD", CommandLine::plain(&line), self.timeouts.mail);
            if !answer.is_done() {
                outcome = answer;
                if self.broken.is_some() {
                    break;
                }
            }
        }
        outcome
    }

    fn mail(&mut self, sender: &Path, params: &[u8]) -> Answer {
        self.begin();
        self.command(
            "MAIL",
            CommandLine::mail(sender, params),
            self.timeouts.mail,
        )
    }

    fn rcpt(&mut self, recipient: &Path, params: &[u8]) -> Answer {
        let answer = self.command(
            "RCPT",
            CommandLine::rcpt(recipient, params),
            self.timeouts.rcpt,
        );
        self.accepted = self.accepted.saturating_add(usize::from(answer.is_done()));
        answer
    }

    fn hand_on(&mut self, mail: Clean<'_>, watch: &mut dyn FnMut() -> Watch) -> Answers {
        match self.try_data(mail, watch) {
            Ok(answers) => {
                self.is_in_transaction = !answers.are_done();
                answers
            }
            Err(answer) => Answers::All(answer),
        }
    }

    fn reset(&mut self) -> Answer {
        let answer = self.command("RSET", CommandLine::plain("RSET"), self.timeouts.rset);
        self.is_in_transaction = !answer.is_done();
        answer
    }

    fn quit(&mut self) {
        if self.is_usable() {
            self.command("QUIT", CommandLine::plain("QUIT"), self.timeouts.quit);
        }
        self.abort();
    }

    fn abort(&mut self) {
        self.abort_for(Cause::Lost);
    }

    fn is_in_transaction(&self) -> bool {
        self.is_in_transaction
    }

    fn is_in_order(&self) -> bool {
        self.broken.is_none() && self.ahead.is_empty() && self.link.heard().is_empty()
    }

    fn is_usable(&mut self) -> bool {
        self.is_in_order() && self.link.state() == LinkState::Quiet
    }
}

const DOT: &str = "end of the message";

/// Octets of the end of a message that have the dot in the same write: it takes no time in which the client could go.
const SMALL: usize = 64 * 1024;

/// A greeting that takes longer is one of a next hop that is busy, or far away.
const SOON: Duration = Duration::from_millis(300);

fn doubtful(answer: Answer) -> Answer {
    Answer {
        is_doubtful: answer.cause != Cause::ClientGone,
        ..answer
    }
}
