//! What is done to each store while it is recorded, and how what is left is opened: by the program's own readers.
//!
//! Must never: look at a store in a way that the program does not, but to compare whole files.

use std::fs;
use std::io::Write;
use std::path::Path;

use mimicry_core::config::{self, Config};
use mimicry_core::envelope::Path as Address;
use mimicry_core::extension::Extensions;
use mimicry_core::message::digest::Digest;
use mimicry_core::seals::SealKeys;
use mimicry_core::settings::endpoint::NextHop as Destination;
use mimicryd::master::pidfile::PidFile;
use mimicryd::prefork::poison::Entry as Killer;
use mimicryd::relay::maildir::Maildir;
use mimicryd::relay::{Answers, NextHop, Remembered, Watch};
use mimicryd::worker::ledger::{Key, Ledger};
use mimicryd::{poison, seal_keys};

use super::archive::{FILES, FOREIGN, MAILBOX, MAILDIR, PARTS, archive, archive_left};
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
    pub fn was_told(&self, what: &str) -> bool {
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
pub fn tell(what: &str) {
    let mut out = std::io::stdout();
    out.write_all(format!("{TOLD}{what}\n").as_bytes())
        .and_then(|()| out.flush())
        .expect("a reader");
}

pub fn must(truth: bool, what: impl Into<String>) -> Result<(), String> {
    truth.then_some(()).ok_or_else(|| what.into())
}

/// Names in a directory; none if it is not there.
pub fn names(directory: &Path) -> Vec<String> {
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
    ledger.reserve(&WHO.map(key)).expect("room");
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
        // Room that is held for an entry is none yet.
        let name = name.strip_suffix(".new").unwrap_or(&name);
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

pub fn parsed(source: &str) -> Config {
    let read = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
    config::parse(
        source,
        Path::new("/etc/mimicry.toml"),
        mimicry_plugins::REGISTRY,
        &read,
    )
    .unwrap_or_else(|mistakes| panic!("{mistakes}"))
}
