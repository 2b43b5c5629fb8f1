//! DKIM sign: a signature of the author's domain on the octets that leave (RFC 6376, RFC 8463).
//!
//! The key is that of the domain in From. A signature of that domain that stands in the mail already and that our own edits broke goes;
//! signatures of others stay, whatever became of them.
//!
//! Must never: sign in the name of a domain that does not stand in From, or touch anything but DKIM-Signature fields.
//!
//! Known limits: what a later hop encodes anew or adds to the text breaks the signature, as it breaks every other.

use mimicry_core::domain::compared;
use mimicry_core::mail::Mail;
use mimicry_core::message::edit::EditSet;
use mimicry_core::message::{Message, PartId};
use mimicry_core::plugin::{
    DefaultParts, Fault, Finish, Job, KeyInUse, OnError, OptionError, OptionSpec, Options, Plugin,
    PluginKind, Scope, Task, ValueKind,
};
use mimicry_core::reason::Reason;

use crate::shared::author::author_of;
use crate::shared::dkim::keys::{Keys, Own};
use crate::shared::dkim::sign::{Signer, Times, Work};
use crate::shared::dkim::tags::{FIELD, Signature};
use crate::shared::fields::is_name;
use crate::shared::words::option;

/// Signatures of our own domain that are looked at in one mail.
const OWN: usize = 10;

/// The kind.
#[derive(Debug)]
pub struct DkimSign;

impl PluginKind for DkimSign {
    fn name(&self) -> &'static str {
        "dkim_sign"
    }

    fn summary(&self) -> &'static str {
        "signs the mail with DKIM in the name of its author's domain"
    }

    fn scope(&self) -> Scope {
        Scope::Seal
    }

    fn options(&self) -> &'static [OptionSpec] {
        const {
            &[
                option(
                    "keys",
                    ValueKind::KeyFiles,
                    None,
                    "Domains, each with the file of its secret key, whose name is the selector; with two files, one RSA and one Ed25519, it signs with both.",
                ),
                option(
                    "key_dir",
                    ValueKind::KeyTree,
                    None,
                    "A directory that has for each domain a directory of its name with its keys.",
                ),
                option(
                    "subdomains",
                    ValueKind::Bool,
                    Some("false"),
                    "Signs for domains below one of keys, too, with its key and in its name.",
                ),
                option(
                    "fields",
                    ValueKind::Lines,
                    None,
                    "Names of further fields to sign where they stand.",
                ),
                option(
                    "expire",
                    ValueKind::Time,
                    None,
                    "The time after which the signature no longer holds.",
                ),
            ]
        }
    }

    fn default_parts(&self) -> DefaultParts {
        DefaultParts::Mail
    }

    fn edits_fields(&self) -> bool {
        true
    }

    fn vouches(&self) -> bool {
        true
    }

    fn default_on_error(&self) -> OnError {
        OnError::Defer
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Plugin>, Vec<OptionError>> {
        let mut errors = Vec::new();
        let keys = Keys::of(self.name(), &["keys", "key_dir"], options, &mut errors);
        let fields = fields(options, &mut errors);
        let expire = match options.time("expire").map(|time| time / 1000) {
            Some(seconds) if seconds < 3600 => {
                errors.push(OptionError::new(
                    "expire",
                    "the signature would end before a mail has reached everybody",
                    "at least \"1h\"; a mail may wait in queues for days, so \"7d\" or more is common",
                ));
                None
            }
            seconds => seconds.and_then(|seconds| i64::try_from(seconds).ok()),
        };
        match errors.is_empty() {
            true => Ok(Box::new(DkimPlugin {
                keys,
                subdomains: options.bool("subdomains"),
                fields,
                expire,
            })),
            false => Err(errors),
        }
    }
}

fn fields(options: &Options, errors: &mut Vec<OptionError>) -> Vec<String> {
    /// Fields that others change on the way (RFC 6376 section 5.4.1).
    const CHANGING: &[&str] = &["return-path", "received", "comments", "keywords", "bcc"];
    let mut names = Vec::new();
    for name in options.list("fields") {
        let key = name.to_ascii_lowercase();
        if !is_name(name) {
            let message = format!("`{name}` is not the name of a field");
            errors.push(OptionError::new("fields", message, ""));
        } else if CHANGING.contains(&key.as_str()) || key == "dkim-signature" {
            let message = format!("`{name}` changes on the way, and the signature would break");
            errors.push(OptionError::new("fields", message, "leave it out"));
        } else {
            names.push(key);
        }
    }
    names
}

