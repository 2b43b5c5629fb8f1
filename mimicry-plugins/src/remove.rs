//! Remove: takes parts out of the mail, and leaves a note in their place.
//!
//! A note stands in the place of the part where every reader shows it (`message/place.rs`): never within a
//! multipart/alternative or a multipart/related, of which readers show one part only, but beside it, or at the end of
//! the mail. If a multipart would be empty without a part, the part always leaves a note, and the multipart is removed.
//! A multipart/related without its root is removed, too, because its other parts mean nothing by themselves.
//!
//! Must never: leave a multipart without a child or a multipart/related without its root; remove what `keep` could
//! not keep; let a part that it was given stay because of others that it was not given.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use mimicry_core::mail::Mail;
use mimicry_core::message::compose::NewPart;
use mimicry_core::message::digest::Digest;
use mimicry_core::message::edit::{Content, EditSet, Refused};
use mimicry_core::message::place::{self, Place};
use mimicry_core::message::roles::related_text;
use mimicry_core::message::{Newline, Part, PartId};
use mimicry_core::plugin::{
    BulkExemption, DefaultParts, Effects, Fault, Finish, Forgets, Job, OnError, OptionError,
    OptionSpec, Options, Plugin, PluginKind, Scope, Task, ValueKind, Verdict,
};
use mimicry_core::reason::Reason;
use mimicry_core::units::show_size;

use crate::shared::left_alone::is_left_alone;
use crate::shared::names::Names;
use crate::shared::store::disk::Error;
use crate::shared::store::known::{Key, Note, section};
use crate::shared::store::sidecar::{self, Beside, content};
use crate::shared::store::{self, Compress, Store};
use crate::shared::template::{Facts, Form, Known, Template};
use crate::shared::words::option;

#[cfg(test)]
mod tests;

/// The kind.
#[derive(Debug)]
pub struct Remove;

/// The note of a rule that says none.
const NOTE: &str =
    "{{ filename }} ({{ type }}, {{ size }}) was removed from this mail.\nSHA-256: {{ sha256 }}\n";

/// What templates may say of a part, beside what they may say of the mail.
const OF_PART: &[&str] = &["filename", "size", "type", "sha256"];

impl PluginKind for Remove {
    fn name(&self) -> &'static str {
        "remove"
    }

    fn summary(&self) -> &'static str {
        "takes parts out of the mail"
    }

    fn scope(&self) -> Scope {
        Scope::Part
    }

    fn options(&self) -> &'static [OptionSpec] {
        const {
            &[
                option(
                    "note",
                    ValueKind::Word(&["text", "none"]),
                    Some("\"text\""),
                    "A text part in the place of the part, or none if the mail can do without.",
                ),
                option(
                    "text",
                    ValueKind::Text,
                    None,
                    "The text of the note: a template.",
                ),
                option(
                    "text_file",
                    ValueKind::TextFile,
                    None,
                    "The file that holds it.",
                ),
                option(
                    "note_name",
                    ValueKind::Line,
                    Some("\"{{ filename }}.removed.txt\""),
                    "The file name of the note: a template.",
                ),
                option(
                    "inside",
                    ValueKind::Word(&["none", "message"]),
                    Some("\"none\""),
                    "Whether the filters on parts also judge the parts of enclosed messages, which are then removed whole.",
                ),
                option(
                    "keep",
                    ValueKind::Directory,
                    None,
                    "Where removed parts are kept: a directory that exists, and folders below it as for archive.",
                ),
            ]
        }
    }

    fn default_parts(&self) -> DefaultParts {
        DefaultParts::Attachments
    }

    fn takes_multiparts(&self) -> bool {
        true
    }

    fn moves_whole(&self) -> bool {
        true
    }

    fn takes_unsure(&self) -> bool {
        true
    }

    /// What a rule for the attachments leaves alone.
    fn declines(&self, mail: &Mail, part: PartId) -> bool {
        mail.message.part(part).is_some_and(is_left_alone)
    }

    fn bulk_exemption(&self) -> BulkExemption {
        BulkExemption::Reports
    }

    fn default_on_error(&self) -> OnError {
        OnError::Defer
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Plugin>, Vec<OptionError>> {
        let mut errors = Vec::new();
        let known = Known {
            extra: OF_PART,
            ..Known::of(options, None)
        };
        let mut template = |option: &'static str, source: &str, form: Form| {
            let compiled = Template::compile(source, form, &known);
            compiled
                .map_err(|bad| {
                    errors.extend(bad.into_iter().map(|bad| bad.of_option(option, options)))
                })
                .ok()
        };
        let from = if options.is_set("text") {
            "text"
        } else {
            "text_file"
        };
        let text = template(from, options.text(from).unwrap_or(NOTE), Form::Text);
        let name = template(
            "note_name",
            options.text("note_name").unwrap_or_default(),
            Form::Line,
        );
        if options.is_set("text") && options.is_set("text_file") {
            errors.push(OptionError::new(
                "text_file",
                "text and text_file exclude each other",
                "",
            ));
        }
        let keep = Store::build("keep", options).unwrap_or_else(|error| {
            errors.push(error);
            None
        });
        match (text, name) {
            (Some(text), Some(name)) if errors.is_empty() => Ok(Box::new(RemovePlugin {
                always: options.text("note") != Some("none"),
                inside: options.text("inside") == Some("message"),
                text,
                name,
                keep,
            })),
            _ => Err(errors),
        }
    }
}

