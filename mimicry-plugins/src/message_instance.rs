//! Message instance: the field in which DKIM2 says how a mail is made again as it was before an edit.
//!
//! By draft-ietf-dkim-dkim2-spec-08, an experiment. It takes no key and asks no DNS: the field stands there unsigned, for a later
//! signer and for `mimicryd restore`.
//!
//! Must never: write a field that does not lead back to the mail as it came, unless the field says so itself; repeat what a rule took out
//! for good or encrypted; or touch any other field.

use mimicry_core::message::edit::{Content, EditSet};
use mimicry_core::message::{Message, PartId};
use mimicry_core::plugin::{
    DefaultParts, Fault, Finish, Job, OptionError, OptionSpec, Options, Plugin, PluginKind, Scope,
    Task, ValueKind,
};
use mimicry_core::reason::Reason;
use serde_json::{Map, Value};

use crate::shared::recipe::fields::{self, NoRecipe};
use crate::shared::recipe::instance::{Came, FIELD, Hashes, Instance};
use crate::shared::recipe::lines::{Step, apply, steps, whole};
use crate::shared::recipe::steps::to_json;
use crate::shared::words::option;

/// Octets of a field that is not too long for other programs.
const LONGEST: u64 = 64 << 10;
const SHORTEST: u64 = 256;

/// The kind.
#[derive(Debug)]
pub struct MessageInstance;

impl PluginKind for MessageInstance {
    fn name(&self) -> &'static str {
        "message_instance"
    }

    fn summary(&self) -> &'static str {
        "says in a field of DKIM2 how the mail is made again as it was before the edits"
    }

    fn scope(&self) -> Scope {
        Scope::Seal
    }

    fn options(&self) -> &'static [OptionSpec] {
        const {
            &[
                option(
                    "only_present",
                    ValueKind::Bool,
                    Some("false"),
                    "Adds the field only to mail that bears one already, as mail signed with DKIM2 does.",
                ),
                option(
                    "max_recipe",
                    ValueKind::Size,
                    Some("\"4K\""),
                    "Octets of the old mail that the field repeats, at most; if it takes more, the field says that the body is lost.",
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

    fn asks_what_was_kept(&self) -> bool {
        true
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Plugin>, Vec<OptionError>> {
        let most = options.size("max_recipe").unwrap_or_default();
        if !(SHORTEST..=LONGEST).contains(&most) {
            return Err(vec![OptionError::new(
                "max_recipe",
                "a recipe is limited to something between 256 octets and 64K",
                "write max_recipe = \"4K\"",
            )]);
        }
        Ok(Box::new(InstancePlugin {
            only_present: options.bool("only_present"),
            most: usize::try_from(most).unwrap_or_default(),
        }))
    }
}

#[derive(Debug)]
struct InstancePlugin {
    only_present: bool,
    most: usize,
}

impl Plugin for InstancePlugin {
    fn reads_recipients(&self) -> bool {
        false
    }

    fn begin<'a>(&'a self, task: Task<'a>) -> Box<dyn Job + 'a> {
        Box::new(InstanceJob { plugin: self, task })
    }
}

struct InstanceJob<'a> {
    plugin: &'a InstancePlugin,
    task: Task<'a>,
}

fn left(reason: Reason, why: &str) -> Finish {
    Finish::unchanged(reason, vec![why.into()])
}

impl Job for InstanceJob<'_> {
    fn finish(self: Box<Self>, edits: &mut EditSet<'_>) -> Result<Finish, Fault> {
        let (came, now) = (&self.task.original.message, &self.task.mail.message);
        // Before the first edit they are one.
        if std::ptr::eq(came, now) {
            return Ok(left(Reason::BelowThreshold, "nothing was edited"));
        }
        let Some(present) = Instance::all(now) else {
            let why = "its Message-Instance fields are broken, or their numbers have a gap";
            return Ok(left(Reason::Malformed, why));
        };
        if present.is_empty() && self.plugin.only_present {
            return Ok(left(Reason::Exempt, "it bears no Message-Instance field"));
        }
        let below = below(now, &edits.content(PartId::ROOT)?);
        let most = self.plugin.most;
        let header = match fields::recipe(came.root().header(), &below, most) {
            Ok(header) => header,
            Err(NoRecipe::Long) => {
                return Ok(left(Reason::Limit, "too much of the header was changed"));
            }
            Err(NoRecipe::Broken) => {
                return Ok(left(Reason::Malformed, "a field has a line end of its own"));
            }
        };
        let forgotten = self.task.forgotten.fields;
        if forgotten && header.values().any(repeats) {
            return Ok(left(Reason::Exempt, "a rule took fields out for good"));
        }
        let body = self.body();
        let exact = match &body {
            _ if forgotten => None,
            Body::Lost => None,
            Body::Same => exact(came, now, &below, None, most),
            Body::Steps(steps) => exact(came, now, &below, Some(steps), most),
        };
        let mut recipe = Map::new();
        if !header.is_empty() {
            recipe.insert("h".into(), header.into());
        }
        match &body {
            Body::Same => {}
            Body::Lost => drop(recipe.insert("b".into(), Value::Null)),
            Body::Steps(steps) => drop(recipe.insert("b".into(), to_json(steps))),
        }
        let recipe = match recipe.is_empty() {
            true => String::new(),
            false => Value::Object(recipe).to_string(),
        };
        let hashes = Hashes::of(&below, now.root().body());
        let number = present.len().saturating_add(1);
        let value = Instance::value(number, &hashes, &recipe, exact.as_ref());
        edits.add_field_above(PartId::ROOT, FIELD, &value)?;
        let can = match (&body, &exact) {
            (Body::Lost, _) => "the body as it came is lost",
            (_, None) => "the mail as it came can be restored, but not octet for octet",
            (_, Some(_)) => "the mail as it came can be restored",
        };
        Ok(Finish {
            edited: vec![PartId::ROOT],
            notes: vec![format!(
                "m={number}, a recipe of {} octets: {can}",
                recipe.len()
            )],
            ..Finish::default()
        })
    }
}

/// Does a recipe say what a field was, rather than where it stands.
fn repeats(recipe: &Value) -> bool {
    let steps = recipe.as_array().into_iter().flatten();
    steps
        .filter_map(Value::as_object)
        .any(|step| !step.contains_key("c"))
}

/// How the body came about.
enum Body {
    Same,
    Steps(Vec<Step>),
    /// What it was is not in the mail, and too much to be repeated.
    Lost,
}

impl InstanceJob<'_> {
    fn body(&self) -> Body {
        let (came, now) = (&self.task.original.message, &self.task.mail.message);
        let (old, new) = (came.root().body(), now.root().body());
        if old == new {
            return Body::Same;
        }
        if self.task.forgotten.parts {
            return Body::Lost;
        }
        let range = |message: &Message| {
            let length = message.raw().len();
            length.saturating_sub(message.root().body().len())..length
        };
        let kept = self.task.kept.within(range(came), range(now));
        match steps(old, new, &kept, self.plugin.most) {
            Some(steps) => Body::Steps(steps),
            None => Body::Lost,
        }
    }
}

