//! ARC seal: one more set of ARC on a mail that is handed on, so that who trusts us may believe what was found before our edits (RFC 8617).
//!
//! An experiment that its makers are ending. What was found is not found here: it stands in Authentication-Results of a machine that is
//! trusted by name, and only where that machine has put it, above the Received fields of others.
//!
//! Must never: seal without such a result, say that a chain failed, or change or move a set of another.

use mimicry_core::message::edit::EditSet;
use mimicry_core::message::header::unfold;
use mimicry_core::message::{Message, PartId};
use mimicry_core::plugin::{
    DefaultParts, Fault, Finish, Job, KeyInUse, OnError, OptionError, OptionSpec, Options, Plugin,
    PluginKind, Scope, Task, ValueKind,
};
use mimicry_core::reason::Reason;

use crate::shared::dkim::chain::Chain;
use crate::shared::dkim::keys::{Keys, Own};
use crate::shared::dkim::sign::{Signer, Times, Work};
use crate::shared::words::option;

/// The kind.
#[derive(Debug)]
pub struct ArcSeal;

impl PluginKind for ArcSeal {
    fn name(&self) -> &'static str {
        "arc_seal"
    }

    fn summary(&self) -> &'static str {
        "seals with ARC what was found about a mail before it was edited"
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
                    "The domain that seals, with the file of its secret RSA key, whose name is the selector.",
                ),
                option(
                    "trusted_authserv",
                    ValueKind::Lines,
                    None,
                    "Names of the machines whose Authentication-Results are believed.",
                ),
                option(
                    "own_hosts",
                    ValueKind::Lines,
                    None,
                    "Names after \"by\" in Received fields that are ours, in addition to those of trusted_authserv.",
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

    fn default_on_error(&self) -> OnError {
        OnError::Defer
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Plugin>, Vec<OptionError>> {
        let mut errors = Vec::new();
        let keys = Keys::of(self.name(), &["keys"], options, &mut errors);
        let is_one = keys.iter().count() == 1
            && keys
                .iter()
                .all(|(_, keys)| matches!(keys, [own] if own.key.algorithm() == "rsa-sha256"));
        if !is_one && errors.is_empty() {
            errors.push(OptionError::new(
                "keys",
                "one domain seals, with one RSA key",
                "write keys = { \"example.org\" = \"arc/s2026.pem\" }",
            ));
        }
        let names = |option| -> Vec<String> {
            let list = options.list(option).iter();
            list.map(|name| name.trim_end_matches('.').to_ascii_lowercase())
                .collect()
        };
        let trusted = names("trusted_authserv");
        if trusted.is_empty() {
            errors.push(OptionError::new(
                "",
                "arc_seal must know whose Authentication-Results it may believe",
                "write trusted_authserv = \"mx.example.org\", the name that your own verifier writes first into the field",
            ));
        }
        match errors.is_empty() {
            true => Ok(Box::new(ArcPlugin {
                own: [trusted.clone(), names("own_hosts")].concat(),
                trusted,
                keys,
            })),
            false => Err(errors),
        }
    }
}

#[derive(Debug)]
struct ArcPlugin {
    /// One domain with one key.
    keys: Keys,
    /// In small letters.
    trusted: Vec<String>,
    own: Vec<String>,
}

impl Plugin for ArcPlugin {
    fn reads_recipients(&self) -> bool {
        false
    }

    fn keys(&self, _now: i64) -> Vec<KeyInUse> {
        self.keys.in_use()
    }

    fn begin<'a>(&'a self, task: Task<'a>) -> Box<dyn Job + 'a> {
        Box::new(ArcJob { plugin: self, task })
    }
}

struct ArcJob<'a> {
    plugin: &'a ArcPlugin,
    task: Task<'a>,
}

impl Job for ArcJob<'_> {
    fn finish(self: Box<Self>, edits: &mut EditSet<'_>) -> Result<Finish, Fault> {
        let message = &self.task.mail.message;
        let left = |why: String| Ok(Finish::unchanged(Reason::Arc, vec![why]));
        let chain = match Chain::of(message) {
            Ok(chain) => chain,
            Err(broken) => return left(broken.words().into()),
        };
        // What is believed stood in the mail as it came.
        let Some(found) = self.plugin.found(&self.task.original.message) else {
            return left("no Authentication-Results of a trusted machine".into());
        };
        if !chain.is_empty() && found.arc.as_deref() != Some("pass") {
            let arc = found.arc.as_deref().unwrap_or("nothing");
            return left(format!("the trusted machine says {arc} of the ARC chain"));
        }
        let Some((domain, [Own { selector, key }, ..])) = self.plugin.keys.iter().next() else {
            return left("no key".into());
        };
        let signer = Signer {
            domain,
            selector,
            key,
        };
        let times = Times {
            signed: self.task.mail.received.unix,
            expires: None,
        };
        let Some(work) = Work::of(message, &[]) else {
            return Err(Fault::Permanent(
                "the mail has too many fields to sign".into(),
            ));
        };
        let Some(set) = chain.next_set(&found.text, &work, &signer, times) else {
            return Err(Fault::Temporary("the system gave no random numbers".into()));
        };
        for (name, value) in set.iter().rev() {
            edits.add_field_above(PartId::ROOT, name, value)?;
        }
        Ok(Finish {
            edited: vec![PartId::ROOT],
            notes: vec![format!("sealed: d={domain} s={selector}")],
            ..Finish::default()
        })
    }
}

