//! Archive: keeps a copy of the mail as it came, before anything is edited and before the next hop has it.
//!
//! `shared/store` writes it to disk; this file has the options, the layouts and the sidecar.
//!
//! Must never: let a mail pass that a required rule could not keep; write anything for a mail that is only looked at.

use std::io;
use std::path::PathBuf;

use mimicry_core::mail::Mail;
use mimicry_core::message::digest::{Digest, trace_block};
use mimicry_core::message::edit::EditSet;
use mimicry_core::message::{Part, PartId};
use mimicry_core::plugin::{
    DefaultParts, Effects, Fault, Finish, Job, KeyInUse, OnError, OptionError, OptionSpec, Options,
    Plugin, PluginKind, Scope, Task, ValueKind,
};
use mimicry_core::reason::Reason;

use crate::shared::store::disk::{Error, Folder, Why};
use crate::shared::store::known::{Key, Note, section};
use crate::shared::store::place::os;
use crate::shared::store::sidecar::{self, Beside, content};
use crate::shared::store::{self, Compress, Kept, MBOX, Shelf, Store};
use crate::shared::words::option;

mod cipher;
#[cfg(test)]
mod tests;

use cipher::Cipher;

/// The kind.
#[derive(Debug)]
pub struct Archive;

impl PluginKind for Archive {
    fn name(&self) -> &'static str {
        "archive"
    }

    fn summary(&self) -> &'static str {
        "keeps a copy of the mail as it came"
    }

    fn scope(&self) -> Scope {
        Scope::Original
    }

    fn options(&self) -> &'static [OptionSpec] {
        const {
            &[
                option(
                    "dir",
                    ValueKind::Directory,
                    None,
                    "Where copies are kept: a directory that exists, and folders below it that may have tokens in their names.",
                ),
                option(
                    "layout",
                    ValueKind::Word(&["maildir", "files", "mboxrd"]),
                    Some("\"maildir\""),
                    "A Maildir in each folder, a file for each mail, or one mailbox in each folder.",
                ),
                option(
                    "what",
                    ValueKind::Word(&["original", "parts"]),
                    Some("\"original\""),
                    "The whole mail octet for octet, or the decoded content of the parts that the rule takes.",
                ),
                option(
                    "compress",
                    ValueKind::Word(&["none", "gzip", "zstd"]),
                    Some("\"none\""),
                    "How files are compressed.",
                ),
                option(
                    "encrypt_to",
                    ValueKind::PublicKeys,
                    None,
                    "Files of public OpenPGP keys that each copy is encrypted to.",
                ),
                option(
                    "sidecar",
                    ValueKind::Bool,
                    Some("false"),
                    "Also keeps a JSON file with the envelope, the origin, the rules and the SHA-256.",
                ),
                option(
                    "required",
                    ValueKind::Bool,
                    Some("true"),
                    "Defers a mail that cannot be kept; with false it passes, with an error in the log.",
                ),
            ]
        }
    }

    fn default_parts(&self) -> DefaultParts {
        DefaultParts::Root
    }

    fn edits(&self) -> bool {
        false
    }

    fn default_on_error(&self) -> OnError {
        OnError::Defer
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Plugin>, Vec<OptionError>> {
        let mut errors = Vec::new();
        let mut wrong = |option: &'static str, message: &str, help: &str| {
            errors.push(OptionError::new(option, message, help));
        };
        let layout = match options.text("layout") {
            Some("files") => Layout::Files,
            Some("mboxrd") => Layout::Mboxrd,
            _ => Layout::Maildir,
        };
        let parts = options.text("what") == Some("parts");
        let compress = match options.text("compress") {
            Some("gzip") => Compress::Gzip,
            #[cfg(feature = "zstd")]
            Some("zstd") => Compress::Zstd,
            #[cfg(not(feature = "zstd"))]
            Some("zstd") => {
                let help = "write \"gzip\", or build mimicry with the feature zstd";
                wrong("compress", "this mimicry was built without zstd", help);
                Compress::No
            }
            _ => Compress::No,
        };
        if parts && layout != Layout::Files {
            let help = "add layout = \"files\"";
            wrong("what", "parts are kept as files only", help);
        }
        if layout == Layout::Mboxrd && compress != Compress::No {
            let help = "leave compress out, or use the layout files or maildir";
            wrong("compress", "a mailbox that grows is not compressed", help);
        }
        if options.is_set(cipher::OPTION) {
            let mut wrong = |message: &str, help: &str| wrong(cipher::OPTION, message, help);
            if layout != Layout::Files {
                let help = "add layout = \"files\"";
                wrong("what is encrypted is kept as files only", help);
            }
            if compress != Compress::No {
                wrong("what is encrypted is not compressed", "leave compress out");
            }
            if options.bool("sidecar") {
                let help = "leave sidecar out";
                wrong("a sidecar would show in the clear who wrote to whom", help);
            }
        }
        let store = match Store::build("dir", options) {
            Ok(Some(store)) => Some(store),
            Ok(None) => {
                let help = "write dir = \"/srv/archive\", the name of a directory that exists";
                wrong("", "archive needs a directory", help);
                None
            }
            Err(error) => {
                errors.push(error);
                None
            }
        };
        let cipher = Cipher::of(options, &mut errors);
        match store {
            Some(store) if errors.is_empty() => Ok(Box::new(ArchivePlugin {
                store,
                layout,
                parts,
                compress,
                cipher,
                sidecar: options.bool("sidecar"),
                required: options.bool("required"),
            })),
            _ => Err(errors),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Maildir,
    Files,
    Mboxrd,
}

#[derive(Debug)]
struct ArchivePlugin {
    store: Store,
    layout: Layout,
    /// Only the parts that the rule takes, decoded.
    parts: bool,
    compress: Compress,
    cipher: Option<Cipher>,
    sidecar: bool,
    required: bool,
}

impl Plugin for ArchivePlugin {
    fn directories(&self) -> Vec<(&'static str, PathBuf)> {
        vec![("dir", self.store.declared().to_path_buf())]
    }

    fn reads_recipients(&self) -> bool {
        self.store.reads_recipients()
    }

    fn keys(&self, now: i64) -> Vec<KeyInUse> {
        (self.cipher.as_ref()).map_or_else(Vec::new, |cipher| cipher.keys(now))
    }

    fn begin<'a>(&'a self, task: Task<'a>) -> Box<dyn Job + 'a> {
        Box::new(ArchiveJob { plugin: self, task })
    }
}

struct ArchiveJob<'a> {
    plugin: &'a ArchivePlugin,
    task: Task<'a>,
}

