//! Banner: marks mail from outside by a text above its own, a tag of the subject and a header field, and takes banner and tag
//! off again where mail from inside quotes them.
//!
//! How a text gets into a mail is `shared/insert.rs`, how it is found again `shared/marked.rs`, what is from outside
//! `outside.rs`; here are the options, the tag and the field.
//!
//! Must never: take anything off a mail from outside, or take off what is not certainly ours.

mod outside;

use ipnet::IpNet;
use mimicry_core::message::PartId;
use mimicry_core::message::edit::{EditSet, Refused};
use mimicry_core::message::header::{End, fields};
use mimicry_core::plugin::{
    BulkExemption, DefaultParts, Fault, Finish, Job, OnError, OptionError, OptionSpec, Options,
    Plugin, PluginKind, Scope, Task, ValueKind,
};
use mimicry_core::reason::Reason;

use crate::shared::directory::Directory;
use crate::shared::fields::{OF_BODY, PROTECTED, SINGLE, is_name};
use crate::shared::insert::{self, Fallback, Manner, Once, Where, Which, insert};
use crate::shared::marked::{self, Found, Sealer};
use crate::shared::subject::{bears, raw_without_tag, without_tag};
use crate::shared::template::{self, Facts, Form, Known, Template};
use crate::shared::words::{self, Words, option};

use outside::{Outside, Side};

/// The kind.
#[derive(Debug)]
pub struct Banner;

/// Any of these is a banner.
const TEXTS: [&str; 4] = ["text", "text_file", "html", "html_file"];

impl PluginKind for Banner {
    fn name(&self) -> &'static str {
        "banner"
    }

    fn summary(&self) -> &'static str {
        "marks mail from outside by a banner, a tag of the subject and a header field"
    }

    fn scope(&self) -> Scope {
        Scope::Part
    }

    fn options(&self) -> &'static [OptionSpec] {
        const {
            &[
                words::TEXT,
                words::TEXT_FILE,
                words::HTML,
                words::HTML_FILE,
                words::IMAGES,
                words::DIRECTORY,
                option(
                    "preheader",
                    ValueKind::Bool,
                    Some("true"),
                    "Puts a hidden line with the mail's own first words above the HTML, for lists of mails to show.",
                ),
                option(
                    "subject_tag",
                    ValueKind::Line,
                    None,
                    "What goes before the subject, once.",
                ),
                option(
                    "header",
                    ValueKind::Line,
                    None,
                    "A header field, name and value, that replaces all fields of that name; the value is a template.",
                ),
                option(
                    "internal_clients",
                    ValueKind::Lines,
                    None,
                    "Networks whose mail is from inside.",
                ),
                option(
                    "own_domains",
                    ValueKind::Domains,
                    None,
                    "Domains, with their subdomains, whose mail is from inside if internal_clients is not given.",
                ),
                option(
                    "trusted",
                    ValueKind::Lines,
                    None,
                    "Addresses and domains of header senders whose mail gets no banner.",
                ),
                option(
                    "remove",
                    ValueKind::Bool,
                    Some("true"),
                    "Removes banner and tag from mail from inside that quotes them.",
                ),
                insert::ONCE,
                option(
                    "fallback",
                    ValueKind::Words(Fallback::WORDS),
                    Some("[\"attach\"]"),
                    "What to try, in this order, if a part cannot take the text: a separate text part on top, leave the text out, answer 4xx, answer 5xx; then on_error decides.",
                ),
            ]
        }
    }

    fn default_parts(&self) -> DefaultParts {
        DefaultParts::Body
    }

    fn works_beside_seals(&self) -> bool {
        true
    }

    fn edits_fields(&self) -> bool {
        true
    }

    fn bulk_exemption(&self) -> BulkExemption {
        // All that says that a mail is bulk, an outsider can write.
        BulkExemption::None
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Plugin>, Vec<OptionError>> {
        let mut errors = Vec::new();
        let has_text = TEXTS.iter().any(|option| options.is_set(option));
        if !has_text && !options.is_set("subject_tag") && !options.is_set("header") {
            errors.push(OptionError::new(
                "",
                "banner has nothing to do",
                "give one of: text, html, subject_tag, header",
            ));
        }
        let (words, directory, is_damaged) = words_of(self.name(), options, &mut errors);
        let known = Known::of(
            options,
            (words.as_ref().and_then(Words::directory)).or(directory.as_ref()),
        );
        let tag = options.text("subject_tag").map(str::trim);
        if tag.is_some_and(str::is_empty) {
            errors.push(OptionError::new("subject_tag", "the tag is empty", ""));
        }
        if tag.is_some_and(|tag| tag.contains("{{") || tag.contains("{%")) {
            errors.push(OptionError::new(
                "subject_tag",
                "the tag is not a template",
                "it must be the same for all mails, to be found again in replies",
            ));
        }
        let mut header = None;
        if let Some(line) = options.text("header") {
            match field(line, &known, options) {
                Ok(field) => header = Some(field),
                // What is missing in a broken directory was said already.
                Err(_) if is_damaged && line.contains("person") => {}
                Err(found) => errors.extend(found),
            }
        }
        let outside = Outside::read(options).unwrap_or_else(|found| {
            errors.extend(found);
            Outside::default()
        });
        if !errors.is_empty() {
            return Err(errors);
        }
        let once = options.text("once").and_then(Once::from_word);
        Ok(Box::new(BannerPlugin {
            tag: tag.map(str::to_string),
            words,
            directory,
            header,
            outside,
            remove: options.bool("remove"),
            manner: Manner {
                place: Where::Top,
                which: Which::Nearest,
                separator: String::new(),
                once: once.unwrap_or(Once::Always),
                removable: true,
                preheader: options.bool("preheader"),
                fallback: Fallback::ladder(options.list("fallback")),
            },
        }))
    }
}

