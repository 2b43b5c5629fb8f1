//! A transaction of a session, from MAIL to DATA, and what a command of it is refused with.
//!
//! Must never: know which session it is of.

use mimicry_core::envelope::{Envelope, Path, Recipient};
use mimicry_core::extension::{Extensions, Parameter};
use mimicry_core::reply::{Meaning, Own, Reply};
use mimicry_core::settings::endpoint::Protocol;

use super::blanks::without_tabs;
use super::command::RcptCommand;
use super::parameters::Given;
use super::step::{MailTerms, Step};

/// From MAIL to DATA.
#[derive(Debug)]
pub struct Transaction {
    pub envelope: Envelope,
    pub given: Given,
    pub terms: MailTerms,
    /// The recipient that the next hop was asked for.
    pub asked: Option<Recipient>,
    /// What became of those that it refused.
    pub refused: Option<Meaning>,
    /// Refusals that were excused.
    pub excused: usize,
}

/// Why a command is not obeyed.
pub enum No {
    /// The client's fault, and counted.
    Error(Reply),
    /// Counted only if there are many of them.
    Excused(Reply),
    Fatal(Reply),
}

impl Transaction {
    /// May this recipient be asked for?
    pub fn check_rcpt(&self, offered: &Extensions, rcpt: &RcptCommand<'_>) -> Result<(), No> {
        check_offered(offered, rcpt.given)?;
        if rcpt.is_utf8() && !self.given.contains(Parameter::SmtpUtf8) {
            return error(Own::NeedsUtf8);
        }
        if !self.has_room_for(1) {
            return excused(Own::TooManyRecipients);
        }
        Ok(())
    }

    /// So many recipients more.
    pub fn has_room_for(&self, more: usize) -> bool {
        let recipients = self.envelope.recipients.len();
        recipients.saturating_add(more) <= self.terms.recipients
    }

    pub fn recipient(rcpt: &RcptCommand<'_>) -> Recipient {
        Recipient {
            path: Path::new(rcpt.path),
            params: without_tabs(rcpt.params),
        }
    }

    pub fn ask(&mut self, rcpt: &RcptCommand<'_>) -> Step {
        let recipient = Transaction::recipient(rcpt);
        self.asked = Some(recipient.clone());
        Step::Forward(recipient)
    }

    /// Is there anybody whom the message would be for?
    pub fn check_data(&self, protocol: Protocol) -> Result<(), No> {
        if !self.envelope.recipients.is_empty() {
            return Ok(());
        }
        match (self.refused, protocol) {
            (None, _) => error(Own::SayRcptFirst),
            (Some(Meaning::Temporary), _) => excused(Own::NoneAcceptedYet),
            // RFC 2033 section 4.2
            (Some(_), Protocol::Lmtp) => excused(Own::NoneAcceptedLmtp),
            (Some(_), Protocol::Smtp) => excused(Own::NoneAccepted),
        }
    }
}

/// Are all parameters of extensions that were offered?
pub fn check_offered(offered: &Extensions, given: Given) -> Result<(), No> {
    match given.not_offered(offered) {
        None => Ok(()),
        // What a next hop without it means for the mail (RFC 6531 section 3.5).
        Some(Parameter::SmtpUtf8) => error(Own::Utf8NotOffered),
        Some(parameter) => Err(No::Error(
            Own::ParameterNotOffered.with(parameter.keyword()),
        )),
    }
}

pub fn error<T>(own: Own) -> Result<T, No> {
    Err(No::Error(own.reply()))
}

pub fn excused<T>(own: Own) -> Result<T, No> {
    Err(No::Excused(own.reply()))
}

pub fn fatal<T>(own: Own) -> Result<T, No> {
    Err(No::Fatal(own.reply()))
}
