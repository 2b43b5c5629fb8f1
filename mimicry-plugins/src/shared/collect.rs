//! Many parts → one archive part: the job that Zip and its relatives have in common beside the container.
//!
//! A job first looks (thresholds, exclusions, broken codings), then streams each part through its decoder into the
//! bundle, so that no more than one part's chunk is held decoded. Nothing is changed unless the mail becomes smaller
//! on the wire by what `min_saving` asks; a secret container alone is worth its octets.
//!
//! Must never: move a part that does not decode, or leave a mail larger than it was for no secret.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use mimicry_core::mail::Mail;
use mimicry_core::message::compose::NewPart;
use mimicry_core::message::edit::{Content, EditSet, would_be_empty};
use mimicry_core::message::names::Names as PartNames;
use mimicry_core::message::{Message, Part, PartId, codec, place};
use mimicry_core::plugin::{Fault, Finish, Job, OptionError, Options, Task, Verdict};
use mimicry_core::reason::Reason;
use mimicry_core::units::show_size;

use super::bundle::{Bundle, Container, Error, Member, Timestamp};
use super::names::{self, Names};
use super::template::{Facts, Form, Known, Template};
use super::{date, sniff, subject};

/// What a new multipart around the mail costs, in octets: its fields and three delimiters, somewhat rounded up.
const WRAPPING: usize = 256;

/// What a new part costs besides itself: a delimiter of at most 70 characters, and what stands around it.
const DELIMITER: usize = 80;

/// Room for what stands around the archive in its mail. If there is more, the memory must grow.
const ROOM: usize = 64 * 1024;

/// What templates of this plugin know besides the names of all.
const NAME_WORDS: &[&str] = &["count", "slug"];
const NOTE_WORDS: &[&str] = &["archive", "count", "members", "slug", "total"];

/// The note of a rule that gives no other.
const NOTE: &str = "The attachments of this mail are in {{ archive }}:\n\n{{ members }}\n";

/// The options that all containers share, and the container.
#[derive(Debug)]
pub struct Collect {
    container: Box<dyn Container>,
    name: Template,
    note: Option<Template>,
    /// The option `note_text` is there, and `note` is not.
    note_is_unused: bool,
    min_total: u64,
    min_parts: usize,
    min_part: u64,
    min_saving: u64,
    exclude: Vec<Exclude>,
    skip_compressed: bool,
    at_end: bool,
}

#[derive(Debug)]
enum Exclude {
    /// With `/*` cut off at the slash, the slash included.
    AllOf(String),
    Type(String),
    /// In lower case, with its dot.
    Extension(String),
}

impl Exclude {
    fn parse(word: &str) -> Option<Exclude> {
        let lower = word.trim().to_lowercase();
        let all = lower.strip_suffix('*').unwrap_or(&lower);
        if all.contains(|c: char| c.is_whitespace() || ",;|*?\\()[]$".contains(c)) {
            return None;
        }
        match (lower.strip_suffix('*'), lower.starts_with('.')) {
            (Some(prefix), _) if prefix.ends_with('/') && prefix.len() > 1 => {
                Some(Exclude::AllOf(prefix.to_string()))
            }
            (None, true) if lower.len() > 1 => Some(Exclude::Extension(lower)),
            (None, false) if lower.split('/').filter(|word| !word.is_empty()).count() == 2 => {
                Some(Exclude::Type(lower))
            }
            _ => None,
        }
    }
}

