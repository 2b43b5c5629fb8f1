//! What pgp_encrypt does with a mail.
//!
//! Must never: show what is secret.

use mimicry_core::envelope::Path;
use mimicry_core::mail::Addressees;
use mimicry_core::message::edit::EditSet;
use mimicry_core::message::{Message, PartId};
use mimicry_core::plugin::{
    Fault, Finish, Job, KeyInUse, Missed, OnError, OptionError, Options, Plugin, Task,
};
use mimicry_core::reason::Reason;

use crate::shared::author::author_of;
use crate::shared::pgp::certs::Certs;
use crate::shared::pgp::judge::{Demands, Purpose, Usable};
use crate::shared::pgp::seal;
use crate::shared::pgp::secret::{Signer, Signers};
use crate::shared::whole::inner::{HIDDEN, Protect, cannot_be, inner};
use crate::shared::whole::missed::{Served, missed, no_key, requires, served};
use crate::shared::whole::outer::pgp_encrypted;

pub(super) fn build(options: &Options) -> Result<Box<dyn Plugin>, Vec<OptionError>> {
    let mut errors = Vec::new();
    let demands = || Demands::new(options.bool("accept_sha1"));
    let mut certs = Certs::of("keys", options.files("keys"), demands(), &mut errors);
    if certs.is_empty() && errors.is_empty() {
        let help = "write keys = [\"pgp/keys\"], a directory or files of public keys";
        errors.push(OptionError::new(
            "keys",
            "pgp_encrypt needs the keys of recipients",
            help,
        ));
    }
    for (domain, name) in options.table("domain_keys") {
        if let Err(why) = certs.stand_for(domain, name) {
            let help = "write domain_keys = { \"example.com\" = \"FINGERPRINT\" }";
            errors.push(OptionError::new("domain_keys", why, help));
        }
    }
    let signers = Signers::of(
        "sign_keys",
        options.keys("sign_keys"),
        options.secret("passphrase_file"),
        demands(),
        &mut errors,
    );
    if signers.is_empty() && options.keys("sign_keys").is_empty() {
        for option in ["passphrase_file", "add_autocrypt"] {
            if options.secret(option).is_some() || options.bool(option) {
                let message = format!("{option} is about keys that sign, and there is none");
                errors.push(OptionError::new(option, message, "name one by sign_keys"));
            }
        }
    }
    match errors.is_empty() {
        true => Ok(Box::new(PgpPlugin {
            certs,
            signers,
            no_key: no_key(options),
            always_hidden: options.text("hidden_recipients") == Some("always"),
            hide_subject: options.bool("hide_subject"),
            autocrypt: options.bool("add_autocrypt"),
        })),
        false => Err(errors),
    }
}

#[derive(Debug)]
struct PgpPlugin {
    certs: Certs,
    signers: Signers,
    no_key: OnError,
    always_hidden: bool,
    hide_subject: bool,
    autocrypt: bool,
}

impl PgpPlugin {
    fn keys_of(&self, recipient: &Path, now: i64) -> Result<Vec<Usable<'_>>, Missed> {
        let found = self.certs.keys_of(recipient, now);
        found.map_err(|why| missed(self.no_key, recipient, why))
    }
}

impl Plugin for PgpPlugin {
    fn warnings(&self) -> Vec<OptionError> {
        let unread = self.certs.unread().iter();
        unread
            .map(|text| OptionError::new("keys", text.as_str(), "the others are used"))
            .collect()
    }

    fn requires(&self) -> Option<OnError> {
        requires(self.no_key)
    }

    fn keys(&self, now: i64) -> Vec<KeyInUse> {
        let mut keys = self.certs.in_use(Purpose::Transport, now);
        keys.extend(self.signers.in_use(now));
        keys
    }

    fn may_miss(&self) -> bool {
        true
    }

    fn reach(&self, recipient: &Path, now: i64) -> Result<(), Missed> {
        self.keys_of(recipient, now).map(drop)
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
        let (plugin, mail) = (self.plugin, self.task.mail);
        let message = &mail.message;
        if message.is_all_encrypted() {
            let note = "it is encrypted".into();
            return Ok(Finish::unchanged(Reason::Sealed, vec![note]));
        }
        let found = match served(&self.task, |path, now| plugin.keys_of(path, now))? {
            Served::All(found) => found,
            Served::None(why) => return Ok(Finish::unchanged(Reason::NoKey, why)),
        };
        let protect = Protect::Cipher {
            hidden_subject: plugin.hide_subject.then_some(HIDDEN),
        };
        let mut inner = inner(message, protect).map_err(cannot_be("encrypted"))?;
        let now = mail.received.unix;
        let (recipients, found): (Vec<&Path>, Vec<_>) = found.into_iter().unzip();
        let mut keys = Vec::new();
        for key in found.into_iter().flatten() {
            if !keys.iter().any(|known| same(known, &key)) {
                keys.push(key);
            }
        }
        let addressees = Addressees::of(message);
        let hidden = plugin.always_hidden || !recipients.iter().all(|path| addressees.hold(path));
        let author = self.author(message)?;
        let signer = match &author {
            None => None,
            Some((signer, _)) => Some((
                plugin.signers.pair(signer, now).map_err(Fault::Permanent)?,
                now,
            )),
        };
        let mut notes: Vec<String> = (keys.iter())
            .map(|key| format!("encrypted to {}", key.cert().fingerprint().to_hex()))
            .collect();
        notes.dedup();
        let armour = seal::encrypt(&inner.octets, keys, hidden, signer)
            .map_err(|_| Fault::Permanent("the mail could not be encrypted".into()))?;
        // A large mail is in memory often enough.
        inner.octets = Vec::new();
        let (part, enclosed) = pgp_encrypted(message, armour);
        edits.enclose(part, enclosed);
        if plugin.hide_subject {
            inner.hide_subject(edits)?;
        }
        if let Some((signer, address)) = &author {
            notes.push(format!("signed: {}", signer.fingerprint()));
            if plugin.autocrypt {
                (plugin.signers).add_autocrypt(signer, (address, now), edits)?;
            }
        }
        if hidden {
            notes.push("no key is named".into());
        }
        Ok(Finish {
            edited: vec![PartId::ROOT],
            notes,
            ..Finish::default()
        })
    }
}

impl<'a> PgpJob<'a> {
    /// Whose key signs, and his address; none where the rule has no key of the author.
    fn author(&self, message: &Message) -> Result<Option<(&'a Signer, String)>, Fault> {
        if self.plugin.signers.is_empty() {
            return Ok(None);
        }
        let Some(author) = author_of(message)? else {
            return Ok(None);
        };
        let signer = self.plugin.signers.of_author(&author);
        Ok(signer.map(|signer| (signer, author)))
    }
}

fn same(one: &Usable<'_>, other: &Usable<'_>) -> bool {
    one.key().fingerprint() == other.key().fingerprint()
}

#[cfg(test)]
mod tests;
