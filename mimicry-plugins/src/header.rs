//! Header: adds, replaces and deletes fields of the mail's own header, and tags its Subject.
//!
//! Fields that others rely on are protected: trace fields and From always, and every field that a DKIM signature of the
//! mail covers; `force` turns that off. The fields that say what the body is belong to the core, which refuses them.
//!
//! Must never: make a second field or line out of a value; touch a field that no option names; look into a part.
//!
//! Known limits: a value from the mail in a field of addresses may contain a comma, which turns it into two addresses.

use std::collections::BTreeSet;

use mimicry_core::message::PartId;
use mimicry_core::message::edit::{Content, EditSet};
use mimicry_core::message::header::{End, fields, unfold};
use mimicry_core::plugin::{
    DefaultParts, Fault, Finish, Forgets, Job, OptionError, OptionSpec, Options, Plugin,
    PluginKind, Scope, Task, ValueKind,
};
use mimicry_core::reason::{OnDkim, Reason};

use crate::shared::directory::Directory;
use crate::shared::fields::{OF_BODY, PROTECTED, SINGLE, is_name};
use crate::shared::subject::bears;
use crate::shared::template::{self, Facts, Form, Known, Template};
use crate::shared::words::{DIRECTORY, option};

/// The kind.
#[derive(Debug)]
pub struct Header;

impl PluginKind for Header {
    fn name(&self) -> &'static str {
        "header"
    }

    fn summary(&self) -> &'static str {
        "adds, replaces and deletes header fields, and tags the subject"
    }

    fn scope(&self) -> Scope {
        Scope::Part
    }

    fn options(&self) -> &'static [OptionSpec] {
        const {
            &[
                option(
                    "delete",
                    ValueKind::Lines,
                    None,
                    "Names of fields to remove, all fields of each name; a * at the end stands for any rest.",
                ),
                option(
                    "replace",
                    ValueKind::Table,
                    None,
                    "Fields that get another value in their place, or are added at the end; other fields of that name are removed.",
                ),
                option(
                    "add",
                    ValueKind::Table,
                    None,
                    "Fields that are added at the end of the header.",
                ),
                option(
                    "insert",
                    ValueKind::Table,
                    None,
                    "Fields that are added on top of the header.",
                ),
                option(
                    "prefix_subject",
                    ValueKind::Line,
                    None,
                    "The tag before the subject, once.",
                ),
                option(
                    "append_subject",
                    ValueKind::Line,
                    None,
                    "The tag after the subject, once.",
                ),
                DIRECTORY,
                option(
                    "force",
                    ValueKind::Bool,
                    Some("false"),
                    "Changes protected fields and those that a DKIM signature covers, too.",
                ),
            ]
        }
    }

    fn default_parts(&self) -> DefaultParts {
        DefaultParts::Mail
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Plugin>, Vec<OptionError>> {
        let mut errors = Vec::new();
        let directory = template::directory("directory", options).unwrap_or_else(|mut found| {
            errors.append(&mut found);
            None
        });
        let is_damaged = !errors.is_empty();
        let known = Known::of(options, directory.as_ref());
        let force = options.bool("force");
        let mut read = Reading {
            options,
            known,
            is_damaged,
            force,
            errors,
        };
        let delete = read.deletions();
        let replace = read.fields("replace");
        let add = read.fields("add");
        let insert = read.fields("insert");
        let prefix = read.tag("prefix_subject");
        let append = read.tag("append_subject");
        let mut errors = read.errors;
        let given = [
            "delete",
            "replace",
            "add",
            "insert",
            "prefix_subject",
            "append_subject",
        ];
        if !given.iter().any(|name| options.is_set(name)) {
            errors.push(OptionError::new(
                "",
                "header has nothing to do",
                format!("give one of: {}", given.join(", ")),
            ));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Box::new(HeaderPlugin {
            delete,
            replace,
            add,
            insert,
            prefix,
            append,
            force,
            directory,
        }))
    }
}

/// The options on their way to the plugin.
struct Reading<'o> {
    options: &'o Options,
    known: Known<'o>,
    /// There are mistakes in the directory, so nobody shall complain of what is missing in it.
    is_damaged: bool,
    force: bool,
    errors: Vec<OptionError>,
}