#[derive(Debug)]
struct DkimPlugin {
    keys: Keys,
    subdomains: bool,
    /// In small letters.
    fields: Vec<String>,
    /// Seconds.
    expire: Option<i64>,
}

/// Whom the mail is from: the domain of the first address in From.
fn author(message: &Message) -> Result<String, Fault> {
    let address = author_of(message)?;
    let domain = (address.as_deref())
        .and_then(|address| address.rsplit_once('@'))
        .map(|(_, domain)| compared(domain));
    domain.ok_or(Fault::NotApplicable(Reason::NoKey))
}

impl Plugin for DkimPlugin {
    fn reads_recipients(&self) -> bool {
        false
    }

    fn signs(&self, mail: &Mail) -> bool {
        author(&mail.message)
            .is_ok_and(|author| self.keys.of_author(&author, self.subdomains).is_some())
    }

    fn keys(&self, _now: i64) -> Vec<KeyInUse> {
        self.keys.in_use()
    }

    fn begin<'a>(&'a self, task: Task<'a>) -> Box<dyn Job + 'a> {
        Box::new(DkimJob { plugin: self, task })
    }
}

struct DkimJob<'a> {
    plugin: &'a DkimPlugin,
    task: Task<'a>,
}

impl Job for DkimJob<'_> {
    fn finish(self: Box<Self>, edits: &mut EditSet<'_>) -> Result<Finish, Fault> {
        let message = &self.task.mail.message;
        let author = author(message)?;
        let plugin = self.plugin;
        let Some((domain, keys)) = plugin.keys.of_author(&author, plugin.subdomains) else {
            let note = format!("no key signs for {author}");
            return Ok(Finish::unchanged(Reason::NoKey, vec![note]));
        };
        let Some(work) = Work::of(message, &self.plugin.fields) else {
            return Err(Fault::Permanent(
                "the mail has too many fields to sign".into(),
            ));
        };
        let standing = self.clear(domain, keys, edits)?;
        let signed = self.task.mail.received.unix;
        let times = Times {
            signed,
            expires: self
                .plugin
                .expire
                .map(|expire| signed.saturating_add(expire)),
        };
        let mut notes = Vec::new();
        // Each goes on top of the one before.
        for own in keys.iter().rev() {
            if standing.contains(&own.selector) {
                continue;
            }
            let signer = Signer {
                domain,
                selector: &own.selector,
                key: &own.key,
            };
            let Some(value) = work.signature(FIELD, "v=1", &signer, times) else {
                return Err(Fault::Temporary("the system gave no random numbers".into()));
            };
            edits.add_field_above(PartId::ROOT, FIELD, &value)?;
            let algorithm = own.key.algorithm();
            notes.push(format!(
                "signed: d={domain} s={} a={algorithm}",
                own.selector
            ));
        }
        Ok(Finish {
            edited: (!notes.is_empty())
                .then_some(PartId::ROOT)
                .into_iter()
                .collect(),
            reason: Some(Reason::Duplicate),
            notes,
            ..Finish::default()
        })
    }
}

impl DkimJob<'_> {
    /// Removes signatures of the domain that the rules before this one have broken; gives the selectors of those that hold for the whole mail.
    fn clear(
        &self,
        domain: &str,
        keys: &[Own],
        edits: &mut EditSet<'_>,
    ) -> Result<Vec<String>, Fault> {
        let (original, now) = (&self.task.original.message, &self.task.mail.message);
        let mut standing = Vec::new();
        let mut broken = Vec::new();
        let own = Signature::of(now).filter(|signature| signature.domain == domain);
        for signature in own.take(OWN) {
            let covered = signature.covered(now);
            // Before the first edit they are one.
            if !std::ptr::eq(original, now) && signature.covered(original) != covered {
                broken.push(signature.value);
                continue;
            }
            let key = keys.iter().find(|own| own.selector == signature.selector);
            let is_whole = signature.is_whole(self.task.mail.received.unix);
            if is_whole && key.is_some_and(|own| signature.is_by(&own.key, covered)) {
                standing.push(signature.selector);
            }
        }
        if !broken.is_empty() {
            edits.remove_fields(PartId::ROOT, FIELD, |value| {
                broken.iter().any(|broken| broken == value)
            })?;
        }
        Ok(standing)
    }
}

#[cfg(test)]
mod tests;