/// The texts, or without a text the table of senders alone; and whether there was a mistake in them.
fn words_of(
    plugin: &str,
    options: &Options,
    errors: &mut Vec<OptionError>,
) -> (Option<Words>, Option<Directory>, bool) {
    let found = if TEXTS.iter().any(|option| options.is_set(option)) {
        Words::build(plugin, "", options).map(|words| (Some(words), None))
    } else {
        if options.is_set("images") {
            errors.push(OptionError::new(
                "images",
                "there is no HTML to show them",
                "give html or html_file",
            ));
        }
        template::directory("directory", options).map(|directory| (None, directory))
    };
    match found {
        Ok((words, directory)) => (words, directory, false),
        Err(found) => {
            errors.extend(found);
            (None, None, true)
        }
    }
}

/// The name and the value of the line `Name: value`.
fn field(
    line: &str,
    known: &Known<'_>,
    options: &Options,
) -> Result<(String, Template), Vec<OptionError>> {
    const OPTION: &str = "header";
    let error = |message: String, help: &str| vec![OptionError::new(OPTION, message, help)];
    let Some((name, value)) = line.split_once(':').filter(|(name, _)| is_name(name)) else {
        return Err(error(
            "this is not a header field".into(),
            "a field is written as \"X-External: yes\"",
        ));
    };
    let key = name.to_ascii_lowercase();
    if [SINGLE, PROTECTED, OF_BODY]
        .iter()
        .any(|list| list.contains(&key.as_str()))
        || key.starts_with("content-")
    {
        return Err(error(
            format!("`{name}` is a field of the mail itself"),
            "choose a name of your own, such as X-External",
        ));
    }
    let value = value.trim();
    if value.is_empty() {
        return Err(error(
            format!("`{name}` has no value"),
            "a field is written as \"X-External: yes\"",
        ));
    }
    let template = Template::compile(value, Form::Line, known).map_err(|found| {
        let found = found.into_iter();
        found
            .map(|bad| bad.of_option(OPTION, options))
            .collect::<Vec<_>>()
    })?;
    Ok((name.to_string(), template))
}

#[derive(Debug)]
struct BannerPlugin {
    words: Option<Words>,
    /// Of the header field, where there are no words that have it.
    directory: Option<Directory>,
    tag: Option<String>,
    header: Option<(String, Template)>,
    outside: Outside,
    remove: bool,
    manner: Manner,
}

