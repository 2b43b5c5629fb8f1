//! The sidecar: the facts that a copy does not contain, as one JSON object.
//!
//! Its keys are listed in mimicry-plugins(7): renaming one breaks what others have built on it. Addresses are shown as in
//! the log. Must never: say anything that is not a fact of this transaction.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::tz::Offset;
use mimicry_core::message::Part;
use mimicry_core::message::digest::Digest;
use mimicry_core::plugin::Task;
use mimicry_core::printable::Printable;
use serde_json::{Value, json};

use crate::shared::names::extension_for;

/// What is kept of a part, and the extension that says so: the decoded content, or all octets of a multipart and of a part whose
/// coding is broken.
pub fn content(part: Part<'_>) -> (&'static str, Cow<'_, [u8]>) {
    if part.is_multipart() {
        return ("eml", part.raw().into());
    }
    match part.decoded() {
        Ok(content) => (extension_for(part.media_type()), content),
        Err(_) => ("raw", part.raw().into()),
    }
}

/// What a sidecar says of content that an earlier mail brought.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside<'b> {
    /// The folder below the declared directory in which the content is; `None` = that of the sidecar.
    pub folder: Option<&'b str>,
    /// The file with the trace block of this mail; `None` = the content begins with it.
    pub trace: Option<&'b str>,
}

/// Of a mail that is kept in `file`.
pub fn mail(task: &Task<'_>, digest: &str, file: &str, beside: Beside<'_>) -> String {
    let mut facts = common(task, digest, beside);
    put(&mut facts, "file", json!(file));
    write(&facts)
}

/// Of parts that are kept in the files that `name` says.
pub fn parts(
    task: &Task<'_>,
    digest: &str,
    parts: &[Part<'_>],
    name: &dyn Fn(Part<'_>) -> String,
    beside: Beside<'_>,
) -> String {
    let part = |part: &Part<'_>| {
        let (_, content) = content(*part);
        json!({
            "file": name(*part),
            "section": part.section_text(),
            "type": part.media_type(),
            "filename": part.filename(),
            "octets": content.len(),
            "sha256": Digest::of_octets(&content).to_string(),
        })
    };
    let mut facts = common(task, digest, beside);
    put(&mut facts, "parts", parts.iter().map(part).collect());
    write(&facts)
}

fn common(task: &Task<'_>, digest: &str, beside: Beside<'_>) -> Value {
    let mail = task.mail;
    let (origin, envelope) = (&mail.origin, &mail.envelope);
    let shown = |octets: &[u8]| Printable(octets).to_string();
    let recipients = envelope.recipients.iter();
    let raw = mail.message.raw();
    let mut facts = json!({
        "digest": digest,
        "sha256": Digest::of_octets(raw).to_string(),
        "octets": raw.len(),
        "received": received(task),
        "sender": shown(envelope.sender.as_bytes()),
        "sender_parameters": shown(&envelope.sender_params),
        "recipients": recipients
            .map(|one| json!({ "address": shown(one.path.as_bytes()), "parameters": shown(&one.params) }))
            .collect::<Value>(),
        "client": origin.client.map(|client| client.to_string()),
        "listener": origin.listener,
        "helo": origin.helo.as_deref().map(shown),
        "auth_user": origin.auth_user,
        "rule": task.rule,
        "rules": task.rules,
    });
    for (key, value) in [("folder", beside.folder), ("trace", beside.trace)] {
        if let Some(value) = value {
            put(&mut facts, key, json!(value));
        }
    }
    facts
}

/// RFC 3339, in local time.
fn received(task: &Task<'_>) -> String {
    let moment = task.mail.received;
    let offset = Offset::from_seconds(moment.offset).unwrap_or(Offset::UTC);
    let timestamp = Timestamp::from_second(moment.unix).unwrap_or_default();
    timestamp.display_with_offset(offset).to_string()
}

fn put(facts: &mut Value, key: &str, value: Value) {
    if let Some(facts) = facts.as_object_mut() {
        facts.insert(key.into(), value);
    }
}

fn write(facts: &Value) -> String {
    // Numbers, texts and lists of them: there is nothing in it that serde_json refuses.
    let json = serde_json::to_string_pretty(facts).unwrap_or_default();
    format!("{json}\n")
}
