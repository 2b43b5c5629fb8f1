//! `maildir:///path`: each transaction becomes one file, however many recipients it has.
//!
//! The file holds the message octet for octet, with its CRLFs and nothing added: no Return-Path, no Delivered-To. It is
//! a place to see what mimicry does to mail, and to give mail to programs that read a Maildir; for mailboxes of several
//! users, use a delivery agent by `lmtp://`.
//!
//! A message is written to `tmp`, forced to disk, renamed into `new`, and the directory forced to disk; only then is it taken
//! (2xx). Names are unique without looking: time, process, 64 random bits, host. Directories are made when they are missing.
//! DSN is not offered: nobody here would write the report of a delivery.
//!
//! Must never: leave a file in `new` that is not whole, or say 2xx for one that could vanish with the power.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path as FilePath, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use mimicry_core::envelope::Path;
use mimicry_core::extension::{Extension, Extensions};
use mimicry_core::reply::Own;

use crate::sys::descriptors;

use super::answer::{Answer, Answers, Cause};
use super::guard::Clean;
use super::next_hop::{NextHop, Watch};
use crate::sys::durable;

/// Octets that are written between two looks at the client.
const BLOCK: usize = 1024 * 1024;

/// A directory in Maildir format.
pub struct Maildir {
    root: PathBuf,
    capabilities: Extensions,
    recipients: usize,
    is_in_transaction: bool,
}

impl Maildir {
    /// Makes the directory and those in it, if they are missing; only their user may enter.
    pub fn open(root: impl Into<PathBuf>) -> Result<Maildir, Answer> {
        let root = root.into();
        for name in ["tmp", "new", "cur"] {
            durable::make_directories(&root.join(name), 0o700).map_err(|error| failed(&error))?;
        }
        Ok(Maildir {
            root,
            capabilities: Extensions::of([
                Extension::Size,
                Extension::EightBitMime,
                Extension::SmtpUtf8,
                Extension::Pipelining,
            ]),
            recipients: 0,
            is_in_transaction: false,
        })
    }

    fn store(&self, mail: Clean<'_>, watch: &mut dyn FnMut() -> Watch) -> Result<(), NotStored> {
        let name = unique_name()?;
        let written = Written {
            path: self.root.join("tmp").join(&name),
        };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&written.path)?;
        for block in mail
            .pieces()
            .into_iter()
            .flat_map(|piece| piece.chunks(BLOCK))
        {
            stays(watch)?;
            file.write_all(block)?;
        }
        file.sync_all()?;
        stays(watch)?;
        let new = self.root.join("new");
        let path = new.join(&name);
        fs::rename(&written.path, &path)?;
        if let Err(error) = File::open(&new).and_then(|directory| directory.sync_all()) {
            // The client will bring the mail again.
            let _ = fs::remove_file(&path);
            return Err(error.into());
        }
        Ok(())
    }
}

impl NextHop for Maildir {
    fn capabilities(&self) -> &Extensions {
        &self.capabilities
    }

    /// Writing to a disk has no deadline.
    fn limit(&mut self, _deadline: Option<Instant>) {}

    fn mail(&mut self, _sender: &Path, _params: &[u8]) -> Answer {
        self.recipients = 0;
        self.is_in_transaction = true;
        done(Own::DirectorySender)
    }

    fn rcpt(&mut self, _recipient: &Path, _params: &[u8]) -> Answer {
        if !self.is_in_transaction {
            return Answer::said(Own::MailFirst.reply());
        }
        self.recipients = self.recipients.saturating_add(1);
        done(Own::DirectoryRecipient)
    }

    fn hand_on(&mut self, message: Clean<'_>, watch: &mut dyn FnMut() -> Watch) -> Answers {
        if self.recipients == 0 {
            return Answers::All(Answer::said(Own::RcptFirst.reply()));
        }
        Answers::All(match self.store(message, watch) {
            Ok(()) => {
                self.reset();
                done(Own::Stored)
            }
            Err(NotStored::ClientGone) => Answer::failed(Cause::ClientGone, "message"),
            Err(NotStored::Disk(error)) => failed(&error),
        })
    }