impl Reading<'_> {
    fn error(&mut self, option: &'static str, message: String, help: &str) {
        self.errors.push(OptionError::new(option, message, help));
    }

    fn deletions(&mut self) -> Vec<Names> {
        const OPTION: &str = "delete";
        let mut list = Vec::new();
        for text in self.options.list(OPTION) {
            let names = Names::new(text);
            if text.contains(|c| "^$\\()[]|".contains(c)) {
                self.error(
                    OPTION,
                    format!("`{text}` is a regex, not the name of a field"),
                    "write a name, or its beginning and a *, such as X-Internal-*",
                );
            } else if names.any_rest && names.start.len() < 2 {
                self.error(
                    OPTION,
                    format!("`{text}` takes almost every field"),
                    "write more letters before the *",
                );
            } else if self.is_name(OPTION, &names.start, text) && !names.any_rest {
                self.protected(OPTION, text);
            }
            list.push(names);
        }
        list
    }

    fn fields(&mut self, option: &'static str) -> Vec<(String, Template)> {
        let mut list = Vec::new();
        let mut names: Vec<String> = Vec::new();
        for (name, source) in self.options.table(option) {
            if self.is_name(option, name, name) {
                self.protected(option, name);
            }
            let key = name.to_ascii_lowercase();
            let may_repeat = option != "replace" && !SINGLE.contains(&key.as_str());
            if names.contains(&key) && !may_repeat {
                self.error(
                    option,
                    format!("`{name}` can have one value only"),
                    "name it once",
                );
            }
            names.push(key);
            if let Some(template) = self.template(option, source, Some(name)) {
                list.push((name.clone(), template));
            }
        }
        list
    }

    fn tag(&mut self, option: &'static str) -> Option<Template> {
        let source = self.options.text(option)?;
        if source.trim().is_empty() {
            self.error(option, "the tag is empty".into(), "");
        }
        self.template(option, source, None)
    }

    fn template(
        &mut self,
        option: &'static str,
        source: &str,
        field: Option<&str>,
    ) -> Option<Template> {
        match Template::compile(source, Form::Line, &self.known) {
            Ok(template) => Some(template),
            Err(_) if self.is_damaged && source.contains("person") => None,
            Err(found) => {
                for bad in found {
                    let mut error = bad.of_option(option, self.options);
                    if let Some(field) = field {
                        error.message = format!("{field}: {}", error.message);
                    }
                    self.errors.push(error);
                }
                None
            }
        }
    }

    fn is_name(&mut self, option: &'static str, name: &str, shown: &str) -> bool {
        let fits = is_name(name);
        if !fits {
            self.error(
                option,
                format!("`{shown}` is not the name of a field"),
                "a name has letters, digits and hyphens, such as X-Company, and no colon",
            );
        }
        fits
    }

    fn protected(&mut self, option: &'static str, name: &str) {
        let key = name.to_ascii_lowercase();
        if OF_BODY.contains(&key.as_str()) {
            self.error(
                option,
                format!("`{name}` says what the body is"),
                "it changes only with the body",
            );
        } else if PROTECTED.contains(&key.as_str()) && !self.force {
            self.error(
                option,
                format!("`{name}` is protected"),
                "write force = true beside it if it must be",
            );
        }
    }
}

/// One name, or all that begin so. In lower case.
#[derive(Debug)]
struct Names {
    start: String,
    any_rest: bool,
}

impl Names {
    fn new(text: &str) -> Names {
        let text = text.to_ascii_lowercase();
        match text.strip_suffix('*') {
            Some(start) => Names {
                start: start.to_string(),
                any_rest: true,
            },
            None => Names {
                start: text,
                any_rest: false,
            },
        }
    }

    fn take(&self, name: &str) -> bool {
        if self.any_rest {
            name.starts_with(&self.start)
        } else {
            name == self.start
        }
    }
}