impl Job for ArchiveJob<'_> {
    fn finish(self: Box<Self>, _edits: &mut EditSet<'_>) -> Result<Finish, Fault> {
        let ArchiveJob { plugin, task } = *self;
        let shown = plugin.store.shown(&task);
        let done = |reason: Option<Reason>, note: String| Finish {
            reason,
            notes: vec![note],
            ..Finish::default()
        };
        if task.effects == Effects::None {
            return Ok(done(None, format!("would be written to {shown}")));
        }
        let key = Key::of(task.mail);
        let copy = key.copy();
        match plugin.keep(&task, key) {
            Ok(Kept::Now) => Ok(Finish {
                kept: Some(copy),
                ..done(None, format!("to {shown}"))
            }),
            Ok(Kept::Named) => {
                let note = format!("its envelope to {shown}: the content was kept before");
                Ok(Finish {
                    kept: Some(copy),
                    ..done(None, note)
                })
            }
            Ok(Kept::Before) => {
                let note = "kept by an earlier attempt";
                Ok(done(Some(Reason::Duplicate), note.into()))
            }
            Ok(Kept::Trace) => {
                let note = "kept by an earlier attempt, but for its trace fields, kept now";
                Ok(done(Some(Reason::Duplicate), note.into()))
            }
            Err(error) => {
                log::error!("{}: the mail cannot be archived: {error}", task.rule);
                if plugin.required {
                    return Err(store::fault("a copy of the mail", &error));
                }
                Ok(done(
                    Some(Reason::Fault),
                    "the mail could not be archived".into(),
                ))
            }
        }
    }
}

