//! The ledger: who already has a mail that its client will send again.
//!
//! When the classes of a mail end differently, or the client cannot be told that its mail was accepted, the client
//! keeps the mail and retries. The ledger records durably, before the next class's final dot, which recipients have it
//! by then, so that the retry delivers only what is missing. An entry is an empty file: its name is the hash of return
//! path, recipient and the digest of the mail, its time the moment of delivery. All workers share the directory; an
//! entry is made and removed by one system call each, and nothing else is ever changed.
//!
//! Must never: say because of an error that somebody has a mail (twice is better than not at all), hold an address in
//! clear text, or touch a file that is not an entry.
//!
//! Known limits: the entries belong to this machine, so a retry that comes to another machine doubles the mail. Above
//! [`ENTRIES`] nothing is written until old entries have expired.

use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use data_encoding::HEXLOWER;
use mimicry_core::envelope::Path as Address;
use mimicry_core::mail::Mail;
use mimicry_core::message::digest::Digest as MailDigest;
use mimicry_core::settings::endpoint::Protocol;
use sha2::{Digest, Sha256};

use crate::prefork::tally::{Gauge, Tally};
use stamp::Stamp;

use crate::sys::entry::Entry;
use crate::sys::privileges;

mod stamp;

/// Longer than clients keep a mail: Postfix gives up after five days.
const LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// So many, and no more: 20 000 inodes.
const ENTRIES: usize = 20_000;

/// How often a worker looks for entries that have expired.
const SWEEPING: Duration = Duration::from_secs(60 * 60);

/// The directory of the entries below the spool.
const DIRECTORY: &str = "ledger";

/// What the name of a file ends in that is no entry yet.
const RESERVED: &str = ".new";

/// What one worker sees of the ledger.
#[derive(Debug)]
pub struct Ledger {
    directory: PathBuf,
    /// The directory could be written once; until then it is looked at again, because a disk may come back.
    was_there: Cell<bool>,
    swept_at: Option<Instant>,
    /// The directory when it was empty, if it can be told from any later state.
    empty: Cell<Option<Stamp>>,
    /// Where the number of entries is told.
    tally: Option<Tally>,
}