    fn reset(&mut self) -> Answer {
        self.recipients = 0;
        self.is_in_transaction = false;
        done(Own::Ok)
    }

    fn quit(&mut self) {}

    fn abort(&mut self) {}

    fn is_in_transaction(&self) -> bool {
        self.is_in_transaction
    }

    fn is_in_order(&self) -> bool {
        true
    }

    fn is_usable(&mut self) -> bool {
        true
    }
}

enum NotStored {
    ClientGone,
    Disk(io::Error),
}

impl From<io::Error> for NotStored {
    fn from(error: io::Error) -> NotStored {
        NotStored::Disk(error)
    }
}

/// A file in `tmp`: gone when this goes, unless it was renamed.
struct Written {
    path: PathBuf,
}

impl Drop for Written {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn stays(watch: &mut dyn FnMut() -> Watch) -> Result<(), NotStored> {
    match watch() {
        Watch::Stays => Ok(()),
        Watch::Gone => Err(NotStored::ClientGone),
    }
}

fn done(own: Own) -> Answer {
    Answer::said(own.reply())
}

/// The client, which may be far away, is told no paths.
fn failed(error: &io::Error) -> Answer {
    Answer::own(match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Own::DiskFull.reply()
        }
        _ if descriptors::is_short(error) => Own::Short.with("directory"),
        _ => Own::NotStored.with(&error.kind().to_string()),
    })
}