#[derive(Debug)]
struct RemovePlugin {
    /// Leaves a note also where the mail can do without.
    always: bool,
    /// Enclosed messages are judged by what they hold.
    inside: bool,
    text: Template,
    name: Template,
    keep: Option<Store>,
}

impl Plugin for RemovePlugin {
    fn looks_inside(&self) -> bool {
        self.inside
    }

    fn forgets(&self) -> Forgets {
        Forgets {
            parts: true,
            ..Forgets::default()
        }
    }

    fn directories(&self) -> Vec<(&'static str, PathBuf)> {
        let keep = self.keep.iter();
        keep.map(|store| ("keep", store.declared().to_path_buf()))
            .collect()
    }

    fn reads_recipients(&self) -> bool {
        [&self.text, &self.name]
            .into_iter()
            .any(Template::reads_recipients)
            || self.keep.as_ref().is_some_and(Store::reads_recipients)
    }

    fn begin<'a>(&'a self, task: Task<'a>) -> Box<dyn Job + 'a> {
        Box::new(RemoveJob {
            plugin: self,
            task,
            taken: BTreeSet::new(),
            roots: BTreeMap::new(),
            key: OnceCell::new(),
            names: Names::new(),
        })
    }
}

struct RemoveJob<'a> {
    plugin: &'a RemovePlugin,
    task: Task<'a>,
    taken: BTreeSet<PartId>,
    /// The root of each multipart/related that was asked for.
    roots: BTreeMap<PartId, Option<PartId>>,
    /// Of the mail.
    key: OnceCell<Key>,
    names: Names,
}

/// A part, as its note speaks of it.
struct Gone<'m> {
    part: Part<'m>,
    filename: String,
    sha256: String,
    octets: usize,
}

impl fmt::Display for Gone<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let section = self.part.section_text();
        write!(f, "{section} {}, {}", self.filename, self.sha256)
    }
}