/// A mail for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// `digest` is that of the mail below its leading trace block.
    pub fn of(sender: &Address, recipient: &Address, digest: &[u8]) -> Key {
        let mut hash = Sha256::new();
        for field in [sender.as_bytes(), recipient.as_bytes(), digest] {
            hash.update((field.len() as u64).to_be_bytes());
            hash.update(field);
        }
        Key(HEXLOWER.encode(&hash.finalize()))
    }

    /// Its name on the disk: 64 hexadecimal digits.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl Ledger {
    /// The ledger below this spool. Without a directory that can be written it remembers nothing; the second value says why.
    pub fn open(spool: &Path) -> (Ledger, Option<io::Error>) {
        let directory = Ledger::directory(spool);
        match is_writable(&directory) {
            Ok(()) => (Ledger::at(directory, true), None),
            Err(error) => (Ledger::at(directory, false), Some(error)),
        }
    }

    /// Where its entries are below this spool.
    pub fn directory(spool: &Path) -> PathBuf {
        spool.join(DIRECTORY)
    }

    fn at(directory: PathBuf, is_there: bool) -> Ledger {
        Ledger {
            directory,
            was_there: Cell::new(is_there),
            swept_at: None,
            empty: Cell::new(None),
            tally: None,
        }
    }

    /// This one tells how many entries it saw.
    pub fn telling(self, tally: Option<Tally>) -> Ledger {
        Ledger { tally, ..self }
    }

    fn tell(&self, entries: usize) {
        if let Some(tally) = &self.tally {
            tally.set(Gauge::LedgerEntries, entries as u64);
        }
    }

    /// Makes the directory, if it is not there, for the user that the workers run as. For the master.
    pub fn prepare(
        spool: &Path,
        owner: Option<(nix::unistd::Uid, nix::unistd::Gid)>,
    ) -> io::Result<()> {
        for (directory, mode) in [
            (spool.to_path_buf(), 0o755),
            (Ledger::directory(spool), 0o700),
        ] {
            privileges::or_in_the_name_of(owner, || {
                Entry::of(&directory)?.make_directory(mode, owner)
            })?;
        }
        Ok(())
    }

    /// Is there a ledger at all?
    pub fn is_there(&self) -> bool {
        if !self.was_there.get() {
            self.was_there.set(is_writable(&self.directory).is_ok());
        }
        self.was_there.get()
    }

    /// Has nobody anything beforehand? Cheap, so that the digest of a mail is only made where it is needed: as long as the directory is
    /// empty and nobody changes it, one look at its time. Other processes write into it, and not only those of this daemon's master.
    pub fn is_empty(&self) -> bool {
        let Ok(stamp) = Stamp::of(&self.directory) else {
            return true;
        };
        if self.empty.get() == Some(stamp) {
            return true;
        }
        let now = SystemTime::now();
        let is_empty =
            fs::read_dir(&self.directory).map_or(true, |mut entries| entries.next().is_none());
        let known = (is_empty && stamp.is_telling(now)).then_some(stamp);
        self.empty.set(known);
        if is_empty {
            self.tell(0);
        }
        is_empty
    }

    /// Does the recipient have the mail already?
    pub fn has(&self, key: &Key) -> bool {
        fs::symlink_metadata(self.directory.join(&key.0)).is_ok()
    }

    /// Makes sure that there is room for these before anybody has the mail: a file for each, which [`Ledger::remember`] gives its name.
    /// On an error there is none. Where there is no ledger, or it has all the entries that it may have, nothing is done.
    pub fn reserve(&self, keys: &[Key]) -> io::Result<()> {
        let directory = &self.directory;
        if !self.is_there() || count(directory)?.saturating_add(keys.len()) > ENTRIES {
            return Ok(());
        }
        let made = keys
            .iter()
            .try_for_each(|key| make(&reserved(directory, key)));
        if made.is_err() {
            self.release(keys);
        }
        made
    }

    /// What was reserved and not used.
    pub fn release(&self, keys: &[Key]) {
        for key in keys {
            // Most are not there; one that cannot be removed expires.
            let _ = fs::remove_file(reserved(&self.directory, key));
        }
    }

    /// Writes down that these have the mail; when it returns, a crash of the machine changes nothing about it.
    pub fn remember(&self, keys: &[Key]) -> io::Result<()> {
        let directory = &self.directory;
        if keys.is_empty() {
            return Ok(());
        }
        if count(directory)?.saturating_add(keys.len()) > ENTRIES {
            expire(directory, SystemTime::now())?;
            if count(directory)?.saturating_add(keys.len()) > ENTRIES {
                return Err(io::Error::new(
                    ErrorKind::QuotaExceeded,
                    "the ledger is full",
                ));
            }
        }
        for key in keys {
            let entry = directory.join(&key.0);
            // A name takes no room, where a file takes some.
            if fs::rename(reserved(directory, key), &entry).is_err() {
                make(&entry)?;
            }
        }
        // Entries have no content: all there is to them stands in the directory.
        File::open(directory)?.sync_all()?;
        self.tell(count(directory)?);
        Ok(())
    }

    /// The client knows now: the entries have done their work.
    pub fn consume(&self, keys: &[Key]) {
        let mut is_changed = false;
        for key in keys {
            // One that cannot be removed expires; the same mail to the same recipient does not come again.
            match fs::remove_file(self.directory.join(&key.0)) {
                Ok(()) => is_changed = true,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => log::warn!("an entry of the ledger cannot be removed: {error}"),
            }
        }
        if is_changed {
            self.tell(count(&self.directory).unwrap_or_default());
        }
    }

    /// To be called between mails: now and then removes entries of clients that never came again.
    pub fn sweep(&mut self) {
        let is_due = self.swept_at.is_none_or(|at| at.elapsed() >= SWEEPING);
        if is_due && self.is_there() {
            self.swept_at = Some(Instant::now());
            if let Err(error) = expire(&self.directory, SystemTime::now()) {
                log::warn!("the ledger cannot be swept: {error}");
            }
            self.tell(count(&self.directory).unwrap_or_default());
        }
    }
}

