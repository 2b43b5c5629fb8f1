//! What plugins keep on disk: the only place in the plugins with effects, and only in directories that the
//! configuration names.
//!
//! - [`place`]: patterns of directories · [`disk`]: files that are whole or not there · `mboxrd`: a file that grows ·
//!   [`sidecar`]: what a copy cannot tell about itself · [`known`]: by what a mail is known that comes again
//!
//! A mail is kept once, however often its client brings it: the names of files are made of its [`known::Key`], and what was
//! kept within the last days is noted in the store's own folder of the declared directory (`.mimicry/seen/DAY`, days since
//! 1970), because the folder for a mail may be another one tomorrow, and because a reader of mail moves and renames what is in a
//! Maildir. `.mimicry/work` holds unfinished files, `.mimicry/lock` the files by whose locks mails with the same words wait for
//! each other; mails with others seldom do.
//!
//! Must never: write outside a declared directory, or for a mail that is only looked at ([`Effects::None`]).
//!
//! Known limits: a mail that comes again after more than [`DAYS`] days may be kept again; so may one that comes
//! to two machines at once which share the directory and not its locks. All folders below a declared directory must be on one file system.

pub mod disk;
mod forced;
pub mod known;
mod mboxrd;
pub mod place;
pub mod sidecar;

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use mimicry_core::message::compose::fnv1a;
use mimicry_core::plugin::{Effects, Fault, OptionError, Options, Task};

use disk::{Draft, Error, Folder};
use known::{Key, Note};
pub use mboxrd::MBOX;
use place::{FolderPattern, OWN, os};

/// How long it is noted that a mail was kept: longer than mail servers try (RFC 5321 section 4.5.4.1: at least 4-5 days).
const DAYS: i64 = 8;

/// Old notes that are removed with each mail.
const NOTES_REMOVED: usize = 100;

const DAY: i64 = 86_400;

/// A directory with folders by facts of the mail.
#[derive(Debug)]
pub struct Store {
    place: FolderPattern,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    Now,
    /// By an earlier attempt of the same mail.
    Before,
    /// By an earlier attempt; the trace fields that it had not are kept now.
    Trace,
    /// Its content is that of an earlier mail to others; a sidecar that says so is kept now.
    Named,
}

/// How files are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compress {
    No,
    Gzip,
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Store {
    /// The store of an option of kind directory; `None` = the option is not set.
    pub fn build(option: &'static str, options: &Options) -> Result<Option<Store>, OptionError> {
        let Some(pattern) = options.directory(option) else {
            return Ok(None);
        };
        match FolderPattern::parse(pattern) {
            Ok(place) => Ok(Some(Store { place })),
            Err((message, help)) => Err(OptionError::new(option, message, help)),
        }
    }

    pub fn declared(&self) -> &Path {
        self.place.declared()
    }

    /// Whether the folder for a mail follows from who receives it.
    pub fn reads_recipients(&self) -> bool {
        self.place.reads_recipients()
    }

    /// The folder for this mail, as it is shown.
    pub fn shown(&self, task: &Task<'_>) -> String {
        let folders = self.place.folders(task);
        let path: PathBuf = folders
            .iter()
            .fold(self.declared().to_path_buf(), |path, name| path.join(name));
        path.display().to_string()
    }

    /// Opens the store to keep something of this mail; sweeps up what killed processes left. Nobody else keeps anything of the
    /// same words meanwhile: of two that come at once, each would take itself for the first.
    pub fn open(&self, task: &Task<'_>, key: &Key) -> Result<Shelf, Error> {
        debug_assert!(task.effects == Effects::Real);
        let declared = Folder::declared(self.declared())?;
        let own = declared.enter(os(OWN))?;
        let shelf = Shelf {
            folders: self.place.folders(task),
            work: own.enter(os("work"))?,
            seen: own.enter(os("seen"))?,
            day: task.mail.received.unix.div_euclid(DAY),
            rule: fnv1a(task.rule.bytes(), 0),
            _lock: own.enter(os("lock"))?.locked(os(key.slot()))?,
            declared,
            made: RefCell::default(),
        };
        shelf.work.sweep(task.mail.received.unix);
        shelf.forget();
        Ok(shelf)
    }
}

