//! Signing one mail.
//!
//! Must never: see the file of a key; it was read when the rule was built.

use mimicry_core::message::edit::EditSet;
use mimicry_core::message::seven_bit::to_signed_form;
use mimicry_core::message::{Limits, PartId};
use mimicry_core::plugin::{Fault, Finish, Job, KeyInUse, OptionError, Options, Plugin, Task};
use mimicry_core::reason::Reason;

use crate::shared::author::author_of;
use crate::shared::date::day;
use crate::shared::smime::signers::Signers;
use crate::shared::whole::already::is_signed;
use crate::shared::whole::inner::{Protect, cannot_be, inner};
use crate::shared::whole::outer::{self, Signature};

/// The rule's instance, or what is wrong with its options.
pub fn build(options: &Options) -> Result<Box<dyn Plugin>, Vec<OptionError>> {
    let mut errors = Vec::new();
    let signers = Signers::of(options, &mut errors);
    match errors.is_empty() {
        true => Ok(Box::new(SmimeSigner {
            signers,
            opaque: options.bool("opaque"),
        })),
        false => Err(errors),
    }
}

#[derive(Debug)]
struct SmimeSigner {
    signers: Signers,
    opaque: bool,
}

impl Plugin for SmimeSigner {
    fn reads_recipients(&self) -> bool {
        false
    }

    fn warnings(&self) -> Vec<OptionError> {
        self.signers.warnings()
    }

    fn keys(&self, now: i64) -> Vec<KeyInUse> {
        self.signers.in_use(now)
    }

    fn begin<'a>(&'a self, task: Task<'a>) -> Box<dyn Job + 'a> {
        Box::new(SignJob { plugin: self, task })
    }
}

struct SignJob<'a> {
    plugin: &'a SmimeSigner,
    task: Task<'a>,
}

impl Job for SignJob<'_> {
    fn finish(self: Box<Self>, edits: &mut EditSet<'_>) -> Result<Finish, Fault> {
        let plugin = self.plugin;
        let message = &self.task.mail.message;
        if is_signed(message) || message.is_all_encrypted() {
            let note = "it is signed or encrypted already".into();
            return Ok(Finish::unchanged(Reason::Sealed, vec![note]));
        }
        let Some(author) = author_of(message)? else {
            let note = "From names no address".into();
            return Ok(Finish::unchanged(Reason::NoKey, vec![note]));
        };
        let now = self.task.mail.received.unix;
        let signer = match plugin.signers.of_author(&author, now) {
            Some(Ok(signer)) => signer,
            Some(Err(refusal)) => {
                return Err(Fault::Permanent(format!(
                    "the mail cannot be signed for {author}: the certificate {refusal}"
                )));
            }
            None => {
                let note = format!("no key signs for {author}");
                return Ok(Finish::unchanged(Reason::NoKey, vec![note]));
            }
        };
        let form = to_signed_form(message, &Limits::default());
        let inner = inner(form.as_ref().unwrap_or(message), Protect::Clear);
        // A large mail is in memory often enough.
        drop(form);
        let inner = inner.map_err(cannot_be("signed"))?;
        let (part, enclosed) = match plugin.opaque {
            true => {
                let der = signer.opaque(&inner.octets).map_err(Fault::Permanent)?;
                drop(inner);
                outer::pkcs7(message, der, "signed-data")
            }
            false => {
                let der = signer.detached(&inner.octets).map_err(Fault::Permanent)?;
                let signature = Signature {
                    micalg: "sha-256",
                    media_type: "application/pkcs7-signature",
                    filename: "smime.p7s",
                    description: "S/MIME signature",
                    content: outer::Content::Binary(der),
                };
                outer::signed(message, inner.octets, signature)
            }
        };
        edits.enclose(part, enclosed);
        Ok(Finish {
            edited: vec![PartId::ROOT],
            notes: vec![format!(
                "signed for {author} ({}, until {})",
                signer.certificate.kind,
                day(signer.until())
            )],
            ..Finish::default()
        })
    }
}