/// What is to be kept, and where.
struct Work<'w> {
    plugin: &'w ArchivePlugin,
    task: &'w Task<'w>,
    shelf: Shelf,
    key: Key,
}

impl ArchivePlugin {
    fn keep(&self, task: &Task<'_>, key: Key) -> Result<Kept, Error> {
        let work = Work {
            plugin: self,
            task,
            shelf: self.store.open(task, &key)?,
            key,
        };
        let kept = work.keep()?;
        work.shelf.done();
        Ok(kept)
    }

    /// What a copy of that name is called in its folder.
    fn file_name(&self, copy: &str) -> String {
        match self.layout {
            Layout::Maildir => copy.to_string(),
            Layout::Files => format!("{copy}.eml{}", self.suffix()),
            Layout::Mboxrd => MBOX.to_string(),
        }
    }

    fn part_name(&self, copy: &str, part: Part<'_>) -> String {
        let (extension, _) = content(part);
        format!("{copy}-{}.{extension}{}", section(part), self.suffix())
    }

    fn trace_suffix(&self) -> &'static str {
        match self.cipher {
            Some(_) => cipher::SUFFIX,
            None => "",
        }
    }

    fn suffix(&self) -> &'static str {
        match self.compress {
            Compress::No if self.cipher.is_some() => cipher::SUFFIX,
            Compress::No => "",
            Compress::Gzip => ".gz",
            #[cfg(feature = "zstd")]
            Compress::Zstd => ".zst",
        }
    }
}