/// A store that is open for one mail. What was made goes with it unless it is [`done`](Shelf::done): a sidecar without what it
/// speaks of would speak of nothing.
#[derive(Debug)]
pub struct Shelf {
    declared: Folder,
    /// Below it, for this mail.
    folders: Vec<OsString>,
    work: Folder,
    seen: Folder,
    day: i64,
    /// Several rules may keep in one directory.
    rule: u64,
    /// Files that were not there before.
    made: RefCell<Vec<(Folder, OsString)>>,
    _lock: File,
}

impl Drop for Shelf {
    /// Under the lock still.
    fn drop(&mut self) {
        for (folder, name) in self.made.take() {
            // What cannot be removed is as good as what a killed process leaves.
            let _ = folder.remove_file(&name);
        }
    }
}

impl Shelf {
    /// The folder for this mail, made when it is missing.
    pub fn folder(&self) -> Result<Folder, Error> {
        let mut folder = self.declared.again()?;
        for name in &self.folders {
            folder = folder.enter(name)?;
        }
        Ok(folder)
    }

    /// Where that is, for a note.
    pub fn folder_name(&self) -> String {
        let names = self.folders.iter().map(|name| name.to_string_lossy());
        names.collect::<Vec<_>>().join("/")
    }

    /// The folder of a note; `None` = it is gone.
    pub fn folder_of(&self, note: &Note) -> Result<Option<Folder>, Error> {
        let mut folder = self.declared.again()?;
        for name in note.folder.split('/').filter(|name| !name.is_empty()) {
            match folder.find(os(name))? {
                Some(below) => folder = below,
                None => return Ok(None),
            }
        }
        Ok(Some(folder))
    }

    /// All octets that a file holds, whatever it is compressed by; at most `most` of them.
    pub fn content(
        &self,
        folder: &Folder,
        name: &str,
        compress: Compress,
        most: u64,
    ) -> Result<Vec<u8>, Error> {
        let file = folder.open(os(name))?;
        let mut content = Vec::new();
        let read = match compress {
            Compress::No => file.take(most).read_to_end(&mut content),
            Compress::Gzip => MultiGzDecoder::new(file)
                .take(most)
                .read_to_end(&mut content),
            #[cfg(feature = "zstd")]
            Compress::Zstd => zstd::stream::Decoder::new(file)
                .and_then(|decoder| decoder.take(most).read_to_end(&mut content)),
        };
        read.map_err(|error| folder.fail(os(name), disk::Why::System(error)))?;
        Ok(content)
    }

    /// All that belongs together is there: it stays.
    pub fn done(&self) {
        self.made.take();
    }

    /// Keeps a file as a whole, unless there is one of that name: names are made of the digest of what they hold.
    pub fn file(
        &self,
        folder: &Folder,
        name: &str,
        compress: Compress,
        content: &[u8],
    ) -> Result<Kept, Error> {
        if folder.has_file(os(name))? {
            // It was whole and on disk when it got its name; whether the name is on disk is another matter.
            folder.sync()?;
            return Ok(Kept::Before);
        }
        let mut draft = Draft::new(&self.work)?;
        write(&mut draft, compress, content).map_err(|error| draft.fail(error))?;
        let again = folder.again()?;
        draft.place(folder, os(name))?;
        self.made
            .borrow_mut()
            .push((again, os(name).to_os_string()));
        Ok(Kept::Now)
    }

    /// Was this noted within the last days; what was noted of it.
    pub fn note_of(&self, key: &str) -> Result<Option<Note>, Error> {
        let name = self.note_name(key);
        for day in self.seen.names()? {
            let Some(folder) = self.seen.find(&day)? else {
                continue;
            };
            if let Some(note) = folder.read(os(&name))?.as_deref().and_then(Note::parse) {
                return Ok(Some(note));
            }
        }
        Ok(None)
    }

    /// Notes that this was kept.
    pub fn note(&self, key: &str, note: &Note) -> Result<(), Error> {
        let folder = self.seen.enter(os(&self.day.to_string()))?;
        let text = note.text();
        folder.note(&self.work, os(&self.note_name(key)), text.as_bytes())
    }

    fn note_name(&self, key: &str) -> String {
        format!("{key}-{:016x}", self.rule)
    }

