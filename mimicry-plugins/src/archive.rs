//! Archive: keeps a copy of the mail as it came, before anything is edited and before the next hop has it.
//!
//! How it gets to disk is `shared/store`; here are the options, the layouts and the sidecar.
//!
//! Must never: let a mail pass that a required rule could not keep; write anything for a mail that is only looked at.

use std::path::PathBuf;

use mimicry_core::mail::Mail;
use mimicry_core::message::digest::Digest;
use mimicry_core::message::edit::{Content, EditSet};
use mimicry_core::message::{Part, PartId};
use mimicry_core::plugin::{
    DefaultParts, Effects, Fault, Finish, Job, OnError, OptionError, OptionSpec, Options, Plugin,
    PluginKind, Scope, Task, ValueKind, Verdict,
};
use mimicry_core::rule::Reason;

use crate::shared::store::disk::{Error, Folder};
use crate::shared::store::place::os;
use crate::shared::store::sidecar::{self, content};
use crate::shared::store::{self, Compress, Kept, MBOX, Shelf, Store};
use crate::shared::words::option;

#[cfg(test)]
mod tests;

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
                    "Where copies are kept: a directory that is there, and folders below it that may have tokens in their names.",
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
                    "sidecar",
                    ValueKind::Bool,
                    Some("false"),
                    "Keeps a JSON file with the envelope, the origin, the rules and the SHA-256 as well.",
                ),
                option(
                    "required",
                    ValueKind::Bool,
                    Some("true"),
                    "A mail that cannot be kept is deferred; false lets it pass with an error in the log.",
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
            errors.push(OptionError {
                option,
                message: message.into(),
                help: Some(help.into()),
            });
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
        let store = match Store::build("dir", options) {
            Ok(Some(store)) => Some(store),
            Ok(None) => {
                let help = "write dir = \"/srv/archive\", the name of a directory that is there";
                wrong("", "archive needs a directory", help);
                None
            }
            Err(error) => {
                errors.push(error);
                None
            }
        };
        match store {
            Some(store) if errors.is_empty() => Ok(Box::new(ArchivePlugin {
                store,
                layout,
                parts,
                compress,
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
    sidecar: bool,
    required: bool,
}

impl Plugin for ArchivePlugin {
    fn directories(&self) -> Vec<(&'static str, PathBuf)> {
        vec![("dir", self.store.declared().to_path_buf())]
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
    fn part(&mut self, _part: PartId, _now: &Content<'_>) -> Result<Verdict, Fault> {
        Ok(Verdict::Later)
    }

    fn finish(self: Box<Self>, _edits: &mut EditSet<'_>) -> Result<Finish, Fault> {
        let ArchiveJob { plugin, task } = *self;
        let shown = plugin.store.shown(&task);
        let done = |reason: Option<Reason>, note: String| Finish {
            reason,
            notes: vec![note],
            ..Finish::default()
        };
        if task.effects == Effects::None {
            return Ok(done(None, format!("to {shown}")));
        }
        match plugin.keep(&task) {
            Ok(Kept::Now) => Ok(done(None, format!("to {shown}"))),
            Ok(Kept::Before) => Ok(done(
                Some(Reason::Duplicate),
                "kept by an earlier attempt".into(),
            )),
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

impl ArchivePlugin {
    fn keep(&self, task: &Task<'_>) -> Result<Kept, Error> {
        let mail = task.mail;
        let digest = Digest::of(&mail.message).to_string();
        let shelf = self.store.open(task)?;
        if self.layout == Layout::Mboxrd {
            let sidecar = |folder: &Folder| {
                let json = || sidecar::mail(task, &digest, MBOX);
                self.sidecar(&shelf, &folder.enter(os("sidecar"))?, &digest, &json)
            };
            let beside: &dyn Fn(&Folder) -> Result<(), Error> = match self.sidecar {
                true => &sidecar,
                false => &|_| Ok(()),
            };
            return shelf.append(mail, &digest, beside);
        }
        if shelf.note_of(&digest)?.is_some() {
            return Ok(Kept::Before);
        }
        let folder = shelf.folder()?;
        let kept = if self.parts {
            self.keep_parts(task, &shelf, &folder, &digest)?
        } else {
            self.keep_mail(task, &shelf, &folder, &digest)?
        };
        if let Err(error) = shelf.note(&digest, b"") {
            // It is kept. Should it come again and belong into another folder then, it is kept there too.
            log::warn!("{}: {error}", task.rule);
        }
        Ok(kept)
    }

    fn keep_mail(
        &self,
        task: &Task<'_>,
        shelf: &Shelf,
        folder: &Folder,
        digest: &str,
    ) -> Result<Kept, Error> {
        let raw = task.mail.message.raw();
        let name = match self.layout {
            Layout::Maildir => digest.to_string(),
            _ => format!("{digest}.eml{}", self.suffix()),
        };
        let (of_mail, of_sidecar) = match self.layout {
            Layout::Maildir => {
                for name in ["cur", "tmp"] {
                    folder.enter(os(name))?;
                }
                let sidecar = self.sidecar.then(|| folder.enter(os("sidecar")));
                (folder.enter(os("new"))?, sidecar.transpose()?)
            }
            _ => (folder.again()?, Some(folder.again()?)),
        };
        if self.sidecar
            && let Some(folder) = of_sidecar
        {
            self.sidecar(shelf, &folder, digest, &|| {
                sidecar::mail(task, digest, &name)
            })?;
        }
        shelf.file(&of_mail, &name, self.compress, raw)
    }

    /// The parts that the rule takes, each with what is below it.
    fn keep_parts(
        &self,
        task: &Task<'_>,
        shelf: &Shelf,
        folder: &Folder,
        digest: &str,
    ) -> Result<Kept, Error> {
        let parts: Vec<Part<'_>> = leaves(task.mail, task.parts);
        let name = |part: Part<'_>| {
            let (extension, _) = content(part);
            format!(
                "{digest}-{}.{extension}{}",
                part.section_text(),
                self.suffix()
            )
        };
        if self.sidecar {
            self.sidecar(shelf, folder, digest, &|| {
                sidecar::parts(task, digest, &parts, &name)
            })?;
        }
        let mut kept = Kept::Before;
        for part in &parts {
            let (_, content) = content(*part);
            if shelf.file(folder, &name(*part), self.compress, &content)? == Kept::Now {
                kept = Kept::Now;
            }
        }
        Ok(kept)
    }

    /// Stands there before what it speaks of.
    fn sidecar(
        &self,
        shelf: &Shelf,
        folder: &Folder,
        digest: &str,
        json: &dyn Fn() -> String,
    ) -> Result<(), Error> {
        let name = format!("{digest}.json");
        shelf.file(folder, &name, Compress::No, json().as_bytes())?;
        Ok(())
    }

    fn suffix(&self) -> &'static str {
        match self.compress {
            Compress::No => "",
            Compress::Gzip => ".gz",
            #[cfg(feature = "zstd")]
            Compress::Zstd => ".zst",
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