#[derive(Debug)]
struct HeaderPlugin {
    delete: Vec<Names>,
    replace: Vec<(String, Template)>,
    add: Vec<(String, Template)>,
    insert: Vec<(String, Template)>,
    prefix: Option<Template>,
    append: Option<Template>,
    force: bool,
    directory: Option<Directory>,
}

impl Plugin for HeaderPlugin {
    fn reads_recipients(&self) -> bool {
        let fields = [&self.replace, &self.add, &self.insert];
        let values = fields.into_iter().flatten().map(|(_, value)| value);
        values
            .chain([&self.prefix, &self.append].into_iter().flatten())
            .any(Template::reads_recipients)
    }

    fn forgets(&self) -> Forgets {
        Forgets {
            fields: !self.delete.is_empty(),
            ..Forgets::default()
        }
    }

    fn begin<'a>(&'a self, task: Task<'a>) -> Box<dyn Job + 'a> {
        Box::new(HeaderJob { plugin: self, task })
    }
}

struct HeaderJob<'a> {
    plugin: &'a HeaderPlugin,
    task: Task<'a>,
}

impl Job for HeaderJob<'_> {
    fn finish(self: Box<Self>, edits: &mut EditSet<'_>) -> Result<Finish, Fault> {
        let plugin = self.plugin;
        let facts = Facts::of(&self.task, plugin.directory.as_ref());
        let mut work = Work {
            signed: if plugin.force || matches!(self.task.on_dkim, OnDkim::Strip | OnDkim::Resign) {
                BTreeSet::new()
            } else {
                signed_fields(&edits.content(PartId::ROOT)?, &plugin.delete)
            },
            force: plugin.force,
            edits,
            facts,
            notes: Vec::new(),
            is_edited: false,
            reason: None,
        };
        work.delete(&plugin.delete)?;
        for (name, template) in &plugin.replace {
            work.replace(name, template)?;
        }
        for (name, template) in &plugin.add {
            work.add(name, template, false)?;
        }
        // Each goes on top of the one before, and shall stand as in the file.
        for (name, template) in plugin.insert.iter().rev() {
            work.add(name, template, true)?;
        }
        work.tag(plugin.prefix.as_ref(), plugin.append.as_ref())?;
        Ok(Finish {
            edited: work.is_edited.then_some(PartId::ROOT).into_iter().collect(),
            reason: Some(work.reason.unwrap_or(Reason::Duplicate)),
            notes: work.notes,
            ..Finish::default()
        })
    }
}

/// The header at work.
struct Work<'w, 'm> {
    edits: &'w mut EditSet<'m>,
    facts: Facts<'w>,
    /// Names in lower case.
    signed: BTreeSet<String>,
    force: bool,
    notes: Vec<String>,
    is_edited: bool,
    reason: Option<Reason>,
}

impl Work<'_, '_> {
    fn delete(&mut self, list: &[Names]) -> Result<(), Fault> {
        let content = self.edits.content(PartId::ROOT)?;
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let mut names: Vec<String> = Vec::new();
        for raw in content.fields() {
            let name = name_of(&raw);
            let takes =
                |one: &Names| one.take(&name) && !(one.any_rest && self.is_beyond_wildcards(&name));
            if list.iter().any(takes) && seen.insert(name.clone()) {
                names.push(name);
            }
        }
        for name in names {
            if !self.is_signed(&name) {
                self.edits.remove_fields(PartId::ROOT, &name, |_| true)?;
                self.done(format!("{name} deleted"));
            }
        }
        Ok(())
    }

    fn replace(&mut self, name: &str, template: &Template) -> Result<(), Fault> {
        let Some(value) = self.value(template)? else {
            return Ok(());
        };
        let (now, others) = self.values(name)?;
        if !others && now.as_deref() == Some(value.trim()) {
            return Ok(());
        }
        if !self.is_signed(name) {
            self.edits.set_field(PartId::ROOT, name, &value)?;
            self.done(format!("{name} replaced"));
        }
        Ok(())
    }