/// What the ledger knows of the mail in hand.
pub struct Memory<'l> {
    ledger: &'l Ledger,
    /// One per recipient; empty = nothing is known, and nothing need be remembered.
    keys: Vec<Key>,
    had: Vec<bool>,
}

impl<'l> Memory<'l> {
    /// The digest of a mail is made only where somebody may have it already, or where it `may_be_asked` for: it may be that only some
    /// will have the mail, or the mail is not there any more when it is known who has it.
    pub fn of(ledger: &'l Ledger, client: Protocol, mail: &Mail, may_be_asked: bool) -> Memory<'l> {
        let is_needed = client == Protocol::Smtp
            && ledger.is_there()
            && (may_be_asked || !ledger.is_empty())
            && has_message_id(mail);
        let keys = if is_needed { keys(mail) } else { Vec::new() };
        Memory {
            ledger,
            had: keys.iter().map(|key| ledger.has(key)).collect(),
            keys,
        }
    }

    /// To be called before anybody has the mail, if only some may get it. An error says that it could not be remembered who.
    pub fn reserve(&self) -> io::Result<()> {
        self.ledger.reserve(&self.keys)
    }

    /// Those who have the mail already.
    pub fn who_had(&self) -> Vec<usize> {
        let all = (0..).zip(&self.had);
        all.filter(|(_, had)| **had).map(|(at, _)| at).collect()
    }

    /// Those who have the mail already, and those who have not.
    pub fn split(&self, recipients: &[usize]) -> (Vec<usize>, Vec<usize>) {
        let has = |at: &usize| self.had.get(*at).copied().unwrap_or(false);
        recipients.iter().partition(|at| has(at))
    }

    /// These have it now. To be called before the next class's final dot, and behind the last one if the client will come again.
    pub fn remember(&self, recipients: &[usize]) {
        let keys = recipients.iter().filter_map(|at| self.keys.get(*at));
        write_down(self.ledger, &keys.cloned().collect::<Vec<_>>());
    }

    /// What is left to do when it is known whether the client got its reply. `has` = who has the mail; `is_final` = the client
    /// will not bring it again, once it has the reply.
    pub fn unsettled(self, has: Vec<usize>, is_final: bool, was_reserved: bool) -> Unsettled {
        if was_reserved {
            self.ledger.release(&self.keys);
        }
        Unsettled {
            has,
            keys: self.keys,
            is_final,
        }
    }
}

/// What the ledger is to be told when it is known whether the client got its reply.
pub struct Unsettled {
    /// Who has the mail now: places in the envelope.
    has: Vec<usize>,
    /// One per recipient; empty = not made yet.
    keys: Vec<Key>,
    /// The final reply makes them superfluous.
    is_final: bool,
}

impl Unsettled {
    /// A client that could not be told that its mail was taken will bring it again.
    pub fn settle(self, ledger: &Ledger, mail: &Mail, told: bool) {
        if told {
            if self.is_final {
                ledger.consume(&self.keys);
            }
            return;
        }
        if !ledger.is_there() || !has_message_id(mail) || self.has.is_empty() {
            return;
        }
        let keys = match self.keys.is_empty() {
            true => keys(mail),
            false => self.keys,
        };
        let keys = self.has.iter().filter_map(|at| keys.get(*at));
        write_down(ledger, &keys.cloned().collect::<Vec<_>>());
    }
}

fn write_down(ledger: &Ledger, keys: &[Key]) {
    if keys.is_empty() {
        return;
    }
    if let Err(error) = ledger.remember(keys) {
        log::warn!("a mail may be doubled: the ledger cannot be written: {error}");
    }
}

fn keys(mail: &Mail) -> Vec<Key> {
    let digest = MailDigest::of(&mail.message);
    let envelope = &mail.envelope;
    envelope
        .recipients
        .iter()
        .map(|recipient| Key::of(&envelope.sender, &recipient.path, digest.as_bytes()))
        .collect()
}

/// Without one, two mails of the same words (a report that is sent every hour) could not be told apart.
fn has_message_id(mail: &Mail) -> bool {
    mail.message
        .root()
        .fields()
        .any(|field| field.is("message-id") && !field.value().trim_ascii().is_empty())
}

/// What is reserved for an entry.
fn reserved(directory: &Path, key: &Key) -> PathBuf {
    directory.join(format!("{}{RESERVED}", key.0))
}

fn make(file: &Path) -> io::Result<()> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file);
    match made {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn count(directory: &Path) -> io::Result<usize> {
    Ok(fs::read_dir(directory)?.count())
}

fn is_writable(directory: &Path) -> io::Result<()> {
    let is_directory = fs::symlink_metadata(directory)?.is_dir();
    if !is_directory {
        return Err(ErrorKind::NotADirectory.into());
    }
    nix::unistd::access(
        directory,
        nix::unistd::AccessFlags::R_OK
            | nix::unistd::AccessFlags::W_OK
            | nix::unistd::AccessFlags::X_OK,
    )?;
    Ok(())
}

fn expire(directory: &Path, now: SystemTime) -> io::Result<()> {
    for entry in fs::read_dir(directory)?.flatten() {
        let name = entry.file_name();
        let name = name.to_str().unwrap_or_default();
        let name = name.strip_suffix(RESERVED).unwrap_or(name);
        let is_entry = Some(name)
            .is_some_and(|name| name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit()));
        // A time that lies ahead is a clock that was set: it expires when that time has come.
        let age = entry
            .metadata()
            .ok()
            .and_then(|facts| now.duration_since(facts.modified().ok()?).ok());
        if is_entry && age.is_some_and(|age| age > LIFETIME) {
            // Another worker may have been faster.
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> (tempfile::TempDir, Ledger) {
        let spool = tempfile::tempdir().unwrap();
        Ledger::prepare(spool.path(), None).unwrap();
        let (ledger, error) = Ledger::open(spool.path());
        assert!(error.is_none());
        (spool, ledger)
    }

    fn key(sender: &str, recipient: &str, digest: &[u8]) -> Key {
        Key::of(&Address::new(sender), &Address::new(recipient), digest)
    }

    #[test]
    fn what_is_remembered_is_there_until_it_is_consumed_once() {
        let (spool, ledger) = ledger();
        let (bob, eva) = (key("a@x", "bob@y", b"1"), key("a@x", "eva@y", b"1"));
        assert!(ledger.is_empty() && !ledger.has(&bob));
        ledger.remember(&[bob.clone(), eva.clone()]).unwrap();
        ledger.remember(std::slice::from_ref(&bob)).unwrap();
        // Another worker, or this machine after a restart.
        let (other, _) = Ledger::open(spool.path());
        assert!(!other.is_empty() && other.has(&bob) && other.has(&eva));
        other.consume(std::slice::from_ref(&bob));
        assert!(!ledger.has(&bob) && ledger.has(&eva));
        ledger.consume(&[bob, eva]);
        assert!(other.is_empty());
    }

    // T144
    #[test]
    fn t144_room_is_made_beforehand() {
        let (spool, ledger) = ledger();
        let keys = ["bob@y", "eva@y"].map(|to| key("a@x", to, b"1"));
        let files = || fs::read_dir(spool.path().join(DIRECTORY)).unwrap().count();
        ledger.reserve(&keys).unwrap();
        assert!(keys.iter().all(|key| !ledger.has(key)));
        ledger.remember(&keys[..1]).unwrap();
        assert_eq!((files(), ledger.has(&keys[0])), (2, true));
        ledger.release(&keys);
        assert_eq!((files(), ledger.has(&keys[0])), (1, true));
        // Who reserved nothing, or whose file another one has used, makes one.
        ledger.remember(&keys).unwrap();
        ledger.consume(&keys);
        assert_eq!(files(), 0);
        // What a killed worker left is no entry, and goes as an old entry does.
        ledger.reserve(&keys).unwrap();
        let directory = spool.path().join(DIRECTORY);
        expire(&directory, SystemTime::now()).unwrap();
        assert_eq!(files(), 2);
        expire(&directory, SystemTime::now() + LIFETIME * 2).unwrap();
        assert_eq!(files(), 0);
        fs::remove_dir(&directory).unwrap();
        assert!(ledger.reserve(&keys).is_err());
    }

    #[test]
    fn a_key_is_of_its_three_parts() {
        let keys = [
            key("a@x", "bob@y", b"1"),
            key("a@x", "bob@y", b"2"),
            key("a@x", "eva@y", b"1"),
            key("", "bob@y", b"1"),
            key("a@xb", "ob@y", b"1"),
            key("a@x", "Bob@y", b"1"),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(key), "{index}");
        }
    }

    #[test]
    fn without_a_spool_nothing_is_remembered_and_nobody_has_anything() {
        let (ledger, error) = Ledger::open(Path::new("/nonexistent/spool"));
        assert_eq!(error.unwrap().kind(), ErrorKind::NotFound);
        let key = key("a", "b", b"");
        assert!(ledger.remember(std::slice::from_ref(&key)).is_err());
        assert!(ledger.is_empty() && !ledger.has(&key));
        ledger.consume(&[key]);
    }

    /// Another process writes into it, right after it was found empty.
    #[test]
    fn it_is_empty_only_while_it_is() {
        let (spool, ledger) = ledger();
        let other = Ledger::open(spool.path()).0;
        let keys = [key("a@b", "c@d", b"digest")];
        for _ in 0..200 {
            assert!(ledger.is_empty() && other.is_empty());
            other.remember(&keys).unwrap();
            assert!(!ledger.is_empty() && !other.is_empty());
            ledger.consume(&keys);
        }
    }

    #[test]
    fn a_ledger_that_comes_back_is_used() {
        let spool = tempfile::tempdir().unwrap();
        let (ledger, error) = Ledger::open(spool.path());
        assert!(error.is_some() && !ledger.is_there());
        Ledger::prepare(spool.path(), None).unwrap();
        assert!(ledger.is_there());
        let key = key("a@x", "bob@y", b"1");
        ledger.remember(std::slice::from_ref(&key)).unwrap();
        assert!(ledger.has(&key) && !ledger.is_empty());
    }

    #[test]
    fn a_link_is_no_ledger() {
        let (spool, _) = ledger();
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(
            spool.path().join(DIRECTORY),
            elsewhere.path().join(DIRECTORY),
        )
        .unwrap();
        assert!(Ledger::open(elsewhere.path()).1.is_some());
    }

    #[test]
    fn only_entries_expire_and_only_old_ones() {
        let (spool, mut ledger) = ledger();
        let directory = spool.path().join(DIRECTORY);
        let (old, new) = (key("a", "b", b"1"), key("a", "b", b"2"));
        ledger.remember(&[old.clone(), new.clone()]).unwrap();
        fs::write(directory.join("README"), "").unwrap();
        let long_ago = SystemTime::now() - LIFETIME - Duration::from_secs(60);
        for name in [old.0.as_str(), "README"] {
            File::options()
                .write(true)
                .open(directory.join(name))
                .unwrap()
                .set_modified(long_ago)
                .unwrap();
        }
        ledger.sweep();
        assert!(!ledger.has(&old) && ledger.has(&new));
        assert!(directory.join("README").exists());
    }

    #[test]
    fn it_does_not_grow_without_bound() {
        let (spool, ledger) = ledger();
        let many: Vec<Key> = (0..ENTRIES as u64)
            .map(|n| key("a", "b", &n.to_be_bytes()))
            .collect();
        ledger.remember(&many).unwrap();
        let one_more = key("a", "b", b"more");
        let full = ledger
            .remember(std::slice::from_ref(&one_more))
            .unwrap_err();
        assert_eq!(full.kind(), ErrorKind::QuotaExceeded);
        assert!(!ledger.has(&one_more));
        // Room comes back with what has expired.
        let directory = spool.path().join(DIRECTORY);
        let file = File::options()
            .write(true)
            .open(directory.join(&many[0].0))
            .unwrap();
        file.set_modified(SystemTime::now() - LIFETIME - Duration::from_secs(60))
            .unwrap();
        ledger.remember(std::slice::from_ref(&one_more)).unwrap();
        assert!(ledger.has(&one_more));
    }
}
