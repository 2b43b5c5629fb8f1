//! The state machine of one session (RFC 5321, 1870, 2033, 2920, 3207, 3461, 6152, 6531, and Postfix's XFORWARD): a line comes in, a step comes out.
//!
//! A session outlives its transactions. Each command has a check (is it legal now?) and what follows if it is. MAIL is
//! answered here, RCPT by the next hop, the end of data by whoever handed the mail on. LMTP is the same machine with another
//! greeting and one reply per accepted recipient.
//!
//! Errors are what the client does wrong, and every refusal of ours to MAIL and RCPT; too many of them end the session. A
//! refusal by the next hop is none: a list with many dead addresses is no attack. Nor is one that only puts a recipient off,
//! as long as there are not more of them in a transaction than it may have recipients (RFC 5321 section 4.5.3.1.10).
//!
//! A mail is judged by its connection, unless a trusted client says by XFORWARD and AUTH= where it had the mail from;
//! that holds for one transaction.
//!
//! Must never: do I/O, ask the time, say 2xx to a mail of its own accord, or let a parameter through that was not offered.

use std::fmt;

use mimicry_core::envelope::{Envelope, Path, Recipient};
use mimicry_core::extension::{Extension, Extensions, Parameter};
use mimicry_core::origin::Origin;
use mimicry_core::reply::{Meaning, Own, Reply};
use mimicry_core::settings::endpoint::Protocol;

use super::blanks::without_tabs;
use super::command::{Command, Greeting, MailCommand};
use super::data::Refusal;
use super::mistake::Mistake;
use super::step::{DataPlan, FindTerms, Leave, MailTerms, Replies, Step, Terms, Whose};
use super::transaction::{No, Transaction, check_offered, error, fatal};
use super::wire::Input;
use super::xforward;
use super::xtext::xtext;

/// To HELO nothing is offered.
static NOTHING: Extensions = Extensions::NONE;

/// One connection.
pub struct Session<'t> {
    terms: &'t Terms,
    find_terms: Option<FindTerms<'t>>,
    offer: Extensions,
    /// AUTH= is believed; that of others is as AUTH=<> (RFC 4954 section 5).
    believes_auth: bool,
    /// What is known of the connection itself.
    connection: Origin,
    /// By what the present mail is judged.
    origin: Origin,
    has_forwarded: bool,
    is_secure: bool,
    greeting: Option<Greeting>,
    phase: Phase,
    errors: u32,
    junk: u32,
}

#[derive(Debug)]
enum Phase {
    /// No mail from this client.
    Unwelcome,
    /// Between two transactions.
    Idle,
    Open(Transaction),
    /// The message is read and handed on; so many recipients wait for an answer.
    Receiving(usize),
    Closed,
}