impl Job for RemoveJob<'_> {
    fn part(&mut self, part: PartId, _now: &Content<'_>) -> Result<Verdict, Fault> {
        self.taken.insert(part);
        // Whether a part may go depends on what else goes.
        Ok(Verdict::Later)
    }

    fn finish(mut self: Box<Self>, edits: &mut EditSet<'_>) -> Result<Finish, Fault> {
        let message = edits.message();
        let mut finish = Finish::default();
        for id in self.taken.clone() {
            let Some(part) = message.part(id) else {
                continue;
            };
            if edits.is_gone(id) {
                // It left with the multipart around it.
                continue;
            }
            let Some(whole) = self.goes_as(part) else {
                finish.notes.push(format!(
                    "{} stays: it is the whole mail",
                    part.section_text()
                ));
                continue;
            };
            let gone = self.look_at(part);
            self.keep(&gone)?;
            finish.notes.push(gone.to_string());
            finish.edited.push(id);
            self.take_along(whole, part, edits, &mut finish)?;
            self.take_out(&gone, whole, edits)?;
        }
        if finish.edited.is_empty() {
            finish.reason = Some(Reason::BelowThreshold);
        } else if let Some(store) = &self.plugin.keep
            && self.task.effects == Effects::None
        {
            let shown = store.shown(&self.task);
            finish.notes.push(format!("would be kept in {shown}"));
        }
        Ok(finish)
    }
}