/// `seconds.MmicrosecondsPpidRrandom.host`, as <https://cr.yp.to/proto/maildir.html> says.
fn unique_name() -> io::Result<PathBuf> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(io::Error::other)?;
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let host = nix::unistd::gethostname()?;
    Ok(FilePath::new(&format!(
        "{}.M{}P{}R{}.{}",
        now.as_secs(),
        now.subsec_micros(),
        std::process::id(),
        HEXLOWER.encode(&random),
        host.to_string_lossy()
            .replace('/', "\\057")
            .replace(':', "\\072")
    ))
    .to_path_buf())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::os::unix::fs::PermissionsExt;

    use super::super::hostile_octets::mails;
    use super::*;

    fn files(root: &FilePath, name: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(root.join(name)).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    fn opened() -> (tempfile::TempDir, PathBuf, Maildir) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("a/b");
        let maildir = Maildir::open(&root).unwrap();
        (directory, root, maildir)
    }

    fn deliver(maildir: &mut Maildir, message: &[u8], watch: &mut dyn FnMut() -> Watch) -> Answer {
        assert!(maildir.mail(&Path::new("a@b"), b"").is_done());
        assert!(maildir.rcpt(&Path::new("c@d"), b"").is_done());
        assert!(maildir.rcpt(&Path::new("e@f"), b"").is_done());
        maildir.data(message.into(), watch).only()
    }

    #[test]
    fn a_message_is_stored_octet_for_octet() {
        let (_directory, root, mut maildir) = opened();
        for message in [
            &b"Subject: x\r\n\r\n.\r\n..\r\n"[..],
            b"",
            b"\r\n",
            b"no end",
            b"\0\xff\r\n",
        ] {
            let answer = deliver(&mut maildir, message, &mut || Watch::Stays);
            assert_eq!(answer.reply.to_string(), "250 2.0.0 stored");
            let [file] = &files(&root, "new")[..] else {
                panic!("one file")
            };
            assert_eq!(fs::read(file).unwrap(), message);
            assert_eq!(
                fs::metadata(file).unwrap().permissions().mode() & 0o777,
                0o600
            );
            fs::remove_file(file).unwrap();
        }
        assert!(files(&root, "tmp").is_empty());
        assert_eq!(
            fs::metadata(&root).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }

    #[test]
    fn t175_only_clean_mail_is_stored() {
        let (_directory, root, mut maildir) = opened();
        for mail in mails(200) {
            assert!(maildir.mail(&Path::new("a@b"), b"").is_done());
            assert!(maildir.rcpt(&Path::new("c@d"), b"").is_done());
            let answer = maildir.data(mail.outgoing(), &mut || Watch::Stays).only();
            let stored = files(&root, "new");
            if mail.is_clean() {
                assert!(answer.is_done(), "{mail:?}: {}", answer.reply);
                let [file] = &stored[..] else {
                    panic!("one file")
                };
                let octets = [&mail.above[..], &mail.message].concat();
                assert_eq!(fs::read(file).unwrap(), octets);
                fs::remove_file(file).unwrap();
            } else {
                let found = (answer.reply.code(), answer.cause);
                assert_eq!(found, (451, Cause::Unclean), "{mail:?}");
                assert!(stored.is_empty() && files(&root, "tmp").is_empty());
            }
        }
    }

    #[test]
    fn a_client_that_went_away_leaves_nothing() {
        let (_directory, root, mut maildir) = opened();
        for stays in 0..4 {
            let mut left = stays;
            let answer = deliver(&mut maildir, &vec![b'x'; 3 * BLOCK], &mut || {
                left -= 1;
                if left < 0 { Watch::Gone } else { Watch::Stays }
            });
            assert_eq!(
                (answer.cause, answer.reply.code()),
                (Cause::ClientGone, 451)
            );
            assert!(files(&root, "tmp").is_empty() && files(&root, "new").is_empty());
        }
    }

    #[test]
    fn commands_come_in_order() {
        let (_directory, _root, mut maildir) = opened();
        assert_eq!(maildir.rcpt(&Path::new("c@d"), b"").reply.code(), 503);
        maildir.mail(&Path::new("a@b"), b"");
        assert!(maildir.is_in_transaction());
        assert_eq!(
            maildir
                .data(b""[..].into(), &mut || Watch::Stays)
                .only()
                .reply
                .code(),
            503
        );
        maildir.reset();
        assert!(!maildir.is_in_transaction());
        assert_eq!(maildir.rcpt(&Path::new("c@d"), b"").reply.code(), 503);
    }

    #[test]
    fn faults_are_temporary() {
        let (_directory, root, mut maildir) = opened();
        fs::remove_dir(root.join("tmp")).unwrap();
        let answer = deliver(&mut maildir, b"x\r\n", &mut || Watch::Stays);
        assert!(
            answer.reply.to_string().starts_with("451 4.3.0 "),
            "{}",
            answer.reply
        );
        let file = root.join("file");
        fs::write(&file, b"").unwrap();
        let answer = Maildir::open(file.join("below")).err().unwrap();
        assert!(
            answer.reply.to_string().starts_with("451 4.3.0 "),
            "{}",
            answer.reply
        );
        for kind in [
            ErrorKind::StorageFull,
            ErrorKind::QuotaExceeded,
            ErrorKind::FileTooLarge,
        ] {
            assert_eq!(failed(&kind.into()).reply.code(), 452);
        }
    }

    // T131
    #[test]
    fn t131_what_is_short_is_said() {
        let error = io::Error::from_raw_os_error(nix::libc::EMFILE);
        let reply = failed(&error).reply.to_string();
        assert!(
            reply.starts_with("451 4.3.2 this system is short"),
            "{reply}"
        );
    }

    /// A real full disk, where there is one to be had without writing much.
    #[test]
    fn t144_a_full_disk_is_a_452() {
        let error = OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .and_then(|mut full| full.write_all(b"x"))
            .unwrap_err();
        assert!(failed(&error).reply.to_string().starts_with("452 4.3.1 "));
    }

    #[test]
    fn names_are_unique() {
        let names: HashSet<PathBuf> = (0..1000).map(|_| unique_name().unwrap()).collect();
        assert_eq!(names.len(), 1000);
    }
}