    /// Removes some of the notes that are too old.
    fn forget(&self) {
        for name in self.seen.names().unwrap_or_default() {
            let day = name.to_str().and_then(|day| day.parse::<i64>().ok());
            if day.is_none_or(|day| day >= self.day.saturating_sub(DAYS)) {
                continue;
            }
            let Ok(Some(folder)) = self.seen.find(&name) else {
                continue;
            };
            let notes = folder.names().unwrap_or_default();
            for note in notes.iter().take(NOTES_REMOVED) {
                let _ = folder.remove_file(note);
            }
            if notes.len() <= NOTES_REMOVED {
                let _ = self.seen.remove_folder(&name);
            }
        }
    }
}

/// What a file of a store holds, compressed or not. An error: it holds more octets than that.
pub fn uncompressed(octets: &[u8], most: u64) -> io::Result<Vec<u8>> {
    if octets.starts_with(&[0x1f, 0x8b]) {
        return all_of(MultiGzDecoder::new(octets), most);
    }
    if octets.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        #[cfg(feature = "zstd")]
        return all_of(zstd::stream::Decoder::new(octets)?, most);
        #[cfg(not(feature = "zstd"))]
        return Err(io::Error::other("this mimicry was built without zstd"));
    }
    all_of(octets, most)
}

/// All that there is to read. An error: it is more octets than that, of which a part would pass for the whole.
pub fn all_of(source: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    source
        .take(most.saturating_add(1))
        .read_to_end(&mut content)?;
    match content.len() as u64 > most {
        true => Err(io::ErrorKind::FileTooLarge.into()),
        false => Ok(content),
    }
}

fn write(draft: &mut Draft<'_>, compress: Compress, content: &[u8]) -> io::Result<()> {
    match compress {
        Compress::No => draft.write_all(content),
        Compress::Gzip => {
            let mut encoder = GzEncoder::new(draft, Compression::default());
            encoder.write_all(content)?;
            encoder.finish().map(|_| ())
        }
        #[cfg(feature = "zstd")]
        Compress::Zstd => {
            let mut encoder = zstd::stream::Encoder::new(draft, 0)?;
            encoder.write_all(content)?;
            encoder.finish().map(|_| ())
        }
    }
}

/// A failure as the job's. The client, which may be far away, is told no paths.
pub fn fault(what: &str, error: &Error) -> Fault {
    if error.is_full() {
        return Fault::StorageFull(format!("{what} cannot be stored: there is no room left"));
    }
    Fault::Temporary(format!("{what} cannot be stored"))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use mimicry_core::envelope::Envelope;
    use mimicry_core::mail::{Mail, Moment};

    use super::*;
    use crate::shared::judged;

    /// From anna@example.org to bo@example.com and cy@example.net, 22 Nov 2026, 09:30:10 UTC, an hour later here.
    pub(crate) fn mail(message: &[u8]) -> Mail {
        Mail {
            envelope: Envelope::new("anna@example.org", ["bo@example.com", "cy@example.net"]),
            received: Moment {
                unix: 1_795_339_810,
                offset: 3600,
            },
            ..judged::mail(message)
        }
    }

    pub(crate) fn task<'a>(mail: &'a Mail, variables: &'a BTreeMap<String, String>) -> Task<'a> {
        Task {
            rule: "a",
            recipients: &[0, 1],
            rules: &["a"],
            effects: Effects::Real,
            ..Task::plain(mail, variables)
        }
    }

    #[test]
    fn what_was_written_is_read_as_a_whole_or_not_at_all() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::declared(place.path()).unwrap();
        let content = "more than a part of it. ".repeat(100);
        let most = content.len() as u64;
        for compress in [
            Compress::No,
            Compress::Gzip,
            #[cfg(feature = "zstd")]
            Compress::Zstd,
        ] {
            let mut draft = Draft::new(&folder).unwrap();
            write(&mut draft, compress, content.as_bytes()).unwrap();
            let name = OsString::from(format!("{compress:?}"));
            draft.place(&folder, &name).unwrap();
            let octets = std::fs::read(place.path().join(&name)).unwrap();
            assert_eq!(uncompressed(&octets, most).unwrap(), content.as_bytes());
            let error = uncompressed(&octets, most - 1).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        }
    }
}