impl Work<'_> {
    fn keep(&self) -> Result<Kept, Error> {
        if let Some(note) = self.shelf.note_of(&self.key.copy())?
            // Whoever reads a Maildir may move what is in it; a mailbox can be looked at.
            && (self.plugin.layout != Layout::Mboxrd || self.shelf.is_in_mailbox(&note)?)
        {
            return self.again(&note);
        }
        if self.plugin.sidecar
            && let Some(note) = self.shelf.note_of(&self.key.digest)?
            && self.is_there(&note)?
        {
            return self.to_others(&note);
        }
        match self.plugin.layout {
            Layout::Mboxrd => self.append(),
            _ if self.plugin.parts => self.keep_parts(),
            _ => self.keep_mail(),
        }
    }

    /// The same words to the same people, once more. What is not the same is kept.
    fn again(&self, note: &Note) -> Result<Kept, Error> {
        if !self.is_other_trace(note) || self.shelf.note_of(&self.key.coming())?.is_some() {
            return Ok(Kept::Before);
        }
        self.beside(note)?;
        self.noted(&[&self.key.coming()], note);
        Ok(Kept::Trace)
    }

    /// The same words to other people, and their sidecar is enough.
    fn to_others(&self, note: &Note) -> Result<Kept, Error> {
        self.beside(note)?;
        let note = Note {
            trace: self.key.trace.clone(),
            ..note.clone()
        };
        self.noted(&[&self.key.copy()], &note);
        Ok(Kept::Named)
    }

    fn keep_mail(&self) -> Result<Kept, Error> {
        let (plugin, copy) = (self.plugin, self.key.copy());
        let raw = self.task.mail.message.raw();
        let folder = self.shelf.folder()?;
        if plugin.layout == Layout::Maildir {
            for name in ["cur", "tmp"] {
                folder.enter(os(name))?;
            }
        }
        let place = self.place_of_mails(&folder)?;
        let name = plugin.file_name(&copy);
        let is_there = place.has_file(os(&name))?;
        let trace = match is_there {
            true => self.trace_of(&place, &name, trace_block(&self.task.mail.message).len())?,
            false => self.key.trace.clone(),
        };
        let note = self.note_here(trace);
        if is_there && self.is_other_trace(&note) {
            // An earlier attempt kept it, and died before it noted that.
            place.sync()?;
            self.noted(&self.keys(&copy), &note);
            return self.again(&note);
        }
        self.sidecar(&folder, &plugin.file_name(&note.name), Beside::default())?;
        let kept = self.file(&place, &name, plugin.compress, raw)?;
        self.noted(&self.keys(&copy), &note);
        Ok(kept)
    }

    /// The parts that the rule takes, each with what is below it.
    fn keep_parts(&self) -> Result<Kept, Error> {
        let (plugin, copy) = (self.plugin, self.key.copy());
        let folder = self.shelf.folder()?;
        self.sidecar(&folder, "", Beside::default())?;
        let mut kept = Kept::Before;
        for part in leaves(self.task.mail, self.task.parts) {
            let (_, content) = content(part);
            let name = plugin.part_name(&copy, part);
            let now = self.file(&folder, &name, plugin.compress, &content)?;
            if now == Kept::Now {
                kept = now;
            }
        }
        self.noted(&self.keys(&copy), &self.note_here(self.key.trace.clone()));
        Ok(kept)
    }

    fn append(&self) -> Result<Kept, Error> {
        let folder = self.shelf.folder()?;
        self.sidecar(&folder, MBOX, Beside::default())?;
        let note = self.note_here(self.key.trace.clone());
        let copy = self.key.copy();
        let mail = self.task.mail;
        self.shelf.append(mail, &self.keys(&copy), &note, &folder)?;
        Ok(Kept::Now)
    }

    /// Under what a new copy is noted. Only sidecars ask for content by its digest alone.
    fn keys<'k>(&'k self, copy: &'k str) -> Vec<&'k str> {
        let digest = self.plugin.sidecar.then_some(self.key.digest.as_str());
        std::iter::once(copy).chain(digest).collect()
    }

    fn note_here(&self, trace: String) -> Note {
        Note {
            mark: String::new(),
            trace,
            folder: self.shelf.folder_name(),
            name: self.key.copy(),
        }
    }

    /// A note that is lost costs another copy at most: should the mail come again and belong into another folder then.
    fn noted(&self, keys: &[&str], note: &Note) {
        for key in keys {
            if let Err(error) = self.shelf.note(key, note) {
                log::warn!("{}: {error}", self.task.rule);
            }
        }
    }

    /// Parts have nothing of the header, wherever a field of it stands.
    fn is_other_trace(&self, note: &Note) -> bool {
        let has_trace = !trace_block(&self.task.mail.message).is_empty();
        has_trace && !self.plugin.parts && note.trace != self.key.trace
    }

    /// Is the content still where it was kept.
    fn is_there(&self, note: &Note) -> Result<bool, Error> {
        if self.plugin.layout == Layout::Mboxrd {
            return self.shelf.is_in_mailbox(note);
        }
        let Some(folder) = self.shelf.folder_of(note)? else {
            return Ok(false);
        };
        if self.plugin.parts {
            for part in leaves(self.task.mail, self.task.parts) {
                if !folder.has_file(os(&self.plugin.part_name(&note.name, part)))? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        let place = match self.plugin.layout {
            Layout::Maildir => folder.find(os("new"))?,
            _ => Some(folder),
        };
        match place {
            Some(place) => place.has_file(os(&self.plugin.file_name(&note.name))),
            None => Ok(false),
        }
    }

    /// The hash of the trace block of a copy that differs from this mail in it alone; `octets` are those of this mail's own.
    fn trace_of(&self, place: &Folder, name: &str, octets: usize) -> Result<String, Error> {
        /// Longer than any header block that the limits of a message let pass.
        const MORE: u64 = 64 << 20;
        let below = self.task.mail.message.raw().len().saturating_sub(octets);
        let most = MORE.saturating_add(below as u64);
        if self.plugin.cipher.is_some() {
            // Nobody here can read it: the trace block is kept once more.
            return Ok(String::new());
        }
        let compress = self.plugin.compress;
        let kept = self.shelf.content(place, name, compress, most)?;
        let end = kept.len().saturating_sub(below);
        Ok(Digest::of_octets(kept.get(..end).unwrap_or_default()).to_string())
    }

    /// Keeps a file as a whole, encrypted if the rule says so.
    fn file(
        &self,
        folder: &Folder,
        name: &str,
        compress: Compress,
        content: &[u8],
    ) -> Result<Kept, Error> {
        let Some(cipher) = &self.plugin.cipher else {
            return self.shelf.file(folder, name, compress, content);
        };
        let sealed = cipher.encrypt(content, self.task.mail.received.unix);
        let sealed =
            sealed.map_err(|why| folder.fail(os(name), Why::System(io::Error::other(why))))?;
        self.shelf.file(folder, name, compress, &sealed)
    }

    /// Keeps what this coming of the mail has beside the content of the note.
    fn beside(&self, note: &Note) -> Result<(), Error> {
        let folder = self.shelf.folder()?;
        let here = self.shelf.folder_name();
        let trace = format!("{}.trace{}", self.key.coming(), self.plugin.trace_suffix());
        let is_other_trace = self.is_other_trace(note);
        let beside = Beside {
            folder: (note.folder != here).then_some(&*note.folder),
            trace: is_other_trace.then_some(&*trace),
        };
        let content = match self.plugin.parts {
            true => note.name.clone(),
            false => self.plugin.file_name(&note.name),
        };
        self.sidecar(&folder, &content, beside)?;
        if is_other_trace {
            let block = trace_block(&self.task.mail.message);
            let folder = self.place_beside(&folder, "trace")?;
            self.file(&folder, &trace, Compress::No, block)?;
        }
        Ok(())
    }

    /// Stands there before what it speaks of. `content` is the file of the mail, or what the names of its parts begin with; empty
    /// = its own.
    fn sidecar(&self, folder: &Folder, content: &str, beside: Beside<'_>) -> Result<(), Error> {
        let (plugin, task, digest) = (self.plugin, self.task, &self.key.digest);
        if !plugin.sidecar {
            return Ok(());
        }
        let (name, json) = if plugin.parts {
            let copy = self.key.copy();
            let of = if content.is_empty() { &copy } else { content };
            let parts = leaves(task.mail, task.parts);
            let named = |part: Part<'_>| plugin.part_name(of, part);
            let json = sidecar::parts(task, digest, &parts, &named, beside);
            (copy, json)
        } else {
            (
                self.key.coming(),
                sidecar::mail(task, digest, content, beside),
            )
        };
        let folder = self.place_beside(folder, "sidecar")?;
        let name = format!("{name}.json");
        self.shelf
            .file(&folder, &name, Compress::No, json.as_bytes())?;
        Ok(())
    }

    fn place_of_mails(&self, folder: &Folder) -> Result<Folder, Error> {
        match self.plugin.layout {
            Layout::Maildir => folder.enter(os("new")),
            _ => folder.again(),
        }
    }

    /// Where mails are to be read as such, what is no mail has a folder of its own.
    fn place_beside(&self, folder: &Folder, name: &str) -> Result<Folder, Error> {
        match self.plugin.layout {
            Layout::Files => folder.again(),
            _ => folder.enter(os(name)),
        }
    }
}

/// The leaves among the parts, which are in document order, and below them.
fn leaves<'m>(mail: &'m Mail, parts: &[PartId]) -> Vec<Part<'m>> {
    let is_taken = |part: &Part<'_>| {
        let mut above = std::iter::once(*part).chain(part.ancestors());
        above.any(|part| parts.binary_search(&part.id()).is_ok())
    };
    mail.message.leaves().filter(is_taken).collect()
}
