//! What is done to each store while it is recorded, and how what is left is opened: by the program's own readers.
//!
//! Must never: look at a store in a way that the program does not, but to compare whole files.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use mimicry_core::config::{self, Config};
use mimicry_core::engine;
use mimicry_core::envelope::{Envelope, Path as Address, Recipient};
use mimicry_core::extension::Extensions;
use mimicry_core::mail::{Mail, Moment};
use mimicry_core::message::digest::Digest;
use mimicry_core::message::{Limits, Message};
use mimicry_core::origin::Origin;
use mimicry_core::plugin::Effects;
use mimicry_core::policy::Memo;
use mimicry_core::seals::SealKeys;
use mimicry_core::settings::endpoint::NextHop as Destination;
use mimicryd::master::pidfile::PidFile;
use mimicryd::prefork::poison::Entry as Killer;
use mimicryd::relay::maildir::Maildir;
use mimicryd::relay::{Answers, NextHop, Remembered, Watch};
use mimicryd::worker::ledger::{Key, Ledger};
use mimicryd::{poison, seal_keys};

use super::disk::Left;
use super::trace::TOLD;

pub struct Store {
    pub name: &'static str,
    /// What is on disk before.
    pub before: fn(&Path),
    /// In the traced process.
    pub act: fn(&Path),
    pub check: fn(&Crashed<'_>) -> Result<(), String>,
}

/// A machine that comes up again.
pub struct Crashed<'c> {
    pub root: &'c Path,
    /// What the process had said by then.
    pub told: &'c [String],
    /// What stands there when nothing is lost.
    pub whole: &'c Left,
}

impl Crashed<'_> {
    fn was_told(&self, what: &str) -> bool {
        self.told.iter().any(|told| told == what)
    }
}

pub const STORES: &[Store] = &[
    Store {
        name: "ledger",
        before: nothing,
        act: ledger,
        check: ledger_left,
    },
    Store {
        name: "ledger in a directory that another process has just made",
        before: nothing,
        act: |root| {
            make(&root.join("spool/ledger"));
            ledger(root);
        },
        check: ledger_left,
    },
    Store {
        name: "next hops",
        before: nothing,
        act: next_hops,
        check: next_hops_left,
    },
    Store {
        name: "keys of seals",
        before: nothing,
        act: keys,
        check: keys_left,
    },
    Store {
        name: "mails that killed workers",
        before: nothing,
        act: killers,
        check: killers_left,
    },
    Store {
        name: "pid file",
        before: |root| fs::write(root.join("pid"), "4194304\n").expect("a file"),
        act: pid_file,
        check: pid_file_left,
    },
    Store {
        name: "maildir",
        before: nothing,
        act: maildir,
        check: maildir_left,
    },
    Store {
        name: "maildir in directories that another process has just made",
        before: nothing,
        act: |root| {
            make(&root.join("a/b/new"));
            maildir(root);
        },
        check: maildir_left,
    },
    Store {
        name: "archive, a Maildir",
        before: nothing,
        act: |root| archive(root, MAILDIR),
        check: |crashed| archive_left(crashed, MAILDIR),
    },
    Store {
        name: "archive, files",
        before: nothing,
        act: |root| archive(root, FILES),
        check: |crashed| archive_left(crashed, FILES),
    },
    Store {
        name: "archive in directories that another process has just made",
        before: |root| {
            for name in ["work", "seen/20779", "lock"] {
                make(&root.join(".mimicry").join(name));
            }
        },
        act: |root| {
            make(&root.join("2026-11"));
            archive(root, FILES);
        },
        check: |crashed| archive_left(crashed, FILES),
    },
    Store {
        name: "archive, parts",
        before: nothing,
        act: |root| archive(root, PARTS),
        check: |crashed| archive_left(crashed, PARTS),
    },
    Store {
        name: "archive, a mailbox",
        before: nothing,
        act: |root| archive(root, MAILBOX),
        check: |crashed| archive_left(crashed, MAILBOX),
    },
    Store {
        name: "archive, a mailbox of another program's",
        before: |root| {
            make(&root.join("2026-11"));
            fs::write(root.join("2026-11/mbox"), FOREIGN).expect("a mailbox");
        },
        act: |root| archive(root, MAILBOX),
        check: |crashed| archive_left(crashed, MAILBOX),
    },
];