impl Collect {
    pub fn build(
        container: Box<dyn Container>,
        options: &Options,
    ) -> Result<Collect, Vec<OptionError>> {
        let mut errors = Vec::new();
        let known = |extra| Known {
            extra,
            ..Known::of(options, None)
        };
        let mut compile = |option: &'static str, source: &str, form, extra| {
            Template::compile(source, form, &known(extra))
                .map_err(|bad| {
                    errors.extend(bad.into_iter().map(|bad| bad.of_option(option, options)));
                })
                .ok()
        };
        let name = options.text("name").unwrap_or_default();
        let name = compile("name", name, Form::Line, NAME_WORDS);
        let note_text = options.text("note_text");
        let has_note = options.text("note") == Some("text");
        let note = compile(
            "note_text",
            note_text.unwrap_or(NOTE),
            Form::Text,
            NOTE_WORDS,
        );
        if let Some(name) = name.as_ref().filter(|name| name.is_constant()) {
            errors.extend(unsafe_name(name.source(), container.extensions()));
        }
        let mut exclude = Vec::new();
        for word in options.list("exclude") {
            match Exclude::parse(word) {
                Some(one) => exclude.push(one),
                None => errors.push(OptionError::new(
                    "exclude",
                    format!("\"{word}\" is neither a media type nor an extension"),
                    match word.split([',', ';', ' ']).count() {
                        1 => "write \"image/*\", \"application/pdf\" or \".pdf\"",
                        _ => "each is a text of its own: [\"image/*\", \".pdf\"]",
                    },
                )),
            }
        }
        let number = |name: &str| {
            options
                .integer(name)
                .and_then(|number| u64::try_from(number).ok())
                .unwrap_or(0)
        };
        let min_saving = number("min_saving");
        if container.is_secret() && min_saving > 0 {
            errors.push(OptionError::new(
                "min_saving",
                "with a password the archive is made even if it saves nothing",
                "take this option out",
            ));
        }
        let (Some(name), Some(note), true) = (name, note, errors.is_empty()) else {
            return Err(errors);
        };
        Ok(Collect {
            container,
            name,
            note: has_note.then_some(note),
            note_is_unused: note_text.is_some() && !has_note,
            min_total: options.size("min_total").unwrap_or(0),
            min_parts: usize::try_from(number("min_parts")).unwrap_or(1).max(1),
            min_part: options.size("min_part").unwrap_or(0),
            min_saving,
            exclude,
            skip_compressed: options.bool("skip_compressed"),
            at_end: options.text("placement") == Some("end"),
        })
    }

    pub fn warnings(&self) -> Vec<OptionError> {
        let unused = self.note_is_unused.then(|| {
            OptionError::new("note_text", "the note is not made", "write note = \"text\"")
        });
        unused.into_iter().chain(self.odd_name()).collect()
    }

    /// A fixed name by which programs do not know the archive for what it is.
    fn odd_name(&self) -> Option<OptionError> {
        let name = self.name.source();
        if !self.name.is_constant() || self.has_own_extension(name) {
            return None;
        }
        let usual = self.container.extensions().first()?;
        let help = format!("write \"{name}.{usual}\"");
        Some(OptionError::new(
            "name",
            format!("\"{name}\" does not have the ending of such an archive"),
            help,
        ))
    }

    fn has_own_extension(&self, name: &str) -> bool {
        ends_in(name, self.container.extensions())
    }

    /// Whether a name or a note may say something of who receives the mail.
    pub fn reads_recipients(&self) -> bool {
        let note = self.note.as_ref();
        self.name.reads_recipients() || note.is_some_and(Template::reads_recipients)
    }

    /// Are the archives there to keep their members from others.
    pub fn is_secret(&self) -> bool {
        self.container.is_secret()
    }

    pub fn job<'a>(&'a self, task: Task<'a>) -> CollectJob<'a> {
        CollectJob {
            collect: self,
            task,
            taken: Vec::new(),
            total: 0,
        }
    }

    fn excludes(&self, media_type: &str, names: &PartNames) -> bool {
        self.exclude.iter().any(|exclude| match exclude {
            Exclude::AllOf(prefix) => media_type.starts_with(prefix),
            Exclude::Type(wanted) => media_type == wanted,
            Exclude::Extension(wanted) => {
                // By any name: what is left alone is left as it is.
                names.any(|name| name.to_lowercase().ends_with(wanted))
            }
        })
    }

    /// The archive's file name for one mail. Where values of the mail are in it, they cannot make it one of another
    /// kind.
    fn file_name(&self, facts: &Facts<'_>) -> Result<String, Fault> {
        let usual = self.container.extensions().first().copied();
        let usual = usual.unwrap_or_default();
        let name = names::file_name(&self.name.render(facts)?);
        let name = name.unwrap_or_else(|| format!("attachments.{usual}"));
        if self.name.is_constant() || self.has_own_extension(&name) {
            return Ok(name);
        }
        let longer = format!("{name}.{usual}");
        Ok(names::file_name(&longer).unwrap_or(name))
    }
}