impl Plugin for BannerPlugin {
    fn warnings(&self) -> Vec<OptionError> {
        let missing = self.words.as_ref().map(Words::warnings).unwrap_or_default();
        let is_forgeable = self.outside.is_forgeable();
        let forgeable = is_forgeable.then(|| {
            OptionError::new(
                "own_domains",
                "anybody outside can write a sender in an own domain, and gets no banner",
                "give internal_clients as well; [] if all mail from inside is authenticated",
            )
        });
        let ladder = Fallback::warning(&self.manner.fallback);
        missing.into_iter().chain(forgeable).chain(ladder).collect()
    }

    fn inside(&self) -> Option<(&'static str, &[IpNet])> {
        let networks = self.outside.internal_clients()?;
        Some(("internal_clients", networks))
    }

    fn reads_recipients(&self) -> bool {
        let header = self.header.as_ref();
        self.words.as_ref().is_some_and(Words::reads_recipients)
            || header.is_some_and(|(_, value)| value.reads_recipients())
    }

    fn requires(&self) -> Option<OnError> {
        let ladder = &self.manner.fallback;
        self.words.as_ref().map(|_| Fallback::strictness(ladder))
    }

    fn needs_seal_keys(&self) -> bool {
        self.words.is_some()
    }

    fn begin<'a>(&'a self, task: Task<'a>) -> Box<dyn Job + 'a> {
        Box::new(BannerJob { plugin: self, task })
    }
}

/// Decides about all parts at once: one variant is edited only if all can be.
struct BannerJob<'a> {
    plugin: &'a BannerPlugin,
    task: Task<'a>,
}

impl Job for BannerJob<'_> {
    fn finish(self: Box<Self>, edits: &mut EditSet<'_>) -> Result<Finish, Fault> {
        match self.plugin.outside.side(self.task.mail) {
            Side::Inside if self.plugin.remove => self.remove(edits),
            Side::Inside => Ok(exempt("from inside")),
            Side::Trusted => Ok(exempt("of a trusted sender")),
            Side::Outside { says_own } => {
                let mut finish = self.mark(edits)?;
                if says_own {
                    let note = "from outside, although its sender names an own domain";
                    finish.notes.insert(0, note.into());
                }
                Ok(finish)
            }
        }
    }
}

fn exempt(note: &str) -> Finish {
    Finish::unchanged(Reason::Exempt, vec![note.into()])
}