fn nothing(_root: &Path) {}

/// Makes directories as our program does, but dies before they are on disk.
fn make(path: &Path) {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(path).expect("directories");
}

/// The operation is done: whoever waits for it is told.
fn tell(what: &str) {
    let mut out = std::io::stdout();
    out.write_all(format!("{TOLD}{what}\n").as_bytes())
        .and_then(|()| out.flush())
        .expect("a reader");
}

fn must(truth: bool, what: impl Into<String>) -> Result<(), String> {
    truth.then_some(()).ok_or_else(|| what.into())
}

/// Names in a directory; none if it is not there.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries
        .map(|entry| {
            let name = entry.expect("an entry").file_name();
            name.to_string_lossy().into_owned()
        })
        .collect()
}

// --- the ledger

const WHO: [&str; 3] = ["bob@example.net", "eva@example.net", "tom@example.net"];

fn key(recipient: &str) -> Key {
    Key::of(
        &Address::new("anna@example.org"),
        &Address::new(recipient),
        b"digest",
    )
}

fn ledger(root: &Path) {
    let spool = root.join("spool");
    Ledger::prepare(&spool, None).expect("a spool");
    let (ledger, error) = Ledger::open(&spool);
    assert!(error.is_none(), "{error:?}");
    ledger.remember(&[key(WHO[0]), key(WHO[1])]).expect("room");
    tell(WHO[0]);
    tell(WHO[1]);
    ledger.remember(&[key(WHO[2])]).expect("room");
    tell(WHO[2]);
}

fn ledger_left(crashed: &Crashed<'_>) -> Result<(), String> {
    let spool = crashed.root.join("spool");
    Ledger::prepare(&spool, None).map_err(|error| error.to_string())?;
    let (ledger, error) = Ledger::open(&spool);
    must(error.is_none(), format!("{error:?}"))?;
    let keys = WHO.map(key);
    for (who, key) in WHO.iter().zip(&keys) {
        must(
            ledger.has(key) || !crashed.was_told(who),
            format!("{who} is forgotten"),
        )?;
    }
    for name in names(&spool.join("ledger")) {
        let is_known = keys.iter().any(|key| key.name() == name);
        must(is_known, format!("{name} is no entry"))?;
    }
    ledger.remember(&keys).map_err(|error| error.to_string())
}

// --- what next hops said

fn next_hop() -> Destination {
    Destination::parse("smtp://mx.example.org:25").expect("a next hop")
}

const SAID: [&str; 2] = ["mx|SIZE 777|8BITMIME", "mx|SIZE 888|8BITMIME|SMTPUTF8"];

fn said(text: &str) -> Extensions {
    Extensions::from_lines(text.split('|').map(str::as_bytes))
}

fn next_hops(root: &Path) {
    Remembered::prepare(root, None).expect("a spool");
    let mut remembered = Remembered::below(root);
    for text in SAID {
        remembered.note(&next_hop(), &said(text));
    }
}

fn next_hops_left(crashed: &Crashed<'_>) -> Result<(), String> {
    Remembered::prepare(crashed.root, None).map_err(|error| error.to_string())?;
    let last = Remembered::below(crashed.root).last(&next_hop());
    let is_whole = last
        .as_ref()
        .is_none_or(|last| SAID.iter().any(|text| said(text) == *last));
    must(is_whole, format!("{last:?} was never said"))
}

// --- the keys of seals

const NOW: i64 = 2_000_000_000;
const LATER: i64 = NOW + 91 * 24 * 3600;

fn prepared(root: &Path, now: i64) -> Result<SealKeys, String> {
    let spool = root.join("spool");
    let source = format!(
        "[daemon]\nspool = \"{}\"\n[[rule]]\nname = \"b\"\nplugin = \"banner\"\noptions = {{ text = \"x\" }}\n",
        spool.display()
    );
    let config = parsed(&source);
    assert!(config.banks.needs_seal_keys());
    seal_keys::prepare(&config, now, SealKeys::NONE)
}