/// Octets of a word at most: one that has no room on a line cannot be folded.
const WORD: usize = 900;

/// What a trusted machine found.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    /// Its name and all results, on one line.
    text: String,
    /// What it says of the chain.
    arc: Option<String>,
}

impl ArcPlugin {
    /// Of the fields above the first Received that is not ours: whoever sent the mail could write the others.
    fn found(&self, message: &Message) -> Option<Found> {
        let root = message.root();
        let is_foreign = |value: &[u8]| match by(value) {
            Some(host) => !self.own.contains(&host),
            None => true,
        };
        let ours = root
            .fields()
            .take_while(|field| !(field.is("received") && is_foreign(field.value())));
        let mut name = None;
        let mut results: Vec<String> = Vec::new();
        let mut arc = None;
        for field in ours.filter(|field| field.is("authentication-results")) {
            let Some((id, of_field)) = split(field.value()) else {
                continue;
            };
            if !self.trusted.contains(&id) {
                continue;
            }
            // One machine speaks for the set: the one nearest to us.
            if name.get_or_insert_with(|| id.clone()) != &id {
                continue;
            }
            for result in of_field {
                if let Some(said) = method(&result, "arc") {
                    // Two that differ are none.
                    arc = match arc {
                        None => Some(said),
                        Some(before) if before == said => Some(before),
                        Some(_) => Some("different things".into()),
                    };
                }
                results.push(result);
            }
        }
        let name = name?;
        // RFC 8601 section 2.2: a field says that nothing was found.
        if results.is_empty() {
            results.push("none".into());
        }
        let text = std::iter::once(name)
            .chain(results)
            .collect::<Vec<_>>()
            .join("; ");
        // Whatever is written must be what is signed.
        let is_plain = text.bytes().all(|octet| matches!(octet, b' '..=b'~'))
            && !text.contains("=?")
            && text.split(' ').all(|word| word.len() <= WORD);
        is_plain.then_some(Found { text, arc })
    }
}

/// The machine after "by".
fn by(received: &[u8]) -> Option<String> {
    let value = unfold(received);
    let text = String::from_utf8_lossy(&value);
    let mut words = text.split_whitespace();
    words.find(|word| word.eq_ignore_ascii_case("by"))?;
    let host = words.next()?.trim_end_matches([';', '.']);
    Some(host.to_ascii_lowercase())
}

/// The name of who found it, in small letters, and each result on one line (RFC 8601 section 2.2).
fn split(value: &[u8]) -> Option<(String, Vec<String>)> {
    let value = unfold(value);
    let text = String::from_utf8_lossy(&value);
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut pieces = pieces(&text).into_iter();
    let id = pieces.next()?;
    let id = id
        .split_whitespace()
        .next()?
        .trim_end_matches('.')
        .to_ascii_lowercase();
    let results = pieces
        .map(|piece| words(&piece))
        .filter(|piece| !piece.is_empty() && piece != "none");
    Some((id, results.collect()))
}

/// What semicolons part, but not those in comments and quoted strings.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut depth: usize = 0;
    let mut is_quoted = false;
    let mut is_escaped = false;
    for letter in text.chars() {
        let is_plain = depth == 0 && !is_quoted && !is_escaped;
        match letter {
            ';' if is_plain => {
                pieces.push(String::new());
                continue;
            }
            '"' if depth == 0 && !is_escaped => is_quoted = !is_quoted,
            '(' if !is_quoted && !is_escaped => depth = depth.saturating_add(1),
            ')' if !is_quoted && !is_escaped => depth = depth.saturating_sub(1),
            _ => {}
        }
        is_escaped = letter == '\\' && !is_escaped && (depth > 0 || is_quoted);
        if let Some(piece) = pieces.last_mut() {
            piece.push(letter);
        }
    }
    pieces
}

/// The result of a method, exactly of this name: `arc`, not `dmarc`.
fn method(result: &str, name: &str) -> Option<String> {
    let (method, said) = result.split_once('=')?;
    let method = method.split('/').next().unwrap_or_default();
    let said: String = said
        .trim_start()
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect();
    method
        .trim()
        .eq_ignore_ascii_case(name)
        .then(|| said.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