    fn add(&mut self, name: &str, template: &Template, above: bool) -> Result<(), Fault> {
        let Some(value) = self.value(template)? else {
            return Ok(());
        };
        let is_single = SINGLE.contains(&name.to_ascii_lowercase().as_str());
        if is_single && self.values(name)?.0.is_some() {
            self.notes.push(format!("{name} is there already"));
            return Ok(());
        }
        if self.is_signed(name) {
            return Ok(());
        }
        if above {
            self.edits.add_field_above(PartId::ROOT, name, &value)?;
        } else {
            self.edits.add_field_below(PartId::ROOT, name, &value)?;
        }
        self.done(format!("{name} added"));
        Ok(())
    }

    fn tag(&mut self, prefix: Option<&Template>, append: Option<&Template>) -> Result<(), Fault> {
        const NAME: &str = "Subject";
        if prefix.is_none() && append.is_none() {
            return Ok(());
        }
        let mut is_tagged = false;
        for (template, place) in [(prefix, End::Front), (append, End::Back)] {
            let Some(template) = template else { continue };
            let Some(tag) = self.value(template)? else {
                continue;
            };
            let subject = self.values(NAME)?.0.unwrap_or_default();
            if bears(&subject, tag.trim(), place) {
                continue;
            }
            if self.is_signed(NAME) {
                return Ok(());
            }
            let edits = &mut self.edits;
            edits.add_to_field(PartId::ROOT, NAME, tag.trim(), place)?;
            is_tagged = true;
        }
        if is_tagged {
            self.done("Subject tagged".into());
        }
        Ok(())
    }

    fn done(&mut self, note: String) {
        self.is_edited = true;
        self.notes.push(note);
    }

    /// `None` = a value of the template is missing, and there is nothing to write.
    fn value(&mut self, template: &Template) -> Result<Option<String>, Fault> {
        let value = template.render(&self.facts)?;
        let has_value = template.is_constant() || !value.trim().is_empty();
        if !has_value {
            self.reason = self.reason.or(Some(Reason::Exempt));
            self.notes
                .push("a value of the template is missing in this mail".into());
        }
        Ok(has_value.then_some(value))
    }

    /// The first value of a field as it is now, decoded, and whether there are more.
    fn values(&self, name: &str) -> Result<(Option<String>, bool), Fault> {
        let content = self.edits.content(PartId::ROOT)?;
        let mut found = content.fields().filter_map(|raw| {
            fields(&raw)
                .find(|field| field.is(name))
                .map(|field| field.decoded())
        });
        Ok((found.next(), found.next().is_some()))
    }

    fn is_signed(&mut self, name: &str) -> bool {
        let signed = self.signed.contains(&name.to_ascii_lowercase());
        if signed {
            self.reason = Some(Reason::Dkim);
            self.notes.push(format!("a DKIM signature covers {name}"));
        }
        signed
    }

    /// What only its own name takes, whatever a wildcard says.
    fn is_beyond_wildcards(&self, name: &str) -> bool {
        OF_BODY.contains(&name) || (PROTECTED.contains(&name) && !self.force)
    }
}

/// The names that DKIM signatures of the mail cover (RFC 6376 section 3.5, tag h), but for signatures that go.
fn signed_fields(content: &Content<'_>, delete: &[Names]) -> BTreeSet<String> {
    const SIGNATURE: &str = "dkim-signature";
    let mut names = BTreeSet::new();
    if delete.iter().any(|one| one.take(SIGNATURE)) {
        return names;
    }
    for raw in content.fields() {
        for field in fields(&raw).filter(|field| field.is(SIGNATURE)) {
            let value = unfold(field.value());
            for tag in value.split(|octet| *octet == b';') {
                let mut halves = tag.splitn(2, |octet| *octet == b'=');
                let name = halves.next().unwrap_or_default().trim_ascii();
                if name.eq_ignore_ascii_case(b"h") {
                    let list = halves.next().unwrap_or_default();
                    names.extend(list.split(|octet| *octet == b':').map(|name| {
                        String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase()
                    }));
                }
            }
        }
    }
    names
}

/// The name of the field, in lower case; empty for a line that is no field.
fn name_of(raw: &[u8]) -> String {
    let field = fields(raw).next();
    let name = field.map(|field| field.name()).unwrap_or_default();
    String::from_utf8_lossy(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