fn ends_in(name: &str, extensions: &[&str]) -> bool {
    let lower = name.to_lowercase();
    let mut extensions = extensions.iter();
    extensions.any(|extension| lower.ends_with(&format!(".{extension}")))
}

/// What is wrong with the name of an archive.
fn unsafe_name(name: &str, extensions: &[&str]) -> Option<OptionError> {
    let safe = names::file_name(name);
    if safe.as_deref() == Some(name) {
        return None;
    }
    Some(OptionError {
        option: "name",
        message: format!("\"{name}\" is not a file name that is safe everywhere"),
        help: safe.map(|safe| match extensions.first() {
            Some(usual) if !ends_in(&safe, extensions) => format!("write \"{safe}.{usual}\""),
            _ => format!("write \"{safe}\""),
        }),
    })
}

/// One rule at work on one mail.
pub struct CollectJob<'a> {
    collect: &'a Collect,
    task: Task<'a>,
    taken: Vec<Taken>,
    /// Decoded octets of all that is taken.
    total: u64,
}

/// A part that goes into the archive.
struct Taken {
    part: PartId,
    /// Decoded octets.
    size: u64,
    store: bool,
}

impl Job for CollectJob<'_> {
    fn part(&mut self, part: PartId, now: &Content<'_>) -> Result<Verdict, Fault> {
        let collect = self.collect;
        let filename = now.part().filename();
        if is_resource_fork(now.part()) && now.part().decoded_len().is_some() {
            // It goes where the file goes that it belongs to.
            let size = now.part().decoded_len().unwrap_or(0);
            self.taken.push(Taken {
                part,
                size,
                store: false,
            });
            return Ok(Verdict::Take);
        }
        if collect.excludes(now.media_type(), &now.part().names()) {
            return Ok(Verdict::Keep(Reason::BelowThreshold));
        }
        if now.part().is_multipart() {
            return Ok(Verdict::Keep(Reason::Malformed));
        }
        let (encoding, body) = (now.encoding(), now.body());
        let Ok(size) = codec::decoded_len(encoding, body) else {
            return Ok(Verdict::Keep(Reason::Malformed));
        };
        if size < collect.min_part {
            return Ok(Verdict::Keep(Reason::BelowThreshold));
        }
        let store = collect.skip_compressed
            && sniff::already_compressed(
                &head(encoding, body),
                filename.as_deref(),
                now.media_type(),
            );
        if store && !collect.container.stores() {
            return Ok(Verdict::Keep(Reason::NoSaving));
        }
        self.taken.push(Taken { part, size, store });
        Ok(Verdict::Take)
    }

    fn finish(mut self: Box<Self>, edits: &mut EditSet<'_>) -> Result<Finish, Fault> {
        let collect = self.collect;
        let loose = self.leave_single_forks(edits.message());
        self.total = self.taken.iter().map(|taken| taken.size).sum();
        let parts: Vec<PartId> = self.taken.iter().map(|taken| taken.part).collect();
        let unchanged = |reason: Option<Reason>| Finish {
            released: parts.iter().chain(&loose).copied().collect(),
            reason,
            ..Finish::default()
        };
        let Some(first) = parts.first().copied() else {
            // The verdicts on the parts say why; without any part there was nothing to take.
            let nothing = self.task.parts.is_empty();
            return Ok(unchanged(nothing.then_some(Reason::BelowThreshold)));
        };
        if parts.len() < collect.min_parts || self.total < collect.min_total {
            return Ok(unchanged(Some(Reason::BelowThreshold)));
        }
        let message = edits.message();
        let newline = message.newline();
        let members = self.members(edits)?;
        let (name, note) = self.words(&members)?;
        // A mail that is nothing but the part, or parts of which readers show one only, becomes the archive and has no place for a
        // note.
        let is_all = first == PartId::ROOT || would_be_empty(message, edits, &parts);
        let note = note.filter(|_| !is_all);
        let note = note.map(|text| NewPart::text("plain", &text, newline));
        // Where nothing else is left, the end is where the first part stood, and no multipart may be left empty.
        let others = message
            .leaves()
            .filter(|part| !edits.is_gone(part.id()))
            .count()
            .saturating_sub(parts.len());
        let at_end = collect.at_end && !is_all && others > 0;
        let wraps = !is_all && !place::is_open(message.root());
        let around = if wraps { WRAPPING } else { 0 };
        let around = note.as_ref().map_or(around, |note| {
            note.wire_len()
                .saturating_add(around)
                .saturating_add(DELIMITER)
        });
        // What all of it may become at most; base64 makes 78 octets of 57.
        let most = self
            .wire_most(edits)?
            .map(|most| most.saturating_sub(around));
        let limit = most.map_or(usize::MAX, |most| most.saturating_mul(57) / 78);
        // It becomes base64, and that the mail, where it is.
        let room = most.map_or(0, |most| most.saturating_add(ROOM));
        let Some(archive) = self.archive(edits, &members, (limit, room))? else {
            return Ok(unchanged(Some(Reason::NoSaving)));
        };
        let size = archive.len() as u64;
        let new = NewPart::attachment(collect.container.media_type(), &name, archive, newline);
        if most.is_some_and(|most| new.wire_len() > most) {
            return Ok(unchanged(Some(Reason::NoSaving)));
        }
        let mut new_parts = note.into_iter().chain([new]);
        match (is_all, at_end) {
            (true, _) => {
                new_parts.try_for_each(|new| edits.replace_part(PartId::ROOT, new))?;
            }
            (false, true) => new_parts.try_for_each(|new| edits.attach(new))?,
            (false, false) => edits.place(first, new_parts.collect())?,
        }
        let count = parts.len();
        let what = if count == 1 { "part" } else { "parts" };
        let (total, size) = (show_size(self.total), show_size(size));
        Ok(Finish {
            taken: parts,
            released: loose,
            notes: vec![format!("{count} {what} of {total} in {name} of {size}")],
            ..Finish::default()
        })
    }
}