fn keys(root: &Path) {
    prepared(root, NOW).expect("keys");
    tell("made");
    prepared(root, LATER).expect("keys");
    tell("renewed");
}

fn keys_left(crashed: &Crashed<'_>) -> Result<(), String> {
    let path = crashed.root.join("spool/seal.keys");
    let before = fs::read(&path).ok();
    let keys = prepared(crashed.root, NOW)?;
    let after = fs::read(&path).ok();
    must(
        before.is_none() || before == after,
        "what is left is no file of keys",
    )?;
    let expected = match (crashed.was_told("made"), crashed.was_told("renewed")) {
        (_, true) => LATER,
        (true, _) => NOW,
        _ => 0,
    };
    let newest = keys.newest().unwrap_or_default();
    must(before.is_some() || expected == 0, "the keys are forgotten")?;
    must(newest >= expected, "the new key is forgotten")?;
    let seal = keys.seal(newest, &[b"x"]).ok_or("keys that seal nothing")?;
    must(keys.holds(newest, &seal, &[b"x"]), "keys that do not hold")
}

// --- mails that killed workers

fn killer(number: u8, deaths: u64) -> Killer {
    Killer {
        digest: Digest::of_octets(&[number]),
        deaths,
        last: NOW,
    }
}

fn saves() -> [Vec<Killer>; 3] {
    [
        vec![killer(1, 1)],
        vec![killer(1, 2), killer(2, 1)],
        vec![killer(1, 3)],
    ]
}

fn killers(root: &Path) {
    let spool = root.join("spool");
    for (number, entries) in saves().iter().enumerate() {
        poison::save(&spool, entries).expect("a spool");
        tell(&number.to_string());
    }
}

fn killers_left(crashed: &Crashed<'_>) -> Result<(), String> {
    let spool = crashed.root.join("spool");
    let found = match spool.exists() {
        true => poison::load(&spool).map_err(|error| error.to_string())?,
        false => vec![],
    };
    let saves = saves();
    let which = saves.iter().position(|entries| *entries == found);
    must(
        which.is_some() || found.is_empty(),
        format!("{found:?} was never saved"),
    )?;
    match crashed.told.last().and_then(|told| told.parse().ok()) {
        Some(last) => must(
            which >= Some(last),
            format!("{found:?}: the last ones are forgotten"),
        ),
        None => Ok(()),
    }
}

// --- the pid file

fn pid_file(root: &Path) {
    PidFile::claim(&root.join("pid"), 12345).expect("a pid file");
}

fn pid_file_left(crashed: &Crashed<'_>) -> Result<(), String> {
    let path = crashed.root.join("pid");
    // The lock went with the machine: whatever it says, the next master takes it.
    let claimed = PidFile::claim(&path, 77).map_err(|error| format!("{error:?}"))?;
    must(
        fs::read(&path).is_ok_and(|text| text == b"77\n"),
        "another id",
    )?;
    claimed.remove();
    must(!path.exists(), "it stays")
}

// --- a Maildir as the next hop

const MAILS: [&[u8]; 2] = [
    b"Subject: 1\r\n\r\nthe first mail\r\n",
    b"Subject: 2\r\n\r\nthe second mail\r\n",
];

fn deliver(maildir: &mut Maildir, message: &[u8]) -> bool {
    let is_taken = maildir.mail(&Address::new("a@b"), b"").is_done()
        && maildir.rcpt(&Address::new("c@d"), b"").is_done();
    let answer = maildir.data(message.into(), &mut || Watch::Stays);
    is_taken && matches!(answer, Answers::All(answer) if answer.is_done())
}

fn maildir(root: &Path) {
    let path = root.join("a/b");
    for (number, message) in MAILS.iter().enumerate() {
        let Ok(mut maildir) = Maildir::open(&path) else {
            panic!("no Maildir");
        };
        assert!(deliver(&mut maildir, message));
        tell(&number.to_string());
    }
}