impl BannerJob<'_> {
    fn mark(&self, edits: &mut EditSet<'_>) -> Result<Finish, Fault> {
        let plugin = self.plugin;
        let mut finish = Finish {
            reason: Some(Reason::Duplicate),
            ..Finish::default()
        };
        if let Some(words) = &plugin.words {
            let words = words.render(&self.task)?;
            finish = insert(&self.task, &plugin.manner, &words, edits)?;
            if !finish.edited.is_empty() && self.task.seal_keys.is_empty() {
                finish.notes.push("without a seal: there is no key".into());
            }
        }
        let mut fields_edited = false;
        if let Some(tag) = &plugin.tag {
            let subject = values(edits, SUBJECT)?
                .into_iter()
                .next()
                .unwrap_or_default();
            let place = End::Front;
            if !bears(&subject, tag, place) {
                edits.add_to_field(PartId::ROOT, SUBJECT, tag, place)?;
                finish.notes.push("Subject tagged".into());
                fields_edited = true;
            }
        }
        if let Some((name, template)) = &plugin.header {
            let directory = plugin.words.as_ref().and_then(Words::directory);
            let facts = Facts::of(&self.task, directory.or(plugin.directory.as_ref()));
            let value = template.render(&facts)?;
            let value = value.trim();
            if value.is_empty() {
                // A value of the template is missing; what somebody else wrote goes all the same.
                fields_edited |= edits.remove_fields(PartId::ROOT, name, |_| true)? > 0;
            } else if values(edits, name)? != [value] {
                edits.set_field(PartId::ROOT, name, value)?;
                finish.notes.push(format!("{name} set"));
                fields_edited = true;
            }
        }
        if fields_edited {
            finish.edited.push(PartId::ROOT);
        }
        Ok(finish)
    }

    /// Takes banner and tag off.
    fn remove(&self, edits: &mut EditSet<'_>) -> Result<Finish, Fault> {
        let mut finish = Finish {
            undone: true,
            ..exempt("from inside")
        };
        if let Some(words) = &self.plugin.words {
            self.remove_words(words, edits, &mut finish)?;
        }
        // Outlook and Exchange repeat the subject of the first mail in each reply.
        for (name, words) in [(SUBJECT, "the subject"), (THREAD_TOPIC, THREAD_TOPIC)] {
            if let Some(tag) = &self.plugin.tag
                && let Some(subject) = values(edits, name)?.into_iter().next()
                && let Some(left) = without_tag(&subject, tag)
            {
                let field = edits.content(PartId::ROOT)?.field(name);
                let raw = field.and_then(|raw| {
                    let field = fields(&raw).next()?;
                    raw_without_tag(field.value(), tag, &left)
                });
                match raw.map(|raw| edits.set_raw_value(PartId::ROOT, name, &raw)) {
                    Some(Ok(())) => {}
                    _ => edits.set_field(PartId::ROOT, name, &left)?,
                }
                finish.edited.push(PartId::ROOT);
                finish.notes.push(format!("the tag removed from {words}"));
            }
        }
        Ok(finish)
    }

    fn remove_words(
        &self,
        words: &Words,
        edits: &mut EditSet<'_>,
        finish: &mut Finish,
    ) -> Result<(), Fault> {
        let sealer = Sealer {
            keys: self.task.seal_keys,
            rule: self.task.rule,
            now: self.task.mail.received.unix,
        };
        // Words with values of a mail are others in this one; as they stand here they could be somebody else's.
        let rendered = match words.is_same_for_all() {
            true => Some(words.render(&self.task)?),
            false => None,
        };
        for id in self.task.parts {
            let content = edits.content(*id)?;
            let is_html = content.media_type() == "text/html";
            if !is_html && content.media_type() != "text/plain" {
                continue;
            }
            let Ok(body) = content.text() else { continue };
            let mut count = 0;
            let ranges = match &rendered {
                _ if is_html => {
                    let found = marked::elements(body.text(), &sealer);
                    let section = content.part().section_text();
                    finish.notes.extend(unproved(&found, &sealer, &section));
                    count = found.elements;
                    found.ranges
                }
                // A mail program that was shown the HTML made its own text of it.
                Some(rendered) => marked::lines(body.text(), &rendered.text, &rendered.html),
                None => Vec::new(),
            };
            if ranges.is_empty() {
                continue;
            }
            let Ok(new) = body.remove(&ranges) else {
                continue;
            };
            if !is_html {
                count = ranges.len();
            }
            let note = format!("{count} removed from {}", content.part().section_text());
            match edits.replace_body(*id, new) {
                Ok(()) => {
                    finish.edited.push(*id);
                    finish.notes.push(note);
                }
                // A Content-Type that cannot be read cannot name another charset.
                Err(Refused::BadField) => {}
                Err(refused) => return Err(refused.into()),
            }
        }
        Ok(())
    }
}

/// For the log: banners that may be ours and stay.
fn unproved(found: &Found, sealer: &Sealer<'_>, section: &str) -> Option<String> {
    let why = match sealer.keys.is_empty() {
        true => "there is no key to check its seal with",
        false => "its seal does not hold",
    };
    (found.unproved > 0).then(|| format!("{} in {section} not removed: {why}", found.unproved))
}

const SUBJECT: &str = "Subject";

/// Of the mail that a conversation began with, without reply marks.
const THREAD_TOPIC: &str = "Thread-Topic";

/// The values of the fields of a name as they are now, decoded.
fn values(edits: &EditSet<'_>, name: &str) -> Result<Vec<String>, Fault> {
    let content = edits.content(PartId::ROOT)?;
    let value = |raw: std::borrow::Cow<'_, [u8]>| {
        let mut found = fields(&raw).filter(|field| field.is(name));
        found.next().map(|field| field.decoded().trim().to_string())
    };
    Ok(content.fields().filter_map(value).collect())
}

#[cfg(test)]
mod tests;