impl CollectJob<'_> {
    /// Gives back the forks of a file (multipart/appledouble) whose other fork is not taken, and returns them.
    fn leave_single_forks(&mut self, message: &Message) -> Vec<PartId> {
        let taken: BTreeSet<PartId> = self.taken.iter().map(|taken| taken.part).collect();
        let mut whole: BTreeMap<PartId, bool> = BTreeMap::new();
        let mut loose = Vec::new();
        self.taken.retain(|one| {
            let file = message.part(one.part).and_then(Part::parent);
            let Some(file) = file.filter(|file| file.media_type() == APPLEDOUBLE) else {
                return true;
            };
            let is_whole = || file.children().all(|fork| taken.contains(&fork.id()));
            let stays = *whole.entry(file.id()).or_insert_with(is_whole);
            if !stays {
                loose.push(one.part);
            }
            stays
        });
        loose
    }

    /// The names in the archive, in the order of the parts.
    fn members(&self, edits: &EditSet<'_>) -> Result<Vec<String>, Fault> {
        let mut names = Names::new();
        let mut members = Vec::with_capacity(self.taken.len());
        for taken in &self.taken {
            let content = edits.content(taken.part)?;
            let filename = content.part().filename();
            let filename = match is_resource_fork(content.part()) {
                true => filename.map(|name| format!("{name}.rsrc")),
                false => filename,
            };
            members.push(names.member(
                filename.as_deref(),
                &content.part().section_text(),
                content.media_type(),
            ));
        }
        Ok(members)
    }

    /// The file name of the archive, and what the note says.
    fn words(&self, members: &[String]) -> Result<(String, Option<String>), Fault> {
        let collect = self.collect;
        let subject = self.task.mail.message.root().field("subject");
        let subject = subject.map(|field| field.decoded()).unwrap_or_default();
        let facts = Facts::of(&self.task, None)
            .with("count", &members.len().to_string())
            .with("slug", &subject::slug(&subject));
        let name = collect.file_name(&facts)?;
        let Some(note) = &collect.note else {
            return Ok((name, None));
        };
        let line = |(name, taken): (&String, &Taken)| format!("{name} ({})", show_size(taken.size));
        let list: Vec<String> = members.iter().zip(&self.taken).map(line).collect();
        let facts = facts
            .with("archive", &name)
            .with("members", &list.join("\n"))
            .with("total", &show_size(self.total));
        let note = note.render(&facts)?;
        Ok((name, Some(note).filter(|note| !note.trim().is_empty())))
    }

    /// Octets on the wire that what comes may have; `None` = any number.
    fn wire_most(&self, edits: &EditSet<'_>) -> Result<Option<usize>, Fault> {
        if self.collect.container.is_secret() {
            return Ok(None);
        }
        let mut before = 0usize;
        for taken in &self.taken {
            let content = edits.content(taken.part)?;
            before = before
                .saturating_add(header_len(content.part()))
                .saturating_add(content.body().len());
        }
        let percent = 100u64.saturating_sub(self.collect.min_saving);
        let most = (before as u64).saturating_mul(percent) / 100;
        Ok(Some(usize::try_from(most).unwrap_or(usize::MAX)))
    }

    /// Streams all members into an archive, in memory for `room` octets; `None` = it would be larger than `limit` octets.
    fn archive(
        &self,
        edits: &EditSet<'_>,
        names: &[String],
        (limit, room): (usize, usize),
    ) -> Result<Option<Vec<u8>>, Fault> {
        let mtime = timestamp(self.task.mail);
        let mut bundle = Bundle::with_room(&*self.collect.container, limit, room);
        for (name, taken) in names.iter().zip(&self.taken) {
            let content = edits.content(taken.part)?;
            let (encoding, body) = (content.encoding(), content.body());
            let member = Member {
                name,
                size: taken.size,
                store: taken.store,
                mtime,
            };
            let added = bundle.add(&member, &mut |out| {
                codec::decode_into(encoding, body, out).map(|_| ())
            });
            match added {
                Ok(()) => {}
                Err(Error::Limit(_)) => return Ok(None),
                Err(error) => return Err(Fault::Permanent(error.to_string())),
            }
        }
        match bundle.finish() {
            Ok(archive) => Ok(Some(archive)),
            Err(Error::Limit(_)) => Ok(None),
            Err(error) => Err(Fault::Permanent(error.to_string())),
        }
    }
}