fn maildir_left(crashed: &Crashed<'_>) -> Result<(), String> {
    let new = crashed.root.join("a/b/new");
    let found: Vec<Vec<u8>> = names(&new)
        .iter()
        .map(|name| fs::read(new.join(name)).expect("a file"))
        .collect();
    for mail in &found {
        must(
            MAILS.contains(&&mail[..]),
            format!("half a mail: {}", mail.escape_ascii()),
        )?;
    }
    for (number, message) in MAILS.iter().enumerate() {
        let copies = found.iter().filter(|mail| mail == message).count();
        must(copies <= 1, format!("{copies} copies of mail {number}"))?;
        let is_lost = crashed.was_told(&number.to_string()) && copies == 0;
        must(!is_lost, format!("mail {number} was taken and is lost"))?;
    }
    let mut maildir =
        Maildir::open(crashed.root.join("a/b")).map_err(|answer| format!("{:?}", answer.reply))?;
    must(
        deliver(&mut maildir, b"Subject: 3\r\n\r\n"),
        "no mail is taken any more",
    )
}

// --- the archive

const MAILDIR: &str = "layout = 'maildir', sidecar = true";
const FILES: &str = "layout = 'files', sidecar = true, compress = 'gzip'";
const PARTS: &str = "layout = 'files', what = 'parts', sidecar = true";
const MAILBOX: &str = "layout = 'mboxrd', sidecar = true";

const FOREIGN: &str = "From x Sun Nov 22 09:30:10 2026\nSubject: another's\n\n";
const KEPT: &[u8] = b"Received: one\r\nSubject: 1\r\n\r\nFrom here, a mail that is kept\r\n";
/// The same words by another way.
const AGAIN: &[u8] = b"Received: other\r\nSubject: 1\r\n\r\nFrom here, a mail that is kept\r\n";
const SECOND: &[u8] = b"Subject: 2\r\n\r\na second mail, which is longer than the first one\r\n";
const NEXT: &[u8] = b"Subject: 3\r\n\r\na mail that comes when all is well again\r\n";

fn parsed(source: &str) -> Config {
    let read = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
    config::parse(
        source,
        Path::new("/etc/mimicry.toml"),
        mimicry_plugins::REGISTRY,
        &read,
    )
    .unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn mail(message: &[u8]) -> Mail {
    Mail {
        origin: Origin::default(),
        envelope: Envelope {
            sender: Address::new("anna@example.org"),
            recipients: vec![Recipient::new("bo@example.com")],
            ..Envelope::default()
        },
        message: Message::scan(message.to_vec(), &Limits::default()),
        received: Moment {
            unix: 1_795_339_810,
            offset: 0,
        },
    }
}

fn keep(root: &Path, options: &str, message: &[u8]) -> Result<(), String> {
    let config = parsed(&format!(
        "[[rule]]\nname = \"a\"\nplugin = \"archive\"\noptions = {{ dir = \"{}/{{{{ year }}}}-{{{{ month }}}}\", {options} }}\n",
        root.display()
    ));
    let (memo, mail) = (Memo::default(), mail(message));
    let classes = memo.classes(&config.banks, &mail);
    let judged = engine::judge(&config.banks, &memo, &mail, &classes, Effects::Real.into());
    for one in judged {
        one.result
            .as_ref()
            .as_ref()
            .map_err(|stopped| format!("{stopped:?}"))?;
    }
    Ok(())
}

fn archive(root: &Path, options: &str) {
    for (name, message) in [("kept", KEPT), ("again", AGAIN), ("second", SECOND)] {
        keep(root, options, message).expect("room");
        tell(name);
    }
}

fn archive_left(crashed: &Crashed<'_>, options: &str) -> Result<(), String> {
    let is_mailbox = options == MAILBOX;
    files_are_whole(crashed)?;
    keep(crashed.root, options, NEXT)?;
    files_are_whole(crashed)?;
    for (told, message) in [("kept", KEPT), ("second", SECOND)] {
        let copies = copies(crashed.root, options, message)?;
        let is_lost = crashed.was_told(told) && copies == 0;
        must(
            !is_lost,
            format!("{told}: it was said to be archived and is not"),
        )?;
        must(copies <= 1, format!("{told}: {copies} copies"))?;
    }
    // What the client brings again.
    for message in [KEPT, AGAIN, SECOND, NEXT] {
        keep(crashed.root, options, message)?;
    }
    files_are_whole(crashed)?;
    for message in [KEPT, SECOND, NEXT] {
        let copies = copies(crashed.root, options, message)?;
        // man: mimicry-plugins(7), archive: a mailbox may hold a mail twice after the power failed.
        let most = if is_mailbox { 2 } else { 1 };
        must(
            (1..=most).contains(&copies),
            format!("{copies} copies at last"),
        )?;
    }
    Ok(())
}

/// All but mailboxes, and what is the store's own.
fn files_are_whole(crashed: &Crashed<'_>) -> Result<(), String> {
    for (path, whole) in crashed.whole.files() {
        let is_own = path.starts_with(".mimicry") || is_mailbox(path);
        let found = fs::read(crashed.root.join(path));
        let is_whole = found.as_ref().map_or(true, |found| found == whole);
        must(
            is_own || is_whole,
            format!("{} is not whole: {found:?}", path.display()),
        )?;
    }
    Ok(())
}

fn is_mailbox(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("mbox"))
}