impl<'t> Session<'t> {
    /// `connection` is what is known of it; its HELO is filled in here.
    pub fn new(terms: &'t Terms, offer: Extensions, connection: Origin) -> Session<'t> {
        Session {
            terms,
            find_terms: None,
            offer,
            believes_auth: false,
            origin: connection.clone(),
            connection,
            has_forwarded: false,
            is_secure: false,
            greeting: None,
            phase: Phase::Idle,
            errors: 0,
            junk: 0,
        }
    }

    /// With terms that are found anew for each mail. None is larger than what was offered.
    #[must_use]
    pub fn with_terms(mut self, find: FindTerms<'t>) -> Session<'t> {
        self.find_terms = Some(find);
        self
    }

    /// Whether AUTH= is believed.
    #[must_use]
    pub fn believing_auth(mut self, believes: bool) -> Session<'t> {
        self.believes_auth = believes;
        self
    }

    pub fn offered(&self) -> &Extensions {
        &self.offer
    }

    /// To be called before the client has said anything: what is offered from now on.
    pub fn offer(&mut self, offer: Extensions) {
        self.offer = offer;
    }

    /// The first words. A client that is not `welcome` may only quit (RFC 5321 section 3.1).
    pub fn open(&mut self, welcome: bool) -> Step {
        if !welcome {
            self.phase = Phase::Unwelcome;
            return say(Own::NotWelcome.reply());
        }
        let protocol = match self.terms.protocol {
            Protocol::Smtp => "ESMTP",
            Protocol::Lmtp => "LMTP",
        };
        say(Own::Greeting.with(&format!("{} {protocol}", self.terms.hostname)))
    }

    /// A line came.
    pub fn step(&mut self, line: Input<'_>) -> Step {
        if matches!(self.phase, Phase::Closed | Phase::Receiving(_)) || self.is_asking() {
            return self.leave(Leave::Broken);
        }
        let done = match line {
            Input::Command(text) => self.obey(text),
            Input::TooLong => error(Own::LineTooLong),
            Input::Unclean => error(Own::UncleanLine),
            Input::LoneLf => fatal(Own::LoneLf),
            Input::Endless => fatal(Own::EndlessLine),
            Input::Tls => fatal(Own::TlsNotOffered),
        };
        match done {
            Ok(step) => step,
            Err(No::Error(reply)) => self.blame(reply),
            Err(No::Excused(reply)) => self.excuse(reply),
            Err(No::Fatal(reply)) => self.close(reply),
        }
    }

    /// While a recipient is asked for: whom this line would ask for, with so many between them, whatever becomes of those.
    pub fn foresee(&self, line: &[u8], between: usize) -> Option<Recipient> {
        let Ok(Command::Rcpt(rcpt)) = Command::parse(line) else {
            return None;
        };
        let Phase::Open(transaction) = &self.phase else {
            return None;
        };
        let offered = in_force(&self.offer, self.greeting);
        let is_asked = transaction.check_rcpt(offered, &rcpt).is_ok()
            && transaction.has_room_for(between.saturating_add(2));
        is_asked.then(|| Transaction::recipient(&rcpt))
    }

    /// An answer to [`Step::Forward`].
    pub fn forwarded(&mut self, reply: Reply, whose: Whose) -> Step {
        let Phase::Open(transaction) = &mut self.phase else {
            return self.leave(Leave::Broken);
        };
        let Some(recipient) = transaction.asked.take() else {
            return self.leave(Leave::Broken);
        };
        let reply = ours(reply);
        match reply.class() {
            Meaning::Done => transaction.envelope.recipients.push(recipient),
            // The mildest, so that a mail whose recipients may come later is not said to be refused for good.
            class => transaction.refused = transaction.refused.into_iter().chain([class]).min(),
        }
        match (whose, reply.class()) {
            (Whose::NextHop, _) | (Whose::Ours, Meaning::Done) => say(reply),
            // Whom a rule refuses, the client may bring as often as the mail has recipients.
            (Whose::Ours, _) => self.excuse(reply),
        }
    }

    /// The message was read to its end, and this is what became of it.
    pub fn received(&mut self, replies: impl Into<Replies>) -> Step {
        let Phase::Receiving(recipients) = self.phase else {
            return self.leave(Leave::Broken);
        };
        self.end_transaction();
        let replies = self.final_replies(replies.into(), recipients);
        if replies.iter().any(Reply::is_done) {
            (self.errors, self.junk) = (0, 0);
        }
        Step::Say(replies)
    }

    /// The message was read to its end, but nothing of it was kept.
    pub fn refused(&mut self, refusal: Refusal) -> Step {
        let Phase::Receiving(recipients) = self.phase else {
            return self.leave(Leave::Broken);
        };
        self.end_transaction();
        Step::Reset(self.final_replies(Replies::One(refusal.reply()), recipients))
    }

    /// TLS is spoken now: nothing that the client said before counts (RFC 3207 section 4.2).
    pub fn secured(&mut self) {
        self.is_secure = true;
        self.offer.keep(Extension::StartTls, false);
        self.greeting = None;
        (self.connection.helo, self.connection.proto) = (None, None);
        self.end_transaction();
    }

    /// The last words to a client that is sent away.
    pub fn leave(&mut self, why: Leave) -> Step {
        self.close(match why {
            Leave::Idle => Own::Idle.reply(),
            Leave::TooLong => Own::TooLong.reply(),
            Leave::TooSlow => Own::TooSlow.reply(),
            Leave::Stress => Own::Stress.reply(),
            Leave::Crowded => Own::TooManyConnections.reply(),
            Leave::Stopping => Own::Stopping.reply(),
            Leave::Retiring => Own::Retiring.reply(),
            Leave::Broken => Own::SessionBroken.reply(),
        })
    }

    /// Whether the session may be left without cutting a mail.
    pub fn is_idle(&self) -> bool {
        !matches!(self.phase, Phase::Open(_) | Phase::Receiving(_))
    }

    /// Sender and accepted recipients of the transaction, from MAIL to [`Step::Receive`], which takes them along.
    pub fn envelope(&self) -> Option<&Envelope> {
        match &self.phase {
            Phase::Open(transaction) => Some(&transaction.envelope),
            _ => None,
        }
    }

    /// What the client speaks.
    pub fn protocol(&self) -> Protocol {
        self.terms.protocol
    }

    /// By what the mail in hand is judged: the connection, or what a trusted client said instead of it.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The connection itself.
    pub fn connection(&self) -> &Origin {
        &self.connection
    }

    fn obey(&mut self, text: &[u8]) -> Result<Step, No> {
        let command = Command::parse(text);
        if matches!(command, Ok(Command::Foreign)) {
            return fatal(Own::ForeignProtocol);
        }
        if matches!(self.phase, Phase::Unwelcome) && command != Ok(Command::Quit) {
            return error(Own::MayOnlyQuit);
        }
        let command = command.map_err(|mistake: Mistake| No::Error(mistake.reply()))?;
        match command {
            Command::Hello(greeting, name) => {
                self.count_junk()?;
                self.check_hello(greeting)?;
                Ok(self.hello(greeting, name))
            }
            Command::Mail(mail) => {
                self.check_mail(&mail)?;
                self.mail(&mail)
            }
            Command::Rcpt(rcpt) => {
                let offered = in_force(&self.offer, self.greeting);
                let transaction = open(&mut self.phase)?;
                transaction.check_rcpt(offered, &rcpt)?;
                Ok(transaction.ask(&rcpt))
            }
            Command::Data => self.data(),
            Command::Rset => {
                self.count_junk()?;
                Ok(self.reset(Own::Ok.reply()))
            }
            Command::Noop => {
                self.count_junk()?;
                Ok(say(Own::Ok.reply()))
            }
            Command::Vrfy => {
                self.count_junk()?;
                Ok(say(Own::SendAndSee.reply()))
            }
            Command::Help => {
                self.count_junk()?;
                Ok(say(Own::Help.reply()))
            }
            Command::Quit => Ok(self.close(Own::Bye.reply())),
            Command::Xforward(arguments) => {
                self.check_xforward()?;
                self.xforward(arguments)
            }
            Command::StartTls => self.starttls(),
            Command::Bdat => fatal(Own::BdatNotOffered),
            Command::Xclient => error(Own::XclientNotSpoken),
            Command::Expn | Command::NotSpoken => error(Own::NotSpoken),
            Command::Unknown | Command::Foreign => error(Own::UnknownCommand),
        }
    }

    fn check_hello(&self, greeting: Greeting) -> Result<(), No> {
        match (self.terms.protocol, greeting) {
            (Protocol::Smtp, Greeting::Helo | Greeting::Ehlo)
            | (Protocol::Lmtp, Greeting::Lhlo) => Ok(()),
            (Protocol::Smtp, Greeting::Lhlo) => error(Own::SayEhlo),
            // RFC 2033 section 4.1
            (Protocol::Lmtp, _) => error(Own::SayLhlo),
        }
    }

    fn hello(&mut self, greeting: Greeting, name: &[u8]) -> Step {
        self.greeting = Some(greeting);
        self.connection.helo = Some(name.to_vec());
        let proto: &[u8] = match greeting {
            Greeting::Helo => b"SMTP",
            Greeting::Ehlo => b"ESMTP",
            Greeting::Lhlo => b"LMTP",
        };
        self.connection.proto = Some(proto.to_vec());
        let mut text = self.terms.hostname.clone();
        if greeting != Greeting::Helo {
            self.offer.write(&mut text);
        }
        // RFC 2034 section 4: no enhanced code here.
        self.reset(Own::Hello.with(&text))
    }

    fn check_mail(&self, mail: &MailCommand<'_>) -> Result<(), No> {
        if self.greeting.is_none() {
            return error(Own::SayHelloFirst);
        }
        if !matches!(self.phase, Phase::Idle) {
            return error(Own::OpenAlready);
        }
        let offered = in_force(&self.offer, self.greeting);
        check_offered(offered, mail.given)?;
        if mail.is_utf8() && !mail.given.contains(Parameter::SmtpUtf8) {
            return error(Own::NeedsUtf8);
        }
        if let (Some(declared), Some(most)) = (mail.size, offered.size())
            && declared > most
        {
            return error(Own::TooLarge);
        }
        Ok(())
    }

    fn check_xforward(&self) -> Result<(), No> {
        if !in_force(&self.offer, self.greeting).contains(Extension::Xforward) {
            return error(Own::XforwardNotBelieved);
        }
        if !self.is_idle() {
            return error(Own::OpenAlready);
        }
        Ok(())
    }

    fn xforward(&mut self, arguments: &[u8]) -> Result<Step, No> {
        // With the first word about another client all that is known of this one is beside the point.
        let mut told = match self.has_forwarded {
            true => self.origin.clone(),
            false => Origin {
                listener: self.connection.listener.clone(),
                ..Origin::default()
            },
        };
        if xforward::apply(arguments, &mut told).is_none() {
            return error(Own::XforwardIllFormed);
        }
        self.origin = told;
        self.has_forwarded = true;
        Ok(say(Own::Ok.reply()))
    }

    fn starttls(&mut self) -> Result<Step, No> {
        if self.is_secure {
            return error(Own::TlsAlready);
        }
        if !in_force(&self.offer, self.greeting).contains(Extension::StartTls) {
            return error(Own::StartTlsNotOffered);
        }
        self.end_transaction();
        Ok(Step::StartTls(Own::StartTls.reply()))
    }

    fn mail(&mut self, mail: &MailCommand<'_>) -> Result<Step, No> {
        let mut sender_params = without_tabs(mail.params);
        if let Some(given) = mail.auth {
            let user = xtext(given).and_then(|user| String::from_utf8(user).ok());
            let user = user.filter(|user| !matches!(user.as_str(), "" | "<>"));
            self.origin.auth_user = user.filter(|_| self.believes_auth);
            if self.origin.auth_user.is_none() {
                sender_params = by_nobody(&sender_params);
            }
        }
        let sender = Path::new(mail.path);
        let terms = match self.find_terms {
            Some(find) => find(&self.origin, &sender),
            None => MailTerms {
                mail: self.terms.mail,
                recipients: self.terms.recipients,
                bare_newline: self.terms.bare_newline,
                mbox_line: self.terms.mbox_line,
            },
        };
        if mail
            .size
            .is_some_and(|declared| declared > terms.mail as u64)
        {
            self.end_transaction();
            return error(Own::TooLarge);
        }
        self.phase = Phase::Open(Transaction {
            terms,
            envelope: Envelope {
                sender,
                sender_params,
                declared_size: mail.size,
                recipients: Vec::new(),
            },
            given: mail.given,
            asked: None,
            refused: None,
            excused: 0,
        });
        Ok(say(Own::SenderOk.reply()))
    }

    fn data(&mut self) -> Result<Step, No> {
        let transaction = open(&mut self.phase)?;
        transaction.check_data(self.terms.protocol)?;
        let offered = self
            .offer
            .size()
            .and_then(|octets| usize::try_from(octets).ok());
        let plan = DataPlan {
            reply: Own::GoAhead.reply(),
            envelope: std::mem::take(&mut transaction.envelope),
            with: with(
                self.greeting,
                transaction.given.contains(Parameter::SmtpUtf8),
                self.is_secure,
            ),
            limit: transaction.terms.mail.min(offered.unwrap_or(usize::MAX)),
            bare_newline: transaction.terms.bare_newline,
            mbox_line: transaction.terms.mbox_line,
        };
        self.phase = Phase::Receiving(plan.envelope.recipients.len());
        Ok(Step::Receive(plan))
    }

    /// Clears the transaction, if there is one.
    fn reset(&mut self, reply: Reply) -> Step {
        match self.end_transaction() {
            Phase::Open(_) => Step::Reset(reply.into()),
            _ => say(reply),
        }
    }

    /// What was said for one mail is forgotten; returns where the session was.
    fn end_transaction(&mut self) -> Phase {
        self.origin.clone_from(&self.connection);
        self.has_forwarded = false;
        std::mem::replace(&mut self.phase, Phase::Idle)
    }

    fn close(&mut self, reply: Reply) -> Step {
        self.phase = Phase::Closed;
        Step::Close(reply)
    }

    fn is_asking(&self) -> bool {
        matches!(&self.phase, Phase::Open(transaction) if transaction.asked.is_some())
    }

    /// One more command that brings no mail forward; is it one too many?
    fn count_junk(&mut self) -> Result<(), No> {
        self.junk = self.junk.saturating_add(1);
        if self.junk <= self.terms.junk_commands {
            return Ok(());
        }
        self.errors = self.errors.saturating_add(1);
        if self.errors > self.terms.errors {
            return fatal(Own::TooMuchJunk);
        }
        Ok(())
    }

    /// One more error; is it one too many?
    fn blame(&mut self, reply: Reply) -> Step {
        self.errors = self.errors.saturating_add(1);
        if self.errors > self.terms.errors {
            return self.close(Own::TooManyErrors.reply());
        }
        say(reply)
    }

    /// A refusal that a well-meaning client meets as often as it has recipients, and that is an error beyond.
    fn excuse(&mut self, reply: Reply) -> Step {
        if let Phase::Open(transaction) = &mut self.phase
            && transaction.excused < transaction.terms.recipients
        {
            transaction.excused = transaction.excused.saturating_add(1);
            return say(reply);
        }
        self.blame(reply)
    }

    /// As many as the protocol wants, none of which promises more than was said.
    fn final_replies(&self, replies: Replies, recipients: usize) -> Replies {
        match (replies, self.terms.protocol) {
            (Replies::One(reply), Protocol::Smtp) => Replies::One(ours(reply)),
            // Nobody can say here what is true of all of them.
            (Replies::PerRecipient(_), Protocol::Smtp) => Replies::One(unanswered()),
            (Replies::One(reply), Protocol::Lmtp) => {
                Replies::PerRecipient(vec![ours(reply); recipients])
            }
            (Replies::PerRecipient(replies), Protocol::Lmtp) => {
                let missing = std::iter::repeat_with(unanswered);
                let all = replies.into_iter().map(ours).chain(missing);
                Replies::PerRecipient(all.take(recipients).collect())
            }
        }
    }
}

impl fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("origin", &self.origin)
            .field("greeting", &self.greeting)
            .field("phase", &self.phase)
            .field("errors", &self.errors)
            .finish_non_exhaustive()
    }
}

