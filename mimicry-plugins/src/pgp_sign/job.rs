//! What pgp_sign does with a mail.
//!
//! Must never: show what is secret.

use mimicry_core::message::edit::EditSet;
use mimicry_core::message::seven_bit::to_signed_form;
use mimicry_core::message::{Limits, PartId};
use mimicry_core::plugin::{Fault, Finish, Job, KeyInUse, OptionError, Options, Plugin, Task};
use mimicry_core::reason::Reason;

use crate::shared::author::author_of;
use crate::shared::pgp::judge::Demands;
use crate::shared::pgp::seal;
use crate::shared::pgp::secret::Signers;
use crate::shared::whole::already::is_signed;
use crate::shared::whole::inner::{Protect, cannot_be, inner};
use crate::shared::whole::outer::{Content as Written, Signature, signed};

pub(super) fn build(options: &Options) -> Result<Box<dyn Plugin>, Vec<OptionError>> {
    let mut errors = Vec::new();
    let demands = Demands::new(options.bool("accept_sha1"));
    let passphrase = options.secret("passphrase_file");
    let signers = Signers::of(
        "keys",
        options.keys("keys"),
        passphrase,
        demands,
        &mut errors,
    );
    if options.keys("keys").is_empty() {
        let help = "write keys = { \"example.org\" = \"pgp/example.org.asc\" }";
        errors.push(OptionError::new("", "pgp_sign needs a key", help));
    }
    match errors.is_empty() {
        true => Ok(Box::new(PgpPlugin {
            signers,
            autocrypt: options.bool("add_autocrypt"),
        })),
        false => Err(errors),
    }
}

#[derive(Debug)]
struct PgpPlugin {
    signers: Signers,
    autocrypt: bool,
}

impl Plugin for PgpPlugin {
    fn reads_recipients(&self) -> bool {
        false
    }

    fn keys(&self, now: i64) -> Vec<KeyInUse> {
        self.signers.in_use(now)
    }

    fn begin<'a>(&'a self, task: Task<'a>) -> Box<dyn Job + 'a> {
        Box::new(PgpJob { plugin: self, task })
    }
}

struct PgpJob<'a> {
    plugin: &'a PgpPlugin,
    task: Task<'a>,
}

impl Job for PgpJob<'_> {
    fn finish(self: Box<Self>, edits: &mut EditSet<'_>) -> Result<Finish, Fault> {
        let message = &self.task.mail.message;
        if message.is_all_encrypted() || is_signed(message) {
            let note = "it is signed or encrypted".into();
            return Ok(Finish::unchanged(Reason::Sealed, vec![note]));
        }
        let author = author_of(message)?.ok_or(Fault::NotApplicable(Reason::NoKey))?;
        let signers = &self.plugin.signers;
        let Some(signer) = signers.of_author(&author) else {
            let note = format!("no key signs for {author}");
            return Ok(Finish::unchanged(Reason::NoKey, vec![note]));
        };
        let now = self.task.mail.received.unix;
        let pair = signers.pair(signer, now).map_err(Fault::Permanent)?;
        let form = to_signed_form(message, &Limits::default());
        let inner = inner(form.as_ref().unwrap_or(message), Protect::Clear);
        // A large mail is in memory often enough.
        drop(form);
        let inner = inner.map_err(cannot_be("signed"))?;
        let signature = seal::sign(&inner.octets, pair, now)
            .map_err(|_| Fault::Permanent("the mail could not be signed".into()))?;
        let note = format!("signed: {} {}", signer.fingerprint(), signature.micalg);
        let signature = Signature {
            micalg: &signature.micalg,
            media_type: "application/pgp-signature",
            filename: "signature.asc",
            description: "OpenPGP digital signature",
            content: Written::Armour(signature.armour),
        };
        let (part, enclosed) = signed(message, inner.octets, signature);
        edits.enclose(part, enclosed);
        if self.plugin.autocrypt {
            signers.add_autocrypt(signer, (&author, now), edits)?;
        }
        Ok(Finish {
            edited: vec![PartId::ROOT],
            notes: vec![note],
            ..Finish::default()
        })
    }
}

#[cfg(test)]
mod tests;