/// How often a mail is there, to be found by who reads the archive. A half mail in a mailbox is an error.
fn copies(root: &Path, options: &str, message: &[u8]) -> Result<usize, String> {
    let folder = root.join("2026-11");
    let files = |directory: &Path| -> Vec<Vec<u8>> {
        let paths = names(directory)
            .into_iter()
            .map(|name| directory.join(name));
        paths
            .filter(|path| path.is_file())
            .map(|path| fs::read(path).expect("a file"))
            .collect()
    };
    let found: Vec<Vec<u8>> = match options {
        MAILDIR => files(&folder.join("new")),
        FILES => files(&folder)
            .iter()
            .filter_map(|file| unpacked(file))
            .collect(),
        PARTS => {
            let body = mimicry_core::message::Message::scan(message.to_vec(), &Limits::default());
            let body = body.root().body().to_vec();
            return Ok(files(&folder).iter().filter(|file| **file == body).count());
        }
        _ => mailbox(&fs::read(folder.join("mbox")).unwrap_or_default())?,
    };
    // Of the same words, whichever came first.
    let words = |mail: &[u8]| {
        String::from_utf8_lossy(mail)
            .split("Subject: ")
            .last()
            .map(String::from)
    };
    Ok(found
        .iter()
        .filter(|mail| words(mail) == words(message))
        .count())
}

fn unpacked(file: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    MultiGzDecoder::new(file).read_to_end(&mut content).ok()?;
    Some(content)
}

/// The mails of a mailbox; each is one that was sent.
fn mailbox(octets: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let text = std::str::from_utf8(octets).map_err(|_| "no text in the mailbox")?;
    let rest = text.strip_prefix(FOREIGN).unwrap_or(text);
    let mut mails = Vec::new();
    let entries = rest.split("From anna@example.org Sun Nov 22 09:30:10 2026\n");
    for (number, entry) in entries.enumerate() {
        let mail = entry
            .replace("\n>From ", "\nFrom ")
            .replace('\n', "\r\n")
            .into_bytes();
        // Below each mail is an empty line.
        let mail = mail.strip_suffix(b"\r\n").unwrap_or(&mail).to_vec();
        let is_sent = [KEPT, AGAIN, SECOND, NEXT].contains(&&mail[..]);
        match number {
            0 if mail.is_empty() => {}
            _ if number > 0 && is_sent => mails.push(mail),
            _ => {
                return Err(format!(
                    "half a mail in the mailbox: {}",
                    octets.escape_ascii()
                ));
            }
        }
    }
    Ok(mails)
}

/// A mailbox is known by the number of its inode, which stays when the power fails: here it is another copy's.
pub fn renumber(root: &Path, numbers: &std::collections::HashMap<u64, u64>) {
    use std::os::unix::fs::MetadataExt;
    let folder = root.join("2026-11");
    let (Ok(facts), Ok(journal)) = (
        fs::metadata(folder.join("mbox")),
        fs::read_to_string(folder.join("mbox.journal")),
    ) else {
        return;
    };
    let Some((number, rest)) = journal.split_once(' ') else {
        return;
    };
    if number.parse().ok() == numbers.get(&facts.ino()).copied() {
        let text = format!("{} {rest}", facts.ino());
        fs::write(folder.join("mbox.journal"), text).expect("a journal");
    }
}