/// The parameters of a MAIL whose AUTH= names nobody who is believed: the next hop is told of nobody, too (RFC 4954
/// section 5).
fn by_nobody(params: &[u8]) -> Vec<u8> {
    let words = params.split(|octet| *octet == b' ').map(|word| {
        let is_auth = word
            .get(..5)
            .is_some_and(|keyword| keyword.eq_ignore_ascii_case(b"AUTH="));
        if is_auth { b"AUTH=<>" } else { word }
    });
    words.collect::<Vec<&[u8]>>().join(&b' ')
}

/// What holds after this greeting.
fn in_force(offer: &Extensions, greeting: Option<Greeting>) -> &Extensions {
    match greeting {
        Some(Greeting::Ehlo | Greeting::Lhlo) => offer,
        Some(Greeting::Helo) | None => &NOTHING,
    }
}

fn open(phase: &mut Phase) -> Result<&mut Transaction, No> {
    match phase {
        Phase::Open(transaction) => Ok(transaction),
        _ => error(Own::SayMailFirst),
    }
}

fn with(greeting: Option<Greeting>, smtputf8: bool, is_secure: bool) -> &'static str {
    match (greeting, smtputf8, is_secure) {
        (Some(Greeting::Ehlo), false, false) => "ESMTP",
        (Some(Greeting::Ehlo), false, true) => "ESMTPS",
        (Some(Greeting::Ehlo), true, false) => "UTF8SMTP",
        (Some(Greeting::Ehlo), true, true) => "UTF8SMTPS",
        (Some(Greeting::Lhlo), false, false) => "LMTP",
        (Some(Greeting::Lhlo), false, true) => "LMTPS",
        (Some(Greeting::Lhlo), true, false) => "UTF8LMTP",
        (Some(Greeting::Lhlo), true, true) => "UTF8LMTPS",
        (Some(Greeting::Helo) | None, ..) => "SMTP",
    }
}

/// A reply from outside as one of ours: 421 is about the next hop's line and 3xx answers nothing that can be asked here.
fn ours(reply: Reply) -> Reply {
    match reply.class() {
        Meaning::Temporary | Meaning::GoOn => reply.as_temporary(),
        Meaning::Done | Meaning::Permanent => reply,
    }
}

fn unanswered() -> Reply {
    Own::Unanswered.reply()
}

fn say(reply: Reply) -> Step {
    Step::Say(reply.into())
}