/// What will stand below the field, up to the body.
fn below(now: &Message, content: &Content<'_>) -> Vec<u8> {
    let root = now.root();
    let newline = now.newline().as_bytes();
    let mut out = Vec::new();
    // The field goes below a line that an mbox has before a mail.
    let envelope = root.envelope_line();
    let mut is_first = envelope.is_some();
    for field in content.fields() {
        if is_first && envelope.is_some_and(|line| line.raw() == &*field) {
            is_first = false;
            continue;
        }
        if !out.is_empty() && !out.ends_with(b"\n") {
            out.extend_from_slice(newline);
        }
        out.extend_from_slice(&field);
    }
    out
}

/// What our own tags say, if it is so.
fn exact(
    came: &Message,
    now: &Message,
    below: &[u8],
    body: Option<&[Step]>,
    most: usize,
) -> Option<Came> {
    let head = |message: &Message| {
        message
            .raw()
            .len()
            .saturating_sub(message.root().body().len())
    };
    let old = came.raw().get(..head(came))?;
    let blank = now.raw().get(now.root().header().len()..head(now))?;
    let new = [below, blank].concat();
    let header = steps(old, &new, &[], most)?;
    let newline = now.newline().as_bytes();
    let mut made = apply(&new, &header, newline).ok()?;
    match body {
        None => made.extend_from_slice(now.root().body()),
        Some(steps) => made.extend(apply(now.root().body(), steps, newline).ok()?),
    }
    let behind = made.get(came.raw().len()..)?;
    let is_same = made.get(..came.raw().len()) == Some(came.raw());
    let ends = whole(behind).all(|line| matches!(line, b"\r\n" | b"\n"));
    (is_same && ends).then(|| Came::of(came.raw(), header))
}