impl RemoveJob<'_> {
    fn is_taken(&self, part: Part<'_>) -> bool {
        self.taken.contains(&part.id())
    }

    /// What goes when a part goes: that part, or the multipart/related that shows nothing without it. A multipart that is the whole
    /// mail stays; its children may go.
    fn goes_as<'p>(&mut self, part: Part<'p>) -> Option<Part<'p>> {
        if part.is_root() && part.is_multipart() {
            return None;
        }
        let mut whole = part;
        while let Some(related) = self.is_related_root(whole) {
            whole = related;
        }
        Some(whole)
    }

    /// What else is in the multipart that goes with its root. What is attached there, or was to go itself, leaves a note of its
    /// own; a picture does not.
    fn take_along(
        &mut self,
        whole: Part<'_>,
        root: Part<'_>,
        edits: &mut EditSet<'_>,
        finish: &mut Finish,
    ) -> Result<(), Fault> {
        let mut below: Vec<Part<'_>> = vec![whole];
        while let Some(part) = below.pop() {
            if part.id() == root.id() || edits.is_gone(part.id()) {
                continue;
            }
            if part.is_multipart() {
                let mut children: Vec<Part<'_>> = part.children().collect();
                children.reverse();
                below.append(&mut children);
                continue;
            }
            let gone = self.look_at(part);
            self.keep(&gone)?;
            finish.notes.push(match self.is_taken(part) {
                true => gone.to_string(),
                false => format!("{gone}, goes with {}", root.section_text()),
            });
            finish.edited.push(part.id());
            let is_attached = part.disposition().is_some_and(|word| word == "attachment");
            let is_noted = self.is_taken(part) || is_attached;
            if is_noted && self.plugin.always && !is_resource_fork(part) {
                edits.place(
                    part.id(),
                    vec![self.note(&gone, edits.message().newline())?],
                )?;
            }
        }
        Ok(())
    }

    /// The multipart/related whose root a part is.
    fn is_related_root<'p>(&mut self, part: Part<'p>) -> Option<Part<'p>> {
        let parent = part.parent()?;
        if parent.media_type() != "multipart/related" {
            return None;
        }
        let find = || related_text(parent).map(|root| root.id());
        let root = *self.roots.entry(parent.id()).or_insert_with(find);
        (root == Some(part.id())).then_some(parent)
    }

    /// The part leaves, with the multipart that shows nothing without it. A note stands in its place where everybody sees it, or
    /// in the nearest place where everybody does.
    fn take_out(
        &self,
        gone: &Gone<'_>,
        whole: Part<'_>,
        edits: &mut EditSet<'_>,
    ) -> Result<(), Fault> {
        let id = whole.id();
        let is_noted = !is_resource_fork(gone.part);
        // The mail, or what is left of a multipart, is never empty.
        let is_last = whole.is_root() || edits.is_last_child(id);
        let wants_note = is_noted && (self.plugin.always || is_last);
        if !(is_last || wants_note) {
            return Ok(edits.remove(id)?);
        }
        let new = self.note(gone, edits.message().newline())?;
        let place = place::of(whole);
        if whole.is_root() || wants_note && place == Place::Beside(id) {
            return put(whole, new, edits);
        }
        if wants_note && place != Place::End {
            edits.place(id, vec![new.clone()])?;
        }
        match edits.remove_pruning(id) {
            Ok(()) if wants_note && place == Place::End => Ok(edits.attach(new)?),
            Ok(()) => Ok(()),
            // The mail would have nothing in it.
            Err(Refused::LastChild) if place == Place::End => {
                Ok(edits.replace_part(PartId::ROOT, new)?)
            }
            Err(Refused::LastChild) => {
                edits.place(id, vec![new])?;
                Ok(edits.remove_pruning(id)?)
            }
            Err(refused) => Err(refused.into()),
        }
    }

    fn look_at<'m>(&mut self, part: Part<'m>) -> Gone<'m> {
        let (_, content) = content(part);
        let filename = part.filename();
        // Both forks of a file bear its name.
        let mut of_its_own = Names::new();
        let names = match is_resource_fork(part) {
            true => &mut of_its_own,
            false => &mut self.names,
        };
        Gone {
            part,
            filename: names.member(filename.as_deref(), &part.section_text(), part.media_type()),
            sha256: Digest::of_octets(&content).to_string(),
            octets: content.len(),
        }
    }

    fn note(&self, gone: &Gone<'_>, newline: Newline) -> Result<NewPart, Fault> {
        let facts = Facts::of(&self.task, None)
            .with("filename", &gone.filename)
            .with("size", &show_size(gone.octets as u64))
            .with("type", gone.part.media_type())
            .with("sha256", &gone.sha256);
        let text = self.plugin.text.render(&facts)?;
        let name = self.plugin.name.render(&facts)?;
        let name = Names::new().member(Some(&name), &gone.part.section_text(), "text/plain");
        Ok(NewPart::named_text("plain", &name, &text, newline))
    }

    fn keep(&self, gone: &Gone<'_>) -> Result<(), Fault> {
        let Some(store) = &self.plugin.keep else {
            return Ok(());
        };
        if self.task.effects == Effects::None {
            return Ok(());
        }
        self.put_aside(store, gone).map_err(|error| {
            log::error!("{}: a removed part cannot be kept: {error}", self.task.rule);
            store::fault("a removed part", &error)
        })
    }

    /// Named by the SHA-256 that the note tells.
    fn put_aside(&self, store: &Store, gone: &Gone<'_>) -> Result<(), Error> {
        let key = self.key.get_or_init(|| Key::of(self.task.mail));
        let part = format!("{}-{}", key.copy(), section(gone.part));
        let shelf = store.open(&self.task, key)?;
        if shelf.note_of(&part)?.is_some() {
            return Ok(());
        }
        let folder = shelf.folder()?;
        let (extension, content) = content(gone.part);
        let name = format!("{}.{extension}", gone.sha256);
        let named = |_: Part<'_>| name.clone();
        let here = Beside::default();
        let json = sidecar::parts(&self.task, &key.digest, &[gone.part], &named, here);
        let of_mail = format!("{}-{}.json", gone.sha256, key.copy());
        shelf.file(&folder, &of_mail, Compress::No, json.as_bytes())?;
        shelf.file(&folder, &name, Compress::No, &content)?;
        shelf.done();
        if let Err(error) = shelf.note(&part, &Note::default()) {
            log::warn!("{}: {error}", self.task.rule);
        }
        Ok(())
    }
}

/// The fork of a file (multipart/appledouble) that holds what a Macintosh knows of it. The note on the other fork says all.
fn is_resource_fork(part: Part<'_>) -> bool {
    part.media_type() == "application/applefile"
        && part
            .parent()
            .is_some_and(|file| file.media_type() == "multipart/appledouble")
}

/// A note in the place of a part.
fn put(part: Part<'_>, note: NewPart, edits: &mut EditSet<'_>) -> Result<(), Fault> {
    if part.is_root() || !(part.is_multipart() || part.is_opaque()) {
        edits.replace_part(part.id(), note)?;
    } else {
        edits.insert_before(part.id(), note)?;
        edits.remove(part.id())?;
    }
    Ok(())
}
