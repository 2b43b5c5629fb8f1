//! Encrypting one mail.
//!
//! Must never: take a certificate that [`Recipients`] would not give for the recipient at the time of the mail.

use mimicry_core::envelope::Path;
use mimicry_core::message::PartId;
use mimicry_core::message::edit::EditSet;
use mimicry_core::plugin::{
    Fault, Finish, Job, KeyInUse, Missed, OnError, OptionError, Options, Plugin, Task,
};
use mimicry_core::reason::Reason;

use crate::shared::date::day;
use crate::shared::smime::certificate::Certificate;
use crate::shared::smime::recipients::Recipients;
use crate::shared::smime::seal::{self, seal};
use crate::shared::whole::inner::{Protect, cannot_be, inner};
use crate::shared::whole::missed::{Served, missed, no_key, requires, served};
use crate::shared::whole::outer;

/// The rule's instance, or what is wrong with its options.
pub fn build(options: &Options) -> Result<Box<dyn Plugin>, Vec<OptionError>> {
    let mut errors = Vec::new();
    let recipients = Recipients::of(options, &mut errors);
    let cipher = options.text("cipher").and_then(seal::Content::from_word);
    match errors.is_empty() {
        true => Ok(Box::new(SmimeSealer {
            recipients,
            cipher: cipher.unwrap_or(seal::Content::Aes256Cbc),
            no_key: no_key(options),
        })),
        false => Err(errors),
    }
}

#[derive(Debug)]
struct SmimeSealer {
    recipients: Recipients,
    cipher: seal::Content,
    no_key: OnError,
}

impl SmimeSealer {
    fn certificate(&self, recipient: &Path, now: i64) -> Result<&Certificate, Missed> {
        let found = self.recipients.of_recipient(recipient, now);
        found.map_err(|unserved| {
            // Nobody's mail comes back for a list that was not renewed here in time.
            let answer = match (self.no_key, unserved.is_ours) {
                (OnError::Reject, true) => OnError::Defer,
                (answer, _) => answer,
            };
            missed(answer, recipient, unserved)
        })
    }
}

impl Plugin for SmimeSealer {
    fn requires(&self) -> Option<OnError> {
        requires(self.no_key)
    }

    fn keys(&self, now: i64) -> Vec<KeyInUse> {
        self.recipients.in_use(now)
    }

    fn may_miss(&self) -> bool {
        true
    }

    fn shows_recipients(&self) -> bool {
        true
    }

    fn reach(&self, recipient: &Path, now: i64) -> Result<(), Missed> {
        self.certificate(recipient, now).map(|_| ())
    }

    fn begin<'a>(&'a self, task: Task<'a>) -> Box<dyn Job + 'a> {
        Box::new(EncryptJob { plugin: self, task })
    }
}

struct EncryptJob<'a> {
    plugin: &'a SmimeSealer,
    task: Task<'a>,
}

impl Job for EncryptJob<'_> {
    fn finish(self: Box<Self>, edits: &mut EditSet<'_>) -> Result<Finish, Fault> {
        let (plugin, task) = (self.plugin, &self.task);
        let message = &task.mail.message;
        if message.is_all_encrypted() {
            let note = "it is encrypted already".into();
            return Ok(Finish::unchanged(Reason::Sealed, vec![note]));
        }
        let found = match served(task, |path, now| plugin.certificate(path, now))? {
            Served::All(found) => found,
            Served::None(texts) => return Ok(Finish::unchanged(Reason::NoKey, texts)),
        };
        let mut to: Vec<&Certificate> = Vec::new();
        for (_, certificate) in found {
            if !to.iter().any(|known| std::ptr::eq(*known, certificate)) {
                to.push(certificate);
            }
        }
        let protect = Protect::Cipher {
            hidden_subject: None,
        };
        let inner = inner(message, protect).map_err(cannot_be("encrypted"))?;
        let der = seal(&to, &inner.octets, plugin.cipher).map_err(Fault::Permanent)?;
        // A large mail is in memory often enough.
        drop(inner);
        let (part, enclosed) = outer::pkcs7(message, der, plugin.cipher.smime_type());
        edits.enclose(part, enclosed);
        let named = to.iter().map(|certificate| {
            let owner = certificate.addresses.first();
            format!(
                "encrypted to {} ({}, until {})",
                owner.map_or("nobody", String::as_str),
                certificate.kind,
                day(certificate.until)
            )
        });
        Ok(Finish {
            edited: vec![PartId::ROOT],
            notes: named.collect(),
            ..Finish::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_of_the_option_is_a_cipher() {
        assert_eq!(super::super::CIPHERS, seal::Content::WORDS);
    }
}