/// The two forks of a file of a Macintosh (RFC 1740), which are one thing.
const APPLEDOUBLE: &str = "multipart/appledouble";

/// The fork that holds what a Macintosh knows of a file, beside the one that holds the file.
fn is_resource_fork(part: Part<'_>) -> bool {
    part.media_type() == "application/applefile"
        && part
            .parent()
            .is_some_and(|file| file.media_type() == APPLEDOUBLE)
}

/// Octets of a part's header; of the root only those that describe the content, since the others stay.
fn header_len(part: Part<'_>) -> usize {
    if !part.is_root() {
        return part.header().len();
    }
    let describes = |name: &[u8]| {
        name.get(..8)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"content-"))
    };
    part.fields()
        .filter(|field| describes(field.name()))
        .map(|field| field.raw().len())
        .sum()
}

/// The first decoded octets, as far as they decode.
fn head(encoding: codec::Encoding, body: &[u8]) -> Vec<u8> {
    /// Takes what fits and then refuses, which ends the decoding.
    struct Head(Vec<u8>);

    impl io::Write for Head {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let room = sniff::HEAD_OCTETS.saturating_sub(self.0.len());
            let taken = octets.get(..room).unwrap_or(octets);
            self.0.extend_from_slice(taken);
            // 0 octets written is an error to `write_all`.
            Ok(taken.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let mut head = Head(Vec::with_capacity(sniff::HEAD_OCTETS));
    // The error is the refusal; broken codings were sorted out before.
    let _ = codec::decode_into(encoding, body, &mut head);
    head.0
}

/// The wall clock time of the Date header, as its sender saw it.
fn timestamp(mail: &Mail) -> Timestamp {
    let date = mail
        .message
        .root()
        .field("date")
        .map(|field| field.decoded());
    date.and_then(|date| date::read(&date)).unwrap_or_default()
}
